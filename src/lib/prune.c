#include "lib/prune.h"
#include "base/mem.h"
#include "lib/hub.h"
#include "lib/server.h"

typedef struct prune {
    linnet_hub *hub;
    linnet_hub_published_fn *fn; /* NULL: nobody wants to know */
    void *ctx;
    ln_position at; /* offset 0: all */
    uint8_t name_size;
    uint8_t name[];
} prune;

/* Told, and gone. */
static void end(prune *p, int err) {
    ln_position at = err < 0 ? (ln_position){ 0, 0 } : p->at;
    if (p->fn) p->fn(p->ctx, p->hub, err, at.epoch, at.offset);
    ln_free(p);
}

void ln_prune_mail(linnet_loop *w, void *order) {
    prune *p = order;
    ln_slice channel = ln_slice_of(p->name, p->name_size);
    if (!ln_host_hub_people(w))
        end(p, LINNET_ERR_CANCELLED);
    else if (p->at.offset)
        end(p, ln_homes_retract(&w->hub->homes, channel, &p->at));
    else
        end(p, ln_homes_clear(&w->hub->homes, channel, &p->at));
}

void ln_prune_lost(void *order) {
    end(order, LINNET_ERR_CANCELLED);
}

uint32_t ln_host_forget(ln_hub *hub, ln_slice user, uint32_t *at, uint32_t steps, int *err) {
    uint8_t name[LN_CHANNEL_NAME_MAX];
    ln_position head;
    if (*at == 0 && user.size < sizeof name) {
        name[0] = '@';
        memcpy(name + 1, user.data, user.size);
        ln_slice own = ln_slice_of(name, 1 + user.size);
        if (ln_channel_name_check(LN_SPACE_CHANNELS, own) == LINNET_OK &&
            ln_hub_home(hub->key, hub->workers, own) == hub->self)
            (void)ln_homes_clear(&hub->homes, own, &head); /* perhaps it keeps nothing */
    }
    return ln_homes_forget(&hub->homes, user, at, steps, err);
}

static int give(
    linnet_hub *hub, linnet_slice channel, ln_position at, linnet_hub_published_fn *fn, void *ctx) {
    if (!hub) return LINNET_ERR_INVAL;
    linnet_server *s = ln_host_hub_server(hub);
    if (!s) return LINNET_ERR_STATE;
    int err = ln_channel_name_check(LN_SPACE_CHANNELS, channel);
    if (err < 0) return err;
    prune *p = ln_malloc(sizeof *p + channel.size);
    ln_post *m = ln_post_new(LN_POST_PRUNE, 0, 0, NULL, LN_SLICE(""));
    err = p && m ? LINNET_OK : LINNET_ERR_NOMEM;
    if (err == LINNET_OK) {
        *p = (prune){ hub, fn, ctx, at, (uint8_t)channel.size };
        memcpy(p->name, channel.data, channel.size);
        m->ctx = p;
        linnet_loop *home = s->workers[ln_hub_home(s->key, s->worker_count, channel)];
        err = ln_inbox_offer(home->inbox, &m->letter, m->letter.bytes);
    }
    if (err == LINNET_OK) return LINNET_OK;
    ln_free(p);
    ln_free(m);
    return err;
}

int linnet_hub_remove_history(
    linnet_hub *hub, linnet_slice channel, linnet_hub_published_fn *fn, void *ctx) {
    return give(hub, channel, (ln_position){ 0, 0 }, fn, ctx);
}

int linnet_hub_retract(linnet_hub *hub, linnet_slice channel, uint64_t epoch, uint64_t offset,
    linnet_hub_published_fn *fn, void *ctx) {
    return offset ? give(hub, channel, (ln_position){ epoch, offset }, fn, ctx) : LINNET_ERR_INVAL;
}
