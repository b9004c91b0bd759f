/* hooks.c -- between ask.h, which sessions know, and hook.h, which programs know. */
#include "lib/hooks.h"
#include "base/mem.h"
#include "lib/doorman.h"
#include "lib/hub.h"
#include "lib/reader.h"
#include "lib/server.h"
#include "lib/sized.h"
#include <assert.h>

static_assert((int)LN_ASK_CONNECT == LINNET_HOOK_CONNECT, "one is the other");
static_assert((int)LN_ASK_CALL == LINNET_HOOK_CALL, "one is the other");
static_assert((int)LN_TELL_VACATED == LINNET_HOOK_VACATED, "one is the other");
static_assert((int)LN_ASK_REFRESH == LINNET_HOOK_REFRESH, "one is the other");

struct ln_hooks {
    linnet_hooks options; /* of it on_ask, ctx and hooks */
    ln_webhook_config *web;
    char *headers[LN_WEBHOOK_HEADERS_MAX + 1];
};

struct ln_hook_worker {
    const ln_hooks *hooks;
    linnet_hub *hub;
    ln_sessions *sessions;
    ln_doorman *doorman;
    ln_webhooks *web; /* NULL: none are configured */
    ln_asker asker;
};

static int take_headers(ln_hooks *h, const char *const *names) {
    static const char *const standard[] = { "cookie", "authorization", "origin", "user-agent",
        NULL };
    if (!names) names = standard;
    for (size_t i = 0; names[i]; i++) {
        if (i == LN_WEBHOOK_HEADERS_MAX) return LINNET_ERR_LIMIT;
        if (!ln_http1_is_token(linnet_str(names[i]))) return LINNET_ERR_INVAL;
        if (!(h->headers[i] = ln_slice_dup(linnet_str(names[i])))) return LINNET_ERR_NOMEM;
        for (char *c = h->headers[i]; *c; c++)
            if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
    }
    return LINNET_OK;
}

int ln_hooks_new(const linnet_hooks *o, ln_hooks **out) {
    *out = NULL;
    if (!o) return LINNET_OK;
    if (!ln_sized(o, sizeof *o) || o->hooks >> LN_ASK_KINDS || (o->hooks && !o->on_ask))
        return LINNET_ERR_INVAL;
    if (o->webhook_count && !o->webhooks) return LINNET_ERR_INVAL;
    ln_hooks *h = ln_calloc(1, sizeof *h);
    if (!h) return LINNET_ERR_NOMEM;
    h->options = *o;
    int err = take_headers(h, o->headers);
    if (err == LINNET_OK && o->webhook_count) err = ln_webhook_config_new(o, &h->web);
    if (err < 0) {
        ln_hooks_free(h);
        return err;
    }
    *out = h;
    return LINNET_OK;
}

void ln_hooks_free(ln_hooks *h) {
    if (!h) return;
    ln_webhook_config_free(h->web);
    for (size_t i = 0; h->headers[i]; i++)
        ln_free(h->headers[i]);
    ln_free(h);
}

const char *const *ln_hooks_headers(const ln_hooks *h) {
    return h ? (const char *const *)h->headers : NULL;
}

/* ---- the program ----------------------------------------------------------------------- */

static linnet_question outer(const ln_question *q) {
    return (linnet_question){ .size = sizeof(linnet_question),
        .hook = (linnet_hook)q->kind,
        .id = { q->who, q->ticket },
        .client = q->client,
        .user = q->user,
        .info = q->info,
        .channel = q->channel,
        .event = q->event,
        .data = q->data,
        .path = q->path,
        .address = q->address,
        .headers = q->headers,
        .code = q->code,
        .reason = q->reason };
}

static bool is_json(linnet_slice text) {
    ln_json_value v;
    return !text.size || ln_json_check(text, &v) == LN_DONE;
}

static bool is_answer(const linnet_answer *a) {
    return ln_sized(a, sizeof *a) && is_json(a->data) && is_json(a->info) && is_json(a->channels);
}

static ln_answer inner(const linnet_answer *a) {
    if (!is_answer(a)) return (ln_answer){ .err = LINNET_ERR_INVAL };
    return (ln_answer){ .code = a->code,
        .message = linnet_str(a->message),
        .data = a->data,
        .user = a->user,
        .info = a->info,
        .channels = a->channels,
        .expires = a->expires };
}

static int ask_program(const ln_hook_worker *k, const ln_question *q, ln_answer *now) {
    linnet_question question = outer(q);
    linnet_answer a = LINNET_ANSWER_INIT;
    const linnet_hooks *o = &k->hooks->options;
    linnet_verdict verdict = o->on_ask(o->ctx, k->hub, &question, &a);
    if (verdict == LINNET_DEFER) return LN_PENDING;
    *now = inner(&a);
    if (verdict == LINNET_REJECT && !now->code) now->code = LN_NATIVE_PERMISSION_DENIED;
    return LN_DONE;
}

static int on_ask(void *ctx, const ln_question *q, ln_answer *now) {
    ln_hook_worker *k = ctx;
    if (k->hooks->options.hooks >> q->kind & 1) return ask_program(k, q, now);
    return ln_webhooks_ask(k->web, q);
}

static void on_answer(
    void *ctx, ln_ask_kind kind, uint64_t who, uint32_t ticket, const ln_answer *a) {
    ln_hook_worker *k = ctx;
    (void)kind;
    if (ticket & LN_ASK_STREAM)
        ln_reader_answer(k->doorman->w, who, a);
    else if (ticket)
        ln_sessions_answer(k->sessions, who, ticket, a);
    else
        ln_doorman_answer(k->doorman, who, a);
}

/* ---- answers from any thread ------------------------------------------------------------- */

/* A DECIDE: the numbers, and behind them all texts. */
typedef struct decision {
    uint64_t expires;
    uint32_t ticket;
    uint32_t sizes[5]; /* message, data, user, info, channels */
    uint16_t code;
} decision;

void ln_hook_worker_mail(ln_hook_worker *k, const ln_post *m) {
    if (!k) return;
    decision d;
    ln_slice rest = ln_post_data(m), parts[5];
    memcpy(&d, rest.data, sizeof d);
    ln_slice_skip(&rest, sizeof d);
    for (size_t i = 0; i < 5; i++) {
        parts[i] = ln_slice_sub(rest, 0, d.sizes[i]);
        ln_slice_skip(&rest, d.sizes[i]);
    }
    ln_answer a = { .code = d.code,
        .message = parts[0],
        .data = parts[1],
        .user = parts[2],
        .info = parts[3],
        .channels = parts[4],
        .expires = d.expires };
    on_answer(k, LN_ASK_KINDS, m->id, d.ticket, &a);
}

static int pack(ln_buf *out, uint32_t ticket, const linnet_answer *a) {
    const linnet_slice parts[] = { linnet_str(a->message), a->data, a->user, a->info, a->channels };
    decision d = { .expires = a->expires, .ticket = ticket, .code = a->code };
    for (size_t i = 0; i < 5; i++) {
        if (parts[i].size > LN_LIM_MESSAGE_CEILING) return LINNET_ERR_TOO_BIG;
        d.sizes[i] = (uint32_t)parts[i].size;
    }
    int err = ln_buf_add(out, ln_slice_of(&d, sizeof d));
    for (size_t i = 0; i < 5 && err == LINNET_OK; i++)
        err = ln_buf_add(out, parts[i]);
    return err;
}

int ln_hook_answer(linnet_loop *w, linnet_question_id id, const linnet_answer *a) {
    if (!is_answer(a)) return LINNET_ERR_INVAL;
    ln_buf packed;
    ln_buf_init(&packed, LN_BUF_MAX);
    int err = pack(&packed, id.ticket, a);
    ln_post *m = NULL;
    if (err == LINNET_OK) m = ln_post_new(LN_POST_DECIDE, id.who, 0, NULL, ln_buf_slice(&packed));
    ln_buf_fini(&packed);
    return err < 0 ? err : ln_worker_post(w, m);
}

/* ---- a worker ------------------------------------------------------------------------------ */

int ln_hook_worker_new(const ln_hooks *hooks, linnet_hub *hub, linnet_loop *w,
    ln_sessions *sessions, ln_slice node, ln_hook_worker **out) {
    *out = NULL;
    if (!hooks) return LINNET_OK;
    ln_hook_worker *k = ln_calloc(1, sizeof *k);
    if (!k) return LINNET_ERR_NOMEM;
    k->hooks = hooks;
    k->hub = hub;
    k->sessions = sessions;
    k->asker.ctx = k;
    k->asker.kinds = hooks->options.hooks | ln_webhook_kinds(hooks->web);
    k->asker.ask = on_ask;
    int err = hooks->web ? ln_webhooks_new(hooks->web, w, node, on_answer, k, &k->web) : LINNET_OK;
    if (err < 0) {
        ln_free(k);
        return err;
    }
    sessions->asker = &k->asker;
    *out = k;
    return LINNET_OK;
}

const ln_asker *ln_hook_worker_asker(const ln_hook_worker *k) {
    return k ? &k->asker : NULL;
}

void ln_hook_worker_use(ln_hook_worker *k, ln_doorman *doorman) {
    if (k) k->doorman = doorman;
}

void ln_hook_worker_end(ln_hook_worker *k) {
    if (!k) return;
    k->sessions->asker = NULL;
    ln_webhooks_free(k->web);
    k->web = NULL;
}

void ln_hook_worker_free(ln_hook_worker *k) {
    ln_free(k);
}

bool ln_hook_worker_ready(ln_hook_worker *k, const ln_completion *c) {
    return k && k->web && ln_webhooks_ready(k->web, c);
}

void ln_hook_worker_timer(ln_hook_worker *k, ln_timer *timer) {
    ln_webhooks_timer(k->web, timer);
}

bool ln_hook_worker_busy(const ln_hook_worker *k) {
    return k && k->web && ln_webhooks_busy(k->web);
}

void ln_hook_worker_count(const ln_hook_worker *k, linnet_hook_stats *sum) {
    if (k && k->web) ln_webhooks_count(k->web, sum);
}

const ln_hist *ln_hook_worker_times(const ln_hook_worker *k) {
    return k && k->web ? ln_webhooks_times(k->web) : NULL;
}

/* ---- from anywhere -------------------------------------------------------------------------- */

int linnet_hub_answer(linnet_hub *hub, linnet_question_id id, const linnet_answer *answer) {
    linnet_server *s = hub ? ln_host_hub_server(hub) : NULL;
    if (!hub || !answer) return LINNET_ERR_INVAL;
    if (!s) return LINNET_ERR_STATE;
    linnet_loop *w = ln_server_worker(s, (uint32_t)(id.who >> 56));
    return w ? ln_hook_answer(w, id, answer) : LINNET_ERR_INVAL;
}

int linnet_hub_hook_stats(const linnet_hub *hub, linnet_hook_stats *out) {
    linnet_hook_stats sum = LINNET_HOOK_STATS_INIT;
    const linnet_server *s = ln_host_hub_server(hub);
    if (out->size != sizeof sum) return LINNET_ERR_INVAL;
    if (!s) return LINNET_ERR_STATE;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->workers[i]) ln_hook_worker_count(s->workers[i]->hooks, &sum);
    *out = sum;
    return LINNET_OK;
}
