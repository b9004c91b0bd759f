// A connection to a Linnet server that comes back by itself, speaking linnet.v1.
//
//   connecting --welcome--> open --lost--> waiting --time--> connecting
//        |                    |                                  (or at once: online, visible)
//        '--------------------'--stay away (3500 to 3999), close()--> closed
//
// Channels are subscribed to again after each return, with the position that was reached, so that
// the server can tell whether anything was missed; and the list of who is there comes anew.

const FIRST_MS = 400; // before the first attempt to return, at most
const MOST_MS = 15_000;
const OPEN_MS = 10_000; // for the handshake and the welcome

export class Link {
  /**
   * @param {string|URL} url ws: or wss:
   * @param {{state?: Function, message?: Function, missed?: Function, joined?: Function, presence?: Function,
   *   typing?: Function}} events
   *   state(name, why) on each change; message(frame) for each publication; missed(channel) when messages of a
   *   channel may have been lost; joined(channel, members) when it is in, also after a return; presence(frame) and
   *   typing(frame) of others, and of itself
   */
  constructor(url, events) {
    this.url = url;
    this.events = events;
    this.channels = new Map(); // name -> {epoch, offset} or null
    this.waiting = new Map(); // id -> {resolve, reject}
    this.ids = 0;
    this.attempts = 0;
    this.silence = 35_000;
    this.client = ''; // what the server calls this connection; another one after each return
    this.state = 'waiting';
    const hurry = () => this.state === 'waiting' && document.visibilityState === 'visible' && this.connect();
    addEventListener('online', hurry);
    document.addEventListener('visibilitychange', hurry);
  }

  connect() {
    clearTimeout(this.timer);
    this.enter('connecting');
    const ws = new WebSocket(this.url, 'linnet.v1');
    this.ws = ws;
    this.timer = setTimeout(() => this.lose(ws), OPEN_MS);
    ws.onmessage = ({ data }) => ws === this.ws && this.hear(data);
    ws.onclose = ({ code, reason }) => ws === this.ws && this.lose(ws, code, reason);
  }

  close() {
    const ws = this.ws;
    this.over('closed');
    ws?.close(1000);
  }

  /** Subscribes now, and again after each return. */
  join(channel) {
    this.channels.set(channel, null);
    if (this.state === 'open') this.subscribe(channel);
  }

  /** What others may know of us there; `who` is an object. Not an answer to anything, so it may be lost. */
  present(channel, who) {
    if (this.state === 'open') this.request({ type: 'presence', channel, data: who }).catch(() => {});
  }

  typing(channel, on) {
    if (this.state === 'open') this.ws.send(JSON.stringify({ type: 'typing', channel, data: { on } }));
  }

  /** Resolves when the server has the message; rejects with its error, or when the link is lost. */
  publish(channel, data) {
    return this.request({ type: 'publish', channel, data });
  }

  // -- inside -----------------------------------------------------------------------------

  enter(state, why = '') {
    this.state = state;
    this.events.state?.(state, why);
  }

  request(frame) {
    if (this.state !== 'open') return Promise.reject(new Error('not connected'));
    const id = ++this.ids;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.ws.send(JSON.stringify({ ...frame, id }));
    });
  }

  async subscribe(channel) {
    const at = this.channels.get(channel);
    try {
      const ok = await this.request({ type: 'subscribe', channel, presence: true, ...(at && { recover: at }) });
      this.events.joined?.(channel, ok.presence ?? []);
      if (ok.next) this.page(channel, ok.next);
      if (at && !ok.recovered) this.events.missed?.(channel);
      if (!at || !ok.recovered) this.channels.set(channel, ok.epoch ? { epoch: ok.epoch, offset: ok.offset } : null);
    } catch (error) {
      if (this.state === 'open') this.events.state?.('open', `not in ${channel}: ${error.message}`);
    }
  }

  /** The rest of a long list, as if they had come one after the other. */
  async page(channel, after) {
    const { members, next } = await this.request({ type: 'presence', channel, after }).catch(() => ({ members: [] }));
    this.events.presence?.({ channel, joins: members, leaves: [] });
    if (next) this.page(channel, next);
  }

  hear(text) {
    this.watch();
    let frames;
    try {
      frames = JSON.parse(text);
    } catch {
      return;
    }
    for (const frame of Array.isArray(frames) ? frames : [frames]) this.take(frame);
  }

  take(frame) {
    const pending = this.waiting.get(frame.re);
    switch (frame.type) {
      case 'welcome':
        this.silence = (frame.ping + frame.timeout) * 1000;
        this.attempts = 0;
        this.client = frame.client;
        this.watch();
        this.enter('open');
        this.channels.forEach((_, channel) => this.subscribe(channel));
        break;
      case 'ping':
        this.ws.send('{"type":"pong"}');
        break;
      case 'ok':
      case 'error':
        this.waiting.delete(frame.re);
        if (frame.type === 'ok') pending?.resolve(frame);
        else pending?.reject(new Error(frame.error?.message ?? 'refused'));
        break;
      case 'message':
        if (this.advance(frame)) this.events.message?.(frame);
        break;
      case 'presence':
        this.events.presence?.(frame);
        break;
      case 'typing':
        this.events.typing?.(frame);
        break;
      case 'skip':
        this.advance(frame, frame.count);
        break;
    }
  }

  /** False for what was seen before. A hole that nothing explains is mended by returning. */
  advance({ channel, offset }, count = 1) {
    const at = this.channels.get(channel);
    if (!at || offset === undefined) return true;
    if (offset <= at.offset) return false;
    if (offset > at.offset + count) {
      this.ws.close(4000, 'gap');
      return false;
    }
    at.offset = offset;
    return true;
  }

  /** Browsers do not tell of a dead line: whoever is silent for too long is gone. */
  watch() {
    const ws = this.ws;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.lose(ws), this.silence);
  }

  over(state, why) {
    clearTimeout(this.timer);
    this.ws = null;
    const lost = [...this.waiting.values()];
    this.waiting.clear();
    this.enter(state, why);
    lost.forEach(({ reject }) => reject(new Error('connection lost')));
  }

  lose(ws, code = 1006, reason = '') {
    if (code >= 3500 && code < 4000) {
      this.over('closed', reason || `closed with ${code}`);
      return;
    }
    this.over('waiting');
    ws.close();
    // Full jitter: a thousand pages that lost the same server do not come back in one moment.
    const most = Math.min(MOST_MS, FIRST_MS * 2 ** this.attempts++);
    this.timer = setTimeout(() => this.connect(), Math.random() * most);
  }
}
