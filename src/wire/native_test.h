/* native_test.h -- tests/vectors/native-commands.json, for the tests that read it. */
#ifndef LN_WIRE_NATIVE_TEST_H
#define LN_WIRE_NATIVE_TEST_H
#include "base/testing.h"
#include "wire/native.h"
#include <stdio.h>

typedef struct vectors {
    ln_buf text; /* the file */
    ln_json_value top;
} vectors;

static inline vectors load(void) {
    vectors v = { 0 };
    ln_buf_init(&v.text, 1 << 20);
    FILE *f = fopen(LN_SOURCE_ROOT "/tests/vectors/native-commands.json", "rb");
    assert_non_null(f);
    assert_int_equal(ln_buf_reserve(&v.text, 256 * 1024), LINNET_OK);
    ln_wslice room = ln_buf_room(&v.text);
    ln_buf_commit(&v.text, fread(room.data, 1, room.size, f));
    assert_true(feof(f));
    assert_int_equal(fclose(f), 0);
    assert_int_equal(ln_json_check(ln_buf_slice(&v.text), &v.top), LINNET_OK);
    return v;
}

static inline bool get(const ln_json_value *object, const char *key, ln_json_value *out) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value k;
    while (ln_json_next(&it, &k, out))
        if (ln_json_is(&k, ln_slice_str(key))) return true;
    return false;
}

/* A string of the vectors, unescaped; an absent one is empty. ln_test_drop() it. */
static inline ln_slice text_of(const ln_json_value *object, const char *key) {
    ln_json_value v;
    ln_buf out;
    ln_buf_init(&out, 1 << 16);
    if (get(object, key, &v)) assert_int_equal(ln_json_unescape(&v, &out), LINNET_OK);
    ln_slice exact = ln_test_exact(ln_buf_slice(&out));
    ln_buf_fini(&out);
    return exact;
}

static inline bool truth_of(const ln_json_value *object, const char *key) {
    ln_json_value v;
    return get(object, key, &v) && v.boolean;
}

static inline void assert_text(const ln_json_value *row, const char *key, ln_slice got) {
    ln_slice want = text_of(row, key);
    if (!ln_slice_eq(want, got))
        fail_msg("%s: %.*s, not %.*s", key, (int)got.size, (const char *)got.data, (int)want.size,
            (const char *)want.data);
    ln_test_drop(want);
}

static const char *const verb_names[] = { "other", "subscribe", "unsubscribe", "publish", "ping",
    "pong", "heartbeat", "auth", "call", "event", "reply", "refresh", "send", "presence", "set",
    "unset", "typing", "history" };
#endif
