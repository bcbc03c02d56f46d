#!/usr/bin/env python3
"""Other people's programs with our mailboxes, in either store: curl, mbsync, fetchmail, getmail, mutt."""
import imaplib
import os
import shutil
import smtplib
import ssl
import subprocess

from mailboxlib import MailServer
from netlib import check, done, equal, path, wait_until, write

TEXT = b"From: you@dua.example\r\nTo: hyd@satu.example\r\nSubject: number %d\r\n\r\nText %d\r\n"


def run(*argv, text=None, **more):
    env = dict(os.environ, HOME=path("home"), TERM="dumb", SSL_CERT_FILE=path("cert.pem"), **more)
    return subprocess.run(argv, input=text, capture_output=True, text=True, env=env, timeout=100, check=False)


def have(program):
    there = shutil.which(program) is not None
    if not there:
        check(True, "%s # SKIP it is not installed" % program)
    return there


def names(folder):
    """Of the messages in a Maildir of a client."""
    return sorted(f for d in ("new", "cur") for f in os.listdir(os.path.join(folder, d)))


def inbox(s, what="(FLAGS)"):
    """What lies in INBOX, one line a message."""
    trust = ssl.create_default_context(cafile=path("cert.pem"))
    with imaplib.IMAP4_SSL("localhost", s.port["imaps"], ssl_context=trust) as c:
        c.login("hyd@satu.example", "rahasia")
        c.select("INBOX", readonly=True)
        return [x for x in c.fetch("1:*", what)[1] if x is not None]


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
    sync = path(s.name + "-sync")
    os.makedirs(sync)
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
""" % (s.port["imaps"], path("cert.pem"), sync, sync), 0o600)
    before = len(inbox(s))
    r = run("mbsync", "-c", conf, "-a")
    check(r.returncode == 0 and len(names(sync + "/INBOX")) == before, "mbsync fetches all", r)
    fetched = names(sync + "/INBOX")
    r = run("mbsync", "-c", conf, "-a")
    equal((r.returncode, names(sync + "/INBOX")), (0, fetched), "mbsync a second time fetches nothing")
    write(sync + "/INBOX/cur/1700000000.near.host:2,S", "Subject: from the other side\n\nx\n")
    r = run("mbsync", "-c", conf, "-a")
    check(r.returncode == 0 and len(inbox(s)) == before + 1, "mbsync the other way", r)


def fetchmail(s):
    fetched = path(s.name + "-fetched")
    conf = write("fetchmailrc", "poll localhost protocol POP3 port %d auth password user hyd@satu.example password rahasia"
                 " ssl sslcertfile %s keep mda \"cat >> %s\"\n" % (s.port["pop3s"], path("cert.pem"), fetched), 0o600)
    r = run("fetchmail", "-f", conf, "--pidfile", path("fetchmail.pid"), "-i", path(s.name + "-fetchids"))
    check(r.returncode == 0 and b"number 1" in open(fetched, "rb").read(), "fetchmail", r)


def getmail(s):
    """It may miss the end of the program that it gives a message to, and then waits for its timeout in vain: it is asked again."""
    def fetch(conf, state):
        for _ in range(5):
            r = run("getmail", "--getmaildir", state, "--rcfile", conf)
            if r.returncode == 0:
                break
        return r, open(fetched, encoding="ascii").read().count("\nSubject: ")
    for kind, port in (("SimpleIMAPSSLRetriever", "imaps"), ("SimplePOP3SSLRetriever", "pop3s")):
        state, fetched = path("%s-%s" % (s.name, port)), path("%s-%s-fetched" % (s.name, port))
        os.makedirs(state)
        conf = write("getmailrc", "[retriever]\ntype = %s\nserver = localhost\nport = %d\nusername = hyd@satu.example\n"
                     "password = rahasia\nca_certs = %s\ntimeout = 15\n[destination]\ntype = MDA_external\npath = /usr/bin/tee\n"
                     "arguments = (\"-a\", \"%s\")\nallow_root_commands = true\nunixfrom = false\n"
                     "[options]\nread_all = false\ndelete = false\n"
                     % (kind, s.port[port], path("cert.pem"), fetched), 0o600)
        there = len(inbox(s))
        r, got = fetch(conf, state)
        check(r.returncode == 0 and got >= there, "getmail fetches all by " + port, r, got, there)
        r, again = fetch(conf, state)
        equal((r.returncode, again), (0, got), "and nothing a second time")


def mutt(s):
    rc = write("muttrc", "set imap_user=hyd@satu.example\nset imap_pass=rahasia\nset quit=yes\nset delete=yes\n"
               "set header_cache=\nset certificate_file=%s\nset ssl_verify_host=yes\nset ssl_usesystemcerts=no\n"
               "push \"<limit>all<enter><tag-pattern>~s number<enter><tag-prefix><set-flag>!"
               "<untag-pattern>~A<enter><delete-pattern>~s 'number 2'<enter><sync-mailbox><exit>\"\n" % path("cert.pem"))
    there = len(inbox(s))
    r = run("script", "-qec", "mutt -n -F %s -f imaps://localhost:%d/INBOX" % (rc, s.port["imaps"]), "/dev/null")
    now = inbox(s)
    flagged = [m for m in now if b"\\Flagged" in m]
    equal((r.returncode, len(now), len(flagged)), (0, there - 1, 2), "mutt flags and deletes over IMAP")


def main():
    os.makedirs(path("home"), exist_ok=True)
    for store in ("store_maildir", "store_sqlite"):
        s = MailServer(name=store, store=store)
        with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60) as c:
            for i in (1, 2, 3):
                c.sendmail("you@dua.example", ["hyd@satu.example"], TEXT % (i, i))
        wait_until(lambda: len(inbox(s)) == 3, 60, "the messages are delivered")
        for client in (curl, mbsync, fetchmail, getmail, mutt):
            if have(client.__name__):
                client(s)
        equal(s.stop(), 0, "the server ends well")
    done()


main()
