#include "base/testing.h"
#include "daemon/reload.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct world {
    char path[64];
    ln_told told;
    ln_options first;
    ln_reload reload;
    int applied, answer;
    uint64_t count; /* history.count as it was applied last */
} world;

static int apply(const ln_options *o, void *ctx) {
    world *w = ctx;
    w->applied++;
    w->count = o->standard.history_count;
    return w->answer;
}

static void say(world *w, const char *text) {
    FILE *f = fopen(w->path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void begin(world *w, const char *text) {
    *w = (world){ .path = "/tmp/linnet-reload-test-XXXXXX" };
    close(mkstemp(w->path));
    say(w, text);
    w->told.config = w->path;
    ln_problems p = { .count = 0 };
    assert_true(ln_options_load(&w->first, &w->told, &p));
    w->reload = (ln_reload){ .told = &w->told, .first = &w->first, .apply = apply, .ctx = w };
}

static void end(world *w) {
    ln_reload_fini(&w->reload);
    ln_options_fini(&w->first);
    unlink(w->path);
}

/* Runs a reload and returns what it said, which the caller frees. */
static char *reload(world *w) {
    char *said = NULL;
    size_t size = 0;
    FILE *before = stderr, *to = open_memstream(&said, &size);
    assert_non_null(to);
    stderr = to;
    ln_reload_now(&w->reload);
    stderr = before;
    assert_int_equal(fclose(to), 0);
    return said;
}

static void expect(world *w, const char *text, const char *words) {
    say(w, text);
    char *said = reload(w);
    if (!strstr(said, words)) fail_msg("'%s' is not in '%s'", words, said);
    free(said);
}

static void test_taken_up(void **state) {
    world w;
    begin(&w, "workers: 2\n");
    expect(&w, "workers: 2\n", "certificates and keys were read again; no option has changed");
    expect(&w, "workers: 2\nhistory.count: 7\n", "reload: history.count is 7, was 100\n");
    assert_int_equal(w.applied, 2);
    assert_int_equal(w.count, 7);
    expect(&w, "workers: 2\nhistory.count: 7\n", "no option has changed");
    expect(&w, "workers: 2\n", "history.count is 100, was 7");
    expect(&w, "workers: 2\norigins: https://a.example\n",
        "origins is [\"https://a.example\"], was not set");
    expect(&w, "workers: 2\nnamespaces: [ { name: a } ]\n", "namespaces have changed");
    expect(&w, "workers: 2\nnamespaces: [ { name: a } ]\n", "no option has changed");
    end(&w);
}

/* It is told as long as it is so. */
static void test_restart(void **state) {
    world w;
    begin(&w, "workers: 2\n");
    for (int i = 0; i < 2; i++)
        expect(&w, "workers: 3\n", "reload: workers wants a restart: it stays 2, and is to be 3\n");
    expect(&w, "", "workers wants a restart: it stays 2, and is to be not set");
    expect(&w, "workers: 2\n", "no option has changed");
    expect(&w, "workers: 2\nlisteners: [ { address: \":0\" } ]\n", "listeners wants a restart\n");
    end(&w);
}

static void test_refused(void **state) {
    world w;
    begin(&w, "history.count: 5\n");
    expect(&w, "history.count: 0\n", ":1:16: history.count wants a number");
    expect(&w, "history.count: 0\n", "reload: all stays as it was\n");
    assert_int_equal(w.applied, 0);
    w.answer = LINNET_ERR_TLS;
    expect(&w, "history.count: 9\n", "reload: all stays as it was\n");
    w.answer = LINNET_OK;
    expect(&w, "history.count: 9\n", "history.count is 9, was 5");
    unlink(w.path);
    char *said = reload(&w);
    assert_non_null(strstr(said, "No such file"));
    free(said);
    assert_int_equal(w.count, 9);
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_up),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
