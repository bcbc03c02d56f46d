/* history.h - what happened, kept for a while: events as JSON lines in bounded files. */
#ifndef CORE_HISTORY_H
#define CORE_HISTORY_H

#include <kurir/call.h>

typedef struct json_t json_t;

/* Below state/history; trouble with it is logged once and never stops anything. */
void history_open(void);
void history_close(void) KURIR_PARKS;
void history_event(const struct kurir_incoming *); /* the endpoint "event" */

/* Followers: lines that came since *at, one a call; false when there is none (now). */
uint64_t history_newest(void);
bool history_next(uint64_t *at, struct kurir_arena *, struct kurir_str *ret_line);
int history_wait(uint64_t at, kurir_time)
    KURIR_PARKS; /* 0: there is something; -ETIMEDOUT, -ECANCELED */

/* All that is known about an id, a connection or an address, within a time (ms since 1970); what
 * empty: all that happened then.  As text and as an array of events; or -ENOENT, -ECANCELED, and
 * -ENOSYS: there is no history. */
struct history_question {
	struct kurir_str what;
	int64_t since, until;
};
int history_when(struct kurir_str, int64_t now, int64_t *ret); /* "2h": ago; 0 or -EINVAL */
int history_explain(const struct history_question *, struct kurir_buf *text, json_t **ret_events)
    KURIR_PARKS;

struct history_figures {
	uint64_t events, lost; /* since the start; lost: pieces that could not be written */
	uint64_t bytes, segments;
};
void history_figures(struct history_figures *ret);

#endif
