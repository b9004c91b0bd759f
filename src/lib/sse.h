/* sse.h -- channels as event streams (text/event-stream, HTML 9.2): for who can only read.
 *
 * A GET is answered by a stream that does not end. Each publication is one event: its name as
 * `event`, its data as `data`, and as `id` the place the reader has come to: EPOCH:OFFSET, for
 * several channels one for each, in the order of the request, with commas between ("-": none). A
 * browser that comes back says it as Last-Event-ID, and hears what it has missed: a page when less
 * than the low mark waits for it, so that who reads slowly holds up nobody. Where nobody can tell
 * what was missed, an event `reset` says that what he knows of that channel is out of date.
 *
 * A line break in an event's name would end its field, so it comes as a space; in data it is white
 * space between JSON tokens, and begins another data field.
 *
 * Who reads is found out first (reader.h). When his time is over he is told by an event `error`,
 * and the stream ends.
 *
 * A stream hangs on its exchange (x->host while LN_EXCHANGE_STREAM) and in its worker's list, by
 * when it hears a comment next, so that proxies and we learn that somebody has gone. Readers that
 * do not read are dropped by the limits of WebSockets.
 */
#ifndef LN_LIB_SSE_H
#define LN_LIB_SSE_H
#include "lib/server.h"
#include "session/bans.h"

#define LN_SSE_CHANNELS   16    /* in one stream; each costs 38 bytes in each id */
#define LN_SSE_COMMENT_MS 15000 /* between signs of life */
#define LN_SSE_RETRY_MS   1000  /* readers are told to come back after so long, and as long again */

struct ln_reader; /* reader.h */

typedef struct ln_sse_names { /* of a request's channels */
    uint32_t count;
    uint8_t sizes[LN_SSE_CHANNELS];
    uint8_t names[LN_SSE_CHANNELS][LN_CHANNEL_NAME_MAX];
} ln_sse_names;
static inline ln_slice ln_sse_name(const ln_sse_names *n, uint32_t i) {
    return ln_slice_of(n->names[i], n->sizes[i]);
}
/* The words of why not, and the status; NULL: all is well. */
const char *ln_sse_read_names(const ln_exchange *x, ln_sse_names *out, int *status);
/* The route of streams that a request is for; NULL: there is none. */
const ln_route *ln_sse_route(const linnet_server *s, const ln_exchange *x);
/* Answers a request by a stream. Takes the reader, who may read. */
void ln_sse_open(linnet_request *r, const ln_sse_names *names, struct ln_reader *reader);
/* A timer of a reader. */
void ln_sse_timer(ln_timer *timer);
/* Ends those of a user, or of a connection's name (or of a client's): how many. */
uint32_t ln_sse_disconnect(linnet_loop *w, ln_slice user, ln_slice client, linnet_conn_id id);

/* The same for those of them that a channel is in; they are told: how many. */
uint32_t ln_sse_expel(
    linnet_loop *w, ln_slice user, ln_slice client, linnet_conn_id id, ln_slice channel);
/* Gives those who are somebody another end and other info, as ln_sessions_refresh: how many. */
uint32_t ln_sse_refresh(linnet_loop *w, ln_slice user, ln_slice client, linnet_conn_id id,
    uint64_t expires, ln_slice info);

/* Ends those whom a ban means now: how many. */
uint32_t ln_sse_bar(linnet_loop *w, const ln_bans *bans, uint64_t now_s);

/* Tells a worker's hub who delivers to streams; limits: of what a reader may leave unread. */
void ln_sse_use(linnet_loop *w, const ln_conn_config *limits);
/* A GET on a route of streams: answers it. */
void ln_sse_begin(linnet_request *r);
/* Whether an exchange is one; then it ends it, because nobody reads any more, or it is time. */
bool ln_sse_gone(const ln_exchange *x);
void ln_sse_end(ln_exchange *x);
void ln_sse_tick(linnet_loop *w);
ln_msec ln_sse_deadline(const linnet_loop *w);
#endif
