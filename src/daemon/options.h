/* options.h -- what `linnet serve` can be told, and by whom.
 *
 *   standards  <  environment  <  command line
 *
 * Each overrules those before it, option by option; a list is replaced as a whole. All that is
 * wrong anywhere is collected first and told together.
 */
#ifndef LN_DAEMON_OPTIONS_H
#define LN_DAEMON_OPTIONS_H
#include "daemon/option.h"
#include "daemon/shelf.h"
#include <linnet/hub.h>
#include <linnet/server.h>

#define LN_FIELD_FLAG     bool
#define LN_FIELD_TEXT     const char *
#define LN_FIELD_NUMBER   uint64_t
#define LN_FIELD_SIZE     uint64_t
#define LN_FIELD_DURATION uint64_t
#define LN_FIELD_WORD     uint64_t
#define LN_FIELD_LIST     ln_arg_list
#define LN_FIELD_ITEMS    ln_items

typedef struct ln_space { /* what channels are like: those of a namespace, or of none */
    uint32_t line;        /* in the file */
    const char *name;
#define NAMESPACE(kind, field, ...) LN_FIELD_##kind field;
#include "daemon/options.def"
} ln_space;

enum {
    LN_OPTION_COUNT = 0
#define OPTION(...)    +1
#define NAMESPACE(...) +1
#include "daemon/options.def"
};

typedef enum ln_source_kind {
    LN_SOURCE_STANDARD,
    LN_SOURCE_FILE,
    LN_SOURCE_ENVIRONMENT,
    LN_SOURCE_FLAG
} ln_source_kind;

typedef struct ln_source {
    ln_source_kind kind;
    uint32_t line, column; /* of FILE, from 1 */
} ln_source;

typedef struct ln_options {
#define OPTION(kind, field, ...) LN_FIELD_##kind field;
#include "daemon/options.def"
    ln_space standard; /* of channels of no namespace */
    ln_source from[LN_OPTION_COUNT];
    ln_shelf shelf; /* what is neither of the environment nor of argv */
} ln_options;

/* The rows, and those of the NAMESPACE ones that stand among them. */
const ln_option_table *ln_options_table(void);

/* What is wrong. */
#define LN_PROBLEMS_MAX 20
typedef struct ln_problems {
    const char *file; /* that the lines are of */
    unsigned count;   /* more than LN_PROBLEMS_MAX are counted only */
    struct ln_problem {
        uint32_t line, column; /* 0: not of the file */
        char text[LN_OPTION_WHY_MAX + 100];
    } items[LN_PROBLEMS_MAX];
} ln_problems;
void ln_problem(ln_problems *p, const ln_source *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* On stderr, "linnet.yaml:12:5: ..." each. */
void ln_problems_say(const ln_problems *p);

/* The words of a command line, by row; borrowed from argv. */
typedef struct ln_told {
    ln_arg_list texts[LN_OPTION_COUNT];
} ln_told;
/* argv[0] is the verb. Only which options there are is looked at. positional: as ln_args_parse.
 * -1 to go on, else the exit code. */
int ln_options_words(ln_told *t, const ln_args *about, int argc, char **argv, int *positional);
/* All of it, in its order. True: nothing is wrong. `o` is to be freed in any case, and lives no
 * longer than what `told` speaks of. */
bool ln_options_load(ln_options *o, const ln_told *told, ln_problems *p);
void ln_options_fini(ln_options *o);

/* Both at once; what is wrong was told. -1 to go on, and to free `o`; else the exit code. */
int ln_options_parse(ln_options *o, int argc, char **argv);
#endif
