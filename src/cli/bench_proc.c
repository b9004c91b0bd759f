#include "cli/bench_proc.h"

#include "base/num.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

enum { FIELDS_BEFORE = 11 }; /* of /proc/PID/stat, between the name and utime */

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t ln_bench_own_cpu_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

bool ln_bench_usage_take(uint64_t pid, ln_bench_usage *out) {
    char path[64], line[1024];
    clockid_t clock;
    if (clock_getcpuclockid((pid_t)pid, &clock) != 0) return false;
    out->cpu_ns = clock_ns(clock);

    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    FILE *f = fopen(path, "re");
    if (!f) return false;
    bool got = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    /* The name may hold blanks and parentheses; fields count from the last one. */
    const char *after = got ? strrchr(line, ')') : NULL;
    if (!after) return false;
    ln_slice rest = ln_slice_str(after + 2), field;
    for (int i = 0; i < FIELDS_BEFORE; i++)
        if (!ln_slice_cut(&rest, ' ', &field)) return false;
    return ln_slice_cut(&rest, ' ', &field) && ln_num_u64(field, UINT64_MAX, &out->user_ticks) &&
           ln_slice_cut(&rest, ' ', &field) && ln_num_u64(field, UINT64_MAX, &out->system_ticks);
}

uint64_t ln_bench_resident(uint64_t pid) {
    char path[64], line[256];
    uint64_t kib = 0;
    /* status keeps a counter per CPU and may be hundreds of KiB off; this sums pages. */
    snprintf(path, sizeof path, "/proc/%llu/smaps_rollup", (unsigned long long)pid);
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "Rss:", 4) == 0) {
            ln_slice value = ln_slice_trim(ln_slice_of(line + 4, strcspn(line + 4, "k")));
            ln_num_u64(value, UINT64_MAX / 1024, &kib);
            break;
        }
    }
    fclose(f);
    return kib * 1024;
}
