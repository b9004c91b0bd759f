/* linnet/test.h -- a server inside your test, on a network and a clock of its own.
 *
 *     linnet_test *t;
 *     linnet_test_new(NULL, &t);
 *     linnet_server *server;
 *     linnet_test_server(t, NULL, &server);             yours to fill as any other:
 *     linnet_server_hub(server, "/ws", hub);
 *     linnet_server_listen(server, "127.0.0.1:8080", NULL, NULL);
 *     linnet_server_start(server);
 *     linnet_test_client *anna;
 *     linnet_test_dial(t, "ws://127.0.0.1:8080/ws", "linnet.v1", &anna);
 *     linnet_test_say(anna, "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"tea\"}");
 *     linnet_slice ok = linnet_test_hear(anna, "\"re\":1", 1000);
 *     linnet_test_vanish(anna);
 *     linnet_test_pass(t, 60000);                        a minute, in no time
 *     linnet_test_free(t);
 *     linnet_hub_free(hub);
 *
 * Nothing here sleeps, opens a descriptor or starts a thread. Time passes only inside
 * linnet_test_pass, _until, _hear, _dial and _stop, and as much as nobody has anything to do is
 * skipped; callbacks of the server run there, in the thread that called. The same seed and the same
 * program give the same run, order of workers and delays included, so a failure stays a failure.
 *
 * A server is started with linnet_server_start, for linnet_server_run would have to wait.
 *
 * What is the kernel's is not there: TLS, Unix sockets, host names, webhooks (their callbacks,
 * linnet_hooks, are). All addresses are 127.0.0.1, and ports are the virtual network's. A program
 * that uses this links linnet-test, which comes as an archive (pkg-config linnet-test), and is a
 * test: without memory the network ends the process.
 *
 * One thread. Not from inside callbacks, but for linnet_test_now and linnet_test_wall:
 * LINNET_ERR_STATE.
 */
#ifndef LINNET_TEST_H
#define LINNET_TEST_H
#include <linnet/client.h>
#include <linnet/server.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_test linnet_test;
typedef struct linnet_test_client linnet_test_client;

typedef struct linnet_test_options {
    size_t size;       /* of this struct */
    uint64_t seed;     /* of all that is random: delays, ids, epochs, orders */
    uint64_t wall_ms;  /* milliseconds since 1970 at the beginning; 0: 1,700,000,000,000 */
    uint32_t delay_ms; /* each way takes 0 to so many; 0: 1 */
} linnet_test_options;
#define LINNET_TEST_OPTIONS_INIT                                                                   \
    { sizeof(linnet_test_options), 0, 0, 0 }

/* options NULL: the defaults. LINNET_ERR_NOMEM, LINNET_ERR_INVAL. */
LINNET_API int linnet_test_new(const linnet_test_options *options, linnet_test **out);
/* Stops and frees its servers, then its clients. Hubs are freed behind it, by whoever made them.
 * NULL is allowed. */
LINNET_API void linnet_test_free(linnet_test *test);

/* A server as linnet_server_new makes it, on this network; at most 16. options.loop is NULL, and
 * workers 0 is 1. It is freed by linnet_test_stop or linnet_test_free, never by
 * linnet_server_free. */
LINNET_API int linnet_test_server(
    linnet_test *test, const linnet_server_options *options, linnet_server **out);
/* Stops it as linnet_server_stop does, or at once, lets the time pass that this takes, and frees
 * it. */
LINNET_API int linnet_test_stop(linnet_test *test, linnet_server *server, bool at_once);

/* Milliseconds, from 0 on; milliseconds since 1970. */
LINNET_API uint64_t linnet_test_now(const linnet_test *test);
LINNET_API uint64_t linnet_test_wall(const linnet_test *test);
/* Somebody sets the clock of the wall. Nothing else moves. */
LINNET_API int linnet_test_set_wall(linnet_test *test, uint64_t wall_ms);
/* So many milliseconds pass. */
LINNET_API int linnet_test_pass(linnet_test *test, uint64_t ms);
/* Time passes until done(ctx), at most so long. LINNET_ERR_TIMEOUT: it is not. */
LINNET_API int linnet_test_until(
    linnet_test *test, bool (*done)(void *ctx), void *ctx, uint64_t within_ms);

/* Connects, and lets the time pass that this takes. subprotocol NULL: none is offered. For cookies,
 * tokens and limits: linnet_test_dial_with, where options->events, on_fail and user count for
 * nothing. LINNET_ERR_CONNECT, LINNET_ERR_HANDSHAKE and what else on_fail may say; *status, unless
 * status is NULL, is the HTTP status that came instead of 101, or 0. */
LINNET_API int linnet_test_dial(
    linnet_test *test, const char *url, const char *subprotocol, linnet_test_client **out);
LINNET_API int linnet_test_dial_with(
    linnet_test *test, const linnet_dial_options *options, linnet_test_client **out, int *status);
/* Closes it, if need be without ceremony, and frees it. NULL is allowed. */
LINNET_API void linnet_test_client_free(linnet_test_client *client);

/* Sends a text. LINNET_ERR_CLOSED. */
LINNET_API int linnet_test_say(linnet_test_client *client, const char *text);
/* The next message that has this in it (NULL: the next one); those before it are dropped. At most
 * so much time passes until it comes; data NULL: it did not, or the connection has ended. It ends
 * with a NUL behind size, and is good until the client's next call here. */
LINNET_API linnet_slice linnet_test_hear(
    linnet_test_client *client, const char *part, uint64_t within_ms);
/* How it was closed: 0: it is not; 1006: without a Close. */
LINNET_API uint16_t linnet_test_closed(const linnet_test_client *client);
/* For all else; NULL once it is closed. */
LINNET_API linnet_conn *linnet_test_conn(const linnet_test_client *client);

/* What networks do. cut: both sides see a reset. vanish: from now on nothing passes and nobody is
 * told, as when a phone loses its network. */
LINNET_API void linnet_test_cut(linnet_test_client *client);
LINNET_API void linnet_test_vanish(linnet_test_client *client);

#ifdef __cplusplus
}
#endif
#endif
