#include "hub/message.h"
#include "base/mem.h"
#include "hub/channel.h"
#include "hub/lease.h"
#include <assert.h>

static uint8_t *put(uint8_t *at, ln_slice s) {
    if (s.size) memcpy(at, s.data, s.size);
    return at + s.size;
}

static void letters_init(ln_publication *p, size_t bytes) {
    for (uint32_t i = 0; i < p->workers; i++) {
        p->letters[i] = (ln_letter){
            .bytes = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes,
            .room = LN_LETTER_HUB,
            .to = (uint8_t)i,
        };
    }
}

ln_publication *ln_publication_new(const ln_publish *what, uint32_t workers) {
    assert(workers > 0);
    assert(workers <= LN_WORKERS_MAX);
    assert(what->channel.size <= LN_CHANNEL_NAME_MAX);
    assert(what->event.size <= LN_EVENT_NAME_MAX);
    assert(what->from.size <= LN_CLIENT_NAME_MAX);
    assert(what->by.size <= LN_USER_NAME_MAX);
    assert(what->info.size <= LN_INFO_MAX);
    assert(what->re.size <= LN_RE_MAX);
    assert(what->key.size <= LN_KEY_PACKED_MAX);
    assert(what->data.size <= UINT32_MAX && what->except.size <= UINT32_MAX);

    size_t head = sizeof(ln_publication) + workers * sizeof(ln_letter);
    size_t tail = what->channel.size + what->event.size + what->from.size + what->by.size +
                  what->info.size + what->re.size + what->except.size + what->key.size +
                  what->data.size;
    ln_publication *p = ln_malloc(head + tail);
    if (!p) return NULL;
    *p = (ln_publication){
        .without = what->without,
        .who = what->who,
        .data_size = (uint32_t)what->data.size,
        .except_size = (uint32_t)what->except.size,
        .channel_size = (uint8_t)what->channel.size,
        .event_size = (uint8_t)what->event.size,
        .from_size = (uint8_t)what->from.size,
        .by_size = (uint8_t)what->by.size,
        .info_size = (uint16_t)what->info.size,
        .re_size = (uint8_t)what->re.size,
        .key_size = (uint8_t)what->key.size,
        .space = what->space,
        .flags = what->flags,
        .user = what->user,
        .workers = (uint8_t)workers,
    };
    ln_ref_init(&p->refs, 1);
    letters_init(p, head + tail);
    uint8_t *at = put((uint8_t *)p + head, what->channel);
    at = put(at, what->event);
    at = put(at, what->from);
    at = put(at, what->by);
    at = put(at, what->info);
    at = put(at, what->re);
    at = put(at, what->except);
    at = put(at, what->key);
    put(at, what->data);
    return p;
}

void ln_publication_free(ln_publication *p) {
    ln_free(p);
}

ln_publication *ln_publication_of(ln_letter *letter) {
    char *first = (char *)(letter - letter->to);
    return (ln_publication *)(void *)(first - offsetof(ln_publication, letters));
}

size_t ln_publication_held(const ln_publication *p) {
    return (size_t)(ln_publication_data(p).data - (const uint8_t *)p) + p->data_size;
}

#define COST_HEAD 192 /* of keys, numbers and brackets */

/* Of an escaped string each byte may take six. */
size_t ln_publication_cost(const ln_publication *p) {
    size_t names = 6 * ((size_t)p->event_size + p->from_size + p->by_size);
    return COST_HEAD + p->channel_size + names + p->info_size + p->data_size;
}

bool ln_publication_skips(const ln_publication *p, uint64_t handle, ln_slice client) {
    if (p->flags & LN_PUB_RETRACTED) return true;
    if (p->without && p->without == handle) return true;
    ln_slice list = ln_publication_except(p);
    while (list.size) {
        size_t size = list.data[0];
        if (ln_slice_eq(ln_slice_sub(list, 1, 1 + size), client)) return true;
        ln_slice_skip(&list, 1 + size);
    }
    return false;
}

size_t ln_key_put(ln_slice principal, ln_slice key, uint8_t out[LN_KEY_PACKED_MAX]) {
    if (principal.size > LN_KEY_MAX || key.size == 0 || key.size > LN_KEY_MAX) return 0;
    out[0] = (uint8_t)principal.size;
    put(put(out + 1, principal), key);
    return 1 + principal.size + key.size;
}

size_t ln_except_add(uint8_t *list, size_t used, size_t most, ln_slice client) {
    if (client.size == 0 || client.size > LN_CLIENT_NAME_MAX) return used;
    if (most - used < 1 + client.size) return used;
    list[used] = (uint8_t)client.size;
    memcpy(list + used + 1, client.data, client.size);
    return used + 1 + client.size;
}

ln_interest *ln_interest_new(ln_space space, ln_slice name) {
    assert(name.size <= LN_CHANNEL_NAME_MAX);
    size_t size = sizeof(ln_interest) + name.size;
    ln_interest *m = ln_malloc(size);
    if (!m) return NULL;
    *m = (ln_interest){
        .letter = { .bytes = (uint32_t)size, .room = LN_LETTER_HUB, .kind = LN_MAIL_INTEREST },
        .space = (uint8_t)space,
        .name_size = (uint8_t)name.size,
    };
    if (name.size) memcpy(m->name, name.data, name.size);
    return m;
}

ln_reading *ln_reading_new(ln_slice channel, ln_slice re) {
    assert(channel.size <= LN_CHANNEL_NAME_MAX && re.size <= LN_RE_MAX);
    size_t size = sizeof(ln_reading) + channel.size + re.size;
    ln_reading *m = ln_malloc(size);
    if (!m) return NULL;
    *m = (ln_reading){
        .letter = { .bytes = (uint32_t)size, .room = LN_LETTER_HUB, .kind = LN_MAIL_READ },
        .limit = UINT32_MAX,
        .bytes = UINT32_MAX,
        .any = true,
        .name_size = (uint8_t)channel.size,
        .re_size = (uint8_t)re.size,
    };
    ln_list_init(&m->pin);
    put(put(m->bytes_of, channel), re);
    return m;
}

void ln_reading_clear(ln_reading *m) {
    for (uint32_t i = 0; i < m->count; i++)
        ln_publication_unref(m->items[i]);
    ln_free(m->items);
    m->items = NULL;
    m->count = 0;
}

/* Its subscription, if there is one, has been told of nothing: the hub is going too. */
void ln_reading_free(ln_reading *m) {
    if (!m) return;
    ln_reading_clear(m);
    ln_free(m);
}

void ln_mail_discard(ln_letter *letter) {
    switch ((ln_mail_kind)letter->kind) {
    case LN_MAIL_PUBLISH:
    case LN_MAIL_DELIVER:
    case LN_MAIL_ANSWER:
    case LN_MAIL_DELIVER_ANSWER: ln_publication_unref(ln_publication_of(letter)); break;
    case LN_MAIL_INTEREST:
    case LN_MAIL_INTERESTED:
    case LN_MAIL_DISINTEREST: ln_free(ln_interest_of(letter)); break;
    case LN_MAIL_LEAVE:
    case LN_MAIL_LEFT:
        if (ln_leave_of(letter)->sub) ln_subscription_stay(ln_leave_of(letter)->sub);
        ln_free(ln_leave_of(letter));
        break;
    case LN_MAIL_ADMIT:
    case LN_MAIL_ADMITTED:
    case LN_MAIL_RELEASE: ln_free(ln_admission_of(letter)); break;
    case LN_MAIL_ENTER:
    case LN_MAIL_ENTERED:
    case LN_MAIL_PART:
        if (ln_place_of(letter)->keeper) *ln_place_of(letter)->keeper = NULL;
        ln_free(ln_place_of(letter));
        break;
    case LN_MAIL_QUERY:
    case LN_MAIL_QUERIED: ln_inquiry_free(ln_inquiry_of(letter)); break;
    case LN_MAIL_READ:
    case LN_MAIL_PAGE:
    case LN_MAIL_UNREAD: ln_reading_free(ln_reading_of(letter)); break;
    case LN_MAIL_LEASE:
    case LN_MAIL_LEASED: ln_free(ln_lease_letter_of(letter)); break;
    case LN_MAIL_TAKEN: ln_free(ln_taking_of(letter)); break;
    }
}
