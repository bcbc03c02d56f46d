#!/usr/bin/env python3
"""store_sqlite: mailboxes of a shard in the format of version 1 are there when it was upgraded, and can be taken back; and what is
wrong with a sheet is found by who checks it."""
import imaplib
import os
import sqlite3
import subprocess

import sheets
from mailboxlib import MailServer, login, ok
from netlib import BUILD, check, done, equal

USER = "hyd@satu.example"
TOOL = os.path.join(BUILD, "kurir-store")
FLAGS = (r"\Seen", r"\Flagged work", "", r"\Answered \Seen $Forwarded work", r"\Draft later")
MANY = 700


def fill(c):
    for n in range(MANY):
        ok(c.append("INBOX", "(%s)" % FLAGS[n % len(FLAGS)], '"01-Feb-2026 10:%02d:00 +0000"' % (n % 60),
                    b"From: a@dua.example\r\nSubject: %d\r\n\r\n%s\r\n" % (n, b"x" * n)))
    ok(c.create("Arsip"))
    ok(c.select("INBOX"))
    ok(c.copy("5:25", "Arsip"))
    ok(c.store("10:400", "+FLAGS", r"(\Flagged)"))
    ok(c.store("100:120,300", "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())


def seen(c):
    """All that the two mailboxes say of their messages."""
    all_of = []
    for box in ("INBOX", "Arsip"):
        ok(c.select(box))
        all_of.append(sorted(r if isinstance(r, bytes) else b"".join(r) for r in ok(
            c.uid("FETCH", "1:*", "(FLAGS INTERNALDATE SAVEDATE RFC822.SIZE MODSEQ BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))))
    return all_of


def checked(s, status=0):
    r = subprocess.run([TOOL, s.root(s.name), "check"], capture_output=True, text=True, timeout=300, check=False)
    equal(r.returncode, status, "the check ends with %d" % status)
    return r.stdout + r.stderr


def upgrade(s, *words, status=0):
    r = subprocess.run([TOOL, "--json", s.root(s.name), "upgrade"] + list(words), capture_output=True, text=True, timeout=300,
                       check=False)
    check(r.returncode == status, "upgrade %s ends with %d" % (" ".join(words), status), r.returncode, r.stdout, r.stderr)
    return r.stdout + r.stderr


def refused(s, words):
    try:
        s.start()
        check(False, "the server starts")
        s.stop()
    except AssertionError:
        check(words in s.text(), "the server says: " + words, s.text()[-1500:])


def version(shard):
    with sqlite3.connect(shard) as db:
        found = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()
    return found


def rehearsed(s, shard, before):
    """To the new format, read there, and back; not without what came meanwhile, unless that is said; and at last for good."""
    with open(shard, "rb") as f:
        old = f.read()
    refused(s, "kurirctl store upgrade")
    check("does not know" not in checked(s, 1), "nor does the check read it")
    equal((open(shard, "rb").read() == old, version(shard)), (True, 1), "and nothing is changed unasked")
    check('"shards": 1' in upgrade(s), "it is upgraded")
    check('"shards": 0' in upgrade(s), "once")
    s.start()
    upgrade(s, "back", status=2)
    c = login(s)
    check(seen(c) == before, "what was there is read in the new format")
    c.logout()
    equal(s.stop(), 0, "the server ends well")
    check('"shards": 1' in upgrade(s, "back"), "it is taken back")
    equal(version(shard), 1, "to what it was")
    refused(s, "kurirctl store upgrade")
    upgrade(s)
    s.start()
    c = login(s)
    ok(c.append("INBOX", "", None, b"Subject: meanwhile\r\n\r\n"))
    c.logout()
    s.ctl("mailbox", "purge")
    equal(s.stop(), 0, "the server ends well")
    check("would be lost" in upgrade(s, "back", status=1), "it is not taken back when something came")
    equal(version(shard), 3, "and stays")
    upgrade(s, "back", "anyway")
    equal(version(shard), 1, "unless that is said")
    upgrade(s)
    check('"shards": 1' in upgrade(s, "commit"), "it is committed")
    check('"shards": 0' in upgrade(s, "back"), "after which there is no way back")
    equal(version(shard), 3, "any more")
    upgrade(s, "sideways", status=2)


def older(s, shard):
    c = login(s)
    fill(c)
    seen(c)
    before = seen(c)  # nothing is recent any more
    c.logout()
    equal(s.stop(), 0, "the server ends well")
    checked(s)
    with sqlite3.connect(shard) as db:
        sheets.back_to_1(db)
    db.close()
    rehearsed(s, shard, before)
    s.start()
    c = login(s)
    after = seen(c)
    check(after == before, "an older shard has what it had", [x for x in before[0] + before[1] if x not in after[0] + after[1]][:3])
    said = c.select("INBOX"), c.untagged_responses.get("FLAGS")
    check(b"work" in said[1][-1] and b"$Forwarded" in said[1][-1], "and its keywords", said)
    ok(c.append("INBOX", "", None, b"Subject: later\r\n\r\n"))
    ok(c.select("INBOX"))
    for word, count in (("later", 1), ("69", 17), ("nothing", 0)):
        found = ok(c.search(None, "SUBJECT", word))[0].split()
        equal(len(found), count, "a search looks at fields that are kept and at those that are not: %s" % word)
    ok(c.store("1:*", "-FLAGS", r"(\Seen)"))
    c.logout()
    equal(s.stop(), 0, "the server ends well")
    checked(s)


def wrong(s, shard):
    for change, words in (("UPDATE sheet SET messages = messages + 1", "counts other messages than it has"),
                          ("UPDATE sheet SET modseq = modseq - 1", "counts other messages than it has"),
                          ("UPDATE sheet SET data = substr(data, 1, length(data) - 1)", "is damaged"),
                          ("UPDATE sheet SET data = data || x'ff'", "is damaged"),
                          ("DELETE FROM sheet WHERE id = (SELECT max(id) FROM sheet)", "is in no sheet"),
                          ("DELETE FROM message WHERE uid = 7", "is in a sheet and nowhere else"),
                          ("UPDATE email SET size = size + 1 WHERE id = 9", "has another size or date"),
                          ("UPDATE blob SET fields = x'41'", "has other fields than are kept of it"),
                          ("UPDATE mailbox SET keywords = ''", "has keywords that its mailbox does not know")):
        with open(shard, "rb") as f:
            good = f.read()
        with sqlite3.connect(shard) as db:
            db.execute(change)
        db.close()
        said = checked(s, 1)
        check(words in said, "it is found that a message or a sheet " + words, said[:1000])
        with open(shard, "wb") as f:
            f.write(good)


def newer(s, shard):
    with sqlite3.connect(shard) as db:
        db.execute("PRAGMA user_version = 4")
    db.close()
    check("cannot be read" in checked(s, 1), "a shard of a version to come is left alone")
    upgrade(s, status=2)
    refused(s, "of a later server")


def main():
    s = MailServer(store="store_sqlite", shards=1, single=False)
    try:
        shard = s.root(s.name) + "/00/index.db"
        for part in (older, wrong, newer):
            part(s, shard)
    except (AssertionError, OSError, imaplib.IMAP4.error, sqlite3.Error) as e:
        check(False, "the shard's story", repr(e), s.text()[-3000:])
        raise SystemExit(1) from e
    done()


main()
