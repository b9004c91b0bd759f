/* Clients that the program puts into channels. Conversations as in login_test.h, and besides:
 * "eWHO CHANNEL IN/FULL" puts client WHO (*: all) into a channel, and so many are in, and full;
 * with
 * "+" in front the hub does nothing before the next line. "-WHO CHANNEL N" takes N out again.
 */
#include "session/login_test.h"

static ln_whom whom_of(const char *line) {
    ln_whom whom = { .client = ln_slice_of(line, 1) };
    if (*line == '*') whom.client = LN_SLICE("");
    return whom;
}

static void enlist(world *w, const char *line, bool now) {
    ln_whom whom = whom_of(line + 1);
    const char *channel = line + 3, *space = strchr(channel, ' ');
    ln_enlisted got;
    char text[32];
    assert_non_null(space);
    ln_sessions_enlist(&w->sessions, &whom, ln_slice_of(channel, (size_t)(space - channel)), &got);
    snprintf(text, sizeof text, "%u/%u", got.in, got.full);
    if (strcmp(text, space + 1) != 0) fail_msg("%s: %s", line, text);
    assert_int_equal(got.err, LINNET_OK);
    if (now) run(w);
}

static void expel(world *w, const char *line) {
    ln_whom whom = whom_of(line + 1);
    const char *channel = line + 3, *space = strchr(channel, ' ');
    assert_non_null(space);
    uint32_t n = ln_sessions_expel(
        &w->sessions, &whom, ln_slice_of(channel, (size_t)(space - channel)));
    assert_int_equal(n, strtoul(space + 1, NULL, 10));
    run(w);
}

static void act(place *at, const char *line) {
    bool later = line[0] == '+' && line[1] == 'e';
    if (later || line[0] == 'e')
        enlist(&at->w, line + later, !later);
    else if (line[0] == '-')
        expel(&at->w, line);
    else
        play_here(at, line);
}

#define PUT_AT(who, name, at)                                                                      \
    "<" #who " {\"type\":\"subscribed\",\"channel\":\"" name "\"," EPOCH ",\"offset\":" #at        \
    ",\"class\":\"recoverable\"}"
#define PUT(who, name) PUT_AT(who, name, 0)
#define SUB(who, id, name)                                                                         \
    ">" #who " {\"type\":\"subscribe\",\"id\":" #id ",\"channel\":\"" name "\"}"
#define OK_AT(who, id, at)                                                                         \
    "<" #who " {\"type\":\"ok\",\"re\":" #id "," EPOCH ",\"offset\":" #at                          \
    ",\"class\":\"recoverable\"}"
#define SAY(who, id) ">" #who " {\"type\":\"publish\",\"id\":" #id ",\"channel\":\"x\",\"data\":1}"
#define OUT(who, name, code, word, words)                                                          \
    "<" #who " {\"type\":\"unsubscribed\",\"channel\":\"" name "\",\"code\":" #code                \
    ",\"reason\":\"" words "\",\"retry\":false}"

static const struct {
    const char *why;
    uint32_t channels_max;
    bool with_login;
    const char *lines[LINES];
} rows[] = {
    { "linnet.v1 is told, and hears what is said", 0, false,
        { "ea x 1/0", PUT(a, "x"), SUB(b, 1, "x"), OK_AT(b, 1, 0), SAY(b, 2), HEARD(a, b, 1, 1),
            HEARD(b, b, 1, 1), "~", NULL } },
    { "all", 0, false,
        { SUB(b, 1, "y"), OK_AT(b, 1, 0), ">c {\"action\":\"subscribe\",\"channel\":\"y\"}", "~",
            "e* x 3/0", PUT(a, "x"), PUT(b, "x"), "!b",
            "<c "
            "{\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\",\"channel\":\"x\"}"
            "}",
            "!c", "!d" } },
    { "topics need not be told", 0, false,
        { ">c {\"type\":\"subscribe\",\"topic\":\"y\"}", "ec x 1/0", "!c", SUB(b, 1, "x"),
            OK_AT(b, 1, 0), SAY(b, 2), "<c {\"type\":\"message\",\"topic\":\"x\",\"data\":1}" } },
    { "who has not said what he speaks hears nothing", 0, false, { "eb x 0/0", "!b" } },
    { "nobody is called so", 0, false, { "ez x 0/0", "!a" } },
    { "twice", 0, false, { "ea x 1/0", PUT(a, "x"), "ea x 1/0", "!a" } },
    { "twice at once", 0, false, { "+ea x 1/0", "ea x 1/0", PUT(a, "x"), "!a" } },
    { "who is there by himself", 0, false, { SUB(a, 1, "x"), OK_AT(a, 1, 0), "ea x 1/0", "!a" } },
    { "who is on his way there", 0, false,
        { "+" SUB(a, 1, "x"), "ea x 1/0", OK_AT(a, 1, 0), "!a" } },
    { "who is on his way where his home has no room, is answered", 0, false,
        { SUB(a, 1, "y"), OK_AT(a, 1, 0), "+" SUB(a, 2, "x"), "ea x 1/0",
            "<a {\"type\":\"error\",\"re\":2,\"channel\":\"x\",\"error\":{\"code\":106,"
            "\"name\":\"limit_exceeded\",\"message\":\"limit exceeded\",\"retry\":false}}",
            "!a" } },
    { "who is put where a home that has no room is", 0, false,
        { SUB(a, 1, "y"), OK_AT(a, 1, 0), "ea x 1/0",
            "<a {\"type\":\"unsubscribed\",\"channel\":\"x\",\"code\":106,"
            "\"reason\":\"limit exceeded\",\"retry\":true}",
            "!a" } },
    { "who comes when he is there", 0, false,
        { "ea x 1/0", PUT(a, "x"), SUB(a, 1, "x"), OK_AT(a, 1, 0), "!a" } },
    { "who comes while he is being put there", 0, false,
        { "+ea x 1/0", SUB(a, 1, "x"), PUT(a, "x"), OK_AT(a, 1, 0), "!a" } },
    { "he leaves, and is put there again", 0, false,
        { "ea x 1/0", PUT(a, "x"), ">a {\"type\":\"unsubscribe\",\"id\":1,\"channel\":\"x\"}",
            "<a {\"type\":\"ok\",\"re\":1}", "ea x 1/0", PUT(a, "x"), "!a" } },
    { "he leaves behind what he has said, and is put there meanwhile", 0, false,
        { SUB(a, 1, "x"), OK_AT(a, 1, 0), "+" SAY(a, 2),
            "+>a {\"type\":\"unsubscribe\",\"id\":3,\"channel\":\"x\"}", "ea x 1/0",
            HEARD(a, a, 1, 1), "<a {\"type\":\"ok\",\"re\":2," EPOCH ",\"offset\":1}",
            "<a {\"type\":\"ok\",\"re\":3}", PUT_AT(a, "x", 1), "!a" } },
    { "and taken out again before that", 0, false,
        { SUB(a, 1, "x"), OK_AT(a, 1, 0), "+" SAY(a, 2),
            "+>a {\"type\":\"unsubscribe\",\"id\":3,\"channel\":\"x\"}", "+ea x 1/0", "-a x 0",
            HEARD(a, a, 1, 1), "<a {\"type\":\"ok\",\"re\":2," EPOCH ",\"offset\":1}",
            "<a {\"type\":\"ok\",\"re\":3}", "!a" } },
    { "put there, and taken out", 0, false,
        { "ea x 1/0", PUT(a, "x"), "-a x 1", OUT(a, "x", 103, "", "permission denied"), "!a" } },
    { "taken out on his way", 0, false,
        { "+ea x 1/0", "-a x 1", OUT(a, "x", 103, "", "permission denied"), "!a" } },
    { "he goes meanwhile", 0, false, { "+ea x 1/0", "ca 1006", "!a", "e* x 0/0" } },
    { "as many channels as he may have", 2, false,
        { SUB(a, 1, "y"), OK_AT(a, 1, 0), "ea x 1/0", PUT(a, "x"), "ea z 0/1", "ea x 1/0", "!a" } },
    { "one is in, and one has no room", 1, false,
        { SUB(a, 1, "y"), OK_AT(a, 1, 0), SAY(b, 1), "~", "e* x 1/1", PUT_AT(b, "x", 1), "!a" } },
    { "more than may be outstanding", 0, false,
        { "+ea x 1/0", "+ea y 1/0", "ea z 1/0", PUT(a, "x"), PUT(a, "y"), PUT(a, "z"),
            ">a {\"type\":\"ping\",\"id\":1}", "<a {\"type\":\"pong\",\"re\":1}" } },
    { "where rules would not let him, whatever comes next", 0, true,
        { "oa v1 {carl2}", "~", "ea @bob 1/0", PUT(a, "@bob"), SUB(a, 1, "@dora"), "~",
            ">a {\"type\":\"refresh\",\"id\":2,\"data\":{\"token\":\"{carl}\"}}", "~", "!a",
            "-a @bob 1", OUT(a, "@bob", 103, "", "permission denied") } },
    { "who has not logged in is left out, and one more is not", 0, true,
        { "oa v1", "~", "ob v1 {anna}", "~", "e* x 1/0", PUT(b, "x"), "!a" } },
};

static bool is_silence(place *at, const char *line) { /* "~": whatever a to d were told so far */
    if (strcmp(line, "~") != 0) return false;
    for (int i = 0; i < PEERS; i++)
        count_lines(&at->w.peers[i], "");
    return true;
}

static void conversations(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        place at;
        print_message("# %s\n", rows[i].why);
        place_open(&at, false, false);
        if (rows[i].channels_max) at.w.limits.channels_max = rows[i].channels_max;
        if (strstr(rows[i].why, "no room,") || strstr(rows[i].why, "no room is"))
            at.w.hub->homes.map[LN_SPACE_CHANNELS].max = 1;
        if (strstr(rows[i].why, "outstanding")) at.w.limits.outstanding_max = 2;
        for (int k = 0; k < PEERS && !rows[i].with_login; k++)
            peer_open(&at.w, k, k == 0 ? LN_USER_NATIVE : AUTO);
        if (!rows[i].with_login) count_lines(&at.w.peers[0], "");
        for (int k = 0; k < LINES && rows[i].lines[k]; k++)
            if (!is_silence(&at, rows[i].lines[k])) act(&at, rows[i].lines[k]);
        place_close(&at);
    }
}

/* A feed is for one channel. */
static void feeds(void **state) {
    (void)state;
    world w;
    world_open(&w);
    ln_session_options o = {
        .limits = &w.limits, .dialect = LN_USER_FEED, .feed = LN_SLICE("attacks")
    };
    assert_int_equal(ln_session_open(&w.sessions, &w.peers[0].c, &o), LINNET_OK);
    w.peers[0].open = true;
    run(&w);
    enlist(&w, "e* x 0/0", true);
    world_close(&w);
}

/* The n-th allocation fails: who is not in is not counted, and nothing is left behind. */
static void memory(void **state) {
    (void)state;
    ln_test_memory m = { 0 };
    ln_test_memory_install(&m);
    world w;
    int failed = 0;
    world_open(&w);
    peer_open(&w, 0, LN_USER_NATIVE);
    ln_whom all = { .client = LN_SLICE("") };
    for (bool fine = false; !fine; failed += !fine) {
        ln_enlisted got;
        m.fail_at = m.calls + (uint64_t)failed + 1;
        ln_sessions_enlist(&w.sessions, &all, LN_SLICE("x"), &got);
        fine = got.err == LINNET_OK;
        m.fail_at = 0;
        if (!fine) assert_int_equal(got.err, LINNET_ERR_NOMEM);
        assert_int_equal(got.in, fine);
        run(&w);
        assert_in_range(failed, 0, 20);
    }
    assert_true(failed >= 3);
    count_lines(&w.peers[0], "");
    world_close(&w);
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations),
        cmocka_unit_test(feeds),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
