#include "session/dialect.h"

const ln_dialect *const ln_dialects[LN_DIALECTS] = {
    [LN_USER_NATIVE] = &ln_dialect_native,
    [LN_USER_CHANNEL] = &ln_dialect_channel,
    [LN_USER_TOPIC] = &ln_dialect_topic,
    [LN_USER_RPC] = &ln_dialect_rpc,
    [LN_USER_EVENT] = &ln_dialect_event,
    [LN_USER_FEED] = &ln_dialect_feed,
};

const char *const ln_dialect_protocols[] = { "linnet.v1", "linnet.channel", "linnet.topic",
    "linnet.rpc", "linnet.event", "linnet.raw", NULL };
const char *const ln_dialect_feed_protocols[] = { "linnet.raw", NULL };

uint8_t ln_dialect_by_name(ln_slice name) {
    for (uint8_t i = 0; i < LN_DIALECTS; i++) {
        if (ln_slice_eq(name, ln_slice_str(ln_dialects[i]->protocol))) return i;
        if (ln_slice_eq(name, ln_slice_str(ln_dialects[i]->name))) return i;
    }
    return LN_DIALECT_AUTO;
}
