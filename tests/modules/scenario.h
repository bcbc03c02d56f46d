/* scenario.h - what the scenario runner asks of test modules.  Service kind "scenario". */
#ifndef TESTS_SCENARIO_H
#define TESTS_SCENARIO_H

#include <kurir/module.h>

struct spool_ops { /* name "spool" */
	size_t size;
	size_t (*count)(struct kurir_self *);
	/* Message n, from 1: "from: <x>", "rcpt: <y> notify=N orcpt=Z", ..., "flags: N", an
	 * empty line, the message as stored.  0 or -ENOENT. */
	int (*text)(struct kurir_self *, unsigned long n, struct kurir_str *ret);
	void (*forget)(struct kurir_self *); /* all of them */
};

#endif
