/* self_test.c -- a test of one's own server: a minute passes in no time, nothing listens anywhere.
 *
 * The server is a room that sends away who has said nothing for a minute. The test has a talkative
 * guest and a silent one, and one whose phone loses its network.
 */
#include <linnet/test.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MS 60000

/* ---- what is to be tested ------------------------------------------------------------------- */

static void send_away(linnet_timer *timer, void *ctx) {
    (void)timer;
    linnet_conn_close(ctx, 4000, "say something");
}

static void on_open(linnet_conn *conn) {
    linnet_timer *timer = NULL;
    if (linnet_timer_new(linnet_conn_loop(conn), send_away, conn, &timer) < 0) {
        linnet_conn_close(conn, 1013, "no memory");
        return;
    }
    linnet_conn_set_user(conn, timer);
    linnet_timer_set(timer, IDLE_MS);
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    linnet_timer_set(linnet_conn_user(conn), IDLE_MS);
    linnet_conn_send(conn, opcode, data);
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)code;
    (void)reason;
    (void)err;
    linnet_timer_free(linnet_conn_user(conn));
}

static int declare(linnet_server *server) {
    linnet_ws_route route = LINNET_WS_ROUTE_INIT;
    route.events.on_open = on_open;
    route.events.on_message = on_message;
    route.events.on_close = on_close;
    return linnet_server_ws(server, "/room", &route);
}

/* ---- the test ------------------------------------------------------------------------------- */

static void must(int ok, const char *what) {
    printf("%s: %s\n", ok ? "ok" : "not ok", what);
    if (!ok) exit(1);
}

static linnet_test_client *guest(linnet_test *test) {
    linnet_test_client *client = NULL;
    int err = linnet_test_dial(test, "ws://127.0.0.1:8080/room", NULL, &client);
    must(err == LINNET_OK, "a guest comes in");
    return client;
}

int main(void) {
    linnet_test *test;
    linnet_server *server;
    must(linnet_test_new(NULL, &test) == LINNET_OK, "a world");
    must(linnet_test_server(test, NULL, &server) == LINNET_OK && declare(server) == LINNET_OK &&
             linnet_server_listen(server, "127.0.0.1:8080", NULL, NULL) == LINNET_OK &&
             linnet_server_start(server) == LINNET_OK,
        "a server in it");

    linnet_test_client *talks = guest(test), *silent = guest(test), *lost = guest(test);
    linnet_test_vanish(lost);
    for (int i = 0; i < 6; i++) {
        linnet_test_pass(test, 10000);
        linnet_test_say(talks, "still here");
        must(linnet_test_hear(talks, "still here", 100).data != NULL, "an echo");
    }
    linnet_test_pass(test, 1000);
    must(linnet_test_closed(talks) == 0, "who talks stays");
    must(linnet_test_closed(silent) == 4000, "who does not is sent away");
    must(linnet_server_connections(server) == 1, "and who is lost is noticed");
    printf("%llu s went by\n", (unsigned long long)linnet_test_now(test) / 1000);
    linnet_test_free(test);
    return 0;
}
