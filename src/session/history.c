/* history.c -- pages of a channel's log.
 *
 * A page may be large, so a session has one on its way at a time, and none while the peer has yet
 * to read what it was sent before: a command that comes too early is held, like those behind a
 * pending answer.
 */
#include "session/inner.h"

#define LIMIT_DEFAULT 100
#define PAGE_BYTES    (1024u * 1024)

/* Half of the queue, so that asking for history is no way to be a slow reader. */
static uint32_t page_bytes(const ln_session *s) {
    uint32_t part = s->conn->config->queued_max / 2;
    return part < PAGE_BYTES ? part : PAGE_BYTES;
}

bool ln_history_waits(ln_session *s) {
    return s->reads || ln_conn_await_drain(s->conn);
}

void ln_history_ask(ln_session *s, const ln_native_command *c) {
    if (!c->id.size) {
        ln_session_refuse(s, c, LN_NATIVE_BAD_REQUEST, "history without an id has no answer");
        return;
    }
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, c->channel);
    if (err == LINNET_OK) err = ln_session_may(s, LN_ACT_HISTORY, c->channel);
    if (err < 0) {
        ln_session_refuse_err(s, c, err);
        return;
    }
    ln_read what = {
        .channel = c->channel,
        .re = c->id,
        .reverse = c->reverse,
        .limit = c->keys & LN_KEY_LIMIT ? c->limit : LIMIT_DEFAULT,
        .bytes = page_bytes(s),
        .who = ln_session_handle(s),
        .user = LN_USER_NATIVE,
    };
    if (c->since) { /* an epoch that is not of ours is not that of any log */
        what.since.epoch = c->since_epoch ? c->since_epoch : UINT64_MAX;
        what.since.offset = c->since_offset;
    }
    err = ln_hub_read(s->node->hub, &what);
    if (err < 0) {
        ln_session_refuse_err(s, c, err);
        return;
    }
    s->outstanding++;
    s->reads = true;
}

static void refuse(ln_session *s, const ln_reading *m) {
    ln_native_error error = {
        .re = ln_reading_re(m), .channel = ln_reading_channel(m), .code = ln_session_code(m->err)
    };
    error.vain = m->err == LINNET_ERR_UNSUPPORTED;
    if (error.vain) error.message = "this channel keeps no history";
    ln_session_error(s, &error);
}

static void answer(ln_session *s, const ln_reading *m) {
    ln_native_ok ok = { .re = ln_reading_re(m), .epoch = m->at.epoch, .offset = m->at.offset };
    ln_json_writer w = ln_native_history_begin(&s->node->out, &ok);
    for (uint32_t i = 0; i < m->count; i++) {
        ln_native_message said = ln_native_said(m->items[i]);
        ln_native_history_add(&w, &said);
    }
    ln_native_history_end(&w);
    ln_session_say(s, ln_json_end(&w));
}

void ln_history_page(void *ctx, const ln_reading *m) {
    ln_session *s = ln_session_of(ctx, m->who);
    if (!s) return;
    s->outstanding--;
    s->reads = false;
    if (m->err < 0)
        refuse(s, m);
    else
        answer(s, m);
    ln_session_answered(s);
}
