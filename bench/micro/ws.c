/* ws.c -- what one message costs in wire/ws: nanoseconds, bytes per second, and how small it gets.
 *
 *     build/release/bench/micro/micro_ws [PATTERN]
 *
 * CPU time of this thread, the median of seven rounds. Frames are unmasked in place again and
 * again: their masks turn ASCII into other ASCII, or are zero where the text is not ASCII.
 */
#include "wire/ws.h"
#include "wire/ext.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 7, ROUND_NS = 20 * 1000 * 1000, BURST = 16, MIB = 1 << 20 };

typedef struct bench {
    ln_rand rand;
    ln_ws_tools tools;
    ln_ws_config config, client_config;
    ln_ws plain, client, takeover, alone; /* alone: no context takeover */
    ln_buf out;
    uint8_t small[BURST * 26]; /* masked, 20 bytes of payload each */
    uint8_t *frame;            /* one masked text, not ASCII, of `size` */
    size_t size;
    uint8_t *feed; /* changing text to be compressed */
    uint64_t text_bytes, wire_bytes;
    ln_buf packed; /* one compressed frame, and of how much text */
    size_t packed_from;
} bench;

static volatile uint64_t sink;

static void receive(bench *b, ln_ws *ws, ln_wslice in) {
    ln_ws_event e;
    while (ln_ws_next(ws, &b->tools, &in, &e) == LN_DONE)
        sink += e.data.size;
}

static void burst(bench *b, size_t size) {
    receive(b, &b->plain, (ln_wslice){ b->small, sizeof(b->small) });
}

static void send_burst(bench *b, ln_ws *ws) {
    ln_buf_clear(&b->out);
    for (int i = 0; i < BURST; i++)
        sink += (uint64_t)ln_ws_message(
            ws, &b->tools, LN_OP_TEXT, ln_slice_of(b->small + 6, 20), false, &b->out);
}

static void server_sends(bench *b, size_t size) {
    send_burst(b, &b->plain);
}

static void client_sends(bench *b, size_t size) {
    send_burst(b, &b->client);
}

/* A frame of that size from the front of the large one, with its own header. */
static ln_wslice frame_of(bench *b, size_t size, bool ascii) {
    ln_frame f = { .length = size, .opcode = LN_OP_TEXT, .fin = true, .masked = true };
    size_t head = ln_frame_head_size(size, true);
    uint8_t *start = b->frame + LN_FRAME_HEAD_MAX - head;
    ln_frame_encode(&f, start);
    static const char words[] = "größe мир 世界 🙂 plain words между ними ";
    if (b->size != size + ascii) {
        memset(start + head, '.', size);
        for (size_t at = 0; !ascii && at + sizeof(words) - 1 <= size; at += sizeof(words) - 1)
            memcpy(start + head + at, words, sizeof(words) - 1);
        b->size = size + ascii;
    }
    return (ln_wslice){ start, head + size };
}

static void one_ascii(bench *b, size_t size) {
    receive(b, &b->plain, frame_of(b, size, true));
}

static void one_mixed(bench *b, size_t size) {
    receive(b, &b->plain, frame_of(b, size, false));
}

/* As a connection receives what does not fit its buffer: a copy stands for the kernel's. */
static void in_pieces(bench *b, size_t size) {
    ln_wslice in = frame_of(b, size, false);
    receive(b, &b->plain, (ln_wslice){ in.data, 65536 });
    for (size_t at = 65536; at < in.size;) {
        ln_wslice room = ln_ws_room(&b->plain, 512 * 1024);
        if (room.size == 0) {
            receive(b, &b->plain, (ln_wslice){ in.data + at, in.size - at });
            return;
        }
        memcpy(room.data, in.data + at, room.size);
        ln_ws_received(&b->plain, room.size);
        at += room.size;
        receive(b, &b->plain, (ln_wslice){ 0 });
    }
}

/* Another piece of a feed of prices each time. */
static ln_slice next_text(bench *b, size_t size) {
    static uint32_t at;
    at = (at + 7919) % (MIB - 32768);
    return ln_slice_of(b->feed + at, size);
}

static void pack(bench *b, ln_ws *ws, size_t size) {
    ln_buf_clear(&b->out);
    sink += (uint64_t)ln_ws_message(ws, &b->tools, LN_OP_TEXT, next_text(b, size), true, &b->out);
    b->text_bytes += size;
    b->wire_bytes += b->out.size;
}

static void pack_takeover(bench *b, size_t size) {
    pack(b, &b->takeover, size);
}

static void pack_one_shot(bench *b, size_t size) {
    b->config.one_shot = true;
    pack(b, &b->alone, size);
}

static void pack_zlib(bench *b, size_t size) {
    b->config.one_shot = false;
    pack(b, &b->alone, size);
}

/* A frame that zlib has compressed is read again and again; its payload has no mask. */
static void unpack(bench *b, ln_ws *ws, size_t size) {
    if (b->packed_from != size) {
        ln_buf_clear(&b->packed);
        ln_buf_commit(&b->packed, ln_buf_reserve(&b->packed, 16) ? 0 : 8);
        ln_pmd_compress(&b->tools.pmd, 15, 6, false, next_text(b, size), &b->packed);
        b->packed_from = size;
    }
    uint32_t length = b->packed.size - 8;
    ln_frame f = { .length = length, .opcode = 1, .fin = true, .rsv1 = true, .masked = true };
    uint8_t *start = b->packed.data + 8 - ln_frame_head_size(length, true);
    ln_frame_encode(&f, start);
    receive(b, ws, (ln_wslice){ start, (size_t)(b->packed.data + b->packed.size - start) });
}

static void unpack_at_once(bench *b, size_t size) {
    unpack(b, &b->alone, size);
}

static void unpack_takeover(bench *b, size_t size) {
    unpack(b, &b->takeover, size);
}

typedef struct row {
    const char *name;
    void (*work)(bench *b, size_t size);
    size_t size;
    int messages; /* in one piece of work */
} row;

static const row rows[] = {
    { "receive 16 x 20 B", burst, 20, BURST },
    { "send 16 x 20 B as server", server_sends, 20, BURST },
    { "send 16 x 20 B as client", client_sends, 20, BURST },
    { "receive 16 KiB ASCII", one_ascii, 16384, 1 },
    { "receive 16 KiB mixed", one_mixed, 16384, 1 },
    { "receive 1 MiB ASCII at once", one_ascii, MIB, 1 },
    { "receive 1 MiB mixed at once", one_mixed, MIB, 1 },
    { "receive 1 MiB mixed in pieces", in_pieces, MIB, 1 },
    { "deflate 1 KiB takeover", pack_takeover, 1024, 1 },
    { "deflate 16 KiB takeover", pack_takeover, 16384, 1 },
    { "deflate 1 KiB one shot", pack_one_shot, 1024, 1 },
    { "deflate 16 KiB one shot", pack_one_shot, 16384, 1 },
    { "deflate 1 KiB zlib", pack_zlib, 1024, 1 },
    { "deflate 16 KiB zlib", pack_zlib, 16384, 1 },
    { "inflate 1 KiB", unpack_at_once, 1024, 1 },
    { "inflate 16 KiB", unpack_at_once, 16384, 1 },
    { "inflate 1 KiB takeover", unpack_takeover, 1024, 1 },
    { "inflate 16 KiB takeover", unpack_takeover, 16384, 1 },
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double round_ns(const row *r, bench *b) {
    uint64_t began = now_ns(), spent = 0, times = 0;
    for (uint64_t batch = 1; spent < ROUND_NS; batch *= 2) {
        for (uint64_t i = 0; i < batch; i++)
            r->work(b, r->size);
        times += batch;
        spent = now_ns() - began;
    }
    return (double)spent / (double)times / r->messages;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const row *r, bench *b) {
    double ns[ROUNDS];
    b->text_bytes = b->wire_bytes = 0;
    for (int i = 0; i < ROUNDS; i++)
        ns[i] = round_ns(r, b);
    qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
    double each = ns[ROUNDS / 2];
    printf("%-32s %10.1f ns %8.2f GB/s", r->name, each, (double)r->size / each);
    if (b->text_bytes) printf("  %5.1f %%", 100.0 * (double)b->wire_bytes / (double)b->text_bytes);
    putchar('\n');
}

static void *block(size_t size) {
    void *p = calloc(1, size);
    if (p) return p;
    fputs("micro_ws: out of memory\n", stderr);
    exit(1);
}

static void fill(bench *b) {
    for (int i = 0; i < BURST; i++)
        memcpy(b->small + i * 26, "\x81\x94\1\2\3\4twenty bytes exactly", 26);
    b->frame = block(LN_FRAME_HEAD_MAX + MIB);
    b->feed = block(MIB + 100);
    uint32_t x = 1;
    for (size_t at = 0; at < MIB;) {
        x = x * 1664525 + 1013904223;
        at += (size_t)snprintf((char *)b->feed + at, 100,
            "{\"symbol\":\"%c%c%c\",\"bid\":%u.%02u,\"volume\":%u},", 'A' + (x >> 8) % 26,
            'A' + (x >> 13) % 26, 'A' + (x >> 18) % 26, x >> 24, (x >> 10) % 100, x >> 18);
    }
}

int main(int argc, char **argv) {
    const char *pattern = argc > 1 ? argv[1] : "";
    if (argc > 2 || pattern[0] == '-') {
        fputs("usage: micro_ws [PATTERN]\n", stderr);
        return 2;
    }
    bench *b = block(sizeof(*b));
    static const ln_pmd_params keeps = { false, false, 15, 15 }, forgets = { true, true, 15, 15 };
    b->config = (ln_ws_config){
        .message_max = 2 * MIB, .fragments_max = 1024, .deflate_level = 6, .deflate_memory = 8
    };
    b->client_config = b->config;
    b->client_config.client = true;
    ln_rand_init(&b->rand);
    ln_ws_tools_init(&b->tools, &b->rand);
    ln_buf_init(&b->out, LN_BUF_MAX);
    ln_buf_init(&b->packed, LN_BUF_MAX);
    fill(b);
    if (ln_ws_init(&b->plain, &b->config, NULL, &b->tools) ||
        ln_ws_init(&b->client, &b->client_config, NULL, &b->tools) ||
        ln_ws_init(&b->takeover, &b->config, &keeps, &b->tools) ||
        ln_ws_init(&b->alone, &b->config, &forgets, &b->tools))
        return 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strstr(rows[i].name, pattern)) measure(&rows[i], b);
    ln_ws_fini(&b->plain, &b->tools);
    ln_ws_fini(&b->client, &b->tools);
    ln_ws_fini(&b->takeover, &b->tools);
    ln_ws_fini(&b->alone, &b->tools);
    ln_ws_tools_fini(&b->tools);
    ln_buf_fini(&b->out);
    ln_buf_fini(&b->packed);
    free(b->frame);
    free(b->feed);
    free(b);
    return 0;
}
