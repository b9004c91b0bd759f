/* bench_connect.c -- handshakes: open, reset, open again.
 *
 * A connection ends with a reset, so that tens of thousands of them a second do
 * not use up the ports of the machine in TIME-WAIT.
 */
#include "cli/bench_loads.h"

#include <stdlib.h>

static int on_opened(ln_bench_pool *pool, ln_bench_link *link) {
    ln_bench_meter *m = pool->ctx;
    ln_bench_hist_add(&m->latency, ln_bench_now_ns() - link->began_ns, 1);
    m->messages++;
    ln_bench_link_drop(pool, link);
    return 0;
}

static int on_received(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n) {
    (void)p;
    (void)n;
    return ln_bench_fail(pool, link, "a message that nobody asked for");
}

static const ln_bench_calls calls = { on_opened, on_received, NULL };

static int run(ln_bench_pool *pool, ln_bench_meter *m) {
    uint64_t now = ln_bench_now_ns();
    ln_bench_meter_start(m, now);
    while (ln_bench_meter_goes_on(m, now)) {
        for (size_t i = 0; i < pool->count; i++) {
            ln_bench_link *link = ln_bench_pool_link(pool, i);
            if (link->fd < 0 && ln_bench_link_start(pool, link) < 0) return -1;
        }
        /* A raw connection is over as soon as it is there. */
        uint64_t before = m->messages;
        int moved = ln_bench_pool_turn(pool, pool->o->raw ? 0 : 10);
        now = ln_bench_now_ns();
        bool alive = moved > 0 || m->messages != before || pool->o->raw;
        if (moved < 0 || ln_bench_pool_alive(pool, alive, now) < 0) return -1;
    }
    return 0;
}

int ln_bench_connect(const ln_bench_options *o, ln_bench_meter *m) {
    ln_bench_pool pool;
    int err = ln_bench_pool_init(&pool, o, &calls, m, o->connections, sizeof(ln_bench_link));
    if (err == 0) err = run(&pool, m);
    if (err < 0)
        fprintf(stderr, "linnet bench: %s: %s\n", o->url, pool.error);
    else
        ln_bench_meter_report(m, "handshakes");
    ln_bench_pool_fini(&pool);
    return err < 0 ? 1 : 0;
}
