#include "hear.h"
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#define BACK_OFF_MS 100 /* doubled with each try, up to 2 s; then a random part of it */
#define TRIES_MAX   5

static uint32_t below(client *c, uint32_t n) {
    return ln_rand_below(&c->crowd->rand, n);
}

uint64_t client_id(client *c) {
    return ++c->next_id;
}

void client_send(client *c, const char *text, size_t size) {
    if (c->conn) linnet_conn_send(c->conn, LINNET_TEXT, (linnet_slice){ (const void *)text, size });
}

/* ---- its connection ------------------------------------------------------------------------ */

static void come_back(client *c) {
    if (c->tries < TRIES_MAX) c->tries++;
    c->state = CLIENT_WAITING;
    c->dial_at = c->crowd->now + below(c, (uint32_t)BACK_OFF_MS << c->tries) + 1;
}

static void on_open(linnet_conn *conn) {
    client *c = linnet_conn_user(conn);
    c->conn = conn;
    c->opens++;
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    client *c = linnet_conn_user(conn);
    (void)opcode;
    if (c->state == CLIENT_DIALLING) { /* the welcome */
        c->state = CLIENT_OPEN;
        c->tries = 0;
    }
    client_hear(c, data);
}

static void forget_what_waits(client *c) {
    for (uint32_t i = 0; i < c->waiting; i++)
        c->said[i].id = 0;
    for (uint32_t i = 0; i < c->seats; i++) {
        seat *s = &c->seat[i];
        if (s->leaving) s->epoch[0] = 0;
        s->joined = s->awaited = false;
        s->asked = s->leaving = 0;
    }
    c->resuming = 0;
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    client *c = linnet_conn_user(conn);
    (void)err;
    c->conn = NULL;
    if (c->state == CLIENT_OPEN)
        history_say(&c->crowd->log, c->name, "\"op\":\"close\",\"code\":%u", code);
    if (code >= 3500 && code < 4000 && code != 3508) { /* 3508: it has come back elsewhere */
        c->crowd->refused++;
        fprintf(stderr, "%s: closed for good with %u %.*s\n", c->name, code, (int)reason.size,
            (const char *)reason.data);
    }
    forget_what_waits(c);
    c->resume_at = c->leave_at = 0;
    come_back(c);
}

static void on_fail(void *user, int err, int status, const char *words) {
    (void)err;
    (void)status;
    (void)words;
    come_back(user);
}

static void dial(client *c) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = c->crowd->urls[c->through];
    o.subprotocols = protocols;
    o.timeout_ms = 5000;
    o.limits.ping_ms = 3000;
    o.limits.pong_ms = 3000;
    o.events = (linnet_conn_events){
        .on_open = on_open, .on_message = on_message, .on_close = on_close
    };
    o.on_fail = on_fail;
    o.user = c;
    c->since = history_now();
    c->state = CLIENT_DIALLING;
    if (linnet_client_dial(c->crowd->loop, &o, NULL) < 0) come_back(c);
}

void client_cut(client *c) {
    if (c->conn) linnet_conn_terminate(c->conn);
}

/* ---- what it says -------------------------------------------------------------------------- */

static void subscribe(client *c, seat *s) {
    char text[256], from[96] = "";
    s->asked = client_id(c);
    if (s->epoch[0]) {
        snprintf(from, sizeof from, ",\"recover\":{\"epoch\":\"%s\",\"offset\":%" PRIu64 "}",
            s->epoch, s->at);
        history_say(&c->crowd->log, c->name,
            "\"op\":\"sub\",\"ch\":\"%s\",\"epoch\":\"%s\",\"off\":%" PRIu64, s->channel, s->epoch,
            s->at);
    } else {
        history_say(&c->crowd->log, c->name, "\"op\":\"sub\",\"ch\":\"%s\"", s->channel);
    }
    int n = snprintf(text, sizeof text,
        "{\"type\":\"subscribe\",\"id\":%" PRIu64 ",\"channel\":\"%s\"%s%s}", s->asked, s->channel,
        from, s->presence ? ",\"presence\":true" : "");
    client_send(c, text, (size_t)n);
}

static void unsubscribe(client *c, seat *s) {
    char text[128];
    s->leaving = client_id(c);
    int n = snprintf(text, sizeof text,
        "{\"type\":\"unsubscribe\",\"id\":%" PRIu64 ",\"channel\":\"%s\"}", s->leaving, s->channel);
    client_send(c, text, (size_t)n);
}

/* The session goes on, here. */
void client_go_on(client *c) {
    memcpy(c->home, c->node, sizeof c->home);
}

/* Numbers begin with 1. What was said to another node is said to this one; else nobody knows. */
void client_begin_anew(client *c) {
    bool unknown = strcmp(c->home, c->node) == 0;
    memcpy(c->ticket, c->fresh, sizeof c->ticket);
    client_go_on(c);
    for (uint32_t i = 0; i < c->waiting; i++) {
        c->said[i].seq = 0;
        if (unknown) client_say_outcome(c, &c->said[i], "pub_unknown", "");
    }
    if (unknown) c->waiting = 0;
    for (uint32_t i = 0; i < c->pens; i++) {
        c->pen[i].done = 0;
        c->pen[i].broken = false;
    }
}

void client_resume(client *c) {
    static char text[16384];
    size_t n = 0, room = sizeof text;
    c->resuming = client_id(c);
    n += (size_t)snprintf(text, room,
        "{\"type\":\"auth\",\"id\":%" PRIu64 ",\"data\":{\"resume\":\"%s\"},\"subs\":{",
        c->resuming, c->ticket);
    const char *comma = "";
    for (uint32_t i = 0; i < c->seats; i++) {
        seat *s = &c->seat[i];
        if (!c->resumes || !s->wanted || !s->epoch[0]) continue;
        n += (size_t)snprintf(text + n, room - n,
            "%s\"%s\":{\"epoch\":\"%s\",\"offset\":%" PRIu64 ",\"grant\":\"%s\"%s}", comma,
            s->channel, s->epoch, s->at, s->grant, s->presence ? ",\"presence\":true" : "");
        history_say(&c->crowd->log, c->name,
            "\"op\":\"sub\",\"ch\":\"%s\",\"epoch\":\"%s\",\"off\":%" PRIu64, s->channel, s->epoch,
            s->at);
        s->awaited = true;
        comma = ",";
    }
    n += (size_t)snprintf(text + n, room - n, "}}");
    client_send(c, text, n);
}

static void settle(client *c, seat *s) {
    if (s->awaited || s->asked || s->leaving || s->joined == s->wanted) return;
    if (!s->wanted)
        unsubscribe(c, s);
    else if (c->crowd->now >= s->not_before)
        subscribe(c, s);
}

static int key_of(const client *c, const said *w, char *out, size_t size) {
    return snprintf(out, size, "%s.%u:%" PRIu64, c->name, w->opens, w->number);
}

void client_say_outcome(client *c, const said *w, const char *how, const char *place) {
    char key[64];
    key_of(c, w, key, sizeof key);
    history_say(&c->crowd->log, c->name, "\"op\":\"%s\",\"ch\":\"%s\",\"key\":\"%s\"%s", how,
        w->pen->channel, key, place);
}

static void publish(client *c, said *w) {
    static char text[FILL_MAX + 256];
    const pen *p = w->pen;
    char key[64];
    int k = key_of(c, w, key, sizeof key);
    w->id = client_id(c);
    uLong sum = crc32(crc32(0, (const void *)key, (uInt)k), (const void *)c->crowd->fill, w->fill);
    int n = snprintf(text, sizeof text,
        "{\"type\":\"publish\",\"id\":%" PRIu64 ",\"seq\":%" PRIu64
        ",\"channel\":\"%s\"%s,\"data\":{\"k\":\"%s\",\"c\":%lu,\"f\":\"%.*s\"}}",
        w->id, w->seq, p->channel, p->quietly ? ",\"echo\":false" : "", key, sum, (int)w->fill,
        c->crowd->fill);
    history_say(&c->crowd->log, c->name,
        "\"op\":\"pub\",\"ch\":\"%s\",\"key\":\"%s\",\"seq\":%" PRIu64, p->channel, key, w->seq);
    client_send(c, text, (size_t)n);
}

/* What is not answered keeps its number, unless one before it was refused: then those behind it are
 * refused too, as out of order, and take its place once that is certain of all. */
static void renumber(client *c, pen *p) {
    for (uint32_t i = 0; i < c->waiting; i++)
        if (c->said[i].pen == p && c->said[i].id) return;
    for (uint32_t i = 0; i < c->waiting; i++)
        if (c->said[i].pen == p) c->said[i].seq = 0;
    p->broken = false;
}

/* In the order in which they were said; nothing passes what has to wait. */
static void publish_what_waits(client *c) {
    uint64_t last[PENS_MAX];
    if (c->crowd->now < c->again_at) return;
    for (uint32_t i = 0; i < c->pens; i++) {
        last[i] = c->pen[i].done;
        if (c->pen[i].broken) renumber(c, &c->pen[i]);
    }
    for (uint32_t i = 0; i < c->waiting; i++) {
        said *w = &c->said[i];
        uint64_t *before = &last[w->pen - c->pen];
        if (w->pen->broken) continue;
        if (!w->seq) w->seq = *before + 1;
        if (w->seq > *before) *before = w->seq;
        if (!w->id) publish(c, w);
    }
}

/* ---- what is due --------------------------------------------------------------------------- */

static void write_down(client *c) {
    for (uint32_t i = 0; i < c->pens; i++) {
        pen *p = &c->pen[i];
        if (c->crowd->now < p->due) continue;
        p->due = c->crowd->now + p->period_ms / 2 + below(c, p->period_ms);
        if (c->waiting == SAID_MAX) continue;
        c->said[c->waiting++] = (said){ .pen = p,
            .number = client_id(c),
            .opens = c->opens,
            .fill = p->fill ? below(c, p->fill) : 0 };
    }
}

static void come_and_go(client *c) {
    if (!c->churning || c->crowd->now < c->churn_at) return;
    c->churn_at = c->crowd->now + 200 + below(c, 1200);
    seat *s = &c->seat[c->seats - 1 - below(c, c->churning)];
    s->wanted = !s->wanted;
}

static void dawdle(client *c) {
    if (!c->slow || !c->conn) return;
    if (c->resume_at && (c->crowd->quiet || c->crowd->now >= c->resume_at)) {
        c->resume_at = 0;
        c->pause_at = c->crowd->now + 1000 + below(c, 6000);
        linnet_conn_resume(c->conn);
    } else if (!c->resume_at && !c->crowd->quiet && c->crowd->now >= c->pause_at) {
        c->resume_at = c->crowd->now + 500 + below(c, 5000);
        linnet_conn_pause(c->conn);
    }
}

void client_tick(client *c) {
    crowd *d = c->crowd;
    if (c->state == CLIENT_WAITING && d->now >= c->dial_at) dial(c);
    if (c->state != CLIENT_OPEN || !c->conn) return;
    if (c->leave_at && d->now >= c->leave_at) {
        c->leave_at = 0;
        linnet_conn_close(c->conn, 1000, NULL);
        return;
    }
    dawdle(c);
    if (c->resume_at || c->resuming) return; /* it is busy with something else */
    if (d->quiet) {
        for (uint32_t i = 0; i < c->seats; i++)
            c->seat[i].wanted = true;
    } else {
        come_and_go(c);
        write_down(c);
    }
    publish_what_waits(c);
    for (uint32_t i = 0; i < c->seats; i++)
        settle(c, &c->seat[i]);
}

bool client_settled(const client *c) {
    if (c->state != CLIENT_OPEN || c->waiting || c->resume_at || c->resuming) return false;
    for (uint32_t i = 0; i < c->seats; i++)
        if (!c->seat[i].forbidden && (!c->seat[i].joined || c->seat[i].leaving)) return false;
    return true;
}

void client_here(client *c) {
    for (uint32_t i = 0; i < c->seats; i++)
        if (c->seat[i].presence && c->seat[i].joined)
            history_say(&c->crowd->log, c->name, "\"op\":\"here\",\"ch\":\"%s\",\"client\":\"%s\"",
                c->seat[i].channel, c->id);
}
