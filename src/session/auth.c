#include "session/auth.h"
#include "base/mem.h"

/* Grants are packed: a byte of what is granted (bits of ln_act, and these two), a byte with the
 * size, and so many bytes of name. */
#define GRANT_SUB    0x40 /* to be subscribed to at once */
#define GRANT_PREFIX 0x80 /* all names that begin so */
#define ALL_ACTS     ((1u << LN_ACTS) - 1)

static const struct {
    const char *claim;
    uint8_t grant;
} lists[] = {
    { "subscribe", 1 << LN_ACT_SUBSCRIBE },
    { "publish", 1 << LN_ACT_PUBLISH },
    { "presence", 1 << LN_ACT_PRESENCE },
    { "history", 1 << LN_ACT_HISTORY },
    { "channels", ALL_ACTS },
    { "subs", GRANT_SUB | 1 << LN_ACT_SUBSCRIBE },
};

/* Takes the next grant from the front. */
static bool next_grant(ln_slice *rest, uint8_t *grant, ln_slice *name) {
    if (!rest->size) return false;
    *grant = rest->data[0];
    *name = ln_slice_sub(*rest, 2, 2 + (size_t)rest->data[1]);
    ln_slice_skip(rest, 2 + name->size);
    return true;
}

static ln_slice grants_of(const ln_identity *id) {
    return ln_slice_of(id->bytes + id->user_size + id->info_size, id->grants_size);
}

bool ln_identity_grants(const ln_identity *id, ln_act act, ln_slice channel) {
    ln_slice rest = grants_of(id), name;
    uint8_t grant;
    while (next_grant(&rest, &grant, &name)) {
        if (!(grant >> act & 1)) continue;
        if (grant & GRANT_PREFIX ? ln_slice_starts(channel, name) : ln_slice_eq(channel, name))
            return true;
    }
    return false;
}

bool ln_identity_next_sub(const ln_identity *id, uint32_t *at, ln_slice *channel) {
    ln_slice all = grants_of(id), rest = ln_slice_sub(all, *at, all.size);
    uint8_t grant;
    while (next_grant(&rest, &grant, channel)) {
        *at = (uint32_t)(all.size - rest.size);
        if (grant & GRANT_SUB) return true;
    }
    return false;
}

static void put_claim(ln_json_writer *w, const char *key, ln_slice json) {
    if (!json.size) return;
    ln_json_key(w, key);
    ln_json_raw(w, json);
}

static uint64_t end_of(uint64_t expires) {
    return expires < LN_IDENTITY_EXPIRES_MAX ? expires : LN_IDENTITY_EXPIRES_MAX;
}

/* What a backend says of somebody is what a token would say. */
int ln_identity_vouch(ln_slice user, ln_slice info, ln_slice channels, uint64_t now_s,
    uint64_t expires, ln_identity **out) {
    ln_buf claims;
    ln_json_value top;
    ln_buf_init(&claims, LN_BUF_MAX);
    ln_json_writer w = ln_json_begin(&claims);
    ln_json_open(&w, '{');
    ln_json_key(&w, "sub");
    ln_json_str(&w, user);
    ln_json_key(&w, "iat");
    ln_json_u64(&w, now_s);
    put_claim(&w, "info", info);
    put_claim(&w, "subs", channels);
    ln_json_close(&w, '}');
    int err = ln_json_end(&w);
    if (err == LINNET_OK) err = ln_json_check(ln_buf_slice(&claims), &top);
    if (err >= 0) err = ln_identity_from(&top, expires, out);
    if (err == LINNET_OK) (*out)->vouched = true;
    ln_buf_fini(&claims);
    return err;
}

int ln_identity_renew(const ln_identity *old, ln_slice info, ln_slice channels, uint64_t now_s,
    uint64_t expires, ln_identity **out) {
    if (!info.size) info = ln_identity_info(old);
    ln_identity *made;
    int err = ln_identity_vouch(ln_identity_user(old), info, channels, now_s, expires, &made);
    if (err < 0 || channels.size) {
        if (err == LINNET_OK) *out = made;
        return err;
    }
    /* Without word of channels they are those of before, as they are packed. */
    ln_slice grants = grants_of(old);
    size_t size = (size_t)made->user_size + made->info_size;
    ln_identity *id = ln_realloc(made, sizeof *id + size + grants.size);
    if (!id) {
        ln_free(made);
        return LINNET_ERR_NOMEM;
    }
    if (grants.size) memcpy(id->bytes + size, grants.data, grants.size);
    id->grants_size = (uint16_t)grants.size;
    *out = id;
    return LINNET_OK;
}

int ln_identity_change(const ln_identity *old, uint64_t expires, ln_slice info, ln_identity **out) {
    if (!info.size) info = ln_identity_info(old);
    if (ln_slice_eq(info, LN_SLICE("null"))) info = LN_SLICE("");
    if (info.size > LN_IDENTITY_INFO_MAX) return LINNET_ERR_TOO_BIG;
    const ln_slice parts[] = { ln_identity_user(old), info, grants_of(old), ln_identity_jti(old) };
    size_t size = 0;
    for (size_t i = 0; i < 4; i++)
        size += parts[i].size;
    ln_identity *id = ln_malloc(sizeof *id + size);
    if (!id) return LINNET_ERR_NOMEM;
    *id = *old;
    id->info_size = (uint16_t)info.size;
    if (expires) id->expires = end_of(expires);
    uint8_t *at = id->bytes;
    for (size_t i = 0; i < 4; at += parts[i++].size)
        if (parts[i].size) memcpy(at, parts[i].data, parts[i].size);
    *out = id;
    return LINNET_OK;
}

/* Packing --------------------------------------------------------------------------------- */

#define VOUCHED 0x8000u                 /* beside the size of info, which is smaller */
#define PACKED  (8 + 8 + 2 + 2 + 1 + 1) /* expires, issued, sizes of info, grants, user, jti */

static void put_number(uint8_t *at, uint64_t v, int bytes) {
    while (bytes--) {
        at[bytes] = (uint8_t)v;
        v >>= 8;
    }
}

static uint64_t get_number(const uint8_t *at, int bytes) {
    uint64_t v = 0;
    while (bytes--)
        v = v << 8 | *at++;
    return v;
}

static size_t bytes_of(const ln_identity *id) {
    return (size_t)id->user_size + id->info_size + id->grants_size + id->jti_size;
}

int ln_identity_pack(const ln_identity *id, ln_buf *out) {
    uint8_t head[PACKED];
    put_number(head, id->expires, 8);
    put_number(head + 8, id->issued, 8);
    put_number(head + 16, id->info_size | (id->vouched ? VOUCHED : 0u), 2);
    put_number(head + 18, id->grants_size, 2);
    head[20] = id->user_size;
    head[21] = id->jti_size;
    int err = ln_buf_add(out, ln_slice_of(head, sizeof head));
    return err < 0 ? err : ln_buf_add(out, ln_slice_of(id->bytes, bytes_of(id)));
}

/* Whether each of them ends where the next one begins. */
static bool are_grants(ln_slice rest) {
    while (rest.size >= 2 && rest.size - 2 >= rest.data[1])
        ln_slice_skip(&rest, 2 + (size_t)rest.data[1]);
    return rest.size == 0;
}

int ln_identity_unpack(ln_slice packed, ln_identity **out) {
    if (packed.size < PACKED) return LINNET_ERR_DENIED;
    const uint8_t *at = packed.data;
    ln_identity head = {
        .expires = get_number(at, 8),
        .issued = get_number(at + 8, 8),
        .info_size = (uint16_t)(get_number(at + 16, 2) & ~VOUCHED),
        .vouched = get_number(at + 16, 2) & VOUCHED,
        .grants_size = (uint16_t)get_number(at + 18, 2),
        .user_size = at[20],
        .jti_size = at[21],
    };
    bool good = head.user_size && head.user_size <= LN_USER_NAME_MAX;
    if (!good || packed.size - PACKED != bytes_of(&head)) return LINNET_ERR_DENIED;
    ln_identity *id = ln_malloc(sizeof *id + bytes_of(&head));
    if (!id) return LINNET_ERR_NOMEM;
    *id = head;
    memcpy(id->bytes, at + PACKED, bytes_of(&head));
    *out = id;
    if (are_grants(grants_of(id))) return LINNET_OK;
    ln_free(id);
    *out = NULL;
    return LINNET_ERR_DENIED;
}

/* Reading --------------------------------------------------------------------------------- */

typedef struct reading {
    const ln_json_value *claims;
    ln_buf text; /* user, grants, jti */
    ln_slice info;
    uint32_t user_size, subs;
    uint64_t issued;
    uint8_t jti_size;
} reading;

static bool member(const ln_json_value *object, const char *name, ln_json_value *out) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key;
    while (ln_json_next(&it, &key, out))
        if (ln_json_is(&key, ln_slice_str(name))) return true;
    return false;
}

static bool printable(ln_slice s) {
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < ' ' || s.data[i] == 127) return false;
    return true;
}

static int read_user(reading *r) {
    ln_json_value v;
    if (!member(r->claims, "sub", &v) || v.kind != LN_JSON_STRING) return LINNET_ERR_DENIED;
    int err = ln_json_unescape(&v, &r->text);
    if (err < 0) return err;
    r->user_size = r->text.size;
    if (!r->user_size || r->user_size > LN_USER_NAME_MAX || !printable(ln_buf_slice(&r->text)))
        return LINNET_ERR_DENIED;
    return LINNET_OK;
}

static int read_info(reading *r) {
    ln_json_value v;
    if (!member(r->claims, "info", &v) || v.kind == LN_JSON_NULL) return LINNET_OK;
    if (v.raw.size > LN_IDENTITY_INFO_MAX) return LINNET_ERR_DENIED;
    r->info = v.raw;
    return LINNET_OK;
}

static int add_grant(reading *r, const ln_json_value *v, uint8_t grant) {
    if (v->kind != LN_JSON_STRING) return LINNET_ERR_DENIED;
    uint32_t start = r->text.size;
    int err = ln_buf_add(&r->text, LN_SLICE("\0\0"));
    if (err == LINNET_OK) err = ln_json_unescape(v, &r->text);
    if (err < 0) return err;
    uint8_t *at = r->text.data + r->text.head + start;
    uint32_t size = r->text.size - start - 2;
    if (!size || size > LN_CHANNEL_NAME_MAX) return LINNET_ERR_DENIED;
    if (at[1 + size] == '*' && !(grant & GRANT_SUB)) { /* the last byte of the name */
        grant |= GRANT_PREFIX;
        r->text.size--;
        size--;
    }
    if (grant & GRANT_SUB && ++r->subs > LN_IDENTITY_SUBS_MAX) return LINNET_ERR_DENIED;
    at[0] = grant;
    at[1] = (uint8_t)size;
    return LINNET_OK;
}

/* A list that is not one is a mistake of whoever signed it, and nothing to guess about. */
static int read_grants(reading *r) {
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        ln_json_value list, key, item;
        if (!member(r->claims, lists[i].claim, &list)) continue;
        if (list.kind != LN_JSON_ARRAY) return LINNET_ERR_DENIED;
        ln_json_iter it = ln_json_iter_of(&list);
        while (ln_json_next(&it, &key, &item)) {
            int err = add_grant(r, &item, lists[i].grant);
            if (err < 0) return err;
        }
    }
    return LINNET_OK;
}

/* The bytes of `jti`, behind what is in text. Empty: there is none. */
static int read_jti(const ln_json_value *claims, ln_buf *text, ln_slice *jti) {
    ln_json_value v;
    uint32_t start = text->size;
    *jti = LN_SLICE("");
    if (!member(claims, "jti", &v)) return LINNET_OK;
    if (v.kind != LN_JSON_STRING) return LINNET_ERR_DENIED;
    int err = ln_json_unescape(&v, text);
    if (err < 0) return err;
    *jti = ln_slice_sub(ln_buf_slice(text), start, text->size);
    return ln_ban_fits(LN_BAN_TOKEN, *jti) ? LINNET_OK : LINNET_ERR_DENIED;
}

static uint64_t issued_of(const ln_json_value *claims) {
    ln_json_value v;
    uint64_t at;
    if (!member(claims, "iat", &v) || v.kind != LN_JSON_NUMBER || !ln_json_uint(&v, &at)) return 0;
    return at;
}

/* What it can be revoked by. */
static int read_origin(reading *r) {
    ln_slice jti;
    int err = read_jti(r->claims, &r->text, &jti);
    r->issued = issued_of(r->claims);
    r->jti_size = (uint8_t)jti.size;
    return err;
}

static int make(const reading *r, uint64_t expires, ln_identity **out) {
    ln_slice text = ln_buf_slice(&r->text);
    uint32_t user = r->user_size;
    ln_identity *id = ln_malloc(sizeof *id + text.size + r->info.size);
    if (!id) return LINNET_ERR_NOMEM;
    *id = (ln_identity){
        .expires = end_of(expires),
        .issued = r->issued,
        .info_size = (uint16_t)r->info.size,
        .grants_size = (uint16_t)(text.size - user - r->jti_size),
        .user_size = (uint8_t)user,
        .jti_size = r->jti_size,
    };
    memcpy(id->bytes, text.data, user);
    if (r->info.size) memcpy(id->bytes + user, r->info.data, r->info.size);
    memcpy(id->bytes + user + r->info.size, text.data + user, text.size - user);
    *out = id;
    return LINNET_OK;
}

int ln_identity_from(const ln_json_value *claims, uint64_t expires, ln_identity **out) {
    reading r = { .claims = claims };
    ln_buf_init(&r.text, 2 * LN_JWS_TOKEN_MAX);
    int err = read_user(&r);
    if (err == LINNET_OK) err = read_info(&r);
    if (err == LINNET_OK) err = read_grants(&r);
    if (err == LINNET_OK) err = read_origin(&r);
    if (err == LINNET_OK) err = make(&r, expires, out);
    ln_buf_fini(&r.text);
    return err;
}

/* LINNET_OK: it still counts. */
static int judge(const ln_auth *auth, const ln_ban_who *who, uint64_t now_s, ln_jws_fault *fault) {
    ln_ban_verdict verdict = ln_bans_judge(auth->bans, who, now_s);
    if (verdict == LN_BAN_FREE) return LINNET_OK;
    *fault = verdict == LN_BAN_BANNED ? LN_JWS_FAULT_BANNED : LN_JWS_FAULT_REVOKED;
    return LINNET_ERR_DENIED;
}

static int judge_identity(
    const ln_auth *auth, ln_identity **id, uint64_t now_s, ln_jws_fault *fault) {
    const ln_ban_who who = {
        .user = ln_identity_user(*id), .jti = ln_identity_jti(*id), .issued = (*id)->issued
    };
    int err = judge(auth, &who, now_s, fault);
    if (err == LINNET_OK) return LINNET_OK;
    ln_free(*id);
    *id = NULL;
    return err;
}

/* Leave for one channel is not leave to be somebody. */
static int read_claims(const ln_jws_token *token, ln_identity **out, ln_jws_fault *fault) {
    ln_json_value v;
    int err = LINNET_ERR_DENIED;
    if (!member(&token->claims, "channel", &v))
        err = ln_identity_from(&token->claims, token->expires, out);
    if (err == LINNET_ERR_DENIED) *fault = LN_JWS_FAULT_CLAIMS;
    return err;
}

/* As ln_jws_check, and who lacks the key of a token is told. */
static int check(const ln_auth *auth, ln_slice token, uint64_t now_s, ln_buf *scratch,
    ln_jws_token *out, ln_jws_fault *fault) {
    int err = ln_jws_check(auth->keys, &auth->policy, token, now_s, scratch, out, fault);
    if (err != LINNET_ERR_DENIED || *fault != LN_JWS_FAULT_KEY) return err;
    return out->source == LN_JWS_NO_SOURCE ? err : auth->want(auth->ctx, out->source);
}

int ln_identity_read(
    const ln_auth *auth, ln_slice token, uint64_t now_s, ln_identity **out, ln_jws_fault *fault) {
    ln_buf scratch;
    ln_jws_token checked;
    ln_buf_init(&scratch, LN_JWS_SCRATCH);
    int err = check(auth, token, now_s, &scratch, &checked, fault);
    if (err == LINNET_OK) err = read_claims(&checked, out, fault);
    ln_buf_fini(&scratch);
    if (err == LINNET_OK) err = judge_identity(auth, out, now_s, fault);
    return err;
}

/* Whether a string claim says exactly this. */
static int says(const ln_json_value *claims, const char *name, ln_slice want, bool may_miss) {
    ln_json_value v;
    if (!member(claims, name, &v)) return may_miss ? LINNET_OK : LINNET_ERR_DENIED;
    if (v.kind != LN_JSON_STRING) return LINNET_ERR_DENIED;
    ln_buf text;
    ln_buf_init(&text, LN_JWS_TOKEN_MAX);
    int err = ln_json_unescape(&v, &text);
    if (err == LINNET_OK && !ln_slice_eq(ln_buf_slice(&text), want)) err = LINNET_ERR_DENIED;
    ln_buf_fini(&text);
    return err;
}

/* The same for a token for one channel. */
static int judge_token(
    const ln_auth *auth, const ln_json_value *claims, ln_slice user, uint64_t now_s) {
    ln_jws_fault fault;
    ln_buf text;
    ln_ban_who who = { .user = user, .issued = issued_of(claims) };
    ln_buf_init(&text, LN_JWS_TOKEN_MAX);
    int err = read_jti(claims, &text, &who.jti);
    if (err == LINNET_OK) err = judge(auth, &who, now_s, &fault);
    ln_buf_fini(&text);
    return err;
}

int ln_channel_token_check(const ln_auth *auth, ln_slice token, uint64_t now_s, ln_slice user,
    ln_slice channel, uint64_t *expires) {
    ln_buf scratch;
    ln_jws_token checked;
    ln_jws_fault fault;
    ln_buf_init(&scratch, LN_JWS_SCRATCH);
    int err = check(auth, token, now_s, &scratch, &checked, &fault);
    if (err == LINNET_OK) err = says(&checked.claims, "channel", channel, false);
    if (err == LINNET_OK) err = says(&checked.claims, "sub", user, user.size == 0);
    if (err == LINNET_OK) err = judge_token(auth, &checked.claims, user, now_s);
    if (err == LINNET_OK) *expires = checked.expires;
    ln_buf_fini(&scratch);
    return err;
}
