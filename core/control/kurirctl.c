/* kurirctl.c - asks a running server, and prints what it says.
 * Exit status: 0 done; 1 the server says no, or the ledger does not balance; 2 the command line
 * is wrong; 3 no server there. */
#include "daemon.h"
#include "kurirctl.h"
#include "story.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char usage[] =
    "kurirctl [-c FILE | --socket PATH] [--json] COMMAND\n"
    "  status              the processes and what they do\n"
    "  modules             the modules, their roles and capabilities\n"
    "  counters            all counters\n"
    "  queue list [WHAT]   who waits, and why; WHAT: an id, an address, a domain, or others\n"
    "                      such as older=2h, see kurir-queue_journal(5)\n"
    "  queue show WHAT     with all recipients\n"
    "  queue destinations  where messages wait in line, and what is wrong there\n"
    "  queue retry|hold|release|cancel|expire|redirect WHAT\n"
    "  mailbox list|show|search|move|undelete|restore|usage|purge\n"
    "                      mailboxes and their messages, see kurir-store_sqlite(5)\n"
    "  store check|repair|upgrade|export|import|move\n"
    "                      the files of the mailboxes, without a server, see kurir-store(8)\n"
    "  limits [hold|release ACCOUNT]\n"
    "                      who sends much, see kurir-limits(5)\n"
    "  greylist [allow|forget ADDRESS]\n"
    "                      who was seen, see kurir-greylist(5)\n"
    "  ledger [verify]     where every recipient is; verify counts the files again, and\n"
    "                      needs no server\n"
    "  top [--once] [SECONDS]\n"
    "                      queue, destinations and processes as they change; q ends it\n"
    "  log [-f]            the last events; with -f events as they happen\n"
    "  explain [WHAT] [--since TIME] [--until TIME]\n"
    "                      the story of a message, a connection or an address; a time is\n"
    "                      2h (ago) or 2026-12-01T09:30 (UTC)\n"
    "  explain --simulate --from ADDRESS --to ADDRESS... --ip ADDRESS [--helo NAME]\n"
    "          [--auth ACCOUNT] [--listener NAME] [--file MESSAGE]\n"
    "                      what would become of a message, and who would decide that\n"
    "  reload              reads the configuration again\n"
    "  stop                ends the server\n"
    "  module info FILE    what a module says of itself, without running it\n"
    "  module new NAME     files of a new module, see kurir-module(7)\n"
    "  passwd FILE USER    sets a password in a users file, without a server\n"
    "  help                this text\n";

static struct {
	const char *file, *socket;
	bool json, follow, verify, once, quiet;
} opt = { .file = KURIR_CONFDIR "/kurir.json" };

enum { OPT_SOCKET = 256, OPT_JSON, OPT_HELP, OPT_ONCE, OPT_VERIFY, OPT_VERSION, OPT_EXPLAIN };
static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "once", no_argument, NULL, OPT_ONCE },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "simulate", no_argument, NULL, OPT_EXPLAIN },
	{ "from", required_argument, NULL, OPT_EXPLAIN },
	{ "to", required_argument, NULL, OPT_EXPLAIN },
	{ "ip", required_argument, NULL, OPT_EXPLAIN },
	{ "helo", required_argument, NULL, OPT_EXPLAIN },
	{ "auth", required_argument, NULL, OPT_EXPLAIN },
	{ "listener", required_argument, NULL, OPT_EXPLAIN },
	{ "file", required_argument, NULL, OPT_EXPLAIN },
	{ "since", required_argument, NULL, OPT_EXPLAIN },
	{ "until", required_argument, NULL, OPT_EXPLAIN },
	{ 0 },
};

int ctl_fail(int status, const char *what, const char *why)
{
	if (!opt.quiet)
		(void)dprintf(STDERR_FILENO, "kurirctl: %s%s%s\n", what, why != NULL ? ": " : "",
		    why != NULL ? why : "");
	return status;
}

static const char no_server[] = "no server is running there";

/* -ENOENT: no server is there, and nothing was said. */
int ctl_connect(FILE **ret)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char path[sizeof(un.sun_path)];
	int fd;

	if (opt.socket != NULL) {
		if (strlen(opt.socket) >= sizeof(path))
			return ctl_fail(2, "the path of the socket is too long", NULL);
		memcpy(path, opt.socket, strlen(opt.socket) + 1);
	} else if (kurir_conf_folder(opt.file, "run", path, sizeof(path) - 9) < 0) {
		return ctl_fail(2, opt.file, "cannot read this configuration (another: -c FILE)");
	} else {
		memcpy(path + strlen(path), "/control", 9);
	}
	memcpy(un.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		bool gone = errno == ENOENT || errno == ECONNREFUSED;
		const char *why = gone ? no_server
		    : errno == EACCES  ? "only root and the server's group may ask"
				       : strerror(errno);

		if (fd >= 0)
			(void)close(fd);
		if (gone && opt.verify && opt.socket == NULL)
			return -ENOENT;
		return ctl_fail(3, path, why);
	}
	*ret = fdopen(fd, "r");
	return *ret != NULL ? 0 : ctl_fail(3, path, strerror(errno));
}

/* Who was turned away finds the reason in the answer: what cannot be sent is no matter. */
static void send_line(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

int ctl_send(FILE *f, char **args, int n)
{
	json_t *list = json_array(), *q;
	char *text;
	int r = 0;

	for (int i = 1; i < n; i++)
		json_array_append_new(list, json_string(args[i]));
	q = json_pack("{s:s,s:o}", "command", args[0], "args", list);
	text = q != NULL ? json_dumps(q, JSON_COMPACT) : NULL;
	if (text != NULL) {
		size_t len = strlen(text);

		text[len] = '\n'; /* in the place of the 0 */
		send_line(fileno(f), text, len + 1);
	} else {
		r = ctl_fail(2, "these arguments are no UTF-8", NULL);
	}
	free(text);
	json_decref(q);
	return r;
}

static void show_text(const char *text)
{
	struct kurir_buf b = KURIR_BUF(strlen(text) + 1);

	(void)kurir_buf_add(&b, kurir_str_of(text));
	story_clean(&b, 0, "\n\t");
	(void)fwrite(b.ptr, 1, b.len, stdout);
	if (b.len > 0 && b.ptr[b.len - 1] != '\n')
		(void)fputc('\n', stdout);
	kurir_buf_free(&b);
}

static void show_event(const json_t *v)
{
	struct kurir_buf b = KURIR_BUF(1u << 20);

	story_line(&b, v);
	(void)fwrite(b.ptr, 1, b.len, stdout);
	kurir_buf_free(&b);
}

static int show(const char *line, bool event)
{
	json_t *v = json_loads(line, JSON_DECODE_ANY, NULL), *data;
	const char *error = json_string_value(json_object_get(v, "error"));
	const char *text = json_string_value(json_object_get(v, "text"));
	int r = json_is_true(json_object_get(v, "failed")) ? 1 : 0;

	if (v == NULL) {
		r = ctl_fail(3, "the server's answer is no JSON", NULL);
	} else if (error != NULL) {
		r = opt.json ? (void)fputs(line, stdout), 1 : ctl_fail(1, error, NULL);
	} else if (opt.json) {
		data = json_object_get(v, "data");
		(void)json_dumpf(event || data == NULL ? v : data, stdout,
		    JSON_ENCODE_ANY | (event ? JSON_COMPACT : JSON_INDENT(2)));
		(void)fputc('\n', stdout);
	} else if (event) {
		show_event(v);
	} else if (text != NULL) {
		show_text(text);
	}
	(void)fflush(stdout);
	json_decref(v);
	return r;
}

/* Becomes a program of ours, which is in our folder, or beside it, or where programs are. */
static int ctl_become(char **args)
{
	static const char *const places[] = { "", "../sbin/", "../" };
	char here[1024], program[1056];
	ssize_t n = readlink("/proc/self/exe", here, sizeof(here));

	while (n > 0 && here[n - 1] != '/')
		n--;
	for (size_t i = 0; n > 0 && i < sizeof(places) / sizeof(*places); i++) {
		(void)snprintf(
		    program, sizeof(program), "%.*s%s%s", (int)n, here, places[i], args[0]);
		(void)execv(program, args);
	}
	(void)execvp(args[0], args);
	return ctl_fail(3, args[0], strerror(errno));
}

static int ctl_ledger_files(void)
{
	static char name[] = "kurir-ledger", json[] = "--json";
	char folder[1024];
	char *args[] = { name, opt.json ? json : folder, opt.json ? folder : NULL, NULL };

	if (kurir_conf_folder(opt.file, "state", folder, sizeof(folder) - 6) < 0)
		return ctl_fail(2, opt.file, "cannot read this configuration (another: -c FILE)");
	memcpy(folder + strlen(folder), "/queue", 7);
	(void)ctl_fail(0, folder, "no server is running, these files are counted");
	return ctl_become(args);
}

/* "store ...": kurir-store [--json] ROOT ... */
static int ctl_store(char **args, int n)
{
	static char name[] = "kurir-store", json[] = "--json";
	char root[1024], **all = calloc((size_t)n + 4, sizeof(*all)), **to = all;
	int r;

	if (all == NULL)
		return 3;
	*to++ = name;
	if (opt.json)
		*to++ = json;
	*to++ = root;
	memcpy(to, args + 1, (size_t)(n - 1) * sizeof(*to));
	r = kurir_conf_folder(opt.file, "modules/store_sqlite/root", root, sizeof(root));
	r = r < 0
	    ? ctl_fail(2, opt.file, "no store_sqlite in this configuration (another: -c FILE)")
	    : ctl_become(all);
	free(all);
	return r;
}

/* "module ...": kurir-module [--json] ... */
static int ctl_module(char **args, int n)
{
	static char name[] = "kurir-module", json[] = "--json";
	char **all = calloc((size_t)n + 2, sizeof(*all)), **to = all;
	int r;

	if (all == NULL)
		return 3;
	*to++ = name;
	if (opt.json)
		*to++ = json;
	memcpy(to, args + 1, (size_t)(n - 1) * sizeof(*to));
	r = ctl_become(all);
	free(all);
	return r;
}

/* One of several answers to a question: what they list is one list. */
static int show_page(json_t *v, bool first, bool last)
{
	json_t *data = json_object_get(v, "data"), *list = json_object_get(data, "list"), *item;
	const char *text = json_string_value(json_object_get(v, "text"));
	static bool listed; /* something, on whatever page */
	size_t i;

	if (!opt.json) {
		(void)fputs(text != NULL ? text : "", stdout);
		return 0;
	}
	if (first)
		(void)fputs("{\"list\": [", stdout);
	json_array_foreach(list, i, item)
	{
		(void)fputs(listed ? ",\n" : "\n", stdout);
		listed = true;
		(void)json_dumpf(item, stdout, JSON_COMPACT);
	}
	if (last) {
		(void)json_object_del(data, "list");
		(void)fputs("\n]", stdout);
		for (void *at = json_object_iter(data); at != NULL;
		     at = json_object_iter_next(data, at)) {
			(void)fprintf(stdout, ",\n\"%s\": ", json_object_iter_key(at));
			(void)json_dumpf(json_object_iter_value(at), stdout, JSON_ENCODE_ANY);
		}
		(void)fputs("\n}\n", stdout);
	}
	return ferror(stdout) ? 3 : 0;
}

/* A long answer comes in pages: each says how to ask for the next one. */
static int ctl_pages(FILE *f, char **args, int n)
{
	char *line = NULL, *after = NULL;
	size_t room = 0;
	bool more = true, first = true;
	int r = 0;

	while (r == 0 && more) {
		json_t *v;
		const char *next;

		r = ctl_send(f, args, after != NULL ? n + 1 : n);
		if (r == 0 && getline(&line, &room, f) <= 0)
			r = ctl_fail(3, "the server hung up without an answer", NULL);
		if (r != 0)
			break;
		v = json_loads(line, 0, NULL);
		next = json_string_value(json_object_get(v, "next"));
		more = next != NULL;
		if ((first && !more) || json_object_get(v, "error") != NULL)
			r = show(line, false);
		else
			r = show_page(v, first, !more);
		free(after);
		after = NULL;
		if (more && asprintf(&after, "after=%s", next) < 0)
			r = ctl_fail(3, strerror(ENOMEM), NULL);
		args[n] = after;
		first = false;
		json_decref(v);
	}
	free(after);
	free(line);
	(void)fflush(stdout);
	return r;
}

static int ctl_ask(char **args, int n)
{
	bool events = strcmp(args[0], "log") == 0;
	char *line = NULL;
	size_t room = 0;
	FILE *f;
	int r = ctl_connect(&f), lines = 0;

	if (r == -ENOENT)
		return ctl_ledger_files();
	if (r != 0)
		return r;
	if (!events)
		r = ctl_pages(f, args, n);
	else
		r = ctl_send(f, args, n);
	while (events && r == 0 && getline(&line, &room, f) > 0) {
		lines++;
		r = show(line, true);
	}
	if (lines == 0 && opt.follow)
		r = ctl_fail(3, "the server hung up without an answer", NULL);
	free(line);
	(void)fclose(f);
	return r;
}

void ctl_quiet(bool quiet)
{
	opt.quiet = quiet;
}

static char follow[] = "-f", verify[] = "verify";

/* How many words may follow; what is not here knows for itself. */
static const struct {
	const char *command;
	int most;
} words[] = { { "status", 0 }, { "modules", 0 }, { "counters", 0 }, { "reload", 0 },
	{ "stop", 0 }, { "log", 0 }, { "ledger", 1 }, { "explain", 1 } };

/* What stands before or behind the words of a command, as one of them. */
static int ctl_words(char **args, int *n)
{
	bool ledger = *n > 0 && strcmp(args[0], "ledger") == 0;

	if (opt.once && (*n == 0 || strcmp(args[0], "top") != 0))
		return ctl_fail(2, "--once", "only \"top\" has this option");
	for (size_t i = 0; *n > 0 && i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(args[0], words[i].command) == 0 && *n - 1 > words[i].most)
			return ctl_fail(2, args[words[i].most + 1], "one word too many");
	if (opt.verify && !ledger)
		return ctl_fail(2, "--verify", "only \"ledger\" has this option");
	if (opt.verify)
		args[(*n)++] = verify;
	else if (ledger && *n == 2 && strcmp(args[1], verify) == 0)
		opt.verify = true;
	if (*n > 0 && opt.follow)
		args[(*n)++] = follow;
	return ctl_explain_words(args, n);
}

/* Options may stand anywhere; "-f" belongs to the command, and to "store" what we do not know. */
static int ctl_options(int argc, char **argv, char **args, int *ret_n)
{
	int o, n = 0, at = 0, r;

	opterr = 0;
	while ((o = getopt_long(argc, argv, "-c:f", options, &at)) != -1) {
		switch (o) {
		case 'c':
			opt.file = optarg;
			break;
		case OPT_SOCKET:
			opt.socket = optarg;
			break;
		case OPT_JSON:
			opt.json = true;
			break;
		case OPT_HELP:
			(void)fputs(usage, stdout);
			return -1;
		case OPT_VERSION:
			(void)fputs(PACKAGE_STRING "\n", stdout);
			return -1;
		case OPT_ONCE:
			opt.once = true;
			break;
		case OPT_VERIFY:
			opt.verify = true;
			break;
		case 'f':
			opt.follow = true;
			break;
		case OPT_EXPLAIN:
			r = ctl_explain_option(options[at].name, optarg);
			if (r != 0)
				return r;
			break;
		case 1:
			args[n++] = optarg;
			if (n > 1 || strcmp(optarg, "module") != 0)
				break;
			while (optind < argc) /* it has options of its own */
				args[n++] = argv[optind++];
			break;
		default:
			if (n > 0 && strcmp(args[0], "store") == 0) {
				args[n++] = argv[optind - 1];
				break;
			}
			(void)ctl_fail(2, argv[optind - 1], "there is no such option");
			return 2;
		}
	}
	while (optind < argc)
		args[n++] = argv[optind++];
	o = ctl_words(args, &n);
	*ret_n = n;
	return o;
}

int main(int argc, char **argv)
{
	char **args = calloc((size_t)argc + 3, sizeof(*args));
	int n = 0, r;

	if (args == NULL)
		return 3;
	r = ctl_options(argc, argv, args, &n);
	if (r == 0 && n == 0) {
		(void)fputs(usage, stderr);
		r = 2;
	} else if (r == 0 && strcmp(args[0], "help") == 0) {
		(void)fputs(usage, stdout);
	} else if (r == 0 && strcmp(args[0], "passwd") == 0) {
		r = n == 3 ? ctl_passwd(args[1], args[2])
			   : ctl_fail(2, "passwd needs FILE and USER", NULL);
	} else if (r == 0 && strcmp(args[0], "top") == 0) {
		r = n <= 2 ? ctl_top(args[1], opt.once, opt.json)
			   : ctl_fail(2, "top takes one number of seconds", NULL);
	} else if (r == 0 && strcmp(args[0], "store") == 0) {
		r = ctl_store(args, n);
	} else if (r == 0 && strcmp(args[0], "module") == 0) {
		r = ctl_module(args, n);
	} else if (r == 0) {
		r = ctl_ask(args, n);
	}
	free(args);
	ctl_explain_free();
	return r < 0 ? 0 : r;
}
