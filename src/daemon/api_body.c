#include "daemon/api_body.h"
#include "base/num.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct field {
    const char *name;
    ln_api_field bit;
    ln_json_kind kind; /* NULL stands for any */
} field;

static const field fields[] = {
    { "channel", LN_API_CHANNEL, LN_JSON_STRING },
    { "channels", LN_API_CHANNELS, LN_JSON_ARRAY },
    { "event", LN_API_EVENT, LN_JSON_STRING },
    { "data", LN_API_DATA, LN_JSON_NULL },
    { "volatile", LN_API_VOLATILE, LN_JSON_BOOL },
    { "method", LN_API_METHOD, LN_JSON_STRING },
    { "commands", LN_API_COMMANDS, LN_JSON_ARRAY },
    { "user", LN_API_USER, LN_JSON_STRING },
    { "client", LN_API_CLIENT, LN_JSON_STRING },
    { "code", LN_API_CODE, LN_JSON_NUMBER },
    { "reason", LN_API_REASON, LN_JSON_STRING },
    { "limit", LN_API_LIMIT, LN_JSON_NUMBER },
    { "key", LN_API_KEY, LN_JSON_STRING },
    { "since", LN_API_SINCE, LN_JSON_OBJECT },
    { "reverse", LN_API_REVERSE, LN_JSON_BOOL },
    { "address", LN_API_ADDRESS, LN_JSON_STRING },
    { "jti", LN_API_JTI, LN_JSON_STRING },
    { "session", LN_API_SESSION, LN_JSON_STRING },
    { "for", LN_API_FOR, LN_JSON_NUMBER },
    { "before", LN_API_BEFORE, LN_JSON_NUMBER },
    { "after", LN_API_AFTER, LN_JSON_NUMBER },
    { "timeout", LN_API_TIMEOUT, LN_JSON_NUMBER },
    { "prefix", LN_API_PREFIX, LN_JSON_STRING },
    { "offset", LN_API_OFFSET, LN_JSON_NUMBER },
    { "epoch", LN_API_EPOCH, LN_JSON_STRING },
    { "token", LN_API_TOKEN, LN_JSON_STRING },
    { "from", LN_API_FROM, LN_JSON_STRING },
    { "after", LN_API_BEHIND, LN_JSON_STRING },
    { "expires", LN_API_EXPIRES, LN_JSON_NUMBER },
    { "info", LN_API_INFO, LN_JSON_NULL },
};
#define FIELDS (sizeof fields / sizeof fields[0])

static const char *const kinds[] = {
    [LN_JSON_BOOL] = "true or false",
    [LN_JSON_NUMBER] = "a whole number",
    [LN_JSON_STRING] = "a string",
    [LN_JSON_ARRAY] = "an array",
    [LN_JSON_OBJECT] = "{epoch, offset}",
};

bool ln_api_text(const ln_json_value *value, ln_buf *scratch, ln_slice *out) {
    if (value->kind != LN_JSON_STRING) return false;
    *out = value->text;
    if (!value->escaped) return true;
    uint32_t before = scratch->size;
    if (ln_json_unescape(value, scratch) < 0) return false;
    *out = ln_slice_sub(ln_buf_slice(scratch), before, scratch->size);
    return true;
}

/* "7d0c52a1f3b94e08"; 0 is no epoch. */
static bool epoch_of(const ln_json_value *value, uint64_t *out) {
    return value->kind == LN_JSON_STRING && ln_num_hex16(value->text, out) && *out;
}

static bool since(const ln_json_value *object, ln_api_body *out) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value;
    unsigned found = 0;
    while (ln_json_next(&it, &key, &value)) {
        bool epoch = ln_json_is(&key, LN_SLICE("epoch"));
        if (!epoch && !ln_json_is(&key, LN_SLICE("offset"))) return false;
        if (found & (epoch ? 1 : 2)) return false;
        found |= epoch ? 1 : 2;
        if (epoch ? !epoch_of(&value, &out->epoch) : !ln_json_uint(&value, &out->offset))
            return false;
    }
    return found == 3;
}

static ln_slice *text_of(ln_api_field bit, ln_api_body *out) {
    switch (bit) {
    case LN_API_CHANNEL: return &out->channel;
    case LN_API_EVENT: return &out->event;
    case LN_API_METHOD: return &out->method;
    case LN_API_USER: return &out->user;
    case LN_API_CLIENT: return &out->client;
    case LN_API_REASON: return &out->reason;
    case LN_API_KEY: return &out->key;
    case LN_API_ADDRESS: return &out->address;
    case LN_API_JTI: return &out->jti;
    case LN_API_SESSION: return &out->session;
    case LN_API_PREFIX: return &out->prefix;
    case LN_API_TOKEN: return &out->token;
    case LN_API_FROM: return &out->from;
    case LN_API_BEHIND: return &out->behind;
    default: return NULL;
    }
}

static uint64_t *number_of(ln_api_field bit, ln_api_body *out) {
    switch (bit) {
    case LN_API_CODE: return &out->code;
    case LN_API_LIMIT: return &out->limit;
    case LN_API_FOR: return &out->for_s;
    case LN_API_BEFORE: return &out->before;
    case LN_API_AFTER: return &out->after;
    case LN_API_TIMEOUT: return &out->timeout_ms;
    case LN_API_OFFSET: return &out->offset;
    case LN_API_EXPIRES: return &out->expires;
    default: return NULL;
    }
}

static bool take(const field *f, const ln_json_value *value, ln_buf *scratch, ln_api_body *out) {
    ln_slice *text = text_of(f->bit, out);
    uint64_t *number = number_of(f->bit, out);
    if (text) return ln_api_text(value, scratch, text);
    if (number) return ln_json_uint(value, number);
    switch (f->bit) {
    case LN_API_SINCE: return since(value, out);
    case LN_API_EPOCH: return epoch_of(value, &out->epoch);
    case LN_API_REVERSE: out->reverse = value->boolean; return true;
    case LN_API_CHANNELS: out->channels = *value; return true;
    case LN_API_COMMANDS: out->commands = *value; return true;
    case LN_API_DATA: out->data = value->raw; return true;
    case LN_API_INFO: out->info = value->raw; return true;
    case LN_API_VOLATILE: out->is_volatile = value->boolean; return true;
    default: return false;
    }
}

static const field *find(const ln_json_value *key, unsigned may) {
    for (size_t i = 0; i < FIELDS; i++)
        if ((fields[i].bit & may) && ln_json_is(key, ln_slice_str(fields[i].name)))
            return &fields[i];
    return NULL;
}

/* For words: visible ASCII as it is, and not too long. */
static void shown(ln_slice text, char out[48]) {
    size_t size = text.size < 40 ? text.size : 40;
    for (size_t i = 0; i < size; i++)
        out[i] = text.data[i] >= ' ' && text.data[i] < 127 ? (char)text.data[i] : '?';
    snprintf(out + size, 4, "%s", size < text.size ? "..." : "");
}

static bool refuse(char why[LN_API_WHY_MAX], const char *before, ln_slice name, const char *after) {
    char text[48];
    shown(name, text);
    snprintf(why, LN_API_WHY_MAX, "%s%s%s", before, text, after);
    return false;
}

bool ln_api_read(const ln_json_value *object, unsigned may, unsigned must, ln_buf *scratch,
    ln_api_body *out, char why[LN_API_WHY_MAX]) {
    *out = (ln_api_body){ .fields = 0 };
    if (object->kind != LN_JSON_OBJECT) return refuse(why, "this is no object", LN_SLICE(""), "");
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value;
    while (ln_json_next(&it, &key, &value)) {
        const field *f = find(&key, may | must);
        if (!f) return refuse(why, "there is no field '", key.text, "' here");
        if (out->fields & f->bit) return refuse(why, "", key.text, " is there twice");
        out->fields |= f->bit;
        bool fits = f->kind == LN_JSON_NULL || value.kind == f->kind;
        if (!fits || !take(f, &value, scratch, out))
            return refuse(why, f->name, LN_SLICE(" is not "),
                f->bit == LN_API_EPOCH ? "an epoch" : kinds[f->kind]);
    }
    for (size_t i = 0; i < FIELDS; i++)
        if (fields[i].bit & must & ~out->fields)
            return refuse(why, fields[i].name, LN_SLICE(""), " is missing");
    return true;
}

static bool method_in(const ln_json_value *object, ln_json_value *out) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key;
    while (ln_json_next(&it, &key, out))
        if (ln_json_is(&key, LN_SLICE("method"))) return true;
    return false;
}

bool ln_api_named(
    const ln_json_value *object, ln_buf *scratch, ln_slice *name, char why[LN_API_WHY_MAX]) {
    ln_json_value value;
    if (object->kind != LN_JSON_OBJECT) return refuse(why, "this is no object", LN_SLICE(""), "");
    if (!method_in(object, &value)) return refuse(why, "method is missing", LN_SLICE(""), "");
    return ln_api_text(&value, scratch, name) ||
           refuse(why, "method is not a string", LN_SLICE(""), "");
}

bool ln_api_is_method(const ln_json_value *object, ln_slice name) {
    ln_json_value value;
    return object->kind == LN_JSON_OBJECT && method_in(object, &value) &&
           value.kind == LN_JSON_STRING && ln_slice_eq(value.text, name);
}

bool ln_api_line(ln_slice *text, ln_slice *line) {
    while (text->size) {
        const uint8_t *end = memchr(text->data, '\n', text->size);
        size_t size = end ? (size_t)(end - text->data) : text->size;
        *line = ln_slice_sub(*text, 0, size);
        ln_slice_skip(text, end ? size + 1 : size);
        for (size_t i = 0; i < line->size; i++)
            if (!memchr(" \t\r", line->data[i], 3)) return true;
    }
    return false;
}

bool ln_api_is_type(ln_slice value, const char *type) {
    size_t size = strlen(type);
    if (value.size < size || strncasecmp((const char *)value.data, type, size) != 0) return false;
    return value.size == size || memchr("; \t", value.data[size], 3) != NULL;
}
