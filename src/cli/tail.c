/* tail.c -- `linnet tail`: what happens on a server, as it happens. */
#include "base/json.h"
#include "cli/ask.h"
#include "cli/speech.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct tail {
    ln_ask ask;
    const char *user, *channel, *client;
    uint64_t count; /* lines to go; 0: no end */
    bool json, data;
} tail;

static void print_time(uint64_t ms) {
    char out[16];
    struct tm tm;
    time_t at = (time_t)(ms / 1000);
    if (localtime_r(&at, &tm) && strftime(out, sizeof out, "%H:%M:%S", &tm))
        printf("%s.%03u", out, (unsigned)(ms % 1000));
}

/* Strings stay escaped: they are of others' making. */
static void print_value(const ln_json_value *v) {
    bool plain = v->kind == LN_JSON_STRING && v->text.size;
    for (size_t i = 0; plain && i < v->text.size; i++)
        plain = v->text.data[i] > ' ' && v->text.data[i] != '"' && v->text.data[i] != '=';
    if (plain)
        ln_term_text(stdout, v->text);
    else
        ln_speech_print(v->raw);
}

/* 08:20:31.123  publish      channel=news client=d3a5 size=34 */
static void print_words(const ln_json_value *object) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value;
    while (ln_json_next(&it, &key, &value)) {
        uint64_t ts;
        if (ln_json_is(&key, LN_SLICE("ts")) && value.kind == LN_JSON_NUMBER &&
            ln_json_uint(&value, &ts)) {
            print_time(ts);
        } else if (ln_json_is(&key, LN_SLICE("event"))) {
            printf("  %s%-11.*s%s", ln_term_bold(stdout), (int)value.text.size,
                (const char *)value.text.data, ln_term_plain(stdout));
        } else {
            putchar(' ');
            fputs(ln_term_dim(stdout), stdout);
            ln_term_text(stdout, key.text);
            printf("=%s", ln_term_plain(stdout));
            print_value(&value);
        }
    }
    putchar('\n');
}

static int on_line(void *ctx, ln_slice line) {
    tail *t = ctx;
    ln_json_value top;
    if (ln_json_check_long(line, LN_SPEECH_KEYS_MAX, &top) < 0 || top.kind != LN_JSON_OBJECT) {
        ln_say("what answers at %s is no linnet", t->ask.url);
        return 1;
    }
    if (t->json) {
        ln_speech_print(top.raw);
        putchar('\n');
    } else {
        print_words(&top);
    }
    if (fflush(stdout) != 0) return 1; /* main says so */
    return t->count && --t->count == 0 ? 0 : -1;
}

static int put_body(const tail *t, ln_buf *out) {
    const struct {
        const char *key, *text;
    } rows[] = { { "user", t->user }, { "channel", t->channel }, { "client", t->client } };
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].text) continue;
        ln_json_key(&w, rows[i].key);
        ln_json_str(&w, ln_slice_str(rows[i].text));
    }
    if (t->data) {
        ln_json_key(&w, "data");
        ln_json_bool(&w, true);
    }
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

int ln_verb_tail(int argc, char **argv) {
    tail t = { .ask = LN_ASK_INIT };
    const ln_arg rows[] = {
        LN_ASK_ROWS(t.ask),
        { "user", "USER", LN_ARG_TEXT, &t.user, 0, 0, "only what is about this user" },
        { "channel", "CHANNEL", LN_ARG_TEXT, &t.channel, 0, 0, "only what is about this channel" },
        { "client", "ID", LN_ARG_TEXT, &t.client, 0, 0, "only what is about this connection" },
        { "data", NULL, LN_ARG_FLAG, &t.data, 0, 0,
            "show what is said in channels; the key must be one that may `read`, too" },
        { "count", "N", LN_ARG_NUMBER, &t.count, 1, UINT64_MAX, "leave after so many lines" },
        { "json", NULL, LN_ARG_FLAG, &t.json, 0, 0, "one JSON object per line" },
    };
    const ln_args a = { .usage = "linnet tail [options]",
        .about =
            "Follows what happens on a server: who connects and is refused, why connections end,\n"
            "who subscribes and unsubscribes, what is published (how much and where, not what),\n"
            "errors and limits clients run into, and what backends answer. Who reads too slowly\n"
            "misses lines and is told how many. The key must be one that may `operate`.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  linnet tail\n"
                "  linnet tail --user ann\n"
                "  linnet tail --channel chat:lobby --data --json\n"
                "\n"
                "exit codes: 0 after --count lines; 1 no answer, a refusal, or the server ended;\n"
                "2 wrong use; 130 interrupted" };
    int positional = 0, code = ln_args_parse(&a, argc, argv, &positional);
    if (code >= 0) return code;
    if (positional) {
        ln_say("tail wants to know whether %.60s is a --user, a --channel or a --client", argv[1]);
        return 2;
    }
    ln_buf body;
    ln_buf_init(&body, LN_BUF_MAX);
    code = put_body(&t, &body) == LINNET_OK ? -1 : 1;
    if (code < 0) code = ln_ask_follow(&t.ask, "/api/v1/tail", ln_buf_slice(&body), on_line, &t);
    ln_ask_forget(&t.ask);
    ln_buf_fini(&body);
    return code;
}
