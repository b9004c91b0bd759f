/* memory.h -- where the memory of a worker is, by purpose, for whoever asks from another thread.
 *
 * What is not counted where it changes is looked at once per turn and written down here. Estimates:
 * objects times their size and tables by their room, without what the allocator adds.
 */
#ifndef LN_LIB_MEMORY_H
#define LN_LIB_MEMORY_H
#include "base/stat.h"

struct linnet_loop;

typedef struct ln_memory_told {
    ln_stat connections, blocks, presence, compression, tables;
    ln_stat declined; /* WebSockets that were to have windows, and there was no memory */
} ln_memory_told;

/* At the end of each turn. */
void ln_memory_turn(struct linnet_loop *w);
#endif
