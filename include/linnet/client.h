/* linnet/client.h -- dialling out: one WebSocket to one URL, with the same connection functions and
 * events as on a server. Reconnecting, queues and channels come with a later version.
 */
#ifndef LINNET_CLIENT_H
#define LINNET_CLIENT_H
#include <linnet/conn.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_dial_options {
    size_t size;                     /* of this struct */
    const char *url;                 /* ws://host[:port]/path?query, or wss:// */
    const char *const *headers;      /* "Name: value", NULL-terminated; NULL: none */
    const char *const *subprotocols; /* offered, NULL-terminated; NULL: none */
    const char *unix_path;           /* connect here instead of the URL's host; NULL */
    const char *source_address;  /* local address to connect from, for instance "127.0.0.2"; NULL */
    const char *tls_ca_file;     /* PEM; NULL: the system's store */
    const char *tls_server_name; /* verified and sent instead of the URL's host; NULL */
    bool tls_insecure;           /* do not verify the server's certificate */
    uint32_t timeout_ms;         /* from dial to open; 0: 10,000 */
    linnet_conn_limits limits;
    linnet_conn_events events; /* on_close comes also when it never opened: see below */
    /* It could not be opened. err says why; status is the HTTP status that came instead of 101,
     * else 0; words explain it to people. Exactly one of on_open and on_fail is called for each
     * dial. */
    void (*on_fail)(void *user, int err, int status, const char *words);
    void *user; /* linnet_conn_user */
} linnet_dial_options;
#define LINNET_DIAL_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(linnet_dial_options), NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, 0,           \
            LINNET_CONN_LIMITS_INIT, { NULL, NULL, NULL, NULL, NULL }, NULL, NULL                  \
    }

/* Begins to connect; the outcome comes as on_open or on_fail in a later turn, never from inside
 * this call. All options are copied. *id, if not NULL, names the attempt and then the connection
 * (linnet_loop_close cancels it: on_fail with LINNET_ERR_CANCELLED). LINNET_ERR_URL,
 * LINNET_ERR_INVAL, LINNET_ERR_NOMEM, LINNET_ERR_LIMIT, LINNET_ERR_TLS: nothing was begun. In the
 * loop's thread. */
LINNET_API int linnet_client_dial(
    linnet_loop *loop, const linnet_dial_options *options, linnet_conn_id *id);

#ifdef __cplusplus
}
#endif
#endif
