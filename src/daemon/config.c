#include "daemon/config.h"
#include "base/utf8.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#define PATH_MAX_HERE 128 /* bytes of "namespaces.history.count" and the like */
#define SECTIONS_MAX  64  /* in one mapping */

typedef struct reader {
    const ln_config *c;
    yaml_parser_t yaml;
    yaml_event_t event; /* the one being looked at */
    ln_slice text;
    unsigned depth;
    bool broken; /* nothing behind this can be understood */
} reader;

typedef struct scope { /* what the keys of a mapping are names of */
    const ln_option_table *table;
    void *of;
    ln_source *from;
    const char *list; /* of items: "namespaces"; NULL */
} scope;

/* ---- places ------------------------------------------------------------------------- */

static ln_source place(const yaml_mark_t *mark) {
    return (ln_source){ LN_SOURCE_FILE, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1 };
}

static ln_source here(const reader *r) {
    return place(&r->event.start_mark);
}

static ln_source place_of_byte(ln_slice text, size_t at) {
    ln_source s = { LN_SOURCE_FILE, 1, 1 };
    for (size_t i = 0; i < at && i < text.size; i++) {
        s.column += (text.data[i] & 0xc0) != 0x80;
        if (text.data[i] != '\n') continue;
        s.line++;
        s.column = 1;
    }
    return s;
}

/* ---- events ------------------------------------------------------------------------- */

static void stop(reader *r, const char *words) {
    ln_source at = here(r);
    ln_problem(r->c->problems, &at, "%s", words);
    r->broken = true;
}

static void not_yaml(reader *r) {
    const yaml_parser_t *y = &r->yaml;
    ln_source at = y->error == YAML_READER_ERROR ? place_of_byte(r->text, y->problem_offset)
                                                 : place(&y->problem_mark);
    ln_problem(r->c->problems, &at, "this is not YAML: %s%s%s",
        y->problem ? y->problem : "no memory", y->context ? ", " : "",
        y->context ? y->context : "");
    r->broken = true;
}

static bool has_more_than_a_value(const yaml_event_t *e) {
    switch (e->type) {
    case YAML_SCALAR_EVENT: return e->data.scalar.anchor || e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT: return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    default: return false;
    }
}

/* The next event; false when there is nothing more to be understood. */
static bool next(reader *r) {
    if (r->broken) return false;
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->yaml, &r->event)) {
        memset(&r->event, 0, sizeof r->event);
        not_yaml(r);
        return false;
    }
    switch (r->event.type) {
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT: r->depth++; break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: r->depth--; break;
    case YAML_ALIAS_EVENT: stop(r, "an alias (*name) is not allowed here: say it again"); break;
    default: break;
    }
    if (has_more_than_a_value(&r->event))
        stop(r, "anchors (&name) and tags (!name) are not allowed here");
    if (r->depth > LN_CONFIG_DEPTH_MAX) stop(r, "this is deeper than any option");
    if (r->c->problems->count >= LN_PROBLEMS_MAX) r->broken = true;
    return !r->broken;
}

/* Behind the node that begins at this event. */
static void skip(reader *r) {
    unsigned open = r->depth;
    bool container = r->event.type == YAML_MAPPING_START_EVENT ||
                     r->event.type == YAML_SEQUENCE_START_EVENT;
    while (container && next(r) && r->depth >= open)
        continue;
}

/* ---- texts -------------------------------------------------------------------------- */

static bool is_null(const yaml_event_t *e) {
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
    if (e->type != YAML_SCALAR_EVENT || e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
        if (strcmp((const char *)e->data.scalar.value, nulls[i]) == 0) return true;
    return false;
}

static const char *noun(const yaml_event_t *e) {
    return e->type == YAML_MAPPING_START_EVENT    ? "a mapping"
           : e->type == YAML_SEQUENCE_START_EVENT ? "a list"
                                                  : "a text";
}

static void wrong_node(reader *r, const ln_option *row) {
    char range[200];
    ln_source at = here(r);
    ln_option_range(row, range, sizeof range);
    bool article = row->kind != LN_OPTION_FLAG && row->kind != LN_OPTION_WORD;
    ln_problem(r->c->problems, &at, "%s wants %s%s, not %s", row->path, article ? "a " : "", range,
        noun(&r->event));
    skip(r);
}

/* The scalar at this event, kept; NULL when that is none or must not be here. */
static const char *text_of(reader *r, const ln_option *row) {
    ln_source at = here(r);
    if (r->event.type != YAML_SCALAR_EVENT) {
        wrong_node(r, row);
        return NULL;
    }
    const char *value = (const char *)r->event.data.scalar.value;
    size_t size = r->event.data.scalar.length;
    if (is_null(&r->event)) {
        ln_problem(r->c->problems, &at, "%s has no value; without the line it is %s", row->path,
            row->standard[0] ? row->standard : "not set");
        return NULL;
    }
    if (strlen(value) != size) {
        ln_problem(r->c->problems, &at, "%s: a NUL is no part of a text", row->path);
        return NULL;
    }
    const char *kept = ln_shelf_text(r->c->shelf, value, size);
    if (!kept) stop(r, "there is no memory for this file");
    return kept;
}

static bool is_reference(const char *text) {
    return strncmp(text, "file:", 5) == 0 || strncmp(text, "credential:", 11) == 0;
}

static void take_text(reader *r, const scope *s, const ln_option *row) {
    char why[LN_OPTION_WHY_MAX];
    ln_source at = here(r);
    const char *text = text_of(r, row);
    if (!text) return;
    if ((row->how & LN_OPTION_SECRET) && r->c->exposed && !is_reference(text))
        ln_problem(r->c->problems, &at,
            "%s is a secret, and others may read this file: chmod 640 it, or keep the secret in a "
            "file of its own and say file:PATH",
            row->path);
    else if (!ln_option_take(row, text, ln_option_at(row, s->of), why))
        ln_problem(r->c->problems, &at, "%s %s", row->path, why);
}

static void take_list(reader *r, const scope *s, const ln_option *row) {
    if (r->event.type != YAML_SEQUENCE_START_EVENT) {
        take_text(r, s, row); /* one needs no brackets */
        return;
    }
    while (next(r) && r->event.type != YAML_SEQUENCE_END_EVENT)
        take_text(r, s, row);
}

/* ---- items -------------------------------------------------------------------------- */

static void mapping(reader *r, const scope *s, const char *prefix);

static void required(reader *r, const scope *s, const ln_source *at) {
    for (size_t i = 0; i < s->table->count; i++) {
        const ln_option *row = &s->table->rows[i];
        if (!(row->how & LN_OPTION_REQUIRED)) continue;
        const char *const *text = ln_option_at(row, s->of);
        if (s->from[i].kind != LN_SOURCE_FILE || (row->kind == LN_OPTION_TEXT && !*text))
            ln_problem(r->c->problems, at, "each of %s wants a %s", s->list, row->path);
    }
}

static void take_item(reader *r, const ln_option *row, void *item) {
    ln_source at = here(r);
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        ln_problem(r->c->problems, &at, "%s wants mappings (- %s: ...), not %s", row->path,
            row->items->rows[0].path, noun(&r->event));
        skip(r);
        return;
    }
    scope s = { row->items, item, calloc(row->items->count, sizeof *s.from), row->path };
    if (!s.from) {
        stop(r, "there is no memory for this file");
        return;
    }
    *(uint32_t *)item = at.line;
    ln_option_standards(row->items, item);
    mapping(r, &s, "");
    if (!r->broken) required(r, &s, &at);
    free(s.from);
}

static void take_items(reader *r, const scope *outer, const ln_option *row) {
    ln_items *items = ln_option_at(row, outer->of);
    ln_source at;
    if (r->event.type != YAML_SEQUENCE_START_EVENT) {
        wrong_node(r, row);
        return;
    }
    size_t size = row->items->size, room = 0;
    while (next(r) && r->event.type != YAML_SEQUENCE_END_EVENT) {
        if (items->count == LN_CONFIG_ITEMS_MAX || items->count == row->max) {
            at = here(r);
            ln_problem(r->c->problems, &at, "%s wants at most %llu", row->path,
                (unsigned long long)row->max);
            r->broken = true;
            return;
        }
        if (items->count == room) {
            room = room ? 2 * room : 8;
            void *at_room = ln_shelf_room(r->c->shelf, room * size);
            if (!at_room) {
                stop(r, "there is no memory for this file");
                return;
            }
            if (items->count) memcpy(at_room, items->at, items->count * size);
            items->at = at_room;
        }
        take_item(r, row, (char *)items->at + items->count++ * size);
    }
}

/* ---- mappings ----------------------------------------------------------------------- */

static void value(reader *r, const scope *s, const ln_option *row) {
    switch (row->kind) {
    case LN_OPTION_LIST: take_list(r, s, row); break;
    case LN_OPTION_ITEMS: take_items(r, s, row); break;
    default: take_text(r, s, row);
    }
}

/* The first row below that path, or NULL. */
static const ln_option *section(const scope *s, const char *path) {
    size_t size = strlen(path);
    for (size_t i = 0; i < s->table->count; i++) {
        const ln_option *row = &s->table->rows[i];
        if (strncmp(row->path, path, size) == 0 && row->path[size] == '.') return row;
    }
    return NULL;
}

/* The word most like `key` that could stand there, else a path like all of it. */
static const char *like(const scope *s, const char *prefix, const char *key, char out[64]) {
    size_t size = strlen(prefix), least = strlen(key) < 5 ? 2 : 3;
    const char *best = NULL;
    for (size_t i = 0; i < s->table->count; i++) {
        const char *path = s->table->rows[i].path;
        if (strncmp(path, prefix, size) != 0) continue;
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(path + size, "."), path + size);
        size_t far = ln_option_distance(word, key);
        if (far >= least) continue;
        least = far;
        snprintf(out, 64, "%s", word);
        best = out;
    }
    char full[PATH_MAX_HERE];
    snprintf(full, sizeof full, "%s%s", prefix, key);
    return best ? best : ln_option_like(s->table, full);
}

static void unknown(reader *r, const scope *s, const char *prefix, const char *key, ln_source at) {
    char word[64];
    const char *other = like(s, prefix, key, word);
    char where[PATH_MAX_HERE + 64];
    size_t size = strlen(prefix);
    snprintf(where, sizeof where, "%s%s%.*s", s->list ? s->list : "", s->list && size ? "." : "",
        size ? (int)size - 1 : 0, prefix);
    ln_problem(r->c->problems, &at, "there is no '%.100s'%s%s%s%s%s", key, *where ? " in " : "",
        where, other ? "; did you mean '" : "; linnet config doc lists all there is",
        other ? other : "", other ? "'?" : "");
}

/* A key that is there already is one too many. */
static bool again(reader *r, const ln_source *before, const char *key, ln_source at) {
    if (before->kind != LN_SOURCE_FILE) return false;
    ln_problem(r->c->problems, &at, "'%.100s' is there already, in line %u", key, before->line);
    return true;
}

typedef struct sections { /* those that a mapping has had */
    size_t count;
    struct {
        const ln_option *row;
        ln_source at;
    } seen[SECTIONS_MAX];
} sections;

static bool section_again(
    reader *r, sections *had, const ln_option *row, const char *key, ln_source at) {
    for (size_t i = 0; i < had->count; i++)
        if (had->seen[i].row == row) return again(r, &had->seen[i].at, key, at);
    if (had->count == SECTIONS_MAX) return false;
    had->seen[had->count].row = row;
    had->seen[had->count++].at = at;
    return false;
}

/* At the value of a section. */
static void into(reader *r, const scope *s, const char *path) {
    char prefix[PATH_MAX_HERE + 1];
    snprintf(prefix, sizeof prefix, "%s.", path);
    if (r->event.type == YAML_MAPPING_START_EVENT) {
        mapping(r, s, prefix);
        return;
    }
    if (is_null(&r->event)) return; /* all below it are comments */
    ln_source at = here(r);
    ln_problem(r->c->problems, &at, "%s wants a mapping (%s:), not %s", path,
        section(s, path)->path + strlen(prefix), noun(&r->event));
    skip(r);
}

/* At the key; leaves it at the end of its value. */
static void entry(reader *r, const scope *s, const char *prefix, sections *had) {
    char key[PATH_MAX_HERE] = "", path[PATH_MAX_HERE] = "";
    ln_source at = here(r);
    if (r->event.type == YAML_SCALAR_EVENT) {
        const char *word = (const char *)r->event.data.scalar.value;
        snprintf(key, sizeof key, "%s", word);
        int size = snprintf(path, sizeof path, "%s%s", prefix, word);
        bool whole = strlen(word) == r->event.data.scalar.length; /* and no NUL in it */
        if (size < 0 || (size_t)size >= sizeof path || !whole) path[0] = 0;
    } else {
        ln_problem(r->c->problems, &at, "a key is a word, not %s", noun(&r->event));
        skip(r);
    }
    bool text = r->event.type == YAML_SCALAR_EVENT;
    if (!next(r)) return;
    const ln_option *row = ln_option_find(s->table, path), *below = section(s, path);
    ln_source *from = row ? &s->from[row - s->table->rows] : NULL;
    if (row && !again(r, from, key, at)) {
        *from = at;
        value(r, s, row);
    } else if (!row && below && !section_again(r, had, below, key, at)) {
        into(r, s, path);
    } else {
        if (text && !row && !below) unknown(r, s, prefix, key, at);
        skip(r);
    }
}

/* At its start. The depth is bounded, so this may call itself. */
static void mapping(reader *r, const scope *s, const char *prefix) {
    sections had = { .count = 0 };
    while (next(r) && r->event.type != YAML_MAPPING_END_EVENT)
        entry(r, s, prefix, &had);
}

/* ---- texts and files ---------------------------------------------------------------- */

static void document(reader *r) {
    scope s = { r->c->table, r->c->of, r->c->from, NULL };
    if (!next(r) || !next(r)) return;                   /* the stream, the document */
    if (r->event.type == YAML_STREAM_END_EVENT) return; /* nothing but comments */
    if (!next(r)) return;
    if (r->event.type == YAML_MAPPING_START_EVENT)
        mapping(r, &s, "");
    else if (!is_null(&r->event))
        stop(r, "a configuration is a mapping (listen: ...)");
    if (!next(r) || !next(r)) return;
    if (r->event.type != YAML_STREAM_END_EVENT) stop(r, "one document is enough");
}

bool ln_config_read(const ln_config *c, ln_slice text) {
    unsigned before = c->problems->count;
    size_t good = ln_utf8_prefix(text);
    if (good < text.size) {
        ln_source at = place_of_byte(text, good);
        ln_problem(c->problems, &at, "this byte is not UTF-8");
        return false;
    }
    reader r = { .c = c, .text = text };
    if (!yaml_parser_initialize(&r.yaml)) {
        ln_problem(c->problems, NULL, "there is no memory for this file");
        return false;
    }
    yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.yaml, text.data, text.size);
    document(&r);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.yaml);
    return c->problems->count == before;
}

/* All of a file of at most `max` bytes, or NULL with words. */
static char *slurp(const char *path, size_t max, size_t *size, mode_t *mode, char why[200]) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char *bytes = fd < 0 ? NULL : malloc(max + 1);
    ssize_t n = bytes ? 1 : -1;
    for (*size = 0; n > 0 && *size <= max; *size += (size_t)n) {
        n = read(fd, bytes + *size, max + 1 - *size);
        if (n < 0) break;
    }
    bool told = n >= 0 && fstat(fd, &st) == 0;
    if (!told) snprintf(why, 200, "cannot be read: %s", strerror(errno));
    if (told && *size > max) snprintf(why, 200, "is larger than %zu bytes", max);
    if (fd >= 0) close(fd);
    if (told && *size <= max) {
        *mode = st.st_mode;
        return bytes;
    }
    free(bytes);
    return NULL;
}

bool ln_config_read_file(ln_config *c, const char *path) {
    size_t size;
    mode_t mode;
    char why[200];
    char *bytes = slurp(path, LN_CONFIG_BYTES_MAX, &size, &mode, why);
    c->problems->file = path;
    if (!bytes) {
        ln_problem(c->problems, NULL, "%s %s", path, why);
        return false;
    }
    c->exposed = mode & (S_IROTH | S_IWOTH);
    bool good = ln_config_read(c, ln_slice_of(bytes, size));
    explicit_bzero(bytes, size);
    free(bytes);
    return good;
}

/* ---- secrets ------------------------------------------------------------------------ */

static bool credential(const char *name, char *path, size_t size, char why[200]) {
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder || strchr(name, '/')) {
        snprintf(why, 200, folder ? "is no name" : "is not there: no service manager gave any");
        return false;
    }
    int n = snprintf(path, size, "%s/%s", folder, name);
    return n > 0 && (size_t)n < size;
}

/* What a reference refers to, or NULL with words. */
static const char *refer(const ln_config *c, const char *text, char why[200]) {
    char path[LN_OPTION_TEXT_MAX + 1];
    bool file = strncmp(text, "file:", 5) == 0;
    size_t size;
    mode_t mode;
    if (file) snprintf(path, sizeof path, "%s", text + 5);
    if (!file && !credential(text + 11, path, sizeof path, why)) return NULL;
    char *bytes = slurp(path, LN_OPTION_TEXT_MAX, &size, &mode, why);
    if (!bytes) return NULL;
    while (size && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r'))
        size--;
    const char *kept = NULL;
    if (file && (mode & (S_IROTH | S_IWOTH)))
        snprintf(why, 200, "can be read by others: chmod 640 it");
    else if (!size || memchr(bytes, 0, size))
        snprintf(why, 200, size ? "is no text" : "is empty");
    else if (!(kept = ln_shelf_text(c->shelf, bytes, size)))
        snprintf(why, 200, "cannot be kept: no memory");
    explicit_bzero(bytes, LN_OPTION_TEXT_MAX);
    free(bytes);
    return kept;
}

static void resolve(
    const ln_config *c, const ln_option *row, const ln_source *at, const char **text) {
    char why[200] = "is too long";
    if (!*text || !is_reference(*text)) return;
    const char *secret = refer(c, *text, why);
    if (secret)
        *text = secret;
    else
        ln_problem(c->problems, at, "%s: %.300s %s", row->path, *text, why);
}

static void resolve_items(const ln_config *c, const ln_option *row, const ln_items *items);

static void resolve_row(const ln_config *c, const ln_option *row, const ln_source *from, void *at) {
    ln_arg_list *list = at;
    bool secret = row->how & LN_OPTION_SECRET;
    if (row->kind == LN_OPTION_ITEMS) resolve_items(c, row, at);
    if (secret && row->kind == LN_OPTION_TEXT) resolve(c, row, from, at);
    for (size_t k = 0; secret && row->kind == LN_OPTION_LIST && k < list->count; k++)
        resolve(c, row, from, &list->items[k]);
}

/* Items hold no items. */
static void resolve_items(const ln_config *c, const ln_option *row, const ln_items *items) {
    const ln_option_table *t = row->items;
    for (size_t i = 0; i < items->count; i++) {
        char *item = (char *)items->at + i * t->size;
        ln_source from = { LN_SOURCE_FILE, *(const uint32_t *)(const void *)item, 1 };
        for (size_t k = 0; k < t->count; k++)
            resolve_row(c, &t->rows[k], &from, item + t->rows[k].offset);
    }
}

bool ln_config_secrets(const ln_config *c) {
    unsigned before = c->problems->count;
    for (size_t i = 0; i < c->table->count; i++) {
        const ln_option *row = &c->table->rows[i];
        resolve_row(c, row, &c->from[i], ln_option_at(row, c->of));
    }
    return c->problems->count == before;
}
