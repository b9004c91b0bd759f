#include "lib/mail.h"
#include "base/mem.h"
#include "lib/bans.h"
#include "lib/calls.h"
#include "lib/hub.h"
#include "lib/listing.h"
#include "lib/orders.h"
#include "lib/presence.h"
#include "lib/prune.h"
#include "lib/tail.h"
#include "session/jws.h"
#include <unistd.h>

#define MAIL_MAX (UINT32_C(0x7fffff00))

ln_post *ln_post_new(
    ln_post_kind kind, linnet_conn_id id, int code, const char *text, ln_slice bytes) {
    size_t words = text ? strlen(text) : 0;
    if (bytes.size > MAIL_MAX || words > MAIL_MAX - bytes.size) return NULL;
    ln_post *m = ln_malloc(sizeof *m + words + 1 + bytes.size);
    if (!m) return NULL;
    *m = (ln_post){ .id = id,
        .code = code,
        .has_text = text != NULL,
        .text_size = (uint32_t)words,
        .size = (uint32_t)bytes.size };
    m->letter = (ln_letter){ .bytes = (uint32_t)(sizeof *m + words + bytes.size),
        .room = LN_LETTER_LIB,
        .kind = (uint8_t)kind };
    if (words) memcpy(m->bytes, text, words);
    m->bytes[words] = 0;
    if (bytes.size) memcpy(m->bytes + words + 1, bytes.data, bytes.size);
    return m;
}

void ln_post_free(ln_post *m) {
    if (!m) return;
    if (m->letter.kind == LN_POST_ADOPT && m->code >= 0) close(m->code);
    if (m->letter.kind == LN_POST_JOIN && m->ctx) ln_host_hub_undelivered(m->ctx);
    if (m->letter.kind == LN_POST_LEAVE && m->ctx) ln_host_hub_unref(m->ctx);
    if (m->letter.kind == LN_POST_PUBLISH && m->ctx) ln_host_hub_unpublished(m->ctx);
    if (m->letter.kind == LN_POST_RELOAD && m->ctx) ln_host_hub_unnews(m->ctx);
    if (m->letter.kind == LN_POST_ORDER && m->ctx) ln_order_lost(m->ctx, (unsigned)m->code);
    if (m->letter.kind >= LN_POST_ASK && m->letter.kind <= LN_POST_REPLIED && m->ctx)
        ln_call_lost(m->ctx);
    if (m->letter.kind == LN_POST_PRUNE && m->ctx) ln_prune_lost(m->ctx);
    if (m->letter.kind == LN_POST_CHANNELS && m->ctx) ln_listing_lost(m->ctx, (unsigned)m->code);
    if (m->letter.kind == LN_POST_BAN && m->ctx) ln_bans_lost(m->ctx, (unsigned)m->code);
    if (m->letter.kind == LN_POST_PRESENCE && m->ctx) ln_host_presence_unasked(m->ctx);
    if (m->letter.kind >= LN_POST_TAIL && m->ctx) ln_tail_unref(m->ctx);
    if (m->letter.kind == LN_POST_KEYS) ln_jws_keys_unref(m->ctx);
    ln_free(m);
}
