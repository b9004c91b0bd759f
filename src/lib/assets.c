/* assets.c -- files that live in the program: strong ETag, 304, HEAD, a type by the name's ending.
 */
#include "base/mem.h"
#include "lib/server.h"
#include <openssl/sha.h>
#include <stdio.h>

#define POLICY_MAX 4096 /* of a Content-Security-Policy: it must fit a head with the rest */

static const struct {
    const char *ending, *type;
} types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".mjs", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".json", "application/json" },
    { ".svg", "image/svg+xml" },
    { ".png", "image/png" },
    { ".ico", "image/x-icon" },
    { ".txt", "text/plain; charset=utf-8" },
    { ".woff2", "font/woff2" },
    { "/", "text/html; charset=utf-8" },
};

static const char *type_by_name(const char *path) {
    size_t size = strlen(path);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t n = strlen(types[i].ending);
        if (size >= n && strcmp(path + size - n, types[i].ending) == 0) return types[i].type;
    }
    return "application/octet-stream";
}

void ln_asset_free(ln_asset *asset) {
    if (asset) ln_free(asset->policy);
    ln_free(asset);
}

static int add(linnet_server *s, const char *path, const linnet_asset *a, const char *policy,
    const char *location) {
    ln_asset *asset = ln_calloc(1, sizeof *asset);
    if (!asset) return LINNET_ERR_NOMEM;
    ln_route *r;
    if (policy && !(asset->policy = ln_slice_dup(linnet_str(policy)))) {
        ln_free(asset);
        return LINNET_ERR_NOMEM;
    }
    int err = ln_route_add(s, path, false, &r);
    if (err < 0) {
        ln_asset_free(asset);
        return err;
    }
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256(a->data.data, a->data.size, digest);
    asset->data = a->data;
    snprintf(asset->type, sizeof asset->type, "%s", a->type ? a->type : type_by_name(a->path));
    snprintf(asset->location, sizeof asset->location, "%s", location ? location : "");
    snprintf(asset->etag, sizeof asset->etag, "\"%02x%02x%02x%02x%02x%02x%02x%02x\"", digest[0],
        digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]);
    r->asset = asset;
    return LINNET_OK;
}

/* Whether it can be said in a header later: what cannot is refused now. */
static bool sayable(const char *text, size_t size_max) {
    ln_slice value = linnet_str(text);
    return !text || (value.size < size_max && ln_http1_is_value(value));
}

int linnet_server_assets(linnet_server *s, const linnet_asset *assets, size_t count,
    const char *content_security_policy) {
    if (!sayable(content_security_policy, POLICY_MAX)) return LINNET_ERR_INVAL;
    for (size_t i = 0; i < count; i++) {
        const char *path = assets[i].path;
        size_t size = path ? strlen(path) : 0;
        if (!size || path[size - 1] == '*' || !sayable(path, 255) ||
            !sayable(assets[i].type, sizeof((ln_asset *)0)->type))
            return LINNET_ERR_INVAL;
        int err = add(s, path, &assets[i], content_security_policy, NULL);
        if (err < 0) return err;
        if (size < 2 || path[size - 1] != '/') continue;
        char bare[256];
        memcpy(bare, path, size - 1);
        bare[size - 1] = 0;
        if ((err = add(s, bare, &assets[i], NULL, path)) < 0 && err != LINNET_ERR_EXISTS)
            return err;
    }
    return LINNET_OK;
}

/* If-None-Match: "*" or a list; weak ones compare equal too (RFC 9110 13.1.2). */
static bool matches(const ln_exchange *x, const char *etag) {
    ln_http1_list list = ln_http1_list_of(&x->head, LN_SLICE("If-None-Match"));
    ln_slice item;
    while (ln_http1_list_next(&list, &item)) {
        if (ln_slice_starts(item, LN_SLICE("W/"))) ln_slice_skip(&item, 2);
        if (ln_slice_eq(item, LN_SLICE("*")) || ln_slice_eq(item, linnet_str(etag))) return true;
    }
    return false;
}

static int put_fields(ln_exchange *x, const ln_asset *a) {
    if (a->location[0])
        return ln_exchange_add_field(x, LN_SLICE("Location"), linnet_str(a->location));
    int err = ln_exchange_add_field(x, LN_SLICE("ETag"), linnet_str(a->etag));
    if (err == LINNET_OK)
        err = ln_exchange_add_field(x, LN_SLICE("Cache-Control"), LN_SLICE("no-cache"));
    if (err == LINNET_OK)
        err = ln_exchange_add_field(x, LN_SLICE("X-Content-Type-Options"), LN_SLICE("nosniff"));
    if (err == LINNET_OK && a->policy)
        err = ln_exchange_add_field(x, LN_SLICE("Content-Security-Policy"), linnet_str(a->policy));
    return err;
}

void ln_asset_answer(ln_exchange *x, const ln_route *route) {
    const ln_asset *a = route->asset;
    if (put_fields(x, a) < 0) /* a page without its policy is worse than none */
        ln_exchange_refuse(x, LN_HTTP1_FAULT_INTERNAL);
    else if (a->location[0])
        ln_exchange_answer(x, 308, ln_slice_of("", 0), ln_slice_of("", 0));
    else if (matches(x, a->etag))
        ln_exchange_answer_head(x, 304, linnet_str(a->type), a->data.size);
    else
        ln_exchange_answer(x, 200, linnet_str(a->type), a->data);
}
