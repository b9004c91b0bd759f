// Dialect B: the useWebSocket hook, run by the few lines of React that it needs.
import assert from 'node:assert/strict';
import { block, load, plain } from './seed.mjs';

const [file, url] = process.argv.slice(2);

// A hook's world: state that stays between renders, effects that run once.
const react = `
const cells = [];
let at = 0;
export const rewind = () => { at = 0; };
const cell = make => (cells[at] ??= make(), cells[at++]);
const useRef = value => cell(() => ({ current: value }));
const useState = value => { const c = cell(() => ({ value })); return [c.value, v => { c.value = v; }]; };
const useCallback = f => cell(() => ({ f })).f;
const useEffect = f => { const c = cell(() => ({})); if (!c.ran) { c.ran = true; c.end = f(); } };
`;
const source = block(file, 'export function useWebSocket').replace(/^import .*'react';$/m, react);
const { useWebSocket, rewind } = await load(plain(source));

function waiter() {
  const ready = [];
  const waiting = [];
  return {
    put: v => { const w = waiting.shift(); if (w) w(v); else ready.push(v); },
    take: () => ready.length ? Promise.resolve(ready.shift()) : new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('nothing came')), 8_000);
      waiting.push(v => { clearTimeout(timer); resolve(v); });
    }),
  };
}

const messages = waiter();
const opened = waiter();
const options = { url: `${url}/ws/monitor-1`, onMessage: messages.put, onOpen: () => opened.put(true) };
const render = () => { rewind(); return useWebSocket(options); };

let hook = render();
await opened.take();
hook = render();
assert.equal(hook.isConnected, true);

hook.send({ type: 'subscribe', topic: 'traffic' });
hook.send({ type: 'ping' });
assert.deepEqual(await messages.take(), { type: 'pong' }, 'subscribing is silent');
hook.send({ type: 'what', is: ['this'] });
assert.deepEqual(await messages.take(), { received: { type: 'what', is: ['this'] } });

const other = new WebSocket(`${url}/ws`);
await new Promise(resolve => { other.onopen = resolve; });
other.send(JSON.stringify({ type: 'publish', channel: 'traffic', data: { type: 'packet', size: 60 } }));
assert.deepEqual(await messages.take(), { type: 'packet', size: 60 }, 'broadcasts are raw objects');
assert.deepEqual(render().lastMessage, { type: 'packet', size: 60 });

hook.send({ type: 'unsubscribe', topic: 'traffic' });
hook.send({ type: 'ping' });
assert.deepEqual(await messages.take(), { type: 'pong' });
process.exit(0);
