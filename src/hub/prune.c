/* prune.c -- taking back what a channel's log holds. Positions never lie: a place that is emptied
 * stays a place, and what is taken away altogether is missed by whoever stands before it.
 */
#include "base/num.h"
#include "hub/hub.h"

/* What stands in the place of a publication. NULL without memory. */
static ln_publication *tombstone(const ln_homes *h, ln_slice channel, ln_position at, uint64_t ts) {
    ln_publish what = { .channel = channel,
        .data = LN_SLICE("null"),
        .space = LN_SPACE_CHANNELS,
        .flags = LN_PUB_RETRACTED };
    ln_publication *p = ln_publication_new(&what, h->workers);
    if (!p) return NULL;
    p->at = at;
    p->ts = ts;
    return p;
}

static size_t put(char *to, size_t at, ln_slice text) {
    memcpy(to + at, text.data, text.size);
    return at + text.size;
}

#define WORD_MAX 96

/* {"epoch":"0123456789abcdef","offset":7,"all":true} */
static size_t put_word(char out[WORD_MAX], ln_position at, bool all) {
    size_t n = put(out, 0, LN_SLICE("{\"epoch\":\""));
    ln_num_hex16_put(at.epoch, out + n);
    n = put(out, n + LN_NUM_HEX16, LN_SLICE("\",\"offset\":"));
    n += ln_num_put(at.offset, out + n);
    return put(out, n, all ? LN_SLICE(",\"all\":true}") : LN_SLICE("}"));
}

/* Word of it to all who are in the channel, on the road of the publications. */
static ln_publication *word_of(const ln_homes *h, ln_slice channel, ln_position at, bool all) {
    char text[WORD_MAX];
    size_t n = put_word(text, at, all);
    ln_publish what = { .channel = channel,
        .data = ln_slice_of(text, n),
        .space = LN_SPACE_CHANNELS,
        .flags = LN_PUB_VOLATILE | LN_PUB_ASIDE | LN_PUB_RETRACTED };
    return ln_publication_new(&what, h->workers);
}

static void tell(ln_homes *h, ln_publication *word) {
    ln_homes_mail(h, ln_publication_post(word, h->self, h->self));
}

int ln_homes_clear(ln_homes *h, ln_slice channel, ln_position *at) {
    ln_home *home;
    int err = ln_homes_open(h, channel, &home);
    if (err < 0) return err;
    if (!home->log || !h->broker->ops->clear) return LINNET_ERR_UNSUPPORTED;
    ln_publication *word = word_of(h, channel, home->cursor, true);
    if (!word) return LINNET_ERR_NOMEM;
    h->broker->ops->clear(h->broker, home->log);
    *at = home->cursor;
    tell(h, word);
    return LINNET_OK;
}

int ln_homes_retract(ln_homes *h, ln_slice channel, ln_position *at) {
    ln_home *home;
    int err = ln_homes_open(h, channel, &home);
    if (err < 0) return err;
    if (!home->log || !h->broker->ops->replace) return LINNET_ERR_UNSUPPORTED;
    if (at->epoch && at->epoch != home->cursor.epoch) return LINNET_ERR_NOT_FOUND;
    at->epoch = home->cursor.epoch;
    ln_publication *word = word_of(h, channel, *at, false);
    ln_publication *instead = tombstone(h, channel, *at, h->wall);
    err = word && instead ? h->broker->ops->replace(h->broker, home->log, at->offset, instead)
                          : LINNET_ERR_NOMEM;
    if (err < 0) {
        if (word) ln_publication_unref(word);
        if (instead) ln_publication_unref(instead);
        return err;
    }
    tell(h, word);
    return LINNET_OK;
}

typedef struct forgetting {
    ln_homes *homes;
    ln_slice user;
    uint32_t count;
    uint32_t looked; /* publications */
    int err;
    ln_letter *words; /* said when the broker is done */
} forgetting;

static ln_publication *of_user(void *ctx, const ln_publication *p) {
    forgetting *f = ctx;
    f->looked++;
    if (!ln_slice_eq(ln_publication_by(p), f->user)) return NULL;
    ln_publication *instead = tombstone(f->homes, ln_publication_channel(p), p->at, p->ts);
    ln_publication *word = instead ? word_of(f->homes, ln_publication_channel(p), p->at, false)
                                   : NULL;
    if (!instead) f->err = LINNET_ERR_NOMEM;
    if (instead) f->count++;
    if (word) {
        ln_letter *letter = &word->letters[f->homes->self];
        letter->next = f->words;
        f->words = letter;
    }
    return instead;
}

uint32_t ln_homes_forget(ln_homes *h, ln_slice user, uint32_t *at, uint32_t steps, int *err) {
    forgetting f = { .homes = h, .user = user };
    *err = LINNET_OK;
    if (!user.size || !h->broker || !h->broker->ops->revise) {
        *at = 0;
        return 0;
    }
    for (uint32_t n = 1;; n++) {
        h->broker->ops->revise(h->broker, at, of_user, &f);
        if (*at == 0 || n + f.looked >= steps) break;
    }
    for (ln_letter *next, *letter = f.words; letter; letter = next) {
        next = letter->next;
        tell(h, ln_publication_of(letter));
    }
    *err = f.err;
    return f.count;
}
