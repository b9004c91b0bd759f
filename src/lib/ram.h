/* ram.h -- how much memory there is for us: what defaults in shares of it are taken from.
 *
 * The machine's, or less where a control group (version 1 or 2) says so: the smallest limit of our
 * own group and those around it. Inside a container the path of the group is often that of another
 * view of the tree; then what stands at the root of ours is the container's.
 */
#ifndef LN_LIB_RAM_H
#define LN_LIB_RAM_H
#include "base/slice.h"

/* Bytes; never 0. */
uint64_t ln_ram(void);
/* The same below another root than "" and with another text of /proc/self/cgroup, for tests. */
uint64_t ln_ram_in(const char *root, ln_slice groups, uint64_t machine);
#endif
