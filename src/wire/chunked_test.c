#include "base/testing.h"
#include "wire/chunked.h"

#define BODY_MAX 1000

typedef struct row {
    const char *why;
    ln_slice in;
    const char *payload; /* what comes out, also before a fault */
    ln_http1_fault fault;
    size_t left; /* bytes behind the body that must not be touched */
} row;

#define OK  LN_HTTP1_FAULT_NONE
#define BAD LN_HTTP1_FAULT_CHUNK
#define END "0\r\n\r\n"

static const row rows[] = {
    { "one chunk", BYTES("5\r\nhello\r\n" END), "hello", OK, 0 },
    { "nothing", BYTES(END), "", OK, 0 },
    { "two chunks", BYTES("2\r\nhe\r\n3\r\nllo\r\n" END), "hello", OK, 0 },
    { "hex in both cases", BYTES("a\r\n0123456789\r\nB\r\n0123456789a\r\n" END),
        "01234567890123456789a", OK, 0 },
    { "leading zeros", BYTES("0000000000000005\r\nhello\r\n0000\r\n\r\n"), "hello", OK, 0 },
    { "payload that looks like a frame", BYTES("7\r\n0\r\n\r\nxy\r\n" END), "0\r\n\r\nxy", OK, 0 },
    { "next request behind it", BYTES("1\r\nx\r\n" END "GET / HTTP/1.1\r\n"), "x", OK, 16 },
    { "T011 trailers are discarded",
        BYTES("1\r\nx\r\n0\r\nContent-Length: 5\r\nHost: evil\r\nAuthorization: a\r\n"
              "X-Forwarded-For: b\r\n\r\nGET"),
        "x", OK, 3 },
    { "extension", BYTES("1;a\r\nx\r\n0;b=c\r\n\r\n"), "x", OK, 0 },
    { "extensions", BYTES("1;a=b;c;d=\"e\\\"; \r\"\r\nx\r\n" END), "", BAD, 0 },
    { "quoted extension", BYTES("1;a=\"b;\\\" c\";d\r\nx\r\n" END), "x", OK, 0 },

    { "T009 seventeen digits", BYTES("00000000000000005\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 plus", BYTES("+5\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 minus", BYTES("-5\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 0x", BYTES("0x5\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 underscore", BYTES("1_0\r\n0123456789abcdef\r\n" END), "", BAD, 0 },
    { "T009 space before", BYTES(" 5\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 space behind", BYTES("5 \r\nhello\r\n" END), "", BAD, 0 },
    { "T009 bare semicolon", BYTES("5;\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 two semicolons", BYTES("5;;a\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 no digits", BYTES("\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 semicolon without digits", BYTES(";a\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 extension without value", BYTES("5;a=\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 extension without name", BYTES("5;=a\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 extension with a space", BYTES("5; a\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 something behind a quote", BYTES("5;a=\"b\"c\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 NUL in a quote", BYTES("5;a=\"\0\"\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 LF behind an escape", BYTES("5;a=\"\\\n\"\r\nhello\r\n" END), "", BAD, 0 },
    { "T009 missing CR LF after data", BYTES("5\r\nhello" END), "hello", BAD, 0 },
    { "T009 one byte too many", BYTES("5\r\nhello!\r\n" END), "hello", BAD, 0 },
    { "T001 bare LF behind a size", BYTES("5\nhello\r\n" END), "", BAD, 0 },
    { "T001 bare LF behind data", BYTES("5\r\nhello\n" END), "hello", BAD, 0 },
    { "T002 CR alone behind a size", BYTES("5\rhello\r\n" END), "", BAD, 0 },
    { "T002 CR alone behind data", BYTES("5\r\nhello\r0\r\n\r\n"), "hello", BAD, 0 },
    { "fold in the trailer", BYTES("0\r\nA: b\r\n c\r\n\r\n"), "", LN_HTTP1_FAULT_TRAILER, 0 },
    { "chunk over the limit", BYTES("3e9\r\n"), "", LN_HTTP1_FAULT_BODY_LONG, 0 },
    { "sum over the limit", BYTES("1\r\nx\r\n3e8\r\n"), "x", LN_HTTP1_FAULT_BODY_LONG, 0 },
    { "2^64-1", BYTES("ffffffffffffffff\r\n"), "", LN_HTTP1_FAULT_BODY_LONG, 0 },
};

/* Feeds one piece in its own block; gathers payload. */
static int feed(ln_chunked *c, ln_slice piece, ln_buf *payload, size_t *left) {
    ln_slice copy = ln_test_exact(piece), in = copy, data;
    int err;
    while ((err = ln_chunked_feed(c, &in, &data)) == LN_CHUNKED_DATA) {
        assert_true(data.size > 0);
        assert_int_equal(ln_buf_add(payload, data), LINNET_OK);
    }
    *left = in.size;
    ln_test_drop(copy);
    return err;
}

static void check(const row *r, size_t step, size_t first) {
    ln_chunked c;
    ln_buf payload;
    ln_chunked_init(&c, BODY_MAX);
    ln_buf_init(&payload, 4096);
    size_t at = 0, left = 0;
    int err = LN_MORE;
    while (err == LN_MORE && at < r->in.size) {
        size_t n = at == 0 && first ? first : step;
        if (n > r->in.size - at) n = r->in.size - at;
        err = feed(&c, ln_slice_sub(r->in, at, at + n), &payload, &left);
        if (err == LN_MORE) assert_int_equal(left, 0);
        at += n;
    }
    if (err != (r->fault ? LINNET_ERR_HTTP : LN_DONE) || c.fault != r->fault) {
        fail_msg("%s: %d %s, step %zu after %zu", r->why, err,
            ln_http1_fault_name((ln_http1_fault)c.fault), step, first);
    }
    if (!ln_slice_eq(ln_buf_slice(&payload), ln_slice_str(r->payload))) fail_msg("%s", r->why);
    if (!r->fault && r->in.size - at + left != r->left) fail_msg("%s: went too far", r->why);

    /* both ends are final */
    ln_slice more = LN_SLICE("5\r\nhello\r\n"), data;
    assert_int_equal(ln_chunked_feed(&c, &more, &data), err);
    assert_int_equal(more.size, 10);
    ln_buf_fini(&payload);
}

static void bodies_cut_everywhere(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        check(&rows[i], rows[i].in.size, 0);
        check(&rows[i], 1, 0);
        for (size_t cut = 1; cut < rows[i].in.size; cut++)
            check(&rows[i], rows[i].in.size, cut);
    }
}

static void t009_early_end_is_no_end(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        if (rows[i].fault) continue;
        for (size_t n = 0; n < rows[i].in.size - rows[i].left; n++) {
            ln_chunked c;
            ln_buf payload;
            size_t left;
            ln_chunked_init(&c, BODY_MAX);
            ln_buf_init(&payload, 4096);
            if (feed(&c, ln_slice_sub(rows[i].in, 0, n), &payload, &left) != LN_MORE)
                fail_msg("%s: %zu bytes", rows[i].why, n);
            ln_buf_fini(&payload);
        }
    }
}

static void extensions_have_an_end(void **state) {
    for (int quoted = 0; quoted < 2; quoted++) {
        ln_chunked c;
        size_t fed = 0;
        int err = LN_MORE;
        ln_slice in = quoted ? LN_SLICE("1;a=\"") : LN_SLICE("1;"), data;
        ln_chunked_init(&c, BODY_MAX);
        assert_int_equal(ln_chunked_feed(&c, &in, &data), LN_MORE);
        while (err == LN_MORE && fed < 100000) {
            in = LN_SLICE("a");
            err = ln_chunked_feed(&c, &in, &data);
            fed++;
        }
        assert_int_equal(err, LINNET_ERR_HTTP);
        assert_int_equal(c.fault, BAD);
        assert_int_equal(fed, LN_CHUNKED_OVERHEAD_MAX + 1 - (quoted ? strlen("a=\"") : 0));
    }
}

static void extensions_are_counted_over_chunks(void **state) {
    ln_chunked c;
    ln_slice data;
    int err = LN_MORE;
    unsigned chunks = 0;
    ln_chunked_init(&c, UINT64_MAX);
    for (; err != LINNET_ERR_HTTP && chunks < 10000; chunks++) {
        ln_slice in = LN_SLICE("1;abcdefg\r\nx\r\n");
        while ((err = ln_chunked_feed(&c, &in, &data)) == LN_CHUNKED_DATA)
            ;
    }
    assert_int_equal(err, LINNET_ERR_HTTP);
    assert_int_equal(chunks, LN_CHUNKED_OVERHEAD_MAX / strlen("abcdefg\r") + 1);
}

static void what_is_written_is_read(void **state) {
    static const size_t sizes[] = { 1, 9, 10, 15, 16, 17, 255, 256, 4095, 4096, 65535, 65536 };
    uint8_t *text = malloc(65536);
    for (size_t i = 0; i < 65536; i++)
        text[i] = (uint8_t)(i * 7);
    ln_buf wire, payload, expected;
    ln_buf_init(&wire, LN_BUF_MAX);
    ln_buf_init(&payload, LN_BUF_MAX);
    ln_buf_init(&expected, LN_BUF_MAX);
    for (size_t i = 0; i < LN_COUNT(sizes); i++) {
        ln_slice piece = ln_slice_of(text, sizes[i]);
        assert_int_equal(ln_chunked_write(&wire, piece), LINNET_OK);
        assert_int_equal(ln_buf_add(&expected, piece), LINNET_OK);
    }
    assert_int_equal(ln_chunked_write(&wire, (ln_slice){ 0 }), LINNET_OK);
    assert_int_equal(ln_chunked_end(&wire), LINNET_OK);

    ln_chunked c;
    size_t left;
    ln_chunked_init(&c, expected.size);
    assert_int_equal(feed(&c, ln_buf_slice(&wire), &payload, &left), LN_DONE);
    assert_int_equal(left, 0);
    assert_true(ln_slice_eq(ln_buf_slice(&payload), ln_buf_slice(&expected)));
    assert_true(c.total == expected.size);
    ln_buf_fini(&wire);
    ln_buf_fini(&payload);
    ln_buf_fini(&expected);
    free(text);
}

static void chunks_look_like_this(void **state) {
    ln_buf b;
    ln_buf_init(&b, 40);
    assert_int_equal(ln_chunked_write(&b, LN_SLICE("0123456789abcdefghijklmnopq")), LINNET_OK);
    assert_true(ln_slice_eq(ln_buf_slice(&b), LN_SLICE("1b\r\n0123456789abcdefghijklmnopq\r\n")));
    assert_int_equal(ln_chunked_write(&b, LN_SLICE("12")), LINNET_OK);
    assert_int_equal(b.size, 40);
    assert_int_equal(ln_chunked_write(&b, LN_SLICE("1")), LINNET_ERR_TOO_BIG);
    assert_int_equal(ln_chunked_end(&b), LINNET_ERR_TOO_BIG);
    assert_int_equal(b.size, 40);
    ln_buf_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_cut_everywhere),
        cmocka_unit_test(t009_early_end_is_no_end),
        cmocka_unit_test(extensions_have_an_end),
        cmocka_unit_test(extensions_are_counted_over_chunks),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(chunks_look_like_this),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
