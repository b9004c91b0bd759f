/* accept_shim.c -- preloaded under a server: accept4 fails as the kernel might. The first 28
 * calls fail, each error four times in a row, then every third call. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

int accept4(int fd, struct sockaddr *addr, socklen_t *size, int flags) {
    static const int errors[] = { ECONNABORTED, EINTR, EPROTO, ENOBUFS, ENOMEM, EPERM, ENETDOWN };
    static unsigned calls;
    unsigned n = calls++;
    if (n < 28 || n % 3 == 0) {
        errno = errors[n < 28 ? n / 4 : n / 3 % 7];
        return -1;
    }
    int (*real)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
    return real(fd, addr, size, flags);
}
