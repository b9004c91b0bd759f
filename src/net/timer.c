#include "net/timer.h"
#include <assert.h>

#define LEVEL_BITS 6
#define WHEEL_BITS (LN_WHEEL_LEVELS * LEVEL_BITS)
static_assert(LN_WHEEL_SLOTS == 1 << LEVEL_BITS, "a slot is one digit of a time");

/* A time is a number in base 64. A timer lives on the level of the highest digit in which its
 * due time differs from `now`, in the slot of that digit: everything above that digit it shares
 * with `now`, so the lowest level in use always holds the earliest timers, and on level 0 a slot
 * is one exact millisecond. When the digit's turn comes, the slot is sorted into finer ones.
 *
 * While nothing in use begins at or before a time, `now` may jump there and every timer stays
 * where it belongs; that is why an idle wheel costs nothing per millisecond.
 */
void ln_wheel_init(ln_wheel *w, ln_msec now) {
    *w = (ln_wheel){ .now = now };
    for (int level = 0; level < LN_WHEEL_LEVELS; level++)
        for (int slot = 0; slot < LN_WHEEL_SLOTS; slot++)
            ln_list_init(&w->slots[level][slot]);
    ln_list_init(&w->due);
    ln_list_init(&w->far);
    ln_list_init(&w->moving);
}

void ln_timer_init(ln_timer *t, uint8_t kind) {
    *t = (ln_timer){ .kind = kind };
    ln_list_init(&t->node);
}

static void place(ln_wheel *w, ln_timer *t) {
    if (t->due <= w->now) {
        ln_list_push(&w->due, &t->node);
        return;
    }
    unsigned level = (63 - (unsigned)__builtin_clzll(t->due ^ w->now)) / LEVEL_BITS;
    if (level >= LN_WHEEL_LEVELS) {
        ln_list_push(&w->far, &t->node);
        return;
    }
    unsigned slot = (unsigned)(t->due >> (level * LEVEL_BITS)) & (LN_WHEEL_SLOTS - 1);
    ln_list_push(&w->slots[level][slot], &t->node);
    w->used[level] |= UINT64_C(1) << slot;
}

/* Takes the timer out of its list, and when it was alone there, the slot out of use. */
static void unplace(ln_wheel *w, ln_timer *t) {
    ln_list *head = t->node.prev;
    ln_list_remove(&t->node);
    if (!ln_list_empty(head)) return;

    uintptr_t first = (uintptr_t)&w->slots[0][0], at = (uintptr_t)head;
    if (at < first || at >= first + sizeof w->slots) return; /* due, far or moving */
    size_t index = (at - first) / sizeof(ln_list);
    w->used[index / LN_WHEEL_SLOTS] &= ~(UINT64_C(1) << index % LN_WHEEL_SLOTS);
}

void ln_timer_set(ln_wheel *w, ln_timer *t, ln_msec due) {
    ln_timer_stop(w, t);
    t->due = due;
    place(w, t);
    w->count++;
}

void ln_timer_stop(ln_wheel *w, ln_timer *t) {
    if (!ln_timer_armed(t)) return;
    assert(w->count > 0);
    unplace(w, t);
    w->count--;
}

/* When the slot begins, given that all digits above its level are those of now. */
static ln_msec slot_start(const ln_wheel *w, unsigned level, unsigned slot) {
    unsigned shift = (level + 1) * LEVEL_BITS;
    return w->now >> shift << shift | (ln_msec)slot << (level * LEVEL_BITS);
}

/* The lowest level in use and its first slot; false when only `far` may hold something. */
static bool first_slot(const ln_wheel *w, unsigned *level, unsigned *slot) {
    for (*level = 0; *level < LN_WHEEL_LEVELS; ++*level) {
        if (!w->used[*level]) continue;
        *slot = (unsigned)__builtin_ctzll(w->used[*level]);
        return true;
    }
    return false;
}

ln_msec ln_wheel_deadline(const ln_wheel *w) {
    unsigned level, slot;
    if (!ln_list_empty(&w->due) || !ln_list_empty(&w->moving)) return w->now;
    if (first_slot(w, &level, &slot)) return slot_start(w, level, slot);
    if (!ln_list_empty(&w->far)) return ((w->now >> WHEEL_BITS) + 1) << WHEEL_BITS;
    return LN_NEVER;
}

/* Moves time to the next slot in use that begins by `now`, or to `now`; true when timers moved. */
static bool advance(ln_wheel *w, ln_msec now) {
    ln_msec next = ln_wheel_deadline(w);
    if (next > now) {
        if (now > w->now) w->now = now;
        return false;
    }
    unsigned level, slot;
    ln_list *from = &w->far;
    if (first_slot(w, &level, &slot)) {
        from = &w->slots[level][slot];
        w->used[level] &= ~(UINT64_C(1) << slot);
    } else {
        level = LN_WHEEL_LEVELS;
    }
    w->now = next;
    ln_list_splice(level == 0 ? &w->due : &w->moving, from);
    return true;
}

/* Straight to `due` what the caller's now has passed: after a step of the clock nothing is
 * sorted through every level. */
static void settle(ln_wheel *w, ln_timer *t, ln_msec now) {
    if (t->due <= now)
        ln_list_push(&w->due, &t->node);
    else
        place(w, t);
}

ln_timer *ln_wheel_pull(ln_wheel *w, ln_msec now) {
    for (unsigned sorted = 0;;) {
        ln_list *node = ln_list_pop(&w->due);
        if (node) {
            w->count--;
            return ln_list_item(node, ln_timer, node);
        }
        if (ln_list_empty(&w->moving)) {
            if (!advance(w, now)) return NULL;
            continue;
        }
        if (sorted++ == LN_WHEEL_SLICE) return NULL;
        settle(w, ln_list_item(ln_list_pop(&w->moving), ln_timer, node), now);
    }
}
