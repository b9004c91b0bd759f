/* addr.c -- addresses to text and back; numeric only, names are dns.h's affair. */
#include "base/num.h"
#include "net/loop.h"
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

static_assert(INET6_ADDRSTRLEN + sizeof "[]:65535" <= 64, "ln_addr_text's room");

size_t ln_addr_text(const ln_addr *addr, char out[64]) {
    char host[INET6_ADDRSTRLEN] = "?";
    int n;
    switch (addr->sa.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&addr->sa)->sin_addr, host, sizeof host);
        n = snprintf(out, 64, "%s:%u", host, ln_addr_port(addr));
        break;
    case AF_INET6:
        inet_ntop(
            AF_INET6, &((const struct sockaddr_in6 *)&addr->sa)->sin6_addr, host, sizeof host);
        n = snprintf(out, 64, "[%s]:%u", host, ln_addr_port(addr));
        break;
    default: n = snprintf(out, 64, "unix"); break;
    }
    return (size_t)n;
}

bool ln_addr_host(const ln_addr *addr, ln_ip *out) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addr->sa;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&addr->sa;
    if (addr->sa.sa_family == AF_INET)
        *out = ln_ip_of_v4((const uint8_t *)&v4->sin_addr);
    else if (addr->sa.sa_family == AF_INET6)
        *out = ln_ip_of_v6((const uint8_t *)&v6->sin6_addr);
    else
        return false;
    return true;
}

uint16_t ln_addr_port(const ln_addr *addr) {
    switch (addr->sa.sa_family) {
    case AF_INET: return ntohs(((const struct sockaddr_in *)&addr->sa)->sin_port);
    case AF_INET6: return ntohs(((const struct sockaddr_in6 *)&addr->sa)->sin6_port);
    default: return 0;
    }
}

bool ln_addr_ip(ln_slice host, uint16_t port, ln_addr *out) {
    char text[INET6_ADDRSTRLEN];
    if (host.size == 0 || host.size >= sizeof text) return false;
    if (ln_slice_find(host, 0) != SIZE_MAX) return false;
    memcpy(text, host.data, host.size);
    text[host.size] = 0;

    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        out->size = sizeof v4;
        memcpy(&out->storage, &v4, sizeof v4);
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
        out->size = sizeof v6;
        memcpy(&out->storage, &v6, sizeof v6);
        return true;
    }
    return false;
}

static int parse_unix(ln_slice path, ln_addr *out) {
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    if (path.size == 0 || path.size >= sizeof un.sun_path) return LINNET_ERR_INVAL;
    if (ln_slice_find(path, 0) != SIZE_MAX) return LINNET_ERR_INVAL;
    memcpy(un.sun_path, path.data, path.size);

    /* A path counts with its NUL, an abstract name without one, led by one. */
    bool abstract = path.data[0] == '@';
    if (abstract) un.sun_path[0] = 0;
    out->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.size + !abstract);
    memcpy(&out->storage, &un, sizeof un);
    return LINNET_OK;
}

/* Splits at the last colon; a host in brackets loses them and must be IPv6. */
static bool split(ln_slice text, ln_slice *host, ln_slice *port, bool *bracketed) {
    size_t at = text.size;
    while (at > 0 && text.data[at - 1] != ':')
        at--;
    if (at == 0) return false;
    *host = ln_slice_sub(text, 0, at - 1);
    *port = ln_slice_sub(text, at, text.size);
    *bracketed = host->size >= 2 && host->data[0] == '[' && host->data[host->size - 1] == ']';
    if (*bracketed) *host = ln_slice_sub(*host, 1, host->size - 1);
    return true;
}

int ln_addr_parse(ln_slice text, ln_addr *out) {
    if (ln_slice_starts(text, LN_SLICE("unix:")))
        return parse_unix(ln_slice_sub(text, 5, text.size), out);

    uint64_t number;
    ln_slice host, port;
    bool bracketed;
    ln_addr addr;
    if (!split(text, &host, &port, &bracketed)) return LINNET_ERR_INVAL;
    if (!ln_num_u64(port, UINT16_MAX, &number)) return LINNET_ERR_INVAL;
    if (!bracketed && (host.size == 0 || ln_slice_eq_ci(host, LN_SLICE("localhost"))))
        host = LN_SLICE("127.0.0.1");
    if (!ln_addr_ip(host, (uint16_t)number, &addr)) return LINNET_ERR_INVAL;
    if (bracketed != (addr.sa.sa_family == AF_INET6)) return LINNET_ERR_INVAL;
    *out = addr;
    return LINNET_OK;
}
