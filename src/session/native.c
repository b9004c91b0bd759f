/* linnet.v1: the model said as it is. */
#include "session/dialect.h"

static const char *class_of(const ln_reply *reply) {
    return reply->class == LN_CLASS_LIVE ? "live" : "recoverable";
}

static int put_subscribed(ln_buf *out, const ln_reply *reply) {
    return ln_native_put_subscribed(
        out, reply->channel, reply->at.epoch, reply->at.offset, class_of(reply));
}

static int native_ok(ln_buf *out, const ln_reply *reply) {
    if (reply->pushed) return put_subscribed(out, reply);
    if (!reply->re.size) return LINNET_OK;
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
    };
    if (reply->verb == LN_VERB_SUBSCRIBE) ok.class = class_of(reply);
    return ln_native_put_ok(out, &ok);
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

const ln_dialect ln_dialect_native = {
    .protocol = "linnet.v1",
    .name = "v1",
    .skips = true,
    .ok = native_ok,
    .error = ln_native_put_error,
    .message = native_message,
};
