/* D, "event": {type, payload, timestamp} both ways, in rooms that one joins; and E, "raw": the data
 * of one channel and nothing else, to clients that say nothing.
 */
#include "session/dialect.h"

/* D --------------------------------------------------------------------------------------- */

/* Of all that goes well its clients wait for one thing. */
static int event_ok(ln_buf *out, const ln_reply *reply) {
    if (reply->verb != LN_VERB_AUTH) return LINNET_OK;
    return ln_buf_add(out, LN_SLICE("{\"type\":\"auth\",\"success\":true}"));
}

/* As a sentence: clients compare the words of the printed servers. */
static int event_error(ln_buf *out, const ln_native_error *error) {
    char words[128];
    size_t size = strlen(ln_dialect_words(error));
    if (size > sizeof words) size = sizeof words;
    memcpy(words, ln_dialect_words(error), size);
    if (words[0] >= 'a' && words[0] <= 'z') words[0] = (char)(words[0] - 'a' + 'A');
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "error");
    ln_json_str(&w, ln_slice_of(words, size));
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

static bool has_type(ln_slice data) {
    ln_json_value top, key, value;
    if (ln_json_check(data, &top) < 0 || top.kind != LN_JSON_OBJECT) return false;
    ln_json_iter it = ln_json_iter_of(&top);
    while (ln_json_next(&it, &key, &value))
        if (ln_json_is(&key, LN_SLICE("type"))) return value.kind == LN_JSON_STRING;
    return false;
}

static int event_message(ln_buf *out, const ln_publication *p) {
    ln_slice data = ln_publication_data(p), event = ln_publication_event(p);
    if (has_type(data)) return ln_buf_add(out, data);
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, event.size ? event : LN_SLICE("message"));
    ln_json_key(&w, "payload");
    ln_json_raw(&w, data);
    ln_json_key(&w, "timestamp");
    ln_json_u64(&w, p->ts);
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

const ln_dialect ln_dialect_event = {
    .protocol = "linnet.event",
    .name = "event",
    .plain = true,
    .abrupt = true,
    .rooms = true,
    .open = ln_envelope_event,
    .ok = event_ok,
    .error = event_error,
    .message = event_message,
};

/* E --------------------------------------------------------------------------------------- */

static int feed_ok(ln_buf *out, const ln_reply *reply) {
    (void)out;
    (void)reply;
    return LINNET_OK;
}

static int feed_error(ln_buf *out, const ln_native_error *error) {
    (void)out;
    (void)error; /* the reason of the Close has the words */
    return LINNET_OK;
}

static int feed_message(ln_buf *out, const ln_publication *p) {
    return ln_buf_add(out, ln_publication_data(p));
}

const ln_dialect ln_dialect_feed = {
    .protocol = "linnet.raw",
    .name = "raw",
    .plain = true,
    .mute = true,
    .ok = feed_ok,
    .error = feed_error,
    .message = feed_message,
};
