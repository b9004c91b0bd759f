#include "program.h"
#include <stdio.h>
#include <stdlib.h>

static uint32_t below(const program *p, uint32_t n) {
    return ln_simnet_below(p->scene->net, n);
}

void program_init(program *p, scene *s, linnet_hub *hub, uint32_t life, uint32_t number) {
    *p = (program){
        .scene = s, .hub = hub, .life = life, .session = s->sessions++, .number = number
    };
}

/* Where it joined shows with the first message. */
static void hear(void *ctx, linnet_hub *hub, const linnet_publication *said) {
    listener *l = ctx;
    scene *s = l->program->scene;
    ln_json_value data;
    char name[8];
    snprintf(name, sizeof name, "c%u", l->seat.channel);
    if (hub != l->program->hub || l->ended || !ln_slice_eq(said->channel, ln_slice_str(name)))
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
    char name[8];
    snprintf(name, sizeof name, "c%u", channel);
    int err = linnet_hub_subscribe(p->hub, linnet_str(name), hear, end, l, &l->sub);
    if (err < 0) {
        history_anomaly(p->scene->h, "stuck", "subscribe: %s", linnet_strerror(err));
        l->ended = true;
    }
}

void program_publish(program *p, uint32_t channel) {
    history_saying what = {
        .client = p->number, .session = p->session, .life = p->life, .channel = channel
    };
    char *data = malloc(CLIENT_PAYLOAD), name[8];
    if (!data) abort();
    uint32_t key = history_said(p->scene->h, &what);
    linnet_publication said = LINNET_PUBLICATION_INIT;
    snprintf(name, sizeof name, "c%u", what.channel);
    said.channel = linnet_str(name);
    said.data = ln_slice_of(data, client_payload(key, p->scene->payload_max, data));
    int err = linnet_hub_publish(p->hub, &said);
    if (err < 0) history_anomaly(p->scene->h, "stuck", "publish: %s", linnet_strerror(err));
    p->last = key;
    free(data);
}

void program_act(program *p) {
    uint32_t dice = below(p, 10);
    if (dice < 4) {
        program_publish(p, below(p, 8));
    } else if (dice < 6) {
        listen_to(p, below(p, 8));
    } else if (dice < 8) {
        listener *l = p->listeners;
        for (uint32_t n = below(p, 4); l && n; n--)
            l = l->next;
        if (!l || !l->sub) return;
        linnet_hub_unsubscribe(l->sub);
        l->sub = NULL;
    }
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
}
