#include "daemon/api_inner.h"

static void on_done(void *ctx, linnet_hub *hub, int err, uint64_t epoch, uint64_t offset) {
    ln_api_item *it = ctx;
    char text[17];
    if (err < 0) {
        ln_api_fail(it, err,
            err == LINNET_ERR_NOT_FOUND     ? "it is not kept any more"
            : err == LINNET_ERR_UNSUPPORTED ? "this channel keeps no history"
                                            : NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    linnet_epoch_put(epoch, text);
    ln_api_put_text(&w, "epoch", ln_slice_str(text));
    ln_api_put_u64(&w, "offset", offset);
    ln_api_told(it, &w);
}

void ln_api_history_remove(ln_api_item *it, const ln_api_body *b) {
    int err = linnet_hub_remove_history(ln_api_hub(it), b->channel, on_done, it);
    if (err < 0) ln_api_fail(it, err, err == LINNET_ERR_INVAL ? "that is no channel" : NULL);
}

void ln_api_retract(ln_api_item *it, const ln_api_body *b) {
    int err = linnet_hub_retract(ln_api_hub(it), b->channel, b->epoch, b->offset, on_done, it);
    if (err < 0)
        ln_api_fail(it, err, err == LINNET_ERR_INVAL ? "that is no channel, or no offset" : NULL);
}

static void on_forgotten(void *ctx, linnet_hub *hub, int err, uint64_t publications) {
    ln_api_item *it = ctx;
    if (err < 0) {
        ln_api_fail(it, err, NULL);
        return;
    }
    ln_json_writer w = ln_api_ok(it);
    ln_api_put_u64(&w, "publications", publications);
    ln_api_told(it, &w);
}

void ln_api_forget(ln_api_item *it, const ln_api_body *b) {
    int err = linnet_hub_forget(ln_api_hub(it), b->user, on_forgotten, it);
    if (err < 0) ln_api_fail(it, err, err == LINNET_ERR_INVAL ? "that is no user" : NULL);
}
