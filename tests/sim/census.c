#include "census.h"
#include "stranger.h"
#include <stdio.h>

typedef struct poll {
    const client *clients;
    uint32_t count;
    char *words;
    size_t size;
} poll;

static bool is_in(const client *c, uint32_t life, uint32_t seat) {
    const attempt *a = c->now;
    return a && a->state == OPEN && a->life == life && a->places[seat].talk == IN;
}

/* By its name, and what it has said of itself there. */
static bool knows(const crowd *heard, const attempt *a, const place *at) {
    crowd_member m = { .info = at->info };
    memcpy(m.client, a->name, sizeof m.client);
    bool is = crowd_has(heard, &m);
    for (uint32_t i = 0; i < PLACE_BEFORE && !is && at->info_before[i]; i++) {
        m.info = at->info_before[i];
        is = crowd_has(heard, &m);
    }
    return is;
}

/* Whether these are the members of a channel. */
static bool people(
    const poll *p, const crowd *heard, uint32_t life, uint32_t seat, const char *who) {
    uint32_t here = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        if (!is_in(&p->clients[i], life, seat)) continue;
        const attempt *a = p->clients[i].now;
        here++;
        if (knows(heard, a, &a->places[seat])) continue;
        snprintf(p->words, p->size,
            "%s, seat %u: client %u is there and not known, or not his info", who, seat, i);
        return false;
    }
    if (p->count) here += strangers_in(p->clients[0].scene, life, seat);
    if (here == heard->count) return true;
    snprintf(p->words, p->size, "%s, seat %u: %u are known, and %u are there", who, seat,
        heard->count, here);
    return false;
}

static uint32_t value_of(const poll *p, uint32_t life, uint32_t seat, uint32_t key, ln_msec now) {
    for (uint32_t i = 0; i < p->count; i++) {
        if (!is_in(&p->clients[i], life, seat)) continue;
        const held *h = &p->clients[i].now->places[seat].held[key];
        if (h->value && (h->until == 0 || h->until > now)) return h->value;
    }
    return 0;
}

static bool values(const poll *p, const attempt *a, uint32_t seat, const char *who) {
    const place *at = &a->places[seat];
    ln_msec now = ln_simnet_now(a->client->scene->net);
    for (uint32_t key = 0; key < CROWD_KEYS; key++) {
        uint32_t value = value_of(p, a->life, seat, key, now);
        if (value == at->keys.seen[key].value) continue;
        snprintf(p->words, p->size, "%s, seat %u: k%u is believed to be %u and is %u", who, seat,
            key, at->keys.seen[key].value, value);
        return false;
    }
    if (at->keys.typists == 0) return true;
    snprintf(p->words, p->size, "%s, seat %u: %s types for ever", who, seat, at->keys.typing[0]);
    return false;
}

static bool one(const poll *p, const client *c) {
    char who[24];
    snprintf(who, sizeof who, "client %u", c->number);
    for (uint32_t i = 0; i < HISTORY_CHANNELS; i++) {
        if (!c->now || !is_in(c, c->now->life, i)) continue;
        if (!values(p, c->now, i, who)) return false;
        if (c->now->places[i].watches && !people(p, &c->now->places[i].crowd, c->now->life, i, who))
            return false;
    }
    return true;
}

bool census(const client *clients, uint32_t count, const program *const *programs,
    uint32_t program_count, char *words, size_t size) {
    poll p = { clients, count, words, size };
    for (uint32_t i = 0; i < count; i++)
        if (!one(&p, &clients[i])) return false;
    for (uint32_t i = 0; i < program_count; i++)
        for (uint32_t seat = 0; seat < HISTORY_CHANNELS; seat++)
            if (plan_has(programs[i]->scene->plan, PLAN_PRESENCE) &&
                !people(&p, &programs[i]->crowds[seat], programs[i]->life, seat, "a program"))
                return false;
    return true;
}
