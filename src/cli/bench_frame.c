#include "cli/bench_frame.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum {
    RING_BYTES = 128 * 1024, /* of distinct payload, four times the largest window */
    RING_VARIANTS_MAX = 128,
    RING_LARGE = 64 * 1024, /* from here on one payload for all: caches, not content */
};

void *ln_bench_alloc(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (p) return p;
    fputs("linnet bench: out of memory\n", stderr);
    exit(1);
}

/* -- payloads ------------------------------------------------------------ */

static uint32_t next_random(uint32_t *state) {
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* Records as an application would push them: keys that repeat, values that change. */
static void fill_json(uint8_t *p, size_t n, uint32_t *seed) {
    static const char *const words[] = { "order", "shipped", "Amsterdam", "pending", "temperature",
        "alert", "sensor", "invoice", "customer", "delivered", "Lisbon", "refund" };
    size_t at = 0;
    char row[256];
    while (at < n) {
        uint32_t a = next_random(seed), b = next_random(seed), c = next_random(seed);
        int len = snprintf(row, sizeof row,
            "{\"id\":%u,\"kind\":\"%s\",\"state\":\"%s\",\"place\":\"%s\",\"value\":%u.%02u,"
            "\"at\":17%08u,\"key\":\"%08x%08x\",\"ok\":%s}\n",
            a % 1000000, words[b % 12], words[b / 12 % 12], words[b / 144 % 12], c % 1000, c % 97,
            a % 100000000, b, c, a & 1 ? "true" : "false");
        size_t take = (size_t)len < n - at ? (size_t)len : n - at;
        memcpy(p + at, row, take);
        at += take;
    }
}

static void fill_non_ascii(uint8_t *p, size_t n, uint32_t *seed) {
    static const char *const words[] = { "größe", "мир", "世界", "Ελλάδα", "🙂", "café", "день",
        "日本語", "naïve", "données", "🚀", "привет" };
    size_t at = 0;
    while (at < n) {
        const char *word = words[next_random(seed) % 12];
        size_t len = strlen(word);
        if (len + 1 > n - at) {
            memset(p + at, '.', n - at);
            return;
        }
        memcpy(p + at, word, len);
        p[at + len] = ' ';
        at += len + 1;
    }
}

void ln_bench_payload(uint8_t *p, size_t n, ln_bench_body body, uint32_t variant, bool prose) {
    uint32_t seed = 2463534242u + variant * 2654435761u;
    if (seed == 0) seed = 1;
    if (body == LN_BENCH_NON_ASCII) {
        fill_non_ascii(p, n, &seed);
    } else if (prose) {
        fill_json(p, n, &seed);
    } else {
        for (size_t i = 0; i < n; i++) {
            uint32_t r = next_random(&seed) >> 8;
            p[i] = body == LN_BENCH_BINARY ? (uint8_t)r : (uint8_t)(' ' + r % 95);
        }
    }
}

/* -- frames out ---------------------------------------------------------- */

void ln_bench_mask(uint8_t out[4]) {
    if (RAND_bytes(out, 4) == 1) return;
    fputs("linnet bench: no random numbers\n", stderr);
    exit(1);
}

static size_t write_head(uint8_t *out, uint8_t first, bool masked, uint64_t n) {
    size_t extra = n < 126 ? 0 : n < 65536 ? 2 : 8;
    out[0] = (uint8_t)(0x80 | first);
    out[1] = (uint8_t)((masked ? 0x80 : 0) | (extra == 0 ? n : extra == 2 ? 126 : 127));
    for (size_t i = 0; i < extra; i++)
        out[2 + i] = (uint8_t)(n >> (8 * (extra - 1 - i)));
    return 2 + extra;
}

size_t ln_bench_frame(
    uint8_t *out, uint8_t first, const uint8_t mask[4], const uint8_t *p, size_t n) {
    size_t head = write_head(out, first, mask != NULL, n);
    if (!mask) {
        memcpy(out + head, p, n);
        return head + n;
    }
    memcpy(out + head, mask, 4);
    head += 4;
    for (size_t i = 0; i < n; i++)
        out[head + i] = p[i] ^ mask[i & 3];
    return head + n;
}

static uint32_t ring_variants(size_t size, bool squeezed) {
    if (size >= RING_LARGE && !squeezed) return 1;
    size_t n = RING_BYTES / (size ? size : 1);
    if (n > RING_VARIANTS_MAX) n = RING_VARIANTS_MAX;
    return n < 4 ? 4 : (uint32_t)n;
}

void ln_bench_ring_init(
    ln_bench_ring *ring, const ln_bench_options *o, ln_bench_squeeze squeeze, void *ctx) {
    size_t size = o->size;
    uint32_t variants = ring_variants(size, squeeze != NULL), run = (uint32_t)o->in_flight;
    size_t slot = (squeeze ? 2 * size + 64 : size) + LN_BENCH_HEAD_MAX;
    *ring = (ln_bench_ring){ .variants = variants, .run = run, .size = size };
    ring->payloads = ln_bench_alloc(variants, size);
    ring->bytes = ln_bench_alloc(variants + run, slot);
    ring->at = ln_bench_alloc(variants + run + 1, sizeof(size_t));
    uint8_t *scratch = squeeze ? ln_bench_alloc(1, slot) : NULL;

    uint8_t op = o->body == LN_BENCH_BINARY ? LN_BENCH_OP_BINARY : LN_BENCH_OP_TEXT;
    if (squeeze) op |= LN_BENCH_RSV1;
    for (uint32_t i = 0; i < variants; i++) {
        uint8_t *p = ring->payloads + (size_t)i * size, mask[4];
        ln_bench_payload(p, size, o->body, i, squeeze != NULL);
        ln_bench_mask(mask);
        size_t n = squeeze ? squeeze(ctx, p, size, scratch) : size;
        size_t len = ln_bench_frame(ring->bytes + ring->at[i], op, mask, squeeze ? scratch : p, n);
        ring->at[i + 1] = ring->at[i] + len;
    }
    /* The next lap is the same bytes: compressed ones refer back only within
     * their lap, and the window behind them holds just that. */
    for (uint32_t i = variants; i < variants + run; i++) {
        size_t from = ring->at[i - variants], len = ring->at[i - variants + 1] - from;
        memcpy(ring->bytes + ring->at[i], ring->bytes + from, len);
        ring->at[i + 1] = ring->at[i] + len;
    }
    free(scratch);
}

void ln_bench_ring_fini(ln_bench_ring *ring) {
    free(ring->payloads);
    free(ring->bytes);
    free(ring->at);
    memset(ring, 0, sizeof *ring);
}

/* -- frames in ----------------------------------------------------------- */

void ln_bench_reader_init(ln_bench_reader *r, const ln_bench_sink *sink, uint64_t expect) {
    memset(r, 0, sizeof *r);
    r->sink = sink;
    r->expect = expect;
}

static int fail(ln_bench_reader *r, const char *why) {
    if (!r->why) r->why = why;
    return -1;
}

static size_t head_size(uint8_t second) {
    uint8_t len = second & 0x7f;
    return len < 126 ? 2 : len == 126 ? 4 : 10;
}

/* A whole header at h: opens the frame. */
static int frame_begin(ln_bench_reader *r, const uint8_t *h) {
    uint8_t op = h[0] & 15;
    uint64_t n = h[1] & 0x7f;
    if (h[1] & 0x80) return fail(r, "the server masks its frames");
    if (h[0] & 0x30) return fail(r, "a frame with RSV2 or RSV3");
    if (n >= 126) {
        size_t extra = n == 126 ? 2 : 8;
        n = 0;
        for (size_t i = 0; i < extra; i++)
            n = n << 8 | h[2 + i];
        if (n >> 63) return fail(r, "a frame of more than 2^63 bytes");
    }
    if (op & 8) {
        if (n > 125 || !(h[0] & 0x80)) return fail(r, "a control frame that is too long or cut");
        r->control_len = 0;
    } else if (op == 0) {
        if (!r->message_first) return fail(r, "a continuation of nothing");
    } else {
        if (op > 2 || r->message_first) return fail(r, "an unexpected opcode");
        r->message_first = h[0];
        r->length = 0;
    }
    r->first = h[0];
    r->left = n;
    r->inside = 1;
    r->head_have = 0;
    return 0;
}

/* Takes header bytes from *p; when the header is complete, r->inside is set. */
static int take_head(ln_bench_reader *r, const uint8_t **p, const uint8_t *end) {
    size_t have = (size_t)(end - *p);
    if (r->head_have == 0 && have >= 2 && have >= head_size((*p)[1])) {
        const uint8_t *head = *p;
        *p += head_size(head[1]);
        return frame_begin(r, head);
    }
    while (*p < end) {
        r->head[r->head_have++] = *(*p)++;
        if (r->head_have >= 2 && r->head_have == head_size(r->head[1]))
            return frame_begin(r, r->head);
    }
    return 0;
}

static int take_payload(ln_bench_reader *r, const uint8_t *p, size_t n) {
    if (r->first & 8) {
        memcpy(r->control + r->control_len, p, n);
        r->control_len = (uint8_t)(r->control_len + n);
        return 0;
    }
    r->payload += n;
    if (r->sink->data && n && r->sink->data(r, p, n) < 0) return fail(r, "a wrong message");
    r->length += n;
    return 0;
}

static int frame_end(ln_bench_reader *r) {
    r->inside = 0;
    if (r->first & 8) {
        if (!r->sink->control) return 0;
        return r->sink->control(r, r->first & 15, r->control, r->control_len) < 0
                   ? fail(r, "a control frame")
                   : 0;
    }
    if (!(r->first & 0x80)) return 0;
    if (r->expect != UINT64_MAX && r->length != r->expect)
        return fail(r, "a message of the wrong length");
    r->messages++;
    if (r->sink->message && r->sink->message(r) < 0) return fail(r, "a wrong message");
    r->message_first = 0;
    return 0;
}

int ln_bench_reader_feed(ln_bench_reader *r, const uint8_t *p, size_t n) {
    const uint8_t *end = p + n;
    while (p < end) {
        if (!r->inside) {
            if (take_head(r, &p, end) < 0) return -1;
            if (!r->inside) return 0;
        }
        size_t have = (size_t)(end - p);
        size_t take = r->left < have ? (size_t)r->left : have;
        if (take_payload(r, p, take) < 0) return -1;
        p += take;
        r->left -= take;
        if (r->left == 0 && frame_end(r) < 0) return -1;
    }
    return 0;
}
