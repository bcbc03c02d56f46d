/* test_timer.c - the heap against a plain list: order, clearing, setting again. */
#include "loop_unit.h"

#include <stdlib.h>
#include <timer.h>

#define MANY 2000

struct item {
	struct loop_timer timer;
	unsigned set_at; /* to tell equal times apart */
};

static struct item items[MANY];
static kurir_time last;
static unsigned fired, last_set, sets;

static void fire(struct loop_timer *t)
{
	struct item *i = (struct item *)t;
	assert_int_equal(t->place, 0);
	assert_true(t->when > last || (t->when == last && i->set_at > last_set));
	last = t->when;
	last_set = i->set_at;
	fired++;
}

static void set(struct item *i)
{
	i->set_at = ++sets;
	loop_timer_set(&i->timer, 1 + rand() % 500, fire);
}

static void in_order(void **state)
{
	(void)state;
	srand(7);
	for (int round = 0; round < 20; round++) {
		unsigned live = 0, early = 0;
		for (int n = 0; n < 3 * MANY; n++) {
			struct item *i = &items[rand() % MANY];
			if (rand() % 3)
				set(i);
			else
				loop_timer_clear(&i->timer);
		}
		for (int n = 0; n < MANY; n++)
			live += items[n].timer.place != 0;
		for (int n = 0; n < MANY; n++)
			early += items[n].timer.place && items[n].timer.when <= 250;
		fired = last_set = 0;
		last = 0;
		assert_int_equal(timer_fire(250), early);
		assert_true(timer_next() > 250);
		timer_fire(500);
		assert_int_equal(fired, live);
		assert_true(timer_next() == KURIR_FOREVER);
	}
	timer_fini();
}

static struct loop_timer again;
static unsigned agains;

static void fire_again(struct loop_timer *t)
{
	agains++;
	loop_timer_set(t, 5, fire_again);
}

static void clear_other(struct loop_timer *t)
{
	(void)t;
	loop_timer_clear(&again);
}

static void from_inside(void **state)
{
	struct loop_timer other = { 0 };
	(void)state;
	/* One that sets itself to the past does not keep the loop for ever. */
	loop_timer_set(&again, 5, fire_again);
	assert_int_equal(timer_fire(10), 1);
	assert_int_equal(timer_fire(10), 1);
	assert_int_equal(agains, 2);
	/* One that clears another that is due too. */
	loop_timer_set(&other, 1, clear_other);
	assert_int_equal(timer_fire(10), 1);
	assert_true(timer_next() == KURIR_FOREVER);
	loop_timer_clear(&again);
	timer_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(from_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
