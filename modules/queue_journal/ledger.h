/* ledger.h - the proof that nothing is missing, from the files alone:
 * accepted = delivered + bounced + cancelled + queued. */
#ifndef LEDGER_H
#define LEDGER_H

#include <jansson.h>
#include <kurir/module.h>

struct ledger {
	uint64_t accepted, delivered, bounced, cancelled, queued, held; /* recipients */
	uint64_t found;	  /* of queued: in segments only, the log does not name them yet */
	uint64_t orphans; /* queued ones whose record is nowhere */
	uint64_t bodies;  /* queued ones whose body is not there, or of another length */
	uint64_t torn;	  /* records of a last moment that were never promised */
	uint64_t messages, segments, strangers, bytes, live_bytes;
	bool damaged; /* places in the log that cannot be read */
	bool balanced;
};
/* Reads the folder dir; changes nothing, and takes no lock that matters: the server may run.
 * Plain malloc: for a helper thread, or a program without a loop.  0 or -errno. */
int ledger_verify(int dir, struct ledger *ret);
/* Nothing is missing, and everything could be read. */
bool ledger_good(const struct ledger *);
/* A new reference. */
json_t *ledger_json(const struct ledger *);
/* For people. */
void ledger_print(const struct ledger *, struct kurir_buf *);

#endif
