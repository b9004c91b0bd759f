/* What only the kernel's backend has: its errors, its descriptors, its system calls. */
#include "net/epoll_test.h"

/* -- receiving and sending ------------------------------------------------------------------ */

static void say(int fd, const char *text) {
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void an_interrupted_or_empty_or_short_recv(void **state) {
    (void)state;
    static const call rows[] = {
        { .error = EINTR, .times = 2 },
        { .error = EAGAIN, .times = 2 },
        { .error = ENOMEM, .times = 2 },
        { .most = 1 },
        { .most = 3 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        fixture f;
        ln_sock sock;
        open_with(&f, NULL);
        int fd = pair(&f, &sock);
        assert_int_equal(ln_sock_recv_start(f.loop, &sock), LINNET_OK);
        recv_call = rows[i];
        say(fd, "all of this");
        UNTIL(&f, f.received == 11);
        assert_memory_equal(f.last, "all of this", 11);
        assert_int_equal(f.recv_result > 0, 1);
        recv_call = (call){ .error = ECONNRESET, .times = 1 };
        say(fd, "x");
        UNTIL(&f, f.recv_result <= 0);
        assert_int_equal(f.recv_result, LINNET_ERR_RESET);
        end_pair(&f, &sock, fd);
        close_all(&f);
    }
}

static void an_interrupted_or_refused_or_short_send(void **state) {
    (void)state;
    static const struct {
        call c;
        int answer;
    } rows[] = {
        { { .error = EINTR, .times = 2 }, LN_DONE },
        { { .error = EAGAIN, .times = 2 }, LN_PENDING },
        { { .error = ENOBUFS, .times = 2 }, LN_PENDING },
        { { .error = ENOMEM, .times = 1 }, LN_PENDING },
        { { .most = 1 }, LN_PENDING },
        { { .most = 4 }, LN_PENDING },
        { { .error = EPIPE, .times = 1 }, LINNET_ERR_RESET },
        { { .error = ETIMEDOUT, .times = 1 }, LINNET_ERR_RESET },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        fixture f;
        ln_sock sock;
        char text[12] = { 0 };
        open_with(&f, NULL);
        int fd = pair(&f, &sock);
        send_call = rows[i].c;
        assert_int_equal(ln_sock_send(f.loop, &sock, LN_SLICE("all of this")), rows[i].answer);
        if (rows[i].answer == LN_PENDING) UNTIL(&f, f.sent);
        assert_int_equal(f.sent_result, LINNET_OK);
        if (rows[i].answer >= 0) {
            assert_int_equal(recv(fd, text, 11, MSG_WAITALL), 11);
            assert_string_equal(text, "all of this");
        }
        end_pair(&f, &sock, fd);
        assert_int_equal(f.sent, rows[i].answer == LN_PENDING);
        close_all(&f);
    }
}

static void a_pending_send_fails_later(void **state) {
    (void)state;
    fixture f;
    ln_sock sock;
    open_with(&f, NULL);
    int fd = pair(&f, &sock);
    send_call = (call){ .error = EAGAIN, .times = 1 };
    assert_int_equal(ln_sock_send(f.loop, &sock, LN_SLICE("x")), LN_PENDING);
    send_call = (call){ .error = ECONNRESET, .times = 1 };
    UNTIL(&f, f.sent);
    assert_int_equal(f.sent_result, LINNET_ERR_RESET);
    end_pair(&f, &sock, fd);
    assert_int_equal(f.sent, 1);
    close_all(&f);
}

static void the_kernel_refuses_to_watch(void **state) {
    (void)state;
    fixture f;
    ln_sock sock;
    open_with(&f, NULL);
    int fd = pair(&f, &sock);
    ctl_call = (call){ .error = ENOMEM, .times = 1 };
    assert_int_equal(ln_sock_recv_start(f.loop, &sock), LINNET_ERR_NOMEM);
    ctl_call = (call){ .error = ENOSPC, .times = 1 };
    assert_int_equal(ln_sock_recv_start(f.loop, &sock), LINNET_ERR_SYS);
    ctl_call = (call){ .error = ENOMEM, .times = 1 };
    send_call = (call){ .error = EAGAIN, .times = 1 };
    assert_int_equal(ln_sock_send(f.loop, &sock, LN_SLICE("x")), LINNET_ERR_NOMEM);
    ctl_call = (call){ .error = ENOMEM, .times = 1 };
    ln_sock other;
    assert_int_equal(ln_sock_connect(f.loop, &other, 1, &f.at, NULL), LINNET_ERR_NOMEM);
    assert_int_equal(ln_sock_recv_start(f.loop, &sock), LINNET_OK);
    say(fd, "well");
    UNTIL(&f, f.received == 4);
    end_pair(&f, &sock, fd);
    assert_int_equal(f.sent, 0);
    close_all(&f);
}

static void an_interrupted_wait_is_an_empty_turn(void **state) {
    (void)state;
    fixture f;
    ln_completion c;
    open_with(&f, NULL);
    wait_call = (call){ .error = EINTR, .times = 1 };
    assert_int_equal(ln_loop_wait(f.loop, LN_NEVER), LINNET_OK);
    assert_false(ln_loop_next(f.loop, &c));
    wait_call = (call){ .error = EBADF, .times = 1 };
    assert_int_equal(ln_loop_wait(f.loop, LN_NEVER), LINNET_ERR_SYS);
    close_all(&f);
}

/* What an echo costs: one wait, one recv, one send, and nothing else. */
static void an_echo_is_three_system_calls(void **state) {
    (void)state;
    fixture f;
    ln_sock sock;
    char text[5];
    open_with(&f, NULL);
    int fd = pair(&f, &sock);
    assert_int_equal(ln_sock_recv_start(f.loop, &sock), LINNET_OK);
    turn(&f, 1);
    honest();
    for (int i = 0; i < 100; i++) {
        say(fd, "hello");
        turn(&f, 1000);
        assert_int_equal(ln_sock_recv_pause(f.loop, &sock), LINNET_OK);
        assert_int_equal(ln_sock_recv_start(f.loop, &sock), LINNET_OK);
        assert_int_equal(ln_sock_send(f.loop, &sock, LN_SLICE("hello")), LN_DONE);
        assert_int_equal(read(fd, text, 5), 5);
    }
    assert_int_equal(wait_call.count, 100);
    assert_int_equal(recv_call.count, 100);
    assert_int_equal(send_call.count, 100);
    assert_int_equal(ctl_call.count, 0);
    end_pair(&f, &sock, fd);
    close_all(&f);
}

/* Whoever is accepted is looked at in the same turn, because mostly something has come already. */
static void a_guest_is_heard_in_the_turn_he_comes(void **state) {
    (void)state;
    static const struct {
        const char *why, *says;
        bool leaves, rude;
        int recvs, received, result;
    } rows[] = {
        { "he has spoken", "hello", false, false, 1, 5, 5 },
        { "he says nothing yet", "", false, false, 1, 0, 1 },
        { "he has gone again", "", true, false, 1, 0, 0 },
        { "he was shown the door", "hello", false, true, 0, 0, 1 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        fixture f;
        ln_sock sock;
        open_with(&f, NULL);
        f.guest = &sock;
        f.rude = rows[i].rude;
        int fd = dial(&f.at);
        if (rows[i].says[0]) say(fd, rows[i].says);
        if (rows[i].leaves) shutdown(fd, SHUT_WR);
        honest();
        turn(&f, 1000);
        if (recv_call.count != rows[i].recvs || (int)f.received != rows[i].received ||
            f.recv_result != rows[i].result)
            fail_msg("%s: %d recvs, %zu bytes, %d", rows[i].why, recv_call.count, f.received,
                f.recv_result);
        assert_int_equal(f.closed, rows[i].rude);
        if (!rows[i].rude) {
            if (!rows[i].leaves) {
                size_t before = f.received;
                say(fd, "again");
                UNTIL(&f, f.received == before + 5);
            }
            end_pair(&f, &sock, fd);
        } else {
            close(fd);
        }
        close_all(&f);
    }
}

/* -- connecting ----------------------------------------------------------------------------- */

static void a_refused_connect_is_told(void **state) {
    (void)state;
    fixture f;
    ln_sock sock;
    open_with(&f, NULL);
    ln_addr nobody = f.at;
    ln_listener_close(f.loop, &f.door);
    UNTIL(&f, f.doors_closed);
    assert_int_equal(ln_sock_connect(f.loop, &sock, 1, &nobody, NULL), LINNET_OK);
    UNTIL(&f, f.connected);
    assert_int_equal(f.connect_result, LINNET_ERR_CONNECT);
    turn(&f, 20); /* told once, and it does not spin */
    assert_int_equal(f.connected, 1);
    ln_sock_close(f.loop, &sock, false);
    UNTIL(&f, f.closed == 1);

    /* Closed while connecting: CLOSED is all that comes. */
    assert_int_equal(ln_sock_connect(f.loop, &sock, 1, &nobody, NULL), LINNET_OK);
    ln_sock_close(f.loop, &sock, false);
    UNTIL(&f, f.closed == 2);
    assert_int_equal(f.connected, 1);
    ln_loop_free(f.loop);
}

static void from_another_source_address(void **state) {
    (void)state;
    fixture f;
    ln_sock sock;
    ln_addr from, peer;
    char text[64];
    open_with(&f, NULL);
    assert_int_equal(ln_addr_parse(LN_SLICE("127.0.0.77:0"), &from), LINNET_OK);
    assert_int_equal(ln_sock_connect(f.loop, &sock, 1, &f.at, &from), LINNET_OK);
    UNTIL(&f, f.accepted && f.connected);
    peer.size = sizeof peer.storage;
    assert_int_equal(getpeername(f.fds[0], &peer.sa, &peer.size), 0);
    ln_addr_text(&peer, text);
    assert_int_equal(strncmp(text, "127.0.0.77:", 11), 0);
    ln_sock_close(f.loop, &sock, false);
    UNTIL(&f, f.closed);
    close_all(&f);
}

/* -- descriptors that leave, and stale events ----------------------------------------------- */

static void released_in_the_middle_of_a_batch(void **state) {
    (void)state;
    fixture f;
    ln_sock *socks[2];
    int fds[2], released = -1;
    open_with(&f, NULL);
    for (int i = 0; i < 2; i++) {
        socks[i] = malloc(sizeof *socks[i]);
        assert_non_null(socks[i]);
        fds[i] = pair(&f, socks[i]);
        assert_int_equal(ln_sock_recv_start(f.loop, socks[i]), LINNET_OK);
    }
    turn(&f, 1);
    say(fds[0], "x");
    say(fds[1], "x");
    ln_completion c;
    assert_int_equal(ln_loop_wait(f.loop, LN_NEVER), LINNET_OK);
    assert_true(ln_loop_next(f.loop, &c));
    assert_int_equal(c.kind, LN_C_RECV);
    int other = c.sock == socks[0] ? 1 : 0;
    released = ln_sock_release(f.loop, socks[other]);
    assert_true(released >= 0);
    free(socks[other]); /* at once: no event may name it */
    assert_false(ln_loop_next(f.loop, &c));
    char byte;
    assert_int_equal(read(released, &byte, 1), 1); /* it is open, and unread */
    close(released);
    close(fds[other]);
    end_pair(&f, socks[!other], fds[!other]);
    free(socks[!other]);
    close_all(&f);
}

/* Somebody holds a duplicate of a closed descriptor: the kernel would go on reporting it. */
static void a_duplicate_does_not_haunt(void **state) {
    (void)state;
    fixture f;
    ln_sock *sock = malloc(sizeof *sock);
    assert_non_null(sock);
    open_with(&f, NULL);
    int fd = pair(&f, sock);
    assert_int_equal(ln_sock_recv_start(f.loop, sock), LINNET_OK);
    turn(&f, 1);
    int copy = dup(sock->fd);
    ln_sock_close(f.loop, sock, false);
    UNTIL(&f, f.closed);
    free(sock);
    say(fd, "boo");
    turn(&f, 20);
    assert_int_equal(f.received, 0);
    close(copy);
    close(fd);
    close_all(&f);
}

static void watches(void **state) {
    (void)state;
    fixture f;
    int fds[2];
    open_with(&f, NULL);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(ln_loop_watch(f.loop, fds[0], LN_READ, &f), LINNET_OK);
    assert_int_equal(ln_loop_watch(f.loop, fds[1], LN_WRITE, &f), LINNET_OK);
    UNTIL(&f, f.watched_fd == fds[1]);
    assert_int_equal(f.watched_events, LN_WRITE);
    assert_int_equal(ln_loop_watch(f.loop, fds[1], 0, NULL), LINNET_OK);
    assert_int_equal(ln_loop_watch(f.loop, fds[1], 0, NULL), LINNET_OK);
    f.watched_fd = 0;
    f.watched_events = 0;
    turn(&f, 20);
    assert_int_equal(f.watched_fd, 0);
    say(fds[1], "x");
    UNTIL(&f, f.watched_fd == fds[0]);
    assert_int_equal(f.watched_events, LN_READ);

    /* The library closes it and gets the same number again without a word. */
    close(fds[0]);
    close(fds[1]);
    int again[2];
    assert_int_equal(pipe(again), 0);
    assert_int_equal(again[0], fds[0]);
    f.watched_fd = 0;
    assert_int_equal(ln_loop_watch(f.loop, again[0], LN_READ, &f), LINNET_OK);
    close(again[1]); /* a hang-up is something to read */
    UNTIL(&f, f.watched_fd == again[0]);

    /* Removed in the middle of a batch: freed when that is over. */
    int third[2];
    assert_int_equal(pipe(third), 0);
    assert_int_equal(ln_loop_watch(f.loop, third[0], LN_READ, &f), LINNET_OK);
    say(third[1], "x");
    ln_completion c;
    assert_int_equal(ln_loop_wait(f.loop, LN_NEVER), LINNET_OK);
    assert_true(ln_loop_next(f.loop, &c));
    assert_int_equal(ln_loop_watch(f.loop, third[0], 0, NULL), LINNET_OK);
    assert_int_equal(ln_loop_watch(f.loop, again[0], 0, NULL), LINNET_OK);
    assert_false(ln_loop_next(f.loop, &c));
    close(third[0]);
    close(third[1]);
    close(again[0]);
    assert_int_equal(ln_loop_watch(f.loop, third[0], LN_READ, &f), LINNET_ERR_SYS);
    close_all(&f);
}

/* -- waking, and living inside another loop -------------------------------------------------- */

static bool readable(const fixture *f, int ms) {
    struct pollfd p = { .fd = ln_loop_fd(f->loop), .events = POLLIN };
    return poll(&p, 1, ms) == 1;
}

static void inside_another_loop(void **state) {
    (void)state;
    fixture f;
    ln_sock sock;
    ln_timer t;
    open_with(&f, NULL);
    int fd = pair(&f, &sock);
    assert_int_equal(ln_sock_recv_start(f.loop, &sock), LINNET_OK);
    assert_int_equal(ln_loop_rest(f.loop, LN_NEVER), LINNET_OK);
    assert_false(readable(&f, 0));
    say(fd, "x");
    assert_true(readable(&f, 1000));
    turn(&f, 0);
    assert_int_equal(f.received, 1);
    assert_int_equal(ln_loop_rest(f.loop, LN_NEVER), LINNET_OK);
    assert_false(readable(&f, 0));

    ln_timer_init(&t, 1);
    for (int i = 0; i < 3; i++) { /* each time anew */
        ln_timer_set(ln_loop_wheel(f.loop), &t, ln_loop_now(f.loop) + 20);
        while (!ln_wheel_pull(ln_loop_wheel(f.loop), ln_loop_now(f.loop))) {
            assert_int_equal(ln_loop_rest(f.loop, LN_NEVER), LINNET_OK);
            assert_true(readable(&f, 1000));
            turn(&f, 0);
        }
        assert_int_equal(ln_loop_rest(f.loop, LN_NEVER), LINNET_OK);
        assert_false(readable(&f, 30));
    }
    ln_loop_wake(f.loop);
    assert_true(readable(&f, 1000));
    turn(&f, 0);
    assert_int_equal(f.wakes, 1);
    assert_false(readable(&f, 0));

    ln_sock_close(f.loop, &sock, false);
    assert_int_equal(ln_loop_rest(f.loop, LN_NEVER), LINNET_OK);
    assert_true(readable(&f, 0)); /* its CLOSED is waiting */
    turn(&f, 0);
    assert_int_equal(f.closed, 1);
    close(fd);
    close_all(&f);
}

static ln_loop *to_wake; /* a signal handler has no argument */
static void wake_it(int signal) {
    (void)signal;
    ln_loop_wake(to_wake);
}

static void a_signal_handler_may_wake(void **state) {
    (void)state;
    fixture f;
    open_with(&f, NULL);
    to_wake = f.loop;
    struct sigaction act = { .sa_handler = wake_it }, before;
    assert_int_equal(sigaction(SIGALRM, &act, &before), 0);
    struct itimerval soon = { .it_value = { .tv_usec = 20000 } };
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    UNTIL(&f, f.wakes);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    close_all(&f);
}

static void busy_polling_finds_what_comes_and_then_sleeps(void **state) {
    (void)state;
    fixture f;
    ln_sock sock;
    open_with(&f, NULL);
    close_all(&f);
    ln_loop_options options = { .busy_poll_us = 200 };
    ln_addr at = loopback();
    f = (fixture){ .recv_result = 1 };
    assert_int_equal(ln_loop_new(&options, &f.loop), LINNET_OK);
    assert_int_equal(ln_listen(f.loop, &f.door, DOOR, &at, NULL, &f.at), LINNET_OK);
    int fd = pair(&f, &sock);
    assert_int_equal(ln_sock_recv_start(f.loop, &sock), LINNET_OK);
    ln_msec start = ln_loop_now(f.loop);
    honest();
    turn(&f, 30);
    assert_true(ln_loop_now(f.loop) - start >= 29);
    assert_true(wait_call.count >= 3); /* it spun first */
    honest();
    turn(&f, 0);
    assert_int_equal(wait_call.count, 1); /* a poll does not */
    say(fd, "x");
    UNTIL(&f, f.received);
    end_pair(&f, &sock, fd);
    close_all(&f);
}

static void a_loop_without_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    ln_loop *loop = NULL;
    int err = LINNET_ERR_NOMEM;
    ln_test_memory_install(&memory);
    for (uint64_t n = 1; err == LINNET_ERR_NOMEM; n++) {
        memory.calls = 0;
        memory.fail_at = n;
        err = ln_loop_new(NULL, &loop);
        if (err < 0) assert_int_equal(memory.live, 0);
        assert_true(n < 10);
    }
    assert_int_equal(err, LINNET_OK);
    memory.fail_at = 0;
    ln_loop_free(loop);
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

static void a_foreign_descriptor_is_prepared(void **state) {
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(ln_fd_prepare(fd), LINNET_OK);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    get(fd, TCP_NODELAY, 1);
    close(fd);
    assert_int_equal(ln_fd_prepare(fd), LINNET_ERR_SYS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupted_or_empty_or_short_recv),
        cmocka_unit_test(an_interrupted_or_refused_or_short_send),
        cmocka_unit_test(a_pending_send_fails_later),
        cmocka_unit_test(the_kernel_refuses_to_watch),
        cmocka_unit_test(an_interrupted_wait_is_an_empty_turn),
        cmocka_unit_test(an_echo_is_three_system_calls),
        cmocka_unit_test(a_guest_is_heard_in_the_turn_he_comes),
        cmocka_unit_test(a_refused_connect_is_told),
        cmocka_unit_test(from_another_source_address),
        cmocka_unit_test(released_in_the_middle_of_a_batch),
        cmocka_unit_test(a_duplicate_does_not_haunt),
        cmocka_unit_test(watches),
        cmocka_unit_test(inside_another_loop),
        cmocka_unit_test(a_signal_handler_may_wake),
        cmocka_unit_test(busy_polling_finds_what_comes_and_then_sleeps),
        cmocka_unit_test(a_loop_without_memory),
        cmocka_unit_test(a_foreign_descriptor_is_prepared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
