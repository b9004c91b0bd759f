#include "oom.h"
#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAMPLE     150 /* n's walked without --full, beyond the first hundred */
#define HANG_AFTER 60  /* seconds */

/* Atomic, because a scenario may start worker threads. */
static struct memory {
    _Atomic uint64_t calls, refuse_at;
    _Atomic bool refuse_later_too;
    _Atomic int64_t live;
} memory;

static bool refused(void) {
    uint64_t n = ++memory.calls, at = memory.refuse_at;
    return at && (n == at || (n > at && memory.refuse_later_too));
}

static void *take(void *ctx, size_t size) {
    void *p = refused() ? NULL : malloc(size);
    if (!p) return NULL;
    memory.live++;
    return memset(p, 0xa5, size);
}

static void *resize(void *ctx, void *ptr, size_t size) {
    if (!ptr) return take(ctx, size);
    return refused() ? NULL : realloc(ptr, size);
}

static void give_back(void *ctx, void *ptr) {
    memory.live--;
    free(ptr);
}

static int descriptors(void) {
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    if (!d) return -1;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* What a dying process says: prepared before each run, written by the signal handler. */
static char last_words[256];

static void die(int sig) {
    ssize_t n = write(STDOUT_FILENO, last_words, strlen(last_words));
    (void)n;
    signal(sig, SIG_DFL);
    raise(sig);
}

typedef struct trial {
    const char *name;
    uint64_t at, count;
    bool later_too;
} trial;

static int complain(const trial *t, const char *why, long long what) {
    printf("# %s, allocation %llu of %llu%s refused: %s %lld\n", t->name, (unsigned long long)t->at,
        (unsigned long long)t->count, t->later_too ? " and later" : "", why, what);
    return -1;
}

/* One run; 0 when all that must hold afterwards held. */
static int attempt(const oom_scenario *s, const trial *t, int *err) {
    snprintf(last_words, sizeof(last_words), "not ok - %s died: %s %llu\n", s->name,
        t->later_too ? "--from" : "--at", (unsigned long long)t->at);
    int open_before = descriptors();
    memory.calls = 0;
    memory.live = 0;
    memory.refuse_later_too = t->later_too;
    memory.refuse_at = t->at;
    alarm(HANG_AFTER);
    *err = s->run();
    alarm(0);
    memory.refuse_at = 0;
    if (memory.live != 0) return complain(t, "blocks not given back:", memory.live);
    int left_open = descriptors() - open_before;
    if (left_open != 0) return complain(t, "descriptors left open:", left_open);
    if (*err > 0 || strcmp(linnet_errname(*err), "UNKNOWN") == 0) {
        return complain(t, "an answer that is no row of the table:", *err);
    }
    return 0;
}

static uint64_t next_n(uint64_t n, uint64_t count, bool full) {
    uint64_t step = full || n < 100 ? 1 : 1 + count / SAMPLE;
    return n + step > count && n < count ? count : n + step;
}

/* Returns how many n were walked, or 0 when one of them failed. */
static uint64_t walk(const oom_scenario *s, uint64_t count, bool later_too, bool full) {
    uint64_t walked = 0;
    int err;
    for (uint64_t n = 1; n <= count; n = next_n(n, count, full)) {
        trial t = { s->name, n, count, later_too };
        if (attempt(s, &t, &err) < 0) return 0;
        walked++;
    }
    return walked;
}

/* Beyond its count a run is untouched. Counts may differ a little between runs (a buffer that
 * grew or not), so the last n is looked for rather than computed. */
static int beyond(const oom_scenario *s, uint64_t *count) {
    for (int tries = 0; tries < 100; tries++) {
        trial t = { s->name, *count + 1, *count, false };
        int err;
        if (attempt(s, &t, &err) < 0) return -1;
        if (memory.calls <= *count) {
            return err == LINNET_OK ? 0 : complain(&t, "an untouched run answered", err);
        }
        *count = memory.calls;
    }
    return -1;
}

static bool scenario_holds(const oom_scenario *s, bool full) {
    trial untouched = { s->name, 0, 0, false };
    int err = s->warm ? s->warm() : LINNET_OK;
    if (err < 0 || attempt(s, &untouched, &err) < 0 || err != LINNET_OK) {
        complain(&untouched, "not even untouched, it answered", err);
        printf("not ok - %s\n", s->name);
        return false;
    }
    uint64_t count = memory.calls, once = 0, later = 0;
    bool held = count > 0 && beyond(s, &count) == 0;
    held = held && (once = walk(s, count, false, full)) && (later = walk(s, count, true, full));
    held = held && beyond(s, &count) == 0;
    printf("%sok - %s %llu of %llu\n", held ? "" : "not ", s->name, (unsigned long long)once,
        (unsigned long long)count);
    fflush(stdout);
    return held;
}

static int run_one(const oom_scenario *s, const char *kind, const char *n) {
    trial t = { s->name, strtoull(n, NULL, 10), 0, strcmp(kind, "--from") == 0 };
    int err = LINNET_OK;
    int bad = attempt(s, &t, &err);
    printf("%s: %s after %llu allocations\n", s->name, linnet_errname(err),
        (unsigned long long)memory.calls);
    return bad < 0;
}

int oom_main(int argc, char **argv, const oom_scenario *scenarios, size_t count) {
    linnet_allocator allocator = { take, resize, give_back, NULL };
    linnet_allocator_set(&allocator);
    signal(SIGPIPE, SIG_IGN);
    const int deadly[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGALRM };
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        signal(deadly[i], die);

    if (argc == 4 && (strcmp(argv[1], "--at") == 0 || strcmp(argv[1], "--from") == 0)) {
        for (size_t i = 0; i < count; i++) {
            if (strcmp(scenarios[i].name, argv[3]) == 0) {
                return run_one(&scenarios[i], argv[1], argv[2]);
            }
        }
        return 2;
    }
    bool full = argc > 1 && strcmp(argv[1], "--full") == 0;
    bool held = true;
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++)
        held = scenario_holds(&scenarios[i], full) && held;
    return held ? 0 : 1;
}
