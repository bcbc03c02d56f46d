#!/usr/bin/env python3
"""Words: the core knows no wire protocol, and the tree knows no workplace."""
import re
from source import Laws, files, read

WIRE = re.compile("ehlo|start" + "tls|fe" + "tch|ui" + "dl", re.I)
# Where something was made, and by what, is nobody's business.
PLACE = re.compile(r"/(?:work|home|root|tmp/contract)/(?!\*)[a-z]|\bsub" + r"agent|\bTO" + "DO: ask", re.I)
TEXT = (".c", ".h", ".py", ".sh", ".am", ".ac", ".m4", ".inc", ".md", ".json", ".5", ".7", ".8",
        ".scn", ".map", ".in")


def grep(pattern, paths):
    for path in paths:
        for number, line in enumerate(read(path).split("\n"), 1):
            if pattern.search(line):
                yield f"{path}:{number}: {line.strip()[:90]}"


laws = Laws()
laws.law("the core speaks no wire protocol",
         grep(WIRE, files("core", ends=(".c", ".h", ".map", ".inc"))))
laws.law("no words of workplaces",
         grep(PLACE, files("core", "modules", "include", "config", "doc", "tests/unit",
                           "tests/scenario", "tests/e2e", "tests/lint", "contrib/demo", ends=TEXT)))
laws.done()
