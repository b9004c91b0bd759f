/* The header lies right before the payload, whatever its size; twins go with their rendering. */
#include "base/mem.h"
#include "base/testing.h"
#include "conn/rendering.h"
#include "wire/frame.h"

static void test_head_and_payload_are_one_piece(void **state) {
    (void)state;
    static const struct {
        const char *why;
        size_t size, head;
    } rows[] = {
        { "empty", 0, 2 },
        { "last of the short form", 125, 2 },
        { "first of 16 bits", 126, 4 },
        { "last of 16 bits", 65535, 4 },
        { "first of 64 bits", 65536, 10 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        uint8_t *payload = calloc(1, rows[i].size + 1);
        assert_non_null(payload);
        memset(payload, 'p', rows[i].size);
        ln_rendering *r = ln_rendering_of(LN_OP_TEXT, ln_slice_of(payload, rows[i].size));
        assert_non_null(r);
        ln_slice wire = ln_rendering_wire(r);
        assert_int_equal(wire.size, rows[i].head + rows[i].size);
        assert_int_equal(wire.data[0], 0x81);
        ln_frame_rules rules = { .length_max = 1 << 20 };
        ln_frame f;
        assert_int_equal(ln_frame_decode(&rules, &wire, &f), LN_DONE);
        assert_int_equal(f.length, rows[i].size);
        assert_true(ln_slice_eq(wire, ln_slice_of(payload, rows[i].size)));
        ln_rendering_unref(r);
        free(payload);
    }
}

static void test_wire_bytes_have_no_head(void **state) {
    (void)state;
    ln_rendering *r = ln_rendering_of(0, LN_SLICE("HTTP/1.1 200 OK"));
    assert_true(ln_slice_eq(ln_rendering_wire(r), LN_SLICE("HTTP/1.1 200 OK")));
    ln_rendering_unref(r);
}

static void test_twins(void **state) {
    (void)state;
    ln_test_memory m = { 0 };
    ln_test_memory_install(&m);
    ln_rendering *r = ln_rendering_of(LN_OP_BINARY, LN_SLICE("long long long"));
    ln_rendering *a = ln_rendering_twin(r, 15, LN_SLICE("short"));
    ln_rendering *b = ln_rendering_twin(r, 9, LN_SLICE("shorter"));
    assert_true(ln_slice_eq(ln_rendering_wire(a), LN_SLICE("\xc2\x05short")));
    r->twins = a;
    a->twins = b;
    ln_rendering_ref(b); /* in flight somewhere, while the rest goes */
    ln_rendering_ref(r);
    ln_rendering_unref(r);
    ln_rendering_unref(r);
    assert_int_equal(m.live, 1);
    assert_true(ln_slice_eq(ln_rendering_wire(b), LN_SLICE("\xc2\x07shorter")));
    ln_rendering_unref(b);
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
}

static void test_no_memory(void **state) {
    (void)state;
    ln_test_memory m = { .fail_at = 2, .from = true };
    ln_test_memory_install(&m);
    assert_null(ln_rendering_new(LN_OP_TEXT, (size_t)1 << 32)); /* 32 bits must count it */
    ln_rendering *r = ln_rendering_new(LN_OP_TEXT, 10);
    assert_non_null(r);
    assert_null(ln_rendering_new(LN_OP_TEXT, 10));
    assert_null(ln_rendering_of(LN_OP_TEXT, LN_SLICE("x")));
    assert_null(ln_rendering_twin(r, 15, LN_SLICE("x")));
    ln_rendering_unref(r);
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_and_payload_are_one_piece),
        cmocka_unit_test(test_wire_bytes_have_no_head),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
