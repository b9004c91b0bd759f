/* C, "rpc": every text is an envelope {id, type, payload, timestamp}, and an answer names the
 * request. Its clients drop what has no id or no type, and take `error` for the words of an
 * exception.
 */
#include "session/dialect.h"
#include <stdio.h>

#define ID_MAX (LN_NATIVE_RE_MAX + 8)

/* Ids of ours, which no request has: the letter says what it is. JSON. */
static ln_slice answer_id(ln_slice re, char out[ID_MAX]) {
    size_t size = 0;
    out[size++] = '"';
    out[size++] = 'r';
    out[size++] = ':';
    bool quoted = re.size && re.data[0] == '"';
    ln_slice inner = quoted ? ln_slice_sub(re, 1, re.size - 1) : re;
    if (inner.size) memcpy(out + size, inner.data, inner.size);
    size += inner.size;
    out[size++] = '"';
    return ln_slice_of(out, size);
}

static ln_json_writer begin(ln_buf *out, ln_slice id, const char *type) {
    ln_json_writer w = ln_json_begin(out);
    ln_json_open(&w, '{');
    ln_json_key(&w, "id");
    ln_json_raw(&w, id);
    ln_json_key(&w, "type");
    ln_json_str(&w, ln_slice_str(type));
    return w;
}

static ln_json_writer begin_answer(ln_buf *out, ln_slice re, const char *type) {
    char id[ID_MAX];
    ln_json_writer w = begin(out, answer_id(re, id), type);
    if (re.size) {
        ln_json_key(&w, "requestId");
        ln_json_raw(&w, re);
    }
    return w;
}

static void put_u64(ln_json_writer *w, const char *key, uint64_t v) {
    ln_json_key(w, key);
    ln_json_u64(w, v);
}

static int end(ln_json_writer *w) {
    ln_json_close(w, '}');
    return ln_json_end(w);
}

static void put_position(ln_json_writer *w, const ln_reply *reply) {
    bool placed = reply->verb == LN_VERB_SUBSCRIBE || reply->at.offset > 0;
    if (!placed || !reply->at.epoch) return;
    char epoch[LN_NATIVE_EPOCH];
    ln_native_epoch_put(reply->at.epoch, epoch);
    ln_json_key(w, "epoch");
    ln_json_str(w, ln_slice_of(epoch, sizeof epoch));
    put_u64(w, "offset", reply->at.offset);
}

static int rpc_ok(ln_buf *out, const ln_reply *reply) {
    if (!reply->re.size) return LINNET_OK;
    ln_json_writer w = begin_answer(out, reply->re, "response");
    ln_json_key(&w, "payload");
    if (reply->data.size) {
        ln_json_raw(&w, reply->data);
        put_u64(&w, "timestamp", reply->ts);
        return end(&w);
    }
    ln_json_open(&w, '{');
    ln_json_key(&w, "success");
    ln_json_bool(&w, true);
    if (reply->channel.size) {
        ln_json_key(&w, "channel");
        ln_json_str(&w, reply->channel);
    }
    if (reply->user.size) {
        ln_json_key(&w, "user");
        ln_json_str(&w, reply->user);
    }
    put_position(&w, reply);
    if (reply->roll && reply->verb == LN_VERB_PRESENCE)
        ln_roll_put(&w, "members", reply->roll, reply->page);
    ln_json_close(&w, '}');
    put_u64(&w, "timestamp", reply->ts);
    return end(&w);
}

static int rpc_error(ln_buf *out, const ln_native_error *error) {
    ln_json_writer w = begin_answer(out, error->re, "error");
    ln_json_key(&w, "error");
    ln_json_str(&w, ln_slice_str(ln_dialect_words(error)));
    put_u64(&w, "code", (uint64_t)error->code);
    if (error->retry_after_ms) put_u64(&w, "retry_after", error->retry_after_ms);
    return end(&w);
}

static int rpc_message(ln_buf *out, const ln_publication *p) {
    char id[32]; /* one without a place is known by its time */
    bool placed = p->at.offset > 0;
    int size = snprintf(id, sizeof id, "\"%c:%llu\"", placed ? 'e' : 'v',
        (unsigned long long)(placed ? p->at.offset : p->ts));
    ln_json_writer w = begin(out, ln_slice_of(id, (size_t)size), "event");
    put_u64(&w, "timestamp", p->ts);
    ln_slice event = ln_publication_event(p);
    ln_json_key(&w, "payload");
    ln_json_open(&w, '{');
    ln_json_key(&w, "event");
    ln_json_str(&w, event.size ? event : LN_SLICE("message"));
    ln_json_key(&w, "channel");
    ln_json_str(&w, ln_publication_channel(p));
    ln_json_key(&w, "data");
    ln_json_raw(&w, ln_publication_data(p));
    ln_json_close(&w, '}');
    return end(&w);
}

static int rpc_presence(ln_buf *out, ln_slice channel, ln_slice packed, uint64_t ts) {
    char id[32];
    int size = snprintf(id, sizeof id, "\"p:%llu\"", (unsigned long long)ts);
    ln_json_writer w = begin(out, ln_slice_of(id, (size_t)size), "event");
    put_u64(&w, "timestamp", ts);
    ln_json_key(&w, "payload");
    ln_json_open(&w, '{');
    ln_json_key(&w, "event");
    ln_json_str(&w, LN_SLICE("presence"));
    ln_json_key(&w, "channel");
    ln_json_str(&w, channel);
    ln_json_key(&w, "data");
    ln_json_open(&w, '{');
    ln_diff_put(&w, packed);
    ln_json_close(&w, '}');
    ln_json_close(&w, '}');
    return end(&w);
}

static int rpc_pong(ln_buf *out, ln_slice re, uint64_t ts) {
    ln_json_writer w = begin_answer(out, re, "pong");
    put_u64(&w, "timestamp", ts);
    return end(&w);
}

/* As its own clients ask: a command, and its answer is a response, or an error, that names it. */
static int rpc_call(ln_buf *out, uint64_t number, ln_slice event, ln_slice data, uint64_t ts) {
    char id[32];
    int size = snprintf(id, sizeof id, "\"c:%llu\"", (unsigned long long)number);
    ln_json_writer w = begin(out, ln_slice_of(id, (size_t)size), "command");
    put_u64(&w, "timestamp", ts);
    ln_json_key(&w, "payload");
    ln_json_open(&w, '{');
    ln_json_key(&w, "action");
    ln_json_str(&w, event);
    ln_json_key(&w, "parameters");
    ln_json_raw(&w, data);
    ln_json_close(&w, '}');
    return end(&w);
}

const ln_dialect ln_dialect_rpc = {
    .protocol = "linnet.rpc",
    .name = "rpc",
    .plain = true,
    .open = ln_envelope_rpc,
    .ok = rpc_ok,
    .error = rpc_error,
    .message = rpc_message,
    .presence = rpc_presence,
    .pong = rpc_pong,
    .call = rpc_call,
};
