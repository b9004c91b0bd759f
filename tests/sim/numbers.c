#include "numbers.h"
#include "client.h"

static bool usable(const attempt *a) {
    const numbers *n = &a->client->numbers;
    return n->chain == a->chain && n->life == a->life && !a->returning;
}

void numbers_begin(attempt *a) {
    a->client->numbers = (numbers){ .chain = a->chain, .life = a->life };
}

void numbers_left(attempt *a) {
    numbers *n = &a->client->numbers;
    for (uint32_t i = 0; i < n->count; i++)
        n->box[i].id = 0;
}

/* The highest that was said in a channel; 0: there is a gap below it, or one is to be said again
 * first. */
static uint32_t last_of(const numbers *n, uint32_t seat) {
    uint32_t last = n->done[seat];
    for (uint32_t i = 0; i < n->count; i++) {
        const numbered *e = &n->box[i];
        if (e->seat != seat || e->seq < last) continue;
        if (e->id == 0 || e->seq != last + 1) return UINT32_MAX;
        last = e->seq;
    }
    return last;
}

bool numbers_say(attempt *a, uint32_t seat) {
    numbers *n = &a->client->numbers;
    if (!client_may_ask(a) || !usable(a) || n->count == NUMBERS_KEPT) return false;
    uint32_t last = last_of(n, seat);
    if (last == UINT32_MAX) return false;
    const asked *q = say_publication(a, seat, true, last + 1);
    n->box[n->count++] = (numbered){ q->key, seat, q->seq, q->id, 1 };
    say_command(a, q);
    return true;
}

void numbers_again(attempt *a) {
    numbers *n = &a->client->numbers;
    for (uint32_t i = 0; i < n->count && usable(a) && client_may_ask(a); i++) {
        numbered *e = &n->box[i];
        if (e->id) continue;
        asked *q = say_ask(a, ASK_PUBLISH, e->seat);
        q->key = e->key;
        q->seq = e->seq;
        e->id = q->id;
        e->sends++;
        did(a->client->scene, DID_AGAIN);
        say_command(a, q);
    }
}

static numbered *find(numbers *n, const asked *q) {
    for (uint32_t i = 0; i < n->count; i++)
        if (n->box[i].key == q->key) return &n->box[i];
    return NULL;
}

static void drop(numbers *n, const numbered *e) {
    uint32_t at = (uint32_t)(e - n->box);
    memmove(&n->box[at], &n->box[at + 1], (--n->count - at) * sizeof *e);
}

/* Whether all below it are done, or may have been. */
static bool in_turn(const numbers *n, uint32_t seat, uint32_t seq) {
    for (uint32_t below = n->done[seat] + 1; below < seq; below++) {
        bool said = false;
        for (uint32_t i = 0; i < n->count; i++)
            said = said || (n->box[i].seat == seat && n->box[i].seq == below);
        if (!said) return false;
    }
    return true;
}

void numbers_acked(attempt *a, const asked *q) {
    numbers *n = &a->client->numbers;
    const numbered *e = find(n, q);
    if (!e) return;
    if (!in_turn(n, q->channel, q->seq))
        client_anomaly(a->client, "out-of-turn", "%u is taken, and not what was before it", q->seq);
    if (e->sends > 1 && history_placed(a->client->scene->h, q->key))
        did(a->client->scene, DID_SEEN);
    if (q->seq > n->done[q->channel]) n->done[q->channel] = q->seq;
    drop(n, e);
}

numbers_refusal numbers_refused(attempt *a, const asked *q, uint64_t code) {
    numbers *n = &a->client->numbers;
    numbered *e = find(n, q);
    if (!e) return NUMBERS_REFUSED;
    ln_msec before = n->refused_at[q->channel];
    bool again = e->sends > 1 && code != 116;
    bool gap = !in_turn(n, q->channel, q->seq);
    n->refused_at[q->channel] = ln_simnet_now(a->client->scene->net);
    if (again)
        e->id = 0;
    else
        drop(n, e);
    if (again) return NUMBERS_UNKNOWN;
    if (code != 116) return NUMBERS_REFUSED;
    did(a->client->scene, DID_OUT_OF_TURN);
    if (before < q->at && !gap)
        client_anomaly(
            a->client, "out-of-turn", "%u is refused, and nothing was before it", q->seq);
    return NUMBERS_IN_TURN;
}

bool numbers_settled(const attempt *a) {
    return !usable(a) || a->client->numbers.count == 0;
}
