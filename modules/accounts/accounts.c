/* accounts.c - which addresses are ours: the service "accounts", and the rcpt hook that says so.
 * The table itself, and what may be wrong with it, is in accounts_table.c. */
#include "accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <kurir/smtp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64u << 20)

enum { COUNT_MAILBOX, COUNT_ALIAS, COUNT_UNKNOWN, COUNT_FOREIGN, COUNT_RELOADS };
static const char *const accounts_counters[] = { "mailbox", "alias", "unknown", "foreign",
	"reloads", NULL };

struct accounts {
	struct kurir_arena *arena; /* of the table in use */
	struct accounts_table *table;
	struct timespec changed; /* of the file as it was read */
	off_t size;
	ino_t inode;
	kurir_time look;      /* when to look at the file again */
	const char *endpoint; /* of the table; NULL: none */
};

static const struct kurir_option accounts_options[] = { KURIR_OPT_TEXTS("domains",
							    struct accounts_conf, domains, NULL,
							    "The domains that are ours."),
	KURIR_OPT_TEXTS("mailboxes", struct accounts_conf, mailboxes, "",
	    "The addresses that are mailboxes."),
	KURIR_OPT_MAP("aliases", struct accounts_conf, aliases, "",
	    "Addresses that stand for one or more other addresses, here or elsewhere."),
	KURIR_OPT_MAP("catch-all", struct accounts_conf, catch_all, "",
	    "For a domain: the address that takes mail to all unknown names."),
	KURIR_OPT_TEXT("delimiter", struct accounts_conf, delimiter, "+",
	    "Characters that begin a detail in the local part; empty: none."),
	KURIR_OPT_TEXT("postmaster", struct accounts_conf, postmaster, "",
	    "The address that takes mail to postmaster in every domain without one."),
	KURIR_OPT_PATH("mailboxes-file", struct accounts_conf, file, "",
	    "A file with more mailboxes, one address a line, read again when it changes."),
	KURIR_OPT_TEXT("table", struct accounts_conf, table, "",
	    "A table that is asked about what is not found here: \"pgsql\", \"ldap\", ..."),
	{ 0 } };

/* A file that is being replaced is read whole or not at all: -EIO when it changed meanwhile. */
static int accounts_read(const char *path, struct stat *ret_st, char **ret, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	char *text = NULL;
	size_t have = 0;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		r = -errno;
		goto out;
	}
	r = -EFBIG;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX)
		goto out;
	text = malloc((size_t)st.st_size + 1);
	r = -ENOMEM;
	if (text == NULL)
		goto out;
	while (have < (size_t)st.st_size) {
		ssize_t n = read(fd, text + have, (size_t)st.st_size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = n < 0 ? -errno : -EIO;
			goto out;
		}
		have += (size_t)n;
	}
	*ret_st = st;
	*ret_len = have;
	*ret = text;
	text = NULL;
	r = 0;
out:
	free(text);
	close(fd);
	return r;
}

static bool accounts_same_file(const struct accounts *a, const struct stat *st)
{
	return st->st_ino == a->inode && st->st_size == a->size &&
	    st->st_mtim.tv_sec == a->changed.tv_sec && st->st_mtim.tv_nsec == a->changed.tv_nsec;
}

/* Builds the table; keeps the old one when the file cannot be read. */
static int accounts_load(struct kurir_self *self)
{
	const struct accounts_conf *c = kurir_conf(self);
	struct accounts *a = kurir_state(self);
	struct kurir_arena *arena = kurir_arena_new("accounts");
	struct kurir_str error = KURIR_STR(""), more = KURIR_STR("");
	struct accounts_table *t;
	struct stat st = { 0 };
	char *text = NULL;
	size_t bad = 0;
	int r = 0;

	if (c->file.len > 0)
		r = accounts_read(c->file.ptr, &st, &text, &more.len);
	if (r < 0) {
		kurir_arena_free(arena);
		return kurir_log(self, KURIR_ERROR, r, "cannot read %.*s%s", KURIR_ARG(c->file),
		    a->table != NULL ? ", going on with what was read before" : "");
	}
	if (text != NULL)
		more.ptr = text;
	t = accounts_table_build(arena, c, more, &bad, &error);
	free(text);
	if (t == NULL) {
		r = kurir_log(self, KURIR_ERROR, -EINVAL, "%.*s", KURIR_ARG(error));
		kurir_arena_free(arena);
		return r;
	}
	if (bad > 0)
		(void)kurir_log(self, KURIR_WARN, 0,
		    "%zu lines of %.*s are not addresses of ours, leaving them out", bad,
		    KURIR_ARG(c->file));
	kurir_arena_free(a->arena);
	a->arena = arena;
	a->table = t;
	a->changed = st.st_mtim;
	a->size = st.st_size;
	a->inode = st.st_ino;
	return 0;
}

static void accounts_refresh(struct kurir_self *self)
{
	const struct accounts_conf *c = kurir_conf(self);
	struct accounts *a = kurir_state(self);
	struct stat st;

	if (c->file.len == 0 || kurir_now() < a->look)
		return;
	a->look = kurir_now() + 1000;
	if (stat(c->file.ptr, &st) < 0 || accounts_same_file(a, &st))
		return;
	if (accounts_load(self) == 0)
		kurir_count(self, COUNT_RELOADS, 1);
}

/* RFC 5321 4.5.1: "<Postmaster>" without a domain, which is postmaster at the host itself, also
 * where its name is no mail domain. */
static bool accounts_hosts_postmaster(struct kurir_str address)
{
	ssize_t at = kurir_str_find_last(address, '@');

	return at > 0 &&
	    kurir_str_equal_nocase(
		kurir_str_part(address, 0, (size_t)at), KURIR_STR("postmaster")) &&
	    kurir_str_equal_nocase(
		kurir_str_part(address, (size_t)at + 1, address.len), kurir_hostname());
}

/* The match's texts are copied: the table may be replaced while the caller parks. */
KURIR_PARKS static int accounts_find(struct kurir_self *self, struct kurir_str address,
    kurir_time until, struct kurir_arena *arena, struct kurir_account_match *ret)
{
	struct accounts *a = kurir_state(self);
	struct kurir_str *items;

	accounts_refresh(self);
	accounts_table_find(a->table, address, arena, ret);
	if (ret->kind == KURIR_ACCOUNT_FOREIGN && accounts_hosts_postmaster(address))
		accounts_table_find(a->table, KURIR_STR("postmaster"), arena, ret);
	if (ret->addresses.count > 0) {
		items = kurir_alloc(arena, ret->addresses.count * sizeof(*items));
		for (size_t i = 0; i < ret->addresses.count; i++)
			items[i] = kurir_copy(arena, ret->addresses.items[i]);
		ret->addresses.items = items;
	}
	if (a->endpoint == NULL || ret->kind == KURIR_ACCOUNT_MAILBOX ||
	    ret->kind == KURIR_ACCOUNT_ALIAS)
		return 0;
	return accounts_far_find(
	    self, a->endpoint, address, ret->kind == KURIR_ACCOUNT_UNKNOWN, until, arena, ret);
}

KURIR_PARKS static int accounts_rcpt(
    struct kurir_self *self, struct kurir_tx *tx, struct kurir_rcpt *rcpt)
{
	struct kurir_str address = kurir_rcpt_address(rcpt);
	struct kurir_account_match m;
	int r = accounts_find(self, address, KURIR_FOREVER, kurir_scratch(), &m);

	if (r < 0)
		return r;
	switch (m.kind) {
	case KURIR_ACCOUNT_MAILBOX:
		kurir_count(self, COUNT_MAILBOX, 1);
		return KURIR_ACCEPT;
	case KURIR_ACCOUNT_ALIAS:
		kurir_count(self, COUNT_ALIAS, 1);
		return KURIR_ACCEPT;
	case KURIR_ACCOUNT_UNKNOWN:
		kurir_count(self, COUNT_UNKNOWN, 1);
		(void)kurir_reply(
		    kurir_tx_conn(tx), 550, "5.1.1", "no mailbox of that name here");
		return KURIR_REJECT;
	case KURIR_ACCOUNT_FOREIGN:
		break;
	}
	kurir_count(self, COUNT_FOREIGN, 1);
	return KURIR_NEXT;
}

static int accounts_check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct accounts_conf *c = conf;
	size_t bad;

	if (c->table.len > 0 && c->catch_all.count > 0) {
		*error = KURIR_STR(
		    "\"catch-all\" would hide what the table has: put \"@domain\" into its map"
		    " \"aliases\"");
		return -EINVAL;
	}
	return accounts_table_build(arena, conf, KURIR_STR(""), &bad, error) != NULL ? 0
										     : -EINVAL;
}

static int accounts_start(struct kurir_self *self)
{
	const struct accounts_conf *c = kurir_conf(self);
	struct accounts *a = kurir_state(self);

	if (c->table.len > 0)
		a->endpoint =
		    kurir_format(kurir_self_arena(self), "table.%.*s", KURIR_ARG(c->table)).ptr;
	return accounts_load(self);
}

static void accounts_stop(struct kurir_self *self)
{
	struct accounts *a = kurir_state(self);

	kurir_arena_free(a->arena);
	a->arena = NULL;
	a->table = NULL;
}

static const struct kurir_smtp_hooks accounts_smtp = { .size = sizeof(accounts_smtp),
	.rcpt = accounts_rcpt };
static const struct kurir_accounts_ops accounts_ops = { sizeof(accounts_ops), accounts_find };
static const struct kurir_service accounts_services[] = {
	{ .kind = "accounts", .name = "accounts", .ops = &accounts_ops }, { 0 }
};
static const struct kurir_path accounts_paths[] = {
	{ .option = "mailboxes-file",
	    .read = KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE | KURIR_ROLE_STORE | KURIR_ROLE_ACCESS },
	{ 0 }
};

KURIR_MODULE(accounts, .version = "1",
    .summary = "Which addresses are ours: domains, mailboxes, aliases",
    .roles = KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE | KURIR_ROLE_STORE | KURIR_ROLE_ACCESS,
    .caps = KURIR_CAP_FILES, .conf_size = sizeof(struct accounts_conf),
    .self_size = sizeof(struct accounts), .options = accounts_options,
    .counters = accounts_counters, .services = accounts_services, .paths = accounts_paths,
    .check = accounts_check, .start = accounts_start, .stop = accounts_stop,
    .smtp = &accounts_smtp);
