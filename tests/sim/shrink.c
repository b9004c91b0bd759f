#include "shrink.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE 50 /* seeds for one process */

static void child_runs(int out, uint64_t seed, uint64_t count, const plan_less *less) {
    for (uint64_t i = 0; i < count; i++) {
        town_report r;
        town_run(seed + i, less, &r);
        fflush(stdout);
        if (write(out, &r, sizeof r) != (ssize_t)sizeof r) _exit(1);
    }
    _exit(0);
}

static bool read_all(int fd, void *out, size_t size) {
    size_t got = 0;
    for (ssize_t n; got < size && (n = read(fd, (char *)out + got, size - got)) > 0;)
        got += (size_t)n;
    return got == size;
}

/* How many reports there were; fewer than `count`: it died in the next one. */
static uint64_t some(uint64_t seed, uint64_t count, const plan_less *less,
    void (*take)(void *ctx, uint64_t seed, const town_report *r), void *ctx) {
    int ends[2], status = 0;
    fflush(stdout);
    if (pipe(ends) != 0) abort();
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) child_runs(ends[1], seed, count, less);
    close(ends[1]);
    uint64_t done = 0;
    for (town_report r; done < count && read_all(ends[0], &r, sizeof r); done++)
        take(ctx, seed + done, &r);
    close(ends[0]);
    if (waitpid(child, &status, 0) < 0) abort();
    if (done == count) return count;
    town_report dead = { .hash = 0 };
    snprintf(dead.words, sizeof dead.words, "died: signal %d",
        WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    take(ctx, seed + done, &dead);
    return done + 1;
}

void shrink_runs(uint64_t seed, uint64_t count, const plan_less *less,
    void (*take)(void *ctx, uint64_t seed, const town_report *r), void *ctx) {
    for (uint64_t done = 0; done < count;)
        done += some(seed + done, count - done < AT_ONCE ? count - done : AT_ONCE, less, take, ctx);
}

static void keep_report(void *ctx, uint64_t seed, const town_report *r) {
    (void)seed;
    *(town_report *)ctx = *r;
}

void shrink_run(uint64_t seed, const plan_less *less, town_report *out) {
    shrink_runs(seed, 1, less, keep_report, out);
}

/* "silent-gap: ...": what is before the colon. */
static bool same_name(const char *a, const char *b) {
    size_t n = strcspn(a, ":");
    return n == strcspn(b, ":") && memcmp(a, b, n) == 0;
}

static bool still(uint64_t seed, const plan_less *less, const char *words) {
    town_report r;
    shrink_run(seed, less, &r);
    return r.words[0] && same_name(words, r.words);
}

static bool keep(uint64_t seed, plan_less *less, const plan_less *smaller, const char *words) {
    if (!still(seed, smaller, words)) return false;
    *less = *smaller;
    return true;
}

static void halve(uint64_t seed, plan_less *less, uint32_t plan_less_field, const char *words) {
    for (;;) {
        plan_less smaller = *less;
        uint32_t *n = plan_less_field ? &smaller.events : &smaller.clients;
        *n /= 2;
        if (*n == 0 || !keep(seed, less, &smaller, words)) return;
    }
}

void shrink(uint64_t seed, const char *words, plan_less *less) {
    plan whole;
    plan_draw(&whole, seed, less);
    less->clients = whole.clients;
    less->events = whole.events;
    for (uint32_t i = 0; i < PLAN_KIND_COUNT; i++) {
        plan_less smaller = *less;
        smaller.without |= 1u << i;
        if (plan_has(&whole, (int)i)) keep(seed, less, &smaller, words);
    }
    halve(seed, less, 0, words);
    halve(seed, less, 1, words);
}

void shrink_say(uint64_t seed, const plan_less *less, const char *words) {
    printf("# make sim SEED=%llu", (unsigned long long)seed);
    for (uint32_t i = 0, some = 0; i < PLAN_KIND_COUNT; i++)
        if (less->without >> i & 1) printf("%s%s", some++ ? "," : " WITHOUT=", plan_words[i]);
    if (less->clients) printf(" CLIENTS=%u", less->clients);
    if (less->events) printf(" EVENTS=%u", less->events);
    printf("      # %s\n", words);
    fflush(stdout);
}
