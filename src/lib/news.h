/* news.h -- what a reload brings to the workers of a hub: made once, immutable, one reference for
 * each mail and each worker that goes by it.
 */
#ifndef LN_LIB_NEWS_H
#define LN_LIB_NEWS_H
#include "base/ref.h"
#include "hub/namespace.h"
#include "session/jws.h"
#include "session/session.h"

typedef struct ln_news {
    ln_ref refs;
    ln_session_limits limits;
    ln_namespaces *namespaces;
    ln_jws_keys *keys; /* NULL: nobody has to log in */
    ln_slice *origins;
    size_t origin_count;
    bool own_origins; /* some were given, the standard rule is off */
} ln_news;

/* One reference; namespaces and keys are the caller's to fill in. origins: NULL-terminated, or
 * NULL. LINNET_ERR_NOMEM. */
int ln_news_new(const char *const *origins, ln_news **out);
/* NULL is allowed. */
void ln_news_unref(ln_news *n);
#endif
