/* doctor.h -- what `linnet doctor` looks at, as findings: one line each, good or bad, with what to
 * do.
 */
#ifndef LN_CLI_DOCTOR_H
#define LN_CLI_DOCTOR_H
#include "base/buf.h"
#include "daemon/args.h"

typedef enum ln_finding { LN_FINE, LN_WARN, LN_FAIL } ln_finding;

typedef struct ln_doctor {
    bool json;
    unsigned warned, failed;
} ln_doctor;

/* Prints a finding. advice NULL: there is nothing to do. What others have said (words of a peer) is
 * shown without control characters. */
void ln_found(ln_doctor *d, ln_finding how, const char *what, const char *advice,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* doctor_host.c: this machine; proc: "/proc", or a folder that looks like it. */
void ln_doctor_host(ln_doctor *d, const char *proc);
/* Whether a file of secrets is for its owner and group alone, and a file of settings is for nobody
 * else to write. */
void ln_doctor_file(ln_doctor *d, const char *what, const char *path, bool secret);

typedef struct ln_doctor_way {
    const char *url;   /* ws, wss, http or https */
    const char *ca;    /* NULL: the system's */
    const char *token; /* NULL: none */
    uint64_t timeout_s;
} ln_doctor_way;
/* doctor_url.c: the way to a server and what answers there. False: that is no address. */
bool ln_doctor_url(ln_doctor *d, const ln_doctor_way *way);

/* Its parts, for tests. */
typedef struct ln_doctor_target {
    bool tls;
    char host[256], port[8], path[512]; /* an address in brackets has none here */
} ln_doctor_target;
bool ln_doctor_target_of(const char *url, ln_doctor_target *out);
/* What an answer other than 101 to an upgrade means, and what to do. */
const char *ln_doctor_upgrade_advice(int status);
#endif
