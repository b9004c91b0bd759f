#include "lib/presence.h"
#include "base/mem.h"
#include "lib/hub.h"
#include "lib/server.h"
#include "session/session.h"

typedef struct question {
    linnet_hub *hub;
    linnet_presence_fn *fn;
    void *ctx;
    uint64_t after;
    uint32_t limit;
    uint8_t name_size;
    uint8_t name[];
} question;

/* In the words of the program; free() them. LINNET_ERR_NOMEM. */
static int members_of(ln_slice packed, linnet_member **out, size_t *count) {
    ln_attendee a;
    ln_slice rest = packed;
    *count = 0;
    while (ln_attendee_next(&rest, &a))
        ++*count;
    linnet_member *m = ln_malloc(*count * sizeof *m);
    if (!m) return LINNET_ERR_NOMEM;
    for (size_t i = 0; ln_attendee_next(&packed, &a); i++)
        m[i] = (linnet_member){ a.client, a.user, a.info, a.ref, a.left };
    *out = m;
    return LINNET_OK;
}

static int tell(
    linnet_hub *hub, ln_heard heard, ln_slice channel, ln_slice packed, const ln_roll *roll) {
    linnet_member *members;
    size_t count;
    int err = members_of(packed, &members, &count);
    if (err < 0) return err;
    linnet_presence p = { .size = sizeof p,
        .channel = channel,
        .members = members,
        .member_count = count,
        .connections = roll->members,
        .users = roll->users,
        .next = roll->next };
    heard.fn(heard.ctx, hub, LINNET_OK, &p);
    ln_free(members);
    return LINNET_OK;
}

/* Questions ------------------------------------------------------------------------------ */

static void refuse(question *q, int err) {
    q->fn(q->ctx, q->hub, err, NULL);
    ln_free(q);
}

void ln_host_presence_unasked(void *asked) {
    refuse(asked, LINNET_ERR_CANCELLED);
}

void ln_host_presence_mail(linnet_loop *w, void *asked) {
    question *q = asked;
    ln_slice channel = ln_slice_of(q->name, q->name_size);
    if (!w->hub || !w->sessions) {
        refuse(q, LINNET_ERR_CANCELLED);
        return;
    }
    if (!ln_hub_presence(w->hub, channel)) {
        refuse(q, LINNET_ERR_UNSUPPORTED);
        return;
    }
    ln_roll roll = { .after = q->after, .limit = q->limit };
    ln_buf page;
    ln_buf_init(&page, LN_BUF_MAX);
    int err = ln_presences_roll(&w->hub->presences, channel, &roll, &page);
    ln_heard heard = { q->fn, q->ctx };
    if (err == LINNET_OK) err = tell(q->hub, heard, channel, ln_buf_slice(&page), &roll);
    ln_buf_fini(&page);
    if (err < 0)
        refuse(q, err);
    else
        ln_free(q);
}

int linnet_hub_presence(linnet_hub *hub, linnet_slice channel, uint64_t after, uint32_t limit,
    linnet_presence_fn *fn, void *ctx) {
    if (!hub || !fn) return LINNET_ERR_INVAL;
    linnet_server *s = ln_host_hub_server(hub);
    if (!s) return LINNET_ERR_STATE;
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, channel);
    if (err < 0) return err;
    question *q = ln_malloc(sizeof *q + channel.size);
    ln_post *m = ln_post_new(LN_POST_PRESENCE, 0, 0, NULL, ln_slice_of("", 0));
    if (!q || !m) {
        ln_free(q);
        ln_free(m);
        return LINNET_ERR_NOMEM;
    }
    *q = (question){ .hub = hub, .fn = fn, .ctx = ctx, .after = after };
    q->limit = limit == LINNET_OFF ? 0 : limit ? limit : LN_PRESENCE_PAGE_MAX;
    q->name_size = (uint8_t)channel.size;
    memcpy(q->name, channel.data, channel.size);
    m->ctx = q;
    linnet_loop *home = s->workers[ln_hub_home(s->key, s->worker_count, channel)];
    err = ln_inbox_offer(home->inbox, &m->letter, m->letter.bytes);
    if (err == LINNET_OK) return LINNET_OK;
    ln_free(q);
    ln_free(m);
    return err;
}

/* Word of what happens -------------------------------------------------------------------- */

static int on_presence(void *ctx, ln_slice channel, ln_slice packed) {
    const linnet_loop *w = ctx;
    linnet_hub *hub = w->server->hub;
    ln_roll roll = { .limit = 0 };
    ln_presences_roll(&w->hub->presences, channel, &roll, NULL);
    return tell(hub, ln_host_hub_heard(hub), channel, packed, &roll);
}

/* Backends that want to be told of it are. */
static void on_occupied(void *ctx, ln_slice channel, bool occupied) {
    linnet_loop *w = ctx;
    ln_occupancy_note(&w->occupancy, channel, occupied, ln_loop_now(w->net));
}

void ln_host_presence_open(const linnet_hub *hub, linnet_loop *w) {
    ln_heard heard = ln_host_hub_heard(hub);
    ln_hub_events events = {
        .ctx = w, .occupied = on_occupied, .presence = heard.fn ? on_presence : NULL
    };
    ln_hub_watch(w->hub, &events);
    ln_occupancy_init(&w->occupancy, w->server->key);
    w->occupancy.asker = ln_host_hub_sessions(w)->asker;
}

void ln_host_presence_close(linnet_loop *w) {
    ln_occupancy_fini(&w->occupancy);
    ln_hub_events none = { .ctx = NULL };
    if (w->hub) ln_hub_watch(w->hub, &none);
}
