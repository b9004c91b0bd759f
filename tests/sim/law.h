/* law.h -- who may do what, as those know who decide it: the backend of each node (hook.h), the
 * tokens that clients have, and the rules of namespaces, which change. What clients tell is held
 * against it (I8):
 *
 *   leak          something was allowed for which there was no leave, or not any more
 *   denied        something was refused, and nothing stood in its way
 *
 * A backend says yes, no, either of them later, or nothing; it answers by the question's id, when
 * whoever asked may be gone.
 */
#ifndef SIM_LAW_H
#define SIM_LAW_H
#include "client.h"
#include <linnet/hub.h>

#define LAW_GRACE_S 30 /* a token is good for so long after its end */
#define LAW_GUARDED 4  /* the first of two seats for which a token has to say so */
#define LAW_RULED   6  /* and of two whose rules change */

typedef struct law law;

law *law_new(scene *s);
void law_free(law *l);

/* A node's options: all but its limits. Good until law_ended. */
void law_options(law *l, uint32_t node, linnet_hub_options *options);
/* Before the hub has a server, and when that has ended. */
void law_began(law *l, uint32_t node, linnet_hub *hub);
void law_ended(law *l, uint32_t node);
/* From outside: answers questions that have waited, changes rules. */
void law_act(law *l, uint32_t node);
/* From here on everything is allowed that somebody asks for. */
void law_calm(law *l);

/* A token of a user: identity->until, claims and good say what it is to be. channel: only for this
 * seat; SEATS: it is not of that kind. The size. */
size_t law_token(law *l, uint32_t user, const identity *what, uint32_t channel, char *out);
uint64_t law_now_s(const law *l);

/* The answers that clients get. */
void law_joined(law *l, const attempt *a, const asked *q, uint32_t seat);
void law_published(law *l, const attempt *a, const asked *q);
void law_refused(law *l, const attempt *a, const asked *q, uint64_t code, ln_slice text);
/* Something that was said then, in milliseconds since 1970, has been heard. */
void law_heard(law *l, const attempt *a, uint32_t seat, uint64_t ts);
/* Nothing more was asked for it than what the law says; 0, or the channel's seats whose rules do
 * not allow it now. */
bool law_allows(const law *l, const attempt *a, uint32_t seat);
#endif
