/* sans_io.c -- WebSocket without any I/O of the library: both sides of a conversation in memory,
 * with bytes carried over by hand. Put your own sockets in the place of `carry`.
 *
 *     build/release/examples/sans_io        prints what each side saw
 */
#include <linnet/ws.h>
#include <stdio.h>

/* All that one side wants to send is read by the other: here a function call, with you a network.
 */
static void carry(linnet_ws *from, linnet_ws *to) {
    linnet_slice bytes = linnet_ws_pending(from);
    if (!bytes.size) return;
    linnet_ws_feed(to, bytes);
    linnet_ws_sent(from, bytes.size);
}

/* Pulls and answers events. Returns false after the last one. */
static bool serve(const char *name, linnet_ws *ws, bool server) {
    linnet_ws_event e;
    while (linnet_ws_next(ws, &e) > 0) {
        switch (e.kind) {
        case LINNET_WS_UPGRADE:
            printf("%s: asked for %.*s\n", name, (int)e.data.size, (const char *)e.data.data);
            linnet_ws_accept(ws, NULL);
            break;
        case LINNET_WS_OPEN:
            printf("%s: open\n", name);
            if (!server) linnet_ws_send(ws, LINNET_TEXT, linnet_str("hello"));
            break;
        case LINNET_WS_MESSAGE:
            printf("%s: got \"%.*s\"\n", name, (int)e.data.size, (const char *)e.data.data);
            if (server)
                linnet_ws_send(ws, LINNET_TEXT, linnet_str("and hello to you"));
            else
                linnet_ws_close(ws, 1000, "that was all");
            break;
        case LINNET_WS_CLOSED:
            printf(
                "%s: closed %u %.*s\n", name, e.code, (int)e.data.size, (const char *)e.data.data);
            return false;
        default: break;
        }
    }
    return true;
}

int main(void) {
    linnet_ws_options options = LINNET_WS_OPTIONS_INIT;
    linnet_ws *client, *server;
    if (linnet_ws_new(&options, &server) < 0) return 1;
    options.client = true;
    options.url = "ws://example.test/greetings";
    if (linnet_ws_new(&options, &client) < 0) return 1;

    bool server_on = true, client_on = true;
    for (int i = 0; i < 10 && (server_on || client_on); i++) {
        carry(client, server);
        if (server_on) server_on = serve("server", server, true);
        carry(server, client);
        if (client_on) client_on = serve("client", client, false);
    }
    linnet_ws_free(client);
    linnet_ws_free(server);
    return server_on || client_on;
}
