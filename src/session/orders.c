#include "session/orders.h"
#include "base/mem.h"
#include "session/login.h"

static bool is_meant(const ln_session *s, const ln_whom *whom) {
    if (whom->conn && whom->conn != s->conn) return false;
    if (whom->user.size && !ln_slice_eq(whom->user, ln_session_user(s))) return false;
    ln_slice client = ln_slice_of(s->client, s->client_size);
    return !whom->client.size || ln_slice_eq(whom->client, client);
}

/* The next one from slot *at on: whoever was looked at is behind us. */
ln_session *ln_sessions_next(const ln_sessions *n, const ln_whom *whom, uint32_t *at) {
    while (*at < n->slot_count) {
        ln_session *s = ln_session_at(n, (*at)++);
        if (s && !s->closed && is_meant(s, whom)) return s;
    }
    return NULL;
}

int ln_sessions_tickets(
    ln_sessions *n, const ln_whom *whom, int (*see)(void *ctx, ln_slice session), void *ctx) {
    uint32_t at = 0;
    int err = LINNET_OK;
    char id[LN_SESSION_ID];
    for (ln_session *s; err == LINNET_OK && (s = ln_sessions_next(n, whom, &at));) {
        if (!s->ticketed) continue;
        ln_session_id(s, id);
        err = see(ctx, ln_slice_of(id, sizeof id));
    }
    return err;
}

uint32_t ln_sessions_disconnect(
    ln_sessions *n, const ln_whom *whom, uint16_t code, const char *reason) {
    uint32_t at = 0, count = 0;
    for (ln_session *s; (s = ln_sessions_next(n, whom, &at)); count++)
        ln_session_end(s, code, reason);
    return count;
}

uint32_t ln_sessions_expel(ln_sessions *n, const ln_whom *whom, ln_slice channel) {
    uint32_t at = 0, count = 0;
    for (ln_session *s; (s = ln_sessions_next(n, whom, &at));) {
        ln_sub *sub = ln_sub_find(s, channel);
        if (sub) sub->s.mark &= (uint8_t)~LN_SUB_AGAIN;
        if (!sub || ln_sub_leaves(sub)) continue;
        ln_sub_unanswered(s, sub, "taken out of the channel");
        ln_sub_end(s, sub, LN_NATIVE_PERMISSION_DENIED);
        ln_session_answered(s);
        count++;
    }
    return count;
}

static bool can_be_put(const ln_session *s) {
    if (s->dialect == LN_DIALECT_AUTO || ln_session_dialect(s)->mute || s->seating) return false;
    return !s->login || s->login->state != LN_LOGIN_WANTED;
}

void ln_sessions_enlist(ln_sessions *n, const ln_whom *whom, ln_slice channel, ln_enlisted *out) {
    uint32_t at = 0;
    *out = (ln_enlisted){ .in = 0 };
    for (ln_session *s; (s = ln_sessions_next(n, whom, &at));) {
        if (!can_be_put(s)) continue;
        int err = ln_sub_place(s, channel);
        if (err >= 0)
            out->in++;
        else if (err == LINNET_ERR_LIMIT)
            out->full++;
        else
            out->err = err;
    }
}

uint32_t ln_sessions_refresh(
    ln_sessions *n, const ln_whom *whom, uint64_t expires, ln_slice info, int *err) {
    uint32_t at = 0, count = 0;
    for (ln_session *s; (s = ln_sessions_next(n, whom, &at));) {
        int one = ln_login_extend(s, expires, info);
        if (one == LINNET_OK)
            count++;
        else if (one != LINNET_ERR_NOT_FOUND)
            *err = one;
    }
    return count;
}

void ln_sessions_list(ln_sessions *n, const ln_whom *whom,
    bool (*see)(void *ctx, const ln_conn *c, const ln_seen *seen), void *ctx) {
    uint32_t at = 0;
    for (ln_session *s; (s = ln_sessions_next(n, whom, &at));) {
        ln_seen seen = {
            .client = ln_slice_of(s->client, s->client_size),
            .user = ln_session_user(s),
            .dialect = s->dialect == LN_DIALECT_AUTO ? "undecided" : ln_session_dialect(s)->name,
            .channels = s->sub_count - s->leaving,
        };
        if (!see(ctx, s->conn, &seen)) return;
    }
}

static bool was_meant(const ln_end *e, const ln_whom *whom) {
    if (whom->user.size && !ln_slice_eq(whom->user, e->user)) return false;
    return !whom->client.size || ln_slice_eq(whom->client, e->client);
}

int ln_sessions_ends(ln_sessions *n, const ln_whom *whom, uint32_t most, ln_end ***out) {
    uint64_t now = ln_hub_wall(n->hub);
    int count = 0;
    *out = NULL;
    if (!n->ends.count) return 0;
    ln_end **found = ln_malloc(n->ends.count * sizeof(ln_end *)), *e;
    if (!found) return LINNET_ERR_NOMEM;
    for (uint32_t i = 0; (e = ln_ends_at(&n->ends, i, now)) && (uint32_t)count < most; i++) {
        if (!was_meant(e, whom)) continue;
        ln_ref_get(&e->refs, 1);
        found[count++] = e;
    }
    *out = found;
    return count;
}
