#include "lib/slots.h"
#include "base/mem.h"
#include <assert.h>
#include <string.h>

#define FIRST  1024u             /* slots in the first chunk */
#define NOBODY (UINT32_MAX >> 1) /* behind the last free slot */

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

static uint32_t generation_of(const ln_slot *slot) {
    return (uint32_t)(ln_word_get(&slot->word) >> 8);
}

static ln_owed owed_by(const ln_slot *slot) {
    return (ln_owed)(ln_word_get(&slot->word) & 255);
}

static uintptr_t free_before(uint32_t next) {
    return (uintptr_t)next << 1 | 1;
}

void ln_slots_init(ln_slots *s) {
    memset(s, 0, sizeof *s);
    s->free = NOBODY;
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
    assert(!((uintptr_t)holder & 1));
    uint32_t index = s->free;
    ln_slot *taken;
    if (index != NOBODY) {
        taken = at(s, index);
        s->free = (uint32_t)(taken->held >> 1);
    } else {
        int err = s->fresh < ln_word_get(&s->room) ? LINNET_OK : grow(s);
        if (err < 0) return err;
        index = s->fresh++;
        taken = at(s, index);
        ln_word_set(&taken->word, word_of(1, LN_OWED_NEVER));
    }
    s->used++;
    taken->held = (uintptr_t)holder;
    *slot = index;
    *generation = generation_of(taken);
    return LINNET_OK;
}

void ln_slots_give(ln_slots *s, uint32_t slot) {
    ln_slots_rename(s, slot);
    at(s, slot)->held = free_before(s->free);
    s->free = slot;
    s->used--;
}

uint32_t ln_slots_rename(ln_slots *s, uint32_t slot) {
    ln_slot *named = at(s, slot);
    uint32_t generation = generation_of(named) + 1;
    if (generation == 0) generation = 1; /* an id is never 0 */
    ln_word_set(&named->word, word_of(generation, LN_OWED_NEVER));
    return generation;
}

void *ln_slots_find(const ln_slots *s, uint32_t slot, uint32_t generation) {
    if (slot >= s->fresh || generation_of(at(s, slot)) != generation) return NULL;
    return ln_slots_holder(s, slot);
}

void *ln_slots_holder(const ln_slots *s, uint32_t slot) {
    uintptr_t held = at(s, slot)->held;
    return held & 1 ? NULL : (void *)held;
}

void ln_slots_owe(ln_slots *s, uint32_t slot, ln_owed what) {
    ln_slot *to = at(s, slot);
    if (owed_by(to) == LN_OWED_NEVER) ln_word_set(&to->word, word_of(generation_of(to), what));
}

void ln_slots_forgive(ln_slots *s, uint32_t slot) {
    ln_slot *to = at(s, slot);
    ln_word_set(&to->word, word_of(generation_of(to), LN_OWED_NEVER));
}

int ln_slots_settle(ln_slots *s, uint32_t slot, uint32_t generation, ln_owed from, ln_owed to) {
    if (slot >= ln_word_get(&s->room)) return LINNET_ERR_NOT_FOUND;
    ln_word *word = &at(s, slot)->word;
    if (ln_word_move(word, word_of(generation, from), word_of(generation, to))) return LINNET_OK;
    uint64_t now = ln_word_get(word);
    bool other = now == word_of(generation, LN_OWED_REQUEST) ||
                 now == word_of(generation, LN_OWED_STREAM);
    return other && from >= LN_OWED_REQUEST ? LINNET_ERR_STATE : LINNET_ERR_NOT_FOUND;
}
