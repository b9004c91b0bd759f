/* The envelopes of tests/vectors/native-commands.json. */
#include "base/mem.h"
#include "wire/envelope.h"
#include "wire/native_test.h"

static int read(
    ln_envelope *envelope, ln_slice text, ln_buf *scratch, ln_native_command *c, const char **why) {
    ln_json_value top;
    ln_buf_init(scratch, LN_NATIVE_SCRATCH);
    assert_int_equal(ln_buf_reserve(scratch, LN_NATIVE_SCRATCH), LINNET_OK);
    assert_int_equal(ln_json_check(text, &top), LINNET_OK);
    assert_int_equal(ln_native_parse(&top, scratch, c, why), LN_DONE);
    return envelope(&top, scratch, c, why);
}

static ln_envelope *envelope_of(const ln_json_value *row) {
    ln_slice name = text_of(row, "dialect");
    bool rpc = ln_slice_eq(name, LN_SLICE("rpc"));
    assert_true(rpc || ln_slice_eq(name, LN_SLICE("event")));
    ln_test_drop(name);
    return rpc ? ln_envelope_rpc : ln_envelope_event;
}

static void check_envelope(const ln_json_value *row, ln_slice text) {
    ln_buf scratch;
    ln_native_command c;
    const char *why = NULL;
    int err = read(envelope_of(row), text, &scratch, &c, &why);
    assert_int_equal(err, truth_of(row, "fault") ? LINNET_ERR_JSON : LN_DONE);
    assert_int_equal(why != NULL, truth_of(row, "fault"));
    assert_text(row, "verb", ln_slice_str(verb_names[c.verb]));
    assert_text(row, "id", c.id);
    assert_text(row, "channel", c.channel);
    assert_text(row, "event", c.event);
    assert_text(row, "data", c.data);
    assert_text(row, "token", c.token);
    assert_int_equal(c.quiet, truth_of(row, "quiet"));
    ln_buf_fini(&scratch);
}

static void test_envelopes(void **state) {
    (void)state;
    vectors v = load();
    ln_json_value rows, key, row;
    assert_true(get(&v.top, "envelopes", &rows));
    ln_json_iter it = ln_json_iter_of(&rows);
    int count = 0;
    for (; ln_json_next(&it, &key, &row); count++) {
        ln_slice why = text_of(&row, "why"), text = text_of(&row, "text");
        print_message("# %.*s\n", (int)why.size, (const char *)why.data);
        check_envelope(&row, text);
        ln_test_drop(why);
        ln_test_drop(text);
    }
    assert_true(count > 40);
    ln_buf_fini(&v.text);
}

static void add_escaped(ln_buf *text, const char *key, size_t n) {
    ln_buf_addf(text, "\"%s\":\"", key);
    for (size_t i = 0; i < n; i++)
        ln_buf_add(text, LN_SLICE("\\u0041"));
    assert_int_equal(ln_buf_add(text, LN_SLICE("\",")), LINNET_OK);
}

/* Names in escapes, as many and as long as may be looked at, never leave the scratch. */
static void test_long_names(void **state) {
    (void)state;
    for (size_t n = 0; n < 1600; n += n < 300 ? 1 : 100) {
        ln_buf text, scratch;
        ln_buf_init(&text, 1 << 20);
        ln_buf_add(&text, LN_SLICE("{"));
        if (n <= 41) add_escaped(&text, "id", n);
        if (n <= 255) add_escaped(&text, "event", n);
        ln_buf_add(&text, LN_SLICE("\"type\":\"event\",\"payload\":{"));
        add_escaped(&text, "event", n);
        ln_buf_add(&text, LN_SLICE("\"data\":{"));
        add_escaped(&text, "room", n);
        ln_buf_add(&text, LN_SLICE("\"x\":1}}}"));
        ln_slice exact = ln_test_exact(ln_buf_slice(&text));
        for (int rpc = 0; rpc < 2; rpc++) {
            ln_native_command c;
            const char *why = NULL;
            int err = read(rpc ? ln_envelope_rpc : ln_envelope_event, exact, &scratch, &c, &why);
            if (rpc) assert_int_equal(err, n > 255 ? LINNET_ERR_JSON : LN_DONE);
            assert_int_equal(scratch.capacity, LN_NATIVE_SCRATCH);
            if (rpc && !err) assert_int_equal(c.channel.size, n);
            ln_buf_fini(&scratch);
        }
        ln_test_drop(exact);
        ln_buf_fini(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelopes),
        cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
