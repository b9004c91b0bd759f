/* Who is in a channel, for sessions: being a member while one is subscribed, hearing who comes and
 * goes, the verb `presence`.
 *
 * Who subscribes to a channel whose members are kept enters on the same road, ahead of his
 * interest, so that he is a member when he is told that he is in. Who wants to hear of the others
 * listens before that, and asks for the list; in linnet.v1 it belongs into the answer to the
 * subscribe, which goes to the channel only then, so that no message stands before its answer:
 *
 *     begin: listen, enter ──the list──> proceed: subscribe ──joined──> ok with the list, open
 *
 * Diffs that come between the list and the answer are held back until then.
 */
#include "base/mem.h"
#include "session/inner.h"
#include <assert.h>

#define HELD_MAX 32 /* diffs; one comes in 100 ms */

typedef enum watch_state {
    WATCH_JOINING, /* on its way to the channel's presence */
    WATCH_LISTING, /* has asked for the list; what was told before is in there */
    WATCH_HOLDING, /* has it, but has not said so */
    WATCH_OPEN
} watch_state;

struct ln_watch {
    ln_subscription s; /* the first member; in LN_SPACE_PRESENCE */
    ln_sub *sub;
    ln_roll roll;
    ln_buf page; /* the list, until it is said */
    ln_rendering *held[HELD_MAX];
    uint8_t held_count;
    uint8_t state; /* watch_state */
    bool said;     /* the subscription is answered */
};

/* What is said ---------------------------------------------------------------------------- */

void ln_attendees_put(ln_json_writer *w, ln_slice packed, bool left) {
    ln_json_open(w, '[');
    for (ln_attendee a; ln_attendee_next(&packed, &a);) {
        if (a.left != left) continue;
        ln_json_open(w, '{');
        ln_json_key(w, "client");
        ln_json_str(w, a.client);
        if (a.user.size) {
            ln_json_key(w, "user");
            ln_json_str(w, a.user);
        }
        if (a.info.size) {
            ln_json_key(w, "info");
            ln_json_raw(w, a.info);
        }
        ln_json_key(w, "ref");
        ln_json_u64(w, a.ref);
        ln_json_close(w, '}');
    }
    ln_json_close(w, ']');
}

void ln_diff_put(ln_json_writer *w, ln_slice packed) {
    ln_json_key(w, "joins");
    ln_attendees_put(w, packed, false);
    ln_json_key(w, "leaves");
    ln_attendees_put(w, packed, true);
}

void ln_roll_put(ln_json_writer *w, const char *key, const ln_roll *roll, ln_slice page) {
    ln_json_key(w, key);
    ln_attendees_put(w, page, false);
    ln_json_key(w, "count");
    ln_json_u64(w, roll->members);
    ln_json_key(w, "users");
    ln_json_u64(w, roll->users);
    if (!roll->next) return;
    ln_json_key(w, "next");
    ln_json_u64(w, roll->next);
}

/* Entering -------------------------------------------------------------------------------- */

static ln_watch *watch_new(ln_sub *sub) {
    ln_session *s = sub->session;
    ln_watch *w = ln_calloc(1, sizeof *w);
    if (!w) return NULL;
    ln_subscription_init(&w->s, s->dialect, s->conn);
    ln_buf_init(&w->page, LN_BUF_MAX);
    w->sub = sub;
    return w;
}

static void watch_free(ln_watch *w) {
    ln_hub_unsubscribe(w->sub->session->node->hub, &w->s);
    for (uint32_t i = 0; i < w->held_count; i++)
        ln_rendering_unref(w->held[i]);
    ln_buf_fini(&w->page);
    ln_free(w);
}

/* The list that it waited for is there, or not. */
static void proceed(ln_sub *sub, int err) {
    ln_session *s = sub->session;
    ln_sub_own(sub)->entering = false;
    s->entering--;
    if (err >= 0) err = ln_sub_join(sub);
    if (err == LN_PENDING)
        ln_session_answered(s); /* what was to come behind it */
    else
        ln_sub_joined(sub, err);
}

/* It cannot be what it was to be: there is no room for a member, or for one who listens. */
static void give_up(ln_sub *sub, int err) {
    ln_session *s = sub->session;
    if (ln_sub_leaves(sub)) return; /* it would not be for long */
    if (sub->more->entering) {
        proceed(sub, err);
    } else if (!ln_subscription_joined(&sub->s) && !sub->more->quiet && !sub->more->behind) {
        ln_sub_joined(sub, err);
    } else if (ln_session_dialect(s)->plain) {
        ln_native_error error = { .channel = ln_sub_name(sub), .code = ln_session_code(err) };
        ln_session_say(s, ln_session_dialect(s)->error(&s->node->out, &error));
        ln_sub_free(sub);
    } else {
        ln_session_say(
            s, ln_native_put_unsubscribed(&s->node->out, ln_sub_name(sub), ln_session_code(err)));
        ln_sub_free(sub);
    }
}

/* Asks for the list, now that its place among the listeners is there. */
static int watch_list(ln_watch *w) {
    ln_session *s = w->sub->session;
    ln_inquiry_words words = { .channel = ln_sub_name(w->sub) };
    ln_inquiry *m = ln_inquiry_new(LN_INQUIRY_ROLL, &words);
    if (!m) return LINNET_ERR_NOMEM;
    m->who = ln_session_handle(s);
    m->user = s->dialect;
    m->begins = true;
    m->roll = (ln_roll){ .limit = LN_PRESENCE_PAGE_MAX, .told = true };
    w->state = WATCH_LISTING;
    ln_hub_query(s->node->hub, m);
    return LINNET_OK;
}

void ln_watch_joined(ln_subscription *ls, int err) {
    ln_watch *w = (ln_watch *)(void *)ls;
    if (err >= 0) err = watch_list(w);
    if (err < 0) give_up(w->sub, err);
}

static int watch_begin(ln_sub *sub) {
    ln_watch *w = ln_sub_own(sub)->watch = watch_new(sub);
    if (!w) return LINNET_ERR_NOMEM;
    ln_hub *hub = sub->session->node->hub;
    int err = ln_hub_subscribe(hub, &w->s, LN_SPACE_PRESENCE, ln_sub_name(sub));
    return err == LN_DONE ? watch_list(w) : err;
}

static int enter(ln_sub *sub) {
    ln_session *s = sub->session;
    ln_arrival a = { .client = ln_slice_of(s->client, s->client_size),
        .user = ln_session_user(s),
        .info = ln_session_info(s) };
    if (a.info.size > LN_PRESENCE_INFO_MAX) a.info = LN_SLICE(""); /* too much to tell all */
    memcpy(a.chain, s->chain, sizeof a.chain);
    sub->place = ln_place_new(ln_sub_name(sub), &a, s->dialect, &sub->place);
    if (!sub->place) return LINNET_ERR_NOMEM;
    ln_hub_enter(s->node->hub, sub->place);
    return LINNET_OK;
}

int ln_sub_begin(ln_sub *sub, bool watch) {
    ln_session *s = sub->session;
    ln_hub *hub = s->node->hub;
    int err = LINNET_OK;
    if (ln_hub_presence(hub, ln_sub_name(sub))) {
        if (watch) err = watch_begin(sub); /* first, so that all hear of their own coming */
        if (err >= 0) err = enter(sub);
        if (err < 0) return err;
        if (watch && !ln_session_dialect(s)->plain) { /* the list belongs into its answer */
            ln_sub_own(sub)->entering = true;
            s->entering++;
            return LN_PENDING;
        }
    }
    return ln_sub_join(sub);
}

void ln_sub_away(ln_sub *sub) {
    ln_session *s = sub->session;
    if (sub->more->entering) s->entering--;
    if (sub->place) ln_hub_part(s->node->hub, sub->place, s->lost);
    if (sub->more->watch) watch_free(sub->more->watch);
}

void ln_place_answered(void *ctx, ln_place *m) {
    (void)ctx;
    ln_sub *sub = (ln_sub *)(void *)((char *)m->keeper - offsetof(ln_sub, place));
    if (m->err >= 0) return;
    int err = m->err;
    sub->place = NULL;
    ln_free(m);
    give_up(sub, err);
}

/* Hearing --------------------------------------------------------------------------------- */

void ln_watch_say(const ln_sub *sub, ln_reply *reply) {
    const ln_watch *w = sub->more->watch;
    if (!w) return;
    reply->roll = &w->roll;
    reply->page = ln_buf_slice(&w->page);
}

static void open(ln_watch *w) {
    ln_session *s = w->sub->session;
    const ln_dialect *d = ln_session_dialect(s);
    if (d->plain && d->presence)
        ln_session_say(s, d->presence(&s->node->out, ln_sub_name(w->sub), ln_buf_slice(&w->page),
                              ln_hub_wall(s->node->hub)));
    ln_buf_fini(&w->page);
    w->state = WATCH_OPEN;
    for (uint32_t i = 0; i < w->held_count; i++) {
        ln_slice text = ln_slice_of(ln_rendering_payload(w->held[i]), w->held[i]->size);
        int err = ln_conn_send(s->conn, LN_OP_TEXT, text);
        if (err == LINNET_ERR_NOMEM) ln_conn_fail(s->conn, err);
        ln_rendering_unref(w->held[i]);
    }
    w->held_count = 0;
}

void ln_watch_open(ln_sub *sub) {
    ln_watch *w = sub->more->watch;
    if (!w) return;
    w->said = true;
    if (w->state == WATCH_HOLDING) open(w);
}

static void hear(ln_watch *w, ln_rendering *r) {
    ln_session *s = w->sub->session;
    if (w->state == WATCH_OPEN) {
        if (ln_conn_queue(s->conn, r) == LINNET_ERR_NOMEM) ln_conn_fail(s->conn, LINNET_ERR_NOMEM);
    } else if (w->state == WATCH_HOLDING) {
        if (w->held_count == HELD_MAX)
            ln_session_end(s, 3010, "presence went ahead of its subscription");
        else
            w->held[w->held_count++] = ln_rendering_ref(r);
    }
}

void ln_watch_aside(ln_sessions *n, ln_row *row, const ln_publication *p) {
    const ln_dialect *d = ln_dialects[row->user];
    if (!d->presence) return;
    ln_rendering *r = NULL;
    if (d->presence(&n->out, ln_publication_channel(p), ln_publication_data(p), p->ts) == LINNET_OK)
        r = ln_rendering_of(LN_OP_TEXT, ln_buf_slice(&n->out));
    ln_scratch_clear(&n->out);
    if (!r) {
        ln_fan_fail(row);
        return;
    }
    if (d->arrays) r->flags |= LN_RENDERING_ITEM;
    for (uint32_t i = 0; i < row->count; i++)
        if (row->seats[i].target) hear((ln_watch *)(void *)row->seats[i].sub, r);
    ln_rendering_unref(r);
}

/* The verb -------------------------------------------------------------------------------- */

static void ask(ln_session *s, const ln_native_command *c, ln_inquiry_what what,
    const ln_place *place, ln_slice data) {
    ln_inquiry_words words = { .channel = c->channel, .re = c->id, .data = data };
    ln_inquiry *m = ln_inquiry_new(what, &words);
    if (!m) {
        ln_session_refuse_err(s, c, LINNET_ERR_NOMEM);
        return;
    }
    m->who = ln_session_handle(s);
    m->user = s->dialect;
    if (place) m->owner = place->owner;
    memcpy(m->chain, s->chain, sizeof m->chain);
    m->roll = (ln_roll){ .after = c->after,
        .limit = c->keys & LN_KEY_LIMIT ? c->limit : LN_PRESENCE_PAGE_MAX };
    s->outstanding++;
    ln_hub_query(s->node->hub, m);
}

static void update(ln_session *s, const ln_native_command *c) {
    const ln_sub *sub = ln_sub_find(s, c->channel);
    if (!sub || !sub->place || sub->more->entering)
        ln_session_refuse(s, c, LN_NATIVE_NOT_SUBSCRIBED, NULL);
    else if (c->data.size > LN_PRESENCE_INFO_MAX)
        ln_session_refuse(s, c, LN_NATIVE_PAYLOAD_TOO_LARGE, "an info has at most 4 KiB");
    else
        ask(s, c, LN_INQUIRY_INFO, sub->place,
            ln_slice_eq(c->data, LN_SLICE("null")) ? LN_SLICE("") : c->data);
}

/* Who is just coming in is a subscriber. */
static int may(const ln_session *s, const ln_native_command *c) {
    const ln_namespace *space = ln_namespace_of(s->node->hub->homes.namespaces, c->channel);
    if (c->verb == LN_VERB_SUBSCRIBE && space->allow[LN_ACT_PRESENCE] == LN_RULE_SUBSCRIBERS)
        return LINNET_OK;
    return ln_session_may(s, LN_ACT_PRESENCE, c->channel);
}

int ln_session_may_see(const ln_session *s, const ln_native_command *c) {
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, c->channel);
    if (err == LINNET_OK) err = may(s, c);
    if (err < 0) return err;
    return ln_hub_presence(s->node->hub, c->channel) ? LINNET_OK : LINNET_ERR_UNSUPPORTED;
}

bool ln_session_present(ln_session *s, const ln_native_command *c) {
    int err = ln_session_may_see(s, c);
    if (err == LINNET_ERR_UNSUPPORTED)
        ln_session_refuse(s, c, LN_NATIVE_PERMISSION_DENIED, "who is in this channel is not kept");
    else if (err < 0)
        ln_session_refuse_err(s, c, err);
    return err == LINNET_OK;
}

void ln_session_presence(ln_session *s, const ln_native_command *c) {
    if (!ln_session_present(s, c)) return;
    if (c->data.size)
        update(s, c);
    else
        ask(s, c, LN_INQUIRY_ROLL, NULL, LN_SLICE(""));
}

/* The list a subscription waits for. */
static void listed(ln_session *s, ln_inquiry *m) {
    ln_sub *sub = ln_sub_find(s, ln_inquiry_channel(m));
    ln_watch *w = sub ? sub->more->watch : NULL;
    if (!w || w->state != WATCH_LISTING) return; /* it has gone, and perhaps come back */
    w->roll = m->roll;
    w->page = m->page;
    ln_buf_init(&m->page, LN_BUF_MAX);
    w->state = WATCH_HOLDING;
    if (m->err < 0)
        give_up(sub, m->err);
    else if (w->said)
        open(w);
    else if (sub->more->entering)
        proceed(sub, LINNET_OK);
}

void ln_inquiry_answered(void *ctx, ln_inquiry *m) {
    ln_session *s = ln_session_of(ctx, m->who);
    if (!s) return;
    if (m->begins) {
        listed(s, m);
        return;
    }
    if (m->what == LN_INQUIRY_KEYS) {
        ln_keys_listed(s, m);
        return;
    }
    s->outstanding--;
    if (m->err < 0) {
        ln_native_error error = { .re = ln_inquiry_re(m),
            .channel = ln_inquiry_channel(m),
            .code = m->err == LINNET_ERR_NOT_FOUND ? LN_NATIVE_NOT_SUBSCRIBED
                                                   : ln_session_code(m->err) };
        ln_session_error(s, &error);
    } else {
        ln_reply reply = {
            .verb = LN_VERB_PRESENCE, .re = ln_inquiry_re(m), .channel = ln_inquiry_channel(m)
        };
        if (m->what == LN_INQUIRY_ROLL) reply.roll = &m->roll;
        reply.page = ln_buf_slice(&m->page);
        ln_session_ok(s, &reply);
    }
    ln_session_answered(s);
}
