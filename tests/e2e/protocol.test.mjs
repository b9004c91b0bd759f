// Every conversation of tests/vectors.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { serve } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';
import { all, match, play } from './lib/script.mjs';

describe('the player itself finds', () => {
  for (const [why, want, got] of [
    ['another value', { a: 1 }, { a: 2 }],
    ['another type', { a: 1 }, { a: '1' }],
    ['a missing key', { a: 1, '...': 1 }, { b: 1 }],
    ['one key too many', { a: 1 }, { a: 1, b: 2 }],
    ['a string that is none', '$string', 7],
    ['an empty string', '$string', ''],
    ['a fraction', '$int', 1.5],
    ['a shorter array', [1, 2], [1]],
    ['null for an object', {}, null],
    ['a kept value that changed', ['$keep:x', '$same:x'], [1, 2]],
    ['a step of two', ['$keep:x', '$more:x'], [1, 3]],
  ]) it(why, () => assert.throws(() => match(want, got)));
});

const FOLDER = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-protocol-'));
after(() => fs.rmSync(FOLDER, { recursive: true }));
function config(text) {
  const file = path.join(FOLDER, 'linnet.yaml');
  fs.writeFileSync(file, text);
  return file;
}

/** The configuration that a file of conversations asks for; JSON is YAML. */
function configured({ serve: { secret, personal, namespaces } }) {
  const file = path.join(FOLDER, 'secret');
  fs.writeFileSync(file, secret, { mode: 0o600 });
  return ['--config', config(JSON.stringify({ auth: { secrets: [file], personal }, namespaces }))];
}

for (const workers of [1, 4]) {
  for (const file of all().filter(({ serve: asks }) => asks)) {
    describe(`${file.name} with ${workers} workers`, () => {
      let server;
      before(async () => { server = await serve(workers, ...configured(file)); });
      after(() => server.stop());
      for (const script of file.scripts) it(script.name, () => play(script, server.url, file.tokens));
      it('its tokens say what stands beside them', () => {
        for (const [name, token] of Object.entries(file.tokens)) {
          assert.deepEqual(JSON.parse(Buffer.from(token.split('.')[1], 'base64url')), file.claims[name]);
        }
      });
    });
  }

  describe(`vectors with ${workers} workers`, () => {
    let server;
    before(async () => { server = await serve(workers); });
    after(() => server.stop());
    for (const { name, scripts } of all().filter(({ serve: asks }) => !asks)) {
      describe(name, () => {
        for (const script of scripts) it(script.name, () => play(script, server.url));
      });
    }

    it('100 publications from each of 8 clients reach 16 subscribers once and in order', async () => {
      const readers = await Promise.all(Array.from({ length: 16 }, () => Peer.open(`${server.url}/ws`)));
      for (const reader of readers) {
        reader.send({ type: 'subscribe', id: 1, channel: 'crowd' });
        assert.equal((await reader.json()).type, 'ok');
      }
      const writers = await Promise.all(Array.from({ length: 8 }, () => Peer.open(`${server.url}/ws`)));
      for (let n = 0; n < 100; n++) {
        writers.forEach((w, i) => w.send({ type: 'publish', channel: 'crowd', data: [i, n] }));
      }
      let first;
      for (const reader of readers) {
        const seen = [];
        for (let n = 0; n < 800; n++) seen.push(await reader.json());
        assert.deepEqual(seen.map(m => m.offset), seen.map((_, n) => n + 1));
        for (let i = 0; i < 8; i++) {
          const own = seen.filter(m => m.data[0] === i).map(m => m.data[1]);
          assert.deepEqual(own, Array.from({ length: 100 }, (_, n) => n), 'the order of each publisher');
        }
        const order = JSON.stringify(seen.map(m => m.data));
        first ??= order;
        assert.equal(order, first, 'the same order for everybody');
      }
      await Promise.all([...readers, ...writers].map(p => p.close()));
    });
  });
}

describe('batch_ms', () => {
  let server;
  before(async () => { server = await serve(2, '--config', config('batch_ms: 30\n')); });
  after(() => server.stop());

  it('sends what is said in that time as one array, and each as it is to dialects without arrays', async () => {
    const [reader, plain, writer] = await Promise.all([['linnet.v1'], ['linnet.channel'], ['linnet.v1']]
      .map(protocols => Peer.open(`${server.url}/ws`, protocols)));
    for (const peer of [reader, writer]) assert.equal((await peer.json()).type, 'welcome');
    reader.send({ type: 'subscribe', id: 1, channel: 'b' });
    assert.equal((await reader.json()).offset, 0);
    plain.send({ action: 'subscribe', channel: 'b' });
    await plain.json();
    writer.send(Array.from({ length: 128 }, (_, n) => ({ type: 'publish', channel: 'b', data: n + 1 })));
    writer.send(Array.from({ length: 52 }, (_, n) => ({ type: 'publish', channel: 'b', data: n + 129 })));
    const heard = [];
    let frames = 0;
    for (; heard.length < 180; frames++) heard.push(...[JSON.parse(await reader.next())].flat());
    assert.deepEqual(heard.map(m => m.offset), heard.map((_, n) => n + 1));
    assert.deepEqual(heard.map(m => m.data), heard.map((_, n) => n + 1));
    assert.ok(frames < 10, `${frames} frames for 180 messages`);
    for (let n = 1; n <= 180; n++) assert.deepEqual(await plain.json(), { channel: 'b', data: n });
    writer.send({ type: 'publish', id: 'last', channel: 'b', data: 'alone' });
    assert.equal((await writer.json()).offset, 181); // before it is heard
    assert.equal((await reader.json()).data, 'alone');
    await Promise.all([reader, plain, writer].map(p => p.close()));
  });
});

/** One of each kind that may be agreed upon: without, with every window, with takeover where the server allows it. */
const KINDS = [false, true, { serverNoContextTakeover: true }, { clientNoContextTakeover: true },
  ...[9, 10, 12, 15].map(serverMaxWindowBits => ({ serverMaxWindowBits }))];

for (const mode of ['no-takeover', 'takeover']) {
  describe(`a publication compressed once for all who share a variant, --deflate=${mode}`, () => {
    let server;
    before(async () => { server = await serve(2, `--deflate=${mode}`); });
    after(() => server.stop());

    it('is the same to all, in order, between short ones and answers', async () => {
      const readers = await Promise.all([...KINDS, ...KINDS].map(perMessageDeflate =>
        Peer.open(`${server.url}/ws`, [], { perMessageDeflate })));
      assert.equal(readers.filter(r => r.ws.extensions.includes('permessage-deflate')).length, 2 * KINDS.length - 2);
      for (const reader of readers) {
        reader.send({ type: 'subscribe', id: 1, channel: 'packed' });
        assert.equal((await reader.json()).type, 'ok');
      }
      const writer = await Peer.open(`${server.url}/ws`);
      const said = Array.from({ length: 60 }, (_, n) =>
        [n, `${'the quick brown fox '.repeat(n % 3 ? (n * 7) % 300 : 0)}${n}`]);
      for (const [n, data] of said.entries()) {
        writer.send({ type: 'publish', channel: 'packed', data });
        if (n % 7 === 0) readers.forEach((r, i) => r.send({ type: 'ping', id: `${i}.${'p'.repeat(50)}` }));
      }
      for (const reader of readers) {
        const heard = [];
        while (heard.length < said.length) {
          const m = await reader.json();
          if (m.type === 'message') heard.push(m.data);
          else assert.equal(m.type, 'pong');
        }
        assert.deepEqual(heard, said);
      }
      await Promise.all([...readers, writer].map(p => p.close()));
    });
  });
}
