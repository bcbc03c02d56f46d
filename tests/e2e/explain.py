#!/usr/bin/env python3
"""kurirctl explain: sessions that were refused, by whom and why, by peer, address, id and time; who waits in the queue, and
for what; a history that is bounded, and one that has trouble."""
import glob
import os
import re
import smtplib
import socket
import subprocess
import time

from mailboxlib import Gate
from netlib import KURIRCTL, check, done, equal, path, wait_until

NEAR, FAR = "hyd@satu.example", "paijo@dua.example"
BAD = "hooks_fixed/bad"
ROLES = ("edge", "queue", "resolver", "relay", "store", "access", "auth", "control", "worker")


class Told(Gate):
    def start(self):
        self.modules.update({"route_static": {"routes": {"dua.example": "smtp:[127.0.0.1]:1"}}, "relay_smtp": {},
                             "smtp": {"relay-networks": ["127.0.0.9"]}})
        super().start()


def run(s, *words):
    done_ = subprocess.run([KURIRCTL, "-c", s.conf, *words], capture_output=True, text=True, timeout=90, check=False)
    return done_.returncode, done_.stdout, done_.stderr


def story(s, what, *events, **more):
    """Until these have come; events reach the history some milliseconds later."""
    def ready():
        code, text, _ = run(s, "explain", what, *more.get("words", ()))
        return text if code == 0 and all(e in text for e in events) else None
    return wait_until(ready, 60, "the story of %s with %s" % (what, events))


def talk(s, peer, helo="client.example", sender="you@dua.example", to=NEAR):
    """Up to the first refusal; its code."""
    try:
        with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60, source_address=(peer, 0)) as c:
            for said in (lambda: c.ehlo(helo), lambda: c.mail(sender), lambda: c.rcpt(to), lambda: c.data("Subject: x\n\nx\n")):
                code = said()[0]
                if code >= 400:
                    return code
            return code
    except (smtplib.SMTPConnectError, smtplib.SMTPDataError) as e:
        return e.smtp_code


def refused(s):
    """At each point, told by the peer's address."""
    for n, point in enumerate(("connect", "helo", "mail", "rcpt", "data", "message")):
        s.stop()
        s.blocks[BAD] = {point: "reject", "reply": "not today"}
        s.modules.update(s.blocks)
        s.start()
        peer = "127.0.1.%d" % (n + 1)
        check(talk(s, peer) >= 400, "refused at " + point)
        text = story(s, peer, point + " ")
        check(re.search(r"%s +reject .*peer=%s .*module=%s .*not today" % (point, re.escape(peer), BAD), text) or
              re.search(r"%s +reject .*peer=%s.*571.*not today.*\[%s\]" % (point, re.escape(peer), BAD), text),
              "by whom, and with which words: " + point, text)
    s.stop()
    s.blocks[BAD] = {"rcpt": "error", "on-error": "reject"}
    s.modules.update(s.blocks)
    s.start()
    equal(talk(s, "127.0.1.9"), 550, "a module that fails")
    text = story(s, "127.0.1.9", "rcpt ")
    check("it could not decide: Input/output error" in text and BAD in text, "is told so", text)
    s.stop()
    s.blocks[BAD] = {}
    s.modules.update(s.blocks)
    s.start()
    equal(talk(s, "127.0.1.10", to="who@tiga.example"), 550, "nobody is responsible")
    story(s, "127.0.1.10", "relaying denied")
    check("relaying denied" in story(s, "Who@Tiga.example", "relaying denied"), "and by the recipient, however it is written")


def crowd(s):
    """One connection too many is turned away before anybody decides, and told all the same."""
    s.stop()
    s.more["limits"] = {"connections-per-peer": 1}
    s.start()
    with socket.create_connection(("127.0.0.1", s.port["mx"]), 60, ("127.0.4.1", 0)) as first:
        first.recv(100)
        with socket.create_connection(("127.0.0.1", s.port["mx"]), 60, ("127.0.4.1", 0)) as second:
            check(second.recv(100).startswith(b"421"), "the second connection of one peer")
    check("connect   defer peer=127.0.4.1: too many connections [smtp]" in story(s, "127.0.4.1", "too many"), "and why")
    del s.more["limits"]


def by_message_id(s):
    """As it stands in the header, folded or not."""
    for n, field in enumerate(("Message-ID: <%s>", "message-id:\r\n <%s>", "Message-Id: (comment) <%s>")):
        name = "Post.%d@klien.example" % n
        text = "Subject: x\r\n" + field % name + "\r\nFrom: <you@dua.example>\r\n\r\nMessage-ID: <no@klien.example>\r\n"
        equal(s.say("you@dua.example", NEAR, text)[-1][0], 250, "a message with %r" % field)
        check("delivered" in story(s, "<%s>" % name, "delivered"), "and its story")
    check("delivered" in run(s, "explain", "post.1@klien.example")[1], "without the brackets, too")
    equal(run(s, "explain", "<no@klien.example>")[0], 1, "what stands in the text is none")


def when(s):
    before = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 5))
    equal(talk(s, "127.0.2.1"), 250, "one more mail")
    story(s, "127.0.2.1", "closed")
    code, text, _ = run(s, "explain", "127.0.2.1", "--since", before)
    check(code == 0 and "closed" in text, "since a time", text)
    equal(run(s, "explain", "127.0.2.1", "--until", before)[0], 1, "not before it")
    equal(run(s, "explain", "127.0.1.10", "--since", "1h")[0], 0, "an hour ago is since")
    events = s.ctl("explain", "--since", before)
    check({"message", "delivered", "closed"} <= {e["event"] for e in events} and
          all(e["time"] >= (time.time() - 90) * 1000 for e in events), "all that happened then", events)
    for words in (("x", "--since", "soon"), ("--until", "2026-13-01"), ()):
        code, _, errors = run(s, "explain", *words)
        check(code == 1 and ("a time" in errors), "what is no time: " + " ".join(words), code, errors)


def waiting(s):
    """What the queue waits for is the end of a story."""
    said = s.say("you@dua.example", FAR, "Message-ID: <waits@klien.example>\r\nFrom: <you@dua.example>\r\n\r\nx\r\n", peer="127.0.0.9")
    equal(said[-1][0], 250, "mail for a host that does not answer")
    ident = said[-1][1].split()[-1]
    text = story(s, ident, "waiting", "because")
    check(re.search(r"waiting +id=%s to=%s: waits .*because " % (ident, FAR), text), "it waits, and why", text)
    check(re.search(r"^\S+ deferred .*$", text, re.M), "after an attempt", text)
    events = s.ctl("explain", FAR)
    check(events[-1]["event"] == "waiting" and "because" in events[-1]["text"], "for programs", events[-1])
    for what in ("<waits@klien.example>", "127.0.0.9"):
        text = story(s, what, "waiting", "because")
        check(text.count(" waiting ") == 1, "also in the story of " + what, text)
    s.ctl("queue", "hold", ident)
    story(s, ident, "held until it is released")
    s.ctl("queue", "cancel", ident)
    wait_until(lambda: "waiting" not in run(s, "explain", ident)[1], 60, "what does not wait any more is not said to")


def trouble(s):
    """A history that cannot be written: mail goes on, and so do stories when it can be written again."""
    folder = path("gate-state/history")
    s.stop()
    check(glob.glob(folder + "/events.*") and not glob.glob(folder + "/fresh.*"), "the segments lie there", os.listdir(folder))
    os.mkdir(folder + "/events.00000777")
    s.start()
    equal(talk(s, "127.0.3.1"), 250, "without a history mail goes on")
    wait_until(lambda: "cannot open the event history" in s.text(), 60, "the log says that there is trouble")
    check("closed" in run(s, "explain", "127.0.2.1")[1], "what was kept before is still told")
    os.rmdir(folder + "/events.00000777")
    equal(talk(s, "127.0.3.2"), 250, "one more mail")
    story(s, "127.0.3.2", "closed")
    s.stop()
    s.more["history"] = {"size": "0"}
    s.start()
    equal(talk(s, "127.0.3.3"), 250, "with no history at all mail goes on")
    code, _, errors = run(s, "explain", NEAR)
    check(code == 1 and "no history" in errors, "and who asks is told", code, errors)
    check(any("127.0.3.3" in line for line in run(s, "log")[1].split("\n")), "what happens is seen by who follows")
    equal(s.stop(), 0, "the server ends well")


def main():
    more = {"sandbox": "required", "users": {r: 64400 + n for n, r in enumerate(ROLES)}} if os.geteuid() == 0 else {}
    s = Told({BAD: {}}, [BAD, "accounts"], single=False, **more)
    for part in (refused, crowd, by_message_id, when, waiting, trouble):
        part(s)
    done()


main()
