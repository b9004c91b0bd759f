#include "base/testing.h"
#include "wire/deflate.h"

#define HELLO_PACKED "\xf2\x48\xcd\xc9\xc9\x07\x00"

typedef struct row {
    const char *why;
    ln_slice in;
    int result;
    ln_slice out;
} row;

/* One message into an inflater that knows nothing. */
static const row rows[] = {
    { "D1 the RFC's Hello", BYTES(HELLO_PACKED), 0, BYTES("Hello") },
    { "D1 stored", BYTES("\x00\x05\x00\xfa\xffHello\x00"), 0, BYTES("Hello") },
    { "D3 two blocks (RFC 7692 7.2.3.5)",
        BYTES("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), 0, BYTES("Hello") },
    { "D5 empty", BYTES("\x00"), 0, BYTES("") },
    { "D5 nothing at all", BYTES(""), 0, BYTES("") },
    { "D6 BFINAL, then 00", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), 0, BYTES("Hello") },
    { "D6 BFINAL alone", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00"), 0, BYTES("Hello") },
    { "D6 BFINAL in the middle", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00" HELLO_PACKED), 0,
        BYTES("HelloHello") },
    { "D6 nothing but last blocks", BYTES("\x03\x00\x03\x00\x03\x00"), 0, BYTES("") },
    { "D7 the tail was left on", BYTES(HELLO_PACKED "\x00\x00\xff\xff"), 0, BYTES("Hello") },
    { "D7 left on twice", BYTES(HELLO_PACKED "\x00\x00\xff\xff\x00\x00\x00\xff\xff"), 0,
        BYTES("Hello") },
    { "D8 half a tail was left on", BYTES(HELLO_PACKED "\x00\x00"), LINNET_ERR_DEFLATE, BYTES("") },
    { "D8 T061 corrupt", BYTES("\x03\xef"), LINNET_ERR_DEFLATE, BYTES("") },
    { "D8 reserved block type", BYTES("\x06"), LINNET_ERR_DEFLATE, BYTES("") },
    { "D8 length that does not match", BYTES("\x00\x05\x00\xfb\xffHello\x00"), LINNET_ERR_DEFLATE,
        BYTES("") },
    { "D8 stored block cut", BYTES("\x00\x05\x00\xfa\xffHel"), LINNET_ERR_DEFLATE, BYTES("") },
    { "D8 distance too far", BYTES("\xf2\x00\x11\x00\x00"), LINNET_ERR_DEFLATE, BYTES("") },
    { "D8 T061 truncated", BYTES("\xf2\x48\xcd\xc9"), LINNET_ERR_DEFLATE, BYTES("") },
    { "D8 truncated behind BFINAL", BYTES("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2"), LINNET_ERR_DEFLATE,
        BYTES("") },
    { "D8 the header of dynamic codes alone", BYTES("\x04"), LINNET_ERR_DEFLATE, BYTES("") },
};

static void buf_is(ln_buf *b, ln_slice want) {
    assert_true(ln_slice_eq(ln_buf_slice(b), want));
}

/* D3: fed in two pieces with any cut, and at once with libdeflate first. */
static void try_row(const row *r, ln_pmd_tools *tools, size_t cut) {
    ln_inflater *i;
    ln_buf out;
    ln_buf_init(&out, 1000);
    assert_int_equal(ln_buf_add(&out, LN_SLICE("before")), 0);
    assert_int_equal(ln_inflater_new(15, false, &i), 0);
    for (int twice = 0; twice < 2; twice++) { /* the second time after a reset */
        ln_slice a = ln_test_exact(ln_slice_sub(r->in, 0, cut));
        ln_slice b = ln_test_exact(ln_slice_sub(r->in, cut, r->in.size));
        int err = ln_inflater_feed(i, a, false, 100, &out);
        if (err == 0) err = ln_inflater_feed(i, b, true, 100, &out);
        assert_int_equal(err, r->result);
        if (err == 0)
            assert_true(ln_slice_eq(ln_slice_sub(ln_buf_slice(&out), 6, out.size), r->out));
        out.size = 6;
        ln_test_drop(a);
        ln_test_drop(b);
    }
    ln_slice whole = ln_test_exact(r->in);
    assert_int_equal(ln_pmd_inflate(tools, whole, 100, &out), r->result);
    assert_int_equal(out.size, 6 + r->out.size);
    assert_true(ln_slice_eq(ln_slice_sub(ln_buf_slice(&out), 6, out.size), r->out));
    ln_test_drop(whole);
    ln_inflater_free(i);
    ln_buf_fini(&out);
}

/* The same behind so many bytes of a stored block that libdeflate has the first look. */
static void try_long(const row *r, ln_pmd_tools *tools) {
    enum { STORED = 3000 };
    ln_buf in, out;
    ln_buf_init(&in, 10000);
    ln_buf_init(&out, 10000);
    uint8_t head[] = { 0x00, STORED & 255, STORED >> 8, ~STORED & 255, (~STORED >> 8) & 255 };
    assert_int_equal(ln_buf_add(&in, ln_slice_of(head, sizeof(head))), 0);
    for (uint32_t i = 0; i < STORED; i++)
        assert_int_equal(ln_buf_add_byte(&in, (uint8_t)(i * 7)), 0);
    assert_int_equal(ln_buf_add(&in, r->in), 0);
    ln_slice whole = ln_test_exact(ln_buf_slice(&in));
    assert_int_equal(ln_pmd_inflate(tools, whole, STORED + 100, &out), r->result);
    if (r->result == 0) {
        assert_int_equal(out.size, STORED + r->out.size);
        assert_memory_equal(out.data, in.data + sizeof(head), STORED);
        assert_true(ln_slice_eq(ln_slice_sub(ln_buf_slice(&out), STORED, out.size), r->out));
        ln_buf small;
        ln_buf_init(&small, STORED + (uint32_t)r->out.size);
        assert_int_equal(ln_pmd_inflate(tools, whole, STORED + 100, &small), 0);
        ln_buf_fini(&small);
        ln_buf_init(&small, STORED - 1);
        assert_int_equal(ln_pmd_inflate(tools, whole, STORED + 100, &small), LINNET_ERR_TOO_BIG);
        ln_buf_fini(&small);
    }
    ln_test_drop(whole);
    ln_buf_fini(&in);
    ln_buf_fini(&out);
}

static void d3_every_row_with_every_cut(void **state) {
    ln_pmd_tools tools;
    ln_pmd_tools_init(&tools);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        for (size_t cut = 0; cut <= rows[i].in.size; cut++)
            try_row(&rows[i], &tools, cut);
        bool refers = rows[i].in.size == 5; /* with something before it that is no error */
        if (!refers) try_long(&rows[i], &tools);
    }
    ln_pmd_tools_fini(&tools);
}

/* Material that compresses, with a little that does not. */
static void material(uint8_t *to, size_t size, uint32_t seed) {
    static const char words[] =
        "{\"symbol\":\"LNT\",\"price\":12.5,\"volume\":1000,\"side\":\"buy\"}";
    uint32_t x = seed;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525 + 1013904223;
        to[i] = x >> 28 ? (uint8_t)words[(i + seed) % (sizeof(words) - 1)] : (uint8_t)(x >> 20);
    }
}

static const uint32_t sizes[] = { 0, 1, 2, 60, 511, 512, 513, 4096, 4097, 32768, 40000, 300000 };

static void round_trips(unsigned bits, bool takeover, ln_pmd_tools *tools, uint8_t *data) {
    ln_deflater *d;
    ln_inflater *i;
    ln_buf packed, out;
    ln_buf_init(&packed, LN_BUF_MAX);
    ln_buf_init(&out, LN_BUF_MAX);
    assert_int_equal(ln_deflater_new(bits, 6, 8, takeover, &d), 0);
    assert_int_equal(ln_inflater_new(bits, takeover, &i), 0);
    for (size_t n = 0; n < LN_COUNT(sizes); n++) {
        material(data, sizes[n], (uint32_t)(bits + n / 3));
        ln_slice in = ln_slice_of(data, sizes[n]);
        ln_buf_clear(&packed);
        ln_buf_clear(&out);
        assert_int_equal(ln_deflater_message(d, in, &packed), 0);
        ln_slice p = ln_buf_slice(&packed);
        if (p.size >= 4) assert_memory_not_equal(p.data + p.size - 4, "\0\0\xff\xff", 4);
        size_t cut = p.size / 3;
        assert_int_equal(ln_inflater_feed(i, ln_slice_sub(p, 0, cut), false, sizes[n], &out), 0);
        assert_int_equal(
            ln_inflater_feed(i, ln_slice_sub(p, cut, p.size), true, sizes[n], &out), 0);
        buf_is(&out, in);
        if (!takeover) {
            ln_buf_clear(&out);
            assert_int_equal(ln_pmd_inflate(tools, p, sizes[n], &out), 0);
            buf_is(&out, in);
        }
    }
    ln_deflater_free(d);
    ln_inflater_free(i);
    ln_buf_fini(&packed);
    ln_buf_fini(&out);
}

static void what_is_deflated_is_inflated(void **state) {
    ln_pmd_tools tools;
    ln_pmd_tools_init(&tools);
    uint8_t *data = malloc(300000);
    assert_non_null(data);
    for (unsigned bits = 9; bits <= 15; bits++) {
        round_trips(bits, false, &tools, data);
        round_trips(bits, true, &tools, data);
    }
    free(data);
    ln_pmd_tools_fini(&tools);
}

/* D12: what broadcast makes is read by an inflater with just that window. */
static void broadcast_fits_every_window(void **state) {
    ln_pmd_tools tools;
    ln_pmd_tools_init(&tools);
    uint8_t *data = malloc(300000);
    assert_non_null(data);
    for (unsigned bits = 9; bits <= 15; bits++)
        for (unsigned how = 0; how < 6; how++)
            for (size_t n = 0; n < LN_COUNT(sizes); n++) {
                material(data, sizes[n], how);
                ln_slice in = ln_slice_of(data, sizes[n]);
                ln_buf packed, out;
                ln_buf_init(&packed, LN_BUF_MAX);
                ln_buf_init(&out, LN_BUF_MAX);
                unsigned level = how < 3 ? 1 : 6;
                assert_int_equal(ln_pmd_compress(&tools, bits, level, how & 1, in, &packed), 0);
                ln_inflater *i;
                assert_int_equal(ln_inflater_new(bits, false, &i), 0);
                assert_int_equal(
                    ln_inflater_feed(i, ln_buf_slice(&packed), true, sizes[n], &out), 0);
                buf_is(&out, in);
                ln_inflater_free(i);
                ln_buf_fini(&packed);
                ln_buf_fini(&out);
            }
    free(data);
    ln_pmd_tools_fini(&tools);
}

/* T059: 1 MiB of zeros in 1 KiB, against every limit around it. */
static void d8_the_limit_is_exact(void **state) {
    ln_pmd_tools tools;
    ln_pmd_tools_init(&tools);
    ln_buf packed;
    ln_buf_init(&packed, LN_BUF_MAX);
    uint8_t *zeros = calloc(1, 1 << 20);
    assert_non_null(zeros);
    assert_int_equal(
        ln_pmd_compress(&tools, 15, 6, false, ln_slice_of(zeros, 1 << 20), &packed), 0);
    static const uint32_t limits[] = { 0, 1, 1000, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1 };
    for (size_t n = 0; n < LN_COUNT(limits); n++)
        for (int way = 0; way < 3; way++) {
            ln_buf out;
            ln_buf_init(&out, LN_BUF_MAX);
            ln_inflater *i;
            assert_int_equal(ln_inflater_new(15, way == 1, &i), 0);
            ln_slice in = ln_buf_slice(&packed);
            int err = way == 2 ? ln_pmd_inflate(&tools, in, limits[n], &out)
                               : ln_inflater_feed(i, in, true, limits[n], &out);
            assert_int_equal(err, limits[n] < 1 << 20 ? LINNET_ERR_TOO_BIG : LINNET_OK);
            assert_int_equal(out.size, err ? 0 : 1 << 20);
            if (err) assert_true(out.capacity <= 2 * limits[n] + 8192);
            ln_inflater_free(i);
            ln_buf_fini(&out);
        }
    free(zeros);
    ln_buf_fini(&packed);
    ln_pmd_tools_fini(&tools);
}

static void a_full_buffer_is_too_big_and_keeps_what_it_had(void **state) {
    uint8_t data[2000];
    material(data, sizeof(data), 1);
    ln_slice in = ln_slice_of(data, sizeof(data));
    ln_pmd_tools tools;
    ln_pmd_tools_init(&tools);
    for (uint32_t max = 3; max < 4000; max += 61)
        for (int takeover = 0; takeover < 2; takeover++) {
            ln_deflater *d;
            ln_inflater *i;
            ln_buf out, back;
            ln_buf_init(&out, max);
            ln_buf_init(&back, 3000);
            assert_int_equal(ln_buf_add(&out, LN_SLICE("abc")), 0);
            assert_int_equal(ln_deflater_new(12, 6, 8, takeover, &d), 0);
            assert_int_equal(ln_inflater_new(12, takeover, &i), 0);
            int err = ln_deflater_message(d, in, &out);
            if (err < 0) {
                assert_int_equal(err, LINNET_ERR_TOO_BIG);
                buf_is(&out, LN_SLICE("abc"));
                ln_buf_fini(&out);
                ln_buf_init(&out, 4000); /* the context is lost, so the next is right again */
                assert_int_equal(ln_buf_add(&out, LN_SLICE("abc")), 0);
                assert_int_equal(ln_deflater_message(d, in, &out), 0);
            }
            ln_slice packed = ln_slice_sub(ln_buf_slice(&out), 3, out.size);
            assert_int_equal(ln_inflater_feed(i, packed, true, 2000, &back), 0);
            buf_is(&back, in);
            ln_buf small;
            ln_buf_init(&small, max);
            err = ln_pmd_compress(&tools, 15, 6, true, in, &small);
            assert_int_equal(err, small.size ? LINNET_OK : LINNET_ERR_TOO_BIG);
            ln_buf_fini(&small);
            ln_deflater_free(d);
            ln_inflater_free(i);
            ln_buf_fini(&out);
            ln_buf_fini(&back);
        }
    ln_pmd_tools_fini(&tools);
}

static void an_output_with_a_maximum_of_its_own(void **state) {
    ln_inflater *i;
    assert_int_equal(ln_inflater_new(15, false, &i), 0);
    ln_pmd_tools tools;
    ln_pmd_tools_init(&tools);
    for (uint32_t max = 0; max < 40; max++) {
        ln_buf out;
        ln_buf_init(&out, max);
        int err = ln_inflater_feed(i, LN_SLICE(HELLO_PACKED), true, 100, &out);
        buf_is(&out, err == 0 ? LN_SLICE("Hello") : (ln_slice){ 0 });
        assert_int_equal(err, max < 5 ? LINNET_ERR_TOO_BIG : LINNET_OK);
        ln_buf_fini(&out);
    }
    ln_pmd_tools_fini(&tools);
    ln_inflater_free(i);
}

static void a_reset_forgets_the_window(void **state) {
    ln_deflater *d;
    ln_buf a, b;
    ln_buf_init(&a, 1000);
    ln_buf_init(&b, 1000);
    assert_int_equal(ln_deflater_new(15, 6, 8, true, &d), 0);
    assert_int_equal(ln_deflater_message(d, LN_SLICE("Hello"), &a), 0);
    buf_is(&a, LN_SLICE(HELLO_PACKED));
    assert_int_equal(ln_deflater_message(d, LN_SLICE("Hello"), &b), 0);
    buf_is(&b, LN_SLICE("\xf2\x00\x11\x00\x00")); /* RFC 7692 7.2.3.2 */
    ln_deflater_reset(d);
    ln_buf_clear(&b);
    assert_int_equal(ln_deflater_message(d, LN_SLICE("Hello"), &b), 0);
    buf_is(&b, LN_SLICE(HELLO_PACKED));
    ln_deflater_free(d);
    ln_buf_fini(&a);
    ln_buf_fini(&b);
}

static void windows_are_written_down_and_read_back(void **state) {
    static uint8_t data[50000];
    for (unsigned bits = 9; bits <= 15; bits += 3) {
        ln_deflater *d, *d2;
        ln_inflater *i, *i2;
        ln_buf wire, out, window;
        ln_buf_init(&wire, LN_BUF_MAX);
        ln_buf_init(&out, LN_BUF_MAX);
        ln_buf_init(&window, 100000);
        material(data, sizeof(data), bits);
        ln_slice in = ln_slice_of(data, sizeof(data));
        assert_int_equal(ln_deflater_new(bits, 6, 8, true, &d), 0);
        assert_int_equal(ln_deflater_new(bits, 6, 8, true, &d2), 0);
        assert_int_equal(ln_inflater_new(bits, true, &i), 0);
        assert_int_equal(ln_inflater_new(bits, true, &i2), 0);
        assert_int_equal(ln_deflater_message(d, in, &wire), 0);
        assert_int_equal(ln_inflater_feed(i, ln_buf_slice(&wire), true, 50000, &out), 0);

        assert_int_equal(ln_deflater_save(d, &window), 0);
        assert_in_range(window.size, 1, 1 << bits);
        assert_int_equal(ln_deflater_load(d2, ln_buf_slice(&window)), 0);
        ln_buf_clear(&window);
        assert_int_equal(ln_inflater_save(i, &window), 0);
        assert_in_range(window.size, 1, 1 << bits);
        assert_int_equal(ln_inflater_load(i2, ln_buf_slice(&window)), 0);

        ln_buf_clear(&wire);
        ln_buf_clear(&out);
        in = ln_slice_sub(in, 50000 - 200, 50000);
        assert_int_equal(ln_deflater_message(d2, in, &wire), 0);
        assert_true(wire.size < 60);
        assert_int_equal(ln_inflater_feed(i2, ln_buf_slice(&wire), true, 200, &out), 0);
        buf_is(&out, in);
        assert_int_equal(ln_deflater_load(d2, ln_slice_of(data, 32769)), LINNET_ERR_INVAL);
        assert_int_equal(ln_inflater_load(i2, ln_slice_of(data, 32769)), LINNET_ERR_INVAL);
        assert_int_equal(ln_deflater_load(d2, (ln_slice){ 0 }), 0);
        assert_int_equal(ln_inflater_load(i2, (ln_slice){ 0 }), 0);
        ln_buf tiny;
        ln_buf_init(&tiny, 100);
        assert_int_equal(ln_deflater_save(d, &tiny), LINNET_ERR_TOO_BIG);
        assert_int_equal(ln_inflater_save(i, &tiny), LINNET_ERR_TOO_BIG);
        ln_deflater_free(d);
        ln_deflater_free(d2);
        ln_inflater_free(i);
        ln_inflater_free(i2);
        ln_buf_fini(&wire);
        ln_buf_fini(&out);
        ln_buf_fini(&window);
    }
}

/* A peer that agreed to 512 bytes of window and looks back 676, in its second message. Whether that
 * is let pass must not depend on the buffer that the last message left. */
static void what_passes_does_not_depend_on_spare_room(void **state) {
    static const ln_slice first = BYTES("JLJN\x1c\x45\xa3\x68\x14\x0d\x1c\x02\x00");
    static const ln_slice second = BYTES("JLJN\x1c\x45\xa3\x69\x14\x0d\x1c\x02\x00");
    ln_buf outs[2];
    for (size_t n = 0; n < 2; n++) {
        ln_inflater *i;
        ln_buf_init(&outs[n], LN_BUF_MAX);
        assert_int_equal(ln_inflater_new(9, true, &i), 0);
        assert_int_equal(ln_inflater_feed(i, first, true, 100000, &outs[n]), 0);
        assert_int_equal(outs[n].size, 900);
        ln_buf_fini(&outs[n]);
        if (n == 1) assert_int_equal(ln_buf_reserve(&outs[n], 200000), 0);
        assert_int_equal(ln_inflater_feed(i, second, true, 100000, &outs[n]), 0);
        ln_inflater_free(i);
    }
    assert_true(ln_slice_eq(ln_buf_slice(&outs[0]), ln_buf_slice(&outs[1])));
    ln_buf_fini(&outs[0]);
    ln_buf_fini(&outs[1]);
}

/* The budget must not be told less than what is really held. */
typedef struct weighed {
    size_t bytes;
} weighed;

static void *weigh(void *ctx, size_t size) {
    ((weighed *)ctx)->bytes += size;
    return malloc(size);
}

static void *weigh_again(void *ctx, void *ptr, size_t size) {
    return realloc(ptr, size);
}

static void release(void *ctx, void *ptr) {
    free(ptr);
}

static void d11_costs_are_what_it_costs(void **state) {
    static uint8_t data[70000];
    material(data, sizeof(data), 1);
    for (unsigned bits = 9; bits <= 15; bits++)
        for (unsigned memory = 1; memory <= 9; memory += 4) {
            ln_deflater *d;
            ln_inflater *i;
            ln_buf wire, out;
            ln_buf_init(&wire, LN_BUF_MAX);
            ln_buf_init(&out, LN_BUF_MAX);
            assert_int_equal(ln_buf_reserve(&wire, 200000), 0);
            assert_int_equal(ln_buf_reserve(&out, 200000), 0);
            weighed w = { 0 };
            linnet_allocator a = { weigh, weigh_again, release, &w };
            assert_int_equal(linnet_allocator_set(&a), 0);
            assert_int_equal(ln_deflater_new(bits, 6, memory, true, &d), 0);
            ln_slice in = ln_slice_of(data, sizeof(data));
            assert_int_equal(ln_deflater_message(d, in, &wire), 0);
            size_t told = ln_deflater_cost(bits, memory);
            assert_in_range(w.bytes, told - told / 3, told);
            w.bytes = 0;
            assert_int_equal(ln_inflater_new(bits, true, &i), 0);
            assert_int_equal(ln_inflater_feed(i, ln_buf_slice(&wire), true, 70000, &out), 0);
            told = ln_inflater_cost(bits);
            assert_in_range(w.bytes, told - told / 3, told);
            ln_deflater_free(d);
            ln_inflater_free(i);
            ln_buf_fini(&wire);
            ln_buf_fini(&out);
            assert_int_equal(linnet_allocator_set(NULL), 0);
        }
}

static int all_kinds(ln_slice in) {
    ln_pmd_tools tools;
    ln_pmd_tools_init(&tools);
    ln_deflater *d = NULL;
    ln_inflater *i = NULL;
    ln_buf wire, out;
    ln_buf_init(&wire, LN_BUF_MAX);
    ln_buf_init(&out, LN_BUF_MAX);
    int err = ln_deflater_new(15, 6, 8, true, &d);
    if (err == 0) err = ln_inflater_new(15, true, &i);
    if (err == 0) err = ln_deflater_message(d, in, &wire);
    if (err == 0) err = ln_inflater_feed(i, ln_buf_slice(&wire), true, in.size, &out);
    ln_buf_clear(&wire);
    if (err == 0) err = ln_pmd_compress(&tools, 15, 6, true, in, &wire);
    if (err == 0) err = ln_pmd_inflate(&tools, ln_buf_slice(&wire), in.size, &out);
    ln_buf_clear(&wire);
    if (err == 0) err = ln_pmd_compress(&tools, 12, 6, false, in, &wire);
    if (err == 0) err = ln_pmd_inflate(&tools, LN_SLICE(HELLO_PACKED "\x00\x00\xff\xff"), 9, &out);
    if (err == 0) err = ln_inflater_load(i, in);
    ln_deflater_free(d);
    ln_inflater_free(i);
    ln_buf_fini(&wire);
    ln_buf_fini(&out);
    ln_pmd_tools_fini(&tools);
    return err;
}

static void every_refused_allocation_is_nomem_and_leaks_nothing(void **state) {
    static uint8_t data[20000];
    material(data, sizeof(data), 3);
    for (uint64_t n = 1;; n++) {
        ln_test_memory m = { .fail_at = n };
        ln_test_memory_install(&m);
        int err = all_kinds(ln_slice_of(data, sizeof(data)));
        ln_test_memory_remove();
        assert_int_equal(m.live, 0);
        assert_int_equal(err, m.calls < n ? LINNET_OK : LINNET_ERR_NOMEM);
        if (err == 0) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(d3_every_row_with_every_cut),
        cmocka_unit_test(what_is_deflated_is_inflated),
        cmocka_unit_test(broadcast_fits_every_window),
        cmocka_unit_test(d8_the_limit_is_exact),
        cmocka_unit_test(a_full_buffer_is_too_big_and_keeps_what_it_had),
        cmocka_unit_test(an_output_with_a_maximum_of_its_own),
        cmocka_unit_test(a_reset_forgets_the_window),
        cmocka_unit_test(windows_are_written_down_and_read_back),
        cmocka_unit_test(what_passes_does_not_depend_on_spare_room),
        cmocka_unit_test(d11_costs_are_what_it_costs),
        cmocka_unit_test(every_refused_allocation_is_nomem_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
