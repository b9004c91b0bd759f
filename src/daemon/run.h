/* run.h -- the life of a server process: listen, say so, serve until a signal.
 *
 *   TERM   drains: no new connections, those that are there are closed, within the drain time
 *   TERM again, INT   the end, now
 *   HUP    `reload` is called; without one certificates are read again
 *
 * Signals are waited for by a thread of their own, so that no handler ever runs.
 */
#ifndef LN_DAEMON_RUN_H
#define LN_DAEMON_RUN_H
#include "daemon/args.h"
#include <linnet/server.h>

#define LN_RUN_ADDRESSES_MAX 96 /* handed over, of a list, and with words of their own */

typedef struct ln_addresses { /* as they were bound: "127.0.0.1:8080", "unix:/run/door" */
    char text[LN_RUN_ADDRESSES_MAX][128];
    bool tls[LN_RUN_ADDRESSES_MAX];
    size_t count;
} ln_addresses;

typedef struct ln_run_door { /* an address that says for itself whether it is TLS */
    const char *address;
    const char *cert, *key, *client_ca; /* all NULL: plain */
} ln_run_door;

typedef struct ln_run_name { /* another certificate, for a name, at every TLS listener */
    const char *name, *cert, *key;
} ln_run_name;

typedef struct ln_run {
    linnet_server *server;
    const ln_arg_list *addresses;
    const char *cert, *key; /* both or neither */
    const char *client_ca;  /* NULL: clients show no certificates */
    const ln_run_door *doors;
    size_t door_count;
    const ln_run_name *names;
    size_t name_count;
    bool proxy_protocol;   /* connections begin with a PROXY header, on every address */
    bool systemd;          /* sockets that were handed over are served too; the manager is told */
    const char *otherwise; /* the address when there is none at all; NULL */
    uint16_t drain_code;   /* of a graceful end; 0: 1012 */
    /* Asked when all is bound and before anybody is served; NULL: yes. -1 to go on, else the exit
     * code. */
    int (*may)(const ln_addresses *bound, void *ctx);
    /* Called when it serves and has said so. NULL: nothing. */
    void (*ready)(const ln_addresses *bound, void *ctx);
    /* Called at HUP, by the thread that waits for signals. NULL: certificates are read again. */
    void (*reload)(void *ctx);
    void *ctx;
} ln_run;

/* Prints one flushed "listening on URL" line per address on stdout. Returns the exit code: 0 after
 * TERM, 130 after INT, 1 when it could not listen or run, 2 for an address that is none. */
int ln_run_until_signal(const ln_run *run);
/* Whether an address can be reached from this machine only. */
bool ln_address_is_local(const char *bound);
#endif
