#include "base/testing.h"
#include <stdio.h>

static void version_agrees_with_its_numbers(void **state) {
    char text[32];
    snprintf(text, sizeof(text), "%d.%d.%d", LINNET_VERSION_MAJOR, LINNET_VERSION_MINOR,
        LINNET_VERSION_PATCH);
    assert_string_equal(linnet_version(), text);
    assert_string_equal(LINNET_VERSION_STRING, text);
}

static void str_spans_the_text_without_its_nul(void **state) {
    const char *text = "abc";
    linnet_slice s = linnet_str(text);
    assert_ptr_equal(s.data, text);
    assert_int_equal(s.size, 3);
    assert_int_equal(linnet_str("").size, 0);
    assert_int_equal(linnet_str(NULL).size, 0);
    assert_null(linnet_str(NULL).data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_agrees_with_its_numbers),
        cmocka_unit_test(str_spans_the_text_without_its_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
