/* sim.h -- a virtual network with a virtual clock, for tests: many loops, one thread, one seed.
 *
 * Loops made with ln_sim_ops and a network as their argument hear each other by port number. Every
 * segment, connect, accept, wake and close takes a seeded time; sends are taken in part, receives
 * come short, connections are refused or reset, as often as the faults say. The same seed and the
 * same program give the same run: ln_simnet_hash() sums up every completion that was handed out.
 *
 * Two ways to drive it. A test with one loop just waits: ln_loop_wait() advances the clock to what
 * is next. Whole nodes are spawned: each function runs as a coroutine that gives way inside
 * ln_loop_wait() until its loop has something, so the code under test is what runs in threads
 * otherwise, and what happens between two waits of one worker is atomic to the others.
 *
 * There are no descriptors. LN_C_ACCEPT carries a number that only ln_sock_adopt understands.
 * Nothing here survives a failed allocation: it aborts.
 */
#ifndef LN_NET_SIM_H
#define LN_NET_SIM_H
#include "net/backend.h"

typedef struct ln_simnet ln_simnet;

typedef struct ln_sim_faults {
    uint32_t delay_min_ms, delay_max_ms; /* of everything */
    uint32_t window;                     /* bytes on the way, each direction; 0: 64 KiB */
    /* chances in a million */
    uint32_t partial;    /* a send is taken only in part */
    uint32_t short_read; /* a receive brings only a part */
    uint32_t reset;      /* a send breaks its connection */
    uint32_t refuse;     /* a connect is refused though somebody listens */
    uint32_t stall;      /* from a send on nothing passes any more, and neither end is told */
} ln_sim_faults;

extern const ln_backend_ops ln_sim_ops; /* backend_arg: the ln_simnet */

ln_simnet *ln_simnet_new(uint64_t seed, const ln_sim_faults *faults);
/* After the last loop. */
void ln_simnet_free(ln_simnet *net);
void ln_simnet_faults(ln_simnet *net, const ln_sim_faults *faults);
ln_msec ln_simnet_now(const ln_simnet *net);
/* Of all completions so far: kind, result, time, loop, bytes. */
uint64_t ln_simnet_hash(const ln_simnet *net);
/* For the test's own decisions, from the same seed. Uniform in 0..n-1. */
uint32_t ln_simnet_below(ln_simnet *net, uint32_t n);

/* Starts fn(arg) as a coroutine at the next run. */
void ln_simnet_spawn(ln_simnet *net, void (*fn)(void *arg), void *arg);
/* Runs coroutines and time until `until`; then true. False when all coroutines have ended, or when
 * all sleep and nothing is left that could wake one: a deadlock, unless they have ended. Then time
 * passes, too. */
bool ln_simnet_run(ln_simnet *net, ln_msec until);
/* When something happens next, if nobody does anything before; LN_NEVER: nothing does. */
ln_msec ln_simnet_next(const ln_simnet *net);
/* Breaks one connection: both ends see a reset; or nothing passes any more, and neither is told. */
void ln_simnet_reset(ln_simnet *net, const ln_sock *sock);
void ln_simnet_stall(const ln_sock *sock);
/* Coroutines that have not ended. */
uint32_t ln_simnet_running(const ln_simnet *net);
#endif
