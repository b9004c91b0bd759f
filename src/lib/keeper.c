#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "fetch/fetch.h"
#include "lib/keyring.h"
#include "lib/server.h"

#define RETRY_MS     1000u
#define RETRY_MAX_MS 60000u
#define BUSY_MS      200u /* there was no room for one more fetch, or no memory */

typedef struct task { /* one source */
    ln_keeper *keeper;
    ln_fetch *fetch; /* under way; NULL: none is */
    ln_msec due, begun;
    bool ever; /* begun means something */
    uint32_t failures;
} task;

struct ln_keeper {
    ln_keyring_config *config;
    linnet_loop *w;
    ln_fetcher *fetcher;
    ln_timer timer; /* of what is due next */
    bool ended;
    task tasks[LN_JWS_SOURCES_MAX];
};

static ln_msec now_of(const ln_keeper *p) {
    return ln_loop_now(p->w->net);
}

static uint32_t index_of(const task *t) {
    return (uint32_t)(t - t->keeper->tasks);
}

static void plan(ln_keeper *p) {
    ln_msec at = LN_NEVER;
    for (size_t i = 0; i < p->config->count; i++)
        if (!p->tasks[i].fetch && p->tasks[i].due < at) at = p->tasks[i].due;
    if (at == LN_NEVER)
        ln_timer_stop(ln_loop_wheel(p->w->net), &p->timer);
    else
        ln_timer_set(ln_loop_wheel(p->w->net), &p->timer, at);
}

/* ---- telling ------------------------------------------------------------------------- */

/* keys NULL: those that are there stay. A worker that cannot be told gives up waiting by itself. */
static void tell(const ln_keeper *p, const task *t, uint32_t worker, ln_jws_keys *keys) {
    linnet_loop *to = ln_server_worker(p->w->server, worker);
    ln_msec end = t->begun + LN_KEYRING_LACK_MS, now = now_of(p);
    uint64_t wait = end > now ? end - now : 1;
    ln_post *m = to ? ln_post_new(LN_POST_KEYS, wait, (int)index_of(t), NULL, LN_SLICE("")) : NULL;
    if (!m) return;
    if (keys) ln_jws_keys_ref(keys);
    m->ctx = keys;
    ln_worker_post(to, m);
}

static void tell_all(const ln_keeper *p, const task *t, ln_jws_keys *keys) {
    for (uint32_t i = 0; i < p->w->server->worker_count; i++)
        tell(p, t, i, keys);
}

static void complain(const ln_keeper *p, const task *t, const ln_fetch_reply *r, const char *why) {
    ln_log *log = &p->w->log;
    ln_buf line;
    if (!ln_log_wants(log, LINNET_LOG_WARN)) return;
    ln_buf_init(&line, LN_BUF_MAX);
    ln_json_writer w = ln_json_begin(&line);
    ln_json_str(&w, linnet_str(p->config->sources[index_of(t)].issuer));
    if (ln_json_end(&w) == LINNET_OK)
        ln_logf(log, now_of(p), LINNET_LOG_WARN,
            "{\"event\":\"jwks\",\"issuer\":%.*s,\"what\":\"%s\",\"error\":\"%s\",\"status\":%u}",
            (int)line.size, (const char *)ln_buf_slice(&line).data, why,
            r->err ? linnet_errname(r->err) : "", r->status);
    ln_buf_fini(&line);
}

/* ---- one answer ------------------------------------------------------------------------ */

static bool takes_seconds(ln_slice word, uint64_t *out) {
    ln_slice name;
    if (!ln_slice_cut(&word, '=', &name) || !word.data) return false;
    return ln_slice_eq_ci(ln_slice_trim(name), LN_SLICE("max-age")) &&
           ln_num_u64(ln_slice_trim(word), UINT64_MAX, out);
}

uint32_t ln_keyring_age(ln_slice cache) {
    uint64_t age = LN_KEYRING_AGE, said;
    for (ln_slice word; ln_slice_cut(&cache, ',', &word);) {
        word = ln_slice_trim(word);
        if (ln_slice_eq_ci(word, LN_SLICE("no-store")) ||
            ln_slice_eq_ci(word, LN_SLICE("no-cache")))
            age = 0;
        else if (age && takes_seconds(word, &said))
            age = said;
    }
    if (age < LN_KEYRING_AGE_MIN) return LN_KEYRING_AGE_MIN;
    return age < LN_KEYRING_AGE_MAX ? (uint32_t)age : LN_KEYRING_AGE_MAX;
}

/* NULL: it is not what was asked for; *why says what it is. */
static ln_jws_keys *read(const ln_keyring_source *s, const ln_fetch_reply *r, const char **why) {
    ln_jws_keys *keys;
    ln_jws_name name = { .issuer = linnet_str(s->issuer), .alg = s->alg };
    *why = "no answer";
    if (r->err) return NULL;
    *why = "not 200";
    if (r->status != 200) return NULL;
    *why = "no memory";
    if (ln_jws_keys_new(&keys) < 0) return NULL;
    if (ln_jws_keys_foreign(keys, &name, r->body, why) == LINNET_OK) return keys;
    if (!*why) *why = "no memory";
    ln_jws_keys_unref(keys);
    return NULL;
}

static void set(ln_stat *s, uint64_t value) {
    ln_stat_add(s, value - ln_stat_get(s));
}

static void on_reply(void *user, const ln_fetch_reply *r) {
    task *t = user;
    ln_keeper *p = t->keeper;
    ln_keyring_source *s = &p->config->sources[index_of(t)];
    const char *why;
    t->fetch = NULL;
    if (p->ended) return;
    ln_jws_keys *keys = read(s, r, &why);
    if (keys) {
        t->failures = 0;
        t->due = now_of(p) + UINT64_C(1000) * ln_keyring_age(r->cache);
        set(&s->keys, ln_jws_keys_count(keys));
        set(&s->came, ln_world_wall(p->w->world));
    } else {
        uint32_t ms = t->failures < 6 ? RETRY_MS << t->failures : RETRY_MAX_MS;
        t->failures++;
        t->due = now_of(p) + ms / 2 + ln_rand_below(&p->w->env.rand, ms / 2 + 1);
        ln_stat_add(&s->failures, 1);
        complain(p, t, r, why);
    }
    tell_all(p, t, keys);
    ln_jws_keys_unref(keys);
    plan(p);
}

/* ---- asking ------------------------------------------------------------------------------ */

static void begin(task *t) {
    ln_keeper *p = t->keeper;
    ln_keyring_source *s = &p->config->sources[index_of(t)];
    static const char *const headers[] = { "Accept: application/json", "User-Agent: linnet", NULL };
    ln_fetch_request r = { .url = s->url,
        .headers = headers,
        .timeout_ms = LN_KEYRING_FETCH_MS,
        .connect_ms = LN_KEYRING_FETCH_MS,
        .reply_max = LN_KEYRING_BODY,
        .done = on_reply,
        .user = t };
    t->begun = now_of(p);
    t->ever = true;
    int err = ln_fetch_start(p->fetcher, &r, &t->fetch);
    if (err < 0) {
        t->fetch = NULL;
        t->due = t->begun + BUSY_MS;
        return;
    }
    ln_stat_add(&s->fetches, 1);
}

void ln_keeper_want(ln_keeper *p, uint32_t source, uint32_t worker) {
    if (!p || source >= p->config->count) return;
    task *t = &p->tasks[source];
    if (t->fetch) return; /* all will be told */
    if (t->ever && now_of(p) < t->begun + LN_KEYRING_LACK_MS) {
        tell(p, t, worker, NULL);
        return;
    }
    begin(t);
    if (!t->fetch) tell(p, t, worker, NULL);
    plan(p);
}

void ln_keeper_refresh(ln_keeper *p) {
    for (size_t i = 0; i < p->config->count; i++)
        if (!p->tasks[i].fetch) begin(&p->tasks[i]);
    plan(p);
}

bool ln_keeper_ready(ln_keeper *p, const ln_completion *c) {
    return ln_fetcher_ready(p->fetcher, c);
}

void ln_keeper_timer(ln_keeper *p, ln_timer *timer) {
    if (timer != &p->timer) {
        ln_fetcher_timer(p->fetcher, timer);
        return;
    }
    for (size_t i = 0; i < p->config->count; i++)
        if (!p->tasks[i].fetch && p->tasks[i].due <= now_of(p)) begin(&p->tasks[i]);
    plan(p);
}

/* ---- life ---------------------------------------------------------------------------------- */

int ln_keeper_new(ln_keyring_config *config, linnet_loop *w, ln_keeper **out) {
    ln_keeper *p = ln_calloc(1, sizeof *p);
    if (!p) return LINNET_ERR_NOMEM;
    p->config = config;
    p->w = w;
    for (size_t i = 0; i < LN_JWS_SOURCES_MAX; i++)
        p->tasks[i].keeper = p;
    ln_fetcher_options fo = {
        .ca_file = config->ca_file, .dns_servers = w->dns_servers, .timer_kind = LN_TIMER_OF_KEYS
    };
    int err = ln_fetcher_new(w->net, &fo, &p->fetcher);
    if (err < 0) {
        ln_free(p);
        return err;
    }
    ln_timer_init(&p->timer, LN_TIMER_OF_KEYS);
    plan(p); /* all are due */
    *out = p;
    return LINNET_OK;
}

void ln_keeper_free(ln_keeper *p) {
    if (!p) return;
    p->ended = true;
    ln_fetcher_free(p->fetcher); /* ends what is under way */
    ln_timer_stop(ln_loop_wheel(p->w->net), &p->timer);
    ln_free(p);
}
