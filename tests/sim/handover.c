#include "handover.h"
#include "conn/inner.h"

const char *const handover_names[HANDOVER_PLACES] = { "between messages", "in a header",
    "in a data frame", "in a compressed frame", "inside a character", "in a control frame",
    "between fragments", "with windows", "receiving directly", "CLOSING", "CLOSED", "FAILED" };

static void count_places(handover *to, const ln_conn *c) {
    const ln_ws *ws = &c->ws;
    bool data = ws->in_frame && ws->frame_opcode < LN_OP_CLOSE;
    const bool there[HANDOVER_PLACES] = {
        [AT_REST] = ws->state == LN_WS_OPEN && !ws->in_frame && !ws->fragments && !ws->head_size,
        [AT_HEAD] = ws->head_size > 0,
        [AT_DATA] = data,
        [AT_PACKED] = data && ws->compressed,
        [AT_TEXT] = ws->fragments && !ws->compressed && !ln_utf8_complete(ws->utf8),
        [AT_CONTROL] = ws->in_frame && !data,
        [AT_FRAGMENTS] = ws->fragments && !ws->in_frame,
        [AT_WINDOWS] = ws->pmd && (ws->pmd->deflater || ws->pmd->inflater),
        [AT_DIRECT] = ln_conn_is(c, LN_CF_DIRECT),
        [AT_CLOSING] = ws->state == LN_WS_CLOSING,
        [AT_CLOSED] = ws->state == LN_WS_CLOSED,
        [AT_FAILED] = ws->state == LN_WS_FAILED,
    };
    for (int i = 0; i < HANDOVER_PLACES; i++)
        to->places[i] += there[i];
}

/* What arrives goes into the new message buffer now. */
static void aim_again(ln_conn *c) {
    if (!ln_conn_is(c, LN_CF_DIRECT)) return;
    ln_wslice room = ln_ws_room(&c->ws, LN_RECV_LARGE);
    ln_sock_recv_into(c->env->loop, &c->sock, room);
    if (!room.size) ln_conn_unset(c, LN_CF_DIRECT);
}

static void hand_over(linnet_conn *conn, void *ctx) {
    handover *to = ctx;
    ln_conn *c = &conn->c;
    if (!c->config || c->state < LN_CONN_WS || c->state == LN_CONN_DEAD) return;
    if (ln_simnet_below(to->net, to->one_in)) return;
    count_places(to, c);
    ln_ws_tools *tools = &c->env->tools;
    ln_buf record, again;
    ln_buf_init(&record, LN_BUF_MAX);
    ln_buf_init(&again, LN_BUF_MAX);
    ln_ws restored;
    int err = ln_ws_save(&c->ws, &record);
    if (err == LINNET_OK)
        err = ln_ws_restore(&restored, c->ws.config, ln_buf_slice(&record), tools);
    if (err == LINNET_OK) {
        ln_ws_fini(&c->ws, tools);
        c->ws = restored;
        aim_again(c);
        err = ln_ws_save(&c->ws, &again);
    }
    if (err < 0)
        history_anomaly(to->h, "handover", "in state %d: %s", c->ws.state, linnet_strerror(err));
    else if (!ln_slice_eq(ln_buf_slice(&record), ln_buf_slice(&again)))
        history_anomaly(to->h, "handover", "the restored one is another, in state %d", c->ws.state);
    ln_buf_fini(&record);
    ln_buf_fini(&again);
}

void handover_some(handover *to, linnet_loop *w) {
    ln_worker_each(w, hand_over, to);
}
