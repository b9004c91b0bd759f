/* The conversations of tests/vectors (their README says what a step means) with a node in virtual
 * time: no sockets, no waiting, and every worker in this thread. One program for all files; a
 * script is a test, played with one worker and with three.
 *
 * The reason of a close is not looked at, for <linnet/test.h> does not tell it.
 */
#include "base/buf.h"
#include "base/json.h"
#include <endian.h>
#include <linnet/hub.h>
#include <linnet/test.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEERS       8
#define KEPT        32
#define PROTOCOLS   2
#define SPACES      4
#define PATIENCE    5000
#define FILE_MAX    (256 * 1024)
#define BINARY_HEAD 5 /* bytes: a version, and the size of what follows */
#define BINARY_MAX  1024
#define PORT_FORM   "ws://127.0.0.1:8080"

typedef struct peer {
    char name;
    linnet_test_client *client;
} peer;

typedef struct kept { /* a value with a name, as it stood there */
    char name[32], value[2048];
} kept;

typedef struct stage { /* a script that is played */
    linnet_test *test;
    const ln_json_value *open; /* NULL: all connections as usual */
    peer peers[PEERS];
    uint32_t peer_count, kept_count;
    kept kept[KEPT];
    char why[600]; /* empty: all is well */
} stage;

static void must(int err, const char *what) {
    if (err >= 0) return;
    printf("Bail out! %s: %s\n", what, linnet_strerror(err));
    exit(1);
}

static void wrong(stage *s, const char *what, ln_slice want, ln_slice got) {
    if (s->why[0]) return;
    snprintf(s->why, sizeof s->why, "%s: %.*s, and it is %.*s", what,
        (int)(want.size < 200 ? want.size : 200), (const char *)want.data,
        (int)(got.size < 200 ? got.size : 200), (const char *)got.data);
}

static ln_json_value none(void) {
    return (ln_json_value){ 0 };
}

static ln_json_value member(const ln_json_value *object, const char *name) {
    if (object->kind != LN_JSON_OBJECT) return none();
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value;
    while (ln_json_next(&it, &key, &value))
        if (ln_json_is(&key, ln_slice_str(name))) return value;
    return none();
}

/* -- what is expected ----------------------------------------------------------------------------
 */

static kept *kept_as(stage *s, ln_slice name, bool make) {
    for (uint32_t i = 0; i < s->kept_count; i++)
        if (ln_slice_eq(name, ln_slice_str(s->kept[i].name))) return &s->kept[i];
    if (!make || s->kept_count == KEPT || name.size >= sizeof s->kept[0].name) return NULL;
    kept *k = &s->kept[s->kept_count++];
    memcpy(k->name, name.data, name.size);
    return k;
}

static void keep(stage *s, ln_slice name, const ln_json_value *got) {
    kept *k = kept_as(s, name, true);
    if (k && got->raw.size < sizeof k->value)
        snprintf(
            k->value, sizeof k->value, "%.*s", (int)got->raw.size, (const char *)got->raw.data);
    else
        wrong(s, "no room to keep", name, got->raw);
}

static bool is_more(const kept *k, const ln_json_value *got) {
    uint64_t n = 0;
    return ln_json_uint(got, &n) && n == strtoull(k->value, NULL, 10) + 1;
}

/* "$keep:x" and the like; what does not begin so is itself. */
static bool match_word(stage *s, ln_slice word, const ln_json_value *got) {
    ln_slice kind = word, name = word;
    uint64_t n;
    if (!ln_slice_cut(&name, ':', &kind)) kind = word;
    const kept *k = kept_as(s, name, false);
    if (ln_slice_eq(kind, LN_SLICE("$keep"))) {
        keep(s, name, got);
        return true;
    }
    if (ln_slice_eq(kind, LN_SLICE("$same")))
        return k && ln_slice_eq(got->raw, ln_slice_str(k->value));
    if (ln_slice_eq(kind, LN_SLICE("$more"))) return k && is_more(k, got);
    if (ln_slice_eq(word, LN_SLICE("$any"))) return true;
    if (ln_slice_eq(word, LN_SLICE("$string")))
        return got->kind == LN_JSON_STRING && got->text.size > 0;
    if (ln_slice_eq(word, LN_SLICE("$int"))) return ln_json_uint(got, &n);
    if (ln_slice_eq(word, LN_SLICE("$bool"))) return got->kind == LN_JSON_BOOL;
    return false;
}

static bool match(stage *s, const ln_json_value *want, const ln_json_value *got);

static bool match_arrays(stage *s, const ln_json_value *want, const ln_json_value *got) {
    ln_json_iter a = ln_json_iter_of(want), b = ln_json_iter_of(got);
    ln_json_value key, mine, yours;
    while (ln_json_next(&a, &key, &mine))
        if (!ln_json_next(&b, &key, &yours) || !match(s, &mine, &yours)) return false;
    return !ln_json_next(&b, &key, &yours);
}

static uint32_t keys_of(const ln_json_value *object) {
    uint32_t n = 0;
    ln_json_iter it = ln_json_iter_of(object);
    for (ln_json_value key, value; ln_json_next(&it, &key, &value);)
        n++;
    return n;
}

static bool match_objects(stage *s, const ln_json_value *want, const ln_json_value *got) {
    bool open = member(want, "...").raw.data != NULL;
    ln_json_iter it = ln_json_iter_of(want);
    for (ln_json_value key, mine; ln_json_next(&it, &key, &mine);) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)key.text.size, (const char *)key.text.data);
        if (strcmp(name, "...") == 0) continue;
        ln_json_value yours = member(got, name);
        if (!yours.raw.data || !match(s, &mine, &yours)) return false;
    }
    return open || keys_of(want) == keys_of(got);
}

static bool same_text(const ln_json_value *want, const ln_json_value *got) {
    ln_buf a, b;
    ln_buf_init(&a, LN_BUF_MAX);
    ln_buf_init(&b, LN_BUF_MAX);
    bool same = ln_json_unescape(want, &a) == LINNET_OK && ln_json_unescape(got, &b) == LINNET_OK &&
                ln_slice_eq(ln_buf_slice(&a), ln_buf_slice(&b));
    ln_buf_fini(&a);
    ln_buf_fini(&b);
    return same;
}

static bool match(stage *s, const ln_json_value *want, const ln_json_value *got) {
    if (want->kind == LN_JSON_STRING && want->text.size && want->text.data[0] == '$')
        return match_word(s, want->text, got);
    if (want->kind != got->kind) return false;
    if (want->kind == LN_JSON_ARRAY) return match_arrays(s, want, got);
    if (want->kind == LN_JSON_OBJECT) return match_objects(s, want, got);
    if (want->kind == LN_JSON_STRING) return same_text(want, got);
    return ln_slice_eq(want->raw, got->raw);
}

/* -- playing -------------------------------------------------------------------------------------
 */

static peer *peer_of(stage *s, const ln_json_value *step) {
    ln_json_value on = member(step, "on");
    char name = on.kind == LN_JSON_STRING && on.text.size ? (char)on.text.data[0] : 'a';
    for (uint32_t i = 0; i < s->peer_count; i++)
        if (s->peers[i].name == name) return &s->peers[i];
    ln_json_value how = s->open ? member(s->open, (char[]){ name, 0 }) : none();
    ln_json_value path = member(&how, "path"), protocols = member(&how, "protocols"), key, word;
    char url[1024], names[PROTOCOLS][1024];
    const char *named[PROTOCOLS + 1] = { NULL };
    snprintf(url, sizeof url, PORT_FORM "%.*s", path.raw.data ? (int)path.text.size : 3,
        path.raw.data ? (const char *)path.text.data : "/ws");
    ln_json_iter it;
    if (protocols.kind == LN_JSON_ARRAY) it = ln_json_iter_of(&protocols);
    for (size_t i = 0; i < PROTOCOLS && protocols.raw.data && ln_json_next(&it, &key, &word); i++) {
        snprintf(
            names[i], sizeof names[i], "%.*s", (int)word.text.size, (const char *)word.text.data);
        named[i] = names[i];
    }
    linnet_dial_options o = LINNET_DIAL_OPTIONS_INIT;
    o.url = url;
    o.subprotocols = named;
    peer *p = &s->peers[s->peer_count];
    *p = (peer){ .name = name };
    if (s->peer_count == PEERS || linnet_test_dial_with(s->test, &o, &p->client, NULL) < 0) {
        wrong(s, "it does not open", linnet_str(url), LN_SLICE(""));
        return NULL;
    }
    s->peer_count++;
    return p;
}

/* What is to be sent, with kept values in their places, and no space but in strings. */
static void say(stage *s, peer *p, ln_slice text) {
    char *out = calloc(1, FILE_MAX);
    size_t n = 0;
    bool quoted = false;
    if (!out) abort();
    while (text.size) {
        static const char mark[] = "\"$same:";
        ln_slice name = ln_slice_sub(text, sizeof mark - 1, text.size), word;
        bool is = text.size > sizeof mark && memcmp(text.data, mark, sizeof mark - 1) == 0;
        const kept *k = is && ln_slice_cut(&name, '"', &word) ? kept_as(s, word, false) : NULL;
        if (k) {
            n += (size_t)snprintf(out + n, FILE_MAX - n, "%s", k->value);
            text = name;
        } else {
            char c = (char)text.data[0];
            if (c == '"' && !(n && out[n - 1] == '\\')) quoted = !quoted;
            if (quoted || !strchr(" \n\r\t", c)) out[n++] = c;
            ln_slice_skip(&text, 1);
        }
    }
    if (linnet_test_say(p->client, out) < 0)
        wrong(s, "cannot say", ln_slice_of(out, n), LN_SLICE(""));
    free(out);
}

static void say_text(stage *s, peer *p, const ln_json_value *text) {
    ln_buf b;
    ln_buf_init(&b, LN_BUF_MAX);
    if (ln_json_unescape(text, &b) < 0 || ln_buf_add_byte(&b, 0) < 0) abort();
    if (linnet_test_say(p->client, (const char *)ln_buf_slice(&b).data) < 0)
        wrong(s, "cannot say", text->raw, LN_SLICE(""));
    ln_buf_fini(&b);
}

static size_t bytes_of(ln_slice hex, uint8_t *out, size_t room) {
    size_t n = 0;
    for (; n < room && n * 2 + 1 < hex.size; n++) {
        char pair[3] = { (char)hex.data[n * 2], (char)hex.data[n * 2 + 1], 0 };
        out[n] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static void say_binary(stage *s, peer *p, ln_slice message) {
    linnet_conn *c = linnet_test_conn(p->client);
    if (!c || linnet_conn_send(c, LINNET_BINARY, message) < 0)
        wrong(s, "cannot send", message, LN_SLICE(""));
}

static void say_bytes(stage *s, peer *p, ln_slice hex) {
    uint8_t bytes[256];
    say_binary(s, p, ln_slice_of(bytes, bytes_of(hex, bytes, sizeof bytes)));
}

/* A version, the size of the header, the header, and bytes. */
static void say_parts(stage *s, peer *p, ln_slice header, ln_slice hex) {
    uint8_t bytes[BINARY_MAX] = { 1 };
    uint32_t size = htobe32((uint32_t)header.size);
    if (BINARY_HEAD + header.size > sizeof bytes) abort();
    memcpy(bytes + 1, &size, sizeof size);
    memcpy(bytes + BINARY_HEAD, header.data, header.size);
    size_t n = BINARY_HEAD + header.size;
    n += bytes_of(hex, bytes + n, sizeof bytes - n);
    say_binary(s, p, ln_slice_of(bytes, n));
}

/* A text never begins with such a byte. */
static bool parts_of(ln_slice message, ln_slice *header, ln_slice *payload) {
    uint32_t size;
    if (message.size < BINARY_HEAD || message.data[0] != 1) return false;
    memcpy(&size, message.data + 1, sizeof size);
    size = be32toh(size);
    if (size > message.size - BINARY_HEAD) return false;
    *header = ln_slice_sub(message, BINARY_HEAD, BINARY_HEAD + size);
    *payload = ln_slice_sub(message, BINARY_HEAD + size, message.size);
    return true;
}

static void expect(stage *s, peer *p, const ln_json_value *want) {
    ln_json_value got;
    ln_slice text = linnet_test_hear(p->client, NULL, PATIENCE);
    if (!text.data || ln_json_check(text, &got) < 0 || !match(s, want, &got))
        wrong(s, "expected", want->raw, text);
}

static void expect_parts(stage *s, peer *p, const ln_json_value *want, ln_slice hex) {
    uint8_t bytes[BINARY_MAX];
    ln_json_value got;
    ln_slice header, payload, message = linnet_test_hear(p->client, NULL, PATIENCE);
    ln_slice wanted = ln_slice_of(bytes, bytes_of(hex, bytes, sizeof bytes));
    if (!message.data || !parts_of(message, &header, &payload) || ln_json_check(header, &got) < 0 ||
        !match(s, want, &got) || !ln_slice_eq(payload, wanted))
        wrong(s, "expected as a binary message", want->raw, message);
}

static bool has_closed(void *ctx) {
    return linnet_test_closed(ctx) != 0;
}

static void closes(stage *s, peer *p, const ln_json_value *want) {
    char got[16];
    uint64_t code = 0;
    ln_json_uint(want, &code);
    linnet_test_until(s->test, has_closed, p->client, PATIENCE);
    snprintf(got, sizeof got, "%u", linnet_test_closed(p->client));
    if (linnet_test_closed(p->client) != code)
        wrong(s, "closed with", want->raw, ln_slice_str(got));
}

static void play_step(stage *s, const ln_json_value *step) {
    peer *p = peer_of(s, step);
    if (!p) return;
    ln_json_value send = member(step, "send"), text = member(step, "text");
    ln_json_value binary = member(step, "binary"), close = member(step, "close");
    ln_json_value want = member(step, "expect"), header = member(step, "bytes");
    ln_json_value payload = member(step, "payload");
    if (header.raw.data)
        say_parts(s, p, header.raw, payload.text);
    else if (want.raw.data && payload.raw.data)
        expect_parts(s, p, &want, payload.text);
    else if (send.raw.data)
        say(s, p, send.raw);
    else if (text.raw.data)
        say_text(s, p, &text);
    else if (binary.raw.data)
        say_bytes(s, p, binary.text);
    else if (close.raw.data)
        closes(s, p, &close);
    else if (want.raw.data)
        expect(s, p, &want);
    else
        wrong(s, "a step of no known kind", step->raw, LN_SLICE(""));
}

static void play(stage *s, const ln_json_value *script) {
    ln_json_value steps = member(script, "steps"), open = member(script, "open"), key, step;
    if (steps.kind != LN_JSON_ARRAY) must(LINNET_ERR_JSON, "steps");
    ln_json_iter it = ln_json_iter_of(&steps);
    if (open.raw.data) s->open = &open;
    while (!s->why[0] && ln_json_next(&it, &key, &step)) {
        play_step(s, &step);
        if (s->why[0]) printf("# at %.*s\n", (int)step.raw.size, (const char *)step.raw.data);
    }
    for (uint32_t i = 0; i < s->peer_count && !s->why[0]; i++) {
        ln_slice more = linnet_test_hear(s->peers[i].client, NULL, 50);
        if (more.data) wrong(s, "nothing more is expected", LN_SLICE(""), more);
    }
    s->open = NULL;
    for (uint32_t i = 0; i < s->peer_count; i++)
        linnet_test_client_free(s->peers[i].client);
    s->peer_count = 0;
}

/* -- a node for all scripts ----------------------------------------------------------------------
 */

/* What a file that is about logging in says it wants. */
static void log_in(const ln_json_value *serve, linnet_auth_options *auth, linnet_keys **keys) {
    linnet_key key = LINNET_KEY_INIT;
    ln_json_value secret = member(serve, "secret"), personal = member(serve, "personal");
    key.bytes = secret.text;
    must(linnet_keys_new(keys), "keys");
    must(linnet_keys_add(*keys, &key), "its secret");
    auth->keys = *keys;
    auth->personal = ln_slice_eq(personal.raw, LN_SLICE("true"));
}

/* Its namespaces: that tokens alone open them is all that is known here. */
static size_t spaces_of(const ln_json_value *serve, linnet_namespace *spaces, char names[][32]) {
    ln_json_value list = member(serve, "namespaces"), key, one;
    size_t n = 0;
    if (list.kind != LN_JSON_ARRAY) return 0;
    ln_json_iter it = ln_json_iter_of(&list);
    for (; n < SPACES && ln_json_next(&it, &key, &one); n++) {
        ln_json_value name = member(&one, "name"), allow = member(&one, "allow");
        ln_json_value subscribe = member(&allow, "subscribe"), publish = member(&allow, "publish");
        bool known = ln_json_is(&subscribe, LN_SLICE("token")) &&
                     ln_json_is(&publish, LN_SLICE("token"));
        must(known ? LINNET_OK : LINNET_ERR_INVAL, "allow");
        snprintf(
            names[n], sizeof names[n], "%.*s", (int)name.text.size, (const char *)name.text.data);
        spaces[n] = (linnet_namespace)LINNET_NAMESPACE_INIT;
        spaces[n].name = names[n];
        spaces[n].subscribe = spaces[n].publish = LINNET_RULE_TOKEN;
    }
    return n;
}

static linnet_test *begin(uint32_t workers, const ln_json_value *serve, linnet_hub **hub) {
    linnet_test *t;
    linnet_server *server;
    linnet_keys *keys = NULL;
    linnet_namespace spaces[SPACES];
    char names[SPACES][32];
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    linnet_auth_options auth = LINNET_AUTH_OPTIONS_INIT;
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    so.workers = workers;
    ho.members = true;
    if (serve->raw.data) {
        log_in(serve, &auth, &keys);
        ho.auth = &auth;
        ho.namespaces = spaces;
        ho.namespace_count = spaces_of(serve, spaces, names);
    }
    must(linnet_test_new(NULL, &t), "test");
    must(linnet_test_server(t, &so, &server), "server");
    must(linnet_hub_new(&ho, hub), "hub");
    must(linnet_server_hub(server, "/ws", *hub), "/ws");
    must(linnet_server_hub(server, "/ws/*", *hub), "/ws/");
    must(linnet_server_feed(server, "/feed/*", *hub), "/feed/");
    must(linnet_server_listen(server, "127.0.0.1:8080", NULL, NULL), "listen");
    must(linnet_server_start(server), "start");
    linnet_keys_free(keys);
    return t;
}

/* The script with its prefix in place of {c}, and the token NAME in that of {t:NAME}. */
static char *of_its_own(ln_slice script, const ln_json_value *tokens, uint32_t number) {
    size_t n = 0;
    char *out = malloc(FILE_MAX);
    if (!out) abort();
    while (script.size && n < FILE_MAX / 2) {
        ln_slice rest = script, name;
        if (script.size > 2 && memcmp(script.data, "{c}", 3) == 0) {
            n += (size_t)snprintf(out + n, FILE_MAX - n, "v%u.", number);
            ln_slice_skip(&script, 3);
        } else if (script.size > 3 && memcmp(script.data, "{t:", 3) == 0) {
            ln_slice_skip(&rest, 3);
            char word[32] = "";
            if (ln_slice_cut(&rest, '}', &name))
                snprintf(word, sizeof word, "%.*s", (int)name.size, (const char *)name.data);
            ln_slice token = member(tokens, word).text;
            if (!token.data || token.size > FILE_MAX / 4) must(LINNET_ERR_INVAL, word);
            memcpy(out + n, token.data, token.size);
            n += token.size;
            script = rest;
        } else {
            out[n++] = (char)script.data[0];
            ln_slice_skip(&script, 1);
        }
    }
    out[n] = 0;
    return out;
}

typedef struct count {
    uint32_t played, failed;
} count;

static void play_script(
    linnet_test *t, ln_slice raw, const ln_json_value *tokens, const char *file, count *to) {
    static stage s;
    char *text = of_its_own(raw, tokens, ++to->played);
    ln_json_value script;
    s = (stage){ .test = t };
    if (ln_json_check(ln_slice_str(text), &script) < 0)
        wrong(&s, "no JSON", raw, LN_SLICE(""));
    else
        play(&s, &script);
    ln_json_value name = s.why[0] && !script.raw.size ? none() : member(&script, "name");
    if (s.why[0]) printf("# %s\n", s.why);
    to->failed += s.why[0] != 0;
    const char *base = strrchr(file, '/');
    printf("%sok %u - %s: %.*s\n", s.why[0] ? "not " : "", to->played, base ? base + 1 : file,
        (int)name.text.size, (const char *)name.text.data);
    free(text);
}

/* A file that says how its server is configured has one for itself. */
static void play_file(linnet_test *shared, uint32_t workers, const char *path, count *to) {
    FILE *f = fopen(path, "r");
    char *text = malloc(FILE_MAX);
    if (!f || !text) abort();
    size_t size = fread(text, 1, FILE_MAX, f);
    fclose(f);
    ln_json_value top, key, script;
    int err = ln_json_check(ln_slice_of(text, size), &top);
    must(err, path);
    ln_json_value scripts = member(&top, "scripts"), serve = member(&top, "serve");
    ln_json_value tokens = member(&top, "tokens");
    if (scripts.kind != LN_JSON_ARRAY) must(LINNET_ERR_JSON, path);
    linnet_hub *hub = NULL;
    linnet_test *t = serve.raw.data ? begin(workers, &serve, &hub) : shared;
    ln_json_iter it = ln_json_iter_of(&scripts);
    while (ln_json_next(&it, &key, &script))
        play_script(t, script.raw, &tokens, path, to);
    if (t != shared) linnet_test_free(t);
    linnet_hub_free(hub);
    free(text);
}

/* Nothing here is good for anything if it does not see what is wrong. */
static void play_wrong(linnet_test *t, count *to) {
    static const char *const ends[] = { "{\"type\":\"pong\",\"re\":3}", "{\"type\":\"pong\"}",
        "{\"type\":\"pong\",\"re\":2,\"more\":1}", "{\"type\":\"pong\",\"re\":\"$string\"}", "[]",
        "{\"type\":\"pong\",\"re\":2},\"payload\":\"\"" };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char text[300];
        snprintf(text, sizeof text,
            "{\"steps\":[{\"send\":{\"type\":\"ping\",\"id\":2}},{\"expect\":%s}]}", ends[i]);
        stage s = { .test = t };
        ln_json_value script;
        must(ln_json_check(ln_slice_str(text), &script), text);
        play(&s, &script);
        to->failed += !s.why[0];
        printf(
            "%sok %u - what is wrong is seen: %s\n", s.why[0] ? "" : "not ", ++to->played, ends[i]);
    }
}

int main(int argc, char **argv) {
    count all = { 0, 0 };
    for (uint32_t workers = 1; workers <= 3; workers += 2) {
        linnet_hub *hub;
        ln_json_value as_it_is = none();
        linnet_test *t = begin(workers, &as_it_is, &hub);
        play_wrong(t, &all);
        for (int i = 1; i < argc; i++)
            play_file(t, workers, argv[i], &all);
        linnet_test_free(t);
        linnet_hub_free(hub);
    }
    printf("1..%u\n", all.played);
    return all.failed != 0;
}
