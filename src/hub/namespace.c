#include "hub/namespace.h"
#include "base/mem.h"
#include <string.h>

static bool name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("_.-", c));
}

static bool is_name(const char *name) {
    size_t size = strnlen(name, LN_NAMESPACE_NAME_MAX + 1);
    if (size > LN_NAMESPACE_NAME_MAX) return false;
    if (strcmp(name, "@") == 0) return true;
    for (size_t i = 0; i < size; i++)
        if (!name_byte(name[i])) return false;
    return true;
}

/* By name; the default one, whose name is empty, stays first. False: there is one of that name. */
static bool insert(ln_namespaces *n, const ln_namespace *item) {
    uint32_t at = n->count;
    for (; at > 1; at--) {
        int order = strcmp(item->name, n->items[at - 1].name);
        if (order == 0) return false;
        if (order > 0) break;
    }
    memmove(&n->items[at + 1], &n->items[at], (n->count - at) * sizeof *item);
    n->items[at] = *item;
    n->count++;
    return true;
}

static int fill(ln_namespaces *n, const ln_namespace *items, size_t count) {
    bool standard = false;
    for (size_t i = 0; i < count; i++) {
        if (!is_name(items[i].name)) return LINNET_ERR_INVAL;
        if (items[i].name[0]) {
            if (!insert(n, &items[i])) return LINNET_ERR_EXISTS;
            continue;
        }
        if (standard) return LINNET_ERR_EXISTS;
        standard = true;
        n->items[0] = items[i];
    }
    return LINNET_OK;
}

int ln_namespaces_new(
    const ln_namespace *items, size_t count, const ln_namespace *standard, ln_namespaces **out) {
    if (count > LN_NAMESPACES_MAX) return LINNET_ERR_LIMIT;
    ln_namespaces *n = ln_calloc(1, sizeof *n + (count + 1) * sizeof *items);
    if (!n) return LINNET_ERR_NOMEM;
    ln_ref_init(&n->refs, 1);
    n->items[0] = *standard;
    n->items[0].name[0] = 0;
    n->count = 1;
    int err = fill(n, items, count);
    if (err < 0) {
        ln_free(n);
        return err;
    }
    *out = n;
    return LINNET_OK;
}

void ln_namespaces_unref(ln_namespaces *n) {
    if (n && ln_ref_put(&n->refs)) ln_free(n);
}

bool ln_namespaces_recoverable(const ln_namespaces *n) {
    for (uint32_t i = 0; i < n->count; i++)
        if (n->items[i].class == LN_CLASS_RECOVERABLE) return true;
    return false;
}

/* The part of a channel's name that may be a namespace's; empty: none. */
static ln_slice first_part(ln_slice channel) {
    if (channel.size && channel.data[0] == '@') return ln_slice_sub(channel, 0, 1);
    const uint8_t *colon = channel.size ? memchr(channel.data, ':', channel.size) : NULL;
    return ln_slice_sub(channel, 0, colon ? (size_t)(colon - channel.data) : 0);
}

static int compare(const char *name, ln_slice part) {
    size_t size = strlen(name), common = size < part.size ? size : part.size;
    int order = common ? memcmp(name, part.data, common) : 0;
    return order ? order : (size > part.size) - (size < part.size);
}

const ln_namespace *ln_namespace_of(const ln_namespaces *n, ln_slice channel) {
    ln_slice part = first_part(channel);
    uint32_t low = 1, high = n->count;
    while (part.size && low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare(n->items[middle].name, part);
        if (order == 0) return &n->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return &n->items[0];
}
