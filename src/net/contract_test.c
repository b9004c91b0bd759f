/* The contract of loop.h, the same table of scenarios over everything that carries a stream. Two
 * ends, left and right, live on one loop; what comes out of it is written down and asked for. */
#include "base/mem.h"
#include "base/testing.h"
#include "net/sim.h"
#include <stdio.h>
#include <unistd.h>

enum { LEFT = 1, RIGHT = 2, DOOR = 3, TIMER = 9 };

typedef struct world world;

typedef struct side {
    ln_sock *sock; /* of malloc, freed at its CLOSED: a sanitizer sees a stale pointer */
    uint8_t *got;
    size_t got_size;
    int end;  /* of the last RECV; 1: not ended */
    int sent; /* SENT completions */
    int sent_result;
    int connected; /* 1: not yet */
    int recvs;     /* RECV completions with data */
    int closed;    /* CLOSED completions */
    bool closing;  /* close was called: nothing but SENT and CLOSED may follow */
    uint8_t *into; /* where data had to arrive, when set */
} side;

typedef struct transport {
    const char *name;
    void (*open)(world *w); /* makes a connected pair */
    bool sim;
} transport;

struct world {
    const transport *t;
    ln_simnet *net; /* of the simulator */
    ln_loop *loop;
    ln_listener door;
    side left, right;
    int accepted; /* descriptor, -1 */
    int wakes, listener_closed;
    int completions; /* of the last turn */
    /* What a scenario does in the middle of a batch. */
    void (*on_recv)(world *w, side *s);
};

static side *side_of(world *w, const ln_sock *sock) {
    return sock->kind == LEFT ? &w->left : &w->right;
}

static void on_recv(world *w, side *s, const ln_completion *c) {
    assert_false(s->closing);
    assert_int_equal(s->end, 1);
    if (c->result <= 0) {
        s->end = c->result;
        return;
    }
    assert_int_equal(c->data.size, c->result);
    if (s->into) assert_ptr_equal(c->data.data, s->into);
    s->got = realloc(s->got, s->got_size + c->data.size);
    assert_non_null(s->got);
    memcpy(s->got + s->got_size, c->data.data, c->data.size);
    s->got_size += c->data.size;
    s->recvs++;
    /* The reader may scribble: over the data, and over the headroom of the shared buffer. */
    if (!s->into) memset(c->data.data - LN_RECV_HEADROOM, 0xa5, LN_RECV_HEADROOM + c->data.size);
    if (w->on_recv) w->on_recv(w, s);
}

static void take(world *w, const ln_completion *c) {
    side *s = c->sock ? side_of(w, c->sock) : NULL;
    w->completions++;
    switch (c->kind) {
    case LN_C_RECV: on_recv(w, s, c); break;
    case LN_C_SENT:
        assert_int_equal(s->closed, 0);
        if (s->closing) assert_int_equal(c->result, LINNET_ERR_CANCELLED);
        s->sent++;
        s->sent_result = c->result;
        break;
    case LN_C_CONNECT:
        assert_false(s->closing);
        s->connected = c->result;
        break;
    case LN_C_CLOSED:
        assert_true(s->closing);
        assert_true(s->sock == c->sock);
        s->closed++;
        free(s->sock);
        s->sock = NULL;
        break;
    case LN_C_ACCEPT:
        assert_ptr_equal(c->listener, &w->door);
        assert_int_equal(w->accepted, -1);
        w->accepted = c->fd;
        break;
    case LN_C_LISTENER_CLOSED: w->listener_closed++; break;
    case LN_C_WAKE: w->wakes++; break;
    case LN_C_WATCH: fail_msg("nothing is watched");
    }
}

static void turn_until(world *w, ln_msec deadline) {
    ln_completion c;
    w->completions = 0;
    assert_int_equal(ln_loop_wait(w->loop, deadline), LINNET_OK);
    while (ln_loop_next(w->loop, &c))
        take(w, &c);
}

/* Turns until the condition holds; a minute of the loop's time is for ever. */
#define UNTIL(w, condition)                                                                        \
    for (ln_msec end_ = ln_loop_now((w)->loop) + 60000; !(condition);) {                           \
        if (ln_loop_now((w)->loop) >= end_) fail_msg("%s: never: %s", (w)->t->name, #condition);   \
        turn_until(w, end_);                                                                       \
    }

/* Nothing happens for a while, and the loop sleeps meanwhile. */
static void quiet(world *w) {
    ln_msec end = ln_loop_now(w->loop) + 30;
    int turns = 0;
    while (ln_loop_now(w->loop) < end) {
        turn_until(w, end);
        if (w->completions) fail_msg("%s: something happened", w->t->name);
        if (turns++ > 3) fail_msg("%s: the loop spins", w->t->name);
    }
}

static void side_open(side *s) {
    s->sock = malloc(sizeof *s->sock);
    assert_non_null(s->sock);
}

static void close_side(world *w, side *s, bool abort) {
    s->closing = true;
    ln_sock_close(w->loop, s->sock, abort);
}

static void connect_through(world *w, const ln_addr *at) {
    ln_addr bound;
    assert_int_equal(ln_listen(w->loop, &w->door, DOOR, at, NULL, &bound), LINNET_OK);
    side_open(&w->left);
    side_open(&w->right);
    assert_int_equal(ln_sock_connect(w->loop, w->left.sock, LEFT, &bound, NULL), LINNET_OK);
    UNTIL(w, w->left.connected <= 0 && w->accepted != -1);
    assert_int_equal(w->left.connected, LINNET_OK);
    assert_int_equal(ln_sock_adopt(w->loop, w->right.sock, RIGHT, w->accepted), LINNET_OK);
    ln_listener_close(w->loop, &w->door);
    UNTIL(w, w->listener_closed);
}

static void open_tcp(world *w) {
    ln_addr at;
    assert_int_equal(ln_addr_parse(LN_SLICE("127.0.0.1:0"), &at), LINNET_OK);
    connect_through(w, &at);
}

static void open_unix(world *w) {
    char text[64];
    ln_addr at;
    snprintf(text, sizeof text, "unix:@linnet-contract-%d", (int)getpid());
    assert_int_equal(ln_addr_parse(ln_slice_str(text), &at), LINNET_OK);
    connect_through(w, &at);
}

static void open_pipe(world *w) {
    side_open(&w->left);
    side_open(&w->right);
    assert_int_equal(ln_sock_pipe(w->loop, w->left.sock, LEFT, w->right.sock, RIGHT), LINNET_OK);
}

static const transport transports[] = {
    { "tcp", open_tcp, false },
    { "unix", open_unix, false },
    { "pipe", open_pipe, false },
    { "sim", open_tcp, true },
    { "pipe in the simulator", open_pipe, true },
};

/* -- scenarios ----------------------------------------------------------------------------- */

static int say(world *w, side *s, const char *text) {
    return ln_sock_send(w->loop, s->sock, ln_slice_str(text));
}

static bool heard(const side *s, const char *text) {
    return s->got_size == strlen(text) && memcmp(s->got, text, s->got_size) == 0;
}

static void listen_to(world *w, side *s) {
    assert_int_equal(ln_sock_recv_start(w->loop, s->sock), LINNET_OK);
}

static void both_ways(world *w) {
    listen_to(w, &w->left);
    listen_to(w, &w->right);
    assert_int_equal(say(w, &w->left, "hello"), LN_DONE);
    assert_int_equal(say(w, &w->right, "good day"), LN_DONE);
    UNTIL(w, heard(&w->right, "hello") && heard(&w->left, "good day"));
    assert_int_equal(ln_sock_send(w->loop, w->left.sock, LN_SLICE("")), LN_DONE);
    quiet(w);
    assert_int_equal(w->left.sent + w->right.sent, 0);
}

static void paused_means_silence(world *w) {
    assert_int_equal(say(w, &w->left, "one"), LN_DONE);
    quiet(w);
    listen_to(w, &w->right);
    UNTIL(w, heard(&w->right, "one"));
    assert_int_equal(ln_sock_recv_pause(w->loop, w->right.sock), LINNET_OK);
    assert_int_equal(say(w, &w->left, "two"), LN_DONE);
    quiet(w);
    assert_int_equal(ln_sock_recv_start(w->loop, w->right.sock), LINNET_OK);
    assert_int_equal(ln_sock_recv_pause(w->loop, w->right.sock), LINNET_OK);
    quiet(w);
    listen_to(w, &w->right);
    UNTIL(w, heard(&w->right, "onetwo"));
}

static uint8_t *numbers(size_t size) {
    uint8_t *data = malloc(size);
    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 131 + i / 4099);
    return data;
}

static void more_than_fits(world *w) {
    size_t size = 5000000;
    uint8_t *data = numbers(size);
    assert_int_equal(ln_sock_send(w->loop, w->left.sock, ln_slice_of(data, size)), LN_PENDING);
    quiet(w);
    assert_int_equal(w->left.sent, 0);
    listen_to(w, &w->right);
    ln_sock_recv_large(w->loop, w->right.sock, true);
    UNTIL(w, w->left.sent);
    free(data); /* ours again */
    assert_int_equal(w->left.sent_result, LINNET_OK);
    UNTIL(w, w->right.got_size == size);
    data = numbers(size);
    assert_memory_equal(w->right.got, data, size);
    free(data);
    quiet(w);
    assert_int_equal(w->left.sent, 1);
}

static void into_the_readers_own_room(world *w) {
    uint8_t *room = malloc(3);
    assert_non_null(room);
    listen_to(w, &w->right);
    ln_sock_recv_into(w->loop, w->right.sock, (ln_wslice){ room, 3 });
    w->right.into = room;
    assert_int_equal(say(w, &w->left, "abcdefgh"), LN_DONE);
    UNTIL(w, heard(&w->right, "abcdefgh"));
    assert_true(w->right.recvs >= 3);
    ln_sock_recv_into(w->loop, w->right.sock, (ln_wslice){ NULL, 0 });
    w->right.into = NULL;
    free(room);
    assert_int_equal(say(w, &w->left, "ij"), LN_DONE);
    UNTIL(w, heard(&w->right, "abcdefghij"));
}

static void half_closed(world *w) {
    listen_to(w, &w->left);
    listen_to(w, &w->right);
    assert_int_equal(say(w, &w->left, "last words"), LN_DONE);
    ln_sock_shutdown(w->loop, w->left.sock);
    UNTIL(w, w->right.end <= 0);
    assert_int_equal(w->right.end, 0);
    assert_true(heard(&w->right, "last words"));
    quiet(w); /* an end that was told does not keep the loop busy */
    assert_int_equal(say(w, &w->right, "and mine"), LN_DONE);
    UNTIL(w, heard(&w->left, "and mine"));
    ln_sock_shutdown(w->loop, w->right.sock);
    UNTIL(w, w->left.end <= 0);
    assert_int_equal(w->left.end, 0);
    quiet(w);
}

static void closed_while_the_other_is_paused(world *w) {
    assert_int_equal(say(w, &w->left, "kept"), LN_DONE);
    close_side(w, &w->left, false);
    UNTIL(w, w->left.closed);
    quiet(w);
    assert_int_equal(w->right.end, 1);
    listen_to(w, &w->right);
    UNTIL(w, w->right.end <= 0);
    assert_int_equal(w->right.end, 0);
    assert_true(heard(&w->right, "kept"));
}

static void aborted(world *w) {
    listen_to(w, &w->right);
    close_side(w, &w->left, true);
    UNTIL(w, w->left.closed && w->right.end <= 0);
    if (strcmp(w->t->name, "unix") != 0) assert_int_equal(w->right.end, LINNET_ERR_RESET);
    quiet(w);
}

static void aborted_while_the_other_is_paused(world *w) {
    if (strcmp(w->t->name, "unix") == 0) return; /* the kernel has no reset for them */
    listen_to(w, &w->right);
    assert_int_equal(ln_sock_recv_pause(w->loop, w->right.sock), LINNET_OK);
    quiet(w);
    close_side(w, &w->left, true);
    UNTIL(w, w->left.closed && w->right.end <= 0);
    assert_int_equal(w->right.end, LINNET_ERR_RESET);
    quiet(w);
    listen_to(w, &w->right); /* nothing more comes, and nothing spins */
    quiet(w);
}

static void closed_with_a_send_pending(world *w) {
    size_t size = 5000000;
    uint8_t *data = numbers(size);
    assert_int_equal(ln_sock_send(w->loop, w->left.sock, ln_slice_of(data, size)), LN_PENDING);
    quiet(w);
    close_side(w, &w->left, false);
    assert_true(ln_sock_closing(w->left.sock));
    assert_int_equal(w->left.sent, 0); /* not inside the call */
    UNTIL(w, w->left.closed);
    assert_int_equal(w->left.sent, 1);
    assert_int_equal(w->left.sent_result, LINNET_ERR_CANCELLED);
    free(data);
}

static void the_reader_goes_with_a_send_pending(world *w) {
    size_t size = 5000000;
    uint8_t *data = numbers(size);
    listen_to(w, &w->left);
    assert_int_equal(ln_sock_send(w->loop, w->left.sock, ln_slice_of(data, size)), LN_PENDING);
    close_side(w, &w->right, false); /* with unread bytes: a reset */
    UNTIL(w, w->right.closed && w->left.sent && w->left.end <= 0);
    assert_int_equal(w->left.sent_result, LINNET_ERR_RESET);
    free(data);
    quiet(w);
}

static void sending_to_nobody(world *w) {
    close_side(w, &w->right, true);
    UNTIL(w, w->right.closed);
    int answer = LN_DONE;
    for (int i = 0; i < 10 && answer >= 0; i++) {
        turn_until(w, ln_loop_now(w->loop) + 5);
        answer = say(w, &w->left, "anybody there?");
    }
    assert_int_equal(answer, LINNET_ERR_RESET);
    quiet(w);
}

static void close_both(world *w, side *s) {
    (void)s;
    if (!w->left.closing) close_side(w, &w->left, false);
    if (!w->right.closing) close_side(w, &w->right, false);
}

/* Both have something to say in one batch; whoever is first closes both. on_recv() checks that
 * nothing comes after. */
static void closed_in_the_middle_of_a_batch(world *w) {
    listen_to(w, &w->left);
    listen_to(w, &w->right);
    w->on_recv = close_both;
    assert_int_equal(say(w, &w->left, "x"), LN_DONE);
    assert_int_equal(say(w, &w->right, "y"), LN_DONE);
    UNTIL(w, w->left.closed && w->right.closed);
    assert_int_equal(w->left.recvs + w->right.recvs, 1);
}

static void echo_once(world *w, side *s) {
    if (s == &w->right) say(w, s, "pong");
    if (s == &w->left && s->recvs < 1000) say(w, s, "ping");
}

/* Two ends that answer each other do not keep one turn going for ever. */
static void a_turn_ends(world *w) {
    listen_to(w, &w->left);
    listen_to(w, &w->right);
    w->on_recv = echo_once;
    assert_int_equal(say(w, &w->left, "ping"), LN_DONE);
    while (w->left.recvs < 1000) {
        int before = w->left.recvs;
        turn_until(w, ln_loop_now(w->loop) + 1000);
        assert_true(w->left.recvs - before <= 1);
    }
}

static void a_timer_ends_the_wait(world *w) {
    ln_timer t;
    ln_timer_init(&t, TIMER);
    ln_msec due = ln_loop_now(w->loop) + 20;
    ln_timer_set(ln_loop_wheel(w->loop), &t, due);
    ln_timer *pulled = NULL;
    int turns = 0;
    while (!pulled) {
        turn_until(w, LN_NEVER);
        pulled = ln_wheel_pull(ln_loop_wheel(w->loop), ln_loop_now(w->loop));
        assert_true(turns++ < 10);
    }
    assert_ptr_equal(pulled, &t);
    assert_true(ln_loop_now(w->loop) >= due);
}

static void a_wake_ends_the_wait(world *w) {
    for (int i = 0; i < 3; i++) {
        ln_loop_wake(w->loop);
        ln_loop_wake(w->loop);
        turn_until(w, LN_NEVER);
        assert_int_equal(w->wakes, i + 1);
        quiet(w);
    }
}

static void the_peer_has_an_address(world *w) {
    ln_addr peer;
    char text[64];
    assert_int_equal(ln_sock_peer(w->left.sock, &peer), LINNET_OK);
    assert_true(ln_addr_text(&peer, text) > 0);
    if (strcmp(w->t->name, "tcp") == 0)
        assert_int_equal(strncmp(text, "127.0.0.1:", 10), 0);
    else if (w->t->open == open_tcp)
        assert_int_equal(strncmp(text, "127.0.0.1:2", 11), 0);
    else
        assert_string_equal(text, "unix");
}

static const struct {
    const char *reason;
    void (*run)(world *w);
} scenarios[] = {
    { "bytes go both ways", both_ways },
    { "paused means silence, and nothing is lost", paused_means_silence },
    { "more than the kernel takes: one SENT, whole content", more_than_fits },
    { "into the reader's own room", into_the_readers_own_room },
    { "half-closed, first one way, then the other", half_closed },
    { "closed while the other is paused: data and end wait", closed_while_the_other_is_paused },
    { "aborted", aborted },
    { "aborted while the other is paused", aborted_while_the_other_is_paused },
    { "closed with a send pending", closed_with_a_send_pending },
    { "the reader goes with a send pending", the_reader_goes_with_a_send_pending },
    { "sending to nobody", sending_to_nobody },
    { "closed in the middle of a batch", closed_in_the_middle_of_a_batch },
    { "a turn ends", a_turn_ends },
    { "a timer ends the wait", a_timer_ends_the_wait },
    { "a wake ends the wait", a_wake_ends_the_wait },
    { "the peer has an address", the_peer_has_an_address },
};

static void world_open(world *w, const transport *t, uint64_t seed) {
    *w = (world){ .t = t, .accepted = -1 };
    w->left.end = w->right.end = w->left.connected = 1;
    ln_loop_options options = { .backend = NULL };
    if (t->sim) {
        ln_sim_faults faults = { .delay_min_ms = 1, .delay_max_ms = 4, .short_read = 300000 };
        w->net = ln_simnet_new(seed, &faults);
        options = (ln_loop_options){ .backend = &ln_sim_ops, .backend_arg = w->net };
    }
    assert_int_equal(ln_loop_new(&options, &w->loop), LINNET_OK);
    t->open(w);
}

static void world_close(world *w) {
    w->on_recv = NULL;
    close_both(w, NULL);
    UNTIL(w, w->left.closed && w->right.closed);
    assert_int_equal(w->left.closed, 1);
    assert_int_equal(w->right.closed, 1);
    ln_loop_free(w->loop);
    if (w->net) ln_simnet_free(w->net);
    free(w->left.got);
    free(w->right.got);
}

static void run_all(const transport *t, uint64_t seed) {
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    for (size_t i = 0; i < LN_COUNT(scenarios); i++) {
        world w;
        if (seed <= 1) print_message("# %s: %s\n", t->name, scenarios[i].reason);
        world_open(&w, t, seed);
        scenarios[i].run(&w);
        world_close(&w);
        assert_int_equal(memory.live, 0);
    }
    ln_test_memory_remove();
}

static void over_tcp(void **state) {
    (void)state;
    run_all(&transports[0], 0);
}

static void over_unix(void **state) {
    (void)state;
    run_all(&transports[1], 0);
}

static void over_pipe(void **state) {
    (void)state;
    run_all(&transports[2], 0);
}

static void over_the_simulator(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        run_all(&transports[3], seed);
}

static void over_a_pipe_in_the_simulator(void **state) {
    (void)state;
    run_all(&transports[4], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_tcp),
        cmocka_unit_test(over_unix),
        cmocka_unit_test(over_pipe),
        cmocka_unit_test(over_the_simulator),
        cmocka_unit_test(over_a_pipe_in_the_simulator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
