/* presence.c -- `linnet presence`: who is in a channel, and who comes and goes.
 *
 * The list comes in pages. Who follows has to be in the channel, as the protocol has it: others see
 * him there; he does not print himself.
 */
#include "cli/asking.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include <inttypes.h>
#include <stdio.h>

#define PAGE       1000
#define CLIENT_MAX 64

typedef struct presence {
    ln_asking asking; /* first */
    const char *channel;
    bool json, watch, counts;
    uint64_t changes;         /* to go; 0: no end */
    uint64_t count, users;    /* in the channel, by the last page */
    uint8_t self[CLIENT_MAX]; /* our own client id, as it is escaped in JSON */
    uint8_t self_size;
} presence;

/* What a frame says to this verb. Absent: 0, false or kind NULL. */
typedef struct page {
    ln_json_value members, joins, leaves, client;
    uint64_t count, users, next;
} page;

static void page_read(ln_slice raw, page *out) {
    ln_json_value top, key, value;
    *out = (page){ .next = 0 };
    if (ln_json_check_long(raw, LN_SPEECH_KEYS_MAX, &top) < 0) return; /* it was checked before */
    ln_json_iter it = ln_json_iter_of(&top);
    while (ln_json_next(&it, &key, &value)) {
        bool list = value.kind == LN_JSON_ARRAY, number = value.kind == LN_JSON_NUMBER;
        if (list &&
            (ln_json_is(&key, LN_SLICE("members")) || ln_json_is(&key, LN_SLICE("presence"))))
            out->members = value;
        if (list && ln_json_is(&key, LN_SLICE("joins"))) out->joins = value;
        if (list && ln_json_is(&key, LN_SLICE("leaves"))) out->leaves = value;
        if (number && ln_json_is(&key, LN_SLICE("count"))) ln_json_uint(&value, &out->count);
        if (number && ln_json_is(&key, LN_SLICE("users"))) ln_json_uint(&value, &out->users);
        if (number && ln_json_is(&key, LN_SLICE("next"))) ln_json_uint(&value, &out->next);
        if (ln_json_is(&key, LN_SLICE("client"))) out->client = value;
    }
}

/* ---- asking ----------------------------------------------------------------------------- */

static void ask_page(presence *p, uint64_t after) {
    ln_json_writer w = ln_asking_begin(&p->asking, "presence");
    ln_json_key(&w, "channel");
    ln_json_str(&w, ln_slice_str(p->channel));
    ln_json_key(&w, "limit");
    ln_json_u64(&w, p->counts ? 0 : PAGE);
    if (after) {
        ln_json_key(&w, "after");
        ln_json_u64(&w, after);
    }
    ln_asking_send(&p->asking, &w);
}

static void subscribe(presence *p) {
    ln_json_writer w = ln_asking_begin(&p->asking, "subscribe");
    ln_json_key(&w, "channel");
    ln_json_str(&w, ln_slice_str(p->channel));
    ln_json_key(&w, "presence");
    ln_json_bool(&w, true);
    ln_asking_send(&p->asking, &w);
}

static void begin(presence *p, ln_slice welcome) {
    page said;
    page_read(welcome, &said);
    ln_slice name = said.client.text;
    if (said.client.kind == LN_JSON_STRING && name.size <= CLIENT_MAX) {
        memcpy(p->self, name.data, name.size);
        p->self_size = (uint8_t)name.size;
    }
    if (p->watch)
        subscribe(p);
    else
        ask_page(p, 0);
}

/* ---- printing --------------------------------------------------------------------------- */

/* Names stay escaped, as they came: they are of others' making. */
static void print_words(const char *what, const ln_json_value *member) {
    ln_slice client = LN_SLICE("-"), user = LN_SLICE("-"), info = LN_SLICE("");
    ln_json_iter it = ln_json_iter_of(member);
    ln_json_value key, value;
    while (ln_json_next(&it, &key, &value)) {
        bool text = value.kind == LN_JSON_STRING;
        if (text && ln_json_is(&key, LN_SLICE("client"))) client = value.text;
        if (text && ln_json_is(&key, LN_SLICE("user"))) user = value.text;
        if (ln_json_is(&key, LN_SLICE("info"))) info = value.raw;
    }
    if (what) printf("%s\t", what);
    ln_term_text(stdout, client);
    putchar('\t');
    ln_term_text(stdout, user);
    putchar('\t');
    ln_speech_print(info);
    putchar('\n');
}

static void print_json(const char *what, const ln_json_value *member) {
    if (what) printf("{\"event\":\"%s\",\"member\":", what);
    ln_speech_print(member->raw);
    puts(what ? "}" : "");
}

static bool is_self(const presence *p, const ln_json_value *member) {
    ln_json_iter it = ln_json_iter_of(member);
    ln_json_value key, value;
    while (ln_json_next(&it, &key, &value))
        if (ln_json_is(&key, LN_SLICE("client")))
            return ln_slice_eq(value.text, ln_slice_of(p->self, p->self_size));
    return false;
}

/* what NULL: they are the list, and nothing else will be printed. */
static void print(presence *p, const char *what, const ln_json_value *members, bool change) {
    if (members->kind != LN_JSON_ARRAY) return;
    ln_json_iter it = ln_json_iter_of(members);
    ln_json_value key, member;
    while (p->asking.speech.talk.code < 0 && ln_json_next(&it, &key, &member)) {
        if (member.kind != LN_JSON_OBJECT || is_self(p, &member)) continue;
        (p->json ? print_json : print_words)(what, &member);
        if (change && p->changes && --p->changes == 0) ln_talk_leave(&p->asking.speech.talk, 0);
    }
}

static const char *plural(uint64_t n) {
    return n == 1 ? "" : "s";
}

static void done(presence *p) {
    if (p->counts && p->json)
        printf("{\"count\":%" PRIu64 ",\"users\":%" PRIu64 "}\n", p->count, p->users);
    else if (p->counts)
        printf("%" PRIu64 " connection%s, %" PRIu64 " user%s\n", p->count, plural(p->count),
            p->users, plural(p->users));
    else
        ln_say("%s: %" PRIu64 " connection%s, %" PRIu64 " user%s%s", p->channel, p->count,
            plural(p->count), p->users, plural(p->users), p->watch ? "; following" : "");
    if (!p->watch) ln_talk_leave(&p->asking.speech.talk, 0);
}

static void answered(presence *p, ln_slice raw) {
    page said;
    page_read(raw, &said);
    ln_asking_answered(&p->asking);
    p->count = said.count;
    p->users = said.users;
    print(p, p->watch ? "here" : NULL, &said.members, false);
    if (said.next && !p->counts)
        ask_page(p, said.next);
    else
        done(p);
}

static void changed(presence *p, ln_slice raw) {
    page said;
    page_read(raw, &said);
    print(p, "leave", &said.leaves, true);
    print(p, "join", &said.joins, true);
}

static void on_said(ln_speech *speech, const ln_said *said) {
    presence *p = (presence *)speech;
    switch (said->kind) {
    case LN_SAID_WELCOME: begin(p, said->raw); return;
    case LN_SAID_OK:
        if (said->re == p->asking.id) answered(p, said->raw);
        return;
    case LN_SAID_PRESENCE: changed(p, said->raw); return;
    case LN_SAID_ERROR:
        if (ln_asking_patient(&p->asking, said, true)) return;
        ln_speech_complain(p->channel, said);
        ln_talk_leave(&speech->talk, 1);
        return;
    case LN_SAID_UNSUBSCRIBED:
        ln_speech_complain(p->channel, said);
        ln_talk_leave(&speech->talk, 1);
        return;
    default: return;
    }
}

/* ---- the verb ---------------------------------------------------------------------------- */

static int run(presence *p, ln_dialflags *dial, const char *url) {
    static const ln_talk_events events = { ln_speech_open, ln_speech_message, ln_speech_close, NULL,
        NULL, ln_asking_alarm };
    p->asking.speech = (ln_speech){ .talk = { .events = &events }, .on_said = on_said };
    ln_asking_init(&p->asking);
    int code = ln_speech_run(&p->asking.speech, dial, url);
    ln_asking_fini(&p->asking);
    return code;
}

int ln_verb_presence(int argc, char **argv) {
    presence p = { .channel = NULL };
    ln_dialflags dial = LN_DIALFLAGS_INIT;
    const char *url = LN_SPEECH_URL;
    const ln_arg rows[] = {
        { "url", "URL", LN_ARG_TEXT, &url, 0, 0, "the server (default " LN_SPEECH_URL ")" },
        { "watch", NULL, LN_ARG_FLAG, &p.watch, 0, 0,
            "go on, and print who comes and goes; one is in the channel oneself then" },
        { "count", "N", LN_ARG_NUMBER, &p.changes, 1, UINT64_MAX,
            "with --watch: leave after so many changes" },
        { "counts", NULL, LN_ARG_FLAG, &p.counts, 0, 0, "only how many there are" },
        { "json", NULL, LN_ARG_FLAG, &p.json, 0, 0, "print members as the protocol has them" },
        LN_DIALFLAGS_ROWS(dial),
    };
    const ln_args a = { .usage = "linnet presence CHANNEL [options]",
        .about =
            "Prints who is in a channel: one line each, the connection, the user (- when unknown)\n"
            "and what is known about him as JSON, with tabs between them; and on stderr how many\n"
            "connections and users these are. With --watch a word stands in front, here, join or\n"
            "leave; who says something else about himself joins once more.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more =
            "examples:\n"
            "  linnet presence chat:lobby\n"
            "  linnet presence --counts --json chat:lobby\n"
            "  linnet presence --watch --url wss://example.com/ws --token-file ~/.token team\n"
            "\n"
            "exit codes: 0 shown; 1 refused (the channel keeps no list, or it is not for you),\n"
            "or no connection; 2 wrong use; 130 interrupted" };
    int positional = 0, code = ln_args_parse(&a, argc, argv, &positional);
    if (code >= 0) return code;
    if (positional != 1) {
        ln_say("presence wants one CHANNEL: linnet presence chat:lobby");
        return 2;
    }
    if ((p.counts && p.watch) || (p.changes && !p.watch)) {
        ln_say(p.counts ? "--counts or --watch, not both" : "--count goes with --watch");
        return 2;
    }
    p.channel = argv[1];
    return run(&p, &dial, url);
}
