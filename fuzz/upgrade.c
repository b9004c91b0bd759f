/* The handshake: a request that passes is answered in words that our own client takes; an
 * answer out of nowhere is taken only when it proves to know our key; and no subprotocol or
 * header that the program adds can change what else the request says. */
#include "wire/upgrade.h"
#include "fuzz.h"

/* The nonce behind a key that passed the check. */
static void nonce_of(ln_slice key, uint8_t nonce[16]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    for (size_t i = 0, n = 0; n < 16; i++) {
        const char *at = strchr(digits, key.data[i]);
        FUZZ_REQUIRE(at && key.data[i]);
        bits = bits << 6 | (uint32_t)(at - digits);
        if (i % 4) nonce[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    char again[LN_UPGRADE_KEY_SIZE];
    ln_upgrade_key(nonce, again);
    FUZZ_REQUIRE(ln_slice_eq(key, ln_slice_of(again, sizeof(again))));
}

static void answered(const ln_upgrade *u, const ln_upgrade_reply *reply, bool deflate) {
    ln_url url;
    uint8_t nonce[16];
    nonce_of(u->key, nonce);
    FUZZ_REQUIRE(ln_url_parse(LN_SLICE("ws://h"), &url) == LINNET_OK);
    ln_upgrade_ask_options asked = { .url = &url,
        .nonce = nonce,
        .protocols = u->protocols,
        .protocol_count = u->protocol_count,
        .deflate = { deflate, true, true, 15, 15 } };

    ln_buf text;
    ln_http1_scan scan = { 0 };
    ln_http1_head h;
    ln_upgrade_agreed agreed;
    ln_buf_init(&text, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_upgrade_answer(&text, u->key, reply) == LINNET_OK);
    FUZZ_REQUIRE(
        ln_http1_response(&scan, &LN_HTTP1_LIMITS_CLIENT, ln_buf_slice(&text), &h) == LN_DONE);
    FUZZ_REQUIRE(h.size == text.size);
    FUZZ_REQUIRE(ln_upgrade_verify(&asked, &h, &agreed) == LINNET_OK);
    FUZZ_REQUIRE(ln_slice_eq(agreed.protocol, reply->protocol));
    FUZZ_REQUIRE(agreed.deflate == deflate);
    ln_buf_fini(&text);
}

static void server(ln_slice in) {
    ln_http1_scan scan = { 0 };
    ln_http1_head h;
    ln_upgrade u;
    if (ln_http1_request(&scan, &LN_HTTP1_LIMITS_SERVER, in, &h) != LN_DONE) return;
    ln_http1_fault fault = ln_upgrade_check(&h, &u);
    FUZZ_REQUIRE(fault == 0 || ln_http1_fault_status(fault) >= 400);
    ln_pmd_params params;
    ln_pmd_text text = { 0 };
    int agreed = ln_pmd_accept(&LN_PMD_POLICY_SERVER, &h, &params, &text);
    FUZZ_REQUIRE((agreed < 0) == !ln_ext_ok(&h));
    if (fault) return;
    FUZZ_REQUIRE(agreed >= 0 && ln_upgrade_wanted(&h) && h.method == LN_HTTP1_GET);
    if (params.client_bits == 8) agreed = 0; /* our own client would not offer it */
    ln_upgrade_reply reply = { .protocol = ln_upgrade_choose(&u, u.protocols, u.protocol_count) };
    if (agreed > 0) reply.extension = ln_pmd_slice(&text);
    answered(&u, &reply, agreed > 0);
    ln_origin_ok(&(ln_origin_policy){ .loopback = true }, u.origin, u.host);
}

static void client(ln_slice in) {
    static const ln_slice protocols[] = { LN_SLICE_INIT("a"), LN_SLICE_INIT("b") };
    ln_url url;
    FUZZ_REQUIRE(ln_url_parse(LN_SLICE("ws://h"), &url) == LINNET_OK);
    ln_upgrade_ask_options asked = { .url = &url,
        .nonce = (const uint8_t *)"the sample nonce",
        .protocols = protocols,
        .protocol_count = 2,
        .deflate = LN_PMD_POLICY_CLIENT };
    ln_http1_scan scan = { 0 };
    ln_http1_head h;
    ln_upgrade_agreed agreed;
    if (ln_http1_response(&scan, &LN_HTTP1_LIMITS_CLIENT, in, &h) != LN_DONE) return;
    int err = ln_upgrade_verify(&asked, &h, &agreed);
    if (h.status != 101) FUZZ_REQUIRE(err == LINNET_ERR_UPGRADE_STATUS);
    if (err != LINNET_OK) {
        FUZZ_REQUIRE(err <= LINNET_ERR_UPGRADE_STATUS && err >= LINNET_ERR_UPGRADE_PROTOCOL);
        return;
    }
    FUZZ_REQUIRE(memmem(in.data, h.size, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28));
    FUZZ_REQUIRE(agreed.protocol.size == 0 || ln_slice_eq(agreed.protocol, protocols[0]) ||
                 ln_slice_eq(agreed.protocol, protocols[1]));
    FUZZ_REQUIRE(
        !agreed.deflate || (agreed.params.client_bits >= 9 && agreed.params.client_bits <= 15 &&
                               agreed.params.server_bits >= 8));
}

/* Three pieces: a subprotocol, a header's name and its value. */
static void program(ln_slice in) {
    ln_slice protocol = { 0 };
    ln_http1_field field = { { 0 }, { 0 } };
    ln_slice_cut(&in, '|', &protocol);
    ln_slice_cut(&in, '|', &field.name);
    field.value = in;
    ln_url url;
    FUZZ_REQUIRE(ln_url_parse(LN_SLICE("ws://h/ws"), &url) == LINNET_OK);
    ln_upgrade_ask_options ask = { .url = &url,
        .nonce = (const uint8_t *)"the sample nonce",
        .protocols = &protocol,
        .protocol_count = 1,
        .extra = &field,
        .extra_count = 1 };
    ln_buf text;
    ln_buf_init(&text, LN_BUF_MAX);
    int err = ln_upgrade_ask(&text, &ask);
    FUZZ_REQUIRE(err == LINNET_OK || (err == LINNET_ERR_INVAL && text.size == 0));
    if (err == LINNET_OK) {
        ln_http1_scan scan = { 0 };
        ln_http1_head h;
        ln_upgrade u;
        FUZZ_REQUIRE(
            ln_http1_request(&scan, &LN_HTTP1_LIMITS_SERVER, ln_buf_slice(&text), &h) == LN_DONE);
        FUZZ_REQUIRE(h.size == text.size && h.count == 7);
        FUZZ_REQUIRE(ln_upgrade_check(&h, &u) == LN_HTTP1_FAULT_NONE);
        FUZZ_REQUIRE(u.protocol_count == 1 && ln_slice_eq(u.protocols[0], protocol));
    }
    ln_buf_fini(&text);
}

void fuzz_one(ln_slice in) {
    switch (fuzz_choice(&in) % 3) {
    case 1: client(in); break;
    case 2: program(in); break;
    default: server(in);
    }
}
