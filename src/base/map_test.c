#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rand.h"
#include "base/testing.h"
#include <stdio.h>

/* From another implementation: CPython 3.11's hash() of bytes under PYTHONHASHSEED, whose
 * keys follow from the seed. */
static const struct {
    const char *why;
    ln_map_key key;
    ln_slice in;
    uint64_t hash;
} vectors[] = {
    { "tail only, key 0", { 0, 0 }, BYTES("a"), 0x407448d2b89b1813 },
    { "tail of seven", { 0, 0 }, BYTES("abcdefg"), 0x6db12aae9070f506 },
    { "one word", { 0, 0 }, BYTES("abcdefgh"), 0x3f7b849c0b8e35ea },
    { "one word and a tail", { 0, 0 }, BYTES("abcdefghi"), 0xf89b34a3d11eb6e5 },
    { "several words", { 0, 0 }, BYTES("the quick brown fox jumps over it"), 0xcf8ba914bf7aefa2 },
    { "with a key", { 0xaed66ce184be2329, 0xebe9bbf1f1499052 }, BYTES("a"), 0xd6300bc9f7cc0e73 },
    { "with a key, one word", { 0xaed66ce184be2329, 0xebe9bbf1f1499052 }, BYTES("abcdefgh"),
        0xfd3011ff3947e7f4 },
    { "with another key", { 0x25556dc46dc3dca0, 0xfc3ee4dbd06f6c90 },
        BYTES("the quick brown fox jumps over it"), 0x72f9eaba1f2524f1 },
};

static void siphash_agrees_with_another(void **state) {
    for (size_t i = 0; i < LN_COUNT(vectors); i++) {
        ln_slice in = ln_test_exact(vectors[i].in);
        if (ln_siphash(vectors[i].key, in) != vectors[i].hash) fail_msg("%s", vectors[i].why);
        ln_test_drop(in);
    }
    assert_true(ln_siphash((ln_map_key){ 0 }, (ln_slice){ 0 }) ==
                ln_siphash((ln_map_key){ 0 }, LN_SLICE("")));
}

typedef struct item {
    char name[16];
    bool in;
} item;

static ln_slice item_name(const void *value) {
    return ln_slice_str(((const item *)value)->name);
}

static const ln_map_key some_key = { 1, 2 };

static void names_find_their_values(void **state) {
    item a = { "a" }, b = { "b" }, a2 = { "a" }, empty = { "" };
    ln_map m;
    ln_map_init(&m, some_key, item_name, 3);
    assert_null(ln_map_get(&m, LN_SLICE("a")));
    assert_null(ln_map_remove(&m, LN_SLICE("a")));
    assert_int_equal(ln_map_add(&m, &a), 0);
    assert_int_equal(ln_map_add(&m, &b), 0);
    assert_int_equal(ln_map_add(&m, &a2), LINNET_ERR_EXISTS);
    assert_int_equal(ln_map_add(&m, &empty), 0);
    assert_ptr_equal(ln_map_get(&m, LN_SLICE("a")), &a);
    assert_ptr_equal(ln_map_get(&m, LN_SLICE("b")), &b);
    assert_ptr_equal(ln_map_get(&m, (ln_slice){ 0 }), &empty);
    assert_null(ln_map_get(&m, LN_SLICE("c")));
    assert_ptr_equal(ln_map_remove(&m, LN_SLICE("a")), &a);
    assert_null(ln_map_get(&m, LN_SLICE("a")));
    assert_null(ln_map_remove(&m, LN_SLICE("a")));
    assert_int_equal(m.count, 2);
    ln_map_fini(&m);
}

static void the_maximum_holds(void **state) {
    item a = { "a" }, b = { "b" }, c = { "c" };
    ln_map m;
    ln_map_init(&m, some_key, item_name, 2);
    assert_int_equal(ln_map_add(&m, &a), 0);
    assert_int_equal(ln_map_add(&m, &b), 0);
    assert_int_equal(ln_map_add(&m, &c), LINNET_ERR_LIMIT);
    assert_int_equal(ln_map_add(&m, &a), LINNET_ERR_EXISTS);
    assert_ptr_equal(ln_map_remove(&m, LN_SLICE("a")), &a);
    assert_int_equal(ln_map_add(&m, &c), 0);
    ln_map_fini(&m);
    ln_map_init(&m, some_key, item_name, 0);
    assert_int_equal(ln_map_add(&m, &a), LINNET_ERR_LIMIT);
}

static void refused_memory_changes_nothing(void **state) {
    ln_test_memory mem = { .fail_at = 1 };
    ln_test_memory_install(&mem);
    item items[8];
    ln_map m;
    ln_map_init(&m, some_key, item_name, 100);
    for (size_t i = 0; i < 8; i++) {
        snprintf(items[i].name, sizeof(items[i].name), "%zu", i);
        int err = ln_map_add(&m, &items[i]);
        if (mem.calls == mem.fail_at) {
            assert_int_equal(err, LINNET_ERR_NOMEM);
            assert_int_equal(m.count, i);
            for (size_t j = 0; j < i; j++) {
                assert_ptr_equal(ln_map_get(&m, item_name(&items[j])), &items[j]);
            }
            assert_null(ln_map_get(&m, item_name(&items[i])));
            err = ln_map_add(&m, &items[i]);
            mem.fail_at = mem.calls + 1;
        }
        assert_int_equal(err, 0);
    }
    assert_int_equal(mem.calls, 4); /* two refused, two given */
    ln_map_fini(&m);
    assert_int_equal(mem.live, 0);
    ln_test_memory_remove();
}

enum { MANY = 3000 };

static size_t walk(const ln_map *m, const item *items) {
    size_t seen = 0;
    uint32_t at = 0;
    for (item *it; (it = ln_map_next(m, &at));) {
        assert_true(it >= items && it < items + MANY && it->in);
        seen++;
    }
    return seen;
}

/* Against a plain array of flags; the phases grow and shrink the table several times. */
static void agrees_with_a_plain_set(void **state) {
    static item items[MANY];
    ln_rand r;
    ln_rand_init_seeded(&r, 7);
    ln_test_memory mem = { 0 };
    ln_test_memory_install(&mem);
    ln_map m;
    ln_map_init(&m, some_key, item_name, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        snprintf(items[i].name, sizeof(items[i].name), "n%u", i);
    uint32_t count = 0;
    for (uint32_t step = 0; step < 60000; step++) {
        bool growing = step / 10000 % 2 == 0;
        item *it = &items[ln_rand_below(&r, MANY)];
        uint64_t calls = mem.calls;
        if (ln_rand_below(&r, 10) < (growing ? 8u : 1u)) {
            assert_int_equal(ln_map_add(&m, it), it->in ? LINNET_ERR_EXISTS : 0);
            count += !it->in;
            it->in = true;
        } else {
            assert_ptr_equal(ln_map_remove(&m, item_name(it)), it->in ? it : NULL);
            count -= it->in;
            it->in = false;
            assert_int_equal(mem.calls, calls); /* removing never allocates */
        }
        item *other = &items[ln_rand_below(&r, MANY)];
        assert_ptr_equal(ln_map_get(&m, item_name(other)), other->in ? other : NULL);
        assert_int_equal(m.count, count);
        assert_true(m.count <= m.capacity / 4 * 3);
        if (step % 1000 == 0) assert_int_equal(walk(&m, items), count);
    }
    for (uint32_t i = 0; i < MANY; i++)
        ln_map_remove(&m, item_name(&items[i]));
    assert_int_equal(m.capacity, 0); /* a large empty table is given back */
    assert_int_equal(mem.live, 0);
    ln_map_fini(&m);
    ln_test_memory_remove();
}

static void shrinks_when_mostly_empty(void **state) {
    static item items[MANY], last = { "last" };
    ln_map m;
    ln_map_init(&m, some_key, item_name, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(items[i].name, sizeof(items[i].name), "s%u", i);
        assert_int_equal(ln_map_add(&m, &items[i]), 0);
    }
    assert_int_equal(m.capacity, 4096);
    for (uint32_t i = 10; i < MANY; i++) {
        assert_ptr_equal(ln_map_remove(&m, item_name(&items[i])), &items[i]);
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ln_map_add(&m, &last), 0);
        assert_ptr_equal(ln_map_remove(&m, LN_SLICE("last")), &last);
    }
    assert_true(m.capacity <= 64);
    for (uint32_t i = 0; i < 10; i++) {
        assert_ptr_equal(ln_map_get(&m, item_name(&items[i])), &items[i]);
    }
    ln_map_fini(&m);
}

static void count_seen(void *ctx, void *value) {
    uint8_t *seen = ctx;
    uint64_t n;
    ln_slice name = item_name(value);
    if (name.data[0] != 's') return;
    ln_slice_skip(&name, 1);
    if (ln_num_u64(name, 99, &n)) seen[n]++;
}

/* Steps with a change between any two: how often each was seen, and how many steps it took. */
static unsigned scan(ln_map *m, uint8_t *seen, void (*change)(ln_map *m, unsigned step)) {
    uint32_t at = 0;
    unsigned steps = 0;
    do {
        ln_map_scan(m, &at, count_seen, seen);
        if (change) change(m, steps);
        steps++;
        assert_in_range(steps, 1, 1000000);
    } while (at);
    return steps;
}

static item comers[MANY];

static void grow(ln_map *m, unsigned step) {
    if (step >= MANY) return;
    snprintf(comers[step].name, sizeof comers[step].name, "c%u", step);
    assert_int_equal(ln_map_add(m, &comers[step]), LINNET_OK);
}

static void shrink(ln_map *m, unsigned step) {
    char name[16];
    for (unsigned i = 40 * step; i < 40 * step + 40 && i < MANY; i++) {
        snprintf(name, sizeof name, "c%u", i);
        ln_map_remove(m, ln_slice_str(name));
    }
    static item mover = { "m" };
    if (m->count < m->max && ln_map_add(m, &mover) == LINNET_OK) /* tables shrink when one comes */
        ln_map_remove(m, item_name(&mover));
}

static void a_scan_misses_nobody_who_stays(void **state) {
    static item items[100];
    const struct {
        const char *why;
        bool crowded; /* with comers, before */
        void (*change)(ln_map *m, unsigned step);
        uint8_t most; /* times that one may be seen */
    } rows[] = {
        { "nothing happens", false, NULL, 1 },
        { "many come", false, grow, 1 },
        { "many go", true, shrink, UINT8_MAX },
    };
    for (size_t r = 0; r < LN_COUNT(rows); r++) {
        uint8_t seen[100] = { 0 };
        ln_map m;
        ln_map_init(&m, some_key, item_name, 4 * MANY);
        for (uint32_t i = 0; i < 100; i++) {
            snprintf(items[i].name, sizeof items[i].name, "s%u", i);
            assert_int_equal(ln_map_add(&m, &items[i]), LINNET_OK);
        }
        for (uint32_t i = 0; rows[r].crowded && i < MANY; i++)
            grow(&m, i);
        uint32_t before = m.capacity;
        scan(&m, seen, rows[r].change);
        assert_int_equal(m.capacity != before, rows[r].change != NULL);
        for (uint32_t i = 0; i < 100; i++)
            if (seen[i] < 1 || seen[i] > rows[r].most)
                fail_msg("%s: %u was seen %u times", rows[r].why, i, seen[i]);
        ln_map_fini(&m);
    }
    ln_map none;
    uint32_t at = 5;
    ln_map_init(&none, some_key, item_name, 1);
    ln_map_scan(&none, &at, count_seen, NULL);
    assert_int_equal(at, 0);
}

/* Hashes that peers know, and can therefore choose names for (THREATS row 80). */
static uint32_t djb2(ln_slice s) {
    uint32_t h = 5381;
    for (size_t i = 0; i < s.size; i++)
        h = h * 33 + s.data[i];
    return h;
}

static uint32_t fnv1a(ln_slice s) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.size; i++)
        h = (h ^ s.data[i]) * 16777619u;
    return h;
}

static uint32_t crc32(ln_slice s) {
    uint32_t h = UINT32_MAX;
    for (size_t i = 0; i < s.size; i++) {
        h ^= s.data[i];
        for (int bit = 0; bit < 8; bit++)
            h = h >> 1 ^ (h & 1 ? 0xedb88320u : 0);
    }
    return ~h;
}

static uint32_t murmur3(ln_slice s) { /* whole words only */
    uint32_t h = 0;
    for (size_t i = 0; i + 4 <= s.size; i += 4) {
        uint32_t k;
        memcpy(&k, s.data + i, 4);
        k *= 0xcc9e2d51u;
        k = (k << 15 | k >> 17) * 0x1b873593u;
        h ^= k;
        h = (h << 13 | h >> 19) * 5 + 0xe6546b64u;
    }
    h ^= (uint32_t)s.size;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

#define CROWD 512u /* names for which the hash would fill one of so many places */

/* How many of CROWD places are hit by names that all hit one under `weak`. */
static unsigned places_hit(uint32_t (*weak)(ln_slice), ln_map_key key) {
    bool hit[CROWD] = { false };
    unsigned found = 0, places = 0;
    for (unsigned n = 0; found < CROWD; n++) {
        char name[16];
        snprintf(name, sizeof name, "name%08x", n);
        ln_slice s = ln_slice_of(name, 12);
        if (weak && weak(s) % CROWD != 7) continue;
        found++;
        bool *place = &hit[ln_siphash(key, s) % CROWD];
        places += !*place;
        *place = true;
    }
    return places;
}

static void names_chosen_to_collide_do_not(void **state) {
    uint32_t (*const weak[])(ln_slice) = { NULL, djb2, fnv1a, crc32, murmur3 };
    ln_rand r;
    ln_rand_init(&r);
    for (size_t i = 0; i < LN_COUNT(weak); i++) {
        ln_map_key key = { ln_rand_u64(&r), ln_rand_u64(&r) };
        /* Balls thrown blindly hit 63 % of the places, 324 give or take 8. */
        assert_in_range(places_hit(weak[i], key), 240, 410);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_agrees_with_another),
        cmocka_unit_test(names_find_their_values),
        cmocka_unit_test(the_maximum_holds),
        cmocka_unit_test(refused_memory_changes_nothing),
        cmocka_unit_test(agrees_with_a_plain_set),
        cmocka_unit_test(shrinks_when_mostly_empty),
        cmocka_unit_test(a_scan_misses_nobody_who_stays),
        cmocka_unit_test(names_chosen_to_collide_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
