/* list.h -- intrusive doubly linked ring. A node that is in no list points to itself
 * (after ln_list_init) so that removal is always safe and membership can be asked.
 */
#ifndef LN_BASE_LIST_H
#define LN_BASE_LIST_H
#include <stdbool.h>
#include <stddef.h>

typedef struct ln_list {
    struct ln_list *next, *prev;
} ln_list;

#define ln_list_item(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void ln_list_init(ln_list *l) {
    l->next = l->prev = l;
}
static inline bool ln_list_empty(const ln_list *l) {
    return l->next == l;
}
/* The same question, asked of a node. */
static inline bool ln_list_linked(const ln_list *node) {
    return node->next != node;
}
static inline void ln_list_insert_before(ln_list *at, ln_list *node) {
    node->next = at;
    node->prev = at->prev;
    at->prev->next = node;
    at->prev = node;
}
static inline void ln_list_push(ln_list *head, ln_list *node) { /* at the tail */
    ln_list_insert_before(head, node);
}
static inline void ln_list_remove(ln_list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    ln_list_init(node);
}
/* First node removed from the list, or NULL. */
static inline ln_list *ln_list_pop(ln_list *head) {
    ln_list *first = head->next;
    if (first == head) return NULL;
    ln_list_remove(first);
    return first;
}
/* Moves all nodes of `from` to the tail of `to`. */
static inline void ln_list_splice(ln_list *to, ln_list *from) {
    if (ln_list_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    ln_list_init(from);
}
#define LN_LIST_FOREACH(node, head)                                                                \
    for (ln_list *node = (head)->next; node != (head); node = node->next)
/* The body may remove and free `node`. */
#define LN_LIST_FOREACH_SAFE(node, head)                                                           \
    for (ln_list *node = (head)->next, *node##_next = node->next; node != (head);                  \
         node = node##_next, node##_next = node->next)
#endif
