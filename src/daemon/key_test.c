#include "base/testing.h"
#include "daemon/key.h"
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define K "0123456789abcdef"

static const struct line {
    const char *why, *text;
    int err;
    size_t count;
    uint32_t scopes; /* of the last */
    const char *name;
} lines[] = {
    { "nothing", "", 0, 0, 0, "" },
    { "comments and empty lines", "# a\n\n  \n#b\n", 0, 0, 0, "" },
    { "one that may do all", K, 0, 1, LN_SCOPE_ALL, "" },
    { "with an end of line", K "\n", 0, 1, LN_SCOPE_ALL, "" },
    { "with that of another system", K "\r\n", 0, 1, LN_SCOPE_ALL, "" },
    { "a scope", K " metrics\n", 0, 1, LN_SCOPE_METRICS, "" },
    { "two scopes", K " metrics,publish", 0, 1, LN_SCOPE_METRICS | LN_SCOPE_PUBLISH, "" },
    { "all of them by a word", K "\tall", 0, 1, LN_SCOPE_ALL, "" },
    { "a name", K " read  prom.1-a_B", 0, 1, LN_SCOPE_READ, "prom.1-a_B" },
    { "two keys", K "\n" K "x operate", 0, 2, LN_SCOPE_OPERATE, "" },
    { "15 characters", "0123456789abcde", LINNET_ERR_INVAL, 0, 0, "" },
    { "an unknown scope", K " everything", LINNET_ERR_INVAL, 0, 0, "" },
    { "an empty scope", K " metrics,", LINNET_ERR_INVAL, 0, 0, "" },
    { "a control character", K "\x01", LINNET_ERR_INVAL, 0, 0, "" },
    { "not ASCII", K "\xc3\xa9", LINNET_ERR_INVAL, 0, 0, "" },
    { "a name with a quote", K " all a\"b", LINNET_ERR_INVAL, 0, 0, "" },
    { "a name too long", K " all abcdefghijklmnopqrstuvwxyzabcdef", LINNET_ERR_INVAL, 0, 0, "" },
    { "a fourth word", K " all a b", LINNET_ERR_INVAL, 0, 0, "" },
    { "twice the same", K "\n" K, LINNET_ERR_EXISTS, 1, LN_SCOPE_ALL, "" },
};

static void test_lines(void **state) {
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const struct line *r = &lines[i];
        ln_keys k = { .count = 0 };
        unsigned line;
        ln_slice exact = ln_test_exact(ln_slice_str(r->text));
        int err = ln_keys_read(&k, exact, &line);
        ln_test_drop(exact);
        if (err != r->err || k.count != r->count) fail_msg("%s: %d, %zu", r->why, err, k.count);
        if (!r->count) continue;
        assert_int_equal(k.items[k.count - 1].scopes, r->scopes);
        assert_string_equal(k.items[k.count - 1].name, r->name);
    }
}

static void test_many(void **state) {
    ln_keys k = { .count = 0 };
    char text[32];
    for (int i = 0; i < LN_KEYS_MAX; i++) {
        snprintf(text, sizeof text, "%s%04d", K, i);
        assert_int_equal(ln_keys_add(&k, ln_slice_str(text), 1, ln_slice_str("")), LINNET_OK);
    }
    assert_int_equal(ln_keys_add(&k, LN_SLICE(K), 1, ln_slice_str("")), LINNET_ERR_LIMIT);
    unsigned line;
    assert_int_equal(ln_keys_read(&k, LN_SLICE("# x\n" K), &line), LINNET_ERR_LIMIT);
    assert_int_equal(line, 2);
}

static const struct find {
    const char *why, *given;
    int want; /* index, or -1 */
} finds[] = {
    { "the first", K, 0 },
    { "the second", K "second", 1 },
    { "nothing", "", -1 },
    { "a beginning", "0123456789abcde", -1 },
    { "one longer", K "s", -1 },
    { "the last byte differs", "0123456789abcdeF", -1 },
    { "the first byte differs", "x123456789abcdef", -1 },
};

static void test_find(void **state) {
    ln_keys k = { .count = 0 };
    char longest[LN_KEY_MAX + 2];
    ln_keys_add(&k, LN_SLICE(K), 1, ln_slice_str(""));
    ln_keys_add(&k, LN_SLICE(K "second"), 1, ln_slice_str(""));
    for (size_t i = 0; i < sizeof finds / sizeof finds[0]; i++) {
        const ln_key *got = ln_keys_find(&k, ln_slice_str(finds[i].given));
        const ln_key *want = finds[i].want < 0 ? NULL : &k.items[finds[i].want];
        if (got != want) fail_msg("%s", finds[i].why);
    }
    /* What is padded with is no part of a key. */
    assert_null(ln_keys_find(&k, ln_slice_of(K "\0\0", 18)));
    memset(longest, 'x', sizeof longest);
    assert_null(ln_keys_find(&k, ln_slice_of(longest, LN_KEY_MAX + 1)));
    assert_int_equal(ln_keys_add(&k, ln_slice_of(longest, LN_KEY_MAX + 1), 1, ln_slice_str("")),
        LINNET_ERR_INVAL);
    assert_int_equal(
        ln_keys_add(&k, ln_slice_of(longest, LN_KEY_MAX), 1, ln_slice_str("")), LINNET_OK);
    assert_ptr_equal(ln_keys_find(&k, ln_slice_of(longest, LN_KEY_MAX)), &k.items[2]);
    ln_keys_forget(&k);
    assert_null(ln_keys_find(&k, LN_SLICE(K)));
}

static void test_made(void **state) {
    ln_keys a = { .count = 0 }, b = { .count = 0 };
    ln_keys_make(&a);
    ln_keys_make(&b);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.items[0].size, LN_KEY_MADE);
    assert_int_equal(a.items[0].scopes, LN_SCOPE_ALL);
    assert_memory_not_equal(a.items[0].text, b.items[0].text, LN_KEY_MADE);
}

static const struct bearer {
    const char *why, *header, *key; /* NULL: refused */
} bearers[] = {
    { "as it is", "Bearer " K, K },
    { "another case", "bEARER " K, K },
    { "more spaces", "Bearer   " K "  ", K },
    { "no key", "Bearer ", NULL },
    { "no space", "Bearer" K, NULL },
    { "another scheme", "Basic " K, NULL },
    { "nothing", "", NULL },
    { "two words", "Bearer " K " " K, NULL },
    { "too short for a key", "Bearer x", NULL },
};

static void test_bearer(void **state) {
    for (size_t i = 0; i < sizeof bearers / sizeof bearers[0]; i++) {
        ln_slice key = { NULL, 0 };
        bool ok = ln_key_bearer(ln_slice_str(bearers[i].header), &key);
        bool want = bearers[i].key && ln_slice_eq(key, ln_slice_str(bearers[i].key));
        if (ok != (bearers[i].key != NULL) || (ok && !want)) fail_msg("%s", bearers[i].why);
    }
}

static const struct host {
    const char *why, *host;
    bool want;
} hosts[] = {
    { "an address", "127.0.0.1", true },
    { "and a port", "10.0.0.1:8080", true },
    { "of the sixth version", "[::1]", true },
    { "and a port", "[fe80::1]:80", true },
    { "localhost", "LocalHost:8080", true },
    { "one that is listed", "linnet.example:1", true },
    { "in another case", "LINNET.example", true },
    { "a stranger", "evil.test", false },
    { "one that ends like ours", "evil.linnet.example", false },
    { "one that begins like an address", "127.0.0.1.nip.io", false },
    { "one that begins like localhost", "localhost.evil.test", false },
    { "nothing", "", false },
    { "a port alone", ":8080", false },
    { "a bracket", "[", false },
    { "brackets around nothing", "[]", false },
};

static void test_host(void **state) {
    const char *const names[] = { "linnet.example", NULL }, *const all[] = { "*", NULL };
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        ln_slice exact = ln_test_exact(ln_slice_str(hosts[i].host));
        ln_slice host = exact;
        if (ln_key_host(host, names) != hosts[i].want) fail_msg("%s", hosts[i].why);
        assert_true(ln_key_host(host, all));
        ln_test_drop(exact);
    }
    assert_false(ln_key_host(LN_SLICE("linnet.example"), NULL));
}

static void test_file_names(void **state) {
    static const char *const rows[][2] = { { "127.0.0.1:8080", "8080.key" }, { "[::1]:9", "9.key" },
        { "unix:/run/door", "unix-run-door.key" }, { "unix:door", "unix-door.key" },
        { "unix:../a/b", "unix-..-a-b.key" }, { "unix:@hidden/x", "unix-@hidden-x.key" } };
    char name[LN_KEY_PATH_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ln_key_file_name(rows[i][0], name);
        assert_string_equal(name, rows[i][1]);
    }
}

/* A folder of this test alone, as every folder there can be. */
static char home[64];

static int go_home(void **state) {
    snprintf(home, sizeof home, "/tmp/linnet-key-XXXXXX");
    if (!mkdtemp(home)) return -1;
    setenv("RUNTIME_DIRECTORY", home, 1);
    setenv("XDG_RUNTIME_DIR", home, 1);
    return 0;
}

static int remove_one(const char *path, const struct stat *is, int type, struct FTW *at) {
    return remove(path);
}

static int leave_home(void **state) {
    return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_kept(void **state) {
    ln_keys k = { .count = 0 };
    char path[LN_KEY_PATH_MAX], got[LN_KEY_MAX + 1];
    struct stat is;
    ln_keys_make(&k);
    assert_int_equal(ln_key_keep(&k.items[0], "127.0.0.1:1", path), LINNET_OK);
    assert_ptr_equal(strstr(path, home), path);
    assert_int_equal(stat(path, &is), 0);
    assert_int_equal(is.st_mode & 0777, 0600);
    assert_true(ln_key_recall("[::]:1", got));
    assert_memory_equal(got, k.items[0].text, LN_KEY_MADE);
    assert_false(ln_key_recall("127.0.0.1:2", got));
    ln_keys other = { .count = 0 };
    ln_keys_make(&other);
    ln_key_discard(&other.items[0], "127.0.0.1:1"); /* somebody else's */
    assert_true(ln_key_recall("127.0.0.1:1", got));
    ln_key_discard(&k.items[0], "127.0.0.1:1");
    assert_false(ln_key_recall("127.0.0.1:1", got));
    assert_int_equal(ln_key_keep(&k.items[0], "127.0.0.1:1", path), LINNET_OK);
    chmod(path, 0640); /* somebody else may have read it */
    assert_false(ln_key_recall("127.0.0.1:1", got));
    unlink(path);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_false(ln_key_recall("127.0.0.1:1", got));
    assert_int_equal(ln_key_keep(&k.items[0], "127.0.0.1:1", path), LINNET_OK);
    assert_int_equal(lstat(path, &is), 0);
    assert_true(S_ISREG(is.st_mode)); /* the link was replaced, not followed */
}

/* A folder that others may write to is none. */
static void test_open_folder(void **state) {
    ln_keys k = { .count = 0 };
    char path[LN_KEY_PATH_MAX];
    ln_keys_make(&k);
    chmod(home, 0777);
    assert_int_equal(ln_key_keep(&k.items[0], "127.0.0.1:1", path), LINNET_OK);
    assert_ptr_equal(strstr(path, home), path);
    assert_non_null(strstr(path, "/linnet/")); /* below it, in one of ours */
    chmod(home, 0700);
}

static void write_text(const char *path, const char *text, mode_t mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    fchmod(fd, mode);
    close(fd);
}

static void test_gathered(void **state) {
    char file[128], credential[128];
    snprintf(file, sizeof file, "%s/given", home);
    snprintf(credential, sizeof credential, "%s/linnet.keys", home);
    write_text(file, "file-0123456789abcdef metrics\n", 0600);
    write_text(credential, "cred-0123456789abcdef", 0400);
    setenv("CREDENTIALS_DIRECTORY", home, 1);
    setenv("LINNET_API_KEY", "env-0123456789abcdef", 1);
    const char *in_environment = getenv("LINNET_API_KEY");
    ln_keys k = { .count = 0 };
    assert_int_equal(ln_keys_gather(&k, file, false), -1);
    assert_int_equal(k.count, 3);
    assert_non_null(ln_keys_find(&k, LN_SLICE("env-0123456789abcdef")));
    assert_int_equal(ln_keys_find(&k, LN_SLICE("file-0123456789abcdef"))->scopes, LN_SCOPE_METRICS);
    assert_non_null(ln_keys_find(&k, LN_SLICE("cred-0123456789abcdef")));
    assert_null(getenv("LINNET_API_KEY"));
    assert_int_equal(in_environment[0], 0); /* where /proc would read it */
    unsetenv("CREDENTIALS_DIRECTORY");

    k.count = 0;
    write_text(file, "file-0123456789abcdef\n", 0644);
    assert_int_equal(ln_keys_gather(&k, file, false), 1); /* everybody may read it */
    assert_int_equal(ln_keys_gather(&k, file, true), -1);
    write_text(file, "# none\n", 0600);
    assert_int_equal(ln_keys_gather(&k, file, false), 1);
    assert_int_equal(ln_keys_gather(&k, "/nowhere/at/all", false), 1);
    setenv("LINNET_API_KEY", "short", 1);
    assert_int_equal(ln_keys_gather(&k, NULL, false), 2);
    assert_int_equal(ln_keys_gather(&k, NULL, false), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_bearer),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_file_names),
        cmocka_unit_test_setup_teardown(test_kept, go_home, leave_home),
        cmocka_unit_test_setup_teardown(test_open_folder, go_home, leave_home),
        cmocka_unit_test_setup_teardown(test_gathered, go_home, leave_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
