/* linnet/linnet.h -- everything. */
#ifndef LINNET_LINNET_H
#define LINNET_LINNET_H
#include <linnet/client.h>
#include <linnet/conn.h>
#include <linnet/hook.h>
#include <linnet/http.h>
#include <linnet/hub.h>
#include <linnet/loop.h>
#include <linnet/server.h>
#include <linnet/token.h>
#include <linnet/types.h>
#include <linnet/watch.h>
#include <linnet/ws.h>
#endif
