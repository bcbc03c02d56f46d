#!/usr/bin/env python3
"""kurir-store repair: what the old database says is kept, if it can be read - flags, copies, UIDs, subscriptions - and no message is
lost with it: after random operations, with the database whole, with a record damaged, after a repair that was killed, with pages
overwritten, and with no database at all."""
import glob
import imaplib
import os
import random
import re
import shutil
import subprocess

from mailboxlib import MailServer, login, ok
from netlib import BUILD, check, done, equal, path

USER, OTHER = "hyd@satu.example", "siti@satu.example"
TOOL = os.path.join(BUILD, "kurir-store")
FLAGS = (r"\Seen", r"\Flagged", r"\Answered", r"\Deleted", "work", "$Forwarded")
BOXES = ("INBOX", "Arsip", "Arsip/2026", "Kirim")
SEED = os.environ.get("KURIR_SEED", "1")


class Mailboxes(MailServer):
    def shard(self):
        return os.path.join(self.root(self.name), "00")


def operate(s, chance):
    """Messages come, are marked, copied, moved and expunged, in two accounts."""
    for user in (USER, OTHER):
        c = login(s, user)
        ok(c.create("Arsip/2026"))
        ok(c.create(r"Kirim (USE (\Sent))"))
        ok(c.subscribe("Arsip/2026"))
        for n in range(120):
            body = b"Subject: %d of %s\r\n\r\n%s\r\n" % (n, user.encode(), b"x" * chance.randrange(3000))
            ok(c.append(chance.choice(BOXES), "(%s)" % " ".join(chance.sample(FLAGS, 2)), None, body))
        for _ in range(80):
            ok(c.select(chance.choice(BOXES)))
            uids = ok(c.uid("SEARCH", "ALL"))[0].split()
            if not uids:
                continue
            some = b",".join(chance.sample(uids, min(len(uids), chance.randrange(1, 6)))).decode()
            what = chance.randrange(4)
            if what == 0:
                ok(c.uid("STORE", some, chance.choice(("+FLAGS", "-FLAGS")), "(%s)" % chance.choice(FLAGS)))
            elif what == 1:
                ok(c.uid("COPY", some, chance.choice(BOXES)))
            elif what == 2:
                ok(c.uid("MOVE", some, chance.choice(BOXES)))
            else:
                ok(c.uid("STORE", some, "+FLAGS", r"(\Deleted)"))
                ok(c.uid("EXPUNGE", some))
        ok(c.create("Kosong"))
        c.logout()


def seen(s):
    """All that clients are told: {(user, mailbox): (list line, UIDVALIDITY, UIDNEXT, {UID: (flags, date, e-mail, bytes)})}."""
    found = {}
    for user in (USER, OTHER):
        c = login(s, user)
        found[user, "subscribed"] = sorted(ok(c.lsub()))
        for line in ok(c.list()):
            name = line.decode().split(' "/" ')[1].strip('"')
            ok(c.select(name, readonly=True))
            head = [c.response(w)[1][-1] for w in ("UIDVALIDITY", "UIDNEXT")]
            rows = {}
            for r in ok(c.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE EMAILID BODY.PEEK[])")):
                if isinstance(r, tuple):
                    what = r[0].decode()
                    rows[int(re.search(r"UID (\d+)", what).group(1))] = (
                        sorted(set(re.search(r"FLAGS \(([^)]*)\)", what).group(1).split()) - {r"\Recent"}),
                        re.search(r'INTERNALDATE "([^"]*)"', what).group(1), re.search(r"EMAILID \(([^)]*)\)", what).group(1), r[1])
            found[user, name] = (line, *head, rows)
        c.logout()
    return found


def bodies(found):
    return sorted({row[3] for (_, what), box in found.items() if what != "subscribed" for row in box[3].values()})


def repair(s, status=0):
    r = subprocess.run([TOOL, "--json", s.root(s.name), "repair", "00"], capture_output=True, text=True, timeout=300, check=False)
    check(r.returncode == status, "a repair ends with %d" % status, r.returncode, r.stdout, r.stderr)
    c = subprocess.run([TOOL, s.root(s.name), "check"], capture_output=True, text=True, timeout=300, check=False)
    check(c.returncode == 0 or (status == 1 and "damaged" in c.stderr), "and all is well then", c.stdout, c.stderr)
    return r


def differs(a, b):
    return [(k, a.get(k), b.get(k)) for k in sorted(set(a) | set(b)) if a.get(k) != b.get(k)]


def again(s, what, damage, status=0):
    """Stops the server, damages its files, repairs, and tells what clients see then."""
    equal(s.stop(), 0, "the server ends well")
    for old in glob.glob(s.shard() + "/old-*"):
        os.unlink(old)
    damage(s.shard())
    r = repair(s, status)
    equal([len(glob.glob(s.shard() + "/" + n)) for n in ("repair-*", "old-*-index.db")], [0, int("no database" not in what)],
          "the old database stays beside the new one, if there was one: " + what)
    s.start()
    return seen(s), r


def killed(shard):
    """As a repair leaves it that was killed when it had put the old one aside and begun a new one."""
    for name in glob.glob(shard + "/index.db*"):
        os.rename(name, name.replace("index.db", "repair-index.db"))
    with open(shard + "/index.db", "wb") as f:
        f.write(b"half of a page")


def overwritten(chance):
    def damage(shard):
        for name in glob.glob(shard + "/index.db-*"):
            os.unlink(name)
        with open(shard + "/index.db", "r+b") as f:
            pages = os.path.getsize(shard + "/index.db") // 4096
            for page in chance.sample(range(2, pages), pages // 6):
                f.seek(page * 4096)
                f.write(chance.randbytes(4096))
    return damage


def no_database(shard):
    for name in glob.glob(shard + "/index.db*"):
        os.unlink(name)


def rubbish(shard):
    no_database(shard)
    with open(shard + "/index.db", "wb") as f:
        f.write(b"this is no database\n" * 1000)


def record(text):
    def damage(shard):
        for name in glob.glob(shard + "/*.blob"):
            with open(name, "r+b") as f:
                at = f.read().find(text)
                if at >= 0:
                    f.seek(at + len(text) - 3)
                    f.write(b"?")
    return damage


def story(s):
    chance = random.Random(SEED)
    operate(s, chance)
    before = seen(s)
    now, r = again(s, "whole", lambda shard: None)
    equal(differs(now, before), [], "a database that is whole stays as it is, with all that clients know (seed %s)" % SEED)
    check('"damaged": 0' in r.stdout, "which is said", r.stdout)
    now, _ = again(s, "killed", killed)
    equal(differs(now, before), [], "also after a repair that was killed")
    saved = path("saved")
    equal(s.stop(), 0, "the server ends well")
    shutil.copytree(s.shard(), saved)
    s.start()

    lost = next(row[3] for row in before[USER, "INBOX"][3].values())
    now, r = again(s, "a record", record(lost[:40]), 1)
    check(bodies(now) == [b for b in bodies(before) if b != lost], "a damaged message goes", r.stdout, r.stderr)
    kept = {k: {u: row for u, row in box[3].items() if row[3] != lost} for k, box in before.items() if k[1] != "subscribed"}
    equal({k: box[3] for k, box in now.items() if k[1] != "subscribed"}, kept, "and all others are what they were")
    equal([(k, box[1:3]) for k, box in sorted(now.items()) if k[1] != "subscribed"],
          [(k, box[1:3]) for k, box in sorted(before.items()) if k[1] != "subscribed"], "with UIDVALIDITY and UIDNEXT")

    for what, damage in (("pages", overwritten(chance)), ("pages", overwritten(chance)), ("rubbish", rubbish),
                         ("no database", no_database)):
        equal(s.stop(), 0, "the server ends well")
        shutil.rmtree(s.shard())
        shutil.copytree(saved, s.shard())
        s.start()
        equal(differs(seen(s), before), [], "all is as it was before: " + what)
        now, _ = again(s, what, damage)
        missing = set(bodies(before)) - set(bodies(now))
        equal(missing, set(), "no message is lost with the database: " + what)
        wrong = [(k, u) for k, box in now.items() if k[1] != "subscribed" and k in before and box[1] == before[k][1]
                 for u, row in box[3].items() if u in before[k][3] and row[3] != before[k][3][u][3]]
        equal(wrong, [], "and no UID is another message's under the same UIDVALIDITY")
        c = login(s)
        ok(c.append("INBOX", "", None, b"Subject: afterwards\r\n\r\n"))
        c.logout()


def main():
    s = Mailboxes(store="store_sqlite", shards=1, single=False)
    try:
        story(s)
    except (AssertionError, OSError, imaplib.IMAP4.error) as e:
        check(False, "the repair's story", repr(e), s.text()[-3000:])
        raise SystemExit(1) from e
    equal(s.stop(), 0, "the server ends well")
    done()


main()
