/* bytes.h -- payloads that are no JSON, in a protocol that is (PROTOCOL 2.9).
 *
 * To who speaks JSON, bytes are the value {"base64":"..."}: it is what is stored, logged, and told
 * in every dialect, so nothing on the way needs to know of it. Who has said that he takes binary
 * messages (`bin` among the caps) gets and sends them bare:
 *
 *    0        1                      5                 5 + n
 *    | 01     | n, 32 bits, big end  | header ........ | payload .......... |
 *
 * The header is the JSON object that a text would have been, without `data`; the payload is its
 * data. Bytes in, values out; nothing is allocated but what is appended.
 */
#ifndef LN_WIRE_BYTES_H
#define LN_WIRE_BYTES_H
#include "wire/native.h"

#define LN_BYTES_VERSION 1
#define LN_BYTES_HEAD    5

/* Appends the text of a command that came as a binary message: its header, and as `data` what
 * stands behind it.
 *   LN_DONE
 *   LINNET_ERR_JSON  it is none; *why says so in words (static)
 *   LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG of *out
 * On error nothing was appended. */
int ln_bytes_command(ln_slice message, ln_buf *out, const char **why);

/* Whether a JSON value is bytes: an object, written without spaces, with the one key base64 and
 * base64 with its padding (RFC 4648, 4) in its one form. */
bool ln_bytes_are(ln_slice json);
/* Appends the value for some bytes, and the bytes of a value that is some. LINNET_ERR_NOMEM,
 * LINNET_ERR_TOO_BIG: nothing was appended. */
int ln_bytes_put(ln_slice bytes, ln_buf *out);
int ln_bytes_get(ln_slice json, ln_buf *out);

/* Appends a binary message that says m, whose data is bytes. Errors as above. */
int ln_bytes_put_message(ln_buf *out, const ln_native_message *m);
#endif
