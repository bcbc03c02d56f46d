#!/usr/bin/env python3
"""Logins: hashes of every kind, the file that changes, who must wait, tickets; in one process and in many."""
import subprocess
from concurrent.futures import ThreadPoolExecutor

from netlib import KURIRCTL, Server, check, done, equal, path, wait_until, write

OK, WRONG, LATER = 0, -13, -11


def crypt(password, setting):
    """libcrypt by the system's perl: the module for it has left Python."""
    return subprocess.run(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", password, setting], check=True,
                          capture_output=True, text=True).stdout


def users(more=""):
    return "".join("%s:%s\n" % u for u in (
        ("hyd@satu.example", crypt("rahasia", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1")),
        ("Siti@satu.example", crypt("päss wörd", "$6$rounds=5000$abcdefgh")),
        ("budi@satu.example", crypt("bcrypt", "$2b$06$abcdefghijklmnopqrstuu")),
        ("locked@satu.example", "!" + crypt("x", "$6$abcdefgh")))) + more


class Login:
    def __init__(self, server):
        self.server = server

    def __call__(self, user, password, peer="192.0.2.1", **more):
        return self.server.probe("login", user=user, password=password, peer=peer,
                                 **dict({"protocol": "imap"}, **more))

    def result(self, *args, **more):
        return self(*args, **more)["result"]


def good(s, login):
    a = login("hyd@satu.example", "rahasia")
    equal((a["result"], a["account"]), (OK, "hyd@satu.example"), "yescrypt")
    first = a["ms"]
    a = login("HYD@Satu.example", "rahasia")
    equal((a["result"], a["account"]), (OK, "hyd@satu.example"), "another case is the same user")
    check(s.counters("auth_file")["cached"] == 1, "known from the minute before (%d ms, then %d)" % (first, a["ms"]),
          s.counters("auth_file"))
    equal(login.result("siti@satu.example", "päss wörd"), OK, "sha512crypt")
    equal(login.result("budi@satu.example", "bcrypt"), OK, "bcrypt")
    equal(login.result("hyd", "rahasia"), OK, "the domain is added")
    equal(login.result("hyd", "rahasia", authzid="hyd@satu.example"), OK, "acting for oneself")
    equal(login.result("hyd", "rahasia", authzid="siti@satu.example"), WRONG, "but for nobody else")


def bad(login):
    for user, password in (("hyd@satu.example", "rahasiA"), ("hyd@satu.example", ""),
                           ("nobody@satu.example", "rahasia"), ("locked@satu.example", "x"), ("", "x"),
                           ("hyd@satu.example", "x" * 600), ("x" * 600, "x"), ("hyd:", "x"), ("#", "x")):
        equal(login.result(user, password, peer="198.51.100.%d" % (len(user) % 250)), WRONG,
              "%.20r with %.20r" % (user, password))


def tickets(s, login):
    a = login("hyd", "rahasia", protocol="imap")
    equal(s.probe("redeem", ticket=a["ticket"], protocol="pop3")["result"], WRONG, "a ticket for another protocol")
    equal(s.probe("redeem", ticket=a["ticket"], protocol="imap")["result"], WRONG, "is used up by that")
    a = login("hyd", "rahasia")
    b = s.probe("redeem", ticket=a["ticket"], protocol="imap")
    equal((b["result"], b["account"]), (OK, "hyd@satu.example"), "a ticket")
    equal(s.probe("redeem", ticket=a["ticket"], protocol="imap")["result"], WRONG, "is good once")
    for junk in ("", "x", "0" * 64, "0" * 64 + "." + "0" * 16, a["ticket"] + "0"):
        equal(s.probe("redeem", ticket=junk, protocol="imap")["result"], WRONG, "no ticket: %.20r" % junk)


def waiting(s, login):
    for _ in range(3):
        equal(login.result("budi", "guess", peer="203.0.113.5"), WRONG, "a guess")
    equal(login.result("budi", "guess", peer="203.0.113.5"), WRONG, "the last that costs nothing to try")
    equal(login.result("budi", "bcrypt", peer="203.0.113.77"), LATER, "then even the right one must wait")
    equal(login.result("budi", "bcrypt"), OK, "but not from where he was before")
    equal(login.result("siti", "päss wörd", peer="203.0.113.5"), OK, "and not the others")
    check(s.counters("auth_file")["locked"] >= 1, "counted", s.counters("auth_file"))
    for i in range(12):
        login("u%d" % i, "guess", peer="2001:db8::%d" % i)
    equal(login.result("hyd", "rahasia", peer="2001:db8::ffff"), LATER, "a network that tries many users")
    equal(login.result("hyd", "rahasia", peer="2001:db8:0:1::1"), OK, "the next network does not")


def replace_users(s, login, change):
    """Changes the file and waits until the server has seen it, by strangers who may fail."""
    before = s.counters("auth_file")["reloads"]
    change()
    strangers = iter(range(1, 250))

    def seen():
        n = next(strangers)
        login("stranger%d" % n, "x", peer="198.51.%d.1" % n)
        return s.counters("auth_file")["reloads"] > before
    wait_until(seen, 20, "the changed file is read")


def reread(s, login, change):
    """Makes the change, and asks for strangers until the file was read again: no failure counts twice."""
    before = s.counters("auth_file")["reloads"]
    change()
    strangers = iter(range(1, 5000))

    def again():
        n = next(strangers)
        login("stranger%d" % n, "guess", peer="10.%d.%d.1" % (100 + n // 250, n % 250))
        return s.counters("auth_file")["reloads"] > before
    wait_until(again, 30, "the users are read again")


def changes(s, login):
    reread(s, login, lambda: write("users", users("baru:%s\n" % crypt("new", "$6$abcdefgh"))))
    equal(login.result("baru", "new", peer="192.0.2.250"), OK, "a user is added while the server runs")
    reread(s, login, lambda: write("users", users().replace("hyd@", "gone@")))
    equal(login.result("hyd", "rahasia", peer="192.0.2.251"), WRONG, "one that was known is gone at once")
    reread(s, login, lambda: subprocess.run([KURIRCTL, "passwd", path("users"), "lama@satu.example"],
                                            input="wachtwoord\n", text=True, check=True, capture_output=True))
    equal(login.result("lama", "wachtwoord"), OK, "one made by kurirctl passwd")
    reread(s, login, lambda: subprocess.run([KURIRCTL, "passwd", path("users"), "Lama@Satu.example"],
                                            input="rahasia\n", text=True, check=True, capture_output=True))
    equal(login.result("lama", "rahasia"), OK, "and changed, whatever the case of the name")
    with open(path("users")) as f:
        equal(f.read().lower().count("lama@satu.example:"), 1, "who has one line")


def equal_time(login, server):
    """Whoever is guessed at, one hash is computed: that is what takes the time."""
    def hashes(user):
        before = server.counters("auth_file")["hashed"]
        login(user, "guess", peer="10.%d.0.1" % len(user))
        return server.counters("auth_file")["hashed"] - before

    equal((hashes("slow"), hashes("nobody2")), (1, 1), "an unknown user costs what a wrong password costs")


def unknown_hash(login):
    """A hash that no password can match tells nothing of its user."""
    for user in ("odd", "long"):
        equal(login.result(user, "guess", peer="10.9.0.1"), WRONG, "a hash of no kind, %r" % user)
    equal(login.result("nobody3", "guess", peer="10.9.0.1"), WRONG, "the same for who does not exist")


def together(login):
    """What is not known to be wrong yet is no failure; and guesses at once are no more than one by one."""
    def at_once(users_, password, peer):
        with ThreadPoolExecutor(12) as pool:
            return list(pool.map(lambda u: login.result(u, password, peer=peer), users_))

    equal(at_once(["slow"] * 12, "x", "10.8.0.1"), [OK] * 12, "many devices of one user come back at once")
    equal(at_once(["u%d" % i for i in range(12)], "x", "10.7.0.1"), [OK] * 12, "all users of one network do")
    got = at_once(["guessed"] * 12, "guess", "10.6.0.1")
    equal((got.count(WRONG), got.count(LATER)), (4, 8), "twelve guesses at once")


def slow_users():
    slow = crypt("x", "$6$rounds=400000$abcdefgh")
    return ["slow@satu.example:" + slow, "guessed@satu.example:" + slow] + \
        ["u%d@satu.example:%s" % (i, slow) for i in range(12)]


def long_domain():
    """With a name of any length, too."""
    try:
        s = Server({"auth_file": {"users": path("users"), "domain": "x" * 2000}}, name="long")
    except AssertionError as e:
        check("is too long" in str(e), "a domain longer than any is refused", e)
        return
    equal(Login(s).result("u" * 500, "x" * 500), WRONG, "a domain longer than any")
    s.stop()


def main():
    write("users", users())
    options = {"users": path("users"), "domain": "satu.example", "failures": 3, "failures-network": 8,
               "back-off": "1h", "back-off-maximum": "2h"}
    s = Server({"auth_file": options})
    login = Login(s)
    good(s, login)
    bad(login)
    tickets(s, login)
    waiting(s, login)
    changes(s, login)
    equal(s.stop(), 0, "the server ends well")
    check("rahasia" not in s.text() and "guess" not in s.text(), "no password is in the log")
    write("users", "\n".join(["odd@satu.example:$kurir$x$y", "long@satu.example:$6$" + "x" * 500] + slow_users()))
    s = Server({"auth_file": dict(options, **{"failures": 1000, "failures-network": 1000})}, name="slow")
    equal_time(Login(s), s)
    unknown_hash(Login(s))
    equal(s.stop(), 0, "the server ends well")
    s = Server({"auth_file": options}, name="together")
    together(Login(s))
    equal(s.stop(), 0, "the server ends well")
    long_domain()
    write("users", users())
    s = Server({"auth_file": dict(options), "accounts": {"domains": ["satu.example"], "mailboxes": ["a@satu.example"]}},
               name="many", single=False)
    login = Login(s)
    a = login("hyd", "rahasia")
    equal((a["result"], s.probe("redeem", ticket=a["ticket"], protocol="imap").get("account")),
          (OK, "hyd@satu.example"), "the same between processes")
    equal(login.result("hyd", "rahasiA"), WRONG, "and refused between them")
    equal(s.probe("account", address="A+b@satu.example")["account"], "a@satu.example", "an account")
    equal(s.stop(), 0, "the server ends well")
    done()


main()
