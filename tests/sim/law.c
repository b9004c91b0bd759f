#include "law.h"
#include <linnet/token.h>
#include <stdio.h>
#include <stdlib.h>

#define QUESTIONS 8192
#define RULES     64
#define NODES     2

typedef enum verdict { WAITS, YES, NO } verdict;

typedef struct question {
    linnet_question_id id;
    char client[20];
    uint32_t node, channel, key; /* channel: the seat */
    linnet_hook hook;
    verdict verdict;
    bool changed;
    ln_msec at, due; /* LN_NEVER: it is not going to be answered */
    bool dead;       /* answered, or nobody's any more */
} question;

typedef struct rule { /* of r:6 and r:7, from a moment on */
    ln_msec at;
    bool open;
} rule;

typedef struct court { /* of a node */
    law *law;
    uint32_t node;
    linnet_hub *hub;
    linnet_keys *keys;
    linnet_slice ticket_key;
    linnet_namespace spaces[4];
    linnet_auth_options auth;
    linnet_hooks hooks;
    rule rules[LIVES * RULES];
    uint32_t rule_count, first_rule; /* of this life */
} court;

struct law {
    scene *scene;
    court courts[NODES];
    question *questions;
    uint32_t count, waiting; /* none before `waiting` waits */
    bool calm;
};

#define SECRET "correct horse battery staple, at least 32 bytes"

#define TICKET_SECRET "which signs tickets, as long as anybody comes back"

static uint32_t below(const law *l, uint32_t n) {
    return ln_simnet_below(l->scene->net, n);
}

static bool has(const law *l, int kind) {
    return plan_has(l->scene->plan, kind);
}

law *law_new(scene *s) {
    law *l = calloc(1, sizeof *l);
    if (!l) abort();
    *l = (law){ .scene = s, .questions = calloc(QUESTIONS, sizeof *l->questions) };
    for (uint32_t i = 0; i < NODES; i++)
        l->courts[i] = (court){ .law = l, .node = i };
    return l;
}

void law_free(law *l) {
    free(l->questions);
    free(l);
}

uint64_t law_now_s(const law *l) {
    return UINT64_C(1700000000) + ln_simnet_now(l->scene->net) / 1000;
}

/* -- the backend ------------------------------------------------------------------------------- */

static uint32_t key_in(ln_slice data) {
    ln_json_value top;
    return ln_json_check(data, &top) < 0 ? 0 : client_key(&top);
}

/* What comes again with its number is judged again, and is the same. */
static const question *said_yes(const law *l, const question *q) {
    if (!has(l, PLAN_NUMBERS)) return NULL;
    for (uint32_t i = l->count; i-- > 0;) {
        const question *o = &l->questions[i];
        if (o != q && o->key == q->key && o->hook == q->hook && o->verdict == YES) return o;
    }
    return NULL;
}

static void give(law *l, question *q, linnet_answer *a, verdict v, char changed[64]) {
    scene *s = l->scene;
    q->verdict = v;
    q->dead = true;
    if (v == NO) {
        did(s, DID_NO);
        a->code = below(l, 2) ? 103 : 1234;
        return;
    }
    if (q->hook != LINNET_HOOK_PUBLISH || !q->key) return;
    const question *before = said_yes(l, q);
    bool other = before ? before->changed : !l->calm && below(l, 10) == 0;
    q->changed = other;
    if (other) a->data = ln_slice_of(changed, client_changed(q->key, changed));
    if (other) did(s, DID_INSTEAD);
    history_allowed(s->h, q->key, other);
}

static question *ask(court *c, const linnet_question *what) {
    law *l = c->law;
    if (l->count == QUESTIONS) return NULL;
    question *q = &l->questions[l->count++];
    *q = (question){ .at = ln_simnet_now(l->scene->net),
        .id = what->id,
        .node = c->node,
        .hook = what->hook,
        .due = LN_NEVER };
    snprintf(q->client, sizeof q->client, "%.*s", (int)what->client.size,
        (const char *)what->client.data);
    q->channel = what->channel.size ? channel_seat(what->channel, USERS) : SEATS;
    if (what->hook == LINNET_HOOK_PUBLISH) q->key = key_in(what->data);
    return q;
}

/* The program's callback; what it says in *now is good until it is called again. */
static linnet_verdict on_ask(
    void *ctx, linnet_hub *hub, const linnet_question *what, linnet_answer *now) {
    static char changed[64];
    court *c = ctx;
    law *l = c->law;
    question *q = ask(c, what);
    if (hub != c->hub && c->hub)
        history_anomaly(l->scene->h, "late-callback", "a backend is asked by a hub that ended");
    if (!q) return LINNET_REJECT;
    if (q->channel == SEATS) { /* of the reader of rings, which is nobody's business */
        give(l, q, now, YES, changed);
        return LINNET_ACCEPT;
    }
    l->scene->events++;
    did(l->scene, DID_ASKED);
    uint32_t dice = below(l, 100);
    if (l->calm ? dice < 60 : dice < 50) {
        give(l, q, now, YES, changed);
        return LINNET_ACCEPT;
    }
    if (!l->calm && dice < 58) {
        q->verdict = NO;
        q->dead = true;
        did(l->scene, DID_NO);
        return LINNET_REJECT;
    }
    q->due = ln_simnet_now(l->scene->net) + 1 + below(l, dice < 92 || l->calm ? 200 : 5500);
    if (!l->calm && dice > 97) {
        q->due = LN_NEVER;
        did(l->scene, DID_NEVER);
    }
    return LINNET_DEFER;
}

static void answer(law *l, question *q) {
    char changed[64];
    linnet_answer a = LINNET_ANSWER_INIT;
    give(l, q, &a, !l->calm && below(l, 4) == 0 ? NO : YES, changed);
    if (q->verdict == YES) did(l->scene, DID_YES_LATER);
    if (ln_simnet_now(l->scene->net) >= q->at + 5000) did(l->scene, DID_TOO_LATE);
    int err = linnet_hub_answer(l->courts[q->node].hub, q->id, &a);
    if (err < 0)
        history_anomaly(l->scene->h, "stuck", "an answer is refused: %s", linnet_strerror(err));
}

static void answer_some(law *l, uint32_t node) {
    ln_msec now = ln_simnet_now(l->scene->net);
    for (uint32_t i = l->waiting; i < l->count; i++) {
        question *q = &l->questions[i];
        if (q->dead && i == l->waiting) l->waiting++;
        if (q->dead || q->node != node || q->due > now) continue;
        answer(l, q);
    }
}

/* -- rules ------------------------------------------------------------------------------------- */

static void fill_spaces(court *c, bool open) {
    const plan *p = c->law->scene->plan;
    static const char *const names[] = { "g", "r", "@", "q" };
    linnet_rule guarded = plan_has(p, PLAN_LOGIN) ? LINNET_RULE_TOKEN : LINNET_RULE_DEFAULT;
    for (uint32_t i = 0; i < 4; i++) {
        linnet_namespace *n = &c->spaces[i];
        *n = (linnet_namespace)LINNET_NAMESPACE_INIT;
        n->name = names[i];
        n->history_count = i == 3 ? 100 : p->history_count;
        n->members = plan_has(p, PLAN_PRESENCE) && i < 2;
        n->batch_ms = p->batch_ms;
        n->slow = i < 2 ? p->slow : LINNET_SLOW_DISCONNECT;
    }
    c->spaces[0].subscribe = c->spaces[0].publish = guarded;
    c->spaces[1].subscribe = c->spaces[1].publish = open ? LINNET_RULE_ANYONE : LINNET_RULE_NOBODY;
    c->spaces[3].subscribe = c->spaces[3].publish = LINNET_RULE_ANYONE;
}

static void fill_auth(court *c) {
    linnet_key key = LINNET_KEY_INIT;
    key.bytes = linnet_str(SECRET);
    if (linnet_keys_new(&c->keys) < 0 || linnet_keys_add(c->keys, &key) < 0) abort();
    c->auth = (linnet_auth_options)LINNET_AUTH_OPTIONS_INIT;
    c->auth.keys = c->keys;
    c->auth.personal = true;
    c->auth.anonymous = c->law->scene->plan->guests_may ? LINNET_ANONYMOUS_PUBLISH
                                                        : LINNET_ANONYMOUS_NOTHING;
}

static void note_rule(court *c, bool open) {
    if (c->rule_count == LIVES * RULES) return;
    c->rules[c->rule_count++] = (rule){ ln_simnet_now(c->law->scene->net), open };
}

void law_options(law *l, uint32_t node, linnet_hub_options *o) {
    court *c = &l->courts[node];
    const plan *p = l->scene->plan;
    bool open = !has(l, PLAN_RELOAD) || l->calm || below(l, 3);
    fill_spaces(c, open);
    o->namespaces = c->spaces;
    o->namespace_count = 4;
    o->members = has(l, PLAN_PRESENCE);
    o->history_count = p->history_count;
    o->slow = p->slow;
    o->batch_ms = p->batch_ms;
    o->auth_rate = o->auth_failures = LINNET_OFF;
    o->channels_per_connection = 129; /* the reader of rings has 128, and his own */
    c->first_rule = c->rule_count;
    note_rule(c, open);
    o->resume_ms = p->resume_ms;
    if (p->keys_kept) {
        c->ticket_key = linnet_str(TICKET_SECRET);
        o->resume_keys = &c->ticket_key;
        o->resume_key_count = 1;
    }
    if (has(l, PLAN_LOGIN)) {
        fill_auth(c);
        o->auth = &c->auth;
    }
    if (!has(l, PLAN_BACKEND)) return;
    c->hooks = (linnet_hooks)LINNET_HOOKS_INIT;
    c->hooks.on_ask = on_ask;
    c->hooks.ctx = c;
    c->hooks.hooks = LINNET_HOOK_BIT(LINNET_HOOK_SUBSCRIBE) | LINNET_HOOK_BIT(LINNET_HOOK_PUBLISH);
    o->hooks = &c->hooks;
}

void law_began(law *l, uint32_t node, linnet_hub *hub) {
    l->courts[node].hub = hub;
}

void law_ended(law *l, uint32_t node) {
    court *c = &l->courts[node];
    for (uint32_t i = 0; i < l->count; i++)
        if (l->questions[i].node == node) l->questions[i].dead = true;
    linnet_keys_free(c->keys);
    c->keys = NULL;
    c->hub = NULL;
}

static void reload(law *l, uint32_t node) {
    court *c = &l->courts[node];
    linnet_hub_options o = LINNET_HUB_OPTIONS_INIT;
    bool open = l->calm || below(l, 2);
    fill_spaces(c, open);
    uint32_t count = below(l, 2) ? l->scene->plan->history_count : 5;
    if (count && count < l->scene->history_least) l->scene->history_least = count;
    c->spaces[0].history_count = c->spaces[1].history_count = count;
    o.namespaces = c->spaces;
    o.namespace_count = 4;
    o.history_count = count;
    o.members = has(l, PLAN_PRESENCE);
    o.channels_per_connection = 129;
    o.slow = l->scene->plan->slow;
    o.batch_ms = l->scene->plan->batch_ms;
    o.auth = has(l, PLAN_LOGIN) ? &c->auth : NULL;
    o.limits = l->scene->plan->limits;
    int err = linnet_hub_reload(c->hub, &o);
    if (err < 0) history_anomaly(l->scene->h, "stuck", "reload: %s", linnet_strerror(err));
    note_rule(c, open);
    did(l->scene, DID_RELOAD);
}

void law_act(law *l, uint32_t node) {
    if (l->courts[node].hub == NULL) return;
    answer_some(l, node);
    if (has(l, PLAN_RELOAD) && !l->calm && below(l, 25) == 0) reload(l, node);
}

void law_calm(law *l) {
    l->calm = true;
    for (uint32_t i = 0; i < NODES; i++)
        if (l->courts[i].hub && has(l, PLAN_RELOAD)) reload(l, i);
}

/* -- tokens ------------------------------------------------------------------------------------ */

size_t law_token(law *l, uint32_t user, const identity *what, uint32_t channel, char *out) {
    char claims[300], name[16];
    const char *why;
    linnet_key key = LINNET_KEY_INIT;
    key.bytes = linnet_str(what->good ? SECRET : "another secret, which nobody knows but he");
    int n = snprintf(claims, sizeof claims, "{\"sub\":\"u%u\",\"exp\":%llu", user,
        (unsigned long long)what->until);
    if (channel < SEATS) {
        ln_slice word = channel_name(channel, user, name);
        n += snprintf(claims + n, sizeof claims - (size_t)n, ",\"channel\":\"%.*s\"",
            (int)word.size, (const char *)word.data);
    } else if (what->claims) {
        n += snprintf(claims + n, sizeof claims - (size_t)n, ",\"channels\":[%s%s%s]",
            what->claims >> LAW_GUARDED & 1 ? "\"g:4\"" : "",
            what->claims >> LAW_GUARDED == 3 ? "," : "",
            what->claims >> (LAW_GUARDED + 1) & 1 ? "\"g:5\"" : "");
    }
    claims[n++] = '}';
    int err = linnet_token_sign(&key, ln_slice_of(claims, (size_t)n), out, &why);
    if (err < 0) history_anomaly(l->scene->h, "stuck", "no token: %s", why);
    return strlen(out);
}

/* -- judgement --------------------------------------------------------------------------------- */

static const court *court_of(const law *l, const attempt *a) {
    return &l->courts[a->node];
}

/* What a rule has been between two moments; a change takes a while to be everywhere. */
static bool rule_was(const law *l, const attempt *a, bool open, ln_msec from) {
    const court *c = court_of(l, a);
    ln_msec slack = 100 + 4 * l->scene->plan->faults.delay_max_ms;
    for (uint32_t i = c->first_rule; i < c->rule_count; i++)
        if (c->rules[i].open == open &&
            (i + 1 == c->rule_count || c->rules[i + 1].at + slack >= from))
            return true;
    return false;
}

static const question *last_asked(const law *l, const attempt *a, linnet_hook hook, uint32_t seat) {
    for (uint32_t i = l->count; i-- > 0;) {
        const question *q = &l->questions[i];
        if (q->hook == hook && q->channel == seat && strcmp(q->client, a->name) == 0) return q;
    }
    return NULL;
}

static void leak(const attempt *a, uint32_t seat, const char *words) {
    client_anomaly(a->client, "leak", "session %u, seat %u: %s", a->session, seat, words);
}

static bool claimed(const law *l, const attempt *a, uint32_t seat) {
    bool guarded = seat == LAW_GUARDED || seat == LAW_GUARDED + 1;
    if (!has(l, PLAN_LOGIN) || !guarded) return true;
    return a->identity.known && (a->identity.claims >> seat & 1);
}

static void check_rules(const law *l, const attempt *a, const asked *q, uint32_t seat) {
    if (has(l, PLAN_LOGIN) && !l->scene->plan->guests_may && !a->identity.known)
        leak(a, seat, "allowed before it has shown a token");
    bool once = q->what == ASK_PUBLISH && q->claimed; /* its token may be another one by now */
    if (!q->token && !once && !claimed(l, a, seat)) leak(a, seat, "its token does not say so");
    if (seat >= LAW_RULED && seat < OWN_SEAT && !rule_was(l, a, true, q->at))
        leak(a, seat, "allowed, and the rule says: nobody");
}

void law_joined(law *l, const attempt *a, const asked *q, uint32_t seat) {
    if (has(l, PLAN_BACKEND) && seat != OWN_SEAT) { /* the server puts him there by itself */
        const question *last = last_asked(l, a, LINNET_HOOK_SUBSCRIBE, seat);
        if (!last || last->verdict != YES)
            leak(a, seat, last ? "subscribed without a yes" : "subscribed, and nobody was asked");
    }
    check_rules(l, a, q, seat);
}

void law_published(law *l, const attempt *a, const asked *q) {
    if (q->channel == OWN_SEAT) return;
    check_rules(l, a, q, q->channel);
}

static const question *asked_about(const law *l, const attempt *a, const asked *q) {
    if (q->what == ASK_SUBSCRIBE) return last_asked(l, a, LINNET_HOOK_SUBSCRIBE, q->channel);
    for (uint32_t i = l->count; i-- > 0;)
        if (l->questions[i].hook == LINNET_HOOK_PUBLISH && l->questions[i].key == q->key)
            return &l->questions[i];
    return NULL;
}

/* Whether somebody has said no to it, or nothing, or yes when it was too late perhaps. */
static bool unanswered(const law *l, const attempt *a, const asked *q) {
    const question *last = asked_about(l, a, q);
    return last && (last->verdict != YES || last->due != LN_NEVER);
}

static bool denied_by_law(const law *l, const attempt *a, const asked *q) {
    uint32_t seat = q->channel;
    bool login = has(l, PLAN_LOGIN);
    if (seat == OWN_SEAT) return !login || !a->identity.known;
    if (q->token) return true; /* it may not fit, or be over */
    if (login && (seat == LAW_GUARDED || seat == LAW_GUARDED + 1) && !claimed(l, a, seat))
        return true;
    return seat >= LAW_RULED && rule_was(l, a, false, q->at);
}

void law_refused(law *l, const attempt *a, const asked *q, uint64_t code, ln_slice text) {
    bool asks = q->what == ASK_SUBSCRIBE || q->what == ASK_PUBLISH;
    bool just = false;
    if (code == 103) just = q->stale || denied_by_law(l, a, q) || (asks && unanswered(l, a, q));
    if (code == 1234 || code == 108) just = asks && unanswered(l, a, q);
    if (code == 101) just = has(l, PLAN_LOGIN);
    if (code == 109) just = q->token;
    if (!just && code == 108 && has(l, PLAN_MEMORY)) {
        did(l->scene, DID_PUT_OFF); /* counted, and held against what nodes have counted */
        return;
    }
    if (just) {
        did(l->scene, DID_DENIED);
        return;
    }
    client_anomaly(a->client, "denied", "what %u, seat %u: %.*s", q->what, q->channel,
        (int)(text.size < 150 ? text.size : 150), (const char *)text.data);
}

void law_heard(law *l, const attempt *a, uint32_t seat, uint64_t ts) {
    const place *p = &a->places[seat];
    if (p->banned) leak(a, seat, "heard, and its token does not allow it any more");
    uint64_t end = p->until;
    if (a->identity.known && (end == 0 || a->identity.until < end)) end = a->identity.until;
    if (end && ts > (end + LAW_GRACE_S + 2) * 1000)
        client_anomaly(a->client, "leak", "session %u, seat %u: heard %lld ms after its token",
            a->session, seat, (long long)(ts - end * 1000));
    (void)l;
}

bool law_allows(const law *l, const attempt *a, uint32_t seat) {
    return claimed(l, a, seat);
}
