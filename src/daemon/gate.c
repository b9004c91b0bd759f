#include "daemon/gate.h"
#include <stdio.h>

int ln_gate_status(const ln_gate *gate, linnet_request *r, uint32_t scope, const char **words) {
    uint32_t scopes;
    return ln_gate_scopes(gate, r, scope, &scopes, words);
}

int ln_gate_scopes(
    const ln_gate *gate, linnet_request *r, uint32_t scope, uint32_t *scopes, const char **words) {
    ln_slice given;
    *words = "this server does not go by that name; --api-host NAME adds one";
    if (!ln_key_host(linnet_request_header(r, "Host", 0), gate->hosts)) return 421;
    bool one = !linnet_request_header(r, "Authorization", 1).data;
    bool is_key = one && ln_key_bearer(linnet_request_header(r, "Authorization", 0), &given);
    const ln_key *key = is_key ? ln_keys_find(&gate->keys, given) : NULL;
    *scopes = key ? key->scopes : 0;
    *words = key ? "this key may not do that" : "a key is needed: Authorization: Bearer KEY";
    if (!key) linnet_request_add_header(r, "WWW-Authenticate", "Bearer realm=\"linnet\"");
    return !key ? 401 : key->scopes & scope ? 0 : 403;
}

bool ln_gate_admits(const ln_gate *gate, linnet_request *r, uint32_t scope) {
    const char *words;
    char line[128];
    int status = ln_gate_status(gate, r, scope, &words);
    if (!status) return true;
    snprintf(line, sizeof line, "%s\n", words);
    linnet_request_add_header(r, "Cache-Control", "no-store");
    linnet_request_answer(r, status, NULL, linnet_str(line));
    return false;
}
