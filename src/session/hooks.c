#include "session/hooks.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define KEY_MIN 16

static const char *const names[LN_ASK_KINDS] = {
    [LN_ASK_CONNECT] = "connect",
    [LN_ASK_SUBSCRIBE] = "subscribe",
    [LN_ASK_PUBLISH] = "publish",
    [LN_ASK_CALL] = "call",
    [LN_TELL_EVENT] = "event",
    [LN_TELL_DISCONNECT] = "disconnect",
    [LN_TELL_OCCUPIED] = "channel_occupied",
    [LN_TELL_VACATED] = "channel_vacated",
    [LN_ASK_REFRESH] = "refresh",
};

const char *ln_hook_name(ln_ask_kind kind) {
    return names[kind];
}

ln_ask_kind ln_hook_kind(ln_slice name) {
    int kind = 0;
    while (kind < LN_ASK_KINDS && !ln_slice_eq(name, ln_slice_str(names[kind])))
        kind++;
    return (ln_ask_kind)kind;
}

/* The question ---------------------------------------------------------------------------- */

static void put_text(ln_json_writer *w, const char *key, ln_slice text) {
    if (!text.size) return;
    ln_json_key(w, key);
    ln_json_str(w, text);
}

static void put_json(ln_json_writer *w, const char *key, ln_slice json) {
    if (!json.size) return;
    ln_json_key(w, key);
    ln_json_raw(w, json);
}

static void put_code(ln_json_writer *w, const ln_question *q) {
    if (q->kind != LN_TELL_DISCONNECT) return;
    ln_json_key(w, "code");
    ln_json_u64(w, q->code);
    ln_json_key(w, "reason");
    ln_json_str(w, q->reason);
}

int ln_hook_put(ln_buf *out, const ln_question *q, ln_slice node, uint64_t ts) {
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    put_text(&w, "type", ln_slice_str(names[q->kind]));
    ln_json_key(&w, "ts");
    ln_json_u64(&w, ts);
    put_text(&w, "node", node);
    put_text(&w, "client", q->client);
    put_text(&w, "user", q->user);
    put_json(&w, "info", q->info);
    put_text(&w, "channel", q->channel);
    put_text(&w, "event", q->event);
    put_json(&w, "data", q->data);
    put_text(&w, "path", q->path);
    put_text(&w, "address", q->address);
    put_json(&w, "headers", q->headers);
    put_code(&w, q);
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

/* The answer ------------------------------------------------------------------------------ */

static bool take_text(const ln_json_value *v, ln_buf *scratch, ln_slice *out) {
    if (v->kind != LN_JSON_STRING) return false;
    *out = v->text;
    if (!v->escaped) return true;
    uint32_t start = scratch->size;
    if (ln_json_unescape(v, scratch) < 0) return false;
    *out = ln_slice_sub(ln_buf_slice(scratch), start, scratch->size);
    return true;
}

static bool is_code(uint64_t code) {
    return (code >= LN_NATIVE_INTERNAL && code <= LN_NATIVE_CONFLICT) ||
           (code >= 400 && code <= 1999);
}

static bool take_error(const ln_json_value *v, ln_buf *scratch, ln_answer *out) {
    ln_json_value key, member;
    if (v->kind != LN_JSON_OBJECT) return false;
    out->code = LN_NATIVE_PERMISSION_DENIED;
    for (ln_json_iter it = ln_json_iter_of(v); ln_json_next(&it, &key, &member);) {
        uint64_t code;
        if (ln_json_is(&key, LN_SLICE("code"))) {
            if (member.kind != LN_JSON_NUMBER || !ln_json_uint(&member, &code) || !is_code(code))
                return false;
            out->code = (uint16_t)code;
        } else if (ln_json_is(&key, LN_SLICE("message"))) {
            if (!take_text(&member, scratch, &out->message)) return false;
        }
    }
    return true;
}

static bool are_texts(const ln_json_value *list) {
    ln_json_value key, item;
    if (list->kind != LN_JSON_ARRAY) return false;
    for (ln_json_iter it = ln_json_iter_of(list); ln_json_next(&it, &key, &item);)
        if (item.kind != LN_JSON_STRING) return false;
    return true;
}

/* False: it is there, and not what it should be. A backend that says something we do not
 * understand has not said yes. */
static bool take_member(
    const ln_json_value *key, const ln_json_value *v, ln_buf *scratch, ln_answer *out) {
    if (ln_json_is(key, LN_SLICE("error"))) return take_error(v, scratch, out);
    if (ln_json_is(key, LN_SLICE("user"))) return take_text(v, scratch, &out->user);
    if (ln_json_is(key, LN_SLICE("expires")))
        return v->kind == LN_JSON_NUMBER && ln_json_uint(v, &out->expires);
    if (ln_json_is(key, LN_SLICE("info"))) out->info = v->raw;
    if (ln_json_is(key, LN_SLICE("data"))) out->data = v->raw;
    if (ln_json_is(key, LN_SLICE("channels"))) {
        out->channels = v->raw;
        return are_texts(v);
    }
    if (!ln_json_is(key, LN_SLICE("allow"))) return true;
    if (v->kind != LN_JSON_BOOL) return false;
    if (!v->boolean && !out->code) out->code = LN_NATIVE_PERMISSION_DENIED;
    return true;
}

static bool take_body(ln_slice body, ln_buf *scratch, ln_answer *out) {
    ln_json_value top, key, member;
    if (ln_json_check(body, &top) < 0 || top.kind != LN_JSON_OBJECT) return false;
    /* Slices into scratch must not move. */
    if (ln_buf_reserve(scratch, body.size) < 0) return false;
    for (ln_json_iter it = ln_json_iter_of(&top); ln_json_next(&it, &key, &member);)
        if (!take_member(&key, &member, scratch, out)) return false;
    return true;
}

void ln_hook_read(unsigned status, ln_slice body, ln_buf *scratch, ln_answer *out) {
    *out = (ln_answer){ 0 };
    bool good = status >= 200 && status < 300, refused = status == 401 || status == 403;
    if (good && (!ln_slice_trim(body).size || take_body(body, scratch, out))) return;
    ln_answer said = { 0 };
    if (refused && take_body(body, scratch, &said) && said.code)
        *out = (ln_answer){ .code = said.code, .message = said.message };
    else if (refused)
        *out = (ln_answer){ .code = status == 401 ? LN_NATIVE_UNAUTHORIZED
                                                  : LN_NATIVE_PERMISSION_DENIED };
    else
        *out = (ln_answer){ .err = LINNET_ERR_HTTP };
}

/* The signature --------------------------------------------------------------------------- */

int ln_hook_sign(
    ln_slice key, ln_slice id, uint64_t timestamp_s, ln_slice body, char out[LN_HOOK_SIGNATURE]) {
    ln_buf text = { 0 };
    ln_buf_init(&text, LN_BUF_MAX);
    int err = ln_buf_add(&text, id);
    if (err == LINNET_OK) err = ln_buf_addf(&text, ".%llu.", (unsigned long long)timestamp_s);
    if (err == LINNET_OK) err = ln_buf_add(&text, body);
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ln_slice all = ln_buf_slice(&text);
    if (err == LINNET_OK &&
        !HMAC(EVP_sha256(), key.data, (int)key.size, all.data, all.size, mac, &size))
        err = LINNET_ERR_NOMEM;
    ln_buf_fini(&text);
    if (err < 0) return err;
    memcpy(out, "v1,", 3);
    EVP_EncodeBlock((unsigned char *)out + 3, mac, (int)size);
    return LINNET_OK;
}

static ln_slice without_space(ln_slice s) {
    while (s.size && s.data[0] <= ' ')
        ln_slice_skip(&s, 1);
    while (s.size && s.data[s.size - 1] <= ' ')
        s.size--;
    return s;
}

static int decode(ln_slice text, ln_buf *out) {
    size_t pad = 0;
    if (text.size % 4 || !text.size) return LINNET_ERR_INVAL;
    while (pad < 2 && text.data[text.size - 1 - pad] == '=')
        pad++;
    int err = ln_buf_reserve(out, text.size / 4 * 3);
    if (err < 0) return err;
    int n = EVP_DecodeBlock(ln_buf_room(out).data, text.data, (int)text.size);
    if (n < (int)pad) return LINNET_ERR_INVAL;
    ln_buf_commit(out, (size_t)n - pad);
    return LINNET_OK;
}

int ln_hook_key(ln_slice text, ln_buf *out) {
    uint32_t start = out->size;
    text = without_space(text);
    if (text.size > 4096) return LINNET_ERR_INVAL;
    int err;
    if (ln_slice_starts(text, LN_SLICE("whsec_")))
        err = decode(ln_slice_sub(text, 6, text.size), out);
    else
        err = ln_buf_add(out, text);
    if (err < 0) return err;
    if (out->size - start >= KEY_MIN) return LINNET_OK;
    out->size = start;
    return LINNET_ERR_INVAL;
}
