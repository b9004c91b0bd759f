#include "session/bans.h"
#include "base/mem.h"

#define SESSION_DIGITS 32

static ln_slice name_of(const void *value) {
    const ln_ban *b = value;
    return ln_slice_of(b->name, b->name_size);
}

void ln_bans_init(ln_bans *bans, ln_map_key key, uint32_t max) {
    ln_map_init(&bans->map, key, name_of, max);
}

void ln_bans_fini(ln_bans *bans) {
    uint32_t at = 0;
    for (void *b; (b = ln_map_next(&bans->map, &at));)
        ln_free(b);
    ln_map_fini(&bans->map);
}

static bool is_over(const ln_ban *b, uint64_t now_s) {
    return b->until && b->until <= now_s;
}

static bool is_hex(ln_slice s) {
    for (size_t i = 0; i < s.size; i++) {
        uint8_t b = s.data[i];
        if (!((b >= '0' && b <= '9') || (b >= 'a' && b <= 'f'))) return false;
    }
    return true;
}

static bool is_printable(ln_slice s) {
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < ' ' || s.data[i] == 127) return false;
    return true;
}

bool ln_ban_fits(ln_ban_kind kind, ln_slice subject) {
    switch (kind) {
    case LN_BAN_ADDRESS: return subject.size == sizeof(ln_ip);
    case LN_BAN_SESSION: return subject.size == SESSION_DIGITS && is_hex(subject);
    case LN_BAN_USER:
    case LN_BAN_ISSUED:
    case LN_BAN_TOKEN:
        return subject.size > 0 && subject.size <= LN_BAN_SUBJECT_MAX && is_printable(subject);
    case LN_BAN_KINDS: break;
    }
    return false;
}

/* ---- the table ----------------------------------------------------------------------- */

typedef struct ban_name {
    uint8_t bytes[1 + LN_BAN_SUBJECT_MAX];
    size_t size;
} ban_name;

static ln_ban *find(const ln_bans *bans, ln_ban_kind kind, ln_slice subject) {
    ban_name n;
    if (!bans->map.count || !subject.size || subject.size > LN_BAN_SUBJECT_MAX) return NULL;
    n.bytes[0] = (uint8_t)kind;
    memcpy(n.bytes + 1, subject.data, subject.size);
    return ln_map_get(&bans->map, ln_slice_of(n.bytes, 1 + subject.size));
}

#define SWEPT 256

/* Takes away some of what is over: only when there is no room, so a few will do. */
static void sweep(ln_bans *bans, uint64_t now_s) {
    ln_ban *over[SWEPT];
    uint32_t count = 0, at = 0;
    for (ln_ban *b; count < SWEPT && (b = ln_map_next(&bans->map, &at));)
        if (is_over(b, now_s)) over[count++] = b;
    while (count) {
        ln_map_remove(&bans->map, name_of(over[--count]));
        ln_free(over[count]);
    }
}

int ln_bans_put(ln_bans *bans, ln_ban_kind kind, ln_slice subject, uint64_t before, uint64_t until,
    uint64_t now_s) {
    ln_ban *b = find(bans, kind, subject);
    if (b) {
        if (is_over(b, now_s)) b->before = 0;
        if (before > b->before) b->before = before;
        b->until = until;
        return LINNET_OK;
    }
    if (bans->map.count >= bans->map.max) sweep(bans, now_s);
    b = ln_malloc(sizeof *b + 1 + subject.size);
    if (!b) return LINNET_ERR_NOMEM;
    *b = (ln_ban){ .until = until, .before = before, .name_size = (uint16_t)(1 + subject.size) };
    b->name[0] = (uint8_t)kind;
    memcpy(b->name + 1, subject.data, subject.size);
    int err = ln_map_add(&bans->map, b);
    if (err < 0) ln_free(b);
    return err;
}

bool ln_bans_lift(ln_bans *bans, ln_ban_kind kind, ln_slice subject, uint64_t now_s) {
    ln_ban *b = find(bans, kind, subject);
    if (!b) return false;
    bool counted = !is_over(b, now_s);
    ln_map_remove(&bans->map, name_of(b));
    ln_free(b);
    return counted;
}

const ln_ban *ln_bans_find(
    const ln_bans *bans, ln_ban_kind kind, ln_slice subject, uint64_t now_s) {
    const ln_ban *b = find(bans, kind, subject);
    return b && !is_over(b, now_s) ? b : NULL;
}

const ln_ban *ln_bans_next(const ln_bans *bans, uint64_t now_s, uint32_t *at) {
    const ln_ban *b;
    while ((b = ln_map_next(&bans->map, at)) && is_over(b, now_s))
        continue;
    return b;
}

/* ---- judging ------------------------------------------------------------------------- */

static ln_slice said_of(const ln_ban_who *who, ln_ban_kind kind) {
    switch (kind) {
    case LN_BAN_USER:
    case LN_BAN_ISSUED: return who->user;
    case LN_BAN_TOKEN: return who->jti;
    case LN_BAN_SESSION: return who->session;
    case LN_BAN_ADDRESS:
        return who->address ? ln_slice_of(who->address, sizeof *who->address) : LN_SLICE("");
    case LN_BAN_KINDS: break;
    }
    return LN_SLICE("");
}

bool ln_ban_means(ln_ban_kind kind, ln_slice subject, uint64_t before, const ln_ban_who *who) {
    if (!ln_slice_eq(said_of(who, kind), subject)) return false;
    return kind != LN_BAN_ISSUED || who->issued < before;
}

ln_ban_verdict ln_bans_judge(const ln_bans *bans, const ln_ban_who *who, uint64_t now_s) {
    if (!bans || !bans->map.count) return LN_BAN_FREE;
    ln_ban_verdict verdict = LN_BAN_FREE;
    for (int i = 0; i < LN_BAN_KINDS && verdict != LN_BAN_BANNED; i++) {
        ln_ban_kind kind = (ln_ban_kind)i;
        ln_slice subject = said_of(who, kind);
        const ln_ban *b = ln_bans_find(bans, kind, subject, now_s);
        if (!b || !ln_ban_means(kind, subject, b->before, who)) continue;
        verdict = ln_ban_verdict_of(kind);
    }
    return verdict;
}
