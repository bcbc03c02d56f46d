#!/usr/bin/env python3
"""The transports smtp and lmtp against a peer that follows a script: every way to answer, and every way to fail."""
import base64
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import threading

from netlib import FOLDER, Server, check, done, equal, free_port, path, skip_all, write

DELIVERED, FAILED, DEFERRED = 1, 2, 3
MAY, NEVER, MUST, VERIFY, DANE = range(5)
BIT8, UTF8, DOTLINE, RET_FULL = 1, 2, 4, 8
EHLO = ["PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"]


class Peer:
    """One address that speaks SMTP as it is told.  say: what to answer to a command ("MAIL", "RCPT x@y", "RCPT",
    "DATA", "."...): a line, a list of lines to use one after the other, "DROP", "HANG" or bytes; every
    line that came and every message is remembered, connection by connection."""

    def __init__(self, say=None, ehlo=None, tls=None, lmtp=False, address="127.0.0.1"):
        self.say = dict(say or {})
        self.ehlo = EHLO if ehlo is None else ehlo
        self.tls = tls
        self.lmtp = lmtp
        self.connections = []
        self.sockets = []
        self.messages = []
        self.socket = socket.create_server((address, 0))
        self.port = self.socket.getsockname()[1]
        self.address = "%s:%d" % (address, self.port)
        self.release = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lines = []
            self.connections.append(lines)
            self.sockets.append(s)
            threading.Thread(target=self.serve, args=(s, lines), daemon=True).start()

    def close(self):
        self.release.set()
        self.socket.close()

    def word(self, *names):
        for name in names:
            if name in self.say:
                answer = self.say[name]
                if isinstance(answer, list):
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                return answer
        return None

    def put(self, s, answer):
        """False: the connection is over."""
        if answer == "DROP":
            # RST or FIN: what waits unread decides; both must do.
            s.close()
            return False
        if answer == "HANG":
            self.release.wait(60)
            s.close()
            return False
        s.sendall(answer if isinstance(answer, bytes) else answer.encode() + b"\r\n")
        return True

    def serve(self, s, lines):
        try:
            self.session(s, lines)
        except OSError:
            pass
        finally:
            s.close()

    def session(self, s, lines):
        secure = False
        f = s.makefile("rb")
        accepted = 0
        if not self.put(s, self.word("CONNECT") or "220 peer ESMTP"):
            return
        while True:
            raw = f.readline(10000)
            if not raw:
                lines.append("EOF")
                return
            line = raw.decode(errors="replace").rstrip("\r\n")
            lines.append(line)
            verb = line.split(" ")[0].split(":")[0].upper()
            if verb == "STARTTLS" and self.tls is not None and not self.word("STARTTLS"):
                self.put(s, "220 go on")
                s = self.tls.wrap_socket(s, server_side=True)
                f = s.makefile("rb")
                secure = True
                continue
            if verb in ("EHLO", "LHLO"):
                words = ["peer"] + self.ehlo + ([] if secure or self.tls is None else ["STARTTLS"])
                answer = "\r\n".join("250%s%s" % ("-" if i + 1 < len(words) else " ", w)
                                     for i, w in enumerate(words))
                answer = self.word(verb + "2" if secure else verb, verb) or answer
            elif verb == "RCPT":
                who = line[line.index("<") + 1:line.index(">")]
                answer = self.word("RCPT " + who, "RCPT") or "250 2.1.5 Ok"
                accepted += str(answer).startswith("2")
            elif verb == "DATA":
                answer = self.word("DATA") or ("354 go on" if accepted else "503 5.5.1 no recipients")
            elif verb == "QUIT":
                self.put(s, "221 bye")
                return
            elif verb == "MAIL":
                accepted = 0
                answer = self.word("MAIL") or "250 2.1.0 Ok"
            else:
                answer = self.word(line, verb) or "250 2.0.0 Ok"
            if not self.put(s, answer):
                return
            if verb == "DATA" and str(answer).startswith("354"):
                if self.word("BODY"):
                    f.read(1000)
                    if not self.put(s, self.word("BODY")):
                        return
                body = []
                while not body or body[-1] != b".\r\n":
                    body.append(f.readline(70000))
                    if not body[-1]:
                        lines.append("EOF")
                        return
                self.messages.append(b"".join(body))
                lines.append(".")
                for _ in range(accepted if self.lmtp else 1):
                    if not self.put(s, self.word(".") or "250 2.0.0 taken"):
                        return


class Cases:
    def __init__(self, server):
        self.server = server
        self.message = write("message", b"Subject: x\r\n\r\nhello\r\n")

    def send(self, peers, to=("a@dua.example",), **more):
        what = {"transport": "smtp", "addresses": [p.address for p in peers],
                "names": ["peer%d.example" % i for i in range(len(peers))],
                "from": "hyd@satu.example", "to": list(to), "file": self.message, "tls": MAY}
        what.update(more)
        r = self.server.probe("send", **what)
        return r["results"] if r.get("result") == 0 else r

    def one(self, say=None, want=(), what="", ehlo=None, **more):
        """One recipient, one peer: (fate, code, xyz) as wanted."""
        peer = Peer(say, ehlo, tls=more.pop("peer_tls", None))
        r = self.send([peer], **more)
        peer.close()
        if not isinstance(r, list):
            check(False, what, r)
            return peer, {}
        equal((r[0]["fate"], r[0]["code"], r[0]["xyz"]), want, what)
        return peer, r[0]


def plain(c):
    peer, r = c.one(want=(DELIVERED, 250, "2.0.0"), what="a message is delivered")
    equal(peer.messages, [b"Subject: x\r\n\r\nhello\r\n.\r\n"], "as it was")
    equal(peer.connections[0][:4], ["EHLO mx.satu.example", "MAIL FROM:<hyd@satu.example> SIZE=21",
                                    "RCPT TO:<a@dua.example>", "DATA"], "by these commands")
    equal((r["remote"], r["text"], r["dsn"]),
          ("peer0.example[127.0.0.1]:%d" % peer.port, "taken", True), "and reported so")
    c.one({"EHLO": "502 what?"}, (DELIVERED, 250, "2.0.0"), "EHLO is unknown: HELO")
    peer, r = c.one({"CONNECT": "220-a\r\n220-b\r\n220 c"}, (DELIVERED, 250, "2.0.0"), "a long greeting", ehlo=[])
    equal((peer.connections[0][1], r["dsn"]), ("MAIL FROM:<hyd@satu.example>", False), "nothing is asked that is not offered")
    c.one({".": "250"}, (DELIVERED, 250, "2.0.0"), "the shortest reply")
    c.one({".": "250-2.0.0 a\r\n250 2.0.0 b"}, (DELIVERED, 250, "2.0.0"), "a longer one")


def replies(c):
    for say, want, what in (
            ({"CONNECT": "554 no"}, (FAILED, 554, "5.3.2"), "554 for a greeting of the only host"),
            ({"CONNECT": "421 later"}, (DEFERRED, 421, "4.3.2"), "421 for a greeting"),
            ({"EHLO": "421 4.3.2 later"}, (DEFERRED, 421, "4.3.2"), "421 after EHLO"),
            ({"EHLO": "550 no", "HELO": "550 no"}, (FAILED, 550, "5.3.2"), "5xx after EHLO and HELO"),
            ({"MAIL": "451 4.7.1 later"}, (DEFERRED, 451, "4.7.1"), "4xx after MAIL"),
            ({"MAIL": "550 5.7.1 no"}, (FAILED, 550, "5.7.1"), "5xx after MAIL"),
            ({"RCPT": "450 4.2.1 later"}, (DEFERRED, 450, "4.2.1"), "4xx after RCPT"),
            ({"RCPT": "550 5.1.1 nobody"}, (FAILED, 550, "5.1.1"), "5xx after RCPT"),
            ({"RCPT": "550 nobody"}, (FAILED, 550, "5.0.0"), "5xx without a status"),
            ({"RCPT": "550 4.1.1 odd"}, (FAILED, 550, "5.0.0"), "a status that contradicts the code"),
            ({"RCPT": "552 too many"}, (DEFERRED, 452, "4.5.3"), "552 after RCPT is for now"),
            ({"RCPT": "421 4.3.2 going"}, (DEFERRED, 421, "4.3.2"), "421 after RCPT"),
            ({"DATA": "451 4.3.0 later"}, (DEFERRED, 451, "4.3.0"), "4xx after DATA"),
            ({"DATA": "554 5.7.1 no"}, (FAILED, 554, "5.7.1"), "5xx after DATA"),
            ({".": "451 4.3.0 later"}, (DEFERRED, 451, "4.3.0"), "4xx after the message"),
            ({".": "554 5.7.1 spam"}, (FAILED, 554, "5.7.1"), "5xx after the message"),
            ({".": "552 full"}, (FAILED, 552, "5.3.4"), "552 after the message is for good")):
        for ehlo in (None, []):
            c.one(say, want, what + (", one by one" if ehlo is not None else ""), ehlo=ehlo)


def broken(c):
    for step, when in (("CONNECT", "before the greeting"), ("EHLO", "after EHLO"), ("MAIL", "after MAIL"),
                       ("RCPT", "after RCPT"), ("DATA", "after DATA"), ("BODY", "in the message")):
        size = b"x" * 70 + b"\r\n"
        big = write("big", b"Subject: x\r\n\r\n" + 200000 * size) if step == "BODY" else c.message
        for ehlo in (["PIPELINING"], []):
            c.one({step: "DROP"}, (DEFERRED, 0, "4.4.2"), "lost " + when, ehlo=ehlo, file=big)
    _, r = c.one({".": "DROP"}, (DEFERRED, 0, "4.4.2"), "lost after the message")
    check("may have arrived" in r.get("text", ""), "which may have arrived", r)
    for step in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."):
        c.one({step: "HANG"}, (DEFERRED, 0, "4.4.2"), "no answer: " + step)
    for junk in (b"HTTP/1.1 400 Bad\r\n", b"\0\0\0\0\r\n", b"250\r\n" * 3, b"250-x\r\n251 y\r\n"):
        c.one({"MAIL": junk}, (DEFERRED, 0, "4.5.0"), "not SMTP: %r" % junk[:12], ehlo=[]) if junk[:4] != b"250\r" \
            else c.one({"CONNECT": junk}, (DEFERRED, 250, "4.3.2"), "250 is no greeting")
    c.one({"MAIL": b"250-" + b"x" * 5000 + b"\r\n"}, (DEFERRED, 0, "4.5.0"), "a line without end", ehlo=[])
    c.one({"EHLO": b"250-x\r\n" * 5000 + b"250 y\r\n"}, (DEFERRED, 0, "4.5.0"), "a reply without end")
    _, r = c.one({"BODY": b"554 5.7.1 enough\r\n", ".": "250 never"}, (FAILED, 554, "5.7.1"),
                 "a refusal in the middle of the message", file=path("big"), ehlo=["PIPELINING"])
    port = free_port()
    peer = Peer()
    peer.address = "127.0.0.1:%d" % port
    r = c.send([peer])
    equal((r[0]["fate"], r[0]["code"], r[0]["xyz"], r[0]["site"]), (DEFERRED, 0, "4.4.1", True), "nobody listens")
    peer.close()


def ourselves(c):
    """A host that the DNS named and that answers with our name."""
    us = "250-mx.satu.example says hello\r\n250 HELP"
    peer, r = c.one({"EHLO": us}, (FAILED, 0, "5.4.6"), "our own name: a loop")
    check(peer.messages == [] and "loop" in r.get("text", ""), "which is not entered", r)
    good, loop, gone = Peer(), Peer({"EHLO": us}), Peer({"CONNECT": "DROP"})
    equal(c.send([loop, good])[0]["fate"], DELIVERED, "another host is tried")
    equal(c.send([gone, loop])[0]["fate"], DEFERRED, "one that is down may come back")
    c.one({"EHLO": us}, (DELIVERED, 250, "2.0.0"), "a host that was configured may have our name", names=[])


def several(c):
    bad, good = Peer({"CONNECT": "DROP"}), Peer()
    r = c.send([bad, good])
    equal((r[0]["fate"], r[0]["remote"][:13]), (DELIVERED, "peer1.example"), "the next host is tried")
    for say in ({"CONNECT": "554 no"}, {"EHLO": "421 no"}, {"MAIL": "451 no"}, {"RCPT": "DROP"}):
        first, second = Peer(say), Peer()
        r = c.send([first, second])
        equal((r[0]["fate"], len(second.messages)), (DELIVERED, 1), "also after %r" % say)
    first, second = Peer({"CONNECT": "554 no"}), Peer({"CONNECT": "421 no"})
    equal(c.send([first, second])[0]["fate"], DEFERRED, "all refused, one for now")
    first, second = Peer({".": "DROP"}), Peer()
    r = c.send([first, second])
    equal((r[0]["fate"], len(second.connections)), (DEFERRED, 0), "but not when it may have arrived")
    first, second = Peer({"RCPT b@dua.example": "550 5.1.1 no", "RCPT c@dua.example": "450 4.2.0 later"}), Peer()
    to = ["a@dua.example", "b@dua.example", "c@dua.example", "d@dua.example"]
    for ehlo in (EHLO, []):
        first.ehlo = ehlo
        r = c.send([first, second], to=to)
        equal([x["fate"] for x in r], [DELIVERED, FAILED, DEFERRED, DELIVERED], "a fate for each recipient")
    equal(len(second.connections), 0, "decided is decided")
    peer = Peer({"RCPT": "550 5.1.1 no", "DATA": "354 go"})
    r = c.send([peer], to=to)
    equal([x["fate"] for x in r], 4 * [FAILED], "nobody accepted, and DATA all the same")
    equal(peer.messages, [b".\r\n"], "then nothing is sent")
    peer = Peer({"MAIL": "550 5.7.1 no", "RCPT": "503 what", "DATA": "503 what"})
    r = c.send([peer], to=to)
    equal([x["xyz"] for x in r], 4 * ["5.7.1"], "the sender is what was refused")
    many = ["u%d@dua.example" % i for i in range(1000)]
    peer = Peer({"RCPT u7@dua.example": "550 5.1.1 no"})
    r = c.send([peer], to=many)
    equal([x["fate"] for x in r].count(DELIVERED), 999, "a thousand recipients")


def messages(c):
    def body(text, flags=0, **more):
        peer = Peer(**more)
        r = c.send([peer], file=write("body", text), flags=flags)
        return peer, r[0]

    peer, _ = body(b".\r\n..a\r\n.b\r\n", DOTLINE)
    equal(peer.messages, [b"..\r\n...a\r\n..b\r\n.\r\n"], "dots are doubled")
    lines = b"".join(b".%06d%s\r\n" % (i, b"." * (i % 97)) for i in range(60000))
    peer, _ = body(lines, DOTLINE, ehlo=[])
    equal(hashlib.sha256(peer.messages[0]).hexdigest(),
          hashlib.sha256(lines.replace(b"\r\n.", b"\r\n..").replace(b".000000", b"..000000", 1) + b".\r\n").hexdigest(),
          "in a long message, too")
    peer, _ = body(b"no end")
    equal(peer.messages, [b"no end\r\n.\r\n"], "a last line without an end gets one")
    peer, _ = body(b"")
    equal(peer.messages[0][-3:], b".\r\n", "an empty message")
    peer, r = body(b"x" * 998 + b"\r\n" + 3000 * (b"y" * 998 + b"\r\n"), ehlo=["SIZE 100000"])
    equal((r["fate"], r["xyz"], peer.messages), (FAILED, "5.3.4", []), "bigger than the host takes")
    peer, r = body("ä\r\n".encode(), BIT8, ehlo=[])
    equal((r["fate"], r["xyz"]), (FAILED, "5.6.3"), "8-bit data for a 7-bit host")
    peer, r = body("ä\r\n".encode(), BIT8)
    equal((r["fate"], "BODY=8BITMIME" in peer.connections[0][1]), (DELIVERED, True), "BODY=8BITMIME")
    peer, r = body("Subject: ä\r\n\r\nx\r\n".encode(), BIT8 | UTF8, ehlo=["8BITMIME"])
    equal((r["fate"], r["xyz"]), (FAILED, "5.6.7"), "a header in UTF-8 for a host without SMTPUTF8")
    peer, r = body("Subject: a\r\n\r\nä\r\n".encode(), BIT8 | UTF8, ehlo=["8BITMIME"])
    equal(r["fate"], DELIVERED, "with SMTPUTF8 allowed but not needed it goes")
    peer, r = body("Subject: ä\r\n\r\nx\r\n".encode(), BIT8 | UTF8)
    check(r["fate"] == DELIVERED and "SMTPUTF8" in peer.connections[0][1], "SMTPUTF8", r, peer.connections)
    peer = Peer()
    c.send([peer], flags=RET_FULL, envid="QQ314159", notify=2 | 8, orcpt="rfc822;a@dua.example")
    equal(peer.connections[0][1:3], ["MAIL FROM:<hyd@satu.example> SIZE=21 RET=FULL ENVID=QQ314159",
                                     "RCPT TO:<a@dua.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@dua.example"],
          "parameters of notifications go along")
    peer = Peer()
    r = c.send([peer], to=["a@dua.example\r\nDATA", "b@dua.example"])
    equal([x["fate"] for x in r], [FAILED, DELIVERED], "no command hides in an address")
    equal(c.send([Peer()], file=path("gone"))["result"], -2, "a message that is gone")


def reused(c):
    peer = Peer()
    for _ in range(3):
        c.send([peer])
    equal((len(peer.connections), len(peer.messages)), (1, 3), "three messages over one connection")
    peer = Peer({"RCPT bad@dua.example": "550 5.1.1 no"})
    c.send([peer], to=["bad@dua.example"])
    r = c.send([peer])
    equal((r[0]["fate"], "RSET" in peer.connections[0]), (DELIVERED, True), "also after a refusal")
    peer = Peer({"MAIL": ["250 ok", "DROP", "250 ok"]})
    c.send([peer])
    r = c.send([peer])
    equal((r[0]["fate"], len(peer.connections)), (DELIVERED, 2), "one that went away is replaced")
    peer = Peer({"MAIL": ["250 ok", "421 4.4.2 idle too long", "250 ok"]})
    c.send([peer])
    r = c.send([peer])
    equal((r[0]["fate"], len(peer.connections)), (DELIVERED, 2), "so is one that says 421")
    peer = Peer({"MAIL": ["250 ok", "421 4.4.2 idle too long", "250 ok"]}, [])
    c.send([peer])
    r = c.send([peer])
    equal((r[0]["fate"], len(peer.connections)), (DELIVERED, 2), "also when commands go one by one")
    for pipelining in (EHLO, []):
        peer = Peer(None, pipelining)
        c.send([peer])
        peer.sockets[0].sendall(b"550 5.7.1 late\r\n")
        r = c.send([peer])
        equal((r[0]["fate"], len(peer.connections)), (DELIVERED, 2), "and one that said something unasked")
    one, two = Peer(), Peer()
    c.send([one])
    c.send([two], addresses=[two.address])
    equal((len(one.messages), len(two.messages)), (1, 1), "another host is another connection")
    peer = Peer()
    threads = [threading.Thread(target=c.send, args=([peer],)) for _ in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal(len(peer.messages), 10, "ten at once")


def lmtp(c):
    def peer(say):
        return Peer(say, lmtp=True)

    to = ["a@dua.example", "b@dua.example", "c@dua.example"]
    p = peer({".": ["250 2.0.0 a", "550 5.2.2 full", "450 4.2.0 busy"]})
    r = c.send([p], to=to, transport="lmtp")
    equal([(x["fate"], x["xyz"]) for x in r],
          [(DELIVERED, "2.0.0"), (FAILED, "5.2.2"), (DEFERRED, "4.2.0")], "LMTP: an answer a recipient")
    equal(p.connections[0][0], "LHLO mx.satu.example", "LHLO")
    p = peer({"RCPT b@dua.example": "550 5.1.1 no", ".": ["250 2.0.0 a", "DROP"]})
    r = c.send([p], to=to, transport="lmtp")
    equal([(x["fate"], x["xyz"]) for x in r],
          [(DELIVERED, "2.0.0"), (FAILED, "5.1.1"), (DEFERRED, "4.4.2")], "lost between two answers")


def certificate(name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", path(name + ".key"), "-out", path(name + ".pem"), "-days", "2", "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=DNS:" + name], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path(name + ".pem"), path(name + ".key"))
    der = subprocess.run(["openssl", "x509", "-in", path(name + ".pem"), "-pubkey", "-noout"], check=True,
                         capture_output=True).stdout
    spki = base64.b64decode(b"".join(der.split(b"\n")[1:-2]))
    return context, hashlib.sha256(spki).hexdigest()


def tls(c):
    good, spki = certificate("peer0.example")
    other, _ = certificate("other.example")
    yes, no = (DELIVERED, 250, "2.0.0"), (DEFERRED, 0, "4.7.5")
    peer, _ = c.one(want=yes, what="STARTTLS when it is offered", peer_tls=good)
    equal([x.split(" ")[0] for x in peer.connections[0][:4]], ["EHLO", "STARTTLS", "EHLO", "MAIL"], "and a new EHLO")
    peer, _ = c.one(want=yes, what="never", peer_tls=good, tls=NEVER)
    check("STARTTLS" not in peer.connections[0], "is never")
    c.one(want=yes, what="required, and there", peer_tls=good, tls=MUST)
    c.one(want=(DEFERRED, 0, "4.7.4"), what="required, and not offered", tls=MUST)
    c.one({"STARTTLS": "454 4.7.0 not now"}, (DEFERRED, 454, "4.7.0"), "required, and refused", peer_tls=good, tls=MUST)
    c.one({"STARTTLS": "454 4.7.0 not now"}, yes, "offered, refused, not required", peer_tls=good)
    peer, _ = c.one({"STARTTLS": b"220 go\r\nrubbish that is no TLS at all, but enough of it\r\n"}, yes,
                    "a broken handshake: again without", peer_tls=good)
    equal(len(peer.connections), 2, "in a new connection")
    c.one({"STARTTLS": b"220 go\r\nrubbish that is no TLS at all, but enough of it\r\n"}, no,
          "a broken handshake where TLS is required", peer_tls=good, tls=MUST)
    c.one(want=yes, what="a certificate that is trusted", peer_tls=good, tls=VERIFY)
    _, r = c.one(want=no, what="a certificate of somebody else", peer_tls=other, tls=VERIFY)
    check("TLS failed" in r.get("text", ""), "says why", r)
    c.one(want=yes, what="DANE: the key in the DNS", peer_tls=good, tls=DANE, tlsa="030101" + spki)
    c.one(want=no, what="DANE: another key in the DNS", peer_tls=good, tls=DANE, tlsa="030101" + "00" * 32)
    c.one(want=(DEFERRED, 0, "4.7.4"), what="DANE: no TLS", tls=DANE, tlsa="030101" + spki)
    auth = EHLO + ["AUTH PLAIN LOGIN"]
    login = {"user": "hyd", "password": "se:cret"}
    peer, _ = c.one({"AUTH": "235 2.7.0 welcome"}, yes, "a login", peer_tls=good, ehlo=auth, **login)
    check("AUTH PLAIN " + base64.b64encode(b"\0hyd\0se:cret").decode() in peer.connections[0], "by PLAIN")
    peer, _ = c.one({"AUTH LOGIN": "334 VXNlcm5hbWU6", base64.b64encode(b"hyd").decode(): "334 UGFzc3dvcmQ6",
                     base64.b64encode(b"se:cret").decode(): "235 2.7.0 welcome"}, yes, "by LOGIN", peer_tls=good,
                    ehlo=["AUTH LOGIN"], **login)
    c.one({"AUTH": "535 5.7.8 no"}, (DEFERRED, 535, "4.7.8"), "a login that fails is our fault: later", peer_tls=good,
          ehlo=auth, **login)
    peer, _ = c.one(want=(DEFERRED, 0, "4.7.5"), what="no password without TLS", ehlo=auth, **login)
    check(not any(x.startswith("AUTH") for x in peer.connections[0]), "not a byte of it")
    c.one({"AUTH": "235 2.7.0 welcome"}, yes, "but when it is wanted so", ehlo=auth, tls=NEVER, **login)
    c.one(want=(DEFERRED, 0, "4.7.0"), what="no login is offered", peer_tls=good, **login)


def main():
    if not shutil.which("openssl"):
        skip_all("openssl is not installed")
    context, _ = certificate("peer0.example")
    del context
    spans = {k + "-timeout": "1500ms" for k in ("greeting", "helo", "mail", "rcpt", "data", "final")}
    options = dict({"connect-timeout": "3s", "tls-timeout": "5s", "block-timeout": "5s", "idle": "2s"}, **spans)
    shutil.copy(path("peer0.example.pem"), path("ca.pem"))
    # The certificate that is trusted is made again by certificate(): keep one and trust it.
    s = Server({"relay_smtp": options}, tls={"ca": path("peer0.example.pem")})
    c = Cases(s)
    plain(c)
    replies(c)
    broken(c)
    ourselves(c)
    several(c)
    messages(c)
    reused(c)
    lmtp(c)
    counters = s.counters("relay_smtp")
    check(counters["delivered"] > 1000 and counters["reused"] > 3 and counters["ambiguous"] >= 3, "counted", counters)
    equal(s.stop(), 0, "the server ends well")
    tls_server(options)
    done()


def tls_server(options):
    """Its own server, as the trusted certificate must stand there before it starts."""
    make = certificate
    good = make("peer0.example")
    globals()["certificate"] = lambda name: good if name == "peer0.example" else make(name)
    s = Server({"relay_smtp": dict(options, idle="0s")}, name="tls", tls={"ca": path("peer0.example.pem")})
    tls(Cases(s))
    equal(s.stop(), 0, "the server ends well")


assert FOLDER and os
main()
