/* map.h -- names to pointers: open addressing over SipHash with a secret key, so
 * that a peer who chooses the names cannot choose the collisions (THREATS row 80).
 *
 * The map borrows its keys: each value holds its own name and the map reads it
 * through `key_of`. One pointer and 32 bits of hash per slot, load at most 3/4, and
 * a maximum. Removing never allocates, so a mostly empty table shrinks at the next
 * add, and a large one is given back when its last value goes.
 */
#ifndef LN_BASE_MAP_H
#define LN_BASE_MAP_H
#include "base/err.h"
#include "base/slice.h"

typedef struct ln_map_key { /* from ln_rand, one per node */
    uint64_t k0, k1;
} ln_map_key;

typedef ln_slice ln_map_key_of(const void *value);

typedef struct ln_map {
    ln_map_key_of *key_of;
    ln_map_key key;
    void **values;    /* NULL: free; one block with the hashes behind it */
    uint32_t *hashes; /* parallel */
    uint32_t count, capacity, max;
} ln_map;

/* Empty; allocates nothing yet. max: values at most. */
void ln_map_init(ln_map *m, ln_map_key key, ln_map_key_of *key_of, uint32_t max);
/* Frees the table, not the values. */
void ln_map_fini(ln_map *m);
/* SipHash-1-3 of the bytes. */
uint64_t ln_siphash(ln_map_key key, ln_slice s);
/* The value with that name, or NULL. */
void *ln_map_get(const ln_map *m, ln_slice name);
/* Adds a value under its own name. LINNET_ERR_EXISTS, LINNET_ERR_LIMIT, LINNET_ERR_NOMEM: nothing
 * changed. */
int ln_map_add(ln_map *m, void *value);
/* Removes and returns the value with that name, or NULL. Never allocates or fails. */
void *ln_map_remove(ln_map *m, ln_slice name);
/* Walks all: start with *at = 0; NULL at the end. Nothing may be added or removed meanwhile. */
void *ln_map_next(const ln_map *m, uint32_t *at);
/* Walks all in small steps, between which anything may be added or removed: start with *at = 0, and
 * again until it is 0. Each step sees the few values that belong to one slot, or none. What is
 * there the whole time is seen; twice, when the table shrank meanwhile. see must not add or remove.
 */
void ln_map_scan(const ln_map *m, uint32_t *at, void (*see)(void *ctx, void *value), void *ctx);
#endif
