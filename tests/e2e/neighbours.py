#!/usr/bin/env python3
"""Other programs on the same Maildir at the same time: Dovecot and mutt; and offlineimap over IMAPS."""
import imaplib
import os
import shutil
import subprocess
import sys

from mailboxlib import MailServer, tls
from netlib import check, done, equal, path, write

DOVECOT = "/usr/lib/dovecot/imap"
ROOT = os.getuid() == 0
UNROOT = "setpriv --reuid 65534 --regid 65534 --clear-groups " if ROOT else ""  # Dovecot serves nobody who is root


def text(n):
    return b"From: a@dua.example\r\nTo: hyd@satu.example\r\nSubject: number %d\r\n\r\nText %d\r\n" % (n, n)


def run(*argv, **more):
    env = dict(os.environ, HOME=path("home"), TERM="dumb", **more)
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=100,
                          check=False)


def have(program):
    there = shutil.which(program) is not None
    if not there:
        check(True, "%s # SKIP it is not installed" % program)
    return there


def kurir(s):
    c = imaplib.IMAP4_SSL("localhost", s.port["imaps"], ssl_context=tls(), timeout=60)
    c.login("hyd@satu.example", "rahasia")
    c.select()
    return c


def neighbour(s):
    """Dovecot's imap, logged in already, on its standard input and output."""
    version = run("dovecot", "--version").stdout.split(".")
    new = [int(x) for x in version[:2]] >= [2, 4]
    where = ("mail_driver = maildir\nmail_path = %s\n" if new else "mail_location = maildir:%s\n") % s.maildir()
    head = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n" if new else ""
    conf = write("dovecot.conf", head + where + "ssl = no\nbase_dir = %s\nlog_path = %s\nlock_method = fcntl\n" %
                 (path("home/dovecot"), path("home/dovecot.log")))
    c = imaplib.IMAP4_stream("HOME=%s USER=hyd %s%s -c %s 2>>%s" % (path("home"), UNROOT, DOVECOT, conf, path("dovecot.err")))
    equal(c.state, "AUTH", "Dovecot is there")
    c.select()
    return c


def uids(c):
    """UID -> subject, and flags without \\Recent."""
    ans = c.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    found = {}
    for a in ans:
        if isinstance(a, tuple):
            uid = int(a[0].split(b"UID ")[1].split()[0])
            flags = a[0].split(b"FLAGS (")[1].split(b")")[0].split()
            found[uid] = (a[1].strip(), frozenset(flags) - {b"\\Recent"})
    return found


def same(k, d, what):
    k.select()
    d.select()
    a, b = uids(k), uids(d)
    equal(sorted(a.values(), key=repr), sorted(b.values(), key=repr), what)
    equal(len(set(x[0] for x in a.values())), len(a), "no message twice")
    return a, b


def dovecot(s):
    if not os.access(DOVECOT, os.X_OK):
        check(True, "Dovecot # SKIP it is not installed")
        return
    for n in range(3):
        s.deliver(text(n))
    k, d = kurir(s), neighbour(s)
    a, b = same(k, d, "both see what is delivered")
    equal(len(a), 3, "all of it")
    k.uid("STORE", str(min(a)), "+FLAGS", "(\\Flagged)")
    d.uid("STORE", str(min(b)), "+FLAGS", "(\\Answered)")
    d.uid("STORE", str(max(b)), "+FLAGS", "(\\Seen)")
    same(k, d, "flags of both")
    d.uid("STORE", str(max(b)), "+FLAGS", "(Work)")
    k.select()
    k.uid("STORE", str(max(a)), "+FLAGS", "(\\Draft)")
    d.select()
    check(b"Work" in uids(d)[max(b)][1], "Dovecot's keyword stays when Kurir changes flags", uids(d))
    d.uid("STORE", str(max(b)), "-FLAGS", "(Work)")
    s.deliver(text(3))
    d.append("INBOX", "(\\Seen)", None, text(4))
    k.append("INBOX", "(\\Seen)", None, text(5))
    more, more_d = same(k, d, "new mail of three sides")
    equal((len(more), set(a) <= set(more), set(b) <= set(more_d)), (6, True, True), "UIDs stay what they were")
    k.uid("STORE", str(min(a)), "+FLAGS", "(\\Deleted)")
    k.expunge()
    d.select()
    d.uid("STORE", str(max(b)), "+FLAGS", "(\\Deleted)")
    d.expunge()
    left, left_d = same(k, d, "what is left when both have removed one")
    equal((len(left), set(left) <= set(more), set(left_d) <= set(more_d)), (4, True, True), "and the UIDs of it")
    k.logout()
    d.logout()


def mutt(s):
    if not have("mutt"):
        return
    s.deliver(text(20))
    k = kurir(s)
    before = uids(k)
    rc = write("muttrc", "set mbox_type=Maildir\nset quit=yes\nset delete=yes\nset header_cache=\nset sort=date\n"
               "push \"<limit>all<enter><tag-pattern>~s number<enter><tag-prefix><set-flag>!<sync-mailbox><exit>\"\n")
    r = run("script", "-qec", "mutt -n -F %s -f %s" % (rc, s.maildir()), "/dev/null")
    k.select()
    now = uids(k)
    equal((r.returncode, list(now)), (0, list(before)), "mutt leaves the UIDs")
    check(all(b"\\Flagged" in f for _, f in now.values()), "what mutt flags is flagged", r, now)
    k.logout()


def offlineimap(s):
    if not have("offlineimap"):
        return
    conf = write("offlineimaprc", """[general]
accounts = a
metadata = %s
ui = quiet
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = %s
[Repository far]
type = IMAP
remotehost = localhost
remoteport = %d
ssl = yes
sslcacertfile = %s
remoteuser = hyd@satu.example
remotepass = rahasia
""" % (path("meta"), path("off"), s.port["imaps"], path("cert.pem")), 0o600)
    box = path("off/INBOX")

    def there():
        return sorted(os.listdir(box + "/cur") + os.listdir(box + "/new"))
    k = kurir(s)
    before = uids(k)
    r = run("offlineimap", "-o", "-c", conf)
    check(r.returncode == 0 and len(there()) == len(before), "offlineimap fetches all", r)
    names = there()
    r = run("offlineimap", "-o", "-c", conf)
    equal((r.returncode, there()), (0, names), "a second time nothing")
    with open(box + "/cur/1700000000.near:2,S", "wb") as f:
        f.write(text(30).replace(b"\r\n", b"\n"))
    r = run("offlineimap", "-o", "-c", conf)
    r = run("offlineimap", "-o", "-c", conf)
    k.select()
    now = uids(k)
    equal((r.returncode, len(now), len(there()), set(before) <= set(now)),
          (0, len(before) + 1, len(before) + 1, True), "the other way, once")
    k.logout()


os.makedirs(path("home"), exist_ok=True)
os.makedirs(path("n-boxes"), exist_ok=True)
if ROOT:
    os.chown(path("home"), 65534, 65534)
    os.chown(path("n-boxes"), 65534, 65534)
server = MailServer(name="n", single=not ROOT, **({"users": {"default": 65534}} if ROOT else {}))
for part in (dovecot, mutt, offlineimap):
    try:
        part(server)
    except Exception as e:  # noqa: the rest is still worth trying
        check(False, "%s ended: %r" % (part.__name__, e), *server.text().splitlines()[-15:])
equal(server.stop(), 0, "the server ends well")
sys.stdout.flush()
done()
