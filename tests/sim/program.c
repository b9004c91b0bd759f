#include "program.h"
#include <stdio.h>
#include <stdlib.h>

static uint32_t below(const program *p, uint32_t n) {
    return ln_simnet_below(p->scene->net, n);
}

/* -- who comes and goes --------------------------------------------------------------------------
 */

static crowd_member member_of(const linnet_member *m) {
    crowd_member out = { .ref = m->ref };
    ln_json_value top, key, value;
    uint64_t n = 0;
    snprintf(
        out.client, sizeof out.client, "%.*s", (int)m->client.size, (const char *)m->client.data);
    if (m->info.size == 0 || ln_json_check(m->info, &top) < 0) return out;
    ln_json_iter it = ln_json_iter_of(&top);
    if (ln_json_next(&it, &key, &value) && ln_json_uint(&value, &n)) out.info = (uint32_t)n;
    return out;
}

/* I11: joins and leaves of a stay alternate. */
static void meet(void *ctx, linnet_hub *hub, int err, const linnet_presence *presence) {
    program *p = ctx;
    uint32_t seat = presence ? channel_seat(presence->channel, USERS) : SEATS;
    if (hub != p->hub || err < 0 || seat >= OWN_SEAT) {
        history_anomaly(p->scene->h, "late-callback", "members of no channel, or of another hub");
        return;
    }
    crowd_ear ear = { p->scene->h, "program", p->number, seat };
    for (size_t i = 0; i < presence->member_count; i++) {
        crowd_member m = member_of(&presence->members[i]);
        if (presence->members[i].left)
            crowd_leaves(&p->crowds[seat], &ear, &m);
        else
            crowd_joins(&p->crowds[seat], &ear, &m);
        did(p->scene, DID_PRESENCE_TOLD);
    }
}

void program_init(program *p, scene *s, linnet_hub *hub, uint32_t number) {
    *p = (program){ .scene = s, .hub = hub, .session = s->sessions++, .number = number };
    int err = linnet_hub_on_presence(hub, meet, p);
    if (err < 0) history_anomaly(s->h, "stuck", "on_presence: %s", linnet_strerror(err));
}

void program_began(program *p, uint32_t life, client *clients, uint32_t count) {
    p->life = life;
    p->clients = clients;
    p->client_count = count;
}

/* -- what it hears -------------------------------------------------------------------------------
 */

/* Where it joined shows with the first message. */
static void hear_one(void *ctx, linnet_hub *hub, const linnet_publication *said) {
    listener *l = ctx;
    scene *s = l->program->scene;
    ln_json_value data;
    char name[16];
    if (hub != l->program->hub || l->ended ||
        !ln_slice_eq(said->channel, channel_name(l->seat.channel, 0, name)))
        history_anomaly(s->h, "late-callback", "the program hears what is not for it");
    if (ln_json_check(said->data, &data) < 0) return;
    if (!l->seat.joined && said->offset)
        history_joined(s->h, &l->seat, said->epoch, said->offset - 1);
    if (!l->seat.joined) return; /* a volatile one */
    if (said->offset && said->epoch != l->seat.epoch)
        history_anomaly(s->h, "epoch-lie", "the program hears of another epoch");
    history_heard(s->h, &l->seat, l->program->session, client_key(&data), said->offset);
}

static void end(void *ctx, linnet_hub *hub, int err) {
    listener *l = ctx;
    if (hub != l->program->hub || l->ended || err != LINNET_ERR_CANCELLED)
        history_anomaly(l->program->scene->h, "late-callback",
            "a subscription ends twice, or with %s", linnet_strerror(err));
    l->ended = true;
    l->sub = NULL;
}

static void listen_to(program *p, uint32_t channel) {
    listener *l = calloc(1, sizeof *l);
    if (!l) abort();
    *l = (listener){ .next = p->listeners, .program = p };
    l->seat = (history_seat){ .client = p->number, .life = p->life, .channel = channel };
    p->listeners = l;
    char name[16];
    ln_slice word = channel_name(channel, 0, name);
    int err = linnet_hub_subscribe(p->hub, word, hear_one, end, l, &l->sub);
    if (err < 0) {
        history_anomaly(p->scene->h, "stuck", "subscribe: %s", linnet_strerror(err));
        l->ended = true;
    }
}

/* -- what it says --------------------------------------------------------------------------------
 */

typedef struct outcome { /* of a publication with a key */
    program *program;
    uint32_t key, channel;
    bool again;
} outcome;

/* I10: it has one place, however often it is said. */
static void placed(void *ctx, linnet_hub *hub, int err, uint64_t epoch, uint64_t offset) {
    outcome o = *(outcome *)ctx;
    scene *s = o.program->scene;
    history_seat where = {
        .client = o.program->number, .life = o.program->life, .channel = o.channel
    };
    free(ctx);
    o.program->waits--;
    if (hub != o.program->hub)
        history_anomaly(s->h, "late-callback", "an answer from a hub that has ended");
    if (err == LINNET_ERR_CANCELLED || (err == LINNET_ERR_AGAIN && o.again)) return;
    if (err < 0)
        history_anomaly(s->h, "denied", "what a program says: %s", linnet_strerror(err));
    else if (o.again)
        history_read(s->h, &where, epoch, o.key, offset);
    else
        history_acked(s->h, o.key, epoch, offset);
    if (o.again) did(s, DID_REPEATED);
}

/* False: it was put off, and nothing has become of it. */
static bool say(program *p, uint32_t key, uint32_t channel, bool has_key, bool again) {
    char name[16], word[24];
    char *data = malloc(CLIENT_PAYLOAD);
    outcome *o = malloc(sizeof *o);
    if (!data || !o) abort();
    *o = (outcome){ p, key, channel, again };
    linnet_publication said = LINNET_PUBLICATION_INIT;
    said.channel = channel_name(channel, 0, name);
    said.data = ln_slice_of(data, client_data(p->scene, key, data));
    snprintf(word, sizeof word, "key-%u", key);
    if (has_key) said.key = linnet_str(word);
    int err = has_key ? linnet_hub_publish_then(p->hub, &said, placed, o)
                      : linnet_hub_publish(p->hub, &said);
    bool put_off = err == LINNET_ERR_AGAIN && plan_has(p->scene->plan, PLAN_MEMORY);
    if (put_off && !again) history_refused(p->scene->h, key);
    if (put_off)
        did(p->scene, DID_PROGRAM_PUT_OFF);
    else if (err < 0)
        history_anomaly(p->scene->h, "stuck", "publish: %s", linnet_strerror(err));
    if (!has_key || err < 0)
        free(o);
    else
        p->waits++;
    if (!put_off) p->last = key;
    p->scene->events++;
    did(p->scene, DID_PROGRAM);
    free(data);
    return !put_off;
}

static uint32_t new_saying(program *p, uint32_t channel) {
    history_saying what = { .client = p->number,
        .session = p->session,
        .chain = p->session,
        .life = p->life,
        .channel = channel };
    return history_said(p->scene->h, &what);
}

void program_publish(program *p, uint32_t channel) {
    say(p, new_saying(p, channel), channel, false, false);
}

/* The same once more, or something new that it may say again. */
static void repeat(program *p) {
    ln_msec now = ln_simnet_now(p->scene->net);
    keyed *k = &p->keyed[below(p, PROGRAM_KEYED)];
    if (k->key && now - k->at < 290000 && below(p, 3)) {
        say(p, k->key, k->channel, true, true);
        return;
    }
    uint32_t channel = below(p, HISTORY_CHANNELS);
    *k = (keyed){ new_saying(p, channel), channel, now };
    bool said = say(p, k->key, channel, true, false);
    if (!said) k->key = 0;
    if (below(p, 2) && said) say(p, k->key, channel, true, true); /* before there is an answer */
}

/* Somebody has to leave a channel, or go. */
static void put_out(program *p) {
    attempt *a = p->clients[below(p, p->client_count)].now;
    if (!a || a->state != OPEN || !a->welcomed || a->life != p->life) return;
    linnet_whom whom = LINNET_WHOM_INIT;
    whom.client = linnet_str(a->name);
    char name[16];
    uint32_t seat = below(p, HISTORY_CHANNELS);
    int err = LINNET_OK;
    if (below(p, 4) == 0) {
        a->kicked = true;
        err = linnet_hub_disconnect(p->hub, &whom, 0, "out", NULL, NULL);
    } else if (a->places[seat].talk == IN) {
        a->places[seat].expelled = true;
        err = linnet_hub_expel(p->hub, &whom, channel_name(seat, 0, name), NULL, NULL);
    }
    if (err < 0) history_anomaly(p->scene->h, "stuck", "an order: %s", linnet_strerror(err));
}

/* Somebody has to answer. */
static void call_one(program *p) {
    attempt *a = p->clients[below(p, p->client_count)].now;
    if (!a || a->state != OPEN || !a->welcomed || a->life != p->life || a->returning) return;
    calls_ask(p->scene->calls, p->hub, p->number, a);
}

static void stop_listening(program *p) {
    listener *l = p->listeners;
    for (uint32_t n = below(p, 4); l && n; n--)
        l = l->next;
    if (!l || !l->sub) return;
    linnet_hub_unsubscribe(l->sub);
    l->sub = NULL;
}

void program_act(program *p) {
    uint32_t dice = below(p, 20);
    if (dice < 4)
        program_publish(p, below(p, HISTORY_CHANNELS));
    else if (dice < 6)
        listen_to(p, below(p, HISTORY_CHANNELS));
    else if (dice < 8)
        stop_listening(p);
    else if (dice < 11 && plan_has(p->scene->plan, PLAN_REPEATS))
        repeat(p);
    else if (dice < 13 && plan_has(p->scene->plan, PLAN_EXPEL))
        put_out(p);
    else if (dice > 15 && plan_has(p->scene->plan, PLAN_CALLS))
        call_one(p);
}

bool program_settled(const program *p) {
    if (p->last && !history_placed(p->scene->h, p->last)) return false;
    for (const listener *l = p->listeners; l; l = l->next)
        if (l->sub && l->seat.joined && !history_level(p->scene->h, &l->seat, p->session))
            return false;
    return true;
}

void program_fini(program *p) {
    for (listener *l = p->listeners, *next; l; l = next) {
        next = l->next;
        if (!l->ended) history_anomaly(p->scene->h, "late-callback", "a subscription did not end");
        free(l);
    }
    p->listeners = NULL;
    if (p->waits) history_anomaly(p->scene->h, "late-callback", "%u answers never came", p->waits);
    for (uint32_t i = 0; i < HISTORY_CHANNELS; i++)
        crowd_fini(&p->crowds[i]);
}
