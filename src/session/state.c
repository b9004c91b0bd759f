/* Keys that live in a channel while somebody holds them, and who is typing: `set`, `unset`,
 * `typing` (hub/state.h). Only linnet.v1 has words for them.
 */
#include "base/mem.h"
#include "session/inner.h"

#define TYPING_EVERY_MS 1000

/* What is said ---------------------------------------------------------------------------- */

static void put_from(ln_json_writer *w, ln_slice client) {
    ln_json_key(w, "from");
    ln_json_open(w, '{');
    ln_json_key(w, "client");
    ln_json_str(w, client);
    ln_json_close(w, '}');
}

int ln_state_put(ln_buf *out, ln_slice channel, const ln_state_word *word) {
    ln_json_writer w = ln_json_begin(out);
    bool typing = word->key.size == 0;
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, typing ? LN_SLICE("typing") : LN_SLICE("state"));
    ln_json_key(&w, "channel");
    ln_json_str(&w, channel);
    if (typing) {
        put_from(&w, word->client);
        ln_json_key(&w, "data");
        ln_json_open(&w, '{');
        ln_json_key(&w, "on");
        ln_json_bool(&w, word->data.size);
        ln_json_close(&w, '}');
        ln_json_key(&w, "ttl");
        ln_json_u64(&w, word->ttl_ms ? word->ttl_ms : LN_TYPING_TTL_MS);
    } else {
        ln_json_key(&w, "key");
        ln_json_str(&w, word->key);
        ln_json_key(&w, "data");
        ln_json_raw(&w, word->data.size ? word->data : LN_SLICE("null"));
        put_from(&w, word->client);
    }
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

/* A change reaches all who are in the channel, and have words for it. */
void ln_state_aside(ln_sessions *n, ln_row *row, const ln_publication *p) {
    if (row->user != LN_USER_NATIVE) return;
    ln_state_word word = {
        .key = ln_publication_event(p),
        .data = ln_publication_data(p),
        .client = ln_publication_from(p),
    };
    if (ln_slice_eq(word.data, LN_SLICE("null"))) word.data = LN_SLICE("");
    ln_rendering *r = NULL;
    if (ln_state_put(&n->out, ln_publication_channel(p), &word) == LINNET_OK)
        r = ln_rendering_of(LN_OP_TEXT, ln_buf_slice(&n->out));
    ln_scratch_clear(&n->out);
    if (!r) {
        ln_fan_fail(row);
        return;
    }
    r->flags |= LN_RENDERING_ITEM;
    for (uint32_t i = 0; i < row->count; i++) {
        if (!row->seats[i].target) continue;
        const ln_session *s = ((ln_sub *)(void *)row->seats[i].sub)->session;
        if (ln_publication_skips(p, ln_session_handle(s), ln_slice_of(s->client, s->client_size)))
            continue;
        if (ln_conn_queue(s->conn, r) == LINNET_ERR_NOMEM) ln_conn_fail(s->conn, LINNET_ERR_NOMEM);
    }
    ln_rendering_unref(r);
}

/* What a new subscriber has missed -------------------------------------------------------- */

void ln_keys_begin(ln_sub *sub) {
    ln_session *s = sub->session;
    if (sub->s.user != LN_USER_NATIVE || !sub->s.channel->keyed) return;
    ln_inquiry_words words = { .channel = ln_sub_name(sub) };
    ln_inquiry *m = ln_inquiry_new(LN_INQUIRY_KEYS, &words);
    if (!m) {
        ln_conn_fail(s->conn, LINNET_ERR_NOMEM); /* it would believe that there are none */
        return;
    }
    m->who = ln_session_handle(s);
    m->user = sub->s.user;
    ln_hub_query(s->node->hub, m);
}

void ln_keys_listed(ln_session *s, const ln_inquiry *m) {
    const ln_sub *sub = ln_sub_find(s, ln_inquiry_channel(m));
    if (m->err < 0) ln_conn_fail(s->conn, m->err);
    if (m->err < 0 || !sub || !ln_subscription_joined(&sub->s)) return;
    ln_slice rest = ln_buf_slice(&m->page);
    for (ln_state_word word; !s->closed && ln_state_next(&rest, &word);)
        if (word.who != m->who)
            ln_session_say(s, ln_state_put(&s->node->out, ln_inquiry_channel(m), &word));
}

/* Commands -------------------------------------------------------------------------------- */

/* What is set here goes when the subscription does, and the letter that says so must be there. */
static int hold_place(ln_sub *sub) {
    const ln_session *s = sub->session;
    if (sub->place) return LINNET_OK;
    ln_arrival a = { .client = ln_slice_of(s->client, s->client_size) };
    memcpy(a.chain, s->chain, sizeof a.chain);
    sub->place = ln_place_new(ln_sub_name(sub), &a, sub->s.user, &sub->place);
    if (!sub->place) return LINNET_ERR_NOMEM;
    ln_hub_place(s->node->hub, sub->place);
    return LINNET_OK;
}

typedef struct wish {
    ln_inquiry_what what;
    ln_slice key, data;
    uint32_t ttl_ms;
    bool quiet;
} wish;

static void ask(ln_session *s, ln_sub *sub, const ln_native_command *c, const wish *w) {
    ln_inquiry_words words = { .channel = c->channel,
        .re = c->id,
        .key = w->key,
        .client = ln_slice_of(s->client, s->client_size),
        .data = w->data };
    ln_inquiry *m = hold_place(sub) < 0 ? NULL : ln_inquiry_new(w->what, &words);
    if (!m) {
        ln_session_refuse_err(s, c, LINNET_ERR_NOMEM);
        return;
    }
    m->who = ln_session_handle(s);
    m->user = sub->s.user;
    m->owner = sub->place->owner;
    m->ttl_ms = w->ttl_ms;
    m->quiet = w->quiet;
    s->outstanding++;
    ln_hub_query(s->node->hub, m);
}

static void refuse(ln_session *s, const ln_native_command *c, const char *why) {
    ln_session_refuse(s, c, LN_NATIVE_BAD_REQUEST, why);
}

static void set(ln_session *s, ln_sub *sub, const ln_native_command *c) {
    bool gone = c->verb == LN_VERB_UNSET || ln_slice_eq(c->data, LN_SLICE("null"));
    if (!c->key.size || c->key.size > LN_STATE_KEY_MAX) {
        refuse(s, c, "key is not a string of 1 to 255 bytes");
    } else if (!gone && !c->data.size) {
        refuse(s, c, "data is missing");
    } else if (c->data.size > LN_STATE_DATA_MAX) {
        ln_session_refuse(s, c, LN_NATIVE_PAYLOAD_TOO_LARGE, "a key has at most 4 KiB");
    } else if ((c->keys & LN_KEY_TTL) && (c->ttl_ms == 0 || c->ttl_ms > LN_STATE_TTL_MAX)) {
        refuse(s, c, "ttl is not from 1 to 3600000 ms");
    } else {
        wish w = { gone ? LN_INQUIRY_UNSET : LN_INQUIRY_SET, c->key, gone ? LN_SLICE("") : c->data,
            (uint32_t)c->ttl_ms, c->no_echo };
        ask(s, sub, c, &w);
    }
}

/* {"on": true}; -1: something else. */
static int on_of(ln_slice data) {
    ln_json_value top, key, item;
    if (!data.size || ln_json_check(data, &top) < 0 || top.kind != LN_JSON_OBJECT) return -1;
    ln_json_iter it = ln_json_iter_of(&top);
    while (ln_json_next(&it, &key, &item))
        if (ln_json_is(&key, LN_SLICE("on"))) return item.kind == LN_JSON_BOOL ? item.boolean : -1;
    return -1;
}

/* Once a second that it types, and once that it does not; the rest says nothing new. */
static bool heeded(ln_session *s, ln_sub_more *more, bool on) {
    uint32_t now = ln_session_now(s);
    if (!on) {
        bool did = more->typing;
        more->typing = false;
        return did;
    }
    if (more->typed && now - more->typed_at < TYPING_EVERY_MS) return false;
    more->typed = more->typing = true;
    more->typed_at = now;
    return true;
}

static void typing(ln_session *s, ln_sub *sub, const ln_native_command *c) {
    int on = on_of(c->data);
    if (on < 0) {
        refuse(s, c, "data is not {\"on\": true} or {\"on\": false}");
        return;
    }
    ln_sub_more *more = ln_sub_own(sub);
    if (!more) {
        ln_session_refuse_err(s, c, LINNET_ERR_NOMEM);
        return;
    }
    if (!heeded(s, more, on)) {
        ln_reply reply = { .verb = c->verb, .re = c->id, .channel = c->channel };
        ln_session_ok(s, &reply);
        return;
    }
    wish w = { on ? LN_INQUIRY_SET : LN_INQUIRY_UNSET, LN_SLICE(""),
        on ? LN_SLICE("true") : LN_SLICE(""), LN_TYPING_TTL_MS, true };
    ask(s, sub, c, &w);
}

void ln_session_state(ln_session *s, const ln_native_command *c) {
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, c->channel);
    if (err == LINNET_OK) err = ln_session_may(s, LN_ACT_PUBLISH, c->channel);
    if (err < 0) {
        ln_session_refuse_err(s, c, err);
        return;
    }
    ln_sub *sub = ln_sub_find(s, c->channel);
    if (!sub || ln_sub_leaves(sub))
        ln_session_refuse(s, c, LN_NATIVE_NOT_SUBSCRIBED, NULL);
    else if (c->verb == LN_VERB_TYPING)
        typing(s, sub, c);
    else
        set(s, sub, c);
}
