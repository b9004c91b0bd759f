#include "base/mem.h"
#include "session/login.h"
#include "wire/bytes.h"
#include <assert.h>

#define SLOTS_MAX    (1u << 24)
#define BEATS        64 /* seconds */
#define SCRATCH_KEEP (64u * 1024)

typedef struct ln_session_slot {
    ln_session *session; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
} ln_session_slot;
#define NO_SLOT UINT32_MAX

/* Slots ----------------------------------------------------------------------------------- */

uint64_t ln_session_handle(const ln_session *s) {
    return (uint64_t)s->node->self << 56 | (uint64_t)s->slot << 32 | s->generation;
}

ln_session *ln_session_of(const ln_sessions *n, uint64_t handle) {
    uint32_t slot = (uint32_t)(handle >> 32) & (SLOTS_MAX - 1);
    if (slot >= n->slot_count) return NULL;
    const ln_session_slot *at = &n->slots[slot];
#if defined(LN_PLANT) && LN_PLANT == 17 /* tests/sim: an answer for somebody else */
    return at->session;
#endif
    return at->generation == (uint32_t)handle ? at->session : NULL;
}

ln_session *ln_session_at(const ln_sessions *n, uint32_t slot) {
    return n->slots[slot].session;
}

static int slot_take(ln_sessions *n, ln_session *s) {
    if (n->slot_free == NO_SLOT) {
        if (n->slot_count == SLOTS_MAX) return LINNET_ERR_LIMIT;
        if (n->slot_count == n->slot_capacity) {
            uint32_t capacity = n->slot_capacity ? n->slot_capacity * 2 : 64;
            ln_session_slot *slots = ln_realloc(n->slots, capacity * sizeof *slots);
            if (!slots) return LINNET_ERR_NOMEM;
            n->slots = slots;
            n->slot_capacity = capacity;
        }
        n->slots[n->slot_count] = (ln_session_slot){ .next_free = NO_SLOT };
        n->slot_free = n->slot_count++;
    }
    s->slot = n->slot_free;
    ln_session_slot *at = &n->slots[s->slot];
    n->slot_free = at->next_free;
    at->session = s;
    if (++at->generation == 0) at->generation = 1; /* a handle is never 0 */
    s->generation = at->generation;
    return LINNET_OK;
}

static void slot_give(ln_sessions *n, const ln_session *s) {
    n->slots[s->slot].session = NULL;
    n->slots[s->slot].next_free = n->slot_free;
    n->slot_free = s->slot;
}

uint64_t ln_sessions_memory(const ln_sessions *n) {
    uint64_t each = sizeof(ln_session) + 2 * LN_NATIVE_EPOCH; /* and its name */
    return ln_stat_get(&n->count) * each + n->slot_capacity * (uint64_t)sizeof *n->slots +
           (uint64_t)n->subs.slab_count * n->subs.slab_bytes;
}

/* Saying ---------------------------------------------------------------------------------- */

void ln_scratch_clear(ln_buf *b) {
    ln_buf_clear(b);
    if (b->capacity > SCRATCH_KEEP) ln_buf_fini(b);
}

/* Sends what a writer left in node->out, unless it failed. */
void ln_session_say(ln_session *s, int err) {
    ln_buf *out = &s->node->out;
    if (err == LINNET_OK && out->size) err = ln_conn_send(s->conn, LN_OP_TEXT, ln_buf_slice(out));
    if (err == LINNET_ERR_NOMEM || err == LINNET_ERR_TOO_BIG) ln_conn_fail(s->conn, err);
    ln_scratch_clear(out);
}

/* With the dialects of strangers all that is about policy is 1008. */
void ln_session_end(ln_session *s, uint16_t code, const char *reason) {
    if (s->closed) return;
    s->closed = true;
    if (s->paused) ln_conn_resume(s->conn, LN_PAUSE_WAIT); /* for the peer's Close */
    s->paused = false;
    uint16_t why = code;
    if (ln_session_dialect(s)->plain) code = 1008;
    ln_farewell_close(s, code, why, reason);
    ln_conn_close(s->conn, code, ln_slice_str(reason));
}

/* A fault of the peer: counted, and too many of them end it. */
static void blame(ln_session *s, const ln_native_error *error) {
    const ln_session_limits *l = s->limits;
    unsigned row = (unsigned)error->code - LN_NATIVE_INTERNAL;
    ln_stat_add(&s->node->errors, 1);
    ln_stat_add(&s->node->error_codes[row < LN_ERROR_CODES ? row : LN_ERROR_CODES - 1], 1);
    if (ln_session_now(s) - s->window >= l->errors_ms) {
        s->window = ln_session_now(s);
        s->errors = s->overs = 0;
    }
    if (error->code == LN_NATIVE_RATE_LIMITED) ln_stat_add(&s->node->limited, 1);
    if (error->retry_after_ms) { /* it was told how long to wait */
        s->overs++;
    } else {
        s->errors++;
    }
    if (!l->errors_max) return;
    if (s->overs > l->errors_max)
        ln_session_end(s, 3009, "too fast");
    else if (s->errors > l->errors_max)
        ln_session_end(s, 3003, "too many errors");
}

void ln_session_error(ln_session *s, const ln_native_error *error) {
    const ln_dialect *d = ln_session_dialect(s);
    ln_farewell_error(s, error);
    if (ln_heard(s))
        ln_hear(s, &(ln_happening){ .kind = LN_HEARD_ERROR,
                       .channel = error->channel,
                       .code = (int)error->code,
                       .text = ln_slice_str(ln_dialect_words(error)) });
    ln_session_say(s, d->error(&s->node->out, error));
    blame(s, error);
    if (d->mute) ln_session_end(s, 1008, ln_dialect_words(error));
}

static void refuse(ln_session *s, const ln_native_command *c, ln_native_error error) {
    error.re = c->id;
    if (c->channel.size <= LN_CHANNEL_NAME_MAX) error.channel = c->channel;
    ln_session_error(s, &error);
}

void ln_session_refuse(
    ln_session *s, const ln_native_command *c, ln_native_code code, const char *message) {
    refuse(s, c, (ln_native_error){ .code = code, .message = message });
}

void ln_session_lacks(ln_session *s, const ln_native_command *c, const char *message) {
    refuse(s, c,
        (ln_native_error){ .code = LN_NATIVE_NOT_AVAILABLE, .message = message, .vain = true });
}

ln_native_code ln_session_code(int err) {
    switch (err) {
    case LINNET_ERR_INVAL:
    case LINNET_ERR_JSON: return LN_NATIVE_BAD_REQUEST;
    case LINNET_ERR_DENIED: return LN_NATIVE_PERMISSION_DENIED;
    case LINNET_ERR_LIMIT: return LN_NATIVE_LIMIT_EXCEEDED;
    case LINNET_ERR_EXISTS: return LN_NATIVE_CONFLICT;
    case LINNET_ERR_NOT_FOUND: return LN_NATIVE_UNRECOVERABLE_POSITION;
    case LINNET_ERR_TOO_BIG: return LN_NATIVE_PAYLOAD_TOO_LARGE;
    case LINNET_ERR_TIMEOUT: return LN_NATIVE_TIMEOUT;
    case LINNET_ERR_NOMEM: return LN_NATIVE_INTERNAL;
    default: return LN_NATIVE_NOT_AVAILABLE;
    }
}

void ln_session_refuse_err(ln_session *s, const ln_native_command *c, int err) {
    const char *message = NULL;
    if (err == LINNET_ERR_INVAL) message = "not a channel name";
    bool user = !s->login && ln_slice_starts(c->channel, LN_SLICE("@"));
    bool reserved = user || ln_channel_name_check(LN_SPACE_CHANNELS, c->channel) == err;
    if (err == LINNET_ERR_DENIED && reserved) message = "this channel name is reserved";
    if (err == LINNET_ERR_UNSUPPORTED)
        ln_session_lacks(s, c, message);
    else
        ln_session_refuse(s, c, ln_session_code(err), message);
}

void ln_session_say_message(ln_session *s, const ln_publication *p, bool replay) {
    ln_buf *out = &s->node->out;
    if (!s->bin || !ln_bytes_are(ln_publication_data(p))) {
        int err = ln_native_say(out, p, replay);
        if (err == LINNET_OK) err = ln_conn_send_item(s->conn, ln_buf_slice(out));
        ln_scratch_clear(out);
        ln_session_say(s, err);
        return;
    }
    ln_native_message m = ln_native_said(p);
    m.replay = replay;
    int err = ln_bytes_put_message(out, &m);
    if (err == LINNET_OK) err = ln_conn_send(s->conn, LN_OP_BINARY, ln_buf_slice(out));
    ln_scratch_clear(out);
    ln_session_say(s, err);
}

void ln_session_ok(ln_session *s, const ln_reply *reply) {
    ln_sessions *n = s->node;
    ln_reply timed = *reply;
    timed.ts = ln_hub_wall(n->hub);
    int err = ln_session_dialect(s)->ok(&n->out, &timed);
    /* What answers a token shares no compression with what others may choose (THREATS row 66). */
    if (err == LINNET_OK && n->out.size && (reply->user.size || reply->resume.size)) {
        err = ln_conn_send_plain(s->conn, LN_OP_TEXT, ln_buf_slice(&n->out));
        ln_buf_clear(&n->out);
    }
    ln_session_say(s, err);
}

/* Who it is ------------------------------------------------------------------------------- */

const ln_identity *ln_session_identity(const ln_session *s) {
    return s->login ? s->login->id : NULL;
}

ln_slice ln_session_user(const ln_session *s) {
    const ln_identity *id = ln_session_identity(s);
    return id ? ln_identity_user(id) : ln_slice_of(NULL, 0);
}

ln_slice ln_session_info(const ln_session *s) {
    const ln_identity *id = ln_session_identity(s);
    return id ? ln_identity_info(id) : ln_slice_of(NULL, 0);
}

int ln_session_may(const ln_session *s, ln_act act, ln_slice channel) {
    const ln_namespaces *spaces = s->node->hub->homes.namespaces;
    ln_permit_ask ask = {
        .space = ln_namespace_of(spaces, channel),
        .who = ln_session_identity(s),
    };
    ask.known = !s->login || ask.who;
    if (ask.space->allow[act] == LN_RULE_SUBSCRIBERS) {
        const ln_sub *sub = ln_sub_find(s, channel);
        ask.subscribed = sub && !ln_sub_leaves(sub);
    }
    return ln_permit(&ask, act, channel);
}

void ln_chain_put(const uint8_t chain[LN_CHAIN], char out[LN_SESSION_ID]) {
    uint64_t parts[2];
    memcpy(parts, chain, sizeof parts);
    ln_native_epoch_put(parts[0], out);
    ln_native_epoch_put(parts[1], out + LN_NATIVE_EPOCH);
}

void ln_session_id(const ln_session *s, char out[LN_SESSION_ID]) {
    ln_chain_put(s->chain, out);
}

void ln_session_goaway(ln_conn *c, uint64_t after_ms, const char *reason) {
    ln_session *s = c->owner;
    if (s->closed || s->dialect != LN_USER_NATIVE) return;
    ln_session_say(s, ln_native_put_goaway(&s->node->out, after_ms, reason));
}

/* Heartbeat ------------------------------------------------------------------------------- */

/* A second before the connection would send a Ping of its own, which a page could not see. */
static uint32_t beat_period(const ln_session *s) {
    uint32_t ms = s->limits->ping_ms;
    return ms > 2000 ? ms - 1000 : ms;
}

/* in_ms UINT32_MAX: no ping is due, ever. */
static void beat_plan(ln_session *s, uint32_t in_ms) {
    uint32_t ticket_ms = ln_resume_due_ms(s);
    if (ticket_ms < in_ms) in_ms = ticket_ms;
    if (in_ms == UINT32_MAX) return;
    ln_sessions *n = s->node;
    uint64_t in_s = ((uint64_t)in_ms + 999) / 1000;
    if (in_s == 0) in_s = 1;
    if (in_s >= BEATS) in_s = BEATS - 1;
    uint64_t at = ln_hub_now(n->hub) / 1000 + in_s;
    ln_list_remove(&s->beat);
    ln_list_push(&n->beats[at % BEATS], &s->beat);
    if (at < n->beat_due) n->beat_due = at;
}

static uint32_t silence(const ln_session *s) {
    uint32_t now = ln_session_now(s), heard = now - s->conn->heard, spoke = now - s->conn->spoke;
    return heard > spoke ? heard : spoke;
}

void ln_session_plan(ln_session *s) {
    uint32_t silent = silence(s), period = beat_period(s);
    if (!period)
        beat_plan(s, UINT32_MAX);
    else
        beat_plan(s, silent < period ? period - silent : period);
}

/* A ticket shares no compression with what others may choose (THREATS row 66). */
static void ping(ln_session *s, bool with_ticket) {
    ln_buf ticket, *out = &s->node->out;
    ln_buf_init(&ticket, LN_BUF_MAX);
    with_ticket = with_ticket && ln_resume_ticket(s, &ticket);
    int err = ln_native_put_ping(out, ln_buf_slice(&ticket));
    if (err == LINNET_OK && with_ticket) {
        err = ln_conn_send_plain(s->conn, LN_OP_TEXT, ln_buf_slice(out));
        ln_buf_clear(out);
    }
    ln_session_say(s, err);
    ln_buf_fini(&ticket);
}

/* Silence from either side for the period: says something that a page can hear. So it does when its
 * ticket gets old. */
static void beat(ln_session *s) {
    uint32_t period = beat_period(s);
    bool ticket = !s->closed && ln_resume_due_ms(s) == 0;
    bool due = period && silence(s) >= period;
    if (ticket || due) ping(s, ticket);
    ln_session_plan(s);
}

static ln_stat *kin(const ln_session *s) {
    return &s->node->by_dialect[s->dialect == LN_DIALECT_AUTO ? LN_DIALECTS : s->dialect];
}

void ln_session_decide(ln_session *s, uint8_t dialect) {
    ln_stat_sub(kin(s), 1);
    s->dialect = dialect;
    ln_stat_add(kin(s), 1);
    uint32_t ping_ms = s->limits->ping_ms;
    if (dialect == LN_USER_NATIVE) beat_plan(s, ping_ms ? ping_ms : UINT32_MAX);
    if (ln_dialects[dialect]->plain && s->plain) s->conn->config = s->plain;
}

static void bury(ln_sessions *n) {
    for (ln_list *node; (node = ln_list_pop(&n->gone));) {
        ln_session *s = ln_list_item(node, ln_session, beat);
        if (s->client != s->own) ln_free(s->client);
        ln_free(s);
    }
}

void ln_sessions_tick(ln_sessions *n) {
    bury(n);
    ln_asks_tick(n);
    ln_logins_tick(n);
    ln_callouts_tick(n);
    uint64_t second = ln_hub_now(n->hub) / 1000;
    if (second < n->beat_due) return;
    uint64_t from = n->beat_due + BEATS > second ? n->beat_due : second - BEATS + 1;
    n->beat_due = UINT64_MAX;
    ln_list due;
    ln_list_init(&due);
    for (; from <= second; from++)
        ln_list_splice(&due, &n->beats[from % BEATS]);
    for (ln_list *node; (node = ln_list_pop(&due));)
        beat(ln_list_item(node, ln_session, beat));
    for (uint64_t at = second + 1; at < second + BEATS && at < n->beat_due; at++)
        if (!ln_list_empty(&n->beats[at % BEATS])) n->beat_due = at;
}

ln_msec ln_sessions_deadline(const ln_sessions *n) {
    if (!ln_list_empty(&n->gone)) return ln_hub_now(n->hub);
    ln_msec beat = n->beat_due == UINT64_MAX ? LN_NEVER : n->beat_due * 1000;
    ln_msec asked = ln_asks_deadline(n), login = ln_logins_deadline(n);
    ln_msec called = ln_callouts_deadline(n);
    if (called < beat) beat = called;
    if (login < beat) beat = login;
    return asked < beat ? asked : beat;
}

/* Opening and closing --------------------------------------------------------------------- */

static void random_name(ln_rand *rand, char out[LN_NATIVE_EPOCH]) {
    ln_native_epoch_put(ln_rand_u64(rand), out);
}

static void welcome(ln_session *s, ln_slice data) {
    ln_sessions *n = s->node;
    char session[LN_SESSION_ID];
    ln_buf ticket;
    ln_buf_init(&ticket, LN_BUF_MAX);
    ln_session_id(s, session);
    ln_resume_ticket(s, &ticket);
    ln_native_welcome w = {
        .client = ln_slice_of(s->client, s->client_size),
        .session = ln_slice_of(session, sizeof session),
        .resume = ln_buf_slice(&ticket),
        .dedup_s = LN_SEQ_MS / 1000,
        .node = ln_slice_str(n->node),
        .ping_s = s->limits->ping_ms / 1000,
        .timeout_s = s->limits->pong_ms / 1000,
        .message_max = s->limits->message_max,
        .ts = ln_hub_wall(n->hub),
        .auth = s->login && s->login->state == LN_LOGIN_WANTED,
        .user = ln_session_user(s),
        .data = data,
        .bin = s->bin,
    };
    const ln_identity *id = ln_session_identity(s);
    uint64_t now_s = ln_hub_wall(n->hub) / 1000;
    if (id && id->expires) w.expires = id->expires > now_s ? id->expires - now_s : 1;
    int err = ln_native_put_welcome(&n->out, &w);
    if (err == LINNET_OK) err = ln_conn_send_plain(s->conn, LN_OP_TEXT, ln_buf_slice(&n->out));
    ln_buf_clear(&n->out);
    ln_session_say(s, err);
    ln_buf_fini(&ticket);
}

static int make(ln_sessions *n, ln_conn *c, const ln_session_options *o, ln_session **out) {
    char made[LN_NATIVE_EPOCH];
    ln_slice client = o->client;
    if (client.size > LN_CLIENT_NAME_MAX) return LINNET_ERR_INVAL;
    if (client.size == 0) {
        random_name(n->rand, made);
        client = ln_slice_of(made, sizeof made);
    }
    ln_session *s = ln_calloc(1, sizeof *s + client.size);
    if (!s) return LINNET_ERR_NOMEM;
    int err = slot_take(n, s);
    if (err < 0) {
        ln_free(s);
        return err;
    }
    s->node = n;
    s->conn = c;
    s->limits = o->limits;
    s->plain = o->plain;
    s->bin = o->bin;
    s->dialect = LN_DIALECT_AUTO;
    s->text = (uint8_t)o->text;
    s->window = ln_session_now(s);
    s->begun = (uint32_t)(ln_hub_wall(n->hub) / 1000);
    if (!n->started) n->started = s->begun;
    s->client = s->own;
    s->client_size = (uint8_t)client.size;
    memcpy(s->own, client.data, client.size);
    uint64_t chain[2] = { ln_rand_u64(n->rand), ln_rand_u64(n->rand) };
    memcpy(s->chain, chain, sizeof chain);
    ln_list_init(&s->beat);
    ln_buf_init(&s->held, o->limits->held_max);
    *out = s;
    return LINNET_OK;
}

int ln_session_open(ln_sessions *n, ln_conn *c, const ln_session_options *o) {
    assert(o->limits->outstanding_max > 0 && o->limits->commands_max > 0);
    assert(o->dialect < LN_DIALECTS || o->dialect == LN_DIALECT_AUTO);
    ln_session *s;
    int err = make(n, c, o, &s);
    if (err < 0) {
        ln_free(o->identity);
        return err;
    }
    if ((err = ln_login_open(s, o)) < 0) {
        slot_give(n, s);
        ln_free(s);
        return err;
    }
    c->ops = &ln_session_ops;
    c->owner = s;
    ln_farewell_begin(s);
    ln_stat_add(&n->count, 1);
    ln_stat_add(kin(s), 1);
    if (o->dialect != LN_DIALECT_AUTO) ln_session_decide(s, o->dialect);
    if (ln_heard(s)) ln_hear(s, &(ln_happening){ .kind = LN_HEARD_CONNECT });
    if (o->dialect == LN_USER_NATIVE) {
        ln_conn_arrays(c); /* the welcome says so */
        welcome(s, o->data);
    }
    ln_jws_fault refused = o->refused ? o->refused : ln_session_barred(s);
    if (refused) ln_login_refused(s, refused);
    ln_seat_ask(s);
    ln_login_settle(s);
    if (o->feed.size) ln_login_feed(s, o->feed);
    return LINNET_OK;
}

static void take_text(ln_session *s, ln_slice text) {
    if (s->paused)
        ln_session_hold(s, text, false); /* it came in the same piece of input */
    else
        ln_session_read(s, text, false);
}

/* A command and bytes, as the text that says the same. */
static void take_bytes(ln_session *s, ln_slice message) {
    ln_buf *text = &s->node->unpacked;
    const char *why = NULL;
    ln_native_error error = { .code = LN_NATIVE_BAD_REQUEST };
    if (s->dialect == LN_DIALECT_AUTO) ln_session_decide(s, LN_USER_NATIVE);
    int err = ln_bytes_command(message, text, &why);
    error.message = why;
    if (err == LN_DONE)
        take_text(s, ln_buf_slice(text));
    else if (err != LINNET_ERR_JSON)
        ln_conn_fail(s->conn, err);
    else if (!ln_login_bars_text(s))
        ln_session_error(s, &error);
    ln_scratch_clear(text);
}

static void on_message(ln_conn *c, uint8_t opcode, ln_wslice data) {
    ln_session *s = c->owner;
    if (s->closed) return;
    ln_slice message = ln_slice_of(data.data, data.size);
    bool native = s->dialect == LN_USER_NATIVE || s->dialect == LN_DIALECT_AUTO;
    if (opcode == LN_OP_TEXT) {
        take_text(s, message);
    } else if (s->bin && native) {
        take_bytes(s, message);
    } else {
        s->closed = true;
        ln_conn_fail(c, LINNET_ERR_DATA_TYPE);
    }
}

/* No Close came, or one that tells the client to come back: others hear of it only when it does
 * not. */
static bool comes_back(uint16_t code) {
    return code == 1006 || code == 1012 || code == 1013 || (code >= 3000 && code < 3500);
}

/* The memory goes at the next tick: whoever caused this may still be at work on the session. */
static void on_close(ln_conn *c, uint16_t code, ln_slice reason, int err) {
    ln_session *s = c->owner;
    s->closed = true;
    ln_farewell(s, code, reason, err);
    ln_ask_end(s);
    ln_callouts_end(s);
    ln_question gone = { .kind = LN_TELL_DISCONNECT, .code = code, .reason = reason };
    ln_ask_tell(s, &gone);
    s->lost = s->taken || comes_back(code);
    ln_resume_close(s);
    while (s->subs)
        ln_sub_free(s->subs);
    ln_login_close(s);
    slot_give(s->node, s);
    ln_buf_fini(&s->held);
    ln_stat_sub(&s->node->count, 1);
    ln_stat_sub(kin(s), 1);
    ln_list_remove(&s->beat);
    ln_list_push(&s->node->gone, &s->beat);
}

/* The peer has read most of what waited for it. */
static void on_drain(ln_conn *c) {
    ln_session *s = c->owner;
    if (s->closed) return;
    ln_session_answered(s);
    ln_recover_on(s);
}

static void on_parting(ln_conn *c) {
    ln_farewell_parting(c->owner);
}

const ln_conn_ops ln_session_ops = {
    .on_message = on_message, .on_drain = on_drain, .on_close = on_close, .on_parting = on_parting
};

static ln_slice chain_of(const void *value) {
    return ln_slice_of(((const ln_session *)value)->chain, LN_CHAIN);
}

int ln_sessions_init(ln_sessions *n, ln_hub *hub, ln_rand *rand, ln_slice node) {
    *n = (ln_sessions){ .hub = hub, .rand = rand, .self = hub->self };
    assert(node.size < sizeof n->node);
    memcpy(n->node, node.data, node.size);
    n->slot_free = NO_SLOT;
    n->beat_due = n->login_due = UINT64_MAX;
    for (int i = 0; i < LN_LOGIN_SLOTS; i++)
        ln_list_init(&n->logins[i]);
    for (int i = 0; i < BEATS; i++)
        ln_list_init(&n->beats[i]);
    ln_list_init(&n->gone);
    ln_list_init(&n->asked);
    ln_list_init(&n->callouts);
    ln_list_init(&n->lacking);
    ln_bans_init(&n->bans, hub->key, LN_BANS_MAX);
    ln_pool_init(&n->subs, sizeof(ln_sub), UINT32_MAX);
    ln_map_init(&n->chains, hub->key, chain_of, SLOTS_MAX);
    ln_buf_init(&n->scratch, LN_NATIVE_SCRATCH);
    ln_buf_init(&n->out, LN_BUF_MAX);
    ln_buf_init(&n->packed, LN_BUF_MAX);
    ln_buf_init(&n->unpacked, LN_BUF_MAX);
    int err = ln_buf_reserve(&n->scratch, LN_NATIVE_SCRATCH);
    if (err < 0) return err;
    ln_hub_user user = ln_subs_user(n);
    for (uint8_t i = 0; i < LN_DIALECTS; i++)
        ln_hub_use(hub, i, &user);
    return LINNET_OK;
}

void ln_sessions_fini(ln_sessions *n) {
    bury(n);
    assert(ln_stat_get(&n->count) == 0);
    ln_buf_fini(&n->scratch);
    ln_buf_fini(&n->out);
    ln_buf_fini(&n->packed);
    ln_buf_fini(&n->unpacked);
    ln_bans_fini(&n->bans);
    ln_ends_fini(&n->ends);
    for (uint8_t i = 0; i < LN_DIALECTS; i++)
        n->hub->users[i].ctx = NULL; /* a seat may still be on its way, see seat.c */
    ln_map_fini(&n->chains);
    ln_pool_fini(&n->subs);
    ln_free(n->slots);
    n->slots = NULL;
}
