/* fuzz.h -- what a fuzz target is made of.
 *
 * A target is one file, fuzz/NAME.c, that defines fuzz_one() and a row in meson.build. It is
 * linked twice: with libFuzzer (libfuzzer.c; `make fuzz T=NAME S=60`) and with replay.c, which
 * walks fuzz/corpus/NAME and fuzz/regression/NAME inside `make test`.
 *
 * A target that only waits for a crash finds little. Each one states what must hold for every
 * input: the same verdict however the input is cut, agreement with something simpler, a round
 * trip. What an input's cuts and choices are follows from its bytes alone, so a find is one
 * file and stays a find.
 */
#ifndef FUZZ_H
#define FUZZ_H
#include "base/slice.h"
#include <stdio.h>
#include <stdlib.h>

/* One input, in a block of exactly its size. Frees all that it allocates. */
void fuzz_one(ln_slice in);

/* Ends the process with the place and the broken sentence. */
#define FUZZ_REQUIRE(truth)                                                                        \
    do {                                                                                           \
        if (!(truth)) fuzz_broken(__FILE__, __LINE__, #truth);                                     \
    } while (0)

_Noreturn static inline void fuzz_broken(const char *file, int line, const char *truth) {
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, truth);
    abort();
}

/* Takes one byte off the front for a choice; 0 when there is none. */
static inline uint8_t fuzz_choice(ln_slice *in) {
    if (in->size == 0) return 0;
    uint8_t choice = in->data[0];
    ln_slice_skip(in, 1);
    return choice;
}

/* Chance that follows from the input. */
typedef struct fuzz_chance {
    uint64_t state;
} fuzz_chance;

static inline fuzz_chance fuzz_chance_of(ln_slice in) {
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ in.size;
    for (size_t i = 0; i < in.size; i++)
        h = (h ^ in.data[i]) * UINT64_C(0x100000001b3);
    return (fuzz_chance){ h };
}

/* 0..n-1; n > 0 */
static inline size_t fuzz_below(fuzz_chance *c, size_t n) {
    c->state = c->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)((c->state >> 33) % n);
}

/* How much of what is left the next piece carries: often a byte, often all. */
static inline size_t fuzz_piece(fuzz_chance *c, size_t left) {
    switch (fuzz_below(c, 4)) {
    case 0: return 1;
    case 1: return left;
    case 2: return 1 + fuzz_below(c, left < 16 ? left : 16);
    default: return 1 + fuzz_below(c, left);
    }
}

/* A copy in a block of exactly its size, for pieces: a read beyond one is a read beyond the
 * block. */
static inline ln_wslice fuzz_exact(ln_slice s) {
    uint8_t *copy = malloc(s.size);
    if (!copy && s.size) abort();
    if (s.size) memcpy(copy, s.data, s.size);
    return (ln_wslice){ copy, s.size };
}
#endif
