#include "session/raw.h"
#include "base/mem.h"
#include "session/fan.h"

typedef struct ln_topic {
    ln_subscription s; /* the first member */
    struct ln_topic *next;
    ln_raw *raw;
    uint8_t name_size;
    uint8_t name[];
} ln_topic;

static void raw_deliver(void *ctx, ln_row *row, const ln_publication *p) {
    (void)ctx;
    uint8_t opcode = p->flags & LN_PUB_BINARY ? LN_OP_BINARY : LN_OP_TEXT;
    ln_rendering *r = ln_rendering_of(opcode, ln_publication_data(p));
    if (!r) {
        ln_fan_fail(row);
        return;
    }
    ln_fan_out(row, r);
    ln_rendering_unref(r);
}

/* Takes the topic out of its list and frees it; it is nowhere in the hub. */
static void topic_free(ln_topic *t) {
    for (ln_topic **at = &t->raw->first; *at; at = &(*at)->next) {
        if (*at != t) continue;
        *at = t->next;
        break;
    }
    ln_free(t);
}

/* Who was told LINNET_OK and is not subscribed after all would wait for ever: the connection ends,
 * and says why. */
static void raw_subscribed(void *ctx, ln_subscription *s, int err) {
    (void)ctx;
    if (err >= 0) return;
    ln_conn *c = ln_subscription_target(s);
    topic_free((ln_topic *)(void *)s);
    ln_conn_fail(c, err);
}

static void raw_reset(void *ctx, ln_subscription *s, ln_slice topic) {
    (void)ctx;
    (void)topic;
    topic_free((ln_topic *)(void *)s); /* topics have no log to lose: this is for completeness */
}

static void leave_now(ln_topic *t, ln_hub *hub) {
    ln_raw *raw = t->raw;
    ln_conn *c = ln_subscription_target(&t->s);
    ln_hub_unsubscribe(hub, &t->s);
    topic_free(t);
    if (!raw->first) ln_conn_batch(c, false);
}

static void raw_left(void *ctx, ln_subscription *s, ln_slice note) {
    (void)note;
    leave_now((ln_topic *)(void *)s, ctx);
}

void ln_raw_use(ln_hub *hub) {
    ln_hub_user user = { hub, raw_deliver, raw_subscribed, NULL, raw_reset, raw_left };
    ln_hub_use(hub, LN_USER_RAW, &user);
}

/* count: those that are not leaving. */
static ln_topic *topic_find(const ln_raw *raw, ln_slice name, uint32_t *count) {
    ln_topic *found = NULL;
    *count = 0;
    for (ln_topic *t = raw->first; t; t = t->next) {
        if (ln_slice_eq(ln_slice_of(t->name, t->name_size), name)) found = t;
        if (!ln_subscription_leaving(&t->s)) ++*count;
    }
    return found;
}

int ln_raw_subscribe(ln_raw *raw, ln_hub *hub, ln_conn *c, ln_slice topic, uint32_t topics_max) {
    int err = ln_channel_name_check(LN_SPACE_TOPICS, topic);
    if (err < 0) return err;
    uint32_t count;
    ln_topic *there = topic_find(raw, topic, &count);
    if (there && !ln_subscription_leaving(&there->s)) return LINNET_ERR_EXISTS;
    if (count >= topics_max) return LINNET_ERR_LIMIT;
    if (there) { /* nothing was missed in between */
        ln_subscription_stay(&there->s);
        return LINNET_OK;
    }
    ln_topic *t = ln_malloc(sizeof *t + topic.size);
    if (!t) return LINNET_ERR_NOMEM;
    *t = (ln_topic){ .raw = raw, .name_size = (uint8_t)topic.size };
    memcpy(t->name, topic.data, topic.size);
    ln_subscription_init(&t->s, LN_USER_RAW, c);
    err = ln_hub_subscribe(hub, &t->s, LN_SPACE_TOPICS, topic);
    if (err < 0) {
        ln_free(t);
        return err;
    }
    if (!raw->first) ln_conn_batch(c, true);
    t->next = raw->first;
    raw->first = t;
    return LINNET_OK;
}

int ln_raw_unsubscribe(ln_raw *raw, ln_hub *hub, ln_slice topic) {
    uint32_t count;
    ln_topic *t = topic_find(raw, topic, &count);
    if (!t || ln_subscription_leaving(&t->s)) return LINNET_ERR_NOT_FOUND;
    if (ln_hub_leave(hub, &t->s, LN_SLICE("")) < 0) leave_now(t, hub); /* without memory */
    return LINNET_OK;
}

void ln_raw_hasten(ln_raw *raw, ln_hub *hub) {
    for (const ln_topic *t = raw->first; t; t = t->next)
        if (!ln_subscription_leaving(&t->s)) return;
    while (raw->first)
        leave_now(raw->first, hub);
}

int ln_raw_publish(ln_hub *hub, ln_slice topic, uint8_t opcode, ln_slice payload) {
    ln_publish what = {
        .channel = topic,
        .data = payload,
        .space = LN_SPACE_TOPICS,
        .flags = opcode == LN_OP_BINARY ? LN_PUB_BINARY : 0,
    };
    return ln_hub_publish(hub, &what);
}

void ln_raw_close(ln_raw *raw, ln_hub *hub) {
    while (raw->first) {
        ln_topic *t = raw->first;
        ln_hub_unsubscribe(hub, &t->s);
        topic_free(t);
    }
}
