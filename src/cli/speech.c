#include "cli/speech.h"
#include "cli/term.h"

/* ---- reading ---------------------------------------------------------------------- */

static ln_said_kind kind_of(const ln_json_value *type) {
    static const struct {
        ln_slice word;
        ln_said_kind kind;
    } kinds[] = {
        { LN_SLICE_INIT("welcome"), LN_SAID_WELCOME },
        { LN_SLICE_INIT("ok"), LN_SAID_OK },
        { LN_SLICE_INIT("error"), LN_SAID_ERROR },
        { LN_SLICE_INIT("message"), LN_SAID_MESSAGE },
        { LN_SLICE_INIT("unsubscribed"), LN_SAID_UNSUBSCRIBED },
        { LN_SLICE_INIT("skip"), LN_SAID_SKIP },
        { LN_SLICE_INIT("presence"), LN_SAID_PRESENCE },
        { LN_SLICE_INIT("ping"), LN_SAID_PING },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (type->kind == LN_JSON_STRING && ln_json_is(type, kinds[i].word)) return kinds[i].kind;
    return LN_SAID_OTHER;
}

static void read_number(const ln_json_value *v, uint64_t *out) {
    if (v->kind == LN_JSON_NUMBER) ln_json_uint(v, out);
}

static void read_error(const ln_json_value *object, ln_said *out) {
    if (object->kind != LN_JSON_OBJECT) return;
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, v;
    while (ln_json_next(&it, &key, &v)) {
        if (ln_json_is(&key, LN_SLICE("code"))) read_number(&v, &out->code);
        if (ln_json_is(&key, LN_SLICE("message"))) out->words = v.raw;
        if (ln_json_is(&key, LN_SLICE("retry"))) out->retry = v.boolean;
        if (ln_json_is(&key, LN_SLICE("retry_after"))) read_number(&v, &out->retry_after);
    }
}

bool ln_said_read(const ln_json_value *object, ln_said *out) {
    if (object->kind != LN_JSON_OBJECT) return false;
    *out = (ln_said){ .raw = object->raw };
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, v;
    while (ln_json_next(&it, &key, &v)) {
        if (ln_json_is(&key, LN_SLICE("type"))) out->kind = kind_of(&v);
        if (ln_json_is(&key, LN_SLICE("re"))) read_number(&v, &out->re);
        if (ln_json_is(&key, LN_SLICE("channel"))) out->channel = v.raw;
        if (ln_json_is(&key, LN_SLICE("data"))) out->data = v.raw;
        if (ln_json_is(&key, LN_SLICE("error"))) read_error(&v, out);
        if (ln_json_is(&key, LN_SLICE("code"))) read_number(&v, &out->code);
        if (ln_json_is(&key, LN_SLICE("reason"))) out->words = v.raw;
        if (ln_json_is(&key, LN_SLICE("count"))) read_number(&v, &out->count);
        if (ln_json_is(&key, LN_SLICE("max"))) read_number(&v, &out->max);
    }
    return true;
}

/* ---- the conversation ------------------------------------------------------------- */

void ln_speech_open(ln_talk *t) {
    ln_speech *s = (ln_speech *)t;
    if (ln_slice_eq(linnet_conn_subprotocol(t->conn), LN_SLICE("linnet.v1"))) {
        ln_talk_alarm(t, s->timeout_ms);
        return;
    }
    ln_say("%s does not speak linnet.v1; is it the right path? /ws is usual", t->url);
    ln_talk_leave(t, 1);
}

static void take(ln_speech *s, const ln_json_value *object) {
    ln_said said;
    if (!ln_said_read(object, &said)) return;
    if (said.kind == LN_SAID_WELCOME) s->max = said.max;
    if (said.kind == LN_SAID_PING)
        linnet_conn_send(s->talk.conn, LINNET_TEXT, LN_SLICE("{\"type\":\"pong\"}"));
    else
        s->on_said(s, &said);
}

void ln_speech_message(ln_talk *t, linnet_opcode opcode, linnet_slice data) {
    ln_json_value top, element, key;
    if (opcode != LINNET_TEXT || ln_json_check_long(data, LN_SPEECH_KEYS_MAX, &top) < 0) {
        ln_say("the server sent something that is not linnet.v1");
        ln_talk_leave(t, 1);
        return;
    }
    if (top.kind != LN_JSON_ARRAY) {
        take((ln_speech *)t, &top);
        return;
    }
    ln_json_iter it = ln_json_iter_of(&top);
    while (t->code < 0 && ln_json_next(&it, &key, &element))
        take((ln_speech *)t, &element);
}

int ln_speech_close(ln_talk *t, uint16_t code, linnet_slice reason, int err) {
    ln_talk_say_close(code, reason, err);
    return 1;
}

void ln_speech_late(ln_talk *t) {
    ln_say("the server did not answer in time");
    ln_talk_leave(t, 1);
}

int ln_speech_run(ln_speech *s, ln_dialflags *dial, const char *url) {
    static const char *const protocols[] = { "linnet.v1", NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    int code = ln_dialflags_apply(dial, url, &o);
    if (code >= 0) return code;
    o.subprotocols = protocols;
    s->timeout_ms = o.timeout_ms;
    return ln_talk_run(&s->talk, &o);
}

void ln_speech_say(ln_speech *s, ln_slice frame) {
    if (s->max && frame.size > s->max) {
        ln_say("a frame of %zu bytes is over the server's limit of %llu", frame.size,
            (unsigned long long)s->max);
        ln_talk_leave(&s->talk, 1);
        return;
    }
    int err = linnet_conn_send(s->talk.conn, LINNET_TEXT, frame);
    if (err < 0) {
        ln_say("cannot send: %s", linnet_strerror(err));
        ln_talk_leave(&s->talk, 1);
    }
    ln_talk_alarm(&s->talk, s->timeout_ms);
}

/* ---- words ------------------------------------------------------------------------ */

void ln_speech_complain(const char *channel, const ln_said *said) {
    fprintf(stderr, "linnet: %s: ", channel);
    ln_term_text(stderr, said->words);
    fprintf(stderr, " (%llu)\n", (unsigned long long)said->code);
}

void ln_speech_put_data(ln_json_writer *w, ln_slice text) {
    ln_json_value top;
    if (ln_json_check(text, &top) == LINNET_OK)
        ln_json_raw(w, top.raw);
    else
        ln_json_str(w, text);
}

void ln_speech_print(ln_slice json) {
    for (ln_slice rest = json, line; ln_slice_cut(&rest, '\n', &line);) {
        while (line.size && line.data[line.size - 1] == '\r')
            line.size--;
        ln_term_text(stdout, line);
        if (rest.data) putchar(' ');
    }
}
