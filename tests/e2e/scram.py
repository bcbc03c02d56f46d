#!/usr/bin/env python3
"""SCRAM-SHA-256: IMAP, POP3 and submission clients that prove their password and never send it."""
import base64
import hashlib
import hmac
import imaplib
import poplib
import smtplib
import ssl
import subprocess

from mailboxlib import USERS, MailServer, tls
from netlib import KURIRCTL, check, done, equal, path, wait_until

USER = "hyd@satu.example"


class Scram:
    """The client's side (RFC 5802); binding: what this end of the connection sees."""
    def __init__(self, user, password, gs2="n,,", binding=b""):
        self.user, self.password, self.gs2, self.binding = user, password, gs2, binding
        self.bare = "n=%s,r=rOprNGfwEbeRWgbNEkqO" % user
        self.step = 0

    def first(self):
        return (self.gs2 + self.bare).encode()

    def final(self, server_first):
        server_first = server_first.decode()
        fields = dict(f.split("=", 1) for f in server_first.split(","))
        assert fields["r"].startswith("rOprNGfwEbeRWgbNEkqO") and len(fields["r"]) > 40
        self.salt, self.iterations = fields["s"], int(fields["i"])
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(self.salt), self.iterations)
        key = hmac.digest(salted, b"Client Key", "sha256")
        stored = hashlib.sha256(key).digest()
        channel = base64.b64encode(self.gs2.encode() + self.binding).decode()
        without = "c=%s,r=%s" % (channel, fields["r"])
        message = ",".join((self.bare, server_first, without)).encode()
        proof = bytes(a ^ b for a, b in zip(key, hmac.digest(stored, message, "sha256")))
        server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        self.expected = b"v=" + base64.b64encode(server)
        return (without + ",p=" + base64.b64encode(proof).decode()).encode()

    def __call__(self, challenge):
        self.step += 1
        if self.step == 1:
            return self.first()
        if self.step == 2:
            return self.final(challenge)
        equal(challenge, self.expected, "the server proves that it knows the password, too")
        return b""


def end_point(sock):
    """tls-server-end-point of this end (RFC 5929)."""
    return hashlib.sha256(sock.getpeercert(True)).digest()


def imap(s, scram, mechanism="SCRAM-SHA-256", bind=False):
    with imaplib.IMAP4_SSL("127.0.0.1", s.port["imaps"], ssl_context=tls()) as c:
        if bind:
            scram.binding = end_point(c.sock)
        try:
            c.authenticate(mechanism, scram)
            c.select("INBOX")
            return c.state
        except imaplib.IMAP4.error as e:
            return str(e)


def imap_logins(s):
    c = imaplib.IMAP4_SSL("127.0.0.1", s.port["imaps"], ssl_context=tls())
    check("AUTH=SCRAM-SHA-256" in c.capabilities and "AUTH=SCRAM-SHA-256-PLUS" in c.capabilities,
          "IMAP offers it, bound and not", c.capabilities)
    c.logout()
    for user, password in USERS.items():
        equal(imap(s, Scram(user, password)), "SELECTED", "IMAP: " + user)
    equal(imap(s, Scram("hyd", "rahasia")), "SELECTED", "the domain is added")
    equal(imap(s, Scram("HYD@Satu.example", "rahasia")), "SELECTED", "case does not matter")
    bound = Scram(USER, "rahasia", "p=tls-server-end-point,,")
    equal(imap(s, bound, "SCRAM-SHA-256-PLUS", True), "SELECTED", "bound to the certificate")


def imap_refusals(s):
    for scram, mechanism, why in (
            (Scram(USER, "rahasiA"), "SCRAM-SHA-256", "AUTHENTICATIONFAILED"),
            (Scram("nobody@satu.example", "rahasia"), "SCRAM-SHA-256", "AUTHENTICATIONFAILED"),
            (Scram(USER, "rahasia", "y,,"), "SCRAM-SHA-256", "AUTHENTICATIONFAILED"),
            (Scram(USER, "rahasia", "n,a=siti@satu.example,"), "SCRAM-SHA-256", "AUTHENTICATIONFAILED"),
            (Scram(USER, "rahasia", "p=tls-unique,,", b"x"), "SCRAM-SHA-256-PLUS", "AUTHENTICATIONFAILED"),
            (Scram(USER, "rahasia", "p=tls-server-end-point,,", b"x" * 32), "SCRAM-SHA-256-PLUS",
             "AUTHENTICATIONFAILED"),
            (Scram(USER, "rahasia", "p=tls-exporter,,", b"x" * 32), "SCRAM-SHA-256-PLUS", "AUTHENTICATIONFAILED"),
            (Scram(USER, "rahasia", "n,,"), "SCRAM-SHA-256-PLUS", "Not a message of that mechanism")):
        answer = imap(s, scram, mechanism)
        check(why in answer, "%s with %s" % (mechanism, scram.gs2), answer)


def nobody_looks_like_somebody(s):
    salts = {}
    for user in ("nobody@satu.example", "nobody@satu.example", "somebody@satu.example", USER):
        scram = Scram(user, "x")
        imap(s, scram)
        equal(scram.iterations, 100000, "iterations of " + user)
        equal(len(base64.b64decode(scram.salt)), 16, "a salt of the same length")
        salts.setdefault(user, set()).add(scram.salt)
    equal(len(salts["nobody@satu.example"]), 1, "that stays the same")
    equal(len(set.union(*salts.values())), 3, "and is another for another name")
    return salts["nobody@satu.example"]


def pop3(s):
    p = poplib.POP3_SSL("127.0.0.1", s.port["pop3s"], context=tls())
    equal(p.capa()["SASL"], ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"], "POP3 offers it")
    scram = Scram(USER, "rahasia", "p=tls-server-end-point,,", end_point(p.sock))

    def answer(line):
        p.sock.sendall(base64.b64encode(scram(base64.b64decode(line[2:]))) + b"\r\n")
        return p.file.readline().strip()
    p.sock.sendall(b"AUTH SCRAM-SHA-256-PLUS\r\n")
    line = p.file.readline().strip()
    while line.startswith(b"+ ") or line == b"+":
        line = answer(line)
    check(line.startswith(b"+OK"), "POP3", line)
    check(p.stat()[0] >= 0, "and its mailbox")
    p.quit()


def submission(s):
    with smtplib.SMTP_SSL("127.0.0.1", s.port["submissions"], context=tls(), timeout=60) as c:
        c.ehlo()
        equal(c.esmtp_features["auth"].split(), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"],
              "submission offers it")
        scram = Scram(USER, "rahasia")
        initial = base64.b64encode(scram(b"")).decode()
        code, line = c.docmd("AUTH", "SCRAM-SHA-256 " + initial)
        while code == 334:
            code, line = c.docmd(base64.b64encode(scram(base64.b64decode(line))).decode())
        equal(code, 235, "submission")
    with smtplib.SMTP_SSL("127.0.0.1", s.port["submissions"], context=tls(), timeout=60) as c:
        c.ehlo()
        scram = Scram(USER, "wrong")
        code, line = c.docmd("AUTH", "SCRAM-SHA-256 " + base64.b64encode(scram(b"")).decode())
        code, line = c.docmd(base64.b64encode(scram(base64.b64decode(line))).decode())
        equal(code, 535, "a wrong password")
        equal(c.docmd("AUTH", "SCRAM-SHA-256 " + base64.b64encode(b"nonsense").decode())[0], 501, "nonsense")
        equal(c.docmd("AUTH", "SCRAM-SHA-256 " + base64.b64encode(b"n,,n=a,r=" + b"x" * 5000).decode())[0], 501,
              "a nonce without end")


def changed(s):
    """A new password, and a verifier that nobody has."""
    subprocess.run([KURIRCTL, "passwd", path("users"), USER], input="lain\n", text=True, check=True,
                   capture_output=True)
    wait_until(lambda: imap(s, Scram(USER, "lain")) == "SELECTED", 60, "the new password")
    check(imap(s, Scram(USER, "rahasia")) != "SELECTED", "not the old one")
    with open(path("users"), encoding="utf-8") as f:
        text = f.read()
    equal(text.count("#scram-secret: "), 1, "one secret in the file")
    with open(path("users"), "w", encoding="utf-8") as f:
        f.write(text.replace(":SCRAM-SHA-256$", ":nothing:SCRAM-SHA-256$"))
    wait_until(lambda: imap(s, Scram(USER, "lain")) != "SELECTED", 60, "without a verifier no SCRAM")
    c = imaplib.IMAP4_SSL("127.0.0.1", s.port["imaps"], ssl_context=tls())
    equal(c.login(USER, "lain")[0], "OK", "but the password")
    c.logout()


class Scrams(MailServer):
    def start(self):
        self.modules["smtp"]["scram"] = True
        self.modules["auth_file"].update({"failures": 1000, "failures-network": 1000})
        super().start()


s = Scrams(imap={"scram": True}, pop3={"scram": True})
imap_logins(s)
imap_refusals(s)
salt = nobody_looks_like_somebody(s)
pop3(s)
submission(s)
equal(s.stop(), 0, "the server ends well")
s.start()
equal(nobody_looks_like_somebody(s), salt, "also after a restart")
changed(s)
equal(s.stop(), 0, "the server ends well")
done()
