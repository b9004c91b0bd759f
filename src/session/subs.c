#include "base/mem.h"
#include "session/login.h"
#include "wire/bytes.h"

/* Subscriptions --------------------------------------------------------------------------- */

const ln_sub_more ln_sub_at_rest = { .name_size = 0 };

/* Of one that has none. NULL without memory. */
static ln_sub_more *more_new(ln_sub *sub, ln_slice channel, ln_slice re) {
    ln_sub_more *more = ln_malloc(sizeof *more + channel.size + re.size);
    if (!more) return NULL;
    *more = (ln_sub_more){ .name_size = (uint8_t)channel.size, .re_size = (uint8_t)re.size };
    if (channel.size) memcpy(more->bytes, channel.data, channel.size);
    if (re.size) memcpy(more->bytes + channel.size, re.data, re.size);
    sub->more = more;
    return more;
}

ln_sub_more *ln_sub_own(ln_sub *sub) {
    if (sub->more != &ln_sub_at_rest) return (ln_sub_more *)(uintptr_t)sub->more;
    return more_new(sub, LN_SLICE(""), LN_SLICE(""));
}

static void more_free(ln_sub *sub) {
    if (sub->more == &ln_sub_at_rest) return;
    ln_free((ln_sub_more *)(uintptr_t)sub->more);
    sub->more = &ln_sub_at_rest;
}

void ln_sub_settle(ln_sub *sub) {
    const ln_sub_more *more = sub->more;
    bool moves = !ln_subscription_joined(&sub->s) || more->behind || more->paging;
    bool keeps = more->watch || more->expires || more->until || more->skipped || more->typed;
    if (!moves && !keeps) more_free(sub);
}

static void append(ln_session *s, ln_sub *sub) {
    if (s->subs)
        s->last_sub->next = sub;
    else
        s->subs = sub;
    s->last_sub = sub;
}

static void cut_out(ln_session *s, const ln_sub *sub) {
    ln_sub *before = NULL, **at = &s->subs;
    for (; *at != sub; at = &before->next)
        before = *at;
    *at = sub->next;
    if (s->last_sub == sub) s->last_sub = before;
}

static ln_sub *sub_new(ln_session *s, const ln_native_command *c) {
    ln_sub *sub = ln_pool_get(&s->node->subs);
    if (!sub) return NULL;
    *sub = (ln_sub){ .session = s, .more = &ln_sub_at_rest };
    ln_sub_more *more = more_new(sub, c->channel, c->id);
    if (!more) {
        ln_pool_put(&s->node->subs, sub);
        return NULL;
    }
    more->recover = (ln_position){ c->recover_epoch, c->recover_offset };
    more->recovers = c->recover;
    ln_subscription_init(&sub->s, s->dialect, s->conn);
    append(s, sub);
    if (s->sub_count++ == 0) ln_conn_batch(s->conn, true);
    return sub;
}

static ln_row *row_of(const ln_sub *sub) {
    return ln_channel_row(sub->s.channel, &sub->s);
}

void ln_sub_free(ln_sub *sub) {
    ln_session *s = sub->session;
    ln_sub_away(sub);
    if (sub->more->skipped && ln_subscription_joined(&sub->s)) row_of(sub)->owed--;
    if (ln_sub_leaves(sub)) s->leaving--;
    ln_hub_unsubscribe(s->node->hub, &sub->s);
    cut_out(s, sub);
    ln_recover_end(sub);
    if (--s->sub_count == 0) ln_conn_batch(s->conn, false);
    more_free(sub);
    ln_pool_put(&s->node->subs, sub);
}

ln_sub *ln_sub_find(const ln_session *s, ln_slice channel) {
    const ln_channel *c = ln_hub_find(s->node->hub, LN_SPACE_CHANNELS, channel);
    if (!c && !s->entering) return NULL;
    for (ln_sub *sub = s->subs; sub; sub = sub->next) {
        if (c && sub->s.channel == c) return sub;
        if (sub->more->entering && ln_slice_eq(ln_sub_name(sub), channel)) return sub;
    }
    return NULL;
}

const ln_sub *ln_sub_last(const ln_session *s) {
    const ln_sub *last = NULL;
    for (const ln_sub *sub = s->subs; sub; sub = sub->next) {
        ln_slice name = ln_sub_name(sub);
        bool own = ln_sub_pushed(sub) && name.size &&
                   name.data[0] == '@'; /* nobody has joined it */
        if (!ln_sub_leaves(sub) && !own) last = sub;
    }
    return last;
}

int ln_sub_join(ln_sub *sub) {
    if (sub->more->recovers && sub->s.user == LN_USER_NATIVE) return ln_recover_begin(sub);
    ln_hub *hub = sub->session->node->hub;
    return ln_hub_subscribe(hub, &sub->s, LN_SPACE_CHANNELS, ln_sub_name(sub));
}

void ln_sub_tell(ln_session *s, ln_sub *sub) {
    char grant[LN_GRANT_TEXT];
    const ln_sub_more *more = sub->more;
    ln_reply reply = {
        .verb = LN_VERB_SUBSCRIBE,
        .re = ln_sub_re(sub),
        .channel = ln_sub_name(sub),
        .at = ln_subscription_at(&sub->s),
        .class = sub->s.channel->class,
        .recover = more->recovers,
        .pushed = ln_sub_pushed(sub) || more->resumed,
        .grant = ln_resume_grant(sub, grant),
    };
    /* Without a replay (recover.c) only who has missed nothing has recovered. */
    reply.recovered = more->recovers && reply.at.epoch && more->recover.epoch == reply.at.epoch &&
                      more->recover.offset == reply.at.offset;
    if (more->recovers) ln_stat_add(reply.recovered ? &s->node->recovered : &s->node->lost, 1);
    if (ln_heard(s)) ln_hear_sub(s, LN_HEARD_SUBSCRIBE, ln_sub_name(sub), 0);
    ln_watch_say(sub, &reply);
    ln_session_ok(s, &reply);
    ln_watch_open(sub);
    ln_keys_begin(sub);
    ln_sub_settle(sub);
}

void ln_sub_unanswered(ln_session *s, const ln_sub *sub, const char *why) {
    if (ln_subscription_joined(&sub->s) || sub->more->quiet || sub->more->behind) return;
    s->outstanding--;
    if (!sub->more->re_size) return;
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
    if (sub->more->quiet) { /* it was in the channel before, and is again, or not */
        ln_sub_own(sub)->quiet = false;
        if (err < 0)
            ln_conn_fail(s->conn, err);
        else
            ln_sub_settle(sub);
        return;
    }
    s->outstanding--;
    ln_recover_end(sub);
    bool pushed = sub->more->resumed || (ln_sub_placed(sub) && !sub->more->re_size);
    if (err < 0 && pushed) { /* no request of the client's waits for it */
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

int ln_sub_make(ln_session *s, const ln_native_command *c, const ln_sub_how *how) {
    ln_sub *sub = sub_new(s, c);
    if (!sub) return LINNET_ERR_NOMEM;
    ln_sub_more *more = ln_sub_own(sub); /* it has one */
    sub->s.mark = how->mark;
    more->resumed = how->resumed;
    more->expires = how->expires;
    more->until = how->until;
    if (how->expires) ln_login_watch(s);
    int err = ln_sub_begin(sub, c->presence);
    if (err < 0)
        ln_sub_free(sub);
    else if (err == LN_PENDING)
        s->outstanding++;
    else
        ln_sub_tell(s, sub);
    return err < 0 ? err : LINNET_OK;
}

int ln_sub_place(ln_session *s, ln_slice channel) {
    const ln_native_command c = { .verb = LN_VERB_SUBSCRIBE, .channel = channel };
    const ln_sub_how how = { .mark = LN_SUB_PUSHED | LN_SUB_PLACED };
    uint32_t count = s->sub_count - s->leaving;
    ln_sub *there = ln_sub_find(s, channel);
    s->placed = true;
    if (there) {
        there->s.mark |= LN_SUB_PLACED;
        if (ln_sub_leaves(there)) there->s.mark |= LN_SUB_AGAIN;
        return LINNET_OK;
    }
    if (s->limits->channels_max && count >= s->limits->channels_max) return LINNET_ERR_LIMIT;
    return ln_sub_make(s, &c, &how);
}

/* It is to be in its channel anew. What cannot be told is not: the program has asked long ago. */
static void place_again(ln_sub *sub, ln_slice channel) {
    ln_session *s = sub->session;
    uint8_t bytes[LN_CHANNEL_NAME_MAX];
    size_t size = channel.size;
    memcpy(bytes, channel.data, size);
    ln_sub_free(sub);
    if (!s->closed) ln_sub_place(s, ln_slice_of(bytes, size));
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
    if (sub->s.mark & LN_SUB_AGAIN)
        place_again(sub, ln_sub_name(sub));
    else
        ln_sub_free(sub);
    ln_session_answered(s);
}

/* The channel starts anew. Who can be told is told, and comes back when he likes; who cannot is
 * simply put back. */
static void on_reset(void *ctx, ln_subscription *ls, ln_slice channel) {
    ln_sessions *n = ctx;
    ln_sub *sub = (ln_sub *)(void *)ls;
    ln_session *s = sub->session;
    if (sub->more->skipped) ln_sub_own(sub)->skipped = 0;
    if (ln_session_dialect(s)->skips) {
        ln_session_say(
            s, ln_native_put_unsubscribed(&n->out, channel, LN_NATIVE_UNRECOVERABLE_POSITION));
        if (ln_sub_placed(sub)) /* it could not come back by itself */
            place_again(sub, channel);
        else
            ln_sub_free(sub);
        return;
    }
    ln_sub_more *more = ln_sub_own(sub);
    int err = LINNET_ERR_NOMEM;
    if (more) err = ln_hub_subscribe(n->hub, &sub->s, LN_SPACE_CHANNELS, channel);
    if (err < 0)
        ln_conn_fail(s->conn, err);
    else if (err == LN_PENDING)
        more->quiet = true;
    else
        ln_sub_settle(sub);
}

/* Fan-out --------------------------------------------------------------------------------- */

static ln_rendering *render(ln_sessions *n, const ln_dialect *d, const ln_publication *p) {
    ln_rendering *r = NULL;
    if (d->message(&n->out, p) == LINNET_OK) r = ln_rendering_of(LN_OP_TEXT, ln_buf_slice(&n->out));
    if (r && d->arrays) r->flags |= LN_RENDERING_ITEM;
    ln_scratch_clear(&n->out);
    return r;
}

/* A note, so that a policy that drops what stands around it can put it where it belongs. */
void ln_sub_say_skipped(ln_sub *sub) {
    ln_session *s = sub->session;
    if (!sub->more->skipped) return;
    ln_rendering *r = ln_slow_note(sub);
    if (!r || ln_conn_queue(s->conn, r) == LINNET_ERR_NOMEM)
        ln_conn_fail(s->conn, LINNET_ERR_NOMEM);
    if (r) ln_rendering_unref(r);
    ln_sub_own(sub)->skipped = 0;
    ln_sub_own(sub)->lagged = false;
    ln_sub_settle(sub);
}

void ln_sub_skip(ln_sub *sub, uint64_t offset, uint32_t count, bool lagged) {
    if (!offset || !ln_session_dialect(sub->session)->skips) return;
#if defined(LN_PLANT) && LN_PLANT == 12 /* tests/sim: nobody is told */
    return;
#endif
    ln_sub_more *more = ln_sub_own(sub);
    if (!more) {
        ln_conn_fail(sub->session->conn, LINNET_ERR_NOMEM); /* nobody would see the hole */
        return;
    }
    if (more->skipped == 0) row_of(sub)->owed++;
    more->skipped += count;
    more->lagged |= lagged;
    if (more->skipped == count || offset > more->skipped_to) more->skipped_to = offset;
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
            ln_sub_skip(sub, p->at.offset, 1, false);
            continue;
        }
        ln_rendering *r = form_for(s, p, f);
        if (!r) {
            ln_conn_fail(s->conn, LINNET_ERR_NOMEM);
            continue;
        }
        if (slow && !ln_slow_room(sub, p, r)) continue;
        if (sub->more->skipped) row->owed--;
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
#if defined(LN_PLANT) && LN_PLANT == 30 /* tests/sim: what is not for all is for none of them */
    if (row->user != LN_USER_NATIVE && ln_publication_picky(p)) {
        ln_rendering_unref(r);
        return;
    }
#endif
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
            .vain = p->err == LINNET_ERR_UNSUPPORTED,
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
