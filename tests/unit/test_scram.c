/* test_scram.c - SCRAM-SHA-256: the example of RFC 7677, and what is not quite like it. */
#include "conf_unit.h"

#include <modules/auth_file/auth_file.h>
#include <modules/sasl/sasl.h>

#include <errno.h>

#define S(lit) KURIR_STR(lit)
#define VERIFIER \
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define FINAL "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define PROOF ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static struct kurir_arena *arena;

/* Up to the server's first message. */
static struct scram begun(void)
{
	struct scram_verifier v;
	struct scram s = { .plus = false };

	assert_int_equal(scram_parse(arena, S(VERIFIER), &v), 0);
	assert_int_equal(
	    scram_client_first(&s, arena, S("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), true), 0);
	scram_server_first(&s, arena, S("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"), v.salt, v.iterations);
	return s;
}

static void the_example(void **state)
{
	struct scram s = begun();
	unsigned char signature[SCRAM_KEY];
	struct scram_verifier v;

	(void)state;
	assert_str(s.user, "user");
	assert_str(s.server_first,
	    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
	assert_int_equal(scram_client_final(&s, arena, S(FINAL PROOF), S("")), 0);
	assert_int_equal(scram_parse(arena, S(VERIFIER), &v), 0);
	assert_int_equal(scram_check(&v, s.message, s.proof, signature), 1);
	assert_str(kurir_base64_encode(
		       arena, (struct kurir_str){ (const char *)signature, sizeof(signature) }),
	    "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	s.message = kurir_format(arena, "%.*s ", KURIR_ARG(s.message));
	assert_int_equal(scram_check(&v, s.message, s.proof, signature), 0);
	assert_int_equal(scram_check(&v, s.message, S(""), signature), 0);
	assert_int_equal(scram_check(&v, s.message, S("x"), signature), 0);
}

static void first_messages(void **state)
{
	static const struct {
		const char *text;
		bool plus, offers;
		int result;
	} tries[] = {
		{ "n,a=b=3D=2Cc,n=a=2Cb,r=x", false, true, 0 },
		{ "y,,n=a,r=x,z=1", false, false, 0 },
		{ "p=tls-exporter,,n=a,r=x", true, true, 0 },
		{ "y,,n=a,r=x", false, true, -EACCES },
		{ "p=tls-exporter,,n=a,r=x", false, true, -EBADMSG },
		{ "n,,n=a,r=x", true, true, -EBADMSG },
		{ "y,,n=a,r=x", true, true, -EBADMSG },
		{ "", false, true, -EBADMSG },
		{ "n", false, true, -EBADMSG },
		{ "n,,", false, true, -EBADMSG },
		{ "x,,n=a,r=x", false, true, -EBADMSG },
		{ "n,b=c,n=a,r=x", false, true, -EBADMSG },
		{ "n,a=,n=a,r=x", false, true, -EBADMSG },
		{ "n,,n=,r=x", false, true, -EBADMSG },
		{ "n,,n=a=2,r=x", false, true, -EBADMSG },
		{ "n,,n=a=2c,r=x", false, true, -EBADMSG },
		{ "n,,r=x,n=a", false, true, -EBADMSG },
		{ "n,,n=a,r=", false, true, -EBADMSG },
		{ "n,,n=a,r=x y", false, true, -EBADMSG },
		{ "n,,n=a", false, true, -EBADMSG },
		{ "n,,m=ext,n=a,r=x", false, true, -EBADMSG },
		{ "n,,n=a,r=x,m=ext", false, true, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tries) / sizeof(*tries); i++) {
		struct scram s = { .plus = tries[i].plus };
		int r =
		    scram_client_first(&s, arena, kurir_str_of(tries[i].text), tries[i].offers);

		if (r != tries[i].result)
			fail_msg("%s: %d", tries[i].text, r);
		if (i == 0) {
			assert_str(s.user, "a,b");
			assert_str(s.authzid, "b=,c");
			assert_str(s.gs2, "n,a=b=3D=2Cc,");
		}
		if (i == 2)
			assert_str(s.binding_name, "tls-exporter");
	}
}

static void final_messages(void **state)
{
	static const struct {
		const char *text;
		int result;
	} tries[] = {
		{ FINAL ",x=1" PROOF, 0 },
		{ "", -EBADMSG },
		{ FINAL, -EBADMSG },
		{ FINAL ",p=", -EBADMSG },
		{ FINAL ",p=!", -EBADMSG },
		{ "c=biws,r=rOprNGfwEbeRWgbNEkqO" PROOF, -EACCES },
		{ "c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" PROOF, -EACCES },
		{ "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" PROOF, -EBADMSG },
		{ "c=biws" PROOF, -EBADMSG },
	};
	struct scram s = begun();

	(void)state;
	for (size_t i = 0; i < sizeof(tries) / sizeof(*tries); i++)
		if (scram_client_final(&s, arena, kurir_str_of(tries[i].text), S("")) !=
		    tries[i].result)
			fail_msg("%s", tries[i].text);
	/* It must be bound if we think it is. */
	assert_int_equal(scram_client_final(&s, arena, S(FINAL PROOF), S("x")), -EACCES);
}

static void verifiers(void **state)
{
	static const char *const bad[] = { "", "SCRAM-SHA-256",
		"SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$a:b",
		"SCRAM-SHA-256$1:W22ZaJ0SNY7soEsUEjb6gQ==$a:b", "SCRAM-SHA-256$4096:$a:b",
		"SCRAM-SHA-256$x:W22ZaJ0SNY7soEsUEjb6gQ==$a:b", VERIFIER ":", VERIFIER "x" };
	struct scram_verifier v, w;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (scram_parse(arena, kurir_str_of(bad[i]), &v) >= 0)
			fail_msg("taken: %s", bad[i]);
	scram_decoy(arena, S("secret"), S("a"), 5000, &v);
	scram_decoy(arena, S("secret"), S("a"), 5000, &w);
	assert_true(kurir_str_equal(v.salt, w.salt) && v.salt.len == 16 && v.iterations == 5000);
	scram_decoy(arena, S("secret"), S("b"), 5000, &w);
	assert_false(kurir_str_equal(v.salt, w.salt));
	scram_decoy(arena, S("other"), S("a"), 5000, &w);
	assert_false(kurir_str_equal(v.salt, w.salt));
}

static int setup(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example),
		cmocka_unit_test(first_messages),
		cmocka_unit_test(final_messages),
		cmocka_unit_test(verifiers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
