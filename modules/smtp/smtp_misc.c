/* smtp_misc.c - the commands that take one line each: RSET NOOP QUIT HELP VRFY EXPN
 * (RFC 5321 4.1.1.5 to 4.1.1.10). */
#include "smtp_private.h"

KURIR_PARKS void smtp_rset(struct smtp *s, struct kurir_str args)
{
	(void)args;
	smtp_reset(s);
	smtp_say(s, 250, "2.0.0", "Ok");
}

KURIR_PARKS void smtp_noop(struct smtp *s, struct kurir_str args)
{
	(void)args;
	smtp_say(s, 250, "2.0.0", "Ok");
}

KURIR_PARKS void smtp_quit(struct smtp *s, struct kurir_str args)
{
	(void)args;
	smtp_say(s, 221, "2.0.0", "Bye");
	smtp_close(s, "quit");
}

KURIR_PARKS void smtp_help(struct smtp *s, struct kurir_str args)
{
	(void)args;
	smtp_say(s, 214, "2.0.0",
	    s->kind == SMTP_LMTP
		? "LHLO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP"
		: "EHLO HELO MAIL RCPT DATA BDAT STARTTLS AUTH RSET NOOP QUIT VRFY HELP");
}

/* RFC 5321 3.5.3: an answer that gives nothing away. */
KURIR_PARKS void smtp_vrfy(struct smtp *s, struct kurir_str args)
{
	if (kurir_str_trim(args).len == 0)
		smtp_error(s, 501, "5.5.4", "VRFY needs an address");
	else
		smtp_say(s, 252, "2.5.0", "Cannot verify, but will take mail and try");
}

KURIR_PARKS void smtp_expn(struct smtp *s, struct kurir_str args)
{
	(void)args;
	smtp_error(s, 502, "5.5.1", "Lists are not expanded here");
}
