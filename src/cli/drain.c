/* drain.c -- `linnet drain`: sends a server's clients away without a storm, or says what that would
 * mean. */
#include "base/json.h"
#include "cli/ask.h"
#include "cli/verbs.h"
#include <stdio.h>

static uint64_t member(const ln_json_value *object, const char *name) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value;
    uint64_t n = 0;
    while (ln_json_next(&it, &key, &value))
        if (ln_json_is(&key, ln_slice_str(name)) && ln_json_uint(&value, &n)) return n;
    return 0;
}

static void print_ms(uint64_t ms) {
    if (ms % 1000 == 0)
        printf("%llu s", (unsigned long long)ms / 1000);
    else
        printf("%llu.%llu s", (unsigned long long)ms / 1000, (unsigned long long)ms / 100 % 10);
}

/* Each sentence begins with what it needs to be true in the case at hand. */
static void print_plan(const ln_json_value *plan, bool begun) {
    uint64_t spread = member(plan, "spread_ms"), lead = member(plan, "lead_ms");
    printf("%s%llu connections, of which %llu can come back in a second\n",
        begun ? "draining " : "", (unsigned long long)member(plan, "connections"),
        (unsigned long long)member(plan, "rate"));
    if (lead) {
        printf("it goes on serving for ");
        print_ms(lead);
        printf(" while /readyz answers 503\n");
    }
    printf("then nobody is let in, and connections are closed ");
    if (spread) {
        printf("over ");
        print_ms(spread);
        printf("\n");
    } else {
        printf("at once\n");
    }
    printf("each is told to come back at a random moment within ");
    print_ms(member(plan, "window_ms"));
    printf(" of its end\nwho is still there after ");
    print_ms(member(plan, "drain_ms"));
    printf(" is dropped\n");
}

static int show(const ln_buf *text, bool begun, bool json) {
    ln_json_value plan;
    ln_slice s = ln_buf_slice(text);
    if (ln_json_check(s, &plan) < 0 || plan.kind != LN_JSON_OBJECT) {
        ln_say("this is no plan");
        return 1;
    }
    if (json)
        printf("%.*s\n", (int)plan.raw.size, (const char *)plan.raw.data);
    else
        print_plan(&plan, begun);
    return 0;
}

int ln_verb_drain(int argc, char **argv) {
    ln_ask ask = LN_ASK_INIT;
    bool json = false, plan = false;
    const ln_arg rows[] = {
        LN_ASK_ROWS(ask),
        { "plan", NULL, LN_ARG_FLAG, &plan, 0, 0, "only say what would happen" },
        { "json", NULL, LN_ARG_FLAG, &json, 0, 0, "say it as JSON" },
    };
    const ln_args a = { .usage = "linnet drain [options]",
        .about = "Makes a running server leave as TERM does: it is not ready any more, lets nobody "
                 "in,\nand closes its connections so that all can come back elsewhere.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  linnet drain --plan\n"
                "  linnet drain --url http://127.0.0.1:9000\n"
                "\n"
                "exit codes: 0 done, or shown; 1 no answer, or a refusal; 2 wrong use" };
    int code = ln_args_parse(&a, argc, argv, NULL);
    if (code >= 0) return code;
    ln_buf text;
    ln_buf_init(&text, LN_ASK_MAX);
    code = ln_ask_do(
        &ask, plan ? "GET" : "POST", "/api/v1/drain", ln_slice_str(plan ? "" : "{}"), &text);
    ln_ask_forget(&ask);
    if (code < 0) code = show(&text, !plan, json);
    ln_buf_fini(&text);
    return code;
}
