#!/usr/bin/env python3
"""The story that `make demo` tells comes true, what it leaves running serves other people's mail programs, and
`make demo-stop` ends it."""
import glob
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys

from netlib import BUILD, SRC, check, done, path, skip_all, start, wait_until, write

DEMO = [sys.executable, os.path.join(SRC, "contrib/demo/demo.py"), BUILD]
FOLDER = path("demo")
SATU, DUA = "hyd@satu.example", "paijo@dua.example"
SYNC = """IMAPAccount demo
Host %(host)s
Port 2993
User %(user)s
Pass %(password)s
SSLType IMAPS
CertificateFile %(certificate)s

IMAPStore far
Account demo

MaildirStore near
Path %(folder)s/
Inbox %(folder)s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""


def free_net():
    """Two addresses of the loopback network that nobody plays on: the ports of the demo are its own."""
    while True:
        net = "127.%d.%d" % (random.randint(1, 254), random.randint(0, 254))
        with socket.socket() as s:
            try:
                s.bind((net + ".1", 2525))
                return net
            except OSError:
                continue


def run(*argv, text=None):
    env = dict(os.environ, HOME=path("home"), TERM="dumb", KURIR_DEMO=FOLDER, KURIR_DEMO_NET=NET)
    return subprocess.run(argv, input=text, capture_output=True, text=True, env=env, timeout=100, check=False)


def play(what):
    """The passwords that it prints, by user."""
    r = run(*DEMO, "start")
    words = dict(re.findall(r"^   (\S+@\S+), password (\S+)$", r.stdout, re.M))
    check(r.returncode == 0 and set(words) == {SATU, DUA}, what, r.stdout[-3000:], r.stderr)
    return words


def pids():
    with open(os.path.join(FOLDER, "pids")) as f:
        return [int(line.split()[0]) for line in f]


def alive(pid):
    """Not one that has ended and waits to be asked how."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def certificate(server):
    return os.path.join(FOLDER, server, "certificate.pem")


def muttrc(user, password):
    """As somebody would write it who has read what the demo prints."""
    server = user.split("@")[1].split(".")[0]
    host = NET + (".1" if server == "satu" else ".2")
    return write("muttrc-" + server, """set from=%(user)s use_envelope_from copy=no
set smtp_url="smtp://%(name)s@%(host)s:2587" smtp_pass=%(password)s
set folder="imaps://%(name)s@%(host)s:2993" spoolfile=+INBOX imap_pass=%(password)s
set ssl_force_tls=yes ssl_starttls=yes certificate_file=%(certificate)s ssl_usesystemcerts=no
set confirmcreate=no confirmappend=no quit=yes delete=yes move=no header_cache="" sleep_time=0
""" % {"user": user, "name": user.replace("@", "%40"), "host": host, "password": password, "certificate": certificate(server)}, 0o600)


def boxes(user):
    name, domain = user.split("@")
    return os.path.join(FOLDER, domain.split(".")[0], "mail", domain, name)


def texts(*folders):
    """File name and text of every message in Maildirs."""
    found = {}
    for folder in folders:
        for name in glob.glob(folder + "/new/*") + glob.glob(folder + "/cur/*"):
            with open(name, errors="replace") as f:
                found[os.path.relpath(name, folder)] = f.read()
    return found


def arrives(user, subject):
    wait_until(lambda: any("Subject: %s\n" % subject in t for t in texts(boxes(user)).values()), 60,
               "%s has the mail %s" % (user, subject))


def mutt(words):
    r = run("mutt", "-n", "-F", muttrc(SATU, words[SATU]), "-s", "by mutt", "-a", write("attached", "inside\n"), "--", DUA,
            text="Hello from mutt.\n..dots\n")
    check(r.returncode == 0, "mutt sends", r)
    arrives(DUA, "by mutt")
    saved = path("saved")
    child = start(["script", "-qec", "mutt -n -F %s -e 'push \"<tag-pattern>~s mutt$<enter><tag-prefix><copy-message>%s<enter>"
                   "<exit>\"'" % (muttrc(DUA, words[DUA]), saved), "/dev/null"], "mutt.log",
                  env=dict(os.environ, HOME=path("home"), TERM="xterm"))
    child.wait(100)
    got = open(saved, errors="replace").read() if os.path.exists(saved) else ""
    check("Subject: by mutt\n" in got and "..dots" in got, "mutt reads what it sent, on the other server", got[-800:],
          open(path("mutt.log"), errors="replace").read()[-800:])


def mbsync(words):
    near, far = path("near/INBOX"), boxes(DUA)
    os.makedirs(path("near"))
    conf = write("mbsyncrc", SYNC % {"host": NET + ".2", "user": DUA, "password": words[DUA], "folder": path("near"),
                                     "certificate": certificate("dua")}, 0o600)
    r = run("mbsync", "-c", conf, "-a")
    before = texts(near)
    check(r.returncode == 0 and len(before) == len(texts(far)) > 0, "mbsync fetches all", r)
    write("near/INBOX/cur/1700000000.near.host:2,S", "From: %s\nSubject: from the near side\n\nx\n" % DUA)
    seen = next(n for n, t in before.items() if "Subject: by mutt\n" in t)
    flags = "" if ":2," in seen else ":2,"
    os.rename(os.path.join(near, seen), os.path.join(near, seen.replace("new/", "cur/") + flags + "F"))
    r = run("mbsync", "-c", conf, "-a")
    there = texts(far)
    check(r.returncode == 0 and any("from the near side" in t for t in there.values()), "mbsync brings what is new here", r)
    check(any("Subject: by mutt\n" in t and "F" in n.rpartition(":2,")[2] for n, t in there.items()),
          "and what was flagged here", list(there))
    here = texts(near)
    r = run("mbsync", "-V", "-c", conf, "-a")
    check(r.returncode == 0 and texts(near).keys() == here.keys() and texts(far).keys() == there.keys(),
          "with nothing to do it moves nothing", r)


def stop():
    children = pids()
    r = run(*DEMO, "stop")
    check(r.returncode == 0 and r.stdout.count("ended") == len(children) == 3 and
          not any(map(alive, children)), "it ends what it started", r)
    r = run(*DEMO, "stop")
    check(r.returncode == 0 and "nothing is running" in r.stdout, "and nothing else", r)


os.environ["PATH"] += ":/usr/sbin"
missing = [tool for tool in ("unbound", "swaks", "curl") if not shutil.which(tool)]
if missing:
    skip_all("not installed: " + " ".join(missing))
NET = free_net()
os.makedirs(path("home"))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a test that took too long stops the demo, too
passwords = play("the demo")
try:
    for client in (mutt, mbsync):
        if shutil.which(client.__name__):
            client(passwords)
        else:
            check(True, "%s # SKIP it is not installed" % client.__name__)
    play("the demo again, while it runs")
finally:
    stop()
done()
