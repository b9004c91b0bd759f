/* Commands that somebody else answers: order, waiting, cancelling, and who does not answer. */
#include "session/ask.h"
#include "session/hooks.h"
#include "session/session_test.h"

#define QUESTIONS 32

typedef struct fake {
    ln_asker asker;
    struct {
        uint64_t who;
        uint32_t ticket;
        char text[128]; /* "publish a x 1" */
    } asked[QUESTIONS];
    int count, read;
} fake;

/* Of a channel that is called `now` or `no` the answer is there at once; `none`: nobody is. */
static int fake_ask(void *ctx, const ln_question *q, ln_answer *now) {
    fake *f = ctx;
    assert_true(f->count < QUESTIONS);
    f->asked[f->count].who = q->who;
    f->asked[f->count].ticket = q->ticket;
    snprintf(f->asked[f->count].text, sizeof f->asked[0].text, "%s %.*s %.*s %.*s",
        ln_hook_name(q->kind), (int)q->client.size, (const char *)q->client.data,
        (int)q->channel.size, (const char *)q->channel.data, (int)q->data.size,
        (const char *)q->data.data);
    f->count++;
    if (ln_slice_eq(q->channel, LN_SLICE("none"))) return LINNET_ERR_AGAIN;
    if (ln_slice_eq(q->channel, LN_SLICE("no")))
        *now = (ln_answer){ .code = 1200, .message = LN_SLICE("not you") };
    bool at_once = q->channel.size > 1 && q->channel.data[0] == 'n';
    return at_once ? LN_DONE : LN_PENDING;
}

/* "=1 0" allows question 1, "=1 103" does not, "=1 [2]" allows and says it so, "=1 !" could not. */
static void answer(world *w, const fake *f, const char *line) {
    char *what;
    long n = strtol(line + 1, &what, 10);
    assert_true(n >= 1 && n <= f->count);
    what++;
    ln_answer a = { 0 };
    if (*what == '!')
        a.err = LINNET_ERR_HTTP;
    else if (*what == '[')
        a.data = ln_slice_str(what);
    else
        a.code = (uint16_t)strtol(what, NULL, 10);
    ln_sessions_answer(&w->sessions, f->asked[n - 1].who, f->asked[n - 1].ticket, &a);
    run(w);
}

/* As play_line, and "?TEXT" is the next question, "?" says there is none, "-a" a goes away, "t5000"
 * time passes. */
static void play_asked(world *w, fake *f, const char *line) {
    switch (line[0]) {
    case '?':
        assert_string_equal(f->read < f->count ? f->asked[f->read].text : "", line + 1);
        f->read += f->read < f->count;
        break;
    case '=': answer(w, f, line); break;
    case '-': peer_close(&w->peers[line[1] - 'a']); break;
    case 't': tick(w, (ln_msec)strtol(line + 1, NULL, 10)); break;
    default: play_line(w, line);
    }
}

#define SUB(id, c) "{\"type\":\"subscribe\",\"id\":" #id ",\"channel\":\"" #c "\"}"
#define UNS(id, c) "{\"type\":\"unsubscribe\",\"id\":" #id ",\"channel\":\"" #c "\"}"
#define PUB(id, c, data)                                                                           \
    "{\"type\":\"publish\",\"id\":" #id ",\"channel\":\"" #c "\",\"data\":" #data "}"
#define SUBBED(id, at)                                                                             \
    "{\"type\":\"ok\",\"re\":" #id "," EPOCH ",\"offset\":" #at ",\"class\":\"recoverable\"}"
#define PUBBED(id, at) "{\"type\":\"ok\",\"re\":" #id "," EPOCH ",\"offset\":" #at "}"
#define OK(id)         "{\"type\":\"ok\",\"re\":" #id "}"
#define NO(id, c, code, name, words)                                                               \
    "{\"type\":\"error\",\"re\":" #id ",\"channel\":\"" #c "\"," ERR(code, name, words)
#define LATE(id, c)                                                                                \
    "{\"type\":\"error\",\"re\":" #id ",\"channel\":\"" #c                                         \
    "\",\"error\":{\"code\":108,\"name\":\"not_available\",\"message\":\"the backend gave no "     \
    "answer\",\"retry\":true}}"

static const conversation asked[] = {
    { "asked, allowed, and then as ever", LN_USER_NATIVE,
        { "?", ">a " SUB(1, x), "?subscribe a x ", "!a", "=1 0", "<a " SUBBED(1, 0),
            ">a " PUB(2, x, 5), "?publish a x 5", "!a", "=2 0", HEARD(a, a, 5, 1),
            "<a " PUBBED(2, 1), "?" } },
    { "refused, and nothing has happened", LN_USER_NATIVE,
        { ">a " SUB(1, x), "=1 103", "<a " NO(1, x, 103, "permission_denied", "permission denied"),
            ">a " PUB(2, x, 5), "=2 1234", "<a " NO(2, x, 1234, "application", "refused"),
            ">a " UNS(3, x), "<a " NO(3, x, 113, "not_subscribed", "not subscribed"), "!a" } },
    { "answered at once", LN_USER_NATIVE,
        { ">a " SUB(1, now), "<a " SUBBED(1, 0), ">a " SUB(2, no),
            "<a " NO(2, no, 1200, "application", "not you"), ">a " SUB(3, none),
            "<a " LATE(3, none), "!a" } },
    { "it is said as the answer says it", LN_USER_NATIVE,
        { ">a " SUB(1, x), "=1 0", "<a " SUBBED(1, 0), ">a " PUB(2, x, 5), "=2 [7]",
            HEARD(a, a, [7], 1), "<a " PUBBED(2, 1) } },
    { "a command behind a pending one waits, and another channel does not", LN_USER_NATIVE,
        { ">a " SUB(1, x), ">a " PUB(2, x, 5), ">a " SUB(3, y), "?subscribe a x ",
            "?subscribe a y ", "?", "=2 0", "<a " SUBBED(3, 0), "!a", "=1 0", "<a " SUBBED(1, 0),
            "?publish a x 5", "=3 0", HEARD(a, a, 5, 1), "<a " PUBBED(2, 1) } },
    { "many wait in their order, although answers are late or no", LN_USER_NATIVE,
        { ">a " SUB(1, x), ">a " PUB(2, x, 5), ">a " PUB(3, x, 6), ">a " PUB(4, x, 7), "=1 0",
            "<a " SUBBED(1, 0), "!a", "=2 0", HEARD(a, a, 5, 1), "<a " PUBBED(2, 1), "=3 103",
            "<a " NO(3, x, 103, "permission_denied", "permission denied"), "=4 0",
            HEARD(a, a, 7, 2), "<a " PUBBED(4, 2), "!a" } },
    { "an unsubscribe cancels a subscribe that is asked, and its answer is nobody's",
        LN_USER_NATIVE,
        { ">a " SUB(1, x), ">a " UNS(2, x),
            "<a " NO(1, x, 113, "not_subscribed", "an unsubscribe came behind it"), "<a " OK(2),
            "=1 0", "!a", ">b " PUB(1, x, 5), "=2 0", "<b " PUBBED(1, 1), "!a" } },
    { "an unsubscribe waits behind what was said before it", LN_USER_NATIVE,
        { ">a " SUB(1, x), "=1 0", "<a " SUBBED(1, 0), ">a " PUB(2, x, 5), ">a " UNS(3, x), "!a",
            "=2 0", HEARD(a, a, 5, 1), "<a " PUBBED(2, 1), "<a " OK(3), "!a" } },
    { "and the next subscribe waits until it is out", LN_USER_NATIVE,
        { ">a " SUB(1, x), "=1 0", "<a " SUBBED(1, 0), ">a " PUB(2, x, 5), ">a " UNS(3, x),
            ">a " SUB(4, x), "=2 0", HEARD(a, a, 5, 1), "<a " PUBBED(2, 1), "<a " OK(3),
            "?subscribe a x ", "?publish a x 5", "?subscribe a x ", "=3 0", "<a " SUBBED(4, 1),
            "!a" } },
    { "a second subscribe waits for the first one's fate", LN_USER_NATIVE,
        { ">a " SUB(1, x), ">a " SUB(2, x), "!a", "=1 0",
            "<a " NO(2, x, 105, "already_subscribed", "already subscribed"), "<a " SUBBED(1, 0),
            "!a" } },
    { "nobody answers: refused after 5 s, and an answer after that is none", LN_USER_NATIVE,
        { ">a " SUB(1, x), ">a " PUB(2, y, 5), "t4999", "!a", "t1", "<a " LATE(1, x),
            "<a " LATE(2, y), "=1 0", "=2 0", "!a", ">a " SUB(3, x), "=3 0", "<a " SUBBED(3, 0) } },
    { "what waits behind the late one has its own 5 s", LN_USER_NATIVE,
        { ">a " SUB(1, x), ">a " SUB(2, x), "t5000", "<a " LATE(1, x), "!a", "=2 0",
            "<a " SUBBED(2, 0), "!a" } },
    { "the backend could not be asked", LN_USER_NATIVE,
        { ">a " SUB(1, x), "=1 !", "<a " LATE(1, x), "!a" } },
    { "the end cancels all, and answers for it are nobody's", LN_USER_NATIVE,
        { ">a " SUB(1, x), ">a " PUB(2, x, 5), ">b " SUB(1, x), "-a", "?subscribe a x ",
            "?subscribe b x ", "?disconnect a  ", "=1 0", "=2 0", "<b " SUBBED(1, 0), "!b",
            "t5000" } },
    { "without an id nothing is answered, and all is done", LN_USER_NATIVE,
        { ">a {\"type\":\"subscribe\",\"channel\":\"x\"}", "=1 0", "!a", ">b " PUB(1, x, 5), "=2 0",
            HEARD(a, b, 5, 1) } },
    { "a name that is none is not asked about", LN_USER_NATIVE,
        { ">a " SUB(1, $x),
            "<a " NO(1, $x, 103, "permission_denied", "this channel name is reserved"), "?" } },
    { "a call", LN_USER_NATIVE,
        { ">a {\"type\":\"call\",\"id\":1,\"event\":\"add\",\"data\":[1,2]}",
            ">a {\"type\":\"call\",\"id\":2,\"event\":\"add\"}", "?call a  [1,2]", "?call a  ",
            "=2 0", "<a {\"type\":\"ok\",\"re\":2,\"data\":null}", "=1 [3]",
            "<a {\"type\":\"ok\",\"re\":1,\"data\":[3]}", "!a" } },
    { "a call refused, and one that nobody answers", LN_USER_NATIVE,
        { ">a {\"type\":\"call\",\"id\":1,\"event\":\"add\"}",
            ">a {\"type\":\"call\",\"id\":2,\"event\":\"add\"}", ">a {\"type\":\"call\",\"id\":3}",
            "<a {\"type\":\"error\",\"re\":3,\"error\":{\"code\":107,\"name\":\"bad_request\","
            "\"message\":\"event, the method, is missing\",\"retry\":false}}",
            "=1 404",
            "<a {\"type\":\"error\",\"re\":1,\"error\":{\"code\":404,\"name\":\"application\","
            "\"message\":\"refused\",\"retry\":false}}",
            "t5000",
            "<a {\"type\":\"error\",\"re\":2,\"error\":{\"code\":115,\"name\":\"timeout\","
            "\"message\":\"the backend gave no answer\",\"retry\":true}}",
            "!a" } },
    { "a call on a channel keeps its place there", LN_USER_NATIVE,
        { ">a " SUB(1, x),
            ">a {\"type\":\"call\",\"id\":2,\"event\":\"add\",\"channel\":\"x\",\"data\":1}",
            "?subscribe a x ", "?", "=1 0", "?call a x 1", "<a " SUBBED(1, 0), "=2 [2]",
            "<a {\"type\":\"ok\",\"re\":2,\"data\":[2]}", "!a" } },
    { "a type of the application", LN_USER_NATIVE,
        { ">a {\"type\":\"move\",\"id\":1,\"data\":7}", "?call a  7", "=1 [8]",
            "<a {\"type\":\"ok\",\"re\":1,\"data\":[8]}", ">a {\"type\":\"move\",\"data\":9}",
            "?event a  9", "!a" } },
    { "dialect B: what it does not know goes to the backend and not back", LN_USER_TOPIC,
        { ">a {\"type\":\"move\",\"data\":9}", "?event a  9", "!a" } },
    { "dialect C: a query, and an event of the application", LN_USER_RPC,
        { ">a {\"id\":\"q\",\"type\":\"query\",\"payload\":{\"resource\":\"r\",\"parameters\":"
          "{\"n\":1}}}",
            "?call a  {\"n\":1}", "=1 [2]",
            "<a {\"id\":\"r:q\",\"type\":\"response\",\"requestId\":\"q\",\"payload\":[2],"
            "\"timestamp\":1700000000000}",
            ">a {\"id\":\"e\",\"type\":\"event\",\"payload\":{\"event\":\"x\",\"data\":4}}",
            "?event a  4", "!a" } },
    { "dialect A", LN_USER_CHANNEL,
        { ">a {\"action\":\"subscribe\",\"channel\":\"x\"}",
            ">a {\"action\":\"publish\",\"channel\":\"x\",\"data\":5}", "=1 0",
            "<a {\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\",\"channel\":"
            "\"x\"}}",
            "=2 0", "<a {\"channel\":\"x\",\"data\":5}" } },
};

static void world_asked(world *w, fake *f) {
    world_open(w);
    *f = (fake){ .asker = { .ctx = f, .kinds = UINT32_MAX, .ask = fake_ask } };
    w->sessions.asker = &f->asker;
}

static void test_conversations(void **state) {
    for (size_t i = 0; i < LN_COUNT(asked); i++) {
        print_message("# %s\n", asked[i].why);
        world w;
        fake f;
        world_asked(&w, &f);
        for (int p = 0; p < PEERS; p++)
            peer_open(&w, p, p == 0 ? asked[i].dialect : AUTO);
        char welcome[1024];
        if (asked[i].dialect == LN_USER_NATIVE) next_line(&w.peers[0], welcome, sizeof welcome);
        for (int n = 0; n < LINES && asked[i].lines[n]; n++)
            play_asked(&w, &f, asked[i].lines[n]);
        assert_true(ln_list_empty(&w.sessions.asked) || w.peers[0].open);
        world_close(&w);
    }
}

/* The channel of a URL is asked for like any other. */
static void test_feed(void **state) {
    static const struct {
        const char *why;
        uint16_t answer;
        const char *lines[4];
    } rows[] = {
        { "allowed", 0, { ">b " PUB(1, x, 5), "=2 0", "<a 5", "xa 0" } },
        { "refused", 103, { ">b " PUB(1, x, 5), "=2 0", "!a", "xa 1008" } },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        world w;
        fake f;
        world_asked(&w, &f);
        ln_session_options o = { .limits = &w.limits,
            .dialect = LN_USER_FEED,
            .client = LN_SLICE("a"),
            .feed = LN_SLICE("x") };
        assert_int_equal(ln_session_open(&w.sessions, &w.peers[0].c, &o), LINNET_OK);
        w.peers[0].open = true;
        peer_open(&w, 1, AUTO);
        play_asked(&w, &f, "?subscribe a x ");
        const ln_answer answer = { .code = rows[i].answer };
        ln_sessions_answer(&w.sessions, f.asked[0].who, f.asked[0].ticket, &answer);
        run(&w);
        for (size_t n = 0; n < LN_COUNT(rows[i].lines); n++)
            play_asked(&w, &f, rows[i].lines[n]);
        world_close(&w);
    }
}

/* Commands that wait count as outstanding: beyond the bound the connection is not read. */
static void test_bound(void **state) {
    world w;
    fake f;
    world_asked(&w, &f);
    w.limits.outstanding_max = 4;
    peer *a = peer_open(&w, 0, AUTO);
    for (int i = 0; i < 6; i++)
        say(a, LN_SLICE("{\"type\":\"publish\",\"channel\":\"x\",\"data\":1}"));
    run(&w);
    assert_int_equal(f.count, 1);
    assert_int_equal(a->pauses, LN_PAUSE_WAIT);
    for (int i = 0; i < 6; i++) {
        const ln_answer yes = { 0 };
        assert_int_equal(f.count, i + 1);
        ln_sessions_answer(&w.sessions, f.asked[i].who, f.asked[i].ticket, &yes);
        run(&w);
    }
    assert_int_equal(a->pauses, 0);
    assert_int_equal(ln_stat_get(&w.hub->publishes), 6);
    world_close(&w);
}

/* Whoever publishes too fast is told so before anybody is asked, and nobody pays twice. */
static void test_rate(void **state) {
    world w;
    fake f;
    world_asked(&w, &f);
    w.limits.publish_rate = 1;
    w.limits.publish_burst = 2;
    peer *a = peer_open(&w, 0, LN_USER_NATIVE);
    const ln_answer yes = { 0 };
    for (int i = 0; i < 3; i++)
        say(a, LN_SLICE("{\"type\":\"publish\",\"channel\":\"x\",\"data\":1}"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(f.count, i + 1);
        ln_sessions_answer(&w.sessions, f.asked[i].who, f.asked[i].ticket, &yes);
        run(&w);
    }
    assert_int_equal(f.count, 2);
    assert_int_equal(count_lines(a, "\"code\":111"), 1);
    assert_int_equal(ln_stat_get(&w.hub->publishes), 2);
    world_close(&w);
}

static void test_without_memory(void **state) {
    for (uint64_t n = 1;; n++) {
        world w;
        fake f;
        world_asked(&w, &f);
        peer *a = peer_open(&w, 0, AUTO);
        ln_test_memory m = { .fail_at = n };
        ln_test_memory_install(&m);
        say(a, LN_SLICE("{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}"));
        say(a, LN_SLICE("{\"type\":\"publish\",\"id\":2,\"channel\":\"x\",\"data\":1}"));
        for (int i = 0; i < f.count; i++) {
            const ln_answer yes = { 0 };
            ln_sessions_answer(&w.sessions, f.asked[i].who, f.asked[i].ticket, &yes);
            run(&w);
        }
        peer_close(a);
        world_close(&w);
        ln_test_memory_remove();
        if (m.calls < n) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversations),
        cmocka_unit_test(test_feed),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
