#!/usr/bin/env python3
"""What `kurirctl module info` reads of a module's file is what the loader finds in it."""
import glob
import json
import os
import subprocess
import sys

SRC = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BUILD = os.environ.get("top_builddir", os.path.join(SRC, "build"))
KURIRCTL = os.path.join(BUILD, "kurirctl")
KURIRD = os.path.join(BUILD, "kurird")
TEST_MODULES = os.path.join(BUILD, "tests/modules/.libs")
points = 0


def point(good, name, why=""):
    global points
    points += 1
    print(f"{'ok' if good else 'not ok'} {points} - {name}")
    if not good and why:
        print("\n".join("# " + line for line in why.splitlines()[:20]))


def run(*args, path=BUILD):
    env = dict(os.environ, KURIR_MODULE_PATH=os.path.abspath(path))
    done = subprocess.run(args, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def without_file(text):
    return [line for line in text.splitlines() if not line.startswith("file: ")]


names = os.environ.get("KURIR_MODULES", "").split() or [
    os.path.basename(f)[:-3] for f in glob.glob(os.path.join(BUILD, ".libs/*.so"))]
wrong = []
for name in sorted(names):
    described = run(KURIRD, "--describe", name)
    read = run(KURIRCTL, "module", "info", os.path.join(BUILD, ".libs", name + ".so"))
    if described[0] or read[0] or without_file(described[1]) != without_file(read[1]):
        wrong.append(f"{name}: {described[2]}{read[2]}")
point(names and not wrong, f"{len(names)} modules say the same loaded and read", "\n".join(wrong))

status, out, err = run(KURIRCTL, "module", "info", "--json", os.path.join(TEST_MODULES, "good.so"))
good = json.loads(out or "{}")
point(status == 0 and good.get("abi") == [1, 0] and good["hooks"] == ["mail"] and
      good["capabilities"] == ["net", "body"] and good["functions"] == ["check"] and
      [o["type"] for o in good["options"]][:3] == ["true or false", "whole number", "whole number"]
      and good["options"][1] == {"name": "number", "type": "whole number", "preset": "5",
                                 "help": "A number with bounds.", "min": 1, "max": 10},
      "as JSON", out + err)
point(run(KURIRCTL, "--json", "module", "info", "good", path=TEST_MODULES)[1] != "",
      "by its name, from the module path")

status, out, err = run(KURIRCTL, "module", "info", os.path.join(TEST_MODULES, "aborting.so"))
point(status == 0 and "hooks: rcpt" in out and "needs: accounts" in out and "\033" not in out,
      "a module that ends who loads it is read, and no terminal obeys it", out + err)

for what, file, says in (
        ("no module", os.path.join(TEST_MODULES, "nosymbol.so"), "has no KURIR_MODULE(nosymbol"),
        ("no ELF file", os.path.abspath(__file__), "of a-z, 0-9 and _"),
        ("a folder", "/", "of a-z, 0-9 and _"),
        ("a name that is nowhere", "nowhere", "No such file"),
        ("a program", KURIRD if os.path.getsize(KURIRD) > 1 << 16 else "/bin/true", "KURIR_MODULE")):
    status, out, err = run(KURIRCTL, "module", "info", file)
    point(status == 1 and says in err and not out, f"{what} is refused with a sentence", err)
status, out, err = run(KURIRCTL, "module", "info")
point(status == 2 and "FILE" in err, "a file has to be named", err)
status, out, err = run(KURIRCTL, "module")
point(status == 2 and "info" in err, "a command has to be named", err)
print(f"1..{points}")
sys.exit(0)
