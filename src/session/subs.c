#include "base/mem.h"
#include "session/inner.h"
#include "wire/bytes.h"

/* Subscriptions --------------------------------------------------------------------------- */

ln_sub *ln_sub_new(ln_session *s, const ln_native_command *c) {
    ln_sub *sub = ln_malloc(sizeof *sub + c->channel.size + c->id.size);
    if (!sub) return NULL;
    *sub = (ln_sub){
        .session = s,
        .recover = { c->recover_epoch, c->recover_offset },
        .recovers = c->recover,
        .name_size = (uint8_t)c->channel.size,
        .re_size = (uint8_t)c->id.size,
    };
    ln_subscription_init(&sub->s, s->dialect, s->conn);
    memcpy(sub->bytes, c->channel.data, c->channel.size);
    if (c->id.size) memcpy(sub->bytes + c->channel.size, c->id.data, c->id.size);
    ln_list_push(&s->subs, &sub->node);
    if (s->sub_count++ == 0) ln_conn_batch(s->conn, true);
    return sub;
}

void ln_sub_free(ln_sub *sub) {
    ln_session *s = sub->session;
    ln_sub_away(sub);
    if (sub->skipped && sub->s.row) sub->s.row->owed--;
    if (sub->s.leaving) s->leaving--;
    ln_hub_unsubscribe(s->node->hub, &sub->s);
    ln_list_remove(&sub->node);
    ln_recover_end(sub);
    if (--s->sub_count == 0) ln_conn_batch(s->conn, false);
    ln_free(sub);
}

ln_sub *ln_sub_find(const ln_session *s, ln_slice channel) {
    const ln_channel *c = ln_hub_find(s->node->hub, LN_SPACE_CHANNELS, channel);
    if (!c && !s->entering) return NULL;
    LN_LIST_FOREACH(node, &s->subs) {
        ln_sub *sub = ln_list_item(node, ln_sub, node);
        if (sub->entering ? ln_slice_eq(ln_sub_name(sub), channel) : c && sub->s.channel == c)
            return sub;
    }
    return NULL;
}

const ln_sub *ln_sub_last(const ln_session *s) {
    for (const ln_list *node = s->subs.prev; node != &s->subs; node = node->prev) {
        const ln_sub *sub = ln_list_item(node, ln_sub, node);
        if (!sub->s.leaving) return sub;
    }
    return NULL;
}

int ln_sub_join(ln_sub *sub) {
    if (sub->recovers && sub->s.user == LN_USER_NATIVE) return ln_recover_begin(sub);
    ln_hub *hub = sub->session->node->hub;
    return ln_hub_subscribe(hub, &sub->s, LN_SPACE_CHANNELS, ln_sub_name(sub));
}

void ln_sub_tell(ln_session *s, ln_sub *sub) {
    char grant[LN_GRANT_TEXT];
    ln_reply reply = {
        .verb = LN_VERB_SUBSCRIBE,
        .re = ln_sub_re(sub),
        .channel = ln_sub_name(sub),
        .at = ln_subscription_at(&sub->s),
        .class = sub->s.channel->class,
        .recover = sub->recovers,
        .pushed = sub->pushed || sub->resumed,
        .grant = ln_resume_grant(sub, grant),
    };
    /* Without a replay (recover.c) only who has missed nothing has recovered. */
    reply.recovered = sub->recovers && reply.at.epoch && sub->recover.epoch == reply.at.epoch &&
                      sub->recover.offset == reply.at.offset;
    if (sub->recovers) ln_stat_add(reply.recovered ? &s->node->recovered : &s->node->lost, 1);
    if (ln_heard(s)) ln_hear_sub(s, LN_HEARD_SUBSCRIBE, ln_sub_name(sub), 0);
    ln_watch_say(sub, &reply);
    ln_session_ok(s, &reply);
    ln_watch_open(sub);
    ln_keys_begin(sub);
}

void ln_sub_unanswered(ln_session *s, const ln_sub *sub, const char *why) {
    if (ln_subscription_joined(&sub->s) || sub->quiet || sub->behind) return;
    s->outstanding--;
    if (!sub->re_size) return;
    ln_native_error error = { .re = ln_sub_re(sub),
        .channel = ln_sub_name(sub),
        .code = LN_NATIVE_NOT_SUBSCRIBED,
        .message = why };
    ln_session_say(s, ln_session_dialect(s)->error(&s->node->out, &error));
}

void ln_sub_end(ln_session *s, ln_sub *sub, ln_native_code code) {
    if (ln_heard(s)) ln_hear_sub(s, LN_HEARD_UNSUBSCRIBE, ln_sub_name(sub), (int)code);
    if (ln_session_dialect(s)->skips)
        ln_session_say(s, ln_native_put_unsubscribed(&s->node->out, ln_sub_name(sub), code));
    if (!s->closed) ln_sub_free(sub);
}

void ln_sub_joined(ln_sub *sub, int err) {
    ln_session *s = sub->session;
    if (sub->quiet) { /* it was in the channel before, and is again, or not */
        sub->quiet = false;
        if (err < 0) ln_conn_fail(s->conn, err);
        return;
    }
    s->outstanding--;
    ln_recover_end(sub);
    if (err < 0 && sub->resumed) {
        ln_sub_end(s, sub, ln_session_code(err));
    } else if (err < 0) {
        ln_native_error error = {
            .re = ln_sub_re(sub), .channel = ln_sub_name(sub), .code = ln_session_code(err)
        };
        ln_session_error(s, &error);
        ln_sub_free(sub);
    } else {
        ln_sub_tell(s, sub);
    }
    ln_session_answered(s);
}

static void on_subscribed(void *ctx, ln_subscription *ls, int err) {
    (void)ctx;
    if (ls->space == LN_SPACE_PRESENCE)
        ln_watch_joined(ls, err);
    else
        ln_sub_joined((ln_sub *)(void *)ls, err);
}

/* An unsubscribe that waited for what was published before it; note: its id. */
static void on_left(void *ctx, ln_subscription *ls, ln_slice note) {
    (void)ctx;
    ln_sub *sub = (ln_sub *)(void *)ls;
    ln_session *s = sub->session;
    s->outstanding--;
    s->leaving--; /* the hub has called it back already */
    if (ln_heard(s)) ln_hear_sub(s, LN_HEARD_UNSUBSCRIBE, ln_sub_name(sub), 0);
    ln_reply reply = { .verb = LN_VERB_UNSUBSCRIBE, .re = note, .channel = ln_sub_name(sub) };
    ln_session_ok(s, &reply);
    ln_sub_free(sub);
    ln_session_answered(s);
}

/* The channel starts anew. Who can be told is told, and comes back when he likes; who cannot is
 * simply put back. */
static void on_reset(void *ctx, ln_subscription *ls) {
    ln_sessions *n = ctx;
    ln_sub *sub = (ln_sub *)(void *)ls;
    ln_session *s = sub->session;
    sub->skipped = 0;
    if (ln_session_dialect(s)->skips) {
        ln_session_say(s, ln_native_put_unsubscribed(
                              &n->out, ln_sub_name(sub), LN_NATIVE_UNRECOVERABLE_POSITION));
        ln_sub_free(sub);
        return;
    }
    int err = ln_hub_subscribe(n->hub, &sub->s, LN_SPACE_CHANNELS, ln_sub_name(sub));
    if (err == LN_PENDING) sub->quiet = true;
    if (err < 0) ln_conn_fail(s->conn, err);
}

/* Fan-out --------------------------------------------------------------------------------- */

static ln_rendering *render(ln_sessions *n, const ln_dialect *d, const ln_publication *p) {
    ln_rendering *r = NULL;
    if (d->message(&n->out, p) == LINNET_OK) r = ln_rendering_of(LN_OP_TEXT, ln_buf_slice(&n->out));
    ln_scratch_clear(&n->out);
    return r;
}

/* A note, so that a policy that drops what stands around it can put it where it belongs. */
void ln_sub_say_skipped(ln_sub *sub) {
    ln_session *s = sub->session;
    if (!sub->skipped) return;
    ln_rendering *r = ln_slow_note(sub);
    if (!r || ln_conn_queue(s->conn, r) == LINNET_ERR_NOMEM)
        ln_conn_fail(s->conn, LINNET_ERR_NOMEM);
    if (r) ln_rendering_unref(r);
    sub->skipped = 0;
    sub->lagged = false;
}

void ln_sub_skip(ln_sub *sub, uint64_t offset, uint32_t count) {
    if (!offset || !ln_session_dialect(sub->session)->skips) return;
#if defined(LN_PLANT) && LN_PLANT == 12 /* tests/sim: nobody is told */
    return;
#endif
    if (sub->skipped == 0) sub->s.row->owed++;
    sub->skipped += count;
    if (sub->skipped == count || offset > sub->skipped_to) sub->skipped_to = offset;
}

/* The same publication for those who take bytes as they are. */
static ln_rendering *render_bytes(ln_sessions *n, const ln_publication *p, const ln_rendering *r) {
    ln_native_message m = ln_native_said(p);
    ln_rendering *b = NULL;
    if (ln_bytes_put_message(&n->out, &m) == LINNET_OK)
        b = ln_rendering_of(LN_OP_BINARY, ln_buf_slice(&n->out));
    ln_scratch_clear(&n->out);
    if (!b) return NULL;
    b->flags |= r->flags & (LN_RENDERING_LIVE | LN_RENDERING_SPARE);
    b->offset = r->offset;
    b->channel = r->channel;
    b->key = r->key;
    return b;
}

typedef struct forms { /* of one publication; bytes is made when somebody wants it */
    ln_rendering *text, *bytes;
    bool are_bytes;
} forms;

static ln_rendering *form_for(ln_session *s, const ln_publication *p, forms *f) {
    if (!f->are_bytes || !s->bin) return f->text;
    if (!f->bytes) f->bytes = render_bytes(s->node, p, f->text);
    return f->bytes;
}

/* The slow way, when somebody may be left out or is owed word of it, or not all take the same. */
static void fan_choosy(ln_row *row, const ln_publication *p, forms *f, ln_slow slow) {
    for (uint32_t i = 0; i < row->count; i++) {
        if (!row->seats[i].target) continue;
        ln_sub *sub = (ln_sub *)(void *)row->seats[i].sub;
        ln_session *s = sub->session;
        if (ln_publication_skips(p, ln_session_self(s), ln_slice_of(s->client, s->client_size))) {
            ln_sub_skip(sub, p->at.offset, 1);
            continue;
        }
        ln_rendering *r = form_for(s, p, f);
        if (!r) {
            ln_conn_fail(s->conn, LINNET_ERR_NOMEM);
            continue;
        }
        if (slow && !ln_slow_room(sub, p, r)) continue;
        if (sub->skipped) row->owed--;
        ln_sub_say_skipped(sub);
        if (ln_conn_queue(s->conn, r) == LINNET_ERR_NOMEM) ln_conn_fail(s->conn, LINNET_ERR_NOMEM);
    }
}

static void on_deliver(void *ctx, ln_row *row, const ln_publication *p) {
    ln_rendering *r = render(ctx, ln_dialects[row->user], p);
    if (!r) {
        ln_fan_fail(row);
        return;
    }
    if (p->flags & LN_PUB_VOLATILE) r->flags |= LN_RENDERING_SPARE;
    ln_slow slow = ln_slow_of(row, p, ((const ln_sessions *)ctx)->hub->key, r);
    forms f = { .text = r };
    f.are_bytes = row->user == LN_USER_NATIVE && ln_bytes_are(ln_publication_data(p));
    if (row->owed || slow || ln_publication_picky(p) || f.are_bytes)
        fan_choosy(row, p, &f, slow);
    else
        ln_fan_out(row, r);
    ln_rendering_unref(r);
    if (f.bytes) ln_rendering_unref(f.bytes);
}

/* Whether all in the row get all of it, and can take it as one. */
static bool is_plain(const ln_row *row, ln_publication *const *items, uint32_t count) {
    if (!ln_dialects[row->user]->arrays || row->owed || ln_slow_any(row)) return false;
    for (uint32_t i = 0; i < count; i++)
        if (ln_publication_picky(items[i]) || ln_bytes_are(ln_publication_data(items[i])))
            return false;
    return true;
}

/* An array of them. A full queue may drop it without a word if it may do so with each. */
static ln_rendering *render_all(
    ln_sessions *n, const ln_dialect *d, ln_publication *const *items, uint32_t count) {
    ln_buf *out = &n->out;
    ln_rendering *r = NULL;
    uint8_t spare = LN_RENDERING_SPARE;
    int err = LINNET_OK;
    for (uint32_t i = 0; i < count && err == LINNET_OK; i++) {
        err = ln_buf_add_byte(out, i ? ',' : '[');
        if (err == LINNET_OK) err = d->message(out, items[i]);
        if (!(items[i]->flags & LN_PUB_VOLATILE)) spare = 0;
    }
    if (err == LINNET_OK) err = ln_buf_add_byte(out, ']');
    if (err == LINNET_OK) r = ln_rendering_of(LN_OP_TEXT, ln_buf_slice(out));
    if (r) r->flags |= spare;
    ln_scratch_clear(out);
    return r;
}

static void on_batch(void *ctx, ln_row *row, ln_publication *const *items, uint32_t count) {
    if (!is_plain(row, items, count)) {
        for (uint32_t i = 0; i < count; i++)
            on_deliver(ctx, row, items[i]);
        return;
    }
    ln_rendering *r = render_all(ctx, ln_dialects[row->user], items, count);
    if (!r) {
        ln_fan_fail(row);
        return;
    }
    ln_fan_out(row, r);
    ln_rendering_unref(r);
}

static void say_aside(void *ctx, ln_row *row, const ln_publication *p) {
    if (p->flags & LN_PUB_RETRACTED)
        ln_retract_aside(ctx, row, p);
    else
        ln_state_aside(ctx, row, p);
}

static void on_aside(void *ctx, ln_row *row, const ln_publication *p) {
    if (p->space == LN_SPACE_PRESENCE)
        ln_watch_aside(ctx, row, p);
    else
        say_aside(ctx, row, p);
}

/* Of a number, STATE: it is not its turn; CANCELLED, of whatever publication: it may be in the log,
 * or not. */
static ln_native_code publish_code(int err) {
    if (err == LINNET_ERR_STATE) return LN_NATIVE_OUT_OF_ORDER;
    if (err == LINNET_ERR_CANCELLED) return LN_NATIVE_OUTCOME_UNKNOWN;
    return ln_session_code(err);
}

static void on_published(void *ctx, const ln_publication *p) {
    ln_session *s = ln_session_of(ctx, p->who);
    if (!s) return;
    s->outstanding--;
    if (p->err < 0) {
        ln_native_error error = {
            .re = ln_publication_re(p),
            .channel = ln_publication_channel(p),
            .code = publish_code(p->err),
        };
        ln_session_error(s, &error);
    } else if (!(p->flags & LN_PUB_QUIET)) {
        ln_reply reply = {
            .verb = LN_VERB_PUBLISH,
            .re = ln_publication_re(p),
            .channel = ln_publication_channel(p),
            .at = p->at,
        };
        ln_session_ok(s, &reply);
    }
    ln_session_answered(s);
}

ln_hub_user ln_subs_user(ln_sessions *n) {
    return (ln_hub_user){
        .ctx = n,
        .deliver = on_deliver,
        .subscribed = on_subscribed,
        .published = on_published,
        .reset = on_reset,
        .left = on_left,
        .aside = on_aside,
        .entered = ln_place_answered,
        .queried = ln_inquiry_answered,
        .page = ln_history_page,
        .replay = ln_recover_page,
        .lost = ln_recover_lost,
        .batch = on_batch,
        .taken = ln_resume_taken,
    };
}
