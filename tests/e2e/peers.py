#!/usr/bin/env python3
"""Other people's programs that send: Postfix as next hop and as sender, swaks, msmtp; and getmail, which reads."""
import os
import pwd
import shutil
import socket
import subprocess

from mailboxlib import MailServer
from netlib import FOLDER, check, done, equal, free_port, path, start, wait_until, write

# A copy of Postfix that is not installed: where its package was unpacked, with the libraries it lacks.
ROOT = os.environ.get("POSTFIX_ROOT", "")
SERVICES = """
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
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Peered(MailServer):
    """dua.example is Postfix's."""

    def __init__(self, next_hop):
        self.next_hop = next_hop
        super().__init__(name="peers", single=False)

    def start(self):
        self.modules.update({"relay_smtp": {}, "bounce": {}, "queue_journal": {"retry": ["1s"]}, "route_static": {
            "routes": {"dua.example": "smtp:[127.0.0.1]:%d" % self.next_hop}, "tls": "may"}})
        super().start()


def all_mail(s):
    texts = []
    for folder, _, files in os.walk(s.root(s.name)):
        if os.path.basename(folder) in ("new", "cur"):
            for name in files:
                with open(os.path.join(folder, name), errors="replace") as f:
                    texts.append(f.read().replace("\r", ""))
    return texts


def arrived(s, subject):
    """By its header: a notification quotes the message, too."""
    for text in all_mail(s):
        if "Subject: " + subject in text.split("\n\n")[0].split("\n"):
            return text
    return None


def arrives(s, subject, what):
    try:
        text = wait_until(lambda: arrived(s, subject), 20, subject)
    except AssertionError as e:
        check(False, what, e, s.text()[-2000:])
        return ""
    check(True, what)
    return text


def run(*argv, text=None):
    env = dict(os.environ, HOME=FOLDER, SSL_CERT_FILE=path("cert.pem"))
    return subprocess.run(argv, input=text, capture_output=True, text=True, env=env, timeout=40, check=False)


def have(program):
    if shutil.which(program):
        return True
    check(True, "%s # SKIP it is not installed" % program)
    return False


def swaks(s):
    if not have("swaks"):
        return
    for kind, more in (("mx", ()), ("submission", ("-tls", "-a", "PLAIN")), ("submission", ("-tls", "-a", "LOGIN")),
                       ("submissions", ("-tlsc", "-a", "PLAIN"))):
        subject = "swaks-%s-%d" % (kind, len(more) + ("LOGIN" in more))
        login = ("-au", "hyd@satu.example", "-ap", "rahasia") if "-a" in more else ()
        r = run("swaks", "-s", "127.0.0.1", "-p", str(s.port[kind]), "-f", "hyd@satu.example", "-t",
                "hyd@satu.example", "--header", "Subject: " + subject, *more, *login)
        check(r.returncode == 0, "swaks %s %s" % (kind, " ".join(more)), r.stdout[-1500:], r.stderr)
        arrives(s, subject, "and its mail arrives")


def msmtp(s):
    if not have("msmtp"):
        return
    conf = write("msmtprc", "account default\nhost localhost\nport %d\nfrom hyd@satu.example\ntls on\ntls_starttls on\n"
                 "tls_trust_file %s\nauth plain\nuser hyd@satu.example\npassword rahasia\n"
                 % (s.port["submission"], path("cert.pem")), 0o600)
    r = run("msmtp", "-C", conf, "hyd@satu.example", text="From: hyd@satu.example\nSubject: msmtp\n\n.\n..dots\n")
    check(r.returncode == 0, "msmtp", r)
    text = arrives(s, "msmtp", "and its mail arrives")
    check("\n.\n..dots" in text, "with its dots", text)


def getmail(s):
    if not have("getmail"):
        return
    for name in ("", "/new", "/cur", "/tmp"):
        os.mkdir(path("got" + name))
        if os.geteuid() == 0:  # which it refuses to deliver as
            os.chown(path("got" + name), pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    os.mkdir(path("getmail"), 0o700)
    write("getmail/rc", "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = localhost\nport = %d\nusername = hyd@satu.example\n"
          "password = rahasia\n[destination]\ntype = Maildir\npath = %s/\n%s[options]\nread_all = true\n"
          % (s.port["imaps"], path("got"), "user = nobody\n" if os.geteuid() == 0 else ""), 0o600)
    s.deliver("Subject: for getmail\r\n\r\nx\r\n")
    r = run("getmail", "--getmaildir", path("getmail"), "--rcfile", "rc")
    check(r.returncode == 0 and len(os.listdir(path("got/new"))) > 0, "getmail", r)


def postfix_start(port, mx):
    """Its master, in a folder of its own; None when it cannot run here."""
    if os.geteuid() != 0 or not os.path.exists(ROOT + "/usr/lib/postfix/sbin/master"):
        check(True, "postfix # SKIP it is not installed, or this is not root")
        return None
    spool = path("postfix")
    for name in ("", "/etc", "/data", "/spool", "/spool/pid"):
        os.mkdir(spool + name)
    mail = pwd.getpwnam("mail")
    for name in "active bounce corrupt defer deferred flush hold incoming private saved trace public maildrop".split():
        os.mkdir("%s/spool/%s" % (spool, name), 0o700)
        os.chown("%s/spool/%s" % (spool, name), mail.pw_uid, -1)
    os.chown(spool + "/data", mail.pw_uid, -1)
    options = {
        "compatibility_level": "3.6", "queue_directory": spool + "/spool", "data_directory": spool + "/data",
        "command_directory": ROOT + "/usr/sbin", "daemon_directory": ROOT + "/usr/lib/postfix/sbin",
        "shlib_directory": ROOT + "/usr/lib/postfix", "meta_directory": spool + "/etc", "mail_owner": "mail",
        "setgid_group": "news", "maillog_file": spool + "/data/log", "maillog_file_prefixes": FOLDER,
        "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4", "myhostname": "mx.dua.example", "mydestination": "",
        "mynetworks": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_mynetworks,reject", "alias_maps": "",
        "smtp_dns_support_level": "disabled", "smtp_host_lookup": "native", "smtputf8_enable": "no",
        "virtual_alias_domains": "dua.example",
        "virtual_alias_maps": "inline:{paijo@dua.example=hyd@satu.example}",
        "transport_maps": "inline:{satu.example=smtp:[127.0.0.1]:%d}" % mx, "smtp_tls_security_level": "may",
        "smtpd_tls_security_level": "may", "smtpd_tls_cert_file": path("cert.pem"),
        "smtpd_tls_key_file": path("key.pem"), "smtpd_tls_received_header": "yes",
        "import_environment": "MAIL_CONFIG LD_LIBRARY_PATH", "export_environment": "MAIL_CONFIG LD_LIBRARY_PATH"}
    write("postfix/etc/main.cf", "".join("%s = %s\n" % o for o in options.items()))
    write("postfix/etc/master.cf", "127.0.0.1:%d inet n - n - - smtpd" % port + SERVICES)
    env = dict(os.environ, MAIL_CONFIG=spool + "/etc")
    master = start([ROOT + "/usr/lib/postfix/sbin/master", "-c", spool + "/etc", "-d"], "postfix.log", env=env)

    def listens():
        with socket.socket() as c:
            return c.connect_ex(("127.0.0.1", port)) == 0
    wait_until(listens, 20, "postfix listens")
    return master


def postfix_log():
    logs = ""
    for name in ("postfix.log", "postfix/data/log"):
        if os.path.exists(path(name)):
            with open(path(name), errors="replace") as f:
                logs += f.read()[-2500:]
    return logs


def postfix(s, port):
    if not postfix_start(port, s.port["mx"]):
        return
    r = run("curl", "-sS", "smtp://127.0.0.1:%d" % port, "--mail-from", "you@dua.example", "--mail-rcpt",
            "hyd@satu.example", "-T", write("m1", "Subject: from postfix\r\n\r\n.x\r\n"))
    check(r.returncode == 0, "postfix takes a mail", r)
    text = arrives(s, "from postfix", "postfix as sender") or postfix_log()
    check("TLS" in text and "mx.dua.example" in text, "over TLS", text)
    r = run("curl", "-sS", "--ssl-reqd", "--cacert", path("cert.pem"), "-u", "hyd@satu.example:rahasia",
            "smtp://localhost:%d" % s.port["submission"], "--mail-from", "hyd@satu.example", "--mail-rcpt",
            "paijo@dua.example", "--mail-rcpt", "none@dua.example", "-T",
            write("m2", "Subject: to postfix\r\n\r\n.x\r\n"))
    check(r.returncode == 0, "a mail for postfix", r)
    text = arrives(s, "to postfix", "postfix as next hop, and back again")
    check(text.count("Received:") >= 3, "by way of both", text, postfix_log())
    try:
        bounce = wait_until(lambda: any("none@dua.example" in m for m in all_mail(s)), 20, "a notification")
        check(bounce, "what postfix refuses comes back")
    except AssertionError as e:
        check(False, "what postfix refuses comes back", e, s.text()[-1500:], postfix_log())


def main():
    port = free_port()
    s = Peered(port)
    for part in (swaks, msmtp, getmail, lambda x: postfix(x, port)):
        try:
            part(s)
        except (OSError, AssertionError, subprocess.SubprocessError) as e:
            check(False, "it ended: %r" % e, s.text()[-2000:], postfix_log())
    equal(s.stop(), 0, "the server ends well")
    done()


main()
