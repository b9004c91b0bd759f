/* orders.c -- what the program says about sessions on all workers: one letter to each, and the last
 * one that is done tells the program.
 *
 *   the program ──ORDER──> each worker ──writes what it found──> the last one: fn
 *
 * To forget a user takes two: when nobody has a connection of the user any more, nothing of his is
 * under way either, and what is kept can be gone through. That is done a little in each turn; the
 * letter goes to its own worker again until it is through.
 *
 * Who is told to stay away has a ticket that would let him in again. It is revoked on all workers
 * (lib/bans.h), and the order waits for that, too.
 */
#include "lib/orders.h"
#include "base/mem.h"
#include "lib/bans.h"
#include "lib/hub.h"
#include "lib/limits.h"
#include "lib/prune.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "lib/sse.h"
#include "session/orders.h"
#include <linnet/watch.h>

#define STEPS 4096 /* publications and logs in a turn: a fraction of a millisecond */

typedef enum order_kind { DISCONNECT, EXPEL, ENLIST, REFRESH, FORGET, PURGE, LIST, WHY } order_kind;

typedef struct row { /* a session as a worker saw it */
    linnet_conn_id id;
    const char *dialect;
    uint32_t channels;
    uint8_t client_size, user_size;
    uint8_t client[LN_CLIENT_NAME_MAX], user[255];
} row;

typedef struct found { /* by one worker, which writes it */
    uint64_t count, full;
    row *rows;
    size_t row_count, capacity;
    ln_end **ends;
    size_t end_count, told; /* of the ends */
    uint32_t at;            /* of a PURGE; 0: at its end */
    int err;
} found;

struct ln_order {
    linnet_hub *hub;
    ln_ref refs;     /* letters under way, and revocations */
    ln_word revoked; /* -err of one that went wrong; 0: none did */
    order_kind kind;
    linnet_hub_done_fn *done;
    linnet_hub_enlisted_fn *enlisted;
    linnet_hub_sessions_fn *list;
    linnet_hub_why_fn *why;
    void *ctx;
    uint16_t code;
    size_t limit;
    uint64_t expires;
    ln_slice user, client, channel, reason, info; /* in bytes */
    linnet_conn_id connection;                    /* 0: any */
    unsigned workers;
    found *found; /* one per worker, behind the bytes */
    uint8_t bytes[];
};

/* ---- telling ------------------------------------------------------------------------ */

static int first_error(const ln_order *o) {
    for (unsigned i = 0; i < o->workers; i++)
        if (o->found[i].err < 0) return o->found[i].err;
    return -(int)ln_word_get(&o->revoked);
}

static void tell_list(const ln_order *o) {
    size_t count = 0;
    for (unsigned i = 0; i < o->workers; i++)
        count += o->found[i].row_count;
    int err = first_error(o);
    linnet_session *all = count ? ln_calloc(count, sizeof *all) : NULL;
    if (count && !all) err = LINNET_ERR_NOMEM;
    size_t n = 0;
    for (unsigned i = 0; err == LINNET_OK && i < o->workers; i++) {
        for (size_t k = 0; k < o->found[i].row_count && n < o->limit; k++) {
            const row *r = &o->found[i].rows[k];
            all[n++] = (linnet_session){ .size = sizeof *all,
                .id = r->id,
                .client = ln_slice_of(r->client, r->client_size),
                .user = ln_slice_of(r->user, r->user_size),
                .dialect = r->dialect,
                .channels = r->channels };
        }
    }
    o->list(o->ctx, o->hub, err, all, n, n < count);
    ln_free(all);
}

static linnet_end shown(const ln_end *e) {
    ln_end_words words = ln_end_explain(e->why, (ln_end_by)e->by, e->err);
    return (linnet_end){ .size = sizeof(linnet_end),
        .client = e->client,
        .user = e->user,
        .address = e->address,
        .dialect = e->dialect,
        .opened = e->opened,
        .closed = e->closed,
        .counted = e->counted,
        .bytes_in = e->in,
        .bytes_out = e->out,
        .code = e->code,
        .by = (linnet_end_by)e->by,
        .err = e->err,
        .reason = e->reason,
        .meaning = words.meaning,
        .advice = words.advice,
        .error_at = e->error_at,
        .error = e->error,
        .error_text = e->error_text };
}

/* The latest that has not been told yet, of all workers. */
static const ln_end *next_end(const ln_order *o) {
    found *latest = NULL;
    for (unsigned i = 0; i < o->workers; i++) {
        found *f = &o->found[i];
        if (f->told == f->end_count) continue;
        if (!latest || f->ends[f->told]->closed > latest->ends[latest->told]->closed) latest = f;
    }
    return latest ? latest->ends[latest->told++] : NULL;
}

static void tell_ends(const ln_order *o) {
    size_t count = 0, n = 0;
    for (unsigned i = 0; i < o->workers; i++)
        count += o->found[i].end_count;
    int err = first_error(o);
    size_t most = count < o->limit ? count : o->limit;
    linnet_end *all = most ? ln_calloc(most, sizeof *all) : NULL;
    if (most && !all) err = LINNET_ERR_NOMEM;
    for (const ln_end *e; err == LINNET_OK && n < most && (e = next_end(o));)
        all[n++] = shown(e);
    o->why(o->ctx, o->hub, err, all, n, n < count);
    ln_free(all);
}

static void found_fini(found *f) {
    for (size_t i = 0; i < f->end_count; i++)
        ln_end_unref(f->ends[i]);
    ln_free(f->ends);
    ln_free(f->rows);
}

static int give(const ln_order *from);

static void tell_done(const ln_order *o) {
    uint64_t count = 0, full = 0;
    for (unsigned i = 0; i < o->workers; i++) {
        count += o->found[i].count;
        full += o->found[i].full;
    }
    int err = first_error(o);
    if (o->enlisted) o->enlisted(o->ctx, o->hub, err, count, full);
    if (o->kind == FORGET && err == LINNET_OK) {
        ln_order more = {
            .hub = o->hub, .kind = PURGE, .done = o->done, .ctx = o->ctx, .user = o->user
        };
        err = give(&more);
        if (err == LINNET_OK) return;
    }
    if (o->done) o->done(o->ctx, o->hub, err, o->kind == FORGET ? 0 : count);
}

static void order_put(ln_order *o) {
    if (!ln_ref_put(&o->refs)) return;
    if (o->kind == LIST)
        tell_list(o);
    else if (o->kind == WHY)
        tell_ends(o);
    else
        tell_done(o);
    for (unsigned i = 0; i < o->workers; i++)
        found_fini(&o->found[i]);
    ln_free(o->found);
    ln_free(o);
}

/* ---- on a worker -------------------------------------------------------------------- */

typedef struct lister {
    const ln_order *o;
    found *f;
} lister;

/* One more than the limit, so that it is known that there are more. */
static bool see(void *ctx, const ln_conn *c, const ln_seen *seen) {
    const lister *l = ctx;
    found *f = l->f;
    if (f->row_count > l->o->limit) return false;
    if (f->row_count == f->capacity) {
        size_t capacity = f->capacity ? f->capacity * 2 : 16;
        row *rows = ln_realloc(f->rows, capacity * sizeof *rows);
        if (!rows) {
            f->err = LINNET_ERR_NOMEM;
            return false;
        }
        f->rows = rows;
        f->capacity = capacity;
    }
    row *r = &f->rows[f->row_count++];
    *r = (row){ .id = ln_conn_name((const linnet_conn *)(const void *)c),
        .dialect = seen->dialect,
        .channels = seen->channels,
        .client_size = (uint8_t)seen->client.size,
        .user_size = (uint8_t)seen->user.size };
    memcpy(r->client, seen->client.data, seen->client.size);
    if (seen->user.size) memcpy(r->user, seen->user.data, seen->user.size);
    return true;
}

static void on_revoked(void *ctx, linnet_hub *hub, int err, uint64_t count) {
    ln_order *o = ctx;
    (void)hub;
    (void)count;
    if (err < 0) ln_word_set(&o->revoked, (uint64_t)-err);
    order_put(o);
}

typedef struct revoker {
    ln_order *o;
    uint64_t for_s;
} revoker;

static int revoke(const revoker *r, ln_ban_kind kind, ln_slice subject) {
    ln_ref_get(&r->o->refs, 1);
    int err = ln_bans_revoke(r->o->hub, kind, subject, r->for_s, on_revoked, r->o);
    if (err < 0) ln_ref_put(&r->o->refs); /* not the last: the letter at hand has one */
    return err;
}

static int revoke_session(void *ctx, ln_slice session) {
    return revoke(ctx, LN_BAN_SESSION, session);
}

/* Nobody goes whose ticket would stay good. */
static void disconnect(
    ln_order *o, linnet_loop *w, struct ln_sessions *n, const ln_whom *whom, found *f) {
    revoker r = { o, ln_sessions_ticket_s(n) };
    if (ln_stays_away(o->code)) f->err = ln_sessions_tickets(n, whom, revoke_session, &r);
    if (f->err < 0) return;
    f->count = ln_sessions_disconnect(n, whom, o->code, (const char *)o->reason.data);
    f->count += ln_sse_disconnect(w, o->user, o->client, o->connection);
}

/* What the user may have beside his connections is revoked by the last worker that was written to:
 * so all have this letter before that one, and close with its words. */
static void forget(
    ln_order *o, linnet_loop *w, struct ln_sessions *n, const ln_whom *whom, found *f) {
    revoker r = { o, ln_sessions_ticket_s(n) };
    ln_sessions_disconnect(n, whom, 3503, "forgotten");
    ln_sse_disconnect(w, o->user, LN_SLICE(""), 0);
    if (r.for_s && (unsigned)w->index + 1 == o->workers)
        f->err = revoke(&r, LN_BAN_ISSUED, o->user);
}

static void look_back(const ln_order *o, struct ln_sessions *n, found *f) {
    ln_whom whom = { .user = o->user, .client = o->client };
    int count = ln_sessions_ends(n, &whom, (uint32_t)o->limit + 1, &f->ends);
    if (count < 0)
        f->err = count;
    else
        f->end_count = (size_t)count;
}

static void purge(const ln_order *o, struct ln_sessions *n, found *f) {
    int err;
    f->count += ln_host_forget(n->hub, o->user, &f->at, STEPS, &err);
    if (err < 0) f->err = err;
}

static void enlist(const ln_order *o, struct ln_sessions *n, const ln_whom *whom, found *f) {
    ln_enlisted got;
    ln_sessions_enlist(n, whom, o->channel, &got);
    f->count = got.in;
    f->full = got.full;
    f->err = got.err;
}

static void obey(ln_order *o, linnet_loop *w, struct ln_sessions *n, found *f) {
    linnet_conn *conn = o->connection ? ln_worker_find(w, o->connection) : NULL;
    if (o->connection && !conn) return;
    ln_whom whom = { .user = o->user, .client = o->client, .conn = conn ? &conn->c : NULL };
    lister l = { o, f };
    switch (o->kind) {
    case DISCONNECT: disconnect(o, w, n, &whom, f); break;
    case EXPEL:
        f->count = ln_sessions_expel(n, &whom, o->channel);
        f->count += ln_sse_expel(w, o->user, o->client, o->connection, o->channel);
        break;
    case ENLIST: enlist(o, n, &whom, f); break;
    case REFRESH:
        f->count = ln_sessions_refresh(n, &whom, o->expires, o->info, &f->err);
        f->count += ln_sse_refresh(w, o->user, o->client, o->connection, o->expires, o->info);
        break;
    case FORGET: forget(o, w, n, &whom, f); break;
    case PURGE: purge(o, n, f); break;
    case LIST: ln_sessions_list(n, &whom, see, &l); break;
    case WHY: look_back(o, n, f); break;
    }
}

bool ln_order_mail(linnet_loop *w, ln_post *m) {
    ln_order *o = m->ctx;
    found *f = &o->found[w->index];
    struct ln_sessions *n = ln_host_hub_people(w);
    if (n)
        obey(o, w, n, f);
    else
        f->err = LINNET_ERR_CANCELLED;
    if (n && f->at) { /* the rest in another turn */
        ln_inbox_post(w->inbox, &m->letter, &m->letter, 1, m->letter.bytes);
        return true;
    }
    m->ctx = NULL;
    order_put(o);
    return false;
}

void ln_order_lost(void *order, unsigned worker) {
    ln_order *o = order;
    o->found[worker].err = LINNET_ERR_CANCELLED;
    order_put(o);
}

/* ---- giving one --------------------------------------------------------------------- */

static ln_slice keep(uint8_t **at, ln_slice s) {
    uint8_t *to = *at;
    if (s.size) memcpy(to, s.data, s.size);
    to[s.size] = 0;
    *at = to + s.size + 1;
    return ln_slice_of(to, s.size);
}

/* All workers get it or none does, so who asks is refused before the first letter. */
bool ln_orders_crowded(const linnet_server *s) {
    for (unsigned i = 0; i < s->worker_count; i++) {
        uint32_t letters;
        size_t bytes;
        ln_inbox_load(s->workers[i]->inbox, &letters, &bytes);
        if (letters > LN_LIM_MAIL || bytes > LN_LIM_MAIL_BYTES) return true;
    }
    return false;
}

/* o: what is meant, with slices of the caller's. */
static int give(const ln_order *from) {
    linnet_server *s = ln_host_hub_server(from->hub);
    if (!s) return LINNET_ERR_STATE;
    if (ln_orders_crowded(s)) return LINNET_ERR_AGAIN;
    ln_post *posts[UINT8_MAX];
    unsigned workers = s->worker_count, n = 0;
    size_t bytes = from->user.size + from->client.size + from->channel.size + from->reason.size +
                   from->info.size + 5;
    ln_order *o = ln_malloc(sizeof *o + bytes);
    found *f = ln_calloc(workers, sizeof *f);
    while (
        o && f && n < workers && (posts[n] = ln_post_new(LN_POST_ORDER, 0, 0, NULL, LN_SLICE(""))))
        n++;
    if (!o || !f || n < workers) {
        while (n--)
            ln_free(posts[n]); /* they carry nothing yet */
        ln_free(o);
        ln_free(f);
        return LINNET_ERR_NOMEM;
    }
    *o = *from;
    uint8_t *at = o->bytes;
    o->user = keep(&at, from->user);
    o->client = keep(&at, from->client);
    o->channel = keep(&at, from->channel);
    o->reason = keep(&at, from->reason);
    o->info = keep(&at, from->info);
    o->workers = workers;
    o->found = f;
    ln_ref_init(&o->refs, workers);
    for (unsigned i = 0; i < workers; i++) {
        posts[i]->ctx = o;
        posts[i]->code = (int)i;
        ln_letter *letter = &posts[i]->letter;
        ln_inbox_post(s->workers[i]->inbox, letter, letter, 1, letter->bytes);
    }
    return LINNET_OK;
}

static int checked(const linnet_hub *hub, const linnet_whom *whom, bool all, ln_order *out) {
    if (!hub || !whom || !ln_sized(whom, sizeof *whom)) return LINNET_ERR_INVAL;
    if (!all && !whom->user.size && !whom->client.size && !whom->connection)
        return LINNET_ERR_INVAL;
    if (whom->user.size > 255 || whom->client.size > LN_CLIENT_NAME_MAX) return LINNET_ERR_INVAL;
    out->user = whom->user;
    out->client = whom->client;
    out->connection = whom->connection;
    return LINNET_OK;
}

int linnet_hub_disconnect(linnet_hub *hub, const linnet_whom *whom, uint16_t code,
    const char *reason, linnet_hub_done_fn *done, void *ctx) {
    ln_order o = {
        .hub = hub, .kind = DISCONNECT, .done = done, .ctx = ctx, .code = code ? code : 3503
    };
    int err = checked(hub, whom, false, &o);
    if (err < 0) return err;
    o.reason = ln_slice_str(reason ? reason : "disconnected by the server");
    if (o.code < 3000 || o.code > 4999 || o.reason.size > 123 || !ln_utf8_valid(o.reason))
        return LINNET_ERR_INVAL;
    return give(&o);
}

int linnet_hub_expel(linnet_hub *hub, const linnet_whom *whom, linnet_slice channel,
    linnet_hub_done_fn *done, void *ctx) {
    ln_order o = { .hub = hub, .kind = EXPEL, .done = done, .ctx = ctx, .channel = channel };
    int err = checked(hub, whom, false, &o);
    if (err < 0) return err;
    if (channel.size == 0 || channel.size > LN_CHANNEL_NAME_MAX) return LINNET_ERR_INVAL;
    return give(&o);
}

/* What is said to a user in his own channel is for his ears. */
static bool is_for_another(const linnet_whom *whom, ln_slice channel) {
    if (channel.data[0] != '@') return false;
    ln_slice_skip(&channel, 1);
    return !ln_slice_eq(channel, whom->user);
}

int linnet_hub_enlist(linnet_hub *hub, const linnet_whom *whom, linnet_slice channel,
    linnet_hub_enlisted_fn *done, void *ctx) {
    ln_order o = { .hub = hub, .kind = ENLIST, .enlisted = done, .ctx = ctx, .channel = channel };
    int err = checked(hub, whom, false, &o);
    if (err == LINNET_OK) err = ln_channel_name_check(LN_SPACE_CHANNELS, channel);
    if (err == LINNET_OK && is_for_another(whom, channel)) err = LINNET_ERR_DENIED;
    return err < 0 ? err : give(&o);
}

/* info: as JSON has it, or empty. */
static int check_refresh(const linnet_server *s, const linnet_refresh *r, ln_slice *info) {
    ln_json_value value;
    *info = LN_SLICE("");
    if (!r->expires && !r->info.size) return LINNET_ERR_INVAL;
    if (s && r->expires && r->expires <= ln_world_wall(s->world) / 1000) return LINNET_ERR_INVAL;
    if (!r->info.size) return LINNET_OK;
    if (ln_json_check(r->info, &value) < 0) return LINNET_ERR_JSON;
    *info = value.raw;
    return info->size > LN_IDENTITY_INFO_MAX ? LINNET_ERR_TOO_BIG : LINNET_OK;
}

int linnet_hub_refresh(linnet_hub *hub, const linnet_whom *whom, const linnet_refresh *refresh,
    linnet_hub_done_fn *done, void *ctx) {
    ln_order o = { .hub = hub, .kind = REFRESH, .done = done, .ctx = ctx };
    if (!refresh || !ln_sized(refresh, sizeof *refresh)) return LINNET_ERR_INVAL;
    int err = checked(hub, whom, false, &o);
    if (err == LINNET_OK) err = check_refresh(ln_host_hub_server(hub), refresh, &o.info);
    o.expires = refresh->expires;
    return err < 0 ? err : give(&o);
}

int linnet_hub_forget(linnet_hub *hub, linnet_slice user, linnet_hub_done_fn *done, void *ctx) {
    linnet_whom whom = LINNET_WHOM_INIT;
    ln_order o = { .hub = hub, .kind = FORGET, .done = done, .ctx = ctx };
    whom.user = user;
    int err = checked(hub, &whom, false, &o);
    return err < 0 ? err : give(&o);
}

int linnet_hub_sessions(linnet_hub *hub, const linnet_whom *whom, size_t limit,
    linnet_hub_sessions_fn *list, void *ctx) {
    ln_order o = { .hub = hub, .kind = LIST, .list = list, .ctx = ctx, .limit = limit };
    if (!list || limit == 0 || limit > 10000) return LINNET_ERR_INVAL;
    int err = checked(hub, whom, true, &o);
    return err < 0 ? err : give(&o);
}

int linnet_hub_why(
    linnet_hub *hub, const linnet_whom *whom, size_t limit, linnet_hub_why_fn *why, void *ctx) {
    ln_order o = { .hub = hub, .kind = WHY, .why = why, .ctx = ctx, .limit = limit };
    if (!why || limit == 0 || limit > 10000) return LINNET_ERR_INVAL;
    int err = checked(hub, whom, true, &o);
    if (err == LINNET_OK && o.connection) err = LINNET_ERR_INVAL; /* ids end with connections */
    return err < 0 ? err : give(&o);
}
