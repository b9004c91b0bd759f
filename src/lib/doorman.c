#include "lib/doorman.h"
#include "base/mem.h"
#include "lib/hub.h"
#include "lib/reader.h"

#define HEADER_MAX (16u * 1024) /* of one field */

typedef struct visitor {
    ln_list node;
    uint64_t who;
    ln_msec deadline;
    bool stream; /* he wants to read one */
    ln_entry entry;
} visitor;

void ln_doorman_init(
    ln_doorman *d, linnet_loop *w, const ln_hooks *hooks, const ln_asker *asker, ln_entry *entry) {
    *d = (ln_doorman){ .w = w, .asker = asker, .headers = ln_hooks_headers(hooks), .entry = entry };
    ln_list_init(&d->visitors);
}

void ln_entry_clear(ln_entry *e) {
    ln_free(e->identity);
    ln_free(e->data);
    e->identity = NULL;
    e->data = NULL;
    e->data_size = 0;
}

static void visitor_free(ln_doorman *d, visitor *v) {
    ln_list_remove(&v->node);
    ln_entry_clear(&v->entry);
    ln_free(v);
    d->count--;
}

void ln_doorman_fini(ln_doorman *d) {
    while (!ln_list_empty(&d->visitors))
        visitor_free(d, ln_list_item(d->visitors.next, visitor, node));
}

/* ---- the question --------------------------------------------------------------------- */

static void put_field(ln_json_writer *w, const linnet_upgrade *u, const char *name) {
    ln_slice value = linnet_upgrade_header(u, name, 0);
    if (!value.data || value.size > HEADER_MAX) return;
    ln_json_key(w, name);
    ln_json_str(w, value);
}

/* Of a field that came twice the first counts. */
static int put_fields(const ln_doorman *d, const linnet_upgrade *u, ln_buf *out) {
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    for (size_t i = 0; d->headers && d->headers[i]; i++)
        put_field(&w, u, d->headers[i]);
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

/* Who is asked about must have a name already. */
static void name_client(ln_doorman *d, ln_entry *e) {
    char name[LN_NATIVE_EPOCH];
    if (e->client_size) return;
    ln_native_epoch_put(ln_rand_u64(&d->w->env.rand), name);
    e->client_size = sizeof name;
    memcpy(e->client, name, sizeof name);
}

static ln_question question(uint64_t who, const ln_entry *e) {
    ln_question q = { .kind = LN_ASK_CONNECT,
        .who = who,
        .client = ln_slice_of(e->client, e->client_size),
        .channel = ln_slice_of(e->feed, e->feed_size) };
    if (e->identity) q.user = ln_identity_user(e->identity);
    if (e->identity) q.info = ln_identity_info(e->identity);
    return q;
}

static int ask(ln_doorman *d, linnet_upgrade *u, uint64_t who, ln_answer *now) {
    char address[64];
    ln_buf fields;
    ln_buf_init(&fields, LN_BUF_MAX);
    ln_question q = question(who, d->entry);
    q.path = linnet_upgrade_path(u);
    q.address = ln_slice_of(address, linnet_upgrade_peer(u, address));
    int err = put_fields(d, u, &fields);
    q.headers = ln_buf_slice(&fields);
    if (err == LINNET_OK) err = d->asker->ask(d->asker->ctx, &q, now);
    ln_buf_fini(&fields);
    return err;
}

/* ---- the answer ------------------------------------------------------------------------- */

/* What a backend says of somebody is what a token would say. A user who was known before stays
 * who he is. */
static int identify(ln_entry *e, const ln_answer *a, uint64_t now_s) {
    if (e->identity || !a->user.size)
        return !e->identity && (a->channels.size || a->info.size || a->expires)
                   ? LINNET_ERR_DENIED /* of nobody nothing can be said */
                   : LINNET_OK;
    return ln_identity_vouch(a->user, a->info, a->channels, now_s, a->expires, &e->identity);
}

/* What his welcome is to say besides. */
static int take_data(ln_entry *e, ln_slice data) {
    if (!data.size) return LINNET_OK;
    if (data.size > LN_WELCOME_DATA_MAX) return LINNET_ERR_TOO_BIG;
    e->data = ln_malloc(data.size);
    if (!e->data) return LINNET_ERR_NOMEM;
    memcpy(e->data, data.data, data.size);
    e->data_size = (uint32_t)data.size;
    return LINNET_OK;
}

static int status_of(const ln_answer *a) {
    if (a->err) return 503;
    return a->code == LN_NATIVE_UNAUTHORIZED ? 401 : 403;
}

/* The words of a refusal, as a line; NULL: the status' own. */
static char *words_of(const ln_answer *a, ln_buf *out) {
    size_t size = a->message.size < 256 ? a->message.size : 256;
    while (size && size < a->message.size && a->message.data[size] >> 6 == 2)
        size--;
    if (a->err || !size) return NULL;
    if (ln_buf_add(out, ln_slice_sub(a->message, 0, size)) < 0) return NULL;
    return ln_buf_add(out, LN_SLICE("\n\0")) < 0 ? NULL : (char *)out->data;
}

/* Whether bans mean whom the backend has named; he was asked for as nobody. */
static bool is_barred(const ln_doorman *d, const ln_entry *e, uint64_t now_s) {
    if (!e->identity) return false;
    const ln_ban_who who = { .user = ln_identity_user(e->identity),
        .jti = ln_identity_jti(e->identity),
        .issued = e->identity->issued };
    return ln_bans_judge(&ln_host_hub_people(d->w)->bans, &who, now_s) != LN_BAN_FREE;
}

static void hear(const ln_ear *ear, const ln_entry *e, const ln_answer *a) {
    ln_happening h = { .client = ln_slice_of(e->client, e->client_size) };
    if (e->identity) h.user = ln_identity_user(e->identity);
    ln_hook_heard(&h, LN_ASK_CONNECT, a);
    ear->heard(ear->ctx, &h);
}

/* LINNET_OK: he may come, and e says as whom. Else *a says why not. */
static int judge(const ln_doorman *d, ln_entry *e, ln_answer *a) {
    uint64_t now_s = ln_hub_wall(d->w->hub) / 1000;
    bool allowed = !a->err && !a->code;
    if (allowed && (identify(e, a, now_s) < 0 || take_data(e, a->data) < 0))
        a->err = LINNET_ERR_HTTP;
    if (!a->err && !a->code && is_barred(d, e, now_s)) {
        a->code = LN_NATIVE_PERMISSION_DENIED;
        a->message = LN_SLICE("banned");
    }
    e->vouched = !a->err && !a->code;
    const ln_ear *ear = ln_host_hub_people(d->w)->ear;
    if (__builtin_expect(ear != NULL, 0)) hear(ear, e, a);
    return e->vouched ? LINNET_OK : LINNET_ERR_DENIED;
}

static linnet_verdict refuse(linnet_upgrade *u, const ln_answer *a) {
    ln_buf words;
    ln_buf_init(&words, LN_BUF_MAX);
    linnet_upgrade_reject(u, status_of(a), words_of(a, &words));
    ln_buf_fini(&words);
    return LINNET_REJECT;
}

linnet_verdict ln_doorman_ask(ln_doorman *d, linnet_upgrade *u) {
    ln_entry *e = d->entry;
    if (!ln_asker_wants(d->asker, LN_ASK_CONNECT) || (e->refused && !e->identity))
        return LINNET_ACCEPT;
    ln_answer now = { .err = LINNET_ERR_NOMEM };
    uint64_t who = ln_conn_name(u->conn);
    visitor *v = d->count < LN_DOORMAN_VISITORS ? ln_malloc(sizeof *v) : NULL;
    if (!v) return refuse(u, &now);
    name_client(d, e);
    now.err = LINNET_OK;
    int err = ask(d, u, who, &now);
    if (err != LN_PENDING) {
        ln_free(v);
        if (err < 0) now.err = err;
        return judge(d, e, &now) == LINNET_OK ? LINNET_ACCEPT : refuse(u, &now);
    }
    *v = (visitor){
        .who = who, .deadline = ln_loop_now(d->w->net) + LN_ASK_MS, .stream = u->stream, .entry = *e
    };
    e->identity = NULL;
    e->data = NULL;
    ln_list_init(&v->node);
    ln_list_push(&d->visitors, &v->node);
    d->count++;
    return LINNET_DEFER;
}

/* ---- later -------------------------------------------------------------------------------- */

static visitor *find(const ln_doorman *d, uint64_t who) {
    LN_LIST_FOREACH(node, &d->visitors) {
        visitor *v = ln_list_item(node, visitor, node);
        if (v->who == who) return v;
    }
    return NULL;
}

/* Whoever said yes believes that he is here. */
static void undo(ln_doorman *d, const ln_entry *e) {
    if (!ln_asker_wants(d->asker, LN_TELL_DISCONNECT)) return;
    ln_answer nothing = { 0 };
    ln_question q = question(0, e);
    q.kind = LN_TELL_DISCONNECT;
    q.channel = LN_SLICE("");
    q.code = 1006;
    d->asker->ask(d->asker->ctx, &q, &nothing);
}

static void let_in(ln_doorman *d, visitor *v) {
    if (v->stream) {
        if (!ln_reader_admitted(d->w, v->who, &v->entry)) undo(d, &v->entry);
        return;
    }
    ln_post *m = ln_post_new(LN_POST_ACCEPT, v->who, 0, NULL, LN_SLICE(""));
    if (!m) {
        undo(d, &v->entry);
        return; /* it is answered 503 in time */
    }
    ln_entry_clear(d->entry);
    *d->entry = v->entry;
    d->entered = false;
    ln_upgrade_mail(d->w, m); /* on_open comes from in here */
    ln_post_free(m);
    if (d->entered) {
        v->entry.identity = NULL;
        v->entry.data = NULL;
        if (d->lost) undo(d, &v->entry);
        return;
    }
    d->entry->identity = NULL;
    d->entry->data = NULL;
    undo(d, &v->entry);
}

static void turn_away(ln_doorman *d, const visitor *v, const ln_answer *a) {
    ln_buf words;
    ln_buf_init(&words, LN_BUF_MAX);
    if (v->stream) {
        ln_reader_refused(d->w, v->who, status_of(a), words_of(a, &words));
        ln_buf_fini(&words);
        return;
    }
    ln_post *m = ln_post_new(
        LN_POST_REJECT, v->who, status_of(a), words_of(a, &words), LN_SLICE(""));
    ln_buf_fini(&words);
    if (m) ln_upgrade_mail(d->w, m);
    ln_post_free(m);
}

void ln_doorman_answer(ln_doorman *d, uint64_t who, const ln_answer *answer) {
    visitor *v = find(d, who);
    if (!v) return;
    ln_answer a = *answer;
    if (judge(d, &v->entry, &a) == LINNET_OK)
        let_in(d, v);
    else
        turn_away(d, v, &a);
    if (!v->entry.vouched && !answer->err && !answer->code) undo(d, &v->entry);
    visitor_free(d, v);
}

void ln_doorman_tick(ln_doorman *d) {
    const ln_answer late = { .err = LINNET_ERR_TIMEOUT };
    while (!ln_list_empty(&d->visitors)) {
        const visitor *v = ln_list_item(d->visitors.next, visitor, node);
        if (v->deadline > ln_loop_now(d->w->net)) return;
        ln_doorman_answer(d, v->who, &late);
    }
}

ln_msec ln_doorman_deadline(const ln_doorman *d) {
    if (ln_list_empty(&d->visitors)) return LN_NEVER;
    return ln_list_item(d->visitors.next, visitor, node)->deadline;
}
