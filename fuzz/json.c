/* JSON: the verdict agrees with a recursive descent as slow and plain as the grammar. What is
 * accepted is walked and written again, objects as arrays of keys and values; that text is
 * accepted too, and writing it once more changes nothing. */
#include "base/json.h"
#include "base/utf8.h"
#include "fuzz.h"

/* -- the plain reader ------------------------------------------------------------------ */

typedef struct plain {
    ln_slice rest;
    size_t deepest, longest; /* containers, characters of a number */
    size_t keys;
} plain;

static int peek(const plain *p) {
    return p->rest.size ? p->rest.data[0] : -1;
}

static bool eat(plain *p, int byte) {
    if (peek(p) != byte) return false;
    ln_slice_skip(&p->rest, 1);
    return true;
}

static void blanks(plain *p) {
    while (eat(p, ' ') || eat(p, '\t') || eat(p, '\n') || eat(p, '\r'))
        continue;
}

static bool eat_word(plain *p, const char *word) {
    while (*word && eat(p, *word))
        word++;
    return *word == 0;
}

static bool eat_digits(plain *p) {
    size_t n = 0;
    while (peek(p) >= '0' && peek(p) <= '9' && eat(p, peek(p)))
        n++;
    return n > 0;
}

static bool number(plain *p) {
    size_t before = p->rest.size;
    eat(p, '-');
    if (!eat(p, '0') && !eat_digits(p)) return false;
    if (eat(p, '.') && !eat_digits(p)) return false;
    if (eat(p, 'e') || eat(p, 'E')) {
        if (!eat(p, '+')) eat(p, '-');
        if (!eat_digits(p)) return false;
    }
    if (before - p->rest.size > p->longest) p->longest = before - p->rest.size;
    return true;
}

static int unit(plain *p) {
    int v = 0;
    for (int i = 0; i < 4; i++) {
        static const char hex[] = "00112233445566778899aAbBcCdDeEfF";
        int c = peek(p);
        const char *at = c > 0 ? strchr(hex, c) : NULL;
        if (!at || !eat(p, c)) return -1;
        v = v * 16 + (int)((at - hex) / 2);
    }
    return v;
}

static bool escaped(plain *p) {
    int c = peek(p);
    if (c <= 0 || !strchr("\"\\/bfnrtu", c) || !eat(p, c)) return false;
    if (c != 'u') return true;
    int first = unit(p);
    if (first < 0xd800 || first > 0xdfff) return first >= 0;
    if (first > 0xdbff || !eat(p, '\\') || !eat(p, 'u')) return false;
    int second = unit(p);
    return second >= 0xdc00 && second <= 0xdfff;
}

static bool string(plain *p) {
    if (!eat(p, '"')) return false;
    ln_slice text = p->rest;
    while (!eat(p, '"')) {
        if (peek(p) < 0x20) return false;
        if (eat(p, '\\') ? !escaped(p) : !eat(p, peek(p))) return false;
    }
    text.size -= p->rest.size + 1;
    return ln_utf8_valid(text);
}

static bool value(plain *p, size_t depth);

static bool member(plain *p, bool object, size_t depth) {
    if (object) {
        blanks(p);
        p->keys++;
        if (!string(p)) return false;
        blanks(p);
        if (!eat(p, ':')) return false;
    }
    return value(p, depth);
}

static bool container(plain *p, bool object, size_t depth) {
    if (depth > p->deepest) p->deepest = depth;
    blanks(p);
    if (eat(p, object ? '}' : ']')) return true;
    do {
        if (!member(p, object, depth)) return false;
        blanks(p);
    } while (eat(p, ','));
    return eat(p, object ? '}' : ']');
}

static bool value(plain *p, size_t depth) {
    blanks(p);
    switch (peek(p)) {
    case '{': return eat(p, '{') && container(p, true, depth + 1);
    case '[': return eat(p, '[') && container(p, false, depth + 1);
    case '"': return string(p);
    case 't': return eat_word(p, "true");
    case 'f': return eat_word(p, "false");
    case 'n': return eat_word(p, "null");
    default: return number(p);
    }
}

/* Deep input would deepen our recursion; the depth is counted first, roughly. */
static bool plausible(ln_slice in) {
    size_t open = 0;
    for (size_t i = 0; i < in.size; i++)
        open += in.data[i] == '[' || in.data[i] == '{';
    return open < 10000;
}

static void agree(ln_slice in, int err) {
    plain p = { .rest = in };
    bool good = value(&p, 0);
    blanks(&p);
    good = good && p.rest.size == 0;
    bool bounded = p.deepest <= LN_JSON_DEPTH_MAX && p.longest <= LN_JSON_NUMBER_MAX &&
                   p.keys <= LN_JSON_KEYS_MAX;
    FUZZ_REQUIRE((err == LINNET_OK) == (good && bounded));
    FUZZ_REQUIRE(err != LINNET_ERR_LIMIT || !bounded);
    FUZZ_REQUIRE(err == LINNET_OK || err == LINNET_ERR_JSON || err == LINNET_ERR_LIMIT);
}

/* -- the round trip -------------------------------------------------------------------- */

static void inside(ln_slice outer, ln_slice inner) {
    FUZZ_REQUIRE(inner.data >= outer.data && inner.size <= outer.size);
    FUZZ_REQUIRE(inner.data + inner.size <= outer.data + outer.size);
}

static void write_string(ln_json_writer *w, const ln_json_value *v) {
    ln_buf content;
    ln_buf_init(&content, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_json_unescape(v, &content) == LINNET_OK);
    FUZZ_REQUIRE(ln_utf8_valid(ln_buf_slice(&content)));
    FUZZ_REQUIRE(ln_json_is(v, ln_buf_slice(&content)));
    FUZZ_REQUIRE(v->escaped || ln_slice_eq(v->text, ln_buf_slice(&content)));
    ln_json_str(w, ln_buf_slice(&content));
    ln_buf_fini(&content);
}

static void write_value(ln_json_writer *w, const ln_json_value *v);

static void write_container(ln_json_writer *w, const ln_json_value *v) {
    ln_json_iter it = ln_json_iter_of(v);
    ln_json_value key, item;
    ln_json_open(w, '[');
    while (ln_json_next(&it, &key, &item)) {
        inside(v->raw, item.raw);
        if (v->kind == LN_JSON_OBJECT) {
            inside(v->raw, key.raw);
            FUZZ_REQUIRE(key.kind == LN_JSON_STRING);
            write_string(w, &key);
        }
        write_value(w, &item);
    }
    ln_json_close(w, ']');
}

static void write_value(ln_json_writer *w, const ln_json_value *v) {
    uint64_t n;
    switch (v->kind) {
    case LN_JSON_NULL: ln_json_null(w); break;
    case LN_JSON_BOOL: ln_json_bool(w, v->boolean); break;
    case LN_JSON_NUMBER: ln_json_uint(v, &n) ? ln_json_u64(w, n) : ln_json_raw(w, v->raw); break;
    case LN_JSON_STRING: write_string(w, v); break;
    default: write_container(w, v);
    }
}

static void write_again(const ln_json_value *v, ln_buf *out) {
    ln_buf_init(out, LN_BUF_MAX);
    ln_json_writer w = ln_json_begin(out);
    write_value(&w, v);
    FUZZ_REQUIRE(ln_json_end(&w) == LINNET_OK);
}

void fuzz_one(ln_slice in) {
    if (!plausible(in)) return;
    ln_json_value top;
    int err = ln_json_check(in, &top);
    agree(in, err);
    if (err < 0) return;
    inside(in, top.raw);

    ln_buf once, twice;
    write_again(&top, &once);
    FUZZ_REQUIRE(ln_json_check(ln_buf_slice(&once), &top) == LINNET_OK);
    write_again(&top, &twice);
    FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&once), ln_buf_slice(&twice)));
    ln_buf_fini(&once);
    ln_buf_fini(&twice);
}
