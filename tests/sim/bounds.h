/* bounds.h -- whether everything that could grow is within its limit (I14), looked at from inside
 * of the nodes while they work: queues, what waits, maps, sessions; and who stays longer than his
 * token (I8).
 */
#ifndef SIM_BOUNDS_H
#define SIM_BOUNDS_H
#include "client.h"
#include "lib/inner.h"

/* What all workers of a node have together (PLAN_MEMORY). */
void bounds_look_all(scene *s, linnet_server *server);
void bounds_look(scene *s, linnet_loop *worker);
#endif
