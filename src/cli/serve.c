/* serve.c -- `linnet serve`: words of the command line for daemon/. */
#include "daemon/serve.h"
#include "cli/verbs.h"

int ln_verb_serve(int argc, char **argv) {
    ln_options options;
    int code = ln_options_parse(&options, argc, argv);
    if (code >= 0) return code;
    code = ln_serve(&options);
    ln_options_fini(&options);
    return code;
}
