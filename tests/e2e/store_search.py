#!/usr/bin/env python3
"""SEARCH over an index that is made behind deliveries, of accounts that searched bodies once: it finds what looking at each
message finds, before there is one, while it lags, when it has come up, and after it was damaged or deleted."""
import glob
import imaplib
import os
import random
import sqlite3

from mailboxlib import MailServer, login, ok
from netlib import check, done, equal, wait_until

USER = "hyd@satu.example"
OTHER = "siti@satu.example"
WORDS = ["pesawat", "kapal", "Straße", "Ärger", "näher", "quick brown", "x-ray", "100%", "a\"b", "c'est", "tanah", "*",
         "OR", "NEAR", "日本語テキスト", "résumé"]


def opened(s, user=USER):
    c = login(s, user)
    c.select("INBOX")
    return c


def put(c, mail, n):
    words = random.sample(WORDS, 3)
    text = "From: %s@dua.example\r\nSubject: nr %d about %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n" \
        % ("abc"[n % 3] * 4, n, words[0], "%s and %s." % (words[1], words[2]))
    mail.append((words, "abc"[n % 3] * 4, text))
    ok(c.append("INBOX", None, None, text.encode()))


def find(c, *keys):
    """As a literal what is not ASCII."""
    keys, word = list(keys[:-1]), keys[-1]
    if word.isascii():
        keys.append('"%s"' % word.replace("\\", "\\\\").replace('"', '\\"'))
    else:
        c.literal = word.encode()
    return [int(n) for n in ok(c.uid("SEARCH", "CHARSET", "UTF-8", *keys))[0].split()]


def wanted(mail, how):
    return [n + 1 for n, m in enumerate(mail) if m is not None and how(m)]


def agree(c, mail, when, whole=False):
    bad = []
    words = WORDS + ["and", "nd", "no such", "dua.example", "aaaa", "ubject: NR 1", "nr 1 about"]
    for word in random.sample(words, len(words) if whole else 8):
        w = word.lower()
        body = wanted(mail, lambda m: any(w in x.lower() for x in [m[0][1] + " and " + m[0][2] + "."]))
        text = wanted(mail, lambda m: w in m[2].lower())
        subject = wanted(mail, lambda m: w in m[2].split("Subject: ")[1].split("\r\n")[0].lower())
        sender = wanted(mail, lambda m: w in (m[1] + "@dua.example").lower())
        for keys, want in (("BODY", body), ("TEXT", text), ("SUBJECT", subject), ("FROM", sender)):
            got = find(c, keys, word)
            if got != want:
                bad.append((keys, word, got, want))
    check(not bad, "all searches agree " + when, *bad[:5])


def index(s):
    return glob.glob(s.root(s.name) + "/00/search.db")[0]


def ask(path, query):
    with sqlite3.connect("file:%s?mode=ro" % path, uri=True) as db:
        return db.execute(query).fetchone()[0]


def mails(s):
    return s.root(s.name) + "/00/index.db"


def caught_up(s):
    def is_so():
        try:
            return ask(index(s), "SELECT upto FROM state") == ask(mails(s), "SELECT max(id) FROM email") and \
                ask(index(s), "SELECT count(*) FROM account WHERE upto >= until") == ask(mails(s), "SELECT count(*) FROM searched")
        except (sqlite3.Error, IndexError):
            return False
    wait_until(is_so, 90, "the index has all")


def only_who_searches(s, c, mail):
    """Another account's mail comes into the index when it looks into bodies, and so does what it has by then."""
    other, theirs = opened(s, OTHER), []
    for n in range(20):
        put(other, theirs, n)
    check(find(other, "FROM", "dua.example"), "a search of header fields")
    put(c, mail, 60)
    caught_up(s)
    equal(ask(index(s), "SELECT count(*) FROM account"), 1, "an account that never looked into bodies is not in the index")
    equal(ask(index(s), "SELECT rows FROM state"), len(mail), "nor are its messages")
    agree(other, theirs, "at its first search")
    caught_up(s)
    equal(ask(index(s), "SELECT rows FROM state"), len(mail) + len(theirs), "now they are")
    agree(other, theirs, "when it joined", True)
    put(other, theirs, 20)
    agree(other, theirs, "and one more")
    other.logout()


def main():
    random.seed(int(os.environ.get("KURIR_SEED", "1")))
    s = MailServer(store="store_sqlite", shards=1, single=False)
    mail = []
    try:
        c = opened(s)
        for n in range(60):
            put(c, mail, n)
        equal(ask(mails(s), "SELECT count(*) FROM searched"), 0, "nobody is in the index before a search")
        agree(c, mail, "while the index is made")
        caught_up(s)
        agree(c, mail, "when it is there", True)
        word = mail[0][0][1]
        told = s.ctl("mailbox", "search", USER, "body=" + word)["list"]
        equal([m["uid"] for m in told], find(c, "BODY", word), "an administrator finds the same")
        only_who_searches(s, c, mail)
        for n in range(61, 80):
            put(c, mail, n)
        agree(c, mail, "when it lags")
        caught_up(s)
        c.uid("STORE", "1:10", "+FLAGS", r"(\Deleted)")
        ok(c.expunge())
        mail[:10] = [None] * 10
        agree(c, mail, "after some have gone")
        c.logout()
        equal(s.stop(), 0, "the server ends well")
        with open(index(s), "r+b") as f:
            f.seek(4096)
            f.write(b"rubbish " * 2000)
        s.start()
        c = opened(s)
        agree(c, mail, "over a damaged index")
        put(c, mail, 80)
        caught_up(s)
        agree(c, mail, "when it was made again")
        c.logout()
        equal(s.stop(), 0, "the server ends well")
        for part in glob.glob(index(s) + "*"):
            os.unlink(part)
        s.start()
        c = opened(s)
        caught_up(s)
        agree(c, mail, "after it was deleted")
        c.logout()
    except (AssertionError, OSError, imaplib.IMAP4.error) as e:
        check(False, "the search's story", repr(e), s.text()[-3000:])
        raise SystemExit(1) from e
    equal(s.stop(), 0, "the server ends well")
    done()


main()
