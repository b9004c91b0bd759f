/* Frame headers: the same verdict however much of the header is there once it is there; a header
 * that is taken has the only form in which it can be written; and unmasking in any piece is XOR. */
#include "wire/frame.h"
#include "fuzz.h"
#include "wire/mask.h"

/* The shorter prefixes of what gave this verdict wait for more; none says anything else. */
static void prefixes(const ln_frame_rules *rules, ln_slice in, int verdict, size_t used) {
    size_t most = in.size < LN_FRAME_HEAD_MAX ? in.size : LN_FRAME_HEAD_MAX;
    bool decided = false;
    for (size_t n = 0; n <= most; n++) {
        ln_wslice exact = fuzz_exact(ln_slice_sub(in, 0, n));
        ln_slice part = ln_slice_of(exact.data, n);
        ln_frame f;
        int result = ln_frame_decode(rules, &part, &f);
        FUZZ_REQUIRE(result == verdict || (result == LN_MORE && !decided));
        decided |= result != LN_MORE;
        if (result == LN_DONE) FUZZ_REQUIRE(n >= used);
        FUZZ_REQUIRE(part.size == (result == LN_DONE ? n - used : n));
        free(exact.data);
    }
    FUZZ_REQUIRE(decided || verdict == LN_MORE);
    FUZZ_REQUIRE(in.size < LN_FRAME_HEAD_MAX || verdict != LN_MORE);
}

static void written_again(const ln_frame *f, ln_slice head) {
    uint8_t again[LN_FRAME_HEAD_MAX];
    FUZZ_REQUIRE(ln_slice_eq(head, ln_slice_of(again, ln_frame_encode(f, again))));
    FUZZ_REQUIRE(head.size == ln_frame_head_size(f->length, f->masked));
}

/* Against one byte after the other, in two pieces. */
static void unmasked(const ln_frame *f, ln_slice payload, fuzz_chance c) {
    ln_wslice data = fuzz_exact(payload);
    size_t cut = fuzz_below(&c, payload.size + 1);
    bool a = ln_unmask_ascii((ln_wslice){ data.data, cut }, f->mask, 0);
    bool b = ln_unmask_ascii((ln_wslice){ data.data + cut, data.size - cut }, f->mask, cut);
    bool ascii = true;
    for (size_t i = 0; i < payload.size; i++) {
        FUZZ_REQUIRE(data.data[i] == (payload.data[i] ^ f->mask[i % 4]));
        ascii &= data.data[i] < 0x80;
    }
    FUZZ_REQUIRE(ascii == (a && b));
    free(data.data);
}

void fuzz_one(ln_slice in) {
    uint8_t choice = fuzz_choice(&in);
    static const uint64_t limits[] = { 0, 100, 65535, UINT64_MAX };
    ln_frame_rules rules = { limits[choice & 3], choice & 4, choice & 8 };
    ln_slice rest = in;
    ln_frame f;
    int verdict = ln_frame_decode(&rules, &rest, &f);
    prefixes(&rules, in, verdict, in.size - rest.size);
    if (verdict != LN_DONE) return;

    FUZZ_REQUIRE(f.masked == rules.masked);
    FUZZ_REQUIRE(!f.rsv1 || rules.rsv1);
    FUZZ_REQUIRE(f.opcode >= LN_OP_CLOSE || f.length <= rules.length_max);
    FUZZ_REQUIRE(f.opcode < LN_OP_CLOSE || (f.fin && f.length <= LN_CONTROL_MAX));
    written_again(&f, ln_slice_sub(in, 0, in.size - rest.size));
    if (f.masked) unmasked(&f, rest, fuzz_chance_of(in));
}
