// The `ws` package on Node: /echo, /echoz, /echozs and /ps, see README.md.
import http from "node:http";
import { WebSocketServer } from "ws";
import { freePort, options } from "./port.mjs";

const { port: wanted } = options(process.argv.slice(2));
const port = await freePort(wanted);
const common = { noServer: true, clientTracking: false, maxPayload: 64 << 20 };
const takeover = { threshold: 0 };
const noTakeover = { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true };
const topics = new Map();

function echo(ws) {
  ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
}

function subscribe(ws, topic) {
  let set = topics.get(topic);
  if (!set) topics.set(topic, (set = new Set()));
  set.add(ws);
  ws.topics.add(topic);
}

function unsubscribe(ws, topic) {
  ws.topics.delete(topic);
  const set = topics.get(topic);
  if (!set) return;
  set.delete(ws);
  if (set.size === 0) topics.delete(topic);
}

function publish(data) {
  const end = data.indexOf(10);
  const set = topics.get(data.toString("utf8", 1, end === -1 ? data.length : end));
  if (!set) return;
  const payload = data.subarray(end + 1);
  for (const ws of set) ws.send(payload, { binary: false });
}

function pubsub(ws) {
  ws.topics = new Set();
  ws.on("message", (data) => {
    const names = () => data.toString("utf8", 1).split(",");
    if (data[0] === 0x3d) publish(data);
    else if (data[0] === 0x2b) for (const t of names()) subscribe(ws, t);
    else if (data[0] === 0x2d) for (const t of names()) unsubscribe(ws, t);
    else ws.close(1008);
  });
  ws.on("close", () => [...ws.topics].forEach((t) => unsubscribe(ws, t)));
}

const plain = new WebSocketServer({ ...common, perMessageDeflate: false });
const routes = {
  "/echo": [plain, echo],
  "/echoz": [new WebSocketServer({ ...common, perMessageDeflate: takeover }), echo],
  "/echozs": [new WebSocketServer({ ...common, perMessageDeflate: noTakeover }), echo],
  "/ps": [plain, pubsub],
};

const server = http.createServer((req, res) => res.writeHead(404).end());
server.on("upgrade", (req, socket, head) => {
  const route = routes[req.url];
  if (!route) return socket.destroy();
  route[0].handleUpgrade(req, socket, head, (ws) => {
    ws.on("error", () => {});
    route[1](ws);
  });
});
server.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`listening on ws://127.0.0.1:${port}`);
});
