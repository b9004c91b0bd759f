/* proxied.c -- the PROXY header in front of a connection. What of it has come waits where the head
 * of the first request will. */
#include "conn/exchange.h"
#include "conn/inner.h"

void ln_conn_await_proxy(ln_conn *c) {
    ln_conn_set(c, LN_CF_PROXIED);
}

/* All that has come so far. A header mostly comes in one piece, then it is not copied. */
static int gather(ln_buf *in, ln_slice data, ln_slice *all) {
    *all = data;
    if (!in->size) return LINNET_OK;
    int err = ln_buf_add(in, data);
    *all = ln_buf_slice(in);
    return err;
}

bool ln_conn_unproxy(ln_conn *c, ln_wslice *data) {
    ln_buf *in = &c->http->in;
    size_t before = in->size;
    ln_proxy header;
    ln_slice all, rest;
    int r = gather(in, ln_slice_of(data->data, data->size), &all);
    rest = all;
    if (r == LINNET_OK) r = ln_proxy_read(&rest, &header);
    if (r == LN_MORE && !before) {
        int err = ln_buf_add(in, all);
        if (err < 0) r = err;
    }
    if (r == LN_MORE) return false;
    if (r == LN_DONE && c->env->on_proxied) {
        int err = c->env->on_proxied(c, &header);
        if (err < 0) r = err;
    }
    if (r < 0) {
        ln_conn_fail(c, r);
        return false;
    }
    size_t used = all.size - rest.size - before; /* what came before was not a whole header */
    *data = (ln_wslice){ data->data + used, data->size - used };
    ln_buf_clear(in);
    ln_conn_unset(c, LN_CF_PROXIED);
    return data->size > 0;
}
