/* ops.h -- what operators ask of a running server: keys, metrics, and what the attendant notices.
 */
#ifndef LN_DAEMON_OPS_H
#define LN_DAEMON_OPS_H
#include "daemon/gate.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "daemon/run.h"
#include <linnet/linnet.h>

typedef struct ln_ops ln_ops;

/* Takes the keys together. -1 to go on, or the exit code after a mistake was told. The options
 * outlive it. */
int ln_ops_new(const ln_options *o, ln_ops **out);
/* Its routes on a server that does not run yet, and the thread beside it. Errors as
 * linnet_server_http and ln_attendant_new. */
int ln_ops_declare(ln_ops *ops, linnet_server *server, linnet_hub *hub, ln_logger *log);
/* It serves: the key that was made is kept where the command line finds it, and told once. */
void ln_ops_ready(ln_ops *ops, const ln_addresses *bound);
/* The server does not run any more, and is not freed yet. NULL is allowed. */
void ln_ops_free(ln_ops *ops);
/* For other handlers of this server. */
const ln_gate *ln_ops_gate(const ln_ops *ops);
#endif
