#!/usr/bin/env python3
"""250 means kept: cuts the power at many points of a recorded load, and looks for what was acknowledged.

    powercut.py [--cuts N] [--seed S] [--messages M] [--lie none|sync|file|folder] [--jobs J] [--keep FOLDER]

The unmodified kurird runs on the file system of recorder.c; clients note each 250 in the recording as soon as they
have read it. Then the disk is rebuilt as it could look after a cut (disk.py), a kurird is started on it, and when its
queue is empty every message that was acknowledged before the cut has to be in its mailboxes, exactly as it was
sent. With a lie the barriers of that sort are left out of the recording, and losses have to be found."""
import argparse
import hashlib
import multiprocessing
import os
import random
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import netlib
from netlib import BUILD, Server, check, done, free_port, path, skip_all, wait_until

import disk

NEAR = ["hyd@satu.example", "siti@satu.example"]
LATE = "paijo@dua.example"  # nobody answers there during the load
HERE = os.path.dirname(os.path.abspath(__file__))
RECORDER, SHIM = path("recorder"), path("shim.so")
SYNC = 1500  # microseconds that a sync takes


class Mill(Server):
    def __init__(self, name, home, domains, **more):
        self.port = free_port()
        modules = {"smtp": {"relay-networks": ["127.0.0.0/8"]},
                   "accounts": {"domains": domains, "mailboxes": [a for a in NEAR + [LATE] if a.split("@")[1] in domains]},
                   "route_local": {}, "relay_smtp": {}, "bounce": {},
                   "queue_journal": {"retry": ["1s"], "segment-size": "1M", "inline-size": "16K",
                                     "scan-interval": "200ms"},
                   "store_maildir": {"root": os.path.join(home, "boxes")}}
        if "dua.example" not in domains:
            modules["route_static"] = {"routes": {"dua.example": "smtp:[127.0.0.1]:1"}}
        super().__init__(modules, name=name, state=os.path.join(home, "state"),
                         listeners={"mx": {"protocol": "smtp", "address": "127.0.0.1:%d" % self.port, "tls": "none",
                                           "pipeline": "in"}}, pipelines={"in": ["accounts"]}, **more)

    def start(self):
        self.more["modules"] = self.modules
        super().start()

    def ledger(self):
        answer = self.ctl("ledger")
        return answer.get("data", answer)


def message(seed, number):
    """Text and recipients of one mail, always the same."""
    rng = random.Random("%s-%s" % (seed, number))
    size = rng.choice((10, 300, 2000, 2000, 5000, 14000, 40000))
    lines = "".join("%060x\r\n" % rng.getrandbits(240) for _ in range(size // 62 + 1))
    to = rng.choice(([NEAR[0]], [NEAR[1]], NEAR, [LATE], [NEAR[0], LATE]))
    return "X-Mill: %d\r\nSubject: mill\r\n\r\n%send %d\r\n" % (number, lines, number), to


def mark(mount, text):
    with open(os.path.join(mount, ".mark"), "wb", buffering=0) as f:
        f.write(text.encode())


class Client(threading.Thread):
    def __init__(self, server, mount, seed, numbers):
        super().__init__(daemon=True)
        self.server, self.mount, self.seed, self.numbers = server, mount, seed, numbers
        self.error = None

    def run(self):
        try:
            with smtplib.SMTP("127.0.0.1", self.server.port, timeout=60) as c:
                for n in self.numbers:
                    text, to = message(self.seed, n)
                    if c.sendmail("you@tiga.example", to, text):
                        raise smtplib.SMTPException("a recipient was refused")
                    mark(self.mount, "250 %d" % n)
        except (OSError, smtplib.SMTPException) as e:
            self.error = repr(e)


def tools():
    """Makes recorder and shim, without sanitizers: the one is no part of the server, the other goes into it."""
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True, check=False)
    if flags.returncode:
        skip_all("libfuse3-dev or pkg-config is not installed")
    if not os.path.exists("/dev/fuse"):
        skip_all("there is no /dev/fuse here")
    cc = os.environ.get("CC", "cc").split() + ["-O1", "-g", "-Wall", "-Wextra", "-I", HERE]
    subprocess.run(cc + [HERE + "/recorder.c", "-o", RECORDER] + flags.stdout.split(), check=True)
    subprocess.run(cc + ["-shared", "-fPIC", HERE + "/shim.c", "-o", SHIM], check=True)


def record(args):
    """Runs the load; the recording."""
    mount, backing, log = path("mount"), path("backing"), path("recording")
    os.mkdir(mount)
    os.mkdir(backing)
    done_ = subprocess.run([RECORDER, log, backing, str(SYNC), args.lie, mount], capture_output=True, text=True, check=False)
    if done_.returncode:
        skip_all("no FUSE here: " + done_.stderr.strip())
    try:
        os.environ.update(LD_PRELOAD=SHIM, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        server = Mill("load", mount, ["satu.example"])
        del os.environ["LD_PRELOAD"]
        clients = [Client(server, mount, args.seed, range(i, args.messages, 8)) for i in range(8)]
        for c in clients:
            c.start()
        for c in clients:
            c.join()
        check(not any(c.error for c in clients), "the load was taken", [c.error for c in clients], server.text()[-1000:])
        late = sum(LATE in message(args.seed, n)[1] for n in range(args.messages))
        wait_until(lambda: server.ledger()["queued"] == late, 60, "all but %d are delivered" % late)
        server.stop()
    finally:
        subprocess.run(["fusermount3", "-u", "-z", mount], check=False)
    return disk.read_log(log)


def mailboxes(home):
    """{(number, recipient): [content...]} and the files that are none of ours."""
    found, strange = {}, []
    for folder, _, files in os.walk(os.path.join(home, "boxes")):
        if os.path.basename(folder) not in ("new", "cur"):
            continue
        for name in files:
            with open(os.path.join(folder, name), "rb") as f:
                text = f.read()
            head = re.search(rb"^Delivered-To: (\S+)", text, re.M)
            body = re.search(rb"^X-Mill: (\d+)", text, re.M)
            if head and body:
                found.setdefault((int(body.group(1)), head.group(1).decode()), []).append(text[body.start():])
            else:
                strange.append("%s (%d bytes)" % (name, len(text)))
    return found, strange


def judge(seed, home, acknowledged):
    found, strange = mailboxes(home)
    faults = ["not a mail: " + s for s in strange]
    for n in acknowledged:
        faults += ["mail %d to %s is lost" % (n, to) for to in message(seed, n)[1] if (n, to) not in found]
    for (n, to), texts in found.items():
        want = message(seed, n)[0].encode().replace(b"\r\n", b"\n")
        faults += ["mail %d to %s is not what was sent" % (n, to) for t in texts if t.replace(b"\r\n", b"\n") != want]
    return faults, sum(len(t) - 1 for t in found.values())


def recover(job):
    """One cut: faults, duplicates."""
    seed, position, tree, acknowledged, keep = job
    home = tempfile.mkdtemp(prefix="cut-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    name, server, faults, twice = os.path.basename(home), None, [], 0
    try:
        disk.write_tree(tree, home)
        server = Mill(name, home, ["satu.example", "dua.example"])
        wait_until(lambda: server.ledger()["queued"] == 0, 20, "the queue is empty")
        sums = server.ledger()
        if sums["accepted"] != sums["delivered"] + sums["bounced"] + sums["cancelled"] + sums["queued"]:
            faults.append("the ledger does not balance: %s" % sums)
        if sums["cancelled"] or sums["bounced"]:
            faults.append("something was given up: %s" % sums)
        server.stop()
        more, twice = judge(seed, home, acknowledged)
        faults += more
    except (AssertionError, OSError) as e:
        faults.append(str(e))
    if faults and keep:
        where = os.path.join(keep, "cut-%d" % position)
        shutil.rmtree(where, ignore_errors=True)
        disk.write_tree(dict({"": None}, **tree), where)
        with open(os.path.join(where, "log"), "w", encoding="utf-8") as f:
            f.write("\n".join(faults) + "\n" + (server.text() if server else ""))
    if server and server.child.poll() is None:
        server.child.kill()
        server.child.wait()
    shutil.rmtree(home, ignore_errors=True)
    return position, faults, twice


def cuts(args, records):
    """A job for each point, in order; several guesses at one point differ."""
    rng = random.Random("points-%s" % args.seed)
    points = sorted(rng.randint(0, len(records)) for _ in range(args.cuts))
    at, acknowledged, d = 0, [], disk.Disk(records)
    for i, point in enumerate(points):
        d.advance(point)
        for r in records[at:point]:
            if r.kind == disk.MARK:
                acknowledged.append(int(r.data.split()[1]))
        at = point
        yield args.seed, point, d.cut(random.Random("cut-%s-%d" % (args.seed, i))), list(acknowledged), args.keep


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--cuts", type=int, default=100)
    parse.add_argument("--messages", type=int, default=120)
    parse.add_argument("--seed", default=os.environ.get("KURIR_SEED", "1"))
    parse.add_argument("--lie", default="none", choices=("none", "sync", "file", "folder"))
    parse.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parse.add_argument("--keep")
    args = parse.parse_args()
    tools()
    records = record(args)
    digest = hashlib.sha256(b"".join(r.data for r in records)).hexdigest()[:8]
    print("# seed %s, %d records (%s), %d cuts, lie %s" % (args.seed, len(records), digest, args.cuts, args.lie), flush=True)
    bad = twice = acknowledged = 0
    with multiprocessing.Pool(args.jobs) as pool:
        for position, faults, again in pool.imap_unordered(recover, cuts(args, records)):
            twice += again
            bad += bool(faults)
            if faults and bad <= 10:
                print("# cut at record %d:" % position, *faults[:3], flush=True)
    acknowledged = sum(r.kind == disk.MARK for r in records)
    print("# %d messages acknowledged; %d cuts, %d with faults; %d came twice" % (acknowledged, args.cuts, bad, twice))
    if args.lie == "none":
        check(bad == 0, "after each of %d cuts everything that was acknowledged is there" % args.cuts, "%d are bad" % bad)
    else:
        check(bad > 0, "a lie about \"%s\" is found out" % args.lie)
    done()


if __name__ == "__main__":
    main()
