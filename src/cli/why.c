/* why.c -- `linnet why`: how the last connections of somebody ended, and what to do about it. */
#include "base/json.h"
#include "cli/ask.h"
#include "cli/speech.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include <stdio.h>
#include <time.h>

typedef struct why {
    ln_ask ask;
    const char *user, *client;
    uint64_t limit;
    bool json;
} why;

/* ---- for people ------------------------------------------------------------------------- */

typedef struct end { /* what is not there is empty, or 0 */
    ln_json_value client, user, address, dialect, by, reason, fault, meaning, advice, last_error;
    uint64_t opened, closed, in, out, code;
    bool counted;
} end;

static void end_read(const ln_json_value *object, end *e) {
    const struct {
        ln_slice key;
        ln_json_value *text;
        uint64_t *number;
    } rows[] = {
        { LN_SLICE("client"), &e->client, NULL },
        { LN_SLICE("user"), &e->user, NULL },
        { LN_SLICE("address"), &e->address, NULL },
        { LN_SLICE("dialect"), &e->dialect, NULL },
        { LN_SLICE("by"), &e->by, NULL },
        { LN_SLICE("reason"), &e->reason, NULL },
        { LN_SLICE("fault"), &e->fault, NULL },
        { LN_SLICE("meaning"), &e->meaning, NULL },
        { LN_SLICE("advice"), &e->advice, NULL },
        { LN_SLICE("last_error"), &e->last_error, NULL },
        { LN_SLICE("opened"), NULL, &e->opened },
        { LN_SLICE("closed"), NULL, &e->closed },
        { LN_SLICE("bytes_in"), NULL, &e->in },
        { LN_SLICE("bytes_out"), NULL, &e->out },
        { LN_SLICE("code"), NULL, &e->code },
    };
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value;
    *e = (end){ .code = 0 };
    while (ln_json_next(&it, &key, &value)) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            if (!ln_json_is(&key, rows[i].key)) continue;
            if (rows[i].text) *rows[i].text = value;
            if (rows[i].number && value.kind == LN_JSON_NUMBER)
                ln_json_uint(&value, rows[i].number);
        }
        if (ln_json_is(&key, LN_SLICE("bytes_in"))) e->counted = true;
    }
}

/* Strings stay escaped: they are of others' making. */
static void text(const char *before, const ln_json_value *v, const char *after) {
    if (v->kind != LN_JSON_STRING || !v->text.size) return;
    fputs(before, stdout);
    ln_term_text(stdout, v->text);
    fputs(after, stdout);
}

static void print_time(uint64_t ms) {
    char out[32];
    struct tm tm;
    time_t at = (time_t)(ms / 1000);
    if (localtime_r(&at, &tm) && strftime(out, sizeof out, "%Y-%m-%d %H:%M:%S", &tm))
        fputs(out, stdout);
}

static void print_span(uint64_t ms) {
    uint64_t s = ms / 1000;
    if (s >= 3600)
        printf(
            "%llu h %llu min", (unsigned long long)(s / 3600), (unsigned long long)(s / 60 % 60));
    else if (s >= 60)
        printf("%llu min %llu s", (unsigned long long)(s / 60), (unsigned long long)(s % 60));
    else
        printf("%llu.%llu s", (unsigned long long)s, (unsigned long long)(ms % 1000 / 100));
}

static void print_last_error(const ln_json_value *object) {
    if (object->kind != LN_JSON_OBJECT) return;
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value, message = { 0 };
    uint64_t code = 0, ts = 0;
    while (ln_json_next(&it, &key, &value)) {
        bool number = value.kind == LN_JSON_NUMBER;
        if (number && ln_json_is(&key, LN_SLICE("code"))) ln_json_uint(&value, &code);
        if (number && ln_json_is(&key, LN_SLICE("ts"))) ln_json_uint(&value, &ts);
        if (ln_json_is(&key, LN_SLICE("message"))) message = value;
    }
    printf("  last error  %llu", (unsigned long long)code);
    text(" ", &message, "");
    fputs(" (", stdout);
    print_time(ts);
    fputs(")\n", stdout);
}

static void print_end(const ln_json_value *object) {
    end e;
    end_read(object, &e);
    fputs(ln_term_bold(stdout), stdout);
    print_time(e.closed);
    text("  ", &e.client, "");
    text("  ", &e.user, "");
    printf("%s\n", ln_term_plain(stdout));
    printf("  closed      %llu by the ", (unsigned long long)e.code);
    text("", &e.by, "");
    text(", \"", &e.reason, "\"");
    text(" (", &e.fault, ")");
    putchar('\n');
    text("  meaning     ", &e.meaning, "\n");
    text("  what to do  ", &e.advice, "\n");
    print_last_error(&e.last_error);
    printf("  connection  ");
    text("from ", &e.address, ", ");
    text("", &e.dialect, ", open for ");
    print_span(e.closed > e.opened ? e.closed - e.opened : 0);
    if (e.counted)
        printf(", %llu bytes in, %llu out", (unsigned long long)e.in, (unsigned long long)e.out);
    putchar('\n');
}

/* ---- asking ----------------------------------------------------------------------------- */

/* {"ok":{"ends":[...],"more":false}}; how many, or -1: that is no answer. */
static int print_answer(const why *y, ln_slice answer) {
    ln_json_value top, key, ok, ends, item;
    int count = 0;
    if (ln_json_check_long(answer, LN_SPEECH_KEYS_MAX, &top) < 0 || top.kind != LN_JSON_OBJECT)
        return -1;
    ln_json_iter it = ln_json_iter_of(&top);
    if (!ln_json_next(&it, &key, &ok) || ok.kind != LN_JSON_OBJECT) return -1;
    it = ln_json_iter_of(&ok);
    if (!ln_json_next(&it, &key, &ends) || ends.kind != LN_JSON_ARRAY) return -1;
    it = ln_json_iter_of(&ends);
    while (ln_json_next(&it, &key, &item)) {
        if (y->json) {
            ln_speech_print(item.raw);
            putchar('\n');
        } else {
            print_end(&item);
        }
        count++;
    }
    return count;
}

/* How many there were, or -1 and the exit code. */
static int ask_for(why *y, const char *user, const char *client, int *code) {
    ln_buf body, out;
    ln_buf_init(&body, LN_BUF_MAX);
    ln_buf_init(&out, LN_ASK_MAX);
    ln_json_writer w = ln_json_begin(&body);
    ln_json_open(&w, '{');
    if (user) {
        ln_json_key(&w, "user");
        ln_json_str(&w, ln_slice_str(user));
    }
    if (client) {
        ln_json_key(&w, "client");
        ln_json_str(&w, ln_slice_str(client));
    }
    ln_json_key(&w, "limit");
    ln_json_u64(&w, y->limit);
    ln_json_close(&w, '}');
    int count = -1;
    *code = ln_json_end(&w) == LINNET_OK ? -1 : 1;
    if (*code < 0) *code = ln_ask_do(&y->ask, "POST", "/api/v1/why", ln_buf_slice(&body), &out);
    if (*code < 0 && (count = print_answer(y, ln_buf_slice(&out))) < 0) {
        ln_say("what answers at %s does not tell why", y->ask.url);
        *code = 1;
    }
    ln_buf_fini(&body);
    ln_buf_fini(&out);
    return count;
}

static int run(why *y, const char *who) {
    int code, count = who ? ask_for(y, NULL, who, &code) : ask_for(y, y->user, y->client, &code);
    if (code < 0 && who && count == 0) count = ask_for(y, who, NULL, &code);
    ln_ask_forget(&y->ask);
    if (code >= 0) return code;
    if (count) return 0;
    ln_say("nothing is known of such a connection that has ended; %s",
        who || y->user || y->client ? "it may be open still, be too long ago, or have another name"
                                    : "none has ended yet");
    return 1;
}

int ln_verb_why(int argc, char **argv) {
    why y = { .ask = LN_ASK_INIT, .limit = 10 };
    const ln_arg rows[] = {
        LN_ASK_ROWS(y.ask),
        { "user", "USER", LN_ARG_TEXT, &y.user, 0, 0, "only the connections of this user" },
        { "client", "ID", LN_ARG_TEXT, &y.client, 0, 0, "only the connection of this id" },
        { "limit", "N", LN_ARG_NUMBER, &y.limit, 1, 10000,
            "so many at most, the last first (default 10)" },
        { "json", NULL, LN_ARG_FLAG, &y.json, 0, 0, "one JSON object per line" },
    };
    const ln_args a = { .usage = "linnet why [CONNECTION|USER] [options]",
        .about =
            "Tells how connections ended: when, by whom and with which code, what that means, "
            "what\n"
            "to do about it, and which error the client was told last. CONNECTION is the id that\n"
            "welcome calls client; without one all are meant. A server remembers about 1,000 per\n"
            "worker, for a day.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  linnet why ann\n"
                "  linnet why d3a59556a7d35165\n"
                "  linnet why --limit 100 --json --url unix:/run/linnet/door\n"
                "\n"
                "exit codes: 0 told; 1 nothing is known, no answer, or a refusal; 2 wrong use" };
    int positional = 0, code = ln_args_parse(&a, argc, argv, &positional);
    if (code >= 0) return code;
    if (positional > 1 || (positional == 1 && (y.user || y.client))) {
        ln_say("why wants one CONNECTION or USER: linnet why ann");
        return 2;
    }
    return run(&y, positional ? argv[1] : NULL);
}
