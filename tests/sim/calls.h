/* calls.h -- questions of the programs to clients, and what came of them. Clients answer at once,
 * later, twice, never, or refuse; connections end meanwhile. What is held against the server:
 *
 *   call   the program hears nothing of a question, or twice; it hears an answer that nobody gave,
 *          or of somebody else; that nobody answered in time, before that time; that a client has
 *          gone who is there to the end; a client is asked twice, or what was not for it
 */
#ifndef SIM_CALLS_H
#define SIM_CALLS_H
#include "base/json.h"
#include "history.h"
#include "net/loop.h"
#include <linnet/hub.h>

struct scene;
struct attempt;
typedef struct calls calls;

#define CALLS_OWED 4 /* answers that one connection still means to give */

typedef struct owed {
    uint32_t call; /* its number; 0: none */
    uint64_t id;
} owed;

calls *calls_new(struct scene *s);
void calls_free(calls *c);
/* program: its number, whose questions these are. */
void calls_ask(calls *c, linnet_hub *hub, uint32_t program, struct attempt *whom);
/* All have been told; late: also those that would be soon. */
bool calls_settled(const calls *c);
/* The hub has ended. */
void calls_ended(calls *c, linnet_hub *hub);
/* A client is asked; and gives what it owes. */
void calls_heard(calls *c, struct attempt *a, uint64_t id, const ln_json_value *data);
void calls_answer(calls *c, struct attempt *a);
/* At the end of the calm: who was said to have gone. */
void calls_check_gone(const calls *c);
#endif
