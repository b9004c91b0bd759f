#include "hub/lease.h"
#include "base/mem.h"
#include "hub/hub.h"

#define SETS 4096 /* of each table; 16,384 names that have used something lately */
#define WAYS 4
#define SOON 5 /* ms until an answer has come */

struct ln_balance {     /* of a home */
    ln_account account; /* 0: a free slot */
    ln_bucket bucket;
};

struct ln_lease {
    ln_account account; /* 0: a free slot */
    ln_rate rate;       /* the last one that was asked for */
    ln_msec until;      /* there is none before */
    ln_msec used;
    int32_t left; /* below 0: used on credit, and the home knows nothing of it yet */
    bool asked;
};

void ln_leases_fini(ln_leases *l) {
    ln_free(l->homes);
    ln_free(l->borrowed);
    *l = (ln_leases){ NULL, NULL };
}

ln_account ln_account_named(ln_map_key key, ln_account_of which, ln_slice name) {
    uint8_t bytes[1 + LN_CAP_NAME_MAX] = { (uint8_t)which };
    size_t size = name.size < LN_CAP_NAME_MAX ? name.size : LN_CAP_NAME_MAX;
    memcpy(bytes + 1, name.data, size);
    ln_account a = ln_siphash(key, ln_slice_of(bytes, 1 + size));
    return a ? a : 1;
}

static uint32_t home_of(const ln_hub *h, ln_account a) {
    return (uint32_t)((a >> 32) * h->workers >> 32);
}

/* ---- at home ------------------------------------------------------------------------------- */

static struct ln_balance *balance_find(const ln_leases *l, ln_account a) {
    struct ln_balance *set = l->homes ? l->homes + a % SETS * WAYS : NULL;
    for (int i = 0; set && i < WAYS; i++)
        if (set[i].account == a) return &set[i];
    return NULL;
}

/* NULL without memory. */
static struct ln_balance *balance_at(ln_leases *l, ln_account a) {
    if (!l->homes && !(l->homes = ln_calloc(SETS * WAYS, sizeof *l->homes))) return NULL;
    struct ln_balance *at = balance_find(l, a);
    if (at) return at;
    struct ln_balance *set = at = l->homes + a % SETS * WAYS;
    for (int i = 1; i < WAYS; i++)
        if (set[i].bucket < at->bucket) at = &set[i];
    *at = (struct ln_balance){ .account = a };
    return at;
}

static bool is_empty(ln_bucket b, ln_rate rate, ln_msec now, uint32_t *wait_ms) {
    return !ln_bucket_take(&b, rate, now, wait_ms);
}

/* Of cases that should not be no more than a bucket is remembered, so that it is over some time. */
static void take_home(ln_hub *h, ln_lease_letter *m) {
    ln_msec now = h->homes.now;
    struct ln_balance *b = balance_at(&h->leases, m->account);
    m->granted = m->wait_ms = 0;
    if (!b) {
        m->granted = m->want;
        return;
    }
    uint32_t wait;
    if (m->debt)
        (void)ln_bucket_take(&b->bucket, m->rate, now, &wait);
    else
        ln_bucket_force(&b->bucket, m->rate, now, m->spent);
    while (m->granted < m->want && ln_bucket_take(&b->bucket, m->rate, now, &m->wait_ms))
        m->granted++;
    if (m->granted) m->wait_ms = 0;
    if (!m->want && !is_empty(b->bucket, m->rate, now, &m->wait_ms)) m->wait_ms = 0;
}

static void tell(ln_hub *h, ln_lease_letter *m, uint32_t worker) {
    m->letter.kind = LN_MAIL_LEASED;
    m->letter.from = (uint8_t)h->self;
    m->letter.to = (uint8_t)worker;
    h->post(h->ctx, worker, &m->letter);
}

static ln_lease_letter *letter_new(ln_account account, ln_rate rate) {
    ln_lease_letter *m = ln_malloc(sizeof *m);
    if (!m) return NULL;
    *m = (ln_lease_letter){
        .letter = { .bytes = sizeof *m, .room = LN_LETTER_HUB }, .account = account, .rate = rate
    };
    return m;
}

/* All must know; who does not for want of memory finds out with its own next case. */
static void tell_others(ln_hub *h, const ln_lease_letter *m, uint32_t but) {
    for (uint32_t w = 0; m->wait_ms && w < h->workers; w++) {
        ln_lease_letter *copy = w != h->self && w != but ? letter_new(m->account, m->rate) : NULL;
        if (!copy) continue;
        copy->debt = true;
        copy->wait_ms = m->wait_ms;
        tell(h, copy, w);
    }
}

static void asked(ln_hub *h, ln_lease_letter *m) {
    uint32_t asker = m->letter.from;
    take_home(h, m);
    if (m->debt) tell_others(h, m, asker);
    tell(h, m, asker);
}

/* ---- elsewhere ------------------------------------------------------------------------------ */

static struct ln_lease *lease_find(const ln_leases *l, ln_account a) {
    struct ln_lease *set = l->borrowed ? l->borrowed + a % SETS * WAYS : NULL;
    for (int i = 0; set && i < WAYS; i++)
        if (set[i].account == a) return &set[i];
    return NULL;
}

static void ask(ln_hub *h, ln_account account, ln_rate rate, uint32_t spent, uint32_t want) {
    ln_lease_letter *m = letter_new(account, rate);
    if (!m) return;
    m->spent = spent;
    m->want = want;
    m->debt = !spent && !want;
    m->letter.kind = LN_MAIL_LEASE;
    m->letter.from = (uint8_t)h->self;
    m->letter.to = (uint8_t)home_of(h, account);
    h->post(h->ctx, home_of(h, account), &m->letter);
}

/* Of those that are told to wait nobody is forgotten for one that is not. */
static bool matters_less(const struct ln_lease *a, const struct ln_lease *b) {
    return a->until != b->until ? a->until < b->until : a->used < b->used;
}

/* What the one that is forgotten has used is told. NULL without memory. */
static struct ln_lease *lease_at(ln_hub *h, ln_account a) {
    ln_leases *l = &h->leases;
    if (!l->borrowed && !(l->borrowed = ln_calloc(SETS * WAYS, sizeof *l->borrowed))) return NULL;
    struct ln_lease *at = lease_find(l, a);
    if (at) return at;
    struct ln_lease *set = at = l->borrowed + a % SETS * WAYS;
    for (int i = 1; i < WAYS; i++)
        if (matters_less(&set[i], at)) at = &set[i];
    if (at->account && at->left < 0) ask(h, at->account, at->rate, (uint32_t)-at->left, 0);
    *at = (struct ln_lease){ .account = a };
    return at;
}

/* An eighth of what would be each worker's share of a burst. */
static int32_t portion_of(const ln_hub *h, ln_rate rate) {
    uint32_t each = rate.burst / (8 * h->workers);
    return each < 1 ? 1 : each < INT32_MAX / 4 ? (int32_t)each : INT32_MAX / 4;
}

static void refill(ln_hub *h, struct ln_lease *l, int32_t portion) {
    uint32_t spent = l->left < 0 ? (uint32_t)-l->left : 0;
    if (spent) l->left = 0;
    l->asked = true;
    ask(h, l->account, l->rate, spent, (uint32_t)portion);
}

static bool spend_borrowed(ln_hub *h, struct ln_lease *l, uint32_t *wait_ms) {
    ln_msec now = h->homes.now;
    int32_t portion = portion_of(h, l->rate);
    if (l->left <= 0 && l->until > now) {
        *wait_ms = (uint32_t)(l->until - now);
        return false;
    }
    if (l->left <= -2 * portion) { /* the answer is on its way */
        *wait_ms = SOON;
        if (!l->asked) refill(h, l, portion);
        return false;
    }
    l->left--;
    l->used = now;
    if (!l->asked && l->left <= portion / 2) refill(h, l, portion);
    return true;
}

static void answered(ln_hub *h, const ln_lease_letter *m) {
    struct ln_lease *l = m->debt ? lease_at(h, m->account) : lease_find(&h->leases, m->account);
    if (!l) return;
    l->asked = false;
    l->used = h->homes.now;
    l->left += (int32_t)m->granted;
    if (m->wait_ms) l->until = h->homes.now + m->wait_ms;
}

/* ---- for everybody --------------------------------------------------------------------------- */

bool ln_hub_spend(ln_hub *h, ln_account account, ln_rate rate, uint32_t *wait_ms) {
    if (!rate.per_s) return true;
    if (home_of(h, account) == h->self) {
        struct ln_balance *b = balance_at(&h->leases, account);
        return !b || ln_bucket_take(&b->bucket, rate, h->homes.now, wait_ms);
    }
    struct ln_lease *l = lease_at(h, account);
    if (!l) return true;
    l->rate = rate;
    return spend_borrowed(h, l, wait_ms);
}

void ln_hub_owe(ln_hub *h, ln_account account, ln_rate rate) {
    if (!rate.per_s) return;
    if (home_of(h, account) != h->self) {
        ask(h, account, rate, 0, 0);
        return;
    }
    ln_lease_letter m = { .account = account, .rate = rate, .debt = true };
    take_home(h, &m);
    tell_others(h, &m, h->self);
}

bool ln_hub_owes(const ln_hub *h, ln_account account, ln_rate rate, uint32_t *wait_ms) {
    ln_msec now = h->homes.now;
    if (!rate.per_s) return false;
    if (home_of(h, account) == h->self) {
        const struct ln_balance *b = balance_find(&h->leases, account);
        return b && is_empty(b->bucket, rate, now, wait_ms);
    }
    const struct ln_lease *l = lease_find(&h->leases, account);
    if (!l || l->until <= now) return false;
    *wait_ms = (uint32_t)(l->until - now);
    return true;
}

void ln_hub_lease_mail(ln_hub *h, ln_letter *letter) {
    ln_lease_letter *m = ln_lease_letter_of(letter);
    if (letter->kind == LN_MAIL_LEASE) {
        asked(h, m);
        return;
    }
    answered(h, m);
    ln_free(m);
}
