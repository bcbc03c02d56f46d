/* rspamd.h - private to the module: what Rspamd answers, and a header that is written anew. */
#ifndef RSPAMD_H
#define RSPAMD_H

#include <kurir/smtp.h>

enum rspamd_action {
	RSPAMD_PASS,
	RSPAMD_MARK,	/* add header */
	RSPAMD_SUBJECT, /* rewrite subject */
	RSPAMD_LATER,	/* soft reject */
	RSPAMD_REJECT,
	RSPAMD_DISCARD,
	RSPAMD_HOLD, /* quarantine */
};
struct rspamd_answer {
	enum rspamd_action action;
	struct kurir_str name; /* of the action, as it was said */
	double score, required;
	struct kurir_str text;		  /* for the client, or empty */
	struct kurir_str subject;	  /* or empty */
	struct kurir_texts names, values; /* fields to add */
	struct kurir_texts removed;	  /* names of fields to remove */
};
/* Texts are in arena.  NULL, or what is wrong with it. */
const char *rspamd_answer_read(
    struct kurir_arena *, struct kurir_str json, struct rspamd_answer *ret);

/* For kurir_message_rewrite(): below what is this server's own, those fields first. */
struct rspamd_head {
	struct kurir_tx *tx;
	struct kurir_str added;	    /* whole fields, with CRLF */
	struct kurir_texts removed; /* names */
};
int rspamd_head_write(void *head, struct kurir_stream *from, struct kurir_stream *to) KURIR_PARKS;
/* One field more; 0, or -EINVAL: that is no name. */
int rspamd_head_add(struct kurir_buf *, struct kurir_str name, struct kurir_str value);
/* As it may stand in a header (RFC 2047). */
struct kurir_str rspamd_encode(struct kurir_arena *, struct kurir_str utf8);

#endif
