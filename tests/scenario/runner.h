/* runner.h - one scenario, read and played. */
#ifndef SCENARIO_RUNNER_H
#define SCENARIO_RUNNER_H

#include <kurir/session.h>
#include <kurir/stream.h>

#include "../modules/scenario.h"

#define CLIENTS	  16
#define STEPS_MAX 4000

struct client {
	struct kurir_stream *io; /* NULL: free */
	char name[32], protocol[32];
};
struct served {
	const struct kurir_protocol_ops *ops;
	struct kurir_self *owner;
	struct kurir_conn *conn;
};
struct step {
	unsigned line;
	char *text;
};
extern struct runner {
	const char *file;
	char title[200], folder[200], conf[260];
	unsigned line;
	bool failed, unsent, wants_certificate;
	bool tortured; /* failures of the script are expected */
	struct step steps[STEPS_MAX];
	size_t step_count;
	struct client clients[CLIENTS], *now;
	struct kurir_group *group; /* the sessions */
	struct kurir_buf log;
	struct kurir_str message;
	char reply[65536];
	/* Of who tests one module (contrib/sdk/modtest.c); else NULL and 0: */
	const char *module;	 /* its name: what a scenario without CONFIG is about */
	const char *module_path; /* folders, as a JSON list */
	void (*loading)(void);	 /* before the configuration is read */
	unsigned rounds;	 /* how often the steps are done again, whatever comes of it */
	void (*round)(unsigned); /* after each, from 0: nobody is connected */
} run;

void run_fail(const char *, ...) KURIR_FMT(1);
bool run_matches(const char *pattern, const char *text);
bool glob_match(const char *pattern, const char *text);
int run_read(const char *file); /* the steps, and the configuration in a folder of its own */
void run_remove(const char *folder);
void run_clean(void); /* removes that folder */
void run_play(void);
void run_show_log(void);

/* torture.c; but for the first they do nothing when it is not at work. */
int torture(const char *what);
/* 0 or -EINVAL: there is no such kind; how many failures, and how many of them were not borne. */
int torture_try(const char *what, unsigned *ret_tried, unsigned *ret_bad);
void torture_fault(const char *, ...) KURIR_FMT(1);
void torture_spare(bool yes);
void torture_hears(const char *line);
void torture_judge(const char *protocol, const char *wanted, const char *line);
void torture_count(void);

int run_make_certificate(const char *cert, const char *key);

#endif
