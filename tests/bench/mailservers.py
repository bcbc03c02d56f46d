"""Servers whose mailboxes are measured: this one with each of its stores, Dovecot with each of its formats, Cyrus.

They can be started again over the same mailboxes.  Users are u0 to u99 with the password "pass"; what they sync is what they sync
by default."""
import contextlib
import glob
import json
import os
import signal
import sqlite3
import subprocess
import time

from peers import Peer
from servers import BOXES, BUILT, Server, free_port, greets, until


class Boxes(Server):
    """self.imap and self.pop3 are ports; self.port takes SMTP or LMTP."""
    modes = ("mailboxes",)
    domain = "load.test"

    def __init__(self, tmp):
        self.pop3 = free_port()
        super().__init__(tmp, "mailboxes", None)
        self.ready()

    def ready(self):
        for port in (self.port, self.imap, self.pop3):
            until(f"{self.name} on port {port}", lambda p=port: greets(p))

    def again(self):
        """Ends it and starts it over what it has kept."""
        self.stop()
        self.launch()
        self.ready()

    def launch(self):
        raise NotImplementedError

    def indexed(self):
        """Waits until its index of texts is made, and says how many seconds; None: it makes none."""
        return None

    def user(self, n):
        return f"u{n}@{self.domain}"


class KurirBoxes(Boxes):
    store = ""

    def start(self):
        users = [self.user(i) for i in range(BOXES)]
        hashed = subprocess.run(["openssl", "passwd", "-5", "-salt", "benchmark", "pass"], check=True,
                                stdout=subprocess.PIPE, text=True).stdout.strip()
        for name, lines in (("boxes", users), ("users", [f"{u}:{hashed}" for u in users])):
            with open(f"{self.tmp}/{name}", "w", encoding="utf-8") as f:
                f.write("\n".join(lines) + "\n")
        listeners = {n: {"protocol": n, "address": f"127.0.0.1:{p}"}
                     for n, p in (("smtp", self.port), ("imap", self.imap), ("pop3", self.pop3))}
        listeners["smtp"]["pipeline"] = "inbound"
        conf = {"version": 1, "hostname": "mail.load.test", "state": "state", "run": "run", "listeners": listeners,
                "limits": {"connections": 10000, "connections-per-peer": 10000},
                "pipelines": {"inbound": ["accounts"]},
                "modules": {"smtp": {}, "queue_journal": {}, "imap": {"plaintext-login": True},
                            "pop3": {"plaintext-login": True}, "auth_file": {"users": "users", "domain": self.domain},
                            "accounts": {"domains": [self.domain], "mailboxes-file": "boxes"}, "route_local": {},
                            self.store: {"root": "mail"}}}
        if os.geteuid() == 0:
            conf["users"] = {"default": 64100, "control": 64101}
        with open(self.tmp + "/kurir.json", "w", encoding="utf-8") as f:
            json.dump(conf, f)
        self.launch()

    def launch(self):
        self.spawn(BUILT + "/kurird", "-c", self.tmp + "/kurir.json", KURIR_MODULE_PATH=BUILT)


def has_all(shard):
    """Whether the index of a shard of store_sqlite has all that it is to have."""
    with contextlib.closing(sqlite3.connect(f"file:{shard}/index.db?mode=ro", uri=True)) as db:
        if not db.execute("SELECT count(*) FROM searched").fetchone()[0]:
            return True
        last = db.execute("SELECT ifnull(max(id), 0) FROM email").fetchone()[0]
    try:
        with contextlib.closing(sqlite3.connect(f"file:{shard}/search.db?mode=ro", uri=True)) as db:
            known = db.execute("SELECT count(*) FROM account").fetchone()[0]
            behind = db.execute("SELECT count(*) FROM account WHERE upto < until").fetchone()[0]
            return known > 0 and behind == 0 and db.execute("SELECT upto FROM state").fetchone()[0] >= last
    except sqlite3.Error:
        return False  # it is being made


class KurirSqlite(KurirBoxes):
    name = "kurir"
    store = "store_sqlite"

    def indexed(self):
        began = time.monotonic()
        for shard in glob.glob(self.tmp + "/mail/??"):
            until(f"the index of {shard}", lambda s=shard: has_all(s), 300)
        return time.monotonic() - began


class KurirMaildir(KurirBoxes):
    name = "kurir-maildir"
    store = "store_maildir"


class PeerBoxes(Peer, Boxes):
    lmtp = True
    command = ()

    def serve(self, command):
        self.command = command
        self.launch()

    def launch(self):
        super().serve(self.command)


DOVECOT = """protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
log_path = /var/log/dovecot.log
mail_location = {format}:~/mail
mail_max_userip_connections = 10000
first_valid_uid = 1000
auth_username_format = %Ln
passdb {{
  driver = static
  args = password=pass
}}
userdb {{
  driver = static
  args = uid=vmail gid=vmail home=/boxes/%n allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  service_count = 0
  process_min_avail = 2
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 1
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
}}
service lmtp {{
  process_min_avail = 10
  process_limit = 200
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@load.test
}}
"""


class Dovecot(PeerBoxes):
    packages = ("dovecot-core", "dovecot-lmtpd", "dovecot-imapd", "dovecot-pop3d")
    format = ""

    def configure(self, _):
        for folder in ("etc/dovecot", "var/log", "var/lib/dovecot"):
            os.makedirs(self.root.at(folder), exist_ok=True)
        self.root.write("etc/dovecot/dovecot.conf", DOVECOT.format(
            format=self.format, imap=self.imap, pop3=self.pop3, lmtp=self.port))
        return "/usr/sbin/dovecot", "-F"


class DovecotSdbox(Dovecot):
    name = "dovecot-sdbox"
    format = "sdbox"


class DovecotMdbox(Dovecot):
    name = "dovecot-mdbox"
    format = "mdbox"


class DovecotMaildir(Dovecot):
    name = "dovecot-maildir"
    format = "maildir"


IMAPD = """configdirectory: /var/lib/cyrus
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
defaultpartition: default
partition-default: /var/spool/cyrus/mail
altnamespace: yes
unixhierarchysep: yes
virtdomains: off
servername: mail.load.test
admins: cyrus
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_mech_list: PLAIN LOGIN
autocreate_quota: 0
autocreate_post: yes
autocreate_users: anyone
popminpoll: 0
lmtpsocket: /run/cyrus/socket/lmtp
idlesocket: /run/cyrus/socket/idle
notifysocket: /run/cyrus/socket/notify
maxlogins_per_user: 0
maxlogins_per_host: 0
"""
CYRUS = """START {{
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -r"
  idled cmd="idled"
}}
SERVICES {{
  imap cmd="imapd -U 30" listen="127.0.0.1:{imap}" prefork=10 maxchild=1000
  pop3 cmd="pop3d -U 30" listen="127.0.0.1:{pop3}" prefork=1 maxchild=100
  lmtp cmd="lmtpd -a" listen="127.0.0.1:{lmtp}" prefork=10 maxchild=200
}}
"""


class Cyrus(PeerBoxes):
    name = "cyrus"
    packages = ("cyrus-common", "cyrus-imapd", "cyrus-pop3d", "sasl2-bin", "libsasl2-modules-db")

    def user(self, n):
        return f"u{n}"

    def configure(self, _):
        folders = ["run/cyrus/proc", "run/cyrus/lock", "run/cyrus/socket", "var/lib/cyrus", "var/spool/cyrus/mail", "dev/shm",
                   *("var/lib/cyrus/" + f for f in "db log msg proc quota sieve socket user".split())]
        self.own(64210, *folders, "run/cyrus", "var/spool/cyrus")
        for name, line in (("passwd", "cyrus:x:64210:64210::/var/spool/cyrus:/bin/sh\n"), ("group", "mail:x:64210:\nsasl:x:64211:cyrus\n")):
            with open(self.root.at("etc/" + name), "a", encoding="utf-8") as f:
                f.write(line)
        os.makedirs(self.root.at("usr/share"), exist_ok=True)
        subprocess.run(["cp", "-a", "/usr/share/zoneinfo", self.root.at("usr/share/")], check=True)
        self.root.write("etc/imapd.conf", IMAPD)
        self.root.write("etc/cyrus.conf", CYRUS.format(imap=self.imap, pop3=self.pop3, lmtp=self.port))
        for n in range(BOXES):
            subprocess.run(["chroot", self.root.folder, "/usr/sbin/saslpasswd2", "-p", "-c", "-u", "mail.load.test",
                            self.user(n)], input="pass", text=True, check=True, capture_output=True)
        os.chmod(self.root.at("etc/sasldb2"), 0o644)
        return "/usr/sbin/cyrmaster", "-M", "/etc/cyrus.conf", "-C", "/etc/imapd.conf"

    def stop(self):
        """Its services go with it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


ALL = (KurirSqlite, KurirMaildir, DovecotSdbox, DovecotMdbox, DovecotMaildir, Cyrus)
