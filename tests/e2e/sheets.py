"""The messages of a shard of store_sqlite, taken out of their sheets; and a shard as version 1 had it."""


def numbers(data, at):
    """Yields (number, where the next begins)."""
    while True:
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                break
        at = (yield value, at) or at


def signed(n):
    return n >> 1 ^ -(n & 1)


def messages(db):
    """Rows (mailbox, uid, flags, keywords, size, date, saved, modseq)."""
    for key, data in db.execute("SELECT id, data FROM sheet ORDER BY id"):
        get = numbers(data, 0)
        (base, _), (first, at) = next(get), next(get)
        last, first = "", signed(first)
        while at < len(data):
            (uid, at), (head, at) = next(get), next(get)
            if head >> 5 == 1:
                length, at = next(get)
                last = data[at:at + length].decode()
                size, at = get.send(at + length)
            else:
                size, at = next(get)
            (date, at), (saved, at), (modseq, at) = next(get), next(get), next(get)
            date = first + signed(date)
            yield (key >> 32, (key & 0xffffffff) + uid, head & 31, last if head >> 5 else "", size, date, date + signed(saved),
                   base + signed(modseq))


def back_to_1(db):
    rows = list(messages(db))
    db.executescript("""
        ALTER TABLE message RENAME TO message_2;
        CREATE TABLE message(mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, flags INTEGER NOT NULL, keywords TEXT NOT NULL,
            size INTEGER NOT NULL, date INTEGER NOT NULL, saved INTEGER NOT NULL, modseq INTEGER NOT NULL,
            email INTEGER NOT NULL, PRIMARY KEY(mailbox, uid)) WITHOUT ROWID;
        CREATE INDEX message_modseq ON message(mailbox, modseq);
        CREATE INDEX message_keywords ON message(mailbox, keywords) WHERE keywords <> '';""")
    db.executemany("INSERT INTO message SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, email FROM message_2"
                   " WHERE mailbox = ?1 AND uid = ?2", rows)
    db.executescript("""
        DROP TABLE message_2;
        DROP TABLE sheet;
        ALTER TABLE mailbox DROP COLUMN keywords;
        ALTER TABLE blob DROP COLUMN fields;
        PRAGMA user_version = 1;""")
