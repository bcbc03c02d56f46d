/* queue_unit.c - see queue_unit.h. */
#include "queue_unit.h"

const struct kurir_module *queue_journal_LTX_kurir_module(void);
const struct kurir_module *bounce_LTX_kurir_module(void);

unsigned expectations_failed;

void expectation(bool holds, const char *text, int line, long long a, long long b)
{
	if (holds)
		return;
	fprintf(stderr, "# line %d: %s (%lld, %lld)\n", line, text, a, b);
	expectations_failed++;
}
struct world world;

struct kurir_self *queue_instance;

static int world_transport(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct kurir_reader r = KURIR_READER(in->body);
	struct kurir_job job;
	/* Not on this small stack; filled and packed without a park between. */
	static struct kurir_result results[1000];
	struct kurir_body body;
	(void)self;
	if (kurir_get_job(&r, kurir_scratch(), &job) != 0)
		return -EBADMSG;
	const struct kurir_queue_ops *ops = kurir_service_find("queue", NULL, NULL);
	int err = ops->open(queue_instance, job.ref, &body);
	if (err < 0)
		return err;
	world.active++;
	if (world.active > world.active_max)
		world.active_max = world.active;
	world.jobs++;
	kurir_time takes = kurir_str_starts(job.destination, KURIR_STR("hang")) ? world.hang : 0;
	if (takes < world.takes)
		takes = world.takes;
	if (takes > 0)
		err = kurir_sleep(kurir_now() + takes);
	world.active--;
	size_t n =
	    body.length < sizeof(world.last_body) ? (size_t)body.length : sizeof(world.last_body);
	world.last_length = (size_t)body.length;
	if (err == 0 && pread(body.fd, world.last_body, n, (off_t)body.offset) != (ssize_t)n)
		err = -EIO;
	close(body.fd);
	if (err < 0)
		return err;
	for (size_t i = 0; i < job.envelope.count && i < 1000; i++) {
		struct kurir_str a = job.envelope.recipients[i].address;
		enum kurir_fate fate = world.fate;
		bool site = world.site;
		if (world.decide != NULL)
			fate = world.decide(a, job.attempt, &site);
		else if (kurir_str_starts(a, KURIR_STR("ok")))
			fate = KURIR_FATE_DELIVERED;
		else if (kurir_str_starts(a, KURIR_STR("bad")))
			fate = KURIR_FATE_FAILED;
		else if (kurir_str_starts(a, KURIR_STR("late")))
			fate = KURIR_FATE_DEFERRED;
		results[i] = (struct kurir_result){ .fate = fate,
			.code = 250,
			.xyz = KURIR_STR("2.0.0"),
			.text = KURIR_STR("ok"),
			.site = site };
		if (fate == KURIR_FATE_FAILED)
			results[i].code = 550, results[i].xyz = KURIR_STR("5.1.1");
		else if (fate == KURIR_FATE_DEFERRED)
			results[i].code = 451, results[i].xyz = KURIR_STR("4.2.0");
		results[i].remote = KURIR_STR("mx.dua.example[192.0.2.1]:25");
		if (world.deliveries < LOG_MAX) {
			world.at[world.deliveries] = kurir_wallclock();
			snprintf(world.log[world.deliveries++], 96, "%.*s %u %d", KURIR_ARG(a),
			    job.attempt, (int)fate);
		}
	}
	return err < 0 ? err : kurir_put_results(reply, results, job.envelope.count);
}

static int world_route(struct kurir_self *self, struct kurir_str address, kurir_time deadline,
    struct kurir_arena *arena, struct kurir_route *ret)
{
	static const struct kurir_str two[] = { { "ok1@dua.example", 15 },
		{ "late1@dua.example", 17 } };
	static const struct kurir_str circle[] = { { "circle@dua.example", 18 } };
	(void)self;
	(void)deadline;
	if (kurir_str_starts(address, KURIR_STR("nowhere@"))) {
		*ret = (struct kurir_route){ .kind = KURIR_ROUTE_FAIL,
			.xyz = KURIR_STR("5.1.2"),
			.text = KURIR_STR("no such domain") };
		return 0;
	}
	if (kurir_str_starts(address, KURIR_STR("alias@"))) {
		*ret =
		    (struct kurir_route){ .kind = KURIR_ROUTE_EXPAND, .addresses = { 2, two } };
		return 0;
	}
	if (kurir_str_starts(address, KURIR_STR("circle@"))) {
		*ret = (struct kurir_route){ .kind = KURIR_ROUTE_EXPAND,
			.addresses = { 1, circle } };
		return 0;
	}
	struct kurir_str domain =
	    kurir_str_part(address, (size_t)kurir_str_find(address, '@') + 1, 99);
	if (world.slow > 0 && kurir_str_starts(domain, KURIR_STR("slow")))
		kurir_sleep(kurir_now() + world.slow);
	*ret = (struct kurir_route){ .kind = KURIR_ROUTE_TO, .transport = KURIR_STR("test") };
	ret->destination = kurir_copy(arena, domain);
	return 0;
}

static const struct kurir_route_ops route_ops = { .size = sizeof(route_ops),
	.route = world_route };
static const struct kurir_endpoint_ops transport_ops = { .size = sizeof(transport_ops),
	.call = world_transport };
static const struct kurir_service world_services[] = { { "route", "world", &route_ops, 0 },
	{ "endpoint", "transport.test", &transport_ops, KURIR_ROLE_RELAY }, { 0 } };
static struct module journal_module, bounce_module, world_module;
static struct {
	uint64_t full, header;
} bounce_options = { 65536, 32768 };

static void remove_folder(const char *path)
{
	char name[512];
	DIR *d = opendir(path);
	for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		struct stat st;
		if (lstat(name, &st) == 0 && S_ISDIR(st.st_mode))
			remove_folder(name);
		else
			unlink(name);
	}
	if (d != NULL)
		closedir(d);
	rmdir(path);
}

unsigned count_files(const char *suffix)
{
	char name[128];
	unsigned n = 0;
	snprintf(name, sizeof(name), "%s/queue", world.folder);
	DIR *d = opendir(name);
	for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d))
		n += segment_name_id(e->d_name, suffix) != 0;
	if (d != NULL)
		closedir(d);
	return n;
}

int set_up(void **state)
{
	static const struct kurir_str retry[] = { { "1m", 2 }, { "5m", 2 }, { "1h", 2 } };
	char name[128];
	(void)state;
	memset(&world, 0, sizeof(world));
	expectations_failed = 0;
	/* In memory when that is there: what is synced is asked of the power-cut tests. */
	snprintf(world.folder, sizeof(world.folder), "%s/kurir-queue-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(world.folder) == NULL)
		return -1;
	snprintf(name, sizeof(name), "%s/queue", world.folder);
	mkdir(name, 0700);
	world.fate = KURIR_FATE_DELIVERED;
	world.options = (struct queue_conf){ .retry = { 3, retry },
		.lifetime = 5LL * 86400000,
		.delay_warning = 4LL * 3600000,
		.job_deadline = 1800000,
		.state_delay = 20,
		.scan_interval = 3000,
		.segment_size = 64 << 20,
		.inline_size = 256 << 10,
		.memory = 64 << 20,
		.concurrency = 200,
		.destination_concurrency = 20,
		.recipients_per_job = 100 };
	world.conf.hostname = KURIR_STR("mx.satu.example");
	world.conf.state = kurir_str_of(world.folder);
	conf_now = &world.conf;
	spool_io = &spool_io_real;
	return 0;
}

int tear_down(void **state)
{
	(void)state;
	remove_folder(world.folder);
	return 0;
}

static void run_script(void *arg)
{
	int r = instance_start_all(KURIR_ROLE_ALL);
	(void)arg;
	if (r == 0 && world.armed != NULL)
		world.armed();
	if (r == 0)
		world.script();
	else
		world.failed = true;
	instance_stop_all();
	loop_stop();
}

/* One life of the server: start, script, stop. */
void live(void (*script)(void))
{
	loop_init(true);
	if (world.wallclock != 0)
		loop_set_wallclock(world.wallclock);
	journal_module.m = *queue_journal_LTX_kurir_module();
	bounce_module.m = *bounce_LTX_kurir_module();
	world_module.m = (struct kurir_module){ .name = "world", .services = world_services };
	world_module.m.roles = KURIR_ROLE_ALL;
	journal_module.caps = bounce_module.caps = world_module.caps = UINT32_MAX;
	queue_instance = instance_new(&journal_module, "queue_journal", &world.options);
	instance_new(&bounce_module, "bounce", &bounce_options);
	instance_new(&world_module, "world", NULL);
	for (struct kurir_self *s = instance_list; s != NULL; s = s->next)
		s->required = true;
	channel_book_endpoint(KURIR_STR("queue.new"), KURIR_ROLE_QUEUE);
	channel_book_endpoint(KURIR_STR("ctl.queue"), KURIR_ROLE_QUEUE);
	channel_book_endpoint(KURIR_STR("ctl.ledger"), KURIR_ROLE_QUEUE);
	channel_book_endpoint(KURIR_STR("transport.test"), KURIR_ROLE_RELAY);
	world.script = script;
	world.failed = false;
	struct kurir_group *g = kurir_group_begin(NULL);
	assert_int_equal(kurir_group_go(g, "script", run_script, NULL), 0);
	loop_run();
	instance_reset();
	call_reset();
	loop_fini();
	assert_true(!world.failed || world.may_fail);
	assert_int_equal(expectations_failed, 0);
}

static unsigned serial;
int send_body(const char *sender, const char *const *to, size_t count, struct kurir_str body,
    uint32_t notify)
{
	const struct kurir_queue_ops *ops = kurir_service_find("queue", NULL, NULL);
	struct kurir_recipient rcpts[64];
	struct kurir_spool *s;
	int r = ops->begin(queue_instance, 0, &s);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		rcpts[i] =
		    (struct kurir_recipient){ .address = kurir_str_of(to[i]), .notify = notify };
	struct kurir_envelope e = { .id = kurir_format(kurir_scratch(), "id%08u", serial++),
		.sender = kurir_str_of(sender),
		.arrived = kurir_wallclock(),
		.helo = KURIR_STR("client.example"),
		.count = count,
		.recipients = rcpts };
	r = ops->write(s, body);
	if (r < 0) {
		ops->abort(s);
		return r;
	}
	return ops->commit(s, &e, kurir_now() + 60000);
}

const struct kurir_str hello = { "Subject: a\r\n\r\nhello\r\n.dot\r\n", 27 };

int send_to(const char *to)
{
	return send_body("hyd@satu.example", &to, 1, hello, 0);
}

struct queue *the_queue(void)
{
	return queue_self(queue_instance)->queue;
}

void wait_for(kurir_time span)
{
	kurir_sleep(kurir_now() + span);
}

void check_ledger(uint64_t accepted, uint64_t delivered, uint64_t bounced, uint64_t queued)
{
	const struct totals *t = &the_queue()->totals;
	expect_equal(t->accepted, accepted);
	expect_equal(t->delivered, delivered);
	expect_equal(t->bounced, bounced);
	expect_equal(the_queue()->entry_count, queued);
	expect_equal(t->accepted, t->delivered + t->bounced + t->cancelled + queued);
}

int ctl(const char *body, struct kurir_str *reply)
{
	struct kurir_request q = {
		.endpoint = "ctl.queue", .fd = -1, .body = kurir_str_of(body)
	};
	return kurir_call(queue_instance, &q, kurir_now() + 60000, kurir_scratch(), reply);
}

const char *spool_path(const char *name)
{
	static char path[160];
	snprintf(path, sizeof(path), "%s/queue/%s", world.folder, name);
	return path;
}
