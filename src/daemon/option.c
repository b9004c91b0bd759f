#include "daemon/option.h"
#include "base/num.h"
#include <stdio.h>
#include <string.h>

/* ---- words of what is right --------------------------------------------------------- */

static const struct unit {
    const char *name;
    uint64_t worth;
} durations[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 } },
  sizes[] = { { "", 1 }, { "k", 1 << 10 }, { "m", 1 << 20 }, { "g", 1 << 30 } };

static void put_units(uint64_t v, const struct unit units[4], char out[64]) {
    int at = 3;
    while (at > 0 && (v == 0 || v % units[at].worth))
        at--;
    snprintf(out, 64, "%llu%s", (unsigned long long)(v / units[at].worth), units[at].name);
}

static void put_amount(const ln_option *row, uint64_t v, char out[64]) {
    if ((row->how & LN_OPTION_OFF) && v == LN_OPTION_IS_OFF)
        snprintf(out, 64, "off");
    else if (row->kind == LN_OPTION_SIZE)
        put_units(v, sizes, out);
    else if (row->kind == LN_OPTION_DURATION)
        put_units(v, durations, out);
    else
        snprintf(out, 64, "%llu", (unsigned long long)v);
}

static const char *word_of(const ln_option *row, uint64_t at, size_t *size) {
    const char *word = row->value;
    for (; word; word = strchr(word, '|') ? strchr(word, '|') + 1 : NULL)
        if (at-- == 0) break;
    *size = word ? strcspn(word, "|") : 0;
    return word;
}

static void put_words(const ln_option *row, char *out, size_t room) {
    size_t size, used = 0;
    out[0] = 0;
    for (uint64_t i = 0; used < room; i++) {
        const char *word = word_of(row, i, &size);
        if (!word) break;
        const char *before = i == 0 ? "" : strchr(word, '|') ? ", " : " or ";
        used += (size_t)snprintf(out + used, room - used, "%s%.*s", before, (int)size, word);
    }
}

void ln_option_range(const ln_option *row, char *out, size_t size) {
    static const char *const nouns[] = {
        [LN_OPTION_NUMBER] = "number", [LN_OPTION_SIZE] = "size", [LN_OPTION_DURATION] = "duration"
    };
    char min[64], max[64];
    switch (row->kind) {
    case LN_OPTION_FLAG: snprintf(out, size, "true or false"); return;
    case LN_OPTION_TEXT: snprintf(out, size, "text"); return;
    case LN_OPTION_WORD: put_words(row, out, size); return;
    case LN_OPTION_LIST: snprintf(out, size, "list of up to %d texts", LN_ARG_LIST_MAX); return;
    case LN_OPTION_ITEMS: snprintf(out, size, "list of mappings"); return;
    default: break;
    }
    put_amount(row, row->min, min);
    put_amount(row, row->max, max);
    snprintf(out, size, "%s from %s to %s%s", nouns[row->kind], min, max,
        row->how & LN_OPTION_OFF ? ", or off" : "");
}

static bool wants(const ln_option *row, const char *text, char why[LN_OPTION_WHY_MAX]) {
    char range[200];
    ln_option_range(row, range, sizeof range);
    const char *article = row->kind == LN_OPTION_FLAG || row->kind == LN_OPTION_WORD ? "" : "a ";
    const char *unit = row->kind == LN_OPTION_SIZE       ? " (64k, 16m, 1g)"
                       : row->kind == LN_OPTION_DURATION ? " (500ms, 25s, 5m, 24h)"
                                                         : "";
    snprintf(why, LN_OPTION_WHY_MAX, "wants %s%s%s, not '%.100s'", article, range, unit, text);
    return false;
}

/* ---- taking ------------------------------------------------------------------------- */

static bool duration(const char *text, uint64_t *out) {
    size_t digits = strspn(text, "0123456789");
    const char *unit = text[digits] ? text + digits : "s";
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        if (strcmp(unit, durations[i].name) != 0) continue;
        uint64_t v;
        if (!ln_num_u64(ln_slice_of(text, digits), UINT64_MAX / durations[i].worth, &v))
            return false;
        *out = v * durations[i].worth;
        return true;
    }
    return false;
}

static bool amount(const ln_option *row, const char *text, uint64_t *out) {
    uint64_t v;
    if ((row->how & LN_OPTION_OFF) && strcmp(text, "off") == 0) {
        *out = LN_OPTION_IS_OFF;
        return true;
    }
    bool ok = row->kind == LN_OPTION_DURATION ? duration(text, &v)
              : row->kind == LN_OPTION_SIZE   ? ln_num_size(ln_slice_str(text), &v)
                                              : ln_num_u64(ln_slice_str(text), UINT64_MAX, &v);
    if (!ok || v < row->min || v > row->max) return false;
    *out = v;
    return true;
}

static bool flag(const char *text, bool *out) {
    static const char *const words[] = { "false", "true", "off", "on", "no", "yes", "0", "1" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) != 0) continue;
        *out = i % 2;
        return true;
    }
    return false;
}

static bool word(const ln_option *row, const char *text, uint64_t *out) {
    size_t size;
    if (!*text && (row->how & LN_OPTION_BARE)) {
        *out = 1;
        return true;
    }
    for (uint64_t i = 0;; i++) {
        const char *w = word_of(row, i, &size);
        if (!w) return false;
        if (strlen(text) != size || memcmp(w, text, size) != 0) continue;
        *out = i;
        return true;
    }
}

static bool append(const char *text, ln_arg_list *list, char why[LN_OPTION_WHY_MAX]) {
    if (list->count == LN_ARG_LIST_MAX) {
        snprintf(why, LN_OPTION_WHY_MAX, "wants at most %d texts", LN_ARG_LIST_MAX);
        return false;
    }
    list->items[list->count++] = text;
    list->items[list->count] = NULL;
    return true;
}

bool ln_option_take(
    const ln_option *row, const char *text, void *target, char why[LN_OPTION_WHY_MAX]) {
    if (strlen(text) > LN_OPTION_TEXT_MAX) {
        snprintf(why, LN_OPTION_WHY_MAX, "wants at most %d bytes", LN_OPTION_TEXT_MAX);
        return false;
    }
    switch (row->kind) {
    case LN_OPTION_FLAG: return flag(text, target) || wants(row, text, why);
    case LN_OPTION_TEXT: *(const char **)target = *text ? text : NULL; return true;
    case LN_OPTION_WORD: return word(row, text, target) || wants(row, text, why);
    case LN_OPTION_LIST: return append(text, target, why);
    case LN_OPTION_ITEMS: break;
    default: return amount(row, text, target) || wants(row, text, why);
    }
    snprintf(why, LN_OPTION_WHY_MAX, "wants a list of mappings, which only the file can hold");
    return false;
}

void ln_option_standards(const ln_option_table *t, void *of) {
    char why[LN_OPTION_WHY_MAX];
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].standard[0])
            ln_option_take(&t->rows[i], t->rows[i].standard, ln_option_at(&t->rows[i], of), why);
}

void ln_option_put(const ln_option *row, const void *target, char out[64]) {
    size_t size;
    out[0] = 0;
    switch (row->kind) {
    case LN_OPTION_FLAG: snprintf(out, 64, "%s", *(const bool *)target ? "true" : "false"); break;
    case LN_OPTION_WORD: {
        const char *w = word_of(row, *(const uint64_t *)target, &size);
        snprintf(out, 64, "%.*s", (int)size, w ? w : "");
        break;
    }
    case LN_OPTION_NUMBER:
    case LN_OPTION_SIZE:
    case LN_OPTION_DURATION: {
        uint64_t v = *(const uint64_t *)target;
        if (v || row->standard[0]) put_amount(row, v, out);
        break;
    }
    default: break;
    }
}

/* ---- names -------------------------------------------------------------------------- */

bool ln_option_env(const ln_option *row, char *out, size_t size) {
    int n = snprintf(out, size, "LINNET_%s", row->path);
    if (n < 0 || (size_t)n >= size) return false;
    for (char *c = out; *c; c++)
        *c = *c == '.' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    return true;
}

const ln_option *ln_option_find(const ln_option_table *t, const char *path) {
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->rows[i].path, path) == 0) return &t->rows[i];
    return NULL;
}

static size_t least(size_t a, size_t b, size_t c) {
    size_t two = a < b ? a : b;
    return two < c ? two : c;
}

/* How many letters must change; of words under 64 bytes, others are far away. */
size_t ln_option_distance(const char *a, const char *b) {
    size_t rows = strlen(a), columns = strlen(b), line[64];
    if (rows >= 64 || columns >= 64) return SIZE_MAX;
    for (size_t j = 0; j <= columns; j++)
        line[j] = j;
    for (size_t i = 1; i <= rows; i++) {
        size_t corner = line[0];
        line[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t above = line[j];
            line[j] = least(above + 1, line[j - 1] + 1, corner + (a[i - 1] != b[j - 1]));
            corner = above;
        }
    }
    return line[columns];
}

static const char *last(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

const char *ln_option_like(const ln_option_table *t, const char *path) {
    const char *best = NULL;
    size_t least_far = strlen(last(path)) < 5 ? 2 : 3; /* further is another word */
    for (size_t i = 0; i < t->count; i++) {
        size_t far = ln_option_distance(t->rows[i].path, path);
        size_t far_last = ln_option_distance(last(t->rows[i].path), last(path));
        if (far_last < far) far = far_last + 1; /* the right word in the wrong place */
        if (far >= least_far) continue;
        least_far = far;
        best = t->rows[i].path;
    }
    return best;
}
