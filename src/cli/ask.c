#include "base/num.h"
#include "cli/ask_inner.h"
#include "daemon/key.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 20

/* ---- addresses ------------------------------------------------------------------------- */

bool ln_ask_address(const char *url, char out[256]) {
    static const char *const schemes[] = { "http://", "ws://" };
    if (strncmp(url, "unix:", 5) == 0) {
        bool fits = url[5] && strlen(url + 5) < sizeof(((struct sockaddr_un *)0)->sun_path);
        if (fits) snprintf(out, 256, "%s", url);
        return fits;
    }
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0) url += strlen(schemes[i]);
    size_t size = strcspn(url, "/?#");
    if (size == 0 || size > 240 || memchr(url, '@', size)) return false;
    snprintf(out, 256, "%.*s", (int)size, url);
    const char *port = strrchr(out, ':'), *bracket = strrchr(out, ']');
    if (!port || (bracket && port < bracket)) {
        snprintf(out + size, 256 - size, ":80");
        return true;
    }
    uint64_t number;
    return port > out && ln_num_u64(ln_slice_str(port + 1), 65535, &number);
}

static int dial_unix(const char *path) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    memcpy(to.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static int dial_tcp(const char *address) {
    char host[256];
    snprintf(host, sizeof host, "%s", address[0] == '[' ? address + 1 : address);
    char *port = strrchr(host, ':'), *end = strchr(host, ']');
    *port++ = 0;
    if (end) *end = 0;
    struct addrinfo want = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    if (getaddrinfo(host, port, &want, &found) != 0) {
        errno = ENOENT;
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, at->ai_addr, at->ai_addrlen) == 0) continue;
        int why = errno;
        close(fd);
        errno = why;
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* ---- the answer ------------------------------------------------------------------------- */

bool ln_ask_answer(ln_slice answer, int *status, ln_slice *body) {
    static const char name[] = "content-length:";
    uint64_t code, length = UINT64_MAX;
    ln_slice line;
    if (answer.size < 13 || !ln_slice_starts(answer, LN_SLICE("HTTP/1.1 "))) return false;
    if (!ln_num_u64(ln_slice_sub(answer, 9, 12), 599, &code)) return false;
    while (ln_slice_cut(&answer, '\n', &line)) {
        if (line.size == 0 || line.data[line.size - 1] != '\r') return false;
        line.size--;
        if (line.size == 0) break;
        size_t n = sizeof name - 1;
        if (line.size <= n || !ln_slice_eq_ci(ln_slice_sub(line, 0, n), ln_slice_of(name, n)))
            continue;
        if (!ln_num_u64(ln_slice_trim(ln_slice_sub(line, n, line.size)), LN_ASK_MAX, &length))
            return false;
    }
    if (line.size || !answer.data || answer.size != length) return false;
    *status = (int)code;
    *body = answer;
    return true;
}

bool ln_ask_send(int fd, ln_slice s) {
    while (s.size) {
        ssize_t n = send(fd, s.data, s.size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        ln_slice_skip(&s, (size_t)n);
    }
    return true;
}

static bool read_all(int fd, ln_buf *in) {
    for (;;) {
        if (ln_buf_reserve(in, 16384) < 0) return false;
        ln_wslice room = ln_buf_room(in);
        ssize_t n = recv(fd, room.data, room.size, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        if (n == 0) return true;
        ln_buf_commit(in, (size_t)n);
    }
}

/* ---- asking ----------------------------------------------------------------------------- */

/* The text of a key, or "" when there is none, once: the environment forgets it then. -1, or the
 * exit code. */
static int find_key(ln_ask *a, const char *address) {
    ln_keys keys = { .count = 0 };
    char *out = a->key;
    if (a->asked) return -1;
    a->asked = true;
    int code = ln_keys_gather(&keys, a->key_file, true);
    *out = 0;
    if (code < 0 && keys.count) { /* that of the environment stands before those of the file */
        const ln_key *key = &keys.items[a->key_file && keys.count > 1 ? 1 : 0];
        memcpy(out, key->text, key->size);
        out[key->size] = 0;
    } else if (code < 0) {
        (void)(ln_key_recall(address, out) || (*out = 0));
    }
    ln_keys_forget(&keys);
    return code;
}

int ln_ask_complain(const ln_ask *a, int status, ln_slice body, bool key) {
    size_t words = ln_slice_find(body, '\n');
    if (words == SIZE_MAX) words = body.size;
    if (status == 401 && !key)
        ln_say("%s wants a key; --key-file FILE names one, or LINNET_API_KEY", a->url);
    else
        ln_say("%s answers %d: %.*s", a->url, status, (int)(words < 300 ? words : 300),
            (const char *)body.data);
    return 1;
}

static int exchange(const ln_ask *a, int fd, ln_slice request, bool key, ln_buf *out) {
    ln_buf in;
    ln_slice body;
    int status, code = 1;
    struct timeval patience = { .tv_sec = PATIENCE_S };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    ln_buf_init(&in, LN_ASK_MAX);
    if (!ln_ask_send(fd, request) || !read_all(fd, &in))
        ln_say("%s does not answer: %s", a->url, strerror(errno));
    else if (!ln_ask_answer(ln_buf_slice(&in), &status, &body))
        ln_say("what answers at %s is no linnet", a->url);
    else if (status / 100 != 2)
        ln_ask_complain(a, status, body, key);
    else
        code = ln_buf_add(out, body) == LINNET_OK ? -1 : 1;
    ln_buf_fini(&in);
    return code;
}

void ln_ask_forget(ln_ask *a) {
    explicit_bzero(a->key, sizeof a->key);
}

int ln_ask_begin(
    ln_ask *a, const char *method, const char *path, ln_slice body, ln_buf *request, int *out) {
    char address[256], head[1024];
    if (!ln_ask_address(a->url, address)) {
        ln_say("'%.100s' is no address: say http://HOST:PORT or unix:PATH%s", a->url,
            strncmp(a->url, "https:", 6) == 0 ? "; with TLS curl can ask" : "");
        return 2;
    }
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    int code = find_key(a, address);
    const char *key = a->key;
    if (code >= 0) return code;
    int fd = is_unix ? dial_unix(address + 5) : dial_tcp(address);
    if (fd < 0) {
        ln_say("cannot reach %.200s: %s", a->url, strerror(errno));
        return 1;
    }
    int n = snprintf(head, sizeof head,
        "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n%s%s%s\r\n",
        method, path, is_unix ? "localhost" : address, body.size,
        *key ? "Authorization: Bearer " : "", key, *key ? "\r\n" : "");
    int err = ln_buf_add(request, ln_slice_of(head, (size_t)n));
    if (err == LINNET_OK) err = ln_buf_add(request, body);
    explicit_bzero(head, sizeof head);
    *out = fd;
    if (err == LINNET_OK) return -1;
    close(fd);
    return 1;
}

int ln_ask_do(ln_ask *a, const char *method, const char *path, ln_slice body, ln_buf *out) {
    ln_buf request;
    int fd;
    ln_buf_init(&request, LN_ASK_MAX);
    int code = ln_ask_begin(a, method, path, body, &request, &fd);
    if (code < 0) {
        code = exchange(a, fd, ln_buf_slice(&request), *a->key != 0, out);
        close(fd);
    }
    ln_buf_fini(&request);
    return code;
}
