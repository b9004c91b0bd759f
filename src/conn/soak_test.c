/* Two connections of ours that do everything to each other, over a network that delays, cuts and
 * breaks: what arrives is what was sent, in order, and every open has one close. A seed that fails
 * is a line of the table below. */
#include "conn/conn_test.h"
#include "conn/dial.h"
#include "net/tls_testing.h"

#define SEEDS 160

typedef struct party {
    ln_conn *c;           /* NULL: not open, or closed */
    uint32_t sent, heard; /* messages, numbered */
    unsigned opened, closed;
    bool fragments;
    int pieces;
} party;

typedef struct soak {
    rig *r;
    party client, server;
    ln_pmd_policy deflate;
    ln_conn_config client_config;
    ln_exchange *deferred;
    ln_conn *deferred_on;
    unsigned failed;
    bool echoing, resets;
} soak;

static soak *soak_of(const ln_conn *c) {
    return rig_of(c)->extra;
}

static party *party_of(const ln_conn *c) {
    soak *s = soak_of(c);
    return ln_conn_is(c, LN_CF_CLIENT) ? &s->client : &s->server;
}

static uint32_t below(soak *s, uint32_t n) {
    return ln_simnet_below(s->r->net, n);
}

/* ---- messages: a number, then bytes that follow from it
 * ------------------------------------------ */

static uint8_t bytes[300004];

static ln_slice numbered(uint32_t number, size_t size) {
    memcpy(bytes, &number, 4);
    for (size_t i = 4; i < size; i++)
        bytes[i] = (uint8_t)((number * 31 + i / 7) % 61 + ' ');
    return ln_slice_of(bytes, size);
}

static size_t some_size(soak *s) {
    static const size_t sizes[] = { 4, 20, 125, 126, 3000, 9000, 65535, 70000, 300000 };
    return sizes[below(s, below(s, 4) ? 5 : 9)];
}

static void send_one(soak *s, party *p) {
    ln_conn *c = p->c;
    if (!c || c->state != LN_CONN_WS || p->fragments) return;
    ln_slice payload = numbered(p->sent, some_size(s));
    int err = LINNET_OK;
    switch (below(s, 4)) {
    case 0: err = ln_conn_send_plain(c, LN_OP_BINARY, payload); break;
    case 1: {
        ln_rendering *r = ln_rendering_of(LN_OP_BINARY, payload);
        assert_non_null(r);
        err = ln_conn_queue(c, r);
        ln_rendering_unref(r);
        break;
    }
    default: err = ln_conn_send(c, LN_OP_BINARY, payload);
    }
    if (err == LINNET_OK)
        p->sent++;
    else
        assert_int_equal(err, LINNET_ERR_CLOSED);
}

/* A message in three pieces, with other things done in between, but no other message. */
static void send_piece(soak *s, party *p) {
    ln_conn *c = p->c;
    if (!c || c->state != LN_CONN_WS) return;
    if (!p->fragments) {
        if (ln_conn_is(c, LN_CF_BATCH)) return;
        p->fragments = true;
        p->pieces = 0;
    }
    ln_slice all = numbered(p->sent, 3000);
    size_t from = (size_t)p->pieces * 1000;
    bool last = ++p->pieces == 3;
    int err = ln_conn_send_fragment(
        c, from ? LN_OP_CONTINUATION : LN_OP_BINARY, last, ln_slice_sub(all, from, from + 1000));
    assert_true(err == LINNET_OK || err == LINNET_ERR_CLOSED);
    if (last) {
        p->fragments = false;
        p->sent++;
    }
    (void)s;
}

/* ---- events
 * -------------------------------------------------------------------------------------- */

static void on_open(ln_conn *c) {
    party *p = party_of(c);
    assert_int_equal(p->opened++, 0);
    p->c = c;
    send_one(soak_of(c), p);
}

static void on_message(ln_conn *c, uint8_t opcode, ln_wslice data) {
    soak *s = soak_of(c);
    party *p = party_of(c);
    uint32_t number;
    assert_int_equal(opcode, LN_OP_BINARY);
    assert_true(data.size >= 4);
    memcpy(&number, data.data, 4);
    assert_int_equal(number, p->heard);
    p->heard++;
    assert_memory_equal(data.data, numbered(number, data.size).data, data.size);
    if (s->echoing && below(s, 3) == 0 && !p->fragments) { /* its own number, in the same memory */
        memcpy(data.data, &p->sent, 4);
        for (size_t i = 4; i < data.size; i++)
            data.data[i] = (uint8_t)((p->sent * 31 + i / 7) % 61 + ' ');
        if (ln_conn_send(c, opcode, ln_slice_of(data.data, data.size)) == LINNET_OK) p->sent++;
    }
    if (below(s, 20) == 0) ln_conn_pause(c, LN_PAUSE_USER);
}

static void on_close(ln_conn *c, uint16_t code, ln_slice reason, int err) {
    party *p = party_of(c);
    (void)reason;
    assert_int_equal(p->closed++, 0);
    rig_say(rig_of(c), "%s %u %s at %u", p == &soak_of(c)->client ? "client" : "server", code,
        linnet_errname(err), (unsigned)(ln_loop_now(c->env->loop) % 1000000));
    p->c = NULL;
}

static const ln_conn_ops ops = {
    .on_open = on_open, .on_message = on_message, .on_close = on_close
};

static void on_fail(ln_conn *c, int err, int status, const char *words) {
    (void)err, (void)status, (void)words;
    soak_of(c)->failed++;
}

static void accept_it(ln_conn *c, ln_exchange *x) {
    soak *s = soak_of(c);
    ln_upgrade asked;
    ln_pmd_params params;
    ln_pmd_text answer;
    assert_int_equal(ln_upgrade_check(&x->head, &asked), LN_HTTP1_FAULT_NONE);
    int agreed = ln_pmd_accept(&s->deflate, &x->head, &params, &answer);
    ln_exchange_accept a = { .key = asked.key,
        .config = &s->r->config,
        .ops = &ops,
        .extension = agreed == 1 ? ln_pmd_slice(&answer) : LN_SLICE(""),
        .params = agreed == 1 ? &params : NULL };
    assert_int_equal(ln_exchange_become_ws(x, &a), LINNET_OK);
}

static void requested(ln_conn *c, ln_exchange *x) {
    soak *s = soak_of(c);
    if (below(s, 2)) {
        accept_it(c, x);
        return;
    }
    s->deferred = x;
    s->deferred_on = c;
}

static void gone(ln_conn *c, ln_exchange *x) {
    if (soak_of(c)->deferred == x) soak_of(c)->deferred = NULL;
}

/* ---- a run
 * ------------------------------------------------------------------------------------------ */

static char cert[64], key[64];

static void begin(soak *s, uint64_t seed, bool secure) {
    rig *r = s->r = rig_bare();
    r->extra = s;
    r->on_request = requested;
    r->env.on_gone = gone;
    for (uint64_t i = 0; i < seed; i++) /* the seed is how much chance was used before */
        ln_simnet_below(r->net, 1000 + (uint32_t)seed);
    s->resets = below(s, 4) == 0;
    uint32_t window = 3000u << below(s, 5);
    ln_sim_faults f = { .partial = below(s, 2) * 300000,
        .short_read = below(s, 2) * 300000,
        .reset = s->resets ? 300 : 0,
        .window = window,
        .delay_max_ms = below(s, 4) };
    ln_simnet_faults(r->net, &f);
    r->config.queued_max = 1u << 30;
    r->config.queued_age_ms = 0;
    r->config.ws.deflate_threshold = 50;
    r->config.ws.deflate_memory = 8;
    r->config.ws.one_shot = below(s, 2);
    s->client_config = r->config;
    s->client_config.ws.client = true;
    s->deflate = (ln_pmd_policy){ .enabled = below(s, 2),
        .server_takeover = below(s, 2),
        .client_takeover = below(s, 2),
        .server_bits_max = (uint8_t)(9 + below(s, 7)),
        .client_bits_max = (uint8_t)(9 + below(s, 7)) };
    s->echoing = below(s, 2);
    ln_tls_ctx *ctx = NULL;
    if (secure) {
        ln_tls_options server = { .server = true, .cert_file = cert, .key_file = key };
        ln_tls_options client = { .ca_file = cert };
        assert_int_equal(ln_tls_ctx_new(&server, &r->tls, NULL), LINNET_OK);
        assert_int_equal(ln_tls_ctx_new(&client, &ctx, NULL), LINNET_OK);
    }
    ln_dns_options dns = { .timer_kind = RIG_DNS };
    assert_int_equal(ln_dns_new(r->loop, &dns, &r->dns), LINNET_OK);
    ln_dial_options o = { .url = secure ? LN_SLICE("wss://127.0.0.1:80/")
                                        : LN_SLICE("ws://127.0.0.1:80/"),
        .deflate = s->deflate,
        .tls = ctx,
        .timeout_ms = 10000,
        .config = &s->client_config,
        .ops = &ops,
        .on_fail = on_fail };
    r->mate = calloc(1, sizeof *r->mate);
    assert_non_null(r->mate);
    ln_conn_init(r->mate, &r->env, RIG_CONN, RIG_TIMER);
    assert_int_equal(ln_dial_start(r->mate, r->dns, &o), LINNET_OK);
    ln_tls_ctx_unref(ctx);
}

static void act(soak *s) {
    party *p = below(s, 2) ? &s->client : &s->server;
    if (s->deferred && below(s, 4) == 0) {
        ln_exchange *x = s->deferred;
        s->deferred = NULL;
        accept_it(s->deferred_on, x);
    }
    if (!p->c) return;
    switch (below(s, 12)) {
    case 0: ln_conn_pause(p->c, LN_PAUSE_USER); break;
    case 1:
    case 2: ln_conn_resume(p->c, LN_PAUSE_USER); break;
    case 3: (void)ln_conn_ping(p->c, LN_SLICE("are you there")); break;
    case 4:
    case 5:
    case 6: send_piece(s, p); break;
    case 7:
        if (!p->fragments) ln_conn_batch(p->c, below(s, 2));
        break;
    default: send_one(s, p);
    }
}

/* The one who closes has everything behind it delivered, unless the network broke. */
static void end(soak *s) {
    rig *r = s->r;
    party *first = below(s, 2) ? &s->client : &s->server;
    party *other = first == &s->client ? &s->server : &s->client;
    while (first->fragments && first->c && first->c->state == LN_CONN_WS)
        send_piece(s, first);
    uint32_t sent = first->sent;
    bool whole = first->c && other->c && other->c->state == LN_CONN_WS && below(s, 4);
    s->echoing = false;
    for (int i = 0; i < 2; i++) {
        party *p = i ? &s->client : &s->server;
        if (p->c) ln_conn_resume(p->c, LN_PAUSE_USER);
    }
    if (whole)
        assert_int_equal(ln_conn_close(first->c, 1000, LN_SLICE("end")), LINNET_OK);
    else if (first->c)
        ln_conn_terminate(first->c);
    for (int i = 0; i < 3000 && (r->mate || r->conn); i++) {
        if (other->c) ln_conn_resume(other->c, LN_PAUSE_USER);
        rig_pass(r, 100);
    }
    if (whole && !s->resets && other->heard != sent)
        fail_msg("%s heard %u of %u: %s", other == &s->client ? "client" : "server", other->heard,
            sent, r->said);
}

static void run(uint64_t seed, bool secure) {
    soak s = { .r = NULL };
    begin(&s, seed, secure);
    for (int i = 0; i < 150; i++) {
        act(&s);
        rig_turn_until(s.r, ln_loop_now(s.r->loop) + 1 + below(&s, 3));
    }
    end(&s);
    s.r->extra = &s;
    rig *r = s.r;
    ln_simnet_faults(r->net, NULL);
    rig_free(r);
    assert_int_equal(s.client.opened, s.client.closed);
    assert_int_equal(s.server.opened, s.server.closed);
    assert_int_equal(s.client.opened + s.failed, 1);
}

static void test_plain(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        run(seed, false);
}

static void test_secure(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS / 4; seed++)
        run(seed, true);
}

static int prepare(void **state) {
    (void)state;
    snprintf(cert, sizeof cert, "/tmp/linnet-soak-%d.crt", getpid());
    snprintf(key, sizeof key, "/tmp/linnet-soak-%d.key", getpid());
    ln_test_leaf(NULL, "localhost", "IP:127.0.0.1", 1, cert, key);
    return 0;
}

static int tidy(void **state) {
    (void)state;
    unlink(cert);
    unlink(key);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_secure),
    };
    return cmocka_run_group_tests(tests, prepare, tidy);
}
