// Who may come in, and what he may do: tokens of npm's jose against ours, both ways, and every way in.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as jose from 'jose';
import { linnet, serve } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

const FOLDER = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-auth-'));
after(() => fs.rmSync(FOLDER, { recursive: true }));
const now = () => Math.floor(Date.now() / 1000);

function file(name, text, mode = 0o600) {
  const at = path.join(FOLDER, name);
  fs.writeFileSync(at, text, { mode });
  return at;
}

const SECRET = Buffer.from(crypto.randomBytes(32).toString('hex')); // a file's last line end is not part of it
const SECRET_FILE = file('secret', SECRET);

const HMAC = ['HS256', 'HS384', 'HS512'];
const PAIRS = {
  ...Object.fromEntries(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
    .map(alg => [alg, ['rsa', { modulusLength: 2048 }]])),
  ES256: ['ec', { namedCurve: 'P-256' }],
  ES384: ['ec', { namedCurve: 'P-384' }],
  ES512: ['ec', { namedCurve: 'P-521' }],
  EdDSA: ['ed25519', {}],
};
const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const keys = {};
for (const [alg, [kind, options]] of Object.entries(PAIRS)) {
  const pair = kind === 'rsa' ? rsa : crypto.generateKeyPairSync(kind, options);
  keys[alg] = {
    ...pair,
    private: file(`${alg}.key`, pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
    public: file(`${alg}.pub`, pair.publicKey.export({ type: 'spki', format: 'pem' }), 0o644),
    jwk: file(`${alg}.json`, JSON.stringify({
      keys: [{ ...pair.publicKey.export({ format: 'jwk' }), alg, kid: alg, use: 'sig' }],
    })),
  };
}

/** A token of jose's. */
const sign = (claims, { alg = 'HS256', key = SECRET, header = {}, lasts = 600 } = {}) =>
  new jose.SignJWT({ exp: now() + lasts, ...claims }).setProtectedHeader({ alg, ...header }).sign(key);

const mint = async (...flags) => {
  const done = await linnet(['token', 'mint', ...flags]);
  assert.equal(done.code, 0, done.stderr);
  return done.stdout.trim();
};

describe('linnet token and jose', () => {
  for (const alg of HMAC) {
    it(`${alg} both ways`, async () => {
      const ours = await mint('--secret', `${alg}:${SECRET_FILE}`, '--sub', 'anna', '--info', '{"n": 1}',
        '--subs', 'news');
      const { payload, protectedHeader } = await jose.jwtVerify(ours, SECRET, { algorithms: [alg] });
      assert.deepEqual(protectedHeader, { alg, typ: 'JWT' });
      assert.equal(payload.sub, 'anna');
      assert.deepEqual(payload.info, { n: 1 });
      assert.deepEqual(payload.subs, ['news']);
      const theirs = await sign({ sub: 'bob', iss: 'x' }, { alg });
      const done = await linnet(['token', 'verify', '--secret', `${alg}:${SECRET_FILE}`, '--iss', 'x'],
        { input: theirs });
      assert.equal(done.code, 0, done.stderr);
      assert.equal(JSON.parse(done.stdout).sub, 'bob');
    });
  }
  for (const alg of Object.keys(PAIRS)) {
    it(`${alg} both ways, by PEM and by JSON`, async () => {
      const ours = await mint('--key', `${alg}:${keys[alg].private}`, '--sub', 'anna', '--kid', alg);
      await jose.jwtVerify(ours, keys[alg].publicKey, { algorithms: [alg] });
      const theirs = await sign({ sub: 'bob' }, { alg, key: keys[alg].privateKey, header: { kid: alg } });
      for (const key of [`${alg}:${keys[alg].public}`, keys[alg].jwk]) {
        for (const token of [ours, theirs]) {
          const done = await linnet(['token', 'verify', '--key', key, token]);
          assert.equal(done.code, 0, done.stderr);
        }
        const cut = await linnet(['token', 'verify', '--key', key, theirs.slice(0, -2)]);
        assert.equal(cut.code, 1);
        assert.match(cut.stderr, /would be refused/);
      }
    });
  }

  for (const [why, args, code, words] of [
    ['nothing to sign with', ['mint', '--sub', 'a'], 2, /--secret or --key/],
    ['both', ['mint', '--secret', SECRET_FILE, '--key', SECRET_FILE], 2, /--secret or --key/],
    ['a file that is not there', ['mint', '--secret', '/nonexistent'], 1, /cannot read/],
    ['a public key to sign with', ['mint', '--key', keys.ES256.public], 1, /private key/],
    ['a private key to check with', ['verify', '--key', keys.ES256.private, 'x'], 1, /public one is enough/],
    ['another algorithm', ['mint', '--key', `RS256:${keys.ES256.private}`, '--sub', 'a'], 1, /does not fit/],
    ['info that is no JSON', ['mint', '--secret', SECRET_FILE, '--info', '{'], 2, /no JSON/],
    ['no verb', [], 2, /mint/],
  ]) {
    it(`says what is wrong: ${why}`, async () => {
      const done = await linnet(['token', ...args]);
      assert.equal(done.code, code);
      assert.match(done.stderr, words);
      assert.equal(done.stdout, '');
    });
  }
});

describe('linnet serve does not start', () => {
  for (const [why, args, words] of [
    ['with a secret of 31 bytes', ['--jwt-hmac-secret-file', file('short', 'x'.repeat(31))], /at least 32 bytes/],
    ['with a secret others may read', ['--jwt-hmac-secret-file', file('open', SECRET, 0o644)], /read by everybody/],
    ['with a private key', ['--jwt-key-file', keys.ES256.private], /public one is enough/],
    ['with a file that is no key', ['--jwt-key-file', file('none', 'hello')], /no PEM public key/],
    ['with a set of no keys', ['--jwt-key-file', file('empty.json', '{"keys":[]}')], /no key/],
    ['with a file that is not there', ['--jwt-key-file', path.join(FOLDER, 'nowhere')], /cannot read/],
  ]) {
    it(why, async () => {
      const done = await linnet(['serve', '--listen', '127.0.0.1:0', ...args]);
      assert.equal(done.code, 1);
      assert.match(done.stderr, words);
    });
  }
  it('but with --insecure a secret others may read is told of only', async () => {
    const server = await serve(1, '--insecure', '--jwt-hmac-secret-file', file('open2', SECRET, 0o644));
    assert.match(server.stderr, /warning: .*read by everybody/);
    await server.stop();
  });
});

describe('logging in', { concurrency: true }, () => {
  for (const workers of [1, 4]) {
    describe(`with ${workers} workers`, { concurrency: true }, () => {
      let server, token;
      const ws = (query = '') => `${server.url}/ws${query}`;
      before(async () => {
        server = await serve(workers, '--jwt-hmac-secret-file', SECRET_FILE, '--jwt-key-file', keys.ES256.jwk,
          '--auth-cookie', 'session', '--log-level', 'debug');
        token = await sign({ sub: 'anna', info: { name: 'Anna' } });
      });
      after(async () => {
        const marker = token.split('.')[2].slice(0, 20);
        await server.stop();
        assert.ok(!server.stderr.includes(marker) && !server.stdout.includes(marker), 'a token was logged');
      });

      const welcomed = async (peer, user = 'anna') => {
        const welcome = await peer.json();
        assert.equal(welcome.type, 'welcome');
        assert.equal(welcome.user, user);
        assert.equal(welcome.auth, false);
        assert.ok(welcome.expires > 500 && welcome.expires <= 600);
        await peer.close();
      };
      const refused = async (opening, status) => {
        await assert.rejects(opening, error => {
          assert.equal(error.status, status);
          if (status === 401) assert.match(error.headers['www-authenticate'], /^Bearer/);
          return true;
        });
      };

      it('by Authorization', async () =>
        welcomed(await Peer.open(ws(), ['linnet.v1'], { headers: { Authorization: `Bearer ${token}` } })));
      it('by a key of the set', async () => {
        const theirs = await sign({ sub: 'bob' },
          { alg: 'ES256', key: keys.ES256.privateKey, header: { kid: 'ES256' } });
        await welcomed(await Peer.open(ws(), ['linnet.v1'], { headers: { Authorization: `bearer ${theirs}` } }), 'bob');
      });
      it('by the address', async () => welcomed(await Peer.open(ws(`?token=${token}`), ['linnet.v1'])));
      it('by a subprotocol, which is not chosen', async () => {
        const peer = await Peer.open(ws(), ['linnet.v1', `linnet.token.${token}`]);
        assert.equal(peer.ws.protocol, 'linnet.v1');
        await welcomed(peer);
      });
      it('by a cookie', async () => welcomed(await Peer.open(ws(), ['linnet.v1'],
        { headers: { Cookie: `a=b; session=${token}; c=d` }, origin: server.http })));
      it('what was said on purpose counts before the cookie', async () => welcomed(await Peer.open(ws(), ['linnet.v1'],
        { headers: { Cookie: 'session=bad', Authorization: `Bearer ${token}` } })));

      it('401 for a bad one in a header', () => refused(
        Peer.open(ws(), ['linnet.v1'], { headers: { Authorization: `Bearer ${token}x` } }), 401));
      it('401 for a bad one in a cookie', () => refused(
        Peer.open(ws(), [], { headers: { Cookie: 'session=x' }, origin: server.http }), 401));
      it('401 for two cookies of that name', () => refused(
        Peer.open(ws(), [], { headers: { Cookie: `session=${token}; session=${token}` }, origin: server.http }), 401));
      it('403 for a cookie from nowhere', () => refused(
        Peer.open(ws(), [], { headers: { Cookie: `session=${token}` } }), 403));
      it('403 for a cookie from a page elsewhere', () => refused(
        Peer.open(ws(), [], { headers: { Cookie: `session=${token}` }, origin: 'https://evil.example' }), 403));

      it('an error and a close for a bad one in the address', async () => {
        const peer = await Peer.open(ws('?token=x'), ['linnet.v1']);
        assert.equal((await peer.json()).type, 'welcome');
        assert.deepEqual((await peer.json()).error.code, 101);
        assert.deepEqual(await peer.closing(), { code: 3500, reason: 'Invalid token' });
        const plain = await Peer.open(ws('?token=x&dialect=event'));
        assert.deepEqual(await plain.closing(), { code: 1008, reason: 'Invalid token' });
        const undecided = await Peer.open(ws('?token=x'));
        assert.deepEqual(await undecided.closing(), { code: 1008, reason: 'Invalid token' });
      });
      it('an expired one may come back', async () => {
        const peer = await Peer.open(ws(`?token=${await sign({ sub: 'anna' }, { lasts: -31 })}`), ['linnet.v1']);
        assert.equal((await peer.json()).type, 'welcome');
        assert.deepEqual((await peer.json()).error.code, 109);
        assert.deepEqual(await peer.closing(), { code: 3005, reason: 'Token expired' });
      });

      it('by a first message', async () => {
        const peer = await Peer.open(ws(), ['linnet.v1']);
        const welcome = await peer.json();
        assert.equal(welcome.auth, true);
        assert.ok(!('user' in welcome));
        peer.send({ type: 'subscribe', id: 1, channel: 'x' });
        assert.equal((await peer.json()).error.code, 101);
        peer.send({ type: 'auth', id: 2, data: { token } });
        const ok = await peer.json();
        assert.deepEqual([ok.type, ok.re, ok.user], ['ok', 2, 'anna']);
        peer.send({ type: 'subscribe', id: 3, channel: 'x' });
        assert.equal((await peer.json()).type, 'ok');
        peer.send({ type: 'publish', channel: 'x', data: 1, from: { user: 'eve' }, user: 'eve' });
        const message = await peer.json();
        assert.deepEqual(message.from, { client: welcome.client, user: 'anna', info: { name: 'Anna' } });
        await peer.close();
      });
      it('in one message with all that follows', async () => {
        const peer = await Peer.open(ws());
        peer.send([{ type: 'auth', id: 1, data: { token } }, { type: 'subscribe', id: 2, channel: 'y' }]);
        assert.equal((await peer.json()).re, 1);
        assert.equal((await peer.json()).re, 2);
        await peer.close();
      });
      it('D: by a first message', async () => {
        const peer = await Peer.open(ws());
        peer.send({ type: 'auth', token });
        assert.deepEqual(await peer.json(), { type: 'auth', success: true });
        const bad = await Peer.open(ws());
        bad.send({ type: 'auth', token: 'bad' });
        assert.deepEqual(await bad.closing(), { code: 1008, reason: 'Invalid token' });
        const hasty = await Peer.open(ws());
        hasty.send({ type: 'join', payload: { room: 'x' } });
        assert.deepEqual(await hasty.closing(), { code: 1008, reason: 'Not authenticated' });
        await peer.close();
      });
      it('C: by a first message', async () => {
        const peer = await Peer.open(ws());
        peer.send({ id: '1', type: 'auth', payload: { token }, timestamp: 1 });
        const response = await peer.json();
        assert.deepEqual([response.type, response.requestId, response.payload.user], ['response', '1', 'anna']);
        await peer.close();
      });
      it('a feed wants it in the handshake', async () => {
        const stranger = await Peer.open(`${server.url}/feed/x`);
        assert.deepEqual(await stranger.closing(), { code: 1008, reason: 'Not authenticated' });
        const reader = await Peer.open(`${server.url}/feed/f?token=${token}`);
        const writer = await Peer.open(ws(`?token=${token}`));
        writer.send({ type: 'publish', id: 1, channel: 'f', data: { n: 1 } });
        assert.deepEqual(await reader.json(), { n: 1 });
        await reader.close();
        await writer.close();
      });

      it('16 KiB before, 64 KiB after', async () => {
        const peer = await Peer.open(ws());
        peer.send({ type: 'auth', id: 1, data: { token }, more: 'x'.repeat(15_000) });
        assert.equal((await peer.json()).type, 'ok');
        peer.send({ type: 'ping', id: 2, more: 'x'.repeat(60_000) });
        assert.equal((await peer.json()).type, 'pong');
        await peer.close();
        const large = await Peer.open(ws());
        large.send({ type: 'auth', id: 1, data: { token }, more: 'x'.repeat(16_500) });
        assert.equal((await large.closing()).code, 1009);
      });
      it('ten seconds, and no longer', async () => {
        const start = Date.now();
        const v1 = await Peer.open(ws(), ['linnet.v1']);
        const d = await Peer.open(ws('?dialect=event'));
        assert.equal((await v1.closing(15_000)).code, 3002);
        assert.deepEqual(await d.closing(15_000), { code: 1008, reason: 'Not authenticated' });
        assert.ok(Date.now() - start > 8_500 && Date.now() - start < 12_500, `${Date.now() - start} ms`);
      });
      it('the end of a token: told, renewed, or closed', async () => {
        const short = await sign({ sub: 'anna' }, { lasts: -27 });
        const [goes, stays] = await Promise.all([0, 1].map(() => Peer.open(ws(`?token=${short}`), ['linnet.v1'])));
        for (const peer of [goes, stays]) {
          assert.equal((await peer.json()).type, 'welcome');
          assert.deepEqual(await peer.json(), { type: 'expiring', in: 0 });
        }
        stays.send({ type: 'refresh', id: 1, data: { token: await sign({ sub: 'bob' }) } });
        assert.equal((await stays.json()).error.code, 103);
        stays.send({ type: 'refresh', id: 2, data: { token } });
        assert.equal((await stays.json()).user, 'anna');
        assert.deepEqual(await goes.closing(8_000), { code: 3005, reason: 'token expired' });
        await stays.close();
      });
    });
  }
});

describe('what is allowed', () => {
  let server;
  before(async () => {
    const config = file('linnet.yaml', `
auth:
  secrets: [${SECRET_FILE}]
  anonymous: subscribe
  personal: true
namespaces:
  - name: vip
    allow: {subscribe: token, publish: nobody}
  - name: room
    allow: {subscribe: anyone, publish: subscribers}
  - name: "@"
    allow: {publish: token}
`);
    server = await serve(2, '--config', config);
  });
  after(() => server.stop());
  const enter = async claims => {
    const query = claims ? `?token=${await sign(claims)}` : '';
    const peer = await Peer.open(`${server.url}/ws${query}`, ['linnet.v1']);
    peer.welcome = await peer.json();
    const own = claims ? [`@${claims.sub}`, ...claims.subs ?? []].sort() : [];
    const told = []; // each has its home, so that they come in any order
    while (told.length < own.length) told.push((await peer.json()).channel);
    assert.deepEqual(told.sort(), own);
    return peer;
  };
  let id = 100;
  const ask = async (peer, type, channel, more = {}) => {
    peer.send({ type, id: ++id, channel, ...more });
    for (;;) {
      const answer = await peer.json();
      if (answer.re === id) return answer.error?.code ?? 0;
    }
  };

  it('a guest listens, and says nothing', async () => {
    const guest = await enter();
    assert.equal(await ask(guest, 'subscribe', 'x'), 0);
    assert.equal(await ask(guest, 'publish', 'x', { data: 1 }), 103);
    assert.equal(await ask(guest, 'history', 'x'), 0);
    assert.equal(await ask(guest, 'history', 'vip:1'), 0, 'history is for anyone there');
    assert.equal(await ask(guest, 'subscribe', 'vip:1'), 103);
    assert.equal(await ask(guest, 'subscribe', '@anna'), 103);
    assert.equal(await ask(guest, 'subscribe', '$linnet'), 103);
    assert.equal(await ask(guest, 'publish', 'room:1', { data: 1 }), 103, 'not in the room');
    assert.equal(await ask(guest, 'subscribe', 'room:1'), 0);
    assert.equal(await ask(guest, 'publish', 'room:1', { data: 1 }), 0);
    await guest.close();
  });
  it('somebody, more', async () => {
    const anna = await enter({ sub: 'anna' });
    assert.equal(await ask(anna, 'publish', 'x', { data: 1 }), 0);
    assert.equal(await ask(anna, 'subscribe', 'vip:1'), 103);
    assert.equal(await ask(anna, 'publish', 'vip:1', { data: 1 }), 103);
    assert.equal(await ask(anna, 'send', undefined, { to: 'bob', data: 1 }), 103);
    await anna.close();
  });
  it('what the token says', async () => {
    const anna = await enter({ sub: 'anna', subscribe: ['vip:*'], publish: ['@bob', 'vip:1'], subs: ['news'] });
    const bob = await enter({ sub: 'bob' });
    assert.equal(await ask(anna, 'subscribe', 'vip:1'), 0);
    assert.equal(await ask(anna, 'publish', 'vip:1', { data: 1 }), 103, 'for nobody is for nobody');
    assert.equal(await ask(anna, 'subscribe', 'news'), 0, 'it need not know that it is there');
    assert.equal(await ask(anna, 'send', undefined, { to: 'bob', data: { hello: 1 } }), 0);
    const heard = await bob.json();
    assert.deepEqual([heard.channel, heard.data, heard.from.user], ['@bob', { hello: 1 }, 'anna']);
    assert.equal(await ask(anna, 'send', undefined, { to: 'carl', data: 1 }), 103);
    await anna.close();
    await bob.close();
  });
  it('a token for one channel', async () => {
    const anna = await enter({ sub: 'anna' });
    const leave = await sign({ sub: 'anna', channel: 'vip:7' });
    const others = await sign({ sub: 'bob', channel: 'vip:7' });
    assert.equal(await ask(anna, 'subscribe', 'vip:7', { token: others }), 103);
    assert.equal(await ask(anna, 'subscribe', 'vip:8', { token: leave }), 103);
    assert.equal(await ask(anna, 'subscribe', 'vip:7', { data: { token: leave } }), 0);
    await anna.close();
  });
});

it('the address of a server with tokens may be any', async () => {
  const server = await serve(1, '--listen', '0.0.0.0:0', '--jwt-hmac-secret-file', SECRET_FILE);
  await server.says(/0\.0\.0\.0/);
  await server.stop();
});

it('auth.reject: http answers 401 before anything else, close never', async () => {
  const yaml = how => file(`${how}.yaml`, `auth: {secrets: [${SECRET_FILE}], reject: ${how}}\n`);
  const http = await serve(1, '--config', yaml('http'));
  for (const query of ['', '?token=x']) {
    await assert.rejects(Peer.open(`${http.url}/ws${query}`), error => error.status === 401);
  }
  await http.stop();
  const close = await serve(1, '--config', yaml('close'));
  const peer = await Peer.open(`${close.url}/ws`, [], { headers: { Authorization: 'Bearer x' } });
  assert.equal((await peer.closing()).code, 1008);
  await close.stop();
});

it('sub, pub and connect log in', async () => {
  const server = await serve(1, '--jwt-hmac-secret-file', SECRET_FILE);
  const token = file('token', `${await sign({ sub: 'anna' })}\n`);
  const url = `${server.url}/ws`;
  const pub = (...flags) => linnet(['pub', '--url', url, ...flags, 'news', '1']);
  assert.equal((await pub('--token-file', token)).code, 0);
  assert.equal((await pub('--token', fs.readFileSync(token, 'utf8').trim())).code, 0);
  const without = await pub();
  assert.equal(without.code, 1);
  assert.match(without.stderr, /not authenticated/);
  assert.match((await pub('--token', 'x')).stderr, /401/);
  assert.equal((await pub('--token', 'x', '--token-file', token)).code, 2);
  const talk = await linnet(['connect', '--token-file', token, url], { input: '{"type":"ping","id":1}\n' });
  assert.match(talk.stdout, /pong/);
  await server.stop();
});
