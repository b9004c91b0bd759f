#include "base/json.h"
#include "base/num.h"
#include "base/utf8.h"
#include <assert.h>
#include <endian.h>

/* -- text that is not known to be JSON ------------------------------------------------- */

typedef struct scan {
    const uint8_t *at, *end;
    uint64_t objects; /* bit d: the container at depth d is an object */
    int depth;
    uint32_t keys, keys_max;
} scan;

static bool blank(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(scan *s) {
    while (s->at < s->end && blank(*s->at))
        s->at++;
}

static bool take(scan *s, uint8_t byte) {
    if (s->at == s->end || *s->at != byte) return false;
    s->at++;
    return true;
}

#define EVERY(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The first quote, backslash or control byte from p on, or end. *high gathers whether any
 * byte before it has its top bit set. Eight bytes a step: subtracting borrows out of a byte
 * that is smaller, and the lowest such byte is always a true one. */
static const uint8_t *plain_run(const uint8_t *p, const uint8_t *end, bool *high) {
    for (; end - p >= 8; p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        w = le64toh(w);
        uint64_t quote = (w ^ EVERY('"')) - EVERY(1), slash = (w ^ EVERY('\\')) - EVERY(1);
        uint64_t hit = (quote | slash | (w - EVERY(0x20))) & ~w & EVERY(0x80);
        if (hit) {
            *high |= (w & (hit ^ (hit - 1)) & EVERY(0x80)) != 0;
            return p + __builtin_ctzll(hit) / 8;
        }
        *high |= (w & EVERY(0x80)) != 0;
    }
    for (; p < end && *p >= 0x20 && *p != '"' && *p != '\\'; p++)
        *high |= *p >= 0x80;
    return p;
}

static bool hex4(const uint8_t *p, const uint8_t *end, uint32_t *out) {
    uint64_t v;
    if (end - p < 4 || !ln_num_hex(ln_slice_of(p, 4), &v)) return false;
    *out = (uint32_t)v;
    return true;
}

/* Reads one escape at p, which stands on the backslash: its length, 0 if it is not one. */
static size_t escape(const uint8_t *p, const uint8_t *end, uint32_t *code_point) {
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2) return 0;
    const char *known = p[1] ? strchr(letters, p[1]) : NULL;
    if (known) {
        *code_point = (uint8_t)means[known - letters];
        return 2;
    }
    uint32_t high, low;
    if (p[1] != 'u' || !hex4(p + 2, end, &high)) return 0;
    *code_point = high;
    if (high < 0xd800 || high > 0xdfff) return 6;
    if (high > 0xdbff || end - p < 12 || p[6] != '\\' || p[7] != 'u') return 0;
#if defined(LN_PLANT) && LN_PLANT == 2 /* fuzz/plants */
    if (!hex4(p + 8, end, &low) || low < 0xdc00) return 0;
#else
    if (!hex4(p + 8, end, &low) || low < 0xdc00 || low > 0xdfff) return 0;
#endif
    *code_point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

static int check_string(scan *s) {
    const uint8_t *start = s->at;
    bool high = false;
    for (;;) {
        s->at = plain_run(s->at, s->end, &high);
        if (s->at == s->end || *s->at < 0x20) return LINNET_ERR_JSON;
        if (*s->at == '"') break;
        uint32_t code_point;
        size_t n = escape(s->at, s->end, &code_point);
        if (n == 0) return LINNET_ERR_JSON;
        s->at += n;
    }
    ln_slice text = ln_slice_of(start, (size_t)(s->at - start));
    if (high && !ln_utf8_valid(text)) return LINNET_ERR_JSON;
    s->at++;
    return LINNET_OK;
}

static bool digits(scan *s) {
    const uint8_t *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start;
}

static int check_number(scan *s) {
    const uint8_t *start = s->at;
    take(s, '-');
    if (!take(s, '0') && !digits(s)) return LINNET_ERR_JSON;
    if (take(s, '.') && !digits(s)) return LINNET_ERR_JSON;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+')) take(s, '-');
        if (!digits(s)) return LINNET_ERR_JSON;
    }
    return s->at - start > LN_JSON_NUMBER_MAX ? LINNET_ERR_LIMIT : LINNET_OK;
}

static int check_word(scan *s, ln_slice word) {
    ln_slice rest = ln_slice_of(s->at, (size_t)(s->end - s->at));
    if (!ln_slice_starts(rest, word)) return LINNET_ERR_JSON;
    s->at += word.size;
    return LINNET_OK;
}

static int check_scalar(scan *s) {
    if (s->at == s->end) return LINNET_ERR_JSON;
    switch (*s->at) {
    case '"': s->at++; return check_string(s);
    case 't': return check_word(s, LN_SLICE("true"));
    case 'f': return check_word(s, LN_SLICE("false"));
    case 'n': return check_word(s, LN_SLICE("null"));
    default: return check_number(s);
    }
}

static int check_key(scan *s) {
    skip_blanks(s);
    if (!take(s, '"')) return LINNET_ERR_JSON;
    if (++s->keys > s->keys_max) return LINNET_ERR_LIMIT;
    int err = check_string(s);
    if (err < 0) return err;
    skip_blanks(s);
    return take(s, ':') ? LINNET_OK : LINNET_ERR_JSON;
}

static bool in_object(const scan *s) {
    return s->objects >> (s->depth - 1) & 1;
}

/* Enters a container if one begins here: 1, 0 if none does, or an error. */
static int check_open(scan *s) {
    bool object = s->at < s->end && *s->at == '{';
    if (!object && (s->at == s->end || *s->at != '[')) return 0;
    if (s->depth == LN_JSON_DEPTH_MAX) return LINNET_ERR_LIMIT;
    s->at++;
    s->objects &= ~(UINT64_C(1) << s->depth);
    s->objects |= (uint64_t)object << s->depth;
    s->depth++;
    return 1;
}

static bool check_close(scan *s) {
    if (!take(s, in_object(s) ? '}' : ']')) return false;
    s->depth--;
    return true;
}

/* Behind a value: closes what closes here, up to the next comma or the end of all. */
static int check_behind(scan *s) {
    while (s->depth > 0) {
        skip_blanks(s);
        if (take(s, ',')) return in_object(s) ? check_key(s) : LINNET_OK;
        if (!check_close(s)) return LINNET_ERR_JSON;
    }
    return LINNET_OK;
}

/* One step: a scalar, or the opening of a container, with what follows up to the next value. */
static int check_step(scan *s) {
    skip_blanks(s);
    int err = check_open(s);
    if (err < 0) return err;
    if (err == 0) {
        err = check_scalar(s);
        return err < 0 ? err : check_behind(s);
    }
    skip_blanks(s);
    if (check_close(s)) return check_behind(s);
    return in_object(s) ? check_key(s) : LINNET_OK;
}

/* -- text that is known to be JSON ----------------------------------------------------- */

/* Behind the string whose opening quote is at p. */
static const uint8_t *pass_string(const uint8_t *p, const uint8_t *end, bool *escaped) {
    bool high = false;
    for (p++; p < end; p += 2) {
        p = plain_run(p, end, &high);
        if (p == end || *p == '"') break;
        *escaped = true;
    }
    return p < end ? p + 1 : end;
}

static const uint8_t *pass_container(const uint8_t *p, const uint8_t *end) {
    size_t depth = 0;
    bool escaped = false;
    while (p < end) {
        if (*p == '"') {
            p = pass_string(p, end, &escaped);
            continue;
        }
        if (*p == '[' || *p == '{') depth++;
        if ((*p == ']' || *p == '}') && --depth == 0) return p + 1;
        p++;
    }
    return end;
}

static const uint8_t *pass_word(const uint8_t *p, const uint8_t *end) {
    while (p<end && * p> ' ' && *p != ',' && *p != ']' && *p != '}')
        p++;
    return p;
}

/* Takes the value at the front of *rest, which starts with it. */
static ln_json_value take_value(ln_slice *rest) {
    const uint8_t *p = rest->data, *end = rest->data + rest->size, *behind;
    ln_json_value v = { 0 };
    switch (*p) {
    case '"':
        v.kind = LN_JSON_STRING;
        behind = pass_string(p, end, &v.escaped);
        v.text = ln_slice_of(p + 1, (size_t)(behind - p) - 2);
        break;
    case '{':
        v.kind = LN_JSON_OBJECT;
        behind = pass_container(p, end);
        break;
    case '[':
        v.kind = LN_JSON_ARRAY;
        behind = pass_container(p, end);
        break;
    case 't':
    case 'f':
        v.kind = LN_JSON_BOOL;
        v.boolean = *p == 't';
        behind = pass_word(p, end);
        break;
    case 'n':
        v.kind = LN_JSON_NULL;
        behind = pass_word(p, end);
        break;
    default:
        v.kind = LN_JSON_NUMBER;
        behind = pass_word(p, end);
        break;
    }
    v.raw = ln_slice_of(p, (size_t)(behind - p));
    ln_slice_skip(rest, v.raw.size);
    return v;
}

int ln_json_check(ln_slice text, ln_json_value *top) {
    return ln_json_check_long(text, LN_JSON_KEYS_MAX, top);
}

int ln_json_check_long(ln_slice text, uint32_t keys_max, ln_json_value *top) {
    scan s = { .at = text.data, .end = text.data + text.size, .keys_max = keys_max };
    skip_blanks(&s);
    ln_slice value = ln_slice_of(s.at, (size_t)(s.end - s.at));
    do {
        int err = check_step(&s);
        if (err < 0) return err;
    } while (s.depth > 0);
    value.size = (size_t)(s.at - value.data);
    skip_blanks(&s);
    if (s.at != s.end) return LINNET_ERR_JSON;

    /* Containers need not be walked again to be taken. */
    bool object = value.data[0] == '{', array = value.data[0] == '[';
    ln_json_value container = { .kind = object ? LN_JSON_OBJECT : LN_JSON_ARRAY, .raw = value };
    *top = object || array ? container : take_value(&value);
    return LINNET_OK;
}

ln_json_iter ln_json_iter_of(const ln_json_value *container) {
    assert(container->kind == LN_JSON_ARRAY || container->kind == LN_JSON_OBJECT);
    return (ln_json_iter){
        .rest = ln_slice_sub(container->raw, 1, container->raw.size - 1),
        .object = container->kind == LN_JSON_OBJECT,
    };
}

/* What stands between the values of a checked container. */
static void skip_between(ln_slice *rest) {
    while (rest->size && (rest->data[0] <= ' ' || rest->data[0] == ',' || rest->data[0] == ':')) {
        ln_slice_skip(rest, 1);
    }
}

bool ln_json_next(ln_json_iter *it, ln_json_value *key, ln_json_value *value) {
    skip_between(&it->rest);
    if (it->rest.size == 0) return false;
    *key = it->object ? take_value(&it->rest) : (ln_json_value){ 0 };
    skip_between(&it->rest);
    *value = take_value(&it->rest);
    return true;
}

/* -- strings and numbers --------------------------------------------------------------- */

static size_t encode(uint32_t c, uint8_t out[4]) {
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)((0xf00 >> size & 0xff) | c);
    return size;
}

/* Takes the next piece of a string's content: a run without escapes, borrowed from the text,
 * or one decoded escape in `space`. False at the end. */
static bool take_piece(ln_slice *text, uint8_t space[4], ln_slice *piece) {
    if (text->size == 0) return false;
    size_t plain = ln_slice_find(*text, '\\');
    if (plain != 0) {
        *piece = ln_slice_sub(*text, 0, plain == SIZE_MAX ? text->size : plain);
        ln_slice_skip(text, piece->size);
        return true;
    }
    uint32_t c = 0;
    size_t used = escape(text->data, text->data + text->size, &c);
    assert(used > 0); /* the text was checked */
    ln_slice_skip(text, used);
    *piece = ln_slice_of(space, encode(c, space));
    return true;
}

bool ln_json_is(const ln_json_value *string, ln_slice word) {
    if (string->kind != LN_JSON_STRING) return false;
    if (!string->escaped) return ln_slice_eq(string->text, word);
    uint8_t space[4];
    ln_slice text = string->text, piece;
    while (take_piece(&text, space, &piece)) {
        if (!ln_slice_starts(word, piece)) return false;
        ln_slice_skip(&word, piece.size);
    }
    return word.size == 0;
}

int ln_json_unescape(const ln_json_value *string, ln_buf *out) {
    assert(string->kind == LN_JSON_STRING);
    uint32_t start = out->size;
    uint8_t space[4];
    ln_slice text = string->text, piece;
    while (take_piece(&text, space, &piece)) {
        int err = ln_buf_add(out, piece);
        if (err < 0) {
            out->size = start;
            return err;
        }
    }
    return LINNET_OK;
}

bool ln_json_uint(const ln_json_value *number, uint64_t *out) {
    if (number->kind != LN_JSON_NUMBER) return false;
    return ln_num_u64(number->raw, (UINT64_C(1) << 53) - 1, out);
}
