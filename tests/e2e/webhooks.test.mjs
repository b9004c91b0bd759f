// Backends that decide, over HTTP: what they are sent, what their answers lead to, and what becomes
// of it when they do not answer. Titles with T100, T154 and T156 are rows of the threat model.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { PYTHON, Program, ROOT, start } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-hooks-'));
after(() => fs.rmSync(folder, { recursive: true }));
const KEYS = ['a key that is long enough', `whsec_${crypto.randomBytes(24).toString('base64')}`];
const keyFiles = KEYS.map((key, n) => {
  const file = path.join(folder, `key${n}`);
  fs.writeFileSync(file, `${key}\n`, { mode: 0o600 });
  return `file:${file}`;
});

const bytesOf = key => key.startsWith('whsec_') ? Buffer.from(key.slice(6), 'base64') : Buffer.from(key);
const sign = (key, id, time, body) =>
  'v1,' + crypto.createHmac('sha256', bytesOf(key)).update(`${id}.${time}.${body}`).digest('base64');

/** A backend whose answer(body, headers, path) is [status, object] or what a promise of that gives. */
class Backend {
  static async start(answer) {
    const self = new Backend();
    self.answer = answer;
    self.got = [];
    self.server = http.createServer((request, response) => {
      const parts = [];
      request.on('data', part => parts.push(part));
      request.on('end', async () => {
        const text = Buffer.concat(parts).toString();
        const body = JSON.parse(text);
        self.got.push({ body, text, headers: request.headers, path: request.url });
        const [status, reply, fields] = await self.answer(body, request, self.got.length) ?? [200, {}];
        response.writeHead(status, fields);
        response.end(reply === undefined ? '' : typeof reply === 'string' ? reply : JSON.stringify(reply));
      });
    });
    await new Promise(resolve => self.server.listen(0, '127.0.0.1', resolve));
    self.url = `http://127.0.0.1:${self.server.address().port}/hook`;
    return self;
  }

  async serve(kinds, extra = []) {
    const urls = kinds.flatMap(kind => [`--webhook-${kind}`, this.url]);
    this.program = await start(['serve', '--listen', '127.0.0.1:0', ...urls,
      '--webhook-key', keyFiles[0], ...extra]);
    return this.program;
  }

  async has(count) {
    for (let n = 0; n < 500 && this.got.length < count; n++)
      await new Promise(resolve => setTimeout(resolve, 20));
    assert.ok(this.got.length >= count, `only ${this.got.length} of ${count}`);
  }

  async stop() {
    await this.program.stop();
    this.server.closeAllConnections?.();
    this.server.close();
  }
}

const join = async (server, options = {}) => {
  const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1'], options);
  assert.equal((await peer.json()).type, 'welcome');
  return peer;
};

describe('a backend decides', () => {
  it('who may hear and say what, and answers calls', async () => {
    const backend = await Backend.start(body => {
      if (body.type === 'subscribe') return body.channel === 'open' ? [200, {}] : [403, {}];
      if (body.type === 'publish') return [200, { data: { was: body.data } }];
      return [200, { data: { sum: body.data[0] + body.data[1] } }];
    });
    const server = await backend.serve(['subscribe', 'publish', 'call']);
    const peer = await join(server);
    peer.send({ type: 'subscribe', id: 1, channel: 'open' });
    assert.equal((await peer.json()).type, 'ok');
    peer.send({ type: 'subscribe', id: 2, channel: 'closed' });
    assert.equal((await peer.json()).error.code, 103);
    peer.send({ type: 'publish', id: 3, channel: 'open', data: 5 });
    const replies = [await peer.json(), await peer.json()];
    assert.deepEqual(replies.find(r => r.type === 'message').data, { was: 5 });
    assert.ok(replies.find(r => r.re === 3));
    peer.send({ type: 'call', id: 4, event: 'add', data: [1, 2] });
    assert.deepEqual(await peer.json(), { type: 'ok', re: 4, data: { sum: 3 } });
    const [subscribe, , publish, call] = backend.got.map(one => one.body);
    const { ts, node, client } = subscribe;
    assert.ok(Math.abs(Date.now() - ts) < 10_000);
    assert.deepEqual(subscribe, { type: 'subscribe', ts, node, client, channel: 'open' });
    assert.deepEqual(publish, { type: 'publish', ts: publish.ts, node, client, channel: 'open', data: 5 });
    assert.deepEqual(call, { type: 'call', ts: call.ts, node, client, event: 'add', data: [1, 2] });
    await peer.close();
    await backend.stop();
  });

  it('who may come, by the cookie, before the 101', async () => {
    const backend = await Backend.start(body => {
      if (body.type !== 'connect') return [204];
      if (body.headers.cookie === 'session=ann')
        return [200, { user: 'ann', info: { name: 'Ann' }, channels: ['news'] }];
      return body.headers.cookie ? [403, {}] : [401, {}];
    });
    const server = await backend.serve(['connect', 'disconnect'], ['--webhook-header', 'Cookie']);
    const refused = async headers =>
      (await Peer.open(`${server.url}/ws`, [], { headers }).then(() => null, error => error)).message;
    assert.match(await refused({}), /401/);
    assert.match(await refused({ Cookie: 'session=bob', Origin: server.url.replace('ws', 'http') }), /403/);
    const peer = await join(server,
      { headers: { Cookie: 'session=ann', Origin: server.url.replace('ws', 'http'), 'X-Secret': 'no' } });
    const ok = await peer.json();
    assert.equal(ok.channel, 'news');
    peer.send({ type: 'publish', channel: 'news', data: 1 });
    assert.deepEqual((await peer.json()).from.user, 'ann');
    const { body } = backend.got[2];
    assert.deepEqual(body.headers, { cookie: 'session=ann' });
    assert.equal(body.path, '/ws');
    assert.match(body.address, /^127\.0\.0\.1:\d+$/);
    await peer.close();
    await backend.has(4);
    const gone = backend.got[3].body;
    assert.equal(gone.type, 'disconnect');
    assert.equal(gone.client, body.client);
    assert.equal(gone.user, 'ann');
    await backend.stop();
  });

  it('T100 not by failing: 503 and error 108', async () => {
    for (const broken of [[500, {}], [200, 'yes'], [302, {}, { Location: 'http://169.254.169.254/' }], [200, []]]) {
      const backend = await Backend.start(() => broken);
      const server = await backend.serve(['connect']);
      await assert.rejects(Peer.open(`${server.url}/ws`), /503/);
      assert.equal(backend.got.length, 1);
      await backend.stop();
      const other = await Backend.start(() => broken);
      const peer = await join(await other.serve(['subscribe']));
      peer.send({ type: 'subscribe', id: 1, channel: 'x' });
      const { error } = await peer.json();
      assert.deepEqual([error.code, error.retry], [108, true]);
      await peer.close();
      await other.stop();
    }
  });

  it('T100 not by silence: after 5 s it is no, and others have not waited', async () => {
    const backend = await Backend.start(() => new Promise(() => {}));
    const server = await backend.serve(['subscribe', 'call']);
    const peer = await join(server);
    const from = Date.now();
    peer.send({ type: 'subscribe', id: 1, channel: 'x' });
    peer.send({ type: 'call', id: 2, event: 'm' });
    peer.send({ type: 'publish', id: 3, channel: 'y', data: 1 });
    assert.equal((await peer.json()).re, 3);
    assert.ok(Date.now() - from < 2_000);
    const codes = [(await peer.json(8_000)), (await peer.json(8_000))].map(r => r.error.code);
    assert.deepEqual(codes.sort(), [108, 115]);
    assert.ok(Date.now() - from > 4_500 && Date.now() - from < 7_000);
    await peer.close();
    await backend.stop();
  });

  it('T100 nor who has to be let in: silence and a reset are 503, others do not wait', async () => {
    const backend = await Backend.start((body, request) => {
      if (body.path !== '/ws/reset') return body.path === '/ws/good' ? [200, {}] : new Promise(() => {});
      request.socket.resetAndDestroy();
      return new Promise(() => {});
    });
    const server = await backend.serve(['connect'], ['--workers', '1']);
    const come = async name => {
      const from = Date.now();
      const status = await Peer.open(`${server.url}/ws/${name}`).then(peer => peer.close().then(() => 101),
        error => error.status);
      return [status, Date.now() - from];
    };
    const [silence, reset, good] = await Promise.all(['silent', 'reset', 'good'].map(come));
    assert.deepEqual([silence[0], reset[0], good[0]], [503, 503, 101]);
    assert.ok(silence[1] > 4_500 && silence[1] < 7_000, `${silence[1]} ms`);
    assert.ok(reset[1] < 3_000 && good[1] < 1_500);
    await backend.stop();
    backend.program = await start(['serve', '--listen', '127.0.0.1:0', '--webhook-connect', backend.url,
      '--webhook-key', keyFiles[0]]); // and now nobody is there
    await assert.rejects(Peer.open(`${backend.program.url}/ws`), /503/);
    await backend.program.stop();
  });

  it('what the welcome says besides', async () => {
    const backend = await Backend.start(body =>
      body.path === '/ws/large' ? [200, { data: 'x'.repeat(17_000) }] : [200, { data: { theme: 'dark', n: [1] } }]);
    const server = await backend.serve(['connect']);
    const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1']);
    const welcome = await peer.json();
    assert.deepEqual(welcome.data, { theme: 'dark', n: [1] });
    assert.equal(welcome.user, undefined);
    await peer.close();
    await assert.rejects(Peer.open(`${server.url}/ws/large`, ['linnet.v1']), /503/);
    await backend.stop();
  });

  it('whether somebody may stay', async () => {
    const at = seconds => Math.floor(Date.now() / 1000) + seconds;
    const backend = await Backend.start((body, request, n) => {
      if (body.type === 'connect') return [200, { user: 'ann', info: { n: 1 }, channels: ['a'], expires: at(26) }];
      if (body.type !== 'refresh') return [204];
      return n === 2 ? [200, { expires: at(27), channels: ['a', 'b'] }] : [200, { allow: false }];
    });
    const server = await backend.serve(['connect', 'refresh', 'disconnect']);
    const peer = await join(server);
    assert.equal((await peer.json()).channel, 'a');
    const told = await peer.json();
    assert.deepEqual([told.type, told.channel], ['subscribed', 'b']);
    assert.deepEqual(await peer.closing(), { code: 3005, reason: 'not renewed' });
    await backend.has(4);
    const { body } = backend.got[1];
    assert.deepEqual(body, { type: 'refresh', ts: body.ts, node: body.node, client: backend.got[0].body.client,
      user: 'ann', info: { n: 1 } });
    assert.deepEqual(backend.got.map(one => one.body.type), ['connect', 'refresh', 'refresh', 'disconnect']);
    await backend.stop();
  });

  it('commands on one channel keep their order while it thinks', async () => {
    const backend = await Backend.start(async (body, request, n) => {
      await new Promise(resolve => setTimeout(resolve, 300 - 100 * Math.min(n, 3)));
      return [200, {}];
    });
    const peer = await join(await backend.serve(['subscribe', 'publish']));
    peer.send({ type: 'subscribe', id: 0, channel: 'x' });
    for (let n = 1; n <= 5; n++) peer.send({ type: 'publish', channel: 'x', data: n });
    assert.equal((await peer.json()).re, 0);
    for (let n = 1; n <= 5; n++) assert.equal((await peer.json()).data, n);
    await peer.close();
    await backend.stop();
  });
});

describe('news', () => {
  for (const workers of [1, 4]) {
    it(`${workers} workers: of channels that are occupied and vacated, in turns, without flapping`, async () => {
      const backend = await Backend.start((body, request, n) => n === 2 ? [503] : [204]);
      const server = await backend.serve(['occupied', 'vacated'], ['--workers', String(workers)]);
      const people = await Promise.all([0, 1, 2, 3].map(() => join(server)));
      const each = async (peers, type, channel) => {
        for (const peer of peers) peer.send({ type, id: 1, channel });
        for (const peer of peers) assert.equal((await peer.json()).type, 'ok');
      };
      await each(people, 'subscribe', 'x');
      await each(people.slice(1), 'unsubscribe', 'x');
      for (let n = 0; n < 20; n++) { // the last one goes and comes
        await each(people.slice(0, 1), 'unsubscribe', 'x');
        await each(people.slice(0, 1), 'subscribe', 'x');
      }
      await each(people, 'subscribe', 'y');
      await each(people, 'unsubscribe', 'y');
      await backend.has(4); // + x, + y (one of them again), - y
      for (const peer of people) await peer.close();
      await backend.has(5);
      const of = channel => backend.got.map(one => one.body).filter(body => body.channel === channel)
        .map(body => body.type).filter((type, i, all) => type !== all[i - 1]);
      for (let n = 0; n < 100 && of('x').length < 2; n++) await new Promise(done => { setTimeout(done, 50); });
      assert.deepEqual(of('x'), ['channel_occupied', 'channel_vacated']);
      assert.deepEqual(of('y'), ['channel_occupied', 'channel_vacated']);
      assert.equal(backend.got.length, 5, 'four, and one a second time');
      const [{ body }] = backend.got;
      assert.deepEqual(Object.keys(body).sort(), ['channel', 'node', 'ts', 'type']);
      await backend.stop();
    });
  }

  it('come in the order of their connection, again until they have arrived, with the same id', async () => {
    const backend = await Backend.start((body, request, n) => n === 2 ? [503] : [204]);
    const peer = await join(await backend.serve(['event', 'disconnect']));
    for (let n = 0; n < 3; n++) peer.send({ type: 'moved', data: n });
    await peer.close();
    await backend.has(5);
    assert.deepEqual(backend.got.map(one => one.body.data), [0, 1, 1, 2, undefined]);
    assert.equal(backend.got[1].headers['webhook-id'], backend.got[2].headers['webhook-id']);
    assert.equal(backend.got[4].body.type, 'disconnect');
    await backend.stop();
  });

  it('T154 are kept for a backend that is away, within bounds', async () => {
    const backend = await Backend.start(() => [500]);
    const file = configWith('webhooks: { queue: 10 }');
    const server = await backend.serve(['event'], ['--workers', '1', '--config', file]);
    const peer = await join(server);
    for (let n = 0; n < 40; n++) peer.send({ type: 'moved', data: n });
    peer.send({ type: 'ping', id: 1 });
    assert.equal((await peer.json()).type, 'pong');
    backend.answer = () => [204];
    const seen = () => new Set(backend.got.map(one => one.body.data));
    for (let n = 0; n < 250 && !seen().has(39); n++) await new Promise(resolve => setTimeout(resolve, 20));
    assert.ok(seen().has(39), 'the newest arrives');
    assert.ok(seen().size <= 12, `${seen().size} of 40`);
    await peer.close();
    await backend.stop();
  });
});

function configWith(yaml) {
  const file = path.join(folder, 'linnet.yaml');
  fs.writeFileSync(file, `${yaml}\n`, { mode: 0o600 });
  return file;
}

describe('T156 a signature', () => {
  it('is over id, time and body, with each key', async () => {
    const backend = await Backend.start(() => [200, {}]);
    const server = await backend.serve(['subscribe'], ['--webhook-key', keyFiles[1]]);
    const peer = await join(server);
    for (let n = 0; n < 2; n++) {
      peer.send({ type: 'subscribe', id: n, channel: `c${n}` });
      await peer.json();
    }
    const ids = backend.got.map(({ headers, text }) => {
      const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signature } = headers;
      assert.ok(Math.abs(Date.now() / 1000 - Number(time)) < 10);
      assert.equal(signature, KEYS.map(key => sign(key, id, time, text)).join(' '));
      assert.notEqual(signature, KEYS.map(key => sign(key, id, time, `${text} `)).join(' '));
      assert.equal(headers['content-type'], 'application/json');
      return id;
    });
    assert.notEqual(ids[0], ids[1]);
    await peer.close();
    await backend.stop();
  });

  it('is wanted: without a key the server does not start', async () => {
    const { linnet } = await import('./lib/linnet.mjs');
    const { code, stderr } = await linnet(
      ['serve', '--listen', '127.0.0.1:0', '--webhook-call', 'http://127.0.0.1:1/']);
    assert.equal(code, 2);
    assert.match(stderr, /webhooks\.keys/);
    const other = await linnet(['serve', '--listen', '127.0.0.1:0', '--webhook-call', 'file:///etc/passwd',
      '--webhook-key', keyFiles[0]]);
    assert.equal(other.code, 2);
    assert.match(other.stderr, /http:\/\/ or https:\/\//);
  });
});

const kits = {
  node: [process.execPath, 'examples/backends/node/backend.mjs'],
  python: [PYTHON, 'examples/backends/python/backend.py'],
};

describe('T156 the kit for backends', () => {
  for (const [name, [command, file]] of Object.entries(kits)) {
    it(`in ${name} decides, and refuses what is forged, old or sent again`, async () => {
      const key = KEYS[1], env = { ...process.env, WEBHOOK_KEY: key, PORT: '0' };
      const backend = new Program(command, [path.join(ROOT, file)], { env });
      const [, url] = await backend.says(/backend on (\S+)/);
      const hooks = ['connect', 'refresh', 'subscribe', 'call', 'occupied'].flatMap(kind => [`--webhook-${kind}`, url]);
      const server = await start(['serve', '--listen', '127.0.0.1:0', ...hooks,
        '--webhook-key', keyFiles[0], '--webhook-key', keyFiles[1]]);
      const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1']);
      const { user, data, expires } = await peer.json();
      assert.deepEqual([user, data], ['guest', { motd: 'hello' }]);
      assert.ok(expires > 3500 && expires <= 3600);
      peer.send({ type: 'subscribe', id: 1, channel: 'news' });
      assert.equal((await peer.json()).type, 'ok');
      await backend.says(/channel_occupied news/);
      peer.send({ type: 'subscribe', id: 2, channel: 'private-x' });
      assert.equal((await peer.json()).error.message, 'that one is private');
      peer.send({ type: 'call', id: 3, event: 'add', data: [1, 2, 3] });
      assert.equal((await peer.json()).data, 6);
      await peer.close();
      const post = async (id, time, text, signature) => (await fetch(url, { method: 'POST', body: text,
        headers: { 'webhook-id': id, 'webhook-timestamp': `${time}`, 'webhook-signature': signature } })).status;
      const answer = async question => {
        const body = JSON.stringify(question), id = crypto.randomUUID(), at = Math.floor(Date.now() / 1000);
        const headers = { 'webhook-id': id, 'webhook-timestamp': `${at}`,
          'webhook-signature': sign(key, id, at, body) };
        return (await fetch(url, { method: 'POST', body, headers })).json();
      };
      assert.ok((await answer({ type: 'refresh', user: 'guest' })).expires > Date.now() / 1000);
      const text = '{"type":"call","event":"add","data":[1]}', now = Math.floor(Date.now() / 1000);
      assert.equal(await post('a', now, text, sign(key, 'a', now, text)), 200);
      assert.equal(await post('a', now, text, sign(key, 'a', now, text)), 409, 'sent again');
      assert.equal(await post('b', now, text, sign(KEYS[0], 'b', now, text)), 401, 'another key');
      assert.equal(await post('b', now, `${text} `, sign(key, 'b', now, text)), 401, 'another body');
      assert.equal(await post('c', now, text, sign(key, 'b', now, text)), 401, 'another id');
      assert.equal(await post('b', now, text, ''), 401, 'no signature');
      for (const time of [now - 301, now + 302])
        assert.equal(await post('b', time, text, sign(key, 'b', time, text)), 401, 'another time');
      await server.stop();
      backend.child.kill();
      await backend.left;
    });

    it(`in ${name} publishes, once, when the server says that it may come again`, async () => {
      const asked = [], apiKey = crypto.randomBytes(24).toString('hex');
      let server;
      // Stands where the backend looks for the server: the first answer is lost, the second is no.
      const between = http.createServer(async (request, response) => {
        const parts = [];
        for await (const part of request) parts.push(part);
        const { authorization } = request.headers, body = Buffer.concat(parts);
        const answer = await fetch(server.http + request.url,
          { method: 'POST', body, headers: { authorization, 'content-type': 'application/json' } });
        asked.push(body.toString());
        if (asked.length === 1) return request.socket.destroy();
        const busy = { error: { code: 108, name: 'overloaded', message: 'later', retry: true } };
        const [status, said] = asked.length === 2 ? [503, JSON.stringify(busy)] : [answer.status, await answer.text()];
        response.writeHead(status, { 'content-type': 'application/json' }).end(said);
      });
      await new Promise(resolve => { between.listen(0, '127.0.0.1', resolve); });
      const env = { ...process.env, WEBHOOK_KEY: KEYS[0], PORT: '0', LINNET_API_KEY: apiKey,
        LINNET_URL: `http://127.0.0.1:${between.address().port}` };
      const backend = new Program(command, [path.join(ROOT, file)], { env });
      const [, url] = await backend.says(/backend on (\S+)/);
      server = await start(['serve', '--listen', '127.0.0.1:0', '--webhook-call', url, '--webhook-key', keyFiles[0]],
        { env: { ...process.env, LINNET_API_KEY: apiKey } });
      const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1']);
      await peer.json();
      peer.send({ type: 'subscribe', id: 1, channel: 'news' });
      await peer.json();
      peer.send({ type: 'call', id: 2, event: 'announce', data: { text: 'it works' } });
      const { data, offset } = await peer.json();
      assert.deepEqual([data, offset], [{ text: 'it works' }, 1]);
      assert.equal((await peer.json()).data.offset, 1, 'the same place, three times');
      assert.equal(new Set(asked).size, 1, 'three times the same, with one key');
      between.close();
      await peer.close();
      await server.stop();
      backend.child.kill();
      await backend.left;
    });

    it(`in ${name} mints tokens that are taken`, async () => {
      const secret = 'a secret that is long enough for HS256', claims = { sub: 'ann', exp: 4102444800 };
      const minting = new Program(command, [path.join(ROOT, file), 'mint', JSON.stringify(claims)],
        { env: { ...process.env, JWT_SECRET: secret } });
      const { code, stdout } = await minting.left;
      assert.equal(code, 0);
      const [head, body, signature] = stdout.trim().split('.');
      assert.equal(JSON.parse(Buffer.from(head, 'base64url')).alg, 'HS256');
      assert.deepEqual(JSON.parse(Buffer.from(body, 'base64url')), claims);
      const wanted = crypto.createHmac('sha256', secret).update(`${head}.${body}`);
      assert.equal(signature, wanted.digest('base64url'));
    });
  }
});
