#include "base/testing.h"
#include "daemon/systemd.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each row runs in a child of its own, because descriptor 3 is what it is about. */
typedef struct row {
    const char *why;
    const char *count; /* LISTEN_FDS */
    bool other;        /* LISTEN_PID is somebody else's */
    bool listener;     /* descriptor 3 is a listening socket, else a pipe's end */
    int want;
} row;

static const row rows[] = {
    { "one socket", "1", false, true, 1 },
    { "for another process", "1", true, true, 0 },
    { "none", "0", false, true, 0 },
    { "no number", "one", false, true, 0 },
    { "negative", "-1", false, true, 0 },
    { "something else", "1", false, false, -1 },
    { "a second one that is not open", "2", false, true, -1 },
    { "too many", "33", false, true, -1 },
};

static void make_three(bool listener) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) _exit(99);
    if (listener && listen(fd, 1) < 0) _exit(99);
    if (fd != 3 && dup2(fd, 3) < 0) _exit(99);
    for (int other = 4; other < 40; other++)
        close(other);
}

/* Exit code: the answer + 2, or over 90 for what went wrong around it. */
static void child(const row *r) {
    char pid[16], address[128];
    make_three(r->listener);
    snprintf(pid, sizeof pid, "%d", r->other ? 1 : (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", r->count, 1);
    int got = ln_systemd_sockets();
    if (getenv("LISTEN_FDS") || getenv("LISTEN_PID")) _exit(98);
    if (got == 1) {
        if (!(fcntl(3, F_GETFD) & FD_CLOEXEC)) _exit(97);
        ln_systemd_address(3, address, sizeof address);
        if (strncmp(address, "127.0.0.1:", 10) != 0) _exit(96);
    }
    _exit(got + 2);
}

static void test_sockets(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        fflush(stdout);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) child(&rows[i]);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != rows[i].want + 2)
            fail_msg("%s: %d", rows[i].why, WEXITSTATUS(status));
    }
}

static void test_notify(void **state) {
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    char name[32], got[64];
    int n = snprintf(name, sizeof name, "@linnet-test-%d", (int)getpid());
    memcpy(at.sun_path, name, (size_t)n);
    at.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);

    setenv("NOTIFY_SOCKET", name, 1);
    ln_systemd_notify("READY=1");
    assert_int_equal(recv(fd, got, sizeof got, 0), 7);
    assert_memory_equal(got, "READY=1", 7);

    setenv("NOTIFY_SOCKET", "relative", 1);
    ln_systemd_notify("READY=1");
    unsetenv("NOTIFY_SOCKET");
    ln_systemd_notify("READY=1");
    assert_int_equal(recv(fd, got, sizeof got, 0), -1);
    close(fd);
    setenv("NOTIFY_SOCKET", name, 1);
    ln_systemd_notify("STOPPING=1"); /* nobody is there any more */
    unsetenv("NOTIFY_SOCKET");
}

static void test_addresses(void **state) {
    char text[128];
    struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "\0linnet-test" };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ln_systemd_address(fd, text, sizeof text);
    assert_string_equal(text, "unix:@linnet-test");
    close(fd);
    ln_systemd_address(-1, text, sizeof text);
    assert_string_equal(text, "unknown");
    fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return; /* a machine without IPv6 */
    ln_systemd_address(fd, text, sizeof text);
    assert_string_equal(text, "[::]:0");
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_notify),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
