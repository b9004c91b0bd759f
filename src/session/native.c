/* linnet.v1: the model said as it is. */
#include "session/dialect.h"

static const char *class_of(const ln_reply *reply) {
    return reply->class == LN_CLASS_LIVE ? "live" : "recoverable";
}

/* Into the object that out ends with. */
static int put_roll(ln_buf *out, const ln_reply *reply) {
    out->size--; /* its bracket */
    uint32_t before = out->size;
    int err = ln_buf_add_byte(out, ',');
    ln_json_writer w = ln_json_begin(out);
    const char *key = reply->verb == LN_VERB_SUBSCRIBE ? "presence" : "members";
    ln_roll_put(&w, key, reply->roll, reply->page);
    ln_json_close(&w, '}');
    if (err == LINNET_OK) err = ln_json_end(&w);
    if (err < 0) out->size = before;
    return err;
}

static int native_presence(ln_buf *out, ln_slice channel, ln_slice packed, uint64_t ts) {
    (void)ts;
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, LN_SLICE("presence"));
    ln_json_key(&w, "channel");
    ln_json_str(&w, channel);
    ln_diff_put(&w, packed);
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

static int native_ok(ln_buf *out, const ln_reply *reply) {
    if (!reply->re.size && !reply->pushed) return LINNET_OK;
    bool placed = reply->verb == LN_VERB_SUBSCRIBE || reply->at.offset > 0;
    ln_native_ok ok = {
        .re = reply->re,
        .epoch = placed ? reply->at.epoch : 0,
        .offset = reply->at.offset,
        .recover = reply->recover,
        .recovered = reply->recovered,
        .data = reply->data,
        .user = reply->user,
        .expires = reply->expires,
        .replay = reply->replay,
        .client = reply->client,
        .session = reply->session,
        .resume = reply->resume,
        .grant = reply->grant,
    };
    if (reply->verb == LN_VERB_SUBSCRIBE) ok.class = class_of(reply);
    int err = reply->pushed ? ln_native_put_subscribed(out, reply->channel, &ok)
                            : ln_native_put_ok(out, &ok);
    if (err < 0 || !reply->roll) return err;
    return put_roll(out, reply);
}

ln_native_message ln_native_said(const ln_publication *p) {
    return (ln_native_message){
        .channel = ln_publication_channel(p),
        .event = ln_publication_event(p),
        .data = ln_publication_data(p),
        .from = ln_publication_from(p),
        .user = ln_publication_by(p),
        .info = ln_publication_info(p),
        .offset = p->at.offset,
        .ts = p->ts,
        .retracted = p->flags & LN_PUB_RETRACTED,
    };
}

int ln_native_say(ln_buf *out, const ln_publication *p, bool replay) {
    ln_native_message m = ln_native_said(p);
    m.replay = replay;
    return ln_native_put_message(out, &m);
}

static int native_message(ln_buf *out, const ln_publication *p) {
    return ln_native_say(out, p, false);
}

static int native_call(ln_buf *out, uint64_t id, ln_slice event, ln_slice data, uint64_t ts) {
    (void)ts;
    return ln_native_put_call(out, id, event, data);
}

const ln_dialect ln_dialect_native = {
    .protocol = "linnet.v1",
    .name = "v1",
    .skips = true,
    .arrays = true,
    .ok = native_ok,
    .error = ln_native_put_error,
    .message = native_message,
    .presence = native_presence,
    .call = native_call,
};
