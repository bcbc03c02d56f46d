/* http.h - what an HTTP service is told about a step of SMTP, and what it answers, in JSON. */
#ifndef HTTP_HOOK_H
#define HTTP_HOOK_H

#include <jansson.h>
#include <kurir/smtp.h>

enum http_at { AT_CONNECT, AT_HELO, AT_AUTH, AT_MAIL, AT_RCPT, AT_DATA, AT_MESSAGE, AT_COUNT };
extern const char *const http_points[]; /* their names; ends with NULL */

/* ---- http_say.c ---- */

/* One step: what is there of it. */
struct http_step {
	enum http_at at;
	struct kurir_conn *conn;
	struct kurir_tx *tx;	/* NULL before MAIL */
	struct kurir_str value; /* the name of HELO, the account, the recipient */
};
/* In the arena, one line; empty: no memory. */
struct kurir_str http_say(struct kurir_arena *, const struct http_step *);

/* ---- http_answer.c ---- */

struct http_decision {
	int verdict; /* enum kurir_verdict */
	int code;    /* 0: not given */
	struct kurir_str xyz, text, hold;
	struct kurir_texts add, drop, names, values; /* recipients; fields: names and values */
	struct kurir_str sender;
	bool has_sender;
};
/* NULL, or what is wrong with it. Texts are in the arena. */
const char *http_answer_read(
    struct kurir_arena *, struct kurir_str json, enum http_at, struct http_decision *ret);

#endif
