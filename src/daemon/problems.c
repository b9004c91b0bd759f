#include "daemon/problems.h"
#include "daemon/args.h"
#include <stdarg.h>
#include <stdio.h>

/* What comes from a file may try to paint the terminal. */
static void make_plain(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127) *text = '?';
}

void ln_problem(ln_problems *p, const ln_source *at, const char *format, ...) {
    if (p->count++ >= LN_PROBLEMS_MAX) return;
    struct ln_problem *item = &p->items[p->count - 1];
    bool in_file = at && at->kind == LN_SOURCE_FILE;
    item->line = in_file ? at->line : 0;
    item->column = in_file ? at->column : 0;
    va_list args;
    va_start(args, format);
    vsnprintf(item->text, sizeof item->text, format, args);
    va_end(args);
    make_plain(item->text);
}

void ln_problems_say(const ln_problems *p) {
    for (unsigned i = 0; i < p->count && i < LN_PROBLEMS_MAX; i++) {
        const struct ln_problem *item = &p->items[i];
        if (item->line)
            ln_say("%s:%u:%u: %s", p->file, item->line, item->column, item->text);
        else
            ln_say("%s", item->text);
    }
    if (p->count > LN_PROBLEMS_MAX) ln_say("and %u more", p->count - LN_PROBLEMS_MAX);
}
