#include "session/dialect.h"

const ln_dialect *const ln_dialects[LN_DIALECTS] = {
    [LN_USER_NATIVE] = &ln_dialect_native,
    [LN_USER_CHANNEL] = &ln_dialect_channel,
    [LN_USER_TOPIC] = &ln_dialect_topic,
};

const char *const ln_dialect_protocols[] = { "linnet.v1", "linnet.channel", "linnet.topic", NULL };

uint8_t ln_dialect_by_name(ln_slice name) {
    for (uint8_t i = 0; i < LN_DIALECTS; i++) {
        if (ln_slice_eq(name, ln_slice_str(ln_dialects[i]->protocol))) return i;
        if (ln_slice_eq(name, ln_slice_str(ln_dialects[i]->name))) return i;
    }
    return LN_DIALECT_AUTO;
}
