/* Commands whose answer is somebody else's, and those that wait behind them (ask.h). */
#include "session/ask.h"
#include "base/mem.h"
#include "session/login.h"
#include <assert.h>

/* One command. Waiting: ticket 0, and in no list but its session's. Asked: also in node->asked,
 * which is sorted by time because all wait equally long. */
struct ln_pending {
    ln_list asked;
    struct ln_pending *next;
    ln_session *session;
    ln_msec deadline;
    uint32_t ticket, size; /* of the text */
    uint8_t kind, verb, name_size, re_size;
    uint8_t bytes[]; /* text, name, re */
};

static ln_slice name_of(const ln_pending *p) {
    return ln_slice_of(p->bytes + p->size, p->name_size);
}

static ln_slice re_of(const ln_pending *p) {
    return ln_slice_of(p->bytes + p->size + p->name_size, p->re_size);
}

/* The list ---------------------------------------------------------------------------------- */

static ln_pending *pending_new(ln_session *s, const ln_native_command *c) {
    ln_slice text = s->node->text, name = c->channel;
    if (name.size > LN_CHANNEL_NAME_MAX) name = ln_slice_of(NULL, 0);
    ln_pending *p = ln_malloc(sizeof *p + text.size + name.size + c->id.size);
    if (!p) return NULL;
    *p = (ln_pending){ .session = s,
        .size = (uint32_t)text.size,
        .verb = (uint8_t)c->verb,
        .name_size = (uint8_t)name.size,
        .re_size = (uint8_t)c->id.size };
    ln_list_init(&p->asked);
    memcpy(p->bytes, text.data, text.size);
    if (name.size) memcpy(p->bytes + text.size, name.data, name.size);
    if (c->id.size) memcpy(p->bytes + text.size + name.size, c->id.data, c->id.size);
    ln_pending **end = &s->pending;
    while (*end)
        end = &(*end)->next;
    *end = p;
    s->outstanding++;
    return p;
}

static void unlink_pending(ln_session *s, ln_pending *p) {
    ln_pending **at = &s->pending;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at) *at = p->next;
    p->next = NULL;
    ln_list_remove(&p->asked);
}

static void drop(ln_session *s, ln_pending *p) {
    unlink_pending(s, p);
    s->outstanding--;
    ln_free(p);
}

void ln_ask_end(ln_session *s) {
    while (s->pending)
        drop(s, s->pending);
}

/* What names no channel stands in nobody's way. */
static ln_pending *first_of(const ln_session *s, ln_slice channel) {
    ln_pending *p = channel.size ? s->pending : NULL;
    while (p && !ln_slice_eq(name_of(p), channel))
        p = p->next;
    return p;
}

/* Saying no --------------------------------------------------------------------------------- */

static ln_native_code code_of(const ln_answer *a, ln_ask_kind kind) {
    if (!a->err) return (ln_native_code)a->code;
    if (a->err == LINNET_ERR_TIMEOUT && kind == LN_ASK_CALL) return LN_NATIVE_TIMEOUT;
    return a->err == LINNET_ERR_NOMEM ? LN_NATIVE_INTERNAL : LN_NATIVE_NOT_AVAILABLE;
}

static void refuse(
    ln_session *s, ln_slice re, ln_slice channel, ln_ask_kind kind, const ln_answer *a) {
    char words[LN_ASK_MESSAGE_MAX + 1];
    size_t size = a->message.size;
    while (size > LN_ASK_MESSAGE_MAX || (size < a->message.size && a->message.data[size] >> 6 == 2))
        size--;
    if (size) memcpy(words, a->message.data, size);
    words[size] = 0;
    ln_native_error error = { .re = re, .channel = channel, .code = code_of(a, kind) };
    if (size) error.message = words;
    if (a->err) error.message = "the backend gave no answer";
    ln_session_error(s, &error);
}

/* Asking ------------------------------------------------------------------------------------ */

static ln_question question(
    const ln_session *s, ln_ask_kind kind, uint32_t ticket, const ln_native_command *c) {
    return (ln_question){ .kind = kind,
        .who = ln_session_handle(s),
        .ticket = ticket,
        .client = ln_slice_of(s->client, s->client_size),
        .user = ln_session_user(s),
        .info = ln_session_info(s),
        .channel = c->channel,
        .event = c->event,
        .data = c->data };
}

static uint32_t ticket_new(ln_session *s) {
    if (++s->tickets == LN_ASK_STREAM) s->tickets = 1;
    return s->tickets;
}

static void asked(ln_session *s, ln_pending *p, ln_ask_kind kind) {
    ln_sessions *n = s->node;
    p->kind = (uint8_t)kind;
    p->ticket = ticket_new(s);
    p->deadline = ln_hub_now(n->hub) + LN_ASK_MS;
    ln_list_push(&n->asked, &p->asked);
}

bool ln_ask_may(ln_session *s, ln_ask_kind kind, const ln_native_command *c, ln_slice *data) {
    ln_sessions *n = s->node;
    if (n->granted) {
        if (n->granted->data.size) *data = n->granted->data;
        return true;
    }
    if (!ln_asker_wants(n->asker, kind)) return true;
    ln_answer now = { 0 };
    bool mine = !n->turn;
    ln_pending *p = mine ? pending_new(s, c) : n->turn;
    int err = LINNET_ERR_NOMEM;
    if (p) {
        asked(s, p, kind);
        ln_question q = question(s, kind, p->ticket, c);
        err = n->asker->ask(n->asker->ctx, &q, &now);
        if (err == LN_PENDING) return false;
        p->ticket = 0;
        ln_list_remove(&p->asked);
        if (mine) drop(s, p);
    }
    if (err < 0) now = (ln_answer){ .err = err };
    if (ln_heard(s)) ln_hear_hook(s, kind, c->channel, &now);
    if (now.err || now.code)
        refuse(s, c->id, c->channel, kind, &now);
    else if (now.data.size)
        *data = now.data;
    return !now.err && !now.code;
}

bool ln_ask_refresh(ln_session *s) {
    ln_sessions *n = s->node;
    const ln_native_command none = { .verb = LN_VERB_OTHER };
    ln_answer now = { 0 };
    if (!ln_asker_wants(n->asker, LN_ASK_REFRESH)) return false;
    n->text = LN_SLICE("");
    ln_pending *p = pending_new(s, &none);
    int err = LINNET_ERR_NOMEM;
    if (p) {
        asked(s, p, LN_ASK_REFRESH);
        ln_question q = question(s, LN_ASK_REFRESH, p->ticket, &none);
        err = n->asker->ask(n->asker->ctx, &q, &now);
        if (err == LN_PENDING) return true;
        drop(s, p);
    }
    if (err < 0) now = (ln_answer){ .err = err };
    ln_login_refreshed(s, &now);
    return true;
}

void ln_ask_tell(ln_session *s, const ln_question *what) {
    const ln_asker *a = s->node->asker;
    if (!ln_asker_wants(a, what->kind)) return;
    ln_question q = *what;
    ln_answer nothing = { 0 };
    q.who = ln_session_handle(s);
    q.client = ln_slice_of(s->client, s->client_size);
    q.user = ln_session_user(s);
    q.info = ln_session_info(s);
    a->ask(a->ctx, &q, &nothing);
}

/* Waiting ----------------------------------------------------------------------------------- */

/* Subscribes to this channel that have not been answered are not to be any more. */
static bool cancel(ln_session *s, ln_slice channel) {
    bool some = false;
    for (ln_pending *p = s->pending, *next; p; p = next) {
        next = p->next;
        if (p->verb != LN_VERB_SUBSCRIBE || !ln_slice_eq(name_of(p), channel)) continue;
        ln_native_error error = { .re = re_of(p),
            .channel = channel,
            .code = LN_NATIVE_NOT_SUBSCRIBED,
            .message = "an unsubscribe came behind it" };
        if (p->re_size) ln_session_say(s, ln_session_dialect(s)->error(&s->node->out, &error));
        drop(s, p);
        some = true;
    }
    return some;
}

/* What is sent to a user is about his channel, though it does not say so. */
static bool to_user(const ln_native_command *c, ln_native_command *there, uint8_t *name) {
#if defined(LN_PLANT) && LN_PLANT == 24 /* tests/sim: a user has no order */
    return false;
#endif
    if (c->verb != LN_VERB_SEND || !c->to.size || c->to.size > LN_USER_NAME_MAX) return false;
    name[0] = '@';
    memcpy(name + 1, c->to.data, c->to.size);
    *there = *c;
    there->channel = ln_slice_of(name, 1 + c->to.size);
    return true;
}

bool ln_ask_behind(ln_session *s, const ln_native_command *c) {
    uint8_t name[1 + LN_USER_NAME_MAX];
    ln_native_command there;
    if (to_user(c, &there, name)) c = &there;
#if defined(LN_PLANT) && LN_PLANT == 21 /* tests/sim: nobody waits */
    return false;
#endif
    if (!first_of(s, c->channel)) return false;
    if (c->verb == LN_VERB_UNSUBSCRIBE && cancel(s, c->channel) && !ln_sub_find(s, c->channel)) {
        ln_reply reply = { .verb = LN_VERB_UNSUBSCRIBE, .re = c->id, .channel = c->channel };
        ln_session_ok(s, &reply);
        ln_session_answered(s);
        return true;
    }
    if (!first_of(s, c->channel)) return false;
    if (!pending_new(s, c)) ln_session_refuse_err(s, c, LINNET_ERR_NOMEM);
    return true;
}

/* It is in no list while it runs: what it does may end the session. */
static void run(ln_session *s, ln_pending *p, const ln_answer *granted) {
    ln_sessions *n = s->node;
    unlink_pending(s, p);
    s->outstanding--;
    p->ticket = 0;
    n->turn = p;
    n->granted = granted;
    ln_session_again(s, ln_slice_of(p->bytes, p->size), name_of(p));
    n->turn = NULL;
    n->granted = NULL;
    if (!p->ticket || s->closed) {
        ln_list_remove(&p->asked);
        ln_free(p);
        return;
    }
    p->next = s->pending; /* it was the first of its channel, and is again */
    s->pending = p;
    s->outstanding++;
}

static ln_pending *next_free(const ln_session *s) {
    for (ln_pending *p = s->pending; p; p = p->next) {
        if (p->ticket || first_of(s, name_of(p)) != p) continue;
        const ln_sub *sub = p->verb == LN_VERB_SUBSCRIBE ? ln_sub_find(s, name_of(p)) : NULL;
        if (!sub || !ln_sub_leaves(sub)) return p;
    }
    return NULL;
}

void ln_ask_resume(ln_session *s) {
    for (ln_pending *p; !s->closed && (p = next_free(s));)
        run(s, p, NULL);
}

/* Answers ----------------------------------------------------------------------------------- */

void ln_ask_result(ln_session *s, ln_slice re, ln_slice channel, ln_slice data) {
    ln_reply reply = { .verb = LN_VERB_CALL,
        .re = re,
        .channel = channel,
        .data = data.size ? data : LN_SLICE("null") };
    ln_session_ok(s, &reply);
}

void ln_sessions_answer(ln_sessions *n, uint64_t who, uint32_t ticket, const ln_answer *a) {
    ln_session *s = ln_session_of(n, who);
    ln_pending *p = s ? s->pending : NULL;
    while (p && p->ticket != ticket)
        p = p->next;
    if (!p || !ticket || s->closed) return;
    bool allowed = !a->err && !a->code;
    if (ln_heard(s)) ln_hear_hook(s, (ln_ask_kind)p->kind, name_of(p), a);
    if (p->kind == LN_ASK_REFRESH) {
        drop(s, p);
        ln_login_refreshed(s, a);
    } else if (allowed && p->kind != LN_ASK_CALL) {
        run(s, p, a);
    } else {
        unlink_pending(s, p);
        s->outstanding--;
        if (allowed)
            ln_ask_result(s, re_of(p), name_of(p), a->data);
        else
            refuse(s, re_of(p), name_of(p), (ln_ask_kind)p->kind, a);
        ln_free(p);
    }
    ln_session_answered(s);
}

void ln_asks_tick(ln_sessions *n) {
    const ln_answer late = { .err = LINNET_ERR_TIMEOUT };
    while (!ln_list_empty(&n->asked)) {
        ln_pending *p = ln_list_item(n->asked.next, ln_pending, asked);
        if (p->deadline > ln_hub_now(n->hub)) return;
        ln_list_remove(&p->asked); /* a session that is closed does not answer */
        ln_sessions_answer(n, ln_session_handle(p->session), p->ticket, &late);
    }
}

ln_msec ln_asks_deadline(const ln_sessions *n) {
    if (ln_list_empty(&n->asked)) return LN_NEVER;
    return ln_list_item(n->asked.next, ln_pending, asked)->deadline;
}
