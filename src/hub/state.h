/* state.h -- what lives in a channel for as long as somebody holds it: keyed values with a time to
 * live, and who is typing. Kept where the channel has its home, and never in its log.
 *
 * A key belongs to the place (mail.h) that set it until it is gone: at its time to live, when it is
 * unset, or when its owner leaves. Until then nobody else can set or unset it, so that a key may
 * also say who holds something. Typing is a key of each owner, without a name.
 *
 * Each change is told before it is made, so that what could not be told has not happened; what goes
 * because its time is up, and cannot be told for want of memory, goes a little later. No clock and
 * no mail, as in presence.h.
 */
#ifndef LN_HUB_STATE_H
#define LN_HUB_STATE_H
#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/stat.h"
#include "hub/message.h"

#define LN_STATE_KEY_MAX  255
#define LN_STATE_DATA_MAX 4096
#define LN_STATE_TTL_MAX  (60 * 60 * 1000)
#define LN_STATE_KEYS_MAX 1000 /* in a channel */
#define LN_STATE_OWN_MAX  64   /* of one owner there */
#define LN_STATE_CHANNEL_MAX                                                                       \
    (256 * 1024) /* bytes of keys and values in a channel: a new subscriber                        \
                  * gets them all at once */
#define LN_STATE_BYTES_MAX (UINT64_C(64) * 1024 * 1024) /* on one worker */
#define LN_TYPING_TTL_MS   5000

typedef struct ln_state_word { /* a change, or a key that lives; borrowed */
    ln_slice key;              /* empty: typing */
    ln_slice data;             /* JSON; empty: it is gone. Of typing: true */
    ln_slice client;           /* whose it is */
    uint64_t owner;
    uint64_t who;    /* handle of its session */
    uint32_t ttl_ms; /* 0: as long as its owner is there */
    bool quiet;      /* its session is not to hear of it */
} ln_state_word;

typedef struct ln_states { /* of the homes on one worker */
    ln_map map;
    ln_map_key key;
    struct ln_state_entry **heap; /* those with an end, the next one first */
    uint32_t heap_count, heap_capacity;
    ln_msec now;
    uint64_t bytes;
    void *ctx;
    /* < 0: nobody has heard of it. */
    int (*tell)(void *ctx, ln_slice channel, const ln_state_word *word);
    ln_stat keys, expired, refused;
} ln_states;

/* max: channels at most. tell and ctx are the caller's to fill. */
void ln_states_init(ln_states *st, ln_map_key key, uint32_t max);
void ln_states_fini(ln_states *st);

/* Sets a key, or begins or goes on typing. LINNET_ERR_EXISTS: it is somebody else's;
 * LINNET_ERR_LIMIT, LINNET_ERR_NOMEM: all is as it was. */
int ln_states_set(ln_states *st, ln_slice channel, const ln_state_word *word);
/* One that is not there is gone already. LINNET_ERR_EXISTS, LINNET_ERR_NOMEM as above. */
int ln_states_unset(ln_states *st, ln_slice channel, const ln_state_word *word);
/* An owner has left: all that is his goes. */
void ln_states_forget(ln_states *st, ln_slice channel, uint64_t owner);

bool ln_states_any(const ln_states *st, ln_slice channel);
/* Appends what lives there, packed, for ln_state_next. LINNET_ERR_NOMEM: nothing was appended. */
int ln_states_list(const ln_states *st, ln_slice channel, ln_buf *out);
/* Takes the next one from the front of *packed; false at the end. owner is not filled. */
bool ln_state_next(ln_slice *packed, ln_state_word *out);

void ln_states_tick(ln_states *st, ln_msec now);
ln_msec ln_states_deadline(const ln_states *st);
#endif
