/* term.h -- what is said to a person: colours only on a terminal, and nothing that a peer sent
 * reaches the terminal as a control sequence.
 */
#ifndef LN_CLI_TERM_H
#define LN_CLI_TERM_H
#include "base/slice.h"
#include <stdio.h>

/* "" unless the stream is a terminal that wants colours (NO_COLOR unset, TERM not dumb). */
const char *ln_term_dim(FILE *f);
const char *ln_term_bold(FILE *f);
const char *ln_term_plain(FILE *f); /* ends either */
bool ln_term_is(FILE *f);
/* Writes text; to a terminal, control characters but line ends and tabs as \xNN. */
void ln_term_text(FILE *f, ln_slice text);
/* Binary for people: "0a ff 00 ...", at most `most` bytes. */
void ln_term_hex(FILE *f, ln_slice bytes, size_t most);
#endif
