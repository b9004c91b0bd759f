/* What it costs a server when members of a large channel come and go.
 *
 *     members URL PID [MEMBERS [RATE [WATCHERS [SECONDS]]]]
 *                             10,000 members, 1,000 changes a second, 10 watchers, 10 s
 *
 * MEMBERS connections are members of one channel. Then RATE times a second one of them leaves or
 * comes back, in turn, while WATCHERS of another connection each hear of all of it. Prints one line
 * of JSON with the share of a core that the server needed, and the same with nobody coming or
 * going.
 */
#include "clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL "\"channel\":\"crowd:members\""
#define STEP_S  0.01

static crowd w;
static int pid;
static unsigned long joins, leaves;

static unsigned long count(const char *from, const char *to, const char *word) {
    unsigned long n = 0;
    for (; from && (from = strstr(from, word)) != NULL && (!to || from < to); from++)
        n++;
    return n;
}

/* {"type":"presence","channel":..,"joins":[..],"leaves":[..]}, where each member has its client. */
static void pushed(const char *text) {
    const char *j = strstr(text, "\"joins\""), *l = strstr(text, "\"leaves\"");
    joins += count(j, j && l > j ? l : NULL, "\"client\"");
    leaves += count(l, l && j > l ? j : NULL, "\"client\"");
}

static void say(unsigned who, const char *verb, const char *more) {
    char text[160];
    snprintf(text, sizeof text, "{\"type\":\"%s\",\"id\":1," CHANNEL "%s}", verb, more);
    crowd_say(&w, &w.clients[who], text, 1);
}

/* At that rate members leave in turn, and come back half a second later: sooner, and a join and a
 * leave would be told as nothing. */
static unsigned long storm(unsigned members, unsigned rate, double seconds) {
    unsigned long done = 0;
    double begin = now();
    for (double t; (t = now() - begin) < seconds; crowd_turn(&w, STEP_S)) {
        unsigned long due = (unsigned long)(t * rate);
        for (; done < due; done++) {
            unsigned long turn = done / 2, away = rate / 4;
            crowd_wait(&w, 1000);
            if (done % 2 == 0)
                say((unsigned)(turn % members), "unsubscribe", "");
            else if (turn >= away)
                say((unsigned)((turn - away) % members), "subscribe", "");
        }
    }
    crowd_wait(&w, 0);
    return done;
}

int main(int argc, char **argv) {
    pid = (int)argument(argc, argv, 2, 0, 1 << 30);
    if (pid == 0) {
        fputs("usage: members URL PID [MEMBERS [RATE [WATCHERS [SECONDS]]]]\n", stderr);
        return 2;
    }
    unsigned members = argument(argc, argv, 3, 10000, 18000),
             rate = argument(argc, argv, 4, 1000, 100000);
    unsigned watchers = argument(argc, argv, 5, 10, 1000),
             seconds = argument(argc, argv, 6, 10, 600);
    crowd_open(&w, argv[1], members + watchers);
    for (unsigned i = 0; i < members; i++) {
        say(i, "subscribe", "");
        crowd_wait(&w, 1000);
    }
    for (unsigned i = members; i < members + watchers; i++)
        say(i, "subscribe", ",\"presence\":true");
    crowd_wait(&w, 0);
    crowd_turn(&w, 1);

    double before = cpu_of(pid);
    crowd_turn(&w, seconds);
    double quiet = (cpu_of(pid) - before) / seconds;
    joins = leaves = 0;
    w.pushed = pushed;
    before = cpu_of(pid);
    double begin = now();
    unsigned long done = storm(members, rate, seconds);
    double took = now() - begin, busy = (cpu_of(pid) - before) / took;
    crowd_turn(&w, 7); /* those who lost their connection would linger for 5 s */
    printf("{\"members\":%u,\"watchers\":%u,\"changes\":%lu,\"rate\":%.0f,\"core_share\":%.3f,"
           "\"core_share_quiet\":%.3f,\"joins_heard\":%.0f,\"leaves_heard\":%.0f}\n",
        members, watchers, done, (double)done / took, busy, quiet, (double)joins / watchers,
        (double)leaves / watchers);
    crowd_close(&w);
    return 0;
}
