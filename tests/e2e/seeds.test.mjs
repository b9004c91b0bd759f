// Client code that strangers wrote, run as it was printed. It lies beside the project on some machines; without it
// nothing is registered here, and patterns.test.mjs puts clients of our own through the same.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import WebSocket from 'ws';
import * as behaviours from './lib/behaviours.mjs';
import { HERE, Program, ROOT, node22, serve } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';
import { block, load, plain } from './peers/seed.mjs';

const SEEDS = path.join(ROOT, '../shared/seeds');
const { fresh, inbox, listener, open } = behaviours;
const seed = number => path.join(SEEDS, fs.readdirSync(SEEDS).find(name => name.startsWith(number)));

// What a page has, and its timers a hundred times as fast: printed delays are seconds. It says nothing on the console.
let page = {};
globalThis.seedPage = () => page;
const PRELUDE = `
const { WebSocket, location, ReconnectingWebSocket, ws, url } = seedPage();
const console = { log() {}, warn() {}, error() {} };
const setTimeout = (f, ms, ...more) => globalThis.setTimeout(f, ms / 100, ...more).unref();
const setInterval = (f, ms) => globalThis.setInterval(f, ms / 100).unref();
`;

async function take(number, mark, name, { end, real = false } = {}) {
  const source = plain(block(seed(number), mark, end));
  const prelude = real ? PRELUDE.replace(/^const set.*$/gm, '') : PRELUDE;
  const module = await load(`${prelude}\n${source}\nexport { ${name} };\n`);
  return module[name];
}

/** Statements that work on a connection `ws` that is there. */
async function statements(ws, source) {
  page = { ...page, ws };
  await load(`${PRELUDE}\n${source}`);
}

const CLASSES = [
  ['001', 'BufferedWebSocket', behaviours.buffered],
  ['002', 'WebSocketClient', behaviours.simple, { end: /^\/\/ Usage/m }],
  ['004', 'WebSocketConnectionPool', behaviours.pool],
  ['004', 'HeartbeatWebSocket', behaviours.heartbeat, { real: true }],
  ['004', 'QueuedWebSocket', behaviours.queued],
  ['004', 'WebSocketProtocol', behaviours.requests, { real: true }],
  ['004', 'ChannelWebSocket', behaviours.channels],
];

function strangers(workers) {
  let server;
  before(async () => {
    server = await serve(workers);
    page = { WebSocket };
  });
  after(() => server.stop());

  for (const [number, name, behave, options] of CLASSES) {
    it(`${number}: ${name}`, async () => behave(await take(number, `class ${name}`, name, options), server));
  }

  it('002: messages as events', async () => {
    const room = 'lobby';
    const heard = await listener(server, room);
    const ws = await Peer.open(`${server.url}/ws`);
    await statements(ws.ws, block(seed('002'), 'createMessage', /^\/\/ Server handler/m));
    const { data } = await heard.json();
    assert.deepEqual(data, { text: 'Hello!' });
    ws.send({ type: 'message', payload: 'to nobody' });
    // It joins, speaks and leaves in one breath: perhaps it is still there to hear itself, perhaps not.
    let last = await ws.json();
    if (!last.error) {
      assert.deepEqual([last.type, last.payload], ['message', { text: 'Hello!' }]);
      last = await ws.json();
    }
    assert.ok(last.error, 'the room was left');
  });

  it('002: JSON messages, in a room', async () => {
    const ws = await Peer.open(`${server.url}/ws?dialect=event`);
    ws.send({ type: 'join', payload: { room: fresh('chat') } });
    await statements(ws.ws, block(seed('002'), "type: 'chat'", /^\/\/ Server$/m));
    const { timestamp, ...message } = await ws.json();
    assert.deepEqual(message, { type: 'chat', user: 'John', content: 'Hello!' });
  });

  it('002: authentication after the connection', async () => {
    const got = inbox();
    page = { WebSocket, get ws() {
      return new WebSocket(`${server.url}/ws`).on('message', text => got.put(JSON.parse(text)));
    } };
    await load(`${PRELUDE}\n${block(seed('002'), 'Post-connection auth', /^\/\/ Server handles/m)}`);
    page = { WebSocket };
    assert.deepEqual(await got.take(), { type: 'auth', success: true });
  });

  it('002: a token in the query', async () => {
    const source = block(seed('002'), 'query parameters', /^\/\/ Server-side/m)
      .replace('ws://localhost:8080', server.url);
    const { ws } = await load(`${PRELUDE.replace('ws, url', 'url')}\n${source}\nexport { ws };`);
    await open(ws);
    ws.terminate();
  });

  it('002: a heartbeat from the client, which expects nothing back', async () => {
    const got = [];
    const source = block(seed('002'), "type: 'heartbeat'").replace('ws://localhost:8080', `${server.url}/ws`);
    const sent = inbox();
    page = { ...page, WebSocket: class extends WebSocket {
      constructor(...args) { super(...args); this.on('message', m => got.push(m)); }
      send(text) { super.send(text); sent.put({ text, socket: this }); }
    } };
    await load(`${PRELUDE.replace('ws, url', 'url')}\n${source}`);
    const { text, socket } = await sent.take();
    assert.deepEqual(JSON.parse(text), { type: 'heartbeat' });
    await sent.take();
    page = { WebSocket };
    assert.equal(socket.readyState, 1);
    assert.deepEqual(got, []);
    socket.terminate();
  });

  it('000: a display that reconnects, with its address from the page', async () => {
    const { default: ReconnectingWebSocket } = await import('reconnecting-websocket');
    class Reconnecting extends ReconnectingWebSocket {
      constructor(url, protocols, options) { super(url, protocols, { ...options, WebSocket }); }
    }
    page = { WebSocket, ReconnectingWebSocket: Reconnecting, location: {
      protocol: 'http:', host: `${new URL(server.url).host}/feed/attacks` } };
    const address = block(seed('000'), 'location.protocol');
    const source = block(seed('000'), 'new ReconnectingWebSocket');
    const { ws } = await load(`${PRELUDE.replace('ws, url', 'url')}\n${address}\n${source}\nexport { ws };`);
    const got = inbox();
    ws.addEventListener('message', event => got.put(JSON.parse(event.data)));
    await open(ws);
    const said = { type: 'enriched', timestamp: '2026-01-01', geo: null, threatType: 'scan' };
    const writer = await Peer.open(`${server.url}/ws`);
    writer.send({ type: 'publish', channel: 'attacks', data: said });
    assert.deepEqual(await got.take(), said);
    ws.close();
    page = { WebSocket };
  });
}

if (fs.existsSync(SEEDS)) {
  for (const workers of [1, 4]) describe(`strangers' clients, with ${workers} workers`, () => strangers(workers));

  describe("strangers' clients, when the server dies", () => {
    it('004: ReconnectingWebSocket', async () => {
      page = { WebSocket };
      const name = 'ReconnectingWebSocket';
      page.ReconnectingWebSocket = undefined;
      const source = plain(block(seed('004'), `class ${name}`));
      const prelude = PRELUDE.replace(' ReconnectingWebSocket,', '').replace(/^const set.*$/gm, '');
      const module = await load(`${prelude}\n${source}\nexport { ${name} };\n`);
      await behaviours.reconnecting(module[name]);
    });
  });
}

if (fs.existsSync(SEEDS) && fs.existsSync(node22())) {
  describe("strangers' clients, with the WebSocket of Node 22", () => {
    for (const [title, number, script] of [
      ['A: ChannelWebSocket', '004', 'seed_channel.mjs'],
      ['heartbeat: HeartbeatWebSocket', '004', 'seed_heartbeat.mjs'],
      ['B: the useWebSocket hook', '001', 'seed_topic.mjs'],
    ]) {
      it(title, async () => {
        const server = await serve(4);
        const args = ['--no-warnings', path.join(HERE, 'peers', script), seed(number), server.url];
        const client = new Program(node22(), args);
        const { code, stdout, stderr } = await client.exit({ ms: 20_000 });
        assert.equal(code, 0, stdout + stderr);
        await server.stop();
      });
    }
  });
}
