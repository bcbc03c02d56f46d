"""What the tests of a server in trouble share: two servers, sessions that send and note what was acknowledged, and
what became of it.

The near server has every role in a process of its own; its far neighbour, found through a name server of this test, is
never in trouble. Each mail has a number of its own and is sent once: what lies twice in a mailbox was delivered
twice."""
import asyncio
import collections
import json
import mmap
import os
import random
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
import mailboxlib
from netlib import BUILD, KURIRCTL, Server, check, equal, free_port, path, wait_until

HYD, SITI, FAR = "hyd@satu.example", "siti@satu.example", "paijo@dua.example"
ROLES = ("edge", "queue", "resolver", "relay", "store", "access", "auth", "control")
WAIT = 120  # seconds until something is called hanging
PATIENCE = 60  # the same for one answer to a client
USER = 64120  # of the roles, where this is root


class Names(threading.Thread):
    """The name server of dua.example: one mail host, which is here."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            query, peer = self.socket.recvfrom(4096)
            end = query.index(b"\0", 12) + 5
            name, kind = query[12:end - 4].lower(), struct.unpack(">H", query[end - 4:end - 2])[0]
            host = b"\4mail\3dua\7example\0"
            answer = {(host[5:], 15): b"\0\12" + host, (host, 1): bytes((127, 0, 0, 1))}.get((name, kind))
            flags = 0x8400 | query[2] << 8 & 0x100
            reply = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if answer else 0, 0, 0) + query[12:end]
            if answer:
                reply += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(answer)) + answer
            self.socket.sendto(reply, peer)


class Far(Server):
    def __init__(self):
        self.port = free_port()
        super().__init__({"smtp": {}, "accounts": {"domains": ["dua.example"], "mailboxes": [FAR]}, "route_local": {},
                          "queue_journal": {}, "store_maildir": {"root": path("far")}}, name="dua",
                         listeners={"mx": {"protocol": "smtp", "address": "127.0.0.1:%d" % self.port, "tls": "none",
                                           "pipeline": "in"}}, pipelines={"in": ["accounts"]}, hostname="mx.dua.example")

    def start(self):
        self.more["modules"] = self.modules  # without the probe: what an administrator would run
        super().start()


def others():
    """Whether root can become somebody else: not in a user namespace of one."""
    with open("/proc/self/uid_map") as f:
        return any(int(line.split()[2]) > USER for line in f)


class Near(Server):
    """files: queue and mailboxes are there; queue: more options of queue_journal; store: maildir or sqlite."""

    def __init__(self, far, files=None, queue=None, store="maildir", **more):
        self.smtp, self.imap = free_port(), free_port()
        self.files, self.store = files or path("satu"), store
        mailboxlib.certificate()
        mailboxlib.passwords()
        modules = {"smtp": {"relay-networks": ["127.0.0.0/8"]}, "imap": {},
                   "accounts": {"domains": ["satu.example"], "mailboxes": [HYD, SITI]}, "route_local": {},
                   "auth_file": {"users": path("users")}, "bounce": {}, "relay_smtp": {},
                   "dns": {"stub-zones": {"dua.example": "127.0.0.1@%d" % Names().port}}, "route_dns": {"port": far.port},
                   "queue_journal": dict({"retry": ["1s"], "scan-interval": "1s"}, **queue or {}),
                   "store_" + store: {"root": os.path.join(self.files, "boxes")}}
        if os.geteuid() == 0 and others():
            more["users"] = {"default": USER}
            os.chown(path("key.pem"), USER, USER)
        many = {"connections": 15000, "connections-per-peer": 15000}
        super().__init__(
            modules, name="satu", single=False, state=os.path.join(self.files, "state"), sandbox="best-effort",
            listeners={"mx": {"protocol": "smtp", "address": "127.0.0.1:%d" % self.smtp, "tls": "none", "pipeline": "in"},
                       "imap": {"protocol": "imap", "address": "127.0.0.1:%d" % self.imap, "tls": "implicit"}},
            pipelines={"in": ["accounts"]}, limits=dict(many, **more.pop("limits", {})),
            tls={"certificates": [{"certificate": path("cert.pem"), "key": path("key.pem")}]}, **more)

    def start(self):
        self.more["modules"] = self.modules
        super().start()
        self.seen = 0
        self.known = {}

    def lines(self):
        """Those that came since the last call."""
        with open(path(self.log), "rb") as f:
            f.seek(self.seen)
            text = f.read()
        text = text[:text.rfind(b"\n") + 1]
        self.seen += len(text)
        return text.decode(errors="replace").splitlines()

    def status(self):
        """Empty while nobody answers."""
        done = subprocess.run([KURIRCTL, "-c", self.conf, "--json", "status"], capture_output=True, text=True,
                              timeout=WAIT, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {"processes": [], "generation": 0}

    def pids(self):
        status = self.status()
        return {p["role"]: p["pid"] for p in status["processes"]
                if p["state"] == "ready" and p["generation"] == status["generation"]}

    def all_ready(self):
        return set(ROLES) <= set(self.pids())

    def ledger(self):
        answer = self.ctl("ledger")
        return answer.get("data", answer)

    def queued(self):
        """-1: nobody can say."""
        try:
            return self.ledger()["queued"]
        except (AssertionError, KeyError):
            return -1

    def verify(self):
        return subprocess.run([KURIRCTL, "-c", self.conf, "ledger", "--verify"], capture_output=True, text=True,
                              timeout=WAIT, check=False)


class Plan:
    """The struct fault_plan of fault.h."""
    NAMES = ("armed", "n", "error", "seen", "hits", "memory_n", "memory_seen", "memory_hits")
    SIZE = 192

    def __init__(self, name):
        self.file = path(name + ".plan")
        with open(self.file, "wb") as f:
            f.write(bytes(self.SIZE))
        with open(self.file, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), self.SIZE)

    def __getattr__(self, name):
        return struct.unpack_from("Q", self.map, 8 * self.NAMES.index(name))[0]

    def put(self, **what):
        for name, value in what.items():
            struct.pack_into("Q", self.map, 8 * self.NAMES.index(name), value)

    def arm(self, n, error, how=1, only=""):
        """only: what stands in the names of the files that fail."""
        self.put(armed=0, n=n, error=error, seen=0, hits=0)
        self.map[64:192] = bytes(64) + only.encode().ljust(64, b"\0")
        self.put(armed=how)

    def disarm(self):
        self.put(armed=0, memory_n=0)

    def what(self):
        return self.map[64:128].split(b"\0")[0].decode()


def nth():
    """Makes nth.so, without a sanitizer."""
    cc = os.environ.get("CC", "cc").split() + ["-O1", "-g", "-Wall", "-Wextra", "-shared", "-fPIC"]
    return subprocess.run(cc + [os.path.join(HERE, "nth.c"), "-o", path("nth.so"), "-ldl"], check=False).returncode == 0


class Cut(Exception):
    """The conversation ended here, by this answer or without one."""


class Load(threading.Thread):
    """Sessions that send, one mail after the other, and some that append by IMAP.  pause: the longest time between two
    mails; hold: between the commands of one."""

    def __init__(self, near, sessions, imap=0, pause=0.3, hold=0.0, size=5000, seed="1"):
        super().__init__(daemon=True)
        self.near, self.sessions, self.imap, self.pause, self.hold, self.size = near, sessions, imap, pause, hold, size
        self.seed, self.stopping = seed, False
        self.acknowledged = {HYD: [], FAR: [], SITI: []}  # SITI: appended
        self.answers = collections.Counter()  # "stage code", or "stage cut"
        self.open = 0
        self.tls = ssl.create_default_context(cafile=path("cert.pem"))
        self.failed = None
        self.start()

    def run(self):
        async def all_of_them():
            await asyncio.gather(*[self.forever(i, self.append if i < self.imap else self.send) for i in range(self.sessions)])
        try:
            asyncio.run(all_of_them())
        except BaseException as e:  # also a mistake of this test must not look like success
            self.failed = e
            raise

    def stop(self):
        self.stopping = True
        self.join(WAIT + PATIENCE)
        check(not self.is_alive() and self.failed is None, "every session came to its end", self.failed, self.open)

    def total(self):
        return sum(len(names) for names in self.acknowledged.values())

    async def forever(self, i, session):
        rng, number = random.Random("%s-%d" % (self.seed, i)), 0
        while not self.stopping:
            stage, writer = ["connect"], None
            try:
                number += 1000
                port = self.near.imap if session == self.append else self.near.smtp
                reader, writer = await asyncio.wait_for(asyncio.open_connection(
                    "127.0.0.1", port, limit=1 << 20, ssl=self.tls if port == self.near.imap else None), PATIENCE)
                self.open += 1
                await session(reader, writer, rng, "mail-%d-%%d-" % i, number, stage)
            except Cut as e:
                self.answers["%s %s" % (stage[0], e)] += 1
            except (asyncio.TimeoutError, TimeoutError):
                self.answers["%s hangs" % stage[0]] += 1
            except (OSError, EOFError, ValueError) as e:
                self.answers["%s %s" % (stage[0], "cut" if writer else type(e).__name__)] += 1
                await asyncio.sleep(0.05)
            if writer:
                self.open -= 1
                writer.close()

    async def smtp(self, reader, writer, stage, name, line, wanted):
        """One command and its reply."""
        stage[0] = name
        if line:
            writer.write(line.encode())
        while True:
            reply = await asyncio.wait_for(reader.readline(), PATIENCE)
            if len(reply) < 4:
                raise EOFError
            if reply[3:4] != b"-":
                break
        if reply[:3].decode() != wanted:
            raise Cut(reply[:3].decode())

    async def send(self, reader, writer, rng, label, number, stage):
        async def say(name, line, wanted):
            await self.smtp(reader, writer, stage, name, line, wanted)

        async def held():
            if self.hold:
                await asyncio.sleep(rng.uniform(0, self.hold))

        await say("greeting", "", "220")
        await say("EHLO", "EHLO you.example\r\n", "250")
        for number in range(number, number + rng.randint(1, 20)):
            if self.stopping:
                break
            to, name = rng.choice((HYD, FAR)), label % number
            await say("MAIL", "MAIL FROM:<you@tiga.example>\r\n", "250")
            await held()
            await say("RCPT", "RCPT TO:<%s>\r\n" % to, "250")
            await held()
            await say("DATA", "DATA\r\n", "354")
            text = ("x" * 70 + "\r\n") * (rng.randint(0, self.size) // 72)
            stage[0] = "body"
            writer.write(("Subject: %s\r\n\r\n%s" % (name, text)).encode())
            await writer.drain()
            await held()
            await say("end", "end of %s\r\n.\r\n" % name, "250")
            self.acknowledged[to].append(name)
            self.answers["end 250"] += 1
            stage[0] = "idle"
            await asyncio.sleep(rng.uniform(0, self.pause))
        await say("QUIT", "QUIT\r\n", "221")

    async def append(self, reader, writer, rng, label, number, stage):
        async def say(name, line, wanted):
            stage[0] = name
            writer.write(line.encode())
            while True:
                reply = await asyncio.wait_for(reader.readline(), PATIENCE)
                if not reply.endswith(b"\n"):
                    raise EOFError
                if reply.startswith((b"t ", b"+ ")):
                    break
            if not reply.startswith(wanted):
                raise Cut(reply[:6].decode(errors="replace").strip())

        stage[0] = "IMAP greeting"
        if not (await asyncio.wait_for(reader.readline(), PATIENCE)).startswith(b"* OK"):
            raise EOFError
        await say("LOGIN", "t LOGIN %s {%d+}\r\n%s\r\n" % (SITI, len(mailboxlib.USERS[SITI]), mailboxlib.USERS[SITI]), b"t OK")
        await say("SELECT", "t SELECT INBOX\r\n", b"t OK")
        for number in range(number, number + rng.randint(1, 10)):
            if self.stopping:
                break
            name = label % number
            text = "Subject: %s\r\n\r\nend of %s\r\n" % (name, name)
            await say("APPEND", "t APPEND INBOX {%d}\r\n" % len(text), b"+ ")
            await say("APPEND end", text + "\r\n", b"t OK")
            self.acknowledged[SITI].append(name)
            self.answers["APPEND end OK"] += 1
            stage[0] = "idle"
            await asyncio.sleep(rng.uniform(0, self.pause))
        await say("LOGOUT", "t LOGOUT\r\n", b"t OK")


def mails(root):
    """{name: [when each copy came]} and the files that are not whole."""
    found, torn = {}, []
    for folder, _, files in os.walk(root):
        if os.path.basename(folder) not in ("new", "cur"):
            continue
        for file in files:
            with open(os.path.join(folder, file), "rb") as f:
                text = f.read()
                came = os.fstat(f.fileno()).st_mtime
            name = re.search(rb"^Subject: (mail-\S+)", text, re.M)
            if name and b"\nend of " + name.group(1) in text[-100:]:
                found.setdefault(name.group(1).decode(), []).append(came)
            else:
                torn.append(file)
    return found, torn


def mailbox(near, account):
    """The folder with its files; what is no Maildir is exported to one, and has to be in order."""
    boxes = os.path.join(near.files, "boxes")
    if near.store == "maildir":
        return os.path.join(boxes, "satu.example", account.split("@")[0])
    out = path("out-" + account)
    os.mkdir(out)
    os.chown(out, os.stat(boxes).st_uid, os.stat(boxes).st_gid)
    tool = os.path.join(BUILD, "kurir-store")
    for args in (["check"], ["export", account, "maildir", out]):
        done = subprocess.run([tool, boxes] + args, capture_output=True, text=True, timeout=WAIT, check=False)
        check(done.returncode == 0, "kurir-store %s finds no fault" % " ".join(args[:2]), done.stdout, done.stderr[-3000:])
    return out


def judge(near, far, load):
    """After the load: what was acknowledged is there, whole, and the books are right.  The copies at the far server,
    which nobody recognises as copies."""
    def left():
        counts = near.queued(), far.ctl("ledger")["queued"]
        return sum(counts) if min(counts) >= 0 else 1 << 60

    try:
        n = left()
        while n > 0:  # as long as it becomes less
            n, _ = wait_until(lambda n=n: (lambda m: (m, True) if m < n else None)(left()), WAIT, "the queues are empty")
    except AssertionError as e:
        check(False, str(e), near.queued(), far.ctl("ledger"), str(near.ctl("queue", "list"))[:3000],
              near.text()[-3000:])
    copies = {}
    for whose, root, to in (("near", mailbox(near, HYD), HYD), ("far", path("far"), FAR),
                            ("appended", mailbox(near, SITI), SITI)):
        found, torn = mails(root)
        wanted = load.acknowledged[to]
        lost = [name for name in wanted if name not in found]
        twice = {name: came for name, came in found.items() if len(came) > 1}
        if wanted or to != SITI or load.imap:
            check(wanted and not lost, "%s: %d acknowledged mails are in their mailbox" % (whose, len(wanted)),
                  "%d are lost" % len(lost), lost[:20])
        check(not torn, "%s: each file is a whole mail" % whose, torn[:20])
        print("# %s: %d mails, %d not acknowledged, %d twice" % (whose, len(found), len(set(found) - set(wanted)), len(twice)))
        if to == FAR:
            copies = twice
        else:
            check(not twice, "%s: none came twice" % whose, list(twice)[:20])
    sums = near.ledger()
    equal(sums["accepted"], sums["delivered"] + sums["bounced"] + sums["cancelled"] + sums["queued"], "the ledger balances")
    equal((sums["bounced"], sums["cancelled"]), (0, 0), "nothing was given up")
    v = near.verify()
    check(v.returncode == 0, "and so do the files", v.stdout, v.stderr)
    print("# answers:", ", ".join("%s: %d" % (k, v) for k, v in sorted(load.answers.items())))
    return copies
