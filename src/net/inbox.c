#include "net/inbox.h"
#include "base/mem.h"
#include "base/stat.h"
#include <assert.h>
#include <pthread.h>

#define OFFER_LETTERS_MAX 65536
#define OFFER_BYTES_MAX   (16 * 1024 * 1024)

/* The lock covers a few stores, never a system call: the wake is sent after it is given back.
 * The two numbers are atomic only so that take() may look into an empty box, and anybody at the
 * load, without the lock; they are written under it, so there is one writer at a time.
 *
 * A wake cannot get lost: `asleep` is set under the lock and only while the box is empty, and the
 * post that finds it set clears it and wakes. The owner may then still be on its way to the wait;
 * the wake is a level that the wait will find.
 */
struct ln_inbox {
    pthread_mutex_t lock;
    ln_loop *owner;
    ln_letter *first, *last;
    ln_stat letters, bytes;
    bool asleep;
#if defined(LN_PLANT) && LN_PLANT == 3
    ln_msec told;
#endif
};

int ln_inbox_new(ln_loop *owner, ln_inbox **out) {
    ln_inbox *in = ln_calloc(1, sizeof *in);
    if (!in) return LINNET_ERR_NOMEM;
    if (pthread_mutex_init(&in->lock, NULL) != 0) {
        ln_free(in);
        return LINNET_ERR_NOMEM;
    }
    in->owner = owner;
    *out = in;
    return LINNET_OK;
}

void ln_inbox_free(ln_inbox *in) {
    if (!in) return;
    assert(!in->first);
    pthread_mutex_destroy(&in->lock);
    ln_free(in);
}

/* Under the lock. True when the owner is to be woken. */
static bool append(ln_inbox *in, ln_letter *first, ln_letter *last, uint32_t count, size_t bytes) {
    last->next = NULL;
#if defined(LN_PLANT) && LN_PLANT == 8 /* tests/sim: the newest letter lies on top */
    last->next = in->first;
    in->first = first;
#else
    if (in->first)
        in->last->next = first;
    else
        in->first = first;
#endif
    in->last = last;
    ln_stat_add(&in->letters, count);
    ln_stat_add(&in->bytes, bytes);
    bool wake = in->asleep;
    in->asleep = false;
#if defined(LN_PLANT) && LN_PLANT == 3
    /* A bug for the simulator to find: "a wake was sent already", in the millisecond of the
     * owner's last turn. */
    if (wake && in->told == ln_loop_now(in->owner)) wake = false;
    in->told = ln_loop_now(in->owner);
#endif
    return wake;
}

void ln_inbox_post(ln_inbox *in, ln_letter *first, ln_letter *last, uint32_t count, size_t bytes) {
    assert(count > 0);
    pthread_mutex_lock(&in->lock);
    bool wake = append(in, first, last, count, bytes);
    pthread_mutex_unlock(&in->lock);
    if (wake) ln_loop_wake(in->owner);
}

int ln_inbox_offer(ln_inbox *in, ln_letter *letter, size_t bytes) {
    bool wake = false;
    pthread_mutex_lock(&in->lock);
    bool full = ln_stat_get(&in->letters) >= OFFER_LETTERS_MAX ||
                ln_stat_get(&in->bytes) + bytes > OFFER_BYTES_MAX;
    if (!full) wake = append(in, letter, letter, 1, bytes);
    pthread_mutex_unlock(&in->lock);
    if (wake) ln_loop_wake(in->owner);
    return full ? LINNET_ERR_AGAIN : LINNET_OK;
}

ln_letter *ln_inbox_take(ln_inbox *in) {
    if (ln_stat_get(&in->letters) == 0) return NULL;
    pthread_mutex_lock(&in->lock);
    ln_letter *first = in->first;
    in->first = in->last = NULL;
    ln_stat_sub(&in->letters, ln_stat_get(&in->letters));
    ln_stat_sub(&in->bytes, ln_stat_get(&in->bytes));
    pthread_mutex_unlock(&in->lock);
    return first;
}

void ln_inbox_load(const ln_inbox *in, uint32_t *letters, size_t *bytes) {
    *letters = (uint32_t)ln_stat_get(&in->letters);
    *bytes = ln_stat_get(&in->bytes);
}

bool ln_inbox_sleep(ln_inbox *in) {
    pthread_mutex_lock(&in->lock);
    bool empty = !in->first;
    in->asleep = empty;
    pthread_mutex_unlock(&in->lock);
    return empty;
}

void ln_inbox_awake(ln_inbox *in) {
    pthread_mutex_lock(&in->lock);
    in->asleep = false;
    pthread_mutex_unlock(&in->lock);
}
