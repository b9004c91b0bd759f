#include "fetch/fetch.h"
#include "base/buf.h"
#include "base/mem.h"
#include "net/dns.h"
#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECTIONS_KEPT 32
#define CONNECTIONS_MAX  64
#define HEADER_BYTES     (64u * 1024)
#define CACHE_WORDS      256

struct ln_fetcher {
    ln_loop *loop;
    ln_dns *dns;
    CURLM *multi;
    ln_timer tick; /* libcurl's next time-out */
    ln_list fetches;
    uint32_t count, max;
    char *ca_file;
};

struct ln_fetch {
    ln_list node;
    ln_fetcher *f;
    CURL *easy;
    ln_dns_query *query; /* RESOLVING: not NULL */
    struct curl_slist *headers, *resolve;
    ln_buf reply, body;
    size_t header_bytes;
    ln_msec deadline;
    uint32_t connect_ms;
    ln_fetch_done *done;
    void *user;
    uint16_t port;
    bool added;                       /* RUNNING */
    bool too_big, no_memory;          /* why we broke it off */
    char host[LN_FETCH_HOST_MAX + 3]; /* as in the URL, with the brackets of IPv6 */
};

/* -- memory -------------------------------------------------------------------------------- */

static int failed(CURLcode code) {
    return code == CURLE_OUT_OF_MEMORY ? LINNET_ERR_NOMEM : LINNET_ERR_INVAL;
}

static int add_line(struct curl_slist **list, const char *line) {
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer) return LINNET_ERR_NOMEM;
    *list = longer;
    return LINNET_OK;
}

static void fetch_free(ln_fetch *x) {
    ln_fetcher *f = x->f;
    if (x->added) curl_multi_remove_handle(f->multi, x->easy);
    if (x->easy) curl_easy_cleanup(x->easy);
    curl_slist_free_all(x->headers);
    curl_slist_free_all(x->resolve);
    ln_buf_fini(&x->reply);
    ln_buf_fini(&x->body);
    ln_list_remove(&x->node);
    assert(f->count > 0);
    f->count--;
    ln_free(x);
}

/* -- the end of a fetch ---------------------------------------------------------------------- */

/* Copied, because it goes with the fetch. */
static ln_slice cache_words(const ln_fetch *x, char out[CACHE_WORDS]) {
    struct curl_header *h;
    if (curl_easy_header(x->easy, "Cache-Control", 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
        return LN_SLICE("");
    size_t size = strlen(h->value);
    if (size > CACHE_WORDS) return LN_SLICE("");
    memcpy(out, h->value, size);
    return ln_slice_of(out, size);
}

static void finish(ln_fetch *x, int err) {
    char words[CACHE_WORDS];
    ln_fetch_reply reply = { .err = err };
    ln_fetch_done *done = x->done;
    void *user = x->user;
    if (err == LINNET_OK) {
        long status = 0;
        curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
        reply.status = (unsigned)status;
        reply.body = ln_buf_slice(&x->reply);
        reply.cache = cache_words(x, words);
    }
    ln_buf body = x->reply; /* outlives the fetch, so that the callback may begin another */
    ln_buf_init(&x->reply, body.max);
    fetch_free(x);
    done(user, &reply);
    ln_buf_fini(&body);
}

static int error_of(const ln_fetch *x, CURLcode code) {
    if (x->too_big) return LINNET_ERR_TOO_BIG;
    if (x->no_memory) return LINNET_ERR_NOMEM;
    switch (code) {
    case CURLE_OK: return LINNET_OK;
    case CURLE_OUT_OF_MEMORY: return LINNET_ERR_NOMEM;
    case CURLE_OPERATION_TIMEDOUT: return LINNET_ERR_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST: return LINNET_ERR_DNS;
    case CURLE_COULDNT_CONNECT: return LINNET_ERR_CONNECT;
    case CURLE_PEER_FAILED_VERIFICATION: return LINNET_ERR_TLS_VERIFY;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED: return LINNET_ERR_TLS;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING: return LINNET_ERR_RESET;
    default: return LINNET_ERR_HTTP;
    }
}

/* By asking after each call, not by libcurl's timer callback: that is silent about a time-out it
 * has told before, and would never come again when our millisecond began earlier than its. */
static void set_tick(ln_fetcher *f) {
    long ms = -1;
    curl_multi_timeout(f->multi, &ms);
    if (ms < 0) {
        ln_timer_stop(ln_loop_wheel(f->loop), &f->tick);
        return;
    }
    ln_msec at = ln_loop_now(f->loop) + (ms ? (ln_msec)ms + 1 : 0);
    ln_timer_set(ln_loop_wheel(f->loop), &f->tick, at);
}

static void take_done(ln_fetcher *f) {
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(f->multi, &left));) {
        if (m->msg != CURLMSG_DONE) continue;
        CURLcode code = m->data.result; /* the message goes with its handle */
        char *x = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x);
        finish((ln_fetch *)(void *)x, error_of((ln_fetch *)(void *)x, code));
    }
    set_tick(f);
}

/* -- what libcurl calls ---------------------------------------------------------------------- */

/* A descriptor that there is no memory to watch is not heard; its fetch then ends by its time-out.
 * To answer -1 would end all fetches of this fetcher for good. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *ours) {
    (void)easy;
    (void)ours;
    ln_fetcher *f = user;
    unsigned events = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= LN_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= LN_WRITE;
    ln_loop_watch(f->loop, fd, events, f);
    return 0;
}

static size_t on_body(char *data, size_t one, size_t size, void *user) {
    (void)one; /* is 1 */
    ln_fetch *x = user;
    int err = ln_buf_add(&x->reply, ln_slice_of(data, size));
    x->too_big = err == LINNET_ERR_TOO_BIG;
    x->no_memory = err == LINNET_ERR_NOMEM;
    return err < 0 ? 0 : size;
}

static size_t on_header(char *data, size_t one, size_t size, void *user) {
    (void)data;
    (void)one;
    ln_fetch *x = user;
    x->header_bytes += size;
    x->too_big = x->header_bytes > HEADER_BYTES;
    return x->too_big ? 0 : size;
}

/* -- beginning ------------------------------------------------------------------------------- */

/* libcurl is generous with slashes. */
static bool is_http(const char *url) {
    ln_slice rest = ln_slice_str(url);
    if (ln_slice_starts(rest, LN_SLICE("http://")))
        ln_slice_skip(&rest, 7);
    else if (ln_slice_starts(rest, LN_SLICE("https://")))
        ln_slice_skip(&rest, 8);
    else
        return false;
    return rest.size && rest.data[0] != '/';
}

/* The host and port of a URL that may be asked. */
static int take_url(const char *url, char *host, size_t room, uint16_t *port) {
    if (!is_http(url)) return LINNET_ERR_URL;
    CURLU *u = curl_url();
    if (!u) return LINNET_ERR_NOMEM;
    char *name = NULL, *number = NULL, *user = NULL;
    CURLUcode code = curl_url_set(u, CURLUPART_URL, url, 0);
    if (!code) code = curl_url_get(u, CURLUPART_HOST, &name, 0);
    if (!code) code = curl_url_get(u, CURLUPART_PORT, &number, CURLU_DEFAULT_PORT);
    int err = code == CURLUE_OUT_OF_MEMORY ? LINNET_ERR_NOMEM : code ? LINNET_ERR_URL : LINNET_OK;
    if (err == LINNET_OK && curl_url_get(u, CURLUPART_USER, &user, 0) != CURLUE_NO_USER)
        err = LINNET_ERR_URL;
    if (err == LINNET_OK && (!*name || strlen(name) >= room)) err = LINNET_ERR_URL;
    if (err == LINNET_OK) {
        memcpy(host, name, strlen(name) + 1);
        *port = (uint16_t)strtoul(number, NULL, 10);
    }
    curl_free(name);
    curl_free(number);
    curl_free(user);
    curl_url_cleanup(u);
    return err;
}

int ln_fetch_url_check(const char *url) {
    char host[LN_FETCH_HOST_MAX + 3];
    uint16_t port;
    return take_url(url, host, sizeof host, &port);
}

#define SET(option, value)                                                                         \
    if ((code = curl_easy_setopt(x->easy, CURLOPT_##option, value)) != CURLE_OK) return code

static CURLcode set_way(ln_fetch *x) {
    CURLcode code;
    SET(NOSIGNAL, 1L);
    SET(PROTOCOLS_STR, "http,https");
    SET(FOLLOWLOCATION, 0L);
    SET(PROXY, "");
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    if (x->f->ca_file) SET(CAINFO, x->f->ca_file);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, x);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, x);
    SET(PRIVATE, x);
    return code;
}

static CURLcode set_request(ln_fetch *x, const ln_fetch_request *r) {
    CURLcode code = set_way(x);
    if (code != CURLE_OK) return code;
    SET(URL, r->url);
    SET(HTTPHEADER, x->headers);
    if (!r->body.data) return code;
    SET(POST, 1L);
    SET(POSTFIELDS, x->body.size ? (const char *)ln_buf_slice(&x->body).data : "");
    SET(POSTFIELDSIZE_LARGE, (curl_off_t)x->body.size);
    return code;
}

/* All but the name is there. */
static int launch(ln_fetch *x) {
    ln_msec now = ln_loop_now(x->f->loop);
    if (now >= x->deadline) return LINNET_ERR_TIMEOUT;
    CURLcode code = curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)(x->deadline - now));
    if (code == CURLE_OK)
        code = curl_easy_setopt(x->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)x->connect_ms);
    if (code == CURLE_OK) code = curl_easy_setopt(x->easy, CURLOPT_RESOLVE, x->resolve);
    if (code != CURLE_OK) return failed(code);
    if (curl_multi_add_handle(x->f->multi, x->easy) != CURLM_OK) return LINNET_ERR_NOMEM;
    x->added = true;
    set_tick(x->f);
    return LINNET_OK;
}

/* "name:80:127.0.0.1,[::1]", which stays in the multi's table until the next one replaces it. */
static int set_resolved(ln_fetch *x, const ln_addr *addrs, unsigned count) {
    char line[sizeof x->host + LN_DNS_ADDRS_MAX * 66 + 16];
    int n = snprintf(line, sizeof line, "%s:%u:", x->host, x->port);
    for (unsigned i = 0; i < count; i++) {
        char text[64];
        size_t size = ln_addr_text(&addrs[i], text);
        while (size && text[size - 1] != ':')
            size--;
        if (size < 2) continue;
        n += snprintf(
            line + n, sizeof line - (size_t)n, "%s%.*s", i ? "," : "", (int)size - 1, text);
    }
    return add_line(&x->resolve, line);
}

static void on_resolved(void *user, int status, const ln_addr *addrs, unsigned count) {
    ln_fetch *x = user;
    x->query = NULL;
    if (status == LINNET_ERR_CANCELLED) return; /* ours */
    if (status == LINNET_OK) status = count ? set_resolved(x, addrs, count) : LINNET_ERR_DNS;
    if (status == LINNET_OK) status = launch(x);
    if (status < 0) finish(x, status);
}

/* A literal address needs no resolver. */
static bool is_literal(const char *host) {
    ln_addr addr;
    ln_slice name = ln_slice_str(host);
    if (name.size > 2 && host[0] == '[') name = ln_slice_sub(name, 1, name.size - 1);
    return ln_addr_ip(name, 1, &addr);
}

static int begin(ln_fetch *x, const ln_fetch_request *r) {
    int err = take_url(r->url, x->host, sizeof x->host, &x->port);
    if (err < 0) return err;
    if (!(x->easy = curl_easy_init())) return LINNET_ERR_NOMEM;
    if (r->body.data && (err = ln_buf_add(&x->body, r->body)) < 0) return err;
    if ((err = add_line(&x->headers, "Expect:")) < 0) return err;
    for (size_t i = 0; r->headers && r->headers[i]; i++) {
        if (i == LN_FETCH_HEADERS_MAX) return LINNET_ERR_LIMIT;
        if ((err = add_line(&x->headers, r->headers[i])) < 0) return err;
    }
    CURLcode code = set_request(x, r);
    if (code != CURLE_OK) return failed(code);
    if (is_literal(x->host)) return launch(x);
    return ln_dns_resolve(x->f->dns, x->host, x->port, on_resolved, x, &x->query);
}

int ln_fetch_start(ln_fetcher *f, const ln_fetch_request *r, ln_fetch **out) {
    assert(r->done);
    if (f->count >= f->max) return LINNET_ERR_LIMIT;
    ln_fetch *x = ln_calloc(1, sizeof *x);
    if (!x) return LINNET_ERR_NOMEM;
    uint32_t timeout = r->timeout_ms ? r->timeout_ms : LN_FETCH_TIMEOUT_MS;
    x->f = f;
    x->done = r->done;
    x->user = r->user;
    x->connect_ms = r->connect_ms ? r->connect_ms : LN_FETCH_CONNECT_MS;
    x->deadline = ln_loop_now(f->loop) + timeout;
    ln_buf_init(&x->body, LN_BUF_MAX);
    ln_buf_init(&x->reply, r->reply_max ? r->reply_max : LN_FETCH_REPLY_MAX);
    ln_list_init(&x->node);
    ln_list_push(&f->fetches, &x->node);
    f->count++;
    int err = begin(x, r);
    if (err < 0) {
        fetch_free(x);
        return err == LINNET_ERR_INVAL ? LINNET_ERR_URL : err;
    }
    if (out) *out = x;
    return LINNET_OK;
}

static void stop_resolving(ln_fetch *x) {
    if (x->query) ln_dns_cancel(x->query);
}

void ln_fetch_cancel(ln_fetch *x) {
    ln_fetcher *f = x->f;
    stop_resolving(x);
    fetch_free(x);
    set_tick(f);
}

uint32_t ln_fetcher_under_way(const ln_fetcher *f) {
    return f->count;
}

/* -- the loop -------------------------------------------------------------------------------- */

static void act(ln_fetcher *f, curl_socket_t fd, int events) {
    int running;
    curl_multi_socket_action(f->multi, fd, events, &running);
    take_done(f);
}

bool ln_fetcher_ready(ln_fetcher *f, const ln_completion *c) {
    if (c->user == f->dns) {
        ln_dns_ready(f->dns, c->fd, c->events);
        return true;
    }
    if (c->user != f) return false;
    int events = 0;
    if (c->events & LN_READ) events |= CURL_CSELECT_IN;
    if (c->events & LN_WRITE) events |= CURL_CSELECT_OUT;
    act(f, c->fd, events);
    return true;
}

void ln_fetcher_timer(ln_fetcher *f, ln_timer *timer) {
    if (timer == &f->tick)
        act(f, CURL_SOCKET_TIMEOUT, 0);
    else
        ln_dns_timer(f->dns, timer);
}

/* -- life -------------------------------------------------------------------------------------- */

static int multi_new(ln_fetcher *f) {
    if (!(f->multi = curl_multi_init())) return LINNET_ERR_NOMEM;
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX);
    return LINNET_OK;
}

static int fetcher_init(ln_fetcher *f, const ln_fetcher_options *o) {
    ln_dns_options dns = {
        .servers = o->dns_servers, .timeout_ms = LN_FETCH_CONNECT_MS, .timer_kind = o->timer_kind
    };
    if (o->ca_file && !(f->ca_file = ln_slice_dup(ln_slice_str(o->ca_file))))
        return LINNET_ERR_NOMEM;
    int err = multi_new(f);
    return err < 0 ? err : ln_dns_new(f->loop, &dns, &f->dns);
}

int ln_fetcher_new(ln_loop *loop, const ln_fetcher_options *o, ln_fetcher **out) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return LINNET_ERR_NOMEM; /* it counts */
    ln_fetcher *f = ln_calloc(1, sizeof *f);
    if (!f) {
        curl_global_cleanup();
        return LINNET_ERR_NOMEM;
    }
    f->loop = loop;
    f->max = o->under_way_max ? o->under_way_max : LN_FETCH_UNDER_WAY;
    ln_list_init(&f->fetches);
    ln_timer_init(&f->tick, o->timer_kind);
    int err = fetcher_init(f, o);
    if (err < 0) {
        ln_fetcher_free(f);
        return err;
    }
    *out = f;
    return LINNET_OK;
}

void ln_fetcher_free(ln_fetcher *f) {
    if (!f) return;
    while (!ln_list_empty(&f->fetches)) {
        ln_fetch *x = ln_list_item(f->fetches.next, ln_fetch, node);
        stop_resolving(x);
        finish(x, LINNET_ERR_CANCELLED);
    }
    ln_dns_free(f->dns);
    if (f->multi) curl_multi_cleanup(f->multi); /* takes back the watches */
    ln_timer_stop(ln_loop_wheel(f->loop), &f->tick);
    ln_free(f->ca_file);
    ln_free(f);
    curl_global_cleanup();
}
