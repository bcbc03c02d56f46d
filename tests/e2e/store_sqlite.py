#!/usr/bin/env python3
"""Mailboxes in SQLite: what IMAP and POP3 clients see, also after a crash, and who may write what."""
import imaplib
import os
import poplib
import re
import signal
import smtplib
import sqlite3
import threading

from mailboxlib import USERS, MailServer, login, ok, tls
from netlib import check, done, equal, wait_until

USER = "hyd@satu.example"
ROLES = ("edge", "queue", "resolver", "relay", "store", "access", "auth", "control")
TEXT = "From: you@dua.example\r\nTo: hyd@satu.example\r\nSubject: %s\r\n\r\nHello.\r\n"


class Mailboxes(MailServer):
    def start(self):
        self.modules["queue_journal"] = {"retry": ["1s"]}
        super().start()


def send(s, subject, to=(USER,)):
    with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60) as c:
        c.sendmail("you@dua.example", list(to), TEXT % subject)


def subjects(c, box="INBOX"):
    count = int(ok(c.select(box, readonly=True))[0])
    if not count:
        return []
    rows = ok(c.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    return [r[1].decode().split(": ")[1].strip() for r in rows if isinstance(r, tuple)]


def arrives(s, c, subject):
    wait_until(lambda: subject in subjects(c), 60, subject)


def shards(s):
    return sorted(e.path for e in os.scandir(s.root(s.name)) if e.is_dir())


def messages(s):
    """Rows of all shards."""
    count = 0
    for shard in shards(s):
        with sqlite3.connect("file:%s/index.db?mode=ro" % shard, uri=True) as db:
            count += db.execute("SELECT count(*) FROM message").fetchone()[0]
    return count


def imap(s):
    c = login(s)
    equal(subjects(c), [], "a new account has an empty INBOX")
    send(s, "one")
    arrives(s, c, "one")
    ok(c.append("INBOX", r"(\Flagged work)", '"01-Feb-2026 10:00:00 +0000"', (TEXT % "two").encode()))
    equal(subjects(c), ["one", "two"], "a message that was appended comes behind it")
    ok(c.select("INBOX"))
    row = ok(c.fetch("2", "(FLAGS INTERNALDATE RFC822.SIZE UID)"))[0].decode()
    check(r"\Flagged" in row and "work" in row and " 1-Feb-2026 10:00:00 +0000" in row and "UID 2" in row,
          "it has its flags, keyword, date and UID", row)
    ok(c.create("Arsip/2026"))
    names = [n.decode().split('"/" ')[1].strip('"') for n in ok(c.list())]
    equal(names, ["INBOX", "Arsip", "Arsip/2026"], "a level above is made with it")
    equal(c.create("Arsip")[0], "NO", "and is not made twice")
    ok(c.copy("1:2", "Arsip/2026"))
    ok(c.select("Arsip/2026"))
    equal(ok(c.fetch("1:*", "(FLAGS)"))[1].decode().count("work"), 1, "a copy has the keyword")
    ok(c.store("1", "+FLAGS", r"(\Seen \Deleted)"))
    ok(c.expunge())
    equal(subjects(c, "Arsip/2026"), ["two"], "what is expunged is gone")
    equal(subjects(c), ["one", "two"], "its copy is not")
    ok(c.rename("Arsip", "Lama"))
    equal(subjects(c, "Lama/2026"), ["two"], "what is below a renamed mailbox comes with it")
    equal(c.select("Arsip/2026")[0], "NO", "and is no longer where it was")
    ok(c.rename("Lama/2026", "Baru/2025"))
    equal(subjects(c, "Baru"), [], "a level above a new name is made with it")
    ok(c.delete("Lama"))
    ok(c.delete("Baru/2025"))
    ok(c.delete("Baru"))
    ok(c.create("Satu/Dua/Tiga"))
    ok(c.create("Satu0"))
    ok(c.delete("Satu/Dua"))
    ok(c.delete("Satu"))
    names = [(n.decode().split('"/" ')[1].strip('"'), "Noselect" in n.decode()) for n in ok(c.list())]
    equal(names, [("INBOX", False), ("Satu", True), ("Satu/Dua", True), ("Satu/Dua/Tiga", False), ("Satu0", False)],
          "a level that was deleted is still a level of what is below it")
    ok(c.delete("Satu/Dua/Tiga"))
    ok(c.delete("Satu0"))
    ok(c.subscribe("INBOX"))
    equal(len(ok(c.lsub())), 1, "a subscription is kept")
    ok(c.select("INBOX"))
    ok(c.store("2", "-FLAGS", "(work)"))
    check("work" not in ok(c.fetch("2", "(FLAGS)"))[0].decode(), "a keyword goes")
    c.logout()


def idle(s):
    """Raw, as imaplib has no IDLE in this Python."""
    c = login(s)
    ok(c.select("INBOX"))
    c.send(b"x IDLE\r\n")
    c.readline()
    send(s, "while you wait")
    lines = [c.readline() for _ in range(1)]
    check(b"EXISTS" in lines[0], "who waits is told of new mail", lines)
    c.send(b"DONE\r\n")
    while not c.readline().startswith(b"x OK"):
        pass
    c.logout()


def behind(s):
    """A session that has not heard yet that another expunged a message."""
    c, other = login(s), login(s)
    ok(c.create("Dua"))
    for subject in ("first", "second", "third"):
        ok(c.append("Dua", "", None, (TEXT % subject).encode()))
    ok(c.select("Dua"))
    ok(other.select("Dua"))
    ok(other.store("2", "+FLAGS", r"(\Deleted)"))
    ok(other.expunge())
    rows = [r[1].decode() for r in ok(c.fetch("1:3", "(BODY.PEEK[])")) if isinstance(r, tuple)]
    equal(rows, [TEXT % x for x in ("first", "second", "third")], "it reads it still")
    envelopes = b"".join(ok(c.fetch("1:3", "(ENVELOPE)")))
    check(b'"second"' in envelopes, "and what it is about", envelopes)
    ok(c.noop())
    equal(c.response("EXPUNGE")[1], [b"2"], "then it is told")
    rows = [r[1].decode() for r in ok(c.fetch("1:*", "(BODY.PEEK[])")) if isinstance(r, tuple)]
    equal(rows, [TEXT % x for x in ("first", "third")], "and it is gone")
    equal(ok(c.uid("fetch", "2", "(BODY.PEEK[])")), [None], "by its UID too")
    c.close()
    ok(c.delete("Dua"))
    c.logout()
    other.logout()


def pop3(s):
    p = poplib.POP3_SSL("127.0.0.1", s.port["pop3s"], context=tls())
    p.user(USER)
    p.pass_(USERS[USER])
    uids = p.uidl()[1]
    equal(len(uids), 3, "POP3 sees the same messages")
    other = poplib.POP3_SSL("127.0.0.1", s.port["pop3s"], context=tls())
    other.user(USER)
    try:
        other.pass_(USERS[USER])
        check(False, "a second POP3 session is refused")
    except poplib.error_proto as e:
        check(b"IN-USE" in e.args[0], "a second POP3 session is refused", e)
    p.dele(1)
    p.quit()
    c = login(s)
    equal(subjects(c), ["two", "while you wait"], "what POP3 deleted is gone")
    c.logout()


def shared_bytes(s):
    before = sum(os.path.getsize(os.path.join(f, n)) for f in shards(s) for n in os.listdir(f) if n.endswith(".blob"))
    c = login(s)
    ok(c.create("Salin"))
    ok(c.select("INBOX"))
    ok(c.copy("1:*", "Salin"))
    c.logout()
    after = sum(os.path.getsize(os.path.join(f, n)) for f in shards(s) for n in os.listdir(f) if n.endswith(".blob"))
    equal(after, before, "a copy takes no room for its bytes")


def tools(s):
    """What an administrator gets to see, by kurirctl."""
    boxes = {b["mailbox"]: b for b in s.ctl("mailbox", "list", USER)["list"]}
    equal(sorted(boxes), ["INBOX", "Salin"], "kurirctl lists the mailboxes")
    c = login(s)
    ok(c.delete("Salin"))
    equal(s.ctl("mailbox", "restore", USER, "Salin")["messages"], 2, "a mailbox that was deleted comes back")
    equal(subjects(c, "Salin"), ["two", "while you wait"], "with what was in it")
    c.logout()
    equal([a["account"] for a in s.ctl("mailbox", "list")["list"]], [USER], "accounts are listed, over all shards")
    equal(len(s.ctl("mailbox", "usage")["list"]), 16, "and what the shards take")


def store(s):
    """Its pid, when it is ready."""
    pids = [p["pid"] for p in s.ctl("status")["processes"] if p["role"] == "store" and p["state"] == "ready"]
    return pids[0] if pids else None


def crash(s):
    """The store role dies again and again while mail comes: none is lost, none is there twice."""
    sent, stop = [], threading.Event()

    def client():
        while not stop.is_set():
            subject = "crash-%d" % len(sent)
            send(s, subject)
            sent.append(subject)
    thread = threading.Thread(target=client, daemon=True)
    thread.start()
    killed = None  # which may be seen for a moment after its end
    for n in range(5):
        goal = len(sent) + 10
        wait_until(lambda g=goal: len(sent) >= g, 60, "mail is taken")
        killed = wait_until(lambda k=killed: store(s) if store(s) != k else None, 60, "the store role is there again")
        os.kill(killed, signal.SIGKILL)
    stop.set()
    thread.join(60)
    c = login(s)
    wait_until(lambda: set(sent) <= set(subjects(c)), 120, "all of it arrives")
    got = [x for x in subjects(c) if x.startswith("crash-")]
    equal(len(got), len(set(got)), "each message is there once")
    c.logout()


def rights(s):
    """The access role can read what is there, and nothing more."""
    if os.geteuid() != 0:
        return
    modes = {oct(os.stat(os.path.join(f, n)).st_mode & 0o027) for f in shards(s) for n in os.listdir(f)
             if os.path.isfile(os.path.join(f, n))}
    check(all(int(m, 8) & 0o027 == 0 for m in modes), "no file can be written by others", modes)


CHINESE = ("From: you@dua.example\r\nSubject: charset\r\nMessage-ID: <c@dua.example>\r\nContent-Type: text/plain; charset=gb2312\r\n"
           "Content-Transfer-Encoding: base64\r\n\r\n1tDOxA==\r\n")
ANSWER = "From: you@dua.example\r\nSubject: Re:charset\r\nReferences: <c@dua.example>\r\n\r\nyes\r\n"


def facts(s):
    """What is read of a message when it comes, also by converters that cannot be loaded in a sandbox."""
    c = login(s)
    for text in (CHINESE, ANSWER):
        with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60) as m:
            m.sendmail("you@dua.example", [USER], text)
    arrives(s, c, "charset")
    arrives(s, c, "Re:charset")
    ok(c.select("INBOX", readonly=True))
    found = ok(c.search(None, 'SUBJECT "charset"'))[0].split()
    equal(len(found), 2, "both are found by a header")
    preview = ok(c.fetch(found[0], "(PREVIEW)"))[0]
    equal(preview[1] if isinstance(preview, tuple) else preview, "\u4e2d\u6587".encode(), "a preview from a charset of China")
    threads = {re.search(rb"THREADID (\S+)\)", ok(c.fetch(n, "(THREADID)"))[0]).group(1) for n in found}
    equal(len(threads), 1, "an answer is in the thread of its question")
    c.logout()


def main():
    more = {}
    if os.geteuid() == 0:  # each role a user of its own, in its sandbox
        more = {"sandbox": "required", "users": {r: 64300 + n for n, r in enumerate(ROLES)}}
    s = Mailboxes(store="store_sqlite", single=False, **more)
    try:
        for part in (imap, idle, behind, pop3, shared_bytes, tools, crash, facts, rights):
            part(s)
    except (AssertionError, OSError, imaplib.IMAP4.error) as e:
        check(False, "the clients' story", repr(e), s.text()[-3000:])
        raise SystemExit(1) from e
    count = messages(s)
    equal(s.stop(), 0, "the server ends well")
    s.start()
    c = login(s)
    equal(messages(s), count, "all is there after a restart")
    check("two" in subjects(c), "and can be read")
    c.logout()
    for shard in shards(s):
        with sqlite3.connect(os.path.join(shard, "index.db")) as db:
            equal(db.execute("PRAGMA integrity_check").fetchone()[0], "ok", "the database is whole")
    equal(s.stop(), 0, "the server ends well")
    s.modules["store_sqlite"]["shards"] = 3
    try:
        s.start()
        check(False, "with another number of shards it does not start")
        s.stop()
    except AssertionError:
        check('shards 16"' in s.text(), "with another number of shards it does not start", s.text()[-2000:])
    done()


if __name__ == "__main__":
    main()
