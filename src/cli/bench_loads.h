/* bench_loads.h -- the five kinds of load; each runs to its end and reports.
 * They return exit codes, and tell what went wrong on stderr. */
#ifndef LN_CLI_BENCH_LOADS_H
#define LN_CLI_BENCH_LOADS_H
#include "cli/bench_meter.h"
#include "cli/bench_pool.h"

int ln_bench_echo(const ln_bench_options *o, ln_bench_meter *m);
int ln_bench_fanout(const ln_bench_options *o, ln_bench_meter *m);
int ln_bench_publish(const ln_bench_options *o, ln_bench_meter *m);
int ln_bench_connect(const ln_bench_options *o, ln_bench_meter *m);
int ln_bench_idle(const ln_bench_options *o, ln_bench_meter *m);

#endif
