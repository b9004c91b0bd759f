#include "cli/talk.h"
#include "cli/term.h"
#include "daemon/args.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BUFFERED_MAX (256 * 1024) /* bytes waiting at which stdin waits too */
#define FAREWELL_MS  3000         /* for the last bytes to leave, and the peer's end */

/* ---- the connection --------------------------------------------------------------- */

static void on_open(linnet_conn *conn) {
    ln_talk *t = linnet_conn_user(conn);
    t->conn = conn;
    if (t->events->on_open) t->events->on_open(t);
}

static void on_message(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    ln_talk *t = linnet_conn_user(conn);
    if (t->code < 0) t->events->on_message(t, opcode, data);
}

static void on_close(linnet_conn *conn, uint16_t code, linnet_slice reason, int err) {
    ln_talk *t = linnet_conn_user(conn);
    t->conn = NULL;
    if (t->code < 0) t->code = t->events->on_close(t, code, reason, err);
}

static const char *remedy(int err) {
    switch (err) {
    case LINNET_ERR_TLS: return "; perhaps the server speaks ws:// there";
    case LINNET_ERR_TLS_VERIFY: return "; --tls-ca FILE trusts others, --insecure everybody";
    default: return "";
    }
}

/* Without what may be secret: user, password, query. */
static void say_failure(const char *url, int err, const char *words) {
    const char *host = strstr(url, "//") + 2, *end = host + strcspn(host, "/?#");
    const char *at = memchr(host, '@', (size_t)(end - host));
    if (at) host = at + 1;
    ln_say("cannot connect to %.*s//%.*s: %s%s", (int)strcspn(url, "/"), url,
        (int)strcspn(host, "?"), host, words, remedy(err));
}

static void on_fail(void *user, int err, int status, const char *words) {
    ln_talk *t = user;
    if (t->code >= 0) return;
    say_failure(t->url, err, words);
    t->code = 1;
}

static int dial(ln_talk *t, linnet_dial_options *o) {
    o->user = t;
    o->on_fail = on_fail;
    o->events = (linnet_conn_events){
        .on_open = on_open, .on_message = on_message, .on_close = on_close
    };
    t->url = o->url;
    int err = linnet_client_dial(t->loop, o, NULL);
    if (err == LINNET_OK) return -1;
    if (err == LINNET_ERR_TLS && o->tls_ca_file)
        ln_say("cannot read certificates from %.200s", o->tls_ca_file);
    else if (err == LINNET_ERR_INVAL)
        ln_say("a subprotocol, header or limit among the options is not allowed");
    else
        say_failure(o->url, err, linnet_strerror(err));
    return err == LINNET_ERR_URL || err == LINNET_ERR_INVAL ? 2 : 1;
}

static void on_alarm(linnet_timer *timer, void *ctx) {
    ln_talk *t = ctx;
    if (t->code < 0 && t->events->on_alarm) t->events->on_alarm(t);
}

void ln_talk_alarm(ln_talk *t, uint64_t ms) {
    if (ms)
        linnet_timer_set(t->alarm, ms);
    else
        linnet_timer_stop(t->alarm);
}

/* ---- input ------------------------------------------------------------------------ */

static bool wants_lines(const ln_talk *t) {
    return t->events->on_line && t->conn && !t->hold && !t->input_over && t->code < 0 &&
           linnet_conn_buffered(t->conn) < BUFFERED_MAX;
}

static void input_failed(ln_talk *t, int err) {
    if (err == LINNET_ERR_TOO_BIG)
        ln_say("a line is longer than %u bytes, the largest message", t->line_max);
    else
        ln_say("cannot read the input: %s",
            err == LINNET_ERR_SYS ? strerror(errno) : linnet_strerror(err));
    t->input_over = true;
    ln_talk_leave(t, 1);
}

/* Hands on what has been read already. */
static void hand_on(ln_talk *t) {
    while (wants_lines(t)) {
        ln_slice line;
        int r = ln_lines_next(&t->lines, &line);
        if (r < 0) {
            input_failed(t, r);
        } else if (r > 0) {
            t->events->on_line(t, line);
        } else {
            if (!t->lines.ended) return;
            t->input_over = true;
            if (t->events->on_end) t->events->on_end(t);
        }
    }
}

static void read_input(ln_talk *t) {
    int err = ln_lines_read(&t->lines);
    if (err < 0) input_failed(t, err);
}

/* ---- the loop --------------------------------------------------------------------- */

static void interrupted(ln_talk *t, int signals) {
    struct signalfd_siginfo taken; /* or it would be pending for ever */
    if (read(signals, &taken, sizeof taken) > 0) ln_talk_leave(t, 130);
}

static void step(ln_talk *t, int signals) {
    hand_on(t);
    linnet_loop_turn(t->loop, 0); /* flushes what was just said */
    if (t->code >= 0) return;
    if (fflush(stdout) != 0 || ferror(stdout)) { /* main says so */
        ln_talk_leave(t, 1);
        return;
    }
    struct pollfd fds[] = { { linnet_loop_fd(t->loop), POLLIN, 0 }, { signals, POLLIN, 0 },
        { wants_lines(t) ? t->lines.fd : -1, POLLIN, 0 } };
    if (poll(fds, 3, -1) < 0) return;
    if (fds[1].revents) interrupted(t, signals);
    if (fds[2].revents && t->code < 0) read_input(t);
    linnet_loop_turn(t->loop, 0);
}

/* The Close and what was queued before it still have to leave. */
static void farewell(ln_talk *t) {
    uint64_t now = linnet_loop_now(t->loop), end = now + FAREWELL_MS;
    while (linnet_loop_connections(t->loop) && now < end) {
        if (linnet_loop_turn(t->loop, (int)(end - now)) < 0) return;
        now = linnet_loop_now(t->loop);
    }
}

int ln_talk_run(ln_talk *t, linnet_dial_options *o) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0 || linnet_loop_new(NULL, &t->loop) < 0 ||
        linnet_timer_new(t->loop, on_alarm, t, &t->alarm) < 0) {
        ln_say("cannot start: no descriptor or memory is left");
        return 1;
    }
    ln_lines_init(&t->lines, STDIN_FILENO, t->line_max);
    t->code = dial(t, o);
    while (t->code < 0)
        step(t, signals);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* who interrupts twice does not wait */
    fflush(stdout);
    farewell(t);
    linnet_timer_free(t->alarm);
    linnet_loop_free(t->loop);
    ln_lines_fini(&t->lines);
    close(signals);
    return t->code;
}

void ln_talk_leave(ln_talk *t, int code) {
    if (t->code < 0) t->code = code;
    if (t->conn) linnet_conn_close(t->conn, 1000, NULL);
}

void ln_talk_say_close(uint16_t code, linnet_slice reason, int err) {
    if (err < 0) {
        ln_say("the connection broke: %s", linnet_strerror(err));
        return;
    }
    if (code == 1006) {
        ln_say("the connection was lost without a closing handshake");
        return;
    }
    fprintf(stderr, "linnet: closed with %u", code);
    if (reason.size) {
        fputs(" '", stderr);
        ln_term_text(stderr, reason);
        fputc('\'', stderr);
    }
    fputc('\n', stderr);
}
