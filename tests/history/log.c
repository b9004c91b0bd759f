#include "log.h"
#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

uint64_t history_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void history_say(history_log *log, const char *who, const char *format, ...) {
    va_list more;
    fprintf(log->file, "{\"t\":%" PRIu64 ",\"p\":\"%s\",", history_now(), who);
    va_start(more, format);
    vfprintf(log->file, format, more);
    va_end(more);
    fputs("}\n", log->file);
}
