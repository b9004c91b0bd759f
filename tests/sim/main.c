/* The simulation, as a test: town.h says what a run is. Every seed is one; a failing one is named
 * by the line that repeats it.
 *
 *     sim                    300 seeds, those in SEEDS first, and what must hold of all together
 *     sim --seed 7           this one, and what it was
 *     sim --seed 7 --count N seven and those that follow
 *     sim --found NAME       a bug is planted here (meson.build): some seed of 300 must find it
 *
 * SEEDS is a file of seeds that found something once, one a line with what it was.
 */
#include "town.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS 300

typedef struct tally {
    uint32_t runs, failed;
    uint64_t publications, heard, opens, restarts, rude, recovered, replayed, read;
    uint64_t places[HANDOVER_PLACES];
    uint64_t hashes[SEEDS];
} tally;

static void add(tally *all, const town_report *r) {
    if (all->runs < SEEDS) all->hashes[all->runs] = r->hash;
    all->runs++;
    all->failed += r->words[0] != 0;
    all->publications += r->publications;
    all->heard += r->heard;
    all->opens += r->opens;
    all->restarts += r->restarts;
    all->rude += r->rude;
    all->recovered += r->recovered;
    all->replayed += r->replayed;
    all->read += r->read;
    for (int i = 0; i < HANDOVER_PLACES; i++)
        all->places[i] += r->places[i];
}

static bool run(tally *all, uint64_t seed) {
    town_report r;
    town_run(seed, &r);
    add(all, &r);
    if (r.words[0]) printf("# make sim SEED=%llu      # %s\n", (unsigned long long)seed, r.words);
    fflush(stdout);
    return !r.words[0];
}

static void say(int number, bool good, const char *title) {
    printf("%sok %d - %s\n", good ? "" : "not ", number, title);
    fflush(stdout);
}

static int show(uint64_t seed) {
    town_report r;
    town_run(seed, &r);
    printf(
        "seed %llu, hash %016llx, %llu ms: %u publications, %llu heard, %llu opens, %llu closes, "
        "%llu fails, %u restarts, %zu KiB\n",
        (unsigned long long)seed, (unsigned long long)r.hash, (unsigned long long)r.took,
        r.publications, (unsigned long long)r.heard, (unsigned long long)r.opens,
        (unsigned long long)r.closes, (unsigned long long)r.fails, r.restarts, r.peak / 1024);
    printf("%s\n", r.words[0] ? r.words : "nothing found");
    return r.words[0] != 0;
}

static int several(uint64_t seed, uint64_t count) {
    tally *all = calloc(1, sizeof *all);
    if (!all) abort();
    for (uint64_t i = 0; i < count; i++)
        run(all, seed + i);
    printf("%u seeds, %u failed; %llu publications, %llu heard\n", all->runs, all->failed,
        (unsigned long long)all->publications, (unsigned long long)all->heard);
    int bad = all->failed != 0;
    free(all);
    return bad;
}

/* Those that found something once. */
static bool remembered(tally *all, const char *path) {
    FILE *f = fopen(path, "r");
    if (!f) return false;
    char line[256];
    bool good = true;
    while (fgets(line, sizeof line, f)) {
        char *end;
        uint64_t seed = strtoull(line, &end, 10);
        if (end != line) good = run(all, seed) && good;
    }
    fclose(f);
    return good;
}

static bool all_places(const tally *all) {
    bool good = true;
    for (int i = 0; i < HANDOVER_PLACES; i++) {
        printf("# handed over %s: %llu\n", handover_names[i], (unsigned long long)all->places[i]);
        good = good && all->places[i];
    }
    return good;
}

static bool all_different(const tally *all) {
    for (uint32_t i = 0; i < all->runs && i < SEEDS; i++)
        for (uint32_t n = 0; n < i; n++)
            if (all->hashes[i] == all->hashes[n]) return false;
    return true;
}

static bool same_again(const tally *all) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        town_report r;
        town_run(seed, &r);
        if (r.hash != all->hashes[seed - 1]) return false;
    }
    return true;
}

static int quick(const char *seeds) {
    tally *all = calloc(1, sizeof *all);
    if (!all) abort();
    puts("1..5");
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run(all, seed);
    printf(
        "# %llu publications, %llu heard, %llu connections, %llu restarts, %llu broke the rules\n",
        (unsigned long long)all->publications, (unsigned long long)all->heard,
        (unsigned long long)all->opens, (unsigned long long)all->restarts,
        (unsigned long long)all->rude);
    printf("# %llu times recovered, %llu replayed, %llu read\n", (unsigned long long)all->recovered,
        (unsigned long long)all->replayed, (unsigned long long)all->read);
    bool good[5] = { all->failed == 0, same_again(all), all_different(all), all_places(all),
        false };
    good[4] = remembered(all, seeds);
    say(1, good[0], "300 seeds without an anomaly");
    say(2, good[1], "the same seed, the same hash");
    say(3, good[2], "another seed, another hash");
    say(4, good[3], "connections were handed over in every state");
    say(5, good[4], "seeds that found something once");
    free(all);
    return !(good[0] && good[1] && good[2] && good[3] && good[4]);
}

static int found(const char *name) {
    town_report r = { .words = "" };
    uint64_t seed = 0;
    puts("1..1");
    while (seed < SEEDS && !r.words[0])
        town_run(++seed, &r);
    printf("# seed %llu: %s\n", (unsigned long long)seed, r.words[0] ? r.words : "nothing");
    printf("%sok 1 - %s is found\n", r.words[0] ? "" : "not ", name);
    return !r.words[0];
}

int main(int argc, char **argv) {
    uint64_t seed = 0, count = 1;
    const char *plant = NULL, *seeds = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--found") == 0 && i + 1 < argc)
            plant = argv[++i];
        else
            seeds = argv[i];
    }
    town_install_memory();
    if (plant) return found(plant);
    if (seed) return count > 1 ? several(seed, count) : show(seed);
    if (seeds) return quick(seeds);
    fputs("sim: say --seed N, --found NAME, or the file of remembered seeds\n", stderr);
    return 2;
}
