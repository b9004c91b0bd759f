#include "session/login.h"
#include "base/mem.h"
#include <assert.h>

#define SLOTS LN_LOGIN_SLOTS

static uint64_t wall_s(const ln_session *s) {
    return ln_hub_wall(s->node->hub) / 1000;
}

/* When it is looked at again; earlier than asked for when that is far away. */
static void plan(ln_login *l, uint64_t in_s) {
    ln_sessions *n = l->session->node;
    if (in_s == 0) in_s = 1;
    if (in_s >= SLOTS) in_s = SLOTS - 1;
    uint64_t at = ln_hub_now(n->hub) / 1000 + in_s;
    ln_list_remove(&l->node);
    ln_list_push(&n->logins[at % SLOTS], &l->node);
    if (at < n->login_due) n->login_due = at;
}

/* Who it is ------------------------------------------------------------------------------- */

static void widen(ln_login *l) {
    if (l->wide) l->session->conn->ws.config = l->wide;
    l->wide = NULL;
}

/* id is taken. */
static void become(ln_login *l, ln_identity *id) {
    ln_free(l->id);
    l->id = id;
    l->state = LN_LOGIN_KNOWN;
    l->settled = false;
    widen(l);
#if defined(LN_PLANT) && LN_PLANT == 23 /* tests/sim: only its own end is thought of */
    if (id->expires) plan(l, SLOTS);
    return;
#endif
    if (id->expires) plan(l, 1); /* leave for single channels may end before it */
}

void ln_login_become(ln_session *s, ln_identity *id) {
    ln_login *l = s->login;
    if (id) {
        become(l, id);
        return;
    }
    if (l->state == LN_LOGIN_WANTED) l->state = LN_LOGIN_GUEST;
    widen(l);
}

static uint64_t left_s(const ln_session *s, const ln_identity *id) {
    uint64_t now = wall_s(s);
    return id->expires > now ? id->expires - now : 0;
}

static void narrow(ln_login *l, const ln_ws_config *config) {
    if (!config || config->message_max >= l->session->conn->ws.config->message_max) return;
    l->wide = l->session->conn->ws.config;
    l->session->conn->ws.config = config;
}

int ln_login_open(ln_session *s, const ln_session_options *o) {
    ln_login *l = o->auth ? ln_calloc(1, sizeof *l) : NULL;
    if (!l) {
        ln_free(o->identity);
        return o->auth ? LINNET_ERR_NOMEM : LINNET_OK;
    }
    *l = (ln_login){ .session = s, .auth = o->auth };
    ln_list_init(&l->node);
    ln_list_init(&l->lacking);
    s->login = l;
    if (o->identity) {
        become(l, o->identity);
        return LINNET_OK;
    }
    l->returns = o->returns;
    bool guest = o->auth->anonymous && !o->refused && !o->returns;
    l->state = guest ? LN_LOGIN_GUEST : LN_LOGIN_WANTED;
    if (l->state == LN_LOGIN_GUEST) return LINNET_OK;
    narrow(l, o->narrow);
    plan(l, LN_LOGIN_DEADLINE_S);
    return LINNET_OK;
}

void ln_login_close(ln_session *s) {
    ln_login *l = s->login;
    if (!l) return;
    widen(l);
    ln_list_remove(&l->node);
    ln_list_remove(&l->lacking);
    ln_seat_give(s->node->hub, l->seat);
    ln_free(l->id);
    ln_free(l);
    s->login = NULL;
}

/* Channels that a token names ------------------------------------------------------------- */

static void put_into(ln_session *s, ln_slice channel) {
    ln_native_command c = { .verb = LN_VERB_SUBSCRIBE, .channel = channel };
    if (!s->closed && !ln_sub_find(s, channel)) ln_session_subscribe(s, &c, true);
}

static ln_slice own_channel(const ln_identity *id, uint8_t name[1 + LN_USER_NAME_MAX]) {
    ln_slice user = ln_identity_user(id);
    name[0] = '@';
    memcpy(name + 1, user.data, user.size);
    return ln_slice_of(name, 1 + user.size);
}

bool ln_login_puts_into(const ln_session *s, ln_slice channel) {
    uint8_t name[1 + LN_USER_NAME_MAX];
    const ln_identity *id = ln_session_identity(s);
    if (!id) return false;
    if (s->login->auth->personal && ln_slice_eq(channel, own_channel(id, name))) return true;
    uint32_t at = 0;
    for (ln_slice sub; ln_identity_next_sub(id, &at, &sub);)
        if (ln_slice_eq(sub, channel)) return true;
    return false;
}

static void put_into_own(ln_session *s, const ln_identity *id) {
    uint8_t name[1 + LN_USER_NAME_MAX];
    ln_slice channel = own_channel(id, name);
    if (ln_channel_name_check(LN_SPACE_CHANNELS, channel) == LINNET_OK) put_into(s, channel);
}

void ln_login_settle(ln_session *s) {
    ln_login *l = s->login;
    if (!l || !l->id || l->settled || s->seating || s->dialect == LN_DIALECT_AUTO) return;
    l->settled = true;
    if (l->auth->personal) put_into_own(s, l->id);
    uint32_t at = 0;
    for (ln_slice channel; ln_identity_next_sub(l->id, &at, &channel);)
        put_into(s, channel);
}

/* What it may not be in any more, with another token; nor on its way there, for it was let in by
 * the old one. */
static void leave_forbidden(ln_session *s) {
    for (ln_sub *next, *sub = s->subs; sub; sub = next) {
        next = sub->next;
        if (sub->more->expires || ln_sub_placed(sub) || ln_sub_leaves(sub)) continue;
#if defined(LN_PLANT) && LN_PLANT == 28 /* tests/sim: who is on his way in is not seen */
        if (!ln_subscription_joined(&sub->s)) continue;
#endif
        if (ln_session_may(s, LN_ACT_SUBSCRIBE, ln_sub_name(sub)) == LINNET_OK) continue;
        ln_sub_unanswered(s, sub, "the new token does not allow it");
        ln_sub_end(s, sub, LN_NATIVE_PERMISSION_DENIED);
        if (s->closed) return; /* and with it all the others */
    }
}

/* Before -------------------------------------------------------------------------------- */

static bool wanted(const ln_session *s) {
    return s->login && s->login->state == LN_LOGIN_WANTED;
}

bool ln_login_bars(ln_session *s, const ln_native_command *c) {
    if (!wanted(s)) return false;
    switch (c->verb) {
    case LN_VERB_AUTH:
    case LN_VERB_PING:
    case LN_VERB_PONG:
    case LN_VERB_HEARTBEAT: return false;
    default: break;
    }
    if (ln_session_dialect(s)->abrupt)
        ln_session_end(s, 1008, "Not authenticated");
    else
        ln_session_refuse(s, c, LN_NATIVE_UNAUTHORIZED, "not authenticated");
    return true;
}

bool ln_login_bars_text(ln_session *s) {
    if (!wanted(s)) return false;
    ln_session_end(s, 3501, "not a command");
    return true;
}

/* Its clients say nothing, so that who has not logged in by now never will. */
void ln_login_feed(ln_session *s, ln_slice channel) {
    if (wanted(s))
        ln_session_end(s, 3500, "Not authenticated");
    else if (ln_session_may(s, LN_ACT_SUBSCRIBE, channel) < 0)
        ln_session_end(s, 3507, "not allowed in this channel");
    else
        ln_session_feed(s, channel);
}

/* The verbs ------------------------------------------------------------------------------- */

/* The token is no good, and this is the end. What has only run out may come back with a new one. */
static const struct farewell {
    ln_native_code code;
    uint16_t close;
    const char *words, *reason, *plain;
} farewells[] = {
    [0] = { LN_NATIVE_UNAUTHORIZED, 3500, "invalid token", "Invalid token", "Invalid token" },
    [LN_JWS_FAULT_EXPIRED] = { LN_NATIVE_TOKEN_EXPIRED, 3005, "invalid token", "Token expired",
        "Invalid token" },
    [LN_JWS_FAULT_BANNED] = { LN_NATIVE_PERMISSION_DENIED, 3507, "banned", "banned", "banned" },
};

static const struct farewell *farewell_of(ln_jws_fault fault) {
    bool own = fault == LN_JWS_FAULT_EXPIRED || fault == LN_JWS_FAULT_BANNED;
    return &farewells[own ? fault : 0];
}

static void reject(ln_session *s, const ln_native_command *c, ln_jws_fault fault) {
    const struct farewell *f = farewell_of(fault);
    bool plain = s->dialect == LN_DIALECT_AUTO || ln_session_dialect(s)->plain;
    if (!ln_session_dialect(s)->abrupt && s->dialect != LN_DIALECT_AUTO)
        ln_session_refuse(s, c, f->code, f->words);
    ln_session_end(s, plain ? 1008 : f->close, plain ? f->plain : f->reason);
}

void ln_login_refused(ln_session *s, ln_jws_fault fault) {
    ln_native_command none = { 0 };
    reject(s, &none, fault);
}

void ln_login_say(ln_session *s, ln_reply *reply) {
    const ln_identity *id = s->login ? s->login->id : NULL;
    ln_buf ticket;
    ln_buf_init(&ticket, LN_BUF_MAX);
    if (id) reply->user = ln_identity_user(id);
    if (id && id->expires) reply->expires = left_s(s, id) ? left_s(s, id) : 1;
    if (ln_resume_ticket(s, &ticket)) reply->resume = ln_buf_slice(&ticket);
    ln_session_ok(s, reply);
    ln_buf_fini(&ticket);
}

static void say_known(ln_session *s, const ln_native_command *c) {
    ln_reply reply = { .verb = c->verb, .re = c->id };
    ln_login_say(s, &reply);
}

bool ln_login_wait(ln_session *s) {
    ln_sessions *n = s->node;
    ln_login *l = s->login;
    if (n->late || n->turn) return false;
    if (!ln_list_linked(&l->lacking)) {
        l->lacks_until = ln_hub_now(n->hub) + LN_LOGIN_LACKS_MS;
        ln_list_push(&n->lacking, &l->lacking);
    }
    l->again = true;
    ln_session_hold(s, n->text, true);
    return true;
}

bool ln_login_again(const ln_session *s) {
    bool again = s->login && s->login->again;
    if (again) s->login->again = false;
    return again;
}

void ln_sessions_keys(ln_sessions *n) {
    ln_list some;
    ln_list_init(&some);
    ln_list_splice(&some, &n->lacking);
    for (ln_list *node; (node = ln_list_pop(&some));)
        ln_session_answered(ln_list_item(node, ln_login, lacking)->session);
}

/* Whose keys have not come in time. */
static void end_lacking(ln_sessions *n) {
    n->late = true;
    while (!ln_list_empty(&n->lacking)) {
        ln_login *l = ln_list_item(n->lacking.next, ln_login, lacking);
        if (l->lacks_until > ln_hub_now(n->hub)) break;
        ln_list_remove(&l->lacking);
        ln_session_answered(l->session);
    }
    n->late = false;
}

/* Reads the token of a command. LINNET_OK with *id; LN_PENDING: the command waits. */
static int read_token(
    ln_session *s, const ln_native_command *c, ln_identity **id, ln_jws_fault *fault) {
    *fault = LN_JWS_FAULT_FORM;
    int err = ln_identity_read(s->login->auth, c->token, wall_s(s), id, fault);
    if (err == LINNET_ERR_DENIED) ln_session_owe(s);
    return err == LN_PENDING && !ln_login_wait(s) ? LINNET_ERR_AGAIN : err;
}

void ln_login_auth(ln_session *s, const ln_native_command *c) {
    if (c->resume.data) {
        ln_resume_auth(s, c);
        return;
    }
    if (s->login && s->login->returns) {
        ln_session_refuse(s, c, LN_NATIVE_UNAUTHORIZED, "a ticket is wanted");
        ln_session_end(s, 3010, "come back without resume");
        return;
    }
    if (!s->login) { /* nobody is asked here who he is, so this is as good as any */
        say_known(s, c);
        return;
    }
    if (s->login->id) {
        ln_login_refresh(s, c);
        return;
    }
    ln_identity *id = NULL;
    ln_jws_fault fault;
    int err = c->token.data ? read_token(s, c, &id, &fault) : LINNET_ERR_INVAL;
    if (err == LN_PENDING) return;
    if (err == LINNET_ERR_INVAL) {
        ln_session_refuse(s, c, LN_NATIVE_BAD_REQUEST, "token is missing");
    } else if (err == LINNET_ERR_DENIED) {
        reject(s, c, fault);
    } else if (err < 0) {
        ln_session_refuse_err(s, c, err);
    } else {
        become(s->login, id);
        say_known(s, c);
        ln_seat_ask(s);
        ln_login_settle(s);
    }
}

/* A bad one changes nothing: the old one still runs. */
void ln_login_refresh(ln_session *s, const ln_native_command *c) {
    ln_login *l = s->login;
    if (!l || !l->id) {
        ln_session_refuse(s, c, LN_NATIVE_UNAUTHORIZED, "there is nothing to refresh");
        return;
    }
    ln_identity *id = NULL;
    ln_jws_fault fault;
    int err = c->token.data ? read_token(s, c, &id, &fault) : LINNET_ERR_INVAL;
    if (err == LN_PENDING) return;
    if (err == LINNET_ERR_INVAL) {
        ln_session_refuse(s, c, LN_NATIVE_BAD_REQUEST, "token is missing");
    } else if (err == LINNET_ERR_DENIED) {
        const struct farewell *f = farewell_of(fault);
        ln_session_refuse(s, c, f->code, f->words);
    } else if (err < 0) {
        ln_session_refuse_err(s, c, err);
    } else if (!ln_slice_eq(ln_identity_user(id), ln_identity_user(l->id))) {
        ln_free(id);
        ln_session_refuse(s, c, LN_NATIVE_PERMISSION_DENIED, "the token is for somebody else");
    } else {
        become(l, id);
        say_known(s, c);
        leave_forbidden(s);
        ln_login_settle(s);
    }
}

int ln_login_channel_token(ln_session *s, const ln_native_command *c, uint64_t *expires) {
    const ln_login *l = s->login;
    if (!l) return LINNET_ERR_DENIED;
    ln_slice user = l->id ? ln_identity_user(l->id) : LN_SLICE("");
    int err = ln_channel_token_check(l->auth, c->token, wall_s(s), user, c->channel, expires);
    return err == LN_PENDING && !ln_login_wait(s) ? LINNET_ERR_AGAIN : err;
}

/* Time ---------------------------------------------------------------------------------- */

/* Leave for single channels that has run out. When the next one does. */
static uint64_t end_subs(ln_session *s) {
    uint64_t now = wall_s(s), next = SLOTS;
    for (ln_sub *after, *sub = s->subs; sub; sub = after) {
        after = sub->next;
        if (!sub->more->expires || ln_sub_leaves(sub)) continue;
        uint64_t end = sub->more->expires + LN_LOGIN_GRACE_S;
        if (end > now)
            next = end - now < next ? end - now : next;
        else if (!ln_subscription_joined(&sub->s) && !sub->more->behind)
            next = 1;
        else
            ln_sub_end(s, sub, LN_NATIVE_TOKEN_EXPIRED);
        if (s->closed) return next; /* and with it all the others */
    }
    return next;
}

/* When a backend is asked again, and not later than it would end. */
static uint64_t again_s(const ln_session *s) {
    uint64_t now = wall_s(s), end = s->login->id->expires + LN_LOGIN_GRACE_S;
    if (end <= now) return 0;
    return end - now < LN_LOGIN_AGAIN_S ? end - now : LN_LOGIN_AGAIN_S;
}

static void warn(ln_session *s) {
    s->login->state = LN_LOGIN_WARNED;
    if (s->login->id->vouched && ln_ask_refresh(s)) return;
    if (s->dialect == LN_USER_NATIVE)
        ln_session_say(s, ln_native_put_expiring(&s->node->out, left_s(s, s->login->id)));
}

/* The end of its token. In how many seconds there is more to do. */
static uint64_t look_at_token(ln_session *s) {
    const ln_login *l = s->login;
    if (!l->id || !l->id->expires) return SLOTS;
    uint64_t now = wall_s(s), end = l->id->expires;
#if !defined(LN_PLANT) || LN_PLANT != 19 /* tests/sim: no end is an end */
    if (end + LN_LOGIN_GRACE_S <= now) {
        ln_session_end(s, 3005, "token expired");
        return SLOTS;
    }
#endif
    if (end > now + LN_LOGIN_WARN_S) return end - LN_LOGIN_WARN_S - now;
    if (l->state == LN_LOGIN_KNOWN) {
        warn(s);
        if (s->closed) return SLOTS;
        if (l->state == LN_LOGIN_KNOWN) return again_s(s); /* answered at once, for or against */
    }
    return end + LN_LOGIN_GRACE_S - now;
}

/* A yes without a time is none: then all stays as it was, and ends as it would have. */
void ln_login_refreshed(ln_session *s, const ln_answer *a) {
    ln_login *l = s->login;
    ln_identity *id = NULL;
    if (!l || !l->id) return;
    if (!a->err && a->code) {
        ln_session_end(s, 3005, "not renewed");
        return;
    }
    int err = a->err;
    if (!err && a->expires <= wall_s(s)) return;
    if (!err) err = ln_identity_renew(l->id, a->info, a->channels, wall_s(s), a->expires, &id);
    if (err < 0) {
        l->state = LN_LOGIN_KNOWN;
        plan(l, again_s(s));
        return;
    }
    become(l, id);
    leave_forbidden(s);
    if (!s->closed) ln_login_settle(s);
}

int ln_login_extend(ln_session *s, uint64_t expires, ln_slice info) {
    ln_login *l = s->login;
    ln_identity *id;
    if (!l || !l->id) return LINNET_ERR_NOT_FOUND;
    int err = ln_identity_change(l->id, expires, info, &id);
    if (err < 0) return err;
    bool settled = l->settled; /* it names no other channels */
    become(l, id);
    l->settled = settled;
    ln_resume_stale(s);
    return LINNET_OK;
}

static void look(ln_session *s) {
    if (s->closed) return;
    if (wanted(s)) {
        bool plain = s->dialect != LN_DIALECT_AUTO && ln_session_dialect(s)->plain;
        ln_session_end(s, 3002, plain ? "Not authenticated" : "not authenticated in time");
        return;
    }
    uint64_t subs = end_subs(s);
    if (s->closed) return;
    uint64_t token = look_at_token(s);
    if (!s->closed) plan(s->login, subs < token ? subs : token);
}

void ln_login_watch(ln_session *s) {
    if (s->login) plan(s->login, 1);
}

void ln_logins_tick(ln_sessions *n) {
    if (!ln_list_empty(&n->lacking)) end_lacking(n);
    uint64_t second = ln_hub_now(n->hub) / 1000;
    if (second < n->login_due) return;
    uint64_t from = n->login_due + SLOTS > second ? n->login_due : second - SLOTS + 1;
    n->login_due = UINT64_MAX;
    ln_list due;
    ln_list_init(&due);
    for (; from <= second; from++)
        ln_list_splice(&due, &n->logins[from % SLOTS]);
    for (ln_list *node; (node = ln_list_pop(&due));)
        look(ln_list_item(node, ln_login, node)->session);
    for (uint64_t at = second + 1; at < second + SLOTS && at < n->login_due; at++)
        if (!ln_list_empty(&n->logins[at % SLOTS])) n->login_due = at;
}

ln_msec ln_logins_deadline(const ln_sessions *n) {
    ln_msec due = n->login_due == UINT64_MAX ? LN_NEVER : n->login_due * 1000;
    if (ln_list_empty(&n->lacking)) return due;
    ln_msec lacks = ln_list_item(n->lacking.next, ln_login, lacking)->lacks_until;
    return lacks < due ? lacks : due;
}
