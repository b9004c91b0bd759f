/* session_test.h -- sessions over a whole hub, and connections that only write down what they are
 * told. For the tests of this room; each is a program of its own.
 *
 * A conversation is a list of lines: ">a TEXT" is what connection a says, "<a TEXT" what it must be
 * told next, exactly. "!a" means that it is told nothing more, and "xa CODE" that it is closed with
 * that code. "ra" means that the log refuses the next publication. What begins with "+" happens in
 * the same turn as what follows. "ta MS" lets time pass, "ca CODE" is the end of a's connection.
 */
#ifndef LN_SESSION_SESSION_TEST_H
#define LN_SESSION_SESSION_TEST_H
#include "base/mem.h"
#include "base/testing.h"
#include "session/session.h"
#include "wire/frame.h"
#include <stdio.h>

#define PEERS 4
#define WALL  1700000000000

typedef struct peer {
    ln_conn c; /* the first member */
    char name;
    char *told; /* lines; not of the library's memory, which may be failing */
    size_t told_size;
    uint16_t code;
    int err;
    uint8_t pauses;
    bool batch, open, awaits;
    bool arrays;    /* it takes some */
    unsigned items; /* that may stand in one, so far */
} peer;

typedef struct world {
    ln_rand rand;
    ln_hub *hub;
    ln_sessions sessions;
    ln_session_limits limits;
    ln_letter *first, *last;
    peer peers[PEERS];
    ln_msec now;
    ln_broker broker;
    int refuse;    /* what the broker answers to the next publish, once */
    uint64_t lost; /* what its logs do not keep any more: up to this offset */
    int pins;
    unsigned bins; /* bits: which peers take binary messages */
} world;

/* Logs of the simplest kind: offsets from 1, the epoch is always 14. ---------------------- */

#define LOG_MAX 512
struct ln_log_handle {
    uint64_t head;
    ln_publication *items[LOG_MAX];
};

static inline world *world_of(ln_broker *b) {
    return (world *)(void *)((char *)b - offsetof(world, broker));
}

static inline int count_open(ln_broker *b, ln_slice channel, const ln_retention *keep,
    ln_log_handle **handle, ln_position *head) {
    (void)b;
    (void)keep;
    (void)channel;
    *handle = ln_calloc(1, sizeof **handle);
    *head = (ln_position){ 14, 0 };
    return *handle ? LN_DONE : LINNET_ERR_NOMEM;
}

static inline int count_publish(
    ln_broker *b, ln_log_handle *log, ln_publication *p, ln_position *at) {
    world *w = world_of(b);
    int err = w->refuse;
    w->refuse = LINNET_OK;
    if (err < 0) return err;
    if (log->head < LOG_MAX) {
        log->items[log->head] = p;
        ln_publication_ref(p, 1);
    }
    *at = (ln_position){ 14, ++log->head };
    return LN_DONE;
}

static inline int count_read(ln_broker *b, ln_log_handle *log, const ln_span *span, ln_page *page) {
    uint64_t lost = world_of(b)->lost, since = span->since, bytes = 0;
    assert_true(log->head <= LOG_MAX);
    *page = (ln_page){ .epoch = 14 };
    if (!span->reverse && !span->any && (since < lost || since > log->head))
        return LINNET_ERR_NOT_FOUND;
    if (!span->reverse && since < lost) since = lost;
    while (page->count < span->limit && page->count < LN_PAGE_MAX) {
        if (span->reverse ? since <= lost + 1 : since >= log->head) break;
        ln_publication *p = log->items[span->reverse ? since - 2 : since];
        bytes += ln_publication_cost(p);
        if (page->count && bytes > span->bytes) break;
        ln_publication_ref(p, 1);
        page->items[page->count++] = p;
        if (span->reverse)
            since--;
        else
            since++;
    }
    return LN_DONE;
}

static inline int count_pin(ln_broker *b, ln_log_handle *log, uint64_t since) {
    assert_true(since < log->head);
    world_of(b)->pins++;
    return LINNET_OK;
}

static inline void count_unpin(ln_broker *b, ln_log_handle *log, uint64_t since) {
    assert_true(since < log->head);
    world_of(b)->pins--;
}

static inline void count_close(ln_broker *b, ln_log_handle *log) {
    (void)b;
    for (uint64_t i = 0; i < log->head && i < LOG_MAX; i++)
        ln_publication_unref(log->items[i]);
    ln_free(log);
}
static inline void count_tick(ln_broker *b) {
    (void)b;
}
static inline ln_msec count_deadline(const ln_broker *b) {
    (void)b;
    return LN_NEVER;
}

static const ln_broker_ops counting = {
    .open = count_open,
    .publish = count_publish,
    .read = count_read,
    .pin = count_pin,
    .unpin = count_unpin,
    .close = count_close,
    .tick = count_tick,
    .deadline = count_deadline,
    .free = count_tick,
};

/* The connection's side: the functions that session/ calls -------------------------------- */

static inline peer *peer_of(ln_conn *c) {
    return (peer *)(void *)c;
}

static inline void told(peer *p, ln_slice text) {
    p->told = realloc(p->told, p->told_size + text.size + 1);
    assert_non_null(p->told);
    memcpy(p->told + p->told_size, text.data, text.size);
    p->told_size += text.size;
    p->told[p->told_size++] = '\n';
}

/* A binary message: its header, and what stands behind it, in hexadecimal digits. */
static inline void told_binary(peer *p, ln_slice m) {
    char text[2048];
    assert_true(m.size >= 5 && m.data[0] == 1 && m.data[4] <= m.size - 5);
    int n = snprintf(text, sizeof text, "binary %.*s ", m.data[4], (const char *)m.data + 5);
    for (size_t i = 5 + (size_t)m.data[4]; i < m.size; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%02x", m.data[i]);
    told(p, ln_slice_of(text, (size_t)n));
}

int ln_conn_send(ln_conn *c, uint8_t opcode, ln_slice payload) {
    peer *p = peer_of(c);
    if (p->code) return LINNET_ERR_CLOSED;
    if (opcode == LN_OP_BINARY) {
        told_binary(p, payload);
        return LINNET_OK;
    }
    assert_int_equal(opcode, LN_OP_TEXT);
    assert_true(ln_utf8_valid(payload));
    told(p, payload);
    return LINNET_OK;
}

int ln_conn_send_plain(ln_conn *c, uint8_t opcode, ln_slice payload) {
    return ln_conn_send(c, opcode, payload);
}

int ln_conn_send_item(ln_conn *c, ln_slice payload) {
    assert_int_equal(payload.data[0], '{');
    peer_of(c)->items++;
    return ln_conn_send(c, LN_OP_TEXT, payload);
}

void ln_conn_arrays(ln_conn *c) {
    peer_of(c)->arrays = true;
}

int ln_conn_queue(ln_conn *c, ln_rendering *r) {
    peer *p = peer_of(c);
    if (p->code) return LINNET_ERR_CLOSED;
    assert_true(p->batch);
    ln_slice payload = ln_slice_of(ln_rendering_payload(r), r->size);
    if (r->flags & LN_RENDERING_ITEM) {
        assert_int_equal(r->opcode, LN_OP_TEXT);
        assert_int_equal(payload.data[0], '{');
        p->items++;
    }
    if (r->opcode == LN_OP_BINARY)
        told_binary(p, payload);
    else
        told(p, payload);
    return LINNET_OK;
}

int ln_conn_close(ln_conn *c, uint16_t code, ln_slice reason) {
    assert_true(reason.size <= 123);
    if (!peer_of(c)->code) peer_of(c)->code = code;
    return LINNET_OK;
}

void ln_conn_fail(ln_conn *c, int err) {
    if (!peer_of(c)->code) peer_of(c)->code = ln_err_close_code(err);
    peer_of(c)->err = err;
}

bool ln_conn_ours(const ln_conn *c) {
    return ((const peer *)(const void *)c)->code != 0;
}

bool ln_conn_traffic(const ln_conn *c, uint64_t *in, uint64_t *out) {
    *in = 1000;
    *out = ((const peer *)(const void *)c)->told_size;
    return true;
}

void ln_conn_pause(ln_conn *c, uint8_t reason) {
    peer_of(c)->pauses |= reason;
}

void ln_conn_resume(ln_conn *c, uint8_t reason) {
    peer_of(c)->pauses = (uint8_t)(peer_of(c)->pauses & ~reason);
}

/* What waits for it is the test's to say. */
bool ln_conn_await_drain(ln_conn *c) {
    if (c->queued <= c->config->low) return false;
    peer_of(c)->awaits = true;
    return true;
}

void ln_conn_batch(ln_conn *c, bool on) {
    peer_of(c)->batch = on;
}

/* Nothing waits with these peers: slow.c is tested where there are queues, lib/slow_test.c. */
void ln_conn_sift_begin(ln_conn *c, ln_sift *s) {
    *s = (ln_sift){ .c = c };
}
ln_rendering *ln_conn_sift_next(ln_sift *s) {
    return NULL;
}
void ln_conn_sift_put(ln_sift *s, ln_rendering *r) {
    ln_rendering_unref(r);
}
int ln_conn_sift_end(ln_sift *s) {
    return LINNET_OK;
}

/* The world ------------------------------------------------------------------------------- */

static inline void post(void *ctx, uint32_t worker, ln_letter *letter) {
    world *w = ctx;
    assert_int_equal(worker, 0);
    letter->next = NULL;
    if (w->first)
        w->last->next = letter;
    else
        w->first = letter;
    w->last = letter;
}

static inline void run(world *w) {
    while (w->first) {
        ln_letter *letter = w->first;
        w->first = letter->next;
        ln_hub_mail(w->hub, letter);
    }
}

static inline void tick(world *w, ln_msec ms) {
    w->now += ms;
    ln_hub_tick(w->hub, w->now, WALL);
    ln_sessions_tick(&w->sessions);
}

static const ln_conn_config peer_config = { .queued_max = 1024 * 1024, .high = 65536, .low = 1000 };

static inline void world_open(world *w) {
    *w = (world){ .limits = LN_SESSION_LIMITS_INIT, .now = 50000 };
    ln_rand_init_seeded(&w->rand, 3);
    w->broker.ops = &counting;
    ln_hub_options o = { .workers = 1, .ctx = w, .post = post, .broker = &w->broker };
    assert_int_equal(ln_hub_new(&o, &w->hub), LINNET_OK);
    assert_int_equal(ln_sessions_init(&w->sessions, w->hub, &w->rand, LN_SLICE("n1")), LINNET_OK);
    ln_hub_tick(w->hub, w->now, WALL);
    for (int i = 0; i < PEERS; i++) {
        peer *p = &w->peers[i];
        p->name = (char)('a' + i);
        p->c.config = &peer_config;
        p->c.heard = p->c.spoke = (uint32_t)w->now;
    }
}

static inline peer *peer_open(world *w, int i, uint8_t dialect) {
    peer *p = &w->peers[i];
    ln_session_options o = { .limits = &w->limits,
        .dialect = dialect,
        .client = ln_slice_of(&p->name, 1),
        .bin = w->bins >> i & 1 };
    assert_int_equal(ln_session_open(&w->sessions, &p->c, &o), LINNET_OK);
    p->open = true;
    return p;
}

static inline void peer_close(peer *p) {
    if (p->open) p->c.ops->on_close(&p->c, 1000, LN_SLICE(""), LINNET_OK);
    p->open = false;
}

static inline void world_close(world *w) {
    for (int i = 0; i < PEERS; i++) {
        peer_close(&w->peers[i]);
        free(w->peers[i].told);
    }
    run(w);
    assert_int_equal(w->pins, 0);
    ln_sessions_fini(&w->sessions);
    ln_hub_free(w->hub);
}

static inline void say(peer *p, ln_slice text) {
    ln_slice copy = ln_test_exact(text);
    ln_wslice data = { (uint8_t *)(uintptr_t)copy.data, copy.size };
    p->c.ops->on_message(&p->c, LN_OP_TEXT, data);
    ln_test_drop(copy);
}

/* The next thing a peer was told; empty when there is none. */
static inline void next_line(peer *p, char *out, size_t room) {
    size_t end = ln_slice_find(ln_slice_of(p->told, p->told_size), '\n');
    out[0] = 0;
    if (end == SIZE_MAX) return;
    assert_true(end < room);
    memcpy(out, p->told, end);
    out[end] = 0;
    p->told_size -= end + 1;
    memmove(p->told, p->told + end + 1, p->told_size);
}

static inline void play_line(world *w, const char *line) {
    char got[2048] = "";
    bool same_turn = line[0] == '+';
    if (same_turn) line++;
    peer *p = &w->peers[line[1] - 'a'];
    switch (line[0]) {
    case '>':
        say(p, ln_slice_str(line + 3));
        if (!same_turn) run(w);
        break;
    case '<':
        next_line(p, got, sizeof got);
        assert_string_equal(got, line + 3);
        break;
    case '!':
        next_line(p, got, sizeof got);
        assert_string_equal(got, "");
        break;
    case 'r': w->refuse = LINNET_ERR_CONNECT; break;
    case 't':
        tick(w, strtoul(line + 3, NULL, 10));
        run(w);
        break;
    case 'c':
        p->c.ops->on_close(&p->c, (uint16_t)strtol(line + 3, NULL, 10), LN_SLICE(""), LINNET_OK);
        p->open = false;
        run(w);
        break;
    case 'x': assert_int_equal(p->code, strtol(line + 3, NULL, 10)); break;
    default: fail_msg("%s", line);
    }
}

#define LINES 24
typedef struct conversation {
    const char *why;
    uint8_t dialect; /* of a; b to d are undecided */
    const char *lines[LINES];
} conversation;

#define EPOCH "\"epoch\":\"000000000000000e\""
#define TS    "\"ts\":1700000000000"
#define ERR(code, name, words)                                                                     \
    "\"error\":{\"code\":" #code ",\"name\":\"" name "\",\"message\":\"" words                     \
    "\",\"retry\":false}}"
#define HEARD(who, from, data, offset)                                                             \
    "<" #who " {\"type\":\"message\",\"channel\":\"x\",\"data\":" #data ",\"offset\":" #offset     \
    "," TS ",\"from\":{\"client\":\"" #from "\"}}"
#define AUTO LN_DIALECT_AUTO

static inline void play(const conversation *c) {
    print_message("# %s\n", c->why);
    world w;
    world_open(&w);
    for (int i = 0; i < PEERS; i++)
        peer_open(&w, i, i == 0 ? c->dialect : AUTO);
    for (int i = 0; i < LINES && c->lines[i]; i++)
        play_line(&w, c->lines[i]);
    world_close(&w);
}

static inline int count_lines(peer *p, const char *with) {
    char line[4096];
    int count = 0;
    for (next_line(p, line, sizeof line); line[0]; next_line(p, line, sizeof line))
        count += strstr(line, with) != NULL;
    return count;
}

#endif
