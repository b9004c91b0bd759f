/* Sessions that come back on another connection. Conversations as in login_test.h. In what a
 * connection is told a ticket stands as T, a grant as G, and a session as S1, S2, in the order in
 * which they were first seen. "=NAME a" keeps the last ticket (NAME begins with t) or grant that a
 * was told, and {NAME} is it from then on. "~a TEXT": the next thing a is told has TEXT in it.
 * "?N": so many questions were asked of the backend. "kN": from now on the first key is that one.
 */
#include "session/login_test.h"

#define VARS     16
#define TEXT_MAX 4096

typedef struct stage {
    place at;
    ln_resuming resuming;
    struct {
        char name[16], text[TEXT_MAX];
    } vars[VARS];
    char tickets[PEERS][TEXT_MAX], grants[PEERS][TEXT_MAX];
    char sessions[VARS][40];
    int var_count, session_count, asked;
    ln_asker asker;
} stage;

static const char *const secrets[] = { "the first key of the server, long",
    "a second key, as long as the one", "and a third one that comes later." };

/* The backend lets everybody in, but into `no`. */
static int ask(void *ctx, const ln_question *q, ln_answer *now) {
    ((stage *)ctx)->asked++;
    if (ln_slice_eq(q->channel, LN_SLICE("no"))) now->code = 103;
    return LN_DONE;
}

static void use_keys(stage *st, int first, int second) {
    st->resuming.keys.count = 0;
    assert_int_equal(
        ln_ticket_keys_add(&st->resuming.keys, ln_slice_str(secrets[first])), LINNET_OK);
    if (second < 0) return;
    assert_int_equal(
        ln_ticket_keys_add(&st->resuming.keys, ln_slice_str(secrets[second])), LINNET_OK);
}

/* vip: whose token says so. room: members are kept. */
static void use_namespaces(stage *st, ln_rule vip) {
    ln_namespace items[] = { { .name = "vip", .class = LN_CLASS_LIVE },
        { .name = "room", .class = LN_CLASS_LIVE, .members = true } };
    ln_namespace standard = { .class = LN_CLASS_RECOVERABLE, .history = LN_RETENTION_INIT };
    items[0].allow[LN_ACT_SUBSCRIBE] = (uint8_t)vip;
    ln_namespaces *made;
    assert_int_equal(ln_namespaces_new(items, 2, &standard, &made), LINNET_OK);
    assert_int_equal(ln_hub_reload(st->at.w.hub, made), LINNET_OK);
    ln_namespaces_unref(made);
}

static void stage_open(stage *st, bool anonymous, bool backend) {
    memset(st, 0, sizeof *st);
    place_open(&st->at, anonymous, false);
    use_keys(st, 0, -1);
    use_namespaces(st, LN_RULE_TOKEN);
    st->resuming.ttl_s = 300;
    st->at.w.sessions.resuming = &st->resuming;
    st->asker = (ln_asker){ st, 1 << LN_ASK_SUBSCRIBE, ask };
    if (backend) st->at.w.sessions.asker = &st->asker;
}

/* Puts `to` where the text under a key stands, which is copied; false: there is none. */
static bool cut(char *line, const char *key, const char *to, char *out) {
    char *start = strstr(line, key);
    if (!start) return false;
    start += strlen(key);
    char *end = strchr(start, '"');
    assert_non_null(end);
    memcpy(out, start, (size_t)(end - start));
    out[end - start] = 0;
    char rest[TEXT_MAX];
    snprintf(rest, sizeof rest, "%s", end);
    snprintf(start, sizeof rest, "%s%s", to, rest);
    return true;
}

static void cut_session(stage *st, char *line) {
    char text[TEXT_MAX], name[8];
    if (!cut(line, "\"session\":\"", "", text)) return;
    int i = 0;
    while (i < st->session_count && strcmp(st->sessions[i], text) != 0)
        i++;
    if (i == st->session_count) snprintf(st->sessions[st->session_count++], 40, "%.39s", text);
    snprintf(name, sizeof name, "S%d", i + 1);
    cut(line, "\"session\":\"", name, text);
}

static void hear(stage *st, const char *line) {
    char got[TEXT_MAX];
    int i = line[1] - 'a';
    next_line(&st->at.w.peers[i], got, sizeof got);
    cut(got, "\"resume\":\"", "T", st->tickets[i]);
    cut(got, "\"grant\":\"", "G", st->grants[i]);
    cut_session(st, got);
    if (line[0] == '<')
        assert_string_equal(got, line + 3);
    else if (!strstr(got, line + 3))
        fail_msg("%s is not in %s", line + 3, got);
}

static void keep(stage *st, const char *line) {
    const char *space = strchr(line, ' ');
    int i = space[1] - 'a';
    assert_true(st->var_count < VARS);
    snprintf(st->vars[st->var_count].name, 16, "{%.*s}", (int)(space - line) - 1, line + 1);
    const char *text = line[1] == 't' ? st->tickets[i] : st->grants[i];
    snprintf(st->vars[st->var_count++].text, TEXT_MAX, "%s", text);
}

static const char *var_at(const stage *st, const char *at, size_t *size) {
    for (int i = 0; i < st->var_count; i++) {
        *size = strlen(st->vars[i].name);
        if (memcmp(st->vars[i].name, at, *size) == 0) return st->vars[i].text;
    }
    return NULL;
}

static void act(stage *st, const char *line) {
    char text[4 * TEXT_MAX];
    size_t used = 0, size;
    for (const char *at = line; *at; at++) {
        const char *var = *at == '{' ? var_at(st, at, &size) : NULL;
        if (var) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%s", var);
            at += size - 1;
        } else {
            text[used++] = *at;
        }
        assert_true(used < sizeof text - 1);
    }
    text[used] = 0;
    if (line[0] == 'o' && strstr(line, "returns")) {
        peer *p = &st->at.w.peers[line[1] - 'a'];
        ln_session_options o = { .limits = &st->at.w.limits,
            .dialect = LN_USER_NATIVE,
            .client = ln_slice_of(&p->name, 1),
            .auth = &st->at.auth,
            .returns = true };
        p->c.ws.config = &st->at.wide;
        assert_int_equal(ln_session_open(&st->at.w.sessions, &p->c, &o), LINNET_OK);
        p->open = true;
    } else {
        play_here(&st->at, text);
    }
}

/* The first that was seen. */
static void revoke_session(stage *st) {
    ln_sessions *n = &st->at.w.sessions;
    ln_slice name = ln_slice_str(st->sessions[0]);
    assert_int_equal(ln_bans_put(&n->bans, LN_BAN_SESSION, name, 0, 0, START), LINNET_OK);
}

/* The program puts anna there. */
static void put_anna(stage *st, const char *channel) {
    ln_whom whom = { .user = LN_SLICE("anna") };
    ln_enlisted got;
    ln_sessions_enlist(&st->at.w.sessions, &whom, ln_slice_str(channel), &got);
    assert_int_equal(got.in, 1);
    run(&st->at.w);
}

static void perform(stage *st, const char *const *lines) {
    for (; *lines; lines++) {
        const char *line = *lines;
        switch (line[0]) {
        case '<':
        case '~': hear(st, line); break;
        case '=': keep(st, line); break;
        case '?': assert_int_equal(st->asked, strtol(line + 1, NULL, 10)); break;
        case 'k': use_keys(st, line[1] - '0', line[2] ? line[2] - '0' : -1); break;
        case '+':
            if (strncmp(line, "+vip", 4) == 0)
                put_anna(st, line + 1);
            else
                act(st, line);
            break;
        case 'B': revoke_session(st); break;
        case 'v': use_namespaces(st, (ln_rule)(line[1] - '0')); break;
        default: act(st, line);
        }
    }
}

/* Conversations --------------------------------------------------------------------------- */

#define SUB(id, name) "{\"type\":\"subscribe\",\"id\":" #id ",\"channel\":\"" name "\"}"
#define SUBG(id, name, grant)                                                                      \
    "{\"type\":\"subscribe\",\"id\":" #id ",\"channel\":\"" name "\",\"grant\":\"{" grant "}\"}"
#define SUBT(id, name, token)                                                                      \
    "{\"type\":\"subscribe\",\"id\":" #id ",\"channel\":\"" name "\",\"token\":\"{" token "}\"}"
#define AUTH(ticket) "{\"type\":\"auth\",\"id\":9,\"data\":{\"resume\":\"{" ticket "}\"}}"
#define BACK(ticket, subs)                                                                         \
    "{\"type\":\"auth\",\"id\":9,\"data\":{\"resume\":\"{" ticket "}\"},\"subs\":{" subs "}}"
#define AT(name, offset, grant)                                                                    \
    "\"" name "\":{" EPOCH ",\"offset\":" #offset ",\"grant\":\"{" grant "}\"}"
#define ONLY(name, grant) "\"" name "\":{\"grant\":\"{" grant "}\"}"
#define PUB(name, data)   "{\"type\":\"publish\",\"channel\":\"" name "\",\"data\":" #data "}"
#define NUMBER(id, n)                                                                              \
    "{\"type\":\"publish\",\"id\":" #id ",\"channel\":\"x\",\"data\":1,\"seq\":" #n "}"
#define GRANT ",\"grant\":\"G\"}"
#define KEPT(id, offset)                                                                           \
    "{\"type\":\"ok\",\"re\":" #id "," EPOCH ",\"offset\":" #offset                                \
    ",\"class\":\"recoverable\"" GRANT
#define LIVE(id) "{\"type\":\"ok\",\"re\":" #id ",\"class\":\"live\"" GRANT
#define HELLO(peer, who, session)                                                                  \
    "<" #peer " {\"type\":\"ok\",\"re\":9," who "\"client\":\"a\",\"session\":\"" #session         \
    "\",\"resume\":\"T\"}"
#define ANNA "\"user\":\"anna\",\"expires\":100,"
#define BACK_IN(name, offset, recovered)                                                           \
    "{\"type\":\"subscribed\",\"channel\":\"" name "\"," EPOCH ",\"offset\":" #offset              \
    ",\"class\":\"recoverable\",\"recovered\":" recovered GRANT
#define BACK_LIVE(name) "{\"type\":\"subscribed\",\"channel\":\"" name "\",\"class\":\"live\"" GRANT
#define NOT_IN(name, code, words, retry)                                                           \
    "{\"type\":\"unsubscribed\",\"channel\":\"" name "\",\"code\":" #code ",\"reason\":\"" words   \
    "\",\"retry\":" #retry "}"
#define NO(code, name, words) "<b {\"type\":\"error\",\"re\":9," ERR(code, name, words)
#define COME                  "oa v1 {anna}", "~a welcome", "=t1 a"
#define RETURN                "ob v1", "~b \"auth\":true"
#define ROW_LINES             40

static const struct {
    const char *why;
    bool anonymous, backend;
    const char *lines[ROW_LINES];
} rows[] = {
    { "who comes back is who he was, where he was", false, false,
        { COME, ">a " SUB(1, "x"), "<a " KEPT(1, 0), "=g1 a", "oc v1 {carl}", "~c welcome",
            "ca 1006", ">c " PUB("x", 1), RETURN, ">b " BACK("t1", AT("x", 0, "g1")),
            HELLO(b, ANNA, S1), "<b " BACK_IN("x", 1, "true,\"replay\":1"),
            "~b \"data\":1,\"offset\":1,\"ts\":1700000000000,\"from\":{\"client\":\"c\",\"user\":"
            "\"carl\"},\"replay\":true",
            ">b " PUB("x", 2),
            "~b \"from\":{\"client\":\"a\",\"user\":\"anna\",\"info\":{\"n\":1}}", "!b", "xb 0" } },
    { "channels without a position, and without a log", false, false,
        { COME, ">a " SUB(1, "room:1"), "<a " LIVE(1), "=g1 a", ">a " SUB(2, "x"), "<a " KEPT(2, 0),
            "ca 1006", RETURN, ">b " BACK("t1", ONLY("room:1", "g1") ",\"x\":null"),
            HELLO(b, ANNA, S1), "<b " BACK_LIVE("room:1"),
            "<b {\"type\":\"subscribed\",\"channel\":\"x\"," EPOCH
            ",\"offset\":0,\"class\":\"recoverable\"" GRANT,
            ">b " SUB(3, "x"),
            "<b {\"type\":\"error\",\"re\":3,\"channel\":\"x\"," ERR(
                105, "already_subscribed", "already subscribed"),
            "!b" } },
    { "what was not for it then is not for it now", false, false,
        { COME, ">a " SUB(1, "x"), "<a " KEPT(1, 0), "=g1 a", ">a " PUB("x", 1), "~a message",
            "+>a {\"type\":\"publish\",\"channel\":\"x\",\"data\":2,\"echo\":false}",
            "+>a {\"type\":\"publish\",\"channel\":\"x\",\"data\":3,\"except\":[\"a\"]}", "ca 1006",
            RETURN, ">b " BACK("t1", AT("x", 1, "g1")), HELLO(b, ANNA, S1),
            "<b " BACK_IN("x", 3, "true,\"replay\":2"),
            "<b "
            "{\"type\":\"skip\",\"channel\":\"x\",\"offset\":3,\"count\":2,\"reason\":\"except\"}",
            ">b {\"type\":\"publish\",\"channel\":\"x\",\"data\":4,\"except\":[\"a\"]}", "!b" } },
    { "its numbers go on", false, false,
        { COME, ">a " NUMBER(1, 1), "~a \"offset\":1", "+>a " NUMBER(2, 2), "ca 1006", RETURN,
            ">b " AUTH("t1"), HELLO(b, ANNA, S1), ">b " NUMBER(3, 2), "~b \"offset\":2",
            ">b " NUMBER(4, 4), "~b out_of_order", ">b " NUMBER(5, 3), "~b \"offset\":3", "!b" } },
    { "the old connection gives way", false, false,
        { COME, ">a " SUB(1, "x"), "<a " KEPT(1, 0), "=g1 a", RETURN, ">b " AUTH("t1"),
            HELLO(b, ANNA, S1), "xa 3508", "oc v1", "~c welcome", ">c " AUTH("t1"),
            HELLO(c, ANNA, S1), "xb 3508", "ca 1000", "cb 1006", ">c " SUB(2, "x"),
            "<c " KEPT(2, 0), "xc 0" } },
    { "where the program has put it, which no rule allows", false, true,
        { COME, "+vip:1", "~a {\"type\":\"subscribed\",\"channel\":\"vip:1\"", "=g1 a", "ca 1006",
            RETURN, ">b " BACK("t1", ONLY("vip:1", "g1")), HELLO(b, ANNA, S1),
            "<b " BACK_LIVE("vip:1"), "?0", "=g2 b", "cb 1006", "oc v1", "~c \"auth\":true",
            ">c " BACK("t1", ONLY("vip:1", "g2")), HELLO(c, ANNA, S1), "<c " BACK_LIVE("vip:1"),
            "!c" } },
    { "its grant is for coming back, and not for coming", false, true,
        { COME, "+vip:1", "~a subscribed", "=g1 a",
            ">a {\"type\":\"unsubscribe\",\"channel\":\"vip:1\"}", ">a " SUBG(1, "vip:1", "g1"),
            "~a permission_denied", "!a" } },
    { "the program puts it somewhere before it is back", false, false,
        { COME, "ca 1006", "ob v1 {anna}", "~b welcome", "+vip:1", "~b subscribed",
            ">b " AUTH("t1"), HELLO(b, ANNA, S1), "<b " BACK_LIVE("vip:1"), "!b" } },
    { "with its own ticket nothing gives way", false, false,
        { COME, ">a " AUTH("t1"), HELLO(a, ANNA, S1), "xa 0" } },
    { "members neither leave nor come", false, false,
        { "oc v1 {carl}", "~c welcome",
            ">c {\"type\":\"subscribe\",\"id\":1,\"channel\":\"room:1\",\"presence\":true}",
            "~c \"count\":1", "t 200", "~c joins", COME, ">a " SUB(1, "room:1"), "<a " LIVE(1),
            "t 200", "~c \"joins\":[{\"client\":\"a\"", "ca 1006", "t 4000", RETURN,
            ">b " BACK("t1", "\"room:1\":{\"presence\":true}"), "~b ok", "~b \"count\":2", "t 7000",
            "!c", "!b", "cb 1006", "t 6000", "~c \"leaves\":[{\"client\":\"a\"", "!c" } },
    { "nor when the old connection is still there", false, false,
        { "oc v1 {carl}", "~c welcome",
            ">c {\"type\":\"subscribe\",\"id\":1,\"channel\":\"room:1\",\"presence\":true}",
            "~c \"count\":1", "t 200", "~c joins", COME, ">a " SUB(1, "room:1"), "<a " LIVE(1),
            "t 200", "~c \"joins\":[{\"client\":\"a\"", RETURN, ">b " BACK("t1", "\"room:1\":{ }"),
            "~b ok", "~b subscribed", "xa 3508", "ca 3508", "t 7000", "!c",
            ">c {\"type\":\"presence\",\"id\":2,\"channel\":\"room:1\"}", "~c \"count\":2" } },
    { "the backend is not asked again", false, true,
        { COME, ">a " SUB(1, "x"), "<a " KEPT(1, 0), "=g1 a", "?1", "ca 1006", RETURN,
            ">b " BACK("t1", AT("x", 0, "g1")), HELLO(b, ANNA, S1),
            "<b " BACK_IN("x", 0, "true,\"replay\":0"), "=g2 b", "?1",
            ">b {\"type\":\"unsubscribe\",\"channel\":\"x\"}", ">b " SUBG(2, "x", "g2"),
            "<b " KEPT(2, 0), "?1", ">b {\"type\":\"unsubscribe\",\"channel\":\"x\"}",
            ">b " SUBG(3, "x", "g1"), "<b " KEPT(3, 0), "?1",
            ">b {\"type\":\"unsubscribe\",\"channel\":\"x\"}", ">b " SUB(4, "x"), "<b " KEPT(4, 0),
            "?2" } },
    { "what it would be asked about is left out", false, true,
        { COME, ">a " SUB(1, "x"), "<a " KEPT(1, 0), "=g1 a", "ca 1006", RETURN,
            ">b " BACK("t1", "\"x\":{ },\"y\":{\"grant\":\"{g1}\"},\"z\":null"), HELLO(b, ANNA, S1),
            "<b " NOT_IN("x", 101, "unauthorized", true),
            "<b " NOT_IN("y", 103, "permission denied", false),
            "<b " NOT_IN("z", 101, "unauthorized", true), "?1", "!b", ">b " SUBG(2, "y", "g1"),
            "<b " KEPT(2, 0), "?2" } },
    { "where the server puts one, nobody is asked", false, true,
        { "oa v1 {bob}", "~a welcome", "=t1 a", "~a subscribed", "ca 1006", RETURN,
            ">b " BACK("t1", "\"x\":{" EPOCH ",\"offset\":0}"), "~b \"user\":\"bob\"",
            "<b " BACK_IN("x", 0, "true,\"replay\":0"), "!b", "?0" } },
    { "and is put again where it does not ask", false, true,
        { "oa v1 {bob}", "~a welcome", "=t1 a", "~a subscribed", "ca 1006", "ob v1 {bob}",
            "~b welcome", "~b subscribed", ">b " AUTH("t1"), "~b \"session\":\"S1\"",
            "~b subscribed", "!b", "?0" } },
    { "a token for one channel is good for coming back", false, false,
        { "oa v1 {anna}", "~a welcome", "=t1 a", ">a " SUBT(1, "vip:1", "anna-vip"), "<a " LIVE(1),
            "=g1 a", "ca 1006", RETURN,
            ">b " BACK("t1", ONLY("vip:1", "g1") ",\"vip:2\":{\"grant\":\"{g1}\"}"), "~b ok",
            "<b " NOT_IN("vip:2", 103, "permission denied", false), "<b " BACK_LIVE("vip:1"),
            ">b {\"type\":\"unsubscribe\",\"channel\":\"vip:1\"}", ">b " SUBG(2, "vip:1", "g1"),
            "<b " LIVE(2), "t 33000", "!b", "t 3000",
            "<b " NOT_IN("vip:1", 109, "token expired", true) } },
    { "as long as it is good", false, false,
        { "oa v1 {anna}", "~a welcome", "=t1 a", ">a " SUBT(1, "vip:1", "anna-vip"), "<a " LIVE(1),
            "=g1 a", "ca 1006", "t 6000", RETURN, ">b " BACK("t1", ONLY("vip:1", "g1")), "~b ok",
            "<b " NOT_IN("vip:1", 109, "token expired", true), ">b " SUBG(2, "vip:1", "g1"),
            "<b {\"type\":\"error\",\"re\":2,\"channel\":\"vip:1\"," ERR(
                103, "permission_denied", "permission denied") } },
    { "and the rules of today count", false, false,
        { COME, ">a " SUB(1, "x"), "<a " KEPT(1, 0), "ca 1006", "v1", RETURN,
            ">b " BACK("t1", "\"vip:1\":{ },\"system\":{ },\"a b\":{ },\"@bob\":null"), "~b ok",
            "<b " NOT_IN("vip:1", 103, "permission denied", false),
            "<b " NOT_IN("system", 103, "permission denied", false),
            "<b " NOT_IN("a b", 107, "bad request", true),
            "<b " NOT_IN("@bob", 103, "permission denied", false), "!b", "xb 0" } },
    { "who was banned meanwhile stays away", false, false,
        { COME, "ca 1006", "b u anna", RETURN, ">b " AUTH("t1"),
            NO(103, "permission_denied", "banned"), "xb 3507" } },
    { "what was revoked does not come back", false, false,
        { "oa v1 {told}", "~a welcome", "=t1 a", "ca 1006", "oc v1 {newer}", "~c welcome", "=t2 c",
            "cc 1006", "b i anna", RETURN, ">b " AUTH("t1"),
            NO(101, "unauthorized", "the ticket was revoked"), ">b " AUTH("t2"),
            "~b \"session\":\"S2\"", "xb 0" } },
    { "nor what came from one token", false, false,
        { "oa v1 {told}", "~a welcome", "=t1 a", "ca 1006", "b j t1", RETURN, ">b " AUTH("t1"),
            NO(101, "unauthorized", "the ticket was revoked"), "xb 0" } },
    { "nor one session", false, false,
        { COME, "ca 1006", "BS", RETURN, ">b " AUTH("t1"),
            NO(101, "unauthorized", "the ticket was revoked"), "xb 0" } },
    { "a nobody comes back as nobody", true, false,
        { "oa v1", "~a \"auth\":false", "=t1 a", "ca 1006", "ob v1", "~b welcome", ">b " AUTH("t1"),
            HELLO(b, "", S1), ">b {\"type\":\"auth\",\"id\":2,\"token\":\"{anna}\"}",
            "~b \"user\":\"anna\",\"expires\":100,\"resume\":\"T\"", "=t2 b", "cb 1006", "oc v1",
            "~c welcome", ">c " AUTH("t2"), HELLO(c, ANNA, S1) } },
    { "who has logged in is no other by a ticket", false, false,
        { COME, "ob v1 {bob}", "~b welcome", "~b subscribed", ">b " AUTH("t1"),
            NO(103, "permission_denied", "the ticket is for somebody else"), "xa 0", "xb 0" } },
    { "but may be himself", false, false,
        { COME, "ca 1006", "ob v1 {anna2}", "~b welcome", ">b " AUTH("t1"),
            HELLO(b, "\"user\":\"anna\",\"expires\":200,", S1) } },
    { "first of all", false, false,
        { COME, "ob v1 {anna}", "~b welcome", ">b " SUB(1, "x"), "<b " KEPT(1, 0), ">b " AUTH("t1"),
            NO(107, "bad_request", "a session comes back before it does anything else"), "xa 0",
            "xb 0" } },
    { "who publishes has done something", false, false,
        { COME, "ob v1 {anna}", "~b welcome", ">b " PUB("x", 1), ">b " AUTH("t1"),
            NO(107, "bad_request", "a session comes back before it does anything else") } },
    { "who was let in for a ticket has to have one", true, false,
        { "ob returns", "~b \"auth\":true", ">b " SUB(1, "x"), "~b not authenticated",
            ">b {\"type\":\"auth\",\"id\":9,\"token\":\"{anna}\"}",
            NO(101, "unauthorized", "a ticket is wanted"), "xb 3010" } },
    { "a good one", true, false,
        { "oa v1 {anna}", "~a welcome", "=t1 a", "ca 1006", "ob returns", "~b \"auth\":true",
            ">b " AUTH("t1"), HELLO(b, ANNA, S1), "xb 0" } },
    { "also as nobody", true, false,
        { "oa v1", "~a welcome", "=t1 a", "ca 1006", "ob returns", "~b \"auth\":true",
            ">b " AUTH("t1"), HELLO(b, "", S1), ">b " SUB(1, "room:1"), "~b permission denied",
            "xb 0" } },
    { "within its time", true, false,
        { "oa v1 {anna2}", "~a welcome", "=t1 a", "ca 1006", "t 451000", "ob returns",
            "~b \"auth\":true", ">b " AUTH("t1"),
            NO(109, "token_expired", "the ticket has expired"), "xb 3010" } },
};

static void conversations(void **state) {
    (void)state;
    for (size_t i = 0; i < LN_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].why);
        stage *st = malloc(sizeof *st);
        stage_open(st, rows[i].anonymous, rows[i].backend);
        perform(st, rows[i].lines);
        place_close(&st->at);
        free(st);
    }
}

/* Tickets that are refused, each with what it is told. `what` happens to the ticket t1 first. */
static void tickets_that_are_no_good(void **state) {
    (void)state;
    static const struct {
        const char *why, *token, *before[4];
        int flip; /* this byte, from the end when < 0; 999: none */
        int cut;  /* so many from the end */
        const char *told;
    } table[] = {
        { "the one that was given", "anna", { NULL }, 999, 0, "\"session\":\"S1\"" },
        { "another first byte", "anna", { NULL }, 0, 0, "the ticket is no good" },
        { "another byte in the middle", "anna", { NULL }, 70, 0, "the ticket is no good" },
        { "another last byte", "anna", { NULL }, -1, 0, "the ticket is no good" },
        { "cut", "anna", { NULL }, 999, 1, "the ticket is no good" },
        { "cut in the middle", "anna", { NULL }, 999, 60, "the ticket is no good" },
        { "the key is the second one now", "anna", { "k10", NULL }, 999, 0, "\"session\":\"S1\"" },
        { "the key is gone", "anna", { "k1", NULL }, 999, 0, "the ticket is no good" },
        { "in its last second", "anna2", { "t 199000", NULL }, 999, 0, "\"session\":\"S1\"" },
        { "of a token that has expired", "short", { "t 41000", NULL }, 999, 0,
            "\"code\":109,\"name\":\"token_expired\",\"message\":\"the token behind the ticket" },
        { "too old itself", "anna2", { "t 451000", NULL }, 999, 0,
            "\"code\":109,\"name\":\"token_expired\",\"message\":\"the ticket has expired" },
    };
    for (size_t i = 0; i < LN_COUNT(table); i++) {
        print_message("# %s\n", table[i].why);
        stage *st = malloc(sizeof *st);
        char open[64];
        stage_open(st, false, false);
        snprintf(open, sizeof open, "oa v1 {%s}", table[i].token);
        perform(st, (const char *const[]){ open, "~a welcome", "=t1 a", "ca 1006", NULL });
        char *text = st->vars[0].text;
        size_t size = strlen(text);
        if (table[i].flip != 999) {
            char *at = text + (table[i].flip < 0 ? (int)size + table[i].flip : table[i].flip);
            *at = *at == 'A' ? 'B' : 'A';
        }
        text[size - (size_t)table[i].cut] = 0;
        perform(st, table[i].before);
        perform(st, (const char *const[]){ RETURN, ">b " AUTH("t1"), NULL });
        char want[200];
        snprintf(want, sizeof want, "~b %s", table[i].told);
        hear(st, want);
        assert_int_equal(st->at.w.peers[1].code, 0); /* it may try something else */
        place_close(&st->at);
        free(st);
    }
}

/* Without a login there is a session to come back to, too. And where there are no tickets it is
 * said. */
static void open_to_all(void **state) {
    (void)state;
    stage *st = malloc(sizeof *st);
    stage_open(st, false, false);
    ln_session_options o = { .limits = &st->at.w.limits, .dialect = LN_USER_NATIVE };
    for (int i = 0; i < 3; i++) {
        peer *p = &st->at.w.peers[i];
        o.client = ln_slice_of(&p->name, 1);
        if (i == 2) st->at.w.sessions.resuming = NULL;
        assert_int_equal(ln_session_open(&st->at.w.sessions, &p->c, &o), LINNET_OK);
        p->open = true;
    }
    st->at.w.sessions.resuming = &st->resuming;
    perform(st, (const char *const[]){ "~a \"auth\":false", "=t1 a", "~b welcome", "~c welcome",
                    ">b " AUTH("t1"), HELLO(b, "", S1), "xa 3508", "od v1 {anna}", "~d welcome",
                    "=t2 d", "cd 1006", NULL });
    assert_int_equal(ln_stat_get(&st->at.w.sessions.taken), 1);
    perform(st, (const char *const[]){ ">c " AUTH("t2"),
                    "<c {\"type\":\"error\",\"re\":9," ERR(
                        101, "unauthorized", "the ticket is for where users log in"),
                    NULL });
    st->at.w.sessions.resuming = NULL;
    say(&st->at.w.peers[2], LN_SLICE("{\"type\":\"auth\",\"id\":9,\"data\":{\"resume\":\"abc\"}}"));
    hear(st, "~c there are no tickets here");
    st->at.w.sessions.resuming = &st->resuming;
    place_close(&st->at);
    free(st);
}

/* Half of its time later there is another one, with a ping; without pings, too. */
static void renewed(void **state) {
    (void)state;
    for (int pings = 0; pings < 2; pings++) {
        stage *st = malloc(sizeof *st);
        stage_open(st, false, false);
        if (!pings) st->at.w.limits.ping_ms = 0;
        ln_session_options o = {
            .limits = &st->at.w.limits, .dialect = LN_USER_NATIVE, .client = LN_SLICE("a")
        };
        assert_int_equal(ln_session_open(&st->at.w.sessions, &st->at.w.peers[0].c, &o), LINNET_OK);
        st->at.w.peers[0].open = true;
        perform(st, (const char *const[]){ "~a welcome", "=t1 a", "t 149000", "!a", "t 2000",
                        "<a {\"type\":\"ping\",\"resume\":\"T\"}", "=t2 a", "!a", "t 148000", "!a",
                        "t 3000", "<a {\"type\":\"ping\",\"resume\":\"T\"}", "=t3 a", "ca 1006",
                        "t 300000", NULL });
        peer *p = &st->at.w.peers[1];
        assert_int_equal(ln_session_open(&st->at.w.sessions, &p->c, &o), LINNET_OK);
        p->open = true;
        perform(st, (const char *const[]){ "~b welcome", ">b " AUTH("t1"),
                        NO(109, "token_expired", "the ticket has expired"), ">b " AUTH("t3"),
                        HELLO(b, "", S1), NULL });
        place_close(&st->at);
        free(st);
    }
}

/* After a restart under another key all who come back have such tickets, and many of them one
 * address: that is no debt, as a bad token is. */
static bool one_house(const ln_conn *c, ln_ip *who) {
    (void)c;
    *who = (ln_ip){ { 7 } };
    return true;
}

#define TOKEN "{\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"x\"}}"

static void no_debts(void **state) {
    (void)state;
    static const char *const lines[] = { "oa v1 {anna}", "~a welcome", "=t1 a", "ca 1006", "k1",
        RETURN, ">b " AUTH("t1"), "~b the ticket is no good", ">b " AUTH("t1"),
        "~b the ticket is no good", ">b " AUTH("t1"), "~b the ticket is no good", NULL };
    static const char *const bad[] = { ">b " TOKEN, "~b invalid token", "oc v1", "~c welcome",
        ">c " TOKEN, "~c \"code\":111", NULL };
    stage st;
    stage_open(&st, false, false);
    st.at.w.sessions.address_of = one_house;
    st.at.w.sessions.failures = (ln_rate){ 1, 1 };
    perform(&st, lines);
    perform(&st, bad);
    place_close(&st.at);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations),
        cmocka_unit_test(tickets_that_are_no_good),
        cmocka_unit_test(no_debts),
        cmocka_unit_test(open_to_all),
        cmocka_unit_test(renewed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
