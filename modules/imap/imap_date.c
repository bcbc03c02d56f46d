/* imap_date.c - dates in commands and replies.
 *
 *   date      = date-day "-" date-month "-" date-year               ; RFC 3501 section 9
 *   date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE */

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

static int take_date(struct kurir_str *s, int64_t *ret_days)
{
	int64_t d, y, m = 0;

	take(s, ' ');
	if (take_number(s, 1, 2, &d) < 0 || !take(s, '-') || s->len < 4)
		return -EBADMSG;
	while (m < 12 &&
	    !kurir_str_equal_nocase(
		kurir_str_part(*s, 0, 3), (struct kurir_str){ months + m * 3, 3 }))
		m++;
	*s = kurir_str_part(*s, 3, s->len);
	if (m == 12 || !take(s, '-') || take_number(s, 4, 4, &y) < 0 || d < 1 || d > 31)
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
