#include "lib/timer.h"
#include "base/mem.h"

int linnet_timer_new(
    linnet_loop *loop, void (*fn)(linnet_timer *timer, void *ctx), void *ctx, linnet_timer **out) {
    if (!loop || !fn || !out) return LINNET_ERR_INVAL;
    linnet_timer *t = ln_calloc(1, sizeof *t);
    if (!t) return LINNET_ERR_NOMEM;
    ln_timer_init(&t->timer, LN_TIMER_OF_HOST);
    t->loop = loop;
    t->fn = fn;
    t->ctx = ctx;
    ln_list_init(&t->all);
    ln_list_push(&loop->timers, &t->all);
    *out = t;
    return LINNET_OK;
}

void linnet_timer_set(linnet_timer *timer, uint64_t after_ms) {
    ln_msec now = ln_loop_now(timer->loop->net);
    ln_msec due = after_ms < LN_NEVER - now ? now + after_ms : LN_NEVER;
    ln_timer_set(ln_loop_wheel(timer->loop->net), &timer->timer, due);
}

void linnet_timer_stop(linnet_timer *timer) {
    ln_timer_stop(ln_loop_wheel(timer->loop->net), &timer->timer);
}

void linnet_timer_free(linnet_timer *timer) {
    if (!timer) return;
    linnet_timer_stop(timer);
    ln_list_remove(&timer->all);
    ln_free(timer);
}

void ln_host_timer(ln_timer *timer) {
    linnet_timer *t = ln_list_item(timer, linnet_timer, timer);
    t->fn(t, t->ctx);
}

void ln_host_timers_free(linnet_loop *w) {
    for (ln_list *node; (node = ln_list_pop(&w->timers));)
        linnet_timer_free(ln_list_item(node, linnet_timer, all));
}
