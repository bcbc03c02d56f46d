"""The disk as a power cut could leave it: replays what recorder.c wrote down.

A file holds what was written before its last barrier that returned; what came later is dropped, kept, kept up
to some point, or kept in some sectors of 512 bytes and not in others. A folder has the entries of its last
barrier that returned; later ones are dropped, kept, kept up to some point, or chosen one by one. A rename is
never half done in one folder; between two folders the file may have both names for a while, and never none."""
import os
import struct

MAKE_FILE, MAKE_FOLDER, WRITE, TRUNCATE, RENAME, LINK, UNLINK, BARRIER, DURABLE, MARK = range(1, 11)
HEAD = struct.Struct("<IIQQQII")
SECTOR = 512
ROOT = 1


class Record:
    __slots__ = ("kind", "thread", "a", "b", "at", "name", "data")

    def __init__(self, head, name, data):
        self.kind, self.thread, self.a, self.b, self.at = head[:5]
        self.name, self.data = name, data


def read_log(path):
    """Whole records only: the recorder may have been stopped."""
    with open(path, "rb") as f:
        raw = f.read()
    records, at = [], 0
    while at + HEAD.size <= len(raw):
        head = HEAD.unpack_from(raw, at)
        at += HEAD.size
        if at + head[5] + head[6] > len(raw):
            break
        records.append(Record(head, os.fsdecode(raw[at:at + head[5]]), raw[at + head[5]:at + head[5] + head[6]]))
        at += head[5] + head[6]
    return records


class File:
    def __init__(self):
        self.durable = bytearray()
        self.pending = []  # (position, record)


def apply_write(data, record, keep=None):
    """All of it, or those sectors of the disk for which keep() says so."""
    if record.kind == TRUNCATE:
        if record.at < len(data):
            del data[record.at:]
        else:
            data.extend(bytes(record.at - len(data)))
        return
    start, end = record.at, record.at + len(record.data)
    if len(data) < start:
        data.extend(bytes(start - len(data)))
    at = start
    while at < end:
        to = min(end, (at // SECTOR + 1) * SECTOR) if keep else end
        if keep is None or keep():
            if len(data) < at:
                data.extend(bytes(at - len(data)))
            data[at:to] = record.data[at - start:to - start]
        at = to


class Entry:
    """One name that gets or loses its file; a rename is two of them."""
    __slots__ = ("position", "folder", "name", "number", "partner", "done")

    def __init__(self, position, folder, name, number):
        self.position, self.folder, self.name, self.number = position, folder, name, number
        self.partner, self.done = None, False


class Disk:
    def __init__(self, records):
        self.records, self.position = records, 0
        self.files, self.folders = {}, {ROOT: {}}
        self.entries = []  # not durable, in order
        self.barriers = {}

    def advance(self, to):
        while self.position < to:
            self.step(self.position, self.records[self.position])
            self.position += 1

    def step(self, position, r):
        if r.kind == MAKE_FILE:
            self.files[r.b] = File()
            self.entries.append(Entry(position, r.a, r.name, r.b))
        elif r.kind == MAKE_FOLDER:
            self.folders[r.b] = {}
            self.entries.append(Entry(position, r.a, r.name, r.b))
        elif r.kind in (WRITE, TRUNCATE):
            self.files[r.a].pending.append((position, r))
        elif r.kind == RENAME:
            add, remove = Entry(position, r.at, os.fsdecode(r.data), r.b), Entry(position, r.a, r.name, None)
            add.partner, remove.partner = remove, add
            self.entries += [add, remove]
        elif r.kind == LINK:
            self.entries.append(Entry(position, r.a, r.name, r.b))
        elif r.kind == UNLINK:
            self.entries.append(Entry(position, r.a, r.name, None))
        elif r.kind == BARRIER:
            self.barriers[r.at] = position
        elif r.kind == DURABLE:
            self.settle(r.a, self.barriers.pop(r.at))

    def settle(self, number, before):
        for n in (self.files if number == 0 else [number] if number in self.files else []):
            f = self.files[n]
            while f.pending and f.pending[0][0] < before:
                apply_write(f.durable, f.pending.pop(0)[1])
        if number == 0 or number in self.folders:
            for e in self.entries:
                if e.position < before and (number in (0, e.folder)):
                    self.settle_entry(e)
            self.entries = [e for e in self.entries if not e.done]

    def settle_entry(self, e):
        if e.done:
            return
        e.done = True
        set_entry(self.folders, e)
        # One folder: one step.  From another folder: the new name is there when the old one has gone.
        if e.partner and (e.number is None or e.partner.folder == e.folder):
            self.settle_entry(e.partner)

    def cut(self, rng):
        """{path: bytes, or None for a folder} after a cut here."""
        folders = {n: dict(d) for n, d in self.folders.items()}
        how = rng.choice(("drop", "keep", "prefix", "any", "any"))
        last = rng.randint(0, self.position)
        chosen = {}
        for e in self.entries:
            keep = {"drop": False, "keep": True, "prefix": e.position < last}.get(how)
            chosen[e] = rng.random() < 0.5 if keep is None else keep
        for e in self.entries:
            if e.partner in chosen and e.partner.folder == e.folder:
                chosen[e.partner] = chosen[e]
            elif e.number is None and e.partner in chosen and chosen[e]:
                chosen[e.partner] = True
        for e in self.entries:
            if chosen[e]:
                set_entry(folders, e)
        tree = {}
        self.walk(folders, ROOT, "", tree, rng)
        return tree

    def walk(self, folders, number, path, tree, rng):
        for name, n in sorted(folders[number].items()):
            below = os.path.join(path, name)
            if n in folders:
                tree[below] = None
                self.walk(folders, n, below, tree, rng)
            else:
                tree[below] = self.content(self.files[n], rng)

    def content(self, f, rng):
        data = bytearray(f.durable)
        how = rng.choice(("drop", "keep", "prefix", "torn", "torn"))
        last = rng.randint(0, len(f.pending))
        for i, (_, r) in enumerate(f.pending):
            if how == "keep" or (how == "prefix" and i < last):
                apply_write(data, r)
            elif how == "torn" and r.kind == WRITE:
                apply_write(data, r, lambda: rng.random() < 0.5)
            elif how == "torn" and rng.random() < 0.5:
                apply_write(data, r)
        return bytes(data)


def set_entry(folders, e):
    if e.number is None:
        folders[e.folder].pop(e.name, None)
    else:
        folders[e.folder][e.name] = e.number


def write_tree(tree, root):
    for path, data in tree.items():
        full = os.path.join(root, path)
        if data is None:
            os.makedirs(full)
        else:
            with open(full, "wb") as f:
                f.write(data)
