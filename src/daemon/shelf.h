/* shelf.h -- texts and structs that live as long as what was read, and go all at once.
 */
#ifndef LN_DAEMON_SHELF_H
#define LN_DAEMON_SHELF_H
#include <stddef.h>

typedef struct ln_shelf { /* empty when zeroed */
    struct ln_shelf_item *items;
} ln_shelf;

/* Zeroed; NULL without memory. */
void *ln_shelf_room(ln_shelf *s, size_t size);
/* A copy with a NUL behind it; NULL without memory. */
char *ln_shelf_text(ln_shelf *s, const char *text, size_t size);
void ln_shelf_clear(ln_shelf *s);
#endif
