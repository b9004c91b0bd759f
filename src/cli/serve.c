/* serve.c -- `linnet serve`: words of the command line for daemon/. */
#include "daemon/serve.h"
#include "cli/verbs.h"

int ln_verb_serve(int argc, char **argv) {
    ln_options options;
    ln_told told;
    int code = ln_options_parse(&options, &told, argc, argv);
    if (code >= 0) return code;
    code = ln_serve(&options, &told);
    ln_options_fini(&options);
    return code;
}
