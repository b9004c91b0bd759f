#include "session/inner.h"

#define CROWDED_MS 1000 /* in so long more is read, or cut */

/* LN_PACES: it costs nothing. What has no row of its own here asks for something. */
static ln_pace pace_of(const ln_session *s, ln_native_verb verb) {
    switch (verb) {
    case LN_VERB_OTHER: /* for a backend, or an error, and those are counted too */
        return s->node->asker ? LN_PACE_READ : LN_PACES;
    case LN_VERB_PING:
    case LN_VERB_PONG:
    case LN_VERB_REPLY:
    case LN_VERB_HEARTBEAT: return LN_PACES;
    case LN_VERB_EVENT:
    case LN_VERB_SEND:
    case LN_VERB_SET:
    case LN_VERB_UNSET:
    case LN_VERB_TYPING:
    case LN_VERB_PUBLISH: return LN_PACE_PUBLISH;
    case LN_VERB_SUBSCRIBE:
    case LN_VERB_UNSUBSCRIBE: return LN_PACE_SUBSCRIBE;
    case LN_VERB_REFRESH:
    case LN_VERB_AUTH: return LN_PACE_AUTH;
    default: return LN_PACE_READ;
    }
}

static ln_rate rate_of(const ln_session_limits *l, ln_pace pace) {
    if (pace != LN_PACE_PUBLISH) return l->rates[pace];
    return (ln_rate){ l->publish_rate, l->publish_burst };
}

/* 0: it has none. */
static ln_account account_of(const ln_session *s, ln_account_of which) {
    const ln_sessions *n = s->node;
    ln_ip who;
    if (!n->address_of || !n->address_of(s->conn, &who)) return 0;
    return ln_account_named(n->hub->key, which, ln_slice_of(&who, sizeof who));
}

/* Who has shown many tokens that are no good waits with the next, on whatever connection. */
static bool owes(const ln_session *s, uint32_t *wait_ms) {
    const ln_sessions *n = s->node;
    ln_account a = n->failures.per_s ? account_of(s, LN_ACCOUNT_ADDRESS_TOKENS) : 0;
    return a && ln_hub_owes(n->hub, a, n->failures, wait_ms);
}

void ln_session_owe(const ln_session *s) {
    ln_account a = account_of(s, LN_ACCOUNT_ADDRESS_TOKENS);
    if (a) ln_hub_owe(s->node->hub, a, s->node->failures);
}

/* All connections of a user, and all of an address, have a rate together. */
static bool user_takes(const ln_session *s, bool command, uint32_t *wait_ms) {
    ln_slice user = ln_session_user(s);
    ln_rate rate = s->limits->users[command];
    if (!rate.per_s || !user.size) return true;
    ln_account_of which = command ? LN_ACCOUNT_USER_COMMAND : LN_ACCOUNT_USER_PUBLISH;
    ln_hub *h = s->node->hub;
    if (ln_hub_spend(h, ln_account_named(h->key, which, user), rate, wait_ms)) return true;
    ln_stat_add(&s->node->limited_user, 1);
    return false;
}

static bool address_takes(ln_session *s, bool command, uint32_t *wait_ms) {
    ln_rate rate = s->limits->addresses[command];
    ln_account_of which = command ? LN_ACCOUNT_ADDRESS_COMMAND : LN_ACCOUNT_ADDRESS_PUBLISH;
    if (!rate.per_s) return true;
    ln_account *known = &s->accounts[command]; /* to ask for an address is a system call */
    if (!*known) *known = account_of(s, which);
    if (!*known || ln_hub_spend(s->node->hub, *known, rate, wait_ms)) return true;
    ln_stat_add(&s->node->limited_address, 1);
    return false;
}

/* The answer to who is to wait. */
static void put_off(
    ln_session *s, const ln_native_command *c, ln_native_code code, uint32_t wait_ms) {
    ln_native_error error = { .re = c->id, .code = code, .retry_after_ms = wait_ms };
    if (code == LN_NATIVE_NOT_AVAILABLE) error.message = "too much is waiting to be sent";
    if (c->channel.size <= LN_CHANNEL_NAME_MAX) error.channel = c->channel;
    ln_session_error(s, &error);
}

bool ln_session_pace(ln_session *s, const ln_native_command *c) {
    ln_pace pace = pace_of(s, c->verb);
    uint32_t wait_ms;
    if (pace == LN_PACES) return true;
    if (pace == LN_PACE_PUBLISH && s->node->crowded) {
        ln_stat_add(&s->node->too_many, 1);
        put_off(s, c, LN_NATIVE_NOT_AVAILABLE, CROWDED_MS);
        return false;
    }
    ln_rate rate = rate_of(s->limits, pace);
    bool command = pace != LN_PACE_PUBLISH;
    if (ln_bucket_take(&s->buckets[pace], rate, ln_hub_now(s->node->hub), &wait_ms) &&
        user_takes(s, command, &wait_ms) && address_takes(s, command, &wait_ms) &&
        (pace != LN_PACE_AUTH || !owes(s, &wait_ms)))
        return true;
    ln_stat_add(&s->node->too_fast[pace], 1);
    put_off(s, c, LN_NATIVE_RATE_LIMITED, wait_ms);
    return false;
}
