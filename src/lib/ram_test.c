#include "base/testing.h"
#include "lib/ram.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB UINT64_C(1048576)

static void put(const char *root, const char *path, const char *text) {
    char full[1024], *at = full + strlen(root) + 1;
    snprintf(full, sizeof full, "%s%s", root, path);
    while ((at = strchr(at, '/'))) {
        *at = 0;
        mkdir(full, 0700);
        *at++ = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int drop(const char *path, const struct stat *what, int kind, struct FTW *at) {
    (void)what, (void)kind, (void)at;
    return remove(path);
}

static void limits(void **state) {
    static const struct {
        const char *why;
        const char *groups;
        uint64_t machine, ram;
    } rows[] = {
        { "no groups at all", "", 64 * MIB, 64 * MIB },
        { "nobody says how much there is", "", 0, 1024 * MIB },
        { "version 2: its own limit", "0::/svc/a\n", 900 * MIB, 200 * MIB },
        { "version 2: that of the group around it", "0::/svc/b/c\n", 900 * MIB, 400 * MIB },
        { "version 2: the word max is none", "0::/free\n", 900 * MIB, 800 * MIB },
        { "version 2 in a container: the path is of another view", "0::/no/such\n", 900 * MIB,
            800 * MIB },
        { "version 2 beside version 1", "0::/old\n", 900 * MIB, 50 * MIB },
        { "version 1", "7:cpu:/x\n4:memory:/one\n", 900 * MIB, 300 * MIB },
        { "version 1 with other controllers", "4:cpu,memory:/one\n", 900 * MIB, 300 * MIB },
        { "version 1: no limit is a very large one", "4:memory:/two\n", 900 * MIB, 700 * MIB },
        { "another controller's path says nothing", "4:cpu:/one\n", 900 * MIB, 900 * MIB },
        { "the machine has less", "4:memory:/one\n", 10 * MIB, 10 * MIB },
        { "lines that are none", "4\n\nmemory\n:::\n", 900 * MIB, 800 * MIB },
        { "no line end", "4:memory:/one", 900 * MIB, 300 * MIB },
    };
    char root[] = "/tmp/ram-test-XXXXXX";
    assert_non_null(mkdtemp(root));
    put(root, "/sys/fs/cgroup/memory.max", "838860800\n");
    put(root, "/sys/fs/cgroup/svc/memory.max", "419430400\n");
    put(root, "/sys/fs/cgroup/svc/a/memory.max", "209715200\n");
    put(root, "/sys/fs/cgroup/svc/b/memory.max", "max\n");
    put(root, "/sys/fs/cgroup/free/memory.max", "max\n");
    put(root, "/sys/fs/cgroup/unified/old/memory.max", "52428800\n");
    put(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "734003200\n");
    put(root, "/sys/fs/cgroup/memory/one/memory.limit_in_bytes", "314572800\n");
    put(root, "/sys/fs/cgroup/memory/two/memory.limit_in_bytes", "9223372036854771712\n");
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        uint64_t got = ln_ram_in(root, ln_slice_str(rows[i].groups), rows[i].machine);
        if (got != rows[i].ram) fail_msg("%s: %llu", rows[i].why, (unsigned long long)got);
    }
    assert_int_equal(nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void ours(void **state) {
    uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES), page = (uint64_t)sysconf(_SC_PAGESIZE);
    assert_in_range(ln_ram(), MIB, pages * page);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(limits), cmocka_unit_test(ours) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
