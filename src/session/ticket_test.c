/* Tickets and grants: what comes back is what went in, and nothing else is taken. */
#include "base/b64url.h"
#include "base/mem.h"
#include "base/testing.h"
#include "session/ticket.h"

#define NOW UINT64_C(1700000000)

static const char *const secrets[] = { "the first secret, of 32 bytes....",
    "another one, which is as long....", "and a third that nobody knows of." };

static ln_ticket_keys keys_of(int first, int second) {
    ln_ticket_keys keys = { 0 };
    assert_int_equal(ln_ticket_keys_add(&keys, ln_slice_str(secrets[first])), LINNET_OK);
    if (second >= 0)
        assert_int_equal(ln_ticket_keys_add(&keys, ln_slice_str(secrets[second])), LINNET_OK);
    return keys;
}

static ln_identity *identity(const char *claims, uint64_t expires) {
    ln_json_value top;
    ln_identity *id;
    assert_int_equal(ln_json_check(ln_slice_str(claims), &top), LN_DONE);
    assert_int_equal(ln_identity_from(&top, expires, &id), LINNET_OK);
    return id;
}

static const ln_ticket sample = { .chain = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
                                      16 },
    .issued = NOW,
    .expires = NOW + 300,
    .begun = NOW - 1000,
    .client = { (const uint8_t *)"anna-1", 6 } };

static void make(const ln_ticket_keys *keys, const ln_identity *id, ln_buf *out) {
    ln_buf_init(out, LN_BUF_MAX);
    assert_int_equal(ln_ticket_put(keys, &sample, id, out), LINNET_OK);
}

static int get(const ln_ticket_keys *keys, ln_slice text, uint64_t now) {
    ln_buf scratch;
    ln_ticket t;
    ln_identity *id;
    ln_buf_init(&scratch, LN_TICKET_MAX);
    ln_slice exact = ln_test_exact(text);
    int err = ln_ticket_get(keys, exact, now, &scratch, &t, &id);
    assert_true(err == LINNET_OK || !id);
    ln_test_drop(exact);
    ln_buf_fini(&scratch);
    ln_free(id);
    return err;
}

static void what_went_in(void **state) {
    (void)state;
    ln_ticket_keys keys = keys_of(0, 1);
    ln_identity *id = identity("{\"sub\":\"anna\",\"info\":{\"n\":1},\"subs\":[\"x\"],"
                               "\"publish\":[\"a:*\"],\"iat\":77,\"jti\":\"j1\"}",
        NOW + 50);
    ln_buf text, scratch;
    ln_ticket t;
    ln_identity *back;
    make(&keys, id, &text);
    ln_buf_init(&scratch, LN_TICKET_MAX);
    assert_int_equal(
        ln_ticket_get(&keys, ln_buf_slice(&text), NOW, &scratch, &t, &back), LINNET_OK);
    assert_memory_equal(t.chain, sample.chain, LN_CHAIN);
    assert_int_equal(t.issued, sample.issued);
    assert_int_equal(t.expires, sample.expires);
    assert_int_equal(t.begun, sample.begun);
    assert_true(ln_slice_eq(t.client, sample.client));
    assert_int_equal(back->expires, NOW + 50);
    assert_true(ln_slice_eq(ln_identity_user(back), LN_SLICE("anna")));
    assert_true(ln_slice_eq(ln_identity_info(back), LN_SLICE("{\"n\":1}")));
    assert_true(ln_slice_eq(ln_identity_jti(back), LN_SLICE("j1")));
    assert_int_equal(back->issued, 77);
    assert_true(ln_identity_grants(back, LN_ACT_PUBLISH, LN_SLICE("a:b")));
    assert_false(ln_identity_grants(back, LN_ACT_SUBSCRIBE, LN_SLICE("a:b")));
    assert_true(ln_identity_grants(back, LN_ACT_SUBSCRIBE, LN_SLICE("x")));
    ln_free(back);
    ln_buf_fini(&text);
    make(&keys, NULL, &text);
    assert_int_equal(
        ln_ticket_get(&keys, ln_buf_slice(&text), NOW, &scratch, &t, &back), LINNET_OK);
    assert_null(back);
    ln_free(id);
    ln_buf_fini(&text);
    ln_buf_fini(&scratch);
}

/* What it takes to be taken: the key, and the time. */
static void keys_and_time(void **state) {
    (void)state;
    static const struct {
        const char *why;
        int made, first, second;
        int64_t later;
        int err;
    } rows[] = {
        { "the key it was made with", 0, 0, -1, 0, LINNET_OK },
        { "which is the second one now", 0, 1, 0, 0, LINNET_OK },
        { "which is gone", 0, 1, -1, 0, LINNET_ERR_DENIED },
        { "which is gone for two others", 0, 1, 2, 0, LINNET_ERR_DENIED },
        { "of somebody else", 2, 0, 1, 0, LINNET_ERR_DENIED },
        { "the last second", 0, 0, -1, 299, LINNET_OK },
        { "the first one that is too late", 0, 0, -1, 300, LINNET_ERR_TIMEOUT },
        { "made in what is to come", 0, 0, -1, -1000, LINNET_OK },
        { "too late and of another key", 0, 1, -1, 300, LINNET_ERR_DENIED },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        ln_ticket_keys made = keys_of(rows[i].made, -1);
        ln_ticket_keys have = keys_of(rows[i].first, rows[i].second);
        ln_buf text;
        make(&made, NULL, &text);
        uint64_t now = NOW + (uint64_t)rows[i].later;
        assert_int_equal(get(&have, ln_buf_slice(&text), now), rows[i].err);
        ln_buf_fini(&text);
    }
}

/* Every bit, every cut, every byte more. */
static void nothing_else(void **state) {
    (void)state;
    ln_ticket_keys keys = keys_of(0, 1), none = { 0 };
    ln_identity *id = identity("{\"sub\":\"anna\",\"subs\":[\"x\",\"y\"]}", 0);
    ln_buf text;
    make(&keys, id, &text);
    ln_slice whole = ln_buf_slice(&text);
    uint8_t *at = text.data + text.head;
    for (size_t i = 0; i < whole.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            at[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(get(&keys, whole, NOW), LINNET_ERR_DENIED);
            at[i] ^= (uint8_t)(1 << bit);
        }
        assert_int_equal(get(&keys, ln_slice_sub(whole, 0, i), NOW), LINNET_ERR_DENIED);
    }
    assert_int_equal(get(&keys, whole, NOW), LINNET_OK);
    assert_int_equal(get(&none, whole, NOW), LINNET_ERR_DENIED);
    for (int more = 0; more < 4; more++) {
        assert_int_equal(ln_buf_add_byte(&text, 'A'), LINNET_OK);
        assert_int_equal(get(&keys, ln_buf_slice(&text), NOW), LINNET_ERR_DENIED);
    }
    ln_buf_fini(&text);
    ln_free(id);
}

/* What an identity is packed as, cut and turned without a mac in front of it. */
static void identities(void **state) {
    (void)state;
    ln_identity *id = identity(
                    "{\"sub\":\"anna\",\"info\":1,\"subs\":[\"x\",\"y\"],\"jti\":\"j\"}", 7),
                *back;
    ln_buf packed;
    ln_buf_init(&packed, LN_BUF_MAX);
    assert_int_equal(ln_identity_pack(id, &packed), LINNET_OK);
    for (size_t cut = 0; cut < packed.size; cut++) {
        ln_slice part = ln_test_exact(ln_slice_sub(ln_buf_slice(&packed), 0, cut));
        assert_int_equal(ln_identity_unpack(part, &back), LINNET_ERR_DENIED);
        ln_test_drop(part);
    }
    for (size_t i = 0; i < packed.size; i++) {
        for (int with = 1; with < 256; with++) {
            ln_slice part = ln_test_exact(ln_buf_slice(&packed));
            ((uint8_t *)(uintptr_t)part.data)[i] ^= (uint8_t)with;
            if (ln_identity_unpack(part, &back) == LINNET_OK) {
                ln_slice channel;
                for (uint32_t at = 0; ln_identity_next_sub(back, &at, &channel);)
                    assert_true(channel.size < 256);
                ln_free(back);
            }
            ln_test_drop(part);
        }
    }
    ln_buf_fini(&packed);
    ln_free(id);
}

static void too_big(void **state) {
    (void)state;
    ln_ticket_keys keys = keys_of(0, -1), none = { 0 };
    ln_buf claims, text;
    ln_buf_init(&claims, LN_BUF_MAX);
    ln_buf_init(&text, LN_BUF_MAX);
    assert_int_equal(ln_buf_addf(&claims, "{\"sub\":\"anna\",\"subs\":[\"x\""), LINNET_OK);
    for (int i = 0; i < 34; i++)
        assert_int_equal(ln_buf_addf(&claims, ",\"%0200d\"", i), LINNET_OK);
    assert_int_equal(ln_buf_add(&claims, LN_SLICE("]}\0")), LINNET_OK);
    ln_identity *id = identity((const char *)ln_buf_slice(&claims).data, 0);
    assert_int_equal(ln_ticket_put(&keys, &sample, id, &text), LINNET_ERR_TOO_BIG);
    assert_int_equal(text.size, 0);
    assert_int_equal(ln_ticket_put(&none, &sample, NULL, &text), LINNET_ERR_UNSUPPORTED);
    ln_free(id);
    ln_buf_fini(&claims);
    ln_buf_fini(&text);
    assert_int_equal(ln_ticket_keys_add(&none, LN_SLICE("too short")), LINNET_ERR_INVAL);
    keys = keys_of(0, 1);
    assert_int_equal(ln_ticket_keys_add(&keys, ln_slice_str(secrets[2])), LINNET_ERR_LIMIT);
}

/* For whom a grant is, and for what. */
static void grants(void **state) {
    (void)state;
    static const uint8_t mine[LN_CHAIN] = { 1 }, other[LN_CHAIN] = { 2 };
    static const struct {
        const char *why;
        const uint8_t *chain;
        const char *user, *channel;
        uint64_t now;
        int first, second, err;
    } rows[] = {
        { "as it was given", mine, "anna", "news", NOW, 0, -1, LINNET_OK },
        { "with a key that goes", mine, "anna", "news", NOW, 1, 0, LINNET_OK },
        { "and has gone", mine, "anna", "news", NOW, 1, 2, LINNET_ERR_DENIED },
        { "for another session", other, "anna", "news", NOW, 0, -1, LINNET_ERR_DENIED },
        { "for another user", mine, "bob", "news", NOW, 0, -1, LINNET_ERR_DENIED },
        { "for nobody", mine, "", "news", NOW, 0, -1, LINNET_ERR_DENIED },
        { "for another channel", mine, "anna", "old", NOW, 0, -1, LINNET_ERR_DENIED },
        { "the same letters, put together otherwise", mine, "ann", "anews", NOW, 0, -1,
            LINNET_ERR_DENIED },
        { "too late", mine, "anna", "news", NOW + 10, 0, -1, LINNET_ERR_TIMEOUT },
    };
    char text[LN_GRANT_TEXT];
    ln_ticket_keys keys = keys_of(0, -1), none = { 0 };
    ln_grant_for whom = { mine, LN_SLICE("anna"), LN_SLICE("news") };
    ln_grant grant = { LN_GRANT_BY_BACKEND, NOW + 10 }, back;
    assert_int_equal(ln_grant_put(&keys, &grant, &whom, text), LINNET_OK);
    assert_int_equal(ln_grant_put(&none, &grant, &whom, text), LINNET_ERR_UNSUPPORTED);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        ln_ticket_keys have = keys_of(rows[i].first, rows[i].second);
        ln_grant_for ask = { rows[i].chain, ln_slice_str(rows[i].user),
            ln_slice_str(rows[i].channel) };
        int err = ln_grant_get(&have, ln_slice_of(text, sizeof text), rows[i].now, &ask, &back);
        assert_int_equal(err, rows[i].err);
    }
    assert_int_equal(back.how, LN_GRANT_BY_BACKEND);
    for (size_t i = 0; i < sizeof text; i++) {
        for (int bit = 0; bit < 8; bit++) {
            char turned[LN_GRANT_TEXT];
            memcpy(turned, text, sizeof text);
            turned[i] = (char)(turned[i] ^ (1 << bit));
            ln_slice exact = ln_test_exact(ln_slice_of(turned, sizeof turned));
            assert_int_equal(ln_grant_get(&keys, exact, NOW, &whom, &back), LINNET_ERR_DENIED);
            ln_test_drop(exact);
        }
        ln_slice cut = ln_test_exact(ln_slice_of(text, i));
        assert_int_equal(ln_grant_get(&keys, cut, NOW, &whom, &back), LINNET_ERR_DENIED);
        ln_test_drop(cut);
    }
}

/* Neither is taken for the other. */
static void apart(void **state) {
    (void)state;
    static const uint8_t chain[LN_CHAIN] = { 1 };
    ln_ticket_keys keys = keys_of(0, -1);
    ln_grant_for whom = { chain, LN_SLICE(""), LN_SLICE("news") };
    ln_grant grant = { 0, NOW + 10 };
    char text[LN_GRANT_TEXT];
    assert_int_equal(ln_grant_put(&keys, &grant, &whom, text), LINNET_OK);
    assert_int_equal(get(&keys, ln_slice_of(text, sizeof text), NOW), LINNET_ERR_DENIED);
}

static void without_memory(void **state) {
    (void)state;
    ln_ticket_keys keys = keys_of(0, -1);
    ln_identity *id = identity("{\"sub\":\"anna\"}", 0);
    ln_buf text;
    make(&keys, id, &text);
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    int err = LINNET_ERR_NOMEM;
    for (uint64_t n = 1; err == LINNET_ERR_NOMEM; n++) {
        memory.calls = 0;
        memory.fail_at = n;
        ln_buf again;
        ln_buf_init(&again, LN_BUF_MAX);
        err = ln_ticket_put(&keys, &sample, id, &again);
        assert_true(err == LINNET_OK || again.size == 0);
        ln_buf_fini(&again);
        assert_int_equal(memory.live, 0);
    }
    assert_int_equal(err, LINNET_OK);
    err = LINNET_ERR_NOMEM;
    for (uint64_t n = 1; err == LINNET_ERR_NOMEM; n++) {
        memory.calls = 0;
        memory.fail_at = n;
        err = get(&keys, ln_buf_slice(&text), NOW);
        assert_int_equal(memory.live, 0);
    }
    assert_int_equal(err, LINNET_OK);
    ln_test_memory_remove();
    ln_buf_fini(&text);
    ln_free(id);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_went_in),
        cmocka_unit_test(keys_and_time),
        cmocka_unit_test(nothing_else),
        cmocka_unit_test(identities),
        cmocka_unit_test(too_big),
        cmocka_unit_test(grants),
        cmocka_unit_test(apart),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
