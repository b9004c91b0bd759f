#include "clients.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DIALS    1000 /* under way at a time: what a listener's backlog takes */
#define SILENT_S 30   /* without any answer: something is wrong */

static crowd *the; /* callbacks of dialling know only the client */

void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One line of a file in /proc. */
static void read_line(int pid, const char *name, char *line, int size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *f = fopen(path, "r");
    if (!f || !fgets(line, size, f)) fail("cannot read %s", path);
    fclose(f);
}

/* The i-th number of a line, where 0 is the first. */
static double field(const char *line, unsigned i) {
    char *next = NULL;
    while (i--)
        line += strcspn(line, " ") + 1;
    unsigned long n = strtoul(line, &next, 10);
    if (next == line) fail("no number in %s", line);
    return (double)n;
}

double cpu_of(int pid) {
    char line[1024];
    read_line(pid, "stat", line, sizeof line);
    const char *name_end = strrchr(line, ')'); /* behind it: state, and user time 11 fields on */
    if (!name_end) fail("what is %s", line);
    double ticks = field(name_end + 2, 11) + field(name_end + 2, 12);
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

double memory_of(int pid) {
    char line[256];
    read_line(pid, "statm", line, sizeof line);
    return field(line, 1) * (double)sysconf(_SC_PAGESIZE);
}

unsigned argument(int argc, char **argv, int i, unsigned otherwise, unsigned most) {
    unsigned long n = argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
    return n == 0 || n > most ? otherwise : (unsigned)n;
}

/* ---- connections --------------------------------------------------------------------------- */

static void on_open(linnet_conn *conn) {
    client *c = linnet_conn_user(conn);
    c->conn = conn;
}

/* Answers and pushes, of which a frame may hold several in an array: each has its type. */
static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    static char text[1 << 20];
    client *c = linnet_conn_user(conn);
    if (opcode != LINNET_TEXT || data.size >= sizeof text)
        fail("a message of %zu bytes", data.size);
    memcpy(text, data.data, data.size);
    text[data.size] = 0;
    if (strstr(text, "\"type\":\"error\"")) fail("the server answered %.300s", text);
    if (strstr(text, "\"type\":\"welcome\"")) the->open++;
    for (const char *at = text; (at = strstr(at, "\"type\":\"ok\"")) != NULL; at++) {
        if (c->waits == 0) fail("an answer that nobody waits for: %.300s", text);
        c->waits--;
        the->waits--;
    }
    uint64_t before = the->pushes;
    for (const char *at = text; (at = strstr(at, "{\"type\":\"")) != NULL; at++)
        if (strncmp(at + 9, "message\"", 8) == 0 || strncmp(at + 9, "presence\"", 9) == 0)
            the->pushes++;
    if (the->pushes == before) return;
    if (the->pushed) the->pushed(text);
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    if (the->over) return;
    const client *c = linnet_conn_user(conn);
    fail("client %u is closed with %u, %.*s, %s", c->number, code, (int)reason.size,
        (const char *)reason.data, linnet_strerror(err));
}

static void on_fail(void *user, int err, int status, const char *words) {
    const client *c = user;
    fail("client %u cannot connect: %d, %d, %s", c->number, err, status, words);
}

static void dial(crowd *w, client *c, const char *url) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    o.subprotocols = protocols;
    o.limits.message_max = 1 << 20;
    o.events = (linnet_conn_events){
        .on_open = on_open, .on_message = on_message, .on_close = on_close
    };
    o.on_fail = on_fail;
    o.user = c;
    if (linnet_client_dial(w->loop, &o, NULL) < 0) fail("cannot dial %s", url);
}

void crowd_open(crowd *w, const char *url, unsigned count) {
    the = w;
    w->count = count;
    w->clients = calloc(count, sizeof *w->clients);
    if (!w->clients || linnet_loop_new(NULL, &w->loop) < 0) fail("out of memory");
    for (unsigned dialled = 0; w->open < count; linnet_loop_turn(w->loop, 1000))
        for (; dialled < count && dialled - w->open < DIALS; dialled++) {
            w->clients[dialled].number = dialled;
            dial(w, &w->clients[dialled], url);
        }
}

void crowd_close(crowd *w) {
    w->over = true;
    linnet_loop_free(w->loop);
    free(w->clients);
}

void crowd_say(crowd *w, client *c, const char *text, unsigned answers) {
    c->waits += answers;
    w->waits += answers;
    int err = linnet_conn_send(c->conn, LINNET_TEXT, linnet_str(text));
    if (err < 0) fail("client %u cannot send: %s", c->number, linnet_strerror(err));
}

void crowd_wait(crowd *w, unsigned left) {
    double since = now();
    for (unsigned before = w->waits; w->waits > left;) {
        linnet_loop_turn(w->loop, 1000);
        if (w->waits != before) since = now();
        before = w->waits;
        if (now() - since > SILENT_S) fail("%u answers do not come", w->waits);
    }
}

void crowd_turn(crowd *w, double seconds) {
    for (double end = now() + seconds, left; (left = end - now()) > 0;)
        linnet_loop_turn(w->loop, (int)(left * 1000) + 1);
}
