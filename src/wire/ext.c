#include "wire/ext.h"
#include "base/num.h"
#include <assert.h>

#define BITS_MIN 8
#define BITS_MAX 15

/* ---- the grammar ------------------------------------------------------------------- */

/* extension-list = extension *( "," extension )
 * extension      = token *( ";" token [ "=" ( token / quoted-string ) ] )
 *
 * with spaces and tabs allowed between the pieces (RFC 6455 9.1 and 2.1); a quoted string,
 * unescaped, has to be a token as well. Each function takes its piece off the front. */

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

static void skip_blank(ln_slice *s) {
    while (s->size && is_blank(s->data[0]))
        ln_slice_skip(s, 1);
}

/* Skips blanks, then the byte if it is there. */
static bool take_byte(ln_slice *s, uint8_t byte) {
    skip_blank(s);
    if (s->size == 0 || s->data[0] != byte) return false;
    ln_slice_skip(s, 1);
    return true;
}

static size_t token_size(ln_slice s) {
    size_t n = 0;
    while (n < s.size && ln_http1_is_token(ln_slice_sub(s, n, n + 1)))
        n++;
    return n;
}

static bool take_token(ln_slice *s, ln_slice *token) {
    skip_blank(s);
    size_t n = token_size(*s);
    *token = ln_slice_sub(*s, 0, n);
    ln_slice_skip(s, n);
    return n > 0;
}

/* What stands behind an opening quote, up to the closing one; still escaped. */
static bool take_quoted(ln_slice *s, ln_slice *raw) {
    for (size_t i = 0; i < s->size; i++) {
        if (s->data[i] == '"') {
            *raw = ln_slice_sub(*s, 0, i);
            ln_slice_skip(s, i + 1);
            return i > 0;
        }
        if (s->data[i] == '\\' && ++i == s->size) return false;
        if (!ln_http1_is_token(ln_slice_sub(*s, i, i + 1))) return false;
    }
    return false;
}

typedef struct param {
    ln_slice name, value; /* value still escaped; data NULL when there is none */
} param;

static bool take_param(ln_slice *s, param *p) {
    *p = (param){ 0 };
    if (!take_token(s, &p->name)) return false;
    if (!take_byte(s, '=')) return true;
    if (take_byte(s, '"')) return take_quoted(s, &p->value);
    return take_token(s, &p->value);
}

/* ---- one extension ----------------------------------------------------------------- */

/* One element of the list, read as a permessage-deflate. */
typedef struct offer {
    bool known;                    /* it is one, and all its parameters are allowed, each once */
    ln_pmd_params p;               /* as named; bits 0: not named, or without a value */
    bool server_bits, client_bits; /* named */
} offer;

/* 8..15 without leading zero, or 0. */
static uint8_t bits_of(ln_slice raw) {
    uint8_t text[3];
    size_t n = 0;
    uint64_t value;
    for (size_t i = 0; i < raw.size && n < sizeof(text); i++) {
        if (raw.data[i] == '\\') i++; /* take_quoted() saw that something follows */
        text[n++] = raw.data[i];
    }
    if (!ln_num_u64(ln_slice_of(text, n), BITS_MAX, &value) || value < BITS_MIN) return 0;
    return (uint8_t)value;
}

static bool set_flag(bool *flag, const param *p) {
    bool ok = !*flag && !p->value.data;
    *flag = true;
    return ok;
}

/* False: unknown, a second time, or with a value that it must not have. */
static bool apply(offer *o, const param *p) {
    if (ln_slice_eq(p->name, LN_SLICE("server_no_context_takeover"))) {
        return set_flag(&o->p.server_no_takeover, p);
    }
    if (ln_slice_eq(p->name, LN_SLICE("client_no_context_takeover"))) {
        return set_flag(&o->p.client_no_takeover, p);
    }
    if (ln_slice_eq(p->name, LN_SLICE("server_max_window_bits"))) {
        bool first = !o->server_bits;
        o->server_bits = true;
        o->p.server_bits = bits_of(p->value);
        return first && o->p.server_bits;
    }
    if (ln_slice_eq(p->name, LN_SLICE("client_max_window_bits"))) {
        bool first = !o->client_bits;
        o->client_bits = true;
        o->p.client_bits = bits_of(p->value);
        return first && (!p->value.data || o->p.client_bits);
    }
    return false;
}

/* False: not in the grammar. */
static bool take_offer(ln_slice *s, offer *o) {
    ln_slice name;
    param p;
    *o = (offer){ 0 };
    if (!take_token(s, &name)) return false;
    o->known = ln_slice_eq(name, LN_SLICE("permessage-deflate"));
    while (take_byte(s, ';')) {
        if (!take_param(s, &p)) return false;
        o->known = o->known && apply(o, &p);
    }
    return true;
}

/* All elements of all fields of the name, in order. */
typedef struct walk {
    const ln_http1_head *head;
    ln_slice rest;
    uint32_t next;
    bool inside; /* rest has another element to give */
} walk;

static const ln_slice field_name = LN_SLICE_INIT("Sec-WebSocket-Extensions");

/* 1: *o is filled; 0: no more; LINNET_ERR_HTTP: not in the grammar. */
static int next_offer(walk *w, offer *o) {
    while (!w->inside) {
        if (w->next == w->head->count) return 0;
        const ln_http1_field *f = &w->head->fields[w->next++];
        w->inside = ln_slice_eq_ci(f->name, field_name);
        w->rest = f->value;
    }
    if (!take_offer(&w->rest, o)) return LINNET_ERR_HTTP;
    w->inside = take_byte(&w->rest, ',');
    return w->inside || w->rest.size == 0 ? 1 : LINNET_ERR_HTTP;
}

bool ln_ext_ok(const ln_http1_head *head) {
    walk w = { .head = head };
    offer o;
    int more;
    while ((more = next_offer(&w, &o)) > 0)
        ;
    return more == 0;
}

/* ---- texts ------------------------------------------------------------------------- */

static void put(ln_pmd_text *text, const char *words) {
    size_t n = strlen(words);
    assert(text->size + n < LN_PMD_TEXT_MAX);
    memcpy(text->data + text->size, words, n + 1);
    text->size = (uint8_t)(text->size + n);
}

static void put_bits(ln_pmd_text *text, const char *name, uint8_t bits) {
    char digits[21] = "";
    ln_num_put(bits, digits);
    put(text, name);
    put(text, "=");
    put(text, digits);
}

static void put_flags(ln_pmd_text *text, bool server_no_takeover, bool client_no_takeover) {
    *text = (ln_pmd_text){ 0 };
    put(text, "permessage-deflate");
    if (server_no_takeover) put(text, "; server_no_context_takeover");
    if (client_no_takeover) put(text, "; client_no_context_takeover");
}

/* ---- server ------------------------------------------------------------------------ */

static uint8_t lesser(uint8_t a, uint8_t b) {
    return a < b ? a : b;
}

static void check_policy(const ln_pmd_policy *p) {
    assert(p->server_bits_max > BITS_MIN && p->server_bits_max <= BITS_MAX);
    assert(p->client_bits_max > BITS_MIN && p->client_bits_max <= BITS_MAX);
}

/* zlib's deflate takes a raw window of 8 for an error (and elsewhere silently makes it 9,
 * which the peer's window of 8 could not follow). */
static bool acceptable(const offer *o) {
    return o->known && !(o->server_bits && o->p.server_bits == BITS_MIN);
}

/* We name the window of our own only when asked, because some clients stumble over what they
 * did not offer. */
static void agree(
    const ln_pmd_policy *policy, const offer *o, ln_pmd_params *params, ln_pmd_text *answer) {
    uint8_t client_bits = o->p.client_bits ? o->p.client_bits : BITS_MAX;
    *params = (ln_pmd_params){
        .server_no_takeover = o->p.server_no_takeover || !policy->server_takeover,
        .client_no_takeover = o->p.client_no_takeover || !policy->client_takeover,
        .server_bits = lesser(
            policy->server_bits_max, o->server_bits ? o->p.server_bits : BITS_MAX),
        .client_bits = o->client_bits ? lesser(policy->client_bits_max, client_bits) : BITS_MAX,
    };
    put_flags(answer, params->server_no_takeover, params->client_no_takeover);
    if (o->server_bits) put_bits(answer, "; server_max_window_bits", params->server_bits);
    if (params->client_bits < BITS_MAX)
        put_bits(answer, "; client_max_window_bits", params->client_bits);
}

int ln_pmd_accept(const ln_pmd_policy *policy, const ln_http1_head *request, ln_pmd_params *params,
    ln_pmd_text *answer) {
    walk w = { .head = request };
    offer o, chosen = { 0 };
    int more;
    while ((more = next_offer(&w, &o)) > 0) {
        if (!chosen.known && acceptable(&o)) chosen = o;
    }
    if (more < 0) return more;
    if (!policy->enabled || !chosen.known) return 0;
    check_policy(policy);
    agree(policy, &chosen, params, answer);
    return 1;
}

/* ---- client ------------------------------------------------------------------------ */

void ln_pmd_offer(const ln_pmd_policy *policy, ln_pmd_text *text) {
    *text = (ln_pmd_text){ 0 };
    if (!policy->enabled) return;
    check_policy(policy);
    put_flags(text, !policy->server_takeover, !policy->client_takeover);
    if (policy->server_bits_max < BITS_MAX)
        put_bits(text, "; server_max_window_bits", policy->server_bits_max);
    if (policy->client_bits_max < BITS_MAX)
        put_bits(text, "; client_max_window_bits", policy->client_bits_max);
    else
        put(text, "; client_max_window_bits");
}

/* Whether an answer keeps to what ln_pmd_offer() asked. */
static bool keeps_to(const ln_pmd_policy *policy, const offer *o) {
    if (!policy->enabled || !o->known) return false;
    if (!policy->server_takeover && !o->p.server_no_takeover) return false;
    if (policy->server_bits_max < BITS_MAX && !o->server_bits) return false;
    if (o->server_bits && o->p.server_bits > policy->server_bits_max) return false;
    if (!o->client_bits) return true;
    return o->p.client_bits > BITS_MIN && o->p.client_bits <= policy->client_bits_max;
}

int ln_pmd_verify(
    const ln_pmd_policy *policy, const ln_http1_head *response, ln_pmd_params *params) {
    walk w = { .head = response };
    offer o, second;
    if (ln_http1_find(response, field_name, NULL) > 1 || !ln_ext_ok(response))
        return LINNET_ERR_UPGRADE_HEADER;
    if (next_offer(&w, &o) == 0) return 0;
    if (!keeps_to(policy, &o) || next_offer(&w, &second) > 0) return LINNET_ERR_UPGRADE_EXTENSION;
    *params = (ln_pmd_params){
        .server_no_takeover = o.p.server_no_takeover,
        .client_no_takeover = o.p.client_no_takeover || !policy->client_takeover,
        .server_bits = o.server_bits ? o.p.server_bits : BITS_MAX,
        .client_bits = o.client_bits ? o.p.client_bits : policy->client_bits_max,
    };
    return 1;
}
