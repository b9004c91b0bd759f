/* Calls to clients. In these conversations "?a EVENT DATA" is a call to a, which has 1,000 ms, and
 * "=a WHAT" what the next one that was told was told, of which connection, in the order told. */
#include "session/callout.h"
#include "session/orders.h"
#include "session/session_test.h"

#define CALLS_MAX 80

typedef struct asker {
    ln_callout calls[CALLS_MAX];
    int used;
    char heard[4096]; /* lines */
    size_t size;
} asker;
static asker program; /* a test has one */

static void heard(ln_callout *c, const ln_callout_end *end) {
    asker *g = &program;
    size_t room = sizeof g->heard - g->size;
    const char *who = (const char *)ln_callout_client(c).data;
    int n = end->err < 0
                ? snprintf(g->heard + g->size, room, "%c %s\n", *who, linnet_errname(end->err))
                : snprintf(g->heard + g->size, room, "%c %u %.*s%.*s\n", *who, end->code,
                      (int)end->data.size, (const char *)end->data.data, (int)end->message.size,
                      (const char *)end->message.data);
    assert_true(n > 0 && (size_t)n < room);
    g->size += (size_t)n;
    *c = (ln_callout){ .told = heard }; /* it is ours again */
}

static int ask(world *w, char who, ln_slice event, ln_slice data, uint32_t ms) {
    ln_whom whom = { .client = ln_slice_of(&who, 1) };
    uint32_t at = 0;
    ln_session *s = ln_sessions_next(&w->sessions, &whom, &at);
    assert_non_null(s);
    assert_null(ln_sessions_next(&w->sessions, &whom, &at));
    assert_true(program.used < CALLS_MAX);
    ln_callout *c = &program.calls[program.used++];
    *c = (ln_callout){ .told = heard };
    return ln_callout_ask(s, c, event, data, ms);
}

static void next_heard(char *out, size_t room) {
    asker *g = &program;
    char *end = memchr(g->heard, '\n', g->size);
    out[0] = 0;
    if (!end) return;
    size_t size = (size_t)(end - g->heard);
    assert_true(size < room);
    memcpy(out, g->heard, size);
    out[size] = 0;
    g->size -= size + 1;
    memmove(g->heard, end + 1, g->size);
}

static void play_call(world *w, const char *line) {
    char got[512];
    if (line[0] == '=') {
        next_heard(got, sizeof got);
        assert_string_equal(got, line + 1);
    } else if (line[0] == '?') {
        const char *data = strchr(line + 3, ' ');
        assert_non_null(data);
        ln_slice event = ln_slice_of(line + 3, (size_t)(data - line - 3));
        int err = ask(w, line[1], event, ln_slice_str(data + 1), 1000);
        if (err < 0) {
            const char *name = linnet_errname(err);
            program.size += (size_t)snprintf(program.heard + program.size,
                sizeof program.heard - program.size, "%c not asked: %s\n", line[1], name);
        }
    } else {
        play_line(w, line);
    }
}

/* A welcome is written "<a ", because it says much. */
static const conversation rows[] = {
    { "asked and answered, in any order", LN_USER_NATIVE,
        { "<a ", "?a add [1,2]", "?a name null",
            "<a {\"type\":\"call\",\"id\":1,\"event\":\"add\",\"data\":[1,2]}",
            "<a {\"type\":\"call\",\"id\":2,\"event\":\"name\",\"data\":null}",
            ">a {\"type\":\"reply\",\"re\":2,\"data\":\"ann\"}", "=a 0 \"ann\"",
            ">a {\"type\":\"reply\",\"re\":1,\"data\":3}", "=a 0 3", "!a" } },
    { "no data is null", LN_USER_NATIVE,
        { "<a ", "?a m 1", "<a {\"type\":\"call\",\"id\":1,\"event\":\"m\",\"data\":1}",
            ">a {\"type\":\"reply\",\"re\":1}", "=a 0 null", "!a" } },
    { "in a batch, with the alias for re", LN_USER_NATIVE,
        { "<a ", "?a m 1", "?a m 2", "<a {\"type\":\"call\",\"id\":1,\"event\":\"m\",\"data\":1}",
            "<a {\"type\":\"call\",\"id\":2,\"event\":\"m\",\"data\":2}",
            ">a [{\"type\":\"reply\",\"re\":1,\"data\":{\"a\":1}},"
            "{\"type\":\"reply\",\"requestId\":\"c:2\",\"payload\":false}]",
            "=a 0 {\"a\":1}", "=a 0 false", "!a" } },
    { "refused: a code of its own, one that is not, words, none", LN_USER_NATIVE,
        { "<a ", "?a m 1", "?a m 1", "?a m 1", "?a m 1",
            "<a {\"type\":\"call\",\"id\":1,\"event\":\"m\",\"data\":1}",
            "<a {\"type\":\"call\",\"id\":2,\"event\":\"m\",\"data\":1}",
            "<a {\"type\":\"call\",\"id\":3,\"event\":\"m\",\"data\":1}",
            "<a {\"type\":\"call\",\"id\":4,\"event\":\"m\",\"data\":1}",
            ">a {\"type\":\"reply\",\"re\":1,\"error\":{\"code\":1999,\"message\":\"n\\u006f\"}}",
            "=a 1999 no", ">a {\"type\":\"reply\",\"re\":2,\"error\":{\"code\":103}}", "=a 400 ",
            ">a {\"type\":\"reply\",\"re\":3,\"error\":\"busy\",\"data\":7}", "=a 400 busy",
            ">a {\"type\":\"reply\",\"re\":4,\"error\":null}", "=a 400 " } },
    { "replies to nothing: another id, twice, late, of wrong types, none", LN_USER_NATIVE,
        { "<a ", "?a m 1", "<a {\"type\":\"call\",\"id\":1,\"event\":\"m\",\"data\":1}",
            ">a {\"type\":\"reply\",\"re\":2,\"data\":1}", "=", "ta 1000", "=a TIMEOUT",
            ">a {\"type\":\"reply\",\"re\":1,\"data\":1}",
            ">a {\"type\":\"reply\",\"re\":\"1\",\"data\":1}",
            ">a {\"type\":\"reply\",\"re\":{},\"data\":1}", ">a {\"type\":\"reply\",\"data\":1}",
            ">a {\"type\":\"reply\",\"re\":-1}", ">a {\"type\":\"reply\",\"re\":\"c:\"}",
            ">a {\"type\":\"reply\",\"re\":\"c:99999999999\"}", "=", "!a" } },
    { "only who was asked can answer", LN_USER_NATIVE,
        { "<a ", ">b {\"type\":\"pong\",\"x\":1}",
            ">b {\"type\":\"unsubscribe\",\"channel\":\"x\"}",
            "<b {\"type\":\"error\",\"channel\":\"x\"," ERR(
                113, "not_subscribed", "not subscribed"),
            "?a m 1", "<a {\"type\":\"call\",\"id\":1,\"event\":\"m\",\"data\":1}",
            ">b {\"type\":\"reply\",\"re\":1,\"data\":1}", "=",
            ">a {\"type\":\"reply\",\"re\":1,\"data\":2}", "=a 0 2", "!a", "!b" } },
    { "each has its own time", LN_USER_NATIVE,
        { "<a ", "?a m 1", "ta 600", "?a m 2", "ta 399", "=", "ta 1", "=a TIMEOUT", "ta 599", "=",
            "ta 1", "=a TIMEOUT", "=" } },
    { "the connection goes", LN_USER_NATIVE,
        { "<a ", "?a m 1", "?a m 2", "ca 1006", "=a CLOSED", "=a CLOSED", "=" } },
    { "linnet.rpc in its own words", LN_USER_RPC,
        { "?a add [1]",
            "<a {\"id\":\"c:1\",\"type\":\"command\",\"timestamp\":1700000000000,"
            "\"payload\":{\"action\":\"add\",\"parameters\":[1]}}",
            ">a {\"id\":\"x\",\"type\":\"response\",\"requestId\":\"c:1\",\"payload\":1}", "=a 0 1",
            "?a m 2",
            "<a {\"id\":\"c:2\",\"type\":\"command\",\"timestamp\":1700000000000,"
            "\"payload\":{\"action\":\"m\",\"parameters\":2}}",
            ">a {\"id\":\"x\",\"type\":\"response\",\"requestId\":\"q\",\"payload\":1}", "=",
            ">a {\"id\":\"x\",\"type\":\"error\",\"requestId\":\"c:2\",\"error\":\"no such\"}",
            "=a 400 no such", "!a" } },
    { "the other dialects have no words for it", LN_USER_TOPIC,
        { "?a m 1", "=a not asked: UNSUPPORTED", "!a",
            ">a {\"type\":\"reply\",\"re\":1,\"data\":1}",
            "<a {\"received\":{\"type\":\"reply\",\"re\":1,\"data\":1}}", "=" } },
    { "in linnet.event a reply is a word like any other", LN_USER_EVENT,
        { "?a m 1", "=a not asked: UNSUPPORTED",
            ">a {\"type\":\"join\",\"payload\":{\"room\":\"x\"}}",
            ">a {\"type\":\"reply\",\"payload\":{\"re\":1}}",
            "<a {\"type\":\"reply\",\"payload\":{\"re\":1},\"timestamp\":1700000000000}" } },
    { "and in linnet.channel it is unknown", LN_USER_CHANNEL,
        { "?a m 1", "=a not asked: UNSUPPORTED", ">a {\"action\":\"reply\",\"re\":1,\"data\":1}",
            "<a {\"channel\":\"system\",\"data\":{\"type\":\"error\",\"message\":\"unknown type\","
            "\"code\":104}}" } },
    { "a feed", LN_USER_FEED, { "?a m 1", "=a not asked: UNSUPPORTED" } },
    { "nothing comes unasked before a dialect is chosen", AUTO,
        { "?a m 1", "=a not asked: UNSUPPORTED", "!a" } },
};

static void test_conversations(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        world w;
        memset(&program, 0, sizeof program);
        world_open(&w);
        for (int k = 0; k < PEERS; k++)
            peer_open(&w, k, k == 0 ? rows[i].dialect : AUTO);
        for (int k = 0; k < LINES && rows[i].lines[k]; k++) {
            if (strcmp(rows[i].lines[k], "<a ") == 0) /* its welcome */
                assert_int_equal(count_lines(&w.peers[0], "welcome"), 1);
            else
                play_call(&w, rows[i].lines[k]);
        }
        world_close(&w);
    }
}

/* As many as it may have requests of its own; an answer makes room for another one. */
static void test_not_too_many(void **state) {
    (void)state;
    world w;
    memset(&program, 0, sizeof program);
    world_open(&w);
    peer *p = peer_open(&w, 0, LN_USER_NATIVE);
    for (uint32_t i = 0; i < w.limits.outstanding_max; i++)
        assert_int_equal(ask(&w, 'a', LN_SLICE("m"), LN_SLICE("1"), 1000), LINNET_OK);
    assert_int_equal(ask(&w, 'a', LN_SLICE("m"), LN_SLICE("1"), 1000), LINNET_ERR_LIMIT);
    assert_int_equal(count_lines(p, "\"call\""), w.limits.outstanding_max);
    say(p, LN_SLICE("{\"type\":\"reply\",\"re\":9}"));
    assert_int_equal(ask(&w, 'a', LN_SLICE("m"), LN_SLICE("1"), 10), LINNET_OK);
    assert_int_equal(count_lines(p, "\"id\":65,"), 1);               /* never one that was used */
    assert_int_equal(ln_sessions_deadline(&w.sessions), w.now + 10); /* the last that was asked */
    world_close(&w);
    assert_int_equal(ln_stat_get(&w.sessions.called), 65);
    assert_int_equal(ln_stat_get(&w.sessions.strays), 0);
}

/* Words of a refusal are cut where a character begins. */
static void test_long_words(void **state) {
    (void)state;
    world w;
    char text[600], letters[401], got[512];
    for (int i = 0; i < 400; i++)
        letters[i] = "\xc3\xa4"[i % 2];
    letters[400] = 0;
    snprintf(text, sizeof text, "{\"type\":\"reply\",\"re\":1,\"error\":{\"message\":\"x%s\"}}",
        letters);
    memset(&program, 0, sizeof program);
    world_open(&w);
    peer *p = peer_open(&w, 0, LN_USER_NATIVE);
    assert_int_equal(ask(&w, 'a', LN_SLICE("m"), LN_SLICE("1"), 1000), LINNET_OK);
    say(p, ln_slice_str(text));
    next_heard(got, sizeof got);
    assert_int_equal(strlen(got), strlen("a 400 ") + 255);
    assert_true(ln_utf8_valid(ln_slice_str(got)));
    world_close(&w);
}

/* What could not be said was not asked. */
static void test_without_memory(void **state) {
    (void)state;
    world w;
    memset(&program, 0, sizeof program);
    ln_test_memory memory = { 0 };
    world_open(&w);
    peer *p = peer_open(&w, 0, LN_USER_NATIVE);
    count_lines(p, "welcome");
    ln_test_memory_install(&memory);
    memory.fail_at = memory.calls + 1;
    ln_buf_fini(&w.sessions.out);
    int err = ask(&w, 'a', LN_SLICE("m"), LN_SLICE("1"), 1000);
    memory.fail_at = 0;
    assert_int_equal(err, LINNET_ERR_NOMEM);
    assert_int_equal(count_lines(p, "call"), 0);
    assert_int_equal(ask(&w, 'a', LN_SLICE("m"), LN_SLICE("1"), 1000), LINNET_OK);
    assert_int_equal(count_lines(p, "\"id\":1,"), 1); /* the one that was not said has no number */
    ln_test_memory_remove();
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversations),
        cmocka_unit_test(test_not_too_many),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
