# shellcheck shell=bash disable=SC2034,SC2154  # what the library names
# peer-kurir.sh - this server as one of the peers of a benchmark, named by PEER_kurir=FILE.
# Takes the built tree from $top_builddir (else build/ beside tests/), as installed programs do
# not find modules of a tree.  Everything it writes is under $W/kurir.
. "$BENCH_LIB"
caps="accept relay maildir queue tls imap pop3 idleimap idlesmtp"
ports="smtp=2825 lmtp=2824 imap=2843 imaps=2893 pop3=2810"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
built=${top_builddir:-$here/../../build}
state=$W/kurir

version() { "$built/kurird" --version; }

# One user an account, all with the password "pass"; a hash that costs little, as logging in is
# not what is measured.
users() {
	local hash i
	hash=$(openssl passwd -5 -salt benchmark pass)
	for i in $(seq 0 199); do echo "u$i@local.test:$hash"; done >"$state/users"
	for i in $(seq 0 199); do echo "u$i@local.test"; done >"$state/mailboxes"
	chmod 644 "$state/users" "$state/mailboxes"
}

# MODE: accept and queue route to a port where nobody listens, so that all stays in the queue.
configure() {
	local next=$DEAD
	[ "$1" = relay ] && next=$SINK
	mkdir -p "$state"
	chmod 755 "$state"
	cp "$B/certs/rsa.pem" "$B/certs/rsa.key" "$state/"
	users
	cat >"$state/kurir.json" <<-X
	{
	  "version": 1, "hostname": "mail.bench.test", "state": "state", "run": "run",
	  "users": { "edge": 64101, "queue": 64102, "resolver": 64103, "relay": 64104,
	    "store": 64105, "access": 64106, "auth": 64107, "control": 64108 },
	  "processes": { "edge": ${KURIR_EDGES:-1} },
	  "tls": { "certificates": [{ "certificate": "rsa.pem", "key": "rsa.key" }] },
	  "limits": { "connections": 100000, "connections-per-peer": 100000 },
	  "listeners": {
	    "smtp":  { "protocol": "smtp", "address": "127.0.0.1:2825", "tls": "upgrade",
	      "pipeline": "inbound" },
	    "lmtp":  { "protocol": "lmtp", "address": "127.0.0.1:2824", "pipeline": "inbound" },
	    "imap":  { "protocol": "imap", "address": "127.0.0.1:2843", "tls": "upgrade" },
	    "imaps": { "protocol": "imap", "address": "127.0.0.1:2893", "tls": "implicit" },
	    "pop3":  { "protocol": "pop3", "address": "127.0.0.1:2810", "tls": "upgrade" },
	  },
	  "pipelines": { "inbound": ["accounts"] },
	  "modules": {
	    "smtp": { "relay-networks": ["127.0.0.0/8"], "message-size": "100M" },
	    "imap": { "plaintext-login": true }, "pop3": { "plaintext-login": true },
	    "accounts": { "domains": ["local.test"], "mailboxes-file": "mailboxes" },
	    "auth_file": { "users": "users", "domain": "local.test" },
	    "route_local": {},
	    "route_static": { "routes": { "*": "smtp:[127.0.0.1]:$next" }, "tls": "never" },
	    "queue_journal": { "retry": ["2h"] },
	    "bounce": {}, "relay_smtp": {},
	    "store_maildir": { "root": "mail" },
	  },
	}
	X
}

start() {
	configure "$1" || return 1
	KURIR_MODULE_PATH=$built "$built/kurird" -c "$state/kurir.json" >>"$B/logs/kurir.log" 2>&1 &
	waitport 2825 && waitport 2843
}

ctl() { "$built/kurirctl" -c "$state/kurir.json" "$@"; }
stop() { ctl stop >/dev/null 2>&1; }
clean() { rm -rf "$state/state" "$state/mail" "$state/run"; : >"$B/logs/kurir.log"; }
queued() { ctl --json ledger | grep -Eo '"queued": *[0-9]+' | grep -Eo '[0-9]+' || echo 0; }
delivered() { find "$state/mail" -type f -path '*/new/*' 2>/dev/null | wc -l; }
lib_main "$@"
