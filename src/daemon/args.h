/* args.h -- command lines as tables: one row per option, from which parsing and --help both come.
 *
 * "--name value" and "--name=value" mean the same; "--" ends the options; what is no option is
 * left as a positional argument, in order. Mistakes are told on stderr with what to do, and are
 * exit code 2.
 */
#ifndef LN_DAEMON_ARGS_H
#define LN_DAEMON_ARGS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ln_arg_kind {
    LN_ARG_FLAG,   /* bool *: present or not */
    LN_ARG_TEXT,   /* const char **: borrowed from argv */
    LN_ARG_MAYBE,  /* const char **: "--name" gives "", "--name=value" the value */
    LN_ARG_NUMBER, /* uint64_t *: min..max */
    LN_ARG_SIZE,   /* uint64_t *: bytes, also 64k, 1m, 1g; min..max */
    LN_ARG_LIST    /* ln_arg_list *: may be repeated */
} ln_arg_kind;

#define LN_ARG_LIST_MAX 32
typedef struct ln_arg_list { /* NULL at the end */
    const char *items[LN_ARG_LIST_MAX + 1];
    size_t count;
} ln_arg_list;

typedef struct ln_arg {
    const char *name;  /* without dashes */
    const char *value; /* how --help names the value: "ADDR"; NULL for flags */
    ln_arg_kind kind;
    void *target;
    uint64_t min, max; /* of numbers */
    const char *help;
    const char *standard; /* "(default ...)" in the help; NULL or "": it says so itself */
    const char *bare;     /* what "--name" alone means, of TEXT and LIST; NULL: it wants a value */
} ln_arg;

typedef struct ln_args {
    const char *usage; /* "linnet echo --listen ADDR [options]" */
    const char *about; /* a paragraph */
    const ln_arg *rows;
    size_t count;
    const char *more; /* behind the options in --help, or NULL */
} ln_args;

/* argv[0] is the verb. Positional arguments are moved to argv[1..*positional]. Returns -1 to go on,
 * or the exit code: 0 after --help (on stdout), 2 after a mistake. */
int ln_args_parse(const ln_args *a, int argc, char **argv, int *positional);
void ln_args_help(const ln_args *a);
/* "linnet: words", newline; for all that is told on stderr. */
void ln_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
