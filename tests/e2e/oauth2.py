#!/usr/bin/env python3
"""Tokens instead of passwords: curl's OAUTHBEARER and XOAUTH2 in IMAP, POP3 and submission; an issuer that changes its key."""
import base64
import imaplib
import json
import os
import subprocess
import time

from mailboxlib import MailServer, tls
from netlib import KURIRCTL, check, done, equal, path, wait_until, write

USER, ISSUER = "hyd@satu.example", "https://login.satu.example/"


def url64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """Signs with a key of P-256, which openssl makes."""

    def __init__(self, name):
        self.name, self.key = name, path(name + ".pem")
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key], check=True,
                       capture_output=True)
        der = subprocess.run(["openssl", "ec", "-in", self.key, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        self.public = {"kty": "EC", "crv": "P-256", "kid": name, "x": url64(der[-64:-32]), "y": url64(der[-32:])}

    def token(self, **claims):
        claims = dict({"iss": ISSUER, "aud": "mail", "exp": int(time.time()) + 600, "email": USER}, **claims)
        text = "%s.%s" % tuple(url64(json.dumps(v).encode()) for v in ({"alg": "ES256", "kid": self.name}, claims))
        der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), check=True,
                             capture_output=True).stdout
        r_len = der[3]
        numbers = der[4:4 + r_len], der[6 + r_len:]
        raw = b"".join(n.lstrip(b"\0").rjust(32, b"\0") for n in numbers)
        return text + "." + url64(raw)


def publish(*issuers):
    write("keys.new", json.dumps({"keys": [i.public for i in issuers]}), 0o644)
    os.rename(path("keys.new"), path("keys.json"))


def curl(url, token, *more, user=USER):
    return subprocess.run(["curl", "-sS", "--cacert", path("cert.pem"), "-u", user + ":", "--oauth2-bearer", token, *more, url],
                          capture_output=True, text=True, timeout=60, check=False)


def log_in(s, token, mechanism="OAUTHBEARER", user=""):
    """What an IMAP client hears: True, or the refusal."""
    first = "n,%s,\1auth=Bearer %s\1\1" % ("a=" + user if user else "", token)
    said = []
    if mechanism == "XOAUTH2":
        first = "user=%s\1auth=Bearer %s\1\1" % (user, token)

    def answer(challenge):
        said.append(challenge)
        return first.encode() if len(said) == 1 else b"\1"
    with imaplib.IMAP4_SSL("127.0.0.1", s.port["imaps"], ssl_context=tls()) as c:
        try:
            c.authenticate(mechanism, answer)
            return True
        except imaplib.IMAP4.error as e:
            return str(e), said[1:]


def main():
    one, two = Issuer("one"), Issuer("two")
    publish(one)
    s = MailServer(imap={"oauth": True}, pop3={"oauth": True}, oauth={"keys": path("keys.json"), "issuer": ISSUER, "audience": "mail"})
    s.deliver(b"From: you@dua.example\r\nSubject: by token\r\n\r\nx\r\n")
    token = one.token()
    for what, url, more in (
            ("IMAP", "imaps://localhost:%d/INBOX;MAILINDEX=1" % s.port["imaps"], ()),
            ("IMAP, XOAUTH2", "imaps://localhost:%d/INBOX;MAILINDEX=1" % s.port["imaps"], ("--login-options", "AUTH=XOAUTH2")),
            ("POP3", "pop3s://localhost:%d/1" % s.port["pop3s"], ())):
        r = curl(url, token, *more)
        check(r.returncode == 0 and "by token" in r.stdout, "curl by " + what, r)
    mail = write("up", "From: %s\r\nSubject: sent by token\r\n\r\nx\r\n" % USER)
    r = curl("smtps://localhost:%d" % s.port["submissions"], token, "--mail-from", USER, "--mail-rcpt", "siti@satu.example", "-T", mail)
    check(r.returncode == 0, "curl submits", r)
    equal(log_in(s, token, user=USER.upper()), True, "the name in other letters")
    refused = [(one.token(exp=int(time.time()) - 3600), "", "it has expired"),
               (one.token(aud="web"), "", "it is for another audience"),
               (one.token(iss="https://else.example/"), "", "it has another issuer"),
               (one.token(email=None), "", "it names no account"),
               (token, "siti@satu.example", "it is somebody else's")]
    for bad, user, why in refused:
        said = log_in(s, bad, user=user)
        check(said is not True and "AUTHENTICATIONFAILED" in said[0] and said[1] == [b'{"status":"invalid_token"}'],
              "refused: " + why, said)
        wait_until(lambda w=why: "why=\"%s\"" % w in s.text(), 60, "the log says so")
    for bad in (two.token(), token[:-4] + "AAAA", "x", token.split(".")[0] + "." + token.split(".")[1] + "."):
        check(log_in(s, bad) is not True, "not signed by the issuer")
    check(token not in s.text() and "eyJ" not in s.text(), "no token is in the log")
    publish(two)
    wait_until(lambda: log_in(s, two.token()) is True, 60, "the new key counts")
    check(log_in(s, token) is not True, "the old key does not")
    write("keys.json", "{}", 0o644)
    wait_until(lambda: log_in(s, two.token()) is True and "cannot use the keys" in s.text(), 60, "keys of no use are told of")
    equal(log_in(s, two.token()), True, "and those of before stay")
    r = subprocess.run([KURIRCTL, "-c", s.conf, "explain", USER], capture_output=True, text=True, timeout=60, check=False)
    check(r.returncode == 0, "explain", r)
    equal(s.stop(), 0, "the server ends well")
    done()


main()
