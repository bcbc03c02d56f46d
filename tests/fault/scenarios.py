#!/usr/bin/env python3
"""Every failure in turn, in every scenario: the n-th wait is cancelled or too late, the n-th allocation fails, the
n-th file operation says ENOSPC or EIO.

    scenarios.py [--full] [--only PATTERN] [--kinds KIND,...]

tests/scenario/torture.c has the rules. With --full each n up to 300 is tried, as while days pass there is always one
more wait, and of the allocations each 31st; without it some n in every third scenario, which KURIR_SEED moves. A
sanitizer has the allocator: there only waits fail, and nothing may leak."""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from faultlib import Plan, nth
from netlib import BUILD, SRC, check, done, path, skip_all

RUN = os.path.join(BUILD, "tests/scenario/run")
WAITS, OTHERS = ["canceled", "late"], ["memory", "full", "broken"]
SOME, FULL = 5, 300  # failures of one kind in one scenario, at most
# A wait that is too late is one that is over, and these ask how long a module sleeps, and who is silent meanwhile.
SLEEPS = ("imap-rest", "pipeline-deadline", "pregreet-")
PART = 3  # of the scenarios one is tried
STEP = {"canceled": 11, "late": 11, "memory": 997, "full": 3, "broken": 3}


def lot(*what):
    return zlib.crc32("-".join((os.environ.get("KURIR_SEED", "1"),) + what).encode())


def torture(number, kind, scenario, full):
    """Output of one scenario."""
    env = dict(os.environ, TMPDIR=path("."))
    if kind in OTHERS:
        env.update(LD_PRELOAD=path("nth.so"), KURIR_FAULT=Plan(str(number)).file, KURIR_FAULT_UNDER=path("kurir-scn-"))
    begin = lot(kind, os.path.basename(scenario)) % STEP[kind] + 1
    how = "%s:1:%d:%d" % (kind, 31 if kind == "memory" else 1, FULL) if full else "%s:%d:%d:%d" % (kind, begin, STEP[kind], SOME)
    try:
        return subprocess.run([RUN, "--torture", how, scenario], env=env, capture_output=True, text=True, errors="replace",
                              timeout=7200, check=False).stdout
    except subprocess.TimeoutExpired:
        return "# %s, %s: not within two hours\n" % (scenario, kind)


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--full", action="store_true")
    parse.add_argument("--only", default="")
    parse.add_argument("--kinds", default=",".join(WAITS if os.environ.get("SANITIZE_FLAGS") else WAITS + OTHERS))
    args = parse.parse_args()
    kinds = args.kinds.split(",")
    if not os.path.exists(RUN):
        skip_all("tests/scenario/run is not built")
    if set(kinds) & set(OTHERS) and not nth():
        skip_all("nth.c cannot be compiled")
    every = [s for s in sorted(glob.glob(os.path.join(SRC, "tests/scenario/*.scn"))) if re.search(args.only, s)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {kind: [pool.submit(torture, kinds.index(kind) * len(every) + i, kind, s, args.full)
                       for i, s in enumerate(every) if (kind != "late" or not any(name in s for name in SLEEPS)) and (args.full or args.only or lot(os.path.basename(s), kind) % PART == 0)] for kind in kinds}
        for kind, jobs in runs.items():
            said = "".join(j.result() for j in jobs)
            failures = sum(int(n) for n in re.findall(r": (\d+) failures,", said))
            bad = [line for line in said.splitlines() if line.startswith("# ") or line.startswith("not ok")]
            check(not bad and len(re.findall("^ok", said, re.M)) == len(jobs),
                  "%s: %d failures in %d scenarios are borne" % (kind, failures, len(jobs)),
                  *["%.700s" % b for b in bad if b.startswith("# ")][:20])
    done()


main()
