#include "daemon/options.h"
#include <string.h>

static const char *const about =
    "Serves channels: whoever connects may subscribe, publish, and hears what others publish.\n"
    "Without options on 127.0.0.1:8080, for this machine only.";

static const char *const more =
    "paths:\n"
    "  /ws /ws/NAME /    WebSocket: linnet.v1, and the dialects linnet.channel and linnet.topic\n"
    "  /demo/            pages to try it in a browser\n"
    "  /healthz /readyz  200 while it works; 503 while it drains\n"
    "\n"
    "signals: TERM drains and leaves, INT or a second TERM leaves at once, HUP reads the\n"
    "certificates again. Sockets and notifications of systemd are understood.\n"
    "\n"
    "examples:\n"
    "  linnet serve\n"
    "  linnet serve --listen :9000 --origin https://app.example\n"
    "  linnet serve --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem --insecure\n"
    "\n"
    "exit codes: 0 after TERM; 1 could not serve; 2 wrong use; 130 after INT";

#define LIST(field, name, value, help)  { name, value, LN_ARG_LIST, &o->field, 0, 0, help },
#define TEXT(field, name, value, help)  { name, value, LN_ARG_TEXT, &o->field, 0, 0, help },
#define MAYBE(field, name, value, help) { name, value, LN_ARG_MAYBE, &o->field, 0, 0, help },
#define FLAG(field, name, help)         { name, NULL, LN_ARG_FLAG, &o->field, 0, 0, help },
#define NUMBER(field, name, value, min, max, standard, help)                                       \
    { name, value, LN_ARG_NUMBER, &o->field, min, max, help },
#define SIZE(field, name, value, min, max, standard, help)                                         \
    { name, value, LN_ARG_SIZE, &o->field, min, max, help },

static int parse(ln_options *o, int argc, char **argv) {
    const ln_arg rows[] = {
#include "daemon/options.def"
    };
    const ln_args a = { .usage = "linnet serve [options]",
        .about = about,
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = more };
    return ln_args_parse(&a, argc, argv, NULL);
}

#undef LIST
#undef TEXT
#undef MAYBE
#undef FLAG
#undef NUMBER
#undef SIZE
#define LIST(field, name, value, help)
#define TEXT(field, name, value, help)
#define MAYBE(field, name, value, help)
#define FLAG(field, name, help)
#define NUMBER(field, name, value, min, max, standard, help) .field = (standard),
#define SIZE(field, name, value, min, max, standard, help)   .field = (standard),

/* "*", or scheme://host[:port] and nothing behind it. */
static bool is_origin(const char *text) {
    if (strcmp(text, "*") == 0) return true;
    size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
                    : strncmp(text, "https://", 8) == 0 ? 8
                                                        : 0;
    return scheme && text[scheme] && !strpbrk(text + scheme, "/?#@ *");
}

int ln_options_parse(ln_options *o, int argc, char **argv) {
    *o = (ln_options){
#include "daemon/options.def"
    };
    int code = parse(o, argc, argv);
    if (code >= 0) return code;
    if (!o->tls_cert != !o->tls_key) {
        ln_say("TLS wants both --tls-cert and --tls-key");
        return 2;
    }
    for (size_t i = 0; i < o->origins.count; i++) {
        if (is_origin(o->origins.items[i])) continue;
        ln_say("--origin wants https://HOST[:PORT] without a path, or *, not '%.200s'",
            o->origins.items[i]);
        return 2;
    }
    linnet_log_level level;
    linnet_deflate deflate;
    code = ln_options_log_level(o, &level);
    return code < 0 ? ln_options_deflate(o, &deflate) : code;
}

int ln_options_log_level(const ln_options *o, linnet_log_level *out) {
    static const char *const words[] = { "error", "warn", "info", "debug" };
    *out = LINNET_LOG_WARN;
    if (!o->log_level) return -1;
    for (int i = LINNET_LOG_ERROR; i <= LINNET_LOG_DEBUG; i++) {
        if (strcmp(o->log_level, words[i]) != 0) continue;
        *out = (linnet_log_level)i;
        return -1;
    }
    ln_say("--log-level is error, warn, info or debug, not '%.50s'", o->log_level);
    return 2;
}

int ln_options_deflate(const ln_options *o, linnet_deflate *out) {
    *out = LINNET_DEFLATE_OFF;
    if (!o->deflate) return -1;
    bool takeover = strcmp(o->deflate, "takeover") == 0;
    if (!takeover && *o->deflate && strcmp(o->deflate, "no-takeover") != 0) {
        ln_say("--deflate is 'takeover' or 'no-takeover', not '%.50s'", o->deflate);
        return 2;
    }
    *out = takeover ? LINNET_DEFLATE_TAKEOVER : LINNET_DEFLATE_SHARED;
    return -1;
}
