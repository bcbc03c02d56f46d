/* greylist_role.c - the owner of the file, in the control role.
 * Questions that come together are one transaction. */
#include "greylist_role.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum what { ASK, COUNT, FORGET, ALLOW };

struct job {
	struct batch_job base;
	enum what what;
	struct greylist_question
	    q; /* texts behind this struct; network is all that others need */
	struct greylist_answer answer;
	struct greylist_counts counts;
	char bytes[];
};

static int try_it(struct greylist_store *store, struct job *j)
{
	const struct greylist_store was = *store;
	int r = sqlfile_try(&store->file), e;

	if (r < 0)
		return r;
	r = greylist_ask(store, &j->q, &j->answer);
	e = sqlfile_untry(&store->file);
	store->purged = was.purged;
	store->size = was.size;
	return r < 0 ? r : e;
}

/* In a helper thread. */
static int job_run(void *arg, struct batch_job *base)
{
	struct greylist_store *store = arg;
	struct job *j = (struct job *)base;

	switch (j->what) {
	case ASK:
		return j->q.trial ? try_it(store, j) : greylist_ask(store, &j->q, &j->answer);
	case COUNT:
		return greylist_count(store, j->q.now, &j->counts);
	case FORGET:
		return greylist_forget(store, j->q.network);
	case ALLOW:
		return greylist_allow(store, j->q.network, j->q.now + j->q.keep);
	}
	return -EINVAL;
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

KURIR_PARKS static int job_do(struct kurir_self *self, struct job *j)
{
	return batch_do(&((struct greylist *)kurir_state(self))->batch, &j->base);
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
	batch_begin(&g->batch, self, &g->store.file, job_run, &g->store);
	return 0;
}

void greylist_role_stop(struct kurir_self *self)
{
	sqlfile_close(&((struct greylist *)kurir_state(self))->store.file);
}
