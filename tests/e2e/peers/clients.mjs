// Clients as people write them, one per pattern, each with the shape that lib/behaviours.mjs describes. Where such code
// usually goes wrong it does not here: delays are spread, a full queue says so, and any message proves life.
import WebSocket from 'ws';

const encode = message => typeof message === 'string' ? message : JSON.stringify(message);
const spread = ms => ms * (0.5 + Math.random() / 2);

/** Opens again after a break, until close(). on: {open, message, close}. */
class Line {
  #over = false;
  #delay;

  constructor(url, { first = 50, most = 2_000, on = {} } = {}) {
    Object.assign(this, { url, first, most, on });
    this.#delay = first;
    this.#dial();
  }

  #dial() {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    let since;
    socket.on('open', () => { since = Date.now(); this.on.open?.(); });
    socket.on('message', data => this.on.message?.(data.toString()));
    socket.on('error', () => {});
    socket.on('close', (code, reason) => {
      this.on.close?.({ code, reason });
      if (this.#over) return;
      this.#delay = since && Date.now() - since > 5_000 ? this.first : Math.min(this.#delay * 2, this.most);
      setTimeout(() => { if (!this.#over) this.#dial(); }, spread(this.#delay)).unref();
    });
  }

  get up() { return this.socket.readyState === WebSocket.OPEN; }
  say(message) { if (this.up) this.socket.send(encode(message)); return this.up; }
  end() { this.#over = true; this.socket.close(); }
}

/** Channel subscriptions that outlive the connection. */
export class Channels {
  #there = new Map();
  #line;

  constructor(url) {
    this.#line = new Line(url, { on: {
      open: () => { for (const channel of this.#there.keys()) this.#ask('subscribe', channel); },
      message: text => { const { channel, data } = JSON.parse(text); this.#there.get(channel)?.(data); },
    } });
  }

  get socket() { return this.#line.socket; }
  #ask(action, channel) { this.#line.say({ action, channel }); }

  subscribe(channel, then) {
    this.#there.set(channel, then);
    this.#ask('subscribe', channel);
    return { unsubscribe: () => { this.#there.delete(channel); this.#ask('unsubscribe', channel); } };
  }

  publish(channel, data) { return this.#line.say({ action: 'publish', channel, data }); }
}

/** Says ping, and takes the connection for dead when nothing at all comes for two periods. */
export class Heartbeat {
  constructor(url, every) {
    this.connection = new WebSocket(url);
    let heard = Date.now();
    const beat = setInterval(() => {
      if (this.connection.readyState !== WebSocket.OPEN) return;
      if (Date.now() - heard > 2 * every + 5_000) this.connection.terminate();
      else this.connection.send('{"type":"ping"}');
    }, every);
    this.connection.on('message', data => {
      heard = Date.now();
      const message = JSON.parse(data);
      if (message.type !== 'pong') this.handleMessage(message);
    });
    this.connection.on('close', () => clearInterval(beat));
  }

  handleMessage() {}
}

/** Keeps what is said while there is no connection, a hundred messages of it. */
export class Reconnecting {
  #line;
  #kept = [];

  constructor(url, { reconnectInterval = 1_000 } = {}) {
    this.#line = new Line(url, { first: reconnectInterval, on: {
      open: () => { this.#kept.splice(0).forEach(message => this.#line.say(message)); this.onopen?.(); },
      message: data => this.onmessage?.({ data }),
      close: event => this.onclose?.(event),
    } });
  }

  send(message) {
    if (this.#line.say(message)) return true;
    if (this.#kept.length === 100) throw new Error('too much is waiting');
    this.#kept.push(message);
    return false;
  }

  close() { this.#line.end(); }
}

export class Queued extends Reconnecting {
  onmessage({ data }) { this.handleMessage(JSON.parse(data)); }
}

/** The same for one that is told later where to go. */
export class Buffered {
  #kept = [];
  #line;

  connect(url) {
    this.#line = new Line(url, { on: { open: () => this.#kept.splice(0).forEach(m => this.#line.say(m)) } });
  }

  send(data) { if (!this.#line?.say(data)) this.#kept.push(data); }
}

/** Requests and their answers, events in between. */
export class Requests {
  #waiting = new Map();
  #heard = {};
  #last = 0;

  constructor(url) {
    this.socket = new WebSocket(url);
    this.socket.on('message', data => this.#take(JSON.parse(data)));
  }

  #take(message) {
    const wait = this.#waiting.get(message.requestId);
    this.#waiting.delete(message.requestId);
    if (wait && message.type === 'response') wait.resolve(message.payload);
    else if (wait) wait.reject(new Error(message.error));
    else this.#heard[message.type]?.(message.payload, message);
  }

  #say(type, payload) {
    const id = `m${++this.#last}`;
    this.socket.send(JSON.stringify({ id, type, timestamp: Date.now(), payload }));
    return id;
  }

  on(type, then) { this.#heard[type] = then; }
  async authenticate(credentials) { this.#say('auth', credentials); }
  async command(action, parameters) { this.#say('command', { action, parameters }); }
  async publishEvent(event, data) { this.#say('event', { event, data }); }

  query(resource, parameters) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(this.#say('query', { resource, parameters }), { resolve, reject });
      setTimeout(() => reject(new Error('no answer')), 10_000).unref();
    });
  }
}

/** Several connections that take turns; one that is down is passed over. */
export class Pool {
  #lines;
  #turn = 0;

  constructor(url, size) { this.#lines = Array.from({ length: size }, () => new Line(url)); }
  getConnection() { return this.#lines[this.#turn++ % this.#lines.length].socket; }

  sendMessage(message) {
    return this.#lines.some(() => this.#lines[this.#turn++ % this.#lines.length].say(message));
  }
}

/** The smallest that comes back. */
export class Simple {
  constructor(url) {
    this.line = new Line(url, { on: { open: () => this.onOpen(), message: text => this.onMessage(text) } });
  }

  send(text) { this.line.say(text); }
  close() { this.line.socket.close(); }
  onOpen() {}
  onMessage() {}
}
