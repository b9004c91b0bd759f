/* doctor_url.c -- the way to a server, one step after the other, each on a connection of its own
 * where it needs one. By hand, and not by the library's client, because the question is what comes
 * back that the client would refuse.
 */
#include "base/num.h"
#include "base/utf8.h"
#include "cli/doctor.h"
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX  8192
#define FRAME_MAX 65536
#define DAY       86400

typedef struct line { /* a connection */
    int fd;
    SSL *ssl; /* NULL: plain */
    size_t size;
    char text[HEAD_MAX + FRAME_MAX]; /* what has come */
} line;

typedef struct trip {
    ln_doctor *d;
    const ln_doctor_way *way;
    ln_doctor_target to;
    struct addrinfo *found;
    SSL_CTX *tls;
    line l;
} trip;

/* ---- addresses ---------------------------------------------------------------------------- */

bool ln_doctor_target_of(const char *url, ln_doctor_target *out) {
    static const struct {
        const char *scheme, *port;
        bool tls;
    } rows[] = { { "ws://", "80", false }, { "wss://", "443", true }, { "http://", "80", false },
        { "https://", "443", true } };
    size_t i = 0, count = sizeof rows / sizeof rows[0];
    while (i < count && strncasecmp(url, rows[i].scheme, strlen(rows[i].scheme)) != 0)
        i++;
    if (i == count) return false;
    const char *host = url + strlen(rows[i].scheme);
    size_t all = strcspn(host, "/?#"), size = all;
    const char *path = host + all;
    *out = (ln_doctor_target){ .tls = rows[i].tls };
    if (memchr(host, '@', all)) return false;
    const char *close = host[0] == '[' ? memchr(host, ']', all) : NULL;
    const char *colon = memchr(
        close ? close : host, ':', all - (size_t)((close ? close : host) - host));
    snprintf(out->port, sizeof out->port, "%s", rows[i].port);
    if (colon) {
        uint64_t port;
        size = (size_t)(colon - host);
        if (!ln_num_u64(ln_slice_of(colon + 1, all - size - 1), 65535, &port)) return false;
        snprintf(out->port, sizeof out->port, "%u", (unsigned)port);
    }
    if (host[0] == '[') {
        if (!close || size != (size_t)(close - host) + 1) return false;
        host++;
        size -= 2;
    }
    if (size == 0 || size >= sizeof out->host) return false;
    memcpy(out->host, host, size);
    size_t end = strcspn(path, "#");
    bool bare = end == 0 || (end == 1 && *path == '/');
    if (end >= sizeof out->path) return false;
    snprintf(out->path, sizeof out->path, "%.*s", bare ? 3 : (int)end, bare ? "/ws" : path);
    for (const char *c = out->path; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 127) return false;
    return out->path[0] == '/';
}

/* ---- connections -------------------------------------------------------------------------- */

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool dial(trip *t) {
    struct timeval patience = { .tv_sec = (time_t)t->way->timeout_s };
    t->l = (line){ .fd = -1 };
    for (const struct addrinfo *at = t->found; at && t->l.fd < 0; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
            t->l.fd = fd;
            return true;
        }
        int why = errno;
        close(fd);
        errno = why;
    }
    return false;
}

static void hang_up(trip *t) {
    SSL_free(t->l.ssl);
    if (t->l.fd >= 0) close(t->l.fd);
    t->l = (line){ .fd = -1 };
}

/* With TLS if the address says so; whether the certificate is good was looked at before. */
static bool call(trip *t) {
    if (!dial(t)) return false;
    if (!t->to.tls) return true;
    t->l.ssl = SSL_new(t->tls);
    if (!t->l.ssl || !SSL_set_fd(t->l.ssl, t->l.fd)) return false;
    SSL_set_tlsext_host_name(t->l.ssl, t->to.host);
    return SSL_connect(t->l.ssl) == 1;
}

static bool say(line *l, const void *bytes, size_t size) {
    if (l->ssl) return SSL_write(l->ssl, bytes, (int)size) == (int)size;
    return send(l->fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Reads once more. False: nothing came in time, or it is over. */
static bool hear(line *l) {
    size_t room = sizeof l->text - 1 - l->size;
    if (!room) return false;
    ssize_t n = l->ssl ? SSL_read(l->ssl, l->text + l->size, (int)room)
                       : recv(l->fd, l->text + l->size, room, 0);
    if (n <= 0) return false;
    l->size += (size_t)n;
    l->text[l->size] = 0;
    return true;
}

/* ---- the steps ---------------------------------------------------------------------------- */

static bool check_name(trip *t) {
    struct addrinfo want = { .ai_socktype = SOCK_STREAM };
    char text[64] = "";
    int err = getaddrinfo(t->to.host, t->to.port, &want, &t->found);
    if (err) {
        ln_found(t->d, LN_FAIL, "name", "look at DNS, or write an address in digits", "%s: %s",
            t->to.host, gai_strerror(err));
        return false;
    }
    unsigned count = 0;
    for (const struct addrinfo *at = t->found; at; at = at->ai_next)
        count++;
    getnameinfo(
        t->found->ai_addr, t->found->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    ln_found(t->d, LN_FINE, "name", NULL, "%s is %s%s", t->to.host, text,
        count > 1 ? ", and others" : "");
    return true;
}

static bool check_tcp(trip *t) {
    uint64_t since = now_ms();
    if (!dial(t)) {
        ln_found(t->d, LN_FAIL, "TCP",
            errno == ECONNREFUSED ? "nothing listens there: is the server up, and on this port?"
                                  : "look at firewalls between",
            "port %s: %s", t->to.port,
            errno == EINPROGRESS ? "no answer in time" : strerror(errno));
        return false;
    }
    ln_found(t->d, LN_FINE, "TCP", NULL, "port %s answers within %u ms", t->to.port,
        (unsigned)(now_ms() - since));
    hang_up(t);
    return true;
}

static void judge_expiry(trip *t, const SSL *ssl) {
    X509 *cert = SSL_get0_peer_certificate(ssl);
    int days = 0, seconds = 0;
    if (!cert || !ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert))) return;
    bool over = days < 0 || seconds < 0;
    ln_found(t->d,
        over        ? LN_FAIL
        : days < 14 ? LN_WARN
                    : LN_FINE,
        "certificate", "renew it, and send HUP to the server, which reads it again",
        over ? "expired %d days ago" : "good for %d more days", over ? -days : days);
}

/* Whatever it is, it is looked at; the other steps do not ask any more. */
static bool check_tls(trip *t) {
    if (!t->to.tls) return true;
    t->tls = SSL_CTX_new(TLS_client_method());
    if (!t->tls || !dial(t)) return false;
    bool trusts = t->way->ca ? SSL_CTX_load_verify_file(t->tls, t->way->ca) == 1
                             : SSL_CTX_set_default_verify_paths(t->tls) == 1;
    if (!trusts) ln_found(t->d, LN_FAIL, "TLS", "name a PEM file", "cannot read %s", t->way->ca);
    SSL *ssl = t->l.ssl = SSL_new(t->tls);
    if (!ssl) return false;
    SSL_set_fd(ssl, t->l.fd);
    SSL_set_tlsext_host_name(ssl, t->to.host);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (!X509_VERIFY_PARAM_set1_ip_asc(param, t->to.host)) SSL_set1_host(ssl, t->to.host);
    if (SSL_connect(ssl) != 1) {
        ln_found(t->d, LN_FAIL, "TLS", "does it speak TLS on this port? ws:// is without",
            "no handshake: %s", ERR_reason_error_string(ERR_peek_error()) ?: "the peer ended it");
        hang_up(t);
        return false;
    }
    long verdict = SSL_get_verify_result(ssl);
    ln_found(t->d, verdict == X509_V_OK ? LN_FINE : LN_FAIL, "TLS",
        "serve the whole chain, for this name; --tls-ca FILE trusts another authority", "%s, %s",
        SSL_get_version(ssl),
        verdict == X509_V_OK ? "the certificate is trusted"
                             : X509_verify_cert_error_string(verdict));
    judge_expiry(t, ssl);
    hang_up(t);
    return true;
}

/* A head has come whole: its status, and where its body begins; 0: it has not. */
static int read_head(line *l, size_t *body) {
    for (;;) {
        const char *end = l->size ? memmem(l->text, l->size, "\r\n\r\n", 4) : NULL;
        if (end) {
            uint64_t status = 0;
            *body = (size_t)(end - l->text) + 4;
            if (strncmp(l->text, "HTTP/1.1 ", 9) != 0) return -1;
            ln_num_u64(ln_slice_of(l->text + 9, 3), 599, &status);
            return (int)status;
        }
        if (l->size >= HEAD_MAX || !hear(l)) return 0;
    }
}

/* A field of the head, trimmed; false: it is not there. */
static bool field(const line *l, size_t head, const char *name, char out[128]) {
    size_t size = strlen(name);
    const char *at = l->text, *end = l->text + head;
    while ((at = memchr(at, '\n', (size_t)(end - at))) && ++at < end) {
        if ((size_t)(end - at) <= size || strncasecmp(at, name, size) != 0 || at[size] != ':')
            continue;
        at += size + 1;
        while (*at == ' ' || *at == '\t')
            at++;
        snprintf(out, 128, "%.*s", (int)strcspn(at, "\r\n"), at);
        return true;
    }
    return false;
}

/* The host as it stands in Host and Origin. */
static void authority(const ln_doctor_target *to, char out[300]) {
    bool standard = strcmp(to->port, to->tls ? "443" : "80") == 0,
         v6 = strchr(to->host, ':') != NULL;
    snprintf(out, 300, "%s%s%s%s%s", v6 ? "[" : "", to->host, v6 ? "]" : "", standard ? "" : ":",
        standard ? "" : to->port);
}

/* origin NULL: that of a page of this very server. */
static bool ask_upgrade(trip *t, const char *origin, char accept[32]) {
    uint8_t random[16], digest[20];
    char key[28], host[300], own[320], text[96], request[6000];
    unsigned size = 0;
    if (!call(t) || RAND_bytes(random, sizeof random) != 1) return false;
    EVP_EncodeBlock((uint8_t *)key, random, sizeof random);
    snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    EVP_Digest(text, strlen(text), digest, &size, EVP_sha1(), NULL);
    EVP_EncodeBlock((uint8_t *)accept, digest, sizeof digest);
    authority(&t->to, host);
    snprintf(own, sizeof own, "%s://%s", t->to.tls ? "https" : "http", host);
    int n = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: "
        "linnet.v1\r\n"
        "Origin: %s\r\n%s%s%s\r\n",
        t->to.path, host, key, origin ? origin : own, t->way->token ? "Authorization: Bearer " : "",
        t->way->token ? t->way->token : "", t->way->token ? "\r\n" : "");
    return n > 0 && (size_t)n < sizeof request && say(&t->l, request, (size_t)n);
}

const char *ln_doctor_upgrade_advice(int status) {
    switch (status) {
    case 200:
    case 301:
    case 302:
    case 307:
    case 308:
        return "something else answers at this path: /ws is usual, and redirects are not followed";
    case 400:
    case 426:
        return "a proxy between has taken away Upgrade or Connection: nginx wants "
               "proxy_http_version "
               "1.1 and proxy_set_header for both";
    case 401: return "one has to log in: --token";
    case 403:
        return "the page's Origin is not allowed, perhaps because a proxy changes Host: see "
               "origins "
               "in linnet.yaml";
    case 404: return "this path is not the server's: /ws is usual";
    case 429: return "too many connections or bad tokens from this address: wait";
    case 502:
    case 504: return "a proxy between does not reach the server";
    case 503: return "the server is full, or is leaving: see linnet status";
    default: return "look at proxies between, and at the server's log";
    }
}

static bool check_upgrade(trip *t, size_t *body) {
    char accept[32], got[128] = "";
    int status = ask_upgrade(t, NULL, accept) ? read_head(&t->l, body) : 0;
    if (status <= 0) {
        ln_found(t->d, LN_FAIL, "upgrade", "does it speak HTTP on this port? https:// is with TLS",
            status ? "what answers is no HTTP/1.1" : "no answer in time");
        return false;
    }
    if (status != 101) {
        ln_found(t->d, LN_FAIL, "upgrade", ln_doctor_upgrade_advice(status), "%s is answered %d",
            t->to.path, status);
        return false;
    }
    if (!field(&t->l, *body, "Sec-WebSocket-Accept", got) || strcmp(got, accept) != 0) {
        ln_found(t->d, LN_FAIL, "upgrade", "something between answers in the server's place",
            "101, but not to this handshake");
        return false;
    }
    if (!field(&t->l, *body, "Sec-WebSocket-Protocol", got) || strcmp(got, "linnet.v1") != 0) {
        ln_found(t->d, LN_FAIL, "upgrade",
            "is it a linnet, and the right path? or a proxy takes Sec-WebSocket-Protocol away",
            "a WebSocket that does not speak linnet.v1");
        return false;
    }
    ln_found(
        t->d, LN_FINE, "upgrade", NULL, "%s is a WebSocket, and Upgrade comes through", t->to.path);
    return true;
}

/* The next text of the server from *at on; false: none came. */
static bool next_text(line *l, size_t *at, ln_slice *out) {
    for (;;) {
        size_t have = l->size - *at;
        const uint8_t *b = (const uint8_t *)l->text + *at;
        size_t head = have >= 2 && (b[1] & 127) == 126 ? 4 : 2;
        if (have >= 2 && ((b[1] & 127) == 127 || b[1] & 128)) return false;
        if (have >= head) {
            size_t size = head == 4 ? (size_t)b[2] << 8 | b[3] : b[1] & 127u;
            if (have >= head + size) {
                bool text = (b[0] & 15) == 1;
                *out = ln_slice_of(b + head, size);
                *at += head + size;
                if (text) return true;
                if ((b[0] & 15) == 8) return false;
                continue;
            }
        }
        if (!hear(l)) return false;
    }
}

static bool is_a(ln_slice text, const char *type) {
    char want[40];
    snprintf(want, sizeof want, "\"type\":\"%s\"", type);
    return text.size && memmem(text.data, text.size, want, strlen(want));
}

static void check_protocol(trip *t, size_t at) {
    static const char ping[] = "{\"type\":\"ping\",\"id\":\"doctor\"}";
    uint8_t frame[6 + sizeof ping - 1] = { 0x81, 0x80 | (sizeof ping - 1) }; /* a mask of zeros */
    ln_slice text;
    if (!next_text(&t->l, &at, &text) || !is_a(text, "welcome")) {
        ln_found(t->d, LN_FAIL, "protocol", "a proxy between may hold back what the server says",
            "no welcome within %u s", (unsigned)t->way->timeout_s);
        return;
    }
    bool login = memmem(text.data, text.size, "\"auth\":true", 11) != NULL;
    ln_found(t->d, LN_FINE, "protocol", NULL, "linnet.v1%s", login ? "; it wants a login" : "");
    memcpy(frame + 6, ping, sizeof ping - 1);
    uint64_t since = now_ms();
    bool heard = say(&t->l, frame, sizeof frame);
    while (heard && (heard = next_text(&t->l, &at, &text)) && !is_a(text, "pong"))
        continue;
    unsigned ms = (unsigned)(now_ms() - since);
    if (heard)
        ln_found(t->d, ms > 1000 ? LN_WARN : LN_FINE, "round trip",
            "a slow network, or a server that has too much to do: linnet status", "%u ms", ms);
    else
        ln_found(t->d, LN_FAIL, "round trip", "a proxy between lets only one direction through",
            "no answer to a ping within %u s", (unsigned)t->way->timeout_s);
}

static void check_strangers(trip *t) {
    char accept[32];
    size_t body;
    int status = ask_upgrade(t, "https://doctor.invalid", accept) ? read_head(&t->l, &body) : 0;
    if (status == 101)
        ln_found(t->d, LN_WARN, "origin",
            "name the pages that may connect in origins, where cookies log in",
            "a page of any site may connect");
    else
        ln_found(t->d, LN_FINE, "origin", NULL, "pages of strangers are answered %d", status);
    hang_up(t);
}

/* The server says something at once: what comes late was held back. */
static void check_stream(trip *t) {
    char host[300], request[600];
    size_t body = 0;
    authority(&t->to, host);
    int n = snprintf(request, sizeof request,
        "GET /sse?channel=doctor HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", host);
    bool asked = call(t) && say(&t->l, request, (size_t)n);
    int status = asked ? read_head(&t->l, &body) : 0;
    if (status != 200 && status != 0) {
        ln_found(
            t->d, LN_FINE, "event stream", NULL, "/sse is answered %d: not offered here", status);
    } else {
        bool came = status == 200 && (strstr(t->l.text + body, "retry:") ||
                                         (hear(&t->l) && strstr(t->l.text + body, "retry:")));
        ln_found(t->d, came ? LN_FINE : LN_WARN, "event stream",
            "a proxy between collects what it should pass on: nginx wants proxy_buffering off",
            came ? "/sse comes through at once" : "/sse says nothing within %u s",
            (unsigned)t->way->timeout_s);
    }
    hang_up(t);
}

bool ln_doctor_url(ln_doctor *d, const ln_doctor_way *way) {
    trip t = { .d = d, .way = way, .l.fd = -1 };
    size_t body = 0;
    if (!ln_doctor_target_of(way->url, &t.to)) return false;
    if (check_name(&t) && check_tcp(&t) && check_tls(&t)) {
        bool open = check_upgrade(&t, &body);
        if (open) check_protocol(&t, body);
        hang_up(&t);
        if (open) check_strangers(&t);
        if (open) check_stream(&t);
    }
    hang_up(&t);
    if (t.found) freeaddrinfo(t.found);
    SSL_CTX_free(t.tls);
    return true;
}
