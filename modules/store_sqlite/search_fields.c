/* search_fields.c - which messages have a text in a header field: told by the fields that were
 * kept when they came, without the index and without their bytes. */
#include "fact.h"
#include "read.h"

#define FIELDS_SQL \
	"SELECT m.uid, b.fields FROM message m JOIN email e ON e.id = m.email" \
	" JOIN blob b ON b.id = e.blob WHERE m.mailbox = ? ORDER BY m.uid"

int read_find_fields(struct read *r)
{
	struct mime_needle needle = mime_needle_of(r->arena, r->find->text);
	struct read_uids found = { .count = 0 }, unsure = { .count = 0 };
	int e = read_mailbox(r);
	sqlite3_stmt *s = e < 0 ? NULL : db_query(r->db, &e, FIELDS_SQL, "i", r->mailbox_row.id);
	while (e >= 0 && (e = db_step(r->db, s)) == 1) {
		uint32_t uid = (uint32_t)db_column(s, 0);
		if (sqlite3_column_type(s, 1) == SQLITE_NULL)
			read_uid(r, &unsure, uid);
		else if (mime_header_has(r->arena, db_blob(s, 1), r->find->field, &needle))
			read_uid(r, &found, uid);
	}
	r->found = (struct kurir_uid_set){ found.count, found.ranges };
	r->unsure = (struct kurir_uid_set){ unsure.count, unsure.ranges };
	return e;
}
