#include "base/err.h"

typedef struct row {
    int err;
    uint16_t close;
    bool retry;
    const char *name, *words;
} row;

static const row rows[] = {
#define ROW(name, number, close, retry, words) { -(number), close, retry, #name, words },
    LINNET_ERRORS(ROW)
#undef ROW
};

/* Linear: errors are told once per connection, not once per message. */
static const row *find(int err) {
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].err == err) return &rows[i];
    }
    return NULL;
}

const char *linnet_strerror(int err) {
    if (err == LINNET_OK) return "ok";
    const row *r = find(err);
    return r ? r->words : "unknown error";
}

const char *linnet_errname(int err) {
    if (err == LINNET_OK) return "OK";
    const row *r = find(err);
    return r ? r->name : "UNKNOWN";
}

uint16_t ln_err_close_code(int err) {
    const row *r = find(err);
    return r ? r->close : 1011;
}

bool ln_err_retry(int err) {
    const row *r = find(err);
    return r && r->retry;
}
