#include "base/testing.h"
#include "daemon/config.h"
#include "daemon/config_write.h"
#include "daemon/options.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A table with one row of each kind, and a list of items. */
typedef struct item {
    uint32_t line;
    const char *name;
    bool live;
    uint64_t count;
    const char *key;
} item;
typedef struct box {
    bool insecure;
    uint64_t workers, age, level;
    ln_arg_list listen;
    const char *cert, *secret;
    ln_items spaces;
} box;

#define ROW(path, value, kind, how, type, field, min, max, standard, sub)                          \
    {                                                                                              \
        path, NULL, value, LN_OPTION_##kind, how, offsetof(type, field), min, max, standard, "x",  \
            "helps", sub                                                                           \
    }
static const ln_option item_rows[] = {
    ROW("name", "NAME", TEXT, LN_OPTION_REQUIRED, item, name, 0, 0, "", NULL),
    ROW("live", NULL, FLAG, 0, item, live, 0, 0, "false", NULL),
    ROW("history.count", "N", NUMBER, 0, item, count, 1, 1000, "100", NULL),
    ROW("key", "KEY", TEXT, LN_OPTION_SECRET, item, key, 0, 0, "", NULL),
};
static const ln_option_table items_table = { item_rows, LN_COUNT(item_rows), sizeof(item) };
static const ln_option rows[] = {
    ROW("listen", "ADDR", LIST, 0, box, listen, 0, 0, "", NULL),
    ROW("workers", "N", NUMBER, 0, box, workers, 1, 64, "", NULL),
    ROW("queue.age", "TIME", DURATION, LN_OPTION_OFF, box, age, 100, 3600000, "10s", NULL),
    ROW("insecure", NULL, FLAG, LN_OPTION_RELOAD, box, insecure, 0, 0, "false", NULL),
    ROW("log.level", "error|warn|info", WORD, 0, box, level, 0, 0, "warn", NULL),
    ROW("tls.cert", "FILE", TEXT, 0, box, cert, 0, 0, "", NULL),
    ROW("auth.secret", "SECRET", TEXT, LN_OPTION_SECRET, box, secret, 0, 0, "", NULL),
    ROW("spaces", NULL, ITEMS, 0, box, spaces, 0, 3, "", &items_table),
};
static const ln_option_table table = { rows, LN_COUNT(rows), sizeof(box) };

typedef struct world {
    box b;
    ln_source from[LN_COUNT(rows)];
    ln_shelf shelf;
    ln_problems p;
    ln_config c;
} world;

static void begin(world *w) {
    memset(w, 0, sizeof *w);
    ln_option_standards(&table, &w->b);
    w->c = (ln_config){
        .table = &table, .of = &w->b, .from = w->from, .shelf = &w->shelf, .problems = &w->p
    };
}

static bool read_text(world *w, ln_slice text) {
    begin(w);
    ln_slice exact = ln_test_exact(text);
    bool good = ln_config_read(&w->c, exact);
    ln_test_drop(exact);
    return good;
}

static const struct {
    const char *why;
    ln_slice text;
    unsigned line, column; /* of the first problem; 0: there is none */
    const char *words;     /* in it */
} table_of_texts[] = {
    { "nothing", BYTES(""), 0, 0, NULL },
    { "a comment", BYTES("# nothing\n"), 0, 0, NULL },
    { "an empty document", BYTES("---\n"), 0, 0, NULL },
    { "a mark of UTF-8", BYTES("\xef\xbb\xbfworkers: 2\n"), 0, 0, NULL },
    { "a number", BYTES("workers: 2\n"), 0, 0, NULL },
    { "a quoted number", BYTES("workers: \"2\"\n"), 0, 0, NULL },
    { "a section", BYTES("queue:\n  age: 5s\n"), 0, 0, NULL },
    { "a section in braces", BYTES("queue: { age: 5s }\n"), 0, 0, NULL },
    { "a path", BYTES("queue.age: 5s\n"), 0, 0, NULL },
    { "a section that is all comments", BYTES("queue:\n  # age: 5s\n"), 0, 0, NULL },
    { "a list", BYTES("listen:\n  - :1\n  - :2\n"), 0, 0, NULL },
    { "a list of one without brackets", BYTES("listen: \":1\"\n"), 0, 0, NULL },
    { "items", BYTES("spaces:\n  - name: a\n    history:\n      count: 5\n  - name: b\n"), 0, 0,
        NULL },
    { "items inside one line", BYTES("spaces: [ { name: a }, { name: b, live: yes } ]\n"), 0, 0,
        NULL },
    { "no items", BYTES("spaces: []\n"), 0, 0, NULL },
    { "an unknown key", BYTES("workers: 2\nworkerz: 3\n"), 2, 1, "did you mean 'workers'?" },
    { "an unknown key below one", BYTES("queue:\n  agee: 5s\n"), 2, 3,
        "there is no 'agee' in queue; did you mean 'age'?" },
    { "an unknown section", BYTES("queu:\n  age: 5s\n"), 1, 1, "did you mean 'queue'?" },
    { "a key in the wrong place", BYTES("cert: a.pem\n"), 1, 1, "did you mean 'tls.cert'?" },
    { "a key that would paint", BYTES("\"\\e[31m\": red\n"), 1, 1, "there is no '?[31m'" },
    { "a key like nothing", BYTES("colour: red\n"), 1, 1, "linnet config doc" },
    { "an unknown key of an item", BYTES("spaces:\n  - name: a\n    histroy: 1\n"), 3, 5,
        "there is no 'histroy' in spaces; did you mean 'history'?" },
    { "an unknown key with a tree below", BYTES("x: { a: [ b, { c: d } ] }\nworkers: 99\n"), 1, 1,
        "there is no 'x'" },
    { "a key twice", BYTES("workers: 2\nlisten: a\nworkers: 3\n"), 3, 1,
        "'workers' is there already, in line 1" },
    { "a key twice, once as a path", BYTES("queue:\n  age: 5s\nqueue.age: 6s\n"), 3, 1,
        "already, in line 2" },
    { "a section twice", BYTES("queue:\n  age: 5s\nqueue:\n"), 3, 1, "already, in line 1" },
    { "a key of an item twice", BYTES("spaces:\n  - name: a\n    name: b\n"), 3, 5,
        "already, in line 2" },
    { "a word for a number", BYTES("workers: many\n"), 1, 10, "wants a number from 1 to 64" },
    { "a list for a number", BYTES("workers: [ 1 ]\n"), 1, 10, "not a list" },
    { "a mapping for a number", BYTES("workers: { n: 1 }\n"), 1, 10, "not a mapping" },
    { "a number for a flag", BYTES("insecure: 2\n"), 1, 11, "wants true or false" },
    { "a word that is none of those", BYTES("log:\n  level: loud\n"), 2, 10,
        "wants error, warn or info" },
    { "a text for a section", BYTES("queue: 5s\n"), 1, 8, "wants a mapping (age:)" },
    { "a list of lists", BYTES("listen: [ [ a ] ]\n"), 1, 11, "not a list" },
    { "a mapping for a list", BYTES("listen: { a: b }\n"), 1, 9, "not a mapping" },
    { "a text for items", BYTES("spaces: a\n"), 1, 9, "wants a list of mappings" },
    { "texts for items", BYTES("spaces: [ a ]\n"), 1, 11, "wants mappings (- name: ...)" },
    { "an item without its name", BYTES("spaces:\n  - live: true\n"), 2, 5,
        "each of spaces wants a name" },
    { "an item with an empty name", BYTES("spaces:\n  - name: \"\"\n"), 2, 5, "wants a name" },
    { "an item too many", BYTES("spaces: [ {name: a}, {name: b}, {name: c}, {name: d} ]\n"), 1, 44,
        "wants at most 3" },
    { "no value", BYTES("workers:\n"), 1, 9, "workers has no value" },
    { "a null", BYTES("queue:\n  age: ~\n"), 2, 8, "without the line it is 10s" },
    { "2^64", BYTES("workers: 18446744073709551616\n"), 1, 10, "not '18446744073709551616'" },
    { "negative", BYTES("workers: -1\n"), 1, 10, "not '-1'" },
    { "too much", BYTES("queue:\n  age: 2h\n"), 2, 8, "from 100ms to 1h, or off" },
    { "octal is no number of ours", BYTES("workers: 010\n"), 1, 10, "wants a number" },
    { "an alias", BYTES("listen: &a [ b ]\n"), 1, 9, "anchors" },
    { "an alias of nothing", BYTES("workers: *a\n"), 1, 10, "alias" },
    { "a tag", BYTES("workers: !!int 2\n"), 1, 10, "tags" },
    { "a merge key", BYTES("<<: { workers: 2 }\n"), 1, 1, "there is no '<<'" },
    { "a list at the top", BYTES("- workers\n"), 1, 1, "a configuration is a mapping" },
    { "a text at the top", BYTES("workers\n"), 1, 1, "a configuration is a mapping" },
    { "a list as a key", BYTES("? [ a ]\n: b\n"), 1, 3, "a key is a word" },
    { "a second document", BYTES("workers: 2\n---\nworkers: 3\n"), 2, 1, "one document is enough" },
    { "tabs", BYTES("queue:\n\tage: 5s\n"), 2, 1, "this is not YAML" },
    { "an open bracket", BYTES("listen: [ a\n"), 2, 1, "this is not YAML" },
    { "a control byte", BYTES("workers: 2\nlisten: a\x01\n"), 2, 10, "this is not YAML" },
    { "a NUL in a text", BYTES("listen: \"a\\0b\"\n"), 1, 9, "NUL" },
    { "a NUL in a key", BYTES("\"workers\\0x\": 2\n"), 1, 1, "there is no 'workers'" },
    { "a byte that is not UTF-8", BYTES("workers: 2\n# caf\xe9\n"), 2, 6, "not UTF-8" },
    { "UTF-16", BYTES("\xff\xfew\0"), 1, 1, "not UTF-8" },
    { "too deep", BYTES("x: [[[[[[[[[[[[ a ]]]]]]]]]]]]\n"), 1, 1, "there is no 'x'" },
};

static void test_texts(void **state) {
    world w;
    for (size_t i = 0; i < LN_COUNT(table_of_texts); i++) {
        const char *why = table_of_texts[i].why;
        bool good = read_text(&w, table_of_texts[i].text);
        ln_shelf_clear(&w.shelf);
        if (good != !table_of_texts[i].line || good != (w.p.count == 0))
            fail_msg("%s: %s", why, w.p.items[0].text);
        if (good) continue;
        if (w.p.items[0].line != table_of_texts[i].line ||
            w.p.items[0].column != table_of_texts[i].column)
            fail_msg(
                "%s: %u:%u %s", why, w.p.items[0].line, w.p.items[0].column, w.p.items[0].text);
        if (!strstr(w.p.items[0].text, table_of_texts[i].words))
            fail_msg("%s: %s", why, w.p.items[0].text);
    }
}

/* However a text ends too early, it is read or told, with a line. */
static void test_cuts(void **state) {
    world w;
    for (size_t i = 0; i < LN_COUNT(table_of_texts); i++)
        for (size_t size = 0; size < table_of_texts[i].text.size; size++) {
            bool good = read_text(&w, ln_slice_sub(table_of_texts[i].text, 0, size));
            ln_shelf_clear(&w.shelf);
            assert_int_equal(good, w.p.count == 0);
            if (!good) assert_true(w.p.items[0].line > 0);
        }
}

static void test_values(void **state) {
    world w;
    static const ln_slice text = BYTES("listen: [ \":1\", unix:/run/x ]\n"
                                       "workers: 2\n"
                                       "queue:\n"
                                       "  age: off\n"
                                       "insecure: yes\n"
                                       "log: { level: info }\n"
                                       "tls:\n"
                                       "  cert: \"a b.pem\"\n"
                                       "spaces:\n"
                                       "- name: chat\n"
                                       "  live: true\n"
                                       "- name: news\n"
                                       "  history.count: 7\n");
    assert_true(read_text(&w, text));
    assert_int_equal(w.b.listen.count, 2);
    assert_string_equal(w.b.listen.items[1], "unix:/run/x");
    assert_int_equal(w.b.workers, 2);
    assert_int_equal(w.b.age, LN_OPTION_IS_OFF);
    assert_true(w.b.insecure);
    assert_int_equal(w.b.level, 2);
    assert_string_equal(w.b.cert, "a b.pem");
    assert_int_equal(w.from[2].kind, LN_SOURCE_FILE);
    assert_int_equal(w.from[2].line, 4);
    assert_int_equal(w.from[6].kind, LN_SOURCE_STANDARD);
    const item *items = w.b.spaces.at;
    assert_int_equal(w.b.spaces.count, 2);
    assert_string_equal(items[0].name, "chat");
    assert_true(items[0].live);
    assert_int_equal(items[0].count, 100);
    assert_int_equal(items[0].line, 10);
    assert_false(items[1].live);
    assert_int_equal(items[1].count, 7);
    ln_shelf_clear(&w.shelf);
}

/* All of them at once, up to a bound. */
static void test_many_problems(void **state) {
    world w;
    assert_false(read_text(&w, LN_SLICE("workers: x\nqueue:\n  age: y\ninsecure: z\nq: 1\n")));
    ln_shelf_clear(&w.shelf);
    assert_int_equal(w.p.count, 4);
    assert_int_equal(w.p.items[3].line, 5);
    char text[5 * 300];
    for (size_t i = 0; i < sizeof text; i += 5)
        memcpy(text + i, "a: 1\n", 5);
    assert_false(read_text(&w, ln_slice_of(text, sizeof text)));
    ln_shelf_clear(&w.shelf);
    assert_int_equal(w.p.count, LN_PROBLEMS_MAX);
}

/* Deep and wide things end early, in little memory. */
static void test_bombs(void **state) {
    world w;
    size_t size = 1024 * 1024;
    char *text = malloc(size);
    static const char *const units[] = { "[", "{", "{a: ", "- ", "? ", "a: &a\n", "\"", "x", " ",
        "\n", "!", "%", "|\n", "a: {}\n" };
    for (size_t i = 0; i < LN_COUNT(units); i++) {
        size_t unit = strlen(units[i]);
        for (size_t at = 0; at < size; at++)
            text[at] = units[i][at % unit];
        bool good = read_text(&w, ln_slice_of(text, size));
        ln_shelf_clear(&w.shelf);
        if (good != (*units[i] == ' ' || *units[i] == '\n')) fail_msg("%s", units[i]);
    }
    free(text);
}

/* ---- files and secrets --------------------------------------------------------------- */

static char *file_of(const char *text, size_t size, mode_t mode) {
    char *path = strdup("/tmp/linnet-config-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static void drop_file(char *path) {
    unlink(path);
    free(path);
}

static bool read_file(world *w, const char *text, mode_t mode) {
    begin(w);
    char *path = file_of(text, strlen(text), mode);
    bool good = ln_config_read_file(&w->c, path);
    drop_file(path);
    w->p.file = NULL;
    return good;
}

static void test_files(void **state) {
    world w;
    assert_true(read_file(&w, "workers: 2\n", 0644));
    assert_int_equal(w.b.workers, 2);
    ln_shelf_clear(&w.shelf);
    begin(&w);
    assert_false(ln_config_read_file(&w.c, "/nowhere/linnet.yaml"));
    assert_non_null(strstr(w.p.items[0].text, "No such file"));
    begin(&w);
    assert_false(ln_config_read_file(&w.c, "/tmp"));
    assert_int_equal(w.p.count, 1);
    char *large = calloc(1, 10 * 1024 * 1024);
    char *path = file_of(large, 10 * 1024 * 1024, 0600);
    begin(&w);
    assert_false(ln_config_read_file(&w.c, path));
    assert_non_null(strstr(w.p.items[0].text, "larger than 1048576 bytes"));
    drop_file(path);
    free(large);
}

static void test_exposed_secrets(void **state) {
    world w;
    assert_false(read_file(&w, "auth:\n  secret: hunter2\n", 0644));
    assert_int_equal(w.p.items[0].line, 2);
    assert_non_null(strstr(w.p.items[0].text, "chmod 640"));
    assert_null(strstr(w.p.items[0].text, "hunter2"));
    ln_shelf_clear(&w.shelf);
    assert_true(read_file(&w, "auth:\n  secret: hunter2\n", 0640));
    assert_string_equal(w.b.secret, "hunter2");
    ln_shelf_clear(&w.shelf);
    assert_true(read_file(&w, "auth:\n  secret: file:/nowhere\n", 0644));
    assert_false(ln_config_secrets(&w.c));
    assert_non_null(strstr(w.p.items[0].text, "No such file"));
    ln_shelf_clear(&w.shelf);
    assert_false(read_file(&w, "spaces: [ { name: a, key: hunter2 } ]\n", 0644));
    ln_shelf_clear(&w.shelf);
}

static bool resolves(world *w, const char *secret, mode_t mode) {
    char *path = file_of(secret, strlen(secret), mode), text[200];
    snprintf(text, sizeof text, "auth.secret: file:%s\nspaces: [ { name: a, key: \"file:%s\" } ]\n",
        path, path);
    bool good = read_text(w, ln_slice_str(text)) && ln_config_secrets(&w->c);
    drop_file(path);
    return good;
}

static void test_secret_files(void **state) {
    world w;
    assert_true(resolves(&w, "swordfish\n", 0600));
    assert_string_equal(w.b.secret, "swordfish");
    assert_string_equal(((const item *)w.b.spaces.at)->key, "swordfish");
    ln_shelf_clear(&w.shelf);
    assert_false(resolves(&w, "swordfish\n", 0644));
    assert_int_equal(w.p.count, 2);
    assert_non_null(strstr(w.p.items[0].text, "chmod 640"));
    ln_shelf_clear(&w.shelf);
    assert_false(resolves(&w, "\n", 0600));
    ln_shelf_clear(&w.shelf);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_true(read_text(&w, LN_SLICE("auth.secret: credential:key\n")));
    assert_false(ln_config_secrets(&w.c));
    ln_shelf_clear(&w.shelf);
}

static void test_credentials(void **state) {
    world w;
    char folder[] = "/tmp/linnet-config-test-XXXXXX", path[100];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/key", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
    assert_int_equal(write(fd, "swordfish", 9), 9);
    close(fd);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_true(read_text(&w, LN_SLICE("auth.secret: credential:key\n")));
    assert_true(ln_config_secrets(&w.c));
    assert_string_equal(w.b.secret, "swordfish");
    ln_shelf_clear(&w.shelf);
    assert_true(read_text(&w, LN_SLICE("auth.secret: credential:../key\n")));
    assert_false(ln_config_secrets(&w.c));
    ln_shelf_clear(&w.shelf);
    unsetenv("CREDENTIALS_DIRECTORY");
    unlink(path);
    rmdir(folder);
}

/* ---- what is written ------------------------------------------------------------------ */

static char *written(const world *w, bool sources) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    ln_config_write(to, &table, &w->b, sources ? w->from : NULL, "linnet.yaml");
    fclose(to);
    return text;
}

static void test_round_trip(void **state) {
    static const ln_slice text = BYTES(
        "listen: [ \"a\\\"b\", \"c\\\\\\n\\x1b\", \"# no comment\", \"\xc3\xa9: x\" ]\n"
        "queue.age: off\n"
        "tls.cert: \" \\u0085\\u2028\\ufeff\\u007f\\U0001f426 \"\n"
        "spaces: [ { name: \"no\", live: true }, { name: b, history.count: 9 } ]\n");
    world w, again;
    assert_true(read_text(&w, text));
    char *once = written(&w, false);
    if (!read_text(&again, ln_slice_str(once))) fail_msg("%s\n%s", again.p.items[0].text, once);
    char *twice = written(&again, false);
    assert_string_equal(once, twice);
    assert_int_equal(again.b.listen.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(again.b.listen.items[i], w.b.listen.items[i]);
    assert_string_equal(again.b.cert, w.b.cert);
    assert_string_equal(w.b.cert, " \xc2\x85\xe2\x80\xa8\xef\xbb\xbf\x7f\xf0\x9f\x90\xa6 ");
    assert_string_equal(((const item *)again.b.spaces.at)[0].name, "no");
    assert_int_equal(((const item *)again.b.spaces.at)[1].count, 9);
    free(once);
    free(twice);
    ln_shelf_clear(&w.shelf);
    ln_shelf_clear(&again.shelf);
}

static void test_show(void **state) {
    world w;
    assert_true(read_text(&w, LN_SLICE("auth.secret: hunter2\nqueue:\n  age: 1m\n"
                                       "spaces: [ { name: a, key: hunter2 } ]\n")));
    w.from[1].kind = LN_SOURCE_ENVIRONMENT;
    w.b.workers = 3;
    char *text = written(&w, true);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "secret: ***  # linnet.yaml:1\n"));
    assert_non_null(strstr(text, "workers: 3  # LINNET_WORKERS\n"));
    assert_non_null(strstr(text, "queue:\n  age: 1m  # linnet.yaml:3\n"));
    assert_non_null(strstr(text, "# listen: (not set)  # default\n"));
    assert_non_null(strstr(text, "spaces:\n  - name: \"a\"\n"));
    free(text);
    ln_shelf_clear(&w.shelf);
}

/* What gen writes is read back, and changes nothing. */
static void test_gen(void **state) {
    char *text = NULL;
    size_t size = 0;
    const ln_option_table *t = ln_options_table();
    FILE *to = open_memstream(&text, &size);
    ln_config_gen(to, t);
    fclose(to);
    ln_options read = { .insecure = false }, standards = { .insecure = false };
    ln_problems p = { .count = 0 };
    ln_option_standards(t, &read);
    ln_option_standards(t, &standards);
    ln_config c = {
        .table = t, .of = &read, .from = read.from, .shelf = &read.shelf, .problems = &p
    };
    if (!ln_config_read(&c, ln_slice_of(text, size)))
        fail_msg("%u: %s", p.items[0].line, p.items[0].text);
    for (size_t i = 0; i < t->count; i++) {
        char a[64], b[64];
        const ln_option *row = &t->rows[i];
        ln_option_put(row, ln_option_at(row, &read), a);
        ln_option_put(row, ln_option_at(row, &standards), b);
        assert_string_equal(a, b);
        assert_int_equal(read.from[i].kind == LN_SOURCE_FILE, row->standard[0] != 0);
    }
    ln_options_fini(&read);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_many_problems),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_exposed_secrets),
        cmocka_unit_test(test_secret_files),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_gen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
