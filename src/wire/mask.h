/* mask.h -- XOR with the four-byte key (RFC 6455 5.3), quickly.
 *
 * AVX2, SSE2 or eight bytes at a time, chosen once at run time. Any alignment, any
 * length, any position within the message.
 */
#ifndef LN_WIRE_MASK_H
#define LN_WIRE_MASK_H
#include "base/slice.h"

/* Masks or unmasks in place. `at` is the offset of data[0] in its frame's payload. */
void ln_mask(ln_wslice data, const uint8_t key[4], uint64_t at);
/* The same from one place to another (not overlapping): for senders that must keep the source,
 * and for payload that is gathered. Tells whether every byte written is ASCII. */
bool ln_mask_copy(uint8_t *to, ln_slice from, const uint8_t key[4], uint64_t at);
/* Unmasks in place and tells in the same pass whether every resulting byte is ASCII, so
 * that plain text needs no second look for UTF-8. */
bool ln_unmask_ascii(ln_wslice data, const uint8_t key[4], uint64_t at);

/* For tests and the microbenchmark: one named implementation, 0 scalar, 1 SSE2, 2 AVX2; NULL
 * where this machine has none. Answers whether all bytes are ASCII. */
typedef bool ln_mask_fn(uint8_t *to, const uint8_t *from, size_t size, uint32_t key);
ln_mask_fn *ln_mask_impl(int which);
#endif
