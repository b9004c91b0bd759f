#include "cli/term.h"
#include <stdlib.h>
#include <unistd.h>

bool ln_term_is(FILE *f) {
    return isatty(fileno(f)) == 1;
}

static bool colours(FILE *f) {
    const char *off = getenv("NO_COLOR"), *term = getenv("TERM");
    return ln_term_is(f) && !(off && *off) && !(term && strcmp(term, "dumb") == 0);
}

const char *ln_term_dim(FILE *f) {
    return colours(f) ? "\033[2m" : "";
}

const char *ln_term_bold(FILE *f) {
    return colours(f) ? "\033[1m" : "";
}

const char *ln_term_plain(FILE *f) {
    return colours(f) ? "\033[0m" : "";
}

/* C0 but tab and line feed, DEL, and the C1 controls, which are c2 80 to c2 9f in UTF-8. */
static size_t control_at(ln_slice s, size_t i) {
    uint8_t c = s.data[i];
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) return 1;
    return c == 0xc2 && i + 1 < s.size && s.data[i + 1] < 0xa0 ? 2 : 0;
}

void ln_term_text(FILE *f, ln_slice text) {
    if (!ln_term_is(f)) {
        fwrite(text.data, 1, text.size, f);
        return;
    }
    for (size_t i = 0; i < text.size; i++) {
        size_t bad = control_at(text, i);
        if (bad)
            fprintf(f, "\\x%02x", text.data[i + bad - 1]);
        else
            putc(text.data[i], f);
        if (bad == 2) i++;
    }
}

void ln_term_hex(FILE *f, ln_slice bytes, size_t most) {
    for (size_t i = 0; i < bytes.size && i < most; i++)
        fprintf(f, "%s%02x", i ? " " : "", bytes.data[i]);
    if (bytes.size > most) fputs(" ...", f);
}
