/* The dialects of servers that people have already: A, "channel", and B, "topic" (PROTOCOL 1); the
 * others are in patterns_rpc.c and patterns_event.c.
 *
 * Their clients were written without us. What such a client would choke on is not said, however
 * useful it would be.
 */
#include "session/dialect.h"

/* A: {"channel", "data"} both ways; the channel `system` tells of the rest. --------------- */

static ln_json_writer system_begin(ln_buf *out, const char *type) {
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "channel");
    ln_json_str(&w, LN_SLICE("system"));
    ln_json_key(&w, "data");
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, ln_slice_str(type));
    return w;
}

static int system_end(ln_json_writer *w) {
    ln_json_close(w, '}');
    ln_json_close(w, '}');
    return ln_json_end(w);
}

static int channel_ok(ln_buf *out, const ln_reply *reply) {
    if (reply->verb != LN_VERB_SUBSCRIBE) return LINNET_OK;
    ln_json_writer w = system_begin(out, "subscription_confirm");
    ln_json_key(&w, "channel");
    ln_json_str(&w, reply->channel);
    return system_end(&w);
}

static int channel_error(ln_buf *out, const ln_native_error *error) {
    ln_json_writer w = system_begin(out, "error");
    ln_json_key(&w, "message");
    ln_json_str(&w, ln_slice_str(ln_dialect_words(error)));
    ln_json_key(&w, "code");
    ln_json_u64(&w, (uint64_t)error->code);
    return system_end(&w);
}

/* Its clients drop a message whose data is falsy. */
static int channel_message(ln_buf *out, const ln_publication *p) {
    ln_slice data = ln_publication_data(p);
    bool wrap = ln_native_falsy(data);
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "channel");
    ln_json_str(&w, ln_publication_channel(p));
    ln_json_key(&w, "data");
    if (wrap) {
        ln_json_open(&w, '{');
        ln_json_key(&w, "value");
    }
    ln_json_raw(&w, data);
    if (wrap) ln_json_close(&w, '}');
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

/* As a message of a channel beside it. */
static int channel_presence(ln_buf *out, ln_slice channel, ln_slice packed, uint64_t ts) {
    (void)ts;
    char name[LN_CHANNEL_NAME_MAX + 9];
    memcpy(name, channel.data, channel.size);
    memcpy(name + channel.size, ":presence", 9);
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "channel");
    ln_json_str(&w, ln_slice_of(name, channel.size + 9));
    ln_json_key(&w, "data");
    ln_json_open(&w, '{');
    ln_diff_put(&w, packed);
    ln_json_close(&w, '}');
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

const ln_dialect ln_dialect_channel = {
    .protocol = "linnet.channel",
    .name = "channel",
    .plain = true,
    .ok = channel_ok,
    .error = channel_error,
    .message = channel_message,
    .presence = channel_presence,
};

/* B: what is broadcast is the message, whole. --------------------------------------------- */

/* Whatever answers a subscribe would be taken for a broadcast. */
static int topic_ok(ln_buf *out, const ln_reply *reply) {
    (void)out;
    (void)reply;
    return LINNET_OK;
}

static int topic_error(ln_buf *out, const ln_native_error *error) {
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, LN_SLICE("error"));
    ln_json_key(&w, "message");
    ln_json_str(&w, ln_slice_str(ln_dialect_words(error)));
    ln_json_key(&w, "code");
    ln_json_u64(&w, (uint64_t)error->code);
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

static int topic_message(ln_buf *out, const ln_publication *p) {
    ln_slice data = ln_publication_data(p);
    if (data.size && data.data[0] == '{') return ln_buf_add(out, data);
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, LN_SLICE("message"));
    ln_json_key(&w, "topic");
    ln_json_str(&w, ln_publication_channel(p));
    ln_json_key(&w, "data");
    ln_json_raw(&w, data);
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

static int topic_presence(ln_buf *out, ln_slice channel, ln_slice packed, uint64_t ts) {
    (void)ts;
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, LN_SLICE("presence"));
    ln_json_key(&w, "topic");
    ln_json_str(&w, channel);
    ln_diff_put(&w, packed);
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

static int topic_unknown(ln_buf *out, ln_slice text) {
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "received");
    ln_json_raw(&w, text);
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

const ln_dialect ln_dialect_topic = {
    .protocol = "linnet.topic",
    .name = "topic",
    .plain = true,
    .ok = topic_ok,
    .error = topic_error,
    .message = topic_message,
    .presence = topic_presence,
    .unknown = topic_unknown,
};
