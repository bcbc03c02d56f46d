#!/usr/bin/env python3
"""kurir-store move: an account goes to another folder of shards with all that it has, and wherever the move is killed it can be
run again and nothing is lost."""
import imaplib
import os
import re
import resource
import smtplib
import sqlite3
import subprocess

from mailboxlib import MailServer, login, ok
from netlib import BUILD, check, done, equal, path, start, wait_until

TOOL = os.path.join(BUILD, "kurir-store")
USER, OTHER = "hyd@satu.example", "siti@satu.example"
FLAGS = (r"\Seen", r"\Flagged work", "", r"\Answered \Seen $Forwarded work", r"\Draft later")
MANY = 150


def fill(s):
    with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60) as c:
        c.sendmail("you@dua.example", [USER, OTHER], "Message-ID: <shared@x>\nSubject: shared\n\nof two\n")
    c = login(s)
    wait_until(lambda: int(ok(c.select("INBOX"))[0]) == 1, 60, "mail comes")
    for n in range(MANY):
        ok(c.append("INBOX", "(%s)" % FLAGS[n % len(FLAGS)], '"01-Feb-2026 10:%02d:00 +0000"' % (n % 60),
                    b"Message-ID: <%d@x>\r\nIn-Reply-To: <%d@x>\r\nSubject: re %d\r\n\r\n%s\r\n" % (n, n // 7, n // 7, b"x" * 100 * n)))
    ok(c.create("Arsip"))
    ok(c.subscribe("Arsip"))
    ok(c.create("Buang"))
    ok(c.select("INBOX"))
    ok(c.copy("5:25", "Arsip"))
    ok(c.copy("30:33", "Buang"))
    ok(c.store("10:40", "+FLAGS", r"(\Flagged)"))
    ok(c.store("60:70,90", "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())
    ok(c.delete("Buang"))
    ok(c.xatom("SETMETADATA", "Arsip", '(/private/comment "old ones")'))
    ok(c.search(None, "TEXT", "shared"))
    c.logout()


def seen(s, user=USER):
    """All that an account says of itself."""
    c = login(s, user)
    found = {"lsub": ok(c.lsub())}
    for line in ok(c.list()):
        name = line.decode().split(' "/" ')[1]
        ok(c.select(name, readonly=True))
        head = [c.response(w)[1][-1] for w in ("UIDVALIDITY", "UIDNEXT", "EXISTS", "HIGHESTMODSEQ")]
        rows = ok(c.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE MODSEQ SAVEDATE BODY.PEEK[])")) if head[2] != b"0" else []
        rows = sorted((r[0].split(b" (", 1)[1].replace(b"\\Recent", b""), r[1]) for r in rows if isinstance(r, tuple))
        ok(c.xatom("GETMETADATA", name, "/private/comment"))
        groups = {}  # threads, by the subjects in them
        for r in ok(c.uid("FETCH", "1:*", "(THREADID)")) if rows else []:
            groups.setdefault(re.search(rb"THREADID \(([^)]*)\)", r).group(1), []).append(re.search(rb"UID (\d+)", r).group(1))
        found[name] = (head, rows, c.response("METADATA")[1], sorted(groups.values()))
    c.logout()
    return found


def move(a, b, **more):
    return subprocess.run([TOOL, "--json", a.root(a.name), "move", USER, b.root(b.name)], capture_output=True, text=True,
                          timeout=300, check=False, **more)


def well(s, what):
    r = subprocess.run([TOOL, s.root(s.name), "check"], capture_output=True, text=True, timeout=300, check=False)
    check(r.returncode == 0, what, r.stdout, r.stderr)


def count(s):
    """Messages of the account, 0 when it is not there; whoever else writes."""
    total = 0
    for shard in range(s.shards):
        name = "%s/%02x/index.db" % (s.root(s.name), shard)
        if os.path.exists(name):
            db = sqlite3.connect(name)
            if db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'account'").fetchone()[0]:
                total += sum(r[0] for r in db.execute("SELECT messages FROM account WHERE name = ?", (USER,)))
            db.close()
    return total


def limited(size):
    """Killed by what writes behind so many bytes of a file."""
    def set_it():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return set_it


def killed_by_size(a, b, whole):
    killed, size = 0, 1024
    while True:
        r = move(a, b, preexec_fn=limited(size))
        if r.returncode == 0:
            break
        if r.returncode > 0 and "File too large" not in r.stderr:
            check(False, "it is killed, or cannot write", size, killed, r.returncode, r.stdout, r.stderr)
            return
        killed += 1
        if whole not in (count(a), count(b)):
            check(False, "the account is whole in one of them", size, count(a), count(b))
            return
        size += 1024 * (4 if size < 65536 else 64)
    check(killed > 10, "killed again and again, it comes to its end, and the account is always whole somewhere", killed)
    equal((count(a), count(b)), (0, whole), "and then it is there")


def lock(s):
    """Nobody else can write to the shard that has the account; what begins one shard holds all."""
    held = []
    for shard in range(s.shards):
        name = "%s/%02x/index.db" % (s.root(s.name), shard)
        if os.path.exists(name):
            held.append(sqlite3.connect(name, isolation_level=None))
            held[-1].execute("BEGIN IMMEDIATE")
    return held


def release(held):
    for db in held:
        db.rollback()
        db.close()


def begun(a, b):
    return start([TOOL, a.root(a.name), "move", USER, b.root(b.name)], "move.log")


def killed_between(a, b, whole):
    """After each of the first two steps: while it waits for who holds the next one up."""
    held = lock(a)
    child = begun(a, b)
    wait_until(lambda: count(b) == whole, 60, "the copy is whole")
    child.kill()
    child.wait()
    equal((count(a), count(b)), (whole, whole), "killed between copy and removal it is in both")
    child = begun(a, b)  # it waits again; then its last step does
    hold_there = lock(b)
    release(held)
    wait_until(lambda: count(a) == 0, 60, "it is removed")
    child.kill()
    child.wait()
    release(hold_there)
    r = move(a, b)
    check(r.returncode == 0, "and goes on from either", r.stdout, r.stderr)
    equal((count(a), count(b)), (0, whole), "to the end")
    r = move(a, b)
    check(r.returncode == 2 and "no such account" in r.stderr, "which is only once", r.stdout, r.stderr)


def main():
    # In one shard accounts share the bytes of a message.
    a, b = (MailServer(name=n, store="store_sqlite", shards=k, single=False) for n, k in (("a", 1), ("b", 3)))
    try:
        fill(a)
        seen(a)
        before, other = seen(a), seen(a, OTHER)
        login(b).logout()
        r = move(a, b)
        check(r.returncode == 2 and "stop it first" in r.stderr, "nothing is moved beside a server", r.stdout, r.stderr)
        equal((a.stop(), b.stop()), (0, 0), "the servers end well")
        whole = count(a)
        killed_by_size(a, b, whole)
        well(a, "all is well where it was")
        well(b, "and where it is")
        killed_between(b, a, whole)
        well(a, "all is well there")
        well(b, "and there")
        r = move(a, a)
        check(r.returncode == 2 and "same folder" in r.stderr, "not to where it is", r.stderr)
        r = subprocess.run([TOOL, a.root(a.name), "move", USER, path(".")], capture_output=True, text=True, timeout=60, check=False)
        check(r.returncode == 2 and "no folder of shards" in r.stderr, "nor to where there are no shards", r.stderr)
        check(move(a, b).returncode == 0, "once more")
        a.start()
        b.start()
        now = seen(b)
        equal([k for k in sorted(set(before) | set(now)) if before.get(k) != now.get(k)], [],
              "UIDs, UIDVALIDITY, UIDNEXT, mod-sequences, flags, dates, threads, subscriptions and bytes are what they were")
        equal(seen(a, OTHER), other, "and those of others, who had a message with the same bytes")
        back = [b.ctl("mailbox", "undelete", USER, "INBOX"), b.ctl("mailbox", "restore", USER, "Buang")]
        equal([x.get("data", x).get("messages") for x in back], [12, 4], "and what went can be brought back")
        c = login(b)
        ok(c.select("INBOX"))
        equal([len(ok(c.search(None, "TEXT", '"%s"' % w))[0].split()) for w in ("of two", "nowhere at all")], [1, 0], "it is searched there")
        c.logout()
        c = login(a)
        ok(c.append("INBOX", "", None, b"Subject: another\r\n\r\n"))
        c.logout()
        equal((a.stop(), b.stop()), (0, 0), "the servers end well")
        r = move(a, b)
        check(r.returncode == 2 and "another account" in r.stderr, "two accounts do not become one", r.stdout, r.stderr)
        well(b, "all is well in the end")
    except (AssertionError, OSError, imaplib.IMAP4.error, sqlite3.Error) as e:
        check(False, "the move's story", repr(e), a.text()[-2000:], b.text()[-2000:])
        raise SystemExit(1) from e
    done()


main()
