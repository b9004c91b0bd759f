#include "hub/hub.h"
#include "base/mem.h"
#include <assert.h>

#define CHANNELS_MAX 1000000
#define TIMED        8 /* one publication in so many */

static ln_slice channel_key(const void *value) {
    return ln_channel_name(value);
}

uint32_t ln_hub_home(ln_map_key key, uint32_t workers, ln_slice channel) {
    /* The upper half: the maps of a home use the lower one, and would fill every N-th slot. */
    uint64_t upper = ln_siphash(key, channel) >> 32;
    return (uint32_t)(upper * workers >> 32);
}

static void post_home(ln_hub *h, ln_letter *letter, ln_slice channel) {
    uint32_t home = ln_hub_home(h->key, h->workers, channel);
    letter->from = (uint8_t)h->self;
    letter->to = (uint8_t)home;
    h->post(h->ctx, home, letter);
}

/* What a home of ours sends: to our own half without delay. */
static void post_from_home(void *ctx, uint32_t worker, ln_letter *letter) {
    ln_hub *h = ctx;
    if (letter->kind == LN_MAIL_INTERESTED) {
        ln_interest *m = ln_interest_of(letter);
        m->keyed = ln_states_any(&h->states, ln_slice_of(m->name, m->name_size));
    }
    if (worker == h->self)
        ln_hub_mail(h, letter);
    else
        h->post(h->ctx, worker, letter);
}

static int take_namespaces(const ln_hub_options *o, ln_namespaces **out) {
    ln_namespace for_all = { .class = o->broker ? LN_CLASS_RECOVERABLE : LN_CLASS_LIVE,
        .history = LN_RETENTION_INIT };
    if (!o->namespaces) return ln_namespaces_new(NULL, 0, &for_all, out);
    if (!o->broker && ln_namespaces_recoverable(o->namespaces)) return LINNET_ERR_INVAL;
    ln_namespaces_ref(o->namespaces);
    *out = o->namespaces;
    return LINNET_OK;
}

int ln_hub_new(const ln_hub_options *o, ln_hub **out) {
    if (o->workers == 0 || o->workers > LN_WORKERS_MAX || o->self >= o->workers)
        return LINNET_ERR_INVAL;
    if (!o->post) return LINNET_ERR_INVAL;
    ln_hub *h = ln_calloc(1, sizeof *h);
    if (!h) return LINNET_ERR_NOMEM;
    uint32_t max = o->channels_max ? o->channels_max : CHANNELS_MAX;
    int err = take_namespaces(o, &h->homes.namespaces);
    if (err < 0) {
        ln_free(h);
        return err;
    }
    h->key = o->key;
    h->ctx = o->ctx;
    h->post = o->post;
    h->self = o->self;
    h->workers = o->workers;
    h->homes.self = o->self;
    h->homes.workers = o->workers;
    h->homes.broker = o->broker;
    h->homes.ctx = h;
    h->homes.post = post_from_home;
    ln_homes_init(&h->homes, o->key, max);
    ln_caps_init(&h->caps, o->key);
    ln_list_init(&h->batches);
    ln_hub_attend_init(h, max);
    for (int i = 0; i < LN_SPACES; i++)
        ln_map_init(&h->channels[i], o->key, channel_key, max);
    *out = h;
    return LINNET_OK;
}

void ln_hub_free(ln_hub *h) {
    if (!h) return;
    for (int i = 0; i < LN_SPACES; i++) {
        ln_channel *c;
        uint32_t at = 0;
        while ((c = ln_map_next(&h->channels[i], &at))) {
            if (c->state == LN_CHANNEL_JOINED) ln_free(c->interest);
            ln_batch_free(ln_batch_take(c));
            ln_channel_free(c);
        }
        ln_map_fini(&h->channels[i]);
    }
    ln_caps_fini(&h->caps);
    ln_leases_fini(&h->leases);
    ln_homes_fini(&h->homes);
    ln_presences_fini(&h->presences);
    ln_states_fini(&h->states);
    if (h->homes.broker) h->homes.broker->ops->free(h->homes.broker);
    ln_free(h);
}

int ln_hub_reload(ln_hub *h, ln_namespaces *namespaces) {
    if (!h->homes.broker && ln_namespaces_recoverable(namespaces)) return LINNET_ERR_INVAL;
    ln_homes_reload(&h->homes, namespaces);
    return LINNET_OK;
}

void ln_hub_use(ln_hub *h, uint8_t user, const ln_hub_user *callbacks) {
    assert(user < LN_USERS_MAX);
    h->users[user] = *callbacks;
}

/* Subscribing ----------------------------------------------------------------------------- */

static void channel_drop(ln_hub *h, ln_channel *c) {
    void *removed = ln_map_remove(&h->channels[c->space], ln_channel_name(c));
    assert(removed == c);
    (void)removed;
    ln_stat_sub(&h->channel_count, 1);
    ln_batch_free(ln_batch_take(c));
    ln_channel_free(c);
}

/* The last one has gone: tells the home. While the letter is away, its return will bring us here.
 */
static void channel_leave(ln_hub *h, ln_channel *c) {
    if (!ln_channel_empty(c) || c->pinned || c->state != LN_CHANNEL_JOINED) return;
    ln_interest *m = c->interest;
    channel_drop(h, c);
    m->channel = NULL;
    m->letter.kind = LN_MAIL_DISINTEREST;
    post_home(h, &m->letter, ln_slice_of(m->name, m->name_size));
}

static int channel_ask(ln_hub *h, ln_space space, ln_slice name, ln_channel **out) {
    ln_channel *c = ln_channel_new(space, name);
    if (!c) return LINNET_ERR_NOMEM;
    int err = ln_map_add(&h->channels[space], c);
    if (err < 0) {
        ln_free(c->interest);
        ln_channel_free(c);
        return err;
    }
    c->id = ++h->channel_ids;
    ln_stat_add(&h->channel_count, 1);
    post_home(h, &c->interest->letter, name);
    *out = c;
    return LINNET_OK;
}

/* Without a seat nothing is delivered to it; what it lacks it reads. */
static bool must_catch_up(const ln_channel *c, const ln_reading *m) {
    return m && c->class == LN_CLASS_RECOVERABLE && m->since.epoch == c->at.epoch &&
           m->since.offset < c->at.offset;
}

static void read_ask(ln_hub *h, ln_reading *m) {
    m->away = true;
    m->wanted = false;
    m->letter.kind = LN_MAIL_READ;
    post_home(h, &m->letter, ln_reading_channel(m));
}

/* The reading is done with; it is here. */
static void read_end(ln_hub *h, ln_reading *m) {
    if (m->sub) m->sub->moving->replay = NULL;
    m->sub = NULL;
    if (!m->owed) {
        ln_reading_free(m);
        return;
    }
    ln_reading_clear(m);
    m->letter.kind = LN_MAIL_UNREAD;
    post_home(h, &m->letter, ln_reading_channel(m));
}

/* Gives s its seat, LN_DONE, or lets it catch up first, LN_PENDING. */
static int take_in(ln_hub *h, ln_channel *c, ln_subscription *s) {
    ln_reading *m = ln_subscription_replay(s);
    if (must_catch_up(c, m)) {
        s->channel = c;
        c->behind++;
        m->behind = true;
        read_ask(h, m);
        return LN_PENDING;
    }
    if (m) read_end(h, m);
    int err = ln_channel_seat(c, s);
    if (err < 0) return err;
    ln_stat_add(&h->subscriptions, 1);
    return LN_DONE;
}

static int enter(ln_hub *h, ln_subscription *s, ln_space space, ln_slice name) {
    ln_channel *c = ln_map_get(&h->channels[space], name);
    int err = LINNET_OK;
    s->space = (uint8_t)space;
    if (!c && (err = channel_ask(h, space, name, &c)) < 0) return err;
    if (c->batch) ln_batch_hasten(&h->batches, c->batch);
    if (c->state == LN_CHANNEL_JOINED && !c->walking && !c->batch) {
        err = take_in(h, c, s);
        if (err < 0) channel_leave(h, c);
        return err;
    }
    if (s->state == LN_SUBSCRIPTION_NOWHERE && (err = ln_subscription_move(s)) < 0) {
        channel_leave(h, c);
        return err;
    }
    s->channel = c;
    ln_list_push(&c->waiting, &s->moving->waiting);
    return LN_PENDING;
}

int ln_hub_subscribe(ln_hub *h, ln_subscription *s, ln_space space, ln_slice name) {
    assert(!s->channel);
    assert(s->user < LN_USERS_MAX && h->users[s->user].deliver);
    int err = ln_channel_name_check(space, name);
    return err < 0 ? err : enter(h, s, space, name);
}

/* It does not catch up any more. */
static void give_up(ln_hub *h, ln_subscription *s) {
    ln_reading *m = ln_subscription_replay(s);
    if (!m) return;
    if (m->behind) s->channel->behind--;
    m->behind = false;
    m->sub = NULL;
    s->moving->replay = NULL;
    if (!m->away) read_end(h, m);
}

/* Without a word to anybody. */
static void nowhere(ln_hub *h, ln_subscription *s) {
    if (s->state != LN_SUBSCRIPTION_MOVING) return;
    give_up(h, s);
    ln_subscription_halt(s);
}

int ln_hub_recover(ln_hub *h, ln_subscription *s, ln_slice name, ln_position from, uint32_t bytes) {
    assert(!s->channel);
    assert(s->user < LN_USERS_MAX && h->users[s->user].replay);
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, name);
    if (err == LINNET_OK) err = ln_subscription_move(s);
    if (err < 0) return err;
    ln_reading *m = ln_reading_new(name, ln_slice_of("", 0));
    if (!m) {
        ln_subscription_halt(s);
        return LINNET_ERR_NOMEM;
    }
    m->since = from;
    m->bytes = bytes;
    m->limit = bytes ? UINT32_MAX : 0;
    m->any = false;
    m->pins = m->catches_up = true;
    m->user = s->user;
    m->sub = s;
    s->moving->replay = m;
    err = enter(h, s, LN_SPACE_CHANNELS, name);
    if (err < 0) nowhere(h, s);
    return err;
}

void ln_hub_more(ln_hub *h, ln_subscription *s, uint32_t bytes) {
    ln_reading *m = ln_subscription_replay(s);
    assert(m && m->granted);
    m->bytes = bytes;
    m->limit = UINT32_MAX;
    m->wanted = m->away;
    if (!m->away) read_ask(h, m);
}

void ln_hub_unsubscribe(ln_hub *h, ln_subscription *s) {
    ln_channel *c = s->channel;
    nowhere(h, s);
    if (s->state == LN_SUBSCRIPTION_SEATED) {
        ln_stat_sub(&h->subscriptions, 1);
        ln_channel_unseat(c, s);
    }
    if (c) channel_leave(h, c);
}

int ln_hub_leave(ln_hub *h, ln_subscription *s, ln_slice note) {
    assert(s->channel && !ln_subscription_leaving(s) && !ln_subscription_replay(s));
    assert(note.size <= UINT8_MAX);
    assert(h->users[s->user].left);
    ln_leave *m = ln_malloc(sizeof *m + note.size);
    if (!m) return LINNET_ERR_NOMEM;
    *m = (ln_leave){ .letter = { .bytes = (uint32_t)(sizeof *m + note.size),
                         .room = LN_LETTER_HUB,
                         .kind = LN_MAIL_LEAVE },
        .sub = s,
        .note_size = (uint8_t)note.size };
    if (note.size) memcpy(m->note, note.data, note.size);
    ln_subscription_leave(s, m);
    post_home(h, &m->letter, ln_channel_name(s->channel));
    return LN_PENDING;
}

/* Below: delivers what its channel holds back. It may be gone afterwards. */
static void bring_out_for(ln_hub *h, const ln_subscription *s);

/* From here on it is like one that has never asked to leave. */
static void let_go(ln_hub *h, ln_subscription *s, const ln_leave *m) {
    ln_subscription_stay(s);
    h->users[s->user].left(h->users[s->user].ctx, s, ln_slice_of(m->note, m->note_size));
}

static void left(ln_hub *h, ln_leave *m) {
    bring_out_for(h, m->sub);
    if (m->sub) let_go(h, m->sub, m);
    ln_free(m);
}

ln_channel *ln_hub_find(const ln_hub *h, ln_space space, ln_slice name) {
    return ln_map_get(&h->channels[space], name);
}

/* Seats all who wait. The channel is pinned, because callbacks may do anything. */
static void admit(ln_hub *h, ln_channel *c) {
    assert(c->pinned);
    for (ln_list *node; (node = ln_list_pop(&c->waiting));) {
        ln_subscription *s = ln_list_item(node, ln_transit, waiting)->sub;
        int err = take_in(h, c, s);
        if (err == LN_PENDING) continue;
        if (err < 0) nowhere(h, s);
        h->users[s->user].subscribed(h->users[s->user].ctx, s, err < 0 ? err : LINNET_OK);
    }
}

static void refused(ln_hub *h, ln_channel *c, ln_interest *m) {
    ln_list waiting;
    ln_list_init(&waiting);
    ln_list_splice(&waiting, &c->waiting);
    channel_drop(h, c);
    LN_LIST_FOREACH(node, &waiting) {
        ln_list_item(node, ln_transit, waiting)->sub->channel = NULL;
    }
    for (ln_list *node; (node = ln_list_pop(&waiting));) {
        ln_subscription *s = ln_list_item(node, ln_transit, waiting)->sub;
        nowhere(h, s);
        h->users[s->user].subscribed(h->users[s->user].ctx, s, m->err);
    }
    ln_free(m);
}

static void interest_answered(ln_hub *h, ln_interest *m) {
    ln_channel *c = m->channel;
    assert(c->state == LN_CHANNEL_ASKING);
    if (m->err < 0) {
        refused(h, c, m);
        return;
    }
    c->state = LN_CHANNEL_JOINED;
    c->at = m->at;
    c->class = m->class;
    c->slow = m->slow;
    c->batch_ms = m->batch_ms;
    c->keyed = m->keyed;
    c->pinned = true;
    admit(h, c);
    c->pinned = false;
    channel_leave(h, c);
}

/* Reading --------------------------------------------------------------------------------- */

void ln_hub_read_made(ln_hub *h, ln_reading *m) {
    assert(m->user < LN_USERS_MAX && h->users[m->user].page);
    read_ask(h, m);
}

int ln_hub_read(ln_hub *h, const ln_read *what) {
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, what->channel);
    if (err < 0) return err;
    ln_reading *m = ln_reading_new(what->channel, what->re);
    if (!m) return LINNET_ERR_NOMEM;
    m->since = what->since;
    m->any = what->since.epoch == 0;
    m->reverse = what->reverse;
    if (m->reverse && m->any) m->since.offset = UINT64_MAX;
    m->limit = what->limit;
    m->bytes = what->bytes;
    m->who = what->who;
    m->user = what->user;
    ln_hub_read_made(h, m);
    return LINNET_OK;
}

/* The first answer: it may go on from where it was, or it joins as if it had never been there. */
static bool grant(ln_hub *h, ln_subscription *s, ln_reading *m) {
    ln_channel *c = s->channel;
    const ln_hub_user *user = &h->users[s->user];
    if (m->err == LINNET_OK) {
        m->granted = true;
        m->cut = c->at.offset;
        return true;
    }
    int err = m->err;
    give_up(h, s);
    if (err == LINNET_ERR_NOT_FOUND) err = ln_channel_seat(c, s);
    if (err < 0)
        nowhere(h, s);
    else
        ln_stat_add(&h->subscriptions, 1);
    user->subscribed(user->ctx, s, err);
    return false;
}

/* What it was promised cannot be had any more. */
static void lose(ln_hub *h, ln_subscription *s, bool another_epoch) {
    const ln_hub_user *user = &h->users[s->user];
    const ln_channel *c = s->channel;
    nowhere(h, s);
    if (another_epoch)
        user->reset(user->ctx, s, ln_channel_name(c));
    else
        user->lost(user->ctx, s);
}

/* Hands a page over; with the last one s takes its seat, and nothing can come in between. */
static void replay(ln_hub *h, ln_subscription *s, ln_reading *m, bool first) {
    ln_channel *c = s->channel;
    ln_replay page = { .first = first,
        .owed = m->cut - m->since.offset,
        .cut = m->cut,
        .count = m->count,
        .items = m->items };
    m->since.offset += m->count;
    bool whole = m->since.offset >= c->at.offset;
#if defined(LN_PLANT) && LN_PLANT == 10 /* tests/sim: live before the replay has ended */
    whole = true;
#endif
    if (whole) {
        give_up(h, s);
        if (ln_channel_seat(c, s) < 0) {
            lose(h, s, false);
            return;
        }
        ln_stat_add(&h->subscriptions, 1);
    }
    h->users[s->user].replay(h->users[s->user].ctx, s, &page);
}

/* While the letter counts as away, nobody sends it off. */
static void page_for(ln_hub *h, ln_subscription *s, ln_reading *m) {
    ln_channel *c = s->channel;
    bool first = !m->granted;
    c->pinned = true;
    if (first && !grant(h, s, m))
        first = false;
    else if (m->err < 0)
        lose(h, s, m->at.epoch != m->since.epoch);
    else
        replay(h, s, m, first);
    c->pinned = false;
    channel_leave(h, c);
}

static void page_arrived(ln_hub *h, ln_reading *m) {
    const ln_hub_user *user = &h->users[m->user];
    if (!m->catches_up) {
        user->page(user->ctx, m);
        ln_reading_free(m);
        return;
    }
    bring_out_for(h, m->sub);
    if (m->sub) page_for(h, m->sub, m);
    ln_reading_clear(m);
    m->away = false;
    if (!m->sub)
        read_end(h, m);
    else if (m->wanted)
        read_ask(h, m);
}

/* Publishing ------------------------------------------------------------------------------ */

ln_letter *ln_publication_post(ln_publication *p, uint32_t from, uint32_t home) {
    assert(home < p->workers);
    ln_letter *letter = &p->letters[home];
    letter->kind = LN_MAIL_PUBLISH;
    letter->from = (uint8_t)from;
    return letter;
}

int ln_hub_publish(ln_hub *h, const ln_publish *what) {
    int err = ln_channel_name_check((ln_space)what->space, what->channel);
    if (err < 0) return err;
    ln_publication *p = ln_publication_new(what, h->workers);
    if (!p) return LINNET_ERR_NOMEM;
    ln_hub_publish_made(h, p);
    return LINNET_OK;
}

void ln_hub_publish_made(ln_hub *h, ln_publication *p) {
    if (h->clock_us && ln_stat_get(&h->publishes) % TIMED == 0)
        p->born = (uint32_t)h->clock_us() | 1;
    ln_stat_add(&h->publishes, 1);
    uint32_t home = ln_hub_home(h->key, h->workers, ln_publication_channel(p));
    h->post(h->ctx, home, ln_publication_post(p, h->self, home));
}

/* Everybody out, because something was missed; who comes back meanwhile waits. */
static void reset(ln_hub *h, ln_channel *c) {
    c->walking = true;
    for (ln_row *row = &c->row; row; row = row->next) {
        for (uint32_t i = 0; i < row->count; i++) {
            ln_subscription *s = row->seats[i].sub;
            if (!s) continue;
            if (s->leaving) { /* what it waited for is lost */
                let_go(h, s, s->leaving);
                continue;
            }
            ln_stat_sub(&h->subscriptions, 1);
            ln_channel_unseat(c, s);
            h->users[s->user].reset(h->users[s->user].ctx, s, ln_channel_name(c));
        }
        row->owed = 0;
    }
    c->walking = false;
    ln_channel_mend(c);
}

/* The last bit of `born` says that there is one. */
static void time_it(ln_hub *h, const ln_publication *p) {
    if (!p->born || !h->clock_us) return;
    ln_hist_add(&h->latency, (uint32_t)h->clock_us() - (p->born & ~1u));
    if (h->timed_count < LN_HUB_TIMED) h->timed[h->timed_count++] = p->born & ~1u;
}

void ln_hub_flushed(ln_hub *h) {
    uint32_t now = h->timed_count ? (uint32_t)h->clock_us() : 0;
    while (h->timed_count)
        ln_hist_add(&h->socket, now - h->timed[--h->timed_count]);
}

/* The first `count` of them that follow each other; what does not follow ends all subscriptions,
 * and is the first of the next ones. */
static uint32_t run_of(ln_hub *h, ln_channel *c, ln_publication *const *items, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        ln_position at = items[i]->at;
        if (!at.offset) continue;
        bool next = at.epoch == c->at.epoch && at.offset == c->at.offset + 1;
        if (!next && i > 0) return i;
        c->at = at;
        if (!next) reset(h, c);
    }
    return count;
}

static void deliver_all(ln_hub *h, ln_channel *c, ln_publication *const *items, uint32_t count) {
    c->pinned = true;
    for (uint32_t i = 0, n; i < count; i += n) {
        n = run_of(h, c, items + i, count - i);
        ln_stat_add(&h->deliveries, (uint64_t)c->subscribers * n);
        ln_channel_deliver_all(c, h->users, items + i, n);
    }
    for (uint32_t i = 0; i < count; i++)
        time_it(h, items[i]);
    admit(h, c);
    c->pinned = false;
    channel_leave(h, c);
}

/* Delivers what c holds back. c may be gone afterwards. */
static void bring_out(ln_hub *h, ln_channel *c) {
    ln_batch *b = ln_batch_take(c);
    if (!b) return;
    deliver_all(h, c, b->items, b->count);
    ln_batch_free(b);
}

static void bring_out_for(ln_hub *h, const ln_subscription *s) {
    if (s && s->channel) bring_out(h, s->channel);
}

/* True: it waits, or has been delivered with those it waited for. */
static bool hold(ln_hub *h, ln_channel *c, ln_publication *p) {
    bool full;
    if (!c->batch_ms || (p->flags & LN_PUB_ASIDE)) return false;
    if (ln_batch_add(&h->batches, c, p, h->homes.now, &full) < 0) return false;
    if (full) bring_out(h, c);
    return true;
}

static void deliver(ln_hub *h, ln_publication *p) {
    ln_channel *c = ln_map_get(&h->channels[p->space], ln_publication_channel(p));
    if (!c || c->state != LN_CHANNEL_JOINED) {
        ln_stat_add(&h->strays, 1);
        return;
    }
    if (hold(h, c, p)) return;
    if (c->batch) { /* those come first, and whoever hears them may leave */
        bring_out(h, c);
        deliver(h, p);
        return;
    }
    if (p->flags & LN_PUB_ASIDE && !(p->flags & LN_PUB_RETRACTED)) c->keyed = true;
    deliver_all(h, c, &p, 1);
}

static void answered(ln_hub *h, const ln_publication *p) {
    const ln_hub_user *user = &h->users[p->user];
    if (user->published) user->published(user->ctx, p);
}

/* Coming and going ------------------------------------------------------------------------ */

void ln_hub_admit(ln_hub *h, ln_admission *a) {
    assert(a->told && a->err == LINNET_OK);
    a->letter.kind = LN_MAIL_ADMIT;
    post_home(h, &a->letter, ln_admission_name(a));
}

void ln_hub_release(ln_hub *h, ln_admission *a) {
    assert(a->err == LINNET_OK);
    a->letter.kind = LN_MAIL_RELEASE;
    post_home(h, &a->letter, ln_admission_name(a));
}

static void asked_in(ln_hub *h, ln_admission *a) {
    uint8_t asker = a->letter.from;
    a->err = ln_caps_enter(&h->caps, ln_admission_name(a), a->max);
    a->letter.kind = LN_MAIL_ADMITTED;
    a->letter.from = (uint8_t)h->self;
    a->letter.to = asker;
    post_from_home(h, asker, &a->letter);
}

static void gone(ln_hub *h, ln_admission *a) {
    ln_caps_leave(&h->caps, ln_admission_name(a));
    ln_free(a);
}

/* One for each of the others, in a row; false without memory. */
static bool takings(const ln_hub *h, const ln_taking *m, ln_letter **row) {
    for (uint32_t i = 0; i < h->workers; i++) {
        if (i == h->self) continue;
        ln_taking *copy = ln_malloc(sizeof *copy);
        if (!copy) return false;
        *copy = *m;
        copy->letter = (ln_letter){ .next = *row,
            .bytes = sizeof *copy,
            .room = LN_LETTER_HUB,
            .kind = LN_MAIL_TAKEN,
            .from = (uint8_t)h->self,
            .to = (uint8_t)i };
        *row = &copy->letter;
    }
    return true;
}

int ln_hub_take(ln_hub *h, const ln_taking *m) {
    ln_letter *row = NULL;
    bool all = takings(h, m, &row);
    for (ln_letter *next; row; row = next) {
        next = row->next;
        if (all)
            h->post(h->ctx, row->to, row);
        else
            ln_free(ln_taking_of(row));
    }
    return all ? LINNET_OK : LINNET_ERR_NOMEM;
}

static void taken(ln_hub *h, ln_taking *m) {
    h->users[m->user].taken(h->users[m->user].ctx, m);
    ln_free(m);
}

void ln_hub_mail(ln_hub *h, ln_letter *letter) {
    assert(letter->room == LN_LETTER_HUB);
    ln_mail_kind kind = (ln_mail_kind)letter->kind;
    switch (kind) {
    case LN_MAIL_INTEREST:
    case LN_MAIL_DISINTEREST:
        if (ln_interest_of(letter)->space == LN_SPACE_PRESENCE)
            ln_hub_attend(h, letter);
        else
            ln_homes_mail(&h->homes, letter);
        return;
    case LN_MAIL_PUBLISH:
    case LN_MAIL_LEAVE:
    case LN_MAIL_READ:
    case LN_MAIL_UNREAD: ln_homes_mail(&h->homes, letter); return;
    case LN_MAIL_PAGE: page_arrived(h, ln_reading_of(letter)); return;
    case LN_MAIL_ENTER:
    case LN_MAIL_ENTERED:
    case LN_MAIL_PART:
    case LN_MAIL_QUERY:
    case LN_MAIL_QUERIED: ln_hub_attend(h, letter); return;
    case LN_MAIL_LEFT: left(h, ln_leave_of(letter)); return;
    case LN_MAIL_ADMIT: asked_in(h, ln_admission_of(letter)); return;
    case LN_MAIL_ADMITTED:
        ln_admission_of(letter)->told(ln_admission_of(letter)->ctx, ln_admission_of(letter));
        return;
    case LN_MAIL_RELEASE: gone(h, ln_admission_of(letter)); return;
    case LN_MAIL_LEASE:
    case LN_MAIL_LEASED: ln_hub_lease_mail(h, letter); return;
    case LN_MAIL_TAKEN: taken(h, ln_taking_of(letter)); return;
    case LN_MAIL_INTERESTED: interest_answered(h, ln_interest_of(letter)); return;
    case LN_MAIL_DELIVER:
    case LN_MAIL_ANSWER:
    case LN_MAIL_DELIVER_ANSWER: break;
    }
    ln_publication *p = ln_publication_of(letter);
    if (kind != LN_MAIL_ANSWER) deliver(h, p);
    if (kind != LN_MAIL_DELIVER) answered(h, p);
    ln_publication_unref(p);
}

void ln_hub_tick(ln_hub *h, ln_msec now, uint64_t wall_ms) {
    h->homes.now = now;
    h->homes.wall = wall_ms;
    if (h->homes.broker) h->homes.broker->now = now;
    if (now >= ln_homes_deadline(&h->homes)) ln_homes_tick(&h->homes);
    ln_presences_tick(&h->presences, now);
    ln_states_tick(&h->states, now);
    while (now >= ln_batches_deadline(&h->batches))
        bring_out(h, ln_list_item(h->batches.next, ln_batch, node)->channel);
}

ln_msec ln_hub_deadline(const ln_hub *h) {
    const ln_msec due[] = { ln_homes_deadline(&h->homes), ln_presences_deadline(&h->presences),
        ln_states_deadline(&h->states), ln_batches_deadline(&h->batches) };
    ln_msec first = due[0];
    for (size_t i = 1; i < sizeof due / sizeof due[0]; i++)
        if (due[i] < first) first = due[i];
    return first;
}
