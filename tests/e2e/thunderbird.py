#!/usr/bin/env python3
"""Thunderbird itself, without a window, reads a mail over IMAP and sends one by submission.

It is driven through its remote protocol (Marionette): a profile with one account, a password in
its login manager, the server's certificate as an exception, as its dialogues would leave them."""
import json
import os
import shutil
import socket
import subprocess

from mailboxlib import USERS, MailServer
from netlib import check, cleanup, done, free_port, path, skip_all, start, wait_until

USER, PEER = "hyd@satu.example", "siti@satu.example"

SCRIPT = r"""
const [cert, user, password, imapPort, smtpPort, peer] = arguments;
const finished = arguments[arguments.length - 1];
const host = "127.0.0.1";
(async () => {
  const said = {};
  const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
  const certificate = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)
    .constructX509FromBase64(cert);
  const exceptions = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
  for (const [scheme, port] of [["imap", imapPort], ["smtp", smtpPort]]) {
    exceptions.rememberValidityOverride(host, port, {}, certificate, true);
    const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    login.init(`${scheme}://${host}`, null, `${scheme}://${host}`, user, password, "", "");
    await Services.logins.addLoginAsync(login);
  }
  const account = MailServices.accounts.accounts[0];
  account.incomingServer.performExpand(null);
  const inbox = await new Promise((resolve) => {
    const look = setInterval(() => {
      const folder = account.incomingServer.rootFolder.getChildNamed("INBOX");
      if (folder) { clearInterval(look); resolve(folder); }
    }, 50);
  });
  said.update = await new Promise((resolve) => inbox.QueryInterface(Ci.nsIMsgImapMailFolder)
    .updateFolderWithListener(null, {OnStartRunningUrl() {}, OnStopRunningUrl(_, code) { resolve(code); }}));
  said.subjects = await new Promise((resolve) => {
    const look = setInterval(() => {
      const list = [...inbox.messages].map((m) => m.mime2DecodedSubject);
      if (list.length) { clearInterval(look); resolve(list); }
    }, 50);
  });
  const file = Services.dirsvc.get("TmpD", Ci.nsIFile);
  file.append("kurir-thunderbird.eml");
  await IOUtils.writeUTF8(file.path, `From: ${user}\r\nTo: ${peer}\r\nSubject: From Thunderbird\r\n` +
    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nWritten in Thunderbird.\r\n");
  const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
  fields.from = user;
  fields.to = peer;
  said.sent = await new Promise((resolve) => Cc["@mozilla.org/messengercompose/send;1"]
    .createInstance(Ci.nsIMsgSend).sendMessageFile(account.defaultIdentity, account.key, fields, file, true,
      false, Ci.nsIMsgSend.nsMsgDeliverNow, null, {
        QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener", "nsIMsgCopyServiceListener"]),
        onStartSending() {}, onProgress() {}, onStatus() {}, onGetDraftFolderURI() {},
        onTransportSecurityError() {}, onSendNotPerformed() { resolve("not performed"); },
        onStopSending(_, status) { resolve(status); },
      }, null, ""));
  return said;
})().then(finished, (e) => finished({error: String(e)}));
"""


class Marionette:
    """The remote protocol: "length:json", one request at a time."""

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=120)
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
        "mail.smtpservers": "smtp1", "mail.smtp.defaultserver": "smtp1",
        "mail.smtpserver.smtp1.hostname": "127.0.0.1",
        "mail.smtpserver.smtp1.port": server.port["submissions"],
        "mail.smtpserver.smtp1.username": USER, "mail.smtpserver.smtp1.try_ssl": 3,
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


def main():
    if not shutil.which("thunderbird"):
        skip_all("thunderbird is not installed")
    server = MailServer()
    server.deliver("From: you@dua.example\r\nTo: %s\r\nSubject: For Thunderbird\r\n\r\nHello.\r\n" % USER)
    port = free_port()
    child = start(["thunderbird", "--headless", "--no-remote", "--marionette", "-remote-allow-system-access",
                   "--profile", profile(server, port)], "thunderbird.log",
                  env=dict(os.environ, HOME=path(""), MOZ_HEADLESS="1"))
    m = wait_until(lambda: connect(port), 100, "Thunderbird listens")
    m.ask("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
    m.ask("Marionette:SetContext", value="chrome")
    m.ask("WebDriver:SetTimeouts", script=60000)
    with open(path("cert.pem"), encoding="ascii") as f:
        cert = "".join(line.strip() for line in f if "-----" not in line)
    said = m.ask("WebDriver:ExecuteAsyncScript", script=SCRIPT, args=[
        cert, USER, USERS[USER], server.port["imaps"], server.port["submissions"], PEER])["value"]
    check(said.get("update") == 0, "Thunderbird reads the INBOX over IMAP", said)
    check(said.get("subjects") == ["For Thunderbird"], "and shows the mail", said)
    check(said.get("sent") == 0, "Thunderbird sends by submission", said)
    folder = os.path.join(server.maildir("siti"), "new")
    wait_until(lambda: os.path.isdir(folder) and os.listdir(folder), 30, "the mail is delivered")
    with open(os.path.join(folder, os.listdir(folder)[0]), encoding="utf-8") as f:
        check("Subject: From Thunderbird" in f.read(), "and its mail arrives")
    child.terminate()
    child.wait(30)
    server.stop()
    done()


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, OSError, subprocess.SubprocessError) as e:
        check(False, "Thunderbird", str(e))
        cleanup()
        raise SystemExit(1) from e
