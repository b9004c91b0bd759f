/* login_test.h -- sessions on a hub that wants to know who is speaking, for the tests of this room.
 *
 * Conversations as in session_test.h, and besides: {NAME} in a line is a token, "t MS" lets time
 * pass, and "oX HOW" opens connection X: as undecided, with a dialect ("v1", "event", "topic"), or
 * with a token of the handshake behind it. "b KIND SUBJECT" is a ban (u), a revocation of what was
 * issued before START (i) or of a token (j).
 */
#ifndef LN_SESSION_LOGIN_TEST_H
#define LN_SESSION_LOGIN_TEST_H
#include "session/orders.h"
#include "session/session_test.h"

#define SECRET "a secret of thirty-two bytes....plus"
#define START  (WALL / 1000) /* seconds, when a conversation begins */

static const struct {
    const char *name, *claims;
} tokens[] = {
    { "anna", "{\"sub\":\"anna\",\"exp\":1700000100,\"info\":{\"n\":1}}" },
    { "anna2", "{\"sub\":\"anna\",\"exp\":1700000200}" },
    { "bob", "{\"sub\":\"bob\",\"exp\":1700000100,\"subs\":[\"x\"]}" },
    { "carl", "{\"sub\":\"carl\",\"exp\":1700000100,\"subscribe\":[\"vip:*\"]}" },
    { "carl2", "{\"sub\":\"carl\",\"exp\":1700000100}" },
    { "short", "{\"sub\":\"anna\",\"exp\":1700000010}" },
    { "old", "{\"sub\":\"anna\",\"exp\":1699999900}" },
    { "anna-vip", "{\"sub\":\"anna\",\"exp\":1700000005,\"channel\":\"vip:1\"}" },
    { "told", "{\"sub\":\"anna\",\"exp\":1700000100,\"iat\":1699999999,\"jti\":\"t1\"}" },
    { "newer", "{\"sub\":\"anna\",\"exp\":1700000100,\"iat\":1700000000,\"jti\":\"t2\"}" },
    { "told-vip", "{\"sub\":\"anna\",\"exp\":1700000100,\"channel\":\"vip:1\",\"jti\":\"t1\"}" },
    { "bad-jti", "{\"sub\":\"anna\",\"exp\":1700000100,\"jti\":7}" },
    { "bob-vip", "{\"sub\":\"bob\",\"exp\":1700000100,\"channel\":\"vip:1\"}" },
};

/* The world ------------------------------------------------------------------------------- */

typedef struct place {
    world w;
    ln_auth auth;
    ln_jws_keys *keys;
    ln_ws_config wide, narrow;
} place;

static inline void sign(const char *claims, ln_slice secret, ln_buf *out) {
    ln_jws_name nameless = { .kid = LN_SLICE("") };
    ln_jws_signer *signer;
    const char *why;
    assert_int_equal(ln_jws_signer_secret(&nameless, secret, &signer, &why), LINNET_OK);
    assert_int_equal(ln_jws_sign(signer, ln_slice_str(claims), out), LINNET_OK);
    ln_jws_signer_free(signer);
}

static inline void put_token(const char *name, size_t size, ln_buf *out) {
    for (size_t i = 0; i < LN_COUNT(tokens); i++) {
        if (strlen(tokens[i].name) != size || memcmp(tokens[i].name, name, size) != 0) continue;
        sign(tokens[i].claims, LN_SLICE(SECRET), out);
        return;
    }
    assert_memory_equal(name, "bad", size);
    sign(tokens[0].claims, LN_SLICE("another secret of thirty-two bytes"), out);
}

/* {NAME} becomes a token where there is one of that name. */
static inline void fill(const char *line, ln_buf *out) {
    ln_buf_init(out, 65536);
    while (*line) {
        const char *end = line[0] == '{' && line[1] >= 'a' ? strchr(line, '}') : NULL;
        if (end) {
            put_token(line + 1, (size_t)(end - line) - 1, out);
            line = end + 1;
        } else {
            assert_int_equal(ln_buf_add_byte(out, (uint8_t)*line++), LINNET_OK);
        }
    }
    assert_int_equal(ln_buf_add_byte(out, 0), LINNET_OK);
}

static inline void place_open(place *at, bool anonymous, bool personal) {
    ln_jws_name nameless = { .kid = LN_SLICE("") };
    const char *why;
    memset(at, 0, sizeof *at);
    world_open(&at->w);
    assert_int_equal(ln_jws_keys_new(&at->keys), LINNET_OK);
    assert_int_equal(ln_jws_keys_secret(at->keys, &nameless, LN_SLICE(SECRET), &why), LINNET_OK);
    at->auth = (ln_auth){
        .keys = at->keys, .anonymous = anonymous, .personal = personal, .bans = &at->w.sessions.bans
    };
    at->wide.message_max = 65536;
    at->narrow.message_max = 16384;
}

static inline void place_close(place *at) {
    world_close(&at->w);
    ln_jws_keys_unref(at->keys);
}

static inline void enter(place *at, int i, const char *how) {
    peer *p = &at->w.peers[i];
    const char *token = strchr(how, ' ');
    ln_slice dialect = ln_slice_of(how, token ? (size_t)(token - how) : strlen(how));
    ln_buf text;
    ln_session_options o = { .limits = &at->w.limits,
        .dialect = ln_dialect_by_name(dialect),
        .client = ln_slice_of(&p->name, 1),
        .auth = &at->auth,
        .narrow = &at->narrow };
    if (token) {
        fill(token + 1, &text);
        text.size--; /* the NUL */
        ln_identity_read(&at->auth, ln_buf_slice(&text), START, &o.identity, &o.refused);
        ln_buf_fini(&text);
    }
    p->c.ws.config = &at->wide;
    p->c.heard = p->c.spoke = (uint32_t)at->w.now;
    assert_int_equal(ln_session_open(&at->w.sessions, &p->c, &o), LINNET_OK);
    p->open = true;
    run(&at->w);
}

static inline void pass(place *at, uint64_t ms) {
    for (uint64_t step; ms; ms -= step) {
        step = ms < 1000 ? ms : 1000;
        at->w.now += step;
        for (int i = 0; i < PEERS; i++) /* they live */
            at->w.peers[i].c.heard = at->w.peers[i].c.spoke = (uint32_t)at->w.now;
        ln_hub_tick(at->w.hub, at->w.now, WALL + at->w.now - 50000);
        ln_sessions_tick(&at->w.sessions);
    }
}

static inline void order(place *at, char what, const char *subject) {
    ln_sessions *n = &at->w.sessions;
    ln_ban_kind kind = what == 'u' ? LN_BAN_USER : what == 'i' ? LN_BAN_ISSUED : LN_BAN_TOKEN;
    ln_slice name = ln_slice_str(subject);
    assert_int_equal(ln_bans_put(&n->bans, kind, name, START, 0, START), LINNET_OK);
    ln_sessions_bar(n, kind, name, START);
    run(&at->w);
}

static inline void play_here(place *at, const char *line) {
    ln_buf text;
    fill(line, &text);
    const char *whole = (const char *)ln_buf_slice(&text).data;
    if (line[0] == 'o')
        enter(at, line[1] - 'a', line + 3);
    else if (line[0] == 'b')
        order(at, line[2], line + 4);
    else if (line[0] == 't')
        pass(at, strtoul(line + 2, NULL, 10));
    else
        play_line(&at->w, whole);
    ln_buf_fini(&text);
}
#endif
