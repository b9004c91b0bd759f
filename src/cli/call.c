/* call.c -- `linnet call`: asks the backend of a server something, and prints the answer.
 *
 * One call is under way at a time. Only one that was refused for its rate is said again: of any
 * other nobody knows whether it has had its effect.
 */
#include "base/utf8.h"
#include "cli/asking.h"
#include "cli/verbs.h"
#include <stdio.h>

#define LINE_MAX (16 * 1024 * 1024)

typedef struct call {
    ln_asking asking; /* first */
    const char *method, *channel;
    const char *data; /* NULL: the lines of the input */
    bool json;
} call;

static void ask(call *c, ln_slice text) {
    ln_talk *t = &c->asking.speech.talk;
    t->hold = true;
    if (!ln_utf8_valid(text)) {
        ln_say("call %llu is not UTF-8", (unsigned long long)c->asking.id + 1);
        ln_talk_leave(t, 1);
        return;
    }
    ln_json_writer w = ln_asking_begin(&c->asking, "call");
    ln_json_key(&w, "event");
    ln_json_str(&w, ln_slice_str(c->method));
    if (c->channel) {
        ln_json_key(&w, "channel");
        ln_json_str(&w, ln_slice_str(c->channel));
    }
    ln_json_key(&w, "data");
    ln_speech_put_data(&w, text);
    ln_asking_send(&c->asking, &w);
}

static void answered(call *c, const ln_said *said) {
    ln_talk *t = &c->asking.speech.talk;
    ln_asking_answered(&c->asking);
    ln_speech_print(c->json ? said->raw : said->data.size ? said->data : LN_SLICE("null"));
    putchar('\n');
    t->hold = false;
    if (c->data) ln_talk_leave(t, 0);
}

static void on_said(ln_speech *speech, const ln_said *said) {
    call *c = (call *)speech;
    switch (said->kind) {
    case LN_SAID_WELCOME:
        ln_talk_alarm(&speech->talk, 0);
        speech->talk.hold = false;
        if (c->data) ask(c, ln_slice_str(c->data));
        return;
    case LN_SAID_OK:
        if (said->re == c->asking.id) answered(c, said);
        return;
    case LN_SAID_ERROR:
        if (ln_asking_patient(&c->asking, said, false)) return;
        ln_speech_complain(c->method, said);
        ln_talk_leave(&speech->talk, 1);
        return;
    default: return;
    }
}

static void on_line(ln_talk *t, ln_slice line) {
    ask((call *)t, line);
}

static void on_end(ln_talk *t) {
    ln_talk_leave(t, 0);
}

static int run(call *c, ln_dialflags *dial, const char *url) {
    static const ln_talk_events once = { ln_speech_open, ln_speech_message, ln_speech_close, NULL,
        NULL, ln_asking_alarm },
                                lines = { ln_speech_open, ln_speech_message, ln_speech_close,
                                    on_line, on_end, ln_asking_alarm };
    c->asking.speech.talk = (ln_talk){
        .events = c->data ? &once : &lines, .line_max = LINE_MAX, .hold = true
    };
    c->asking.speech.on_said = on_said;
    ln_asking_init(&c->asking);
    int code = ln_speech_run(&c->asking.speech, dial, url);
    ln_asking_fini(&c->asking);
    return code;
}

int ln_verb_call(int argc, char **argv) {
    call c = { .channel = NULL };
    ln_dialflags dial = LN_DIALFLAGS_INIT;
    const char *url = LN_SPEECH_URL;
    const ln_arg rows[] = {
        { "url", "URL", LN_ARG_TEXT, &url, 0, 0, "the server (default " LN_SPEECH_URL ")" },
        { "channel", "CHANNEL", LN_ARG_TEXT, &c.channel, 0, 0, "the channel it is about" },
        { "json", NULL, LN_ARG_FLAG, &c.json, 0, 0, "print whole answers, not only their data" },
        LN_DIALFLAGS_ROWS(dial),
    };
    const ln_args a = { .usage = "linnet call METHOD [DATA|-] [options]",
        .about = "Asks what stands behind a server (the hook `call`, or the program the server is "
                 "in) to\n"
                 "do METHOD with DATA, and prints the answer as JSON on one line. With '-' each "
                 "line of\n"
                 "the input is one call. What is valid JSON goes out as it is, anything else as a "
                 "string;\n"
                 "without DATA it is null.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  linnet call time\n"
                "  linnet call user.get '{\"id\":7}'\n"
                "  linnet call --token-file ~/.token --channel chat:lobby topic.set 'plain words'\n"
                "\n"
                "exit codes: 0 answered; 1 refused, or nobody answers; 2 wrong use;\n"
                "130 interrupted" };
    int positional = 0, code = ln_args_parse(&a, argc, argv, &positional);
    if (code >= 0) return code;
    if (positional < 1 || positional > 2) {
        ln_say("call wants a METHOD and DATA: linnet call user.get '{\"id\":7}'");
        return 2;
    }
    c.method = argv[1];
    c.data = positional == 1                                     ? "null"
             : ln_slice_eq(ln_slice_str(argv[2]), LN_SLICE("-")) ? NULL
                                                                 : argv[2];
    return run(&c, &dial, url);
}
