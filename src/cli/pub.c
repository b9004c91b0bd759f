/* pub.c -- `linnet pub`: says something in a channel, and waits until it is there.
 *
 * One message is under way at a time: the next goes out when the one before has its offset. So
 * lines keep their order also when the server asks for patience (rate limits, a busy broker) and a
 * message has to be said again.
 */
#include "base/utf8.h"
#include "cli/speech.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include <stdio.h>

#define LINE_MAX      (16 * 1024 * 1024)
#define RETRY_MS      100 /* when the server does not say how long */
#define RATE_LIMITED  111
#define NOT_AVAILABLE 108

typedef struct pub {
    ln_speech speech; /* first */
    const char *channel, *event, *data;
    uint64_t count; /* messages to go; 0 with lines: no end */
    uint64_t id, acknowledged, waited_ms;
    ln_buf frame; /* the message under way */
    bool pausing; /* the alarm means: say it again */
} pub;

static void data_of(ln_json_writer *w, ln_slice text) {
    ln_json_value top;
    if (ln_json_check(text, &top) == LINNET_OK)
        ln_json_raw(w, top.raw);
    else
        ln_json_str(w, text);
}

static bool build(pub *p, ln_slice text) {
    ln_buf_clear(&p->frame);
    ln_json_writer w = ln_json_begin(&p->frame);
    ln_json_open(&w, '{');
    ln_json_key(&w, "type");
    ln_json_str(&w, LN_SLICE("publish"));
    ln_json_key(&w, "id");
    ln_json_u64(&w, ++p->id);
    ln_json_key(&w, "channel");
    ln_json_str(&w, ln_slice_str(p->channel));
    if (p->event) {
        ln_json_key(&w, "event");
        ln_json_str(&w, ln_slice_str(p->event));
    }
    ln_json_key(&w, "data");
    data_of(&w, text);
    ln_json_close(&w, '}');
    return ln_json_end(&w) == LINNET_OK;
}

static void publish(pub *p, ln_slice text) {
    ln_talk *t = &p->speech.talk;
    t->hold = true;
    p->waited_ms = 0;
    if (!ln_utf8_valid(text)) {
        ln_say("message %llu is not UTF-8", (unsigned long long)p->id + 1);
        ln_talk_leave(t, 1);
    } else if (!build(p, text)) {
        ln_say("out of memory");
        ln_talk_leave(t, 1);
    } else {
        ln_speech_say(&p->speech, ln_buf_slice(&p->frame));
    }
}

static void done(pub *p) {
    if (ln_term_is(stderr))
        ln_say("published %llu to %s", (unsigned long long)p->acknowledged, p->channel);
    ln_talk_leave(&p->speech.talk, 0);
}

static void acknowledged(pub *p) {
    ln_talk *t = &p->speech.talk;
    ln_talk_alarm(t, 0);
    p->acknowledged++;
    if (p->count && p->acknowledged == p->count)
        done(p);
    else if (p->data)
        publish(p, ln_slice_str(p->data));
    else
        t->hold = false;
}

/* Waits as long as the server says, until that is longer than --timeout in all. */
static void refused(pub *p, const ln_said *said) {
    uint64_t wait = said->retry_after ? said->retry_after : RETRY_MS;
    bool patience = said->code == RATE_LIMITED || said->code == NOT_AVAILABLE;
    if (said->retry && patience && p->waited_ms + wait <= p->speech.timeout_ms) {
        p->waited_ms += wait;
        p->pausing = true;
        ln_talk_alarm(&p->speech.talk, wait);
        return;
    }
    ln_speech_complain(p->channel, said);
    ln_talk_leave(&p->speech.talk, 1);
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
        if (said->re == p->id) acknowledged(p);
        return;
    case LN_SAID_ERROR: refused(p, said); return;
    default: return;
    }
}

static void on_alarm(ln_talk *t) {
    pub *p = (pub *)t;
    if (!p->pausing) {
        ln_speech_late(t);
        return;
    }
    p->pausing = false;
    ln_speech_say(&p->speech, ln_buf_slice(&p->frame));
}

static void on_line(ln_talk *t, ln_slice line) {
    publish((pub *)t, line);
}

static void on_end(ln_talk *t) {
    done((pub *)t);
}

static int run(pub *p, ln_dialflags *dial, const char *url) {
    static const ln_talk_events once = { ln_speech_open, ln_speech_message, ln_speech_close, NULL,
        NULL, on_alarm },
                                lines = { ln_speech_open, ln_speech_message, ln_speech_close,
                                    on_line, on_end, on_alarm };
    p->speech.talk = (ln_talk){
        .events = p->data ? &once : &lines, .line_max = LINE_MAX, .hold = true
    };
    p->speech.on_said = on_said;
    if (p->data && !p->count) p->count = 1;
    ln_buf_init(&p->frame, LN_BUF_MAX);
    int code = ln_speech_run(&p->speech, dial, url);
    ln_buf_fini(&p->frame);
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
