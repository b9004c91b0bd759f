#include "law.h"
#include "wire/native.h"
#include <stdio.h>
#include <string.h>

#define KEYS_MAX (16 * 1024) /* in a frame: an array of 16 KiB has many */

typedef struct frame {
    ln_json_value type, re, channel, data, offset, epoch, count, node, recovered, replay, messages;
    ln_json_value client, auth, user, expires, ts, reason, code, error, key, from, joins, leaves,
        presence, session, resume, grant, id;
} frame;

#define KEY(name)                                                                                  \
    { #name, sizeof #name - 1, offsetof(frame, name) }
static const struct {
    const char *name;
    size_t size, at;
} frame_keys[] = { KEY(type), KEY(re), KEY(channel), KEY(data), KEY(offset), KEY(epoch), KEY(count),
    KEY(node), KEY(recovered), KEY(replay), KEY(messages), KEY(client), KEY(auth), KEY(user),
    KEY(expires), KEY(ts), KEY(reason), KEY(code), KEY(error), KEY(key), KEY(from), KEY(joins),
    KEY(leaves), KEY(presence), KEY(session), KEY(resume), KEY(grant), KEY(id) };

static void frame_of(const ln_json_value *top, frame *f) {
    *f = (frame){ 0 };
    ln_json_iter it = ln_json_iter_of(top);
    ln_json_value name, value;
    while (ln_json_next(&it, &name, &value))
        for (size_t i = 0; i < sizeof frame_keys / sizeof frame_keys[0]; i++)
            if (name.text.size == frame_keys[i].size &&
                memcmp(name.text.data, frame_keys[i].name, name.text.size) == 0)
                memcpy((char *)f + frame_keys[i].at, &value, sizeof value);
}

static uint64_t number_of(const ln_json_value *v) {
    uint64_t n = 0;
    return v->kind == LN_JSON_NUMBER && ln_json_uint(v, &n) ? n : 0;
}

static uint64_t epoch_of(const frame *f) {
    uint64_t epoch = 0;
    return ln_native_epoch_get(f->epoch.text, &epoch) ? epoch : 0;
}

static bool is(const ln_json_value *v, const char *word) {
    return v->kind == LN_JSON_STRING && ln_json_is(v, ln_slice_str(word));
}

static scene *scene_of(const attempt *a) {
    return a->client->scene;
}

static void anomaly(const attempt *a, const char *name, const char *words) {
    client_anomaly(a->client, name, "%s", words);
}

static crowd_ear ear_of(const attempt *a, uint32_t seat) {
    return (crowd_ear){ scene_of(a)->h, "client", a->client->number, seat };
}

/* The request that this answers; each has one answer. */
static asked answered(attempt *a, const frame *f) {
    uint64_t id = number_of(&f->re);
    did(scene_of(a), DID_ANSWERED);
    for (uint32_t i = 0; i < a->asked_count; i++) {
        if (a->asked[i].id != id) continue;
        asked q = a->asked[i];
        a->asked[i] = a->asked[--a->asked_count];
        return q;
    }
    anomaly(a, "answer", "an answer to nothing it asked, or a second one");
    return (asked){ 0 };
}

/* -- in and out -------------------------------------------------------------------------------- */

void hear_leave(attempt *a, uint32_t seat) {
    place *p = &a->places[seat];
    p->talk = OUT;
    a->client->grants[seat][0] = 0;
    p->seat.joined = p->named = p->watches = p->banned = p->expelled = false;
    p->until = p->lent = p->info = p->info_asked = 0; /* what was known before stays a while */
    crowd_clear(&p->crowd);
    memset(&p->keys, 0, sizeof p->keys);
    memset(p->held, 0, sizeof p->held);
}

/* Whether what it missed is kept for certain: it is little, and young. */
static bool surely_kept(const scene *s, const place *p, uint64_t head) {
    return s->plan->payload_max <= 400 && !s->plan->kept_all &&
           head - p->from.offset <= s->history_least && ln_simnet_now(s->net) - p->from_at < 290000;
}

static void remember(attempt *a, uint32_t seat) {
    a->client->seen[seat] = a->places[seat].seat;
    a->client->seen_at[seat] = ln_simnet_now(scene_of(a)->net);
}

/* I6: recovered says that the replay, and then what is new, leave no gap; and that is not denied
 * without need. */
static void take_position(attempt *a, const frame *f, const asked *q) {
    client *c = a->client;
    place *p = &a->places[q->channel];
    const history_seat *seen = &p->from;
    uint64_t epoch = epoch_of(f), offset = number_of(&f->offset);
    bool recovered = f->recovered.kind == LN_JSON_BOOL && f->recovered.boolean;
    if ((f->recovered.kind == LN_JSON_BOOL) != (q->key != 0))
        anomaly(a, "recover", "an answer to what was not asked, or none");
    else if (q->key && q->channel != OWN_SEAT && !recovered && seen->epoch == epoch &&
             seen->offset <= offset && surely_kept(c->scene, p, offset))
        anomaly(a, "recover", "not recovered, for nothing");
    if (q->key) did(c->scene, recovered ? DID_RECOVERED : DID_ANEW);
    if (recovered) {
        p->seat.epoch = seen->epoch;
        p->seat.offset = seen->offset;
        history_recovered(c->scene->h, &p->seat, epoch, offset, number_of(&f->replay));
    } else {
        history_joined(c->scene->h, &p->seat, epoch, offset);
    }
}

static void keep_grant(attempt *a, const frame *f, uint32_t seat) {
    size_t size = f->grant.text.size < BACK_GRANT ? f->grant.text.size : 0;
    memcpy(a->client->grants[seat], f->grant.text.data, size);
    a->client->grants[seat][size] = 0;
    a->client->granted_known[seat] = a->identity.known;
}

static void take_joined(attempt *a, const frame *f, const asked *q) {
    place *p = &a->places[q->channel];
    law_joined(scene_of(a)->law, a, q, q->channel);
    p->talk = IN;
    p->lent = q->token ? q->until : 0;
    p->until = q->claimed || law_allows(scene_of(a)->law, a, q->channel) ? 0 : p->lent;
    if (q->token) did(scene_of(a), DID_CHANNEL_TOKEN);
    take_position(a, f, q);
    remember(a, q->channel);
    keep_grant(a, f, q->channel);
    if (p->watches != (f->presence.kind == LN_JSON_ARRAY))
        anomaly(a, "presence-drift", "a list nobody asked for, or none");
    if (!p->watches) return;
    crowd_ear ear = ear_of(a, q->channel);
    crowd_hears(&p->crowd, &ear, &f->presence, false);
    if (p->crowd.count > number_of(&f->count)) /* it counts who is there now, not who was told */
        did(scene_of(a), DID_LISTED);
    did(scene_of(a), DID_LISTED);
}

/* A channel that it came back with, as if it had asked for it. */
static asked named(attempt *a, uint32_t seat) {
    const place *p = &a->places[seat];
    uint64_t lent = a->client->lent[seat];
    return (asked){ .what = ASK_SUBSCRIBE,
        .channel = seat,
        .key = p->from.epoch != 0,
        .at = p->named_at,
        .token = lent != 0,
        .until = lent,
        .stale = a->client->granted_known[seat] != a->identity.known,
        .claimed = law_allows(scene_of(a)->law, a, seat) };
}

/* The server has put it there. */
static void take_subscribed(attempt *a, const frame *f) {
    uint32_t seat = channel_seat(f->channel.text, a->client->user);
    if (seat < SEATS && a->places[seat].named && !a->returning) {
        asked back = named(a, seat);
        a->places[seat].named = false;
        did(scene_of(a), DID_RETURNED_IN);
        take_joined(a, f, &back);
        return;
    }
    if (seat != OWN_SEAT) {
        anomaly(a, "leak", "it is put into a channel that is not its own");
        return;
    }
    place *p = &a->places[seat];
    asked q = { .what = ASK_SUBSCRIBE, .channel = seat };
    if (!a->identity.known) anomaly(a, "leak", "it is somebody without a token");
    p->seat = (history_seat){
        .client = a->client->number, .life = a->life, .channel = OWN_SEAT + a->client->user
    };
    if (!p->named) p->talk = IN;
    take_position(a, f, &q);
    remember(a, seat);
    if (!p->named) keep_grant(a, f, seat);
}

static void take_unsubscribed(attempt *a, const frame *f) {
    scene *s = scene_of(a);
    uint32_t seat = channel_seat(f->channel.text, a->client->user);
    uint64_t code = number_of(&f->code);
    bool barely = code == 103 && seat < SEATS &&
                  a->places[seat].talk == OUT; /* it was on its way in */
    if (barely) return;
    if (seat < SEATS && a->places[seat].named && !a->returning) {
        asked back = named(a, seat);
        law_refused(s->law, a, &back, code, f->channel.text);
        hear_leave(a, seat);
        return;
    }
    if (seat == SEATS || !a->places[seat].seat.joined) {
        anomaly(a, "late", "put out of where it is not");
        return;
    }
    place *p = &a->places[seat];
    bool parting = p->talk == PARTING;
    if (code == 109 && p->lent && law_now_s(s->law) >= p->lent + LAW_GRACE_S)
        did(s, DID_CHANNEL_EXPIRED);
    else if (code == 103 && p->expelled)
        did(s, DID_EXPELLED);
    else if (code == 103 && a->identity.known)
        did(s, DID_FORBIDDEN);
    else
        history_anomaly(s->h, "epoch-lie", "client %u is put out of seat %u with %u",
            a->client->number, seat, (unsigned)code);
    hear_leave(a, seat);
    if (parting) p->talk = PARTING;
}

/* -- who it is --------------------------------------------------------------------------------- */

void hear_become(attempt *a, const identity *id) {
    a->identity = *id;
    a->identity.known = true;
    did(scene_of(a), DID_LOGIN);
    for (uint32_t i = 0; i < a->asked_count;
         i++) /* what was allowed in between may be told later */
        if (law_allows(scene_of(a)->law, a, a->asked[i].channel)) a->asked[i].claimed = true;
}

static void take_login(attempt *a, const frame *f, const asked *q) {
    identity id = { .known = true, .until = q->until, .claims = q->claims };
    a->logging_in = false;
    if (!q->token) anomaly(a, "leak", "a token that is no good is taken");
    if (law_now_s(scene_of(a)->law) > q->until + LAW_GRACE_S + 120)
        anomaly(a, "leak", "a token is taken long after its end");
    hear_become(a, &id);
    back_keep(a, f->resume.text);
    if (!q->key) return;
    did(scene_of(a), DID_REFRESH);
    for (uint32_t i = LAW_GUARDED; i < LAW_GUARDED + 2; i++)
        a->places[i].banned = a->places[i].talk == IN && !a->places[i].lent &&
                              !(id.claims >> i & 1);
}

static void take_welcome(attempt *a, const frame *f) {
    scene *s = scene_of(a);
    a->life = client_life(s, f->node.text);
    a->wants_token = f->auth.kind == LN_JSON_BOOL && f->auth.boolean;
    bool known = f->user.kind == LN_JSON_STRING;
    if (known && (!a->offered.known || !a->offered.good))
        anomaly(a, "leak", "it is somebody without a token");
    if (known) hear_become(a, &a->offered);
    const back_words words = { f->resume.text, f->client.text, f->session.text, f->user.text };
    back_welcomed(a, &words);
}

static void take_return(attempt *a, const frame *f, const asked *q) {
    const back_words words = { f->resume.text, f->client.text, f->session.text, f->user.text };
    back_came(a, q, &words);
}

static void take_ping(attempt *a, const frame *f) {
    say_text(a, "{\"type\":\"pong\"}", 15);
    if (f->resume.text.size == 0) return;
    did(scene_of(a), DID_NEW_TICKET);
    if (!a->returning) back_keep(a, f->resume.text);
}

/* -- answers ----------------------------------------------------------------------------------- */

/* I4, I5: what is read is what was heard, without a hole. */
static void take_history(attempt *a, const frame *f, const asked *q) {
    uint32_t channel = q->channel < OWN_SEAT ? q->channel : OWN_SEAT + a->client->user;
    history_seat where = { .client = a->client->number, .life = a->life, .channel = channel };
    ln_json_iter it = ln_json_iter_of(&f->messages);
    ln_json_value key, item;
    uint64_t last = 0;
    while (ln_json_next(&it, &key, &item)) {
        frame m;
        frame_of(&item, &m);
        uint64_t offset = number_of(&m.offset), next = q->key ? last - 1 : last + 1;
        if (last && offset != next) anomaly(a, "silent-gap", "a page of history has a hole");
        last = offset;
        history_read(scene_of(a)->h, &where, epoch_of(f), client_key(&m.data), offset);
        did(scene_of(a), DID_READ);
    }
}

static void take_ok(attempt *a, const frame *f) {
    scene *s = scene_of(a);
    asked q = answered(a, f);
    place *p = &a->places[q.channel];
    switch (q.what) {
    case ASK_NOTHING: return;
    case ASK_SUBSCRIBE: take_joined(a, f, &q); return;
    case ASK_UNSUBSCRIBE: hear_leave(a, q.channel); return;
    case ASK_PUBLISH:
        law_published(s->law, a, &q);
        numbers_acked(a, &q);
        history_acked(s->h, q.key, epoch_of(f), number_of(&f->offset));
        return;
    case ASK_PING: anomaly(a, "answer", "ok to a ping"); return;
    case ASK_HISTORY: take_history(a, f, &q); return;
    case ASK_LOGIN: take_login(a, f, &q); return;
    case ASK_RETURN: take_return(a, f, &q); return;
    case ASK_SET:
        did(s, DID_SET);
        if (p->talk != OUT)
            p->held[q.key] = (held){ q.value, q.ttl ? ln_simnet_now(s->net) + q.ttl : 0 };
        return;
    case ASK_UNSET: p->held[q.key] = (held){ 0 }; return;
    case ASK_TYPING: return;
    case ASK_INFO:
        if (p->talk != OUT) p->info = q.value;
        memset(p->info_before, 0, sizeof p->info_before);
        p->info_asked = 0;
        return;
    case ASK_MEMBERS: did(s, DID_LISTED); return;
    }
}

/* Errors that need no cause to be looked for. */
static bool expected(const attempt *a, const asked *q, uint64_t code) {
    bool keyed = q->what == ASK_SET || q->what == ASK_UNSET;
    if (keyed && code == 118) {
        did(scene_of(a), DID_CONFLICT);
        return true;
    }
    if (code == 113) /* it was put out, or has asked before it was in */
        return q->what != ASK_PUBLISH && q->what != ASK_HISTORY && q->what != ASK_LOGIN;
    if (code == 105) return q->what == ASK_SUBSCRIBE && q->channel == OWN_SEAT;
    if (q->what == ASK_INFO || q->what == ASK_MEMBERS || q->what == ASK_TYPING || keyed)
        return code == 103 && (q->channel >= LAW_GUARDED || q->what == ASK_MEMBERS);
    if (q->what == ASK_LOGIN) return code == 101 || code == 109;
    if (q->what == ASK_HISTORY) return code == 103 && q->channel >= LAW_GUARDED;
    return false;
}

static void take_error(attempt *a, const frame *f, ln_slice text) {
    scene *s = scene_of(a);
    frame e;
    frame_of(&f->error, &e);
    uint64_t code = number_of(&e.code);
    if (f->re.kind == 0 && a->offered.known && !a->offered.good && (code == 101 || code == 109))
        return;
    asked q = answered(a, f);
    place *p = &a->places[q.channel];
    numbers_refusal how = q.seq ? numbers_refused(a, &q, code) : NUMBERS_REFUSED;
    if (q.what == ASK_RETURN) {
        back_refused(a, &q, code, text);
        return;
    }
    if (q.what == ASK_PUBLISH && how != NUMBERS_UNKNOWN) history_refused(s->h, q.key);
    if (how == NUMBERS_IN_TURN || (how == NUMBERS_UNKNOWN && code == 108)) return;
    if (q.what == ASK_SUBSCRIBE && p->talk == ASKED) hear_leave(a, q.channel);
    if (q.what == ASK_UNSUBSCRIBE && p->talk == PARTING) hear_leave(a, q.channel);
    if (q.what == ASK_LOGIN) a->logging_in = false;
    if (q.what == ASK_INFO) p->info_asked = 0;
    if (!expected(a, &q, code)) law_refused(s->law, a, &q, code, text);
}

/* -- what is said in channels ------------------------------------------------------------------ */

static uint32_t seat_of(attempt *a, const frame *f) {
    uint32_t seat = channel_seat(f->channel.text, a->client->user);
    if (seat == SEATS) anomaly(a, "leak", "a channel that there is not, or of somebody else");
    return seat;
}

/* First all of the replay, which says so of itself, then all that is new. */
static void check_replay(attempt *a, const frame *f, const history_seat *seat) {
    bool replay = f->replay.kind == LN_JSON_BOOL && f->replay.boolean;
    if (seat->joined && replay != (seat->offset < seat->replay_to))
        anomaly(a, "interleaved", replay ? "a replay behind its end" : "news before it");
    if (replay) did(scene_of(a), DID_REPLAYED);
}

static void check_payload(attempt *a, const frame *f, uint32_t key) {
    static char expected[CLIENT_PAYLOAD]; /* one thread, one call at a time */
    const history_saying *what = history_of(scene_of(a)->h, key);
    if (!what) return;
    size_t size = client_data(scene_of(a), key, expected);
    bool bytes = what->bytes && !what->changed;
    if (bytes) did(scene_of(a), a->binary ? DID_BINARY : DID_BASE64);
    if (a->binary != (bytes && a->bin))
        anomaly(a, "answer", bytes ? "it takes bytes, and gets a text" : "bytes, and it is none");
    if (!ln_slice_eq(f->data.raw, ln_slice_of(expected, size)))
        anomaly(a, "phantom", "a publication came changed");
}

static void take_message(attempt *a, const frame *f) {
    scene *s = scene_of(a);
    uint32_t i = seat_of(a, f), key = client_key(&f->data);
    if (i == SEATS) return;
    history_seat *seat = &a->places[i].seat;
    did(s, i == OWN_SEAT ? DID_PERSONAL : DID_HEARD);
    if (f->offset.kind == 0) did(s, DID_VOLATILE);
    seat->client = a->client->number; /* also where it never joined */
    seat->life = a->life;
    seat->channel = i < OWN_SEAT ? i : OWN_SEAT + a->client->user;
    check_replay(a, f, seat);
    law_heard(s->law, a, i, number_of(&f->ts));
    history_heard(s->h, seat, a->chain, key, number_of(&f->offset));
    if (seat->joined) remember(a, i);
    check_payload(a, f, key);
}

static void take_skip(attempt *a, const frame *f) {
    scene *s = scene_of(a);
    uint32_t i = seat_of(a, f);
    bool slow = is(&f->reason, "slow");
    if (i == SEATS) return;
    if (slow && s->plan->slow == LINNET_SLOW_DISCONNECT)
        anomaly(a, "wrong-skip", "left out for slowness, and that is not the policy");
    did(s, slow ? DID_SLOW_SKIP : DID_EXCEPT_SKIP);
    history_skipped(
        s->h, &a->places[i].seat, a->chain, number_of(&f->offset), number_of(&f->count), slow);
    if (a->places[i].seat.joined) remember(a, i);
}

static void take_presence(attempt *a, const frame *f) {
    uint32_t i = seat_of(a, f);
    if (i == SEATS) return;
    place *p = &a->places[i];
    if (!p->watches || !p->seat.joined)
        anomaly(a, "late", "it hears of members of a channel without having asked");
    crowd_ear ear = ear_of(a, i);
    uint64_t before = p->crowd.infos;
    crowd_hears(&p->crowd, &ear, &f->leaves, true);
    crowd_hears(&p->crowd, &ear, &f->joins, false);
    did(scene_of(a), p->crowd.infos > before ? DID_INFO : DID_DIFF);
}

static ln_slice client_of(const frame *f) {
    frame from;
    frame_of(&f->from, &from);
    return from.client.text;
}

static uint64_t first_number(const ln_json_value *object) {
    ln_json_value key, value;
    ln_json_iter it = ln_json_iter_of(object);
    return ln_json_next(&it, &key, &value) ? number_of(&value) : 0;
}

/* I7 of keys: whose it is has set it, there. */
static void check_value(attempt *a, uint32_t seat, uint32_t key, uint64_t value, ln_slice who) {
    const scene *s = scene_of(a);
    const key_value *v = value && value <= s->value_count ? &s->values[value - 1] : NULL;
    if (!v || v->key != key || v->channel != a->places[seat].seat.channel ||
        v->by->life != a->life || !ln_slice_eq(who, ln_slice_str(v->by->name)))
        anomaly(a, "phantom", "a key with a value that he did not give it");
}

static void take_state(attempt *a, const frame *f) {
    uint32_t i = seat_of(a, f), key = CROWD_KEYS;
    if (i == SEATS) return;
    place *p = &a->places[i];
    if (f->key.text.size == 2) key = f->key.text.data[1] - (uint32_t)'0';
    if (!p->seat.joined || key >= CROWD_KEYS) {
        anomaly(a, p->seat.joined ? "phantom" : "late", "a state that is not for it");
        return;
    }
    did(scene_of(a), DID_STATE);
    uint64_t value = f->data.kind == LN_JSON_OBJECT ? first_number(&f->data) : 0;
    crowd_ear ear = ear_of(a, i);
    if (f->data.kind != LN_JSON_NULL) check_value(a, i, key, value, client_of(f));
    keys_hear(&p->keys, &ear, key, (uint32_t)value, client_of(f));
}

static void take_typing(attempt *a, const frame *f) {
    uint32_t i = seat_of(a, f);
    if (i == SEATS) return;
    if (!a->places[i].seat.joined) anomaly(a, "late", "it hears who types where it is not");
    frame on;
    frame_of(&f->data, &on);
    ln_json_value key, value = { 0 };
    ln_json_iter it = ln_json_iter_of(&f->data);
    ln_json_next(&it, &key, &value);
    crowd_ear ear = ear_of(a, i);
    did(scene_of(a), DID_TYPED);
    keys_typing(
        &a->places[i].keys, &ear, client_of(f), value.kind == LN_JSON_BOOL && value.boolean);
}

/* -- all of it --------------------------------------------------------------------------------- */

static const struct {
    const char *type;
    void (*take)(attempt *a, const frame *f);
} takers[] = { { "message", take_message }, { "ok", take_ok }, { "skip", take_skip },
    { "presence", take_presence }, { "state", take_state }, { "typing", take_typing },
    { "subscribed", take_subscribed }, { "unsubscribed", take_unsubscribed },
    { "welcome", take_welcome } };

static void take_goaway(attempt *a) {
    a->goaway = true;
    did(scene_of(a), DID_GOAWAY);
}

static void take(attempt *a, const ln_json_value *top, ln_slice text) {
    frame f;
    frame_of(top, &f);
    scene_of(a)->events++;
    if (a->welcomed == is(&f.type, "welcome"))
        anomaly(a, "answer", "welcome is the first word, and only the first");
    for (size_t i = 0; i < sizeof takers / sizeof takers[0]; i++) {
        if (!is(&f.type, takers[i].type)) continue;
        takers[i].take(a, &f);
        a->welcomed = true;
        return;
    }
    if (is(&f.type, "error"))
        take_error(a, &f, text);
    else if (is(&f.type, "pong"))
        answered(a, &f);
    else if (is(&f.type, "ping"))
        take_ping(a, &f);
    else if (is(&f.type, "goaway"))
        take_goaway(a);
    else if (is(&f.type, "call"))
        calls_heard(scene_of(a)->calls, a, number_of(&f.id), &f.data);
    else if (is(&f.type, "expiring"))
        say_login(a);
    else
        anomaly(a, "answer", "a word that is not in the protocol");
}

void client_hears(attempt *a, ln_slice text) {
    ln_json_value top, key, item;
    client_trace(a, "hears", text);
    if (ln_json_check_long(text, KEYS_MAX, &top) < 0 ||
        (top.kind != LN_JSON_OBJECT && top.kind != LN_JSON_ARRAY)) {
        anomaly(a, "answer", "a message that is no JSON");
    } else if (top.kind == LN_JSON_OBJECT) {
        take(a, &top, text);
    } else { /* several that waited */
        ln_json_iter it = ln_json_iter_of(&top);
        did(scene_of(a), DID_MERGED);
        while (ln_json_next(&it, &key, &item))
            take(a, &item, item.raw);
    }
}
