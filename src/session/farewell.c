/* farewell.c -- what is remembered of a session for the time after it (ends.h).
 *
 * Where it came from and when it began is written down at once: of a connection that was reset the
 * kernel knows neither any more.
 */
#include "base/mem.h"
#include "session/inner.h"

/* NULL without memory: then less is known in the end. */
static ln_fate *fate_of(ln_session *s) {
    if (!s->fate) s->fate = ln_calloc(1, sizeof *s->fate);
    return s->fate;
}

/* As much of it as fits, and no half characters. */
static uint8_t put_text(char out[LN_FATE_TEXT_MAX], ln_slice text) {
    size_t size = text.size < LN_FATE_TEXT_MAX ? text.size : LN_FATE_TEXT_MAX;
    while (size && size < text.size && text.data[size] >> 6 == 2)
        size--;
    if (size) memcpy(out, text.data, size);
    return (uint8_t)size;
}

void ln_farewell_begin(ln_session *s) {
    const ln_sessions *n = s->node;
    s->opened = ln_hub_wall(n->hub);
    s->from_known = n->address_of && n->address_of(s->conn, &s->from);
}

void ln_farewell_error(ln_session *s, const ln_native_error *error) {
    ln_fate *f = fate_of(s);
    if (!f) return;
    f->error_at = ln_hub_wall(s->node->hub);
    f->error = (uint16_t)error->code;
    f->error_size = put_text(f->error_text, ln_slice_str(ln_dialect_words(error)));
}

void ln_farewell_close(ln_session *s, uint16_t code, uint16_t why, const char *reason) {
    ln_fate *f = fate_of(s);
    if (!f) return;
    f->code = code;
    f->why = why;
    f->reason_size = put_text(f->reason, ln_slice_str(reason));
}

void ln_farewell_parting(ln_session *s) {
    s->counted = ln_conn_traffic(s->conn, &s->in, &s->out);
}

static ln_end_by by_of(const ln_session *s, uint16_t code, int err) {
    if (ln_conn_ours(s->conn) || (s->fate && s->fate->code)) return LN_END_SERVER;
    if (err < 0 && err != LINNET_ERR_RESET) return LN_END_SERVER;
    return code == 1006 ? LN_END_NETWORK : LN_END_CLIENT;
}

/* What our error row says, unless the peer's Close was there first. */
static uint16_t code_of(const ln_session *s, uint16_t code, int err) {
    uint16_t ours = err < 0 && err != LINNET_ERR_TIMEOUT ? ln_err_close_code(err) : 0;
    if (!ours) return code;
    return err == LINNET_ERR_SLOW ? s->conn->config->slow_code : ours;
}

void ln_farewell(ln_session *s, uint16_t code, ln_slice reason, int err) {
    ln_sessions *n = s->node;
    char address[LN_IP_TEXT];
    const ln_fate *f = s->fate;
    if (!s->counted) ln_farewell_parting(s);
    ln_end e = { .opened = s->opened,
        .closed = ln_hub_wall(n->hub),
        .in = s->in,
        .out = s->out,
        .counted = s->counted,
        .dialect = s->dialect == LN_DIALECT_AUTO ? "undecided" : ln_session_dialect(s)->name,
        .client = ln_slice_of(s->client, s->client_size),
        .user = ln_session_user(s),
        .reason = reason,
        .by = (uint8_t)by_of(s, code, err),
        .code = code_of(s, code, err),
        .err = err };
    e.why = err == LINNET_ERR_SLOW ? 3008 : e.code;
    if (s->from_known) e.address = ln_slice_of(address, ln_ip_text(&s->from, address));
    if (f && f->code) {
        e.code = f->code;
        e.why = f->why;
        e.reason = ln_slice_of(f->reason, f->reason_size);
    }
    if (f && f->error_at) {
        e.error = f->error;
        e.error_at = f->error_at;
        e.error_text = ln_slice_of(f->error_text, f->error_size);
    }
    if (e.reason.size > LN_FATE_TEXT_MAX) e.reason.size = LN_FATE_TEXT_MAX;
    if (ln_heard(s)) ln_hear(s, &(ln_happening){ .kind = LN_HEARD_DISCONNECT, .end = &e });
    ln_ends_add(&n->ends, ln_end_new(&e));
    ln_free(s->fate);
    s->fate = NULL;
}
