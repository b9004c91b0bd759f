// A WebSocket client (npm's ws) whose messages can be awaited one by one.
import WebSocket from 'ws';

const PATIENCE = 5_000;

export class Peer {
  /** Resolves when open; rejects with `status` and `headers` when the upgrade was refused. */
  static open(url, protocols = [], options = {}) {
    return new Promise((resolve, reject) => {
      const ws = new WebSocket(url, protocols, { perMessageDeflate: false, ...options });
      const peer = new Peer(ws);
      ws.on('open', () => resolve(peer));
      ws.on('unexpected-response', (request, response) => {
        const refused = new Error(`refused with ${response.statusCode}`);
        refused.status = response.statusCode;
        refused.headers = response.headers;
        request.destroy();
        reject(refused);
      });
      ws.on('error', reject);
    });
  }

  constructor(ws) {
    this.ws = ws;
    this.inbox = [];
    this.readers = [];
    this.closed = new Promise(resolve => {
      ws.on('close', (code, reason) => {
        this.end = { code, reason: reason.toString() };
        this.readers.splice(0).forEach(r => r.reject(this.ended()));
        resolve(this.end);
      });
    });
    this.closed.catch(() => {});
    ws.on('message', (data, binary) => {
      const message = binary ? data : data.toString();
      const reader = this.readers.shift();
      if (reader) reader.resolve(message);
      else this.inbox.push(message);
    });
    ws.on('error', error => { this.error = error; });
  }

  ended() {
    return new Error(`closed with ${this.end.code} '${this.end.reason}' while a message was awaited`);
  }

  send(message) {
    this.ws.send(typeof message === 'string' || Buffer.isBuffer(message)
      ? message : JSON.stringify(message));
  }

  /** The next message: a string, or a Buffer when it was binary. */
  next(ms = PATIENCE) {
    if (this.inbox.length) return Promise.resolve(this.inbox.shift());
    if (this.end) return Promise.reject(this.ended());
    return new Promise((resolve, reject) => {
      const late = () => {
        this.readers.splice(this.readers.indexOf(reader), 1);
        reject(new Error(`no message within ${ms} ms`));
      };
      const timer = setTimeout(late, ms);
      const reader = {
        resolve: m => { clearTimeout(timer); resolve(m); },
        reject: e => { clearTimeout(timer); reject(e); },
      };
      this.readers.push(reader);
    });
  }

  /** The next JSON object; a batch (an array of objects) is taken apart. */
  async json(ms) {
    const value = JSON.parse(await this.next(ms));
    if (!Array.isArray(value)) return value;
    this.inbox.unshift(...value.slice(1).map(v => JSON.stringify(v)));
    return value[0];
  }

  /** Resolves with {code, reason} once the other side has closed. */
  async closing(ms = PATIENCE) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not closed within ${ms} ms`)), ms);
    });
    return Promise.race([this.closed, late]).finally(() => clearTimeout(timer));
  }

  async close(code = 1000, reason = '') {
    this.ws.close(code, reason);
    return this.closing();
  }
}

/** Offers a WebSocket server (npm's ws) on a free loopback port. */
export async function server(options = {}, onPeer = () => {}) {
  const { WebSocketServer } = await import('ws');
  const wss = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options });
  await new Promise((resolve, reject) => wss.on('listening', resolve).on('error', reject));
  const peers = [];
  const arrivals = [];
  wss.on('connection', (ws, request) => {
    const peer = new Peer(ws);
    peer.request = request;
    peers.push(peer);
    arrivals.splice(0).forEach(resolve => resolve(peer));
    onPeer(peer);
  });
  return {
    peers,
    url: `ws://127.0.0.1:${wss.address().port}/`,
    arrival: () => new Promise(resolve => arrivals.push(resolve)),
    stop: () => new Promise(resolve => {
      wss.clients.forEach(ws => ws.terminate());
      wss.close(resolve);
    }),
  };
}
