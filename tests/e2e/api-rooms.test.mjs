// The HTTP API about channels and who is in them: which there are.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Api, KEY, ask } from './lib/api.mjs';
import { linnet } from './lib/linnet.mjs';

const YAML = 'namespaces:\n  - name: room\n    members: true\n  - name: brief\n    live: true\n    members: false\n';

describe('which channels there are', () => {
  let api;
  const peers = [];
  before(async () => {
    api = await Api.start({ yaml: YAML, workers: 4 });
    for (const sub of ['anna', 'anna', 'bob', 'cy', 'dora']) {
      const peer = await api.peer({ claims: { sub } });
      assert.equal((await ask(peer, { type: 'subscribe', id: 1, channel: 'room:1' })).type, 'ok');
      peers.push(peer);
    }
    assert.equal((await ask(peers[0], { type: 'subscribe', id: 2, channel: 'brief:x' })).type, 'ok');
    for (const channel of ['news', '@anna', 'news']) await api.ok('publish', { channel, data: 1 });
    await api.ok('publish', { channel: 'brief:nobody', data: 1 });
  });
  after(async () => {
    await Promise.all(peers.map(peer => peer.close()));
    await api.stop();
  });

  const list = async query => {
    const { channels, next } = await api.ok('channels', query);
    return [channels.map(({ channel, subscribers, connections, users, offset }) =>
      [channel, subscribers, connections, users, offset]), next];
  };
  const ALL = [['@anna', 0, 0, 0, 1], ['brief:x', 1, undefined, undefined, undefined],
    ['news', 0, 0, 0, 2], ['room:1', 5, 5, 4, 0]];

  it('lists those that live, with who is in them on all workers', async () => {
    assert.deepEqual(await list({}), [ALL, undefined]);
    assert.deepEqual(await list({ prefix: 'room:' }), [[ALL[3]], undefined]);
    assert.deepEqual(await list({ prefix: '@' }), [[ALL[0]], undefined]);
    assert.deepEqual(await list({ prefix: 'system' }), [[], undefined]);
  });

  it('in pages', async () => {
    assert.deepEqual(await list({ limit: 3 }), [ALL.slice(0, 3), 'news']);
    assert.deepEqual(await list({ limit: 3, after: 'news' }), [[ALL[3]], undefined]);
    assert.deepEqual(await list({ after: 'room:0' }), [[ALL[3]], undefined]);
    assert.deepEqual(await list({ after: 'zz' }), [[], undefined]);
  });

  it('also in a batch', async () => {
    const { results } = await api.ok('batch', { commands: [{ method: 'publish', channel: 'room:1', data: 1 },
      { method: 'channels', prefix: 'room:' }, { method: 'channels', limit: 0 }] });
    assert.deepEqual([results[1].ok.channels[0].offset, results[2].error.code], [1, 107]);
  });

  it('says what is no question', async () => {
    for (const query of [{ limit: 0 }, { limit: 1001 }, { limit: 2 ** 32 }, { limit: 2 ** 53 - 1 },
      { limit: '1' }, { prefix: 7 }, { prefix: 'a b' }, { prefix: 'a*' }, { prefix: 'x'.repeat(256) },
      { after: 3 }, { after: '\u0000' }, { after: 'ä' }, { after: 'x'.repeat(256) },
      { prefix: 'a', prefixes: 'b' }, { cursor: 'news' }])
      assert.deepEqual(await api.fails('channels', query), [400, 107], JSON.stringify(query));
  });

  it('of many, each comes once while others come and go', async () => {
    const wanted = Array.from({ length: 5000 }, (_, i) => `many:${i}`);
    for (let i = 0; i < wanted.length; i += 1000)
      await api.ok('broadcast', { channels: wanted.slice(i, i + 1000), data: 1 });
    let busy = true;
    const others = (async () => {
      for (let i = 0; busy; i++)
        await api.ok('broadcast', { channels: Array.from({ length: 200 }, (_, k) => `other:${i % 40}:${k}`), data: 1 });
    })();
    const seen = [];
    for (let query = {}; query; ) {
      const { channels, next } = await api.ok('channels', { limit: 333, ...query });
      seen.push(...channels.map(c => c.channel));
      query = next && { after: next };
    }
    busy = false;
    await others;
    assert.deepEqual(seen, [...seen].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    assert.deepEqual(seen.filter(name => name.startsWith('many:')), wanted.sort());
  });

  it('linnet channels prints them', async () => {
    const channels = (...args) => linnet(['channels', '--url', api.server.http, ...args],
      { env: { ...process.env, LINNET_API_KEY: KEY } });
    assert.match((await channels('room:')).stdout, /^ +5 {2}room:1 {2}4 users\n$/);
    const lines = (await channels('many:', '--json')).stdout.trim().split('\n').map(line => JSON.parse(line));
    assert.equal(lines.length, 5000);
    assert.deepEqual([lines[0].channel, lines[0].subscribers, lines[0].offset], ['many:0', 0, 1]);
    assert.equal((await channels('many:', '--limit', '1500')).stdout.trim().split('\n').length, 1500);
    const none = await channels('nothing:');
    assert.deepEqual([none.code, none.stdout], [0, '']);
    assert.match(none.stderr, /no channel whose name begins with nothing:/);
    assert.equal((await channels('a b')).code, 1);
    assert.equal((await channels('a', 'b')).code, 2);
  });
});
