// Every conversation of tests/vectors.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
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
  const file = path.join(FOLDER, `${fs.readdirSync(FOLDER).length}.yaml`);
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

/** The messages up to an offset, in how many frames they came, and how often a hole was explained. */
async function hear(peer, last) {
  const heard = [];
  let at = 0, frames = 0, skips = 0;
  for (; at < last; frames++) {
    for (const one of [JSON.parse(await peer.next())].flat()) {
      if (one.type === 'skip') {
        assert.equal(one.reason, 'slow');
        assert.equal(one.offset, at + one.count);
        skips++;
      } else {
        assert.equal(one.type, 'message');
        assert.equal(one.offset, at + 1);
        heard.push(one);
      }
      at = one.offset;
    }
  }
  return { heard, frames, skips };
}

describe('what waits for one reader', { concurrency: true }, () => {
  const LINES = ['limits:', '  publish_rate: off', 'history:', '  count: 5000', 'queue:', '  max: 4m', '  age: 60s',
    'namespaces:', '  - name: some', '    slow: drop-oldest', ''];
  const DEFLATE = ['deflate:', '  mode: takeover', '  threshold: 200', ''];
  const servers = {};
  before(async () => {
    servers.plain = await serve(2, '--config', config(LINES.join('\n')));
    servers.packed = await serve(2, '--config', config([...LINES.slice(0, -1), ...DEFLATE].join('\n')));
    const [key, cert] = ['key', 'cert'].map(name => path.join(FOLDER, `${name}.pem`));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
      '-keyout', key, '-out', cert, '-subj', '/CN=localhost', '-days', '2'], { stdio: 'ignore' });
    servers.tls = await serve(2, '--config', config(LINES.join('\n')), '--tls-cert', cert, '--tls-key', key);
  });
  after(() => Promise.all(Object.values(servers).map(server => server.stop())));

  const open = async (kind, protocols = ['linnet.v1']) => {
    const peer = await Peer.open(`${servers[kind].url}/ws`, protocols,
      { perMessageDeflate: kind === 'packed', rejectUnauthorized: false });
    if (protocols.length) assert.equal((await peer.json()).type, 'welcome');
    return peer;
  };
  const join = async (peer, channel, more = {}) => {
    peer.send({ type: 'subscribe', id: 'join', channel, ...more });
    const ok = await peer.json();
    assert.equal(ok.re, 'join');
    return ok;
  };
  /** Publishes 0 to n - 1, of so many bytes; resolves when the last one has its place. */
  const pour = async (writer, channel, n, size) => {
    const one = k => ({ type: 'publish', channel, data: `${k} ${'lorem ipsum dolor sit amet '.repeat(size / 27)}`,
      id: k === n - 1 ? 'last' : undefined });
    for (let from = 0; from < n; from += 40)
      writer.send(Array.from({ length: Math.min(40, n - from) }, (_, k) => one(from + k)));
    assert.equal((await writer.json(20_000)).offset, n);
  };
  const numbers = heard => heard.map(m => Number.parseInt(m.data, 10));

  it('comes as an array if it was told so, and each by itself if it was not', async () => {
    const [told, untold, writer] = await Promise.all([open('plain'), open('plain', []), open('plain')]);
    for (const peer of [told, untold]) await join(peer, 'burst');
    await pour(writer, 'burst', 400, 30);
    const [one, other] = await Promise.all([hear(told, 400), hear(untold, 400)]);
    assert.deepEqual(numbers(one.heard), numbers(other.heard));
    assert.deepEqual(one.heard, other.heard);
    assert.ok(one.frames < 200, `${one.frames} frames for 400 messages`);
    assert.equal(other.frames, 400);
    await Promise.all([told, untold, writer].map(p => p.close()));
  });

  for (const kind of ['plain', 'packed', 'tls']) {
    for (const size of [54, 540]) {
      it(`${kind}, ${size} bytes each: a reader that stops and goes on has all of it, in order`, async () => {
        const channel = `stops-${size}`;
        const [reader, writer] = await Promise.all([open(kind), open(kind)]);
        await join(reader, channel);
        reader.ws.pause();
        const n = size === 54 ? 4000 : 3000;
        await pour(writer, channel, n, size);
        reader.ws.resume();
        const { heard, frames } = await hear(reader, n);
        assert.deepEqual(numbers(heard), Array.from({ length: n }, (_, k) => k));
        assert.ok(frames < n / 2, `${frames} frames for ${n} messages`);
        await Promise.all([reader, writer].map(p => p.close()));
      });
    }

    it(`${kind}: what a policy drops is in no array, and the hole is explained`, async () => {
      const [reader, writer] = await Promise.all([open(kind), open(kind)]);
      await join(reader, 'some:room');
      reader.ws.pause();
      await pour(writer, 'some:room', 30000, 540);
      reader.ws.resume();
      const { heard, frames, skips } = await hear(reader, 30000);
      assert.ok(skips > 0 && heard.length < 30000, `${skips} skips, ${heard.length} messages`);
      assert.ok(frames < heard.length / 2, `${frames} frames for ${heard.length} messages`);
      for (const m of heard) assert.equal(m.offset, Number.parseInt(m.data, 10) + 1);
      await Promise.all([reader, writer].map(p => p.close()));
    });
  }

  it('is what was missed, too', async () => {
    const [reader, writer] = await Promise.all([open('plain'), open('plain')]);
    const { epoch, offset } = await join(reader, 'missed');
    await reader.close();
    await pour(writer, 'missed', 500, 54);
    const back = await open('plain');
    const ok = await join(back, 'missed', { recover: { epoch, offset } });
    assert.deepEqual([ok.recovered, ok.replay], [true, 500]);
    const { heard, frames } = await hear(back, 500);
    assert.deepEqual(numbers(heard), Array.from({ length: 500 }, (_, k) => k));
    assert.ok(heard.every(m => m.replay));
    assert.ok(frames < 50, `${frames} frames for 500 messages`);
    await Promise.all([back, writer].map(p => p.close()));
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
