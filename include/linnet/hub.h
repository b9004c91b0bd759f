/* linnet/hub.h -- channels: the hosting program publishes and subscribes, and a route speaks the
 * native protocol and its dialects (docs/protocol.md) to any WebSocket client.
 *
 *     linnet_hub_options options = LINNET_HUB_OPTIONS_INIT;
 *     linnet_hub *hub;
 *     linnet_hub_new(&options, &hub);
 *     linnet_server_hub(server, "/ws", hub);
 *     ...
 *     linnet_publication news = LINNET_PUBLICATION_INIT;
 *     news.channel = linnet_str("news");
 *     news.data = linnet_str("{\"hello\":true}");
 *     linnet_hub_publish(hub, &news);
 *
 * A channel comes to be when somebody names it. Everybody in a channel sees the same publications
 * in the same order; each has an offset, one more than the one before it, inside an epoch. Names
 * are 1 to 255 bytes of letters, digits and _ . : # $ @ / -; `system` and names that begin with $
 * are reserved, and @anna is what the user anna hears: only the program, and who may, says
 * something there.
 */
#ifndef LINNET_HUB_H
#define LINNET_HUB_H
#include <linnet/hook.h>
#include <linnet/server.h>
#include <linnet/token.h>
#include <linnet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_hub_subscription linnet_hub_subscription;

/* What a first text that is not JSON leads to, on a connection that has not chosen a dialect. */
typedef enum linnet_hub_text {
    LINNET_HUB_TEXT_REFUSE = 0, /* close 1003 */
    LINNET_HUB_TEXT_ECHO = 1    /* it comes back */
} linnet_hub_text;

/* Who may do something in the channels of a namespace. Where nobody has to log in, all count as
 * authenticated. What a token's claims allow is allowed besides, but where it is for nobody. */
typedef enum linnet_rule {
    LINNET_RULE_DEFAULT = 0, /* authenticated, or what linnet_auth_options.anonymous adds */
    LINNET_RULE_NOBODY = 1,
    LINNET_RULE_ANYONE = 2, /* also who has not logged in */
    LINNET_RULE_AUTHENTICATED = 3,
    LINNET_RULE_SUBSCRIBERS = 4, /* who is in the channel */
    LINNET_RULE_TOKEN = 5        /* nobody but for claims */
} linnet_rule;

/* What becomes of publications for a reader who does not keep up (docs/guide/limits.md). */
typedef enum linnet_slow {
    LINNET_SLOW_DISCONNECT =
        0, /* publications wait; over queued_max he is closed 3008 and resumes */
    LINNET_SLOW_DROP_OLDEST = 1, /* the oldest that wait are left out */
    LINNET_SLOW_DROP_NEWEST = 2, /* those that come are left out */
    LINNET_SLOW_LATEST = 3       /* of each event name only the last waits */
} linnet_slow;

/* What the channels of a namespace are like: `chat` holds all channels whose names begin with
 * `chat:`, `@` those of users, "" all others. 0 in a number means its default. */
typedef struct linnet_namespace {
    size_t size;            /* of this struct */
    const char *name;       /* 1 to 64 letters, digits, _ . -; or "@", or "" */
    bool live;              /* no log: no offsets, nothing survives a disconnect */
    uint32_t history_count; /* publications kept per channel; 100 */
    uint32_t history_ms;    /* and how long; 300,000 */
    uint32_t history_bytes; /* and how much; 1 MiB */
    linnet_rule subscribe, publish, presence, history; /* who may */
    bool members;      /* who is in a channel is kept, and told to whoever may ask */
    linnet_slow slow;  /* linnet.v1 is told by `skip`; other dialects only when live */
    uint32_t batch_ms; /* publications wait so long for others, at most 1,000; 0: not at all. 128 of
                        * them, or 16 KiB of data, go at once; linnet.v1 gets them as an array */
} linnet_namespace;
#define LINNET_NAMESPACE_RULES_INIT                                                                \
    LINNET_RULE_DEFAULT, LINNET_RULE_DEFAULT, LINNET_RULE_DEFAULT, LINNET_RULE_DEFAULT
#define LINNET_NAMESPACE_INIT                                                                      \
    {                                                                                              \
        sizeof(linnet_namespace), NULL, false, 0, 0, 0, LINNET_NAMESPACE_RULES_INIT, false,        \
            LINNET_SLOW_DISCONNECT, 0                                                              \
    }

/* What who has no token may do. */
typedef enum linnet_anonymous {
    LINNET_ANONYMOUS_NOTHING = 0,   /* log in within 10 s, or be closed */
    LINNET_ANONYMOUS_CONNECT = 1,   /* stay, and do what rules give to anyone */
    LINNET_ANONYMOUS_SUBSCRIBE = 2, /* and that includes all but publishing by default */
    LINNET_ANONYMOUS_PUBLISH = 3    /* and publishing too */
} linnet_anonymous;

/* What becomes of a bad token in the handshake. */
typedef enum linnet_auth_reject {
    LINNET_AUTH_REJECT_AUTO = 0, /* 401 when it stood in a header or cookie; in the address or a
                                  * subprotocol, where a page could not see that, a close */
    LINNET_AUTH_REJECT_HTTP = 1, /* 401, also when there is none and nobody may be anonymous */
    LINNET_AUTH_REJECT_CLOSE = 2 /* 101, an error, and a close */
} linnet_auth_reject;

/* Keys that are fetched: a JSON Web Key set at an URL, again and again, by one of the workers. A
 * token of this issuer whose key is not among them makes the hub look again, at most once in 30 s,
 * and waits for that. Nothing a token says changes who is asked. */
typedef struct linnet_jwks {
    size_t size;        /* of this struct */
    const char *issuer; /* these keys are for its tokens, and for no others */
    const char *url;    /* http:// or https:// */
    const char *alg;    /* what keys are for that do not say so themselves; NULL: nothing */
} linnet_jwks;
#define LINNET_JWKS_INIT                                                                           \
    { sizeof(linnet_jwks), NULL, NULL, NULL }

/* How clients show who they are (docs/guide/auth.md): by a token in the Authorization field, in
 * ?token=, in a subprotocol "linnet.token.TOKEN", in a cookie, or in an `auth` message. */
typedef struct linnet_auth_options {
    size_t size;                  /* of this struct */
    linnet_keys *keys;            /* which check tokens; the hub keeps them alive */
    const char *const *issuers;   /* NULL-terminated: one of them is wanted; NULL: any */
    const char *const *audiences; /* likewise, in `aud` */
    const char *cookie;           /* the cookie a token may be in; NULL: none */
    linnet_anonymous anonymous;
    linnet_auth_reject reject;
    bool personal;           /* a user is put into @user when logging in */
    const linnet_jwks *jwks; /* each with the size of the first; at most 16 */
    size_t jwks_count;
    const char *jwks_ca; /* PEM, who signs the certificates of their servers; NULL: the system's */
} linnet_auth_options;
#define LINNET_AUTH_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(linnet_auth_options), NULL, NULL, NULL, NULL, LINNET_ANONYMOUS_NOTHING,             \
            LINNET_AUTH_REJECT_AUTO, false, NULL, 0, NULL                                          \
    }

/* 0 in a number means its default, which stands behind it. */
typedef struct linnet_hub_options {
    size_t size;            /* of this struct */
    bool live;              /* channels of no namespace: as there */
    linnet_hub_text text;   /* while no dialect is chosen */
    uint32_t history_count; /* likewise, and the next two */
    uint32_t history_ms;
    uint32_t history_bytes;
    uint64_t history_bytes_all;       /* in all channels together; a quarter of the memory */
    uint32_t idle_channels;           /* positions remembered of channels nobody is in; 16,384 */
    uint32_t idle_ms;                 /* and for how long; 24 hours */
    uint32_t channels_max;            /* per worker; 1,000,000 */
    uint32_t channels_per_connection; /* 128 */
    uint32_t outstanding_max;         /* requests of a connection not answered yet; 64 */
    uint32_t commands_max;            /* in one frame; 128 */
    uint32_t errors_max;              /* of a connection in 10 s, then it is closed 3003; 100 */
    uint32_t publish_rate;            /* of a connection per second; 100; LINNET_OFF: any */
    uint32_t publish_burst;           /* 200 */
    linnet_conn_limits limits;        /* of its connections */
    const char *const *origins; /* as in linnet_ws_route; good until the last path is declared */
    const linnet_namespace *namespaces; /* copied; each with the size of the first */
    size_t namespace_count;             /* at most 256 */
    uint32_t subscribe_rate;  /* subscribe and unsubscribe of a connection per second; 100;
                                 LINNET_OFF, as for the next two */
    uint32_t subscribe_burst; /* 1,000 */
    uint32_t read_rate;       /* what asks for something: history, presence, calls; 50 */
    uint32_t read_burst;      /* 500 */
    uint32_t auth_rate;       /* attempts to authenticate; 1 */
    uint32_t auth_burst;      /* 10 */
    linnet_rule subscribe, publish, presence, history; /* in channels of no namespace */
    const linnet_auth_options *auth; /* copied; NULL: nobody has to log in, and all may */
    const linnet_hooks *hooks;       /* copied; NULL: nobody is asked */
    bool members;                    /* channels of no namespace: as there */
    linnet_slow slow;                /* channels of no namespace */
    uint32_t auth_failures; /* tokens of an address that are no good, in 10 s; then 429, and error
                               111 to `auth`; 20; LINNET_OFF */
    const char *bans_file;  /* where linnet_hub_ban writes, and what is read at the start; copied.
                               NULL: nowhere */
    uint32_t connections_per_user; /* close 3504 beyond; 0: any */
    /* Rates of all connections of a user, or of an address (/64 of IPv6), together; per second and
     * at once. 0 or LINNET_OFF: any. Commands are all that are no publications. */
    uint32_t user_publish_rate, user_publish_burst, user_command_rate, user_command_burst;
    uint32_t address_publish_rate, address_publish_burst, address_command_rate,
        address_command_burst;
    uint32_t address_connect_rate, address_connect_burst; /* handshakes; 429 beyond */
    uint32_t batch_ms;                                    /* channels of no namespace: as there */
    /* Tickets, with which clients of linnet.v1 come back on another connection as who they were.
     * Secrets of at least 32 bytes that sign them, at most two: the first one signs, and both are
     * good. NULL: made at random, so that none outlives the hub. Copied. */
    const linnet_slice *resume_keys;
    size_t resume_key_count;
    uint32_t resume_ms; /* how long one may come back; as long as history_ms, at least a second;
                           LINNET_OFF: there are no tickets */
} linnet_hub_options;
#define LINNET_HUB_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(linnet_hub_options), false, LINNET_HUB_TEXT_REFUSE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   \
            0, 0, 0, LINNET_CONN_LIMITS_INIT, NULL, NULL, 0, 0, 0, 0, 0, 0, 0,                     \
            LINNET_NAMESPACE_RULES_INIT, NULL, NULL, false, LINNET_SLOW_DISCONNECT, 0, NULL, 0, 0, \
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0                                               \
    }

/* LINNET_ERR_INVAL, LINNET_ERR_EXISTS (a namespace twice), LINNET_ERR_LIMIT, LINNET_ERR_NOMEM. The
 * options are copied. */
LINNET_API int linnet_hub_new(const linnet_hub_options *options, linnet_hub **out);
/* Other options for a hub that has a server; any thread. What becomes different, soon and worker by
 * worker: namespaces and what channels of none are like, the pages that may connect (origins), the
 * keys that tokens are checked by (auth; NULL: those it began with), and how many channels,
 * requests, commands, errors and publications a connection may have, also one that is there
 * already. A channel that somebody is in keeps more or less at once, but becomes live, or stops
 * being it, when it is next opened. All else stays as it was, also whether clients have to log in;
 * of `auth` besides, `anonymous` says what rules are by default. Errors as linnet_hub_new: nothing
 * changes. LINNET_ERR_STATE: it has no server. */
LINNET_API int linnet_hub_reload(linnet_hub *hub, const linnet_hub_options *options);
/* After the server it was given to is freed, and with it all its connections. NULL is allowed. */
LINNET_API void linnet_hub_free(linnet_hub *hub);

/* Makes a path of a server speak the hub's protocol: `linnet.v1`, `linnet.channel`, `linnet.topic`,
 * `linnet.rpc`, `linnet.event` and, with ?channel=, `linnet.raw` by subprotocol or ?dialect=, or by
 * what the client says first. Of a path that ends in "/" + "*" the rest names the client (at most
 * 64 bytes, no "/"). Before the server starts; a hub belongs to one server, lives on its workers,
 * and has as many paths there as one likes. LINNET_ERR_STATE: the server runs already or has
 * another hub, or the hub has another server. LINNET_ERR_EXISTS: the path is taken.
 * LINNET_ERR_INVAL, LINNET_ERR_NOMEM. */
LINNET_API int linnet_server_hub(linnet_server *server, const char *path, linnet_hub *hub);
/* The same for a path that ends in "/" + "*": the rest names a channel, and who connects hears the
 * data of what is published there, and nothing else (`linnet.raw`). A client that says more than a
 * ping is closed with 1008. */
LINNET_API int linnet_server_feed(linnet_server *server, const char *path, linnet_hub *hub);
/* Makes a path an event stream for who can only read (EventSource): GET PATH?channel=a&channel=b,
 * at most 16 channels. Each publication is an event with its name and data; its id is the place in
 * the log, which the reader says again as Last-Event-ID when it comes back, to hear what it has
 * missed, or an event `reset` where nobody can tell. Pages may read from where they may open a
 * WebSocket, and who it is and what he may hear is found out as there: LINNET_HOOK_CONNECT and
 * SUBSCRIBE are asked before the stream begins, DISCONNECT tells of its end. Errors as above. */
LINNET_API int linnet_server_sse(linnet_server *server, const char *path, linnet_hub *hub);

/* Something said in a channel. In a callback all is borrowed until it returns. */
typedef struct linnet_publication {
    size_t size;
    linnet_slice channel;
    linnet_slice event;  /* a name inside the channel; empty: "message" */
    linnet_slice data;   /* one JSON value; bytes are {"base64":"..."}, see docs/protocol.md */
    linnet_slice client; /* callbacks: the publisher, empty when it was the program */
    uint64_t epoch;      /* callbacks: 0 without a log */
    uint64_t offset;     /* callbacks: 0 without a log, or when volatile */
    uint64_t ts;         /* callbacks: milliseconds since 1970 */
    bool is_volatile;    /* takes no offset and is not kept */
    linnet_slice user;   /* callbacks: the publisher's name, empty when unknown */
    linnet_slice info;   /* callbacks: JSON about him, from his token; or empty */
    /* At most 64 bytes, or empty. What comes again with the same key within 5 minutes, in the same
     * channel and in the name of the same principal, is not published again: it gets the place of
     * the first. Of each principal in a channel the last 10,000 keys are remembered. */
    linnet_slice key;
    linnet_slice principal; /* at most 64 bytes: whose key it is; empty: the program's */
    bool retracted; /* in a history: it was taken back; data is null, and all else about it gone */
} linnet_publication;
#define LINNET_PUBLICATION_INIT                                                                    \
    {                                                                                              \
        sizeof(linnet_publication), { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, 0, 0, 0,   \
            false, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, false                       \
    }

/* Publishes; any thread, once the hub has a server. LINNET_OK: it is on its way to the channel's
 * log (from the moment the server runs), behind what this thread published there before.
 * LINNET_ERR_INVAL (name, or an event over 255 bytes or not UTF-8, or a key or principal over 64),
 * LINNET_ERR_DENIED (a reserved
 * name), LINNET_ERR_JSON (data), LINNET_ERR_TOO_BIG, LINNET_ERR_AGAIN (too much is waiting),
 * LINNET_ERR_STATE (no server), LINNET_ERR_NOMEM. */
LINNET_API int linnet_hub_publish(linnet_hub *hub, const linnet_publication *publication);

/* Called once, on the worker that is home of the channel: err LINNET_OK and the place it got (0 and
 * 0 when it takes none), LINNET_ERR_LIMIT (too many channels), LINNET_ERR_NOMEM,
 * LINNET_ERR_CANCELLED when the server ended before it was known,
 * LINNET_ERR_AGAIN (what came with the same key before has no place yet), or what the broker of the
 * log said. */
typedef void linnet_hub_published_fn(
    void *ctx, linnet_hub *hub, int err, uint64_t epoch, uint64_t offset);
/* Publishes, and tells what became of it. Errors as linnet_hub_publish, and then fn is not called.
 */
LINNET_API int linnet_hub_publish_then(
    linnet_hub *hub, const linnet_publication *publication, linnet_hub_published_fn *fn, void *ctx);

/* What is to be read of a channel's history. */
typedef struct linnet_history_query {
    size_t size;
    linnet_slice channel;
    uint64_t epoch;  /* of a position to go on from; 0: none, from the oldest or the newest on */
    uint64_t offset; /* what follows it is read; reverse: what stands before it */
    uint32_t limit;  /* publications; 0: 100; LINNET_OFF: none, only where the channel stands. Never
                      * more than 1,000, and none beyond 1 MiB */
    bool reverse;    /* the newest first */
} linnet_history_query;
#define LINNET_HISTORY_QUERY_INIT                                                                  \
    { sizeof(linnet_history_query), { NULL, 0 }, 0, 0, 0, false }

/* A page of it. All is borrowed until the callback returns. */
typedef struct linnet_history_page {
    size_t size;
    uint64_t epoch, offset;          /* where the channel stands: of its last publication */
    const linnet_publication *items; /* without a hole; each is as large as its `size` says */
    size_t count;
} linnet_history_page;

/* Called once, on the worker that is home of the channel; page is NULL on error:
 * LINNET_ERR_NOT_FOUND (what follows the position is not kept any more, or was of another epoch),
 * LINNET_ERR_UNSUPPORTED (the channel keeps no history), LINNET_ERR_LIMIT, LINNET_ERR_NOMEM,
 * LINNET_ERR_CANCELLED when the server ended first. */
typedef void linnet_hub_history_fn(
    void *ctx, linnet_hub *hub, int err, const linnet_history_page *page);
/* Reads a page; any thread, once the hub has a server. What the same thread published there before
 * is in it. LINNET_ERR_INVAL, LINNET_ERR_DENIED (the name), LINNET_ERR_AGAIN, LINNET_ERR_STATE,
 * LINNET_ERR_NOMEM: fn is not called. */
LINNET_API int linnet_hub_history(
    linnet_hub *hub, const linnet_history_query *query, linnet_hub_history_fn *fn, void *ctx);

/* Takes away what is kept of a channel. Its epoch and head stay: who stands before the head and
 * comes back hears that it could not recover. fn is told where it stands. Who is in it is told
 * (linnet.v1: `retracted` with `all`). Errors as linnet_hub_publish; and to fn
 * LINNET_ERR_UNSUPPORTED: the channel keeps no history. */
LINNET_API int linnet_hub_remove_history(
    linnet_hub *hub, linnet_slice channel, linnet_hub_published_fn *fn, void *ctx);
/* Takes one publication back: its offset stays, and readers who come to it are told that something
 * was left out (`skip`); who is in the channel is told at once (linnet.v1: `retracted`). epoch 0:
 * in whichever. Errors as above; and to fn LINNET_ERR_NOT_FOUND: it is not kept. */
LINNET_API int linnet_hub_retract(linnet_hub *hub, linnet_slice channel, uint64_t epoch,
    uint64_t offset, linnet_hub_published_fn *fn, void *ctx);
/* Called on the worker the subscription lives on, for each publication from the moment it joined.
 */
typedef void linnet_hub_fn(void *ctx, linnet_hub *hub, const linnet_publication *publication);
/* Called once, as the last thing: err LINNET_ERR_CANCELLED after unsubscribe or when the server
 * ended, LINNET_ERR_LIMIT or another when it could not join. May be NULL. */
typedef void linnet_hub_end_fn(void *ctx, linnet_hub *hub, int err);

/* Any thread; the worker is the hub's choice. What the same thread publishes to the channel
 * afterwards will be heard. Errors as publish. *out, if not NULL, is good until `end` was called.
 */
LINNET_API int linnet_hub_subscribe(linnet_hub *hub, linnet_slice channel, linnet_hub_fn *fn,
    linnet_hub_end_fn *end, void *ctx, linnet_hub_subscription **out);
/* Any thread, once, before `end` was called; publications that are on their way may still come
 * until then. LINNET_ERR_AGAIN: too much is waiting, nothing happened. LINNET_ERR_NOMEM. */
LINNET_API int linnet_hub_unsubscribe(linnet_hub_subscription *subscription);

/* Sessions as the program speaks of them: those of a user, with a client's name, on a connection,
 * or what all that is said of them fits. Names are compared byte by byte. */
typedef struct linnet_whom {
    size_t size;               /* of this struct */
    linnet_slice user, client; /* empty: whoever */
    linnet_conn_id connection; /* this one; 0: any */
} linnet_whom;
#define LINNET_WHOM_INIT                                                                           \
    { sizeof(linnet_whom), { NULL, 0 }, { NULL, 0 }, 0 }
/* Called once, on a worker, when all workers have done it: how many sessions it was. err:
 * LINNET_OK, LINNET_ERR_CANCELLED when the server ended meanwhile. */
typedef void linnet_hub_done_fn(void *ctx, linnet_hub *hub, int err, uint64_t count);
/* Closes them: 0 is 3503, do not come back; dialects of others are told 1008. code 3000 to 4999,
 * reason at most 123 bytes of UTF-8 or NULL. With 3500 to 3999 the tickets of those who are there
 * are revoked for as long as they could be good, on all workers before done is told, whose err may
 * be LINNET_ERR_LIMIT (no room among the bans: they are closed, and some tickets are still good),
 * LINNET_ERR_SYS (not in the file), LINNET_ERR_NOMEM (some were not closed). Any thread; done may
 * be NULL. LINNET_ERR_INVAL (also when nobody is named), LINNET_ERR_STATE (no server),
 * LINNET_ERR_AGAIN (too much is waiting), LINNET_ERR_NOMEM. */
LINNET_API int linnet_hub_disconnect(linnet_hub *hub, const linnet_whom *whom, uint16_t code,
    const char *reason, linnet_hub_done_fn *done, void *ctx);
/* Takes them out of a channel; linnet.v1 is told `unsubscribed`, and an event stream that reads it
 * ends with an event `error`, whatever else it reads. They may come again, if they may. Errors as
 * disconnect. */
LINNET_API int linnet_hub_expel(linnet_hub *hub, const linnet_whom *whom, linnet_slice channel,
    linnet_hub_done_fn *done, void *ctx);

/* Called once, on a worker: so many are in the channel now, and so many more are in as many
 * channels as they may be (channels_per_connection). err: LINNET_OK, LINNET_ERR_NOMEM (some others
 * are not in it), LINNET_ERR_CANCELLED. */
typedef void linnet_hub_enlisted_fn(
    void *ctx, linnet_hub *hub, int err, uint64_t sessions, uint64_t full);
/* Puts them into a channel, as a token that names it does: linnet.v1 is told `subscribed`, and
 * other dialects hear what they hear of a subscription. That is the program's decision: neither
 * rules nor hooks are asked, and no other token of theirs ends it. They hear what is published from
 * then on; who is in it already stays, and counts. They may leave, and linnet_hub_expel takes them
 * out; who comes back with a ticket is in it again. Left out are connections that have not chosen a
 * dialect or have not been let in, feeds and event streams. Any thread; done may be NULL. Errors as
 * disconnect, and LINNET_ERR_DENIED: a reserved name, or the channel of another user than the one
 * that is meant. */
LINNET_API int linnet_hub_enlist(linnet_hub *hub, const linnet_whom *whom, linnet_slice channel,
    linnet_hub_enlisted_fn *done, void *ctx);

/* What is to be different about a user who is here. */
typedef struct linnet_refresh {
    size_t size;       /* of this struct */
    uint64_t expires;  /* how long he may stay, in seconds since 1970; 0: as long as before */
    linnet_slice info; /* what others are told of him, JSON of at most 2,048 bytes; `null`: nothing;
                          empty: as before */
} linnet_refresh;
#define LINNET_REFRESH_INIT                                                                        \
    {                                                                                              \
        sizeof(linnet_refresh), 0, {                                                               \
            NULL, 0                                                                                \
        }                                                                                          \
    }
/* Gives those who have logged in another end or other info, as if their token had it; who they are
 * and what they may stays, and so does what they can be revoked by. The new info stands in what
 * they publish from then on; members of channels keep what they came with. linnet.v1 gets another
 * ticket, and hears `expiring` before the new end; who may stay as long as he likes gets an end.
 * Event streams are meant, too. Any thread; done may be NULL, and err is also LINNET_ERR_NOMEM:
 * some others are as before. Errors as disconnect; LINNET_ERR_INVAL also: nothing is to be
 * different, or the end is over already (linnet_hub_disconnect is for that); LINNET_ERR_JSON,
 * LINNET_ERR_TOO_BIG: info. */
LINNET_API int linnet_hub_refresh(linnet_hub *hub, const linnet_whom *whom,
    const linnet_refresh *refresh, linnet_hub_done_fn *done, void *ctx);

/* What a user has left behind: all his publications in all histories are taken back, what his own
 * channel keeps is removed, and his connections and event streams are closed (3503), with them his
 * presence and the keys he holds. What was issued to him up to now is revoked
 * (LINNET_REVOKE_USER) for as long as a ticket could be good. Bans stay. done is told how many
 * publications were taken back; err LINNET_ERR_NOMEM: some are still there. Each worker looks at
 * all that it keeps, some ten million publications a second. Errors as disconnect. */
LINNET_API int linnet_hub_forget(
    linnet_hub *hub, linnet_slice user, linnet_hub_done_fn *done, void *ctx);

typedef struct linnet_session { /* borrowed for the call */
    size_t size;                /* of this struct */
    linnet_conn_id id;
    linnet_slice client, user; /* user empty: unknown */
    const char *dialect;       /* "v1", "undecided" */
    uint32_t channels;         /* it is in, or about to be */
} linnet_session;
/* Called once, on a worker; more: there are others beyond the limit. */
typedef void linnet_hub_sessions_fn(
    void *ctx, linnet_hub *hub, int err, const linnet_session *sessions, size_t count, bool more);
/* Who is there; with nobody named, all. limit: 1 to 10,000. Errors as disconnect. */
LINNET_API int linnet_hub_sessions(linnet_hub *hub, const linnet_whom *whom, size_t limit,
    linnet_hub_sessions_fn *list, void *ctx);

/* A question to clients: a method of theirs, and what they are to know for it. */
typedef struct linnet_call {
    size_t size;         /* of this struct */
    linnet_slice event;  /* the method, 1 to 255 bytes of UTF-8 */
    linnet_slice data;   /* JSON; empty: null */
    uint32_t timeout_ms; /* of each; 0: 10,000; at most 600,000 */
} linnet_call;
#define LINNET_CALL_INIT                                                                           \
    { sizeof(linnet_call), { NULL, 0 }, { NULL, 0 }, 0 }

/* What came back. All is borrowed until the callback returns. */
typedef struct linnet_call_reply {
    size_t size;
    int code;                  /* 0: an answer; else the client refused, 400 to 1999 */
    linnet_slice data;         /* of an answer, JSON */
    linnet_slice message;      /* of a refusal, at most 256 bytes of UTF-8; may be empty */
    linnet_slice client, user; /* who it was; user empty: unknown */
    linnet_conn_id connection;
} linnet_call_reply;

/* Called once, on a worker. err LINNET_OK: somebody answered or refused. Otherwise reply is NULL:
 * LINNET_ERR_TIMEOUT (asked, and no answer in time), LINNET_ERR_CLOSED (the connection went first),
 * LINNET_ERR_LIMIT (too many calls wait there already, as many as it may have requests of its own),
 * LINNET_ERR_UNSUPPORTED (who is there speaks a dialect that has no words for it, or has not logged
 * in), LINNET_ERR_NOT_FOUND (nobody is there), LINNET_ERR_NOMEM, LINNET_ERR_CANCELLED when the
 * server ended. For clients of the HTTP API and the like all of these but TIMEOUT (115), LIMIT
 * (106) and NOMEM (100) are 108. */
typedef void linnet_hub_called_fn(
    void *ctx, linnet_hub *hub, int err, const linnet_call_reply *reply);
/* Asks clients, who answer with `reply` (docs/protocol.md). All who are meant are asked at once:
 * one connection when it is named by `connection` or by a client's name that is its own; all of a
 * user's. The first answer counts. A refusal counts when nobody is left who could still answer, and
 * of several the last one. What comes later is ignored and counted. Any thread. LINNET_ERR_INVAL
 * (also when nobody is named), LINNET_ERR_JSON (data), LINNET_ERR_TOO_BIG, LINNET_ERR_STATE (no
 * server), LINNET_ERR_AGAIN (too much is waiting), LINNET_ERR_NOMEM: fn is not called. */
LINNET_API int linnet_hub_call(linnet_hub *hub, const linnet_whom *whom, const linnet_call *call,
    linnet_hub_called_fn *fn, void *ctx);

/* Who may not be here, and what counts no more. All workers know within a moment, and so do live
 * connections: whom it means is closed with 3503, or 3500 for what was revoked (dialects of others:
 * 1008), and gets 403, or 401, and 3507, or 3500, when he comes again. At most 65,536 at a time,
 * kept where linnet_hub_options.bans_file says, or until the server ends. */
typedef enum linnet_ban_kind {
    LINNET_BAN_USER = 0,
    LINNET_BAN_ADDRESS = 1,   /* "192.0.2.1"; of IPv6 it means the whole /64 */
    LINNET_REVOKE_USER = 2,   /* what was issued to a user before a moment: tokens by their `iat`
                               * (without one: before any moment), sessions, what a backend said */
    LINNET_REVOKE_TOKEN = 3,  /* by its `jti` */
    LINNET_REVOKE_SESSION = 4 /* by its id, `session` of welcome, and what continues it */
} linnet_ban_kind;
typedef struct linnet_ban {
    size_t size; /* of this struct */
    linnet_ban_kind kind;
    linnet_slice subject; /* whom or what: 1 to 255 bytes without control characters */
    uint64_t for_s;       /* how long; 0: for good, and revocations for 30 days: has to be longer
                           * than tokens and sessions live. In a list: what is left of it */
    uint64_t before;      /* LINNET_REVOKE_USER: seconds since 1970; 0: up to and with now */
} linnet_ban;
#define LINNET_BAN_INIT                                                                            \
    { sizeof(linnet_ban), LINNET_BAN_USER, { NULL, 0 }, 0, 0 }
/* Any thread; done (may be NULL) is told how many sessions were closed; err also LINNET_ERR_LIMIT
 * (there are too many: nothing happened), LINNET_ERR_INVAL (`before` is still to come: likewise),
 * LINNET_ERR_SYS (it counts, but is not in the file). What is there already gets another end; of
 * two moments the later one counts. LINNET_ERR_INVAL, LINNET_ERR_STATE (no server),
 * LINNET_ERR_AGAIN (too much is waiting), LINNET_ERR_NOMEM. */
LINNET_API int linnet_hub_ban(
    linnet_hub *hub, const linnet_ban *ban, linnet_hub_done_fn *done, void *ctx);
/* Takes it back, by kind and subject; done is told 1, or 0 if there was none. Errors as above. */
LINNET_API int linnet_hub_unban(
    linnet_hub *hub, const linnet_ban *ban, linnet_hub_done_fn *done, void *ctx);
/* Called once, on a worker; borrowed for the call. more: there are others beyond the limit. */
typedef void linnet_hub_bans_fn(
    void *ctx, linnet_hub *hub, int err, const linnet_ban *bans, size_t count, bool more);
/* What counts now, in no order. limit: 1 to 10,000. Errors as above. */
LINNET_API int linnet_hub_bans(linnet_hub *hub, size_t limit, linnet_hub_bans_fn *list, void *ctx);

/* Who is in a channel whose members are kept (linnet_namespace.members). */
typedef struct linnet_member {
    linnet_slice client, user, info; /* user and info (JSON) may be empty: unknown */
    uint64_t ref;                    /* of this stay in the channel; larger than those before it */
    bool left; /* linnet_hub_on_presence: it has gone; else it came, or has another info */
} linnet_member;

typedef struct linnet_presence { /* borrowed until the callback returns */
    size_t size;
    linnet_slice channel;
    const linnet_member *members;
    size_t member_count;
    uint32_t connections, users; /* in the channel now; distinct users, of those who have one */
    uint64_t next;               /* of a page: there is more behind this ref; 0: that was all */
} linnet_presence;

/* On the worker that is the channel's home. err < 0: presence is NULL. */
typedef void linnet_presence_fn(
    void *ctx, linnet_hub *hub, int err, const linnet_presence *presence);

/* One page of members, those behind `after` (0: from the start), at most `limit` (0: 1,000, and no
 * more than that; LINNET_OFF: none, only the counts). Any thread. fn is called once: with
 * LINNET_ERR_UNSUPPORTED when members are not kept there, LINNET_ERR_CANCELLED when the server has
 * ended. Errors of the call itself as publish. */
LINNET_API int linnet_hub_presence(linnet_hub *hub, linnet_slice channel, uint64_t after,
    uint32_t limit, linnet_presence_fn *fn, void *ctx);
/* Tells of all who come and go, in any channel, gathered for 100 ms; a member comes and goes in
 * turns. Before the hub is given to a server: LINNET_ERR_STATE. fn NULL: nobody is told. */
LINNET_API int linnet_hub_on_presence(linnet_hub *hub, linnet_presence_fn *fn, void *ctx);

/* Which channels there are: those that somebody is in, and those of which something is kept.
 * `@anna` is one like others; who asks for "room:" hears of what is called so. They come in the
 * order of their names, byte by byte, and page after page one that is there all the time comes
 * once. */
#define LINNET_CHANNELS_PAGE 100
typedef struct linnet_channels_query {
    size_t size;         /* of this struct */
    linnet_slice prefix; /* of their names; empty: all */
    linnet_slice after;  /* names behind this one, which may be gone; empty: from the start */
    uint32_t limit;      /* at most 1,000; 0: LINNET_CHANNELS_PAGE */
} linnet_channels_query;
#define LINNET_CHANNELS_QUERY_INIT                                                                 \
    { sizeof(linnet_channels_query), { NULL, 0 }, { NULL, 0 }, 0 }

typedef struct linnet_channel { /* borrowed until the callback returns */
    size_t size;                /* of this struct */
    linnet_slice name;
    uint64_t subscribers;   /* connections, event streams and the program's own, on all workers */
    uint64_t epoch, offset; /* where it stands; epoch 0: it has no log */
    bool members;           /* they are kept: */
    uint32_t connections, users; /* as in linnet_presence */
} linnet_channel;
/* Called once, on a worker. more: there are others behind the last one. err: LINNET_ERR_AGAIN (too
 * many are listed at this moment), LINNET_ERR_NOMEM, LINNET_ERR_CANCELLED. */
typedef void linnet_hub_channels_fn(
    void *ctx, linnet_hub *hub, int err, const linnet_channel *channels, size_t count, bool more);
/* Asks for a page. Each looks at the names of all channels, a few thousand in one turn of each
 * worker. What is counted is the moment's truth of each worker. Any
 * thread. LINNET_ERR_INVAL (also a prefix that no channel can begin with), LINNET_ERR_STATE (no
 * server), LINNET_ERR_AGAIN (too much is waiting), LINNET_ERR_NOMEM: fn is not called. */
LINNET_API int linnet_hub_channels(
    linnet_hub *hub, const linnet_channels_query *query, linnet_hub_channels_fn *fn, void *ctx);

/* An epoch as it stands in texts, of the protocol and others: sixteen hexadecimal digits, and a NUL
 * behind them. */
LINNET_API void linnet_epoch_put(uint64_t epoch, char out[17]);
/* Reads one, of either case. False: it is none, and *out is untouched; 0 is no epoch. */
LINNET_API bool linnet_epoch_get(linnet_slice text, uint64_t *out);

/* The errors of the native protocol, for programs that speak for it: its number for one of ours. */
LINNET_API int linnet_hub_error_code(int err);
typedef struct linnet_hub_error {
    size_t size;       /* of this struct */
    char name[32];     /* "bad_request" */
    const char *words; /* "bad request"; static memory */
    bool retry;        /* whether the same may succeed later */
} linnet_hub_error;
#define LINNET_HUB_ERROR_INIT                                                                      \
    { sizeof(linnet_hub_error), "", NULL, false }
/* What it says of a number. LINNET_ERR_INVAL: there is no such error. */
LINNET_API int linnet_hub_describe_error(int code, linnet_hub_error *out);

/* Counters of a hub over all workers; those above the line are of now, the others since start. */
typedef struct linnet_hub_stats {
    size_t size;                                /* of this struct */
    uint64_t sessions, channels, subscriptions; /* a channel counts once on each worker that has
                                                   somebody in it */
    /* ---- */
    uint64_t publishes, deliveries; /* by clients; to subscribers */
    uint64_t errors, rate_limited;  /* answered to clients; those of them for coming too fast */
    uint64_t unknown;               /* messages of no known kind, ignored */
    uint64_t recovered, lost;       /* subscribed with a position: nothing is missing, or is */
    uint64_t calls;                 /* to clients, one per connection asked */
    uint64_t stray_replies;         /* to no call that waits: late, twice, made up */
    uint64_t crowded; /* publications of clients refused because too much waited to be sent */
    uint64_t evicted; /* publications dropped from histories before their time, for want of room */
    uint64_t limited_user, limited_address; /* of rate_limited, those for a rate of all connections
                                               of a user or an address */
    uint64_t limited_handshakes;            /* for coming too often; not among rate_limited */
    uint64_t full_users;                    /* connections closed with 3504 */
    uint64_t resumed, taken; /* came back with a ticket; old connections that were still there */
    uint64_t dropped;        /* messages left out for slow readers */
    uint64_t held;           /* commands that waited for answers to others, or for a login */
    uint64_t positions_forgotten, keys_forgotten; /* of channels nobody was in, for want of room or
                                                     because of their age; of publications, before
                                                     their time */
} linnet_hub_stats;
#define LINNET_HUB_STATS_INIT                                                                      \
    {                                                                                              \
        sizeof(linnet_hub_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   \
            0, 0, 0                                                                                \
    }
/* Any thread. LINNET_ERR_INVAL: out->size is no size; LINNET_ERR_STATE: it has no server. */
LINNET_API int linnet_hub_get_stats(const linnet_hub *hub, linnet_hub_stats *out);
/* Live sessions by dialect: its name as in ?dialect=, "undecided" last, in a fixed order. Start
 * with *at = 0; NULL at the end. */
LINNET_API const char *linnet_hub_next_dialect(
    const linnet_hub *hub, unsigned *at, uint64_t *sessions);
/* Commands refused because they came too fast (error 111), over all workers since the start, by
 * what they drew on: "publish", "subscribe", "read", "auth", in this order. Start with *at = 0;
 * NULL at the end. */
LINNET_API const char *linnet_hub_next_limit(const linnet_hub *hub, unsigned *at, uint64_t *count);

/* What became of keys that are fetched, since start. */
typedef struct linnet_jwks_stats {
    size_t size;                /* of this struct */
    uint64_t fetches, failures; /* begun; of those, no set of keys came */
    uint64_t keys;              /* in use now */
    uint64_t came_ms;           /* when they came, ms since 1970; 0: none have */
} linnet_jwks_stats;
#define LINNET_JWKS_STATS_INIT                                                                     \
    { sizeof(linnet_jwks_stats), 0, 0, 0, 0 }
/* The issuer of the next source, in the order they were given. Start with *at = 0; NULL at the end.
 * Any thread. */
LINNET_API const char *linnet_hub_next_jwks(
    const linnet_hub *hub, unsigned *at, linnet_jwks_stats *out);
/* Commands answered with an error, by its name ("LIMIT_EXCEEDED"); "APPLICATION", last: what a
 * backend made up. Start with *at = 0; NULL at the end. */
LINNET_API const char *linnet_hub_next_error(const linnet_hub *hub, unsigned *at, uint64_t *count);

#ifdef __cplusplus
}
#endif
#endif
