/* bar.c -- bans, where sessions are: who comes is judged, and who is there when an order arrives.
 */
#include "session/login.h"
#include "session/orders.h"

/* Of what is known of a session; slices lie in it and in the two rooms. */
static ln_ban_who who_of(const ln_session *s, bool address, char id[LN_SESSION_ID], ln_ip *ip) {
    const ln_sessions *n = s->node;
    const ln_identity *known = ln_session_identity(s);
    ln_session_id(s, id);
    ln_ban_who who = { .session = ln_slice_of(id, LN_SESSION_ID) };
    if (known) {
        who.user = ln_identity_user(known);
        who.jti = ln_identity_jti(known);
        who.issued = known->issued;
    }
    if (address && n->address_of && n->address_of(s->conn, ip)) who.address = ip;
    return who;
}

static ln_jws_fault fault_of(ln_ban_verdict verdict) {
    switch (verdict) {
    case LN_BAN_BANNED: return LN_JWS_FAULT_BANNED;
    case LN_BAN_REVOKED: return LN_JWS_FAULT_REVOKED;
    case LN_BAN_FREE: break;
    }
    return LN_JWS_FAULT_NONE;
}

ln_jws_fault ln_session_barred(const ln_session *s) {
    const ln_bans *bans = &s->node->bans;
    char id[LN_SESSION_ID];
    ln_ip ip;
    if (!bans->map.count) return LN_JWS_FAULT_NONE;
    ln_ban_who who = who_of(s, true, id, &ip);
    return fault_of(ln_bans_judge(bans, &who, ln_hub_wall(s->node->hub) / 1000));
}

static bool chain_of(ln_slice session, uint8_t chain[LN_CHAIN]) {
    if (!ln_ban_fits(LN_BAN_SESSION, session)) return false;
    for (size_t i = 0; i < session.size; i++) {
        uint8_t c = session.data[i], digit = c <= '9' ? c - '0' : c - 'a' + 10;
        chain[i / 2] = (uint8_t)(chain[i / 2] << 4 | digit);
    }
    return true;
}

static void send_away(ln_session *s, ln_ban_kind kind) {
    if (ln_ban_verdict_of(kind) == LN_BAN_BANNED)
        ln_session_end(s, 3503, "banned");
    else
        ln_session_end(s, 3500, "revoked");
}

uint32_t ln_sessions_bar(ln_sessions *n, ln_ban_kind kind, ln_slice subject, uint64_t before) {
    char id[LN_SESSION_ID];
    ln_ip ip;
    uint32_t count = 0;
    for (uint32_t at = 0; at < n->slot_count; at++) {
        ln_session *s = ln_session_at(n, at);
        if (!s || s->closed) continue;
        ln_ban_who who = who_of(s, kind == LN_BAN_ADDRESS, id, &ip);
        if (!ln_ban_means(kind, subject, before, &who)) continue;
        send_away(s, kind);
        count++;
    }
    return count;
}

uint32_t ln_sessions_bar_ticketed(ln_sessions *n, ln_slice session) {
    uint8_t chain[LN_CHAIN] = { 0 };
    if (!chain_of(session, chain)) return 0;
    ln_session *s = ln_map_get(&n->chains, ln_slice_of(chain, LN_CHAIN));
    if (!s || s->closed) return 0;
    send_away(s, LN_BAN_SESSION);
    return 1;
}
