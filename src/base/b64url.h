/* b64url.h -- base64 for URLs without padding (RFC 4648, 5), as tokens have it.
 *
 * The reader is strict: one text for one value. No padding, no white space, no characters of the
 * other alphabet, and the bits that are left over are zero; otherwise two different texts would
 * mean the same token.
 */
#ifndef LN_BASE_B64URL_H
#define LN_BASE_B64URL_H
#include "base/buf.h"

/* Appends what the text means. LINNET_ERR_INVAL: it is not base64url in its one form;
 * LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG. On error nothing was appended. */
int ln_b64url_get(ln_slice text, ln_buf *out);
/* Appends the text for some bytes. LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG. */
int ln_b64url_put(ln_slice bytes, ln_buf *out);
#endif
