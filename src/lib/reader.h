/* reader.h -- who reads an event stream: found out before it begins, as for a WebSocket, and known
 * while it lasts.
 *
 *    request ──token──> ──connect hook──> ──permission, subscribe hook per channel──> stream
 *                │             │                          │
 *                └── waits for │ a key, or an answer: ────┘  401, 403, 429, 503 without one
 *
 * A reader who waits holds no place anywhere: his request stays where it is, and is named by its
 * connection's id. Of a token the end is the stream's: LN_JWS_SKEW_S later he is told (error 109),
 * and it ends. A backend that said yes to his coming is told when he has gone.
 */
#ifndef LN_LIB_READER_H
#define LN_LIB_READER_H
#include "lib/doorman.h"

typedef struct ln_reader {
    ln_list node; /* in worker->readers while answers are pending */
    linnet_loop *worker;
    linnet_conn_id id;        /* of his request */
    ln_identity *identity;    /* NULL: nobody in particular */
    ln_timer end;             /* of what lets him read */
    ln_msec deadline;         /* of the answers, */
    uint32_t pending;         /* so many */
    struct ln_stream *stream; /* once it has begun: sse.c's */
    bool vouched;             /* a backend has said yes to his coming */
    uint8_t client_size;
    uint8_t client[LN_CLIENT_NAME_MAX];
} ln_reader;

/* Of a request for some channels, which were looked at: ends in ln_sse_open, or in an answer; now
 * or later. */
void ln_reader_begin(linnet_request *r);
/* A key has come for him, or not. */
void ln_reader_again(linnet_loop *w, linnet_conn_id id);
/* What the doorman says of a reader. True: the entry's identity was taken. */
bool ln_reader_admitted(linnet_loop *w, linnet_conn_id id, ln_entry *entry);
void ln_reader_refused(linnet_loop *w, linnet_conn_id id, int status, const char *words);
/* The answer to a question with LN_ASK_STREAM in its ticket. */
void ln_reader_answer(linnet_loop *w, linnet_conn_id id, const ln_answer *a);
/* Before his stream begins: sees to its end. */
void ln_reader_watch(ln_reader *r);
/* Another end, or other info, as ln_identity_change. False: he is nobody in particular, or there is
 * no memory, and all is as before. */
bool ln_reader_refresh(ln_reader *r, uint64_t expires, ln_slice info);
/* Whether his time is over; otherwise it is looked at again. */
bool ln_reader_is_over(ln_reader *r);
/* He has gone. NULL is allowed. */
void ln_reader_free(ln_reader *r);
void ln_readers_tick(linnet_loop *w);
ln_msec ln_readers_deadline(const linnet_loop *w);
/* No connections are there any more. */
void ln_readers_end(linnet_loop *w);
#endif
