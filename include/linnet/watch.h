/* linnet/watch.h -- what has become of connections, for people who look into it.
 *
 * A hub remembers how its last connections ended, about 1,000 per worker and for at most a day.
 * Nothing of what was said in channels is kept.
 */
#ifndef LINNET_WATCH_H
#define LINNET_WATCH_H
#include <linnet/http.h>
#include <linnet/hub.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum linnet_end_by { /* who ended a connection */
    LINNET_END_CLIENT = 0,
    LINNET_END_SERVER = 1,
    LINNET_END_NETWORK = 2 /* it broke: no Close came from either side */
} linnet_end_by;

/* How a connection ended. All is borrowed until the callback returns. */
typedef struct linnet_end {
    size_t size;               /* of this struct */
    linnet_slice client, user; /* user empty: unknown */
    linnet_slice address;      /* the visitor's, also behind trusted proxies; empty: unknown */
    const char *dialect;       /* "v1", "undecided" */
    uint64_t opened, closed;   /* milliseconds since 1970 */
    bool counted;              /* whether bytes are known: those of the TCP stream, TLS included */
    uint64_t bytes_in, bytes_out;
    uint16_t code; /* of the Close, or what our error would have said; 1006: none came */
    linnet_end_by by;
    int err;             /* LINNET_ERR_* when one ended it */
    linnet_slice reason; /* as it stood in the Close */
    const char *meaning; /* of all this, in words; static memory, like the next */
    const char *advice;  /* what to do about it */
    uint64_t error_at;   /* when it was told an error for the last time; 0: never */
    int error;           /* the number of that, as linnet_hub_describe_error knows it */
    linnet_slice error_text;
} linnet_end;

/* Called once, on a worker: the last end first; more: there were others beyond the limit. */
typedef void linnet_hub_why_fn(
    void *ctx, linnet_hub *hub, int err, const linnet_end *ends, size_t count, bool more);
/* How the last connections of a user, of a client, or (when nobody is named) of all ended. limit: 1
 * to 10,000. Any thread. Errors as linnet_hub_sessions, and LINNET_ERR_INVAL when a connection is
 * named by its id, which ended with it. */
LINNET_API int linnet_hub_why(
    linnet_hub *hub, const linnet_whom *whom, size_t limit, linnet_hub_why_fn *why, void *ctx);

/* What is to be followed. */
typedef struct linnet_tail_options {
    size_t size;                        /* of this struct */
    linnet_slice user, channel, client; /* only what is about these; empty: whatever */
    bool data;                          /* show what is said in channels, 4 KiB of each at most */
} linnet_tail_options;
#define LINNET_TAIL_OPTIONS_INIT                                                                   \
    { sizeof(linnet_tail_options), { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, false }

/* Answers a request, from its handler and instead of linnet_request_answer, with what happens from
 * now on, until who asked goes: one JSON object a line (application/x-ndjson), `event` connect,
 * disconnect, subscribe, unsubscribe, publish, error, hook, refused or missed (docs/guide/
 * operations.md). Who does not read fast enough misses lines and is told how many; nobody waits for
 * him. Whether he may is the handler's to ask. At most 16 at a time. LINNET_ERR_LIMIT,
 * LINNET_ERR_NOMEM, LINNET_ERR_INVAL, LINNET_ERR_STATE (the request is not of the hub's server, or
 * is answered): the request is still to be answered. */
LINNET_API int linnet_hub_tail(
    linnet_hub *hub, linnet_request *request, const linnet_tail_options *options);

#ifdef __cplusplus
}
#endif
#endif
