/* key.h -- the keys that open the doors for machines and operators: metrics, orders, the API.
 *
 * Always needed, on loopback too: a page in any browser on this machine can reach loopback. Keys
 * come from a file that was named, from a credential of the service manager, and from the
 * environment, which forgets it at once. Without any of them one is made at random and kept, for
 * as long as the server runs, in a file of mode 0600 where the command line finds it.
 *
 *    file:   # a comment
 *            KEY                          may do all
 *            KEY metrics,publish          may do this
 *            KEY metrics prometheus       and is called so in logs; its words are never shown
 *
 * A key is 16 to 256 visible ASCII characters. Comparing takes the same time whatever was given,
 * and no word of this file is ever told to a log.
 */
#ifndef LN_DAEMON_KEY_H
#define LN_DAEMON_KEY_H
#include "base/slice.h"

#define LN_KEYS_MAX     32
#define LN_KEY_MIN      16
#define LN_KEY_MAX      256
#define LN_KEY_NAME     32
#define LN_KEY_MADE     48 /* characters of one that was made here */
#define LN_KEY_PATH_MAX 512

enum {                    /* what a key may do */
    LN_SCOPE_METRICS = 1, /* read metrics and status */
    LN_SCOPE_READ = 2,    /* history, presence, lists of channels and connections */
    LN_SCOPE_PUBLISH = 4, /* publish, send, call */
    LN_SCOPE_MANAGE = 8,  /* disconnect, ban, revoke, subscribe others, remove history */
    LN_SCOPE_OPERATE = 16 /* drain, follow events */
};
#define LN_SCOPE_ALL 31u

typedef struct ln_key {
    uint32_t scopes;
    uint16_t size;
    char name[LN_KEY_NAME]; /* may be empty */
    uint8_t text[LN_KEY_MAX];
} ln_key;

typedef struct ln_keys { /* zeroed it is empty */
    ln_key items[LN_KEYS_MAX];
    size_t count;
} ln_keys;

/* name: fewer than LN_KEY_NAME bytes. LINNET_ERR_INVAL: what is no key, or no name;
 * LINNET_ERR_EXISTS; LINNET_ERR_LIMIT. */
int ln_keys_add(ln_keys *k, ln_slice key, uint32_t scopes, ln_slice name);
/* The lines of a file. *line: the one that is wrong, from 1; nothing of it is repeated. Errors as
 * add, and those before it stay. */
int ln_keys_read(ln_keys *k, ln_slice text, unsigned *line);
/* From `file` (NULL: none is named), the credential linnet.keys and LINNET_API_KEY, all that are
 * there. A file that everybody may read is refused, unless `lax`, which says so. -1, or the exit
 * code after a mistake was told on stderr. */
int ln_keys_gather(ln_keys *k, const char *file, bool lax);
/* The key that is the one given, or NULL. */
const ln_key *ln_keys_find(const ln_keys *k, ln_slice given);
/* Adds a random one that may do all. */
void ln_keys_make(ln_keys *k);
/* Overwrites them. */
void ln_keys_forget(ln_keys *k);

/* "Bearer KEY", as it stands in Authorization. False: it is nothing of the kind. */
bool ln_key_bearer(ln_slice header, ln_slice *key);
/* Whether a Host field names us: an address in digits, localhost, or one of `names` (NULL at the
 * end; "*" is all), with any port. A page that has tricked a name into our address names that. */
bool ln_key_host(ln_slice host, const char *const *names);

/* The file for the key of the server at an address: "127.0.0.1:8080" and "[::]:8080" is
 * "8080.key", "unix:/run/door" is "unix-run-door.key". */
void ln_key_file_name(const char *address, char out[LN_KEY_PATH_MAX]);
/* Writes the key to that file in the runtime folder, which is $RUNTIME_DIRECTORY,
 * $XDG_RUNTIME_DIR/linnet, /run/linnet or /tmp/linnet-UID, the first that there is or that can be
 * made, and is ours alone to write. path gets the whole name. LINNET_ERR_SYS: nowhere. */
int ln_key_keep(const ln_key *key, const char *address, char path[LN_KEY_PATH_MAX]);
/* The other side: the key of a server on this machine, from the same folders; only from a file
 * that belongs to us or to root, or, when we are root, to anybody, and that nobody else may read.
 * False: there is none. */
bool ln_key_recall(const char *address, char out[LN_KEY_MAX + 1]);
/* Takes the file away, if it still holds this key. */
void ln_key_discard(const ln_key *key, const char *address);
#endif
