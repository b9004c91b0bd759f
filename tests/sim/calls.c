#include "calls.h"
#include "client.h"
#include <stdio.h>
#include <stdlib.h>

#define CALLS 4096

typedef enum reaction { SILENT, ANSWERED, REFUSED } reaction;

typedef struct one { /* a question */
    calls *all;
    linnet_hub *hub;
    attempt *whom;
    ln_msec at;
    uint32_t ms, program;
    reaction reaction; /* of the client */
    bool heard;        /* by it */
    bool stranger;     /* it had not logged in, where that is wanted */
    bool told, gone;
} one;

struct calls {
    scene *scene;
    one *items;
    uint32_t count, open;
};

static uint32_t below(const calls *c, uint32_t n) {
    return ln_simnet_below(c->scene->net, n);
}

static void wrong(const calls *c, const one *o, const char *words) {
    history_anomaly(c->scene->h, "call", "number %u, of program %u to session %u: %s",
        (unsigned)(o - c->items) + 1, o->program, o->whom->session, words);
}

calls *calls_new(scene *s) {
    calls *c = calloc(1, sizeof *c);
    if (!c || !(c->items = calloc(CALLS, sizeof *c->items))) abort();
    c->scene = s;
    return c;
}

void calls_free(calls *c) {
    free(c->items);
    free(c);
}

/* -- the program ------------------------------------------------------------------------------- */

static void check_reply(const calls *c, const one *o, const linnet_call_reply *r) {
    char answer[32];
    uint32_t number = (uint32_t)(o - c->items) + 1;
    snprintf(answer, sizeof answer, "{\"n\":%u}", number);
    if (!o->heard) wrong(c, o, "an answer of who was not asked");
    if (!ln_slice_eq(r->client, ln_slice_str(o->whom->name)))
        wrong(c, o, "somebody else has answered");
    if (r->code == 0 && (o->reaction != ANSWERED || !ln_slice_eq(r->data, ln_slice_str(answer))))
        wrong(c, o, "an answer that nobody gave");
    if (r->code && (o->reaction != REFUSED || r->code != (int)(400 + number % 1000)))
        wrong(c, o, "a refusal that is nobody's");
    did(c->scene, r->code ? DID_CALL_REFUSED : DID_CALL_ANSWERED);
}

static void called(void *ctx, linnet_hub *hub, int err, const linnet_call_reply *reply) {
    one *o = ctx;
    calls *c = o->all;
    c->scene->events++;
    if (o->told || hub != o->hub) wrong(c, o, "told twice, or by another hub");
    o->told = true;
    c->open--;
    switch (err) {
    case LINNET_OK: check_reply(c, o, reply); return;
    case LINNET_ERR_TIMEOUT:
        did(c->scene, DID_CALL_TIMEOUT);
        if (ln_simnet_now(c->scene->net) < o->at + o->ms) wrong(c, o, "out of time before its end");
        return;
    case LINNET_ERR_CLOSED:
    case LINNET_ERR_NOT_FOUND:
        did(c->scene, DID_CALL_GONE);
        o->gone = true;
        return;
    case LINNET_ERR_UNSUPPORTED:
        if (!o->stranger) wrong(c, o, "it speaks no such dialect, they say");
        return;
    case LINNET_ERR_CANCELLED: return;
    default: wrong(c, o, linnet_strerror(err));
    }
}

void calls_ask(calls *c, linnet_hub *hub, uint32_t program, attempt *a) {
    if (c->count == CALLS) return;
    one *o = &c->items[c->count++];
    *o = (one){ .all = c,
        .hub = hub,
        .whom = a,
        .at = ln_simnet_now(c->scene->net),
        .ms = 200 + below(c, 3000),
        .program = program,
        .stranger = a->wants_token && !a->identity.known };
    char data[32];
    snprintf(data, sizeof data, "{\"n\":%u}", c->count);
    linnet_whom whom = LINNET_WHOM_INIT;
    linnet_call call = LINNET_CALL_INIT;
    whom.client = linnet_str(a->name);
    call.event = linnet_str("ask");
    call.data = linnet_str(data);
    call.timeout_ms = o->ms;
    c->open++;
    c->scene->events++;
    int err = linnet_hub_call(hub, &whom, &call, called, o);
    if (err < 0) wrong(c, o, linnet_strerror(err));
}

bool calls_settled(const calls *c) {
    return c->open == 0;
}

void calls_ended(calls *c, linnet_hub *hub) {
    for (uint32_t i = 0; i < c->count; i++) {
        one *o = &c->items[i];
        if (o->hub != hub) continue;
        if (!o->told) wrong(c, o, "it was never told of");
        o->hub = NULL;
    }
}

/* A name that came back is on two connections for a while, so only those that did not count. */
void calls_check_gone(const calls *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        const one *o = &c->items[i];
        const attempt *a = o->whom;
        if (o->gone && a->state == OPEN && !a->going && a->chain == a->session)
            wrong(c, o, "it is said to have gone, and is there");
    }
}

/* -- the client -------------------------------------------------------------------------------- */

static void reply(calls *c, attempt *a, uint32_t number, uint64_t id) {
    char text[120];
    one *o = &c->items[number - 1];
    int n;
    if (below(c, 4)) {
        n = snprintf(text, sizeof text, "{\"type\":\"reply\",\"re\":%llu,\"data\":{\"n\":%u}}",
            (unsigned long long)id, number);
        o->reaction = ANSWERED;
    } else {
        n = snprintf(text, sizeof text,
            "{\"type\":\"reply\",\"re\":%llu,\"error\":{\"code\":%u,\"message\":\"no\"}}",
            (unsigned long long)id, 400 + number % 1000);
        o->reaction = REFUSED;
    }
    say_text(a, text, (size_t)n);
    if (below(c, 6) == 0) say_text(a, text, (size_t)n); /* once more, for nobody */
}

/* Between the fragments of a message there is no place for it. */
static void later(attempt *a, uint32_t number, uint64_t id) {
    for (uint32_t i = 0; i < CALLS_OWED; i++) {
        if (a->owed[i].call) continue;
        a->owed[i] = (owed){ number, id };
        return;
    }
}

void calls_heard(calls *c, attempt *a, uint64_t id, const ln_json_value *data) {
    uint32_t number = 0, dice = below(c, 8);
    ln_json_value key, value;
    uint64_t n = 0;
    ln_json_iter it = ln_json_iter_of(data);
    if (ln_json_next(&it, &key, &value) && ln_json_uint(&value, &n)) number = (uint32_t)n;
    if (number == 0 || number > c->count) {
        client_anomaly(a->client, "call", "it is asked what nobody asked");
        return;
    }
    one *o = &c->items[number - 1];
    if (o->heard || strcmp(o->whom->name, a->name) != 0) wrong(c, o, "asked twice, or of another");
    o->heard = true;
    did(c->scene, DID_CALLED);
    if (dice < 4 && !a->rest)
        reply(c, a, number, id);
    else if (dice < 7)
        later(a, number, id);
}

void calls_answer(calls *c, attempt *a) {
    for (uint32_t i = 0; i < CALLS_OWED && !a->rest; i++) {
        if (!a->owed[i].call) continue;
        reply(c, a, a->owed[i].call, a->owed[i].id);
        a->owed[i].call = 0;
    }
}
