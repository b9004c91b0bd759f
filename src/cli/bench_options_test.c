#include "base/testing.h"
#include "cli/bench_options.h"

enum { ARGS_MAX = 12 };

typedef struct row {
    const char *why;
    const char *args[ARGS_MAX];
} row;

typedef struct parsed {
    ln_bench_options o;
    char *args[ARGS_MAX]; /* each in a block of exactly its size; o points into them */
} parsed;

static ln_bench_parsed parse(const row *r, parsed *out) {
    memset(out, 0, sizeof *out);
    char *argv[ARGS_MAX + 1] = { "bench" };
    int argc = 1;
    for (; argc <= ARGS_MAX && r->args[argc - 1]; argc++) {
        size_t n = strlen(r->args[argc - 1]) + 1;
        argv[argc] = out->args[argc - 1] = malloc(n);
        memcpy(argv[argc], r->args[argc - 1], n);
    }
    return ln_bench_options_parse(&out->o, argc, argv);
}

static void forget(parsed *p) {
    for (size_t i = 0; i < ARGS_MAX; i++)
        free(p->args[i]);
}

#define URL "ws://127.0.0.1:9000/echo"

static const row wrong[] = {
    { "no kind", { NULL } },
    { "another kind", { "race", URL } },
    { "no URL", { "echo" } },
    { "two URLs", { "echo", URL, URL } },
    { "another scheme", { "echo", "http://127.0.0.1/" } },
    { "no host", { "echo", "ws://:80/" } },
    { "port 0", { "echo", "ws://a:0/" } },
    { "port 65536", { "echo", "ws://a:65536/" } },
    { "a port of letters", { "echo", "ws://a:x/" } },
    { "an empty port", { "echo", "ws://a:/" } },
    { "an open bracket", { "echo", "ws://[::1/" } },
    { "a fragment", { "echo", "ws://a/b#c" } },
    { "a line break in the path", { "echo", "ws://a/b\r\nX: y" } },
    { "raw bytes without --raw", { "echo", "tcp://127.0.0.1:1" } },
    { "a flag that is none", { "echo", "--speed", URL } },
    { "no value", { "echo", URL, "--size" } },
    { "not a number", { "echo", "--size", "much", URL } },
    { "a negative number", { "echo", "--size", "-1", URL } },
    { "none of something", { "echo", "--connections", "0", URL } },
    { "too many", { "echo", "--sources=251", URL } },
    { "not seconds", { "echo", "--duration", "nan", URL } },
    { "a value for a switch", { "echo", "--json=1", URL } },
    { "another compression", { "echo", "--deflate=gzip", URL } },
    { "a flag of another kind", { "echo", "--topics", "3", URL } },
    { "publications of more than a text", { "publish", "--size", "65537", URL } },
    { "raw publications", { "publish", "--raw", URL } },
    { "raw and compressed", { "echo", "--raw", "--deflate", URL } },
    { "fan-out with a window", { "fanout", "--deflate=takeover", URL } },
    { "raw over TLS", { "echo", "--raw", "wss://127.0.0.1:1/" } },
    { "raw topics", { "fanout", "--raw", "--topics", "2", URL } },
    { "no room for a number", { "fanout", "--size", "7", URL } },
    { "more topics each than there are", { "fanout", "--topics-each", "2", URL } },
};

static void wrong_usage_is_refused(void **state) {
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        parsed p;
        if (parse(&wrong[i], &p) != LN_BENCH_USAGE) fail_msg("%s", wrong[i].why);
        forget(&p);
    }
}

static const struct target {
    row row;
    const char *host, *port, *path;
    bool tls;
} targets[] = {
    { { "all of it", { "echo", "ws://example.org:81/a/b?c=d" } }, "example.org", "81", "/a/b?c=d",
        false },
    { { "the least", { "echo", "ws://a" } }, "a", "80", "/", false },
    { { "TLS", { "echo", "wss://a" } }, "a", "443", "/", true },
    { { "IPv6", { "echo", "ws://[::1]:9/x" } }, "::1", "9", "/x", false },
    { { "IPv6 without a port", { "echo", "ws://[::1]" } }, "::1", "80", "/", false },
    { { "raw bytes", { "echo", "--raw", "tcp://127.0.0.1:7" } }, "127.0.0.1", "7", "/", false },
};

static void urls_are_taken_apart(void **state) {
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        const struct target *t = &targets[i];
        parsed p;
        if (parse(&t->row, &p) != LN_BENCH_RUN) fail_msg("%s", t->row.why);
        assert_string_equal(p.o.host, t->host);
        assert_string_equal(p.o.port, t->port);
        assert_string_equal(p.o.target, t->path);
        assert_int_equal(p.o.tls, t->tls);
        forget(&p);
    }
}

static void flags_are_understood(void **state) {
    static const row all = { "all",
        { "echo", "--connections=7", "--size", "16k", "--duration", ".5", "--warmup=0",
            "--deflate=no-takeover", "--non-ascii", "--json", "--in-flight=3", URL } };
    parsed p;
    assert_int_equal(parse(&all, &p), LN_BENCH_RUN);
    const ln_bench_options o = p.o;
    assert_int_equal(o.connections, 7);
    assert_int_equal(o.size, 16384);
    assert_int_equal(o.in_flight, 3);
    assert_true(o.duration_s > 0.49 && o.duration_s < 0.51 && o.warmup_s < 0.01);
    assert_int_equal(o.deflate, LN_BENCH_NO_TAKEOVER);
    assert_int_equal(o.body, LN_BENCH_NON_ASCII);
    assert_true(o.json && !o.raw && !o.native);
    forget(&p);
}

static void defaults_are_useful(void **state) {
    static const row least = { "least", { "fanout", URL } };
    parsed p;
    assert_int_equal(parse(&least, &p), LN_BENCH_RUN);
    const ln_bench_options o = p.o;
    assert_int_equal(o.connections, 50);
    assert_int_equal(o.size, 20);
    assert_int_equal(o.burst, 1);
    assert_int_equal(o.topics, 1);
    forget(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage_is_refused),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(flags_are_understood),
        cmocka_unit_test(defaults_are_useful),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
