/* hear.h -- what a server's texts make a client do. */
#ifndef HISTORY_HEAR_H
#define HISTORY_HEAR_H
#include "client.h"

/* One WebSocket text: an object, or an array of them. */
void client_hear(client *c, linnet_slice text);
/* The next request's id. */
uint64_t client_id(client *c);
/* Comes back with its ticket: as its first word on a connection. */
void client_resume(client *c);
/* Its ticket was taken. */
void client_go_on(client *c);
/* It is another session. */
void client_begin_anew(client *c);
/* How: pub_ok, pub_fail or pub_unknown; place: more fields, or "". */
void client_say_outcome(client *c, const said *w, const char *how, const char *place);
void client_send(client *c, const char *text, size_t size);
#endif
