// What clients of the patterns count on, as conversations with `linnet serve`. Each takes a class of the shape that
// such clients have everywhere, so that those of peers/clients.mjs and those of strangers go through the same.
import assert from 'node:assert/strict';
import { start, until } from './linnet.mjs';
import { Peer } from './peer.mjs';

/** A queue that can be awaited: put() what comes, take() it in order. */
export function inbox() {
  const ready = [];
  const waiting = [];
  return {
    ready,
    put: value => { const w = waiting.shift(); if (w) w(value); else ready.push(value); },
    take: (ms = 8_000) => ready.length ? Promise.resolve(ready.shift()) : new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('nothing came')), ms);
      waiting.push(value => { clearTimeout(timer); resolve(value); });
    }),
  };
}

export const open = socket => socket.readyState === 1 ? Promise.resolve() : new Promise((resolve, reject) => {
  socket.addEventListener('open', resolve);
  socket.addEventListener('error', () => reject(new Error('could not connect')));
});

let count = 0;
export const fresh = name => `${name}.${process.pid}.${++count}`;

/** A client of linnet.v1 that is in a channel. */
export async function listener(server, channel) {
  const peer = await Peer.open(`${server.url}/ws`);
  peer.send({ type: 'subscribe', id: 1, channel });
  assert.equal((await peer.json()).type, 'ok');
  return peer;
}

async function publish(peer, channel, data) {
  peer.send({ type: 'publish', channel, data });
}

const again = server => start(['serve', '--listen', `127.0.0.1:${server.port}`]);

/** new Channels(url): subscribe(channel, f) -> {unsubscribe}, publish(channel, data), socket. */
export async function channels(Channels, server) {
  const name = fresh('lobby');
  const [ann, bob] = [new Channels(`${server.url}/ws`), new Channels(`${server.url}/ws`)];
  await Promise.all([open(ann.socket), open(bob.socket)]);
  const [atAnn, atBob] = [inbox(), inbox()];
  ann.subscribe(name, atAnn.put);
  const handle = bob.subscribe(name, atBob.put);
  const heard = await listener(server, name);
  await until(async () => { // both are in when both have heard the same
    assert.equal(ann.publish(name, { text: 'hello' }), true);
    await heard.json();
    return atAnn.ready.length && atBob.ready.length;
  }, 'both to hear');
  assert.deepEqual(await atBob.take(), { text: 'hello' });
  handle.unsubscribe();
  for (const falsy of [0, '', false, null]) {
    ann.publish(name, falsy);
    await until(async () => (await atAnn.take()).value === falsy, 'a value that such clients would drop');
  }
  // The connection breaks: it is in its channels again by itself.
  const before = ann.socket;
  before.close();
  await until(() => ann.socket !== before && ann.socket.readyState === 1, 'the client to come back');
  await until(async () => {
    await publish(heard, name, { text: 'after' });
    return atAnn.ready.some(data => data.text === 'after');
  }, 'the channel after a reconnect');
  assert.ok(!atBob.ready.some(data => data.text === 'after'), 'who left hears nothing');
}

/** new Heartbeat(url, ms): connection, handleMessage(message). */
export async function heartbeat(Heartbeat, server) {
  const client = new Heartbeat(`${server.url}/ws`, 40);
  const other = inbox();
  client.handleMessage = other.put;
  await open(client.connection);
  const pongs = inbox();
  client.connection.addEventListener('message', event => pongs.put(JSON.parse(event.data)));
  for (let n = 0; n < 5; n++) assert.deepEqual(await pongs.take(), { type: 'pong' });
  assert.equal(client.connection.readyState, 1);
  assert.deepEqual(other.ready, [], 'nothing but pongs came');
  client.connection.close();
}

/** new Reconnecting(url, {reconnectInterval}): onopen, onmessage, send(message), close(). Kills the server. */
export async function reconnecting(Reconnecting) {
  const first = await start(['serve', '--listen', '127.0.0.1:0']);
  const client = new Reconnecting(`${first.url}/ws`, { reconnectInterval: 300 });
  const [opened, closed, got] = [inbox(), inbox(), inbox()];
  client.onopen = () => opened.put(true);
  client.onclose = closed.put;
  client.onmessage = event => got.put(JSON.parse(event.data));
  await opened.take();
  first.kill('SIGKILL');
  await first.exit();
  await closed.take();
  assert.equal(client.send({ action: 'subscribe', channel: 'queued' }), false, 'it is kept');
  client.send({ action: 'publish', channel: 'queued', data: 'kept' });
  const second = await again(first);
  await opened.take(20_000);
  assert.equal((await got.take()).channel, 'system');
  assert.deepEqual(await got.take(), { channel: 'queued', data: 'kept' });
  client.close();
  await closed.take();
  await second.stop();
}

/** new Queued(url): send(message), handleMessage(message). */
export async function queued(Queued, server) {
  const name = fresh('queued');
  const client = new Queued(`${server.url}/ws`);
  const got = inbox();
  client.handleMessage = got.put;
  client.send({ action: 'subscribe', channel: name });
  client.send({ action: 'publish', channel: name, data: { n: 1 } });
  assert.equal((await got.take()).data.type, 'subscription_confirm');
  assert.deepEqual(await got.take(), { channel: name, data: { n: 1 } });
  client.send({ action: 'publish', channel: name, data: { n: 2 } });
  assert.deepEqual(await got.take(), { channel: name, data: { n: 2 } });
}

/** new Buffered(): connect(url), send(data). */
export async function buffered(Buffered, server) {
  const name = fresh('buffered');
  const heard = await listener(server, name);
  const client = new Buffered();
  for (let n = 1; n <= 3; n++) client.send({ action: 'publish', channel: name, data: n });
  client.connect(`${server.url}/ws`);
  for (let n = 1; n <= 3; n++) assert.equal((await heard.json()).data, n);
}

/** new Requests(url): query, command, publishEvent, authenticate, on(type, f), socket. */
export async function requests(Requests, server) {
  const name = fresh('things');
  const client = new Requests(`${server.url}/ws`);
  await open(client.socket);
  const [answers, events] = [inbox(), inbox()];
  client.on('response', (payload, message) => answers.put(message));
  client.on('event', events.put);
  await client.authenticate({ token: 't' });
  assert.deepEqual((await answers.take()).payload, { success: true });
  const since = Date.now();
  await assert.rejects(client.query('users', { page: 1 }), error => {
    assert.ok(error instanceof Error && typeof error.message === 'string');
    assert.match(error.message, /no backend/);
    return true;
  });
  assert.ok(Date.now() - since < 3_000, 'at once, and not when its patience is over');
  await client.command('subscribe', { channel: name });
  assert.equal((await answers.take()).payload.channel, name);
  const heard = await listener(server, name);
  await client.publishEvent('moved', { channel: name, x: 1 });
  assert.deepEqual(await events.take(), { event: 'moved', channel: name, data: { channel: name, x: 1 } });
  const { event, data } = await heard.json();
  assert.deepEqual({ event, data }, { event: 'moved', data: { channel: name, x: 1 } });
  assert.deepEqual(answers.ready, [], 'an event that went well is not answered');
}

/** new Pool(url, size): sendMessage(message) -> bool, getConnection(). */
export async function pool(Pool, server) {
  const name = fresh('pool');
  const heard = await listener(server, name);
  const client = new Pool(`${server.url}/ws`, 3);
  const sockets = new Set();
  for (let n = 0; n < 3; n++) sockets.add(client.getConnection());
  assert.equal(sockets.size, 3, 'each in its turn');
  await Promise.all([...sockets].map(open));
  for (let n = 0; n < 9; n++) assert.equal(client.sendMessage({ action: 'publish', channel: name, data: { n } }), true);
  const got = [];
  for (let n = 0; n < 9; n++) got.push((await heard.json()).data.n);
  assert.deepEqual(got.sort(), Array.from({ length: 9 }, (_, n) => n));
}

/** new Simple(url): onOpen(), onMessage(text), send(text), close(), ws. */
export async function simple(Simple, server) {
  const room = fresh('lobby');
  const client = new Simple(`${server.url}/ws`);
  const [opened, got] = [inbox(), inbox()];
  client.onOpen = () => opened.put(true);
  client.onMessage = data => got.put(JSON.parse(data));
  for (let round = 0; round < 2; round++) { // it comes back when it is sent away
    await opened.take();
    client.send(JSON.stringify({ type: 'join', payload: { room, user: 'John' }, timestamp: Date.now() }));
    client.send(JSON.stringify({ type: 'message', payload: { text: `hello ${round}` }, timestamp: Date.now() }));
    assert.deepEqual((await got.take()).payload, { text: `hello ${round}` });
    if (!round) client.close();
  }
}
