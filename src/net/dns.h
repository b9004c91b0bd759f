/* dns.h -- names to addresses without ever blocking the loop, by c-ares on our loop.
 *
 * Literal addresses and "localhost" (RFC 6761: loopback) answer without the network. Every
 * query ends in exactly one callback, also on cancel, never inside ln_dns_resolve itself.
 */
#ifndef LN_NET_DNS_H
#define LN_NET_DNS_H
#include "net/loop.h"

typedef struct ln_dns ln_dns;
typedef struct ln_dns_query ln_dns_query;
#define LN_DNS_ADDRS_MAX 8

typedef struct ln_dns_options {
    const char *servers; /* "127.0.0.1:5353,[::1]:53"; NULL: the system's */
    uint32_t timeout_ms; /* for the whole query; 0: 5,000 */
    uint8_t timer_kind;  /* tag of its timers in the loop's wheel: give them to ln_dns_timer */
} ln_dns_options;

/* status: LINNET_OK, LINNET_ERR_DNS, LINNET_ERR_TIMEOUT, LINNET_ERR_CANCELLED, LINNET_ERR_NOMEM.
 * Addresses carry the asked port, IPv6 and IPv4 alternating (RFC 8305), borrowed. The query is
 * gone. */
typedef void ln_dns_done(void *user, int status, const ln_addr *addrs, unsigned count);

/* LINNET_ERR_INVAL: malformed servers; LINNET_ERR_DNS, LINNET_ERR_NOMEM. */
int ln_dns_new(ln_loop *loop, const ln_dns_options *options, ln_dns **out);
/* Cancels what is open (their callbacks run). Not inside a callback. */
void ln_dns_free(ln_dns *dns);
/* LINNET_ERR_INVAL for an empty or endless name, LINNET_ERR_LIMIT over 1,024 at once,
 * LINNET_ERR_NOMEM: then no callback comes. *out (NULL allowed) is good until the callback. */
int ln_dns_resolve(ln_dns *dns, const char *host, uint16_t port, ln_dns_done *done, void *user,
    ln_dns_query **out);
/* The callback runs (with CANCELLED) before this returns. */
void ln_dns_cancel(ln_dns_query *query);
/* The owner of the loop hands over LN_C_WATCH completions whose user is this dns, timers of its
 * kind, and calls ln_dns_turn once per turn (delivers what was answered without network). */
void ln_dns_ready(ln_dns *dns, int fd, unsigned events);
void ln_dns_timer(ln_dns *dns, ln_timer *timer);
void ln_dns_turn(ln_dns *dns);
#endif
