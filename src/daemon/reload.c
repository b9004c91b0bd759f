#include "daemon/reload.h"
#include "daemon/config_write.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an option says, as in a file; NULL without memory. */
static char *said(const ln_option *row, const ln_options *o) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to) return NULL;
    ln_config_put(to, row, o);
    return fclose(to) == 0 ? text : NULL;
}

static void tell(const ln_option *row, const char *before, const char *now) {
    bool items = row->kind == LN_OPTION_ITEMS, secret = row->how & LN_OPTION_SECRET;
    const char *left = secret ? "***" : *before ? before : "not set";
    const char *right = secret ? "***" : *now ? now : "not set";
    if (!(row->how & LN_OPTION_RELOAD) && items)
        ln_say("reload: %s wants a restart", row->path);
    else if (!(row->how & LN_OPTION_RELOAD))
        ln_say("reload: %s wants a restart: it stays %s, and is to be %s", row->path, left, right);
    else if (items)
        ln_say("reload: %s have changed", row->path);
    else
        ln_say("reload: %s is %s, was %s", row->path, right, left);
}

/* How many options differ, each told. What waits for a restart differs from the start, again and
 * again, and what does not from what was last. */
static unsigned compare(const ln_reload *r, const ln_options *now) {
    const ln_option_table *t = ln_options_table();
    const ln_options *last = r->last ? r->last : r->first;
    unsigned count = 0;
    for (size_t i = 0; i < t->count; i++) {
        const ln_option *row = &t->rows[i];
        const ln_options *before = row->how & LN_OPTION_RELOAD ? last : r->first;
        char *a = said(row, before), *b = said(row, now);
        if (a && b && strcmp(a, b) != 0) {
            tell(row, a, b);
            count++;
        }
        free(a);
        free(b);
    }
    return count;
}

static void forget(ln_options *o) {
    if (o) ln_options_fini(o);
    free(o);
}

void ln_reload_now(ln_reload *r) {
    ln_problems p = { .count = 0 };
    ln_options *o = malloc(sizeof *o);
    if (!o) {
        ln_say("reload: no memory; nothing has changed");
        return;
    }
    bool good = ln_options_load(o, r->told, &p) && ln_options_secrets(o, &p);
    if (!good) ln_problems_say(&p);
    if (!good || r->apply(o, r->ctx) < 0) {
        ln_say("reload: all stays as it was");
        forget(o);
        return;
    }
    if (!compare(r, o))
        ln_say("reload: certificates and keys were read again; no option has changed");
    forget(r->last);
    r->last = o;
}

void ln_reload_fini(ln_reload *r) {
    forget(r->last);
    r->last = NULL;
}
