#include "lib/program.h"
#include "base/json.h"
#include "base/mem.h"
#include "lib/hub.h"
#include "lib/server.h"
#include "lib/sized.h"

struct linnet_hub_subscription {
    ln_subscription s; /* the first member */
    ln_list node;      /* in its worker's list */
    ln_ref refs;       /* one until its end, and one per LEAVE, which may come later than that */
    bool ended;        /* its worker's to look at */
    linnet_hub *hub;
    linnet_loop *worker;
    linnet_hub_fn *fn;
    linnet_hub_end_fn *end;
    void *ctx;
    uint8_t name_size;
    uint8_t name[];
};

/* ---- what it hears --------------------------------------------------------------------- */

static void host_deliver(void *ctx, ln_row *row, const ln_publication *p) {
    linnet_hub *hub = ((ln_program *)ctx)->hub;
    linnet_publication said = ln_wait_said(p);
    for (uint32_t i = 0; i < row->count; i++) {
        const linnet_hub_subscription *sub = row->seats[i].target;
        if (sub) sub->fn(sub->ctx, hub, &said);
    }
}

void ln_host_hub_unref(void *subscription) {
    linnet_hub_subscription *sub = subscription;
    if (ln_ref_put(&sub->refs)) ln_free(sub);
}

/* It is in its worker's list, or nowhere; no callback follows. */
static void host_end(linnet_hub_subscription *sub, int err) {
    if (sub->worker->hub) ln_hub_unsubscribe(sub->worker->hub, &sub->s);
    ln_list_remove(&sub->node);
    sub->ended = true;
    if (sub->end) sub->end(sub->ctx, sub->hub, err);
    ln_host_hub_unref(sub);
}

static void host_subscribed(void *ctx, ln_subscription *s, int err) {
    (void)ctx;
    if (err < 0) host_end((linnet_hub_subscription *)(void *)s, err);
}

/* The program sees by the epoch and offset that something is missing. */
static void host_reset(void *ctx, ln_subscription *s, ln_slice channel) {
    const ln_program *p = ctx;
    int err = ln_hub_subscribe(p->worker->hub, s, LN_SPACE_CHANNELS, channel);
    if (err < 0) host_end((linnet_hub_subscription *)(void *)s, err);
}

static void host_published(void *ctx, const ln_publication *p) {
    ln_waits_published(&((ln_program *)ctx)->waits, p);
}

static void host_page(void *ctx, const ln_reading *m) {
    ln_waits_page(&((ln_program *)ctx)->waits, m);
}

static void host_publish(linnet_loop *w, ln_wait *wait) {
    ln_program *p = ln_host_hub_program(w);
    if (p)
        ln_waits_publish(&p->waits, w->hub, wait);
    else
        ln_wait_tell(wait, LINNET_ERR_CANCELLED, (ln_position){ 0, 0 });
}

void ln_host_hub_mail(linnet_loop *w, ln_post *m) {
    if (m->letter.kind == LN_POST_PUBLISH) {
        ln_wait *wait = m->ctx;
        m->ctx = NULL;
        host_publish(w, wait);
        return;
    }
    linnet_hub_subscription *sub = m->ctx;
    m->ctx = NULL;
    if (m->letter.kind == LN_POST_LEAVE) {
        if (!sub->ended) host_end(sub, LINNET_ERR_CANCELLED);
        ln_host_hub_unref(sub);
        return;
    }
    ln_program *p = ln_host_hub_program(w);
    if (!p) { /* the server has left this loop */
        host_end(sub, LINNET_ERR_CANCELLED);
        return;
    }
    ln_list_push(&p->subscriptions, &sub->node);
    ln_slice name = ln_slice_of(sub->name, sub->name_size);
    int err = ln_hub_subscribe(w->hub, &sub->s, LN_SPACE_CHANNELS, name);
    if (err < 0) host_end(sub, err);
}

void ln_host_hub_unpublished(void *wait) {
    ln_wait_tell(wait, LINNET_ERR_CANCELLED, (ln_position){ 0, 0 });
}

void ln_host_hub_undelivered(void *subscription) {
    host_end(subscription, LINNET_ERR_CANCELLED);
}

int linnet_hub_subscribe(linnet_hub *hub, linnet_slice channel, linnet_hub_fn *fn,
    linnet_hub_end_fn *end, void *ctx, linnet_hub_subscription **out) {
    if (!hub || !fn) return LINNET_ERR_INVAL;
    linnet_server *s = ln_host_hub_server(hub);
    if (!s) return LINNET_ERR_STATE;
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, channel);
    if (err < 0) return err;
    linnet_hub_subscription *sub = ln_malloc(sizeof *sub + channel.size);
    ln_post *m = ln_post_new(LN_POST_JOIN, 0, 0, NULL, ln_slice_of("", 0));
    if (!sub || !m) {
        ln_free(sub);
        ln_free(m);
        return LINNET_ERR_NOMEM;
    }
    *sub = (linnet_hub_subscription){ .hub = hub, .fn = fn, .end = end, .ctx = ctx };
    sub->worker = s->workers[ln_hub_home(s->key, s->worker_count, channel)];
    sub->name_size = (uint8_t)channel.size;
    memcpy(sub->name, channel.data, channel.size);
    ln_ref_init(&sub->refs, 1);
    ln_subscription_init(&sub->s, LN_USER_HOST, sub);
    ln_list_init(&sub->node);
    if (out) *out = sub; /* before its end can come */
    m->ctx = sub;
    err = ln_inbox_offer(sub->worker->inbox, &m->letter, m->letter.bytes);
    if (err == LINNET_OK) return LINNET_OK;
    if (out) *out = NULL;
    ln_free(m);
    ln_free(sub);
    return err;
}

int linnet_hub_unsubscribe(linnet_hub_subscription *sub) {
    if (!sub) return LINNET_ERR_INVAL;
    ln_post *m = ln_post_new(LN_POST_LEAVE, 0, 0, NULL, ln_slice_of("", 0));
    if (!m) return LINNET_ERR_NOMEM;
    m->ctx = sub;
    ln_ref_get(&sub->refs, 1);
    return ln_worker_post(sub->worker, m);
}

/* What the program says, checked and made; *home: where it belongs. */
static int made_of(
    linnet_hub *hub, const linnet_publication *said, linnet_loop **home, ln_publication **out) {
    if (!hub || !said || !ln_sized(said, sizeof *said) || said->event.size > LN_EVENT_NAME_MAX)
        return LINNET_ERR_INVAL;
    if (!ln_utf8_valid(said->event)) return LINNET_ERR_INVAL;
    linnet_server *s = ln_host_hub_server(hub);
    if (!s) return LINNET_ERR_STATE;
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, said->channel);
    if (err < 0) return err;
    if (said->data.size > LN_LIM_MESSAGE_CEILING) return LINNET_ERR_TOO_BIG;
    ln_json_value data;
    if (ln_json_check(said->data, &data) < 0) return LINNET_ERR_JSON;
    uint8_t packed[LN_KEY_PACKED_MAX];
    size_t size = ln_key_put(said->principal, said->key, packed);
    if (said->key.size && !size) return LINNET_ERR_INVAL;
    ln_publish what = {
        .channel = said->channel,
        .event = said->event,
        .data = data.raw,
        .key = ln_slice_of(packed, size),
        .space = LN_SPACE_CHANNELS,
        .flags = said->is_volatile ? LN_PUB_VOLATILE : 0,
    };
    *home = s->workers[ln_hub_home(s->key, s->worker_count, said->channel)];
    if (ln_flag_up(&(*home)->crowded) || ln_budget_crowded(&s->budget)) return LINNET_ERR_AGAIN;
    *out = ln_publication_new(&what, s->worker_count);
    return *out ? LINNET_OK : LINNET_ERR_NOMEM;
}

int linnet_hub_publish(linnet_hub *hub, const linnet_publication *said) {
    linnet_loop *home;
    ln_publication *p;
    int err = made_of(hub, said, &home, &p);
    if (err < 0) return err;
    ln_letter *letter = ln_publication_post(p, 0, home->index);
    err = ln_inbox_offer(home->inbox, letter, letter->bytes);
    if (err < 0) ln_publication_unref(p);
    return err;
}

/* Sends who waits to the home of what he asks for; on error he is the caller's. */
static int send_wait(linnet_loop *home, ln_wait *wait, uint32_t bytes) {
    ln_post *m = ln_post_new(LN_POST_PUBLISH, 0, 0, NULL, ln_slice_of("", 0));
    if (!m) return LINNET_ERR_NOMEM;
    m->ctx = wait;
    m->letter.bytes += bytes;
    int err = ln_inbox_offer(home->inbox, &m->letter, m->letter.bytes);
    if (err < 0) ln_free(m); /* and not what it carries */
    return err;
}

int linnet_hub_publish_then(
    linnet_hub *hub, const linnet_publication *said, linnet_hub_published_fn *fn, void *ctx) {
    if (!fn) return LINNET_ERR_INVAL;
    linnet_loop *home;
    ln_publication *p;
    int err = made_of(hub, said, &home, &p);
    if (err < 0) return err;
    uint32_t bytes = p->letters[home->index].bytes;
    ln_wait *wait = ln_wait_new(hub, fn, ctx, p);
    if (!wait) {
        ln_publication_unref(p);
        return LINNET_ERR_NOMEM;
    }
    err = send_wait(home, wait, bytes);
    if (err < 0) ln_wait_free(wait);
    return err;
}

#define HISTORY_BYTES (1024u * 1024)
#define HISTORY_LIMIT 100

/* The question of a program. NULL without memory. */
static ln_reading *question_of(const linnet_history_query *q) {
    ln_reading *m = ln_reading_new(q->channel, ln_slice_of("", 0));
    if (!m) return NULL;
    m->since = (ln_position){ q->epoch, q->offset };
    m->any = q->epoch == 0;
    if (m->any) m->since.offset = q->reverse ? UINT64_MAX : 0;
    m->reverse = q->reverse;
    m->limit = q->limit ? q->limit : HISTORY_LIMIT;
    if (q->limit == LINNET_OFF) m->limit = 0;
    m->bytes = HISTORY_BYTES;
    return m;
}

int linnet_hub_history(
    linnet_hub *hub, const linnet_history_query *query, linnet_hub_history_fn *fn, void *ctx) {
    if (!hub || !query || !fn || !ln_sized(query, sizeof *query)) return LINNET_ERR_INVAL;
    linnet_server *s = ln_host_hub_server(hub);
    if (!s) return LINNET_ERR_STATE;
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, query->channel);
    if (err < 0) return err;
    ln_reading *m = question_of(query);
    if (!m) return LINNET_ERR_NOMEM;
    ln_wait *wait = ln_wait_read(hub, fn, ctx, m);
    if (!wait) {
        ln_reading_free(m);
        return LINNET_ERR_NOMEM;
    }
    uint32_t home = ln_hub_home(s->key, s->worker_count, query->channel);
    err = send_wait(s->workers[home], wait, m->letter.bytes);
    if (err < 0) ln_wait_free(wait);
    return err;
}

/* ---- life ---------------------------------------------------------------------------------- */

void ln_program_init(ln_program *p, linnet_hub *hub, linnet_loop *w) {
    *p = (ln_program){ .hub = hub, .worker = w };
    ln_list_init(&p->subscriptions);
    ln_waits_init(&p->waits, w->index);
    ln_hub_user user = { .ctx = p,
        .deliver = host_deliver,
        .subscribed = host_subscribed,
        .published = host_published,
        .page = host_page,
        .reset = host_reset };
    ln_hub_use(w->hub, LN_USER_HOST, &user);
}

void ln_program_end(ln_program *p) {
    while (!ln_list_empty(&p->subscriptions))
        host_end(ln_list_item(p->subscriptions.next, linnet_hub_subscription, node),
            LINNET_ERR_CANCELLED);
    ln_waits_end(&p->waits);
}

void ln_program_fini(ln_program *p) {
    ln_waits_fini(&p->waits);
}
