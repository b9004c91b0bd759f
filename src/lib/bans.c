#include "lib/bans.h"
#include "base/mem.h"
#include "lib/hub.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "lib/sse.h"
#include "session/orders.h"
#include <stdio.h>

#define REVOCATION_S ((uint64_t)30 * 24 * 3600)
#define LIST_MAX     10000
#define MOMENT_MAX   (UINT64_MAX / 4) /* seconds: of times that can be added up */

typedef enum ban_deed { PUT, LIFT, SHOW } ban_deed;

typedef struct found {
    uint64_t count;
    int err;
} found;

typedef struct ban_order {
    linnet_hub *hub;
    ln_ref refs; /* letters under way, or waiting in rest */
    ban_deed deed;
    bool ours; /* ln_bans_revoke's */
    ln_ban_kind kind;
    uint64_t for_s, before, until; /* until: worker 0 says it */
    size_t limit;
    linnet_hub_done_fn *done;
    linnet_hub_bans_fn *list;
    void *ctx;
    unsigned workers;              /* that get it */
    ln_post *rest[LN_LIM_WORKERS]; /* for all but worker 0, until it has sent them */
    found found[LN_LIM_WORKERS];   /* each is written by its worker */
    size_t subject_size;
    uint8_t subject[LN_BAN_SUBJECT_MAX];
} ban_order;

static ln_slice subject_of(const ban_order *o) {
    return ln_slice_of(o->subject, o->subject_size);
}

/* ---- telling ------------------------------------------------------------------------- */

static void order_put(ban_order *o) {
    uint64_t count = 0;
    int err = LINNET_OK;
    if (!ln_ref_put(&o->refs)) return;
    for (unsigned i = 0; i < o->workers; i++) {
        count += o->found[i].count;
        if (err == LINNET_OK) err = o->found[i].err;
    }
    if (o->done) o->done(o->ctx, o->hub, err, count);
    ln_free(o);
}

/* The others are not to hear of it: worker 0 has not obeyed. */
static void call_off(ban_order *o, int err) {
    for (unsigned i = 1; i < o->workers; i++) {
        if (!o->rest[i]) continue;
        o->found[i].err = err;
        ln_free(o->rest[i]); /* they carry nothing yet */
        o->rest[i] = NULL;
        ln_ref_put(&o->refs);
    }
}

typedef struct shown { /* one of them, as the program gets it */
    linnet_ban ban;
    char address[LN_IP_TEXT];
} shown;

static void show_one(const ln_ban *b, uint64_t now_s, shown *out) {
    ln_slice subject = ln_ban_subject(b);
    if (ln_ban_kind_of(b) == LN_BAN_ADDRESS) {
        ln_ip ip;
        memcpy(&ip, subject.data, sizeof ip);
        subject = ln_slice_of(out->address, ln_ip_text(&ip, out->address));
    }
    out->ban = (linnet_ban){ .size = sizeof out->ban,
        .kind = (linnet_ban_kind)ln_ban_kind_of(b),
        .subject = subject,
        .for_s = b->until ? b->until - now_s : 0,
        .before = b->before };
}

static void refuse_list(ban_order *o, int err) {
    o->list(o->ctx, o->hub, err, NULL, 0, false);
    ln_free(o);
}

static void show(ban_order *o, const ln_bans *bans, uint64_t now_s) {
    uint32_t at = 0;
    size_t room = bans->map.count < o->limit ? bans->map.count : o->limit, count = 0;
    shown *rooms = ln_calloc(room + 1, sizeof *rooms);
    linnet_ban *all = ln_calloc(room + 1, sizeof *all);
    const ln_ban *b = NULL;
    while (rooms && all && (b = ln_bans_next(bans, now_s, &at)) && count < room) {
        show_one(b, now_s, &rooms[count]);
        all[count] = rooms[count].ban;
        count++;
    }
    int err = rooms && all ? LINNET_OK : LINNET_ERR_NOMEM;
    o->list(o->ctx, o->hub, err, all, count, b != NULL);
    ln_free(rooms);
    ln_free(all);
    ln_free(o);
}

/* ---- on a worker --------------------------------------------------------------------- */

/* This worker's table. LINNET_OK, *count: what it is told. */
static int enter(ban_order *o, ln_sessions *n, uint64_t now_s, uint64_t *count) {
    if (o->deed == LIFT) {
        bool was = ln_bans_lift(&n->bans, o->kind, subject_of(o), now_s);
        *count = was && n->self == 0;
        return LINNET_OK;
    }
    return ln_bans_put(&n->bans, o->kind, subject_of(o), o->before, o->until, now_s);
}

static uint64_t later(uint64_t a, uint64_t b) {
    if (!a || !b) return 0;
    return a > b ? a : b;
}

/* What has no end or moment yet gets it from the clock of worker 0. */
static int settle(ban_order *o, const ln_bans *bans, uint64_t now_s) {
    if (o->deed == LIFT) return LINNET_OK;
    const ln_ban *said = o->ours ? ln_bans_find(bans, o->kind, subject_of(o), now_s) : NULL;
    o->until = o->for_s ? now_s + o->for_s : 0;
    if (said) o->until = later(o->until, said->until);
    if (o->kind != LN_BAN_ISSUED) return LINNET_OK;
    if (!o->before) o->before = now_s + 1;
    return o->before > now_s + 1 ? LINNET_ERR_INVAL : LINNET_OK;
}

static void send_rest(ban_order *o, const linnet_server *s) {
    for (unsigned i = 1; i < o->workers; i++) {
        ln_post *m = o->rest[i];
        o->rest[i] = NULL;
        m->ctx = o;
        m->code = (int)i;
        ln_inbox_post(s->workers[i]->inbox, &m->letter, &m->letter, 1, m->letter.bytes);
    }
}

static void obey_first(ban_order *o, const linnet_loop *w, ln_sessions *n, uint64_t now_s) {
    found *f = &o->found[0];
    f->err = settle(o, &n->bans, now_s);
    if (f->err == LINNET_OK) f->err = enter(o, n, now_s, &f->count);
    if (f->err < 0) {
        call_off(o, f->err);
        return;
    }
    ln_ledger *ledger = ln_host_hub_ledger(o->hub);
    if (ledger)
        f->err = ln_ledger_put(
            ledger, &n->bans, now_s, o->deed == LIFT, o->kind, subject_of(o), o->before, o->until);
    send_rest(o, w->server);
}

/* Sends away whom it means. How many. */
static uint64_t bar(const ban_order *o, linnet_loop *w, ln_sessions *n, uint64_t now_s) {
    if (o->ours && o->kind == LN_BAN_SESSION) return ln_sessions_bar_ticketed(n, subject_of(o));
    return ln_sessions_bar(n, o->kind, subject_of(o), o->before) + ln_sse_bar(w, &n->bans, now_s);
}

void ln_bans_mail(linnet_loop *w, ln_post *m) {
    ban_order *o = m->ctx;
    ln_sessions *n = ln_host_hub_people(w);
    unsigned worker = (unsigned)m->code;
    m->ctx = NULL;
    if (!n) {
        ln_bans_lost(o, worker);
        return;
    }
    uint64_t now_s = ln_hub_wall(w->hub) / 1000;
    if (o->deed == SHOW) {
        show(o, &n->bans, now_s);
        return;
    }
    found *f = &o->found[worker];
    if (worker == 0)
        obey_first(o, w, n, now_s);
    else
        f->err = enter(o, n, now_s, &f->count);
    bool counts = f->err == LINNET_OK || f->err == LINNET_ERR_SYS;
    if (counts && o->deed == PUT) f->count = bar(o, w, n, now_s);
    order_put(o);
}

void ln_bans_lost(void *order, unsigned worker) {
    ban_order *o = order;
    if (o->deed == SHOW) {
        refuse_list(o, LINNET_ERR_CANCELLED);
        return;
    }
    o->found[worker].err = LINNET_ERR_CANCELLED;
    if (worker == 0) call_off(o, LINNET_ERR_CANCELLED);
    order_put(o);
}

int ln_bans_open(linnet_loop *w, const char *path, ln_ledger *ledger) {
    uint64_t now_s = ln_world_wall(w->world) / 1000;
    ln_bans *bans = &ln_host_hub_people(w)->bans;
    if (!path) return LINNET_OK;
    int err = w->index ? ln_ledger_read(path, bans, now_s)
                       : ln_ledger_open(ledger, path, bans, now_s);
    if (err < 0)
        snprintf(w->server->error, sizeof w->server->error, "%s: %s", path,
            err == LINNET_ERR_INVAL ? "there is a line that is no ban" : linnet_strerror(err));
    return err;
}

/* ---- giving one ---------------------------------------------------------------------- */

/* The subject, as the table has it. */
static bool take_subject(ban_order *o, ln_slice subject) {
    ln_ip ip;
    if (o->kind == LN_BAN_ADDRESS) {
        if (!ln_ip_parse(subject, &ip)) return false;
        ip = ln_ip_subscriber(&ip);
        subject = ln_slice_of(&ip, sizeof ip);
    }
    if (!ln_ban_fits(o->kind, subject)) return false;
    o->subject_size = subject.size;
    memcpy(o->subject, subject.data, subject.size);
    return true;
}

static int send_first(const ban_order *o, ln_inbox *to, ln_post *m) {
    if (!o->ours) return ln_inbox_offer(to, &m->letter, m->letter.bytes);
    ln_inbox_post(to, &m->letter, &m->letter, 1, m->letter.bytes);
    return LINNET_OK;
}

/* o is taken. One letter goes to worker 0, where what the program says is offered as what other
 * threads say is. */
static int give(ban_order *o) {
    const linnet_server *s = ln_host_hub_server(o->hub);
    int err = LINNET_ERR_NOMEM;
    o->workers = o->deed == SHOW ? 1 : s->worker_count;
    ln_ref_init(&o->refs, o->workers);
    ln_post *first = ln_post_new(LN_POST_BAN, 0, 0, NULL, LN_SLICE(""));
    unsigned n = 1;
    while (first && n < o->workers &&
           (o->rest[n] = ln_post_new(LN_POST_BAN, 0, 0, NULL, LN_SLICE(""))))
        n++;
    if (first && n == o->workers) {
        first->ctx = o;
        err = send_first(o, s->workers[0]->inbox, first);
        if (err == LINNET_OK) return LINNET_OK;
    }
    while (--n)
        ln_free(o->rest[n]);
    ln_free(first);
    ln_free(o);
    return err;
}

static int order(
    linnet_hub *hub, ban_deed deed, const linnet_ban *ban, linnet_hub_done_fn *done, void *ctx) {
    if (!hub || !ban || !ln_sized(ban, sizeof *ban)) return LINNET_ERR_INVAL;
    if ((unsigned)ban->kind >= LN_BAN_KINDS) return LINNET_ERR_INVAL;
    if (ban->for_s > MOMENT_MAX || ban->before > MOMENT_MAX) return LINNET_ERR_INVAL;
    if (!ln_host_hub_server(hub)) return LINNET_ERR_STATE;
    ban_order *o = ln_calloc(1, sizeof *o);
    if (!o) return LINNET_ERR_NOMEM;
    o->hub = hub;
    o->deed = deed;
    o->kind = (ln_ban_kind)ban->kind;
    o->for_s = ban->for_s;
    if (!o->for_s && ln_ban_verdict_of(o->kind) == LN_BAN_REVOKED) o->for_s = REVOCATION_S;
    o->before = o->kind == LN_BAN_ISSUED ? ban->before : 0;
    o->done = done;
    o->ctx = ctx;
    if (take_subject(o, ban->subject)) return give(o);
    ln_free(o);
    return LINNET_ERR_INVAL;
}

int ln_bans_revoke(linnet_hub *hub, ln_ban_kind kind, ln_slice subject, uint64_t for_s,
    linnet_hub_done_fn *done, void *ctx) {
    if (!ln_host_hub_server(hub)) return LINNET_ERR_STATE;
    ban_order *o = ln_calloc(1, sizeof *o);
    if (!o) return LINNET_ERR_NOMEM;
    o->hub = hub;
    o->deed = PUT;
    o->ours = true;
    o->kind = kind;
    o->for_s = for_s;
    o->done = done;
    o->ctx = ctx;
    if (take_subject(o, subject)) return give(o);
    ln_free(o);
    return LINNET_ERR_INVAL;
}

int linnet_hub_ban(linnet_hub *hub, const linnet_ban *ban, linnet_hub_done_fn *done, void *ctx) {
    return order(hub, PUT, ban, done, ctx);
}

int linnet_hub_unban(linnet_hub *hub, const linnet_ban *ban, linnet_hub_done_fn *done, void *ctx) {
    return order(hub, LIFT, ban, done, ctx);
}

int linnet_hub_bans(linnet_hub *hub, size_t limit, linnet_hub_bans_fn *list, void *ctx) {
    if (!hub || !list || !limit || limit > LIST_MAX) return LINNET_ERR_INVAL;
    if (!ln_host_hub_server(hub)) return LINNET_ERR_STATE;
    ban_order *o = ln_calloc(1, sizeof *o);
    if (!o) return LINNET_ERR_NOMEM;
    o->hub = hub;
    o->deed = SHOW;
    o->limit = limit;
    o->list = list;
    o->ctx = ctx;
    return give(o);
}
