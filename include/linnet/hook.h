/* linnet/hook.h -- somebody who decides: may he come, may he hear this, may he say that, what is
 * the answer; and who wants to know who has gone.
 *
 *     linnet_hooks hooks = LINNET_HOOKS_INIT;
 *     hooks.on_ask = decide;                          the program itself, now or later, or
 *     hooks.webhooks = list, hooks.webhook_count = 1;     a backend over HTTP
 *     hub_options.hooks = &hooks;
 *
 * Nothing is allowed for want of an answer: after 5 s it is no (error 108, 115 for a call, 503 for
 * a connection), and so it is when a backend says something that makes no sense. While an answer is
 * pending, later commands of that connection on the same channel wait behind it, in their order.
 * docs/guide/webhooks.md has every text a backend gets and may answer.
 */
#ifndef LINNET_HOOK_H
#define LINNET_HOOK_H
#include <linnet/server.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_hub linnet_hub;

typedef enum linnet_hook {
    LINNET_HOOK_CONNECT = 0,   /* before the 101 */
    LINNET_HOOK_SUBSCRIBE = 1, /* these four are answered, */
    LINNET_HOOK_PUBLISH = 2,
    LINNET_HOOK_CALL = 3,
    LINNET_HOOK_EVENT = 4, /* and these are told */
    LINNET_HOOK_DISCONNECT = 5,
    LINNET_HOOK_OCCUPIED = 6, /* a channel has its first subscriber on this node; told, without a
                               * connection, on the worker that is home of the channel */
    LINNET_HOOK_VACATED = 7,  /* and has had none for a second */
    LINNET_HOOK_REFRESH = 8   /* whom CONNECT has let in until now: may he stay? */
} linnet_hook;
#define LINNET_HOOK_BIT(hook) (1u << (hook))

typedef struct linnet_question_id { /* of a question, unique in its server */
    uint64_t who;
    uint32_t ticket;
} linnet_question_id;

/* All borrowed for the call; what a kind does not have is empty. */
typedef struct linnet_question {
    size_t size; /* of this struct */
    linnet_hook hook;
    linnet_question_id id;
    linnet_slice client, user, info; /* who; info is JSON */
    linnet_slice channel;
    linnet_slice event;         /* of a publication; CALL and EVENT: the method */
    linnet_slice data;          /* JSON */
    linnet_slice path, address; /* CONNECT: of the request, without its query; the peer */
    linnet_slice headers;       /* CONNECT: JSON object, see linnet_hooks.headers */
    uint16_t code;              /* DISCONNECT: as in linnet_conn_events.on_close */
    linnet_slice reason;
} linnet_question;

typedef struct linnet_answer {
    size_t size;         /* of this struct */
    uint16_t code;       /* 0: allowed; else an error of docs/protocol.md, or 400 to 1999 */
    const char *message; /* in words, at most 256 bytes; NULL: the code's */
    linnet_slice data;   /* JSON. PUBLISH: said instead; CALL: the answer; CONNECT: stands in
                          * welcome, 16 KiB at most. Empty: none */
    linnet_slice user;   /* CONNECT: who it is */
    linnet_slice info;   /* CONNECT: JSON about it that others see; REFRESH: likewise, empty: as it
                          * was, and so: */
    linnet_slice channels; /* JSON array of names: it is subscribed to these at once */
    uint64_t expires;      /* CONNECT: seconds since 1970; 0: never. REFRESH: 0: as it was */
} linnet_answer;
#define LINNET_ANSWER_INIT                                                                         \
    { sizeof(linnet_answer), 0, NULL, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, 0 }

typedef struct linnet_webhook { /* where what is sent; the first that has a bit gets it */
    size_t size;                /* of this struct */
    const char *url;            /* http:// or https:// */
    unsigned hooks;             /* LINNET_HOOK_BITs */
} linnet_webhook;
#define LINNET_WEBHOOK_INIT                                                                        \
    { sizeof(linnet_webhook), NULL, 0 }

/* All copied by linnet_hub_new. 0 in a number means its default, which stands behind it. */
typedef struct linnet_hooks {
    size_t size; /* of this struct */
    /* The program. Called on the worker of the connection, for what has a bit in `hooks`; it then
     * goes before a webhook. ACCEPT: *now counts, whose code may yet say no. REJECT: it is no,
     * 103 unless *now has a code. DEFER: linnet_hub_answer follows. Of news the verdict is not
     * looked at. */
    linnet_verdict (*on_ask)(
        void *ctx, linnet_hub *hub, const linnet_question *question, linnet_answer *now);
    void *ctx;
    unsigned hooks;
    /* A backend over HTTP. */
    const linnet_webhook *webhooks; /* each with the size of the first; at most 16 */
    size_t webhook_count;
    const char *const *keys;    /* one or two that sign, NULL at the end; at least 16 bytes each, or
                                   "whsec_" and base64. Wanted with webhooks */
    const char *ca_file;        /* PEM; NULL: the system's */
    const char *const *headers; /* of the handshake that CONNECT forwards, NULL at the end; NULL:
                                   cookie, authorization, origin, user-agent */
    uint32_t timeout_ms;        /* of one request; 5,000, which is the most */
    uint32_t retries;           /* of news that did not arrive; 10; LINNET_OFF: none */
    uint32_t queue_max;         /* news that wait, then the oldest is dropped; 10,000 */
    uint64_t queue_bytes;       /* and so much; 16 MiB */
} linnet_hooks;
#define LINNET_HOOKS_INIT                                                                          \
    { sizeof(linnet_hooks), NULL, NULL, 0, NULL, 0, NULL, NULL, NULL, 0, 0, 0, 0 }

/* Answers a question for which on_ask said DEFER; any thread, once. That nobody waits for it any
 * more is no error. LINNET_ERR_INVAL, LINNET_ERR_STATE (no server), LINNET_ERR_AGAIN,
 * LINNET_ERR_NOMEM. */
LINNET_API int linnet_hub_answer(
    linnet_hub *hub, linnet_question_id id, const linnet_answer *answer);

/* What became of questions and news, over all workers since start. */
typedef struct linnet_hook_stats {
    size_t size;         /* of this struct */
    uint64_t asked;      /* questions sent */
    uint64_t unanswered; /* of those: no answer, or none that makes sense */
    uint64_t told;       /* news that arrived */
    uint64_t retried;    /* times that one was sent again */
    uint64_t failed;     /* news given up after all retries, or refused */
    uint64_t dropped;    /* news that the queue had no room for */
    uint64_t waiting;    /* news in the queue now */
    uint64_t underway;   /* requests now */
} linnet_hook_stats;
#define LINNET_HOOK_STATS_INIT                                                                     \
    { sizeof(linnet_hook_stats), 0, 0, 0, 0, 0, 0, 0, 0 }
/* Any thread. LINNET_ERR_INVAL (size), LINNET_ERR_STATE (no server). */
LINNET_API int linnet_hub_hook_stats(const linnet_hub *hub, linnet_hook_stats *out);

#ifdef __cplusplus
}
#endif
#endif
