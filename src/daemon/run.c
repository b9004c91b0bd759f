#include "daemon/run.h"
#include "daemon/systemd.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SPARE_MS 5000 /* to come to an end after a drain */

typedef struct watch {
    const ln_run *run;
    linnet_server *server;
    sigset_t set;
    bool systemd;
    uint16_t code; /* of a graceful end */
    int first;     /* the signal that began the end */
} watch;

/* The manager is told when it begins, by the clock it compares with, and when it is over. */
static void tell_reloading(void) {
    struct timespec now;
    char state[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu",
        (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
    ln_systemd_notify(state);
}

static void reload(watch *w) {
    if (w->systemd) tell_reloading();
    if (w->run->reload)
        w->run->reload(w->run->ctx);
    else if (linnet_server_reload_tls(w->server) < 0)
        ln_say("reload: %s; the old certificates stay", linnet_server_error(w->server));
    if (w->systemd) ln_systemd_notify("READY=1");
}

/* The manager's patience ends before our drain does, unless it is told. */
static void tell_leaving(const watch *w) {
    linnet_drain_plan plan = LINNET_DRAIN_PLAN_INIT;
    char text[200];
    linnet_server_drain_plan(w->server, &plan);
    uint64_t ms = (uint64_t)plan.lead_ms + plan.drain_ms + SPARE_MS;
    if (plan.spread_ms)
        ln_say("draining %llu connections in %u s; again to leave at once",
            (unsigned long long)plan.connections, (plan.lead_ms + plan.spread_ms + 999) / 1000);
    if (!w->systemd) return;
    ln_systemd_notify("STOPPING=1");
    snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%llu\nSTATUS=draining %llu connections",
        (unsigned long long)ms * 1000, (unsigned long long)plan.connections);
    ln_systemd_notify(text);
}

static void end(watch *w, int sig) {
    if (!w->first) tell_leaving(w);
    if (!w->first) w->first = sig;
    linnet_server_stop(w->server, w->code);
    if (sig == SIGINT) linnet_server_stop(w->server, 0); /* the second stop does not wait */
}

static void *wait_signals(void *arg) {
    watch *w = arg;
    for (int sig; sigwait(&w->set, &sig) == 0;) {
        if (sig == SIGUSR2) return NULL; /* ours: the server has ended */
        if (sig == SIGHUP)
            reload(w);
        else
            end(w, sig);
    }
    return NULL;
}

/* ---- listening -------------------------------------------------------------------- */

bool ln_address_is_local(const char *bound) {
    return strncmp(bound, "127.", 4) == 0 || strncmp(bound, "[::1]:", 6) == 0 ||
           strncmp(bound, "unix:", 5) == 0;
}

static int listen_failed(const ln_run *r, const char *address, int err) {
    if (err == LINNET_ERR_EXISTS)
        ln_say("%s is in use already, perhaps by another linnet; --listen takes another address, "
               "port 0 picks a free one",
            address);
    else
        ln_say("%s", linnet_server_error(r->server));
    return err == LINNET_ERR_URL ? 2 : 1;
}

/* What is common to all that listen: names, and an entry in the list. */
static int listening(
    const ln_run *r, const char *address, const linnet_tls_options *tls, ln_addresses *out) {
    for (size_t i = 0; tls && i < r->name_count; i++) {
        const ln_run_name *n = &r->names[i];
        int err = linnet_server_sni(r->server, n->name, n->cert, n->key);
        if (err < 0) return listen_failed(r, address, err);
    }
    if (r->proxy_protocol) linnet_server_proxy_protocol(r->server);
    out->tls[out->count++] = tls;
    return -1;
}

static int listen_on(
    const ln_run *r, const char *address, const linnet_tls_options *tls, ln_addresses *out) {
    int err = linnet_server_listen(r->server, address, tls, out->text[out->count]);
    return err < 0 ? listen_failed(r, address, err) : listening(r, address, tls, out);
}

static int listen_handed(
    const ln_run *r, const linnet_tls_options *tls, int count, ln_addresses *out) {
    int code = -1;
    for (int i = 0; i < count && code < 0; i++) {
        int fd = LN_SYSTEMD_FD_FIRST + i;
        char *text = out->text[out->count];
        ln_systemd_address(fd, text, sizeof out->text[0]);
        int err = linnet_server_listen_fd(r->server, fd, tls);
        code = err < 0 ? listen_failed(r, text, err) : listening(r, text, tls, out);
    }
    return code;
}

static int listen_door(const ln_run *r, const ln_run_door *door, ln_addresses *out) {
    linnet_tls_options tls = LINNET_TLS_OPTIONS_INIT;
    tls.cert_file = door->cert;
    tls.key_file = door->key;
    tls.client_ca_file = door->client_ca;
    return listen_on(r, door->address, door->cert ? &tls : NULL, out);
}

static int listen_all(const ln_run *r, ln_addresses *out) {
    linnet_tls_options o = LINNET_TLS_OPTIONS_INIT, *tls = r->cert ? &o : NULL;
    o.cert_file = r->cert;
    o.key_file = r->key;
    o.client_ca_file = r->client_ca;
    int handed = r->systemd ? ln_systemd_sockets() : 0;
    int code = handed < 0 ? 1 : listen_handed(r, tls, handed, out);
    for (size_t i = 0; i < r->addresses->count && code < 0; i++)
        code = listen_on(r, r->addresses->items[i], tls, out);
    for (size_t i = 0; i < r->door_count && code < 0; i++)
        code = listen_door(r, &r->doors[i], out);
    if (code < 0 && !out->count && r->otherwise) code = listen_on(r, r->otherwise, tls, out);
    return code;
}

static void say_ready(const ln_run *r, const ln_addresses *bound) {
    for (size_t i = 0; i < bound->count; i++) {
        const char *scheme = bound->tls[i] ? "wss" : "ws";
        bool is_unix = strncmp(bound->text[i], "unix:", 5) == 0;
        printf("listening on %s%s%s\n", scheme, is_unix ? "+" : "://", bound->text[i]);
        fflush(stdout);
    }
    clearerr(stdout); /* a server that nobody listens to serves all the same */
    if (r->ready) r->ready(bound, r->ctx);
    if (r->systemd) ln_systemd_notify("READY=1");
}

/* ---- the life --------------------------------------------------------------------- */

static int serve(const ln_run *r, const ln_addresses *bound, watch *w) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_signals, w) != 0) {
        ln_say("cannot start a thread");
        return 1;
    }
    int err = linnet_server_start(r->server);
    if (err == LINNET_OK) {
        say_ready(r, bound);
        err = linnet_server_join(r->server);
    }
    pthread_kill(thread, SIGUSR2);
    pthread_join(thread, NULL);
    if (err < 0) {
        ln_say("cannot run: %s", linnet_strerror(err));
        return 1;
    }
    return w->first == SIGINT ? 130 : 0;
}

int ln_run_until_signal(const ln_run *r) {
    if (!r->cert != !r->key) {
        ln_say("TLS wants both --tls-cert and --tls-key");
        return 2;
    }
    watch w = { .run = r, .server = r->server, .systemd = r->systemd, .code = r->drain_code };
    sigemptyset(&w.set);
    sigaddset(&w.set, SIGTERM);
    sigaddset(&w.set, SIGINT);
    sigaddset(&w.set, SIGHUP);
    sigaddset(&w.set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &w.set, NULL);
    signal(SIGPIPE, SIG_IGN);
    ln_addresses bound = { .count = 0 };
    int code = listen_all(r, &bound);
    if (code < 0 && r->may) code = r->may(&bound, r->ctx);
    return code < 0 ? serve(r, &bound, &w) : code;
}
