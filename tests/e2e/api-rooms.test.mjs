// The HTTP API about channels and who is in them: which there are.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Api, KEY, ask, now } from './lib/api.mjs';
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

describe('putting people into channels', () => {
  let api;
  before(async () => {
    api = await Api.start({ workers: 4,
      yaml: 'limits:\n  channels: 3\nnamespaces:\n  - name: staff\n    allow:\n      subscribe: nobody\n' });
  });
  after(() => api.stop());

  const users = (sub, count) => Promise.all(Array.from({ length: count }, () => api.peer({ claims: { sub } })));
  const next = async peer => JSON.parse(await peer.next());
  const gone = peers => Promise.all(peers.map(peer => peer.close()));

  it('all connections of a user, wherever they are; who was told hears what comes', async () => {
    const annas = await users('anna', 8), [bob] = await users('bob', 1);
    const refused = await ask(annas[0], { type: 'subscribe', id: 1, channel: 'staff:1' });
    assert.equal(refused.error.code, 103);
    assert.deepEqual(await api.ok('subscribe', { user: 'anna', channel: 'staff:1' }), { sessions: 8 });
    await api.ok('publish', { channel: 'staff:1', data: 'hello' });
    for (const anna of annas) {
      const put = await next(anna);
      assert.deepEqual([put.type, put.channel, put.offset], ['subscribed', 'staff:1', 0]);
      assert.equal((await next(anna)).data, 'hello');
    }
    assert.deepEqual(await api.ok('subscribe', { user: 'anna', channel: 'staff:1' }), { sessions: 8 });
    assert.deepEqual(await api.ok('unsubscribe', { user: 'anna', channel: 'staff:1' }), { sessions: 8 });
    for (const anna of annas) assert.equal((await next(anna)).type, 'unsubscribed');
    assert.equal((await ask(bob, { type: 'ping', id: 1 })).type, 'pong');
    await gone([...annas, bob]);
  });

  it('by client, in a batch, and in their own channel', async () => {
    const [anna, other] = await users('anna', 2);
    const { client } = anna.welcome;
    const { results } = await api.ok('batch', { commands: [{ method: 'subscribe', client, channel: 'room' },
      { method: 'publish', channel: 'room', data: 1 }, { method: 'subscribe', user: 'anna', channel: '@anna' },
      { method: 'send', user: 'anna', data: 2 }] });
    assert.deepEqual([results[0].ok, results[2].ok], [{ sessions: 1 }, { sessions: 2 }]);
    for (const type of ['subscribed', 'message', 'subscribed', 'message']) assert.equal((await next(anna)).type, type);
    for (const type of ['subscribed', 'message']) assert.equal((await next(other)).type, type);
    await gone([anna, other]);
  });

  it('counts who has no room', async () => {
    const cyrils = await users('cyril', 3);
    for (const id of [1, 2, 3]) await ask(cyrils[0], { type: 'subscribe', id, channel: `own:${id}` });
    assert.deepEqual(await api.ok('subscribe', { user: 'cyril', channel: 'room' }), { sessions: 2, full: 1 });
    assert.deepEqual(await api.ok('subscribe', { user: 'cyril', channel: 'own:1' }), { sessions: 3 });
    await gone(cyrils);
  });

  it('says what cannot be', async () => {
    const [anna] = await users('anna', 1);
    for (const [body, want] of [[{ user: 'anna' }, [400, 107]], [{ channel: 'x' }, [400, 107]],
      [{ user: '', channel: 'x' }, [400, 107]], [{ user: 'anna', channel: '' }, [400, 107]],
      [{ user: 'anna', channel: 'a b' }, [400, 107]], [{ user: 'anna', channel: 'x'.repeat(256) }, [400, 107]],
      [{ user: 'x'.repeat(256), channel: 'x' }, [400, 107]], [{ user: 'anna', channel: 'x', data: 1 }, [400, 107]],
      [{ user: 'anna', channel: 'system' }, [403, 103]], [{ user: 'anna', channel: '$x' }, [403, 103]],
      [{ user: 'anna', channel: '@bob' }, [403, 103]], [{ client: anna.welcome.client, channel: '@anna' }, [403, 103]]])
      assert.deepEqual(await api.fails('subscribe', body), want, JSON.stringify(body));
    assert.deepEqual(await api.ok('subscribe', { user: 'nobody', channel: 'x' }), { sessions: 0 });
    assert.equal((await ask(anna, { type: 'ping', id: 1 })).type, 'pong');
    await anna.close();
  });

  it('a thousand connections, of which some go and some come by themselves meanwhile', async () => {
    const dorises = [];
    for (let i = 0; i < 10; i++) dorises.push(...await users('doris', 100));
    assert.deepEqual(await api.ok('subscribe', { user: 'doris', channel: 'many' }), { sessions: 1000 });
    for (const doris of dorises) assert.equal((await next(doris)).type, 'subscribed');
    const orders = [];
    for (let i = 0; i < 300; i++) {
      if (i % 3 === 0) dorises[i].ws._socket.resetAndDestroy();
      if (i % 3 === 1) dorises[i].send('{"type":"subscribe","id":1,"channel":"more"}');
      if (i % 3 === 2) dorises[i].send('{"type":"unsubscribe","id":1,"channel":"many"}');
      if (i % 30 === 0) {
        orders.push(api.ok('subscribe', { user: 'doris', channel: 'more' }));
        orders.push(api.ok('subscribe', { user: 'doris', channel: 'many' }));
        if (i % 60) await api.ok('unsubscribe', { user: 'doris', channel: 'many' });
      }
    }
    for (const { sessions } of await Promise.all(orders)) assert.ok(sessions >= 900 && sessions <= 1000, `${sessions}`);
    const { sessions } = await api.ok('subscribe', { user: 'doris', channel: 'many' });
    assert.equal(sessions, (await api.ok('connections', { user: 'doris', limit: 10000 })).connections.length);
    const last = dorises.at(-1);
    last.send('{"type":"ping","id":7}');
    for (let heard = {}; heard.re !== 7; ) heard = await next(last); // nobody has been sent away
    await gone(dorises.filter((_, i) => i >= 300 || i % 3));
  });
});

describe('letting people stay', () => {
  let api;
  before(async () => { api = await Api.start({ workers: 4 }); });
  after(() => api.stop());

  const said = async (peer, type) => {
    for (;;) {
      const heard = JSON.parse(await peer.next());
      if (heard.type === type) return heard;
    }
  };

  it('another end: later, and sooner', async () => {
    const soon = { claims: { sub: 'anna', exp: now() + 27 } };
    const annas = await Promise.all(Array.from({ length: 6 }, () => api.peer(soon)));
    const bob = await api.peer({ claims: { sub: 'bob', exp: now() + 600 } });
    assert.deepEqual(await api.ok('refresh', { user: 'anna', expires: now() + 600 }), { sessions: 6 });
    assert.deepEqual(await api.ok('refresh', { client: bob.welcome.client, expires: now() + 20 }), { sessions: 1 });
    assert.ok((await said(bob, 'expiring')).in <= 20);
    const start = Date.now();
    await api.ok('refresh', { user: 'bob', expires: now() + 600 });
    const { resume } = await said(annas[0], 'ping'); // another ticket, of which the old end is not the end
    assert.ok(resume && resume !== annas[0].welcome.resume);
    assert.ok(Date.now() - start < 5000);
    await Promise.all([...annas, bob].map(peer => peer.close()));
  });

  it('other info, which others see from then on', async () => {
    const anna = await api.peer({ claims: { sub: 'anna', info: { n: 1 } } });
    const bob = await api.peer({ claims: { sub: 'bob' } });
    await ask(bob, { type: 'subscribe', id: 1, channel: 'town' });
    for (const [info, from] of [[{ n: 2 }, { n: 2 }], [null, undefined], ['x', 'x']]) {
      assert.deepEqual(await api.ok('refresh', { user: 'anna', info }), { sessions: 1 });
      anna.send({ type: 'publish', channel: 'town', data: 1 });
      assert.deepEqual((await said(bob, 'message')).from.info, from);
    }
    await Promise.all([anna.close(), bob.close()]);
  });

  it('says what cannot be', async () => {
    for (const body of [{ user: 'anna' }, { expires: now() + 9 }, { user: 'anna', expires: 0 },
      { user: 'anna', expires: now() - 1 }, { user: 'anna', expires: 'soon' }, { user: 'anna', expires: -1 },
      { user: 'anna', expires: now() + 9, channels: [] }])
      assert.deepEqual(await api.fails('refresh', body), [400, 107], JSON.stringify(body));
    assert.deepEqual(await api.fails('refresh', { user: 'anna', info: 'x'.repeat(2050) }), [413, 114]);
    assert.deepEqual(await api.ok('refresh', { user: 'nobody', info: 1 }), { sessions: 0 });
    const open = await Api.start({ open: true });
    const guest = await open.peer({ name: 'guest' });
    assert.deepEqual(await open.ok('refresh', { client: 'guest', info: 1 }), { sessions: 0 });
    await guest.close();
    await open.stop();
  });
});
