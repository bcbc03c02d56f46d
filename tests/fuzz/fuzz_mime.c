/* fuzz_mime.c - a message fed whole and in pieces is the same; parts lie within each other, lines are
 * as many as there are, texts are UTF-8, and what goes to clients fits into a line of a protocol. */
#include <modules/mime/mime_private.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool what)
{
	if (!what)
		abort();
}

static void tell(void *arg, enum mime_text what, const struct mime_part *part, bool within,
    struct kurir_str name, struct kurir_str text)
{
	struct kurir_buf *said = arg;
	struct kurir_str rest = text;

	(void)name;
	while (rest.len > 0) {
		size_t n = mime_utf8_length(rest);

		must(n > 0 && n <= rest.len);
		rest = kurir_str_part(rest, n, rest.len);
	}
	must(part->depth <= MIME_DEPTH_MAX && (part->depth > 0 || !within));
	if (what != MIME_TEXT_BODY)
		(void)kurir_buf_printf(said, "<%d>", (int)what);
	(void)kurir_buf_add(said, text);
}

static uint32_t count_lines(struct kurir_str s)
{
	uint32_t n = s.len > 0 && s.ptr[s.len - 1] != '\n';

	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] == '\n';
	return n;
}

static unsigned walk(struct kurir_arena *arena, const struct mime_part *p, struct kurir_str all,
    struct mime_range in)
{
	struct kurir_str decoded;
	unsigned parts = 0;

	for (; p; p = p->next) {
		must(p->header.at >= in.at && p->body.at == p->header.at + p->header.len);
		must(p->body.at + p->body.len <= in.at + in.len || p->body.len == 0);
		must(p->lines == count_lines(mime_bytes(all, p->body)));
		must(p->multipart + p->message + !p->child == 1);
		mime_decode_transfer(arena, p, mime_bytes(all, p->body), &decoded);
		mime_param_text(arena, &p->disposition, KURIR_STR("filename"));
		parts += 1 + walk(arena, p->child, all, p->body);
		in.len -= p->body.at + p->body.len - in.at;
		in.at = p->body.at + p->body.len;
	}
	return parts;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kurir_str all = { size > 0 ? (const char *)data : "", size }, rest = all;
	struct kurir_arena *arena = kurir_arena_new("fuzz");
	struct kurir_buf said[2] = { KURIR_BUF(1 << 26), KURIR_BUF(1 << 26) };
	struct kurir_buf structure[2] = { KURIR_BUF(1 << 24), KURIR_BUF(1 << 24) };
	const struct mime_options options[2] = {
		{ .preview = true, .text = tell, .arg = &said[0] },
		{ .preview = true, .text = tell, .arg = &said[1] },
	};
	uint64_t lot = kurir_str_hash(all);
	struct mime_parser *p = mime_begin(arena, &options[1]);
	const struct mime_message *whole = mime_read(arena, all, &options[0]), *pieces;

	while (rest.len > 0) {
		size_t n = 1 + (lot >> 60);

		lot = lot * 6364136223846793005u + 1442695040888963407u;
		mime_feed(p, kurir_str_part(rest, 0, n));
		rest = kurir_str_part(rest, n, rest.len);
	}
	pieces = mime_end(p);
	must(walk(arena, whole->root, all, (struct mime_range){ 0, size }) <= MIME_PARTS_MAX);
	must(mime_put_structure(&structure[0], whole->root, true) == 0);
	must(mime_put_structure(&structure[1], pieces->root, true) == 0);
	must(kurir_str_equal(kurir_buf_str(&structure[0]), kurir_buf_str(&structure[1])));
	must(kurir_str_equal(kurir_buf_str(&said[0]), kurir_buf_str(&said[1])));
	must(kurir_str_equal(whole->root->envelope, pieces->root->envelope));
	must(kurir_str_equal(whole->preview, pieces->preview));
	for (unsigned i = 0; i < 2; i++) {
		kurir_buf_free(&said[i]);
		kurir_buf_free(&structure[i]);
	}
	kurir_arena_free(arena);
	return 0;
}
