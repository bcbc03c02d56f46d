/* test_channel.c - frames, calls over a socket pair, answers, deaths, back-pressure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "call.h"
#include "channel.h"
#include "channel_private.h"
#include "fiber.h"
#include "loop.h"
#include "role.h"

/* Both ends live in this process: it plays two roles, so that neither is "local". */
static struct channel *ours, *theirs;
static unsigned posts, running, done;
static int last_fd = -1;

static int echo(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	return kurir_buf_add(reply, in->body) < 0 ? -EMSGSIZE : (int)in->key;
}

static int refuse(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	(void)in;
	(void)reply;
	return -EDQUOT;
}

/* An error that a handler's own socket gives it. */
static int shut(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	(void)in;
	(void)reply;
	return -ESHUTDOWN;
}

static int take_fd(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	(void)reply;
	last_fd = in->fd >= 0 ? dup(in->fd) : -1;
	return in->fd >= 0 ? 1 : 0;
}

KURIR_PARKS static int hang(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	(void)in;
	(void)reply;
	running++;
	(void)kurir_sleep(kurir_now() + 300);
	running--;
	return 0;
}

static unsigned ended;

/* Until its caller has gone. */
KURIR_PARKS static int stay(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	int r;

	(void)in;
	(void)reply;
	running++;
	r = kurir_sleep(KURIR_FOREVER);
	ended += r == -ECANCELED;
	running--;
	return r;
}

static int give_up(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	(void)in;
	(void)reply;
	return -ECANCELED;
}

/* The descriptor has the same bytes as the body. */
static int compare_fd(const struct kurir_incoming *in, struct kurir_buf *reply)
{
	char text[16] = "";
	ssize_t n = in->fd < 0 ? -1 : pread(in->fd, text, sizeof(text), 0);

	(void)reply;
	return n > 0 && (size_t)n < in->body.len && memcmp(in->body.ptr, text, (size_t)n) == 0
	    ? 1
	    : -EBADF;
}

static void posted(const struct kurir_incoming *in)
{
	if (kurir_str_equal(in->body, KURIR_STR("note")))
		posts++;
}

static int set_up(void **state)
{
	int pair[2];

	(void)state;
	loop_init(false);
	role_set(KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE, 0);
	channel_serve("echo", KURIR_ROLE_QUEUE, echo, posted);
	channel_serve("refuse", KURIR_ROLE_QUEUE, refuse, NULL);
	channel_serve("shut", KURIR_ROLE_QUEUE, shut, NULL);
	channel_serve("fd", KURIR_ROLE_QUEUE, take_fd, NULL);
	channel_serve("hang", KURIR_ROLE_QUEUE, hang, NULL);
	channel_serve("stay", KURIR_ROLE_QUEUE, stay, NULL);
	channel_serve("give up", KURIR_ROLE_QUEUE, give_up, NULL);
	channel_serve("compare fd", KURIR_ROLE_QUEUE, compare_fd, NULL);
	channel_serve("elsewhere", KURIR_ROLE_AUTH, echo, NULL);
	channel_serve("ctl.stop", KURIR_ROLE_QUEUE, echo, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ours = channel_new(pair[0], "ours");
	theirs = channel_new(pair[1], "theirs");
	channel_book_set(KURIR_ROLE_QUEUE, 0, 1, ours);
	posts = running = done = ended = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	while (fiber_census().running > 0)
		loop_turn(kurir_now() + 50);
	channel_free(ours);
	channel_free(theirs);
	loop_turn(kurir_now());
	call_reset();
	role_set(KURIR_ROLE_ALL, 0);
	loop_fini();
	return 0;
}

/* Runs fn on a fiber until it has returned. */
static void on_fiber(void (*fn)(void *), void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);
	kurir_time until = kurir_now() + 10000;
	unsigned before = done;

	assert_true(kurir_group_go(g, "test", fn, arg) >= 0);
	while (done == before && kurir_now() < until)
		loop_turn(kurir_now() + 50);
	assert_int_equal(done, before + 1);
}

KURIR_PARKS static int call(const char *endpoint, uint64_t key, struct kurir_str body, int fd,
    kurir_time span, struct kurir_str *reply)
{
	struct kurir_request q = { .endpoint = endpoint, .key = key, .body = body, .fd = fd };

	return kurir_call(NULL, &q, kurir_now() + span, kurir_scratch(), reply);
}

KURIR_PARKS static void answers_fiber(void *arg)
{
	static char big[KURIR_CALL_MAX];
	struct kurir_str reply;

	(void)arg;
	assert_int_equal(call("echo", 7, KURIR_STR("hello"), -1, 1000, &reply), 7);
	assert_memory_equal(reply.ptr, "hello", 5);
	assert_int_equal(call("refuse", 0, KURIR_STR(""), -1, 1000, &reply), -EDQUOT);
	assert_int_equal(call("nobody", 0, KURIR_STR(""), -1, 1000, &reply), -ENOENT);
	memset(big, 'x', sizeof(big));
	assert_int_equal(
	    call("echo", 1, (struct kurir_str){ big, sizeof(big) }, -1, 5000, &reply), 1);
	assert_int_equal(reply.len, sizeof(big));
	assert_int_equal(
	    call("echo", 1, (struct kurir_str){ big, sizeof(big) + 1 }, -1, 1000, &reply),
	    -EMSGSIZE);
	done++;
}

static void answers(void **state)
{
	(void)state;
	on_fiber(answers_fiber, NULL);
}

KURIR_PARKS static void admission_fiber(void *arg)
{
	struct kurir_str reply;

	(void)arg;
	assert_int_equal(call("ctl.stop", 0, KURIR_STR("x"), -1, 1000, &reply), -EPERM);
	channel_admit(theirs);
	assert_int_equal(call("ctl.stop", 9, KURIR_STR("x"), -1, 1000, &reply), 9);
	done++;
}

/* Who was broken into does not stop the server. */
static void admission(void **state)
{
	(void)state;
	on_fiber(admission_fiber, NULL);
}

/* What the handler says is no word of the channel: "not begun, ask the next process". */
KURIR_PARKS static void shut_fiber(void *arg)
{
	(void)arg;
	assert_int_equal(call("shut", 0, KURIR_STR("x"), -1, 5000, NULL), -ECONNRESET);
	assert_int_equal(call("echo", 5, KURIR_STR("x"), -1, 5000, NULL), 5);
	done++;
}

static void shut_handler(void **state)
{
	(void)state;
	on_fiber(shut_fiber, NULL);
}

KURIR_PARKS static void descriptor_fiber(void *arg)
{
	int ends[2];
	char c = 0;

	(void)arg;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(call("fd", 0, KURIR_STR("x"), ends[1], 1000, NULL), 1);
	assert_int_equal(write(last_fd, "!", 1), 1);
	assert_int_equal(read(ends[0], &c, 1), 1);
	assert_int_equal(c, '!');
	(void)close(last_fd);
	(void)close(ends[0]);
	(void)close(ends[1]);
	assert_int_equal(call("fd", 0, KURIR_STR("x"), -1, 1000, NULL), 0);
	done++;
}

static void descriptors(void **state)
{
	(void)state;
	on_fiber(descriptor_fiber, NULL);
}

static unsigned open_files(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

KURIR_PARKS static void unwanted_fiber(void *arg)
{
	static const char *const endpoints[] = { "echo", "refuse", "give up", "nobody", "stay" };
	unsigned before = open_files();

	(void)arg;
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		(void)call(endpoints[i], 0, KURIR_STR("x"), 2, 50, NULL);
		assert_int_equal(
		    kurir_post(NULL,
			&(struct kurir_request){
			    .endpoint = endpoints[i], .body = KURIR_STR("x"), .fd = 2 }),
		    i == 3 ? -ENOENT : 0);
	}
	/* Behind all others. */
	(void)call("echo", 0, KURIR_STR("x"), 2, 1000, NULL);
	assert_int_equal(open_files(), before);
	done++;
}

/* A descriptor that comes with what has no use for it, as from a process that was broken into. */
static void unwanted_descriptors(void **state)
{
	(void)state;
	on_fiber(unwanted_fiber, NULL);
}

static struct rlimit all_files;

static void no_more_files(struct loop_task *t)
{
	struct rlimit few = { 3, all_files.rlim_max };

	(void)t;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
}

/* Runs after what the first fiber sends is on its way. */
KURIR_PARKS static void take_files(void *arg)
{
	static struct loop_task task = { .run = no_more_files };

	(void)arg;
	loop_defer(&task);
}

KURIR_PARKS static void lost_fiber(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);

	(void)arg;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all_files), 0);
	assert_true(kurir_group_go(g, "take files", take_files, NULL) >= 0);
	assert_int_equal(call("fd", 0, KURIR_STR("x"), 2, 1000, NULL), 0);
	kurir_group_end(g);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all_files), 0);
	/* The channel has survived, and the next one comes with its own frame. */
	assert_int_equal(call("fd", 0, KURIR_STR("x"), 2, 1000, NULL), 1);
	(void)close(last_fd);
	done++;
}

/* Who has no room for a descriptor loses that call, not the channel. */
static void descriptor_lost(void **state)
{
	(void)state;
	on_fiber(lost_fiber, NULL);
}

#define MANY_FDS 400
static unsigned fds_done;

KURIR_PARKS static void fd_one(void *arg)
{
	static char big[8192];
	uintptr_t n = (uintptr_t)arg;
	memset(big, 'x', sizeof(big));
	struct kurir_str body = kurir_format(
	    kurir_scratch(), "%08u%.*s", (unsigned)n, (int)(n * 37 % sizeof(big)) + 1, big);
	int fd = memfd_create("number", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, body.ptr, 8), 8);
	assert_int_equal(call("compare fd", n, body, fd, 10000, NULL), 1);
	(void)close(fd);
	if (++fds_done == MANY_FDS)
		done++;
}

KURIR_PARKS static void fds_fiber(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);

	(void)arg;
	for (uintptr_t i = 0; i < MANY_FDS; i++)
		assert_true(kurir_group_go(g, "one", fd_one, (void *)i) >= 0);
	(void)kurir_group_wait(g, kurir_now() + 10000);
	kurir_group_end(g);
}

static void many_descriptors(void **state)
{
	(void)state;
	fds_done = 0;
	on_fiber(fds_fiber, NULL);
}

KURIR_PARKS static void gone_fiber(void *arg)
{
	(void)arg;
	assert_int_equal(call("stay", 0, KURIR_STR(""), -1, 20, NULL), -ETIMEDOUT);
	while (ended == 0)
		(void)kurir_sleep(kurir_now() + 1);
	/* The end of a process is that of its own callers, and not of others. */
	assert_int_equal(call("give up", 0, KURIR_STR(""), -1, 1000, NULL),
	    kurir_roles() == KURIR_ROLE_ALL ? -ECANCELED : -ECONNRESET);
	done++;
}

/* A handler does not outlive the interest in its answer. */
static void caller_gone(void **state)
{
	(void)state;
	on_fiber(gone_fiber, NULL);
	assert_int_equal(running, 0);
	/* Here as well as there. */
	role_set(KURIR_ROLE_ALL, 0);
	ended = 0;
	on_fiber(gone_fiber, NULL);
	role_set(KURIR_ROLE_EDGE | KURIR_ROLE_QUEUE, 0);
}

static unsigned refused;

KURIR_PARKS static void heavy_one(void *arg)
{
	static char big[KURIR_CALL_MAX];
	int r = call("stay", 0, (struct kurir_str){ big, sizeof(big) }, -1, 9000, NULL);

	(void)arg;
	assert_true(r == -EAGAIN || r == -ECANCELED);
	refused += r == -EAGAIN;
}

KURIR_PARKS static void heavy_fiber(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);

	(void)arg;
	for (unsigned i = 0; i < 70; i++)
		assert_true(kurir_group_go(g, "heavy", heavy_one, NULL) >= 0);
	while (refused + running < 70)
		(void)kurir_sleep(kurir_now() + 1);
	kurir_group_end(g);
	done++;
}

/* What one process can make another keep has a limit. */
static void heavy(void **state)
{
	(void)state;
	refused = 0;
	on_fiber(heavy_fiber, NULL);
	assert_int_equal(refused, 70 - CHANNEL_BODIES / KURIR_CALL_MAX);
}

KURIR_PARKS static void late_fiber(void *arg)
{
	(void)arg;
	assert_int_equal(call("hang", 0, KURIR_STR(""), -1, 20, NULL), -ETIMEDOUT);
	/* A channel that is not there is waited for, but not longer than that. */
	assert_int_equal(call("elsewhere", 0, KURIR_STR(""), -1, 20, NULL), -ETIMEDOUT);
	assert_int_equal(call("echo", 3, KURIR_STR("still"), -1, 1000, NULL), 3);
	done++;
}

static void deadlines(void **state)
{
	(void)state;
	on_fiber(late_fiber, NULL);
}

KURIR_PARKS static void orphan_fiber(void *arg)
{
	(void)arg;
	assert_int_equal(call("hang", 0, KURIR_STR(""), -1, 5000, NULL), -ECONNRESET);
	done++;
}

KURIR_PARKS static void killer_fiber(void *arg)
{
	(void)arg;
	while (running == 0)
		(void)kurir_sleep(kurir_now() + 1);
	channel_free(theirs);
	theirs = NULL;
}

static void death(void **state)
{
	struct kurir_group *g = kurir_group_begin(NULL);

	(void)state;
	assert_true(kurir_group_go(g, "killer", killer_fiber, NULL) >= 0);
	on_fiber(orphan_fiber, NULL);
}

KURIR_PARKS static void patient_fiber(void *arg)
{
	(void)arg;
	assert_int_equal(call("echo", 5, KURIR_STR("x"), -1, 5000, NULL), 5);
	done++;
}

KURIR_PARKS static void rewire_fiber(void *arg)
{
	int pair[2];

	(void)arg;
	(void)kurir_sleep(kurir_now() + 20);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ours = channel_new(pair[0], "ours again");
	theirs = channel_new(pair[1], "theirs again");
	channel_book_set(KURIR_ROLE_QUEUE, 0, 1, ours);
}

/* A call that is made while the process is being restarted waits for it. */
static void restart(void **state)
{
	struct kurir_group *g = kurir_group_begin(NULL);

	(void)state;
	channel_free(theirs);
	loop_turn(kurir_now() + 20);
	channel_free(ours);
	assert_true(kurir_group_go(g, "rewire", rewire_fiber, NULL) >= 0);
	on_fiber(patient_fiber, NULL);
}

static void one_way(void **state)
{
	struct kurir_request q = { .endpoint = "echo", .body = KURIR_STR("note"), .fd = -1 };
	static char big[65536];
	unsigned sent = 0;
	int r;

	(void)state;
	assert_int_equal(kurir_post(NULL, &q), 0);
	for (unsigned i = 0; i < 10 && posts == 0; i++)
		loop_turn(kurir_now() + 20);
	assert_int_equal(posts, 1);
	/* Nobody reads between these: the channel fills up and says so. */
	q.body = (struct kurir_str){ big, sizeof(big) };
	while ((r = kurir_post(NULL, &q)) == 0 && sent < 1000)
		sent++;
	assert_int_equal(r, -EAGAIN);
	assert_in_range(sent, 8, 40);
	for (unsigned i = 0; i < 50; i++)
		loop_turn(kurir_now());
	assert_int_equal(kurir_post(NULL, &q), 0);
}

static unsigned many_done;

KURIR_PARKS static void many_one(void *arg)
{
	uint64_t n = (uint64_t)(uintptr_t)arg;
	struct kurir_str reply;
	struct kurir_str body = kurir_format(kurir_scratch(), "%llu", (unsigned long long)n);

	assert_int_equal(call("echo", n, body, -1, 10000, &reply), (int)n);
	assert_true(kurir_str_equal(reply, body));
	if (++many_done == 500)
		done++;
}

KURIR_PARKS static void many_fiber(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);

	(void)arg;
	for (uintptr_t i = 0; i < 500; i++)
		assert_true(kurir_group_go(g, "one", many_one, (void *)i) >= 0);
	(void)kurir_group_wait(g, kurir_now() + 10000);
	kurir_group_end(g);
}

static void many(void **state)
{
	(void)state;
	many_done = 0;
	on_fiber(many_fiber, NULL);
}

static void frames(void **state)
{
	struct frame_head h = { .length = sizeof(h) + 7, .id = 1, .kind = FRAME_CALL, .name = 4 };
	char bytes[sizeof(h) + 7];
	struct kurir_str s = { bytes, sizeof(bytes) };
	struct frame f;
	size_t used;

	(void)state;
	memcpy(bytes, &h, sizeof(h));
	memcpy(bytes + sizeof(h), "echoabc", 7);
	assert_int_equal(frame_parse(s, &f, &used), 1);
	assert_int_equal(used, sizeof(bytes));
	assert_true(kurir_str_equal(f.name, KURIR_STR("echo")));
	assert_true(kurir_str_equal(f.body, KURIR_STR("abc")));
	for (size_t n = 0; n < sizeof(bytes); n++)
		assert_int_equal(frame_parse(kurir_str_part(s, 0, n), &f, &used), 0);
	h.kind = 9;
	memcpy(bytes, &h, sizeof(h));
	assert_int_equal(frame_parse(s, &f, &used), -EBADMSG);
	h.kind = FRAME_CALL;
	h.length = 3;
	memcpy(bytes, &h, sizeof(h));
	assert_int_equal(frame_parse(s, &f, &used), -EBADMSG);
	h.length = UINT32_MAX;
	memcpy(bytes, &h, sizeof(h));
	assert_int_equal(frame_parse(s, &f, &used), -EBADMSG);
	h = (struct frame_head){ .length = sizeof(h),
		.kind = FRAME_CALL }; /* a call of nothing */
	memcpy(bytes, &h, sizeof(h));
	assert_int_equal(frame_parse(s, &f, &used), -EBADMSG);
}

KURIR_PARKS static void stay_caller(void *arg)
{
	(void)arg;
	assert_int_equal(call("stay", 0, KURIR_STR("x"), -1, 10000, NULL), -ECONNRESET);
}

KURIR_PARKS static void stopping_fiber(void *arg)
{
	struct kurir_group *g = kurir_group_begin(NULL);

	(void)arg;
	assert_true(kurir_group_go(g, "caller", stay_caller, NULL) >= 0);
	while (running == 0)
		(void)kurir_sleep(kurir_now() + 1);
	call_stop();
	assert_int_equal(running, 0);
	assert_int_equal(ended, 1);
	assert_int_equal(kurir_group_wait(g, kurir_now() + 10000), 0);
	kurir_group_end(g);
	assert_int_equal(call("echo", 7, KURIR_STR("hello"), -1, 1000, NULL), -ECONNRESET);
	assert_int_equal(kurir_post(NULL,
			     &(struct kurir_request){
				 .endpoint = "echo", .body = KURIR_STR("note"), .fd = -1 }),
	    0);
	/* Who has said that waits for the next process; here none comes. */
	assert_int_equal(call("refuse", 7, KURIR_STR("hello"), -1, 1000, NULL), -ETIMEDOUT);
	assert_int_equal(posts, 0);
	done++;
}

/* What runs for others ends before that which it uses, and nothing follows. */
static void stopping(void **state)
{
	(void)state;
	on_fiber(stopping_fiber, NULL);
}

/* What may be late waits for others, and comes in any case: by itself, with the next frame, or
 * before the channel is closed. */
static void late(void **state)
{
	struct kurir_request q = { .endpoint = "echo", .body = KURIR_STR("note"), .fd = -1 };
	kurir_time until = kurir_now() + 10000;

	(void)state;
	assert_int_equal(call_post_late(&q), 0);
	assert_int_equal(call_post_late(&q), 0);
	while (posts < 2 && kurir_now() < until)
		loop_turn(kurir_now() + 1000);
	assert_int_equal(posts, 2);
	assert_int_equal(call_post_late(&q), 0);
	assert_int_equal(kurir_post(NULL, &q), 0);
	while (posts < 4 && kurir_now() < until)
		loop_turn(kurir_now() + 1000);
	assert_int_equal(posts, 4);
	assert_int_equal(call_post_late(&q), 0);
	channel_free(ours);
	ours = NULL;
	while (posts < 5 && kurir_now() < until)
		loop_turn(kurir_now() + 1000);
	assert_int_equal(posts, 5);
	channel_free_all(); /* it may have seen the end already */
	theirs = NULL;
}

/* Bytes that are no frames end the channel and nothing else. */
static void rubbish(void **state)
{
	int pair[2];
	struct channel *c;
	char rest[8];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	c = channel_new(pair[0], "rubbish");
	assert_non_null(c);
	assert_int_equal(write(pair[1], "this is no frame at all, is it?", 31), 31);
	loop_turn(kurir_now() + 100);
	assert_int_equal(read(pair[1], rest, sizeof(rest)), 0);
	(void)close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames),
		cmocka_unit_test_setup_teardown(answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shut_handler, set_up, tear_down),
		cmocka_unit_test_setup_teardown(admission, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unwanted_descriptors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(descriptors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(descriptor_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_descriptors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(caller_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(heavy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(deadlines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(death, set_up, tear_down),
		cmocka_unit_test_setup_teardown(restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stopping, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rubbish, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
