#!/usr/bin/env python3
"""Modules that are built with the frozen headers are loaded by today's core, and do what they did.

tests/abi/1.0/NAME.c is compiled with tests/abi/1.0/include alone, linked with today's library by the
version of its symbols, and played by the scenario NAME.scn beside it."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("top_builddir", os.path.join(HERE, "../../build")))
CORE = os.path.join(BUILD, "core/.libs")
FLAGS = ["-O1", "-g", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror",
         "-I", os.path.join(HERE, "1.0/include"), f"-Wl,-rpath,{CORE}", "-Wl,-z,now", "-L", CORE, "-lkurir"]
points = 0


def point(good, name, done):
    global points
    points += 1
    print(f"{'ok' if good else 'not ok'} {points} - {name}")
    if not good:
        print("\n".join("# " + line for line in (done.stdout + done.stderr).splitlines()[-60:]))


def run(*args, **env):
    return subprocess.run(args, env=dict(os.environ, top_builddir=BUILD, **env), capture_output=True,
                          text=True, timeout=100)


def build(source, folder):
    plus = source.endswith(".cc")
    name = os.path.basename(source).rsplit(".", 1)[0]
    # g++ says of a designated initializer what it leaves out.
    plus_flags = ["-std=gnu++20", "-Wno-missing-field-initializers"]
    flags = FLAGS + (plus_flags if plus else ["-std=gnu11"])
    return run("g++" if plus else "gcc", source, *flags, "-o", os.path.join(folder, name + ".so"))


with tempfile.TemporaryDirectory() as folder:
    sources = sorted(glob.glob(os.path.join(HERE, "1.0/*.c")) + glob.glob(os.path.join(HERE, "1.0/*.cc")))
    if not sources:
        print("Bail out! there are no frozen modules")
        sys.exit(1)
    for source in sources:
        if source.endswith(".cc") and shutil.which("g++") is None:
            points += 1
            print(f"ok {points} # SKIP there is no g++")
            continue
        built = build(source, folder)
        point(built.returncode == 0, f"{os.path.basename(source)} is built", built)
    for source in sources:
        name = os.path.basename(source).rsplit(".", 1)[0]
        file = os.path.join(folder, name + ".so")
        if not os.path.exists(file):
            continue
        needed = run("readelf", "-W", "--dyn-syms", file)
        names = [line.split()[7] for line in needed.stdout.splitlines()
                 if " UND kurir_" in line]
        point(names and all("@KURIR_1" in n for n in names), f"{name} asks for symbols by their version",
              needed)
        played = run(os.path.join(BUILD, "tests/scenario/run"), "-v", os.path.join(HERE, "1.0", name + ".scn"),
                     KURIR_MODULE_PATH=folder)
        point(played.returncode == 0, f"{name} does what it did", played)
print(f"1..{points}")
