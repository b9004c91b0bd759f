/* sub.c -- `linnet sub`: what is said in channels, line by line. */
#include "cli/speech.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include <stdio.h>

typedef struct sub {
    ln_speech speech; /* first */
    char *const *channels;
    int channel_count, joined;
    bool json;
    uint64_t count; /* messages to go; 0: no end */
} sub;

static void subscribe(sub *s) {
    ln_buf out;
    ln_buf_init(&out, LN_BUF_MAX);
    for (int i = 0; i < s->channel_count && s->speech.talk.code < 0; i++) {
        ln_buf_clear(&out);
        ln_json_writer w = ln_json_begin(&out);
        ln_json_open(&w, '{');
        ln_json_key(&w, "type");
        ln_json_str(&w, LN_SLICE("subscribe"));
        ln_json_key(&w, "id");
        ln_json_u64(&w, (uint64_t)i + 1);
        ln_json_key(&w, "channel");
        ln_json_str(&w, ln_slice_str(s->channels[i]));
        ln_json_close(&w, '}');
        if (ln_json_end(&w) == LINNET_OK) ln_speech_say(&s->speech, ln_buf_slice(&out));
    }
    ln_buf_fini(&out);
}

static void joined(sub *s) {
    if (++s->joined < s->channel_count) return;
    ln_talk_alarm(&s->speech.talk, 0);
    fprintf(stderr, "linnet: subscribed to");
    for (int i = 0; i < s->channel_count; i++)
        fprintf(stderr, "%s %s", i ? "," : "", s->channels[i]);
    fputc('\n', stderr);
}

static void print(sub *s, const ln_said *said) {
    if (s->json) {
        ln_speech_print(said->raw);
    } else {
        if (s->channel_count > 1) {
            ln_slice name = ln_slice_sub(said->channel, 1, said->channel.size - 1);
            fputs(ln_term_dim(stdout), stdout);
            ln_term_text(stdout, name);
            printf("%s\t", ln_term_plain(stdout));
        }
        ln_speech_print(said->data);
    }
    putchar('\n');
    if (s->count && --s->count == 0) ln_talk_leave(&s->speech.talk, 0);
}

static void on_said(ln_speech *speech, const ln_said *said) {
    sub *s = (sub *)speech;
    bool ours = said->re >= 1 && said->re <= (uint64_t)s->channel_count;
    switch (said->kind) {
    case LN_SAID_WELCOME: subscribe(s); return;
    case LN_SAID_OK: joined(s); return;
    case LN_SAID_MESSAGE:
        if (said->channel.size > 2) print(s, said);
        return;
    case LN_SAID_SKIP:
        ln_say("%llu messages were left out", (unsigned long long)said->count);
        return;
    case LN_SAID_ERROR:
    case LN_SAID_UNSUBSCRIBED:
        ln_speech_complain(ours ? s->channels[said->re - 1] : "the server", said);
        ln_talk_leave(&s->speech.talk, 1);
        return;
    default: return;
    }
}

int ln_verb_sub(int argc, char **argv) {
    static const ln_talk_events events = { ln_speech_open, ln_speech_message, ln_speech_close, NULL,
        NULL, ln_speech_late };
    sub s = { .speech = { .talk = { .events = &events }, .on_said = on_said } };
    ln_dialflags dial = LN_DIALFLAGS_INIT;
    const char *url = LN_SPEECH_URL;
    const ln_arg rows[] = {
        { "url", "URL", LN_ARG_TEXT, &url, 0, 0, "the server (default " LN_SPEECH_URL ")" },
        { "json", NULL, LN_ARG_FLAG, &s.json, 0, 0,
            "print whole messages with channel and offset" },
        { "count", "N", LN_ARG_NUMBER, &s.count, 1, UINT64_MAX, "leave after so many messages" },
        LN_DIALFLAGS_ROWS(dial),
    };
    const ln_args a = { .usage = "linnet sub CHANNEL... [options]",
        .about = "Prints what is published in channels: one line each, the data as JSON, with the\n"
                 "channel and a tab before it when there are several.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  linnet sub news\n"
                "  linnet sub --json --count 10 news weather:berlin\n"
                "  linnet sub --url wss://example.com/ws chat:lobby\n"
                "\n"
                "exit codes: 0 after --count messages; 1 not subscribed, or the server closed;\n"
                "2 wrong use; 130 interrupted" };
    int code = ln_args_parse(&a, argc, argv, &s.channel_count);
    if (code >= 0) return code;
    if (!s.channel_count) {
        ln_say("sub wants a CHANNEL: linnet sub news");
        return 2;
    }
    s.channels = argv + 1;
    return ln_speech_run(&s.speech, &dial, url);
}
