#!/usr/bin/env python3
"""The story of one mail, played with real parts on loopback.

    demo.py BUILD start    plays it and leaves the servers running
    demo.py BUILD stop     ends what start left running

hyd@satu.example sends a mail to paijo@dua.example.  satu (127.0.0.1) takes it over
STARTTLS with a password, asks the DNS (unbound, 127.0.0.1:2053) who is responsible for
dua.example, queues it, hands it to dua (127.0.0.2), and paijo reads it over IMAP and POP3.
Nothing is waited for by the clock: servers say when they are ready (sd_notify), and the
event stream of each (kurirctl log -f) says what happened.

KURIR_DEMO_NET=127.1.2 plays it on 127.1.2.1 and 127.1.2.2 instead, KURIR_DEMO=/folder there."""

import email, json, os, queue, re, secrets, shutil, signal, socket, subprocess, sys, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CONFIG = os.path.join(TOP, "config", "demo")
FOLDER = os.environ.get("KURIR_DEMO", "/tmp/kurir-demo-%d" % os.getuid())
NET = os.environ.get("KURIR_DEMO_NET", "127.0.0")
SERVERS = {"satu": (NET + ".1", "hyd"), "dua": (NET + ".2", "paijo")}
LIMIT = 60  # seconds that any single event may take


def say(text=""):
    print(text, flush=True)


def step(text):
    say("\n== " + text)


def fail(text):
    say("demo: " + text)
    raise SystemExit(1)


class Demo:
    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.pids = os.path.join(FOLDER, "pids")
        self.passwords = {}
        self.events = {}
        self.followers = []
        self.env = dict(os.environ, KURIR_MODULE_PATH=os.path.join(self.build, ".libs"))

    def path(self, *parts):
        return os.path.join(FOLDER, *parts)

    def tool(self, name):
        return os.path.join(self.build, name)

    # -- preparing ---------------------------------------------------------------------

    def prepare(self):
        if os.path.islink(FOLDER) or (os.path.exists(FOLDER) and os.stat(FOLDER).st_uid != os.getuid()):
            fail(f"{FOLDER} belongs to somebody else; set KURIR_DEMO to another folder")
        shutil.rmtree(FOLDER, ignore_errors=True)
        os.makedirs(FOLDER, mode=0o755)
        for name, (ip, user) in SERVERS.items():
            os.makedirs(self.path(name), mode=0o755)
            self.put(name + ".json")
            self.make_certificate(name, ip)
            self.passwords[user] = secrets.token_hex(8)
            subprocess.run([self.tool("kurirctl"), "passwd", self.path(name, "users"), f"{user}@{name}.example"],
                           input=self.passwords[user] + "\n", text=True, check=True, env=self.env,
                           stdout=subprocess.DEVNULL)
            self.give_to_roles(name)
        self.put("unbound.conf")

    def put(self, name):
        """A file of config/demo, with our folder and addresses."""
        with open(os.path.join(CONFIG, name)) as f:
            text = re.sub(r"\b127\.0\.0\.([12])\b", NET + r".\1", f.read().replace("@FOLDER@", FOLDER))
        with open(self.path(name), "w") as f:
            f.write(text)

    def make_certificate(self, name, ip):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "30", "-subj", f"/CN=mx.{name}.example",
                        # Once more as a name: mbsync looks at nothing else.
                        "-addext", f"subjectAltName=DNS:mx.{name}.example,IP:{ip},DNS:{ip}",
                        "-keyout", self.path(name, "key.pem"), "-out", self.path(name, "certificate.pem")],
                       check=True, stderr=subprocess.DEVNULL)

    def give_to_roles(self, name):
        """As root each role is a user of its own: keys belong to the edge, passwords to auth."""
        if os.getuid() != 0:
            return
        users = json.loads(re.sub(r",(\s*[}\]])", r"\1", re.sub(r"(?m)^\s*//.*$", "",
                           open(self.path(name + ".json")).read())))["users"]
        for file, role in (("key.pem", "edge"), ("users", "auth")):
            os.chown(self.path(name, file), users[role], users[role])

    # -- processes ---------------------------------------------------------------------

    def remember(self, process):
        """pid and its start time: stop ends exactly these."""
        with open(f"/proc/{process.pid}/stat") as f:
            started = f.read().rsplit(")", 1)[1].split()[19]
        with open(self.pids, "a") as f:
            f.write(f"{process.pid} {started}\n")

    def start_dns(self):
        log = open(self.path("unbound.log"), "w")
        p = subprocess.Popen(["unbound", "-d", "-c", self.path("unbound.conf")], stdout=log, stderr=log,
                             start_new_session=True, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"))
        self.remember(p)
        question = bytes.fromhex("123401000001000000000000") + b"\3dua\7example\0" + bytes.fromhex("000f0001")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            for _ in range(LIMIT * 5):
                try:
                    s.sendto(question, (NET + ".1", 2053))
                    s.recv(512)
                    return
                except OSError:
                    if p.poll() is not None:
                        break
        self.broken("unbound does not answer", "unbound.log")

    def start_server(self, name):
        ready = self.path(name, "ready")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(ready)
            s.settimeout(1)
            log = open(self.path(name + ".log"), "w")
            p = subprocess.Popen([self.tool("kurird"), "-c", self.path(name + ".json")], stdout=log, stderr=log,
                                 start_new_session=True, env=dict(self.env, NOTIFY_SOCKET=ready))
            self.remember(p)
            for _ in range(LIMIT):
                try:
                    if b"READY=1" in s.recv(4096):
                        return
                except OSError:
                    if p.poll() is not None:
                        break
        self.broken(f"{name} does not start", name + ".log")

    def broken(self, what, log):
        text = open(self.path(log)).read()
        if "in use" in text.lower():
            what += "; its port is taken, KURIR_DEMO_NET=127.1.2 make demo uses other addresses"
        fail(what + ":\n" + text)

    def follow(self, name):
        """Reads the server's events in the background."""
        q = self.events[name] = queue.Queue()
        p = subprocess.Popen([self.tool("kurirctl"), "-c", self.path(name + ".json"), "log", "-f", "--json"],
                             stdout=subprocess.PIPE, text=True, env=self.env)
        self.followers.append(p)

        def read():
            for line in p.stdout:
                try:
                    q.put(json.loads(line))
                except ValueError:
                    pass
        threading.Thread(target=read, daemon=True).start()
        first = self.wait(name, lambda e: e.get("event") == "following", show=False)
        return first

    def wait(self, name, wanted, show=True):
        """The next event that is wanted; the ones before it are shown too."""
        until = time.monotonic() + LIMIT
        while True:
            try:
                e = self.events[name].get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                fail(f"{name}: what was waited for did not happen; its log:\n" +
                     open(self.path(name + ".log")).read()[-4000:])
            if show and e.get("event") in SHOWN:
                say("   %-5s %-9s %s" % (name, e["event"], " ".join(
                    f"{k}={e[k]}" for k in ("id", "from", "to", "remote", "code", "text", "why") if e.get(k))))
            if wanted(e):
                return e

    def stop(self):
        if not os.path.exists(self.pids):
            say("demo: nothing is running")
            return
        for line in reversed(open(self.pids).read().split("\n")):
            if not line:
                continue
            pid, started = line.split()
            try:
                with open(f"/proc/{pid}/stat") as f:
                    if f.read().rsplit(")", 1)[1].split()[19] != started:
                        continue
                fd = os.pidfd_open(int(pid))
                os.kill(int(pid), signal.SIGTERM)
                import select
                select.select([fd], [], [], 15)
                os.close(fd)
                say(f"demo: ended process {pid}")
            except (OSError, ValueError):
                continue
        os.unlink(self.pids)

    # -- the story ---------------------------------------------------------------------

    def run(self, *command, show=True, ok=True):
        if show:
            say("   $ " + " ".join(command))
        p = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env,
                           timeout=LIMIT)
        if ok and p.returncode != 0:
            say(p.stdout)
            fail(f"{os.path.basename(command[0])} failed with {p.returncode}")
        return p.stdout

    def submit(self, to, subject):
        out = self.run("swaks", "--server", NET + ".1", "--port", "2587", "--tls", "--auth", "PLAIN",
                       "--auth-user", "hyd@satu.example", "--auth-password", self.passwords["hyd"],
                       "--from", "hyd@satu.example", "--to", to, "--header", "Subject: " + subject,
                       "--body", "Greetings from satu.\n", "--hide-informational", show=False)
        say(f"   $ swaks --server {NET}.1:2587 --tls --auth PLAIN --from hyd@satu.example --to {to}")
        for line in out.splitlines():
            if re.match(r"\s*<[-~]", line) and re.search(r"<[-~]\s+(235|250 2|354|221)", line):
                say("  " + line)
        m = re.search(r"250 2\.0\.0 .*?([0-9a-z]{10,24})", out)
        return m.group(1) if m else fail("no queue id in the reply:\n" + out)

    def curl(self, user, server, url, *more):
        ip = SERVERS[server][0]
        base = ["curl", "-sS", "--cacert", self.path(server, "certificate.pem"), "--ssl-reqd",
                "--user", f"{user}@{server}.example:{self.passwords[user]}", *more, url.replace("@", ip)]
        say("   $ curl --user %s@%s.example:... %s %s" % (user, server, " ".join(more), url.replace("@", ip)))
        return self.run(*base, show=False)

    def play(self):
        step("A DNS server, and two mail servers: satu.example on %s, dua.example on %s" % (
            SERVERS["satu"][0], SERVERS["dua"][0]))
        self.prepare()
        self.start_dns()
        say(f"   unbound answers on {NET}.1:2053")
        for name in SERVERS:
            self.start_server(name)
            self.follow(name)
            say(f"   {name} is ready")

        step("hyd writes to paijo and presses Send")
        token = secrets.token_hex(4)
        ident = self.submit("paijo@dua.example", "Hello " + token)
        self.wait("satu", lambda e: e.get("event") == "delivered" and e.get("id") == ident)
        self.wait("dua", lambda e: e.get("event") == "delivered" and "paijo" in e.get("to", ""))

        step("paijo's mail program asks for it, over IMAP and over POP3")
        for url, more in (("imap://@:2143/INBOX;MAILINDEX=1", ()), ("imaps://@:2993/INBOX;MAILINDEX=1", ()),
                          ("pop3://@:2110/1", ()), ("pop3s://@:2995/1", ())):
            text = self.curl("paijo", "dua", url, *more)
            message = email.message_from_string(text)
            if message["Subject"] != "Hello " + token:
                fail(f"{url} did not give the mail:\n" + text)
        for line in text.splitlines()[:14]:
            say("   | " + line)

        step("Why did it go this way?")
        say(self.run(self.tool("kurirctl"), "-c", self.path("satu.json"), "explain", ident).rstrip())

        step("To a domain that has no mail server, and to a person who is not there")
        for to, subject in (("somebody@kosong.example", "Nobody home"), ("tidakada@dua.example", "Who?")):
            ident = self.submit(to, subject)
            self.wait("satu", lambda e, i=ident: e.get("event") == "bounced" and e.get("id") == i)
            self.wait("satu", lambda e: e.get("event") == "delivered" and "hyd" in e.get("to", ""))
        for index, word in ((1, "kosong.example"), (2, "tidakada@dua.example")):
            text = self.curl("hyd", "satu", f"imap://@:2143/INBOX;MAILINDEX={index}")
            if word not in text or "multipart/report" not in text:
                fail("this is not the bounce that was expected:\n" + text)
        for part in email.message_from_string(text).walk():
            if part.get_content_type() == "text/plain":
                for line in part.get_payload(decode=True).decode().splitlines():
                    say("   | " + line)
                break

    def leave(self):
        step("The servers are running; try your own mail program")
        for name, (ip, user) in SERVERS.items():
            out = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in",
                                  self.path(name, "certificate.pem")], text=True, stdout=subprocess.PIPE).stdout
            say(f"   {user}@{name}.example, password {self.passwords[user]}")
            say(f"      IMAP {ip} port 2143 (STARTTLS) or 2993 (TLS), POP3 2110 or 2995, sending 2587 or 2465")
            say("      certificate " + out.strip())
            say(f"      {self.tool('kurirctl')} -c {self.path(name + '.json')} status")
        say("\n   make demo-stop ends them.")

    def close(self):
        for p in self.followers:
            p.terminate()
            p.wait()


SHOWN = {"mail", "rcpt", "message", "queued", "route", "attempt", "delivered", "deferred", "bounced"}


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in ("start", "stop"):
        print(__doc__)
        raise SystemExit(2)
    demo = Demo(sys.argv[1])
    if os.path.exists(demo.pids):
        demo.stop()
    elif sys.argv[2] == "stop":
        demo.stop()
    if sys.argv[2] == "stop":
        return
    try:
        demo.play()
        demo.leave()
    except BaseException:
        demo.close()
        if os.path.exists(demo.pids):
            demo.stop()
        raise
    demo.close()


main()
