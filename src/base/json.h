/* json.h -- a strict pull reader (RFC 8259) over one whole text, and a writer.
 *
 * The reader allocates nothing and copies nothing: strings come out as raw slices of the
 * text (still escaped), whole values can be skipped and taken as slices, checked once and
 * passed on unparsed. Depth, number of keys and number length are bounded (THREATS.md: 64,
 * 1,024, 64 characters), the walk is linear. Invalid UTF-8 in strings is refused, lone
 * surrogate escapes too.
 */
#ifndef LN_BASE_JSON_H
#define LN_BASE_JSON_H
#include "base/buf.h"

typedef enum ln_json_kind {
    LN_JSON_NULL,
    LN_JSON_BOOL,
    LN_JSON_NUMBER,
    LN_JSON_STRING,
    LN_JSON_ARRAY,
    LN_JSON_OBJECT
} ln_json_kind;

#define LN_JSON_DEPTH_MAX  64
#define LN_JSON_KEYS_MAX   1024 /* in one text */
#define LN_JSON_NUMBER_MAX 64   /* characters */

typedef struct ln_json_value {
    ln_json_kind kind;
    ln_slice raw;  /* the value's exact text, without white space around it */
    ln_slice text; /* STRING: between the quotes, still escaped */
    bool boolean;  /* BOOL */
    bool escaped;  /* STRING: has a backslash, so `text` is not the content */
} ln_json_value;

/* Checks the whole text and gives its top value. LINNET_ERR_JSON when it is not one valid
 * JSON value with nothing behind it, LINNET_ERR_LIMIT over a bound. After this, walking inside
 * cannot fail. */
int ln_json_check(ln_slice text, ln_json_value *top);
/* The same with another bound for the keys: for who reads what a server of his own choice has
 * gathered for him, as a page of a list. */
int ln_json_check_long(ln_slice text, uint32_t keys_max, ln_json_value *top);

/* Walks the members of a checked object or the elements of a checked array:
 *     ln_json_iter it = ln_json_iter_of(&object);
 *     while (ln_json_next(&it, &key, &value)) ...
 * key is empty for arrays. */
typedef struct ln_json_iter {
    ln_slice rest;
    bool object;
} ln_json_iter;
ln_json_iter ln_json_iter_of(const ln_json_value *container);
bool ln_json_next(ln_json_iter *it, ln_json_value *key, ln_json_value *value);

/* True when a string value's content (unescaped) equals the ASCII word. */
bool ln_json_is(const ln_json_value *string, ln_slice word);
/* Unescapes a string into out (appended). LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG. */
int ln_json_unescape(const ln_json_value *string, ln_buf *out);
/* A non-negative integer of at most 2^53 - 1, without fraction or exponent. */
bool ln_json_uint(const ln_json_value *number, uint64_t *out);

/* The writer appends to a buffer. Commas are placed by the writer; the first error sticks
 * and is returned by ln_json_end, so calls in between need no checks.
 *     ln_json_writer w = ln_json_begin(&buf);
 *     ln_json_open(&w, '{'); ln_json_key(&w, "type"); ln_json_str(&w, LN_SLICE("ok"));
 *     ln_json_close(&w, '}'); err = ln_json_end(&w);  */
typedef struct ln_json_writer {
    ln_buf *out;
    uint32_t start; /* size of *out at begin; on error it is cut back to this */
    int err;
    bool comma;
} ln_json_writer;
ln_json_writer ln_json_begin(ln_buf *out);
void ln_json_open(ln_json_writer *w, char bracket);
void ln_json_close(ln_json_writer *w, char bracket);
void ln_json_key(ln_json_writer *w, const char *key); /* plain ASCII, no escaping */
/* Escaped; bytes that are not UTF-8 become U+FFFD. */
void ln_json_str(ln_json_writer *w, ln_slice text);
void ln_json_u64(ln_json_writer *w, uint64_t v);
void ln_json_bool(ln_json_writer *w, bool v);
void ln_json_null(ln_json_writer *w);
void ln_json_raw(ln_json_writer *w, ln_slice json); /* a checked value, as it is */
int ln_json_end(ln_json_writer *w);
#endif
