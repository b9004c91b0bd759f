/* timer.h -- a hierarchical timer wheel. One millisecond grain, O(1) set and stop, no
 * allocation: the timer lives in its owner. Pull, no callbacks: the worker asks for what is
 * due and looks at `kind` to know whose it is. A clock step makes many due at once; the
 * caller takes as many per turn as it likes (THREATS row 85).
 */
#ifndef LN_NET_TIMER_H
#define LN_NET_TIMER_H
#include "base/clock.h"
#include "base/list.h"
#include <stdint.h>

typedef struct ln_timer {
    ln_list node;
    ln_msec due;
    uint8_t kind; /* the owner's tag */
} ln_timer;

#define LN_WHEEL_LEVELS 5
#define LN_WHEEL_SLOTS  64
typedef struct ln_wheel {
    ln_msec now; /* everything due before this has been moved to `due` */
    ln_list slots[LN_WHEEL_LEVELS][LN_WHEEL_SLOTS];
    uint64_t used[LN_WHEEL_LEVELS]; /* bit per slot that is not empty */
    ln_list due, far;
    ln_list moving; /* of a slot whose time has come, not yet sorted into finer ones */
    uint32_t count;
} ln_wheel;

void ln_wheel_init(ln_wheel *w, ln_msec now);
void ln_timer_init(ln_timer *t, uint8_t kind);
/* Sets or moves it. A time not after now is due at the next pull. */
void ln_timer_set(ln_wheel *w, ln_timer *t, ln_msec due);
/* Safe on a timer that is not set. */
void ln_timer_stop(ln_wheel *w, ln_timer *t);
static inline bool ln_timer_armed(const ln_timer *t) {
    return ln_list_linked(&t->node);
}
/* No later than the earliest due time (may be earlier by a cascade); LN_NEVER when empty. */
ln_msec ln_wheel_deadline(const ln_wheel *w);
/* The next timer that is due at `now`, no longer set; NULL when there is none. Timers due at once
 * come in no particular order. One call sorts at most LN_WHEEL_SLICE timers into finer slots: when
 * a million wait in one slot NULL may come early, and the deadline then is now. */
#define LN_WHEEL_SLICE 1024
ln_timer *ln_wheel_pull(ln_wheel *w, ln_msec now);
#endif
