/* mail.h -- mail to a worker that is not the hub's: who sends it, and who owns what it carries.
 *
 *   kind      from                         carries (owned by the mail)
 *   SEND      any thread, by id            a message: id, opcode, bytes
 *   CLOSE     any thread, by id            id, code, reason
 *   CALL      linnet_loop_post             fn, ctx
 *   ACCEPT    linnet_server_accept         id of a deferred upgrade, user, subprotocol
 *   REJECT    linnet_server_reject         id, status, body
 *   ANSWER, BEGIN, WRITE, END              id of a request, status, type, bytes
 *   ADOPT     linnet_server_adopt          a descriptor, and the bytes read from it so far
 *   JOIN      linnet_hub_subscribe         ctx: the subscription
 *   LEAVE     linnet_hub_unsubscribe       ctx: the subscription, one reference
 *   PRESENCE  linnet_hub_presence          ctx: the question (presence.h)
 *   PUBLISH   linnet_hub_publish_then,     ctx: who waits, with the publication or the question
 *             linnet_hub_history
 *   DECIDE    linnet_hub_answer            id: who has asked; bytes: hooks.c's
 *   RELOAD    linnet_hub_reload            ctx: the news, one reference
 *   LEVEL     linnet_server_log_level      code: the level
 *   ORDER     orders.c                     ctx: the order, one reference; code: the worker
 *   ASK       linnet_hub_call              ctx: the call, one reference
 *   ASKED     who was sent ASK             the same memory; code: how many were asked, id: an error
 *   REPLIED   who was asked                ctx: as ASK; code: an error or the refusal's; text: its
 *                                          words; bytes: calls.c's
 *   WANT      keyring.c                    code: the source that lacks a key; id: the worker
 *   KEYS      keeper.c                     code: the source; ctx: its keys, one reference (NULL:
 *                                          they are as they were); id: ms not to ask again
 *   PRUNE     linnet_hub_retract           ctx: the order (prune.h)
 *   CHANNELS  linnet_hub_channels          ctx: the listing, whose letter it is; code: the worker
 *   BAN       bans.c                       ctx: the order, one reference; code: the worker
 *   TAIL      tail.c                       ctx: who follows, one reference; code: 0 from now on, 1
 *                                          no more
 *   TAILED    tail.c                       ctx: likewise; code: how many were left out before; -1
 *                                          a TAIL that found no memory, back at its home
 *
 * One block of memory each; freed by the worker that took it in, or by whoever could not post it.
 */
#ifndef LN_LIB_MAIL_H
#define LN_LIB_MAIL_H
#include "base/letter.h"
#include "base/slice.h"

typedef enum ln_post_kind {
    LN_POST_SEND,
    LN_POST_CLOSE,
    LN_POST_CALL,
    LN_POST_ACCEPT,
    LN_POST_REJECT,
    LN_POST_ANSWER,
    LN_POST_BEGIN,
    LN_POST_WRITE,
    LN_POST_END,
    LN_POST_ADOPT,
    LN_POST_JOIN,
    LN_POST_LEAVE,
    LN_POST_PUBLISH,
    LN_POST_DECIDE,
    LN_POST_RELOAD,
    LN_POST_ORDER,
    LN_POST_LEVEL,
    LN_POST_PRESENCE,
    LN_POST_ASK,
    LN_POST_ASKED,
    LN_POST_REPLIED,
    LN_POST_WANT,
    LN_POST_KEYS,
    LN_POST_BAN,
    LN_POST_PRUNE,
    LN_POST_CHANNELS,
    LN_POST_TAIL,
    LN_POST_TAILED
} ln_post_kind;

typedef struct ln_post {
    ln_letter letter; /* room LN_LETTER_LIB */
    linnet_conn_id id;
    int code; /* opcode, close code, status, descriptor */
    bool has_text;
    void (*fn)(void *ctx);
    void *ctx;          /* or the user pointer */
    uint32_t text_size; /* of a short text in front: reason, type, subprotocol */
    uint32_t size;      /* of the bytes behind it */
    uint8_t bytes[];    /* text, NUL, bytes */
} ln_post;

/* NULL without memory. text may be NULL. */
ln_post *ln_post_new(
    ln_post_kind kind, linnet_conn_id id, int code, const char *text, ln_slice bytes);
static inline const char *ln_post_text(const ln_post *m) {
    return m->has_text ? (const char *)m->bytes : NULL;
}
static inline ln_slice ln_post_data(const ln_post *m) {
    return ln_slice_of(m->bytes + m->text_size + 1, m->size);
}
/* Frees it and what it carries (an ADOPT closes its descriptor, a JOIN ends its subscription, a
 * LEAVE drops its reference, who waits for a PUBLISH is told). */
void ln_post_free(ln_post *m);
#endif
