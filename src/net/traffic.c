/* traffic.c -- what the kernel has counted of a stream. A file of its own, because the headers that
 * know the later fields of tcp_info and those of libc do not go together.
 */
#include "net/backend.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>

bool ln_sock_traffic(const ln_sock *sock, uint64_t *in, uint64_t *out) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (sock->flags & LN_SOCK_LINKED || sock->fd < 0) return false;
    if (getsockopt(sock->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == -1) return false;
    if (size < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
        return false;
    *in = info.tcpi_bytes_received;
    *out = info.tcpi_bytes_acked;
    return true;
}
