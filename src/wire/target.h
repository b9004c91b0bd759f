/* target.h -- paths and queries of HTTP requests: checked, walked, decoded.
 *
 * A path that passes has one reading only. Whatever could name something else to the next
 * program (dot segments, doubled or backward slashes, overlong UTF-8, control characters,
 * all of it also when escaped) is refused rather than repaired.
 */
#ifndef LN_WIRE_TARGET_H
#define LN_WIRE_TARGET_H
#include "base/slice.h"

#define LN_TARGET_PARAMS_MAX 64

/* Every ln_http1_head.path has passed this: begins with '/'; decoded it is UTF-8 without control
 * characters, without backslash, without empty, "." or ".." segments (an empty last one is
 * a trailing slash and fine). An encoded slash counts as a slash. */
bool ln_target_path_ok(ln_slice path);
/* Every ln_http1_head.query has passed this: escapes are whole, at most LN_TARGET_PARAMS_MAX
 * parameters. What they decode to may be any bytes. */
bool ln_target_query_ok(ln_slice query);

/* Decodes %XX, and '+' to a space when `plus` (queries), into out, which has room for
 * raw.size bytes. Returns the size. Broken escapes are copied as they are; a checked path
 * or query has none. */
size_t ln_target_unescape(ln_slice raw, bool plus, uint8_t *out);

/* Takes the next parameter off the front of *query, raw. "a=1&b&&c=" gives a/1, b/"",
 * c/"": pieces without a key and value are skipped. False at the end. */
bool ln_target_next(ln_slice *query, ln_slice *key, ln_slice *value);
/* How often a parameter occurs, keys compared decoded. *value is the raw value of the
 * first, untouched when there is none. More than one is for most keys a reason to answer
 * 400: the first never silently wins (THREATS 28). */
size_t ln_target_find(ln_slice query, ln_slice key, ln_slice *value);
#endif
