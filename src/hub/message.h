/* message.h -- a publication: immutable bytes and what is known about them.
 *
 *   | struct | letters, one per worker | channel | event | from | by | info | re | except | data |
 *
 * One block of memory, made once, shared by every worker that got it, each with one
 * reference. The letters that carry it from worker to worker lie inside, so that once a
 * publication exists no mail about it can fail for want of memory: the letter to worker w is
 * letters[w], used at most once on the way to its home and once on the way back.
 *
 * Until its home has given it a place (offset, epoch, ts, err) it belongs to one worker at a
 * time; afterwards nobody writes it. `data` is JSON in the space of the protocol, and any
 * bytes in the space of raw topics.
 */
#ifndef LN_HUB_MESSAGE_H
#define LN_HUB_MESSAGE_H
#include "base/err.h"
#include "base/letter.h"
#include "base/ref.h"
#include "base/slice.h"

#define LN_CHANNEL_NAME_MAX 255
#define LN_EVENT_NAME_MAX   255
#define LN_CLIENT_NAME_MAX  64
#define LN_USER_NAME_MAX    128  /* bytes; @ and it name the user's own channel */
#define LN_INFO_MAX         4096 /* bytes of JSON about a user */
#define LN_RE_MAX           255  /* a request id, as the user wants it back */
#define LN_WORKERS_MAX      255

/* Names of different spaces never meet. */
typedef enum ln_space {
    LN_SPACE_CHANNELS, /* of the protocol; names as PROTOCOL 2.10 */
    LN_SPACE_TOPICS,   /* of the library's connections; names are any bytes; always class live */
    LN_SPACE_PRESENCE, /* beside each channel: word of who comes and goes there (presence.h) */
    LN_SPACES
} ln_space;

/* A place in the log of a channel. epoch 0: none (class live). */
typedef struct ln_position {
    uint64_t epoch;
    uint64_t offset; /* of the last publication before this place; 0 at the start */
} ln_position;

#define LN_PUB_BINARY   1 /* data is a binary message */
#define LN_PUB_VOLATILE 2 /* takes no offset, is never kept */
#define LN_PUB_QUIET    4 /* who waits for the answer is told of a refusal only */
#define LN_PUB_ASIDE    8 /* is no message but for user->aside */
/* Was taken back: in a log, what stands in its place, for nobody; with ASIDE, the word of it. */
#define LN_PUB_RETRACTED 16
#define LN_PUB_SEQ       32 /* its key is a number of its session (seq.h) */

typedef struct ln_publication {
    ln_ref refs;
    int err;          /* LINNET_OK, or why it has no place */
    ln_position at;   /* offset 0: volatile, or class live */
    uint64_t ts;      /* ms of the wall clock, when its home accepted it */
    uint64_t without; /* the subscriber's handle that does not want it back; 0: none */
    uint64_t who;     /* handle that waits for the answer; 0: nobody */
    uint32_t data_size, except_size;
    uint8_t channel_size, event_size, from_size, re_size;
    uint8_t space, flags;
    uint8_t user;    /* ln_hub_user that waits */
    uint8_t workers; /* number of letters */
    uint8_t origin;  /* worker that waits; its home writes it */
    uint32_t born;   /* of the few that are timed: microseconds of a clock, and 1; else 0 */
    uint8_t by_size, key_size;
    uint16_t info_size;
    ln_letter letters[]; /* behind them the bytes: channel_size of channel, and so on */
} ln_publication;

/* What a publisher says; all slices are borrowed for the call. */
typedef struct ln_publish {
    ln_slice channel, event, data;
    ln_slice from;     /* client name; empty: unknown */
    ln_slice by, info; /* the user, and JSON about him; empty: unknown */
    ln_slice re;       /* request id for the answer, as the user wants it back */
    ln_slice except;   /* packed: one length byte and so many bytes per client name */
    ln_slice key;      /* packed by ln_key_put; empty: it has none */
    uint64_t without;  /* as above */
    uint64_t who;
    uint8_t user, space, flags;
} ln_publish;

/* Copies it all; one reference, yours. Any thread. Sizes are the caller's to have checked, against
 * the limits above; NULL without memory. */
ln_publication *ln_publication_new(const ln_publish *what, uint32_t workers);
void ln_publication_free(ln_publication *p); /* for unref only */
static inline void ln_publication_ref(ln_publication *p, uint32_t n) {
    ln_ref_get(&p->refs, n);
}
static inline void ln_publication_unref(ln_publication *p) {
    if (ln_ref_put(&p->refs)) ln_publication_free(p);
}
/* The publication a letter lies in. */
ln_publication *ln_publication_of(ln_letter *letter);
/* Bytes it holds, for accounts. */
size_t ln_publication_held(const ln_publication *p);

static inline const uint8_t *ln_publication_bytes(const ln_publication *p) {
    return (const uint8_t *)(p->letters + p->workers);
}
static inline ln_slice ln_publication_channel(const ln_publication *p) {
    return ln_slice_of(ln_publication_bytes(p), p->channel_size);
}
static inline ln_slice ln_publication_event(const ln_publication *p) {
    return ln_slice_of(ln_publication_bytes(p) + p->channel_size, p->event_size);
}
static inline ln_slice ln_publication_from(const ln_publication *p) {
    return ln_slice_of(ln_publication_event(p).data + p->event_size, p->from_size);
}
static inline ln_slice ln_publication_by(const ln_publication *p) {
    return ln_slice_of(ln_publication_from(p).data + p->from_size, p->by_size);
}
static inline ln_slice ln_publication_info(const ln_publication *p) {
    return ln_slice_of(ln_publication_by(p).data + p->by_size, p->info_size);
}
static inline ln_slice ln_publication_re(const ln_publication *p) {
    return ln_slice_of(ln_publication_info(p).data + p->info_size, p->re_size);
}
static inline ln_slice ln_publication_except(const ln_publication *p) {
    const uint8_t *re = ln_publication_re(p).data;
    return ln_slice_of(re + p->re_size, p->except_size);
}
static inline ln_slice ln_publication_key(const ln_publication *p) {
    const uint8_t *except = ln_publication_except(p).data;
    return ln_slice_of(except + p->except_size, p->key_size);
}
static inline ln_slice ln_publication_data(const ln_publication *p) {
    const uint8_t *key = ln_publication_key(p).data;
    return ln_slice_of(key + p->key_size, p->data_size);
}
/* Bytes it may take at most when it is said in a dialect, for the limits of pages. */
size_t ln_publication_cost(const ln_publication *p);
/* Somebody may be left out, so that each subscriber must be asked. */
static inline bool ln_publication_picky(const ln_publication *p) {
    return p->without || p->except_size || p->flags & LN_PUB_RETRACTED;
}
/* Whether a subscriber with this handle and client name is left out. */
bool ln_publication_skips(const ln_publication *p, uint64_t handle, ln_slice client);
/* Packs the key under which a publication is known if it comes again, and in whose name; each at
 * most LN_KEY_MAX bytes, the principal may be empty. The size; 0: one of them is not as it must be.
 */
#define LN_KEY_MAX        64
#define LN_KEY_PACKED_MAX (1 + 2 * LN_KEY_MAX)
size_t ln_key_put(ln_slice principal, ln_slice key, uint8_t out[LN_KEY_PACKED_MAX]);
/* Appends a client name to a packed list of `used` bytes in room for `most`; the new size, or
 * `used` when it is empty, too long or does not fit. */
size_t ln_except_add(uint8_t *list, size_t used, size_t most, ln_slice client);
#endif
