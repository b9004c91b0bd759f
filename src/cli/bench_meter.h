/* bench_meter.h -- when to measure, and what to say afterwards.
 *
 *   WARMING -> MEASURING -> DONE
 *
 * The load adds what happened; once per turn it asks the meter whether it is
 * over. Everything counted while warming is forgotten.
 */
#ifndef LN_CLI_BENCH_METER_H
#define LN_CLI_BENCH_METER_H
#include "cli/bench_hist.h"
#include "cli/bench_options.h"
#include "cli/bench_proc.h"

typedef enum ln_bench_phase { LN_BENCH_WARMING, LN_BENCH_MEASURING, LN_BENCH_DONE } ln_bench_phase;

typedef struct ln_bench_meter {
    const ln_bench_options *o;
    ln_bench_phase phase;
    uint64_t warm_end_ns, end_ns;       /* of the phases */
    uint64_t start_ns, stop_ns;         /* what was measured */
    uint64_t messages, payload;         /* since the phase began; bytes that came back */
    uint64_t own_start_ns, own_cpu_ns;  /* our CPU time */
    ln_bench_usage before, after;       /* the server's */
    uint64_t resident_before, resident; /* bytes; before the first connection, at the end */
    uint64_t verified;                  /* messages compared byte by byte */
    double baseline;                    /* zlib level 6: bytes per message; 0: not compressed */
    ln_bench_hist latency;
} ln_bench_meter;

/* Before the first connection. False: --pid names no process; it said so. */
bool ln_bench_meter_init(ln_bench_meter *m, const ln_bench_options *o);

/* The load begins. */
void ln_bench_meter_start(ln_bench_meter *m, uint64_t now_ns);

/* True as long as the load is to go on. */
bool ln_bench_meter_goes_on(ln_bench_meter *m, uint64_t now_ns);

/* The table, or the JSON line. what: "messages", "deliveries", ... */
void ln_bench_meter_report(const ln_bench_meter *m, const char *what);

#endif
