#include "base/b64url.h"
#include "base/testing.h"

static const struct {
    const char *why;
    ln_slice bytes;
    const char *text;
} pairs[] = {
    { "nothing", BYTES(""), "" },
    { "one byte, four bits left over", BYTES("f"), "Zg" },
    { "two bytes, two bits left over", BYTES("fo"), "Zm8" },
    { "three bytes, none left over", BYTES("foo"), "Zm9v" },
    { "more than one group", BYTES("foobar"), "Zm9vYmFy" },
    { "the two characters that URLs may have", BYTES("\xfb\xff\xbf"), "-_-_" },
    { "zeros", BYTES("\0\0"), "AAA" },
};

static void both_ways(void **state) {
    for (size_t i = 0; i < LN_COUNT(pairs); i++) {
        ln_buf out;
        ln_buf_init(&out, 100);
        ln_slice bytes = ln_test_exact(pairs[i].bytes);
        ln_slice text = ln_test_exact(ln_slice_str(pairs[i].text));
        assert_int_equal(ln_b64url_put(bytes, &out), LINNET_OK);
        if (!ln_slice_eq(ln_buf_slice(&out), text)) fail_msg("%s: writing", pairs[i].why);
        ln_buf_clear(&out);
        assert_int_equal(ln_b64url_get(text, &out), LINNET_OK);
        if (!ln_slice_eq(ln_buf_slice(&out), bytes)) fail_msg("%s: reading", pairs[i].why);
        ln_buf_fini(&out);
        ln_test_drop(bytes);
        ln_test_drop(text);
    }
}

static const struct {
    const char *why;
    ln_slice text;
} refused[] = {
    { "one character is no byte", BYTES("Z") },
    { "five neither", BYTES("Zm9vY") },
    { "padding", BYTES("Zg==") },
    { "four bits that are not zero", BYTES("Zh") },
    { "the last of them", BYTES("Zo") },
    { "two bits that are not zero", BYTES("Zm9") },
    { "the plus of the other alphabet", BYTES("+_-_") },
    { "its slash", BYTES("-/-_") },
    { "a space", BYTES("Zm9 ") },
    { "a line end", BYTES("Zm9v\n") },
    { "a NUL", BYTES("Zm\0v") },
    { "a byte over 127", BYTES("Zm9\xc0") },
};

static void only_the_one_form(void **state) {
    for (size_t i = 0; i < LN_COUNT(refused); i++) {
        ln_buf out;
        ln_buf_init(&out, 100);
        assert_int_equal(ln_buf_add(&out, LN_SLICE("kept")), LINNET_OK);
        ln_slice text = ln_test_exact(refused[i].text);
        if (ln_b64url_get(text, &out) != LINNET_ERR_INVAL) fail_msg("%s", refused[i].why);
        assert_true(ln_slice_eq(ln_buf_slice(&out), LN_SLICE("kept")));
        ln_buf_fini(&out);
        ln_test_drop(text);
    }
}

/* Every byte at every length comes back as it went. */
static void all_bytes_at_all_lengths(void **state) {
    uint8_t bytes[259];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + 3);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        ln_buf text, back;
        ln_buf_init(&text, 1000);
        ln_buf_init(&back, 1000);
        assert_int_equal(ln_b64url_put(ln_slice_of(bytes, size), &text), LINNET_OK);
        assert_int_equal(text.size, (size * 8 + 5) / 6);
        assert_int_equal(ln_b64url_get(ln_buf_slice(&text), &back), LINNET_OK);
        assert_true(ln_slice_eq(ln_buf_slice(&back), ln_slice_of(bytes, size)));
        ln_buf_fini(&text);
        ln_buf_fini(&back);
    }
}

static void a_full_buffer_says_so(void **state) {
    ln_buf out;
    ln_buf_init(&out, 4);
    assert_int_equal(ln_b64url_put(LN_SLICE("foobar"), &out), LINNET_ERR_TOO_BIG);
    assert_int_equal(ln_b64url_get(LN_SLICE("Zm9vYmFy"), &out), LINNET_ERR_TOO_BIG);
    assert_int_equal(out.size, 0);
    ln_buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(only_the_one_form),
        cmocka_unit_test(all_bytes_at_all_lengths),
        cmocka_unit_test(a_full_buffer_says_so),
    };
    return cmocka_run_group_tests_name("base64 for URLs", tests, NULL, NULL);
}
