/* Who is in a channel, told as scripts: see play(). */
#include "base/mem.h"
#include "base/rand.h"
#include "base/testing.h"
#include "hub/presence.h"
#include <stdio.h>

#define HEARD 4096

typedef struct stage {
    ln_presences ps;
    char heard[HEARD]; /* "+a -b " per diff, between bars */
    size_t size;
    int refuse; /* what tell answers, so many times */
} stage;

static void write_entries(char *out, size_t room, ln_slice packed) {
    ln_attendee a;
    size_t at = 0;
    out[0] = 0;
    while (ln_attendee_next(&packed, &a)) {
        int n = snprintf(out + at, room - at, "%s%c%.*s%.*s", at ? " " : "", a.left ? '-' : '+',
            (int)a.client.size, a.client.data, (int)a.info.size, a.info.data);
        at += (size_t)n;
        assert_true(at < room);
    }
}

static int on_tell(void *ctx, const ln_presence *p, ln_slice packed) {
    stage *s = ctx;
    assert_true(ln_slice_eq(ln_presence_name(p), LN_SLICE("c")));
    if (s->refuse && s->refuse--) return LINNET_ERR_NOMEM;
    char words[HEARD];
    ln_slice exact = ln_test_exact(packed);
    write_entries(words, sizeof words, exact);
    ln_test_drop(exact);
    s->size += (size_t)snprintf(s->heard + s->size, HEARD - s->size, "[%s]", words);
    assert_true(s->size < HEARD);
    return LINNET_OK;
}

static void stage_open(stage *s) {
    *s = (stage){ 0 };
    ln_presences_init(&s->ps, (ln_map_key){ 1, 2 }, 1000);
    s->ps.ctx = s;
    s->ps.tell = on_tell;
    ln_presences_tick(&s->ps, 1000);
}

static void stage_close(stage *s) {
    ln_presences_fini(&s->ps);
}

static const ln_slice c = LN_SLICE_INIT("c");

static ln_arrival arrival(char name, uint64_t owner, const char *user) {
    static char names[256];
    names[(uint8_t)name] = name;
    ln_arrival a = {
        .owner = owner, .client = ln_slice_of(&names[(uint8_t)name], 1), .user = ln_slice_str(user)
    };
    a.chain[3] = (uint8_t)name;
    return a;
}

static void roll(const stage *s, bool told, char *out, size_t room) {
    ln_roll r = { .limit = 1000, .told = told };
    ln_buf page;
    ln_buf_init(&page, LN_BUF_MAX);
    assert_int_equal(ln_presences_roll(&s->ps, c, &r, &page), LINNET_OK);
    assert_int_equal(r.next, 0);
    write_entries(out, room, ln_buf_slice(&page));
    if (!told) assert_true(r.listed == r.members);
    ln_buf_fini(&page);
}

static void pass(stage *s, ln_msec ms) {
    ln_presences_tick(&s->ps, s->ps.now + ms);
}

/* One step, "ea1": a enters, held by 1 (a to l are anonymous, m to z of one user); "la1" leaves;
 * "xa1" is lost; "ua1X" has info X now; "W1" worker 1 listens, "w1" no more; "f" the next diff
 * cannot be told; "t100" so much time; "=..." what was told since; "@..." who is there; "!..." who
 * was told to be there; "#" counts of members and users; "0" nothing is kept. */
static void play(stage *s, const char *why, const char *step) {
    char got[HEARD];
    const uint8_t *chain = (const uint8_t *)step;
    ln_arrival a = arrival(step[0] ? step[1] : 0, step[0] && step[1] ? (uint8_t)step[2] : 1,
        step[0] && step[1] >= 'm' ? "u" : "");
    chain = a.chain;
    snprintf(got, sizeof got, "%s", step[0] ? step + 1 : "");
    switch (step[0]) {
    case 'e': assert_int_equal(ln_presences_enter(&s->ps, c, &a), LINNET_OK); break;
    case 'l': ln_presences_leave(&s->ps, c, chain, a.owner, false); break;
    case 'x': ln_presences_leave(&s->ps, c, chain, a.owner, true); break;
    case 'u':
        assert_int_equal(
            ln_presences_update(&s->ps, c, chain, a.owner, ln_slice_str(step + 3)), LINNET_OK);
        break;
    case 'W': assert_int_equal(ln_presences_listen(&s->ps, c, (uint8_t)step[1]), LINNET_OK); break;
    case 'w': ln_presences_unlisten(&s->ps, c, (uint8_t)step[1]); break;
    case 'f': s->refuse++; break;
    case 't': pass(s, strtoul(step + 1, NULL, 10)); break;
    case '=': snprintf(got, sizeof got, "%s", s->heard); break;
    case '@':
    case '!': roll(s, step[0] == '!', got, sizeof got); break;
    case '#': {
        ln_roll r = { .limit = 0 };
        assert_int_equal(ln_presences_roll(&s->ps, c, &r, NULL), LINNET_OK);
        snprintf(got, sizeof got, "%u,%u", r.members, r.users);
        break;
    }
    case '0':
        if (s->ps.map.count || s->ps.bytes || ln_stat_get(&s->ps.members)) fail_msg("%s", why);
        break;
    default: fail_msg("%s: %s", why, step);
    }
    if (step[0] && strchr("=@!#", step[0]) && strcmp(got, step + 1) != 0)
        fail_msg("%s: %s, but %s", why, step, got);
    if (step[0] == '=') s->size = 0, s->heard[0] = 0;
}

#define STEPS 24
static const struct {
    const char *why;
    const char *steps[STEPS];
} scripts[] = {
    { "nobody listens",
        { "ea1", "eb1", "t1000", "=", "@+a +b", "!+a +b", "#2,0", "la1", "lb1", "0" } },
    { "one diff for a window", { "W1", "ea1", "t50", "eb1", "t49", "=", "t1", "=[+a +b]", "la1",
                                   "lb1", "t100", "=[-a -b]", "w1", "0" } },
    { "a join and a leave in one window are nothing",
        { "W1", "ea1", "la1", "t100", "=", "ea1", "la1", "ea1", "t100", "=[+a]", "la1", "ea1",
            "la1", "t100", "=[-a]", "w1", "0" } },
    { "a leave and a join in one window are nothing",
        { "W1", "ea1", "t100", "=[+a]", "la1", "ea2", "t100", "=", "@+a", "la1", "@+a", "la2", "@",
            "t100", "=[-a]" } },
    { "frames keep their distance",
        { "W1", "ea1", "t100", "=[+a]", "eb1", "t99", "=", "t1", "=[+b]" } },
    { "who is lost leaves later", { "W1", "ea1", "t100", "=[+a]", "xa1", "t4999", "=", "#1,0", "t1",
                                      "#0,0", "=", "t100", "=[-a]", "w1", "0" } },
    { "who is back by then was never away",
        { "W1", "ea1", "t100", "=[+a]", "xa1", "t4000", "ea2", "t9000", "=", "@+a", "#1,0" } },
    { "who leaves after all while lost", { "ea1", "xa1", "la1", "@+a", "t5000", "@", "0" } },
    { "a new owner before the old one is missed",
        { "W1", "ea1", "t100", "=[+a]", "ea2", "xa1", "la1", "t9000", "=", "@+a", "la2", "t100",
            "=[-a]" } },
    { "losses end in their order",
        { "ea1", "eb1", "xb1", "t10", "xa1", "t4990", "@+a", "t10", "@" } },
    { "users over their connections",
        { "em1", "en1", "ea1", "#3,1", "lm1", "#2,1", "ln1", "#1,0", "la1", "0" } },
    { "an info comes with the join", { "W1", "ea1", "ua1X", "t100", "=[+aX]", "@+aX", "!+aX" } },
    { "another info is told as a join",
        { "W1", "ea1", "t100", "=[+a]", "ua1X", "ua1Y", "t100", "=[+aY]", "ua1Y", "t100", "=" } },
    { "an info of one who leaves",
        { "W1", "ea1", "t100", "=[+a]", "ua1X", "la1", "t100", "=[-a]" } },
    { "an info outlives a lost connection",
        { "W1", "ea1", "ua1X", "xa1", "ea2", "t100", "=[+aX]", "ua2Z", "t100", "=[+aZ]" } },
    { "what listeners know, between windows",
        { "ea1", "W1", "!+a", "eb1", "la1", "@+b", "!+a", "t100", "=[+b -a]", "!+b" } },
    { "the last listener goes and nothing is owed",
        { "W1", "ea1", "W2", "w1", "eb1", "w2", "t100", "=", "!+a +b", "W1", "t100", "=", "la1",
            "lb1", "w1", "0" } },
    { "one who has left is not kept for listeners that went",
        { "W1", "ea1", "t100", "la1", "w1", "0" } },
    { "a diff that cannot be told waits",
        { "W1", "ea1", "f", "t100", "=", "eb1", "t99", "=", "t1", "=[+a +b]" } },
    { "refs keep the order", { "ea1", "eb1", "ec1", "lb1", "eb1", "@+a +c +b" } },
    { "listening to nobody", { "W1", "t100", "#0,0", "@", "w1", "0" } },
    { "no listener here", { "w1", "la1", "xa1", "0" } },
};

static void test_scripts(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(scripts); i++) {
        stage s;
        stage_open(&s);
        for (int n = 0; n < STEPS && scripts[i].steps[n]; n++)
            play(&s, scripts[i].why, scripts[i].steps[n]);
        stage_close(&s);
    }
}

static void test_heard(void **state) {
    (void)state;
    stage s;
    stage_open(&s);
    s.ps.heard = true; /* the program listens to all channels */
    static const char *const steps[] = { "ea1", "t100", "=[+a]", "W1", "w1", "la1", "t100", "=[-a]",
        "0" };
    for (size_t i = 0; i < LN_COUNT(steps); i++)
        play(&s, "heard", steps[i]);
    stage_close(&s);
}

/* Pages, with members going away between them. */
static void test_pages(void **state) {
    (void)state;
    stage s;
    stage_open(&s);
    for (uint64_t i = 1; i <= 2500; i++) {
        ln_arrival a = { .owner = i, .client = LN_SLICE("x") };
        memcpy(a.chain, &i, sizeof i);
        assert_int_equal(ln_presences_enter(&s.ps, c, &a), LINNET_OK);
    }
    ln_buf page;
    ln_buf_init(&page, LN_BUF_MAX);
    static const uint32_t sizes[] = { 1000, 1000, 497, 0 };
    ln_roll r = { .limit = 5000 };
    uint64_t last = 0;
    for (int i = 0; i < 4; i++) {
        ln_buf_clear(&page);
        assert_int_equal(ln_presences_roll(&s.ps, c, &r, &page), LINNET_OK);
        assert_int_equal(r.listed, sizes[i]);
        ln_slice rest = ln_buf_slice(&page);
        for (ln_attendee a; ln_attendee_next(&rest, &a); last = a.ref)
            assert_true(a.ref > last && !a.left);
        assert_int_equal(r.next, i < 2 ? last : 0);
        r.after = i < 2 ? r.next : last;
        if (i > 0) continue;
        for (uint64_t gone = 999; gone <= 2000;
             gone += 500) { /* 999 is on the page, 1999 not yet */
            uint8_t chain[LN_CHAIN] = { 0 };
            memcpy(chain, &gone, sizeof gone);
            ln_presences_leave(&s.ps, c, chain, gone, false);
        }
        uint64_t at = 1000; /* the place itself */
        uint8_t chain[LN_CHAIN] = { 0 };
        memcpy(chain, &at, sizeof at);
        ln_presences_leave(&s.ps, c, chain, at, false);
        at = 2001;
        memcpy(chain, &at, sizeof at);
        ln_presences_leave(&s.ps, c, chain, at, false);
    }
    assert_int_equal(r.members, 2495);
    for (uint64_t i = 1; i <= 2500; i++) { /* holes are closed, and nothing is left */
        uint8_t chain[LN_CHAIN] = { 0 };
        memcpy(chain, &i, sizeof i);
        ln_presences_leave(&s.ps, c, chain, i, false);
    }
    assert_int_equal(s.ps.map.count, 0);
    assert_int_equal(s.ps.bytes, 0);
    ln_buf_fini(&page);
    stage_close(&s);
}

/* Large infos make small pages and small diffs. */
static void test_bytes(void **state) {
    (void)state;
    stage s;
    stage_open(&s);
    static uint8_t info[LN_PRESENCE_INFO_MAX];
    memset(info, '7', sizeof info);
    for (uint64_t i = 1; i <= 100; i++) {
        ln_arrival a = {
            .owner = i, .client = LN_SLICE("x"), .info = ln_slice_of(info, sizeof info)
        };
        memcpy(a.chain, &i, sizeof i);
        assert_int_equal(ln_presences_enter(&s.ps, c, &a), LINNET_OK);
    }
    ln_buf page;
    ln_buf_init(&page, LN_BUF_MAX);
    ln_roll r = { .limit = 1000 };
    uint32_t seen = 0, pages = 0;
    do {
        ln_buf_clear(&page);
        assert_int_equal(ln_presences_roll(&s.ps, c, &r, &page), LINNET_OK);
        assert_true(page.size < LN_PRESENCE_PAGE_BYTES + LN_PRESENCE_INFO_MAX + 200);
        seen += r.listed;
        pages++;
        r.after = r.next;
    } while (r.next);
    assert_int_equal(seen, 100);
    assert_int_equal(pages, 4);
    ln_buf_fini(&page);
    s.ps.bytes_max = s.ps.bytes + 300;
    ln_arrival a = arrival('z', 1, "u");
    a.info = ln_slice_of(info, 1000);
    assert_int_equal(ln_presences_enter(&s.ps, c, &a), LINNET_ERR_LIMIT);
    a.info = ln_slice_of(info, 0);
    assert_int_equal(ln_presences_enter(&s.ps, c, &a), LINNET_OK);
    assert_int_equal(
        ln_presences_update(&s.ps, c, a.chain, 1, ln_slice_of(info, 1000)), LINNET_ERR_LIMIT);
    assert_int_equal(ln_presences_update(&s.ps, c, a.chain, 1, ln_slice_of(info, 10)), LINNET_OK);
    assert_int_equal(
        ln_presences_update(&s.ps, c, a.chain, 2, ln_slice_of(info, 10)), LINNET_ERR_NOT_FOUND);
    assert_int_equal(ln_stat_get(&s.ps.refused), 1);
    stage_close(&s);
}

/* A storm: what is told keeps to its pace, and is right in the end. */
static void test_storm(void **state) {
    (void)state;
    stage s;
    stage_open(&s);
    assert_int_equal(ln_presences_listen(&s.ps, c, 0), LINNET_OK);
    for (uint64_t i = 1; i <= 3000; i++) {
        ln_arrival a = { .owner = i };
        memcpy(a.chain, &i, sizeof i);
        assert_int_equal(ln_presences_enter(&s.ps, c, &a), LINNET_OK);
        if (i % 2) ln_presences_leave(&s.ps, c, a.chain, i, false);
    }
    assert_int_equal(ln_presences_deadline(&s.ps), 1100);
    for (uint64_t diffs = 1; diffs <= 2; diffs++) { /* 1,500 changes, 1,000 at a time */
        s.size = 0;
        pass(&s, 100);
        assert_int_equal(ln_stat_get(&s.ps.diffs), diffs);
    }
    assert_int_equal(ln_presences_deadline(&s.ps), LN_NEVER);
    stage_close(&s);
}

/* A large channel: pages, counts, and a storm of 10,000 comings and goings a second. ---------- */

#define CROWD 100000

static ln_arrival one_of_many(uint64_t i, char user[16]) {
    ln_arrival a = { .owner = i, .client = LN_SLICE("x") };
    int n = snprintf(user, 16, "u%llu", (unsigned long long)(i % (CROWD / 5)));
    a.user = ln_slice_of(user, (size_t)n);
    memcpy(a.chain, &i, sizeof i);
    return a;
}

static int count_told(void *ctx, const ln_presence *p, ln_slice packed) {
    uint64_t *told = ctx;
    (void)p;
    for (ln_attendee a; ln_attendee_next(&packed, &a);)
        told[a.left]++;
    return LINNET_OK;
}

static void test_crowd(void **state) { /* T116 */
    (void)state;
    stage s;
    char user[16];
    uint64_t told[2] = { 0, 0 }, seen = 0, pages = 0;
    stage_open(&s);
    for (uint64_t i = 1; i <= CROWD; i++) {
        ln_arrival a = one_of_many(i, user);
        assert_int_equal(ln_presences_enter(&s.ps, c, &a), LINNET_OK);
    }
    ln_roll r = { .limit = CROWD };
    ln_buf page;
    ln_buf_init(&page, LN_BUF_MAX);
    do {
        ln_buf_clear(&page);
        assert_int_equal(ln_presences_roll(&s.ps, c, &r, &page), LINNET_OK);
        assert_true(r.listed <= LN_PRESENCE_PAGE_MAX);
        seen += r.listed;
        pages++;
        r.after = r.next;
    } while (r.next);
    assert_int_equal(seen, CROWD);
    assert_int_equal(pages, CROWD / LN_PRESENCE_PAGE_MAX);
    assert_int_equal(r.members, CROWD);
    assert_int_equal(r.users, CROWD / 5);
    ln_buf_fini(&page);

    s.ps.tell = count_told;
    s.ps.ctx = told;
    assert_int_equal(ln_presences_listen(&s.ps, c, 0), LINNET_OK);
    for (uint64_t i = 1; i <= 5000; i++) { /* one goes and one comes, each 200 microseconds */
        ln_arrival gone = one_of_many(i, user);
        ln_presences_leave(&s.ps, c, gone.chain, i, false);
        ln_arrival come = one_of_many(CROWD + i, user);
        assert_int_equal(ln_presences_enter(&s.ps, c, &come), LINNET_OK);
        if (i % 5 == 0) ln_presences_tick(&s.ps, s.ps.now + 1);
    }
    assert_in_range(ln_stat_get(&s.ps.diffs), 9, 10);
    pass(&s, 1000);
    assert_int_equal(told[0], 5000);
    assert_int_equal(told[1], 5000);
    stage_close(&s);
}

/* Random steps against a model. ------------------------------------------------------------ */

#define CHAINS 24

typedef struct model {
    stage s;
    ln_rand rand;
    bool here[CHAINS], seen[CHAINS];
    uint64_t owner[CHAINS], refs[CHAINS];
    ln_msec until[CHAINS]; /* 0: not lost */
    uint64_t next_owner;
    bool listens;
    ln_msec last;
} model;

static int model_tell(void *ctx, const ln_presence *p, ln_slice packed) {
    model *m = ctx;
    (void)p;
    if (ln_rand_below(&m->rand, 8) == 0) return LINNET_ERR_NOMEM;
    assert_true(m->listens);
    assert_true(m->s.ps.now - m->last >= LN_PRESENCE_WINDOW_MS);
    m->last = m->s.ps.now;
    for (ln_attendee a; ln_attendee_next(&packed, &a);) {
        int who = a.client.data[0] - 'A';
        assert_int_equal(m->seen[who], a.left); /* they alternate */
        m->seen[who] = !a.left;
        assert_true(a.left ? a.ref == m->refs[who] : a.ref > m->refs[who]);
        m->refs[who] = a.ref;
    }
    return LINNET_OK;
}

static void model_check(const model *m, bool told) {
    bool found[CHAINS] = { false };
    ln_roll r = { .limit = 1000, .told = told };
    ln_buf page;
    ln_buf_init(&page, LN_BUF_MAX);
    assert_int_equal(ln_presences_roll(&m->s.ps, c, &r, &page), LINNET_OK);
    ln_slice rest = ln_buf_slice(&page);
    for (ln_attendee a; ln_attendee_next(&rest, &a);)
        found[a.client.data[0] - 'A'] = true;
    uint32_t count = 0, users = 0;
    for (int i = 0; i < CHAINS; i++) {
        assert_int_equal(found[i], told ? m->seen[i] : m->here[i]);
        count += m->here[i];
    }
    for (int u = 0; u < 3; u++) {
        bool any = false;
        for (int i = u; i < CHAINS; i += 4)
            any = any || m->here[i];
        users += any;
    }
    assert_int_equal(r.members, count);
    assert_int_equal(r.users, users);
    ln_buf_fini(&page);
}

static void model_listen(model *m) {
    m->listens = !m->listens;
    if (m->listens) {
        memcpy(m->seen, m->here, sizeof m->seen);
        for (int i = 0; i < CHAINS; i++)
            m->refs[i] = m->here[i] ? m->s.ps.last_ref : m->refs[i];
        ln_roll r = { .limit = 1000, .told = true };
        ln_buf page;
        ln_buf_init(&page, LN_BUF_MAX);
        assert_int_equal(ln_presences_listen(&m->s.ps, c, 3), LINNET_OK);
        assert_int_equal(ln_presences_roll(&m->s.ps, c, &r, &page), LINNET_OK);
        ln_slice rest = ln_buf_slice(&page);
        for (ln_attendee a; ln_attendee_next(&rest, &a);)
            m->refs[a.client.data[0] - 'A'] = a.ref;
        ln_buf_fini(&page);
    } else {
        ln_presences_unlisten(&m->s.ps, c, 3);
    }
}

static void model_step(model *m) {
    static const char *const users[] = { "u0", "u1", "u2", "" };
    uint32_t who = ln_rand_below(&m->rand, CHAINS);
    ln_arrival a = arrival((char)('A' + who), m->owner[who], users[who % 4]);
    switch (ln_rand_below(&m->rand, 8)) {
    case 0:
    case 1:
    case 2:
        a.owner = ++m->next_owner;
        assert_int_equal(ln_presences_enter(&m->s.ps, c, &a), LINNET_OK);
        m->owner[who] = a.owner;
        m->here[who] = true;
        m->until[who] = 0;
        break;
    case 3:
    case 4:
        if (!m->owner[who]) break;
        ln_presences_leave(&m->s.ps, c, a.chain, a.owner, false);
        m->owner[who] = 0;
        m->here[who] = false;
        break;
    case 5:
        if (!m->owner[who]) break;
        ln_presences_leave(&m->s.ps, c, a.chain, a.owner, true);
        m->owner[who] = 0;
        m->until[who] = m->s.ps.now + LN_PRESENCE_LINGER_MS;
        break;
    case 6:
        if (ln_rand_below(&m->rand, 10) == 0) model_listen(m);
        break;
    default: pass(&m->s, ln_rand_below(&m->rand, 10) ? ln_rand_below(&m->rand, 60) : 3000);
    }
    for (int i = 0; i < CHAINS; i++) {
        if (!m->until[i] || m->until[i] > m->s.ps.now) continue;
        m->until[i] = 0;
        m->here[i] = false;
    }
    assert_true(ln_presences_deadline(&m->s.ps) > m->s.ps.now);
}

static void test_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        model m = { .next_owner = 0 };
        ln_rand_init_seeded(&m.rand, seed);
        stage_open(&m.s);
        m.s.ps.ctx = &m;
        m.s.ps.tell = model_tell;
        for (int i = 0; i < 1500; i++) {
            model_step(&m);
            model_check(&m, false);
            if (m.listens) model_check(&m, true);
        }
        for (int i = 0; i < 100; i++)
            pass(&m.s, 100); /* quiet */
        for (int i = 0; i < CHAINS; i++)
            if (m.until[i]) m.here[i] = false;
        model_check(&m, false);
        if (m.listens) assert_memory_equal(m.seen, m.here, sizeof m.seen);
        stage_close(&m.s);
    }
}

/* Every allocation fails once: what was there stays, and nothing is lost. */
static void test_memory(void **state) {
    (void)state;
    static const char *const steps[] = { "em1", "W1", "en1", "ua1XY", "lm1", "em2", "t100", "la1",
        "t100", "t100", "t100" };
    for (uint64_t n = 1; n < 100; n++) {
        ln_test_memory memory = { 0 };
        ln_test_memory_install(&memory);
        stage s;
        stage_open(&s);
        memory.fail_at = n;
        for (size_t i = 0; i < LN_COUNT(steps); i++) {
            ln_arrival a = arrival(steps[i][1], 1, "u");
            if (steps[i][0] == 'e') {
                int err = ln_presences_enter(&s.ps, c, &a);
                assert_true(err == LINNET_OK || err == LINNET_ERR_NOMEM);
            } else if (steps[i][0] == 'u') {
                ln_presences_update(&s.ps, c, a.chain, 1, LN_SLICE("XY"));
            } else if (steps[i][0] == 'W') {
                ln_presences_listen(&s.ps, c, 1);
            } else if (steps[i][0] == 'l') {
                ln_presences_leave(&s.ps, c, a.chain, 1, false);
            } else {
                pass(&s, 100);
            }
        }
        assert_true(ln_list_empty(&s.ps.windows)); /* all was told in the end */
        bool done = memory.calls < n;
        stage_close(&s);
        ln_test_memory_remove();
        assert_int_equal(memory.live, 0);
        if (done) return;
    }
    fail_msg("more than 100 allocations");
}

/* The one whose coming makes an index of them: each allocation fails once, and nobody is lost. */
static void test_few_become_many(void **state) {
    (void)state;
    enum { PEOPLE = 40, USERS = 7 };
    uint32_t refused = 1;
    for (uint64_t fail = 1; refused; fail++) {
        ln_test_memory memory = { 0 };
        ln_test_memory_install(&memory);
        stage s;
        stage_open(&s);
        refused = 0;
        for (uint8_t i = 0; i < PEOPLE; i++) {
            char user[] = { (char)('a' + i % USERS), 0 };
            ln_arrival a = arrival((char)('0' + i), i + 1u, user);
            if (i == 16) memory.fail_at = memory.calls + fail;
            int err = ln_presences_enter(&s.ps, c, &a);
            memory.fail_at = 0;
            if (err == LINNET_ERR_NOMEM) refused++;
            if (err == LINNET_ERR_NOMEM) err = ln_presences_enter(&s.ps, c, &a);
            assert_int_equal(err, LINNET_OK);
            ln_roll r = { .limit = 0 };
            assert_int_equal(ln_presences_roll(&s.ps, c, &r, NULL), LINNET_OK);
            assert_int_equal(r.members, i + 1);
            assert_int_equal(r.users, i < USERS ? i + 1 : USERS);
        }
        assert_true(refused || (fail > 3 && fail < 20));
        for (uint8_t i = 0; i < PEOPLE; i++) {
            ln_arrival a = arrival((char)('0' + i), i + 1u, "");
            assert_int_equal(
                ln_presences_update(&s.ps, c, a.chain, a.owner, LN_SLICE("1")), LINNET_OK);
            if (i % 2) ln_presences_leave(&s.ps, c, a.chain, a.owner, false);
            int gone = ln_presences_update(&s.ps, c, a.chain, a.owner, LN_SLICE("2"));
            assert_int_equal(gone, i % 2 ? LINNET_ERR_NOT_FOUND : LINNET_OK);
        }
        stage_close(&s);
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_heard),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_storm),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_few_become_many),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
