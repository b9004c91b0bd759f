/* connect.c -- `linnet connect`: a person, or a pipe, at one end of a WebSocket. */
#include "cli/dialflags.h"
#include "cli/talk.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include "cli/wsflags.h"
#include <unistd.h>

#define MESSAGE_MAX (16 * 1024 * 1024) /* as the library's clients have it */
#define HEX_MAX     64

typedef struct flags {
    ln_dialflags dial;
    ln_wsflags ws;
    ln_arg_list subprotocols;
    bool echo;
} flags;

typedef struct view {
    bool prompt;   /* a person types: both ends are terminals */
    bool finished; /* our Close went first */
    bool failed;   /* a line could not be sent */
} view;

static void prompt(const view *v) {
    if (v->prompt) printf("%s>%s ", ln_term_dim(stdout), ln_term_plain(stdout));
}

static void on_open(ln_talk *t) {
    linnet_slice protocol = linnet_conn_subprotocol(t->conn);
    fprintf(stderr, "linnet: connected");
    if (protocol.size) {
        fputs(", subprotocol ", stderr);
        ln_term_text(stderr, protocol);
    }
    fprintf(stderr, "%s%s\n", linnet_conn_tls(t->conn) ? ", TLS" : "",
        linnet_conn_deflated(t->conn) ? ", deflate" : "");
    prompt(t->user);
}

/* To a terminal as people can read it, to a pipe as it came. */
static void on_message(ln_talk *t, linnet_opcode opcode, linnet_slice data) {
    const view *v = t->user;
    bool person = ln_term_is(stdout);
    if (person) printf("\r\033[K%s<%s ", ln_term_bold(stdout), ln_term_plain(stdout));
    if (person && opcode == LINNET_BINARY) {
        printf("(binary, %zu bytes) ", data.size);
        ln_term_hex(stdout, data, HEX_MAX);
    } else {
        ln_term_text(stdout, data);
    }
    putchar('\n');
    if (!v->finished) prompt(v);
}

static void on_line(ln_talk *t, ln_slice line) {
    view *v = t->user;
    int err = linnet_conn_send(t->conn, LINNET_TEXT, line);
    if (err == LINNET_ERR_UTF8) {
        ln_say("a line that is not UTF-8 was not sent");
        v->failed = true;
    }
    prompt(v);
}

static void on_end(ln_talk *t) {
    view *v = t->user;
    v->finished = true;
    linnet_conn_finish(t->conn, 1000, NULL);
}

static int on_close(ln_talk *t, uint16_t code, linnet_slice reason, int err) {
    const view *v = t->user;
    bool well = err == 0 && (code == 1000 || code == 1001 || code == 1005);
    if (v->prompt) fputs("\r\033[K", stdout);
    fflush(stdout);
    if (!v->finished || !well) ln_talk_say_close(code, reason, err);
    return well && !v->failed ? 0 : 1;
}

static void echo_message(ln_talk *t, linnet_opcode opcode, linnet_slice data) {
    linnet_conn_send(t->conn, opcode, data);
}

static int echo_close(ln_talk *t, uint16_t code, linnet_slice reason, int err) {
    ln_talk_say_close(code, reason, err);
    return err == 0 && code != 1006 ? 0 : 1;
}

static int run(flags *f, const char *url) {
    static const ln_talk_events talking = { on_open, on_message, on_close, on_line, on_end, NULL },
                                echoing = { on_open, echo_message, echo_close, NULL, NULL, NULL };
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    int code = ln_dialflags_apply(&f->dial, url, &o);
    if (code < 0) code = ln_wsflags_apply(&f->ws, &o.limits);
    if (code >= 0) return code;
    o.subprotocols = f->subprotocols.items;
    uint64_t most = f->ws.message_max ? f->ws.message_max : MESSAGE_MAX;
    if (most > LN_BUF_MAX / 4) most = LN_BUF_MAX / 4; /* two of them wait in one queue */
    o.limits.queued_max = (uint32_t)most * 2 + 1024 * 1024;
    o.limits.queued_age_ms = LINNET_OFF;
    o.limits.control_per_s = LINNET_OFF;
    /* Who talks goes on reading while its own queue is full: a server that echoes stops reading
     * when its answers are not taken, and two who wait for each other wait for ever. */
    if (!f->echo) o.limits.high_mark = LINNET_OFF;
    view v = { .prompt = !f->echo && isatty(STDIN_FILENO) && ln_term_is(stdout) };
    ln_talk t = { .events = f->echo ? &echoing : &talking, .user = &v, .line_max = (uint32_t)most };
    return ln_talk_run(&t, &o);
}

int ln_verb_connect(int argc, char **argv) {
    flags f = { .dial = LN_DIALFLAGS_INIT, .ws = LN_WSFLAGS_INIT };
    const ln_arg rows[] = {
        { "echo", NULL, LN_ARG_FLAG, &f.echo, 0, 0,
            "send each message back; input is not read (conformance)" },
        { "subprotocol", "P", LN_ARG_LIST, &f.subprotocols, 0, 0,
            "offer this subprotocol; may be repeated, the first preferred" },
        LN_DIALFLAGS_ROWS(f.dial),
        LN_WSFLAGS_ROWS(f.ws),
    };
    const ln_args a = { .usage = "linnet connect URL [options]",
        .about =
            "Talks to a WebSocket server: each line typed goes out as a text message, what comes\n"
            "is printed. With input from a pipe or file: sends its lines, then a Close 1000,\n"
            "and prints until the server's Close.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
        .more = "examples:\n"
                "  linnet connect ws://127.0.0.1:9001/\n"
                "  echo '{\"type\":\"ping\",\"id\":1}' | linnet connect ws://127.0.0.1:8080/ws\n"
                "  linnet connect --header 'Authorization: Bearer TOKEN' wss://example.com/feed\n"
                "\n"
                "exit codes: 0 closed with 1000, 1001 or without a code (--echo: with any);\n"
                "1 not connected, broken off or another code; 2 wrong use; 130 interrupted" };
    int positional = 0, code = ln_args_parse(&a, argc, argv, &positional);
    if (code >= 0) return code;
    if (positional != 1) {
        ln_say("connect wants one URL: linnet connect ws://127.0.0.1:8080/ws");
        return 2;
    }
    return run(&f, argv[1]);
}
