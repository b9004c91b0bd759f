/* log.h -- lines of the log, from any thread to stderr, without anybody waiting.
 *
 *     worker ── one datagram per line ──> a thread ── logfmt, JSON or words ──> stderr
 *                    full: counted                    100 a second, the rest counted
 *
 * The library's lines are JSON objects of one level. Who writes one never waits: when stderr is a
 * pipe that nobody reads, the kernel's buffer fills, and further lines are lost and counted. What
 * was lost or left out is said in a line of its own. Bytes that a terminal would obey were escaped
 * by whoever made the line; here no line can become two.
 */
#ifndef LN_DAEMON_LOG_H
#define LN_DAEMON_LOG_H
#include "base/buf.h"
#include <linnet/types.h>

#define LN_LOG_LINES_PER_S 100
#define LN_LOG_LINE_MAX    2048

typedef enum ln_log_format { /* the words of log.format */
    LN_LOG_AUTO,             /* HUMAN on a terminal, else JSON */
    LN_LOG_HUMAN,
    LN_LOG_LOGFMT,
    LN_LOG_JSON
} ln_log_format;

typedef struct ln_logger ln_logger;

/* fd: where lines go, and what AUTO looks at; stays the caller's. The thread starts at once.
 * LINNET_ERR_NOMEM, LINNET_ERR_SYS. */
int ln_logger_new(ln_log_format format, int fd, ln_logger **out);
/* Writes what waits, for at most half a second, and ends the thread. NULL is allowed. */
void ln_logger_free(ln_logger *l);
/* A linnet_log_fn: ctx is the logger. line: a JSON object. Any thread, never waits. */
void ln_logger_put(void *ctx, linnet_log_level level, const char *line);

/* One line in a format, its end included, for tests. at_ms: since 1970. A line that is no JSON
 * object is shown as the text of `msg`. LINNET_ERR_NOMEM, LINNET_ERR_TOO_BIG. */
int ln_log_render(
    ln_buf *out, ln_log_format format, linnet_log_level level, uint64_t at_ms, const char *line);
#endif
