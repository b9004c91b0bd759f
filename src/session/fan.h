/* fan.h -- the hot loop: one rendering to everybody in a row.
 *
 * At 10,000 subscribers what costs is fetching each connection from memory, so the next ones are on
 * their way while this one is queued.
 */
#ifndef LN_SESSION_FAN_H
#define LN_SESSION_FAN_H
#include "conn/conn.h"
#include "hub/channel.h"

#define LN_FAN_AHEAD                                                                               \
    6 /* connections; enough to hide a miss, few enough to stay in the first cache */

/* The lines of a connection that ln_conn_queue reads and writes. */
static inline void ln_fan_fetch(const ln_conn *c) {
    __builtin_prefetch(&c->env, 0);
    __builtin_prefetch(&c->turn, 1);
    __builtin_prefetch(&c->queue, 1);
    __builtin_prefetch(&c->flags, 1);
}

/* Targets are connections. One that cannot take it is closed already, or is being closed for it;
 * without memory we close it, because a hole would not be seen. */
static inline void ln_fan_out(const ln_row *row, ln_rendering *r) {
    const ln_seat *seats = row->seats;
    uint32_t count = row->count;
    for (uint32_t i = 0; i < count; i++) {
        if (i + LN_FAN_AHEAD < count && seats[i + LN_FAN_AHEAD].target)
            ln_fan_fetch(seats[i + LN_FAN_AHEAD].target);
        ln_conn *c = seats[i].target;
        if (c && ln_conn_queue(c, r) == LINNET_ERR_NOMEM) ln_conn_fail(c, LINNET_ERR_NOMEM);
    }
}

/* There is no memory for a rendering: nobody may be left with a hole that he cannot see. */
static inline void ln_fan_fail(const ln_row *row) {
    for (uint32_t i = 0; i < row->count; i++)
        if (row->seats[i].target) ln_conn_fail(row->seats[i].target, LINNET_ERR_NOMEM);
}
#endif
