/* options.h -- what `linnet serve` can be told, and by whom.
 *
 *   standards  <  file  <  environment  <  command line
 *
 * Each overrules those before it, option by option; a list is replaced as a whole. All that is
 * wrong anywhere is collected first and told together, with file and line where there is one.
 */
#ifndef LN_DAEMON_OPTIONS_H
#define LN_DAEMON_OPTIONS_H
#include "daemon/option.h"
#include "daemon/problems.h"
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

typedef struct ln_door { /* a listener of its own kind */
    uint32_t line;
#define LISTENER(kind, field, ...) LN_FIELD_##kind field;
#include "daemon/options.def"
} ln_door;

enum { LN_DOOR_AUTO, LN_DOOR_PLAIN }; /* words of ln_door.tls */

typedef struct ln_certificate { /* for a name, by SNI */
    uint32_t line;
#define CERTIFICATE(kind, field, ...) LN_FIELD_##kind field;
#include "daemon/options.def"
} ln_certificate;

enum {
    LN_OPTION_COUNT = 0
#define OPTION(...)    +1
#define NAMESPACE(...) +1
#include "daemon/options.def"
};

typedef struct ln_options {
#define OPTION(kind, field, ...) LN_FIELD_##kind field;
#include "daemon/options.def"
    ln_space standard; /* of channels of no namespace */
    ln_source from[LN_OPTION_COUNT];
    const char *file; /* that was read; NULL: none */
    ln_shelf shelf;   /* what is neither of the environment nor of argv */
} ln_options;

/* The rows, and those of the NAMESPACE ones that stand among them. */
const ln_option_table *ln_options_table(void);

/* The words of a command line, by row; borrowed from argv. */
typedef struct ln_told {
    ln_arg_list texts[LN_OPTION_COUNT];
    const char *config; /* --config; NULL */
} ln_told;
/* argv[0] is the verb. Only which options there are is looked at. positional: as ln_args_parse.
 * -1 to go on, else the exit code. */
int ln_options_words(ln_told *t, const ln_args *about, int argc, char **argv, int *positional);
/* All of it, in its order. True: nothing is wrong. `o` is to be freed in any case, and lives no
 * longer than what `told` speaks of. */
bool ln_options_load(ln_options *o, const ln_told *told, ln_problems *p);
/* Reads what secrets refer to. */
bool ln_options_secrets(ln_options *o, ln_problems *p);
void ln_options_fini(ln_options *o);

/* Of the items of a list. */
static inline const ln_space *ln_options_space(const ln_options *o, size_t i) {
    return &((const ln_space *)o->namespaces.at)[i];
}
static inline const ln_door *ln_options_door(const ln_options *o, size_t i) {
    return &((const ln_door *)o->listeners.at)[i];
}
static inline const ln_certificate *ln_options_certificate(const ln_options *o, size_t i) {
    return &((const ln_certificate *)o->certificates.at)[i];
}

/* All at once; what is wrong was told. -1 to go on, and to free `o`; else the exit code. */
int ln_options_parse(ln_options *o, ln_told *told, int argc, char **argv);
#endif
