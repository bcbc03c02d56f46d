/* test_generation.c - the queue and the mailboxes have one owner, whatever happens. */
#include "conf_unit.h"

#include "generation.h"
#include "role.h"
#include "wire.h"

#include <errno.h>
#include <sys/socket.h>

static struct generation older, newer;
static struct process before, after;
static int heard;

/* after has been spawned; before is there as each test says. */
static int set_up(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	heard = pair[1];
	before = (struct process){ .of = &older, .role = KURIR_ROLE_QUEUE, .control.fd = -1 };
	after = (struct process){
		.of = &newer, .role = KURIR_ROLE_QUEUE, .control.fd = pair[0], .pid = 2
	};
	older = (struct generation){ .processes = &before };
	newer = (struct generation){ .processes = &after, .older = &older };
	generation_newest = &newer;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	generation_newest = NULL;
	(void)close(after.control.fd);
	(void)close(heard);
	return 0;
}

/* Was after told to go? */
static bool goes(void)
{
	static char space[WIRE_TEXT_MAX];
	struct wire w;

	process_go(&after);
	return wire_receive(heard, space, &w) == 1 && w.kind == WIRE_GO;
}

static void waits_for_the_living(void **state)
{
	(void)state;
	before.pid = 1;
	assert_false(goes());
	older.ending = true;
	assert_false(goes());
	before.pid = 0;
	assert_true(goes());
	assert_false(goes()); /* once is enough */
}

/* It has crashed, and is started again in a moment, as its generation still serves. */
static void waits_for_who_will_be_back(void **state)
{
	(void)state;
	assert_false(goes());
	older.ending = true;
	assert_true(goes());
}

static void others_do_not_wait(void **state)
{
	(void)state;
	before.role = after.role = KURIR_ROLE_EDGE;
	before.pid = 1;
	assert_true(goes());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(waits_for_the_living, set_up, tear_down),
		cmocka_unit_test_setup_teardown(waits_for_who_will_be_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(others_do_not_wait, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("generation", tests, NULL, NULL);
}
