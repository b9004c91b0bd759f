/* lines.h -- whole lines out of a descriptor that is only read when it has something, so that
 * whoever waits for it can wait for other things too. Lines are as long as the caller allows.
 */
#ifndef LN_CLI_LINES_H
#define LN_CLI_LINES_H
#include "base/buf.h"

typedef struct ln_lines {
    ln_buf buf;
    uint32_t scanned; /* bytes of buf known to hold no line end */
    uint32_t max;     /* bytes of one line, without its end */
    int fd;
    bool ended;
} ln_lines;

/* line_max at most LN_BUF_MAX / 2. The descriptor stays the caller's. */
void ln_lines_init(ln_lines *l, int fd, uint32_t line_max);
void ln_lines_fini(ln_lines *l);
/* Reads once, which does not block when poll said so. 0, also at the end (then l->ended), or
 * LINNET_ERR_NOMEM, LINNET_ERR_SYS. */
int ln_lines_read(ln_lines *l);
/* The next line, without "\n"; at the end also a last one that has none. Good until the next read.
 * 1: *line is filled; 0: read more, or nothing is left; LINNET_ERR_TOO_BIG: over the limit. */
int ln_lines_next(ln_lines *l, ln_slice *line);
#endif
