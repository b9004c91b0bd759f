/* echo.c -- `linnet echo`: whatever comes goes back. For conformance testers and benchmarks. */
#include "cli/verbs.h"
#include "cli/wsflags.h"
#include "daemon/run.h"
#include <linnet/linnet.h>

typedef struct flags {
    ln_arg_list listen;
    uint64_t workers, busy_poll;
    const char *cert, *key;
    ln_wsflags ws;
} flags;

static void echo(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    linnet_conn_send(conn, opcode, data);
}

static int serve(const flags *f) {
    linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    static const char *const any[] = { "*", NULL };
    linnet_server *server;
    o.workers = (unsigned)f->workers;
    o.busy_poll_us = (uint32_t)f->busy_poll;
    route.events.on_message = echo;
    route.origins = any;
    route.limits.control_per_s = LINNET_OFF;
    int code = ln_wsflags_apply(&f->ws, &route.limits);
    if (code >= 0) return code;
    int err = linnet_server_new(&o, &server);
    if (err < 0) {
        ln_say("cannot start: %s", linnet_strerror(err));
        return 1;
    }
    err = linnet_server_ws(server, "/*", &route);
    if (err < 0) {
        ln_say("cannot serve with these limits: %s", linnet_strerror(err));
        linnet_server_free(server);
        return err == LINNET_ERR_INVAL ? 2 : 1;
    }
    ln_run run = { .server = server, .addresses = &f->listen, .cert = f->cert, .key = f->key };
    code = ln_run_until_signal(&run);
    linnet_server_free(server);
    return code;
}

int ln_verb_echo(int argc, char **argv) {
    flags f = { .workers = 1, .ws = LN_WSFLAGS_INIT };
    const ln_arg rows[] = {
        { "listen", "ADDR", LN_ARG_LIST, &f.listen, 0, 0,
            "HOST:PORT, [V6]:PORT, :PORT or unix:PATH; port 0: any free one" },
        { "workers", "N", LN_ARG_NUMBER, &f.workers, 1, 64, "threads (default 1)" },
        { "busy-poll", "US", LN_ARG_NUMBER, &f.busy_poll, 0, 1000000,
            "spin so many microseconds before sleeping" },
        { "tls-cert", "FILE", LN_ARG_TEXT, &f.cert, 0, 0, "PEM certificate chain: serve wss://" },
        { "tls-key", "FILE", LN_ARG_TEXT, &f.key, 0, 0, "PEM private key, not encrypted" },
        LN_WSFLAGS_ROWS(f.ws),
    };
    const ln_args a = { .usage = "linnet echo --listen ADDR [options]",
        .about = "A WebSocket server on every path that sends each message back.\n"
                 "Prints 'listening on URL' when it is ready; SIGTERM ends it.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0] };
    int code = ln_args_parse(&a, argc, argv, NULL);
    if (code >= 0) return code;
    if (!f.listen.count) {
        ln_say("echo wants an address: linnet echo --listen 127.0.0.1:9001");
        return 2;
    }
    return serve(&f);
}
