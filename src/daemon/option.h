/* option.h -- one row says all there is to know of an option.
 *
 * Its path in linnet.yaml ("history.count") is its name; from the path comes the name in the
 * environment (LINNET_HISTORY_COUNT), from its kind what may stand there. Flags, environment, file,
 * --help, the man page and the guide are made of rows, and none of them knows an option of its own.
 *
 * All values are texts until they are taken here, wherever they come from, so that 64k means the
 * same in a file and on the command line, and what is wrong is told in the same words.
 */
#ifndef LN_DAEMON_OPTION_H
#define LN_DAEMON_OPTION_H
#include "daemon/args.h"

typedef enum ln_option_kind {
    LN_OPTION_FLAG,     /* bool: true or false (also on, off, yes, no, 1, 0) */
    LN_OPTION_TEXT,     /* const char *, borrowed; NULL: not set */
    LN_OPTION_NUMBER,   /* uint64_t */
    LN_OPTION_SIZE,     /* uint64_t, bytes: 65536, 64k, 16m, 1g */
    LN_OPTION_DURATION, /* uint64_t, milliseconds: 500ms, 25s, 5m, 24h; 25 alone counts seconds */
    LN_OPTION_WORD,     /* uint64_t: which of the words in `value`, "error|warn|info" */
    LN_OPTION_LIST,     /* ln_arg_list of borrowed texts */
    LN_OPTION_ITEMS     /* ln_items: mappings with rows of their own */
} ln_option_kind;

typedef enum ln_option_how {
    LN_OPTION_RESTART = 0,  /* another value is for the next start */
    LN_OPTION_RELOAD = 1,   /* SIGHUP is enough */
    LN_OPTION_OFF = 2,      /* of numbers: the word off, which is LN_OPTION_IS_OFF */
    LN_OPTION_BARE = 4,     /* of words: the flag alone means the second word */
    LN_OPTION_SECRET = 8,   /* of texts and lists: never printed, no plain value in argv */
    LN_OPTION_REQUIRED = 16 /* of rows of items */
} ln_option_how;
#define LN_OPTION_IS_OFF UINT32_MAX /* as LINNET_OFF */

struct ln_option_table;
typedef struct ln_option {
    const char *path;  /* "history.count" */
    const char *flag;  /* without dashes; NULL: there is none */
    const char *value; /* how a help names the value: "N"; of WORD the words */
    ln_option_kind kind;
    unsigned how;
    size_t offset; /* of the field in its struct */
    uint64_t min, max;
    const char *standard; /* as it would stand in the file; "": not set */
    const char *example;  /* likewise; "": the standard is one */
    const char *help;
    const struct ln_option_table *items; /* of ITEMS */
} ln_option;

typedef struct ln_option_table {
    const ln_option *rows;
    size_t count;
    size_t size; /* of the struct the rows speak of; of items, its first field is uint32_t line */
} ln_option_table;

typedef struct ln_items { /* of the struct that row->items speaks of */
    void *at;
    size_t count;
} ln_items;

#define LN_OPTION_TEXT_MAX 4096 /* bytes of one text */
#define LN_OPTION_WHY_MAX  400

/* Takes a text into its field at `target`; a LIST appends it. Returns false with words about what
 * would be right, which begin with "wants"; the field is untouched then. Not for ITEMS. The text
 * outlives the field. */
bool ln_option_take(
    const ln_option *row, const char *text, void *target, char why[LN_OPTION_WHY_MAX]);
/* Sets all fields of a struct, which is zeroed, to their standards. */
void ln_option_standards(const ln_option_table *t, void *of);
/* The value of a number, size, duration, flag or word as it would stand in the file: "64k", "25s".
 * "" for one that is not set. */
void ln_option_put(const ln_option *row, const void *target, char out[64]);
/* "LINNET_HISTORY_COUNT". False when it does not fit. */
bool ln_option_env(const ln_option *row, char *out, size_t size);
/* What a person reads: "size 1k to 16m", "error, warn, info or debug". */
void ln_option_range(const ln_option *row, char *out, size_t size);
static inline void *ln_option_at(const ln_option *row, const void *of) {
    return (char *)(uintptr_t)of + row->offset;
}
/* The row of that path, or NULL. */
const ln_option *ln_option_find(const ln_option_table *t, const char *path);
/* The path most like one that is not there, or NULL when none is. */
const char *ln_option_like(const ln_option_table *t, const char *path);
/* The same of any words. */
size_t ln_option_distance(const char *a, const char *b);
#endif
