/* greylist.h - private to the module: who has been seen, and when.
 *
 * The edge asks the endpoint "greylist" about a triplet; the control process, of which there is
 * one, keeps all of them in a file.  What an instance's options say comes with the question, so
 * that several instances share what is known. */
#ifndef GREYLIST_H
#define GREYLIST_H

#include <kurir/call.h>
#include <kurir/module.h>

#include <sqlfile/sqlfile.h>

#define GREYLIST_KEY_MAX 1024 /* bytes of a sender or a recipient */

struct greylist_question {
	struct kurir_str network, sender, recipient;
	int64_t now, delay, window, keep; /* milliseconds */
	uint32_t allow, entries;
	bool trial; /* of a session that is simulated: nothing is kept */
};
enum greylist_verdict {
	GREYLIST_NEW = 1, /* never seen: wait */
	GREYLIST_WAIT,	  /* back too early */
	GREYLIST_PASSED,  /* back in time, the first time */
	GREYLIST_KNOWN,
	GREYLIST_ALLOWED, /* its network has come back often enough */
};
struct greylist_answer {
	enum greylist_verdict verdict;
	int64_t wait; /* milliseconds; NEW and WAIT */
};

/* Senders that differ in numbers only (VERP) are one: "b-17-42@x" is "b-#-#@x".  In lower case,
 * cut to GREYLIST_KEY_MAX. */
struct kurir_str greylist_sender(struct kurir_arena *, struct kurir_str);

int greylist_put_question(struct kurir_buf *, const struct greylist_question *);
int greylist_get_question(struct kurir_str, struct greylist_question *ret); /* 0, -EBADMSG */

/* The file.  These block: not on a fiber. */
struct greylist_store {
	struct sqlfile file;
	int64_t purged, size; /* when last; triplets, about */
};
/* A file that is damaged is put aside. 0 or -errno, and *ret_damaged. */
int greylist_open(const char *path, struct greylist_store *, bool *ret_damaged);
/* In a transaction of the file: */
int greylist_ask(
    struct greylist_store *, const struct greylist_question *, struct greylist_answer *ret);
struct greylist_counts {
	int64_t waiting, passed, networks;
};
int greylist_count(struct greylist_store *, int64_t now, struct greylist_counts *ret);
/* Everything of a network; how many triplets that were. */
int greylist_forget(struct greylist_store *, struct kurir_str network);
/* From now on it need not wait. */
int greylist_allow(struct greylist_store *, struct kurir_str network, int64_t until);

#endif
