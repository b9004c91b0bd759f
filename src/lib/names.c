#include "lib/names.h"
#include "base/mem.h"
#include <assert.h>

int ln_names_compare(ln_slice a, ln_slice b) {
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

void ln_names_init(ln_names *n, uint32_t limit) {
    assert(limit > 0 && limit <= LN_NAMES_MAX);
    *n = (ln_names){ .limit = limit };
}

void ln_names_fini(ln_names *n) {
    ln_free(n->kept);
    n->kept = NULL;
    n->count = n->capacity = 0;
}

/* Where it stands or would stand. */
static uint32_t seek(const ln_names *n, ln_slice name, bool *there) {
    uint32_t low = 0, high = n->count;
    *there = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = ln_names_compare(ln_names_at(n, middle), name);
        if (order == 0) *there = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int make_room(ln_names *n) {
    if (n->count < n->capacity) return LINNET_OK;
    uint32_t capacity = n->capacity ? n->capacity * 2 : 16;
    if (capacity > n->limit) capacity = n->limit;
    ln_name *kept = ln_realloc(n->kept, capacity * sizeof *kept);
    if (!kept) return LINNET_ERR_NOMEM;
    n->kept = kept;
    n->capacity = capacity;
    return LINNET_OK;
}

int ln_names_add(ln_names *n, ln_slice name) {
    bool there;
    assert(name.size <= sizeof n->kept->bytes);
    uint32_t at = seek(n, name, &there);
    if (there) return LINNET_OK;
    bool full = n->count == n->limit;
    if (full) n->more = true;
    if (at == n->limit) return LINNET_OK;
    if (!full && make_room(n) < 0) return LINNET_ERR_NOMEM;
    uint16_t place = full ? n->order[n->count - 1] : (uint16_t)n->count++;
    memmove(n->order + at + 1, n->order + at, (n->count - 1 - at) * sizeof *n->order);
    n->order[at] = place;
    n->kept[place].size = (uint8_t)name.size;
    if (name.size) memcpy(n->kept[place].bytes, name.data, name.size);
    return LINNET_OK;
}
