/* ext.h -- Sec-WebSocket-Extensions (RFC 6455 9.1) and the bargain over
 * permessage-deflate (RFC 7692 section 7.1).
 *
 * The client makes an offer, the server accepts one of the offers or none, the client
 * checks what came back. Declining is per offer and never fails a handshake; only a header
 * that is not in the grammar does (400). One linear walk, no table of names: the only
 * extension anybody here knows is permessage-deflate, all others are declined unread.
 */
#ifndef LN_WIRE_EXT_H
#define LN_WIRE_EXT_H
#include "wire/http1.h"

/* What was agreed: the same for both sides, but that a client may hold itself to less
 * than the server knows of. */
typedef struct ln_pmd_params {
    bool server_no_takeover; /* the server resets its compressor for each message */
    bool client_no_takeover; /* the client does */
    uint8_t server_bits;     /* largest window the server compresses with: 8..15 */
    uint8_t client_bits;     /* ... the client; 15 when nobody limited it */
} ln_pmd_params;

/* What this side wants, in the words of the RFC whichever side it is. As a server our own
 * compressor is the server's; as a client it is the client's. */
typedef struct ln_pmd_policy {
    bool enabled;
    bool server_takeover;    /* false: server_no_context_takeover is said or asked for */
    bool client_takeover;    /* false: client_no_context_takeover is */
    uint8_t server_bits_max; /* 9..15 */
    uint8_t client_bits_max; /* 9..15; a server can only ask for less if the client offers */
} ln_pmd_policy;
/* As a server: no takeover of ours (broadcasts share compressed bytes), window 12. */
#define LN_PMD_POLICY_SERVER ((ln_pmd_policy){ true, false, true, 12, 12 })
/* As a client: whatever the server likes. */
#define LN_PMD_POLICY_CLIENT ((ln_pmd_policy){ true, true, true, 15, 15 })

/* Room for any offer or answer of ours, with a NUL behind it. */
#define LN_PMD_TEXT_MAX 160
typedef struct ln_pmd_text {
    uint8_t size;
    char data[LN_PMD_TEXT_MAX];
} ln_pmd_text;
static inline ln_slice ln_pmd_slice(const ln_pmd_text *text) {
    return ln_slice_of(text->data, text->size);
}

/* Whether all Sec-WebSocket-Extensions fields of a head obey the grammar (H12). True
 * without any. */
bool ln_ext_ok(const ln_http1_head *head);

/* Server: goes through the client's offers in their order and takes the first that can be
 * kept (zlib cannot deflate with a raw window of 8, so server_max_window_bits=8 cannot).
 *
 *   1                agreed: *params, and in *answer the value of the response header
 *   0                declined, or nothing was offered, or the policy is off: no header
 *   LINNET_ERR_HTTP  not in the grammar; answer 400 (UPGRADE_EXTENSION)
 *
 * *params and *answer are written for 1 only. */
int ln_pmd_accept(const ln_pmd_policy *policy, const ln_http1_head *request, ln_pmd_params *params,
    ln_pmd_text *answer);

/* Client: the value of the request header; empty when the policy is off. */
void ln_pmd_offer(const ln_pmd_policy *policy, ln_pmd_text *offer);

/* Client: judges the server's answer to ln_pmd_offer() of the same policy.
 *
 *   1                                agreed: *params
 *   0                                the server declined
 *   LINNET_ERR_UPGRADE_HEADER        the field came twice or is not in the grammar
 *   LINNET_ERR_UPGRADE_EXTENSION     something that was not offered, or against the rules;
 *                                    also client_max_window_bits=8, which zlib cannot do
 */
int ln_pmd_verify(
    const ln_pmd_policy *policy, const ln_http1_head *response, ln_pmd_params *params);
#endif
