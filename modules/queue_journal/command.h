/* command.h - what the commands of kurirctl share. */
#ifndef COMMAND_H
#define COMMAND_H

#include "queue_role.h"

#include <jansson.h>

int command_answer(struct kurir_buf *reply, json_t *); /* takes the value */
int command_fail(struct kurir_buf *reply, const char *sentence);

#endif
