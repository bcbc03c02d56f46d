#!/usr/bin/env python3
"""Other people's programs with our mailboxes: curl, mbsync, fetchmail."""
import os
import shutil
import subprocess

from mailboxlib import MailServer
from netlib import check, done, equal, path, write

TEXT = b"From: you@dua.example\r\nTo: hyd@satu.example\r\nSubject: number %d\r\n\r\nText %d\r\n"


def run(*argv, text=None, **more):
    env = dict(os.environ, HOME=path("home"), TERM="dumb", SSL_CERT_FILE=path("cert.pem"), **more)
    return subprocess.run(argv, input=text, capture_output=True, text=True, env=env, timeout=100, check=False)


def have(program):
    there = shutil.which(program) is not None
    if not there:
        check(True, "%s # SKIP it is not installed" % program)
    return there


def count(folder):
    return sum(len(os.listdir(os.path.join(folder, d))) for d in ("new", "cur"))


def curl(s):
    login = ("curl", "-sS", "--cacert", path("cert.pem"), "-u", "hyd@satu.example:rahasia")
    for url in ("imaps://localhost:%d/INBOX;MAILINDEX=1" % s.port["imaps"],
                "pop3s://localhost:%d/1" % s.port["pop3s"]):
        r = run(*login, url)
        check(r.returncode == 0 and "number 1" in r.stdout, "curl " + url[:5], r)
    r = run(*login, "--ssl-reqd", "-T", write("up", "Subject: up\r\n\r\nx\r\n"),
            "imap://localhost:%d/INBOX" % s.port["imap"])
    check(r.returncode == 0, "curl appends, by STARTTLS", r)


def mbsync(s):
    os.makedirs(path("sync"))
    conf = write("mbsyncrc", """IMAPAccount k
Host localhost
Port %d
User hyd@satu.example
Pass rahasia
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account k

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""" % (s.port["imaps"], path("cert.pem"), path("sync"), path("sync")), 0o600)
    before = count(s.maildir())
    r = run("mbsync", "-c", conf, "-a")
    check(r.returncode == 0 and count(path("sync/INBOX")) == before, "mbsync fetches all", r)
    names = sorted(os.listdir(path("sync/INBOX/cur")) + os.listdir(path("sync/INBOX/new")))
    r = run("mbsync", "-c", conf, "-a")
    equal((r.returncode, sorted(os.listdir(path("sync/INBOX/cur")) + os.listdir(path("sync/INBOX/new")))),
          (0, names), "mbsync a second time fetches nothing")
    write("sync/INBOX/cur/1700000000.near.host:2,S", "Subject: from the other side\n\nx\n")
    r = run("mbsync", "-c", conf, "-a")
    check(r.returncode == 0 and count(s.maildir()) == before + 1, "mbsync the other way", r)


def fetchmail(s):
    conf = write("fetchmailrc", "poll localhost protocol POP3 port %d auth password user hyd@satu.example password rahasia"
                 " ssl sslcertfile %s keep mda \"cat >> %s\"\n" % (s.port["pop3s"], path("cert.pem"), path("fetched")), 0o600)
    r = run("fetchmail", "-f", conf, "--pidfile", path("fetchmail.pid"), "-i", path("fetchids"))
    check(r.returncode == 0 and b"number 1" in open(path("fetched"), "rb").read(), "fetchmail", r)


def main():
    os.makedirs(path("home"), exist_ok=True)
    s = MailServer()
    for i in (1, 2, 3):
        s.deliver(TEXT % (i, i))
    for client in (curl, mbsync, fetchmail):
        if have(client.__name__):
            client(s)
    equal(s.stop(), 0, "the server ends well")
    done()


main()
