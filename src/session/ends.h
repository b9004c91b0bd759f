/* ends.h -- how sessions ended: the last ones of a worker, with what one wants to know when
 * somebody asks "why was I disconnected?".
 *
 *   session ──fate (while it lives: what was said to it last)──> end ──ring of LN_ENDS_MAX──> asked
 *
 * A session has a fate only once something went wrong, so that the many of which nothing will be
 * asked cost nothing. Ends are immutable and counted: who asks gets references, which outlive the
 * ring. The table of words says what a close means and what to do about it, for people.
 */
#ifndef LN_SESSION_ENDS_H
#define LN_SESSION_ENDS_H
#include "base/err.h"
#include "base/ref.h"
#include "base/slice.h"

#define LN_ENDS_MAX      1024 /* per worker; about 300 bytes each */
#define LN_ENDS_KEEP_MS  (24ull * 3600 * 1000)
#define LN_FATE_TEXT_MAX 124

typedef enum ln_end_by { LN_END_CLIENT, LN_END_SERVER, LN_END_NETWORK } ln_end_by;

/* What a session has been told that may be the reason of its end. */
typedef struct ln_fate {
    uint64_t error_at; /* ms since 1970; 0: there was no error */
    uint16_t error;    /* number of the native protocol */
    uint16_t code;     /* of the Close that we sent; 0: none */
    uint16_t why;      /* the same, before dialects of strangers got 1008 instead */
    uint8_t error_size, reason_size;
    char error_text[LN_FATE_TEXT_MAX], reason[LN_FATE_TEXT_MAX];
} ln_fate;

/* Slices point behind the struct. */
typedef struct ln_end {
    ln_ref refs;
    uint64_t opened, closed; /* ms since 1970 */
    uint64_t in, out;        /* bytes of the TCP stream */
    uint64_t error_at;
    const char *dialect;
    ln_slice client, user, address, reason, error_text; /* empty: unknown, or none */
    bool counted;                                       /* in and out are known */
    uint8_t by;                                         /* ln_end_by */
    uint16_t code, why, error;
    int err; /* LINNET_ERR_* when it was one that ended it */
} ln_end;

/* A copy of what slices point to. Without memory NULL. */
ln_end *ln_end_new(const ln_end *from);
void ln_end_unref(ln_end *e);

typedef struct ln_ends { /* zeroed it is empty */
    ln_end **ring;       /* NULL until there is one */
    uint32_t first, count;
} ln_ends;

void ln_ends_fini(ln_ends *n);
/* Takes it; the oldest may go. NULL, or no memory for the ring: it is forgotten. */
void ln_ends_add(ln_ends *n, ln_end *e);
/* The index-th last, from 0; NULL: there are not so many, or it is too long ago. */
ln_end *ln_ends_at(const ln_ends *n, uint32_t index, uint64_t now_ms);

typedef struct ln_end_words {
    const char *meaning; /* "it did not read fast enough" */
    const char *advice;
} ln_end_words;
/* Never NULL words. */
ln_end_words ln_end_explain(uint16_t why, ln_end_by by, int err);
#endif
