/* ask.h -- one HTTP request to a server's operators' paths, with its key, and the answer.
 *
 * The key comes from --key-file, from LINNET_API_KEY, or from where a server on this machine has
 * kept it (daemon/key.h). Plain HTTP to a port or a Unix socket: this is for the machine itself, or
 * through a tunnel; curl speaks TLS.
 */
#ifndef LN_CLI_ASK_H
#define LN_CLI_ASK_H
#include "base/buf.h"
#include "daemon/args.h"
#include "daemon/key.h"

#define LN_ASK_URL "http://127.0.0.1:8080"
#define LN_ASK_MAX (8 * 1024 * 1024) /* bytes of an answer */

typedef struct ln_ask {
    const char *url;      /* http://HOST:PORT, HOST:PORT or unix:PATH */
    const char *key_file; /* NULL: none was named */
    bool asked;           /* once, and so the next is known: */
    char key[LN_KEY_MAX + 1];
} ln_ask;

#define LN_ASK_INIT                                                                                \
    { LN_ASK_URL, NULL, false, "" }
#define LN_ASK_ROWS(a)                                                                             \
    { "url", "URL", LN_ARG_TEXT, &(a).url, 0, 0,                                                   \
        "the server: http://HOST:PORT or unix:PATH (default " LN_ASK_URL ")" },                    \
    {                                                                                              \
        "key-file", "FILE", LN_ARG_TEXT, &(a).key_file, 0, 0,                                      \
            "its key (default: LINNET_API_KEY, or what it keeps on this machine)"                  \
    }

/* The key is not needed any more. */
void ln_ask_forget(ln_ask *a);
/* Sends it. body: JSON, or empty. out gets the body of a 2xx answer. -1, or the exit code after it
 * was told why: 1 when there is no answer or another one, 2 for an address that is none. */
int ln_ask_do(ln_ask *a, const char *method, const char *path, ln_slice body, ln_buf *out);

/* The same for an answer that does not end: each line of it is handed on, and -1 goes on, anything
 * else is the exit code. 130 after INT; 1 when the server ends it. */
typedef int ln_ask_line_fn(void *ctx, ln_slice line);
int ln_ask_follow(ln_ask *a, const char *path, ln_slice body, ln_ask_line_fn *fn, void *ctx);

/* The parts, for tests. An address, "HOST:PORT" or "unix:PATH", of a URL. False: it is none. */
bool ln_ask_address(const char *url, char out[256]);
/* A whole answer into status and body, which lies inside it. False: it is none, or cut. */
bool ln_ask_answer(ln_slice answer, int *status, ln_slice *body);
#endif
