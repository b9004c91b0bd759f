/* hooks.h -- webhooks as pure functions: a question to a JSON text, an HTTP answer to an answer,
 * and the signature. Who sends them, and when again, is lib/webhooks.h; what they look like to a
 * backend is docs/guide/webhooks.md; the same texts are rows of hooks_test.c.
 *
 * The signature is that of standardwebhooks.com, for which every language has a library: the
 * fields webhook-id, webhook-timestamp and webhook-signature, the last one
 * "v1,base64(HMAC-SHA256(key, id.timestamp.body))", once for each key, so that keys can be changed.
 */
#ifndef LN_SESSION_HOOKS_H
#define LN_SESSION_HOOKS_H
#include "session/ask.h"

/* "subscribe", "channel_occupied"; static memory. */
const char *ln_hook_name(ln_ask_kind kind);
/* The kind with that name; LN_ASK_KINDS: there is none. */
ln_ask_kind ln_hook_kind(ln_slice name);

/* Appends the text that asks. ts: milliseconds since 1970. LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG. */
int ln_hook_put(ln_buf *out, const ln_question *q, ln_slice node, uint64_t ts);

#define LN_HOOK_SCRATCH (64u * 1024) /* what an answer of a fetch's size needs at most */
/* What a backend has answered, by its status and body. A good status without an error allows, 401
 * and 403 refuse, and so does `error` or `allow: false` in the body. All else is no answer:
 * LINNET_ERR_HTTP in out->err, which refuses too. Slices point into body and scratch, which is
 * appended to. */
void ln_hook_read(unsigned status, ln_slice body, ln_buf *scratch, ln_answer *out);

#define LN_HOOK_KEYS      2
#define LN_HOOK_SIGNATURE 48 /* bytes of "v1," and base64 of 32 bytes, NUL included */
/* Writes one signature. LINNET_ERR_NOMEM. */
int ln_hook_sign(
    ln_slice key, ln_slice id, uint64_t timestamp_s, ln_slice body, char out[LN_HOOK_SIGNATURE]);
/* The key for what stands in a file: "whsec_" and base64 means those bytes, anything else itself,
 * without white space around it; at least 16 bytes. Appended. LINNET_ERR_INVAL, LINNET_ERR_NOMEM.
 */
int ln_hook_key(ln_slice text, ln_buf *out);
#endif
