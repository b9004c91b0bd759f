/* Against a name server of the test's own, on the same loop: what it answers follows from the
 * first label of the name. */
#include "base/mem.h"
#include "base/testing.h"
#include "net/dns.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

enum { DNS_TIMER = 5, OTHER_TIMER = 6, A = 1, AAAA = 28 };

typedef struct world {
    ln_loop *loop;
    ln_dns *dns;
    int fd; /* the server */
    char servers[32];
    int asked, ticks;
    ln_timer beat; /* shows that the loop turns */
} world;

typedef struct answer {
    int calls, status;
    unsigned count;
    char text[LN_DNS_ADDRS_MAX][64];
    world *again; /* resolves once more from inside the callback */
    ln_dns_query **cancel;
} answer;

static void on_done(void *user, int status, const ln_addr *addrs, unsigned count) {
    answer *a = user;
    a->calls++;
    a->status = status;
    a->count = count;
    for (unsigned i = 0; i < count; i++)
        ln_addr_text(&addrs[i], a->text[i]);
    if (a->cancel && *a->cancel) {
        ln_dns_query *q = *a->cancel;
        *a->cancel = NULL;
        ln_dns_cancel(q);
    }
    if (!a->again) return;
    world *w = a->again;
    a->again = NULL;
    assert_int_equal(ln_dns_resolve(w->dns, "127.0.0.1", 1, on_done, a, NULL), LINNET_OK);
}

/* -- the server ------------------------------------------------------------------------------ */

static size_t put16(uint8_t *to, unsigned v) {
    to[0] = (uint8_t)(v >> 8);
    to[1] = (uint8_t)v;
    return 2;
}

static size_t put_record(uint8_t *to, unsigned type, unsigned number) {
    size_t n = put16(to, 0xc00c); /* the name of the question */
    n += put16(to + n, type);
    n += put16(to + n, 1);
    n += put16(to + n, 0);
    n += put16(to + n, 60);
    size_t size = type == A ? 4 : 16;
    n += put16(to + n, (unsigned)size);
    memset(to + n, 0, size);
    to[n] = type == A ? 10 : 0xfd;
    to[n + size - 1] = (uint8_t)number;
    return n + size;
}

/* How many records for that name and type; -1: no such name, -2: silence, -3: garbage,
 * -4: another id, -5: the server has failed. */
static int plan(const char *label, unsigned type) {
    if (strcmp(label, "both") == 0) return 2;
    if (strcmp(label, "four") == 0) return type == A ? 1 : 0;
    if (strcmp(label, "six") == 0) return type == AAAA ? 1 : 0;
    if (strcmp(label, "many") == 0) return 12;
    if (strcmp(label, "empty") == 0) return 0;
    if (strcmp(label, "silent") == 0) return -2;
    if (strcmp(label, "garbage") == 0) return -3;
    if (strcmp(label, "forged") == 0) return -4;
    if (strcmp(label, "broken") == 0) return -5;
    return -1;
}

static void serve_one(world *w) {
    uint8_t in[512], out[512];
    struct sockaddr_storage from;
    socklen_t from_size = sizeof from;
    ssize_t n = recvfrom(w->fd, in, sizeof in, 0, (struct sockaddr *)&from, &from_size);
    if (n < 17) return;
    w->asked++;
    char label[64] = "";
    memcpy(label, in + 13, in[12] < 63 ? in[12] : 63);
    size_t end = 12;
    while (end < (size_t)n && in[end])
        end += in[end] + 1U;
    unsigned type = (unsigned)in[end + 1] << 8 | in[end + 2];
    int count = plan(label, type);
    if (count == -2) return;

    memcpy(out, in, end + 5);
    if (count == -4) out[0] ^= 0x55;
    out[2] = 0x84;
    out[3] = (uint8_t)(0x80 | (count == -1 ? 3 : count == -5 ? 2 : 0));
    size_t size = end + 5;
    put16(out + 4, 1);
    put16(out + 6, count > 0 ? (unsigned)count : 0);
    put16(out + 8, 0);
    put16(out + 10, 0);
    for (int i = 0; i < count; i++)
        size += put_record(out + size, type, (unsigned)i + 1);
    if (count == -3) size = 14;
    sendto(w->fd, out, size, 0, (struct sockaddr *)&from, from_size);
}

/* -- the loop's owner ------------------------------------------------------------------------ */

static void turn(world *w, ln_msec deadline) {
    ln_completion c;
    ln_timer *t;
    assert_int_equal(ln_loop_wait(w->loop, deadline), LINNET_OK);
    while (ln_loop_next(w->loop, &c)) {
        assert_int_equal(c.kind, LN_C_WATCH);
        if (c.user == w)
            serve_one(w);
        else
            ln_dns_ready(w->dns, c.fd, c.events);
    }
    while ((t = ln_wheel_pull(ln_loop_wheel(w->loop), ln_loop_now(w->loop)))) {
        if (t == &w->beat) {
            w->ticks++;
            ln_timer_set(ln_loop_wheel(w->loop), &w->beat, ln_loop_now(w->loop) + 5);
            continue;
        }
        assert_int_equal(t->kind, DNS_TIMER);
        ln_dns_timer(w->dns, t);
    }
    ln_dns_turn(w->dns);
}

#define UNTIL(w, condition)                                                                        \
    for (ln_msec end_ = ln_loop_now((w)->loop) + 10000; !(condition); turn(w, end_))               \
        if (ln_loop_now((w)->loop) >= end_) fail_msg("line %d: never: %s", __LINE__, #condition);

static void world_open(world *w, uint32_t timeout_ms) {
    *w = (world){ .fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
    ln_addr at;
    assert_true(ln_addr_ip(LN_SLICE("127.0.0.1"), 0, &at));
    assert_int_equal(bind(w->fd, &at.sa, at.size), 0);
    assert_int_equal(getsockname(w->fd, &at.sa, &at.size), 0);
    snprintf(w->servers, sizeof w->servers, "127.0.0.1:%u", ln_addr_port(&at));
    assert_int_equal(ln_loop_new(NULL, &w->loop), LINNET_OK);
    assert_int_equal(ln_loop_watch(w->loop, w->fd, LN_READ, w), LINNET_OK);
    ln_timer_init(&w->beat, OTHER_TIMER);
    ln_dns_options options = {
        .servers = w->servers, .timeout_ms = timeout_ms, .timer_kind = DNS_TIMER
    };
    assert_int_equal(ln_dns_new(w->loop, &options, &w->dns), LINNET_OK);
}

static void world_close(world *w) {
    ln_dns_free(w->dns);
    ln_timer_stop(ln_loop_wheel(w->loop), &w->beat);
    assert_int_equal(ln_loop_wheel(w->loop)->count, 0);
    assert_int_equal(ln_loop_watch(w->loop, w->fd, 0, NULL), LINNET_OK);
    ln_loop_free(w->loop);
    close(w->fd);
}

/* -- rows ------------------------------------------------------------------------------------ */

static const struct {
    const char *reason, *host;
    int status;
    unsigned count;
    int asks; /* 0: nobody is asked; 1: somebody is */
} rows[] = {
    { "IPv4 address", "10.9.8.7", LINNET_OK, 1, 0 },
    { "IPv6 address", "::1", LINNET_OK, 1, 0 },
    { "localhost", "localhost", LINNET_OK, 2, 0 },
    { "localhost, in capitals with its dot", "LOCALHOST.", LINNET_OK, 2, 0 },
    { "a name in localhost", "a.b.localhost", LINNET_OK, 2, 0 },
    { "both families", "both.test.", LINNET_OK, 4, 1 },
    { "IPv4 only", "four.test.", LINNET_OK, 1, 1 },
    { "IPv6 only", "six.test.", LINNET_OK, 1, 1 },
    { "more than we take", "many.test.", LINNET_OK, LN_DNS_ADDRS_MAX, 1 },
    { "a name like localhost", "notlocalhost.", LINNET_ERR_DNS, 0, 1 },
    { "no such name", "none.test.", LINNET_ERR_DNS, 0, 1 },
    { "a name without addresses", "empty.test.", LINNET_ERR_DNS, 0, 1 },
    { "a label over 63 letters",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test.",
        LINNET_ERR_DNS, 0, 0 },
    { "an empty label", "a..test.", LINNET_ERR_DNS, 0, 0 },
};

#define ROW(i, condition)                                                                          \
    if (!(condition)) fail_msg("%s: %s", rows[i].reason, #condition)

static void names_become_addresses(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        world w;
        answer a = { 0 };
        world_open(&w, 2000);
        ROW(i, ln_dns_resolve(w.dns, rows[i].host, 443, on_done, &a, NULL) == LINNET_OK);
        ROW(i, a.calls == 0); /* never inside */
        UNTIL(&w, a.calls);
        ROW(i, a.status == rows[i].status);
        ROW(i, a.count == rows[i].count);
        ROW(i, (w.asked > 0) == rows[i].asks);
        for (unsigned k = 0; k < a.count; k++) {
            ROW(i, strlen(a.text[k]) > 4);
            ROW(i, strcmp(a.text[k] + strlen(a.text[k]) - 4, ":443") == 0);
        }
        turn(&w, 0);
        ROW(i, a.calls == 1);
        world_close(&w);
    }
}

static void families_take_turns(void **state) {
    (void)state;
    world w;
    answer a = { 0 };
    world_open(&w, 2000);
    assert_int_equal(ln_dns_resolve(w.dns, "many.test.", 80, on_done, &a, NULL), LINNET_OK);
    UNTIL(&w, a.calls);
    for (unsigned i = 1; i < a.count; i++) {
        assert_true((a.text[i][0] == '[') != (a.text[i - 1][0] == '['));
    }
    world_close(&w);
}

/* A server that never answers, or lies, runs into the time-out, and the loop turns meanwhile. */
static void a_silent_server_delays_nobody(void **state) {
    (void)state;
    static const char *const hosts[] = { "silent.test.", "garbage.test.", "forged.test." };
    for (size_t i = 0; i < LN_COUNT(hosts); i++) {
        world w;
        answer a = { 0 };
        world_open(&w, 200);
        ln_msec start = ln_loop_now(w.loop);
        ln_timer_set(ln_loop_wheel(w.loop), &w.beat, start + 5);
        assert_int_equal(ln_dns_resolve(w.dns, hosts[i], 80, on_done, &a, NULL), LINNET_OK);
        UNTIL(&w, a.calls);
        ln_msec took = ln_loop_now(w.loop) - start;
        if (i == 0) assert_true(took >= 200);
        assert_true(took < 600);
        assert_true(a.status == LINNET_ERR_TIMEOUT || (i == 1 && a.status == LINNET_ERR_DNS));
        assert_int_equal(a.count, 0);
        if (i == 0) assert_true(w.ticks >= 15);
        world_close(&w); /* with the rest of the query still under way */
        assert_int_equal(a.calls, 1);
    }
}

static void a_failing_server_is_told(void **state) {
    (void)state;
    world w;
    answer a = { 0 };
    world_open(&w, 1000);
    assert_int_equal(ln_dns_resolve(w.dns, "broken.test.", 80, on_done, &a, NULL), LINNET_OK);
    UNTIL(&w, a.calls);
    assert_true(a.status == LINNET_ERR_DNS || a.status == LINNET_ERR_TIMEOUT);
    world_close(&w);
}

static void cancelling(void **state) {
    (void)state;
    world w;
    answer waiting = { 0 }, known = { 0 }, open = { 0 };
    ln_dns_query *q;
    world_open(&w, 300);
    assert_int_equal(ln_dns_resolve(w.dns, "silent.test.", 80, on_done, &waiting, &q), LINNET_OK);
    turn(&w, ln_loop_now(w.loop) + 10);
    ln_dns_cancel(q);
    assert_int_equal(waiting.calls, 1);
    assert_int_equal(waiting.status, LINNET_ERR_CANCELLED);
    assert_int_equal(ln_dns_resolve(w.dns, "127.0.0.1", 80, on_done, &known, &q), LINNET_OK);
    ln_dns_cancel(q);
    assert_int_equal(known.calls, 1);
    assert_int_equal(known.status, LINNET_ERR_CANCELLED);
    assert_int_equal(known.count, 0);

    /* What was cancelled does not come back, and does not stay for ever. */
    ln_msec end = ln_loop_now(w.loop) + 400;
    while (ln_loop_now(w.loop) < end)
        turn(&w, end);
    assert_int_equal(waiting.calls, 1);
    assert_int_equal(ln_dns_resolve(w.dns, "silent.test.", 80, on_done, &open, &q), LINNET_OK);
    world_close(&w); /* cancels what is open */
    assert_int_equal(open.calls, 1);
    assert_int_equal(open.status, LINNET_ERR_CANCELLED);
}

static void callbacks_may_ask_and_cancel(void **state) {
    (void)state;
    world w;
    answer a = { .again = &w }, b = { 0 };
    ln_dns_query *second;
    world_open(&w, 2000);
    assert_int_equal(ln_dns_resolve(w.dns, "four.test.", 80, on_done, &a, NULL), LINNET_OK);
    UNTIL(&w, a.calls == 2);
    assert_string_equal(a.text[0], "127.0.0.1:1");

    a = (answer){ .cancel = &second };
    assert_int_equal(ln_dns_resolve(w.dns, "127.0.0.1", 80, on_done, &a, NULL), LINNET_OK);
    assert_int_equal(ln_dns_resolve(w.dns, "127.0.0.2", 80, on_done, &b, &second), LINNET_OK);
    UNTIL(&w, a.calls && b.calls);
    assert_int_equal(a.status, LINNET_OK);
    assert_int_equal(b.status, LINNET_ERR_CANCELLED);
    world_close(&w);
}

static void what_is_refused_at_once(void **state) {
    (void)state;
    world w;
    answer a = { 0 };
    char endless[300];
    ln_dns *none;
    world_open(&w, 2000);
    memset(endless, 'a', sizeof endless);
    endless[299] = 0;
    assert_int_equal(ln_dns_resolve(w.dns, "", 80, on_done, &a, NULL), LINNET_ERR_INVAL);
    assert_int_equal(ln_dns_resolve(w.dns, endless, 80, on_done, &a, NULL), LINNET_ERR_INVAL);
    for (int i = 0; i < 1024; i++)
        assert_int_equal(ln_dns_resolve(w.dns, "::1", 80, on_done, &a, NULL), LINNET_OK);
    assert_int_equal(ln_dns_resolve(w.dns, "::1", 80, on_done, &a, NULL), LINNET_ERR_LIMIT);
    assert_int_equal(a.calls, 0);
    UNTIL(&w, a.calls == 1024);
    world_close(&w);
    ln_dns_options wrong = { .servers = "not an address" };
    assert_int_equal(ln_loop_new(NULL, &w.loop), LINNET_OK);
    assert_int_equal(ln_dns_new(w.loop, &wrong, &none), LINNET_ERR_INVAL);
    ln_loop_free(w.loop);
}

static void names_without_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    int err = LINNET_ERR_NOMEM;
    ln_test_memory_install(&memory);
    for (uint64_t n = 1; err == LINNET_ERR_NOMEM; n++) {
        ln_loop *loop = NULL;
        ln_dns *dns = NULL;
        answer a = { 0 };
        memory = (ln_test_memory){ .fail_at = n };
        err = ln_loop_new(NULL, &loop);
        ln_dns_options options = { .servers = "127.0.0.1:9", .timer_kind = DNS_TIMER };
        if (err == LINNET_OK) err = ln_dns_new(loop, &options, &dns);
        if (err == LINNET_OK) err = ln_dns_resolve(dns, "silent.test.", 1, on_done, &a, NULL);
        bool resolved = err == LINNET_OK;
        ln_dns_free(dns);
        ln_loop_free(loop);
        assert_int_equal(a.calls, resolved);
        assert_int_equal(memory.live, 0);
    }
    assert_int_equal(err, LINNET_OK);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_addresses),
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(a_silent_server_delays_nobody),
        cmocka_unit_test(a_failing_server_is_told),
        cmocka_unit_test(cancelling),
        cmocka_unit_test(callbacks_may_ask_and_cancel),
        cmocka_unit_test(what_is_refused_at_once),
        cmocka_unit_test(names_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
