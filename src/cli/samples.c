#include "cli/samples.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* name{label="value"} of a line. False: it is none. */
static bool take_name(ln_slice *line, ln_scraped *out) {
    size_t n = 0;
    while (n < line->size && line->data[n] != ' ' && line->data[n] != '{')
        n++;
    out->name = ln_slice_sub(*line, 0, n);
    out->label = ln_slice_of(NULL, 0);
    ln_slice_skip(line, n);
    if (n == 0 || !line->size) return false;
    if (line->data[0] == ' ') return true;
    size_t from = ln_slice_find(*line, '"');
    if (from == SIZE_MAX) return false;
    ln_slice_skip(line, from + 1);
    size_t to = ln_slice_find(*line, '"');
    if (to == SIZE_MAX || to + 1 >= line->size || line->data[to + 1] != '}') return false;
    out->label = ln_slice_sub(*line, 0, to);
    ln_slice_skip(line, to + 2);
    return line->size > 0 && line->data[0] == ' ';
}

static bool number(ln_slice s, double *out) {
    char text[64], *end;
    if (s.size == 0 || s.size >= sizeof text) return false;
    memcpy(text, s.data, s.size);
    text[s.size] = 0;
    *out = strtod(text, &end);
    return *end == 0;
}

int ln_scraped_next(ln_slice *text, ln_scraped *out) {
    ln_slice line;
    double any;
    while (ln_slice_cut(text, '\n', &line)) {
        if (line.size == 0 || line.data[0] == '#') continue;
        if (!take_name(&line, out)) return LINNET_ERR_INVAL;
        out->value = ln_slice_sub(line, 1, line.size);
        return number(out->value, &any) ? 1 : LINNET_ERR_INVAL;
    }
    return 0;
}

double ln_scraped_value(ln_slice text, const char *name, const char *label) {
    ln_scraped s;
    double v = 0;
    while (ln_scraped_next(&text, &s) == 1) {
        if (!ln_slice_eq(s.name, ln_slice_str(name)) || !label != !s.label.data) continue;
        if (label && !ln_slice_eq(s.label, ln_slice_str(label))) continue;
        return number(s.value, &v) ? v : 0;
    }
    return 0;
}

double ln_scraped_sum(ln_slice text, const char *name) {
    ln_scraped s;
    double sum = 0, v;
    while (ln_scraped_next(&text, &s) == 1)
        if (ln_slice_eq(s.name, ln_slice_str(name)) && number(s.value, &v)) sum += v;
    return sum;
}

double ln_scraped_quantile(ln_slice text, const char *name, double q) {
    char wanted[128];
    ln_scraped s;
    double n, bound;
    snprintf(wanted, sizeof wanted, "%s_count", name);
    double all = ln_scraped_value(text, wanted, NULL);
    if (all <= 0) return -1;
    snprintf(wanted, sizeof wanted, "%s_bucket", name);
    while (ln_scraped_next(&text, &s) == 1) {
        if (!ln_slice_eq(s.name, ln_slice_str(wanted)) || !number(s.value, &n)) continue;
        if (n >= q * all) return number(s.label, &bound) ? bound : INFINITY;
    }
    return INFINITY;
}
