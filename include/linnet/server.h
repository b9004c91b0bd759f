/* linnet/server.h -- listeners, routes, workers.
 *
 *     linnet_server_options o = LINNET_SERVER_OPTIONS_INIT;
 *     linnet_ws_route chat = LINNET_WS_ROUTE_INIT;
 *     chat.events.on_message = echo;
 *     linnet_server_new(&o, &server);
 *     linnet_server_ws(server, "/echo", &chat);
 *     linnet_server_listen(server, "127.0.0.1:8080", NULL, NULL);
 *     linnet_server_run(server);                  until linnet_server_stop()
 *
 * Routes and listeners are declared before start. Each worker has its own loop, listener and
 * connections; callbacks of one connection always run in its worker's thread.
 */
#ifndef LINNET_SERVER_H
#define LINNET_SERVER_H
#include <linnet/conn.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_server linnet_server;
typedef struct linnet_upgrade linnet_upgrade;
typedef struct linnet_request linnet_request; /* http.h */

/* The field in which a trusted proxy names the visitor. One only: any other could be what the
 * visitor wrote himself. */
typedef enum linnet_client_field {
    LINNET_FIELD_X_FORWARDED_FOR = 0, /* the right-most hop that is no trusted proxy; beside it
                                         X-Forwarded-Proto and X-Forwarded-Host */
    LINNET_FIELD_FORWARDED = 1,       /* RFC 7239: for, proto, host */
    LINNET_FIELD_X_REAL_IP = 2        /* one address; beside it as for the first */
} linnet_client_field;

typedef struct linnet_server_options {
    size_t size;           /* of this struct */
    unsigned workers;      /* threads, 1 to 64; 0: one per core */
    linnet_loop *loop;     /* instead of threads: one worker on this loop, which the host turns */
    uint32_t busy_poll_us; /* as in linnet_loop_options */
    uint32_t connections_max; /* of the process; 0: the descriptor limit less 256; 503 beyond */
    uint32_t head_ms;       /* from accept to the end of the request head; 0: 10,000; LINNET_OFF */
    uint32_t drain_ms;      /* bound of a graceful stop; 0: 30,000; LINNET_OFF */
    uint32_t notsent_lowat; /* TCP_NOTSENT_LOWAT in bytes; 0: 32 KiB; LINNET_OFF: kernel default */
    uint32_t user_timeout_ms; /* TCP_USER_TIMEOUT; 0: 30,000; LINNET_OFF: kernel default */
    const char *server_name;  /* value of the Server field; NULL: none is sent */
    linnet_log_fn *log;       /* NULL: silent. Called from worker threads */
    void *log_ctx;
    linnet_log_level log_level;
    /* Proxies that are believed when they say who their visitor is: "10.0.0.0/8", "2001:db8::1",
     * "unix" for peers on Unix sockets; NULL-terminated, copied, at most 1,024. NULL: nobody. */
    const char *const *trusted_proxies;
    linnet_client_field client_field; /* and where they say it */
    uint32_t connections_per_ip;      /* WebSockets of one address, or /64 of IPv6; 429; 0: any */
    uint32_t drain_lead_ms;  /* of a graceful stop: goes on serving so long, not ready any more */
    uint32_t drain_rate;     /* clients that can come back in a second: closes are spread by it;
                                0: the most handshakes measured, at least 1,000; LINNET_OFF: all
                                are closed at once */
    uint64_t queued_all_max; /* bytes that may wait to be sent on all connections together, each
                                message once per worker; 0: a quarter of the memory; LINNET_OFF.
                                Beyond it nobody publishes (LINNET_ERR_AGAIN), WebSockets are
                                answered 503, and the largest queues are cut with 3008 */
} linnet_server_options;
#define LINNET_SERVER_OPTIONS_INIT                                                                 \
    {                                                                                              \
        sizeof(linnet_server_options), 0, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL,                \
            LINNET_LOG_WARN, NULL, LINNET_FIELD_X_FORWARDED_FOR, 0, 0, 0, 0                        \
    }

/* *out only on success. LINNET_ERR_NOMEM, LINNET_ERR_INVAL, LINNET_ERR_SYS. */
LINNET_API int linnet_server_new(const linnet_server_options *options, linnet_server **out);
/* Stops at once if it was started, and frees. Not from a callback, and not before linnet_server_run
 * has returned. NULL is allowed. */
LINNET_API void linnet_server_free(linnet_server *server);

typedef struct linnet_tls_options {
    size_t size;                /* of this struct */
    const char *cert_file;      /* PEM: certificate and chain */
    const char *key_file;       /* PEM */
    const char *client_ca_file; /* NULL: client certificates are not asked for */
} linnet_tls_options;
#define LINNET_TLS_OPTIONS_INIT                                                                    \
    { sizeof(linnet_tls_options), NULL, NULL, NULL }

/* Declares a listener. address: "HOST:PORT", "[V6]:PORT", ":PORT" (loopback), "unix:PATH"; port 0
 * picks a free one. Binds at once, for all workers or not at all: bound, if not NULL, gets the real
 * address. tls NULL: plain. LINNET_ERR_URL, LINNET_ERR_EXISTS (in use), LINNET_ERR_SYS with errno,
 * LINNET_ERR_TLS; linnet_server_error() has words. */
LINNET_API int linnet_server_listen(
    linnet_server *server, const char *address, const linnet_tls_options *tls, char bound[128]);
/* The same for a listening descriptor made elsewhere (socket activation). Taken on success.
 * LINNET_ERR_INVAL: it is no listening stream socket. */
LINNET_API int linnet_server_listen_fd(
    linnet_server *server, int fd, const linnet_tls_options *tls);
/* Connections to the last listener declared begin with a header of the PROXY protocol, version 1 or
 * 2, before TLS and all else, within head_ms. It is believed from trusted_proxies (when none are
 * named, from loopback and Unix sockets); without a valid one, or from others, the connection is
 * closed, and counted as "PROXY". LINNET_ERR_STATE: no listener was declared, or it runs already.
 */
LINNET_API int linnet_server_proxy_protocol(linnet_server *server);
/* Another certificate for a name, chosen by SNI, on the last TLS listener declared. At most 1,024.
 * LINNET_ERR_STATE (no such listener), LINNET_ERR_TLS, LINNET_ERR_INVAL, LINNET_ERR_LIMIT,
 * LINNET_ERR_NOMEM. */
LINNET_API int linnet_server_sni(
    linnet_server *server, const char *name, const char *cert_file, const char *key_file);
/* Reads all certificates again, of all listeners or none; live connections keep theirs. Any thread,
 * one at a time when the words of linnet_server_error are wanted. LINNET_ERR_TLS,
 * LINNET_ERR_NOMEM. */
LINNET_API int linnet_server_reload_tls(linnet_server *server);
/* From soon on lines of this level and those before it; any thread. LINNET_ERR_INVAL,
 * LINNET_ERR_NOMEM (some workers may have been told). */
LINNET_API int linnet_server_log_level(linnet_server *server, linnet_log_level level);
/* Words about the last failure of a declaring call. Good until the next one. */
LINNET_API const char *linnet_server_error(const linnet_server *server);

typedef enum linnet_verdict {
    LINNET_ACCEPT = 0, /* also when linnet_upgrade_accept was called */
    LINNET_REJECT = 1, /* 403, or what linnet_upgrade_reject said */
    LINNET_DEFER = 2   /* finish it later by id, or it is answered 503 after head_ms */
} linnet_verdict;

/* A path that speaks WebSocket. Exact match, or "/prefix/" + "*" for all below it. */
typedef struct linnet_ws_route {
    size_t size; /* of this struct */
    linnet_conn_events events;
    void *user; /* for on_upgrade; and the first linnet_conn_user of accepted connections */
    /* Called for each well-formed upgrade request whose Origin passed. NULL: accept. */
    linnet_verdict (*on_upgrade)(linnet_upgrade *upgrade, void *user);
    linnet_conn_limits limits;
    const char *const *subprotocols; /* NULL-terminated, in order of preference; NULL: none */
    const char *const *origins; /* NULL-terminated: "https://app.example"; "*": any; NULL: the same
                                   host and port, or any on a loopback listener from localhost */
} linnet_ws_route;
#define LINNET_WS_ROUTE_INIT                                                                       \
    {                                                                                              \
        sizeof(linnet_ws_route), { NULL, NULL, NULL, NULL, NULL }, NULL, NULL,                     \
            LINNET_CONN_LIMITS_INIT, NULL, NULL                                                    \
    }

/* Declares it. The struct and its lists are copied. LINNET_ERR_EXISTS, LINNET_ERR_INVAL,
 * LINNET_ERR_NOMEM. */
LINNET_API int linnet_server_ws(
    linnet_server *server, const char *path, const linnet_ws_route *route);

/* What an on_upgrade may ask and say. Slices are good until it returns; with DEFER copy what you
 * need. */
LINNET_API linnet_slice linnet_upgrade_path(const linnet_upgrade *u);   /* decoded, without query */
LINNET_API linnet_slice linnet_upgrade_target(const linnet_upgrade *u); /* as it came */
/* The value of a header field, trimmed; {NULL, 0} when absent. index: 0 for the first of that name.
 */
LINNET_API linnet_slice linnet_upgrade_header(
    const linnet_upgrade *u, const char *name, unsigned index);
/* A query parameter, percent-decoded into memory of the upgrade; {NULL, 0} when absent. */
LINNET_API linnet_slice linnet_upgrade_query(linnet_upgrade *u, const char *name);
/* The visitor, also behind a trusted proxy; then the port may be missing. As linnet_conn_peer. */
LINNET_API size_t linnet_upgrade_peer(const linnet_upgrade *u, char out[64]);
LINNET_API bool linnet_upgrade_tls(const linnet_upgrade *u);
/* The subprotocols the client offered, in its order; {NULL, 0} beyond the last. */
LINNET_API linnet_slice linnet_upgrade_offered(const linnet_upgrade *u, unsigned index);
/* Names this upgrade for later; the connection keeps the id. */
LINNET_API linnet_conn_id linnet_upgrade_id(const linnet_upgrade *u);
LINNET_API linnet_loop *linnet_upgrade_loop(const linnet_upgrade *u);

/* Inside on_upgrade: the user pointer of the connection, and the subprotocol (NULL: chosen from the
 * route's list;
 * "": none), which must be one that the client offered: LINNET_ERR_UPGRADE_PROTOCOL. */
LINNET_API int linnet_upgrade_accept(linnet_upgrade *u, void *user, const char *subprotocol);
/* status 400..599, or 300..399; body may be NULL; text/plain; copied. LINNET_ERR_INVAL. */
LINNET_API int linnet_upgrade_reject(linnet_upgrade *u, int status, const char *body);
/* An extra field of the 101 or of the refusal, before either. LINNET_ERR_INVAL for CR, LF or our
 * own fields. */
LINNET_API int linnet_upgrade_add_header(linnet_upgrade *u, const char *name, const char *value);

/* The same for a deferred one whose id was asked for, once, from any thread. LINNET_OK: `user` is
 * handed over: it comes to on_open, or, when the client goes before that, to on_abandon of the
 * server, if set, in the worker's thread. LINNET_ERR_NOT_FOUND: nobody waits for it any more: it
 * was decided before, head_ms is over, or the client has gone. LINNET_ERR_NOMEM: it may be tried
 * again. LINNET_ERR_INVAL: a subprotocol that is no token,
 * a wrong status, an id of another server. A subprotocol that the client did not offer: none. */
LINNET_API int linnet_server_accept(
    linnet_server *server, linnet_conn_id id, void *user, const char *subprotocol);
LINNET_API int linnet_server_reject(
    linnet_server *server, linnet_conn_id id, int status, const char *body);
LINNET_API void linnet_server_on_abandon(linnet_server *server, void (*fn)(void *user));

/* An accepted, connected stream socket from elsewhere, with the bytes read from it so far (a whole
 * request head and anything behind it, or the beginning of one, or nothing), as if it had been
 * accepted here. The fd is taken on success and made non-blocking. Any thread. LINNET_ERR_AGAIN,
 * LINNET_ERR_INVAL (over 64 KiB read, or no stream socket), LINNET_ERR_NOMEM, LINNET_ERR_STATE (not
 * running). */
LINNET_API int linnet_server_adopt(linnet_server *server, int fd, linnet_slice already_read);

/* run: start, wait until stopped, join. start: returns when all workers accept. Both:
 * LINNET_ERR_SYS, LINNET_ERR_NOMEM, LINNET_ERR_STATE. With options.loop use start, and turn the
 * loop. */
LINNET_API int linnet_server_run(linnet_server *server);
LINNET_API int linnet_server_start(linnet_server *server);
/* Graceful: after drain_lead_ms stops accepting, answers what is at work, tells sessions of
 * linnet.v1 to go away, closes WebSockets with `code` (0: 1012), many of them spread over a time in
 * which they can come back, and ends when all are gone or drain_ms more have passed. A second call
 * ends it now. Any thread and signal handlers. */
LINNET_API void linnet_server_stop(linnet_server *server, uint16_t code);
/* Whether it was asked to stop: what a readiness check wants to know. Any thread. */
LINNET_API bool linnet_server_draining(const linnet_server *server);
/* What a graceful stop would do now. Any thread. LINNET_ERR_INVAL: out->size. */
typedef struct linnet_drain_plan {
    size_t size;                 /* of this struct */
    uint64_t connections;        /* that are there */
    uint64_t rate;               /* that can come back in a second */
    uint32_t lead_ms, spread_ms; /* served on; closing takes so long, 0: all at once */
    uint32_t window_ms;          /* after its end each comes back at a random moment in this */
    uint32_t drain_ms;           /* who is still there then is dropped */
} linnet_drain_plan;
#define LINNET_DRAIN_PLAN_INIT                                                                     \
    { sizeof(linnet_drain_plan), 0, 0, 0, 0, 0, 0 }
LINNET_API int linnet_server_drain_plan(const linnet_server *server, linnet_drain_plan *out);
/* Whether more waits to be sent than may (queued_all_max), so that nobody can publish for a moment.
 * Any thread. */
LINNET_API bool linnet_server_crowded(const linnet_server *server);
/* Waits for the end after a stop. Not from a callback, not with options.loop. */
LINNET_API int linnet_server_join(linnet_server *server);
/* Whether it has ended (for hosts that turn the loop themselves). */
LINNET_API bool linnet_server_stopped(const linnet_server *server);

/* By id or to a topic, from any thread; the bytes are copied. LINNET_ERR_AGAIN when too much waits.
 */
LINNET_API int linnet_server_send(
    linnet_server *server, linnet_conn_id id, linnet_opcode opcode, linnet_slice data);
LINNET_API int linnet_server_close(
    linnet_server *server, linnet_conn_id id, uint16_t code, const char *reason);
LINNET_API int linnet_server_publish(
    linnet_server *server, linnet_slice topic, linnet_opcode opcode, linnet_slice data);
/* The workers, from 0, and the loop of each, for linnet_loop_post: what is to run in its thread.
 * NULL beyond the last. With options.loop there is one. */
LINNET_API unsigned linnet_server_workers(const linnet_server *server);
LINNET_API linnet_loop *linnet_server_loop(linnet_server *server, unsigned worker);
/* Live WebSockets and other connections, over all workers. */
LINNET_API size_t linnet_server_connections(const linnet_server *server);

/* Counters over all workers since start. rejects: requests refused for what they said, and
 * WebSockets closed for what came over them; accept_refusals: connections closed unheard;
 * accept_failures: how often accepting had to pause for want of descriptors or memory. */
typedef struct linnet_server_stats {
    size_t size; /* of this struct */
    uint64_t connections, messages_in, messages_out, bytes_in, bytes_out, sends, rejects,
        accept_refusals, accept_failures;
    uint64_t opens, closes; /* WebSockets opened; connections of any kind that ended */
    uint64_t queued_bytes;  /* now waiting to be sent, over all connections */
    uint64_t cut;           /* connections cut because more than queued_all_max waited */
    uint64_t stalled;       /* connections now, of whose bytes the kernel takes no more */
    uint64_t spared;        /* volatile messages dropped because a queue was full */
    uint64_t uncompressed;  /* WebSockets that wanted compression when there was no memory for it */
} linnet_server_stats;
#define LINNET_SERVER_STATS_INIT                                                                   \
    { sizeof(linnet_server_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
/* Fills out->size bytes, which the caller has set; any thread. LINNET_ERR_INVAL: that is no size.
 */
LINNET_API int linnet_server_get_stats(const linnet_server *server, linnet_server_stats *out);
/* Where memory is, in bytes, over all workers: estimates by what is counted, not by the allocator.
 */
typedef struct linnet_memory {
    size_t size;                        /* of this struct */
    uint64_t connections;               /* connections, handshakes and sessions */
    uint64_t queues;                    /* messages that wait to be sent, each once per worker */
    uint64_t histories;                 /* publications that channels keep */
    uint64_t presence;                  /* members of channels, and keys that live there */
    uint64_t compression;               /* windows of connections that have one */
    uint64_t tables;                    /* channels, their homes, and the tables that find things */
    uint64_t queues_max, histories_max; /* their budgets; 0: there is none */
} linnet_memory;
#define LINNET_MEMORY_INIT                                                                         \
    { sizeof(linnet_memory), 0, 0, 0, 0, 0, 0, 0, 0 }
/* Any thread. LINNET_ERR_INVAL: out->size is no size. */
LINNET_API int linnet_server_get_memory(const linnet_server *server, linnet_memory *out);
/* What `rejects` is made of: walks the reasons that occurred. Start with *at = 0. Returns the
 * reason, as in the log and fit for a metric's label ("PROTO_MASK", "HTTP_LENGTH"), static memory,
 * with its count over all workers; NULL at the end, *count is untouched then. */
LINNET_API const char *linnet_server_next_reject(
    const linnet_server *server, unsigned *at, uint64_t *count);
/* The same with all reasons there are, those that have not occurred yet with 0. */
LINNET_API const char *linnet_server_next_reason(
    const linnet_server *server, unsigned *at, uint64_t *count);
/* WebSockets that ended, by close code: what was said first by either side, 1006 when nothing was,
 * and what our error row says when it was we who failed it. Walks the codes that are counted by
 * themselves, in a fixed order; *code is 0 for all others. False at the end. */
LINNET_API bool linnet_server_next_close(
    const linnet_server *server, unsigned *at, uint16_t *code, uint64_t *count);

/* How long things took, since the start and over all workers. */
typedef enum linnet_measure {
    LINNET_MEASURE_DELIVERY = 0, /* from a publish by a client until a worker had queued it for its
                                    subscribers; one publication in eight is timed */
    LINNET_MEASURE_RTT = 1,      /* of our WebSocket pings */
    LINNET_MEASURE_SOCKET = 2,   /* from a publish until the turn that delivered it had given all to
                                    the sockets that would take it; of the same ones as DELIVERY */
    LINNET_MEASURE_WAIT = 3,     /* how long what a socket did not take at once has waited for it */
    LINNET_MEASURE_WEBHOOK = 4   /* requests to webhooks, from sending to the end of the answer */
} linnet_measure;
#define LINNET_HISTOGRAM_BUCKETS 16
typedef struct linnet_histogram {
    size_t size;                                 /* of this struct */
    uint64_t bound_us[LINNET_HISTOGRAM_BUCKETS]; /* largest of a bucket; UINT64_MAX: all beyond */
    uint64_t counts[LINNET_HISTOGRAM_BUCKETS];   /* in this bucket, not in those below */
    uint64_t count, sum_us;
} linnet_histogram;
#define LINNET_HISTOGRAM_INIT                                                                      \
    { sizeof(linnet_histogram), { 0 }, { 0 }, 0, 0 }
/* Any thread. LINNET_ERR_INVAL. */
LINNET_API int linnet_server_measure(
    const linnet_server *server, linnet_measure what, linnet_histogram *out);

#ifdef __cplusplus
}
#endif
#endif
