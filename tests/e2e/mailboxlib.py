"""What the scripts about mailboxes share: a server with a mailbox, its users, its certificate."""
import imaplib
import os
import smtplib
import ssl
import subprocess

from netlib import KURIRCTL, Server, free_port, path, wait_until, write

USERS = {"hyd@satu.example": "rahasia", "siti@satu.example": "p\"a\\ss w"}


def certificate():
    """A certificate of its own for 127.0.0.1 and localhost."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-keyout", path("key.pem"), "-out", path("cert.pem"), "-days", "30", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:mx.satu.example,IP:127.0.0.1"],
                   check=True, capture_output=True)
    os.chmod(path("key.pem"), 0o644)


def passwords():
    for user, password in USERS.items():
        subprocess.run([KURIRCTL, "passwd", path("users"), user], input=password + "\n", text=True, check=True,
                       capture_output=True)
    os.chmod(path("users"), 0o644)


class MailServer(Server):
    """IMAP, POP3 and SMTP on free ports: self.port["imap"] and so on."""

    def __init__(self, name="mail", single=True, imap=None, pop3=None, store="store_maildir", shards=None, oauth=None, **more):
        kinds = (("mx", "smtp", "upgrade"), ("submission", "submission", "upgrade"),
                 ("submissions", "submission", "implicit"), ("imap", "imap", "upgrade"),
                 ("imaps", "imap", "implicit"), ("imapplain", "imap", "none"), ("pop3", "pop3", "upgrade"),
                 ("pop3s", "pop3", "implicit"))
        self.port = {n: free_port() for n, _, _ in kinds}
        if not os.path.exists(path("cert.pem")):
            certificate()
            passwords()
        listeners = {n: {"protocol": p, "address": "127.0.0.1:%d" % self.port[n], "tls": t} for n, p, t in kinds}
        for n in ("mx", "submission", "submissions"):
            listeners[n]["pipeline"] = "in"
        modules = {"smtp": {}, "imap": imap or {}, "pop3": pop3 or {},
                   "accounts": {"domains": ["satu.example"], "mailboxes": list(USERS)},
                   "auth_file": {"users": path("users"), "domain": "satu.example"},
                   "route_local": {}, "queue_journal": {}, store: {"root": self.root(name)}}
        self.shards = shards
        if shards:
            modules[store]["shards"] = shards
        if oauth:
            modules["smtp"]["oauth"] = True
            modules["auth_oauth2"] = oauth
        super().__init__(modules, name=name, single=single, listeners=listeners, pipelines={"in": ["accounts"]},
                         tls={"certificates": [{"certificate": path("cert.pem"), "key": path("key.pem")}]},
                         limits={"connections": 15000, "connections-per-peer": 15000}, **more)

    def start(self):
        self.more["modules"] = self.modules  # no probe
        super().start()

    @staticmethod
    def root(name="mail"):
        return path(name + "-boxes")

    def maildir(self, user="hyd"):
        return os.path.join(self.root(self.name), "satu.example", user)

    def deliver(self, text, to="hyd@satu.example"):
        """By SMTP, and waits until it lies in the mailbox."""
        def count():
            return sum(len(os.listdir(os.path.join(self.maildir(to.split("@")[0]), d))) for d in ("new", "cur")
                       if os.path.isdir(os.path.join(self.maildir(to.split("@")[0]), d)))
        before = count()
        with smtplib.SMTP("127.0.0.1", self.port["mx"], timeout=60) as c:
            c.sendmail("you@dua.example", [to], text)
        wait_until(lambda: count() > before, 60, "the message is delivered")


class Gate(MailServer):
    """One with modules that decide about mail: their blocks, and the whole pipeline."""

    def __init__(self, blocks, pipeline, name="gate", **more):
        self.blocks, self.pipeline = blocks, pipeline
        super().__init__(name=name, **more)

    def start(self):
        self.more["pipelines"] = {"in": self.pipeline}
        self.modules.update(self.blocks)
        super().start()

    def say(self, sender, to, text="Subject: x\n\nx\n", peer="127.0.0.1", log_in=None):
        """[(code, text)] of MAIL, each RCPT and, if one was taken, the message."""
        port = self.port["submission" if log_in else "mx"]
        with smtplib.SMTP("127.0.0.1", port, timeout=60, source_address=(peer, 0)) as c:
            c.ehlo("client.example")
            if log_in:
                c.starttls(context=tls())
                c.login(log_in, USERS[log_in])
            said = [c.mail(sender)] + [c.rcpt(a) for a in ([to] if isinstance(to, str) else to)]
            if any(code == 250 for code, _ in said[1:]):
                said.append(c.data(text))
            return [(code, words.decode()) for code, words in said]

    def mail(self, user="hyd"):
        """What lies in a mailbox."""
        found = []
        for where, _, files in os.walk(self.maildir(user)):
            if os.path.basename(where) in ("new", "cur"):
                found += [open(os.path.join(where, f), encoding="utf-8", errors="surrogateescape").read() for f in files]
        return found

    def with_subject(self, subject, user="hyd"):
        return wait_until(lambda: [m for m in self.mail(user) if "Subject: %s\n" % subject in m.replace("\r", "")],
                          60, "a mail about " + subject)[0]


def tls():
    return ssl.create_default_context(cafile=path("cert.pem"))


def login(s, user="hyd@satu.example"):
    c = imaplib.IMAP4_SSL("127.0.0.1", s.port["imaps"], ssl_context=tls())
    c.login(user, USERS[user])
    return c


def ok(answer):
    if answer[0] != "OK":
        raise AssertionError(answer)
    return answer[1]
