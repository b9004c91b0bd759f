/* world.h -- what a node stands on: kernel, clock, randomness, threads. Programs stand on the real
 * ones and never see this; the simulator gives others, so that whole nodes run in one thread and
 * virtual time, and the same seed gives the same run.
 */
#ifndef LN_LIB_WORLD_H
#define LN_LIB_WORLD_H
#include "base/rand.h"
#include "net/loop.h"
#include <linnet/server.h>

typedef struct ln_world {          /* all zero: the real one. Outlives what stands on it */
    const ln_backend_ops *backend; /* NULL: epoll */
    void *backend_arg;
    bool seeded;
    uint64_t seed;                  /* moves on with each generator that is made */
    uint64_t (*wall_ms)(void *ctx); /* NULL: CLOCK_REALTIME */
    /* Runs fn(arg) beside the caller; NULL: a thread. What it runs is waited for by whoever
     * spawned. */
    void (*spawn)(void *ctx, void (*fn)(void *arg), void *arg);
    void *ctx;
} ln_world;

/* world NULL: the real one. */
void ln_world_rand(ln_world *world, ln_rand *out);
uint64_t ln_world_wall(const ln_world *world);
/* A monotonic clock in microseconds for what is only measured; NULL in other worlds. */
uint64_t (*ln_world_clock(const ln_world *world))(void);

/* The public functions of the same names, in another world. */
int ln_loop_new_in(ln_world *world, const linnet_loop_options *options, linnet_loop **out);
int ln_server_new_in(ln_world *world, const linnet_server_options *options, linnet_server **out);
#endif
