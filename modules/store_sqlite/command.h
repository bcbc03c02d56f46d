/* command.h - one question of an administrator, and its answer. */
#ifndef STORE_SQLITE_COMMAND_H
#define STORE_SQLITE_COMMAND_H

#include "sqlite.h"

#include <jansson.h>

struct command {
	struct kurir_self *self;
	json_t *args;		/* the verb, and what it is about */
	struct kurir_str after; /* where the last page ended */
	/* The answer: */
	struct kurir_buf text;
	json_t *data;	       /* NULL: {} */
	struct kurir_str next; /* empty: that was all */
	const char *error;     /* in place of them */
};

/* command.c */
struct kurir_str command_arg(const struct command *, size_t i);
int command_fail(struct command *, const char *sentence); /* 0 */
struct kurir_str command_size(uint64_t bytes);
struct kurir_str command_clean(struct kurir_str);
json_t *command_json(struct kurir_str);
int command_shard(struct command *, unsigned shard, enum sqlite_op, struct kurir_str after,
    struct kurir_str *ret) KURIR_PARKS;

/* command_list.c */
int command_list(struct command *) KURIR_PARKS;
int command_show(struct command *) KURIR_PARKS;
int command_usage(struct command *) KURIR_PARKS;
/* A line of a search. */
void command_found(
    struct command *, json_t *list, struct kurir_str mailbox, const struct kurir_message *);

/* command_search.c */
int command_search(struct command *) KURIR_PARKS;

#endif
