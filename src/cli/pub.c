/* pub.c -- `linnet pub`: says something in a channel, and waits until it is there.
 *
 * One message is under way at a time: the next goes out when the one before has its offset. So
 * lines keep their order also when the server asks for patience (rate limits, a busy broker) and a
 * message has to be said again.
 */
#include "base/utf8.h"
#include "cli/asking.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include <stdio.h>

#define LINE_MAX (16 * 1024 * 1024)

typedef struct pub {
    ln_asking asking; /* first */
    const char *channel, *event, *data;
    uint64_t count; /* messages to go; 0 with lines: no end */
    uint64_t acknowledged;
} pub;

static void publish(pub *p, ln_slice text) {
    ln_talk *t = &p->asking.speech.talk;
    t->hold = true;
    if (!ln_utf8_valid(text)) {
        ln_say("message %llu is not UTF-8", (unsigned long long)p->asking.id + 1);
        ln_talk_leave(t, 1);
        return;
    }
    ln_json_writer w = ln_asking_begin(&p->asking, "publish");
    ln_json_key(&w, "channel");
    ln_json_str(&w, ln_slice_str(p->channel));
    if (p->event) {
        ln_json_key(&w, "event");
        ln_json_str(&w, ln_slice_str(p->event));
    }
    ln_json_key(&w, "data");
    ln_speech_put_data(&w, text);
    ln_asking_send(&p->asking, &w);
}

static void done(pub *p) {
    if (ln_term_is(stderr))
        ln_say("published %llu to %s", (unsigned long long)p->acknowledged, p->channel);
    ln_talk_leave(&p->asking.speech.talk, 0);
}

static void acknowledged(pub *p) {
    ln_talk *t = &p->asking.speech.talk;
    ln_asking_answered(&p->asking);
    p->acknowledged++;
    if (p->count && p->acknowledged == p->count)
        done(p);
    else if (p->data)
        publish(p, ln_slice_str(p->data));
    else
        t->hold = false;
}

/* What was refused was not published, so that it can be said again without harm. */
static void refused(pub *p, const ln_said *said) {
    if (ln_asking_patient(&p->asking, said, true)) return;
    ln_speech_complain(p->channel, said);
    ln_talk_leave(&p->asking.speech.talk, 1);
}

static void on_said(ln_speech *speech, const ln_said *said) {
    pub *p = (pub *)speech;
    switch (said->kind) {
    case LN_SAID_WELCOME:
        ln_talk_alarm(&speech->talk, 0);
        speech->talk.hold = false;
        if (p->data) publish(p, ln_slice_str(p->data));
        return;
    case LN_SAID_OK:
        if (said->re == p->asking.id) acknowledged(p);
        return;
    case LN_SAID_ERROR: refused(p, said); return;
    default: return;
    }
}

static void on_line(ln_talk *t, ln_slice line) {
    publish((pub *)t, line);
}

static void on_end(ln_talk *t) {
    done((pub *)t);
}

static int run(pub *p, ln_dialflags *dial, const char *url) {
    static const ln_talk_events once = { ln_speech_open, ln_speech_message, ln_speech_close, NULL,
        NULL, ln_asking_alarm },
                                lines = { ln_speech_open, ln_speech_message, ln_speech_close,
                                    on_line, on_end, ln_asking_alarm };
    p->asking.speech.talk = (ln_talk){
        .events = p->data ? &once : &lines, .line_max = LINE_MAX, .hold = true
    };
    p->asking.speech.on_said = on_said;
    if (p->data && !p->count) p->count = 1;
    ln_asking_init(&p->asking);
    int code = ln_speech_run(&p->asking.speech, dial, url);
    ln_asking_fini(&p->asking);
    return code;
}

int ln_verb_pub(int argc, char **argv) {
    pub p = { .channel = NULL };
    ln_dialflags dial = LN_DIALFLAGS_INIT;
    const char *url = LN_SPEECH_URL;
    const ln_arg rows[] = {
        { "url", "URL", LN_ARG_TEXT, &url, 0, 0, "the server (default " LN_SPEECH_URL ")" },
        { "event", "NAME", LN_ARG_TEXT, &p.event, 0, 0, "name of the event (default message)" },
        { "count", "N", LN_ARG_NUMBER, &p.count, 1, UINT64_MAX,
            "publish DATA so often, or so many lines" },
        LN_DIALFLAGS_ROWS(dial),
    };
    const ln_args a = { .usage = "linnet pub CHANNEL [DATA|-] [options]",
        .about =
            "Publishes DATA in a channel, or with '-' or without DATA each line of the input, one\n"
            "after the other. What is valid JSON goes out as it is, anything else as a string.\n"
            "Leaves when the server has everything.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  linnet pub news '{\"headline\":\"it works\"}'\n"
                "  linnet pub chat:lobby 'plain words become a JSON string'\n"
                "  tail -f app.log | linnet pub logs -\n"
                "\n"
                "exit codes: 0 everything was published; 1 something was not; 2 wrong use;\n"
                "130 interrupted" };
    int positional = 0, code = ln_args_parse(&a, argc, argv, &positional);
    if (code >= 0) return code;
    if (positional < 1 || positional > 2) {
        ln_say("pub wants a CHANNEL and DATA: linnet pub news '{\"n\":1}'");
        return 2;
    }
    p.channel = argv[1];
    p.data = positional == 2 && !ln_slice_eq(ln_slice_str(argv[2]), LN_SLICE("-")) ? argv[2] : NULL;
    return run(&p, &dial, url);
}
