/* conn.c -- the way up, and the life of a connection. The way down is send.c. */
#include "conn/conn.h"
#include "base/mem.h"
#include "conn/dial.h"
#include "conn/exchange.h"
#include "conn/inner.h"
#include <assert.h>

#define MESSAGES_PER_TURN 1024
#define PLAIN_SIZE        (64 * 1024)
#define FLOOD_SECONDS     5
#define HTTP_STALL_MS     10000u /* a reader of whom nothing is seen for so long is gone */
#define LEAVE_RATE        256u /* bytes a second that somebody reads whom we wait for at the end */
#define DEAF_BYTES        (16u * 1024) /* of a refused head that are still taken */
#define DEAF_MS           1000u        /* and then there is so much time to read the answer */
#define HELD_UP_MS        1000         /* a timer that comes so late says something about us */
#define BLOCKS_MAX        (1u << 24)

int ln_env_init(ln_env *env, ln_loop *loop, ln_log *log) {
    memset(env, 0, sizeof *env);
    env->loop = loop;
    env->log = log;
    ln_rand_init(&env->rand);
    env->tools.rand = &env->rand;
    ln_pmd_tools_init(&env->tools.pmd);
    ln_list_init(&env->dirty);
    ln_list_init(&env->ready);
    ln_pool_init(&env->blocks, sizeof(ln_txblock), BLOCKS_MAX);
    ln_pool_init(&env->exchanges, sizeof(ln_exchange), BLOCKS_MAX);
    ln_buf_init(&env->cipher, LN_BUF_MAX);
    ln_buf_init(&env->plain, PLAIN_SIZE + LN_RECV_HEADROOM);
    ln_buf_init(&env->encoded, LN_BUF_MAX);
    ln_buf_init(&env->gather, LN_BUF_MAX);
    env->cork = ln_malloc(LN_CORK_SIZE);
    if (!env->cork || ln_buf_reserve(&env->plain, PLAIN_SIZE + LN_RECV_HEADROOM) < 0) {
        ln_env_fini(env);
        return LINNET_ERR_NOMEM;
    }
    return LINNET_OK;
}

void ln_env_fini(ln_env *env) {
    ln_free(env->cork);
    env->cork = NULL;
    ln_buf_fini(&env->cipher);
    ln_buf_fini(&env->plain);
    ln_buf_fini(&env->encoded);
    ln_buf_fini(&env->gather);
    ln_pool_fini(&env->blocks);
    ln_pool_fini(&env->exchanges);
    ln_ws_tools_fini(&env->tools);
}

/* ---- states ----------------------------------------------------------------------- */

/* The one place where the state changes. Never backwards. */
static void enter(ln_conn *c, ln_conn_state state) {
    assert(state > (ln_conn_state)c->state || c->state == LN_CONN_DIALING);
    c->state = (uint8_t)state;
}

void ln_conn_init(ln_conn *c, ln_env *env, uint8_t sock_kind, uint8_t timer_kind) {
    uint32_t slot = c->slot, generation = c->generation; /* lib/ has named it already */
    memset(c, 0, sizeof *c);
    c->slot = slot;
    c->generation = generation;
    c->env = env;
    c->sock.kind = sock_kind;
    c->sock.fd = -1;
    ln_list_init(&c->sock.node);
    ln_list_init(&c->turn);
    ln_timer_init(&c->timer, timer_kind);
    c->heard = c->spoke = ln_conn_now(c);
    c->state = LN_CONN_DIALING;
    ln_conn_set(c, LN_CF_CLIENT);
}

int ln_conn_accept(
    ln_conn *c, ln_env *env, uint8_t sock_kind, uint8_t timer_kind, int fd, ln_tls_ctx *tls) {
    ln_conn_init(c, env, sock_kind, timer_kind);
    ln_conn_unset(c, LN_CF_CLIENT);
    if (tls) {
        int err = ln_tls_new(tls, NULL, NULL, &c->tls);
        if (err < 0) return err;
    }
    int err = ln_sock_adopt(env->loop, &c->sock, sock_kind, fd);
    if (err < 0) {
        ln_tls_free(c->tls);
        c->tls = NULL;
        return err;
    }
    enter(c, LN_CONN_HTTP);
    ln_stat_add(&env->conns, 1);
    return LINNET_OK;
}

void ln_conn_arm(ln_conn *c, ln_msec due) {
    if (ln_timer_armed(&c->timer) && c->timer.due <= due) return;
    ln_timer_set(ln_loop_wheel(c->env->loop), &c->timer, due);
}

static void arm_in(ln_conn *c, uint32_t ms) {
    ln_conn_arm(c, ln_loop_now(c->env->loop) + ms);
}

static void free_upper(ln_conn *c) {
    if (ln_conn_is(c, LN_CF_CLIENT)) {
        if (c->dial) ln_dial_free(c->dial);
    } else if (c->http) {
        ln_exchange *x = c->http;
        bool at_work = x->state != LN_EXCHANGE_HEAD && x->state != LN_EXCHANGE_ANSWERED;
        if (at_work && c->env->on_gone) c->env->on_gone(c, x);
        ln_exchange_free(x);
    }
    c->http = NULL;
}

/* The stream ends now. on_close, if it is owed, comes at the end of the turn. */
void ln_conn_drop(ln_conn *c, int err) {
    if (c->state == LN_CONN_DEAD) return;
    if (c->state == LN_CONN_DIALING || (ln_conn_is(c, LN_CF_CLIENT) && c->state == LN_CONN_HTTP)) {
        if (c->dial) {
            ln_dial_fail(c, err ? err : LINNET_ERR_RESET); /* comes back here without a dial */
            return;
        }
    }
    if (ln_conn_is(c, LN_CF_OPENED)) {
        if (c->ops->on_parting) c->ops->on_parting(c);
        if (!ln_conn_is(c, LN_CF_CLOSE_OWED)) {
            c->close_code = 1006;
            c->close_err = (uint8_t)-err;
        }
        ln_conn_set(c, LN_CF_CLOSE_OWED);
        ln_send_dirty(c);
    }
    enter(c, LN_CONN_DEAD);
    ln_timer_stop(ln_loop_wheel(c->env->loop), &c->timer);
    ln_send_forget(c);
    free_upper(c);
    ln_sock_close(c->env->loop, &c->sock, ln_conn_is(c, LN_CF_ABORT));
}

/* The last call; counted by why it ended. */
static void tell_close(ln_conn *c, uint16_t code, ln_slice reason) {
    uint16_t why = c->close_err ? ln_err_close_code(-(int)c->close_err) : code;
    if (c->close_err == (uint8_t)-LINNET_ERR_SLOW) why = c->config->slow_code;
    ln_stat_add(&c->env->close_codes[ln_close_index(why ? why : 1006)], 1);
    c->ops->on_close(c, code, reason, -(int)c->close_err);
}

void ln_conn_close_owed(ln_conn *c) {
    if (!ln_conn_is(c, LN_CF_CLOSE_OWED)) return;
    ln_conn_unset(c, LN_CF_CLOSE_OWED | LN_CF_OPENED);
    tell_close(c, c->close_code, ln_slice_of("", 0));
}

/* The CLOSED completion: nobody points here any more. */
void ln_conn_bury(ln_conn *c) {
    ln_env *env = c->env;
    ln_conn_close_owed(c);
    ln_list_remove(&c->turn);
    ln_send_release(c);
    ln_txq_clear(&c->queue, &env->blocks);
    ln_free(c->carry);
    if (c->config) ln_ws_fini(&c->ws, &env->tools);
    ln_tls_free(c->tls);
    ln_stat_add(&env->closes, 1);
    env->on_dead(c);
}

static uint32_t unsent(const ln_conn *c) {
    uint32_t pending = c->inflight ? (uint32_t)ln_sock_pending(&c->sock).size : 0;
    return c->queued - c->inflight_bytes + pending;
}

static uint32_t patience(const ln_conn *c) {
    if (c->state == LN_CONN_CLOSING) return c->config->close_ms;
    return c->config ? c->config->linger_ms : HTTP_STALL_MS;
}

/* Looks again after a while, whether what is still to be sent has moved. */
static void watch_leaving(ln_conn *c) {
    ln_timer_stop(ln_loop_wheel(c->env->loop), &c->timer);
    c->leaving = unsent(c);
    arm_in(c, patience(c));
}

/* It has, and not only by a byte now and then; or it is through, and the peer's time begins. */
static bool leaving_moves(const ln_conn *c) {
    uint32_t left = unsent(c), least = patience(c) / 1000 * LEAVE_RATE;
    if (!c->leaving || left >= c->leaving) return false;
    return c->leaving - left >= least || left == 0;
}

/* Nothing more to say. FIN once all is sent; then the peer has linger_ms to finish too. */
void ln_conn_linger(ln_conn *c) {
    if (c->state >= LN_CONN_LINGERING) return;
    enter(c, LN_CONN_LINGERING);
    free_upper(c);
    ln_conn_set(c, LN_CF_FIN);
    ln_sock_recv_into(c->env->loop, &c->sock, (ln_wslice){ NULL, 0 });
    ln_conn_unset(c, LN_CF_DIRECT);
    ln_free(c->carry);
    c->carry = NULL;
    c->carry_size = 0;
    watch_leaving(c);
    ln_send_dirty(c);
    c->pauses = LN_PAUSE_USER;
    ln_conn_resume(c, LN_PAUSE_USER); /* last: where the peer has finished too, it ends here */
}

/* Called whenever the queue has run empty. */
void ln_conn_flushed(ln_conn *c) {
    if (!ln_conn_is(c, LN_CF_FIN) || ln_conn_is(c, LN_CF_FIN_SENT)) return;
    if (c->tls && ln_conn_is(c, LN_CF_TLS_DONE)) {
        ln_tls_close(c->tls, &c->env->cipher);
        ln_conn_set(c, LN_CF_FIN_SENT);
        ln_send_cipher(c);
        if (c->state == LN_CONN_DEAD || c->inflight) {
            ln_conn_unset(c, LN_CF_FIN_SENT);
            ln_conn_unset(c, LN_CF_TLS_DONE); /* the alert is on its way; next time only the FIN */
            return;
        }
    }
    ln_conn_set(c, LN_CF_FIN_SENT);
    if (ln_conn_is(c, LN_CF_EOF)) {
        ln_conn_drop(c, LINNET_OK);
        return;
    }
    watch_leaving(c); /* only now the peer's time for its own FIN begins */
    /* A client waits for the server to end TCP first (RFC 6455 7.1.1). */
    if (!ln_conn_is(c, LN_CF_CLIENT)) ln_sock_shutdown(c->env->loop, &c->sock);
}

void ln_conn_drained(ln_conn *c) {
    ln_conn_resume(c, LN_PAUSE_QUEUE);
    if (c->state == LN_CONN_WS && c->ops->on_drain) c->ops->on_drain(c);
}

void ln_conn_dialled(ln_conn *c) {
    enter(c, LN_CONN_HTTP);
}

void ln_conn_redial(ln_conn *c) {
    ln_conn_set(c, LN_CF_REDIAL);
    ln_conn_unset(c, LN_CF_DIALED | LN_CF_READING);
    ln_sock_close(c->env->loop, &c->sock, true);
}

void ln_conn_unborn(ln_conn *c) {
    enter(c, LN_CONN_DEAD);
    ln_timer_stop(ln_loop_wheel(c->env->loop), &c->timer);
    if (ln_conn_is(c, LN_CF_REDIAL)) return; /* a CLOSED is on its way */
    ln_conn_set(c, LN_CF_UNBORN);
    ln_send_dirty(c); /* buried at the end of the turn, not under its callers */
}

/* ---- pausing ---------------------------------------------------------------------- */

static void reading(ln_conn *c, bool on) {
    if (on == ln_conn_is(c, LN_CF_READING) || c->state == LN_CONN_DEAD) return;
    if (on) {
        if (ln_sock_recv_start(c->env->loop, &c->sock) < 0) {
            ln_conn_drop(c, LINNET_ERR_SYS);
            return;
        }
        ln_conn_set(c, LN_CF_READING);
    } else {
        ln_sock_recv_pause(c->env->loop, &c->sock);
        ln_conn_unset(c, LN_CF_READING);
    }
}

static void peer_finished(ln_conn *c);

/* Nothing holds the reading up any more; but the peer may have finished meanwhile. */
static void read_on(ln_conn *c) {
    c->heard = ln_conn_now(c); /* silence while we did not listen proves nothing */
    if (c->since) c->since = c->heard;
    if (ln_conn_is(c, LN_CF_EOF))
        peer_finished(c);
    else
        reading(c, true);
}

void ln_conn_pause(ln_conn *c, uint8_t reason) {
    c->pauses |= reason;
    reading(c, false);
}

void ln_conn_resume(ln_conn *c, uint8_t reason) {
    c->pauses = (uint8_t)(c->pauses & ~reason);
    if (c->state == LN_CONN_DEAD) return;
    if (c->carry_size && !(c->pauses & (uint8_t)~LN_PAUSE_CARRY)) {
        if (!ln_conn_is(c, LN_CF_DIRTY) && !ln_list_linked(&c->turn))
            ln_list_push(&c->env->ready, &c->turn);
        return;
    }
    if (!c->pauses) read_on(c);
}

/* ---- input ------------------------------------------------------------------------ */

static void keep_at(ln_conn *c, size_t at, ln_slice data) {
    if (!data.size || c->state == LN_CONN_DEAD) return;
    uint8_t *more = ln_realloc(c->carry, c->carry_size + data.size);
    if (!more) {
        ln_conn_fail(c, LINNET_ERR_NOMEM);
        return;
    }
    if (at < c->carry_size) memmove(more + at + data.size, more + at, c->carry_size - at);
    memcpy(more + at, data.data, data.size);
    c->carry = more;
    c->carry_size += (uint32_t)data.size;
    ln_conn_pause(c, LN_PAUSE_CARRY);
    if (!(c->pauses & (uint8_t)~LN_PAUSE_CARRY) && !ln_conn_is(c, LN_CF_DIRTY) &&
        !ln_list_linked(&c->turn))
        ln_list_push(&c->env->ready, &c->turn);
}

void ln_conn_keep(ln_conn *c, ln_slice data) {
    keep_at(c, c->carry_size, data);
}

void ln_conn_unread(ln_conn *c, ln_slice data) {
    keep_at(c, 0, data);
}

/* Leaky bucket over Pings, Pongs and Closes: a rate sustained for five seconds is a flood. */
static bool flooding(ln_conn *c) {
    uint32_t rate = c->config->control_per_s, now = ln_conn_now(c);
    if (!rate) return false;
    uint64_t leaked = (uint64_t)(now - c->flood_at) * rate / 1000;
    if (leaked) {
        c->flood = leaked >= c->flood ? 0 : (uint16_t)(c->flood - leaked);
        c->flood_at = now;
    }
    uint32_t full = rate * FLOOD_SECONDS;
    if (c->flood >= full || c->flood == UINT16_MAX) return true;
    c->flood++;
    return false;
}

static uint32_t hash_of(ln_slice s) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.size; i++)
        h = (h ^ s.data[i]) * 16777619u;
    return h ? h : 1;
}

static int send_control(ln_conn *c, uint8_t opcode, ln_slice payload) {
    ln_env *env = c->env;
    ln_buf_clear(&env->encoded);
    int err = ln_ws_control(&c->ws, &env->tools, opcode, payload, &env->encoded);
    if (err == LINNET_OK) err = ln_send_wire(c, ln_buf_slice(&env->encoded));
    ln_buf_clear(&env->encoded);
    return err;
}

static void on_pong(ln_conn *c, ln_slice payload) {
    uint32_t rtt = UINT32_MAX;
    if (c->ping_hash && hash_of(payload) == c->ping_hash) {
        rtt = ln_conn_now(c) - c->pinged;
        c->ping_hash = 0;
        ln_hist_add(&c->env->rtt, (uint64_t)rtt * 1000);
    }
    if (c->ops->on_pong) c->ops->on_pong(c, payload, rtt);
}

typedef int close_fn(ln_ws *, ln_ws_tools *, uint16_t, ln_slice, ln_buf *);

/* The Close frame of ours, once. */
static int put_close_by(close_fn *encode, ln_conn *c, uint16_t code, ln_slice reason) {
    ln_env *env = c->env;
    ln_send_settle(c);
    if (c->state == LN_CONN_DEAD) return LINNET_ERR_CLOSED;
    ln_buf_clear(&env->encoded);
    int err = encode(&c->ws, &env->tools, code, reason, &env->encoded);
    if (err == LINNET_OK) {
        ln_conn_set(c, LN_CF_SENT_CLOSE);
        err = ln_send_wire(c, ln_buf_slice(&env->encoded));
    }
    ln_buf_clear(&env->encoded);
    return err;
}

static int put_close(ln_conn *c, uint16_t code, ln_slice reason) {
    return put_close_by(ln_ws_close, c, code, reason);
}

static void peer_closed(ln_conn *c, const ln_ws_event *ev) {
    if (!ln_conn_is(c, LN_CF_SENT_CLOSE)) put_close(c, ev->code, ln_slice_of("", 0));
    if (c->state == LN_CONN_DEAD) return;
    bool tell = ln_conn_is(c, LN_CF_OPENED) && !ln_conn_is(c, LN_CF_CLOSE_OWED);
    if (tell) ln_conn_unset(c, LN_CF_OPENED); /* before the end, which would tell of a 1006 */
    ln_conn_linger(c);
    if (!tell) return;
    tell_close(c, ev->code, ln_slice_of(ev->data.data, ev->data.size));
}

static void deliver(ln_conn *c, const ln_ws_event *ev) {
    ln_env *env = c->env;
    ln_slice data = ln_slice_of(ev->data.data, ev->data.size);
    if (ev->kind == LN_WS_CLOSE) {
        peer_closed(c, ev);
        return;
    }
    if (c->state != LN_CONN_WS && !(c->state == LN_CONN_CLOSING && c->ws.hearing)) return;
    if (ev->kind == LN_WS_MESSAGE) {
        ln_stat_add(&env->messages_in, 1);
        c->last_message = c->heard;
        env->current = ev->headroom ? ev->data.data : NULL;
        env->current_size = ev->data.size;
        env->event = ev;
        env->current_text = ev->opcode == LN_OP_TEXT;
        if (c->ops->on_message) c->ops->on_message(c, ev->opcode, ev->data);
        env->current = NULL;
        env->event = NULL;
    } else if (flooding(c)) {
        ln_conn_fail(c, LINNET_ERR_FLOOD);
    } else if (ev->kind == LN_WS_PING) {
        send_control(c, LN_OP_PONG, data);
        if (c->state == LN_CONN_WS && c->ops->on_ping) c->ops->on_ping(c, data);
    } else {
        on_pong(c, data);
    }
}

/* Where the payload of a large frame under way is received without a copy. */
static void aim(ln_conn *c) {
    ln_wslice room = { NULL, 0 };
    if (!c->tls && c->state == LN_CONN_WS) room = ln_ws_room(&c->ws, LN_RECV_LARGE);
    if (!room.size && !ln_conn_is(c, LN_CF_DIRECT)) return;
    ln_sock_recv_into(c->env->loop, &c->sock, room);
    if (room.size)
        ln_conn_set(c, LN_CF_DIRECT);
    else
        ln_conn_unset(c, LN_CF_DIRECT);
}

static bool mid_message(const ln_conn *c) {
    return c->ws.in_frame || c->ws.fragments || c->ws.head_size;
}

static void ws_input(ln_conn *c, ln_wslice data) {
    ln_ws_event ev;
    int r = LN_MORE;
    unsigned budget = MESSAGES_PER_TURN;
    bool corked = ln_send_cork(c), whole = false;
    for (;;) {
        if (c->state == LN_CONN_DEAD || c->state == LN_CONN_LINGERING) break;
        if (c->pauses || !budget--) {
            ln_conn_keep(c, ln_slice_of(data.data, data.size));
            break;
        }
        r = ln_ws_next(&c->ws, &c->env->tools, &data, &ev);
        if (r != LN_DONE) break;
        whole = whole || ev.kind == LN_WS_MESSAGE;
        deliver(c, &ev);
    }
    if (r < 0 && c->state != LN_CONN_DEAD) ln_conn_fail(c, r);
    if (c->state == LN_CONN_WS || c->state == LN_CONN_CLOSING) {
        aim(c);
        if (!mid_message(c))
            c->since = 0;
        else if (!c->since || whole) /* the one under way began in this input */
            c->since = c->heard;
    }
    if (corked) ln_send_uncork(c);
}

void ln_conn_input(ln_conn *c, ln_wslice data) {
    if (c->carry_size) {
        ln_conn_keep(c, ln_slice_of(data.data, data.size));
        return;
    }
    switch (c->state) {
    case LN_CONN_HTTP:
        if (c->pauses & LN_PAUSE_WAIT)
            ln_conn_keep(c, ln_slice_of(data.data, data.size));
        else if (ln_conn_is(c, LN_CF_CLIENT))
            ln_dial_input(c, data);
        else
            ln_exchange_input(c, data);
        return;
    case LN_CONN_WS:
    case LN_CONN_CLOSING: ws_input(c, data); return;
    default: return; /* LINGERING discards, DEAD is dead */
    }
}

void ln_env_ready(ln_env *env) {
    ln_list now;
    ln_list_init(&now);
    ln_list_splice(&now, &env->ready);
    for (ln_list *node; (node = ln_list_pop(&now));) {
        ln_conn *c = ln_list_item(node, ln_conn, turn);
        uint8_t *carry = c->carry;
        ln_wslice data = { carry, c->carry_size };
        if (!carry || (c->pauses & (uint8_t)~LN_PAUSE_CARRY)) continue;
        c->carry = NULL;
        c->carry_size = 0;
        c->pauses = (uint8_t)(c->pauses & ~LN_PAUSE_CARRY);
        ln_conn_input(c, data);
        ln_free(carry);
        if (!c->pauses && !c->carry_size && c->state != LN_CONN_DEAD) read_on(c);
    }
}

/* ---- TLS -------------------------------------------------------------------------- */

static bool tls_handshake(ln_conn *c, ln_slice *in) {
    if (ln_conn_is(c, LN_CF_TLS_DONE)) return true;
    int r = ln_tls_handshake(c->tls, in, &c->env->cipher);
    ln_send_cipher(c);
    if (c->state == LN_CONN_DEAD) return false;
    if (r < 0) {
        ln_conn_drop(c, r);
        return false;
    }
    if (r == LN_MORE) return false;
    ln_conn_set(c, LN_CF_TLS_DONE);
    if (c->state == LN_CONN_DIALING) {
        enter(c, LN_CONN_HTTP);
        ln_dial_tls_done(c);
    }
    return c->state != LN_CONN_DEAD;
}

static void tls_input(ln_conn *c, ln_slice in) {
    if (!tls_handshake(c, &in)) return;
    while (c->state != LN_CONN_DEAD) {
        ln_wslice room = { c->env->plain.data + LN_RECV_HEADROOM, PLAIN_SIZE };
        int n = ln_tls_read(c->tls, &in, room, &c->env->cipher);
        if (c->env->cipher.size) ln_send_cipher(c);
        if (n > 0) {
            ln_conn_input(c, (ln_wslice){ room.data, (size_t)n });
            continue;
        }
        if (n == LINNET_ERR_CLOSED)
            peer_finished(c);
        else if (n < 0)
            ln_conn_drop(c, n);
        return;
    }
}

/* ---- completions ------------------------------------------------------------------- */

/* FIN, or a close_notify. Half a connection is no use to a WebSocket: it counts as the end. */
static void peer_finished(ln_conn *c) {
    ln_conn_set(c, LN_CF_EOF);
    if (c->carry_size && c->state != LN_CONN_LINGERING) return; /* first what came before it */
    bool asked = c->state == LN_CONN_HTTP && !ln_conn_is(c, LN_CF_CLIENT) && c->http &&
                 c->http->state >= LN_EXCHANGE_WORK;
    if (asked && c->http->endless && c->http->state == LN_EXCHANGE_STREAM) {
        ln_conn_drop(c, LINNET_ERR_RESET);
        return;
    }
    if (asked) {
        reading(c, false); /* it asked, said FIN, and waits for the answer: HTTP allows that */
        c->http->close_after = true;
        return;
    }
    if (c->state == LN_CONN_LINGERING && !ln_send_idle(c)) {
        reading(c, false);
        return;
    }
    if (c->state == LN_CONN_HTTP && !ln_conn_is(c, LN_CF_CLIENT) && !ln_send_idle(c))
        ln_conn_linger(c); /* the answers it still waits for */
    else
        ln_conn_drop(c, LINNET_ERR_RESET);
}

/* Whoever goes on with a head that was refused would have us read without end. A body is another
 * matter: many a client reads no answer before it has sent all of it. */
static void discard(ln_conn *c, uint32_t size) {
    if (!ln_conn_is(c, LN_CF_DEAF)) return;
    c->discarded += size;
    if (c->discarded <= DEAF_BYTES) return;
    reading(c, false);
    arm_in(c, DEAF_MS);
}

static void on_recv(ln_conn *c, const ln_completion *completion) {
    if (completion->result < 0) {
        ln_conn_drop(c, completion->result);
        return;
    }
    if (completion->result == 0) {
        peer_finished(c);
        return;
    }
    ln_wslice data = completion->data;
    ln_stat_add(&c->env->bytes_in, (uint64_t)completion->result);
    c->heard = ln_conn_now(c);
    if (c->state == LN_CONN_LINGERING) {
        discard(c, (uint32_t)completion->result);
        return;
    }
    if (ln_conn_is(c, LN_CF_PROXIED) && !ln_conn_unproxy(c, &data)) return;
    if (c->tls) {
        tls_input(c, ln_slice_of(data.data, data.size));
    } else if (ln_conn_is(c, LN_CF_DIRECT)) {
        ln_ws_received(&c->ws, data.size);
        ws_input(c, (ln_wslice){ NULL, 0 });
    } else {
        ln_conn_input(c, data);
    }
}

void ln_conn_complete(ln_conn *c, const ln_completion *completion) {
    if (completion->kind == LN_C_CLOSED && ln_conn_is(c, LN_CF_REDIAL) &&
        c->state != LN_CONN_DEAD) {
        ln_conn_unset(c, LN_CF_REDIAL);
        ln_dial_again(c);
    } else if (completion->kind == LN_C_CLOSED) {
        ln_conn_bury(c);
    } else if (completion->kind == LN_C_SENT) {
        ln_send_done(c, completion->result);
    } else if (c->state == LN_CONN_DEAD) {
        return;
    } else if (completion->kind == LN_C_CONNECT) {
        ln_dial_complete(c, completion);
    } else if (completion->kind == LN_C_RECV) {
        on_recv(c, completion);
    }
}

/* ---- time ------------------------------------------------------------------------- */

/* Milliseconds until `after` ms have passed since `since`; 0 when they have. */
static uint32_t due_in(uint32_t now, uint32_t since, uint32_t after) {
    uint32_t gone = now - since;
    return gone >= after ? 0 : after - gone;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static void ping_now(ln_conn *c, uint32_t now) {
    uint8_t payload[4];
    memcpy(payload, &now, 4);
    ln_conn_ping(c, ln_slice_of(payload, 4));
}

/* We were held up ourselves (stopped, or starved of the processor). What came meanwhile is still in
 * the kernel, so nobody is judged by that time: who says nothing from now on will be. */
static bool held_up(ln_conn *c, uint32_t now) {
    const ln_conn_config *f = c->config;
    if (ln_loop_now(c->env->loop) - c->timer.due < HELD_UP_MS) return false;
    if (f->ping_ms && !c->pauses) ping_now(c, now);
    if (c->state == LN_CONN_WS) arm_in(c, f->pong_ms > HELD_UP_MS ? f->pong_ms : HELD_UP_MS);
    return true;
}

/* A ping after silence in either direction; death after more silence inbound. Returns the next
 * moment to look, in ms; UINT32_MAX: never. */
static uint32_t liveness(ln_conn *c, uint32_t now) {
    const ln_conn_config *f = c->config;
    if (!f->ping_ms || c->pauses) return f->ping_ms ? f->ping_ms : UINT32_MAX;
    if (!due_in(now, c->heard, f->ping_ms + f->pong_ms)) {
        ln_conn_set(c, LN_CF_ABORT);
        ln_conn_drop(c, LINNET_ERR_PONG_TIMEOUT);
        return UINT32_MAX;
    }
    uint32_t silent = least(due_in(now, c->heard, f->ping_ms), due_in(now, c->spoke, f->ping_ms));
    if (!silent && due_in(now, c->pinged, f->ping_ms) == 0) ping_now(c, now);
    return least(silent ? silent : f->ping_ms, due_in(now, c->heard, f->ping_ms + f->pong_ms));
}

/* Everything that can be overdue on an open connection. */
static void ws_timer(ln_conn *c) {
    const ln_conn_config *f = c->config;
    uint32_t now = ln_conn_now(c), next = UINT32_MAX, left;
    if (held_up(c, now)) return;
    if (c->waiting && f->queued_age_ms) {
        uint32_t oldest = c->waiting;
        if (!(left = due_in(now, oldest, f->queued_age_ms))) {
            ln_conn_fail(c, LINNET_ERR_SLOW);
            return;
        }
        next = least(next, left);
    }
    if (c->since && f->message_ms && !c->pauses) {
        if (!(left = due_in(now, c->since, f->message_ms))) {
            ln_conn_fail(c, LINNET_ERR_MESSAGE_TIMEOUT);
            return;
        }
        next = least(next, left);
    } else if (f->message_ms) {
        next = least(next, f->message_ms);
    }
    if (f->idle_ms) {
        if (!(left = due_in(now, c->last_message, f->idle_ms))) {
            ln_conn_close(c, 1000, LN_SLICE("idle"));
            return;
        }
        next = least(next, left);
    }
    next = least(next, liveness(c, now));
    if (c->state == LN_CONN_WS && next != UINT32_MAX) arm_in(c, next ? next : 1);
}

void ln_conn_timer(ln_conn *c) {
    switch (c->state) {
    case LN_CONN_DIALING: ln_dial_timer(c); return;
    case LN_CONN_HTTP:
        if (ln_conn_is(c, LN_CF_CLIENT))
            ln_dial_timer(c);
        else
            ln_exchange_timer(c);
        return;
    case LN_CONN_WS: ws_timer(c); return;
    case LN_CONN_CLOSING:
    case LN_CONN_LINGERING:
        if (!ln_conn_is(c, LN_CF_FIN_SENT) && leaving_moves(c)) {
            watch_leaving(c);
            return;
        }
        ln_conn_set(c, LN_CF_ABORT);
        ln_conn_drop(c, c->state == LN_CONN_CLOSING ? LINNET_ERR_TIMEOUT : LINNET_OK);
        return;
    default: return;
    }
}

/* ---- everybody's ------------------------------------------------------------------- */

int ln_conn_open_ws(ln_conn *c, const ln_conn_config *config, const ln_conn_ops *ops, void *owner,
    const ln_pmd_params *params) {
    int err = ln_ws_init(&c->ws, &config->ws, params, &c->env->tools);
    if (err < 0) return err;
    c->config = config;
    c->ops = ops;
    c->owner = owner;
    c->http = NULL;
    enter(c, LN_CONN_WS);
    ln_conn_set(c, LN_CF_OPENED);
    ln_stat_add(&c->env->opens, 1);
    c->heard = c->spoke = c->last_message = c->flood_at = ln_conn_now(c);
    ln_timer_stop(ln_loop_wheel(c->env->loop), &c->timer);
    uint32_t first = UINT32_MAX;
    if (config->ping_ms) first = config->ping_ms;
    if (config->message_ms) first = least(first, config->message_ms);
    if (config->idle_ms) first = least(first, config->idle_ms);
    if (first != UINT32_MAX) arm_in(c, first);
    if (ops->on_open) ops->on_open(c);
    return LINNET_OK;
}

int ln_conn_ping(ln_conn *c, ln_slice payload) {
    if (c->state != LN_CONN_WS) return LINNET_ERR_CLOSED;
    int err = send_control(c, LN_OP_PING, payload);
    if (err < 0) return err;
    c->pinged = ln_conn_now(c);
    c->ping_hash = hash_of(payload);
    return LINNET_OK;
}

static int begin_close(ln_conn *c, close_fn *encode, uint16_t code, ln_slice reason) {
    if (code && code != 1005 && !ln_ws_code_valid(code)) return LINNET_ERR_INVAL;
    if (c->state == LN_CONN_HTTP && !ln_conn_is(c, LN_CF_CLIENT)) {
        ln_conn_linger(c);
        return LINNET_OK;
    }
    if (c->state < LN_CONN_WS) {
        ln_conn_drop(c, LINNET_ERR_CANCELLED);
        return LINNET_OK;
    }
    if (c->state != LN_CONN_WS) return LINNET_OK;
    uint32_t before = unsent(c);
    int err = put_close_by(encode, c, code, reason);
    if (err == LINNET_ERR_INVAL) return err;
    if (c->state == LN_CONN_DEAD) return LINNET_OK;
    ln_conn_set(c, LN_CF_OURS);
    if (err < 0) {
        ln_conn_drop(c, err);
        return LINNET_OK;
    }
    enter(c, LN_CONN_CLOSING);
    watch_leaving(c);
    c->leaving = before; /* what stands before our Close is still sent, while it is read */
    ln_conn_resume(c, (uint8_t)~LN_PAUSE_CARRY); /* for the peer's Close */
    return LINNET_OK;
}

int ln_conn_close(ln_conn *c, uint16_t code, ln_slice reason) {
    return begin_close(c, ln_ws_close, code, reason);
}

int ln_conn_finish(ln_conn *c, uint16_t code, ln_slice reason) {
    return begin_close(c, ln_ws_finish, code, reason);
}

void ln_conn_log_refusal(ln_conn *c, const char *group, const char *reason, unsigned code) {
    ln_log *log = c->env->log;
    char peer[64] = "";
    ln_addr a;
    if (c->env->on_refused) c->env->on_refused(c, group, reason, code);
    if (!ln_log_wants(log, LINNET_LOG_INFO)) return;
    if (c->env->name_peer)
        c->env->name_peer(c, peer);
    else if (ln_sock_peer(&c->sock, &a) == LINNET_OK)
        ln_addr_text(&a, peer);
    ln_logf(log, ln_loop_now(c->env->loop), LINNET_LOG_INFO,
        "{\"event\":\"refused\",\"reason\":\"%s%s\",\"code\":%u,\"peer\":\"%s\",\"worker\":%u,"
        "\"conn\":\"%02x%06x%08x\"}",
        group, reason, code, peer, c->env->worker, c->env->worker, c->slot, c->generation);
}

void ln_conn_fail(ln_conn *c, int err) {
    if (c->state >= LN_CONN_LINGERING) return;
    unsigned row = (unsigned)-err;
    if (row < 64) ln_stat_add(&c->env->rejects[row], 1);
    ln_conn_log_refusal(c, "", linnet_errname(err), ln_err_close_code(err));
    if (c->state < LN_CONN_WS) {
        ln_conn_drop(c, err);
        return;
    }
    uint16_t code = err == LINNET_ERR_SLOW ? c->config->slow_code : ln_err_close_code(err);
    if (err == LINNET_ERR_SLOW) ln_send_forget(c); /* it will not read all that; only the Close */
    if (!ln_conn_is(c, LN_CF_SENT_CLOSE)) put_close(c, code, ln_slice_str(linnet_strerror(err)));
    if (c->state == LN_CONN_DEAD) return;
    if (c->state < LN_CONN_CLOSING) ln_conn_set(c, LN_CF_OURS);
    if (ln_conn_is(c, LN_CF_OPENED) && !ln_conn_is(c, LN_CF_CLOSE_OWED)) {
        c->close_code = 1006;
        c->close_err = (uint8_t)row;
        ln_conn_set(c, LN_CF_CLOSE_OWED);
    }
    ln_conn_linger(c);
}

bool ln_conn_ours(const ln_conn *c) {
    return ln_conn_is(c, LN_CF_OURS);
}

bool ln_conn_traffic(const ln_conn *c, uint64_t *in, uint64_t *out) {
    return c->state != LN_CONN_DEAD && ln_sock_traffic(&c->sock, in, out);
}

void ln_conn_terminate(ln_conn *c) {
    ln_conn_set(c, LN_CF_ABORT | LN_CF_OURS);
    ln_conn_drop(c, LINNET_ERR_CANCELLED);
}
