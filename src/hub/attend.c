/* attend.c -- the letters about who is in a channel: from sessions to the channel's home and back,
 * and the diffs to whoever listens. A worker listens to the presence of a channel as it listens to
 * the channel: by an interest, in a space of its own.
 */
#include "base/mem.h"
#include "hub/hub.h"
#include <assert.h>

#define BIT(worker) (UINT64_C(1) << ((worker) % 64))

/* Letters --------------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *at, ln_slice s) {
    if (s.size) memcpy(at, s.data, s.size);
    return at + s.size;
}

ln_place *ln_place_new(ln_slice channel, const ln_arrival *who, uint8_t user, ln_place **keeper) {
    assert(channel.size <= LN_CHANNEL_NAME_MAX && who->client.size <= LN_CLIENT_NAME_MAX);
    assert(who->user.size <= UINT8_MAX && who->info.size <= LN_PRESENCE_INFO_MAX);
    size_t size = sizeof(ln_place) + channel.size + who->client.size + who->user.size +
                  who->info.size;
    ln_place *m = ln_malloc(size);
    if (!m) return NULL;
    *m = (ln_place){
        .letter = { .bytes = (uint32_t)size, .room = LN_LETTER_HUB, .kind = LN_MAIL_ENTER },
        .keeper = keeper,
        .owner = who->owner,
        .user = user,
        .name_size = (uint8_t)channel.size,
        .client_size = (uint8_t)who->client.size,
        .user_size = (uint8_t)who->user.size,
        .info_size = (uint16_t)who->info.size,
    };
    memcpy(m->chain, who->chain, LN_CHAIN);
    put(put(put(put(m->bytes, channel), who->client), who->user), who->info);
    return m;
}

static ln_slice place_channel(const ln_place *m) {
    return ln_slice_of(m->bytes, m->name_size);
}

static ln_arrival place_arrival(const ln_place *m) {
    const uint8_t *client = m->bytes + m->name_size, *user = client + m->client_size;
    ln_arrival a = {
        .owner = m->owner,
        .client = ln_slice_of(client, m->client_size),
        .user = ln_slice_of(user, m->user_size),
        .info = ln_slice_of(user + m->user_size, m->info_size),
    };
    memcpy(a.chain, m->chain, LN_CHAIN);
    return a;
}

ln_inquiry *ln_inquiry_new(ln_inquiry_what what, const ln_inquiry_words *w) {
    assert(w->channel.size <= LN_CHANNEL_NAME_MAX && w->re.size <= LN_RE_MAX);
    assert(w->key.size <= UINT8_MAX && w->client.size <= LN_CLIENT_NAME_MAX);
    size_t size = sizeof(ln_inquiry) + w->channel.size + w->re.size + w->key.size + w->client.size +
                  w->data.size;
    ln_inquiry *m = ln_malloc(size);
    if (!m) return NULL;
    *m = (ln_inquiry){
        .letter = { .bytes = (uint32_t)size, .room = LN_LETTER_HUB, .kind = LN_MAIL_QUERY },
        .what = (uint8_t)what,
        .name_size = (uint8_t)w->channel.size,
        .re_size = (uint8_t)w->re.size,
        .key_size = (uint8_t)w->key.size,
        .client_size = (uint8_t)w->client.size,
        .data_size = (uint32_t)w->data.size,
    };
    ln_buf_init(&m->page, LN_BUF_MAX);
    put(put(put(put(put(m->bytes, w->channel), w->re), w->key), w->client), w->data);
    return m;
}

static ln_state_word inquiry_word(const ln_inquiry *m) {
    const uint8_t *key = m->bytes + m->name_size + m->re_size, *client = key + m->key_size;
    return (ln_state_word){
        .key = ln_slice_of(key, m->key_size),
        .client = ln_slice_of(client, m->client_size),
        .data = ln_inquiry_data(m),
        .owner = m->owner,
        .who = m->who,
        .ttl_ms = m->ttl_ms,
        .quiet = m->quiet,
    };
}

void ln_inquiry_free(ln_inquiry *m) {
    if (m) ln_buf_fini(&m->page);
    ln_free(m);
}

/* At the home ----------------------------------------------------------------------------- */

static void post(ln_hub *h, uint32_t worker, ln_letter *letter) {
    letter->from = (uint8_t)h->self;
    letter->to = (uint8_t)worker;
    if (worker == h->self)
        ln_hub_mail(h, letter);
    else
        h->post(h->ctx, worker, letter);
}

static void answer(ln_hub *h, ln_letter *letter, ln_mail_kind kind) {
    letter->kind = (uint8_t)kind;
    post(h, letter->from, letter);
}

/* One letter to each worker that listens, our own last, because user code runs there. */
static void send(ln_hub *h, const ln_presence *p, ln_publication *d) {
    bool here = p->interested[h->self / 64] & BIT(h->self);
    uint32_t listeners = p->listeners;
    if (listeners > 1) ln_publication_ref(d, listeners - 1);
    for (uint32_t worker = 0; worker < h->workers; worker++) {
        /* Behind the last letter it is not ours any more, and perhaps nobody's. */
        if (worker == h->self || !(p->interested[worker / 64] & BIT(worker))) continue;
        d->letters[worker].kind = LN_MAIL_DELIVER;
        post(h, worker, &d->letters[worker]);
    }
    if (!here) return;
    d->letters[h->self].kind = LN_MAIL_DELIVER;
    post(h, h->self, &d->letters[h->self]);
}

static int tell(void *ctx, const ln_presence *p, ln_slice packed) {
    ln_hub *h = ctx;
    ln_publication *d = NULL;
    ln_publish what = { .channel = ln_presence_name(p),
        .data = packed,
        .space = LN_SPACE_PRESENCE,
        .flags = LN_PUB_VOLATILE | LN_PUB_ASIDE };
    if (p->listeners && !(d = ln_publication_new(&what, h->workers))) return LINNET_ERR_NOMEM;
    int err = LINNET_OK;
    if (h->events.presence) err = h->events.presence(h->events.ctx, ln_presence_name(p), packed);
    if (!d) return err;
    if (err < 0) {
        ln_publication_unref(d);
        return err;
    }
    d->ts = h->homes.wall;
    send(h, p, d);
    return LINNET_OK;
}

/* A change of state takes the road of the publications to all who are in the channel. */
static int tell_state(void *ctx, ln_slice channel, const ln_state_word *word) {
    ln_hub *h = ctx;
    ln_publish what = { .channel = channel,
        .event = word->key,
        .data = word->data.size ? word->data : LN_SLICE("null"),
        .from = word->client,
        .without = word->quiet ? word->who : 0,
        .space = LN_SPACE_CHANNELS,
        .flags = LN_PUB_VOLATILE | LN_PUB_ASIDE };
    ln_publication *p = ln_publication_new(&what, h->workers);
    if (!p) return LINNET_ERR_NOMEM;
    ln_homes_mail(&h->homes, ln_publication_post(p, h->self, h->self));
    return LINNET_OK;
}

static void interest(ln_hub *h, ln_letter *letter) {
    ln_interest *m = ln_interest_of(letter);
    ln_slice channel = ln_slice_of(m->name, m->name_size);
    if (letter->kind == LN_MAIL_DISINTEREST) {
        ln_presences_unlisten(&h->presences, channel, letter->from);
        ln_free(m);
        return;
    }
    m->err = ln_presences_listen(&h->presences, channel, letter->from);
    m->at = (ln_position){ 0, 0 };
    m->class = LN_CLASS_LIVE;
    answer(h, letter, LN_MAIL_INTERESTED);
}

static void enter(ln_hub *h, ln_place *m) {
    ln_arrival a = place_arrival(m);
    m->err = ln_presences_enter(&h->presences, place_channel(m), &a);
    answer(h, &m->letter, LN_MAIL_ENTERED);
}

static void part(ln_hub *h, ln_place *m) {
    ln_presences_leave(&h->presences, place_channel(m), m->chain, m->owner, m->lost);
    ln_states_forget(&h->states, place_channel(m), m->owner);
    ln_free(m);
}

static void ask(ln_hub *h, ln_inquiry *m) {
    ln_state_word word = inquiry_word(m);
    switch ((ln_inquiry_what)m->what) {
    case LN_INQUIRY_ROLL:
        m->err = ln_presences_roll(&h->presences, ln_inquiry_channel(m), &m->roll, &m->page);
        break;
    case LN_INQUIRY_INFO:
        m->err = ln_presences_update(
            &h->presences, ln_inquiry_channel(m), m->chain, m->owner, ln_inquiry_data(m));
        break;
    case LN_INQUIRY_SET: m->err = ln_states_set(&h->states, ln_inquiry_channel(m), &word); break;
    case LN_INQUIRY_UNSET:
        m->err = ln_states_unset(&h->states, ln_inquiry_channel(m), &word);
        break;
    case LN_INQUIRY_KEYS:
        m->err = ln_states_list(&h->states, ln_inquiry_channel(m), &m->page);
        break;
    }
    m->letter.bytes += m->page.size;
    answer(h, &m->letter, LN_MAIL_QUERIED);
}

/* On the asking worker -------------------------------------------------------------------- */

static void post_home(ln_hub *h, ln_letter *letter, ln_mail_kind kind, ln_slice channel) {
    letter->kind = (uint8_t)kind;
    letter->from = (uint8_t)h->self;
    letter->to = (uint8_t)ln_hub_home(h->key, h->workers, channel);
    h->post(h->ctx, letter->to, letter);
}

void ln_hub_place(ln_hub *h, ln_place *m) {
    m->owner = (uint64_t)h->self << 48 | ++h->places;
}

void ln_hub_enter(ln_hub *h, ln_place *m) {
    assert(m->keeper && h->users[m->user].entered);
    m->away = true;
    ln_hub_place(h, m);
    post_home(h, &m->letter, LN_MAIL_ENTER, place_channel(m));
}

void ln_hub_part(ln_hub *h, ln_place *m, bool lost) {
    m->keeper = NULL;
    m->lost = lost;
    if (!m->away) post_home(h, &m->letter, LN_MAIL_PART, place_channel(m));
}

static void entered(ln_hub *h, ln_place *m) {
    m->away = false;
    if (m->keeper)
        h->users[m->user].entered(h->users[m->user].ctx, m);
    else if (m->err == LINNET_OK)
        ln_hub_part(h, m, m->lost);
    else
        ln_free(m);
}

void ln_hub_query(ln_hub *h, ln_inquiry *m) {
    assert(h->users[m->user].queried);
    post_home(h, &m->letter, LN_MAIL_QUERY, ln_inquiry_channel(m));
}

bool ln_hub_presence(const ln_hub *h, ln_slice channel) {
    return ln_namespace_of(h->homes.namespaces, channel)->members;
}

void ln_hub_attend(ln_hub *h, ln_letter *letter) {
    ln_inquiry *m;
    switch ((ln_mail_kind)letter->kind) {
    case LN_MAIL_INTEREST:
    case LN_MAIL_DISINTEREST: interest(h, letter); return;
    case LN_MAIL_ENTER: enter(h, ln_place_of(letter)); return;
    case LN_MAIL_ENTERED: entered(h, ln_place_of(letter)); return;
    case LN_MAIL_PART: part(h, ln_place_of(letter)); return;
    case LN_MAIL_QUERY: ask(h, ln_inquiry_of(letter)); return;
    case LN_MAIL_QUERIED:
        m = ln_inquiry_of(letter);
        h->users[m->user].queried(h->users[m->user].ctx, m);
        ln_inquiry_free(m);
        return;
    default: assert(false && "a letter about who is there");
    }
}

static void occupied(void *ctx, ln_slice channel, bool is) {
    const ln_hub *h = ctx;
    if (h->events.occupied) h->events.occupied(h->events.ctx, channel, is);
}

void ln_hub_watch(ln_hub *h, const ln_hub_events *events) {
    h->events = *events;
    h->homes.occupied = occupied;
    h->presences.heard = events->presence != NULL;
}

void ln_hub_attend_init(ln_hub *h, uint32_t max) {
    ln_presences_init(&h->presences, h->key, max);
    h->presences.ctx = h;
    h->presences.tell = tell;
    ln_states_init(&h->states, h->key, max);
    h->states.ctx = h;
    h->states.tell = tell_state;
}
