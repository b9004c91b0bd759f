/* problems.h -- what is wrong, all of it, with the place where it stands.
 */
#ifndef LN_DAEMON_PROBLEMS_H
#define LN_DAEMON_PROBLEMS_H
#include <stdint.h>

typedef enum ln_source_kind {
    LN_SOURCE_STANDARD,
    LN_SOURCE_FILE,
    LN_SOURCE_ENVIRONMENT,
    LN_SOURCE_FLAG
} ln_source_kind;

typedef struct ln_source { /* where a value was said */
    ln_source_kind kind;
    uint32_t line, column; /* of FILE, from 1 */
} ln_source;

#define LN_PROBLEMS_MAX     20
#define LN_PROBLEM_TEXT_MAX 600
typedef struct ln_problems {
    const char *file; /* that the lines are of */
    unsigned count;   /* more than LN_PROBLEMS_MAX are counted only */
    struct ln_problem {
        uint32_t line, column; /* 0: not of the file */
        char text[LN_PROBLEM_TEXT_MAX];
    } items[LN_PROBLEMS_MAX];
} ln_problems;

/* at: NULL or not of a file: it has no line. */
void ln_problem(ln_problems *p, const ln_source *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* On stderr, "linnet.yaml:12:5: ..." each. */
void ln_problems_say(const ln_problems *p);
#endif
