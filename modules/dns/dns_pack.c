/* dns_pack.c - answers between the resolver role and the others.
 * answer = u8 status, u8 secure, u32 ttl, text canonical, text summary, u32 count, count*( u32
 * preference,
 * text ) */
#include "dns_private.h"

#include <errno.h>

int dns_put_answer(struct kurir_buf *b, const struct kurir_dns_answer *a)
{
	int r = kurir_put_u8(b, (uint8_t)a->status);

	if (r == 0)
		r = kurir_put_u8(b, a->secure);
	if (r == 0)
		r = kurir_put_u32(b, a->ttl);
	if (r == 0)
		r = kurir_put_text(b, a->canonical);
	if (r == 0)
		r = kurir_put_text(b, a->summary);
	if (r == 0)
		r = kurir_put_u32(b, (uint32_t)a->count);
	for (size_t i = 0; r == 0 && i < a->count; i++) {
		r = kurir_put_u32(b, a->records[i].preference);
		if (r == 0)
			r = kurir_put_text(b, a->records[i].text);
	}
	return r;
}

int dns_get_answer(
    struct kurir_reader *rd, struct kurir_arena *arena, struct kurir_dns_answer *ret)
{
	struct kurir_dns_answer a = { 0 };
	struct kurir_dns_record *records;
	uint8_t status = kurir_get_u8(rd);
	uint32_t count;

	a.secure = kurir_get_u8(rd) != 0;
	a.ttl = kurir_get_u32(rd);
	a.canonical = kurir_get_text(rd);
	a.summary = kurir_get_text(rd);
	count = kurir_get_u32(rd);
	if (rd->error < 0 || status > KURIR_DNS_BOGUS || count > DNS_RECORDS_MAX)
		return -EBADMSG;
	a.status = (enum kurir_dns_status)status;
	records = kurir_alloc(arena, (count + 1) * sizeof(*records));
	for (uint32_t i = 0; i < count; i++) {
		records[i].preference = (uint16_t)kurir_get_u32(rd);
		records[i].text = kurir_get_text(rd);
	}
	if (rd->error < 0 || (a.status == KURIR_DNS_FOUND) != (count > 0))
		return -EBADMSG;
	a.records = records;
	a.count = count;
	*ret = a;
	return 0;
}
