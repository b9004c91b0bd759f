/* tokenkey.h -- key files for tokens, as `linnet serve` and `linnet token` take them: "FILE", or
 * "ALG:FILE" where a key could do more than one thing ("PS256:key.pem", "HS512:secret").
 *
 * A secret in a file that others may read is none: it is refused, or with `lax` told of.
 */
#ifndef LN_DAEMON_TOKENKEY_H
#define LN_DAEMON_TOKENKEY_H
#include <linnet/token.h>

#define LN_TOKENKEY_MAX (256 * 1024) /* bytes of a file */

typedef struct ln_tokenkey {
    char alg[8];      /* empty: what is usual */
    const char *path; /* in the text it was made of */
    char *bytes;      /* with a NUL behind them */
    size_t size;
} ln_tokenkey;

/* Reads the file of a text. secret: it is the secret itself; one line end at its end is not part
 * of it. False after a mistake was told. */
bool ln_tokenkey_read(ln_tokenkey *k, const char *text, bool secret, bool lax);
/* Wipes it. */
void ln_tokenkey_free(ln_tokenkey *k);
/* As the library wants it: PEM or JSON by what stands in it, or a secret. */
linnet_key ln_tokenkey_as(const ln_tokenkey *k, bool secret);
/* Reads one into a set. False after a mistake was told. */
bool ln_tokenkey_add(linnet_keys *keys, const char *text, bool secret, bool lax);
#endif
