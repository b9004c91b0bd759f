#include "cli/dialflags.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool read_token(const char *path, char token[LN_DIALFLAGS_TOKEN_MAX + 2]) {
    FILE *in = fopen(path, "re");
    if (!in) {
        ln_say("cannot read %.200s: %s", path, strerror(errno));
        return false;
    }
    size_t size = fread(token, 1, LN_DIALFLAGS_TOKEN_MAX + 1, in);
    token[size] = 0;
    token[strcspn(token, "\r\n")] = 0;
    fclose(in);
    return true;
}

/* As a field of the request. -1, or the exit code after a mistake was told. */
static int log_in(ln_dialflags *f) {
    char text[LN_DIALFLAGS_TOKEN_MAX + 2];
    const char *token = f->token;
    if (f->token && f->token_file) {
        ln_say("--token or --token-file, not both");
        return 2;
    }
    if (f->token_file) {
        if (!read_token(f->token_file, text)) return 1;
        token = text;
    }
    if (!token) return -1;
    if (!*token || strlen(token) > LN_DIALFLAGS_TOKEN_MAX || strpbrk(token, " \t\r\n")) {
        ln_say("that is no token: at most 4096 bytes, on one line");
        return 2;
    }
    if (f->headers.count == LN_ARG_LIST_MAX) {
        ln_say("--header was given too often");
        return 2;
    }
    snprintf(f->bearer, sizeof f->bearer, "Authorization: Bearer %s", token);
    f->headers.items[f->headers.count++] = f->bearer;
    f->headers.items[f->headers.count] = NULL;
    return -1;
}

int ln_dialflags_apply(ln_dialflags *f, const char *url, linnet_dial_options *o) {
    for (size_t i = 0; i < f->headers.count; i++) {
        const char *colon = strchr(f->headers.items[i], ':');
        if (colon && colon != f->headers.items[i]) continue;
        ln_say("--header wants 'Name: value', not '%.100s'", f->headers.items[i]);
        return 2;
    }
    int code = log_in(f);
    if (code >= 0) return code;
    if (strncasecmp(url, "ws://", 5) != 0 && strncasecmp(url, "wss://", 6) != 0) {
        ln_say("'%.200s' is no address to connect to; it begins with ws:// or wss://", url);
        return 2;
    }
    o->url = url;
    o->headers = f->headers.items;
    o->tls_ca_file = f->tls_ca;
    o->tls_insecure = f->insecure;
    o->timeout_ms = (uint32_t)(f->timeout * 1000);
    o->limits.close_ms = o->timeout_ms;
    return -1;
}
