#!/usr/bin/env python3
"""What IMAP and POP3 clients see does not depend on the store: the scenarios about them, with store_sqlite in the place of
store_maildir."""
import concurrent.futures
import glob
import os
import subprocess
import zlib

from netlib import BUILD, SRC, check, done, path, skip_all

SEED = os.environ.get("KURIR_SEED", "1")
RUN = os.path.join(BUILD, "tests/scenario/run")
# What a Maildir lacks is tried by scenarios of its own, "-maildir".
# How many mod-sequences a store has used, and whether it has ids, is its own affair: these have what a Maildir says.
OTHER = {"imap-condstore.scn", "imap-rev2.scn"}


def play(scenario):
    copy = path(os.path.basename(scenario))
    with open(scenario, encoding="utf-8") as f, open(copy, "w", encoding="utf-8") as to:
        to.write(f.read().replace('"store_maildir"', '"store_sqlite"'))
    return subprocess.run([RUN, copy], env=dict(os.environ, TMPDIR=path(".")), capture_output=True, text=True,
                          errors="replace", timeout=300, check=False)


def main():
    if not os.path.exists(RUN):
        skip_all("tests/scenario/run is not built")
    if not os.path.exists(os.path.join(BUILD, "store_sqlite.la")):
        skip_all("store_sqlite is not built")
    every = []
    for name in sorted(glob.glob(os.path.join(SRC, "tests/scenario/*.scn"))):
        with open(name, encoding="utf-8") as f:
            if '"store_maildir"' in f.read() and "contract" not in name and \
                    not name.endswith("-maildir.scn") and os.path.basename(name) not in OTHER:
                every.append(name)
    if os.environ.get("SANITIZE_FLAGS"):  # they take ten times as long there
        every = [n for n in every if zlib.crc32((SEED + os.path.basename(n)).encode()) % 3 == 0]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, r in zip(every, pool.map(play, every)):
            check(r.returncode == 0, "%s with store_sqlite" % os.path.basename(name)[:-4], *r.stdout[:3000].splitlines())
    done()


main()
