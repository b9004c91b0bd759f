/* clock.h -- what a time is. Nobody below net/ reads a clock; `now` is an argument. */
#ifndef LN_BASE_CLOCK_H
#define LN_BASE_CLOCK_H
#include <stdint.h>
typedef uint64_t ln_msec; /* monotonic milliseconds since some start */
#define LN_NEVER UINT64_MAX
#endif
