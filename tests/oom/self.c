/* Does the frame see what it is for? Each scenario here is wrong in one way, and must fail. */
#include "base/mem.h"
#include "oom.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int right(void) {
    void *a = ln_malloc(1), *b = ln_malloc(1);
    int err = a && b ? LINNET_OK : LINNET_ERR_NOMEM;
    ln_free(a);
    ln_free(b);
    return err;
}

static int leaks_when_the_second_fails(void) {
    void *a = ln_malloc(1), *b = ln_malloc(1);
    if (a && !b) return LINNET_ERR_NOMEM;
    ln_free(a);
    ln_free(b);
    return a ? LINNET_OK : LINNET_ERR_NOMEM;
}

static int dies_when_the_second_fails(void) {
    void *a = ln_malloc(1);
    char *b = ln_malloc(1);
    if (!b && a) abort();
    ln_free(a);
    ln_free(b);
    return a ? LINNET_OK : LINNET_ERR_NOMEM;
}

static int leaves_a_descriptor_open(void) {
    int fd = open("/dev/null", O_RDONLY);
    void *a = ln_malloc(1);
    if (!a) return LINNET_ERR_NOMEM;
    ln_free(a);
    close(fd);
    return LINNET_OK;
}

static int answers_nonsense(void) {
    void *a = ln_malloc(1);
    if (!a) return -999;
    ln_free(a);
    return LINNET_OK;
}

static int never_works(void) {
    ln_free(ln_malloc(1));
    return LINNET_ERR_STATE;
}

static int allocates_nothing(void) {
    return LINNET_OK;
}

static bool passes(const oom_scenario *s) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char name[] = "self", *argv[] = { name, NULL };
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(9);
        _exit(oom_main(1, argv, s, 1));
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child) exit(9);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void) {
    static const struct {
        oom_scenario scenario;
        bool good;
    } rows[] = {
        { { "right", right, NULL }, true },
        { { "leaks when the second fails", leaks_when_the_second_fails, NULL }, false },
        { { "dies when the second fails", dies_when_the_second_fails, NULL }, false },
        { { "leaves a descriptor open", leaves_a_descriptor_open, NULL }, false },
        { { "answers nonsense", answers_nonsense, NULL }, false },
        { { "never works", never_works, NULL }, false },
        { { "allocates nothing", allocates_nothing, NULL }, false },
    };
    const int count = sizeof(rows) / sizeof(rows[0]);
    int bad = 0;
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        bool seen = passes(&rows[i].scenario) == rows[i].good;
        bad += !seen;
        printf("%sok %d - %s\n", seen ? "" : "not ", i + 1, rows[i].scenario.name);
    }
    return bad > 0;
}
