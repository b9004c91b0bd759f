/* config.c -- `linnet config`: what linnet.yaml may say, says, and comes to. */
#include "cli/verbs.h"
#include "daemon/config_write.h"
#include "daemon/options.h"
#include "daemon/serve.h"
#include <stdio.h>
#include <string.h>

static const ln_args about = {
    .usage = "linnet config check|show [FILE] [options]\n"
             "       linnet config gen\n"
             "       linnet config doc [markdown]",
    .about =
        "check  reads FILE as serve would, certificates included, and tells all that is wrong\n"
        "show   prints every option with its value, and where that comes from\n"
        "gen    prints a linnet.yaml with every default and what it does\n"
        "doc    prints a reference of all options\n"
        "\n"
        "FILE is --config or LINNET_CONFIG when it is not given; without any there is none.\n"
        "The options are those of serve, which win over the environment, which wins over the\n"
        "file. Secrets are shown as ***.",
    .more = "examples:\n"
            "  linnet config gen > linnet.yaml\n"
            "  linnet config check linnet.yaml\n"
            "  linnet config show linnet.yaml --workers 2\n"
            "\n"
            "exit codes: 0 all is well; 1 something is wrong with the configuration; 2 wrong use",
};

/* Reads all of it; 0, or 1 after words. */
static int load(const ln_told *told, ln_options *o) {
    ln_problems p = { .count = 0 };
    if (ln_options_load(o, told, &p) && ln_options_secrets(o, &p)) return 0;
    ln_problems_say(&p);
    return 1;
}

static int check(const ln_told *told) {
    ln_options o;
    int code = load(told, &o);
    if (code == 0) code = ln_serve_try(&o);
    if (code == 0) printf("%s: nothing is wrong\n", o.file ? o.file : "no file");
    ln_options_fini(&o);
    return code;
}

static int show(const ln_told *told) {
    ln_options o;
    int code = load(told, &o);
    if (code == 0) ln_config_write(stdout, ln_options_table(), &o, o.from, o.file);
    ln_options_fini(&o);
    return code;
}

static int wrong_use(const char *words) {
    ln_say("%s; 'linnet config --help' tells more", words);
    return 2;
}

int ln_verb_config(int argc, char **argv) {
    ln_told told;
    int count = 0, code = ln_options_words(&told, &about, argc, argv, &count);
    if (code >= 0) return code;
    const char *verb = count ? argv[1] : "", *word = count > 1 ? argv[2] : NULL;
    bool of_file = strcmp(verb, "check") == 0 || strcmp(verb, "show") == 0;
    if (count > 2) return wrong_use("that is one argument too many");
    if (of_file && word) told.config = word;
    if (of_file) return strcmp(verb, "check") == 0 ? check(&told) : show(&told);
    if (strcmp(verb, "gen") == 0 && !word) {
        ln_config_gen(stdout, ln_options_table());
        return 0;
    }
    bool markdown = word && strcmp(word, "markdown") == 0;
    if (strcmp(verb, "doc") != 0 || (word && !markdown))
        return wrong_use("config wants check, show, gen or doc");
    if (markdown)
        ln_config_doc_markdown(stdout, ln_options_table());
    else
        ln_config_doc(stdout, ln_options_table());
    return 0;
}
