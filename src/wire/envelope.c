#include "wire/envelope.h"

/* What we look for in an object, at any depth. Of the first three the first that came counts. */
enum { CHANNEL, TOPIC, ROOM, EVENT, ACTION, RESOURCE, PARAMETERS, DATA, PAYLOAD, NAMES };
static const ln_slice names[NAMES] = {
    LN_SLICE_INIT("channel"),
    LN_SLICE_INIT("topic"),
    LN_SLICE_INIT("room"),
    LN_SLICE_INIT("event"),
    LN_SLICE_INIT("action"),
    LN_SLICE_INIT("resource"),
    LN_SLICE_INIT("parameters"),
    LN_SLICE_INIT("data"),
    LN_SLICE_INIT("payload"),
};

typedef struct inside {
    ln_json_value found[NAMES];
    uint32_t came; /* bits */
} inside;

typedef struct opening {
    ln_native_command *c;
    ln_buf *scratch;
    const char *why; /* the first fault */
    ln_json_value payload;
    bool has_payload;
    inside in; /* the payload */
} opening;

static void fault(opening *o, const char *why) {
    if (!o->why) o->why = why;
}

static const ln_json_value *of(const inside *in, int name) {
    return in->came & UINT32_C(1) << name ? &in->found[name] : NULL;
}

/* In anything but an object nothing is found. */
static void look(opening *o, const ln_json_value *object, inside *in) {
    in->came = 0;
    if (!object || object->kind != LN_JSON_OBJECT) return;
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value;
    while (ln_json_next(&it, &key, &value)) {
        for (int i = 0; i < NAMES; i++) {
            if (!ln_json_is(&key, names[i])) continue;
            if (of(in, i)) fault(o, "a key stands twice");
            in->found[i] = value;
            in->came |= UINT32_C(1) << i;
        }
    }
}

/* Takes the channel that an object names, unless one is known. */
static void take_channel(opening *o, const inside *in) {
    const ln_json_value *v = NULL;
    for (int i = CHANNEL; i <= ROOM && !v; i++)
        v = of(in, i);
    if (!v || o->c->channel.data) return;
    if (!ln_native_text(v, LN_NATIVE_NAME_BYTES, o->scratch, &o->c->channel))
        fault(o, "channel is not a string that could name one");
}

static void take_event(opening *o, const ln_json_value *v, const char *why) {
    ln_slice *event = &o->c->event;
    if (!ln_native_text(v, LN_NATIVE_EVENT_MAX, o->scratch, event) ||
        event->size > LN_NATIVE_EVENT_MAX)
        fault(o, why);
}

#define EVENT_WORDS "event is not a string of at most 255 bytes"

static void take_data(opening *o, const ln_json_value *v) {
    o->c->data = v ? v->raw : LN_SLICE("null");
}

/* A verb of linnet.v1, what it needs beside the payload or in it. */
static void canonical(opening *o) {
    const inside *in = &o->in;
    bool beside = o->c->channel.data != NULL;
    take_channel(o, in);
    if (beside || !o->c->channel.data) return;
    if (of(in, EVENT)) take_event(o, of(in, EVENT), EVENT_WORDS);
    if (of(in, DATA)) take_data(o, of(in, DATA));
}

static opening open_payload(const ln_json_value *object, ln_buf *scratch, ln_native_command *c) {
    opening o = { .c = c, .scratch = scratch };
    inside beside;
    look(&o, object, &beside);
    const ln_json_value *v = of(&beside, PAYLOAD) ? of(&beside, PAYLOAD) : of(&beside, DATA);
    if (v) o.payload = *v;
    o.has_payload = v != NULL;
    look(&o, v, &o.in);
    return o;
}

static int opened(const opening *o, const char **why) {
    if (!o->why) return LN_DONE;
    *why = o->why;
    return LINNET_ERR_JSON;
}

/* C --------------------------------------------------------------------------------------- */

static void rpc_event(opening *o) {
    const ln_json_value *data = of(&o->in, DATA);
    inside deeper;
    look(o, data, &deeper);
    take_channel(o, &o->in);
    take_channel(o, &deeper);
    if (of(&o->in, EVENT)) take_event(o, of(&o->in, EVENT), EVENT_WORDS);
    take_data(o, data);
    o->c->verb = o->c->channel.data ? LN_VERB_PUBLISH : LN_VERB_EVENT;
    o->c->quiet = true;
}

static ln_native_verb ours(const ln_json_value *action) {
    if (ln_json_is(action, LN_SLICE("subscribe"))) return LN_VERB_SUBSCRIBE;
    if (ln_json_is(action, LN_SLICE("unsubscribe"))) return LN_VERB_UNSUBSCRIBE;
    if (ln_json_is(action, LN_SLICE("publish"))) return LN_VERB_PUBLISH;
    return LN_VERB_CALL;
}

/* With `subscribe`: wants to hear who is there. */
static bool wants_presence(const ln_json_value *parameters) {
    if (!parameters || parameters->kind != LN_JSON_OBJECT) return false;
    ln_json_iter it = ln_json_iter_of(parameters);
    ln_json_value key, value;
    while (ln_json_next(&it, &key, &value))
        if (ln_json_is(&key, LN_SLICE("presence")))
            return value.kind == LN_JSON_BOOL && value.boolean;
    return false;
}

static void rpc_call(opening *o, const ln_json_value *method) {
    ln_native_command *c = o->c;
    const ln_json_value *parameters = of(&o->in, PARAMETERS);
    inside deeper;
    look(o, parameters, &deeper);
    c->verb = LN_VERB_CALL;
    c->event = LN_SLICE("");
    take_data(o, parameters);
    if (!method || method->kind != LN_JSON_STRING) {
        fault(o, "a command names its action, and a query its resource");
        return;
    }
    take_channel(o, &deeper);
    if (c->channel.data) c->verb = ours(method);
    if (c->verb == LN_VERB_SUBSCRIBE) c->presence = wants_presence(parameters);
    if (c->verb == LN_VERB_CALL)
        take_event(o, method, "that is no name of a method");
    else if (of(&deeper, EVENT))
        take_event(o, of(&deeper, EVENT), EVENT_WORDS);
    if (c->verb == LN_VERB_PUBLISH)
        c->data = of(&deeper, DATA) ? of(&deeper, DATA)->raw : LN_SLICE("");
}

int ln_envelope_rpc(
    const ln_json_value *object, ln_buf *scratch, ln_native_command *c, const char **why) {
    if (c->type.kind != LN_JSON_STRING) return LN_DONE;
    opening o = open_payload(object, scratch, c);
    if (ln_json_is(&c->type, LN_SLICE("event")))
        rpc_event(&o);
    else if (ln_json_is(&c->type, LN_SLICE("command")))
        rpc_call(&o, of(&o.in, ACTION));
    else if (ln_json_is(&c->type, LN_SLICE("query")))
        rpc_call(&o, of(&o.in, RESOURCE));
    else if (ln_json_is(&c->type, LN_SLICE("response")) || ln_json_is(&c->type, LN_SLICE("error")))
        c->verb = LN_VERB_REPLY;
    else if (c->verb != LN_VERB_AUTH)
        canonical(&o);
    return opened(&o, why);
}

/* D --------------------------------------------------------------------------------------- */

/* The payload is what is said. Without one the object is, as it came. */
static void event_said(opening *o, const ln_json_value *object) {
    ln_native_command *c = o->c;
    c->verb = LN_VERB_PUBLISH;
    c->event = LN_SLICE("");
    c->data = o->has_payload ? o->payload.raw : object->raw;
    take_channel(o, &o->in);
    if (!ln_json_is(&c->type, LN_SLICE("message")))
        take_event(o, &c->type, "type is not a string of at most 255 bytes");
}

int ln_envelope_event(
    const ln_json_value *object, ln_buf *scratch, ln_native_command *c, const char **why) {
    if (c->type.kind != LN_JSON_STRING) return LN_DONE;
    opening o = open_payload(object, scratch, c);
    if (ln_json_is(&c->type, LN_SLICE("join"))) c->verb = LN_VERB_SUBSCRIBE;
    if (ln_json_is(&c->type, LN_SLICE("leave"))) c->verb = LN_VERB_UNSUBSCRIBE;
    if (c->verb == LN_VERB_OTHER)
        event_said(&o, object);
    else if (c->verb != LN_VERB_AUTH)
        canonical(&o);
    return opened(&o, why);
}
