#!/usr/bin/env python3
"""Each role is killed at random, and the supervisor as well, while 50 sessions send; no mail that was acknowledged is
lost, and what comes twice was under way when somebody was killed.

    kill.py [--seconds N] [--seed S] [--sessions N] [--store maildir|sqlite]"""
import argparse
import os
import random
import re
import signal
import statistics
import time

from datetime import datetime, timezone

from faultlib import ROLES, WAIT, Far, Load, Near, judge
from netlib import check, done, equal, path, wait_until

YOUNG = 1.2  # seconds: who dies younger than a second twice waits before the next start, as said in kurird(8)
WINDOW = 5.0  # seconds around a kill, for a loaded machine; what was measured is printed
BACK = re.compile(r"(\S+)Z \S+ kurird \S*: (\w+)-0 is back as process (\d+)")
SUPERVISOR = "supervisor"


class Victims:
    def __init__(self, near, rng):
        self.near, self.rng = near, rng
        self.kills = []  # (when, role)
        self.took = {role: [] for role in ROLES + (SUPERVISOR,)}
        self.met()

    def met(self):
        self.pids = wait_until(lambda: (lambda p: p if set(ROLES) <= set(p) else None)(self.near.pids()), WAIT, "all are ready")
        self.since = dict.fromkeys(ROLES, time.time())

    def hear(self):
        """What the log says about those who are back."""
        for line in self.near.lines():
            m = BACK.match(line)
            if m:
                when = datetime.fromisoformat(m.group(1)).replace(tzinfo=timezone.utc).timestamp()
                self.pids[m.group(2)], self.since[m.group(2)] = int(m.group(3)), when

    def some(self):
        """One role, now and then two at once."""
        old = [r for r in ROLES if time.time() - self.since[r] > YOUNG]
        return self.rng.sample(old, min(len(old), 2 if self.rng.random() < 0.2 else 1))

    def kill(self, roles):
        before = {r: self.pids[r] for r in roles}
        at = {}
        for r in roles:
            at[r] = time.time()
            os.kill(self.pids[r], signal.SIGKILL)
            self.kills.append((at[r], r))

        def back():
            self.hear()
            return all(self.pids[r] != before[r] for r in roles)
        wait_until(back, WAIT, "%s back" % " and ".join(roles))
        for r in roles:
            self.took[r].append(self.since[r] - at[r])

    def kill_supervisor(self):
        """As by systemd: it is started again as soon as it has ended."""
        self.hear()
        at = time.time()
        self.near.child.kill()
        self.near.child.wait()
        self.kills.append((at, SUPERVISOR))
        os.rename(path(self.near.log), path("%s.%d" % (self.near.log, len(self.kills))))
        self.near.start()
        self.took[SUPERVISOR].append(time.time() - at)
        self.met()

    def go_on(self, seconds):
        end = time.monotonic() + seconds
        turns = iter(lambda: self.rng.choice((None,) * 19 + (SUPERVISOR,)), 0)
        first = [SUPERVISOR] + [[r] for r in ROLES]  # everybody at least once
        self.rng.shuffle(first)
        while first or time.monotonic() < end:
            time.sleep(self.rng.uniform(0.05, 0.6))
            if time.monotonic() > end + WAIT:
                raise AssertionError("there is no end")
            who = first.pop() if first else next(turns)
            if who == SUPERVISOR:
                self.kill_supervisor()
            else:
                who = who or self.some()
                wait_until(lambda w=who: all(time.time() - self.since[r] > YOUNG for r in w), WAIT, "they are old enough")
                self.kill(who)


def window(copies, kills):
    """Each copy was under way when somebody was killed whose memory of it is needed."""
    moments = [when for when, role in kills if role in ("queue", "relay", SUPERVISOR)]
    off = []
    for name, came in copies.items():
        for first in sorted(came)[:-1]:
            off.append((min((when - first for when in moments), key=abs, default=999), name))
    if off:
        print("# a first copy came from %.3f s before to %.3f s after a kill" % (max(max(off)[0], 0), -min(min(off)[0], 0)))
    check(all(abs(o) <= WINDOW for o, _ in off), "%d came twice at the far server, each within the window" % len(off),
          [o for o in off if abs(o[0]) > WINDOW][:20])
    return len(off)


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--seconds", type=float, default=10)
    parse.add_argument("--sessions", type=int, default=50)
    parse.add_argument("--seed", default=os.environ.get("KURIR_SEED") or str(random.randrange(10 ** 6)))
    parse.add_argument("--store", default="maildir", choices=("maildir", "sqlite"))
    args = parse.parse_args()
    print("# seed %s, %g seconds, %d sessions" % (args.seed, args.seconds, args.sessions), flush=True)
    far = Far()
    near = Near(far, store=args.store)
    load = Load(near, args.sessions, imap=args.sessions // 10, seed=args.seed)
    victims = Victims(near, random.Random("kill-" + args.seed))
    try:
        victims.go_on(args.seconds)
        before = load.total()
        wait_until(lambda: load.total() > before + args.sessions, WAIT, "mail is taken")
        check(True, "%d kills, and mail is taken" % len(victims.kills))
    except AssertionError as e:
        check(False, str(e), near.text()[-3000:])
    load.stop()
    copies = judge(near, far, load)
    twice = window(copies, victims.kills)
    for role, took in victims.took.items():
        if took:
            print("# %-10s killed %3d times, back after %.3f s (median), %.3f s (longest)"
                  % (role, len(took), statistics.median(took), max(took)))
    print("# %d acknowledged, %d kills, %d duplicates" % (load.total(), len(victims.kills), twice))
    check(not [k for k in load.answers if "hangs" in k or re.search(r" 5\d\d", k)], "no session hung or was told 5xx",
          load.answers)
    logs = "".join(open(path(name), errors="replace").read() for name in os.listdir(path("")) if name.startswith(near.log))
    check(not re.search("assert|Sanitizer|runtime error", logs), "nothing broke by itself",
          "\n".join(line for line in logs.splitlines() if re.search("assert|Sanitizer|runtime error", line))[:3000])
    for s in (near, far):
        equal(s.stop(), 0, s.name + " ends well")
    done()


main()
