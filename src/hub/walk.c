/* walk.c -- all channels whose home is here, and those that live on as a log without one; a few at
 * a time, so that nobody waits for it.
 */
#include "hub/home.h"

typedef struct walker {
    const ln_homes *h;
    void (*see)(void *ctx, ln_slice channel);
    void *ctx;
} walker;

static uint32_t kept_of(const ln_homes *h, ln_slice channel) {
    ln_position head;
    uint32_t kept;
    bool can = h->broker && h->broker->ops->look;
    return can && h->broker->ops->look(h->broker, channel, &head, &kept) ? kept : 0;
}

/* Each half sees who is alive for whatever reason: who is in here only for his history now may be
 * there only for his subscribers when the other half comes to him. */
static void walk_home(void *ctx, void *value) {
    const walker *w = ctx;
    const ln_home *home = value;
    if (ln_home_occupied(home) || (home->log && kept_of(w->h, ln_home_name(home))))
        w->see(w->ctx, ln_home_name(home));
}

static void walk_log(void *ctx, ln_slice channel, uint32_t kept) {
    const walker *w = ctx;
    const ln_home *home = kept ? NULL : ln_map_get(&w->h->map[LN_SPACE_CHANNELS], channel);
    if (kept || (home && ln_home_occupied(home))) w->see(w->ctx, channel);
}

bool ln_homes_step(ln_homes *h, ln_homes_walk *w, uint32_t steps,
    void (*see)(void *ctx, ln_slice channel), void *ctx) {
    walker who = { h, see, ctx };
    while (steps && !w->logs) {
        ln_map_scan(&h->map[LN_SPACE_CHANNELS], &w->at, walk_home, &who);
        w->logs = w->at == 0;
        steps--;
    }
    if (!w->logs) return true;
    if (!h->broker || !h->broker->ops->walk) return false;
    bool first = w->at == 0;
    for (; steps && (first || w->at); steps--, first = false)
        h->broker->ops->walk(h->broker, &w->at, walk_log, &who);
    return first || w->at;
}

ln_position ln_homes_look(const ln_homes *h, ln_slice channel) {
    const ln_home *home = ln_map_get(&h->map[LN_SPACE_CHANNELS], channel);
    ln_position at = { 0, 0 };
    uint32_t kept;
    if (home && home->state == LN_HOME_OPEN) return home->cursor;
    if (h->broker && h->broker->ops->look) h->broker->ops->look(h->broker, channel, &at, &kept);
    return at;
}
