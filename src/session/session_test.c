/* The life of a session, and linnet.v1. */
#include "session/session_test.h"

#define SEQ(id, n)                                                                                 \
    "{\"type\":\"publish\",\"id\":" #id ",\"channel\":\"x\",\"data\":1,\"seq\":" #n "}"
#define OK(id, at) "{\"type\":\"ok\",\"re\":" #id "," EPOCH ",\"offset\":" #at "}"
#define EARLY(id)                                                                                  \
    "{\"type\":\"error\",\"re\":" #id ",\"channel\":\"x\"," ERR(116, "out_of_order", "out of order")

static const conversation native[] = {
    { "subscribe, publish, unsubscribe", AUTO,
        { ">a {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}",
            "<a {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":0,\"class\":\"recoverable\"}",
            ">b {\"type\":\"publish\",\"id\":\"p\",\"channel\":\"x\",\"data\":{ \"n\": 1 }}",
            "<a {\"type\":\"message\",\"channel\":\"x\",\"data\":{ \"n\": 1 },\"offset\":1," TS
            ",\"from\":{\"client\":\"b\"}}",
            "<b {\"type\":\"ok\",\"re\":\"p\"," EPOCH ",\"offset\":1}",
            ">a {\"type\":\"unsubscribe\",\"id\":2,\"channel\":\"x\"}",
            "<a {\"type\":\"ok\",\"re\":2}",
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":2}", "!a", "!b" } },
    { "without an id nothing is answered", AUTO,
        { ">a {\"type\":\"subscribe\",\"channel\":\"x\"}", "!a",
            ">a {\"type\":\"publish\",\"channel\":\"x\",\"event\":\"e\",\"data\":[]}",
            "<a "
            "{\"type\":\"message\",\"channel\":\"x\",\"event\":\"e\",\"data\":[],\"offset\":1," TS
            ",\"from\":{\"client\":\"a\"}}",
            ">a {\"type\":\"unsubscribe\",\"channel\":\"x\"}", "!a" } },
    { "the second one on a worker joins where it stands", AUTO,
        { ">a {\"type\":\"subscribe\",\"channel\":\"x\"}",
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":1,\"echo\":false}",
            ">b {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}",
            "<b {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":1,\"class\":\"recoverable\"}" } },
    { "what was left out is told before the next message", AUTO,
        { ">a {\"type\":\"subscribe\",\"channel\":\"x\"}",
            ">b {\"type\":\"subscribe\",\"channel\":\"x\"}",
            ">a {\"type\":\"publish\",\"channel\":\"x\",\"data\":1,\"echo\":false}",
            HEARD(b, a, 1, 1),
            ">c "
            "{\"type\":\"publish\",\"channel\":\"x\",\"data\":2,\"except\":[\"a\",\"\\u0062\","
            "\"zz\"]}",
            "!a", "!b", ">c {\"type\":\"publish\",\"channel\":\"x\",\"data\":3}",
            "<a "
            "{\"type\":\"skip\",\"channel\":\"x\",\"offset\":2,\"count\":2,\"reason\":\"except\"}",
            HEARD(a, c, 3, 3),
            "<b "
            "{\"type\":\"skip\",\"channel\":\"x\",\"offset\":2,\"count\":1,\"reason\":\"except\"}",
            HEARD(b, c, 3, 3), ">c {\"type\":\"publish\",\"channel\":\"x\",\"data\":4}",
            HEARD(a, c, 4, 4) } },
    { "volatile takes no place and owes no skip", AUTO,
        { ">a {\"type\":\"subscribe\",\"channel\":\"x\"}",
            ">a "
            "{\"type\":\"publish\",\"id\":1,\"channel\":\"x\",\"data\":1,\"volatile\":true,"
            "\"echo\":false}",
            "<a {\"type\":\"ok\",\"re\":1}",
            ">b {\"type\":\"publish\",\"id\":1,\"channel\":\"x\",\"data\":1,\"volatile\":true}",
            "<a {\"type\":\"message\",\"channel\":\"x\",\"data\":1," TS
            ",\"from\":{\"client\":\"b\"}}",
            "<b {\"type\":\"ok\",\"re\":1}" } },
    { "who leaves with a skip owed owes nobody anything", AUTO,
        { ">a {\"type\":\"subscribe\",\"channel\":\"x\"}",
            ">b {\"type\":\"subscribe\",\"channel\":\"x\"}",
            ">a {\"type\":\"publish\",\"channel\":\"x\",\"data\":1,\"echo\":false}",
            ">a {\"type\":\"unsubscribe\",\"channel\":\"x\"}",
            ">a {\"type\":\"subscribe\",\"channel\":\"x\"}",
            ">c {\"type\":\"publish\",\"channel\":\"x\",\"data\":2}", HEARD(a, c, 2, 2) } },
    { "who missed nothing has recovered", AUTO,
        { ">a {\"type\":\"publish\",\"channel\":\"x\",\"data\":1}",
            ">a {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\",\"recover\":{" EPOCH
            ",\"offset\":1}}",
            "<a {\"type\":\"ok\",\"re\":1," EPOCH
            ",\"offset\":1,\"class\":\"recoverable\",\"recovered\":true,\"replay\":0}" } },
    { "a batch, in order", AUTO,
        { ">a [{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"},{\"type\":\"ping\"},"
          "{\"type\":\"publish\",\"channel\":\"x\",\"data\":1},7]",
            "<a {\"type\":\"pong\"}",
            "<a {\"type\":\"error\"," ERR(107, "bad_request", "a command is a JSON object"),
            "<a {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":0,\"class\":\"recoverable\"}",
            HEARD(a, a, 1, 1), "!a" } },
    { "who publishes and leaves hears himself, and then nothing", AUTO,
        { ">a {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}",
            "<a {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":0,\"class\":\"recoverable\"}",
            "+>a {\"type\":\"publish\",\"id\":2,\"channel\":\"x\",\"data\":1}",
            "+>a {\"type\":\"unsubscribe\",\"id\":3,\"channel\":\"x\"}",
            "+>a {\"type\":\"unsubscribe\",\"id\":4,\"channel\":\"x\"}",
            ">a {\"type\":\"publish\",\"id\":5,\"channel\":\"x\",\"data\":2}",
            "<a {\"type\":\"error\",\"re\":4,\"channel\":\"x\"," ERR(
                113, "not_subscribed", "not subscribed"),
            HEARD(a, a, 1, 1), "<a {\"type\":\"ok\",\"re\":2," EPOCH ",\"offset\":1}",
            "<a {\"type\":\"ok\",\"re\":3}", "<a {\"type\":\"ok\",\"re\":5," EPOCH ",\"offset\":2}",
            "!a" } },
    { "and comes back in the same breath", AUTO,
        { ">a {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}",
            "<a {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":0,\"class\":\"recoverable\"}",
            "+>a {\"type\":\"publish\",\"id\":2,\"channel\":\"x\",\"data\":1}",
            "+>a "
            "[{\"type\":\"unsubscribe\",\"id\":3,\"channel\":\"x\"},{\"type\":\"subscribe\",\"id\":"
            "4,\"channel\":\"x\"},{\"type\":\"publish\",\"id\":5,\"channel\":\"x\",\"data\":2},[7]"
            "]",
            ">a {\"type\":\"ping\",\"id\":6}", HEARD(a, a, 1, 1),
            "<a {\"type\":\"ok\",\"re\":2," EPOCH ",\"offset\":1}", "<a {\"type\":\"ok\",\"re\":3}",
            "<a {\"type\":\"error\"," ERR(107, "bad_request", "a command is a JSON object"),
            "<a {\"type\":\"pong\",\"re\":6}",
            "<a {\"type\":\"ok\",\"re\":4," EPOCH ",\"offset\":1,\"class\":\"recoverable\"}",
            HEARD(a, a, 2, 2), "<a {\"type\":\"ok\",\"re\":5," EPOCH ",\"offset\":2}", "!a" } },
    { "an unsubscribe cancels a subscribe that is pending", AUTO,
        { "+>a {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}",
            "+>a {\"type\":\"subscribe\",\"id\":2,\"channel\":\"x\"}",
            "+>a {\"type\":\"unsubscribe\",\"id\":3,\"channel\":\"x\"}",
            ">a {\"type\":\"subscribe\",\"id\":4,\"channel\":\"x\"}",
            "<a {\"type\":\"error\",\"re\":2,\"channel\":\"x\"," ERR(
                105, "already_subscribed", "already subscribed"),
            "<a {\"type\":\"error\",\"re\":1,\"channel\":\"x\"," ERR(
                113, "not_subscribed", "an unsubscribe came behind it"),
            "<a {\"type\":\"ok\",\"re\":3}",
            "<a {\"type\":\"ok\",\"re\":4," EPOCH ",\"offset\":0,\"class\":\"recoverable\"}",
            "!a" } },
    { "refusals", AUTO,
        { ">a {\"type\":\"subscribe\",\"id\":1,\"channel\":\"a b\"}",
            "<a {\"type\":\"error\",\"re\":1,\"channel\":\"a b\"," ERR(
                107, "bad_request", "not a channel name"),
            ">a {\"type\":\"publish\",\"id\":2,\"channel\":\"system\",\"data\":1}",
            "<a {\"type\":\"error\",\"re\":2,\"channel\":\"system\"," ERR(
                103, "permission_denied", "this channel name is reserved"),
            ">a {\"type\":\"subscribe\",\"id\":3,\"channel\":\"$x\"}",
            "<a {\"type\":\"error\",\"re\":3,\"channel\":\"$x\"," ERR(
                103, "permission_denied", "this channel name is reserved"),
            ">a {\"type\":\"unsubscribe\",\"id\":4,\"channel\":\"x\"}",
            "<a {\"type\":\"error\",\"re\":4,\"channel\":\"x\"," ERR(
                113, "not_subscribed", "not subscribed"),
            ">a {\"type\":\"subscribe\",\"id\":5}",
            "<a {\"type\":\"error\",\"re\":5," ERR(107, "bad_request", "channel is missing"),
            ">a {\"type\":\"publish\",\"id\":6,\"channel\":\"x\"}",
            "<a {\"type\":\"error\",\"re\":6,\"channel\":\"x\"," ERR(
                107, "bad_request", "data is missing"),
            ">a {\"type\":\"dance\",\"id\":7}",
            "<a {\"type\":\"error\",\"re\":7," ERR(104, "unknown_type", "unknown type"),
            ">a {\"type\":\"dance\"}", "!a", ">a {\"type\":\"auth\",\"id\":8}",
            "<a {\"type\":\"ok\",\"re\":8}", "!a" } },
    { "numbers: each once, and in its turn", AUTO,
        { ">a " SEQ(1, 2), "<a " EARLY(1), ">a " SEQ(2, 1), "<a " OK(2, 1), ">a " SEQ(3, 1),
            "<a " OK(3, 1), "ra", ">a " SEQ(4, 2),
            "<a {\"type\":\"error\",\"re\":4,\"channel\":\"x\",\"error\":{\"code\":108,"
            "\"name\":\"not_available\",\"message\":\"not available\",\"retry\":true}}",
            ">a " SEQ(5, 3), "<a " EARLY(5), ">a " SEQ(6, 2), "<a " OK(6, 2), "+>a " SEQ(7, 3),
            ">a " SEQ(8, 4), "<a " OK(7, 3), "<a " OK(8, 4), ">b " SEQ(1, 1), "<b " OK(1, 5),
            ">a " SEQ(9, 3), "<a " OK(9, 3), "!a", "!b" } },
    { "numbers of what is not kept", AUTO,
        { ">a {\"type\":\"publish\",\"id\":1,\"channel\":\"x\",\"data\":1,\"seq\":1,"
          "\"volatile\":true}",
            "<a {\"type\":\"ok\",\"re\":1}", ">a " SEQ(2, 1), "<a {\"type\":\"ok\",\"re\":2}",
            ">a " SEQ(3, 2), "<a " OK(3, 1), "!a" } },
    { "more refusals", AUTO,
        { ">a {\"type\":\"publish\",\"id\":1,\"channel\":\"x\",\"data\":1,\"key\":\"k\"}",
            "<a {\"type\":\"error\",\"re\":1,\"channel\":\"x\",\"error\":{\"code\":108,"
            "\"name\":\"not_available\",\"message\":\"key is for programs; connections have "
            "seq\",\"retry\":false}}",
            ">a {\"type\":\"auth\",\"id\":1,\"data\":{\"resume\":\"x\"}}",
            "<a {\"type\":\"error\",\"re\":1," ERR(
                108, "not_available", "there are no tickets here"),
            ">a {\"type\":\"call\",\"id\":1,\"event\":\"x\"}",
            "<a {\"type\":\"error\",\"re\":1," ERR(
                108, "not_available", "there is no backend to answer it"),
            ">a {\"type\":\"ping\",\"id\":true}",
            "<a {\"type\":\"error\"," ERR(107, "bad_request",
                "id is neither a string of at most 64 bytes nor an integer from 0 to 2^53-1"),
            ">a {\"type\":", "<a {\"type\":\"error\"," ERR(107, "bad_request", "not JSON"),
            ">a hello", "<a {\"type\":\"error\"," ERR(107, "bad_request", "not JSON"), "!a",
            "xa 0" } },
    { "text that is no JSON decides the end", AUTO, { ">a hello", "!a", "xa 1003" } },
    { "text that begins like JSON decides nothing", AUTO,
        { ">a \xef\xbb\xbf{}", "<a {\"type\":\"error\"," ERR(107, "bad_request", "not JSON"),
            ">a  {\"x\":", "<a {\"type\":\"error\"," ERR(107, "bad_request", "not JSON"),
            ">a {\"action\":\"subscribe\",\"channel\":\"x\"}",
            "<a "
            "{\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\",\"channel\":\"x\"}"
            "}" } },
    { "a ping decides nothing", AUTO,
        { ">a {\"type\":\"ping\"}", "<a {\"type\":\"pong\"}", ">a {\"type\":\"heartbeat\"}",
            ">a {\"type\":\"pong\"}", "!a", ">a {\"hello\":1,\"topic\":\"x\"}",
            "<a {\"received\":{\"hello\":1,\"topic\":\"x\"}}" } },
};

static void test_native(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(native); i++)
        play(&native[i]);
}

static void test_welcome(void **state) {
    (void)state;
    world w;
    char line[1024];
    world_open(&w);
    peer_open(&w, 0, LN_USER_NATIVE);
    next_line(&w.peers[0], line, sizeof line);
    const char *begin = "{\"type\":\"welcome\",\"client\":\"a\",\"session\":\"";
    assert_memory_equal(line, begin, strlen(begin));
    assert_string_equal(line + strlen(begin) + 32,
        "\",\"ping\":25,\"timeout\":10,\"max\":65536,\"auth\":false,\"node\":\"n1\"," TS
        ",\"dedup_s\":300,\"caps\":[\"batch\"]}");
    peer_open(&w, 1, LN_USER_CHANNEL);
    play_line(&w, "!b");
    ln_session_options o = { .limits = &w.limits, .dialect = LN_USER_NATIVE };
    assert_int_equal(ln_session_open(&w.sessions, &w.peers[2].c, &o), LINNET_OK);
    w.peers[2].open = true;
    assert_int_equal(count_lines(&w.peers[2], "\"client\":\"\""), 0); /* one was made up */
    uint8_t name[LN_CLIENT_NAME_MAX + 1] = { 'n' };
    o.client = ln_slice_of(name, sizeof name);
    assert_int_equal(ln_session_open(&w.sessions, &w.peers[3].c, &o), LINNET_ERR_INVAL);
    world_close(&w);
}

/* Arrays are for who was told that they come; in them stands what nobody has asked for. */
static void test_arrays(void **state) {
    (void)state;
    world w;
    world_open(&w);
    static const uint8_t dialects[] = { LN_USER_NATIVE, AUTO, LN_USER_CHANNEL };
    static const unsigned items[] = { 3, 3, 0 };
    for (int i = 0; i < 3; i++)
        peer_open(&w, i, dialects[i]);
    for (int i = 0; i < 3; i++) {
        say(&w.peers[i], i < 2 ? LN_SLICE("{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}")
                               : LN_SLICE("{\"action\":\"subscribe\",\"channel\":\"x\"}"));
        run(&w);
    }
    static const char *const said[] = {
        "{\"type\":\"publish\",\"id\":2,\"channel\":\"x\",\"data\":1}",
        "{\"type\":\"publish\",\"channel\":\"x\",\"data\":2,\"volatile\":true}",
        "{\"type\":\"set\",\"channel\":\"x\",\"key\":\"k\",\"data\":3,\"ttl\":3000}",
        "{\"type\":\"ping\",\"id\":4}",
    };
    for (size_t i = 0; i < LN_COUNT(said); i++) {
        say(&w.peers[0], ln_slice_str(said[i]));
        run(&w);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w.peers[i].arrays, dialects[i] == LN_USER_NATIVE);
        assert_int_equal(w.peers[i].items, items[i]);
    }
    world_close(&w);
}

static void test_protocols(void **state) {
    (void)state;
    for (int i = 0; ln_dialect_protocols[i]; i++)
        assert_int_equal(ln_dialect_by_name(ln_slice_str(ln_dialect_protocols[i])), i);
    assert_int_equal(ln_dialect_by_name(LN_SLICE("topic")), LN_USER_TOPIC);
    assert_int_equal(ln_dialect_by_name(LN_SLICE("v1")), LN_USER_NATIVE);
    assert_int_equal(ln_dialect_by_name(LN_SLICE("V1")), AUTO);
    assert_int_equal(ln_dialect_by_name(LN_SLICE("")), AUTO);
}

static void test_binary_is_refused(void **state) {
    (void)state;
    world w;
    world_open(&w);
    peer *p = peer_open(&w, 0, LN_USER_NATIVE);
    uint8_t byte = 1;
    p->c.ops->on_message(&p->c, LN_OP_BINARY, (ln_wslice){ &byte, 1 });
    assert_int_equal(p->err, LINNET_ERR_DATA_TYPE);
    count_lines(p, "welcome");
    say(p, LN_SLICE("{\"type\":\"ping\"}")); /* nothing behind it is heard */
    play_line(&w, "!a");
    world_close(&w);
}

static void test_text_echo(void **state) {
    (void)state;
    world w;
    world_open(&w);
    ln_session_options o = { .limits = &w.limits, .dialect = AUTO, .text = LN_TEXT_ECHO };
    assert_int_equal(ln_session_open(&w.sessions, &w.peers[0].c, &o), LINNET_OK);
    w.peers[0].open = true;
    play_line(&w, ">a hello");
    play_line(&w, "<a hello");
    play_line(&w, "xa 0");
    world_close(&w);
}

static void test_channels_max(void **state) {
    (void)state;
    world w;
    world_open(&w);
    w.limits.channels_max = 128;
    peer *p = peer_open(&w, 0, LN_USER_NATIVE);
    char text[128];
    for (int i = 0; i < 130; i++) {
        snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"id\":%d,\"channel\":\"c%d\"}", i, i);
        say(p, ln_slice_str(text));
        run(&w);
    }
    assert_int_equal(count_lines(p, "\"code\":106"), 2);
    assert_int_equal(ln_stat_get(&w.hub->subscriptions), 128);
    /* Who is leaving behind what he has published takes no place. */
    say(p, LN_SLICE("[{\"type\":\"publish\",\"channel\":\"c0\",\"data\":1},"
                    "{\"type\":\"unsubscribe\",\"channel\":\"c0\"},"
                    "{\"type\":\"subscribe\",\"channel\":\"c128\"}]"));
    run(&w);
    assert_int_equal(count_lines(p, "\"code\":106"), 0);
    assert_int_equal(ln_stat_get(&w.hub->subscriptions), 128);
    say(p, LN_SLICE("{\"type\":\"unsubscribe\",\"channel\":\"c1\"}"));
    peer_close(p); /* meanwhile */
    run(&w);
    assert_int_equal(ln_stat_get(&w.hub->subscriptions), 0);
    assert_int_equal(ln_stat_get(&w.hub->channel_count), 0);
    world_close(&w);
}

static void test_too_many_errors(void **state) {
    (void)state;
    static const struct {
        const char *why;
        uint8_t dialect;
        int errors;
        ln_msec apart;
        int code;
    } rows[] = {
        { "a hundred are forgiven", LN_USER_NATIVE, 100, 0, 0 },
        { "one more is not", LN_USER_NATIVE, 101, 0, 3003 },
        { "strangers are told 1008", LN_USER_CHANNEL, 101, 0, 1008 },
        { "not in ten seconds", LN_USER_NATIVE, 1000, 150, 0 },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        world w;
        world_open(&w);
        peer *p = peer_open(&w, 0, rows[i].dialect);
        for (int n = 0; n < rows[i].errors; n++) {
            say(p, LN_SLICE("{"));
            tick(&w, rows[i].apart);
        }
        assert_int_equal(p->code, rows[i].code);
        world_close(&w);
    }
}

static void test_publish_rate(void **state) {
    (void)state;
    world w;
    world_open(&w);
    peer *p = peer_open(&w, 0, AUTO);
    ln_slice text = LN_SLICE("{\"type\":\"publish\",\"id\":1,\"channel\":\"x\",\"data\":1}");
    for (int i = 0; i < 200; i++) {
        say(p, text);
        run(&w);
    }
    assert_int_equal(count_lines(p, "\"ok\""), 200);
    say(p, text);
    play_line(&w, "<a "
                  "{\"type\":\"error\",\"re\":1,\"channel\":\"x\",\"error\":{\"code\":111,\"name\":"
                  "\"rate_limited\","
                  "\"message\":\"rate limit exceeded\",\"retry\":true,\"retry_after\":10}}");
    tick(&w, 9);
    say(p, text);
    assert_int_equal(count_lines(p, "\"retry_after\":1}"), 1);
    tick(&w, 1);
    say(p, text);
    run(&w);
    assert_int_equal(count_lines(p, "\"ok\""), 1);
    tick(&w, 60000);
    for (int i = 0; i < 300; i++) {
        say(p, text);
        run(&w);
        assert_int_equal(p->code, 0);
    }
    assert_int_equal(count_lines(p, "\"code\":111"), 100);
    say(p, text);
    assert_int_equal(p->code, 3009);
    world_close(&w);
}

static void test_commands_per_frame(void **state) {
    (void)state;
    world w;
    world_open(&w);
    peer *p = peer_open(&w, 0, AUTO);
    ln_buf text;
    ln_buf_init(&text, 1 << 20);
    ln_buf_add_byte(&text, '[');
    for (int i = 0; i < 400; i++)
        ln_buf_addf(&text, "%s{\"type\":\"ping\",\"id\":%d}", i ? "," : "", i);
    ln_buf_add_byte(&text, ']');
    say(p, ln_buf_slice(&text));
    ln_slice all = ln_slice_of(p->told, p->told_size);
    assert_true(ln_slice_starts(all, LN_SLICE("{\"type\":\"pong\",\"re\":0}\n")));
    assert_int_equal(p->code, 3003);
    char line[512];
    int pongs = 0, errors = 0;
    for (next_line(p, line, sizeof line); line[0]; next_line(p, line, sizeof line)) {
        pongs += strstr(line, "pong") != NULL;
        errors += strstr(line, "\"code\":106") != NULL;
    }
    assert_int_equal(pongs, 128);
    assert_int_equal(errors, 101);
    ln_buf_fini(&text);
    world_close(&w);
}

static void test_outstanding(void **state) {
    (void)state;
    world w;
    world_open(&w);
    w.limits.publish_rate = 0;
    peer *p = peer_open(&w, 0, AUTO);
    ln_buf text;
    ln_buf_init(&text, 1 << 20);
    ln_buf_add_byte(&text, '[');
    for (int i = 0; i < 100; i++)
        ln_buf_addf(&text, "%s{\"type\":\"publish\",\"id\":%d,\"channel\":\"x\",\"data\":%d}",
            i ? "," : "", i, i);
    ln_buf_add(&text, LN_SLICE(",[{\"type\":\"ping\"}]]")); /* kept, and still no batch */
    say(p, ln_buf_slice(&text));
    assert_int_equal(p->pauses, LN_PAUSE_WAIT);
    assert_int_equal(ln_stat_get(&w.hub->publishes), 64);
    say(p, ln_buf_slice(&text)); /* came with the same bytes */
    assert_int_equal(ln_stat_get(&w.hub->publishes), 64);
    run(&w);
    assert_int_equal(p->pauses, 0);
    assert_int_equal(ln_stat_get(&w.hub->publishes), 200);
    char want[128], line[256];
    int said = 0, faults = 0;
    for (next_line(p, line, sizeof line); line[0]; next_line(p, line, sizeof line)) {
        if (strstr(line, "a command is a JSON object") && ++faults) continue;
        snprintf(want, sizeof want, "{\"type\":\"ok\",\"re\":%d," EPOCH ",\"offset\":%d}",
            said % 100, said + 1);
        assert_string_equal(line, want);
        said++;
    }
    assert_int_equal(said, 200);
    assert_int_equal(faults, 2);
    /* More than can be kept ends it. */
    w.limits.held_max = 4096;
    p = peer_open(&w, 1, LN_USER_NATIVE);
    say(p, ln_buf_slice(&text));
    assert_int_equal(p->code, 0);
    say(p, ln_buf_slice(&text));
    assert_int_equal(p->code, 3009);
    assert_int_equal(p->pauses, 0);
    ln_buf_fini(&text);
    world_close(&w);
}

static void test_answers_for_the_dead(void **state) {
    (void)state;
    world w;
    world_open(&w);
    peer *p = peer_open(&w, 0, AUTO);
    say(p, LN_SLICE("{\"type\":\"publish\",\"id\":1,\"channel\":\"x\",\"data\":1}"));
    say(p, LN_SLICE("{\"type\":\"subscribe\",\"id\":2,\"channel\":\"y\"}"));
    peer_close(p);
    p = peer_open(&w, 0, AUTO); /* in the same slot */
    run(&w);
    play_line(&w, "!a");
    say(p, LN_SLICE("{\"type\":\"publish\",\"id\":3,\"channel\":\"x\",\"data\":1}"));
    run(&w);
    play_line(&w, "<a {\"type\":\"ok\",\"re\":3," EPOCH ",\"offset\":2}");
    world_close(&w);
}

static void test_the_log_refuses(void **state) {
    (void)state;
    static const struct {
        int err;
        const char *told;
    } rows[] = {
        { LINNET_ERR_CONNECT,
            "108,\"name\":\"not_available\",\"message\":\"not available\",\"retry\":true" },
        { LINNET_ERR_AGAIN,
            "108,\"name\":\"not_available\",\"message\":\"not available\",\"retry\":true" },
        { LINNET_ERR_UNSUPPORTED,
            "108,\"name\":\"not_available\",\"message\":\"not available\",\"retry\":false" },
        { LINNET_ERR_TIMEOUT, "115,\"name\":\"timeout\",\"message\":\"timeout\",\"retry\":true" },
    };
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        world w;
        char line[256];
        world_open(&w);
        peer_open(&w, 0, AUTO);
        w.refuse = rows[i].err;
        play_line(&w, ">a {\"type\":\"publish\",\"id\":3,\"channel\":\"x\",\"data\":1}");
        snprintf(line, sizeof line,
            "<a {\"type\":\"error\",\"re\":3,\"channel\":\"x\",\"error\":{\"code\":%s}}",
            rows[i].told);
        play_line(&w, line);
        world_close(&w);
    }
}

static void test_heartbeat(void **state) {
    (void)state;
    world w;
    world_open(&w);
    for (int i = 0; i < 3; i++)
        peer_open(&w, i, (uint8_t)i);
    count_lines(&w.peers[0], "welcome");
    for (int s = 0; s < 23; s++)
        tick(&w, 1000);
    play_line(&w, "!a");
    tick(&w, 2000);
    play_line(&w, "<a {\"type\":\"ping\"}");
    play_line(&w, "!b");
    play_line(&w, "!c");
    for (int s = 0; s < 60; s++) { /* both sides are heard of: silence */
        w.peers[0].c.heard = w.peers[0].c.spoke = (uint32_t)w.now;
        tick(&w, 1000);
    }
    play_line(&w, "!a");
    for (int s = 0; s < 60; s++) { /* the peer speaks, but hears nothing */
        w.peers[0].c.heard = (uint32_t)w.now;
        tick(&w, 1000);
    }
    assert_int_equal(count_lines(&w.peers[0], "ping"), 2);
    ln_msec due = ln_sessions_deadline(&w.sessions);
    assert_true(due > w.now && due <= w.now + 24000);
    tick(&w, 3600 * 1000); /* a long sleep is one beat */
    assert_int_equal(count_lines(&w.peers[0], "ping"), 1);
    peer_close(&w.peers[0]);
    assert_true(ln_sessions_deadline(&w.sessions) <= w.now);
    tick(&w, 24000);
    assert_int_equal(ln_sessions_deadline(&w.sessions), LN_NEVER);
    world_close(&w);
}

static void deliver_at(world *w, uint64_t offset) {
    ln_publish what = { .channel = LN_SLICE("x"), .data = LN_SLICE("1") };
    ln_publication *p = ln_publication_new(&what, 1);
    p->at = (ln_position){ 14, offset };
    p->ts = WALL;
    p->letters[0].kind = LN_MAIL_DELIVER;
    ln_hub_mail(w->hub, &p->letters[0]);
}

static void test_a_channel_starts_anew(void **state) {
    (void)state;
    world w;
    world_open(&w);
    peer_open(&w, 0, AUTO);
    peer_open(&w, 1, LN_USER_TOPIC);
    play_line(&w, ">a {\"type\":\"subscribe\",\"channel\":\"x\"}");
    play_line(&w, ">b {\"type\":\"subscribe\",\"topic\":\"x\"}");
    deliver_at(&w, 7); /* the first one after 0 would be 1 */
    play_line(&w, "<a {\"type\":\"unsubscribed\",\"channel\":\"x\",\"code\":112,"
                  "\"reason\":\"unrecoverable position\",\"retry\":true}");
    deliver_at(&w, 8);
    play_line(&w, "<b {\"type\":\"message\",\"topic\":\"x\",\"data\":1}");
    play_line(&w, ">a {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}");
    play_line(&w, "<a {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":8,\"class\":\"recoverable\"}");
    /* Who is leaving has left, and hears nothing of it. */
    play_line(&w, ">a {\"type\":\"publish\",\"channel\":\"y\",\"data\":1}");
    play_line(&w, "+>a {\"type\":\"unsubscribe\",\"id\":2,\"channel\":\"x\"}");
    deliver_at(&w, 11);
    play_line(&w, "<a {\"type\":\"ok\",\"re\":2}");
    run(&w);
    play_line(&w, "!a");
    world_close(&w);
}

/* One fan-out without memory: nobody is left with a hole that he cannot see. */
static void test_memory(void **state) {
    (void)state;
    bool done = false;
    for (uint64_t fail = 1; !done; fail++) {
        static world w;
        ln_test_memory memory = { 0 };
        world_open(&w);
        ln_test_memory_install(&memory);
        memory.fail_at = fail;
        ln_session_options o = { .limits = &w.limits, .dialect = AUTO };
        for (int i = 0; i < 2; i++)
            w.peers[i].open = ln_session_open(&w.sessions, &w.peers[i].c, &o) == LINNET_OK;
        for (int i = 0; i < 2; i++)
            if (w.peers[i].open)
                say(&w.peers[i], LN_SLICE("{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}"));
        run(&w);
        if (w.peers[0].open)
            say(&w.peers[0],
                LN_SLICE("{\"type\":\"publish\",\"id\":2,\"channel\":\"x\",\"data\":1}"));
        run(&w);
        done = memory.calls < fail;
        memory.fail_at = 0;
        bool accepted = w.peers[0].told &&
                        memmem(w.peers[0].told, w.peers[0].told_size, "\"ok\",\"re\":2", 11);
        for (int i = 0; i < 2; i++) {
            peer *p = &w.peers[i];
            bool joined = p->told && memmem(p->told, p->told_size, "\"ok\",\"re\":1", 11);
            if (done) assert_true(p->open && !p->code && joined && accepted);
            if (joined && accepted && !p->code && !p->err)
                assert_int_equal(count_lines(p, "\"message\""), 1);
        }
        world_close(&w);
        ln_test_memory_remove();
        assert_true(fail < 200);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native),
        cmocka_unit_test(test_welcome),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_binary_is_refused),
        cmocka_unit_test(test_text_echo),
        cmocka_unit_test(test_channels_max),
        cmocka_unit_test(test_too_many_errors),
        cmocka_unit_test(test_publish_rate),
        cmocka_unit_test(test_commands_per_frame),
        cmocka_unit_test(test_outstanding),
        cmocka_unit_test(test_answers_for_the_dead),
        cmocka_unit_test(test_the_log_refuses),
        cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_a_channel_starts_anew),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
