/* names.h -- of many names the first ones in order, byte by byte, each once.
 *
 * They come in any order and again; what is kept never exceeds the limit.
 */
#ifndef LN_LIB_NAMES_H
#define LN_LIB_NAMES_H
#include "base/err.h"
#include "base/slice.h"

#define LN_NAMES_MAX 1000

typedef struct ln_name {
    uint8_t size;
    uint8_t bytes[255];
} ln_name;

typedef struct ln_names {
    ln_name *kept; /* in no order */
    uint32_t count, capacity, limit;
    bool more; /* others came, behind the last one */
    uint16_t order[LN_NAMES_MAX];
} ln_names;

/* limit: 1 to LN_NAMES_MAX. Allocates nothing yet. */
void ln_names_init(ln_names *n, uint32_t limit);
void ln_names_fini(ln_names *n);
/* name: at most 255 bytes; copied. LINNET_ERR_NOMEM: as if it had not come. */
int ln_names_add(ln_names *n, ln_slice name);
/* The i-th in order; good until the next one is added. */
static inline ln_slice ln_names_at(const ln_names *n, uint32_t i) {
    const ln_name *name = &n->kept[n->order[i]];
    return ln_slice_of(name->bytes, name->size);
}
/* < 0: a stands before b; 0: they are the same. */
int ln_names_compare(ln_slice a, ln_slice b);
#endif
