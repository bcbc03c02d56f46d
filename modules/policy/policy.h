/* policy.h - private to the module: the answers of a policy server. */
#ifndef POLICY_H
#define POLICY_H

#include <kurir/module.h>

enum policy_action {
	POLICY_NOTHING, /* DUNNO: no opinion */
	POLICY_OK,
	POLICY_REJECT,
	POLICY_DEFER,
	POLICY_DISCARD,
	POLICY_HOLD,
	POLICY_PREPEND,
	POLICY_WARN, /* a line for the log */
	POLICY_UNKNOWN,
};
struct policy_answer {
	enum policy_action action;
	int code;	       /* of a refusal; 0: as we like */
	char xyz[12];	       /* or empty */
	struct kurir_str text; /* borrowed: words, or for PREPEND the field's value */
	struct kurir_str name; /* PREPEND: the field's name */
};
/* What stands behind "action=": 0, or -EBADMSG. */
int policy_parse(struct kurir_str, struct policy_answer *ret);

#endif
