/* test_policy.c - what policy servers say. */
#include <modules/policy/policy.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct policy_answer a;

static void says(
    const char *text, enum policy_action action, int code, const char *xyz, const char *words)
{
	assert_int_equal(policy_parse(kurir_str_of(text), &a), 0);
	assert_int_equal(a.action, action);
	assert_int_equal(a.code, code);
	assert_string_equal(a.xyz, xyz);
	assert_true(kurir_str_equal(a.text, kurir_str_of(words)));
}

static void actions(void **state)
{
	(void)state;
	says("DUNNO", POLICY_NOTHING, 0, "", "");
	says(" dunno ", POLICY_NOTHING, 0, "", "");
	says("OK", POLICY_OK, 0, "", "");
	says("1", POLICY_OK, 0, "", "");
	says("REJECT", POLICY_REJECT, 0, "", "");
	says("reject go away", POLICY_REJECT, 0, "", "go away");
	says("REJECT 5.7.23 SPF says no", POLICY_REJECT, 0, "5.7.23", "SPF says no");
	says("REJECT 4.7.1 other class", POLICY_REJECT, 0, "", "other class");
	says("550 5.7.1 no", POLICY_REJECT, 550, "5.7.1", "no");
	says("451 4.7.1", POLICY_DEFER, 451, "4.7.1", "");
	says("DEFER_IF_PERMIT Greylisted", POLICY_DEFER, 0, "", "Greylisted");
	says("DEFER_IF_REJECT x", POLICY_NOTHING, 0, "", "x");
	says("DISCARD", POLICY_DISCARD, 0, "", "");
	says("HOLD odd", POLICY_HOLD, 0, "", "odd");
	says("PREPEND Received-SPF: pass (a.example)", POLICY_PREPEND, 0, "", "pass (a.example)");
	assert_true(kurir_str_equal(a.name, KURIR_STR("Received-SPF")));
	says("WARN x y", POLICY_WARN, 0, "", "x y");
	says("REJECT 5.7 x", POLICY_REJECT, 0, "", "5.7 x");
	says("REJECT 5.7.1234 x", POLICY_REJECT, 0, "", "5.7.1234 x");
	says("REJECT 5.7.1.1 x", POLICY_REJECT, 0, "", "5.7.1.1 x");
}

static void rubbish(void **state)
{
	static const char *const bad[] = { "", " ", "FILTER smtp:x", "PREPEND",
		"PREPEND no field", "PREPEND : x", "PREPEND a b: x", "REJECTED", "REDIRECT a@b" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(policy_parse(kurir_str_of(bad[i]), &a), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(actions),
		cmocka_unit_test(rubbish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
