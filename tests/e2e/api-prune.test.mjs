// The HTTP API that takes back what channels hold: positions never lie about it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Api, ask } from './lib/api.mjs';

describe('taking back', () => {
  let api;
  before(async () => { api = await Api.start({ yaml: 'members: true\n' }); });
  after(() => api.stop());

  const fill = async (channel, count) => {
    let epoch;
    for (let i = 1; i <= count; i++) ({ epoch } = await api.ok('publish', { channel, data: i }));
    return epoch;
  };
  /** Subscribes at a position: [the answer, and what follows it up to the answer of a ping]. */
  const recover = async (channel, epoch, offset) => {
    const peer = await api.peer({ claims: { sub: 'rita' } });
    const answer = await ask(peer, { type: 'subscribe', id: 1, channel, recover: { epoch, offset } });
    const rest = [];
    if (answer.replay) {
      for (let last = offset; last < answer.offset; ) {
        const next = await peer.json();
        rest.push(next);
        last = next.offset;
      }
    }
    await peer.close();
    return [answer, rest];
  };

  it('T115 what was removed is missed by who stands before it, and by nobody else', async () => {
    const epoch = await fill('gone', 5);
    const live = await api.peer({ claims: { sub: 'lea' } });
    await ask(live, { type: 'subscribe', id: 1, channel: 'gone' });
    assert.deepEqual(await api.ok('history_remove', { channel: 'gone' }), { epoch, offset: 5 });
    assert.deepEqual(await live.json(),
      { type: 'retracted', channel: 'gone', epoch, offset: 5, all: true });
    assert.deepEqual((await api.ok('history', { channel: 'gone' })).messages, []);
    assert.equal((await recover('gone', epoch, 4))[0].recovered, false);
    assert.equal((await recover('gone', epoch, 5))[0].recovered, true);
    assert.deepEqual(await api.fails('history', { channel: 'gone', since: { epoch, offset: 2 } }), [404, 112]);
    assert.deepEqual(await api.ok('publish', { channel: 'gone', data: 6 }), { epoch, offset: 6 });
    assert.equal((await live.json()).offset, 6);
    const [answer, rest] = await recover('gone', epoch, 5);
    assert.deepEqual([answer.recovered, rest.map(m => m.data)], [true, [6]]);
    assert.equal((await recover('gone', epoch, 3))[0].recovered, false);
    await live.close();
  });

  it('one that was retracted keeps its place, and readers are told that something was left out', async () => {
    const epoch = await fill('slip', 4);
    const live = await api.peer({ claims: { sub: 'lea' } });
    await ask(live, { type: 'subscribe', id: 1, channel: 'slip' });
    assert.deepEqual(await api.ok('retract', { channel: 'slip', offset: 2, epoch }), { epoch, offset: 2 });
    assert.deepEqual(await live.json(), { type: 'retracted', channel: 'slip', epoch, offset: 2 });
    const { messages } = await api.ok('history', { channel: 'slip' });
    assert.deepEqual(messages.map(m => [m.offset, m.data, m.retracted]),
      [[1, 1, undefined], [2, null, true], [3, 3, undefined], [4, 4, undefined]]);
    const [answer, rest] = await recover('slip', epoch, 0);
    assert.equal(answer.recovered, true);
    assert.deepEqual(rest.map(m => [m.type, m.offset, m.count ?? m.data]),
      [['message', 1, 1], ['skip', 2, 1], ['message', 3, 3], ['message', 4, 4]]);
    const read = await ask(live, { type: 'history', id: 2, channel: 'slip' });
    assert.deepEqual(read.messages.map(m => [m.offset, m.retracted]),
      [[1, undefined], [2, true], [3, undefined], [4, undefined]]);
    assert.deepEqual(await api.ok('retract', { channel: 'slip', offset: 4 }), { epoch, offset: 4 });
    assert.deepEqual((await recover('slip', epoch, 3))[1].map(m => [m.type, m.offset]), [['skip', 4]]);
    assert.deepEqual(await api.fails('retract', { channel: 'slip', offset: 5 }), [404, 112]);
    assert.deepEqual(await api.fails('retract', { channel: 'slip', offset: 1, epoch: 'f'.repeat(16) }), [404, 112]);
    assert.deepEqual(await api.fails('retract', { channel: 'slip', offset: 0 }), [400, 107]);
    await live.close();
  });

  it('event streams come past what was retracted', async () => {
    const open = await Api.start({ open: true });
    const { epoch } = await open.ok('publish', { channel: 'sse', data: 1 });
    for (let i = 2; i <= 3; i++) await open.ok('publish', { channel: 'sse', data: i });
    await open.ok('retract', { channel: 'sse', offset: 2 });
    const answer = await fetch(`${open.server.http}/sse?channel=sse`, { headers: { 'Last-Event-ID': `${epoch}:0` } });
    let text = '';
    for await (const piece of answer.body) {
      text += Buffer.from(piece).toString();
      if (text.includes('data: 3\n')) break;
    }
    assert.ok(text.includes('data: 1\n') && !text.includes('data: 2') && !text.includes('null'), text);
    await open.stop();
  });

  it('forgets a user: what he said, what he hears, and that he is there', async () => {
    const [ida, joe] = [await api.peer({ claims: { sub: 'ida' } }), await api.peer({ claims: { sub: 'joe' } })];
    for (const peer of [ida, joe]) {
      for (const channel of ['town', 'park']) await ask(peer, { type: 'subscribe', id: channel, channel });
      for (const channel of ['town', 'park']) {
        peer.send({ type: 'publish', id: 1, channel, data: 'hello', echo: false });
        assert.equal((await peer.json()).type, 'ok');
      }
    }
    const { epoch } = await api.ok('send', { user: 'ida', data: 'for ida' });
    assert.deepEqual(await api.ok('forget', { user: 'ida' }), { publications: 2 });
    assert.deepEqual(await ida.closed, { code: 3503, reason: 'forgotten' });
    for (const channel of ['town', 'park']) {
      const text = JSON.stringify(await api.ok('history', { channel }));
      assert.ok(!text.includes('ida') && text.includes('joe'), text);
      const { messages } = await api.ok('history', { channel });
      assert.deepEqual(messages.map(m => m.retracted ?? m.from.user).sort(), ['joe', true]);
      const who = await api.ok('presence', { channel });
      assert.deepEqual(who.members.map(m => m.user), ['joe']);
    }
    const own = await api.ok('history', { channel: '@ida' });
    assert.deepEqual([own.messages, own.epoch, own.offset], [[], epoch, 1]);
    assert.deepEqual(await api.ok('forget', { user: 'ida' }), { publications: 0 });
    assert.deepEqual(await api.fails('forget', { user: '' }), [400, 107]);
    await joe.close();
  });

  it('forgets what was said a moment ago, more than a turn goes through, and goes on meanwhile', async () => {
    const much = await Api.start({ workers: 2, yaml: 'limits:\n  publish_rate: off\nhistory:\n  count: 5000\n' });
    const [ida, joe] = [await much.peer({ claims: { sub: 'ida' } }), await much.peer({ claims: { sub: 'joe' } })];
    const channels = Array.from({ length: 40 }, (_, n) => `c${n}`);
    for (const channel of ['whole', ...channels]) {
      joe.send({ type: 'publish', id: channel, channel, data: 0 });
      assert.equal(JSON.parse(await joe.next()).type, 'ok');
      const length = channel === 'whole' ? 4800 : 200;
      const said = Array.from({ length }, () => ({ type: 'publish', channel, data: 'ida' }));
      while (said.length) ida.send(said.splice(0, 100));
    }
    ida.send({ type: 'ping', id: 'all of it is said' });
    await ida.next();
    const [forgotten, again] = await Promise.all(['ida', 'ida'].map(user => much.ok('forget', { user })));
    assert.equal(forgotten.publications + again.publications, 4800 + 40 * 200);
    for (const channel of ['whole', 'c0', 'c39']) {
      const { messages, offset } = await much.ok('history', { channel, limit: 1000 });
      assert.equal(offset, channel === 'whole' ? 4801 : 201);
      assert.deepEqual(messages.filter(m => !m.retracted).map(m => m.data), [0]);
    }
    await joe.close();
    await much.stop();
  });

  it('what keeps no history has nothing to take back', async () => {
    const live = await Api.start({ open: true, yaml: 'live: true\n' });
    await live.ok('publish', { channel: 'x', data: 1 });
    assert.deepEqual(await live.fails('history_remove', { channel: 'x' }), [409, 108]);
    assert.deepEqual(await live.fails('retract', { channel: 'x', offset: 1 }), [409, 108]);
    const { body } = await live.call('history', { channel: 'x' });
    assert.deepEqual([body.error.code, body.error.retry, body.error.retry_after], [108, false, undefined]);
    const peer = await live.peer();
    const told = await ask(peer, { type: 'history', id: 1, channel: 'x' });
    assert.deepEqual([told.error.code, told.error.retry], [108, false]);
    await peer.close();
    assert.deepEqual(await live.ok('forget', { user: 'anna' }), { publications: 0 });
    await live.stop();
  });
});
