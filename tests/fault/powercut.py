#!/usr/bin/env python3
"""250 means kept: cuts the power at many points of a recorded load, and looks for what was acknowledged.

    powercut.py [--cuts N] [--seed S] [--messages M] [--disk strict|ordered] [--server kurir|postfix|dovecot]
                [--store maildir|sqlite] [--lie none|sync|file|folder] [--jobs J] [--keep FOLDER]

The unmodified server runs on the file system of recorder.c; clients note each 250 in the recording as soon as they
have read it. Then the disk is rebuilt as it could look after a cut (disk.py), a server is started on it, and when its
queue is empty every message that was acknowledged before the cut has to be in its mailboxes, exactly as it was
sent. With a lie the barriers of that sort are left out of the recording, and losses have to be found.

Strict is a disk that keeps no more than POSIX promises; ordered one like ext4 and xfs. The others than Kurir are
there to be compared with; powerpeers.py knows how they are run."""
import argparse
import glob
import hashlib
import multiprocessing
import os
import random
import re
import shutil
import smtplib
import sqlite3
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import netlib
from netlib import BUILD, Server, check, done, free_port, path, skip_all, wait_until

import disk

STORE = "maildir"
NEAR = ["hyd@satu.example", "siti@satu.example"]
LATE = "paijo@dua.example"  # nobody answers there during the load
HERE = os.path.dirname(os.path.abspath(__file__))
RECORDER, SHIM = path("recorder"), path("shim.so")
BEGIN = b"begin"  # the mark before which nothing is cut
SYNC = 1500  # microseconds that a sync takes


class Mill(Server):
    def __init__(self, name, home, domains, **more):
        self.port = free_port()
        modules = {"smtp": {"relay-networks": ["127.0.0.0/8"]},
                   "accounts": {"domains": domains, "mailboxes": [a for a in NEAR + [LATE] if a.split("@")[1] in domains]},
                   "route_local": {}, "relay_smtp": {}, "bounce": {},
                   "queue_journal": {"retry": ["1s"], "segment-size": "1M", "inline-size": "16K",
                                     "scan-interval": "200ms"},
                   "store_" + STORE: {"root": os.path.join(home, "boxes"),
                                      **({"shards": 2, "segment-size": "1M"} if STORE == "sqlite" else {})}}
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


class Kurir:
    """What the mill asks of a server."""
    protocol = smtplib.SMTP
    options = []  # for FUSE

    def __init__(self):
        self.mount = path("mount")
        os.mkdir(self.mount)

    def begin(self):
        """For the load: near ones are delivered, late ones wait."""
        os.environ.update(LD_PRELOAD=SHIM, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        self.server = Mill("load", self.mount, ["satu.example"])
        del os.environ["LD_PRELOAD"]
        self.port = self.server.port

    def settle(self, late):
        wait_until(lambda: self.server.ledger()["queued"] == late, 60, "all but %d are delivered" % late)

    def end(self):
        self.server.stop()

    def text(self):
        return self.server.text()

    def home(self):
        """A new folder for a disk."""
        return tempfile.mkdtemp(prefix="cut-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)

    def recover(self, home, faults):
        """Starts on it, delivers all that is there, and stops; what it logged."""
        server = Mill(os.path.basename(home), home, ["satu.example", "dua.example"])
        try:
            wait_until(lambda: server.ledger()["queued"] == 0, 120, "the queue is empty")
            sums = server.ledger()
            if sums["accepted"] != sums["delivered"] + sums["bounced"] + sums["cancelled"] + sums["queued"]:
                faults.append("the ledger does not balance: %s" % sums)
            if sums["cancelled"] or sums["bounced"]:
                faults.append("something was given up: %s" % sums)
            server.stop()
        except (AssertionError, OSError) as e:
            faults.append(str(e))
            server.child.kill()
            server.child.wait()
        return server.text()

    def kept(self, home):
        """Numbers of mails that are queued still, and need be in no mailbox."""
        return ()


def give(c, text, to):
    """One mail; LMTP answers for each recipient."""
    c.ehlo_or_helo_if_needed()
    said = [c.mail("you@tiga.example")] + [c.rcpt(one) for one in to]
    if all(code == 250 for code, _ in said):
        said.append(c.data(text))
    if isinstance(c, smtplib.LMTP):
        said += [c.getreply() for _ in to[1:]]
    if any(code != 250 for code, _ in said):
        raise smtplib.SMTPException("refused: %s" % said)


class Client(threading.Thread):
    def __init__(self, subject, seed, numbers):
        super().__init__(daemon=True)
        self.subject, self.seed, self.numbers = subject, seed, numbers
        self.error = None

    def run(self):
        try:
            with self.subject.protocol("127.0.0.1", self.subject.port, timeout=60) as c:
                for n in self.numbers:
                    give(c, *message(self.seed, n))
                    mark(self.subject.mount, "250 %d" % n)
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


def record(args, subject):
    """Runs the load; the recording."""
    backing, log = path("backing"), path("recording")
    os.mkdir(backing)
    os.chmod(backing, 0o755)
    made = subprocess.run([RECORDER, log, backing, str(SYNC), args.lie, subject.mount] + subject.options,
                          capture_output=True, text=True, check=False)
    if made.returncode:
        skip_all("no FUSE here: " + made.stderr.strip())
    try:
        subject.begin()
        clients = [Client(subject, args.seed, range(i, args.messages, 8)) for i in range(8)]
        for c in clients:
            c.start()
        for c in clients:
            c.join()
        check(not any(c.error for c in clients), "the load was taken", [c.error for c in clients], subject.text()[-1000:])
        subject.settle(sum(LATE in message(args.seed, n)[1] for n in range(args.messages)))
        subject.end()
    except (AssertionError, smtplib.SMTPException):
        print("#", "\n# ".join(subject.text()[-2000:].splitlines()))
        raise
    finally:
        subprocess.run(["fusermount3", "-u", "-z", subject.mount], check=False)
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
            # Dovecot's files for several recipients name none.
            to = head.group(1).decode() if head else os.path.basename(os.path.dirname(folder))
            if body:
                found.setdefault((int(body.group(1)), to), []).append(text[body.start():])
            else:
                strange.append("%s (%d bytes)" % (name, len(text)))
    return found, strange


def shards(home):
    """The same for store_sqlite; what kurir-store says against it is strange."""
    found, strange = {}, []
    for folder in glob.glob(os.path.join(home, "boxes/??")):
        with sqlite3.connect(os.path.join(folder, "index.db")) as db:
            for to, segment, offset, length in db.execute(
                    "SELECT a.name, b.segment, b.offset, b.length FROM message m JOIN email e ON e.id = m.email"
                    " JOIN blob b ON b.id = e.blob JOIN account a ON a.id = e.account"):
                with open(os.path.join(folder, "%016x.blob" % segment), "rb") as f:
                    f.seek(offset)
                    text = f.read(length)
                body = re.search(rb"^X-Mill: (\d+)", text, re.M)
                if body:
                    found.setdefault((int(body.group(1)), to), []).append(text[body.start():])
                else:
                    strange.append("at %d of segment %016x" % (offset, segment))
    tool = subprocess.run([os.path.join(BUILD, "kurir-store"), os.path.join(home, "boxes"), "check"], capture_output=True,
                          text=True, check=False)
    if tool.returncode:
        strange += (tool.stdout + tool.stderr).splitlines()
    return found, strange


def judge(seed, home, acknowledged):
    found, strange = (shards if STORE == "sqlite" else mailboxes)(home)
    faults = ["not a mail: " + s for s in strange]
    for n in sorted(acknowledged):
        faults += ["mail %d to %s is lost" % (n, to) for to in message(seed, n)[1] if (n, to) not in found]
    for (n, to), texts in found.items():
        want = message(seed, n)[0].encode().replace(b"\r\n", b"\n")
        faults += ["mail %d to %s is not what was sent" % (n, to) for t in texts if t.replace(b"\r\n", b"\n") != want]
    return faults, sum(len(t) - 1 for t in found.values())


def recover(job):
    """One cut: faults, duplicates."""
    seed, position, tree, acknowledged, keep = job
    home = SUBJECT.home()
    faults, text, twice = [], "", 0
    try:
        disk.write_tree(tree, home)
        text = SUBJECT.recover(home, faults)
        if not faults:
            more, twice = judge(seed, home, set(acknowledged) - set(SUBJECT.kept(home)))
            faults += more
    except (AssertionError, OSError) as e:
        faults.append(str(e))
    if faults and keep:
        where = os.path.join(keep, "cut-%d" % position)
        shutil.rmtree(where, ignore_errors=True)
        os.makedirs(where)
        disk.write_tree(tree, where)
        with open(os.path.join(where, "log"), "w", encoding="utf-8") as f:
            f.write("\n".join(faults) + "\n" + text)
    shutil.rmtree(home, ignore_errors=True)
    return position, faults, twice


def cuts(args, records):
    """A job for each point, in order; several guesses at one point differ."""
    rng = random.Random("points-%s" % args.seed)
    first = max([i for i, r in enumerate(records) if r.kind == disk.MARK and r.data == BEGIN], default=0)
    points = sorted(rng.randint(first, len(records)) for _ in range(args.cuts))
    at, acknowledged, d = 0, [], disk.Disk(records, args.disk == "ordered")
    for i, point in enumerate(points):
        d.advance(point)
        for r in records[at:point]:
            if r.kind == disk.MARK and r.data != BEGIN:
                acknowledged.append(int(r.data.split()[1]))
        at = point
        yield args.seed, point, d.cut(random.Random("cut-%s-%d" % (args.seed, i))), list(acknowledged), args.keep


def server(name):
    """The one that goes through the mill."""
    if name == "kurir":
        return Kurir()
    import powerpeers
    return powerpeers.SERVERS[name]()


SUBJECT = None  # known to the processes of the pool, too


def main():
    global SUBJECT, STORE
    parse = argparse.ArgumentParser()
    parse.add_argument("--cuts", type=int, default=100)
    parse.add_argument("--messages", type=int, default=120)
    parse.add_argument("--seed", default=os.environ.get("KURIR_SEED", "1"))
    parse.add_argument("--disk", default="strict", choices=("strict", "ordered"))
    parse.add_argument("--server", default="kurir", choices=("kurir", "postfix", "dovecot"))
    parse.add_argument("--store", default=STORE, choices=("maildir", "sqlite"))
    parse.add_argument("--lie", default="none", choices=("none", "sync", "file", "folder"))
    parse.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parse.add_argument("--keep")
    args = parse.parse_args()
    STORE = args.store
    tools()
    SUBJECT = server(args.server)
    records = record(args, SUBJECT)
    digest = hashlib.sha256(b"".join(r.data for r in records)).hexdigest()[:8]
    print("# %s (store_%s), %s disk, seed %s, %d records (%s), %d cuts, lie %s"
          % (args.server, STORE, args.disk, args.seed, len(records), digest, args.cuts, args.lie), flush=True)
    bad = twice = lost = 0
    with multiprocessing.Pool(args.jobs) as pool:
        for position, faults, again in pool.imap_unordered(recover, cuts(args, records)):
            twice += again
            bad += bool(faults)
            lost += sum("lost" in f for f in faults)
            if faults and bad <= 10:
                print("# cut at record %d:" % position, *faults[:3], flush=True)
    acknowledged = sum(r.kind == disk.MARK and r.data != BEGIN for r in records)
    print("# %d messages acknowledged; %d cuts, %d with faults, %d mails lost in them; %d came twice"
          % (acknowledged, args.cuts, bad, lost, twice))
    if args.server != "kurir":
        check(True, "%s was put through the mill: %d of %d cuts with faults" % (args.server, bad, args.cuts))
    elif args.lie == "none":
        check(bad == 0, "after each of %d cuts everything that was acknowledged is there" % args.cuts, "%d are bad" % bad)
    else:
        check(bad > 0, "a lie about \"%s\" is found out" % args.lie)
    done()


if __name__ == "__main__":
    main()
