/* proxy.h -- who a proxy says its visitor is: the PROXY protocol's header, versions 1 and 2, in
 * front of everything else on a connection.
 *
 * Bytes in, values out. Whether the one who says it is to be believed is the caller's to know: a
 * header from just anybody is a lie waiting to happen, so it is never looked for by itself.
 *
 *   version 1   PROXY TCP4 192.0.2.7 192.0.2.1 50000 443 CRLF        at most 107 bytes
 *   version 2   signature[12] | 2,command | family,protocol | length[2] | addresses | TLVs
 *
 * Strict: what the specification leaves to the reader is refused. LOCAL, UNKNOWN, UNSPEC and
 * addresses of Unix sockets name nobody, then the socket's own peer counts. Of the TLVs CRC32C is
 * checked, SSL says whether the visitor spoke TLS to the proxy, AUTHORITY is the name he asked
 * for; the others must fit, and are passed over.
 */
#ifndef LN_WIRE_PROXY_H
#define LN_WIRE_PROXY_H
#include "base/err.h"
#include "base/ip.h"

#define LN_PROXY_MAX 4096 /* bytes of a header; the specification would allow 65,551 */

typedef struct ln_proxy {
    ln_ip from, to;
    uint16_t from_port, to_port;
    bool known;         /* the four above are meaningful */
    bool tls;           /* the visitor spoke TLS to the proxy */
    ln_slice authority; /* borrows from the input; empty: not told */
} ln_proxy;

/* Reads a header from the front of *in, which holds all of it that has arrived.
 *
 *   LN_DONE            *out is filled and *in starts behind it
 *   LN_MORE            not complete; come again with the same bytes and more; *in is untouched
 *   LINNET_ERR_PROXY   it is none, and no more bytes would make it one: close
 */
int ln_proxy_read(ln_slice *in, ln_proxy *out);
#endif
