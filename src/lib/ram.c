#include "lib/ram.h"
#include "base/err.h"
#include "base/num.h"
#include <stdio.h>
#include <unistd.h>

#define PATH_SIZE 1024
#define MOUNT     "/sys/fs/cgroup"
#define UNKNOWN   (UINT64_C(1) << 30) /* where nobody says how much there is */

static size_t read_file(const char *path, char *out, size_t size) {
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    size_t n = fread(out, 1, size, f);
    fclose(f);
    return n;
}

/* What a file says, if it is a number; "max" is none. */
static void lower_to(const char *path, uint64_t *least) {
    char text[64];
    uint64_t limit;
    ln_slice said = ln_slice_trim(ln_slice_of(text, read_file(path, text, sizeof text)));
    if (said.size && said.data[said.size - 1] == '\n') said.size--;
    if (ln_num_u64(said, UINT64_MAX, &limit) && limit && limit < *least) *least = limit;
}

/* Of a group and of all around it, up to the root of the tree. */
static void walk_up(const char *tree, ln_slice group, const char *file, uint64_t *least) {
    char path[PATH_SIZE];
    for (;;) {
        while (group.size && group.data[group.size - 1] == '/')
            group.size--;
        int n = snprintf(
            path, sizeof path, "%s%.*s/%s", tree, (int)group.size, (const char *)group.data, file);
        if (n > 0 && n < PATH_SIZE) lower_to(path, least);
        if (!group.size) return;
        while (group.size && group.data[group.size - 1] != '/')
            group.size--;
    }
}

static bool names_memory(ln_slice controllers) {
    for (ln_slice one; ln_slice_cut(&controllers, ',', &one);)
        if (ln_slice_eq(one, LN_SLICE("memory"))) return true;
    return false;
}

uint64_t ln_ram_in(const char *root, ln_slice groups, uint64_t machine) {
    static const char *const unified[] = { MOUNT, MOUNT "/unified" };
    char tree[PATH_SIZE];
    uint64_t least = machine ? machine : UNKNOWN;
    for (ln_slice line, number, controllers; ln_slice_cut(&groups, '\n', &line);) {
        if (!ln_slice_cut(&line, ':', &number) || !ln_slice_cut(&line, ':', &controllers)) continue;
        if (names_memory(controllers)) {
            snprintf(tree, sizeof tree, "%s" MOUNT "/memory", root);
            walk_up(tree, line, "memory.limit_in_bytes", &least);
        }
        for (size_t i = 0; !controllers.size && i < sizeof unified / sizeof unified[0]; i++) {
            snprintf(tree, sizeof tree, "%s%s", root, unified[i]);
            walk_up(tree, line, "memory.max", &least);
        }
    }
    return least;
}

uint64_t ln_ram(void) {
    char groups[4096];
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    size_t n = read_file("/proc/self/cgroup", groups, sizeof groups);
    return ln_ram_in("", ln_slice_of(groups, n), machine);
}
