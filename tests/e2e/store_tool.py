#!/usr/bin/env python3
"""kurir-store: mailboxes come in from a Maildir as Dovecot leaves it, and from an mbox; they are checked, exported,
damaged, and their database is made again."""
import fcntl
import glob
import imaplib
import os
import sqlite3
import subprocess

import sheets
from mailboxlib import MailServer, login, ok
from netlib import BUILD, KURIRCTL, check, done, equal, path

USER = "hyd@satu.example"
TOOL = os.path.join(BUILD, "kurir-store")


def tool(s, *args, status=0):
    r = subprocess.run([TOOL, "--json", s.root(s.name)] + list(args), capture_output=True, text=True, timeout=300,
                       check=False)
    if r.returncode != status:
        check(False, "kurir-store %s ends with %d" % (args[0], status), r.returncode, r.stdout, r.stderr)
        raise SystemExit(1)
    return r.stdout.strip(), r.stderr.strip()


def message(n, lines=3):
    return "From: a@dua.example\nSubject: %s\n\n%s" % (n, "".join("line %d of %s\n" % (i, n) for i in range(lines)))


def put(folder, name, text, date=1600000000):
    with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as f:
        f.write(text)
    os.utime(os.path.join(folder, name), (date, date))


def make_maildir(top):
    """As Dovecot has it: two mailboxes with lists, one without."""
    for box in ("", ".Arsip.2026", ".R&AOk-sum&AOk-"):
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(top, box, part))
    put(top, "cur/1600000000.M1P1.host,S=50:2,S", message("one"))
    put(top, "cur/1600000001.M2P1.host:2,FSa", message("two"), 1600000001)
    put(top, "new/1600000002.M3P1.host", message("three", 0), 1600000002)
    put(top, "new/1600000003.M4P1.host", message("not in the list"), 1600000003)
    put(top, "dovecot-uidlist", "3 V1234567 N30 G0123456789abcdef\n7 S50 W60 :1600000000.M1P1.host,S=50\n"
        "12 :1600000001.M2P1.host:2,FS\n20 :1600000002.M3P1.host\n25 :1600000009.M9P1.gone\n")
    put(top, "dovecot-keywords", "0 $Forwarded\n1 unused\n")
    put(top, "subscriptions", "V\t2\n\nArsip\t2026\n")
    put(os.path.join(top, ".Arsip.2026"), "cur/1.a.host:2,RT", message("archived"))
    put(os.path.join(top, ".Arsip.2026"), "dovecot-uidlist", "1 7654321 5\n4 1.a.host:2,\n")
    put(os.path.join(top, ".R&AOk-sum&AOk-"), "cur/2.b.host:2,", message("utf-7"))


def rows(c, box):
    ok(c.select(box, readonly=True))
    if not int(c.untagged_responses.get("EXISTS", [b"0"])[-1]):
        return []
    found = []
    for r in ok(c.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")):
        if isinstance(r, tuple):
            head = r[0].decode()
            flags = sorted(set(head.split("FLAGS (")[1].split(")")[0].split()) - {"\\Recent"})
            found.append((int(head.split("UID ")[1].split()[0].strip(")")), flags, r[1].decode().split(": ")[1].strip()))
    return found


def imported(s):
    top = path("maildir")
    make_maildir(top)
    said, _ = tool(s, "import", USER, "maildir", top)
    equal(said, '{"messages": 6, "added": 6, "there": 0, "bytes": %s' % said.split('"bytes": ')[1], "a Maildir comes in")
    c = login(s)
    equal(rows(c, "INBOX"), [(7, ["\\Seen"], "one"), (12, ["$Forwarded", "\\Flagged", "\\Seen"], "two"), (20, [], "three"),
                             (21, [], "not in the list")], "with UIDs, flags and keywords")
    equal(c.response("UIDVALIDITY")[1], [b"1234567"], "and UIDVALIDITY")
    equal(c.response("UIDNEXT")[1], [b"30"], "UIDs that others were told of are not given again")
    equal(rows(c, "Arsip/2026"), [(4, ["\\Answered", "\\Deleted"], "archived")], "from a list of the first version, too")
    equal(c.response("UIDVALIDITY")[1], [b"7654321"], "and its UIDVALIDITY")
    equal(rows(c, '"R&AOk-sum&AOk-"'), [(1, [], "utf-7")], "names are decoded")
    ok(c.select("INBOX", readonly=True))
    text = ok(c.fetch("2", "(INTERNALDATE BODY.PEEK[])"))[0]
    check(b"13-Sep-2020 12:26:41 +0000" in text[0] and text[1] == message("two").replace("\n", "\r\n").encode(),
          "bytes and dates are those of the file", text)
    equal(len(ok(c.lsub())), 1, "subscriptions come along")
    c.logout()
    said, _ = tool(s, "import", USER, "maildir", top)
    check('"added": 0, "there": 6' in said, "the same again adds nothing", said)
    put(top, "new/1600000004.M5P1.host", message("later"))
    said, _ = tool(s, "import", USER, "maildir", top)
    check('"added": 1, "there": 6' in said, "only what came meanwhile", said)


def led_astray(s):
    """Who owns a Maildir cannot have other folders read, nor hold the import up."""
    top, others = path("strange"), path("others")
    for folder in (top, others):
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(folder, part))
    put(others, "cur/1.a.host:2,", message("of somebody else"))
    os.symlink(others, os.path.join(top, ".Tautan"))
    os.mkfifo(os.path.join(top, "cur/2.b.host:2,"))
    said, errors = tool(s, "import", "siti@satu.example", "maildir", top, status=1)
    check('"added": 0' in said and "not a folder of this Maildir" in errors and "no file" in errors, "what is none of its files is left",
          said, errors)


def mbox(s):
    put(path("."), "in.mbox", "From a@dua.example Thu Jan  1 00:00:07 2026\nStatus: RO\nX-Status: F\nSubject: first\n\n"
        ">From the start\n>>From twice\nFrom within\n\nFrom b@dua.example Fri Jan  2 00:00:00 2026\n"
        "Subject: second\nX-Keywords: work a)b c\\d \"e {5} f\rg *\n\nno end of line")
    said, _ = tool(s, "import", USER, "mbox", path("in.mbox"), "Dari/mbox")
    check('"added": 2' in said, "an mbox comes in", said)
    c = login(s)
    equal(rows(c, "Dari/mbox"), [(1, ["\\Flagged", "\\Seen"], "first"), (2, ["work"], "second")], "with flags")
    text = ok(c.fetch("1", "(INTERNALDATE BODY.PEEK[TEXT])"))[0]
    check(b" 1-Jan-2026 00:00:07 +0000" in text[0] and text[1] == b"From the start\r\n>From twice\r\nFrom within\r\n",
          "and quoted lines", text)
    c.logout()
    put(path("."), "bad.mbox", "no mbox\n")
    tool(s, "import", USER, "mbox", path("bad.mbox"), "Lain", status=2)
    tool(s, "import", USER, "mbox", path("in.mbox"), "a//b", status=2)
    tool(s, "import", USER, "maildir", path("nowhere"), status=2)


def exported(s):
    """To a Maildir, and from it into another account: the same again."""
    said, _ = tool(s, "export", USER, "maildir", path("out"))
    check('"messages": 9' in said and '"problems": 0' in said, "an account is exported", said)
    with open(path("out/dovecot-uidlist"), encoding="utf-8") as f:
        check(f.readline().startswith("3 V1234567 N3"), "with its UIDVALIDITY")
    tool(s, "import", "siti@satu.example", "maildir", path("out"))
    account = {USER: [], "siti@satu.example": []}
    for shard in glob.glob(s.root(s.name) + "/??"):
        with sqlite3.connect("file:%s/index.db?mode=ro" % shard, uri=True) as db:
            boxes = {r[0]: r[1:] for r in db.execute(
                "SELECT b.id, a.name, b.name, b.uid_validity, b.uid_next FROM mailbox b JOIN account a ON a.id = b.account")}
            for box, uid, flags, keywords, size, date, *_ in sheets.messages(db):
                name, *row = boxes[box]
                account[name].append([*row, uid, flags, keywords, size, date // 1000])
    for rows_of in account.values():
        rows_of.sort()
    keep = [r for r in account[USER] if r[0] != "Dari/mbox"]
    again = [r for r in account["siti@satu.example"] if r[0] != "Dari/mbox"]
    equal(again, keep, "and comes in elsewhere as it was")
    tool(s, "export", USER, "mbox", path("mboxes"))
    equal(sorted(os.listdir(path("mboxes"))), ["Arsip.2026.mbox", "Arsip.mbox", "Dari.mbox", "Dari.mbox.mbox", "INBOX.mbox",
                                               "R&AOk-sum&AOk-.mbox"], "each mailbox is an mbox")
    with open(path("mboxes/Dari.mbox.mbox"), encoding="utf-8") as f:
        check("\n>From the start\n>>From twice\n>From within\n" in f.read(), "lines are quoted")
    tool(s, "export", "nobody@satu.example", "mbox", path("none"), status=2)


def checked(s):
    said, _ = tool(s, "check")
    check('"problems": 0' in said, "all is well", said)
    r = subprocess.run([KURIRCTL, "-c", s.conf, "store", "check"], capture_output=True, text=True, timeout=300, check=False)
    check(r.returncode == 0 and "0 problems" in r.stdout, "kurirctl finds the folder", r.returncode, r.stdout, r.stderr)


def beside_others(s):
    """No database is made again under a server that has not written yet, nor under an import; and none begins meanwhile."""
    equal(s.stop(), 0, "the server ends well")
    s.start()
    r = subprocess.run([TOOL, s.root(s.name), "repair", "00"], capture_output=True, text=True, timeout=300, check=False)
    check(r.returncode == 2 and "stop it first" in r.stderr, "nothing is repaired beside a server that was just started", r.stdout,
          r.stderr)
    check(not glob.glob(s.root(s.name) + "/??/old-*"), "and nothing was set aside")
    with open(s.root(s.name) + "/format", "rb") as f:
        equal(s.stop(), 0, "the server ends well")
        fcntl.flock(f, fcntl.LOCK_SH)
        r = subprocess.run([TOOL, s.root(s.name), "repair", "00"], capture_output=True, text=True, timeout=300, check=False)
        check(r.returncode == 2 and "stop it first" in r.stderr, "nor beside an import, which shares the lock", r.stdout, r.stderr)
        fcntl.flock(f, fcntl.LOCK_EX)
        _, errors = tool(s, "import", USER, "maildir", path("maildir"), status=2)
        check("works on these shards now" in errors, "nothing comes in while shards are changed", errors)
    s.start()


def damaged(s):
    """A byte changed on the disk is found; a database that is lost is made again."""
    shard = next(d for d in sorted(glob.glob(s.root(s.name) + "/??")) if glob.glob(d + "/*.blob"))
    r = subprocess.run([TOOL, s.root(s.name), "repair", os.path.basename(shard)], capture_output=True, text=True,
                       timeout=300, check=False)
    check(r.returncode == 2 and "stop it first" in r.stderr, "nothing is repaired beside a server", r.stdout, r.stderr)
    equal(s.stop(), 0, "the server ends well")
    blob = sorted(glob.glob(shard + "/*.blob"), key=os.path.getsize)[-1]
    with open(blob, "r+b") as f:
        whole = f.read()
        at = whole.index(b"line 1 of one")
        f.seek(at)
        f.write(b"X")
    said, errors = tool(s, "check", status=1)
    check("damaged" in errors and '"problems": 0' not in said, "a changed byte is found", said, errors)
    with sqlite3.connect(shard + "/index.db") as db:
        before = db.execute("SELECT count(*) FROM blob").fetchone()[0]
    for lost in glob.glob(shard + "/index.db*"):
        os.unlink(lost)
    said, errors = tool(s, "repair", os.path.basename(shard), status=1)
    check('"messages": %d,' % (before - 1) in said and '"damaged": 1' in said, "all but that message are there again", said,
          errors, before)
    said, errors = tool(s, "check")
    check('"problems": 0' in said, "and all is well", said, errors)
    s.start()
    c = login(s)
    boxes = {b.decode().split('"/" ')[1].strip('"') for b in ok(c.list())}
    check({"INBOX", "Arsip/2026", "Dari/mbox"} <= boxes, "mailboxes have their names", boxes)
    check("two" in [r[2] for r in rows(c, "INBOX")], "and messages are where they came")
    c.logout()


def main():
    s = MailServer(store="store_sqlite", shards=2, single=False)
    try:
        login(s).logout()
        for part in (imported, led_astray, mbox, exported, checked, beside_others, damaged):
            part(s)
    except (AssertionError, OSError, imaplib.IMAP4.error) as e:
        check(False, "the tool's story", repr(e), s.text()[-3000:])
        raise SystemExit(1) from e
    equal(s.stop(), 0, "the server ends well")
    done()


main()
