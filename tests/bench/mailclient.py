"""Clients that do as little as they can: they send a command and count the bytes until its answer."""
import random
import socket

WORDS = ("the", "queue", "sends", "report", "quarter", "please", "find", "attached", "meeting", "tomorrow", "budget", "review",
         "project", "state", "delivery", "with", "invoice", "number", "plan", "harbour")
PIECE = 1 << 18


def text(source, size):
    """Lines of words."""
    lines, length = [], 0
    while length < size:
        line = " ".join(source.choice(WORDS) for _ in range(10))
        lines.append(line)
        length += len(line) + 2
    return "\r\n".join(lines) + "\r\n"


class Corpus:
    """Of 20 messages: 14 of about 2 KiB, 5 with two alternatives of 4.5 KiB each, one with 90 KiB attached."""

    def __init__(self):
        source = random.Random(20261128)
        self.short = [text(source, 1600) for _ in range(20)]
        self.long = [text(source, 4500) for _ in range(10)]
        self.attached = ("QUJD" * 18 + "\r\n") * 1200

    def message(self, n):
        head = (f"Received: from client.load.test ([192.0.2.7])\r\n\tby mx.load.test with ESMTP id {n:08x};\r\n"
                f"\tMon, 23 Nov 2026 01:02:03 +0000\r\nDate: Mon, 23 Nov 2026 {n // 3600 % 24:02d}:{n // 60 % 60:02d}:{n % 60:02d} +0000\r\n"
                f"From: \"Sender {n % 97}\" <sender{n % 97}@load.test>\r\nTo: <u0@load.test>\r\n"
                f"Subject: {WORDS[n % len(WORDS)]} {n}\r\nMessage-ID: <{n}@load.test>\r\nMIME-Version: 1.0\r\n")
        plain = "Content-Type: text/plain; charset=utf-8\r\n\r\n"
        if n % 20 == 0:
            body = ("Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\n--x\r\n" + plain + self.short[n // 20 % 20] +
                    "\r\n--x\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n"
                    "Content-Disposition: attachment; filename=\"a.pdf\"\r\n\r\n" + self.attached + "--x--\r\n")
        elif n % 20 < 6:
            body = ("Content-Type: multipart/alternative; boundary=\"x\"\r\n\r\n--x\r\n" + plain + self.long[n % 10] +
                    "\r\n--x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>" + self.long[(n + 3) % 10] +
                    "</p></body></html>\r\n--x--\r\n")
        else:
            body = plain + self.short[n % 20]
        return (head + body).encode()


class Line:
    """A connection whose answers end with a line that begins in a known way."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 300)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(PIECE)
        self.total = 0

    def close(self):
        self.sock.close()

    def piece(self):
        n = self.sock.recv_into(self.buffer)
        if n == 0:
            raise RuntimeError("the server hung up")
        self.total += n
        return bytes(self.buffer[:n])

    def until(self, mark):
        """The last line, which begins with mark; self.head has what came first."""
        self.head, tail = b"", b"\n"
        while True:
            got = self.piece()
            if len(self.head) < 4096:
                self.head += got
            tail = (tail + got)[-4096:]
            last = tail[tail.rfind(b"\n", 0, len(tail) - 1) + 1:]
            if tail.endswith(b"\n") and last.startswith(mark):
                return last


class Imap(Line):
    def __init__(self, port, user):
        super().__init__(port)
        self.serial = 0
        self.until(b"* OK")
        self.do(f"LOGIN {user} pass")

    def send(self, command):
        self.serial += 1
        self.mark = b"a%d " % self.serial
        self.sock.sendall(self.mark + command + b"\r\n")

    def wait(self):
        """Bytes of the answer."""
        before = self.total
        last = self.until(self.mark)
        if not last.startswith(self.mark + b"OK"):
            raise RuntimeError(f"{last!r}")
        return self.total - before

    def do(self, command):
        self.send(command.encode())
        return self.wait()

    def append(self, messages):
        self.send(b"APPEND INBOX" + b"".join(b" {%d+}\r\n" % len(m) + m for m in messages))
        return self.wait()

    def exists(self):
        """How many messages the last SELECT found."""
        return int(self.head[:self.head.index(b" EXISTS")].rsplit(b" ", 1)[1])


class Pop3(Line):
    def __init__(self, port, user):
        super().__init__(port)
        self.until(b"+OK")
        for line in (f"USER {user}", "PASS pass"):
            self.sock.sendall(line.encode() + b"\r\n")
            self.until(b"+OK")

    def all(self, count):
        """Retrieves the first messages, one after the other."""
        before = self.total
        for n in range(1, count + 1):
            self.sock.sendall(b"RETR %d\r\n" % n)
            self.until(b".\r\n")
        return self.total - before
