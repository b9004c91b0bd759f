#include "daemon/log.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/stat.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FAREWELL_MS 500

typedef struct record {
    uint64_t at_ms;
    uint8_t level;
    bool end; /* nothing follows */
    char text[LN_LOG_LINE_MAX];
} record;

struct ln_logger {
    ln_log_format format;
    int fd, in, out, lost; /* lost: an eventfd, because any thread counts there */
    pthread_t thread;
    ln_stat leaving;
    bool deaf;       /* while leaving nobody took a line: the others are not tried */
    uint64_t second; /* of the last line */
    uint32_t lines;  /* in it */
    uint64_t hidden; /* lines left out since the last one that said so */
};

static const char *const levels[] = { "error", "warn", "info", "debug" };

static uint64_t wall_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- formats -------------------------------------------------------------------------- */

static int put_time(ln_buf *out, uint64_t at_ms, bool day) {
    struct tm t;
    time_t seconds = (time_t)(at_ms / 1000);
    char text[64];
    if (!gmtime_r(&seconds, &t)) return LINNET_ERR_INVAL;
    strftime(text, sizeof text, day ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &t);
    return ln_buf_addf(out, "%s.%03u%s", text, (unsigned)(at_ms % 1000), day ? "Z" : "");
}

/* Whether a value may stand in logfmt as it is. */
static bool is_plain(ln_slice s) {
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] <= ' ' || s.data[i] >= 127 || s.data[i] == '"' || s.data[i] == '=' ||
            s.data[i] == '\\')
            return false;
    return s.size > 0;
}

/* A JSON string stays one when it needs quotes: logfmt quotes in the same way. */
static int put_pair(ln_buf *out, const ln_json_value *key, const ln_json_value *value) {
    bool bare = value->kind != LN_JSON_STRING || (!value->escaped && is_plain(value->text));
    ln_slice shown = value->kind == LN_JSON_STRING && bare ? value->text : value->raw;
    return ln_buf_addf(out, " %.*s=%.*s", (int)key->text.size, (const char *)key->text.data,
        (int)shown.size, (const char *)shown.data);
}

/* What is no JSON came with bytes that had to be escaped as \xNN. */
static int put_text(ln_buf *out, const char *line) {
    int err = ln_buf_add(out, LN_SLICE("\""));
    for (; *line && err == LINNET_OK; line++) {
        if (*line == '"' || *line == '\\')
            err = ln_buf_addf(out, "\\%c", *line);
        else if ((unsigned char)*line < ' ' || *line == 127)
            err = ln_buf_addf(out, "\\u%04x", (unsigned)(unsigned char)*line);
        else
            err = ln_buf_add_byte(out, (uint8_t)*line);
    }
    return err == LINNET_OK ? ln_buf_add(out, LN_SLICE("\"")) : err;
}

static int put_json(ln_buf *out, linnet_log_level level, uint64_t at_ms, const char *line,
    const ln_json_value *object) {
    int err = ln_buf_add(out, LN_SLICE("{\"ts\":\""));
    if (err == LINNET_OK) err = put_time(out, at_ms, true);
    if (err == LINNET_OK) err = ln_buf_addf(out, "\",\"level\":\"%s\"", levels[level]);
    if (object) {
        ln_slice rest = ln_slice_sub(object->raw, 1, object->raw.size);
        bool empty = ln_slice_trim(rest).data[0] == '}';
        if (err == LINNET_OK) err = ln_buf_add(out, empty ? LN_SLICE("") : LN_SLICE(","));
        return err == LINNET_OK ? ln_buf_add(out, rest) : err;
    }
    if (err == LINNET_OK) err = ln_buf_add(out, LN_SLICE(",\"msg\":"));
    if (err == LINNET_OK) err = put_text(out, line);
    return err == LINNET_OK ? ln_buf_add_byte(out, '}') : err;
}

static int put_words(ln_buf *out, ln_log_format format, linnet_log_level level, uint64_t at_ms) {
    bool human = format == LN_LOG_HUMAN;
    int err = human ? LINNET_OK : ln_buf_add(out, LN_SLICE("ts="));
    if (err == LINNET_OK) err = put_time(out, at_ms, !human);
    if (err != LINNET_OK) return err;
    return human ? ln_buf_addf(out, " %-5s", levels[level])
                 : ln_buf_addf(out, " level=%s", levels[level]);
}

static int put_pairs(ln_buf *out, ln_log_format format, const ln_json_value *object) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value;
    int err = LINNET_OK;
    while (err == LINNET_OK && ln_json_next(&it, &key, &value)) {
        bool event = format == LN_LOG_HUMAN && ln_json_is(&key, LN_SLICE("event"));
        if (event)
            err = ln_buf_addf(out, " %.*s", (int)value.text.size, (const char *)value.text.data);
        else
            err = put_pair(out, &key, &value);
    }
    return err;
}

int ln_log_render(
    ln_buf *out, ln_log_format format, linnet_log_level level, uint64_t at_ms, const char *line) {
    ln_json_value top;
    bool object = ln_json_check(ln_slice_str(line), &top) == LINNET_OK &&
                  top.kind == LN_JSON_OBJECT;
    int err;
    if (format == LN_LOG_JSON) {
        err = put_json(out, level, at_ms, line, object ? &top : NULL);
    } else {
        err = put_words(out, format, level, at_ms);
        if (err == LINNET_OK && object) err = put_pairs(out, format, &top);
        if (err == LINNET_OK && !object) err = ln_buf_add(out, LN_SLICE(" msg="));
        if (err == LINNET_OK && !object) err = put_text(out, line);
    }
    return err == LINNET_OK ? ln_buf_add_byte(out, '\n') : err;
}

/* ---- the thread ------------------------------------------------------------------------ */

/* Waits for stderr as long as nobody wants to leave. */
static bool can_write(ln_logger *l) {
    struct pollfd p = { .fd = l->fd, .events = POLLOUT };
    while (!l->deaf) {
        int n = poll(&p, 1, FAREWELL_MS);
        if (n > 0) return !(p.revents & (POLLERR | POLLNVAL));
        if ((n >= 0 || errno == EINTR) && !ln_stat_get(&l->leaving)) continue;
        l->deaf = true;
        return false;
    }
    return false;
}

static void write_line(ln_logger *l, linnet_log_level level, uint64_t at_ms, const char *line) {
    ln_buf out;
    ln_buf_init(&out, 2 * LN_LOG_LINE_MAX);
    if (ln_log_render(&out, l->format, level, at_ms, line) == LINNET_OK && can_write(l)) {
        ln_slice s = ln_buf_slice(&out);
        ssize_t n = write(l->fd, s.data, s.size); /* at most PIPE_BUF: all of it */
        (void)n;                                  /* there is nobody to complain to */
    }
    ln_buf_fini(&out);
}

static void tell_missing(ln_logger *l, const char *event, uint64_t lines, uint64_t at_ms) {
    char text[100];
    if (!lines) return;
    snprintf(
        text, sizeof text, "{\"event\":\"%s\",\"lines\":%llu}", event, (unsigned long long)lines);
    write_line(l, LINNET_LOG_WARN, at_ms, text);
}

static void tell_second(ln_logger *l, uint64_t at_ms) {
    uint64_t lost = 0;
    if (at_ms / 1000 == l->second) return;
    l->second = at_ms / 1000;
    l->lines = 0;
    tell_missing(l, "suppressed", l->hidden, at_ms);
    l->hidden = 0;
    if (read(l->lost, &lost, sizeof lost) == (ssize_t)sizeof lost)
        tell_missing(l, "lost", lost, at_ms);
}

/* A worker that says how much it has left out itself is always heard: once a second each. */
static void take(ln_logger *l, const record *r) {
    static const char count[] = "{\"event\":\"suppressed\"";
    bool counts = strncmp(r->text, count, sizeof count - 1) == 0;
    tell_second(l, r->at_ms);
    if (l->lines >= LN_LOG_LINES_PER_S && !counts) {
        l->hidden++;
        return;
    }
    l->lines++;
    write_line(l, (linnet_log_level)r->level, r->at_ms, r->text);
}

/* A second without lines may still owe word of those before it. */
static void *log_thread(void *arg) {
    ln_logger *l = arg;
    for (;;) {
        record r;
        struct pollfd p = { .fd = l->in, .events = POLLIN };
        int n = poll(&p, 1, l->hidden ? 1000 : -1);
        if (n < 0 && errno != EINTR) return NULL;
        if (n == 0) tell_second(l, wall_ms());
        if (n <= 0) continue;
        ssize_t size = recv(l->in, &r, sizeof r, 0);
        if (size < (ssize_t)offsetof(record, text) + 1) return NULL;
        r.text[size - (ssize_t)offsetof(record, text) - 1] = 0;
        if (r.end) return NULL;
        take(l, &r);
    }
}

/* ---- from any thread --------------------------------------------------------------------- */

static bool post(ln_logger *l, const record *r, size_t text, int flags) {
    size_t size = offsetof(record, text) + text + 1;
    return send(l->out, r, size, flags | MSG_NOSIGNAL) == (ssize_t)size;
}

void ln_logger_put(void *ctx, linnet_log_level level, const char *line) {
    ln_logger *l = ctx;
    record r = { .at_ms = wall_ms(), .level = (uint8_t)level };
    size_t size = strnlen(line, sizeof r.text - 1);
    memcpy(r.text, line, size);
    r.text[size] = 0;
    if (post(l, &r, size, MSG_DONTWAIT)) return;
    uint64_t one = 1;
    ssize_t n = write(l->lost, &one, sizeof one); /* adds to what is there */
    (void)n;
}

static int start(ln_logger *l) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&l->thread, NULL, log_thread, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err ? LINNET_ERR_SYS : LINNET_OK;
}

static void close_all(const ln_logger *l) {
    if (l->in >= 0) close(l->in);
    if (l->out >= 0) close(l->out);
    if (l->lost >= 0) close(l->lost);
}

int ln_logger_new(ln_log_format format, int fd, ln_logger **out) {
    ln_logger *l = ln_calloc(1, sizeof *l);
    int pair[2] = { -1, -1 };
    if (!l) return LINNET_ERR_NOMEM;
    l->fd = fd;
    l->format = format;
    if (format == LN_LOG_AUTO) l->format = isatty(fd) ? LN_LOG_HUMAN : LN_LOG_JSON;
    int err = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? LINNET_ERR_SYS
                                                                              : LINNET_OK;
    l->in = pair[0];
    l->out = pair[1];
    l->lost = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->lost < 0) err = LINNET_ERR_SYS;
    if (err == LINNET_OK) err = start(l);
    if (err < 0) {
        close_all(l);
        ln_free(l);
        return err;
    }
    *out = l;
    return LINNET_OK;
}

void ln_logger_free(ln_logger *l) {
    if (!l) return;
    record end = { .end = true };
    ln_stat_add(&l->leaving, 1);
    post(l, &end, 0, 0);
    pthread_join(l->thread, NULL);
    tell_second(l, (l->second + 1) * 1000);
    close_all(l);
    ln_free(l);
}
