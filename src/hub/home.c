#include "hub/home.h"
#include "base/mem.h"
#include <assert.h>

#define BIT(worker) (UINT64_C(1) << ((worker) % 64))

static bool interested(const ln_home *home, uint32_t worker) {
    return home->interested[worker / 64] & BIT(worker);
}

static uint32_t interest_count(const ln_home *home) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < home->words; i++)
        count += (uint32_t)__builtin_popcountll(home->interested[i]);
    return count;
}

bool ln_home_occupied(const ln_home *home) {
    return interest_count(home) > 0;
}

static ln_slice home_name(const void *value) {
    return ln_home_name(value);
}

static const ln_namespace *namespace_of(const ln_homes *h, const ln_home *home) {
    return ln_namespace_of(h->namespaces, home_name(home));
}

/* The first of those that wait; NULL: none does. */
static ln_letter *waiting_take(ln_home *home) {
    ln_letter *first = home->waiting ? home->waiting->next : NULL;
    if (first == home->waiting)
        home->waiting = NULL;
    else
        home->waiting->next = first->next;
    return first;
}

void ln_homes_init(ln_homes *h, ln_map_key key, uint32_t max) {
    for (int i = 0; i < LN_SPACES; i++)
        ln_map_init(&h->map[i], key, home_name, max);
    ln_list_init(&h->idle);
    ln_list_init(&h->pins);
    ln_dedup_init(&h->dedup, key, LN_DEDUP_BYTES / (h->workers ? h->workers : 1));
    ln_seqs_init(&h->seqs, key, LN_SEQ_BYTES / (h->workers ? h->workers : 1));
}

/* Answers --------------------------------------------------------------------------------- */

/* Sends a publication that has its place, or none, to whoever waits for the answer; taken. */
static void answer(ln_homes *h, ln_publication *p) {
    if (!p->who) {
        ln_publication_unref(p);
        return;
    }
    ln_letter *letter = &p->letters[p->origin];
    letter->kind = LN_MAIL_ANSWER;
    letter->from = (uint8_t)h->self;
    h->post(h->ctx, p->origin, letter);
}

/* Sends a reading back with what came of it. */
static void read_answer(ln_homes *h, ln_reading *m, int err) {
    m->err = err;
    m->owed = m->pinned;
    m->letter.kind = LN_MAIL_PAGE;
    m->letter.to = m->letter.from;
    m->letter.from = (uint8_t)h->self;
    h->post(h->ctx, m->letter.to, &m->letter);
}

static void refuse(ln_homes *h, ln_letter *letter, int err) {
    ln_stat_add(&h->refused, 1);
    if (letter->kind == LN_MAIL_READ) {
        read_answer(h, ln_reading_of(letter), err);
        return;
    }
    if (letter->kind == LN_MAIL_PUBLISH) {
        ln_publication *p = ln_publication_of(letter);
        p->origin = letter->from;
        p->err = err;
        answer(h, p);
        return;
    }
    ln_interest *m = ln_interest_of(letter);
    m->err = err;
    letter->kind = LN_MAIL_INTERESTED;
    letter->to = letter->from;
    letter->from = (uint8_t)h->self;
    h->post(h->ctx, letter->to, letter);
}

static void deliver_to(ln_homes *h, ln_publication *p, uint32_t worker, ln_mail_kind kind) {
    ln_letter *letter = &p->letters[worker];
    letter->kind = (uint8_t)kind;
    letter->from = (uint8_t)h->self;
    h->post(h->ctx, worker, letter);
}

/* One letter to each interested worker, the last one to our own, because that is taken in at once
 * and user code runs. The publication is taken: one reference per letter. */
static void send(ln_homes *h, const ln_home *home, ln_publication *p) {
    if (__builtin_expect(h->seen != NULL, 0)) h->seen(h->seen_ctx, p);
    uint32_t letters = interest_count(home);
    ln_stat_add(&h->mailed, letters);
    bool waits = p->who != 0;
    uint32_t origin = p->origin; /* behind the last letter that is not ours it may be gone */
    if (waits && !interested(home, origin)) letters++;
    if (letters == 0) {
        ln_publication_unref(p);
        return;
    }
    if (letters > 1) ln_publication_ref(p, letters - 1);
    bool here = interested(home, h->self);
    for (uint32_t word = 0; word * 64 < h->workers; word++) {
        for (uint64_t bits = home->interested[word]; bits; bits &= bits - 1) {
            uint32_t worker = word * 64 + (uint32_t)__builtin_ctzll(bits);
            if (worker == h->self) continue;
            bool both = waits && worker == origin;
            deliver_to(h, p, worker, both ? LN_MAIL_DELIVER_ANSWER : LN_MAIL_DELIVER);
        }
    }
    bool mine = waits && origin == h->self;
    if (waits && !mine && !interested(home, origin)) deliver_to(h, p, origin, LN_MAIL_ANSWER);
    if (here)
        deliver_to(h, p, h->self, mine ? LN_MAIL_DELIVER_ANSWER : LN_MAIL_DELIVER);
    else if (mine)
        deliver_to(h, p, h->self, LN_MAIL_ANSWER);
}

/* Homes ----------------------------------------------------------------------------------- */

static void home_wake(ln_homes *h, ln_home *home) {
    if (!ln_list_linked(&home->idle)) return;
    ln_list_remove(&home->idle);
    h->idle_count--;
}

static void home_free(ln_homes *h, ln_home *home) {
    assert(home->pending == 0);
    assert(home->pins == 0);
    assert(!home->waiting);
    home_wake(h, home);
    for (uint32_t i = 0; i < home->later_count; i++)
        answer(h, home->later[i]);
    ln_free(home->later);
    if (home->log) h->broker->ops->close(h->broker, home->log);
    void *removed = ln_map_remove(&h->map[home->space], home_name(home));
    assert(removed == home);
    (void)removed;
    ln_stat_sub(&h->count, 1);
    ln_free(home);
}

void ln_homes_fini(ln_homes *h) {
    for (int i = 0; i < LN_SPACES; i++) {
        ln_home *home;
        uint32_t at = 0;
        while ((home = ln_map_next(&h->map[i], &at))) {
            for (ln_letter *letter; (letter = waiting_take(home));)
                ln_mail_discard(letter);
            ln_reading_free(home->reader);
            for (uint32_t n = 0; n < home->later_count; n++)
                ln_publication_unref(home->later[n]);
            ln_free(home->later);
            if (home->log) h->broker->ops->close(h->broker, home->log);
            ln_free(home);
        }
        ln_map_fini(&h->map[i]);
    }
    ln_namespaces_unref(h->namespaces);
    ln_dedup_fini(&h->dedup);
    ln_seqs_fini(&h->seqs);
}

void ln_homes_reload(ln_homes *h, ln_namespaces *namespaces) {
    ln_namespaces *old = h->namespaces;
    uint32_t at = 0;
    ln_namespaces_ref(namespaces);
    h->namespaces = namespaces;
    for (ln_home *home; (home = ln_map_next(&h->map[LN_SPACE_CHANNELS], &at)) != NULL;) {
        if (home->log && h->broker->ops->keep)
            h->broker->ops->keep(h->broker, home->log, &namespace_of(h, home)->history);
    }
    ln_namespaces_unref(old);
}

/* Lets a home nobody needs linger at the end of the row; too many, and the first one goes. */
static void home_rest(ln_homes *h, ln_home *home) {
    home_wake(h, home);
    if (home->pending || home->waiting || home->pins || interest_count(home)) return;
    h->idle_count++;
    home->idle_since = h->now;
    ln_list_push(&h->idle, &home->idle);
    if (h->idle_count > LN_HOME_IDLE_MAX) home_free(h, ln_list_item(h->idle.next, ln_home, idle));
}

static int home_open(ln_homes *h, ln_home *home) {
    if (home->class == LN_CLASS_LIVE) {
        home->state = LN_HOME_OPEN;
        return LINNET_OK;
    }
    int err = h->broker->ops->open(
        h->broker, home_name(home), &namespace_of(h, home)->history, &home->log, &home->cursor);
    if (err < 0) return err;
    if (err == LN_PENDING)
        home->pending++;
    else
        home->state = LN_HOME_OPEN;
    return LINNET_OK;
}

static int home_new(ln_homes *h, ln_space space, ln_slice name, ln_home **out) {
    uint8_t words = (uint8_t)((h->workers + 63) / 64);
    ln_home *home = ln_calloc(1, sizeof *home + words * sizeof *home->interested + name.size);
    if (!home) return LINNET_ERR_NOMEM;
    ln_list_init(&home->idle);
    home->class = LN_CLASS_LIVE;
    if (space != LN_SPACE_TOPICS) home->class = ln_namespace_of(h->namespaces, name)->class;
    home->space = (uint8_t)space;
    home->words = words;
    home->name_size = (uint8_t)name.size;
    memcpy(home->interested + words, name.data, name.size);
    int err = ln_map_add(&h->map[space], home);
    if (err < 0) {
        ln_free(home);
        return err;
    }
    ln_stat_add(&h->count, 1);
    if ((err = home_open(h, home)) < 0) {
        home->log = NULL; /* there is none */
        home_free(h, home);
        return err;
    }
    *out = home;
    return LINNET_OK;
}

/* The road of the cursor ------------------------------------------------------------------ */

static void later_pop(ln_home *home) {
    home->later_count--;
    memmove(home->later, home->later + 1, home->later_count * sizeof *home->later);
}

/* Mails those that wait, as far as they follow the cursor without a hole. */
static void later_drain(ln_homes *h, ln_home *home) {
    while (home->later_count) {
        ln_publication *p = home->later[0];
        if (p->at.offset > home->cursor.offset + 1) return;
        later_pop(home);
        if (p->at.offset <= home->cursor.offset) {
            ln_stat_add(&h->dropped, 1);
            answer(h, p);
            continue;
        }
        home->cursor = p->at;
        send(h, home, p);
    }
}

static bool later_add(ln_home *home, ln_publication *p) {
    if (home->later_count == home->later_capacity) {
        if (home->later_count >= LN_HOME_LATER_MAX) return false;
        uint16_t capacity = home->later_capacity ? (uint16_t)(home->later_capacity * 2) : 16;
        ln_publication **later = ln_realloc(home->later, capacity * sizeof *later);
        if (!later) return false;
        home->later = later;
        home->later_capacity = capacity;
    }
    uint32_t i = home->later_count++;
    for (; i > 0 && home->later[i - 1]->at.offset > p->at.offset; i--)
        home->later[i] = home->later[i - 1];
    home->later[i] = p;
    return true;
}

/* What is missing will not come: goes on behind it. */
static void gap_give_up(ln_homes *h, ln_home *home) {
    if (home->later_count == 0) return;
    ln_stat_add(&h->resets, 1);
    home->cursor.offset = home->later[0]->at.offset - 1;
    later_drain(h, home);
}

static void take(ln_homes *h, ln_home *home, ln_publication *p);

static void page_take(ln_homes *h, ln_home *home, int err, ln_page *page) {
    uint64_t before = home->cursor.offset;
    uint32_t count = err < 0 ? 0 : page->count;
    for (uint32_t i = 0; i < count; i++)
        take(h, home, page->items[i]);
    if (home->cursor.offset == before) gap_give_up(h, home);
}

static void gap_read(ln_homes *h, ln_home *home) {
    while (home->later_count && !home->reading) {
        ln_page page;
        ln_span span = {
            .since = home->cursor.offset, .limit = LN_HOME_GAP_PAGE, .bytes = UINT32_MAX
        };
        page.count = 0;
        home->reading = true;
        int err = h->broker->ops->read(h->broker, home->log, &span, &page);
        if (err == LN_PENDING) {
            home->pending++;
            return;
        }
        page_take(h, home, err, &page); /* still `reading`: it must not come in here */
        home->reading = false;
    }
}

/* Another life of the log: what waited belongs to the old one. */
static void restart(ln_homes *h, ln_home *home, ln_position at) {
    ln_stat_add(&h->resets, 1);
    while (home->later_count) {
        ln_publication *p = home->later[0];
        later_pop(home);
        answer(h, p);
    }
    home->cursor = (ln_position){ at.epoch, at.offset - 1 };
}

/* The one function through which all passes that has a place; taken. */
static void take(ln_homes *h, ln_home *home, ln_publication *p) {
    assert(p->at.offset > 0);
    if (p->at.epoch != home->cursor.epoch) restart(h, home, p->at);
    if (p->at.offset <= home->cursor.offset) {
        ln_stat_add(&h->dropped, 1);
        answer(h, p);
        return;
    }
    if (p->at.offset > home->cursor.offset + 1) {
        ln_stat_add(&h->gaps, 1);
        if (!later_add(home, p)) {
            while (home->later_count)
                gap_give_up(h, home);
            home->cursor.offset = p->at.offset - 1;
            take(h, home, p);
            return;
        }
        gap_read(h, home);
        return;
    }
    home->cursor = p->at;
    send(h, home, p);
    later_drain(h, home);
}

/* Reading for others ---------------------------------------------------------------------- */

static void pin_drop(ln_homes *h, ln_reading *m) {
    if (!m->pinned) return;
    m->pinned = false;
    ln_list_remove(&m->pin);
    m->home->pins--;
    h->broker->ops->unpin(h->broker, m->home->log, m->pinned_since);
}

/* Keeps for a reader what follows `since`; who was pinned too long is on its own. */
static int pin_move(ln_homes *h, ln_home *home, ln_reading *m, uint64_t since) {
    if (m->lapsed) return LINNET_OK;
    int err = h->broker->ops->pin(h->broker, home->log, since);
    if (err < 0) return err;
    if (m->pinned) {
        h->broker->ops->unpin(h->broker, home->log, m->pinned_since);
    } else {
        m->pinned = true;
        m->pinned_at = h->now;
        m->home = home;
        home->pins++;
        ln_list_push(&h->pins, &m->pin);
    }
    m->pinned_since = since;
    return LINNET_OK;
}

/* Gives a reading what stands on a page, whose references it takes. */
static int read_keep(ln_reading *m, const ln_page *page) {
    if (page->count == 0) return LINNET_OK;
    m->items = ln_malloc(page->count * sizeof *m->items);
    if (!m->items) {
        for (uint32_t i = 0; i < page->count; i++)
            ln_publication_unref(page->items[i]);
        return LINNET_ERR_NOMEM;
    }
    memcpy(m->items, page->items, page->count * sizeof *m->items);
    m->count = page->count;
    return LINNET_OK;
}

static bool read_known(const ln_home *home, const ln_reading *m) {
    if (m->since.epoch && m->since.epoch != home->cursor.epoch) return false;
    return m->reverse || m->any || m->since.offset <= home->cursor.offset;
}

static void read_take(ln_homes *h, ln_home *home, ln_reading *m, int err, ln_page *page) {
    while (err >= 0 && page->count && page->items[page->count - 1]->at.offset > home->cursor.offset)
        ln_publication_unref(page->items[--page->count]); /* the mail will bring it */
    if (err >= 0) err = read_keep(m, page);
    if (err >= 0 && !read_known(home, m)) err = LINNET_ERR_NOT_FOUND; /* meanwhile */
    uint64_t next = m->since.offset + m->count;
    if (err >= 0 && m->pins && next < home->cursor.offset)
        err = pin_move(h, home, m, next);
    else
        pin_drop(h, m);
    if (err < 0) {
        pin_drop(h, m);
        ln_reading_clear(m);
    }
    m->at = home->cursor;
    read_answer(h, m, err < 0 ? err : LINNET_OK);
}

static void read_log(ln_homes *h, ln_home *home, ln_reading *m) {
    ln_stat_add(&h->reads, 1);
    ln_span span = {
        .since = m->since.offset,
        .limit = m->limit < LN_PAGE_MAX ? m->limit : LN_PAGE_MAX,
        .bytes = m->bytes,
        .reverse = m->reverse,
        .any = m->any,
    };
    ln_page page;
    page.count = 0;
#if defined(LN_PLANT) && LN_PLANT == 9 /* tests/sim: off by one in replay */
    if (m->pins && span.since + 1 < home->cursor.offset) span.since++;
#endif
    if (m->reverse && span.since > home->cursor.offset) span.since = home->cursor.offset + 1;
    int err = LINNET_ERR_NOT_FOUND;
    if (home->class == LN_CLASS_LIVE)
        err = LINNET_ERR_UNSUPPORTED;
    else if (read_known(home, m))
        err = h->broker->ops->read(h->broker, home->log, &span, &page);
    if (err != LN_PENDING) {
        read_take(h, home, m, err, &page);
        return;
    }
    home->pending++;
    home->reading = true;
    home->reader = m;
}

static void read_on(ln_homes *h, ln_home *home) {
    while (home->waiting && !home->reading)
        read_log(h, home, ln_reading_of(waiting_take(home)));
}

/* Letters --------------------------------------------------------------------------------- */

static void remember_seq(ln_homes *h, const ln_publication *p, int err, ln_position at) {
    ln_seq q;
    ln_seq_unpack(p, &q);
    if (err < 0)
        ln_seqs_drop(&h->seqs, &q);
    else
        ln_seqs_end(&h->seqs, &q, at);
}

/* Remembers under its key what became of a publication. */
static void remember(ln_homes *h, const ln_publication *p, int err, ln_position at) {
    ln_slice key = ln_publication_key(p);
    if (!key.size) return;
    if (p->flags & LN_PUB_SEQ) {
        remember_seq(h, p, err, at);
        return;
    }
    if (err < 0)
        ln_dedup_drop(&h->dedup, ln_publication_channel(p), key);
    else
        ln_dedup_end(&h->dedup, ln_publication_channel(p), key, at);
}

/* The same by number: it may also have come too early. */
static bool out_of_turn(ln_homes *h, ln_publication *p) {
    ln_seq q;
    ln_seq_unpack(p, &q);
    int found = ln_seqs_begin(&h->seqs, h->now, &q, &p->at);
    if (found == LN_SEQ_NEXT) return false;
    if (found == LN_SEQ_BUSY) p->err = LINNET_ERR_AGAIN;
    if (found == LN_SEQ_ORDER) p->err = LINNET_ERR_STATE;
    if (found == LN_SEQ_UNKNOWN) p->err = LINNET_ERR_CANCELLED;
    if (found < 0) p->err = found;
    ln_stat_add(p->err < 0 ? &h->refused : &h->repeated, 1);
    answer(h, p);
    return true;
}

/* Whether it was here before, or cannot be known to have been; then it is answered, and taken. */
static bool repeated(ln_homes *h, ln_publication *p) {
    ln_slice key = ln_publication_key(p);
    if (!key.size) return false;
    if (p->flags & LN_PUB_SEQ) return out_of_turn(h, p);
    int found = ln_dedup_begin(&h->dedup, h->now, ln_publication_channel(p), key, &p->at);
    if (found == LN_DEDUP_NEW) return false;
    if (found == LN_DEDUP_BUSY) p->err = LINNET_ERR_AGAIN;
    if (found < 0) p->err = found; /* it would not be known when it comes again */
    ln_stat_add(p->err < 0 ? &h->refused : &h->repeated, 1);
    answer(h, p);
    return true;
}

static void published(ln_homes *h, ln_home *home, ln_publication *p, int err, ln_position at) {
    remember(h, p, err, at);
    if (err < 0) {
        ln_stat_add(&h->refused, 1);
        p->err = err;
        answer(h, p);
        return;
    }
    ln_stat_add(&h->published, 1);
    p->at = at;
    take(h, home, p);
}

static void publish(ln_homes *h, ln_home *home, ln_letter *letter) {
    ln_publication *p = ln_publication_of(letter);
    p->origin = letter->from;
    p->ts = h->wall;
    if (repeated(h, p)) return;
    if (home->class == LN_CLASS_LIVE || (p->flags & LN_PUB_VOLATILE)) {
        ln_stat_add(&h->published, 1);
        remember(h, p, LINNET_OK, (ln_position){ 0, 0 });
        send(h, home, p);
        return;
    }
    ln_position at = { 0, 0 };
    home->pending++;
    int err = h->broker->ops->publish(h->broker, home->log, p, &at);
    if (err == LN_PENDING) return;
    home->pending--;
    published(h, home, p, err, at);
}

static void occupied(ln_homes *h, const ln_home *home, bool is) {
    if (h->occupied && home->space == LN_SPACE_CHANNELS) h->occupied(h->ctx, home_name(home), is);
}

static void interest(ln_homes *h, ln_home *home, ln_letter *letter) {
    ln_interest *m = ln_interest_of(letter);
    uint32_t worker = letter->from;
    bool first = interest_count(home) == 0;
    home->interested[worker / 64] |= BIT(worker);
    if (first) occupied(h, home, true);
    m->err = LINNET_OK;
    m->at = home->cursor;
    m->class = home->class;
    m->slow = LN_SLOW_DISCONNECT;
    m->batch_ms = 0;
    if (home->space != LN_SPACE_TOPICS) {
        m->slow = namespace_of(h, home)->slow;
        m->batch_ms = namespace_of(h, home)->batch_ms;
    }
    letter->kind = LN_MAIL_INTERESTED;
    letter->to = letter->from;
    letter->from = (uint8_t)h->self;
    h->post(h->ctx, worker, letter);
}

static void home_wait(ln_home *home, ln_letter *letter) {
    letter->next = home->waiting ? home->waiting->next : letter;
    if (home->waiting) home->waiting->next = letter;
    home->waiting = letter;
}

/* Taken in by a home that is OPEN. */
static void home_letter(ln_homes *h, ln_home *home, ln_letter *letter) {
    switch ((ln_mail_kind)letter->kind) {
    case LN_MAIL_PUBLISH: publish(h, home, letter); break;
    case LN_MAIL_INTEREST: interest(h, home, letter); break;
    case LN_MAIL_READ:
        if (home->reading)
            home_wait(home, letter);
        else
            read_log(h, home, ln_reading_of(letter));
        break;
    case LN_MAIL_DISINTEREST:
        home->interested[letter->from / 64] &= ~BIT(letter->from);
        ln_free(ln_interest_of(letter));
        if (interest_count(home) == 0) occupied(h, home, false);
        break;
    default: assert(false && "a letter to a home");
    }
}

static ln_slice letter_channel(ln_letter *letter, ln_space *space) {
    if (letter->kind == LN_MAIL_PUBLISH) {
        const ln_publication *p = ln_publication_of(letter);
        *space = (ln_space)p->space;
        return ln_publication_channel(p);
    }
    if (letter->kind == LN_MAIL_READ) {
        *space = LN_SPACE_CHANNELS;
        return ln_reading_channel(ln_reading_of(letter));
    }
    const ln_interest *m = ln_interest_of(letter);
    *space = (ln_space)m->space;
    return ln_slice_of(m->name, m->name_size);
}

/* Nothing more is to be read for it; its home may rest now. */
static void unread(ln_homes *h, ln_reading *m) {
    ln_home *home = m->pinned ? m->home : NULL;
    pin_drop(h, m);
    if (home) home_rest(h, home);
    ln_reading_free(m);
}

void ln_homes_mail(ln_homes *h, ln_letter *letter) {
    if (letter->kind == LN_MAIL_UNREAD) {
        unread(h, ln_reading_of(letter));
        return;
    }
    if (letter->kind == LN_MAIL_LEAVE) { /* that it was here, behind the others, is all */
        letter->kind = LN_MAIL_LEFT;
        letter->to = letter->from;
        letter->from = (uint8_t)h->self;
        h->post(h->ctx, letter->to, letter);
        return;
    }
    ln_space space;
    ln_slice name = letter_channel(letter, &space);
    ln_home *home = ln_map_get(&h->map[space], name);
    if (!home) {
        assert(letter->kind != LN_MAIL_DISINTEREST); /* interest keeps a home */
        int err = home_new(h, space, name, &home);
        if (err < 0) {
            refuse(h, letter, err);
            return;
        }
    }
    if (home->state == LN_HOME_OPENING) {
        home_wait(home, letter);
        return;
    }
    home_letter(h, home, letter);
    home_rest(h, home);
}

int ln_homes_open(ln_homes *h, ln_slice channel, ln_home **out) {
    ln_home *home = ln_map_get(&h->map[LN_SPACE_CHANNELS], channel);
    int err = home ? LINNET_OK : home_new(h, LN_SPACE_CHANNELS, channel, &home);
    if (err < 0) return err;
    *out = home;
    home_rest(h, home);
    return home->state == LN_HOME_OPENING ? LINNET_ERR_AGAIN : LINNET_OK;
}

static void lapse(ln_homes *h, ln_reading *m) {
    ln_home *home = m->home;
    ln_stat_add(&h->lapsed, 1);
    m->lapsed = true;
    pin_drop(h, m);
    home_rest(h, home);
}

/* When the first of those that have pinned something has done so for long enough. */
static ln_msec first_pin(const ln_homes *h) {
    if (ln_list_empty(&h->pins)) return LN_NEVER;
    return ln_list_item(h->pins.next, ln_reading, pin)->pinned_at + LN_HOME_PIN_MS;
}

void ln_homes_tick(ln_homes *h) {
    while (first_pin(h) <= h->now)
        lapse(h, ln_list_item(h->pins.next, ln_reading, pin));
    ln_dedup_tick(&h->dedup, h->now);
    ln_seqs_tick(&h->seqs, h->now);
    while (!ln_list_empty(&h->idle)) {
        ln_home *home = ln_list_item(h->idle.next, ln_home, idle);
        if (home->idle_since + LN_HOME_LINGER_MS > h->now) break;
        home_free(h, home);
    }
    if (h->broker) h->broker->ops->tick(h->broker);
}

ln_msec ln_homes_deadline(const ln_homes *h) {
    ln_msec due = h->broker ? h->broker->ops->deadline(h->broker) : LN_NEVER;
    if (first_pin(h) < due) due = first_pin(h);
    if (ln_dedup_deadline(&h->dedup) < due) due = ln_dedup_deadline(&h->dedup);
    if (ln_seqs_deadline(&h->seqs) < due) due = ln_seqs_deadline(&h->seqs);
    if (ln_list_empty(&h->idle)) return due;
    ln_msec idle = ln_list_item(h->idle.next, ln_home, idle)->idle_since + LN_HOME_LINGER_MS;
    return idle < due ? idle : due;
}

/* Late answers ---------------------------------------------------------------------------- */

static ln_home *late(ln_homes *h, ln_slice channel) {
    return ln_map_get(&h->map[LN_SPACE_CHANNELS], channel);
}

void ln_homes_opened(ln_homes *h, ln_slice channel, int err, ln_position head) {
    ln_home *home = late(h, channel);
    if (!home || home->state != LN_HOME_OPENING) return;
    home->pending--;
    home->state = LN_HOME_OPEN;
    home->cursor = head;
    ln_letter *last = home->waiting, *letter = last ? last->next : NULL;
    home->waiting = NULL;
    for (ln_letter *next; letter; letter = next) {
        next = letter == last ? NULL : letter->next;
        if (err < 0 && letter->kind != LN_MAIL_DISINTEREST)
            refuse(h, letter, err);
        else
            home_letter(h, home, letter);
    }
    if (err < 0)
        home_free(h, home);
    else
        home_rest(h, home);
}

void ln_homes_published(ln_homes *h, ln_publication *p, int err, ln_position at) {
    ln_home *home = late(h, ln_publication_channel(p));
    if (!home) {
        remember(h, p, err, at);
        p->err = err < 0 ? err : LINNET_ERR_CANCELLED;
        answer(h, p);
        return;
    }
    home->pending--;
    published(h, home, p, err, at);
    home_rest(h, home);
}

void ln_homes_arrived(ln_homes *h, ln_publication *p) {
    ln_home *home = late(h, ln_publication_channel(p));
    if (!home || home->state != LN_HOME_OPEN) {
        ln_publication_unref(p); /* nobody here has asked; the log has it */
        return;
    }
    take(h, home, p);
    home_rest(h, home);
}

void ln_homes_page(ln_homes *h, ln_slice channel, int err, ln_page *page) {
    ln_home *home = late(h, channel);
    if (!home || !home->reading) {
        for (uint32_t i = 0; i < page->count; i++)
            ln_publication_unref(page->items[i]);
        return;
    }
    ln_reading *reader = home->reader;
    home->pending--;
    home->reader = NULL;
    if (reader)
        read_take(h, home, reader, err, page);
    else
        page_take(h, home, err, page);
    home->reading = false;
    gap_read(h, home);
    read_on(h, home);
    home_rest(h, home);
}
