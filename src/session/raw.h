/* raw.h -- raw topics: any connection of the library subscribes and publishes bytes.
 *
 * Class live, a name space of its own, no envelope: what was published is the message. A publisher
 * that is subscribed gets its own. The list lives in whoever owns the connection and costs a
 * pointer.
 */
#ifndef LN_SESSION_RAW_H
#define LN_SESSION_RAW_H
#include "session/dialect.h"

typedef struct ln_raw { /* all zero: no topics */
    struct ln_topic *first;
} ln_raw;

/* Tells the hub of a worker who delivers raw topics; once. */
void ln_raw_use(ln_hub *hub);

/* LINNET_OK: the connection is in the topic, or will be before anything it publishes from now on is
 * delivered. LINNET_ERR_EXISTS: it is already. LINNET_ERR_INVAL (the name is empty or over 255
 * bytes), LINNET_ERR_LIMIT (topics_max, or the hub's), LINNET_ERR_NOMEM. */
int ln_raw_subscribe(ln_raw *raw, ln_hub *hub, ln_conn *c, ln_slice topic, uint32_t topics_max);
/* Behind what the connection has published there before; what others publish meanwhile may come
 * too. LINNET_ERR_NOT_FOUND. */
int ln_raw_unsubscribe(ln_raw *raw, ln_hub *hub, ln_slice topic);
/* Of who is on the way out of all topics: he is out now, whatever was still to come. */
void ln_raw_hasten(ln_raw *raw, ln_hub *hub);
/* opcode LN_OP_TEXT (must be UTF-8) or LN_OP_BINARY. LINNET_ERR_INVAL, LINNET_ERR_NOMEM. */
int ln_raw_publish(ln_hub *hub, ln_slice topic, uint8_t opcode, ln_slice payload);
/* Out of all topics: in on_close. */
void ln_raw_close(ln_raw *raw, ln_hub *hub);
#endif
