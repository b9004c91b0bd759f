#include "daemon/api_inner.h"

static const char *const kinds[] = {
    [LINNET_BAN_USER] = "user",
    [LINNET_BAN_ADDRESS] = "address",
    [LINNET_REVOKE_USER] = "user",
    [LINNET_REVOKE_TOKEN] = "jti",
    [LINNET_REVOKE_SESSION] = "session",
};

/* What an order names, which has to be one thing. */
static bool subject_of(const ln_api_body *b, bool revokes, linnet_ban *out) {
    const struct {
        ln_api_field field;
        linnet_ban_kind kind;
        ln_slice text;
    } rows[] = {
        { LN_API_USER, revokes ? LINNET_REVOKE_USER : LINNET_BAN_USER, b->user },
        { LN_API_ADDRESS, LINNET_BAN_ADDRESS, b->address },
        { LN_API_JTI, LINNET_REVOKE_TOKEN, b->jti },
        { LN_API_SESSION, LINNET_REVOKE_SESSION, b->session },
    };
    unsigned count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!(b->fields & rows[i].field)) continue;
        count++;
        out->kind = rows[i].kind;
        out->subject = rows[i].text;
    }
    return count == 1;
}

static void on_done(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    ln_api_item *it = ctx;
    if (err < 0) {
        if (err == LINNET_ERR_INVAL)
            ln_api_fail(it, err, "before is still to come");
        else
            ln_api_fail(
                it, err, err == LINNET_ERR_SYS ? "it holds, but could not be written down" : NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_api_put_u64(&w, "sessions", count);
    ln_api_told(it, &w);
}

static void on_lifted(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    ln_api_item *it = ctx;
    if (err < 0) {
        on_done(ctx, hub, err, count);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_json_key(&w, "lifted");
    ln_json_bool(&w, count > 0);
    ln_api_told(it, &w);
}

void ln_api_ban(ln_api_item *it, const ln_api_body *b) {
    static const char why[] = "a user or an address has to be named; for is seconds, at least 1";
    linnet_ban ban = LINNET_BAN_INIT;
    ban.for_s = b->for_s;
    bool endless = (b->fields & LN_API_FOR) && !b->for_s;
    int err = LINNET_ERR_INVAL;
    if (subject_of(b, false, &ban) && !endless)
        err = linnet_hub_ban(ln_api_hub(it), &ban, on_done, it);
    if (err < 0) ln_api_fail(it, err, err == LINNET_ERR_INVAL ? why : NULL);
}

void ln_api_unban(ln_api_item *it, const ln_api_body *b) {
    linnet_ban ban = LINNET_BAN_INIT;
    int err = LINNET_ERR_INVAL;
    if (subject_of(b, false, &ban)) err = linnet_hub_unban(ln_api_hub(it), &ban, on_lifted, it);
    if (err < 0)
        ln_api_fail(it, err,
            err == LINNET_ERR_INVAL ? "a user or an address has to be named, and one of them"
                                    : NULL);
}

void ln_api_revoke(ln_api_item *it, const ln_api_body *b) {
    static const char why[] =
        "a user, a jti or a session has to be named, and one of them; before is for users";
    linnet_ban ban = LINNET_BAN_INIT;
    ban.for_s = b->for_s;
    ban.before = b->before;
    bool none = (b->fields & LN_API_FOR && !b->for_s) || (b->fields & LN_API_BEFORE && !b->before);
    int err = LINNET_ERR_INVAL;
    if (subject_of(b, true, &ban) && !none &&
        (ban.kind == LINNET_REVOKE_USER || !(b->fields & LN_API_BEFORE)))
        err = linnet_hub_ban(ln_api_hub(it), &ban, on_done, it);
    if (err < 0) ln_api_fail(it, err, err == LINNET_ERR_INVAL ? why : NULL);
}

static void put_ban(ln_json_writer *w, const linnet_ban *b) {
    bool revoked = b->kind >= LINNET_REVOKE_USER;
    ln_json_open(w, '{');
    ln_api_put_text(w, "kind", ln_slice_str(revoked ? "revoked" : "banned"));
    ln_api_put_text(w, kinds[b->kind], b->subject);
    if (b->before) ln_api_put_u64(w, "before", b->before);
    if (b->for_s) ln_api_put_u64(w, "for", b->for_s);
    ln_json_close(w, '}');
}

static void on_list(
    void *ctx, linnet_hub *hub, int err, const linnet_ban *bans, size_t count, bool more) {
    ln_api_item *it = ctx;
    if (err < 0) {
        ln_api_fail(it, err, NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_json_key(&w, "bans");
    ln_json_open(&w, '[');
    const char *at = (const char *)bans; /* a later library's are larger */
    for (size_t i = 0; i < count; i++, at += bans->size)
        put_ban(&w, (const linnet_ban *)(const void *)at);
    ln_json_close(&w, ']');
    ln_json_key(&w, "more");
    ln_json_bool(&w, more);
    ln_api_told(it, &w);
}

void ln_api_bans(ln_api_item *it, const ln_api_body *b) {
    uint64_t limit = b->fields & LN_API_LIMIT ? b->limit : 100;
    int err = limit > 10000 ? LINNET_ERR_INVAL
                            : linnet_hub_bans(ln_api_hub(it), limit, on_list, it);
    if (err < 0) ln_api_fail(it, err, err == LINNET_ERR_INVAL ? "limit is 1 to 10000" : NULL);
}
