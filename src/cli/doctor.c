/* doctor.c -- `linnet doctor`: what stands in the way, on this machine and on the way to a server.
 */
#include "cli/doctor.h"
#include "base/json.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include "daemon/options.h"
#include "daemon/serve.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void print_json(ln_finding how, const char *what, const char *words, const char *advice) {
    static const char *const names[] = { "ok", "warn", "fail" };
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    ln_json_writer w = ln_json_begin(&out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "result");
    ln_json_str(&w, ln_slice_str(names[how]));
    ln_json_key(&w, "check");
    ln_json_str(&w, ln_slice_str(what));
    ln_json_key(&w, "found");
    ln_json_str(&w, ln_slice_str(words));
    if (advice) {
        ln_json_key(&w, "advice");
        ln_json_str(&w, ln_slice_str(advice));
    }
    ln_json_close(&w, '}');
    if (ln_json_end(&w) == LINNET_OK)
        printf("%.*s\n", (int)out.size, (const char *)ln_buf_slice(&out).data);
    ln_buf_fini(&out);
}

void ln_found(
    ln_doctor *d, ln_finding how, const char *what, const char *advice, const char *format, ...) {
    static const char *const names[] = { "ok", "warn", "FAIL" };
    char words[600];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    for (char *c = words; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) *c = '?';
    if (how == LN_FINE) advice = NULL;
    d->warned += how == LN_WARN;
    d->failed += how == LN_FAIL;
    if (d->json) {
        print_json(how, what, words, advice);
        return;
    }
    printf("%s%-4s%s  %-12s %s\n", how == LN_FINE ? "" : ln_term_bold(stdout), names[how],
        how == LN_FINE ? "" : ln_term_plain(stdout), what, words);
    if (advice) printf("      %-12s %s\n", "", advice);
}

/* As serve would read it; what it says of mistakes comes on stderr before the finding. */
static void check_config(ln_doctor *d, const char *path) {
    static const ln_args none = { .usage = "linnet doctor" };
    char *words[] = { (char *)(uintptr_t) "doctor", NULL };
    ln_told told;
    ln_options o;
    ln_problems p = { .count = 0 };
    int count;
    if (ln_options_words(&told, &none, 1, words, &count) >= 0) return;
    if (path) told.config = path;
    bool read = ln_options_load(&o, &told, &p) && ln_options_secrets(&o, &p);
    if (!read) ln_problems_say(&p);
    bool good = read && ln_serve_try(&o) == 0;
    ln_found(d, good ? LN_FINE : LN_FAIL, "config", "mend what was said above: linnet config check",
        "%.300s: %s", o.file ? o.file : "no file, all as it is by default",
        good ? "nothing is wrong" : "the server would not start with it");
    if (o.file) ln_doctor_file(d, "config file", o.file, false);
    if (read && o.key_file) ln_doctor_file(d, "key file", o.key_file, true);
    if (read && o.tls_key) ln_doctor_file(d, "TLS key", o.tls_key, true);
    ln_options_fini(&o);
}

int ln_verb_doctor(int argc, char **argv) {
    ln_doctor d = { .json = false };
    ln_doctor_way way = { .timeout_s = 5 };
    const char *config = NULL;
    const ln_arg rows[] = {
        { "config", "FILE", LN_ARG_TEXT, &config, 0, 0,
            "look at this configuration (default: LINNET_CONFIG, or none)" },
        { "token", "T", LN_ARG_TEXT, &way.token, 0, 0,
            "log in with this token (others on this machine can read it)" },
        { "tls-ca", "FILE", LN_ARG_TEXT, &way.ca, 0, 0,
            "PEM certificates to trust instead of the system's" },
        { "timeout", "S", LN_ARG_NUMBER, &way.timeout_s, 1, 300,
            "seconds to wait for each answer (default 5)" },
        { "json", NULL, LN_ARG_FLAG, &d.json, 0, 0, "one JSON object per finding" },
    };
    const ln_args a = { .usage = "linnet doctor [URL] [options]",
        .about =
            "Looks for what stands in the way of a server: on this machine limits, the clock, the\n"
            "configuration and who may read its files; with URL (ws, wss, http, https) the way to\n"
            "a running one: name, TCP, certificate, the upgrade through proxies, pages of\n"
            "strangers, the protocol, a round trip, and whether event streams come through. Each\n"
            "line is ok, warn or FAIL, with what to do.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  linnet doctor\n"
                "  linnet doctor --config /etc/linnet/linnet.yaml\n"
                "  linnet doctor wss://example.com/ws\n"
                "\n"
                "exit codes: 0 nothing fails; 1 something does; 2 wrong use" };
    int positional = 0, code = ln_args_parse(&a, argc, argv, &positional);
    if (code >= 0) return code;
    if (positional > 1) {
        ln_say("doctor wants one URL: linnet doctor wss://example.com/ws");
        return 2;
    }
    way.url = positional ? argv[1] : NULL;
    if (!way.url || config) {
        ln_doctor_host(&d, "/proc");
        check_config(&d, config);
    }
    if (way.url && !ln_doctor_url(&d, &way)) {
        ln_say(
            "'%.200s' is no address: it begins with ws://, wss://, http:// or https://", way.url);
        return 2;
    }
    fflush(stdout);
    if (!d.json && (d.warned || d.failed))
        ln_say("%u to look at, %u that must be mended", d.warned, d.failed);
    return d.failed ? 1 : 0;
}
