/* api_inner.h -- what the files of the API share.
 *
 *   api.c         the door: who asks for what, and the methods
 *   api_call.c    calls of one or many items, and their answers
 *   api_body.c    what they are told
 *   api_say.c     publish, send, call
 *   api_read.c    what channels there are, what they hold, who is in them; info
 *   api_prune.c   taking back what channels hold
 *   api_people.c  sessions: lists of them, and orders about them
 *   api_watch.c   how connections ended, and what happens now
 *   api_ban.c     who may not be here, and what counts no more
 *
 * A call has items: one, or those of a batch or a broadcast. Each item is run by its method and is
 * done once, now or later, on whatever worker. Items that publish follow each other at once,
 * because the way to a channel's home keeps their order; any other begins when all before it are
 * done, and nothing begins before it is. The last one that is done answers.
 */
#ifndef LN_DAEMON_API_INNER_H
#define LN_DAEMON_API_INNER_H
#include "base/mem.h"
#include "base/ref.h"
#include "daemon/api.h"
#include "daemon/api_body.h"

#define LN_API_JSON     "application/json"
#define LN_API_LINES    "application/x-ndjson"
#define LN_API_BODY_MAX (1024u * 1024)
#define LN_API_BATCH_MAX                                                                           \
    (8u * 1024 * 1024) /* bytes of results after which a batch reads no more                       \
                        */

enum { /* of the native protocol */
    LN_API_INTERNAL = 100,
    LN_API_UNAUTHORIZED = 101,
    LN_API_DENIED = 103,
    LN_API_UNKNOWN_METHOD = 104,
    LN_API_BAD_REQUEST = 107,
    LN_API_NOT_AVAILABLE = 108,
    LN_API_RATE_LIMITED = 111,
    LN_API_TOO_LARGE = 114
};

typedef struct ln_api_call ln_api_call;

typedef struct ln_api_item {
    ln_api_call *call;
    int err;
    int code, status;         /* 0: those of err */
    char why[LN_API_WHY_MAX]; /* in words, of what was wrong with it; "": the code's own */
    ln_buf ok;                /* a JSON object; empty: {} */
} ln_api_item;

typedef struct ln_api_ask { /* a request under way in its handler */
    const ln_api *api;
    linnet_request *request;
    ln_slice body;
    ln_buf scratch;  /* has room for the whole body */
    unsigned scopes; /* of its key */
} ln_api_ask;

typedef struct ln_api_method {
    const char *name;
    unsigned scope, may, must; /* of the key; fields of the body */
    bool follows;              /* it may begin before the one in front of it is done */
    void (*run)(ln_api_item *it, const ln_api_body *b);
    void (*direct)(ln_api_ask *a); /* or this: it answers by itself, and is nothing for a batch */
} ln_api_method;
/* api.c: by name, NULL: there is none. */
const ln_api_method *ln_api_method_of(ln_slice name);

/* ---- api_call.c --------------------------------------------------------------------- */
linnet_hub *ln_api_hub(const ln_api_item *it);
linnet_server *ln_api_server(const ln_api_item *it);
/* It is done: as its fields say. */
void ln_api_done(ln_api_item *it);
/* It is done: err, why NULL or words. */
void ln_api_fail(ln_api_item *it, int err, const char *why);
/* Begins its result, inside the object; and ends it, and with it the item. */
ln_json_writer ln_api_ok(ln_api_item *it);
void ln_api_told(ln_api_item *it, ln_json_writer *w);
/* For results that are one number, or one text that may be missing. */
void ln_api_put_text(ln_json_writer *w, const char *key, ln_slice text);
void ln_api_put_u64(ln_json_writer *w, const char *key, uint64_t value);
/* An answer in the handler. */
void ln_api_refuse(linnet_request *r, int status, int code, const char *why);

/* Of a method that answers by itself: the status for one of our errors; the body as one object with
 * such fields, false: it is answered. */
int ln_api_status(int err);
bool ln_api_body_of(ln_api_ask *a, unsigned may, unsigned must, ln_api_body *out);

/* A request as a call of one item. */
void ln_api_run_one(ln_api_ask *a, const ln_api_method *m);
void ln_api_broadcast(ln_api_ask *a);
void ln_api_batch(ln_api_ask *a);
void ln_api_tail(ln_api_ask *a);

/* ---- methods ------------------------------------------------------------------------ */
void ln_api_publish(ln_api_item *it, const ln_api_body *b);
void ln_api_send(ln_api_item *it, const ln_api_body *b);
void ln_api_call_client(ln_api_item *it, const ln_api_body *b);
void ln_api_history(ln_api_item *it, const ln_api_body *b);
void ln_api_presence(ln_api_item *it, const ln_api_body *b);
void ln_api_channels(ln_api_item *it, const ln_api_body *b);
void ln_api_info(ln_api_item *it, const ln_api_body *b);
void ln_api_connections(ln_api_item *it, const ln_api_body *b);
void ln_api_why(ln_api_item *it, const ln_api_body *b);
void ln_api_disconnect(ln_api_item *it, const ln_api_body *b);
void ln_api_subscribe(ln_api_item *it, const ln_api_body *b);
void ln_api_refresh(ln_api_item *it, const ln_api_body *b);
void ln_api_unsubscribe(ln_api_item *it, const ln_api_body *b);
void ln_api_history_remove(ln_api_item *it, const ln_api_body *b);
void ln_api_retract(ln_api_item *it, const ln_api_body *b);
void ln_api_forget(ln_api_item *it, const ln_api_body *b);
void ln_api_ban(ln_api_item *it, const ln_api_body *b);
void ln_api_unban(ln_api_item *it, const ln_api_body *b);
void ln_api_revoke(ln_api_item *it, const ln_api_body *b);
void ln_api_bans(ln_api_item *it, const ln_api_body *b);
#endif
