// Plays the conversations of tests/vectors against a server (their README says what a step means).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from './linnet.mjs';
import { Peer } from './peer.mjs';

const FOLDER = path.join(ROOT, 'tests/vectors');

export function load(name) {
  return JSON.parse(fs.readFileSync(path.join(FOLDER, name), 'utf8'));
}

/** All protocol files: those that have scripts. */
export function all() {
  return fs.readdirSync(FOLDER).filter(n => n.endsWith('.json')).sort()
    .map(name => ({ name, ...load(name) })).filter(file => file.scripts);
}

const TYPES = {
  $any: () => true,
  $string: v => typeof v === 'string' && v !== '',
  $int: v => Number.isSafeInteger(v),
  $bool: v => typeof v === 'boolean',
};

/** Throws where `got` differs from the pattern `want`; `kept` are the values with names. */
export function match(want, got, kept = {}, at = 'message') {
  const differs = () => assert.deepEqual(got, want, `${at} differs`);
  if (typeof want === 'string' && want.startsWith('$')) {
    const [kind, name] = want.split(':');
    if (kind === '$keep') kept[name] = got;
    else if (kind === '$same') assert.deepEqual(got, kept[name], at);
    else if (kind === '$more') assert.equal(got, kept[name] + 1, at);
    else if (TYPES[kind]) assert.ok(TYPES[kind](got), `${at} is no ${kind}: ${JSON.stringify(got)}`);
    else differs();
  } else if (Array.isArray(want)) {
    if (!Array.isArray(got) || got.length !== want.length) return differs();
    want.forEach((w, i) => match(w, got[i], kept, `${at}[${i}]`));
  } else if (want !== null && typeof want === 'object') {
    if (got === null || typeof got !== 'object' || Array.isArray(got)) return differs();
    const { '...': open, ...keys } = want;
    for (const key of Object.keys(keys)) {
      assert.ok(key in got, `${at} has no ${key}: ${JSON.stringify(got)}`);
      match(keys[key], got[key], kept, `${at}.${key}`);
    }
    if (!open) assert.deepEqual(Object.keys(got).sort(), Object.keys(keys).sort(), `keys of ${at}`);
  } else if (!Object.is(want, got)) differs();
}

let runs = 0;

export async function play(script, base, tokens = {}) {
  const prefix = `r${process.pid}.${++runs}.`;
  const { steps, open = {} } = JSON.parse(JSON.stringify(script).replaceAll('{c}', prefix)
    .replace(/\{t:(\w+)\}/g, (_, name) => tokens[name] ?? assert.fail(`no token ${name}`)));
  const peers = new Map();
  const kept = {};
  async function peer(name) {
    if (!peers.has(name)) {
      const { path: at = '/ws', protocols = [] } = open[name] ?? {};
      peers.set(name, await Peer.open(base + at, protocols));
    }
    return peers.get(name);
  }
  try {
    for (const [n, step] of steps.entries()) {
      const on = await peer(step.on ?? 'a');
      try {
        await playStep(step, on, kept);
      } catch (error) {
        error.message = `step ${n + 1} ${JSON.stringify(step)}: ${error.message}`;
        throw error;
      }
    }
    for (const [name, one] of peers) {
      assert.deepEqual(one.inbox, [], `messages to ${name} that nobody expected`);
    }
  } finally {
    peers.forEach(one => one.ws.terminate());
  }
}

/** What is to be sent, with kept values in their places. */
function fill(value, kept) {
  if (typeof value === 'string' && value.startsWith('$same:')) return kept[value.slice(6)];
  if (Array.isArray(value)) return value.map(v => fill(v, kept));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fill(v, kept)]));
}

/** A binary message of the native protocol: a header that is an object, and bytes. */
export function framed(header, hex) {
  const text = Buffer.from(JSON.stringify(header));
  const head = Buffer.from([1, 0, 0, 0, 0]);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, text, Buffer.from(hex, 'hex')]);
}

function unframed(message) {
  assert.equal(message[0], 1);
  const size = message.readUInt32BE(1);
  return { header: JSON.parse(message.subarray(5, 5 + size)), payload: message.subarray(5 + size) };
}

async function playStep(step, peer, kept) {
  if ('send' in step) peer.send(JSON.stringify(fill(step.send, kept)));
  else if ('text' in step) peer.send(step.text);
  else if ('bytes' in step) peer.send(framed(fill(step.bytes, kept), step.payload));
  else if ('binary' in step) peer.send(Buffer.from(step.binary, 'hex'));
  else if ('close' in step) {
    const { code, reason } = await peer.closing();
    assert.equal(code, step.close);
    if (step.reason) assert.equal(reason, step.reason);
  } else if ('payload' in step) {
    const message = await peer.next();
    assert.ok(Buffer.isBuffer(message), `a text: ${message}`);
    const { header, payload } = unframed(message);
    match(step.expect, header, kept);
    assert.equal(payload.toString('hex'), step.payload);
  } else match(step.expect, await peer.json(), kept);
}
