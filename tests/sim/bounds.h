/* bounds.h -- whether everything that could grow is within its limit (I14), looked at from inside
 * of the nodes while they work: queues, what waits, maps, sessions; and who stays longer than his
 * token (I8).
 */
#ifndef SIM_BOUNDS_H
#define SIM_BOUNDS_H
#include "client.h"
#include "lib/inner.h"

void bounds_look(scene *s, linnet_loop *worker);
#endif
