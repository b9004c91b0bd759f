/* Sequences of commands through sessions and a whole hub, over the memory broker.
 *
 * The input is a script: what whom to do next. Connections are fakes that read what they are told.
 * Of everything that is told it is required that it is JSON, and of a client of linnet.v1, which
 * keeps its own books as the protocol says:
 *
 *   each request is answered once
 *   offsets of a channel go up by one, but for a skip that says so (I2, I3), also when it recovers;
 *   recovered:true only for the epoch that was asked about (I6), and replay comes before what is
 * new one offset has one payload, for all readers, live and in history (I4) a payload was published
 * there (I7), and comes to those who are in the channel (I8)
 *
 * A client whose text was made up freely may have said anything, and keeps no books any more.
 */
#include "session/session.h"
#include "broker/memory.h"
#include "fuzz.h"
#include "wire/frame.h"
#include <stdarg.h>
#include <string.h>

#define PEERS    4
#define CHANNELS 5
#define REQUESTS 200 /* of one client */
#define PLACES   4096
#define WALL     UINT64_C(1700000000000)
#define TEXT_MAX 1024

static const char *const names[CHANNELS] = { "x", "y:1", "live:1", "few:1", "@anna" };

typedef struct seat { /* what a client knows of a channel */
    bool in, live;    /* live: something that is no replay has come */
    uint64_t epoch, last;
} seat;

typedef struct request {
    ln_native_verb verb;
    uint8_t channel;
    bool answered;
    uint64_t epoch, offset; /* it said where it stands */
} request;

typedef struct peer {
    ln_conn c; /* first */
    ln_buf told;
    uint16_t code;
    bool open, awaits, books, paused;
    uint32_t asked;
    request requests[REQUESTS];
    seat seats[CHANNELS];
} peer;

typedef struct place { /* epoch 0: nothing is known */
    uint64_t epoch, offset, hash;
    uint8_t channel;
} place;

typedef struct world {
    ln_rand rand;
    ln_hub *hub;
    ln_sessions sessions;
    ln_session_limits limits;
    ln_letter *first, *last;
    peer peers[PEERS];
    ln_msec now;
    uint64_t published; /* payloads with a number */
    bool wild;          /* somebody may have published anything */
    place places[PLACES];
} world;

/* -- the connection's side ------------------------------------------------------------------- */

static peer *peer_of(ln_conn *c) {
    return (peer *)(void *)c;
}

static int tell(ln_conn *c, ln_slice text) {
    peer *p = peer_of(c);
    if (p->code) return LINNET_ERR_CLOSED;
    FUZZ_REQUIRE(ln_buf_add(&p->told, text) == LINNET_OK);
    FUZZ_REQUIRE(ln_buf_add(&p->told, LN_SLICE("\n")) == LINNET_OK);
    return LINNET_OK;
}

int ln_conn_send(ln_conn *c, uint8_t opcode, ln_slice payload) {
    FUZZ_REQUIRE(opcode == LN_OP_TEXT);
    return tell(c, payload);
}

int ln_conn_send_plain(ln_conn *c, uint8_t opcode, ln_slice payload) {
    return ln_conn_send(c, opcode, payload);
}

int ln_conn_send_item(ln_conn *c, ln_slice payload) {
    return ln_conn_send(c, LN_OP_TEXT, payload);
}

void ln_conn_arrays(ln_conn *c) {
    (void)c;
}

int ln_conn_queue(ln_conn *c, ln_rendering *r) {
    return tell(c, ln_slice_of(ln_rendering_payload(r), r->size));
}

int ln_conn_close(ln_conn *c, uint16_t code, ln_slice reason) {
    FUZZ_REQUIRE(reason.size <= 123);
    if (!peer_of(c)->code) peer_of(c)->code = code;
    return LINNET_OK;
}

void ln_conn_fail(ln_conn *c, int err) {
    if (!peer_of(c)->code) peer_of(c)->code = ln_err_close_code(err);
}

bool ln_conn_ours(const ln_conn *c) {
    return ((const peer *)(const void *)c)->code != 0;
}

bool ln_conn_traffic(const ln_conn *c, uint64_t *in, uint64_t *out) {
    (void)c;
    *in = *out = 0;
    return true;
}

void ln_conn_pause(ln_conn *c, uint8_t reason) {
    (void)reason;
    peer_of(c)->paused = true;
}

void ln_conn_resume(ln_conn *c, uint8_t reason) {
    (void)reason;
    peer_of(c)->paused = false;
}

bool ln_conn_await_drain(ln_conn *c) {
    if (c->queued <= c->config->low) return false;
    peer_of(c)->awaits = true;
    return true;
}

void ln_conn_batch(ln_conn *c, bool on) {
    (void)c;
    (void)on;
}

void ln_conn_sift_begin(ln_conn *c, ln_sift *s) {
    *s = (ln_sift){ .c = c };
}
ln_rendering *ln_conn_sift_next(ln_sift *s) {
    (void)s;
    return NULL;
}
void ln_conn_sift_put(ln_sift *s, ln_rendering *r) {
    (void)s;
    ln_rendering_unref(r);
}
int ln_conn_sift_end(ln_sift *s) {
    (void)s;
    return LINNET_OK;
}

/* -- a client's books ------------------------------------------------------------------------ */

static uint64_t hash_of(ln_slice s) {
    return ln_siphash((ln_map_key){ 1, 2 }, s);
}

static bool member(const ln_json_value *object, const char *name, ln_json_value *out) {
    ln_json_value key;
    ln_json_iter it = ln_json_iter_of(object);
    while (ln_json_next(&it, &key, out))
        if (ln_json_is(&key, ln_slice_str(name))) return true;
    return false;
}

static bool is(const ln_json_value *object, const char *name, const char *word) {
    ln_json_value v;
    return member(object, name, &v) && v.kind == LN_JSON_STRING &&
           ln_json_is(&v, ln_slice_str(word));
}

static bool number(const ln_json_value *object, const char *name, uint64_t *out) {
    ln_json_value v;
    return member(object, name, &v) && ln_json_uint(&v, out);
}

static bool yes(const ln_json_value *object, const char *name) {
    ln_json_value v;
    return member(object, name, &v) && v.kind == LN_JSON_BOOL && v.boolean;
}

static uint64_t epoch_in(const ln_json_value *object) {
    char text[LN_NATIVE_EPOCH + 1] = "";
    ln_json_value v;
    if (!member(object, "epoch", &v)) return 0;
    FUZZ_REQUIRE(v.text.size == LN_NATIVE_EPOCH);
    memcpy(text, v.text.data, LN_NATIVE_EPOCH);
    return strtoull(text, NULL, 16);
}

/* The channel that a push names; CHANNELS: none of ours. */
static unsigned channel_in(const ln_json_value *object) {
    unsigned i = 0;
    while (i < CHANNELS && !is(object, "channel", names[i]))
        i++;
    return i;
}

/* One offset, one payload, and somebody has said it. */
static void look_at(world *w, unsigned channel, uint64_t epoch, uint64_t offset, ln_slice data) {
    place *p = &w->places[(epoch ^ offset * 31 ^ channel * 977) % PLACES];
    uint64_t hash = hash_of(data);
    if (p->epoch == epoch && p->offset == offset && p->channel == channel)
        FUZZ_REQUIRE(p->hash == hash);
    *p = (place){ epoch, offset, hash, (uint8_t)channel };
    ln_json_value top;
    uint64_t k, c;
    FUZZ_REQUIRE(ln_json_check(data, &top) == LINNET_OK);
    if (w->wild) return;
    FUZZ_REQUIRE(top.kind == LN_JSON_OBJECT && number(&top, "k", &k) && number(&top, "c", &c));
    FUZZ_REQUIRE(k < w->published && c == channel);
}

static void on_message(world *w, peer *p, const ln_json_value *m) {
    unsigned channel = channel_in(m);
    uint64_t offset;
    ln_json_value data;
    FUZZ_REQUIRE(channel < CHANNELS);
    seat *s = &p->seats[channel];
    FUZZ_REQUIRE(s->in && member(m, "data", &data));
    if (!number(m, "offset", &offset)) return; /* volatile, or of a live channel */
    FUZZ_REQUIRE(offset == s->last + 1);
    s->last = offset;
    if (yes(m, "replay"))
        FUZZ_REQUIRE(!s->live);
    else
        s->live = true;
    look_at(w, channel, s->epoch, offset, data.raw);
}

static void on_skip(peer *p, const ln_json_value *m) {
    unsigned channel = channel_in(m);
    uint64_t offset, count;
    FUZZ_REQUIRE(channel < CHANNELS && number(m, "offset", &offset) && number(m, "count", &count));
    seat *s = &p->seats[channel];
    FUZZ_REQUIRE(s->in && count > 0 && offset == s->last + count);
    s->last = offset;
}

static void subscribed(peer *p, const request *q, const ln_json_value *m) {
    seat *s = &p->seats[q->channel];
    *s = (seat){ .in = true, .epoch = epoch_in(m) };
    number(m, "offset", &s->last);
    if (!yes(m, "recovered")) return;
    FUZZ_REQUIRE(q->epoch && s->epoch == q->epoch && q->offset <= s->last);
    s->last = q->offset;
}

static void history(world *w, const request *q, const ln_json_value *m) {
    ln_json_value list, key, item, data;
    uint64_t offset, before = 0;
    if (!member(m, "messages", &list)) return;
    ln_json_iter it = ln_json_iter_of(&list);
    while (ln_json_next(&it, &key, &item)) {
        FUZZ_REQUIRE(number(&item, "offset", &offset) && member(&item, "data", &data));
        FUZZ_REQUIRE(!before || offset == before + 1 || offset == before - 1);
        before = offset;
        look_at(w, q->channel, epoch_in(m), offset, data.raw);
    }
}

static request *answered(peer *p, const ln_json_value *m) {
    uint64_t re;
    if (!number(m, "re", &re)) return NULL;
    FUZZ_REQUIRE(re >= 1 && re <= p->asked);
    request *q = &p->requests[re - 1];
    FUZZ_REQUIRE(!q->answered);
    q->answered = true;
    return q;
}

static void read_one(world *w, peer *p, const ln_json_value *m) {
    FUZZ_REQUIRE(m->kind == LN_JSON_OBJECT);
    ln_json_value type;
    FUZZ_REQUIRE(member(m, "type", &type) && type.kind == LN_JSON_STRING);
    if (ln_json_is(&type, LN_SLICE("message"))) on_message(w, p, m);
    if (ln_json_is(&type, LN_SLICE("skip"))) on_skip(p, m);
    if (ln_json_is(&type, LN_SLICE("unsubscribed"))) {
        unsigned channel = channel_in(m);
        FUZZ_REQUIRE(channel < CHANNELS);
        p->seats[channel].in = false;
    }
    if (ln_json_is(&type, LN_SLICE("error"))) answered(p, m);
    if (ln_json_is(&type, LN_SLICE("pong"))) answered(p, m);
    if (!ln_json_is(&type, LN_SLICE("ok"))) return;
    const request *q = answered(p, m);
    if (!q) return;
    if (q->verb == LN_VERB_SUBSCRIBE) subscribed(p, q, m);
    if (q->verb == LN_VERB_UNSUBSCRIBE) p->seats[q->channel].in = false;
    if (q->verb == LN_VERB_HISTORY) history(w, q, m);
}

static void read_told(world *w, peer *p) {
    ln_slice all = ln_buf_slice(&p->told);
    for (size_t end; (end = ln_slice_find(all, '\n')) != SIZE_MAX; ln_slice_skip(&all, end + 1)) {
        ln_json_value top, key, item;
        FUZZ_REQUIRE(ln_json_check_long(ln_slice_sub(all, 0, end), 1 << 20, &top) == LINNET_OK);
        if (!p->books) continue;
        if (top.kind != LN_JSON_ARRAY) {
            read_one(w, p, &top);
            continue;
        }
        ln_json_iter it = ln_json_iter_of(&top);
        while (ln_json_next(&it, &key, &item))
            read_one(w, p, &item);
    }
    ln_buf_clear(&p->told);
}

/* -- the world ------------------------------------------------------------------------------- */

static void post(void *ctx, uint32_t worker, ln_letter *letter) {
    world *w = ctx;
    FUZZ_REQUIRE(worker == 0);
    letter->next = NULL;
    if (w->first)
        w->last->next = letter;
    else
        w->first = letter;
    w->last = letter;
}

static void run(world *w) {
    for (ln_letter *letter; (letter = w->first);) {
        w->first = letter->next;
        ln_hub_mail(w->hub, letter);
    }
    for (int i = 0; i < PEERS; i++)
        read_told(w, &w->peers[i]);
}

static void tick(world *w, ln_msec ms) {
    w->now += ms;
    ln_hub_tick(w->hub, w->now, WALL + w->now);
    ln_sessions_tick(&w->sessions);
    run(w);
}

static ln_namespaces *spaces(void) {
    const ln_namespace standard = {
        .class = LN_CLASS_RECOVERABLE, .history = LN_RETENTION_INIT, .members = true
    };
    ln_namespace items[2] = { standard, standard };
    memcpy(items[0].name, "live", 5);
    items[0].class = LN_CLASS_LIVE;
    memcpy(items[1].name, "few", 4);
    items[1].history.count = 3;
    ln_namespaces *made;
    FUZZ_REQUIRE(ln_namespaces_new(items, 2, &standard, &made) == LINNET_OK);
    return made;
}

static void world_open(world *w, uint8_t seed) {
    ln_broker *broker;
    w->limits = (ln_session_limits)LN_SESSION_LIMITS_INIT;
    w->limits.publish_rate = 0;
    w->limits.outstanding_max = 8;
    w->now = 50000;
    ln_rand_init_seeded(&w->rand, seed);
    ln_memory_options mo = { .rand = &w->rand, .idle_max = 2 };
    FUZZ_REQUIRE(ln_memory_new(&mo, &broker) == LINNET_OK);
    ln_namespaces *namespaces = spaces();
    ln_hub_options o = {
        .workers = 1, .ctx = w, .post = post, .broker = broker, .namespaces = namespaces
    };
    FUZZ_REQUIRE(ln_hub_new(&o, &w->hub) == LINNET_OK);
    ln_namespaces_unref(namespaces);
    FUZZ_REQUIRE(ln_sessions_init(&w->sessions, w->hub, &w->rand, LN_SLICE("n1")) == LINNET_OK);
    tick(w, 0);
}

static void peer_open(world *w, peer *p, uint8_t dialect) {
    static const ln_conn_config config = { .queued_max = 1024 * 1024, .high = 65536, .low = 1000 };
    ln_buf told = p->told;
    memset(p, 0, sizeof *p);
    p->told = told;
    p->c.config = &config;
    p->c.heard = p->c.spoke = (uint32_t)w->now;
    ln_session_options o = { .limits = &w->limits, .dialect = dialect };
    FUZZ_REQUIRE(ln_session_open(&w->sessions, &p->c, &o) == LINNET_OK);
    p->open = true;
    p->books = dialect == LN_USER_NATIVE;
}

static void peer_close(world *w, peer *p, uint16_t code, int err) {
    if (!p->open) return;
    p->open = false;
    p->c.ops->on_close(&p->c, code, LN_SLICE(""), err);
    run(w);
}

/* -- the script ------------------------------------------------------------------------------ */

static void say(world *w, peer *p, const char *text, size_t size) {
    if (!p->open || p->code || p->paused) return;
    if (!p->books) w->wild = true;           /* its dialect may take the whole for a payload */
    uint8_t *copy = malloc(size ? size : 1); /* of exactly its size */
    if (!copy) abort();
    memcpy(copy, text, size);
    p->c.ops->on_message(&p->c, LN_OP_TEXT, (ln_wslice){ copy, size });
    free(copy);
}

typedef struct line { /* a command being written */
    char text[TEXT_MAX];
    size_t size;
} line;

__attribute__((format(printf, 2, 3))) static void add(line *l, const char *format, ...) {
    va_list args;
    va_start(args, format);
    l->size += (size_t)vsnprintf(l->text + l->size, sizeof l->text - l->size, format, args);
    va_end(args);
    FUZZ_REQUIRE(l->size < sizeof l->text);
}

static void add_data(world *w, line *l, unsigned channel) {
    add(l, ",\"data\":{\"k\":%llu,\"c\":%u}", (unsigned long long)w->published++, channel);
}

static void add_flags(line *l, uint8_t bits) {
    if (bits & 1) add(l, ",\"echo\":false");
    if (bits & 2) add(l, ",\"volatile\":true");
    if (bits & 4) add(l, ",\"event\":\"e\"");
    if (bits & 8) add(l, ",\"except\":[\"nobody\",\"n1\"]");
    if (bits & 16) add(l, ",\"key\":\"k%d\"", bits >> 5);
}

/* Where it stands, or something near that. */
static void add_position(line *l, const char *name, const seat *s, request *q, uint8_t bits) {
    char epoch[LN_NATIVE_EPOCH + 1] = "";
    q->epoch = bits & 16 ? 7 : s->epoch;
    q->offset = s->last - (bits & 7) % (s->last + 1) + (bits & 8 ? 5 : 0);
    ln_native_epoch_put(q->epoch, epoch);
    add(l, ",\"%s\":{\"epoch\":\"%s\",\"offset\":%llu}", name, epoch,
        (unsigned long long)q->offset);
}

/* Verbs that the books understand; "stay" is any other. */
static const struct verb {
    const char *name;
    ln_native_verb verb;
} verbs[] = {
    { "subscribe", LN_VERB_SUBSCRIBE },
    { "unsubscribe", LN_VERB_UNSUBSCRIBE },
    { "publish", LN_VERB_PUBLISH },
    { "history", LN_VERB_HISTORY },
    { "presence", LN_VERB_PRESENCE },
    { "typing", LN_VERB_TYPING },
    { "set", LN_VERB_SET },
    { "unset", LN_VERB_UNSET },
    { "ping", LN_VERB_PING },
    { "call", LN_VERB_CALL },
    { "send", LN_VERB_SEND },
    { "nonsense", LN_VERB_OTHER },
};
#define VERBS (sizeof verbs / sizeof verbs[0])

static void add_more(
    world *w, peer *p, line *l, const struct verb *v, unsigned channel, ln_slice *in) {
    request none, *q = p->asked && p->requests[p->asked - 1].channel == channel
                           ? &p->requests[p->asked - 1]
                           : &none;
    uint8_t bits = fuzz_choice(in);
    switch (v->verb) {
    case LN_VERB_SUBSCRIBE:
        if (bits & 32) add_position(l, "recover", &p->seats[channel], q, bits);
        if (bits & 64) add(l, ",\"presence\":true");
        break;
    case LN_VERB_PUBLISH:
        add_data(w, l, channel);
        add_flags(l, bits);
        break;
    case LN_VERB_HISTORY:
        add(l, ",\"limit\":%d%s", bits & 3, bits & 4 ? ",\"reverse\":true" : "");
        if (bits & 32) add_position(l, "since", &p->seats[channel], q, bits);
        break;
    case LN_VERB_PRESENCE:
        if (bits & 1) add(l, ",\"data\":{\"mood\":%d}", bits);
        break;
    case LN_VERB_TYPING: add(l, ",\"data\":{\"on\":%s}", bits & 1 ? "true" : "false"); break;
    case LN_VERB_SET:
        add(l, ",\"data\":%d,\"ttl\":%d,\"key\":\"k%d\"", bits, bits * 100, bits & 3);
        break;
    case LN_VERB_UNSET: add(l, ",\"key\":\"k%d\"", bits & 3); break;
    case LN_VERB_CALL: add(l, ",\"event\":\"m\""); break;
    case LN_VERB_SEND:
        add(l, ",\"to\":\"anna\"");
        add_data(w, l, 4);
        break;
    default: break;
    }
}

/* One command, with an id if it is to be answered. */
static void add_command(world *w, peer *p, line *l, ln_slice *in) {
    uint8_t what = fuzz_choice(in), where = fuzz_choice(in);
    const struct verb *v = &verbs[what % VERBS];
    unsigned channel = where % CHANNELS;
    add(l, "{\"type\":\"%s\"", v->name);
    bool moves = v->verb == LN_VERB_SUBSCRIBE || v->verb == LN_VERB_UNSUBSCRIBE; /* it must know */
    if (moves && p->asked == REQUESTS) p->books = false;
    if ((moves || where & 128) && p->asked < REQUESTS) {
        p->requests[p->asked++] = (request){ .verb = v->verb, .channel = (uint8_t)channel };
        add(l, ",\"id\":%u", p->asked);
    }
    if (v->verb != LN_VERB_SEND) add(l, ",\"channel\":\"%s\"", names[channel]);
    add_more(w, p, l, v, channel, in);
    add(l, "}");
}

static void command(world *w, peer *p, ln_slice *in) {
    if (!p->open || p->code || p->paused) return; /* it could not be said */
    line l = { .size = 0 };
    add_command(w, p, &l, in);
    say(w, p, l.text, l.size);
}

static void array(world *w, peer *p, ln_slice *in) {
    if (!p->open || p->code || p->paused) return;
    line l = { .size = 0 };
    add(&l, "[");
    for (int n = fuzz_choice(in) % 4; n >= 0; n--) {
        add_command(w, p, &l, in);
        if (n) add(&l, ",");
    }
    add(&l, "]");
    say(w, p, l.text, l.size);
}

/* Whatever the input says. Nobody can keep books of that. */
static void anything(world *w, peer *p, ln_slice *in) {
    size_t size = fuzz_choice(in);
    if (size > in->size) size = in->size;
    ln_slice text = ln_slice_sub(*in, 0, size);
    ln_slice_skip(in, size);
    if (!ln_utf8_valid(text)) return;
    p->books = false;
    say(w, p, (const char *)text.data, text.size);
}

/* What the program says in a channel. */
static void program(world *w, unsigned channel) {
    char data[64];
    int size = snprintf(
        data, sizeof data, "{\"k\":%llu,\"c\":%u}", (unsigned long long)w->published++, channel);
    ln_publish what = { .channel = ln_slice_str(names[channel]),
        .event = LN_SLICE("message"),
        .data = ln_slice_of(data, (size_t)size),
        .user = LN_USER_HOST,
        .space = LN_SPACE_CHANNELS };
    FUZZ_REQUIRE(ln_hub_publish(w->hub, &what) == LINNET_OK);
}

static void drain(peer *p) {
    p->c.queued = 0;
    if (!p->open || !p->awaits) return;
    p->awaits = false;
    p->c.ops->on_drain(&p->c);
}

static void step(world *w, ln_slice *in) {
    uint8_t op = fuzz_choice(in);
    peer *p = &w->peers[op >> 6];
    switch (op & 15) {
    case 0: array(w, p, in); break;
    case 1: anything(w, p, in); break;
    case 2: tick(w, (ln_msec)fuzz_choice(in) * 10); break;
    case 3: tick(w, (ln_msec)fuzz_choice(in) * 1000); break;
    case 4: peer_close(w, p, 1006, LINNET_ERR_RESET); break;
    case 5: peer_close(w, p, 1000, LINNET_OK); break;
    case 6:
        if (p->open) break;
        op = fuzz_choice(in);
        peer_open(w, p,
            op & 1   ? LN_USER_NATIVE
            : op % 3 ? LN_DIALECT_AUTO
                     : (op >> 4) % LN_USER_FEED);
        break;
    case 7: program(w, fuzz_choice(in) % CHANNELS); break;
    case 8: p->c.queued = 100000; break;
    case 9: drain(p); break;
    default: command(w, p, in); break;
    }
    if (!(op & 32)) run(w); /* else it happens in one turn with what follows */
}

/* All that can be answered has been. */
static void look_back(const peer *p) {
    if (!p->open || p->code || !p->books || p->paused) return;
    for (uint32_t i = 0; i < p->asked; i++)
        FUZZ_REQUIRE(p->requests[i].answered);
}

void fuzz_one(ln_slice in) {
    static world w; /* large; one thread */
    memset(&w, 0, sizeof w);
    world_open(&w, fuzz_choice(&in));
    for (int i = 0; i < PEERS; i++) {
        ln_buf_init(&w.peers[i].told, LN_BUF_MAX);
        peer_open(&w, &w.peers[i],
            i < 2    ? LN_USER_NATIVE
            : i == 2 ? LN_DIALECT_AUTO
                     : LN_USER_CHANNEL);
    }
    for (int steps = 0; in.size && steps < 500; steps++)
        step(&w, &in);
    run(&w);
    for (int i = 0; i < PEERS; i++)
        drain(&w.peers[i]);
    tick(&w, 10);
    for (int i = 0; i < PEERS; i++)
        look_back(&w.peers[i]);
    for (int i = 0; i < PEERS; i++) {
        peer_close(&w, &w.peers[i], 1000, LINNET_OK);
        ln_buf_fini(&w.peers[i].told);
    }
    tick(&w, 3600000);
    ln_sessions_fini(&w.sessions);
    ln_hub_free(w.hub);
}
