/* What channels and subscriptions cost a server in memory, and whether many of them make a
 * publication dearer.
 *
 *     crowd URL PID [CONNECTIONS [CHANNELS [SUBSCRIPTIONS [HISTORY [NAMESPACE]]]]]
 *                             10,000 connections, 100,000 channels, 1,000,000 subscriptions, 10,
 * crowd
 *
 * In steps, with the server's resident memory after each: the connections; the channels, each with
 * one subscriber; HISTORY publications of PAYLOAD bytes in each; all other subscriptions. In
 * between as many publications go to a thousand channels, once while there are no others and once
 * when all are there; what those keep is no part of the figures. Prints one line of JSON. PID is
 * the server's.
 */
#include "clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD   20   /* bytes of data, a JSON string with its quotes */
#define BATCH     50   /* commands in a text */
#define FEW       1000 /* channels that are published to for comparison */
#define TIMES     100  /* publications in each of them */
#define UNDER_WAY 2000

static crowd w;
static int pid;
static unsigned channels;
static const char *namespace = "crowd";

/* One text with commands, at most BATCH of them. */
typedef struct batch {
    char text[BATCH * 128];
    size_t size;
    unsigned count;
} batch;

static void flush(batch *b, client *c) {
    if (b->count == 0) return;
    b->text[b->size++] = ']';
    b->text[b->size] = 0;
    crowd_say(&w, c, b->text, b->count);
    b->size = b->count = 0;
    crowd_wait(&w, UNDER_WAY);
}

static void add(batch *b, client *c, const char *verb, unsigned channel, const char *more) {
    b->text[b->size] = b->count ? ',' : '[';
    b->size++;
    b->size += (size_t)snprintf(b->text + b->size, sizeof b->text - b->size,
        "{\"type\":\"%s\",\"id\":%u,\"channel\":\"%s:%u\"%s}", verb, b->count + 1, namespace,
        channel, more);
    if (++b->count == BATCH) flush(b, c);
}

/* The channels that a client follows: a run of them, wherever it begins. */
static void subscribe(unsigned client_number, unsigned first, unsigned count) {
    batch b = { .size = 0 };
    client *c = &w.clients[client_number];
    for (unsigned i = 0; i < count; i++)
        add(&b, c, "subscribe", (first + i) % channels, "");
    flush(&b, c);
}

/* So many to each of so many channels; seconds of the server's CPU for one. */
static double publish(unsigned to, unsigned times) {
    double before = cpu_of(pid);
    unsigned at = 0;
    for (unsigned n = 0; n < times; n++)
        for (unsigned channel = 0; channel < to;) {
            batch b = { .size = 0 };
            client *c = &w.clients[at++ % w.count];
            for (unsigned i = 0; i < BATCH && channel < to; i++, channel++)
                add(&b, c, "publish", channel, ",\"data\":\"eighteen bytes now\"");
            flush(&b, c);
        }
    crowd_wait(&w, 0);
    return (cpu_of(pid) - before) / ((double)to * times);
}

static double settle(void) {
    crowd_wait(&w, 0);
    crowd_turn(&w, 1); /* what the rush needed is given back */
    return memory_of(pid);
}

int main(int argc, char **argv) {
    pid = (int)argument(argc, argv, 2, 0, 1 << 30);
    if (pid == 0) {
        fputs(
            "usage: crowd URL PID [CONNECTIONS [CHANNELS [SUBSCRIPTIONS [HISTORY [NAMESPACE]]]]]\n",
            stderr);
        return 2;
    }
    unsigned connections = argument(argc, argv, 3, 10000, 19000);
    channels = argument(argc, argv, 4, 100000, 10000000);
    unsigned subscriptions = argument(argc, argv, 5, 1000000, 100000000);
    unsigned history = argument(argc, argv, 6, 10, 1000);
    if (argc > 7) namespace = argv[7];
    unsigned each = channels / connections, more = (subscriptions - channels) / connections;
    unsigned few = FEW < channels ? FEW : channels;
    if (each == 0 || subscriptions < channels)
        fail("less channels than connections, or subscriptions than channels");
    channels = each * connections;
    few = few / each * each;
    if (channels <= few) fail("not more than the %u channels that are published to first", few);

    double empty = memory_of(pid);
    crowd_open(&w, argv[1], connections);
    double opened = settle();
    for (unsigned i = 0; i < few / each; i++)
        subscribe(i, i * each, each);
    double alone = publish(few, TIMES), said = settle(); /* they have a history from now on */
    for (unsigned i = few / each; i < connections; i++)
        subscribe(i, i * each, each);
    double open_channels = settle();
    double all = publish(channels, history);
    double kept = settle();
    double among = publish(few, TIMES);
    double before = settle();
    for (unsigned i = 0; i < connections; i++)
        subscribe(i, (i + 1) * each, more);
    double subscribed = settle();

    printf("{\"namespace\":\"%s\",\"connections\":%u,\"channels\":%u,\"subscriptions\":%u,"
           "\"history\":%u,\"payload\":%d,"
           "\"bytes_per_connection\":%.0f,\"bytes_per_channel_with_a_subscriber\":%.0f,"
           "\"bytes_per_publication\":%.0f,\"bytes_per_subscription\":%.0f,\"resident_mib\":%.0f,"
           "\"publish_us\":{\"few_channels\":%.2f,\"few_of_many\":%.2f,\"all_of_many\":%.2f}}\n",
        namespace, connections, channels, channels + more * connections, history, PAYLOAD,
        (opened - empty) / connections, (open_channels - said) / (channels - few),
        (kept - open_channels) / ((double)(channels - few) * history),
        (subscribed - before) / ((double)more * connections), subscribed / (1 << 20), alone * 1e6,
        among * 1e6, all * 1e6);
    crowd_close(&w);
    return 0;
}
