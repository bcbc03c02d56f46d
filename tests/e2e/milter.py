#!/usr/bin/env python3
"""The module milter with a milter that follows a script, every reply and every way to fail; and with OpenDKIM's."""
import base64
import hashlib
import os
import re
import shutil
import socket
import smtplib
import struct
import subprocess
import threading

from mailboxlib import Gate
from netlib import check, done, equal, free_port, path, start, wait_until, write
from peerlib import PLACES

TO, HYD = "hyd@satu.example", "hyd@satu.example"
ALL, CAN = 0x1ff, 0x1ff7ff


def text(*words):
    return b"".join(w.encode() + b"\0" for w in words)


class Milter(threading.Thread):
    """say: {command: [packets]}, packets as (letter, data); "H" of a second session counts on.  What came is in seen,
    a list of (letter, data) for each connection."""

    def __init__(self, say=None, options=(6, ALL, 0), symbols=b"", unix=None):
        super().__init__(daemon=True)
        self.say = dict(say or {})
        self.options, self.symbols = options, symbols
        self.seen = []
        self.bad = None  # bytes instead of the first answer
        if unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(unix)
            os.chmod(unix, 0o666)
            self.socket.listen(20)
            self.place = "unix:" + unix
        else:
            self.socket = socket.create_server(("127.0.0.1", 0))
            self.place = "inet:%d@127.0.0.1" % self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            seen = []
            self.seen.append(seen)
            threading.Thread(target=self.serve, args=(s, seen), daemon=True).start()

    @staticmethod
    def exactly(s, n):
        data = b""
        while len(data) < n:
            got = s.recv(n - len(data))
            if not got:
                raise EOFError
            data += got
        return data

    def serve(self, s, seen):
        try:
            while True:
                n, = struct.unpack(">I", self.exactly(s, 4))
                letter = self.exactly(s, 1).decode()
                data = self.exactly(s, n - 1)
                seen.append((letter, data))
                self.answer(s, letter)
        except (EOFError, OSError):
            s.close()

    def answer(self, s, letter):
        if letter in "ADKQ":
            return
        packets = self.say.get(letter, [("c", b"")])
        if letter == "O":
            packets = self.say.get("O", [("O", struct.pack(">III", *self.options) + self.symbols)])
        for packet in packets:
            if packet == "CLOSE":
                raise EOFError
            if packet == "HANG":
                continue
            if isinstance(packet, bytes):
                s.sendall(packet)
                continue
            kind, data = packet
            s.sendall(struct.pack(">I", len(data) + 1) + kind.encode() + data)

    def letters(self, which=-1):
        return "".join(l for l, _ in self.seen[which])

    def data(self, letter, which=-1):
        return [d for l, d in self.seen[which] if l == letter]

    def macros(self, command):
        found = {}
        for d in self.data("D"):
            if d[:1] == command.encode():
                parts = d[1:].split(b"\0")
                found.update(zip([p.decode() for p in parts[0:-1:2]], [p.decode() for p in parts[1::2]]))
        return found


def gate(place, name, more=None, **options):
    block = dict({"socket": place, "deadline": "60s"}, **options)
    return Gate(dict({"milter": block}, **(more or {})), ["milter", "accounts"], name=name)


def whole_session(s, m):
    said = s.say("a@b.example", [TO, "nobody@satu.example"],
                 "Subject: one\nX-Folded: a\n b\nX-None:\n\n.dot: x\nbody\n")
    equal([c for c, _ in said], [250, 250, 550, 250], "a milter that has no objection changes nothing")
    wait_until(lambda: m.letters().endswith("K"), 30, "the session is over")
    equal(re.sub("D", "", m.letters()), "OCHMRRTLLLNBEK", "it has seen the whole session")
    equal(m.data("C")[0], b"[127.0.0.1]\0" + b"4" + m.data("C")[0][13:15] + b"127.0.0.1\0", "the client's address")
    equal(m.data("M"), [text("<a@b.example>")], "the sender")
    equal(m.data("L")[1:], [text("X-Folded", "a\n b"), text("X-None", "")], "header fields, folded and empty")
    equal(b"".join(m.data("B")), b".dot: x\r\nbody\r\n", "the body")
    e = m.macros("E")
    check(e["j"] == "mx.satu.example" and len(e["i"]) >= 10 and e["{client_addr}"] == "127.0.0.1", "macros", e)
    equal(m.macros("R")["{rcpt_addr}"], "nobody@satu.example", "of the recipient")
    s.with_subject("one")
    s.say("a@b.example", TO, "Subject: two\n\nx\n")
    wait_until(lambda: m.letters().endswith("K"), 30, "the session is over")
    equal((len(m.seen), m.letters().count("C")), (1, 2), "the next session is on the same connection")
    equal(s.say(HYD, TO, "Subject: own\n\nx\n", log_in=HYD)[-1][0], 250, "an account")
    equal(m.macros("M")["{auth_authen}"], HYD, "is told")


def changes(s, m):
    def edit(n, name, value):
        return struct.pack(">I", n) + text(name, value)

    def send(subject, *packets, body="Subject: %s\nX-A: 1\nX-B: 1\nX-A: 2\n\nX-A: old\n"):
        m.say = {"E": list(packets) + [("c", b"")]}
        equal(s.say("a@b.example", TO, body % subject)[-1][0], 250, "%s: taken" % subject)

    send("edits", ("p", b""), ("h", text("X-Added", "new\n\tfolded")), ("m", edit(2, "x-a", "changed")), ("m", edit(1, "X-B", "")),
         ("m", edit(5, "X-C", "appended")), ("i", edit(1, "X-First", "first")), ("m", edit(1, "X-Gone", "")))
    got = s.with_subject("edits").replace("\r", "")
    check("\nX-First: first\nSubject: edits\nX-A: 1\nx-a: changed\nX-Added: new\n\tfolded\nX-C: appended\n\nX-A: old\n" in got,
          "header fields are added, inserted, changed and removed", got)
    send("body", ("b", b"new body\r\n" * 9000), ("b", b".end\r\n"))
    got = s.with_subject("body").replace("\r", "")
    check(got.endswith("X-A: 2\n\n" + "new body\n" * 9000 + ".end\n"), "the body is replaced", got[:400])
    send("rcpt", ("+", text("<siti@satu.example>")), ("-", text("<HYD@satu.example>")), ("e", text("<new@d.example>", "")))
    got = s.with_subject("rcpt", "siti")
    check("Return-Path: <new@d.example>" in got, "recipients are added and dropped, the sender is changed", got)
    check(not any("Subject: rcpt" in t for t in s.mail()), "and the first recipient has nothing")
    send("held", ("q", text("looks odd")))
    held = s.ctl("queue", "list", "state=held")
    equal(len(held["list"] if isinstance(held, dict) else held), 1, "quarantine: the message is held in the queue")
    check('why="looks odd"' in s.text(), "with the reason in the log")
    equal(s.stop(), 0, "a restart")
    s.start()
    held = s.ctl("queue", "list", "state=held")
    equal(len(held["list"] if isinstance(held, dict) else held), 1, "it is held still")
    s.ctl("queue", "release", "all")
    s.with_subject("held")
    m.say = {"E": [("h", text("X-Large", "1")), ("c", b"")]}
    large = "Subject: large\n\n" + "0123456789012345678901234567890123456789\n" * 20000
    equal(s.say("a@b.example", TO, large)[-1][0], 250, "a large message")
    check(s.with_subject("large").replace("\r", "").endswith("X-Large: 1\n\n" + large.split("\n\n")[1]), "is whole")


def verdicts(s, m):
    """What is said at each step, and what the client hears."""
    def code(letter, kind, data=b""):
        m.say = {letter: [(kind, data)]}
        try:
            said = s.say("a@b.example", TO, "Subject: v\n\nx\n")
            return said[0] if said[0][0] != 250 else said[-1]
        except smtplib.SMTPException as e:
            return e.smtp_code, e.smtp_error.decode()

    for letter in "MRTLNBE":
        equal(code(letter, "r")[0], {"M": 550, "R": 550}.get(letter, 554), "reject at " + letter)
        equal(code(letter, "t")[0], 450 if letter == "R" else 451, "defer at " + letter)
        equal(code(letter, "y", text("452 4.2.2 not now"))[:2], (452, "4.2.2 not now"), "words at " + letter)
        equal(code(letter, "a")[0], 250, "accept at " + letter)
        equal(code(letter, "d")[0], 250, "discard at " + letter)
    m.say = {"H": [("r", b"")]}
    with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60) as c:
        equal(c.ehlo("client.example")[0], 550, "reject at H")
    equal(code("C", "y", text("554 5.7.1 go away"))[0], 554, "reject at C")
    equal(code("E", "4")[0], 421, "shut down")
    m.say = {"B": [("d", b"")]}
    s.say("a@b.example", TO, "Subject: gone\n\nx\n")
    m.say = {}
    s.say("a@b.example", TO, "Subject: after\n\nx\n")
    s.with_subject("after")
    check(not any("Subject: gone" in t for t in s.mail()), "what is discarded is not delivered")


def trouble(s, m):
    """Nothing of it may be taken, and the next session is fine."""
    def code(say):
        m.say = say
        try:
            return [c for c, _ in s.say("a@b.example", TO, "Subject: never\n\nx\n") if c != 503][-1]
        except smtplib.SMTPException as e:
            return e.smtp_code

    cases = [("closes", {l: ["CLOSE"]}) for l in "COMRTLNBE"]
    cases += [("says nonsense", {l: [("!", b"")]}) for l in "OCME"]
    cases += [("says garbage", {"M": [b"\xff\xff\xff\xff!"]}), ("sends an empty packet", {"E": [b"\0\0\0\0"]}),
              ("wants more than offered", {"O": [("O", struct.pack(">III", 6, 0x8000, 0))]}),
              ("is too new", {"O": [("O", struct.pack(">III", 7, 0, 0))]}),
              ("cuts its options", {"O": [("O", b"\0\0\0\6\0")]}),
              ("adds half a field", {"E": [("h", b"X-Half\0value"), ("c", b"")]}),
              ("ends a field early", {"E": [("h", text("X-Bad", "a\nSubject: b")), ("c", b"")]}),
              ("names no field", {"E": [("h", text("X Bad", "a")), ("c", b"")]}),
              ("adds no address", {"E": [("+", b"x"), ("c", b"")]}),
              ("sends a bad reply", {"M": [("y", text("hello"))]}),
              ("replaces too much", {"E": [("b", b"x" * 60000)] * 40 + [("c", b"")]}),
              ("changes too much", {"E": [("h", text("X-Much", "x" * 60000))] * 40 + [("c", b"")]}),
              ("never answers", {"M": ["HANG"]}), ("never ends", {"E": ["HANG"]})]
    for what, say in cases:
        got = code(say)
        check(400 <= got < 500, "a milter that %s at %s: deferred" % (what, "".join(say)), got)
    m.say = {}
    equal(s.say("a@b.example", TO, "Subject: fine\n\nx\n")[-1][0], 250, "and all is well again")
    s.with_subject("fine")
    for _ in range(6):
        got = s.say("a@b.example", TO, "X-Long: x\n" + " folded\n" * 150000 + "\nnever\n")[-1][0]
        equal(got, 552, "a header that is longer than what is shown to milters")
    equal(s.say("a@b.example", TO, "Subject: fine again\n\nx\n")[-1][0], 250, "is its own sender's trouble only")
    check(not any("never" in t for t in s.mail()), "nothing of it was taken")
    check("which was not agreed" not in s.text(), "so far all was agreed")
    m.options = (6, 0, 0)
    s.stop()
    s.start()
    check(400 <= code({"E": [("h", text("X", "y")), ("c", b"")]}) < 500, "a change that was not agreed is refused")
    m.options = (2, ALL, 0x1ff & ~0x80)
    s.stop()
    s.start()
    equal(code({}), 250, "an old milter that wants to see nothing")
    equal(re.sub("D", "", m.letters()), "OE" if "Q" not in m.letters() else "OEQ", "sees the end only")
    m.options, m.symbols = (6, ALL, CAN & ~0x37f), struct.pack(">I", 2) + text("i {mail_addr}")
    s.stop()
    s.start()
    m.say = {l: ["HANG"] for l in "CHMRTLNB"}
    equal(s.say("a@b.example", TO, "Subject: quiet\nX:  y\n\nx\n")[-1][0], 250, "a milter that answers nothing but the end")
    equal(sorted(m.macros("M")), ["i", "{mail_addr}"], "and asks for some macros only")
    check(text("X", "  y") in m.data("L"), "and for values as they are")


def opendkim():
    program = shutil.which("opendkim", path="/usr/sbin")
    for place in PLACES:
        if not program and os.path.exists(os.path.join(place, "opendkim/usr/sbin/opendkim")):
            program = os.path.join(place, "opendkim/usr/sbin/opendkim")
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout if program else "not found"
    if "not found" in said:
        check(True, "OpenDKIM # SKIP it, or a library of it, is not there")
        return
    subprocess.run(["openssl", "genrsa", "-out", path("dkim.key"), "2048"], check=True, capture_output=True)
    os.chmod(path("dkim.key"), 0o600)
    port = free_port()
    conf = write("opendkim.conf", """Domain satu.example
Selector kurir
KeyFile %s
Socket inet:%d@127.0.0.1
Mode sv
Canonicalization relaxed/simple
Syslog no
Background no
RequireSafeKeys no
UserID root
InternalHosts 127.0.0.9
""" % (path("dkim.key"), port))
    child = start([program, "-f", "-x", conf], "opendkim.log")

    def listens():
        assert child.poll() is None, open(path("opendkim.log"), errors="replace").read()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_until(listens, 60, "OpenDKIM listens")
    s = gate("inet:%d@127.0.0.1" % port, "dkim")
    equal(s.say(HYD, TO, "From: hyd@satu.example\nSubject: signed\nX-Long: %s\n  folded\n\nHello\n" % ("x" * 200), log_in=HYD)[-1][0],
          250, "OpenDKIM takes a message")
    got = s.with_subject("signed").replace("\r", "")
    check("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=satu.example" in got, "and signs it", got[:600])
    body = re.search(r"bh=([^;]+);", got)
    equal(re.sub(r"\s", "", body[1]) if body else "", base64.b64encode(hashlib.sha256(b"Hello\r\n").digest()).decode(),
          "with the hash of the body")
    for i in range(3):
        equal(s.say("a@b.example", TO, "From: a@b.example\nSubject: no %d\n\nx\n" % i)[-1][0], 250, "mail of others passes")
    equal(s.counters("milter")["failed"], 0, "nothing failed")
    child.terminate()
    child.wait(60)
    equal(connect_code(s), 421, "without it mail is deferred")
    equal(s.stop(), 0, "the server ends well")


def connect_code(s):
    try:
        return s.say("a@b.example", TO)[0][0]
    except smtplib.SMTPException as e:
        return e.smtp_code


def main():
    m = Milter()
    s = gate(m.place, "one", **{"command-time": "1s", "content-time": "1s", "body-size": "1M"})
    whole_session(s, m)
    changes(s, m)
    verdicts(s, m)
    trouble(s, m)
    equal(s.stop(), 0, "the server ends well")
    first, second = Milter({"E": [("h", text("X-First", "1")), ("c", b"")]}), Milter(unix=path("second.sock"))
    s = Gate({"milter/a": {"socket": first.place}, "milter/b": {"socket": second.place},
              "milter/gone": {"socket": "inet:%d@127.0.0.1" % free_port(), "on-error": "next"}},
             ["milter/a", "milter/gone", "milter/b", "accounts"], name="three", single=False)
    equal(s.say("a@b.example", TO, "Subject: three\n\nx\n")[-1][0], 250, "three milters, one of them gone")
    check(text("X-First", "1") in second.data("L"), "the last sees what the first has added, over a Unix socket", second.seen)
    check("X-First: 1" in s.with_subject("three"), "and so does the reader")
    equal(s.stop(), 0, "the server ends well, too")
    opendkim()
    done()


main()
