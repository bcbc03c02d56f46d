#!/usr/bin/env python3
"""A server in trouble while 20 sessions send: a full disk, a broken one, no descriptors, no memory. Meanwhile clients
hear 4xx; when it is cured the service is back without anybody's help, and nothing that was acknowledged is lost.

    trouble.py [--hold SECONDS] [--loop] [--only NAME] [--seed S]

The disk is a small tmpfs in a mount namespace of this test, with --loop an ext4 in a file (root only). Descriptors and
memory are taken by prlimit(2) from the running process of each role in turn; reading and writing are broken by nth.c,
for one sort of file at a time."""
import argparse
import errno
import os
import random
import re
import signal
import subprocess
import sys
import time

from faultlib import FAR, HYD, ROLES, SITI, WAIT, Far, Load, Near, Plan, judge, nth
from netlib import check, cleanup, done, equal, path, wait_until

SESSIONS = 20
DISK = 96 << 20  # for half a second of each trouble: what was sent stays there
PLENTY = {"nofile": 1024, "as": "unlimited"}
BEGUN = "KURIR_TROUBLE_MOUNTS"


def with_mounts():
    """This script again, in a mount namespace: what it mounts is gone when it ends, however it ends."""
    how = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if BEGUN in os.environ:
        return True
    try:
        if subprocess.run(how + ["true"], capture_output=True, check=False).returncode:
            return False
    except FileNotFoundError:
        return False
    os.environ[BEGUN] = "1"
    cleanup()
    os.execvp(how[0], how + [sys.executable, *sys.argv])
    return False


def small_disk(loop, size):
    """The folder, or None where nothing may be mounted."""
    if not with_mounts():
        return None
    where = path("disk")
    os.mkdir(where)
    if loop:
        image = path("image")
        with open(image, "wb") as f:
            f.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        mount = ["mount", "-o", "loop", image, where]
    else:
        mount = ["mount", "-t", "tmpfs", "-o", "size=%d,mode=755" % size, "tmpfs", where]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode:
        print("#", made.stderr.strip())
        return None
    os.makedirs(os.path.join(where, "satu"))
    return os.path.join(where, "satu")


class Trouble:
    def __init__(self, near, load, hold, plan):
        self.near, self.load, self.hold, self.plan = near, load, hold, plan
        self.before = None

    def said(self):
        """What clients heard since it began."""
        return self.load.answers - self.before

    def heard(self, pattern):
        return sum(n for k, n in self.said().items() if re.search(pattern, k))

    def run(self, name, part, *args, may_die=()):
        """One trouble: what part yields is the time of the cure."""
        pids = wait_until(lambda: self.near.all_ready() and self.near.pids(), WAIT, "all are ready")
        self.before = self.load.answers.copy()
        steps = part(self, *args)
        try:
            next(steps)
            cured = time.monotonic()
        finally:
            for _ in steps:
                pass
        there = self.load.total()
        wait_until(lambda: self.load.total() > there + SESSIONS and self.near.all_ready(), WAIT, "mail is taken again")
        wait_until(lambda: all(self.works(to) for to in (HYD, FAR, SITI)), WAIT, "it is delivered again")
        took = time.monotonic() - cured
        now = self.near.pids()
        dead = [r for r in ROLES if now[r] != pids[r] and r not in may_die]
        said = self.said()
        odd = [k for k in said if "hangs" in k or re.search(r" 5\d\d", k)]
        check(not dead and not odd, "%s: works again" % name, dead, odd, self.near.text()[-2000:])
        print("# %s: %.1f s after the cure %d more mails were taken; meanwhile: %s%s" % (
            name, took, SESSIONS, ", ".join("%s: %d" % (k, v) for k, v in sorted(said.items()) if "OK" not in k and "end 250" != k)
            or "no trouble to be heard", "; died: %s" % [r for r in ROLES if now[r] != pids[r]] if now != pids else ""), flush=True)

    def works(self, to):
        """The last one that was acknowledged lies where it belongs; no need to read it."""
        return len(self.load.acknowledged[to]) > 0 and self.near.queued() < 10 * SESSIONS


def full(t, filler):
    """Filled up again as often as something is given back."""
    with open(filler, "wb", buffering=0) as f:
        def fill():
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        f.write(bytes(size))
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise
            return t.heard("452") >= SESSIONS
        wait_until(fill, WAIT, "clients hear that the disk is full")
        end = time.monotonic() + t.hold
        wait_until(lambda: fill() and time.monotonic() > end, WAIT, "it has been full for long")
    os.unlink(filler)
    yield


def broken(t, only, error, heard):
    t.plan.arm(1, error, 2, only)
    try:
        end = time.monotonic() + t.hold
        wait_until(lambda: t.plan.hits > 0 and t.heard(heard) > 0 and time.monotonic() > end, WAIT, "it fails")
        yield
    finally:
        t.plan.disarm()


def soft_limit(pid, what, limit):
    """As the user of that process, who may do this everywhere.  It may be gone."""
    try:
        user = os.stat("/proc/%d" % pid)
        more = {"user": user.st_uid, "group": user.st_gid} if os.geteuid() == 0 else {}
        subprocess.run(["prlimit", "--pid", str(pid), "--%s=%s:" % (what, limit)], check=True, **more)
    except FileNotFoundError:
        pass
    except subprocess.CalledProcessError:
        if os.path.exists("/proc/%d" % pid):
            raise


def limited(t, role, what, limit):
    """Takes something from a running process; it gets it back if it still lives."""
    pids = dict(t.near.pids(), supervisor=t.near.status()["supervisor"])
    pid = pids[role]
    soft_limit(pid, what, limit(pid))
    if role == "supervisor":
        os.kill(pids["auth"], signal.SIGKILL)
    end = time.monotonic() + t.hold
    wait_until(lambda: time.monotonic() > end, WAIT, "it has lasted for long")
    soft_limit(pid, what, PLENTY[what])
    yield


def memory_now(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^VmSize:\s+(\d+)", f.read(), re.M).group(1)) * 1024


def troubles(t, disk, preload, only):
    def each(name, *args, **more):
        if not only or re.match(only, name):
            try:
                t.run(name, *args, **more)
            except AssertionError as e:
                check(False, "%s: %s" % (name, e), t.said(), t.near.text()[-3000:])

    if disk:
        each("disk full", full, os.path.join(os.path.dirname(disk), "filler"))
    else:
        check(True, "disk full # SKIP nothing may be mounted here")
    if preload:
        each("EIO in segments", broken, ".seg", errno.EIO, r"end 4\d\d")
        each("EIO in the state log", broken, "/queue/state.", errno.EIO, r"250")
        each("EIO in mailboxes", broken, "/boxes/", errno.EIO, r"APPEND")
        each("EIO everywhere", broken, "", errno.EIO, r"end 4\d\d")
    else:
        check(True, "EIO # SKIP nth.c cannot be compiled")
    for role in ROLES:
        each("EMFILE in %s" % role, limited, role, "nofile", lambda pid: 3)
    each("EMFILE in the supervisor", limited, "supervisor", "nofile", lambda pid: 3, may_die=["auth"])
    for role in ROLES:
        each("ENOMEM in %s" % role, limited, role, "as", memory_now, may_die=[role])


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--hold", type=float, default=0.5)
    parse.add_argument("--loop", action="store_true")
    parse.add_argument("--only")
    parse.add_argument("--seed", default=os.environ.get("KURIR_SEED") or str(random.randrange(10 ** 6)))
    args = parse.parse_args()
    disk = small_disk(args.loop, int(DISK * max(1, 2 * args.hold)))
    print("# seed %s" % args.seed, flush=True)
    preload = nth()
    far = Far()
    plan = Plan("plan")
    if preload:
        os.environ.update(LD_PRELOAD=path("nth.so"), KURIR_FAULT=plan.file, KURIR_FAULT_UNDER=disk or path("satu"))
    near = Near(far, files=disk, queue={"segment-size": "1M", "inline-size": "16K", "scan-interval": "200ms"})
    for name in ("LD_PRELOAD", "KURIR_FAULT", "KURIR_FAULT_UNDER"):
        os.environ.pop(name, None)
    load = Load(near, SESSIONS, imap=4, pause=0.2, size=40000, seed=args.seed)
    t = Trouble(near, load, args.hold, plan)
    wait_until(lambda: load.total() > SESSIONS, WAIT, "mail is taken")
    troubles(t, disk, preload, args.only)
    load.stop()
    judge(near, far, load)
    check(not re.search("Sanitizer|runtime error", near.text()), "nothing broke by itself", near.text()[-3000:])
    for s in (near, far):
        equal(s.stop(), 0, s.name + " ends well")
    done()


main()
