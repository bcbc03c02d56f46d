#!/usr/bin/env python3
"""Calls that core and modules do not make.  banned.allow has the exceptions, with reasons."""
import fnmatch
import re
from source import Laws, ROOT, bare, files, read
import os

BANNED = """strcpy strcat sprintf vsprintf strtok strncpy strncat gets alloca atoi atol atoll
strtol strtoul localtime gmtime ctime asctime inet_ntoa gethostbyname getaddrinfo getpwnam
getpwuid sleep usleep nanosleep select poll system popen printf exit setjmp longjmp""".split()
CALL = re.compile(r"(?<![\w.>\"])(" + "|".join(BANNED) + r")\s*\(")


def allowed():
    path = os.path.join(ROOT, "tests/lint/banned.allow")
    rules = []
    if os.path.exists(path):
        for line in open(path, encoding="utf-8"):
            words = line.split("#")[0].split()
            if len(words) >= 3:
                rules.append(words[:2])
    return rules


def offences():
    rules = allowed()
    for path in files("core", "modules", "include", "contrib"):
        for number, line in enumerate(bare(read(path)).split("\n"), 1):
            for match in CALL.finditer(line):
                call = match.group(1)
                if not any(fnmatch.fnmatch(path, p) and call == c for p, c in rules):
                    yield f"{path}:{number}: {call}() is banned"


laws = Laws()
laws.law("no banned calls", offences())
laws.done()
