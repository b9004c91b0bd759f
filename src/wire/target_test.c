#include "base/testing.h"
#include "wire/target.h"

static void t028_paths(void **state) {
    static const struct {
        const char *why;
        ln_slice in;
        bool ok;
    } rows[] = {
        { "root", BYTES("/"), true },
        { "trailing slash", BYTES("/socket.io/"), true },
        { "dots that are no segment", BYTES("/a..b/.hidden/..."), true },
        { "escaped text", BYTES("/%C3%A4%e2%82%ac/%F0%9F%98%80"), true },
        { "escaped slash", BYTES("/feed/a%2Fb"), true },
        { "raw UTF-8", BYTES("/\xc3\xa4"), true },
        { "empty", BYTES(""), false },
        { "relative", BYTES("a"), false },
        { "NUL", BYTES("/a%00b"), false },
        { "CR LF", BYTES("/a%0d%0ab"), false },
        { "DEL", BYTES("/%7f"), false },
        { "parent", BYTES("/.."), false },
        { "parent inside", BYTES("/a/../b"), false },
        { "escaped parent", BYTES("/%2e%2e/"), false },
        { "half escaped parent", BYTES("/a/.%2E"), false },
        { "parent behind an escaped slash", BYTES("/a%2f.."), false },
        { "here", BYTES("/./a"), false },
        { "here at the end", BYTES("/a/."), false },
        { "backslash", BYTES("/..\\x"), false },
        { "escaped backslash", BYTES("/a%5cb"), false },
        { "double slash", BYTES("//"), false },
        { "double slash inside", BYTES("/a//b"), false },
        { "double slash, one escaped", BYTES("/a/%2fb"), false },
        { "overlong slash", BYTES("/%c0%af"), false },
        { "overlong dot", BYTES("/%c0%ae%c0%ae/"), false },
        { "surrogate", BYTES("/%ed%a0%80"), false },
        { "cut code point", BYTES("/a%c3"), false },
        { "cut code point before a slash", BYTES("/a%c3/b"), false },
        { "lone continuation", BYTES("/%80"), false },
        { "half an escape", BYTES("/%4"), false },
        { "percent alone", BYTES("/a%"), false },
        { "no hex", BYTES("/%zz"), false },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice in = ln_test_exact(rows[i].in);
        if (ln_target_path_ok(in) != rows[i].ok) fail_msg("%s", rows[i].why);
        ln_test_drop(in);
    }
}

static void t028_queries(void **state) {
    char many[4 * 66];
    for (size_t i = 0; i < 66; i++)
        memcpy(many + 4 * i, "k=v&", 4);
    assert_true(ln_target_query_ok(ln_slice_of(many, 4 * 64)));
    assert_false(ln_target_query_ok(ln_slice_of(many, 4 * 64 + 1)));
    assert_true(ln_target_query_ok(LN_SLICE("")));
    assert_true(ln_target_query_ok(LN_SLICE("&&&a=%00%ff&=&")));
    assert_false(ln_target_query_ok(LN_SLICE("a=%")));
    assert_false(ln_target_query_ok(LN_SLICE("a=%1")));
    assert_false(ln_target_query_ok(LN_SLICE("%g0=1")));

    ln_slice q = LN_SLICE("sid=1&s%69d=2&b&=x&c=d=e&&%73id%00=3&a+b=5"), k, v, value = { 0 };
    static const char *const pairs[][2] = { { "sid", "1" }, { "s%69d", "2" }, { "b", "" },
        { "", "x" }, { "c", "d=e" }, { "%73id%00", "3" }, { "a+b", "5" } };
    ln_slice rest = q;
    for (size_t i = 0; i < LN_COUNT(pairs); i++) {
        assert_true(ln_target_next(&rest, &k, &v));
        assert_true(ln_slice_eq(k, ln_slice_str(pairs[i][0])));
        assert_true(ln_slice_eq(v, ln_slice_str(pairs[i][1])));
    }
    assert_false(ln_target_next(&rest, &k, &v));

    assert_int_equal(ln_target_find(q, LN_SLICE("sid"), &value), 2); /* repeated: a 400 */
    assert_true(ln_slice_eq(value, LN_SLICE("1")));
    assert_int_equal(ln_target_find(q, LN_SLICE("a b"), &value), 1);
    assert_true(ln_slice_eq(value, LN_SLICE("5")));
    assert_int_equal(ln_target_find(q, LN_SLICE("si"), NULL), 0);
    assert_int_equal(ln_target_find(q, LN_SLICE("sidx"), NULL), 0);
    assert_int_equal(ln_target_find((ln_slice){ 0 }, LN_SLICE("a"), NULL), 0);
}

static void text_is_unescaped(void **state) {
    static const struct {
        const char *why;
        ln_slice in;
        bool plus;
        ln_slice out;
    } rows[] = {
        { "plain", BYTES("abc"), true, BYTES("abc") },
        { "escapes", BYTES("%41%c3%A4"), false, BYTES("A\xc3\xa4") },
        { "plus in a query", BYTES("a+b%2B"), true, BYTES("a b+") },
        { "plus in a path", BYTES("a+b"), false, BYTES("a+b") },
        { "escaped percent is not unescaped again", BYTES("%2541"), true, BYTES("%41") },
        { "broken escapes stay", BYTES("%4%zz%"), true, BYTES("%4%zz%") },
        { "NUL", BYTES("%00"), true, BYTES("\0") },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice in = ln_test_exact(rows[i].in);
        uint8_t *room = malloc(in.size);
        size_t n = ln_target_unescape(in, rows[i].plus, room);
        if (!ln_slice_eq(ln_slice_of(room, n), rows[i].out)) fail_msg("%s", rows[i].why);
        free(room);
        ln_test_drop(in);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t028_paths),
        cmocka_unit_test(t028_queries),
        cmocka_unit_test(text_is_unescaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
