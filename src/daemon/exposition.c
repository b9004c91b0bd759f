/* exposition.c -- the text formats of Prometheus, without knowing of what. */
#include "daemon/metrics.h"
#include <stdio.h>
#include <string.h>

#define NUMBER_MAX 40

static void add(ln_exposition *e, const char *text) {
    if (e->err == LINNET_OK) e->err = ln_buf_add(e->out, ln_slice_str(text));
}

static void add_number(ln_exposition *e, uint64_t n) {
    if (e->err == LINNET_OK) e->err = ln_buf_addf(e->out, "%llu", (unsigned long long)n);
}

/* Microseconds as seconds, exactly, without a zero too many. */
static void add_seconds(ln_exposition *e, uint64_t us) {
    char text[NUMBER_MAX];
    int n = snprintf(text, sizeof text, "%llu.%06u", (unsigned long long)(us / 1000000),
        (unsigned)(us % 1000000));
    while (n > 0 && text[n - 1] == '0' && text[n - 2] != '.')
        text[--n] = 0;
    add(e, text);
}

static void escaped(ln_exposition *e, const char *text, bool quotes) {
    for (; *text && e->err == LINNET_OK; text++) {
        if (*text == '\n')
            add(e, "\\n");
        else if (*text == '\\' || (quotes && *text == '"'))
            e->err = ln_buf_addf(e->out, "\\%c", *text);
        else
            e->err = ln_buf_add_byte(e->out, (uint8_t)*text);
    }
}

static bool counts(const ln_exposition *e) {
    return strcmp(e->kind, "counter") == 0;
}

/* In OpenMetrics a counter's family has the name without _total. */
static void comment(ln_exposition *e, const char *what) {
    add(e, what);
    add(e, e->name);
    add(e, counts(e) && !e->open ? "_total " : " ");
}

void ln_family(ln_exposition *e, const char *name, const char *kind, const char *help) {
    e->name = name;
    e->kind = kind;
    comment(e, "# HELP ");
    escaped(e, help, e->open); /* OpenMetrics escapes quotes here too */
    add(e, "\n");
    comment(e, "# TYPE ");
    add(e, kind);
    add(e, "\n");
}

static void head(ln_exposition *e, const char *label, const char *text) {
    add(e, e->name);
    add(e, counts(e) ? "_total" : "");
    if (label) {
        add(e, "{");
        add(e, label);
        add(e, "=\"");
        escaped(e, text, true);
        add(e, "\"}");
    }
    add(e, " ");
}

void ln_sample(ln_exposition *e, const char *label, const char *text, uint64_t value) {
    head(e, label, text);
    add_number(e, value);
    add(e, "\n");
}

void ln_sample_seconds(ln_exposition *e, uint64_t us) {
    head(e, NULL, NULL);
    add_seconds(e, us);
    add(e, "\n");
}

void ln_histogram(ln_exposition *e, const linnet_histogram *h) {
    uint64_t below = 0;
    for (unsigned i = 0; i < LINNET_HISTOGRAM_BUCKETS; i++) {
        below += h->counts[i];
        add(e, e->name);
        add(e, "_bucket{le=\"");
        if (h->bound_us[i] == UINT64_MAX)
            add(e, "+Inf");
        else
            add_seconds(e, h->bound_us[i]);
        add(e, "\"} ");
        add_number(e, below);
        add(e, "\n");
    }
    add(e, e->name);
    add(e, "_sum ");
    add_seconds(e, h->sum_us);
    add(e, "\n");
    add(e, e->name);
    add(e, "_count ");
    add_number(e, below); /* the same as +Inf, whatever was counted meanwhile */
    add(e, "\n");
}

const char *ln_metrics_type(bool openmetrics) {
    return openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                       : "text/plain; version=0.0.4; charset=utf-8";
}

bool ln_metrics_wants_open(linnet_slice accept) {
    ln_slice range, type;
    while (ln_slice_cut(&accept, ',', &range)) {
        if (!ln_slice_cut(&range, ';', &type)) continue;
        if (ln_slice_eq_ci(ln_slice_trim(type), LN_SLICE("application/openmetrics-text")))
            return true;
    }
    return false;
}
