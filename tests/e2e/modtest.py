#!/usr/bin/env python3
"""kurir-modtest finds what a module does wrong, and lets a good one pass."""
import os
import subprocess
import sys
import tempfile

SRC = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BUILD = os.path.abspath(os.environ.get("top_builddir", os.path.join(SRC, "build")))
MODTEST = os.path.join(BUILD, "kurir-modtest")
MODULE = os.path.join(BUILD, "tests/modules/.libs/naughty.so")
DIALOGUE = """CONNECT mx
S: 220 *
C: EHLO client.example
S> 250 HELP
C: MAIL FROM:<paijo@dua.example>
S: 250*
C: RCPT TO:<hyd@satu.example>
S: 250*
C: DATA
S: 354*
C: Subject: x
C:
C: hello
C: .
S: 250*
EXPECT spooled 1
MESSAGE 1
M> hello
C: QUIT
S: 221*
CLOSED
"""
points = 0


def point(good, name, why=""):
    global points
    points += 1
    print(f"{'ok' if good else 'not ok'} {points} - {name}")
    if not good:
        print("\n".join("# " + line for line in why.splitlines()[:40]))


def run(does, *options, dialogue=DIALOGUE, module=MODULE):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.scn")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f'# naughty\nOPTIONS\n"does": "{does}"\nEND\n' + dialogue)
        done = subprocess.run([MODTEST, *options, module, path], capture_output=True, text=True, timeout=100,
                              env=dict(os.environ, top_builddir=BUILD))
    return done.returncode, done.stdout + done.stderr


def found(does, says, *options):
    status, said = run(does, *options)
    point(status == 1 and says in said and "not ok 1" in said, f"found: {does}", said)


status, said = run("nothing")
point(status == 0 and "ok 1" in said, "a good module passes", said)
status, said = run("nothing", "--fuzz", "50")
point(status == 0 and "other bytes" in said, "... whatever the client says", said)
status, said = run("nothing", dialogue=DIALOGUE.replace("S: 354*", "S: 355*"))
point(status == 1 and 'expected "355*", got "354' in said and "# log: " in said,
      "another answer than the scenario's is told, with the log", said)
status, said = run("nothing", dialogue=DIALOGUE + "EXPECT verdict mail reject\n")
point(status == 1 and "naughty has not settled mail with reject" in said, "so is another verdict", said)
found("leaks", "bytes of memory more are held")
found("remembers", "bytes of memory more are held")
status, said = run("remembers", "--grows")
point(status == 0, "what remembers may grow when that is said", said)
found("opens", " descriptors more are held")
found("spawns", " fibers more are held")
found("parks", "done has waited, which it must not")
found("lies", "mail returned 17, which is no verdict")
status, said = run("crashes")
point(status == 0, "what crashes for other bytes passes with these", said)
found("crashes", "--fuzz 1 --seed ", "--fuzz", "300")
status, said = run("holds")
point(status == 0, "what loses something when a wait fails passes while none does", said)
found("holds", "descriptors, not", "--torture")
status, said = run("nothing", "--torture")
point(status == 0 and "waits that fail" in said, "a good module bears it", said)
status, said = run("nothing", module=os.path.join(BUILD, "tests/modules/.libs/abi_newer.so"))
point(status == 1 and "was built for ABI 1.1" in said, "a module that cannot be loaded is told", said)
status, said = run("nothing", module="/nowhere/x.so")
point(status == 2 and "there is no such file of a module" in said, "so is one that is not there", said)
status, said = run("nothing", "--fuzz", "many")
point(status == 2 and "kurir-modtest [-v]" in said, "a wrong command line is told", said)
print(f"1..{points}")
sys.exit(0)
