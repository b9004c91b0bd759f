/* clients.h -- many connections to one server in linnet.v1, and what its process uses.
 *
 * All of it is for one thread. What goes wrong is said on stderr and ends the program with 1: a
 * measurement with a hole in it is none.
 */
#ifndef BENCH_CLIENTS_H
#define BENCH_CLIENTS_H
#include <linnet/client.h>
#include <stdbool.h>

typedef struct client {
    linnet_conn *conn;
    unsigned number;
    unsigned waits; /* answers that have not come */
} client;

typedef struct crowd {
    linnet_loop *loop;
    client *clients;
    unsigned count, open, waits;         /* waits: of all clients */
    void (*pushed)(const char *message); /* what is no answer; NULL: nobody cares */
    unsigned long pushes;
    bool over;
} crowd;

/* Dials all of them and waits for their welcome. */
void crowd_open(crowd *w, const char *url, unsigned count);
void crowd_close(crowd *w);
/* Says one text, which asks for so many answers. */
void crowd_say(crowd *w, client *c, const char *text, unsigned answers);
/* Turns until at most so many answers are awaited. */
void crowd_wait(crowd *w, unsigned left);
/* Turns for so long. */
void crowd_turn(crowd *w, double seconds);

/* Of a process: seconds of CPU so far; resident bytes. */
double cpu_of(int pid);
double memory_of(int pid);
double now(void);
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The i-th argument, from 1 to most; otherwise when it is not there. */
unsigned argument(int argc, char **argv, int i, unsigned otherwise, unsigned most);
#endif
