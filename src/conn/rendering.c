#include "conn/rendering.h"
#include "base/mem.h"
#include "wire/frame.h"

#define RENDERING_MAX (UINT32_C(0x7fffffff) - 64)

/* The header lies right before the payload, so that both leave as one piece. */
static void put_head(ln_rendering *r, bool rsv1) {
    uint8_t head[LN_FRAME_HEAD_MAX];
    ln_frame f = { .length = r->size, .opcode = r->opcode, .fin = true, .rsv1 = rsv1 };
    size_t n = ln_frame_encode(&f, head);
    memcpy(r->bytes + LN_RENDERING_HEADROOM - n, head, n);
    r->head = (uint8_t)n;
}

ln_rendering *ln_rendering_new(uint8_t opcode, size_t size) {
    if (size > RENDERING_MAX) return NULL;
    ln_rendering *r = ln_malloc(sizeof *r + LN_RENDERING_HEADROOM + size);
    if (!r) return NULL;
    r->refs = 1;
    r->size = (uint32_t)size;
    r->opcode = opcode;
    r->head = r->bits = r->flags = 0;
    r->charged = 0;
    r->account = NULL;
    r->twins = NULL;
    r->offset = r->channel = r->key = 0;
    if (opcode) put_head(r, false);
    return r;
}

ln_rendering *ln_rendering_of(uint8_t opcode, ln_slice payload) {
    ln_rendering *r = ln_rendering_new(opcode, payload.size);
    if (r && payload.size) memcpy(ln_rendering_payload(r), payload.data, payload.size);
    return r;
}

ln_rendering *ln_rendering_twin(const ln_rendering *of, uint8_t bits, ln_slice compressed) {
    ln_rendering *r = ln_rendering_new(0, compressed.size);
    if (!r) return NULL;
    memcpy(ln_rendering_payload(r), compressed.data, compressed.size);
    r->opcode = of->opcode;
    r->bits = bits;
    r->flags = LN_RENDERING_RSV1;
    put_head(r, true);
    return r;
}

void ln_rendering_free(ln_rendering *r) {
    ln_rendering *twin = r->twins;
    while (twin) {
        ln_rendering *next = twin->twins;
        twin->twins = NULL;
        ln_rendering_unref(twin);
        twin = next;
    }
    if (r->account) ln_stat_sub(r->account, r->charged);
    ln_free(r);
}
