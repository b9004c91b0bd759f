/* server.h -- what stands behind linnet_server: listeners, routes, workers and their end.
 *
 *    NEW -- start --> RUNNING -- stop --> DRAINING -- all gone, or drain_ms, or stop --> ENDED
 *
 * Before start everything is declared by one thread; afterwards routes and listeners are read-only,
 * each worker owns what is its own, and the flags say what is to happen.
 */
#ifndef LN_LIB_SERVER_H
#define LN_LIB_SERVER_H
#include "lib/inner.h"
#include "wire/forwarded.h"
#include <pthread.h>

#define LN_LISTENS_MAX 32

typedef struct ln_entrance { /* one declared address; a listener for each worker */
    ln_listener *listeners;  /* [workers] */
    ln_tls_ctx *tls;         /* NULL: plain */
    bool loopback;
    bool proxied; /* each connection begins with a PROXY header */
    char *file;   /* the Unix socket we made, ours to take away; NULL */
} ln_entrance;

typedef struct ln_route {
    struct ln_route *next;
    char *path;
    size_t path_size;
    bool prefix, is_ws;
    /* WebSocket */
    linnet_conn_events events;
    void *user;
    linnet_verdict (*on_upgrade)(linnet_upgrade *upgrade, void *user);
    ln_conn_config config;
    ln_pmd_policy deflate;
    const ln_conn_ops *ops; /* what connections of it answer to; NULL: the host's events */
    ln_slice *protocols, *origins;
    size_t protocol_count, origin_count;
    bool own_origins; /* origins were given, the standard rule is off */
    /* HTTP */
    linnet_http_handler *handler;
    unsigned methods; /* bit per ln_http1_method */
    uint32_t body_max;
    /* asset */
    struct ln_asset *asset;
} ln_route;

typedef struct ln_asset {
    linnet_slice data;
    char type[64], etag[24], location[256]; /* location: this path only redirects there */
    char *policy;                           /* Content-Security-Policy; NULL: none */
} ln_asset;

struct linnet_server {
    ln_world *world;
    linnet_server_options options;
    char *name; /* of the Server field */
    linnet_loop *workers[LN_LIM_WORKERS];
    pthread_t threads[LN_LIM_WORKERS];
    unsigned worker_count, thread_count;
    ln_entrance listens[LN_LISTENS_MAX];
    unsigned listen_count;
    ln_route *routes;
    ln_map_key key;
    uint32_t connections_max;
    bool own_loop;                            /* the workers' loops are ours, not the host's */
    ln_flag running, asked, stopping, killed; /* asked: to stop, by somebody */
    ln_stat stop_code;
    struct linnet_hub *hub; /* the one it was given, or NULL */
    void (*on_abandon)(void *user);
    ln_cidr *trusted; /* proxies */
    size_t trusted_count;
    bool trusts_unix;
    ln_forwarded_by forwarded_by;
    ln_budget budget;
    char error[256];
};

/* What a linnet_upgrade and a linnet_request are: views on an exchange, on the stack of a callback.
 */
struct linnet_upgrade {
    ln_exchange *x;
    linnet_conn *conn;
    const ln_route *route;
    ln_upgrade asked;
    ln_buf scratch; /* decoded query values and the path */
    void *user;
    const char *protocol; /* NULL: choose from the route's; of the host, or in `chosen` */
    char chosen[128];
    char *body;
    int status;
    bool accepted, rejected;
    bool stream; /* not a handshake: somebody wants to read an event stream (reader.h) */
};
struct linnet_request {
    ln_exchange *x;
    linnet_conn *conn;
    bool named; /* somebody has its id */
    const ln_route *route;
    ln_buf scratch;
};

/* server.c: the worker's side of a server ---------------------------------------------- */
linnet_loop *ln_server_worker(linnet_server *s, uint32_t index);
/* Sends a decision by id, from any thread: `from` is owed to the id, and then `to`. What it cannot
 * send it frees. LINNET_ERR_INVAL, LINNET_ERR_NOMEM (m is NULL), LINNET_ERR_AGAIN,
 * LINNET_ERR_NOT_FOUND, LINNET_ERR_STATE. */
int ln_server_decide(linnet_server *s, ln_post *m, ln_owed from, ln_owed to);
void ln_server_accepted(linnet_loop *w, const ln_completion *completion);
void ln_server_adopt(linnet_loop *w, int fd, ln_entrance *listen, ln_slice already);
void ln_server_unlistened(linnet_loop *w, ln_listener *listener);
/* Closes this worker's listeners; whether any is still closing. */
void ln_server_unlisten(linnet_loop *w);
bool ln_server_listening(const linnet_loop *w);
/* drain.c: begins to leave, if it has not; ends all that is left; at the drain timer; per turn. */
void ln_drain_begin(linnet_loop *w);
void ln_drain_now(linnet_loop *w);
void ln_drain_timer(linnet_loop *w);
void ln_drain_sample(linnet_loop *w);
/* At the end of each turn: begins and ends draining. */
void ln_server_turned(linnet_loop *w);
size_t ln_server_live(const linnet_server *s);
int ln_server_say(linnet_server *s, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* route.c: which route, and what it does ------------------------------------------------ */
void ln_route_request(ln_conn *c, ln_exchange *x);
void ln_route_body(ln_conn *c, ln_exchange *x);
void ln_route_gone(ln_conn *c, ln_exchange *x);
/* The id of what is at work there is given to the host, who may answer by it; and no longer. */
void ln_owe(linnet_conn *conn, const ln_exchange *x, ln_owed what);
void ln_owe_nothing(linnet_conn *conn);
/* A route with its path, in the server's list. LINNET_ERR_EXISTS, LINNET_ERR_INVAL,
 * LINNET_ERR_NOMEM. */
int ln_route_add(linnet_server *s, const char *path, bool is_ws, ln_route **out);
/* A NULL-terminated list of texts, or NULL, as slices: copied, also in part when it fails. What it
 * filled is the caller's to free. LINNET_ERR_NOMEM. */
int ln_route_copy_list(const char *const *list, ln_slice **out, size_t *count);
void ln_route_free_list(ln_slice *list, size_t count);
/* A route of event streams (sse.h), for pages from the same places as a WebSocket. Errors as
 * linnet_server_http. */
int ln_route_streams(linnet_server *s, const char *path, const char *const *origins);
/* Whether a page from there may come in by this route. */
bool ln_route_origin_ok(
    const linnet_conn *conn, const ln_exchange *x, const ln_route *r, ln_slice origin);
/* The best match, or NULL; *other: there is one of the other kind. */
const ln_route *ln_route_find(const linnet_server *s, ln_slice path, bool ws);
void ln_routes_free(linnet_server *s);

/* visitor.c --------------------------------------------------------------------------- */
/* Who is at the other end, as far as is known: the sock's peer, or whom a trusted proxy named. */
typedef struct ln_visitor {
    ln_ip ip;
    uint16_t port;  /* 0: not told */
    bool has_ip;    /* else it came through a Unix socket */
    bool forwarded; /* a proxy said so */
    bool tls;       /* he speaks TLS, to us or to the proxy */
    ln_slice host;  /* that he asked for; borrows from the head; empty: what Host says */
} ln_visitor;
/* head: of the request at work, or NULL. */
void ln_visitor_of(const linnet_conn *conn, const ln_http1_head *head, ln_visitor *out);
/* Whom a limit per address means; false: nobody. */
bool ln_visitor_address(const linnet_conn *conn, const ln_http1_head *head, ln_ip *out);
/* As linnet_conn_peer. */
size_t ln_visitor_text(const ln_visitor *v, char out[64]);
/* The connection is his from now on, whatever its sock says. LINNET_ERR_NOMEM. */
int ln_visitor_keep(linnet_conn *conn, const ln_visitor *v);
/* LINNET_OK: there is no cap on his address. LN_PENDING: `told` will say whether there is room, for
 * the connection that a->handle names if it is still there. LINNET_ERR_NOMEM. */
int ln_visitor_admit(
    linnet_conn *conn, const ln_http1_head *head, void (*told)(void *ctx, ln_admission *a));
/* It counts for this connection, until that has gone; not wanted after all. */
void ln_visitor_let_in(linnet_conn *conn, ln_admission *a);
void ln_visitor_give_back(linnet_loop *w, ln_admission *a);
bool ln_visitor_admitted(const linnet_conn *conn);
/* Nobody's any more. */
void ln_visitor_forget(linnet_conn *conn);
/* The list of options. LINNET_ERR_INVAL, LINNET_ERR_LIMIT, LINNET_ERR_NOMEM. */
int ln_visitor_trust(linnet_server *s, const char *const *proxies);
/* Whether a PROXY header from the sock's peer is believed. */
bool ln_visitor_may_proxy(const linnet_conn *conn);
/* For ln_env. */
int ln_visitor_proxied(ln_conn *c, const ln_proxy *header);
void ln_visitor_name(ln_conn *c, char out[64]);
void ln_visitors_init(linnet_loop *w, ln_map_key key);

/* upgrade.c, request.c, assets.c -------------------------------------------------------- */
void ln_upgrade_begin(linnet_conn *conn, ln_exchange *x, const ln_route *route);
void ln_request_begin(linnet_conn *conn, ln_exchange *x, const ln_route *route);
void ln_asset_free(ln_asset *asset);
void ln_asset_answer(ln_exchange *x, const ln_route *route);
/* ACCEPT to END of mail.h. */
void ln_upgrade_mail(linnet_loop *w, ln_post *mail);
/* One that waits is to be decided anew, by its name. */
void ln_upgrade_again(linnet_loop *w, linnet_conn_id id);
/* An ACCEPT that leads to no connection: its user goes back to the host. */
void ln_upgrade_abandon(const linnet_server *s, const ln_post *mail);
void ln_request_mail(linnet_loop *w, ln_post *mail);
/* Room for n bytes behind what was decoded before, which stays where it is; NULL: none. */
uint8_t *ln_scratch_room(ln_buf *scratch, size_t n);
#define LN_SCRATCH_MAX (64u * 1024) /* many times a head */
/* A query parameter, decoded into scratch; {NULL, 0} when absent or repeated. */
ln_slice ln_query_of(const ln_exchange *x, ln_buf *scratch, const char *name);
ln_slice ln_header_of(const ln_exchange *x, const char *name, unsigned index);
#endif
