/* Bodies of the HTTP API. The first byte chooses whose fields are looked for. What is taken has all
 * that it must and nothing that it may not, and says the same when it is written and read again;
 * what is refused has a reason that fits a line. The two ways to look for a method agree, and lines
 * are what stands between line ends. */
#include "base/buf.h"
#include "daemon/api_body.h"
#include "fuzz.h"

enum { TEXT, NUMBER, FLAG, RAW, ARRAY, SINCE, EPOCH };

static const struct {
    const char *name;
    unsigned bit;
    int kind;
    size_t at; /* in ln_api_body */
} fields[] = {
#define F(name, bit, kind, member)                                                                 \
    { name, LN_API_##bit, kind, offsetof(ln_api_body, member) }
    F("channel", CHANNEL, TEXT, channel),
    F("channels", CHANNELS, ARRAY, channels),
    F("event", EVENT, TEXT, event),
    F("data", DATA, RAW, data),
    F("volatile", VOLATILE, FLAG, is_volatile),
    F("method", METHOD, TEXT, method),
    F("commands", COMMANDS, ARRAY, commands),
    F("user", USER, TEXT, user),
    F("client", CLIENT, TEXT, client),
    F("code", CODE, NUMBER, code),
    F("reason", REASON, TEXT, reason),
    F("limit", LIMIT, NUMBER, limit),
    F("key", KEY, TEXT, key),
    F("since", SINCE, SINCE, epoch),
    F("reverse", REVERSE, FLAG, reverse),
    F("address", ADDRESS, TEXT, address),
    F("jti", JTI, TEXT, jti),
    F("session", SESSION, TEXT, session),
    F("for", FOR, NUMBER, for_s),
    F("before", BEFORE, NUMBER, before),
    F("after", AFTER, NUMBER, after),
    F("timeout", TIMEOUT, NUMBER, timeout_ms),
    F("offset", OFFSET, NUMBER, offset),
    F("epoch", EPOCH, EPOCH, epoch),
    F("prefix", PREFIX, TEXT, prefix),
    F("after", BEHIND, TEXT, behind),
    F("expires", EXPIRES, NUMBER, expires),
    F("info", INFO, RAW, info),
#undef F
};
#define FIELDS (sizeof fields / sizeof fields[0])

static const unsigned masks[][2] = {
    /* may, must; since and epoch never meet, as in methods */
    { LN_API_EVENT | LN_API_VOLATILE | LN_API_KEY, LN_API_CHANNEL | LN_API_DATA },
    { LN_API_EVENT | LN_API_VOLATILE | LN_API_KEY, LN_API_CHANNELS | LN_API_DATA },
    { 0, LN_API_COMMANDS },
    { LN_API_USER | LN_API_CLIENT | LN_API_DATA | LN_API_TIMEOUT, LN_API_EVENT },
    { LN_API_SINCE | LN_API_LIMIT | LN_API_REVERSE, LN_API_CHANNEL },
    { LN_API_AFTER | LN_API_LIMIT, LN_API_CHANNEL },
    { LN_API_USER | LN_API_CLIENT | LN_API_CODE | LN_API_REASON, 0 },
    { LN_API_EPOCH, LN_API_CHANNEL | LN_API_OFFSET },
    { LN_API_USER | LN_API_JTI | LN_API_SESSION | LN_API_ADDRESS | LN_API_BEFORE | LN_API_FOR, 0 },
    { LN_API_EVENT | LN_API_VOLATILE | LN_API_KEY | LN_API_METHOD, LN_API_CHANNEL | LN_API_DATA },
    { LN_API_PREFIX | LN_API_BEHIND | LN_API_LIMIT, 0 },
    { LN_API_USER | LN_API_CLIENT | LN_API_EXPIRES | LN_API_INFO, 0 },
};

static const void *member(const ln_api_body *b, size_t i) {
    return (const char *)b + fields[i].at;
}

static void put_epoch(ln_json_writer *w, uint64_t epoch) {
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)epoch);
    ln_json_str(w, ln_slice_str(text));
}

static void put_field(ln_json_writer *w, const ln_api_body *b, size_t i) {
    const void *at = member(b, i);
    ln_json_key(w, fields[i].name);
    switch (fields[i].kind) {
    case TEXT: ln_json_str(w, *(const ln_slice *)at); break;
    case NUMBER: ln_json_u64(w, *(const uint64_t *)at); break;
    case FLAG: ln_json_bool(w, *(const bool *)at); break;
    case RAW: ln_json_raw(w, *(const ln_slice *)at); break;
    case ARRAY: ln_json_raw(w, ((const ln_json_value *)at)->raw); break;
    case EPOCH: put_epoch(w, b->epoch); break;
    default:
        ln_json_open(w, '{');
        ln_json_key(w, "offset");
        ln_json_u64(w, b->offset);
        ln_json_key(w, "epoch");
        put_epoch(w, b->epoch);
        ln_json_close(w, '}');
    }
}

static void put_body(ln_buf *out, const ln_api_body *b) {
    ln_buf_init(out, LN_BUF_MAX);
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    for (size_t i = FIELDS; i--;) /* in another order */
        if (b->fields & fields[i].bit) put_field(&w, b, i);
    ln_json_close(&w, '}');
    FUZZ_REQUIRE(ln_json_end(&w) == LINNET_OK);
}

static bool same(const ln_api_body *a, const ln_api_body *b, size_t i) {
    const void *x = member(a, i), *y = member(b, i);
    switch (fields[i].kind) {
    case TEXT:
    case RAW: return ln_slice_eq(*(const ln_slice *)x, *(const ln_slice *)y);
    case NUMBER: return *(const uint64_t *)x == *(const uint64_t *)y;
    case FLAG: return *(const bool *)x == *(const bool *)y;
    case ARRAY:
        return ln_slice_eq(((const ln_json_value *)x)->raw, ((const ln_json_value *)y)->raw);
    default: return a->epoch == b->epoch && a->offset == b->offset;
    }
}

static void check_again(const ln_api_body *first, const unsigned mask[2]) {
    ln_buf text, scratch;
    ln_json_value top;
    ln_api_body b;
    char why[LN_API_WHY_MAX];
    put_body(&text, first);
    ln_buf_init(&scratch, LN_BUF_MAX);
    FUZZ_REQUIRE(ln_buf_reserve(&scratch, text.size) == LINNET_OK);
    FUZZ_REQUIRE(ln_json_check(ln_buf_slice(&text), &top) == LINNET_OK);
    FUZZ_REQUIRE(ln_api_read(&top, mask[0], mask[1], &scratch, &b, why));
    FUZZ_REQUIRE(b.fields == first->fields);
    for (size_t i = 0; i < FIELDS; i++)
        if (b.fields & fields[i].bit) FUZZ_REQUIRE(same(first, &b, i));
    ln_buf_fini(&text);
    ln_buf_fini(&scratch);
}

static void check_why(const char *why) {
    size_t size = strnlen(why, LN_API_WHY_MAX);
    FUZZ_REQUIRE(size > 0 && size < LN_API_WHY_MAX);
    for (size_t i = 0; i < size; i++)
        FUZZ_REQUIRE(why[i] >= ' ' && why[i] < 127);
}

static void check_object(const ln_json_value *top, size_t room, const unsigned mask[2]) {
    ln_buf scratch;
    ln_api_body b;
    ln_slice name;
    char why[LN_API_WHY_MAX] = "";
    ln_buf_init(&scratch, (uint32_t)room);
    FUZZ_REQUIRE(!room || ln_buf_reserve(&scratch, room) == LINNET_OK);
    const uint8_t *before = scratch.data;
    if (ln_api_read(top, mask[0], mask[1], &scratch, &b, why)) {
        FUZZ_REQUIRE(!(b.fields & ~(mask[0] | mask[1])) && !(mask[1] & ~b.fields));
        FUZZ_REQUIRE(scratch.data == before); /* slices stay where they are */
        check_again(&b, mask);
    } else {
        check_why(why);
    }
    ln_buf_clear(&scratch);
    bool named = ln_api_named(top, &scratch, &name, why);
    if (!named) check_why(why);
    if (ln_api_is_method(top, LN_SLICE("publish")))
        FUZZ_REQUIRE(named && ln_slice_eq(name, LN_SLICE("publish")));
    ln_buf_fini(&scratch);
}

static void check_lines(ln_slice text) {
    ln_slice rest = text, line;
    size_t seen = 0;
    while (ln_api_line(&rest, &line)) {
        FUZZ_REQUIRE(line.size > 0 && ln_slice_find(line, '\n') == SIZE_MAX);
        FUZZ_REQUIRE(line.data >= text.data && line.data + line.size <= text.data + text.size);
        seen += line.size;
    }
    FUZZ_REQUIRE(rest.size == 0 && seen <= text.size);
}

void fuzz_one(ln_slice in) {
    ln_json_value top, item, key;
    const unsigned *mask = masks[fuzz_choice(&in) % (sizeof masks / sizeof masks[0])];
    check_lines(in);
    if (ln_json_check(in, &top) < 0) return;
    check_object(&top, in.size, mask);
    if (top.kind != LN_JSON_ARRAY) return;
    ln_json_iter it = ln_json_iter_of(&top); /* as the commands of a batch */
    while (ln_json_next(&it, &key, &item))
        check_object(&item, in.size, masks[9]);
}
