#include "daemon/api_inner.h"

ln_api_order *ln_api_order_new(const ln_api_ask *a) {
    ln_api_order *o = ln_malloc(sizeof *o);
    if (!o) {
        ln_api_refuse(a->request, 500, LN_API_INTERNAL, NULL);
        return NULL;
    }
    *o = (ln_api_order){ a->api->server, linnet_request_id(a->request) };
    return o;
}

void ln_api_order_refuse(const ln_api_ask *a, ln_api_order *o, int err, const char *why) {
    ln_free(o);
    bool words = err == LINNET_ERR_INVAL;
    ln_api_refuse(a->request, ln_api_status(err), linnet_hub_error_code(err), words ? why : NULL);
}

void ln_api_order_answer(ln_api_order *o, ln_buf *out, int written) {
    if (written == LINNET_OK)
        linnet_server_answer(o->server, o->request, 200, LN_API_JSON, ln_buf_slice(out));
    else
        linnet_server_answer(o->server, o->request, 500, NULL, linnet_str("out of memory\n"));
    ln_buf_fini(out);
    ln_free(o);
}

void ln_api_order_error(ln_api_order *o, int err) {
    ln_buf out;
    ln_buf_init(&out, 4096);
    ln_json_writer w = ln_json_begin(&out);
    ln_api_put_error(&w, linnet_hub_error_code(err), NULL);
    if (ln_json_end(&w) == LINNET_OK)
        linnet_server_answer(
            o->server, o->request, ln_api_status(err), LN_API_JSON, ln_buf_slice(&out));
    else
        linnet_server_answer(o->server, o->request, 500, NULL, linnet_str("out of memory\n"));
    ln_buf_fini(&out);
    ln_free(o);
}
