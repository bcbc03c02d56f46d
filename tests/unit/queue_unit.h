/* queue_unit.h - the queue in one process and virtual time: a transport and routes that do as
 * they are told.  What the unit tests of the queue share. */
#ifndef TESTS_UNIT_QUEUE_UNIT_H
#define TESTS_UNIT_QUEUE_UNIT_H

#include "conf_unit.h"

#include <conf.h>
#include <instance_private.h>
#include <channel.h>
#include <loop.h>
#include <fiber.h>
#include <call.h>
#include <modules/queue_journal/queue_role.h>
#include <modules/queue_journal/spool_io.h>
#include <modules/queue_journal/spool_writer.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* On a fiber cmocka's asserts cannot jump out: these remember. */
void expectation(bool holds, const char *text, int line, long long a, long long b);
extern unsigned expectations_failed;
static inline void expectation_equal(long long a, long long b, const char *text, int line)
{
	expectation(a == b, text, line, a, b);
}
#define expect_true(x) expectation((x), #x, __LINE__, 0, 0)
#define expect_equal(a, b) \
	expectation_equal((long long)(a), (long long)(b), #a " == " #b, __LINE__)
#define expect_text(a, b)     expectation(strcmp((a), (b)) == 0, (a), __LINE__, 0, 0)
#define expect_bytes(a, b, n) expectation(memcmp((a), (b), (n)) == 0, #a, __LINE__, 0, 0)

/* The world outside. */
#define LOG_MAX 4096
struct world {
	char folder[64];
	struct conf conf;
	struct queue_conf options;
	enum kurir_fate fate;
	bool site;
	char log[LOG_MAX][96]; /* "recipient attempt fate" of each delivery */
	int64_t at[LOG_MAX];
	unsigned deliveries;
	char last_body[65536];
	size_t last_length;
	int active, active_max;
	kurir_time takes;      /* every job */
	kurir_time slow, hang; /* routes of slow*.example, jobs of hang*.example */
	unsigned jobs;
	void (*script)(void);
	bool failed, may_fail; /* to start */
	void (*armed)(void);   /* after the start, before the script */
	int64_t wallclock;     /* when a life begins; 0: where a virtual clock starts */
	/* What becomes of a recipient whose body was read; NULL: the words above. */
	enum kurir_fate (*decide)(struct kurir_str address, unsigned attempt, bool *site);
};
extern struct world world;
extern struct kurir_self *queue_instance;

/* Of each test.  The folder is in memory when that is there: what is synced is asked of the
 * power-cut tests. */
int set_up(void **state);
int tear_down(void **state);
/* One life of the server: start, script, stop. */
void live(void (*script)(void));

extern const struct kurir_str hello;
int send_body(const char *sender, const char *const *to, size_t count, struct kurir_str body,
    uint32_t notify);
int send_to(const char *to);
struct queue *the_queue(void);
void wait_for(kurir_time span);
void check_ledger(uint64_t accepted, uint64_t delivered, uint64_t bounced, uint64_t queued);
/* "ctl.queue" with that body. */
int ctl(const char *body, struct kurir_str *reply);
unsigned count_files(const char *suffix);
/* path below the spool's folder, in a static buffer. */
const char *spool_path(const char *name);

#endif
