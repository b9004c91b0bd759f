#include "session/session.h"
#include "base/mem.h"
#include "session/fan.h"
#include <assert.h>

#define SLOTS_MAX    (1u << 24)
#define BEATS        64 /* seconds */
#define SCRATCH_KEEP (64u * 1024)
#define TOKEN        1000 /* of the bucket, so that milliseconds count */

/* A subscription of a session. Freed when it leaves its channel, and with the session. */
typedef struct ln_sub {
    ln_subscription s; /* the first member */
    ln_list node;      /* in session->subs */
    ln_session *session;
    ln_position recover;  /* where the client says it stands */
    uint64_t skipped_to;  /* what was left out since the last message: up to this offset, */
    uint32_t skipped;     /* so many */
    bool recovers, quiet; /* it asked; nobody waits for the answer */
    uint8_t name_size, re_size;
    uint8_t bytes[]; /* name, re */
} ln_sub;

struct ln_session {
    ln_sessions *node;
    ln_conn *conn;
    const ln_session_limits *limits;
    const ln_conn_config *plain; /* for the connection, see ln_session_options */
    ln_list subs;
    ln_list beat; /* in node->beats, or in node->gone */
    ln_buf held;  /* commands that wait: a length in four bytes, and so many bytes; again */
    uint32_t slot, generation;
    uint32_t sub_count, leaving, outstanding; /* `leaving` of sub_count are on their way out */
    uint64_t tokens;
    uint32_t filled;        /* ms, when the bucket was last */
    uint32_t errors, overs; /* since: */
    uint32_t window;        /* ms */
    uint8_t dialect;        /* ln_user, or LN_DIALECT_AUTO */
    uint8_t text;           /* ln_session_text */
    bool paused, closed;    /* waits for answers; nothing more is to be said */
    bool said;              /* it has published: what it leaves, it leaves behind that */
    uint8_t client_size;
    uint8_t client[];
};

typedef struct ln_session_slot {
    ln_session *session; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
} ln_session_slot;
#define NO_SLOT UINT32_MAX

static ln_slice sub_name(const ln_sub *sub) {
    return ln_slice_of(sub->bytes, sub->name_size);
}

static ln_slice sub_re(const ln_sub *sub) {
    return ln_slice_of(sub->bytes + sub->name_size, sub->re_size);
}

static uint32_t now_ms(const ln_session *s) {
    return (uint32_t)ln_hub_now(s->node->hub);
}

static const ln_dialect *dialect_of(const ln_session *s) {
    return ln_dialects[s->dialect == LN_DIALECT_AUTO ? LN_USER_NATIVE : s->dialect];
}

/* Slots ----------------------------------------------------------------------------------- */

static uint64_t handle_of(const ln_session *s) {
    return (uint64_t)s->node->self << 56 | (uint64_t)s->slot << 32 | s->generation;
}

static ln_session *session_of(const ln_sessions *n, uint64_t handle) {
    uint32_t slot = (uint32_t)(handle >> 32) & (SLOTS_MAX - 1);
    if (slot >= n->slot_count) return NULL;
    const ln_session_slot *at = &n->slots[slot];
    return at->generation == (uint32_t)handle ? at->session : NULL;
}

static int slot_take(ln_sessions *n, ln_session *s) {
    if (n->slot_free == NO_SLOT) {
        if (n->slot_count == SLOTS_MAX) return LINNET_ERR_LIMIT;
        if (n->slot_count == n->slot_capacity) {
            uint32_t capacity = n->slot_capacity ? n->slot_capacity * 2 : 64;
            ln_session_slot *slots = ln_realloc(n->slots, capacity * sizeof *slots);
            if (!slots) return LINNET_ERR_NOMEM;
            n->slots = slots;
            n->slot_capacity = capacity;
        }
        n->slots[n->slot_count] = (ln_session_slot){ .next_free = NO_SLOT };
        n->slot_free = n->slot_count++;
    }
    s->slot = n->slot_free;
    ln_session_slot *at = &n->slots[s->slot];
    n->slot_free = at->next_free;
    at->session = s;
    if (++at->generation == 0) at->generation = 1; /* a handle is never 0 */
    s->generation = at->generation;
    return LINNET_OK;
}

static void slot_give(ln_sessions *n, const ln_session *s) {
    n->slots[s->slot].session = NULL;
    n->slots[s->slot].next_free = n->slot_free;
    n->slot_free = s->slot;
}

/* Saying ---------------------------------------------------------------------------------- */

static void scratch_clear(ln_buf *b) {
    ln_buf_clear(b);
    if (b->capacity > SCRATCH_KEEP) ln_buf_fini(b);
}

/* Sends what a writer left in node->out, unless it failed. */
static void say(ln_session *s, int err) {
    ln_buf *out = &s->node->out;
    if (err == LINNET_OK && out->size) err = ln_conn_send(s->conn, LN_OP_TEXT, ln_buf_slice(out));
    if (err == LINNET_ERR_NOMEM || err == LINNET_ERR_TOO_BIG) ln_conn_fail(s->conn, err);
    scratch_clear(out);
}

/* With the dialects of strangers all that is about policy is 1008. */
static void close_for(ln_session *s, uint16_t code, const char *reason) {
    if (s->closed) return;
    s->closed = true;
    if (s->paused) ln_conn_resume(s->conn, LN_PAUSE_WAIT); /* for the peer's Close */
    s->paused = false;
    if (dialect_of(s)->plain) code = 1008;
    ln_conn_close(s->conn, code, ln_slice_str(reason));
}

/* A fault of the peer: counted, and too many of them end it. */
static void blame(ln_session *s, ln_native_code code) {
    const ln_session_limits *l = s->limits;
    ln_stat_add(&s->node->errors, 1);
    if (now_ms(s) - s->window >= l->errors_ms) {
        s->window = now_ms(s);
        s->errors = s->overs = 0;
    }
    if (code == LN_NATIVE_RATE_LIMITED)
        s->overs++;
    else
        s->errors++;
    if (!l->errors_max) return;
    if (s->overs > l->errors_max)
        close_for(s, 3009, "publishing too fast");
    else if (s->errors > l->errors_max)
        close_for(s, 3003, "too many errors");
}

static void refuse_full(ln_session *s, const ln_native_error *error) {
    say(s, dialect_of(s)->error(&s->node->out, error));
    blame(s, error->code);
}

static void refuse(
    ln_session *s, const ln_native_command *c, ln_native_code code, const char *message) {
    ln_native_error error = { .re = c->id, .code = code, .message = message };
    if (c->channel.size <= LN_CHANNEL_NAME_MAX) error.channel = c->channel;
    refuse_full(s, &error);
}

static ln_native_code code_of(int err) {
    switch (err) {
    case LINNET_ERR_INVAL: return LN_NATIVE_BAD_REQUEST;
    case LINNET_ERR_DENIED: return LN_NATIVE_PERMISSION_DENIED;
    case LINNET_ERR_LIMIT: return LN_NATIVE_LIMIT_EXCEEDED;
    case LINNET_ERR_TOO_BIG: return LN_NATIVE_PAYLOAD_TOO_LARGE;
    case LINNET_ERR_TIMEOUT: return LN_NATIVE_TIMEOUT;
    case LINNET_ERR_NOMEM: return LN_NATIVE_INTERNAL;
    default: return LN_NATIVE_NOT_AVAILABLE;
    }
}

static void refuse_err(ln_session *s, const ln_native_command *c, int err) {
    const char *message = NULL;
    if (err == LINNET_ERR_INVAL) message = "not a channel name";
    if (err == LINNET_ERR_DENIED) message = "this channel name is reserved";
    refuse(s, c, code_of(err), message);
}

static void ok(ln_session *s, const ln_reply *reply) {
    say(s, dialect_of(s)->ok(&s->node->out, reply));
}

static void ok_subscribed(ln_session *s, const ln_sub *sub) {
    ln_reply reply = {
        .verb = LN_VERB_SUBSCRIBE,
        .re = sub_re(sub),
        .channel = sub_name(sub),
        .at = ln_subscription_at(&sub->s),
        .class = sub->s.channel->class,
        .recover = sub->recovers,
    };
    /* Without replay only who has missed nothing has recovered. */
    reply.recovered = sub->recovers && reply.at.epoch && sub->recover.epoch == reply.at.epoch &&
                      sub->recover.offset == reply.at.offset;
    ok(s, &reply);
}

/* Subscriptions --------------------------------------------------------------------------- */

static ln_sub *sub_new(ln_session *s, const ln_native_command *c) {
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

static void sub_free(ln_sub *sub) {
    ln_session *s = sub->session;
    if (sub->skipped && sub->s.row) sub->s.row->owed--;
    if (sub->s.leaving) s->leaving--;
    ln_hub_unsubscribe(s->node->hub, &sub->s);
    ln_list_remove(&sub->node);
    if (--s->sub_count == 0) ln_conn_batch(s->conn, false);
    ln_free(sub);
}

static ln_sub *sub_find(const ln_session *s, ln_slice channel) {
    const ln_channel *c = ln_hub_find(s->node->hub, LN_SPACE_CHANNELS, channel);
    if (!c) return NULL;
    LN_LIST_FOREACH(node, &s->subs) {
        ln_sub *sub = ln_list_item(node, ln_sub, node);
        if (sub->s.channel == c) return sub;
    }
    return NULL;
}

static void answered(ln_session *s);

static void on_subscribed(void *ctx, ln_subscription *ls, int err) {
    (void)ctx;
    ln_sub *sub = (ln_sub *)(void *)ls;
    ln_session *s = sub->session;
    if (sub->quiet) { /* it was in the channel before, and is again, or not */
        sub->quiet = false;
        if (err < 0) ln_conn_fail(s->conn, err);
        return;
    }
    s->outstanding--;
    if (err < 0) {
        ln_native_error error = {
            .re = sub_re(sub), .channel = sub_name(sub), .code = code_of(err)
        };
        refuse_full(s, &error);
        sub_free(sub);
    } else {
        ok_subscribed(s, sub);
    }
    answered(s);
}

/* An unsubscribe that waited for what was published before it; note: its id. */
static void on_left(void *ctx, ln_subscription *ls, ln_slice note) {
    (void)ctx;
    ln_sub *sub = (ln_sub *)(void *)ls;
    ln_session *s = sub->session;
    s->outstanding--;
    s->leaving--; /* the hub has called it back already */
    ln_reply reply = { .verb = LN_VERB_UNSUBSCRIBE, .re = note, .channel = sub_name(sub) };
    ok(s, &reply);
    sub_free(sub);
    answered(s);
}

/* The channel starts anew. Who can be told is told, and comes back when he likes; who cannot is
 * simply put back. */
static void on_reset(void *ctx, ln_subscription *ls) {
    ln_sessions *n = ctx;
    ln_sub *sub = (ln_sub *)(void *)ls;
    ln_session *s = sub->session;
    sub->skipped = 0;
    if (dialect_of(s)->skips) {
        say(s,
            ln_native_put_unsubscribed(&n->out, sub_name(sub), LN_NATIVE_UNRECOVERABLE_POSITION));
        sub_free(sub);
        return;
    }
    int err = ln_hub_subscribe(n->hub, &sub->s, LN_SPACE_CHANNELS, sub_name(sub));
    if (err == LN_PENDING) sub->quiet = true;
    if (err < 0) ln_conn_fail(s->conn, err);
}

/* Fan-out --------------------------------------------------------------------------------- */

static ln_rendering *render(ln_sessions *n, const ln_dialect *d, const ln_publication *p) {
    ln_rendering *r = NULL;
    if (d->message(&n->out, p) == LINNET_OK) r = ln_rendering_of(LN_OP_TEXT, ln_buf_slice(&n->out));
    scratch_clear(&n->out);
    return r;
}

static void say_skipped(ln_session *s, ln_row *row, ln_sub *sub) {
    say(s,
        ln_native_put_skip(&s->node->out, sub_name(sub), sub->skipped_to, sub->skipped, "except"));
    sub->skipped = 0;
    row->owed--;
}

static void skip(ln_row *row, ln_sub *sub, const ln_publication *p) {
    if (!p->at.offset || !dialect_of(sub->session)->skips) return;
    if (sub->skipped++ == 0) row->owed++;
    sub->skipped_to = p->at.offset;
}

/* The slow way, when somebody may be left out or is owed word of it. */
static void fan_choosy(ln_row *row, const ln_publication *p, ln_rendering *r) {
    for (uint32_t i = 0; i < row->count; i++) {
        if (!row->seats[i].target) continue;
        ln_sub *sub = (ln_sub *)(void *)row->seats[i].sub;
        ln_session *s = sub->session;
        if (ln_publication_skips(p, handle_of(s), ln_slice_of(s->client, s->client_size))) {
            skip(row, sub, p);
            continue;
        }
        if (sub->skipped) say_skipped(s, row, sub);
        if (ln_conn_queue(s->conn, r) == LINNET_ERR_NOMEM) ln_conn_fail(s->conn, LINNET_ERR_NOMEM);
    }
}

static void on_deliver(void *ctx, ln_row *row, const ln_publication *p) {
    ln_rendering *r = render(ctx, ln_dialects[row->user], p);
    if (!r) {
        ln_fan_fail(row);
        return;
    }
    if (row->owed || ln_publication_picky(p))
        fan_choosy(row, p, r);
    else
        ln_fan_out(row, r);
    ln_rendering_unref(r);
}

static void on_published(void *ctx, const ln_publication *p) {
    ln_session *s = session_of(ctx, p->who);
    if (!s) return;
    s->outstanding--;
    if (p->err < 0) {
        ln_native_error error = {
            .re = ln_publication_re(p),
            .channel = ln_publication_channel(p),
            .code = code_of(p->err),
        };
        refuse_full(s, &error);
    } else {
        ln_reply reply = {
            .verb = LN_VERB_PUBLISH,
            .re = ln_publication_re(p),
            .channel = ln_publication_channel(p),
            .at = p->at,
        };
        ok(s, &reply);
    }
    answered(s);
}

/* Commands -------------------------------------------------------------------------------- */

/* Behind an unsubscribe from the same channel that is under way. */
static bool must_wait(const ln_session *s, const ln_native_command *c) {
    if (c->verb != LN_VERB_SUBSCRIBE || !s->leaving) return false;
    const ln_sub *there = sub_find(s, c->channel);
    return there && there->s.leaving;
}

static void subscribe(ln_session *s, const ln_native_command *c) {
    const ln_sub *there = sub_find(s, c->channel);
    if (there) {
        /* Clients of other servers may repeat themselves: theirs kept a set. */
        if (!dialect_of(s)->plain)
            refuse(s, c, LN_NATIVE_ALREADY_SUBSCRIBED, NULL);
        else if (ln_subscription_joined(&there->s))
            ok_subscribed(s, there);
        return;
    }
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, c->channel);
    uint32_t count = s->sub_count - s->leaving;
    if (err == LINNET_OK && s->limits->channels_max && count >= s->limits->channels_max)
        err = LINNET_ERR_LIMIT;
    if (err < 0) {
        refuse_err(s, c, err);
        return;
    }
    ln_sub *sub = sub_new(s, c);
    if (!sub) {
        refuse_err(s, c, LINNET_ERR_NOMEM);
        return;
    }
    err = ln_hub_subscribe(s->node->hub, &sub->s, LN_SPACE_CHANNELS, c->channel);
    if (err < 0) {
        sub_free(sub);
        refuse_err(s, c, err);
        return;
    }
    if (err == LN_PENDING)
        s->outstanding++;
    else
        ok_subscribed(s, sub);
}

static void unsubscribe(ln_session *s, const ln_native_command *c) {
    ln_sub *sub = sub_find(s, c->channel);
    if (!sub || sub->s.leaving) {
        if (!dialect_of(s)->plain) refuse(s, c, LN_NATIVE_NOT_SUBSCRIBED, NULL);
        return;
    }
    if (s->said && ln_subscription_joined(&sub->s)) { /* it is to hear what it has said, and then */
        int err = ln_hub_leave(s->node->hub, &sub->s, c->id); /* no more once it is answered */
        if (err < 0) refuse_err(s, c, err);
        s->leaving += err >= 0;
        s->outstanding += err >= 0;
        return;
    }
    if (!ln_subscription_joined(&sub->s) && !sub->quiet) {
        s->outstanding--;
        if (sub->re_size) {
            ln_native_error error = { .re = sub_re(sub),
                .channel = sub_name(sub),
                .code = LN_NATIVE_NOT_SUBSCRIBED,
                .message = "an unsubscribe came behind it" };
            say(s, dialect_of(s)->error(&s->node->out, &error));
        }
    }
    sub_free(sub);
    ln_reply reply = { .verb = LN_VERB_UNSUBSCRIBE, .re = c->id, .channel = c->channel };
    ok(s, &reply);
}

/* True when the bucket had a token. Otherwise *wait_ms says when it will. */
static bool bucket_take(ln_session *s, uint32_t *wait_ms) {
    const ln_session_limits *l = s->limits;
    if (!l->publish_rate) return true;
    uint64_t full = (uint64_t)(l->publish_burst ? l->publish_burst : 1) * TOKEN;
    s->tokens += (uint64_t)(now_ms(s) - s->filled) * l->publish_rate;
    if (s->tokens > full) s->tokens = full;
    s->filled = now_ms(s);
    if (s->tokens >= TOKEN) {
        s->tokens -= TOKEN;
        return true;
    }
    *wait_ms = (uint32_t)((TOKEN - s->tokens + l->publish_rate - 1) / l->publish_rate);
    return false;
}

/* Packs `except` into node->packed. Names that nobody can have are left out. */
static int pack_except(ln_sessions *n, const ln_native_command *c) {
    ln_buf_clear(&n->packed);
    if (!(c->keys & LN_KEY_EXCEPT)) return LINNET_OK;
    ln_json_iter it = ln_json_iter_of(&c->except);
    ln_json_value key, item;
    while (ln_json_next(&it, &key, &item)) {
        uint32_t start = n->packed.size;
        int err = ln_buf_add_byte(&n->packed, 0);
        if (err == LINNET_OK) err = ln_json_unescape(&item, &n->packed);
        if (err < 0) return err;
        uint32_t size = n->packed.size - start - 1;
        if (size == 0 || size > LN_CLIENT_NAME_MAX)
            n->packed.size = start;
        else
            n->packed.data[n->packed.head + start] = (uint8_t)size;
    }
    return LINNET_OK;
}

static void publish(ln_session *s, const ln_native_command *c) {
    ln_sessions *n = s->node;
    uint32_t wait_ms = 0;
    if (!bucket_take(s, &wait_ms)) {
        ln_native_error error = { .re = c->id,
            .channel = c->channel,
            .code = LN_NATIVE_RATE_LIMITED,
            .retry_after_ms = wait_ms };
        if (c->channel.size > LN_CHANNEL_NAME_MAX) error.channel = LN_SLICE("");
        refuse_full(s, &error);
        return;
    }
    ln_publish what = {
        .channel = c->channel,
        .event = c->event,
        .data = c->data.size ? c->data : LN_SLICE("null"),
        .from = ln_slice_of(s->client, s->client_size),
        .re = c->id,
        .without = c->no_echo ? handle_of(s) : 0,
        .who = c->id.size ? handle_of(s) : 0,
        .user = dialect_of(s) == &ln_dialect_native ? LN_USER_NATIVE : s->dialect,
        .flags = c->is_volatile ? LN_PUB_VOLATILE : 0,
    };
    int err = pack_except(n, c);
    what.except = ln_buf_slice(&n->packed);
    if (err == LINNET_OK) err = ln_hub_publish(n->hub, &what);
    s->said = true;
    if (err < 0)
        refuse_err(s, c, err);
    else if (what.who)
        s->outstanding++;
    scratch_clear(&n->packed);
}

static void other(ln_session *s, const ln_native_command *c) {
    bool strict = s->dialect == LN_USER_NATIVE || s->dialect == LN_DIALECT_AUTO;
    if (!c->id.size && strict) {
        ln_stat_add(&s->node->unknown, 1);
        return;
    }
    refuse(s, c, LN_NATIVE_UNKNOWN_TYPE, NULL);
}

/* What stands in the way of a command that names a channel. */
static const char *lacking(const ln_session *s, const ln_native_command *c) {
    if (!c->channel.data) return "channel is missing";
    if (c->verb != LN_VERB_PUBLISH || s->dialect == LN_USER_CHANNEL) return NULL;
    return c->data.size ? NULL : "data is missing";
}

static void obey(ln_session *s, const ln_native_command *c) {
    const char *why;
    switch (c->verb) {
    case LN_VERB_PING: say(s, ln_native_put_pong(&s->node->out, c->id)); return;
    case LN_VERB_PONG:
    case LN_VERB_HEARTBEAT: return;
    case LN_VERB_AUTH:
    case LN_VERB_OTHER: other(s, c); return;
    case LN_VERB_SUBSCRIBE:
    case LN_VERB_UNSUBSCRIBE:
    case LN_VERB_PUBLISH: break;
    }
    if ((why = lacking(s, c))) {
        refuse(s, c, LN_NATIVE_BAD_REQUEST, why);
        return;
    }
    if (c->verb == LN_VERB_PUBLISH && (c->keys & (LN_KEY_SEQ | LN_KEY_KEY))) {
        /* To take it and not to keep its promise would be worse. */
        refuse(s, c, LN_NATIVE_NOT_AVAILABLE, "seq and key are not kept here");
        return;
    }
    if (c->verb == LN_VERB_SUBSCRIBE)
        subscribe(s, c);
    else if (c->verb == LN_VERB_UNSUBSCRIBE)
        unsubscribe(s, c);
    else
        publish(s, c);
}

static void beat_plan(ln_session *s, uint32_t in_ms);

static void decide(ln_session *s, uint8_t dialect) {
    s->dialect = dialect;
    if (dialect == LN_USER_NATIVE) beat_plan(s, s->limits->ping_ms);
    if (ln_dialects[dialect]->plain && s->plain) s->conn->config = s->plain;
}

/* Before a dialect is chosen: whose hand is it? False: it is answered, and nobody's. */
static bool choose(ln_session *s, const ln_native_command *c) {
    switch (ln_native_detect(c)) {
    case LN_HAND_NOBODY: return true;
    case LN_HAND_NATIVE: decide(s, LN_USER_NATIVE); return true;
    case LN_HAND_CHANNEL: decide(s, LN_USER_CHANNEL); return true;
    case LN_HAND_TOPIC: decide(s, LN_USER_TOPIC); return true;
    case LN_HAND_RPC:
    case LN_HAND_EVENT: break;
    }
    refuse(s, c, LN_NATIVE_NOT_AVAILABLE, "this dialect is not spoken here");
    return false;
}

/* In B, of all that is not about topics or heartbeats. */
static bool unheard_of(const ln_session *s, const ln_native_command *c) {
    return dialect_of(s)->unknown &&
           (c->verb == LN_VERB_OTHER || c->verb == LN_VERB_PUBLISH || c->verb == LN_VERB_AUTH);
}

static void hold(ln_session *s, ln_slice text, bool single);

static void command(ln_session *s, const ln_json_value *value) {
    if (s->closed) return;
    if (s->outstanding >= s->limits->outstanding_max || s->held.size) {
        hold(s, value->raw, true);
        return;
    }
    ln_sessions *n = s->node;
    ln_buf_clear(&n->scratch);
    ln_native_command c;
    const char *why = NULL;
    int err = ln_native_parse(value, &n->scratch, &c, &why);
    if (s->dialect == LN_DIALECT_AUTO && value->kind == LN_JSON_OBJECT && !choose(s, &c)) return;
    if (err >= 0 && must_wait(s, &c)) {
        hold(s, value->raw, true);
        return;
    }
    ln_stat_add(&n->commands, 1);
    if (unheard_of(s, &c))
        say(s, dialect_of(s)->unknown(&n->out, value->raw));
    else if (err < 0)
        refuse(s, &c, LN_NATIVE_BAD_REQUEST, why);
    else
        obey(s, &c);
}

static void batch(ln_session *s, const ln_json_value *list) {
    if (s->dialect == LN_DIALECT_AUTO) decide(s, LN_USER_NATIVE);
    ln_json_iter it = ln_json_iter_of(list);
    ln_json_value key, item;
    for (uint32_t count = 0; !s->closed && ln_json_next(&it, &key, &item); count++) {
        if (count < s->limits->commands_max) {
            command(s, &item);
            continue;
        }
        ln_native_command c;
        const char *why;
        ln_buf_clear(&s->node->scratch);
        ln_native_parse(&item, &s->node->scratch, &c, &why);
        refuse(s, &c, LN_NATIVE_LIMIT_EXCEEDED, "too many commands in one frame");
    }
}

/* Begins like JSON: an object or an array, behind white space or a byte order mark. */
static bool looks_like_json(ln_slice text) {
    if (ln_slice_starts(text, LN_SLICE("\xef\xbb\xbf"))) ln_slice_skip(&text, 3);
    while (text.size && (text.data[0] == ' ' || (text.data[0] >= 9 && text.data[0] <= 13)))
        ln_slice_skip(&text, 1);
    return text.size && (text.data[0] == '{' || text.data[0] == '[');
}

static void unparsable(ln_session *s, ln_slice text, int err) {
    if (s->dialect == LN_DIALECT_AUTO && !looks_like_json(text)) {
        if (s->text == LN_TEXT_ECHO) {
            ln_conn_send(s->conn, LN_OP_TEXT, text);
        } else {
            s->closed = true;
            ln_conn_fail(s->conn, LINNET_ERR_DATA_TYPE);
        }
        return;
    }
    bool deep = err == LINNET_ERR_LIMIT;
    ln_native_error error = { .code = LN_NATIVE_BAD_REQUEST,
        .message = deep ? "JSON too deep, or with too many keys" : "not JSON" };
    refuse_full(s, &error);
}

static void take_text(ln_session *s, ln_slice text, bool single) {
    ln_json_value top;
    int err = ln_json_check(text, &top);
    if (err < 0)
        unparsable(s, text, err);
    else if (top.kind == LN_JSON_ARRAY && !single && !dialect_of(s)->plain)
        batch(s, &top);
    else
        command(s, &top);
}

/* Waiting for answers --------------------------------------------------------------------- */

#define SINGLE (UINT32_C(1) << 31)

/* Keeps a text until answers have come; reading stops, so that it is not many. single: it is one
 * command, as it may have stood in an array, and no array of them. */
static void hold(ln_session *s, ln_slice text, bool single) {
    uint32_t size = (uint32_t)text.size | (single ? SINGLE : 0);
    if (!s->paused) {
        s->paused = true;
        ln_conn_pause(s->conn, LN_PAUSE_WAIT);
    }
    ln_stat_add(&s->node->held, 1);
    int err = ln_buf_reserve(&s->held, sizeof size + text.size);
    if (err == LINNET_ERR_TOO_BIG) {
        close_for(s, 3009, "too many commands at once");
    } else if (err < 0) {
        ln_conn_fail(s->conn, err);
    } else {
        ln_buf_add(&s->held, ln_slice_of(&size, sizeof size));
        ln_buf_add(&s->held, text);
    }
}

/* An answer has come. From half of the bound downwards there is room for what waits; what still
 * does not fit is kept again, in its order. */
static void answered(ln_session *s) {
    if (!s->paused || s->closed || s->outstanding > s->limits->outstanding_max / 2) return;
    ln_buf work = s->held;
    ln_buf_init(&s->held, work.max);
    while (work.size && !s->closed) {
        uint32_t size;
        memcpy(&size, ln_buf_slice(&work).data, sizeof size);
        bool single = size & SINGLE;
        size &= ~SINGLE;
        ln_buf_consume(&work, sizeof size);
        ln_slice text = ln_slice_sub(ln_buf_slice(&work), 0, size);
        if (s->held.size)
            hold(s, text, single);
        else
            take_text(s, text, single);
        ln_buf_consume(&work, size);
    }
    ln_buf_fini(&work);
    if (s->held.size || s->closed) return;
    s->paused = false;
    ln_conn_resume(s->conn, LN_PAUSE_WAIT);
}

/* Heartbeat ------------------------------------------------------------------------------- */

/* A second before the connection would send a Ping of its own, which a page could not see. */
static uint32_t beat_period(const ln_session *s) {
    uint32_t ms = s->limits->ping_ms;
    return ms > 2000 ? ms - 1000 : ms;
}

static void beat_plan(ln_session *s, uint32_t in_ms) {
    if (!s->limits->ping_ms) return;
    ln_sessions *n = s->node;
    uint64_t in_s = (in_ms + 999) / 1000;
    if (in_s == 0) in_s = 1;
    if (in_s >= BEATS) in_s = BEATS - 1;
    uint64_t at = ln_hub_now(n->hub) / 1000 + in_s;
    ln_list_remove(&s->beat);
    ln_list_push(&n->beats[at % BEATS], &s->beat);
    if (at < n->beat_due) n->beat_due = at;
}

/* Silence from either side for the period: says something that a page can hear. */
static void beat(ln_session *s) {
    uint32_t now = now_ms(s), heard = now - s->conn->heard, spoke = now - s->conn->spoke;
    uint32_t silent = heard > spoke ? heard : spoke, period = beat_period(s);
    if (silent < period) {
        beat_plan(s, period - silent);
        return;
    }
    ln_conn_send(s->conn, LN_OP_TEXT, LN_SLICE("{\"type\":\"ping\"}"));
    beat_plan(s, period);
}

static void bury(ln_sessions *n) {
    for (ln_list *node; (node = ln_list_pop(&n->gone));)
        ln_free(ln_list_item(node, ln_session, beat));
}

void ln_sessions_tick(ln_sessions *n) {
    bury(n);
    uint64_t second = ln_hub_now(n->hub) / 1000;
    if (second < n->beat_due) return;
    uint64_t from = n->beat_due + BEATS > second ? n->beat_due : second - BEATS + 1;
    n->beat_due = UINT64_MAX;
    ln_list due;
    ln_list_init(&due);
    for (; from <= second; from++)
        ln_list_splice(&due, &n->beats[from % BEATS]);
    for (ln_list *node; (node = ln_list_pop(&due));)
        beat(ln_list_item(node, ln_session, beat));
    for (uint64_t at = second + 1; at < second + BEATS && at < n->beat_due; at++)
        if (!ln_list_empty(&n->beats[at % BEATS])) n->beat_due = at;
}

ln_msec ln_sessions_deadline(const ln_sessions *n) {
    if (!ln_list_empty(&n->gone)) return ln_hub_now(n->hub);
    return n->beat_due == UINT64_MAX ? LN_NEVER : n->beat_due * 1000;
}

/* Opening and closing --------------------------------------------------------------------- */

static void random_name(ln_rand *rand, char out[LN_NATIVE_EPOCH]) {
    ln_native_epoch_put(ln_rand_u64(rand), out);
}

static void welcome(ln_session *s) {
    ln_sessions *n = s->node;
    char session[2][LN_NATIVE_EPOCH];
    random_name(n->rand, session[0]);
    random_name(n->rand, session[1]);
    ln_native_welcome w = {
        .client = ln_slice_of(s->client, s->client_size),
        .session = ln_slice_of(session, sizeof session),
        .node = ln_slice_str(n->node),
        .ping_s = s->limits->ping_ms / 1000,
        .timeout_s = s->limits->pong_ms / 1000,
        .message_max = s->limits->message_max,
        .ts = ln_hub_wall(n->hub),
    };
    say(s, ln_native_put_welcome(&n->out, &w));
}

int ln_session_open(ln_sessions *n, ln_conn *c, const ln_session_options *o) {
    assert(o->limits->outstanding_max > 0 && o->limits->commands_max > 0);
    assert(o->dialect < LN_DIALECTS || o->dialect == LN_DIALECT_AUTO);
    char made[LN_NATIVE_EPOCH];
    ln_slice client = o->client;
    if (client.size > LN_CLIENT_NAME_MAX) return LINNET_ERR_INVAL;
    if (client.size == 0) {
        random_name(n->rand, made);
        client = ln_slice_of(made, sizeof made);
    }
    ln_session *s = ln_calloc(1, sizeof *s + client.size);
    if (!s) return LINNET_ERR_NOMEM;
    int err = slot_take(n, s);
    if (err < 0) {
        ln_free(s);
        return err;
    }
    s->node = n;
    s->conn = c;
    s->limits = o->limits;
    s->plain = o->plain;
    s->dialect = LN_DIALECT_AUTO;
    s->text = (uint8_t)o->text;
    s->window = s->filled = now_ms(s);
    s->tokens = (uint64_t)o->limits->publish_burst * TOKEN;
    s->client_size = (uint8_t)client.size;
    memcpy(s->client, client.data, client.size);
    ln_list_init(&s->subs);
    ln_list_init(&s->beat);
    ln_buf_init(&s->held, o->limits->held_max);
    c->ops = &ln_session_ops;
    c->owner = s;
    ln_stat_add(&n->count, 1);
    if (o->dialect != LN_DIALECT_AUTO) decide(s, o->dialect);
    if (o->dialect == LN_USER_NATIVE) welcome(s);
    return LINNET_OK;
}

static void on_message(ln_conn *c, uint8_t opcode, ln_wslice data) {
    ln_session *s = c->owner;
    if (s->closed) return;
    if (opcode != LN_OP_TEXT) {
        s->closed = true;
        ln_conn_fail(c, LINNET_ERR_DATA_TYPE);
        return;
    }
    ln_slice text = ln_slice_of(data.data, data.size);
    if (s->paused)
        hold(s, text, false); /* it came in the same piece of input */
    else
        take_text(s, text, false);
}

/* The memory goes at the next tick: whoever caused this may still be at work on the session. */
static void on_close(ln_conn *c, uint16_t code, ln_slice reason, int err) {
    (void)code;
    (void)reason;
    (void)err;
    ln_session *s = c->owner;
    s->closed = true;
    while (!ln_list_empty(&s->subs))
        sub_free(ln_list_item(s->subs.next, ln_sub, node));
    slot_give(s->node, s);
    ln_buf_fini(&s->held);
    ln_stat_sub(&s->node->count, 1);
    ln_list_remove(&s->beat);
    ln_list_push(&s->node->gone, &s->beat);
}

const ln_conn_ops ln_session_ops = { .on_message = on_message, .on_close = on_close };

int ln_sessions_init(ln_sessions *n, ln_hub *hub, ln_rand *rand, ln_slice node) {
    *n = (ln_sessions){ .hub = hub, .rand = rand, .self = hub->self };
    assert(node.size < sizeof n->node);
    memcpy(n->node, node.data, node.size);
    n->slot_free = NO_SLOT;
    n->beat_due = UINT64_MAX;
    for (int i = 0; i < BEATS; i++)
        ln_list_init(&n->beats[i]);
    ln_list_init(&n->gone);
    ln_buf_init(&n->scratch, LN_NATIVE_SCRATCH);
    ln_buf_init(&n->out, LN_BUF_MAX);
    ln_buf_init(&n->packed, LN_BUF_MAX);
    int err = ln_buf_reserve(&n->scratch, LN_NATIVE_SCRATCH);
    if (err < 0) return err;
    ln_hub_user user = { n, on_deliver, on_subscribed, on_published, on_reset, on_left };
    for (uint8_t i = 0; i < LN_DIALECTS; i++)
        ln_hub_use(hub, i, &user);
    return LINNET_OK;
}

void ln_sessions_fini(ln_sessions *n) {
    bury(n);
    assert(ln_stat_get(&n->count) == 0);
    ln_buf_fini(&n->scratch);
    ln_buf_fini(&n->out);
    ln_buf_fini(&n->packed);
    ln_free(n->slots);
    n->slots = NULL;
}
