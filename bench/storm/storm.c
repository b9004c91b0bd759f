/* Clients that all come back at once, each with messages to recover.
 *
 *     storm URL [CLIENTS [MISSED [CHANNELS]]]        10,000 clients, 10 messages, 1,000 channels
 *
 * First MISSED messages are published in each channel. Then the clients dial, a bounded number of
 * them under way at a time, and each subscribes to one of the channels with the position before
 * those messages. One is done when its subscribe was answered with recovered:true and it has all of
 * them, in order. Prints one line of JSON; fails when one recovered nothing, or saw a gap.
 */
#include <linnet/client.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DIALS      1000 /* under way at a time: what a listener's backlog takes */
#define PUBLISHERS 100

typedef struct storm {
    linnet_loop *loop;
    const char *url;
    unsigned clients, missed, channels;
    unsigned dialled, waiting, done, published, failed;
    char epochs[4096][17];      /* of the channels */
    unsigned long before[4096]; /* offset of each, before we published */
} storm;

typedef struct client {
    storm *s;
    linnet_conn *conn;
    unsigned number, heard, next; /* next: message to publish */
    bool recovered, over;
} client;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The number behind a key; 0: it is not there. */
static unsigned long number_of(const char *text, const char *key) {
    const char *at = strstr(text, key);
    return at ? strtoul(at + strlen(key), NULL, 10) : 0;
}

static void say(client *c, const char *text) {
    if (linnet_conn_send(c->conn, LINNET_TEXT, linnet_str(text)) < 0) c->s->failed++;
}

/* ---- publishing: each connection has its part of the channels ------------------------------ */

static void publish(client *c) {
    char text[128];
    storm *s = c->s;
    unsigned channel = c->number + c->next / s->missed * PUBLISHERS;
    if (channel >= s->channels) {
        c->over = true;
        linnet_conn_close(c->conn, 1000, NULL);
        return;
    }
    snprintf(text, sizeof text,
        "{\"type\":\"publish\",\"id\":%u,\"channel\":\"storm:%u\",\"data\":{\"n\":%u}}", channel,
        channel, c->next % s->missed);
    c->next++;
    say(c, text);
}

static void take_place(client *c, const char *text) {
    unsigned long channel = number_of(text, "\"re\":");
    const char *epoch = strstr(text, "\"epoch\":\"");
    if (!epoch || channel >= c->s->channels) {
        fprintf(stderr, "storm: %.200s\n", text);
        c->s->failed++;
        return;
    }
    memcpy(c->s->epochs[channel], epoch + 9, 16);
    if ((c->next - 1) % c->s->missed == 0)
        c->s->before[channel] = number_of(text, "\"offset\":") - 1;
    c->s->published++;
    publish(c);
}

/* ---- recovering -------------------------------------------------------------------------------
 */

static void subscribe(client *c) {
    char text[192];
    unsigned channel = c->number % c->s->channels;
    snprintf(text, sizeof text,
        "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"storm:%u\","
        "\"recover\":{\"epoch\":\"%s\",\"offset\":%lu}}",
        channel, c->s->epochs[channel], c->s->before[channel]);
    say(c, text);
}

static void recover(client *c, const char *text) {
    if (strstr(text, "\"type\":\"ok\"")) {
        c->recovered = strstr(text, "\"recovered\":true") != NULL;
        if (!c->recovered) c->s->failed++;
    } else if (strstr(text, "\"replay\":true")) {
        unsigned long offset = c->s->before[c->number % c->s->channels] + ++c->heard;
        if (!c->recovered || number_of(text, "\"offset\":") != offset) c->s->failed++;
        if (c->heard == c->s->missed) c->s->done++;
    } else if (!strstr(text, "\"type\":\"ping\"")) {
        fprintf(stderr, "storm: %.200s\n", text);
        c->s->failed++;
    }
}

/* ---- connections -------------------------------------------------------------------------------
 */

static bool publishes(const client *c) {
    return c->next != UINT32_MAX;
}

static void on_open(linnet_conn *conn) {
    client *c = linnet_conn_user(conn);
    c->conn = conn;
    c->s->waiting--;
}

#define BEGIN "{\"type\":\"" /* of a message; data here has no such key */

/* A frame may hold several messages in an array. */
static void recover_all(client *c, char *text) {
    for (char *next, *at = strstr(text, BEGIN); at; at = next) {
        next = strstr(at + 1, BEGIN);
        if (next) next[-1] = 0; /* the comma */
        recover(c, at);
    }
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    static char text[1 << 16];
    client *c = linnet_conn_user(conn);
    if (opcode != LINNET_TEXT || data.size >= sizeof text) return;
    memcpy(text, data.data, data.size);
    text[data.size] = 0;
    if (strstr(text, "\"type\":\"welcome\"")) {
        if (publishes(c))
            publish(c);
        else
            subscribe(c);
    } else if (publishes(c)) {
        take_place(c, text);
    } else {
        recover_all(c, text);
    }
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    (void)reason;
    client *c = linnet_conn_user(conn);
    c->conn = NULL;
    if (!c->over) {
        fprintf(stderr, "storm: client %u is closed with %u, %s\n", c->number, code,
            linnet_strerror(err));
        c->s->failed++;
    }
}

static void on_fail(void *user, int err, int status, const char *words) {
    client *c = user;
    fprintf(stderr, "storm: client %u cannot connect: %d, %d, %s\n", c->number, err, status, words);
    c->s->waiting--;
    c->s->failed++;
}

static void dial(storm *s, client *c) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = s->url;
    o.subprotocols = protocols;
    o.events = (linnet_conn_events){
        .on_open = on_open, .on_message = on_message, .on_close = on_close
    };
    o.on_fail = on_fail;
    o.user = c;
    c->s = s;
    s->dialled++;
    s->waiting++;
    if (linnet_client_dial(s->loop, &o, NULL) < 0) {
        s->waiting--;
        s->failed++;
    }
}

static void run(storm *s, client *clients, unsigned count, const unsigned *what, unsigned until) {
    s->dialled = 0;
    while (*what < until && !s->failed) {
        while (s->dialled < count && s->waiting < DIALS)
            dial(s, &clients[s->dialled]);
        linnet_loop_turn(s->loop, 1000);
    }
}

static unsigned argument(int argc, char **argv, int i, unsigned otherwise, unsigned most) {
    unsigned long n = argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
    return n == 0 || n > most ? otherwise : (unsigned)n;
}

int main(int argc, char **argv) {
    static storm s;
    if (argc < 2) {
        fputs("usage: storm URL [CLIENTS [MISSED [CHANNELS]]]\n", stderr);
        return 2;
    }
    s.url = argv[1];
    s.clients = argument(argc, argv, 2, 10000, 19000);
    s.missed = argument(argc, argv, 3, 10, 100);
    s.channels = argument(argc, argv, 4, 1000, 4096);
    client *clients = calloc(s.clients + PUBLISHERS, sizeof *clients);
    if (!clients || linnet_loop_new(NULL, &s.loop) < 0) return 1;
    for (unsigned i = 0; i < s.clients + PUBLISHERS; i++) {
        clients[i].number = i < PUBLISHERS ? i : i - PUBLISHERS;
        if (i >= PUBLISHERS) clients[i].next = UINT32_MAX;
    }
    run(&s, clients, PUBLISHERS, &s.published, s.channels * s.missed);
    double begin = now();
    run(&s, clients + PUBLISHERS, s.clients, &s.done, s.clients);
    double took = now() - begin;
    printf("{\"clients\":%u,\"missed\":%u,\"channels\":%u,\"recovered\":%u,\"failed\":%u,"
           "\"seconds\":%.3f}\n",
        s.clients, s.missed, s.channels, s.done, s.failed, took);
    for (unsigned i = 0; i < s.clients + PUBLISHERS; i++)
        clients[i].over = true;
    linnet_loop_free(s.loop);
    free(clients);
    return s.failed || s.done < s.clients;
}
