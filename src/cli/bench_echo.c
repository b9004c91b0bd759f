/* bench_echo.c -- each connection keeps `in_flight` messages under way.
 *
 * All that came back in one read is answered with as many new messages in one
 * send. The idle load is the same with one message each and then silence; it
 * lives here too, because it asks the same question of a server: is it you?
 */
#include "cli/bench_loads.h"

#include <stdlib.h>
#include <string.h>

enum {
    VERIFY = 16,       /* messages of each connection that are compared */
    INFLATERS = 4,     /* connections that inflate and compare everything */
    INFLATE_SOME = 64, /* connections that inflate their first messages */
};

typedef struct echo_load {
    const ln_bench_options *o;
    ln_bench_pool pool;
    ln_bench_meter *meter;
    ln_bench_ring ring;
    bool ring_ready;
    uint64_t *sent_ns;      /* in_flight for each connection, round and round */
    uint64_t first_answers; /* connections that got their first answer; idle waits for all */
} echo_load;

typedef struct echo_link {
    ln_bench_link link; /* first: the pool knows it only as that */
    echo_load *load;
    uint32_t next_out, next_in; /* variants */
    uint32_t sent_at;           /* the oldest message under way, in sent_ns */
    uint32_t under_way, owed;   /* messages sent; messages to be sent when there is room */
    uint64_t verify;            /* messages still to be compared */
    uint64_t seen;              /* of reader.messages */
    ln_bench_inflater *inflater;
} echo_link;

static echo_link *echo_of(ln_bench_reader *r) {
    return (echo_link *)(void *)ln_bench_link_of(r);
}

/* -- what comes back ----------------------------------------------------- */

static int on_data(ln_bench_reader *r, const uint8_t *p, size_t n) {
    echo_link *e = echo_of(r);
    if (!e->verify) return 0;
    const echo_load *load = e->load;
    const uint8_t *wanted = ln_bench_ring_payload(&load->ring, e->next_in);
    if (r->message_first & LN_BENCH_RSV1) {
        if (!e->inflater) return -1;
        return ln_bench_inflate_check(e->inflater, p, n, wanted, load->ring.size) ? 0 : -1;
    }
    if (n > load->ring.size - r->length) return -1;
    return memcmp(p, wanted + r->length, n) == 0 ? 0 : -1;
}

static void stop_verifying(echo_link *e);

static int on_message(ln_bench_reader *r) {
    echo_link *e = echo_of(r);
    if (!e->verify) return 0;
    const echo_load *load = e->load;
    const uint8_t *wanted = ln_bench_ring_payload(&load->ring, e->next_in);
    uint8_t op = load->o->body == LN_BENCH_BINARY ? LN_BENCH_OP_BINARY : LN_BENCH_OP_TEXT;
    if ((r->message_first & 15) != op) return -1;
    if (r->message_first & LN_BENCH_RSV1) {
        if (!ln_bench_inflate_end(e->inflater, wanted, load->ring.size)) return -1;
    } else if (r->length != load->ring.size) {
        return -1;
    }
    e->next_in = (e->next_in + 1) % load->ring.variants;
    e->load->meter->verified++;
    if (--e->verify == 0) stop_verifying(e);
    return 0;
}

static int on_control(ln_bench_reader *r, uint8_t opcode, const uint8_t *p, size_t n) {
    return ln_bench_link_control(&echo_of(r)->load->pool, ln_bench_link_of(r), opcode, p, n);
}

static const ln_bench_sink looking = { on_data, on_message, on_control };
static const ln_bench_sink counting = { NULL, NULL, on_control };

static void stop_verifying(echo_link *e) {
    e->link.reader.sink = &counting;
    if (!e->inflater) return;
    ln_bench_inflater_fini(e->inflater);
    free(e->inflater);
    e->inflater = NULL;
}

/* A raw server has no frames: what came must be what was sent, and its bytes say
 * how many messages it was. */
static int read_raw(echo_link *e, const uint8_t *p, size_t n) {
    const ln_bench_ring *ring = &e->load->ring;
    ln_bench_reader *r = &e->link.reader;
    size_t frame = ring->at[1], lap = frame * ring->variants;
    if (e->verify) {
        size_t at = (size_t)(r->payload % lap), len = lap - at < n ? lap - at : n;
        if (memcmp(p, ring->bytes + at, len) != 0)
            return ln_bench_fail(&e->load->pool, &e->link, "other bytes than were sent");
    }
    r->payload += n;
    uint64_t whole = r->payload / frame - r->messages;
    r->messages += whole;
    uint64_t compared = whole < e->verify ? whole : e->verify;
    e->verify -= compared;
    e->load->meter->verified += compared;
    return 0;
}

/* -- what goes out ------------------------------------------------------- */

static int send_more(echo_link *e, uint32_t n, uint64_t now_ns) {
    echo_load *load = e->load;
    const ln_bench_ring *ring = &load->ring;
    e->owed += n;
    if (!ln_bench_link_idle(&e->link)) return 0;
    n = e->owed;
    e->owed = 0;

    uint32_t window = (uint32_t)load->o->in_flight;
    uint64_t *sent = load->sent_ns + (size_t)e->link.index * window;
    for (uint32_t i = 0; i < n; i++)
        sent[(e->sent_at + e->under_way + i) % window] = now_ns;
    e->under_way += n;

    uint32_t from = e->next_out;
    e->next_out = (from + n) % ring->variants;
    return ln_bench_link_send(
        &load->pool, &e->link, ring->bytes + ring->at[from], ring->at[from + n] - ring->at[from]);
}

/* The frames can be built when the first answer has told what was agreed. */
static void make_ring(echo_load *load) {
    load->ring_ready = true;
    if (!load->o->deflate) {
        ln_bench_ring_init(&load->ring, load->o, NULL, NULL);
        return;
    }
    const ln_bench_extension *x = &load->pool.extension;
    ln_bench_deflater d;
    ln_bench_deflater_init(&d, x->client_takeover, x->client_bits, 6);
    ln_bench_ring_init(&load->ring, load->o, ln_bench_deflate, &d);
    ln_bench_deflater_fini(&d);
    load->meter->baseline = ln_bench_deflate_baseline(&load->ring, x->server_takeover);
}

static int on_opened(ln_bench_pool *pool, ln_bench_link *link) {
    echo_load *load = pool->ctx;
    echo_link *e = (echo_link *)(void *)link;
    if (!load->ring_ready) make_ring(load);

    bool deflate = load->o->deflate != LN_BENCH_PLAIN;
    e->load = load;
    e->verify = VERIFY;
    if (deflate && link->index < INFLATERS)
        e->verify = UINT64_MAX;
    else if (deflate && link->index >= INFLATE_SOME)
        e->verify = 0;
    ln_bench_reader_init(
        &link->reader, e->verify ? &looking : &counting, deflate ? UINT64_MAX : load->o->size);
    if (deflate && e->verify) {
        e->inflater = ln_bench_alloc(1, sizeof *e->inflater);
        ln_bench_inflater_init(e->inflater, pool->extension.server_takeover);
    }
    if (load->o->kind == LN_BENCH_IDLE) return send_more(e, 1, ln_bench_now_ns());
    return 0;
}

static int on_received(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n) {
    echo_load *load = pool->ctx;
    echo_link *e = (echo_link *)(void *)link;
    uint64_t bytes = link->reader.payload;
    int err = load->o->raw ? read_raw(e, p, n) : ln_bench_link_read(pool, link, p, n);
    if (err < 0) return -1;

    uint32_t got = (uint32_t)(link->reader.messages - e->seen);
    load->meter->payload += link->reader.payload - bytes;
    if (got == 0) return 0;
    if (got > e->under_way) return ln_bench_fail(pool, link, "more messages than were sent");
    uint64_t now = ln_bench_now_ns();
    uint32_t window = (uint32_t)load->o->in_flight;
    const uint64_t *sent = load->sent_ns + (size_t)link->index * window;
    for (uint32_t i = 0; i < got; i++) {
        ln_bench_hist_add(&load->meter->latency, now - sent[e->sent_at], 1);
        if (++e->sent_at == window) e->sent_at = 0;
    }
    if (e->seen == 0) load->first_answers++;
    e->seen += got;
    e->under_way -= got;
    load->meter->messages += got;
    return load->o->kind == LN_BENCH_IDLE ? 0 : send_more(e, got, now);
}

static int on_flushed(ln_bench_pool *pool, ln_bench_link *link) {
    echo_link *e = (echo_link *)(void *)link;
    return e->owed ? send_more(e, 0, ln_bench_now_ns()) : 0;
}

static const ln_bench_calls calls = { on_opened, on_received, on_flushed };

/* -- runs ---------------------------------------------------------------- */

static int start_all(echo_load *load) {
    uint64_t now = ln_bench_now_ns();
    ln_bench_meter_start(load->meter, now);
    load->pool.deadline_ns = 0;
    for (size_t i = 0; i < load->pool.count; i++) {
        echo_link *e = (echo_link *)(void *)ln_bench_pool_link(&load->pool, i);
        if (send_more(e, (uint32_t)load->o->in_flight, now) < 0) return -1;
    }
    return 0;
}

static int run_echo(echo_load *load) {
    if (ln_bench_pool_open(&load->pool, 0, load->pool.count) < 0 || start_all(load) < 0) return -1;
    uint64_t now = ln_bench_now_ns();
    while (ln_bench_meter_goes_on(load->meter, now)) {
        int moved = ln_bench_pool_turn(&load->pool, 10);
        now = ln_bench_now_ns();
        if (moved < 0 || ln_bench_pool_alive(&load->pool, moved > 0, now) < 0) return -1;
    }
    return 0;
}

static int run_idle(echo_load *load) {
    size_t n = load->pool.count;
    ln_bench_meter_start(load->meter, ln_bench_now_ns());
    load->meter->end_ns = UINT64_MAX;
    if (ln_bench_pool_open(&load->pool, 0, n) < 0) return -1;
    uint64_t now = ln_bench_now_ns();
    while (load->first_answers < n) {
        int moved = ln_bench_pool_turn(&load->pool, 10);
        now = ln_bench_now_ns();
        if (moved < 0 || ln_bench_pool_alive(&load->pool, moved > 0, now) < 0) return -1;
    }
    /* Silence, in which a server may give back what it needed for the rush. */
    load->meter->end_ns = now + (uint64_t)(load->o->duration_s * 1e9);
    while (ln_bench_meter_goes_on(load->meter, ln_bench_now_ns()))
        if (ln_bench_pool_turn(&load->pool, 10) < 0) return -1;
    return 0;
}

static int run(const ln_bench_options *o, ln_bench_meter *m, int (*how)(echo_load *)) {
    echo_load load = { .o = o, .meter = m };
    load.sent_ns = ln_bench_alloc(o->connections * o->in_flight, sizeof(uint64_t));
    int err = ln_bench_pool_init(&load.pool, o, &calls, &load, o->connections, sizeof(echo_link));
    if (err == 0) err = how(&load);
    if (err < 0)
        fprintf(stderr, "linnet bench: %s: %s\n", o->url, load.pool.error);
    else
        ln_bench_meter_report(m, o->kind == LN_BENCH_IDLE ? "connections" : "messages");

    for (size_t i = 0; i < load.pool.count; i++) {
        echo_link *e = (echo_link *)(void *)ln_bench_pool_link(&load.pool, i);
        if (e->inflater) stop_verifying(e);
    }
    ln_bench_pool_fini(&load.pool);
    if (load.ring_ready) ln_bench_ring_fini(&load.ring);
    free(load.sent_ns);
    return err < 0 ? 1 : 0;
}

int ln_bench_echo(const ln_bench_options *o, ln_bench_meter *m) {
    return run(o, m, run_echo);
}

int ln_bench_idle(const ln_bench_options *o, ln_bench_meter *m) {
    return run(o, m, run_idle);
}
