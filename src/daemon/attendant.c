#include "daemon/attendant.h"
#include "base/mem.h"
#include "base/ref.h"
#include <errno.h>
#include <fcntl.h>
#include <linnet/loop.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The worker writes lag and answered, the attendant the rest; at_us only while no question is under
 * way. */
typedef struct pulse {
    ln_hist lag;
    ln_stat answered, asked; /* how often */
    ln_word at_us;           /* of the last question, or of the first that was refused */
    uint64_t forgiven_us;    /* of the time since then */
    linnet_loop *loop;
    bool refused, told; /* its inbox is full; it was called stuck */
} pulse;

struct ln_attendant {
    ln_attendant_options o;
    pthread_t thread;
    int pipe[2];
    ln_stat stuck;
    uint64_t next_us, beat_us; /* UINT64_MAX: never */
    pulse pulses[];
};

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- pulse -------------------------------------------------------------------------- */

static void answer(void *ctx) {
    pulse *p = ctx;
    uint64_t now = now_us();
    uint64_t asked = ln_word_get(&p->at_us);
    if (now > asked) ln_hist_add(&p->lag, now - asked);
    ln_stat_add(&p->answered, 1);
}

/* How long a question has been waiting for its answer; 0: none is. */
static uint64_t waited_us(const pulse *p, uint64_t now) {
    bool waits = p->refused || ln_stat_get(&p->asked) != ln_stat_get(&p->answered);
    uint64_t from = ln_word_get(&p->at_us) + p->forgiven_us;
    return waits && now > from ? now - from : 0;
}

/* A worker whose inbox is full does not keep up; if that lasts it is as good as stuck. */
static void ask(pulse *p, uint64_t now) {
    if (ln_stat_get(&p->asked) != ln_stat_get(&p->answered)) return;
    if (!p->refused) {
        ln_word_set(&p->at_us, now);
        p->forgiven_us = 0;
    }
    p->refused = false;
    ln_stat_add(&p->asked, 1);
    if (linnet_loop_post(p->loop, answer, p) == LINNET_OK) return;
    ln_stat_sub(&p->asked, 1);
    p->refused = true;
}

static void judge(ln_attendant *a, unsigned i, uint64_t now) {
    pulse *p = &a->pulses[i];
    uint64_t ms = waited_us(p, now) / 1000;
    bool stuck = ms >= a->o.stuck_ms;
    if (stuck == p->told) return;
    p->told = stuck;
    if (!stuck) {
        ln_stat_sub(&a->stuck, 1);
        return;
    }
    ln_stat_add(&a->stuck, 1);
    if (a->o.on_pulse) a->o.on_pulse(a->o.ctx, (int)i, ms);
}

static void beat(ln_attendant *a, uint64_t now) {
    if (!a->o.watchdog_ms || now < a->beat_us) return;
    uint64_t half = (uint64_t)a->o.watchdog_ms * 500;
    for (unsigned i = 0; i < a->o.count; i++)
        if (waited_us(&a->pulses[i], now) > half) return;
    a->beat_us = now + half / 2;
    a->o.on_pulse(a->o.ctx, -1, 0);
}

/* Late ourselves: nobody has had the time that has passed, so it counts against nobody. */
static void forgive(ln_attendant *a, uint64_t late) {
    for (unsigned i = 0; i < a->o.count; i++)
        a->pulses[i].forgiven_us += late;
}

static void feel(ln_attendant *a) {
    uint64_t now = now_us(), pulse_us = (uint64_t)a->o.pulse_ms * 1000;
    if (now < a->next_us) return;
    if (now - a->next_us > 2 * pulse_us) forgive(a, now - a->next_us);
    a->next_us = now + pulse_us;
    for (unsigned i = 0; i < a->o.count; i++) {
        judge(a, i, now);
        ask(&a->pulses[i], now);
    }
    beat(a, now);
}

/* ---- the thread --------------------------------------------------------------------- */

static int wait_ms(const ln_attendant *a) {
    if (a->next_us == UINT64_MAX) return -1;
    uint64_t now = now_us();
    return a->next_us <= now ? 0 : (int)((a->next_us - now + 999) / 1000);
}

static void watch_task(const ln_task *task) {
    ln_attendant *a = task->ctx;
    a->next_us = now_us();
    a->beat_us = 0;
}

/* A task without a function is the end. */
static void *attend(void *arg) {
    ln_attendant *a = arg;
    for (;;) {
        struct pollfd p = { .fd = a->pipe[0], .events = POLLIN };
        if (poll(&p, 1, wait_ms(a)) < 0 && errno != EINTR) return NULL;
        ln_task task;
        if (p.revents && read(a->pipe[0], &task, sizeof task) == (ssize_t)sizeof task) {
            if (!task.fn) return NULL;
            task.fn(&task);
        }
        feel(a);
    }
}

static int start(ln_attendant *a) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&a->thread, NULL, attend, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err ? LINNET_ERR_SYS : LINNET_OK;
}

int ln_attendant_new(const ln_attendant_options *o, ln_attendant **out) {
    if (o->count > LN_PULSES_MAX || (o->watchdog_ms && !o->on_pulse)) return LINNET_ERR_INVAL;
    ln_attendant *a = ln_calloc(1, sizeof *a + o->count * sizeof a->pulses[0]);
    if (!a) return LINNET_ERR_NOMEM;
    a->o = *o;
    a->o.loops = NULL;
    a->next_us = UINT64_MAX;
    if (!o->pulse_ms) a->o.pulse_ms = LN_PULSE_MS;
    if (!o->stuck_ms) a->o.stuck_ms = LN_PULSE_STUCK_MS;
    if (o->watchdog_ms && o->watchdog_ms < 4 * a->o.pulse_ms)
        a->o.pulse_ms = o->watchdog_ms / 4 ? o->watchdog_ms / 4 : 1;
    for (unsigned i = 0; i < o->count; i++)
        a->pulses[i].loop = o->loops[i];
    int err = pipe2(a->pipe, O_CLOEXEC) < 0 ? LINNET_ERR_SYS : LINNET_OK;
    if (err == LINNET_OK) {
        fcntl(a->pipe[1], F_SETFL, O_NONBLOCK); /* only who asks must not wait */
        if ((err = start(a)) == LINNET_OK) {
            *out = a;
            return LINNET_OK;
        }
        close(a->pipe[0]);
        close(a->pipe[1]);
    }
    ln_free(a);
    return err;
}

void ln_attendant_free(ln_attendant *a) {
    if (!a) return;
    ln_task end = { .fn = NULL };
    fcntl(a->pipe[1], F_SETFL, 0); /* now it may wait */
    while (write(a->pipe[1], &end, sizeof end) < 0 && errno == EINTR) {
    }
    pthread_join(a->thread, NULL);
    close(a->pipe[0]);
    close(a->pipe[1]);
    ln_free(a);
}

/* A task is smaller than PIPE_BUF: the kernel takes all of it or nothing. */
bool ln_attendant_ask(ln_attendant *a, const ln_task *task) {
    return write(a->pipe[1], task, sizeof *task) == (ssize_t)sizeof *task;
}

void ln_attendant_watch(ln_attendant *a) {
    ln_task task = { .fn = watch_task, .ctx = a };
    ln_attendant_ask(a, &task); /* the first one: there is room */
}

const ln_hist *ln_attendant_lag(const ln_attendant *a, unsigned worker) {
    return &a->pulses[worker].lag;
}

unsigned ln_attendant_stuck(const ln_attendant *a) {
    return (unsigned)ln_stat_get(&a->stuck);
}
