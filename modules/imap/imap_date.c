/* imap_date.c - dates in commands and replies.
 *
 *   date      = date-day "-" date-month "-" date-year               ; RFC 9051 section 9
 *   date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
 *
 *   date-time = [day-name ","] day month year hour ":" minute [":" second] zone  ; RFC 5322
 *               section 3.3, with comments and spaces anywhere, and obs-zone */

#include <errno.h>
#include <string.h>

#include "imap.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01 of a day of the Gregorian calendar. */
static int64_t days(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int take_number(struct kurir_str *s, size_t min, size_t max, int64_t *ret)
{
	size_t n = 0;
	int64_t v = 0;

	while (n < max && n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9')
		v = v * 10 + (s->ptr[n++] - '0');
	if (n < min)
		return -EBADMSG;
	*s = kurir_str_part(*s, n, s->len);
	*ret = v;
	return 0;
}

static bool take(struct kurir_str *s, char c)
{
	if (s->len == 0 || s->ptr[0] != c)
		return false;
	*s = kurir_str_part(*s, 1, s->len);
	return true;
}

/* "Jan" and so on, from 0. */
static int take_month(struct kurir_str *s, int64_t *ret)
{
	int64_t m = 0;

	while (m < 12 &&
	    !kurir_str_equal_nocase(
		kurir_str_part(*s, 0, 3), (struct kurir_str){ months + m * 3, 3 }))
		m++;
	*s = kurir_str_part(*s, 3, s->len);
	*ret = m;
	return m == 12 ? -EBADMSG : 0;
}

static int take_date(struct kurir_str *s, int64_t *ret_days)
{
	int64_t d, y, m = 0;

	take(s, ' ');
	if (take_number(s, 1, 2, &d) < 0 || !take(s, '-') || s->len < 4)
		return -EBADMSG;
	if (take_month(s, &m) < 0 || !take(s, '-') || take_number(s, 4, 4, &y) < 0 || d < 1 ||
	    d > 31)
		return -EBADMSG;
	*ret_days = days(y, m + 1, d);
	return 0;
}

int imap_date(struct kurir_str s, int64_t *ret)
{
	int64_t d;

	if (take_date(&s, &d) < 0 || s.len > 0)
		return -EBADMSG;
	*ret = d * 86400000;
	return 0;
}

int imap_date_time(struct kurir_str s, int64_t *ret)
{
	int64_t d, h, m, sec, zone;
	bool west;

	if (take_date(&s, &d) < 0 || !take(&s, ' ') || take_number(&s, 2, 2, &h) < 0 ||
	    !take(&s, ':') || take_number(&s, 2, 2, &m) < 0 || !take(&s, ':') ||
	    take_number(&s, 2, 2, &sec) < 0 || !take(&s, ' '))
		return -EBADMSG;
	west = take(&s, '-');
	if ((!west && !take(&s, '+')) || take_number(&s, 4, 4, &zone) < 0 || s.len > 0)
		return -EBADMSG;
	if (h > 23 || m > 59 || sec > 60 || zone % 100 > 59 || zone > 1400)
		return -EBADMSG;
	zone = (zone / 100 * 60 + zone % 100) * (west ? -1 : 1);
	*ret = (d * 86400 + h * 3600 + m * 60 + sec - zone * 60) * 1000;
	return *ret < 0 ? -EBADMSG : 0;
}

/* White space and comments between the words of a header field. */
static void skip(struct kurir_str *s)
{
	size_t i = 0, depth = 0;

	for (; i < s->len; i++) {
		char c = s->ptr[i];

		if (c == '(')
			depth++;
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth > 0 && c == '\\')
			i++;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			break;
	}
	*s = kurir_str_part(*s, i, s->len);
}

/* Minutes east of Greenwich; what is not known is taken for UTC, as RFC 5322 section 4.3 says. */
static int64_t zone_of(struct kurir_str s)
{
	static const struct {
		const char *name;
		int hours;
	} old[] = { { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 }, { "MST", -7 },
		{ "MDT", -6 }, { "PST", -8 }, { "PDT", -7 } };
	bool west = take(&s, '-');
	int64_t zone;

	if ((west || take(&s, '+')) && take_number(&s, 4, 4, &zone) >= 0)
		return (zone / 100 * 60 + zone % 100) * (west ? -1 : 1);
	for (size_t i = 0; i < sizeof(old) / sizeof(*old); i++)
		if (kurir_str_starts_nocase(s, kurir_str_of(old[i].name)))
			return old[i].hours * 60;
	return 0;
}

/* day month year; two and three digits mean what RFC 5322 section 4.3 says. */
static int take_day(struct kurir_str *s, int64_t *ret_days)
{
	int64_t d, m, y;
	size_t len;

	skip(s);
	if (take_number(s, 1, 2, &d) < 0)
		return -EBADMSG;
	skip(s);
	take(s, '-');
	if (take_month(s, &m) < 0)
		return -EBADMSG;
	skip(s);
	take(s, '-');
	len = s->len;
	if (take_number(s, 2, 4, &y) < 0 || d < 1 || d > 31)
		return -EBADMSG;
	len -= s->len;
	if (len < 4)
		y += len == 2 && y < 50 ? 2000 : 1900;
	*ret_days = days(y, m + 1, d);
	return 0;
}

int imap_message_date(struct kurir_str s, int64_t *ret_when, int64_t *ret_day)
{
	int64_t d, h = 0, m = 0, sec = 0;
	ssize_t comma = kurir_str_find(s, ',');

	s = kurir_str_part(s, (size_t)(comma + 1), s.len);
	if (take_day(&s, &d) < 0)
		return -EBADMSG;
	*ret_day = d * 86400000;
	skip(&s);
	if (take_number(&s, 1, 2, &h) >= 0 && take(&s, ':') && take_number(&s, 1, 2, &m) >= 0 &&
	    take(&s, ':'))
		take_number(&s, 1, 2, &sec);
	skip(&s);
	*ret_when = *ret_day + (h * 3600 + m * 60 + sec - zone_of(s) * 60) * 1000;
	return 0;
}
