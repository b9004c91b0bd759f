#include "session/ticket.h"
#include "base/b64url.h"
#include "base/mem.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define VERSION    1
#define MAC        32
#define GRANT_MAC  16
#define GRANT_SIZE (GRANT_MAC + 1 + 8)
#define HEAD       (1 + 1 + LN_CHAIN + 8 + 8 + 8 + 1) /* behind the mac, up to the name */
#define FLAG_KNOWN 1                                  /* there is an identity */

static_assert(sizeof((ln_ticket_keys *)0)->keys[0] == MAC, "a key is a hash");

/* Bytes ----------------------------------------------------------------------------------- */

static uint8_t *put_u64(uint8_t *at, uint64_t v) {
    for (int shift = 56; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(v >> shift);
    return at;
}

static const uint8_t *get_u64(const uint8_t *at, uint64_t *v) {
    *v = 0;
    for (int i = 0; i < 8; i++)
        *v = *v << 8 | *at++;
    return at;
}

static uint8_t *put(uint8_t *at, ln_slice s) {
    if (s.size) memcpy(at, s.data, s.size);
    return at + s.size;
}

static int mac_of(const uint8_t *key, ln_slice bytes, uint8_t out[MAC]) {
    unsigned size = 0;
    if (!HMAC(EVP_sha256(), key, MAC, bytes.data, bytes.size, out, &size)) return LINNET_ERR_NOMEM;
    return size == MAC ? LINNET_OK : LINNET_ERR_NOMEM;
}

/* Whether one of the keys gives this mac, or its beginning. LINNET_OK, LINNET_ERR_DENIED,
 * LINNET_ERR_NOMEM. */
static int verify(const ln_ticket_keys *keys, ln_slice bytes, const uint8_t *mac, size_t size) {
    uint8_t ours[MAC];
    for (uint32_t i = 0; i < keys->count; i++) {
        int err = mac_of(keys->keys[i], bytes, ours);
        if (err < 0) return err;
        if (CRYPTO_memcmp(ours, mac, size) == 0) return LINNET_OK;
    }
    return LINNET_ERR_DENIED;
}

int ln_ticket_keys_add(ln_ticket_keys *keys, ln_slice secret) {
    static const uint8_t purpose[] = "linnet tickets 1";
    if (secret.size < LN_TICKET_KEY_MIN || secret.size > 4096) return LINNET_ERR_INVAL;
    if (keys->count == LN_TICKET_KEYS) return LINNET_ERR_LIMIT;
    unsigned size = 0;
    if (!HMAC(EVP_sha256(), secret.data, (int)secret.size, purpose, sizeof purpose - 1,
            keys->keys[keys->count], &size))
        return LINNET_ERR_NOMEM;
    keys->count++;
    return LINNET_OK;
}

/* Tickets --------------------------------------------------------------------------------- */

static void put_head(const ln_ticket *t, const ln_identity *id, uint8_t *at) {
    *at++ = VERSION;
    *at++ = id ? FLAG_KNOWN : 0;
    at = put(at, ln_slice_of(t->chain, LN_CHAIN));
    at = put_u64(put_u64(put_u64(at, t->issued), t->expires), t->begun);
    *at++ = (uint8_t)t->client.size;
    put(at, t->client);
}

/* The bytes of a ticket; the mac is written last, in front. */
static int pack(
    const ln_ticket_keys *keys, const ln_ticket *t, const ln_identity *id, ln_buf *raw) {
    size_t size = MAC + HEAD + t->client.size;
    int err = ln_buf_reserve(raw, size);
    if (err < 0) return err;
    put_head(t, id, ln_buf_room(raw).data + MAC);
    ln_buf_commit(raw, size);
    if (id) err = ln_identity_pack(id, raw);
    if (err < 0) return err;
    ln_slice all = ln_buf_slice(raw);
    return mac_of(
        keys->keys[0], ln_slice_sub(all, MAC, all.size), raw->data + raw->head); /* in its place */
}

int ln_ticket_put(
    const ln_ticket_keys *keys, const ln_ticket *t, const ln_identity *id, ln_buf *out) {
    if (!keys->count) return LINNET_ERR_UNSUPPORTED;
    ln_buf raw;
    ln_buf_init(&raw, LN_TICKET_MAX / 4 * 3);
    int err = pack(keys, t, id, &raw);
    if (err == LINNET_OK) err = ln_b64url_put(ln_buf_slice(&raw), out);
    ln_buf_fini(&raw);
    return err;
}

static int take_identity(bool known, ln_slice packed, ln_identity **id) {
    if (known) return ln_identity_unpack(packed, id);
    return packed.size ? LINNET_ERR_DENIED : LINNET_OK;
}

/* What stands in a ticket of ours. Another version of us may have made it. */
static int unpack(ln_slice body, ln_ticket *t, ln_identity **id) {
    if (body.size < HEAD || body.data[0] != VERSION || body.data[1] & ~FLAG_KNOWN)
        return LINNET_ERR_DENIED;
    const uint8_t *at = body.data + 2;
    memcpy(t->chain, at, LN_CHAIN);
    at = get_u64(get_u64(get_u64(at + LN_CHAIN, &t->issued), &t->expires), &t->begun);
    size_t size = *at;
    if (!size || size > LN_CLIENT_NAME_MAX || body.size < HEAD + size) return LINNET_ERR_DENIED;
    t->client = ln_slice_sub(body, HEAD, HEAD + size);
    return take_identity(body.data[1] & FLAG_KNOWN, ln_slice_sub(body, HEAD + size, body.size), id);
}

int ln_ticket_get(const ln_ticket_keys *keys, ln_slice text, uint64_t now, ln_buf *scratch,
    ln_ticket *out, ln_identity **id) {
    *id = NULL;
    uint32_t start = scratch->size;
    if (!text.size || text.size > LN_TICKET_MAX) return LINNET_ERR_DENIED;
    int err = ln_b64url_get(text, scratch);
    if (err < 0) return err == LINNET_ERR_INVAL ? LINNET_ERR_DENIED : err;
    ln_slice all = ln_buf_slice(scratch), raw = ln_slice_sub(all, start, all.size);
    if (raw.size < MAC) return LINNET_ERR_DENIED;
    ln_slice body = ln_slice_sub(raw, MAC, raw.size);
    err = verify(keys, body, raw.data, MAC);
    if (err == LINNET_OK) err = unpack(body, out, id);
    if (err < 0 || now < out->expires) return err;
    ln_free(*id);
    *id = NULL;
    return LINNET_ERR_TIMEOUT;
}

/* Grants ---------------------------------------------------------------------------------- */

#define SIGNED_MAX (16 + 1 + 8 + LN_CHAIN + 2 * (1 + 255))

/* What the mac of a grant is over, its own bytes first; the words in front keep it apart from the
 * body of a ticket. */
static ln_slice signed_bytes(
    const uint8_t *grant, const ln_grant_for *f, uint8_t room[SIGNED_MAX]) {
    assert(f->user.size <= 255 && f->channel.size <= 255);
    uint8_t *at = put(room, LN_SLICE("linnet grant 01:"));
    at = put(at, ln_slice_of(grant, 1 + 8));
    at = put(at, ln_slice_of(f->chain, LN_CHAIN));
    *at++ = (uint8_t)f->user.size;
    at = put(at, f->user);
    *at++ = (uint8_t)f->channel.size;
    at = put(at, f->channel);
    return ln_slice_of(room, (size_t)(at - room));
}

int ln_grant_put(const ln_ticket_keys *keys, const ln_grant *grant, const ln_grant_for *whom,
    char out[LN_GRANT_TEXT]) {
    uint8_t room[SIGNED_MAX], raw[GRANT_MAC + 1 + 8], mac[MAC];
    if (!keys->count) return LINNET_ERR_UNSUPPORTED;
    raw[GRANT_MAC] = grant->how;
    put_u64(raw + GRANT_MAC + 1, grant->expires);
    int err = mac_of(keys->keys[0], signed_bytes(raw + GRANT_MAC, whom, room), mac);
    if (err < 0) return err;
    memcpy(raw, mac, GRANT_MAC);
    ln_buf text;
    ln_buf_init(&text, 2 * LN_GRANT_TEXT);
    err = ln_b64url_put(ln_slice_of(raw, sizeof raw), &text);
    if (err == LINNET_OK) memcpy(out, ln_buf_slice(&text).data, LN_GRANT_TEXT);
    ln_buf_fini(&text);
    return err;
}

int ln_grant_get(const ln_ticket_keys *keys, ln_slice text, uint64_t now, const ln_grant_for *whom,
    ln_grant *out) {
    uint8_t room[SIGNED_MAX];
    if (text.size != LN_GRANT_TEXT) return LINNET_ERR_DENIED;
    ln_buf raw;
    ln_buf_init(&raw, 2 * GRANT_SIZE);
    int err = ln_b64url_get(text, &raw);
    if (err == LINNET_ERR_INVAL) err = LINNET_ERR_DENIED;
    if (err == LINNET_OK) {
        const uint8_t *at = ln_buf_slice(&raw).data;
        err = verify(keys, signed_bytes(at + GRANT_MAC, whom, room), at, GRANT_MAC);
        out->how = at[GRANT_MAC];
        get_u64(at + GRANT_MAC + 1, &out->expires);
    }
    ln_buf_fini(&raw);
    return err == LINNET_OK && now >= out->expires ? LINNET_ERR_TIMEOUT : err;
}
