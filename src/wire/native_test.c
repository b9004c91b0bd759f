/* The vectors of tests/vectors/native-commands.json, and what we write. */
#include "wire/native_test.h"
#include "base/mem.h"

static const char *const hand_names[] = { "nobody", "native", "channel", "topic", "rpc", "event" };

/* "LIMIT forward|back since EPOCH:OFFSET" */
static void check_history(const ln_json_value *row, const ln_native_command *c) {
    char got[96] = "";
    int n = 0;
    if (c->verb == LN_VERB_HISTORY)
        n = snprintf(got, sizeof got, "%u %s", c->limit, c->reverse ? "back" : "forward");
    if (c->since)
        snprintf(got + n, sizeof got - (size_t)n, " since %llu:%llu",
            (unsigned long long)c->since_epoch, (unsigned long long)c->since_offset);
    assert_text(row, "history", ln_slice_str(got));
}

static void check_command(const ln_json_value *row, ln_slice text) {
    ln_buf scratch;
    ln_buf_init(&scratch, LN_NATIVE_SCRATCH);
    assert_int_equal(ln_buf_reserve(&scratch, LN_NATIVE_SCRATCH), LINNET_OK);
    ln_json_value top, recover;
    assert_int_equal(ln_json_check(text, &top), LINNET_OK);
    ln_native_command c;
    const char *why = NULL;
    int err = ln_native_parse(&top, &scratch, &c, &why);
    assert_int_equal(err, truth_of(row, "fault") ? LINNET_ERR_JSON : LN_DONE);
    assert_int_equal(why != NULL, truth_of(row, "fault"));
    assert_text(row, "verb", ln_slice_str(verb_names[c.verb]));
    assert_text(row, "id", c.id);
    assert_text(row, "channel", c.channel);
    assert_text(row, "event", c.event);
    assert_text(row, "data", c.data);
    assert_int_equal(c.no_echo, truth_of(row, "no_echo"));
    assert_int_equal(c.is_volatile, truth_of(row, "volatile"));
    if (top.kind == LN_JSON_OBJECT)
        assert_text(row, "hand", ln_slice_str(hand_names[ln_native_detect(&c)]));
    check_history(row, &c);
    assert_int_equal(c.recover, get(row, "recover", &recover));
    if (c.recover) {
        char wanted[64], got[64];
        snprintf(
            wanted, sizeof wanted, "%.*s", (int)recover.raw.size, (const char *)recover.raw.data);
        snprintf(got, sizeof got, "{ \"epoch\": %u, \"offset\": %u }", (unsigned)c.recover_epoch,
            (unsigned)c.recover_offset);
        assert_string_equal(got, wanted);
    }
    ln_buf_fini(&scratch);
}

static void test_commands(void **state) {
    (void)state;
    vectors v = load();
    ln_json_value rows, key, row;
    assert_true(get(&v.top, "commands", &rows));
    ln_json_iter it = ln_json_iter_of(&rows);
    int count = 0;
    for (; ln_json_next(&it, &key, &row); count++) {
        ln_slice why = text_of(&row, "why"), text = text_of(&row, "text");
        print_message("# %.*s\n", (int)why.size, (const char *)why.data);
        check_command(&row, text);
        ln_test_drop(why);
        ln_test_drop(text);
    }
    assert_true(count > 40);
    ln_buf_fini(&v.text);
}

/* To whom, and with what token: strings, and no longer than all in escapes may be. */
static void test_names_of_people(void **state) {
    (void)state;
    static const struct {
        const char *before; /* so many x follow, and then: */
        size_t count;
        const char *behind;
        bool fault;
    } rows[] = {
        { "{\"type\":\"send\",\"to\":\"", 6 * 255, "\"}", false },
        { "{\"type\":\"send\",\"to\":\"", 6 * 255 + 1, "\"}", true },
        { "{\"type\":\"send\",\"to\":", 0, "7}", true },
        { "{\"type\":\"auth\",\"data\":{\"token\":\"", 6 * 4096, "\"}}", false },
        { "{\"type\":\"auth\",\"data\":{\"token\":\"", 6 * 4096 + 1, "\"}}", true },
        { "{\"type\":\"auth\",\"data\":{\"token\":", 0, "7}}", true },
        { "{\"type\":\"auth\",\"token\":\"", 6 * 4096 + 1, "\"}", true },
        { "{\"type\":\"publish\",\"data\":{\"token\":\"", 6 * 4096 + 1, "\"}}", false },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        ln_buf text, scratch;
        ln_buf_init(&text, 1 << 16);
        ln_buf_init(&scratch, LN_NATIVE_SCRATCH);
        assert_int_equal(ln_buf_reserve(&scratch, LN_NATIVE_SCRATCH), LINNET_OK);
        ln_buf_add(&text, ln_slice_str(rows[i].before));
        for (size_t n = 0; n < rows[i].count; n++)
            ln_buf_add_byte(&text, 'x');
        assert_int_equal(ln_buf_add(&text, ln_slice_str(rows[i].behind)), LINNET_OK);
        ln_json_value top;
        ln_native_command c;
        const char *why = NULL;
        assert_int_equal(ln_json_check(ln_buf_slice(&text), &top), LINNET_OK);
        int err = ln_native_parse(&top, &scratch, &c, &why);
        if ((err == LINNET_ERR_JSON) != rows[i].fault) fail_msg("%zu: %s", i, why ? why : "");
        if (!rows[i].fault && c.verb != LN_VERB_PUBLISH)
            assert_int_equal(c.to.size + c.token.size, rows[i].count);
        ln_buf_fini(&text);
        ln_buf_fini(&scratch);
    }
}

/* What a session says to come back. Positions and grants of its channels follow, as far as they are
 * well formed. */
static void test_coming_back(void **state) {
    (void)state;
    static const struct {
        const char *text, *fault, *subs;
    } rows[] = {
        { "{'type':'auth','data':{'resume':'abc'}}", NULL, "" },
        { "{'type':'auth','data':{'resume':'abc'},'subs':{}}", NULL, "" },
        { "{'type':'auth','data':{'resume':'abc'},'subs':{'x':null,'y':{}}}", NULL, "x y " },
        { "{'type':'auth','data':{'resume':'abc'},'subs':{'x':{'epoch':'000000000000000e',"
          "'offset':7,'grant':'g','presence':true,'more':1}}}",
            NULL, "x@14:7'g'! " },
        { "{'type':'auth','data':{'resume':'abc'},'subs':{'x':{'epoch':'old','offset':7}}}", NULL,
            "x@0:7 " },
        { "{'type':'auth','data':{'resume':'a\\u0062c'}}", "resume is not a ticket that was given",
            NULL },
        { "{'type':'auth','data':{'resume':7}}", "resume is not a ticket that was given", NULL },
        { "{'type':'auth','data':{'resume':'abc'},'subs':[]}", "subs", NULL },
        { "{'type':'auth','data':{'resume':'abc'},'subs':{'x':1}}", "subs", NULL },
        { "{'type':'auth','data':{'resume':'abc'},'subs':{'x':{'offset':7}}}", "subs", NULL },
        { "{'type':'auth','data':{'resume':'abc'},'subs':{'x':{'epoch':'e'}}}", "subs", NULL },
        { "{'type':'auth','data':{'resume':'abc'},'subs':{'x':{'epoch':'e','offset':-1}}}", "subs",
            NULL },
        { "{'type':'auth','data':{'resume':'abc'},'subs':{'x':{'grant':1}}}", "subs", NULL },
        { "{'type':'auth','data':{'resume':'abc'},'subs':{'x':{'presence':1}}}", "subs", NULL },
        { "{'type':'auth','data':{'token':'abc'},'subs':[]}", NULL, NULL },
        { "{'type':'subscribe','channel':'x','grant':'g'}", NULL, NULL },
        { "{'type':'subscribe','channel':'x','grant':null}", "grant", NULL },
        { "{'type':'subscribe','channel':'x','grant':'\\u0041'}", "grant", NULL },
        { "{'type':'publish','channel':'x','grant':1}", NULL, NULL },
        { "{'type':'publish','channel':'x','data':1,'seq':1}", NULL, NULL },
        { "{'type':'publish','channel':'x','data':1,'seq':0}", "seq", NULL },
        { "{'type':'publish','channel':'x','data':1,'seq':-1}", "seq", NULL },
        { "{'type':'publish','channel':'x','data':1,'seq':1.5}", "seq", NULL },
        { "{'type':'publish','channel':'x','data':1,'seq':'1'}", "seq", NULL },
        { "{'type':'publish','channel':'x','data':1,'seq':9007199254740992}", "seq", NULL },
        { "{'type':'subscribe','channel':'x','seq':'any'}", NULL, NULL },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].text);
        char text[300], got[100] = "";
        size_t size = strlen(rows[i].text), at = 0;
        for (size_t n = 0; n <= size; n++)
            text[n] = rows[i].text[n] == '\'' ? '"' : rows[i].text[n];
        ln_slice exact = ln_test_exact(ln_slice_of(text, size));
        ln_buf scratch;
        ln_buf_init(&scratch, LN_NATIVE_SCRATCH);
        assert_int_equal(ln_buf_reserve(&scratch, LN_NATIVE_SCRATCH), LINNET_OK);
        ln_json_value top, key, item;
        ln_native_command c, one;
        const char *why = NULL;
        assert_int_equal(ln_json_check(exact, &top), LINNET_OK);
        int err = ln_native_parse(&top, &scratch, &c, &why);
        assert_int_equal(err, rows[i].fault ? LINNET_ERR_JSON : LN_DONE);
        if (rows[i].fault) assert_memory_equal(why, rows[i].fault, strlen(rows[i].fault));
        ln_json_iter it = { 0 };
        if (c.subs.kind == LN_JSON_OBJECT) it = ln_json_iter_of(&c.subs);
        while (rows[i].subs && *rows[i].subs && ln_json_next(&it, &key, &item)) {
            ln_native_sub(&item, &one);
            at += (size_t)snprintf(
                got + at, sizeof got - at, "%.*s", (int)key.text.size, (const char *)key.text.data);
            if (one.recover)
                at += (size_t)snprintf(got + at, sizeof got - at, "@%u:%u",
                    (unsigned)one.recover_epoch, (unsigned)one.recover_offset);
            if (one.grant.data)
                at += (size_t)snprintf(got + at, sizeof got - at, "'%.*s'", (int)one.grant.size,
                    (const char *)one.grant.data);
            at += (size_t)snprintf(got + at, sizeof got - at, one.presence ? "! " : " ");
        }
        if (rows[i].subs) assert_string_equal(got, rows[i].subs);
        if (rows[i].subs) assert_true(ln_slice_eq(c.resume, LN_SLICE("abc")));
        ln_test_drop(exact);
        ln_buf_fini(&scratch);
    }
}

static void test_falsy(void **state) {
    (void)state;
    vectors v = load();
    ln_json_value falsy, list, key, item;
    assert_true(get(&v.top, "falsy", &falsy));
    for (int yes = 0; yes < 2; yes++) {
        assert_true(get(&falsy, yes ? "yes" : "no", &list));
        ln_json_iter it = ln_json_iter_of(&list);
        while (ln_json_next(&it, &key, &item)) {
            ln_buf out;
            ln_buf_init(&out, 100);
            assert_int_equal(ln_json_unescape(&item, &out), LINNET_OK);
            ln_slice json = ln_test_exact(ln_buf_slice(&out));
            print_message("# %.*s\n", (int)json.size, (const char *)json.data);
            assert_int_equal(ln_native_falsy(json), yes);
            ln_test_drop(json);
            ln_buf_fini(&out);
        }
    }
    assert_true(ln_native_falsy(LN_SLICE("")));
    ln_buf_fini(&v.text);
}

/* Names of every length, plain and in escapes, never leave the scratch. */
static void test_long_names(void **state) {
    (void)state;
    for (int escaped = 0; escaped < 2; escaped++) {
        for (size_t n = 0; n < 300; n++) {
            ln_buf text, scratch;
            ln_buf_init(&text, 1 << 16);
            ln_buf_init(&scratch, LN_NATIVE_SCRATCH);
            assert_int_equal(ln_buf_reserve(&scratch, LN_NATIVE_SCRATCH), LINNET_OK);
            ln_buf_add(&text, LN_SLICE("{\"channel\":\""));
            for (size_t i = 0; i < n; i++)
                ln_buf_add(&text, escaped ? LN_SLICE("\\u0041") : LN_SLICE("A"));
            ln_buf_add(&text, LN_SLICE("\",\"event\":\""));
            for (size_t i = 0; i < n; i++)
                ln_buf_add(&text, escaped ? LN_SLICE("\\u0042") : LN_SLICE("B"));
            assert_int_equal(ln_buf_add(&text, LN_SLICE("\"}")), LINNET_OK);
            ln_json_value top;
            ln_native_command c;
            const char *why = NULL;
            assert_int_equal(ln_json_check(ln_buf_slice(&text), &top), LINNET_OK);
            int err = ln_native_parse(&top, &scratch, &c, &why);
            assert_int_equal(err, n > 255 ? LINNET_ERR_JSON : LN_DONE);
            if (!err) {
                assert_int_equal(c.channel.size, n);
                assert_int_equal(c.event.size, n);
                for (size_t i = 0; i < n; i++)
                    assert_true(c.channel.data[i] == 'A' && c.event.data[i] == 'B');
            }
            ln_buf_fini(&text);
            ln_buf_fini(&scratch);
        }
    }
}

typedef int write_fn(ln_buf *out);

static int w_welcome(ln_buf *out) {
    ln_native_welcome w = { LN_SLICE("c1"), LN_SLICE("s1"), LN_SLICE("n1"), 25, 10, 65536, 1700,
        false };
    return ln_native_put_welcome(out, &w);
}
static int w_welcome_data(ln_buf *out) {
    ln_native_welcome w = {
        .user = LN_SLICE("ann"), .expires = 5, .data = LN_SLICE("{\"a\":[1]}")
    };
    return ln_native_put_welcome(out, &w);
}
static int w_ok(ln_buf *out) {
    return ln_native_put_ok(out, &(ln_native_ok){ .re = LN_SLICE("\"a\"") });
}
static int w_ok_subscribed(ln_buf *out) {
    ln_native_ok ok = { LN_SLICE("7"), "recoverable", 0xabcdef, 5, true, false };
    return ln_native_put_ok(out, &ok);
}
static int w_ok_recovered(ln_buf *out) {
    ln_native_ok ok = { LN_SLICE("7"), NULL, UINT64_MAX, 0, true, true };
    return ln_native_put_ok(out, &ok);
}
static int w_error(ln_buf *out) {
    ln_native_error e = { .code = LN_NATIVE_BAD_REQUEST, .message = "no \"object\"" };
    return ln_native_put_error(out, &e);
}
static int w_error_full(ln_buf *out) {
    ln_native_error e = { LN_SLICE("1"), LN_SLICE("c"), LN_NATIVE_RATE_LIMITED, NULL, 250 };
    return ln_native_put_error(out, &e);
}
static int w_message(ln_buf *out) {
    ln_native_message m = { LN_SLICE("c"), LN_SLICE("message"), LN_SLICE("[ 1 ]"), LN_SLICE(""), 0,
        9 };
    return ln_native_put_message(out, &m);
}
static int w_message_full(ln_buf *out) {
    ln_native_message m = { LN_SLICE("c"), LN_SLICE("e\n"), LN_SLICE("null"), LN_SLICE("bob"), 3,
        9 };
    return ln_native_put_message(out, &m);
}
static int w_pong(ln_buf *out) {
    return ln_native_put_pong(out, LN_SLICE(""));
}
static int w_pong_re(ln_buf *out) {
    return ln_native_put_pong(out, LN_SLICE("\"x\\\"\""));
}
static int w_skip(ln_buf *out) {
    return ln_native_put_skip(out, LN_SLICE("c"), 8, 2, "except");
}
static int w_unsubscribed(ln_buf *out) {
    return ln_native_put_unsubscribed(out, LN_SLICE("c"), LN_NATIVE_UNRECOVERABLE_POSITION);
}

static int w_put_out(ln_buf *out) {
    return ln_native_put_unsubscribed(out, LN_SLICE("c"), LN_NATIVE_PERMISSION_DENIED);
}
static int w_ok_login(ln_buf *out) {
    ln_native_ok ok = { .re = LN_SLICE("1"), .user = LN_SLICE("ann"), .expires = 60 };
    return ln_native_put_ok(out, &ok);
}
static int w_ok_data(ln_buf *out) {
    ln_native_ok ok = { .re = LN_SLICE("1"), .data = LN_SLICE("{\"a\":[1]}") };
    return ln_native_put_ok(out, &ok);
}
static int w_message_replayed(ln_buf *out) {
    ln_native_message m = { .channel = LN_SLICE("c"),
        .data = LN_SLICE("1"),
        .from = LN_SLICE("bob"),
        .offset = 3,
        .ts = 9,
        .user = LN_SLICE("ann"),
        .info = LN_SLICE("{\"x\":1}"),
        .replay = true };
    return ln_native_put_message(out, &m);
}
static int w_history(ln_buf *out) {
    ln_native_ok ok = { .re = LN_SLICE("1"), .epoch = 0xabcdef, .offset = 2 };
    ln_native_message m = { .data = LN_SLICE("1"), .offset = 1, .ts = 9 };
    ln_json_writer w = ln_native_history_begin(out, &ok);
    ln_native_history_add(&w, &m);
    m.offset = 2;
    ln_native_history_add(&w, &m);
    ln_native_history_end(&w);
    return ln_json_end(&w);
}
static int w_subscribed(ln_buf *out) {
    ln_native_ok ok = { .epoch = 0xabcdef, .offset = 4, .class = "recoverable" };
    return ln_native_put_subscribed(out, LN_SLICE("@ann"), &ok);
}
static int w_subscribed_again(ln_buf *out) {
    ln_native_ok ok = { .epoch = 0xabcdef,
        .offset = 4,
        .class = "recoverable",
        .recover = true,
        .recovered = true,
        .replay = 2,
        .grant = LN_SLICE("G") };
    return ln_native_put_subscribed(out, LN_SLICE("x"), &ok);
}
static int w_back(ln_buf *out) {
    ln_native_ok ok = { .re = LN_SLICE("1"),
        .user = LN_SLICE("ann"),
        .expires = 60,
        .client = LN_SLICE("c1"),
        .session = LN_SLICE("s1"),
        .resume = LN_SLICE("T") };
    return ln_native_put_ok(out, &ok);
}
static int w_ping(ln_buf *out) {
    return ln_native_put_ping(out, LN_SLICE(""));
}
static int w_ping_ticket(ln_buf *out) {
    return ln_native_put_ping(out, LN_SLICE("T"));
}
static int w_expiring(ln_buf *out) {
    return ln_native_put_expiring(out, 25);
}
static int w_call(ln_buf *out) {
    return ln_native_put_call(out, 7, LN_SLICE("m\n"), LN_SLICE("[ 1 ]"));
}
static int w_goaway(ln_buf *out) {
    return ln_native_put_goaway(out, 1500, "draining");
}

static const struct {
    const char *why;
    write_fn *write;
    const char *text;
} texts[] = {
    { "welcome", w_welcome,
        "{\"type\":\"welcome\",\"client\":\"c1\",\"session\":\"s1\",\"ping\":25,\"timeout\":10,"
        "\"max\":65536,"
        "\"auth\":false,\"node\":\"n1\",\"ts\":1700,\"caps\":[\"batch\"]}" },
    { "welcome, and what a backend adds", w_welcome_data,
        "{\"type\":\"welcome\",\"client\":\"\",\"session\":\"\",\"ping\":0,\"timeout\":0,\"max\":0,"
        "\"auth\":false,\"node\":\"\",\"ts\":0,\"user\":\"ann\",\"expires\":5,\"data\":{\"a\":[1]},"
        "\"caps\":[\"batch\"]}" },
    { "a call", w_call, "{\"type\":\"call\",\"id\":7,\"event\":\"m\\n\",\"data\":[ 1 ]}" },
    { "goaway", w_goaway, "{\"type\":\"goaway\",\"after_ms\":1500,\"reason\":\"draining\"}" },
    { "put out", w_put_out,
        "{\"type\":\"unsubscribed\",\"channel\":\"c\",\"code\":103,"
        "\"reason\":\"permission denied\",\"retry\":false}" },
    { "ok to a login", w_ok_login, "{\"type\":\"ok\",\"re\":1,\"user\":\"ann\",\"expires\":60}" },
    { "ok to a call", w_ok_data, "{\"type\":\"ok\",\"re\":1,\"data\":{\"a\":[1]}}" },
    { "a message again, from somebody who is known", w_message_replayed,
        "{\"type\":\"message\",\"channel\":\"c\",\"data\":1,\"offset\":3,\"ts\":9,"
        "\"from\":{\"client\":\"bob\",\"user\":\"ann\",\"info\":{\"x\":1}},\"replay\":true}" },
    { "history", w_history,
        "{\"type\":\"ok\",\"re\":1,\"epoch\":\"0000000000abcdef\",\"offset\":2,\"messages\":["
        "{\"data\":1,\"offset\":1,\"ts\":9},{\"data\":1,\"offset\":2,\"ts\":9}]}" },
    { "subscribed by the server", w_subscribed,
        "{\"type\":\"subscribed\",\"channel\":\"@ann\",\"epoch\":\"0000000000abcdef\","
        "\"offset\":4,\"class\":\"recoverable\"}" },
    { "subscribed by who came back", w_subscribed_again,
        "{\"type\":\"subscribed\",\"channel\":\"x\",\"epoch\":\"0000000000abcdef\","
        "\"offset\":4,\"class\":\"recoverable\",\"recovered\":true,\"replay\":2,"
        "\"grant\":\"G\"}" },
    { "ok to who came back", w_back,
        "{\"type\":\"ok\",\"re\":1,\"user\":\"ann\",\"expires\":60,\"client\":\"c1\","
        "\"session\":\"s1\",\"resume\":\"T\"}" },
    { "ping", w_ping, "{\"type\":\"ping\"}" },
    { "ping with a ticket", w_ping_ticket, "{\"type\":\"ping\",\"resume\":\"T\"}" },
    { "expiring", w_expiring, "{\"type\":\"expiring\",\"in\":25}" },
    { "ok alone", w_ok, "{\"type\":\"ok\",\"re\":\"a\"}" },
    { "ok to a subscribe that could not recover", w_ok_subscribed,
        "{\"type\":\"ok\",\"re\":7,\"epoch\":\"0000000000abcdef\",\"offset\":5,"
        "\"class\":\"recoverable\",\"recovered\":false}" },
    { "ok to one that had missed nothing", w_ok_recovered,
        "{\"type\":\"ok\",\"re\":7,\"epoch\":\"ffffffffffffffff\",\"offset\":0,\"recovered\":true,"
        "\"replay\":0}" },
    { "an error that belongs to no request", w_error,
        "{\"type\":\"error\",\"error\":{\"code\":107,\"name\":\"bad_request\","
        "\"message\":\"no \\\"object\\\"\",\"retry\":false}}" },
    { "an error with all", w_error_full,
        "{\"type\":\"error\",\"re\":1,\"channel\":\"c\",\"error\":{\"code\":111,"
        "\"name\":\"rate_limited\",\"message\":\"rate limit exceeded\",\"retry\":true,"
        "\"retry_after\":250}}" },
    { "a message without a place", w_message,
        "{\"type\":\"message\",\"channel\":\"c\",\"data\":[ 1 ],\"ts\":9}" },
    { "a message with all", w_message_full,
        "{\"type\":\"message\",\"channel\":\"c\",\"event\":\"e\\n\",\"data\":null,\"offset\":3,"
        "\"ts\":9,\"from\":{\"client\":\"bob\"}}" },
    { "pong", w_pong, "{\"type\":\"pong\"}" },
    { "pong to a request", w_pong_re, "{\"type\":\"pong\",\"re\":\"x\\\"\"}" },
    { "skip", w_skip,
        "{\"type\":\"skip\",\"channel\":\"c\",\"offset\":8,\"count\":2,\"reason\":\"except\"}" },
    { "unsubscribed", w_unsubscribed,
        "{\"type\":\"unsubscribed\",\"channel\":\"c\",\"code\":112,"
        "\"reason\":\"unrecoverable position\",\"retry\":true}" },
};

static void test_texts(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(texts); i++) {
        print_message("# %s\n", texts[i].why);
        size_t size = strlen(texts[i].text);
        ln_buf out;
        ln_buf_init(&out, (uint32_t)size + 1);
        ln_buf_add_byte(&out, '!'); /* what was there stays */
        assert_int_equal(texts[i].write(&out), LINNET_OK);
        ln_slice got = ln_buf_slice(&out);
        if (!ln_slice_eq(ln_slice_sub(got, 1, got.size), ln_slice_str(texts[i].text)))
            fail_msg("%.*s", (int)got.size, (const char *)got.data);
        ln_json_value top;
        assert_int_equal(ln_json_check(ln_slice_sub(got, 1, got.size), &top), LINNET_OK);
        ln_buf_fini(&out);
    }
}

static void test_no_room(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(texts); i++) {
        for (uint32_t max = 0; max < strlen(texts[i].text); max++) {
            ln_buf out;
            ln_buf_init(&out, max);
            assert_int_equal(texts[i].write(&out), LINNET_ERR_TOO_BIG);
            assert_int_equal(out.size, 0);
            ln_buf_fini(&out);
        }
        ln_test_memory memory = { .fail_at = 1 };
        ln_test_memory_install(&memory);
        ln_buf out;
        ln_buf_init(&out, 10000);
        assert_int_equal(texts[i].write(&out), LINNET_ERR_NOMEM);
        assert_int_equal(out.size, 0);
        ln_buf_fini(&out);
        assert_int_equal(memory.live, 0);
        ln_test_memory_remove();
    }
}

static void test_errors(void **state) {
    (void)state;
    char name[LN_NATIVE_NAME_MAX];
    size_t size = ln_native_name(LN_NATIVE_UNRECOVERABLE_POSITION, name);
    assert_true(ln_slice_eq(ln_slice_of(name, size), LN_SLICE("unrecoverable_position")));
    size = ln_native_name((ln_native_code)99, name);
    assert_true(ln_slice_eq(ln_slice_of(name, size), LN_SLICE("internal")));
    size = ln_native_name((ln_native_code)1999, name);
    assert_true(ln_slice_eq(ln_slice_of(name, size), LN_SLICE("application")));
    assert_true(ln_native_known(LN_NATIVE_INTERNAL) && ln_native_known(LN_NATIVE_CONFLICT));
    assert_false(ln_native_known(99) || ln_native_known(-1) || ln_native_known(1999));
    assert_true(ln_native_retry(LN_NATIVE_NOT_AVAILABLE));
    assert_false(ln_native_retry(LN_NATIVE_BAD_REQUEST));
    assert_string_equal(ln_native_words(LN_NATIVE_CONFLICT), "conflict");
}

static void test_epochs(void **state) {
    (void)state;
    static const uint64_t epochs[] = { 1, 0xf, 0x123456789abcdef0, UINT64_MAX };
    for (size_t i = 0; i < LN_COUNT(epochs); i++) {
        char text[LN_NATIVE_EPOCH];
        uint64_t back = 0;
        ln_native_epoch_put(epochs[i], text);
        assert_true(ln_native_epoch_get(ln_slice_of(text, sizeof text), &back));
        assert_true(back == epochs[i]);
        for (size_t cut = 0; cut < sizeof text; cut++)
            assert_false(ln_native_epoch_get(ln_slice_of(text, cut), &back));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_names_of_people),
        cmocka_unit_test(test_coming_back),
        cmocka_unit_test(test_falsy),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_epochs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
