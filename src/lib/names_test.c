#include "base/mem.h"
#include "base/testing.h"
#include "lib/names.h"
#include <stdio.h>

/* Names separated by blanks; what is kept, joined likewise, and '>' when there are others. */
static const struct {
    const char *why, *in;
    uint32_t limit;
    const char *out;
} rows[] = {
    { "nothing", "", 3, "" },
    { "in order", "a b c", 3, "a b c" },
    { "the other way round", "c b a", 3, "a b c" },
    { "again", "b a b a", 3, "a b" },
    { "again, when it is full", "b a b a", 2, "a b" },
    { "one too many", "a b c d", 3, "a b c >" },
    { "one too many, in front", "d c b a", 3, "a b c >" },
    { "what was dropped comes again", "c b a c", 2, "a b >" },
    { "a beginning stands before", "ab a abc", 3, "a ab abc" },
    { "bytes, not letters", "b B _ \xc3\xa4 Z", 9, "B Z _ b \xc3\xa4" },
    { "one", "c b d a", 1, "a >" },
};

static void test_table(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        char out[64] = "";
        ln_names n;
        ln_names_init(&n, rows[i].limit);
        ln_slice rest = ln_slice_str(rows[i].in), name;
        while (rest.size) {
            ln_slice_cut(&rest, ' ', &name);
            assert_int_equal(ln_names_add(&n, name), LINNET_OK);
        }
        for (uint32_t k = 0; k < n.count; k++)
            snprintf(out + strlen(out), sizeof out - strlen(out), "%s%.*s", k ? " " : "",
                (int)ln_names_at(&n, k).size, (const char *)ln_names_at(&n, k).data);
        if (n.more) snprintf(out + strlen(out), sizeof out - strlen(out), " >");
        if (strcmp(out, rows[i].out) != 0) fail_msg("%s: '%s'", rows[i].why, out);
        ln_names_fini(&n);
    }
}

/* Many in a row that is no order, and what is kept is always the first of what came. */
static void test_many(void **state) {
    (void)state;
    ln_names n;
    char name[256];
    ln_names_init(&n, LN_NAMES_MAX);
    for (uint32_t i = 0; i < 5000; i++) {
        memset(name, 'x', sizeof name);
        snprintf(name, sizeof name, "%04u", i * 2477 % 5000);
        name[4] = 'x';
        assert_int_equal(ln_names_add(&n, ln_slice_of(name, 255)), LINNET_OK);
    }
    assert_int_equal(n.count, LN_NAMES_MAX);
    assert_true(n.more);
    for (uint32_t i = 0; i < LN_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "%04u", i);
        assert_int_equal(ln_names_at(&n, i).size, 255);
        assert_memory_equal(ln_names_at(&n, i).data, name, 4);
    }
    ln_names_fini(&n);
}

static void test_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    ln_names n;
    ln_names_init(&n, 20);
    memory.fail_at = memory.calls + 1;
    assert_int_equal(ln_names_add(&n, LN_SLICE("a")), LINNET_ERR_NOMEM);
    assert_int_equal(n.count, 0);
    memory.fail_at = 0;
    for (char c = 'a'; c < 'q'; c++)
        assert_int_equal(ln_names_add(&n, ln_slice_of(&c, 1)), LINNET_OK);
    memory.fail_at = memory.calls + 1;
    assert_int_equal(ln_names_add(&n, LN_SLICE("0")), LINNET_ERR_NOMEM);
    assert_int_equal(n.count, 16);
    assert_memory_equal(ln_names_at(&n, 0).data, "a", 1);
    ln_names_fini(&n);
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
