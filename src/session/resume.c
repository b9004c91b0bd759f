/* resume.c -- a session comes back on another connection, and nobody has to be asked about it.
 *
 * With its ticket a client says who it was; the new connection takes the old one's chain, name and
 * identity. Whatever else speaks for that chain, on this worker or another, is closed, and the
 * later one stays. Channels it names are judged here: by the rules of today, its claims, and the
 * grants it was given. What would need a backend is left out, and told so.
 *
 *     WANTED, GUEST, KNOWN ──auth with a ticket──> KNOWN (GUEST, when it was nobody's)
 *
 * A ticket lasts for some time after its connection broke; so a new one comes with a ping when half
 * of that has gone. It is only there for linnet.v1.
 */
#include "base/mem.h"
#include "session/login.h"
#include "session/orders.h"

static uint64_t wall_s(const ln_session *s) {
    return ln_hub_wall(s->node->hub) / 1000;
}

static uint32_t clock_s(const ln_session *s) {
    uint32_t now = (uint32_t)(ln_hub_now(s->node->hub) / 1000);
    return now ? now : 1;
}

/* Tickets --------------------------------------------------------------------------------- */

/* Under its chain; whoever was there before must have gone. */
static int enlist(ln_session *s) {
    int err = ln_map_add(&s->node->chains, s);
    return err == LINNET_ERR_EXISTS ? LINNET_OK : err;
}

void ln_resume_close(ln_session *s) {
    ln_slice chain = ln_slice_of(s->chain, LN_CHAIN);
    if (ln_map_get(&s->node->chains, chain) == s) ln_map_remove(&s->node->chains, chain);
}

static bool may_have_one(const ln_session *s) {
    return s->node->resuming && s->dialect == LN_USER_NATIVE && !s->taken &&
           !(s->login && s->login->state == LN_LOGIN_WANTED);
}

static uint32_t half_of(const ln_resuming *r) {
    return r->ttl_s / 2 ? r->ttl_s / 2 : 1;
}

static uint32_t half_life(const ln_session *s) {
    return half_of(s->node->resuming);
}

uint64_t ln_sessions_ticket_s(const ln_sessions *n) {
    return n->resuming ? (uint64_t)n->resuming->ttl_s + half_of(n->resuming) + 1 : 0;
}

bool ln_resume_ticket(ln_session *s, ln_buf *out) {
    if (!may_have_one(s)) return false;
    uint64_t now = wall_s(s);
    ln_ticket t = { .issued = now,
        .expires = now + ln_sessions_ticket_s(s->node),
        .begun = s->begun,
        .client = ln_slice_of(s->client, s->client_size) };
    memcpy(t.chain, s->chain, sizeof t.chain);
    if (enlist(s) < 0) return false;
    if (ln_ticket_put(&s->node->resuming->keys, &t, ln_session_identity(s), out) < 0) return false;
    s->ticketed = clock_s(s);
    ln_session_plan(s);
    return true;
}

uint32_t ln_resume_due_ms(const ln_session *s) {
    if (!s->ticketed || !may_have_one(s)) return UINT32_MAX;
    uint32_t age = clock_s(s) - s->ticketed, half = half_life(s);
    return age >= half ? 0 : (half - age) * 1000;
}

void ln_resume_stale(ln_session *s) {
    if (!s->ticketed) return;
    s->ticketed = clock_s(s) - half_life(s);
    if (!s->ticketed) s->ticketed--;
    ln_session_plan(s);
}

/* Grants ---------------------------------------------------------------------------------- */

static ln_grant_for whom(const ln_session *s, ln_slice channel) {
    return (ln_grant_for){ s->chain, ln_session_user(s), channel };
}

ln_slice ln_resume_grant(const ln_sub *sub, char out[LN_GRANT_TEXT]) {
    const ln_session *s = sub->session;
    if (!s->ticketed || !may_have_one(s)) return LN_SLICE("");
    ln_grant grant = { .expires = wall_s(s) + LN_GRANT_S };
    const ln_sub_more *more = sub->more;
    if (more->until) grant = (ln_grant){ LN_GRANT_BY_BACKEND, more->until };
    if (more->expires) grant.how |= LN_GRANT_BY_TOKEN;
    if (ln_sub_placed(sub)) grant.how |= LN_GRANT_BY_PROGRAM;
    if (more->expires && more->expires < grant.expires) grant.expires = more->expires;
    ln_grant_for f = whom(s, ln_sub_name(sub));
    int err = ln_grant_put(&s->node->resuming->keys, &grant, &f, out);
    return err < 0 ? LN_SLICE("") : ln_slice_of(out, LN_GRANT_TEXT);
}

int ln_resume_granted(const ln_session *s, const ln_native_command *c, ln_grant *out) {
    *out = (ln_grant){ 0 };
    if (!c->grant.data || c->channel.size > LN_CHANNEL_NAME_MAX) return LINNET_OK;
    if (!s->node->resuming) return LINNET_ERR_DENIED;
    ln_grant_for f = whom(s, c->channel);
    ln_grant found;
    int err = ln_grant_get(&s->node->resuming->keys, c->grant, wall_s(s), &f, &found);
    if (err == LINNET_OK) *out = found;
    return err;
}

/* Whatever speaks for the same chain ------------------------------------------------------ */

/* It is to end, and nobody hears that it left. */
static void give_way(ln_session *s) {
    ln_resume_close(s);
    ln_stat_add(&s->node->taken, 1);
    s->taken = s->lost = true;
    if (s->login) ln_seat_give(s->node->hub, s->login->seat);
    if (s->login) s->login->seat = NULL;
    ln_ask_end(s);
    while (s->subs)
        ln_sub_free(s->subs);
    ln_session_end(s, 3508, "the session goes on elsewhere");
}

/* Of two that come back at once the later one stays. */
void ln_resume_taken(void *ctx, const ln_taking *m) {
    const ln_sessions *n = ctx; /* NULL: they have all ended */
    ln_session *s = n ? ln_map_get(&n->chains, ln_slice_of(m->chain, LN_CHAIN)) : NULL;
    if (!s) return;
    if (s->back_at > m->at || (s->back_at == m->at && ln_session_handle(s) > m->who)) return;
    give_way(s);
}

/* LINNET_ERR_NOMEM: they are all as before. */
static int take_over(ln_session *s, const uint8_t chain[LN_CHAIN]) {
    ln_sessions *n = s->node;
    ln_taking m = { .who = ln_session_handle(s), .at = ln_hub_now(n->hub), .user = LN_USER_NATIVE };
    memcpy(m.chain, chain, LN_CHAIN);
    int err = ln_hub_take(n->hub, &m);
    if (err < 0) return err;
    ln_session *other = ln_map_get(&n->chains, ln_slice_of(chain, LN_CHAIN));
    if (other && other != s) give_way(other);
    s->back_at = m.at;
    return LINNET_OK;
}

/* The name that others know it by. */
static int rename_as(ln_session *s, ln_slice name) {
    if (ln_slice_eq(name, ln_slice_of(s->client, s->client_size))) return LINNET_OK;
    uint8_t *copy = ln_malloc(name.size);
    if (!copy) return LINNET_ERR_NOMEM;
    memcpy(copy, name.data, name.size);
    if (s->client != s->own) ln_free(s->client);
    s->client = copy;
    s->client_size = (uint8_t)name.size;
    return LINNET_OK;
}

/* Coming back ----------------------------------------------------------------------------- */

typedef struct comeback {
    ln_ticket ticket;
    ln_identity *id; /* to be freed, unless it was taken */
    ln_buf scratch;
    ln_buf placed; /* names, a byte of size in front of each: where the program has put it so far */
} comeback;

static void come_without(ln_session *s) {
    if (s->login && s->login->returns) ln_session_end(s, 3010, "come back without resume");
}

static void refuse(
    ln_session *s, const ln_native_command *c, ln_native_code code, const char *words) {
    ln_session_refuse(s, c, code, words);
    come_without(s);
}

/* Nothing may hang on what it has been so far, but channels it was put into. */
static bool is_fresh(const ln_session *s) {
    for (const ln_sub *sub = s->subs; sub; sub = sub->next)
        if (!ln_sub_pushed(sub)) return false;
    return !s->said && !s->pending;
}

static bool is_over(const ln_session *s, const ln_identity *id) {
    return id && id->expires && id->expires + LN_LOGIN_GRACE_S <= wall_s(s);
}

static const char banned_words[] = "banned";

/* A session goes on as long as it likes, but nothing that was taken back comes back with it. */
static ln_ban_verdict banned(const ln_session *s, const comeback *b) {
    char name[LN_SESSION_ID];
    ln_chain_put(b->ticket.chain, name);
    ln_ban_who who = { .session = ln_slice_of(name, sizeof name), .issued = b->ticket.begun };
    if (b->id) {
        who.user = ln_identity_user(b->id);
        who.jti = ln_identity_jti(b->id);
        if (b->id->issued) who.issued = b->id->issued;
    }
    return ln_bans_judge(&s->node->bans, &who, wall_s(s));
}

/* Why the owner of a good ticket may not come in by it; NULL: he may. */
static const char *stands_against(const ln_session *s, const comeback *b, ln_native_code *code) {
    const ln_login *l = s->login;
    ln_ban_verdict ban = banned(s, b);
    *code = ban == LN_BAN_BANNED ? LN_NATIVE_PERMISSION_DENIED : LN_NATIVE_UNAUTHORIZED;
    if (ban) return ban == LN_BAN_BANNED ? banned_words : "the ticket was revoked";
    if (b->id && !l) return "the ticket is for where users log in";
    if (!b->id && l && !l->auth->anonymous) return "the ticket is nobody's, and a token is wanted";
    *code = LN_NATIVE_TOKEN_EXPIRED;
    if (is_over(s, b->id)) return "the token behind the ticket has expired";
    *code = LN_NATIVE_PERMISSION_DENIED;
    if (!l || !l->id) return NULL;
    bool same = b->id && ln_slice_eq(ln_identity_user(b->id), ln_identity_user(l->id));
    return same ? NULL : "the ticket is for somebody else";
}

static bool admits(ln_session *s, const ln_native_command *c, comeback *b) {
    if (!s->node->resuming || s->dialect != LN_USER_NATIVE) {
        ln_session_lacks(s, c, "there are no tickets here");
        come_without(s);
        return false;
    }
    if (!is_fresh(s)) {
        refuse(s, c, LN_NATIVE_BAD_REQUEST, "a session comes back before it does anything else");
        return false;
    }
    int err = ln_ticket_get(
        &s->node->resuming->keys, c->resume, wall_s(s), &b->scratch, &b->ticket, &b->id);
    if (err == LINNET_ERR_DENIED) /* no debt: after a restart under a new key all come with such */
        refuse(s, c, LN_NATIVE_UNAUTHORIZED, "the ticket is no good");
    else if (err == LINNET_ERR_TIMEOUT)
        refuse(s, c, LN_NATIVE_TOKEN_EXPIRED, "the ticket has expired");
    else if (err < 0)
        ln_session_refuse_err(s, c, err);
    ln_native_code code;
    const char *why = err < 0 ? NULL : stands_against(s, b, &code);
    if (why) refuse(s, c, code, why);
    if (why == banned_words) ln_session_end(s, 3507, why);
    return err == LINNET_OK && !why;
}

static int note_placed(comeback *b, const ln_sub *sub) {
    ln_slice name = ln_sub_name(sub);
    if (!ln_sub_placed(sub)) return LINNET_OK;
    int err = ln_buf_add_byte(&b->placed, (uint8_t)name.size);
    return err < 0 ? err : ln_buf_add(&b->placed, name);
}

/* Chain, name and identity. What it was put into as somebody new it leaves, to be put there again.
 */
static int become(ln_session *s, comeback *b) {
    int err = take_over(s, b->ticket.chain);
    if (err == LINNET_OK) err = rename_as(s, b->ticket.client);
    if (err < 0) return err;
    for (ln_sub *sub; (sub = s->subs) != NULL;) {
        if (err == LINNET_OK) err = note_placed(b, sub);
        ln_sub_unanswered(s, sub, "");
        ln_sub_free(sub);
    }
    if (err < 0) ln_conn_fail(s->conn, err);
    ln_resume_close(s);
    memcpy(s->chain, b->ticket.chain, sizeof s->chain);
    s->begun = (uint32_t)b->ticket.begun;
    if (s->login && !s->login->id) {
        ln_login_become(s, b->id);
        b->id = NULL;
    }
    if (s->login) s->login->settled = false;
    return LINNET_OK;
}

static void say_back(ln_session *s, const ln_native_command *c) {
    char name[LN_SESSION_ID];
    ln_session_id(s, name);
    ln_reply reply = { .verb = LN_VERB_AUTH,
        .re = c->id,
        .client = ln_slice_of(s->client, s->client_size),
        .session = ln_slice_of(name, sizeof name) };
    ln_login_say(s, &reply);
}

/* Its channels ---------------------------------------------------------------------------- */

/* Nobody is asked: by what is known here it may be in the channel, or not. `retry` of what it is
 * told says whether asking in the ordinary way may help. */
static ln_native_code judge(const ln_session *s, const ln_native_command *c, ln_grant *grant) {
    uint32_t count = s->sub_count - s->leaving;
    int name = ln_channel_name_check(LN_SPACE_CHANNELS, c->channel);
    if (name < 0) return ln_session_code(name);
    if (s->limits->channels_max && count >= s->limits->channels_max)
        return LN_NATIVE_LIMIT_EXCEEDED;
    int found = ln_resume_granted(s, c, grant),
        err = ln_session_may(s, LN_ACT_SUBSCRIBE, c->channel);
    if (found == LINNET_ERR_NOMEM || (err < 0 && err != LINNET_ERR_DENIED))
        return ln_session_code(found < 0 ? found : err);
#if defined(LN_PLANT) && LN_PLANT == 25 /* tests/sim: the rules of today are not looked at */
    err = LINNET_OK;
#endif
    bool placed = grant->how & LN_GRANT_BY_PROGRAM;
    bool token = err == LINNET_ERR_DENIED && !placed && !(grant->how & LN_GRANT_BY_TOKEN);
    bool backend = ln_asker_wants(s->node->asker, LN_ASK_SUBSCRIBE) && !placed &&
                   !(grant->how & LN_GRANT_BY_BACKEND) && !ln_login_puts_into(s, c->channel);
    if (token || backend) {
        if (found == LINNET_ERR_TIMEOUT) return LN_NATIVE_TOKEN_EXPIRED;
        return token || found < 0 ? LN_NATIVE_PERMISSION_DENIED : LN_NATIVE_UNAUTHORIZED;
    }
    return c->presence && ln_session_may_see(s, c) < 0 ? LN_NATIVE_PERMISSION_DENIED : 0;
}

static int begin(ln_session *s, const ln_native_command *c, const ln_grant *grant) {
    ln_sub_how how = { .resumed = true };
    if (grant->how & LN_GRANT_BY_BACKEND) how.until = (uint32_t)grant->expires;
    if (grant->how & LN_GRANT_BY_TOKEN) how.expires = grant->expires;
    if (grant->how & LN_GRANT_BY_PROGRAM) how.mark = LN_SUB_PLACED;
    if (how.mark) s->placed = true;
    return ln_sub_make(s, c, &how);
}

static void come_into(ln_session *s, const ln_native_command *c) {
    ln_grant grant;
    if (ln_sub_find(s, c->channel)) return; /* it stood there twice */
    ln_native_code code = judge(s, c, &grant);
    int err = code ? LINNET_OK : begin(s, c, &grant);
    if (err < 0) code = ln_session_code(err);
    if (code) ln_session_say(s, ln_native_put_unsubscribed(&s->node->out, c->channel, code));
}

static void come_into_all(ln_session *s, const ln_native_command *c) {
    if (!(c->keys & LN_KEY_SUBS)) return;
    ln_buf name;
    ln_buf_init(&name, 8 * LN_CHANNEL_NAME_MAX);
    ln_json_iter it = ln_json_iter_of(&c->subs);
    ln_json_value key, item;
    while (!s->closed && ln_json_next(&it, &key, &item)) {
        ln_native_command one;
        ln_native_sub(&item, &one);
        ln_buf_clear(&name);
        int err = ln_json_unescape(&key, &name);
        one.channel = ln_buf_slice(&name);
        if (err < 0)
            ln_conn_fail(s->conn, err);
        else if (one.channel.size <= LN_CHANNEL_NAME_MAX)
            come_into(s, &one);
    }
    ln_buf_fini(&name);
}

static void come_into_placed(ln_session *s, const comeback *b) {
    ln_slice rest = ln_buf_slice(&b->placed);
    while (!s->closed && rest.size) {
        size_t size = rest.data[0];
        ln_sub_place(s, ln_slice_sub(rest, 1, 1 + size));
        ln_slice_skip(&rest, 1 + size);
    }
}

void ln_resume_auth(ln_session *s, const ln_native_command *c) {
    comeback b = { .id = NULL };
    ln_buf_init(&b.scratch, LN_TICKET_MAX);
    ln_buf_init(&b.placed, LN_BUF_MAX);
    if (admits(s, c, &b)) {
        int err = become(s, &b);
        if (err < 0) {
            ln_session_refuse_err(s, c, err);
        } else {
            ln_stat_add(&s->node->resumed, 1);
            say_back(s, c);
            ln_seat_ask(s);
            come_into_all(s, c);
            come_into_placed(s, &b);
            if (!s->closed) ln_login_settle(s);
        }
    }
    ln_free(b.id);
    ln_buf_fini(&b.placed);
    ln_buf_fini(&b.scratch);
}
