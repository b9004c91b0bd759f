#include "base/testing.h"
#include "daemon/log.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define AT 1700000000123u /* 2023-11-14T22:13:20.123Z */

static const struct row {
    const char *why;
    ln_log_format format;
    const char *line, *want;
} rows[] = {
    { "JSON", LN_LOG_JSON, "{\"event\":\"e\",\"n\":1}",
        "{\"ts\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\",\"event\":\"e\",\"n\":1}\n" },
    { "an empty object", LN_LOG_JSON, "{}",
        "{\"ts\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\"}\n" },
    { "logfmt", LN_LOG_LOGFMT, "{\"event\":\"e\",\"n\":1,\"t\":true,\"s\":\"a:b\"}",
        "ts=2023-11-14T22:13:20.123Z level=warn event=e n=1 t=true s=a:b\n" },
    { "quotes where they are needed", LN_LOG_LOGFMT,
        "{\"a\":\"x y\",\"b\":\"\",\"c\":\"x=y\",\"d\":\"\\\"\",\"e\":\"\\n\",\"f\":\"\xc3\xa9\"}",
        "ts=2023-11-14T22:13:20.123Z level=warn a=\"x y\" b=\"\" c=\"x=y\" d=\"\\\"\" e=\"\\n\" "
        "f=\"\xc3\xa9\"\n" },
    { "for people", LN_LOG_HUMAN, "{\"event\":\"refused\",\"code\":400}",
        "22:13:20.123 warn  refused code=400\n" },
    { "what is no JSON, as JSON", LN_LOG_JSON, "{\"a\":\"\\x1b[31m\"}",
        "{\"ts\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\",\"msg\":"
        "\"{\\\"a\\\":\\\"\\\\x1b[31m\\\"}\"}\n" },
    { "T161 line ends and escapes", LN_LOG_LOGFMT, "a\r\nb\x1b[31m",
        "ts=2023-11-14T22:13:20.123Z level=warn msg=\"a\\u000d\\u000ab\\u001b[31m\"\n" },
    { "a text", LN_LOG_HUMAN, "hello", "22:13:20.123 warn  msg=\"hello\"\n" },
    { "an array", LN_LOG_HUMAN, "[1]", "22:13:20.123 warn  msg=\"[1]\"\n" },
};

static void formats(void **state) {
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_buf out;
        ln_buf_init(&out, 4096);
        assert_int_equal(
            ln_log_render(&out, rows[i].format, LINNET_LOG_WARN, AT, rows[i].line), LINNET_OK);
        if (!ln_slice_eq(ln_buf_slice(&out), ln_slice_str(rows[i].want)))
            fail_msg("%s: %.*s", rows[i].why, (int)out.size, (const char *)out.data);
        ln_buf_fini(&out);
    }
}

static void cut_anywhere(void **state) {
    static const char line[] = "{\"event\":\"e\",\"s\":\"x y\\n\",\"n\":[1,{\"a\":null}]}";
    char part[sizeof line];
    for (size_t n = 0; n < sizeof line; n++)
        for (ln_log_format f = LN_LOG_HUMAN; f <= LN_LOG_JSON; f++) {
            ln_buf out;
            ln_buf_init(&out, 4096);
            memcpy(part, line, n);
            part[n] = 0;
            assert_int_equal(ln_log_render(&out, f, LINNET_LOG_INFO, AT, part), LINNET_OK);
            ln_slice s = ln_buf_slice(&out);
            assert_int_equal(ln_slice_find(s, '\n'), s.size - 1); /* one line */
            ln_buf_fini(&out);
        }
}

/* All that can be read now, and a moment later. */
static size_t drain(int fd, char *out, size_t size) {
    size_t have = 0;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (have < size - 1 && poll(&p, 1, 0) > 0) {
        ssize_t n = read(fd, out + have, size - 1 - have);
        if (n <= 0) break;
        have += (size_t)n;
    }
    out[have] = 0;
    return have;
}

static unsigned count(const char *text, const char *what) {
    unsigned n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static void lines_arrive_in_order(void **state) {
    int fds[2];
    ln_logger *l;
    static char text[65536];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(ln_logger_new(LN_LOG_AUTO, fds[1], &l), LINNET_OK);
    ln_logger_put(l, LINNET_LOG_ERROR, "{\"n\":1}");
    ln_logger_put(l, LINNET_LOG_DEBUG, "{\"n\":2}");
    ln_logger_free(l);
    drain(fds[0], text, sizeof text);
    assert_int_equal(count(text, "\n"), 2);
    assert_non_null(strstr(text, "\"level\":\"error\",\"n\":1}\n{\"ts\":"));
    assert_non_null(strstr(text, "\"level\":\"debug\",\"n\":2}\n"));
    close(fds[0]);
    close(fds[1]);
}

/* T078: a flood is told of in a hundred lines a second, and the rest is counted. */
static void a_flood(void **state) {
    int fds[2];
    ln_logger *l;
    static char text[1 << 20];
    assert_int_equal(pipe(fds), 0);
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    assert_int_equal(ln_logger_new(LN_LOG_LOGFMT, fds[1], &l), LINNET_OK);
    for (int i = 0; i < 5000; i++)
        ln_logger_put(l, LINNET_LOG_INFO, "{\"event\":\"refused\"}");
    ln_logger_free(l);
    drain(fds[0], text, sizeof text);
    unsigned told = count(text, "event=refused"), hidden = 0;
    for (const char *at = text; (at = strstr(at, " lines=")); at++)
        hidden += (unsigned)strtoul(at + 7, NULL, 10);
    assert_in_range(told, 1, 300); /* within three seconds, however slow the machine */
    assert_int_equal(told + hidden, 5000);
    close(fds[0]);
    close(fds[1]);
}

/* stderr is a pipe that nobody reads: who logs does not wait, and neither does the end. */
static void nobody_reads(void **state) {
    int fds[2];
    ln_logger *l;
    static char line[1000], text[1 << 20];
    assert_int_equal(pipe(fds), 0);
    fcntl(fds[1], F_SETPIPE_SZ, 4096);
    snprintf(line, sizeof line, "{\"event\":\"%0900d\"}", 1);
    assert_int_equal(ln_logger_new(LN_LOG_JSON, fds[1], &l), LINNET_OK);
    for (int i = 0; i < 20000; i++)
        ln_logger_put(l, LINNET_LOG_INFO, line);
    ln_logger_free(l);
    assert_true(drain(fds[0], text, sizeof text) <= 8192);
    close(fds[0]);
    close(fds[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(lines_arrive_in_order),
        cmocka_unit_test(a_flood),
        cmocka_unit_test(nobody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
