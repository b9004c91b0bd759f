/* ask_inner.h -- what ask.c and follow.c share.
 */
#ifndef LN_CLI_ASK_INNER_H
#define LN_CLI_ASK_INNER_H
#include "cli/ask.h"

/* ask.c: connects, and writes the request into a buffer. -1, or the exit code after it was told
 * why. */
int ln_ask_begin(
    ln_ask *a, const char *method, const char *path, ln_slice body, ln_buf *request, int *fd);
bool ln_ask_send(int fd, ln_slice bytes);
/* Tells why it was refused; 1. */
int ln_ask_complain(const ln_ask *a, int status, ln_slice body, bool key);

/* follow.c: what comes in chunks; zeroed it is at the beginning. */
typedef struct ln_chunks {
    size_t left; /* of a chunk and its line end */
    size_t size; /* read so far of the next one's */
    bool digits, ended, broken;
} ln_chunks;
/* Adds the data in them. False without memory. Behind the last one nothing is read. */
bool ln_chunks_feed(ln_chunks *c, ln_slice in, ln_buf *out);
#endif
