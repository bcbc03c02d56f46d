#!/usr/bin/env python3
"""Thunderbird itself, without a window: reads over IMAP, hears of new mail, marks, deletes, and sends.

It is driven through its remote protocol (Marionette) and a profile with one account; its password and the
server's certificate are where its dialogues would leave them.  What it did is looked up on the server.

It does what a click on the INBOX does.  "performExpand", which asks for all folders, is left alone: it waits for
another request, and then throws away the INBOX that this one has just filled.  For the same reason the Trash, which
it would make, is there."""
import imaplib
import json
import os
import shutil
import socket
import subprocess

from mailboxlib import USERS, MailServer, tls
from netlib import check, cleanup, done, free_port, path, skip_all, start, wait_until

USER, PEER = "hyd@satu.example", "siti@satu.example"
SUBJECT = "=?utf-8?B?U2VsYW1hdCBwYWdpIOKAkyBhcGEga2FiYXI/?="

HEAD = """
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const account = MailServices.accounts.accounts[0];
const root = account && account.incomingServer.rootFolder;
const inbox = root && root.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const trash = root && root.getFolderWithFlags(Ci.nsMsgFolderFlags.Trash);
const found = (subject) => [...inbox.messages].find((m) => m.mime2DecodedSubject === subject);
const said = MailServices.said ??= {};
"""

# What its dialogues do: "confirm the exception", "remember the password".
PREPARE = """
const [cert, user, password, imapPort, smtpPort] = arguments;
const certificate = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)
  .constructX509FromBase64(cert);
const exceptions = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
for (const [scheme, port] of [["imap", imapPort], ["smtp", smtpPort]]) {
  exceptions.rememberValidityOverride("127.0.0.1", port, {}, certificate, true);
  const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
  login.init(`${scheme}://127.0.0.1`, null, `${scheme}://127.0.0.1`, user, password, "", "");
  Services.logins.addLoginAsync(login).then(() => { said.logins = (said.logins ?? 0) + 1; });
}
"""
OPEN = "inbox.updateFolder(null);"
FOLDERS = "return [inbox, trash].map((f) => f && f.URI);"
SUBJECTS = "return inbox ? [...inbox.messages].map((m) => m.mime2DecodedSubject) : [];"
READ = "inbox.markMessagesRead([found(arguments[0])], true);"
DELETE = "inbox.deleteMessages([found(arguments[0])], null, false, false, null, false);"
SHOW = """
const {MsgHdrToMimeMessage} = ChromeUtils.importESModule("resource:///modules/gloda/MimeMessage.sys.mjs");
MsgHdrToMimeMessage(found(arguments[0]), null, (_, mime) => {
  said.shown = mime ? mime.coerceBodyToPlaintext(inbox) : "";
}, true, {});
"""
SEND = """
const [from, to, path, subject] = arguments;
const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
fields.from = from;
fields.to = to;
const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
file.initWithPath(path);
Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend).sendMessageFile(
  account.defaultIdentity, account.key, fields, file, false, false, Ci.nsIMsgSend.nsMsgDeliverNow, null, {
    QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener"]),
    onStartSending() {}, onProgress() {}, onStatus() {}, onGetDraftFolderURI() {},
    onTransportSecurityError() {}, onSendNotPerformed() { said[to] = "not performed"; },
    onStopSending(_, status) { said[to] = status; },
  }, null, "");
"""


class Marionette:
    """The remote protocol: "length:json", one request at a time."""

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.rest, self.id = b"", 0
        self.receive()

    def receive(self):
        while b":" not in self.rest:
            self.more()
        length, self.rest = self.rest.split(b":", 1)
        while len(self.rest) < int(length):
            self.more()
        text, self.rest = self.rest[:int(length)], self.rest[int(length):]
        return json.loads(text)

    def more(self):
        got = self.s.recv(65536)
        if not got:
            raise AssertionError("Thunderbird hung up")
        self.rest += got

    def ask(self, name, **params):
        self.id += 1
        text = json.dumps([0, self.id, name, params]).encode()
        self.s.sendall(b"%d:%s" % (len(text), text))
        answer = self.receive()
        if answer[2]:
            raise AssertionError("%s: %s" % (name, answer[2].get("message")))
        return answer[3]

    def run(self, script, *args):
        """None of the scripts waits: a mail program does what it does in its own time."""
        return self.ask("WebDriver:ExecuteScript", script=HEAD + script, args=list(args))["value"]

    def said(self, what):
        return self.run("return said[arguments[0]] ?? null;", what)


def profile(server, port):
    folder = path("profile")
    os.makedirs(folder, mode=0o700)
    prefs = {
        "mail.accountmanager.accounts": "account1", "mail.accountmanager.defaultaccount": "account1",
        "mail.account.account1.server": "server1", "mail.account.account1.identities": "id1",
        "mail.identity.id1.fullName": "hyd", "mail.identity.id1.useremail": USER,
        "mail.identity.id1.valid": True, "mail.identity.id1.smtpServer": "smtp1",
        "mail.identity.id1.fcc": False,
        "mail.server.server1.type": "imap", "mail.server.server1.hostname": "127.0.0.1",
        "mail.server.server1.port": server.port["imaps"], "mail.server.server1.userName": USER,
        "mail.server.server1.socketType": 3, "mail.server.server1.authMethod": 3,
        "mail.server.server1.name": USER, "mail.server.server1.login_at_startup": False,
        "mail.server.server1.delete_model": 1,
        "mail.smtpservers": "smtp1", "mail.smtp.defaultserver": "smtp1",
        "mail.smtpserver.smtp1.hostname": "127.0.0.1",
        "mail.smtpserver.smtp1.port": server.port["submission"],
        "mail.smtpserver.smtp1.username": USER, "mail.smtpserver.smtp1.try_ssl": 2,
        "mail.smtpserver.smtp1.authMethod": 3,
        "mail.provider.suppress_dialog_on_startup": True, "mail.rights.version": 1,
        "mailnews.start_page.enabled": False, "mail.shell.checkDefaultClient": False,
        "app.update.enabled": False, "extensions.update.enabled": False,
        "datareporting.policy.dataSubmissionEnabled": False, "toolkit.telemetry.enabled": False,
        "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
        "marionette.port": port,
    }
    with open(os.path.join(folder, "user.js"), "w", encoding="utf-8") as f:
        for name, value in prefs.items():
            f.write("user_pref(%s, %s);\n" % (json.dumps(name), json.dumps(value)))
    return folder


def connect(port):
    try:
        return Marionette(port)
    except OSError:
        return None


def files(folder):
    """Names and first lines of the messages in a Maildir."""
    for part in ("new", "cur"):
        for name in os.listdir(os.path.join(folder, part)) if os.path.isdir(os.path.join(folder, part)) else ():
            with open(os.path.join(folder, part, name), encoding="utf-8") as f:
                yield name, f.read()


def lies_in(folder, subject, flag=""):
    return any("Subject: " + subject in text and flag in name.rpartition(":2,")[2] for name, text in files(folder))


def tells(what, true):
    """A check that waits for it: bounded, and it does not end the script."""
    try:
        wait_until(true, 60, what)
        check(True, what)
    except AssertionError as e:
        check(False, what, str(e))


def make_folders(server):
    with imaplib.IMAP4_SSL("127.0.0.1", server.port["imaps"], ssl_context=tls()) as c:
        c.login(USER, USERS[USER])
        for folder in ("INBOX", "Trash"):
            c.create(folder)
            c.subscribe(folder)


def read(m, server):
    box, first, second = server.maildir("hyd"), "Selamat pagi – apa kabar?", "While you read"
    m.run(OPEN)
    tells("it finds the folders", lambda: all(m.run(FOLDERS)))
    tells("it shows the mail of the INBOX", lambda: first in m.run(SUBJECTS))
    m.run(SHOW, first)
    tells("and its text", lambda: "Hello from dua." in (m.said("shown") or ""))
    m.run(READ, first)
    tells("what is read is marked on the server", lambda: lies_in(box, SUBJECT, "S"))
    server.deliver("From: you@dua.example\r\nTo: %s\r\nSubject: %s\r\n\r\nNew.\r\n" % (USER, second))
    tells("new mail is shown without asking for it", lambda: second in m.run(SUBJECTS))
    m.run(DELETE, second)
    tells("what is deleted goes into the Trash",
          lambda: lies_in(os.path.join(box, ".Trash"), second) and not lies_in(box, second))


def send(m, server):
    text = path("outgoing.eml")
    with open(text, "w", encoding="utf-8", newline="") as f:
        f.write("From: %s\r\nTo: %s\r\nSubject: From Thunderbird\r\nMIME-Version: 1.0\r\n"
                "Content-Type: text/plain; charset=utf-8\r\n\r\nWritten in Thunderbird.\r\n" % (USER, PEER))
    m.run(SEND, USER, PEER, text)
    tells("it sends by submission", lambda: m.said(PEER) == 0)
    tells("and its mail arrives", lambda: lies_in(server.maildir("siti"), "From Thunderbird"))


def main():
    if not shutil.which("thunderbird"):
        skip_all("thunderbird is not installed")
    server = MailServer()
    server.deliver("From: you@dua.example\r\nTo: %s\r\nSubject: %s\r\n\r\nHello from dua.\r\n" % (USER, SUBJECT))
    make_folders(server)
    port = free_port()
    child = start(["thunderbird", "--headless", "--no-remote", "--marionette", "-remote-allow-system-access",
                   "--profile", profile(server, port)], "thunderbird.log",
                  env=dict(os.environ, HOME=path(""), MOZ_HEADLESS="1"))
    m = wait_until(lambda: connect(port), 100, "Thunderbird listens")
    m.ask("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
    m.ask("Marionette:SetContext", value="chrome")
    with open(path("cert.pem"), encoding="ascii") as f:
        cert = "".join(line.strip() for line in f if "-----" not in line)
    m.run(PREPARE, cert, USER, USERS[USER], server.port["imaps"], server.port["submission"])
    wait_until(lambda: m.said("logins") == 2, 60, "it remembers the passwords")
    send(m, server)
    read(m, server)
    child.terminate()
    child.wait(60)
    server.stop()
    done()


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, OSError, subprocess.SubprocessError) as e:
        check(False, "Thunderbird", str(e))
        cleanup()
        raise SystemExit(1) from e
