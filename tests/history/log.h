/* log.h -- lines of what was said and heard (README.md), to a file of this process. */
#ifndef HISTORY_LOG_H
#define HISTORY_LOG_H
#include <stdint.h>
#include <stdio.h>

typedef struct history_log {
    FILE *file;
} history_log;

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t history_now(void);
/* {"t":now,"p":who, and what the format gives, and a closing brace. */
__attribute__((format(printf, 3, 4))) void history_say(
    history_log *log, const char *who, const char *format, ...);
#endif
