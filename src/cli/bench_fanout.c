/* bench_fanout.c -- subscribers that listen and publishers that wait for them.
 *
 * A publisher sends a round: `burst` publications in one send, to the next
 * topic. When every subscriber of that topic has every one of them, the round is
 * over and the next begins, so `in_flight` rounds are always under way and no
 * queue grows. A payload begins with the number of its round and of itself,
 * eight characters of six bits each; nothing may come twice, out of order or to
 * the wrong place.
 *
 * There are three languages: /ps of bench_server, the native protocol, and raw.
 * A subscriber knows that it is one when something that it sent after the
 * subscription comes back (/ps), by the answer to its request (native), or by
 * the answers of the raw server, an 'S' for each of its own.
 *
 * With --deflate publishers speak in clear, so that the server pays for compressing alone.
 */
#include "cli/bench_loads.h"
#include "cli/bench_shared.h"

#include <stdlib.h>
#include <string.h>

enum {
    STAMP = 8, /* characters: four for the slot, four for the sequence */
    SEQ_MASK = (1 << 24) - 1,
    NATIVE_MAX = 64 * 1024, /* of a message that came in pieces */
    RAW_GREETINGS = 4,      /* raw: enough that TCP takes it for a dialogue, see bench/README.md */
};

typedef struct round {
    uint64_t left; /* deliveries still to come */
    uint64_t began_ns;
    uint64_t due_ns; /* native: the next one not before */
    uint32_t seq;    /* of the last publication sent */
} round_state;

typedef struct fanout_load {
    const ln_bench_options *o;
    ln_bench_pool pool;
    ln_bench_meter *meter;
    uint32_t *subscribed; /* topics_each for each subscriber */
    uint32_t *audience;   /* subscribers for each topic */
    uint64_t *order_seen; /* with one topic: per subscriber and slot, the next sequence */
    round_state *rounds;  /* publishers * in_flight; its index is the slot */
    uint64_t next_topic;
    uint64_t ready;                   /* subscribers that know */
    uint64_t now_ns;                  /* of the read under way */
    uint8_t *payload, *text, *frames; /* to build a round in */
    ln_bench_shared shared;           /* --deflate */
} fanout_load;

typedef struct fanout_link {
    ln_bench_link link; /* first */
    fanout_load *load;
    bool publisher, ready;
    uint8_t greetings;  /* raw: answers so far */
    uint8_t stamp_have; /* of a payload that came in pieces */
    uint8_t stamp[STAMP];
    uint8_t *whole; /* native, and compressed: the message so far */
    size_t whole_len;
    const uint8_t *said; /* and what it says, once it is whole */
    size_t said_len;
} fanout_link;

static fanout_link *fanout_of(ln_bench_reader *r) {
    return (fanout_link *)(void *)ln_bench_link_of(r);
}

static int wrong(fanout_link *f, const char *why) {
    return ln_bench_fail(&f->load->pool, &f->link, "%s", why);
}

/* -- stamps -------------------------------------------------------------- */

/* Digits from '0' on without the backslash, which in JSON would be the beginning of something. */
static void write24(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        uint32_t digit = '0' + (v >> (6 * i) & 63);
        p[i] = (uint8_t)(digit + (digit >= '\\'));
    }
}

static uint32_t read24(const uint8_t *p) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t)((p[i] - '0' - (p[i] > '\\')) & 63) << (6 * i);
    return v;
}

/* -- rounds -------------------------------------------------------------- */

static int send_round(fanout_load *load, uint32_t slot);

static int take_delivery(fanout_link *f, const uint8_t stamp[STAMP]) {
    fanout_load *load = f->load;
    const ln_bench_options *o = load->o;
    uint32_t slot = read24(stamp), seq = read24(stamp + 4);
    uint64_t slots = o->publishers * o->in_flight;
    if (slot >= slots) return wrong(f, "a delivery that nobody published");
    round_state *round = &load->rounds[slot];
    if (load->order_seen) {
        uint64_t *seen = &load->order_seen[f->link.index * slots + slot];
        if (seq != (*seen & SEQ_MASK)) return wrong(f, "a delivery lost, doubled or out of order");
        (*seen)++;
    } else if (((round->seq - seq) & SEQ_MASK) >= o->burst) {
        return wrong(f, "a delivery of a round that is over");
    }
    if (round->left == 0) return wrong(f, "more deliveries than subscribers");
    ln_bench_hist_add(&load->meter->latency, load->now_ns - round->began_ns, 1);
    load->meter->messages++;
    load->meter->verified++;
    if (--round->left || load->now_ns < round->due_ns) return 0;
    return send_round(load, slot);
}

/* -- /ps and raw --------------------------------------------------------- */

static int on_data(ln_bench_reader *r, const uint8_t *p, size_t n) {
    fanout_link *f = fanout_of(r);
    if (r->length >= STAMP) return 0;
    if (r->length == 0 && n >= STAMP) {
        memcpy(f->stamp, p, STAMP);
        f->stamp_have = STAMP;
        return 0;
    }
    size_t from = (size_t)r->length, take = STAMP - from < n ? STAMP - from : n;
    memcpy(f->stamp + from, p, take);
    f->stamp_have = (uint8_t)(from + take);
    return 0;
}

static int on_message(ln_bench_reader *r) {
    fanout_link *f = fanout_of(r);
    if (f->publisher) return wrong(f, "a message for somebody who only publishes");
    if (!f->ready) {
        /* What it published to itself came back: its subscriptions stand. */
        if (r->length != STAMP) return wrong(f, "something else than the echo of its own");
        f->ready = true;
        f->load->ready++;
        r->expect = f->load->o->size;
        return 0;
    }
    if (f->stamp_have < STAMP) return wrong(f, "an unexpected message");
    return take_delivery(f, f->stamp);
}

static int on_control(ln_bench_reader *r, uint8_t opcode, const uint8_t *p, size_t n) {
    fanout_link *f = fanout_of(r);
    return ln_bench_link_control(&f->load->pool, &f->link, opcode, p, n);
}

static int send_text(fanout_link *f, const char *text) {
    size_t n = strlen(text);
    uint8_t mask[4], *frame = ln_bench_alloc(1, n + LN_BENCH_HEAD_MAX);
    ln_bench_mask(mask);
    size_t len = ln_bench_frame(frame, LN_BENCH_OP_TEXT, mask, (const uint8_t *)text, n);
    int err = ln_bench_link_send_copy(&f->load->pool, &f->link, frame, len);
    free(frame);
    return err;
}

static int subscribe_ps(fanout_link *f) {
    fanout_load *load = f->load;
    size_t each = load->o->topics_each, room = each * 16 + 2, at = 1;
    char *list = ln_bench_alloc(1, room), own[64];
    list[0] = '+';
    for (size_t i = 0; i < each; i++)
        at += (size_t)snprintf(list + at, room - at, "%st%u", i ? "," : "",
            load->subscribed[f->link.index * each + i]);
    int err = send_text(f, list);
    free(list);
    /* A topic of its own: what comes back by it says that all that was sent before has been
     * done. It stays subscribed, because a server may do an unsubscription that is sent in the
     * same breath before it delivers. */
    snprintf(own, sizeof own, "+own%u", f->link.index);
    if (err == 0) err = send_text(f, own);
    snprintf(own, sizeof own, "=own%u\nREADYNOW", f->link.index);
    return err == 0 ? send_text(f, own) : err;
}

static const ln_bench_sink ps_sink = { on_data, on_message, on_control };

/* -- native -------------------------------------------------------------- */

static int on_whole_data(ln_bench_reader *r, const uint8_t *p, size_t n) {
    fanout_link *f = fanout_of(r);
    if (r->length == 0) f->whole_len = 0;
    if (f->whole_len + n > NATIVE_MAX + f->load->o->size) return wrong(f, "an endless message");
    uint8_t *grown = realloc(f->whole, f->whole_len + n);
    if (!grown) return wrong(f, "out of memory");
    memcpy(grown + f->whole_len, p, n);
    f->whole = grown;
    f->whole_len += n;
    return 0;
}

static int open_whole(fanout_link *f) {
    fanout_load *load = f->load;
    f->said = f->whole;
    f->said_len = f->whole_len;
    if (!(f->link.reader.message_first & LN_BENCH_RSV1)) return 0;
    f->said = ln_bench_shared_text(
        &load->shared, f->whole, f->whole_len, NATIVE_MAX + load->o->size, &f->said_len);
    return f->said ? 0 : wrong(f, "a message that cannot be inflated");
}

static bool has(const fanout_link *f, const char *word) {
    return memmem(f->said, f->said_len, word, strlen(word)) != NULL;
}

/* A frame is one push or an array of them; every publication has its "data". */
static int on_native_message(ln_bench_reader *r) {
    static const char key[] = "\"data\":\"";
    fanout_link *f = fanout_of(r);
    if (open_whole(f) < 0) return -1;
    const uint8_t *at = f->said, *end = at + f->said_len;
    if (has(f, "\"type\":\"error\""))
        return ln_bench_fail(&f->load->pool, &f->link, "the server answered %.*s",
            (int)(f->said_len < 160 ? f->said_len : 160), (const char *)f->said);
    if (has(f, "\"type\":\"ping\"") && send_text(f, "{\"type\":\"pong\"}") < 0) return -1;
    if (!f->ready && has(f, "\"type\":\"ok\"")) {
        f->ready = true;
        f->load->ready++;
    }
    while ((at = memmem(at, (size_t)(end - at), key, sizeof key - 1)) != NULL) {
        at += sizeof key - 1;
        if ((size_t)(end - at) < STAMP) return wrong(f, "a publication cut short");
        if (take_delivery(f, at) < 0) return -1;
    }
    return 0;
}

static const ln_bench_sink native_sink = { on_whole_data, on_native_message, on_control };

/* /ps, when messages may be compressed. */
static int on_packed_message(ln_bench_reader *r) {
    fanout_link *f = fanout_of(r);
    if (open_whole(f) < 0) return -1;
    if (f->said_len != (f->ready ? f->load->o->size : STAMP))
        return wrong(f, "a message of another length");
    if (f->ready) return take_delivery(f, f->said);
    f->ready = true;
    f->load->ready++;
    return 0;
}

static const ln_bench_sink packed_sink = { on_whole_data, on_packed_message, on_control };

static int subscribe_native(fanout_link *f) {
    char text[128];
    snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"bench-%u\"}",
        f->load->subscribed[f->link.index * f->load->o->topics_each]);
    return send_text(f, text);
}

/* -- publishing ---------------------------------------------------------- */

/* One publication as its server wants it; returns its size. */
static size_t build(fanout_load *load, uint64_t topic, uint8_t *out) {
    const ln_bench_options *o = load->o;
    if (o->raw) return ln_bench_frame(out, LN_BENCH_OP_TEXT, NULL, load->payload, o->size);
    unsigned long long name = topic;
    char *text = (char *)load->text;
    int head = o->native ? snprintf(text, 128,
                               "{\"type\":\"publish\",\"channel\":\"bench-%llu\",\"data\":\"", name)
                         : snprintf(text, 128, "=t%llu\n", name);
    size_t n = (size_t)head;
    memcpy(load->text + n, load->payload, o->size);
    n += o->size;
    if (o->native) {
        memcpy(load->text + n, "\"}", 2);
        n += 2;
    }
    uint8_t mask[4] = { 0x5a, 0xc3, 0x17, 0x9e };
    return ln_bench_frame(out, LN_BENCH_OP_TEXT, mask, load->text, n);
}

/* The next one in turn that anybody follows. */
static uint64_t take_topic(fanout_load *load) {
    for (;;) {
        uint64_t topic = load->next_topic;
        load->next_topic = (topic + 1) % load->o->topics;
        if (load->audience[topic]) return topic;
    }
}

static int send_round(fanout_load *load, uint32_t slot) {
    const ln_bench_options *o = load->o;
    round_state *round = &load->rounds[slot];
    uint64_t topic = take_topic(load);
    size_t n = 0;
    for (uint64_t i = 0; i < o->burst; i++) {
        write24(load->payload, slot);
        write24(load->payload + 4, ++round->seq);
        n += build(load, topic, load->frames + n);
    }
    round->left = (uint64_t)load->audience[topic] * o->burst;
    round->began_ns = ln_bench_now_ns();
    if (o->native && o->rate)
        round->due_ns = round->began_ns + 1000000000 / o->rate * o->burst * o->in_flight;
    size_t publisher = o->connections + slot % o->publishers;
    return ln_bench_link_send_copy(
        &load->pool, ln_bench_pool_link(&load->pool, publisher), load->frames, n);
}

/* -- connections --------------------------------------------------------- */

static int on_opened(ln_bench_pool *pool, ln_bench_link *link) {
    fanout_load *load = pool->ctx;
    fanout_link *f = (fanout_link *)(void *)link;
    const ln_bench_options *o = load->o;
    f->load = load;
    f->publisher = link->index >= o->connections;
    const ln_bench_sink *sink = o->native ? &native_sink : o->deflate ? &packed_sink : &ps_sink;
    ln_bench_reader_init(&link->reader, sink, UINT64_MAX);
    if (o->raw) {
        const char *role = f->publisher ? "P" : "S";
        return ln_bench_link_send(pool, link, (const uint8_t *)role, 1);
    }
    if (f->publisher) return 0;
    return o->native ? subscribe_native(f) : subscribe_ps(f);
}

static int on_received(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n) {
    fanout_load *load = pool->ctx;
    fanout_link *f = (fanout_link *)(void *)link;
    load->now_ns = ln_bench_now_ns();
    if (load->o->raw && !f->ready) {
        if (*p != 'S') return wrong(f, "no 'S' for an answer");
        if (++f->greetings < RAW_GREETINGS)
            return ln_bench_link_send_copy(&load->pool, link, (const uint8_t *)"S", 1);
        f->ready = true;
        load->ready++;
        link->reader.expect = load->o->size;
        p++;
        n--;
    }
    uint64_t bytes = link->reader.payload;
    if (ln_bench_link_read(pool, link, p, n) < 0) return -1;
    load->meter->payload += link->reader.payload - bytes;
    return 0;
}

static const ln_bench_calls calls = { on_opened, on_received, NULL };

/* -- runs ---------------------------------------------------------------- */

/* Topics for each subscriber: distinct, and the same ones in every run. */
static void deal_topics(fanout_load *load) {
    const ln_bench_options *o = load->o;
    uint64_t seed = 88172645463325252u;
    for (uint64_t i = 0; i < o->connections; i++) {
        uint32_t *mine = load->subscribed + i * o->topics_each;
        for (uint64_t k = 0; k < o->topics_each;) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            uint32_t topic = (uint32_t)(seed % o->topics);
            bool known = false;
            for (uint64_t j = 0; j < k; j++)
                known |= mine[j] == topic;
            if (known) continue;
            mine[k++] = topic;
            load->audience[topic]++;
        }
    }
}

static void load_init(fanout_load *load, const ln_bench_options *o, ln_bench_meter *m) {
    uint64_t slots = o->publishers * o->in_flight;
    *load = (fanout_load){ .o = o, .meter = m };
    load->subscribed = ln_bench_alloc(o->connections * o->topics_each, sizeof(uint32_t));
    load->audience = ln_bench_alloc(o->topics, sizeof(uint32_t));
    load->rounds = ln_bench_alloc(slots, sizeof(round_state));
    if (o->topics == 1) load->order_seen = ln_bench_alloc(o->connections * slots, sizeof(uint64_t));
    for (uint64_t i = 0; load->order_seen && i < o->connections * slots; i++)
        load->order_seen[i] = 1;
    load->payload = ln_bench_alloc(1, o->size);
    load->text = ln_bench_alloc(1, o->size + 256);
    load->frames = ln_bench_alloc(o->burst, o->size + 256 + LN_BENCH_HEAD_MAX);
    deal_topics(load);

    /* Nothing that JSON would have to escape: with --native it stands in a string. */
    ln_bench_payload(load->payload + STAMP, o->size - STAMP, o->body, 0, o->deflate);
    for (uint64_t i = STAMP; i < o->size; i++)
        if (load->payload[i] < ' ' || load->payload[i] == '"' || load->payload[i] == '\\')
            load->payload[i] = '_';
}

static void load_fini(fanout_load *load) {
    for (size_t i = 0; i < load->pool.count; i++)
        free(((fanout_link *)(void *)ln_bench_pool_link(&load->pool, i))->whole);
    ln_bench_pool_fini(&load->pool);
    ln_bench_shared_fini(&load->shared);
    free(load->subscribed);
    free(load->audience);
    free(load->order_seen);
    free(load->rounds);
    free(load->payload);
    free(load->text);
    free(load->frames);
}

/* Native: the rounds that were over before the next one might begin. */
static int send_due(fanout_load *load, uint64_t now_ns) {
    const ln_bench_options *o = load->o;
    for (uint32_t i = 0; o->native && i < o->publishers * o->in_flight; i++)
        if (load->rounds[i].left == 0 && load->rounds[i].due_ns <= now_ns &&
            send_round(load, i) < 0)
            return -1;
    return 0;
}

static int turn(fanout_load *load, uint64_t *now_ns) {
    int moved = ln_bench_pool_turn(&load->pool, load->o->native ? 1 : 10);
    *now_ns = ln_bench_now_ns();
    return moved < 0 ? -1 : ln_bench_pool_alive(&load->pool, moved > 0, *now_ns);
}

static int run(fanout_load *load) {
    const ln_bench_options *o = load->o;
    uint64_t now = ln_bench_now_ns();
    if (ln_bench_pool_open(&load->pool, 0, load->pool.count) < 0) return -1;
    while (load->ready < o->connections)
        if (turn(load, &now) < 0) return -1;

    ln_bench_meter_start(load->meter, now);
    for (uint32_t i = 0; i < o->publishers * o->in_flight; i++)
        if (send_round(load, i) < 0) return -1;
    while (ln_bench_meter_goes_on(load->meter, now))
        if (turn(load, &now) < 0 || send_due(load, now) < 0) return -1;
    return 0;
}

int ln_bench_fanout(const ln_bench_options *o, ln_bench_meter *m) {
    fanout_load load;
    load_init(&load, o, m);
    int err = ln_bench_pool_init(
        &load.pool, o, &calls, &load, o->connections + o->publishers, sizeof(fanout_link));
    if (err == 0) err = run(&load);
    if (err < 0)
        fprintf(stderr, "linnet bench: %s: %s\n", o->url, load.pool.error);
    else
        ln_bench_meter_report(m, "deliveries");
    load_fini(&load);
    return err < 0 ? 1 : 0;
}
