/* jwks.h -- where keys are fetched, as `linnet serve` takes it: "[ALG:][ISSUER=]URL".
 *
 * ALG is what keys are for that do not say so themselves. Without an issuer it is the one of
 * auth.issuers, if there is one only.
 */
#ifndef LN_DAEMON_JWKS_H
#define LN_DAEMON_JWKS_H
#include "daemon/options.h"

#define LN_JWKS_MAX 16

typedef struct ln_jwks { /* borrows from the text */
    char alg[8];         /* empty: none */
    const char *issuer;  /* not a C string */
    size_t issuer_size;  /* 0: none is named */
    const char *url;
} ln_jwks;

/* False: it names no URL of http or https. */
bool ln_jwks_read(const char *text, ln_jwks *out);
/* Whether whoever is on the way could put his own keys there: http, and not to this machine. */
bool ln_jwks_is_open(const char *url);
/* Whose keys they are, as a C string for free(). NULL: nobody can say, or there is no memory. */
char *ln_jwks_issuer(const ln_jwks *j, const ln_arg_list *issuers);
/* What is wrong with auth.jwks; NULL: nothing. */
const char *ln_jwks_wrong(const ln_options *o, const char *text);
#endif
