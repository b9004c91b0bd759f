/* ask.h -- questions that somebody else answers: may he, what is the answer, and news.
 *
 * A session knows only this. lib/ fills it with the program's callbacks or with webhooks over
 * fetch/; tests with a fake. A question is asked now and answered now or later, by the session's
 * handle (worker, slot, generation) and a ticket: never by a pointer, because the session may have
 * gone, and then the answer is nobody's.
 *
 *    ask ──LN_DONE──> *now is the answer, borrowed until the asker is called again
 *     │└──< 0──────> nobody can be asked: refused with 108
 *     └──LN_PENDING──> ln_sessions_answer(), once
 *
 * Order. While a command's answer is pending, later ones on the same channel wait behind it, in
 * their order, owning their bytes; all of them count as outstanding requests. An unsubscribe
 * cancels subscribes that wait; the end of the connection cancels all. Whoever does not answer in
 * time is answered for by whoever asks him: nothing is ever allowed for want of an answer.
 */
#ifndef LN_SESSION_ASK_H
#define LN_SESSION_ASK_H
#include "wire/native.h"

typedef enum ln_ask_kind {
    LN_ASK_CONNECT,   /* before the 101 */
    LN_ASK_SUBSCRIBE, /* may he hear this channel */
    LN_ASK_PUBLISH,   /* may he say this in that channel, and is it to be said so */
    LN_ASK_CALL,      /* what is the answer to this */
    LN_TELL_EVENT,    /* from here on nobody waits for what is answered */
    LN_TELL_DISCONNECT,
    LN_TELL_OCCUPIED, /* a channel that had no subscriber has one */
    LN_TELL_VACATED,
    LN_ASK_REFRESH, /* may he stay, whom a backend has let in until now; this is answered again */
    LN_ASK_KINDS
} ln_ask_kind;
static inline bool ln_ask_is_news(ln_ask_kind kind) {
    return kind >= LN_TELL_EVENT && kind <= LN_TELL_VACATED;
}

typedef struct ln_question { /* all borrowed for the call; what a kind does not have is empty */
    ln_ask_kind kind;
    uint64_t who;                /* the session's handle; CONNECT: the connection's name */
    uint32_t ticket;             /* CONNECT and news: 0 */
    ln_slice client, user, info; /* info: JSON */
    ln_slice channel;
    ln_slice event;         /* PUBLISH: its name; CALL and EVENT: the method */
    ln_slice data;          /* JSON */
    ln_slice path, address; /* CONNECT: without the query, in which tokens may stand; the peer */
    ln_slice headers;       /* CONNECT: JSON object of those that are to be forwarded */
    uint16_t code;          /* DISCONNECT: of the close, and its reason */
    ln_slice reason;
} ln_question;

typedef struct ln_answer { /* all borrowed */
    int err;          /* < 0: there is none: LINNET_ERR_TIMEOUT, or whatever stood in the way */
    uint16_t code;    /* 0: allowed; else why not, an ln_native_code or 400..1999 */
    ln_slice message; /* in words; empty: the code's */
    ln_slice data;    /* JSON. PUBLISH: instead of what was sent; CALL: the answer; CONNECT: for
                       * welcome. Empty: none */
    ln_slice user;    /* CONNECT: who it is */
    ln_slice info, channels; /* CONNECT, REFRESH: JSON about it; JSON array of names to be
                              * subscribed to */
    uint64_t
        expires; /* CONNECT, REFRESH: seconds since 1970; 0: never, and of REFRESH: as it was */
} ln_answer;

/* What a backend has answered, for who follows (ear.h). */
struct ln_happening;
void ln_hook_heard(struct ln_happening *h, ln_ask_kind kind, const ln_answer *a);

typedef struct ln_asker {
    void *ctx;
    uint32_t kinds; /* bits 1 << ln_ask_kind: what it wants to hear of. The rest goes without */
    /* News: the result is not looked at. */
    int (*ask)(void *ctx, const ln_question *q, ln_answer *now);
} ln_asker;

/* In the ticket of a question about the reader of an event stream, who is no session. */
#define LN_ASK_STREAM 0x80000000u

#define LN_ASK_MS 5000 /* then whoever has been asked has not answered */

static inline bool ln_asker_wants(const ln_asker *a, ln_ask_kind kind) {
    return a && (a->kinds >> kind & 1);
}
#endif
