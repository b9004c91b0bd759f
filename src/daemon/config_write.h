/* config_write.h -- linnet.yaml written, and the words about it.
 *
 * What ln_config_write writes reads back to the same values, and what ln_config_gen writes is every
 * default, said: the first thing a test asks of both.
 */
#ifndef LN_DAEMON_CONFIG_WRITE_H
#define LN_DAEMON_CONFIG_WRITE_H
#include "daemon/option.h"
#include "daemon/problems.h"
#include <stdio.h>

/* Every option with its default and what it does; those that have none are commented out. */
void ln_config_gen(FILE *to, const ln_option_table *t);
/* Every option with its value. from: where each comes from stands behind it, `file` is the name of
 * a FILE; NULL: nothing does. Secrets are not written, whatever they are: they come out as
 * comments.
 */
void ln_config_write(
    FILE *to, const ln_option_table *t, const void *of, const ln_source *from, const char *file);
/* The value of one option: a line as in the file, or the lines of items; nothing when it is not
 * set. Secrets are not hidden. */
void ln_config_put(FILE *to, const ln_option *row, const void *of);
/* A reference of all options: for a terminal and the man page, or as tables of Markdown. */
void ln_config_doc(FILE *to, const ln_option_table *t);
void ln_config_doc_markdown(FILE *to, const ln_option_table *t);
#endif
