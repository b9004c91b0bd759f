/* roles.h -- which client does what: the workloads W1 to W5 and W8, scaled to a crowd of any size.
 *
 *   hot:1          one publisher, everybody hears it                              W1
 *   many:N         as many channels as clients, ten clients in each               W2
 *   all:1          a few who all publish to each other, without an echo           W3
 *   churn:N        their subscribers come and go                                  W4
 *   pres:1         who is there, and who comes and goes                           W5
 *   http:N         published by two senders over HTTP (W6); here they are heard
 *   short:N        forgets after 20 publications: recovery fails honestly
 *   live:1         class live
 *   secret:1       nobody may hear it; some try
 *   flood:1        large messages; half of its readers are slow                   W8
 *
 * Every tenth client is a slow reader; every sixteenth goes through what cuts.
 */
#ifndef HISTORY_ROLES_H
#define HISTORY_ROLES_H
#include "client.h"

/* The first line of the log says so: prefixes, classes and how much each keeps. */
#define ROLES_KEPT 20 /* of short: */

void client_cast(client *c, crowd *d, uint32_t number, uint32_t count);
#endif
