#include "cli/bench_options.h"

#include "base/num.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { E = LN_BENCH_ECHO, F = LN_BENCH_FANOUT, C = LN_BENCH_CONNECT, I = LN_BENCH_IDLE };
enum { P = LN_BENCH_PUBLISH, ALL = E | F | C | I | P };

typedef enum flag_type {
    NUMBER,
    SECONDS,
    SWITCH,
    BODY_TEXT,
    BODY_BINARY,
    BODY_NON_ASCII,
    DEFLATE
} flag_type;

typedef struct flag {
    const char *name, *value; /* value: how help shows it, NULL: takes none */
    flag_type type;
    unsigned kinds; /* that know it */
    size_t at;      /* in ln_bench_options */
    uint64_t min, max;
    const char *help;
} flag;

#define AT(field) offsetof(ln_bench_options, field)
static const flag flags[] = {
    { "--connections", "N", NUMBER, ALL, AT(connections), 1, 1000000,
        "connections (default 50; fanout: subscribers; connect: at a time)" },
    { "--size", "B", NUMBER, E | F | I | P, AT(size), 0, 1u << 30,
        "payload bytes, such as 64, 16k, 1m (default 20)" },
    { "--in-flight", "N", NUMBER, E | F | P, AT(in_flight), 1, 100000,
        "messages under way on each; fanout: rounds (default 1)" },
    { "--duration", "S", SECONDS, ALL, AT(duration_s), 0, 86400,
        "seconds to measure (default 5; idle: to hold the connections, default 2)" },
    { "--count", "N", NUMBER, E | F | C | P, AT(count), 1, UINT64_MAX / 2,
        "messages to measure, instead of a duration" },
    { "--warmup", "S", SECONDS, E | F | C | P, AT(warmup_s), 0, 86400,
        "seconds before measuring begins (default 1)" },
    { "--text", NULL, BODY_TEXT, E | F | I, 0, 0, 0, "ASCII text messages (the default)" },
    { "--binary", NULL, BODY_BINARY, E | I, 0, 0, 0, "binary messages" },
    { "--non-ascii", NULL, BODY_NON_ASCII, E | F | I, 0, 0, 0,
        "text of two, three and four byte characters" },
    { "--deflate", "takeover|no-takeover", DEFLATE, E | F | I, 0, 0, 0,
        "permessage-deflate (without a value: takeover; fanout: no-takeover)" },
    { "--sources", "N", NUMBER, ALL, AT(sources), 1, 250,
        "connect from N loopback addresses, 127.0.0.2 and up" },
    { "--topics", "N", NUMBER, F | P, AT(topics), 1, 1000000,
        "topics published to in turn (default 1)" },
    { "--topics-each", "N", NUMBER, F, AT(topics_each), 1, 1000,
        "topics each subscriber follows (default 1)" },
    { "--burst", "N", NUMBER, F, AT(burst), 1, 10000, "publications sent at once (default 1)" },
    { "--publishers", "N", NUMBER, F, AT(publishers), 1, 10000,
        "publishing connections (default 1)" },
    { "--native", NULL, SWITCH, F, AT(native), 0, 0, "the protocol of `linnet serve`" },
    { "--rate", "N", NUMBER, F, AT(rate), 0, 1000000,
        "with --native: publications a second of each; 0: no limit (default 100)" },
    { "--raw", NULL, SWITCH, E | F | C | I, AT(raw), 0, 0,
        "no WebSocket: the same bytes to bench/peers/raw_*" },
    { "--spin", NULL, SWITCH, ALL, AT(spin), 0, 0, "never sleep: poll for answers" },
    { "--pid", "PID", NUMBER, ALL, AT(pid), 1, 1u << 30,
        "the server's process: report its CPU time and memory" },
    { "--json", NULL, SWITCH, ALL, AT(json), 0, 0, "one JSON line instead of the table" },
};
enum { FLAG_COUNT = sizeof flags / sizeof flags[0] };

static const struct kind {
    ln_bench_kind kind;
    const char *name, *help;
} kinds[] = {
    { LN_BENCH_ECHO, "echo", "send messages and count what comes back" },
    { LN_BENCH_FANOUT, "fanout", "publish to topics and count every delivery" },
    { LN_BENCH_CONNECT, "connect", "open and drop connections, one handshake each" },
    { LN_BENCH_IDLE, "idle", "open connections, one message each, and hold them" },
    { LN_BENCH_PUBLISH, "publish", "publish with the native protocol and wait for each answer" },
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

const char *ln_bench_kind_name(ln_bench_kind kind) {
    for (int i = 0; i < KIND_COUNT; i++)
        if (kinds[i].kind == kind) return kinds[i].name;
    return "?";
}

static void print_kinds(FILE *to, unsigned which) {
    for (int i = 0; i < KIND_COUNT; i++) {
        if (!(kinds[i].kind & which)) continue;
        fprintf(to, "%s%s", kinds[i].name, which >> 1 >= (unsigned)kinds[i].kind ? ", " : "");
    }
}

static void print_help(unsigned which) {
    puts("usage: linnet bench echo|fanout|connect|idle|publish [options] URL\n\n"
         "Loads a WebSocket server and prints rate, latency and, with --pid, what a\n"
         "message costs it. URL is ws://HOST[:PORT][/PATH] or wss://... (certificates\n"
         "are not verified).\n\n"
         "loads:");
    for (int i = 0; i < KIND_COUNT; i++)
        printf("  %-9s %s\n", kinds[i].name, kinds[i].help);
    puts("\noptions:");
    for (int i = 0; i < FLAG_COUNT; i++) {
        const flag *f = &flags[i];
        if (!(f->kinds & which)) continue;
        char left[64];
        bool optional = f->type == DEFLATE;
        snprintf(left, sizeof left, "%s%s%s%s", f->name,
            optional   ? "[="
            : f->value ? " "
                       : "",
            f->value ? f->value : "", optional ? "]" : "");
        printf("  %-20s%s%s", left, strlen(left) > 19 ? "\n                      " : "", f->help);
        if (which == ALL && f->kinds != ALL) {
            printf("%s[", strlen(f->help) > 48 ? "\n                      " : " ");
            print_kinds(stdout, f->kinds);
            printf("]");
        }
        puts("");
    }
    puts("  --help              this text\n\n"
         "examples:\n"
         "  linnet bench echo --connections 100 --size 1k ws://127.0.0.1:9001/\n"
         "  linnet bench fanout --native --connections 500 ws://127.0.0.1:8080/ws\n"
         "  linnet bench connect --sources 4 --duration 10 wss://127.0.0.1:8443/ws\n\n"
         "exit codes: 0 measured; 1 the server could not be reached or answered wrongly;\n"
         "2 wrong use");
}

/* A sentence about what would be right. */
__attribute__((format(printf, 1, 2))) static ln_bench_parsed usage(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("linnet bench: ", stderr);
    vfprintf(stderr, format, args);
    fputs("; see linnet bench --help\n", stderr);
    va_end(args);
    return LN_BENCH_USAGE;
}

static bool seconds(const char *text, double *out) {
    char *end;
    if ((*text < '0' || *text > '9') && *text != '.') return false;
    *out = strtod(text, &end);
    return *end == 0 && isfinite(*out);
}

static ln_bench_parsed set_value(ln_bench_options *o, const flag *f, const char *value) {
    char *field = (char *)o + f->at;
    char range[64];
    snprintf(range, sizeof range, "%llu to %llu", (unsigned long long)f->min,
        (unsigned long long)f->max);
    if (f->type == NUMBER) {
        uint64_t n;
        if (!ln_num_size(ln_slice_str(value), &n) || n < f->min || n > f->max)
            return usage("%s wants a whole number from %s", f->name, range);
        memcpy(field, &n, sizeof n);
    } else if (f->type == SECONDS) {
        double s;
        if (!seconds(value, &s) || s > (double)f->max)
            return usage("%s wants seconds, %s", f->name, range);
        memcpy(field, &s, sizeof s);
    } else {
        if (strcmp(value, "takeover") == 0)
            o->deflate = LN_BENCH_TAKEOVER;
        else if (strcmp(value, "no-takeover") == 0)
            o->deflate = LN_BENCH_NO_TAKEOVER;
        else
            return usage("%s is takeover or no-takeover, not %s", f->name, value);
    }
    return LN_BENCH_RUN;
}

static void set_switch(ln_bench_options *o, const flag *f) {
    switch (f->type) {
    case BODY_TEXT: o->body = LN_BENCH_TEXT; break;
    case BODY_BINARY: o->body = LN_BENCH_BINARY; break;
    case BODY_NON_ASCII: o->body = LN_BENCH_NON_ASCII; break;
    case DEFLATE: o->deflate = LN_BENCH_TAKEOVER; break;
    default: *(bool *)((char *)o + f->at) = true; break;
    }
}

static const flag *flag_find(const char *name, size_t len) {
    for (int i = 0; i < FLAG_COUNT; i++)
        if (strlen(flags[i].name) == len && memcmp(flags[i].name, name, len) == 0) return &flags[i];
    return NULL;
}

/* One flag at argv[*i]; moves *i over its value. */
static ln_bench_parsed take_flag(ln_bench_options *o, int argc, char **argv, int *i) {
    const char *arg = argv[*i], *equals = strchr(arg, '=');
    const flag *f = flag_find(arg, equals ? (size_t)(equals - arg) : strlen(arg));
    if (!f) return usage("there is no flag %s", arg);
    if (!(f->kinds & o->kind))
        return usage("%s does not belong to %s", f->name, ln_bench_kind_name(o->kind));
    if (!f->value || (f->type == DEFLATE && !equals)) {
        if (equals) return usage("%s takes no value", f->name);
        set_switch(o, f);
        return LN_BENCH_RUN;
    }
    const char *value = equals ? equals + 1 : NULL;
    if (!value && *i + 1 < argc) value = argv[++*i];
    if (!value) return usage("%s wants a value: %s", f->name, f->value);
    return set_value(o, f, value);
}

/* HOST[:PORT] or [V6][:PORT] at `at`, which ends at `end`. */
static bool parse_authority(ln_bench_options *o, const char *at, const char *end) {
    const char *host = at, *host_end, *port = NULL;
    if (at < end && *at == '[') {
        host_end = memchr(at, ']', (size_t)(end - at));
        if (!host_end) return false;
        host++;
        if (host_end + 1 < end) port = host_end + 1;
    } else {
        host_end = memchr(at, ':', (size_t)(end - at));
        if (host_end)
            port = host_end;
        else
            host_end = end;
    }
    size_t len = (size_t)(host_end - host);
    if (len == 0 || len >= sizeof o->host) return false;
    memcpy(o->host, host, len);
    o->host[len] = 0;

    snprintf(o->port, sizeof o->port, "%s", o->tls ? "443" : "80");
    if (!port) return true;
    size_t digits = (size_t)(end - port) - 1;
    if (*port != ':' || digits == 0 || digits >= sizeof o->port) return false;
    memcpy(o->port, port + 1, digits);
    o->port[digits] = 0;
    uint64_t n;
    return ln_num_u64(ln_slice_str(o->port), 65535, &n) && n > 0;
}

static bool parse_url(ln_bench_options *o) {
    const char *at = o->url;
    if (strncmp(at, "ws://", 5) == 0)
        at += 5;
    else if (strncmp(at, "tcp://", 6) == 0 && o->raw)
        at += 6;
    else if (strncmp(at, "wss://", 6) == 0) {
        at += 6;
        o->tls = true;
    } else
        return false;

    const char *end = at + strcspn(at, "/?#");
    o->target = *end == '/' ? end : "/";
    if ((*end && *end != '/') || strpbrk(o->target, "# \r\n")) return false;
    return parse_authority(o, at, end);
}

/* What fits together and what does not. */
static ln_bench_parsed check(const ln_bench_options *o) {
    if (o->raw && o->deflate) return usage("--raw and --deflate exclude each other");
    if (o->kind == LN_BENCH_FANOUT && o->deflate == LN_BENCH_TAKEOVER)
        return usage("fanout knows --deflate=no-takeover only: each message is inflated once");
    if (o->raw && o->native) return usage("--raw and --native exclude each other");
    if (o->raw && o->topics > 1) return usage("--raw knows one topic only");
    if (o->raw && o->tls) return usage("--raw wants ws:// or tcp://, not wss://");
    if (o->raw && o->publishers > 1) return usage("--raw knows one publisher only");
    if (o->kind == LN_BENCH_FANOUT && o->size < 8)
        return usage(
            "fanout wants %s of at least 8: each message carries its number%s", "--size", "");
    if (o->native && o->topics_each > 1)
        return usage("--native follows one channel per subscriber: no --topics-each");
    if (o->kind == LN_BENCH_PUBLISH && o->size > 64 * 1024)
        return usage("publish wants %s of at most 64k%s", "--size", "");
    if (o->topics_each > o->topics) return usage("--topics-each is at most --topics");
    if (o->raw && o->kind != LN_BENCH_FANOUT && o->kind != LN_BENCH_CONNECT && o->size == 0)
        return usage("--raw wants --size of at least 1");
    return LN_BENCH_RUN;
}

static bool wants_help(const char *arg) {
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0 || strcmp(arg, "help") == 0;
}

static void defaults(ln_bench_options *o, ln_bench_kind kind) {
    *o = (ln_bench_options){
        .kind = kind,
        .connections = 50,
        .in_flight = 1,
        .size = 20,
        .topics = 1,
        .topics_each = 1,
        .burst = 1,
        .publishers = 1,
        .rate = 100,
        .duration_s = kind == LN_BENCH_IDLE ? 2 : 5,
        .warmup_s = 1,
    };
}

ln_bench_parsed ln_bench_options_parse(ln_bench_options *out, int argc, char **argv) {
    if (argc < 2) return usage("wants what to load: echo, fanout, connect, idle or publish");
    if (wants_help(argv[1])) {
        print_help(ALL);
        return LN_BENCH_HELP;
    }
    ln_bench_kind kind = 0;
    for (int i = 0; i < KIND_COUNT; i++)
        if (strcmp(argv[1], kinds[i].name) == 0) kind = kinds[i].kind;
    if (!kind) return usage("%s is not one of echo, fanout, connect, idle, publish", argv[1]);

    defaults(out, kind);
    for (int i = 2; i < argc; i++) {
        if (wants_help(argv[i])) {
            print_help(kind);
            return LN_BENCH_HELP;
        }
        if (argv[i][0] == '-') {
            ln_bench_parsed p = take_flag(out, argc, argv, &i);
            if (p != LN_BENCH_RUN) return p;
        } else if (out->url) {
            return usage("wants one URL, not both %s and %s", out->url, argv[i]);
        } else {
            out->url = argv[i];
        }
    }
    if (!out->url) return usage("wants a URL, such as ws://127.0.0.1:8080/echo");
    if (!parse_url(out))
        return usage(
            "%s is not a URL of the form %s", out->url, "ws://HOST[:PORT][/PATH] or wss://...");
    return check(out);
}
