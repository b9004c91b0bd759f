/* ws.c -- the sans-I/O WebSocket of linnet/ws.h: the pure pieces of wire/ behind one handle.
 *
 *    HEAD ── request or answer complete ──> DECIDE (server) ──> OPEN ──> CLOSED
 *      └────────────── refused, or not ours ───────────────────────────────^
 */
#include "base/mem.h"
#include "conn/conn.h"
#include "lib/limits.h"
#include "lib/sized.h"
#include "wire/upgrade.h"
#include <linnet/ws.h>

#define FED_MAX (1024u * 1024) /* bytes fed without pulling events */

typedef enum phase { HEAD, DECIDE, OPEN, CLOSED } phase;

struct linnet_ws {
    ln_conn_config config;
    ln_pmd_policy deflate;
    ln_rand rand;
    ln_ws_tools tools;
    ln_ws ws;
    ln_buf in, out; /* bytes fed; bytes to send */
    ln_http1_scan scan;
    ln_http1_head head;
    ln_upgrade asked;
    ln_url url;
    ln_http1_field fields[LN_HTTP1_FIELDS_MAX];
    ln_slice protocols[LN_UPGRADE_PROTOCOLS_MAX];
    size_t field_count, protocol_count;
    uint8_t nonce[16];
    char protocol[128];
    char *url_text;
    uint8_t phase;
    ln_utf8 utf8;
    bool closing; /* the Close of the peer was told */
    bool client, open_told, upgrade_told, closed_told, ended, fragments, text;
    int err; /* why it ended, for CLOSED */
    uint16_t code;
};

/* ---- options ---------------------------------------------------------------------------- */

static int keep_text(linnet_ws *w, const char *text, ln_slice *out) {
    char *copy = ln_slice_dup(linnet_str(text));
    if (!copy) return LINNET_ERR_NOMEM;
    *out = linnet_str(copy);
    return LINNET_OK;
}

static int keep_options(linnet_ws *w, const linnet_ws_options *o) {
    int err;
    for (; o->subprotocols && o->subprotocols[w->protocol_count]; w->protocol_count++) {
        if (w->protocol_count == LN_UPGRADE_PROTOCOLS_MAX ||
            !ln_http1_is_token(linnet_str(o->subprotocols[w->protocol_count])))
            return LINNET_ERR_INVAL;
        if ((err = keep_text(
                 w, o->subprotocols[w->protocol_count], &w->protocols[w->protocol_count])) < 0)
            return err;
    }
    for (; o->client && o->headers && o->headers[w->field_count]; w->field_count++) {
        if (w->field_count == LN_HTTP1_FIELDS_MAX) return LINNET_ERR_INVAL;
        ln_slice line, name;
        if ((err = keep_text(w, o->headers[w->field_count], &line)) < 0) return err;
        ln_http1_field *f = &w->fields[w->field_count];
        f->name = line; /* whole, for ln_free, should this fail */
        if (!ln_slice_cut(&line, ':', &name) || !line.data) {
            w->field_count++;
            return LINNET_ERR_INVAL;
        }
        *f = (ln_http1_field){ name, ln_slice_trim(line) };
    }
    if (!o->client || o->upgraded) return LINNET_OK;
    ln_slice url;
    if ((err = keep_text(w, o->url, &url)) < 0) return err;
    err = ln_url_parse(url, &w->url);
    if (err == LINNET_OK && w->url.scheme != LN_URL_WS && w->url.scheme != LN_URL_WSS)
        err = LINNET_ERR_URL;
    w->url_text = (char *)(uintptr_t)url.data;
    return err;
}

static ln_upgrade_ask_options asking(const linnet_ws *w) {
    return (ln_upgrade_ask_options){ .url = &w->url,
        .nonce = w->nonce,
        .protocols = w->protocols,
        .protocol_count = w->protocol_count,
        .deflate = w->deflate,
        .extra = w->fields,
        .extra_count = w->field_count };
}

static int begin_open(linnet_ws *w, const ln_pmd_params *params) {
    int err = ln_ws_init(&w->ws, &w->config.ws, params, &w->tools);
    if (err == LINNET_OK) w->phase = OPEN;
    return err;
}

int linnet_ws_new(const linnet_ws_options *o, linnet_ws **out) {
    if (!o || !out || !ln_sized(o, sizeof *o) || (o->client && !o->upgraded && !o->url))
        return LINNET_ERR_INVAL;
    linnet_ws *w = ln_calloc(1, sizeof *w);
    if (!w) return LINNET_ERR_NOMEM;
    w->client = o->client;
    ln_rand_init(&w->rand);
    ln_rand_bytes(&w->rand, w->nonce, sizeof w->nonce);
    ln_pmd_tools_init(&w->tools.pmd);
    w->tools.rand = &w->rand;
    ln_buf_init(&w->in, LN_BUF_MAX);
    ln_buf_init(&w->out, LN_BUF_MAX);
    int err = ln_limits_conn(&o->limits, o->client, &w->config, &w->deflate);
    if (err == LINNET_OK) err = keep_options(w, o);
    if (err == LINNET_OK && o->upgraded) {
        err = begin_open(w, NULL);
    } else if (err == LINNET_OK && o->client) {
        ln_upgrade_ask_options ask = asking(w);
        err = ln_upgrade_ask(&w->out, &ask);
    }
    if (err < 0) {
        linnet_ws_free(w);
        return err;
    }
    *out = w;
    return LINNET_OK;
}

void linnet_ws_free(linnet_ws *w) {
    if (!w) return;
    if (w->phase >= OPEN) ln_ws_fini(&w->ws, &w->tools);
    ln_ws_tools_fini(&w->tools);
    ln_buf_fini(&w->in);
    ln_buf_fini(&w->out);
    for (size_t i = 0; i < w->protocol_count; i++)
        ln_free((void *)(uintptr_t)w->protocols[i].data);
    for (size_t i = 0; i < w->field_count; i++)
        ln_free((void *)(uintptr_t)w->fields[i].name.data);
    ln_free(w->url_text);
    ln_free(w);
}

/* ---- bytes in ----------------------------------------------------------------------------- */

/* The request that awaits a decision is slices of w->in, which may have moved. */
static void read_again(linnet_ws *w) {
    ln_http1_limits limits = LN_HTTP1_LIMITS_SERVER;
    w->scan = (ln_http1_scan){ 0 };
    ln_http1_request(&w->scan, &limits, ln_buf_slice(&w->in), &w->head);
    ln_upgrade_check(&w->head, &w->asked);
}

int linnet_ws_feed(linnet_ws *w, linnet_slice bytes) {
    if (!bytes.size) w->ended = true;
    if (w->phase == CLOSED) return LINNET_OK;
    if (w->in.size > FED_MAX) return LINNET_ERR_LIMIT;
    int err = ln_buf_add(&w->in, bytes);
    if (err == LINNET_OK && w->phase == DECIDE) read_again(w);
    return err;
}

/* The last event: why and with which code. */
static void end(linnet_ws *w, int err, uint16_t code) {
    if (w->phase == OPEN) ln_ws_fini(&w->ws, &w->tools);
    w->phase = CLOSED;
    w->err = err;
    w->code = code;
}

static int tell_closed(linnet_ws *w, linnet_ws_event *ev) {
    if (w->closed_told) return 0;
    w->closed_told = true;
    *ev = (linnet_ws_event){ .kind = LINNET_WS_CLOSED, .code = w->code, .err = w->err };
    return 1;
}

static int server_head(linnet_ws *w) {
    ln_http1_limits limits = LN_HTTP1_LIMITS_SERVER;
    int r = ln_http1_request(&w->scan, &limits, ln_buf_slice(&w->in), &w->head);
    if (r == LN_MORE) return r;
    ln_http1_fault fault = r == LN_DONE ? ln_upgrade_check(&w->head, &w->asked)
                                        : (ln_http1_fault)w->scan.fault;
    if (fault != LN_HTTP1_FAULT_NONE) {
        r = ln_http1_refuse(&w->out, fault);
        end(w, r < 0 ? r : LINNET_ERR_HTTP, 1006);
        return LINNET_ERR_HTTP;
    }
    w->phase = DECIDE;
    return LN_DONE;
}

static int client_head(linnet_ws *w) {
    for (;;) {
        ln_http1_limits limits = LN_HTTP1_LIMITS_CLIENT;
        int r = ln_http1_response(&w->scan, &limits, ln_buf_slice(&w->in), &w->head);
        if (r == LN_MORE) return r;
        if (r < 0) {
            end(w, LINNET_ERR_UPGRADE_HEADER, 1006);
            return r;
        }
        if (w->head.status < 100 || w->head.status >= 200 || w->head.status == 101) break;
        ln_buf_consume(&w->in, w->head.size);
    }
    ln_upgrade_ask_options ask = asking(w);
    ln_upgrade_agreed agreed;
    int err = ln_upgrade_verify(&ask, &w->head, &agreed);
    if (err == LINNET_OK && agreed.protocol.size >= sizeof w->protocol)
        err = LINNET_ERR_UPGRADE_PROTOCOL;
    if (err == LINNET_OK) err = begin_open(w, agreed.deflate ? &agreed.params : NULL);
    if (err < 0) {
        end(w, err, 1006);
        return err;
    }
    if (agreed.protocol.size) memcpy(w->protocol, agreed.protocol.data, agreed.protocol.size);
    ln_buf_consume(&w->in, w->head.size);
    return LN_DONE;
}

/* ---- events ------------------------------------------------------------------------------- */

static int on_close(linnet_ws *w, const ln_ws_event *e, linnet_ws_event *ev) {
    if (!w->ws.close_sent) ln_ws_close(&w->ws, &w->tools, e->code, ln_slice_of("", 0), &w->out);
    *ev = (linnet_ws_event){
        .kind = LINNET_WS_CLOSED, .code = e->code, .data = ln_slice_of(e->data.data, e->data.size)
    };
    w->closed_told = true;
    w->closing = true; /* the slice lies in w->in: end with the next call */
    return 1;
}

static int open_event(linnet_ws *w, linnet_ws_event *ev) {
    ln_ws_event e;
    ln_wslice in = { w->in.data ? w->in.data + w->in.head : NULL, w->in.size };
    size_t before = in.size;
    int r = ln_ws_next(&w->ws, &w->tools, &in, &e);
    ln_buf_consume(&w->in, before - in.size);
    if (r == LN_MORE) {
        if (!w->ended) return 0;
        end(w, 0, 1006);
        return tell_closed(w, ev);
    }
    if (r < 0) {
        ln_ws_close(
            &w->ws, &w->tools, ln_err_close_code(r), linnet_str(linnet_strerror(r)), &w->out);
        end(w, r, 1006);
        return tell_closed(w, ev);
    }
    ln_slice data = ln_slice_of(e.data.data, e.data.size);
    *ev = (linnet_ws_event){ .opcode = (linnet_opcode)e.opcode, .data = data };
    switch (e.kind) {
    case LN_WS_MESSAGE: ev->kind = LINNET_WS_MESSAGE; return 1;
    case LN_WS_PING:
        ev->kind = LINNET_WS_PING;
        ln_ws_control(&w->ws, &w->tools, LN_OP_PONG, data, &w->out);
        return 1;
    case LN_WS_PONG: ev->kind = LINNET_WS_PONG; return 1;
    default: return on_close(w, &e, ev);
    }
}

int linnet_ws_next(linnet_ws *w, linnet_ws_event *ev) {
    if (w->closing && w->phase == OPEN) end(w, 0, 1005);
    if (w->phase == HEAD) {
        int r = w->client ? client_head(w) : server_head(w);
        if (r == LN_MORE && w->ended)
            end(w, LINNET_ERR_RESET, 1006);
        else if (r == LN_MORE)
            return 0;
    }
    if (w->phase == DECIDE) {
        if (w->upgrade_told) return 0;
        w->upgrade_told = true;
        *ev = (linnet_ws_event){ .kind = LINNET_WS_UPGRADE, .data = w->head.target };
        return 1;
    }
    if (w->phase == CLOSED) return tell_closed(w, ev);
    if (!w->open_told) {
        w->open_told = true;
        *ev = (linnet_ws_event){ .kind = LINNET_WS_OPEN, .data = linnet_str(w->protocol) };
        return 1;
    }
    return open_event(w, ev);
}

/* ---- the server's decision ------------------------------------------------------------------ */

linnet_slice linnet_ws_request_target(const linnet_ws *w) {
    return w->phase == DECIDE ? w->head.target : linnet_str("");
}

linnet_slice linnet_ws_request_header(const linnet_ws *w, const char *name) {
    ln_slice value = { NULL, 0 };
    if (w->phase == DECIDE) ln_http1_find(&w->head, linnet_str(name), &value);
    return value;
}

int linnet_ws_accept(linnet_ws *w, const char *subprotocol) {
    if (w->phase != DECIDE) return LINNET_ERR_STATE;
    ln_slice chosen = subprotocol ? linnet_str(subprotocol)
                                  : ln_upgrade_choose(&w->asked, w->protocols, w->protocol_count);
    if (chosen.size >= sizeof w->protocol ||
        (chosen.size && !ln_upgrade_offered(&w->asked, chosen)))
        return LINNET_ERR_UPGRADE_PROTOCOL;
    ln_pmd_params params;
    ln_pmd_text answer;
    int agreed = ln_pmd_accept(&w->deflate, &w->head, &params, &answer);
    ln_upgrade_reply reply = { .protocol = chosen };
    if (agreed == 1) reply.extension = ln_pmd_slice(&answer);
    int err = begin_open(w, agreed == 1 ? &params : NULL); /* first: then only memory can fail */
    if (err < 0) return err;
    if ((err = ln_upgrade_answer(&w->out, w->asked.key, &reply)) < 0) {
        ln_ws_fini(&w->ws, &w->tools);
        w->phase = DECIDE;
        return err;
    }
    if (chosen.size) memcpy(w->protocol, chosen.data, chosen.size);
    ln_buf_consume(&w->in, w->head.size);
    return err;
}

int linnet_ws_reject(linnet_ws *w, int status, const char *body) {
    if (w->phase != DECIDE) return LINNET_ERR_STATE;
    if (status < 300 || status > 599) return LINNET_ERR_INVAL;
    ln_slice words = linnet_str(body ? body : ln_http1_status_words((unsigned)status));
    uint32_t before = w->out.size;
    ln_http1_writer h = ln_http1_answer(&w->out, (unsigned)status);
    ln_http1_put(&h, LN_SLICE("Content-Type"), LN_SLICE("text/plain; charset=utf-8"));
    ln_http1_put_u64(&h, LN_SLICE("Content-Length"), words.size);
    ln_http1_put(&h, LN_SLICE("Connection"), LN_SLICE("close"));
    int err = ln_http1_finish(&h);
    if (err == LINNET_OK) err = ln_buf_add(&w->out, words);
    if (err == LINNET_OK)
        end(w, 0, 1006);
    else
        w->out.size = before; /* a head without its body is no answer */
    return err;
}

/* ---- bytes out ------------------------------------------------------------------------------ */

int linnet_ws_send(linnet_ws *w, linnet_opcode opcode, linnet_slice data) {
    if (opcode != LINNET_TEXT && opcode != LINNET_BINARY) return LINNET_ERR_INVAL;
    if (w->phase != OPEN || w->ws.close_sent) return LINNET_ERR_CLOSED;
    if (w->fragments) return LINNET_ERR_STATE;
    if (opcode == LINNET_TEXT && !ln_utf8_valid(data)) return LINNET_ERR_UTF8;
    return ln_ws_message(&w->ws, &w->tools, (uint8_t)opcode, data, true, &w->out);
}

int linnet_ws_send_fragment(linnet_ws *w, linnet_opcode opcode, bool fin, linnet_slice data) {
    if ((unsigned)opcode > LINNET_BINARY) return LINNET_ERR_INVAL;
    if (w->phase != OPEN || w->ws.close_sent) return LINNET_ERR_CLOSED;
    if (w->fragments != (opcode == LINNET_CONTINUATION)) return LINNET_ERR_STATE;
    bool text = opcode == LINNET_TEXT || (opcode == LINNET_CONTINUATION && w->text);
    ln_utf8 state = opcode == LINNET_TEXT ? 0 : w->utf8;
    if (text && (!ln_utf8_feed(&state, data) || (fin && !ln_utf8_complete(state))))
        return LINNET_ERR_UTF8;
    int err = ln_ws_fragment(&w->ws, &w->tools, (uint8_t)opcode, fin, data, &w->out);
    if (err < 0) return err;
    w->fragments = !fin;
    w->text = text;
    w->utf8 = state;
    return LINNET_OK;
}

int linnet_ws_ping(linnet_ws *w, linnet_slice payload) {
    if (w->phase != OPEN || w->ws.close_sent) return LINNET_ERR_CLOSED;
    return ln_ws_control(&w->ws, &w->tools, LN_OP_PING, payload, &w->out);
}

int linnet_ws_close(linnet_ws *w, uint16_t code, const char *reason) {
    if (w->phase != OPEN) return LINNET_ERR_CLOSED;
    if (code && code != 1005 && !ln_ws_code_valid(code)) return LINNET_ERR_INVAL;
    int err = ln_ws_close(&w->ws, &w->tools, code, linnet_str(reason), &w->out);
    return err == LINNET_ERR_STATE ? LINNET_OK : err;
}

linnet_slice linnet_ws_subprotocol(const linnet_ws *w) {
    return linnet_str(w->protocol);
}

linnet_slice linnet_ws_pending(const linnet_ws *w) {
    return ln_buf_slice(&w->out);
}

void linnet_ws_sent(linnet_ws *w, size_t n) {
    ln_buf_consume(&w->out, n < w->out.size ? n : w->out.size);
}
