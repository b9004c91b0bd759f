// Dialect A: two ChannelWebSockets talk through a channel.
import assert from 'node:assert/strict';
import { block, load, once } from './seed.mjs';

const [file, url] = process.argv.slice(2);
const source = block(file, 'class ChannelWebSocket');
const { ChannelWebSocket } = await load(`${source}\nexport { ChannelWebSocket };\n`, 'mjs');

async function client() {
  const one = new ChannelWebSocket(`${url}/ws`);
  await once(one.socket, 'onopen');
  return one;
}

async function join(one, channel) {
  const got = [];
  const confirmed = once(one, 'handleSystemMessage');
  const handle = one.subscribe(channel, data => { got.push(data); one.heard?.(); });
  const [data] = await confirmed;
  assert.deepEqual(data, { type: 'subscription_confirm', channel });
  return { got, handle };
}

const ann = await client();
const bob = await client();
const atAnn = await join(ann, 'lobby');
const atBob = await join(bob, 'lobby');

const heard = [once(ann, 'heard'), once(bob, 'heard')];
assert.equal(ann.publish('lobby', { text: 'hello' }), true);
await Promise.all(heard);
assert.deepEqual(atAnn.got, [{ text: 'hello' }]);
assert.deepEqual(atBob.got, [{ text: 'hello' }]);

// After leaving, Bob's confirmation of another channel is all that comes.
assert.equal(atBob.handle.unsubscribe(), true);
await join(bob, 'elsewhere');
const again = once(ann, 'heard');
bob.publish('lobby', 'a text');
await again;
assert.deepEqual(atAnn.got[1], 'a text');
assert.equal(atBob.got.length, 1);

const refused = once(ann, 'handleSystemMessage');
ann.publish('system', { text: 'I am the system' });
const [error] = await refused;
assert.equal(error.type, 'error');
process.exit(0);
