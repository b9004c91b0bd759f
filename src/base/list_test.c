#include "base/list.h"
#include "base/testing.h"

typedef struct item {
    char name;
    ln_list node;
} item;

#define ITEMS(...) item items[] = { __VA_ARGS__ }

static void init_all(item *items, size_t n) {
    for (size_t i = 0; i < n; i++)
        ln_list_init(&items[i].node);
}

/* The names in order, and the same backwards along prev. */
static void assert_names(const ln_list *head, const char *names) {
    size_t n = 0;
    const ln_list *last = head;
    for (const ln_list *node = head->next; node != head; node = node->next) {
        assert_ptr_equal(node->prev, last);
        last = node;
        assert_int_equal(ln_list_item(node, const item, node)->name, names[n++]);
    }
    assert_ptr_equal(head->prev, last);
    assert_int_equal(names[n], 0);
    assert_int_equal(ln_list_empty(head), n == 0);
}

static void push_pop_keep_order(void **state) {
    ITEMS({ 'a' }, { 'b' }, { 'c' });
    init_all(items, 3);
    ln_list head;
    ln_list_init(&head);
    assert_null(ln_list_pop(&head));
    for (size_t i = 0; i < 3; i++) {
        assert_false(ln_list_linked(&items[i].node));
        ln_list_push(&head, &items[i].node);
        assert_true(ln_list_linked(&items[i].node));
    }
    assert_names(&head, "abc");
    assert_ptr_equal(ln_list_pop(&head), &items[0].node);
    assert_false(ln_list_linked(&items[0].node));
    assert_names(&head, "bc");
    ln_list_insert_before(&items[2].node, &items[0].node);
    assert_names(&head, "bac");
}

static void removing_is_always_safe(void **state) {
    ITEMS({ 'a' }, { 'b' }, { 'c' });
    init_all(items, 3);
    ln_list head;
    ln_list_init(&head);
    ln_list_remove(&items[1].node); /* in no list */
    for (size_t i = 0; i < 3; i++)
        ln_list_push(&head, &items[i].node);
    ln_list_remove(&items[1].node);
    ln_list_remove(&items[1].node);
    assert_names(&head, "ac");
    ln_list_remove(&items[0].node);
    ln_list_remove(&items[2].node);
    assert_names(&head, "");
}

static void splice_moves_all_to_the_tail(void **state) {
    ITEMS({ 'a' }, { 'b' }, { 'c' });
    init_all(items, 3);
    ln_list to, from;
    ln_list_init(&to);
    ln_list_init(&from);
    ln_list_splice(&to, &from);
    assert_names(&to, "");
    ln_list_push(&from, &items[0].node);
    ln_list_splice(&to, &from);
    assert_names(&to, "a");
    assert_names(&from, "");
    ln_list_push(&from, &items[1].node);
    ln_list_push(&from, &items[2].node);
    ln_list_splice(&to, &from);
    assert_names(&to, "abc");
    assert_names(&from, "");
    ln_list_splice(&to, &from);
    assert_names(&to, "abc");
}

static void a_walk_may_free_its_node(void **state) {
    ln_list head;
    ln_list_init(&head);
    for (char c = 'a'; c <= 'e'; c++) {
        item *it = malloc(sizeof(*it));
        assert_non_null(it);
        it->name = c;
        ln_list_push(&head, &it->node);
    }
    char seen[8] = "";
    LN_LIST_FOREACH(node, &head) seen[strlen(seen)] = ln_list_item(node, item, node)->name;
    assert_string_equal(seen, "abcde");
    LN_LIST_FOREACH_SAFE(node, &head) {
        item *it = ln_list_item(node, item, node);
        if (it->name == 'c') continue;
        ln_list_remove(node);
        free(it);
    }
    assert_names(&head, "c");
    free(ln_list_item(ln_list_pop(&head), item, node));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_pop_keep_order),
        cmocka_unit_test(removing_is_always_safe),
        cmocka_unit_test(splice_moves_all_to_the_tail),
        cmocka_unit_test(a_walk_may_free_its_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
