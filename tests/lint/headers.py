#!/usr/bin/env python3
"""Each header compiles alone: with gcc and clang, the public ones also as C++."""
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from source import BUILD, CORE, Laws, ROOT, files, run

laws = Laws()
config = os.path.join(BUILD, "config.h")
base = (["-include", config] if os.path.exists(config) else []) + \
    ["-I" + os.path.join(ROOT, folder) for folder in ["include", "modules", *CORE]] + \
    ["-fsyntax-only", "-Wall", "-Wextra", "-Werror"] + \
    [f for f in os.environ.get("KURIR_BUILD_FLAGS", "").split() if f.startswith("-I")]
compilers = [("gcc", ["-xc", "-std=c11"], ("include", "core", "modules")),
             ("clang", ["-xc", "-std=c11"], ("include", "core", "modules")),
             ("g++", ["-xc++", "-std=c++17"], ("include",))]
for name, language, folders in compilers:
    label = f"each header compiles alone: {name}"
    if not shutil.which(name):
        laws.skip(label, f"no {name} here")
        continue

    def alone(path, compiler=name, flags=language):
        full = os.path.join(ROOT, path)
        # The compiler's warning about a header as main file is about this test.
        status, said = run(compiler, *flags, *base, "-I", os.path.dirname(full),
                           "-include", full, "/dev/null")
        return f"{path}:\n{said}" if status else None
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        laws.law(label, filter(None, pool.map(alone, files(*folders, ends=(".h",)))))
laws.done()
