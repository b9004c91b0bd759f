/* Listeners of the kernel's backend: errors of accept, descriptors that run out, options that are
 * inherited, ports and descriptors that are shared, files of Unix sockets. */
#include "net/epoll_test.h"

/* -- accepting ------------------------------------------------------------------------------ */

static void errors_of_one_connection_are_survived(void **state) {
    (void)state;
    static const int errors[] = { EINTR, ECONNABORTED, EPROTO, EPERM, ENETDOWN, EHOSTUNREACH };
    for (size_t i = 0; i < LN_COUNT(errors); i++) {
        fixture f;
        open_with(&f, NULL);
        int fd = dial(&f.at);
        accept_call = (call){ .error = errors[i], .times = 3 };
        turn(&f, 1000);
        assert_int_equal(f.accepted, 1); /* in the same turn, behind the failures */
        assert_int_equal(f.door.refusals, 0);
        close(fd);
        close_all(&f);
    }
}

static void want_of_memory_pauses_the_listener(void **state) {
    (void)state;
    static const int errors[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED };
    for (size_t i = 0; i < LN_COUNT(errors); i++) {
        fixture f;
        open_with(&f, NULL);
        int fd = dial(&f.at);
        accept_call = (call){ .error = errors[i], .times = -1 };
        ln_msec start = ln_loop_now(f.loop);
        int turns = 0;
        while (ln_loop_now(f.loop) < start + 350) {
            turn(&f, 350);
            turns++;
        }
        assert_int_equal(f.accepted, 0);
        assert_true(f.door.since != 0);
        assert_true(f.door.refusals >= 4 && f.door.refusals <= 10);
        assert_true(turns < 30); /* it slept */
        accept_call.times = 0;
        start = ln_loop_now(f.loop);
        UNTIL(&f, f.accepted);
        assert_true(ln_loop_now(f.loop) - start <= 150);
        assert_int_equal(f.door.since, 0);
        close(fd);
        close_all(&f);
    }
}

static uint64_t cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* THREATS row 67, with the real limit. */
static void descriptors_run_out_and_come_back(void **state) {
    (void)state;
    fixture f;
    struct rlimit before, low;
    int dials[20];
    open_with(&f, NULL);
    for (int i = 0; i < 20; i++)
        dials[i] = dial(&f.at);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)dials[19] + 6; /* five descriptors are left */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);

    uint64_t cpu = cpu_us();
    ln_msec start = ln_loop_now(f.loop);
    while (ln_loop_now(f.loop) < start + 500)
        turn(&f, 500);
    assert_int_equal(f.accepted, 5);
    assert_true(cpu_us() - cpu < 25000); /* 5 % of the time */

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    start = ln_loop_now(f.loop);
    UNTIL(&f, f.accepted == 20);
    assert_true(ln_loop_now(f.loop) - start < 1000);
    for (int i = 0; i < 20; i++)
        close(dials[i]);
    close_all(&f);
}

static void a_turn_accepts_a_bounded_number(void **state) {
    (void)state;
    fixture f;
    int dials[150];
    open_with(&f, NULL);
    for (int i = 0; i < 150; i++)
        dials[i] = dial(&f.at);
    turn(&f, 1000);
    assert_int_equal(f.accepted, 64);
    turn(&f, 1000);
    assert_int_equal(f.accepted, 128);
    UNTIL(&f, f.accepted == 150);
    for (int i = 0; i < 150; i++)
        close(dials[i]);
    close_all(&f);
}

static void a_disarmed_listener_waits(void **state) {
    (void)state;
    fixture f;
    open_with(&f, NULL);
    ln_listener_arm(f.loop, &f.door, false);
    ln_listener_arm(f.loop, &f.door, false);
    int fd = dial(&f.at);
    turn(&f, 20);
    assert_int_equal(f.accepted, 0);
    ln_listener_arm(f.loop, &f.door, true);
    UNTIL(&f, f.accepted == 1);
    close(fd);
    /* Disarmed by its owner while starved: time does not arm it again. */
    fd = dial(&f.at);
    accept_call = (call){ .error = EMFILE, .times = 1 };
    UNTIL(&f, f.door.refusals == 1);
    ln_listener_arm(f.loop, &f.door, false);
    turn(&f, 50);
    turn(&f, 50);
    assert_int_equal(f.accepted, 1);
    ln_listener_arm(f.loop, &f.door, true);
    UNTIL(&f, f.accepted == 2);
    close(fd);
    close_all(&f);
}

static void accepted_sockets_inherit_the_options(void **state) {
    (void)state;
    fixture f;
    ln_listen_options options = { .notsent_lowat = 16384, .user_timeout_ms = 30000 };
    open_with(&f, &options);
    int fd = dial(&f.at);
    UNTIL(&f, f.accepted);
    get(f.fds[0], TCP_NODELAY, 1);
    get(f.fds[0], TCP_NOTSENT_LOWAT, 16384);
    get(f.fds[0], TCP_USER_TIMEOUT, 30000);
    close(fd);

    ln_sock sock;
    assert_int_equal(ln_sock_connect(f.loop, &sock, 1, &f.at, NULL), LINNET_OK);
    ln_sock_tune(&sock, 4096, 7000);
    get(sock.fd, TCP_NODELAY, 1);
    get(sock.fd, TCP_NOTSENT_LOWAT, 4096);
    get(sock.fd, TCP_USER_TIMEOUT, 7000);
    UNTIL(&f, f.connected);
    ln_sock_close(f.loop, &sock, false);
    UNTIL(&f, f.closed);
    close_all(&f);
}

static void one_port_for_several(void **state) {
    (void)state;
    fixture f;
    ln_listener second;
    ln_listen_options shared = { .reuse_port = true };
    open_with(&f, &shared);
    assert_int_equal(ln_listen(f.loop, &second, DOOR, &f.at, NULL, NULL), LINNET_ERR_EXISTS);
    assert_int_equal(ln_listen(f.loop, &second, DOOR, &f.at, &shared, NULL), LINNET_OK);
    ln_listener_close(f.loop, &second);
    UNTIL(&f, f.doors_closed == 1);
    close_all(&f);
}

/* Two loops share one listening socket: each connection arrives at one of them. */
static void an_adopted_listener_can_be_shared(void **state) {
    (void)state;
    fixture f, g = { .recv_result = 1 };
    open_with(&f, NULL);
    int copy = fcntl(f.door.sock.fd, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(ln_loop_new(NULL, &g.loop), LINNET_OK);
    assert_int_equal(ln_listen_adopt(g.loop, &g.door, DOOR, copy), LINNET_OK);
    int first = dial(&f.at);
    turn(&g, 1000);
    turn(&f, 0);
    assert_int_equal(g.accepted, 1);
    assert_int_equal(f.accepted, 0);
    int second = dial(&f.at);
    turn(&f, 1000);
    turn(&g, 0);
    assert_int_equal(f.accepted, 1);
    assert_int_equal(g.accepted, 1);
    close(first);
    close(second);
    close_all(&g);
    close_all(&f);
}

/* -- Unix sockets --------------------------------------------------------------------------- */

static ln_addr unix_at(char path[64]) {
    char text[80];
    ln_addr at;
    snprintf(path, 64, "/tmp/linnet-epoll-test-%d.sock", (int)getpid());
    snprintf(text, sizeof text, "unix:%s", path);
    assert_int_equal(ln_addr_parse(ln_slice_str(text), &at), LINNET_OK);
    return at;
}

static void files_of_unix_listeners(void **state) {
    (void)state;
    char path[64];
    struct stat st;
    fixture f;
    ln_listener second;
    ln_sock sock;
    ln_addr at = unix_at(path);
    open_with(&f, NULL);

    /* What is no socket is not touched. */
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd != -1);
    close(fd);
    assert_int_equal(ln_listen(f.loop, &second, DOOR, &at, NULL, NULL), LINNET_ERR_EXISTS);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ln_sock_connect(f.loop, &sock, 1, &at, NULL), LINNET_ERR_CONNECT);

    /* A socket that nobody serves is replaced. */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, &at.sa, at.size), 0);
    close(fd);
    assert_int_equal(ln_sock_connect(f.loop, &sock, 1, &at, NULL), LINNET_ERR_CONNECT);
    assert_int_equal(ln_listen(f.loop, &second, DOOR, &at, NULL, NULL), LINNET_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);

    /* A live one is not. */
    ln_listener third;
    assert_int_equal(ln_listen(f.loop, &third, DOOR, &at, NULL, NULL), LINNET_ERR_EXISTS);
    assert_int_equal(stat(path, &st), 0);

    ln_listener_close(f.loop, &second);
    UNTIL(&f, f.doors_closed == 1);
    assert_int_equal(stat(path, &st), -1);

    ln_listen_options open_to_all = { .unix_mode = 0666 };
    assert_int_equal(ln_listen(f.loop, &second, DOOR, &at, &open_to_all, NULL), LINNET_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);

    /* Somebody put a live socket of his own in its place: it stays. */
    assert_int_equal(unlink(path), 0);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, &at.sa, at.size), 0);
    assert_int_equal(listen(fd, 5), 0);
    ln_listener_close(f.loop, &second);
    UNTIL(&f, f.doors_closed == 2);
    assert_int_equal(stat(path, &st), 0);
    close(fd);
    unlink(path);
    close_all(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_of_one_connection_are_survived),
        cmocka_unit_test(want_of_memory_pauses_the_listener),
        cmocka_unit_test(descriptors_run_out_and_come_back),
        cmocka_unit_test(a_turn_accepts_a_bounded_number),
        cmocka_unit_test(a_disarmed_listener_waits),
        cmocka_unit_test(accepted_sockets_inherit_the_options),
        cmocka_unit_test(one_port_for_several),
        cmocka_unit_test(an_adopted_listener_can_be_shared),
        cmocka_unit_test(files_of_unix_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
