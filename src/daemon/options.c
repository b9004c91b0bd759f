#include "daemon/options.h"
#include "base/ip.h"
#include "daemon/config.h"
#include "daemon/jwks.h"
#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the table ---------------------------------------------------------------------- */

/* Names of kinds and bits as they stand in the rows. */
#define RESTART         LN_OPTION_RESTART
#define RELOAD          LN_OPTION_RELOAD
#define OFF             LN_OPTION_OFF
#define BARE            LN_OPTION_BARE
#define SECRET          LN_OPTION_SECRET
#define REQUIRED        LN_OPTION_REQUIRED
#define AT(type, field) offsetof(type, field)

#define ITEM(type, kind, field, path, value, how, min, max, standard, example, help)               \
    { path, NULL, value, LN_OPTION_##kind, how, AT(type, field), min, max, standard, example,      \
        help, NULL },

static const ln_option space_rows[] = {
    ITEM(ln_space, TEXT, name, "name", "NAME", REQUIRED, 0, 0, "", "chat", "its channels' prefix")
#define NAMESPACE(...) ITEM(ln_space, __VA_ARGS__)
#include "daemon/options.def"
};
static const ln_option door_rows[] = {
#define LISTENER(...) ITEM(ln_door, __VA_ARGS__)
#include "daemon/options.def"
};
static const ln_option certificate_rows[] = {
#define CERTIFICATE(...) ITEM(ln_certificate, __VA_ARGS__)
#include "daemon/options.def"
};
static const ln_option_table namespaces_table = { space_rows,
    sizeof space_rows / sizeof space_rows[0], sizeof(ln_space) },
                             listeners_table = { door_rows, sizeof door_rows / sizeof door_rows[0],
                                 sizeof(ln_door) },
                             certificates_table = { certificate_rows,
                                 sizeof certificate_rows / sizeof certificate_rows[0],
                                 sizeof(ln_certificate) };

/* The table of a list's items: of field F it is F_table. */
#define OF_FLAG(field)     NULL
#define OF_TEXT(field)     NULL
#define OF_NUMBER(field)   NULL
#define OF_SIZE(field)     NULL
#define OF_DURATION(field) NULL
#define OF_WORD(field)     NULL
#define OF_LIST(field)     NULL
#define OF_ITEMS(field)    &field##_table

static const ln_option rows[] = {
#define OPTION(kind, field, path, flag, value, how, min, max, standard, example, help)             \
    { path, flag, value, LN_OPTION_##kind, how, AT(ln_options, field), min, max, standard,         \
        example, help, OF_##kind(field) },
#define NAMESPACE(kind, field, path, value, how, min, max, standard_, example, help)               \
    { path, NULL, value, LN_OPTION_##kind, (how) | RELOAD, AT(ln_options, standard.field), min,    \
        max, standard_, example, help, NULL },
#include "daemon/options.def"
};
static const ln_option_table table = { rows, sizeof rows / sizeof rows[0], sizeof(ln_options) };
static_assert(sizeof rows / sizeof rows[0] == LN_OPTION_COUNT, "one source for each row");

const ln_option_table *ln_options_table(void) {
    return &table;
}

/* ---- problems ----------------------------------------------------------------------- */

/* How an option is called where it was given. */
static void name_of(const ln_option *row, ln_source_kind from, char *out, size_t size) {
    if (from == LN_SOURCE_FLAG)
        snprintf(out, size, "--%s", row->flag);
    else if (from != LN_SOURCE_ENVIRONMENT || !ln_option_env(row, out, size))
        snprintf(out, size, "%s", row->path);
}

/* A problem with the value of an option, wherever that came from. */
__attribute__((format(printf, 4, 5))) static void wrong(
    ln_problems *p, const ln_options *o, size_t row, const char *format, ...) {
    char name[100], words[LN_OPTION_WHY_MAX];
    name_of(&rows[row], o->from[row].kind, name, sizeof name);
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    ln_problem(p, &o->from[row], "%s %s", name, words);
}

/* ---- taking it in ------------------------------------------------------------------- */

static void empty(const ln_option *row, ln_options *o) {
    if (row->kind == LN_OPTION_LIST) memset(ln_option_at(row, o), 0, sizeof(ln_arg_list));
}

static void take(ln_options *o, size_t row, const char *text, ln_problems *p) {
    char why[LN_OPTION_WHY_MAX];
    if (!ln_option_take(&rows[row], text, ln_option_at(&rows[row], o), why))
        wrong(p, o, row, "%s", why);
}

static bool is_reference(const char *text) {
    return strncmp(text, "file:", 5) == 0 || strncmp(text, "credential:", 11) == 0;
}

static void take_flag(ln_options *o, size_t row, const ln_arg_list *texts, ln_problems *p) {
    if (!texts->count) return;
    o->from[row] = (ln_source){ .kind = LN_SOURCE_FLAG };
    empty(&rows[row], o);
    bool list = rows[row].kind == LN_OPTION_LIST;
    for (size_t i = list ? 0 : texts->count - 1; i < texts->count; i++) {
        if ((rows[row].how & SECRET) && !is_reference(texts->items[i]))
            wrong(p, o, row, "wants file:PATH or credential:NAME; others can read command lines");
        else
            take(o, row, texts->items[i], p);
    }
}

/* A list stands between commas. The environment itself stays as it is, for the next reload. */
static void take_env_list(ln_options *o, size_t row, const char *text, ln_problems *p) {
    char *rest = ln_shelf_text(&o->shelf, text, strlen(text));
    if (!rest) wrong(p, o, row, "cannot be kept: no memory");
    empty(&rows[row], o);
    for (char *item; (item = strsep(&rest, ",")) != NULL;)
        if (*item) take(o, row, item, p);
}

static void take_env(ln_options *o, size_t row, ln_problems *p) {
    char name[100];
    const char *text = ln_option_env(&rows[row], name, sizeof name) ? getenv(name) : NULL;
    if (!text || !*text) return;
    o->from[row] = (ln_source){ .kind = LN_SOURCE_ENVIRONMENT };
    if (rows[row].kind == LN_OPTION_LIST)
        take_env_list(o, row, text, p);
    else
        take(o, row, text, p);
}

/* ---- what belongs together ---------------------------------------------------------- */

static size_t row_of(const char *path) {
    return (size_t)(ln_option_find(&table, path) - rows);
}

/* "*", or scheme://host[:port] and nothing behind it. */
static bool is_origin(const char *text) {
    if (strcmp(text, "*") == 0) return true;
    size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
                    : strncmp(text, "https://", 8) == 0 ? 8
                                                        : 0;
    return scheme && text[scheme] && !strpbrk(text + scheme, "/?#@ *");
}

static void check_tls(const ln_options *o, ln_problems *p) {
    size_t cert = row_of("tls.cert"), key = row_of("tls.key");
    if (o->tls_cert && !o->tls_key)
        wrong(p, o, cert, "wants tls.key (--tls-key) beside it: TLS needs both");
    if (o->tls_key && !o->tls_cert)
        wrong(p, o, key, "wants tls.cert (--tls-cert) beside it: TLS needs both");
    if (o->tls_client_ca && !o->tls_cert)
        wrong(p, o, row_of("tls.client_ca"), "wants tls.cert and tls.key beside it");
}

static void check_proxies(const ln_options *o, ln_problems *p) {
    ln_cidr net;
    for (size_t i = 0; i < o->trusted_proxies.count; i++) {
        const char *text = o->trusted_proxies.items[i];
        if (strcmp(text, "unix") == 0 || ln_cidr_parse(ln_slice_str(text), &net)) continue;
        wrong(p, o, row_of("proxies.trusted"),
            "wants an address, a network with nothing behind its prefix (10.0.0.0/8, "
            "2001:db8::1), or unix, not '%.100s'",
            text);
    }
}

static void check_queue(const ln_options *o, ln_problems *p) {
    if (o->queue_low && o->queue_low >= o->queue_high)
        wrong(p, o, row_of("queue.low"), "wants less than queue.high");
}

static void check_doors(const ln_options *o, ln_problems *p) {
    bool tls = o->tls_cert;
    for (size_t i = 0; i < o->listeners.count; i++) {
        const ln_door *door = ln_options_door(o, i);
        ln_source at = { LN_SOURCE_FILE, door->line, 1 };
        bool plain = door->tls == LN_DOOR_PLAIN, own = door->cert || door->key || door->client_ca;
        if (!door->cert != !door->key)
            ln_problem(p, &at, "a listener wants both cert and key, or neither");
        else if (plain && own)
            ln_problem(p, &at, "a listener that is plain (tls: off) wants no cert, key, client_ca");
        else if (!door->cert && !o->tls_cert && door->client_ca)
            ln_problem(p, &at, "client_ca wants cert and key beside it, or tls.cert and tls.key");
        tls = tls || door->cert;
    }
    if (o->certificates.count && !tls)
        wrong(p, o, row_of("tls.certificates"), "wants a TLS listener: tls.cert and tls.key");
}

static void check_jwks(const ln_options *o, ln_problems *p) {
    for (size_t i = 0; i < o->auth_jwks.count; i++) {
        const char *wrong_with = ln_jwks_wrong(o, o->auth_jwks.items[i]);
        if (wrong_with)
            wrong(p, o, row_of("auth.jwks"), "%s: '%.200s'", wrong_with, o->auth_jwks.items[i]);
    }
    if (o->auth_jwks.count > LN_JWKS_MAX) wrong(p, o, row_of("auth.jwks"), "wants at most 16");
}

/* What a request would be refused for is told before there is one. */
static void check_webhooks(const ln_options *o, ln_problems *p) {
    static const char *const paths[] = { "webhooks.connect", "webhooks.subscribe",
        "webhooks.publish", "webhooks.call", "webhooks.event", "webhooks.disconnect",
        "webhooks.refresh", "webhooks.occupied", "webhooks.vacated" };
    const char *const urls[] = { o->webhook_connect, o->webhook_subscribe, o->webhook_publish,
        o->webhook_call, o->webhook_event, o->webhook_disconnect, o->webhook_refresh,
        o->webhook_occupied, o->webhook_vacated };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        if (!urls[i]) continue;
        if (strncmp(urls[i], "http://", 7) != 0 && strncmp(urls[i], "https://", 8) != 0)
            wrong(p, o, row_of(paths[i]), "wants http:// or https://, not '%.200s'", urls[i]);
        if (!o->webhook_keys.count)
            wrong(p, o, row_of(paths[i]),
                "wants webhooks.keys beside it: a backend must know who is asking");
    }
    if (o->webhook_keys.count > 2)
        wrong(p, o, row_of("webhooks.keys"), "wants one or two: the new one and the old one");
}

static void check_resume(const ln_options *o, ln_problems *p) {
    if (o->resume_keys.count > 2)
        wrong(p, o, row_of("resume.keys"), "wants one or two: the new one and the old one");
}

static bool is_namespace(const char *name) {
    static const char bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t size = strlen(name);
    return strcmp(name, "@") == 0 || (size && size <= 64 && strspn(name, bytes) == size);
}

static void check_spaces(const ln_options *o, ln_problems *p) {
    for (size_t i = 0; i < o->namespaces.count; i++) {
        const ln_space *space = ln_options_space(o, i);
        ln_source at = { LN_SOURCE_FILE, space->line, 1 };
        if (!space->name) continue; /* that was said */
        if (!is_namespace(space->name))
            ln_problem(p, &at,
                "a namespace wants a name of 1 to 64 letters, digits, _ . - (or @, for channels of "
                "users), not '%.100s'",
                space->name);
        for (size_t k = 0; k < i; k++)
            if (ln_options_space(o, k)->name &&
                strcmp(ln_options_space(o, k)->name, space->name) == 0)
                ln_problem(p, &at, "there is a namespace '%s' already, in line %u", space->name,
                    ln_options_space(o, k)->line);
    }
}

static void check(const ln_options *o, ln_problems *p) {
    check_tls(o, p);
    check_doors(o, p);
    check_queue(o, p);
    check_proxies(o, p);
    check_jwks(o, p);
    check_webhooks(o, p);
    check_resume(o, p);
    check_spaces(o, p);
    for (size_t i = 0; i < o->origins.count; i++)
        if (!is_origin(o->origins.items[i]))
            wrong(p, o, row_of("origins"),
                "wants https://HOST[:PORT] without a path, or *, not '%.200s'",
                o->origins.items[i]);
}

/* The variable of a row that is most like one that means nothing; false: none is. */
static bool like_env(const char *name, char out[100]) {
    size_t least = 3;
    char env[100];
    for (size_t i = 0; i < LN_OPTION_COUNT; i++) {
        if (!ln_option_env(&rows[i], env, sizeof env)) continue;
        size_t far = ln_option_distance(env, name);
        if (far >= least) continue;
        least = far;
        memcpy(out, env, sizeof env);
    }
    return least > 0 && least < 3;
}

/* What means something there besides options. */
static bool is_known_env(const char *name) {
    static const char *const names[] = { "LINNET_CONFIG", "LINNET_API_KEY", "LINNET_CORE_DUMPS" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

/* A slip in a name is told. Others may begin with LINNET_ as well: a cluster puts the addresses of
 * a service that is called so there. */
static void check_env(ln_problems *p) {
    char name[100], other[100];
    for (char **at = environ; at && *at; at++) {
        size_t size = strcspn(*at, "=");
        if (strncmp(*at, "LINNET_", 7) != 0 || size >= sizeof name) continue;
        snprintf(name, sizeof name, "%.*s", (int)size, *at);
        if (!is_known_env(name) && like_env(name, other))
            ln_problem(p, NULL, "there is no option %s; did you mean %s?", name, other);
    }
}

bool ln_options_load(ln_options *o, const ln_told *told, ln_problems *p) {
    memset(o, 0, sizeof *o);
    ln_option_standards(&table, o);
    o->file = told->config ? told->config : getenv("LINNET_CONFIG");
    if (o->file && !*o->file) o->file = NULL;
    ln_config c = { .table = &table, .of = o, .from = o->from, .shelf = &o->shelf, .problems = p };
    if (o->file) ln_config_read_file(&c, o->file);
    for (size_t i = 0; i < LN_OPTION_COUNT; i++) {
        take_env(o, i, p);
        take_flag(o, i, &told->texts[i], p);
    }
    check_env(p);
    check(o, p);
    return !p->count;
}

bool ln_options_secrets(ln_options *o, ln_problems *p) {
    const ln_config c = {
        .table = &table, .of = o, .from = o->from, .shelf = &o->shelf, .problems = p
    };
    return ln_config_secrets(&c);
}

/* ---- the command line --------------------------------------------------------------- */

static const char *const about =
    "Serves channels: whoever connects may subscribe, publish, and hears what others publish.\n"
    "Without options on 127.0.0.1:8080, for this machine only.";

static const char *const more =
    "environment: LINNET_CONFIG is --config, and each option has a name there, too, as 'linnet\n"
    "config doc' says. It wins over the file, and the command line over both.\n"
    "\n"
    "paths:\n"
    "  /ws /ws/NAME /    WebSocket: linnet.v1, and the dialects linnet.channel, linnet.topic,\n"
    "                    linnet.rpc and linnet.event\n"
    "  /feed/CHANNEL     WebSocket: the data of one channel and nothing else\n"
    "  /sse?channel=C    the same channels as an event stream, for EventSource\n"
    "  /demo/            pages to try it in a browser\n"
    "  /healthz /readyz  200 while it works; 503 while it drains\n"
    "  /metrics          for Prometheus and `linnet status`, with a key\n"
    "\n"
    "signals: TERM drains and leaves, INT or a second TERM leaves at once, HUP reads the\n"
    "configuration and the certificates again and says what wants a restart. Sockets and\n"
    "notifications of systemd are understood.\n"
    "\n"
    "examples:\n"
    "  linnet serve\n"
    "  linnet serve --listen :9000 --origin https://app.example\n"
    "  linnet config gen > linnet.yaml && linnet serve --config linnet.yaml\n"
    "  linnet serve --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem --insecure\n"
    "\n"
    "exit codes: 0 after TERM; 1 could not serve; 2 wrong use; 130 after INT";

/* A row for each option that has a flag; all are taken as texts first. */
static size_t flags_of(ln_told *t, ln_arg args[LN_OPTION_COUNT + 1]) {
    size_t count = 0;
    for (size_t i = 0; i < LN_OPTION_COUNT; i++) {
        const ln_option *row = &rows[i];
        if (!row->flag) continue;
        bool flag = row->kind == LN_OPTION_FLAG;
        args[count++] = (ln_arg){ .name = row->flag,
            .value = flag ? NULL : row->value,
            .kind = LN_ARG_LIST,
            .target = &t->texts[i],
            .help = row->help,
            .standard = flag ? "" : row->standard,
            .bare = flag              ? "true"
                    : row->how & BARE ? ""
                                      : NULL };
    }
    args[count++] = (ln_arg){ .name = "config",
        .value = "FILE",
        .kind = LN_ARG_TEXT,
        .target = &t->config,
        .help = "linnet.yaml: all of these and more; see 'linnet config --help'" };
    return count;
}

int ln_options_words(ln_told *t, const ln_args *a, int argc, char **argv, int *positional) {
    memset(t, 0, sizeof *t);
    ln_arg args[LN_OPTION_COUNT + 1];
    ln_args with = *a;
    with.rows = args;
    with.count = flags_of(t, args);
    return ln_args_parse(&with, argc, argv, positional);
}

void ln_options_fini(ln_options *o) {
    ln_shelf_clear(&o->shelf);
}

int ln_options_parse(ln_options *o, ln_told *told, int argc, char **argv) {
    static const ln_args a = { .usage = "linnet serve [options]", .about = about, .more = more };
    memset(o, 0, sizeof *o);
    int code = ln_options_words(told, &a, argc, argv, NULL);
    if (code >= 0) return code;
    ln_problems p = { .count = 0 };
    if (ln_options_load(o, told, &p) && ln_options_secrets(o, &p)) return -1;
    ln_problems_say(&p);
    ln_options_fini(o);
    return 2;
}
