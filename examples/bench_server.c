/* bench_server.c -- our entry in the benchmark, in the public API like anybody's program.
 *
 *     /echo     echo            /echoz   with deflate and context takeover
 *     /echozs   without takeover
 *     /psz      as /ps, with deflate for who offers it
 *     /ps       "+a,b" subscribes, "-a" unsubscribes, "=a", newline, payload publishes
 */
#include <linnet/linnet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static linnet_server *server;

static void echo(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    linnet_conn_send(conn, opcode, data);
}

static void each_topic(
    linnet_conn *conn, linnet_slice names, int (*what)(linnet_conn *conn, linnet_slice topic)) {
    while (names.size) {
        const uint8_t *comma = memchr(names.data, ',', names.size);
        size_t n = comma ? (size_t)(comma - names.data) : names.size;
        what(conn, (linnet_slice){ names.data, n });
        n += comma != NULL;
        names = (linnet_slice){ names.data + n, names.size - n };
    }
}

static void publish(linnet_conn *conn, linnet_slice rest) {
    const uint8_t *line = rest.size ? memchr(rest.data, '\n', rest.size) : NULL;
    if (!line) {
        linnet_conn_close(conn, 1008, "= wants a topic, a newline and a payload");
        return;
    }
    size_t n = (size_t)(line - rest.data);
    linnet_conn_publish(conn, (linnet_slice){ rest.data, n }, LINNET_TEXT,
        (linnet_slice){ line + 1, rest.size - n - 1 });
}

static void pubsub(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    linnet_slice rest = { data.data + 1, data.size ? data.size - 1 : 0 };
    switch (data.size ? data.data[0] : 0) {
    case '+': each_topic(conn, rest, linnet_conn_subscribe); break;
    case '-': each_topic(conn, rest, linnet_conn_unsubscribe); break;
    case '=': publish(conn, rest); break;
    default: linnet_conn_close(conn, 1008, "say +topic, -topic or =topic");
    }
}

static int add(const char *path, void (*on_message)(linnet_conn *, linnet_opcode, linnet_slice),
    linnet_deflate deflate) {
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.events.on_message = on_message;
    route.limits.message_max = 16u << 20;
    route.limits.queued_max = 64u << 20;
    route.limits.deflate = deflate;
    route.limits.deflate_threshold = LINNET_OFF;
    if (deflate == LINNET_DEFLATE_TAKEOVER) route.limits.deflate_level = 1;
    return linnet_server_ws(server, path, &route);
}

static void on_signal(int signal_number) {
    linnet_server_stop(server, 1001);
}

int main(int argc, char **argv) {
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    linnet_tls_options tls = LINNET_TLS_OPTIONS_INIT;
    const char *address = ":0";
    char bound[128];

    options.workers = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--listen") == 0) address = argv[i + 1];
        if (strcmp(argv[i], "--workers") == 0)
            options.workers = (unsigned)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--busy-poll") == 0)
            options.busy_poll_us = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--tls-cert") == 0) tls.cert_file = argv[i + 1];
        if (strcmp(argv[i], "--tls-key") == 0) tls.key_file = argv[i + 1];
    }
    if (linnet_server_new(&options, &server) < 0) return 1;
    add("/echo", echo, LINNET_DEFLATE_OFF);
    add("/echoz", echo, LINNET_DEFLATE_TAKEOVER);
    add("/echozs", echo, LINNET_DEFLATE_SHARED);
    add("/ps", pubsub, LINNET_DEFLATE_OFF);
    add("/psz", pubsub, LINNET_DEFLATE_SHARED);
    if (linnet_server_listen(server, address, tls.cert_file ? &tls : NULL, bound) < 0) {
        fprintf(stderr, "%s\n", linnet_server_error(server));
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    printf("listening on %s://%s\n", tls.cert_file ? "wss" : "ws", bound);
    fflush(stdout);

    int err = linnet_server_run(server);
    linnet_server_free(server);
    return err < 0;
}
