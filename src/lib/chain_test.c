/* Sessions that come back, on whatever worker it happens to be. */
#include "base/testing.h"
#include <linnet/linnet.h>
#include <linnet/test.h>
#include <stdio.h>
#include <string.h>

#define WORKERS 3
#define RETURNS 12 /* so that they come to each worker */

typedef struct scene {
    linnet_test *t;
    linnet_hub *hub;
    char ticket[1000];
} scene;

static int set_up(void **state) {
    scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    linnet_server *server;
    linnet_server_options so = LINNET_SERVER_OPTIONS_INIT;
    linnet_hub_options ho = LINNET_HUB_OPTIONS_INIT;
    so.workers = WORKERS;
    assert_int_equal(linnet_test_new(NULL, &s->t), LINNET_OK);
    assert_int_equal(linnet_test_server(s->t, &so, &server), LINNET_OK);
    assert_int_equal(linnet_hub_new(&ho, &s->hub), LINNET_OK);
    assert_int_equal(linnet_server_hub(server, "/ws", s->hub), LINNET_OK);
    assert_int_equal(linnet_server_listen(server, "127.0.0.1:8080", NULL, NULL), LINNET_OK);
    assert_int_equal(linnet_server_start(server), LINNET_OK);
    *state = s;
    return 0;
}

static int tear_down(void **state) {
    scene *s = *state;
    linnet_test_free(s->t);
    linnet_hub_free(s->hub);
    free(s);
    return 0;
}

static void keep_ticket(scene *s, linnet_slice text) {
    static const char key[] = "\"resume\":\"";
    const char *at = memmem(text.data, text.size, key, sizeof key - 1);
    assert_non_null(at);
    at += sizeof key - 1;
    size_t size = strcspn(at, "\"");
    assert_true(size > 0 && size < sizeof s->ticket);
    memcpy(s->ticket, at, size);
    s->ticket[size] = 0;
}

static linnet_test_client *dial(scene *s, linnet_slice *welcome) {
    linnet_test_client *c;
    assert_int_equal(linnet_test_dial(s->t, "ws://127.0.0.1:8080/ws", "linnet.v1", &c), LINNET_OK);
    *welcome = linnet_test_hear(c, "welcome", 1000);
    assert_non_null(welcome->data);
    return c;
}

static linnet_test_client *come_back(scene *s) {
    char text[1200];
    linnet_slice heard;
    linnet_test_client *c = dial(s, &heard);
    snprintf(
        text, sizeof text, "{\"type\":\"auth\",\"id\":1,\"data\":{\"resume\":\"%s\"}}", s->ticket);
    assert_int_equal(linnet_test_say(c, text), LINNET_OK);
    heard = linnet_test_hear(c, "\"re\":1", 1000);
    assert_non_null(heard.data);
    keep_ticket(s, heard);
    return c;
}

static bool says(linnet_test_client *c, unsigned id, unsigned seq, const char *answer) {
    char text[120], part[16];
    snprintf(text, sizeof text,
        "{\"type\":\"publish\",\"id\":%u,\"channel\":\"x\",\"data\":1,\"seq\":%u}", id, seq);
    snprintf(part, sizeof part, "\"re\":%u", id);
    assert_int_equal(linnet_test_say(c, text), LINNET_OK);
    linnet_slice heard = linnet_test_hear(c, part, 1000);
    return heard.data && memmem(heard.data, heard.size, answer, strlen(answer));
}

/* Its first number is 1, also where nobody has been before it came. */
static void what_is_lost_leaves_a_gap_on_all_workers(void **state) {
    scene *s = *state;
    linnet_slice welcome;
    linnet_test_client *c = dial(s, &welcome);
    keep_ticket(s, welcome);
    for (int i = 0; i < RETURNS; i++) {
        linnet_test_client_free(c);
        assert_int_equal(linnet_test_pass(s->t, 2000), LINNET_OK);
        c = come_back(s);
        assert_true(says(c, 2, 2, "\"code\":116"));
    }
    assert_true(says(c, 3, 1, "\"offset\":1") && says(c, 4, 2, "\"offset\":2"));
    linnet_test_client_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_is_lost_leaves_a_gap_on_all_workers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
