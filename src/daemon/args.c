#include "daemon/args.h"
#include "base/num.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COLUMN 26
#define WIDTH  96

void ln_say(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("linnet: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* Words from COLUMN on, in lines of at most WIDTH. */
static void help_words(const char *words) {
    int room = WIDTH - COLUMN;
    while ((int)strlen(words) > room) {
        int size = room;
        while (size && words[size] != ' ')
            size--;
        if (!size) break; /* a word that long stands alone */
        printf("%.*s\n%*s", size, words, COLUMN, "");
        words += size + 1;
    }
    puts(words);
}

static void help_row(const ln_arg *row) {
    char left[100], words[400];
    const char *value = row->value ? row->value : "";
    bool maybe = row->value && (row->kind == LN_ARG_MAYBE || row->bare);
    bool standard = row->standard && row->standard[0];
    int n = snprintf(left, sizeof left, "  --%s%s%s%s", row->name,
        !row->value ? ""
        : maybe     ? "[="
                    : " ",
        value, maybe ? "]" : "");
    printf(n >= COLUMN ? "%s\n%*s" : "%s%*s", left, n >= COLUMN ? COLUMN : COLUMN - n, "");
    snprintf(words, sizeof words, "%s%s%s%s", row->help, standard ? " (default " : "",
        standard ? row->standard : "", standard ? ")" : "");
    help_words(words);
}

void ln_args_help(const ln_args *a) {
    printf("usage: %s\n\n%s\n", a->usage, a->about);
    if (a->count) printf("\noptions:\n");
    for (size_t i = 0; i < a->count; i++)
        help_row(&a->rows[i]);
    printf("%-*s%s\n", COLUMN, "  --help", "this text");
    if (a->more) printf("\n%s\n", a->more);
}

static const ln_arg *find(const ln_args *a, const char *name, size_t size) {
    for (size_t i = 0; i < a->count; i++)
        if (strlen(a->rows[i].name) == size && memcmp(a->rows[i].name, name, size) == 0)
            return &a->rows[i];
    return NULL;
}

static int mistake(const ln_args *a) {
    fprintf(stderr, "usage: %s\n", a->usage);
    return 2;
}

static bool take_number(const ln_arg *row, const char *text) {
    uint64_t v;
    bool ok = row->kind == LN_ARG_SIZE ? ln_num_size(ln_slice_str(text), &v)
                                       : ln_num_u64(ln_slice_str(text), UINT64_MAX, &v);
    if (!ok || v < row->min || v > row->max) {
        ln_say("--%s wants a %s from %llu to %llu, not '%.100s'", row->name,
            row->kind == LN_ARG_SIZE ? "size" : "number", (unsigned long long)row->min,
            (unsigned long long)row->max, text);
        return false;
    }
    *(uint64_t *)row->target = v;
    return true;
}

static bool take(const ln_arg *row, const char *value) {
    ln_arg_list *list = row->target;
    switch (row->kind) {
    case LN_ARG_FLAG: *(bool *)row->target = true; return true;
    case LN_ARG_TEXT:
    case LN_ARG_MAYBE: *(const char **)row->target = value; return true;
    case LN_ARG_NUMBER:
    case LN_ARG_SIZE: return take_number(row, value);
    case LN_ARG_LIST:
        if (list->count == LN_ARG_LIST_MAX) {
            ln_say("--%s was given more than %d times", row->name, LN_ARG_LIST_MAX);
            return false;
        }
        list->items[list->count++] = value;
        list->items[list->count] = NULL;
        return true;
    }
    return false;
}

/* One option at argv[*at]. False after a mistake. */
static bool option(const ln_args *a, int argc, char **argv, int *at) {
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    const ln_arg *row = find(a, name, size);
    if (!row) {
        ln_say("there is no option --%.*s; --help lists them", (int)size, name);
        return false;
    }
    if (row->kind == LN_ARG_FLAG && equals) {
        ln_say("--%s takes no value", row->name);
        return false;
    }
    if (row->kind == LN_ARG_FLAG || (row->kind == LN_ARG_MAYBE && !equals)) return take(row, "");
    if (row->bare && !equals) return take(row, row->bare);
    if (equals) return take(row, equals + 1);
    if (*at + 1 >= argc) {
        ln_say("--%s wants a value: --%s %s", row->name, row->name, row->value);
        return false;
    }
    return take(row, argv[++*at]);
}

int ln_args_parse(const ln_args *a, int argc, char **argv, int *positional) {
    int kept = 0;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            ln_args_help(a);
            return 0;
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            if (!option(a, argc, argv, &i)) return mistake(a);
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            ln_say("there is no option %s; --help lists them", argv[i]);
            return mistake(a);
        } else {
            argv[++kept] = argv[i];
        }
    }
    if (positional) *positional = kept;
    if (!positional && kept) {
        ln_say("'%s' is one argument too many", argv[1]);
        return mistake(a);
    }
    return -1;
}
