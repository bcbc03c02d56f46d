/* plan_host.c - for --check: users, certificates and files that a configuration names.  It may
 * be written elsewhere: its host has its state folder, or the file in its place. */
#include "plan_private.h"

#include "tls.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#define COMPARED 500 /* users with a wrong name */

int plan_user(struct kurir_str name, unsigned *ret_uid, unsigned *ret_gid)
{
	struct passwd pw, *found = NULL;
	char text[64], space[3072];
	uint64_t number;

	if (kurir_str_number(name, UINT32_MAX - 1, &number) == 0) {
		*ret_uid = *ret_gid = (unsigned)number;
		if (getpwuid_r((uid_t)number, &pw, space, sizeof(space), &found) == 0 &&
		    found != NULL)
			*ret_gid = pw.pw_gid;
		return 0;
	}
	if (name.len >= sizeof(text))
		return -EINVAL;
	memcpy(text, name.ptr, name.len);
	text[name.len] = 0;
	if (getpwnam_r(text, &pw, space, sizeof(space), &found) != 0 || found == NULL)
		return -EINVAL;
	*ret_uid = pw.pw_uid;
	*ret_gid = pw.pw_gid;
	return 0;
}

static void check_user(struct planner *p, const struct json *v)
{
	const char **names = kurir_alloc(p->arena, COMPARED * sizeof(*names));
	const struct passwd *pw;
	unsigned uid, gid;
	size_t n = 0;

	if (v->type != VALUE_TEXT || v->text.len == 0 || plan_user(v->text, &uid, &gid) == 0)
		return;
	for (setpwent(); n < COMPARED && (pw = getpwent()) != NULL; n++)
		names[n] = kurir_copy(p->arena, kurir_str_of(pw->pw_name)).ptr;
	report_at(p->report, v, "there is no user \"%.*s\" on this host%.*s", KURIR_ARG(v->text),
	    KURIR_ARG(option_hint(p->arena, v->text, names, n)));
}

void plan_host(struct planner *p)
{
	const struct json *users = json_get(p->top, "users"), *v;
	struct kurir_str why = KURIR_STR("");
	const char *option = "";

	if (!p->report->host || p->report->errors > 0 ||
	    (access(p->conf.state.ptr, F_OK) < 0 &&
		strcmp(p->file, KURIR_CONFDIR "/kurir.json") != 0))
		return;
	for (v = users ? users->first : NULL; v; v = v->next)
		check_user(p, v);
	v = json_get(json_get(p->top, "tls"), "certificates");
	v = v ? v->first : NULL;
	for (size_t i = 0; i < p->conf.certificate_count && v; i++, v = v->next)
		if (tls_server_check(&p->conf.certificates[i], p->arena, &why) < 0)
			report_at(p->report, v, "%.*s", KURIR_ARG(why));
	for (size_t i = 0; i < p->count; i++) {
		const struct kurir_module *m = p->items[i].module ? &p->items[i].module->m : NULL;

		if (!m || !m->inspect ||
		    m->inspect(p->items[i].conf, p->arena, &option, &why) == 0)
			continue;
		v = json_get(p->items[i].block, option);
		report_at(p->report, v ? v : p->items[i].block, "%.*s", KURIR_ARG(why));
	}
}
