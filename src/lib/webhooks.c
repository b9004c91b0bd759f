#include "lib/webhooks.h"
#include "base/mem.h"
#include "fetch/fetch.h"
#include "lib/server.h"
#include "session/hooks.h"
#include <stdio.h>

#define BACKOFF_MS     250u
#define BACKOFF_MAX_MS 30000u
#define BUSY_MS        50  /* no room under way: look again */
#define HAD_IT         409 /* it came before, and the answer was lost */
#define ID_SIZE        20  /* "wh_" and 16 digits */
#define AGENT          "User-Agent: linnet"

struct ln_webhook_config {
    char *urls[LN_WEBHOOKS_MAX];
    unsigned kinds[LN_WEBHOOKS_MAX];
    size_t count;
    ln_buf keys[LN_HOOK_KEYS];
    size_t key_count;
    char *ca_file;
    uint32_t timeout_ms, retries, queue_max;
    uint64_t queue_bytes;
};

typedef struct lane {
    ln_webhooks *h;
    ln_list news; /* the first is under way, or waits for the timer */
    ln_fetch *fetch;
    ln_timer again;
    ln_msec began; /* `fetch` */
} lane;

typedef struct news {
    ln_list in_lane, in_all;
    ln_ask_kind kind;
    uint32_t tries, size;
    char id[ID_SIZE];
    uint8_t body[];
} news;

typedef struct inquiry {
    ln_list node;
    ln_webhooks *h;
    uint64_t who;
    uint32_t ticket;
    ln_ask_kind kind;
    ln_msec began;
} inquiry;

struct ln_webhooks {
    const ln_webhook_config *config;
    linnet_loop *w;
    ln_slice node;
    ln_webhook_answer_fn *answer;
    void *ctx;
    ln_fetcher *fetcher;
    ln_list inquiries, all;    /* all news, the oldest first */
    uint32_t count, count_max; /* this worker's part of the bounds */
    uint64_t bytes, bytes_max;
    lane lanes[LN_WEBHOOK_LANES];
    ln_buf body, scratch;
    ln_stat asked, unanswered, told, retried, failed, dropped, waiting, underway;
    ln_hist times;
};

/* ---- configuration ------------------------------------------------------------------- */

void ln_webhook_config_free(ln_webhook_config *c) {
    if (!c) return;
    for (size_t i = 0; i < c->count; i++)
        ln_free(c->urls[i]);
    for (size_t i = 0; i < LN_HOOK_KEYS; i++) {
        if (c->keys[i].data) explicit_bzero(c->keys[i].data, c->keys[i].capacity);
        ln_buf_fini(&c->keys[i]);
    }
    ln_free(c->ca_file);
    ln_free(c);
}

static int take_keys(ln_webhook_config *c, const char *const *keys) {
    for (; keys && keys[c->key_count]; c->key_count++) {
        if (c->key_count == LN_HOOK_KEYS) return LINNET_ERR_LIMIT;
        ln_buf_init(&c->keys[c->key_count], LN_BUF_MAX);
        int err = ln_hook_key(linnet_str(keys[c->key_count]), &c->keys[c->key_count]);
        if (err < 0) return err;
    }
    return c->key_count ? LINNET_OK : LINNET_ERR_INVAL;
}

static int take_urls(ln_webhook_config *c, const linnet_hooks *o) {
    const char *at = (const char *)o->webhooks;
    size_t stride = o->webhooks->size;
    for (size_t i = 0; i < o->webhook_count; i++, at += stride) {
        const linnet_webhook *one = (const linnet_webhook *)(const void *)at;
        if (one->size != stride || stride < sizeof *one || !one->url) return LINNET_ERR_INVAL;
        if (one->hooks >> LN_ASK_KINDS) return LINNET_ERR_INVAL;
        int err = ln_fetch_url_check(one->url);
        if (err < 0) return err;
        if (!(c->urls[i] = ln_slice_dup(linnet_str(one->url)))) return LINNET_ERR_NOMEM;
        c->kinds[i] = one->hooks;
        c->count++;
    }
    return take_keys(c, o->keys);
}

static uint32_t or_default(uint32_t value, uint32_t standard) {
    return value ? value : standard;
}

int ln_webhook_config_new(const linnet_hooks *o, ln_webhook_config **out) {
    if (o->webhook_count > LN_WEBHOOKS_MAX) return LINNET_ERR_LIMIT;
    ln_webhook_config *c = ln_calloc(1, sizeof *c);
    if (!c) return LINNET_ERR_NOMEM;
    c->timeout_ms = or_default(o->timeout_ms, LN_ASK_MS);
    if (c->timeout_ms > LN_ASK_MS) c->timeout_ms = LN_ASK_MS;
    c->retries = o->retries == LINNET_OFF ? 0 : or_default(o->retries, LN_WEBHOOK_RETRIES);
    c->queue_max = or_default(o->queue_max, LN_WEBHOOK_QUEUE);
    c->queue_bytes = (o->queue_bytes ? o->queue_bytes : LN_WEBHOOK_QUEUE_BYTES);
    int err = take_urls(c, o);
    if (err == LINNET_OK && o->ca_file && !(c->ca_file = ln_slice_dup(linnet_str(o->ca_file))))
        err = LINNET_ERR_NOMEM;
    if (err < 0) {
        ln_webhook_config_free(c);
        return err;
    }
    *out = c;
    return LINNET_OK;
}

uint32_t ln_webhook_kinds(const ln_webhook_config *c) {
    uint32_t kinds = 0;
    for (size_t i = 0; c && i < c->count; i++)
        kinds |= c->kinds[i];
    return kinds;
}

static const char *url_of(const ln_webhook_config *c, ln_ask_kind kind) {
    size_t i = 0;
    while (i < c->count && !(c->kinds[i] >> kind & 1))
        i++;
    return i < c->count ? c->urls[i] : NULL;
}

/* ---- one request --------------------------------------------------------------------- */

static void id_new(ln_webhooks *h, char out[ID_SIZE]) {
    snprintf(out, ID_SIZE, "wh_%016llx", (unsigned long long)ln_rand_u64(&h->w->env.rand));
}

/* The signature is made anew with each try: its time says when that was. */
static int send_body(ln_webhooks *h, ln_ask_kind kind, const char *id, ln_slice body,
    ln_fetch_done *done, void *user, ln_fetch **out) {
    const ln_webhook_config *c = h->config;
    uint64_t now_s = ln_world_wall(h->w->world) / 1000;
    char id_line[64], time_line[64], sign_line[LN_HOOK_KEYS * (LN_HOOK_SIGNATURE + 1) + 32];
    snprintf(id_line, sizeof id_line, "webhook-id: %s", id);
    snprintf(time_line, sizeof time_line, "webhook-timestamp: %llu", (unsigned long long)now_s);
    int n = snprintf(sign_line, sizeof sign_line, "webhook-signature:");
    for (size_t i = 0; i < c->key_count; i++) {
        char sign[LN_HOOK_SIGNATURE];
        int err = ln_hook_sign(ln_buf_slice(&c->keys[i]), linnet_str(id), now_s, body, sign);
        if (err < 0) return err;
        n += snprintf(sign_line + n, sizeof sign_line - (size_t)n, " %s", sign);
    }
    const char *const lines[] = { "Content-Type: application/json", AGENT, id_line, time_line,
        sign_line, NULL };
    ln_fetch_request r = { .url = url_of(c, kind),
        .body = body,
        .headers = lines,
        .timeout_ms = c->timeout_ms,
        .done = done,
        .user = user };
    return ln_fetch_start(h->fetcher, &r, out);
}

static int write_body(ln_webhooks *h, const ln_question *q) {
    ln_buf_clear(&h->body);
    return ln_hook_put(&h->body, q, h->node, ln_world_wall(h->w->world));
}

static void complain(ln_webhooks *h, ln_ask_kind kind, const ln_fetch_reply *r, const char *what) {
    ln_log *log = &h->w->log;
    if (!ln_log_wants(log, LINNET_LOG_WARN)) return;
    ln_logf(log, ln_loop_now(h->w->net), LINNET_LOG_WARN,
        "{\"event\":\"webhook\",\"hook\":\"%s\",\"what\":\"%s\",\"error\":\"%s\",\"status\":%u}",
        ln_hook_name(kind), what, r->err ? linnet_errname(r->err) : "", r->status);
}

/* One is under way, since now. */
static ln_msec begins(ln_webhooks *h) {
    ln_stat_add(&h->underway, 1);
    return ln_loop_now(h->w->net);
}

static void ends(ln_webhooks *h, ln_msec began) {
    ln_stat_sub(&h->underway, 1);
    ln_hist_add(&h->times, (ln_loop_now(h->w->net) - began) * 1000);
}

/* ---- questions ------------------------------------------------------------------------- */

static void on_answer(void *user, const ln_fetch_reply *r) {
    inquiry *i = user;
    ln_webhooks *h = i->h;
    ln_answer a = { .err = r->err };
    ends(h, i->began);
    ln_buf_clear(&h->scratch);
    if (!r->err) ln_hook_read(r->status, r->body, &h->scratch, &a);
    if (a.err) {
        ln_stat_add(&h->unanswered, 1);
        complain(h, i->kind, r, "no answer");
    }
    inquiry was = *i;
    ln_list_remove(&i->node);
    ln_free(i);
    h->answer(h->ctx, was.kind, was.who, was.ticket, &a);
}

static int ask(ln_webhooks *h, const ln_question *q) {
    inquiry *i = ln_malloc(sizeof *i);
    if (!i) return LINNET_ERR_NOMEM;
    *i = (inquiry){ .h = h, .who = q->who, .ticket = q->ticket, .kind = q->kind };
    char id[ID_SIZE];
    id_new(h, id);
    int err = write_body(h, q);
    if (err == LINNET_OK)
        err = send_body(h, q->kind, id, ln_buf_slice(&h->body), on_answer, i, NULL);
    if (err < 0) {
        ln_stat_add(&h->unanswered, 1);
        ln_free(i);
        return err;
    }
    i->began = begins(h);
    ln_list_init(&i->node);
    ln_list_push(&h->inquiries, &i->node);
    ln_stat_add(&h->asked, 1);
    return LN_PENDING;
}

/* ---- news ------------------------------------------------------------------------------ */

static void news_free(ln_webhooks *h, news *n) {
    ln_list_remove(&n->in_lane);
    ln_list_remove(&n->in_all);
    h->count--;
    h->bytes -= n->size;
    ln_stat_sub(&h->waiting, 1);
    ln_free(n);
}

static void pump(lane *l);

static void wait_for(lane *l, ln_msec ms) {
    ln_loop *net = l->h->w->net;
    ln_timer_set(ln_loop_wheel(net), &l->again, ln_loop_now(net) + ms);
}

static bool worth_another_try(const ln_fetch_reply *r) {
    return r->err || r->status >= 500 || r->status == 408 || r->status == 429;
}

static void retry(lane *l, news *n) {
    ln_webhooks *h = l->h;
    uint32_t ms = n->tries < 8 ? BACKOFF_MS << n->tries : BACKOFF_MAX_MS;
    if (ms > BACKOFF_MAX_MS) ms = BACKOFF_MAX_MS;
    n->tries++;
    ln_stat_add(&h->retried, 1);
    wait_for(l, ms / 2 + ln_rand_below(&h->w->env.rand, ms / 2 + 1));
}

static void on_told(void *user, const ln_fetch_reply *r) {
    lane *l = user;
    ln_webhooks *h = l->h;
    news *n = ln_list_item(l->news.next, news, in_lane);
    l->fetch = NULL;
    ends(h, l->began);
    if (r->err == LINNET_ERR_CANCELLED) return; /* the end */
    if (!r->err && ((r->status >= 200 && r->status < 300) || r->status == HAD_IT)) {
        ln_stat_add(&h->told, 1);
    } else if (worth_another_try(r) && n->tries < h->config->retries) {
        complain(h, n->kind, r, "again");
        retry(l, n);
        return;
    } else {
        complain(h, n->kind, r, "given up");
        ln_stat_add(&h->failed, 1);
    }
    news_free(h, n);
    pump(l);
}

static void pump(lane *l) {
    ln_webhooks *h = l->h;
    if (l->fetch || ln_timer_armed(&l->again) || ln_list_empty(&l->news)) return;
    news *n = ln_list_item(l->news.next, news, in_lane);
    ln_slice body = ln_slice_of(n->body, n->size);
    int err = send_body(h, n->kind, n->id, body, on_told, l, &l->fetch);
    if (err < 0)
        wait_for(l, BUSY_MS); /* too many under way, or no memory */
    else
        l->began = begins(h);
}

static bool under_way(const ln_webhooks *h, const news *n) {
    for (size_t i = 0; i < LN_WEBHOOK_LANES; i++)
        if (h->lanes[i].fetch && h->lanes[i].news.next == &n->in_lane) return true;
    return false;
}

/* The oldest that is not under way; the last one of those that are under way at the most. */
static void drop_oldest(ln_webhooks *h) {
    LN_LIST_FOREACH(node, &h->all) {
        news *n = ln_list_item(node, news, in_all);
        if (under_way(h, n)) continue;
        news_free(h, n);
        ln_stat_add(&h->dropped, 1);
        return;
    }
}

static lane *lane_of(ln_webhooks *h, const ln_question *q) {
    ln_map_key key = h->w->server->key;
    uint64_t of = q->kind == LN_TELL_OCCUPIED || q->kind == LN_TELL_VACATED
                      ? ln_siphash(key, q->channel)
                      : ln_siphash(key, q->client);
    return &h->lanes[of % LN_WEBHOOK_LANES];
}

static int tell(ln_webhooks *h, const ln_question *q) {
    int err = write_body(h, q);
    ln_slice body = ln_buf_slice(&h->body);
    news *n = err == LINNET_OK ? ln_malloc(sizeof *n + body.size) : NULL;
    if (!n) {
        ln_stat_add(&h->dropped, 1);
        return LINNET_ERR_NOMEM;
    }
    *n = (news){ .kind = q->kind, .size = (uint32_t)body.size };
    memcpy(n->body, body.data, body.size);
    id_new(h, n->id);
    ln_list_init(&n->in_lane);
    ln_list_init(&n->in_all);
    lane *l = lane_of(h, q);
    ln_list_push(&l->news, &n->in_lane);
    ln_list_push(&h->all, &n->in_all);
    h->count++;
    h->bytes += n->size;
    ln_stat_add(&h->waiting, 1);
    pump(l);
    uint32_t before = 0;
    while ((h->count > h->count_max || h->bytes > h->bytes_max) && h->count != before) {
        before = h->count;
        drop_oldest(h);
    }
    return LN_DONE;
}

int ln_webhooks_ask(ln_webhooks *h, const ln_question *q) {
    return ln_ask_is_news(q->kind) ? tell(h, q) : ask(h, q);
}

bool ln_webhooks_busy(const ln_webhooks *h) {
    for (size_t i = 0; i < LN_WEBHOOK_LANES; i++)
        if (h->lanes[i].fetch) return true;
    return false;
}

/* ---- the loop ---------------------------------------------------------------------------- */

bool ln_webhooks_ready(ln_webhooks *h, const ln_completion *c) {
    return ln_fetcher_ready(h->fetcher, c);
}

void ln_webhooks_timer(ln_webhooks *h, ln_timer *timer) {
    for (size_t i = 0; i < LN_WEBHOOK_LANES; i++)
        if (timer == &h->lanes[i].again) {
            pump(&h->lanes[i]);
            return;
        }
    ln_fetcher_timer(h->fetcher, timer);
}

void ln_webhooks_count(const ln_webhooks *h, linnet_hook_stats *sum) {
    sum->asked += ln_stat_get(&h->asked);
    sum->unanswered += ln_stat_get(&h->unanswered);
    sum->told += ln_stat_get(&h->told);
    sum->retried += ln_stat_get(&h->retried);
    sum->failed += ln_stat_get(&h->failed);
    sum->dropped += ln_stat_get(&h->dropped);
    sum->waiting += ln_stat_get(&h->waiting);
    sum->underway += ln_stat_get(&h->underway);
}

const ln_hist *ln_webhooks_times(const ln_webhooks *h) {
    return &h->times;
}

/* ---- life ---------------------------------------------------------------------------------- */

int ln_webhooks_new(const ln_webhook_config *config, linnet_loop *w, ln_slice node,
    ln_webhook_answer_fn *answer, void *ctx, ln_webhooks **out) {
    ln_webhooks *h = ln_calloc(1, sizeof *h);
    if (!h) return LINNET_ERR_NOMEM;
    h->config = config;
    h->count_max = config->queue_max / w->server->worker_count + 1;
    h->bytes_max = config->queue_bytes / w->server->worker_count + 1;
    h->w = w;
    h->node = node;
    h->answer = answer;
    h->ctx = ctx;
    ln_list_init(&h->inquiries);
    ln_list_init(&h->all);
    ln_buf_init(&h->body, LN_BUF_MAX);
    ln_buf_init(&h->scratch, LN_HOOK_SCRATCH);
    for (size_t i = 0; i < LN_WEBHOOK_LANES; i++) {
        h->lanes[i].h = h;
        ln_list_init(&h->lanes[i].news);
        ln_timer_init(&h->lanes[i].again, LN_TIMER_OF_HOOKS);
    }
    ln_fetcher_options fo = {
        .ca_file = config->ca_file, .dns_servers = w->dns_servers, .timer_kind = LN_TIMER_OF_HOOKS
    };
    int err = ln_fetcher_new(w->net, &fo, &h->fetcher);
    if (err < 0) {
        ln_free(h);
        return err;
    }
    *out = h;
    return LINNET_OK;
}

void ln_webhooks_free(ln_webhooks *h) {
    if (!h) return;
    ln_fetcher_free(h->fetcher); /* ends inquiries and lanes */
    while (!ln_list_empty(&h->all))
        news_free(h, ln_list_item(h->all.next, news, in_all));
    for (size_t i = 0; i < LN_WEBHOOK_LANES; i++)
        ln_timer_stop(ln_loop_wheel(h->w->net), &h->lanes[i].again);
    ln_buf_fini(&h->body);
    ln_buf_fini(&h->scratch);
    ln_free(h);
}
