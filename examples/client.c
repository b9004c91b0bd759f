/* client.c -- dial, say something, print what comes back, close.
 *
 *     build/release/examples/client ws://127.0.0.1:9001/ "hello there"
 */
#include <linnet/linnet.h>
#include <stdio.h>

typedef struct talk {
    linnet_loop *loop;
    const char *words;
    int code; /* of the program */
} talk;

static void on_open(linnet_conn *conn) {
    talk *t = linnet_conn_user(conn);
    linnet_conn_send(conn, LINNET_TEXT, linnet_str(t->words));
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    talk *t = linnet_conn_user(conn);
    printf("%.*s\n", (int)data.size, (const char *)data.data);
    t->code = 0;
    linnet_conn_close(conn, 1000, "thank you");
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    talk *t = linnet_conn_user(conn);
    fprintf(stderr, "closed %u %.*s\n", code, (int)reason.size, (const char *)reason.data);
    linnet_loop_stop(t->loop);
}

static void on_fail(void *user, int err, int status, const char *words) {
    talk *t = user;
    fprintf(stderr, "not connected: %s\n", words);
    linnet_loop_stop(t->loop);
}

int main(int argc, char **argv) {
    talk t = { .words = argc > 2 ? argv[2] : "hello", .code = 1 };
    linnet_dial_options options = LINNET_DIAL_OPTIONS_INIT;

    if (linnet_loop_new(NULL, &t.loop) < 0) return 1;
    options.url = argc > 1 ? argv[1] : "ws://127.0.0.1:9001/";
    options.user = &t;
    options.on_fail = on_fail;
    options.events.on_open = on_open;
    options.events.on_message = on_message;
    options.events.on_close = on_close;
    int err = linnet_client_dial(t.loop, &options, NULL);
    if (err < 0)
        fprintf(stderr, "%s\n", linnet_strerror(err));
    else
        linnet_loop_run(t.loop);
    linnet_loop_free(t.loop);
    return t.code;
}
