/* seat.c -- how many connections of one user there may be.
 *
 * As soon as it is known who it is, the home of that name is asked for a seat (hub/limit.h), which
 * goes back when the session ends; so the count is exact over all workers. Until the answer has
 * come, which takes no longer than a letter there and back, commands wait: who is one too many has
 * done nothing, and is closed with 3504.
 */
#include "base/mem.h"
#include "session/login.h"

/* ctx: the hub, because a letter may come home after the sessions have ended. */
static void told(void *ctx, ln_admission *a) {
    ln_hub *h = ctx;
    ln_sessions *n = h->users[LN_USER_NATIVE].ctx;
    ln_session *s = n ? ln_session_of(n, a->handle) : NULL;
    if (a->err < 0 || !s) {
        if (s) ln_seat_refused(s, a->err);
        ln_seat_give(h, a);
        return;
    }
    s->login->seat = a;
    s->seating = false;
    ln_login_settle(s);
    ln_session_answered(s);
}

void ln_seat_refused(ln_session *s, int err) {
    s->seating = false;
    if (err == LINNET_ERR_NOMEM) {
        ln_conn_fail(s->conn, err);
        return;
    }
    ln_stat_add(&s->node->full_users, 1);
    ln_session_end(s, 3504, "too many connections of this user");
}

void ln_seat_give(ln_hub *h, ln_admission *a) {
    if (a && a->err == LINNET_OK)
        ln_hub_release(h, a);
    else
        ln_free(a);
}

void ln_seat_ask(ln_session *s) {
    ln_slice user = ln_session_user(s);
    if (!s->limits->per_user || !user.size || s->closed || s->seating || s->login->seat) return;
    ln_admission *a = ln_admission_new(LN_CAP_USER, user);
    if (!a) {
        ln_seat_refused(s, LINNET_ERR_NOMEM);
        return;
    }
    a->told = told;
    a->ctx = s->node->hub;
    a->handle = ln_session_handle(s);
    a->max = s->limits->per_user;
    s->seating = true;
    ln_hub_admit(s->node->hub, a);
}
