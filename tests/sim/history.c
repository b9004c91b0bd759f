#include "history.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct said {
    history_saying what;
    bool allowed;
    uint32_t log; /* number + 1; 0: no place known */
    uint64_t offset;
    bool refused, answered;
} said;

typedef struct entry { /* of a log; offset 1 is the first */
    uint32_t key;      /* 0: not known yet */
    uint32_t skipper;  /* a chain + 1 that was told to do without it; 0: none */
} entry;

typedef struct epoch_log {
    uint64_t epoch;
    uint32_t life, channel;
    entry *entries;
    uint64_t head, capacity;
    bool over; /* nobody ever said anything there, and another one has taken its place */
} epoch_log;

typedef struct run { /* of a log, as somebody heard it who has no offsets */
    uint32_t life, channel;
    uint32_t *keys; /* without those that were volatile */
    uint32_t count, capacity;
} run;

struct history {
    run *runs;
    uint32_t run_count;
    said *sayings;
    uint32_t count, capacity;
    epoch_log *logs;
    uint32_t log_count;
    char words[256];
};

static void *must(void *p) {
    if (!p) abort();
    return p;
}

history *history_new(void) {
    return must(calloc(1, sizeof(history)));
}

void history_free(history *h) {
    for (uint32_t i = 0; i < h->log_count; i++)
        free(h->logs[i].entries);
    for (uint32_t i = 0; i < h->run_count; i++)
        free(h->runs[i].keys);
    free(h->runs);
    free(h->logs);
    free(h->sayings);
    free(h);
}

void history_anomaly(history *h, const char *name, const char *format, ...) {
    if (h->words[0]) return;
    int n = snprintf(h->words, sizeof h->words, "%s: ", name);
    va_list args;
    va_start(args, format);
    vsnprintf(h->words + n, sizeof h->words - (size_t)n, format, args);
    va_end(args);
}

const char *history_words(const history *h) {
    return h->words[0] ? h->words : NULL;
}

uint32_t history_count(const history *h) {
    return h->count;
}

static said *saying(const history *h, uint32_t key) {
    return key && key <= h->count ? &h->sayings[key - 1] : NULL;
}

const history_saying *history_of(const history *h, uint32_t key) {
    const said *s = saying(h, key);
    return s ? &s->what : NULL;
}

bool history_placed(const history *h, uint32_t key) {
    return saying(h, key)->log != 0;
}

uint32_t history_said(history *h, const history_saying *what) {
    if (h->count == h->capacity) {
        h->capacity = h->capacity ? h->capacity * 2 : 256;
        h->sayings = must(realloc(h->sayings, h->capacity * sizeof *h->sayings));
    }
    h->sayings[h->count] = (said){ .what = *what };
    return ++h->count;
}

/* -- logs ------------------------------------------------------------------------------------- */

static epoch_log *log_find(const history *h, uint64_t epoch) {
    for (uint32_t i = 0; i < h->log_count; i++)
        if (h->logs[i].epoch == epoch) return &h->logs[i];
    return NULL;
}

/* The log of an epoch that somebody was told. A node in memory starts one log for each channel, and
 * never another, unless nobody has said anything in the first one. */
static epoch_log *log_at(history *h, uint64_t epoch, uint32_t life, uint32_t channel) {
    epoch_log *l = log_find(h, epoch);
    if (l) {
        if (l->life == life && l->channel == channel) return l;
        history_anomaly(h, "epoch-lie", "epoch %llx of channel %u, life %u is told for %u, %u",
            (unsigned long long)epoch, l->channel, l->life, channel, life);
        return NULL;
    }
    for (uint32_t i = 0; i < h->log_count; i++) {
        if (h->logs[i].life != life || h->logs[i].channel != channel || h->logs[i].over) continue;
        h->logs[i].over = h->logs[i].head == 0;
        if (h->logs[i].over) continue;
        history_anomaly(h, "epoch-lie", "channel %u of life %u has a second epoch", channel, life);
        return NULL;
    }
    h->logs = must(realloc(h->logs, (h->log_count + 1) * sizeof *h->logs));
    l = &h->logs[h->log_count++];
    *l = (epoch_log){ .epoch = epoch, .life = life, .channel = channel };
    return l;
}

static entry *entry_at(history *h, epoch_log *l, uint64_t offset) {
    if (l->over)
        history_anomaly(h, "epoch-lie", "channel %u of life %u is in an epoch that was left",
            l->channel, l->life);
    if (offset > l->capacity) {
        uint64_t capacity = offset * 2 > 64 ? offset * 2 : 64;
        l->entries = must(realloc(l->entries, capacity * sizeof *l->entries));
        memset(l->entries + l->capacity, 0, (capacity - l->capacity) * sizeof *l->entries);
        l->capacity = capacity;
    }
    if (offset > l->head) l->head = offset;
    return &l->entries[offset - 1];
}

static bool may_skip(const said *s, uint32_t chain) {
    return s->what.quiet && s->what.chain == chain;
}

#define OFFSET_MAX 1000000 /* far beyond what one run can publish */

static void check_leave(history *h, const said *s) {
    if (s->what.asked && !s->allowed)
        history_anomaly(h, "leak", "publication %u is there, and nobody said yes to it",
            (unsigned)(s - h->sayings) + 1);
}

/* Somebody knows that `key` stands at this place. */
static void place(history *h, epoch_log *l, uint32_t key, uint64_t offset) {
    said *s = saying(h, key);
    check_leave(h, s);
    uint32_t number = (uint32_t)(l - h->logs) + 1;
    if (offset == 0 || offset > OFFSET_MAX) {
        history_anomaly(h, "false-ok", "offset %llu", (unsigned long long)offset);
        return;
    }
    entry *e = entry_at(h, l, offset);
    if (e->key && e->key != key)
        history_anomaly(h, "inconsistent-offsets", "channel %u, offset %llu is %u and %u",
            l->channel, (unsigned long long)offset, e->key, key);
    if (s->log && (s->log != number || s->offset != offset))
        history_anomaly(h, "double", "publication %u is at %llu and %llu", key,
            (unsigned long long)s->offset, (unsigned long long)offset);
    if (e->skipper && !may_skip(s, e->skipper - 1))
        history_anomaly(
            h, "wrong-skip", "publication %u was left out for chain %u", key, e->skipper - 1);
    e->key = key;
    s->log = number;
    s->offset = offset;
}

/* -- reports ---------------------------------------------------------------------------------- */

void history_allowed(history *h, uint32_t key, bool changed) {
    said *s = saying(h, key);
    if (!s) return;
    s->allowed = true;
    s->what.changed = changed;
}

void history_acked(history *h, uint32_t key, uint64_t epoch, uint64_t offset) {
    said *s = saying(h, key);
    check_leave(h, s);
    if (s->answered) history_anomaly(h, "false-ok", "publication %u is answered twice", key);
    s->answered = true;
    if (s->what.is_volatile) {
        if (offset) history_anomaly(h, "false-ok", "volatile %u has an offset", key);
        return;
    }
    if (!epoch || !offset) {
        history_anomaly(h, "false-ok", "publication %u has no place", key);
        return;
    }
    epoch_log *l = log_at(h, epoch, s->what.life, s->what.channel);
    if (l) place(h, l, key, offset);
}

void history_refused(history *h, uint32_t key) {
    said *s = saying(h, key);
    if (s->answered || s->log)
        history_anomaly(h, "false-fail", "publication %u is refused, but in the log", key);
    s->answered = s->refused = true;
}

void history_joined(history *h, history_seat *seat, uint64_t epoch, uint64_t offset) {
    seat->joined = true;
    seat->epoch = epoch;
    seat->offset = offset;
    seat->replay_to = 0;
    epoch_log *l = log_at(h, epoch, seat->life, seat->channel);
    if (l && offset > 0 && offset < OFFSET_MAX) entry_at(h, l, offset);
}

void history_recovered(
    history *h, history_seat *seat, uint64_t epoch, uint64_t head, uint64_t replay) {
    uint64_t offset = seat->offset;
    if (seat->epoch != epoch || offset + replay != head || offset > OFFSET_MAX)
        history_anomaly(h, "recover", "client %u, channel %u: %llu more from %llu on make %llu",
            seat->client, seat->channel, (unsigned long long)replay, (unsigned long long)offset,
            (unsigned long long)head);
    history_joined(h, seat, epoch, head);
    seat->offset = offset;
    seat->replay_to = head;
}

void history_read(
    history *h, const history_seat *where, uint64_t epoch, uint32_t key, uint64_t offset) {
    const said *s = saying(h, key);
    if (!s || s->what.channel != where->channel || s->what.life != where->life ||
        s->what.is_volatile) {
        history_anomaly(h, "phantom", "client %u reads %u in channel %u, life %u", where->client,
            key, where->channel, where->life);
        return;
    }
    if (s->refused) history_anomaly(h, "false-fail", "publication %u is refused, but read", key);
    epoch_log *l = log_at(h, epoch, where->life, where->channel);
    if (l) place(h, l, key, offset);
}

/* What must hold of a message wherever it stands. */
static const said *heard_at_all(history *h, const history_seat *seat, uint32_t key) {
    const said *s = saying(h, key);
    if (!s || s->what.channel != seat->channel || s->what.life != seat->life) {
        history_anomaly(h, "phantom", "client %u hears %u in channel %u, life %u", seat->client,
            key, seat->channel, seat->life);
        return NULL;
    }
    if (s->refused) history_anomaly(h, "false-fail", "publication %u is refused, but heard", key);
    if (!seat->joined)
        history_anomaly(h, "late", "client %u hears %u in channel %u, which it is not in",
            seat->client, key, seat->channel);
    return s;
}

void history_heard(history *h, history_seat *seat, uint32_t chain, uint32_t key, uint64_t offset) {
    const said *s = heard_at_all(h, seat, key);
    if (!s || h->words[0]) return;
    if (may_skip(s, chain)) {
        history_anomaly(h, "phantom", "client %u hears itself say %u", seat->client, key);
        return;
    }
    if (s->what.is_volatile != (offset == 0)) {
        history_anomaly(
            h, "phantom", "publication %u at offset %llu", key, (unsigned long long)offset);
        return;
    }
    check_leave(h, s);
    if (s->what.is_volatile) return;
    if (offset != seat->offset + 1) {
        history_anomaly(h, offset <= seat->offset ? "duplicate" : "silent-gap",
            "client %u, channel %u: offset %llu after %llu", seat->client, seat->channel,
            (unsigned long long)offset, (unsigned long long)seat->offset);
        return;
    }
    seat->offset = offset;
    epoch_log *l = log_at(h, seat->epoch, seat->life, seat->channel);
    if (l) place(h, l, key, offset);
}

void history_skipped(
    history *h, history_seat *seat, uint32_t chain, uint64_t offset, uint64_t count, bool slow) {
    if (!seat->joined || count == 0 || seat->offset + count != offset) {
        history_anomaly(h, "silent-gap",
            "client %u, channel %u: %llu skipped up to %llu after %llu", seat->client,
            seat->channel, (unsigned long long)count, (unsigned long long)offset,
            (unsigned long long)seat->offset);
        return;
    }
    epoch_log *l = log_at(h, seat->epoch, seat->life, seat->channel);
    while (l && seat->offset < offset) {
        entry *e = entry_at(h, l, ++seat->offset);
        if (slow) continue;
        e->skipper = chain + 1;
        if (e->key && !may_skip(saying(h, e->key), chain))
            history_anomaly(
                h, "wrong-skip", "client %u is told to do without %u", seat->client, e->key);
    }
}

bool history_level(const history *h, const history_seat *seat, uint32_t chain) {
    const epoch_log *l = log_find(h, seat->epoch);
    if (!l || !seat->joined) return false;
    for (uint64_t at = seat->offset; at < l->head; at++) {
        const said *s = saying(h, l->entries[at].key);
        if (!s || !may_skip(s, chain)) return false;
    }
    return true;
}

/* -- runs -------------------------------------------------------------------------------------- */

uint32_t history_run(history *h, uint32_t life, uint32_t channel) {
    h->runs = must(realloc(h->runs, (h->run_count + 1) * sizeof *h->runs));
    h->runs[h->run_count] = (run){ .life = life, .channel = channel };
    return h->run_count++;
}

/* Where two that follow each other stand is often known at once. */
static void check_next(history *h, const run *r, const said *a, const said *b) {
    if (!a->log || a->log != b->log || b->offset == a->offset + 1) return;
    history_anomaly(h,
        b->offset == a->offset  ? "duplicate"
        : b->offset < a->offset ? "reorder"
                                : "silent-gap",
        "without offsets, channel %u, life %u: %llu after %llu", r->channel, r->life,
        (unsigned long long)b->offset, (unsigned long long)a->offset);
}

void history_run_heard(history *h, uint32_t number, uint32_t key) {
    run *r = &h->runs[number];
    const said *s = saying(h, key);
    if (!s || s->what.channel != r->channel || s->what.life != r->life) {
        history_anomaly(h, "phantom", "%u is heard in channel %u, life %u, without offsets", key,
            r->channel, r->life);
        return;
    }
    if (s->refused) history_anomaly(h, "false-fail", "publication %u is refused, but heard", key);
    check_leave(h, s);
    if (s->what.is_volatile) return;
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? r->capacity * 2 : 16;
        r->keys = must(realloc(r->keys, r->capacity * sizeof *r->keys));
    }
    if (r->count) check_next(h, r, saying(h, r->keys[r->count - 1]), s);
    r->keys[r->count++] = key;
}

bool history_run_level(const history *h, uint32_t number) {
    const run *r = &h->runs[number];
    if (r->count == 0) return true;
    const said *s = saying(h, r->keys[r->count - 1]);
    return !s->log || h->logs[s->log - 1].head == s->offset;
}

/* Of one whose place is known all others follow. */
static void place_run(history *h, const run *r) {
    uint32_t known = 0;
    while (known < r->count && !saying(h, r->keys[known])->log)
        known++;
    if (known == r->count) return;
    const said *s = saying(h, r->keys[known]);
    epoch_log *l = &h->logs[s->log - 1];
    uint64_t first = s->offset - known;
    if (s->offset <= known)
        history_anomaly(h, "duplicate", "channel %u, life %u: more is heard than was said",
            r->channel, r->life);
    for (uint32_t i = 0; i < r->count && !h->words[0]; i++)
        place(h, l, r->keys[i], first + i);
}

void history_finish(history *h) {
    for (uint32_t i = 0; i < h->run_count && !h->words[0]; i++)
        place_run(h, &h->runs[i]);
    for (uint32_t i = 0; i < h->log_count; i++) {
        const epoch_log *l = &h->logs[i];
        for (uint64_t at = 0; at < l->head; at++) {
            const said *s = saying(h, l->entries[at].key);
            for (uint64_t next = at + 1; s && next < l->head; next++) {
                const said *t = saying(h, l->entries[next].key);
                if (!t || t->what.session != s->what.session) continue;
                if (t < s)
                    history_anomaly(h, "reorder", "channel %u: %u stands before %u", l->channel,
                        (unsigned)(s - h->sayings) + 1, (unsigned)(t - h->sayings) + 1);
                break;
            }
        }
    }
}
