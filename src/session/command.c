#include "session/login.h"
#include <stdio.h>

/* Commands -------------------------------------------------------------------------------- */

/* For a subscribe to the same channel that has not gone to it yet, behind an unsubscribe from it
 * that is under way, or while it is put there without having asked. */
static bool must_wait(ln_session *s, const ln_native_command *c) {
    if (c->verb == LN_VERB_HISTORY) return ln_history_waits(s);
    if (s->entering && c->verb != LN_VERB_SUBSCRIBE && c->verb != LN_VERB_UNSUBSCRIBE &&
        c->channel.data) {
        const ln_sub *on_its_way = ln_sub_find(s, c->channel);
        return on_its_way && on_its_way->more->entering;
    }
    if (c->verb != LN_VERB_SUBSCRIBE || (!s->leaving && !s->login && !s->placed)) return false;
    const ln_sub *there = ln_sub_find(s, c->channel);
    if (!there) return false;
    return ln_sub_leaves(there) || (ln_sub_pushed(there) && !ln_subscription_joined(&there->s));
}

/* By what it is, by a token for this one channel, or because it was let in before. */
static int may_subscribe(
    ln_session *s, const ln_native_command *c, const ln_grant *grant, uint64_t *expires) {
    int err = ln_session_may(s, LN_ACT_SUBSCRIBE, c->channel);
    if (err != LINNET_ERR_DENIED) return err;
    if (c->token.data) return ln_login_channel_token(s, c, expires);
    if (!(grant->how & LN_GRANT_BY_TOKEN)) return err;
    *expires = grant->expires;
    return LINNET_OK;
}

/* What the server does itself it has been asked about already. *until: so long nobody need be
 * asked again. */
static bool may_be_asked(
    ln_session *s, const ln_native_command *c, const ln_grant *grant, uint32_t *until) {
    ln_slice unused;
    if (!ln_asker_wants(s->node->asker, LN_ASK_SUBSCRIBE)) return true;
    *until = (uint32_t)grant->expires;
    if (grant->how & LN_GRANT_BY_BACKEND) return true;
    *until = (uint32_t)(ln_hub_wall(s->node->hub) / 1000) + LN_GRANT_S;
    return ln_ask_may(s, LN_ASK_SUBSCRIBE, c, &unused);
}

static void tell_pushed(ln_session *s, const ln_native_command *c, const ln_sub *sub) {
    char grant[LN_GRANT_TEXT];
    ln_reply reply = { .verb = LN_VERB_SUBSCRIBE,
        .re = c->id,
        .channel = c->channel,
        .at = ln_subscription_at(&sub->s),
        .class = sub->s.channel->class,
        .recover = c->recover,
        .grant = ln_resume_grant(sub, grant) };
    reply.recovered = c->recover && reply.at.epoch && c->recover_epoch == reply.at.epoch &&
                      c->recover_offset == reply.at.offset;
    ln_session_ok(s, &reply);
}

void ln_session_subscribe(ln_session *s, const ln_native_command *c, bool pushed) {
    ln_sub_how how = { .mark = pushed ? LN_SUB_PUSHED : 0 };
    ln_grant grant;
    ln_sub *there = ln_sub_find(s, c->channel);
    if (there) {
        /* Clients of other servers may repeat themselves: theirs kept a set. And who was put there
         * need not know. */
        if (ln_sub_pushed(there) && !pushed)
            tell_pushed(s, c, there);
        else if (!ln_session_dialect(s)->plain)
            ln_session_refuse(s, c, LN_NATIVE_ALREADY_SUBSCRIBED, NULL);
        else if (ln_subscription_joined(&there->s))
            ln_sub_tell(s, there);
        return;
    }
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, c->channel);
    uint32_t count = s->sub_count - s->leaving;
    if (err == LINNET_OK && s->limits->channels_max && count >= s->limits->channels_max)
        err = LINNET_ERR_LIMIT;
    ln_resume_granted(s, c, &grant); /* one that is no good is as none */
    if (err == LINNET_OK) err = may_subscribe(s, c, &grant, &how.expires);
    if (err == LN_PENDING) return; /* for a key */
    if (err < 0) {
        ln_session_refuse_err(s, c, err);
        return;
    }
    if (c->presence && !ln_session_present(s, c)) return;
    if (!pushed && !may_be_asked(s, c, &grant, &how.until)) return;
    err = ln_sub_make(s, c, &how);
    if (err < 0) ln_session_refuse_err(s, c, err);
}

static void unsubscribe(ln_session *s, const ln_native_command *c) {
    ln_sub *sub = ln_sub_find(s, c->channel);
    if (!sub || ln_sub_leaves(sub)) {
        if (!ln_session_dialect(s)->plain) ln_session_refuse(s, c, LN_NATIVE_NOT_SUBSCRIBED, NULL);
        return;
    }
    if (s->said && ln_subscription_joined(&sub->s)) { /* it is to hear what it has said, and then */
        int err = ln_hub_leave(s->node->hub, &sub->s, c->id); /* no more once it is answered */
        if (err < 0) ln_session_refuse_err(s, c, err);
        s->leaving += err >= 0;
        s->outstanding += err >= 0;
        return;
    }
    if (ln_heard(s)) ln_hear_sub(s, LN_HEARD_UNSUBSCRIBE, c->channel, 0);
    ln_sub_unanswered(s, sub, "an unsubscribe came behind it");
    ln_sub_free(sub);
    ln_reply reply = { .verb = LN_VERB_UNSUBSCRIBE, .re = c->id, .channel = c->channel };
    ln_session_ok(s, &reply);
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

static uint8_t publish_flags(const ln_native_command *c) {
    uint8_t seq = c->keys & LN_KEY_SEQ ? LN_PUB_SEQ : 0;
    return (uint8_t)(seq | (c->is_volatile ? LN_PUB_VOLATILE : 0) | (c->quiet ? LN_PUB_QUIET : 0));
}

/* Young enough that none of its numbers can have been forgotten, and of this process. */
static bool is_fresh(const ln_session *s) {
    uint64_t now = ln_hub_wall(s->node->hub) / 1000;
    return s->begun >= s->node->started && now - s->begun < LN_SEQ_MS / 1000;
}

static ln_slice pack_seq(
    const ln_session *s, const ln_native_command *c, uint8_t out[LN_SEQ_PACKED]) {
    if (!(c->keys & LN_KEY_SEQ)) return LN_SLICE("");
    const ln_seq q = { c->channel, s->chain, c->seq, is_fresh(s) };
    ln_seq_pack(&q, out);
    return ln_slice_of(out, LN_SEQ_PACKED);
}

static void publish(ln_session *s, const ln_native_command *c) {
    ln_sessions *n = s->node;
    uint8_t packed[LN_SEQ_PACKED];
    ln_slice data = c->data.size ? c->data : LN_SLICE("null");
    int err = ln_session_may(s, LN_ACT_PUBLISH, c->channel);
    if (err < 0) {
        ln_session_refuse_err(s, c, err);
        return;
    }
    if (!ln_ask_may(s, LN_ASK_PUBLISH, c, &data)) return;
    ln_publish what = {
        .channel = c->channel,
        .event = c->event,
        .data = data,
        .from = ln_slice_of(s->client, s->client_size),
        .by = ln_session_user(s),
        .info = ln_session_info(s),
        .re = c->id,
        .without = c->no_echo ? ln_session_self(s) : 0,
        .who = c->id.size ? ln_session_handle(s) : 0,
        .user = ln_session_dialect(s) == &ln_dialect_native ? LN_USER_NATIVE : s->dialect,
        .key = pack_seq(s, c, packed),
        .flags = publish_flags(c),
    };
    err = pack_except(n, c);
    what.except = ln_buf_slice(&n->packed);
    if (err == LINNET_OK) err = ln_hub_publish(n->hub, &what);
    s->said = true;
    if (err < 0)
        ln_session_refuse_err(s, c, err);
    else if (what.who)
        s->outstanding++;
    ln_scratch_clear(&n->packed);
}

/* To all connections of a user: what is published in his own channel. */
static void send_to_user(ln_session *s, const ln_native_command *c) {
    uint8_t name[1 + LN_USER_NAME_MAX] = { '@' };
    if (!c->to.size || c->to.size > LN_USER_NAME_MAX || !c->data.size) {
        const char *why = c->data.size ? "to does not name a user" : "data is missing";
        ln_session_refuse(s, c, LN_NATIVE_BAD_REQUEST, why);
        return;
    }
    memcpy(name + 1, c->to.data, c->to.size);
    ln_native_command there = *c;
    there.channel = ln_slice_of(name, 1 + c->to.size);
    publish(s, &there);
}

static void other(ln_session *s, const ln_native_command *c) {
    bool strict = s->dialect == LN_USER_NATIVE || s->dialect == LN_DIALECT_AUTO;
    if (!c->id.size && strict) {
        ln_stat_add(&s->node->unknown, 1);
        return;
    }
    ln_session_refuse(s, c, LN_NATIVE_UNKNOWN_TYPE, NULL);
}

void ln_session_call(ln_session *s, const ln_native_command *c) {
    bool event = c->verb == LN_VERB_EVENT;
    ln_slice data = LN_SLICE("");
    if (!ln_asker_wants(s->node->asker, event ? LN_TELL_EVENT : LN_ASK_CALL)) {
        ln_session_lacks(s, c,
            event ? "it names no channel, and there is no backend to take it"
                  : "there is no backend to answer it");
    } else if (!c->event.size) {
        ln_session_refuse(s, c, LN_NATIVE_BAD_REQUEST, "event, the method, is missing");
    } else if (event) {
        ln_question news = { .kind = LN_TELL_EVENT, .event = c->event, .data = c->data };
        ln_ask_tell(s, &news);
        ln_reply reply = { .verb = c->verb, .re = c->quiet ? data : c->id };
        ln_session_ok(s, &reply);
    } else if (ln_ask_may(s, LN_ASK_CALL, c, &data)) {
        ln_ask_result(s, c->id, c->channel, data);
    }
}

/* What has a type that we do not know is for the backend, when there is one: the type is the
 * method. True: it is seen to. */
static bool for_backend(ln_session *s, const ln_native_command *c) {
    bool called = c->id.size > 0, named = c->type.kind == LN_JSON_STRING && !c->type.escaped;
    if (!named || !c->type.text.size || c->type.text.size > LN_NATIVE_EVENT_MAX) return false;
    if (!ln_asker_wants(s->node->asker, called ? LN_ASK_CALL : LN_TELL_EVENT)) return false;
    ln_native_command own = *c;
    own.verb = called ? LN_VERB_CALL : LN_VERB_EVENT;
    own.event = c->type.text;
    ln_session_call(s, &own);
    return true;
}

static void ping(ln_session *s, const ln_native_command *c) {
    const ln_dialect *d = ln_session_dialect(s);
    ln_buf *out = &s->node->out;
    uint64_t wall = ln_hub_wall(s->node->hub);
    ln_session_say(s, d->pong ? d->pong(out, c->id, wall) : ln_native_put_pong(out, c->id));
}

/* What stands in the way of a command that names a channel. */
static const char *lacking(const ln_session *s, const ln_native_command *c) {
    bool rooms = ln_session_dialect(s)->rooms;
    if (!c->channel.data && rooms) return "no room is named, and none was joined";
    if (!c->channel.data) return "channel is missing";
    if (c->verb != LN_VERB_PUBLISH || s->dialect == LN_USER_CHANNEL) return NULL;
    return c->data.size ? NULL : "data is missing";
}

static void obey(ln_session *s, const ln_native_command *c) {
    const char *why;
    switch (c->verb) {
    case LN_VERB_PING: ping(s, c); return;
    case LN_VERB_PONG:
    case LN_VERB_HEARTBEAT: return;
    case LN_VERB_AUTH: ln_login_auth(s, c); return;
    case LN_VERB_REFRESH: ln_login_refresh(s, c); return;
    case LN_VERB_SEND: send_to_user(s, c); return;
    case LN_VERB_CALL:
    case LN_VERB_EVENT: ln_session_call(s, c); return;
    case LN_VERB_REPLY: ln_callout_reply(s, c); return;
    case LN_VERB_OTHER:
        if (!for_backend(s, c)) other(s, c);
        return;
    case LN_VERB_SUBSCRIBE:
    case LN_VERB_UNSUBSCRIBE:
    case LN_VERB_PUBLISH:
    case LN_VERB_PRESENCE:
    case LN_VERB_SET:
    case LN_VERB_UNSET:
    case LN_VERB_TYPING:
    case LN_VERB_HISTORY: break;
    }
    if ((why = lacking(s, c))) {
        ln_session_refuse(s, c, LN_NATIVE_BAD_REQUEST, why);
        return;
    }
    bool numbered = c->keys & LN_KEY_SEQ && s->dialect != LN_USER_NATIVE;
    if (c->verb == LN_VERB_PUBLISH && (numbered || c->keys & LN_KEY_KEY)) {
        /* To take it and not to keep its promise would be worse. */
        ln_session_lacks(
            s, c, numbered ? "seq is for linnet.v1" : "key is for programs; connections have seq");
        return;
    }
    if (c->verb == LN_VERB_SUBSCRIBE)
        ln_session_subscribe(s, c, false);
    else if (c->verb == LN_VERB_UNSUBSCRIBE)
        unsubscribe(s, c);
    else if (c->verb == LN_VERB_PRESENCE)
        ln_session_presence(s, c);
    else if (c->verb == LN_VERB_SET || c->verb == LN_VERB_UNSET || c->verb == LN_VERB_TYPING)
        ln_session_state(s, c);
    else if (c->verb == LN_VERB_HISTORY)
        ln_history_ask(s, c);
    else
        publish(s, c);
}

/* Before a dialect is chosen: whose hand is it? */
static void choose(ln_session *s, const ln_native_command *c) {
    switch (ln_native_detect(c)) {
    case LN_HAND_NOBODY: return;
    case LN_HAND_NATIVE: ln_session_decide(s, LN_USER_NATIVE); return;
    case LN_HAND_CHANNEL: ln_session_decide(s, LN_USER_CHANNEL); return;
    case LN_HAND_TOPIC: ln_session_decide(s, LN_USER_TOPIC); return;
    case LN_HAND_RPC: ln_session_decide(s, LN_USER_RPC); return;
    case LN_HAND_EVENT: ln_session_decide(s, LN_USER_EVENT); return;
    }
}

/* A text as a command, in what is or becomes the session's dialect. As ln_native_parse. */
static int understand(
    ln_session *s, const ln_json_value *value, ln_native_command *c, const char **why) {
    ln_buf *scratch = &s->node->scratch;
    ln_buf_clear(scratch);
    int err = ln_native_parse(value, scratch, c, why);
    if (s->dialect == LN_DIALECT_AUTO && value->kind == LN_JSON_OBJECT) choose(s, c);
    const ln_dialect *d = ln_session_dialect(s);
    if (c->verb == LN_VERB_REPLY && !d->call) c->verb = LN_VERB_OTHER; /* it is asked nothing */
    if (err >= 0 && d->open) err = d->open(value, scratch, c, why);
    bool about = c->verb == LN_VERB_PUBLISH || c->verb == LN_VERB_UNSUBSCRIBE;
    const ln_sub *last = d->rooms && about && !c->channel.data ? ln_sub_last(s) : NULL;
    if (last) c->channel = ln_sub_name(last);
    return err;
}

/* In B, of all that is not about topics or heartbeats, unless a backend takes it. */
static bool unheard_of(const ln_session *s, const ln_native_command *c) {
    if (!ln_session_dialect(s)->unknown) return false;
    switch (c->verb) {
    case LN_VERB_OTHER:
        return !ln_asker_wants(s->node->asker, c->id.size ? LN_ASK_CALL : LN_TELL_EVENT);
    case LN_VERB_PUBLISH:
    case LN_VERB_AUTH:
    case LN_VERB_CALL: return true;
    default: return false;
    }
}

static bool is_sign_of_life(const ln_native_command *c) {
    return c->verb == LN_VERB_PING || c->verb == LN_VERB_PONG || c->verb == LN_VERB_HEARTBEAT;
}

static void command(ln_session *s, const ln_json_value *value) {
    if (s->closed) return;
    if (s->outstanding >= s->limits->outstanding_max || s->held.size || s->seating) {
        ln_session_hold(s, value->raw, true);
        return;
    }
    ln_sessions *n = s->node;
    ln_native_command c;
    const char *why = NULL;
    int err = understand(s, value, &c, &why);
    if (c.verb == LN_VERB_HISTORY && s->dialect != LN_USER_NATIVE) c.verb = LN_VERB_OTHER;
    if (ln_login_bars(s, &c)) return;
    ln_login_settle(s);
    if (err >= 0 && must_wait(s, &c)) {
        ln_session_hold(s, value->raw, true);
        return;
    }
    ln_stat_add(&n->commands, 1);
    n->text = value->raw;
    if (unheard_of(s, &c))
        ln_session_say(s, ln_session_dialect(s)->unknown(&n->out, value->raw));
    else if (err < 0)
        ln_session_refuse(s, &c, LN_NATIVE_BAD_REQUEST, why);
    else if (ln_session_dialect(s)->mute && !is_sign_of_life(&c))
        ln_session_refuse(s, &c, LN_NATIVE_PERMISSION_DENIED, "a feed takes no messages");
    else if ((ln_login_again(s) || ln_session_pace(s, &c)) &&
             (!s->pending || !ln_ask_behind(s, &c)))
        obey(s, &c);
}

void ln_session_again(ln_session *s, ln_slice text, ln_slice channel) {
    ln_json_value value;
    ln_native_command c;
    const char *why;
    if (ln_json_check(text, &value) < 0 || understand(s, &value, &c, &why) < 0)
        return; /* it was read before */
    if (channel.size) c.channel = channel;
    obey(s, &c);
}

void ln_session_feed(ln_session *s, ln_slice channel) {
    char text[LN_CHANNEL_NAME_MAX + 48];
    int size = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"channel\":\"%.*s\"}",
        (int)channel.size, (const char *)channel.data);
    s->node->text = ln_slice_of(text, (size_t)size); /* for who has to wait */
    ln_session_again(s, s->node->text, LN_SLICE(""));
    s->node->text = LN_SLICE("");
}

static void batch(ln_session *s, const ln_json_value *list) {
    if (s->dialect == LN_DIALECT_AUTO) ln_session_decide(s, LN_USER_NATIVE);
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
        ln_session_refuse(s, &c, LN_NATIVE_LIMIT_EXCEEDED, "too many commands in one frame");
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
    if (ln_login_bars_text(s)) return;
    bool deep = err == LINNET_ERR_LIMIT;
    ln_native_error error = { .code = LN_NATIVE_BAD_REQUEST,
        .message = deep ? "JSON too deep, or with too many keys" : "not JSON" };
    ln_session_error(s, &error);
}

void ln_session_read(ln_session *s, ln_slice text, bool single) {
    ln_json_value top;
    int err = ln_json_check(text, &top);
    if (err < 0)
        unparsable(s, text, err);
    else if (top.kind == LN_JSON_ARRAY && !single && !ln_session_dialect(s)->plain)
        batch(s, &top);
    else
        command(s, &top);
}

/* Waiting for answers --------------------------------------------------------------------- */

#define SINGLE (UINT32_C(1) << 31)

/* Keeps a text until answers have come; reading stops, so that it is not many. single: it is one
 * command, as it may have stood in an array, and no array of them. */
void ln_session_hold(ln_session *s, ln_slice text, bool single) {
    uint32_t size = (uint32_t)text.size | (single ? SINGLE : 0);
    if (!s->paused) {
        s->paused = true;
        ln_conn_pause(s->conn, LN_PAUSE_WAIT);
    }
    ln_stat_add(&s->node->held, 1);
    int err = ln_buf_reserve(&s->held, sizeof size + text.size);
    if (err == LINNET_ERR_TOO_BIG) {
        ln_session_end(s, 3009, "too many commands at once");
    } else if (err < 0) {
        ln_conn_fail(s->conn, err);
    } else {
        ln_buf_add(&s->held, ln_slice_of(&size, sizeof size));
        ln_buf_add(&s->held, text);
    }
}

/* An answer has come. From half of the bound downwards there is room for what waits; what still
 * does not fit is kept again, in its order. */
void ln_session_answered(ln_session *s) {
    if (s->pending) ln_ask_resume(s);
    if (!s->paused || s->closed || s->seating || s->outstanding > s->limits->outstanding_max / 2)
        return;
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
            ln_session_hold(s, text, single);
        else
            ln_session_read(s, text, single);
        ln_buf_consume(&work, size);
    }
    ln_buf_fini(&work);
    if (s->held.size || s->closed) return;
    s->paused = false;
    ln_conn_resume(s->conn, LN_PAUSE_WAIT);
}
