/* hub.c -- the public face of channels: a hub on the workers of a server, and its routes.
 */
#include "lib/hub.h"
#include "base/mem.h"
#include "base/num.h"
#include "broker/memory.h"
#include "lib/auth.h"
#include "lib/bans.h"
#include "lib/doorman.h"
#include "lib/news.h"
#include "lib/presence.h"
#include "lib/program.h"
#include "lib/reader.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "lib/sse.h"
#include "lib/tail.h"
#include "lib/token.h"
#include "session/permit.h"
#include "session/session.h"

struct linnet_hub {
    linnet_hub_options options;
    ln_session_limits limits;
    ln_conn_config plain; /* for dialects whose clients know no 3008 */
    ln_ws_config narrow;  /* for connections that nobody has logged in on */
    ln_gate gate;
    ln_namespaces *namespaces;
    ln_hooks *hooks;
    ln_jws_keys *no_keys;
    linnet_server *server;
    ln_heard heard;   /* of members that come and go */
    char *bans_file;  /* NULL: they are not written down */
    ln_ledger ledger; /* worker 0's */
    char node[16];
    uint32_t started;     /* seconds since 1970; when its first worker was; 0: none is */
    ln_resuming resuming; /* ttl_s 0: nobody comes back */
};

/* One per worker. What on_upgrade learned waits here for on_open, which follows in the same call.
 */
typedef struct hub_worker {
    ln_sessions sessions;
    linnet_hub *hub;
    ln_program program;
    ln_session_limits limits; /* what its sessions go by; a reload changes them under them */
    ln_news *news;            /* of the last reload; NULL: there was none */
    ln_gate gate;             /* the hub's, with the keys of the last reload */
    ln_auth vouched;          /* of whom a backend names, where nobody else does: without keys */
    ln_entry entry;
    ln_doorman doorman;
} hub_worker;

#define MANY (1u << 30) /* and a table holds no more */

/* ---- options ----------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t standard) {
    return value ? value : standard;
}

/* More is no limit: there is no memory for so many. */
static uint32_t bounded(uint32_t count) {
    return count < MANY ? count : MANY;
}

static void take_rate(ln_rate *r, uint32_t per_s, uint32_t burst) {
    r->per_s = per_s == LINNET_OFF ? 0 : or_default(per_s, r->per_s);
    r->burst = or_default(burst, r->burst);
}

/* Off without a word; a burst of as many as come in a second. */
static ln_rate shared_rate(uint32_t per_s, uint32_t burst) {
    if (!per_s || per_s == LINNET_OFF) return (ln_rate){ 0, 0 };
    return (ln_rate){ per_s, burst ? burst : per_s };
}

/* What counts for all connections of a user or an address. */
static void take_shared(const linnet_hub_options *o, ln_session_limits *out) {
    out->per_user = o->connections_per_user == LINNET_OFF ? 0 : o->connections_per_user;
    out->users[0] = shared_rate(o->user_publish_rate, o->user_publish_burst);
    out->users[1] = shared_rate(o->user_command_rate, o->user_command_burst);
    out->addresses[0] = shared_rate(o->address_publish_rate, o->address_publish_burst);
    out->addresses[1] = shared_rate(o->address_command_rate, o->address_command_burst);
    out->connects = shared_rate(o->address_connect_rate, o->address_connect_burst);
}

/* Those of the connections themselves are in `plain`. */
static void take_limits(
    const linnet_hub_options *o, const ln_conn_config *plain, ln_session_limits *out) {
    ln_session_limits standard = LN_SESSION_LIMITS_INIT;
    *out = standard;
    out->channels_max = or_default(o->channels_per_connection, standard.channels_max);
    out->outstanding_max = or_default(o->outstanding_max, standard.outstanding_max);
    out->commands_max = or_default(o->commands_max, standard.commands_max);
    out->errors_max = or_default(o->errors_max, standard.errors_max);
    out->publish_burst = or_default(o->publish_burst, standard.publish_burst);
    out->publish_rate = or_default(o->publish_rate, standard.publish_rate);
    if (o->publish_rate == LINNET_OFF) out->publish_rate = 0;
    take_rate(&out->rates[LN_PACE_SUBSCRIBE], o->subscribe_rate, o->subscribe_burst);
    take_rate(&out->rates[LN_PACE_READ], o->read_rate, o->read_burst);
    take_rate(&out->rates[LN_PACE_AUTH], o->auth_rate, o->auth_burst);
    take_shared(o, out);
    out->message_max = plain->ws.message_max;
    out->ping_ms = plain->ping_ms;
    out->pong_ms = plain->pong_ms;
}

static uint32_t at_least_one(uint32_t value, uint32_t standard) {
    return value ? bounded(value) : standard;
}

static ln_namespace namespace_of(bool live, uint32_t count, uint32_t age_ms, uint32_t bytes) {
    static const ln_retention standard = LN_RETENTION_INIT;
    return (ln_namespace){
        .class = live ? LN_CLASS_LIVE : LN_CLASS_RECOVERABLE,
        .history.count = at_least_one(count, standard.count),
        .history.age_ms = at_least_one(age_ms, standard.age_ms),
        .history.bytes = at_least_one(bytes, standard.bytes),
    };
}

/* What is not said of a namespace. */
static uint8_t rule_of(const linnet_hub_options *o, linnet_rule rule, ln_act act) {
    const linnet_auth_options *auth = o->auth;
    if (rule != LINNET_RULE_DEFAULT || !auth) return (uint8_t)rule;
    linnet_anonymous need = act == LN_ACT_PUBLISH ? LINNET_ANONYMOUS_PUBLISH
                                                  : LINNET_ANONYMOUS_SUBSCRIBE;
    return auth->anonymous >= need ? LN_RULE_ANYONE : LN_RULE_DEFAULT;
}

static int take_rules(
    const linnet_hub_options *o, const linnet_rule rules[LN_ACTS], ln_namespace *out) {
    for (int act = 0; act < LN_ACTS; act++) {
        if ((unsigned)rules[act] > LINNET_RULE_TOKEN) return LINNET_ERR_INVAL;
        out->allow[act] = rule_of(o, rules[act], (ln_act)act);
    }
    return LINNET_OK;
}

static int take_namespace(
    const linnet_hub_options *o, const linnet_namespace *n, ln_namespace *out) {
    if (!ln_sized(n, sizeof *n) || !n->name) return LINNET_ERR_INVAL;
    size_t size = strlen(n->name);
    if (size > LN_NAMESPACE_NAME_MAX) return LINNET_ERR_INVAL;
    if ((unsigned)n->slow > LINNET_SLOW_LATEST || n->batch_ms > LN_BATCH_MS_MAX)
        return LINNET_ERR_INVAL;
    *out = namespace_of(n->live, n->history_count, n->history_ms, n->history_bytes);
    out->members = n->members;
    out->slow = (uint8_t)n->slow;
    out->batch_ms = (uint16_t)n->batch_ms;
    memcpy(out->name, n->name, size);
    const linnet_rule rules[LN_ACTS] = { n->subscribe, n->publish, n->presence, n->history };
    return take_rules(o, rules, out);
}

static int take_namespaces(const linnet_hub_options *o, ln_namespaces **out) {
    if (o->namespace_count > LN_NAMESPACES_MAX) return LINNET_ERR_LIMIT;
    if (o->namespace_count && !o->namespaces) return LINNET_ERR_INVAL;
    ln_namespace standard = namespace_of(
        o->live, o->history_count, o->history_ms, o->history_bytes);
    const linnet_rule rules[LN_ACTS] = { o->subscribe, o->publish, o->presence, o->history };
    int err = take_rules(o, rules, &standard);
    if (err < 0) return err;
    standard.members = o->members;
    standard.slow = (uint8_t)o->slow;
    standard.batch_ms = (uint16_t)o->batch_ms;
    ln_namespace *items = ln_calloc(o->namespace_count + 1, sizeof *items);
    if (!items) return LINNET_ERR_NOMEM;
    const char *at = (const char *)o->namespaces; /* one built with a later header is larger */
    size_t stride = o->namespace_count ? o->namespaces->size : 0;
    for (size_t i = 0; i < o->namespace_count && err == LINNET_OK; i++, at += stride) {
        const linnet_namespace *n = (const linnet_namespace *)(const void *)at;
        err = n->size == stride ? take_namespace(o, n, &items[i]) : LINNET_ERR_INVAL;
    }
    if (err == LINNET_OK) err = ln_namespaces_new(items, o->namespace_count, &standard, out);
    ln_free(items);
    return err;
}

static int take_resuming(const linnet_hub_options *o, ln_resuming *out) {
    uint32_t ms = o->resume_ms ? o->resume_ms : o->history_ms;
    static const ln_retention standard = LN_RETENTION_INIT;
    if (o->resume_key_count > LN_TICKET_KEYS || (o->resume_key_count && !o->resume_keys))
        return LINNET_ERR_INVAL;
    if (o->resume_ms == LINNET_OFF) return LINNET_OK;
    out->ttl_s = (ms ? ms : standard.age_ms) / 1000;
    if (!out->ttl_s) out->ttl_s = 1;
    int err = LINNET_OK;
    for (size_t i = 0; i < o->resume_key_count && err == LINNET_OK; i++)
        err = ln_ticket_keys_add(&out->keys, o->resume_keys[i]);
    return err;
}

int linnet_hub_new(const linnet_hub_options *options, linnet_hub **out) {
    linnet_hub_options standard = LINNET_HUB_OPTIONS_INIT;
    if (!options) options = &standard;
    if (!out || !ln_sized(options, sizeof *options) ||
        (unsigned)options->text > LINNET_HUB_TEXT_ECHO ||
        (unsigned)options->slow > LINNET_SLOW_LATEST || options->batch_ms > LN_BATCH_MS_MAX)
        return LINNET_ERR_INVAL;
    ln_pmd_policy deflate;
    linnet_hub *hub = ln_calloc(1, sizeof *hub);
    if (!hub) return LINNET_ERR_NOMEM;
    hub->options = *options;
    hub->options.channels_max = bounded(options->channels_max);
    hub->options.idle_channels = bounded(options->idle_channels);
    int err = ln_limits_conn(&options->limits, false, &hub->plain, &deflate);
    if (err < 0) {
        ln_free(hub);
        return err;
    }
    hub->plain.slow_code = 1008;
    hub->narrow = hub->plain.ws;
    hub->narrow.message_max = LN_LIM_UNKNOWN_MESSAGE;
    take_limits(&hub->options, &hub->plain, &hub->limits);
    err = ln_gate_init(&hub->gate, options->auth);
    if (err == LINNET_OK) err = take_namespaces(&hub->options, &hub->namespaces);
    if (err == LINNET_OK) err = take_resuming(options, &hub->resuming);
    if (err == LINNET_OK) err = ln_hooks_new(options->hooks, &hub->hooks);
    if (err == LINNET_OK && hub->hooks) err = ln_jws_keys_new(&hub->no_keys);
    hub->options.namespaces = NULL; /* the caller's, like the next two */
    hub->options.auth = NULL;
    hub->options.hooks = NULL;
    hub->options.bans_file = NULL;
    hub->ledger.fd = -1;
    if (err == LINNET_OK && options->bans_file &&
        !(hub->bans_file = ln_slice_dup(linnet_str(options->bans_file))))
        err = LINNET_ERR_NOMEM;
    hub->options.resume_keys = NULL;
    if (err < 0)
        linnet_hub_free(hub);
    else
        *out = hub;
    return err;
}

void linnet_hub_free(linnet_hub *hub) {
    if (!hub) return;
    ln_namespaces_unref(hub->namespaces);
    ln_gate_fini(&hub->gate);
    ln_hooks_free(hub->hooks);
    ln_jws_keys_unref(hub->no_keys);
    ln_ledger_close(&hub->ledger);
    ln_free(hub->bans_file);
    explicit_bzero(&hub->resuming, sizeof hub->resuming);
    ln_free(hub);
}

/* ---- the route ----------------------------------------------------------------------- */

static bool is_name(ln_slice s) {
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < ' ' || s.data[i] == 127 || s.data[i] == '/') return false;
    return s.size > 0 && s.size <= LN_CLIENT_NAME_MAX && ln_utf8_valid(s);
}

/* One that had to wait for a key is asked again, and counts twice. */
static bool comes_too_often(const hub_worker *h, linnet_upgrade *u, uint32_t *wait_ms) {
    ln_hub *hub = h->sessions.hub;
    ln_ip who;
    if (!h->limits.connects.per_s || !ln_visitor_address(u->conn, &u->x->head, &who)) return false;
    ln_account a = ln_account_named(
        hub->key, LN_ACCOUNT_ADDRESS_CONNECT, ln_slice_of(&who, sizeof who));
    return !ln_hub_spend(hub, a, h->limits.connects, wait_ms);
}

/* "?resume=1": it will show a ticket with its first message, and nothing else will do; so nobody is
 * asked about it before the 101, where somebody would be. */
static bool returns(const hub_worker *h, linnet_upgrade *u) {
    bool asked = ln_asker_wants(h->sessions.asker, LN_ASK_CONNECT) ||
                 (h->gate.on && h->gate.reject == LINNET_AUTH_REJECT_HTTP);
    return asked && h->sessions.resuming && linnet_upgrade_query(u, "resume").data;
}

/* Whether one of the words between commas is this one. */
static bool is_among(ln_slice list, ln_slice word) {
    while (list.size) {
        size_t end = ln_slice_find(list, ',');
        if (end > list.size) end = list.size;
        if (ln_slice_eq(ln_slice_sub(list, 0, end), word)) return true;
        ln_slice_skip(&list, end < list.size ? end + 1 : end);
    }
    return false;
}

/* Who comes. An accepted upgrade may still have failed for want of memory, so that somebody is
 * remembered who never came. */
static linnet_verdict ask_gate(hub_worker *h, linnet_upgrade *u, bool may_return) {
    ln_entrant known = { 0 };
    uint64_t now_s = ln_hub_wall(h->sessions.hub) / 1000;
    uint32_t wait_ms;
    if (comes_too_often(h, u, &wait_ms)) {
        ln_stat_add(&h->sessions.limited_handshakes, 1);
        return ln_gate_too_many(u, wait_ms, "too many connections at once\n");
    }
    ln_entry_clear(&h->entry);
    h->entry.returns = may_return && returns(h, u);
    linnet_verdict verdict = h->entry.returns
                                 ? ln_gate_address(&h->gate, u, now_s)
                                 : ln_gate_ask(&h->gate, u, h->sessions.failures, now_s, &known);
    h->entry.identity = known.identity;
    h->entry.refused = known.refused;
    h->entry.vouched = false;
    return verdict;
}

static linnet_verdict ask_backend(hub_worker *h, linnet_upgrade *u) {
    return h->entry.returns ? LINNET_ACCEPT : ln_doorman_ask(&h->doorman, u);
}

static bool take_feed(hub_worker *h, linnet_upgrade *u, ln_slice channel) {
    h->entry.feed_size = 0;
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, channel);
    if (err == LINNET_ERR_DENIED) linnet_upgrade_reject(u, 403, "that channel is reserved\n");
    if (err == LINNET_ERR_INVAL) linnet_upgrade_reject(u, 400, "that is no name for a channel\n");
    if (err < 0) return false;
    h->entry.feed_size = (uint8_t)channel.size;
    memcpy(h->entry.feed, channel.data, channel.size);
    return true;
}

/* What the path names behind the route's. */
static ln_slice rest_of_path(linnet_upgrade *u) {
    linnet_slice path = linnet_upgrade_path(u);
    return ln_slice_sub(path, u->route->path_size, path.size);
}

static linnet_verdict feed_upgrade(linnet_upgrade *u, void *user) {
    (void)user;
    hub_worker *h = ln_worker_of(u->conn)->sessions;
    h->entry.dialect = LN_USER_FEED;
    h->entry.bin = false;
    h->entry.client_size = 0;
    if (!take_feed(h, u, rest_of_path(u))) return LINNET_REJECT;
    linnet_verdict verdict = ask_gate(h, u, false);
    return verdict == LINNET_ACCEPT ? ask_backend(h, u) : verdict;
}

static linnet_verdict hub_upgrade(linnet_upgrade *u, void *user) {
    (void)user;
    hub_worker *h = ln_worker_of(u->conn)->sessions;
    h->entry.dialect = ln_dialect_by_name(linnet_upgrade_query(u, "dialect"));
    h->entry.bin = is_among(linnet_upgrade_query(u, "caps"), LN_SLICE("bin"));
    h->entry.client_size = h->entry.feed_size = 0;
    linnet_slice channel = linnet_upgrade_query(u, "channel");
    if (channel.data && !take_feed(h, u, channel)) return LINNET_REJECT;
    linnet_verdict verdict = ask_gate(h, u, !channel.data);
    if (verdict != LINNET_ACCEPT) return verdict;
    if (!u->route->prefix) return ask_backend(h, u);
    ln_slice name = rest_of_path(u);
    if (!is_name(name)) {
        linnet_upgrade_reject(u, 400, "that is no name for a client\n");
        return LINNET_REJECT;
    }
    h->entry.client_size = (uint8_t)name.size;
    memcpy(h->entry.client, name.data, name.size);
    return ask_backend(h, u);
}

/* NULL: nobody is asked who he is. */
static const ln_auth *auth_of(const hub_worker *h) {
    if (h->gate.on) return &h->gate.auth;
    return h->entry.identity || h->entry.returns ? &h->vouched : NULL;
}

static void hub_open(ln_conn *c) {
    const linnet_conn *conn = ln_conn_outer(c);
    hub_worker *h = ln_worker_of(conn)->sessions;
    ln_session_options o = {
        .limits = &h->limits,
        .dialect = conn->protocol ? ln_dialect_by_name(linnet_str(conn->protocol))
                                  : h->entry.dialect,
        .text = h->hub->options.text == LINNET_HUB_TEXT_ECHO ? LN_TEXT_ECHO : LN_TEXT_REFUSE,
        .plain = &h->hub->plain,
        .client = ln_slice_of(h->entry.client, h->entry.client_size),
        .bin = h->entry.bin,
        .auth = auth_of(h),
        .narrow = &h->hub->narrow,
        .identity = h->entry.identity,
        .refused = h->entry.identity ? LN_JWS_FAULT_NONE : h->entry.refused,
        .data = ln_slice_of(h->entry.data, h->entry.data_size),
        .returns = h->entry.returns,
    };
    if (o.dialect == LN_USER_FEED) o.feed = ln_slice_of(h->entry.feed, h->entry.feed_size);
    h->entry.identity = NULL;
    h->doorman.entered = true;
    int err = ln_session_open(&h->sessions, c, &o);
    h->doorman.lost = err < 0;
    ln_entry_clear(&h->entry);
    if (err < 0)
        ln_conn_fail(c, err);
    else if (o.dialect == LN_USER_FEED && !o.feed.size)
        ln_conn_close(c, 1008, LN_SLICE("linnet.raw wants a channel"));
}

static void hub_unopened(ln_conn *c, uint16_t code, ln_slice reason, int err) {
    (void)c; /* there was no memory for a session */
    (void)code;
    (void)reason;
    (void)err;
}

/* A session puts its own in their place. */
static const ln_conn_ops hub_ops = { .on_open = hub_open, .on_close = hub_unopened };

/* Before its workers copy it. Without keys for tickets it gets one that nobody else has. */
static int name_node(linnet_hub *hub, ln_world *world) {
    uint8_t secret[LN_TICKET_KEY_MIN];
    ln_rand rand;
    ln_world_rand(world, &rand);
    ln_native_epoch_put(ln_rand_u64(&rand), hub->node);
    if (hub->resuming.keys.count) return LINNET_OK;
    ln_rand_bytes(&rand, secret, sizeof secret);
    int err = ln_ticket_keys_add(&hub->resuming.keys, ln_slice_of(secret, sizeof secret));
    explicit_bzero(secret, sizeof secret);
    return err;
}

static int declare(
    linnet_server *s, const char *path, linnet_hub *hub, const linnet_ws_route *route) {
    linnet_ws_route full = LINNET_WS_ROUTE_INIT;
    if (route) full = *route;
    full.limits = hub->options.limits;
    full.origins = hub->options.origins;
    int err = route ? linnet_server_ws(s, path, &full) : ln_route_streams(s, path, full.origins);
    if (err == LINNET_OK) s->routes->ops = &hub_ops; /* the one just declared: it is the hub's */
    return err;
}

/* route: without what the hub knows; NULL: it is one of event streams. */
static int add_route(
    linnet_server *s, const char *path, linnet_hub *hub, const linnet_ws_route *route) {
    if (ln_flag_up(&s->running) || (s->hub && s->hub != hub) || (hub->server && hub->server != s))
        return LINNET_ERR_STATE;
    bool first = !s->hub;
    int err = hub->server ? LINNET_OK : name_node(hub, s->world);
    if (err == LINNET_OK) err = ln_server_hubs(s, hub);
    if (err < 0) return err;
    err = declare(s, path, hub, route);
    if (err < 0 && first) ln_server_unhubs(s);
    if (err == LINNET_OK) hub->server = s;
    return err;
}

int linnet_server_hub(linnet_server *s, const char *path, linnet_hub *hub) {
    if (!s || !hub) return LINNET_ERR_INVAL;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.subprotocols = ln_dialect_protocols;
    route.on_upgrade = hub_upgrade;
    return add_route(s, path, hub, &route);
}

int linnet_server_feed(linnet_server *s, const char *path, linnet_hub *hub) {
    if (!s || !hub || !path) return LINNET_ERR_INVAL;
    size_t size = strlen(path);
    if (size < 2 || strcmp(path + size - 2, "/*") != 0) return LINNET_ERR_INVAL;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.subprotocols = ln_dialect_feed_protocols;
    route.on_upgrade = feed_upgrade;
    return add_route(s, path, hub, &route);
}

int linnet_server_sse(linnet_server *s, const char *path, linnet_hub *hub) {
    if (!s || !hub) return LINNET_ERR_INVAL;
    return add_route(s, path, hub, NULL);
}

linnet_verdict ln_host_hub_visit(linnet_upgrade *u, ln_entry **out) {
    const linnet_loop *w = ln_worker_of(u->conn);
    hub_worker *h = w->sessions;
    h->entry.dialect = LN_DIALECT_AUTO;
    h->entry.client_size = h->entry.feed_size = 0;
    *out = &h->entry;
    if (ln_budget_crowded(&w->server->budget)) {
        linnet_upgrade_reject(u, 503, "too much is waiting to be sent\n");
        return LINNET_REJECT;
    }
    linnet_verdict verdict = ask_gate(h, u, false);
    return verdict == LINNET_ACCEPT ? ln_doorman_ask(&h->doorman, u) : verdict;
}

bool ln_host_hub_may(const linnet_loop *w, const ln_identity *who, ln_slice channel) {
    const hub_worker *h = w->sessions;
    ln_permit_ask ask = { .space = ln_namespace_of(w->hub->homes.namespaces, channel),
        .who = who,
        .known = who || !h->gate.on };
    return ln_permit(&ask, LN_ACT_SUBSCRIBE, channel) == LINNET_OK;
}

/* ---- another configuration ----------------------------------------------------------- */

/* With a reference; NULL: nobody has to log in. */
static ln_jws_keys *keys_of(const linnet_hub *hub, const linnet_hub_options *o) {
    if (!hub->gate.on) return NULL;
    linnet_keys *given = o->auth ? o->auth->keys : NULL;
    ln_jws_keys *keys = given ? given->keys : hub->gate.keys;
    if (given) given->used = true;
    ln_jws_keys_ref(keys);
    return keys;
}

static int news_of(linnet_hub *hub, const linnet_hub_options *o, ln_news **out) {
    ln_news *n;
    int err = ln_news_new(o->origins, &n);
    if (err < 0) return err;
    take_limits(o, &hub->plain, &n->limits);
    err = take_namespaces(o, &n->namespaces);
    if (err == LINNET_OK) n->keys = keys_of(hub, o);
    if (err < 0)
        ln_news_unref(n);
    else
        *out = n;
    return err;
}

/* A letter for each worker, or none. */
static int letters_of(ln_news *n, ln_post **posts, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        posts[i] = ln_post_new(LN_POST_RELOAD, 0, 0, NULL, ln_slice_of("", 0));
        if (posts[i]) {
            ln_ref_get(&n->refs, 1);
            posts[i]->ctx = n;
            continue;
        }
        while (i--)
            ln_post_free(posts[i]);
        return LINNET_ERR_NOMEM;
    }
    return LINNET_OK;
}

int linnet_hub_reload(linnet_hub *hub, const linnet_hub_options *options) {
    if (!hub || !options || !ln_sized(options, sizeof *options)) return LINNET_ERR_INVAL;
    linnet_server *s = hub->server;
    if (!s) return LINNET_ERR_STATE;
    ln_news *n;
    ln_post *posts[LN_LIM_WORKERS];
    int err = news_of(hub, options, &n);
    if (err < 0) return err;
    err = letters_of(n, posts, s->worker_count);
    for (unsigned i = 0; i < s->worker_count && err == LINNET_OK; i++)
        ln_inbox_post(
            s->workers[i]->inbox, &posts[i]->letter, &posts[i]->letter, 1, posts[i]->letter.bytes);
    ln_news_unref(n);
    return err;
}

void ln_host_hub_news(linnet_loop *w, ln_post *m) {
    hub_worker *h = w->sessions;
    if (!h) return; /* the server has left this loop */
    ln_news *old = h->news;
    h->news = m->ctx;
    m->ctx = NULL;
    h->limits = h->news->limits;
    h->gate.keys = h->news->keys;
    h->gate.auth.keys = h->news->keys;
#if defined(LN_PLANT) && LN_PLANT == 22 /* tests/sim: one worker goes by the old rules */
    if (w->index == 0)
#endif
        ln_hub_reload(w->hub, h->news->namespaces);
    ln_keyring_refresh(w->keyring);
    ln_news_unref(old);
}

void ln_host_hub_unnews(void *news) {
    ln_news_unref(news);
}

void ln_host_hub_origins(const linnet_loop *w, const ln_route *r, ln_origin_policy *p, bool *own) {
    const hub_worker *h = w->sessions;
    if (!h || !h->news || r->ops != &hub_ops) return;
    p->allowed = h->news->origins;
    p->allowed_count = h->news->origin_count;
    *own = h->news->own_origins;
}

/* ---- words of members that come and go ------------------------------------------------------ */

int linnet_hub_on_presence(linnet_hub *hub, linnet_presence_fn *fn, void *ctx) {
    if (!hub) return LINNET_ERR_INVAL;
    if (hub->server) return LINNET_ERR_STATE;
    hub->heard = (ln_heard){ fn, ctx };
    return LINNET_OK;
}

ln_heard ln_host_hub_heard(const linnet_hub *hub) {
    return hub->heard;
}

/* ---- words ------------------------------------------------------------------------------ */

void linnet_epoch_put(uint64_t epoch, char out[17]) {
    ln_num_hex16_put(epoch, out);
    out[LN_NUM_HEX16] = 0;
}

bool linnet_epoch_get(linnet_slice text, uint64_t *out) {
    uint64_t epoch;
    if (!ln_num_hex16(text, &epoch) || !epoch) return false;
    *out = epoch;
    return true;
}

int linnet_hub_error_code(int err) {
    return (int)ln_session_code(err);
}

int linnet_hub_describe_error(int code, linnet_hub_error *out) {
    if (!out || !ln_sized(out, sizeof *out)) return LINNET_ERR_INVAL;
    if (!ln_native_known(code)) return LINNET_ERR_INVAL;
    out->name[ln_native_name((ln_native_code)code, out->name)] = 0;
    out->words = ln_native_words((ln_native_code)code);
    out->retry = ln_native_retry((ln_native_code)code);
    return LINNET_OK;
}

/* ---- on a worker ------------------------------------------------------------------------- */

int ln_host_hub_broker(linnet_hub *hub, linnet_loop *w, ln_broker **out) {
    const linnet_hub_options *o = &hub->options;
    *out = NULL;
    w->server->budget.history_max = ln_budget_of(w->server, o->history_bytes_all);
    ln_memory_options m = {
        .key = w->server->key,
        .rand = &w->env.rand,
        .total_bytes_max = ln_budget_of(w->server, o->history_bytes_all),
        .idle_max = o->idle_channels,
        .idle_ms = o->idle_ms,
        .logs_max = o->channels_max,
    };
    return ln_memory_new(&m, out);
}

void ln_host_hub_leave(linnet_hub *hub) {
    hub->server = NULL;
}

const ln_keyring_config *ln_host_hub_jwks(const linnet_hub *hub) {
    return hub->gate.jwks;
}

ln_ledger *ln_host_hub_ledger(linnet_hub *hub) {
    return hub->ledger.fd >= 0 ? &hub->ledger : NULL;
}

ln_namespaces *ln_host_hub_namespaces(const linnet_hub *hub) {
    return hub->namespaces;
}

uint32_t ln_host_hub_channels(const linnet_hub *hub) {
    return hub->options.channels_max;
}

/* So many in ten seconds. */
static ln_rate failures_rate(const linnet_hub *hub) {
    uint32_t most = or_default(hub->options.auth_failures, LN_LIM_AUTH_FAILURES);
    if (most == LINNET_OFF) return (ln_rate){ 0, 0 };
    return (ln_rate){ .per_s = most >= 10 ? most / 10 : 1, .burst = most };
}

static bool address_of(const ln_conn *c, ln_ip *who) {
    return ln_visitor_address((const linnet_conn *)(const void *)c, NULL, who);
}

int ln_host_hub_open(linnet_hub *hub, linnet_loop *w) {
    hub_worker *h = ln_calloc(1, sizeof *h);
    if (!h) return LINNET_ERR_NOMEM;
    h->hub = hub;
    h->entry.dialect = LN_DIALECT_AUTO;
    h->limits = hub->limits;
    h->gate = hub->gate;
    ln_slice node = ln_slice_of(hub->node, sizeof hub->node);
    int err = ln_sessions_init(&h->sessions, w->hub, &w->env.rand, node);
    if (err < 0) {
        ln_free(h);
        return err;
    }
    h->gate.auth.bans = &h->sessions.bans;
    h->vouched = (ln_auth){ .keys = hub->no_keys, .anonymous = true, .bans = &h->sessions.bans };
    if (!hub->started) hub->started = (uint32_t)(ln_world_wall(w->world) / 1000);
    h->sessions.started = hub->started;
    h->sessions.failures = failures_rate(hub);
    h->sessions.address_of = address_of;
    if (hub->resuming.ttl_s) h->sessions.resuming = &hub->resuming;
    err = ln_keyring_new(hub->gate.jwks, w, &h->sessions, &h->gate.auth, &w->keyring);
    if (err == LINNET_OK)
        err = ln_hook_worker_new(hub->hooks, hub, w, &h->sessions, node, &w->hooks);
    if (err < 0) {
        ln_keyring_free(w->keyring);
        w->keyring = NULL;
        ln_sessions_fini(&h->sessions);
        ln_free(h);
        return err;
    }
    ln_doorman_init(&h->doorman, w, hub->hooks, ln_hook_worker_asker(w->hooks), &h->entry);
    ln_hook_worker_use(w->hooks, &h->doorman);
    ln_program_init(&h->program, hub, w);
    ln_sse_use(w, &hub->plain);
    w->sessions = h;
    ln_host_presence_open(hub, w);
    if ((err = ln_bans_open(w, hub->bans_file, &hub->ledger)) < 0) ln_host_hub_close(w);
    return err;
}

void ln_host_hub_end(linnet_loop *w) {
    hub_worker *h = w->sessions;
    if (h) ln_program_end(&h->program);
}

void ln_host_hub_close(linnet_loop *w) {
    hub_worker *h = w->sessions;
    if (!h) return;
    ln_host_hub_end(w);
    ln_tails_free(w);
    ln_host_presence_close(w);
    ln_entry_clear(&h->entry);
    ln_keyring_free(w->keyring);
    w->keyring = NULL;
    ln_readers_end(w);
    ln_hook_worker_end(w->hooks);
    ln_doorman_fini(&h->doorman);
    ln_sessions_fini(&h->sessions);
    ln_hook_worker_free(w->hooks);
    w->hooks = NULL;
    ln_program_fini(&h->program);
    ln_news_unref(h->news);
    if (w->index == 0) ln_ledger_close(&h->hub->ledger);
    ln_free(h);
    w->sessions = NULL;
}

ln_program *ln_host_hub_program(linnet_loop *w) {
    hub_worker *h = w->sessions;
    return h ? &h->program : NULL;
}

ln_sessions *ln_host_hub_people(linnet_loop *w) {
    hub_worker *h = w->sessions;
    return h ? &h->sessions : NULL;
}

const ln_sessions *ln_host_hub_sessions(const linnet_loop *w) {
    const hub_worker *h = w->sessions;
    return h ? &h->sessions : NULL;
}

linnet_server *ln_host_hub_server(const linnet_hub *hub) {
    return hub->server;
}

void ln_host_hub_tick(linnet_loop *w) {
    hub_worker *h = w->sessions;
    if (!h) return;
    ln_sessions_tick(&h->sessions);
    ln_doorman_tick(&h->doorman);
    ln_keyring_tick(w->keyring);
    ln_readers_tick(w);
    ln_occupancy_tick(&w->occupancy, ln_loop_now(w->net));
    ln_sse_tick(w);
    ln_tails_tick(w);
}

ln_msec ln_host_hub_deadline(const linnet_loop *w) {
    const hub_worker *h = w->sessions;
    if (!h) return LN_NEVER;
    ln_msec at = ln_sessions_deadline(&h->sessions), other = ln_doorman_deadline(&h->doorman);
    if (other < at) at = other;
    other = ln_readers_deadline(w);
    if (other < at) at = other;
    other = ln_occupancy_deadline(&w->occupancy);
    if (other < at) at = other;
    other = ln_keyring_deadline(w->keyring);
    if (other < at) at = other;
    other = ln_sse_deadline(w);
    if (other < at) at = other;
    other = ln_tails_deadline(w);
    return other < at ? other : at;
}
