/* hub.h -- what the loop and the server do for the hub that a server was given.
 */
#ifndef LN_LIB_HUB_H
#define LN_LIB_HUB_H
#include "lib/inner.h"
#include <linnet/hub.h>

struct ln_entry;
struct ln_identity;

/* Its broker for one worker, or NULL for class live. LINNET_ERR_NOMEM. */
int ln_host_hub_broker(linnet_hub *hub, linnet_loop *w, ln_broker **out);
/* Its server is being freed: whoever calls from an `end` finds none. */
void ln_host_hub_leave(linnet_hub *hub);
ln_namespaces *ln_host_hub_namespaces(const linnet_hub *hub);
/* NULL: no keys are fetched. */
const struct ln_keyring_config *ln_host_hub_jwks(const linnet_hub *hub);
uint32_t ln_host_hub_channels(const linnet_hub *hub);
/* Which pages may come to a route of the hub since a reload; other routes, and those of a hub that
 * was not reloaded, stay as they are. */
void ln_host_hub_origins(
    const linnet_loop *w, const ln_route *r, struct ln_origin_policy *p, bool *own);
/* Sessions on a worker, whose ln_hub is there. LINNET_ERR_NOMEM. */
int ln_host_hub_open(linnet_hub *hub, linnet_loop *w);
/* Ends what the program subscribed to here; for the last time in the worker's own thread. */
void ln_host_hub_end(linnet_loop *w);
/* Before w->hub is freed. All connections are gone. */
void ln_host_hub_close(linnet_loop *w);
void ln_host_hub_tick(linnet_loop *w);
/* Somebody wants to read an event stream: as for a handshake. ACCEPT: *out says who it is, until
 * the next one comes. */
linnet_verdict ln_host_hub_visit(linnet_upgrade *u, struct ln_entry **out);
/* Whether he may hear a channel. who NULL: nobody in particular. */
bool ln_host_hub_may(const linnet_loop *w, const struct ln_identity *who, ln_slice channel);
/* Of a worker; NULL: it has none. */
const struct ln_sessions *ln_host_hub_sessions(const linnet_loop *w);
struct ln_sessions *ln_host_hub_people(linnet_loop *w);
linnet_server *ln_host_hub_server(const linnet_hub *hub);
ln_msec ln_host_hub_deadline(const linnet_loop *w);
/* JOIN, LEAVE and PUBLISH. */
void ln_host_hub_mail(linnet_loop *w, ln_post *mail);
/* A JOIN that never arrived: ends the subscription. */
void ln_host_hub_undelivered(void *subscription);
/* A PUBLISH that never arrived: its wait is told. */
void ln_host_hub_unpublished(void *wait);
/* RELOAD, and one that never arrived. */
void ln_host_hub_news(linnet_loop *w, ln_post *mail);
void ln_host_hub_unnews(void *news);
/* A LEAVE that never arrived. */
void ln_host_hub_unref(void *subscription);

/* server.c: an ln_hub on each worker, with this hub (or, NULL, for raw topics alone). Those that
 * are there already stay. LINNET_ERR_NOMEM: as if nothing had happened. */
int ln_server_hubs(linnet_server *s, linnet_hub *hub);
void ln_server_unhubs(linnet_server *s);
#endif
