/* queue_model.h - what the queue may have done with each recipient, and no more.
 *
 * A recipient has a set of possible fates, mostly of one.  What happens changes it; for a moment
 * the queue may not have come so far, and a crash in that moment may undo what was not durable.
 * That is the whole model: the totals follow from it. */
#ifndef TESTS_UNIT_QUEUE_MODEL_H
#define TESTS_UNIT_QUEUE_MODEL_H

#include "queue_unit.h"

enum fate {
	ABSENT = 1,
	QUEUED = 2,
	HELD = 4,
	DELIVERED = 8,
	BOUNCED = 16,
	CANCELLED = 32,
	ELSEWHERE = 64, /* redirected */
};
#define OPEN (QUEUED | HELD)

enum weather { GOOD, BAD, LATE, DOWN, WEATHERS };

#define DOMAINS	       4
#define RECIPIENTS_MAX 400
#define MESSAGES_MAX   100

struct recipient {
	int64_t since;	 /* when it changed */
	unsigned fates;	 /* possible now */
	unsigned before; /* possible for a moment more */
	unsigned
	    asked; /* of an administrator while it was tried: comes true when it is deferred */
	unsigned perhaps; /* the same, when it may have been somebody else who was tried */
	unsigned tried;
	uint16_t message;
	uint8_t domain;
	bool durable;  /* what is possible now was promised: no crash undoes it */
	bool expiring; /* given up when its turn comes */
};
struct message_of_model {
	int64_t arrived;
	unsigned length, notices;
};
/* In memory that all lives share. */
struct model {
	struct recipient recipients[RECIPIENTS_MAX];
	struct message_of_model messages[MESSAGES_MAX];
	unsigned recipient_count, message_count;
	uint8_t weather[DOMAINS];
	bool notices; /* senders want to hear of failures */
	bool wrong;   /* the model is: it believes that nothing is tried twice */
	bool talks;
	int64_t now;
	unsigned lives, crashes;
	char fault[400];
};
extern struct model *model;

/* The first is kept; ends this life. */
void model_fault(const char *, ...) KURIR_FMT(1);
unsigned model_add_recipient(unsigned message, unsigned domain, unsigned fates);
unsigned model_possible(const struct recipient *);
void model_set(struct recipient *, unsigned fates, bool durable);
/* A life ended in the middle of something. */
void model_crash(void);
/* Of world.decide: what the other side says to this recipient, and that it may be asked. */
enum kurir_fate model_answer(struct kurir_str address, unsigned attempt, bool *site);
/* The totals, when nothing is under way. */
void model_check(const struct queue *);
/* Nothing is queued any more: everybody has an end. */
void model_check_end(void);
struct kurir_str model_body(unsigned message); /* borrowed until the next call */

#endif
