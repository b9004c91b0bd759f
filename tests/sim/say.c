#include "law.h"
#include "wire/native.h"
#include <stdio.h>
#include <stdlib.h>

static uint32_t below(const attempt *a, uint32_t n) {
    return ln_simnet_below(a->client->scene->net, n);
}

static bool has(const attempt *a, int kind) {
    return plan_has(a->client->scene->plan, kind);
}

/* -- names and payloads ------------------------------------------------------------------------ */

ln_slice channel_name(uint32_t i, uint32_t user, char out[16]) {
    int n = i >= HISTORY_CHANNELS ? snprintf(out, 16, "@u%u", user)
            : i < LAW_GUARDED     ? snprintf(out, 16, "c%u", i)
                                  : snprintf(out, 16, "%c:%u", i < LAW_RULED ? 'g' : 'r', i);
    return ln_slice_of(out, (size_t)n);
}

uint32_t channel_seat(ln_slice name, uint32_t user) {
    char word[16];
    for (uint32_t i = 0; i < HISTORY_CHANNELS; i++)
        if (ln_slice_eq(name, channel_name(i, 0, word))) return i;
    for (uint32_t u = 0; u < USERS; u++)
        if ((user == u || user == USERS) && ln_slice_eq(name, channel_name(OWN_SEAT, u, word)))
            return OWN_SEAT;
    return SEATS;
}

size_t client_payload(uint32_t key, uint32_t max, char *out) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    uint32_t dice = key * 2654435761u;
    size_t size = dice >> 24 < 200 ? dice % 150 : dice >> 24 < 250 ? dice % 4000 : dice % 50000;
    if (size > max) size = max;
    size_t n = (size_t)snprintf(out, 32, "{\"k\":%u,\"t\":\"", key);
    for (uint32_t i = 0, at = dice % 26, two = dice % 17; i < size; i++) {
        if (two)
            out[n++] = letters[at];
        else
            out[n++] = (char)0xc3, out[n++] = (char)0xa9;
        if (++at == 26) at = 0;
        if (++two == 17) two = 0;
    }
    memcpy(out + n, "\"}", 2);
    return n + 2;
}

size_t client_changed(uint32_t key, char *out) {
    return (size_t)snprintf(out, 64, "{\"k\":%u,\"instead\":true}", key);
}

/* Its key comes first, and in all there are all kinds of bytes. */
size_t client_bytes(uint32_t key, uint8_t *out) {
    uint32_t dice = key * 2654435761u;
    size_t size = sizeof key + (dice >> 8) % 300;
    memcpy(out, &key, sizeof key);
    for (size_t i = sizeof key; i < size; i++)
        out[i] = (uint8_t)(dice = dice * 1664525u + 1013904223u, dice >> 24);
    return size;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t client_base64(uint32_t key, char *out) {
    uint8_t bytes[CLIENT_BYTES + 2] = { 0 };
    size_t size = client_bytes(key, bytes), n = (size_t)snprintf(out, 16, "{\"base64\":\"");
    memset(bytes + size, 0, 2);
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        out[n++] = digits[three >> 18];
        out[n++] = digits[three >> 12 & 63];
        out[n++] = i + 1 < size ? digits[three >> 6 & 63] : '=';
        out[n++] = i + 2 < size ? digits[three & 63] : '=';
    }
    memcpy(out + n, "\"}", 2);
    return n + 2;
}

static uint32_t key_of_bytes(ln_slice text) {
    uint64_t bits = 0;
    if (text.size < 8) return 0;
    for (int i = 0; i < 8; i++) {
        const char *at = strchr(digits, text.data[i]);
        bits = bits << 6 | (at && *at ? (uint64_t)(at - digits) : 0);
    }
    return __builtin_bswap32((uint32_t)(bits >> 16)); /* six bytes, and the first four are it */
}

static size_t client_said(const scene *s, uint32_t key, char *out) {
    if (history_of(s->h, key)->bytes) return client_base64(key, out);
    return client_payload(key, s->plan->payload_max, out);
}

size_t client_data(const scene *s, uint32_t key, char *out) {
    return history_of(s->h, key)->changed ? client_changed(key, out) : client_said(s, key, out);
}

uint32_t client_key(const ln_json_value *data) {
    uint64_t key = 0;
    if (data->kind != LN_JSON_OBJECT) return 0;
    ln_json_iter it = ln_json_iter_of(data);
    ln_json_value name, value;
    if (!ln_json_next(&it, &name, &value)) return 0;
    if (ln_json_is(&name, LN_SLICE("base64"))) return key_of_bytes(value.text);
    if (!ln_json_uint(&value, &key)) return 0;
    return key < UINT32_MAX ? (uint32_t)key : 0;
}

/* -- asking ----------------------------------------------------------------------------------- */

asked *say_ask(attempt *a, request what, uint32_t seat) {
    scene *s = a->client->scene;
    asked *q = &a->asked[a->asked_count++];
    *q = (asked){ .what = what, .id = ++a->requests, .channel = seat };
    q->at = ln_simnet_now(s->net);
    q->claimed = law_allows(s->law, a, seat);
    s->events++;
    return q;
}

bool client_may_ask(const attempt *a) {
    return a->state == OPEN && a->welcomed && !a->rest && a->asked_count < CLIENT_ASKED &&
           !(a->wants_token && !a->identity.known) && !a->returning;
}

void say_text(attempt *a, const char *text, size_t size) {
    client_trace(a, "says", ln_slice_of(text, size));
    linnet_conn_send(a->conn, LINNET_TEXT, ln_slice_of(text, size));
}

/* {"type":WHAT,"id":N,"channel":NAME and MORE */
static void command(attempt *a, const char *what, const asked *q, const char *more) {
    char text[1200], name[16];
    ln_slice channel = channel_name(q->channel, a->client->user, name);
    int n = snprintf(text, sizeof text, "{\"type\":\"%s\",\"id\":%u,\"channel\":\"%.*s\"%s}", what,
        q->id, (int)channel.size, (const char *)channel.data, more);
    say_text(a, text, (size_t)n);
}

/* For one of the guarded channels, in another than which it is refused. */
static int put_token(attempt *a, asked *q, char *out, size_t size) {
    scene *s = a->client->scene;
    char token[LINNET_TOKEN_MAX + 1];
    identity what = { .good = below(a, 8) != 0,
        .until = law_now_s(s->law) - 26 + (below(a, 2) ? 0 : 600) };
    law_token(s->law, a->client->user, &what, q->channel, token);
    q->token = true;
    q->until = what.until;
    return snprintf(out, size, ",\"token\":\"%s\"", token);
}

void say_join(attempt *a, uint32_t seat) {
    client *c = a->client;
    place *p = &a->places[seat];
    if (!client_may_ask(a) || p->talk != OUT) return;
    char more[1000], epoch[17] = "";
    int n = 0;
    history_seat *seen = &c->seen[seat];
    asked *q = say_ask(a, ASK_SUBSCRIBE, seat);
    ln_native_epoch_put(seen->epoch, epoch);
    q->key = seen->epoch && below(a, 5);
    more[0] = 0;
    if (q->key)
        n += snprintf(more, sizeof more, ",\"recover\":{\"epoch\":\"%s\",\"offset\":%llu}", epoch,
            (unsigned long long)seen->offset);
    p->watches = has(a, PLAN_PRESENCE) && seat < OWN_SEAT && below(a, 2);
    if (p->watches) n += snprintf(more + n, sizeof more - (size_t)n, ",\"presence\":true");
    bool guarded = seat == LAW_GUARDED || seat == LAW_GUARDED + 1;
    if (has(a, PLAN_LOGIN) && guarded && c->scene->mood == WILD && below(a, 3) == 0)
        put_token(a, q, more + n, sizeof more - (size_t)n);
    p->talk = ASKED;
    p->from = *seen;
    p->from_at = c->seen_at[seat];
    p->seat = (history_seat){
        .client = c->number, .life = a->life, .channel = seat < OWN_SEAT ? seat : OWN_SEAT + c->user
    };
    command(a, "subscribe", q, more);
}

void say_part(attempt *a, uint32_t seat) {
    if (!client_may_ask(a) || a->places[seat].talk != IN) return;
    a->places[seat].talk = PARTING;
    command(a, "unsubscribe", say_ask(a, ASK_UNSUBSCRIBE, seat), "");
}

/* The oldest or the newest of a channel. */
void say_history(attempt *a, uint32_t seat) {
    if (!client_may_ask(a)) return;
    char more[64];
    asked *q = say_ask(a, ASK_HISTORY, seat);
    q->key = below(a, 2);
    snprintf(more, sizeof more, ",\"limit\":%u,\"reverse\":%s", below(a, 120),
        q->key ? "true" : "false");
    command(a, "history", q, more);
}

void say_ping(attempt *a) {
    if (!client_may_ask(a)) return;
    char text[64];
    int n = snprintf(
        text, sizeof text, "{\"type\":\"ping\",\"id\":%u}", say_ask(a, ASK_PING, 0)->id);
    say_text(a, text, (size_t)n);
}

#define NUMBERED 0x80000000u /* an order of its own, see history_saying */

/* -- publishing -------------------------------------------------------------------------------- */

/* Two thirds of a pending message at a time, cut anywhere. */
void say_on(attempt *a) {
    size_t left = a->rest_size - a->rest_at, n = left > 3 ? 1 + left * 2 / 3 : left;
    int err = linnet_conn_send_fragment(a->conn, a->rest_at ? LINNET_CONTINUATION : LINNET_TEXT,
        n == left, ln_slice_of(a->rest + a->rest_at, n));
    a->rest_at += n;
    did(a->client->scene, DID_FRAGMENTS);
    if (err == LINNET_OK && n < left) return;
    free(a->rest);
    a->rest = NULL;
}

asked *say_publication(attempt *a, uint32_t seat, bool fancy, uint32_t seq) {
    client *c = a->client;
    uint32_t user = seat == OWN_SEAT ? a->session % USERS : 0; /* always the same one */
    history_saying what = { .client = c->number,
        .session = seq ? NUMBERED | a->chain : a->session,
        .chain = a->chain,
        .life = a->life,
        .channel = seat + user,
        .quiet = fancy && seat < OWN_SEAT && below(a, 5) == 0,
        .is_volatile = fancy && !seq && seat < OWN_SEAT && below(a, 8) == 0,
        .bytes = has(a, PLAN_BYTES) && fancy && below(a, 3) == 0,
        .asked = has(a, PLAN_BACKEND) };
    if (what.bytes) did(c->scene, DID_BYTES_SAID);
    asked *q = say_ask(a, ASK_PUBLISH, seat);
    q->key = history_said(c->scene->h, &what);
    q->seq = seq;
    did(c->scene, seq ? DID_NUMBERED : DID_PUBLISH);
    return q;
}

/* The command without its end: data. */
static size_t put_publication(attempt *a, const asked *q, char *text) {
    const history_saying *what = history_of(a->client->scene->h, q->key);
    char name[16];
    ln_slice channel = channel_name(q->channel, what->channel - OWN_SEAT, name);
    bool sends = q->channel == OWN_SEAT;
    size_t n = (size_t)snprintf(text, 200,
        "{\"type\":\"%s\",\"id\":%u,\"%s\":\"%.*s\"%s%s,\"data\":", sends ? "send" : "publish",
        q->id, sends ? "to" : "channel", (int)channel.size - sends,
        (const char *)channel.data + sends, what->quiet ? ",\"echo\":false" : "",
        what->is_volatile ? ",\"volatile\":true" : "");
    n += client_said(a->client->scene, q->key, text + n);
    if (q->seq) n += (size_t)snprintf(text + n, 24, ",\"seq\":%u", q->seq);
    text[n++] = '}';
    return n;
}

static char *room(void) {
    char *text = malloc(CLIENT_PAYLOAD);
    if (!text) abort();
    return text;
}

/* The same as a binary message: its header has no data. */
static void say_binary(attempt *a, const asked *q, const char *text, size_t size) {
    static const char mark[] = ",\"data\":{\"base64\":\"";
    uint8_t out[2000] = { 1 };
    const char *data = memmem(text, size, mark, sizeof mark - 1);
    const char *end = memchr(data, '}', size - (size_t)(data - text));
    size_t head = (size_t)(data - text), tail = size - (size_t)(end + 1 - text);
    uint32_t header = __builtin_bswap32((uint32_t)(head + tail));
    memcpy(out + 1, &header, sizeof header);
    memcpy(out + 5, text, head);
    memcpy(out + 5 + head, end + 1, tail);
    size_t n = 5 + head + tail;
    n += client_bytes(q->key, out + n);
    client_trace(a, "says as bytes", ln_slice_of(text, size));
    linnet_conn_send(a->conn, LINNET_BINARY, ln_slice_of(out, n));
}

static void say_it(attempt *a, const asked *q, const char *text, size_t size) {
    const history_saying *what = history_of(a->client->scene->h, q->key);
    if (what->bytes && a->bin && below(a, 4))
        say_binary(a, q, text, size);
    else
        say_text(a, text, size);
}

void say_command(attempt *a, const asked *q) {
    char *text = room();
    say_it(a, q, text, put_publication(a, q, text));
    free(text);
}

void say_publish(attempt *a, uint32_t seat, bool fancy) {
    if (!client_may_ask(a)) return;
    const asked *q = say_publication(a, seat, fancy, 0);
    char *text = room();
    size_t n = put_publication(a, q, text);
    if (fancy && has(a, PLAN_PARTS) && below(a, 6) == 0) {
        a->rest = text;
        a->rest_size = n;
        a->rest_at = 0;
        say_on(a);
        return;
    }
    say_it(a, q, text, n);
    free(text);
}

/* Several commands in one frame: pings around a publication. */
void say_batch(attempt *a) {
    if (!client_may_ask(a) || a->asked_count + 3 > CLIENT_ASKED) return;
    char *text = room();
    uint32_t first = say_ask(a, ASK_PING, 0)->id;
    const asked *q = say_publication(a, below(a, HISTORY_CHANNELS), false, 0);
    size_t n = (size_t)snprintf(text, 60, "[{\"type\":\"ping\",\"id\":%u},", first);
    n += put_publication(a, q, text + n);
    uint32_t last = say_ask(a, ASK_PING, 0)->id;
    n += (size_t)snprintf(text + n, 60, ",{\"type\":\"ping\",\"id\":%u}]", last);
    say_text(a, text, n);
    free(text);
}

/* -- tokens ------------------------------------------------------------------------------------ */

/* Another token, or the first one. Calm: one that lasts, and that allows all. */
void say_login(attempt *a) {
    client *c = a->client;
    if (a->state != OPEN || !a->welcomed || a->rest || a->logging_in || a->returning) return;
    if (a->asked_count == CLIENT_ASKED) return;
    bool wild = c->scene->mood == WILD;
    uint64_t now = law_now_s(c->scene->law);
    identity what = { .good = !wild || below(a, 10),
        .until = now + (wild && below(a, 2) ? below(a, 6) : 3600),
        .claims = wild ? below(a, 4) << LAW_GUARDED : 3 << LAW_GUARDED };
    if (wild && below(a, 3) == 0) what.until = now - 29 + below(a, 8); /* good for a moment */
    char token[LINNET_TOKEN_MAX + 1], text[LINNET_TOKEN_MAX + 200];
    law_token(c->scene->law, c->user, &what, SEATS, token);
    asked *q = say_ask(a, ASK_LOGIN, OWN_SEAT);
    q->token = what.good;
    q->until = what.until;
    q->claims = what.claims;
    q->key = a->identity.known;
    a->logging_in = true;
    if (!what.good) did(c->scene, DID_BAD_TOKEN);
    int n = snprintf(text, sizeof text, "{\"type\":\"%s\",\"id\":%u,\"data\":{\"token\":\"%s\"}}",
        q->key ? "refresh" : "auth", q->id, token);
    say_text(a, text, (size_t)n);
}

/* -- who is there, and keys -------------------------------------------------------------------- */

void say_set(attempt *a, uint32_t seat) {
    scene *s = a->client->scene;
    place *p = &a->places[seat];
    if (!client_may_ask(a) || p->talk != IN) return;
    char more[100];
    bool unset = below(a, 4) == 0;
    asked *q = say_ask(a, unset ? ASK_UNSET : ASK_SET, seat);
    q->key = below(a, CROWD_KEYS);
    q->ttl = below(a, 3) ? 300 + below(a, 6000) : 0;
    if (!unset) {
        s->values = realloc(s->values, (s->value_count + 1) * sizeof *s->values);
        if (!s->values) abort();
        s->values[s->value_count++] = (key_value){ a, p->seat.channel, q->key };
        q->value = s->value_count;
    }
    int n = snprintf(more, sizeof more, ",\"key\":\"k%u\"", q->key);
    if (!unset) n += snprintf(more + n, sizeof more - (size_t)n, ",\"data\":{\"v\":%u}", q->value);
    if (!unset && q->ttl) snprintf(more + n, sizeof more - (size_t)n, ",\"ttl\":%u", q->ttl);
    command(a, unset ? "unset" : "set", q, more);
}

void say_typing(attempt *a, uint32_t seat) {
    if (!client_may_ask(a) || a->places[seat].talk != IN) return;
    command(a, "typing", say_ask(a, ASK_TYPING, seat),
        below(a, 3) ? ",\"data\":{\"on\":true}" : ",\"data\":{\"on\":false}");
}

void say_info(attempt *a, uint32_t seat) {
    place *p = &a->places[seat];
    if (!client_may_ask(a) || p->talk != IN || p->info_asked) return;
    char more[48];
    asked *q = say_ask(a, ASK_INFO, seat);
    p->info_asked = q->value = q->id; /* another one each time */
    snprintf(more, sizeof more, ",\"data\":{\"i\":%u}", q->value);
    command(a, "presence", q, more);
}

void say_members(attempt *a, uint32_t seat) {
    if (!client_may_ask(a)) return;
    command(a, "presence", say_ask(a, ASK_MEMBERS, seat), below(a, 2) ? "" : ",\"limit\":3");
}
