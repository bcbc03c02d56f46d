/* modules_show.c - the instances of a plan, for "kurirctl modules".  Options, and with them
 * secrets, are left out. */
#include "role.h"

#include <jansson.h>
#include <stdlib.h>

static json_t *names(uint32_t bits, const char *const *of)
{
	json_t *list = json_array();

	for (unsigned b = 0; of[b] != NULL; b++)
		if (bits & 1u << b)
			json_array_append_new(list, json_string(of[b]));
	return list;
}

void role_show_modules(const struct plan *plan, struct kurir_buf *b)
{
	json_t *list = json_array(), *top;
	char *text;

	for (size_t i = 0; i < plan->instance_count; i++) {
		const struct plan_instance *it = &plan->instances[i];

		json_array_append_new(list,
		    json_pack("{s:s%,s:s%,s:s%,s:o,s:o,s:b,s:I}", "name", it->name.ptr,
			it->name.len, "module", it->module.ptr, it->module.len, "file",
			it->file.ptr, it->file.len, "roles", names(it->roles, conf_role_names),
			"capabilities", names(it->caps, conf_cap_names), "loaded",
			it->file.len > 0, "worker", (json_int_t)it->worker));
	}
	top = json_pack("{s:o}", "modules", list);
	text = json_dumps(top, JSON_COMPACT);
	if (text != NULL)
		(void)kurir_buf_add(b, kurir_str_of(text));
	free(text);
	json_decref(top);
}
