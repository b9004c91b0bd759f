/* recover.c -- who comes back is given what was said meanwhile.
 *
 * A session has one page on its way at a time, of whichever of its subscriptions, and asks for the
 * next one when its connection's queue is under the low mark: who reads slowly holds up nobody, and
 * what it is owed waits in the log. With the last page a subscription has its seat, and what is
 * delivered from then on stands behind it.
 */
#include "session/inner.h"

#define PAGE_BYTES (64u * 1024)

/* Small beside the queue, which may hold live messages too. */
static uint32_t page_bytes(const ln_session *s) {
    uint32_t part = s->conn->config->queued_max / 4;
    return part < PAGE_BYTES ? part : PAGE_BYTES;
}

static void paging(ln_sub *sub, bool on) {
    if (sub->more->paging == on) return;
    ln_sub_own(sub)->paging = on;
    sub->session->paging = on;
}

static void behind(ln_sub *sub, bool on) {
    if (sub->more->behind == on) return;
    ln_sub_own(sub)->behind = on;
    if (on)
        sub->session->behind++;
    else
        sub->session->behind--;
}

int ln_recover_begin(ln_sub *sub) {
    ln_session *s = sub->session;
    bool room = !s->paging && !s->behind && ln_conn_queued(s->conn) <= s->conn->config->low;
    int err = ln_hub_recover(
        s->node->hub, &sub->s, ln_sub_name(sub), sub->more->recover, room ? page_bytes(s) : 0);
    if (err == LN_PENDING && room) paging(sub, true);
    return err;
}

void ln_recover_end(ln_sub *sub) {
    ln_session *s = sub->session;
    if (!sub->more->behind && !sub->more->paging) return;
    paging(sub, false);
    behind(sub, false);
    ln_recover_on(s);
}

void ln_recover_on(ln_session *s) {
    if (s->closed || s->paging || !s->behind || ln_conn_await_drain(s->conn)) return;
    for (ln_sub *sub = s->subs; sub; sub = sub->next) {
        if (!sub->more->behind) continue;
        paging(sub, true);
        ln_hub_more(s->node->hub, &sub->s, page_bytes(s));
        return;
    }
}

static void tell(ln_session *s, ln_sub *sub, const ln_replay *page) {
    char grant[LN_GRANT_TEXT];
    ln_reply reply = {
        .verb = LN_VERB_SUBSCRIBE,
        .re = ln_sub_re(sub),
        .channel = ln_sub_name(sub),
        .at = { sub->more->recover.epoch, page->cut },
        .class = LN_CLASS_RECOVERABLE,
        .recover = true,
        .recovered = true,
        .replay = page->owed,
        .pushed = sub->more->resumed,
        .grant = ln_resume_grant(sub, grant),
    };
    ln_stat_add(&s->node->recovered, 1);
    if (ln_heard(s)) ln_hear_sub(s, LN_HEARD_SUBSCRIBE, ln_sub_name(sub), 0);
    ln_watch_say(sub, &reply);
    ln_session_ok(s, &reply);
    ln_watch_open(sub);
}

/* Whom it was not meant for is told that there was something. */
static void say(ln_session *s, ln_sub *sub, const ln_publication *p, bool replay) {
    if (ln_publication_skips(p, ln_session_self(s), ln_slice_of(s->client, s->client_size))) {
        ln_sub_own(sub)->skipped++;
        ln_sub_own(sub)->skipped_to = p->at.offset;
        return;
    }
    ln_sub_say_skipped(sub);
    ln_session_say_message(s, p, replay);
}

void ln_recover_page(void *ctx, ln_subscription *ls, const ln_replay *page) {
    (void)ctx;
    ln_sub *sub = (ln_sub *)(void *)ls;
    ln_session *s = sub->session;
    if (page->first) {
        s->outstanding--;
        tell(s, sub, page);
    }
    for (uint32_t i = 0; i < page->count; i++)
        say(s, sub, page->items[i], page->items[i]->at.offset <= page->cut);
    ln_sub_say_skipped(sub);
    paging(sub, false);
    behind(sub, !ln_subscription_joined(ls));
    if (ln_subscription_joined(ls)) ln_keys_begin(sub);
    ln_sub_settle(sub);
    ln_recover_on(s);
    if (page->first) ln_session_answered(s); /* the last thing: it may unsubscribe */
}

void ln_recover_lost(void *ctx, ln_subscription *ls) {
    (void)ctx;
    ln_sub *sub = (ln_sub *)(void *)ls;
    ln_session *s = sub->session;
    paging(sub, false);
    behind(sub, false);
    ln_session_end(s, 3010, "state lost: it was read too slowly");
}
