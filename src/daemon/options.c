#include "daemon/options.h"
#include "base/ip.h"
#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ---------------------------------------------------------------------- */

/* Names of kinds and bits as they stand in the rows. */
#define RESTART         LN_OPTION_RESTART
#define RELOAD          LN_OPTION_RELOAD
#define OFF             LN_OPTION_OFF
#define BARE            LN_OPTION_BARE
#define SECRET          LN_OPTION_SECRET
#define REQUIRED        LN_OPTION_REQUIRED
#define AT(type, field) offsetof(type, field)

static const ln_option rows[] = {
#define OPTION(kind, field, path, flag, value, how, min, max, standard, example, help)             \
    { path, flag, value, LN_OPTION_##kind, how, AT(ln_options, field), min, max, standard,         \
        example, help, NULL },
#define NAMESPACE(kind, field, path, value, how, min, max, standard_, example, help)               \
    { path, NULL, value, LN_OPTION_##kind, how, AT(ln_options, standard.field), min, max,          \
        standard_, example, help, NULL },
#include "daemon/options.def"
};
static const ln_option_table table = { rows, sizeof rows / sizeof rows[0], sizeof(ln_options) };
static_assert(sizeof rows / sizeof rows[0] == LN_OPTION_COUNT, "one source for each row");

const ln_option_table *ln_options_table(void) {
    return &table;
}

/* ---- problems ----------------------------------------------------------------------- */

void ln_problem(ln_problems *p, const ln_source *at, const char *format, ...) {
    if (p->count++ >= LN_PROBLEMS_MAX) return;
    struct ln_problem *item = &p->items[p->count - 1];
    bool in_file = at && at->kind == LN_SOURCE_FILE;
    item->line = in_file ? at->line : 0;
    item->column = in_file ? at->column : 0;
    va_list args;
    va_start(args, format);
    vsnprintf(item->text, sizeof item->text, format, args);
    va_end(args);
}

void ln_problems_say(const ln_problems *p) {
    for (unsigned i = 0; i < p->count && i < LN_PROBLEMS_MAX; i++) {
        const struct ln_problem *item = &p->items[i];
        if (item->line)
            ln_say("%s:%u:%u: %s", p->file, item->line, item->column, item->text);
        else
            ln_say("%s", item->text);
    }
    if (p->count > LN_PROBLEMS_MAX) ln_say("and %u more", p->count - LN_PROBLEMS_MAX);
}

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

static void check(const ln_options *o, ln_problems *p) {
    check_tls(o, p);
    check_queue(o, p);
    check_proxies(o, p);
    for (size_t i = 0; i < o->origins.count; i++)
        if (!is_origin(o->origins.items[i]))
            wrong(p, o, row_of("origins"),
                "wants https://HOST[:PORT] without a path, or *, not '%.200s'",
                o->origins.items[i]);
}

bool ln_options_load(ln_options *o, const ln_told *told, ln_problems *p) {
    memset(o, 0, sizeof *o);
    ln_option_standards(&table, o);
    for (size_t i = 0; i < LN_OPTION_COUNT; i++) {
        take_env(o, i, p);
        take_flag(o, i, &told->texts[i], p);
    }
    if (!p->count) check(o, p);
    return !p->count;
}

/* ---- the command line --------------------------------------------------------------- */

static const char *const about =
    "Serves channels: whoever connects may subscribe, publish, and hears what others publish.\n"
    "Without options on 127.0.0.1:8080, for this machine only.";

static const char *const more =
    "environment: --log-level is LINNET_LOG_LEVEL there, --max-message LINNET_LIMITS_MESSAGE;\n"
    "there are more, and the command line wins.\n"
    "\n"
    "paths:\n"
    "  /ws /ws/NAME /    WebSocket: linnet.v1, and the dialects linnet.channel, linnet.topic,\n"
    "                    linnet.rpc and linnet.event\n"
    "  /feed/CHANNEL     WebSocket: the data of one channel and nothing else\n"
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

int ln_options_parse(ln_options *o, int argc, char **argv) {
    static const ln_args a = { .usage = "linnet serve [options]", .about = about, .more = more };
    ln_told told;
    memset(o, 0, sizeof *o);
    int code = ln_options_words(&told, &a, argc, argv, NULL);
    if (code >= 0) return code;
    ln_problems p = { .count = 0 };
    if (ln_options_load(o, &told, &p)) return -1;
    ln_problems_say(&p);
    ln_options_fini(o);
    return 2;
}
