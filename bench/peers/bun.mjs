// Bun's own server: /echo, /echoz, /echozs and /ps, see README.md.
//
// Bun sets compression per server, not per route, so the flag says which of
// /echoz (--deflate=takeover) and /echozs (--deflate=no-takeover) is meant. It
// is off otherwise, and then costs the plain routes nothing.
import { freePort, options } from "./port.mjs";

const { port: wanted, deflate } = options(process.argv.slice(2));
const port = await freePort(wanted);
const compression = {
  off: false,
  takeover: { compress: "dedicated", decompress: "dedicated" },
  "no-takeover": { compress: "shared", decompress: "shared" },
}[deflate];
const compress = deflate !== "off";

const ECHO = 0;
const PUBSUB = 1;
const routes = { "/echo": ECHO, "/echoz": ECHO, "/echozs": ECHO, "/ps": PUBSUB };

function echo(ws, message) {
  if (typeof message === "string") ws.sendText(message, compress);
  else ws.sendBinary(message, compress);
}

function pubsub(ws, message) {
  if (typeof message !== "string") message = message.toString();
  switch (message.charCodeAt(0)) {
    case 0x3d: {
      const end = message.indexOf("\n");
      ws.publishText(message.slice(1, end), message.slice(end + 1));
      break;
    }
    case 0x2b:
      for (const topic of message.slice(1).split(",")) ws.subscribe(topic);
      break;
    case 0x2d:
      for (const topic of message.slice(1).split(",")) ws.unsubscribe(topic);
      break;
    default:
      ws.close(1008);
  }
}

Bun.serve({
  port,
  hostname: "127.0.0.1",
  fetch(req, server) {
    const kind = routes[req.url.slice(req.url.indexOf("/", 8))];
    if (kind === undefined) return new Response("no such route\n", { status: 404 });
    if (server.upgrade(req, { data: kind })) return undefined;
    return new Response("expected a WebSocket\n", { status: 426 });
  },
  websocket: {
    perMessageDeflate: compression,
    publishToSelf: true,
    sendPings: false,
    idleTimeout: 0,
    maxPayloadLength: 64 << 20,
    backpressureLimit: 64 << 20,
    message(ws, message) {
      if (ws.data === ECHO) echo(ws, message);
      else pubsub(ws, message);
    },
  },
});
console.log(`listening on ws://127.0.0.1:${port}`);
