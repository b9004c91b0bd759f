/* bench_proc.h -- what another process has used, as the kernel tells it. */
#ifndef LN_CLI_BENCH_PROC_H
#define LN_CLI_BENCH_PROC_H
#include <stdbool.h>
#include <stdint.h>

typedef struct ln_bench_usage {
    uint64_t cpu_ns;                   /* all threads, exact */
    uint64_t user_ticks, system_ticks; /* sampled by the kernel: good for a share */
} ln_bench_usage;

/* False when there is no such process or it may not be looked at. */
bool ln_bench_usage_take(uint64_t pid, ln_bench_usage *out);

/* Resident bytes; 0 when it cannot be told. */
uint64_t ln_bench_resident(uint64_t pid);

/* CPU time of this process in nanoseconds. */
uint64_t ln_bench_own_cpu_ns(void);

#endif
