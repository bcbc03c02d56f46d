#!/usr/bin/env python3
"""Other people's programs that send: swaks, msmtp, mutt; and those that read: mutt, getmail."""
import os
import pwd
import shutil
import subprocess

from mailboxlib import MailServer
from netlib import FOLDER, check, done, equal, path, start, wait_until, write


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
    """It may miss the end of the program that it gives a message to, and then waits in vain: it is asked again."""
    if not have("getmail"):
        return
    for name in ("", "/new", "/cur", "/tmp"):
        os.mkdir(path("got" + name))
        if os.geteuid() == 0:  # which it refuses to deliver as
            os.chown(path("got" + name), pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    os.mkdir(path("getmail"), 0o700)
    write("getmail/rc", "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = localhost\nport = %d\nusername = hyd@satu.example\n"
          "password = rahasia\ntimeout = 10\n[destination]\ntype = Maildir\npath = %s/\n%s[options]\nread_all = true\n"
          % (s.port["imaps"], path("got"), "user = nobody\n" if os.geteuid() == 0 else ""), 0o600)
    s.deliver("Subject: for getmail\r\n\r\nx\r\n")
    for _ in range(5):
        try:
            r = run("getmail", "--getmaildir", path("getmail"), "--rcfile", "rc")
        except subprocess.TimeoutExpired as e:
            r = subprocess.CompletedProcess(e.cmd, 1, e.stdout, e.stderr)
        if r.returncode == 0:
            break
    check(r.returncode == 0 and len(os.listdir(path("got/new"))) > 0, "getmail", r)


def mutt(s):
    """Sends by submission, and saves what it sees in the INBOX over IMAPS."""
    if not have("mutt"):
        return
    conf = write("muttrc", "set from=hyd@satu.example realname=hyd use_envelope_from copy=no\n"
                 "set smtp_url=smtp://hyd%%40satu.example@localhost:%d smtp_pass=rahasia ssl_force_tls\n"
                 "set ssl_starttls certificate_file=%s imap_user=hyd@satu.example imap_pass=rahasia\n"
                 "set folder=imaps://localhost:%d spoolfile=imaps://localhost:%d/INBOX\n"
                 "set sleep_time=0 quit=yes confirmcreate=no confirmappend=no copy_decode_weed=no\n"
                 "set ssl_verify_host ssl_verify_dates ssl_usesystemcerts=no delete=yes\n"
                 % (s.port["submission"], path("cert.pem"), s.port["imaps"], s.port["imaps"]), 0o600)
    r = run("mutt", "-n", "-F", conf, "-s", "mutt", "-a", write("attached", "inside\n"), "--", "hyd@satu.example",
            text=".\n..dots\n")
    check(r.returncode == 0, "mutt", r)
    text = arrives(s, "mutt", "and its mail arrives")
    check("\n.\n..dots" in text and "multipart/mixed" in text, "with its dots and what is attached", text)
    saved = path("saved")
    child = start(["script", "-qec", "mutt -n -F %s -e 'push \"<tag-pattern>~s mutt$<enter><tag-prefix>"
                   "<copy-message>%s<enter><exit>\"'" % (conf, saved), "/dev/null"], "mutt.log",
                  env=dict(os.environ, HOME=FOLDER, TERM="vt100"))
    try:
        child.wait(30)
    except subprocess.TimeoutExpired:
        pass
    got = open(saved, errors="replace").read() if os.path.exists(saved) else ""
    check("Subject: mutt\n" in got and "..dots" in got, "mutt reads it over IMAPS", got[-800:],
          open(path("mutt.log"), errors="replace").read()[-800:])


def main():
    s = MailServer(name="peers", single=False)
    for part in (swaks, msmtp, mutt, getmail):
        try:
            part(s)
        except (OSError, AssertionError, subprocess.SubprocessError) as e:
            check(False, "it ended: %r" % e, s.text()[-2000:])
    equal(s.stop(), 0, "the server ends well")
    done()


main()
