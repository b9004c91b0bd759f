/* Binary messages of linnet.v1 (wire/bytes.h): a and c take them, b and d do not. "#a HEADER|TEXT"
 * is one that a sends. */
#include "session/session_test.h"

static void send_bytes(peer *p, const char *line) {
    uint8_t message[512] = { 1 };
    const char *bar = strchr(line, '|');
    assert_non_null(bar);
    size_t header = (size_t)(bar - line), rest = strlen(bar + 1);
    assert_true(header < 256 && 5 + header + rest < sizeof message);
    message[4] = (uint8_t)header;
    memcpy(message + 5, line, header);
    memcpy(message + 5 + header, bar + 1, rest);
    ln_slice copy = ln_test_exact(ln_slice_of(message, 5 + header + rest));
    ln_wslice data = { (uint8_t *)(uintptr_t)copy.data, copy.size };
    p->c.ops->on_message(&p->c, LN_OP_BINARY, data);
    ln_test_drop(copy);
}

#define JOIN   "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\"}"
#define JOINED "{\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":0,\"class\":\"recoverable\"}"
#define FROM   "\"from\":{\"client\":\"a\"}"
#define PLAIN(offset)                                                                              \
    "{\"type\":\"message\",\"channel\":\"x\",\"data\":{\"base64\":\"aGk=\"},\"offset\":" #offset   \
    "," TS "," FROM "}"
#define BARE(offset)                                                                               \
    "binary {\"type\":\"message\",\"channel\":\"x\",\"offset\":" #offset "," TS "," FROM "} 6869"

static const conversation rows[] = {
    { "bytes to who takes them, JSON to the others", AUTO,
        { ">b " JOIN, "<b " JOINED, ">c " JOIN, "<c " JOINED,
            ">d {\"action\":\"subscribe\",\"channel\":\"x\"}",
            "<d {\"channel\":\"system\",\"data\":{\"type\":\"subscription_confirm\",\"channel\":"
            "\"x\"}}",
            "#a {\"type\":\"publish\",\"id\":2,\"channel\":\"x\"}|hi",
            "<a {\"type\":\"ok\",\"re\":2," EPOCH ",\"offset\":1}", "<b " PLAIN(1), "<c " BARE(1),
            "<d {\"channel\":\"x\",\"data\":{\"base64\":\"aGk=\"}}" } },
    { "it is the same when it was said in JSON", AUTO,
        { ">c " JOIN, "<c " JOINED,
            ">a {\"type\":\"publish\",\"channel\":\"x\",\"data\":{\"base64\":\"aGk=\"}}",
            "<c " BARE(1),
            ">a {\"type\":\"publish\",\"channel\":\"x\",\"data\":{\"base64\":\"aGk\"}}",
            "<c "
            "{\"type\":\"message\",\"channel\":\"x\",\"data\":{\"base64\":\"aGk\"},\"offset\":2," TS
            "," FROM "}" } },
    { "who comes back gets it as he takes it", AUTO,
        { "#a {\"type\":\"publish\",\"channel\":\"x\"}|hi",
            ">c {\"type\":\"subscribe\",\"id\":1,\"channel\":\"x\",\"recover\":{" EPOCH
            ",\"offset\":0}}",
            "<c {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":1,\"class\":\"recoverable\","
            "\"recovered\":true,\"replay\":1}",
            "<c binary {\"type\":\"message\",\"channel\":\"x\",\"offset\":1," TS "," FROM
            ",\"replay\":true} 6869",
            ">b {\"type\":\"history\",\"id\":1,\"channel\":\"x\"}",
            "<b {\"type\":\"ok\",\"re\":1," EPOCH ",\"offset\":1,\"messages\":[{\"data\":"
            "{\"base64\":\"aGk=\"},\"offset\":1," TS "," FROM "}]}" } },
    { "any command may be one", AUTO,
        { "#a " JOIN "|", "<a " JOINED, "#a {\"type\":\"ping\",\"id\":2}|x",
            "<a {\"type\":\"pong\",\"re\":2}" } },
    { "who left it out is told so, and who is left out too", AUTO,
        { "#a " JOIN "|", "<a " JOINED, ">c " JOIN, "<c " JOINED,
            "#a {\"type\":\"publish\",\"channel\":\"x\",\"echo\":false,\"except\":[\"q\"]}|hi",
            "<c " BARE(1), ">c {\"type\":\"publish\",\"channel\":\"x\",\"data\":1}",
            "<a {\"type\":\"skip\",\"channel\":\"x\",\"offset\":1,\"count\":1,\"reason\":"
            "\"except\"}" } },
    { "a header that is none", AUTO,
        { "#a {\"type\":\"ping\"|",
            "<a {\"type\":\"error\"," ERR(
                107, "bad_request", "the header of a binary message is no JSON object"),
            "#a {\"type\":\"publish\",\"channel\":\"x\",\"data\":1}|hi",
            "<a {\"type\":\"error\"," ERR(
                107, "bad_request", "the header of a binary message has data of its own") } },
    { "T055 who has not said that he takes them is closed", AUTO,
        { "#b {\"type\":\"ping\",\"id\":2}|", "!b", "xb 1003" } },
    { "T055 and so is who speaks another dialect", LN_USER_CHANNEL,
        { "#a {\"type\":\"ping\",\"id\":2}|", "!a", "xa 1003" } },
};

static void test_conversations(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        world w;
        print_message("# %s\n", rows[i].why);
        world_open(&w);
        w.bins = 1 | 4;
        for (int k = 0; k < PEERS; k++)
            peer_open(&w, k, k == 0 ? rows[i].dialect : AUTO);
        for (int k = 0; k < LINES && rows[i].lines[k]; k++) {
            const char *line = rows[i].lines[k];
            if (line[0] == '#') {
                send_bytes(&w.peers[line[1] - 'a'], line + 3);
                run(&w);
            } else {
                play_line(&w, line);
            }
        }
        world_close(&w);
    }
}

static void test_welcome(void **state) {
    (void)state;
    for (unsigned bin = 0; bin < 2; bin++) {
        world w;
        world_open(&w);
        w.bins = bin;
        const char *caps = bin ? "\"caps\":[\"batch\",\"bin\"]" : "\"caps\":[\"batch\"]";
        assert_int_equal(count_lines(peer_open(&w, 0, LN_USER_NATIVE), caps), 1);
        world_close(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversations),
        cmocka_unit_test(test_welcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
