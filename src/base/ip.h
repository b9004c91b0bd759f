/* ip.h -- addresses of hosts, and networks they lie in.
 *
 * One form for both families: sixteen bytes, in which IPv4 is ::ffff:a.b.c.d. So an IPv4 address
 * that came over an IPv6 socket is the same address, and one comparison does for all. Text is
 * numeric and strict: no zone, no leading zeros, no name.
 */
#ifndef LN_BASE_IP_H
#define LN_BASE_IP_H
#include "base/slice.h"

typedef struct ln_ip {
    uint8_t bytes[16];
} ln_ip;

#define LN_IP_TEXT 46 /* with its NUL */

/* "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1" (which is the first kind). False leaves *out
 * untouched. */
bool ln_ip_parse(ln_slice text, ln_ip *out);
/* As people write it, IPv4 as IPv4. Returns the length without the NUL. */
size_t ln_ip_text(const ln_ip *ip, char out[LN_IP_TEXT]);
ln_ip ln_ip_of_v4(const uint8_t bytes[4]);
ln_ip ln_ip_of_v6(const uint8_t bytes[16]);
bool ln_ip_is_v4(const ln_ip *ip);
bool ln_ip_is_loopback(const ln_ip *ip);

static inline bool ln_ip_eq(const ln_ip *a, const ln_ip *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* Whom a limit per address means: an IPv4 address itself, and of IPv6 the /64, because whoever has
 * one address there has all of them (THREATS row 84). */
ln_ip ln_ip_subscriber(const ln_ip *ip);

/* A network: the first `bits` of an address. */
typedef struct ln_cidr {
    ln_ip ip;
    uint8_t bits; /* of the sixteen bytes: an IPv4 network has 96 to 128 */
} ln_cidr;

/* "10.0.0.0/8", "2001:db8::/32", or an address alone. Bits behind the prefix must be 0: who writes
 * 10.0.0.1/8 means one or the other. False leaves *out untouched. */
bool ln_cidr_parse(ln_slice text, ln_cidr *out);
bool ln_cidr_has(const ln_cidr *net, const ln_ip *ip);
/* Whether one of them has it. */
bool ln_cidrs_have(const ln_cidr *nets, size_t count, const ln_ip *ip);
#endif
