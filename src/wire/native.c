#include "wire/native.h"
#include "base/num.h"
#include <assert.h>

/* Errors ---------------------------------------------------------------------------------- */

typedef struct error_row {
    ln_native_code code;
    bool retry;
    const char *name, *words;
} error_row;

/* The enum's name in lower case is the name on the wire. */
static const error_row errors[] = {
#define ROW(name, code, retry, words) { LN_NATIVE_##name, retry, #name, words },
    LN_NATIVE_ERRORS(ROW)
#undef ROW
};

static const error_row *error_of(ln_native_code code) {
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].code == code) return &errors[i];
    static const error_row application = { 400, false, "APPLICATION", "refused" };
    return code >= LN_NATIVE_APPLICATION ? &application : &errors[0]; /* internal */
}

bool ln_native_known(int code) {
    return (int)error_of((ln_native_code)code)->code == code;
}

size_t ln_native_name(ln_native_code code, char out[LN_NATIVE_NAME_MAX]) {
    const char *name = error_of(code)->name;
    size_t size = strlen(name);
    assert(size <= LN_NATIVE_NAME_MAX);
    for (size_t i = 0; i < size; i++)
        out[i] = name[i] == '_' ? '_' : (char)(name[i] - 'A' + 'a');
    return size;
}

const char *ln_native_words(ln_native_code code) {
    return error_of(code)->words;
}

bool ln_native_retry(ln_native_code code) {
    return error_of(code)->retry;
}

/* Reading --------------------------------------------------------------------------------- */

static const ln_slice key_names[LN_KEYS] = {
    LN_SLICE_INIT("type"),
    LN_SLICE_INIT("action"),
    LN_SLICE_INIT("id"),
    LN_SLICE_INIT("re"),
    LN_SLICE_INIT("requestId"),
    LN_SLICE_INIT("channel"),
    LN_SLICE_INIT("topic"),
    LN_SLICE_INIT("room"),
    LN_SLICE_INIT("event"),
    LN_SLICE_INIT("data"),
    LN_SLICE_INIT("payload"),
    LN_SLICE_INIT("ts"),
    LN_SLICE_INIT("timestamp"),
    LN_SLICE_INIT("token"),
    LN_SLICE_INIT("echo"),
    LN_SLICE_INIT("except"),
    LN_SLICE_INIT("volatile"),
    LN_SLICE_INIT("recover"),
    LN_SLICE_INIT("seq"),
    LN_SLICE_INIT("key"),
    LN_SLICE_INIT("to"),
    LN_SLICE_INIT("presence"),
    LN_SLICE_INIT("after"),
    LN_SLICE_INIT("limit"),
    LN_SLICE_INIT("since"),
    LN_SLICE_INIT("reverse"),
    LN_SLICE_INIT("ttl"),
    LN_SLICE_INIT("error"),
    LN_SLICE_INIT("subs"),
    LN_SLICE_INIT("grant"),
};

static const struct {
    ln_slice name;
    ln_native_verb verb;
} verbs[] = {
    { LN_SLICE_INIT("subscribe"), LN_VERB_SUBSCRIBE },
    { LN_SLICE_INIT("unsubscribe"), LN_VERB_UNSUBSCRIBE },
    { LN_SLICE_INIT("publish"), LN_VERB_PUBLISH },
    { LN_SLICE_INIT("ping"), LN_VERB_PING },
    { LN_SLICE_INIT("pong"), LN_VERB_PONG },
    { LN_SLICE_INIT("heartbeat"), LN_VERB_HEARTBEAT },
    { LN_SLICE_INIT("auth"), LN_VERB_AUTH },
    { LN_SLICE_INIT("call"), LN_VERB_CALL },
    { LN_SLICE_INIT("refresh"), LN_VERB_REFRESH },
    { LN_SLICE_INIT("send"), LN_VERB_SEND },
    { LN_SLICE_INIT("presence"), LN_VERB_PRESENCE },
    { LN_SLICE_INIT("set"), LN_VERB_SET },
    { LN_SLICE_INIT("unset"), LN_VERB_UNSET },
    { LN_SLICE_INIT("typing"), LN_VERB_TYPING },
    { LN_SLICE_INIT("history"), LN_VERB_HISTORY },
    { LN_SLICE_INIT("reply"), LN_VERB_REPLY },
};

typedef struct reading {
    ln_native_command *out;
    ln_buf *scratch;
    const char *why; /* the first fault */
    ln_json_value found[LN_KEYS];
} reading;

static void fault(reading *r, const char *why) {
    if (!r->why) r->why = why;
}

static int key_of(const ln_json_value *key) {
    for (int i = 0; i < LN_KEYS; i++)
        if (ln_json_is(key, key_names[i])) return i;
    return -1;
}

/* Of what came twice, one reader would take the first and another the last. */
static void collect(reading *r, const ln_json_value *object) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value;
    while (ln_json_next(&it, &key, &value)) {
        int i = key_of(&key);
        if (i < 0) continue;
        uint32_t bit = UINT32_C(1) << i;
        if (r->out->keys & bit)
            fault(r, "a key stands twice");
        else
            r->found[i] = value;
        r->out->keys |= bit;
    }
}

/* The value under the first of some names that came, or NULL. */
static const ln_json_value *pick(const reading *r, uint32_t keys) {
    uint32_t came = r->out->keys & keys;
    return came ? &r->found[__builtin_ctz(came)] : NULL;
}

static void read_verb(reading *r) {
    const ln_json_value *v = pick(r, LN_KEY_TYPE | LN_KEY_ACTION);
    if (!v) return;
    if (v->kind != LN_JSON_STRING) {
        fault(r, "type is not a string");
        return;
    }
    r->out->type = *v;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (ln_json_is(v, verbs[i].name)) r->out->verb = verbs[i].verb;
}

/* Room in scratch is there, so it does not move. */
bool ln_native_text(const ln_json_value *v, size_t max, ln_buf *scratch, ln_slice *out) {
    if (v->kind != LN_JSON_STRING || v->text.size > 6 * max) return false;
    *out = v->text;
    if (!v->escaped) return true;
    uint32_t before = scratch->size;
    if (ln_json_unescape(v, scratch) < 0) return false;
    ln_slice all = ln_buf_slice(scratch);
    *out = ln_slice_sub(all, before, all.size);
    return true;
}

static void read_id(reading *r) {
    const ln_json_value *v = pick(r, LN_KEY_ID);
    if (!v) return;
    uint64_t number;
    ln_slice text;
    bool good = ln_json_uint(v, &number);
    if (!good && v->raw.size <= LN_NATIVE_RE_MAX &&
        ln_native_text(v, LN_NATIVE_ID_MAX, r->scratch, &text))
        good = text.size <= LN_NATIVE_ID_MAX;
    if (good)
        r->out->id = v->raw;
    else
        fault(r, "id is neither a string of at most 64 bytes nor an integer from 0 to 2^53-1");
}

/* Whether it names a request is for whoever made some to say. */
static void read_answer(reading *r) {
    const ln_json_value *re = pick(r, LN_KEY_RE | LN_KEY_REQUEST_ID);
    const ln_json_value *error = pick(r, LN_KEY_ERROR);
    if (re && (re->kind == LN_JSON_NUMBER || re->kind == LN_JSON_STRING)) r->out->re = *re;
    if (error) r->out->error = *error;
}

static void read_names(reading *r) {
    const ln_json_value *v = pick(r, LN_KEY_CHANNEL | LN_KEY_TOPIC | LN_KEY_ROOM);
    if (v && !ln_native_text(v, LN_NATIVE_NAME_BYTES, r->scratch, &r->out->channel))
        fault(r, "channel is not a string that could name one");
    v = pick(r, LN_KEY_EVENT);
    if (!v) return;
    if (!ln_native_text(v, LN_NATIVE_EVENT_MAX, r->scratch, &r->out->event) ||
        r->out->event.size > LN_NATIVE_EVENT_MAX)
        fault(r, "event is not a string of at most 255 bytes");
}

static bool read_bool(reading *r, ln_native_key key, bool otherwise, const char *why) {
    const ln_json_value *v = pick(r, key);
    if (!v) return otherwise;
    if (v->kind != LN_JSON_BOOL) fault(r, why);
    return v->boolean;
}

static void read_except(reading *r) {
    const ln_json_value *v = pick(r, LN_KEY_EXCEPT);
    if (!v) return;
    r->out->except = *v;
    if (v->kind != LN_JSON_ARRAY) {
        fault(r, "except is not an array");
        return;
    }
    ln_json_iter it = ln_json_iter_of(v);
    ln_json_value key, item;
    uint32_t count = 0;
    while (ln_json_next(&it, &key, &item) && ++count <= LN_NATIVE_EXCEPT_MAX)
        if (item.kind != LN_JSON_STRING) fault(r, "except holds something that is no string");
    if (count > LN_NATIVE_EXCEPT_MAX) fault(r, "except holds more than 128 names");
}

/* An integer, or as near as one can come to it: beyond 2^53-1, or below 0, UINT64_MAX. */
static bool read_count(const ln_json_value *v, uint64_t *out) {
    if (v->kind != LN_JSON_NUMBER) return false;
    if (ln_json_uint(v, out)) return true;
    for (size_t i = v->raw.data[0] == '-'; i < v->raw.size; i++)
        if (v->raw.data[i] < '0' || v->raw.data[i] > '9') return false;
    *out = UINT64_MAX;
    return true;
}

/* What we have made ourselves has no escapes in it. */
static bool plain_text(const ln_json_value *v, size_t max, ln_slice *out) {
    if (v->kind != LN_JSON_STRING || v->escaped || v->text.size > max) return false;
    *out = v->text;
    return true;
}

/* An epoch that is not of ours is one that we do not have: 0. */
static void read_epoch(const ln_json_value *v, uint64_t *epoch, bool *there) {
    if (v->kind != LN_JSON_STRING) return;
    *there = true;
    if (!ln_native_epoch_get(v->text, epoch)) *epoch = 0;
}

/* A place in a log; false: nothing came. */
static bool read_position(reading *r, ln_native_key which, uint64_t *at_epoch, uint64_t *at_offset,
    const char *no_object, const char *not_both) {
    const ln_json_value *v = pick(r, which);
    if (!v || v->kind == LN_JSON_NULL) return false;
    if (v->kind != LN_JSON_OBJECT) {
        fault(r, no_object);
        return false;
    }
    ln_json_iter it = ln_json_iter_of(v);
    ln_json_value key, item;
    bool epoch = false, offset = false;
    while (ln_json_next(&it, &key, &item)) {
        if (ln_json_is(&key, LN_SLICE("offset")))
            offset = read_count(&item, at_offset) && item.raw.data[0] != '-';
        else if (ln_json_is(&key, LN_SLICE("epoch")))
            read_epoch(&item, at_epoch, &epoch);
    }
    if (!epoch || !offset) fault(r, not_both);
    return true;
}

static void read_places(reading *r) {
    ln_native_command *c = r->out;
    c->recover = read_position(r, LN_KEY_RECOVER, &c->recover_epoch, &c->recover_offset,
        "recover is not an object", "recover has not both an epoch and an offset");
    if (c->verb != LN_VERB_HISTORY) return;
    c->since = read_position(r, LN_KEY_SINCE, &c->since_epoch, &c->since_offset,
        "since is not an object", "since has not both an epoch and an offset");
}

static void read_extent(reading *r) {
    if (r->out->verb != LN_VERB_HISTORY) return;
    const ln_json_value *v = pick(r, LN_KEY_LIMIT);
    uint64_t limit = UINT64_MAX;
    if (v && !read_count(v, &limit)) fault(r, "limit is not an integer");
    r->out->limit = limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
    r->out->reverse = read_bool(r, LN_KEY_REVERSE, false, "reverse is neither true nor false");
}

/* The first of that name in data; raw empty: there is none. */
static ln_json_value in_data(const reading *r, ln_slice name) {
    const ln_json_value *data = pick(r, LN_KEY_DATA | LN_KEY_PAYLOAD);
    ln_json_value key, item, found = { 0 };
    if (!data || data->kind != LN_JSON_OBJECT) return found;
    ln_json_iter it = ln_json_iter_of(data);
    while (!found.raw.size && ln_json_next(&it, &key, &item))
        if (ln_json_is(&key, name)) found = item;
    return found;
}

/* A token stands at the top, or in data. */
static void read_token(reading *r) {
    const ln_json_value *v = pick(r, LN_KEY_TOKEN);
    ln_json_value found = v ? *v : in_data(r, LN_SLICE("token"));
    if (!found.raw.size) return;
    if (!ln_native_text(&found, LN_NATIVE_TOKEN_MAX, r->scratch, &r->out->token))
        fault(r, "token is not a string of at most 4096 bytes");
}

/* A position is there whole, or not at all. False: malformed. */
static bool read_sub(const ln_json_value *v, ln_native_command *out) {
    if (v->kind == LN_JSON_NULL) return true;
    if (v->kind != LN_JSON_OBJECT) return false;
    ln_json_iter it = ln_json_iter_of(v);
    ln_json_value key, item;
    bool epoch = false, offset = false, good = true;
    while (good && ln_json_next(&it, &key, &item)) {
        if (ln_json_is(&key, LN_SLICE("offset"))) {
            offset = read_count(&item, &out->recover_offset) && item.raw.data[0] != '-';
        } else if (ln_json_is(&key, LN_SLICE("epoch"))) {
            read_epoch(&item, &out->recover_epoch, &epoch);
        } else if (ln_json_is(&key, LN_SLICE("grant"))) {
            good = plain_text(&item, LN_NATIVE_GRANT_MAX, &out->grant);
        } else if (ln_json_is(&key, LN_SLICE("presence"))) {
            good = item.kind == LN_JSON_BOOL;
            out->presence = item.boolean;
        }
    }
    out->recover = epoch && offset;
    return good && epoch == offset;
}

void ln_native_sub(const ln_json_value *value, ln_native_command *out) {
    *out = (ln_native_command){ .verb = LN_VERB_SUBSCRIBE };
    read_sub(value, out);
}

static void read_subs(reading *r) {
    const ln_json_value *v = pick(r, LN_KEY_SUBS);
    if (!v) return;
    r->out->subs = *v;
    if (v->kind != LN_JSON_OBJECT) {
        fault(r, "subs is not an object of channels");
        return;
    }
    bool good = true;
    ln_json_iter it = ln_json_iter_of(v);
    ln_json_value key, item;
    ln_native_command unused = { 0 };
    while (good && ln_json_next(&it, &key, &item))
        good = key.text.size <= (size_t)6 * LN_NATIVE_NAME_BYTES && read_sub(&item, &unused);
    if (!good)
        fault(r, "subs: of a channel there is something other than a position, a grant, presence");
}

/* How a session comes back. */
static void read_resume(reading *r) {
    const ln_json_value *v = pick(r, LN_KEY_GRANT);
    if (r->out->verb == LN_VERB_SUBSCRIBE && v &&
        !plain_text(v, LN_NATIVE_GRANT_MAX, &r->out->grant))
        fault(r, "grant is not one that was given");
    if (r->out->verb != LN_VERB_AUTH) return;
    ln_json_value ticket = in_data(r, LN_SLICE("resume"));
    if (!ticket.raw.size) return;
    if (!plain_text(&ticket, LN_NATIVE_TICKET_MAX, &r->out->resume))
        fault(r, "resume is not a ticket that was given");
    read_subs(r);
}

static void read_seq(reading *r) {
    const ln_json_value *v = pick(r, LN_KEY_SEQ);
    if (r->out->verb != LN_VERB_PUBLISH || !v) return;
    if (!ln_json_uint(v, &r->out->seq) || r->out->seq == 0)
        fault(r, "seq is not an integer from 1 to 2^53-1");
}

static void read_to(reading *r) {
    const ln_json_value *v = pick(r, LN_KEY_TO);
    if (v && !ln_native_text(v, LN_NATIVE_NAME_BYTES, r->scratch, &r->out->to))
        fault(r, "to is not a string that could name a user");
}

/* Of the verbs that take one; others may call whatever they like a token. */
static bool has_token(ln_native_verb verb) {
    return verb == LN_VERB_AUTH || verb == LN_VERB_REFRESH || verb == LN_VERB_SUBSCRIBE;
}

/* Words that mean something with these verbs only. */
static void read_page(reading *r) {
    if (r->out->verb == LN_VERB_SUBSCRIBE)
        r->out->presence = read_bool(
            r, LN_KEY_PRESENCE, false, "presence is neither true nor false");
    if (r->out->verb != LN_VERB_PRESENCE) return;
    const ln_json_value *v = pick(r, LN_KEY_AFTER);
    if (v && !ln_json_uint(v, &r->out->after)) fault(r, "after is not an integer from 0 to 2^53-1");
    uint64_t limit = 0;
    v = pick(r, LN_KEY_LIMIT);
    if (v && !ln_json_uint(v, &limit)) fault(r, "limit is not an integer from 0 to 2^53-1");
    r->out->limit = limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
}

static void read_state(reading *r) {
    ln_native_verb verb = r->out->verb;
    const ln_json_value *v = pick(r, LN_KEY_KEY);
    if ((verb == LN_VERB_SET || verb == LN_VERB_UNSET) && v &&
        !ln_native_text(v, LN_NATIVE_EVENT_MAX, r->scratch, &r->out->key))
        fault(r, "key is not a string of 1 to 255 bytes");
    v = pick(r, LN_KEY_TTL);
    if (verb == LN_VERB_SET && v && !ln_json_uint(v, &r->out->ttl_ms))
        fault(r, "ttl is not from 1 to 3600000 ms");
}

int ln_native_parse(
    const ln_json_value *object, ln_buf *scratch, ln_native_command *out, const char **why) {
    *out = (ln_native_command){ 0 };
    reading r = { .out = out, .scratch = scratch };
    if (object->kind != LN_JSON_OBJECT) {
        *why = "a command is a JSON object";
        return LINNET_ERR_JSON;
    }
    collect(&r, object);
    read_verb(&r);
    read_id(&r);
    read_answer(&r);
    read_names(&r);
    const ln_json_value *data = pick(&r, LN_KEY_DATA | LN_KEY_PAYLOAD);
    if (data) out->data = data->raw;
    out->no_echo = !read_bool(&r, LN_KEY_ECHO, true, "echo is neither true nor false");
    out->is_volatile = read_bool(&r, LN_KEY_VOLATILE, false, "volatile is neither true nor false");
    read_except(&r);
    if (has_token(out->verb)) read_token(&r);
    if (out->verb == LN_VERB_SEND) read_to(&r);
    read_page(&r);
    read_state(&r);
    read_places(&r);
    read_extent(&r);
    read_resume(&r);
    read_seq(&r);
    if (!r.why) return LN_DONE;
    *why = r.why;
    return LINNET_ERR_JSON;
}

ln_native_hand ln_native_detect(const ln_native_command *c) {
    if (c->verb == LN_VERB_PING || c->verb == LN_VERB_PONG || c->verb == LN_VERB_HEARTBEAT)
        return LN_HAND_NOBODY;
    uint32_t keys = c->keys;
    if (keys & LN_KEY_ACTION) return LN_HAND_CHANNEL;
    if ((keys & LN_KEY_ID) && (keys & LN_KEY_PAYLOAD)) return LN_HAND_RPC;
    if (keys & LN_KEY_TOPIC) return LN_HAND_TOPIC;
    if (keys & LN_KEY_PAYLOAD) return LN_HAND_EVENT;
    if (c->verb == LN_VERB_AUTH && (keys & LN_KEY_TOKEN)) return LN_HAND_EVENT;
    if ((keys & LN_KEY_TIMESTAMP) && !(keys & (LN_KEY_CHANNEL | LN_KEY_ID))) return LN_HAND_EVENT;
    return LN_HAND_NATIVE;
}

/* Whether JavaScript reads 0: no digit but zeros, or one that is lost because it is too small. */
static bool zero(ln_slice number) {
    long place = 0, exponent = 0; /* of the first digit that counts */
    bool point = false, counts = false;
    size_t i = 0;
    for (; i < number.size; i++) {
        uint8_t b = number.data[i];
        if (b == 'e' || b == 'E') break;
        if (b == '.')
            point = true;
        else if (b >= '1' && b <= '9')
            counts = true;
        if (b >= '0' && b <= '9' && point && !counts) place--;
        if (b >= '0' && b <= '9' && !point && counts) place++;
    }
    if (!counts) return true;
    bool negative = i + 1 < number.size && number.data[i + 1] == '-';
    for (; i < number.size; i++) {
        uint8_t b = number.data[i];
        if (b >= '0' && b <= '9' && exponent < 100000) exponent = exponent * 10 + (b - '0');
    }
    /* The smallest double is 4.9e-324. To wrap a number of that size once too often harms nobody.
     */
    return place + (negative ? -exponent : exponent) < -322;
}

bool ln_native_falsy(ln_slice json) {
    if (json.size == 0) return true;
    uint8_t b = json.data[0];
    if (b == '-' || (b >= '0' && b <= '9')) return zero(json);
    return ln_slice_eq(json, LN_SLICE("\"\"")) || ln_slice_eq(json, LN_SLICE("null")) ||
           ln_slice_eq(json, LN_SLICE("false"));
}

void ln_native_epoch_put(uint64_t epoch, char out[LN_NATIVE_EPOCH]) {
    ln_num_hex16_put(epoch, out);
}

bool ln_native_epoch_get(ln_slice text, uint64_t *epoch) {
    return ln_num_hex16(text, epoch);
}

/* Writing --------------------------------------------------------------------------------- */

static ln_json_writer begin(ln_buf *out, const char *type) {
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, ln_slice_str(type));
    return w;
}

static int end(ln_json_writer *w) {
    ln_json_close(w, '}');
    return ln_json_end(w);
}

static void put_str(ln_json_writer *w, const char *key, ln_slice text) {
    ln_json_key(w, key);
    ln_json_str(w, text);
}

static void put_u64(ln_json_writer *w, const char *key, uint64_t v) {
    ln_json_key(w, key);
    ln_json_u64(w, v);
}

static void put_bool(ln_json_writer *w, const char *key, bool v) {
    ln_json_key(w, key);
    ln_json_bool(w, v);
}

static void put_re(ln_json_writer *w, ln_slice re) {
    if (re.size == 0) return;
    ln_json_key(w, "re");
    ln_json_raw(w, re);
}

static void put_place(ln_json_writer *w, uint64_t epoch, uint64_t offset) {
    if (!epoch) return;
    char text[LN_NATIVE_EPOCH];
    ln_native_epoch_put(epoch, text);
    put_str(w, "epoch", ln_slice_of(text, sizeof text));
    put_u64(w, "offset", offset);
}

static void put_who(ln_json_writer *w, ln_slice user, uint64_t expires) {
    if (user.size) put_str(w, "user", user);
    if (user.size && expires) put_u64(w, "expires", expires);
}

int ln_native_put_welcome(ln_buf *out, const ln_native_welcome *welcome) {
    ln_json_writer w = begin(out, "welcome");
    put_str(&w, "client", welcome->client);
    put_str(&w, "session", welcome->session);
    put_u64(&w, "ping", welcome->ping_s);
    put_u64(&w, "timeout", welcome->timeout_s);
    put_u64(&w, "max", welcome->message_max);
    put_bool(&w, "auth", welcome->auth);
    put_str(&w, "node", welcome->node);
    put_u64(&w, "ts", welcome->ts);
    put_who(&w, welcome->user, welcome->expires);
    if (welcome->data.size) {
        ln_json_key(&w, "data");
        ln_json_raw(&w, welcome->data);
    }
    if (welcome->resume.size) put_str(&w, "resume", welcome->resume);
    if (welcome->dedup_s) put_u64(&w, "dedup_s", welcome->dedup_s);
    ln_json_key(&w, "caps");
    ln_json_open(&w, '[');
    ln_json_str(&w, LN_SLICE("batch"));
    if (welcome->bin) ln_json_str(&w, LN_SLICE("bin"));
    ln_json_close(&w, ']');
    return end(&w);
}

static void put_again(ln_json_writer *w, const ln_native_ok *ok) {
    if (ok->client.size) put_str(w, "client", ok->client);
    if (ok->session.size) put_str(w, "session", ok->session);
    if (ok->resume.size) put_str(w, "resume", ok->resume);
}

static void put_joined(ln_json_writer *w, const ln_native_ok *ok) {
    if (ok->class) put_str(w, "class", ln_slice_str(ok->class));
    if (ok->recover) put_bool(w, "recovered", ok->recovered);
    if (ok->recovered) put_u64(w, "replay", ok->replay);
    if (ok->grant.size) put_str(w, "grant", ok->grant);
}

int ln_native_put_ok(ln_buf *out, const ln_native_ok *ok) {
    ln_json_writer w = begin(out, "ok");
    put_re(&w, ok->re);
    put_place(&w, ok->epoch, ok->offset);
    put_who(&w, ok->user, ok->expires);
    put_again(&w, ok);
    put_joined(&w, ok);
    if (ok->data.size) {
        ln_json_key(&w, "data");
        ln_json_raw(&w, ok->data);
    }
    return end(&w);
}

int ln_native_put_error(ln_buf *out, const ln_native_error *error) {
    char name[LN_NATIVE_NAME_MAX];
    const char *message = error->message ? error->message : ln_native_words(error->code);
    ln_json_writer w = begin(out, "error");
    put_re(&w, error->re);
    if (error->channel.size) put_str(&w, "channel", error->channel);
    ln_json_key(&w, "error");
    ln_json_open(&w, '{');
    put_u64(&w, "code", (uint64_t)error->code);
    put_str(&w, "name", ln_slice_of(name, ln_native_name(error->code, name)));
    put_str(&w, "message", ln_slice_str(message));
    put_bool(&w, "retry", !error->vain && ln_native_retry(error->code));
    if (error->retry_after_ms) put_u64(&w, "retry_after", error->retry_after_ms);
    ln_json_close(&w, '}');
    return end(&w);
}

/* What is default or unknown is left out. */
static void put_said(ln_json_writer *w, const ln_native_message *m) {
    if (m->event.size && !ln_slice_eq(m->event, LN_SLICE("message"))) put_str(w, "event", m->event);
    if (m->data.size) {
        ln_json_key(w, "data");
        ln_json_raw(w, m->data);
    }
    if (m->offset) put_u64(w, "offset", m->offset);
    put_u64(w, "ts", m->ts);
    if (m->from.size) {
        ln_json_key(w, "from");
        ln_json_open(w, '{');
        put_str(w, "client", m->from);
        if (m->user.size) put_str(w, "user", m->user);
        if (m->info.size) {
            ln_json_key(w, "info");
            ln_json_raw(w, m->info);
        }
        ln_json_close(w, '}');
    }
    if (m->replay) put_bool(w, "replay", true);
    if (m->retracted) put_bool(w, "retracted", true);
}

int ln_native_put_message(ln_buf *out, const ln_native_message *m) {
    ln_json_writer w = begin(out, "message");
    put_str(&w, "channel", m->channel);
    put_said(&w, m);
    return end(&w);
}

ln_json_writer ln_native_history_begin(ln_buf *out, const ln_native_ok *ok) {
    ln_json_writer w = begin(out, "ok");
    put_re(&w, ok->re);
    put_place(&w, ok->epoch, ok->offset);
    ln_json_key(&w, "messages");
    ln_json_open(&w, '[');
    return w;
}

void ln_native_history_add(ln_json_writer *w, const ln_native_message *m) {
    ln_json_open(w, '{');
    put_said(w, m);
    ln_json_close(w, '}');
}

void ln_native_history_end(ln_json_writer *w) {
    ln_json_close(w, ']');
    ln_json_close(w, '}');
}

int ln_native_put_pong(ln_buf *out, ln_slice re) {
    ln_json_writer w = begin(out, "pong");
    put_re(&w, re);
    return end(&w);
}

int ln_native_put_skip(
    ln_buf *out, ln_slice channel, uint64_t offset, uint64_t count, const char *reason) {
    ln_json_writer w = begin(out, "skip");
    put_str(&w, "channel", channel);
    put_u64(&w, "offset", offset);
    put_u64(&w, "count", count);
    put_str(&w, "reason", ln_slice_str(reason));
    return end(&w);
}

int ln_native_put_subscribed(ln_buf *out, ln_slice channel, const ln_native_ok *ok) {
    ln_json_writer w = begin(out, "subscribed");
    put_str(&w, "channel", channel);
    put_place(&w, ok->epoch, ok->offset);
    put_joined(&w, ok);
    return end(&w);
}

int ln_native_put_ping(ln_buf *out, ln_slice resume) {
    ln_json_writer w = begin(out, "ping");
    if (resume.size) put_str(&w, "resume", resume);
    return end(&w);
}

int ln_native_put_call(ln_buf *out, uint64_t id, ln_slice event, ln_slice data) {
    ln_json_writer w = begin(out, "call");
    put_u64(&w, "id", id);
    put_str(&w, "event", event);
    ln_json_key(&w, "data");
    ln_json_raw(&w, data);
    return end(&w);
}

int ln_native_put_expiring(ln_buf *out, uint64_t in_s) {
    ln_json_writer w = begin(out, "expiring");
    put_u64(&w, "in", in_s);
    return end(&w);
}

int ln_native_put_goaway(ln_buf *out, uint64_t after_ms, const char *reason) {
    ln_json_writer w = begin(out, "goaway");
    put_u64(&w, "after_ms", after_ms);
    put_str(&w, "reason", ln_slice_str(reason));
    return end(&w);
}

int ln_native_put_unsubscribed(ln_buf *out, ln_slice channel, ln_native_code code) {
    ln_json_writer w = begin(out, "unsubscribed");
    put_str(&w, "channel", channel);
    put_u64(&w, "code", (uint64_t)code);
    put_str(&w, "reason", ln_slice_str(ln_native_words(code)));
    put_bool(&w, "retry", code != LN_NATIVE_PERMISSION_DENIED);
    return end(&w);
}
