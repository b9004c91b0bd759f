#include "cli/lines.h"
#include <errno.h>
#include <unistd.h>

#define CHUNK (64 * 1024)

void ln_lines_init(ln_lines *l, int fd, uint32_t line_max) {
    *l = (ln_lines){ .fd = fd, .max = line_max };
    ln_buf_init(&l->buf, LN_BUF_MAX);
}

void ln_lines_fini(ln_lines *l) {
    ln_buf_fini(&l->buf);
}

int ln_lines_read(ln_lines *l) {
    int err = ln_buf_reserve(&l->buf, CHUNK);
    if (err < 0) return err;
    ssize_t n = read(l->fd, ln_buf_room(&l->buf).data, CHUNK);
    if (n < 0) return errno == EINTR || errno == EAGAIN ? 0 : LINNET_ERR_SYS;
    if (n == 0) l->ended = true;
    ln_buf_commit(&l->buf, (size_t)n);
    return LINNET_OK;
}

static int take(ln_lines *l, size_t size, size_t end, ln_slice *line) {
    *line = ln_slice_sub(ln_buf_slice(&l->buf), 0, size);
    ln_buf_consume(&l->buf, size + end);
    l->scanned = 0;
    return size > l->max ? LINNET_ERR_TOO_BIG : 1;
}

int ln_lines_next(ln_lines *l, ln_slice *line) {
    ln_slice all = ln_buf_slice(&l->buf);
    size_t at = ln_slice_find(ln_slice_sub(all, l->scanned, all.size), '\n');
    if (at != SIZE_MAX) return take(l, l->scanned + at, 1, line);
    l->scanned = (uint32_t)all.size;
    if (all.size > l->max) return LINNET_ERR_TOO_BIG;
    return l->ended && all.size ? take(l, all.size, 0, line) : 0;
}
