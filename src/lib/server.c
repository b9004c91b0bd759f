/* server.c -- listeners, workers, and how a server ends. */
#include "lib/server.h"
#include "base/mem.h"
#include "conn/inner.h"
#include "lib/hub.h"
#include "lib/sized.h"
#include "wire/url.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#define UNHEARD_MS 10000
#define POLITE     64 /* connections over the limit that still get a 503 */

int ln_server_say(linnet_server *s, int err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(s->error, sizeof s->error, format, args);
    va_end(args);
    return err;
}

const char *linnet_server_error(const linnet_server *s) {
    return s->error;
}

linnet_loop *ln_server_worker(linnet_server *s, uint32_t index) {
    return index < s->worker_count ? s->workers[index] : NULL;
}

unsigned linnet_server_workers(const linnet_server *s) {
    return s->worker_count;
}

linnet_loop *linnet_server_loop(linnet_server *s, unsigned worker) {
    return ln_server_worker(s, worker);
}

/* ---- new and free ----------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t standard) {
    return value == 0 ? standard : value == LINNET_OFF ? 0 : value;
}

static int worker_hub(linnet_server *s, linnet_loop *w, linnet_hub *hub) {
    ln_broker *broker = NULL;
    int err = hub ? ln_host_hub_broker(hub, w, &broker) : LINNET_OK;
    if (err < 0) return err;
    ln_hub_options o = { .self = w->index,
        .workers = s->worker_count,
        .namespaces = hub ? ln_host_hub_namespaces(hub) : NULL,
        .channels_max = hub ? ln_host_hub_channels(hub) : 0,
        .broker = broker,
        .key = s->key,
        .ctx = w,
        .post = ln_hub_posted };
    err = ln_hub_new(&o, &w->hub);
    if (err < 0) {
        if (broker) broker->ops->free(broker);
        return err;
    }
    w->hub->clock_us = ln_world_clock(s->world);
    ln_raw_use(w->hub);
    if (hub) err = ln_host_hub_open(hub, w);
    w->budget.broker = err == LINNET_OK ? broker : NULL;
    if (err == LINNET_OK) return LINNET_OK;
    ln_hub_free(w->hub);
    w->hub = NULL;
    return err;
}

void ln_server_unhubs(linnet_server *s) {
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i]) ln_worker_unhub(s->workers[i]);
    s->hub = NULL;
}

int ln_server_hubs(linnet_server *s, linnet_hub *hub) {
    int err = LINNET_OK;
    if (s->workers[0]->hub) return LINNET_OK;
    for (unsigned i = 0; i < s->worker_count && err == LINNET_OK; i++)
        err = worker_hub(s, s->workers[i], hub);
    if (err < 0)
        ln_server_unhubs(s);
    else
        s->hub = hub;
    return err;
}

static int make_workers(linnet_server *s) {
    linnet_loop_options o = LINNET_LOOP_OPTIONS_INIT;
    o.busy_poll_us = s->options.busy_poll_us;
    o.log = s->options.log;
    o.log_ctx = s->options.log_ctx;
    o.log_level = s->options.log_level;
    for (unsigned i = 0; i < s->worker_count; i++) {
        int err = ln_worker_new(s->world, &o, s, (uint8_t)i, &s->workers[i]);
        if (err < 0) return err;
        s->workers[i]->env.unsent = s->options.notsent_lowat;
        s->workers[i]->connections_max = LN_LIM_SLOTS; /* the server counts for all of them */
        if (!s->connections_max) s->connections_max = ln_worker_descriptors();
    }
    return LINNET_OK;
}

static void use_loop(linnet_server *s, linnet_loop *loop) {
    s->worker_count = 1;
    s->workers[0] = loop;
    loop->server = s;
    loop->index = loop->env.worker = 0;
    loop->env.unsent = s->options.notsent_lowat;
    if (!s->connections_max) s->connections_max = loop->connections_max;
}

static void take_options(linnet_server *s, const linnet_server_options *o) {
    s->options = *o;
    /* LINNET_OFF needs nothing: it is a month and a half. */
    s->options.head_ms = o->head_ms ? o->head_ms : LN_LIM_HEAD_MS;
    s->options.drain_ms = o->drain_ms ? o->drain_ms : LN_LIM_DRAIN_MS;
    s->options.notsent_lowat = or_default(o->notsent_lowat, LN_LIM_NOTSENT_LOWAT);
    s->options.user_timeout_ms = or_default(o->user_timeout_ms, LN_LIM_USER_TIMEOUT);
    s->connections_max = o->connections_max;
    if (o->queued_all_max != LINNET_OFF) s->budget.queued_max = ln_budget_of(s, o->queued_all_max);
}

int ln_server_new_in(ln_world *world, const linnet_server_options *options, linnet_server **out) {
    if (!options || !out || !ln_sized(options, sizeof *options) ||
        options->workers > LN_LIM_WORKERS)
        return LINNET_ERR_INVAL;
    if (options->server_name && !ln_http1_is_value(linnet_str(options->server_name)))
        return LINNET_ERR_INVAL;
    if ((unsigned)options->client_field > LINNET_FIELD_X_REAL_IP) return LINNET_ERR_INVAL;
    if (options->loop && options->loop->server) return LINNET_ERR_STATE;
    linnet_server *s = ln_calloc(1, sizeof *s);
    if (!s) return LINNET_ERR_NOMEM;
    s->world = world;
    take_options(s, options);
    s->own_loop = !options->loop;
    ln_rand r;
    ln_world_rand(world, &r);
    s->key = (ln_map_key){ ln_rand_u64(&r), ln_rand_u64(&r) };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    s->worker_count = options->workers ? options->workers : cores > 0 ? (unsigned)cores : 1;
    if (s->worker_count > LN_LIM_WORKERS) s->worker_count = LN_LIM_WORKERS;
    int err = LINNET_OK;
    if (options->server_name && !(s->name = ln_slice_dup(linnet_str(options->server_name))))
        err = LINNET_ERR_NOMEM;
    if (err == LINNET_OK) err = ln_visitor_trust(s, options->trusted_proxies);
    s->forwarded_by = (ln_forwarded_by)options->client_field;
    if (err == LINNET_OK && options->loop)
        use_loop(s, options->loop);
    else if (err == LINNET_OK)
        err = make_workers(s);
    if (err < 0) {
        linnet_server_free(s);
        return err;
    }
    *out = s;
    return LINNET_OK;
}

int linnet_server_new(const linnet_server_options *options, linnet_server **out) {
    return ln_server_new_in(NULL, options, out);
}

/* Those the host has dialled from its loop are not ours to end. */
static void drop(linnet_conn *conn, void *ctx) {
    if (!ln_conn_is(&conn->c, LN_CF_CLIENT)) ln_conn_terminate(&conn->c);
}

/* On the host's loop the server leaves everything as it found it. */
static void leave_loop(linnet_server *s) {
    linnet_loop *w = s->workers[0];
    if (!w) return;
    w->draining = true;
    ln_worker_each(w, drop, NULL);
    ln_server_unlisten(w);
    do /* at least once: for the mail that is here already */
        if (ln_worker_turn(w, 0) < 0) break;
    while (ln_stat_get(&w->served) || ln_server_listening(w));
    ln_worker_mail(w); /* what those who have gone leave behind */
    ln_timer_stop(ln_loop_wheel(w->net), &w->drain);
    ln_worker_unhub(w);
    ln_worker_mail(w); /* who is not through yet is told so while the server is there */
    ln_stat_sub(&w->refused, ln_stat_get(&w->refused)); /* they were of its listeners */
    ln_stat_sub(&w->starved, ln_stat_get(&w->starved));
    w->unheard_told = w->unheard_until = 0;
    w->server = NULL;
    w->index = w->env.worker = LN_WORKER_NONE;
    w->draining = false;
    w->drain_phase = LN_DRAIN_NOT;
    ln_flag_lower(&w->through);
}

/* Before the socket closes: nobody else can have made another there while it is open. */
static void remove_file(ln_entrance *l) {
    if (l->file) unlink(l->file);
    ln_free(l->file);
    l->file = NULL;
}

void linnet_server_free(linnet_server *s) {
    if (!s) return;
    assert(s->own_loop || !s->workers[0] || !s->workers[0]->turning); /* not from a callback */
    if (s->thread_count) {
        ln_flag_raise(&s->killed);
        linnet_server_stop(s, 0);
        linnet_server_join(s);
    }
    if (s->hub) ln_host_hub_leave(s->hub);
    if (!s->own_loop) leave_loop(s);
    for (unsigned i = 0; s->own_loop && i < s->worker_count; i++) {
        linnet_loop_free(s->workers[i]);
        s->workers[i] = NULL;
    }
    for (unsigned i = 0; i < s->listen_count; i++) {
        remove_file(&s->listens[i]);
        ln_tls_ctx_unref(s->listens[i].tls);
        ln_free(s->listens[i].listeners);
    }
    ln_routes_free(s);
    ln_free(s->trusted);
    ln_free(s->name);
    ln_free(s);
}

/* ---- listening -------------------------------------------------------------------- */

static int address_of(linnet_server *s, const char *text, ln_addr *out) {
    ln_url_listen l;
    if (!text || ln_url_listen_parse(linnet_str(text), &l) < 0 ||
        (!l.is_unix && l.kind == LN_URL_NAME && !ln_slice_eq_ci(l.host, LN_SLICE("localhost"))))
        return ln_server_say(s, LINNET_ERR_URL,
            "'%.100s' is no address to listen on: say HOST:PORT with a numeric host, [V6]:PORT, "
            ":PORT or unix:PATH",
            text ? text : "");
    memset(out, 0, sizeof *out);
    if (l.is_unix) {
        struct sockaddr_un *un = (struct sockaddr_un *)&out->storage;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, l.path.data, l.path.size);
        out->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + l.path.size + 1);
        return LINNET_OK;
    }
    char host[64] = "127.0.0.1";
    if (l.kind != LN_URL_NAME) {
        memcpy(host, l.host.data, l.host.size);
        host[l.host.size] = 0;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->storage;
    if (l.kind == LN_URL_V6) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(l.port);
        out->size = sizeof *v6;
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? LINNET_OK : LINNET_ERR_URL;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons(l.port);
    out->size = sizeof *v4;
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? LINNET_OK : LINNET_ERR_URL;
}

static bool is_loopback(const ln_addr *a) {
    if (a->sa.sa_family == AF_UNIX) return true;
    if (a->sa.sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)&a->storage)->sin_addr.s_addr) >> 24) == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&a->storage)->sin6_addr);
}

static ln_entrance *new_listen(linnet_server *s, const linnet_tls_options *tls, int *err) {
    *err = LINNET_ERR_LIMIT;
    if (s->listen_count == LN_LISTENS_MAX) return NULL;
    ln_entrance *l = &s->listens[s->listen_count];
    *l = (ln_entrance){ 0 };
    *err = LINNET_ERR_NOMEM;
    if (!(l->listeners = ln_calloc(s->worker_count, sizeof *l->listeners))) return NULL;
    if (tls) {
        ln_tls_options o = { .server = true,
            .cert_file = tls->cert_file,
            .key_file = tls->key_file,
            .ca_file = tls->client_ca_file,
            .verify = tls->client_ca_file != NULL,
            .alpn = "http/1.1" };
        if ((*err = ln_tls_ctx_new(&o, &l->tls, s->error)) < 0) {
            ln_free(l->listeners);
            return NULL;
        }
    }
    return l;
}

/* Only the first worker's listener makes the address; a TCP port is shared by SO_REUSEPORT,
 * anything else by a duplicate of the descriptor. */
static int listen_others(
    linnet_server *s, ln_entrance *l, int fd, const ln_addr *bound, const ln_listen_options *o) {
    for (unsigned i = 1; i < s->worker_count; i++) {
        ln_loop *net = s->workers[i]->net;
        int err, copy = -1;
        if (o && bound->sa.sa_family != AF_UNIX) {
            ln_addr again;
            err = ln_listen(net, &l->listeners[i], LN_SOCK_OF_LISTENER, bound, o, &again);
        } else {
            if ((copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) return LINNET_ERR_SYS;
            err = ln_listen_adopt(net, &l->listeners[i], LN_SOCK_OF_LISTENER, copy);
        }
        if (err == LINNET_OK) continue;
        int why = errno;
        if (copy >= 0) close(copy);
        errno = why;
        return err;
    }
    return LINNET_OK;
}

static int listen_failed(linnet_server *s, const char *address, int err) {
    const char *why = linnet_strerror(err);
    if (err == LINNET_ERR_SYS) why = strerror(errno);
    if (err == LINNET_ERR_EXISTS) why = strerror(EADDRINUSE);
    return ln_server_say(s, err, "cannot listen on %.100s: %s", address, why);
}

/* Nothing of it is left, so that the same address may be tried again. Listeners end by a completion
 * of their loop. Only a server of several workers can have come so far, whose loops are its own and
 * stand still: they do not wait here, so nobody comes in at another door. */
static int unlisten(linnet_server *s, ln_entrance *l, const char *address, int err) {
    int why = errno;
    if (l->listeners[0].sock.state) remove_file(l); /* else the file is another's */
    for (unsigned i = 0; i < s->worker_count; i++) {
        ln_loop *net = s->workers[i]->net;
        ln_completion closed;
        if (!l->listeners[i].sock.state) continue;
        ln_listener_close(net, &l->listeners[i]);
        while (l->listeners[i].sock.state && ln_loop_next(net, &closed)) {
        }
    }
    ln_tls_ctx_unref(l->tls);
    ln_free(l->listeners);
    ln_free(l->file);
    errno = why;
    return listen_failed(s, address, err);
}

/* SO_REUSEPORT lets another process of the same user share the port without a word. Whoever wants
 * several workers does not want that: the port must be free for one who does not share. */
static bool taken(const ln_addr *at) {
    int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->sa.sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    bool busy = bind(fd, &at->sa, at->size) < 0 && errno == EADDRINUSE;
    close(fd);
    return busy;
}

int linnet_server_listen(
    linnet_server *s, const char *address, const linnet_tls_options *tls, char bound[128]) {
    if (ln_flag_up(&s->running)) return LINNET_ERR_STATE;
    if (tls && !ln_sized(tls, sizeof *tls)) return LINNET_ERR_INVAL;
    ln_addr at, real;
    int err = address_of(s, address, &at);
    if (err < 0) return err;
    if (s->worker_count > 1 && at.sa.sa_family != AF_UNIX && ln_addr_port(&at) && taken(&at))
        return listen_failed(s, address, LINNET_ERR_EXISTS);
    ln_entrance *l = new_listen(s, tls, &err);
    if (!l) return err;
    ln_listen_options o = { .reuse_port = s->worker_count > 1,
        .notsent_lowat = s->options.notsent_lowat,
        .user_timeout_ms = s->options.user_timeout_ms };
    if (at.sa.sa_family == AF_UNIX &&
        !(l->file = ln_slice_dup(linnet_str(address + sizeof "unix:" - 1))))
        return unlisten(s, l, address, LINNET_ERR_NOMEM);
    err = ln_listen(s->workers[0]->net, &l->listeners[0], LN_SOCK_OF_LISTENER, &at, &o, &real);
    if (err == LINNET_OK) err = listen_others(s, l, l->listeners[0].sock.fd, &real, &o);
    if (err < 0) return unlisten(s, l, address, err);
    s->listen_count++;
    l->loopback = is_loopback(&real);
    if (bound) {
        char text[64];
        ln_addr_text(&real, text);
        if (real.sa.sa_family == AF_UNIX)
            snprintf(bound, 128, "%s", address);
        else
            snprintf(bound, 128, "%s", text);
    }
    return LINNET_OK;
}

int linnet_server_listen_fd(linnet_server *s, int fd, const linnet_tls_options *tls) {
    if (ln_flag_up(&s->running)) return LINNET_ERR_STATE;
    if (tls && !ln_sized(tls, sizeof *tls)) return LINNET_ERR_INVAL;
    if (!ln_fd_is_stream(fd, true))
        return ln_server_say(s, LINNET_ERR_INVAL, "the descriptor is no listening stream socket");
    int err;
    ln_entrance *l = new_listen(s, tls, &err);
    if (!l) return err;
    ln_addr at = { .size = sizeof at.storage };
    err = getsockname(fd, &at.sa, &at.size) < 0 ? LINNET_ERR_SYS : LINNET_OK;
    if (err == LINNET_OK) err = listen_others(s, l, fd, &at, NULL);
    if (err == LINNET_OK) /* the last, because then it is ours */
        err = ln_listen_adopt(s->workers[0]->net, &l->listeners[0], LN_SOCK_OF_LISTENER, fd);
    if (err < 0) return unlisten(s, l, "the descriptor", err);
    s->listen_count++;
    l->loopback = is_loopback(&at);
    return LINNET_OK;
}

int linnet_server_sni(
    linnet_server *s, const char *name, const char *cert_file, const char *key_file) {
    ln_tls_ctx *tls = NULL;
    for (unsigned i = 0; i < s->listen_count; i++)
        if (s->listens[i].tls) tls = s->listens[i].tls;
    if (!tls) return ln_server_say(s, LINNET_ERR_STATE, "no TLS listener was declared yet");
    if (!name || !cert_file || !key_file)
        return ln_server_say(s, LINNET_ERR_INVAL, "a name, a certificate and its key are needed");
    return ln_tls_ctx_add_cert(tls, name, cert_file, key_file, s->error);
}

int linnet_server_proxy_protocol(linnet_server *s) {
    if (ln_flag_up(&s->running) || !s->listen_count) return LINNET_ERR_STATE;
    s->listens[s->listen_count - 1].proxied = true;
    return LINNET_OK;
}

int linnet_server_reload_tls(linnet_server *s) {
    char reason[256] = "";
    ln_tls_ctx *all[LN_LISTENS_MAX];
    size_t count = 0;
    static_assert(LN_LISTENS_MAX <= LN_TLS_RELOAD_MAX, "one context for each listener");
    for (unsigned i = 0; i < s->listen_count; i++)
        if (s->listens[i].tls) all[count++] = s->listens[i].tls;
    int err = ln_tls_ctx_reload_all(all, count, reason);
    return err < 0 ? ln_server_say(s, err, "%.200s", reason) : LINNET_OK;
}

int linnet_server_log_level(linnet_server *s, linnet_log_level level) {
    if (!s || (unsigned)level > LINNET_LOG_DEBUG) return LINNET_ERR_INVAL;
    int err = LINNET_OK;
    for (unsigned i = 0; i < s->worker_count; i++) {
        ln_post *m = ln_post_new(LN_POST_LEVEL, 0, (int)level, NULL, ln_slice_of("", 0));
        if (m)
            ln_inbox_post(s->workers[i]->inbox, &m->letter, &m->letter, 1, m->letter.bytes);
        else
            err = LINNET_ERR_NOMEM;
    }
    return err;
}

/* ---- accepting -------------------------------------------------------------------- */

size_t ln_server_live(const linnet_server *s) {
    size_t n = 0;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i]) n += (size_t)ln_stat_get(&s->workers[i]->served);
    return n;
}

static ln_entrance *listen_of(linnet_loop *w, const ln_listener *listener) {
    for (unsigned i = 0; i < w->server->listen_count; i++)
        if (&w->server->listens[i].listeners[w->index] == listener) return &w->server->listens[i];
    return NULL;
}

void ln_server_adopt(linnet_loop *w, int fd, ln_entrance *listen, ln_slice already) {
    linnet_conn *conn = w->draining && !listen ? NULL : ln_worker_conn(w);
    ln_tls_ctx *tls = listen ? listen->tls : NULL;
    if (!conn ||
        ln_conn_accept(&conn->c, &w->env, LN_SOCK_OF_CONN, LN_TIMER_OF_CONN, fd, tls) < 0) {
        if (conn) ln_worker_unconn(w, conn);
        close(fd);
        return;
    }
    conn->listen = listen;
    ln_stat_add(&w->served, 1);
    if (!listen) /* what a listener's sockets inherit */
        ln_sock_tune(
            &conn->c.sock, w->server->options.notsent_lowat, w->server->options.user_timeout_ms);
    if (ln_exchange_begin(&conn->c, w->server->options.head_ms) < 0) {
        ln_conn_drop(&conn->c, LINNET_ERR_NOMEM);
        return;
    }
    if (listen && listen->proxied) {
        if (!ln_visitor_may_proxy(conn)) {
            ln_conn_fail(&conn->c, LINNET_ERR_PROXY);
            return;
        }
        ln_conn_await_proxy(&conn->c);
    }
    ln_conn_resume(&conn->c, 0);
    if (!already.size || conn->c.state == LN_CONN_DEAD) return;
    uint8_t *bytes = ln_malloc(already.size); /* input is unmasked in place */
    if (!bytes) {
        ln_conn_drop(&conn->c, LINNET_ERR_NOMEM);
        return;
    }
    memcpy(bytes, already.data, already.size);
    ln_conn_input(&conn->c, (ln_wslice){ bytes, already.size });
    ln_free(bytes);
}

void ln_server_accepted(linnet_loop *w, const ln_completion *completion) {
    size_t live = ln_server_live(w->server);
    if (live >= (size_t)w->server->connections_max + POLITE) {
        ln_stat_add(&w->refused, 1);
        close(completion->fd);
        return;
    }
    ln_server_adopt(w, completion->fd, listen_of(w, completion->listener), ln_slice_of("", 0));
}

int linnet_server_adopt(linnet_server *s, int fd, linnet_slice already) {
    if (!ln_flag_up(&s->running) || ln_flag_up(&s->stopping)) return LINNET_ERR_STATE;
    if (already.size > LN_LIM_ADOPTED || !ln_fd_is_stream(fd, false)) return LINNET_ERR_INVAL;
    if (ln_fd_prepare(fd) < 0) return LINNET_ERR_SYS;
    linnet_loop *least = s->workers[0];
    for (unsigned i = 1; i < s->worker_count; i++)
        if (ln_stat_get(&s->workers[i]->live) < ln_stat_get(&least->live)) least = s->workers[i];
    ln_post *m = ln_post_new(LN_POST_ADOPT, 0, fd, NULL, already);
    if (!m) return LINNET_ERR_NOMEM;
    int err = ln_inbox_offer(least->inbox, &m->letter, m->letter.bytes);
    if (err == LINNET_OK) return LINNET_OK;
    m->code = -1; /* still the caller's */
    ln_post_free(m);
    return err;
}

/* ---- running ---------------------------------------------------------------------- */

static void work(void *arg) {
    linnet_loop *w = arg;
    while (!w->ended)
        if (ln_worker_turn(w, -1) < 0) break;
    w->ended = true;
}

static void *thread_main(void *arg) {
    work(arg);
    return NULL;
}

/* A thread for each worker from `first` on. */
static int start_threads(linnet_server *s, unsigned first) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the host's threads */
    int err = LINNET_OK;
    for (unsigned i = first; i < s->worker_count && err == LINNET_OK; i++) {
        if (pthread_create(&s->threads[s->thread_count], NULL, thread_main, s->workers[i]) != 0)
            err = LINNET_ERR_SYS;
        else
            s->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static int start(linnet_server *s, unsigned first) {
    if (ln_flag_up(&s->running)) return LINNET_ERR_STATE;
    int err = ln_server_hubs(s, s->hub);
    if (err < 0) return err;
    ln_flag_raise(&s->running);
    if (!s->own_loop) return LINNET_OK;
    if (s->world && s->world->spawn) {
        for (unsigned i = 0; i < s->worker_count; i++)
            s->world->spawn(s->world->ctx, work, s->workers[i]);
        return LINNET_OK;
    }
    err = start_threads(s, first);
    if (err < 0) {
        ln_flag_raise(&s->killed);
        linnet_server_stop(s, 0);
        linnet_server_join(s);
    }
    return err;
}

int linnet_server_start(linnet_server *s) {
    return start(s, 0);
}

int linnet_server_join(linnet_server *s) {
    if (!s->own_loop) return LINNET_ERR_STATE;
    for (unsigned i = 0; i < s->thread_count; i++)
        pthread_join(s->threads[i], NULL);
    s->thread_count = 0;
    return LINNET_OK;
}

/* The caller's thread is the first worker. With one worker the process then has one thread, and the
 * kernel need not count references to descriptors: 2 to 4 % of a small echo. */
int linnet_server_run(linnet_server *s) {
    bool here = s->own_loop && !(s->world && s->world->spawn);
    int err = start(s, here ? 1 : 0);
    if (err < 0) return err;
    if (here) work(s->workers[0]);
    if (s->own_loop) return linnet_server_join(s);
    while (err == LINNET_OK && !linnet_server_stopped(s))
        err = ln_worker_turn(s->workers[0], -1);
    ln_loop_leave(s->workers[0]->net); /* its host goes on with it */
    return err;
}

bool linnet_server_stopped(const linnet_server *s) {
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i] && !ln_flag_up(&s->workers[i]->through)) return false;
    return true;
}

/* Only flags and wakes: this runs in signal handlers too. */
void linnet_server_stop(linnet_server *s, uint16_t code) {
    if (ln_flag_raise_first(&s->asked)) {
        ln_stat_add(&s->stop_code, code ? code : 1012); /* before a worker may look for it */
        ln_flag_raise(&s->stopping);
    } else {
        ln_flag_raise(&s->killed);
    }
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i]) ln_loop_wake(s->workers[i]->net);
}

/* ---- the end ---------------------------------------------------------------------- */

void ln_server_unlisten(linnet_loop *w) {
    if (!w->server) return;
    for (unsigned i = 0; i < w->server->listen_count && w->index == 0; i++)
        remove_file(&w->server->listens[i]);
    for (unsigned i = 0; i < w->server->listen_count; i++) {
        ln_listener *l = &w->server->listens[i].listeners[w->index];
        if (l->sock.state && !ln_sock_closing(&l->sock)) ln_listener_close(w->net, l);
    }
}

bool ln_server_listening(const linnet_loop *w) {
    if (!w->server) return false;
    for (unsigned i = 0; i < w->server->listen_count; i++)
        if (w->server->listens[i].listeners[w->index].sock.state) return true;
    return false;
}

void ln_server_unlistened(linnet_loop *w, ln_listener *listener) {
    listener->sock.state = 0;
}

/* Whoever cannot come in has nobody to complain to, so the log hears of it: at once, and then
 * every ten seconds while it goes on. */
static void tell_unheard(linnet_loop *w) {
    uint64_t starved = 0, refused = ln_stat_get(&w->refused);
    for (unsigned i = 0; i < w->server->listen_count; i++)
        starved += w->server->listens[i].listeners[w->index].refusals;
    if (starved + refused == w->unheard_told) return;
    ln_stat_add(&w->starved, starved - ln_stat_get(&w->starved));
    if (ln_loop_now(w->net) < w->unheard_until) return;
    w->unheard_told = starved + refused;
    w->unheard_until = ln_loop_now(w->net) + UNHEARD_MS;
    ln_logf(&w->log, ln_loop_now(w->net), LINNET_LOG_WARN,
        "{\"event\":\"unheard\",\"accept_failures\":%" PRIu64 ",\"accept_refusals\":%" PRIu64
        ",\"worker\":%u}",
        starved, refused, w->index);
}

void ln_server_turned(linnet_loop *w) {
    linnet_server *s = w->server;
    tell_unheard(w);
    ln_budget_turn(w);
    ln_memory_turn(w);
    ln_drain_sample(w);
    if (ln_flag_up(&w->through) || !ln_flag_up(&s->stopping) || !ln_flag_up(&s->running)) return;
    ln_drain_begin(w);
    if (ln_flag_up(&s->killed)) ln_drain_now(w);
    if (w->drain_phase < LN_DRAIN_WAVES) return;
    if (ln_stat_get(&w->served) || ln_server_listening(w)) return;
    ln_worker_mail(w); /* a subscription that is left must not have ended before */
    ln_host_hub_end(w);
    w->ended = s->own_loop;
    ln_timer_stop(ln_loop_wheel(w->net), &w->drain);
    ln_flag_raise(&w->through);
}

/* ---- from any thread --------------------------------------------------------------- */

static linnet_loop *worker_named(const linnet_server *s, linnet_conn_id id) {
    unsigned index = (unsigned)(id >> 56);
    return id && index < s->worker_count ? s->workers[index] : NULL;
}

/* Settled first, so that of two who answer at once one is told. Replies are exempt from the bound
 * on mail: there is one for each request, whose number has its own bound, and who has forgotten
 * what he was asked could not say it again. Only pieces of a stream are refused; then it is as
 * before. */
int ln_server_decide(linnet_server *s, ln_post *m, ln_owed from, ln_owed to) {
    if (!m) return LINNET_ERR_NOMEM;
    linnet_loop *w = worker_named(s, m->id);
    uint32_t slot = (uint32_t)(m->id >> 32) & 0xffffff, generation = (uint32_t)m->id;
    int err = w ? ln_slots_settle(&w->slots, slot, generation, from, to) : LINNET_ERR_INVAL;
    if (err < 0) {
        ln_post_free(m);
        return err;
    }
    if (from == LN_OWED_STREAM && to == LN_OWED_STREAM) return ln_worker_post(w, m);
    ln_inbox_post(w->inbox, &m->letter, &m->letter, 1, m->letter.bytes);
    return LINNET_OK;
}

int linnet_server_send(
    linnet_server *s, linnet_conn_id id, linnet_opcode opcode, linnet_slice data) {
    linnet_loop *w = worker_named(s, id);
    return w ? linnet_loop_send(w, id, opcode, data) : LINNET_ERR_INVAL;
}

int linnet_server_close(linnet_server *s, linnet_conn_id id, uint16_t code, const char *reason) {
    linnet_loop *w = worker_named(s, id);
    return w ? linnet_loop_close(w, id, code, reason) : LINNET_ERR_INVAL;
}

int linnet_server_publish(
    linnet_server *s, linnet_slice topic, linnet_opcode opcode, linnet_slice data) {
    if (!ln_flag_up(&s->running)) return LINNET_ERR_STATE;
    if (!topic.size || topic.size > LN_CHANNEL_NAME_MAX ||
        (opcode != LINNET_TEXT && opcode != LINNET_BINARY))
        return LINNET_ERR_INVAL;
    if (opcode == LINNET_TEXT && !ln_utf8_valid(data)) return LINNET_ERR_UTF8;
    if (data.size > LN_LIM_MESSAGE_CEILING) return LINNET_ERR_TOO_BIG;
    ln_publish what = { .channel = topic,
        .data = data,
        .space = LN_SPACE_TOPICS,
        .flags = opcode == LINNET_BINARY ? LN_PUB_BINARY : 0 };
    uint32_t home = ln_hub_home(s->key, s->worker_count, topic);
    if (!s->workers[home]) return LINNET_ERR_STATE; /* the server is being freed */
    if (ln_flag_up(&s->workers[home]->crowded) || ln_budget_crowded(&s->budget))
        return LINNET_ERR_AGAIN;
    ln_publication *p = ln_publication_new(&what, s->worker_count);
    if (!p) return LINNET_ERR_NOMEM;
    ln_letter *letter = ln_publication_post(p, 0, home);
    int err = ln_inbox_offer(s->workers[home]->inbox, letter, letter->bytes);
    if (err < 0) ln_publication_unref(p);
    return err;
}

size_t linnet_server_connections(const linnet_server *s) {
    return ln_server_live(s);
}

void linnet_server_on_abandon(linnet_server *s, void (*fn)(void *user)) {
    s->on_abandon = fn;
}
