"""The servers of others, as Debian builds them: each in a root folder of its own, not installed.

They are set up to be fast where that costs no durability: limits that are there to protect them are wide, nothing is looked up
in the DNS, no TLS.  What they sync is what they sync by default."""
import os
import subprocess
import sys

from servers import BOXES, BUILT, HERE, Server

FOLDERS = [BUILT + "/peers", HERE + "/../../build/peers", os.environ.get("KURIR_PEERS", "/nowhere")]


class Peer(Server):
    packages = ()
    roots = 0

    @classmethod
    def missing(cls):
        """Why it cannot be measured here, or nothing."""
        if os.geteuid() != 0:
            return "only root may give it a root folder"
        for package in cls.packages:
            if not any(os.path.isdir(f"{f}/{package}") for f in FOLDERS):
                return f"{package} is not unpacked (contrib/build-aux/unpack-peers build/peers bench)"
        return ""

    def start(self):
        # Makes its folder as soon as it is loaded, below TMPDIR.
        sys.path.insert(1, HERE + "/../e2e")
        import peerlib  # pylint: disable=import-outside-toplevel,import-error
        Peer.roots += 1
        self.root = peerlib.Root(*self.packages, tools=("/bin/sh",), name=f"{self.name}-{Peer.roots}")
        self.serve(self.configure(peerlib))

    def configure(self, peerlib):
        """The command that runs it in its root."""
        raise NotImplementedError

    def serve(self, command):
        self.spawn("chroot", self.root.folder, *command, LD_LIBRARY_PATH="/usr/lib/postfix", LC_ALL="C")

    def boxes(self):
        return self.root.at("boxes")

    def own(self, user, *folders):
        for folder in folders:
            os.makedirs(self.root.at(folder), exist_ok=True)
            os.chown(self.root.at(folder), user, user)


class Postfix(Peer):
    name = "postfix"
    modes = ("accept", "relay", "mailboxes")
    packages = ("postfix",)

    def configure(self, peerlib):
        modes = {
            "accept": {"smtpd_end_of_data_restrictions": "check_client_access static:HOLD"},
            "relay": {"relayhost": f"[127.0.0.1]:{self.sink.port}" if self.sink else ""},
            "mailboxes": {"virtual_mailbox_domains": "load.test", "virtual_mailbox_base": "/boxes",
                          "virtual_mailbox_maps": "texthash:/etc/boxes", "virtual_uid_maps": "static:64205",
                          "virtual_gid_maps": "static:64205", "virtual_destination_recipient_limit": "1"}}
        self.root.write("etc/boxes", "".join(f"u{i}@load.test u{i}/\n" for i in range(BOXES)))
        peerlib.postfix_files(self.root, self.port, {
            "myhostname": "mail.load.test", "smtpd_peername_lookup": "no", "default_process_limit": "200",
            "smtpd_client_connection_count_limit": "0", "initial_destination_concurrency": "20",
            "default_destination_concurrency_limit": "50", "in_flow_delay": "0", **modes[self.mode]})
        return "/usr/lib/postfix/sbin/master", "-d"


EXIM = """primary_hostname = mail.load.test
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
disable_ipv6
host_lookup =
rfc1413_hosts =
tls_advertise_hosts =
keep_environment =
smtp_accept_max = 500
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
split_spool_directory
queue_only = {hold}
acl_smtp_rcpt = all
acl_smtp_data = all
begin acl
all:
  accept
begin routers
next:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = next
begin transports
next:
  driver = smtp
  port = {sink}
  allow_localhost
begin retry
* * F,1d,1h
"""


class Exim(Peer):
    name = "exim"
    modes = ("accept", "relay")
    packages = ("exim4-daemon-light",)

    def configure(self, peerlib):
        self.own(64206, "var/spool/exim4", "var/log/exim4")
        os.makedirs(self.root.at("etc/exim4"))
        self.root.write("etc/exim4/exim4.conf", EXIM.format(
            port=self.port, hold="true" if self.mode == "accept" else "false", sink=self.sink.port if self.sink else 25))
        return "/usr/sbin/exim4", "-bdf"


OPENSMTPD = """smtp limit max-mails 1000000
mta limit max-conn-per-host 50
mta limit max-conn-per-route 50
mta limit conn-delay-route 0
listen on 127.0.0.1 port {port} hostname mail.load.test
action next relay host "smtp://127.0.0.1:{sink}"
match from any for any action next
"""


class Opensmtpd(Peer):
    name = "opensmtpd"
    modes = ("accept", "relay")
    packages = ("opensmtpd",)

    def configure(self, peerlib):
        self.root.write("etc/smtpd.conf", OPENSMTPD.format(port=self.port, sink=self.sink.port if self.sink else 25))
        self.root.write("etc/mailname", "mail.load.test\n")
        peerlib.opensmtpd_spool(self.root)
        return "/usr/sbin/smtpd", "-d"

    def __init__(self, tmp, mode, sink):
        super().__init__(tmp, mode, sink)
        if mode == "accept":
            subprocess.run(["chroot", self.root.folder, "/usr/sbin/smtpctl", "pause", "mta"], check=True,
                           stdout=subprocess.DEVNULL)


DOVECOT = """protocols = lmtp
listen = 127.0.0.1
ssl = no
log_path = /var/log/dovecot.log
mail_location = maildir:~/
first_valid_uid = 1000
passdb {
  driver = static
  args = password=pass
}
userdb {
  driver = static
  args = uid=vmail gid=vmail home=/boxes/%n allow_all_users=yes
}
service lmtp {
  process_min_avail = 10
  process_limit = 200
  inet_listener lmtp {
    port = PORT
  }
}
protocol lmtp {
  postmaster_address = postmaster@load.test
}
"""


class Dovecot(Peer):
    name = "dovecot"
    modes = ("mailboxes",)
    packages = ("dovecot-core", "dovecot-lmtpd")
    lmtp = True

    def configure(self, peerlib):
        os.makedirs(self.root.at("etc/dovecot"), exist_ok=True)
        os.makedirs(self.root.at("var/log"), exist_ok=True)
        os.makedirs(self.root.at("var/lib/dovecot"), exist_ok=True)
        self.root.write("etc/dovecot/dovecot.conf", DOVECOT.replace("PORT", str(self.port)))
        return "/usr/sbin/dovecot", "-F"
