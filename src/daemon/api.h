/* api.h -- the HTTP API for backends: POST /api/v1/METHOD with a JSON object, answered
 * {"ok": ...} or {"error": {...}} with the numbers and names of the native protocol.
 *
 * An answer may need several workers: each item of a call has its place in the call's memory,
 * where the worker that knows writes what became of it, and the last one of them answers.
 *
 *   handler ──items──> homes of the channels ──each writes its item──> the last one: answer
 */
#ifndef LN_DAEMON_API_H
#define LN_DAEMON_API_H
#include "daemon/gate.h"
#include <linnet/http.h>
#include <linnet/hub.h>

typedef struct ln_api { /* outlives the server */
    linnet_server *server;
    linnet_hub *hub;
    const ln_gate *gate;
} ln_api;

/* Its routes. Errors as linnet_server_http. */
int ln_api_declare(ln_api *api);
#endif
