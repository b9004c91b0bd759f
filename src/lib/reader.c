#include "lib/reader.h"
#include "base/mem.h"
#include "lib/hub.h"
#include "lib/sse.h"
#include "wire/native.h"

#define LOOK_MS UINT64_C(3600000) /* at the end of a reader's time: clocks may be set */

static const ln_asker *asker_of(const linnet_loop *w) {
    return ln_host_hub_sessions(w)->asker;
}

/* ---- while nobody has answered --------------------------------------------------------- */

/* The request with that name, if it still waits. */
static bool find_request(linnet_loop *w, linnet_conn_id id, linnet_request *out) {
    linnet_conn *conn = ln_worker_find(w, id);
    ln_exchange *x = conn && conn->c.state == LN_CONN_HTTP ? conn->c.http : NULL;
    if (!x || x->state != LN_EXCHANGE_WORK || x->host) return false;
    const ln_route *route = ln_sse_route(w->server, x);
    *out = (linnet_request){ .x = x, .conn = conn, .route = route, .named = true };
    return route != NULL;
}

static void answer(linnet_request *r, int status, const char *words) {
    if (status == 401) linnet_request_add_header(r, "WWW-Authenticate", "Bearer");
    linnet_request_answer(r, status, NULL, linnet_str(words));
}

static ln_question question(const ln_reader *r, ln_ask_kind kind) {
    ln_question q = {
        .kind = kind, .who = r->id, .client = ln_slice_of(r->client, r->client_size)
    };
    if (r->identity) q.user = ln_identity_user(r->identity);
    if (r->identity) q.info = ln_identity_info(r->identity);
    return q;
}

void ln_reader_free(ln_reader *r) {
    if (!r) return;
    const ln_asker *a = asker_of(r->worker);
    ln_question q = question(r, LN_TELL_DISCONNECT);
    ln_answer nothing = { 0 };
    q.who = 0;
    q.code = 1006;
    if (r->vouched && ln_asker_wants(a, LN_TELL_DISCONNECT)) a->ask(a->ctx, &q, &nothing);
    ln_timer_stop(ln_loop_wheel(r->worker->net), &r->end);
    ln_list_remove(&r->node);
    ln_free(r->identity);
    ln_free(r);
}

/* ---- channels --------------------------------------------------------------------------- */

static int status_of(const ln_answer *a) {
    if (a->err) return 503;
    return a->code == LN_NATIVE_UNAUTHORIZED ? 401 : 403;
}

/* It is no; reader is freed. */
static void refuse(linnet_request *r, ln_reader *reader, const ln_answer *a) {
    answer(r, status_of(a), a->err ? "the backend gave no answer\n" : "not in this channel\n");
    ln_reader_free(reader);
}

/* Asks about each channel. LINNET_OK: those that were answered at once allow it. */
static int ask_all(ln_reader *reader, const ln_sse_names *names, ln_answer *no) {
    const ln_asker *a = asker_of(reader->worker);
    for (uint32_t i = 0; ln_asker_wants(a, LN_ASK_SUBSCRIBE) && i < names->count; i++) {
        ln_question q = question(reader, LN_ASK_SUBSCRIBE);
        q.ticket = LN_ASK_STREAM | i;
        q.channel = ln_sse_name(names, i);
        *no = (ln_answer){ 0 };
        int err = a->ask(a->ctx, &q, no);
        if (err == LN_PENDING) {
            reader->pending++;
            continue;
        }
        if (err < 0) *no = (ln_answer){ .err = err };
        if (no->err || no->code) return LINNET_ERR_DENIED;
    }
    return LINNET_OK;
}

/* Who it is is known; reader is taken. */
static void ask_about_channels(linnet_request *r, ln_reader *reader) {
    linnet_loop *w = reader->worker;
    ln_sse_names names;
    ln_answer no = { .code = LN_NATIVE_PERMISSION_DENIED };
    int status;
    if (ln_sse_read_names(r->x, &names, &status)) return; /* it was looked at before */
    for (uint32_t i = 0; i < names.count; i++)
        if (!ln_host_hub_may(w, reader->identity, ln_sse_name(&names, i))) {
            refuse(r, reader, &no);
            return;
        }
    if (ask_all(reader, &names, &no) < 0) {
        refuse(r, reader, &no);
        return;
    }
    if (!reader->pending) {
        ln_sse_open(r, &names, reader);
        return;
    }
    r->named = true;
    reader->deadline = ln_loop_now(w->net) + LN_ASK_MS;
    ln_list_push(&w->readers, &reader->node);
}

void ln_reader_answer(linnet_loop *w, linnet_conn_id id, const ln_answer *a) {
    ln_reader *reader = NULL;
    LN_LIST_FOREACH(node, &w->readers) {
        reader = ln_list_item(node, ln_reader, node);
        if (reader->id == id) break;
        reader = NULL;
    }
    if (!reader) return;
    linnet_request r;
    bool no = a->err || a->code;
    bool there = find_request(w, id, &r);
    if (there && !no && --reader->pending) return;
    ln_list_remove(&reader->node);
    ln_buf_init(&r.scratch, LN_SCRATCH_MAX);
    ln_sse_names names;
    int status;
    if (!there)
        ln_reader_free(reader);
    else if (no)
        refuse(&r, reader, a);
    else if (!ln_sse_read_names(r.x, &names, &status))
        ln_sse_open(&r, &names, reader);
    ln_buf_fini(&r.scratch);
}

void ln_readers_tick(linnet_loop *w) {
    const ln_answer late = { .err = LINNET_ERR_TIMEOUT };
    while (!ln_list_empty(&w->readers)) {
        const ln_reader *r = ln_list_item(w->readers.next, ln_reader, node);
        if (r->deadline > ln_loop_now(w->net)) return;
        ln_reader_answer(w, r->id, &late);
    }
}

ln_msec ln_readers_deadline(const linnet_loop *w) {
    if (ln_list_empty(&w->readers)) return LN_NEVER;
    return ln_list_item(w->readers.next, ln_reader, node)->deadline;
}

void ln_readers_end(linnet_loop *w) {
    while (!ln_list_empty(&w->readers))
        ln_reader_free(ln_list_item(w->readers.next, ln_reader, node));
}

/* ---- who it is ---------------------------------------------------------------------------- */

/* Takes the entry's identity. */
static void admit(linnet_request *r, ln_entry *entry) {
    linnet_loop *w = ln_worker_of(r->conn);
    ln_reader *reader = ln_calloc(1, sizeof *reader);
    if (!reader) {
        answer(r, 503, "no memory\n");
        ln_free(entry->identity);
        entry->identity = NULL;
        return;
    }
    reader->worker = w;
    reader->id = ln_conn_name(r->conn);
    reader->identity = entry->identity;
    reader->vouched = entry->vouched;
    entry->identity = NULL;
    ln_list_init(&reader->node);
    ln_timer_init(&reader->end, LN_TIMER_OF_READER);
    reader->client_size = entry->client_size ? entry->client_size : LN_NATIVE_EPOCH;
    if (entry->client_size)
        memcpy(reader->client, entry->client, entry->client_size);
    else
        ln_native_epoch_put(ln_rand_u64(&w->env.rand), (char *)reader->client);
    ask_about_channels(r, reader);
}

bool ln_reader_admitted(linnet_loop *w, linnet_conn_id id, ln_entry *entry) {
    linnet_request r;
    if (!find_request(w, id, &r)) return false;
    ln_buf_init(&r.scratch, LN_SCRATCH_MAX);
    admit(&r, entry);
    ln_buf_fini(&r.scratch);
    return true;
}

void ln_reader_refused(linnet_loop *w, linnet_conn_id id, int status, const char *words) {
    linnet_request r;
    if (!find_request(w, id, &r)) return;
    ln_buf_init(&r.scratch, LN_SCRATCH_MAX);
    answer(&r, status, words ? words : "not now\n");
    ln_buf_fini(&r.scratch);
}

/* The gate and the doorman see him as they see a handshake. */
void ln_reader_begin(linnet_request *r) {
    linnet_upgrade u = { .x = r->x, .conn = r->conn, .route = r->route, .stream = true };
    ln_buf_init(&u.scratch, LN_SCRATCH_MAX);
    ln_entry *entry;
    linnet_verdict verdict = ln_host_hub_visit(&u, &entry);
    if (u.rejected || verdict == LINNET_REJECT)
        linnet_request_answer(r, u.rejected ? u.status : 403, NULL, linnet_str(u.body));
    else if (verdict == LINNET_DEFER)
        r->named = true;
    else
        admit(r, entry);
    ln_free(u.body);
    ln_buf_fini(&u.scratch);
}

void ln_reader_again(linnet_loop *w, linnet_conn_id id) {
    linnet_request r;
    if (!find_request(w, id, &r)) return;
    ln_buf_init(&r.scratch, LN_SCRATCH_MAX);
    ln_reader_begin(&r);
    ln_buf_fini(&r.scratch);
}

/* ---- his end ------------------------------------------------------------------------------ */

/* In ms; 0: it is over. */
static uint64_t left_ms(const ln_reader *r) {
    uint64_t now = ln_world_wall(r->worker->world), end;
    if (!r->identity || !r->identity->expires) return UINT64_MAX;
    end = (r->identity->expires + LN_JWS_SKEW_S) * 1000;
    return end > now ? end - now : 0;
}

void ln_reader_watch(ln_reader *r) {
    uint64_t left = left_ms(r);
    ln_loop *net = r->worker->net;
    if (left == UINT64_MAX) return;
    ln_timer_set(ln_loop_wheel(net), &r->end, ln_loop_now(net) + (left < LOOK_MS ? left : LOOK_MS));
}

bool ln_reader_refresh(ln_reader *r, uint64_t expires, ln_slice info) {
    ln_identity *id;
    if (!r->identity || ln_identity_change(r->identity, expires, info, &id) < 0) return false;
    ln_free(r->identity);
    r->identity = id;
    ln_reader_watch(r);
    return true;
}

bool ln_reader_is_over(ln_reader *r) {
    if (!left_ms(r)) return true;
    ln_reader_watch(r);
    return false;
}
