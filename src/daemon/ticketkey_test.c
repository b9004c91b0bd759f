/* Where the keys for tickets come from. */
#include "base/testing.h"
#include "daemon/ticketkey.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONG_ONE "a secret of the configuration, long enough"

static ln_options *options_of(ln_options *o, const char *folder, const char **keys, size_t count) {
    memset(o, 0, sizeof *o);
    o->state_dir = folder;
    for (size_t i = 0; i < count; i++)
        o->resume_keys.items[i] = keys[i];
    o->resume_keys.count = count;
    return o;
}

static void of_the_configuration(void **state) {
    (void)state;
    const char *good[] = { LONG_ONE, LONG_ONE "!" }, *bad[] = { LONG_ONE, "short" };
    ln_options o;
    ln_ticketkeys k;
    assert_true(ln_ticketkeys_take(&k, options_of(&o, NULL, good, 2), true));
    assert_int_equal(k.count, 2);
    assert_true(ln_slice_eq(k.keys[0], LN_SLICE(LONG_ONE)));
    assert_false(ln_ticketkeys_take(&k, options_of(&o, NULL, bad, 2), true));
}

static void of_a_file(void **state) {
    (void)state;
    char folder[] = "/tmp/linnet-ticketkey-XXXXXX", path[100], made[LN_TICKETKEY_MADE];
    struct stat is;
    ln_options o;
    ln_ticketkeys k;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/resume.key", folder);
    options_of(&o, folder, NULL, 0);
    assert_true(ln_ticketkeys_take(&k, &o, false)); /* only tried */
    assert_int_equal(k.count, 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(ln_ticketkeys_take(&k, &o, true));
    assert_int_equal(k.count, 1);
    memcpy(made, k.made, sizeof made);
    assert_int_equal(stat(path, &is), 0);
    assert_int_equal(is.st_mode & 0777, 0600);
    assert_true(ln_ticketkeys_take(&k, &o, true)); /* the next start */
    assert_memory_equal(k.made, made, sizeof made);
    assert_int_equal(chmod(path, 0640), 0);
    assert_false(ln_ticketkeys_take(&k, &o, true)); /* who has read it? */
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 10), 0);
    assert_false(ln_ticketkeys_take(&k, &o, true));
    assert_int_equal(unlink(path), 0);
    assert_true(ln_ticketkeys_take(&k, &o, true));
    assert_memory_not_equal(k.made, made, sizeof made);
    ln_ticketkeys_forget(&k);
    assert_int_equal(k.made[0], 0);
    unlink(path);
    rmdir(folder);
    assert_false(ln_ticketkeys_take(&k, &o, true)); /* there is no folder */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_the_configuration),
        cmocka_unit_test(of_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
