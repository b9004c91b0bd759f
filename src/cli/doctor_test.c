#include "base/testing.h"
#include "cli/doctor.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What was found, in place of doctor.c's lines. */
static char said[8192];

void ln_found(
    ln_doctor *d, ln_finding how, const char *what, const char *advice, const char *format, ...) {
    size_t used = strlen(said);
    va_list args;
    va_start(args, format);
    used += (size_t)snprintf(said + used, sizeof said - used, "%d %s: ", how, what);
    used += (size_t)vsnprintf(said + used, sizeof said - used, format, args);
    snprintf(said + used, sizeof said - used, "\n");
    va_end(args);
    assert_true(how == LN_FINE || advice);
    d->failed += how == LN_FAIL;
    d->warned += how == LN_WARN;
}

static const struct {
    const char *url, *host, *port, *path; /* host NULL: refused */
    bool tls;
} targets[] = {
    { "ws://a", "a", "80", "/ws", false },
    { "wss://a/", "a", "443", "/ws", true },
    { "http://a:8080/x?y=1#z", "a", "8080", "/x?y=1", false },
    { "HTTPS://a.b/ws/c", "a.b", "443", "/ws/c", true },
    { "ws://[::1]:9/ws", "::1", "9", "/ws", false },
    { "ws://[::1]", "::1", "80", "/ws", false },
    { "ws://", NULL, NULL, NULL, false },
    { "ftp://a", NULL, NULL, NULL, false },
    { "a:80", NULL, NULL, NULL, false },
    { "ws://u:p@a", NULL, NULL, NULL, false },
    { "ws://a:99999", NULL, NULL, NULL, false },
    { "ws://a:", NULL, NULL, NULL, false },
    { "ws://[::1", NULL, NULL, NULL, false },
    { "ws://a/x y", NULL, NULL, NULL, false },
    { "ws://a/x\r\nY: z", NULL, NULL, NULL, false },
    { "ws://a?x", NULL, NULL, NULL, false },
};

static void addresses(void **state) {
    for (size_t i = 0; i < LN_COUNT(targets); i++) {
        ln_doctor_target t;
        bool ok = ln_doctor_target_of(targets[i].url, &t);
        if (ok != (targets[i].host != NULL)) fail_msg("%s", targets[i].url);
        if (!ok) continue;
        assert_string_equal(t.host, targets[i].host);
        assert_string_equal(t.port, targets[i].port);
        assert_string_equal(t.path, targets[i].path);
        assert_int_equal(t.tls, targets[i].tls);
    }
}

static void put(const char *folder, const char *name, const char *text) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const struct {
    const char *why, *name, *text, *want;
} rows[] = {
    { "a short queue", "sys/net/core/somaxconn", "128\n", "1 somaxconn: 128 " },
    { "a long one", "sys/net/core/somaxconn", "4096\n", "0 somaxconn: 4096 " },
    { "little memory", "sys/net/ipv4/tcp_mem", "1\t2\t3\n", "1 tcp_mem: TCP may use 0 MiB" },
    { "much", "sys/net/ipv4/tcp_mem", "1 2 999999\n", "0 tcp_mem: " },
    { "a file that says something else", "sys/net/ipv4/tcp_mem", "hello\n", "0 conntrack: " },
    { "a full table", "sys/net/netfilter/nf_conntrack_count", "99990\n",
        "2 conntrack: 99990 of 100000" },
    { "a table with room", "sys/net/netfilter/nf_conntrack_count", "10\n",
        "0 conntrack: 10 of 100000" },
};

static void this_machine(void **state) {
    char folder[] = "/tmp/ln-doctor-XXXXXX";
    assert_non_null(mkdtemp(folder));
    static const char *const folders[] = { "sys", "sys/net", "sys/net/core", "sys/net/ipv4",
        "sys/net/netfilter" };
    for (size_t i = 0; i < LN_COUNT(folders); i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_doctor d = { .json = false };
        said[0] = 0;
        put(folder, rows[i].name, rows[i].text);
        if (strstr(rows[i].name, "netfilter"))
            put(folder, "sys/net/netfilter/nf_conntrack_max", "100000\n");
        ln_doctor_host(&d, folder);
        if (!strstr(said, rows[i].want)) fail_msg("%s: %s", rows[i].why, said);
        assert_non_null(strstr(said, "clock: "));
        assert_non_null(strstr(said, "descriptors: "));
    }
    static const char *const files[] = { "sys/net/core/somaxconn", "sys/net/ipv4/tcp_mem",
        "sys/net/netfilter/nf_conntrack_count", "sys/net/netfilter/nf_conntrack_max" };
    for (size_t i = 0; i < LN_COUNT(files); i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    for (size_t i = LN_COUNT(folders); i--;) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        rmdir(path);
    }
    rmdir(folder);
}

static void files(void **state) {
    static const struct {
        mode_t mode;
        bool secret;
        int how;
    } modes[] = { { 0600, true, LN_FINE }, { 0640, true, LN_FINE }, { 0644, true, LN_FAIL },
        { 0644, false, LN_FINE }, { 0664, false, LN_FAIL }, { 0602, true, LN_FAIL } };
    char path[] = "/tmp/ln-doctor-XXXXXX", want[8];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < LN_COUNT(modes); i++) {
        ln_doctor d = { .json = false };
        said[0] = 0;
        assert_int_equal(fchmod(fd, modes[i].mode), 0);
        ln_doctor_file(&d, "key", path, modes[i].secret);
        snprintf(want, sizeof want, "%d key", modes[i].how);
        if (strncmp(said, want, strlen(want)) != 0) fail_msg("%o: %s", modes[i].mode, said);
    }
    close(fd);
    unlink(path);
    ln_doctor d = { .json = false };
    ln_doctor_file(&d, "key", path, true);
    assert_int_equal(d.failed, 1);
}

static void every_status_has_advice(void **state) {
    for (int status = 100; status < 600; status++)
        assert_true(strlen(ln_doctor_upgrade_advice(status)) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(this_machine),
        cmocka_unit_test(files),
        cmocka_unit_test(every_status_has_advice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
