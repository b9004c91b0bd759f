/* drain.c -- how a server leaves without a storm behind it.
 *
 *     NOT ── stop ──> LEAD ── drain_lead_ms ──> WAVES ── all told to go ──> REST ── drain_ms ──>
 * drop
 *
 *   LEAD    serves as before, but linnet_server_draining() says so, and whoever watches readiness
 *           sends nobody any more; none when drain_lead_ms is 0
 *   WAVES   nobody is let in. WebSockets are closed one slot after the other, evenly over a time in
 *           which as many could come in again; each session of linnet.v1 is told before (goaway) at
 *           which moment after its end it had better be back, at random
 *   REST    waits for their Closes, and for requests that are at work
 *
 * The walk over the slots needs no list and no memory: a cursor for those who were told, one for
 * those who were closed.
 */
#include "conn/inner.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "lib/sse.h"
#include "session/session.h"

#define WAVE_MS       20
#define TOLD_PER_WAVE 2000
#define AT_ONCE_MS    50 /* what takes no longer is no wave */

/* ---- the plan ---------------------------------------------------------------------- */

/* Once per turn: how many handshakes there were in a second, at most. */
void ln_drain_sample(linnet_loop *w) {
    ln_msec now = ln_loop_now(w->net);
    if (now - w->rate_at < 1000) return;
    uint64_t opens = ln_stat_get(&w->env.opens), most = ln_stat_get(&w->rate_peak);
    uint64_t rate = (opens - w->rate_opens) * 1000 / (now - w->rate_at);
    if (w->rate_at && rate > most) ln_stat_add(&w->rate_peak, rate - most);
    w->rate_at = now;
    w->rate_opens = opens;
}

static uint64_t rate_of(const linnet_server *s) {
    uint64_t rate = 0;
    if (s->options.drain_rate) return s->options.drain_rate;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i]) rate += ln_stat_get(&s->workers[i]->rate_peak);
    return rate > LN_LIM_RETURN_RATE ? rate : LN_LIM_RETURN_RATE;
}

static linnet_drain_plan plan_of(const linnet_server *s) {
    linnet_drain_plan p = { .size = sizeof p,
        .connections = ln_server_live(s),
        .rate = rate_of(s),
        .lead_ms = s->options.drain_lead_ms,
        .drain_ms = s->options.drain_ms };
    uint64_t back = p.connections * 1000 / p.rate, most = (uint64_t)p.drain_ms * 3 / 4;
    p.spread_ms = (uint32_t)(back < most ? back : most);
    if (p.spread_ms < AT_ONCE_MS || s->options.drain_rate == LINNET_OFF) p.spread_ms = 0;
    if (back < LN_LIM_RETURN_MS) back = LN_LIM_RETURN_MS;
    p.window_ms = back < UINT32_MAX ? (uint32_t)back : UINT32_MAX;
    return p;
}

int linnet_server_drain_plan(const linnet_server *s, linnet_drain_plan *out) {
    if (out->size != sizeof *out) return LINNET_ERR_INVAL;
    *out = plan_of(s);
    return LINNET_OK;
}

bool linnet_server_draining(const linnet_server *s) {
    return ln_flag_up(&s->stopping);
}

/* ---- goodbyes ---------------------------------------------------------------------- */

static void drop(linnet_conn *conn, void *ctx) {
    if (!ln_conn_is(&conn->c, LN_CF_CLIENT)) ln_conn_terminate(&conn->c);
}

static void finish_http(linnet_conn *conn, void *ctx) {
    ln_conn *c = &conn->c;
    if (ln_conn_is(c, LN_CF_CLIENT) || c->state != LN_CONN_HTTP || !c->http) return;
    c->http->close_after = true; /* what is at work is answered first */
    if (c->http->state == LN_EXCHANGE_STREAM)
        ln_sse_end(c->http);
    else if (c->http->state == LN_EXCHANGE_HEAD && !c->http->in.size)
        ln_conn_linger(c);
}

static ln_conn *served_at(linnet_loop *w, uint32_t slot) {
    linnet_conn *conn = ln_slots_holder(&w->slots, slot);
    bool ours = conn && !ln_conn_is(&conn->c, LN_CF_CLIENT) && conn->c.state == LN_CONN_WS;
    return ours ? &conn->c : NULL;
}

/* When the one in a slot is closed, after the beginning. */
static uint64_t turn_of(const linnet_loop *w, uint32_t slot) {
    uint32_t all = w->slots.fresh;
    return all ? (uint64_t)w->drain_spread * slot / all : 0;
}

static void tell_some(linnet_loop *w) {
    uint32_t until = w->slots.fresh - w->drain_told > TOLD_PER_WAVE ? w->drain_told + TOLD_PER_WAVE
                                                                    : w->slots.fresh;
    for (; w->drain_told < until; w->drain_told++) {
        ln_conn *c = served_at(w, w->drain_told);
        if (!c || c->ops != &ln_session_ops) continue;
        uint64_t after = turn_of(w, w->drain_told) + ln_rand_below(&w->env.rand, w->drain_window);
        ln_session_goaway(c, after, "draining");
    }
}

static void close_some(linnet_loop *w) {
    uint64_t passed = ln_loop_now(w->net) - w->drain_since;
    uint16_t code = (uint16_t)ln_stat_get(&w->server->stop_code);
    if (!ln_ws_code_valid(code)) code = 1012;
    for (; w->drain_closed < w->drain_told && turn_of(w, w->drain_closed) <= passed;
         w->drain_closed++) {
        ln_conn *c = served_at(w, w->drain_closed);
#if defined(LN_PLANT) && LN_PLANT == 18 /* tests/sim: a wave is forgotten */
        if (w->drain_closed % 2) continue;
#endif
        if (c) ln_conn_close(c, code, ln_slice_of("", 0));
    }
}

static void wave(linnet_loop *w) {
    tell_some(w);
    close_some(w);
    ln_env_flush(&w->env);
    ln_msec next = ln_loop_now(w->net) + WAVE_MS;
    if (w->drain_closed >= w->slots.fresh) {
        w->drain_phase = LN_DRAIN_REST;
        next = w->drain_since + w->server->options.drain_ms;
    }
    ln_timer_set(ln_loop_wheel(w->net), &w->drain, next);
}

static void begin_waves(linnet_loop *w) {
    linnet_drain_plan plan = plan_of(w->server);
    w->drain_phase = LN_DRAIN_WAVES;
    w->draining = true;
    w->drain_since = ln_loop_now(w->net);
    w->drain_spread = plan.spread_ms;
    w->drain_window = plan.window_ms;
    w->drain_told = w->drain_closed = 0;
    ln_server_unlisten(w);
    ln_worker_each(w, finish_http, NULL);
    wave(w);
}

void ln_drain_begin(linnet_loop *w) {
    uint32_t lead = w->server->options.drain_lead_ms;
    if (w->drain_phase != LN_DRAIN_NOT) return;
    if (!lead) {
        begin_waves(w);
        return;
    }
    w->drain_phase = LN_DRAIN_LEAD;
    ln_timer_set(ln_loop_wheel(w->net), &w->drain, ln_loop_now(w->net) + lead);
}

void ln_drain_now(linnet_loop *w) {
    if (w->drain_phase < LN_DRAIN_WAVES) begin_waves(w);
    ln_worker_each(w, drop, NULL);
    ln_env_flush(&w->env);
}

void ln_drain_timer(linnet_loop *w) {
    switch ((ln_drain_phase)w->drain_phase) {
    case LN_DRAIN_LEAD: begin_waves(w); return;
    case LN_DRAIN_WAVES: wave(w); return;
    case LN_DRAIN_REST: ln_drain_now(w); return;
    case LN_DRAIN_NOT: return;
    }
}
