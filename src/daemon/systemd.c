#include "daemon/systemd.h"
#include "base/num.h"
#include "daemon/args.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool number(const char *name, uint64_t *out) {
    const char *text = getenv(name);
    return text && ln_num_u64(ln_slice_str(text), INT32_MAX, out);
}

static bool is_listener(int fd) {
    int type = 0, listening = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM) return false;
    size = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

int ln_systemd_sockets(void) {
    uint64_t pid, count;
    bool ours = number("LISTEN_PID", &pid) && number("LISTEN_FDS", &count) &&
                pid == (uint64_t)getpid();
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (!ours) return 0;
    if (count > LN_SYSTEMD_FDS_MAX) {
        ln_say("%u sockets were handed over; at most %d can be served", (unsigned)count,
            LN_SYSTEMD_FDS_MAX);
        return -1;
    }
    for (int fd = LN_SYSTEMD_FD_FIRST; fd < LN_SYSTEMD_FD_FIRST + (int)count; fd++) {
        if (!is_listener(fd)) {
            ln_say("descriptor %d, which was handed over, is no listening stream socket", fd);
            return -1;
        }
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    return (int)count;
}

void ln_systemd_address(int fd, char *out, size_t size) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    } a = { .any.sa_family = AF_UNSPEC };
    socklen_t length = sizeof a;
    char host[INET6_ADDRSTRLEN] = "";
    snprintf(out, size, "unknown");
    if (getsockname(fd, &a.any, &length) < 0) return;
    if (a.any.sa_family == AF_INET && inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof host))
        snprintf(out, size, "%s:%u", host, ntohs(a.v4.sin_port));
    if (a.any.sa_family == AF_INET6 && inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof host))
        snprintf(out, size, "[%s]:%u", host, ntohs(a.v6.sin6_port));
    if (a.any.sa_family == AF_UNIX) {
        bool abstract = a.un.sun_path[0] == 0;
        snprintf(out, size, "unix:%s%s", abstract ? "@" : "", a.un.sun_path + abstract);
    }
}

uint32_t ln_systemd_watchdog_ms(void) {
    uint64_t pid, us;
    bool ours = number("WATCHDOG_USEC", &us) && us >= 1000;
    if (getenv("WATCHDOG_PID"))
        ours = ours && number("WATCHDOG_PID", &pid) && pid == (uint64_t)getpid();
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return ours ? (uint32_t)(us / 1000) : 0;
}

void ln_systemd_notify(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t size = path ? strlen(path) : 0;
    if (!size || size >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) return;
    memcpy(to.sun_path, path, size);
    if (path[0] == '@') to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, length);
    close(fd);
}
