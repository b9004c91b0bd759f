/* fault_shim.c -- preloaded under a server: calls of the kernel and of malloc fail when told to.
 *
 * LINNET_FAULTS names a file that is mapped here and by who attacks: `struct faults`, all of it
 * numbers of 64 bits. Nothing fails until somebody writes there, so the same process can be asked
 * again and again.
 *
 *   malloc_at    this allocation from now on fails (1: the next one); counts down to 0
 *   malloc_all   and then all that follow, too
 *   every        of the calls of the kernel about one in so many fails; 0: none
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct faults {
    uint64_t malloc_at, malloc_all, every; /* told */
    uint64_t allocations, refused, live;   /* seen */
    uint64_t calls, failed, seed;
};

static struct faults none, *faults = &none;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *block);

static uint64_t count(uint64_t *what, int64_t by) {
    return __atomic_add_fetch(what, (uint64_t)by, __ATOMIC_RELAXED);
}

static uint64_t told(const uint64_t *what) {
    return __atomic_load_n(what, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void map(void) {
    const char *path = getenv("LINNET_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd == -1) return;
    void *at = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) faults = at;
    close(fd);
}

/* ---- memory ----------------------------------------------------------------------------- */

static int refuses(void) {
    count(&faults->allocations, 1);
    uint64_t at = told(&faults->malloc_at);
    while (at && !__atomic_compare_exchange_n(
                     &faults->malloc_at, &at, at - 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    if (at != 1 && !(at == 0 && told(&faults->malloc_all) == 2)) return 0;
    if (told(&faults->malloc_all)) __atomic_store_n(&faults->malloc_all, 2, __ATOMIC_RELAXED);
    count(&faults->refused, 1);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size) {
    void *block = refuses() ? NULL : __libc_malloc(size);
    if (block) count(&faults->live, 1);
    return block;
}

void *calloc(size_t number, size_t size) {
    void *block = refuses() ? NULL : __libc_calloc(number, size);
    if (block) count(&faults->live, 1);
    return block;
}

void *realloc(void *old, size_t size) {
    if (refuses()) return NULL;
    void *block = __libc_realloc(old, size);
    if (block && !old) count(&faults->live, 1);
    if (!block && old && !size) count(&faults->live, -1);
    return block;
}

void free(void *block) {
    if (block) count(&faults->live, -1);
    __libc_free(block);
}

/* ---- the kernel ------------------------------------------------------------------------- */

static uint64_t dice(void) {
    uint64_t x = count(&faults->seed, (int64_t)0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* 0: it is done as it should be; 1: not at all, with errno; 2: less of it, when there is more than
 * one byte. */
static int strikes(int again) {
    uint64_t every = told(&faults->every), x;
    count(&faults->calls, 1);
    if (!every || (x = dice()) % every) return 0;
    count(&faults->failed, 1);
    switch (x / every % 3) {
    case 0: errno = EINTR; return 1;
    case 1: errno = again ? EAGAIN : EINTR; return 1;
    default: return 2;
    }
}

static size_t less(size_t size) {
    return size > 1 ? 1 + (size_t)(dice() % (size - 1)) : size;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t recv(int fd, void *to, size_t size, int flags) {
    int how = strikes(1);
    return how == 1 ? -1 : REAL(recv)(fd, to, how ? less(size < 64 ? size : 64) : size, flags);
}

ssize_t send(int fd, const void *from, size_t size, int flags) {
    int how = strikes(1);
    return how == 1 ? -1 : REAL(send)(fd, from, how ? less(size) : size, flags);
}

ssize_t read(int fd, void *to, size_t size) {
    int how = strikes(0);
    return how == 1 ? -1 : REAL(read)(fd, to, size == sizeof(uint64_t) || !how ? size : less(size));
}

ssize_t write(int fd, const void *from, size_t size) {
    int how = strikes(0); /* of the 8 bytes of an eventfd there is no half */
    return how == 1 ? -1
                    : REAL(write)(fd, from, size == sizeof(uint64_t) || !how ? size : less(size));
}

int accept4(int fd, struct sockaddr *from, socklen_t *size, int flags) {
    return strikes(1) == 1 ? -1 : REAL(accept4)(fd, from, size, flags);
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout) {
    int how = strikes(0);
    return how == 1 ? -1 : REAL(epoll_wait)(fd, events, how && most > 1 ? 1 : most, timeout);
}
