#include "lib/slots.h"
#include "base/mem.h"
#include <string.h>

#define FIRST 1024u /* slots in the first chunk */

static unsigned chunk_of(uint32_t slot) {
    return slot < FIRST ? 0 : 32 - (unsigned)__builtin_clz(slot / FIRST);
}

static ln_slot *at(const ln_slots *s, uint32_t slot) {
    unsigned chunk = chunk_of(slot);
    return &s->chunks[chunk][chunk ? slot - (FIRST << (chunk - 1)) : slot];
}

static uint64_t word_of(uint32_t generation, ln_owed what) {
    return (uint64_t)generation << 8 | what;
}

void ln_slots_init(ln_slots *s) {
    memset(s, 0, sizeof *s);
    s->free = UINT32_MAX;
}

void ln_slots_fini(ln_slots *s) {
    for (unsigned i = 0; i < LN_SLOT_CHUNKS; i++)
        ln_free(s->chunks[i]);
}

/* A chunk is there before any thread can read that it is. */
static int grow(ln_slots *s) {
    uint32_t room = (uint32_t)ln_word_get(&s->room);
    unsigned chunk = chunk_of(room);
    if (chunk == LN_SLOT_CHUNKS) return LINNET_ERR_LIMIT;
    uint32_t more = chunk ? room : FIRST;
    if (!(s->chunks[chunk] = ln_calloc(more, sizeof(ln_slot)))) return LINNET_ERR_NOMEM;
    ln_word_set(&s->room, room + more);
    return LINNET_OK;
}

int ln_slots_take(ln_slots *s, void *holder, uint32_t *slot, uint32_t *generation) {
    uint32_t index = s->free;
    ln_slot *taken;
    if (index != UINT32_MAX) {
        taken = at(s, index);
        s->free = taken->next_free;
    } else {
        int err = s->fresh < ln_word_get(&s->room) ? LINNET_OK : grow(s);
        if (err < 0) return err;
        index = s->fresh++;
        taken = at(s, index);
        taken->generation = 1;
    }
    s->used++;
    taken->holder = holder;
    *slot = index;
    *generation = taken->generation;
    return LINNET_OK;
}

void ln_slots_give(ln_slots *s, uint32_t slot) {
    ln_slot *given = at(s, slot);
    ln_slots_forgive(s, slot);
    ln_slots_rename(s, slot);
    given->holder = NULL;
    given->next_free = s->free;
    s->free = slot;
    s->used--;
}

uint32_t ln_slots_rename(ln_slots *s, uint32_t slot) {
    ln_slot *named = at(s, slot);
    if (++named->generation == 0) named->generation = 1; /* an id is never 0 */
    return named->generation;
}

void *ln_slots_find(const ln_slots *s, uint32_t slot, uint32_t generation) {
    if (slot >= s->fresh) return NULL;
    const ln_slot *asked = at(s, slot);
    return asked->generation == generation ? asked->holder : NULL;
}

void *ln_slots_holder(const ln_slots *s, uint32_t slot) {
    return at(s, slot)->holder;
}

void ln_slots_owe(ln_slots *s, uint32_t slot, ln_owed what) {
    ln_slot *to = at(s, slot);
    if (ln_word_get(&to->owed) >> 8 != to->generation)
        ln_word_set(&to->owed, word_of(to->generation, what));
}

void ln_slots_forgive(ln_slots *s, uint32_t slot) {
    ln_word_set(&at(s, slot)->owed, 0);
}

int ln_slots_settle(ln_slots *s, uint32_t slot, uint32_t generation, ln_owed from, ln_owed to) {
    if (slot >= ln_word_get(&s->room)) return LINNET_ERR_NOT_FOUND;
    ln_word *owed = &at(s, slot)->owed;
    if (ln_word_move(owed, word_of(generation, from), word_of(generation, to))) return LINNET_OK;
    uint64_t now = ln_word_get(owed);
    bool other = now == word_of(generation, LN_OWED_REQUEST) ||
                 now == word_of(generation, LN_OWED_STREAM);
    return other && from >= LN_OWED_REQUEST ? LINNET_ERR_STATE : LINNET_ERR_NOT_FOUND;
}
