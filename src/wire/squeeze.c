#include "wire/squeeze.h"
#include "base/mem.h"
#include <assert.h>

#define LITERALS        286 /* literals, end of block, lengths */
#define DISTANCES       30
#define SIZES           19 /* symbols that describe the sizes of the other codes */
#define SYMBOLS_MAX     288
#define END_OF_BLOCK    256
#define MATCH_MIN       4 /* three bytes rarely pay in something so short */
#define MATCH_MAX       258
#define HASH_BITS       12
#define DESCRIBED_LEAST 40 /* bytes of message; the description of a code is hardly shorter */
#define SMALL_FREQ      64 /* rarer symbols are sorted by counting */

typedef struct leaf {
    uint16_t freq, symbol;
} leaf;

typedef struct code { /* of one alphabet */
    uint16_t freq[SYMBOLS_MAX];
    uint8_t size[SYMBOLS_MAX];    /* in bits; 0: does not occur */
    uint32_t word[SYMBOLS_MAX];   /* size << 16 | bits, the first to be sent lowest */
    leaf leaves[SYMBOLS_MAX + 1]; /* the symbols that occur, in their own order */
    uint32_t leaf_count;
} code;

/* All arrays are in here because the compiler clears those on the stack each time. */
struct ln_squeezer {
    /* The last position of four such bytes, and in the upper half the one before. Where there was
     * none it says 0, which is looked at like any other. */
    uint32_t seen[1 << HASH_BITS];
    uint32_t tokens[LN_SQUEEZE_MAX]; /* literal, or MATCH and its symbols */
    uint32_t token_count, extra_bits;
    code literal, distance, sizes, fixed_literal, fixed_distance;
    uint8_t ops[LITERALS + DISTANCES][2]; /* sizes, in symbols of RFC 1951 3.2.7 with extra bits */
    uint32_t op_count;
    uint32_t literals, distances, size_count; /* described: HLIT, HDIST, HCLEN */
    leaf sorted[SYMBOLS_MAX];
    uint16_t weight[SYMBOLS_MAX], parent[2 * SYMBOLS_MAX], depth[2 * SYMBOLS_MAX];
};

/* A match as a token: MATCH, length symbol 5 bits, its extra 5, distance symbol 5, its extra 13. */
#define MATCH           (UINT32_C(1) << 31)
#define LENGTH_NUMBER   23
#define LENGTH_EXTRA    18
#define DISTANCE_NUMBER 13

/* Symbols of lengths and distances (RFC 1951 3.2.5), by arithmetic -------------------------- */

typedef struct symbol {
    uint32_t extra; /* value of the extra bits */
    uint8_t number, extra_bits;
} symbol;

static inline unsigned top_bit(uint32_t v) {
    return 31u - (unsigned)__builtin_clz(v);
}

static inline symbol length_symbol(uint32_t length) { /* number counts from 257 */
    uint32_t v = length - 3;
    if (v < 8) return (symbol){ .number = (uint8_t)v };
    if (length == MATCH_MAX) return (symbol){ .number = 28 };
    unsigned n = top_bit(v) - 2;
    return (symbol){ v & ((1u << n) - 1), (uint8_t)(4 * n + (v >> n)), (uint8_t)n };
}

static inline symbol distance_symbol(uint32_t distance) {
    uint32_t v = distance - 1;
    if (v < 4) return (symbol){ .number = (uint8_t)v };
    unsigned n = top_bit(v) - 1;
    return (symbol){ v & ((1u << n) - 1), (uint8_t)(2 * n + (v >> n)), (uint8_t)n };
}

/* Matches ------------------------------------------------------------------------------- */

static uint32_t load32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* How far the bytes at a and b agree, up to `most`. */
static uint32_t agreement(const uint8_t *a, const uint8_t *b, uint32_t most) {
    uint32_t n = 0;
    for (; n + 8 <= most; n += 8) {
        uint64_t x, y;
        memcpy(&x, a + n, 8);
        memcpy(&y, b + n, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        if (x != y) return n + (uint32_t)__builtin_ctzll(x ^ y) / 8;
#else
        if (x != y) break;
#endif
    }
    while (n < most && a[n] == b[n])
        n++;
    return n;
}

typedef struct finder {
    uint32_t *seen;
    const uint8_t *data;
    uint32_t size, distance_max, shift;
} finder;

static inline uint32_t *slot(const finder *f, uint32_t bytes) {
    return &f->seen[bytes * UINT32_C(0x9e3779b1) >> f->shift];
}

static inline void remember(const finder *f, uint32_t at) {
    uint32_t *places = slot(f, load32(f->data + at));
    *places = *places << 16 | at;
}

/* The length of the match at `from`, if it is longer than `best`. */
static uint32_t better(const finder *f, uint32_t from, uint32_t at, uint32_t best) {
    if (at - from > f->distance_max || load32(f->data + from) != load32(f->data + at)) return best;
    uint32_t most = f->size - at < MATCH_MAX ? f->size - at : MATCH_MAX;
    const uint8_t *a = f->data + from + MATCH_MIN, *b = f->data + at + MATCH_MIN;
    uint32_t length = MATCH_MIN + agreement(a, b, most - MATCH_MIN);
    return length > best ? length : best;
}

static inline void put_literal(ln_squeezer *s, uint8_t byte) {
    s->tokens[s->token_count++] = byte;
    s->literal.freq[byte]++;
}

static inline void put_match(ln_squeezer *s, uint32_t length, uint32_t distance) {
    symbol l = length_symbol(length), d = distance_symbol(distance);
    s->tokens[s->token_count++] = MATCH | (uint32_t)l.number << LENGTH_NUMBER |
                                  l.extra << LENGTH_EXTRA | (uint32_t)d.number << DISTANCE_NUMBER |
                                  d.extra;
    s->literal.freq[257 + l.number]++;
    s->distance.freq[d.number]++;
    s->extra_bits += l.extra_bits + d.extra_bits;
}

static finder new_finder(ln_squeezer *s, ln_slice in, uint32_t distance_max) {
    uint32_t bits = HASH_BITS;
    while (bits > 8 && 1u << (bits - 1) >= in.size)
        bits--;
    memset(s->seen, 0, sizeof(s->seen[0]) << bits);
    return (finder){ s->seen, in.data, (uint32_t)in.size, distance_max, 32 - bits };
}

static void tokenize(ln_squeezer *s, ln_slice in, uint32_t distance_max) {
    finder f = new_finder(s, in, distance_max);
    put_literal(s, f.data[0]); /* position 0 is what an empty place points to */
    uint32_t at = 1, last = f.size < MATCH_MIN ? 0 : f.size - MATCH_MIN;
    while (at <= last) {
        uint32_t here = load32(f.data + at), *places = slot(&f, here);
        uint32_t newer = *places & 0xffff, older = *places >> 16;
        *places = *places << 16 | at;
        uint32_t length = 0, distance = at - newer;
        if (load32(f.data + newer) == here || load32(f.data + older) == here) {
            length = better(&f, newer, at, 0);
            uint32_t longer = better(&f, older, at, length);
            if (longer > length) distance = at - older;
            length = longer;
        }
        if (length == 0) {
            put_literal(s, f.data[at++]);
            continue;
        }
        put_match(s, length, distance);
        uint32_t end = at + length, stop = end <= last ? end : last + 1;
        while (++at < stop)
            remember(&f, at);
        at = end;
    }
    while (at < f.size)
        put_literal(s, f.data[at++]);
    s->literal.freq[END_OF_BLOCK]++;
}

/* Codes --------------------------------------------------------------------------------- */

static void find_leaves(code *c, uint32_t symbols) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < symbols; i++) {
        c->leaves[n] = (leaf){ c->freq[i], (uint16_t)i };
        n += c->freq[i] > 0;
    }
    c->leaf_count = n;
}

static uint32_t freq_class(const leaf *l) {
    return l->freq < SMALL_FREQ ? l->freq : SMALL_FREQ;
}

/* Rarest first: by counting, and the few frequent ones by insertion. */
static void sort_leaves(const leaf *in, uint32_t n, leaf *out) {
    uint16_t start[SMALL_FREQ + 2] = { 0 };
    for (uint32_t i = 0; i < n; i++)
        start[freq_class(&in[i]) + 1]++;
    for (uint32_t k = 1; k <= SMALL_FREQ; k++)
        start[k] = (uint16_t)(start[k] + start[k - 1]);
    uint32_t large = start[SMALL_FREQ];
    for (uint32_t i = 0; i < n; i++)
        out[start[freq_class(&in[i])]++] = in[i];
    for (uint32_t i = large + 1; i < n; i++) {
        leaf l = out[i];
        uint32_t k = i;
        for (; k > large && out[k - 1].freq > l.freq; k--)
            out[k] = out[k - 1];
        out[k] = l;
    }
}

/* How many codes of each size Huffman's tree has: leaves and made nodes both come in order of
 * weight, so the two lightest are always at the front of one of two queues. */
static void tree_sizes(ln_squeezer *s, uint32_t n, uint16_t *count, uint32_t limit) {
    const leaf *leaves = s->sorted;
    uint32_t next_leaf = 0, next_node = 0;
    for (uint32_t made = 0; made + 1 < n; made++) {
        uint32_t sum = 0;
        for (int child = 0; child < 2; child++) {
            bool take_leaf = next_leaf < n &&
                             (next_node == made || leaves[next_leaf].freq <= s->weight[next_node]);
            sum += take_leaf ? leaves[next_leaf].freq : s->weight[next_node];
            s->parent[take_leaf ? next_leaf++ : n + next_node++] = (uint16_t)(n + made);
        }
        s->weight[made] = (uint16_t)sum; /* at most one more than the tokens of a message */
    }
    s->depth[2 * n - 2] = 0;
    for (uint32_t i = 2 * n - 2; i-- > 0;) {
        s->depth[i] = (uint16_t)(s->depth[s->parent[i]] + 1);
        if (i < n) count[s->depth[i] < limit ? s->depth[i] : limit]++;
    }
}

/* Codes that were cut to the limit claim more than there is: a code from a shorter size makes room
 * by becoming one bit longer, together with one of the longest. */
static void fit_limit(uint16_t *count, uint32_t limit) {
    uint32_t claimed = 0;
    for (uint32_t size = 1; size <= limit; size++)
        claimed += (uint32_t)count[size] << (limit - size);
    for (; claimed > 1u << limit; claimed--) {
        uint32_t size = limit - 1;
        while (count[size] == 0)
            size--;
        count[limit]--;
        count[size]--;
        count[size + 1] = (uint16_t)(count[size + 1] + 2);
    }
}

static uint16_t reversed(uint32_t bits, uint32_t size) {
    bits = (bits & 0x5555) << 1 | (bits >> 1 & 0x5555);
    bits = (bits & 0x3333) << 2 | (bits >> 2 & 0x3333);
    bits = (bits & 0x0f0f) << 4 | (bits >> 4 & 0x0f0f);
    bits = (bits & 0x00ff) << 8 | (bits >> 8 & 0x00ff);
    return (uint16_t)(bits >> (16 - size));
}

/* The bits that follow from the sizes, RFC 1951 3.2.2. */
static void assign_bits(code *c) {
    uint16_t count[16] = { 0 }, next[16] = { 0 };
    for (uint32_t i = 0; i < c->leaf_count; i++)
        count[c->size[c->leaves[i].symbol]]++;
    for (uint32_t size = 1; size < 16; size++)
        next[size] = (uint16_t)((next[size - 1] + count[size - 1]) << 1);
    for (uint32_t i = 0; i < c->leaf_count; i++) {
        uint32_t number = c->leaves[i].symbol, size = c->size[number];
        c->word[number] = size << 16 | reversed(next[size]++, size);
    }
}

/* A code of at least two symbols, since some receivers want it complete. */
static void make_code(ln_squeezer *s, code *c, uint32_t symbols, uint32_t limit) {
    uint16_t count[16] = { 0 };
    for (uint32_t i = 0; c->leaf_count < 2; i++) {
        if (c->freq[i]) continue;
        c->freq[i] = 1;
        find_leaves(c, symbols);
    }
    sort_leaves(c->leaves, c->leaf_count, s->sorted);
    tree_sizes(s, c->leaf_count, count, limit);
    fit_limit(count, limit);
    memset(c->size, 0, symbols);
    uint32_t size = limit;
    for (uint32_t i = 0; i < c->leaf_count; i++) {
        while (count[size] == 0)
            size--;
        count[size]--;
        c->size[s->sorted[i].symbol] = (uint8_t)size;
    }
    assign_bits(c);
}

/* Bits that the symbols of `c` take in the sizes of another code, or its own. */
static uint32_t cost(const code *c, const code *other) {
    uint32_t bits = 0;
    for (uint32_t i = 0; i < c->leaf_count; i++)
        bits += (uint32_t)c->leaves[i].freq * other->size[c->leaves[i].symbol];
    return bits;
}

static void make_fixed(code *literal, code *distance) {
    memset(literal->size, 8, 144);
    memset(literal->size + 144, 9, 112);
    memset(literal->size + 256, 7, 24);
    memset(literal->size + 280, 8, 8);
    memset(distance->size, 5, DISTANCES);
    for (uint32_t i = 0; i < SYMBOLS_MAX; i++)
        literal->leaves[i] = distance->leaves[i] = (leaf){ 1, (uint16_t)i };
    literal->leaf_count = SYMBOLS_MAX;
    distance->leaf_count = DISTANCES;
    assign_bits(literal);
    assign_bits(distance);
}

/* The description of the codes ------------------------------------------------------------- */

static const uint8_t size_order[SIZES] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2,
    14, 1, 15 };

static void add_op(ln_squeezer *s, uint8_t op, uint32_t extra) {
    s->ops[s->op_count][0] = op;
    s->ops[s->op_count++][1] = (uint8_t)extra;
    s->sizes.freq[op]++;
}

/* A run of one size. */
static void add_run(ln_squeezer *s, uint8_t size, uint32_t run) {
    while (size == 0 && run >= 3) {
        uint32_t n = run < 138 ? run : 138;
        add_op(s, n < 11 ? 17 : 18, n - (n < 11 ? 3 : 11));
        run -= n;
    }
    if (size && run) {
        add_op(s, size, 0);
        run--;
    }
    while (size && run >= 3) {
        uint32_t n = run < 6 ? run : 6;
        add_op(s, 16, n - 3);
        run -= n;
    }
    while (run--)
        add_op(s, size, 0);
}

static uint32_t used(const code *c, uint32_t symbols, uint32_t least) {
    while (symbols > least && c->size[symbols - 1] == 0)
        symbols--;
    return symbols;
}

/* Makes the codes for this message and their description; returns the description's bits. */
static uint32_t describe(ln_squeezer *s) {
    make_code(s, &s->literal, LITERALS, 15);
    make_code(s, &s->distance, DISTANCES, 15);
    s->literals = used(&s->literal, LITERALS, 257);
    s->distances = used(&s->distance, DISTANCES, 1);
    uint8_t all[LITERALS + DISTANCES];
    memcpy(all, s->literal.size, s->literals);
    memcpy(all + s->literals, s->distance.size, s->distances);
    uint32_t total = s->literals + s->distances;
    for (uint32_t at = 0, end; at < total; at = end) {
        for (end = at + 1; end < total && all[end] == all[at];)
            end++;
        add_run(s, all[at], end - at);
    }

    uint32_t bits = 14 + 2u * s->sizes.freq[16] + 3u * s->sizes.freq[17] + 7u * s->sizes.freq[18];
    find_leaves(&s->sizes, SIZES);
    make_code(s, &s->sizes, SIZES, 7);
    bits += cost(&s->sizes, &s->sizes);
    s->size_count = SIZES;
    while (s->size_count > 4 && s->sizes.size[size_order[s->size_count - 1]] == 0)
        s->size_count--;
    return bits + 3 * s->size_count;
}

static const uint8_t length_extra[29] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3,
    3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };

/* Writing ------------------------------------------------------------------------------- */

typedef struct writer {
    uint8_t *to;
    uint64_t bits; /* not yet counted as written, first one lowest; fewer than 8 */
    uint32_t count;
} writer;

/* At most 56 bits may wait. */
static inline void add_bits(writer *w, uint32_t bits, uint32_t count) {
    w->bits |= (uint64_t)bits << w->count;
    w->count += count;
}

static inline void add_symbol(writer *w, const code *c, uint32_t number) {
    add_bits(w, c->word[number] & 0xffff, c->word[number] >> 16);
}

/* Writes eight bytes, of which those that are full count: no branch, but room for seven more. */
static inline void flush(writer *w) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(w->to, &w->bits, 8);
#else
    uint64_t swapped = __builtin_bswap64(w->bits);
    memcpy(w->to, &swapped, 8);
#endif
    w->to += w->count / 8;
    w->bits >>= w->count & ~7u;
    w->count &= 7;
}

static void put_description(writer *w, const ln_squeezer *s) {
    add_bits(w, s->literals - 257, 5);
    add_bits(w, s->distances - 1, 5);
    add_bits(w, s->size_count - 4, 4);
    flush(w);
    for (uint32_t i = 0; i < s->size_count; i++) {
        add_bits(w, s->sizes.size[size_order[i]], 3);
        flush(w);
    }
    for (uint32_t i = 0; i < s->op_count; i++) {
        uint8_t op = s->ops[i][0];
        add_symbol(w, &s->sizes, op);
        add_bits(w, s->ops[i][1], op < 16 ? 0 : op == 16 ? 2 : op == 17 ? 3 : 7);
        flush(w);
    }
}

static void put_tokens(
    writer *to, const ln_squeezer *s, const code *literals, const code *distances) {
    writer w = *to;
    for (uint32_t i = 0; i < s->token_count; i++) {
        uint32_t token = s->tokens[i];
        if (token & MATCH) {
            uint32_t length = token >> LENGTH_NUMBER & 31, far = token >> DISTANCE_NUMBER & 31;
            add_symbol(&w, literals, 257 + length);
            add_bits(&w, token >> LENGTH_EXTRA & 31, length_extra[length]);
            add_symbol(&w, distances, far);
            add_bits(&w, token & ((1u << DISTANCE_NUMBER) - 1), far < 2 ? 0 : far / 2 - 1);
        } else {
            add_symbol(&w, literals, token);
        }
        flush(&w);
    }
    add_symbol(&w, literals, END_OF_BLOCK);
    flush(&w);
    *to = w;
}

/* The header of an empty stored block, whose rest is the tail that is not sent. */
static uint8_t *finish(writer *w) {
    add_bits(w, 0, 3);
    flush(w);
    return w->to + (w->count > 0); /* the last byte lies there already */
}

/* Life ---------------------------------------------------------------------------------- */

int ln_squeezer_new(ln_squeezer **out) {
    ln_squeezer *s = ln_malloc(sizeof(*s));
    if (!s) return LINNET_ERR_NOMEM;
    make_fixed(&s->fixed_literal, &s->fixed_distance);
    *out = s;
    return LINNET_OK;
}

void ln_squeezer_free(ln_squeezer *s) {
    ln_free(s);
}

static void clear(ln_squeezer *s) {
    memset(s->literal.freq, 0, sizeof(s->literal.freq));
    memset(s->distance.freq, 0, DISTANCES * sizeof(s->distance.freq[0]));
    memset(s->sizes.freq, 0, SIZES * sizeof(s->sizes.freq[0]));
    s->token_count = s->op_count = s->extra_bits = 0;
}

/* Whether codes of its own pay; *bits is what the better ones take. */
static bool choose(ln_squeezer *s, bool describable, uint32_t *bits) {
    find_leaves(&s->literal, LITERALS);
    find_leaves(&s->distance, DISTANCES);
    *bits = cost(&s->literal, &s->fixed_literal) + cost(&s->distance, &s->fixed_distance);
    if (!describable) return false;
    uint32_t own = describe(s);
    own += cost(&s->literal, &s->literal) + cost(&s->distance, &s->distance);
    if (own >= *bits) return false;
    *bits = own;
    return true;
}

int ln_squeeze(ln_squeezer *s, ln_slice message, unsigned bits, ln_buf *out) {
    assert(message.size >= 1);
    assert(message.size <= LN_SQUEEZE_MAX);
    clear(s);
    tokenize(s, message, 1u << bits);
    uint32_t total;
    bool own = choose(s, message.size > DESCRIBED_LEAST, &total);
    total += 3 + s->extra_bits + 3; /* both blocks' headers */
    int err = ln_buf_reserve(out, total / 8 + 8);
    if (err < 0) return err;

    uint8_t *start = ln_buf_room(out).data;
    writer w = { .to = start };
    add_bits(&w, own ? 4 : 2, 3);
    if (own) put_description(&w, s);
    put_tokens(
        &w, s, own ? &s->literal : &s->fixed_literal, own ? &s->distance : &s->fixed_distance);
    ln_buf_commit(out, (size_t)(finish(&w) - start));
    return LINNET_OK;
}
