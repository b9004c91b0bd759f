#include "base/log.h"
#include "base/utf8.h"
#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_BYTES 1024

void ln_log_init(ln_log *l, linnet_log_fn *fn, void *ctx, linnet_log_level level) {
    *l = (ln_log){ .fn = fn, .ctx = ctx, .level = level };
}

typedef struct line {
    char text[LINE_MAX_BYTES + 1];
    size_t size;
    bool full;
} line;

static void put(line *out, const void *bytes, size_t n) {
    if (out->full || n > LINE_MAX_BYTES - out->size) {
        out->full = true; /* what follows a gap must not look as if it belonged */
        return;
    }
    memcpy(out->text + out->size, bytes, n);
    out->size += n;
}

static void put_hex(line *out, uint8_t byte) {
    static const char hex[] = "0123456789abcdef";
    char text[4] = { '\\', 'x', hex[byte >> 4], hex[byte & 15] };
    put(out, text, sizeof(text));
}

/* One code point as a reader may see it. The C1 controls are escaped too: terminals obey
 * them. The backslash is not: lines may be JSON, and a faked escape hides nothing. */
static void put_code_point(line *out, ln_slice c) {
    bool c1 = c.size == 2 && c.data[0] == 0xc2 && c.data[1] < 0xa0;
    bool control = c.size == 1 && (c.data[0] < 0x20 || c.data[0] == 0x7f);
    if (!c1 && !control) {
        put(out, c.data, c.size);
        return;
    }
    for (size_t i = 0; i < c.size; i++)
        put_hex(out, c.data[i]);
}

static size_t code_point_size(ln_slice valid) {
    size_t n = 1;
    while (n < valid.size && (valid.data[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static void put_escaped(line *out, ln_slice s) {
    while (s.size && !out->full) {
        ln_slice good = ln_slice_sub(s, 0, ln_utf8_prefix(s));
        ln_slice_skip(&s, good.size);
        while (good.size) {
            size_t n = code_point_size(good);
            put_code_point(out, ln_slice_sub(good, 0, n));
            ln_slice_skip(&good, n);
        }
        if (s.size == 0) break;
        put_hex(out, s.data[0]);
        ln_slice_skip(&s, 1);
    }
}

static void emit(const ln_log *l, linnet_log_level level, line *out) {
    out->text[out->size] = 0;
    l->fn(l->ctx, level, out->text);
}

static void tell_suppressed(ln_log *l) {
    line out = { .size = 0 };
    int n = snprintf(
        out.text, sizeof(out.text), "{\"event\":\"suppressed\",\"lines\":%u}", l->suppressed);
    out.size = n > 0 ? (size_t)n : 0;
    l->suppressed = 0;
    emit(l, LINNET_LOG_WARN, &out);
}

void ln_log_fini(ln_log *l) {
    if (l->fn && l->suppressed) tell_suppressed(l);
}

static bool passes(ln_log *l, uint64_t now_ms) {
    if (l->lines_per_s == 0) return true;
    uint64_t second = now_ms / 1000;
    if (second != l->second) {
        l->second = second;
        l->lines = 0;
        if (l->suppressed) tell_suppressed(l);
    }
    if (l->lines < l->lines_per_s) {
        l->lines++;
        return true;
    }
    l->suppressed++;
    return false;
}

void ln_logf(ln_log *l, uint64_t now_ms, linnet_log_level level, const char *format, ...) {
    if (!ln_log_wants(l, level) || !passes(l, now_ms)) return;
    char raw[LINE_MAX_BYTES + 1];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(raw, sizeof(raw), format, args);
    va_end(args);
    if (n < 0) return;
    line out = { .size = 0 };
    put_escaped(&out, ln_slice_of(raw, strlen(raw)));
    emit(l, level, &out);
}
