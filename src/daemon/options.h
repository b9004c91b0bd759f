/* options.h -- what `linnet serve` can be told.
 */
#ifndef LN_DAEMON_OPTIONS_H
#define LN_DAEMON_OPTIONS_H
#include "daemon/args.h"
#include <linnet/server.h>

#define LIST(field, name, value, help)                       ln_arg_list field;
#define TEXT(field, name, value, help)                       const char *field;
#define MAYBE(field, name, value, help)                      const char *field;
#define NUMBER(field, name, value, min, max, standard, help) uint64_t field;
#define SIZE(field, name, value, min, max, standard, help)   uint64_t field;
#define FLAG(field, name, help)                              bool field;
typedef struct ln_options {
#include "daemon/options.def"
} ln_options;
#undef LIST
#undef TEXT
#undef MAYBE
#undef NUMBER
#undef SIZE
#undef FLAG

/* The defaults, then the command line; argv[0] is the verb. -1 to go on, else the exit code, as
 * ln_args_parse. */
int ln_options_parse(ln_options *o, int argc, char **argv);
/* What the words stand for. -1, or the exit code 2 after a mistake was told. */
int ln_options_log_level(const ln_options *o, linnet_log_level *out);
int ln_options_deflate(const ln_options *o, linnet_deflate *out);
#endif
