/* channels.c -- `linnet channels`: which channels there are, and how many are in them. */
#include "base/json.h"
#include "cli/ask.h"
#include "cli/speech.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include <inttypes.h>
#include <stdio.h>

#define PAGE 1000

typedef struct listing {
    ln_ask ask;
    const char *prefix;
    uint64_t left; /* to be printed yet */
    uint64_t printed;
    bool json;
    ln_buf next; /* the last name of a page that others follow, as JSON; empty: that was all */
} listing;

/* ---- for people ------------------------------------------------------------------------- */

static void print_channel(const ln_json_value *object) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value, name = { .kind = LN_JSON_NULL };
    uint64_t subscribers = 0, users = 0;
    bool members = false;
    while (ln_json_next(&it, &key, &value)) {
        if (ln_json_is(&key, LN_SLICE("channel")) && value.kind == LN_JSON_STRING) name = value;
        if (value.kind != LN_JSON_NUMBER) continue;
        if (ln_json_is(&key, LN_SLICE("subscribers"))) ln_json_uint(&value, &subscribers);
        if (!ln_json_is(&key, LN_SLICE("users"))) continue;
        members = true;
        ln_json_uint(&value, &users);
    }
    printf("%8" PRIu64 "  %s", subscribers, ln_term_bold(stdout));
    ln_term_text(stdout, name.text);
    fputs(ln_term_plain(stdout), stdout);
    if (members) printf("  %" PRIu64 " user%s", users, users == 1 ? "" : "s");
    putchar('\n');
}

/* ---- asking ----------------------------------------------------------------------------- */

static void print_page(listing *l, const ln_json_value *channels) {
    ln_json_iter it = ln_json_iter_of(channels);
    ln_json_value key, item;
    while (l->left && ln_json_next(&it, &key, &item)) {
        if (l->json) {
            ln_speech_print(item.raw);
            putchar('\n');
        } else {
            print_channel(&item);
        }
        l->left--;
        l->printed++;
    }
}

/* {"ok":{"channels":[...],"next":"name"}}. False: that is no answer. */
static bool print_answer(listing *l, ln_slice answer) {
    ln_json_value top, key, ok, value, channels = { .kind = LN_JSON_NULL };
    ln_buf_clear(&l->next);
    if (ln_json_check_long(answer, LN_SPEECH_KEYS_MAX, &top) < 0 || top.kind != LN_JSON_OBJECT)
        return false;
    ln_json_iter it = ln_json_iter_of(&top);
    if (!ln_json_next(&it, &key, &ok) || ok.kind != LN_JSON_OBJECT) return false;
    it = ln_json_iter_of(&ok);
    while (ln_json_next(&it, &key, &value)) {
        if (ln_json_is(&key, LN_SLICE("channels"))) channels = value;
        if (ln_json_is(&key, LN_SLICE("next")) && ln_buf_add(&l->next, value.raw) < 0) return false;
    }
    if (channels.kind != LN_JSON_ARRAY) return false;
    print_page(l, &channels);
    return true;
}

static int put_question(const listing *l, ln_buf *body) {
    ln_json_writer w = ln_json_begin(body);
    ln_json_open(&w, '{');
    if (l->prefix) {
        ln_json_key(&w, "prefix");
        ln_json_str(&w, ln_slice_str(l->prefix));
    }
    if (l->next.size) {
        ln_json_key(&w, "after");
        ln_json_raw(&w, ln_buf_slice(&l->next));
    }
    ln_json_key(&w, "limit");
    ln_json_u64(&w, l->left < PAGE ? l->left : PAGE);
    ln_json_close(&w, '}');
    return ln_json_end(&w);
}

/* -1, or the exit code. */
static int ask_page(listing *l) {
    ln_buf body, out;
    ln_buf_init(&body, LN_BUF_MAX);
    ln_buf_init(&out, LN_ASK_MAX);
    int code = put_question(l, &body) == LINNET_OK ? -1 : 1;
    if (code < 0) code = ln_ask_do(&l->ask, "POST", "/api/v1/channels", ln_buf_slice(&body), &out);
    if (code < 0 && !print_answer(l, ln_buf_slice(&out))) {
        ln_say("what answers at %s does not list channels", l->ask.url);
        code = 1;
    }
    ln_buf_fini(&body);
    ln_buf_fini(&out);
    return code;
}

static int run(listing *l) {
    int code;
    do
        code = ask_page(l);
    while (code < 0 && l->left && l->next.size);
    ln_ask_forget(&l->ask);
    ln_buf_fini(&l->next);
    if (code >= 0) return code;
    if (!l->printed && !l->json)
        ln_say("there is no channel %s%s that somebody is in, or that keeps something",
            l->prefix ? "whose name begins with " : "now", l->prefix ? l->prefix : "");
    return 0;
}

int ln_verb_channels(int argc, char **argv) {
    listing l = { .ask = LN_ASK_INIT, .left = UINT64_MAX };
    const ln_arg rows[] = {
        LN_ASK_ROWS(l.ask),
        { "limit", "N", LN_ARG_NUMBER, &l.left, 1, 1000000000, "so many at most (default: all)" },
        { "json", NULL, LN_ARG_FLAG, &l.json, 0, 0, "one JSON object per line" },
    };
    const ln_args a = { .usage = "linnet channels [PREFIX] [options]",
        .about =
            "Lists the channels of a server that somebody is in or that keep something, in the\n"
            "order of their names: how many are in each, and, where members are kept, how\n"
            "many users that is. With PREFIX only those whose names begin so.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more =
            "examples:\n"
            "  linnet channels\n"
            "  linnet channels chat: --json\n"
            "  linnet channels @ --limit 20 --url unix:/run/linnet/door\n"
            "\n"
            "exit codes: 0 listed, also when there are none; 1 no answer, or a refusal; 2 wrong "
            "use" };
    int positional = 0, code = ln_args_parse(&a, argc, argv, &positional);
    if (code >= 0) return code;
    if (positional > 1) {
        ln_say("channels wants one PREFIX: linnet channels chat:");
        return 2;
    }
    l.prefix = positional ? argv[1] : NULL;
    ln_buf_init(&l.next, 4096);
    return run(&l);
}
