/* config.h -- linnet.yaml: a text becomes values of a table's rows, each with its place.
 *
 *     history:
 *       count: 50           the row "history.count"; history.count: 50 says the same
 *     namespaces:
 *       - name: chat        rows of items
 *         live: true
 *
 * It is YAML as far as one needs it: mappings, lists and texts. Aliases, anchors, tags and a second
 * document are refused, because a file that says something in two places is a file in which the
 * other place is overlooked. libyaml splits the text; what a text means is the row's to say, so
 * that `no` and 012 are not what YAML makes of them, but what the same word means as a flag.
 *
 * All problems are collected, except behind one after which nothing can be understood. Nothing here
 * is recursive in what the file says: it is five levels deep at most.
 */
#ifndef LN_DAEMON_CONFIG_H
#define LN_DAEMON_CONFIG_H
#include "base/slice.h"
#include "daemon/option.h"
#include "daemon/problems.h"
#include "daemon/shelf.h"

#define LN_CONFIG_BYTES_MAX (1024 * 1024)
#define LN_CONFIG_DEPTH_MAX 8
#define LN_CONFIG_ITEMS_MAX 1024 /* in one list of items */

typedef struct ln_config {
    const ln_option_table *table;
    void *of;        /* the struct of the table, with its standards */
    ln_source *from; /* one for each row; FILE when it was said */
    ln_shelf *shelf; /* keeps texts and items */
    bool exposed;    /* others can read the file: it must hold no secret */
    ln_problems *problems;
} ln_config;

/* True: there was no problem. */
bool ln_config_read(const ln_config *c, ln_slice text);
/* The same of a file, whose mode it looks at. */
bool ln_config_read_file(ln_config *c, const char *path);

/* Puts what a secret refers to in its place: file:PATH, which others cannot read, and
 * credential:NAME of the service manager, without the line's end. Another text stays as it is. */
bool ln_config_secrets(const ln_config *c);
#endif
