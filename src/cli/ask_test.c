#include "base/testing.h"
#include "cli/ask_inner.h"

static const struct address {
    const char *url, *want; /* NULL: refused */
} addresses[] = {
    { "http://127.0.0.1:8080", "127.0.0.1:8080" },
    { "http://127.0.0.1:8080/metrics?x#y", "127.0.0.1:8080" },
    { "ws://localhost:1/ws", "localhost:1" },
    { "localhost:9", "localhost:9" },
    { "http://example", "example:80" },
    { "http://[::1]:8080", "[::1]:8080" },
    { "http://[::1]", "[::1]:80" },
    { "unix:/run/door", "unix:/run/door" },
    { "unix:", NULL },
    { "https://example", NULL },
    { "http://", NULL },
    { "", NULL },
    { "http://:8080", NULL },
    { "http://a:b@c:1", NULL },
    { "http://a:99999", NULL },
    { "http://a:", NULL },
};

static void test_addresses(void **state) {
    char got[256], unix_path[300] = "unix:/";
    for (size_t i = 0; i < LN_COUNT(addresses); i++) {
        const char *want = addresses[i].want;
        bool ok = ln_ask_address(addresses[i].url, got);
        if (ok != (want != NULL) || (ok && strcmp(got, want) != 0))
            fail_msg("%s", addresses[i].url);
    }
    memset(unix_path + 6, 'a', 200);
    assert_false(ln_ask_address(unix_path, got)); /* longer than the kernel takes */
}

static const struct answer {
    const char *why, *text;
    int status; /* 0: none */
    const char *body;
} answers[] = {
    { "as it is", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi" },
    { "other fields", "HTTP/1.1 404 No\r\nX: y\r\ncontent-length:  0 \r\nZ: \r\n\r\n", 404, "" },
    { "cut", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", 0, "" },
    { "too long", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhi", 0, "" },
    { "no length", "HTTP/1.1 200 OK\r\n\r\nhi", 0, "" },
    { "no head's end", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", 0, "" },
    { "bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", 0, "" },
    { "something else", "SSH-2.0-OpenSSH_9.2 hello there\r\n", 0, "" },
    { "no status", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", 0, "" },
    { "nothing", "", 0, "" },
};

static void test_answers(void **state) {
    for (size_t i = 0; i < LN_COUNT(answers); i++) {
        ln_slice exact = ln_test_exact(ln_slice_str(answers[i].text)), body = { NULL, 0 };
        int status = 0;
        bool ok = ln_ask_answer(exact, &status, &body);
        if (ok != (answers[i].status != 0) || status != answers[i].status)
            fail_msg("%s: %d", answers[i].why, status);
        if (ok) assert_true(ln_slice_eq(body, ln_slice_str(answers[i].body)));
        ln_test_drop(exact);
    }
    static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        int status;
        ln_slice exact = ln_test_exact(ln_slice_of(whole, n)), body;
        assert_false(ln_ask_answer(exact, &status, &body));
        ln_test_drop(exact);
    }
}

static const struct chunked {
    const char *why, *text, *want;
    bool ended, broken;
} chunked[] = {
    { "nothing yet", "", "", false, false },
    { "one", "3\r\nabc\r\n", "abc", false, false },
    { "two, and the end", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", true,
        false },
    { "lines anywhere", "2\r\na\n\r\n2\r\n\nb\r\n", "a\n\nb", false, false },
    { "small letters", "a\r\n0123456789\r\n", "0123456789", false, false },
    { "no size", "\r\nabc", "", false, true },
    { "something else", "hello\r\n", "", false, true },
    { "behind the end", "0\r\n\r\n3\r\nabc\r\n", "", true, false },
};

/* In every piece of two, each of exactly its size. */
static void test_chunks(void **state) {
    for (size_t i = 0; i < LN_COUNT(chunked); i++) {
        size_t size = strlen(chunked[i].text);
        for (size_t cut = 0; cut <= size; cut++) {
            ln_chunks c = { 0 };
            ln_buf out;
            ln_buf_init(&out, 1000);
            ln_slice first = ln_test_exact(ln_slice_of(chunked[i].text, cut));
            ln_slice rest = ln_test_exact(ln_slice_of(chunked[i].text + cut, size - cut));
            assert_true(ln_chunks_feed(&c, first, &out) && ln_chunks_feed(&c, rest, &out));
            if (!ln_slice_eq(ln_buf_slice(&out), ln_slice_str(chunked[i].want)) ||
                c.ended != chunked[i].ended || c.broken != chunked[i].broken)
                fail_msg("%s, cut at %zu", chunked[i].why, cut);
            ln_test_drop(first);
            ln_test_drop(rest);
            ln_buf_fini(&out);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_answers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
