/* listing.c -- which channels there are, a page of them in the order of their names.
 *
 * Each worker knows the channels whose home is there, in no order, and walks all of them for each
 * page, keeping the first ones behind the place where the page begins. It walks a little in each
 * turn, and its letter goes to itself again until it is through. Of what all have found the last
 * one makes the page, and the letters go out once more, for what only all together know: how many
 * are in each.
 *
 *   the program ──> each worker ──step, step, ...──> the last one: merge ──> each worker: count
 *                                                              the last one: fn <──┘
 *
 * That a page begins behind a name, and not at a place in a table, is what makes pages fit together
 * whatever comes and goes between them.
 */
#include "lib/listing.h"
#include "base/mem.h"
#include "lib/hub.h"
#include "lib/names.h"
#include "lib/orders.h"
#include "lib/server.h"
#include "lib/sized.h"

#define STEPS     4096 /* in a turn, of all listings together: a fraction of a millisecond */
#define STEPS_MIN 64   /* of one of them */
#define WALKS_MAX (STEPS / STEPS_MIN)

typedef struct part { /* of one worker, which writes it */
    ln_homes_walk walk;
    bool walks;
    int err;
    ln_names names;
    uint32_t *subscribers; /* of each item */
} part;

typedef struct item {
    ln_slice name;
    unsigned home; /* the worker that writes what follows */
    ln_position at;
    bool members;
    uint32_t connections, users;
} item;

typedef struct listing {
    linnet_hub *hub;
    linnet_server *server;
    linnet_hub_channels_fn *fn;
    void *ctx;
    ln_ref refs;
    bool counts, more;
    uint32_t limit, count;
    unsigned workers;
    ln_slice prefix, after;
    part *parts;
    item *items;
    ln_post *posts[LN_LIM_WORKERS]; /* their letters; NULL: lost */
    uint8_t bytes[];                /* prefix, after */
} listing;

static void listing_free(listing *l) {
    for (unsigned i = 0; i < l->workers; i++) {
        ln_free(l->posts[i]);
        ln_names_fini(&l->parts[i].names);
        ln_free(l->parts[i].subscribers);
    }
    ln_free(l->items);
    ln_free(l->parts);
    ln_free(l);
}

/* ---- telling ------------------------------------------------------------------------ */

static int first_error(const listing *l) {
    for (unsigned i = 0; i < l->workers; i++)
        if (l->parts[i].err < 0) return l->parts[i].err;
    return LINNET_OK;
}

static linnet_channel shown(const listing *l, uint32_t i) {
    const item *it = &l->items[i];
    linnet_channel c = { .size = sizeof c,
        .name = it->name,
        .epoch = it->at.epoch,
        .offset = it->at.offset,
        .members = it->members,
        .connections = it->connections,
        .users = it->users };
    for (unsigned k = 0; k < l->workers; k++)
        c.subscribers += l->parts[k].subscribers[i];
    return c;
}

static void tell(const listing *l, int err) {
    linnet_channel *all = NULL;
    if (err == LINNET_OK && l->count) {
        all = ln_calloc(l->count, sizeof *all);
        if (!all) err = LINNET_ERR_NOMEM;
    }
    for (uint32_t i = 0; all && i < l->count; i++)
        all[i] = shown(l, i);
    l->fn(l->ctx, l->hub, err, all, all ? l->count : 0, all && l->more);
    ln_free(all);
}

/* ---- the page ----------------------------------------------------------------------- */

/* Where the next name is, of all that were found; -1: nowhere. */
static int next_of(const listing *l, const uint32_t *at) {
    int first = -1;
    for (unsigned i = 0; i < l->workers; i++) {
        const ln_names *n = &l->parts[i].names;
        if (at[i] == n->count) continue;
        if (first < 0 || ln_names_compare(ln_names_at(n, at[i]),
                             ln_names_at(&l->parts[first].names, at[first])) < 0)
            first = (int)i;
    }
    return first;
}

static void fill(listing *l) {
    uint32_t at[LN_LIM_WORKERS] = { 0 };
    int from;
    while ((from = next_of(l, at)) >= 0 && l->count < l->limit) {
        const ln_names *n = &l->parts[from].names;
        l->items[l->count++] = (item){ .name = ln_names_at(n, at[from]++), .home = (unsigned)from };
    }
    l->more = from >= 0;
    for (unsigned i = 0; i < l->workers; i++)
        l->more = l->more || l->parts[i].names.more;
}

static int merge(listing *l) {
    uint32_t found = 0;
    for (unsigned i = 0; i < l->workers; i++)
        found += l->parts[i].names.count;
    if (found > l->limit) found = l->limit;
    if (found) l->items = ln_calloc(found, sizeof *l->items);
    if (found && !l->items) return LINNET_ERR_NOMEM;
    fill(l);
    for (unsigned i = 0; found && i < l->workers; i++) {
        l->parts[i].subscribers = ln_calloc(found, sizeof *l->parts[i].subscribers);
        if (!l->parts[i].subscribers) return LINNET_ERR_NOMEM;
    }
    return LINNET_OK;
}

/* ---- letters ------------------------------------------------------------------------ */

static void put(listing *l);

static void post(listing *l, linnet_loop *w, unsigned i) {
    ln_post *m = l->posts[i];
    ln_inbox_post(w->inbox, &m->letter, &m->letter, 1, m->letter.bytes);
}

/* To all; it may be over when this returns. */
static void send_out(listing *l) {
    ln_ref_init(&l->refs, l->workers + 1);
    for (unsigned i = 0; i < l->workers; i++) {
        linnet_loop *w = ln_server_worker(l->server, i);
        if (w) {
            post(l, w, i);
        } else { /* the server is being freed */
            l->parts[i].err = LINNET_ERR_CANCELLED;
            put(l);
        }
    }
    put(l);
}

/* One of them is done; the last one goes on, or tells. */
static void put(listing *l) {
    if (!ln_ref_put(&l->refs)) return;
    int err = first_error(l);
    if (err == LINNET_OK && !l->counts) {
        err = merge(l);
        l->counts = true;
        if (err == LINNET_OK && l->count) {
            send_out(l);
            return;
        }
    }
    tell(l, err);
    listing_free(l);
}

void ln_listing_lost(void *listed, unsigned worker) {
    listing *l = listed;
    l->posts[worker] = NULL;
    l->parts[worker].err = LINNET_ERR_CANCELLED;
    put(l);
}

/* ---- on a worker -------------------------------------------------------------------- */

typedef struct seer {
    const listing *l;
    part *p;
} seer;

static void see(void *ctx, ln_slice channel) {
    const seer *s = ctx;
    if (!ln_slice_starts(channel, s->l->prefix)) return;
    if (s->l->after.size && ln_names_compare(channel, s->l->after) <= 0) return;
    int err = ln_names_add(&s->p->names, channel);
    if (err < 0) s->p->err = err;
}

static void walk_end(linnet_loop *w, part *p) {
    if (p->walks) w->walks--;
    p->walks = false;
}

/* True: there is more to do. */
static bool walk(linnet_loop *w, const listing *l, part *p) {
    if (!p->walks && w->walks >= WALKS_MAX) {
        p->err = LINNET_ERR_AGAIN;
        return false;
    }
    if (!p->walks) w->walks++;
    p->walks = true;
    seer s = { l, p };
    bool more = ln_homes_step(&w->hub->homes, &p->walk, STEPS / w->walks, see, &s);
    if (more && p->err == LINNET_OK) return true;
    walk_end(w, p);
    return false;
}

static void look_at_home(linnet_loop *w, item *it) {
    ln_roll roll = { .limit = 0 };
    it->at = ln_homes_look(&w->hub->homes, it->name);
    it->members = ln_hub_presence(w->hub, it->name);
    if (!it->members) return;
    ln_presences_roll(&w->hub->presences, it->name, &roll, NULL);
    it->connections = roll.members;
    it->users = roll.users;
}

static void count(linnet_loop *w, listing *l, unsigned self) {
    for (uint32_t i = 0; i < l->count; i++) {
        const ln_channel *c = ln_hub_find(w->hub, LN_SPACE_CHANNELS, l->items[i].name);
        l->parts[self].subscribers[i] = c ? c->subscribers + c->behind : 0;
        if (l->items[i].home == self) look_at_home(w, &l->items[i]);
    }
}

void ln_listing_mail(linnet_loop *w, ln_post *m) {
    listing *l = m->ctx;
    unsigned self = (unsigned)m->code; /* w may not be one of them any more */
    part *p = &l->parts[self];
    if (!ln_host_hub_people(w)) {
        p->walks = false; /* with its hub the worker has forgotten how many there were */
        p->err = LINNET_ERR_CANCELLED;
    } else if (l->counts) {
        count(w, l, self);
    } else if (walk(w, l, p)) {
        post(l, w, self);
        return;
    }
    put(l);
}

/* ---- asking ------------------------------------------------------------------------- */

static ln_slice keep(uint8_t **at, ln_slice s) {
    uint8_t *to = *at;
    if (s.size) memcpy(to, s.data, s.size);
    *at = to + s.size;
    return ln_slice_of(to, s.size);
}

/* What no name of a channel begins with, or is, is a mistake. */
static bool could_be(ln_slice text) {
    return !text.size || ln_channel_name_check(LN_SPACE_CHANNELS, text) != LINNET_ERR_INVAL;
}

static listing *listing_new(const linnet_channels_query *q, unsigned workers) {
    listing *l = ln_calloc(1, sizeof *l + q->prefix.size + q->after.size);
    part *parts = ln_calloc(workers, sizeof *parts);
    bool all = l && parts;
    for (unsigned i = 0; all && i < workers; i++) {
        l->posts[i] = ln_post_new(LN_POST_CHANNELS, 0, (int)i, NULL, LN_SLICE(""));
        if (l->posts[i]) l->posts[i]->ctx = l;
        all = l->posts[i];
    }
    if (!all) {
        for (unsigned i = 0; l && i < workers; i++)
            ln_free(l->posts[i]);
        ln_free(parts);
        ln_free(l);
        return NULL;
    }
    uint8_t *at = l->bytes;
    l->prefix = keep(&at, q->prefix);
    l->after = keep(&at, q->after);
    l->limit = q->limit ? q->limit : LINNET_CHANNELS_PAGE;
    l->workers = workers;
    l->parts = parts;
    for (unsigned i = 0; i < workers; i++)
        ln_names_init(&parts[i].names, l->limit);
    return l;
}

int linnet_hub_channels(
    linnet_hub *hub, const linnet_channels_query *q, linnet_hub_channels_fn *fn, void *ctx) {
    if (!hub || !fn || !q || !ln_sized(q, sizeof *q)) return LINNET_ERR_INVAL;
    if (q->limit > LN_NAMES_MAX || !could_be(q->prefix) || !could_be(q->after))
        return LINNET_ERR_INVAL;
    linnet_server *s = ln_host_hub_server(hub);
    if (!s) return LINNET_ERR_STATE;
    if (ln_orders_crowded(s)) return LINNET_ERR_AGAIN;
    listing *l = listing_new(q, s->worker_count);
    if (!l) return LINNET_ERR_NOMEM;
    l->hub = hub;
    l->server = s;
    l->fn = fn;
    l->ctx = ctx;
    send_out(l);
    return LINNET_OK;
}
