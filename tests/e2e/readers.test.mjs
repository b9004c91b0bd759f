// Who may read event streams (/sse) and feeds of `linnet serve`: tokens, cookies, backends, until when.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as jose from 'jose';
import { serve } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

const FOLDER = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-readers-'));
after(() => fs.rmSync(FOLDER, { recursive: true }));
const now = () => Math.floor(Date.now() / 1000);
const SECRET = crypto.randomBytes(32).toString('hex');
const file = (name, text) => {
  const at = path.join(FOLDER, name);
  fs.writeFileSync(at, text, { mode: 0o600 });
  return at;
};
const SECRET_FILE = file('secret', SECRET);
const HOOK_KEY = `file:${file('hook', 'a key that is long enough')}`;
const sign = (claims = {}, lasts = 600) => new jose.SignJWT({ sub: 'anna', exp: now() + lasts, ...claims })
  .setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET));

/** One stream: its status and fields, and what it says. */
class Reader {
  static open(server, target, headers = {}) {
    return new Promise((resolve, reject) => {
      const self = new Reader();
      self.text = '';
      self.from = Date.now();
      self.request = http.get(`${server.http}${target}`, { headers, agent: false }, response => {
        self.status = response.statusCode;
        self.headers = response.headers;
        self.ended = new Promise(done => { response.on('close', done); });
        response.setEncoding('utf8').on('data', text => { self.text += text; });
        response.on('error', () => {});
        resolve(self);
      });
      self.request.on('error', reject);
    });
  }
  async says(pattern, ms = 8_000) {
    for (const end = Date.now() + ms; !pattern.test(this.text);) {
      assert.ok(Date.now() < end, `no ${pattern} in ${this.text}`);
      await new Promise(done => { setTimeout(done, 20); });
    }
  }
  close() { this.request.destroy(); }
}
/** Only the status. */
async function status(server, target, headers) {
  const reader = await Reader.open(server, target, headers);
  reader.close();
  return reader.status;
}

const CONFIG = `
auth:
  secrets: [${SECRET_FILE}]
  cookie: session
namespaces:
  - name: vip
    allow: {subscribe: token}
  - name: open
    allow: {subscribe: anyone}
  - name: shut
    allow: {subscribe: nobody}
origins: ["https://shop.example"]
log: {level: debug}
`;

describe('a token lets read', { concurrency: true }, () => {
  for (const workers of [1, 4]) {
    describe(`with ${workers} workers`, { concurrency: true }, () => {
      let server, token;
      const bearer = text => ({ Authorization: `Bearer ${text}` });
      before(async () => {
        server = await serve(workers, '--config', file(`tokens${workers}.yaml`, CONFIG));
        token = await sign({ subscribe: ['vip:*'] });
      });
      after(async () => {
        const marker = token.split('.')[2].slice(0, 20);
        await server.stop();
        assert.ok(!server.stderr.includes(marker) && !server.stdout.includes(marker), 'T093 a token was logged');
      });

      it('by Authorization, address and cookie; and hears', async () => {
        const writer = await Peer.open(`${server.url}/ws?token=${token}`, ['linnet.v1']);
        await writer.json();
        const ways = [['', bearer(token)], [`&token=${token}`, {}], ['', { Cookie: `a=1; session=${token}` }],
          ['', { Cookie: `session=${token}`, 'Sec-Fetch-Site': 'same-origin' }],
          ['', { Cookie: `session=${token}`, Origin: 'https://shop.example' }]];
        const readers = await Promise.all(ways.map(([query, headers]) =>
          Reader.open(server, `/sse?channel=news&channel=vip:1${query}`, headers)));
        for (const reader of readers) {
          assert.equal(reader.status, 200);
          await reader.says(/^id: /m);
        }
        writer.send({ type: 'publish', id: 1, channel: 'news', data: { n: 1 } });
        for (const reader of readers) {
          await reader.says(/^data: \{"n":1\}$/m);
          reader.close();
        }
        assert.equal(readers[4].headers['access-control-allow-origin'], 'https://shop.example');
        assert.equal(readers[4].headers['access-control-allow-credentials'], 'true');
        assert.equal(readers[4].headers.vary, 'Origin');
        await writer.close();
      });

      for (const [why, target, headers, want] of [
        ['without one', '/sse?channel=open:x', {}, 401],
        ['with a bad one', '/sse?channel=x', bearer('x'), 401],
        ['with a bad one in the address', '/sse?channel=x&token=x', {}, 401],
        ['with two', '/sse?channel=x', { Cookie: 'session=a; session=b' }, 401],
        ['with a cookie, for a foreign page', '/sse?channel=x',
          t => ({ Cookie: `session=${t}`, Origin: 'https://evil.example' }), 403],
        ['with a cookie, for a foreign page that hides', '/sse?channel=x',
          t => ({ Cookie: `session=${t}`, 'Sec-Fetch-Site': 'cross-site' }), 403],
        ['with a cookie, for another host of the site', '/sse?channel=x',
          t => ({ Cookie: `session=${t}`, 'Sec-Fetch-Site': 'same-site' }), 403],
        ['in a channel for nobody', '/sse?channel=x&channel=shut:x', bearer, 403],
        ['in a channel its claims do not name', '/sse?channel=@bob', bearer, 403],
        ['with one that has expired', '/sse?channel=x', async () => bearer(await sign({}, -40)), 401],
        ['with one for a single channel', '/sse?channel=vip:1',
          async () => bearer(await sign({ channel: 'vip:1' })), 401],
      ]) {
        it(`${want} ${why}`, async () => {
          const fields = typeof headers === 'function' ? await headers(token) : headers;
          const reader = await Reader.open(server, target, fields);
          assert.equal(reader.status, want);
          if (want === 401) assert.match(reader.headers['www-authenticate'], /^Bearer/);
          assert.ok(!('access-control-allow-credentials' in reader.headers));
          reader.close();
        });
      }

      it('until it ends: an event, and the end of the stream', async () => {
        const reader = await Reader.open(server, '/sse?channel=x', bearer(await sign({}, -27)));
        assert.equal(reader.status, 200);
        await reader.ended;
        assert.match(reader.text, /event: error\ndata: \{"code":109\}\n\n$/);
        assert.ok(Date.now() - reader.from > 1_500 && Date.now() - reader.from < 6_000);
      });
      it('a feed likewise', async () => {
        const feed = await Peer.open(`${server.url}/feed/vip:1?token=${token}`);
        const writer = await Peer.open(`${server.url}/ws?token=${await sign({ publish: ['vip:1'] })}`, ['linnet.v1']);
        await writer.json();
        writer.send({ type: 'publish', id: 1, channel: 'vip:1', data: 7 });
        assert.equal(await feed.json(), 7);
        const other = await Peer.open(`${server.url}/feed/vip:1?token=${await sign()}`);
        assert.equal((await other.closing()).code, 1008);
        const late = await Peer.open(`${server.url}/feed/x?token=${await sign({}, -28)}`);
        assert.equal((await late.closing(8_000)).code, 1008);
        await assert.rejects(Peer.open(`${server.url}/feed/x`, [], { headers: bearer('x') }),
          error => error.status === 401);
        await feed.close();
        await writer.close();
      });
    });
  }

  it('guests read where anyone may, and with a token more', async () => {
    const config = file('guests.yaml', `${CONFIG.replace('cookie: session', 'anonymous: connect')}`);
    const server = await serve(1, '--config', config);
    assert.equal(await status(server, '/sse?channel=open:x'), 200);
    assert.equal(await status(server, '/sse?channel=x'), 403);
    assert.equal(await status(server, `/sse?channel=x&token=${await sign()}`), 200);
    assert.equal(await status(server, '/sse?channel=open:x&token=bad'), 401);
    await server.stop();
  });
});

it('who is disconnected or banned reads no more', async () => {
  const key = `lk_${crypto.randomBytes(16).toString('hex')}`;
  const server = await serve(2, '--jwt-hmac-secret-file', SECRET_FILE, '--key-file', file('api', `${key}\n`));
  const order = async (what, body) => {
    const answer = await fetch(`${server.http}/api/v1/${what}`, { method: 'POST', body: JSON.stringify(body),
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' } });
    assert.equal(answer.status, 200, await answer.text());
  };
  const read = async sub => Reader.open(server, `/sse?channel=a&token=${await sign({ sub })}`);
  const [anna, bob, carl] = await Promise.all(['anna', 'bob', 'carl'].map(read));
  await order('unsubscribe', { user: 'anna', channel: 'b' }); // it is in none of that name
  await order('refresh', { user: 'anna', info: { n: 1 }, expires: now() + 5 });
  await order('disconnect', { user: 'anna' });
  await anna.ended;
  await order('ban', { user: 'bob' });
  await bob.ended;
  assert.equal((await read('bob')).status, 403);
  const again = await read('anna');
  assert.equal(again.status, 200);
  await carl.says(/^id: /m);
  const [dora, dirk] = await Promise.all(['dora', 'dirk'].map(read));
  await order('unsubscribe', { user: 'dora', channel: 'a' });
  await dora.ended;
  assert.match(dora.text, /event: error\ndata: {"code":103}/);
  await order('forget', { user: 'dirk' });
  await dirk.ended;
  for (const reader of [again, carl]) reader.close();
  await server.stop();
});

describe('a backend decides', { concurrency: true }, () => {
  const backend = async answer => {
    const got = [];
    const server = http.createServer((request, response) => {
      let text = '';
      request.on('data', part => { text += part; });
      request.on('end', async () => {
        got.push(JSON.parse(text));
        const [code, body] = await answer(got.at(-1));
        response.writeHead(code).end(JSON.stringify(body ?? {}));
      });
    });
    await new Promise(done => { server.listen(0, '127.0.0.1', done); });
    const url = `http://127.0.0.1:${server.address().port}/`;
    const has = async type => {
      for (let n = 0; n < 200 && !got.some(one => one.type === type); n++)
        await new Promise(done => { setTimeout(done, 20); });
      return got.find(one => one.type === type);
    };
    return { got, has, url, stop: () => { server.closeAllConnections(); server.close(); } };
  };
  const flags = (there, ...kinds) =>
    [...kinds.flatMap(kind => [`--webhook-${kind}`, there.url]), '--webhook-key', HOOK_KEY];

  for (const workers of [1, 4]) {
    it(`${workers} workers: who may come, hear what, and until when; and is told when he has gone`, async () => {
      const there = await backend(body => {
        if (body.type === 'connect' && body.headers.cookie !== 'id=7') return [403];
        if (body.type === 'connect') return [200, { user: 'ann', info: 1, expires: now() - 26 }];
        return [body.channel === 'no' ? 403 : 200];
      });
      const server = await serve(workers, ...flags(there, 'connect', 'subscribe', 'disconnect'));
      assert.equal(await status(server, '/sse?channel=a'), 403);
      assert.equal(await status(server, '/sse?channel=a&channel=no', { Cookie: 'id=7' }), 403);
      const reader = await Reader.open(server, '/sse?channel=a&channel=b', { Cookie: 'id=7' });
      assert.equal(reader.status, 200);
      await reader.says(/^id: /m);
      const connect = there.got.findLast(one => one.type === 'connect');
      assert.equal(connect.path, '/sse');
      const asked = there.got.filter(one => one.type === 'subscribe' && one.client === connect.client);
      assert.deepEqual(asked.map(one => [one.channel, one.user, one.info]), [['a', 'ann', 1], ['b', 'ann', 1]]);
      await reader.ended;
      assert.match(reader.text, /"code":109/);
      const left = () => there.got.find(one => one.type === 'disconnect' && one.client === connect.client);
      for (let n = 0; n < 200 && !left(); n++)
        await new Promise(done => { setTimeout(done, 20); });
      assert.equal(left()?.user, 'ann');
      await server.stop();
      there.stop();
    });
  }

  it('T100 503 when it does not, and nobody else waits', async () => {
    const there = await backend(body => body.channel === 'good' ? [200] : new Promise(() => {}));
    const server = await serve(1, ...flags(there, 'subscribe'));
    const from = Date.now();
    const [slow, good] = await Promise.all(['slow', 'good'].map(name => status(server, `/sse?channel=${name}`)
      .then(code => [code, Date.now() - from])));
    assert.equal(good[0], 200);
    assert.ok(good[1] < 1_500);
    assert.equal(slow[0], 503);
    assert.ok(slow[1] > 4_500 && slow[1] < 7_000, `${slow[1]} ms`);
    await server.stop();
    there.stop();
    const nobody = await serve(1, ...flags(there, 'connect'));
    assert.equal(await status(nobody, '/sse?channel=a'), 503);
    await nobody.stop();
  });

  it('who goes while it thinks is forgotten, and is told of when it had said yes', async () => {
    let go;
    const there = await backend(body => body.type !== 'connect' ? [200]
      : new Promise(done => { go = () => done([200, { user: 'ann' }]); }));
    const server = await serve(1, ...flags(there, 'connect', 'disconnect'));
    const request = http.get(`${server.http}/sse?channel=a`, { agent: false });
    request.on('error', () => {});
    await there.has('connect');
    request.destroy();
    await new Promise(done => { setTimeout(done, 200); });
    go();
    assert.equal((await there.has('disconnect')).user, 'ann');
    await server.stop();
    there.stop();
  });

  it('keys that are on their way are waited for', async () => {
    const { publicKey, privateKey } = crypto.generateKeyPairSync('ed25519');
    const jwk = { ...publicKey.export({ format: 'jwk' }), alg: 'EdDSA', kid: 'k' };
    const issuer = http.createServer((_, response) => {
      setTimeout(() => response.end(JSON.stringify({ keys: [jwk] })), 500);
    });
    await new Promise(done => { issuer.listen(0, '127.0.0.1', done); });
    const iss = `http://127.0.0.1:${issuer.address().port}`;
    const server = await serve(2, '--jwt-jwks-url', `${iss}=${iss}/keys`);
    const token = await new jose.SignJWT({ sub: 'anna', iss, exp: now() + 60 })
      .setProtectedHeader({ alg: 'EdDSA', kid: 'k' }).sign(privateKey);
    const reader = await Reader.open(server, `/sse?channel=a&token=${token}`, { Origin: server.http });
    assert.equal(reader.status, 200);
    assert.equal(reader.headers['access-control-allow-origin'], server.http);
    assert.equal(reader.headers.vary, 'Origin', 'once');
    reader.close();
    await server.stop();
    issuer.close();
  });
});
