"""What the scripts about other mail servers share: a root folder in which one runs, and a Kurir that exchanges mail with it.

install-deps unpacks the servers' packages into build/peers without installing them, as they
would conflict with each other and start services.  A test makes a root folder of a copy of
one, with the libraries, users and configuration it needs, and runs it by chroot."""
import glob
import os
import shutil
import smtplib
import socket
import subprocess

from mailboxlib import MailServer, tls
from netlib import BUILD, FOLDER, SRC, check, free_port, path, skip_all, start, wait_until, write

PLACES = [os.path.join(p, "peers") for p in (BUILD, os.path.join(BUILD, ".."), os.path.join(SRC, "build"))]
USERS = (("root", 0), ("daemon", 1), ("nobody", 65534), ("postfix", 64201), ("postdrop", 64202), ("opensmtpd", 64203),
         ("opensmtpq", 64204), ("vmail", 64205), ("Debian-exim", 64206), ("dovecot", 64207), ("dovenull", 64208))
SENDER = "hyd@satu.example"
ROOT_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": "/usr/lib/postfix", "LC_ALL": "C"}
POSTFIX_SERVICES = """
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def unpacked(package):
    """Where the package lies; skips the whole test where there is none."""
    for place in PLACES + [os.environ.get("KURIR_PEERS", "/nowhere")]:
        if os.path.isdir(os.path.join(place, package)):
            return os.path.join(place, package)
    return skip_all("%s is not unpacked: contrib/build-aux/unpack-peers needs a network" % package)


def needed_libraries(programs, **more):
    """What ldd says of them; skips the whole test where one is missing."""
    said = subprocess.run(["ldd"] + programs, capture_output=True, text=True, check=False, **more).stdout
    if "not found" in said:
        skip_all("a library is missing: " + [w for w in said.split("\n") if "not found" in w][0].strip())
    return said


class Root:
    """A folder that looks like a small system."""

    def __init__(self, package, *more, tools=(), name=None):
        if os.geteuid() != 0:
            skip_all("%s runs in a root folder of its own, which only root may give it" % package)
        self.folder = path(name or package)
        for each in (package,) + more:
            subprocess.run(["cp", "-a", unpacked(each) + "/.", self.folder], check=True)
        for folder in ("etc", "dev", "tmp", "run", "boxes", "var/lib/opensmtpd/empty"):
            os.makedirs(self.at(folder), exist_ok=True)
        os.chmod(self.at("tmp"), 0o1777)
        if not os.path.lexists(self.at("var/run")):
            os.symlink("/run", self.at("var/run"))
        for tool in tools:
            self.copy(tool)
        self.libraries()
        self.write("etc/passwd", "".join("%s:x:%d:%d::/var/lib/opensmtpd/empty:/bin/sh\n" % (u, n, n) for u, n in USERS))
        self.write("etc/group", "".join("%s:x:%d:\n" % (u, n) for u, n in USERS))
        self.write("etc/hosts", "127.0.0.1 localhost\n")
        self.write("etc/services", "smtp 25/tcp\nlmtp 24/tcp\n")
        self.write("dev/null", "", 0o666)
        with open(self.at("dev/urandom"), "wb") as f:  # no device: those are not everybody's to make
            f.write(os.urandom(65536))
        os.chown(self.at("boxes"), 64205, 64205)
        # RSA: the process that keeps OpenSMTPD's key fails with others.
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.at("etc/key.pem"), "-out",
                        self.at("etc/cert.pem"), "-subj", "/CN=mx.dua.example"], check=True, capture_output=True)
        os.chmod(self.at("etc/cert.pem"), 0o600)

    def at(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        with open(self.at(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.at(name), mode)

    def copy(self, name):
        there = self.at(name.lstrip("/"))
        if not os.path.exists(there):
            os.makedirs(os.path.dirname(there), exist_ok=True)
            shutil.copy(name, there)

    def libraries(self):
        """Those of every program and plugin in it."""
        programs = [os.path.join(d, f) for d, _, files in os.walk(self.folder) for f in files]
        programs = [p for p in programs if (os.access(p, os.X_OK) or p.endswith(".so")) and not os.path.islink(p)]
        own = [self.at("usr/lib/postfix"), self.at("usr/lib/dovecot")] + glob.glob(self.at("usr/lib/*-linux-gnu"))
        env = dict(os.environ, LD_LIBRARY_PATH=":".join(own))
        for word in set(needed_libraries(programs, env=env).split()):
            if word.startswith("/") and not word.startswith(self.folder) and not word.endswith(":"):
                self.copy(word)

    def start(self, log, *argv, **more):
        return start(["chroot", self.folder] + list(argv), log, env=ROOT_ENV, **more)

    def run(self, *argv):
        return subprocess.run(["chroot", self.folder] + list(argv), capture_output=True, text=True, timeout=60,
                              check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def boxes(self):
        """The text of all that this server delivered."""
        return messages(self.at("boxes"))


def postfix_configuration(root, port, options, place="etc/postfix"):
    """Its files in that folder of its root, with these options beside the usual ones."""
    options = {
        "compatibility_level": "3.6", "mail_owner": "postfix", "setgid_group": "postdrop", "daemon_directory":
        "/usr/lib/postfix/sbin", "maillog_file": "/var/log/mail.log", "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4", "myhostname": "mx.dua.example", "mydestination": "", "mynetworks": "127.0.0.0/8",
        "smtpd_relay_restrictions": "permit_mynetworks,reject", "alias_maps": "", "smtp_dns_support_level": "disabled",
        "smtp_host_lookup": "native", "import_environment": "LD_LIBRARY_PATH", "export_environment": "LD_LIBRARY_PATH",
        **options}
    os.makedirs(root.at(place), exist_ok=True)
    root.write(place + "/main.cf", "".join("%s = %s\n" % o for o in options.items()))
    root.write(place + "/master.cf", "127.0.0.1:%d inet n - n - - smtpd" % port + POSTFIX_SERVICES)


def postfix_files(root, port, options):
    """What it needs in its root: folders, and its configuration."""
    spool = root.at("var/spool/postfix/")
    for name in "active bounce corrupt defer deferred flush hold incoming private saved trace public maildrop pid".split():
        os.makedirs(spool + name, mode=0o700, exist_ok=True)
        if name != "pid":
            os.chown(spool + name, 64201, -1)
    for name in ("var/lib/postfix", "var/log"):
        os.makedirs(root.at(name), exist_ok=True)
    os.chown(root.at("var/lib/postfix"), 64201, -1)
    postfix_configuration(root, port, options)


def opensmtpd_spool(root):
    spool = root.at("var/spool/smtpd")
    os.makedirs(spool)
    os.chmod(spool, 0o711)
    for name, owner, group, mode in (("offline", 0, 64204, 0o770), ("purge", 64204, 0, 0o700),
                                     ("queue", 64204, 0, 0o700), ("incoming", 64204, 0, 0o700),
                                     ("temporary", 64204, 0, 0o700), ("corrupt", 64204, 0, 0o700)):
        os.mkdir(os.path.join(spool, name))
        os.chown(os.path.join(spool, name), owner, group)
        os.chmod(os.path.join(spool, name), mode)
    os.chown(root.at("usr/sbin/smtpctl"), 0, 64204)
    os.chmod(root.at("usr/sbin/smtpctl"), 0o2555)


def begin_nsd(port, zones):
    """A name server for (zone, file) pairs on 127.0.0.1."""
    text = """server:
  ip-address: 127.0.0.1@%d
  username: ""
  chroot: ""
  zonesdir: "%s"
  pidfile: ""
  database: ""
  xfrdfile: "%s"
  zonelistfile: "%s"
  cookie-secret-file: ""
  server-count: 1
remote-control:
  control-enable: no
""" % (port, FOLDER, path("xfrd"), path("zonelist"))
    for zone, name in zones:
        text += 'zone:\n  name: "%s"\n  zonefile: "%s"\n' % (zone, name)
    nsd = shutil.which("nsd", path="/usr/sbin") or os.path.join(unpacked("nsd"), "usr/sbin/nsd")
    needed_libraries([nsd])
    child = start([nsd, "-d", "-c", write("nsd.conf", text)], "nsd.log")

    def answers():
        assert child.poll() is None, open(path("nsd.log")).read()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            name = b"".join(bytes([len(l)]) + l.encode() for l in zones[0][0].split("."))
            s.sendto(b"\1\2\0\0\0\1\0\0\0\0\0\0" + name + b"\0\0\6\0\1", ("127.0.0.1", port))
            try:
                return len(s.recv(512)) > 12
            except OSError:
                return False
    wait_until(answers, 20, "nsd answers")
    return child


def messages(folder):
    texts = []
    for where, _, files in os.walk(folder):
        if os.path.basename(where) in ("new", "cur"):
            for name in files:
                with open(os.path.join(where, name), encoding="utf-8", errors="surrogateescape", newline="") as f:
                    texts.append(f.read().replace("\r\n", "\n"))
    return texts


def with_subject(texts, subject):
    """By its header: a notification quotes the message, too."""
    found = [t for t in texts if "Subject: " + subject in t.split("\n\n")[0].split("\n")]
    return found[0] if found else None


class Exchange(MailServer):
    """dua.example is the peer's; its mail comes to "mx" or to "lmtp"."""

    def __init__(self, next_hop):
        self.next_hop = next_hop
        self.lmtp = free_port()
        super().__init__(name="kurir", single=False)

    def start(self):
        self.more["listeners"]["lmtp"] = {"protocol": "lmtp", "address": "127.0.0.1:%d" % self.lmtp, "tls": "none",
                                          "pipeline": "in"}
        self.modules["smtp"] = {"message-size": "50M"}
        self.modules.update({"relay_smtp": {}, "bounce": {}, "queue_journal": {"retry": ["1s"]}, "route_static": {
            "routes": {"dua.example": "smtp:[127.0.0.1]:%d" % self.next_hop}, "tls": "may"}})
        super().start()

    def submit(self, to, text, options=()):
        with smtplib.SMTP("127.0.0.1", self.port["submission"], timeout=60) as c:
            c.starttls(context=tls())
            c.login(SENDER, "rahasia")
            return c.sendmail(SENDER, to, text, options)

    def arrived(self):
        return messages(self.root(self.name))


def arrives(where, subject, what, *logs):
    """The message with this subject; where() gives all that arrived."""
    try:
        text = wait_until(lambda: with_subject(where(), subject), 20, subject)
    except AssertionError as e:
        check(False, what, e, *["%s" % log()[-2500:] for log in logs])
        return ""
    check(True, what)
    return text


def notified(s, words, what, *logs):
    """A notification that has all of these words."""
    def look():
        return [t for t in s.arrived() if "multipart/report" in t and all(w in t for w in words)]
    try:
        wait_until(look, 20, what)
        check(True, what)
    except AssertionError as e:
        check(False, what, e, *["%s" % log()[-2500:] for log in logs])


def log_of(*names):
    def read():
        text = ""
        for name in names:
            if os.path.exists(os.path.join(FOLDER, name)):
                with open(os.path.join(FOLDER, name), encoding="utf-8", errors="replace") as f:
                    text += f.read()
        return text
    return read
