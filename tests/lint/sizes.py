#!/usr/bin/env python3
"""How large things may be: files, functions, McCabe's number, the core."""
import os
import re
from source import Laws, files, functions, read

# What a session runs through is small.  What else the program cannot do without (reading and
# checking the configuration, processes and their sandboxes, the admin socket, what the mail
# modules share) stands in folders of its own; doc/INTERNALS.md says which and why.  The whole
# may shrink, not grow.
FILE, FUNCTION, COMPLEXITY, RUNTIME, CORE = 800, 120, 20, 8000, 24900
# A switch counts once, as its cases are one table that is read at one glance.
BRANCH = re.compile(r"\b(?:if|for|while|switch)\b|&&|\|\||\?")

sources = files("core", "modules", "include", "tests", "contrib")
laws = Laws()
laws.law(f"files of at most {FILE} lines",
         (f"{p}: {n} lines" for p in sources if (n := read(p).count("\n")) > FILE))
found = [f for p in sources if p.endswith(".c") for f in functions(p)]
laws.law(f"functions of at most {FUNCTION} lines",
         (f"{f.path}:{f.line}: {f.name}() has {f.lines} lines" for f in found
          if f.lines > FUNCTION))
laws.law(f"complexity of at most {COMPLEXITY}",
         (f"{f.path}:{f.line}: {f.name}() has {n}" for f in found
          if (n := 1 + len(BRANCH.findall(f.body))) > COMPLEXITY and not f.path.startswith("tests/")))
sizes = {p: read(p).count("\n") for p in files("core")}
size = sum(n for p, n in sizes.items() if os.path.dirname(p) == "core")
laws.law(f"what a session runs through has at most {RUNTIME} lines",
         [f"core: {size} lines"] if size > RUNTIME else [])
whole = sum(sizes.values())
laws.law(f"the core with its folders has at most {CORE} lines",
         [f"core: {whole} lines"] if whole > CORE else [])
print(f"# core: {size} lines, {whole} with its folders")
laws.done()
