/* HTTP/1.1: a head has the same verdict whole and in pieces; it ends at the first empty line
 * and not before; what is read, written again, reads the same. A chunked body yields the same
 * payload however it is cut, needs its last byte, and survives being coded again. */
#include "wire/http1.h"
#include "base/num.h"
#include "fuzz.h"
#include "wire/chunked.h"

typedef int read_fn(ln_http1_scan *, const ln_http1_limits *, ln_slice, ln_http1_head *);

static void inside(ln_slice outer, ln_slice inner) {
    if (inner.size == 0) return;
    FUZZ_REQUIRE(inner.data >= outer.data && inner.size <= outer.size);
    FUZZ_REQUIRE(inner.data + inner.size <= outer.data + outer.size);
}

/* Bytes up to and with the first empty line; 0 when there is none. */
static size_t empty_line(ln_slice in) {
    const uint8_t *at = in.size ? memmem(in.data, in.size, "\r\n\r\n", 4) : NULL;
    return at ? (size_t)(at - in.data) + 4 : 0;
}

static bool same_head(const ln_http1_head *a, const ln_http1_head *b) {
    bool same = a->count == b->count && a->method == b->method && a->status == b->status &&
                a->minor == b->minor && a->body == b->body && a->length == b->length &&
                a->keep_alive == b->keep_alive && a->expect_continue == b->expect_continue &&
                ln_slice_eq(a->path, b->path) && ln_slice_eq(a->query, b->query) &&
                ln_slice_eq(a->host, b->host) && ln_slice_eq(a->reason, b->reason);
    for (uint32_t i = 0; same && i < a->count; i++)
        same = ln_slice_eq(a->fields[i].name, b->fields[i].name) &&
               ln_slice_eq(a->fields[i].value, b->fields[i].value);
    return same;
}

/* Shows more and more of it, each time in a new block. */
static void in_pieces(read_fn *read, const ln_http1_limits *limits, ln_slice in, int verdict,
    unsigned fault, const ln_http1_head *whole) {
    fuzz_chance c = fuzz_chance_of(in);
    ln_http1_scan scan = { 0 };
    ln_http1_head head;
    int err = LN_MORE;
    for (size_t at = 0; at < in.size && err == LN_MORE;) {
        at += fuzz_piece(&c, in.size - at);
        ln_wslice part = fuzz_exact(ln_slice_sub(in, 0, at));
        err = read(&scan, limits, ln_slice_of(part.data, part.size), &head);
        if (err == LN_DONE) {
            FUZZ_REQUIRE(at >= whole->size && head.size == whole->size);
            FUZZ_REQUIRE(same_head(&head, whole));
        }
        free(part.data);
    }
    FUZZ_REQUIRE(err == verdict && scan.fault == fault);
}

static void sane_head(ln_slice in, const ln_http1_head *h) {
    FUZZ_REQUIRE(h->size == empty_line(in));
    ln_slice head = ln_slice_sub(in, 0, h->size);
    for (uint32_t i = 0; i < h->count; i++) {
        inside(head, h->fields[i].name);
        inside(head, h->fields[i].value);
        FUZZ_REQUIRE(ln_http1_is_token(h->fields[i].name));
        FUZZ_REQUIRE(ln_http1_is_value(h->fields[i].value));
        FUZZ_REQUIRE(ln_slice_eq(h->fields[i].value, ln_slice_trim(h->fields[i].value)));
        FUZZ_REQUIRE(ln_http1_find(h, h->fields[i].name, NULL) >= 1);
    }
    inside(head, h->target);
    inside(head, h->reason);
    FUZZ_REQUIRE((h->body == LN_HTTP1_BODY_LENGTH) == (h->length > 0));
    FUZZ_REQUIRE(h->length <= INT64_MAX);
    if (!h->method) return;
    FUZZ_REQUIRE(h->host.data || h->minor == 0);
    FUZZ_REQUIRE(h->body != LN_HTTP1_BODY_CLOSE);
    FUZZ_REQUIRE(!memmem(head.data, head.size, "\n ", 2));
}

static void sane_target(const ln_http1_head *h) {
    ln_slice key, value, rest = h->query;
    uint8_t *room = malloc(h->target.size + 1);
    size_t params = 0, n = ln_target_unescape(h->path, false, room);
    FUZZ_REQUIRE(n <= h->path.size && !memchr(room, 0, n) && !memchr(room, '\\', n));
    FUZZ_REQUIRE(!memmem(room, n, "//", 2) && !memmem(room, n, "/../", 4));
    while (ln_target_next(&rest, &key, &value)) {
        n = ln_target_unescape(key, true, room);
        FUZZ_REQUIRE(ln_target_find(h->query, ln_slice_of(room, n), NULL) >= 1);
        params++;
    }
    FUZZ_REQUIRE(params <= LN_TARGET_PARAMS_MAX);
    free(room);
}

/* Ours speaks HTTP/1.1 only, and its answers have the table's words. */
static void written_again(read_fn *read, const ln_http1_limits *limits, const ln_http1_head *h) {
    ln_buf text;
    ln_http1_scan scan = { 0 };
    ln_http1_head again;
    ln_buf_init(&text, LN_BUF_MAX);
    ln_http1_writer w = h->method ? ln_http1_ask(&text, h->method, h->target)
                                  : ln_http1_answer(&text, h->status);
    for (uint32_t i = 0; i < h->count; i++)
        ln_http1_put(&w, h->fields[i].name, h->fields[i].value);
    FUZZ_REQUIRE(ln_http1_finish(&w) == LINNET_OK);
    int err = read(&scan, limits, ln_buf_slice(&text), &again);
    if (err == LN_DONE) {
        if (!h->method) again.reason = h->reason;
        FUZZ_REQUIRE(again.size == text.size);
        FUZZ_REQUIRE(h->minor == 0 || same_head(&again, h));
    } else { /* blanks we add may cross a limit; 1.0 may be without Host */
        unsigned status = ln_http1_fault_status(scan.fault);
        FUZZ_REQUIRE(h->minor == 0 || status == 414 || status == 431);
    }
    ln_buf_fini(&text);
}

static void head(read_fn *read, const ln_http1_limits *limits, ln_slice in) {
    ln_http1_scan scan = { 0 };
    ln_http1_head h;
    int err = read(&scan, limits, in, &h);
    unsigned fault = scan.fault;
    FUZZ_REQUIRE(err == LN_DONE || err == LN_MORE || err == LINNET_ERR_HTTP);
    FUZZ_REQUIRE((err == LINNET_ERR_HTTP) == (fault != 0));
    FUZZ_REQUIRE(err != LN_MORE || (!empty_line(in) && in.size < limits->head_max));
    if (err == LN_DONE) {
        sane_head(in, &h);
        if (h.method) sane_target(&h);
        written_again(read, limits, &h);
    }
    if (in.size) in_pieces(read, limits, in, err, fault, &h);
}

/* ---- bodies ------------------------------------------------------------------------ */

typedef struct outcome {
    int err;
    unsigned fault;
    size_t used;
    ln_buf payload;
} outcome;

static outcome decode(ln_slice in, uint64_t body_max, fuzz_chance *chance) {
    outcome o = { .err = LN_MORE };
    ln_chunked c;
    ln_slice data;
    ln_chunked_init(&c, body_max);
    ln_buf_init(&o.payload, LN_BUF_MAX);
    while (o.err == LN_MORE && o.used < in.size) {
        size_t n = chance ? fuzz_piece(chance, in.size - o.used) : in.size - o.used;
        ln_wslice piece = fuzz_exact(ln_slice_sub(in, o.used, o.used + n));
        ln_slice rest = ln_slice_of(piece.data, piece.size);
        while ((o.err = ln_chunked_feed(&c, &rest, &data)) == LN_CHUNKED_DATA) {
            FUZZ_REQUIRE(data.size > 0);
            FUZZ_REQUIRE(ln_buf_add(&o.payload, data) == LINNET_OK);
        }
        FUZZ_REQUIRE(o.err != LN_MORE || rest.size == 0);
        o.used += n - rest.size;
        free(piece.data);
    }
    o.fault = c.fault;
    FUZZ_REQUIRE(o.payload.size <= body_max);
    return o;
}

static void coded_again(ln_slice payload, fuzz_chance *chance) {
    ln_buf wire;
    ln_buf_init(&wire, LN_BUF_MAX);
    for (size_t at = 0; at < payload.size;) {
        size_t n = fuzz_piece(chance, payload.size - at);
        FUZZ_REQUIRE(ln_chunked_write(&wire, ln_slice_sub(payload, at, at + n)) == LINNET_OK);
        at += n;
    }
    FUZZ_REQUIRE(ln_chunked_end(&wire) == LINNET_OK);
    outcome back = decode(ln_buf_slice(&wire), payload.size, chance);
    FUZZ_REQUIRE(back.err == LN_DONE && back.used == wire.size);
    FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&back.payload), payload));
    ln_buf_fini(&back.payload);
    ln_buf_fini(&wire);
}

static void body(ln_slice in) {
    fuzz_chance chance = fuzz_chance_of(in);
    outcome whole = decode(in, 1000, NULL), pieces = decode(in, 1000, &chance);
    FUZZ_REQUIRE(whole.err == pieces.err && whole.fault == pieces.fault);
    FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&whole.payload), ln_buf_slice(&pieces.payload)));
    if (whole.err == LN_DONE) {
        FUZZ_REQUIRE(whole.used == pieces.used && in.data[whole.used - 1] == '\n');
        outcome cut = decode(ln_slice_sub(in, 0, whole.used - 1), 1000, NULL);
        FUZZ_REQUIRE(cut.err == LN_MORE);
        ln_buf_fini(&cut.payload);
    }
    coded_again(ln_buf_slice(&whole.payload), &chance);
    ln_buf_fini(&whole.payload);
    ln_buf_fini(&pieces.payload);
}

/* The first byte chooses: requests, responses, tight limits, bodies. */
void fuzz_one(ln_slice in) {
    static const ln_http1_limits tight = { 40, 120, 4 };
    switch (fuzz_choice(&in) % 5) {
    case 1: head(ln_http1_response, &LN_HTTP1_LIMITS_CLIENT, in); break;
    case 2: head(ln_http1_request, &tight, in); break;
    case 3: head(ln_http1_response, &tight, in); break;
    case 4: body(in); break;
    default: head(ln_http1_request, &LN_HTTP1_LIMITS_SERVER, in);
    }
}
