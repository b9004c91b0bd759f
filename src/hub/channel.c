#include "hub/channel.h"
#include "base/mem.h"
#include <assert.h>

#define SEATS_MAX  ((uint32_t)1 << 30)
#define SEATS_KEPT 8 /* so few are not worth giving back */

void *ln_subscription_target(const ln_subscription *s) {
    switch ((ln_subscription_state)s->state) {
    case LN_SUBSCRIPTION_NOWHERE: return s->target;
    case LN_SUBSCRIPTION_MOVING: return s->moving->target;
    case LN_SUBSCRIPTION_SEATED: break;
    }
    return ln_channel_row(s->channel, s)->seats[s->seat].target;
}

int ln_subscription_move(ln_subscription *s) {
    assert(s->state == LN_SUBSCRIPTION_NOWHERE);
    ln_transit *t = ln_malloc(sizeof *t);
    if (!t) return LINNET_ERR_NOMEM;
    *t = (ln_transit){ .sub = s, .target = s->target };
    ln_list_init(&t->waiting);
    s->moving = t;
    s->state = LN_SUBSCRIPTION_MOVING;
    return LINNET_OK;
}

void ln_subscription_halt(ln_subscription *s) {
    ln_transit *t = s->moving;
    assert(s->state == LN_SUBSCRIPTION_MOVING && !t->replay);
    ln_subscription_stay(s);
    ln_list_remove(&t->waiting);
    s->target = t->target;
    s->state = LN_SUBSCRIPTION_NOWHERE;
    s->channel = NULL;
    ln_free(t);
}

void ln_subscription_leave(ln_subscription *s, ln_leave *m) {
    assert(s->state != LN_SUBSCRIPTION_NOWHERE);
    ln_leave **leaving = s->state == LN_SUBSCRIPTION_SEATED ? &s->leaving : &s->moving->leaving;
    if (*leaving) (*leaving)->sub = NULL;
    *leaving = m;
}

ln_channel *ln_channel_new(ln_space space, ln_slice name) {
    ln_channel *c = ln_malloc(sizeof *c);
    if (!c) return NULL;
    *c = (ln_channel){ .state = LN_CHANNEL_ASKING, .space = (uint8_t)space };
    ln_list_init(&c->waiting);
    c->row.user = LN_USERS_MAX; /* nobody's yet */
    c->interest = ln_interest_new(space, name);
    if (!c->interest) {
        ln_free(c);
        return NULL;
    }
    c->interest->channel = c;
    return c;
}

static void row_fini(ln_row *row) {
    ln_free(row->seats);
    row->seats = NULL;
    row->capacity = 0;
}

void ln_channel_free(ln_channel *c) {
    assert(ln_channel_empty(c));
    assert(!c->walking);
    row_fini(&c->row);
    for (ln_row *next, *row = c->row.next; row; row = next) {
        next = row->next;
        row_fini(row);
        ln_free(row);
    }
    ln_free(c);
}

/* The row of a user; made when there is none. NULL without memory. */
static ln_row *row_for(ln_channel *c, uint8_t user) {
    if (c->row.user == LN_USERS_MAX) c->row.user = user;
    ln_row *last = NULL;
    for (ln_row *row = &c->row; row; row = row->next) {
        if (row->user == user) return row;
        last = row;
    }
    ln_row *row = ln_calloc(1, sizeof *row);
    if (!row) return NULL;
    row->user = user;
    last->next = row;
    return row;
}

static int row_grow(ln_row *row) {
    if (row->count < row->capacity) return LINNET_OK;
    if (row->capacity >= SEATS_MAX) return LINNET_ERR_LIMIT;
    uint32_t capacity = row->capacity + row->capacity / 2 + 1;
    ln_seat *seats = ln_realloc(row->seats, capacity * sizeof *seats);
    if (!seats) return LINNET_ERR_NOMEM;
    row->seats = seats;
    row->capacity = capacity;
    return LINNET_OK;
}

/* Gives memory back when three quarters are empty; that it may fail does not matter. */
static void row_shrink(ln_row *row) {
    if (row->count == 0) {
        row_fini(row);
        return;
    }
    if (row->capacity <= SEATS_KEPT || row->count > row->capacity / 4) return;
    ln_seat *seats = ln_realloc(row->seats, row->capacity / 2 * sizeof *seats);
    if (!seats) return;
    row->seats = seats;
    row->capacity /= 2;
}

int ln_channel_seat(ln_channel *c, ln_subscription *s) {
    assert(!c->walking);
    assert(s->state != LN_SUBSCRIPTION_SEATED);
    assert(s->user < LN_USERS_MAX);
    ln_row *row = row_for(c, s->user);
    if (!row) return LINNET_ERR_NOMEM;
    int err = row_grow(row);
    if (err < 0) return err;
    void *target = ln_subscription_target(s);
    ln_leave *leaving = ln_subscription_leaving(s);
    assert(target);
    if (s->state == LN_SUBSCRIPTION_MOVING) {
        assert(!s->moving->replay && !ln_list_linked(&s->moving->waiting));
        ln_free(s->moving);
    }
    s->channel = c;
    s->leaving = leaving;
    s->state = LN_SUBSCRIPTION_SEATED;
    s->seat = row->count;
    row->seats[row->count++] = (ln_seat){ target, s };
    c->subscribers++;
    return LINNET_OK;
}

/* Fills the seat with the last one. */
static void seat_close(ln_row *row, uint32_t seat) {
    ln_seat last = row->seats[--row->count];
    if (seat == row->count) return;
    row->seats[seat] = last;
    if (last.sub) last.sub->seat = seat;
}

void ln_channel_unseat(ln_channel *c, ln_subscription *s) {
    assert(s->state == LN_SUBSCRIPTION_SEATED);
    ln_row *row = ln_channel_row(c, s);
    ln_seat *seat = &row->seats[s->seat];
    assert(seat->sub == s);
    ln_subscription_stay(s);
    s->target = seat->target;
    s->state = LN_SUBSCRIPTION_NOWHERE;
    s->channel = NULL;
    c->subscribers--;
    if (c->walking) {
        *seat = (ln_seat){ NULL, NULL };
        row->holes++;
        return;
    }
    seat_close(row, s->seat);
    row_shrink(row);
}

/* Closes the seats that were left during a walk. */
static void row_mend(ln_row *row) {
    for (uint32_t i = row->count; i-- > 0 && row->holes > 0;) {
        if (row->seats[i].target) continue;
        seat_close(row, i);
        row->holes--;
    }
    assert(row->holes == 0);
    row_shrink(row);
}

void ln_channel_mend(ln_channel *c) {
    assert(!c->walking);
    for (ln_row *row = &c->row; row; row = row->next) {
        if (row->holes) row_mend(row);
    }
}

void ln_channel_deliver(ln_channel *c, const ln_hub_user *users, const ln_publication *p) {
    assert(!c->walking);
    c->walking = true;
    for (ln_row *row = &c->row; row; row = row->next) {
        const ln_hub_user *u = &users[row->user];
        void (*deliver)(void *, ln_row *, const ln_publication *) = u->deliver;
        if (p && (p->flags & LN_PUB_ASIDE)) deliver = u->aside;
        if (row->count && deliver) deliver(u->ctx, row, p);
    }
    c->walking = false;
    ln_channel_mend(c);
}

static void row_deliver_all(
    ln_row *row, const ln_hub_user *u, ln_publication *const *items, uint32_t count) {
    if (u->batch && row->count) {
        u->batch(u->ctx, row, items, count);
        return;
    }
    for (uint32_t i = 0; i < count && row->count; i++)
        u->deliver(u->ctx, row, items[i]);
}

void ln_channel_deliver_all(
    ln_channel *c, const ln_hub_user *users, ln_publication *const *items, uint32_t count) {
    if (count == 1) {
        ln_channel_deliver(c, users, items[0]);
        return;
    }
    assert(!c->walking);
    c->walking = true;
    for (ln_row *row = &c->row; row; row = row->next)
        if (row->count) row_deliver_all(row, &users[row->user], items, count);
    c->walking = false;
    ln_channel_mend(c);
}

static bool name_byte(uint8_t b) {
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
           memchr("_.:#$@/-", b, 8) != NULL;
}

/* Users have names from elsewhere, "auth0|5f7c8ec7" or "anna+x@example.com"; what means something
 * in patterns is still left out. */
static bool user_byte(uint8_t c) {
    return c > ' ' && c < 127 && !strchr("*?[]{}\"\\", c);
}

int ln_channel_name_check(ln_space space, ln_slice name) {
    if (name.size == 0 || name.size > LN_CHANNEL_NAME_MAX) return LINNET_ERR_INVAL;
    if (space != LN_SPACE_CHANNELS) return LINNET_OK;
    bool personal = name.data[0] == '@' && name.size > 1;
    for (size_t i = 0; i < name.size; i++) {
        if (!name_byte(name.data[i]) && !(personal && user_byte(name.data[i])))
            return LINNET_ERR_INVAL;
    }
    if (name.data[0] == '$' || (name.data[0] == '@' && !personal)) return LINNET_ERR_DENIED;
    return ln_slice_eq(name, LN_SLICE("system")) ? LINNET_ERR_DENIED : LINNET_OK;
}
