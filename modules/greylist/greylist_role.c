/* greylist_role.c - the owner of the file, in the control role.
 * Questions that come while some are being answered wait, and are then one transaction. */
#include "greylist_role.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum what { ASK, COUNT, FORGET, ALLOW };

/* Owned by the worker; the asker, as long as it waits, reads it when it is done. */
struct job {
	enum what what;
	struct greylist_question
	    q; /* texts behind this struct; network is all that others need */
	struct greylist_answer answer;
	struct greylist_counts counts;
	int result;
	bool done, left; /* nobody waits any more */
	struct job *next;
	char bytes[];
};

struct batch {
	struct greylist_store *store;
	struct job *first;
};

/* In a helper thread. */
static int batch_run(void *arg)
{
	struct batch *b = arg;
	int r = greylist_begin(b->store);

	for (struct job *j = b->first; j != NULL; j = j->next) {
		if (r == 0)
			switch (j->what) {
			case ASK:
				j->result = greylist_ask(b->store, &j->q, &j->answer);
				break;
			case COUNT:
				j->result = greylist_count(b->store, j->q.now, &j->counts);
				break;
			case FORGET:
				j->result = greylist_forget(b->store, j->q.network);
				break;
			case ALLOW:
				j->result =
				    greylist_allow(b->store, j->q.network, j->q.now + j->q.keep);
				break;
			}
		else
			j->result = r;
		/* A statement that failed for want of room may have ended the transaction. */
		if (r == 0 && j->result < 0) {
			(void)greylist_end(b->store, false);
			r = j->result;
		}
	}
	if (r == 0)
		r = greylist_end(b->store, true);
	return r;
}

/* All of a batch share their fate. */
static void settle(struct job *first, int r)
{
	while (first != NULL) {
		struct job *j = first;

		first = j->next;
		if (r < 0)
			j->result = r;
		j->done = true;
		if (j->left)
			free(j);
	}
}

KURIR_PARKS static void work(void *arg)
{
	struct kurir_self *self = arg;
	struct greylist *g = kurir_state(self);
	int r = 0;

	while (g->waiting != NULL && r != -ECANCELED) {
		struct batch b = { g->store, g->waiting };

		g->waiting = NULL;
		g->end = &g->waiting;
		r = kurir_offload(batch_run, &b, KURIR_FOREVER);
		if (r < 0 && r != -ECANCELED)
			(void)kurir_log(self, KURIR_ERROR, r, "cannot use the file of triplets");
		settle(b.first, r);
		kurir_signal_raise(g->settled);
	}
	settle(g->waiting, -ECANCELED);
	g->waiting = NULL;
	g->end = &g->waiting;
	kurir_signal_raise(g->settled);
	g->working = false;
}

static struct job *job_new(enum what what, struct kurir_str body)
{
	struct job *j = calloc(1, sizeof(*j) + body.len);

	if (j == NULL)
		return NULL;
	j->what = what;
	memcpy(j->bytes, body.ptr, body.len);
	j->q.network = (struct kurir_str){ j->bytes, body.len };
	j->q.now = kurir_wallclock();
	return j;
}

/* Takes the job when it fails; else the caller frees it. */
KURIR_PARKS static int job_do(struct kurir_self *self, struct job *j)
{
	struct greylist *g = kurir_state(self);
	int r = 0;

	*g->end = j;
	g->end = &j->next;
	if (!g->working) {
		g->working = true;
		r = kurir_group_go(g->group, "greylist", work, self);
		if (r < 0) {
			g->working = false;
			g->waiting = NULL;
			g->end = &g->waiting;
			free(j);
			return r;
		}
	}
	while (r == 0 && !j->done)
		r = kurir_signal_wait(g->settled, KURIR_FOREVER);
	if (!j->done) {
		j->left = true;
		return r;
	}
	r = j->result;
	if (r < 0)
		free(j);
	return r;
}

int greylist_asked(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct job *j = job_new(ASK, in->body);
	int r;

	if (j == NULL)
		return -ENOMEM;
	r = greylist_get_question(j->q.network, &j->q);
	if (r < 0) {
		free(j);
		return r;
	}
	r = job_do(self, j);
	if (r < 0)
		return r;
	r = kurir_put_u8(reply, (uint8_t)j->answer.verdict);
	if (r == 0)
		r = kurir_put_u64(reply, (uint64_t)j->answer.wait);
	free(j);
	return r;
}

/* ---- kurirctl greylist ---- */

static int say(struct kurir_buf *reply, json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);
	int r = text != NULL ? kurir_buf_add(reply, kurir_str_of(text)) : -ENOMEM;

	free(text);
	json_decref(answer);
	return r;
}

KURIR_PARKS static int say_counts(struct kurir_self *self, struct kurir_buf *reply)
{
	struct job *j = job_new(COUNT, KURIR_STR(""));
	char text[160];
	int r = j != NULL ? job_do(self, j) : -ENOMEM;

	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text),
	    "%lld waiting, %lld known, %lld networks that have come back\n",
	    (long long)j->counts.waiting, (long long)j->counts.passed,
	    (long long)j->counts.networks);
	r = say(reply,
	    json_pack("{s:s, s:{s:I, s:I, s:I}}", "text", text, "data", "waiting",
		(json_int_t)j->counts.waiting, "known", (json_int_t)j->counts.passed, "networks",
		(json_int_t)j->counts.networks));
	free(j);
	return r;
}

KURIR_PARKS static int change(
    struct kurir_self *self, enum what what, const char *ip, struct kurir_buf *reply)
{
	const struct greylist_conf *c = kurir_conf(self);
	struct kurir_str network = kurir_network_of(
	    kurir_scratch(), kurir_str_of(ip), (unsigned)c->mask4, (unsigned)c->mask6);
	struct job *j = job_new(what, network);
	char text[160];
	int r;

	if (j == NULL)
		return -ENOMEM;
	j->q.keep = c->keep;
	r = job_do(self, j);
	if (r < 0)
		return r;
	free(j);
	(void)snprintf(text, sizeof(text), "%.*s %s\n",
	    (int)(network.len < 100 ? network.len : 100), network.ptr,
	    what == FORGET ? "is forgotten" : "need not wait");
	return say(reply,
	    json_pack("{s:s, s:{s:s%, s:i}}", "text", text, "data", "network", network.ptr,
		network.len, "triplets", r));
}

int greylist_command(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	json_t *body = json_loadb(in->body.ptr, in->body.len, 0, NULL);
	const json_t *args = json_object_get(body, "args");
	const char *verb = json_string_value(json_array_get(args, 0));
	const char *ip = json_string_value(json_array_get(args, 1));
	struct kurir_networks one;
	struct kurir_str error = ip != NULL ? kurir_str_of(ip) : KURIR_STR("");
	bool good = kurir_networks_parse(
			kurir_scratch(), (struct kurir_texts){ 1, &error }, &one, &error) == 0 &&
	    strchr(ip, '/') == NULL;
	int r;

	if (verb == NULL)
		r = say_counts(self, reply);
	else if (good && strcmp(verb, "forget") == 0)
		r = change(self, FORGET, ip, reply);
	else if (good && strcmp(verb, "allow") == 0)
		r = change(self, ALLOW, ip, reply);
	else
		r = say(reply,
		    json_pack("{s:s}", "error",
			"say nothing, \"forget ADDRESS\" or \"allow ADDRESS\""));
	json_decref(body);
	return r;
}

/* ---- from start to stop ---- */

int greylist_role_start(struct kurir_self *self)
{
	struct greylist *g = kurir_state(self);
	struct kurir_str folder = kurir_state_path(kurir_scratch(), "greylist");
	struct kurir_str path =
	    kurir_format(kurir_scratch(), "%.*s/triplets.db", KURIR_ARG(folder));
	bool damaged = false;
	int r = greylist_open(path.ptr, &g->store, &damaged);

	if (damaged)
		(void)kurir_log(
		    self, KURIR_WARN, 0, "%.*s is damaged, beginning a new one", KURIR_ARG(path));
	if (r < 0)
		return kurir_log(self, KURIR_ERROR, r, "cannot open %.*s", KURIR_ARG(path));
	g->settled = kurir_signal_new(kurir_self_arena(self));
	g->end = &g->waiting;
	g->group = kurir_group_begin(self);
	return 0;
}

void greylist_role_stop(struct kurir_self *self)
{
	struct greylist *g = kurir_state(self);

	/* The core has ended the group. */
	greylist_close(g->store);
	g->store = NULL;
}
