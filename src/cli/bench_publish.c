/* bench_publish.c -- each connection keeps `in_flight` publish requests under way.
 *
 * A request carries an id, and its answer the place in the channel's log. Answers of one
 * connection come in the order of its requests, because they are all for one channel, and each
 * place lies behind the one before. All that was answered in one read is asked again in one send.
 */
#include "cli/bench_loads.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWERS_MAX = 64 * 1024 }; /* bytes of one message: an answer, or an array of them */

typedef struct publish_load {
    const ln_bench_options *o;
    ln_bench_pool pool;
    ln_bench_meter *meter;
    uint8_t *payload;   /* a JSON string, with its quotes */
    uint8_t *frames;    /* to build in, `in_flight` of them */
    uint64_t *asked_ns; /* in_flight for each connection, by id */
} publish_load;

typedef struct publish_link {
    ln_bench_link link; /* first */
    publish_load *load;
    uint64_t asked, answered; /* ids from 1 on */
    uint64_t offset;          /* of the last answer */
    uint32_t fresh;           /* answers of the read under way */
    char *whole;              /* a message so far */
    size_t whole_len;
} publish_link;

static publish_link *publish_of(ln_bench_reader *r) {
    return (publish_link *)(void *)ln_bench_link_of(r);
}

static int wrong(publish_link *l, const char *why) {
    return ln_bench_fail(&l->load->pool, &l->link, "%s: %.*s", why,
        (int)(l->whole_len < 160 ? l->whole_len : 160), l->whole);
}

/* -- answers ------------------------------------------------------------- */

static int on_data(ln_bench_reader *r, const uint8_t *p, size_t n) {
    publish_link *l = publish_of(r);
    if (r->length == 0) l->whole_len = 0;
    if (n > ANSWERS_MAX - l->whole_len) return wrong(l, "an endless message");
    memcpy(l->whole + l->whole_len, p, n);
    l->whole_len += n;
    return 0;
}

/* The number behind the key, from *at on; moves *at behind it. */
static bool number_after(const char **at, const char *end, const char *key, uint64_t *out) {
    const char *p = memmem(*at, (size_t)(end - *at), key, strlen(key));
    if (!p) return false;
    *out = 0;
    for (p += strlen(key); p < end && *p >= '0' && *p <= '9'; p++)
        *out = *out * 10 + (uint64_t)(*p - '0');
    *at = p;
    return true;
}

static int take_answer(publish_link *l, uint64_t id, uint64_t offset, uint64_t now_ns) {
    publish_load *load = l->load;
    if (id != l->answered + 1 || id > l->asked) return wrong(l, "an answer out of order");
    if (offset <= l->offset) return wrong(l, "a place that was given before");
    l->answered = id;
    l->offset = offset;
    l->fresh++;
    load->meter->messages++;
    load->meter->verified++;
    const uint64_t *asked = load->asked_ns + (size_t)l->link.index * load->o->in_flight;
    ln_bench_hist_add(&load->meter->latency, now_ns - asked[id % load->o->in_flight], 1);
    return 0;
}

static int on_message(ln_bench_reader *r) {
    publish_link *l = publish_of(r);
    const char *at = l->whole, *end = at + l->whole_len;
    uint64_t id, offset, now = ln_bench_now_ns();
    if (memmem(at, l->whole_len, "\"type\":\"error\"", 14)) return wrong(l, "the server answered");
    if (memmem(at, l->whole_len, "\"type\":\"ping\"", 13)) return 0; /* what we send is proof */
    while (number_after(&at, end, "\"re\":", &id)) {
        if (!number_after(&at, end, "\"offset\":", &offset)) return wrong(l, "no place in");
        if (take_answer(l, id, offset, now) < 0) return -1;
    }
    return 0;
}

static int on_control(ln_bench_reader *r, uint8_t opcode, const uint8_t *p, size_t n) {
    publish_link *l = publish_of(r);
    return ln_bench_link_control(&l->load->pool, &l->link, opcode, p, n);
}

static const ln_bench_sink sink = { on_data, on_message, on_control };

/* -- requests ------------------------------------------------------------ */

static size_t build(publish_link *l, uint64_t id, uint8_t *out) {
    static const uint8_t mask[4] = { 0x5a, 0xc3, 0x17, 0x9e };
    const ln_bench_options *o = l->load->o;
    uint8_t text[256 + 64 * 1024];
    int head = snprintf((char *)text, 256,
        "{\"type\":\"publish\",\"id\":%llu,\"channel\":\"bench-%llu\",\"data\":",
        (unsigned long long)id, (unsigned long long)(l->link.index % o->topics));
    size_t n = (size_t)head;
    memcpy(text + n, l->load->payload, o->size + 2);
    n += o->size + 2;
    text[n++] = '}';
    return ln_bench_frame(out, LN_BENCH_OP_TEXT, mask, text, n);
}

static int ask_more(publish_link *l, uint64_t count) {
    publish_load *load = l->load;
    uint64_t now = ln_bench_now_ns();
    uint64_t *asked = load->asked_ns + (size_t)l->link.index * load->o->in_flight;
    size_t n = 0;
    for (uint64_t i = 0; i < count; i++) {
        asked[++l->asked % load->o->in_flight] = now;
        n += build(l, l->asked, load->frames + n);
    }
    return ln_bench_link_send_copy(&load->pool, &l->link, load->frames, n);
}

static int on_opened(ln_bench_pool *pool, ln_bench_link *link) {
    publish_link *l = (publish_link *)(void *)link;
    l->load = pool->ctx;
    l->whole = ln_bench_alloc(1, ANSWERS_MAX);
    ln_bench_reader_init(&link->reader, &sink, UINT64_MAX);
    return 0;
}

static int on_received(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n) {
    publish_link *l = (publish_link *)(void *)link;
    uint64_t bytes = link->reader.payload;
    l->fresh = 0;
    if (ln_bench_link_read(pool, link, p, n) < 0) return -1;
    l->load->meter->payload += link->reader.payload - bytes;
    return l->fresh ? ask_more(l, l->fresh) : 0;
}

static const ln_bench_calls calls = { on_opened, on_received, NULL };

/* -- runs ---------------------------------------------------------------- */

static int run(publish_load *load) {
    if (ln_bench_pool_open(&load->pool, 0, load->pool.count) < 0) return -1;
    uint64_t now = ln_bench_now_ns();
    ln_bench_meter_start(load->meter, now);
    for (size_t i = 0; i < load->pool.count; i++) {
        publish_link *l = (publish_link *)(void *)ln_bench_pool_link(&load->pool, i);
        if (ask_more(l, load->o->in_flight) < 0) return -1;
    }
    while (ln_bench_meter_goes_on(load->meter, now)) {
        int moved = ln_bench_pool_turn(&load->pool, 10);
        now = ln_bench_now_ns();
        if (moved < 0 || ln_bench_pool_alive(&load->pool, moved > 0, now) < 0) return -1;
    }
    return 0;
}

/* A JSON string of that size that wants no escapes. */
static uint8_t *make_payload(const ln_bench_options *o) {
    uint8_t *p = ln_bench_alloc(1, o->size + 2);
    ln_bench_payload(p + 1, o->size, LN_BENCH_TEXT, 0, false);
    for (uint64_t i = 1; i <= o->size; i++)
        if (p[i] == '"' || p[i] == '\\') p[i] = '_';
    p[0] = p[o->size + 1] = '"';
    return p;
}

int ln_bench_publish(const ln_bench_options *o, ln_bench_meter *m) {
    publish_load load = { .o = o, .meter = m, .payload = make_payload(o) };
    load.frames = ln_bench_alloc(o->in_flight, o->size + 256 + LN_BENCH_HEAD_MAX);
    load.asked_ns = ln_bench_alloc(o->connections * o->in_flight, sizeof(uint64_t));
    int err = ln_bench_pool_init(
        &load.pool, o, &calls, &load, o->connections, sizeof(publish_link));
    if (err == 0) err = run(&load);
    if (err < 0)
        fprintf(stderr, "linnet bench: %s: %s\n", o->url, load.pool.error);
    else
        ln_bench_meter_report(m, "publications");
    for (size_t i = 0; i < load.pool.count; i++)
        free(((publish_link *)(void *)ln_bench_pool_link(&load.pool, i))->whole);
    ln_bench_pool_fini(&load.pool);
    free(load.payload);
    free(load.frames);
    free(load.asked_ns);
    return err < 0 ? 1 : 0;
}
