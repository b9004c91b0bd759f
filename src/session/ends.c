#include "session/ends.h"
#include "base/mem.h"
#include <assert.h>

/* Ends ------------------------------------------------------------------------------------ */

static ln_slice keep(uint8_t **at, ln_slice s) {
    uint8_t *to = *at;
    if (s.size) memcpy(to, s.data, s.size);
    *at = to + s.size;
    return ln_slice_of(to, s.size);
}

ln_end *ln_end_new(const ln_end *from) {
    size_t bytes = from->client.size + from->user.size + from->address.size + from->reason.size +
                   from->error_text.size;
    ln_end *e = ln_malloc(sizeof *e + bytes + 1);
    if (!e) return NULL;
    *e = *from;
    uint8_t *at = (uint8_t *)(e + 1);
    e->client = keep(&at, from->client);
    e->user = keep(&at, from->user);
    e->address = keep(&at, from->address);
    e->reason = keep(&at, from->reason);
    e->error_text = keep(&at, from->error_text);
    ln_ref_init(&e->refs, 1);
    return e;
}

void ln_end_unref(ln_end *e) {
    if (e && ln_ref_put(&e->refs)) ln_free(e);
}

/* The ring -------------------------------------------------------------------------------- */

void ln_ends_fini(ln_ends *n) {
    for (uint32_t i = 0; i < n->count; i++)
        ln_end_unref(n->ring[(n->first + i) % LN_ENDS_MAX]);
    ln_free(n->ring);
    *n = (ln_ends){ .ring = NULL };
}

void ln_ends_add(ln_ends *n, ln_end *e) {
    if (!e) return;
    if (!n->ring) n->ring = ln_calloc(LN_ENDS_MAX, sizeof(ln_end *));
    if (!n->ring) {
        ln_end_unref(e);
        return;
    }
    if (n->count == LN_ENDS_MAX) {
        ln_end_unref(n->ring[n->first]);
        n->first = (n->first + 1) % LN_ENDS_MAX;
        n->count--;
    }
    n->ring[(n->first + n->count++) % LN_ENDS_MAX] = e;
}

ln_end *ln_ends_at(const ln_ends *n, uint32_t index, uint64_t now_ms) {
    if (index >= n->count) return NULL;
    ln_end *e = n->ring[(n->first + n->count - 1 - index) % LN_ENDS_MAX];
    return e->closed + LN_ENDS_KEEP_MS > now_ms ? e : NULL;
}

/* Words ----------------------------------------------------------------------------------- */

typedef struct row {
    uint16_t code;
    int8_t by; /* ln_end_by, or -1: whoever */
    ln_end_words words;
} row;

#define ANYBODY (-1)
#define WAIT    "nothing: clients come back by themselves"

/* The first that fits counts. */
static const row rows[] = {
    { 1000, LN_END_CLIENT, { "the client closed it", "nothing: this is how clients leave" } },
    { 1000, LN_END_SERVER,
        { "it said nothing for too long", "say something now and then, or raise idle_ms" } },
    { 1001, LN_END_CLIENT,
        { "the page was left, or the client ended", "nothing: this is how pages leave" } },
    { 1001, LN_END_SERVER, { "the server was stopped or restarted", WAIT } },
    { 1002, LN_END_SERVER,
        { "the client, or something between, broke the rules of WebSocket",
            "look at the client's library and at proxies that touch what they pass on" } },
    { 1002, LN_END_CLIENT,
        { "the client says that we broke the rules of WebSocket",
            "look at proxies between; try without compression; then tell us" } },
    { 1003, ANYBODY,
        { "a kind of message that is not taken here",
            "send JSON as text; binary frames and other texts are not for this address" } },
    { 1005, ANYBODY, { "the client closed it without saying why", "nothing, if it meant to" } },
    { 1006, ANYBODY,
        { "the connection broke: no Close came from either side",
            "when it happens at regular times, raise the idle timeout of proxies above 35 s; else "
            "a "
            "network was lost, or a process ended" } },
    { 1007, ANYBODY,
        { "text that is not UTF-8, or compressed data that is broken",
            "look at what the client sends, and at proxies that touch it" } },
    { 1008, ANYBODY,
        { "it was against the rules of this server", "the reason and the last error say more" } },
    { 1009, ANYBODY,
        { "a message over the limit",
            "send less at once, or raise max_message; before a login it is 16 KiB" } },
    { 1011, ANYBODY, { "the server had a fault of its own", "look at the server's log" } },
    { 1012, ANYBODY, { "the server was stopped or restarted", WAIT } },
    { 1013, ANYBODY, { "the server had too much to do", "see linnet status; " WAIT } },
    { 3002, ANYBODY,
        { "nobody logged in within the time",
            "send the token with the handshake, or auth as the first message" } },
    { 3003, ANYBODY, { "too many errors in a short time", "mend what the last error says" } },
    { 3005, ANYBODY,
        { "its token has expired", "send refresh with a new token when `expiring` comes" } },
    { 3008, ANYBODY,
        { "it did not read fast enough",
            "look at the client's network, publish less to it, or choose another `slow` for the "
            "namespace" } },
    { 3009, ANYBODY,
        { "it said too much too fast, and went on when it was told so",
            "heed retry_after, or raise the rate of the last error's kind" } },
    { 3010, ANYBODY, { "what it had before is not there any more", WAIT } },
    { 3012, ANYBODY,
        { "it did not answer pings", "its network was lost, or its process slept: " WAIT } },
    { 3500, ANYBODY, { "its token is no good", "linnet token verify says what is wrong with it" } },
    { 3501, ANYBODY, { "its first message could not be read", "send one JSON object per text" } },
    { 3503, ANYBODY, { "an operator or a backend has sent it away", "ask who called disconnect" } },
    { 3504, ANYBODY, { "its user has too many connections", "close others, or raise the limit" } },
    { 3505, ANYBODY, { "it is in too many channels", "leave some, or raise the limit" } },
    { 3507, ANYBODY, { "it may not be here any more", "ask who took the permission away" } },
    { 3508, ANYBODY,
        { "its session goes on on another connection", "nothing: look for that one" } },
};

ln_end_words ln_end_explain(uint16_t why, ln_end_by by, int err) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].code == why && (rows[i].by == ANYBODY || rows[i].by == (int)by))
            return rows[i].words;
    if (err < 0)
        return (ln_end_words){ linnet_strerror(err), "look at the server's log around that time" };
    if (by == LN_END_CLIENT)
        return (ln_end_words){ "the client closed it with a code of its own",
            "ask the makers of the client what it means" };
    return (ln_end_words){ "the server closed it with a code of its own",
        "the reason says more; ask who called disconnect" };
}
