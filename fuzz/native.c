/* The native protocol: a command that is read, written again in the plainest way, reads the same.
 * What we answer with its parts in it is JSON, and a message carries them unchanged. A binary
 * message is a command whose data is the bytes behind its header. */
#include "fuzz.h"
#include "wire/bytes.h"
#include "wire/envelope.h"
#include <math.h>

static ln_slice member(ln_slice object, const char *name, ln_json_value *value) {
    ln_json_value top, key;
    FUZZ_REQUIRE(ln_json_check(object, &top) == LINNET_OK);
    FUZZ_REQUIRE(top.kind == LN_JSON_OBJECT);
    ln_json_iter it = ln_json_iter_of(&top);
    while (ln_json_next(&it, &key, value))
        if (ln_json_is(&key, ln_slice_str(name))) return value->raw;
    return (ln_slice){ 0 };
}

/* Reading ------------------------------------------------------------------------------------ */

static int read_command(ln_slice text, ln_buf *scratch, ln_native_command *c) {
    ln_json_value top;
    const char *why = NULL;
    FUZZ_REQUIRE(ln_json_check(text, &top) == LINNET_OK);
    ln_buf_init(scratch, LN_NATIVE_SCRATCH);
    FUZZ_REQUIRE(ln_buf_reserve(scratch, LN_NATIVE_SCRATCH) == LINNET_OK);
    const uint8_t *data = scratch->data;
    int result = ln_native_parse(&top, scratch, c, &why);
    FUZZ_REQUIRE(scratch->data == data); /* slices point there */
    FUZZ_REQUIRE(result == LN_DONE || result == LINNET_ERR_JSON);
    FUZZ_REQUIRE((result == LN_DONE) == (why == NULL));
    FUZZ_REQUIRE(c->id.size <= LN_NATIVE_RE_MAX);
    FUZZ_REQUIRE((unsigned)ln_native_detect(c) <= LN_HAND_EVENT);
    return result;
}

/* What an envelope holds is a part of the text, or was unescaped into the scratch. */
static void open_envelope(ln_slice text, ln_envelope *envelope) {
    ln_buf scratch;
    ln_native_command c;
    ln_json_value top, value;
    const char *why = NULL;
    if (read_command(text, &scratch, &c) == LN_DONE) {
        FUZZ_REQUIRE(ln_json_check(text, &top) == LINNET_OK);
        const uint8_t *data = scratch.data;
        int result = envelope(&top, &scratch, &c, &why);
        FUZZ_REQUIRE(scratch.data == data);
        FUZZ_REQUIRE(result == LN_DONE || result == LINNET_ERR_JSON);
        FUZZ_REQUIRE((result == LN_DONE) == (why == NULL));
        if (result == LN_DONE) FUZZ_REQUIRE(c.event.size <= LN_NATIVE_EVENT_MAX);
        if (c.data.size) FUZZ_REQUIRE(ln_json_check(c.data, &value) == LINNET_OK);
    }
    ln_buf_fini(&scratch);
}

static void put(ln_json_writer *w, const char *key, ln_slice json) {
    if (json.size == 0) return;
    ln_json_key(w, key);
    ln_json_raw(w, json);
}

static void put_recover(ln_json_writer *w, const ln_native_command *c) {
    char epoch[LN_NATIVE_EPOCH];
    ln_native_epoch_put(c->recover_epoch, epoch);
    ln_json_key(w, "recover");
    ln_json_open(w, '{');
    ln_json_key(w, "epoch");
    ln_json_str(w, ln_slice_of(epoch, sizeof epoch));
    ln_json_key(w, "offset");
    ln_json_u64(w, c->recover_offset);
    ln_json_close(w, '}');
}

static void write_again(const ln_native_command *c, ln_buf *out) {
    static const char *const verbs[] = { "other", "subscribe", "unsubscribe", "publish", "ping",
        "pong", "heartbeat", "auth", "call", "event", "reply", "refresh", "send", "presence", "set",
        "unset", "typing", "history" };
    FUZZ_REQUIRE(c->verb < sizeof verbs / sizeof verbs[0]);
    ln_buf_init(out, LN_BUF_MAX);
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    put(&w, "payload", c->data);
    put(&w, "id", c->id);
    put(&w, "except", c->except.raw);
    if (c->recover) put_recover(&w, c);
    if (c->channel.data) {
        ln_json_key(&w, "room");
        ln_json_str(&w, c->channel);
    }
    ln_json_key(&w, "event");
    ln_json_str(&w, c->event);
    ln_json_key(&w, "echo");
    ln_json_bool(&w, !c->no_echo);
    ln_json_key(&w, "volatile");
    ln_json_bool(&w, c->is_volatile);
    ln_json_key(&w, "action");
    ln_json_str(&w, ln_slice_str(verbs[c->verb]));
    ln_json_close(&w, '}');
    FUZZ_REQUIRE(ln_json_end(&w) == LINNET_OK);
}

static void reads_the_same(const ln_native_command *a) {
    ln_buf text, scratch;
    ln_native_command b;
    write_again(a, &text);
    FUZZ_REQUIRE(read_command(ln_buf_slice(&text), &scratch, &b) == LN_DONE);
    FUZZ_REQUIRE(a->verb == b.verb);
    FUZZ_REQUIRE(ln_slice_eq(a->id, b.id));
    FUZZ_REQUIRE(ln_slice_eq(a->channel, b.channel));
    FUZZ_REQUIRE(ln_slice_eq(a->event, b.event));
    FUZZ_REQUIRE(ln_slice_eq(a->data, b.data));
    FUZZ_REQUIRE(ln_slice_eq(a->except.raw, b.except.raw));
    FUZZ_REQUIRE(a->no_echo == b.no_echo);
    FUZZ_REQUIRE(a->is_volatile == b.is_volatile);
    FUZZ_REQUIRE(a->recover == b.recover);
    FUZZ_REQUIRE(a->recover_epoch == b.recover_epoch);
    FUZZ_REQUIRE(a->recover_offset == b.recover_offset);
    ln_buf_fini(&text);
    ln_buf_fini(&scratch);
}

/* Numbers that are nearly zero may count as zero, and all that JavaScript takes for it must. */
static void falsy_is_falsy(ln_slice json) {
    if (json.size == 0 || (json.data[0] != '-' && (json.data[0] < '0' || json.data[0] > '9')))
        return;
    char text[LN_JSON_NUMBER_MAX + 1] = { 0 };
    FUZZ_REQUIRE(json.size < sizeof(text));
    memcpy(text, json.data, json.size);
    double value = fabs(strtod(text, NULL));
    FUZZ_REQUIRE(value != 0 || ln_native_falsy(json));
    FUZZ_REQUIRE(value < 1e-321 || !ln_native_falsy(json));
}

/* Answering ---------------------------------------------------------------------------------- */

static void holds(ln_buf *out, const char *key, ln_slice want) {
    ln_json_value value;
    FUZZ_REQUIRE(ln_slice_eq(member(ln_buf_slice(out), key, &value), want));
    ln_buf_clear(out);
}

static void answers(const ln_native_command *c) {
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    ln_native_ok ok = { .re = c->id,
        .epoch = c->recover_epoch,
        .offset = c->recover_offset,
        .recover = c->recover,
        .recovered = c->recover && c->recover_epoch };
    FUZZ_REQUIRE(ln_native_put_ok(&out, &ok) == LINNET_OK);
    holds(&out, "re", c->id);
    ln_native_error error = { .re = c->id, .channel = c->channel, .code = LN_NATIVE_BAD_REQUEST };
    FUZZ_REQUIRE(ln_native_put_error(&out, &error) == LINNET_OK);
    holds(&out, "re", c->id);
    FUZZ_REQUIRE(ln_native_put_pong(&out, c->id) == LINNET_OK);
    holds(&out, "re", c->id);
    ln_buf_fini(&out);
}

static void holds_text(ln_slice object, const char *key, ln_slice want) {
    ln_json_value value;
    ln_buf text;
    ln_buf_init(&text, LN_BUF_MAX);
    FUZZ_REQUIRE(member(object, key, &value).size > 0);
    FUZZ_REQUIRE(ln_json_unescape(&value, &text) == LINNET_OK);
    FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&text), want));
    ln_buf_fini(&text);
}

static void is_delivered(const ln_native_command *c) {
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    ln_native_message m = { .channel = c->channel, .event = c->event, .data = c->data, .ts = 1 };
    FUZZ_REQUIRE(ln_native_put_message(&out, &m) == LINNET_OK);
    holds_text(ln_buf_slice(&out), "channel", c->channel);
    if (c->event.size && !ln_slice_eq(c->event, LN_SLICE("message")))
        holds_text(ln_buf_slice(&out), "event", c->event);
    holds(&out, "data", c->data);
    FUZZ_REQUIRE(ln_native_put_skip(&out, c->channel, 1, 2, "filter") == LINNET_OK);
    holds_text(ln_buf_slice(&out), "channel", c->channel);
    ln_buf_fini(&out);
}

static void takes_bytes(ln_slice in) {
    ln_buf text, back;
    ln_json_value data;
    const char *why = NULL;
    ln_buf_init(&text, LN_BUF_MAX);
    ln_buf_init(&back, LN_BUF_MAX);
    int err = ln_bytes_command(in, &text, &why);
    FUZZ_REQUIRE(err == LN_DONE || (err == LINNET_ERR_JSON && why && !text.size));
    if (err == LN_DONE && ln_json_check(ln_buf_slice(&text), &data) == LINNET_OK) {
        ln_slice json = member(ln_buf_slice(&text), "data", &data);
        FUZZ_REQUIRE(ln_bytes_are(json));
        FUZZ_REQUIRE(ln_bytes_get(json, &back) == LINNET_OK);
        FUZZ_REQUIRE(back.size <= in.size - LN_BYTES_HEAD);
        ln_slice end = ln_slice_sub(in, in.size - back.size, in.size);
        FUZZ_REQUIRE(ln_slice_eq(ln_buf_slice(&back), end));
        ln_native_message m = { .channel = LN_SLICE("c"), .data = json };
        ln_buf_clear(&back);
        FUZZ_REQUIRE(ln_bytes_put_message(&back, &m) == LINNET_OK);
        FUZZ_REQUIRE(
            ln_slice_eq(end, ln_slice_sub(ln_buf_slice(&back), back.size - end.size, back.size)));
    }
    ln_buf_fini(&text);
    ln_buf_fini(&back);
}

void fuzz_one(ln_slice in) {
    ln_json_value top;
    takes_bytes(in);
    ln_buf scratch;
    ln_native_command c;
    if (ln_json_check(in, &top) < 0) return;
    int result = read_command(in, &scratch, &c);
    falsy_is_falsy(c.data);
    answers(&c);
    open_envelope(in, ln_envelope_rpc);
    open_envelope(in, ln_envelope_event);
    if (result == LN_DONE) {
        if (c.data.size) is_delivered(&c);
        /* A longer name is no channel's, and escaped in full it may be over what is read. */
        if (c.channel.size <= LN_NATIVE_NAME_BYTES) reads_the_same(&c);
    }
    ln_buf_fini(&scratch);
}
