/* sized.h -- public structs that begin with their own size.
 *
 * They grow at their end only, and a new field that is zero means what was before it came. So a
 * program that was built with a later header may hand us a larger one, as long as what we do not
 * know in it is zero. (One day a smaller one too, from the day on that one of them has grown; until
 * then it is a mistake.) What lies inside another struct cannot grow: limits and events.
 */
#ifndef LN_LIB_SIZED_H
#define LN_LIB_SIZED_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LN_SIZED_MAX 4096 /* more is no struct of ours, but memory that was never initialised */

static inline bool ln_sized(const void *options, size_t known) {
    const uint8_t *bytes = options;
    size_t size = *(const size_t *)options; /* their first member */
    if (size < known || size > LN_SIZED_MAX) return false;
    for (size_t i = known; i < size; i++)
        if (bytes[i]) return false;
    return true;
}
#endif
