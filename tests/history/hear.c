#include "hear.h"
#include "base/json.h"
#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#define KEYS_MAX (16 * 1024) /* in a frame: an array of 16 KiB has many */

enum { BUSY = 108, OUT_OF_ORDER = 116, UNKNOWN = 117 }; /* docs/guide/recovery.md */

typedef struct fields { /* of one object; kind NULL where it is not there */
    ln_json_value type, re, channel, data, epoch, offset, recovered, count, presence, joins, leaves,
        error, client, after_ms, resume, grant, node;
} fields;

static const struct {
    const char *key;
    size_t at;
} names[] = {
    { "type", offsetof(fields, type) },
    { "re", offsetof(fields, re) },
    { "channel", offsetof(fields, channel) },
    { "data", offsetof(fields, data) },
    { "epoch", offsetof(fields, epoch) },
    { "offset", offsetof(fields, offset) },
    { "recovered", offsetof(fields, recovered) },
    { "count", offsetof(fields, count) },
    { "presence", offsetof(fields, presence) },
    { "joins", offsetof(fields, joins) },
    { "leaves", offsetof(fields, leaves) },
    { "error", offsetof(fields, error) },
    { "client", offsetof(fields, client) },
    { "after_ms", offsetof(fields, after_ms) },
    { "resume", offsetof(fields, resume) },
    { "grant", offsetof(fields, grant) },
    { "node", offsetof(fields, node) },
};

static fields fields_of(const ln_json_value *object) {
    fields f = { 0 };
    ln_json_value key, value;
    ln_json_iter it = ln_json_iter_of(object);
    while (ln_json_next(&it, &key, &value)) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (ln_json_is(&key, ln_slice_str(names[i].key)))
                memcpy((char *)&f + names[i].at, &value, sizeof value);
        }
    }
    return f;
}

static uint64_t number(const ln_json_value *v) {
    uint64_t n = 0;
    return v->kind == LN_JSON_NUMBER && ln_json_uint(v, &n) ? n : 0;
}

static bool is(const ln_json_value *v, const char *word) {
    return v->kind == LN_JSON_STRING && ln_json_is(v, ln_slice_str(word));
}

static ln_json_value member(const ln_json_value *object, const char *name) {
    ln_json_value key, value, none = { 0 };
    if (object->kind != LN_JSON_OBJECT) return none;
    ln_json_iter it = ln_json_iter_of(object);
    while (ln_json_next(&it, &key, &value))
        if (is(&key, name)) return value;
    return none;
}

/* What needs no escapes comes into a string of ours. */
static void text_of(const ln_json_value *v, char *out, size_t size) {
    size_t n = v->kind == LN_JSON_STRING && v->text.size < size ? v->text.size : 0;
    if (n) memcpy(out, v->text.data, n);
    out[n] = 0;
}

static seat *seat_of(client *c, const ln_json_value *channel) {
    for (uint32_t i = 0; i < c->seats; i++)
        if (is(channel, c->seat[i].channel)) return &c->seat[i];
    return NULL;
}

/* Nobody is asked to understand it: it is counted, and shown once in a while. */
static void strange(client *c, const char *why, linnet_slice text) {
    if (c->crowd->refused++ < 20)
        fprintf(stderr, "%s: %s: %.*s\n", c->name, why, (int)(text.size < 300 ? text.size : 300),
            (const char *)text.data);
}

/* ---- publications -------------------------------------------------------------------------- */

/* The key of a payload whose sum is right; else "". */
static void key_of(const ln_json_value *data, char *out, size_t size) {
    ln_json_value k = member(data, "k"), sum = member(data, "c"), fill = member(data, "f");
    out[0] = 0;
    if (k.kind != LN_JSON_STRING || fill.kind != LN_JSON_STRING) return;
    uLong crc = crc32(0, k.text.data, (uInt)k.text.size);
    crc = crc32(crc, fill.text.data, (uInt)fill.text.size);
    if (number(&sum) == crc && sum.kind == LN_JSON_NUMBER) text_of(&k, out, size);
}

static void on_message(client *c, const fields *f) {
    char key[64];
    seat *s = seat_of(c, &f->channel);
    key_of(&f->data, key, sizeof key);
    if (!s || f->offset.kind == LN_JSON_NULL) {
        history_say(&c->crowd->log, c->name, "\"op\":\"recv\",\"ch\":%.*s,\"key\":\"%s\"",
            (int)f->channel.raw.size, (const char *)f->channel.raw.data, key);
        return;
    }
    uint64_t offset = number(&f->offset);
    history_say(&c->crowd->log, c->name,
        "\"op\":\"recv\",\"ch\":\"%s\",\"epoch\":\"%s\",\"off\":%" PRIu64 ",\"key\":\"%s\"",
        s->channel, s->epoch, offset, key);
    if (offset > s->at + 1)
        s->joined = false; /* asks again from where it stood */
    else if (offset == s->at + 1)
        s->at = offset;
}

static void on_skip(client *c, const fields *f) {
    seat *s = seat_of(c, &f->channel);
    if (!s) return;
    uint64_t offset = number(&f->offset);
    history_say(&c->crowd->log, c->name,
        "\"op\":\"skip\",\"ch\":\"%s\",\"epoch\":\"%s\",\"off\":%" PRIu64 ",\"n\":%" PRIu64,
        s->channel, s->epoch, offset, number(&f->count));
    if (offset > s->at) s->at = offset;
}

static void known(client *c, said *w, const char *how, const char *place) {
    client_say_outcome(c, w, how, place);
    size_t behind = (size_t)(&c->said[--c->waiting] - w);
    memmove(w, w + 1, behind * sizeof *w);
}

static void refused(client *c, said *w, uint64_t code) {
    pen *p = w->pen;
    w->id = 0;
    if (code == BUSY) {
        c->again_at = c->crowd->now + 100;
    } else if (code == UNKNOWN) {
        if (w->seq > p->done) p->done = w->seq;
        known(c, w, "pub_unknown", "");
    } else {
        p->broken = true;
        c->again_at = c->crowd->now + 100;
        if (code != OUT_OF_ORDER) known(c, w, "pub_fail", "");
    }
}

static bool answered_publish(client *c, uint64_t id, const fields *f) {
    for (uint32_t i = 0; i < c->waiting; i++) {
        said *w = &c->said[i];
        if (w->id != id) continue;
        if (f->error.kind == LN_JSON_OBJECT) {
            ln_json_value code = member(&f->error, "code");
            refused(c, w, number(&code));
            return true;
        }
        char place[64] = "";
        if (f->epoch.kind == LN_JSON_STRING && f->offset.kind == LN_JSON_NUMBER)
            snprintf(place, sizeof place, ",\"epoch\":%.*s,\"off\":%.*s", (int)f->epoch.raw.size,
                (const char *)f->epoch.raw.data, (int)f->offset.raw.size,
                (const char *)f->offset.raw.data);
        if (w->seq > w->pen->done) w->pen->done = w->seq;
        known(c, w, "pub_ok", place);
        return true;
    }
    return false;
}

/* ---- subscriptions ------------------------------------------------------------------------- */

static void say_member(client *c, const seat *s, const char *op, const ln_json_value *m) {
    char id[40];
    ln_json_value who = member(m, "client");
    text_of(&who, id, sizeof id);
    history_say(
        &c->crowd->log, c->name, "\"op\":\"%s\",\"ch\":\"%s\",\"m\":\"%s\"", op, s->channel, id);
}

static void say_members(client *c, const seat *s, const char *op, const ln_json_value *list) {
    ln_json_value key, m;
    if (list->kind != LN_JSON_ARRAY) return;
    ln_json_iter it = ln_json_iter_of(list);
    while (ln_json_next(&it, &key, &m))
        say_member(c, s, op, &m);
}

static void on_presence(client *c, const fields *f) {
    seat *s = seat_of(c, &f->channel);
    if (!s) return;
    say_members(c, s, "leave", &f->leaves);
    say_members(c, s, "join", &f->joins);
}

static void joined(client *c, seat *s, const fields *f) {
    s->asked = 0;
    s->joined = true;
    s->awaited = false;
    text_of(&f->grant, s->grant, sizeof s->grant);
    if (f->epoch.kind != LN_JSON_STRING) {
        history_say(&c->crowd->log, c->name, "\"op\":\"sub_ok\",\"ch\":\"%s\"", s->channel);
    } else {
        bool recovered = f->recovered.kind == LN_JSON_BOOL && f->recovered.boolean;
        uint64_t offset = number(&f->offset);
        text_of(&f->epoch, s->epoch, sizeof s->epoch);
        history_say(&c->crowd->log, c->name,
            "\"op\":\"sub_ok\",\"ch\":\"%s\",\"epoch\":\"%s\",\"off\":%" PRIu64 "%s", s->channel,
            s->epoch, offset,
            f->recovered.kind != LN_JSON_BOOL ? ""
            : recovered                       ? ",\"recovered\":true"
                                              : ",\"recovered\":false");
        if (!recovered) s->at = offset;
    }
    if (f->presence.kind != LN_JSON_ARRAY) return;
    history_say(
        &c->crowd->log, c->name, "\"op\":\"pres\",\"ch\":\"%s\",\"members\":[]", s->channel);
    say_members(c, s, "join", &f->presence);
}

static bool answered_seat(client *c, uint64_t id, const fields *f) {
    bool good = f->error.kind != LN_JSON_OBJECT;
    for (uint32_t i = 0; i < c->seats; i++) {
        seat *s = &c->seat[i];
        if (s->asked == id && good) {
            joined(c, s, f);
        } else if (s->asked == id) {
            s->asked = 0;
            s->not_before = c->crowd->now + 500;
            if (!s->forbidden) strange(c, "cannot subscribe", f->error.raw);
        } else if (s->leaving == id) {
            s->leaving = 0;
            s->joined = false;
            s->epoch[0] = 0;
            history_say(&c->crowd->log, c->name, "\"op\":\"unsub\",\"ch\":\"%s\"", s->channel);
        } else {
            continue;
        }
        return true;
    }
    return false;
}

/* ---- everything ---------------------------------------------------------------------------- */

/* The ticket is taken, or it is as if there had been none. */
static void on_resumed(client *c, const fields *f) {
    c->resuming = 0;
    if (f->error.kind == LN_JSON_OBJECT) {
        client_begin_anew(c);
        for (uint32_t i = 0; i < c->seats; i++)
            c->seat[i].awaited = false;
        return;
    }
    client_go_on(c);
    c->crowd->resumed++;
    text_of(&f->client, c->id, sizeof c->id);
    text_of(&f->resume, c->ticket, sizeof c->ticket);
}

static void on_subscribed(client *c, const fields *f) {
    seat *s = seat_of(c, &f->channel);
    if (s) joined(c, s, f);
}

static void on_welcome(client *c, const fields *f) {
    text_of(&f->client, c->id, sizeof c->id);
    text_of(&f->node, c->node, sizeof c->node);
    text_of(&f->resume, c->fresh, sizeof c->fresh);
    history_say(&c->crowd->log, c->name, "\"op\":\"open\",\"since\":%" PRIu64 ",\"client\":\"%s\"",
        c->since, c->id);
    if (!c->anew && c->ticket[0])
        client_resume(c);
    else
        client_begin_anew(c);
}

static void on_ping(client *c, const fields *f) {
    if (f->resume.kind == LN_JSON_STRING) text_of(&f->resume, c->ticket, sizeof c->ticket);
    client_send(c, "{\"type\":\"pong\"}", 15);
}

static void on_answer(client *c, const fields *f, linnet_slice text) {
    uint64_t id = number(&f->re);
    if (id && id == c->resuming) {
        on_resumed(c, f);
        return;
    }
    if (id && (answered_publish(c, id, f) || answered_seat(c, id, f))) return;
    strange(c, "nobody asked", text);
}

static void on_unsubscribed(client *c, const fields *f, linnet_slice text) {
    seat *s = seat_of(c, &f->channel);
    if (!s) return;
    if (s->awaited) { /* not with this grant; it asks in the ordinary way */
        s->awaited = false;
        return;
    }
    s->joined = false;
    history_say(&c->crowd->log, c->name, "\"op\":\"unsub\",\"ch\":\"%s\"", s->channel);
    strange(c, "was taken out", text);
}

static void on_goaway(client *c, const fields *f) {
    uint64_t ms = number(&f->after_ms);
    c->leave_at = c->crowd->now + ln_rand_below(&c->crowd->rand, (uint32_t)ms + 1) + 1;
}

static void hear_one(client *c, const ln_json_value *object) {
    fields f = fields_of(object);
    if (is(&f.type, "message"))
        on_message(c, &f);
    else if (is(&f.type, "ok") || is(&f.type, "error"))
        on_answer(c, &f, object->raw);
    else if (is(&f.type, "skip"))
        on_skip(c, &f);
    else if (is(&f.type, "presence"))
        on_presence(c, &f);
    else if (is(&f.type, "ping"))
        on_ping(c, &f);
    else if (is(&f.type, "welcome"))
        on_welcome(c, &f);
    else if (is(&f.type, "subscribed"))
        on_subscribed(c, &f);
    else if (is(&f.type, "goaway"))
        on_goaway(c, &f);
    else if (is(&f.type, "unsubscribed"))
        on_unsubscribed(c, &f, object->raw);
    else
        strange(c, "says", object->raw);
}

void client_hear(client *c, linnet_slice text) {
    ln_json_value top, key, one;
    if (ln_json_check_long(text, KEYS_MAX, &top) < 0) {
        strange(c, "no JSON", text);
        return;
    }
    if (top.kind != LN_JSON_ARRAY) {
        hear_one(c, &top);
        return;
    }
    ln_json_iter it = ln_json_iter_of(&top);
    while (ln_json_next(&it, &key, &one))
        hear_one(c, &one);
}
