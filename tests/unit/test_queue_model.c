/* test_queue_model.c - random operations on the queue, with crashes among them, against a model.
 *
 *	test_queue_model [SEED [CASES [OPERATIONS]]]
 *
 * A case is a list of operations.  Each life of the server is a process of its own, which plays
 * them until one ends it: in good order, or by SIGKILL in the middle of a file operation.  The
 * next one recovers and goes on.  In the end the weather is good, and everybody has a fate.  Of a
 * case that fails, the operations that are not needed are left out, and what remains is shown.
 * That this finds something is tried with a state log that forgets, and with a wrong model. */
#include "queue_model.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum verb {
	SEND,
	TIME_PASSES,
	WEATHER,
	PACE,
	HOLD,
	RELEASE,
	RETRY,
	CANCEL,
	EXPIRE,
	REDIRECT,
	CHECKPOINT,
	VERIFY,
	RESTART,
	CRASH,
	VERBS
};
static const struct {
	const char *name;
	unsigned weight;
	unsigned outcome, of; /* of a command: what becomes of recipients that are this */
} verbs[VERBS] = {
	[SEND] = { "send", 24, 0, 0 },
	[TIME_PASSES] = { "time passes", 26, 0, 0 },
	[WEATHER] = { "weather", 12, 0, 0 },
	[PACE] = { "pace", 4, 0, 0 },
	[HOLD] = { "hold", 5, HELD, QUEUED },
	[RELEASE] = { "release", 5, QUEUED, HELD },
	[RETRY] = { "retry", 5, 0, QUEUED },
	[CANCEL] = { "cancel", 6, CANCELLED, OPEN },
	[EXPIRE] = { "expire", 4, BOUNCED, OPEN },
	[REDIRECT] = { "redirect", 4, ELSEWHERE, OPEN },
	[CHECKPOINT] = { "checkpoint", 4, 0, 0 },
	[VERIFY] = { "verify", 3, 0, 0 },
	[RESTART] = { "restart", 4, 0, 0 },
	[CRASH] = { "crash", 8, 0, 0 },
};
struct op {
	enum verb verb;
	unsigned a, b, c;
};
enum defect { NONE, FORGETFUL_LOG, WRONG_MODEL };

#define OPS_MAX	   400
#define FEW	   16
#define SHRINK_MAX 400 /* cases that are tried to make one smaller */

static struct shared {
	struct model model;
	unsigned at; /* the operation under way, or the next one */
	bool over, killed, ended;
	uint64_t dropped, checkpoints, lives, crashes; /* of all cases */
} * shared;
static const struct op *ops;
static unsigned op_count;
static enum defect defect;

/* ---- crashes and defects: the file operations of the spool ---- */

static struct spool_io io;
static int until_crash = -1; /* file operations */

/* In helper threads, too.  True when this is the one that is not finished. */
static bool crashes(void)
{
	return until_crash >= 0 && __atomic_fetch_sub(&until_crash, 1, __ATOMIC_SEQ_CST) == 0;
}

static void crash(void)
{
	model->now = kurir_wallclock();
	shared->killed = true;
	raise(SIGKILL);
}

static int io_open(int dir, const char *name, int flags, mode_t mode)
{
	if ((flags & O_CREAT) != 0 && crashes())
		crash();
	return spool_io_real.open(dir, name, flags, mode);
}

static ssize_t io_pwritev(int fd, const struct iovec *v, int count, uint64_t at)
{
	if (crashes()) {
		struct iovec half = { v[0].iov_base, v[0].iov_len / 2 };
		(void)spool_io_real.pwritev(fd, &half, 1, at);
		crash();
	}
	if (defect == FORGETFUL_LOG && queue_instance != NULL && the_queue() != NULL &&
	    fd == the_queue()->log.fd) {
		ssize_t n = 0;
		for (int i = 0; i < count; i++)
			n += (ssize_t)v[i].iov_len;
		return n;
	}
	return spool_io_real.pwritev(fd, v, count, at);
}

static int io_datasync(int fd)
{
	if (crashes())
		crash();
	return spool_io_real.datasync(fd);
}

static int io_sync(int fd)
{
	if (crashes())
		crash();
	return spool_io_real.sync(fd);
}

static int io_truncate(int fd, uint64_t length)
{
	if (crashes())
		crash();
	return spool_io_real.truncate(fd, length);
}

static int io_unlink(int dir, const char *name)
{
	if (crashes())
		crash();
	shared->dropped += segment_name_id(name, ".seg") != 0;
	return spool_io_real.unlink(dir, name);
}

static int io_rename(int dir, const char *from, const char *to)
{
	if (crashes())
		crash();
	shared->checkpoints += strcmp(to, "state.log") == 0;
	return spool_io_real.rename(dir, from, to);
}

/* ---- operations ---- */

static void say(const char *format, ...) KURIR_FMT(1);
static void say(const char *format, ...)
{
	va_list ap;
	if (!model->talks)
		return;
	printf("# %lld: %s ", (long long)kurir_wallclock(),
	    shared->at < op_count ? verbs[ops[shared->at].verb].name : "end");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
}

static void do_send(const struct op *o)
{
	char names[8][40], sender[40];
	const char *to[8];
	unsigned count = 1 + o->a % (o->a > 60 ? 8 : 3), first = model->recipient_count;
	unsigned m = model->message_count, size = o->c % 8;
	if (m == MESSAGES_MAX || first + count > RECIPIENTS_MAX)
		return;
	model->message_count++;
	model->messages[m] = (struct message_of_model){ .arrived = kurir_wallclock() };
	model->messages[m].length = size < 3 ? 60 + o->c % 3000 : size < 7 ? 12000 : 40000;
	for (unsigned i = 0; i < count; i++) {
		unsigned domain = (o->b >> 2 * i) % DOMAINS;
		unsigned r = model_add_recipient(m, domain, ABSENT | QUEUED);
		snprintf(names[i], sizeof(names[i]), "r%u@d%u.example", r, domain);
		to[i] = names[i];
	}
	snprintf(sender, sizeof(sender), "s%u@notice.example", m);
	say("r%u to r%u from %s: %u bytes", first, first + count - 1, sender,
	    model->messages[m].length);
	int r =
	    send_body(sender, to, count, model_body(m), model->notices ? 0 : KURIR_NOTIFY_NEVER);
	if (r < 0)
		model_fault("message %u is refused: %s", m, strerror(-r));
	for (unsigned i = first; i < first + count; i++) {
		model->recipients[i].fates &= ~(unsigned)ABSENT;
		model->recipients[i].before &= ~(unsigned)ABSENT;
	}
}

/* ---- commands ---- */

struct aim {
	enum { RCPT, DOMAIN, SENDER, OLDER, YOUNGER, LARGER, SMALLER, STATE, ALL } kind;
	unsigned n, domain;
	kurir_time span;
	char text[80];
};

/* The n-th that may be open, or any. */
static unsigned pick(unsigned n)
{
	unsigned open = 0, at = 0;
	for (unsigned i = 0; i < model->recipient_count; i++)
		open += (model_possible(&model->recipients[i]) & OPEN) != 0;
	if (open == 0)
		return n % model->recipient_count;
	for (n %= open;; at++)
		if ((model_possible(&model->recipients[at]) & OPEN) != 0 && n-- == 0)
			return at;
}

static void aim_at(struct aim *x, const struct op *o)
{
	static const char *const more[] = { [OLDER] = ",\"older=1h\"",
		[YOUNGER] = ",\"younger=1h\"",
		[LARGER] = ",\"larger=8K\"",
		[SMALLER] = ",\"smaller=8K\"",
		[STATE] = ",\"state=held\"" };
	x->kind = o->a % 16 < 8 || o->verb == REDIRECT ? RCPT : (o->a % 16) - 7;
	x->n = pick(o->b);
	x->domain = model->recipients[x->n].domain;
	if (x->kind == ALL && !model->notices)
		snprintf(x->text, sizeof(x->text), "\"all\"");
	else if (x->kind == RCPT)
		snprintf(x->text, sizeof(x->text), "\"rcpt=r%u@d%u.example\"", x->n, x->domain);
	else if (x->kind == SENDER)
		snprintf(x->text, sizeof(x->text), "\"sender=s%u@notice.example\"",
		    model->recipients[x->n].message);
	else
		snprintf(x->text, sizeof(x->text), "\"domain=d%u.example\"%s", x->domain,
		    x->kind >= OLDER && x->kind <= STATE ? more[x->kind] : "");
}

enum match { NO, PERHAPS, YES };

static enum match aim_matches(const struct aim *x, unsigned i)
{
	const struct recipient *r = &model->recipients[i];
	const struct message_of_model *m = &model->messages[r->message];
	int64_t age = kurir_wallclock() - m->arrived - 3600000;
	bool near = age > -60000 && age < 60000;
	if (x->kind == RCPT)
		return x->n == i ? YES : NO;
	if (x->kind == SENDER)
		return model->recipients[x->n].message == r->message ? YES : NO;
	if (x->kind == ALL && !model->notices)
		return YES;
	if (x->domain != r->domain)
		return NO;
	switch (x->kind) {
	case OLDER:
		return near ? PERHAPS : age > 0 ? YES : NO;
	case YOUNGER:
		return near ? PERHAPS : age < 0 ? YES : NO;
	case LARGER:
		return m->length > 8192 ? YES : NO;
	case SMALLER:
		return m->length < 8192 ? YES : NO;
	case STATE:
		return model_possible(r) == HELD ? YES : model_possible(r) & HELD ? PERHAPS : NO;
	default:
		return YES;
	}
}

static unsigned number_of(const char *text, const char *key)
{
	const char *p = strstr(text, key);
	return p == NULL ? 0 : (unsigned)strtoul(p + strlen(key), NULL, 10);
}

struct candidates {
	uint16_t list[RECIPIENTS_MAX];
	unsigned tried[RECIPIENTS_MAX]; /* before the command */
	bool sure[RECIPIENTS_MAX];
	unsigned count, least;
};

/* Those that the command may change: from now on, until its answer, either is possible. */
static void candidates_mark(struct candidates *c, const struct aim *x, const struct op *o)
{
	unsigned of = verbs[o->verb].of, outcome = verbs[o->verb].outcome;
	c->count = c->least = 0;
	for (unsigned i = 0; i < model->recipient_count; i++) {
		struct recipient *r = &model->recipients[i];
		enum match match = aim_matches(x, i);
		unsigned p = model_possible(r);
		if (match == NO || (p & of) == 0)
			continue;
		c->sure[c->count] = match == YES && (p & ~of) == 0;
		c->tried[c->count] = r->tried;
		c->list[c->count++] = (uint16_t)i;
		if (outcome != 0)
			model_set(r, p | outcome, false);
	}
}

static void candidates_settle(
    struct candidates *c, const struct op *o, unsigned hits, unsigned later)
{
	unsigned outcome = verbs[o->verb].outcome;
	for (unsigned k = 0; k < c->count && outcome != 0; k++) {
		struct recipient *r = &model->recipients[c->list[k]];
		if (o->verb == RELEASE) {
			r->perhaps |= r->asked & HELD;
			r->asked &= ~(unsigned)HELD;
		}
		if (o->verb == RELEASE && r->tried != c->tried[k])
			continue; /* and has its answer already */
		if (hits == c->count) {
			r->before = o->verb == EXPIRE ? r->before : outcome;
			r->fates = outcome;
			r->since = kurir_wallclock();
			r->durable = o->verb != EXPIRE;
			r->expiring |= o->verb == EXPIRE;
			continue;
		}
		if (r->fates & verbs[o->verb].of) /* an answer may have come since the mark */
			r->fates |= outcome;
		if (later == c->count && o->verb != REDIRECT) {
			r->asked |= outcome;
		} else {
			r->perhaps |= outcome;
			r->expiring |= o->verb == EXPIRE;
		}
	}
}

static void ask(const char *body, struct kurir_str *reply)
{
	int r = ctl(body, reply);
	if (r < 0 || strstr(reply->ptr, "\"error\"") != NULL)
		model_fault("%s: %s", body, r < 0 ? strerror(-r) : reply->ptr);
}

static void do_command(const struct op *o)
{
	static struct candidates c;
	struct aim x;
	struct kurir_str reply;
	char body[200], to[60] = "";
	unsigned fresh = 0, hits, later, least = 0;
	if (model->recipient_count == 0 ||
	    (o->verb == REDIRECT && model->recipient_count == RECIPIENTS_MAX))
		return;
	aim_at(&x, o);
	candidates_mark(&c, &x, o);
	if (o->verb == REDIRECT) {
		unsigned domain = o->c % DOMAINS;
		fresh =
		    model_add_recipient(model->recipients[x.n].message, domain, ABSENT | QUEUED);
		snprintf(to, sizeof(to), ",\"to=r%u@d%u.example\"", fresh, domain);
	}
	snprintf(body, sizeof(body), "{\"args\":[\"%s\",%s%s]}", verbs[o->verb].name, x.text, to);
	ask(body, &reply);
	hits = number_of(reply.ptr, "\"recipients\":");
	later = number_of(reply.ptr, "\"later\":");
	say("%s%s: %u, later %u", x.text, to, hits, later);
	for (unsigned k = 0; k < c.count; k++)
		least += c.sure[k] && model->recipients[c.list[k]].tried == c.tried[k];
	if (o->verb == RETRY || o->verb == REDIRECT || o->verb == RELEASE)
		least = o->verb == RELEASE ? least : 0;
	if (hits + later < least || hits + later > c.count)
		model_fault("%s %s: %u and %u later, not %u to %u", verbs[o->verb].name, x.text,
		    hits, later, least, c.count);
	candidates_settle(&c, o, hits, later);
	if (o->verb == REDIRECT) {
		struct recipient *r = &model->recipients[fresh];
		r->fates &= hits == 1 ? ~(unsigned)ABSENT : ~(unsigned)OPEN;
		r->before &= hits == 1 ? ~(unsigned)ABSENT : ~(unsigned)OPEN;
	}
}

static void do_verify(void)
{
	struct kurir_str reply;
	struct kurir_request q = { .endpoint = "ctl.ledger", .fd = -1 };
	q.body = KURIR_STR("{\"args\":[\"--verify\"]}");
	wait_for(10000);
	int r = kurir_call(queue_instance, &q, kurir_now() + 60000, kurir_scratch(), &reply);
	if (r < 0 || strstr(reply.ptr, "\"balanced\":true") == NULL)
		model_fault("the files: %s", r < 0 ? strerror(-r) : reply.ptr);
	say("%s", "");
}

static void do_time(const struct op *o)
{
	static const kurir_time spans[] = { 1, 10, 100, 1000, 1000, 10000, 30000, 60000, 300000,
		300000, 3600000, 3600000, 21600000, 86400000 };
	kurir_time span = spans[o->a % (sizeof(spans) / sizeof(spans[0]))];
	say("%lld ms", (long long)span);
	wait_for(span);
	model_check(the_queue());
}

static void one_op(const struct op *o)
{
	static const kurir_time paces[] = { 0, 0, 10, 3000 };
	switch (o->verb) {
	case SEND:
		do_send(o);
		break;
	case TIME_PASSES:
		do_time(o);
		break;
	case WEATHER:
		model->weather[o->a % DOMAINS] = o->b % WEATHERS;
		say("at d%u: %u", o->a % DOMAINS, o->b % WEATHERS);
		break;
	case PACE:
		world.takes = paces[o->a % 4];
		say("%lld ms", (long long)world.takes);
		break;
	case CHECKPOINT:
		the_queue()->log.wanted = true;
		kurir_signal_raise(the_queue()->log.work);
		say("%s", "");
		break;
	case VERIFY:
		do_verify();
		break;
	case CRASH:
		say("at file operation %u from here", o->b % 40);
		if (o->b % 40 == 0)
			crash();
		until_crash = (int)(o->b % 40);
		break;
	case RESTART:
		say("%s", "");
		break;
	default:
		do_command(o);
	}
}

/* ---- lives and cases ---- */

/* Good weather for all, until nothing is queued. */
static void drain(void)
{
	struct kurir_str reply;
	until_crash = -1;
	memset(model->weather, GOOD, sizeof(model->weather));
	world.takes = 0;
	for (unsigned i = 0; i < model->recipient_count; i++) {
		struct recipient *r = &model->recipients[i];
		if (model_possible(r) & HELD)
			model_set(r, model_possible(r) | QUEUED, false);
	}
	ask("{\"args\":[\"release\",\"all\"]}", &reply);
	wait_for(3LL * 3600000);
	if (the_queue()->entry_count != 0)
		model_fault(
		    "%llu are queued for ever", (unsigned long long)the_queue()->entry_count);
	model_check(the_queue());
	model_check_end();
	do_verify();
	if (count_files(".body") + count_files(".new") != 0)
		model_fault("%u bodies and %u unfinished files are left", count_files(".body"),
		    count_files(".new"));
}

static void script(void)
{
	wait_for(1);
	model_check(the_queue());
	for (bool goes_on = true; goes_on && shared->at < op_count;) {
		struct kurir_mark mark = kurir_mark(kurir_scratch());
		one_op(&ops[shared->at]);
		goes_on = ops[shared->at++].verb != RESTART;
		kurir_rewind(kurir_scratch(), mark);
	}
	shared->over = shared->at == op_count;
	if (shared->over)
		drain();
	model->now = kurir_wallclock();
	shared->ended = true;
}

static void one_life(void)
{
	int null = model->talks ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null >= 0)
		(void)dup2(null, 2);
	(void)alarm(120);
	io = spool_io_real;
	io.open = io_open;
	io.pwritev = io_pwritev;
	io.datasync = io_datasync;
	io.sync = io_sync;
	io.truncate = io_truncate;
	io.unlink = io_unlink;
	io.rename = io_rename;
	spool_io = &io;
	world.decide = model_answer;
	world.wallclock = model->now > 0 ? model->now + 1000 : 0;
	world.options.segment_size = 80 << 10;
	world.options.inline_size = 16 << 10;
	world.options.scan_interval = 60000; /* hours pass */
	world.options.delay_warning = 0;
	world.options.retry.count = 3;
	live(script);
	exit(0);
}

/* What went wrong, or NULL; for some moments only. */
static const char *play(const struct op *list, unsigned count, bool notices, bool talks)
{
	ops = list;
	op_count = count;
	memset(model, 0, sizeof(*model));
	model->notices = notices;
	model->talks = talks;
	model->wrong = defect == WRONG_MODEL;
	shared->at = 0;
	shared->over = false;
	if (count == 0 || set_up(NULL) != 0)
		return NULL;
	while (!shared->over && model->fault[0] == '\0') {
		int status = 0;
		model->lives++;
		shared->lives++;
		shared->killed = shared->ended = false;
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0)
			one_life();
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			break;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && shared->killed)
			shared->crashes++;
		else if (model->fault[0] == '\0' && (status != 0 || !shared->ended))
			snprintf(model->fault, sizeof(model->fault),
			    "the server ended with %s %d",
			    WIFSIGNALED(status) ? "signal" : "status",
			    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		model_crash(); /* what a reload cuts off, too */
		shared->at += shared->killed && !shared->ended;
	}
	tear_down(NULL);
	return model->fault[0] != '\0' ? model->fault : NULL;
}

static uint64_t random_state;
static unsigned pseudo_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 32);
}

static void make_case(struct op *list, unsigned count, uint64_t seed)
{
	unsigned all = 0;
	random_state = (seed + 1) * 0x9e3779b97f4a7c15u | 1;
	for (unsigned i = 0; i < 8; i++)
		(void)pseudo_random();
	for (unsigned v = 0; v < VERBS; v++)
		all += verbs[v].weight;
	for (unsigned i = 0; i < count; i++) {
		unsigned at = pseudo_random() % all, v = 0;
		while (at >= verbs[v].weight)
			at -= verbs[v++].weight;
		list[i].verb = (enum verb)v;
		list[i].a = pseudo_random() % 64;
		list[i].b = pseudo_random() % 65536;
		list[i].c = pseudo_random() % 65536;
	}
}

/* Leaves out what is not needed, larger pieces first. */
static unsigned shrink(struct op *list, unsigned count, bool notices)
{
	struct op less[OPS_MAX];
	unsigned plays = 0;
	for (unsigned size = count / 2; size > 0; size = size > 1 ? size / 2 : 0) {
		for (bool again = true; again;) {
			again = false;
			for (unsigned at = 0; at + size <= count && plays < SHRINK_MAX; plays++) {
				unsigned rest = count - at - size;
				memcpy(less, list, at * sizeof(*list));
				memcpy(less + at, list + at + size, rest * sizeof(*list));
				if (play(less, count - size, notices, false) == NULL) {
					at += size;
					continue;
				}
				count -= size;
				memcpy(list, less, count * sizeof(*list));
				again = size == 1;
			}
		}
	}
	return count;
}

static unsigned tests_done;
static bool report(bool good, const char *what)
{
	printf("%s %u - %s\n", good ? "ok" : "not ok", ++tests_done, what);
	fflush(stdout);
	return good;
}

/* The number of operations that a failure needs, shown; 0: there was none. */
static unsigned find(uint64_t seed, unsigned cases, unsigned count)
{
	struct op list[OPS_MAX];
	for (unsigned i = 0; i < cases; i++) {
		bool notices = i % 4 == 3;
		make_case(list, count, seed + i);
		const char *fault = play(list, count, notices, false);
		if (fault == NULL)
			continue;
		printf("# case %llu: %s\n", (unsigned long long)(seed + i), fault);
		unsigned n = shrink(list, count, notices);
		fault = play(list, n, notices, true);
		printf("# after %u operations: %s\n", n, fault != NULL ? fault : "not again");
		return n;
	}
	return 0;
}

/* A message that was to expire when its attempt ended, in a queue that was being stopped, was taken
 * again and again; a hold that came right after an expire held a recipient whose sender was being
 * told that it was given up; who had stood in line and was about to be tried when a checkpoint was
 * written waited after a crash until the end of its lifetime. */
static bool failed_once(void)
{
	static const uint64_t seeds[] = { 1795830527, 1795830651, 1795830727 };
	struct op list[150];
	const char *fault = NULL;
	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]) && fault == NULL; i++) {
		make_case(list, 150, seeds[i]);
		fault = play(list, 150, true, false);
	}
	if (fault != NULL)
		printf("# %s\n", fault);
	return fault != NULL;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	unsigned cases = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 12;
	unsigned count = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 60;
	if (count > OPS_MAX || count == 0)
		count = OPS_MAX;
	shared = mmap(
	    NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	model = &shared->model;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..4\n# seed %llu, %u cases of %u operations\n", (unsigned long long)seed, cases,
	    count);
	bool good = report(!failed_once(), "what failed once does not");
	good &= report(find(seed, cases, count) == 0, "the queue does as the model says");
	printf("# %llu lives, %llu crashes, %llu checkpoints, %llu segments dropped\n",
	    (unsigned long long)shared->lives, (unsigned long long)shared->crashes,
	    (unsigned long long)shared->checkpoints, (unsigned long long)shared->dropped);
	defect = FORGETFUL_LOG;
	unsigned n = find(seed, 50, count);
	good &= report(n > 0 && n <= FEW, "a log that forgets is found, by few operations");
	defect = WRONG_MODEL;
	n = find(seed, 50, count);
	good &= report(n > 0 && n <= FEW, "a wrong model is found, by few operations");
	return good ? 0 : 1;
}
