#include "lib/news.h"
#include "base/mem.h"
#include "lib/server.h"

int ln_news_new(const char *const *origins, ln_news **out) {
    ln_news *n = ln_calloc(1, sizeof *n);
    if (!n) return LINNET_ERR_NOMEM;
    ln_ref_init(&n->refs, 1);
    n->own_origins = origins != NULL;
    int err = ln_route_copy_list(origins, &n->origins, &n->origin_count);
    if (err < 0) {
        ln_news_unref(n);
        return err;
    }
    *out = n;
    return LINNET_OK;
}

void ln_news_unref(ln_news *n) {
    if (!n || !ln_ref_put(&n->refs)) return;
    ln_route_free_list(n->origins, n->origin_count);
    ln_namespaces_unref(n->namespaces);
    ln_jws_keys_unref(n->keys);
    ln_free(n);
}
