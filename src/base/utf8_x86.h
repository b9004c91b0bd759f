/* utf8_x86.h -- the vector half of utf8.c, for x86-64 machines that have the instructions.
 * Only utf8.c includes this.
 */
#ifndef LN_BASE_UTF8_X86_H
#define LN_BASE_UTF8_X86_H
#include "base/slice.h"

#if defined(__x86_64__)
#define LN_UTF8_X86      1
#define LN_UTF8_X86_MIN  35  /* bytes: one vector, and three in front of the last one */
#define LN_UTF8_X86_WIDE 256 /* bytes from which 64 at a time are worth it; at least 67 */

/* Whether s, of at least LN_UTF8_X86_MIN bytes, is valid. It begins at a code point and
 * does not end inside one. */
bool ln_utf8_whole_sse(ln_slice s);
bool ln_utf8_whole_avx2(ln_slice s);
/* Needs LN_UTF8_X86_WIDE bytes. */
bool ln_utf8_whole_avx512(ln_slice s);
#endif
#endif
