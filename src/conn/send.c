/* send.c -- the way down: cork, queue, flush.
 *
 * While a connection's own input is handled, what it sends goes into the worker's one cork, which
 * is always warm, and leaves in one send right behind the input: the cheapest echo there is.
 * Everything else waits as renderings until the end of the turn: the cheapest fan-out there is.
 *
 *     cork (only for env->cork_owner, only while its queue is empty)
 *       \
 *        +--> ln_sock_send --- not all taken ---> inflight (a copy of the rest, or the rendering
 * itself)
 *       /
 *     queue: first, then blocks
 *
 * The order on the wire is the order of the calls: the cork is emptied into the queue before
 * anything else is queued behind it.
 */
#include "base/mem.h"
#include "conn/inner.h"

#define FLUSH_ROUNDS 8
#define LARGE        (8u * 1024)  /* a message sent from where it lies rather than copied */
#define GATHER       (64u * 1024) /* at most this much ahead of the socket */
#define BULK         (128u * 1024)
#define BULK_LOWAT   (4096u * 1024)
#define HTTP_HIGH    (256u * 1024) /* marks of a connection that has no route's yet */
#define HTTP_LOW     (64u * 1024)

void ln_send_dirty(ln_conn *c) {
    if (ln_conn_is(c, LN_CF_DIRTY)) return;
    ln_conn_set(c, LN_CF_DIRTY);
    ln_list_remove(&c->turn);
    ln_list_push(&c->env->dirty, &c->turn);
}

bool ln_send_idle(const ln_conn *c) {
    return !c->inflight && !c->queue.first && !(c->env->cork_owner == c && c->env->corked);
}

/* All changes of c->queued: the worker keeps the sum of them. */
void ln_send_more(ln_conn *c, uint32_t bytes) {
    c->queued += bytes;
    ln_stat_add(&c->env->queued, bytes);
}

void ln_send_less(ln_conn *c, uint32_t bytes) {
    if (bytes > c->queued) bytes = c->queued;
    c->queued -= bytes;
    ln_stat_sub(&c->env->queued, bytes);
}

void ln_send_forget(ln_conn *c) {
    if (c->env->cork_owner == c) c->env->corked = 0;
    ln_txq_clear(&c->queue, &c->env->blocks);
    if (c->queued > c->inflight_bytes) ln_send_less(c, c->queued - c->inflight_bytes);
}

/* Nothing can be sent any more; the reading side finds the end of the stream too. */
static void broken(ln_conn *c, int err) {
    ln_send_forget(c);
    ln_conn_drop(c, err);
}

/* Above the high mark the peer's own requests wait, until what they caused has left. */
static void mark_high(ln_conn *c) {
    uint32_t high = c->config ? c->config->high : HTTP_HIGH;
    if (c->queued <= high || ln_conn_is(c, LN_CF_HIGH)) return;
    ln_conn_set(c, LN_CF_HIGH);
    ln_conn_pause(c, LN_PAUSE_QUEUE);
}

/* What is in flight is done with. */
static void release(ln_conn *c, ln_rendering *r) {
    if (r->flags & LN_RENDERING_LENT) {
        ln_buf lent;
        memcpy(&lent, r->bytes, sizeof lent);
        ln_ws_give(&c->env->tools, &lent);
        r->flags = 0;
    }
    ln_rendering_unref(r);
}

void ln_send_release(ln_conn *c) {
    ln_send_less(c, c->queued);
    if (!c->inflight) return;
    release(c, c->inflight);
    c->inflight = NULL;
    ln_stat_sub(&c->env->stalled, 1);
}

/* Keeps alive what the kernel did not take: the message buffer itself if the bytes lie there,
 * because a copy of a large message costs more than all the rest of it; else a copy. */
static ln_rendering *hold(ln_conn *c, ln_slice rest) {
    ln_buf lent;
    ln_env *env = c->env;
    bool whole = env->event && env->current && rest.data >= env->current &&
                 rest.data < env->current + env->current_size;
    ln_rendering *r = NULL;
    if (whole && (r = ln_rendering_new(0, sizeof lent)) && ln_ws_take(&c->ws, env->event, &lent)) {
        memcpy(r->bytes, &lent, sizeof lent);
        r->flags = LN_RENDERING_LENT;
        return r;
    }
    if (r) ln_rendering_unref(r);
    r = ln_rendering_of(0, rest);
    if (r) ln_sock_pending_moved(&c->sock, ln_rendering_payload(r));
    return r;
}

/* The kernel keeps little unsent, so that what waits stays in our queue, where policy can act (row
 * 74). But no policy can act on a message that has begun to leave: a large one would crawl through
 * that gap one wake-up after the other, and lie in our memory instead of the kernel's. So behind
 * such a one the gap is wide, until the next small message. */
static void widen(ln_conn *c) {
    bool narrow = c->env->unsent && !ln_conn_is(c, LN_CF_WIDE | LN_CF_CLIENT);
    if (!narrow || ln_sock_pending(&c->sock).size < BULK) return;
    ln_conn_set(c, LN_CF_WIDE);
    ln_sock_tune(&c->sock, BULK_LOWAT, 0);
}

static void narrow(ln_conn *c) {
    ln_conn_unset(c, LN_CF_WIDE);
    ln_sock_tune(&c->sock, c->env->unsent, 0);
}

/* What is in flight has waited since then, and may not wait for ever. */
static void wait_since(ln_conn *c, uint32_t at) {
    c->waiting = at;
    if (!c->config || !c->config->queued_age_ms) return;
    uint32_t waited = ln_conn_now(c) - at;
    ln_conn_arm(c, ln_loop_now(c->env->loop) - waited + c->config->queued_age_ms);
}

/* Gives bytes to the sock. `keep`, when given, is a reference that holds them alive and is taken;
 * without it what the kernel does not take now is copied. */
static void give(ln_conn *c, ln_slice bytes, ln_rendering *keep) {
    ln_env *env = c->env;
    if (ln_conn_is(c, LN_CF_WIDE) && bytes.size < BULK) narrow(c);
    ln_stat_add(&env->sends, 1);
    ln_stat_add(&env->bytes_out, bytes.size);
    int r = ln_sock_send(env->loop, &c->sock, bytes);
    c->spoke = ln_conn_now(c);
    if (r == LN_PENDING && !keep) {
        keep = hold(c, ln_sock_pending(&c->sock));
        if (!keep) {
            broken(c, LINNET_ERR_NOMEM);
            return;
        }
    }
    if (r == LN_PENDING) {
        widen(c);
        c->inflight = keep;
        ln_stat_add(&env->stalled, 1);
        c->inflight_bytes = (uint32_t)ln_sock_pending(&c->sock).size;
        ln_rendering_charge(keep, &env->held, c->inflight_bytes);
        ln_send_more(c, c->inflight_bytes);
        wait_since(c, c->spoke);
        mark_high(c);
        return;
    }
    if (keep) ln_rendering_unref(keep);
    if (r < 0) broken(c, r);
}

/* Through TLS if there is some. */
static void give_plain(ln_conn *c, ln_slice bytes, ln_rendering *keep) {
    if (!c->tls) {
        give(c, bytes, keep);
        return;
    }
    ln_buf *out = &c->env->cipher;
    ln_buf_clear(out);
    int err = ln_tls_write(c->tls, bytes, out);
    if (keep) ln_rendering_unref(keep);
    if (err < 0)
        broken(c, err);
    else
        give(c, ln_buf_slice(out), NULL);
    ln_buf_clear(out);
}

void ln_send_cipher(ln_conn *c) {
    ln_buf *out = &c->env->cipher;
    if (!out->size) return;
    if (c->inflight) {
        /* Records are numbered: these must leave before anything encrypted later, so they
         * chain behind what is in flight (private copies, under TLS), not behind the queue. */
        ln_rendering *r = ln_rendering_of(0, ln_buf_slice(out)), *last = c->inflight;
        ln_buf_clear(out);
        while (last->twins)
            last = last->twins;
        last->twins = r;
        if (r)
            ln_rendering_charge(r, &c->env->held, r->size);
        else
            broken(c, LINNET_ERR_NOMEM);
        return;
    }
    give(c, ln_buf_slice(out), NULL);
    ln_buf_clear(out);
}

/* ---- queueing --------------------------------------------------------------------- */

/* Bookkeeping of what waits. LINNET_ERR_SLOW ends the connection; one message alone is always
 * taken, or limits on messages and queues would contradict each other, and so is our Close, with
 * what stands before it in the cork. */
static bool over(const ln_conn *c, size_t bytes) {
    const ln_conn_config *f = c->config;
    return f && c->queued && c->queued + bytes > f->queued_max && !ln_conn_is(c, LN_CF_SENT_CLOSE);
}

static int account(ln_conn *c, size_t bytes) {
    if (over(c, bytes)) {
        ln_send_shed(c); /* the volatile go first */
        if (c->state == LN_CONN_WS && over(c, bytes)) ln_conn_fail(c, LINNET_ERR_SLOW);
        if (c->state != LN_CONN_WS || over(c, bytes)) return LINNET_ERR_SLOW;
    }
    ln_send_more(c, (uint32_t)bytes);
    mark_high(c);
    return LINNET_OK;
}

/* Takes the reference, also on failure. */
static int enqueue(ln_conn *c, ln_rendering *r) {
    if (!r) return LINNET_ERR_NOMEM;
    size_t bytes = (size_t)r->size + r->head;
    if ((r->flags & LN_RENDERING_SPARE) && over(c, bytes)) {
        ln_stat_add(&c->env->spared, 1);
        ln_rendering_unref(r);
        return LINNET_OK;
    }
    int err = account(c, bytes);
    if (err == LINNET_OK) {
        ln_rendering_charge(r, &c->env->held, bytes);
        err = ln_txq_push(&c->queue, &c->env->blocks, r, ln_conn_now(c));
        if (err < 0) ln_send_less(c, (uint32_t)bytes);
    }
    if (err < 0)
        ln_rendering_unref(r);
    else
        ln_send_dirty(c);
    return err;
}

/* What lies in the cork goes to the queue, because something is to stand behind it or it must wait.
 * It was promised with LINNET_OK, so without memory for it the connection ends. */
static int cork_to_queue(ln_conn *c) {
    ln_env *env = c->env;
    if (env->cork_owner != c || !env->corked) return LINNET_OK;
    ln_slice bytes = ln_slice_of(env->cork, env->corked);
    env->corked = 0;
    int err = enqueue(c, ln_rendering_of(0, bytes));
    if (err == LINNET_ERR_NOMEM) broken(c, err);
    return err;
}

static bool corkable(const ln_conn *c) {
    return c->env->cork_owner == c && !c->queue.first && !c->inflight;
}

static void cork_out(ln_conn *c) {
    ln_env *env = c->env;
    if (!env->corked) return;
    ln_slice bytes = ln_slice_of(env->cork, env->corked);
    env->corked = 0;
    give_plain(c, bytes, NULL);
}

bool ln_send_cork(ln_conn *c) {
    if (c->env->cork_owner) return false;
    c->env->cork_owner = c;
    c->env->corked = 0;
    return true;
}

void ln_send_uncork(ln_conn *c) {
    ln_env *env = c->env;
    if (env->corked && c->state != LN_CONN_DEAD) {
        if (ln_conn_is(c, LN_CF_BATCH) || !corkable(c)) {
            cork_to_queue(c);
        } else {
            cork_out(c);
        }
    }
    env->corked = 0;
    env->cork_owner = NULL;
    if (ln_conn_is(c, LN_CF_FIN)) ln_send_dirty(c);
}

/* Room of n bytes at the end of the cork, or NULL when this is not a matter for the cork. */
static uint8_t *cork_room(ln_conn *c, size_t n) {
    ln_env *env = c->env;
    if (!corkable(c) || n > LN_CORK_SIZE) return NULL;
    if (env->corked + n > LN_CORK_SIZE) {
        if (ln_conn_is(c, LN_CF_BATCH)) return NULL;
        cork_out(c);
        if (!corkable(c) || c->state == LN_CONN_DEAD) return NULL;
    }
    uint8_t *at = env->cork + env->corked;
    env->corked += (uint32_t)n;
    return at;
}

int ln_send_wire(ln_conn *c, ln_slice bytes) {
    if (c->state == LN_CONN_DEAD || ln_conn_is(c, LN_CF_FIN)) return LINNET_ERR_CLOSED;
    uint8_t *at = cork_room(c, bytes.size);
    if (at) {
        memcpy(at, bytes.data, bytes.size);
        return LINNET_OK;
    }
    if (c->state == LN_CONN_DEAD) return LINNET_ERR_CLOSED;
    int err = cork_to_queue(c);
    return err < 0 ? err : enqueue(c, ln_rendering_of(0, bytes));
}

int ln_conn_send_raw(ln_conn *c, ln_slice bytes) {
    return ln_send_wire(c, bytes);
}

/* ---- messages --------------------------------------------------------------------- */

/* Straight from where the payload lies: its own old header makes room for the new one. True when
 * done. */
static bool send_in_place(ln_conn *c, uint8_t opcode, ln_slice payload) {
    ln_env *env = c->env;
    if (payload.size < LARGE || payload.data != env->current || c->tls || !corkable(c) ||
        ln_conn_is(c, LN_CF_BATCH))
        return false;
    cork_out(c);
    if (!corkable(c) || c->state == LN_CONN_DEAD) return false;
    uint8_t head[LN_FRAME_HEAD_MAX];
    ln_frame f = { .length = payload.size, .opcode = opcode, .fin = true };
    size_t n = ln_frame_encode(&f, head);
    uint8_t *start = (uint8_t *)(uintptr_t)payload.data -
                     n; /* writable: it is our receive memory */
    memcpy(start, head, n);
    give(c, ln_slice_of(start, n + payload.size), NULL);
    return true;
}

static ln_rendering *rendering_of(uint8_t opcode, ln_slice payload, uint8_t flags) {
    ln_rendering *r = ln_rendering_of(opcode, payload);
    if (r) r->flags |= flags;
    return r;
}

static int send_plain_frame(ln_conn *c, uint8_t opcode, ln_slice payload, uint8_t flags) {
    if (send_in_place(c, opcode, payload)) return LINNET_OK;
    if (c->state == LN_CONN_DEAD) return LINNET_ERR_CLOSED;
    size_t head = ln_frame_head_size(payload.size, false);
    uint8_t *at = cork_room(c, head + payload.size);
    if (at) {
        ln_frame f = { .length = payload.size, .opcode = opcode, .fin = true };
        ln_frame_encode(&f, at); /* writes no more than it must */
        if (payload.size) memcpy(at + head, payload.data, payload.size);
        return LINNET_OK;
    }
    if (c->state == LN_CONN_DEAD) return LINNET_ERR_CLOSED;
    int err = cork_to_queue(c);
    if (err < 0) return err;
    return enqueue(c, rendering_of(opcode, payload, flags));
}

/* Encoded by the ws machine: clients mask, some connections compress. With a compression window the
 * order of compressing must be the order on the wire, so behind queued messages this one is queued
 * in clear. */
static int send_encoded(
    ln_conn *c, uint8_t opcode, ln_slice payload, bool compress, uint8_t flags) {
    ln_env *env = c->env;
    bool takeover = compress && ln_ws_variant_of(&c->ws).takeover;
#if !defined(LN_PLANT) || LN_PLANT != 7 /* tests/sim: the windows of both sides come to differ */
    if (takeover && c->queue.first) return enqueue(c, rendering_of(opcode, payload, flags));
#endif
    ln_buf_clear(&env->encoded);
    int err = ln_ws_message(&c->ws, &env->tools, opcode, payload, compress, &env->encoded);
    if (err == LINNET_OK) {
        err = ln_send_wire(c, ln_buf_slice(&env->encoded));
        /* the window remembers what the peer will never see */
        if (err == LINNET_ERR_NOMEM && takeover) broken(c, err);
    }
    ln_buf_clear(&env->encoded);
    return err;
}

static int send_message(ln_conn *c, uint8_t opcode, ln_slice payload, uint8_t flags) {
    if (c->state != LN_CONN_WS || ln_conn_is(c, LN_CF_SENT_CLOSE)) return LINNET_ERR_CLOSED;
    if (ln_conn_is(c, LN_CF_FRAGMENTS)) return LINNET_ERR_STATE;
    bool compress = !(flags & LN_RENDERING_PLAIN) && ln_send_compresses(c, payload.size);
    int err = compress || ln_conn_is(c, LN_CF_CLIENT)
                  ? send_encoded(c, opcode, payload, compress, flags)
                  : send_plain_frame(c, opcode, payload, flags);
    if (err == LINNET_OK) ln_stat_add(&c->env->messages_out, 1);
    return err;
}

int ln_conn_send(ln_conn *c, uint8_t opcode, ln_slice payload) {
    return send_message(c, opcode, payload, 0);
}

int ln_conn_send_plain(ln_conn *c, uint8_t opcode, ln_slice payload) {
    return send_message(c, opcode, payload, LN_RENDERING_PLAIN);
}

int ln_conn_send_item(ln_conn *c, ln_slice payload) {
    return send_message(c, LN_OP_TEXT, payload, LN_RENDERING_ITEM);
}

int ln_conn_send_fragment(ln_conn *c, uint8_t opcode, bool fin, ln_slice payload) {
    ln_env *env = c->env;
    if (c->state != LN_CONN_WS || ln_conn_is(c, LN_CF_SENT_CLOSE)) return LINNET_ERR_CLOSED;
    bool open = ln_conn_is(c, LN_CF_FRAGMENTS);
    if (open != (opcode == LN_OP_CONTINUATION) || ln_conn_is(c, LN_CF_BATCH))
        return LINNET_ERR_STATE;
    ln_buf_clear(&env->encoded);
    int err = ln_ws_fragment(&c->ws, &env->tools, opcode, fin, payload, &env->encoded);
    if (err == LINNET_OK) err = ln_send_wire(c, ln_buf_slice(&env->encoded));
    ln_buf_clear(&env->encoded);
    if (err < 0) return err;
    if (fin)
        ln_conn_unset(c, LN_CF_FRAGMENTS);
    else
        ln_conn_set(c, LN_CF_FRAGMENTS);
    if (fin) ln_stat_add(&env->messages_out, 1);
    return LINNET_OK;
}

int ln_conn_queue(ln_conn *c, ln_rendering *r) {
    if (c->state != LN_CONN_WS || ln_conn_is(c, LN_CF_SENT_CLOSE)) return LINNET_ERR_CLOSED;
    if (c->env->cork_owner == c && c->env->corked) {
        int err = cork_to_queue(c);
        if (err < 0) return err;
    }
    ln_stat_add(&c->env->messages_out, 1);
    return enqueue(c, ln_rendering_ref(r));
}

bool ln_conn_await_drain(ln_conn *c) {
    if (c->state != LN_CONN_WS || c->queued <= c->config->low) return false;
    ln_conn_set(c, LN_CF_AWAITED);
    return true;
}

void ln_conn_batch(ln_conn *c, bool on) {
    if (on)
        ln_conn_set(c, LN_CF_BATCH);
    else
        ln_conn_unset(c, LN_CF_BATCH);
}

void ln_conn_arrays(ln_conn *c) {
    ln_conn_set(c, LN_CF_ARRAYS);
}

/* ---- flushing --------------------------------------------------------------------- */

#define TWIN_ONE_SHOT 16 /* beside the bits of the window, which are at most 15 */

/* The compressed form that all connections of this variant share. NULL: send it plain. */
static ln_rendering *twin_of(ln_env *env, ln_conn *c, ln_rendering *r, uint8_t bits) {
    bool one_shot = c->config->ws.one_shot; /* routes may differ */
    uint8_t variant = (uint8_t)(bits | (one_shot ? TWIN_ONE_SHOT : 0));
    for (ln_rendering *t = r->twins; t; t = t->twins)
        if (t->bits == variant) return t;
    ln_buf_clear(&env->encoded);
    ln_rendering *t = NULL;
    ln_slice payload = ln_slice_of(ln_rendering_payload(r), r->size);
    if (ln_pmd_compress(&env->tools.pmd, bits, c->config->ws.deflate_level, one_shot, payload,
            &env->encoded) == LINNET_OK)
        t = ln_rendering_twin(r, variant, ln_buf_slice(&env->encoded));
    ln_buf_clear(&env->encoded);
    if (!t) return NULL;
    if (r->account) ln_rendering_charge(t, r->account, t->size);
    t->twins = r->twins;
    r->twins = t;
    return t;
}

static bool needs_encoding(const ln_conn *c, const ln_rendering *r) {
    if (r->opcode == 0) return false;
    return ln_conn_is(c, LN_CF_CLIENT) ||
           (ln_send_compresses(c, r->size) && !(r->flags & LN_RENDERING_PLAIN) &&
               ln_ws_variant_of(&c->ws).takeover);
}

/* The bytes that leave for this rendering: itself or a twin. */
static ln_rendering *wire_form(ln_conn *c, ln_rendering *r) {
    if (r->opcode == 0 || !ln_send_compresses(c, r->size) || (r->flags & LN_RENDERING_PLAIN))
        return r;
    ln_ws_variant v = ln_ws_variant_of(&c->ws);
    if (!v.bits || v.takeover) return r;
    ln_rendering *t = twin_of(c->env, c, r, v.bits);
    return t ? t : r;
}

ln_rendering *ln_send_pop(ln_conn *c) {
    ln_rendering *r = ln_txq_pop(&c->queue, &c->env->blocks);
    ln_send_less(c, r->size + r->head);
    return r;
}

/* Appends what leaves for this rendering. 0, or an error that ends the connection. */
static int encode_one(ln_conn *c, ln_rendering *r, ln_buf *out) {
    if (!needs_encoding(c, r)) return ln_buf_add(out, ln_rendering_wire(wire_form(c, r)));
    bool compress = !(r->flags & LN_RENDERING_PLAIN) && ln_send_compresses(c, r->size);
    ln_slice payload = ln_slice_of(ln_rendering_payload(r), r->size);
    return ln_ws_message(&c->ws, &c->env->tools, r->opcode, payload, compress, out);
}

/* Takes the next rendering of the queue for it. */
static int gather_one(ln_conn *c, ln_buf *out) {
    ln_rendering *r = ln_send_pop(c);
    int err = encode_one(c, r, out);
    ln_rendering_unref(r);
    return err;
}

/* The form of it that nothing need be known for; taken, and NULL without memory. */
static ln_rendering *settled(ln_conn *c, ln_rendering *r) {
    ln_buf *out = &c->env->gather;
    if (!needs_encoding(c, r)) return r;
    ln_buf_clear(out);
    ln_rendering *wire = NULL;
    if (encode_one(c, r, out) == LINNET_OK) wire = ln_rendering_of(0, ln_buf_slice(out));
    ln_buf_clear(out);
    ln_rendering_unref(r);
    return wire;
}

void ln_send_settle(ln_conn *c) {
    for (uint32_t n = c->queue.count; n > 0 && c->state != LN_CONN_DEAD; n--) {
        uint32_t at = c->queue.first_at;
        ln_rendering *r = settled(c, ln_send_pop(c));
        if (r && ln_txq_push(&c->queue, &c->env->blocks, r, at) == LINNET_OK) {
            ln_rendering_charge(r, &c->env->held, r->size);
            ln_send_more(c, r->size + r->head);
            continue;
        }
        if (r) ln_rendering_unref(r);
        broken(c, LINNET_ERR_NOMEM);
    }
}

/* One rendering as it lies, without a copy: alone in the queue, or too large to be worth gathering.
 */
static bool give_alone(ln_conn *c) {
    ln_rendering *r = ln_txq_first(&c->queue);
    if (needs_encoding(c, r) || (c->queue.count > 1 && r->size < GATHER / 4)) return false;
    r = ln_send_pop(c);
    ln_rendering *w = wire_form(c, r);
    if (w != r) {
        ln_rendering_ref(w);
        ln_rendering_unref(r);
    }
    give_plain(c, ln_rendering_wire(w), w);
    return true;
}

static void give_gathered(ln_conn *c) {
    ln_buf *out = &c->env->gather;
    ln_buf_clear(out);
    while (ln_txq_first(&c->queue) && out->size < GATHER) {
        ln_rendering *r = ln_txq_first(&c->queue);
        if (out->size && r->size >= GATHER / 4) break;
        int err = ln_merge_can(c) ? ln_merge(c, out) : gather_one(c, out);
        if (err < 0) {
            broken(c, err);
            return;
        }
    }
    give_plain(c, ln_buf_slice(out), NULL);
    ln_buf_clear(out);
}

static void flush(ln_conn *c) {
    while (c->state != LN_CONN_DEAD && !c->inflight && ln_txq_first(&c->queue)) {
        uint32_t at = c->queue.first_at; /* its age counts, not that of this attempt */
        if (!give_alone(c)) give_gathered(c);
        if (c->inflight) wait_since(c, at);
    }
    if (c->state == LN_CONN_DEAD) return;
    if (ln_send_idle(c)) ln_conn_flushed(c);
    if (ln_conn_is(c, LN_CF_HIGH | LN_CF_AWAITED) &&
        c->queued <= (c->config ? c->config->low : HTTP_LOW)) {
        ln_conn_unset(c, LN_CF_HIGH | LN_CF_AWAITED);
        ln_conn_drained(c);
    }
}

void ln_send_done(ln_conn *c, int result) {
    ln_rendering *done = c->inflight, *next;
    if (!done) return;
    next = c->tls ? done->twins : NULL;
    if (next) done->twins = NULL;
    release(c, done);
    c->inflight = NULL;
    ln_stat_sub(&c->env->stalled, 1);
    if (c->waiting) ln_hist_add(&c->env->waited, UINT64_C(1000) * (ln_conn_now(c) - c->waiting));
    ln_send_less(c, c->inflight_bytes);
    c->inflight_bytes = 0;
    c->waiting = 0;
    if (c->state == LN_CONN_DEAD || result < 0) {
        if (next) ln_rendering_unref(next); /* and what hangs on it */
        if (c->state != LN_CONN_DEAD) broken(c, result);
        return;
    }
    while (next && !c->inflight && c->state != LN_CONN_DEAD) {
        ln_rendering *rest = next->twins;
        next->twins = NULL;
        give(c, ln_rendering_wire(next), next);
        next = rest;
    }
    if (next && c->inflight)
        c->inflight->twins = next;
    else if (next)
        ln_rendering_unref(next);
    if (c->inflight || c->state == LN_CONN_DEAD) return;
    flush(c);
}

static void flush_all(ln_env *env, ln_list *dirty) {
    for (ln_list *node; (node = ln_list_pop(dirty));) {
        ln_conn *c = ln_list_item(node, ln_conn, turn);
        ln_conn_unset(c, LN_CF_DIRTY);
        if (c->carry_size && !(c->pauses & (uint8_t)~LN_PAUSE_CARRY))
            ln_list_push(&env->ready, &c->turn); /* it left that list to become dirty */
        if (c->state != LN_CONN_DEAD) flush(c);
        ln_conn_close_owed(c);
        if (ln_conn_is(c, LN_CF_UNBORN)) ln_conn_bury(c);
    }
}

/* Callbacks send more. Who refills its queue in each on_drain, for a peer that reads as fast, would
 * keep the others waiting for ever, so after some rounds the rest is for the next turn. */
void ln_env_flush(ln_env *env) {
    for (int round = 0; round < FLUSH_ROUNDS && !ln_list_empty(&env->dirty); round++) {
        ln_list now;
        ln_list_init(&now);
        ln_list_splice(&now, &env->dirty);
        flush_all(env, &now);
    }
}
