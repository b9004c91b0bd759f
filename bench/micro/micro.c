/* micro.c -- how quickly the inner loops go: bytes per second, or calls.
 *
 *     build/release/bench/micro/micro [--json] [PATTERN]
 *
 * Every row is measured in seven rounds, one after another, and the median round
 * counts; CPU time of this thread, so that others only cost cache. Inputs are as
 * large as what the code sees in a server: they fit the second-level cache.
 */
#include "base/json.h"
#include "base/utf8.h"
#include "wire/frame.h"
#include "wire/mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7, ROUND_NS = 20 * 1000 * 1000, LARGE = 64 * 1024, FRAMES = 256 };

typedef struct input {
    uint8_t *ascii, *mixed, *scratch; /* LARGE bytes each */
    uint8_t frames[FRAMES * 26];      /* masked, 20 bytes of payload each */
    ln_slice json;
} input;

typedef struct row {
    const char *name;
    void (*work)(input *in, int which);
    int which;    /* of the implementations */
    double units; /* bytes or calls in one piece of work */
    const char *unit;
} row;

static volatile uint64_t sink; /* what is computed is used */

static void utf8_ascii(input *in, int which) {
    ln_utf8 state = 0;
    sink += ln_utf8_impl((ln_simd)which)(&state, ln_slice_of(in->ascii, LARGE));
}

static void utf8_mixed(input *in, int which) {
    ln_utf8 state = 0;
    sink += ln_utf8_impl((ln_simd)which)(&state, ln_slice_of(in->mixed, LARGE));
}

static void unmask(input *in, int which) {
    sink += ln_mask_impl(which)(in->scratch, in->scratch, LARGE, 0x5ac3179e);
}

static void unmask_ascii(input *in, int which) {
    static const uint8_t key[4] = { 0x5a, 0xc3, 0x17, 0x9e };
    sink += ln_unmask_ascii((ln_wslice){ in->scratch, LARGE }, key, 0);
}

static void unmask_short(input *in, int which) {
    static const uint8_t key[4] = { 0x5a, 0xc3, 0x17, 0x9e };
    for (size_t i = 0; i < FRAMES; i++)
        sink += ln_unmask_ascii((ln_wslice){ in->scratch + i * 26 + 6, 20 }, key, 0);
}

static void frame_heads(input *in, int which) {
    static const ln_frame_rules rules = { .length_max = 1 << 20, .masked = true };
    ln_slice rest = ln_slice_of(in->frames, sizeof in->frames);
    ln_frame f;
    while (rest.size && ln_frame_decode(&rules, &rest, &f) == LN_DONE)
        ln_slice_skip(&rest, (size_t)f.length);
    sink += rest.size;
}

static void json_check(input *in, int which) {
    ln_json_value top;
    sink += (uint64_t)ln_json_check(in->json, &top);
}

static const char command[] =
    "{\"type\":\"publish\",\"id\":17,\"channel\":\"room:general\",\"event\":\"message\",\"data\":"
    "{\"text\":\"Good morning, \\u00e9veryone\",\"at\":1795000000123,\"tags\":[\"a\",\"b\",null],"
    "\"edited\":false}}";

static const row rows[] = {
    { "utf8 ascii scalar", utf8_ascii, LN_SIMD_SCALAR, LARGE, "B" },
    { "utf8 ascii sse", utf8_ascii, LN_SIMD_SSE, LARGE, "B" },
    { "utf8 ascii avx2", utf8_ascii, LN_SIMD_AVX2, LARGE, "B" },
    { "utf8 mixed scalar", utf8_mixed, LN_SIMD_SCALAR, LARGE, "B" },
    { "utf8 mixed sse", utf8_mixed, LN_SIMD_SSE, LARGE, "B" },
    { "utf8 mixed avx2", utf8_mixed, LN_SIMD_AVX2, LARGE, "B" },
    { "utf8 mixed avx512", utf8_mixed, LN_SIMD_AVX512, LARGE, "B" },
    { "unmask scalar", unmask, 0, LARGE, "B" },
    { "unmask sse", unmask, 1, LARGE, "B" },
    { "unmask avx2", unmask, 2, LARGE, "B" },
    { "unmask and ascii", unmask_ascii, -1, LARGE, "B" },
    { "unmask 20 bytes", unmask_short, -1, FRAMES, "call" },
    { "frame header", frame_heads, -1, FRAMES, "call" },
    { "json check", json_check, -1, sizeof command - 1, "B" },
};

/* Whether this machine has the implementation. */
static bool available(const row *r) {
    if (r->which < 0) return true;
    if (r->work == unmask) return ln_mask_impl(r->which) != NULL;
    return ln_utf8_impl((ln_simd)r->which) != NULL;
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Nanoseconds for one piece of work, in one round. */
static double measure_round(const row *r, input *in) {
    uint64_t began = now_ns(), spent = 0, times = 0;
    for (uint64_t batch = 1; spent < ROUND_NS; batch *= 2) {
        for (uint64_t i = 0; i < batch; i++)
            r->work(in, r->which);
        times += batch;
        spent = now_ns() - began;
    }
    return (double)spent / (double)times;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const row *r, double ns[ROUNDS], bool json) {
    qsort(ns, ROUNDS, sizeof ns[0], by_value);
    double each = ns[ROUNDS / 2] / r->units, spread = (ns[ROUNDS - 1] - ns[0]) / ns[ROUNDS / 2];
    bool bytes = r->unit[0] == 'B';
    if (json) {
        printf("{\"row\":\"micro %s\",\"ns_per_%s\":%.5g,\"spread\":%.3g}\n", r->name,
            bytes ? "byte" : "call", each, spread);
    } else if (bytes) {
        printf("%-20s %8.2f GB/s   spread %.0f %%\n", r->name, 1 / each, spread * 100);
    } else {
        printf("%-20s %8.2f ns/call spread %.0f %%\n", r->name, each, spread * 100);
    }
}

static uint8_t *block(void) {
    uint8_t *p = malloc(LARGE);
    if (p) return p;
    fputs("micro: out of memory\n", stderr);
    exit(1);
}

static void fill(input *in) {
    static const char words[] = "größe мир 世界 🙂 plain words между ними ";
    in->ascii = block();
    in->mixed = block();
    in->scratch = block();
    for (size_t i = 0; i < LARGE; i++)
        in->ascii[i] = in->scratch[i] = (uint8_t)(' ' + i * 7 % 95);
    memset(in->mixed, '.', LARGE);
    for (size_t at = 0; at + sizeof words - 1 <= LARGE; at += sizeof words - 1)
        memcpy(in->mixed + at, words, sizeof words - 1);
    for (size_t i = 0; i < FRAMES; i++)
        memcpy(in->frames + i * 26, "\x81\x94\1\2\3\4twenty bytes exactly", 26);
    in->json = ln_slice_of(command, sizeof command - 1);
}

int main(int argc, char **argv) {
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const char *pattern = argc > 1 + json ? argv[1 + json] : "";
    if (argc > 2 + json || pattern[0] == '-') {
        fputs("usage: micro [--json] [PATTERN]\n", stderr);
        return 2;
    }
    input in;
    fill(&in);
    double ns[sizeof rows / sizeof rows[0]][ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            if (available(&rows[i]) && strstr(rows[i].name, pattern))
                ns[i][round] = measure_round(&rows[i], &in);
        }
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (available(&rows[i]) && strstr(rows[i].name, pattern)) report(&rows[i], ns[i], json);
    free(in.ascii);
    free(in.mixed);
    free(in.scratch);
    return 0;
}
