#include "lib/ledger.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPARE           1024 /* lines that may have nothing to say, besides as many as have */
#define FILE_MAX        (256u << 20) /* bytes; more is none of ours */
#define LEDGER_LINE_MAX (64 + LN_BAN_SUBJECT_MAX)

static const char *const kinds[LN_BAN_KINDS] = {
    [LN_BAN_USER] = "USER",
    [LN_BAN_ADDRESS] = "ADDRESS",
    [LN_BAN_ISSUED] = "ISSUED",
    [LN_BAN_TOKEN] = "TOKEN",
    [LN_BAN_SESSION] = "SESSION",
};

/* ---- lines -------------------------------------------------------------------------- */

/* An address is read by people, too. */
static ln_slice shown(ln_ban_kind kind, ln_slice subject, char room[LN_IP_TEXT]) {
    ln_ip ip;
    if (kind != LN_BAN_ADDRESS) return subject;
    memcpy(&ip, subject.data, sizeof ip);
    return ln_slice_of(room, ln_ip_text(&ip, room));
}

static int put_line(
    ln_buf *out, bool lift, ln_ban_kind kind, ln_slice subject, uint64_t before, uint64_t until) {
    char room[LN_IP_TEXT];
    int err = lift ? ln_buf_addf(out, "lift %s ", kinds[kind])
                   : ln_buf_addf(out, "put %s %llu %llu ", kinds[kind], (unsigned long long)until,
                         (unsigned long long)before);
    if (err == LINNET_OK) err = ln_buf_add(out, shown(kind, subject, room));
    return err == LINNET_OK ? ln_buf_add_byte(out, '\n') : err;
}

typedef struct said {
    bool lift;
    ln_ban_kind kind;
    uint64_t before, until;
    ln_slice subject;
    ln_ip ip; /* what the subject lies in, when it is an address */
} said;

static bool number(ln_slice *rest, uint64_t *out) {
    ln_slice word;
    return ln_slice_cut(rest, ' ', &word) && ln_num_u64(word, UINT64_MAX, out);
}

static bool kind_of(ln_slice word, ln_ban_kind *out) {
    for (int i = 0; i < LN_BAN_KINDS; i++) {
        *out = (ln_ban_kind)i;
        if (ln_slice_eq(word, ln_slice_str(kinds[i]))) return true;
    }
    return false;
}

static bool read_line(ln_slice line, said *out) {
    ln_slice word;
    if (!ln_slice_cut(&line, ' ', &word)) return false;
    out->lift = ln_slice_eq(word, LN_SLICE("lift"));
    if (!out->lift && !ln_slice_eq(word, LN_SLICE("put"))) return false;
    if (!ln_slice_cut(&line, ' ', &word) || !kind_of(word, &out->kind)) return false;
    out->before = out->until = 0;
    if (!out->lift && (!number(&line, &out->until) || !number(&line, &out->before))) return false;
    out->subject = line;
    if (out->kind == LN_BAN_ADDRESS) {
        if (!ln_ip_parse(line, &out->ip)) return false;
        out->ip = ln_ip_subscriber(&out->ip);
        out->subject = ln_slice_of(&out->ip, sizeof out->ip);
    }
    return ln_ban_fits(out->kind, out->subject);
}

static int obey(ln_bans *bans, const said *s, uint64_t now_s) {
    if (!s->lift) return ln_bans_put(bans, s->kind, s->subject, s->before, s->until, now_s);
    ln_bans_lift(bans, s->kind, s->subject, now_s);
    return LINNET_OK;
}

/* ---- the file ----------------------------------------------------------------------- */

static int slurp(int fd, ln_buf *out) {
    struct stat st;
    if (fstat(fd, &st) < 0) return LINNET_ERR_SYS;
    if (st.st_size < 0 || (uint64_t)st.st_size > FILE_MAX) return LINNET_ERR_TOO_BIG;
    ln_buf_init(out, LN_BUF_MAX);
    int err = ln_buf_reserve(out, (size_t)st.st_size + 1);
    while (err == LINNET_OK) {
        ln_wslice room = ln_buf_room(out);
        ssize_t n = room.size ? read(fd, room.data, room.size) : 0;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) err = LINNET_ERR_SYS;
        if (n <= 0) break;
        ln_buf_commit(out, (size_t)n);
    }
    return err;
}

static int read_all(ln_slice text, ln_bans *bans, uint64_t now_s, uint32_t *lines, uint64_t *size) {
    ln_slice whole = text;
    *lines = 0;
    *size = 0;
    for (size_t end; (end = ln_slice_find(text, '\n')) != SIZE_MAX;) {
        said s;
        ++*lines;
        if (!read_line(ln_slice_sub(text, 0, end), &s)) return LINNET_ERR_INVAL;
        int err = obey(bans, &s, now_s);
        if (err < 0) return err;
        ln_slice_skip(&text, end + 1);
        *size = whole.size - text.size;
    }
    return LINNET_OK;
}

static int read_fd(int fd, ln_bans *bans, uint64_t now_s, uint32_t *lines, uint64_t *size) {
    ln_buf text = { 0 };
    int err = slurp(fd, &text);
    if (err == LINNET_OK) err = read_all(ln_buf_slice(&text), bans, now_s, lines, size);
    ln_buf_fini(&text);
    return err;
}

int ln_ledger_read(const char *path, ln_bans *bans, uint64_t now_s) {
    uint32_t lines;
    uint64_t size;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? LINNET_OK : LINNET_ERR_SYS;
    int err = read_fd(fd, bans, now_s, &lines, &size);
    close(fd);
    return err;
}

int ln_ledger_open(ln_ledger *l, const char *path, ln_bans *bans, uint64_t now_s) {
    uint64_t size;
    *l = (ln_ledger){ .fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600) };
    if (l->fd < 0) return LINNET_ERR_SYS;
    int err = read_fd(l->fd, bans, now_s, &l->lines, &size);
    if (err == LINNET_OK && ftruncate(l->fd, (off_t)size) < 0) err = LINNET_ERR_SYS;
    if (err == LINNET_OK && !(l->path = ln_slice_dup(ln_slice_str(path)))) err = LINNET_ERR_NOMEM;
    if (err < 0) ln_ledger_close(l);
    return err;
}

void ln_ledger_close(ln_ledger *l) {
    if (l->fd >= 0) close(l->fd);
    ln_free(l->path);
    *l = (ln_ledger){ .fd = -1 };
}

static int write_all(int fd, ln_slice text) {
    while (text.size) {
        ssize_t n = write(fd, text.data, text.size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return LINNET_ERR_SYS;
        ln_slice_skip(&text, (size_t)n);
    }
    return LINNET_OK;
}

static int whole(const ln_bans *bans, uint64_t now_s, ln_buf *out, uint32_t *lines) {
    uint32_t at = 0;
    int err = LINNET_OK;
    *lines = 0;
    for (const ln_ban *b; err == LINNET_OK && (b = ln_bans_next(bans, now_s, &at)); ++*lines)
        err = put_line(out, false, ln_ban_kind_of(b), ln_ban_subject(b), b->before, b->until);
    return err;
}

/* Beside itself, and then in its place. What fails leaves the old one. */
static void rewrite(ln_ledger *l, const ln_bans *bans, uint64_t now_s) {
    ln_buf text, path;
    uint32_t lines;
    int fd = -1;
    ln_buf_init(&text, LN_BUF_MAX);
    ln_buf_init(&path, LN_BUF_MAX);
    int err = whole(bans, now_s, &text, &lines);
    if (err == LINNET_OK) err = ln_buf_addf(&path, "%s.new", l->path);
    if (err == LINNET_OK) err = ln_buf_add_byte(&path, 0);
    const char *beside = (const char *)ln_buf_slice(&path).data;
    if (err == LINNET_OK)
        fd = open(beside, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0 && write_all(fd, ln_buf_slice(&text)) == LINNET_OK &&
        rename(beside, l->path) == 0) {
        close(l->fd);
        l->fd = fd;
        l->lines = lines;
    } else if (fd >= 0) {
        close(fd);
        unlink(beside);
    }
    ln_buf_fini(&text);
    ln_buf_fini(&path);
}

/* What was written of a line that did not fit on the disk goes away again. */
static int append(const ln_ledger *l, ln_slice line) {
    struct stat st;
    if (fstat(l->fd, &st) < 0) return LINNET_ERR_SYS;
    int err = write_all(l->fd, line);
    if (err < 0 && ftruncate(l->fd, st.st_size) < 0) return LINNET_ERR_SYS;
    return err;
}

int ln_ledger_put(ln_ledger *l, const ln_bans *bans, uint64_t now_s, bool lift, ln_ban_kind kind,
    ln_slice subject, uint64_t before, uint64_t until) {
    ln_buf line;
    ln_buf_init(&line, LEDGER_LINE_MAX);
    int err = put_line(&line, lift, kind, subject, before, until);
    if (err == LINNET_OK) err = append(l, ln_buf_slice(&line));
    ln_buf_fini(&line);
    if (err < 0) return err;
    l->lines++;
    if (l->lines > 2 * (uint64_t)bans->map.count + SPARE) rewrite(l, bans, now_s);
    return LINNET_OK;
}
