/* limits.h -- every limit of the house with its default and its reason. Public options say 0 for
 * "the default", which is here and nowhere else.
 */
#ifndef LN_LIB_LIMITS_H
#define LN_LIB_LIMITS_H
#include <linnet/conn.h>

#define LN_LIM_UNKNOWN_MESSAGE (16u * 1024)        /* before somebody has logged in (THREATS) */
#define LN_LIM_MESSAGE         (64u * 1024)        /* a realtime message is small */
#define LN_LIM_MESSAGE_CLIENT  (16u * 1024 * 1024) /* a client chose its server; still bounded */
#define LN_LIM_MESSAGE_CEILING 0x7fffff00u         /* lengths in buffers are 32 bits */
#define LN_LIM_FRAGMENTS       1024u               /* 64-byte pieces of a whole message */
#define LN_LIM_QUEUED          (1024u * 1024) /* a reader this far behind is gone or hopeless */
#define LN_LIM_QUEUED_AGE      10000u
#define LN_LIM_HIGH            (256u * 1024) /* pause the peer until it reads what it got */
#define LN_LIM_LOW             (64u * 1024)
#define LN_LIM_PING            25000u /* proxies forget a connection after 30 to 60 s */
#define LN_LIM_PONG            10000u
#define LN_LIM_MESSAGE_MS      30000u
#define LN_LIM_CLOSE_MS        5000u
#define LN_LIM_LINGER_MS       2000u /* for the last bytes to arrive before RST could eat them */
#define LN_LIM_CONTROLS        50u   /* per second, sustained 5 s */
#define LN_LIM_THRESHOLD       1024u /* below it deflate costs more than it saves */
#define LN_LIM_HEAD_MS         10000u
#define LN_LIM_DRAIN_MS        30000u
#define LN_LIM_RETURN_RATE     1000u /* handshakes a second that any machine manages, with TLS */
#define LN_LIM_RETURN_MS       1000u /* a restart takes about so long */
#define LN_LIM_NOTSENT_LOWAT                                                                       \
    (32u * 1024)                    /* what waits stays in our queue, where policy can act         \
                                     */
#define LN_LIM_USER_TIMEOUT  30000u /* a vanished peer with unacknowledged data */
#define LN_LIM_BODY          (1024u * 1024)
#define LN_LIM_TOPICS        128u
#define LN_LIM_AUTH_FAILURES 20u    /* of an address in 10 s: nobody mistypes a token so often */
#define LN_LIM_CALL_MS       10000u /* who asks a person wants more, and says so */
#define LN_LIM_CALL_MS_MAX   600000u
#define LN_LIM_PROXIES       1024u
#define LN_LIM_WORKERS       64u
#define LN_LIM_SPARE_FDS     256u       /* files, DNS, listeners, the host's own */
#define LN_LIM_SLOTS         (1u << 24) /* 24 bits of a handle */
#define LN_LIM_ADOPTED       (64u * 1024)
#define LN_LIM_DIAL_MS       10000u
#define LN_LIM_MAIL          65536u /* at a worker, before those who publish to it must wait */
#define LN_LIM_MAIL_BYTES    (16u * 1024 * 1024)
#define LN_LIM_MAIL_LOOK     1u /* ms between looks whether it has gone down */

struct ln_conn_config;
struct ln_pmd_policy;
/* Public limits to what conn/ and the negotiation work with. LINNET_ERR_INVAL for what is out of
 * range. */
int ln_limits_conn(const linnet_conn_limits *limits, bool client, struct ln_conn_config *config,
    struct ln_pmd_policy *policy);
#endif
