/* frozen_plus.cc - a module of the 1.0 in C++. */
#include <kurir/smtp.h>

#include <string>

static int helo(struct kurir_self *self, struct kurir_conn *conn, struct kurir_str name)
{
	std::string said(name.ptr, name.len);

	(void)kurir_log(self, KURIR_INFO, 0, "hello, %s", said.c_str());
	(void)conn;
	return KURIR_NEXT;
}

static const struct kurir_smtp_hooks hooks = { .size = sizeof(hooks), .helo = helo };

KURIR_MODULE(frozen_plus, .version = "1.0", .summary = "C++ as 1.0 took it",
    .roles = KURIR_ROLE_EDGE, .smtp = &hooks);
