/* linnet.yaml: what is refused has a place inside the text and words fit for a terminal; what is
 * taken is written again, that text is taken too, means the same, and writing it once more changes
 * nothing. */
#include "daemon/config.h"
#include "daemon/config_write.h"
#include "daemon/options.h"
#include "fuzz.h"

typedef struct result {
    ln_options o;
    ln_problems p;
    bool good;
} result;

static void read_text(ln_slice text, result *r) {
    memset(r, 0, sizeof *r);
    ln_option_standards(ln_options_table(), &r->o);
    const ln_config c = { .table = ln_options_table(),
        .of = &r->o,
        .from = r->o.from,
        .shelf = &r->o.shelf,
        .problems = &r->p };
    r->good = ln_config_read(&c, text);
}

static char *write_text(const result *r) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to) abort();
    ln_config_write(to, ln_options_table(), &r->o, NULL, NULL);
    if (fclose(to) != 0) abort();
    return text;
}

static size_t lines_of(ln_slice text) {
    size_t lines = 1;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n' || text.data[i] == '\r' || text.data[i] >= 0x80;
    return lines; /* at most: YAML knows line ends of several bytes */
}

static void check_problems(ln_slice text, const ln_problems *p) {
    FUZZ_REQUIRE(p->count > 0);
    for (unsigned i = 0; i < p->count && i < LN_PROBLEMS_MAX; i++) {
        const struct ln_problem *item = &p->items[i];
        FUZZ_REQUIRE(item->line >= 1 && item->column >= 1);
        FUZZ_REQUIRE(item->line <= lines_of(text) + 1);
        FUZZ_REQUIRE(item->text[0]);
        for (const char *c = item->text; *c; c++)
            FUZZ_REQUIRE((unsigned char)*c >= ' ' && *c != 127);
    }
}

void fuzz_one(ln_slice in) {
    static result first, second; /* too large for a stack */
    read_text(in, &first);
    FUZZ_REQUIRE(first.good == (first.p.count == 0));
    if (!first.good) {
        check_problems(in, &first.p);
        ln_options_fini(&first.o);
        return;
    }
    char *once = write_text(&first);
    read_text(ln_slice_str(once), &second);
    if (!second.good) fprintf(stderr, "%s\n%s\n", second.p.items[0].text, once);
    FUZZ_REQUIRE(second.good);
    char *twice = write_text(&second);
    bool secret = strstr(once, ": a secret\n") != NULL; /* is not written */
    FUZZ_REQUIRE(secret || strcmp(once, twice) == 0);
    free(once);
    free(twice);
    ln_options_fini(&first.o);
    ln_options_fini(&second.o);
}
