#include "wire/http1.h"
#include "base/num.h"
#include "wire/url.h"
#include <assert.h>

/* ---- the two tables ---------------------------------------------------------------- */

const char *ln_http1_status_words(unsigned status) {
    switch (status) {
#define WORDS(code, words)                                                                         \
    case code: return words;
        LN_HTTP1_STATUSES(WORDS)
#undef WORDS
    default: return "";
    }
}

typedef struct fault_row {
    uint16_t status;
    const char *name, *words, *extra;
} fault_row;

static const fault_row fault_rows[] = { { 0, "NONE", "", "" },
#define ROW(name, status, words, extra) { status, #name, words, extra },
    LN_HTTP1_FAULTS(ROW)
#undef ROW
};

static const fault_row *row_of(ln_http1_fault fault) {
    assert((size_t)fault < sizeof(fault_rows) / sizeof(fault_rows[0]));
    return &fault_rows[fault];
}

unsigned ln_http1_fault_status(ln_http1_fault fault) {
    return row_of(fault)->status;
}
const char *ln_http1_fault_name(ln_http1_fault fault) {
    return row_of(fault)->name;
}
const char *ln_http1_fault_words(ln_http1_fault fault) {
    return row_of(fault)->words;
}
const char *ln_http1_fault_extra(ln_http1_fault fault) {
    return row_of(fault)->extra;
}

static const char *const method_names[] = { "", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS",
    "PATCH" };
#define METHOD_COUNT (sizeof(method_names) / sizeof(method_names[0]))

const char *ln_http1_method_name(ln_http1_method method) {
    assert((size_t)method < METHOD_COUNT);
    return method_names[method];
}

/* 0 for an unknown one. Methods are case-sensitive. */
static ln_http1_method method_of(ln_slice name) {
    for (size_t m = 1; m < METHOD_COUNT; m++) {
        if (ln_slice_eq(name, ln_slice_str(method_names[m]))) return (ln_http1_method)m;
    }
    return 0;
}

/* ---- bytes ------------------------------------------------------------------------- */

enum { TOKEN = 1, TARGET = 2, VALUE = 4 };

/* Which bytes may stand in a token, a request target, a field value: one digit a byte, whose
 * low three bits are the classes. A target is visible ASCII without '"', '#', '<', '>'; the
 * RFC has fewer, but browsers send the rest raw. */
static const char classes[256 + 1] = "0000000004000000" /* tab */
                                     "0000000000000000" /* */
                                     "4745777766776776" /* space ! " # $ % & ' ( ) * + , - . / */
                                     "7777777777664646" /* 0-9 : ; < = > ? */
                                     "6777777777777777" /* @ A-O */
                                     "7777777777766677" /* P-Z [ \ ] ^ _ */
                                     "7777777777777777" /* ` a-o */
                                     "7777777777767670" /* p-z { | } ~ DEL */
                                     "4444444444444444" /* obs-text */
                                     "4444444444444444"
                                     "4444444444444444"
                                     "4444444444444444"
                                     "4444444444444444"
                                     "4444444444444444"
                                     "4444444444444444"
                                     "4444444444444444";

static bool all(ln_slice s, uint8_t class) {
    for (size_t i = 0; i < s.size; i++) {
        if (!(classes[s.data[i]] & class)) return false;
    }
    return true;
}

bool ln_http1_is_token(ln_slice s) {
    return s.size > 0 && all(s, TOKEN);
}
bool ln_http1_is_value(ln_slice s) {
    return all(s, VALUE);
}
bool ln_http1_is_host(ln_slice s) {
    ln_url_host kind;
    ln_slice host;
    uint16_t port;
    return ln_url_authority(s, &kind, &host, &port);
}

/* ---- the machine ------------------------------------------------------------------- */

/* Where a head is being read:
 *
 *    METHOD TARGET VERSION LINE_LF | FIELD NAME BLANK VALUE VALUE_LF ... FIELD LAST_LF | END
 *    ANSWER CODE REASON    LINE_LF |
 *
 * The request line is looked at again as a whole at its end (line_done), the fields are
 * recorded as they pass when the head arrived in one piece. A head that came in pieces is
 * only checked until its end is there, and then walked once more to record: the buffer may
 * have moved in between, and two readers for one grammar would one day disagree. */
enum {
    METHOD = 0,
    ANSWER = 0, /* the first state of a response; which one it is, the caller knows */
    IN_TARGET,
    VERSION,
    CODE,
    REASON,
    LINE_LF,
    FIELD,
    NAME,
    BLANK,
    IN_VALUE,
    VALUE_LF,
    LAST_LF,
    END,
};

/* "HTTP/" DIGIT "." DIGIT, byte by byte. */
static bool version_byte(size_t i, uint8_t c) {
    if (i == 5 || i == 7) return c >= '0' && c <= '9';
    return c == (uint8_t) "HTTP/1.1"[i];
}

/* Advances over bytes of a class; returns the first other one's index. */
static size_t run_over(ln_slice in, size_t at, uint8_t class) {
    while (at < in.size && classes[in.data[at]] & class)
        at++;
    return at;
}

/* A request line has ended: the version first, because other protocols say so there. */
static ln_http1_fault request_line_done(const ln_http1_scan *s, ln_slice in, ln_http1_head *out) {
    const uint8_t *version = in.data + s->name_end + 1;
    if (version[5] != '1' || version[7] > '1') return LN_HTTP1_FAULT_VERSION;
    ln_http1_method method = method_of(ln_slice_sub(in, 0, s->name - 1));
    if (!method) return LN_HTTP1_FAULT_METHOD;
    if (!out) return LN_HTTP1_FAULT_NONE;

    out->minor = (uint8_t)(version[7] - '0');
    out->method = method;
    out->target = ln_slice_sub(in, s->name, s->name_end);
    return LN_HTTP1_FAULT_NONE;
}

static ln_http1_fault request_line(
    ln_http1_scan *s, uint32_t line_max, ln_slice in, ln_http1_head *out) {
    size_t i = s->seen;
    for (; i < in.size && s->state < FIELD; i++) {
        uint8_t c = in.data[i];
        if (i >= line_max && c != '\r' && s->state != LINE_LF) return LN_HTTP1_FAULT_LINE_LONG;
        switch (s->state) {
        case METHOD:
            if (classes[c] & TOKEN) break;
            if (c != ' ' || i == 0) return LN_HTTP1_FAULT_LINE;
            s->name = (uint32_t)i + 1;
            s->state = IN_TARGET;
            break;
        case IN_TARGET:
            if (classes[c] & TARGET) break;
            if (c == '\r' || c == '\n' || (c == ' ' && i == s->name)) return LN_HTTP1_FAULT_LINE;
            if (c != ' ') return LN_HTTP1_FAULT_TARGET;
            s->name_end = (uint32_t)i;
            s->state = VERSION;
            break;
        case VERSION:
            if (i - s->name_end <= 8) {
                if (!version_byte(i - s->name_end - 1, c)) return LN_HTTP1_FAULT_LINE;
                break;
            }
            if (c != '\r') return c == '\n' ? LN_HTTP1_FAULT_LINE_END : LN_HTTP1_FAULT_LINE;
            s->state = LINE_LF;
            break;
        default: /* LINE_LF */
            if (c != '\n') return LN_HTTP1_FAULT_LINE_END;
            s->state = FIELD;
        }
    }
    s->seen = (uint32_t)i;
    return s->state == FIELD ? request_line_done(s, in, out) : LN_HTTP1_FAULT_NONE;
}

/* "HTTP/1.1 200 OK". The space behind the code is required by the RFC and left out by
 * many servers when there are no words. */
static ln_http1_fault status_line(
    ln_http1_scan *s, uint32_t line_max, ln_slice in, ln_http1_head *out) {
    size_t i = s->seen;
    for (; i < in.size && s->state < FIELD; i++) {
        uint8_t c = in.data[i];
        if (i >= line_max && c != '\r' && s->state != LINE_LF) return LN_HTTP1_FAULT_LINE_LONG;
        switch (s->state) {
        case ANSWER:
            if (i < 8 ? !version_byte(i, c) : c != ' ') return LN_HTTP1_FAULT_LINE;
            if (i == 5 && c != '1') return LN_HTTP1_FAULT_VERSION;
            if (i == 7 && c > '1') return LN_HTTP1_FAULT_VERSION;
            if (i == 8) s->state = CODE;
            break;
        case CODE:
            if (i < 12) {
                if (c < (i == 9 ? '1' : '0') || c > (i == 9 ? '5' : '9'))
                    return LN_HTTP1_FAULT_LINE;
                break;
            }
            if (c != ' ' && c != '\r') return LN_HTTP1_FAULT_LINE;
            s->name = (uint32_t)i + (c == ' ');
            s->name_end = (uint32_t)i;
            s->state = c == ' ' ? REASON : LINE_LF;
            break;
        case REASON:
            if (classes[c] & VALUE) break;
            if (c != '\r') return c == '\n' ? LN_HTTP1_FAULT_LINE_END : LN_HTTP1_FAULT_BYTE;
            s->name_end = (uint32_t)i;
            s->state = LINE_LF;
            break;
        default: /* LINE_LF */
            if (c != '\n') return LN_HTTP1_FAULT_LINE_END;
            s->state = FIELD;
        }
    }
    s->seen = (uint32_t)i;
    if (s->state != FIELD || !out) return LN_HTTP1_FAULT_NONE;

    const uint8_t *d = in.data + 9;
    out->minor = (uint8_t)(in.data[7] - '0');
    out->status = (uint16_t)((d[0] - '0') * 100 + (d[1] - '0') * 10 + (d[2] - '0'));
    out->reason = ln_slice_sub(in, s->name, s->name_end);
    return LN_HTTP1_FAULT_NONE;
}

static void record(const ln_http1_scan *s, ln_slice in, size_t end, ln_http1_head *out) {
    while (end > s->value && (in.data[end - 1] == ' ' || in.data[end - 1] == '\t'))
        end--;
    out->fields[out->count++] = (ln_http1_field){
        ln_slice_sub(in, s->name, s->name_end),
        ln_slice_sub(in, s->value, end),
    };
}

/* Header or trailer lines and the empty line behind them. `in` is all that is there of
 * the head; with out NULL it may as well be a piece of a trailer, read from *at. */
static ln_http1_fault field_lines(
    ln_http1_scan *s, uint32_t fields_max, ln_slice in, size_t *at, ln_http1_head *out) {
    size_t i = *at;
    while (i < in.size && s->state != END) {
        uint8_t c = in.data[i];
        switch (s->state) {
        case FIELD:
            if (c == ' ' || c == '\t') return LN_HTTP1_FAULT_FOLD;
            if (c == '\n') return LN_HTTP1_FAULT_LINE_END;
            if (c == '\r') {
                s->state = LAST_LF;
                i++;
                break;
            }
            if (!(classes[c] & TOKEN)) return LN_HTTP1_FAULT_NAME;
            if (s->fields == fields_max) return LN_HTTP1_FAULT_FIELDS;
            s->name = (uint32_t)i;
            s->state = NAME;
            break;
        case NAME:
            i = run_over(in, i, TOKEN);
            if (i == in.size) break;
            if (in.data[i] != ':') return LN_HTTP1_FAULT_NAME;
            s->name_end = (uint32_t)i++;
            s->state = BLANK;
            break;
        case BLANK:
            if (c == ' ' || c == '\t') {
                i++;
                break;
            }
            s->value = (uint32_t)i;
            s->state = IN_VALUE;
            break;
        case IN_VALUE:
            i = run_over(in, i, VALUE);
            if (i == in.size) break;
            if (in.data[i] == '\n') return LN_HTTP1_FAULT_LINE_END;
            if (in.data[i] != '\r') return LN_HTTP1_FAULT_BYTE;
            if (out) record(s, in, i, out);
            i++;
            s->state = VALUE_LF;
            break;
        case VALUE_LF:
            if (c != '\n') return LN_HTTP1_FAULT_LINE_END;
            i++;
            s->fields++;
            s->state = FIELD;
            break;
        default: /* LAST_LF */
            if (c != '\n') return LN_HTTP1_FAULT_LINE_END;
            i++;
            s->state = END;
        }
    }
    *at = i;
    return LN_HTTP1_FAULT_NONE;
}

typedef ln_http1_fault line_fn(ln_http1_scan *, uint32_t, ln_slice, ln_http1_head *);

/* Goes on from where the scan stands; records into out unless it is NULL. */
static ln_http1_fault advance(ln_http1_scan *s, const ln_http1_limits *limits, line_fn *line,
    ln_slice in, ln_http1_head *out) {
    bool long_enough = in.size >= limits->head_max;
    if (long_enough) in.size = limits->head_max;
    ln_http1_fault fault = LN_HTTP1_FAULT_NONE;
    if (s->state < FIELD) fault = line(s, limits->line_max, in, out);
    if (!fault && s->state >= FIELD) {
        size_t at = s->seen;
        fault = field_lines(s, limits->fields_max, in, &at, out);
        s->seen = (uint32_t)at;
    }
    if (!fault && long_enough && s->state != END) fault = LN_HTTP1_FAULT_HEAD_LONG;
    return fault;
}

typedef ln_http1_fault judge_fn(ln_http1_head *);

static int read_head(ln_http1_scan *s, const ln_http1_limits *limits, line_fn *line,
    judge_fn *judge, ln_slice in, ln_http1_head *out) {
    assert(limits->fields_max <= LN_HTTP1_FIELDS_MAX);
    assert(s->seen <= in.size);
    bool resumed = s->seen > 0;
    out->count = 0;
    ln_http1_fault fault = advance(s, limits, line, in, resumed ? NULL : out);
    if (!fault && s->state != END) return LN_MORE;
#if !defined(LN_PLANT) || LN_PLANT != 4 /* fuzz/plants */
    if (!fault && resumed) {
        *s = (ln_http1_scan){ 0 };
        fault = advance(s, limits, line, in, out);
    }
#endif
    if (!fault) {
        out->size = s->seen;
        fault = judge(out);
    }
    *s = (ln_http1_scan){ .fault = (uint8_t)fault };
    return fault ? LINNET_ERR_HTTP : LN_DONE;
}

/* ---- what a head means ------------------------------------------------------------- */

/* The fields that decide about framing and routing, gathered in one walk. */
typedef struct essentials {
    ln_slice host, length, expect;
    uint32_t hosts, lengths, expects;
    bool coded, close, keep_alive;
} essentials;

static bool named(const ln_http1_field *f, const char *name) {
    return ln_slice_eq_ci(f->name, ln_slice_of(name, f->name.size));
}

/* The next non-empty element of a comma-separated list. */
static bool next_element(ln_slice *rest, ln_slice *item) {
    while (ln_slice_cut(rest, ',', item)) {
        *item = ln_slice_trim(*item);
        if (item->size) return true;
    }
    return false;
}

static void gather_connection(ln_slice value, essentials *e) {
    ln_slice item;
    while (next_element(&value, &item)) {
        e->close |= ln_slice_eq_ci(item, LN_SLICE("close"));
        e->keep_alive |= ln_slice_eq_ci(item, LN_SLICE("keep-alive"));
    }
}

static void gather(const ln_http1_head *h, essentials *e) {
    *e = (essentials){ 0 };
    for (uint32_t i = 0; i < h->count; i++) {
        const ln_http1_field *f = &h->fields[i];
        switch (f->name.size) {
        case 4:
            if (!named(f, "host")) break;
            e->host = f->value;
            e->hosts++;
            break;
        case 6:
            if (!named(f, "expect")) break;
            e->expect = f->value;
            e->expects++;
            break;
        case 10:
            if (named(f, "connection")) gather_connection(f->value, e);
            break;
        case 14:
            if (!named(f, "content-length")) break;
            e->length = f->value;
            e->lengths++;
            break;
        case 17: e->coded |= named(f, "transfer-encoding"); break;
        }
    }
}

/* Exactly one coding, and that "chunked": others get 501 (RFC 9112 6.1), and twice or none
 * at all is nonsense. */
static ln_http1_fault judge_coding(const ln_http1_head *h) {
    ln_http1_list list = ln_http1_list_of(h, LN_SLICE("transfer-encoding"));
    ln_slice item;
    unsigned chunked = 0;
    while (ln_http1_list_next(&list, &item)) {
        if (!ln_slice_eq_ci(item, LN_SLICE("chunked"))) return LN_HTTP1_FAULT_CODING_UNKNOWN;
        chunked++;
    }
    return chunked == 1 ? LN_HTTP1_FAULT_NONE : LN_HTTP1_FAULT_CODING;
}

static ln_http1_fault judge_body(const essentials *e, ln_http1_head *h) {
    h->body = LN_HTTP1_BODY_NONE;
    h->length = 0;
    h->keep_alive = !e->close && (h->minor == 1 || e->keep_alive);
    if (e->coded) {
        if (e->lengths) return LN_HTTP1_FAULT_FRAMING;
        if (h->minor == 0) return LN_HTTP1_FAULT_CODING;
        h->body = LN_HTTP1_BODY_CHUNKED;
        return judge_coding(h);
    }
    if (e->lengths == 0) return LN_HTTP1_FAULT_NONE;
    if (e->lengths > 1 || !ln_num_u64(e->length, INT64_MAX, &h->length)) {
        return LN_HTTP1_FAULT_LENGTH;
    }
    if (h->length) h->body = LN_HTTP1_BODY_LENGTH;
    return LN_HTTP1_FAULT_NONE;
}

/* Takes "http://authority" off an absolute target. False when it is none. */
static bool cut_authority(ln_slice *target, ln_slice *authority) {
    static const ln_slice schemes[] = { LN_SLICE_INIT("http://"), LN_SLICE_INIT("https://") };
    for (size_t i = 0; i < 2; i++) {
        size_t n = schemes[i].size;
        if (target->size < n) continue;
        if (!ln_slice_eq_ci(ln_slice_sub(*target, 0, n), schemes[i])) continue;
        ln_slice_skip(target, n);
        size_t end = 0;
        while (end < target->size && target->data[end] != '/' && target->data[end] != '?')
            end++;
        *authority = ln_slice_sub(*target, 0, end);
        ln_slice_skip(target, end);
        return true;
    }
    return false;
}

static ln_http1_fault judge_target(ln_http1_head *h) {
    ln_slice rest = h->target, authority;
    h->query = (ln_slice){ 0 };
    if (h->method == LN_HTTP1_OPTIONS && ln_slice_eq(rest, LN_SLICE("*"))) {
        h->path = rest;
        return LN_HTTP1_FAULT_NONE;
    }
    if (cut_authority(&rest, &authority)) {
        if (!ln_http1_is_host(authority)) return LN_HTTP1_FAULT_TARGET;
        if (!ln_slice_eq_ci(authority, h->host)) return LN_HTTP1_FAULT_HOST_DIFFERS;
    } else if (rest.data[0] != '/') {
        return LN_HTTP1_FAULT_TARGET;
    }

    size_t mark = ln_slice_find(rest, '?');
    h->path = mark == SIZE_MAX ? rest : ln_slice_sub(rest, 0, mark);
    if (mark != SIZE_MAX) h->query = ln_slice_sub(rest, mark + 1, rest.size);
    if (h->path.size == 0) h->path = LN_SLICE("/"); /* "http://host" */
    if (!ln_target_path_ok(h->path)) return LN_HTTP1_FAULT_PATH;
    return ln_target_query_ok(h->query) ? LN_HTTP1_FAULT_NONE : LN_HTTP1_FAULT_QUERY;
}

static ln_http1_fault judge_request(ln_http1_head *h) {
    essentials e;
    gather(h, &e);
    h->status = 0;
    h->reason = (ln_slice){ 0 };
    h->host = e.host;
    if (e.hosts > 1 || (e.hosts == 0 && h->minor == 1)) return LN_HTTP1_FAULT_HOST;
    if (e.hosts && !ln_http1_is_host(e.host)) return LN_HTTP1_FAULT_HOST;
    ln_http1_fault fault = judge_target(h);
    if (!fault) fault = judge_body(&e, h);
    if (fault) return fault;

    /* RFC 9110 10.1.1: in HTTP/1.0 the expectation is to be ignored. */
    h->expect_continue = e.expects == 1 && h->minor == 1 && h->body != LN_HTTP1_BODY_NONE;
    if (e.expects > 1) return LN_HTTP1_FAULT_EXPECT;
    if (e.expects && !ln_slice_eq_ci(e.expect, LN_SLICE("100-continue")))
        return LN_HTTP1_FAULT_EXPECT;
    return LN_HTTP1_FAULT_NONE;
}

static ln_http1_fault judge_response(ln_http1_head *h) {
    essentials e;
    gather(h, &e);
    h->method = 0;
    h->target = h->path = h->query = h->host = (ln_slice){ 0 };
    h->expect_continue = false;
    ln_http1_fault fault = judge_body(&e, h);
    if (fault) return fault;
    if (h->status < 200 || h->status == 204 || h->status == 304) {
        h->body = LN_HTTP1_BODY_NONE;
        h->length = 0;
    } else if (!e.coded && !e.lengths) {
        h->body = LN_HTTP1_BODY_CLOSE;
        h->keep_alive = false;
    }
    return LN_HTTP1_FAULT_NONE;
}

int ln_http1_request(
    ln_http1_scan *scan, const ln_http1_limits *limits, ln_slice in, ln_http1_head *out) {
    return read_head(scan, limits, request_line, judge_request, in, out);
}

int ln_http1_response(
    ln_http1_scan *scan, const ln_http1_limits *limits, ln_slice in, ln_http1_head *out) {
    return read_head(scan, limits, status_line, judge_response, in, out);
}

int ln_http1_trailer(ln_http1_scan *scan, ln_slice *in) {
    if (scan->state < FIELD) scan->state = FIELD;
    ln_slice piece = *in;
    if (piece.size > LN_HTTP1_TRAILER_MAX - scan->seen)
        piece.size = LN_HTTP1_TRAILER_MAX - scan->seen;
    size_t at = 0;
    ln_http1_fault fault = field_lines(scan, LN_HTTP1_FIELDS_MAX, piece, &at, NULL);
    scan->seen += (uint32_t)at;
    ln_slice_skip(in, at);
    if (!fault && scan->state == END) return LN_DONE;
    if (!fault && scan->seen < LN_HTTP1_TRAILER_MAX) return LN_MORE;
    scan->fault = LN_HTTP1_FAULT_TRAILER;
    return LINNET_ERR_HTTP;
}

/* ---- fields ------------------------------------------------------------------------ */

size_t ln_http1_find(const ln_http1_head *head, ln_slice name, ln_slice *value) {
    size_t found = 0;
    for (uint32_t i = 0; i < head->count; i++) {
        if (!ln_slice_eq_ci(head->fields[i].name, name)) continue;
        if (found++ == 0 && value) *value = head->fields[i].value;
    }
    return found;
}

ln_http1_list ln_http1_list_of(const ln_http1_head *head, ln_slice name) {
    return (ln_http1_list){ .head = head, .name = name };
}

bool ln_http1_list_next(ln_http1_list *list, ln_slice *item) {
    while (!next_element(&list->rest, item)) {
        while (list->next < list->head->count &&
               !ln_slice_eq_ci(list->head->fields[list->next].name, list->name))
            list->next++;
        if (list->next == list->head->count) return false;
        list->rest = list->head->fields[list->next++].value;
    }
    return true;
}

bool ln_http1_has_token(const ln_http1_head *head, ln_slice name, ln_slice token) {
    ln_http1_list list = ln_http1_list_of(head, name);
    ln_slice item;
    while (ln_http1_list_next(&list, &item)) {
        if (ln_slice_eq_ci(item, token)) return true;
    }
    return false;
}

/* ---- writing a head ---------------------------------------------------------------- */

ln_http1_writer ln_http1_lines(ln_buf *out) {
    return (ln_http1_writer){ .out = out, .start = out->size, .err = LINNET_OK };
}

void ln_http1_fail(ln_http1_writer *w, int err) {
    if (w->err == LINNET_OK && err < 0) w->err = err;
}

void ln_http1_put_raw(ln_http1_writer *w, ln_slice bytes) {
    if (w->err == LINNET_OK) ln_http1_fail(w, ln_buf_add(w->out, bytes));
}

/* Takes everything back after an error. */
static int ended(ln_http1_writer *w) {
    if (w->err < 0) w->out->size = w->start;
    return w->err;
}

ln_http1_writer ln_http1_answer(ln_buf *out, unsigned status) {
    ln_http1_writer w = ln_http1_lines(out);
    if (status < 100 || status > 599) {
        ln_http1_fail(&w, LINNET_ERR_INVAL);
        return w;
    }
    char line[] = "HTTP/1.1 000 ";
    line[9] = (char)('0' + status / 100);
    line[10] = (char)('0' + status / 10 % 10);
    line[11] = (char)('0' + status % 10);
    ln_http1_put_raw(&w, ln_slice_str(line));
    ln_http1_put_raw(&w, ln_slice_str(ln_http1_status_words(status)));
    ln_http1_put_raw(&w, LN_SLICE("\r\n"));
    return w;
}

ln_http1_writer ln_http1_ask(ln_buf *out, ln_http1_method method, ln_slice target) {
    ln_http1_writer w = ln_http1_lines(out);
    if (!method || target.size == 0 || !all(target, TARGET)) ln_http1_fail(&w, LINNET_ERR_INVAL);
    ln_http1_put_raw(&w, ln_slice_str(ln_http1_method_name(method)));
    ln_http1_put_raw(&w, LN_SLICE(" "));
    ln_http1_put_raw(&w, target);
    ln_http1_put_raw(&w, LN_SLICE(" HTTP/1.1\r\n"));
    return w;
}

void ln_http1_put(ln_http1_writer *w, ln_slice name, ln_slice value) {
    if (!ln_http1_is_token(name) || !ln_http1_is_value(value)) ln_http1_fail(w, LINNET_ERR_INVAL);
    ln_http1_put_raw(w, name);
    ln_http1_put_raw(w, LN_SLICE(": "));
    ln_http1_put_raw(w, value);
    ln_http1_put_raw(w, LN_SLICE("\r\n"));
}

void ln_http1_put_u64(ln_http1_writer *w, ln_slice name, uint64_t value) {
    char digits[20];
    ln_http1_put(w, name, ln_slice_of(digits, ln_num_put(value, digits)));
}

int ln_http1_finish(ln_http1_writer *w) {
    ln_http1_put_raw(w, LN_SLICE("\r\n"));
    return ended(w);
}

int ln_http1_refuse(ln_buf *out, ln_http1_fault fault) {
    assert(fault != LN_HTTP1_FAULT_NONE);
    const fault_row *row = row_of(fault);
    ln_slice words = ln_slice_str(row->words);
    bool upgrade = row->status == 426; /* RFC 9110 7.8: Upgrade is named in Connection */
    ln_http1_writer w = ln_http1_answer(out, row->status);
    ln_http1_put_raw(&w, ln_slice_str(row->extra));
    ln_http1_put(
        &w, LN_SLICE("Connection"), upgrade ? LN_SLICE("close, Upgrade") : LN_SLICE("close"));
    ln_http1_put(&w, LN_SLICE("Content-Type"), LN_SLICE("text/plain; charset=utf-8"));
    ln_http1_put_u64(&w, LN_SLICE("Content-Length"), words.size + 1);
    ln_http1_put_raw(&w, LN_SLICE("\r\n"));
    ln_http1_put_raw(&w, words);
    ln_http1_put_raw(&w, LN_SLICE("\n"));
    return ended(&w);
}
