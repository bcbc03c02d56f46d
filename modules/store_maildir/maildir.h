/* maildir.h - Maildir++ on disk, shared by the files of this module.
 *
 * One account is one folder; INBOX is the folder itself, "a/b" is ".a.b" in it (modified
 * UTF-7). Each mailbox has tmp, new and cur, and a "kurir-uidlist" that only the store role
 * writes: UIDs, mod-sequences, keywords. Everything else is plain Maildir that other programs
 * may read and change at the same time. */
#ifndef MAILDIR_H
#define MAILDIR_H

#include <dirent.h>

#include <kurir/call.h>
#include <kurir/queue.h>
#include <kurir/store.h>

#define MAILDIR_NAME_MAX 255 /* of a file */
#define MAILDIR_PATH_MAX 768
#define MAILDIR_DEPTH	 16 /* levels of mailboxes */

struct maildir_conf {
	struct kurir_str root;
	uint64_t list_max;
	kurir_time poll;
};

enum maildir_counter {
	MAILDIR_DELIVERED,
	MAILDIR_DELIVERY_FAILED,
	MAILDIR_BATCHES,
	MAILDIR_APPENDED,
	MAILDIR_CHANGED,
	MAILDIR_EXPUNGED,
	MAILDIR_SYNCS,
	MAILDIR_UIDS,
};

/* maildir_io.c: every file operation that can fail in a way mail would notice, in one table, so
 * that a test can make the n-th one fail. */
struct maildir_io {
	int (*open)(const char *path, int flags, unsigned mode);
	ssize_t (*write)(int fd, const void *, size_t);
	int (*fsync)(int fd);
	int (*close)(int fd);
	int (*link)(const char *from, const char *to);
	int (*rename)(const char *from, const char *to);
	int (*unlink)(const char *path);
	int (*mkdir)(const char *path, unsigned mode);
	int (*next)(DIR *, struct dirent **ret); /* 1; 0 after the last */
	/* All of the file system of fd; -ENOSYS where the kernel does not report what failed. */
	int (*sync_all)(int fd);
};
extern struct maildir_io maildir_io;
int maildir_write_all(int fd, const char *, size_t); /* 0 or -errno */
int maildir_fsync_dir(const char *path);	     /* 0 or -errno */
/* path and its tmp, new, cur, with the folders above it up to root; durable.  0 or -errno. */
int maildir_make(const char *root, const char *path);

/* maildir_path.c: from names of the network to paths that cannot leave the root. -EINVAL when
 * one cannot be. */
int maildir_account_path(
    struct kurir_str root, struct kurir_str account, char ret[MAILDIR_PATH_MAX]);
int maildir_mailbox_path(struct kurir_str root, struct kurir_str account,
    struct kurir_str mailbox, char ret[MAILDIR_PATH_MAX]);
/* ".a.b" -> "a/b"; -EINVAL when it is not a mailbox's folder. */
int maildir_folder_name(struct kurir_arena *, const char *folder, struct kurir_str *ret);
/* maildir_name.c: "unique,S=12,W=13:2,FS" */
struct maildir_name {
	struct kurir_str base; /* all before the ':' */
	uint32_t flags;	       /* enum kurir_message_flag */
	struct kurir_str info; /* behind ":2,", with letters that mean nothing to us */
	uint64_t wire_size;    /* W=, or 0 */
	int64_t date;	       /* the leading seconds as milliseconds, or 0 */
};
void maildir_name_parse(struct kurir_str file, struct maildir_name *ret);
/* "base:2,FSa" into ret, where "a" and other letters of other programs come from info, which may
 * be empty; -ENAMETOOLONG. */
int maildir_name_make(
    struct kurir_str base, uint32_t flags, struct kurir_str info, char ret[MAILDIR_NAME_MAX + 1]);

/* maildir_list.c: the uid list, in memory and in its file. */
struct maildir_entry {
	uint32_t uid, flags;
	uint64_t modseq, size;
	int64_t date;
	struct kurir_str file; /* in cur, with its flags */
	struct kurir_str keywords;
	bool gone; /* dropped when the list is written */
};
struct maildir_list {
	struct kurir_arena *arena;
	uint32_t validity, next, recent; /* recent: the first UID no session has claimed yet */
	uint64_t modseq;
	size_t count, room;
	struct maildir_entry *entries; /* by UID */
};
/* 0, -ENOENT (never written), -EBADMSG (damaged), -errno. */
int maildir_list_read(
    struct kurir_arena *, const char *mailbox_path, uint64_t max, struct maildir_list *ret);
int maildir_list_parse(struct kurir_arena *, struct kurir_str text, struct maildir_list *ret);
int maildir_list_write(struct maildir_list *, const char *mailbox_path); /* atomic and durable */
struct maildir_entry *maildir_list_add(struct maildir_list *);
struct maildir_entry *maildir_list_find(struct maildir_list *, uint32_t uid);
/* A UIDVALIDITY that this account never had; durable before it is returned. */
int maildir_new_validity(const char *account_path, uint32_t *ret);

/* maildir_sync.c: brings the list up to what the folders have: new mail gets its UID and moves
 * to cur, what others removed is forgotten, what they flagged gets a mod-sequence. Store role
 * only. */
int maildir_sync(const struct maildir_conf *, const char *account_path, const char *mailbox_path,
    struct kurir_arena *, struct maildir_list *ret, bool *ret_changed);

/* maildir_deliver.c: endpoint "transport.local". */
int maildir_transport(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *)
    KURIR_PARKS;
/* maildir_file.c: one message into tmp and then new or cur; in a helper thread, so plain C
 * only. */
struct maildir_file {
	char account[MAILDIR_PATH_MAX]; /* folder that exists or is made */
	char mailbox[MAILDIR_PATH_MAX];
	char name[MAILDIR_NAME_MAX + 1]; /* without sizes and flags; they are added */
	const char *head;		 /* lines above the message, LF ends */
	size_t head_len;
	int fd; /* the message in wire form */
	uint64_t offset, length;
	bool to_cur;	   /* APPEND: into cur with flags; else into new */
	bool may_be_there; /* look into cur for an earlier delivery */
	uint32_t flags;
	int64_t date;  /* 0: the file's own time */
	int result;    /* 0 or -errno */
	unsigned twin; /* its number in tmp, when there is another of its name */
	char made[MAILDIR_NAME_MAX + 1]; /* the file's name in new or cur */
	uint64_t size, wire_size;	 /* on the disk; in wire form */
};
/* All of them with as few flushes as can be; each has its own result. */
void maildir_files_write(const char *root, struct maildir_file **, size_t count);

/* maildir_writer.c: endpoint "store.maildir", where every change is made. */
enum maildir_op { MAILDIR_OP_SYNC = 1, MAILDIR_OP_CHANGE, MAILDIR_OP_APPEND, MAILDIR_OP_MANAGE };
int maildir_writer(struct kurir_self *, const struct kurir_incoming *, struct kurir_buf *)
    KURIR_PARKS;
/* maildir_change.c */
int maildir_change(struct kurir_self *, struct kurir_str account, struct kurir_str mailbox,
    const struct kurir_change *, struct kurir_arena *, struct kurir_changed *ret);
/* maildir_manage.c */
int maildir_manage(const struct maildir_conf *, struct kurir_str account, enum kurir_manage_kind,
    struct kurir_str mailbox, struct kurir_str new_name);
int maildir_list_mailboxes(const struct maildir_conf *, struct kurir_str account,
    struct kurir_arena *, struct kurir_mailbox **ret, size_t *ret_count);
/* maildir_access.c: the "store" service */
extern const struct kurir_store_ops maildir_store;
/* maildir_wire.c: the message in wire form: the file itself when it has CRLF, else a copy in
 * memory. */
int maildir_open_wire(const char *path, struct kurir_body *ret);

#endif
