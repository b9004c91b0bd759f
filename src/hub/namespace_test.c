#include "base/testing.h"
#include "hub/namespace.h"
#include <stdio.h>

static ln_namespace named(const char *name, uint32_t count) {
    ln_namespace n = { .class = LN_CLASS_RECOVERABLE, .history = LN_RETENTION_INIT };
    snprintf(n.name, sizeof n.name, "%s", name);
    n.history.count = count;
    return n;
}

static const struct {
    const char *why, *channel;
    uint32_t count; /* tells which one it is */
} lookups[] = {
    { "the first part", "chat:lobby", 1 },
    { "more parts", "chat:lobby:2", 1 },
    { "an empty rest", "chat:", 1 },
    { "no colon", "chat", 9 },
    { "a longer name", "chats:lobby", 2 },
    { "a beginning of a name", "cha:lobby", 9 },
    { "other case", "Chat:lobby", 9 },
    { "nobody declared it", "news:today", 9 },
    { "an empty first part", ":lobby", 9 },
    { "of a user", "@anna", 3 },
    { "of a user, with a colon", "@chat:anna", 3 },
    { "with a dash and a dot", "a-b.c_d:x", 4 },
    { "last by name", "zz:x", 5 },
    { "no name at all", "", 9 },
};

static void test_lookup(void **state) {
    (void)state;
    ln_namespace standard = named("", 9);
    ln_namespace items[] = { named("zz", 5), named("chat", 1), named("@", 3), named("a-b.c_d", 4),
        named("chats", 2) };
    ln_namespaces *n;
    assert_int_equal(ln_namespaces_new(items, LN_COUNT(items), &standard, &n), LINNET_OK);
    for (size_t i = 0; i < LN_COUNT(lookups); i++) {
        ln_slice channel = ln_slice_str(lookups[i].channel);
        if (ln_namespace_of(n, channel)->history.count != lookups[i].count)
            fail_msg("%s: %s", lookups[i].why, ln_namespace_of(n, channel)->name);
    }
    ln_namespaces_ref(n);
    ln_namespaces_unref(n);
    ln_namespaces_unref(n);
    ln_namespaces_unref(NULL);
}

static const struct {
    const char *why, *first, *second;
    int err;
} making[] = {
    { "two", "a", "b", LINNET_OK },
    { "the default one", "", "b", LINNET_OK },
    { "twice", "a", "a", LINNET_ERR_EXISTS },
    { "the default one twice", "", "", LINNET_ERR_EXISTS },
    { "a colon", "a", "b:", LINNET_ERR_INVAL },
    { "a space", "a b", "b", LINNET_ERR_INVAL },
    { "a slash", "a/b", "b", LINNET_ERR_INVAL },
    { "reserved", "$a", "b", LINNET_ERR_INVAL },
    { "more than @", "@a", "b", LINNET_ERR_INVAL },
};

static void test_making(void **state) {
    (void)state;
    ln_namespace standard = named("", 9);
    for (size_t i = 0; i < LN_COUNT(making); i++) {
        ln_namespace items[] = { named(making[i].first, 1), named(making[i].second, 2) };
        ln_namespaces *n = NULL;
        int err = ln_namespaces_new(items, 2, &standard, &n);
        if (err != making[i].err) fail_msg("%s: %d", making[i].why, err);
        if (n) assert_int_equal(n->items[0].history.count, making[i].first[0] ? 9 : 1);
        ln_namespaces_unref(n);
    }
    ln_namespace unended;
    memset(&unended, 'a', sizeof unended);
    ln_namespaces *n;
    assert_int_equal(ln_namespaces_new(&unended, 1, &standard, &n), LINNET_ERR_INVAL);
    assert_int_equal(
        ln_namespaces_new(&unended, LN_NAMESPACES_MAX + 1, &standard, &n), LINNET_ERR_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_making),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
