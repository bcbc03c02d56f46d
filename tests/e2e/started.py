#!/usr/bin/env python3
"""Started by others: sockets that are handed over, readiness, a first start that fails; and a look back at the log."""
import json
import os
import shutil
import socket
import subprocess

from netlib import BUILD, KURIRCTL, KURIRD, check, done, equal, free_port, path, start, wait_until, write
from peerlib import PLACES

ENV = dict(os.environ, KURIR_MODULE_PATH=BUILD)


def configuration(name, port, **more):
    conf = {"version": 1, "hostname": "mx.satu.example", "state": name + "-state", "run": name + "-run",
            "sandbox": "off", "listeners": {"mx": {"protocol": "smtp", "address": "127.0.0.1:%d" % port}},
            "modules": {"accounts": {"domains": ["satu.example"]}, "smtp": {}, "queue_journal": {}, "route_local": {},
                        "store_maildir": {"root": path(name + "-boxes")}}}
    conf.update(more)
    return write(name + ".json", json.dumps(conf))


def text(name):
    with open(path(name), errors="replace") as f:
        return f.read()


def greeting(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        return s.makefile("rb").readline()


def handed_over():
    """sd_listen_fds(3): this script keeps the port, and kurird serves it."""
    with socket.socket() as s, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        s.bind(("127.0.0.1", 0))
        s.listen(16)
        told.bind(path("notify"))
        told.settimeout(30)
        conf = configuration("handed", s.getsockname()[1])
        child = start(["sh", "-c", "exec 3<&%d; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=mx exec %s -c %s"
                       % (s.fileno(), KURIRD, conf)], "handed.log", pass_fds=[s.fileno()],
                      env=dict(ENV, NOTIFY_SOCKET=path("notify")))
        equal(told.recv(4096), b"READY=1", "it says when it is ready")
        check(greeting(s.getsockname()[1]).startswith(b"220 mx.satu.example"), "it serves the socket it was given",
              text("handed.log"))
        r = subprocess.run([KURIRCTL, "-c", conf, "log"], capture_output=True, text=True, timeout=60, check=False)
        check(r.returncode == 0 and "following" not in r.stdout, "log without -f ends", r)
        r = wait_until(lambda: subprocess.run([KURIRCTL, "-c", conf, "log"], capture_output=True, text=True, timeout=60,
                                              check=False).stdout, 30, "there was a connection")
        check("127.0.0.1" in r, "and tells what there was", r)
        subprocess.run([KURIRCTL, "-c", conf, "reload"], env=ENV, timeout=60, check=False, capture_output=True)
        said = told.recv(4096)
        check(said.startswith(b"RELOADING=1\nMONOTONIC_USEC="), "it says that it reloads", said)
        equal(told.recv(4096), b"READY=1", "and that it is ready again")
        child.terminate()
        equal(told.recv(4096), b"STOPPING=1", "it says that it stops")
        equal(child.wait(60), 0, "and ends well")


def activated():
    """The real thing, where it is installed or unpacked."""
    folders = [os.path.join(place, "systemd/usr/bin") for place in PLACES]
    activate = shutil.which("systemd-socket-activate", path=":".join([os.environ["PATH"]] + folders))
    if not activate:
        check(True, "systemd-socket-activate # SKIP it is not installed")
        return
    port = free_port()
    conf = configuration("activated", port)
    child = start([activate, "-l", "127.0.0.1:%d" % port, "--fdname=mx", "-E",
                   "KURIR_MODULE_PATH=" + BUILD, KURIRD, "-c", conf], "activated.log", env=ENV)
    wait_until(lambda: "Listening on" in text("activated.log"), 30, "it listens")
    check(greeting(port).startswith(b"220 mx.satu.example"), "systemd-socket-activate", text("activated.log"))
    child.terminate()
    equal(child.wait(60), 0, "and it ends well")


def first_start_fails():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        conf = configuration("failing", s.getsockname()[1])
        child = start([KURIRD, "-c", conf], "failing.log", env=ENV)
        equal(child.wait(60), 1, "a port that is in use")
        check("another program uses that port" in text("failing.log"), "is named", text("failing.log"))
    conf = configuration("failing", free_port(), modules={
        "accounts": {"domains": ["satu.example"]}, "smtp": {}, "queue_journal": {}, "route_local": {}, "auth_file": {"users": path("none")},
        "store_maildir": {"root": path("failing-boxes")}})
    child = start([KURIRD, "-c", conf], "failing2.log", env=ENV)
    equal(child.wait(60), 1, "users that are nowhere")
    check("goes on" not in text("failing2.log"), "no old configuration is spoken of", text("failing2.log"))
    child = start([KURIRD, "--single", "-c", configuration("failing", free_port(), modules={"smtp": {"sise": 1}})],
                  "failing3.log", env=ENV)
    equal(child.wait(60), 1, "a mistake, with --single")
    check('no option "sise"' in text("failing3.log") and "Sanitizer" not in text("failing3.log"), "is told, and nothing else",
          text("failing3.log"))


def twice():
    """A state folder has one server."""
    port = free_port()
    conf = configuration("owner", port)
    child = start([KURIRD, "-c", conf], "owner.log", env=ENV)
    wait_until(lambda: "is serving" in text("owner.log"), 60, "it serves")
    second = start([KURIRD, "--single", "-c", conf], "owner2.log", env=ENV)
    equal(second.wait(60), 1, "a second server of one folder")
    check("another server has the state folder" in text("owner2.log"), "is told why not", text("owner2.log"))
    check(greeting(port).startswith(b"220 mx.satu.example"), "and the first goes on", text("owner.log"))
    child.terminate()
    equal(child.wait(60), 0, "it ends well")


def unit():
    with open(os.path.join(BUILD, "contrib/systemd/kurir.service")) as f:
        left = [line for line in f if "@" in line]
    equal(left, [], "the unit names real folders")


for part in (unit, handed_over, activated, first_start_fails, twice):
    try:
        part()
    except (OSError, AssertionError, subprocess.SubprocessError) as e:
        check(False, "%s ended: %r" % (part.__name__, e))
done()
