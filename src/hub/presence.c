#include "hub/presence.h"
#include "base/mem.h"
#include <assert.h>

#define BIT(worker) (UINT64_C(1) << ((worker) % 64))
#define SLOTS_MIN   8  /* fewer are not worth giving back */
#define FEW         16 /* members that are looked through one by one */

typedef struct user {
    uint32_t members;
    uint8_t name_size;
    uint8_t name[];
} user;

typedef struct member {
    ln_list lost;    /* in presences->lost while it has no owner */
    ln_list changed; /* in presence->changed while something is owed */
    ln_presence *in;
    user *user; /* NULL: unknown, or it is gone */
    union {
        uint64_t owner;
        ln_msec until; /* while it has none */
    };
    uint8_t *info;
    uint32_t slot;
    uint16_t info_size;
    uint8_t chain[LN_CHAIN];
    bool here, told; /* what is, and what listeners know */
    bool fresh;      /* its info is another one than was told */
    uint8_t client_size, user_size;
    uint8_t bytes[]; /* client, user */
} member;

typedef struct ln_presence_slot {
    uint64_t ref;
    member *m; /* NULL: a hole */
} slot;

/* Of a channel that once had more than a few; as long as it has any. */
typedef struct ln_presence_index {
    ln_map members, users; /* by chain; by name */
} presence_index;

static uint64_t ref_of(const member *m) {
    return m->in->slots[m->slot].ref;
}

static uint32_t member_count(const ln_presence *p) {
    return p->slot_count - p->holes;
}

static ln_slice member_key(const void *value) {
    return ln_slice_of(((const member *)value)->chain, LN_CHAIN);
}

static ln_slice user_key(const void *value) {
    const user *u = value;
    return ln_slice_of(u->name, u->name_size);
}

static ln_slice presence_key(const void *value) {
    return ln_presence_name(value);
}

/* Packing --------------------------------------------------------------------------------- */

typedef struct packed_head {
    uint64_t ref;
    uint16_t info_size;
    uint8_t client_size, user_size;
    bool left;
} packed_head;

static int pack(ln_buf *out, const member *m, bool left) {
    packed_head h;
    memset(&h, 0, sizeof h); /* with its padding */
    h.ref = ref_of(m);
    h.info_size = left ? 0 : m->info_size;
    h.client_size = m->client_size;
    h.user_size = m->user_size;
    h.left = left;
    size_t names = (size_t)m->client_size + m->user_size;
    int err = ln_buf_reserve(out, sizeof h + names + h.info_size);
    if (err < 0) return err;
    ln_buf_add(out, ln_slice_of(&h, sizeof h));
    ln_buf_add(out, ln_slice_of(m->bytes, names));
    if (h.info_size) ln_buf_add(out, ln_slice_of(m->info, h.info_size));
    return LINNET_OK;
}

static ln_slice cut(ln_slice *from, size_t size) {
    assert(from->size >= size);
    ln_slice part = ln_slice_sub(*from, 0, size);
    ln_slice_skip(from, size);
    return part;
}

bool ln_attendee_next(ln_slice *packed, ln_attendee *out) {
    packed_head h;
    if (packed->size == 0) return false;
    memcpy(&h, cut(packed, sizeof h).data, sizeof h);
    out->ref = h.ref;
    out->left = h.left;
    out->client = cut(packed, h.client_size);
    out->user = cut(packed, h.user_size);
    out->info = cut(packed, h.info_size);
    return true;
}

/* Slots: by ref, because refs only grow and who comes sits down at the end. ---------------- */

static void slots_compact(ln_presence *p) {
    uint32_t to = 0;
    for (uint32_t i = 0; i < p->slot_count; i++) {
        if (!p->slots[i].m) continue;
        p->slots[to] = p->slots[i];
        p->slots[to].m->slot = to;
        to++;
    }
    p->slot_count = to;
    p->holes = 0;
    if (p->slot_capacity <= SLOTS_MIN || to > p->slot_capacity / 4) return;
    uint32_t capacity = to > SLOTS_MIN ? to * 2 : SLOTS_MIN;
    slot *slots = ln_realloc(p->slots, capacity * sizeof *slots);
    if (!slots) return; /* it was only too large */
    p->slots = slots;
    p->slot_capacity = capacity;
}

static int slot_take(ln_presence *p, member *m, uint64_t ref) {
    if (p->slot_count == p->slot_capacity && p->holes > p->slot_capacity / 4) slots_compact(p);
    if (p->slot_count == p->slot_capacity) {
        uint32_t capacity = p->slot_capacity + p->slot_capacity / 2 + 1;
        slot *slots = ln_realloc(p->slots, capacity * sizeof *slots);
        if (!slots) return LINNET_ERR_NOMEM;
        p->slots = slots;
        p->slot_capacity = capacity;
    }
    m->slot = p->slot_count++;
    p->slots[m->slot] = (slot){ ref, m };
    return LINNET_OK;
}

static void slot_give(ln_presence *p, const member *m) {
    p->slots[m->slot].m = NULL;
    p->holes++;
    if (p->holes > SLOTS_MIN && p->holes > p->slot_count / 4 * 3) slots_compact(p);
}

/* The first slot behind a ref. */
static uint32_t slot_behind(const ln_presence *p, uint64_t ref) {
    uint32_t low = 0, high = p->slot_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (p->slots[middle].ref <= ref)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Finding --------------------------------------------------------------------------------- */

static member *member_of(const ln_presence *p, const uint8_t *chain) {
    if (p->index) return ln_map_get(&p->index->members, ln_slice_of(chain, LN_CHAIN));
    for (uint32_t i = 0; i < p->slot_count; i++) {
        member *m = p->slots[i].m;
        if (m && memcmp(m->chain, chain, LN_CHAIN) == 0) return m;
    }
    return NULL;
}

static user *user_of(const ln_presence *p, ln_slice name) {
    if (p->index) return ln_map_get(&p->index->users, name);
    for (uint32_t i = 0; i < p->slot_count; i++) {
        const member *m = p->slots[i].m;
        if (m && m->user && ln_slice_eq(user_key(m->user), name)) return m->user;
    }
    return NULL;
}

static void index_free(ln_presence *p) {
    if (!p->index) return;
    ln_map_fini(&p->index->members);
    ln_map_fini(&p->index->users);
    ln_free(p->index);
    p->index = NULL;
}

static int index_all(const ln_presence *p, presence_index *index) {
    for (uint32_t i = 0; i < p->slot_count; i++) {
        member *m = p->slots[i].m;
        int err = m ? ln_map_add(&index->members, m) : LINNET_OK;
        if (err == LINNET_OK && m && m->user) err = ln_map_add(&index->users, m->user);
        if (err < 0 && err != LINNET_ERR_EXISTS) return err; /* a user has several members */
    }
    return LINNET_OK;
}

static int index_new(const ln_presences *ps, ln_presence *p) {
    presence_index *index = ln_malloc(sizeof *index);
    if (!index) return LINNET_ERR_NOMEM;
    ln_map_init(&index->members, ps->key, member_key, LN_PRESENCE_MEMBERS_MAX);
    ln_map_init(&index->users, ps->key, user_key, LN_PRESENCE_MEMBERS_MAX);
    int err = index_all(p, index);
    p->index = index;
    if (err < 0) index_free(p);
    return err;
}

/* One that has its slot. */
static int index_member(const ln_presences *ps, ln_presence *p, member *m) {
    if (p->index) return ln_map_add(&p->index->members, m);
    return member_count(p) > FEW ? index_new(ps, p) : LINNET_OK;
}

/* Channels -------------------------------------------------------------------------------- */

void ln_presences_init(ln_presences *ps, ln_map_key key, uint32_t max) {
    ln_map_init(&ps->map, key, presence_key, max);
    ps->key = key;
    ln_list_init(&ps->windows);
    ln_list_init(&ps->lost);
    ps->linger_ms = LN_PRESENCE_LINGER_MS;
    ps->bytes_max = LN_PRESENCE_BYTES_MAX;
    ln_buf_init(&ps->packed, LN_BUF_MAX);
}

static int presence_new(ln_presences *ps, ln_slice channel, ln_presence **out) {
    assert(channel.size <= LN_CHANNEL_NAME_MAX);
    ln_presence *p = ln_calloc(1, sizeof *p + channel.size);
    if (!p) return LINNET_ERR_NOMEM;
    ln_list_init(&p->window);
    ln_list_init(&p->changed);
    p->name_size = (uint8_t)channel.size;
    memcpy(p->name, channel.data, channel.size);
    int err = ln_map_add(&ps->map, p);
    if (err < 0) {
        ln_free(p);
        return err;
    }
    ln_stat_add(&ps->channels, 1);
    *out = p;
    return LINNET_OK;
}

static int presence_of(ln_presences *ps, ln_slice channel, ln_presence **out) {
    *out = ln_map_get(&ps->map, channel);
    return *out ? LINNET_OK : presence_new(ps, channel, out);
}

/* With its last member, owed or not, and its last listener. */
static void presence_check(ln_presences *ps, ln_presence *p) {
    if (member_count(p) || p->listeners) return;
    void *removed = ln_map_remove(&ps->map, ln_presence_name(p));
    assert(removed == p);
    (void)removed;
    assert(p->here == 0 && p->users == 0 && ln_list_empty(&p->changed));
    ln_list_remove(&p->window);
    index_free(p);
    ln_free(p->slots);
    ln_free(p);
    ln_stat_sub(&ps->channels, 1);
}

/* Members --------------------------------------------------------------------------------- */

static size_t member_bytes(const member *m) {
    return sizeof *m + sizeof(slot) + sizeof(void *) * 2 + m->client_size + m->user_size +
           m->info_size;
}

static void member_free(ln_presences *ps, member *m) {
    assert(!m->here && !m->user);
    ln_presence *p = m->in;
    ln_list_remove(&m->changed);
    ln_list_remove(&m->lost);
    if (p->index) ln_map_remove(&p->index->members, member_key(m));
    slot_give(p, m);
    ps->bytes -= member_bytes(m);
    ln_free(m->info);
    ln_free(m);
}

/* One more member of a user. NULL without memory. */
static user *user_ref(ln_presence *p, ln_slice name) {
    user *u = user_of(p, name);
    if (!u) {
        u = ln_malloc(sizeof *u + name.size);
        if (!u) return NULL;
        u->members = 0;
        u->name_size = (uint8_t)name.size;
        memcpy(u->name, name.data, name.size);
        if (p->index && ln_map_add(&p->index->users, u) < 0) {
            ln_free(u);
            return NULL;
        }
        p->users++;
    }
    u->members++;
    return u;
}

static void user_unref(ln_presence *p, user *u) {
    if (!u || --u->members) return;
    if (p->index) ln_map_remove(&p->index->users, user_key(u));
    p->users--;
    ln_free(u);
}

static bool listened(const ln_presences *ps, const ln_presence *p) {
    return p->listeners || ps->heard;
}

static bool owes(const member *m) {
    return m->here != m->told || (m->here && m->fresh);
}

/* Told, or there was nobody to tell. May free it. */
static void settle(ln_presences *ps, member *m) {
    ln_list_remove(&m->changed);
    m->told = m->here;
    m->fresh = false;
    if (!m->here) member_free(ps, m);
}

/* What is owed of it may be another thing now. May free it. */
static void changed(ln_presences *ps, member *m) {
    ln_presence *p = m->in;
    if (!listened(ps, p) || (!m->here && !m->told)) {
        settle(ps, m);
        return;
    }
    if (!owes(m)) {
        ln_list_remove(&m->changed);
        return;
    }
    if (!ln_list_linked(&m->changed)) ln_list_push(&p->changed, &m->changed);
    if (ln_list_linked(&p->window)) return;
    p->due = ps->now + LN_PRESENCE_WINDOW_MS;
    ln_list_push(&ps->windows, &p->window);
}

static int set_info(ln_presences *ps, member *m, ln_slice info) {
    assert(info.size <= LN_PRESENCE_INFO_MAX);
    if (ln_slice_eq(info, ln_slice_of(m->info, m->info_size))) return LINNET_OK;
    if (info.size > m->info_size && ps->bytes + info.size - m->info_size > ps->bytes_max)
        return LINNET_ERR_LIMIT;
    uint8_t *copy = info.size ? ln_malloc(info.size) : NULL;
    if (info.size && !copy) return LINNET_ERR_NOMEM;
    if (copy) memcpy(copy, info.data, info.size);
    ln_free(m->info);
    m->info = copy;
    ps->bytes = ps->bytes - m->info_size + info.size;
    m->info_size = (uint16_t)info.size;
    m->fresh = true;
    return LINNET_OK;
}

static int appear(ln_presences *ps, member *m, ln_slice name) {
    if (name.size && !(m->user = user_ref(m->in, name))) return LINNET_ERR_NOMEM;
    m->here = true;
    m->in->here++;
    ln_stat_add(&ps->members, 1);
    ln_stat_add(&ps->joins, 1);
    return LINNET_OK;
}

static void vanish(ln_presences *ps, member *m) {
    ln_list_remove(&m->lost);
    user_unref(m->in, m->user);
    m->user = NULL;
    m->here = false;
    m->in->here--;
    ln_stat_sub(&ps->members, 1);
    ln_stat_add(&ps->leaves, 1);
    changed(ps, m);
}

static int member_new(ln_presences *ps, ln_presence *p, const ln_arrival *a, member **out) {
    size_t names = a->client.size + a->user.size;
    if (ps->bytes + sizeof(member) + names + a->info.size > ps->bytes_max) return LINNET_ERR_LIMIT;
    member *m = ln_calloc(1, sizeof *m + names);
    if (!m) return LINNET_ERR_NOMEM;
    ln_list_init(&m->lost);
    ln_list_init(&m->changed);
    m->in = p;
    memcpy(m->chain, a->chain, LN_CHAIN);
    m->client_size = (uint8_t)a->client.size;
    m->user_size = (uint8_t)a->user.size;
    if (a->client.size) memcpy(m->bytes, a->client.data, a->client.size);
    if (a->user.size) memcpy(m->bytes + a->client.size, a->user.data, a->user.size);
    int err = LINNET_ERR_LIMIT;
    if (member_count(p) < LN_PRESENCE_MEMBERS_MAX) err = slot_take(p, m, ps->last_ref + 1);
    if (err == LINNET_OK && (err = index_member(ps, p, m)) < 0) slot_give(p, m);
    if (err < 0) {
        ln_free(m);
        return err;
    }
    ps->last_ref++;
    ps->bytes += member_bytes(m);
    *out = m;
    return LINNET_OK;
}

/* Somebody of whom nothing is known, or only that it has left. */
static int arrive(ln_presences *ps, ln_presence *p, const ln_arrival *a) {
    member *m = member_of(p, a->chain);
    int err = m ? LINNET_OK : member_new(ps, p, a, &m);
    if (err < 0) return err;
    err = set_info(ps, m, a->info);
    if (err == LINNET_OK) err = appear(ps, m, a->user);
    if (err < 0) {
        changed(ps, m); /* as before, or away again */
        return err;
    }
    m->owner = a->owner;
    changed(ps, m);
    return LINNET_OK;
}

int ln_presences_enter(ln_presences *ps, ln_slice channel, const ln_arrival *a) {
    assert(a->owner && a->client.size <= LN_CLIENT_NAME_MAX && a->user.size <= UINT8_MAX);
    ln_presence *p;
    int err = presence_of(ps, channel, &p);
    if (err == LINNET_OK) {
        member *m = member_of(p, a->chain);
        if (m && m->here) {
            ln_list_remove(&m->lost);
            m->owner = a->owner;
            return LINNET_OK;
        }
        err = arrive(ps, p, a);
        presence_check(ps, p);
    }
    if (err < 0) ln_stat_add(&ps->refused, 1);
    return err;
}

static member *held(
    const ln_presences *ps, ln_slice channel, const uint8_t *chain, uint64_t owner) {
    const ln_presence *p = ln_map_get(&ps->map, channel);
    member *m = p ? member_of(p, chain) : NULL;
    return m && m->here && !ln_list_linked(&m->lost) && m->owner == owner ? m : NULL;
}

void ln_presences_leave(
    ln_presences *ps, ln_slice channel, const uint8_t *chain, uint64_t owner, bool lost) {
    member *m = held(ps, channel, chain, owner);
    if (!m) return;
#if defined(LN_PLANT) && LN_PLANT == 14 /* tests/sim: the leave is lost */
    if (!lost) return;
#endif
    if (lost && ps->linger_ms) {
        m->until = ps->now + ps->linger_ms;
        ln_list_push(&ps->lost, &m->lost);
        return;
    }
    ln_presence *p = m->in;
    vanish(ps, m);
    presence_check(ps, p);
}

int ln_presences_update(
    ln_presences *ps, ln_slice channel, const uint8_t *chain, uint64_t owner, ln_slice info) {
    member *m = held(ps, channel, chain, owner);
    if (!m) return LINNET_ERR_NOT_FOUND;
    int err = set_info(ps, m, info);
    if (err == LINNET_OK) changed(ps, m);
    return err;
}

/* Listeners ------------------------------------------------------------------------------- */

int ln_presences_listen(ln_presences *ps, ln_slice channel, uint32_t worker) {
    assert(worker < LN_WORKERS_MAX);
    ln_presence *p;
    int err = presence_of(ps, channel, &p);
    if (err < 0) return err;
    if (!(p->interested[worker / 64] & BIT(worker))) p->listeners++;
    p->interested[worker / 64] |= BIT(worker);
    return LINNET_OK;
}

static void settle_all(ln_presences *ps, const ln_presence *p) {
    LN_LIST_FOREACH_SAFE(node, &p->changed) {
        settle(ps, ln_list_item(node, member, changed));
    }
}

void ln_presences_unlisten(ln_presences *ps, ln_slice channel, uint32_t worker) {
    ln_presence *p = ln_map_get(&ps->map, channel);
    if (!p || !(p->interested[worker / 64] & BIT(worker))) return;
    p->interested[worker / 64] &= ~BIT(worker);
    p->listeners--;
    if (!listened(ps, p)) settle_all(ps, p);
    presence_check(ps, p);
}

int ln_presences_roll(const ln_presences *ps, ln_slice channel, ln_roll *roll, ln_buf *out) {
    roll->next = 0;
    roll->listed = roll->members = roll->users = 0;
    const ln_presence *p = ln_map_get(&ps->map, channel);
    if (!p) return LINNET_OK;
    roll->members = p->here;
    roll->users = p->users;
    uint32_t limit = roll->limit < LN_PRESENCE_PAGE_MAX ? roll->limit : LN_PRESENCE_PAGE_MAX;
    if (limit == 0) return LINNET_OK;
    uint32_t start = out->size;
    uint64_t last = roll->after;
    for (uint32_t i = slot_behind(p, roll->after); i < p->slot_count; i++) {
        const member *m = p->slots[i].m;
        if (!m || !(roll->told ? m->told : m->here)) continue;
        if (roll->listed == limit || out->size - start >= LN_PRESENCE_PAGE_BYTES) {
            roll->next = last;
            break;
        }
        int err = pack(out, m, false);
        if (err < 0) {
            out->size = start;
            return err;
        }
        last = ref_of(m);
        roll->listed++;
    }
    return LINNET_OK;
}

/* Time ------------------------------------------------------------------------------------ */

/* One diff, of those who have waited longest. False: it could not be told. */
static bool tell(ln_presences *ps, ln_presence *p) {
    uint32_t count = 0;
    ln_buf_clear(&ps->packed);
    LN_LIST_FOREACH(node, &p->changed) {
        const member *m = ln_list_item(node, member, changed);
        if (count == LN_PRESENCE_PAGE_MAX || ps->packed.size >= LN_PRESENCE_PAGE_BYTES) break;
        if (pack(&ps->packed, m, !m->here) < 0) break;
        count++;
    }
    if (count == 0) return false;
    if (ps->tell(ps->ctx, p, ln_buf_slice(&ps->packed)) < 0) return false;
    ln_stat_add(&ps->diffs, 1);
    for (; count > 0; count--)
        settle(ps, ln_list_item(p->changed.next, member, changed));
    return true;
}

static void window_end(ln_presences *ps, ln_presence *p) {
    ln_list_remove(&p->window);
    if (!ln_list_empty(&p->changed)) tell(ps, p);
    if (!ln_list_empty(&p->changed)) { /* too many, or there was no memory */
        p->due = ps->now + LN_PRESENCE_WINDOW_MS;
        ln_list_push(&ps->windows, &p->window);
    }
    presence_check(ps, p);
}

void ln_presences_tick(ln_presences *ps, ln_msec now) {
    ps->now = now;
    while (!ln_list_empty(&ps->lost)) {
        member *m = ln_list_item(ps->lost.next, member, lost);
        if (m->until > now) break;
        ln_presence *p = m->in;
        vanish(ps, m);
        presence_check(ps, p);
    }
    while (!ln_list_empty(&ps->windows)) {
        ln_presence *p = ln_list_item(ps->windows.next, ln_presence, window);
        if (p->due > now) break;
        window_end(ps, p);
    }
}

ln_msec ln_presences_deadline(const ln_presences *ps) {
    ln_msec due = LN_NEVER;
    if (!ln_list_empty(&ps->lost)) due = ln_list_item(ps->lost.next, member, lost)->until;
    if (ln_list_empty(&ps->windows)) return due;
    ln_msec window = ln_list_item(ps->windows.next, ln_presence, window)->due;
    return window < due ? window : due;
}

void ln_presences_fini(ln_presences *ps) {
    ln_presence *p;
    uint32_t at = 0;
    while ((p = ln_map_next(&ps->map, &at))) {
        for (uint32_t i = 0; i < p->slot_count; i++) {
            member *m = p->slots[i].m;
            if (!m) continue;
            user_unref(p, m->user);
            ln_free(m->info);
            ln_free(m);
        }
        index_free(p);
        ln_free(p->slots);
        ln_free(p);
    }
    ln_map_fini(&ps->map);
    ln_buf_fini(&ps->packed);
}
