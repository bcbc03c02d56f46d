#!/usr/bin/env python3
"""Words: the core knows no wire protocol."""
import re
from source import Laws, files, read

WIRE = re.compile("ehlo|start" + "tls|fe" + "tch|ui" + "dl", re.I)


def grep(pattern, paths):
    for path in paths:
        for number, line in enumerate(read(path).split("\n"), 1):
            if pattern.search(line):
                yield f"{path}:{number}: {line.strip()[:90]}"


laws = Laws()
laws.law("the core speaks no wire protocol",
         grep(WIRE, files("core", ends=(".c", ".h", ".map", ".inc"))))
laws.done()
