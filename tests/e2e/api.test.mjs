// The HTTP API, held against its own OpenAPI document: every answer that comes here must be one that
// the document describes.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import Ajv from 'ajv/dist/2020.js';
import { start } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

const KEY = 'a-key-for-tests-only-0123456789';
const OPERATOR = 'b-key-that-may-read-0123456789ab';

describe('the HTTP API', () => {
  let server, document, validate;

  /** POSTs a body, checks the answer against the document, and returns {status, body}. */
  async function call(method, body, { key = KEY, type = 'application/json', headers = {} } = {}) {
    const answer = await fetch(`${server.http}/api/v1/${method}`, {
      method: 'POST',
      headers: { ...(type && { 'Content-Type': type }), ...(key && { Authorization: `Bearer ${key}` }), ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    const described = document.paths[`/api/v1/${method}`]?.post.responses;
    if (described) {
      const response = described[answer.status];
      assert.ok(response, `${method} answered ${answer.status}, which the document does not know: ${text}`);
      const check = validate(response.content['application/json'].schema.$ref);
      assert.ok(check(JSON.parse(text)), `${text}: ${JSON.stringify(check.errors)}`);
    }
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.equal(answer.headers.get('access-control-allow-origin'), null);
    return { status: answer.status, headers: answer.headers, body: JSON.parse(text) };
  }

  const error = ({ status, body }) => [status, body.error.code, body.error.message];

  before(async () => {
    server = await start(['serve', '--listen', '127.0.0.1:0', '--workers', '2'],
      { env: { ...process.env, LINNET_API_KEY: KEY } });
    document = await (await fetch(`${server.http}/api/v1/openapi.json`)).json();
    const ajv = new Ajv({ strict: false });
    ajv.addSchema(document, 'api');
    validate = ref => ajv.getSchema(`api${ref}`);
  });
  after(() => server.stop());

  it('has a document that names it', () => {
    assert.equal(document.openapi, '3.1.0');
    assert.ok(document.paths['/api/v1/publish'].post);
  });

  it('publishes, and tells the place', async () => {
    const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1']);
    await peer.next();
    peer.send('{"type":"subscribe","id":1,"channel":"api:a"}');
    const subscribed = await peer.json();
    for (let offset = 1; offset <= 3; offset++) {
      const { status, body } = await call('publish', { channel: 'api:a', event: 'tick', data: { offset } });
      assert.equal(status, 200);
      assert.deepEqual(body.ok, { epoch: subscribed.epoch, offset });
      const heard = await peer.json();
      assert.deepEqual([heard.event, heard.data, heard.offset], ['tick', { offset }, offset]);
      assert.equal(heard.from, undefined);
    }
    assert.deepEqual((await call('publish', { channel: 'api:a', data: 0, volatile: true })).body, { ok: {} });
    assert.equal((await peer.json()).data, 0);
    await peer.close();
  });

  it('T119 publishes once what comes twice with the same key', async () => {
    const say = { channel: 'once', data: 1, key: 'order-17' };
    const first = (await call('publish', say)).body;
    assert.deepEqual((await call('publish', { ...say, data: 2 })).body, first);
    assert.equal((await call('publish', { ...say, key: 'order-18' })).body.ok.offset, 2);
    assert.equal((await call('publish', { ...say, channel: 'once:more' })).body.ok.offset, 1);
    const both = await call('broadcast', { channels: ['once', 'once', 'once:else'], data: 3, key: 'order-19' });
    assert.deepEqual(both.body.ok.results.map(r => r.ok.offset), [3, 3, 1]);
    const { messages } = (await call('history', { channel: 'once' })).body.ok;
    assert.deepEqual(messages.map(m => m.data), [1, 1, 3]);
  });

  it('reads what a channel holds', async () => {
    for (let i = 1; i <= 5; i++) await call('publish', { channel: 'past', event: `e${i}`, data: { i } });
    const read = async query => (await call('history', { channel: 'past', ...query }));
    const { body } = await read({});
    assert.deepEqual(body.ok.messages.map(m => [m.event, m.data.i, m.offset]),
      [1, 2, 3, 4, 5].map(i => [`e${i}`, i, i]));
    assert.equal(body.ok.offset, 5);
    const { epoch } = body.ok;
    const offsets = async query => (await read(query)).body.ok.messages.map(m => m.offset);
    assert.deepEqual(await offsets({ limit: 2 }), [1, 2]);
    assert.deepEqual(await offsets({ limit: 0 }), []);
    assert.deepEqual(await offsets({ limit: 9007199254740991 }), [1, 2, 3, 4, 5]);
    assert.deepEqual(await offsets({ since: { epoch, offset: 3 } }), [4, 5]);
    assert.deepEqual(await offsets({ limit: 2, reverse: true }), [5, 4]);
    assert.deepEqual(await offsets({ since: { epoch, offset: 3 }, reverse: true }), [2, 1]);
    const lost = await read({ since: { epoch: 'f'.repeat(16), offset: 3 } });
    assert.deepEqual([lost.status, lost.body.error.code], [404, 112]);
    for (const query of [{ since: 3 }, { since: { epoch } }, { limit: -1 }, { limit: 1.5 }, { channel: 'a b' }]) {
      assert.equal((await read(query)).status, 400, JSON.stringify(query));
    }
  });

  it('broadcasts to many channels, each with its own result', async () => {
    const { status, body } = await call('broadcast', { channels: ['b1', 'b2', 'not a name', 7, 'b1'], data: 'x' });
    assert.equal(status, 200);
    assert.deepEqual(body.ok.results.map(r => r.ok?.offset ?? r.error.code), [1, 1, 107, 107, 2]);
  });

  it('does a batch in order, and what fails keeps nothing else from being done', async () => {
    const commands = Array.from({ length: 100 }, (_, i) => ({ method: 'publish', channel: 'batch', data: i }));
    commands[57] = { method: 'publish', chanel: 'batch', data: 57 };
    commands[58] = { method: 'dance', channel: 'batch', data: 58 };
    commands[59] = 'publish';
    const { body } = await call('batch', { commands });
    const offsets = body.ok.results.map(r => r.ok?.offset ?? r.error.message);
    assert.deepEqual(offsets.slice(57, 60),
      ["there is no field 'chanel' here", 'a batch knows no such method', 'this is no object']);
    assert.deepEqual(offsets.filter(Number.isInteger), Array.from({ length: 97 }, (_, i) => i + 1));
  });

  it('T118 takes a batch as lines, and a line that is no JSON fails alone', async () => {
    const lines = Array.from({ length: 100 }, (_, i) =>
      i === 57 ? '{"method":"publish",' : JSON.stringify({ method: 'publish', channel: 'lines', data: i }));
    const { body } = await call('batch', lines.join('\n'), { type: 'application/x-ndjson' });
    assert.equal(body.ok.results[57].error.code, 107);
    assert.equal(body.ok.results.filter(r => r.ok).length, 99);
    assert.equal(body.ok.results[99].ok.offset, 99);
  });

  it('T118 lets in only who has a key, in the Authorization field', async () => {
    const say = { channel: 'doors', data: 1 };
    const shut = [401, 101, 'a key is needed: Authorization: Bearer KEY'];
    assert.deepEqual(error(await call('publish', say, { key: null })), shut);
    assert.deepEqual(error(await call('publish', say, { key: `${KEY}x` })), shut);
    assert.deepEqual(error(await call('publish', say, { key: KEY.slice(0, -1) })), shut);
    assert.deepEqual(error(await call('publish', say, { key: null, headers: { Authorization: `Basic ${KEY}` } })),
      shut);
    assert.deepEqual(error(await call(`publish?key=${KEY}&token=${KEY}`, say, { key: null })), shut);
    assert.deepEqual(error(await call('nothing', say, { key: null })), shut); // a stranger learns no names
    assert.equal((await call('nothing', say)).status, 404);
    const asked = await fetch(`${server.http}/api/v1/publish`, { method: 'POST', body: '{}' });
    assert.match(asked.headers.get('www-authenticate'), /^Bearer/);
    assert.equal((await call('publish', say)).body.ok.offset, 1); // none of these was done
  });

  it('T118 T125 answers what is no call with the reason', async () => {
    const say = { channel: 'c', data: 1 };
    const cases = [
      ['publish', '{"channel":"c"}', 400, 'data is missing'],
      ['publish', '{"channel":"c","data":1,"data":2}', 400, 'data is there twice'],
      ['publish', '{"channel":"c","data":1}x', 400, 'that is not JSON, or too deep'],
      ['publish', '['.repeat(100000), 400, 'that is not JSON, or too deep'],
      ['publish', '', 400, 'that is not JSON, or too deep'],
      ['publish', { channel: 'a b', data: 1 }, 400, 'that is no channel, no event, or no key'],
      ['publish', { channel: '$x', data: 1 }, 403, 'permission denied'],
      ['publish', { channel: 'c', event: 'e'.repeat(256), data: 1 }, 400,
        'that is no channel, no event, or no key'],
      ['publish', { channel: 'c', key: 'k'.repeat(65), data: 1 }, 400, 'that is no channel, no event, or no key'],
      ['publish', { channel: 'c', key: 7, data: 1 }, 400, 'key is not a string'],
      ['broadcast', { channels: [], data: 1 }, 400, 'there is nothing to do'],
      ['broadcast', { channels: Array(1001).fill('c'), data: 1 }, 413, 'at most 1,000 at once'],
      ['batch', { commands: {} }, 400, 'commands is not an array'],
    ];
    for (const [method, body, status, message] of cases) {
      const got = await call(method, body);
      assert.deepEqual([got.status, got.body.error.message], [status, message], `${method} ${body}`.slice(0, 80));
    }
    assert.deepEqual(error(await call('publish', say, { type: 'text/plain' })),
      [415, 107, 'Content-Type: application/json is wanted']);
    assert.equal((await call('publish', say, { type: null })).status, 415);
    assert.equal((await call('publish', say, { type: 'application/x-ndjson' })).status, 415);
    assert.equal((await call('publish', say, { type: 'application/json; charset=utf-8' })).status, 200);
    const got = await fetch(`${server.http}/api/v1/publish`, { headers: { Authorization: `Bearer ${KEY}` } });
    assert.deepEqual([got.status, got.headers.get('allow')], [405, 'POST']);
    const preflight = await fetch(`${server.http}/api/v1/publish`, { method: 'OPTIONS',
      headers: { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST' } });
    assert.equal(preflight.status, 405);
    assert.equal(preflight.headers.get('access-control-allow-origin'), null);
  });

  it('T118 takes a body of 1 MiB and no more', async () => {
    const body = size => `{"channel":"big","data":"${'x'.repeat(size - 27)}"}`;
    assert.equal(body(1024).length, 1024);
    assert.equal((await call('publish', body(1024 * 1024))).status, 200);
    const answer = await fetch(`${server.http}/api/v1/publish`, { method: 'POST', body: body(1024 * 1024 + 1),
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${KEY}` } });
    assert.equal(answer.status, 413);
  });

  it('tells what there is', async () => {
    const { status, body } = await call('info', {});
    assert.equal(status, 200);
    assert.equal(body.ok.workers, 2);
  });

  const named = async name => {
    const peer = await Peer.open(`${server.url}/ws/${name}`, ['linnet.v1']);
    assert.equal((await peer.json()).client, name);
    return peer;
  };

  it('lists who is there', async () => {
    const peers = await Promise.all(Array.from({ length: 12 }, (_, i) => named(`list-${i}`)));
    peers[3].send('{"type":"subscribe","id":1,"channel":"who"}');
    await peers[3].next();
    const { body } = await call('connections', {});
    assert.equal(body.ok.connections.filter(c => c.client.startsWith('list-')).length, 12);
    assert.equal(body.ok.more, false);
    const one = await call('connections', { client: 'list-3' });
    assert.deepEqual(one.body.ok, { connections: [{ client: 'list-3', dialect: 'v1', channels: 1 }], more: false });
    const some = await call('connections', { limit: 5 });
    assert.deepEqual([some.body.ok.connections.length, some.body.ok.more], [5, true]);
    assert.deepEqual((await call('connections', { user: 'nobody' })).body.ok.connections, []);
    for (const limit of [0, 10001, 9007199254740991]) {
      assert.equal((await call('connections', { limit })).status, 400);
    }
    await Promise.all(peers.map(p => p.close()));
  });

  it('says how connections ended', async () => {
    const peer = await Peer.open(`${server.url}/ws/why-1`, ['linnet.v1']);
    await peer.next();
    peer.send('{"type":"dance","id":1}');
    await peer.next();
    assert.deepEqual((await call('why', { client: 'why-1' })).body, { ok: { ends: [], more: false } });
    await call('disconnect', { client: 'why-1', code: 4002, reason: 'be <b>gone</b>\u001b[31m' });
    await peer.closing();
    const { ends } = (await call('why', { client: 'why-1' })).body.ok;
    assert.equal(ends.length, 1);
    const { opened, closed, bytes_in, bytes_out, meaning, advice, last_error, ...rest } = ends[0];
    assert.deepEqual(rest, { client: 'why-1', address: '127.0.0.1', dialect: 'v1', code: 4002, by: 'server',
      reason: 'be <b>gone</b>\u001b[31m' });
    assert.ok(opened <= closed && Math.abs(closed - Date.now()) < 5_000);
    assert.ok(bytes_in > 100 && bytes_out > 300, `${bytes_in} ${bytes_out}`);
    assert.ok(meaning && advice);
    assert.deepEqual([last_error.code, last_error.name], [104, 'unknown_type']);
    for (let n = 2; n < 6; n++) {
      const other = await Peer.open(`${server.url}/ws/why-${n}`, ['linnet.v1']);
      await other.close(1000 + (n % 2), 'bye');
      await new Promise(resolve => setTimeout(resolve, 3)); // one millisecond is one moment
    }
    const last = (await call('why', { limit: 3 })).body.ok;
    assert.deepEqual([last.ends.map(e => [e.client, e.code, e.by, e.reason]), last.more],
      [[5, 4, 3].map(n => [`why-${n}`, 1000 + (n % 2), 'client', 'bye']), true]);
    for (const limit of [0, 10001]) assert.equal((await call('why', { limit })).status, 400);
  });

  it('T105 sends away whom it is told to, and nobody else', async () => {
    const [ann, bob, eve] = await Promise.all(['ann', 'bob', 'bob'].map(named));
    const before = await call('connections', {});
    const { body } = await call('disconnect', { client: 'bob', reason: 'tidying up' });
    assert.deepEqual(body.ok, { sessions: 2 });
    for (const peer of [bob, eve]) {
      assert.deepEqual(await peer.closed, { code: 3503, reason: 'tidying up' });
    }
    assert.equal((await call('connections', {})).body.ok.connections.length,
      before.body.ok.connections.length - 2);
    assert.deepEqual((await call('disconnect', { client: 'bob' })).body.ok, { sessions: 0 });
    assert.deepEqual((await call('disconnect', { client: 'ann', code: 3001 })).body.ok, { sessions: 1 });
    assert.equal((await ann.closed).code, 3001);
    for (const body of [{}, { client: '' }, { client: 'x', code: 1000 }, { client: 'x', code: 5000 },
      { client: 'x', code: 70000 }, { client: 'x', reason: 'r'.repeat(124) }, { client: 'x'.repeat(300) }]) {
      assert.equal((await call('disconnect', body)).status, 400, JSON.stringify(body));
    }
  });

  it('takes somebody out of a channel, and he is told', async () => {
    const [ann, bob] = await Promise.all(['ann', 'bob'].map(named));
    for (const peer of [ann, bob]) {
      peer.send('{"type":"subscribe","id":1,"channel":"room"}');
      await peer.next();
    }
    assert.deepEqual((await call('unsubscribe', { client: 'bob', channel: 'room' })).body.ok, { sessions: 1 });
    const told = await bob.json();
    assert.deepEqual([told.type, told.channel, told.code, told.retry], ['unsubscribed', 'room', 103, false]);
    await call('publish', { channel: 'room', data: 'for ann' });
    assert.equal((await ann.json()).data, 'for ann');
    bob.send('{"type":"ping","id":2}');
    assert.equal((await bob.json()).type, 'pong'); // and nothing before it
    assert.deepEqual((await call('unsubscribe', { client: 'bob', channel: 'room' })).body.ok, { sessions: 0 });
    assert.equal((await call('unsubscribe', { channel: 'room' })).status, 400);
    await Promise.all([ann, bob].map(p => p.close()));
  });

  it('answers many at once, each with its own place', async () => {
    const answers = await Promise.all(Array.from({ length: 300 }, (_, i) =>
      call('publish', { channel: `many:${i % 10}`, data: i })));
    const places = answers.map((a, i) => `${i % 10}:${a.body.ok.offset}`);
    assert.equal(new Set(places).size, 300);
  });

  it('a key may be for less than all', async t => {
    const fs = await import('node:fs');
    const os = await import('node:os');
    const path = await import('node:path');
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-'));
    t.after(() => fs.rmSync(folder, { recursive: true }));
    const file = path.join(folder, 'keys');
    fs.writeFileSync(file, `${OPERATOR} read\n`, { mode: 0o600 });
    const other = await start(['serve', '--listen', '127.0.0.1:0', '--workers', '1', '--key-file', file]);
    const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${OPERATOR}` };
    const publish = await fetch(`${other.http}/api/v1/publish`, { method: 'POST', headers, body: '{}' });
    assert.equal(publish.status, 403);
    const info = await fetch(`${other.http}/api/v1/info`, { method: 'POST', headers, body: '{}' });
    assert.equal(info.status, 200);
    await other.stop();
  });
});
