/* lws.c -- libwebsockets as Debian ships it: /echo, /echoz, /echozs and /ps.
 *
 * It writes at once where the library lets it (nothing waiting, nothing half
 * sent) and through a queue and the writeable callback where it does not, which
 * is the quickest of the ways its documentation allows. Messages that are
 * published are shared between the queues of their subscribers; the library
 * writes its header into the room in front of them, the same one each time.
 */
#include "common.h"
#include <libwebsockets.h>
#include <signal.h>
#include <stdbool.h>

enum { TOPIC_BUCKETS = 4096, NAME_MAX_LEN = 63, RX_BYTES = 256 * 1024 };

typedef struct message {
    size_t len;
    unsigned refs;
    bool text;
    uint8_t room[LWS_PRE]; /* where the library puts the frame header */
    uint8_t bytes[];
} message;

typedef struct topic {
    struct topic *next; /* in the bucket */
    struct session **members;
    size_t count, cap;
    char name[NAME_MAX_LEN + 1];
} topic;

typedef struct session {
    struct lws *wsi;
    message **queue; /* from at to end */
    size_t at, end, cap;
    message *partial; /* a message that arrives in pieces */
    topic **topics;
    size_t topic_count;
    bool pubsub;
} session;

static topic *buckets[TOPIC_BUCKETS];

static void *grown(void *p, size_t n) {
    void *q = realloc(p, n);
    if (q) return q;
    perror("realloc");
    exit(1);
}

static message *message_new(size_t room) {
    message *m = grown(NULL, sizeof *m + room);
    m->len = 0;
    m->refs = 1;
    m->text = true;
    return m;
}

static void message_unref(message *m) {
    if (--m->refs == 0) free(m);
}

static int message_write(session *s, message *m) {
    enum lws_write_protocol how = m->text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY;
    int n = lws_write(s->wsi, m->bytes, m->len, how);
    return n < (int)m->len ? -1 : 0;
}

/* Writes now or queues; keeps a reference only while it is queued. */
static int session_send(session *s, message *m) {
    if (s->at == s->end && !lws_send_pipe_choked(s->wsi)) return message_write(s, m);
    if (s->end == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 16;
        s->queue = grown(s->queue, s->cap * sizeof(message *));
    }
    m->refs++;
    s->queue[s->end++] = m;
    lws_callback_on_writable(s->wsi);
    return 0;
}

static int session_flush(session *s) {
    while (s->at < s->end && !lws_send_pipe_choked(s->wsi)) {
        message *m = s->queue[s->at++];
        int err = message_write(s, m);
        message_unref(m);
        if (err) return err;
    }
    if (s->at < s->end)
        lws_callback_on_writable(s->wsi);
    else
        s->at = s->end = 0;
    return 0;
}

static topic *topic_find(const char *name, size_t len, bool make) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 16777619u;
    topic **head = &buckets[h % TOPIC_BUCKETS];
    for (topic *t = *head; t; t = t->next)
        if (strlen(t->name) == len && memcmp(t->name, name, len) == 0) return t;
    if (!make || len > NAME_MAX_LEN) return NULL;

    topic *t = grown(NULL, sizeof *t);
    memset(t, 0, sizeof *t);
    memcpy(t->name, name, len);
    t->next = *head;
    *head = t;
    return t;
}

static void topic_remove(topic *t, session *s) {
    for (size_t i = 0; i < t->count; i++) {
        if (t->members[i] != s) continue;
        t->members[i] = t->members[--t->count];
        return;
    }
}

static void subscribe(session *s, const char *name, size_t len) {
    topic *t = topic_find(name, len, true);
    if (!t) return;
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 8;
        t->members = grown(t->members, t->cap * sizeof(session *));
    }
    t->members[t->count++] = s;
    s->topics = grown(s->topics, (s->topic_count + 1) * sizeof(topic *));
    s->topics[s->topic_count++] = t;
}

static void unsubscribe(session *s, const char *name, size_t len) {
    topic *t = topic_find(name, len, false);
    if (!t) return;
    for (size_t i = 0; i < s->topic_count; i++) {
        if (s->topics[i] != t) continue;
        s->topics[i] = s->topics[--s->topic_count];
        topic_remove(t, s);
        return;
    }
}

static void publish(const message *m) {
    const char *name = (const char *)m->bytes + 1;
    const char *end = memchr(name, '\n', m->len - 1);
    topic *t = end ? topic_find(name, (size_t)(end - name), false) : NULL;
    if (!t) return;

    size_t len = m->len - (size_t)(end + 1 - (const char *)m->bytes);
    message *out = message_new(len);
    out->len = len;
    memcpy(out->bytes, end + 1, len);
    for (size_t i = 0; i < t->count; i++)
        session_send(t->members[i], out);
    message_unref(out);
}

static void each_name(session *s, const message *m, void (*act)(session *, const char *, size_t)) {
    const char *at = (const char *)m->bytes + 1, *end = (const char *)m->bytes + m->len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        if (!comma) comma = end;
        act(s, at, (size_t)(comma - at));
        at = comma + 1;
    }
}

static int whole(session *s, message *m) {
    if (!s->pubsub) return session_send(s, m);
    switch (m->len ? m->bytes[0] : 0) {
    case '=': publish(m); return 0;
    case '+': each_name(s, m, subscribe); return 0;
    case '-': each_name(s, m, unsubscribe); return 0;
    default: lws_close_reason(s->wsi, LWS_CLOSE_STATUS_POLICY_VIOLATION, NULL, 0); return -1;
    }
}

static int received(session *s, const void *in, size_t len) {
    size_t more = lws_remaining_packet_payload(s->wsi);
    bool last = more == 0 && lws_is_final_fragment(s->wsi);
    size_t have = s->partial ? s->partial->len : 0;
    if (s->partial)
        s->partial = grown(s->partial, sizeof(message) + have + len + more);
    else
        s->partial = message_new(len + more);

    memcpy(s->partial->bytes + have, in, len);
    s->partial->len = have + len;
    if (!last) return 0;
    message *m = s->partial;
    s->partial = NULL;
    m->text = !lws_frame_is_binary(s->wsi);
    int err = whole(s, m);
    message_unref(m);
    return err;
}

static void opened(session *s, struct lws *wsi) {
    memset(s, 0, sizeof *s);
    s->wsi = wsi;
    char path[32] = "";
    lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI);
    s->pubsub = strcmp(path, "/ps") == 0;
    /* Powers of two; its default of 1 KiB would cut every larger message. */
    lws_set_extension_option(wsi, "permessage-deflate", "rx_buf_size", "15");
    lws_set_extension_option(wsi, "permessage-deflate", "tx_buf_size", "15");
}

static void closed(session *s) {
    for (size_t i = 0; i < s->topic_count; i++)
        topic_remove(s->topics[i], s);
    while (s->at < s->end)
        message_unref(s->queue[s->at++]);
    if (s->partial) message_unref(s->partial);
    free(s->topics);
    free(s->queue);
}

static int on_event(
    struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
    session *s = user;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED: opened(s, wsi); return 0;
    case LWS_CALLBACK_RECEIVE: return received(s, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE: return session_flush(s);
    case LWS_CALLBACK_CLOSED: closed(s); return 0;
    default: return 0;
    }
}

static const struct lws_protocols protocols[] = {
    { .name = "bench",
        .callback = on_event,
        .per_session_data_size = sizeof(session),
        .rx_buffer_size = RX_BYTES },
    { .name = NULL },
};

static const struct lws_extension extensions[] = {
    { "permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate" },
    { NULL, NULL, NULL },
};

int main(int argc, char **argv) {
    uint16_t port = peer_port(argc, argv);
    close(peer_listen(&port));
    signal(SIGPIPE, SIG_IGN);
    lws_set_log_level(LLL_ERR, NULL);

    struct lws_context_creation_info info = {
        .port = port,
        .iface = "127.0.0.1",
        .protocols = protocols,
        .extensions = extensions,
        .pt_serv_buf_size = RX_BYTES,
        .options = LWS_SERVER_OPTION_DISABLE_IPV6,
    };
    struct lws_context *context = lws_create_context(&info);
    if (!context) return 1;
    peer_ready("ws", port);
    while (lws_service(context, 0) >= 0) {
    }
    lws_context_destroy(context);
    return 0;
}
