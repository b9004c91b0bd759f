/* slow.c -- readers who do not keep up.
 *
 * The policy of a namespace acts on publications that wait in the queue of a connection, behind
 * what was given to the backend; never on answers, errors or anything else. It begins before the
 * queue is full, so that there is room left for those: at seven eighths, or when the oldest has
 * waited for half of the time it may. For `latest-per-key` it begins at the high mark, because
 * what has been overtaken is of no use to anybody.
 *
 * Where a client can be told, every hole is explained: the place of what was dropped is taken by a
 * `skip`, one for each channel and run, in front of the next message of that channel; when none
 * waits, the subscription remembers it, as it does for `except`.
 */
#include "base/mem.h"
#include "session/inner.h"

#define LAGGED   (UINT32_C(1) << 31) /* of a note, beside its count in `key` */
#define GONE_MAX 64                  /* channels that skips are gathered for at a time */

typedef struct gone { /* left out of one channel, and not said yet */
    uint32_t channel, count;
    uint64_t offset;
    bool lagged; /* and not only for its `except` */
    bool left;   /* its session is not in the channel any more */
} gone;

typedef struct sifting {
    ln_session *session;
    gone gones[GONE_MAX];
    uint32_t gone_count;
    uint32_t target;      /* of queued bytes: above it the oldest go */
    uint32_t age_max;     /* ms; older ones go */
    struct tally *latest; /* how many of each key are still to come; NULL: keys do not matter */
    uint32_t mask;
} sifting;

typedef struct tally {
    uint32_t channel, key, left;
} tally;

/* ---- before ------------------------------------------------------------------------------- */

static const ln_channel *channel_of(const ln_row *row) {
    for (uint32_t i = 0; i < row->count; i++)
        if (row->seats[i].target) return row->seats[i].sub->channel;
    return NULL;
}

bool ln_slow_any(const ln_row *row) {
    const ln_channel *c = channel_of(row);
    return c && c->slow != LN_SLOW_DISCONNECT;
}

/* Clients that cannot be told of a hole may have one only where nobody promised them otherwise. */
ln_slow ln_slow_of(const ln_row *row, const ln_publication *p, ln_map_key key, ln_rendering *r) {
    const ln_channel *c = channel_of(row);
    if (!c || c->slow == LN_SLOW_DISCONNECT) return LN_SLOW_DISCONNECT;
    if (!ln_dialects[row->user]->skips && c->class != LN_CLASS_LIVE) return LN_SLOW_DISCONNECT;
    r->flags |= LN_RENDERING_LIVE;
    r->channel = c->id;
    r->offset = p->at.offset;
    if (c->slow == LN_SLOW_LATEST_PER_KEY)
        r->key = (uint32_t)ln_siphash(key, ln_publication_event(p));
    return (ln_slow)c->slow;
}

/* ---- what goes ------------------------------------------------------------------------------ */

static struct tally *tally_at(const sifting *f, const ln_rendering *r) {
    uint32_t at = (r->key ^ r->channel * UINT32_C(0x9e3779b1)) & f->mask;
    for (;; at = (at + 1) & f->mask) {
        tally *t = &f->latest[at];
        if (!t->left && !t->channel) return t;
        if (t->channel == r->channel && t->key == r->key) return t;
    }
}

/* Counts what waits, so that the last of each key is known when it comes. Without memory keys do
 * not matter this time. */
static void count_keys(sifting *f, const ln_txq *q) {
    uint32_t room = 16;
    while (room < q->count * 2)
        room *= 2;
    f->latest = ln_calloc(room, sizeof *f->latest);
    f->mask = room - 1;
    ln_txq_walk walk = { .begun = false };
    for (const ln_rendering *r; f->latest && (r = ln_txq_next(q, &walk));) {
        if (!(r->flags & LN_RENDERING_LIVE)) continue;
        tally *t = tally_at(f, r);
        t->channel = r->channel;
        t->key = r->key;
        t->left++;
    }
}

static bool overtaken(const sifting *f, const ln_rendering *r) {
    return f->latest && --tally_at(f, r)->left > 0;
}

static bool goes(const sifting *f, const ln_sift *s, const ln_rendering *r, uint32_t left) {
    if (!(r->flags & LN_RENDERING_LIVE)) return false;
    if (overtaken(f, r)) return true;
    uint32_t waited = (uint32_t)ln_loop_now(s->c->env->loop) - s->at;
    return left > f->target || (f->age_max && waited >= f->age_max && waited < UINT32_MAX / 2);
}

/* ---- what is said of it --------------------------------------------------------------------- */

static ln_sub *sub_of(const ln_session *s, uint32_t channel) {
    for (ln_sub *sub = s->subs; sub; sub = sub->next)
        if (ln_subscription_joined(&sub->s) && sub->s.channel->id == channel) return sub;
    return NULL;
}

static ln_rendering *note_new(ln_sessions *n, ln_slice name, const gone *g) {
    ln_buf *out = &n->packed; /* `out` may be in use */
    ln_rendering *r = NULL;
    const char *reason = g->lagged ? "slow" : "except";
    ln_buf_clear(out);
    if (ln_native_put_skip(out, name, g->offset, g->count, reason) == LINNET_OK)
        r = ln_rendering_of(LN_OP_TEXT, ln_buf_slice(out));
    ln_scratch_clear(out);
    if (!r) return NULL;
    r->flags |= LN_RENDERING_NOTE | LN_RENDERING_ITEM;
    r->channel = g->channel;
    r->offset = g->offset;
    r->key = g->count | (g->lagged ? LAGGED : 0);
    return r;
}

ln_rendering *ln_slow_note(const ln_sub *sub) {
    const ln_sub_more *more = sub->more;
    gone g = { sub->s.channel->id, more->skipped, more->skipped_to, more->lagged };
    return note_new(sub->session->node, ln_sub_name(sub), &g);
}

static void say_gone(sifting *f, ln_sift *s, uint32_t i) {
    gone g = f->gones[i];
    f->gones[i] = f->gones[--f->gone_count];
    const ln_sub *sub = sub_of(f->session, g.channel);
    if (!sub) return;
    ln_rendering *note = note_new(f->session->node, ln_sub_name(sub), &g);
    if (note)
        ln_conn_sift_put(s, note);
    else
        s->err = LINNET_ERR_NOMEM; /* a hole that nobody would see */
}

static void say_gone_of(sifting *f, ln_sift *s, uint32_t channel) {
    for (uint32_t i = 0; i < f->gone_count; i++) {
        if (f->gones[i].channel != channel) continue;
        say_gone(f, s, i);
        return;
    }
}

static void say_all_gone(sifting *f, ln_sift *s) {
    for (uint32_t i = 0; i < f->gone_count;) {
        if (f->gones[i].left)
            i++;
        else
            say_gone(f, s, i);
    }
}

/* Of a channel that it has left there is nobody to whom a hole could be explained, so from the
 * first one on nothing of it goes out any more: what the client heard last is where it stands. */
static bool has_left(const sifting *f, uint32_t channel) {
    for (uint32_t i = 0; i < f->gone_count; i++)
        if (f->gones[i].left && f->gones[i].channel == channel) return true;
    return false;
}

static void add_gone(sifting *f, ln_sift *s, const ln_rendering *r, uint32_t count, bool lagged) {
    if (!r->offset) return;
    for (uint32_t i = 0; i < f->gone_count; i++) {
        if (f->gones[i].channel != r->channel) continue;
        f->gones[i].offset = r->offset;
        f->gones[i].count += count;
        f->gones[i].lagged |= lagged;
        return;
    }
    bool left = !sub_of(f->session, r->channel);
    if (f->gone_count == GONE_MAX) say_all_gone(f, s);
    if (f->gone_count == GONE_MAX)
        s->err = LINNET_ERR_NOMEM;
    else
        f->gones[f->gone_count++] = (gone){ r->channel, count, r->offset, lagged, left };
}

/* ---- the sieve ------------------------------------------------------------------------------ */

/* A word of earlier holes goes too, and comes again in front of the next of its channel. */
static bool let_go(sifting *f, ln_sift *s, const ln_rendering *r, uint32_t left) {
    if (r->channel && has_left(f, r->channel)) return true;
    if (r->flags & LN_RENDERING_NOTE) {
        add_gone(f, s, r, r->key & ~LAGGED, (r->key & LAGGED) != 0);
        return true;
    }
    if (!goes(f, s, r, left)) return false;
    ln_stat_add(&f->session->node->dropped, 1);
    if (ln_session_dialect(f->session)->skips) add_gone(f, s, r, 1, true);
    return true;
}

static void remember_gone(const sifting *f) {
    for (uint32_t i = 0; i < f->gone_count; i++) {
        ln_sub *sub = sub_of(f->session, f->gones[i].channel);
        if (!sub) continue;
        ln_sub_skip(sub, f->gones[i].offset, f->gones[i].count, f->gones[i].lagged);
    }
}

static void sift(sifting *f, bool keys) {
    ln_conn *c = f->session->conn;
    ln_sift s;
    if (keys) count_keys(f, &c->queue);
    uint32_t left = c->queued;
    ln_conn_sift_begin(c, &s);
    for (ln_rendering *r; (r = ln_conn_sift_next(&s));) {
        if (let_go(f, &s, r, left)) {
            left -= r->size + r->head;
            ln_rendering_unref(r);
            continue;
        }
        if (r->flags & LN_RENDERING_LIVE)
            say_gone_of(f, &s, r->channel);
        else /* it may be of any channel: a replay */
            say_all_gone(f, &s);
        ln_conn_sift_put(&s, r);
    }
    remember_gone(f);
    ln_free(f->latest);
    f->session->sifted = c->queue.count;
    f->session->sifted_at = (uint32_t)ln_loop_now(c->env->loop);
    if (ln_conn_sift_end(&s) < 0) ln_conn_fail(c, LINNET_ERR_NOMEM);
}

bool ln_slow_room(ln_sub *sub, const ln_publication *p, const ln_rendering *r) {
    ln_session *s = sub->session;
    ln_conn *c = s->conn;
    const ln_conn_config *f = c->config;
    ln_slow slow = (ln_slow)sub->s.channel->slow;
    uint32_t bytes = r->size + r->head, room = f->queued_max - f->queued_max / 8;
    uint32_t now = (uint32_t)ln_loop_now(c->env->loop), age = f->queued_age_ms;
    bool full = c->queued && c->queued + bytes > room;
    bool late = age && c->queue.first && now - c->queue.first_at >= age / 2 &&
                now - s->sifted_at >= age / 8;
    bool many = slow == LN_SLOW_LATEST_PER_KEY && c->queued + bytes > f->high &&
                c->queue.count > s->sifted + s->sifted / 2 + 8;
    if (!full && !late && !many) return true;
    if (late || slow != LN_SLOW_DROP_NEWEST) {
        sifting what = { .session = s,
            .target = full && slow != LN_SLOW_DROP_NEWEST ? room - room / 4 : UINT32_MAX,
            .age_max = late ? age / 4 : 0 };
        sift(&what, slow == LN_SLOW_LATEST_PER_KEY);
    }
    if (!c->queued || c->queued + bytes <= room) return true;
    ln_stat_add(&s->node->dropped, 1);
    ln_sub_skip(sub, p->at.offset, 1, true);
    return false;
}
