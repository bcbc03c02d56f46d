/* limits_role.c - the owner of the file, in the control role. */
#include "limits_role.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum what { TAKE, HOLD, RELEASE, LIST };

struct job {
	struct batch_job base;
	enum what what;
	struct limits_question
	    q; /* texts behind this struct; account and now are all others need */
	struct limits_answer answer;
	json_t *list; /* LIST */
	char bytes[];
};

static void list_one(void *arg, struct kurir_str account, struct kurir_str why, int64_t since)
{
	(void)json_array_append_new(arg,
	    json_pack("{s:s%, s:s%, s:I}", "account", account.ptr, account.len, "why", why.ptr,
		why.len, "since", (json_int_t)since));
}

static int try_it(struct limits_store *store, struct job *j)
{
	const int64_t purged = store->purged;
	int r = sqlfile_try(&store->file), e;

	if (r < 0)
		return r;
	r = limits_take(store, &j->q, &j->answer);
	e = sqlfile_untry(&store->file);
	store->purged = purged;
	return r < 0 ? r : e;
}

/* In a helper thread. */
static int job_run(void *arg, struct batch_job *base)
{
	struct limits_store *store = arg;
	struct job *j = (struct job *)base;

	switch (j->what) {
	case TAKE:
		return j->q.trial ? try_it(store, j) : limits_take(store, &j->q, &j->answer);
	case HOLD:
		return limits_hold(store, j->q.account, KURIR_STR("by hand"), j->q.now);
	case RELEASE:
		return limits_release(store, j->q.account);
	case LIST:
		return limits_holds(store, list_one, j->list);
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
	j->q.account = (struct kurir_str){ j->bytes, body.len };
	j->q.now = kurir_wallclock();
	return j;
}

KURIR_PARKS static int job_do(struct kurir_self *self, struct job *j)
{
	return batch_do(&((struct limits *)kurir_state(self))->batch, &j->base);
}

int limits_asked(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	struct job *j = job_new(TAKE, in->body);
	int r;

	if (j == NULL)
		return -ENOMEM;
	r = limits_get_question(j->q.account, &j->q);
	if (r < 0) {
		free(j);
		return r;
	}
	r = job_do(self, j);
	if (r < 0)
		return r;
	r = kurir_put_u8(reply, (uint8_t)j->answer.verdict);
	if (r == 0)
		r = kurir_put_u32(reply, j->answer.which);
	free(j);
	return r;
}

/* ---- kurirctl limits ---- */

static int say(struct kurir_buf *reply, json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);
	int r = text != NULL ? kurir_buf_add(reply, kurir_str_of(text)) : -ENOMEM;

	free(text);
	json_decref(answer);
	return r;
}

static void drop_list(struct batch_job *base)
{
	json_decref(((struct job *)base)->list);
	free(base);
}

KURIR_PARKS static int say_list(struct kurir_self *self, struct kurir_buf *reply)
{
	struct job *j = job_new(LIST, KURIR_STR(""));
	struct kurir_buf text = KURIR_BUF(KURIR_CALL_MAX / 4);
	json_t *list = json_array(), *one;
	size_t i;
	int r;

	if (j == NULL || list == NULL) {
		free(j);
		json_decref(list);
		return -ENOMEM;
	}
	j->list = list;
	j->base.drop = drop_list;
	r = job_do(self, j);
	if (r < 0)
		return r;
	free(j);
	json_array_foreach(list, i, one)(void) kurir_buf_printf(&text, "%s: %s\n",
	    json_string_value(json_object_get(one, "account")),
	    json_string_value(json_object_get(one, "why")));
	if (i == 0)
		(void)kurir_buf_add(&text, KURIR_STR("no account is on hold\n"));
	r = say(reply, json_pack("{s:s%, s:o}", "text", text.ptr, text.len, "data", list));
	kurir_buf_free(&text);
	return r;
}

KURIR_PARKS static int change(
    struct kurir_self *self, enum what what, struct kurir_str account, struct kurir_buf *reply)
{
	struct job *j = job_new(what, kurir_lower(kurir_scratch(), account));
	struct kurir_str text;
	int r = j != NULL ? job_do(self, j) : -ENOMEM;

	if (r < 0)
		return r;
	free(j);
	if (what == RELEASE && r == 0)
		return say(reply, json_pack("{s:s}", "error", "this account is not on hold"));
	text = kurir_format(kurir_scratch(), "%.*s is %s\n", KURIR_ARG(account),
	    what == HOLD ? "on hold" : "released");
	if (what == RELEASE)
		KURIR_EMIT(self, KURIR_NOTICE, "released", { "account", account });
	else
		KURIR_EMIT(self, KURIR_NOTICE, "held", { "account", account },
		    { "why", KURIR_STR("by hand") });
	return say(reply,
	    json_pack("{s:s%, s:{s:s%}}", "text", text.ptr, text.len, "data", "account",
		account.ptr, account.len));
}

int limits_command(
    struct kurir_self *self, const struct kurir_incoming *in, struct kurir_buf *reply)
{
	json_t *body = json_loadb(in->body.ptr, in->body.len, 0, NULL);
	const json_t *args = json_object_get(body, "args");
	const char *verb = json_string_value(json_array_get(args, 0));
	const char *word = json_string_value(json_array_get(args, 1));
	struct kurir_str account = word != NULL ? kurir_str_of(word) : KURIR_STR("");
	bool good = account.len > 0 && account.len <= LIMITS_KEY_MAX;
	int r;

	if (verb == NULL)
		r = say_list(self, reply);
	else if (good && strcmp(verb, "hold") == 0)
		r = change(self, HOLD, account, reply);
	else if (good && strcmp(verb, "release") == 0)
		r = change(self, RELEASE, account, reply);
	else
		r = say(reply,
		    json_pack("{s:s}", "error",
			"say nothing, \"hold ACCOUNT\" or \"release ACCOUNT\""));
	json_decref(body);
	return r;
}

/* ---- from start to stop ---- */

int limits_role_start(struct kurir_self *self)
{
	struct limits *l = kurir_state(self);
	struct kurir_str folder = kurir_state_path(kurir_scratch(), "limits");
	struct kurir_str path =
	    kurir_format(kurir_scratch(), "%.*s/limits.db", KURIR_ARG(folder));
	bool damaged = false;
	int r = limits_open(path.ptr, &l->store, &damaged);

	if (damaged)
		(void)kurir_log(self, KURIR_WARN, 0,
		    "%.*s is damaged, beginning a new one: nobody is on hold", KURIR_ARG(path));
	if (r < 0)
		return kurir_log(self, KURIR_ERROR, r, "cannot open %.*s", KURIR_ARG(path));
	batch_begin(&l->batch, self, &l->store.file, job_run, &l->store);
	return 0;
}

void limits_role_stop(struct kurir_self *self)
{
	sqlfile_close(&((struct limits *)kurir_state(self))->store.file);
}
