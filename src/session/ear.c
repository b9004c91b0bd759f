#include "session/ear.h"
#include "session/inner.h"

void ln_hear(const ln_session *s, const ln_happening *what) {
    ln_happening h = *what;
    h.client = ln_slice_of(s->client, s->client_size);
    h.user = ln_session_user(s);
    h.dialect = s->dialect == LN_DIALECT_AUTO ? "undecided" : ln_session_dialect(s)->name;
    if (s->from_known) h.from = &s->from;
    s->node->ear->heard(s->node->ear->ctx, &h);
}

void ln_hear_sub(const ln_session *s, ln_heard_kind kind, ln_slice channel, int code) {
    ln_hear(s, &(ln_happening){ .kind = kind, .channel = channel, .code = code });
}

static const char *name_of(ln_ask_kind kind) {
    switch (kind) {
    case LN_ASK_CONNECT: return "connect";
    case LN_ASK_SUBSCRIBE: return "subscribe";
    case LN_ASK_PUBLISH: return "publish";
    case LN_ASK_CALL: return "call";
    case LN_ASK_REFRESH: return "refresh";
    default: return "event";
    }
}

void ln_hook_heard(ln_happening *h, ln_ask_kind kind, const ln_answer *a) {
    h->kind = LN_HEARD_HOOK;
    h->what = name_of(kind);
    h->code = a->err ? 0 : a->code;
    h->outcome = a->err ? "failed" : a->code ? "refused" : "allowed";
    h->text = a->err ? ln_slice_str(linnet_strerror(a->err)) : a->message;
}

void ln_hear_hook(
    const ln_session *s, ln_ask_kind kind, ln_slice channel, const ln_answer *answer) {
    ln_happening h = { .channel = channel };
    ln_hook_heard(&h, kind, answer);
    ln_hear(s, &h);
}
