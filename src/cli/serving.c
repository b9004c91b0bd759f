#include "cli/serving.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct watch {
    linnet_server *server;
    sigset_t set;
    int first; /* the signal that began the end */
} watch;

/* Signals are waited for by a thread of their own, so that no handler ever runs. */
static void *wait_signals(void *arg) {
    watch *w = arg;
    for (;;) {
        int sig;
        if (sigwait(&w->set, &sig) != 0) return NULL;
        if (sig == SIGUSR2) return NULL; /* ours: the server has ended by itself */
        if (sig == SIGHUP) {
            if (linnet_server_reload_tls(w->server) < 0)
                ln_say("reload: %s; the old certificates stay", linnet_server_error(w->server));
            continue;
        }
        if (!w->first) w->first = sig;
        linnet_server_stop(w->server, 0);
    }
}

static int listen_on(
    linnet_server *server, const char *address, const char *cert, const char *key) {
    char bound[128];
    linnet_tls_options tls = LINNET_TLS_OPTIONS_INIT;
    tls.cert_file = cert;
    tls.key_file = key;
    int err = linnet_server_listen(server, address, cert ? &tls : NULL, bound);
    if (err < 0) {
        ln_say("%s", linnet_server_error(server));
        return err == LINNET_ERR_URL ? 2 : 1;
    }
    bool is_unix = strncmp(bound, "unix:", 5) == 0;
    printf("listening on %s%s%s\n", cert ? "wss" : "ws", is_unix ? "+" : "://", bound);
    fflush(stdout);
    return 0;
}

int ln_serve_until_signal(
    linnet_server *server, const ln_arg_list *addresses, const char *cert, const char *key) {
    if ((cert != NULL) != (key != NULL)) {
        ln_say("TLS wants both --tls-cert and --tls-key");
        return 2;
    }
    watch w = { .server = server };
    sigemptyset(&w.set);
    sigaddset(&w.set, SIGTERM);
    sigaddset(&w.set, SIGINT);
    sigaddset(&w.set, SIGHUP);
    sigaddset(&w.set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &w.set, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < addresses->count; i++) {
        int code = listen_on(server, addresses->items[i], cert, key);
        if (code) return code;
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_signals, &w) != 0) {
        ln_say("cannot start a thread");
        return 1;
    }
    int err = linnet_server_run(server);
    pthread_kill(thread, SIGUSR2);
    pthread_join(thread, NULL);
    if (err < 0) {
        ln_say("cannot run: %s", linnet_strerror(err));
        return 1;
    }
    return w.first == SIGINT ? 130 : 0;
}
