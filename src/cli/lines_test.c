#include "base/testing.h"
#include "cli/lines.h"
#include <fcntl.h>
#include <unistd.h>

/* What comes out is told as "line|line|", and "!" where a line is too long. */
static void drain(ln_lines *l, ln_buf *told) {
    ln_slice line;
    int r;
    while ((r = ln_lines_next(l, &line)) > 0) {
        assert_int_equal(ln_buf_add(told, line), 0);
        assert_int_equal(ln_buf_add_byte(told, '|'), 0);
    }
    if (r == LINNET_ERR_TOO_BIG) assert_int_equal(ln_buf_add_byte(told, '!'), 0);
}

static bool refused(const ln_buf *told) {
    return ln_slice_find(ln_buf_slice(told), '!') != SIZE_MAX;
}

static const struct {
    const char *why, *input, *want;
    uint32_t max;
} table[] = {
    { "nothing", "", "", 8 },
    { "one line", "one\n", "one|", 8 },
    { "the last line has no end", "one\ntwo", "one|two|", 8 },
    { "empty lines are lines", "\n\na\n", "||a|", 8 },
    { "a carriage return belongs to the line", "a\r\n", "a\r|", 8 },
    { "as long as allowed", "12345678\n1\n", "12345678|1|", 8 },
    { "as long as allowed, without an end", "12345678", "12345678|", 8 },
    { "one byte too long", "a\n123456789\n", "a|!", 8 },
    { "too long without an end", "123456789", "!", 8 },
};

static void arrive(ln_lines *l, int fd, const char *bytes, size_t size, ln_buf *told) {
    if (size == 0 || refused(told)) return;
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    assert_int_equal(ln_lines_read(l), 0);
    drain(l, told);
}

static void try_cut(size_t row, size_t cut) {
    const char *input = table[row].input;
    int ends[2];
    ln_buf told;
    ln_lines l;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    ln_buf_init(&told, 1024);
    ln_lines_init(&l, ends[0], table[row].max);
    arrive(&l, ends[1], input, cut, &told);
    arrive(&l, ends[1], input + cut, strlen(input) - cut, &told);
    close(ends[1]);
    if (!refused(&told)) {
        assert_int_equal(ln_lines_read(&l), 0);
        assert_true(l.ended);
        drain(&l, &told);
    }
    if (!ln_slice_eq(ln_buf_slice(&told), ln_slice_str(table[row].want)))
        fail_msg("%s, cut at %zu: %.*s", table[row].why, cut, (int)told.size,
            (const char *)told.data + told.head);
    ln_lines_fini(&l);
    ln_buf_fini(&told);
    close(ends[0]);
}

/* Every input arrives in two pieces, cut everywhere. */
static void test_table(void **state) {
    for (size_t i = 0; i < LN_COUNT(table); i++)
        for (size_t cut = 0; cut <= strlen(table[i].input); cut++)
            try_cut(i, cut);
}

static void test_bad_descriptor(void **state) {
    ln_lines l;
    ln_lines_init(&l, -1, 8);
    assert_int_equal(ln_lines_read(&l), LINNET_ERR_SYS);
    ln_lines_fini(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_bad_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
