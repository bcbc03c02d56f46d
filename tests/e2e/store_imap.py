#!/usr/bin/env python3
"""kurir-store import imap...: all mailboxes of an account come from Dovecot and from a Kurir, while those run; an import that was
killed goes on where it was; and a server that lies gets no more than a clear error."""
import imaplib
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time

from mailboxlib import USERS, MailServer, ok, tls
from netlib import BUILD, KURIRCTL, check, done, equal, free_port, path, start, wait_until, write

TOOL = os.path.join(BUILD, "kurir-store")
USER = "hyd@satu.example"
FLAGS = (r"\Seen", r"\Flagged work", "", r"\Answered \Seen $Forwarded work", r"\Draft later")
MANY = 450  # more than two pages


def login(port, user=USER, password=None):
    c = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=tls())
    c.login(user, password or USERS[user])
    return c


def separator(c):
    return re.search(rb'\) "(.)" ', c.list()[1][0]).group(1).decode()


def fill(c, use=""):
    """Two mailboxes, with gaps in the UIDs of one; one that is empty and has a name that is encoded; one for what was sent."""
    for n in range(MANY):
        ok(c.append("INBOX", "(%s)" % FLAGS[n % len(FLAGS)], '"%02d-Feb-2026 10:%02d:00 +0%d00"' % (n % 28 + 1, n % 60, n % 8),
                    b"From: a@dua.example\r\nSubject: %d {5}\r\n\r\n%s\r\n" % (n, b"x" * n)))
    box = "Arsip%s2026" % separator(c)
    ok(c.create(box))
    ok(c.create("R&AOk-sum&AOk-"))
    ok(c.create("Kirim" + use))
    ok(c.append("INBOX.Kirim" if separator(c) == "." else "Kirim", r"(\Seen)", None, b"Subject: sent\r\n\r\n"))
    ok(c.subscribe(box))
    ok(c.select("INBOX"))
    ok(c.copy("5:25", box))
    ok(c.store("100:120,300,%d" % MANY, "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())
    ok(c.store("7", "+FLAGS", r"(\Deleted)"))


def seen(c):
    """All that an account says of itself, in names with "/"."""
    by = separator(c)
    found = {"subscribed": sorted(l.decode().split(' "%s" ' % by)[1].strip('"').replace(by, "/") for l in ok(c.lsub()) if l)}
    for line in ok(c.list()):
        name = line.decode().split(' "%s" ' % by)[1]
        if b"\\Noselect" in line:
            continue
        ok(c.select(name, readonly=True))
        head = [c.response(w)[1][-1] for w in ("UIDVALIDITY", "UIDNEXT", "EXISTS")] + re.findall(rb"\\(?:Sent|Junk|Drafts)", line)
        rows = []
        if head[2] != b"0":
            for r in ok(c.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")):
                if isinstance(r, tuple):
                    what = r[0].decode()
                    when = imaplib.Internaldate2tuple(r[0])
                    rows.append((int(re.search(r"UID (\d+)", what).group(1)),
                                 sorted(set(re.search(r"FLAGS \(([^)]*)\)", what).group(1).split()) - {r"\Recent"}),
                                 time.mktime(when), r[1]))
        found[name.strip('"').replace(by, "/")] = (head, rows)
    return found


def run(s, url, *more, account=USER, password="rahasia", ca="cert.pem"):
    args = [TOOL, "--json", s.root(s.name), "import", url, "--account", account, "--ca", path(ca), *more]
    return subprocess.run(args, input=password + "\n", capture_output=True, text=True, timeout=300, check=False)


def imported(s, url, what, **more):
    r = run(s, url, **more)
    check(r.returncode == 0, what, r.returncode, r.stdout, r.stderr)
    return r


def differs(a, b):
    return [(k, a.get(k), b.get(k)) for k in sorted(set(a) | set(b)) if a.get(k) != b.get(k)]


class Stalling:
    """Passes bytes on, to the client only so many; then nothing any more."""

    def __init__(self, port, limit):
        self.to, self.limit, self.stalled = port, limit, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.to))
        threading.Thread(target=self.up, args=(client, server), daemon=True).start()
        passed = 0
        while passed < self.limit:
            data = server.recv(min(8192, self.limit - passed))
            if not data:
                return
            passed += len(data)
            client.sendall(data)
        self.stalled.set()

    @staticmethod
    def up(client, server):
        try:
            while data := client.recv(8192):
                server.sendall(data)
        except OSError:
            pass  # it was killed


def interrupted(s, port, user, account):
    """Killed when some of it is there; then the whole of it comes, nothing twice."""
    fronts = [Stalling(port, n) for n in (30000, 160000)]
    for front in fronts:
        child = start([TOOL, s.root(s.name), "import", "imaps://%s@127.0.0.1:%d" % (user, front.port), "--account", account,
                       "--ca", path("cert.pem"), "--password-file", write("secret", "rahasia\n", 0o600)], "killed.log")
        check(front.stalled.wait(60), "an import is under way", open(path("killed.log")).read())
        child.kill()
        child.wait()
    r = imported(s, "imaps://%s@127.0.0.1:%d" % (user, port), "and goes on after it was killed", account=account)
    there = int(re.search(r'"there": (\d+)', r.stdout).group(1))
    check(0 < there < MANY, "what was there is not fetched again", r.stdout)


def same_again(s, url, source, account, password):
    r = imported(s, url, "a second time", account=account)
    check('"added": 0,' in r.stdout, "adds nothing", r.stdout)
    before = seen(source)
    ok(source.append("INBOX", r"(\Seen)", None, b"Subject: later\r\n\r\n"))
    r = imported(s, url, "a third time", account=account)
    check('"added": 1,' in r.stdout, "adds what came meanwhile", r.stdout)
    c = login(s.port["imaps"], account, password)
    now = seen(c)
    equal(len(now["INBOX"][1]), len(before["INBOX"][1]) + 1, "once")
    equal(differs(now, seen(source)), [], "and all is as it is there")
    c.logout()


def from_kurir(s):
    source = MailServer(name="source", store="store_sqlite", single=False)
    c = login(source.port["imaps"])
    fill(c, r" (USE (\Sent))")
    seen(c)
    url = "imap://hyd%%40satu.example@localhost:%d/" % source.port["imap"]
    imported(s, url, "an account comes from a Kurir, by STARTTLS")
    mine = login(s.port["imaps"])
    equal(differs(seen(mine), seen(c)), [], "with UIDs, UIDVALIDITY, UIDNEXT, flags, keywords, dates, subscriptions, bytes")
    equal(seen(mine)["Kirim"][0][3:], [rb"\Sent"], "and what a mailbox is for")
    mine.logout()
    same_again(s, url, c, USER, None)
    r = run(s, url, password="wrong")
    check(r.returncode == 2 and "NO" in r.stderr or "says" in r.stderr, "a wrong password is an error", r.stdout, r.stderr)
    r = run(s, url, "--ca", "/etc/hostname")
    check(r.returncode == 2 and "no certificates" in r.stderr, "so is a file without certificates", r.stderr)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    path("k2.pem"), "-out", path("other.pem"), "-days", "30", "-subj", "/CN=localhost"], check=True,
                   capture_output=True)
    r = run(s, url, ca="other.pem")
    check(r.returncode == 2 and "certificate is not good" in r.stderr, "and a certificate that nobody vouches for", r.stderr)
    moved_on(s, c, url)
    c.logout()
    equal(source.stop(), 0, "the source ends well")


def moved_on(s, c, url):
    """A message of others has the UID that one of the source comes with: nobody may take one for the other."""
    mine = login(s.port["imaps"])
    before = seen(mine)["INBOX"]
    ok(mine.append("INBOX", "", None, b"Subject: of others\r\n\r\n"))
    ok(c.append("INBOX", "", None, b"Subject: of the source\r\n\r\n"))
    r = imported(s, url, "where others came meanwhile")
    check("new UIDVALIDITY" in r.stderr, "that is said", r.stderr)
    after = seen(mine)["INBOX"]
    equal((len(after[1]), int(after[0][0]) > int(before[0][0])), (len(before[1]) + 2, True), "and UIDVALIDITY is another")
    mine.logout()


def dovecot(s):
    if os.getuid() != 0 or not os.access("/usr/sbin/dovecot", os.X_OK):
        check(True, "Dovecot # SKIP it is not installed, or not root's to start")
        return
    version = subprocess.run(["/usr/sbin/dovecot", "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("2.3"):
        check(True, "Dovecot # SKIP its configuration is another in %s" % version.strip())
        return
    port = free_port()
    os.makedirs(path("dovecot/mail"))
    os.chown(path("dovecot/mail"), 65534, 65534)
    conf = write("dovecot.conf", """base_dir = %(d)s/base
state_dir = %(d)s/state
log_path = %(d)s/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <%(cert)s
ssl_key = <%(key)s
mail_location = maildir:%(d)s/mail/%%u
first_valid_uid = 1
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = daemon
service anvil {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = %(port)d
    ssl = yes
  }
}
passdb {
  driver = static
  args = password=rahasia
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=%(d)s/mail/%%u
}
namespace inbox {
  inbox = yes
  prefix = INBOX.
  separator = .
  mailbox Kirim {
    special_use = \\Sent
  }
}
""" % {"d": path("dovecot"), "cert": path("cert.pem"), "key": path("key.pem"), "port": port})
    child = start(["/usr/sbin/dovecot", "-F", "-c", conf], "dovecot.out")

    def serves():
        try:
            return login(port, "siti", "rahasia")
        except (OSError, imaplib.IMAP4.error):
            assert child.poll() is None, open(path("dovecot.out")).read()
            return None
    c = wait_until(serves, 30, "Dovecot serves")
    account, password = "siti@satu.example", USERS["siti@satu.example"]
    inbox_prefix(c)
    interrupted(s, port, "siti", account)
    mine = login(s.port["imaps"], account, password)
    ours, theirs = seen(mine), seen(c)
    theirs = {n.replace("INBOX/", ""): v for n, v in theirs.items()}
    theirs["subscribed"] = [n.replace("INBOX/", "") for n in theirs["subscribed"]]
    del ours["Arsip"]  # above another, which here is a mailbox, too
    equal(differs(ours, theirs), [], "an account comes from Dovecot, without the prefix of its names")
    equal(ours["Kirim"][0][3:], [rb"\Sent"], "and with what a mailbox is for")
    mine.logout()
    c.logout()
    child.terminate()
    child.wait(30)


def inbox_prefix(c):
    """The same as fill(), below a prefix."""
    real = c.create
    for name in ("create", "subscribe"):
        setattr(c, name, lambda box, do=getattr(c, name): do(box if box.startswith("INBOX") else "INBOX." + box))
    copy = c.copy
    c.copy = lambda which, box: copy(which, "INBOX." + box)
    fill(c)
    c.create, c.copy = real, copy


class Liar:
    """Says what it is told to, behind TLS: (what the client's command begins with, what is said then; a list: and then it leaves)."""

    def __init__(self, lines, greeting=b"* OK hello\r\n"):
        self.lines, self.greeting, self.said = list(lines), greeting, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path("cert.pem"), path("key.pem"))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        plain, _ = self.listener.accept()
        try:
            with self.context.wrap_socket(plain, server_side=True) as c:
                c.sendall(self.greeting)
                f = c.makefile("rb")
                while line := f.readline():
                    self.said += line
                    tag, _, command = line.strip().partition(b" ")
                    for has, says in self.lines:
                        if command.startswith(has):
                            c.sendall(b"".join(says).replace(b"TAG", tag) if isinstance(says, list) else says.replace(b"TAG", tag))
                            if isinstance(says, list):
                                return
                            break
                    else:
                        c.sendall(tag + b" OK done\r\n")
        except OSError:
            pass


SELECT = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] {5}\r\n* OK [UIDNEXT 9] next\r\nTAG OK [READ-ONLY] done\r\n"
LIST = b'* LIST () "/" INBOX\r\nTAG OK done\r\n'
ONE = b'* 1 FETCH (UID 3 FLAGS (\\Seen) INTERNALDATE "01-Feb-2026 10:00:00 +0000" RFC822.SIZE 5)\r\nTAG OK done\r\n'
BODY = b"* 1 FETCH (UID 3 BODY[] {5}\r\nA: b\n)\r\nTAG OK done\r\n"
LIES = (
    ("a greeting that never ends", "more than can be", [], b"* OK " + b"x" * 2000000),
    ("a greeting of nobody", "begins with", [], b"220 smtp\r\n"),
    ("a closed door", "begins with", [], b"* BYE go away\r\n"),
    ("letting anybody in", "wants more", [(b"LOGIN", b"* BAD x\r\n+ go on\r\n")], None),
    ("a list without end", "its answer", [(b"LIST", b'* LIST () "/" INBOX\r\n' * 4000000)], None),
    ("more mailboxes than can be", "its answer", [(b"LIST", b"".join(b'* LIST () "/" b%d\r\n' % n for n in range(10001)))], None),
    ("a list that breaks off", "makes no sense", [(b"LIST", b"* LIST (\\Noselect\r\n")], None),
    ("no response at all", "no response", [(b"LIST", b"nonsense\r\n")], None),
    ("no UIDVALIDITY", "Protocol error", [(b"LIST", LIST), (b"EXAMINE", b"* 1 EXISTS\r\nTAG OK done\r\n")], None),
    ("a message that is too large", "a message of", [(b"LIST", LIST), (b"EXAMINE", SELECT), (b"FETCH", ONE),
     (b"UID FETCH", b"* 1 FETCH (UID 3 BODY[] {9999999999999}\r\n")], None),
    ("two bodies", "two bodies", [(b"LIST", LIST), (b"EXAMINE", SELECT), (b"FETCH", ONE),
     (b"UID FETCH", b"* 1 FETCH (UID 3 BODY[] {1}\r\na BODY[] {1}\r\nb)\r\n")], None),
    ("a body that was not asked for", "makes no sense", [(b"LIST", LIST), (b"EXAMINE", SELECT), (b"FETCH", ONE),
     (b"UID FETCH", b"* 1 FETCH (UID 4 BODY[] {1}\r\na)\r\n")], None),
    ("a body that breaks off", "closed|unexpected eof", [(b"LIST", LIST), (b"EXAMINE", SELECT), (b"FETCH", ONE),
     (b"UID FETCH", [b"* 1 FETCH (UID 3 BODY[] {100}\r\na"])], None),
    ("messages in no order", "makes no sense", [(b"LIST", LIST), (b"EXAMINE", SELECT.replace(b"1 EXISTS", b"2 EXISTS")),
     (b"FETCH", ONE.replace(b"TAG OK done\r\n", b"") + ONE)], None),
    ("parentheses without end", "makes no sense", [(b"LIST", LIST), (b"EXAMINE", SELECT),
     (b"FETCH", b"* 1 FETCH (X " + b"(" * 500000 + b"\r\n")], None),
    ("a literal that is too large", "more than can be", [(b"LIST", b"* LIST () \"/\" {4000000000}\r\n" + b"x" * 2000000)], None),
    ("a date of no day", "makes no sense", [(b"LIST", LIST), (b"EXAMINE", SELECT), (b"FETCH", ONE.replace(b"01-Feb", b"99-Xyz"))],
     None),
)


def lies(s):
    for what, words, lines, greeting in LIES:
        liar = Liar(lines, greeting or b"* OK hello\r\n")
        before = subprocess.run([TOOL, s.root(s.name), "check"], capture_output=True, text=True, timeout=300, check=False).stdout
        r = run(s, "imaps://liar@127.0.0.1:%d" % liar.port, account="liar@satu.example")
        check(r.returncode == 2 and re.search(words, r.stderr) is not None and "Traceback" not in r.stderr,
              "%s is a clear error" % what, r.returncode, r.stdout, r.stderr[-1500:])
        after = subprocess.run([TOOL, s.root(s.name), "check"], capture_output=True, text=True, timeout=300, check=False).stdout
        equal(after, before, "and nothing is kept of it")


def gaps(s):
    """What a server does not give is missing, which is said; and comes when it gives it."""
    some = [(b"LIST", LIST), (b"EXAMINE", SELECT), (b"FETCH", ONE)]
    r = run(s, "imaps://liar@127.0.0.1:%d" % Liar(some).port, account="liar@satu.example")
    check(r.returncode == 1 and "does not give" in r.stderr and '"added": 0,' in r.stdout, "a message that is not given is missing",
          r.stdout, r.stderr)
    r = run(s, "imaps://liar@127.0.0.1:%d" % Liar(some + [(b"UID FETCH", BODY)]).port, account="liar@satu.example")
    check(r.returncode == 0 and '"added": 1,' in r.stdout, "and comes the next time", r.stdout, r.stderr)
    r = run(s, "imap://nobody@127.0.0.1", "--no-such-option")
    check(r.returncode == 2 and "kurir-store" in r.stderr, "an option that is none is said", r.stderr)
    for url in ("imaps://127.0.0.1", "imaps://a@", "imaps://a@h:0", "imaps://a@h:x", "imaps://a%zz@h", "imaps://a@h/INBOX", "http://a@h"):
        r = run(s, url)
        check(r.returncode == 2, "no such URL can be: " + url, r.stdout, r.stderr)
    r = subprocess.run([KURIRCTL, "-c", s.conf, "store", "import", "imaps://a@127.0.0.1:%d" % Liar(some + [(b"UID FETCH", BODY)]).port,
                        "--account", "liar@satu.example", "--ca", path("cert.pem")], input="x\n", capture_output=True, text=True,
                       timeout=300, check=False)
    check(r.returncode == 0 and "1 were there" in r.stdout, "kurirctl passes the options on", r.stdout, r.stderr)


def main():
    s = MailServer(store="store_sqlite", shards=2, single=False)
    try:
        for part in (from_kurir, dovecot, lies, gaps):
            part(s)
        r = subprocess.run([TOOL, s.root(s.name), "check"], capture_output=True, text=True, timeout=300, check=False)
        check(r.returncode == 0, "all is well in the store", r.stdout, r.stderr)
    except (AssertionError, OSError, imaplib.IMAP4.error) as e:
        check(False, "the import's story", repr(e), s.text()[-3000:])
        raise SystemExit(1) from e
    equal(s.stop(), 0, "the server ends well")
    sys.stdout.flush()
    done()


main()
