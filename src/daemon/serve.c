#include "daemon/serve.h"
#include "daemon/access.h"
#include "daemon/folder.h"
#include "daemon/log.h"
#include "daemon/ops.h"
#include "daemon/pages.h"
#include "daemon/reload.h"
#include "daemon/run.h"
#include "daemon/ticketkey.h"
#include <linnet/linnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESS    "127.0.0.1:8080"
#define SPACES_MAX 255 /* as the rows say, and the next two */
#define DOORS_MAX  32
#define NAMES_MAX  1024
#define POLICY                                                                                     \
    "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'"

/* ---- answers ---------------------------------------------------------------------- */

/* It comes from the worker's own loop, so an answer proves that the loop turns. While connections
 * are being closed the library answers every request with 503 before any handler is asked. */
static void on_health(linnet_request *r, void *user) {
    linnet_request_add_header(r, "Cache-Control", "no-store");
    linnet_request_answer(r, 200, NULL, linnet_str("ok\n"));
}

/* It says no as soon as the server was asked to leave, though it may serve on for a while. */
static void on_ready_asked(linnet_request *r, void *user) {
    bool leaving = linnet_server_draining(user);
    linnet_request_add_header(r, "Cache-Control", "no-store");
    linnet_request_answer(
        r, leaving ? 503 : 200, NULL, linnet_str(leaving ? "draining\n" : "ok\n"));
}

static void on_root(linnet_request *r, void *user) {
    linnet_request_add_header(r, "Location", "/demo/");
    linnet_request_answer(r, 302, NULL, linnet_str("the pages are at /demo/\n"));
}

static int http(linnet_server *s, const char *path, linnet_http_handler *handler) {
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    route.handler = handler;
    route.user = s;
    return linnet_server_http(s, path, &route);
}

static int declare(linnet_server *s, linnet_hub *hub) {
    static const char *const paths[] = { "/ws", "/ws/*", "/" };
    int err = LINNET_OK;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0] && err == LINNET_OK; i++)
        err = linnet_server_hub(s, paths[i], hub);
    if (err == LINNET_OK) err = linnet_server_feed(s, "/feed/*", hub);
    if (err == LINNET_OK) err = linnet_server_sse(s, "/sse", hub);
    if (err == LINNET_OK) err = http(s, "/healthz", on_health);
    if (err == LINNET_OK) err = http(s, "/readyz", on_ready_asked);
    if (err == LINNET_OK) err = http(s, "/", on_root);
    if (err == LINNET_OK) err = linnet_server_assets(s, ln_pages, ln_pages_count, POLICY);
    return err;
}

/* ---- words ------------------------------------------------------------------------ */

typedef struct service { /* what the callbacks of a run know */
    const ln_options *o;
    ln_ops *ops;
    ln_logger *log;
    linnet_server *server;
    linnet_hub *hub;
    ln_reload reload;
} service;

/* Where nobody logs in, who can reach the address can publish. */
static int may_serve(const ln_addresses *bound, void *ctx) {
    const ln_options *o = ((service *)ctx)->o;
    if (ln_access_wanted(o)) return -1;
    for (size_t i = 0; i < bound->count && !o->insecure; i++) {
        if (ln_address_is_local(bound->text[i])) continue;
        ln_say(
            "%s can be reached from other machines, and whoever reaches it may subscribe and\n"
            "publish without logging in. Listen on 127.0.0.1 behind a proxy that decides who\n"
            "may come, give --jwt-key-file so that clients log in, or say --insecure if everybody\n"
            "may.",
            bound->text[i]);
        return 2;
    }
    return -1;
}

static void say_who(const ln_options *o) {
    static const char *const guests[] = { "have to log in", "may stay without a token",
        "may subscribe without a token", "may subscribe and publish without a token" };
    if (ln_access_wanted(o))
        ln_say("clients log in with a token, and %s", guests[o->auth_anonymous]);
    else
        ln_say("anonymous clients may subscribe, publish and see who is there in every ordinary "
               "channel%s",
            o->insecure ? "; --insecure: from anywhere" : "");
}

static void on_ready(const ln_addresses *bound, void *ctx) {
    const service *v = ctx;
    const ln_options *o = v->o;
    for (size_t i = 0; i < bound->count; i++) {
        const char *at = bound->text[i], *s = bound->tls[i] ? "s" : "";
        if (strncmp(at, "unix:", 5) == 0) {
            fprintf(stderr, "  %s  WebSocket and HTTP as below\n", at);
            continue;
        }
        fprintf(stderr, "  ws%s://%s/ws            channels, for any WebSocket client\n", s, at);
        fprintf(stderr, "  http%s://%s/demo/chat/  a chat to try; /demo/ has all pages\n", s, at);
        fprintf(stderr, "  http%s://%s/healthz     for supervisors, and /readyz\n", s, at);
    }
    say_who(o);
    ln_ops_ready(v->ops, bound);
}

/* ---- the server ------------------------------------------------------------------- */

/* Every connection is a descriptor; what the hard limit allows is meant to be used. */
static void raise_descriptors(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == r.rlim_max) return;
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}

/* log NULL: it says nothing. */
static int new_server(const ln_options *o, ln_logger *log, linnet_server **out) {
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    so.workers = (unsigned)o->workers;
    so.busy_poll_us = (uint32_t)o->busy_poll;
    so.connections_max = (uint32_t)o->max_connections;
    if (o->connections_per_ip != LINNET_OFF)
        so.connections_per_ip = (uint32_t)o->connections_per_ip;
    so.head_ms = (uint32_t)o->head_time;
    so.drain_ms = (uint32_t)o->drain_time;
    so.drain_lead_ms = (uint32_t)o->drain_lead;
    so.drain_rate = (uint32_t)o->drain_rate;
    so.queued_all_max = o->queue_total;
    so.notsent_lowat = (uint32_t)o->notsent_lowat;
    so.user_timeout_ms = (uint32_t)o->user_timeout;
    so.server_name = o->server_name;
    so.log = log ? ln_logger_put : NULL;
    so.log_ctx = log;
    so.log_level = (linnet_log_level)o->log_level;
    if (o->trusted_proxies.count) so.trusted_proxies = o->trusted_proxies.items;
    so.client_field = (linnet_client_field)o->client_field;
    return linnet_server_new(&so, out);
}

static void take_limits(const ln_options *o, linnet_conn_limits *l) {
    l->message_max = o->max_message;
    l->fragments_max = (uint32_t)o->fragments;
    l->queued_max = (uint32_t)o->queue;
    l->queued_age_ms = (uint32_t)o->queue_age;
    l->high_mark = (uint32_t)o->queue_high;
    l->low_mark = (uint32_t)o->queue_low;
    l->ping_ms = (uint32_t)o->ping;
    l->pong_ms = (uint32_t)o->pong;
    l->idle_ms = (uint32_t)o->idle;
    l->message_ms = (uint32_t)o->message_time;
    l->close_ms = (uint32_t)o->close_time;
    l->control_per_s = (uint32_t)o->controls;
    l->deflate = (linnet_deflate)o->deflate;
    l->deflate_threshold = (uint32_t)o->deflate_threshold;
    l->deflate_level = (uint32_t)o->deflate_level;
    l->window_bits = (uint32_t)o->window_bits;
}

static linnet_namespace namespace_of(const ln_space *space) {
    linnet_namespace n = LINNET_NAMESPACE_INIT;
    n.name = space->name;
    n.live = space->live;
    n.history_count = (uint32_t)space->history_count;
    n.history_ms = (uint32_t)space->history_age;
    n.history_bytes = (uint32_t)space->history_bytes;
    n.members = space->members;
    n.slow = (linnet_slow)space->slow;
    n.batch_ms = (uint32_t)space->batch_ms;
    n.subscribe = (linnet_rule)space->allow_subscribe;
    n.publish = (linnet_rule)space->allow_publish;
    n.presence = (linnet_rule)space->allow_presence;
    n.history = (linnet_rule)space->allow_history;
    return n;
}

/* What channels of no namespace are like has fields of its own in the options of a hub. */
static void take_standard(const ln_space *space, linnet_hub_options *ho) {
    linnet_namespace n = namespace_of(space);
    ho->live = n.live;
    ho->history_count = n.history_count;
    ho->history_ms = n.history_ms;
    ho->history_bytes = n.history_bytes;
    ho->members = n.members;
    ho->slow = n.slow;
    ho->batch_ms = n.batch_ms;
    ho->subscribe = n.subscribe;
    ho->publish = n.publish;
    ho->presence = n.presence;
    ho->history = n.history;
}

#define HOOKS 9

/* Where what is sent; `list` has room for HOOKS. */
static void take_hooks(const ln_options *o, linnet_webhook *list, linnet_hooks *out) {
    const struct {
        const char *url;
        linnet_hook hook;
    } urls[HOOKS] = { { o->webhook_connect, LINNET_HOOK_CONNECT },
        { o->webhook_subscribe, LINNET_HOOK_SUBSCRIBE },
        { o->webhook_publish, LINNET_HOOK_PUBLISH }, { o->webhook_call, LINNET_HOOK_CALL },
        { o->webhook_event, LINNET_HOOK_EVENT }, { o->webhook_disconnect, LINNET_HOOK_DISCONNECT },
        { o->webhook_refresh, LINNET_HOOK_REFRESH }, { o->webhook_occupied, LINNET_HOOK_OCCUPIED },
        { o->webhook_vacated, LINNET_HOOK_VACATED } };
    for (size_t i = 0; i < HOOKS; i++) {
        linnet_webhook one = LINNET_WEBHOOK_INIT;
        if (!urls[i].url) continue;
        one.url = urls[i].url;
        one.hooks = LINNET_HOOK_BIT(urls[i].hook);
        list[out->webhook_count++] = one;
    }
    out->webhooks = list;
    out->keys = o->webhook_keys.items;
    out->ca_file = o->webhook_ca;
    if (o->webhook_headers.count) out->headers = o->webhook_headers.items;
    out->timeout_ms = (uint32_t)o->webhook_time;
    out->retries = (uint32_t)o->webhook_retries;
    out->queue_max = (uint32_t)o->webhook_queue;
    out->queue_bytes = o->webhook_queue_bytes;
}

/* What counts for all connections of a user or an address. */
static void take_shared(const ln_options *o, linnet_hub_options *ho) {
    ho->connections_per_user = (uint32_t)o->connections_per_user;
    ho->user_publish_rate = (uint32_t)o->user_publish_rate;
    ho->user_publish_burst = (uint32_t)o->user_publish_burst;
    ho->user_command_rate = (uint32_t)o->user_command_rate;
    ho->user_command_burst = (uint32_t)o->user_command_burst;
    ho->address_publish_rate = (uint32_t)o->ip_publish_rate;
    ho->address_publish_burst = (uint32_t)o->ip_publish_burst;
    ho->address_command_rate = (uint32_t)o->ip_command_rate;
    ho->address_command_burst = (uint32_t)o->ip_command_burst;
    ho->address_connect_rate = (uint32_t)o->ip_connect_rate;
    ho->address_connect_burst = (uint32_t)o->ip_connect_burst;
}

/* A hub, or the one that is there with other options. keeps: in files what is to outlive it. */
static int make_hub(
    const ln_options *o, const linnet_auth_options *auth, bool keeps, linnet_hub **hub) {
    char bans[LN_FOLDER_PATH_MAX];
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    linnet_namespace spaces[SPACES_MAX];
    ln_ticketkeys tickets;
    if (!ln_ticketkeys_take(&tickets, o, keeps)) return LINNET_ERR_INVAL;
    ho.resume_keys = tickets.keys;
    ho.resume_key_count = tickets.count;
    ho.resume_ms = (uint32_t)o->resume_time;
    for (size_t i = 0; i < o->namespaces.count; i++)
        spaces[i] = namespace_of(ln_options_space(o, i));
    ho.namespaces = spaces;
    ho.namespace_count = o->namespaces.count;
    take_limits(o, &ho.limits);
    take_standard(&o->standard, &ho);
    ho.text = (linnet_hub_text)o->first_text;
    ho.history_bytes_all = o->history_all;
    ho.idle_channels = (uint32_t)o->idle_channels;
    ho.idle_ms = (uint32_t)o->idle_channels_time;
    ho.channels_max = (uint32_t)o->channels_max;
    ho.channels_per_connection = (uint32_t)o->channels_per_connection;
    ho.outstanding_max = (uint32_t)o->outstanding;
    ho.commands_max = (uint32_t)o->commands;
    ho.errors_max = (uint32_t)o->errors;
    ho.publish_rate = (uint32_t)o->publish_rate;
    ho.publish_burst = (uint32_t)o->publish_burst;
    ho.subscribe_rate = (uint32_t)o->subscribe_rate;
    ho.subscribe_burst = (uint32_t)o->subscribe_burst;
    ho.read_rate = (uint32_t)o->read_rate;
    ho.read_burst = (uint32_t)o->read_burst;
    ho.auth_rate = (uint32_t)o->auth_rate;
    ho.auth_burst = (uint32_t)o->auth_burst;
    ho.auth_failures = (uint32_t)o->auth_failures;
    take_shared(o, &ho);
    if (o->origins.count) ho.origins = o->origins.items;
    ho.auth = auth;
    if (keeps) ho.bans_file = ln_folder_file(o, "bans", bans);
    linnet_webhook webhooks[HOOKS];
    linnet_hooks hooks = LINNET_HOOKS_INIT;
    take_hooks(o, webhooks, &hooks);
    if (hooks.webhook_count && !*hub) ho.hooks = &hooks; /* others are for the next start */
    int err = *hub ? linnet_hub_reload(*hub, &ho) : linnet_hub_new(&ho, hub);
    ln_ticketkeys_forget(&tickets);
    return err;
}

/* Where it listens, besides the list of addresses. */
typedef struct doors {
    ln_run_door doors[DOORS_MAX];
    ln_run_name names[NAMES_MAX];
} doors;

static void take_doors(const ln_options *o, doors *d) {
    for (size_t i = 0; i < o->listeners.count; i++) {
        const ln_door *from = ln_options_door(o, i);
        bool plain = from->tls == LN_DOOR_PLAIN;
        d->doors[i] = (ln_run_door){ .address = from->address };
        if (plain) continue;
        d->doors[i].cert = from->cert ? from->cert : o->tls_cert;
        d->doors[i].key = from->cert ? from->key : o->tls_key;
        d->doors[i].client_ca = from->client_ca ? from->client_ca : o->tls_client_ca;
    }
    for (size_t i = 0; i < o->certificates.count; i++) {
        const ln_certificate *from = ln_options_certificate(o, i);
        d->names[i] = (ln_run_name){ from->name, from->cert, from->key };
    }
}

static int apply_hub(const ln_options *o, service *v) {
    if (ln_access_wanted(o) != ln_access_wanted(v->o)) {
        ln_say("reload: whether clients have to log in wants a restart (auth.keys, auth.secrets, "
               "auth.jwks)");
        return LINNET_ERR_STATE;
    }
    ln_access access;
    if (!ln_access_init(&access, o)) return LINNET_ERR_INVAL;
    access.auth.anonymous = (linnet_anonymous)v->o->auth_anonymous; /* until a restart */
    int err = make_hub(o, ln_access_auth(&access), true, &v->hub);
    ln_access_fini(&access);
    if (err < 0) ln_say("reload: %s", linnet_strerror(err));
    return err;
}

/* Certificates first: they are what may be wrong although the configuration is not. */
static int apply(const ln_options *o, void *ctx) {
    service *v = ctx;
    int err = linnet_server_reload_tls(v->server);
    if (err < 0) {
        ln_say("reload: %s; the old certificates stay", linnet_server_error(v->server));
        return err;
    }
    err = apply_hub(o, v);
    if (err == LINNET_OK) linnet_server_log_level(v->server, (linnet_log_level)o->log_level);
    return err;
}

static void on_reload(void *ctx) {
    service *v = ctx;
    ln_reload_now(&v->reload);
}

static int run(service *v) {
    static const uint16_t codes[] = { 1012, 1001, 3001 }; /* the words of drain.code */
    const ln_options *o = v->o;
    doors d;
    take_doors(o, &d);
    ln_run run = { .server = v->server,
        .addresses = &o->listen,
        .cert = o->tls_cert,
        .key = o->tls_key,
        .client_ca = o->tls_client_ca,
        .doors = d.doors,
        .door_count = o->listeners.count,
        .names = d.names,
        .name_count = o->certificates.count,
        .systemd = true,
        .proxy_protocol = o->proxy_protocol,
        .otherwise = ADDRESS,
        .drain_code = codes[o->drain_code],
        .may = may_serve,
        .ready = on_ready,
        .reload = on_reload,
        .ctx = v };
    return ln_run_until_signal(&run);
}

/* What is in memory are keys and other people's words: no core dump, and no debugger or reader of
 * /proc/PID/mem of the same user, unless whoever looks for a fault asks for it. */
static void keep_to_oneself(void) {
    const char *asked = getenv("LINNET_CORE_DUMPS");
    if (asked && strcmp(asked, "1") == 0) return;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) ln_say("core dumps stay possible");
}

int ln_serve(const ln_options *o, const ln_told *told) {
    service v = { .o = o, .reload = { .told = told, .first = o, .apply = apply, .ctx = &v } };
    ln_access access;
    keep_to_oneself();
    if (!ln_access_init(&access, o)) return 1;
    raise_descriptors();
    int code = ln_ops_new(o, &v.ops);
    if (code >= 0) {
        ln_access_fini(&access);
        return code;
    }
    int err = ln_logger_new((ln_log_format)o->log_format, STDERR_FILENO, &v.log);
    if (err == LINNET_OK) err = new_server(o, v.log, &v.server);
    if (err == LINNET_OK) err = make_hub(o, ln_access_auth(&access), true, &v.hub);
    ln_access_fini(&access);
    if (err == LINNET_OK) err = declare(v.server, v.hub);
    if (err == LINNET_OK) err = ln_ops_declare(v.ops, v.server, v.hub, v.log);
    code = 1;
    const char *words = v.server ? linnet_server_error(v.server) : "";
    if (err < 0)
        ln_say("cannot start: %s", *words ? words : linnet_strerror(err));
    else
        code = run(&v);
    ln_ops_free(v.ops);
    linnet_server_free(v.server);
    linnet_hub_free(v.hub);
    ln_logger_free(v.log);
    ln_reload_fini(&v.reload);
    return code;
}

/* ---- as if ------------------------------------------------------------------------ */

/* A listener that nobody can find: an abstract Unix socket whose name the kernel makes up. */
static int hidden_listener(void) {
    struct sockaddr a = { .sa_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, &a, sizeof a.sa_family) == 0 && listen(fd, 1) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static int try_door(linnet_server *server, const ln_run_door *door) {
    linnet_tls_options tls = LINNET_TLS_OPTIONS_INIT;
    tls.cert_file = door->cert;
    tls.key_file = door->key;
    tls.client_ca_file = door->client_ca;
    int fd = door->cert ? hidden_listener() : -1;
    if (!door->cert || fd < 0) return LINNET_OK;
    int err = linnet_server_listen_fd(server, fd, &tls);
    if (err < 0) close(fd);
    return err;
}

static int try_certificates(const ln_options *o, linnet_server *server) {
    doors d;
    take_doors(o, &d);
    const ln_run_door first = { NULL, o->tls_cert, o->tls_key, o->tls_client_ca };
    int err = try_door(server, &first);
    for (size_t i = 0; i < o->listeners.count && err == LINNET_OK; i++)
        err = try_door(server, &d.doors[i]);
    for (size_t i = 0; i < o->certificates.count && err == LINNET_OK; i++)
        err = linnet_server_sni(server, d.names[i].name, d.names[i].cert, d.names[i].key);
    return err;
}

int ln_serve_try(const ln_options *o) {
    linnet_server *server = NULL;
    linnet_hub *hub = NULL;
    ln_access access;
    if (!ln_access_init(&access, o)) return 1;
    int err = new_server(o, NULL, &server);
    if (err == LINNET_OK) err = make_hub(o, ln_access_auth(&access), false, &hub);
    ln_access_fini(&access);
    if (err == LINNET_OK) err = declare(server, hub);
    const char *words = linnet_strerror(err);
    if (err == LINNET_OK && (err = try_certificates(o, server)) < 0)
        words = linnet_server_error(server);
    if (err < 0) ln_say("%s", words);
    linnet_server_free(server);
    linnet_hub_free(hub);
    return err < 0 ? 1 : 0;
}
