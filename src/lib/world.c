#include "lib/world.h"
#include <time.h>

void ln_world_rand(ln_world *world, ln_rand *out) {
    if (!world || !world->seeded)
        ln_rand_init(out);
    else
        ln_rand_init_seeded(out, world->seed++);
}

uint64_t ln_world_wall(const ln_world *world) {
    if (world && world->wall_ms) return world->wall_ms(world->ctx);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t monotonic_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t (*ln_world_clock(const ln_world *world))(void) {
    return world ? NULL : monotonic_us;
}
