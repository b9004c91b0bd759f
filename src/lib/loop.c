/* loop.c -- a worker and its turn. Read worker_turn() first: everything that happens in Linnet
 * happens inside it.
 */
#include "base/mem.h"
#include "conn/inner.h"
#include "lib/bans.h"
#include "lib/calls.h"
#include "lib/hooks.h"
#include "lib/hub.h"
#include "lib/inner.h"
#include "lib/keyring.h"
#include "lib/listing.h"
#include "lib/orders.h"
#include "lib/presence.h"
#include "lib/prune.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "lib/sse.h"
#include "lib/tail.h"
#include "lib/timer.h"
#include <assert.h>
#include <sys/resource.h>

#define MAIL_ROUNDS     8    /* of own mail in one turn, so that a local publish takes one turn */
#define TIMERS_PER_TURN 4096 /* a clock step makes many due at once */

/* ---- names ------------------------------------------------------------------------ */

linnet_conn_id ln_conn_name(const linnet_conn *conn) {
    return (uint64_t)ln_worker_of(conn)->index << 56 | (uint64_t)conn->c.slot << 32 |
           conn->c.generation;
}

/* A loop of the host is 0 while it serves and nobody before and after, and its names stay good. */
bool ln_worker_named(const linnet_loop *w, linnet_conn_id id) {
    unsigned number = (unsigned)(id >> 56);
    return number == w->index || (w->hosts && (number == 0 || number == LN_WORKER_NONE));
}

linnet_conn *ln_worker_find(linnet_loop *w, linnet_conn_id id) {
    uint32_t index = (uint32_t)(id >> 32) & 0xffffff;
    return ln_worker_named(w, id) ? ln_slots_find(&w->slots, index, (uint32_t)id) : NULL;
}

void ln_worker_rename(linnet_loop *w, linnet_conn *conn) {
    conn->c.generation = ln_slots_rename(&w->slots, conn->c.slot);
}

void ln_worker_each(linnet_loop *w, void (*fn)(linnet_conn *conn, void *ctx), void *ctx) {
    for (uint32_t i = 0; i < w->slots.fresh; i++) {
        linnet_conn *conn = ln_slots_holder(&w->slots, i);
        if (conn) fn(conn, ctx);
    }
}

/* ---- connections ------------------------------------------------------------------ */

linnet_conn *ln_worker_conn(linnet_loop *w) {
    if (w->slots.used >= w->connections_max) return NULL;
    linnet_conn *conn = ln_pool_get(&w->conns);
    if (!conn) return NULL;
    memset(conn, 0, sizeof *conn);
    if (ln_slots_take(&w->slots, conn, &conn->c.slot, &conn->c.generation) < 0) {
        ln_pool_put(&w->conns, conn);
        return NULL;
    }
    ln_stat_add(&w->live, 1);
    return conn;
}

void ln_worker_unconn(linnet_loop *w, linnet_conn *conn) {
    ln_visitor_forget(conn);
    ln_slots_give(&w->slots, conn->c.slot);
    ln_stat_sub(&w->live, 1);
    ln_host_unhold(conn);
    ln_free(conn->protocol);
    ln_pool_put(&w->conns, conn);
}

static void on_dead(ln_conn *c) {
    linnet_conn *conn = ln_conn_outer(c);
    linnet_loop *w = ln_worker_of(conn);
    if (ln_conn_is(c, LN_CF_CLIENT))
        ln_client_dead(conn);
    else
        ln_stat_sub(&w->served, 1);
    ln_worker_unconn(w, conn);
}

/* ---- mail ------------------------------------------------------------------------- */

int ln_worker_post(linnet_loop *w, ln_post *mail) {
    if (!mail) return LINNET_ERR_NOMEM;
    int err = ln_inbox_offer(w->inbox, &mail->letter, mail->letter.bytes);
    if (err < 0) ln_post_free(mail);
    return err;
}

/* The bound on mail. It never fails and nobody is told to stop; who finds the inbox over the bound
 * stops reading the connection that published. A home whose deliveries pile up raises `crowded`, so
 * that those who publish to it from elsewhere stop too. Flags follow from inboxes alone, never from
 * other flags, and every worker empties its inbox whatever it waits for itself: there is no circle
 * in which two wait for each other. An inbox counts what all have sent there, which is stricter
 * than by pairs, and needs no accounts. */
static bool over(const linnet_loop *to, uint32_t part) {
    uint32_t letters;
    size_t bytes;
    ln_inbox_load(to->inbox, &letters, &bytes);
    return letters > LN_LIM_MAIL / part || bytes > LN_LIM_MAIL_BYTES / part;
}

static void hold(linnet_loop *w) {
    ln_conn *c = w->env.cork_owner; /* whose input this is */
    if (!c || c->state != LN_CONN_WS) return;
    ln_conn_pause(c, LN_PAUSE_MAIL);
    w->holding = true;
}

static void let_go(linnet_conn *conn, void *ctx) {
    (void)ctx;
    if (conn->c.pauses & LN_PAUSE_MAIL) ln_conn_resume(&conn->c, LN_PAUSE_MAIL);
}

/* Once per turn: whether all has fallen under half. */
static void relieve(linnet_loop *w) {
    if (!w->holding && !ln_flag_up(&w->crowded)) return;
    const linnet_server *s = w->server;
    unsigned count = s ? s->worker_count : 0;
    for (unsigned i = 0; i < count; i++)
        if (s->workers[i] && s->workers[i] != w && over(s->workers[i], 2)) return;
    ln_flag_lower(&w->crowded);
    for (unsigned i = 0; i < count; i++)
        if (s->workers[i] && ln_flag_up(&s->workers[i]->crowded)) return;
    if (w->holding) ln_worker_each(w, let_go, NULL);
    w->holding = false;
}

/* The hub's mail: to itself it waits for this turn's rounds, to others it goes at once; the other
 * side wakes once, however many letters follow. */
void ln_hub_posted(void *ctx, uint32_t worker, ln_letter *letter) {
    linnet_loop *w = ctx, *to = worker == w->index ? w : ln_server_worker(w->server, worker);
    uint8_t kind = letter->kind; /* once posted it is another's */
    if (!to) {
        ln_mail_discard(letter); /* the server is being freed */
        return;
    }
    if (to == w) {
        letter->next = NULL;
        *w->own_tail = letter;
        w->own_tail = &letter->next;
    } else {
        ln_inbox_post(to->inbox, letter, letter, 1, letter->bytes);
    }
    bool full = to != w && over(to, 1);
    bool pressing = kind == LN_MAIL_PUBLISH || kind == LN_MAIL_LEAVE;
    if (pressing && (full || ln_flag_up(&to->crowded)))
        hold(w);
    else if (full && (kind == LN_MAIL_DELIVER || kind == LN_MAIL_DELIVER_ANSWER))
        ln_flag_raise(&w->crowded);
}

static void take_lib(linnet_loop *w, ln_post *m) {
    linnet_conn *conn = ln_worker_find(w, m->id);
    switch ((ln_post_kind)m->letter.kind) {
    case LN_POST_SEND:
        if (conn && ln_host_mail(conn, m)) return;
        break;
    case LN_POST_CLOSE:
        if (conn) {
            const char *reason = ln_post_text(m);
            ln_conn_close(&conn->c, (uint16_t)m->code, linnet_str(reason));
        }
        break;
    case LN_POST_CALL: m->fn(m->ctx); break;
    case LN_POST_ADOPT:
        if (!w->server) break; /* it has left this loop */
        ln_server_adopt(w, m->code, NULL, ln_post_data(m));
        m->code = -1;
        break;
    case LN_POST_ACCEPT:
    case LN_POST_REJECT: ln_upgrade_mail(w, m); break;
    case LN_POST_DECIDE: ln_hook_worker_mail(w->hooks, m); break;
    case LN_POST_JOIN:
    case LN_POST_LEAVE:
    case LN_POST_PUBLISH: ln_host_hub_mail(w, m); break;
    case LN_POST_RELOAD: ln_host_hub_news(w, m); break;
    case LN_POST_WANT:
    case LN_POST_KEYS: ln_keyring_mail(w->keyring, m); break;
    case LN_POST_ORDER:
        if (ln_order_mail(w, m)) return;
        break;
    case LN_POST_CHANNELS: ln_listing_mail(w, m); return;
    case LN_POST_ASK:
    case LN_POST_ASKED:
    case LN_POST_REPLIED:
        if (ln_call_mail(w, m)) return;
        break;
    case LN_POST_BAN: ln_bans_mail(w, m); break;
    case LN_POST_TAIL:
    case LN_POST_TAILED:
        if (ln_tail_mail(w, m)) return;
        break;
    case LN_POST_PRUNE:
        ln_prune_mail(w, m->ctx);
        m->ctx = NULL;
        break;
    case LN_POST_PRESENCE:
        ln_host_presence_mail(w, m->ctx);
        m->ctx = NULL;
        break;
    case LN_POST_LEVEL: w->log.level = (linnet_log_level)m->code; break;
    default: ln_request_mail(w, m); break;
    }
    ln_post_free(m);
}

static void take_letters(linnet_loop *w, ln_letter *letter) {
    while (letter) {
        ln_letter *next = letter->next;
        if (letter->room == LN_LETTER_LIB)
            take_lib(w, (ln_post *)(void *)letter);
        else if (w->hub)
            ln_hub_mail(w->hub, letter);
        else
            ln_mail_discard(letter); /* the server has left this loop */
        letter = next;
    }
}

/* What came from outside stands behind what this worker has posted to itself, so that a channel
 * that was joined by one letter is joined before the next one publishes to it. */
static void take_inbox(linnet_loop *w) {
    for (ln_letter *letter = ln_inbox_take(w->inbox), *next; letter; letter = next) {
        next = letter->next;
        letter->next = NULL;
        if (letter->room == LN_LETTER_HUB && w->own)
            ln_hub_posted(w, w->index, letter);
        else
            take_letters(w, letter);
    }
}

static ln_letter *own_mail(linnet_loop *w) {
    ln_letter *first = w->own;
    w->own = NULL;
    w->own_tail = &w->own;
    return first;
}

static void hub_rounds(linnet_loop *w) {
    for (int round = 0; w->own && round < MAIL_ROUNDS; round++)
        take_letters(w, own_mail(w));
}

void ln_worker_mail(linnet_loop *w) {
    take_inbox(w);
    hub_rounds(w);
    ln_env_flush(&w->env);
}

/* The last news, of who has just gone, are on their way; not those that wait for another try. */
static void tell_the_last(linnet_loop *w) {
    ln_msec end = ln_loop_now(w->net) + LN_WEBHOOK_FLUSH_MS;
    while (ln_hook_worker_busy(w->hooks) && ln_loop_now(w->net) < end)
        if (ln_worker_turn(w, 50) < 0) return;
}

void ln_worker_unhub(linnet_loop *w) {
    if (w->sessions) ln_occupancy_flush(&w->occupancy);
    tell_the_last(w);
    ln_host_hub_close(w);
    w->walks = 0;
    hub_rounds(w);
    w->budget.broker = NULL;
    ln_hub_free(w->hub);
    w->hub = NULL;
    take_letters(w, own_mail(w)); /* which discards */
}

/* ---- the turn --------------------------------------------------------------------- */

static void complete(linnet_loop *w, ln_completion *c) {
    switch (c->kind) {
    case LN_C_ACCEPT: ln_server_accepted(w, c); return;
    case LN_C_LISTENER_CLOSED: ln_server_unlistened(w, c->listener); return;
    case LN_C_WATCH:
        if (!ln_hook_worker_ready(w->hooks, c) && !ln_keyring_ready(w->keyring, c))
            ln_dns_ready(w->dns, c->fd, c->events);
        return;
    case LN_C_WAKE: return;
    default: ln_conn_complete(ln_list_item(c->sock, ln_conn, sock), c); return;
    }
}

static void fire(linnet_loop *w, ln_timer *timer) {
    switch (timer->kind) {
    case LN_TIMER_OF_CONN: ln_conn_timer(ln_list_item(timer, ln_conn, timer)); return;
    case LN_TIMER_OF_HOST: ln_host_timer(timer); return;
    case LN_TIMER_OF_DNS: ln_dns_timer(w->dns, timer); return;
    case LN_TIMER_OF_DRAIN: ln_drain_timer(w); return;
    case LN_TIMER_OF_READER: ln_sse_timer(timer); return;
    case LN_TIMER_OF_KEYS: ln_keyring_timer(w->keyring, timer); return;
    case LN_TIMER_OF_HOOKS: ln_hook_worker_timer(w->hooks, timer); return;
    default: assert(false && "a timer of nobody");
    }
}

static void tick(linnet_loop *w) {
    ln_msec now = ln_loop_now(w->net);
    if (w->hub) ln_hub_tick(w->hub, now, ln_world_wall(w->world));
    ln_host_hub_tick(w);
}

static ln_msec deadline_of(linnet_loop *w, int timeout_ms) {
    bool waiting = !ln_list_empty(&w->env.ready) || !ln_list_empty(&w->env.dirty);
    if (timeout_ms == 0 || w->own || waiting) return 0;
    ln_msec at = timeout_ms < 0 ? LN_NEVER : ln_loop_now(w->net) + (ln_msec)timeout_ms;
    ln_msec hub = w->hub ? ln_hub_deadline(w->hub) : LN_NEVER;
    if (hub < at) at = hub;
    ln_msec look = ln_loop_now(w->net) + LN_LIM_MAIL_LOOK;
    if ((w->holding || ln_flag_up(&w->crowded)) && look < at) at = look;
    if (ln_budget_waits(w) && w->budget.look_at < at) at = w->budget.look_at;
    ln_msec sessions = ln_host_hub_deadline(w);
    if (sessions < at) at = sessions;
    return at;
}

/* What waited for its turn; take completions, deliver them upward; mail; the hub until it has
 * nothing more for itself; time; and last one flush for all that became dirty on the way. */
static int worker_turn(linnet_loop *w, int timeout_ms) {
    ln_completion c;
    ln_msec deadline = deadline_of(w, timeout_ms);
    if (!ln_inbox_sleep(w->inbox)) deadline = 0;
    int err = ln_loop_wait(w->net, deadline);
    ln_inbox_awake(w->inbox);
    if (err < 0) return err;
    tick(w);
    relieve(w);
    ln_env_ready(&w->env);
    while (ln_loop_next(w->net, &c))
        complete(w, &c);
    if (w->dns) ln_dns_turn(w->dns);
    take_inbox(w);
    hub_rounds(w);
    ln_timer *due;
    for (int i = 0; i < TIMERS_PER_TURN; i++) {
        if (!(due = ln_wheel_pull(ln_loop_wheel(w->net), ln_loop_now(w->net)))) break;
        fire(w, due);
    }
    hub_rounds(w);
    ln_env_flush(&w->env);
    if (w->hub) ln_hub_flushed(w->hub);
    return LINNET_OK;
}

/* Control goes to whoever waits for our descriptor: it must know all that a turn would find. */
static int rest(linnet_loop *w) {
    ln_msec deadline = deadline_of(w, -1);
    if (!ln_inbox_sleep(w->inbox)) deadline = 0;
    return ln_loop_rest(w->net, deadline);
}

int ln_worker_turn(linnet_loop *w, int timeout_ms) {
    if (w->turning) return LINNET_ERR_STATE;
    w->turning = true;
    int err = worker_turn(w, timeout_ms);
    if (w->server) ln_server_turned(w);
    if (w->guest && err == LINNET_OK) err = rest(w);
    w->turning = false;
    return err;
}

int linnet_loop_turn(linnet_loop *w, int timeout_ms) {
    int err = ln_worker_turn(w, timeout_ms);
    if (!w->turning) ln_loop_leave(w->net);
    return err;
}

int linnet_loop_run(linnet_loop *w) {
    if (w->turning) return LINNET_ERR_STATE; /* a stop that was asked for is the outer one's */
    int err = LINNET_OK;
    while (err == LINNET_OK && !ln_flag_up(&w->stop))
        err = ln_worker_turn(w, -1);
    ln_flag_lower(&w->stop);
    ln_loop_leave(w->net);
    return err;
}

void linnet_loop_stop(linnet_loop *w) {
    ln_flag_raise(&w->stop);
    ln_loop_wake(w->net);
}

void linnet_loop_wake(linnet_loop *w) {
    ln_loop_wake(w->net);
}

int linnet_loop_fd(linnet_loop *w) {
    if (!w->guest && !w->turning) rest(w);
    w->guest = true;
    return ln_loop_fd(w->net);
}

uint64_t linnet_loop_now(const linnet_loop *w) {
    return ln_loop_now(w->net);
}

size_t linnet_loop_connections(const linnet_loop *w) {
    return (size_t)ln_stat_get(&w->live);
}

int linnet_loop_post(linnet_loop *w, void (*fn)(void *ctx), void *ctx) {
    if (!fn) return LINNET_ERR_INVAL;
    ln_post *m = ln_post_new(LN_POST_CALL, 0, 0, NULL, ln_slice_of("", 0));
    if (!m) return LINNET_ERR_NOMEM;
    m->fn = fn;
    m->ctx = ctx;
    return ln_worker_post(w, m);
}

/* ---- life ------------------------------------------------------------------------- */

uint32_t ln_worker_descriptors(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == RLIM_INFINITY) return LN_LIM_SLOTS;
    if (r.rlim_cur > LN_LIM_SLOTS) return LN_LIM_SLOTS;
    uint32_t all = (uint32_t)r.rlim_cur;
    return all > 2 * LN_LIM_SPARE_FDS ? all - LN_LIM_SPARE_FDS : all / 2;
}

static int worker_init(linnet_loop *w, const linnet_loop_options *o) {
    ln_loop_options net = { .busy_poll_us = o->busy_poll_us };
    if (w->world) {
        net.backend = w->world->backend;
        net.backend_arg = w->world->backend_arg;
    }
    int err = ln_loop_new(&net, &w->net);
    if (err < 0) return err;
    ln_log_init(&w->log, o->log, o->log_ctx, o->log_level);
    w->log.lines_per_s = 100;
    if ((err = ln_env_init(&w->env, w->net, &w->log)) < 0) goto fail_net;
    if (w->world) ln_world_rand(w->world, &w->env.rand);
    if ((err = ln_inbox_new(w->net, &w->inbox)) < 0) goto fail_env;
    if (o->dns_servers && !(w->dns_servers = ln_slice_dup(linnet_str(o->dns_servers)))) {
        err = LINNET_ERR_NOMEM;
        goto fail_inbox;
    }
    return LINNET_OK;
fail_inbox:
    ln_inbox_free(w->inbox);
fail_env:
    ln_env_fini(&w->env);
fail_net:
    ln_loop_free(w->net);
    return err;
}

int ln_worker_new(ln_world *world, const linnet_loop_options *o, linnet_server *server,
    uint8_t index, linnet_loop **out) {
    linnet_loop *w = ln_calloc(1, sizeof *w);
    if (!w) return LINNET_ERR_NOMEM;
    w->world = world;
    w->server = server;
    w->index = index;
    ln_slots_init(&w->slots);
    ln_rand r;
    ln_world_rand(world, &r);
    ln_visitors_init(w, (ln_map_key){ ln_rand_u64(&r), ln_rand_u64(&r) });
    w->connections_max = o->connections_max ? o->connections_max : ln_worker_descriptors();
    w->own_tail = &w->own;
    ln_list_init(&w->timers);
    ln_list_init(&w->tls_cache);
    ln_list_init(&w->streams);
    ln_list_init(&w->stream_laggards);
    ln_list_init(&w->readers);
    ln_buf_init(&w->stream_text, LN_BUF_MAX);
    ln_timer_init(&w->drain, LN_TIMER_OF_DRAIN);
    ln_pool_init(&w->conns, sizeof(linnet_conn), LN_LIM_SLOTS);
    int err = worker_init(w, o);
    if (err < 0) {
        ln_free(w);
        return err;
    }
    w->env.host = w;
    w->env.worker = index;
    w->env.on_dead = on_dead;
    w->env.on_request = ln_route_request;
    w->env.on_body = ln_route_body;
    w->env.on_gone = ln_route_gone;
    w->env.on_proxied = ln_visitor_proxied;
    w->env.name_peer = ln_visitor_name;
    *out = w;
    return LINNET_OK;
}

int ln_loop_new_in(ln_world *world, const linnet_loop_options *options, linnet_loop **out) {
    linnet_loop_options standard = LINNET_LOOP_OPTIONS_INIT;
    if (!options) options = &standard;
    if (!out || !ln_sized(options, sizeof *options)) return LINNET_ERR_INVAL;
    int err = ln_worker_new(world, options, NULL, LN_WORKER_NONE, out);
    if (err == LINNET_OK) (*out)->hosts = true;
    return err;
}

int linnet_loop_new(const linnet_loop_options *options, linnet_loop **out) {
    return ln_loop_new_in(NULL, options, out);
}

static void drop_one(linnet_conn *conn, void *ctx) {
    ln_conn_terminate(&conn->c);
}

static void discard(linnet_loop *w, ln_letter *l) {
    for (ln_letter *next; l; l = next) {
        next = l->next;
        if (l->room == LN_LETTER_HUB) {
            ln_mail_discard(l);
            continue;
        }
        ln_post *m = (ln_post *)(void *)l;
        ln_upgrade_abandon(w->server, m);
        ln_post_free(m);
    }
}

/* Mail that came too late. What it carries is freed; a call that was promised is not made. Who is
 * told of an abandoned upgrade may send more. */
static void discard_mail(linnet_loop *w) {
    for (ln_letter *l; (l = ln_inbox_take(w->inbox));)
        discard(w, l);
}

void linnet_loop_free(linnet_loop *w) {
    if (!w) return;
    assert(!w->turning);
    w->ended = true;
    w->turning = true; /* callbacks come from here too, and a turn inside one is refused */
    if (w->dns) ln_dns_free(w->dns);
    w->dns = NULL;
    ln_worker_each(w, drop_one, NULL);
    ln_server_unlisten(w);
    w->turning = false;
    while (w->slots.used || ln_server_listening(w))
        if (ln_worker_turn(w, 0) < 0) break;
    ln_host_timers_free(w);
    ln_client_fini(w);
    ln_buf_fini(&w->stream_text);
    ln_worker_unhub(w);
    discard_mail(w);
    ln_inbox_free(w->inbox);
    ln_env_fini(&w->env);
    ln_loop_free(w->net);
    ln_slots_fini(&w->slots);
    ln_map_fini(&w->visitors);
    ln_pool_fini(&w->conns);
    ln_log_fini(&w->log);
    ln_free(w->dns_servers);
    ln_free(w);
}
