// The HTTP API about people: who may not be here, who is where, telling and asking them.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Api, ask, now } from './lib/api.mjs';

const refused = async opening => {
  try {
    await (await opening).close();
  } catch (error) {
    return error.status;
  }
  return 101;
};

describe('bans and revocations', () => {
  let api;
  before(async () => { api = await Api.start({ args: ['--state-dir', '{folder}', '--trusted-proxy', '127.0.0.1'] }); });
  after(() => api.stop());

  it('T105 bans a user: live connections end at once on all workers, and nobody comes again', async () => {
    const eves = await Promise.all(Array.from({ length: 8 }, () => api.peer({ claims: { sub: 'eve' } })));
    const bob = await api.peer({ claims: { sub: 'bob' } });
    const before = Date.now();
    assert.deepEqual(await api.ok('ban', { user: 'eve', for: 600 }), { sessions: 8 });
    for (const eve of eves) assert.deepEqual(await eve.closed, { code: 3503, reason: 'banned' });
    assert.ok(Date.now() - before < 1000);
    assert.equal(await refused(api.peer({ claims: { sub: 'eve' } })), 403);
    assert.equal((await ask(bob, { type: 'ping', id: 1 })).type, 'pong');
    const { bans } = await api.ok('bans', {});
    assert.equal(bans.length, 1);
    assert.deepEqual([bans[0].kind, bans[0].user], ['banned', 'eve']);
    assert.ok(bans[0].for > 590 && bans[0].for <= 600);
    await bob.close();
  });

  it('T105 keeps them over a reload and a restart', async () => {
    api.server.child.kill('SIGHUP');
    assert.equal(await refused(api.peer({ claims: { sub: 'eve' } })), 403);
    await api.server.stop();
    await api.again();
    assert.equal(await refused(api.peer({ claims: { sub: 'eve' } })), 403);
    assert.deepEqual(await api.ok('unban', { user: 'eve' }), { lifted: true });
    assert.deepEqual(await api.ok('unban', { user: 'eve' }), { lifted: false });
    await (await api.peer({ claims: { sub: 'eve' } })).close();
  });

  it('T105 refuses the ticket of whom it sent away, on 4 workers', async () => {
    const four = await Api.start({ workers: 4 });
    for (const [method, user] of [['ban', 'fay'], ['revoke', 'gil']]) {
      const peers = await Promise.all(Array.from({ length: 12 }, () => four.peer({ claims: { sub: user } })));
      const start = Date.now();
      assert.deepEqual(await four.ok(method, { user }), { sessions: 12 });
      for (const peer of peers) assert.equal((await peer.closed).code, method === 'ban' ? 3503 : 3500);
      assert.ok(Date.now() - start < 1000);
      assert.ok(peers[0].welcome.resume);
      const back = await four.peer();
      const reply = await ask(back, { type: 'auth', id: 1, data: { resume: peers[0].welcome.resume } });
      assert.equal(reply.type, 'error', JSON.stringify(reply));
      await back.close();
    }
    const hal = await four.peer({ claims: { sub: 'hal' } }), again = await four.peer();
    const good = await ask(again, { type: 'auth', id: 1, data: { resume: hal.welcome.resume } });
    assert.equal(good.type, 'ok', JSON.stringify(good)); // nobody was against him
    await Promise.all([hal.close(), again.close()]);
    await four.stop();
  });

  it('T105 refuses the ticket of whom it told to stay away, on 4 workers and after a restart', async () => {
    const four = await Api.start({ workers: 4, args: ['--state-dir', '{folder}'] });
    const back = async peer => {
      const again = await four.peer();
      const reply = await ask(again, { type: 'auth', id: 1, data: { resume: peer.welcome.resume } });
      await again.close();
      return reply.type === 'ok' ? 'ok' : reply.error.message;
    };
    const join = user => four.peer({ claims: { sub: user } });
    const rows = [['gone', 'disconnect', {}, 3503, 'the ticket was revoked'],
      ['out', 'disconnect', { code: 3500 }, 3500, 'the ticket was revoked'],
      ['away', 'disconnect', { code: 3999 }, 3999, 'the ticket was revoked'],
      ['soon', 'disconnect', { code: 3000 }, 3000, 'ok'], ['later', 'disconnect', { code: 3499 }, 3499, 'ok'],
      ['app', 'disconnect', { code: 4000 }, 4000, 'ok'],
      ['none', 'forget', {}, 3503, 'the ticket was revoked']];
    const spoiled = [];
    for (const [user, method, more, code, words] of rows) {
      const peers = await Promise.all(Array.from({ length: 8 }, () => join(user)));
      const absent = await join(user);
      absent.ws.terminate();
      for (let left = 9; left > 8; ) left = (await four.ok('connections', { user })).connections.length;
      const { sessions } = await four.ok(method, { user, ...more });
      if (method === 'disconnect') assert.equal(sessions, 8);
      for (const peer of peers) assert.equal((await peer.closed).code, code);
      assert.deepEqual(await Promise.all(peers.map(back)), peers.map(() => words), `${method} ${code}`);
      // of a disconnect only those are meant who are there
      assert.equal(await back(absent), method === 'forget' ? words : 'ok');
      if (words !== 'ok') spoiled.push(peers[0]);
    }
    await (await join('gone')).close(); // with a token he may come
    const { bans } = await four.ok('bans', {});
    assert.deepEqual(bans.map(b => b.session ? 'session' : b.user).sort(), ['none', ...Array(24).fill('session')]);
    for (const ban of bans) assert.ok(ban.for > 300 && ban.for <= 451, `${ban.for}`);
    await four.server.stop();
    await four.again();
    for (const peer of spoiled) assert.equal(await back(peer), 'the ticket was revoked');
    await four.stop();
  });

  it('T105 what a user was revoked for stays as long as was said, when he is forgotten', async () => {
    await api.ok('revoke', { user: 'ivy', for: 5000 });
    await api.ok('forget', { user: 'ivy' });
    const { bans } = await api.ok('bans', {});
    assert.ok(bans.length === 1 && bans[0].for > 4000, JSON.stringify(bans));
    assert.deepEqual(await api.ok('revoke', { user: 'ivy', for: 1 }), { sessions: 0 });
  });

  it('ends by itself', async () => {
    await api.ok('ban', { user: 'brief', for: 1 });
    assert.equal(await refused(api.peer({ claims: { sub: 'brief' } })), 403);
    for (let status = 0, until = Date.now() + 5000; status !== 101; ) {
      assert.ok(Date.now() < until);
      status = await refused(api.peer({ claims: { sub: 'brief' } }));
    }
    assert.deepEqual((await api.ok('bans', {})).bans, []);
  });

  it('bans an address, of IPv6 with its neighbours', async () => {
    const from = address => ({ claims: { sub: 'anna' }, headers: { 'X-Forwarded-For': address } });
    const [near, far] = [await api.peer(from('2001:db8::1')), await api.peer(from('2001:db8:1::1'))];
    assert.deepEqual(await api.ok('ban', { address: '2001:db8::99' }), { sessions: 1 });
    assert.equal((await near.closed).code, 3503);
    assert.equal(await refused(api.peer(from('2001:db8::2'))), 403);
    await (await api.peer(from('2001:db8:2::1'))).close();
    assert.deepEqual((await api.ok('bans', {})).bans, [{ kind: 'banned', address: '2001:db8::' }]);
    assert.deepEqual(await api.ok('unban', { address: '2001:db8::1' }), { lifted: true });
    await far.close();
  });

  it('T099 T105 revokes what was issued before a moment', async () => {
    const [old, young] = [await api.peer({ claims: { sub: 'carl', iat: now() - 60 } }),
      await api.peer({ claims: { sub: 'carl' } })];
    assert.deepEqual(await api.ok('revoke', { user: 'carl', before: now() - 30 }), { sessions: 1 });
    assert.deepEqual(await old.closed, { code: 3500, reason: 'revoked' });
    assert.equal(await refused(api.peer({ claims: { sub: 'carl', iat: now() - 60 } })), 401);
    assert.equal(await refused(api.peer({ claims: { sub: 'carl', iat: undefined } })), 401);
    await (await api.peer({ claims: { sub: 'carl' } })).close();
    assert.deepEqual(await api.ok('revoke', { user: 'carl' }), { sessions: 1 });
    assert.equal((await young.closed).code, 3500);
    assert.equal((await api.call('revoke', { user: 'carl', before: now() + 1000 })).body.error.message,
      'before is still to come');
  });

  it('revokes one token, and one session', async () => {
    const [one, other] = [await api.peer({ claims: { sub: 'dora', jti: 't1' } }),
      await api.peer({ claims: { sub: 'dora', jti: 't2' } })];
    assert.deepEqual(await api.ok('revoke', { jti: 't1' }), { sessions: 1 });
    assert.equal((await one.closed).code, 3500);
    assert.equal(await refused(api.peer({ claims: { sub: 'dora', jti: 't1' } })), 401);
    assert.deepEqual(await api.ok('revoke', { session: other.welcome.session }), { sessions: 1 });
    assert.equal((await other.closed).code, 3500);
    await (await api.peer({ claims: { sub: 'dora', jti: 't2' } })).close();
  });

  it('says what is no order', async () => {
    for (const [method, body] of [['ban', {}], ['ban', { user: '' }], ['ban', { user: 'a', address: '::1' }],
      ['ban', { address: 'here' }], ['ban', { user: 'a', for: 0 }], ['ban', { user: 'a', for: -1 }], ['unban', {}],
      ['ban', { user: 'a\n' }], ['revoke', {}], ['revoke', { jti: 'a', before: 1 }], ['revoke', { session: 'abc' }],
      ['revoke', { user: 'a', before: 0 }], ['bans', { limit: 0 }], ['bans', { limit: 10001 }]]) {
      assert.deepEqual(await api.fails(method, body), [400, 107], `${method} ${JSON.stringify(body)}`);
    }
  });
});

describe('telling and asking', () => {
  let api;
  before(async () => {
    api = await Api.start({ yaml: 'members: true\nauth:\n  personal: true\n' });
  });
  after(() => api.stop());

  it('tells a user something, on all connections', async () => {
    const [one, two] = await Promise.all([1, 2].map(() => api.peer({ claims: { sub: 'anna' } })));
    for (const peer of [one, two]) assert.equal((await peer.json()).channel, '@anna');
    const { offset } = await api.ok('send', { user: 'anna', event: 'note', data: { n: 1 }, key: 'k1' });
    assert.equal((await api.ok('send', { user: 'anna', event: 'note', data: { n: 1 }, key: 'k1' })).offset, offset);
    for (const peer of [one, two]) {
      const heard = await peer.json();
      assert.deepEqual([heard.channel, heard.event, heard.data, heard.from], ['@anna', 'note', { n: 1 }, undefined]);
    }
    assert.deepEqual(await api.fails('send', { user: '', data: 1 }), [400, 107]);
    assert.deepEqual(await api.fails('send', { user: 'no channel', data: 1 }), [400, 107]);
    const { connections } = await api.ok('connections', { user: 'anna' });
    assert.deepEqual(connections.map(c => [c.user, c.dialect, c.channels]), [['anna', 'v1', 1], ['anna', 'v1', 1]]);
    await Promise.all([one, two].map(p => p.close()));
  });

  it('asks, and hands back what is answered', async () => {
    const bob = await api.peer({ claims: { sub: 'bob' }, name: 'bobs' });
    await bob.next();
    const asked = api.ok('call', { user: 'bob', event: 'age', data: { of: 'cat' } });
    const call = await bob.json();
    assert.deepEqual([call.type, call.event, call.data], ['call', 'age', { of: 'cat' }]);
    bob.send({ type: 'reply', re: call.id, data: 7 });
    assert.deepEqual(await asked, { client: 'bobs', user: 'bob', data: 7 });
    const again = api.ok('call', { client: 'bobs', event: 'age' });
    bob.send({ type: 'reply', re: (await bob.json()).id, error: { code: 450, message: 'ask the cat' } });
    assert.deepEqual(await again, { client: 'bobs', user: 'bob', refused: { code: 450, message: 'ask the cat' } });
    assert.deepEqual(await api.fails('call', { user: 'bob', event: 'age', timeout: 50 }), [504, 115]);
    await bob.close();
    assert.deepEqual(await api.fails('call', { user: 'nobody', event: 'age' }), [404, 108]);
    for (const body of [{ event: 'x' }, { user: 'bob', event: '' }, { user: 'bob', event: 'x', timeout: 0 },
      { user: 'bob', event: 'x', timeout: 600001 }]) {
      assert.deepEqual(await api.fails('call', body), [400, 107], JSON.stringify(body));
    }
  });

  it('counts and lists who is in a channel', async () => {
    const peers = [];
    for (const sub of ['eva', 'eva', 'finn']) {
      const peer = await api.peer({ claims: { sub, info: { of: sub } } });
      await peer.next();
      assert.equal((await ask(peer, { type: 'subscribe', id: 1, channel: 'hall' })).type, 'ok');
      peers.push(peer);
    }
    const counts = { members: [], connections: 3, users: 2 };
    assert.deepEqual(await api.ok('presence', { channel: 'hall', limit: 0 }), counts);
    const first = await api.ok('presence', { channel: 'hall', limit: 2 });
    assert.deepEqual(first.members.map(m => [m.user, m.info]), [['eva', { of: 'eva' }], ['eva', { of: 'eva' }]]);
    const rest = await api.ok('presence', { channel: 'hall', limit: 2, after: first.next });
    assert.deepEqual(rest.members.map(m => [m.user, m.client]), [['finn', peers[2].welcome.client]]);
    assert.equal(rest.next, undefined);
    await Promise.all(peers.map(p => p.close()));
    assert.deepEqual(await api.fails('presence', { channel: 'a b' }), [400, 107]);
  });

  it('does anything in a batch, in the order given', async () => {
    const say = data => ({ method: 'publish', channel: 'order', data });
    const { results } = await api.ok('batch', { commands: [say(1), say(2), { method: 'history', channel: 'order' },
      say(3), { method: 'history', channel: 'order', limit: 0 }, { method: 'ban', user: 'zed', for: 60 },
      { method: 'bans' }, { method: 'unban', user: 'zed' }, { method: 'bans' }, { method: 'batch', commands: [] },
      { method: 'broadcast', channels: ['a'], data: 1 }, { method: 7 }, {}, { method: 'ban' }, say(4)] });
    const seen = results.map(r => r.ok ?? r.error.code);
    assert.deepEqual(seen.slice(0, 2).map(ok => ok.offset), [1, 2]);
    assert.deepEqual(seen[2].messages.map(m => m.data), [1, 2]);
    assert.equal(seen[4].offset, 3);
    assert.deepEqual([seen[6].bans.length, seen[7], seen[8].bans.length], [1, { lifted: true }, 0]);
    assert.deepEqual(seen.slice(9, 14), [104, 104, 107, 107, 107]);
    assert.equal(seen[14].offset, 4);
  });

  it('a batch that reads too much reads no more', async () => {
    const big = 'x'.repeat(900_000);
    await api.ok('publish', { channel: 'huge', data: big });
    const { results } = await api.ok('batch', { commands: [
      ...Array.from({ length: 12 }, () => ({ method: 'history', channel: 'huge' })),
      { method: 'publish', channel: 'huge', data: 'small' }] });
    const read = results.filter(r => r.ok?.messages).length;
    assert.ok(read >= 8 && read <= 10, String(read));
    assert.ok(results.slice(read, 12).every(r => r.error.code === 106));
    assert.equal(results[12].ok.offset, 2);
  });
});
