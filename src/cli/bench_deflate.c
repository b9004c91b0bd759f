#include "cli/bench_deflate.h"

#include "base/num.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void must(int code, const char *what) {
    if (code == Z_OK) return;
    fprintf(stderr, "linnet bench: zlib refused %s (%d)\n", what, code);
    exit(1);
}

/* -- negotiation --------------------------------------------------------- */

static bool same(const char *p, size_t n, const char *word) {
    return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

/* One parameter, name[=value], without blanks round it. */
static bool take_parameter(ln_bench_extension *x, const char *p, size_t n) {
    const char *equals = memchr(p, '=', n);
    size_t name = equals ? (size_t)(equals - p) : n;
    if (same(p, name, "server_no_context_takeover")) {
        x->server_takeover = false;
    } else if (same(p, name, "client_no_context_takeover")) {
        x->client_takeover = false;
    } else if (same(p, name, "client_max_window_bits") && equals) {
        ln_slice digits = ln_slice_of(equals + 1, n - name - 1);
        uint64_t bits = 0;
        if (digits.size >= 2 && digits.data[0] == '"' && digits.data[digits.size - 1] == '"')
            digits = ln_slice_sub(digits, 1, digits.size - 1);
        if (!ln_num_u64(digits, 15, &bits) || bits < 8) return false;
        x->client_bits = (int)bits;
    } else if (!same(p, name, "server_max_window_bits")) {
        return false;
    }
    return true;
}

bool ln_bench_extension_parse(ln_bench_extension *out, const char *value, size_t n) {
    *out = (ln_bench_extension){ true, true, true, 15 };
    const char *at = value, *end = value + n;
    for (bool first = true; at < end; first = false) {
        const char *stop = memchr(at, ';', (size_t)(end - at));
        if (!stop) stop = end;
        const char *next = stop + 1;
        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
        size_t len = (size_t)(stop - at);
        if (first ? !same(at, len, "permessage-deflate") : !take_parameter(out, at, len))
            return false;
        at = next;
    }
    return n > 0;
}

/* -- out ----------------------------------------------------------------- */

void ln_bench_deflater_init(ln_bench_deflater *d, bool takeover, int bits, int level) {
    memset(d, 0, sizeof *d);
    d->takeover = takeover;
    /* zlib cannot do a window of 8 bits without a wrapper; 9 is what it calls 8. */
    int window = bits < 9 ? 9 : bits;
    must(deflateInit2(&d->z, level, Z_DEFLATED, -window, 8, Z_DEFAULT_STRATEGY), "deflateInit2");
}

void ln_bench_deflater_fini(ln_bench_deflater *d) {
    deflateEnd(&d->z);
}

size_t ln_bench_deflate(void *deflater, const uint8_t *p, size_t n, uint8_t *out) {
    ln_bench_deflater *d = deflater;
    size_t room = 2 * n + 64;
    if (!d->takeover) must(deflateReset(&d->z), "deflateReset");
    d->z.next_in = (Bytef *)(uintptr_t)p;
    d->z.avail_in = (uInt)n;
    d->z.next_out = out;
    d->z.avail_out = (uInt)room;
    must(deflate(&d->z, Z_SYNC_FLUSH), "deflate");
    return room - d->z.avail_out - 4; /* without the 00 00 ff ff of the flush */
}

double ln_bench_deflate_baseline(const ln_bench_ring *ring, bool takeover) {
    ln_bench_deflater d;
    ln_bench_deflater_init(&d, takeover, 15, 6);
    uint8_t *out = ln_bench_alloc(1, 2 * ring->size + 64);
    size_t bytes = 0;
    for (int lap = 0; lap < 2; lap++) {
        bytes = 0;
        for (uint32_t i = 0; i < ring->variants; i++)
            bytes += ln_bench_deflate(&d, ln_bench_ring_payload(ring, i), ring->size, out);
    }
    free(out);
    ln_bench_deflater_fini(&d);
    return (double)bytes / ring->variants;
}

/* -- in ------------------------------------------------------------------ */

void ln_bench_inflater_init(ln_bench_inflater *d, bool takeover) {
    memset(d, 0, sizeof *d);
    d->takeover = takeover;
    must(inflateInit2(&d->z, -15), "inflateInit2");
}

void ln_bench_inflater_fini(ln_bench_inflater *d) {
    inflateEnd(&d->z);
}

/* A final block (RFC 7692, 7.2.3.4) ends zlib's stream but not ours: go on with
 * the same window. */
static void restart(ln_bench_inflater *d) {
    Bytef window[32768];
    uInt n = 0;
    must(inflateGetDictionary(&d->z, window, &n), "inflateGetDictionary");
    must(inflateReset(&d->z), "inflateReset");
    must(inflateSetDictionary(&d->z, window, n), "inflateSetDictionary");
}

bool ln_bench_inflate_check(
    ln_bench_inflater *d, const uint8_t *p, size_t len, const uint8_t *wanted, size_t n) {
    uint8_t out[16384];
    d->z.next_in = (Bytef *)(uintptr_t)p;
    d->z.avail_in = (uInt)len;
    for (;;) {
        d->z.next_out = out;
        d->z.avail_out = sizeof out;
        int code = inflate(&d->z, Z_SYNC_FLUSH);
        size_t got = sizeof out - d->z.avail_out;
        if (got > n - d->length || memcmp(out, wanted + d->length, got) != 0) return false;
        d->length += got;
        if (code == Z_STREAM_END)
            restart(d);
        else if (code != Z_OK && code != Z_BUF_ERROR)
            return false;
        else if (d->z.avail_out)
            return true;
    }
}

bool ln_bench_inflate_end(ln_bench_inflater *d, const uint8_t *wanted, size_t n) {
    static const uint8_t tail[4] = { 0, 0, 0xff, 0xff };
    bool right = ln_bench_inflate_check(d, tail, sizeof tail, wanted, n) && d->length == n;
    d->length = 0;
    if (!d->takeover) must(inflateReset(&d->z), "inflateReset");
    return right;
}
