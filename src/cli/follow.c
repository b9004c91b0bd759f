/* follow.c -- an answer that does not end, line by line (ask.h): the head, then chunks, whose
 * borders mean nothing, then lines.
 */
#include "base/num.h"
#include "cli/ask_inner.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SILENCE_MS 45000 /* the server says an empty line each 15 s */

bool ln_chunks_feed(ln_chunks *c, ln_slice in, ln_buf *out) {
    for (; in.size && !c->ended && !c->broken; ln_slice_skip(&in, 1)) {
        uint8_t b = in.data[0];
        if (c->left) { /* data, and the line end behind it, which is skipped */
            size_t n = c->left > 2 ? c->left - 2 : 0;
            if (n > in.size) n = in.size;
            if (n && ln_buf_add(out, ln_slice_sub(in, 0, n)) < 0) return false;
            if (n) ln_slice_skip(&in, n - 1); /* and one more above */
            c->left -= n ? n : 1;
            continue;
        }
        int digit = b >= '0' && b <= '9' ? b - '0' : b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
        if (b >= 'A' && b <= 'F') digit = b - 'A' + 10;
        if (digit >= 0 && c->size < LN_ASK_MAX) {
            c->size = c->size * 16 + (unsigned)digit;
            c->digits = true;
        } else if (b == '\n') {
            c->broken = !c->digits;
            c->ended = c->digits && c->size == 0;
            c->left = c->size + 2;
            c->size = 0;
            c->digits = false;
        } else if (b != '\r') {
            c->broken = true;
        }
    }
    return true;
}

/* Hands on whole lines, and forgets them. */
static int hand_on(ln_buf *lines, ln_ask_line_fn *fn, void *ctx) {
    int code = -1;
    for (;;) {
        ln_slice all = ln_buf_slice(lines);
        size_t end = ln_slice_find(all, '\n');
        if (end == SIZE_MAX) return code;
        code = end ? fn(ctx, ln_slice_sub(all, 0, end)) : -1;
        ln_buf_consume(lines, end + 1);
        if (code >= 0) return code;
    }
}

typedef struct following {
    ln_ask *ask;
    int fd, signals;
    ln_buf head, lines;
    ln_chunks chunks;
    bool begun;
} following;

/* The head is there, perhaps with more behind it. -1, or the exit code. */
static int begun(following *f, ln_slice *rest) {
    static const uint8_t end[] = "\r\n\r\n";
    ln_slice all = ln_buf_slice(&f->head);
    const uint8_t *at = memmem(all.data, all.size, end, 4);
    if (!at) return -1;
    size_t size = (size_t)(at - all.data) + 4;
    *rest = ln_slice_sub(all, size, all.size);
    f->begun = ln_slice_starts(all, LN_SLICE("HTTP/1.1 200 "));
    if (f->begun) return -1;
    ln_slice body;
    int status;
    if (!ln_ask_answer(all, &status, &body)) return -1; /* it is not all there */
    return ln_ask_complain(f->ask, status, body, *f->ask->key != 0);
}

static int take(following *f, ln_slice in, ln_ask_line_fn *fn, void *ctx) {
    int code = -1;
    if (!f->begun) {
        if (ln_buf_add(&f->head, in) < 0) return 1;
        in = LN_SLICE("");
        if ((code = begun(f, &in)) >= 0 || !f->begun) return code;
    }
    if (!ln_chunks_feed(&f->chunks, in, &f->lines)) return 1;
    if ((code = hand_on(&f->lines, fn, ctx)) >= 0) return code;
    if (!f->chunks.ended && !f->chunks.broken) return -1;
    ln_say(f->chunks.ended ? "the server has ended it" : "what answers at %s is no linnet",
        f->ask->url);
    return 1;
}

static int step(following *f, ln_ask_line_fn *fn, void *ctx) {
    uint8_t bytes[16384];
    struct pollfd fds[] = { { f->fd, POLLIN, 0 }, { f->signals, POLLIN, 0 } };
    int ready = poll(fds, 2, SILENCE_MS);
    if (ready < 0 && errno == EINTR) return -1;
    struct signalfd_siginfo taken; /* or it would be pending for ever */
    if (fds[1].revents && read(f->signals, &taken, sizeof taken) > 0) return 130;
    ssize_t n = ready > 0 ? recv(f->fd, bytes, sizeof bytes, MSG_DONTWAIT) : 0;
    if (n > 0) return take(f, ln_slice_of(bytes, (size_t)n), fn, ctx);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
    ln_say("%s does not answer%s", f->ask->url, f->begun ? " any more" : "");
    return 1;
}

int ln_ask_follow(ln_ask *a, const char *path, ln_slice body, ln_ask_line_fn *fn, void *ctx) {
    ln_buf request;
    following f = { .ask = a };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    ln_buf_init(&request, LN_ASK_MAX);
    ln_buf_init(&f.head, LN_ASK_MAX);
    ln_buf_init(&f.lines, LN_ASK_MAX);
    int code = ln_ask_begin(a, "POST", path, body, &request, &f.fd);
    if (code < 0) {
        sigprocmask(SIG_BLOCK, &set, NULL);
        f.signals = signalfd(-1, &set, SFD_CLOEXEC);
        if (!ln_ask_send(f.fd, ln_buf_slice(&request))) {
            ln_say("%s does not answer: %s", a->url, strerror(errno));
            code = 1;
        }
        while (code < 0)
            code = step(&f, fn, ctx);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        close(f.signals);
        close(f.fd);
    }
    ln_buf_fini(&request);
    ln_buf_fini(&f.head);
    ln_buf_fini(&f.lines);
    return code;
}
