#include "daemon/gate.h"

static bool refuse(linnet_request *r, int status, const char *words) {
    if (status == 401) linnet_request_add_header(r, "WWW-Authenticate", "Bearer realm=\"linnet\"");
    linnet_request_add_header(r, "Cache-Control", "no-store");
    linnet_request_answer(r, status, NULL, linnet_str(words));
    return false;
}

bool ln_gate_admits(const ln_gate *gate, linnet_request *r, uint32_t scope) {
    ln_slice given;
    if (!ln_key_host(linnet_request_header(r, "Host", 0), gate->hosts))
        return refuse(r, 421, "this server does not go by that name; --api-host NAME adds one\n");
    bool one = !linnet_request_header(r, "Authorization", 1).data;
    bool is_key = one && ln_key_bearer(linnet_request_header(r, "Authorization", 0), &given);
    const ln_key *key = is_key ? ln_keys_find(&gate->keys, given) : NULL;
    if (!key) return refuse(r, 401, "a key is needed: Authorization: Bearer KEY\n");
    if (!(key->scopes & scope)) return refuse(r, 403, "this key may not do that\n");
    return true;
}
