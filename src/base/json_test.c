#include "base/json.h"
#include "base/rand.h"
#include "base/testing.h"
#include <stdio.h>

#define OK  LINNET_OK
#define BAD LINNET_ERR_JSON

#define TEN(x)    x x x x x x x x x x
#define SIXTY(x)  TEN(x) TEN(x) TEN(x) TEN(x) TEN(x) TEN(x)
#define DEEP64(x) SIXTY(x) x x x x
#define DIGITS64  TEN("1") TEN("1") TEN("1") TEN("1") TEN("1") TEN("1") "1111"

typedef struct row {
    const char *why;
    ln_slice in;
    int err;
} row;

static const row rows[] = {
    /* one value and white space */
    { "nothing", BYTES(""), BAD },
    { "white space only", BYTES(" \t\r\n"), BAD },
    { "null", BYTES("null"), OK },
    { "true in white space", BYTES(" \t\r\ntrue \t\r\n"), OK },
    { "false", BYTES("false"), OK },
    { "vertical tab is no white space", BYTES("\v1"), BAD },
    { "form feed is no white space", BYTES("1\f"), BAD },
    { "no-break space is no white space", BYTES("\xc2\xa0\x31"), BAD },
    { "NUL behind the value", BYTES("1\0"), BAD },
    { "NUL before the value", BYTES("\0001"), BAD },
    { "byte order mark", BYTES("\xef\xbb\xbf{}"), BAD },
    { "UTF-16", BYTES("[\0]\0"), BAD },
    { "two values", BYTES("1 2"), BAD },
    { "a comma behind", BYTES("1,"), BAD },
    { "a bracket behind", BYTES("[]]"), BAD },
    { "a brace behind", BYTES("{}}"), BAD },
    { "line comment", BYTES("1 // one"), BAD },
    { "block comment", BYTES("[/* */]"), BAD },
    { "hash comment", BYTES("1 #"), BAD },
    { "capital True", BYTES("True"), BAD },
    { "capital NULL", BYTES("NULL"), BAD },
    { "cut word", BYTES("tru"), BAD },
    { "long word", BYTES("truee"), BAD },
    { "two words", BYTES("truefalse"), BAD },
    { "other word", BYTES("undefined"), BAD },
    { "bare word", BYTES("a"), BAD },
    { "high byte alone", BYTES("\xff"), BAD },
    { "control byte alone", BYTES("\x01"), BAD },
    { "semicolon", BYTES("1;"), BAD },
    /* numbers */
    { "zero", BYTES("0"), OK },
    { "minus zero", BYTES("-0"), OK },
    { "integer", BYTES("1234567890"), OK },
    { "negative", BYTES("-1"), OK },
    { "fraction", BYTES("0.5"), OK },
    { "long fraction", BYTES("3.14159"), OK },
    { "exponent", BYTES("1e5"), OK },
    { "capital exponent", BYTES("1E5"), OK },
    { "positive exponent", BYTES("1e+5"), OK },
    { "negative exponent", BYTES("-1.5e-05"), OK },
    { "zero with exponent", BYTES("0e0"), OK },
    { "beyond any double", BYTES("1e99999"), OK },
    { "beyond 64 bits", BYTES("123456789012345678901234567890"), OK },
    { "64 characters", BYTES(DIGITS64), OK },
    { "65 characters", BYTES(DIGITS64 "1"), LINNET_ERR_LIMIT },
    { "65 characters of fraction", BYTES("0." DIGITS64), LINNET_ERR_LIMIT },
    { "65 characters of exponent", BYTES("1e" DIGITS64), LINNET_ERR_LIMIT },
    { "leading zero", BYTES("01"), BAD },
    { "leading zero behind minus", BYTES("-01"), BAD },
    { "two zeros", BYTES("00"), BAD },
    { "plus", BYTES("+1"), BAD },
    { "minus alone", BYTES("-"), BAD },
    { "two minuses", BYTES("--1"), BAD },
    { "minus and a space", BYTES("- 1"), BAD },
    { "no integer part", BYTES(".5"), BAD },
    { "no integer part behind minus", BYTES("-.5"), BAD },
    { "no fraction", BYTES("1."), BAD },
    { "no fraction before exponent", BYTES("1.e5"), BAD },
    { "two points", BYTES("1.2.3"), BAD },
    { "no exponent", BYTES("1e"), BAD },
    { "signed nothing", BYTES("1e+"), BAD },
    { "two exponents", BYTES("1e5e5"), BAD },
    { "two signs", BYTES("1e+-5"), BAD },
    { "fractional exponent", BYTES("1e5.5"), BAD },
    { "hexadecimal", BYTES("0x1F"), BAD },
    { "octal", BYTES("0o7"), BAD },
    { "NaN", BYTES("NaN"), BAD },
    { "Infinity", BYTES("Infinity"), BAD },
    { "-Infinity", BYTES("-Infinity"), BAD },
    { "thousands", BYTES("1_000"), BAD },
    { "comma in a number", BYTES("1,000"), BAD },
    { "letter behind", BYTES("1a"), BAD },
    { "fullwidth digit", BYTES("\xef\xbc\x91"), BAD },
    /* strings */
    { "empty string", BYTES("\"\""), OK },
    { "ASCII", BYTES("\"abc\""), OK },
    { "over eight bytes", BYTES("\"abcdefghijklmnopqrstuvwxyz\""), OK },
    { "DEL", BYTES("\"\x7f\""), OK },
    { "slash, plain", BYTES("\"/\""), OK },
    { "apostrophe inside", BYTES("\"it's\""), OK },
    { "two bytes", BYTES("\"\xc3\xa9\""), OK },
    { "three bytes", BYTES("\"\xe2\x82\xac\""), OK },
    { "four bytes", BYTES("\"\xf0\x9f\x98\x80\""), OK },
    { "line separator, plain", BYTES("\"\xe2\x80\xa8\""), OK },
    { "noncharacter", BYTES("\"\xef\xbf\xbf\""), OK },
    { "not closed", BYTES("\"abc"), BAD },
    { "quote alone", BYTES("\""), BAD },
    { "backslash last", BYTES("\"\\"), BAD },
    { "closing quote escaped", BYTES("\"abc\\\""), BAD },
    { "apostrophes", BYTES("'abc'"), BAD },
    { "not opened", BYTES("abc\""), BAD },
    { "line feed", BYTES("\"a\nb\""), BAD },
    { "tab", BYTES("\"a\tb\""), BAD },
    { "NUL", BYTES("\"a\0b\""), BAD },
    { "unit separator", BYTES("\"\x1f\""), BAD },
    { "control byte in the second word", BYTES("\"12345678abc\x1f\""), BAD },
    { "control byte behind a high byte", BYTES("\"\xc3\xa9\x01\""), BAD },
    { "lone continuation", BYTES("\"\x80\""), BAD },
    { "overlong", BYTES("\"\xc0\xaf\""), BAD },
    { "surrogate in UTF-8", BYTES("\"\xed\xa0\x80\""), BAD },
    { "above U+10FFFF", BYTES("\"\xf4\x90\x80\x80\""), BAD },
    { "cut by the quote", BYTES("\"\xe2\x82\""), BAD },
    { "cut by an escape", BYTES("\"\xe2\x82\\n\""), BAD },
    { "cut by the end", BYTES("\"\xe2\x82"), BAD },
    { "Latin-1", BYTES("\"\xe9\""), BAD },
    { "bad byte far behind", BYTES("\"0123456789abcdef0123456789\xff\""), BAD },
    { "bad byte in a key", BYTES("{\"\xff\":1}"), BAD },
    /* escapes */
    { "all short escapes", BYTES("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), OK },
    { "u escape", BYTES("\"\\u0041\""), OK },
    { "both cases of digits", BYTES("\"\\uaBcD\""), OK },
    { "NUL escaped", BYTES("\"\\u0000\""), OK },
    { "surrogate pair", BYTES("\"\\ud83d\\ude00\""), OK },
    { "first pair", BYTES("\"\\uD800\\uDC00\""), OK },
    { "last pair", BYTES("\"\\uDBFF\\uDFFF\""), OK },
    { "around the surrogates", BYTES("\"\\uD7FF\\uE000\""), OK },
    { "noncharacter escaped", BYTES("\"\\uFFFF\""), OK },
    { "backslash before the quote", BYTES("\"\\\\\""), OK },
    { "lone high surrogate", BYTES("\"\\ud83d\""), BAD },
    { "lone low surrogate", BYTES("\"\\ude00\""), BAD },
    { "pair in the wrong order", BYTES("\"\\ude00\\ud83d\""), BAD },
    { "two high surrogates", BYTES("\"\\ud83d\\ud83d\""), BAD },
    { "high surrogate, then a letter", BYTES("\"\\ud83dabcdef\""), BAD },
    { "high surrogate, then another escape", BYTES("\"\\ud83d\\n12345\""), BAD },
    { "high surrogate, then U+0041", BYTES("\"\\ud83d\\u0041\""), BAD },
    { "high surrogate, then a cut escape", BYTES("\"\\ud83d\\ude0\""), BAD },
    { "three digits", BYTES("\"\\u041\""), BAD },
    { "no digits", BYTES("\"\\u\""), BAD },
    { "digits cut by the end", BYTES("\"\\u00"), BAD },
    { "not a digit", BYTES("\"\\u004g\""), BAD },
    { "sign among digits", BYTES("\"\\u+041\""), BAD },
    { "capital U", BYTES("\"\\U0041\""), BAD },
    { "braces", BYTES("\"\\u{41}\""), BAD },
    { "x escape", BYTES("\"\\x41\""), BAD },
    { "a escape", BYTES("\"\\a\""), BAD },
    { "v escape", BYTES("\"\\v\""), BAD },
    { "zero escape", BYTES("\"\\0\""), BAD },
    { "apostrophe escape", BYTES("\"\\'\""), BAD },
    { "escaped line end", BYTES("\"\\\n\""), BAD },
    { "escaped NUL", BYTES("\"\\\0\""), BAD },
    { "escaped high byte", BYTES("\"\\\xc3\xa9\""), BAD },
    { "escape outside", BYTES("\\n"), BAD },
    { "escaped quotes around", BYTES("\\\"a\\\""), BAD },
    /* arrays */
    { "empty array", BYTES("[]"), OK },
    { "empty array with space", BYTES("[ \n]"), OK },
    { "one element", BYTES("[1]"), OK },
    { "all kinds", BYTES("[null, true, false, -1.5e3, \"x\", [], {}]"), OK },
    { "nested", BYTES("[[[[1],2],3],4]"), OK },
    { "64 deep", BYTES(DEEP64("[") DEEP64("]")), OK },
    { "65 deep", BYTES(DEEP64("[") "[]" DEEP64("]")), LINNET_ERR_LIMIT },
    { "65 deep and not closed", BYTES(DEEP64("[") "["), LINNET_ERR_LIMIT },
    { "64 deep with an object", BYTES(SIXTY("[") "[[[{}]]]" SIXTY("]")), OK },
    { "65 deep with an object", BYTES(SIXTY("[") "[[[[{}]]]]" SIXTY("]")), LINNET_ERR_LIMIT },
    { "not closed", BYTES("[1"), BAD },
    { "not closed behind a comma", BYTES("[1,"), BAD },
    { "bracket alone", BYTES("["), BAD },
    { "closing alone", BYTES("]"), BAD },
    { "comma at the end", BYTES("[1,]"), BAD },
    { "comma at the start", BYTES("[,1]"), BAD },
    { "comma alone", BYTES("[,]"), BAD },
    { "two commas", BYTES("[1,,2]"), BAD },
    { "no comma", BYTES("[1 2]"), BAD },
    { "colon for a comma", BYTES("[1:2]"), BAD },
    { "wrong bracket", BYTES("[1}"), BAD },
    { "wrong bracket inside", BYTES("[{]}"), BAD },
    { "a member in an array", BYTES("[\"a\":1]"), BAD },
    { "leading zero inside", BYTES("[01]"), BAD },
    { "minus before the bracket", BYTES("[-]"), BAD },
    { "words run together", BYTES("[nullnull]"), BAD },
    { "parentheses", BYTES("(1)"), BAD },
    /* objects */
    { "empty object", BYTES("{}"), OK },
    { "empty object with space", BYTES("{\t}"), OK },
    { "one member", BYTES("{\"a\":1}"), OK },
    { "space everywhere", BYTES(" { \"a\" : 1 , \"b\" : [ ] } "), OK },
    { "duplicate keys", BYTES("{\"a\":1,\"a\":2}"), OK },
    { "empty key", BYTES("{\"\":0}"), OK },
    { "escaped key", BYTES("{\"\\u0061\\n\":0}"), OK },
    { "object in object", BYTES("{\"a\":{\"b\":{}}}"), OK },
    { "not closed", BYTES("{"), BAD },
    { "not closed behind a key", BYTES("{\"a\""), BAD },
    { "not closed behind a colon", BYTES("{\"a\":"), BAD },
    { "not closed behind a value", BYTES("{\"a\":1"), BAD },
    { "not closed behind a comma", BYTES("{\"a\":1,"), BAD },
    { "comma at the end", BYTES("{\"a\":1,}"), BAD },
    { "comma at the start", BYTES("{,\"a\":1}"), BAD },
    { "two commas", BYTES("{\"a\":1,,\"b\":2}"), BAD },
    { "no comma", BYTES("{\"a\":1 \"b\":2}"), BAD },
    { "no colon", BYTES("{\"a\" 1}"), BAD },
    { "two colons", BYTES("{\"a\"::1}"), BAD },
    { "equals sign", BYTES("{\"a\"=1}"), BAD },
    { "no value", BYTES("{\"a\":}"), BAD },
    { "no value behind a comma", BYTES("{\"a\",\"b\":1}"), BAD },
    { "value alone", BYTES("{1}"), BAD },
    { "key of a number", BYTES("{1:1}"), BAD },
    { "key of a word", BYTES("{a:1}"), BAD },
    { "key of null", BYTES("{null:1}"), BAD },
    { "key in apostrophes", BYTES("{'a':1}"), BAD },
    { "key of an array", BYTES("{[]:1}"), BAD },
    { "control byte in a key", BYTES("{\"\x01\":1}"), BAD },
    { "wrong bracket", BYTES("{\"a\":1]"), BAD },
    { "closing alone", BYTES("}"), BAD },
    { "dots", BYTES("{...}"), BAD },
    { "trailing text", BYTES("{\"a\":1} x"), BAD },
    { "trailing NUL", BYTES("{}\0"), BAD },
};

static void rows_are_accepted_or_refused(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice in = ln_test_exact(rows[i].in);
        ln_json_value top = { .kind = (ln_json_kind)99 };
        int err = ln_json_check(in, &top);
        if (err != rows[i].err) fail_msg("%s: %s", rows[i].why, linnet_errname(err));
        if (err < 0) assert_int_equal(top.kind, 99); /* untouched */
        ln_test_drop(in);
    }
}

/* Every row in an array and in an object, with something behind: the same verdict (except
 * for the deep ones, which are one deeper). */
static void rows_keep_their_verdict_inside(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        if (ln_slice_find(rows[i].in, '[') == 0 && rows[i].in.size > 60) continue; /* depth */
        for (int object = 0; object < 2; object++) {
            ln_buf b;
            ln_buf_init(&b, 4096);
            ln_buf_add(&b, object ? LN_SLICE("{\"k\":") : LN_SLICE("["));
            ln_buf_add(&b, rows[i].in);
            ln_buf_add(&b, object ? LN_SLICE(",\"z\":0}") : LN_SLICE(",\"z\"]"));
            ln_slice in = ln_test_exact(ln_buf_slice(&b));
            ln_json_value top;
            int err = ln_json_check(in, &top);
            if (err != rows[i].err) fail_msg("%s, inside: %s", rows[i].why, linnet_errname(err));
            ln_test_drop(in);
            ln_buf_fini(&b);
        }
    }
}

/* A prefix of a good container or string is never good; nothing reads past a prefix. */
static void every_prefix_is_refused(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_slice in = rows[i].in;
        bool closed = in.size > 1 && (in.data[0] == '{' || in.data[0] == '[' || in.data[0] == '"');
        if (in.size && in.data[in.size - 1] <= ' ') closed = false;
        for (size_t cut = 0; cut < in.size; cut++) {
            ln_slice part = ln_test_exact(ln_slice_sub(in, 0, cut));
            ln_json_value top;
            int err = ln_json_check(part, &top);
            if (rows[i].err == OK && closed && err == OK) fail_msg("%s at %zu", rows[i].why, cut);
            assert_true(err == OK || err == BAD || err == LINNET_ERR_LIMIT);
            ln_test_drop(part);
        }
    }
}

static int check_keys(uint32_t n, uint32_t max) {
    ln_buf b;
    ln_buf_init(&b, 1 << 20);
    ln_buf_add(&b, LN_SLICE("["));
    for (uint32_t i = 0; i < n; i++)
        ln_buf_addf(&b, "%s{\"%u\":0}", i ? "," : "", i);
    ln_buf_add(&b, LN_SLICE("]"));
    ln_json_value top;
    int err = ln_json_check_long(ln_buf_slice(&b), max, &top);
    if (max == LN_JSON_KEYS_MAX) assert_int_equal(ln_json_check(ln_buf_slice(&b), &top), err);
    ln_buf_fini(&b);
    return err;
}

static void keys_are_counted_over_the_whole_text(void **state) {
    assert_int_equal(check_keys(LN_JSON_KEYS_MAX, LN_JSON_KEYS_MAX), OK);
    assert_int_equal(check_keys(LN_JSON_KEYS_MAX + 1, LN_JSON_KEYS_MAX), LINNET_ERR_LIMIT);
    assert_int_equal(check_keys(5000, 5000), OK);
    assert_int_equal(check_keys(5001, 5000), LINNET_ERR_LIMIT);
    assert_int_equal(check_keys(1, 0), LINNET_ERR_LIMIT);
}

/* The first byte that ends a plain run, at every place of the eight-byte step. */
static void strings_end_where_they_end(void **state) {
    static const char stops[] = { '"', '\\', '\x1f', 0 };
    for (size_t at = 0; at < 20; at++) {
        for (size_t k = 0; k < LN_COUNT(stops); k++) {
            for (int high = 0; high < 2; high++) {
                uint8_t text[32] = "\"                              ";
                memset(text + 1, '!', 30);
                if (high && at >= 2) memcpy(text + 1, "\xc3\xa9", 2);
                text[1 + at] = (uint8_t)stops[k];
                ln_slice in = ln_test_exact(ln_slice_of(text, at + 2));
                ln_json_value top;
                assert_int_equal(ln_json_check(in, &top), stops[k] == '"' ? OK : BAD);
                if (stops[k] == '"') assert_int_equal(top.text.size, at);
                ln_test_drop(in);
            }
        }
    }
}

static ln_json_value parse(ln_slice text) {
    ln_json_value top;
    int err = ln_json_check(text, &top);
    if (err < 0) fail_msg("%.*s", (int)text.size, (const char *)text.data);
    return top;
}

#define IS(slice, lit) assert_true(ln_slice_eq(slice, LN_SLICE(lit)))

static void walks_members_and_elements(void **state) {
    ln_json_value top = parse(LN_SLICE(" { \"a\" : 1 ,\"b\\n\":[true, \"x]}\\\"\" ,null],"
                                       "\"c\":{\"d\":{}} , \"e\":\"\" } "));
    assert_int_equal(top.kind, LN_JSON_OBJECT);
    assert_int_equal(top.raw.data[0], '{');
    assert_int_equal(top.raw.data[top.raw.size - 1], '}');
    ln_json_iter it = ln_json_iter_of(&top);
    ln_json_value key, value;
    assert_true(ln_json_next(&it, &key, &value));
    IS(key.text, "a");
    IS(value.raw, "1");
    assert_int_equal(value.kind, LN_JSON_NUMBER);
    assert_true(ln_json_next(&it, &key, &value));
    IS(key.text, "b\\n");
    assert_true(key.escaped);
    IS(value.raw, "[true, \"x]}\\\"\" ,null]");
    ln_json_iter inner = ln_json_iter_of(&value);
    ln_json_value none, element;
    assert_true(ln_json_next(&inner, &none, &element));
    assert_int_equal(none.raw.size, 0);
    assert_int_equal(element.kind, LN_JSON_BOOL);
    assert_true(element.boolean);
    assert_true(ln_json_next(&inner, &none, &element));
    IS(element.text, "x]}\\\"");
    assert_true(element.escaped);
    assert_true(ln_json_next(&inner, &none, &element));
    assert_int_equal(element.kind, LN_JSON_NULL);
    IS(element.raw, "null");
    assert_false(ln_json_next(&inner, &none, &element));
    assert_false(ln_json_next(&inner, &none, &element));
    assert_true(ln_json_next(&it, &key, &value));
    IS(value.raw, "{\"d\":{}}");
    assert_true(ln_json_next(&it, &key, &value));
    IS(key.text, "e");
    assert_int_equal(value.kind, LN_JSON_STRING);
    IS(value.text, "");
    assert_false(value.escaped);
    assert_false(ln_json_next(&it, &key, &value));
}

static void empty_containers_have_nothing(void **state) {
    static const ln_slice texts[] = { BYTES("[]"), BYTES("{}"), BYTES("[ \n ]"), BYTES("{ }") };
    for (size_t i = 0; i < LN_COUNT(texts); i++) {
        ln_json_value top = parse(texts[i]), key, value;
        ln_json_iter it = ln_json_iter_of(&top);
        assert_false(ln_json_next(&it, &key, &value));
    }
}

static void tops_of_every_kind(void **state) {
    assert_int_equal(parse(LN_SLICE(" null ")).kind, LN_JSON_NULL);
    assert_int_equal(parse(LN_SLICE("[]")).kind, LN_JSON_ARRAY);
    assert_true(parse(LN_SLICE("true")).boolean);
    ln_json_value no = parse(LN_SLICE(" false "));
    assert_int_equal(no.kind, LN_JSON_BOOL);
    assert_false(no.boolean);
    IS(no.raw, "false");
    IS(parse(LN_SLICE(" -1.5e3\n")).raw, "-1.5e3");
    IS(parse(LN_SLICE(" \"a b\" ")).text, "a b");
    IS(parse(LN_SLICE(" \"a b\" ")).raw, "\"a b\"");
}

static const struct {
    const char *why;
    ln_slice in, out;
} strings[] = {
    { "plain", BYTES("\"abc\""), BYTES("abc") },
    { "empty", BYTES("\"\""), BYTES("") },
    { "short escapes", BYTES("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), BYTES("\"\\/\b\f\n\r\t") },
    { "between text", BYTES("\"a\\nb\""), BYTES("a\nb") },
    { "one byte", BYTES("\"\\u0041\""), BYTES("A") },
    { "NUL", BYTES("\"\\u0000\""), BYTES("\0") },
    { "last of one byte", BYTES("\"\\u007f\""), BYTES("\x7f") },
    { "first of two", BYTES("\"\\u0080\""), BYTES("\xc2\x80") },
    { "last of two", BYTES("\"\\u07FF\""), BYTES("\xdf\xbf") },
    { "first of three", BYTES("\"\\u0800\""), BYTES("\xe0\xa0\x80") },
    { "before the surrogates", BYTES("\"\\ud7ff\""), BYTES("\xed\x9f\xbf") },
    { "last of three", BYTES("\"\\uffff\""), BYTES("\xef\xbf\xbf") },
    { "first pair", BYTES("\"\\ud800\\udc00\""), BYTES("\xf0\x90\x80\x80") },
    { "last pair", BYTES("\"\\udbff\\udfff\""), BYTES("\xf4\x8f\xbf\xbf") },
    { "UTF-8 and escapes", BYTES("\"\xc3\xa9\\u20ac\xc3\xa9\""),
        BYTES("\xc3\xa9\xe2\x82\xac\xc3\xa9") },
    { "an escaped backslash before u", BYTES("\"\\\\u0041\""), BYTES("\\u0041") },
};

static void strings_unescape_and_compare(void **state) {
    for (size_t i = 0; i < LN_COUNT(strings); i++) {
        ln_slice in = ln_test_exact(strings[i].in), want = strings[i].out;
        ln_json_value v = parse(in);
        ln_buf b;
        ln_buf_init(&b, 100);
        assert_int_equal(ln_buf_add(&b, LN_SLICE(">")), 0);
        assert_int_equal(ln_json_unescape(&v, &b), 0);
        ln_slice got = ln_buf_slice(&b);
        if (!ln_slice_eq(ln_slice_sub(got, 1, got.size), want)) fail_msg("%s", strings[i].why);
        if (!ln_json_is(&v, want)) fail_msg("%s", strings[i].why);
        assert_false(ln_json_is(&v, LN_SLICE("abd")));
        for (size_t cut = 0; cut < want.size; cut++) {
            assert_false(ln_json_is(&v, ln_slice_sub(want, 0, cut)));
        }
        ln_buf_fini(&b);
        ln_test_drop(in);
    }
    ln_json_value number = parse(LN_SLICE("1"));
    assert_false(ln_json_is(&number, LN_SLICE("1")));
    assert_false(ln_json_is(&number, LN_SLICE("")));
    ln_json_value longer = parse(LN_SLICE("\"\\u0061bcd\""));
    assert_false(ln_json_is(&longer, LN_SLICE("abc")));
    assert_false(ln_json_is(&longer, LN_SLICE("abcde")));
    assert_true(ln_json_is(&longer, LN_SLICE("abcd")));
}

static void unescape_over_a_limit_appends_nothing(void **state) {
    ln_json_value v = parse(LN_SLICE("\"0123456789\\n0123456789\""));
    ln_buf b;
    ln_buf_init(&b, 20);
    assert_int_equal(ln_json_unescape(&v, &b), LINNET_ERR_TOO_BIG);
    assert_int_equal(b.size, 0);
    ln_buf_fini(&b);
    ln_test_memory m = { .fail_at = 1 };
    ln_test_memory_install(&m);
    ln_buf_init(&b, 100);
    assert_int_equal(ln_json_unescape(&v, &b), LINNET_ERR_NOMEM);
    assert_int_equal(b.size, 0);
    ln_buf_fini(&b);
    ln_test_memory_remove();
}

static const struct {
    const char *why;
    ln_slice in;
    uint64_t out;
    bool ok;
} uints[] = {
    { "zero", BYTES("0"), 0, true },
    { "2^53 - 1", BYTES("9007199254740991"), 9007199254740991, true },
    { "2^53", BYTES("9007199254740992"), 7, false },
    { "minus zero", BYTES("-0"), 7, false },
    { "negative", BYTES("-1"), 7, false },
    { "fraction", BYTES("1.0"), 7, false },
    { "exponent", BYTES("1e3"), 7, false },
    { "over 64 bits", BYTES("18446744073709551617"), 7, false },
    { "a string", BYTES("\"1\""), 7, false },
    { "a word", BYTES("true"), 7, false },
};

static void uints_are_whole_and_exact(void **state) {
    for (size_t i = 0; i < LN_COUNT(uints); i++) {
        ln_json_value v = parse(uints[i].in);
        uint64_t out = 7;
        if (ln_json_uint(&v, &out) != uints[i].ok || out != uints[i].out) {
            fail_msg("%s", uints[i].why);
        }
    }
}

static void write_sample(ln_json_writer *w) {
    ln_json_open(w, '{');
    ln_json_key(w, "a");
    ln_json_open(w, '[');
    ln_json_u64(w, 0);
    ln_json_u64(w, UINT64_MAX);
    ln_json_bool(w, true);
    ln_json_bool(w, false);
    ln_json_null(w);
    ln_json_open(w, '{');
    ln_json_close(w, '}');
    ln_json_open(w, '[');
    ln_json_close(w, ']');
    ln_json_str(w, LN_SLICE("x"));
    ln_json_close(w, ']');
    ln_json_key(w, "b");
    ln_json_raw(w, LN_SLICE("[1, 2]"));
    ln_json_key(w, "c");
    ln_json_str(w, (ln_slice){ 0 });
    ln_json_close(w, '}');
}

static const char sample[] = "{\"a\":[0,18446744073709551615,true,false,null,{},[],\"x\"],"
                             "\"b\":[1, 2],\"c\":\"\"}";

static void the_writer_places_commas(void **state) {
    ln_buf b;
    ln_buf_init(&b, 1000);
    assert_int_equal(ln_buf_add(&b, LN_SLICE("before ")), 0);
    ln_json_writer w = ln_json_begin(&b);
    write_sample(&w);
    assert_int_equal(ln_json_end(&w), 0);
    ln_slice got = ln_buf_slice(&b);
    assert_true(ln_slice_eq(ln_slice_sub(got, 7, got.size), ln_slice_str(sample)));
    parse(ln_slice_sub(got, 7, got.size));
    ln_buf_fini(&b);
}

/* Under every maximum, and with every allocation refused: an error, and *out as before. */
static void the_writer_cuts_back_on_error(void **state) {
    for (uint32_t max = 1; max <= sizeof(sample) + 5; max++) {
        ln_buf b;
        ln_buf_init(&b, max);
        assert_int_equal(ln_buf_add_byte(&b, '>'), 0);
        ln_json_writer w = ln_json_begin(&b);
        write_sample(&w);
        bool fits = max >= sizeof(sample);
        assert_int_equal(ln_json_end(&w), fits ? 0 : LINNET_ERR_TOO_BIG);
        assert_int_equal(b.size, fits ? sizeof(sample) : 1);
        ln_buf_fini(&b);
    }
    for (uint64_t n = 1;; n++) {
        ln_test_memory m = { .fail_at = n };
        ln_test_memory_install(&m);
        ln_buf b;
        ln_buf_init(&b, 1000);
        ln_json_writer w = ln_json_begin(&b);
        write_sample(&w);
        int err = ln_json_end(&w);
        assert_int_equal(err, m.calls >= n ? LINNET_ERR_NOMEM : 0);
        if (err < 0) assert_int_equal(b.size, 0);
        ln_buf_fini(&b);
        assert_int_equal(m.live, 0);
        ln_test_memory_remove();
        if (err == 0) break;
    }
}

static const struct {
    const char *why;
    ln_slice in, out;
} written[] = {
    { "quote and backslash", BYTES("\"\\"), BYTES("\"\\\"\\\\\"") },
    { "short escapes", BYTES("\b\f\n\r\t"), BYTES("\"\\b\\f\\n\\r\\t\"") },
    { "NUL and the last control", BYTES("\0\x1f"), BYTES("\"\\u0000\\u001f\"") },
    { "slash and DEL stay", BYTES("/\x7f"), BYTES("\"/\x7f\"") },
    { "UTF-8 stays", BYTES("\xc3\xa9\xf0\x9f\x98\x80"), BYTES("\"\xc3\xa9\xf0\x9f\x98\x80\"") },
    { "a wrong byte",
        BYTES("a\xff"
              "b"),
        BYTES("\"a\xef\xbf\xbd"
              "b\"") },
    { "two wrong bytes", BYTES("\x80\x80"), BYTES("\"\xef\xbf\xbd\xef\xbf\xbd\"") },
    { "a cut code point is one", BYTES("\xe2\x82"), BYTES("\"\xef\xbf\xbd\"") },
    { "a cut code point, then text", BYTES("\xf0\x9f\x98!"), BYTES("\"\xef\xbf\xbd!\"") },
    { "a surrogate is three", BYTES("\xed\xa0\x80"),
        BYTES("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"") },
    { "overlong", BYTES("\xc0\xaf"), BYTES("\"\xef\xbf\xbd\xef\xbf\xbd\"") },
    { "wrong, good, wrong", BYTES("\xff\xc3\xa9\n\xff"),
        BYTES("\"\xef\xbf\xbd\xc3\xa9\\n\xef\xbf\xbd\"") },
};

static void strings_are_escaped(void **state) {
    for (size_t i = 0; i < LN_COUNT(written); i++) {
        ln_slice in = ln_test_exact(written[i].in);
        ln_buf b;
        ln_buf_init(&b, 1000);
        ln_json_writer w = ln_json_begin(&b);
        ln_json_str(&w, in);
        assert_int_equal(ln_json_end(&w), 0);
        if (!ln_slice_eq(ln_buf_slice(&b), written[i].out)) fail_msg("%s", written[i].why);
        parse(ln_buf_slice(&b));
        ln_buf_fini(&b);
        ln_test_drop(in);
    }
}

/* What the writer makes of any bytes, the reader takes, and valid text comes back. */
static void any_bytes_make_the_round_trip(void **state) {
    ln_rand r;
    ln_rand_init_seeded(&r, 5);
    for (int round = 0; round < 5000; round++) {
        uint8_t bytes[60];
        size_t size = ln_rand_below(&r, sizeof(bytes));
        uint32_t top = round % 2 ? 256 : 128;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)ln_rand_below(&r, top);
        ln_buf b, back;
        ln_buf_init(&b, 1000);
        ln_buf_init(&back, 1000);
        ln_json_writer w = ln_json_begin(&b);
        ln_json_str(&w, ln_slice_of(bytes, size));
        assert_int_equal(ln_json_end(&w), 0);
        ln_json_value v = parse(ln_buf_slice(&b));
        assert_int_equal(ln_json_unescape(&v, &back), 0);
        if (top == 128) {
            assert_true(ln_slice_eq(ln_buf_slice(&back), ln_slice_of(bytes, size)));
            assert_true(ln_json_is(&v, ln_slice_of(bytes, size)));
        }
        ln_buf_fini(&b);
        ln_buf_fini(&back);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_accepted_or_refused),
        cmocka_unit_test(rows_keep_their_verdict_inside),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(keys_are_counted_over_the_whole_text),
        cmocka_unit_test(strings_end_where_they_end),
        cmocka_unit_test(walks_members_and_elements),
        cmocka_unit_test(empty_containers_have_nothing),
        cmocka_unit_test(tops_of_every_kind),
        cmocka_unit_test(strings_unescape_and_compare),
        cmocka_unit_test(unescape_over_a_limit_appends_nothing),
        cmocka_unit_test(uints_are_whole_and_exact),
        cmocka_unit_test(the_writer_places_commas),
        cmocka_unit_test(the_writer_cuts_back_on_error),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(any_bytes_make_the_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
