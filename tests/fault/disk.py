"""The disk as a power cut could leave it: replays what recorder.c wrote down.

A file holds what was written before its last barrier that returned; what came later is dropped, kept, kept up
to some point, or kept in some sectors of 512 bytes and not in others. A folder has the entries of its last
barrier that returned; later ones are dropped, kept, kept up to some point, or chosen one by one. A rename is
never half done in one folder; between two folders the file may have both names for a while, and never none.

That is what POSIX leaves open, and more than ext4 and xfs do. For an ordered disk, as theirs, names come and go in
the order of time, and a barrier for any file or folder makes all names durable that came before it."""
import os
import struct

MAKE_FILE, MAKE_FOLDER, WRITE, TRUNCATE, RENAME, LINK, UNLINK, BARRIER, DURABLE, MARK, CHANGE = range(1, 12)
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
    def __init__(self, attributes):
        self.durable, self.attributes = bytearray(), attributes
        self.pending = []  # (position, record)

    def settle(self, before):
        while self.pending and self.pending[0][0] < before:
            r = self.pending.pop(0)[1]
            if r.kind == CHANGE:
                self.attributes = r.at
            else:
                apply_write(self.durable, r)


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
    def __init__(self, records, ordered=False):
        self.records, self.position, self.ordered = records, 0, ordered
        self.files, self.folders = {}, {ROOT: {}}
        self.folder_attributes = {}
        self.entries = []  # not durable, in order
        self.barriers = {}

    def advance(self, to):
        while self.position < to:
            self.step(self.position, self.records[self.position])
            self.position += 1

    def step(self, position, r):
        if r.kind == MAKE_FILE:
            self.files[r.b] = File(r.at)
            self.entries.append(Entry(position, r.a, r.name, r.b))
        elif r.kind == MAKE_FOLDER:
            self.folders[r.b] = {}
            self.folder_attributes[r.b] = r.at
            self.entries.append(Entry(position, r.a, r.name, r.b))
        elif r.kind in (WRITE, TRUNCATE):
            self.files[r.a].pending.append((position, r))
        elif r.kind == CHANGE and r.a in self.files:
            self.files[r.a].pending.append((position, r))
        elif r.kind == CHANGE:
            self.folder_attributes[r.a] = r.at
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
            self.files[n].settle(before)
        if self.ordered or number == 0 or number in self.folders:
            for e in self.entries:
                if e.position < before and (self.ordered or number in (0, e.folder)):
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
        """{path: (bytes, or None for a folder; attributes)} after a cut here."""
        folders = {n: dict(d) for n, d in self.folders.items()}
        how = rng.choice(("drop", "keep", "prefix", "prefix") if self.ordered else ("drop", "keep", "prefix", "any", "any"))
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
                tree[below] = None, self.folder_attributes[n]
                self.walk(folders, n, below, tree, rng)
            else:
                tree[below] = self.content(self.files[n], rng)

    def content(self, f, rng):
        data, attributes = bytearray(f.durable), f.attributes
        how = rng.choice(("drop", "keep", "prefix", "torn", "torn"))
        last = rng.randint(0, len(f.pending))
        for i, (_, r) in enumerate(f.pending):
            if r.kind == CHANGE:
                kept = how == "keep" or (how == "prefix" and i < last) or (how == "torn" and rng.random() < 0.5)
                attributes = r.at if kept else attributes
            elif how == "keep" or (how == "prefix" and i < last):
                apply_write(data, r)
            elif how == "torn" and r.kind == WRITE:
                apply_write(data, r, lambda: rng.random() < 0.5)
            elif how == "torn" and rng.random() < 0.5:
                apply_write(data, r)
        return bytes(data), attributes


def set_entry(folders, e):
    if e.number is None:
        folders[e.folder].pop(e.name, None)
    else:
        folders[e.folder][e.name] = e.number


def write_tree(tree, root):
    for path, (data, attributes) in tree.items():
        full = os.path.join(root, path)
        if data is None:
            os.makedirs(full)
        else:
            with open(full, "wb") as f:
                f.write(data)
        os.chmod(full, attributes & 0o7777)
        if os.geteuid() == 0:
            os.chown(full, attributes >> 16 & 0xffffff, attributes >> 40)
