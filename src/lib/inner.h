/* inner.h -- the objects behind the public handles, for the files of this room.
 *
 * linnet_loop is a worker: one thread, one ln_loop, one hub, its connections. A server has
 * several, or sits on one of its host's. linnet_conn is an ln_conn with a name.
 */
#ifndef LN_LIB_INNER_H
#define LN_LIB_INNER_H
#include "base/map.h"
#include "base/ref.h"
#include "conn/conn.h"
#include "conn/exchange.h"
#include "hub/hub.h"
#include "lib/budget.h"
#include "lib/limits.h"
#include "lib/mail.h"
#include "lib/memory.h"
#include "lib/occupancy.h"
#include "lib/slots.h"
#include "lib/world.h"
#include "net/dns.h"
#include "net/inbox.h"
#include "session/raw.h"
#include <linnet/client.h>
#include <linnet/http.h>
#include <linnet/server.h>

enum { /* ln_sock.kind */
    LN_SOCK_OF_CONN = 1,
    LN_SOCK_OF_LISTENER
};
enum { /* ln_timer.kind */
    LN_TIMER_OF_CONN = 1,
    LN_TIMER_OF_HOST,
    LN_TIMER_OF_DNS,
    LN_TIMER_OF_DRAIN,
    LN_TIMER_OF_HOOKS,
    LN_TIMER_OF_KEYS,
    LN_TIMER_OF_READER
};
typedef enum ln_drain_phase { /* drain.c */
    LN_DRAIN_NOT,
    LN_DRAIN_LEAD,
    LN_DRAIN_WAVES,
    LN_DRAIN_REST
} ln_drain_phase;
#define LN_WORKER_NONE 255 /* the worker number in ids of loops without a server */

typedef struct ln_route ln_route;

struct linnet_conn {
    ln_conn c; /* first: the callbacks of conn/ get a pointer to this */
    const linnet_conn_events *events;
    void *user;
    char *protocol; /* agreed subprotocol, NUL-terminated; NULL: none */
    ln_raw raw;
    struct ln_held *held; /* sent by id, and waits; NULL: nothing */
    union {
        struct ln_entrance *listen; /* a server's: where it came in */
        struct ln_dialing *dialing; /* a client's */
    };
};

struct linnet_loop {
    ln_world *world; /* NULL: the real one */
    ln_loop *net;
    ln_env env;
    ln_inbox *inbox;
    ln_dns *dns;
    char *dns_servers;
    ln_log log;
    ln_slots slots;
    ln_pool conns;
    linnet_server *server;        /* NULL: a loop of clients */
    ln_hub *hub;                  /* on workers of a server */
    void *sessions;               /* hub.c's, when the server was given a hub */
    struct ln_tails *tails;       /* tail.c's; NULL: nobody has ever followed */
    struct ln_hook_worker *hooks; /* hooks.c's, when that has some */
    struct ln_keyring *keyring;   /* keyring.c's, when keys are fetched */
    ln_letter *own, **own_tail;   /* mail to itself, for this turn */
    ln_occupancy occupancy;       /* of the channels whose home is here */
    ln_list timers;               /* of the host: linnet_timer.all */
    ln_list tls_cache;            /* client.c's */
    ln_list streams;              /* sse.c's, and the next three: by when they hear a comment */
    ln_list stream_laggards;
    ln_list readers; /* reader.c's: whose answers are pending, by how long yet */
    ln_buf stream_text;
    const ln_conn_config *stream_limits;
    ln_timer drain;
    uint32_t walks;  /* of listing.c, under way */
    ln_map visitors; /* of connections that are not their sock's peer's: visitor.c */
    uint32_t connections_max;
    uint8_t index; /* in the server, or LN_WORKER_NONE */
    bool turning, draining, ended;
    bool hosts;      /* made by the host: a server is a guest here, once or again */
    bool guest;      /* somebody else waits for our descriptor */
    bool holding;    /* connections here wait, LN_PAUSE_MAIL */
    ln_flag crowded; /* a worker that this one delivers to does not keep up */
    ln_flag stop;
    ln_flag through; /* the server has ended here */
    ln_stat live;    /* connections of any kind */
    ln_stat served;  /* of those, the server's: not dialled from here */
    ln_stat refused;
    ln_stat starved;        /* failures to accept, of all listeners here */
    uint64_t unheard_told;  /* refused and starved, when the log was told last */
    uint64_t unheard_until; /* and is not told again before */
    /* drain.c's */
    ln_msec drain_since, rate_at;
    uint64_t rate_opens;
    ln_stat rate_peak;                   /* handshakes in a second, at most */
    uint32_t drain_spread, drain_window; /* ms */
    uint32_t drain_told, drain_closed;   /* slots before these */
    uint8_t drain_phase;
    ln_budget_worker budget;
    ln_memory_told memory;
};

static inline linnet_loop *ln_worker_of(const linnet_conn *conn) {
    return conn->c.env->host;
}
static inline linnet_conn *ln_conn_outer(ln_conn *c) {
    return (linnet_conn *)(void *)c;
}

/* loop.c ---------------------------------------------------------------------------- */
int ln_worker_new(ln_world *world, const linnet_loop_options *options, linnet_server *server,
    uint8_t index, linnet_loop **out);
/* A connection with a slot; NULL at a limit or without memory. */
linnet_conn *ln_worker_conn(linnet_loop *w);
/* Takes it back: before it was accepted or dialled. */
void ln_worker_unconn(linnet_loop *w, linnet_conn *conn);
linnet_conn_id ln_conn_name(const linnet_conn *conn);
/* Whether an id was made by this loop. */
bool ln_worker_named(const linnet_loop *w, linnet_conn_id id);
/* Its next request has a name of its own: those given before are over. */
void ln_worker_rename(linnet_loop *w, linnet_conn *conn);
/* The connection if it lives, in its own worker. */
linnet_conn *ln_worker_find(linnet_loop *w, linnet_conn_id id);
/* Calls fn for each connection; fn may end it. */
void ln_worker_each(linnet_loop *w, void (*fn)(linnet_conn *conn, void *ctx), void *ctx);
/* Puts mail into a worker's inbox: from its own or another worker's thread (never refused), or from
 * a foreign thread (LINNET_ERR_AGAIN, and the mail is freed). */
int ln_worker_post(linnet_loop *w, ln_post *mail);
/* linnet_loop_turn, for who turns it again at once. */
int ln_worker_turn(linnet_loop *w, int timeout_ms);
/* Takes in what mail there is, at once. */
void ln_worker_mail(linnet_loop *w);
/* Connections this process has descriptors for. */
uint32_t ln_worker_descriptors(void);
/* Ends channels on this worker: subscriptions of the host, sessions, the hub. Connections are gone.
 */
void ln_worker_unhub(linnet_loop *w);
void ln_hub_posted(void *ctx, uint32_t worker, ln_letter *letter);

/* What the server's side has to do for connections and turns is in server.h. */

/* conn.c ---------------------------------------------------------------------------- */
extern const ln_conn_ops ln_host_ops;
/* A SEND by id. True: it waits for its time and the mail is kept; false: it is done with. */
bool ln_host_mail(linnet_conn *conn, ln_post *mail);
/* What waits will never be sent. */
void ln_host_unhold(linnet_conn *conn);

/* client.c -------------------------------------------------------------------------- */
void ln_client_dead(linnet_conn *conn);
void ln_client_fini(linnet_loop *w);
#endif
