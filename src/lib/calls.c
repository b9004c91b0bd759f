/* calls.c -- questions of the program to clients, wherever they are connected.
 *
 *   the program ──ASK──> each worker ──ASKED: how many──> the call's owner ──> fn, once
 *                             │                            ^
 *                             └─ each session: callout.h ──┴─ REPLIED: what came of it
 *
 * The owner is the worker of the one connection that is meant, or any. It alone looks at what was
 * heard so far, and tells when the first answer is there, or when all workers have said whom they
 * asked and nobody is left who might answer. All else about a call is written once, before its
 * letters leave, and is read by all. Each letter and each waiting session holds a reference, and
 * the last one tells the program if nobody has: then the server has ended.
 */
#include "lib/calls.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "lib/hub.h"
#include "lib/orders.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "session/callout.h"
#include "session/orders.h"
#include <linnet/hub.h>

typedef struct call {
    ln_ref refs;
    linnet_hub *hub;
    linnet_server *server;
    linnet_hub_called_fn *fn;
    void *ctx;
    uint32_t owner, ms;
    linnet_conn_id connection;
    ln_slice user, client, event, data; /* in bytes */
    /* ---- the owner's ---- */
    uint32_t silent; /* workers that have not said whom they asked */
    int64_t open;    /* sessions not heard of; those may be heard of before they are counted */
    int err;         /* the best excuse so far */
    bool told;
    ln_post *refusal; /* a REPLIED without its reference; NULL: nobody has refused */
    uint8_t bytes[];
} call;

typedef struct asked { /* one session's */
    ln_callout c;      /* the first member */
    call *call;        /* one reference */
    ln_post *report;   /* made beforehand, for want of memory later */
} asked;

/* ---- telling ------------------------------------------------------------------------ */

static void tell(call *c, int err, const linnet_call_reply *reply) {
    if (c->told) return;
    c->told = true;
    c->fn(c->ctx, c->hub, err, reply);
}

static void call_put(call *c) {
    if (!ln_ref_put(&c->refs)) return;
    tell(c, LINNET_ERR_CANCELLED, NULL);
    ln_post_free(c->refusal);
    ln_free(c);
}

void ln_call_lost(void *lost) {
    call_put(lost);
}

/* Of several excuses the one that says most. */
static int weight(int err) {
    static const int order[] = { LINNET_ERR_NOT_FOUND, LINNET_ERR_UNSUPPORTED, LINNET_ERR_LIMIT,
        LINNET_ERR_CLOSED, LINNET_ERR_TIMEOUT };
    int n = sizeof order / sizeof order[0];
    for (int i = 0; i < n; i++)
        if (order[i] == err) return i;
    return n; /* NOMEM and the like */
}

static void excuse(call *c, int err) {
    if (weight(err) > weight(c->err)) c->err = err;
}

/* What a session's REPLIED carries: two sizes in a byte each, the client, the user, the data. */
static linnet_call_reply reply_of(const ln_post *m) {
    ln_slice all = ln_post_data(m);
    size_t client = all.data[0], user = all.data[1];
    return (linnet_call_reply){ .size = sizeof(linnet_call_reply),
        .code = m->code,
        .client = ln_slice_sub(all, 2, 2 + client),
        .user = ln_slice_sub(all, 2 + client, 2 + client + user),
        .data = ln_slice_sub(all, 2 + client + user, all.size),
        .message = linnet_str(ln_post_text(m)),
        .connection = m->id };
}

static void tell_if_done(call *c) {
    if (c->silent || c->open || c->told) return;
    if (c->refusal) {
        linnet_call_reply reply = reply_of(c->refusal);
        tell(c, LINNET_OK, &reply);
    } else {
        tell(c, c->err, NULL);
    }
}

/* True: the letter is kept. */
static bool hear(call *c, ln_post *m) {
    c->open--;
    bool kept = m->code > 0 && !c->told;
    if (m->code < 0) {
        excuse(c, m->code);
    } else if (m->code == 0) {
        linnet_call_reply reply = reply_of(m);
        tell(c, LINNET_OK, &reply);
    } else if (kept) {
        ln_post_free(c->refusal);
        m->ctx = NULL; /* its reference is dropped by whoever took it in */
        c->refusal = m;
    }
    tell_if_done(c);
    return kept;
}

/* ---- on each worker ----------------------------------------------------------------- */

/* To the owner, with the reference it carries. */
static void report(linnet_server *s, uint32_t owner, ln_post *m) {
    linnet_loop *w = ln_server_worker(s, owner);
    if (w)
        ln_inbox_post(w->inbox, &m->letter, &m->letter, 1, m->letter.bytes);
    else
        ln_post_free(m); /* the server is being freed */
}

static ln_post *words_of(const asked *a, const ln_callout_end *end) {
    ln_slice client = ln_callout_client(&a->c), user = ln_callout_user(&a->c);
    char message[LN_CALLOUT_MESSAGE_MAX + 1];
    ln_buf bytes;
    ln_buf_init(&bytes, LN_BUF_MAX);
    ln_post *m = NULL;
    const uint8_t sizes[2] = { (uint8_t)client.size, (uint8_t)user.size };
    if (end->message.size) memcpy(message, end->message.data, end->message.size);
    message[end->message.size] = 0;
    if (ln_buf_add(&bytes, ln_slice_of(sizes, 2)) == LINNET_OK &&
        ln_buf_add(&bytes, client) == LINNET_OK && ln_buf_add(&bytes, user) == LINNET_OK &&
        ln_buf_add(&bytes, end->data) == LINNET_OK)
        m = ln_post_new(LN_POST_REPLIED, a->report->id, end->code, message, ln_buf_slice(&bytes));
    ln_buf_fini(&bytes);
    return m;
}

static void on_told(ln_callout *callout, const ln_callout_end *end) {
    asked *a = (asked *)(void *)callout;
    call *c = a->call;
    ln_post *m = end->err < 0 ? NULL : words_of(a, end);
    if (m)
        ln_free(a->report); /* it carries nothing yet */
    else
        m = a->report;
    if (m == a->report) m->code = end->err < 0 ? end->err : LINNET_ERR_NOMEM;
    m->ctx = c;
    report(c->server, c->owner, m);
    ln_free(a);
}

/* LINNET_OK: one more is asked. */
static int ask_one(call *c, ln_session *s) {
    asked *a = ln_malloc(sizeof *a);
    ln_post *m = ln_post_new(LN_POST_REPLIED, 0, 0, NULL, LN_SLICE(""));
    int err = LINNET_ERR_NOMEM;
    if (a && m) {
        *a = (asked){ .c.told = on_told, .call = c, .report = m };
        err = ln_callout_ask(s, &a->c, c->event, c->data, c->ms);
    }
    if (err < 0) {
        ln_free(a);
        ln_free(m);
        return err;
    }
    m->id = ln_conn_name((const linnet_conn *)(const void *)ln_callout_conn(&a->c));
    ln_ref_get(&c->refs, 1);
    return LINNET_OK;
}

/* The letter comes back as ASKED. */
static void ask(linnet_loop *w, call *c, ln_post *m) {
    ln_sessions *n = ln_host_hub_people(w);
    linnet_conn *conn = c->connection ? ln_worker_find(w, c->connection) : NULL;
    ln_whom whom = { .user = c->user, .client = c->client, .conn = conn ? &conn->c : NULL };
    int count = 0, worst = LINNET_ERR_NOT_FOUND;
    uint32_t at = 0;
    for (ln_session *s; n && (conn || !c->connection) && (s = ln_sessions_next(n, &whom, &at));) {
        int err = ask_one(c, s);
        if (err == LINNET_OK)
            count++;
        else if (weight(err) > weight(worst))
            worst = err;
    }
    m->letter.kind = LN_POST_ASKED;
    m->code = count;
    m->id = (linnet_conn_id)-worst;
    report(c->server, c->owner, m);
}

bool ln_call_mail(linnet_loop *w, ln_post *m) {
    call *c = m->ctx;
    if (m->letter.kind == LN_POST_ASK) {
        ask(w, c, m);
        return true;
    }
    if (m->letter.kind == LN_POST_REPLIED) {
        if (!hear(c, m)) return false;
        call_put(c);
        return true;
    }
    c->silent--;
    c->open += m->code;
    excuse(c, -(int)m->id);
    tell_if_done(c);
    return false; /* freed, and with it its reference */
}

/* ---- asking ------------------------------------------------------------------------- */

static ln_slice keep(uint8_t **at, ln_slice s) {
    uint8_t *to = *at;
    if (s.size) memcpy(to, s.data, s.size);
    *at = to + s.size;
    return ln_slice_of(to, s.size);
}

static call *call_new(const linnet_whom *whom, const linnet_call *said, ln_slice data) {
    call *c = ln_malloc(
        sizeof *c + whom->user.size + whom->client.size + said->event.size + data.size);
    if (!c) return NULL;
    uint8_t *at = c->bytes;
    *c = (call){ .connection = whom->connection, .err = LINNET_ERR_NOT_FOUND };
    c->ms = said->timeout_ms ? said->timeout_ms : LN_LIM_CALL_MS;
    c->user = keep(&at, whom->user);
    c->client = keep(&at, whom->client);
    c->event = keep(&at, said->event);
    c->data = keep(&at, data);
    return c;
}

/* To the one worker, or to all; all letters are made before the first one leaves. */
static int send_out(call *c, linnet_server *s, uint32_t first, uint32_t count) {
    ln_post *posts[UINT8_MAX];
    for (uint32_t n = 0; n < count; n++) {
        posts[n] = ln_post_new(LN_POST_ASK, 0, 0, NULL, LN_SLICE(""));
        if (posts[n]) continue;
        while (n--)
            ln_free(posts[n]); /* they carry nothing yet */
        return LINNET_ERR_NOMEM;
    }
    c->silent = count;
    ln_ref_init(&c->refs, count);
    uint32_t size = (uint32_t)(c->event.size + c->data.size);
    for (uint32_t n = 0; n < count; n++) {
        ln_letter *letter = &posts[n]->letter;
        posts[n]->ctx = c;
        letter->bytes += n ? 0 : size;
        ln_inbox_post(s->workers[first + n]->inbox, letter, letter, 1, letter->bytes);
    }
    return LINNET_OK;
}

static int checked(const linnet_whom *whom, const linnet_call *said, ln_slice *data) {
    if (!whom || !ln_sized(whom, sizeof *whom) || !said || !ln_sized(said, sizeof *said))
        return LINNET_ERR_INVAL;
    if (!whom->user.size && !whom->client.size && !whom->connection) return LINNET_ERR_INVAL;
    if (whom->user.size > 255 || whom->client.size > LN_CLIENT_NAME_MAX) return LINNET_ERR_INVAL;
    if (!said->event.size || said->event.size > LN_EVENT_NAME_MAX || !ln_utf8_valid(said->event))
        return LINNET_ERR_INVAL;
    if (said->timeout_ms > LN_LIM_CALL_MS_MAX) return LINNET_ERR_INVAL;
    if (said->data.size > LN_LIM_MESSAGE_CEILING) return LINNET_ERR_TOO_BIG;
    *data = LN_SLICE("null");
    if (!said->data.size) return LINNET_OK;
    ln_json_value value;
    if (ln_json_check(said->data, &value) < 0) return LINNET_ERR_JSON;
    *data = value.raw;
    return LINNET_OK;
}

int linnet_hub_call(linnet_hub *hub, const linnet_whom *whom, const linnet_call *said,
    linnet_hub_called_fn *fn, void *ctx) {
    ln_slice data;
    if (!hub || !fn) return LINNET_ERR_INVAL;
    int err = checked(whom, said, &data);
    if (err < 0) return err;
    linnet_server *s = ln_host_hub_server(hub);
    if (!s) return LINNET_ERR_STATE;
    if (ln_orders_crowded(s)) return LINNET_ERR_AGAIN;
    call *c = call_new(whom, said, data);
    if (!c) return LINNET_ERR_NOMEM;
    c->hub = hub;
    c->server = s;
    c->fn = fn;
    c->ctx = ctx;
    uint32_t of = (uint32_t)(whom->connection >> 56), count = s->worker_count;
    bool one = whom->connection && of < count;
    c->owner = one ? of : ln_hub_home(s->key, count, c->user.size ? c->user : c->client);
    err = send_out(c, s, one ? of : 0, one ? 1 : count);
    if (err < 0) ln_free(c);
    return err;
}
