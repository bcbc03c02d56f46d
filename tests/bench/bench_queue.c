/* bench_queue.c - what a million recipients that wait cost: memory, insertion, start.
 * Not a test: no figure fails.  "make tests/bench/bench_queue", and run it with the number of
 * recipients; the files are in /dev/shm.  With a folder behind the number it makes the files of a
 * queue there in which all were tried once and come again in six hours: for the script "restart". */
#include "../unit/queue_unit.h"

#include <modules/queue_journal/crc32c.h>
#include <modules/queue_journal/spool_file.h>

#include <time.h>

#define HOUR  ((int64_t)3600000)
#define EPOCH 1767225600000 /* where the virtual clock begins */
#define SMALL 10000

static unsigned total = 1000000;
static int64_t arrived = EPOCH + HOUR;

static double seconds(clockid_t clock)
{
	struct timespec t;
	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (f != NULL) {
		if (fscanf(f, "%*s %ld", &pages) != 1)
			pages = 0;
		fclose(f);
	}
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Messages of one recipient whose time has not come. */
static void write_spool(void)
{
	static struct spool_item items[SPOOL_BATCH_MAX];
	static char envelopes[SPOOL_BATCH_MAX][512];
	struct spool_file f = { .fd = -1, .mark = -1, .limit = 64 << 20, .role = 1 };
	f.dir = open(spool_path("."), O_RDONLY | O_DIRECTORY);
	double begin = seconds(CLOCK_PROCESS_CPUTIME_ID), first = 0, last = 0;
	for (unsigned done = 0; done < total;) {
		struct spool_batch b = { .file = &f };
		double at = seconds(CLOCK_PROCESS_CPUTIME_ID);
		for (; b.count < SPOOL_BATCH_MAX && done + b.count < total; b.count++) {
			struct spool_item *x = &items[b.count];
			char to[64], id[32];
			snprintf(
			    to, sizeof(to), "late%u@d%u.example", done + b.count, done % 997);
			snprintf(id, sizeof(id), "id%08u", done + b.count);
			struct kurir_recipient r = { .address = kurir_str_of(to) };
			struct kurir_envelope e = { .id = kurir_str_of(id),
				.sender = KURIR_STR("hyd@satu.example"),
				.arrived = arrived,
				.count = 1,
				.recipients = &r };
			struct kurir_buf packed = KURIR_BUF(sizeof(envelopes[0]));
			kurir_put_envelope(&packed, &e);
			memcpy(envelopes[b.count], packed.ptr, packed.len);
			*x = (struct spool_item){ .body = hello };
			x->envelope = (struct kurir_str){ envelopes[b.count], packed.len };
			x->record = (struct segment_record){ .kind = SEGMENT_MESSAGE,
				.recipients = 1,
				.arrived = e.arrived,
				.envelope_length = (uint32_t)packed.len,
				.body_length = hello.len,
				.body_crc = crc32c(0, hello.ptr, hello.len),
				.id_hash = (uint32_t)kurir_str_hash(e.id),
				.lane = spool_lane(&e) };
			b.items[b.count] = x;
			kurir_buf_free(&packed);
		}
		spool_batch_run(&b);
		at = seconds(CLOCK_PROCESS_CPUTIME_ID) - at;
		first += done < SMALL ? at : 0;
		last += done >= total - SMALL ? at : 0;
		done += b.count;
	}
	printf("write      %8.2f us of CPU a message; last %u / first %u: %.2f\n",
	    (seconds(CLOCK_PROCESS_CPUTIME_ID) - begin) / total * 1e6, SMALL, SMALL,
	    last / first);
	spool_file_finish(&f);
	close(f.dir);
}

static double began, bytes_before;

static void script_started(void)
{
	struct queue *q = the_queue();
	printf(
	    "           %u messages, %u timed, read in %.2f s; %.0f bytes resident a recipient\n",
	    q->message_count, q->scheduler.heap_count, seconds(CLOCK_MONOTONIC) - began,
	    (resident() - bytes_before) / total);
	fflush(stdout);
	double at = seconds(CLOCK_MONOTONIC);
	wait_for(2000); /* the log is written */
	printf("           %.2f s until the log had it\n", seconds(CLOCK_MONOTONIC) - at);
}

static void script_first_delivery(void)
{
	printf("           %u messages read in %.2f s\n", the_queue()->message_count,
	    seconds(CLOCK_MONOTONIC) - began);
	send_to("ok@dua.example");
	wait_for(1);
	printf("           first delivery after %.2f s (%u)\n", seconds(CLOCK_MONOTONIC) - began,
	    world.deliveries);
}

static void start(const char *what, void (*script)(void))
{
	printf("%s\n", what);
	bytes_before = resident();
	began = seconds(CLOCK_MONOTONIC);
	live(script);
}

/* Table, log and scheduler, without files. */
static void insert(void)
{
	static struct queue q = { .log = { .salt = 7 } };
	static const kurir_time span = 60000;
	struct segment_record r = { .recipients = 1, .envelope_length = 200 };
	double first = 0, last = 0, begin, all = seconds(CLOCK_PROCESS_CPUTIME_ID);
	q.log.pending.limit = (size_t)1 << 31;
	scheduler_init(&q.scheduler, &span, 1, 20);
	struct segment *s = table_segment(&q, 1, true);
	for (unsigned i = 0; i < total; i += SMALL) {
		begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
		for (unsigned k = 0; k < SMALL; k++) {
			struct message *m = table_add(&q, s, 64 + (uint64_t)(i + k) * 256, &r);
			state_message(&q, m);
			scheduler_at(&q.scheduler, &m->entries[0],
			    scheduler_retry(&q.scheduler, 1, 1000 + i));
		}
		last = seconds(CLOCK_PROCESS_CPUTIME_ID) - begin;
		first = i == 0 ? last : first;
		kurir_buf_free(&q.log.pending);
	}
	printf("insert     %8.2f us of CPU a recipient; last %u / first %u: %.2f\n",
	    (seconds(CLOCK_PROCESS_CPUTIME_ID) - all) / total * 1e6, SMALL, SMALL, last / first);
}

/* Every recipient was tried, and its time has not come: as a log of a real queue has it. */
static void script_deferred(void)
{
	struct queue *q = the_queue();
	uint32_t bucket = 0;
	for (struct message *m = table_walk(q, &bucket, NULL); m != NULL;
	     m = table_walk(q, &bucket, m)) {
		struct entry *e = &m->entries[0];
		e->attempts = 1;
		scheduler_at(&q->scheduler, e, arrived + 7 * HOUR);
		state_entry(q, m, e);
	}
	expect_equal(state_wait(q, kurir_now() + HOUR), 0);
	printf("%u messages, %u timed\n", q->message_count, q->scheduler.heap_count);
}

static void make_queue(const char *folder)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	arrived = (int64_t)now.tv_sec * 1000 - HOUR;
	rmdir(spool_path("."));
	rmdir(world.folder);
	snprintf(world.folder, sizeof(world.folder), ".");
	if (chdir(folder) < 0 || mkdir("queue", 0700) < 0) {
		perror(folder);
		return;
	}
	write_spool();
	live(script_deferred);
}

int main(int argc, char **argv)
{
	void *state = NULL;
	uint64_t n;
	if (argc > 1 && kurir_str_number(kurir_str_of(argv[1]), 50000000, &n) == 0 && n >= SMALL)
		total = (unsigned)n / SMALL * SMALL;
	if (set_up(&state) != 0)
		return 1;
	world.options.retry = (struct kurir_texts){ 1, &(struct kurir_str){ "1h", 2 } };
	if (argc > 2) {
		make_queue(argv[2]);
		return 0;
	}
	insert();
	write_spool();
	start("start without a log", script_started);
	start("start with a log", script_first_delivery);
	tear_down(&state);
	return 0;
}
