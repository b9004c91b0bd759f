/* client.h -- one client that behaves as the protocol asks of clients, and logs all of it.
 *
 * It keeps {epoch, offset} of each channel; when its connection is lost it dials again after a
 * random time, at most twice as long as the last, and recovers from there: half of them with a
 * ticket for all channels at once, most others with a ticket and one subscribe after the other.
 * What it publishes has a `seq`, and is sent again as long as it is not answered: in the same
 * session, or when the node has begun anew, and the log in which it might stand is gone with the
 * one before. Who has neither a ticket nor another node does not know what became of it. A hole in
 * the offsets that no skip explains makes it ask again from where it stood. What it hears is
 * written down as it comes, also what it would not give to an application: whether that can be is
 * for others to judge.
 *
 *     WAITING -> DIALLING -> OPEN -> WAITING
 *
 * A client's roles (roles.h) say where it is and what it publishes.
 */
#ifndef HISTORY_CLIENT_H
#define HISTORY_CLIENT_H
#include "base/rand.h"
#include "log.h"
#include <linnet/client.h>
#include <stdbool.h>

#define SEATS_MAX 24 /* channels of a client */
#define PENS_MAX  4
#define SAID_MAX  64 /* what may be unanswered */
#define FILL_MAX  16384

typedef struct crowd { /* what all clients of this process share */
    linnet_loop *loop;
    history_log log;
    ln_rand rand;
    const char *urls[2]; /* straight, and through what cuts */
    uint64_t now;        /* ms, of this turn */
    bool quiet;          /* nobody publishes, leaves or dawdles any more */
    uint32_t resumed;    /* came back with a ticket */
    uint32_t refused;    /* answers and closes that should not have come */
    char fill[FILL_MAX];
} crowd;

typedef struct seat {
    char channel[24];
    char epoch[17];      /* "": no position yet */
    uint64_t at;         /* last offset heard */
    char grant[256];     /* that it may be there; "" */
    uint64_t asked;      /* id of the subscribe that is not answered; 0 */
    uint64_t leaving;    /* of the unsubscribe */
    uint64_t not_before; /* ms: no earlier subscribe */
    bool joined;         /* on this connection */
    bool awaited;        /* it came back with a ticket, and is told of this channel now */
    bool wanted;
    bool presence;
    bool forbidden; /* it is refused, as it should be */
} seat;

typedef struct pen { /* one channel it publishes in, again and again */
    const char *channel;
    uint32_t period_ms, fill; /* bytes beside key and sum, at most */
    bool quietly;             /* does not want to hear it */
    uint64_t due;
    uint64_t done; /* the highest seq that was taken */
    bool broken;   /* one was refused: what is behind it gets other numbers, once all is answered */
} pen;

typedef struct said { /* a publication, until its outcome is known */
    pen *pen;
    uint64_t id;  /* of the command on this connection; 0: is to be sent */
    uint64_t seq; /* 0: has none yet */
    uint64_t number;
    uint32_t opens, fill;
} said;

typedef enum client_state { CLIENT_WAITING, CLIENT_DIALLING, CLIENT_OPEN } client_state;

typedef struct client {
    crowd *crowd;
    linnet_conn *conn;
    client_state state;
    char name[12], id[40];
    uint32_t number, opens, tries;
    uint64_t since;    /* ns, of the dial */
    uint64_t dial_at;  /* ms, while WAITING */
    uint64_t leave_at; /* ms: the server asked to come back later; 0 */
    uint64_t next_id;
    uint64_t resuming;              /* id of the auth with a ticket; 0 */
    uint64_t again_at;              /* ms: no publication earlier */
    char node[40], home[40];        /* that of this connection, of this session */
    char ticket[2048], fresh[2048]; /* the one to come back with; that of this welcome */
    uint32_t seats, pens, waiting;  /* waiting: how many were said and are not known */
    seat seat[SEATS_MAX];
    pen pen[PENS_MAX];
    said said[SAID_MAX]; /* as they came */
    bool through;        /* by the way that cuts */
    bool anew;           /* comes back without its ticket */
    bool resumes;        /* comes back with its ticket to all channels; else it subscribes anew */
    bool churns, slow;   /* roles: comes and goes in its last seats; stops reading now and then */
    uint32_t churning;   /* how many of its seats, from the last */
    uint64_t churn_at, pause_at, resume_at;
} client;

/* What is due: dials, subscribes, publishes, goes. Called every few ms. */
void client_tick(client *c);
/* Drops its connection, in the middle of whatever it is. */
void client_cut(client *c);
/* Open, in every channel it wants, everything answered. */
bool client_settled(const client *c);
/* The lines `here` of its presence. */
void client_here(client *c);
#endif
