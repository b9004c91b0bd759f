#include "base/mem.h"
#include "base/testing.h"
#include "net/inbox.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

typedef struct mail {
    ln_letter letter;
    uint32_t number;
} mail;

enum { SENDERS = 3, EACH = 30000 };

/* Counts the wakes that are really sent. */
static _Atomic int wakes;
void __real_ln_loop_wake(ln_loop *loop);
void __wrap_ln_loop_wake(ln_loop *loop);
void __wrap_ln_loop_wake(ln_loop *loop) {
    wakes++;
    __real_ln_loop_wake(loop);
}

typedef struct sender {
    pthread_t thread;
    ln_inbox *in;
    uint8_t name;
    unsigned chain; /* letters per post; 0: offers, and tries again when refused */
} sender;

static ln_letter *letter_of(const sender *s, uint32_t number) {
    mail *m = malloc(sizeof *m);
    if (!m) abort();
    *m = (mail){ .letter.from = s->name, .number = number };
    return &m->letter;
}

static void *send_all(void *arg) {
    const sender *s = arg;
    for (uint32_t i = 0; i < EACH;) {
        ln_letter *first = letter_of(s, i++), *last = first;
        if (s->chain == 0) {
            while (ln_inbox_offer(s->in, first, 100) == LINNET_ERR_AGAIN)
                usleep(100);
            continue;
        }
        uint32_t count = 1;
        for (; count < s->chain && i < EACH; count++)
            last = last->next = letter_of(s, i++);
        ln_inbox_post(s->in, first, last, count, count * 100);
        if (i % 64 == 0) usleep(50); /* lets the receiver fall asleep now and then */
    }
    return NULL;
}

static void drain_turn(ln_loop *loop, ln_msec deadline) {
    ln_completion c;
    assert_int_equal(ln_loop_wait(loop, deadline), LINNET_OK);
    while (ln_loop_next(loop, &c))
        assert_int_equal(c.kind, LN_C_WAKE);
}

static void every_letter_arrives_in_its_senders_order(void **state) {
    (void)state;
    ln_loop *loop;
    ln_inbox *in;
    sender senders[SENDERS] = { { .chain = 1 }, { .chain = 7 }, { .chain = 0 } };
    uint32_t next[SENDERS] = { 0 }, total = 0, letters;
    size_t bytes;
    alarm(100); /* a lost wake-up sleeps for ever */
    wakes = 0;
    assert_int_equal(ln_loop_new(NULL, &loop), LINNET_OK);
    assert_int_equal(ln_inbox_new(loop, &in), LINNET_OK);
    for (uint8_t i = 0; i < SENDERS; i++) {
        senders[i].in = in;
        senders[i].name = i;
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    while (total < SENDERS * EACH) {
        bool asleep = ln_inbox_sleep(in);
        drain_turn(loop, asleep ? LN_NEVER : 0);
        ln_inbox_awake(in);
        for (ln_letter *l = ln_inbox_take(in), *after; l; l = after, total++) {
            after = l->next;
            mail *m = (mail *)(void *)l;
            assert_int_equal(m->number, next[l->from]);
            next[l->from]++;
            free(m);
        }
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i].thread, NULL);
    ln_inbox_load(in, &letters, &bytes);
    assert_int_equal(letters, 0);
    assert_int_equal(bytes, 0);
    assert_true(wakes < SENDERS * EACH);
    ln_inbox_free(in);
    ln_loop_free(loop);
    alarm(0);
}

static void a_wake_is_for_who_sleeps(void **state) {
    (void)state;
    ln_loop *loop;
    ln_inbox *in;
    mail mails[6] = { { .number = 0 } };
    wakes = 0;
    assert_int_equal(ln_loop_new(NULL, &loop), LINNET_OK);
    assert_int_equal(ln_inbox_new(loop, &in), LINNET_OK);
    assert_null(ln_inbox_take(in));

    ln_inbox_post(in, &mails[0].letter, &mails[0].letter, 1, 10); /* nobody sleeps */
    assert_int_equal(wakes, 0);
    assert_false(ln_inbox_sleep(in)); /* something has come */
    ln_inbox_post(in, &mails[1].letter, &mails[1].letter, 1, 10);
    assert_int_equal(wakes, 0);
    assert_ptr_equal(ln_inbox_take(in), &mails[0]);
    assert_ptr_equal(mails[0].letter.next, &mails[1]);

    assert_true(ln_inbox_sleep(in));
    for (int i = 2; i < 5; i++)
        ln_inbox_post(in, &mails[i].letter, &mails[i].letter, 1, 10);
    assert_int_equal(wakes, 1); /* one for three */
    drain_turn(loop, LN_NEVER);
    ln_inbox_awake(in);
    assert_ptr_equal(ln_inbox_take(in), &mails[2]);

    assert_true(ln_inbox_sleep(in));
    ln_inbox_awake(in);
    ln_inbox_post(in, &mails[5].letter, &mails[5].letter, 1, 10);
    assert_int_equal(wakes, 1); /* it woke by itself */
    assert_ptr_equal(ln_inbox_take(in), &mails[5]);
    ln_inbox_free(in);
    ln_loop_free(loop);
}

static void foreign_threads_meet_the_bound(void **state) {
    (void)state;
    ln_loop *loop;
    ln_inbox *in;
    uint32_t letters;
    size_t bytes, most = 65536;
    mail *mails = calloc(most + 2, sizeof *mails);
    assert_non_null(mails);
    assert_int_equal(ln_loop_new(NULL, &loop), LINNET_OK);
    assert_int_equal(ln_inbox_new(loop, &in), LINNET_OK);
    for (size_t i = 0; i < most; i++)
        assert_int_equal(ln_inbox_offer(in, &mails[i].letter, 1), LINNET_OK);
    assert_int_equal(ln_inbox_offer(in, &mails[most].letter, 1), LINNET_ERR_AGAIN);
    ln_inbox_load(in, &letters, &bytes);
    assert_int_equal(letters, most);
    assert_int_equal(bytes, most);
    ln_inbox_post(in, &mails[most].letter, &mails[most].letter, 1, 1); /* never refused */
    assert_ptr_equal(ln_inbox_take(in), mails);

    size_t half = 8 * 1024 * 1024;
    assert_int_equal(ln_inbox_offer(in, &mails[0].letter, half), LINNET_OK);
    assert_int_equal(ln_inbox_offer(in, &mails[1].letter, half + 1), LINNET_ERR_AGAIN);
    assert_int_equal(ln_inbox_offer(in, &mails[1].letter, half), LINNET_OK);
    assert_int_equal(ln_inbox_offer(in, &mails[2].letter, 1), LINNET_ERR_AGAIN);
    assert_ptr_equal(ln_inbox_take(in), mails);
    ln_inbox_free(in);
    ln_loop_free(loop);
    free(mails);
}

static void an_inbox_without_memory(void **state) {
    (void)state;
    ln_test_memory memory = { .fail_at = 1 };
    ln_inbox *in = NULL;
    ln_test_memory_install(&memory);
    assert_int_equal(ln_inbox_new(NULL, &in), LINNET_ERR_NOMEM);
    assert_null(in);
    assert_int_equal(ln_inbox_new(NULL, &in), LINNET_OK);
    ln_inbox_free(in);
    assert_int_equal(memory.live, 0);
    ln_test_memory_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_letter_arrives_in_its_senders_order),
        cmocka_unit_test(a_wake_is_for_who_sleeps),
        cmocka_unit_test(foreign_threads_meet_the_bound),
        cmocka_unit_test(an_inbox_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
