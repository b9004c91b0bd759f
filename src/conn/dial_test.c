/* Dialling: every step on the way to 101 can fail, hang or be given up, and each time exactly one
 * of on_open and on_fail is called. */
#include "conn/conn_test.h"
#include "conn/dial.h"
#include "net/tls_testing.h"
#include "wire/ext.h"

/* ---- the client's owner -----------------------------------------------------------------------
 */

static void failed(ln_conn *c, int err, int status, const char *words) {
    assert_true(words && *words);
    if (status)
        rig_say(rig_of(c), "fail %s %d", linnet_errname(err), status);
    else
        rig_say(rig_of(c), "fail %s", linnet_errname(err));
    assert_int_equal(c->state, LN_CONN_DEAD);
    rig_act(c, "fail");
}

static int agreed(ln_conn *c, ln_slice protocol, bool deflate) {
    rig_say(rig_of(c), "agreed%s%.*s%s", protocol.size ? " " : "", (int)protocol.size,
        (const char *)protocol.data, deflate ? " deflate" : "");
    return LINNET_OK;
}

static ln_conn_config client_config;

static ln_dial_options options_of(rig *r, const char *url) {
    client_config = r->config;
    client_config.ws.client = true;
    return (ln_dial_options){ .url = ln_slice_str(url),
        .timeout_ms = 10000,
        .config = &client_config,
        .ops = &rig_ops,
        .on_fail = failed,
        .on_agreed = agreed };
}

static int dial_with(rig *r, const ln_dial_options *o) {
    ln_dns_options dns = { .timer_kind = RIG_DNS };
    if (!r->dns) assert_int_equal(ln_dns_new(r->loop, &dns, &r->dns), LINNET_OK);
    ln_conn *c = calloc(1, sizeof *c);
    assert_non_null(c);
    ln_conn_init(c, &r->env, RIG_CONN, RIG_TIMER);
    int err = ln_dial_start(c, r->dns, o);
    assert_string_equal(r->said, ""); /* nothing comes from inside */
    if (err < 0)
        free(c);
    else
        r->mate = c;
    return err;
}

static void dial(rig *r, const char *url) {
    ln_dial_options o = options_of(r, url);
    assert_int_equal(dial_with(r, &o), LINNET_OK);
}

/* ---- a server that says what it is told
 * ---------------------------------------------------------- */

static rig *rig_server(void) {
    rig *r = rig_bare();
    r->plain_door = true;
    return r;
}

/* The request, once it is whole. */
static const char *request_of(rig *r) {
    static char out[20000];
    for (int i = 0; i < 100; i++) {
        ln_slice all = ln_buf_slice(&r->heard);
        if (all.size && memmem(all.data, all.size, "\r\n\r\n", 4)) {
            assert_true(all.size < sizeof out);
            memcpy(out, all.data, all.size);
            out[all.size] = 0;
            ln_buf_clear(&r->heard);
            return out;
        }
        rig_settle(r);
    }
    fail_msg("no request came");
    return "";
}

/* Puts the right Accept where the text says $A, and the wrong one for $W. */
static ln_slice filled(const char *text, const char *request) {
    static char out[70000];
    const char *key = strstr(request, "Sec-WebSocket-Key: ");
    assert_non_null(key);
    char accept[LN_UPGRADE_ACCEPT_SIZE];
    ln_upgrade_accept(ln_slice_of(key + strlen("Sec-WebSocket-Key: "), 24), accept);
    size_t at = 0;
    for (; *text; text++) {
        if (*text != '$') {
            out[at++] = *text;
            continue;
        }
        if (*++text == 'W') accept[3] = accept[3] == 'x' ? 'y' : 'x';
        memcpy(out + at, accept, sizeof accept);
        at += sizeof accept;
    }
    return ln_slice_of(out, at);
}

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define GOOD   SWITCH "Sec-WebSocket-Accept: $A\r\n\r\n"

static void test_answers(void **state) {
    (void)state;
    static const struct {
        const char *why, *answer, *said;
        bool protocol, deflate; /* offered */
    } rows[] = {
        { "good", GOOD, "agreed|open", false, false },
        { "names without case",
            "HTTP/1.1 101 x\r\nUPGRADE: WebSocket\r\nconnection: keep-alive, upgrade\r\n"
            "sec-websocket-accept: $A\r\n\r\n",
            "agreed|open", false, false },
        { "offered and not taken up", GOOD, "agreed|open", true, true },
        { "a subprotocol", SWITCH "Sec-WebSocket-Accept: $A\r\nSec-WebSocket-Protocol: two\r\n\r\n",
            "agreed two|open", true, false },
        { "deflate",
            SWITCH
            "Sec-WebSocket-Accept: $A\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            "agreed deflate|open", false, true },
        { "interim answers first",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" GOOD,
            "agreed|open", false, false },
        { "200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "fail UPGRADE_STATUS 200", false,
            false },
        { "a redirect is not followed", "HTTP/1.1 302 Found\r\nLocation: ws://other/\r\n\r\n",
            "fail UPGRADE_STATUS 302", false, false },
        { "401", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n",
            "fail UPGRADE_STATUS 401", false, false },
        { "503", "HTTP/1.1 503 Service Unavailable\r\n\r\n", "fail UPGRADE_STATUS 503", false,
            false },
        { "HTTP/1.0",
            "HTTP/1.0 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: $A\r\n\r\n",
            "fail UPGRADE_HEADER 101", false, false },
        { "no Upgrade", "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: $A\r\n\r\n",
            "fail UPGRADE_HEADER 101", false, false },
        { "another Upgrade",
            "HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: $A\r\n\r\n",
            "fail UPGRADE_HEADER 101", false, false },
        { "no Connection",
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: $A\r\n\r\n",
            "fail UPGRADE_HEADER 101", false, false },
        { "no Accept", SWITCH "\r\n", "fail UPGRADE_ACCEPT 101", false, false },
        { "another's Accept", SWITCH "Sec-WebSocket-Accept: $W\r\n\r\n", "fail UPGRADE_ACCEPT 101",
            false, false },
        { "Accept twice", SWITCH "Sec-WebSocket-Accept: $A\r\nSec-WebSocket-Accept: $A\r\n\r\n",
            "fail UPGRADE_HEADER 101", false, false },
        { "a subprotocol nobody offered",
            SWITCH "Sec-WebSocket-Accept: $A\r\nSec-WebSocket-Protocol: two\r\n\r\n",
            "fail UPGRADE_PROTOCOL 101", false, false },
        { "two subprotocols",
            SWITCH "Sec-WebSocket-Accept: $A\r\nSec-WebSocket-Protocol: one\r\n"
                   "Sec-WebSocket-Protocol: two\r\n\r\n",
            "fail UPGRADE_HEADER 101", true, false },
        { "an extension nobody offered",
            SWITCH
            "Sec-WebSocket-Accept: $A\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            "fail UPGRADE_EXTENSION 101", false, false },
        { "not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", "fail UPGRADE_HEADER", false, false },
        { "a lone LF", "HTTP/1.1 101 x\nUpgrade: websocket\n\n", "fail UPGRADE_HEADER", false,
            false },
    };
    const ln_slice protocols[] = { LN_SLICE("one"), LN_SLICE("two") };
    for (size_t i = 0; i < LN_COUNT(rows); i++)
        for (int cuts = 0; cuts < 2; cuts++) {
            rig *r = rig_server();
            ln_dial_options o = options_of(r, "ws://127.0.0.1:80/path?q=1");
            o.protocols = protocols;
            o.protocol_count = rows[i].protocol ? 2 : 0;
            o.deflate = (ln_pmd_policy){ .enabled = rows[i].deflate,
                .server_takeover = true,
                .client_takeover = true,
                .server_bits_max = 15,
                .client_bits_max = 15 };
            assert_int_equal(dial_with(r, &o), LINNET_OK);
            const char *request = request_of(r);
            assert_true(strncmp(request, "GET /path?q=1 HTTP/1.1\r\n", 24) == 0);
            ln_slice answer = filled(rows[i].answer, request);
            if (cuts) { /* a byte at a time */
                for (size_t k = 0; k < answer.size && r->peer && r->mate; k++) {
                    if (r->mate->state == LN_CONN_DEAD) break;
                    rig_peer_says(r, ln_slice_sub(answer, k, k + 1));
                    rig_turn_until(r, ln_loop_now(r->loop) + 1);
                }
            } else {
                rig_peer_says(r, answer);
            }
            rig_settle(r);
            if (strcmp(r->said, rows[i].said) != 0)
                fail_msg("%s: said \"%s\"", rows[i].why, r->said);
            if (strstr(r->said, "fail")) assert_null(r->mate);
            rig_free(r);
        }
}

/* Frames that come right behind the head, at every cut; what we send is masked. */
static void test_frames_behind_the_head(void **state) {
    (void)state;
    for (size_t cut = 0; cut < 30; cut++) {
        rig *r = rig_server();
        dial(r, "ws://127.0.0.1:80");
        ln_slice head = filled(GOOD, request_of(r));
        ln_buf b;
        ln_buf_init(&b, 10000);
        ln_buf_add(&b, head);
        ln_buf_add(&b, LN_SLICE("\x81\x05hello\x89\x04"
                                "beep\x88\x02\x03\xe8"));
        ln_slice all = ln_buf_slice(&b);
        size_t at = cut < 20 ? head.size - 2 + cut : all.size;
        if (at > all.size) at = all.size;
        rig_peer_says(r, ln_slice_sub(all, 0, at));
        rig_settle(r);
        if (at < all.size) rig_peer_says(r, ln_slice_sub(all, at, all.size));
        rig_settle(r);
        rig_said(r, "agreed|open|text hello|ping beep|close 1000 ");
        ln_slice back = ln_buf_slice(&r->heard);
        assert_int_equal(back.size, 6 + 4 + 6 + 2); /* pong and close, masked */
        assert_int_equal(back.data[1], 0x84);
        assert_non_null(r->mate); /* the server ends TCP first */
        rig_peer_leaves(r, false);
        rig_settle(r);
        assert_null(r->mate);
        ln_buf_fini(&b);
        rig_free(r);
    }
}

static void test_too_long_an_answer(void **state) {
    (void)state;
    static const char *const why[] = { "a head without end", "one field too long", "many lines",
        "interim answers without end" };
    for (size_t i = 0; i < LN_COUNT(why); i++) {
        rig *r = rig_server();
        dial(r, "ws://127.0.0.1:80");
        request_of(r);
        rig_peer_says(r, LN_SLICE("HTTP/1.1 101 x\r\n"));
        size_t said = 16;
        if (i == 1) rig_peer_says(r, LN_SLICE("X: "));
        if (i == 3) rig_peer_says(r, LN_SLICE("\r\n"));
        while (r->mate && r->mate->state != LN_CONN_DEAD && said < 100000) {
            const char *more =
                i == 0   ? "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
                : i == 1 ? "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                : i == 2 ? "X: y\r\n"
                         : "HTTP/1.1 100 Continue\r\n\r\n";
            rig_peer_says(r, ln_slice_str(more));
            said += strlen(more);
            rig_turn_until(r, ln_loop_now(r->loop) + 1);
            if (i == 3 && r->mate) assert_true(ln_loop_now(r->loop) < 1000000 + 11000);
        }
        rig_settle(r);
        assert_null(r->mate);
        if (i < 3) assert_true(said < 17500);
        assert_true(strncmp(r->said, "fail ", 5) == 0);
        rig_free(r);
    }
}

/* ---- what is refused at once
 * --------------------------------------------------------------------- */

static void test_bad_options(void **state) {
    (void)state;
    static const struct {
        const char *why, *url, *name, *value, *protocol;
        int err;
    } rows[] = {
        { "not a URL", "127.0.0.1", NULL, NULL, NULL, LINNET_ERR_URL },
        { "empty", "", NULL, NULL, NULL, LINNET_ERR_URL },
        { "a fragment", "ws://h/#x", NULL, NULL, NULL, LINNET_ERR_URL },
        { "a line smuggled in the path", "ws://h/\r\nX: y", NULL, NULL, NULL, LINNET_ERR_URL },
        { "a field of ours", "ws://h/", "Sec-WebSocket-Key", "x", NULL, LINNET_ERR_INVAL },
        { "Host", "ws://h/", "host", "other", NULL, LINNET_ERR_INVAL },
        { "a line smuggled in a field", "ws://h/", "X", "a\r\nHost: b", NULL, LINNET_ERR_INVAL },
        { "no token", "ws://h/", "X Y", "a", NULL, LINNET_ERR_INVAL },
        { "a subprotocol that is no token", "ws://h/", NULL, NULL, "a b", LINNET_ERR_INVAL },
    };
    rig *r = rig_server();
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_dial_options o = options_of(r, rows[i].url);
        ln_http1_field field = { ln_slice_str(rows[i].name), ln_slice_str(rows[i].value) };
        ln_slice protocol = ln_slice_str(rows[i].protocol);
        o.fields = &field;
        o.field_count = rows[i].name ? 1 : 0;
        o.protocols = &protocol;
        o.protocol_count = rows[i].protocol ? 1 : 0;
        int err = dial_with(r, &o);
        if (err != rows[i].err) fail_msg("%s: %s", rows[i].why, linnet_errname(err));
    }
    char path[200];
    memset(path, 'p', sizeof path);
    ln_dial_options o = options_of(r, "ws://h/");
    o.unix_path = ln_slice_of(path, sizeof path);
    assert_int_equal(dial_with(r, &o), LINNET_ERR_INVAL);
    rig_settle(r);
    rig_said(r, "");
    assert_int_equal(r->dead, 0);
    rig_free(r);
}

/* What was lent may go as soon as the call is over. */
static void test_options_are_copied(void **state) {
    (void)state;
    rig *r = rig_server();
    char url[] = "ws://127.0.0.1:80/copied", name[] = "X-Name", value[] = "value", one[] = "one";
    ln_http1_field field = { ln_slice_str(name), ln_slice_str(value) };
    ln_slice protocol = ln_slice_str(one);
    ln_dial_options o = options_of(r, url);
    o.fields = &field;
    o.field_count = 1;
    o.protocols = &protocol;
    o.protocol_count = 1;
    assert_int_equal(dial_with(r, &o), LINNET_OK);
    memset(url, 'z', sizeof url);
    memset(name, 'z', sizeof name);
    memset(value, 'z', sizeof value);
    memset(one, 'z', sizeof one);
    memset(&field, 'z', sizeof field);
    memset(&protocol, 'z', sizeof protocol);
    memset(&o, 'z', sizeof o);
    const char *request = request_of(r);
    assert_non_null(strstr(request, "GET /copied HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "X-Name: value\r\n"));
    assert_non_null(strstr(request, "Sec-WebSocket-Protocol: one\r\n"));
    rig_free(r);
}

/* ---- connecting
 * ------------------------------------------------------------------------------------ */

static void test_refused(void **state) {
    (void)state;
    rig *r = rig_server();
    dial(r, "ws://127.0.0.1:81/");
    rig_settle(r);
    rig_said(r, "fail CONNECT");
    assert_null(r->mate);
    rig_free(r);

    r = rig_server(); /* both addresses of a name */
    dial(r, "ws://localhost:81/");
    rig_settle(r);
    rig_said(r, "fail CONNECT");
    assert_null(r->mate);
    rig_free(r);
}

static void test_next_address(void **state) {
    (void)state;
    rig *r = rig_server();
    ln_sim_faults refusing = { .refuse = 1000000, .delay_min_ms = 10, .delay_max_ms = 10 };
    ln_simnet_faults(r->net, &refusing);
    dial(r, "ws://localhost:80/");
    for (int i = 0; i < 15; i++)
        rig_turn_until(r, ln_loop_now(r->loop) + 1);
    refusing.refuse = 0;
    ln_simnet_faults(r->net, &refusing);
    rig_pass(r, 200);
    rig_peer_says(r, filled(GOOD, request_of(r)));
    rig_pass(r, 100);
    rig_said(r, "agreed|open");
    rig_free(r);
}

static void test_times_out(void **state) {
    (void)state;
    rig *r = rig_server(); /* nobody answers the SYN */
    ln_sim_faults slow = { .delay_min_ms = 100000, .delay_max_ms = 100000 };
    ln_simnet_faults(r->net, &slow);
    dial(r, "ws://127.0.0.1:80/");
    rig_pass(r, 9900);
    rig_said(r, "");
    ln_simnet_faults(r->net, NULL);
    rig_pass(r, 200);
    rig_said(r, "fail TIMEOUT");
    rig_pass(r, 200000);
    rig_free(r);

    r = rig_server(); /* connected, and then nothing */
    dial(r, "ws://127.0.0.1:80/");
    request_of(r);
    for (int i = 0; i < 9; i++) { /* a byte now and then does not help */
        rig_peer_says(r, ln_slice_of(&"HTTP/1.1 1"[i], 1));
        rig_pass(r, 1000);
    }
    rig_said(r, "");
    rig_pass(r, 1100);
    rig_said(r, "fail TIMEOUT");
    assert_null(r->mate);
    rig_free(r);
}

static void test_server_goes(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        rig *r = rig_server();
        dial(r, "ws://127.0.0.1:80/");
        request_of(r);
        if (kind & 1) rig_peer_says(r, LN_SLICE("HTTP/1.1 101 Swi"));
        rig_settle(r);
        rig_peer_leaves(r, kind & 2);
        rig_settle(r);
        rig_said(r, "fail RESET");
        assert_null(r->mate);
        rig_free(r);
    }
}

/* ---- giving up ---------------------------------------------------------------------------------
 */

/* After each number of turns, by each means. */
static void test_given_up(void **state) {
    (void)state;
    for (int how = 0; how < 2; how++)
        for (int turns = 0, opened = 0; opened < 3; turns++) {
            rig *r = rig_server();
            ln_sim_faults slow = { .delay_min_ms = 1, .delay_max_ms = 1 };
            if (turns % 2) slow.refuse = 1000000; /* on the way to another address */
            ln_simnet_faults(r->net, &slow);
            dial(r, "ws://localhost:80/");
            bool answered = false;
            for (int i = 0; i < turns; i++) {
                rig_turn_until(r, ln_loop_now(r->loop) + 1);
                if (ln_conn_is(r->mate, LN_CF_REDIAL)) slow.refuse = 0;
                ln_simnet_faults(r->net, &slow);
                if (!answered && r->heard.size) {
                    rig_peer_says(r, filled(GOOD, request_of(r)));
                    answered = true;
                }
            }
            assert_non_null(r->mate);
            bool open = r->mate->state == LN_CONN_WS;
            if (how)
                ln_conn_terminate(r->mate);
            else
                ln_conn_close(r->mate, 1000, LN_SLICE(""));
            rig_pass(r, 8000);
            if (!open)
                rig_said(r, "fail CANCELLED");
            else
                rig_said(
                    r, how ? "agreed|open|close 1006 CANCELLED" : "agreed|open|close 1006 TIMEOUT");
            assert_null(r->mate);
            opened += open;
            rig_free(r);
        }
}

static void redials(rig *r, ln_conn *c, const char *event) {
    int *left = r->extra;
    (void)c;
    if (strcmp(event, "fail") != 0 || !(*left)--) return;
    r->said[0] = 0;
    ln_dial_options o = options_of(r, "ws://127.0.0.1:81/");
    assert_int_equal(dial_with(r, &o), LINNET_OK);
    rig_say(r, "again");
}

static void test_dials_again_in_on_fail(void **state) {
    (void)state;
    int left = 3;
    rig *r = rig_server();
    dial(r, "ws://127.0.0.1:81/");
    r->act = redials;
    r->extra = &left;
    rig_settle(r);
    rig_said(r, "again|fail CONNECT");
    assert_int_equal(r->dead, 4);
    rig_free(r);
}

static void ends_at_open(rig *r, ln_conn *c, const char *event) {
    if (strcmp(event, "open") != 0) return;
    if (r->extra)
        ln_conn_terminate(c);
    else
        ln_conn_close(c, 1000, LN_SLICE("no"));
}

static void test_ends_in_on_open(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        rig *r = rig_server();
        r->act = ends_at_open;
        r->extra = kind ? r : NULL;
        dial(r, "ws://127.0.0.1:80/");
        ln_buf b;
        ln_buf_init(&b, 10000);
        ln_buf_add(&b, filled(GOOD, request_of(r)));
        ln_buf_add(&b, LN_SLICE("\x81\x05hello"));
        rig_peer_says(r, ln_buf_slice(&b));
        ln_buf_fini(&b);
        rig_settle(r);
        rig_said(r, kind ? "agreed|open|close 1006 CANCELLED" : "agreed|open");
        rig_free(r);
    }
}

/* ---- TLS, both sides ours
 * -------------------------------------------------------------------------- */

static char cert[64], key[64], ca_file[64];

static int make_certificates(void **state) {
    (void)state;
    snprintf(cert, sizeof cert, "/tmp/linnet-dial-%d.crt", getpid());
    snprintf(key, sizeof key, "/tmp/linnet-dial-%d.key", getpid());
    snprintf(ca_file, sizeof ca_file, "/tmp/linnet-dial-%d.ca", getpid());
    ln_test_ca ca = ln_test_ca_new("dial test");
    ln_test_pem(ca_file, ca.cert, NULL);
    ln_test_leaf(&ca, "localhost", "DNS:localhost,IP:127.0.0.1", 1, cert, key);
    ln_test_ca_free(&ca);
    return 0;
}

static int remove_certificates(void **state) {
    (void)state;
    unlink(cert);
    unlink(key);
    unlink(ca_file);
    return 0;
}

static void accepts(ln_conn *c, ln_exchange *x) {
    ln_upgrade asked;
    assert_int_equal(ln_upgrade_check(&x->head, &asked), LN_HTTP1_FAULT_NONE);
    ln_exchange_accept a = { .key = asked.key, .config = &rig_of(c)->config, .ops = &rig_ops };
    assert_int_equal(ln_exchange_become_ws(x, &a), LINNET_OK);
}

static ln_tls_ctx *client_ctx(bool trusting) {
    ln_tls_options o = { .ca_file = trusting ? ca_file : NULL, .verify = true };
    ln_tls_ctx *ctx;
    assert_int_equal(ln_tls_ctx_new(&o, &ctx, NULL), LINNET_OK);
    return ctx;
}

static rig *rig_secure(void) {
    rig *r = rig_bare();
    ln_tls_options o = { .server = true, .cert_file = cert, .key_file = key };
    assert_int_equal(ln_tls_ctx_new(&o, &r->tls, NULL), LINNET_OK);
    r->on_request = accepts;
    return r;
}

static void dial_secure(rig *r, const char *url, const char *name, bool trusting) {
    ln_dial_options o = options_of(r, url);
    ln_tls_ctx *ctx = client_ctx(trusting);
    o.tls = ctx;
    o.tls_name = ln_slice_str(name);
    assert_int_equal(dial_with(r, &o), LINNET_OK);
    ln_tls_ctx_unref(ctx);
}

static void echoes_server(rig *r, ln_conn *c, const char *event) {
    if (strcmp(event, "message") != 0 || c != r->conn) return;
    ln_wslice d = c->env->event->data;
    assert_int_equal(
        ln_conn_send(c, c->env->event->opcode, ln_slice_of(d.data, d.size)), LINNET_OK);
}

static void test_tls(void **state) {
    (void)state;
    static uint8_t large[700000];
    rig *r = rig_secure();
    r->act = echoes_server;
    dial_secure(r, "wss://localhost:80/", NULL, true);
    rig_settle(r);
    rig_said(r, "open|agreed|open");
    static const size_t sizes[] = { 0, 5, 16384, 16385, 100000, sizeof large };
    for (size_t i = 0; i < LN_COUNT(sizes); i++) {
        memset(large, 'a' + (int)i, sizeof large);
        assert_int_equal(
            ln_conn_send(r->mate, LN_OP_BINARY, ln_slice_of(large, sizes[i])), LINNET_OK);
        rig_settle(r);
        char twice[100];
        if (sizes[i] > r->config.high) /* they are marks of what waits, and it waits */
            snprintf(
                twice, sizeof twice, "drain|binary of %zu|drain|binary of %zu", sizes[i], sizes[i]);
        else if (sizes[i] > 40)
            snprintf(twice, sizeof twice, "binary of %zu|binary of %zu", sizes[i], sizes[i]);
        else
            snprintf(twice, sizeof twice, "binary %.*s|binary %.*s", (int)sizes[i], large,
                (int)sizes[i], large);
        rig_said(r, twice);
    }
    for (int i = 0; i < 3000; i++)
        assert_int_equal(ln_conn_send(r->mate, LN_OP_TEXT, LN_SLICE("many")), LINNET_OK);
    rig_settle(r);
    r->said[0] = 0;
    assert_int_equal(ln_conn_close(r->mate, 4000, LN_SLICE("bye")), LINNET_OK);
    rig_settle(r);
    rig_said(r, "close 4000 bye|close 4000 ");
    assert_null(r->mate);
    assert_null(r->conn);
    rig_free(r);
}

/* Loss, delay and short reads below TLS. */
static void test_tls_in_pieces(void **state) {
    (void)state;
    rig *r = rig_secure();
    ln_sim_faults f = {
        .partial = 700000, .short_read = 700000, .window = 3000, .delay_max_ms = 2
    };
    ln_simnet_faults(r->net, &f);
    r->act = echoes_server;
    dial_secure(r, "wss://127.0.0.1:80/", NULL, true);
    rig_pass(r, 2000);
    rig_said(r, "open|agreed|open");
    static uint8_t large[60000];
    assert_int_equal(ln_conn_send(r->mate, LN_OP_BINARY, ln_slice_of(large, sizeof large)), 0);
    ln_conn_ping(r->mate, LN_SLICE("p"));
    rig_pass(r, 3000);
    assert_non_null(strstr(r->said, "binary of 60000"));
    assert_non_null(strstr(r->said, "ping p"));
    rig_free(r);
}

static void test_tls_fails(void **state) {
    (void)state;
    rig *r = rig_secure(); /* not a trusted authority */
    dial_secure(r, "wss://localhost:80/", NULL, false);
    rig_settle(r);
    rig_said(r, "fail TLS_VERIFY");
    assert_null(r->mate);
    rig_settle(r);
    assert_null(r->conn);
    rig_free(r);

    r = rig_secure(); /* not the name */
    dial_secure(r, "wss://localhost:80/", "other.example", true);
    rig_settle(r);
    rig_said(r, "fail TLS_VERIFY");
    rig_free(r);

    r = rig_server(); /* not TLS at all */
    dial_secure(r, "wss://localhost:80/", NULL, true);
    rig_settle(r);
    rig_peer_says(r, LN_SLICE("HTTP/1.1 400 Bad Request\r\n\r\n"));
    rig_settle(r);
    rig_said(r, "fail TLS");
    rig_free(r);

    r = rig_server(); /* says nothing */
    dial_secure(r, "wss://localhost:80/", NULL, true);
    rig_pass(r, 10100);
    rig_said(r, "fail TIMEOUT");
    rig_free(r);

    r = rig_server(); /* goes */
    dial_secure(r, "wss://localhost:80/", NULL, true);
    rig_settle(r);
    rig_peer_leaves(r, false);
    rig_settle(r);
    rig_said(r, "fail RESET");
    rig_free(r);
}

/* A stranger at a TLS door (row 32): silence, garbage, half a hello; and one who ends in the
 * middle. */
static void test_tls_strangers(void **state) {
    (void)state;
    static const struct {
        const char *why;
        ln_slice bytes;
        bool silent;
    } rows[] = {
        { "silence", BYTES(""), true },
        { "half a ClientHello", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), true },
        { "HTTP", BYTES("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), false },
        { "garbage", BYTES("\xff\xfe\xfd\xfc\xfb\xfa"), false },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        rig *r = rig_secure();
        rig_connect(r);
        if (rows[i].bytes.size) rig_peer_says(r, rows[i].bytes);
        rig_pass(r, 9500);
        if (rows[i].silent != (r->conn && r->conn->state == LN_CONN_HTTP))
            fail_msg("%s", rows[i].why);
        rig_pass(r, 12500);
        assert_null(r->conn);
        rig_free(r);
    }
}

/* The peer's close_notify counts as its FIN, and ours is sent before ours. */
static void test_tls_ends(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        rig *r = rig_secure();
        dial_secure(r, "wss://localhost:80/", NULL, true);
        rig_settle(r);
        rig_said(r, "open|agreed|open");
        if (kind == 0) ln_conn_terminate(r->mate);
        if (kind == 1) ln_conn_fail(r->conn, LINNET_ERR_DENIED);
        if (kind == 2) {
            ln_buf_clear(&r->env.cipher);
            ln_tls_close(r->mate->tls, &r->env.cipher);
            ln_send_cipher(r->mate);
        }
        rig_settle(r);
        if (kind == 0) rig_said(r, "close 1006 CANCELLED|close 1006 RESET");
        if (kind == 1) rig_said(r, "close 1006 DENIED|close 1008 not allowed");
        if (kind == 2) rig_said(r, "close 1006 RESET|close 1006 RESET");
        rig_pass(r, 3000);
        assert_null(r->conn);
        assert_null(r->mate);
        rig_free(r);
    }
}

/* ---- without memory
 * ----------------------------------------------------------------------------------- */

/* The simulator does without pardon, so what fails is what happens inside one completion: of the
 * answer, up to on_open. */
static void test_answer_without_memory(void **state) {
    (void)state;
    const ln_slice protocols[] = { LN_SLICE("one"), LN_SLICE("two") };
    int opened = 0;
    for (uint64_t n = 1; opened < 3; n++) {
        ln_test_memory m = { 0 };
        ln_test_memory_install(&m);
        rig *r = rig_server();
        ln_dial_options o = options_of(r, "ws://127.0.0.1:80/");
        o.protocols = protocols;
        o.protocol_count = 2;
        o.deflate = (ln_pmd_policy){ .enabled = true,
            .server_takeover = true,
            .client_takeover = true,
            .server_bits_max = 15,
            .client_bits_max = 15 };
        assert_int_equal(dial_with(r, &o), LINNET_OK);
        ln_slice answer = filled(SWITCH
            "Sec-WebSocket-Accept: $A\r\nSec-WebSocket-Protocol: two\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            request_of(r));
        uint8_t *copy = malloc(answer.size);
        assert_non_null(copy);
        memcpy(copy, answer.data, answer.size);
        m.fail_at = m.calls + n;
        ln_conn_input(r->mate, (ln_wslice){ copy, answer.size });
        m.fail_at = 0;
        free(copy);
        rig_settle(r);
        if (strstr(r->said, "open")) {
            opened++;
        } else {
            assert_non_null(strstr(r->said, "fail NOMEM"));
            assert_null(r->mate);
        }
        rig_free(r);
        assert_int_equal(m.live, 0);
        ln_test_memory_remove();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_frames_behind_the_head),
        cmocka_unit_test(test_too_long_an_answer),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_options_are_copied),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_next_address),
        cmocka_unit_test(test_times_out),
        cmocka_unit_test(test_server_goes),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_dials_again_in_on_fail),
        cmocka_unit_test(test_ends_in_on_open),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_tls_in_pieces),
        cmocka_unit_test(test_tls_fails),
        cmocka_unit_test(test_tls_strangers),
        cmocka_unit_test(test_tls_ends),
        cmocka_unit_test(test_answer_without_memory),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
