/* history.c -- `linnet history`: what a channel keeps, line by line. */
#include "base/num.h"
#include "cli/speech.h"
#include "cli/verbs.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct history {
    ln_speech speech; /* first */
    const char *channel;
    const char *since; /* EPOCH:OFFSET */
    ln_slice epoch;
    uint64_t offset, limit;
    bool reverse, json;
} history;

static void ask(history *h) {
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    ln_json_writer w = ln_json_begin(&out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, LN_SLICE("history"));
    ln_json_key(&w, "id");
    ln_json_u64(&w, 1);
    ln_json_key(&w, "channel");
    ln_json_str(&w, ln_slice_str(h->channel));
    ln_json_key(&w, "limit");
    ln_json_u64(&w, h->limit);
    ln_json_key(&w, "reverse");
    ln_json_bool(&w, h->reverse);
    if (h->since) {
        ln_json_key(&w, "since");
        ln_json_open(&w, '{');
        ln_json_key(&w, "epoch");
        ln_json_str(&w, h->epoch);
        ln_json_key(&w, "offset");
        ln_json_u64(&w, h->offset);
        ln_json_close(&w, '}');
    }
    ln_json_close(&w, '}');
    if (ln_json_end(&w) == LINNET_OK) ln_speech_say(&h->speech, ln_buf_slice(&out));
    ln_buf_fini(&out);
}

static void print(const history *h, const ln_json_value *message) {
    ln_json_iter it = ln_json_iter_of(message);
    ln_json_value key, value;
    if (h->json) ln_speech_print(message->raw);
    while (!h->json && ln_json_next(&it, &key, &value))
        if (ln_json_is(&key, LN_SLICE("data"))) ln_speech_print(value.raw);
    putchar('\n');
}

/* An ok says more than the other verbs have to know. */
static void answered(history *h, ln_slice raw) {
    ln_json_value top, key, value, message, messages = { 0 }, epoch = { 0 };
    uint64_t offset = 0;
    if (ln_json_check_long(raw, LN_SPEECH_KEYS_MAX, &top) < 0) return; /* it was checked before */
    ln_json_iter it = ln_json_iter_of(&top);
    while (ln_json_next(&it, &key, &value)) {
        if (ln_json_is(&key, LN_SLICE("messages"))) messages = value;
        if (ln_json_is(&key, LN_SLICE("epoch"))) epoch = value;
        if (ln_json_is(&key, LN_SLICE("offset"))) ln_json_uint(&value, &offset);
    }
    if (messages.kind == LN_JSON_ARRAY) {
        it = ln_json_iter_of(&messages);
        while (ln_json_next(&it, &key, &message))
            print(h, &message);
    }
    ln_say("%s stands at %.*s:%" PRIu64, h->channel, (int)epoch.text.size,
        (const char *)epoch.text.data, offset);
    ln_talk_leave(&h->speech.talk, 0);
}

static void on_said(ln_speech *speech, const ln_said *said) {
    history *h = (history *)speech;
    switch (said->kind) {
    case LN_SAID_WELCOME: ask(h); return;
    case LN_SAID_OK: answered(h, said->raw); return;
    case LN_SAID_ERROR:
        ln_speech_complain(h->channel, said);
        ln_talk_leave(&speech->talk, 1);
        return;
    default: return;
    }
}

/* EPOCH:OFFSET, as the verb itself prints it. */
static bool read_since(history *h) {
    ln_slice rest = ln_slice_str(h->since);
    return ln_slice_cut(&rest, ':', &h->epoch) && h->epoch.size > 0 &&
           ln_num_u64(rest, (UINT64_C(1) << 53) - 1, &h->offset);
}

int ln_verb_history(int argc, char **argv) {
    static const ln_talk_events events = { ln_speech_open, ln_speech_message, ln_speech_close, NULL,
        NULL, ln_speech_late };
    history h = { .speech = { .talk = { .events = &events }, .on_said = on_said }, .limit = 100 };
    ln_dialflags dial = LN_DIALFLAGS_INIT;
    const char *url = LN_SPEECH_URL;
    const ln_arg rows[] = {
        { "url", "URL", LN_ARG_TEXT, &url, 0, 0, "the server (default " LN_SPEECH_URL ")" },
        { "since", "E:O", LN_ARG_TEXT, &h.since, 0, 0,
            "go on from epoch E and offset O: what follows it" },
        { "limit", "N", LN_ARG_NUMBER, &h.limit, 0, 1000,
            "so many messages at most (default 100; 0: only where the channel stands)" },
        { "reverse", NULL, LN_ARG_FLAG, &h.reverse, 0, 0,
            "the newest first; with --since what stands before it" },
        { "json", NULL, LN_ARG_FLAG, &h.json, 0, 0, "print whole messages with offset and time" },
        LN_DIALFLAGS_ROWS(dial),
    };
    const ln_args a = { .usage = "linnet history CHANNEL [options]",
        .about =
            "Prints what a channel keeps of what was published in it: one line each, the data as\n"
            "JSON, the oldest first; and on stderr where the channel stands, as EPOCH:OFFSET.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  linnet history news\n"
                "  linnet history --reverse --limit 1 news\n"
                "  linnet history --json --since f491e39f57108b4a:17 news\n"
                "\n"
                "exit codes: 0 answered; 1 refused (the position is not kept any more, or the\n"
                "channel keeps nothing), or no connection; 2 wrong use; 130 interrupted" };
    int positional = 0, code = ln_args_parse(&a, argc, argv, &positional);
    if (code >= 0) return code;
    if (positional != 1) {
        ln_say("history wants one CHANNEL: linnet history news");
        return 2;
    }
    if (h.since && !read_since(&h)) {
        ln_say("--since wants EPOCH:OFFSET, as in f491e39f57108b4a:17");
        return 2;
    }
    h.channel = argv[1];
    return ln_speech_run(&h.speech, &dial, url);
}
