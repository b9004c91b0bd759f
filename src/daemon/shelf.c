#include "daemon/shelf.h"
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct ln_shelf_item {
    struct ln_shelf_item *next;
    alignas(max_align_t) unsigned char room[];
};

void *ln_shelf_room(ln_shelf *s, size_t size) {
    struct ln_shelf_item *item = calloc(1, sizeof *item + size);
    if (!item) return NULL;
    item->next = s->items;
    s->items = item;
    return item->room;
}

char *ln_shelf_text(ln_shelf *s, const char *text, size_t size) {
    char *copy = ln_shelf_room(s, size + 1);
    if (copy && size) memcpy(copy, text, size);
    return copy;
}

void ln_shelf_clear(ln_shelf *s) {
    while (s->items) {
        struct ln_shelf_item *item = s->items;
        s->items = item->next;
        free(item);
    }
}
