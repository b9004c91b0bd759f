/* What base/ allocates, as scenarios of their own; the frame's first customer. */
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "oom.h"

static int buffers(void) {
    ln_buf a, b;
    ln_buf_init(&a, 100000);
    ln_buf_init(&b, 100000);
    int err = LINNET_OK;
    for (int i = 0; i < 1000 && err == LINNET_OK; i++) {
        err = ln_buf_addf(&a, "%d ", i);
        if (err == LINNET_OK) err = ln_buf_add(&b, LN_SLICE("0123456789"));
        if (b.size > 50) ln_buf_consume(&b, 7);
    }
    ln_buf_fini(&a);
    ln_buf_fini(&b);
    return err;
}

static ln_slice name_of(const void *value) {
    return ln_slice_str(value);
}

static int map(void) {
    static char names[500][8];
    ln_map m;
    ln_map_init(&m, (ln_map_key){ 1, 2 }, name_of, 500);
    int err = LINNET_OK;
    for (int i = 0; i < 500 && err == LINNET_OK; i++) {
        for (int d = 0, v = i; d < 3; d++, v /= 10)
            names[i][d] = (char)('0' + v % 10);
        err = ln_map_add(&m, names[i]);
    }
    for (int i = 490; i >= 10 && err == LINNET_OK; i--)
        ln_map_remove(&m, name_of(names[i]));
    for (int i = 10; i < 20 && err == LINNET_OK; i++)
        err = ln_map_add(&m, names[i]);
    ln_map_fini(&m);
    return err;
}

static int pool(void) {
    void *objects[100];
    size_t n = 0;
    ln_pool p;
    ln_pool_init(&p, 5000, 100);
    while (n < 100 && (objects[n] = ln_pool_get(&p)))
        n++;
    int err = n == 100 ? LINNET_OK : LINNET_ERR_NOMEM;
    while (n > 0)
        ln_pool_put(&p, objects[--n]);
    ln_pool_fini(&p);
    return err;
}

static int json(void) {
    ln_buf out, text;
    ln_buf_init(&out, 100000);
    ln_buf_init(&text, 1000);
    ln_json_writer w = ln_json_begin(&out);
    ln_json_open(&w, '[');
    for (uint64_t i = 0; i < 300; i++)
        ln_json_str(&w, LN_SLICE("caf\xc3\xa9\n"));
    ln_json_close(&w, ']');
    int err = ln_json_end(&w);
    ln_json_value top, none, item;
    if (err == LINNET_OK) err = ln_json_check(ln_buf_slice(&out), &top);
    if (err == LINNET_OK) {
        ln_json_iter it = ln_json_iter_of(&top);
        while (err == LINNET_OK && text.size < 900 && ln_json_next(&it, &none, &item)) {
            err = ln_json_unescape(&item, &text);
        }
    }
    ln_buf_fini(&out);
    ln_buf_fini(&text);
    return err;
}

static int names(void) {
    char *copies[20];
    size_t n = 0;
    while (n < 20 && (copies[n] = ln_slice_dup(LN_SLICE("a name"))))
        n++;
    int err = n == 20 ? LINNET_OK : LINNET_ERR_NOMEM;
    while (n > 0)
        ln_free(copies[--n]);
    return err;
}

int main(int argc, char **argv) {
    static const oom_scenario scenarios[] = {
        { "buffers", buffers, NULL },
        { "map", map, NULL },
        { "pool", pool, NULL },
        { "json", json, NULL },
        { "names", names, NULL },
    };
    return oom_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
