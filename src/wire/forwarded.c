#include "wire/forwarded.h"
#include "base/num.h"

#define HOPS 32 /* the nearest; who stands behind so many proxies that are all ours? */

typedef struct hop {
    ln_slice who, scheme, host;
} hop;

typedef struct trail { /* the last HOPS of them */
    hop hops[HOPS];
    size_t count;
} trail;

static hop *hop_add(trail *t) {
    hop *h = &t->hops[t->count++ % HOPS];
    *h = (hop){ .who = { NULL, 0 } };
    return h;
}

/* From the right: 0 is the last. NULL: there are not so many. */
static const hop *hop_at(const trail *t, size_t back) {
    if (back >= t->count || back >= HOPS) return NULL;
    return &t->hops[(t->count - 1 - back) % HOPS];
}

/* ---- Forwarded --------------------------------------------------------------------------- */

/* token, or a quoted string without its quotes. One with a backslash in it is refused: neither an
 * address nor a host needs one. */
static bool value_of(ln_slice *in, ln_slice *out) {
    size_t n = 0;
    if (in->size && in->data[0] == '"') {
        ln_slice_skip(in, 1);
        n = ln_slice_find(*in, '"');
        if (n == SIZE_MAX) return false;
        *out = ln_slice_sub(*in, 0, n);
        ln_slice_skip(in, n + 1);
        return ln_slice_find(*out, '\\') == SIZE_MAX;
    }
    while (n < in->size && ln_http1_is_token(ln_slice_sub(*in, n, n + 1)))
        n++;
    *out = ln_slice_sub(*in, 0, n);
    ln_slice_skip(in, n);
    return n > 0;
}

static bool pair(ln_slice *in, hop *h) {
    size_t equals = ln_slice_find(*in, '=');
    if (equals == SIZE_MAX) return false;
    ln_slice name = ln_slice_sub(*in, 0, equals), value;
    ln_slice_skip(in, equals + 1);
    if (!ln_http1_is_token(name) || !value_of(in, &value)) return false;
    ln_slice *to = ln_slice_eq_ci(name, LN_SLICE("for"))     ? &h->who
                   : ln_slice_eq_ci(name, LN_SLICE("proto")) ? &h->scheme
                   : ln_slice_eq_ci(name, LN_SLICE("host"))  ? &h->host
                                                             : NULL;
    if (to && to->data) return false; /* each at most once, RFC 7239 section 4 */
    if (to) *to = value;
    return true;
}

/* a=1;b="2" , c=3 */
static bool rfc_field(ln_slice in, trail *t) {
    hop *h = hop_add(t);
    for (in = ln_slice_trim(in); in.size;) {
        if (!pair(&in, h)) return false;
        in = ln_slice_trim(in);
        if (!in.size) return true;
        uint8_t mark = in.data[0];
        if (mark != ';' && mark != ',') return false;
        ln_slice_skip(&in, 1);
        in = ln_slice_trim(in);
        if (mark == ',') h = hop_add(t);
    }
    return false; /* empty, or something is missing behind the last mark */
}

static bool rfc_trail(const ln_http1_head *head, trail *t) {
    for (uint32_t i = 0; i < head->count; i++) {
        if (!ln_slice_eq_ci(head->fields[i].name, LN_SLICE("Forwarded"))) continue;
        if (!rfc_field(head->fields[i].value, t)) return false;
    }
    return true;
}

/* ---- X-Forwarded-* ------------------------------------------------------------------------ */

static void x_trail(const ln_http1_head *head, trail *t) {
    ln_http1_list l = ln_http1_list_of(head, LN_SLICE("X-Forwarded-For"));
    for (ln_slice item; ln_http1_list_next(&l, &item);)
        hop_add(t)->who = item;
}

/* The element of a list that belongs to a hop, counted from the right; of one element, that. */
static ln_slice x_beside(const ln_http1_head *head, ln_slice name, size_t back) {
    ln_slice item;
    size_t count = 0;
    ln_http1_list l = ln_http1_list_of(head, name);
    while (ln_http1_list_next(&l, &item))
        count++;
    if (count == 1) back = 0;
    if (back >= count) return ln_slice_of(NULL, 0);
    l = ln_http1_list_of(head, name);
    for (size_t i = 0; i < count - back; i++)
        ln_http1_list_next(&l, &item);
    return item;
}

/* ---- the walk ----------------------------------------------------------------------------- */

/* An address, with a port or not: "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80".
 */
static bool node_of(ln_slice text, ln_ip *out) {
    uint64_t port;
    size_t colon = ln_slice_find(text, ':');
    if (text.size && text.data[0] == '[') {
        size_t end = ln_slice_find(text, ']');
        if (end == SIZE_MAX) return false;
        ln_slice behind = ln_slice_sub(text, end + 1, text.size);
        if (behind.size && (behind.data[0] != ':' ||
                               !ln_num_u64(ln_slice_sub(behind, 1, behind.size), 65535, &port)))
            return false;
        text = ln_slice_sub(text, 1, end);
        return ln_slice_find(text, ':') != SIZE_MAX && ln_ip_parse(text, out);
    }
    bool one_colon = colon != SIZE_MAX &&
                     ln_slice_find(ln_slice_sub(text, colon + 1, text.size), ':') == SIZE_MAX;
    if (one_colon) {
        if (!ln_num_u64(ln_slice_sub(text, colon + 1, text.size), 65535, &port)) return false;
        text = ln_slice_sub(text, 0, colon);
    }
    return ln_ip_parse(text, out);
}

/* Returns how far the walk came. */
static size_t walk(const trail *t, const ln_cidr *trusted, size_t count, ln_forwarded *out) {
    size_t back = 0;
    for (const hop *h; (h = hop_at(t, back)); back++) {
        ln_ip ip;
        if (!node_of(h->who, &ip)) break;
        out->ip = ip;
        out->known = true;
        if (!ln_cidrs_have(trusted, count, &ip)) return back;
    }
    return back ? back - 1 : 0;
}

static void tell(ln_forwarded *out, ln_slice scheme, ln_slice host) {
    out->tls = ln_slice_eq_ci(scheme, LN_SLICE("https")) || ln_slice_eq_ci(scheme, LN_SLICE("wss"));
    out->told_tls = out->tls || ln_slice_eq_ci(scheme, LN_SLICE("http")) ||
                    ln_slice_eq_ci(scheme, LN_SLICE("ws"));
    if (host.size && ln_http1_is_host(host)) out->host = host;
}

void ln_forwarded_read(const ln_http1_head *head, ln_forwarded_by by, const ln_cidr *trusted,
    size_t count, ln_forwarded *out) {
    trail t;
    size_t back = 0;
    *out = (ln_forwarded){ .known = false };
    t.count = 0;
    if (by == LN_FORWARDED_RFC) {
        if (!rfc_trail(head, &t)) return;
        const hop *h = hop_at(&t, walk(&t, trusted, count, out));
        if (h) tell(out, h->scheme, h->host);
        return;
    }
    ln_slice alone;
    if (by == LN_FORWARDED_X_FOR) {
        x_trail(head, &t);
        back = walk(&t, trusted, count, out);
    } else if (ln_http1_find(head, LN_SLICE("X-Real-IP"), &alone) == 1) {
        out->known = ln_ip_parse(alone, &out->ip);
    }
    tell(out, x_beside(head, LN_SLICE("X-Forwarded-Proto"), back),
        x_beside(head, LN_SLICE("X-Forwarded-Host"), back));
}
