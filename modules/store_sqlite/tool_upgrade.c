/* tool_upgrade.c - shards of an older format become of this one, which can be taken back until it
 * is committed.
 *
 * A shard's database is copied to "before.db", whole and durable, before it is changed in one
 * transaction; taking back puts the copy in its place.  As long as it is there, the server keeps
 * all bytes, so that the copy's rows stay true.  What came after the upgrade only the new
 * database knows.  Killed anywhere, each shard is of one format or the other, and the same
 * command goes on. */
#include "schema.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PART SCHEMA_BEFORE ".part"

struct upgrade {
	struct tool *tool;
	unsigned shard, done;
	char folder[TOOL_PATH], index[TOOL_PATH + 16], before[TOOL_PATH + 16];
};

static int sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return r;
}

static int keep_copy(struct upgrade *u, struct db *db)
{
	char part[TOOL_PATH + 32];
	(void)snprintf(part, sizeof(part), "%s/" PART, u->folder);
	(void)unlink(part);
	int r = db_exec(db, "VACUUM INTO ?", "t", kurir_str_of(part));
	if (r == 0)
		r = sync_file(part);
	if (r == 0 && rename(part, u->before) < 0)
		r = -errno;
	return r < 0 ? r : blob_sync_folder(u->folder);
}

static int forward(struct upgrade *u)
{
	struct db db;
	int64_t version;
	int r = db_open_any(&db, u->index, &version);
	if (r < 0)
		return r;
	if (version > SCHEMA_VERSION)
		r = -EPROTONOSUPPORT;
	if (r == 0 && version != 0 && version < SCHEMA_VERSION) {
		r = keep_copy(u, &db);
		if (r == 0)
			r = schema_upgrade(&db, version);
		u->done += r == 0;
	}
	db_close(&db);
	return r;
}

/* How many accounts are other than they were. */
static int changed(struct db *db, const char *before, int64_t *ret)
{
	int r = db_exec(db, "ATTACH DATABASE ? AS old", "t", kurir_str_of(before));
	if (r == 0)
		r = db_number(db, ret,
		    "SELECT count(*) FROM (SELECT id, name, modseq FROM main.account"
		    " EXCEPT SELECT id, name, modseq FROM old.account)",
		    "");
	return r < 0 ? r : db_exec(db, "DETACH DATABASE old", "");
}

static int back(struct upgrade *u, bool anyway)
{
	static const char *const search[] = { "search.db", "search.db-wal", "search.db-shm" };
	struct db db;
	int64_t version, others = 0;
	if (access(u->before, F_OK) < 0)
		return 0;
	int r = db_open_any(&db, u->index, &version);
	if (r < 0)
		return r;
	r = changed(&db, u->before, &others);
	if (r == 0 && others > 0 && !anyway) {
		tool_problem(u->tool,
		    "shard %02x: %lld accounts changed since the upgrade, which would be lost:"
		    " export them, and \"upgrade back anyway\"",
		    u->shard, (long long)others);
		db_close(&db);
		return 0;
	}
	/* So that it has no log, which would be taken for the other's. */
	if (r == 0)
		r = db_text_run(&db, "PRAGMA journal_mode = DELETE");
	db_close(&db);
	for (size_t i = 0; r == 0 && i < 3; i++) { /* can be made again */
		char path[TOOL_PATH + 32];
		(void)snprintf(path, sizeof(path), "%s/%s", u->folder, search[i]);
		(void)unlink(path);
	}
	if (r == 0 && rename(u->before, u->index) < 0)
		r = -errno;
	u->done += r == 0;
	return r < 0 ? r : blob_sync_folder(u->folder);
}

static int commit(struct upgrade *u)
{
	if (unlink(u->before) < 0)
		return errno == ENOENT ? 0 : -errno;
	u->done++;
	return blob_sync_folder(u->folder);
}

static int one(struct upgrade *u, const char *verb, bool anyway)
{
	int r = tool_path(u->tool, u->shard, "", u->folder);
	(void)snprintf(u->index, sizeof(u->index), "%s/index.db", u->folder);
	(void)snprintf(u->before, sizeof(u->before), "%s/" SCHEMA_BEFORE, u->folder);
	if (r < 0 || access(u->index, F_OK) < 0)
		return r;
	return strcmp(verb, "back") == 0  ? back(u, anyway)
	    : strcmp(verb, "commit") == 0 ? commit(u)
					  : forward(u);
}

int tool_upgrade(struct tool *t, const char *verb, const char *more)
{
	static struct upgrade u;
	bool anyway = strcmp(verb, "back") == 0 && strcmp(more, "anyway") == 0;
	bool known = verb[0] == '\0' || strcmp(verb, "back") == 0 || strcmp(verb, "commit") == 0;
	int r = 0;
	u.tool = t;
	if (!known || (more[0] != '\0' && !anyway)) {
		tool_say(t, "kurir-store: upgrade, upgrade back [anyway], or upgrade commit");
		return 2;
	}
	int lock = tool_lock_all(t);
	r = lock < 0 ? lock : 0;
	for (u.shard = 0; r == 0 && u.shard < t->shards; u.shard++)
		r = one(&u, verb, anyway);
	if (lock >= 0)
		close(lock);
	if (r == -EWOULDBLOCK)
		tool_say(
		    t, "kurir-store: a server or an import uses these shards: stop it first");
	else if (r == -EPROTONOSUPPORT)
		tool_say(t, "kurir-store: a shard has a format that this program does not know");
	else if (r < 0)
		return tool_fail(t, r, u.folder);
	if (r < 0)
		return 2;
	(void)kurir_buf_printf(&t->text,
	    t->json ? "{\"shards\": %u, \"format\": %d}\n"
		    : "%u shards were changed; the format of this program is %d\n",
	    u.done, SCHEMA_VERSION);
	return t->problems > 0 ? 1 : 0;
}
