#include "daemon/ticketkey.h"
#include "base/rand.h"
#include "daemon/args.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* LINNET_OK, LINNET_ERR_NOT_FOUND; LINNET_ERR_INVAL: it is there, and not as we have left it. */
static int read_file(const char *path, char out[LN_TICKETKEY_MADE + 1]) {
    struct stat is;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return errno == ENOENT ? LINNET_ERR_NOT_FOUND : LINNET_ERR_INVAL;
    bool ours = fstat(fd, &is) == 0 && S_ISREG(is.st_mode) && !(is.st_mode & 077) &&
                is.st_size == LN_TICKETKEY_MADE + 1;
    ours = ours && read(fd, out, LN_TICKETKEY_MADE) == LN_TICKETKEY_MADE;
    close(fd);
    out[LN_TICKETKEY_MADE] = 0;
    return ours ? LINNET_OK : LINNET_ERR_INVAL;
}

static void make(char out[LN_TICKETKEY_MADE + 1]) {
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[LN_TICKETKEY_MADE / 2];
    ln_rand rand;
    ln_rand_init(&rand);
    ln_rand_bytes(&rand, bytes, sizeof bytes);
    for (size_t i = 0; i < LN_TICKETKEY_MADE; i++)
        out[i] = hex[i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4];
    out[LN_TICKETKEY_MADE] = 0;
    explicit_bzero(bytes, sizeof bytes);
}

/* Never open to others, and never half of it. */
static bool write_file(const char *path, const char *key) {
    char draft[LN_FOLDER_PATH_MAX + 16];
    snprintf(draft, sizeof draft, "%s.%u", path, (unsigned)getpid());
    unlink(draft);
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    bool ok = write(fd, key, LN_TICKETKEY_MADE) == LN_TICKETKEY_MADE && write(fd, "\n", 1) == 1;
    ok = close(fd) == 0 && ok;
    ok = ok && rename(draft, path) == 0;
    if (!ok) unlink(draft);
    return ok;
}

static bool take_file(ln_ticketkeys *k, const char *path) {
    int err = read_file(path, k->made);
    if (err == LINNET_ERR_INVAL) {
        ln_say("%s is not the key for tickets that was kept there with mode 0600; take it away, "
               "and another one is made",
            path);
        return false;
    }
    if (err == LINNET_ERR_NOT_FOUND) make(k->made);
    if (err == LINNET_ERR_NOT_FOUND && !write_file(path, k->made)) {
        ln_say("cannot write %s: %s", path, strerror(errno));
        return false;
    }
    k->keys[0] = ln_slice_of(k->made, LN_TICKETKEY_MADE);
    k->count = 1;
    return true;
}

bool ln_ticketkeys_take(ln_ticketkeys *k, const ln_options *o, bool keeps) {
    char path[LN_FOLDER_PATH_MAX];
    *k = (ln_ticketkeys){ .count = 0 };
    for (size_t i = 0; i < o->resume_keys.count && i < 2; i++) {
        k->keys[k->count++] = ln_slice_str(o->resume_keys.items[i]);
        if (k->keys[i].size >= LN_TICKETKEY_MIN) continue;
        ln_say("resume.keys: a key has %d characters or more", LN_TICKETKEY_MIN);
        return false;
    }
    bool kept = keeps && !k->count && ln_folder_file(o, "resume.key", path);
    return kept ? take_file(k, path) : true;
}

void ln_ticketkeys_forget(ln_ticketkeys *k) {
    explicit_bzero(k, sizeof *k);
}
