/* hooks.h -- who is asked by the sessions of a hub: the program's on_ask, or webhooks, or nobody.
 */
#ifndef LN_LIB_HOOKS_H
#define LN_LIB_HOOKS_H
#include "lib/webhooks.h"
#include "session/session.h"

/* Of a hub, never changed. */
typedef struct ln_hooks ln_hooks;
/* options NULL: *out is NULL. Errors as ln_webhook_config_new. */
int ln_hooks_new(const linnet_hooks *options, ln_hooks **out);
void ln_hooks_free(ln_hooks *hooks);
/* Names of the fields that CONNECT forwards, NULL at the end; NULL when hooks is. */
const char *const *ln_hooks_headers(const ln_hooks *hooks);

struct ln_doorman; /* doorman.h */

/* Of a worker. hooks may be NULL, then *out is NULL, and the other functions do nothing. */
typedef struct ln_hook_worker ln_hook_worker;
/* Becomes the asker of the sessions, which are there already, and outlives them. LINNET_ERR_NOMEM,
 * LINNET_ERR_DNS. */
int ln_hook_worker_new(const ln_hooks *hooks, linnet_hub *hub, linnet_loop *w,
    ln_sessions *sessions, ln_slice node, ln_hook_worker **out);
/* NULL when k is. */
const ln_asker *ln_hook_worker_asker(const ln_hook_worker *k);
/* Who gets the answers to CONNECT. */
void ln_hook_worker_use(ln_hook_worker *k, struct ln_doorman *doorman);
/* No more questions are asked; what is under way ends. The sessions are still there. */
void ln_hook_worker_end(ln_hook_worker *k);
void ln_hook_worker_free(ln_hook_worker *k);
bool ln_hook_worker_ready(ln_hook_worker *k, const ln_completion *c);
void ln_hook_worker_timer(ln_hook_worker *k, ln_timer *timer);
/* Any thread: posts a DECIDE to the worker that asked. LINNET_ERR_INVAL, LINNET_ERR_TOO_BIG,
 * LINNET_ERR_AGAIN, LINNET_ERR_NOMEM. */
int ln_hook_answer(linnet_loop *w, linnet_question_id id, const linnet_answer *answer);
/* A DECIDE of mail.h. */
void ln_hook_worker_mail(ln_hook_worker *k, const ln_post *mail);
/* Whether news are on their way. */
bool ln_hook_worker_busy(const ln_hook_worker *k);
void ln_hook_worker_count(const ln_hook_worker *k, linnet_hook_stats *sum);
/* NULL: it sends nothing. */
const ln_hist *ln_hook_worker_times(const ln_hook_worker *k);
#endif
