/* serve.c -- `linnet serve`: words of the command line for daemon/. */
#include "daemon/serve.h"
#include "cli/verbs.h"

int ln_verb_serve(int argc, char **argv) {
    ln_options options;
    int code = ln_options_parse(&options, argc, argv);
    return code < 0 ? ln_serve(&options) : code;
}
