#include "base/mem.h"
#include "base/testing.h"
#include "lib/ledger.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1700000000

static const ln_map_key key = { 1, 2 };
static char folder[] = "/tmp/linnet-ledger-XXXXXX";
static char path[64];

static void write_file(const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static size_t read_file(char *out, size_t room) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, room - 1, f);
    out[n] = 0;
    fclose(f);
    return n;
}

static ln_ban_verdict verdict(const ln_bans *bans, const char *user) {
    const ln_ban_who who = { .user = ln_slice_str(user) };
    return ln_bans_judge(bans, &who, NOW);
}

static void test_lines(void **state) {
    (void)state;
    static const struct {
        const char *why, *text;
        int err;
        uint32_t count;
    } rows[] = {
        { "nothing", "", LINNET_OK, 0 },
        { "a ban", "put USER 0 0 eve\n", LINNET_OK, 1 },
        { "a name with spaces", "put USER 0 0 eve of the house\n", LINNET_OK, 1 },
        { "the last word counts", "put USER 0 0 eve\nlift USER eve\n", LINNET_OK, 0 },
        { "all kinds",
            "put USER 0 0 a\nput ADDRESS 0 0 192.0.2.1\nput ISSUED 0 5 a\nput TOKEN 0 0 t\n"
            "put SESSION 0 0 0123456789abcdef0123456789abcdef\n",
            LINNET_OK, 5 },
        { "a line that was cut off is forgotten", "put USER 0 0 eve\nput USER 0 0 an", LINNET_OK,
            1 },
        { "an unknown deed", "ban USER 0 0 eve\n", LINNET_ERR_INVAL, 0 },
        { "an unknown kind", "put CAT 0 0 eve\n", LINNET_ERR_INVAL, 0 },
        { "no number", "put USER x 0 eve\n", LINNET_ERR_INVAL, 0 },
        { "a number less", "put USER 0 eve\n", LINNET_ERR_INVAL, 0 },
        { "no name", "put USER 0 0 \n", LINNET_ERR_INVAL, 0 },
        { "no name at all", "put USER 0 0\n", LINNET_ERR_INVAL, 0 },
        { "an empty line", "\n", LINNET_ERR_INVAL, 0 },
        { "no address", "put ADDRESS 0 0 192.0.2\n", LINNET_ERR_INVAL, 0 },
        { "a mistake behind a good line", "put USER 0 0 eve\nx\n", LINNET_ERR_INVAL, 1 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_bans bans;
        ln_bans_init(&bans, key, 100);
        write_file(rows[i].text);
        if (ln_ledger_read(path, &bans, NOW) != rows[i].err || bans.map.count != rows[i].count)
            fail_msg("%s", rows[i].why);
        ln_bans_fini(&bans);
    }
    ln_bans bans;
    ln_bans_init(&bans, key, 1);
    write_file("put USER 0 0 a\nput USER 0 0 b\n");
    assert_int_equal(ln_ledger_read(path, &bans, NOW), LINNET_ERR_LIMIT);
    ln_bans_fini(&bans);
    unlink(path);
    ln_bans_init(&bans, key, 1);
    assert_int_equal(ln_ledger_read(path, &bans, NOW), LINNET_OK); /* no file is no mistake */
    ln_bans_fini(&bans);
}

static void put(ln_ledger *l, ln_bans *bans, bool lift, const char *user) {
    ln_slice name = ln_slice_str(user);
    if (lift)
        ln_bans_lift(bans, LN_BAN_USER, name, NOW);
    else
        assert_int_equal(ln_bans_put(bans, LN_BAN_USER, name, 0, 0, NOW), LINNET_OK);
    assert_int_equal(ln_ledger_put(l, bans, NOW, lift, LN_BAN_USER, name, 0, 0), LINNET_OK);
}

/* What one server has written the next one reads, whatever was cut off. */
static void test_outlives(void **state) {
    (void)state;
    ln_ledger l;
    ln_bans bans;
    struct stat st;
    char text[256];
    ln_ip ip;
    unlink(path);
    ln_bans_init(&bans, key, 100);
    assert_int_equal(ln_ledger_open(&l, path, &bans, NOW), LINNET_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    put(&l, &bans, false, "eve");
    put(&l, &bans, false, "bob");
    put(&l, &bans, true, "eve");
    assert_true(ln_ip_parse(LN_SLICE("2001:db8::1"), &ip));
    ip = ln_ip_subscriber(&ip);
    assert_int_equal(
        ln_ledger_put(&l, &bans, NOW, false, LN_BAN_ADDRESS, ln_slice_of(&ip, sizeof ip), 0, 7),
        LINNET_OK);
    ln_ledger_close(&l);
    ln_bans_fini(&bans);
    read_file(text, sizeof text);
    assert_string_equal(text, "put USER 0 0 eve\nput USER 0 0 bob\nlift USER eve\n"
                              "put ADDRESS 7 0 2001:db8::\n");
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "put USER 0 0 hal", 16), 16); /* and here the power went off */
    close(fd);
    ln_bans_init(&bans, key, 100);
    assert_int_equal(ln_ledger_open(&l, path, &bans, NOW), LINNET_OK);
    assert_int_equal(verdict(&bans, "bob"), LN_BAN_BANNED);
    assert_int_equal(verdict(&bans, "eve"), LN_BAN_FREE);
    assert_int_equal(verdict(&bans, "hal"), LN_BAN_FREE);
    put(&l, &bans, false, "ida");
    ln_ledger_close(&l);
    ln_bans_fini(&bans);
    ln_bans_init(&bans, key, 100);
    assert_int_equal(ln_ledger_read(path, &bans, NOW), LINNET_OK);
    assert_int_equal(verdict(&bans, "ida"), LN_BAN_BANNED);
    ln_bans_fini(&bans);
}

/* A name banned and let in again and again does not make the file long. */
static void test_rewritten(void **state) {
    (void)state;
    ln_ledger l;
    ln_bans bans;
    struct stat st;
    unlink(path);
    ln_bans_init(&bans, key, 100);
    assert_int_equal(ln_ledger_open(&l, path, &bans, NOW), LINNET_OK);
    put(&l, &bans, false, "kept");
    for (int i = 0; i < 3000; i++)
        put(&l, &bans, i % 2, "eve");
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < 20 * 1100);
    ln_ledger_close(&l);
    ln_bans_fini(&bans);
    ln_bans_init(&bans, key, 100);
    assert_int_equal(ln_ledger_read(path, &bans, NOW), LINNET_OK);
    assert_int_equal(verdict(&bans, "kept"), LN_BAN_BANNED);
    assert_int_equal(verdict(&bans, "eve"), LN_BAN_FREE);
    ln_bans_fini(&bans);
}

static void test_nowhere(void **state) {
    (void)state;
    ln_ledger l;
    ln_bans bans;
    ln_bans_init(&bans, key, 100);
    assert_int_equal(ln_ledger_open(&l, "/proc/nothing/of/the/kind", &bans, NOW), LINNET_ERR_SYS);
    assert_int_equal(l.fd, -1);
    assert_int_equal(ln_ledger_open(&l, "/dev/full", &bans, NOW), LINNET_ERR_SYS);
    ln_bans_fini(&bans);
}

static void test_memory(void **state) {
    (void)state;
    ln_test_memory memory = { 0 };
    ln_test_memory_install(&memory);
    write_file("put USER 0 0 eve\n");
    int failed = 0;
    for (bool ok = false; !ok; failed += !ok) {
        ln_ledger l;
        ln_bans bans;
        ln_bans_init(&bans, key, 100);
        memory.fail_at = memory.calls + (uint64_t)failed + 1;
        int err = ln_ledger_open(&l, path, &bans, NOW);
        ok = err == LINNET_OK;
        memory.fail_at = 0;
        if (ok)
            ln_ledger_close(&l);
        else
            assert_int_equal(err, LINNET_ERR_NOMEM);
        ln_bans_fini(&bans);
        assert_int_equal(memory.live, 0);
    }
    assert_int_equal(failed, 4); /* the text, a ban, the table, the name of the file */
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_outlives),
        cmocka_unit_test(test_rewritten),
        cmocka_unit_test(test_nowhere),
        cmocka_unit_test(test_memory),
    };
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/bans", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return failed;
}
