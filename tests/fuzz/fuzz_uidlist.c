/* fuzz_uidlist.c - the uid list and the names of files: what is read has UIDs that grow and no paths. */
#include <modules/store_maildir/maildir.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str text = { size > 0 ? (const char *)data : "", size }, folder;
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	char path[MAILDIR_PATH_MAX], name[MAILDIR_NAME_MAX + 1];
	struct maildir_list list;
	struct maildir_name parsed;

	if (maildir_list_parse(arena, text, &list) >= 0)
		for (size_t i = 0; i < list.count; i++)
			if (list.entries[i].uid >= list.next ||
			    kurir_str_find(list.entries[i].file, '/') >= 0 ||
			    maildir_list_find(&list, list.entries[i].uid) != &list.entries[i])
				abort();
	maildir_name_parse(text, &parsed);
	maildir_name_make(parsed.base, parsed.flags, parsed.info, name);
	maildir_account_path(KURIR_STR("/m"), text, path);
	maildir_mailbox_path(KURIR_STR("/m"), KURIR_STR("u@d"), text, path);
	maildir_folder_name(arena, kurir_copy(arena, text).ptr, &folder);
	kurir_arena_free(arena);
	return 0;
}
