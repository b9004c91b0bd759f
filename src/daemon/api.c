#include "daemon/api_inner.h"
#include <string.h>

#define SAID (LN_API_EVENT | LN_API_VOLATILE | LN_API_KEY)
#define WHOM (LN_API_USER | LN_API_CLIENT)

static const ln_api_method methods[] = {
    { "publish", LN_SCOPE_PUBLISH, SAID, LN_API_CHANNEL | LN_API_DATA, true, ln_api_publish },
    { "broadcast", LN_SCOPE_PUBLISH, 0, 0, false, NULL, ln_api_broadcast },
    { "batch", LN_SCOPE_PUBLISH | LN_SCOPE_READ | LN_SCOPE_MANAGE, 0, 0, false, NULL,
        ln_api_batch },
    { "send", LN_SCOPE_PUBLISH, SAID, LN_API_USER | LN_API_DATA, true, ln_api_send },
    { "call", LN_SCOPE_PUBLISH, WHOM | LN_API_DATA | LN_API_TIMEOUT, LN_API_EVENT, false,
        ln_api_call_client },
    { "info", LN_SCOPE_READ, 0, 0, false, ln_api_info },
    { "history", LN_SCOPE_READ, LN_API_SINCE | LN_API_LIMIT | LN_API_REVERSE, LN_API_CHANNEL, false,
        ln_api_history },
    { "presence", LN_SCOPE_READ, LN_API_AFTER | LN_API_LIMIT, LN_API_CHANNEL, false,
        ln_api_presence },
    { "channels", LN_SCOPE_READ, LN_API_PREFIX | LN_API_BEHIND | LN_API_LIMIT, 0, false,
        ln_api_channels },
    { "connections", LN_SCOPE_READ, WHOM | LN_API_LIMIT, 0, false, ln_api_connections },
    { "why", LN_SCOPE_READ, WHOM | LN_API_LIMIT, 0, false, ln_api_why },
    { "tail", LN_SCOPE_OPERATE, 0, 0, false, NULL, ln_api_tail },
    { "disconnect", LN_SCOPE_MANAGE, WHOM | LN_API_CODE | LN_API_REASON, 0, false,
        ln_api_disconnect },
    { "refresh", LN_SCOPE_MANAGE, WHOM | LN_API_EXPIRES | LN_API_INFO, 0, false, ln_api_refresh },
    { "subscribe", LN_SCOPE_MANAGE, WHOM, LN_API_CHANNEL, false, ln_api_subscribe },
    { "unsubscribe", LN_SCOPE_MANAGE, WHOM, LN_API_CHANNEL, false, ln_api_unsubscribe },
    { "history_remove", LN_SCOPE_MANAGE, 0, LN_API_CHANNEL, false, ln_api_history_remove },
    { "retract", LN_SCOPE_MANAGE, LN_API_EPOCH, LN_API_CHANNEL | LN_API_OFFSET, false,
        ln_api_retract },
    { "forget", LN_SCOPE_MANAGE, 0, LN_API_USER, false, ln_api_forget },
    { "ban", LN_SCOPE_MANAGE, LN_API_USER | LN_API_ADDRESS | LN_API_FOR, 0, false, ln_api_ban },
    { "unban", LN_SCOPE_MANAGE, LN_API_USER | LN_API_ADDRESS, 0, false, ln_api_unban },
    { "revoke", LN_SCOPE_MANAGE,
        LN_API_USER | LN_API_JTI | LN_API_SESSION | LN_API_BEFORE | LN_API_FOR, 0, false,
        ln_api_revoke },
    { "bans", LN_SCOPE_READ, LN_API_LIMIT, 0, false, ln_api_bans },
};

const ln_api_method *ln_api_method_of(ln_slice name) {
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (ln_slice_eq(name, ln_slice_str(methods[i].name))) return &methods[i];
    return NULL;
}

/* ---- the door ----------------------------------------------------------------------- */

/* Who asks, and whether he may; false: it is answered. A stranger learns no names of methods. */
static bool may(const ln_api *api, linnet_request *r, const ln_api_method *m, unsigned *scopes) {
    const char *words;
    int status = ln_gate_scopes(api->gate, r, m ? m->scope : LN_SCOPE_ALL, scopes, &words);
    if (status)
        ln_api_refuse(r, status, status == 401 ? LN_API_UNAUTHORIZED : LN_API_DENIED, words);
    return !status;
}

static bool is_taken(const ln_api_method *m, linnet_request *r) {
    linnet_slice type = linnet_request_header(r, "Content-Type", 0);
    bool lines = m->direct == ln_api_batch && ln_api_is_type(type, LN_API_LINES);
    if (lines || ln_api_is_type(type, LN_API_JSON)) return true;
    ln_api_refuse(r, 415, LN_API_BAD_REQUEST, "Content-Type: application/json is wanted");
    return false;
}

static void obey(ln_api_ask *a, const ln_api_method *m) {
    ln_buf_init(&a->scratch, LN_API_BODY_MAX);
    if (a->body.size && ln_buf_reserve(&a->scratch, a->body.size) < 0)
        ln_api_refuse(a->request, 500, LN_API_INTERNAL, NULL);
    else if (m->run)
        ln_api_run_one(a, m);
    else
        m->direct(a);
    ln_buf_fini(&a->scratch);
}

/* Nobody publishes for a moment: more waits to be sent than there is memory for. */
static bool is_crowded(const ln_api *api, const ln_api_method *m, linnet_request *r) {
    if (m->scope != LN_SCOPE_PUBLISH || !linnet_server_crowded(api->server)) return false;
    linnet_request_add_header(r, "Retry-After", "1");
    ln_api_refuse(r, 503, LN_API_NOT_AVAILABLE, "too much is waiting to be sent");
    return true;
}

static void on_call(linnet_request *r, void *user) {
    ln_api_ask a = { .api = user, .request = r, .body = linnet_request_body(r) };
    linnet_slice path = linnet_request_path(r);
    const ln_api_method *m = ln_api_method_of(ln_slice_sub(path, strlen("/api/v1/"), path.size));
    linnet_request_add_header(r, "Cache-Control", "no-store");
    if (!may(a.api, r, m, &a.scopes)) return;
    if (!m)
        ln_api_refuse(r, 404, LN_API_UNKNOWN_METHOD, "there is no such method");
    else if (is_taken(m, r) && !is_crowded(a.api, m, r))
        obey(&a, m);
}

int ln_api_declare(ln_api *api) {
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    route.methods = "POST";
    route.handler = on_call;
    route.user = api;
    route.body_max = LN_API_BODY_MAX;
    return linnet_server_http(api->server, "/api/v1/*", &route);
}
