#!/usr/bin/env python3
"""Every source is clean under gcc and clang with the warnings of doc/HACKING.md."""
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from source import BUILD, CORE, Laws, ROOT, files, run

WARNINGS = """-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
-Wframe-larger-than=4096 -Wformat=2 -Werror""".split()
config = os.path.join(BUILD, "config.h")
base = ["-std=c11", "-fsyntax-only"] + WARNINGS + \
    (["-include", config] if os.path.exists(config) else []) + \
    ["-I", os.path.join(ROOT, "include"), "-I", os.path.join(ROOT, "modules")] + \
    [f for f in os.environ.get("KURIR_BUILD_FLAGS", "").split() if f.startswith("-I")] + \
    ['-DKURIR_%s="/nowhere"' % d for d in ("MODULEDIR", "CONFDIR", "STATEDIR", "RUNDIR", "SBINDIR", "DATADIR")]


def clean(compiler, path):
    more = []
    if not path.startswith("modules/"):
        more = ["-I" + os.path.join(ROOT, folder) for folder in [*CORE, ".", "tests", "contrib/sdk"]]
    if path.startswith("core/") and compiler == "gcc":
        more.append("-Wconversion")
    status, said = run(compiler, *base, *more, os.path.join(ROOT, path))
    return f"{path}:\n{said[:1500]}" if status else None


laws = Laws()
for name in "gcc", "clang":
    if not shutil.which(name):
        laws.skip(f"no warnings: {name}", f"no {name} here")
        continue
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sources = [p for p in files("core", "modules", "contrib", "tests/unit", "tests/fuzz", ends=(".c",))
                   if "/corpus/" not in p and "/template/" not in p]
        laws.law(f"no warnings: {name}",
                 filter(None, pool.map(lambda p, c=name: clean(c, p), sources)))
laws.done()
