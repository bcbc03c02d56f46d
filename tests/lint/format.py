#!/usr/bin/env python3
"""Sources have the form of .clang-format; lines have at most 98 columns; /* */ only."""
import os
import re
import shutil
from source import Laws, ROOT, TOKEN, files, read, run

laws = Laws()
sources = [p for p in files("core", "modules", "include", "tests", "contrib") if "/template/" not in p]
tool = next((t for t in ("clang-format-14", "clang-format") if shutil.which(t)), None)
version = run(tool, "--version")[1] if tool else ""
if " 14." in version:
    bad = []
    for at in range(0, len(sources), 40):
        said = run(tool, "--dry-run", "-Werror", "-ferror-limit=1", "--style=file",
                   *(os.path.join(ROOT, p) for p in sources[at:at + 40]))[1]
        bad += sorted(set(re.findall(r"^(\S+?:\d+):\d+: error", said, re.M)))
    laws.law("clang-format has nothing to change", (os.path.relpath(b, ROOT) for b in bad))
else:
    laws.skip("clang-format has nothing to change", "no clang-format 14 here")
# A text for people stays on one line, so that it can be found.
laws.law("lines of at most 98 columns",
         (f"{p}:{n}" for p in sources for n, line in enumerate(read(p).split("\n"), 1)
          if len(line.expandtabs(8)) > 98 and p.startswith(("core", "modules"))
          and '"' not in line))
laws.law("no // comments", (
    f"{p}: {m.group()[:60]}" for p in sources for m in TOKEN.finditer(read(p))
    if m.group().startswith("//")))
laws.done()
