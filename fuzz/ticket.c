/* Tickets and grants: none is taken that our key has not signed, whatever else it looks like. What
 * is signed by us and taken is written again as the same text; with a bit turned it is refused. */
#include "session/ticket.h"
#include "base/b64url.h"
#include "base/mem.h"
#include "fuzz.h"
#include <openssl/evp.h>

#define NOW    UINT64_C(1700000000)
#define SECRET LN_SLICE("the secret of the fuzzer: 32 bytes and more")
#define MAC    32

static void hmac(ln_slice key, ln_slice bytes, uint8_t out[MAC]) {
    size_t size;
    FUZZ_REQUIRE(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.data, key.size, bytes.data,
        bytes.size, out, MAC, &size));
    FUZZ_REQUIRE(size == MAC);
}

static void mac_of(ln_slice body, uint8_t out[MAC]) {
    uint8_t key[MAC];
    hmac(SECRET, LN_SLICE("linnet tickets 1"), key);
    hmac(ln_slice_of(key, MAC), body, out);
}

static bool is_ours(ln_slice text) {
    uint8_t mac[MAC];
    ln_buf raw;
    ln_buf_init(&raw, LN_BUF_MAX);
    bool ours = ln_b64url_get(text, &raw) == LINNET_OK && raw.size >= MAC;
    ln_slice all = ln_buf_slice(&raw);
    if (ours) mac_of(ln_slice_sub(all, MAC, all.size), mac);
    ours = ours && memcmp(mac, all.data, MAC) == 0;
    ln_buf_fini(&raw);
    return ours;
}

static void holds(const ln_ticket_keys *keys, ln_slice text, const ln_ticket *t, ln_identity *id) {
    ln_buf again;
    ln_slice channel;
    FUZZ_REQUIRE(t->expires > NOW);
    FUZZ_REQUIRE(t->client.size > 0 && t->client.size <= LN_CLIENT_NAME_MAX);
    for (uint32_t at = 0; id && ln_identity_next_sub(id, &at, &channel);)
        FUZZ_REQUIRE(channel.size <= 255);
    ln_buf_init(&again, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_ticket_put(keys, t, id, &again) == LINNET_OK);
    FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&again), text));
    ln_buf_fini(&again);
}

static bool taken(const ln_ticket_keys *keys, ln_slice text) {
    ln_buf scratch;
    ln_ticket t;
    ln_identity *id;
    ln_buf_init(&scratch, LN_TICKET_MAX);
    int err = ln_ticket_get(keys, text, NOW, &scratch, &t, &id);
    FUZZ_REQUIRE(err == LINNET_OK || err == LINNET_ERR_DENIED || err == LINNET_ERR_TIMEOUT);
    FUZZ_REQUIRE(err == LINNET_OK || !id);
    if (err != LINNET_ERR_DENIED) FUZZ_REQUIRE(is_ours(text));
    if (err == LINNET_OK) holds(keys, text, &t, id);
    ln_free(id);
    ln_buf_fini(&scratch);
    return err == LINNET_OK;
}

static void as_if_signed(const ln_ticket_keys *keys, ln_slice body) {
    uint8_t mac[MAC];
    ln_buf raw, text;
    ln_buf_init(&raw, LN_BUF_MAX);
    ln_buf_init(&text, LN_BUF_MAX);
    mac_of(body, mac);
    FUZZ_REQUIRE(ln_buf_add(&raw, ln_slice_of(mac, MAC)) == LINNET_OK);
    FUZZ_REQUIRE(ln_buf_add(&raw, body) == LINNET_OK);
    FUZZ_REQUIRE(ln_b64url_put(ln_buf_slice(&raw), &text) == LINNET_OK);
    if (taken(keys, ln_buf_slice(&text))) {
        fuzz_chance c = fuzz_chance_of(body);
        size_t at = fuzz_below(&c, text.size);
        text.data[text.head + at] ^= (uint8_t)(1u << fuzz_below(&c, 7));
        FUZZ_REQUIRE(!taken(keys, ln_buf_slice(&text)));
    }
    ln_buf_fini(&raw);
    ln_buf_fini(&text);
}

/* Half of a mac cannot be guessed either, and whom it is for is not written in it. */
static void as_a_grant(const ln_ticket_keys *keys, ln_slice in) {
    uint8_t chain[LN_CHAIN] = { 0 };
    size_t half = in.size < 255 ? in.size : 255;
    ln_grant_for whom = { chain, LN_SLICE("anna"), ln_slice_sub(in, 0, half) };
    ln_grant grant = { .how = (uint8_t)in.size, .expires = NOW + in.size }, back;
    char text[LN_GRANT_TEXT];
    FUZZ_REQUIRE(ln_grant_get(keys, in, NOW, &whom, &back) == LINNET_ERR_DENIED);
    FUZZ_REQUIRE(ln_grant_put(keys, &grant, &whom, text) == LINNET_OK);
    ln_slice made = ln_slice_of(text, sizeof text);
    int err = ln_grant_get(keys, made, NOW, &whom, &back);
    FUZZ_REQUIRE(err == (in.size ? LINNET_OK : LINNET_ERR_TIMEOUT));
    FUZZ_REQUIRE(back.how == grant.how && back.expires == grant.expires);
    chain[in.size % LN_CHAIN] = 1;
    FUZZ_REQUIRE(ln_grant_get(keys, made, NOW, &whom, &back) == LINNET_ERR_DENIED);
}

void fuzz_one(ln_slice in) {
    ln_ticket_keys keys = { 0 };
    FUZZ_REQUIRE(ln_ticket_keys_add(&keys, SECRET) == LINNET_OK);
    switch (fuzz_choice(&in) % 3) {
    case 0: taken(&keys, in); return;
    case 1: as_if_signed(&keys, in); return;
    default: as_a_grant(&keys, in);
    }
}
