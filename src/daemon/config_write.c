#include "daemon/config_write.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

#define COLUMNS 96

typedef struct writer {
    FILE *to;
    const ln_option_table *table;
    const void *of;
    const ln_source *from; /* NULL: nothing is said of it */
    const char *file;
    bool help;      /* above each row */
    bool commented; /* all is */
    unsigned indent;
    bool first; /* of an item: a dash belongs before it */
} writer;

/* ---- values ------------------------------------------------------------------------- */

/* The code point at the front, and how many bytes it takes; what is none counts as U+FFFD. */
static uint32_t point_of(const char *text, size_t *size) {
    static const uint8_t masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    ln_slice s = ln_slice_str(text);
    unsigned char first = s.data[0];
    size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    *size = 1;
    if (s.size < n || ln_utf8_prefix(ln_slice_sub(s, 0, n)) != n) return 0xfffd;
    uint32_t point = first & masks[n];
    for (size_t i = 1; i < n; i++)
        point = point << 6 | (s.data[i] & 0x3f);
    *size = n;
    return point;
}

/* What YAML does not take as it is, or takes for the end of a line. */
static bool is_odd(uint32_t point) {
    return point < ' ' || (point >= 127 && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
           point == 0xfeff || point == 0xfffe || point == 0xffff;
}

static void put_quoted(FILE *to, const char *text) {
    size_t size;
    fputc('"', to);
    for (; *text; text += size) {
        uint32_t point = point_of(text, &size);
        if (point == '"' || point == '\\')
            fprintf(to, "\\%c", (int)point);
        else if (is_odd(point))
            fprintf(to, "\\u%04x", point);
        else if (point == 0xfffd)
            fputs("\xef\xbf\xbd", to);
        else
            fwrite(text, 1, size, to);
    }
    fputc('"', to);
}

static void put_list(FILE *to, const ln_arg_list *list) {
    fputc('[', to);
    for (size_t i = 0; i < list->count; i++) {
        if (i) fputs(", ", to);
        put_quoted(to, list->items[i]);
    }
    fputc(']', to);
}

static bool is_set(const ln_option *row, const void *at) {
    char text[64];
    switch (row->kind) {
    case LN_OPTION_TEXT: return *(const char *const *)at != NULL;
    case LN_OPTION_LIST: return ((const ln_arg_list *)at)->count > 0;
    case LN_OPTION_ITEMS: return ((const ln_items *)at)->count > 0;
    default: ln_option_put(row, at, text); return text[0] != 0;
    }
}

static void put_value(FILE *to, const ln_option *row, const void *at) {
    char text[64];
    if (row->kind == LN_OPTION_TEXT) {
        put_quoted(to, *(const char *const *)at);
    } else if (row->kind == LN_OPTION_LIST) {
        put_list(to, at);
    } else {
        ln_option_put(row, at, text);
        fputs(text, to);
    }
}

static void put_example(FILE *to, const ln_option *row) {
    const char *text = row->example[0] ? row->example : row->standard;
    bool list = row->kind == LN_OPTION_LIST;
    if (list) fputc('[', to);
    if (list || row->kind == LN_OPTION_TEXT)
        put_quoted(to, text);
    else
        fputs(text, to);
    if (list) fputc(']', to);
}

/* ---- lines -------------------------------------------------------------------------- */

static void begin(writer *w, bool commented) {
    fprintf(w->to, "%s%*s%s", commented ? "# " : "", (int)(w->first ? w->indent - 2 : w->indent),
        "", w->first ? "- " : "");
    w->first = false;
}

/* Words in lines of a comment. */
static void put_help(const writer *w, const char *words) {
    int room = COLUMNS - (int)w->indent - 2;
    while (*words) {
        int size = (int)strlen(words);
        if (size > room) {
            size = room;
            while (size && words[size] != ' ')
                size--;
        }
        fprintf(w->to, "%*s# %.*s\n", (int)w->indent, "", size, words);
        words += size + (words[size] == ' ');
    }
}

/* "number from 1 to 64; SIGHUP" */
static void put_kind(const ln_option *row, char *out, size_t size) {
    char range[200];
    ln_option_range(row, range, sizeof range);
    bool said = row->kind != LN_OPTION_ITEMS;
    snprintf(out, size, "%s%s%s", said ? range : "",
        said && (row->how & LN_OPTION_RELOAD) ? "; " : "",
        row->how & LN_OPTION_RELOAD ? "SIGHUP" : "");
}

static void help(const writer *w, const ln_option *row) {
    char kind[240], words[800];
    put_kind(row, kind, sizeof kind);
    snprintf(words, sizeof words, "%s%s%s%s", row->help, *kind ? " (" : "", kind, *kind ? ")" : "");
    put_help(w, words);
}

static void put_source(const writer *w, size_t row) {
    char env[100] = "";
    const ln_option *o = &w->table->rows[row];
    const ln_source *s = &w->from[row];
    switch (s->kind) {
    case LN_SOURCE_STANDARD: fputs("  # default", w->to); break;
    case LN_SOURCE_FILE: fprintf(w->to, "  # %s:%u", w->file, s->line); break;
    case LN_SOURCE_ENVIRONMENT:
        ln_option_env(o, env, sizeof env);
        fprintf(w->to, "  # %s", env);
        break;
    case LN_SOURCE_FLAG: fprintf(w->to, "  # --%s", o->flag); break;
    }
}

/* ---- rows --------------------------------------------------------------------------- */

static void put_table(writer *w);

static void put_items(writer *w, const ln_option *row, const char *key) {
    const ln_items *items = ln_option_at(row, w->of);
    begin(w, w->commented);
    fprintf(w->to, "%s:\n", key);
    for (size_t i = 0; i < items->count; i++) {
        writer inner = *w;
        inner.table = row->items;
        inner.of = (const char *)items->at + i * row->items->size;
        inner.from = NULL;
        inner.help = false;
        inner.indent = w->indent + 4;
        inner.first = true;
        put_table(&inner);
    }
}

/* One item of examples, as a comment. */
static void put_example_item(const writer *w, const ln_option *row, const char *key) {
    fprintf(w->to, "# %*s%s:\n", (int)w->indent, "", key);
    for (size_t i = 0; i < row->items->count; i++) {
        const ln_option *inner = &row->items->rows[i];
        fprintf(w->to, "# %*s%s%s: ", (int)w->indent + 2, "", i ? "  " : "- ", inner->path);
        put_example(w->to, inner);
        fprintf(w->to, "  # %s\n", inner->help);
    }
}

static void put_row(writer *w, size_t at, const char *key) {
    const ln_option *row = &w->table->rows[at];
    const void *value = ln_option_at(row, w->of);
    bool secret = row->how & LN_OPTION_SECRET, set = is_set(row, value);
    if (w->help) help(w, row);
    if (row->kind == LN_OPTION_ITEMS) {
        if (set)
            put_items(w, row, key);
        else if (w->help)
            put_example_item(w, row, key);
        return;
    }
    if (!set && !w->help && !w->from) return;
    if (secret && set && !w->from && !w->help) {
        begin(w, true);
        fprintf(w->to, "%s: a secret\n", key);
        return;
    }
    begin(w, w->commented || !set || secret);
    fprintf(w->to, "%s: ", key);
    if (set && secret)
        fputs("***", w->to);
    else if (set)
        put_value(w->to, row, value);
    else if (w->help)
        put_example(w->to, row);
    else
        fputs("(not set)", w->to);
    if (w->from) put_source(w, at);
    fputc('\n', w->to);
}

static size_t section_size(const char *path) {
    const char *dot = strchr(path, '.');
    return dot ? (size_t)(dot - path) : 0;
}

static bool same_section(const ln_option *a, const ln_option *b) {
    size_t size = section_size(a->path);
    return size && section_size(b->path) == size && memcmp(a->path, b->path, size) == 0;
}

static bool has_value(const writer *w, const ln_option *row) {
    return w->help || w->from || is_set(row, ln_option_at(row, w->of));
}

static bool section_has_value(const writer *w, size_t first) {
    for (size_t i = first; i < w->table->count; i++)
        if (same_section(&w->table->rows[first], &w->table->rows[i]) &&
            has_value(w, &w->table->rows[i]))
            return true;
    return false;
}

/* All rows of the section that this one is the first of. */
static void put_section(writer *w, size_t first) {
    const ln_option *rows = w->table->rows;
    size_t size = section_size(rows[first].path);
    if (!section_has_value(w, first)) return;
    begin(w, w->commented);
    fprintf(w->to, "%.*s:\n", (int)size, rows[first].path);
    w->indent += 2;
    for (size_t i = first; i < w->table->count; i++)
        if (same_section(&rows[first], &rows[i])) put_row(w, i, rows[i].path + size + 1);
    w->indent -= 2;
}

static bool first_of_section(const ln_option_table *t, size_t row) {
    for (size_t i = 0; i < row; i++)
        if (same_section(&t->rows[row], &t->rows[i])) return false;
    return true;
}

static void put_table(writer *w) {
    for (size_t i = 0; i < w->table->count; i++) {
        const ln_option *row = &w->table->rows[i];
        bool section = section_size(row->path) > 0;
        if (section && !first_of_section(w->table, i)) continue;
        if (w->help && i) fputc('\n', w->to);
        if (section)
            put_section(w, i);
        else
            put_row(w, i, row->path);
    }
}

void ln_config_write(
    FILE *to, const ln_option_table *t, const void *of, const ln_source *from, const char *file) {
    writer w = { .to = to, .table = t, .of = of, .from = from, .file = file };
    put_table(&w);
}

void ln_config_put(FILE *to, const ln_option *row, const void *of) {
    const ln_option_table one = { .rows = row, .count = 1 };
    writer w = { .to = to, .table = &one, .of = of };
    const void *at = ln_option_at(row, of);
    if (!is_set(row, at)) return;
    if (row->kind == LN_OPTION_ITEMS)
        put_items(&w, row, row->path);
    else
        put_value(to, row, at);
}

void ln_config_gen(FILE *to, const ln_option_table *t) {
    void *standards = calloc(1, t->size);
    if (!standards) return;
    ln_option_standards(t, standards);
    fputs("# linnet.yaml: every option of linnet serve with its default, written by\n"
          "# `linnet config gen`. Times are 500ms, 25s, 5m, 24h, sizes 64k, 16m, 1g. What says\n"
          "# SIGHUP is taken up by `kill -HUP`; the rest wants a restart. The environment\n"
          "# (LINNET_HISTORY_COUNT for history.count) and the command line win over this file.\n\n",
        to);
    writer w = { .to = to, .table = t, .of = standards, .help = true };
    put_table(&w);
    free(standards);
}

/* ---- the reference ------------------------------------------------------------------ */

/* "default 64k", or nothing. */
static void put_standard(const ln_option *row, char *out, size_t size) {
    bool said = row->standard[0] && row->kind != LN_OPTION_ITEMS;
    snprintf(out, size, "%s%s", said ? "default " : "", said ? row->standard : "");
}

static void doc_row(FILE *to, const ln_option *row, const char *list) {
    char range[200], env[100], standard[100];
    ln_option_range(row, range, sizeof range);
    put_standard(row, standard, sizeof standard);
    fprintf(to, "  %s%s%s%s%s\n", list, row->path, row->value ? " " : "",
        row->value ? row->value : "", row->how & LN_OPTION_SECRET ? " (a secret)" : "");
    fprintf(to, "      %s\n      %s%s%s", row->help, range, *standard ? ", " : "", standard);
    if (row->flag) fprintf(to, "; --%s", row->flag);
    if (!*list && row->kind != LN_OPTION_ITEMS && ln_option_env(row, env, sizeof env))
        fprintf(to, "; %s", env);
    fprintf(to, "%s\n", row->how & LN_OPTION_RELOAD ? "; SIGHUP" : "");
}

static void doc_items(FILE *to, const ln_option *row) {
    char list[64];
    snprintf(list, sizeof list, "%s[].", row->path);
    for (size_t i = 0; i < row->items->count; i++)
        doc_row(to, &row->items->rows[i], list);
}

void ln_config_doc(FILE *to, const ln_option_table *t) {
    for (size_t i = 0; i < t->count; i++) {
        doc_row(to, &t->rows[i], "");
        if (t->rows[i].kind == LN_OPTION_ITEMS) doc_items(to, &t->rows[i]);
    }
}

/* A bar would end the cell. */
static void put_cell(FILE *to, const char *text) {
    for (; *text; text++) {
        if (*text == '|') fputc('\\', to);
        fputc(*text, to);
    }
}

static void cell_row(FILE *to, const ln_option *row, const char *list) {
    char range[200];
    ln_option_range(row, range, sizeof range);
    fprintf(to, "| `%s%s` | ", list, row->path);
    put_cell(to, row->help);
    fprintf(to, " | %s | ", row->kind == LN_OPTION_ITEMS ? "list" : range);
    if (row->standard[0]) fprintf(to, "`%s`", row->standard);
    fputs(" | ", to);
    if (row->flag) fprintf(to, "`--%s`", row->flag);
    fprintf(to, " | %s |\n", row->how & LN_OPTION_RELOAD ? "SIGHUP" : "restart");
}

void ln_config_doc_markdown(FILE *to, const ln_option_table *t) {
    fputs("| option | | range | default | flag | changed by |\n|---|---|---|---|---|---|\n", to);
    for (size_t i = 0; i < t->count; i++) {
        const ln_option *row = &t->rows[i];
        char list[64];
        snprintf(list, sizeof list, "%s[].", row->path);
        cell_row(to, row, "");
        for (size_t k = 0; row->kind == LN_OPTION_ITEMS && k < row->items->count; k++)
            cell_row(to, &row->items->rows[k], list);
    }
}
