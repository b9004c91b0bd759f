#include "base/testing.h"
#include "wire/ext.h"
#include <time.h>

/* A head with nothing but these Sec-WebSocket-Extensions fields, and others around. */
static void head_of(ln_http1_head *h, const ln_slice *values, size_t count) {
    h->count = 0;
    h->fields[h->count++] = (ln_http1_field){ LN_SLICE("Host"), LN_SLICE("h") };
    for (size_t i = 0; i < count; i++)
        h->fields[h->count++] = (ln_http1_field){ i ? LN_SLICE("sec-websocket-extensions")
                                                    : LN_SLICE("Sec-WebSocket-Extensions"),
            values[i] };
    h->fields[h->count++] = (ln_http1_field){ LN_SLICE("Upgrade"), LN_SLICE("websocket") };
}

#define PMD    "permessage-deflate"
#define S_NO   "server_no_context_takeover"
#define C_NO   "client_no_context_takeover"
#define S_BITS "server_max_window_bits"
#define C_BITS "client_max_window_bits"

static const ln_pmd_policy all_of_it = { true, true, true, 15, 15 };
static const ln_pmd_policy ordinary = { true, false, true, 12, 12 };
static const ln_pmd_policy frugal = { true, false, false, 9, 9 };
static const ln_pmd_policy off = { false, true, true, 15, 15 };

/* ---- server ------------------------------------------------------------------------ */

#define ABNF     NULL /* answer column: 400 */
#define DECLINED ""

typedef struct server_row {
    const char *why;
    ln_slice offer;
    const ln_pmd_policy *policy;
    const char *answer;
    ln_pmd_params params;
} server_row;

static const server_row server_rows[] = {
    { "plain offer", BYTES(PMD), &all_of_it, PMD, { false, false, 15, 15 } },
    { "plain offer, our window is ours", BYTES(PMD), &ordinary, PMD "; " S_NO,
        { true, false, 12, 15 } },
    { "client asked to forget", BYTES(PMD), &frugal, PMD "; " S_NO "; " C_NO,
        { true, true, 9, 15 } },
    { "hint client bits", BYTES(PMD "; " C_BITS), &all_of_it, PMD, { false, false, 15, 15 } },
    { "hint client bits, we want less", BYTES(PMD "; " C_BITS), &ordinary,
        PMD "; " S_NO "; " C_BITS "=12", { true, false, 12, 12 } },
    { "client bits 10", BYTES(PMD "; " C_BITS "=10"), &all_of_it, PMD "; " C_BITS "=10",
        { false, false, 15, 10 } },
    { "client bits 10, we would allow less", BYTES(PMD "; " C_BITS "=10"), &frugal,
        PMD "; " S_NO "; " C_NO "; " C_BITS "=9", { true, true, 9, 9 } },
    { "client bits 8, which the client can", BYTES(PMD "; " C_BITS "=8"), &all_of_it,
        PMD "; " C_BITS "=8", { false, false, 15, 8 } },
    { "client bits 15", BYTES(PMD "; " C_BITS "=15"), &all_of_it, PMD, { false, false, 15, 15 } },
    { "server bits 10", BYTES(PMD "; " S_BITS "=10"), &all_of_it, PMD "; " S_BITS "=10",
        { false, false, 10, 15 } },
    { "server bits 10, ours is less", BYTES(PMD "; " S_BITS "=10"), &frugal,
        PMD "; " S_NO "; " C_NO "; " S_BITS "=9", { true, true, 9, 15 } },
    { "server bits 15", BYTES(PMD "; " S_BITS "=15"), &ordinary, PMD "; " S_NO "; " S_BITS "=12",
        { true, false, 12, 15 } },
    { "server bits 8: zlib cannot", BYTES(PMD "; " S_BITS "=8"), &all_of_it, DECLINED },
    { "server bits 8, then without", BYTES(PMD "; " S_BITS "=8, " PMD), &all_of_it, PMD,
        { false, false, 15, 15 } },
    { "quoted bits", BYTES(PMD "; " S_BITS "=\"10\""), &all_of_it, PMD "; " S_BITS "=10",
        { false, false, 10, 15 } },
    { "quoted and escaped bits", BYTES(PMD "; " S_BITS "=\"\\1\\0\""), &all_of_it,
        PMD "; " S_BITS "=10", { false, false, 10, 15 } },
    { "both flags are echoed", BYTES(PMD "; " C_NO "; " S_NO), &all_of_it, PMD "; " S_NO "; " C_NO,
        { true, true, 15, 15 } },
    { "everything", BYTES(PMD ";" S_NO ";" C_NO ";" S_BITS "=11;" C_BITS "=14"), &all_of_it,
        PMD "; " S_NO "; " C_NO "; " S_BITS "=11; " C_BITS "=14", { true, true, 11, 14 } },
    { "blanks everywhere", BYTES(PMD "\t ;\t" S_BITS " = 10 ,\tx "), &all_of_it,
        PMD "; " S_BITS "=10", { false, false, 10, 15 } },
    { "first acceptable wins", BYTES(PMD "; " S_BITS "=9, " PMD "; " S_BITS "=10"), &all_of_it,
        PMD "; " S_BITS "=9", { false, false, 9, 15 } },
    { "first has a foreign parameter", BYTES(PMD "; foo, " PMD), &all_of_it, PMD,
        { false, false, 15, 15 } },
    { "policy off", BYTES(PMD), &off, DECLINED },
    { "policy off, grammar broken", BYTES(PMD ";;"), &off, ABNF },

    { "T021 other extension", BYTES("x-webkit-deflate-frame"), &all_of_it, DECLINED },
    { "T021 constructor", BYTES("constructor"), &all_of_it, DECLINED },
    { "T021 __proto__", BYTES("__proto__; __proto__=1"), &all_of_it, DECLINED },
    { "T021 name in capitals", BYTES("Permessage-Deflate"), &all_of_it, DECLINED },
    { "T062 unknown parameter", BYTES(PMD "; foo"), &all_of_it, DECLINED },
    { "T062 unknown parameter with a value", BYTES(PMD "; constructor=1"), &all_of_it, DECLINED },
    { "T062 server bits without value", BYTES(PMD "; " S_BITS), &all_of_it, DECLINED },
    { "T062 server bits 7", BYTES(PMD "; " S_BITS "=7"), &all_of_it, DECLINED },
    { "T062 server bits 16", BYTES(PMD "; " S_BITS "=16"), &all_of_it, DECLINED },
    { "T062 server bits 08", BYTES(PMD "; " S_BITS "=08"), &all_of_it, DECLINED },
    { "T062 server bits 010", BYTES(PMD "; " S_BITS "=010"), &all_of_it, DECLINED },
    { "T062 server bits 100", BYTES(PMD "; " S_BITS "=100"), &all_of_it, DECLINED },
    { "T062 server bits 1000000010", BYTES(PMD "; " S_BITS "=1000000010"), &all_of_it, DECLINED },
    { "T062 server bits 15.0", BYTES(PMD "; " S_BITS "=15.0"), &all_of_it, DECLINED },
    { "T062 server bits -1", BYTES(PMD "; " S_BITS "=-1"), &all_of_it, DECLINED },
    { "T062 server bits +9", BYTES(PMD "; " S_BITS "=+9"), &all_of_it, DECLINED },
    { "T062 server bits as a word", BYTES(PMD "; " S_BITS "=ten"), &all_of_it, DECLINED },
    { "T062 server bits twice", BYTES(PMD "; " S_BITS "=10; " S_BITS "=10"), &all_of_it, DECLINED },
    { "T062 client bits 7", BYTES(PMD "; " C_BITS "=7"), &all_of_it, DECLINED },
    { "T062 client bits 16", BYTES(PMD "; " C_BITS "=16"), &all_of_it, DECLINED },
    { "T062 client bits 08", BYTES(PMD "; " C_BITS "=08"), &all_of_it, DECLINED },
    { "T062 client bits twice", BYTES(PMD "; " C_BITS "; " C_BITS), &all_of_it, DECLINED },
    { "T062 flag with a value", BYTES(PMD "; " S_NO "=1"), &all_of_it, DECLINED },
    { "T062 flag twice", BYTES(PMD "; " S_NO "; " S_NO), &all_of_it, DECLINED },
    { "T062 other flag with a value", BYTES(PMD "; " C_NO "=true"), &all_of_it, DECLINED },
    { "T062 other flag twice", BYTES(PMD "; " C_NO "; " C_NO), &all_of_it, DECLINED },
    { "T062 parameter in capitals", BYTES(PMD "; Server_No_Context_Takeover"), &all_of_it,
        DECLINED },
    { "T062 bad first, good second", BYTES(PMD "; " S_BITS "=16, " PMD "; " S_NO), &all_of_it,
        PMD "; " S_NO, { true, false, 15, 15 } },

    { "H12 empty", BYTES(""), &all_of_it, ABNF },
    { "H12 blank", BYTES(" "), &all_of_it, ABNF },
    { "H12 two semicolons", BYTES(PMD ";;"), &all_of_it, ABNF },
    { "H12 semicolon at the end", BYTES(PMD ";"), &all_of_it, ABNF },
    { "H12 comma at the end", BYTES(PMD ","), &all_of_it, ABNF },
    { "H12 comma in front", BYTES("," PMD), &all_of_it, ABNF },
    { "H12 two commas", BYTES(PMD ",," PMD), &all_of_it, ABNF },
    { "H12 two words", BYTES(PMD " foo"), &all_of_it, ABNF },
    { "H12 no value behind =", BYTES(PMD "; " S_BITS "="), &all_of_it, ABNF },
    { "H12 no name before =", BYTES(PMD "; =10"), &all_of_it, ABNF },
    { "H12 equals behind the name", BYTES(PMD "=10"), &all_of_it, ABNF },
    { "H12 two values", BYTES(PMD "; " S_BITS "=10=10"), &all_of_it, ABNF },
    { "H12 no token", BYTES("perme@sage"), &all_of_it, ABNF },
    { "H12 quoted name", BYTES("\"" PMD "\""), &all_of_it, ABNF },
    { "H12 empty quotes", BYTES(PMD "; " S_BITS "=\"\""), &all_of_it, ABNF },
    { "H12 quotes around no token", BYTES(PMD "; a=\"b c\""), &all_of_it, ABNF },
    { "H12 quotes around an escaped no token", BYTES(PMD "; a=\"b\\ c\""), &all_of_it, ABNF },
    { "H12 quotes around a quote", BYTES(PMD "; a=\"\\\"\""), &all_of_it, ABNF },
    { "H12 something behind quotes", BYTES(PMD "; a=\"b\"c"), &all_of_it, ABNF },
    { "T021 unterminated quote", BYTES(PMD "; a=\"b"), &all_of_it, ABNF },
    { "T021 quote that ends in a backslash", BYTES(PMD "; a=\"b\\"), &all_of_it, ABNF },
    { "T021 quote alone", BYTES(PMD "; a=\""), &all_of_it, ABNF },
    { "H12 broken behind a good one", BYTES(PMD ", foo;"), &all_of_it, ABNF },
    { "NUL in a name", BYTES("a\0b"), &all_of_it, ABNF },
};

static bool same(const ln_pmd_params *a, const ln_pmd_params *b) {
    return a->server_no_takeover == b->server_no_takeover &&
           a->client_no_takeover == b->client_no_takeover && a->server_bits == b->server_bits &&
           a->client_bits == b->client_bits;
}

static void the_server_decides(void **state) {
    for (size_t i = 0; i < LN_COUNT(server_rows); i++) {
        const server_row *r = &server_rows[i];
        ln_slice in = ln_test_exact(r->offer);
        ln_http1_head h;
        ln_pmd_params p;
        ln_pmd_text text;
        head_of(&h, &in, 1);
        int expected = !r->answer ? LINNET_ERR_HTTP : *r->answer != 0;
        if (ln_pmd_accept(r->policy, &h, &p, &text) != expected) fail_msg("%s", r->why);
        if (ln_ext_ok(&h) != (expected >= 0)) fail_msg("%s", r->why);
        if (expected > 0) {
            assert_string_equal(text.data, r->answer);
            assert_int_equal(text.size, strlen(r->answer));
            if (!same(&p, &r->params)) fail_msg("%s: params", r->why);
        }
        ln_test_drop(in);
    }
}

/* No cut reads beyond itself, and accept and the grammar agree on each. */
static void offers_cut_at_every_byte(void **state) {
    for (size_t i = 0; i < LN_COUNT(server_rows); i++) {
        for (size_t n = 0; n < server_rows[i].offer.size; n++) {
            ln_slice in = ln_test_exact(ln_slice_sub(server_rows[i].offer, 0, n));
            ln_http1_head h;
            ln_pmd_params p;
            ln_pmd_text text;
            head_of(&h, &in, 1);
            int err = ln_pmd_accept(&all_of_it, &h, &p, &text);
            assert_true(err == 0 || err == 1 || err == LINNET_ERR_HTTP);
            assert_int_equal(ln_ext_ok(&h), err >= 0);
            ln_test_drop(in);
        }
    }
}

static void several_fields_are_one_list(void **state) {
    ln_http1_head h;
    ln_pmd_params p;
    ln_pmd_text text;
    ln_slice two[] = { LN_SLICE("foo, " PMD "; bar"), LN_SLICE(PMD "; " S_NO) };
    head_of(&h, two, 2);
    assert_int_equal(ln_pmd_accept(&all_of_it, &h, &p, &text), 1);
    assert_string_equal(text.data, PMD "; " S_NO);

    ln_slice broken[] = { LN_SLICE(PMD), LN_SLICE("") };
    head_of(&h, broken, 2);
    assert_int_equal(ln_pmd_accept(&all_of_it, &h, &p, &text), LINNET_ERR_HTTP);
    assert_false(ln_ext_ok(&h));

    head_of(&h, NULL, 0);
    assert_int_equal(ln_pmd_accept(&all_of_it, &h, &p, &text), 0);
    assert_true(ln_ext_ok(&h));
}

/* Whatever the policy and the offer, the answer keeps to both and our own client takes it. */
static void every_policy_against_every_offer(void **state) {
    for (unsigned c = 0; c < 4 * 49; c++) {
        ln_pmd_policy theirs = { true, c & 1, c >> 1 & 1, (uint8_t)(9 + c / 4 % 7),
            (uint8_t)(9 + c / 28) };
        ln_pmd_text offer, answer;
        ln_pmd_offer(&theirs, &offer);
        assert_true(offer.size < LN_PMD_TEXT_MAX);
        for (unsigned s = 0; s < 4 * 49; s++) {
            ln_pmd_policy ours = { true, s & 1, s >> 1 & 1, (uint8_t)(9 + s / 4 % 7),
                (uint8_t)(9 + s / 28) };
            ln_http1_head request, response;
            ln_pmd_params p, q;
            ln_slice value = ln_pmd_slice(&offer);
            head_of(&request, &value, 1);
            assert_int_equal(ln_pmd_accept(&ours, &request, &p, &answer), 1);
            assert_true(p.server_bits <= ours.server_bits_max);
            assert_true(p.server_bits <= theirs.server_bits_max);
            assert_true(p.server_no_takeover || (ours.server_takeover && theirs.server_takeover));
            value = ln_pmd_slice(&answer);
            head_of(&response, &value, 1);
            assert_int_equal(ln_pmd_verify(&theirs, &response, &q), 1);
            /* what each sends with, the other can read */
            assert_true(q.client_bits <= p.client_bits && p.server_bits <= q.server_bits);
            assert_int_equal(p.server_no_takeover, q.server_no_takeover);
            assert_true(q.client_no_takeover || !p.client_no_takeover);
        }
    }
}

/* THREATS row 21: time grows as the input does. Counted in CPU time, with room for noise;
 * a quadratic scanner would be at 64 times here. */
static void t021_time_is_linear(void **state) {
    static const char *const fills[] = { " ", ",", "\"", "a;", "\\", "a,", "a=\"b\";", ";", "\t," };
    char *text = malloc(64 * 8192);
    for (size_t f = 0; f < LN_COUNT(fills); f++) {
        struct timespec a, b, c;
        size_t n = strlen(fills[f]);
        for (size_t i = 0; i < 64 * 8192; i++)
            text[i] = fills[f][i % n];
        memcpy(text, "x;", 2);
        ln_http1_head h;
        ln_slice small = ln_slice_of(text, 8192), large = ln_slice_of(text, 64 * 8192);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        for (int i = 0; i < 64; i++) {
            head_of(&h, &small, 1);
            ln_ext_ok(&h);
        }
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        head_of(&h, &large, 1);
        ln_ext_ok(&h);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &c);
        int64_t many = (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
        int64_t once = (c.tv_sec - b.tv_sec) * 1000000000 + c.tv_nsec - b.tv_nsec;
        assert_true(once < 8 * many + 20000000);
    }
    free(text);
}

/* ---- client ------------------------------------------------------------------------ */

static void the_client_offers(void **state) {
    static const struct {
        const char *why;
        ln_pmd_policy policy;
        const char *offer;
    } rows[] = {
        { "off", { false, true, true, 15, 15 }, "" },
        { "the usual", { true, true, true, 15, 15 }, PMD "; " C_BITS },
        { "no takeover", { true, false, false, 15, 15 }, PMD "; " S_NO "; " C_NO "; " C_BITS },
        { "windows", { true, true, true, 9, 10 }, PMD "; " S_BITS "=9; " C_BITS "=10" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_pmd_text text;
        ln_pmd_offer(&rows[i].policy, &text);
        if (strcmp(text.data, rows[i].offer) != 0) fail_msg("%s: %s", rows[i].why, text.data);
        assert_int_equal(text.size, strlen(text.data));
    }
}

#define EXTENSION LINNET_ERR_UPGRADE_EXTENSION
#define HEADER    LINNET_ERR_UPGRADE_HEADER

static const ln_pmd_policy forgetful = { true, false, false, 15, 15 };
static const ln_pmd_policy narrow = { true, true, true, 10, 11 };

typedef struct client_row {
    const char *why;
    ln_slice answer;
    const ln_pmd_policy *policy;
    int err;
    ln_pmd_params params;
} client_row;

static const client_row client_rows[] = {
    { "C6 accepted plain", BYTES(PMD), &all_of_it, 1, { false, false, 15, 15 } },
    { "C6 with all", BYTES(PMD "; " S_NO "; " C_NO "; " S_BITS "=9; " C_BITS "=10"), &all_of_it, 1,
        { true, true, 9, 10 } },
    { "server bits unasked", BYTES(PMD "; " S_BITS "=8"), &all_of_it, 1, { false, false, 8, 15 } },
    { "quoted", BYTES(PMD "; " C_BITS "=\"9\""), &all_of_it, 1, { false, false, 15, 9 } },
    { "asked to forget, and does", BYTES(PMD "; " S_NO), &forgetful, 1, { true, true, 15, 15 } },
    { "windows kept", BYTES(PMD "; " S_BITS "=10; " C_BITS "=11"), &narrow, 1,
        { false, false, 10, 11 } },
    { "windows smaller", BYTES(PMD "; " S_BITS "=9; " C_BITS "=9"), &narrow, 1,
        { false, false, 9, 9 } },
    { "client window not named: we keep to our own", BYTES(PMD "; " S_BITS "=10"), &narrow, 1,
        { false, false, 10, 11 } },

    { "C6 not offered", BYTES(PMD), &off, EXTENSION },
    { "C6 other extension", BYTES("x-webkit-deflate-frame"), &all_of_it, EXTENSION },
    { "C6 two extensions", BYTES(PMD ", foo"), &all_of_it, EXTENSION },
    { "C6 twice the same", BYTES(PMD ", " PMD), &all_of_it, EXTENSION },
    { "T062 unknown parameter", BYTES(PMD "; foo"), &all_of_it, EXTENSION },
    { "T062 server bits without value", BYTES(PMD "; " S_BITS), &all_of_it, EXTENSION },
    { "T062 server bits 7", BYTES(PMD "; " S_BITS "=7"), &all_of_it, EXTENSION },
    { "T062 server bits 16", BYTES(PMD "; " S_BITS "=16"), &all_of_it, EXTENSION },
    { "T062 server bits 010", BYTES(PMD "; " S_BITS "=010"), &all_of_it, EXTENSION },
    { "T062 server bits 15.0", BYTES(PMD "; " S_BITS "=15.0"), &all_of_it, EXTENSION },
    { "T062 client bits without value", BYTES(PMD "; " C_BITS), &all_of_it, EXTENSION },
    { "T062 client bits 8, which zlib cannot", BYTES(PMD "; " C_BITS "=8"), &all_of_it, EXTENSION },
    { "T062 client bits 16", BYTES(PMD "; " C_BITS "=16"), &all_of_it, EXTENSION },
    { "T062 client bits twice", BYTES(PMD "; " C_BITS "=9; " C_BITS "=9"), &all_of_it, EXTENSION },
    { "T062 flag with a value", BYTES(PMD "; " S_NO "=1"), &all_of_it, EXTENSION },
    { "T062 flag twice", BYTES(PMD "; " C_NO "; " C_NO), &all_of_it, EXTENSION },
    { "server bits larger than offered", BYTES(PMD "; " S_BITS "=11"), &narrow, EXTENSION },
    { "server bits not echoed", BYTES(PMD), &narrow, EXTENSION },
    { "client bits larger than offered", BYTES(PMD "; " S_BITS "=10; " C_BITS "=12"), &narrow,
        EXTENSION },
    { "server takeover not echoed", BYTES(PMD "; " C_NO), &forgetful, EXTENSION },
    { "H12 empty", BYTES(""), &all_of_it, HEADER },
    { "H12 two semicolons", BYTES(PMD ";;"), &all_of_it, HEADER },
    { "H12 unterminated quote", BYTES(PMD "; a=\"b"), &all_of_it, HEADER },
    { "H12 comma at the end", BYTES(PMD ","), &all_of_it, HEADER },
    { "H12 broken behind one too many", BYTES(PMD ", foo, b\x1a"), &all_of_it, HEADER },
};

static void the_client_verifies(void **state) {
    for (size_t i = 0; i < LN_COUNT(client_rows); i++) {
        const client_row *r = &client_rows[i];
        ln_slice in = ln_test_exact(r->answer);
        ln_http1_head h;
        ln_pmd_params p = { .client_bits = 99 };
        head_of(&h, &in, 1);
        if (ln_pmd_verify(r->policy, &h, &p) != r->err) fail_msg("%s", r->why);
        if (r->err == 1 && !same(&p, &r->params)) fail_msg("%s: params", r->why);
        if (r->err != 1) assert_int_equal(p.client_bits, 99);
        ln_test_drop(in);
    }
    ln_http1_head h;
    ln_pmd_params p;
    ln_slice two[] = { LN_SLICE(PMD), LN_SLICE(PMD) };
    head_of(&h, two, 2);
    assert_int_equal(ln_pmd_verify(&all_of_it, &h, &p), HEADER); /* M7 */
    head_of(&h, NULL, 0);
    assert_int_equal(ln_pmd_verify(&all_of_it, &h, &p), 0);
    assert_int_equal(ln_pmd_verify(&off, &h, &p), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_decides),
        cmocka_unit_test(offers_cut_at_every_byte),
        cmocka_unit_test(several_fields_are_one_list),
        cmocka_unit_test(every_policy_against_every_offer),
        cmocka_unit_test(t021_time_is_linear),
        cmocka_unit_test(the_client_offers),
        cmocka_unit_test(the_client_verifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
