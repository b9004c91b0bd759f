#include "back.h"
#include "client.h"
#include "law.h"
#include "wire/native.h"
#include <stdio.h>
#include <stdlib.h>

#define TTL_S 300 /* of messages, and so of tickets */

static uint32_t below(const attempt *a, uint32_t n) {
    return ln_simnet_below(a->client->scene->net, n);
}

static scene *scene_of(const attempt *a) {
    return a->client->scene;
}

static void copy(char *out, size_t size, ln_slice text) {
    snprintf(out, size, "%.*s", (int)text.size, (const char *)text.data);
}

static way_back way_of(const attempt *a, ln_slice ticket) {
    way_back w = { .chain = a->chain,
        .life = a->life,
        .given = law_now_s(scene_of(a)->law),
        .identity = a->identity };
    if (ticket.size >= sizeof w.ticket) return w;
    w.size = (uint32_t)ticket.size;
    memcpy(w.ticket, ticket.data, ticket.size);
    memcpy(w.name, a->name, sizeof w.name);
    memcpy(w.session, a->id_name, sizeof w.session);
    return w;
}

void back_keep(attempt *a, ln_slice ticket) {
    if (ticket.size && plan_has(scene_of(a)->plan, PLAN_TICKETS))
        a->client->back = way_of(a, ticket);
}

/* -- coming ------------------------------------------------------------------------------------ */

/* One channel that it was in, with where it stood. */
static size_t put_place(attempt *a, uint32_t seat, char *out, size_t size) {
    client *c = a->client;
    place *p = &a->places[seat];
    char name[16], epoch[17] = "";
    ln_slice word = channel_name(seat, c->user, name);
    *p = (place){ .talk = ASKED,
        .named = true,
        .named_at = ln_simnet_now(scene_of(a)->net),
        .crowd = p->crowd,
        .from_at = c->seen_at[seat] };
    if (c->seen[seat].epoch && below(a, 6)) p->from = c->seen[seat];
    p->watches = plan_has(scene_of(a)->plan, PLAN_PRESENCE) && seat < OWN_SEAT && below(a, 2);
    p->seat = (history_seat){
        .client = c->number, .life = a->life, .channel = seat < OWN_SEAT ? seat : OWN_SEAT + c->user
    };
    size_t n = (size_t)snprintf(
        out, size, "\"%.*s\":{\"x\":0", (int)word.size, (const char *)word.data);
    if (c->grants[seat][0])
        n += (size_t)snprintf(out + n, size - n, ",\"grant\":\"%s\"", c->grants[seat]);
    ln_native_epoch_put(p->from.epoch, epoch);
    if (p->from.epoch)
        n += (size_t)snprintf(out + n, size - n, ",\"epoch\":\"%s\",\"offset\":%llu", epoch,
            (unsigned long long)p->from.offset);
    if (p->watches) n += (size_t)snprintf(out + n, size - n, ",\"presence\":true");
    return n + (size_t)snprintf(out + n, size - n, "},");
}

static void say_return(attempt *a) {
    client *c = a->client;
    size_t room = BACK_TICKET + 200 + SEATS * 200;
    char *text = malloc(room);
    if (!text) abort();
    asked *q = say_ask(a, ASK_RETURN, OWN_SEAT);
    q->value = c->scene->mood == WILD && below(a, 12) == 0;
    a->returning = true;
    char *letter = &c->back.ticket[below(a, c->back.size)];
    if (q->value) *letter ^= 1; /* another letter, or none at all */
    size_t n = (size_t)snprintf(text, room,
        "{\"type\":\"auth\",\"id\":%u,\"data\":{\"resume\":\"%.*s\"},\"subs\":{", q->id,
        (int)c->back.size, c->back.ticket);
    if (q->value) *letter ^= 1;
    for (uint32_t i = 0; i < SEATS; i++)
        if (c->in >> i & 1) n += put_place(a, i, text + n, room - n);
    if (text[n - 1] == ',') n--;
    n += (size_t)snprintf(text + n, room - n, "}}");
    say_text(a, text, n);
    free(text);
}

void back_welcomed(attempt *a, const back_words *w) {
    client *c = a->client;
    copy(a->name, sizeof a->name, w->client);
    copy(a->id_name, sizeof a->id_name, w->session);
    bool may = plan_has(c->scene->plan, PLAN_TICKETS) && c->back.size && !a->rest;
    if (may && below(a, 8)) {
        c->fresh = way_of(a, w->ticket);
        say_return(a);
        return;
    }
    c->back.size = 0;
    back_keep(a, w->ticket);
    numbers_begin(a);
}

/* -- answers ----------------------------------------------------------------------------------- */

static uint64_t age_of(const attempt *a) {
    return law_now_s(scene_of(a)->law) - a->client->back.given;
}

static uint64_t life_of(const attempt *a) {
    const plan *p = scene_of(a)->plan;
    return p->resume_ms ? p->resume_ms / 1000 : TTL_S;
}

static bool of_its_key(const attempt *a) {
    return scene_of(a)->plan->keys_kept || a->client->back.life == a->life;
}

static bool token_over(const attempt *a, uint64_t slack) {
    const identity *id = &a->client->back.identity;
    return id->known && law_now_s(scene_of(a)->law) + slack >= id->until + LAW_GRACE_S;
}

static void check_ticket(const attempt *a, const asked *q) {
    const char *words = NULL;
    if (q->value) words = "a spoiled ticket is taken";
    if (!of_its_key(a)) words = "a ticket of another key is taken";
    if (age_of(a) > life_of(a) + life_of(a) / 2 + 4) words = "an old ticket is taken";
    if (token_over(a, 0) && !token_over(a, 3)) words = NULL;
    if (words) client_anomaly(a->client, "leak", "session %u: %s", a->session, words);
}

static void remember_info(place *p, uint32_t info) {
    for (uint32_t i = 0; info && i < PLACE_BEFORE; i++) {
        if (p->info_before[i] == info) return;
        if (p->info_before[i]) continue;
        p->info_before[i] = info;
        return;
    }
}

static void inherit_place(place *p, const place *before) {
    p->expelled = p->expelled || before->expelled;
    remember_info(p, before->info);
    remember_info(p, before->info_asked);
    for (uint32_t i = 0; i < PLACE_BEFORE; i++)
        remember_info(p, before->info_before[i]);
}

/* Orders of the program that were for the one before, too; and what others know of it. */
static void inherit(attempt *a) {
    for (const attempt *o = a->older; o; o = o->older) {
        if (o->chain != a->chain) continue;
        a->kicked = a->kicked || o->kicked;
        for (uint32_t i = 0; i < SEATS; i++)
            inherit_place(&a->places[i], &o->places[i]);
        return;
    }
}

void back_came(attempt *a, const asked *q, const back_words *w) {
    client *c = a->client;
    const way_back *b = &c->back;
    check_ticket(a, q);
    if (!ln_slice_eq(w->client, ln_slice_str(b->name)) ||
        !ln_slice_eq(w->session, ln_slice_str(b->session)) || (b->identity.known && !w->user.size))
        client_anomaly(c, "resume", "session %u comes back as somebody else", a->session);
    did(c->scene, b->life == a->life ? DID_RETURNED : DID_RETURNED_ANEW);
    memcpy(a->name, b->name, sizeof a->name);
    memcpy(a->id_name, b->session, sizeof a->id_name);
    a->chain = b->chain;
    a->returning = false;
    if (b->identity.known && !a->identity.known) hear_become(a, &b->identity);
    inherit(a);
    place *own = &a->places[OWN_SEAT]; /* where it was put as somebody new it is put again */
    own->seat.joined = false;
    if (own->talk == IN) hear_leave(a, OWN_SEAT);
    back_keep(a, w->ticket);
    if (c->numbers.chain != a->chain) numbers_begin(a);
    numbers_again(a);
}

/* By order of the program, which tells it to stay away: its ticket is revoked. */
static bool was_sent_away(const attempt *a) {
    for (const attempt *o = a->older; o; o = o->older)
        if (o->chain == a->client->back.chain && o->kicked) return true;
    return false;
}

static bool just(const attempt *a, const asked *q, uint64_t code) {
    if (code == 101) return q->value || !of_its_key(a) || was_sent_away(a);
    if (code == 103) return a->identity.known && !a->client->back.identity.known;
    if (code == 109) return age_of(a) >= life_of(a) || token_over(a, 1);
    return false;
}

void back_refused(attempt *a, const asked *q, uint64_t code, ln_slice text) {
    client *c = a->client;
    if (!just(a, q, code))
        client_anomaly(c, "denied", "a ticket: %.*s", (int)(text.size < 150 ? text.size : 150),
            (const char *)text.data);
    did(c->scene, code == 109 ? DID_LATE_TICKET : DID_NOT_RETURNED);
    a->returning = false;
    for (uint32_t i = 0; i < SEATS; i++)
        if (a->places[i].talk == ASKED && a->places[i].named) {
            bool put = a->places[i].seat.joined;
            if (!put) hear_leave(a, i);
            if (put) a->places[i].talk = IN;
            a->places[i].named = false;
        }
    c->back = c->fresh;
    c->in = 0;
    numbers_begin(a);
}

void back_left(attempt *a) {
    client *c = a->client;
    if (!a->welcomed) return;
    uint32_t in = 0;
    for (uint32_t i = 0; i < SEATS; i++) {
        const place *p = &a->places[i];
        if (p->talk != IN && !(p->talk == ASKED && p->named)) continue;
        in |= 1u << i;
        if (p->talk == IN) c->lent[i] = p->lent;
    }
    c->in = in;
}
