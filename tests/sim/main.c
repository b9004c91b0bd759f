/* The simulation, as a test: town.h says what a run is. Every seed is one; a failing one is made as
 * small as it gets, and named by the line that repeats it.
 *
 *     sim SEEDS              300 seeds, those in SEEDS first, and what must hold of all together
 *     sim --seed 7           this one, and what it was
 *     sim --seed 7 --count N so many, from seven on
 *     sim --found NAME N     a bug is planted here (meson.build): some seed of N must find it
 *     --without KINDS --clients N --events N    with less of it (plan.h)
 *     --trace                and all that clients say and hear
 *
 * SEEDS is a file of seeds that found something once, one a line with what it was.
 */
#include "shrink.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS  300
#define SHRUNK 3 /* so many failing seeds are made smaller, which takes a while */

typedef struct tally {
    uint32_t runs, failed;
    uint64_t publications, events, restarts, took;
    uint64_t kinds[PLAN_KIND_COUNT], did[PLAN_DEED_COUNT], places[HANDOVER_PLACES];
    uint64_t hashes[SEEDS];
} tally;

static void add(tally *all, const town_report *r) {
    if (all->runs < SEEDS) all->hashes[all->runs] = r->hash;
    all->runs++;
    all->failed += r->words[0] != 0;
    all->publications += r->publications;
    all->events += r->events;
    all->restarts += r->restarts;
    all->took += r->took;
    for (int i = 0; i < PLAN_KIND_COUNT; i++)
        all->kinds[i] += r->kinds >> i & 1;
    for (int i = 0; i < PLAN_DEED_COUNT; i++)
        all->did[i] += r->did[i];
    for (int i = 0; i < HANDOVER_PLACES; i++)
        all->places[i] += r->places[i];
}

typedef struct runs {
    tally *all;
    const plan_less *less;
} runs;

static void take(void *ctx, uint64_t seed, const town_report *r) {
    const runs *to = ctx;
    add(to->all, r);
    if (!r->words[0]) return;
    plan_less smaller = *to->less;
    shrink_say(seed, to->less, r->words);
    if (to->all->failed > SHRUNK) return;
    shrink(seed, r->words, &smaller);
    shrink_say(seed, &smaller, r->words);
}

static void run(tally *all, uint64_t seed, uint64_t count, const plan_less *less) {
    runs to = { all, less };
    shrink_runs(seed, count, less, take, &to);
}

static void say(int number, bool good, const char *title) {
    printf("%sok %d - %s\n", good ? "" : "not ", number, title);
    fflush(stdout);
}

static int show(uint64_t seed, const plan_less *less) {
    town_report r;
    shrink_run(seed, less, &r);
    printf(
        "seed %llu, hash %016llx, %llu ms: %u clients, %llu events, %u publications, %u restarts, "
        "%zu KiB\nwith",
        (unsigned long long)seed, (unsigned long long)r.hash, (unsigned long long)r.took, r.clients,
        (unsigned long long)r.events, r.publications, r.restarts, r.peak / 1024);
    for (uint32_t i = 0; i < PLAN_KIND_COUNT; i++)
        if (r.kinds >> i & 1) printf(" %s", plan_words[i]);
    printf("\n%s\n", r.words[0] ? r.words : "nothing found");
    return r.words[0] != 0;
}

static void say_all(const tally *all) {
    for (int i = 0; i < PLAN_DEED_COUNT; i++)
        printf("# %llu %s\n", (unsigned long long)all->did[i], plan_deeds[i]);
    for (int i = 0; i < PLAN_KIND_COUNT; i++)
        printf("# %llu seeds with %s\n", (unsigned long long)all->kinds[i], plan_words[i]);
    for (int i = 0; i < HANDOVER_PLACES; i++)
        printf("# %llu handed over %s\n", (unsigned long long)all->places[i], handover_names[i]);
    printf("# %u seeds, %u failed; %llu events, %llu publications, %llu restarts, %llu s\n",
        all->runs, all->failed, (unsigned long long)all->events,
        (unsigned long long)all->publications, (unsigned long long)all->restarts,
        (unsigned long long)all->took / 1000);
}

static int several(uint64_t seed, uint64_t count, const plan_less *less) {
    tally *all = calloc(1, sizeof *all);
    if (!all) abort();
    run(all, seed, count, less);
    say_all(all);
    int bad = all->failed != 0;
    free(all);
    return bad;
}

/* Those that found something once. */
static bool remembered(tally *all, const char *path) {
    FILE *f = fopen(path, "r");
    if (!f) return false;
    char line[256];
    uint32_t failed = all->failed;
    plan_less whole = { 0 };
    while (fgets(line, sizeof line, f)) {
        char *end;
        uint64_t seed = strtoull(line, &end, 10);
        if (end != line) run(all, seed, 1, &whole);
    }
    fclose(f);
    return all->failed == failed;
}

/* Each kind of trouble and each thing that can happen has. */
static bool all_seen(const tally *all) {
    bool good = true;
    for (int i = 0; i < HANDOVER_PLACES; i++)
        good = good && all->places[i];
    for (int i = 0; i < PLAN_KIND_COUNT; i++)
        good = good && all->kinds[i];
    for (int i = 0; i < PLAN_DEED_COUNT; i++)
        good = good && all->did[i];
    return good && all->events / all->runs >= 2000;
}

static bool all_different(const tally *all) {
    for (uint32_t i = 0; i < all->runs && i < SEEDS; i++)
        for (uint32_t n = 0; n < i; n++)
            if (all->hashes[i] == all->hashes[n]) return false;
    return true;
}

static bool same_again(const tally *all) {
    plan_less whole = { 0 };
    for (uint64_t seed = 1; seed <= 10; seed++) {
        town_report r;
        town_run(seed, &whole, &r);
        if (r.hash != all->hashes[seed - 1]) return false;
    }
    return true;
}

static int quick(const char *seeds) {
    tally *all = calloc(1, sizeof *all);
    if (!all) abort();
    puts("1..5");
    plan_less whole = { 0 };
    run(all, 1, SEEDS, &whole);
    say_all(all);
    bool good[5] = { all->failed == 0, same_again(all), all_different(all), all_seen(all), false };
    good[4] = remembered(all, seeds);
    say(1, good[0], "300 seeds without an anomaly");
    say(2, good[1], "the same seed, the same hash");
    say(3, good[2], "another seed, another hash");
    say(4, good[3], "2,000 events a seed, and each kind of them has come about");
    say(5, good[4], "seeds that found something once");
    free(all);
    return !(good[0] && good[1] && good[2] && good[3] && good[4]);
}

static int found(const char *name, uint64_t most) {
    town_report r = { .words = "" };
    plan_less whole = { 0 };
    uint64_t seed = 0;
    puts("1..1");
    while (seed < most && !r.words[0])
        shrink_run(++seed, &whole, &r);
    printf("# seed %llu: %s\n", (unsigned long long)seed, r.words[0] ? r.words : "nothing");
    printf("%sok 1 - %s is found\n", r.words[0] ? "" : "not ", name);
    return !r.words[0];
}

int main(int argc, char **argv) {
    uint64_t seed = 0, count = 1;
    plan_less less = { 0 };
    const char *plant = NULL, *seeds = NULL;
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--seed") == 0 && more)
            seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--count") == 0 && more)
            count = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--clients") == 0 && more)
            less.clients = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--events") == 0 && more)
            less.events = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--without") == 0 && more &&
                 plan_kinds_of(argv[i + 1], &less.without))
            i++;
        else if (strcmp(argv[i], "--trace") == 0)
            less.traced = true;
        else if (strcmp(argv[i], "--found") == 0 && more)
            plant = argv[++i];
        else
            seeds = argv[i];
    }
    town_install_memory();
    if (plant) return found(plant, SEEDS);
    if (seed) return count > 1 ? several(seed, count, &less) : show(seed, &less);
    if (seeds && seeds[0] != '-') return quick(seeds);
    fputs("sim: say --seed N, --found NAME, or the file of remembered seeds; kinds are", stderr);
    for (int i = 0; i < PLAN_KIND_COUNT; i++)
        fprintf(stderr, " %s", plan_words[i]);
    fputc('\n', stderr);
    return 2;
}
