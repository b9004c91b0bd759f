/* history.h -- what clients said and heard, and whether it can be true.
 *
 * Clients report as they go; each report is held against all earlier ones, and the first that
 * contradicts them is kept in words. Names of anomalies and what they break:
 *
 *   duplicate             a subscriber gets an offset again                          I2
 *   silent-gap            an offset is left out, and no skip says why                I3
 *   inconsistent-offsets  one (channel, epoch, offset) with two values               I4
 *   double                one publication at two offsets                             I4
 *   reorder               a log contradicts the order of one publisher               I5
 *   phantom               heard, but never said there                                I7
 *   false-fail            refused, but in the log                                    I9
 *   false-ok              answered ok, but with a position that cannot be            I9
 *   wrong-skip            left out, although it was for this subscriber              I3
 *   epoch-lie             another epoch in the same life of a node, or an old one    3.4
 *   recover               an answer that cannot be, or nothing is replayed without need  I6
 *   interleaved           a replay and what is new are not told apart                   I6
 *   late                  a message outside of its subscription                      I12
 *   leak                  said or heard without leave                                I8
 *
 * That all subscribers agree on one order (I5) follows from I3 and I4. Other parts of the
 * simulation add anomalies of their own by history_anomaly().
 */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H
#include <stdbool.h>
#include <stdint.h>

#define HISTORY_CHANNELS 8

typedef struct history history;

typedef struct history_seat { /* one connection in one channel */
    uint64_t epoch, offset;   /* the last one heard */
    uint64_t replay_to;       /* up to here it is a replay; 0: it began as new */
    uint32_t client, life, channel;
    bool joined;
} history_seat;

typedef struct history_saying { /* a publication */
    uint32_t client;
    uint32_t session;       /* of what, its publications stand in their order: a connection's, or
                             * those that a chain of sessions has numbered */
    uint32_t chain;         /* of sessions: a connection, and those that it came back on */
    uint32_t life, channel; /* where: `life` names one run of one node */
    bool quiet;             /* not to its own chain */
    bool is_volatile;
    bool bytes;   /* it is no JSON */
    bool asked;   /* somebody has to say yes before it may be in a log */
    bool changed; /* who said yes wanted it said otherwise */
} history_saying;

history *history_new(void);
void history_free(history *h);

/* Gives the publication its key, from 1 upward; it is in flight from here on. */
uint32_t history_said(history *h, const history_saying *what);
const history_saying *history_of(const history *h, uint32_t key); /* NULL: there is none */
bool history_placed(const history *h, uint32_t key); /* somebody knows where it stands */
/* Somebody has said yes to it; changed: but otherwise. */
void history_allowed(history *h, uint32_t key, bool changed);
void history_acked(history *h, uint32_t key, uint64_t epoch, uint64_t offset);
void history_refused(history *h, uint32_t key);

void history_joined(history *h, history_seat *seat, uint64_t epoch, uint64_t offset);
/* It was in the channel before, heard all up to its `offset`, and is promised so many more up to
 * `head`. */
void history_recovered(
    history *h, history_seat *seat, uint64_t epoch, uint64_t head, uint64_t replay);
/* Somebody has read this from the log. */
void history_read(
    history *h, const history_seat *where, uint64_t epoch, uint32_t key, uint64_t offset);
void history_heard(history *h, history_seat *seat, uint32_t chain, uint32_t key, uint64_t offset);
/* slow: what was left out was not read in time, whatever it is. */
void history_skipped(
    history *h, history_seat *seat, uint32_t chain, uint64_t offset, uint64_t count, bool slow);
/* Whether it has everything of its log that anybody knows of. (Word of what it said quietly itself
 * comes only with the next message.) */
bool history_level(const history *h, const history_seat *seat, uint32_t chain);
/* What one hears who has no offsets, and is in one channel for one connection: a run of its log,
 * from wherever it came in. Its number. */
uint32_t history_run(history *h, uint32_t life, uint32_t channel);
void history_run_heard(history *h, uint32_t run, uint32_t key);
/* Nothing in the log is behind what was heard last, as far as anybody knows. */
bool history_run_level(const history *h, uint32_t run);
/* The order of each publisher, over all logs; and all runs. */
void history_finish(history *h);

uint32_t history_count(const history *h); /* of publications */
__attribute__((format(printf, 3, 4))) void history_anomaly(
    history *h, const char *name, const char *format, ...);
/* The first anomaly, "name: words"; NULL: none. */
const char *history_words(const history *h);
#endif
