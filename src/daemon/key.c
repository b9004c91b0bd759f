#include "daemon/key.h"
#include "base/rand.h"
#include "daemon/args.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64 * 1024)

/* ---- keys -------------------------------------------------------------------------- */

static bool is_key(ln_slice s) {
    if (s.size < LN_KEY_MIN || s.size > LN_KEY_MAX) return false;
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] <= ' ' || s.data[i] > '~') return false;
    return true;
}

static bool is_name(ln_slice s) {
    for (size_t i = 0; i < s.size; i++) {
        uint8_t b = s.data[i];
        bool letter = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9');
        if (!letter && b != '-' && b != '_' && b != '.') return false;
    }
    return s.size < LN_KEY_NAME;
}

/* All of both is looked at, equal or not, and so is the size. */
static bool same(const ln_key *key, const uint8_t given[LN_KEY_MAX], size_t size) {
    unsigned differ = (unsigned)(key->size ^ size);
    for (size_t i = 0; i < LN_KEY_MAX; i++)
        differ |= key->text[i] ^ given[i];
    return differ == 0;
}

const ln_key *ln_keys_find(const ln_keys *k, ln_slice given) {
    uint8_t padded[LN_KEY_MAX] = { 0 };
    const ln_key *found = NULL;
    if (given.size > LN_KEY_MAX || given.size == 0) return NULL;
    memcpy(padded, given.data, given.size);
    for (size_t i = 0; i < k->count; i++)
        if (same(&k->items[i], padded, given.size)) found = &k->items[i];
    explicit_bzero(padded, sizeof padded);
    return found;
}

int ln_keys_add(ln_keys *k, ln_slice key, uint32_t scopes, ln_slice name) {
    if (!is_key(key) || !is_name(name)) return LINNET_ERR_INVAL;
    if (ln_keys_find(k, key)) return LINNET_ERR_EXISTS;
    if (k->count == LN_KEYS_MAX) return LINNET_ERR_LIMIT;
    ln_key *to = &k->items[k->count++];
    *to = (ln_key){ .scopes = scopes, .size = (uint16_t)key.size };
    memcpy(to->text, key.data, key.size);
    if (name.size) memcpy(to->name, name.data, name.size);
    return LINNET_OK;
}

void ln_keys_make(ln_keys *k) {
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[LN_KEY_MADE / 2], text[LN_KEY_MADE];
    ln_rand rand;
    ln_rand_init(&rand);
    ln_rand_bytes(&rand, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)hex[i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4];
    ln_keys_add(k, ln_slice_of(text, sizeof text), LN_SCOPE_ALL, LN_SLICE("made-at-start"));
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(text, sizeof text);
}

void ln_keys_forget(ln_keys *k) {
    explicit_bzero(k, sizeof *k);
}

/* ---- files ------------------------------------------------------------------------- */

static bool take_scopes(ln_slice words, uint32_t *out) {
    static const char *const names[] = { "metrics", "read", "publish", "manage", "operate" };
    ln_slice word;
    *out = 0;
    while (ln_slice_cut(&words, ',', &word)) {
        uint32_t bit = ln_slice_eq(word, LN_SLICE("all")) ? LN_SCOPE_ALL : 0;
        for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
            if (ln_slice_eq(word, ln_slice_str(names[i]))) bit = 1u << i;
        if (!bit) return false;
        *out |= bit;
    }
    return true;
}

/* The next word of a line, {NULL, 0} behind the last. */
static ln_slice next_word(ln_slice *line) {
    *line = ln_slice_trim(*line);
    size_t n = 0;
    while (n < line->size && line->data[n] != ' ' && line->data[n] != '\t')
        n++;
    ln_slice word = ln_slice_sub(*line, 0, n);
    ln_slice_skip(line, n);
    return word;
}

static int read_line(ln_keys *k, ln_slice line) {
    if (line.size && line.data[line.size - 1] == '\r') line.size--;
    ln_slice key = next_word(&line), scopes = next_word(&line), name = next_word(&line);
    uint32_t bits = LN_SCOPE_ALL;
    if (key.size == 0 || key.data[0] == '#') return LINNET_OK;
    if (next_word(&line).size) return LINNET_ERR_INVAL;
    if (scopes.size && !take_scopes(scopes, &bits)) return LINNET_ERR_INVAL;
    return ln_keys_add(k, key, bits, name);
}

int ln_keys_read(ln_keys *k, ln_slice text, unsigned *line) {
    ln_slice one;
    for (*line = 1; ln_slice_cut(&text, '\n', &one); ++*line) {
        int err = read_line(k, one);
        if (err < 0) return err;
    }
    return LINNET_OK;
}

/* Bytes read, or -1 with errno. */
static ssize_t slurp(int fd, char *out, size_t size) {
    size_t have = 0;
    while (have < size) {
        ssize_t n = read(fd, out + have, size - have);
        if (n == 0) return (ssize_t)have;
        if (n < 0 && errno != EINTR) return -1;
        if (n > 0) have += (size_t)n;
    }
    errno = EFBIG;
    return -1;
}

static int parse_file(ln_keys *k, const char *path, ln_slice text) {
    unsigned line;
    size_t before = k->count;
    int err = ln_keys_read(k, text, &line);
    if (err == LINNET_ERR_INVAL)
        ln_say("%s, line %u: a key is %d to %d visible characters, then perhaps what it may do "
               "(metrics, read, publish, manage, operate, all) and its name",
            path, line, LN_KEY_MIN, LN_KEY_MAX);
    else if (err < 0)
        ln_say("%s, line %u: %s", path, line,
            err == LINNET_ERR_EXISTS ? "this key was there before" : "too many keys");
    else if (k->count == before)
        ln_say("%s holds no key", path);
    return err < 0 || k->count == before ? 1 : -1;
}

static int read_file(ln_keys *k, const char *path, bool lax) {
    char text[FILE_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat is;
    if (fd < 0 || fstat(fd, &is) < 0) {
        ln_say("cannot read %s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return 1;
    }
    int code = -1;
    if (S_ISREG(is.st_mode) && is.st_mode & S_IROTH) {
        ln_say("%s can be read by everybody, and there are keys in it%s", path,
            lax ? "" : "; chmod 600, or --insecure if that is meant");
        code = lax ? -1 : 1;
    }
    ssize_t n = code < 0 ? slurp(fd, text, sizeof text) : 0;
    if (n < 0) {
        ln_say("cannot read %s: %s", path, strerror(errno));
        code = 1;
    }
    close(fd);
    if (code < 0) code = parse_file(k, path, ln_slice_of(text, (size_t)n));
    explicit_bzero(text, sizeof text);
    return code;
}

/* What stood in the environment is what /proc and children would show: it goes. */
static int read_environment(ln_keys *k) {
    char *text = getenv("LINNET_API_KEY");
    if (!text || !*text) return -1;
    int err = ln_keys_add(k, ln_slice_str(text), LN_SCOPE_ALL, LN_SLICE("environment"));
    explicit_bzero(text, strlen(text));
    unsetenv("LINNET_API_KEY");
    if (err == LINNET_ERR_INVAL)
        ln_say("LINNET_API_KEY is no key: those are %d to %d visible characters", LN_KEY_MIN,
            LN_KEY_MAX);
    return err == LINNET_ERR_INVAL ? 2 : -1;
}

int ln_keys_gather(ln_keys *k, const char *file, bool lax) {
    char path[LN_KEY_PATH_MAX];
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    int code = read_environment(k); /* first: it is to be gone, whatever else is wrong */
    if (code < 0 && file) code = read_file(k, file, lax);
    if (code >= 0 || !credentials) return code;
    int n = snprintf(path, sizeof path, "%s/linnet.keys", credentials);
    if (n < 0 || (size_t)n >= sizeof path || access(path, F_OK) < 0) return code;
    return read_file(k, path, lax);
}

/* ---- fields of requests ------------------------------------------------------------- */

bool ln_key_bearer(ln_slice header, ln_slice *key) {
    static const char scheme[] = "Bearer ";
    size_t n = sizeof scheme - 1;
    if (header.size <= n || !ln_slice_eq_ci(ln_slice_sub(header, 0, n), ln_slice_of(scheme, n)))
        return false;
    *key = ln_slice_trim(ln_slice_sub(header, n, header.size));
    return is_key(*key);
}

static bool is_digits(const char *host) {
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static ln_slice without_port(ln_slice host) {
    size_t end = ln_slice_find(host, host.size && host.data[0] == '[' ? ']' : ':');
    if (end == SIZE_MAX) return host;
    return host.data[0] == '[' ? ln_slice_sub(host, 1, end) : ln_slice_sub(host, 0, end);
}

bool ln_key_host(ln_slice host, const char *const *names) {
    char text[256];
    ln_slice name = without_port(host);
    for (; names && *names; names++)
        if (strcmp(*names, "*") == 0 || ln_slice_eq_ci(name, ln_slice_str(*names))) return true;
    if (ln_slice_eq_ci(name, LN_SLICE("localhost"))) return true;
    if (name.size == 0 || name.size >= sizeof text) return false;
    memcpy(text, name.data, name.size);
    text[name.size] = 0;
    return is_digits(text);
}

/* ---- the runtime folder --------------------------------------------------------------- */

void ln_key_file_name(const char *address, char out[LN_KEY_PATH_MAX]) {
    if (strncmp(address, "unix:", 5) == 0) {
        snprintf(
            out, LN_KEY_PATH_MAX, "unix%s%.200s.key", address[5] == '/' ? "" : "-", address + 5);
        for (char *at = out; *at; at++)
            if (*at == '/') *at = '-';
        return;
    }
    const char *port = strrchr(address, ':');
    snprintf(out, LN_KEY_PATH_MAX, "%.5s.key", port ? port + 1 : address);
}

#define FOLDERS 4
/* The n-th candidate. False: there is none of that kind here. */
static bool folder(int n, char out[LN_KEY_PATH_MAX]) {
    const char *runtime = getenv("RUNTIME_DIRECTORY"), *user = getenv("XDG_RUNTIME_DIR");
    int size = -1;
    switch (n) {
    case 0:
        if (runtime && *runtime == '/')
            size = snprintf(out, LN_KEY_PATH_MAX, "%.*s", (int)strcspn(runtime, ":"), runtime);
        break;
    case 1:
        if (user && *user == '/') size = snprintf(out, LN_KEY_PATH_MAX, "%s/linnet", user);
        break;
    case 2: size = snprintf(out, LN_KEY_PATH_MAX, "/run/linnet"); break;
    default: size = snprintf(out, LN_KEY_PATH_MAX, "/tmp/linnet-%u", (unsigned)geteuid());
    }
    return size > 0 && size < LN_KEY_PATH_MAX - 256;
}

/* Whether it is there, or can be, and nobody else can put a file there. */
static bool make_folder(const char *path) {
    struct stat is;
    if (mkdir(path, 0700) < 0 && errno != EEXIST) return false;
    return lstat(path, &is) == 0 && S_ISDIR(is.st_mode) && is.st_uid == geteuid() &&
           !(is.st_mode & (S_IWGRP | S_IWOTH));
}

static void path_of(const char *folder_path, const char *address, char out[LN_KEY_PATH_MAX]) {
    char name[LN_KEY_PATH_MAX];
    ln_key_file_name(address, name);
    snprintf(out, LN_KEY_PATH_MAX, "%.255s/%.255s", folder_path, name);
}

/* Never open to others, not for a moment, and never half of it. */
static bool write_file(const char *path, const ln_key *key) {
    char draft[LN_KEY_PATH_MAX + 16];
    snprintf(draft, sizeof draft, "%s.%u", path, (unsigned)getpid());
    unlink(draft);
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    bool ok = write(fd, key->text, key->size) == (ssize_t)key->size && write(fd, "\n", 1) == 1;
    ok = close(fd) == 0 && ok;
    ok = ok && rename(draft, path) == 0;
    if (!ok) unlink(draft);
    return ok;
}

int ln_key_keep(const ln_key *key, const char *address, char path[LN_KEY_PATH_MAX]) {
    char where[LN_KEY_PATH_MAX];
    for (int i = 0; i < FOLDERS; i++) {
        if (!folder(i, where) || !make_folder(where)) continue;
        path_of(where, address, path);
        if (write_file(path, key)) return LINNET_OK;
    }
    return LINNET_ERR_SYS;
}

static bool read_key(const char *path, char out[LN_KEY_MAX + 1]) {
    struct stat is;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return false;
    bool ours = fstat(fd, &is) == 0 && S_ISREG(is.st_mode) && !(is.st_mode & 077) &&
                (is.st_uid == geteuid() || is.st_uid == 0 || geteuid() == 0);
    ssize_t n = ours ? slurp(fd, out, LN_KEY_MAX + 1) : -1;
    close(fd);
    if (n < 0) return false;
    out[n] = 0;
    out[strcspn(out, "\n")] = 0;
    return is_key(ln_slice_str(out));
}

static bool recall(const char *address, char path[LN_KEY_PATH_MAX], char out[LN_KEY_MAX + 1]) {
    char where[LN_KEY_PATH_MAX];
    for (int i = 0; i < FOLDERS; i++) {
        if (!folder(i, where)) continue;
        path_of(where, address, path);
        if (read_key(path, out)) return true;
    }
    return false;
}

bool ln_key_recall(const char *address, char out[LN_KEY_MAX + 1]) {
    char path[LN_KEY_PATH_MAX];
    return recall(address, path, out);
}

void ln_key_discard(const ln_key *key, const char *address) {
    char path[LN_KEY_PATH_MAX], kept[LN_KEY_MAX + 1];
    if (!recall(address, path, kept)) return;
    if (ln_slice_eq(ln_slice_str(kept), ln_slice_of(key->text, key->size))) unlink(path);
    explicit_bzero(kept, sizeof kept);
}
