/* driver.c -- clients by the thousand in one process, which log what they say and hear.
 *
 *     driver URL URL2 CLIENTS SEED FILE
 *
 * URL2 is the way through what cuts. Commands come on stdin, one in a line, and each is answered by
 * a line on stdout when it is done:
 *
 *     cut N      drops the connections of N clients, or of all (N as large as there are)
 *     quiet      nobody publishes, comes, goes or dawdles any more
 *     state      {"settled": how many are open and in all their channels, "lines": ...}
 *     end        writes down who is where, and leaves
 *
 * It leaves too when stdin ends.
 */
#include "base/num.h"
#include "roles.h"
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 10

typedef struct driver {
    crowd crowd;
    client *clients;
    uint32_t count;
    char line[64];
    size_t got;
    bool over;
} driver;

static void cut(driver *d, uint32_t n) {
    for (uint32_t i = 0; i < d->count && n > 0; i++) {
        /* of those that are left, as many as are still to be cut */
        if (ln_rand_below(&d->crowd.rand, d->count - i) >= n) continue;
        client_cut(&d->clients[i]);
        n--;
    }
}

static void state(driver *d) {
    uint32_t settled = 0, heard = 0;
    uint64_t at = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        const client *c = &d->clients[i];
        settled += client_settled(c);
        heard += c->seats;
        for (uint32_t s = 0; s < c->seats; s++)
            at += c->seat[s].at;
    }
    printf("{\"settled\":%u,\"seats\":%u,\"at\":%" PRIu64 ",\"refused\":%u,\"resumed\":%u}\n",
        settled, heard, at, d->crowd.refused, d->crowd.resumed);
}

static void end(driver *d) {
    for (uint32_t i = 0; i < d->count; i++)
        client_here(&d->clients[i]);
    d->over = true;
    puts("{}");
}

static void obey(driver *d, const char *line) {
    uint64_t n = 0;
    if (strncmp(line, "cut ", 4) == 0 && ln_num_u64(ln_slice_str(line + 4), d->count, &n)) {
        cut(d, (uint32_t)n);
        puts("{}");
    } else if (strcmp(line, "quiet") == 0) {
        d->crowd.quiet = true;
        puts("{}");
    } else if (strcmp(line, "state") == 0) {
        state(d);
    } else if (strcmp(line, "end") == 0) {
        end(d);
    } else {
        puts("{\"error\":\"no such command\"}");
    }
    fflush(stdout);
}

static void read_commands(driver *d) {
    struct pollfd in = { .fd = 0, .events = POLLIN };
    while (!d->over && poll(&in, 1, 0) == 1) {
        char byte;
        if (read(0, &byte, 1) != 1) {
            d->over = true;
        } else if (byte == '\n') {
            d->line[d->got] = 0;
            d->got = 0;
            obey(d, d->line);
        } else if (d->got < sizeof d->line - 1) {
            d->line[d->got++] = byte;
        }
    }
}

static void tick(linnet_timer *timer, void *ctx) {
    driver *d = ctx;
    d->crowd.now = linnet_loop_now(d->crowd.loop);
    for (uint32_t i = 0; i < d->count; i++)
        client_tick(&d->clients[i]);
    linnet_timer_set(timer, TICK_MS);
}

static int run(driver *d) {
    linnet_timer *timer;
    int err = linnet_timer_new(d->crowd.loop, tick, d, &timer);
    if (err < 0) return err;
    linnet_timer_set(timer, 1);
    while (err == 0 && !d->over) {
        err = linnet_loop_turn(d->crowd.loop, TICK_MS);
        read_commands(d);
    }
    linnet_timer_free(timer);
    return err;
}

static bool begin(driver *d, char **argv) {
    uint64_t seed, count;
    static char buffer[1 << 20];
    if (!ln_num_u64(ln_slice_str(argv[3]), 19000, &count) || count == 0) return false;
    if (!ln_num_u64(ln_slice_str(argv[4]), UINT64_MAX, &seed)) return false;
    d->count = (uint32_t)count;
    d->crowd.urls[0] = argv[1];
    d->crowd.urls[1] = argv[2];
    ln_rand_init_seeded(&d->crowd.rand, seed);
    memset(d->crowd.fill, 'x', sizeof d->crowd.fill);
    d->crowd.log.file = fopen(argv[5], "we");
    d->clients = calloc(d->count, sizeof *d->clients);
    if (!d->crowd.log.file || !d->clients || linnet_loop_new(NULL, &d->crowd.loop) < 0)
        return false;
    setvbuf(d->crowd.log.file, buffer, _IOFBF, sizeof buffer);
    d->crowd.now = linnet_loop_now(d->crowd.loop);
    for (uint32_t i = 0; i < d->count; i++)
        client_cast(&d->clients[i], &d->crowd, i, d->count);
    return true;
}

int main(int argc, char **argv) {
    static driver d;
    if (argc != 6 || !begin(&d, argv)) {
        fputs("usage: driver URL URL2 CLIENTS SEED FILE\n", stderr);
        return 2;
    }
    int err = run(&d);
    bool written = fclose(d.crowd.log.file) == 0; /* what the end of the loop does is not heard */
    d.crowd.log.file = fopen("/dev/null", "we");
    linnet_loop_free(d.crowd.loop);
    fclose(d.crowd.log.file);
    free(d.clients);
    return err < 0 || !written;
}
