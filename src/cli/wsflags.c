#include "cli/wsflags.h"
#include <string.h>

int ln_wsflags_apply(const ln_wsflags *f, linnet_conn_limits *l) {
    if (f->deflate) {
        if (strcmp(f->deflate, "") == 0 || strcmp(f->deflate, "takeover") == 0) {
            l->deflate = LINNET_DEFLATE_TAKEOVER;
        } else if (strcmp(f->deflate, "no-takeover") == 0) {
            l->deflate = LINNET_DEFLATE_SHARED;
        } else {
            ln_say("--deflate is 'takeover' or 'no-takeover', not '%s'", f->deflate);
            return 2;
        }
    }
    l->window_bits = (uint32_t)f->window_bits;
    l->deflate_level = (uint32_t)f->level;
    l->deflate_threshold = f->threshold ? (uint32_t)f->threshold : LINNET_OFF;
    l->message_max = f->message_max;
    l->fragments_max = (uint32_t)f->fragments_max;
    if (f->message_max > 1024 * 1024)
        l->queued_max = (uint32_t)(f->message_max * 2 > 0x7fffffff ? 0x7fffffff
                                                                   : f->message_max * 2);
    return -1;
}
