#include "cli/bench_shared.h"

#include "cli/bench_frame.h"

#include <stdlib.h>
#include <string.h>

typedef struct ln_bench_shared_item item;

void ln_bench_shared_fini(ln_bench_shared *s) {
    for (unsigned i = 0; i < LN_BENCH_SHARED_KEPT; i++) {
        free(s->items[i].packed);
        free(s->items[i].text);
    }
    if (s->begun) inflateEnd(&s->z);
    memset(s, 0, sizeof *s);
}

/* The message and then its tail; a last block may have ended it before. */
static bool inflate_whole(ln_bench_shared *s, item *it, size_t most) {
    static const uint8_t tail[4] = { 0, 0, 0xff, 0xff };
    if (!s->begun) s->begun = inflateInit2(&s->z, -15) == Z_OK;
    if (!s->begun || inflateReset(&s->z) != Z_OK) return false;
    s->z.next_out = it->text;
    s->z.avail_out = (uInt)most;
    int code = Z_OK;
    for (int part = 0; part < 2 && code == Z_OK; part++) {
        s->z.next_in = (Bytef *)(uintptr_t)(part ? tail : it->packed);
        s->z.avail_in = part ? sizeof tail : (uInt)it->packed_len;
        code = inflate(&s->z, Z_SYNC_FLUSH);
        if (code == Z_OK && s->z.avail_in) return false; /* there is more than may be */
    }
    it->text_len = most - s->z.avail_out;
    return code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR;
}

const uint8_t *ln_bench_shared_text(
    ln_bench_shared *s, const uint8_t *packed, size_t n, size_t most, size_t *len) {
    for (unsigned i = 1; i <= LN_BENCH_SHARED_KEPT; i++) { /* the youngest first */
        const item *it = &s->items[(s->next - i) % LN_BENCH_SHARED_KEPT];
        if (!it->text || it->packed_len != n || memcmp(it->packed, packed, n) != 0) continue;
        *len = it->text_len;
        return it->text;
    }
    item *it = &s->items[s->next % LN_BENCH_SHARED_KEPT];
    free(it->packed);
    free(it->text);
    it->packed = ln_bench_alloc(1, n + 1);
    it->text = ln_bench_alloc(1, most + 1);
    it->packed_len = n;
    memcpy(it->packed, packed, n);
    s->inflated++;
    if (!inflate_whole(s, it, most)) {
        free(it->text);
        it->text = NULL;
        return NULL;
    }
    s->next++;
    *len = it->text_len;
    return it->text;
}
