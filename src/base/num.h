/* num.h -- numbers in and out of text, strictly: no sign, no space, no leading zero
 * (except "0" itself), no overflow.
 */
#ifndef LN_BASE_NUM_H
#define LN_BASE_NUM_H
#include "base/slice.h"

/* Decimal, the whole slice. False leaves *out untouched. */
bool ln_num_u64(ln_slice s, uint64_t max, uint64_t *out);
/* Hexadecimal digits of either case, at most 16, leading zeros allowed. */
bool ln_num_hex(ln_slice s, uint64_t *out);
/* Exactly 16 hexadecimal digits of either case: how epochs and ids stand in texts. */
#define LN_NUM_HEX16 16
bool ln_num_hex16(ln_slice s, uint64_t *out);
void ln_num_hex16_put(uint64_t v, char out[LN_NUM_HEX16]); /* in small letters */
/* Writes decimal digits without NUL and returns how many (1..20). */
size_t ln_num_put(uint64_t v, char out[20]);
/* Sizes and times as people write them: "64", "64k", "1m", "1g" (1024 each). */
bool ln_num_size(ln_slice s, uint64_t *out);
#endif
