/* webhooks.h -- questions and news to a backend over HTTP, on one worker.
 *
 * A question is one request, and whatever comes of it is the answer: no retries, because somebody
 * waits. News are kept until they have arrived:
 *
 *    queue ──> one of 64 lanes, by whom it concerns ──POST──> 2xx, 409 (had it): done
 *                        ^                              │
 *                        └── 0.25 s, 0.5 s, .. 30 s ────┘ 5xx, 408, 429, no answer: again, with the
 *                                                        same id. 4xx, or too often: given up
 *
 * A lane sends one at a time, so that what concerns one connection (or channel) arrives in its
 * order. The queue has a bound in number and in bytes; beyond it the oldest that is not under way
 * goes.
 */
#ifndef LN_LIB_WEBHOOKS_H
#define LN_LIB_WEBHOOKS_H
#include "lib/inner.h"
#include "session/ask.h"
#include <linnet/hook.h>

#define LN_WEBHOOKS_MAX        16
#define LN_WEBHOOK_LANES       64
#define LN_WEBHOOK_RETRIES     10
#define LN_WEBHOOK_QUEUE       10000
#define LN_WEBHOOK_QUEUE_BYTES (UINT64_C(16) * 1024 * 1024)
#define LN_WEBHOOK_HEADERS_MAX 32
#define LN_WEBHOOK_FLUSH_MS    2000 /* for the last news when a server ends */

/* What was configured, shared by workers and never changed. */
typedef struct ln_webhook_config ln_webhook_config;
/* LINNET_ERR_INVAL (no key, a bad key, a bit twice is fine), LINNET_ERR_URL, LINNET_ERR_LIMIT,
 * LINNET_ERR_NOMEM. */
int ln_webhook_config_new(const linnet_hooks *hooks, ln_webhook_config **out);
void ln_webhook_config_free(ln_webhook_config *config);
/* Bits of the kinds somebody gets. */
uint32_t ln_webhook_kinds(const ln_webhook_config *config);

typedef struct ln_webhooks ln_webhooks;
/* Gets each answer that was LN_PENDING; borrowed. */
typedef void ln_webhook_answer_fn(
    void *ctx, ln_ask_kind kind, uint64_t who, uint32_t ticket, const ln_answer *answer);

/* config and node outlive it. LINNET_ERR_NOMEM, LINNET_ERR_DNS. */
int ln_webhooks_new(const ln_webhook_config *config, linnet_loop *w, ln_slice node,
    ln_webhook_answer_fn *answer, void *ctx, ln_webhooks **out);
/* Questions end without an answer, the queue is dropped. */
void ln_webhooks_free(ln_webhooks *h);
/* As ln_asker.ask. News: LN_DONE. */
int ln_webhooks_ask(ln_webhooks *h, const ln_question *q);
/* Whether news are under way, not counting those that wait for another try. */
bool ln_webhooks_busy(const ln_webhooks *h);
/* False: not its completion. */
bool ln_webhooks_ready(ln_webhooks *h, const ln_completion *c);
void ln_webhooks_timer(ln_webhooks *h, ln_timer *timer);
void ln_webhooks_count(const ln_webhooks *h, linnet_hook_stats *sum);
/* Of requests, from sending to the end of the answer. */
const ln_hist *ln_webhooks_times(const ln_webhooks *h);
#endif
