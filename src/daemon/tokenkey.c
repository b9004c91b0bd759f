#include "daemon/tokenkey.h"
#include "daemon/args.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "PS256:key.pem"; a path with a colon in it is left alone. */
static void split(ln_tokenkey *k, const char *text) {
    const char *colon = strchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    k->path = text;
    if (size != 5 || strchr("HRPE", text[0]) == NULL) return;
    if (text[1] != 'S' && strncmp(text, "EdDSA", 5) != 0) return;
    memcpy(k->alg, text, size);
    k->path = colon + 1;
}

static bool read_all(ln_tokenkey *k, int fd) {
    k->bytes = malloc(LN_TOKENKEY_MAX + 1);
    if (!k->bytes) return false;
    for (ssize_t n = 1; n > 0 && k->size < LN_TOKENKEY_MAX; k->size += (size_t)n) {
        n = read(fd, k->bytes + k->size, LN_TOKENKEY_MAX - k->size);
        if (n < 0) return false;
    }
    k->bytes[k->size] = 0;
    return true;
}

/* Whatever stands in it would let others make tokens. */
static bool is_secret(const ln_tokenkey *k, bool secret) {
    return secret || strstr(k->bytes, "\"oct\"") || strstr(k->bytes, "PRIVATE KEY-----");
}

static bool is_private(const ln_tokenkey *k, int fd, bool lax) {
    struct stat s;
    if (fstat(fd, &s) == 0 && (!S_ISREG(s.st_mode) || !(s.st_mode & S_IRWXO))) return true;
    ln_say("%s%.200s can be read by everybody on this machine; chmod o= %.200s%s",
        lax ? "warning: " : "", k->path, k->path,
        lax ? "" : ", or say --insecure if that is meant");
    return lax;
}

bool ln_tokenkey_read(ln_tokenkey *k, const char *text, bool secret, bool lax) {
    *k = (ln_tokenkey){ .path = text };
    split(k, text);
    int fd = open(k->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool good = fd >= 0 && read_all(k, fd);
    if (!good) ln_say("cannot read %.200s: %s", k->path, strerror(errno));
    good = good && (!is_secret(k, secret) || is_private(k, fd, lax));
    if (fd >= 0) close(fd);
    if (!good) ln_tokenkey_free(k);
    if (!good || !secret) return good;
    if (k->size && k->bytes[k->size - 1] == '\n') k->size--;
    if (k->size && k->bytes[k->size - 1] == '\r') k->size--;
    return true;
}

void ln_tokenkey_free(ln_tokenkey *k) {
    if (k->bytes) explicit_bzero(k->bytes, LN_TOKENKEY_MAX + 1);
    free(k->bytes);
    k->bytes = NULL;
}

linnet_key ln_tokenkey_as(const ln_tokenkey *k, bool secret) {
    linnet_key key = LINNET_KEY_INIT;
    size_t at = strspn(k->bytes, " \t\r\n");
    key.form = secret ? LINNET_KEY_SECRET : k->bytes[at] == '{' ? LINNET_KEY_JWK : LINNET_KEY_PEM;
    key.bytes = (linnet_slice){ (const uint8_t *)k->bytes, k->size };
    if (k->alg[0]) key.alg = k->alg;
    return key;
}

bool ln_tokenkey_add(linnet_keys *keys, const char *text, bool secret, bool lax) {
    ln_tokenkey k;
    if (!ln_tokenkey_read(&k, text, secret, lax)) return false;
    linnet_key key = ln_tokenkey_as(&k, secret);
    int err = linnet_keys_add(keys, &key);
    if (err < 0) {
        const char *why = linnet_keys_error(keys);
        ln_say("%.200s: %s", k.path, *why ? why : linnet_strerror(err));
    }
    ln_tokenkey_free(&k);
    return err == LINNET_OK;
}
