/* api_body.h -- what the HTTP API is told, as pure functions: JSON to commands.
 *
 * Fields have the names of the native protocol. Unlike there one that nobody knows is a mistake: a
 * backend is told that it wrote "chanel", and not that there is none.
 */
#ifndef LN_DAEMON_API_BODY_H
#define LN_DAEMON_API_BODY_H
#include "base/json.h"

#define LN_API_ITEMS_MAX 1000 /* commands in a batch, channels of a broadcast */
#define LN_API_WHY_MAX   160

typedef enum ln_api_field {
    LN_API_CHANNEL = 1 << 0,
    LN_API_CHANNELS = 1 << 1,
    LN_API_EVENT = 1 << 2,
    LN_API_DATA = 1 << 3,
    LN_API_VOLATILE = 1 << 4,
    LN_API_METHOD = 1 << 5,
    LN_API_COMMANDS = 1 << 6,
    LN_API_USER = 1 << 7,
    LN_API_CLIENT = 1 << 8,
    LN_API_CODE = 1 << 9,
    LN_API_REASON = 1 << 10,
    LN_API_LIMIT = 1 << 11,
    LN_API_KEY = 1 << 12,
    LN_API_SINCE = 1 << 13,
    LN_API_REVERSE = 1 << 14,
    LN_API_ADDRESS = 1 << 15,
    LN_API_JTI = 1 << 16,
    LN_API_SESSION = 1 << 17,
    LN_API_FOR = 1 << 18,
    LN_API_BEFORE = 1 << 19,
    LN_API_AFTER = 1 << 20,
    LN_API_TIMEOUT = 1 << 21,
    LN_API_PREFIX = 1 << 22,
    LN_API_OFFSET = 1 << 23,
    LN_API_EPOCH = 1 << 24,
    LN_API_TOKEN = 1 << 25,
    LN_API_FROM = 1 << 26,
    LN_API_EXPIRES = 1 << 28,
    LN_API_INFO = 1 << 29,
    LN_API_BEHIND = 1 << 27, /* "after" too, where it is a name */
} ln_api_field;

typedef struct ln_api_body {
    unsigned fields;                                             /* ln_api_field: which came */
    ln_slice channel, event, method, user, client, reason, key;  /* unescaped */
    ln_slice address, jti, session, prefix, token, from, behind; /* likewise */
    uint64_t code, limit, for_s, before, after, timeout_ms;
    uint64_t epoch, offset; /* also those of since */
    uint64_t expires;
    ln_slice data, info; /* JSON */
    ln_json_value channels, commands;
    bool is_volatile, reverse;
} ln_api_body;

/* Reads a checked object. may: the fields that may be there, must: those that have to. Strings with
 * escapes go to scratch, which has its memory already and is large enough for the whole text, so
 * that slices stay where they are. False: why says in words what is wrong. */
bool ln_api_read(const ln_json_value *object, unsigned may, unsigned must, ln_buf *scratch,
    ln_api_body *out, char why[LN_API_WHY_MAX]);
/* The method that a command names, unescaped. False: why says what is wrong. */
bool ln_api_named(
    const ln_json_value *object, ln_buf *scratch, ln_slice *name, char why[LN_API_WHY_MAX]);
/* Whether it is this one; false also when it is written with escapes. */
bool ln_api_is_method(const ln_json_value *object, ln_slice name);
/* One string of a checked array. False: it is none. */
bool ln_api_text(const ln_json_value *value, ln_buf *scratch, ln_slice *out);
/* The next line of text that is not empty; false at the end. For newline-delimited JSON. */
bool ln_api_line(ln_slice *text, ln_slice *line);
/* Whether a Content-Type is this media type, whatever parameters follow. */
bool ln_api_is_type(ln_slice field, const char *type);
#endif
