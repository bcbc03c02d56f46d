#!/usr/bin/env python3
"""Reload under load: again and again a new generation takes over, each with other modules in its pipeline, at times with a newly
installed program, while sessions are open. No transaction is aborted, and the supervisor grows by nothing.

    reload.py [--reloads N] [--swaps N] [--sessions N] [--hold SECONDS] [--seed S]

A swap is what a package manager does: each file (program, library, modules) is replaced by rename(2), then comes a
reload. Every process of the new generation must run the new files, each file of them."""
import argparse
import glob
import json
import os
import random
import re
import shutil
import time

from faultlib import WAIT, Far, Load, Near, judge
import netlib
from netlib import BUILD, check, done, equal, path, wait_until, write

DRAIN = 300  # seconds: the preset of limits/drain
# Bytes of the supervisor's own memory, over any number of reloads: it keeps what the most generations at a time
# have needed.
GROWTH = 2 << 20
# Between two transactions a session may be told to come again.
ALLOWED = re.compile(r"(greeting|EHLO|MAIL|QUIT|idle) (421|cut)$|end 250$|APPEND end OK$|(LOGIN|SELECT|APPEND|LOGOUT) cut$")


def installed():
    """{where it is installed: where it was built}"""
    inst = path("inst")
    files = {os.path.join(inst, "sbin/kurird"): os.path.join(BUILD, ".libs/kurird")}
    for so in glob.glob(os.path.join(BUILD, "core/.libs/libkurir.so.[0-9]")):
        files[os.path.join(inst, "lib/kurir", os.path.basename(so))] = os.path.realpath(so)
    for so in glob.glob(os.path.join(BUILD, ".libs/*.so")):
        files[os.path.join(inst, "lib/kurir", os.path.basename(so))] = so
    return files


def install(files):
    for there, built in files.items():
        os.makedirs(os.path.dirname(there), exist_ok=True)
        shutil.copy(built, there + ".new")
        os.chmod(there + ".new", 0o755)
        os.rename(there + ".new", there)


def runs(pid, files):
    """Which of the files a process has mapped, as they lie there now; and faults."""
    seen, faults = set(), []
    with open("/proc/%d/maps" % pid) as f:
        for line in f:
            part = line.split(None, 5)
            if len(part) == 6 and part[5].startswith(path("inst")):
                name = part[5].strip()
                if name in files and os.stat(name).st_ino == int(part[4]):
                    seen.add(name)
                else:
                    faults.append("%d has %s" % (pid, name))
    if os.path.join(path("inst"), "sbin/kurird") not in seen or not any("libkurir" in s for s in seen):
        faults.append("%d does not run the program that is installed: %s" % (pid, seen))
    return seen, faults


class Supervisor:
    def __init__(self, near):
        self.near, self.pid = near, near.status()["supervisor"]

    def settled(self):
        """No older generation is there any more."""
        def alone():
            s = self.near.status()
            return s["processes"] and {p["generation"] for p in s["processes"]} == {s["generation"]} and self.near.all_ready()
        wait_until(alone, DRAIN + WAIT, "older generations have ended")

    def size(self):
        with open("/proc/%d/status" % self.pid) as f:
            memory = int(re.search(r"^RssAnon:\s+(\d+)", f.read(), re.M).group(1)) * 1024
        return len(os.listdir("/proc/%d/fd" % self.pid)), memory


def pipelines():
    """What modules there are besides, and in which order they are asked with "accounts"; also in processes of their own."""
    script = write("mark.lua", 'function data(tx) tx:header("X-Lua", "x") end\n')
    headers, lua = {"headers": {"add": {"X-Set": "x"}}}, {"lua": {"script": script}}
    apart = {"lua": {"script": script, "isolation": "process"}}
    return (({}, ["accounts"]), (headers, ["headers", "accounts"]), (lua, ["accounts", "lua"]), (apart, ["lua", "accounts"]),
            (dict(headers, **apart), ["headers", "accounts", "lua"]), (dict(lua, pregreet={"wait": "10ms"}), ["pregreet", "lua", "accounts"]))


def change(near, modules, pipeline):
    """Another set of modules, from the next reload on: what a session uses may be gone then."""
    with open(near.conf, encoding="utf-8") as f:
        conf = json.load(f)
    conf["modules"] = dict(near.modules, **modules)
    conf["pipelines"]["in"] = pipeline
    write(os.path.basename(near.conf), json.dumps(conf))


def reload(near, faults, which=None):
    """True once the new generation serves."""
    change(near, *(which or random.choice(pipelines())))
    answer = near.ctl("reload")
    if "serving" not in str(answer):
        faults.append("reload: %s" % answer)


def swap(near, files, faults):
    install(files)
    reload(near, faults)
    wait_until(near.all_ready, WAIT, "all of the new generation are ready")
    all_seen = set()
    for pid in near.pids().values():
        seen, more = runs(pid, files)
        all_seen |= seen
        faults += more
    missing = {n for n in files if os.path.basename(n)[:-3] in near.modules} - all_seen
    if missing:
        faults.append("nobody runs %s" % missing)


def broken_swaps(near, files):
    """What cannot run is refused, and all goes on; also when somebody has to be started again meanwhile."""
    program = os.path.join(path("inst"), "sbin/kurird")
    generation = near.status()["generation"]
    os.rename(program, program + ".away")
    os.kill(near.pids()["auth"], 9)
    wait_until(near.all_ready, WAIT, "a role is back while no program is installed")
    check(near.status()["generation"] == generation, "a role is started again while no program is installed")
    with open(program, "w") as f:
        f.write("#!/bin/false\n")
    os.chmod(program, 0o755)
    answer = near.ctl("reload")
    check("error" in answer and near.status()["generation"] == generation, "a program that fails is refused", answer)
    os.rename(program + ".away", program)
    library = next(n for n in files if "libkurir.so" in n)
    os.rename(library, library + ".away")
    answer = near.ctl("reload")
    check("error" in answer and near.status()["generation"] == generation, "so is one without its library", answer)
    os.rename(library + ".away", library)
    faults = []
    reload(near, faults)
    check(not faults, "and when all is in its place again the reload is done", faults)


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--reloads", type=int, default=24)
    parse.add_argument("--swaps", type=int, default=2)
    parse.add_argument("--sessions", type=int, default=100)
    parse.add_argument("--hold", type=float, default=1.0)
    parse.add_argument("--seed", default=os.environ.get("KURIR_SEED") or str(random.randrange(10 ** 6)))
    args = parse.parse_args()
    print("# seed %s, %d reloads, %d swaps, %d sessions" % (args.seed, args.reloads, args.swaps, args.sessions), flush=True)
    random.seed(args.seed)
    far = Far()
    files = installed()
    install(files)
    netlib.KURIRD, netlib.BUILD = os.path.join(path("inst"), "sbin/kurird"), os.path.join(path("inst"), "lib/kurir")
    os.environ["LD_LIBRARY_PATH"] = netlib.BUILD
    near = Near(far)
    load = Load(near, args.sessions, imap=10, hold=args.hold, pause=args.hold, seed=args.seed)
    supervisor, faults, began = Supervisor(near), [], time.monotonic()
    warm = max(3, args.reloads // 10)
    swaps = {args.reloads * (i + 1) // (args.swaps + 1) for i in range(args.swaps)}
    least = args.sessions
    before = (0, 0)
    try:
        wait_until(lambda: load.total() > args.sessions, WAIT, "mail is taken")
        for n in range(args.reloads):
            if n == warm:
                reload(near, faults, pipelines()[0])  # as many processes as at the end
                supervisor.settled()
                before = supervisor.size()
            if n in swaps:
                swap(near, files, faults)
                print("# after %d reloads: %d descriptors, %d KiB, %.0f s" % (
                    (n + 1, supervisor.size()[0], supervisor.size()[1] // 1024, time.monotonic() - began)), flush=True)
            else:
                reload(near, faults)
            least = min(least, load.open)
        took = time.monotonic() - began
        reload(near, faults, pipelines()[0])
        check(not faults, "%d reloads and %d swaps, each done" % (args.reloads, args.swaps), *faults[:20])
        supervisor.settled()
        after = supervisor.size()
        print("# %.0f ms a reload; at least %d sessions open; supervisor: %d descriptors before, %d after; %d KiB before, %d after"
              % (1000 * took / args.reloads, least, before[0], after[0], before[1] // 1024, after[1] // 1024))
        equal(after[0], before[0], "the supervisor has as many descriptors as before")
        check(after[1] <= before[1] + GROWTH, "and as much memory", before, after)
        broken_swaps(near, files)
        equal(supervisor.pid, near.status()["supervisor"], "it is the same supervisor")
    except AssertionError as e:
        check(False, str(e), near.text()[-3000:])
    load.stop()
    twice = judge(near, far, load)
    check(not [k for k in load.answers if not ALLOWED.match(k)], "no transaction was aborted", load.answers)
    print("# %d came twice at the far server" % len(twice))
    check(all(max(times) - min(times) < 5 for times in twice.values()), "what did was cut off in the middle of its attempt", twice)
    check(not re.search("assert|Sanitizer|runtime error", near.text()), "nothing broke by itself", near.text()[-3000:])
    for s in (near, far):
        equal(s.stop(), 0, s.name + " ends well")
    done()


main()
