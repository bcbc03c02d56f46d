/* naughty.c - a module that does what kurir-modtest has to find. */
#include <kurir/smtp.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum does { NOTHING, LEAKS, REMEMBERS, OPENS, SPAWNS, PARKS, LIES, CRASHES, HOLDS };
struct conf {
	int does;
};

static const char *const names[] = { "nothing", "leaks", "remembers", "opens", "spawns", "parks",
	"lies", "crashes", "holds", NULL };
static const struct kurir_option options[] = {
	KURIR_OPT_CHOICE("does", struct conf, does, names, "nothing", "What it does."),
	{ 0 },
};

static void wait_for_ever(void *arg)
{
	(void)arg;
	(void)kurir_sleep(KURIR_FOREVER);
}

KURIR_PARKS static int mail(struct kurir_self *self, struct kurir_tx *tx, struct kurir_str sender)
{
	void *volatile lost;
	int fd;

	(void)tx;
	switch (((const struct conf *)kurir_conf(self))->does) {
	case LEAKS:
		lost = malloc(100);
		return lost != NULL ? KURIR_NEXT : KURIR_DEFER;
	case REMEMBERS:
		(void)kurir_alloc(kurir_self_arena(self), 20000);
		return KURIR_NEXT;
	case OPENS:
		return open("/dev/null", O_RDONLY | O_CLOEXEC) < 0;
	case SPAWNS:
		return kurir_group_go(
		    kurir_group_begin(self), "wait_for_ever", wait_for_ever, NULL);
	case LIES:
		return 17;
	case CRASHES:
		if (kurir_str_find(sender, '%') >= 0)
			abort();
		return KURIR_NEXT;
	case HOLDS: /* a descriptor, unless the wait goes well */
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (kurir_sleep(kurir_now() + 1) == 0)
			(void)close(fd);
		return fd < 0;
	default:
		return KURIR_NEXT;
	}
}

static void done(struct kurir_self *self, struct kurir_tx *tx, int verdict)
{
	(void)tx;
	(void)verdict;
	if (((const struct conf *)kurir_conf(self))->does == PARKS)
		(void)kurir_sleep(kurir_now() + 1);
}

static const struct kurir_smtp_hooks hooks = {
	.size = sizeof(hooks), .mail = mail, .done = done
};

KURIR_MODULE(naughty, .version = "0", .summary = "does what a test has to find",
    .caps = KURIR_CAP_SPAWN | KURIR_CAP_FILES, .roles = KURIR_ROLE_EDGE,
    .conf_size = sizeof(struct conf), .options = options, .smtp = &hooks);
