#include "fetch/fetch_test.h"
#include "base/buf.h"
#include "fetch/fetch.h"
#include "net/tls_testing.h"
#include <dirent.h>

#define KIND 7

static char folder[] = "/tmp/linnet-fetch-XXXXXX"; /* mkdtemp fills in the X */
static char ca_file[64], cert[64], key[64], old_cert[64], old_key[64], other_cert[64],
    other_key[64];

typedef struct bench {
    ln_loop *loop;
    ln_fetcher *f;
} bench;

typedef struct result {
    int count, err;
    unsigned status;
    ln_buf body;
    bench *b; /* begins another one from the callback */
    const char *again;
} result;

static int make_files(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    char *const paths[] = { ca_file, cert, key, old_cert, old_key, other_cert, other_key };
    for (size_t i = 0; i < LN_COUNT(paths); i++)
        snprintf(paths[i], 64, "%s/%zu.pem", folder, i);
    ln_test_ca ca = ln_test_ca_new("test authority");
    ln_test_pem(ca_file, ca.cert, NULL);
    ln_test_leaf(&ca, "localhost", "DNS:localhost,IP:127.0.0.1", 7, cert, key);
    ln_test_leaf(&ca, "localhost", "DNS:localhost,IP:127.0.0.1", -2, old_cert, old_key);
    ln_test_leaf(&ca, "other", "DNS:other.example", 7, other_cert, other_key);
    ln_test_ca_free(&ca);
    return 0;
}

static int remove_files(void **state) {
    (void)state;
    const char *all[] = { ca_file, cert, key, old_cert, old_key, other_cert, other_key };
    for (size_t i = 0; i < LN_COUNT(all); i++)
        unlink(all[i]);
    return rmdir(folder);
}

static void bench_open(bench *b, uint32_t max) {
    ln_loop_options lo = { 0 };
    ln_fetcher_options fo = { .ca_file = ca_file, .under_way_max = max, .timer_kind = KIND };
    assert_int_equal(ln_loop_new(&lo, &b->loop), LINNET_OK);
    assert_int_equal(ln_fetcher_new(b->loop, &fo, &b->f), LINNET_OK);
}

static void bench_close(bench *b) {
    ln_fetcher_free(b->f);
    ln_loop_free(b->loop);
}

static void turn(bench *b, ln_msec deadline) {
    ln_completion c;
    ln_timer *t;
    assert_int_equal(ln_loop_wait(b->loop, deadline), LINNET_OK);
    while (ln_loop_next(b->loop, &c))
        if (c.kind == LN_C_WATCH) assert_true(ln_fetcher_ready(b->f, &c));
    while ((t = ln_wheel_pull(ln_loop_wheel(b->loop), ln_loop_now(b->loop)))) {
        assert_int_equal(t->kind, KIND);
        ln_fetcher_timer(b->f, t);
    }
}

static void run_for(bench *b, ln_msec ms) {
    ln_msec end = ln_loop_now(b->loop) + ms;
    while (ln_loop_now(b->loop) < end)
        turn(b, end);
}

static void run_until_idle(bench *b) {
    ln_msec end = ln_loop_now(b->loop) + 20000;
    while (ln_fetcher_under_way(b->f)) {
        turn(b, end);
        assert_true(ln_loop_now(b->loop) < end);
    }
}

static void on_done(void *user, const ln_fetch_reply *reply) {
    result *r = user;
    r->count++;
    r->err = reply->err;
    r->status = reply->status;
    ln_buf_clear(&r->body);
    assert_int_equal(ln_buf_add(&r->body, reply->body), LINNET_OK);
    if (!r->again) return;
    ln_fetch_request q = { .url = r->again, .done = on_done, .user = r };
    r->again = NULL;
    assert_int_equal(ln_fetch_start(r->b->f, &q, NULL), LINNET_OK);
}

static const char *url_of(const faulty *s, const char *path, char out[128]) {
    snprintf(out, 128, "http%s://127.0.0.1:%u%s", s->tls ? "s" : "", s->port, path);
    return out;
}

static result *result_new(void) {
    result *r = calloc(1, sizeof *r);
    assert_non_null(r);
    ln_buf_init(&r->body, LN_BUF_MAX);
    return r;
}

static void result_free(result *r) {
    ln_buf_fini(&r->body);
    free(r);
}

/* One request to the end; the result is good until the next. */
static result get(bench *b, const char *url, ln_fetch_request q) {
    result *r = result_new(), copy;
    q.url = url;
    q.done = on_done;
    q.user = r;
    assert_int_equal(ln_fetch_start(b->f, &q, NULL), LINNET_OK);
    assert_int_equal(r->count, 0); /* never from inside */
    run_until_idle(b);
    assert_int_equal(r->count, 1);
    copy = *r;
    result_free(r);
    return copy;
}

/* -- one request --------------------------------------------------------------------------- */

static const struct {
    const char *why, *path;
    int err;
    unsigned status;
} table[] = {
    { "an answer", "/ok", LINNET_OK, 200 },
    { "an answer and the end", "/bye", LINNET_OK, 200 },
    { "what a server says about itself is for the caller", "/500", LINNET_OK, 500 },
    { "a redirect is not followed", "/301", LINNET_OK, 301 },
    { "a body without an end", "/endless", LINNET_ERR_TOO_BIG, 0 },
    { "a body that says it is endless is not waited for", "/huge", LINNET_ERR_TIMEOUT, 0 },
    { "header fields without an end", "/heads", LINNET_ERR_TOO_BIG, 0 },
    { "no answer", "/slow", LINNET_ERR_TIMEOUT, 0 },
    { "a reset", "/reset", LINNET_ERR_RESET, 0 },
    { "no answer, and the end", "/nothing", LINNET_ERR_RESET, 0 },
    { "less than promised", "/short", LINNET_ERR_RESET, 0 },
    { "no HTTP", "/garbage", LINNET_ERR_HTTP, 0 },
};

static void check_table(const faulty *s, bench *b) {
    char url[128];
    for (size_t i = 0; i < LN_COUNT(table); i++) {
        ln_fetch_request q = { .timeout_ms = 700 };
        ln_msec from = ln_loop_now(b->loop);
        result r = get(b, url_of(s, table[i].path, url), q);
        if (r.err != table[i].err) fail_msg("%s: %s", table[i].why, linnet_strerror(r.err));
        if (r.status != table[i].status) fail_msg("%s: %u", table[i].why, r.status);
        if (ln_loop_now(b->loop) - from > 2000) fail_msg("%s: late", table[i].why);
    }
}

static void test_faults(void **state) {
    faulty s;
    bench b;
    faulty_start(&s, NULL, NULL);
    bench_open(&b, 0);
    check_table(&s, &b);
    bench_close(&b);
    faulty_stop(&s);
}

static void test_faults_tls(void **state) {
    faulty s;
    bench b;
    char url[128];
    faulty_start(&s, cert, key);
    bench_open(&b, 0);
    for (size_t i = 0; i < 4; i++) {
        result r = get(&b, url_of(&s, table[i].path, url), (ln_fetch_request){ 0 });
        assert_int_equal(r.err, table[i].err);
        assert_int_equal(r.status, table[i].status);
    }
    bench_close(&b);
    faulty_stop(&s);
}

static void test_post(void **state) {
    faulty s;
    bench b;
    char url[128], large[60000];
    memset(large, 'x', sizeof large);
    faulty_start(&s, NULL, NULL);
    bench_open(&b, 0);
    const ln_slice bodies[] = { LN_SLICE("{\"a\":1}"), LN_SLICE(""),
        ln_slice_of(large, sizeof large) };
    const char *const headers[] = { "Content-Type: application/json", "X-One: 1", NULL };
    for (size_t i = 0; i < LN_COUNT(bodies); i++) {
        ln_slice exact = ln_test_exact(bodies[i]); /* gone before it is sent */
        result *r = result_new();
        ln_fetch_request q = { .url = url_of(&s, "/echo", url),
            .body = exact,
            .headers = headers,
            .done = on_done,
            .user = r };
        assert_int_equal(ln_fetch_start(b.f, &q, NULL), LINNET_OK);
        ln_test_drop(exact);
        run_until_idle(&b);
        assert_int_equal(r->status, 200);
        assert_true(ln_slice_eq(ln_buf_slice(&r->body), bodies[i]));
        result_free(r);
    }
    bench_close(&b);
    faulty_stop(&s);
}

static void test_limit_of_reply(void **state) {
    faulty s;
    bench b;
    char url[128], large[5000] = "";
    faulty_start(&s, NULL, NULL);
    bench_open(&b, 0);
    ln_fetch_request q = { .body = ln_slice_of(large, sizeof large), .reply_max = sizeof large };
    assert_int_equal(get(&b, url_of(&s, "/echo", url), q).err, LINNET_OK);
    q.reply_max--;
    assert_int_equal(get(&b, url_of(&s, "/echo", url), q).err, LINNET_ERR_TOO_BIG);
    bench_close(&b);
    faulty_stop(&s);
}

static void test_keeps_connections(void **state) {
    faulty s;
    bench b;
    char url[128];
    faulty_start(&s, NULL, NULL);
    bench_open(&b, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(get(&b, url_of(&s, "/ok", url), (ln_fetch_request){ 0 }).status, 200);
    assert_int_equal(atomic_load(&s.requests), 5);
    assert_int_equal(atomic_load(&s.connections), 1);
    bench_close(&b);
    faulty_stop(&s);
}

/* -- names and certificates ------------------------------------------------------------------ */

static int threads(void) {
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void test_names(void **state) {
    faulty s;
    bench b;
    char url[128];
    faulty_start(&s, cert, key);
    bench_open(&b, 0);
    int before = threads();
    snprintf(url, sizeof url, "https://localhost:%u/ok", s.port);
    assert_int_equal(get(&b, url, (ln_fetch_request){ 0 }).status, 200);
    snprintf(url, sizeof url, "https://LOCALHOST:%u/ok", s.port);
    assert_int_equal(get(&b, url, (ln_fetch_request){ 0 }).status, 200);
    result *r = result_new(); /* a name that is asked for in vain, while it is under way */
    ln_fetch_request q = {
        .url = "http://nowhere.invalid/", .done = on_done, .user = r, .timeout_ms = 900
    };
    assert_int_equal(ln_fetch_start(b.f, &q, NULL), LINNET_OK);
    turn(&b, 0);
    assert_int_equal(threads(), before); /* nothing runs beside the loop */
    run_until_idle(&b);
    assert_true(r->err == LINNET_ERR_DNS || r->err == LINNET_ERR_TIMEOUT);
    assert_int_equal(threads(), before);
    result_free(r);
    bench_close(&b);
    faulty_stop(&s);
}

static void test_bad_certificates(void **state) {
    const struct {
        const char *why, *cert, *key, *ca;
    } rows[] = {
        { "run out", old_cert, old_key, ca_file },
        { "of another name", other_cert, other_key, ca_file },
        { "of an authority nobody knows", cert, key, NULL },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        faulty s;
        bench b;
        char url[128];
        faulty_start(&s, rows[i].cert, rows[i].key);
        ln_loop_options lo = { 0 };
        ln_fetcher_options fo = { .ca_file = rows[i].ca, .timer_kind = KIND };
        assert_int_equal(ln_loop_new(&lo, &b.loop), LINNET_OK);
        assert_int_equal(ln_fetcher_new(b.loop, &fo, &b.f), LINNET_OK);
        result r = get(&b, url_of(&s, "/ok", url), (ln_fetch_request){ 0 });
        if (r.err != LINNET_ERR_TLS_VERIFY) fail_msg("%s: %s", rows[i].why, linnet_strerror(r.err));
        assert_int_equal(atomic_load(&s.requests), 0);
        bench_close(&b);
        faulty_stop(&s);
    }
}

static void test_tls_to_who_speaks_none(void **state) {
    faulty s;
    bench b;
    char url[128];
    faulty_start(&s, NULL, NULL);
    bench_open(&b, 0);
    snprintf(url, sizeof url, "https://127.0.0.1:%u/ok", s.port);
    ln_fetch_request q = { .timeout_ms = 500, .connect_ms = 300 };
    int err = get(&b, url, q).err;
    assert_true(err == LINNET_ERR_TLS || err == LINNET_ERR_TIMEOUT);
    faulty_stop(&s);
    assert_int_equal(get(&b, url, q).err, LINNET_ERR_CONNECT); /* and to nobody */
    bench_close(&b);
}

static void test_urls(void **state) {
    static const struct {
        const char *why, *url;
        int err;
    } rows[] = {
        { "http", "http://127.0.0.1:1/", LINNET_OK },
        { "https, a name, a path and a query", "https://a.example/x?y=z", LINNET_OK },
        { "IPv6", "http://[::1]:8080/", LINNET_OK },
        { "a file", "file:///etc/passwd", LINNET_ERR_URL },
        { "another protocol", "ftp://127.0.0.1/", LINNET_ERR_URL },
        { "gopher", "gopher://127.0.0.1:6379/_x", LINNET_ERR_URL },
        { "no scheme", "127.0.0.1/", LINNET_ERR_URL },
        { "a user", "http://me@127.0.0.1/", LINNET_ERR_URL },
        { "a user and a password", "http://me:secret@127.0.0.1/", LINNET_ERR_URL },
        { "no host", "http:///x", LINNET_ERR_URL },
        { "a port that is none", "http://127.0.0.1:99999/", LINNET_ERR_URL },
        { "nothing", "", LINNET_ERR_URL },
        { "a line break", "http://127.0.0.1/\r\nX: y", LINNET_ERR_URL },
    };
    bench b;
    bench_open(&b, 0);
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        if (ln_fetch_url_check(rows[i].url) != rows[i].err) fail_msg("%s", rows[i].why);
        ln_fetch *x = NULL;
        ln_fetch_request q = { .url = rows[i].url, .done = on_done };
        if (ln_fetch_start(b.f, &q, &x) != rows[i].err) fail_msg("%s", rows[i].why);
        if (x) ln_fetch_cancel(x);
    }
    assert_int_equal(ln_fetcher_under_way(b.f), 0);
    bench_close(&b);
}

/* -- many, and their end ----------------------------------------------------------------------- */

static void test_bound(void **state) {
    faulty s;
    bench b;
    char url[128];
    faulty_start(&s, NULL, NULL);
    bench_open(&b, 2);
    result *r = result_new();
    ln_fetch_request q = { .url = url_of(&s, "/ok", url), .done = on_done, .user = r };
    assert_int_equal(ln_fetch_start(b.f, &q, NULL), LINNET_OK);
    assert_int_equal(ln_fetch_start(b.f, &q, NULL), LINNET_OK);
    assert_int_equal(ln_fetch_start(b.f, &q, NULL), LINNET_ERR_LIMIT);
    run_until_idle(&b);
    assert_int_equal(r->count, 2);
    const char *lines[LN_FETCH_HEADERS_MAX + 2] = { NULL };
    for (size_t i = 0; i <= LN_FETCH_HEADERS_MAX; i++)
        lines[i] = "X: y";
    q.headers = lines;
    assert_int_equal(ln_fetch_start(b.f, &q, NULL), LINNET_ERR_LIMIT);
    result_free(r);
    bench_close(&b);
    faulty_stop(&s);
}

static void test_another_from_the_callback(void **state) {
    faulty s;
    bench b;
    char url[128], again[128];
    faulty_start(&s, NULL, NULL);
    bench_open(&b, 1);
    result *r = result_new();
    r->b = &b;
    r->again = url_of(&s, "/500", again);
    ln_fetch_request q = { .url = url_of(&s, "/ok", url), .done = on_done, .user = r };
    assert_int_equal(ln_fetch_start(b.f, &q, NULL), LINNET_OK);
    run_until_idle(&b);
    assert_int_equal(r->count, 2);
    assert_int_equal(r->status, 500);
    result_free(r);
    bench_close(&b);
    faulty_stop(&s);
}

/* At every stage: before anything was sent, while a name is resolved, while it waits. */
static void test_cancel(void **state) {
    static const char *const hosts[] = { "127.0.0.1", "localhost", "nowhere.invalid" };
    faulty s;
    bench b;
    char url[128];
    faulty_start(&s, NULL, NULL);
    bench_open(&b, 0);
    result *r = result_new();
    for (size_t i = 0; i < LN_COUNT(hosts); i++) {
        for (ln_msec wait = 0; wait <= 30; wait += 10) {
            snprintf(url, sizeof url, "http://%s:%u/slow", hosts[i], s.port);
            ln_fetch *x;
            ln_fetch_request q = { .url = url, .done = on_done, .user = r };
            assert_int_equal(ln_fetch_start(b.f, &q, &x), LINNET_OK);
            if (wait) run_for(&b, wait);
            if (ln_fetcher_under_way(b.f)) ln_fetch_cancel(x);
            assert_int_equal(ln_fetcher_under_way(b.f), 0);
        }
        if (i < 2) assert_int_equal(r->count, 0);
    }
    run_for(&b, 30);
    result_free(r);
    bench_close(&b);
    faulty_stop(&s);
}

static void test_end_with_some_under_way(void **state) {
    ln_test_memory m = { 0 };
    faulty s;
    faulty_start(&s, NULL, NULL);
    ln_test_memory_install(&m);
    for (ln_msec wait = 0; wait <= 40; wait += 20) {
        bench b;
        char url[128];
        result *r = result_new();
        bench_open(&b, 0);
        static const char *const hosts[] = { "127.0.0.1", "localhost", "nowhere.invalid" };
        for (size_t i = 0; i < LN_COUNT(hosts); i++) {
            snprintf(url, sizeof url, "http://%s:%u/slow", hosts[i], s.port);
            ln_fetch_request q = { .url = url, .done = on_done, .user = r };
            assert_int_equal(ln_fetch_start(b.f, &q, NULL), LINNET_OK);
        }
        if (wait) run_for(&b, wait);
        bench_close(&b);
        assert_int_equal(r->count, 3);
        result_free(r);
    }
    assert_int_equal(m.live, 0);
    ln_test_memory_remove();
    faulty_stop(&s);
}

static void on_counted(void *user, const ln_fetch_reply *reply) {
    (void)reply;
    ((result *)user)->count++;
}

/* With the n-th allocation failing: an error or the answer, nothing lost, and no callback too many.
 */
static void one_without_memory(const faulty *s, ln_test_memory *m) {
    ln_loop_options lo = { 0 };
    ln_fetcher_options fo = { .ca_file = ca_file, .timer_kind = KIND };
    bench b;
    char url[128];
    if (ln_loop_new(&lo, &b.loop) < 0) return;
    if (ln_fetcher_new(b.loop, &fo, &b.f) < 0) {
        ln_loop_free(b.loop);
        return;
    }
    result *r = result_new();
    snprintf(url, sizeof url, "http%s://localhost:%u/ok", s->tls ? "s" : "", s->port);
    ln_fetch_request q = { .url = url, .done = on_counted, .user = r, .timeout_ms = 300 };
    int err = ln_fetch_start(b.f, &q, NULL);
    ln_msec end = ln_loop_now(b.loop) + 5000;
    while (ln_fetcher_under_way(b.f)) {
        if (ln_loop_wait(b.loop, end) < 0) continue;
        ln_completion c;
        ln_timer *t;
        while (ln_loop_next(b.loop, &c))
            if (c.kind == LN_C_WATCH) ln_fetcher_ready(b.f, &c);
        while ((t = ln_wheel_pull(ln_loop_wheel(b.loop), ln_loop_now(b.loop))))
            ln_fetcher_timer(b.f, t);
        assert_true(ln_loop_now(b.loop) < end);
    }
    assert_int_equal(r->count, err == LINNET_OK ? 1 : 0);
    result_free(r);
    bench_close(&b);
}

static void test_without_memory(void **state) {
    faulty s;
    faulty_start(&s, NULL, NULL);
    for (uint64_t n = 1;; n++) {
        ln_test_memory m = { .fail_at = n };
        ln_test_memory_install(&m);
        one_without_memory(&s, &m);
        ln_test_memory_remove();
        if (m.live != 0)
            fail_msg("allocation %llu: %lld left", (unsigned long long)n, (long long)m.live);
        if (m.calls < n) break;
        assert_true(n < 5000);
    }
    faulty_stop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_faults_tls),
        cmocka_unit_test(test_post),
        cmocka_unit_test(test_limit_of_reply),
        cmocka_unit_test(test_keeps_connections),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bad_certificates),
        cmocka_unit_test(test_tls_to_who_speaks_none),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_another_from_the_callback),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_end_with_some_under_way),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
