#!/usr/bin/env python3
"""What a module can do wrong, at each point of the pipeline, while a hundred sessions are open: in a process of its own, where nothing
but its own calls suffers; and in the server's, where the role begins again and no acknowledged mail is lost.

faults.py --full: each fault at each point, and a table of it in Markdown."""
import os
import re
import smtplib
import sys
import time

from mailboxlib import USERS, Gate, tls
from netlib import check, done, equal, wait_until

WAYS = ("crash", "spin", "block", "leak", "flood", "corrupt", "nonsense", "late", "close", "fork")
POINTS = ("connect", "helo", "auth", "mail", "rcpt", "data", "message", "done", "closed")
TOLD = ("done", "closed")  # points that only hear what has been decided
HARMLESS = ("flood", "fork")  # what is written too often is cut; no process may be begun
ROLES = ("edge", "queue", "resolver", "relay", "store", "access", "auth", "control", "worker")
SANITIZED = bool(os.environ.get("SANITIZE_FLAGS"))
FULL = "--full" in sys.argv
OPEN = 100
BOUNDED = [(w, "mail") for w in WAYS] + [("crash", p) for p in POINTS if p != "mail"] + [("late", "message"), ("close", "rcpt")]
SANDBOX = {"sandbox": "required", "users": {r: 64500 + n for n, r in enumerate(ROLES)}} if os.geteuid() == 0 else {}


def possible(way, point):
    """Memory cannot be bounded under a sanitizer, nor can its sandbox be closed; who only hears cannot be late, or say anything."""
    return not (SANITIZED and way in ("leak", "fork")) and not (point in TOLD and way in ("late", "nonsense"))


class Faulty(Gate):
    def __init__(self, isolated):
        how = {"isolation": "process", "memory": "300M"} if isolated else {}
        super().__init__({"hooks_fault": dict(how, deadline="1s"), "queue_journal": {"retry": ["1s"]}}, ["hooks_fault", "accounts"],
                         name="isolated" if isolated else "within", single=False, **SANDBOX)
        self.isolated, self.accepted, self.serial = isolated, [], 0

    def start(self):
        self.more["limits"].update({"silence": "2s"}, **({} if SANITIZED else {"memory": "1G"}))
        super().start()

    def restarts(self):
        return {p["role"]: p["restarts"] for p in self.ctl("status")["processes"]}

    def story(self, peer, log_in=False):
        """[(point, code)] until the server refuses or the connection is lost, which is 0."""
        self.serial += 1
        subject = "%s-%d" % (self.name, self.serial)
        said, at = [], "connect"
        try:
            c = smtplib.SMTP(timeout=60, source_address=(peer, 0))
            c._host = "127.0.0.1"  # pylint: disable=protected-access  # what its certificate is to say
            said.append((at, c.connect("127.0.0.1", self.port["submission" if log_in else "mx"])[0]))
            steps = [("helo", lambda: c.ehlo("klien.example"))]
            if log_in:
                steps += [("auth", lambda: (c.starttls(context=tls()), c.login("hyd@satu.example", USERS["hyd@satu.example"]))[1])]
            steps += [("mail", lambda: c.mail("hyd@satu.example" if log_in else "you@dua.example")), ("rcpt", lambda: c.rcpt("hyd@satu.example")),
                      ("data", lambda: c.docmd("DATA")),
                      ("message", lambda: (c.send("Subject: %s\r\n\r\n%s\r\n.\r\n" % (subject, subject * 50)), c.getreply())[1])]
            for at, step in steps:
                if said[-1][1] >= 400:
                    break
                try:
                    said.append((at, step()[0]))
                except smtplib.SMTPAuthenticationError as e:
                    said.append((at, e.smtp_code))
            c.close()
        except smtplib.SMTPConnectError as e:
            said.append((at, e.smtp_code))
        except (OSError, smtplib.SMTPException):
            said.append((at, 0))
        if said[-1] == ("message", 250):
            self.accepted.append(subject)
        return said

    def well(self):
        return self.story("127.0.0.1")[-1] == ("message", 250)

    def arrived(self):
        """How often, by subject; whole ones only."""
        found = {}
        for text in self.mail():
            subject = re.search("^Subject: (.*?)\r?$", text, re.M).group(1)
            if subject * 50 in text:
                found[subject] = found.get(subject, 0) + 1
        return found


def quiet_sessions(s):
    """Half of them in the middle of a transaction."""
    sessions = []
    for n in range(OPEN):
        c = smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60)
        c.ehlo("klien.example")
        if n % 2:
            c.mail("you@dua.example")
            c.rcpt("hyd@satu.example")
        sessions.append(c)
    return sessions


def alive(sessions):
    count = 0
    for c in sessions:
        try:
            count += c.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            pass
    return count


def settled(s):
    """One that ends again within its first second is begun later and later: that is not what is measured."""
    for p in s.ctl("status")["processes"]:
        if p["role"] in ("edge", "worker"):
            with open("/proc/%d/stat" % p["pid"], encoding="ascii") as f:
                begun = int(f.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
            if time.clock_gettime(time.CLOCK_BOOTTIME) - begun < 1.2:
                return False
    return True


def fault(s, way, point):
    """What its client heard, and how long after that mail went through again, in ms."""
    wait_until(lambda: settled(s), 60, "nobody has just begun")
    peer = "127.1.%d.%d" % (WAYS.index(way) + 1, POINTS.index(point) + 1)
    said = s.story(peer, log_in=point == "auth")
    began = time.monotonic()
    wait_until(s.well, 60, "mail goes through after %s at %s" % (way, point))
    return said[-1], (time.monotonic() - began) * 1000


def isolated(rows):
    s = Faulty(True)
    sessions = quiet_sessions(s)
    for way, point in [(w, p) for w in WAYS for p in POINTS] if FULL else BOUNDED:
        if not possible(way, point):
            continue
        (where, code), ms = fault(s, way, point)
        if way in HARMLESS or point in TOLD:
            equal((where, code), ("message", 250), "isolated, %s at %s: the mail is taken" % (way, point))
        else:
            check(where == point and 400 <= code < 500, "isolated, %s at %s: that client is told to try again" % (way, point), where, code)
        equal(alive(sessions), OPEN, "isolated, %s at %s: all others are still there" % (way, point))
        rows.append((way, point, "process", "%s at %s" % (code, where), ms))
    equal({r: n for r, n in s.restarts().items() if n and r != "worker"}, {}, "isolated: nobody but workers began again")
    for n, c in enumerate(sessions[:10]):
        if n % 2:
            subject = "quiet-%d" % n
            equal(c.data("Subject: %s\r\n\r\n%s\r\n" % (subject, subject * 50))[0], 250, "isolated: a transaction from before all that ends well")
            s.accepted.append(subject)
    for c in sessions:
        c.close()
    breaker(s)
    kept(s)


def breaker(s):
    peer = "127.1.%d.%d" % (WAYS.index("nonsense") + 1, POINTS.index("rcpt") + 1)
    with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60, source_address=(peer, 0)) as c:
        c.ehlo("klien.example")
        c.mail("you@dua.example")
        for _ in range(6):
            c.rcpt("hyd@satu.example")
    shown = str(s.ctl("status"))
    check("hooks_fault" in shown and "breaker" in shown, "kurirctl status shows who is left alone", shown[-1500:])
    check(s.counters("hooks_fault").get("breaker-opened", 0) >= 1, "so does a counter", s.counters("hooks_fault"))
    wait_until(s.well, 120, "it is asked again later")


def kept(s):
    """Whatever was acknowledged is there, whole; once, unless a role died over it."""
    wait_until(lambda: set(s.accepted) <= set(s.arrived()), 120, "all that was accepted arrives")
    arrived = s.arrived()
    equal(set(s.accepted) - set(arrived), set(), "%s: nothing that was accepted is lost" % s.name)
    check(all(n == 1 for n in arrived.values()), "%s: and nothing came twice" % s.name, [k for k, n in arrived.items() if n > 1])
    equal(s.stop(), 0, "%s: the server ends well" % s.name)


def within(rows):
    s = Faulty(False)
    for way, point in [(w, p) for w in WAYS for p in POINTS] if FULL else BOUNDED[:len(WAYS)] + [("spin", "closed"), ("crash", "done")]:
        if not possible(way, point):
            continue
        before = s.restarts()
        (where, code), ms = fault(s, way, point)
        after = s.restarts()
        if way in HARMLESS:
            equal((where, code), ("message", 250), "within, %s at %s: the mail is taken" % (way, point))
        elif way in ("nonsense", "late"):
            check(where == point and 400 <= code < 500, "within, %s at %s: that client is told to try again" % (way, point), where, code)
        if way in HARMLESS + ("nonsense", "late"):
            equal(after, before, "within, %s at %s: no role had to begin again" % (way, point))
        else:
            equal({r for r in after if after[r] > before[r]}, {"edge"}, "within, %s at %s: the edge began again, and nobody else" % (way, point))
        rows.append((way, point, "none", "%s at %s" % (code or "lost", where), ms))
    check(SANITIZED or "hangs, killing it" in s.text(), "within: who hangs is found out")
    kept(s)


def main():
    rows = []
    isolated(rows)
    within(rows)
    if FULL:
        print("# | fault | point | isolation | its client hears | mail goes through again after, ms |\n# |---|---|---|---|--:|")
        for way, point, isolation, heard, ms in rows:
            print("# | %s | %s | %s | %s | %.0f |" % (way, point, isolation, heard, ms))
    done()


if __name__ == "__main__":
    main()
