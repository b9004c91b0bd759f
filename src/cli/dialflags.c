#include "cli/dialflags.h"
#include <string.h>
#include <strings.h>

int ln_dialflags_apply(const ln_dialflags *f, const char *url, linnet_dial_options *o) {
    for (size_t i = 0; i < f->headers.count; i++) {
        const char *colon = strchr(f->headers.items[i], ':');
        if (colon && colon != f->headers.items[i]) continue;
        ln_say("--header wants 'Name: value', not '%.100s'", f->headers.items[i]);
        return 2;
    }
    if (strncasecmp(url, "ws://", 5) != 0 && strncasecmp(url, "wss://", 6) != 0) {
        ln_say("'%.200s' is no address to connect to; it begins with ws:// or wss://", url);
        return 2;
    }
    o->url = url;
    o->headers = f->headers.items;
    o->tls_ca_file = f->tls_ca;
    o->tls_insecure = f->insecure;
    o->timeout_ms = (uint32_t)(f->timeout * 1000);
    o->limits.close_ms = o->timeout_ms;
    return -1;
}
