#include "lib/limits.h"
#include "conn/conn.h"
#include "wire/ext.h"

static uint32_t pick(uint32_t value, uint32_t standard, uint32_t off) {
    if (value == 0) return standard;
    return value == LINNET_OFF ? off : value;
}

/* These two are added up, in 32 bits. */
static uint32_t addend(uint32_t ms) {
    return ms < UINT32_MAX / 4 ? ms : UINT32_MAX / 4;
}

static int deflate_limits(
    const linnet_conn_limits *l, bool client, ln_conn_config *c, ln_pmd_policy *p) {
    bool takeover = l->deflate == LINNET_DEFLATE_TAKEOVER;
    if ((unsigned)l->deflate > LINNET_DEFLATE_TAKEOVER) return LINNET_ERR_INVAL;
    uint32_t level = pick(l->deflate_level, takeover ? 6 : 1, 1);
    uint32_t bits = pick(l->window_bits, takeover ? 12 : 15, 15);
    if (level < 1 || level > 9 || bits < 9 || bits > 15) return LINNET_ERR_INVAL;
    c->ws.deflate_level = (uint8_t)level;
    c->ws.deflate_memory = takeover && bits < 15 ? 5 : 8;
    c->ws.deflate_threshold = pick(l->deflate_threshold, LN_LIM_THRESHOLD, 0);
    c->ws.one_shot = true;
    /* The other side's window costs us memory for inflating only when it keeps it. */
    *p = (ln_pmd_policy){ .enabled = l->deflate != LINNET_DEFLATE_OFF,
        .server_takeover = client || takeover,
        .client_takeover = takeover,
        .server_bits_max = (uint8_t)(client ? 15 : bits),
        .client_bits_max = (uint8_t)(client ? bits : 15) };
    return LINNET_OK;
}

int ln_limits_conn(const linnet_conn_limits *l, bool client, ln_conn_config *c, ln_pmd_policy *p) {
    if (l->size != sizeof *l || l->message_max > LN_LIM_MESSAGE_CEILING) return LINNET_ERR_INVAL;
    *c = (ln_conn_config){ .queued_max = pick(l->queued_max, LN_LIM_QUEUED, UINT32_MAX / 2),
        .queued_age_ms = pick(l->queued_age_ms, LN_LIM_QUEUED_AGE, 0),
        .high = pick(l->high_mark, LN_LIM_HIGH, UINT32_MAX / 2),
        .low = pick(l->low_mark, LN_LIM_LOW, 0),
        .ping_ms = addend(pick(l->ping_ms, LN_LIM_PING, 0)),
        .pong_ms = addend(pick(l->pong_ms, LN_LIM_PONG, UINT32_MAX)),
        .idle_ms = pick(l->idle_ms, 0, 0),
        .message_ms = pick(l->message_ms, LN_LIM_MESSAGE_MS, 0),
        .close_ms = pick(l->close_ms, LN_LIM_CLOSE_MS, LN_LIM_CLOSE_MS),
        .linger_ms = LN_LIM_LINGER_MS,
        .control_per_s = pick(l->control_per_s, LN_LIM_CONTROLS, 0),
        .slow_code = 3008 };
    c->ws.message_max = l->message_max ? l->message_max
                        : client       ? LN_LIM_MESSAGE_CLIENT
                                       : LN_LIM_MESSAGE;
    c->ws.fragments_max = pick(l->fragments_max, LN_LIM_FRAGMENTS, UINT32_MAX);
    c->ws.client = client;
    if (!l->low_mark && c->low >= c->high) c->low = c->high / 4; /* the host set only the other */
    if (c->low >= c->high) return LINNET_ERR_INVAL;
    return deflate_limits(l, client, c, p);
}
