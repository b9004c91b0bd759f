/* Whom a backend has let in for a time: it is asked again when that ends. Conversations as in
 * session_test.h, and besides: "t MS" lets time pass, "?N" so many were asked, "=+S" the one asked
 * last may stay until S seconds after the beginning, "=403" not, "=!" there was no answer, "=0"
 * yes without a time, "r+S" the program lets it stay until then, "iJSON" gives it other info,
 * "=now" from here on each is answered at once, with 40 s more.
 */
#include "session/auth.h"
#include "session/orders.h"
#include "session/session_test.h"
#include <stdlib.h>

#define START (WALL / 1000) /* seconds, when a conversation begins */

typedef struct place {
    world w;
    ln_auth auth;
    ln_jws_keys *keys;
    ln_asker asker;
    uint64_t who;
    uint32_t ticket;
    int asked;
    bool at_once;
} place;

static int ask(void *ctx, const ln_question *q, ln_answer *now) {
    place *at = ctx;
    if (q->kind != LN_ASK_REFRESH) return LN_DONE;
    assert_true(ln_slice_eq(q->user, LN_SLICE("ann")));
    assert_true(ln_slice_eq(q->info, LN_SLICE("{\"n\":1}")));
    at->asked++;
    at->who = q->who;
    at->ticket = q->ticket;
    *now = (ln_answer){ .expires = ln_hub_wall(at->w.hub) / 1000 + 40 };
    return at->at_once ? LN_DONE : LN_PENDING;
}

static void answer(place *at, const char *what) {
    ln_answer a = { 0 };
    if (*what == '+')
        a.expires = START + strtoul(what + 1, NULL, 10);
    else if (*what == '[')
        a = (ln_answer){ .expires = START + 90, .channels = ln_slice_str(what) };
    else if (*what == '!')
        a.err = LINNET_ERR_TIMEOUT;
    else
        a.code = (uint16_t)strtoul(what, NULL, 10);
    ln_sessions_answer(&at->w.sessions, at->who, at->ticket, &a);
    run(&at->w);
}

static void pass(place *at, uint64_t ms) {
    for (; ms; ms -= 1000) {
        at->w.now += 1000;
        at->w.peers[0].c.heard = at->w.peers[0].c.spoke = (uint32_t)at->w.now;
        ln_hub_tick(at->w.hub, at->w.now, WALL + at->w.now - 50000);
        ln_sessions_tick(&at->w.sessions);
        run(&at->w);
    }
}

/* Until 60 s after the beginning, when it is asked about at 35 s. */
static void enter(place *at, bool vouched) {
    peer *p = &at->w.peers[0];
    ln_session_options o = { .limits = &at->w.limits,
        .dialect = LN_USER_NATIVE,
        .client = LN_SLICE("a"),
        .auth = &at->auth };
    assert_int_equal(ln_identity_vouch(LN_SLICE("ann"), LN_SLICE("{\"n\":1}"), LN_SLICE("[\"x\"]"),
                         START, START + 60, &o.identity),
        LINNET_OK);
    o.identity->vouched = vouched;
    p->c.heard = p->c.spoke = (uint32_t)at->w.now;
    assert_int_equal(ln_session_open(&at->w.sessions, &p->c, &o), LINNET_OK);
    p->open = true;
    run(&at->w);
    count_lines(p, ""); /* what it heard so far */
}

static void refresh(place *at, const char *what) {
    ln_whom whom = { .user = LN_SLICE("ann") }, bob = { .user = LN_SLICE("bob") };
    int err = LINNET_OK;
    bool time = what[0] == 'r';
    uint64_t expires = time ? START + strtoul(what + 2, NULL, 10) : 0;
    ln_slice info = ln_slice_str(time ? "" : what + 1);
    assert_int_equal(ln_sessions_refresh(&at->w.sessions, &bob, expires, info, &err), 0);
    assert_int_equal(ln_sessions_refresh(&at->w.sessions, &whom, expires, info, &err), 1);
    assert_int_equal(err, LINNET_OK);
}

#define SAY ">a {\"type\":\"publish\",\"channel\":\"x\",\"data\":1}"
#define FROM(who, at)                                                                              \
    "<a {\"type\":\"message\",\"channel\":\"x\",\"data\":1,\"offset\":" #at                        \
    ",\"ts\":1700000000000"                                                                        \
    ",\"from\":{\"client\":\"a\"," who "}}"

static const struct {
    const char *why;
    bool nobody;  /* is asked: there is no such hook */
    bool a_token; /* says who it is */
    const char *lines[LINES];
} rows[] = {
    { "asked 25 s before", false, false, { "t 34000", "?0", "t 2000", "?1", "!a", "xa 0" } },
    { "it may stay", false, false,
        { "t 36000", "=+120", "t 58000", "?1", "t 2000", "?2", "!a", "xa 0" } },
    { "and again", false, false,
        { "t 36000", "=+120", "t 60000", "=+200", "t 70000", "xa 0", "?2", "t 10000", "?3" } },
    { "it may not", false, false, { "t 36000", "=403", "xa 3005" } },
    { "yes, but for how long", false, false,
        { "t 36000", "=0", "xa 0", "t 50000", "xa 0", "t 5000", "?1", "xa 3005" } },
    { "until long ago", false, false, { "t 36000", "=+1", "t 54000", "xa 3005" } },
    { "no answer: asked again", false, false,
        { "t 36000", "?1", "=!", "t 3000", "?1", "t 3000", "?2", "=+120", "t 40000", "xa 0" } },
    { "never an answer", false, false,
        { "t 36000", "t 20000", "xa 0", "t 20000", "xa 0", "t 15000", "xa 3005" } },
    { "answered at once", false, false, { "=now", "t 36000", "?1", "t 90000", "!a", "xa 0" } },
    { "channels it is put into besides", false, false,
        { "t 36000", "=[\"x\",\"y\"]",
            "<a {\"type\":\"subscribed\",\"channel\":\"y\"," EPOCH
            ",\"offset\":0,\"class\":\"recoverable\"}",
            "!a", "xa 0" } },
    { "nobody is asked", true, false,
        { "t 36000", "?0", "<a {\"type\":\"expiring\",\"in\":25}", "!a", "t 55000", "xa 3005" } },
    { "the program lets it stay, and it hears nothing of that", true, false,
        { "t 30000", "r+120", "t 60000", "!a", "t 6000", "<a {\"type\":\"expiring\",\"in\":25}",
            "xa 0", "t 53000", "xa 0", "t 2000", "xa 3005" } },
    { "or not so long", true, false,
        { "r+40", "t 16000", "<a {\"type\":\"expiring\",\"in\":25}", "t 53000", "xa 0", "t 2000",
            "xa 3005" } },
    { "or longer than anybody counts", true, false,
        { "r+18446744072009551615", "t 100000", "!a", "xa 0" } },
    { "when it has been warned", true, false,
        { "t 36000", "<a {\"type\":\"expiring\",\"in\":25}", "r+200", "t 100000", "!a", "xa 0" } },
    { "while the backend is asked", false, false,
        { "t 36000", "?1", "r+200", "=!", "t 100000", "?1", "xa 0", "t 45000", "?2" } },
    { "other info, and it stays as long as before", true, false,
        { "i{\"n\":2}", SAY, FROM("\"user\":\"ann\",\"info\":{\"n\":2}", 1), "inull", SAY,
            FROM("\"user\":\"ann\"", 2), "r+50", SAY, FROM("\"user\":\"ann\"", 3), "t 26000",
            "<a {\"type\":\"expiring\",\"in\":25}" } },
    { "whoever came with a token brings another", false, true,
        { "t 36000", "?0", "<a {\"type\":\"expiring\",\"in\":25}", "!a" } },
};

static void play_here(place *at, const char *line) {
    if (line[0] == 't')
        pass(at, strtoul(line + 2, NULL, 10));
    else if (line[0] == 'i' || (line[0] == 'r' && line[1] == '+'))
        refresh(at, line);
    else if (line[0] == '?')
        assert_int_equal(at->asked, (int)strtol(line + 1, NULL, 10));
    else if (strcmp(line, "=now") == 0)
        at->at_once = true;
    else if (line[0] == '=')
        answer(at, line + 1);
    else
        play_line(&at->w, line);
}

static void conversations(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        place at;
        memset(&at, 0, sizeof at);
        print_message("# %s\n", rows[i].why);
        world_open(&at.w);
        assert_int_equal(ln_jws_keys_new(&at.keys), LINNET_OK);
        at.auth = (ln_auth){ .keys = at.keys, .anonymous = true };
        at.asker = (ln_asker){ .ctx = &at, .kinds = 1u << LN_ASK_REFRESH, .ask = ask };
        if (!rows[i].nobody) at.w.sessions.asker = &at.asker;
        enter(&at, !rows[i].a_token);
        for (int k = 0; k < LINES && rows[i].lines[k]; k++)
            play_here(&at, rows[i].lines[k]);
        world_close(&at.w);
        ln_jws_keys_unref(at.keys);
    }
}

/* What is empty stays; all else is new; and it comes through a ticket as it was. */
static void renewing(void **state) {
    (void)state;
    ln_identity *a, *b, *c;
    ln_slice none = LN_SLICE(""), got;
    ln_buf packed;
    uint32_t at = 0;
    assert_int_equal(
        ln_identity_vouch(LN_SLICE("ann"), LN_SLICE("1"), LN_SLICE("[\"x\"]"), 3, 5, &a),
        LINNET_OK);
    assert_true(a->vouched);
    assert_int_equal(ln_identity_renew(a, none, none, 4, 9, &b), LINNET_OK);
    assert_true(b->vouched && b->expires == 9 && b->issued == 4);
    assert_true(ln_slice_eq(ln_identity_info(b), LN_SLICE("1")));
    assert_true(ln_identity_next_sub(b, &at, &got) && ln_slice_eq(got, LN_SLICE("x")));
    assert_true(ln_identity_grants(b, LN_ACT_SUBSCRIBE, LN_SLICE("x")));
    assert_int_equal(ln_identity_renew(b, LN_SLICE("2"), LN_SLICE("[]"), 4, 10, &c), LINNET_OK);
    at = 0;
    assert_false(ln_identity_next_sub(c, &at, &got));
    assert_true(ln_slice_eq(ln_identity_info(c), LN_SLICE("2")));
    ln_free(b);
    ln_buf_init(&packed, 4096);
    assert_int_equal(ln_identity_pack(a, &packed), LINNET_OK);
    assert_int_equal(ln_identity_unpack(ln_buf_slice(&packed), &b), LINNET_OK);
    assert_true(b->vouched && ln_slice_eq(ln_identity_info(b), LN_SLICE("1")));
    assert_int_equal(ln_identity_vouch(LN_SLICE(""), none, none, 3, 5, &(ln_identity *){ NULL }),
        LINNET_ERR_DENIED);
    ln_free(a);
    ln_free(b);
    ln_free(c);
    ln_buf_fini(&packed);
}

/* Another end and other info; all else is as it was. */
static void changing(void **state) {
    (void)state;
    static const char claims[] =
        "{\"sub\":\"ann\",\"iat\":3,\"jti\":\"t1\",\"info\":[1],\"subs\":[\"x\"],"
        "\"publish\":[\"y:*\"]}";
    static const struct {
        const char *why;
        uint64_t expires;
        const char *info, *was;
    } cases[] = {
        { "nothing", 0, "", "[1]" },
        { "the end", 9, "", "[1]" },
        { "info", 0, "{\"a\":2}", "{\"a\":2}" },
        { "both", 9, "3", "3" },
        { "no info", 0, "null", "" },
    };
    ln_json_value top;
    ln_identity *old, *id;
    ln_slice got;
    char large[LN_IDENTITY_INFO_MAX + 1];
    memset(large, '1', sizeof large);
    assert_int_equal(ln_json_check(ln_slice_str(claims), &top), LINNET_OK);
    assert_int_equal(ln_identity_from(&top, 5, &old), LINNET_OK);
    for (size_t i = 0; i < LN_COUNT(cases); i++) {
        uint32_t at = 0;
        ln_slice info = ln_slice_str(cases[i].info);
        assert_int_equal(ln_identity_change(old, cases[i].expires, info, &id), LINNET_OK);
        bool same = id->expires == (cases[i].expires ? 9 : 5) && id->issued == 3 && !id->vouched;
        same = same && ln_slice_eq(ln_identity_info(id), ln_slice_str(cases[i].was));
        same = same && ln_slice_eq(ln_identity_user(id), LN_SLICE("ann"));
        same = same && ln_slice_eq(ln_identity_jti(id), LN_SLICE("t1"));
        same = same && ln_identity_next_sub(id, &at, &got) && ln_slice_eq(got, LN_SLICE("x"));
        same = same && ln_identity_grants(id, LN_ACT_PUBLISH, LN_SLICE("y:1"));
        if (!same) fail_msg("%s", cases[i].why);
        ln_free(id);
    }
    assert_int_equal(
        ln_identity_change(old, 0, ln_slice_of(large, sizeof large), &id), LINNET_ERR_TOO_BIG);
    assert_int_equal(
        ln_identity_change(old, 0, ln_slice_of(large, sizeof large - 1), &id), LINNET_OK);
    ln_free(id);
    ln_test_memory m = { .fail_at = 1 };
    ln_test_memory_install(&m);
    assert_int_equal(ln_identity_change(old, 9, LN_SLICE(""), &id), LINNET_ERR_NOMEM);
    ln_test_memory_remove();
    ln_free(old);
}

static void without_memory(void **state) {
    (void)state;
    ln_identity *old;
    assert_int_equal(
        ln_identity_vouch(LN_SLICE("ann"), LN_SLICE("1"), LN_SLICE("[\"x\"]"), 3, 5, &old),
        LINNET_OK);
    ln_test_memory m = { .calls = 1 };
    for (uint64_t n = 1; m.calls >= n - 1 && n < 50; n++) {
        ln_identity *id = NULL;
        m = (ln_test_memory){ .fail_at = n };
        ln_test_memory_install(&m);
        int err = ln_identity_renew(old, LN_SLICE(""), LN_SLICE(""), 4, 9, &id);
        if (err == LINNET_OK) ln_free(id);
        ln_test_memory_remove();
        assert_true(err == LINNET_OK || err == LINNET_ERR_NOMEM);
        assert_int_equal(m.live, 0);
        if (err == LINNET_OK) break;
    }
    ln_free(old);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations),
        cmocka_unit_test(renewing),
        cmocka_unit_test(changing),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
