#include "crowd.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void crowd_clear(crowd *c) {
    c->count = 0;
}

void crowd_fini(crowd *c) {
    free(c->members);
    *c = (crowd){ .members = NULL };
}

static void drift(const crowd_ear *ear, const char *words, const crowd_member *m) {
    history_anomaly(ear->h, "presence-drift", "%s %u, channel %u: %s, %s, ref %llu", ear->who,
        ear->number, ear->channel, words, m->client, (unsigned long long)m->ref);
}

static crowd_member *by_ref(const crowd *c, uint64_t ref) {
    for (uint32_t i = 0; i < c->count; i++)
        if (c->members[i].ref == ref) return &c->members[i];
    return NULL;
}

static crowd_member *by_name(const crowd *c, const char *client) {
    for (uint32_t i = 0; i < c->count; i++)
        if (strcmp(c->members[i].client, client) == 0) return &c->members[i];
    return NULL;
}

void crowd_joins(crowd *c, const crowd_ear *ear, const crowd_member *m) {
    crowd_member *known = by_ref(c, m->ref);
    c->changes++;
    if (known) {
        if (strcmp(known->client, m->client) != 0) drift(ear, "one ref, two clients", m);
        /* Another info; or the same, which the list had already. */
        known->info = m->info;
        c->infos++;
        return;
    }
    if (by_name(c, m->client)) drift(ear, "one joins twice", m);
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? c->capacity * 2 : 8;
        c->members = realloc(c->members, c->capacity * sizeof *c->members);
        if (!c->members) abort();
    }
    c->members[c->count++] = *m;
}

void crowd_leaves(crowd *c, const crowd_ear *ear, const crowd_member *m) {
    crowd_member *known = by_ref(c, m->ref);
    c->changes++;
    if (!known || strcmp(known->client, m->client) != 0) {
        drift(ear, "one leaves who was not there", m);
        return;
    }
    *known = c->members[--c->count];
}

static uint32_t number_in(const ln_json_value *object) {
    ln_json_value key, value;
    uint64_t n = 0;
    ln_json_iter it = ln_json_iter_of(object);
    if (!ln_json_next(&it, &key, &value) || !ln_json_uint(&value, &n)) return 0;
    return (uint32_t)n;
}

static crowd_member member_of(const ln_json_value *item) {
    crowd_member m = { .ref = 0 };
    ln_json_value key, value;
    ln_json_iter it = ln_json_iter_of(item);
    while (ln_json_next(&it, &key, &value)) {
        if (ln_json_is(&key, LN_SLICE("ref")))
            ln_json_uint(&value, &m.ref);
        else if (ln_json_is(&key, LN_SLICE("info")) && value.kind == LN_JSON_OBJECT)
            m.info = number_in(&value);
        else if (ln_json_is(&key, LN_SLICE("client")) && value.text.size < sizeof m.client)
            memcpy(m.client, value.text.data, value.text.size);
    }
    return m;
}

void crowd_hears(crowd *c, const crowd_ear *ear, const ln_json_value *list, bool leaves) {
    ln_json_value key, item;
    if (list->kind != LN_JSON_ARRAY) return;
    ln_json_iter it = ln_json_iter_of(list);
    while (ln_json_next(&it, &key, &item)) {
        crowd_member m = member_of(&item);
        if (leaves)
            crowd_leaves(c, ear, &m);
        else
            crowd_joins(c, ear, &m);
    }
}

bool crowd_has(const crowd *c, const crowd_member *m) {
    const crowd_member *known = by_name(c, m->client);
    return known && known->info == m->info;
}

void keys_hear(keys *k, const crowd_ear *ear, uint32_t key, uint32_t value, ln_slice client) {
    char *holder = k->seen[key].client;
    if (k->seen[key].value && !ln_slice_eq(client, ln_slice_str(holder)))
        history_anomaly(ear->h, "state-drift", "%s %u, channel %u: k%u is %.*s's and %s's",
            ear->who, ear->number, ear->channel, key, (int)client.size, (const char *)client.data,
            holder);
    k->seen[key].value = value;
    snprintf(
        holder, sizeof k->seen[key].client, "%.*s", (int)client.size, (const char *)client.data);
}

void keys_typing(keys *k, const crowd_ear *ear, ln_slice client, bool on) {
    uint32_t i = 0;
    while (i < k->typists && !ln_slice_eq(client, ln_slice_str(k->typing[i])))
        i++;
    if (on && i == k->typists && i < sizeof k->typing / sizeof k->typing[0])
        snprintf(k->typing[k->typists++], sizeof k->typing[0], "%.*s", (int)client.size,
            (const char *)client.data);
    if (on || i == k->typists) return;
    memcpy(k->typing[i], k->typing[--k->typists], sizeof k->typing[0]);
    (void)ear;
}
