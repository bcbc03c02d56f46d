"""Postfix and Dovecot for powercut.py: accepted and delivered into Maildirs, with the settings they come with.

What is new is made durable before the load: mailboxes have got a mail already, and the folders of the queue are
there. Postfix is started on the rebuilt disk as its own script does it: postsuper first, then master."""
import fcntl
import multiprocessing
import os
import re
import smtplib
import subprocess
import tempfile

import peerlib
from netlib import free_port, path, skip_all, start, wait_until, write
from powercut import BEGIN, LATE, NEAR, give, mark

SYNCFS = 0x6b01  # FAULT_SYNCFS of fault.h
FUSE = ["-o", "allow_other,default_permissions"]
MAIL = 64205  # owns mailboxes


def durable(mount):
    """Everything up to now."""
    fd = os.open(mount, os.O_RDONLY)
    fcntl.ioctl(fd, SYNCFS)
    os.close(fd)


def say_hello(subject, to):
    """A first mail for each mailbox: what is made for it is not what is asked about."""
    with subject.protocol("127.0.0.1", subject.port, timeout=60) as c:
        for one in to:
            give(c, "Subject: hello\r\n\r\nX-Mill: 999999\r\n", [one])
    wait_until(lambda: len(peerlib.messages(os.path.join(subject.mount, "boxes"))) == len(to), 60, "first mails")


def forget_hello(subject):
    for folder, _, files in os.walk(os.path.join(subject.mount, "boxes")):
        if os.path.basename(folder) in ("new", "cur"):
            for name in files:
                os.unlink(os.path.join(folder, name))
    durable(subject.mount)
    mark(subject.mount, BEGIN.decode())


class Postfix:
    protocol = smtplib.SMTP
    options = FUSE
    FOLDERS = ("active bounce corrupt defer deferred flush hold incoming maildrop saved trace", "private pid", "public")

    def __init__(self):
        self.root = peerlib.Root("postfix")
        self.mount = self.root.at("disk")
        os.mkdir(self.mount)
        for name in ("var/log", "etc/postfix"):
            os.makedirs(self.root.at(name), exist_ok=True)
        places = ["disk"] + ["cut-%d" % n for n in range(1, 100)]
        self.root.write("etc/postfix/main.cf", "alternate_config_directories = %s\n"
                        % ", ".join("/etc/postfix-" + p for p in places))

    def run(self, place, domains):
        """A master for the disk in that folder of the root; its port."""
        port = free_port()
        conf = "etc/postfix-" + place
        os.makedirs(self.root.at("var/lib/" + place), exist_ok=True)
        os.chown(self.root.at("var/lib/" + place), 64201, -1)
        log = "var/log/%s.log" % place
        self.root.write(log, "")
        os.chown(self.root.at(log), 64201, -1)
        boxes = " ".join("%s=%s/" % (a, a) for a in NEAR + [LATE] if a.split("@")[1] in domains)
        peerlib.postfix_configuration(self.root, port, {
            "queue_directory": "/%s/spool" % place, "data_directory": "/var/lib/" + place,
            "import_environment": "LD_LIBRARY_PATH MAIL_CONFIG", "export_environment": "LD_LIBRARY_PATH MAIL_CONFIG",
            "virtual_uid_maps": "static:64205", "virtual_gid_maps": "static:64205", "virtual_minimum_uid": "100",
            "local_header_rewrite_clients": "",
            "virtual_mailbox_base": "/%s/boxes" % place, "virtual_mailbox_domains": " ".join(domains),
            "virtual_mailbox_maps": "inline:{%s}" % boxes, "maillog_file": "/" + log,
            "transport_maps": "inline:{dua.example=smtp:[127.0.0.1]:1}" if len(domains) == 1 else ""}, conf)
        done = subprocess.run(["chroot", self.root.folder, "/usr/sbin/postsuper", "-c", "/" + conf], check=False,
                              env=peerlib.ROOT_ENV, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError("postsuper: " + done.stderr + self.log(place))
        return port, self.root.start(place + ".out", "/usr/lib/postfix/sbin/master", "-c", "/" + conf, "-d",
                                     start_new_session=True)  # it ends its children by their group

    def begin(self):
        spool = os.path.join(self.mount, "spool")
        os.makedirs(os.path.join(self.mount, "boxes"))
        os.chown(os.path.join(self.mount, "boxes"), MAIL, MAIL)
        for names, mode, group in zip(self.FOLDERS, (0o700, 0o755, 0o710), (-1, -1, 64202)):
            for name in names.split():
                os.makedirs(os.path.join(spool, name))
                os.chmod(os.path.join(spool, name), mode)
                if name != "pid":
                    os.chown(os.path.join(spool, name), 64201, group)
        self.port, self.master = self.run("disk", ["satu.example"])
        wait_until(lambda: self.answers(self.port), 60, "postfix listens")
        say_hello(self, NEAR)
        wait_until(lambda: self.empty(spool, "incoming", "active"), 60, "an empty queue")
        forget_hello(self)

    @staticmethod
    def answers(port):
        try:
            smtplib.SMTP("127.0.0.1", port, timeout=10).close()
            return True
        except OSError:
            return False

    @staticmethod
    def whole(spool, *queues):
        """What cleanup did not finish has no x bit, and is nobody's mail."""
        for queue in queues:
            for folder, _, files in os.walk(os.path.join(spool, queue)):
                for name in files:
                    name = os.path.join(folder, name)
                    try:
                        if os.stat(name).st_mode & 0o100:
                            yield name
                    except FileNotFoundError:
                        pass  # has moved on

    def empty(self, spool, *queues):
        """Asked three times: what moves from one to another is seen in neither."""
        return not any(list(self.whole(spool, *queues)) for _ in range(3))

    def settle(self, late):
        spool = os.path.join(self.mount, "spool")
        wait_until(lambda: self.empty(spool, "incoming", "active"), 120, "only what is late is queued")
        if len(list(self.whole(spool, "deferred"))) != late:
            raise AssertionError("not %d are deferred" % late)

    def end(self):
        self.master.terminate()
        self.master.wait()

    def text(self):
        return self.log("disk")

    def log(self, place):
        return peerlib.log_of(self.root.at("var/log/%s.log" % place), place + ".out")()

    def home(self):
        """One for each process of the pool: Postfix wants to know its places before."""
        home = self.root.at("cut-%d" % (multiprocessing.current_process()._identity[0] % 100))
        os.mkdir(home)
        return home

    def recover(self, home, faults):
        place, spool = os.path.basename(home), os.path.join(home, "spool")
        _, master = self.run(place, ["satu.example", "dua.example"])
        try:
            wait_until(lambda: self.empty(spool, "incoming", "active", "deferred"), 30, "the queue is empty")
        except AssertionError:
            pass  # kept() knows
        master.terminate()
        master.wait()
        return self.log(place)

    def kept(self, home):
        """Mails that are in the queue still."""
        for name in self.whole(os.path.join(home, "spool"), "incoming", "active", "deferred", "hold"):
            with open(name, "rb") as f:
                found = re.search(rb"X-Mill: (\d+)", f.read())
            if found:
                yield int(found.group(1))


class Dovecot:
    protocol = smtplib.LMTP
    options = FUSE

    def __init__(self):
        if os.geteuid() != 0:
            skip_all("Dovecot's LMTP wants to be started by root")
        if not os.path.exists("/usr/sbin/dovecot"):
            skip_all("Dovecot is not installed")
        self.mount, self.port = path("mount"), free_port()
        os.mkdir(self.mount)
        self.conf = write("dovecot.conf", """
protocols = lmtp
base_dir = %s
log_path = %s
ssl = no
postmaster_address = postmaster@satu.example
mail_location = maildir:%s/boxes/%%u
auth_username_format = %%u
service lmtp {
  executable = %s
  inet_listener lmtp {
    address = 127.0.0.1
    port = %d
  }
}
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=%d gid=%d home=%s/home/%%u allow_all_users=yes
}
""" % (path("dovecot"), path("dovecot.log"), self.mount, os.path.join(peerlib.unpacked("dovecot-lmtpd"), "usr/lib/dovecot/lmtp"),
            self.port, MAIL, MAIL, self.mount))

    def begin(self):
        for name in ("boxes", "home"):
            os.mkdir(os.path.join(self.mount, name))
            os.chown(os.path.join(self.mount, name), MAIL, MAIL)
        self.master = start(["/usr/sbin/dovecot", "-F", "-c", self.conf], "dovecot.out")
        wait_until(lambda: Postfix.answers(self.port), 60, "dovecot listens")
        say_hello(self, NEAR + [LATE])
        forget_hello(self)

    def settle(self, late):
        pass  # an answer is the delivery

    def end(self):
        self.master.terminate()
        self.master.wait()

    def text(self):
        with open(path("dovecot.log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def home(self):
        return tempfile.mkdtemp(prefix="cut-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)

    def recover(self, home, faults):
        return ""

    def kept(self, home):
        return ()  # no queue: what is not in the mailbox now will never be


SERVERS = {"postfix": Postfix, "dovecot": Dovecot}
