"""What is measured: one running server at a time, in a folder of its own; this server, the floor and the sink.  The servers
of others are in peers.py."""
import contextlib
import glob
import json
import os
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.abspath(os.environ.get("top_builddir") or HERE + "/../../build")
BOXES = 100
TICK = 1 / os.sysconf("SC_CLK_TCK")


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not in {seconds} s")
        time.sleep(0.02)


def greets(port):
    """A port that is bound may belong to one that does not serve yet."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            return bool(s.recv(1))
    except OSError:
        return False


def tree(pid):
    """The pids of a server, however many generations of children it has."""
    pids = [pid]
    for each in pids:
        pids += [int(x) for x in read(f"/proc/{each}/task/{each}/children").split()]
    return pids


def cpu_of(pid):
    """Seconds, of all its processes and of those that have ended."""
    ticks = 0
    for each in tree(pid):
        w = read(f"/proc/{each}/stat").rpartition(")")[2].split()
        ticks += sum(int(x) for x in w[11:15])
    return ticks * TICK


class Server:
    """Nothing is deleted before the end: some file systems look for new inodes far longer after much
    was deleted, and the next one would pay for that.

    Modes: "accept" keeps all in the queue, "relay" sends all to the sink, "mailboxes" delivers."""
    name = ""
    modes = ()
    lmtp = False

    def __init__(self, tmp, mode, sink):
        self.tools, self.mode, self.sink = tmp, mode, sink
        self.tmp = tempfile.mkdtemp(dir=tmp)
        os.chmod(self.tmp, 0o755)
        self.port, self.imap = free_port(), free_port()
        self.awaited = 0
        self.start()
        try:
            until(self.name, lambda: greets(self.port))
        except RuntimeError as e:
            self.stop()
            raise RuntimeError(f"{e}: {read(self.tmp + '/said')[-1000:]}") from e

    def start(self):
        raise NotImplementedError

    def spawn(self, *command, **env):
        """All that comes of it stays below the process of keep.c."""
        with open(self.tmp + "/said", "wb") as said:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen([self.tools + "/keep", *command], stdout=said, stderr=said,
                                            env=dict(os.environ, **env))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def memory(self):
        """KiB, shared pages in equal parts."""
        lines = "".join(read(f"/proc/{pid}/smaps_rollup") for pid in tree(self.process.pid)).split("\n")
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    def boxes(self):
        """Below which Maildirs are."""
        return self.tmp + "/mail"

    def delivered(self):
        if self.mode == "relay":
            return self.sink.count()
        return sum(len(os.listdir(f)) for f, _, _ in os.walk(self.boxes()) if f.endswith("/new"))

    def settle(self):
        """Waits until there is nothing left to do; CPU seconds then."""
        last, now = -1.0, cpu_of(self.process.pid)
        while now - last > TICK:
            time.sleep(0.3)
            last, now = now, cpu_of(self.process.pid)
        return now

    def load(self, sessions, count, size, rate=0):
        """What load.c says."""
        command = [self.tools + "/load", *(["-l"] if self.lmtp else []), *(["-r", str(rate)] if rate else []),
                   str(self.port), str(sessions), str(count), str(size), "load.test"]
        return [float(x) for x in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()]

    def send(self, sessions, count, size):
        """Messages a second, of the whole way; looking how far it is must not cost much."""
        began = time.monotonic()
        rate = self.load(sessions, count, size)[0]
        if self.mode == "accept":
            return rate
        self.awaited += count
        while True:
            looked = time.monotonic()
            if self.delivered() >= self.awaited:
                return count / (time.monotonic() - began)
            if looked - began > 120:
                raise RuntimeError(f"{self.name}: {self.delivered()} of {self.awaited} were delivered")
            time.sleep(max(0.02, 5 * (time.monotonic() - looked)))

    def measure(self, sessions, size, seconds):
        """Messages a second; microseconds of CPU a message."""
        rate = self.send(sessions, sessions * 4, size)  # not counted
        count = int(min(max(rate * seconds, sessions * 4), 60000))
        before = self.settle()
        rate = self.send(sessions, count, size)
        return rate, (self.settle() - before) / count * 1e6

    def idle(self, count, protocol="smtp"):
        """KiB a session that has greeted, or waits for news of a mailbox."""
        port = self.port if protocol == "smtp" else self.imap
        open_ones = []

        def more(number):
            for i in range(number):
                s = socket.create_connection(("127.0.0.1", port), 10)
                f = s.makefile("rb")
                open_ones.append((s, f))
                f.readline()
                if protocol == "smtp":
                    talk(s, f, b"EHLO load.test\r\n", b"250 ")
                    continue
                talk(s, f, b"a LOGIN u%d@load.test pass\r\n" % (i % BOXES), b"a OK")
                talk(s, f, b"b SELECT INBOX\r\n", b"b OK")
                talk(s, f, b"c IDLE\r\n", b"+")

        try:
            more(2)  # what is needed once
            before = self.memory()
            more(count)
            time.sleep(4)  # what was needed only for a moment is given back after a while
            return (self.memory() - before) / count
        finally:
            for s, f in open_ones:
                f.close()
                s.close()


def talk(sock, file, line, end):
    sock.sendall(line)
    said = file.readline()
    while not said.startswith(end):
        if not said:
            raise RuntimeError(f"no answer to {line!r}")
        said = file.readline()


class Floor(Server):
    name = "floor"
    modes = ("accept",)

    def start(self):
        self.spawn(self.tools + "/floor", str(self.port), self.tmp + "/log")


class Sink:
    """Where relayed mail goes: the floor, which keeps nothing."""

    def __init__(self, tmp):
        self.port = free_port()
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen([tmp + "/floor", str(self.port), "-"])
        until("sink", lambda: greets(self.port))
        self.base = 0

    def count(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.sendall(b"NOOP\r\n")
            lines = b""
            while lines.count(b"\n") < 2:
                lines += s.recv(100)
        return int(lines.split(b"\n")[1].split()[1]) - self.base

    def begin(self):
        self.base += self.count()

    def stop(self):
        self.process.kill()
        self.process.wait()


class Kurir(Server):
    name = "kurir"
    modes = ("accept", "relay", "mailboxes")
    store = "store_maildir"

    def start(self):
        """In mode accept all mail is held in the queue."""
        local = self.mode == "mailboxes"
        conf = {
            "version": 1, "hostname": "mail.load.test", "state": "state", "run": "run",
            "limits": {"connections": 10000, "connections-per-peer": 10000},
            "listeners": {"smtp": {"protocol": "smtp", "address": f"127.0.0.1:{self.port}",
                                   "pipeline": "inbound"}},
            "pipelines": {"inbound": ["accounts"] if local else []},
            "modules": {
                "smtp": {"relay-networks": ["127.0.0.0/8"]},
                "queue_journal": {"hold": self.mode == "accept"},
            },
        }
        if os.geteuid() == 0:
            conf["users"] = {"default": 64100, "control": 64101}
        modules = conf["modules"]
        if local:
            users = [f"u{i}@load.test" for i in range(BOXES)]
            hashed = subprocess.run(["openssl", "passwd", "-5", "-salt", "benchmark", "pass"], check=True,
                                    stdout=subprocess.PIPE, text=True).stdout.strip()
            for name, lines in (("boxes", users), ("users", [f"{u}:{hashed}" for u in users])):
                with open(f"{self.tmp}/{name}", "w", encoding="utf-8") as f:
                    f.write("\n".join(lines) + "\n")
            conf["listeners"]["imap"] = {"protocol": "imap", "address": f"127.0.0.1:{self.imap}"}
            modules.update({"imap": {"plaintext-login": True},
                            "auth_file": {"users": "users", "domain": "load.test"},
                            "accounts": {"domains": ["load.test"], "mailboxes-file": "boxes"},
                            "route_local": {}, self.store: {"root": "mail"}})
        else:
            modules.update({"relay_smtp": {}, "route_static": {
                "routes": {"*": f"smtp:[127.0.0.1]:{self.sink.port}"}, "tls": "never"}})
        with open(self.tmp + "/kurir.json", "w", encoding="utf-8") as f:
            json.dump(conf, f)
        self.spawn(BUILT + "/kurird", "-c", self.tmp + "/kurir.json", KURIR_MODULE_PATH=BUILT)


class KurirSqlite(Kurir):
    name = "kurir-sqlite"
    modes = ("mailboxes",)
    store = "store_sqlite"

    def delivered(self):
        count = 0
        for shard in glob.glob(self.boxes() + "/??/index.db"):
            with contextlib.closing(sqlite3.connect(f"file:{shard}?mode=ro", uri=True, timeout=10)) as db:
                try:
                    count += db.execute("SELECT ifnull(sum(messages), 0) FROM mailbox").fetchone()[0]
                except sqlite3.OperationalError:
                    pass  # it is being made
        return count
