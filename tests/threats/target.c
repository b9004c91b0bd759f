/* target.c -- what the hostile rows are thrown at: every kind of route, default limits, and
 * counters of all that came through, so that a row can say "and nothing happened".
 *
 *     /echo /echoz /echot   echo; with deflate; with deflate and takeover
 *     /chat                 the same with subprotocols chat and superchat
 *     /ps                   "+a,b" subscribes, "-a" unsubscribes, "=a", newline, payload publishes
 *     /ws                   the native protocol
 *     /n?i=7 /sid?sid=a     answer the parameter; repeated or missing: 400
 *     /big                  64 KiB; /redirect?to=X: 302 there, if X may stand in a header
 *     /post                 POST, counted and answered with its body; POST and GET on /both
 *     /later?i=7 /release   waits; answers all that wait there, says how many
 *     /trim                 gives what malloc keeps back to the kernel
 *     /stats                the counters as JSON
 *
 * What the library logs goes to stderr.
 */
#include <inttypes.h>
#include <linnet/linnet.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static linnet_server *server;
static linnet_hub *hub;
static unsigned long opens, closes, messages, posts, rtts; /* one worker, so plain numbers */
static char big[64 * 1024];

static void on_open(linnet_conn *conn) {
    opens++;
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    closes++;
}

static void on_pong(linnet_conn *conn, linnet_slice payload, uint32_t rtt_ms) {
    rtts += rtt_ms != UINT32_MAX;
}

static void echo(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    messages++;
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
    messages++;
    switch (data.size ? data.data[0] : 0) {
    case '+': each_topic(conn, rest, linnet_conn_subscribe); break;
    case '-': each_topic(conn, rest, linnet_conn_unsubscribe); break;
    case '=': publish(conn, rest); break;
    default: linnet_conn_close(conn, 1008, "say +topic, -topic or =topic");
    }
}

static void answer_big(linnet_request *r, void *user) {
    linnet_request_answer(r, 200, NULL, (linnet_slice){ (uint8_t *)big, sizeof big });
}

static void answer_query(linnet_request *r, void *name) {
    linnet_slice value = linnet_request_query(r, name);
    linnet_request_answer(r, value.data ? 200 : 400, NULL, value);
}

static void answer_redirect(linnet_request *r, void *user) {
    linnet_slice to = linnet_request_query(r, "to");
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)to.size, (const char *)to.data);
    int err = linnet_request_add_header(r, "Location", text);
    linnet_request_answer(r, err < 0 ? 400 : 302, NULL, linnet_str(""));
}

static void answer_post(linnet_request *r, void *user) {
    posts++;
    linnet_request_answer(r, 200, NULL, linnet_request_body(r));
}

#define LATER_MAX 2000
static struct later {
    linnet_conn_id id;
    char text[8];
} laters[LATER_MAX];
static unsigned later_count;

static void answer_later(linnet_request *r, void *user) {
    linnet_slice i = linnet_request_query(r, "i");
    if (later_count == LATER_MAX || i.size >= sizeof laters->text) {
        linnet_request_answer(r, 400, NULL, linnet_str(""));
        return;
    }
    struct later *l = &laters[later_count++];
    l->id = linnet_request_id(r);
    snprintf(l->text, sizeof l->text, "%.*s", (int)i.size, (const char *)i.data);
}

static void answer_release(linnet_request *r, void *user) {
    char text[16];
    for (unsigned i = 0; i < later_count; i++)
        linnet_server_answer(server, laters[i].id, 200, NULL, linnet_str(laters[i].text));
    snprintf(text, sizeof text, "%u", later_count);
    later_count = 0;
    linnet_request_answer(r, 200, NULL, linnet_str(text));
}

static void answer_trim(linnet_request *r, void *user) {
    malloc_trim(0);
    linnet_request_answer(r, 200, NULL, linnet_str(""));
}

static void answer_stats(linnet_request *r, void *user) {
    linnet_server_stats all = LINNET_SERVER_STATS_INIT;
    const char *reason;
    char text[8192];
    unsigned at = 0;
    uint64_t count;
    linnet_server_get_stats(server, &all);
    int n = snprintf(text, sizeof text,
        "{\"opens\":%lu,\"closes\":%lu,\"messages\":%lu,\"posts\":%lu,\"rtts\":%lu,"
        "\"rejects\":%" PRIu64 ",\"bytes_in\":%" PRIu64 ",\"accept_refusals\":%" PRIu64
        ",\"accept_failures\":%" PRIu64 ",\"connections\":%zu,\"reasons\":{",
        opens, closes, messages, posts, rtts, all.rejects, all.bytes_in, all.accept_refusals,
        all.accept_failures, linnet_server_connections(server));
    while ((reason = linnet_server_next_reject(server, &at, &count)))
        n += snprintf(text + n, sizeof text - (size_t)n, "\"%s\":%" PRIu64 ",", reason, count);
    snprintf(text + n, sizeof text - (size_t)n, "\"\":0}}\n");
    linnet_request_answer(r, 200, "application/json", linnet_str(text));
}

static int add_ws(const char *path, void (*on_message)(linnet_conn *, linnet_opcode, linnet_slice),
    linnet_deflate deflate) {
    static const char *const protocols[] = { "superchat", "chat", NULL };
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.events = (linnet_conn_events){ on_open, on_message, NULL, on_pong, on_close };
    route.limits.deflate = deflate;
    route.limits.deflate_threshold = LINNET_OFF;
    if (strcmp(path, "/chat") == 0) route.subprotocols = protocols;
    return linnet_server_ws(server, path, &route);
}

static int add_http(
    const char *path, const char *methods, linnet_http_handler *handler, const char *user) {
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    route.methods = methods;
    route.handler = handler;
    route.user = (void *)(uintptr_t)user;
    return linnet_server_http(server, path, &route);
}

static int declare(void) {
    linnet_hub_options options = LINNET_HUB_OPTIONS_INIT;
    int err = linnet_hub_new(&options, &hub);
    if (err == LINNET_OK) err = linnet_server_hub(server, "/ws", hub);
    if (err == LINNET_OK) err = add_ws("/echo", echo, LINNET_DEFLATE_OFF);
    if (err == LINNET_OK) err = add_ws("/echoz", echo, LINNET_DEFLATE_SHARED);
    if (err == LINNET_OK) err = add_ws("/echot", echo, LINNET_DEFLATE_TAKEOVER);
    if (err == LINNET_OK) err = add_ws("/chat", echo, LINNET_DEFLATE_OFF);
    if (err == LINNET_OK) err = add_ws("/ps", pubsub, LINNET_DEFLATE_OFF);
    if (err == LINNET_OK) err = add_http("/n", "GET", answer_query, "i");
    if (err == LINNET_OK) err = add_http("/sid", "GET", answer_query, "sid");
    if (err == LINNET_OK) err = add_http("/big", "GET", answer_big, NULL);
    if (err == LINNET_OK) err = add_http("/redirect", "GET", answer_redirect, NULL);
    if (err == LINNET_OK) err = add_http("/later", "GET", answer_later, NULL);
    if (err == LINNET_OK) err = add_http("/release", "GET", answer_release, NULL);
    if (err == LINNET_OK) err = add_http("/trim", "GET", answer_trim, NULL);
    if (err == LINNET_OK) err = add_http("/post", "POST", answer_post, NULL);
    if (err == LINNET_OK) err = add_http("/both", "GET POST", answer_post, NULL);
    return err < 0 ? err : add_http("/stats", "GET", answer_stats, NULL);
}

static void on_log(void *ctx, linnet_log_level level, const char *line) {
    fprintf(stderr, "%s\n", line);
}

static void on_signal(int number) {
    linnet_server_stop(server, 1001);
}

int main(int argc, char **argv) {
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    linnet_tls_options tls = LINNET_TLS_OPTIONS_INIT;
    const char *address = ":0";
    char bound[128];

    options.workers = 1;
    options.log = on_log;
    options.log_level = LINNET_LOG_INFO;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--listen") == 0) address = argv[i + 1];
        if (strcmp(argv[i], "--tls-cert") == 0) tls.cert_file = argv[i + 1];
        if (strcmp(argv[i], "--tls-key") == 0) tls.key_file = argv[i + 1];
    }
    memset(big, 'b', sizeof big);
    if (linnet_server_new(&options, &server) < 0 || declare() < 0) return 1;
    if (linnet_server_listen(server, address, tls.cert_file ? &tls : NULL, bound) < 0) {
        fprintf(stderr, "%s\n", linnet_server_error(server));
        return 1;
    }
    printf("listening on %s://%s\n", tls.cert_file ? "wss" : "ws", bound);
    fflush(stdout);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    int err = linnet_server_run(server);
    linnet_server_free(server);
    linnet_hub_free(hub);
    return err < 0;
}
