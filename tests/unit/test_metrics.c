/* test_metrics.c - the head of an HTTP request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include <modules/metrics/metrics.h>

static void requests(void **state)
{
	static const struct {
		const char *line;
		int result;
		const char *path;
		bool host;
	} of[] = {
		{ "GET /metrics HTTP/1.1", 0, "/metrics", true },
		{ "GET /metrics HTTP/1.0", 0, "/metrics", false },
		{ "HEAD /metrics?x=/y HTTP/1.1", 0, "/metrics", true },
		{ "GET http://h:1/metrics?x HTTP/1.1", 0, "/metrics", true },
		{ "GET http://h HTTP/1.1", 0, "/", true },
		{ "OPTIONS * HTTP/1.1", 0, "*", true },
		{ "GET /metrics HTTP/2.0", -EPROTO, "", false },
		{ "GET /metrics HTTP/1.10", -EPROTO, "", false },
		{ "GET /metrics HTTP/1.x", -EPROTO, "", false },
		{ "GET /metrics http/1.1", -EPROTO, "", false },
		{ "GET /metrics", -EINVAL, "", false },
		{ "GET  HTTP/1.1", -EINVAL, "", false },
		{ " / HTTP/1.1", -EINVAL, "", false },
		{ "G(T / HTTP/1.1", -EINVAL, "", false },
		{ "GET /a b HTTP/1.1", -EINVAL, "", false },
		{ "GET /\xc3\xbc HTTP/1.1", -EINVAL, "", false },
		{ "", -EINVAL, "", false },
	};
	struct metrics_request q;

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		assert_int_equal(metrics_request(kurir_str_of(of[i].line), &q), of[i].result);
		if (of[i].result < 0)
			continue;
		assert_true(kurir_str_equal(q.path, kurir_str_of(of[i].path)));
		assert_int_equal(q.host_needed, of[i].host);
	}
}

static void fields(void **state)
{
	const struct kurir_str host = KURIR_STR("Host");

	(void)state;
	assert_int_equal(metrics_field(KURIR_STR("host:x"), host), 1);
	assert_int_equal(metrics_field(KURIR_STR("HOST: x:y"), host), 1);
	assert_int_equal(metrics_field(KURIR_STR("Hosts: x"), host), 0);
	assert_int_equal(metrics_field(KURIR_STR("Host : x"), host), -EINVAL);
	assert_int_equal(metrics_field(KURIR_STR(" Host: x"), host), -EINVAL);
	assert_int_equal(metrics_field(KURIR_STR(":"), host), -EINVAL);
	assert_int_equal(metrics_field(KURIR_STR("Host"), host), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
