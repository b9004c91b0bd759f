/* api_inner.h -- what the files of the API share.
 *
 *   api.c         the door, publish, broadcast, batch, info
 *   api_body.c    what it is told
 *   api_order.c   questions and orders that are answered later
 *   api_people.c  sessions: lists of them, and orders about them
 *   api_read.c    what channels hold
 *   api_watch.c   how connections ended, and what happens now
 */
#ifndef LN_DAEMON_API_INNER_H
#define LN_DAEMON_API_INNER_H
#include "base/mem.h"
#include "daemon/api.h"
#include "daemon/api_body.h"

#define LN_API_JSON "application/json"

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

typedef struct ln_api_ask { /* a request under way in its handler */
    const ln_api *api;
    linnet_request *request;
    ln_slice body;
    ln_buf scratch; /* has room for the whole body */
} ln_api_ask;

/* api.c: the status for one of our errors; {"error":...}, why NULL: the code's own words. */
int ln_api_status(int err);
void ln_api_put_error(ln_json_writer *w, int code, const char *why);
void ln_api_refuse(linnet_request *r, int status, int code, const char *why);
/* The body as one object with such fields; false: it is answered. */
bool ln_api_body_of(ln_api_ask *a, unsigned may, unsigned must, ln_api_body *out);

/* What becomes of an order or a question is told once, on some worker, and answered from there. */
typedef struct ln_api_order {
    linnet_server *server;
    linnet_conn_id request;
} ln_api_order;
/* NULL without memory; then it is answered. */
ln_api_order *ln_api_order_new(const ln_api_ask *a);
/* In the handler: it was refused at once. why NULL, or words for LINNET_ERR_INVAL. Takes o. */
void ln_api_order_refuse(const ln_api_ask *a, ln_api_order *o, int err, const char *why);
/* Later: the answer, which writing ended with `written`; or an error. Both take o. */
void ln_api_order_answer(ln_api_order *o, ln_buf *out, int written);
void ln_api_order_error(ln_api_order *o, int err);

/* api_read.c: methods. */
void ln_api_history(ln_api_ask *a);
/* api_people.c: methods. */
void ln_api_disconnect(ln_api_ask *a);
void ln_api_unsubscribe(ln_api_ask *a);
void ln_api_connections(ln_api_ask *a);
/* api_watch.c: methods. */
void ln_api_why(ln_api_ask *a);
#endif
