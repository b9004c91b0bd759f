/* ask_client.c -- the server asks a client, and somebody over HTTP has the answer.
 *
 *     build/release/examples/ask_client --listen 127.0.0.1:9006
 *     a client named lamp at ws://127.0.0.1:9006/ws/lamp that answers calls, for instance in a
 * page: ws = new WebSocket('ws://127.0.0.1:9006/ws/lamp', 'linnet.v1') ws.onmessage = e => { const
 * m = JSON.parse(e.data) if (m.type == 'call') ws.send(JSON.stringify({ type: 'reply', re: m.id,
 * data: 'on' })) } curl 'http://127.0.0.1:9006/ask?client=lamp'      "on"
 */
#include <linnet/linnet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static linnet_server *server;
static linnet_hub *hub;

/* Of the call: answers the request that has waited for it, if it still does. */
static void on_called(void *ctx, linnet_hub *h, int err, const linnet_call_reply *reply) {
    linnet_conn_id *request = ctx;
    if (err < 0)
        linnet_server_answer(server, *request, err == LINNET_ERR_TIMEOUT ? 504 : 404, "text/plain",
            linnet_str(linnet_strerror(err)));
    else if (reply->code)
        linnet_server_answer(server, *request, 409, "text/plain", reply->message);
    else
        linnet_server_answer(server, *request, 200, "application/json", reply->data);
    free(request);
}

static void on_request(linnet_request *r, void *user) {
    linnet_whom whom = LINNET_WHOM_INIT;
    linnet_call call = LINNET_CALL_INIT;
    linnet_conn_id *request = malloc(sizeof *request);
    int err = LINNET_ERR_NOMEM;
    whom.client = linnet_request_query(r, "client");
    call.event = linnet_str("state");
    call.timeout_ms = 2000;
    if (request) {
        *request = linnet_request_id(r);
        err = linnet_hub_call(hub, &whom, &call, on_called, request);
    }
    if (err == LINNET_OK) return; /* on_called answers */
    free(request);
    linnet_request_answer(r, err == LINNET_ERR_INVAL ? 400 : 503, NULL, linnet_str("whom?\n"));
}

static void on_signal(int signal_number) {
    linnet_server_stop(server, 1001);
}

int main(int argc, char **argv) {
    const char *address = argc >= 3 && strcmp(argv[1], "--listen") == 0 ? argv[2] : ":9006";
    linnet_server_options options = LINNET_SERVER_OPTIONS_INIT;
    linnet_http_route ask = LINNET_HTTP_ROUTE_INIT;
    char bound[128];

    ask.methods = "GET";
    ask.handler = on_request;
    options.workers = argc == 5 && strcmp(argv[3], "--workers") == 0
                          ? (unsigned)strtoul(argv[4], NULL, 10)
                          : 0;
    if (linnet_hub_new(NULL, &hub) < 0 || linnet_server_new(&options, &server) < 0) return 1;
    linnet_server_hub(server, "/ws/*", hub);
    linnet_server_http(server, "/ask", &ask);
    if (linnet_server_listen(server, address, NULL, bound) < 0) {
        fprintf(stderr, "%s\n", linnet_server_error(server));
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    printf("listening on ws://%s\n", bound);
    fflush(stdout);
    return linnet_server_run(server) < 0;
}
