/* oom.h -- every allocation fails once.
 *
 * A scenario does something whole through the library and gives everything back. It runs
 * first untouched and its allocations are counted; then again for every n with the n-th
 * allocation refused, and for every n with the n-th and all later ones refused; and last
 * with an n beyond the count, which must pass as if nothing were there. After each run
 *
 *   - it has answered OK (the refusal was survived) or with a row of the error table,
 *   - every block was given back, and every file descriptor closed,
 *   - the process lives.
 *
 * Blocks come filled with 0xA5, so that nobody lives on zeros that were never promised. Only
 * memory that passes base/mem.h is refused: OpenSSL's own is not, so TLS scenarios dial once
 * before they are counted (`warm`), when its tables are filled.
 *
 *     static int echo(void) { ...; return err; }
 *     static const oom_scenario scenarios[] = { { "echo", echo } };
 *     int main(int argc, char **argv) { return oom_main(argc, argv, scenarios, 1); }
 *
 * Programs end in _oom and have a row in meson.build. `make oom` walks a sample of n,
 * `make oom FULL=1` all. `NAME_oom --at 17 echo` runs one n in a debugger, `--from 17` the
 * other kind.
 */
#ifndef OOM_H
#define OOM_H
#include "linnet/types.h"

typedef struct oom_scenario {
    const char *name;
    int (*run)(void);  /* LINNET_OK, or the error it met */
    int (*warm)(void); /* once before counting; may be NULL */
} oom_scenario;

/* Says TAP, one test per scenario, titled `echo 143 of 143`. Returns the exit code. */
int oom_main(int argc, char **argv, const oom_scenario *scenarios, size_t count);
#endif
