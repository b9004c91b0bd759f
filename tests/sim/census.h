/* census.h -- whether all believe the same of who is there and which keys live, and whether it is
 * so (I11): what clients have heard, what programs have, and what those say who are there.
 */
#ifndef SIM_CENSUS_H
#define SIM_CENSUS_H
#include "program.h"

/* false: in words. programs: one of each node. */
bool census(const client *clients, uint32_t count, const program *const *programs,
    uint32_t program_count, char *words, size_t size);
#endif
