/* rehearse.h - "kurirctl explain --simulate": the decision tree of a message that does not exist. */
#ifndef CORE_REHEARSE_H
#define CORE_REHEARSE_H

#include "control.h"

void rehearse_serve(void); /* the endpoint by which the queue role is asked for routes */

/* args: "simulate", "from=", "to=" (several), "ip=", "helo=", "auth=", "listener=", "message="
 * (in base64).  *ret_data is a new reference; or a sentence. */
const char *rehearse(json_t *args, struct kurir_buf *text, json_t **ret_data) KURIR_PARKS;

/* rehearse_show.c: as a tree for people. */
void rehearse_show(const json_t *data, struct kurir_buf *text);

#endif
