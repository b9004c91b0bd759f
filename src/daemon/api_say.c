#include "daemon/api_inner.h"
#include <string.h>

#define USER_MAX 254 /* "@" and a user are a channel */

/* ---- publish, send ------------------------------------------------------------------ */

static void on_published(void *ctx, linnet_hub *hub, int err, uint64_t epoch, uint64_t offset) {
    ln_api_item *it = ctx;
    char text[17];
    if (err < 0) {
        ln_api_fail(it, err, NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    if (epoch) {
        linnet_epoch_put(epoch, text);
        ln_api_put_text(&w, "epoch", ln_slice_str(text));
        ln_api_put_u64(&w, "offset", offset);
    }
    ln_api_told(it, &w);
}

static void say(ln_api_item *it, ln_slice channel, const ln_api_body *b, const char *why) {
    linnet_publication p = LINNET_PUBLICATION_INIT;
    p.channel = channel;
    p.event = b->event;
    p.data = b->data;
    p.is_volatile = b->is_volatile;
    p.key = b->key;
    int err = linnet_hub_publish_then(ln_api_hub(it), &p, on_published, it);
    if (err < 0) ln_api_fail(it, err, err == LINNET_ERR_INVAL ? why : NULL);
}

void ln_api_publish(ln_api_item *it, const ln_api_body *b) {
    say(it, b->channel, b, "that is no channel, no event, or no key");
}

/* What a user hears is a channel. */
void ln_api_send(ln_api_item *it, const ln_api_body *b) {
    static const char why[] = "that is no user, no event, or no key";
    char channel[1 + USER_MAX];
    if (!b->user.size || b->user.size > USER_MAX) {
        ln_api_fail(it, LINNET_ERR_INVAL, why);
        return;
    }
    channel[0] = '@';
    memcpy(channel + 1, b->user.data, b->user.size);
    say(it, ln_slice_of(channel, 1 + b->user.size), b, why);
}

/* ---- call --------------------------------------------------------------------------- */

/* Nobody was reached, in words; it is 108 whatever it was. */
static void not_reached(ln_api_item *it, int err) {
    static const struct {
        int err, status;
        const char *why;
    } rows[] = {
        { LINNET_ERR_NOT_FOUND, 404, "nobody is there" },
        { LINNET_ERR_CLOSED, 503, "the connection went before it answered" },
        { LINNET_ERR_UNSUPPORTED, 409, "who is there has no words for a call" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].err != err) continue;
        it->code = LN_API_NOT_AVAILABLE;
        it->status = rows[i].status;
        ln_api_fail(it, err, rows[i].why);
        return;
    }
    ln_api_fail(it, err, NULL);
}

/* A refusal is an answer too: somebody was there, and said no. */
static void on_called(void *ctx, linnet_hub *hub, int err, const linnet_call_reply *reply) {
    ln_api_item *it = ctx;
    if (err < 0) {
        not_reached(it, err);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_api_put_text(&w, "client", reply->client);
    ln_api_put_text(&w, "user", reply->user);
    if (reply->code) {
        ln_json_key(&w, "refused");
        ln_json_open(&w, '{');
        ln_api_put_u64(&w, "code", (uint64_t)reply->code);
        ln_api_put_text(&w, "message", reply->message);
        ln_json_close(&w, '}');
    } else {
        ln_json_key(&w, "data");
        ln_json_raw(&w, reply->data.size ? reply->data : LN_SLICE("null"));
    }
    ln_api_told(it, &w);
}

void ln_api_call_client(ln_api_item *it, const ln_api_body *b) {
    linnet_whom whom = LINNET_WHOM_INIT;
    linnet_call call = LINNET_CALL_INIT;
    whom.user = b->user;
    whom.client = b->client;
    call.event = b->event;
    call.data = b->data;
    call.timeout_ms = b->timeout_ms < UINT32_MAX ? (uint32_t)b->timeout_ms : UINT32_MAX;
    if ((b->fields & LN_API_TIMEOUT) && !b->timeout_ms) call.timeout_ms = UINT32_MAX; /* refused */
    int err = linnet_hub_call(ln_api_hub(it), &whom, &call, on_called, it);
    if (err < 0)
        ln_api_fail(it, err,
            err == LINNET_ERR_INVAL
                ? "user or client has to be named, and an event; timeout is 1 to 600000 ms"
                : NULL);
}
