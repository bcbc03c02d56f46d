#!/usr/bin/env python3
"""Addresses, aliases and passwords that are kept somewhere else: in PostgreSQL, in a directory (slapd), in a SQLite file; also when
the server is away, or says nothing, and when clients write what means something to it."""
import glob
import imaplib
import os
import pwd
import re
import shutil
import signal
import smtplib
import sqlite3
import subprocess

from mailboxlib import MailServer, tls
from netlib import FOLDER, check, done, equal, free_port, path, start, wait_until, write

ROLES = ("edge", "queue", "resolver", "relay", "store", "access", "auth", "control")
USERS = {"hyd": "rahasia", "siti": "it's (a) *secret*\\"}
DOMAIN, SECRET = "satu.example", "the server's own"
ALIASES = {"info": ["hyd", "siti"], "boss": ["hyd"]}
MORE = {"sandbox": "required", "users": {r: 64600 + n for n, r in enumerate(ROLES)}} if os.geteuid() == 0 else {}


def hashed(password):
    return subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password, check=True, capture_output=True, text=True).stdout.strip()


def statements(parameter):
    return {"domains": "SELECT 1 FROM domain WHERE name = %s1" % parameter,
            "mailboxes": "SELECT account FROM mailbox WHERE address = %s1" % parameter,
            "aliases": "SELECT target FROM alias WHERE address = %s1 ORDER BY target" % parameter,
            "passwords": "SELECT hash FROM mailbox WHERE address = %s2 || '@' || %s3" % (parameter, parameter)}


def rows():
    """Statements that fill the tables."""
    yield "CREATE TABLE domain(name TEXT PRIMARY KEY)"
    yield "CREATE TABLE mailbox(address TEXT PRIMARY KEY, account TEXT, hash TEXT)"
    yield "CREATE TABLE alias(address TEXT, target TEXT)"
    yield "INSERT INTO domain VALUES('%s')" % DOMAIN
    for user, password in USERS.items():
        yield "INSERT INTO mailbox VALUES('%s@%s', '%s', '%s')" % (user, DOMAIN, "%s@%s" % (user, DOMAIN) if user == "hyd" else "", hashed(password))
    for name, targets in ALIASES.items():
        for target in targets:
            yield "INSERT INTO alias VALUES('%s@%s', '%s@%s')" % (name, DOMAIN, target, DOMAIN)


class Postgres:
    name, verify = "pgsql", False

    def __init__(self):
        self.port, self.folder = free_port(), path("pg")
        self.tools = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1] if glob.glob("/usr/lib/postgresql/*/bin") else None

    def missing(self):
        return None if self.tools else "PostgreSQL is not installed"

    def run(self, *argv, **more):
        return subprocess.run(argv, check=True, capture_output=True, text=True, **self.who(), **more)

    @staticmethod
    def who():
        """It does not serve root."""
        return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}

    def prepare(self):
        os.mkdir(self.folder)
        word = write("pg-password", SECRET, 0o600)
        if os.geteuid() == 0:
            for each in (self.folder, word):
                os.chown(each, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
        self.run(self.tools + "/initdb", "-D", self.folder, "-U", "kurir", "-A", "scram-sha-256", "--pwfile", word, "--no-sync", "-E", "UTF8",
                 "--locale=C")
        self.begin()
        for statement in rows():
            self.run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "kurir", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", statement,
                     env={"PGPASSWORD": SECRET, "PATH": os.environ["PATH"]})

    def begin(self):
        self.child = start([self.tools + "/postgres", "-D", self.folder, "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-F"], "pg.log",
                           **self.who())
        wait_until(lambda: subprocess.run([self.tools + "/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode == 0,
                   60, "PostgreSQL is ready")

    def everybody(self):
        """It and the processes that it has begun."""
        with open("/proc/%d/task/%d/children" % (self.child.pid, self.child.pid), encoding="ascii") as f:
            return [self.child.pid, *map(int, f.read().split())]

    def end(self):
        self.child.send_signal(signal.SIGINT)
        self.child.wait(60)

    def modules(self):
        return {"table_pgsql": {"connection": "host=127.0.0.1 port=%d dbname=postgres user=kurir" % self.port,
                                "password": {"file": write("secret", SECRET, 0o600)}, "timeout": "2s", "queries": statements("$")}}


SLAPD = """include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload retcode
pidfile {folder}/pid
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
disallow bind_anon
database mdb
suffix "dc=satu,dc=example"
rootdn "cn=kurir,dc=satu,dc=example"
rootpw "{secret}"
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by * read
overlay retcode
retcode-parent "cn=none,dc=satu,dc=example"
retcode-indir on
"""
CROWD = 1001  # one more than a key may stand for


class Directory:
    name, verify = "ldap", True

    def __init__(self):
        self.port, self.folder = free_port(), path("ldap")

    def missing(self):
        return None if shutil.which("slapd", path="/usr/sbin:/usr/lib/openldap") else "slapd is not installed"

    @staticmethod
    def entries():
        yield "dn: dc=satu,dc=example\nobjectClass: domain\nobjectClass: domainRelatedObject\ndc: satu\nassociatedDomain: %s\n" % DOMAIN
        for user, password in USERS.items():
            yield ("dn: cn=%s,dc=satu,dc=example\nobjectClass: inetOrgPerson\nsn: x\ncn: %s\nmail: %s@%s\nuserPassword: %s\n"
                   % (user, user, user, DOMAIN, password))
        for name, targets in ALIASES.items():
            yield ("dn: cn=%s,dc=satu,dc=example\nobjectClass: inetOrgPerson\nsn: alias\ncn: %s\nuid: %s@%s\n" % (name, name, name, DOMAIN)
                   + "".join("mail: %s@%s\n" % (t, DOMAIN) for t in targets))

        for n in range(CROWD):
            yield "dn: cn=crowd%d,dc=satu,dc=example\nobjectClass: inetOrgPerson\nsn: alias\ncn: crowd%d\nuid: crowd@%s\nmail: hyd@%s\n" % (
                n, n, DOMAIN, DOMAIN)
        yield ("dn: cn=locked,dc=satu,dc=example\nobjectClass: inetOrgPerson\nobjectClass: errAuxObject\nsn: x\ncn: locked\nmail: locked@%s\n"
               "errCode: 19\nerrOp: bind\n" % DOMAIN)

    def prepare(self):
        os.makedirs(self.folder + "/data")
        self.conf = write("slapd.conf", SLAPD.format(folder=self.folder, cert=path("cert.pem"), key=path("key.pem"), secret=SECRET))
        subprocess.run(["/usr/sbin/slapadd", "-q", "-f", self.conf, "-l", write("entries.ldif", "\n".join(self.entries()))], check=True,
                       capture_output=True)
        self.begin()

    def begin(self):
        self.child = start(["/usr/sbin/slapd", "-d", "0", "-f", self.conf, "-h", "ldap://127.0.0.1:%d" % self.port], "slapd.log")
        self.greets()

    def greets(self):
        import socket

        def once():
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return True
            except OSError:
                return False
        wait_until(once, 60, "slapd listens")

    def everybody(self):
        return [self.child.pid]

    def end(self):
        self.child.terminate()
        self.child.wait(60)

    def modules(self):
        person = "(&(objectClass=inetOrgPerson)(!(sn=alias))(mail=%s))"
        return {"table_ldap": {"server": "ldap://127.0.0.1:%d" % self.port, "starttls": True, "ca": path("cert.pem"),
                               "bind": "cn=kurir,dc=satu,dc=example", "password": {"file": write("secret", SECRET, 0o600)},
                               "base": "dc=satu,dc=example", "timeout": "2s", "verify": person,
                               "filters": {"domains": "(associatedDomain=%s)", "mailboxes": person, "aliases": "(&(sn=alias)(uid=%u@%d))"},
                               "attributes": {"domains": "associatedDomain"}}}


class File:
    name, verify = "sqlite", False

    def missing(self):
        return None

    def prepare(self):
        os.mkdir(path("table"))
        os.chmod(path("table"), 0o755)
        with sqlite3.connect(path("table/mail.db")) as db:
            for statement in rows():
                db.execute(statement)

    def modules(self):
        return {"table_sqlite": {"file": path("table/mail.db"), "timeout": "2s", "queries": statements("?")}}


class Constant:
    """A file that is replaced whole."""
    name, verify = "cdb", False

    def missing(self):
        return None if shutil.which("cdb") else "tinycdb is not installed"

    def make(self, more=""):
        records = "domains:%s 1\n" % DOMAIN + more
        for user, password in USERS.items():
            records += "mailboxes:%s@%s %s@%s\npasswords:%s@%s %s\n" % (user, DOMAIN, user, DOMAIN, user, DOMAIN, hashed(password))
        for name, targets in ALIASES.items():
            records += "".join("aliases:%s@%s %s@%s\n" % (name, DOMAIN, t, DOMAIN) for t in targets)
        subprocess.run(["cdb", "-c", "-m", path("constant/mail.cdb")], input=records, text=True, check=True)
        os.chmod(path("constant/mail.cdb"), 0o644)

    def prepare(self):
        os.mkdir(path("constant"))
        os.chmod(path("constant"), 0o755)
        self.make()

    def modules(self):
        return {"table_cdb": {"file": path("constant/mail.cdb")}}


class Nowhere(File):
    """What the configuration names, and no module has."""
    name = "nowhere"

    def prepare(self):
        """The file is there."""


class Tabled(MailServer):
    def __init__(self, table):
        self.table, self.failures = table, 1000
        super().__init__(name=table.name, single=False, **MORE)

    def start(self):
        if "prepared" not in vars(self):
            self.prepared = self.table.prepare() or True
        self.modules.update(self.table.modules())
        self.modules.pop("auth_file", None)
        self.modules["accounts"] = {"domains": [], "table": self.table.name, "postmaster": "hyd@" + DOMAIN}
        self.modules["auth_table"] = {"table": self.table.name, "verify": self.table.verify, "domain": DOMAIN, "failures": self.failures,
                                      "failures-network": 10000, "back-off": "2m"}
        self.modules["queue_journal"] = {"retry": ["1s"]}
        super().start()

    def rcpt(self, address):
        with smtplib.SMTP("127.0.0.1", self.port["mx"], timeout=60) as c:
            c.ehlo("klien.example")
            c.mail("you@dua.example")
            return c.rcpt(address)[0]

    def login(self, user, password):
        """Why not, or None."""
        c = imaplib.IMAP4_SSL("127.0.0.1", self.port["imaps"], ssl_context=tls(), timeout=60)
        try:
            c.login(user, password)
            return None
        except imaplib.IMAP4.error as e:
            return str(e)
        finally:
            c.shutdown()

    def submit(self, user, password):
        with smtplib.SMTP("127.0.0.1", self.port["submission"], timeout=60) as c:
            c.ehlo("klien.example")
            c.starttls(context=tls())
            try:
                c.login(user, password)
                return c.sendmail("%s@%s" % (user.split("@")[0], DOMAIN), ["info@" + DOMAIN], "Subject: by %s\r\n\r\nx\r\n" % user)
            except smtplib.SMTPAuthenticationError as e:
                return e.smtp_code

    def inbox(self, user):
        folder = os.path.join(self.maildir(user), "new")
        return "".join(open(os.path.join(folder, n), encoding="utf-8").read() for n in os.listdir(folder)) if os.path.isdir(folder) else ""


def knows(s, what):
    for address, code in (("hyd@satu.example", 250), ("HYD@Satu.Example", 250), ("siti@satu.example", 250), ("hyd+lists@satu.example", 250),
                          ("info@satu.example", 250), ("Postmaster@satu.example", 250), ("nobody@satu.example", 550), ("hyd@tiga.example", 550)):
        got = s.rcpt(address)
        check(got == code or (code == 550 and 550 <= got < 560), "%s: %s is answered %d" % (what, address, code), got)
    for user, password in USERS.items():
        equal(s.login("%s@%s" % (user, DOMAIN), password), None, "%s: %s logs in" % (what, user))
        check("AUTHENTICATIONFAILED" in (s.login(user, password + "x") or ""), "%s: not with another password" % what)
    check("AUTHENTICATIONFAILED" in (s.login("nobody", "x") or ""), "%s: nor does nobody" % what)
    check("AUTHENTICATIONFAILED" in (s.login("nobody", USERS["hyd"]) or ""), "%s: also not with the password of somebody" % what)
    equal(s.submit("hyd", USERS["hyd"]), {}, "%s: mail is submitted, by a name without domain" % what)
    equal(s.submit("hyd", "wrong"), 535, "%s: but not with a wrong password" % what)
    for user in ALIASES["info"]:
        wait_until(lambda u=user: "Subject: by hyd" in s.inbox(u), 60, "an alias of two reaches " + user)
    check(True, "%s: an alias reaches all it stands for" % what)


def hostile(s, what):
    """What means something in a statement or a filter, and what is no text at all."""
    for local in ('"x\' OR \'1\'=\'1"', '"*"', '"*)(mail=*"', '"hyd)(|(mail=*"', '"%s"', '"$1"', "a" * 60, '"\\\\2a"'):
        got = s.rcpt(local + "@" + DOMAIN)
        check(got in (550, 553, 501), "%s: %s is nobody" % (what, local), got)
    for user in ("*", "hyd)(mail=*", "' OR 1=1 --", "hyd@satu.example' --", "%s", "h*d@satu.example"):
        check(s.login(user, "x") is not None and s.login(user, USERS["hyd"]) is not None, "%s: %s does not log in" % (what, user))
    check(s.login("hyd", "") is not None, "%s: nor does an empty password" % what)
    if s.table.verify:
        check("AUTHENTICATIONFAILED" in s.login("boss", USERS["hyd"]), "%s: nor an alias" % what)


def refused(s, what):
    """What a directory says of one user, or of one name, is nothing about it."""
    before = s.counters("table_ldap").get("connected", 0)
    got = s.rcpt("crowd@" + DOMAIN)
    check(400 <= got < 500, "%s: a name for too many cannot be used" % what, got)
    equal(s.rcpt("hyd@" + DOMAIN), 250, "%s: and others can" % what)
    said = s.login("locked", "x")
    check("AUTHENTICATIONFAILED" in said, "%s: who is locked there does not log in" % what, said)
    equal(s.login("hyd", USERS["hyd"]), None, "%s: and others do" % what)
    equal(s.counters("table_ldap").get("connected", 0), before, "%s: no connection is lost by that" % what)
    for user in ("hyd@satu.example ", " hyd@satu.example", "hyd@satu.example\t"):
        check("AUTHENTICATIONFAILED" in (s.login('"%s"' % user, USERS["hyd"]) or ""), "%s: %r is nobody" % (what, user))


def guessed(s, what):
    """Strangers who guess keep nobody out of where he is known."""
    def submit(network, password, user="siti"):
        with smtplib.SMTP("127.0.0.1", s.port["submission"], timeout=60, source_address=("127.0.%d.1" % network, 0)) as c:
            c.ehlo("klien.example")
            c.starttls(context=tls())
            try:
                return c.login(user, password)[0]
            except smtplib.SMTPAuthenticationError as e:
                return e.smtp_code
    equal(s.stop(), 0, "%s: the server ends well" % what)
    s.failures = 2
    s.start()
    equal(submit(0, USERS["siti"]), 235, "%s: a user is known in his network" % what)
    for _ in range(4):
        submit(1, "guess")
    said = submit(2, USERS["siti"])
    check(400 <= said < 500, "%s: who is guessed at has to wait elsewhere" % what, said)
    equal(submit(0, USERS["siti"]), 235, "%s: but not there" % what)
    nobody = [submit(3, "guess", "nobody") for _ in range(4)]
    check(nobody[0] == 535 and 400 <= nobody[-1] < 500, "%s: nor may anybody guess on at a name that there is not" % what, nobody)


def away(s, what):
    """Nothing is unknown because it cannot be looked up."""
    s.table.end()
    got = s.rcpt("hyd@satu.example")
    check(400 <= got < 500, "%s is away: who may be there is asked to come again" % what, got)
    check(400 <= s.rcpt("nobody@satu.example") < 500, "%s is away: also who may not" % what)
    said = s.login("hyd", USERS["hyd"])
    check("UNAVAILABLE" in said, "%s is away: nobody is told that his password is wrong" % what, said)
    s.table.begin()
    wait_until(lambda: s.rcpt("hyd@satu.example") == 250, 60, "it is asked again")
    equal(s.rcpt("nobody@satu.example"), 550, "%s is back: all is as before" % what)
    equal(s.login("hyd", USERS["hyd"]), None, "%s is back: also for logins" % what)
    for pid in s.table.everybody():
        os.kill(pid, signal.SIGSTOP)
    try:
        got = s.rcpt("hyd@satu.example")
    finally:
        for pid in s.table.everybody():
            os.kill(pid, signal.SIGCONT)
    check(400 <= got < 500, "%s says nothing: nobody waits for ever" % what, got)
    wait_until(lambda: s.rcpt("hyd@satu.example") == 250, 60, "it answers again")
    check("can be asked again" in s.text(), "%s: the log says when it is back" % what)


def replaced(s, what):
    s.table.make("mailboxes:new@%s new@%s\n" % (DOMAIN, DOMAIN))
    equal(s.rcpt("new@satu.example"), 250, "%s: the new file counts at once" % what)
    with open(path("constant/no.cdb"), "wb") as f:
        f.write(b"no cdb")
    os.rename(path("constant/no.cdb"), path("constant/mail.cdb"))
    check(400 <= s.rcpt("hyd@satu.example") < 500, "%s: of one that is none nothing is said" % what)
    s.table.make()
    wait_until(lambda: s.rcpt("hyd@satu.example") == 250, 60, "a good one is read again")
    equal(s.rcpt("new@satu.example"), 550, "%s: and that one counts" % what)


def misnamed():
    s = Tabled(Nowhere())
    got = s.rcpt("hyd@satu.example")
    check(400 <= got < 500, "a table that there is not: nobody is unknown in it", got)
    said = s.login("hyd", USERS["hyd"])
    check("UNAVAILABLE" in said, "a table that there is not: no password is wrong", said)
    for who in ("accounts", "auth_table"):
        check(re.search(who + r".*no module has the table", s.text()), "a table that there is not: %s says so in the log" % who)
    equal(s.stop(), 0, "a table that there is not: the server ends well")


def secret(s, what):
    check(SECRET not in s.text() and not any(p in s.text() for p in USERS.values()), "%s: no password is in the log" % what)
    counters = s.counters("table_" + s.table.name)
    check(counters.get("found", 0) > 0 and counters.get("missing", 0) > 0, "%s: what was asked is counted" % what, counters)


def main():
    os.chmod(FOLDER, 0o755)
    for table in (File(), Constant(), Postgres(), Directory()):
        if table.missing():
            check(True, "%s # SKIP %s" % (table.name, table.missing()))
            continue
        s = Tabled(table)
        parts = {"sqlite": (knows, hostile, secret, guessed), "cdb": (knows, hostile, replaced, secret),
                 "ldap": (knows, hostile, refused, away, secret)}.get(table.name, (knows, hostile, away, secret))
        for part in parts:
            part(s, table.name)
        equal(s.stop(), 0, "%s: the server ends well" % table.name)
        if hasattr(table, "end"):
            table.end()
    misnamed()
    done()


if __name__ == "__main__":
    main()
