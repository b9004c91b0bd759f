#include "roles.h"
#include <string.h>

static seat *sit(client *c, const char *kind, uint32_t number) {
    seat *s = &c->seat[c->seats++];
    snprintf(s->channel, sizeof s->channel, "%s:%u", kind, number);
    s->wanted = true;
    return s;
}

static void write_to(client *c, const seat *s, uint32_t period_ms, uint32_t fill) {
    c->pen[c->pens++] = (pen){ .channel = s->channel, .period_ms = period_ms, .fill = fill };
}

static void crowd_channels(client *c, uint32_t n, uint32_t count) {
    const seat *hot = sit(c, "hot", 1);
    if (n == 0) write_to(c, hot, 100, 1000);
    const seat *own = sit(c, "many", n);
    write_to(c, own, 1600, 200);
    for (uint32_t j = 1; j < 10; j++)
        sit(c, "many", (n + j * 37) % count);
}

/* Each part of the crowd has one more thing to do, by the last digits. */
static void special_channels(client *c, uint32_t n) {
    uint32_t part = n % 100;
    if (part < 2) {
        write_to(c, sit(c, "all", 1), 1000, 100);
        c->pen[c->pens - 1].quietly = true;
    } else if (part < 12) {
        c->churning = 2;
        write_to(c, sit(c, "churn", part % 5), 3000, 100);
        sit(c, "churn", 5 + part % 5);
    } else if (part < 17) {
        sit(c, "pres", 1)->presence = true;
        c->churning = part < 14;
    } else if (part < 27) {
        sit(c, "http", part % 10);
    } else if (part < 37) {
        const seat *s = sit(c, "short", part % 5);
        if (n < 100) write_to(c, s, 250, 100);
    } else if (part < 42) {
        const seat *s = sit(c, "live", 1);
        if (n < 100) write_to(c, s, 200, 100);
    } else if (part == 42) {
        sit(c, "secret", 1)->forbidden = true;
    } else if (part == 43 || part == 49) { /* 49 is slow */
        const seat *s = sit(c, "flood", 1);
        if (n == 43) write_to(c, s, 50, FILL_MAX);
    }
}

void client_cast(client *c, crowd *d, uint32_t number, uint32_t count) {
    memset(c, 0, sizeof *c);
    c->crowd = d;
    c->number = number;
    snprintf(c->name, sizeof c->name, "c%u", number);
    c->through = number % 16 == 5;
    c->slow = number % 10 == 9;
    c->resumes = number % 4 < 2;
    c->anew = number % 16 == 2;
    c->dial_at = d->now + ln_rand_below(&d->rand, 500);
    c->pause_at = d->now + 1000 + ln_rand_below(&d->rand, 6000);
    crowd_channels(c, number, count);
    special_channels(c, number);
    for (uint32_t i = 0; i < c->pens; i++)
        c->pen[i].due = d->now + ln_rand_below(&d->rand, c->pen[i].period_ms);
}
