/* replay NAME... -- runs a target over files and folders of inputs, without libFuzzer, and says
 * TAP: one test per argument. The input at work is named before it runs, so that a crash's
 * last line tells it.
 */
#include "fuzz.h"
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

static bool replay_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    struct stat st;
    uint8_t *bytes = NULL;
    bool ok = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode);
    size_t size = ok ? (size_t)st.st_size : 0;
    ok = ok && ((bytes = malloc(size)) || size == 0);
    ok = ok && fread(bytes, 1, size, f) == size;
    fclose(f);
    if (ok) {
        printf("# %s\n", path);
        fflush(stdout);
        fuzz_one(ln_slice_of(bytes, size));
    }
    free(bytes);
    return ok;
}

static int visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static bool of_regressions(const char *path) {
    return strstr(path, "/regression/") != NULL;
}

/* The number of inputs, or -1. A target without finds has no folder in regression/; but a
 * corpus without inputs is a mistake. */
static int replay_folder(const char *path) {
    struct dirent **entries;
    int n = scandir(path, &entries, visible, alphasort);
    if (n < 0 && errno == ENOENT && of_regressions(path)) return 0;
    if (n < 0) return -1;
    bool ok = true;
    for (int i = 0; i < n; i++) {
        char name[4096];
        int length = snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        ok = ok && length > 0 && (size_t)length < sizeof(name) && replay_file(name);
        free(entries[i]);
    }
    free(entries);
    return ok && (n > 0 || of_regressions(path)) ? n : -1;
}

int main(int argc, char **argv) {
    int failed = 0;
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        bool file = stat(argv[i], &st) == 0 && S_ISREG(st.st_mode);
        int n = file ? (replay_file(argv[i]) ? 1 : -1) : replay_folder(argv[i]);
        const char *name = strrchr(argv[i], '/');
        printf("%sok %d - %d inputs of %s%s\n", n < 0 ? "not " : "", i, n < 0 ? 0 : n,
            of_regressions(argv[i]) ? "regression" : "corpus", name ? name : argv[i]);
        failed += n < 0;
    }
    return failed > 0 || argc < 2;
}
