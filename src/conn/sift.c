/* sift.c -- leaving out some of what waits. Not on any hot path: a queue must be full first. */
#include "conn/inner.h"

void ln_conn_sift_begin(ln_conn *c, ln_sift *s) {
    *s = (ln_sift){ .c = c, .rest = c->queue, .err = LINNET_OK };
    c->queue = (ln_txq){ .first = NULL };
}

ln_rendering *ln_conn_sift_next(ln_sift *s) {
    s->at = s->rest.first_at;
    ln_rendering *r = ln_txq_pop(&s->rest, &s->c->env->blocks);
    if (r) ln_send_less(s->c, r->size + r->head);
    return r;
}

void ln_conn_sift_put(ln_sift *s, ln_rendering *r) {
    int err = ln_txq_push(&s->c->queue, &s->c->env->blocks, r, s->at);
    if (err == LINNET_OK) {
        ln_rendering_charge(r, &s->c->env->held, r->size);
        ln_send_more(s->c, r->size + r->head);
        return;
    }
    ln_rendering_unref(r);
    s->err = err;
}

int ln_conn_sift_end(ln_sift *s) {
    if (s->c->queue.first) ln_send_dirty(s->c);
    return s->err;
}

void ln_send_shed(ln_conn *c) {
    ln_sift s;
    ln_conn_sift_begin(c, &s);
    for (ln_rendering *r; (r = ln_conn_sift_next(&s));) {
        if (r->flags & LN_RENDERING_SPARE) {
            ln_stat_add(&c->env->spared, 1);
            ln_rendering_unref(r);
        } else {
            ln_conn_sift_put(&s, r);
        }
    }
    if (ln_conn_sift_end(&s) < 0) ln_conn_fail(c, LINNET_ERR_NOMEM);
}
