#include "daemon/api_inner.h"
#include <stdio.h>
#include <string.h>

#define RETRY_MS 1000 /* what a backend waits, that has come at a bad time */

struct ln_api_call {
    const ln_api *api;
    linnet_conn_id request;
    ln_ref refs;     /* items under way, and whoever begins them */
    unsigned scopes; /* of the key, for items with methods of their own */
    bool many;       /* results, and no single one */
    uint32_t count, begun;
    size_t written; /* bytes of results, as far as they were looked at: */
    uint32_t counted;
    const ln_api_method *method; /* of all items; NULL: each names its own */
    ln_api_body body;            /* of all items of a broadcast */
    ln_json_iter rest;           /* commands or channels to come */
    ln_slice lines;              /* or the lines; data NULL: there are none */
    uint8_t *text;               /* the request's body, and room for what is unescaped of it */
    ln_buf scratch;
    ln_api_item items[];
};

/* ---- words -------------------------------------------------------------------------- */

int ln_api_status(int err) {
    switch (err) {
    case LINNET_ERR_INVAL:
    case LINNET_ERR_JSON: return 400;
    case LINNET_ERR_DENIED: return 403;
    case LINNET_ERR_TOO_BIG: return 413;
    case LINNET_ERR_NOT_FOUND: return 404;
    case LINNET_ERR_UNSUPPORTED: return 409;
    case LINNET_ERR_LIMIT: return 429;
    case LINNET_ERR_NOMEM: return 500;
    case LINNET_ERR_TIMEOUT: return 504;
    default: return 503;
    }
}

static void put_error(ln_json_writer *w, int code, const char *why, bool vain) {
    linnet_hub_error e = LINNET_HUB_ERROR_INIT;
    linnet_hub_describe_error(code, &e);
    ln_json_open(w, '{');
    ln_json_key(w, "error");
    ln_json_open(w, '{');
    ln_api_put_u64(w, "code", (uint64_t)code);
    ln_json_key(w, "name");
    ln_json_str(w, ln_slice_str(e.name));
    ln_json_key(w, "message");
    ln_json_str(w, ln_slice_str(why && *why ? why : e.words));
    ln_json_key(w, "retry");
    ln_json_bool(w, e.retry && !vain);
    if (!vain && (code == LN_API_NOT_AVAILABLE || code == LN_API_RATE_LIMITED))
        ln_api_put_u64(w, "retry_after", RETRY_MS);
    ln_json_close(w, '}');
    ln_json_close(w, '}');
}

static void put_item(ln_json_writer *w, const ln_api_item *it) {
    if (it->err < 0) {
        put_error(w, it->code ? it->code : linnet_hub_error_code(it->err), it->why,
            it->err == LINNET_ERR_UNSUPPORTED);
        return;
    }
    ln_json_open(w, '{');
    ln_json_key(w, "ok");
    ln_json_raw(w, it->ok.size ? ln_buf_slice(&it->ok) : LN_SLICE("{}"));
    ln_json_close(w, '}');
}

static void put_results(ln_json_writer *w, const ln_api_call *c) {
    ln_json_open(w, '{');
    ln_json_key(w, "ok");
    ln_json_open(w, '{');
    ln_json_key(w, "results");
    ln_json_open(w, '[');
    for (uint32_t i = 0; i < c->count; i++)
        put_item(w, &c->items[i]);
    ln_json_close(w, ']');
    ln_json_close(w, '}');
    ln_json_close(w, '}');
}

void ln_api_refuse(linnet_request *r, int status, int code, const char *why) {
    ln_buf out;
    ln_buf_init(&out, 4096);
    ln_json_writer w = ln_json_begin(&out);
    put_error(&w, code, why, false);
    if (ln_json_end(&w) == LINNET_OK)
        linnet_request_answer(r, status, LN_API_JSON, ln_buf_slice(&out));
    else
        linnet_request_answer(r, 500, NULL, linnet_str("out of memory\n"));
    ln_buf_fini(&out);
}

void ln_api_put_text(ln_json_writer *w, const char *key, ln_slice text) {
    if (!text.size) return;
    ln_json_key(w, key);
    ln_json_str(w, text);
}

void ln_api_put_u64(ln_json_writer *w, const char *key, uint64_t value) {
    ln_json_key(w, key);
    ln_json_u64(w, value);
}

/* ---- the end ------------------------------------------------------------------------ */

static void call_free(ln_api_call *c) {
    for (uint32_t i = 0; i < c->count; i++)
        ln_buf_fini(&c->items[i].ok);
    ln_buf_fini(&c->scratch);
    ln_free(c->text);
    ln_free(c);
}

/* Whoever waited may have gone: then nobody is told. */
static void answer(ln_api_call *c) {
    const ln_api_item *first = &c->items[0];
    linnet_server *s = c->api->server;
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    ln_json_writer w = ln_json_begin(&out);
    if (c->many)
        put_results(&w, c);
    else
        put_item(&w, first);
    int status = c->many || first->err >= 0 ? 200
                 : first->status            ? first->status
                                            : ln_api_status(first->err);
    int err = ln_json_end(&w);
    if (err == LINNET_OK)
        err = linnet_server_answer(s, c->request, status, LN_API_JSON, ln_buf_slice(&out));
    ln_buf_fini(&out);
    if (err < 0) /* there may be room for less */
        linnet_server_answer(s, c->request, 500, NULL, linnet_str("out of memory\n"));
}

/* ---- items -------------------------------------------------------------------------- */

linnet_hub *ln_api_hub(const ln_api_item *it) {
    return it->call->api->hub;
}

linnet_server *ln_api_server(const ln_api_item *it) {
    return it->call->api->server;
}

static void run(ln_api_call *c);

void ln_api_done(ln_api_item *it) {
    ln_api_call *c = it->call;
    if (ln_ref_put(&c->refs)) run(c);
}

static void failed(ln_api_item *it, int err, const char *why) {
    it->err = err;
    if (why) snprintf(it->why, sizeof it->why, "%s", why);
}

void ln_api_fail(ln_api_item *it, int err, const char *why) {
    failed(it, err, why);
    ln_api_done(it);
}

ln_json_writer ln_api_ok(ln_api_item *it) {
    ln_buf_clear(&it->ok);
    ln_json_writer w = ln_json_begin(&it->ok);
    ln_json_open(&w, '{');
    return w;
}

void ln_api_told(ln_api_item *it, ln_json_writer *w) {
    ln_json_close(w, '}');
    it->err = ln_json_end(w);
    ln_api_done(it);
}

/* ---- what is next ------------------------------------------------------------------- */

/* The next command of a batch. False: it is none, and the item says so. */
static bool next_command(ln_api_call *c, ln_api_item *it, ln_json_value *out) {
    ln_json_value key;
    ln_slice line;
    if (!c->lines.data) return ln_json_next(&c->rest, &key, out);
    bool good = ln_api_line(&c->lines, &line) && ln_json_check(line, out) == LINNET_OK;
    if (!good) failed(it, LINNET_ERR_JSON, "that is not JSON, or too deep");
    return good;
}

static const ln_api_method *refuse_method(ln_api_item *it, int err, int code, const char *why) {
    failed(it, err, why);
    it->code = code;
    return NULL;
}

/* The method of a command, which may do it; NULL: the item says why not. */
static const ln_api_method *method_of(ln_api_item *it, const ln_json_value *object) {
    ln_api_call *c = it->call;
    ln_slice name;
    char why[LN_API_WHY_MAX];
    if (!ln_api_named(object, &c->scratch, &name, why))
        return refuse_method(it, LINNET_ERR_INVAL, LN_API_BAD_REQUEST, why);
    const ln_api_method *m = ln_api_method_of(name);
    if (!m || !m->run)
        return refuse_method(
            it, LINNET_ERR_INVAL, LN_API_UNKNOWN_METHOD, "a batch knows no such method");
    if (!(m->scope & c->scopes))
        return refuse_method(it, LINNET_ERR_DENIED, LN_API_DENIED, "this key may not do that");
    return m;
}

static const ln_api_method *next_of_batch(ln_api_call *c, ln_api_item *it, ln_api_body *b) {
    ln_json_value object;
    if (!next_command(c, it, &object)) return NULL;
    ln_buf_clear(&c->scratch); /* nobody keeps what he was told */
    const ln_api_method *m = method_of(it, &object);
    ln_buf_clear(&c->scratch);
    if (!m) return NULL;
    if (!m->follows && c->written > LN_API_BATCH_MAX)
        return refuse_method(it, LINNET_ERR_LIMIT, 0, "what this batch has read is too much");
    it->err = LINNET_ERR_INVAL;
    if (!ln_api_read(&object, m->may, m->must | LN_API_METHOD, &c->scratch, b, it->why))
        return NULL;
    it->err = LINNET_OK;
    return m;
}

static const ln_api_method *next_of_broadcast(ln_api_call *c, ln_api_item *it, ln_api_body *b) {
    ln_json_value key, value;
    *b = c->body;
    ln_json_next(&c->rest, &key, &value);
    if (ln_api_text(&value, &c->scratch, &b->channel)) return c->method;
    failed(it, LINNET_ERR_INVAL, "a channel is a string");
    return NULL;
}

/* What the next item is to do. NULL: nothing, and it says why. */
static const ln_api_method *next_of(ln_api_call *c, ln_api_item *it, ln_api_body *b) {
    if (!c->method) return next_of_batch(c, it, b);
    if (c->many) return next_of_broadcast(c, it, b);
    *b = c->body;
    return c->method;
}

static void count_results(ln_api_call *c, uint32_t up_to) {
    for (; c->counted < up_to; c->counted++)
        c->written += c->items[c->counted].ok.size;
}

/* Peeks: whether the next command may begin although others are under way. */
static bool follows(const ln_api_call *c) {
    if (c->method) return true;
    ln_json_value object, key;
    ln_json_iter rest = c->rest;
    ln_slice lines = c->lines, line;
    if (!c->lines.data && !ln_json_next(&rest, &key, &object)) return true;
    if (c->lines.data && (!ln_api_line(&lines, &line) || ln_json_check(line, &object) < 0))
        return true; /* it is none, and fails by itself */
    return ln_api_is_method(&object, LN_SLICE("publish")) ||
           ln_api_is_method(&object, LN_SLICE("send"));
}

/* Begins one; true: the next one has to wait for it. It may be done, and freed with all others,
 * as soon as it has begun, but for the caller's reference. */
static bool begin(ln_api_call *c) {
    ln_api_body b;
    ln_api_item *it = &c->items[c->begun++];
    ln_api_method const *m = next_of(c, it, &b);
    if (!m) return false;
    ln_ref_get(&c->refs, 1);
    m->run(it, &b);
    return !m->follows;
}

/* The last of those that were under way is done: begins what may begin now, or answers. */
static void run(ln_api_call *c) {
    do {
        if (c->begun == c->count) {
            answer(c);
            call_free(c);
            return;
        }
        count_results(c, c->begun);
        ln_ref_init(&c->refs, 1);
        while (!begin(c) && c->begun < c->count && follows(c))
            continue;
    } while (ln_ref_put(&c->refs));
}

/* ---- beginning ---------------------------------------------------------------------- */

static void refuse_memory(linnet_request *r) {
    ln_api_refuse(r, 500, LN_API_INTERNAL, NULL);
}

/* With a copy of the body, which items borrow from after the handler. NULL: it is answered. */
static ln_api_call *call_new(const ln_api_ask *a, uint32_t count, bool many) {
    ln_api_call *c = ln_calloc(1, sizeof *c + count * sizeof c->items[0]);
    if (!c) {
        refuse_memory(a->request);
        return NULL;
    }
    c->api = a->api;
    c->request = linnet_request_id(a->request);
    c->scopes = a->scopes;
    c->many = many;
    c->count = count;
    ln_buf_init(&c->scratch, LN_API_BODY_MAX);
    for (uint32_t i = 0; i < count; i++) {
        c->items[i].call = c;
        ln_buf_init(&c->items[i].ok, LN_BUF_MAX);
    }
    size_t size = a->body.size;
    c->text = ln_malloc(size + 1);
    if (c->text && (!size || ln_buf_reserve(&c->scratch, size) == LINNET_OK)) {
        if (size) memcpy(c->text, a->body.data, size);
        return c;
    }
    call_free(c);
    refuse_memory(a->request);
    return NULL;
}

static bool read_object(const ln_api_ask *a, ln_slice text, unsigned may, unsigned must,
    ln_buf *scratch, ln_api_body *out) {
    ln_json_value top;
    char why[LN_API_WHY_MAX] = "that is not JSON, or too deep";
    if (ln_json_check(text, &top) == LINNET_OK && ln_api_read(&top, may, must, scratch, out, why))
        return true;
    ln_api_refuse(a->request, 400, LN_API_BAD_REQUEST, why);
    return false;
}

bool ln_api_body_of(ln_api_ask *a, unsigned may, unsigned must, ln_api_body *out) {
    return read_object(a, a->body, may, must, &a->scratch, out);
}

/* Reads the copy of the body, as it was read before, and runs what is in it. NULL is allowed. */
static void run_copy(
    ln_api_call *c, const ln_api_ask *a, const ln_api_method *m, unsigned may, unsigned must) {
    if (!c) return;
    ln_slice text = ln_slice_of(c->text, a->body.size);
    if (!read_object(a, text, may, must, &c->scratch, &c->body)) {
        call_free(c);
        return;
    }
    c->method = m;
    if (c->many) c->rest = ln_json_iter_of(m ? &c->body.channels : &c->body.commands);
    run(c);
}

void ln_api_run_one(ln_api_ask *a, const ln_api_method *m) {
    run_copy(call_new(a, 1, false), a, m, m->may, m->must);
}

static uint32_t length_of(const ln_json_value *array) {
    ln_json_iter it = ln_json_iter_of(array);
    ln_json_value key, value;
    uint32_t count = 0;
    while (ln_json_next(&it, &key, &value))
        count++;
    return count;
}

static bool fits(const ln_api_ask *a, uint32_t count) {
    if (count > 0 && count <= LN_API_ITEMS_MAX) return true;
    ln_api_refuse(a->request, count ? 413 : 400, count ? LN_API_TOO_LARGE : LN_API_BAD_REQUEST,
        count ? "at most 1,000 at once" : "there is nothing to do");
    return false;
}

void ln_api_broadcast(ln_api_ask *a) {
    const ln_api_method *publish = ln_api_method_of(LN_SLICE("publish"));
    unsigned must = (publish->must & ~(unsigned)LN_API_CHANNEL) | LN_API_CHANNELS;
    ln_api_body b;
    if (!ln_api_body_of(a, publish->may, must, &b)) return;
    uint32_t count = length_of(&b.channels);
    if (fits(a, count)) run_copy(call_new(a, count, true), a, publish, publish->may, must);
}

static void run_lines(const ln_api_ask *a) {
    ln_slice text = a->body, line;
    uint32_t count = 0;
    while (ln_api_line(&text, &line))
        count++;
    ln_api_call *c = fits(a, count) ? call_new(a, count, true) : NULL;
    if (!c) return;
    c->lines = ln_slice_of(c->text, a->body.size);
    run(c);
}

void ln_api_batch(ln_api_ask *a) {
    ln_api_body b;
    if (ln_api_is_type(linnet_request_header(a->request, "Content-Type", 0), LN_API_LINES)) {
        run_lines(a);
        return;
    }
    if (!ln_api_body_of(a, 0, LN_API_COMMANDS, &b)) return;
    uint32_t count = length_of(&b.commands);
    if (fits(a, count)) run_copy(call_new(a, count, true), a, NULL, 0, LN_API_COMMANDS);
}
