/* linnet/http.h -- ordinary HTTP/1.1 beside the WebSockets: handlers that answer now or later,
 * streamed bodies, static assets.
 */
#ifndef LINNET_HTTP_H
#define LINNET_HTTP_H
#include <linnet/server.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Called when a request is there whole (body included, at most body_max). Answer inside, or keep
 * the id and answer later from any thread; not answered within 30 s: 503. */
typedef void linnet_http_handler(linnet_request *request, void *user);

typedef struct linnet_http_route {
    size_t size;         /* of this struct */
    const char *methods; /* "GET", "GET POST": others get 405 with Allow. HEAD comes with GET */
    linnet_http_handler *handler;
    void *user;
    uint32_t body_max; /* bytes; 0: 1 MiB; 413 beyond */
} linnet_http_route;
#define LINNET_HTTP_ROUTE_INIT                                                                     \
    { sizeof(linnet_http_route), "GET", NULL, NULL, 0 }

/* path exact, or "/prefix/" + "*". The longest match wins. LINNET_ERR_EXISTS, LINNET_ERR_INVAL,
 * LINNET_ERR_NOMEM. */
LINNET_API int linnet_server_http(
    linnet_server *server, const char *path, const linnet_http_route *route);

/* Slices are good until the handler returns. */
LINNET_API linnet_slice linnet_request_method(const linnet_request *r);
LINNET_API linnet_slice linnet_request_path(const linnet_request *r); /* decoded */
LINNET_API linnet_slice linnet_request_header(
    const linnet_request *r, const char *name, unsigned index);
LINNET_API linnet_slice linnet_request_query(linnet_request *r, const char *name);
LINNET_API linnet_slice linnet_request_body(const linnet_request *r);
LINNET_API size_t linnet_request_peer(const linnet_request *r, char out[64]);
/* Names this request for later, and no other: the next one on the connection has its own id. */
LINNET_API linnet_conn_id linnet_request_id(const linnet_request *r);

/* Extra fields of the answer, before it (LINNET_ERR_STATE). LINNET_ERR_INVAL for CR, LF, NUL, or
 * framing fields, which are ours. */
LINNET_API int linnet_request_add_header(linnet_request *r, const char *name, const char *value);
/* The whole answer, once. type NULL: text/plain; charset=utf-8. A HEAD gets no body.
 * LINNET_ERR_STATE the second time. */
LINNET_API int linnet_request_answer(
    linnet_request *r, int status, const char *type, linnet_slice body);
/* A streamed answer (chunked): begin once, write any number, end once. linnet_request_buffered
 * tells how many bytes wait for the client to read them; who lets it come over 16 MiB gets
 * LINNET_ERR_SLOW from write, and the connection is dropped. LINNET_ERR_STATE out of order. Who
 * goes on after the handler has returned needs the id; without it the connection is dropped then.
 */
LINNET_API int linnet_request_begin(linnet_request *r, int status, const char *type);
LINNET_API int linnet_request_write(linnet_request *r, linnet_slice data);
LINNET_API int linnet_request_end(linnet_request *r);
LINNET_API size_t linnet_request_buffered(const linnet_request *r);

/* The same from any thread, for a request whose handler asked for its id and returned without an
 * answer. LINNET_OK: it is on its way. LINNET_ERR_NOT_FOUND: nobody waits for it any more: it was
 * answered before, the 30 s are over, or the client has gone. LINNET_ERR_STATE: a write or an end
 * before the beginning, a second beginning. LINNET_ERR_INVAL: what could not be sent, or an id of
 * another server. LINNET_ERR_AGAIN (of write: too much waits), LINNET_ERR_NOMEM: it may be tried
 * again. */
LINNET_API int linnet_server_answer(
    linnet_server *server, linnet_conn_id id, int status, const char *type, linnet_slice body);
LINNET_API int linnet_server_answer_begin(
    linnet_server *server, linnet_conn_id id, int status, const char *type);
LINNET_API int linnet_server_answer_write(
    linnet_server *server, linnet_conn_id id, linnet_slice data);
LINNET_API int linnet_server_answer_end(linnet_server *server, linnet_conn_id id);

/* Files that live in the program. Strong ETag, If-None-Match (304), HEAD, Content-Type by the
 * name's ending, nosniff. `data` must outlive the server, the rest is copied. path exact; a path
 * that ends in "/" serves as an index and its form without the "/" redirects there. */
typedef struct linnet_asset {
    const char *path; /* "/demo/chat/app.js" */
    linnet_slice data;
    const char *type; /* NULL: by ending */
} linnet_asset;
LINNET_API int linnet_server_assets(linnet_server *server, const linnet_asset *assets, size_t count,
    const char *content_security_policy);

#ifdef __cplusplus
}
#endif
#endif
