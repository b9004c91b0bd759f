// Keys that issuers publish, fetched by `linnet serve`: with npm's jose as the issuer and as a second judge.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import * as jose from 'jose';
import { linnet, serve } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';
import { parse } from './lib/prometheus.mjs';

const FOLDER = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-jwks-'));
after(() => fs.rmSync(FOLDER, { recursive: true }));
const now = () => Math.floor(Date.now() / 1000);
const sleep = ms => new Promise(done => { setTimeout(done, ms); });
const SECRET = crypto.randomBytes(32).toString('hex');
const SECRET_FILE = path.join(FOLDER, 'secret');
fs.writeFileSync(SECRET_FILE, SECRET, { mode: 0o600 });

const KINDS = {
  RS256: ['rsa', { modulusLength: 2048 }], PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }], EdDSA: ['ed25519', {}],
};

/** Who signs tokens and publishes keys, and how often he was asked for them. */
class Issuer {
  constructor() {
    this.keys = [];
    this.asked = 0;
    this.answer = null; // instead of a set: (request, response) => ...
    this.server = http.createServer((request, response) => {
      this.asked++;
      if (this.answer) return this.answer(request, response);
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify({ keys: this.keys.map(k => k.jwk) }));
    });
    this.made = new Promise(done => { this.server.listen(0, '127.0.0.1', done); });
  }
  static async open(...kinds) {
    const issuer = new Issuer();
    await issuer.made;
    issuer.url = `http://127.0.0.1:${issuer.server.address().port}`;
    for (const alg of kinds) issuer.add(alg);
    return issuer;
  }
  add(alg, kid = alg) {
    const [kind, options] = KINDS[alg];
    const { publicKey, privateKey } = crypto.generateKeyPairSync(kind, options);
    this.keys.push({ alg, kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), alg, kid, use: 'sig' } });
  }
  sign(kid, claims = {}, header = {}) {
    const key = this.keys.find(k => k.kid === kid);
    return new jose.SignJWT({ sub: 'anna', iss: this.url, exp: now() + 600, ...claims })
      .setProtectedHeader({ alg: key.alg, kid, ...header }).sign(key.privateKey);
  }
  option(issuer = this.url) { return ['--jwt-jwks-url', `${issuer}=${this.url}/jwks.json`]; }
  close() {
    this.server.closeAllConnections();
    return new Promise(done => { this.server.close(done); });
  }
}

/** The status of a handshake with a token, and how long it took. */
async function status(server, token) {
  const start = Date.now();
  try {
    const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1'], { headers: { Authorization: `Bearer ${token}` } });
    await peer.close();
    return { status: 101, ms: Date.now() - start };
  } catch (error) {
    if (!error.status) throw error;
    return { status: error.status, ms: Date.now() - start };
  }
}
const comes = async (server, token) => (await status(server, token)).status;

const own = () => new jose.SignJWT({ sub: 'bob', exp: now() + 600 }).setProtectedHeader({ alg: 'HS256' })
  .sign(Buffer.from(SECRET));

describe('keys by URL', { concurrency: true }, () => {
  for (const workers of [1, 4]) {
    it(`${workers} workers: every algorithm, on every way in, as jose sees it`, async () => {
      const issuer = await Issuer.open(...Object.keys(KINDS));
      const server = await serve(workers, ...issuer.option());
      const judge = jose.createRemoteJWKSet(new URL(`${issuer.url}/jose`));
      for (const alg of Object.keys(KINDS)) {
        const token = await issuer.sign(alg);
        assert.equal((await jose.jwtVerify(token, judge, { issuer: issuer.url })).payload.sub, 'anna');
        assert.equal(await comes(server, token), 101, alg);
        const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1']);
        await peer.json();
        peer.send({ type: 'auth', id: 1, data: { token } });
        assert.equal((await peer.json()).user, 'anna');
        await peer.close();
        const bad = `${token.slice(0, -6)}AAAAAA`;
        await assert.rejects(jose.jwtVerify(bad, judge, { issuer: issuer.url }));
        assert.equal(await comes(server, bad), 401);
      }
      const confused = await issuer.sign('RS256', {}, { kid: 'PS256' });
      await assert.rejects(jose.jwtVerify(confused, judge));
      assert.equal(await comes(server, confused), 401, 'a key is for its own algorithm');
      assert.equal(issuer.asked, 2, 'once by jose, once by the server, whatever its workers');
      await server.stop();
      await issuer.close();
    });
  }

  it('keys without an algorithm, for something else, private or secret are not taken', async () => {
    const issuer = await Issuer.open('ES256');
    issuer.add('ES256', 'enc');
    issuer.keys[1].jwk.use = 'enc';
    issuer.add('ES256', 'bare');
    delete issuer.keys[2].jwk.alg;
    issuer.add('ES256', 'leaked');
    issuer.keys[3].jwk = { ...issuer.keys[3].privateKey.export({ format: 'jwk' }), alg: 'ES256', kid: 'leaked' };
    const server = await serve(1, ...issuer.option());
    assert.equal(await comes(server, await issuer.sign('ES256')), 101);
    for (const kid of ['enc', 'bare', 'leaked']) assert.equal(await comes(server, await issuer.sign(kid)), 401, kid);
    await server.stop();
    const pinned = await serve(1, '--jwt-issuer', issuer.url, '--jwt-jwks-url', `ES256:${issuer.url}/jwks.json`);
    assert.equal(await comes(pinned, await issuer.sign('bare')), 101, 'the configuration says what it is for');
    await pinned.stop();
    await issuer.close();
  });

  it('T087 a key that is not known: one refresh in 30 s, however often, and who comes after it is let in', async () => {
    const issuer = await Issuer.open('ES256');
    const server = await serve(4, ...issuer.option());
    assert.equal(await comes(server, await issuer.sign('ES256')), 101);
    const start = Date.now();
    issuer.add('EdDSA');
    const fresh = await issuer.sign('EdDSA');
    const old = await issuer.sign('ES256');
    const forged = i => issuer.sign('ES256', {}, { kid: `made-up-${i}` });
    for (let i = 0; i < 15; i++) assert.equal(await comes(server, await forged(i)), 401);
    assert.equal(issuer.asked, 1, 'it has just been asked');
    await sleep(30_500 - (Date.now() - start));
    const all = await Promise.all([fresh, fresh, old, fresh].map(token => comes(server, token)));
    assert.deepEqual(all, [101, 101, 101, 101]);
    assert.equal(issuer.asked, 2, 'all of them wait for one answer');
    assert.equal(await comes(server, await forged(99)), 401);
    assert.equal(issuer.asked, 2);
    await server.stop();
    await issuer.close();
  });

  it('T094 two issuers, the same kid: neither key is good for the other', async () => {
    const [a, b] = await Promise.all([Issuer.open('ES256'), Issuer.open('ES256')]);
    const server = await serve(2, ...a.option(), ...b.option());
    assert.equal(await comes(server, await a.sign('ES256')), 101);
    assert.equal(await comes(server, await b.sign('ES256')), 101);
    assert.equal(await comes(server, await a.sign('ES256', { iss: b.url })), 401);
    assert.equal(await comes(server, await b.sign('ES256', { iss: a.url })), 401);
    assert.equal(await comes(server, await a.sign('ES256', { iss: undefined })), 401);
    await server.stop();
    await Promise.all([a.close(), b.close()]);
  });

  it('T095 an issuer that a token makes up is not asked, and neither is ours for it', async () => {
    const [ours, trap] = await Promise.all([Issuer.open('ES256'), Issuer.open('ES256')]);
    const server = await serve(2, ...ours.option(), '--jwt-issuer', ours.url);
    assert.equal(await comes(server, await ours.sign('ES256')), 101);
    for (const iss of [trap.url, `${trap.url}/jwks.json`, `${ours.url}/`, `${ours.url}@${trap.url}`,
      'http://localhost', '']) {
      assert.equal(await comes(server, await trap.sign('ES256', { iss }, { kid: 'new' })), 401, iss);
    }
    const jku = await trap.sign('ES256', { iss: ours.url }, { kid: 'new', jku: `${trap.url}/jwks.json` });
    assert.equal(await comes(server, jku), 401);
    assert.equal(trap.asked, 0);
    assert.equal(ours.asked, 1);
    await server.stop();
    await Promise.all([ours.close(), trap.close()]);
  });

  const FAULTS = {
    'does not answer': () => {},
    'answers 10 MB': (_, response) => response.end(`{"keys":[],"more":"${'x'.repeat(10 << 20)}"}`),
    'points elsewhere': (_, response) => { response.writeHead(301, { location: '/there' }); response.end(); },
    'has a page': (_, response) => response.end('<html>'),
    'is not well': (_, response) => { response.statusCode = 500; response.end('{"keys":[]}'); },
    'hangs up': request => request.socket.destroy(),
    'drips': (_, response) => {
      const timer = setInterval(() => response.write(' '), 100);
      response.on('close', () => clearInterval(timer));
    },
  };
  for (const [what, answer] of Object.entries(FAULTS)) {
    it(`T096 who publishes them ${what}: others do not wait, 503 after 2 s, the last keys stay`, async () => {
      const issuer = await Issuer.open('ES256');
      issuer.answer = answer;
      const server = await serve(2, '--jwt-hmac-secret-file', SECRET_FILE, ...issuer.option());
      const token = await issuer.sign('ES256');
      const [theirs, others] = await Promise.all([status(server, token), status(server, await own())]);
      assert.equal(theirs.status, 503);
      assert.ok(theirs.ms < 4_000, `${theirs.ms} ms`);
      assert.equal(others.status, 101);
      assert.ok(others.ms < 1_000, `${others.ms} ms`);
      issuer.answer = null; // it is tried again after a second or two
      for (let i = 0; i < 100 && await comes(server, token) !== 101; i++) await sleep(100);
      issuer.answer = answer;
      server.kill('SIGHUP');
      await server.says(/no option has changed/, { stream: 'stderr' });
      await server.says(/jwks/, { stream: 'stderr' });
      assert.equal(await comes(server, token), 101);
      await server.stop();
      await issuer.close();
    });
  }

  it('T096 nobody is there', async () => {
    const issuer = await Issuer.open('ES256');
    const token = await issuer.sign('ES256');
    await issuer.close();
    const server = await serve(1, ...issuer.option());
    assert.equal(await comes(server, token), 503);
    await server.stop();
  });

  it('a token for one channel and a refresh wait for their key as well', async () => {
    const issuer = await Issuer.open('ES256');
    const config = path.join(FOLDER, 'vip.yaml');
    fs.writeFileSync(config, `
auth: {secrets: [${SECRET_FILE}], jwks: ["${issuer.url}=${issuer.url}/jwks.json"]}
namespaces: [{name: vip, allow: {subscribe: token}}]
`);
    let go;
    issuer.answer = (_, response) => {
      go = () => response.end(JSON.stringify({ keys: issuer.keys.map(k => k.jwk) }));
    };
    const server = await serve(1, '--config', config);
    const peer = await Peer.open(`${server.url}/ws?token=${await own()}`, ['linnet.v1']);
    await peer.json();
    const token = await issuer.sign('ES256', { sub: 'bob', channel: 'vip:1' });
    peer.send({ type: 'subscribe', id: 1, channel: 'vip:1', token });
    peer.send({ type: 'refresh', id: 2, data: { token: await issuer.sign('ES256', { sub: 'bob' }) } });
    peer.send({ type: 'ping', id: 3 });
    for (let i = 0; i < 100 && !go; i++) await sleep(20);
    go();
    for (const re of [1, 2]) {
      const answer = await peer.json();
      assert.deepEqual([answer.type, answer.re], ['ok', re]);
    }
    assert.equal((await peer.json()).type, 'pong');
    await peer.close();
    await server.stop();
    await issuer.close();
  });

  it('what /metrics says of it', async () => {
    const issuer = await Issuer.open('ES256', 'EdDSA');
    const key = `lk_${crypto.randomBytes(16).toString('hex')}`;
    const keys = path.join(FOLDER, 'ops.key');
    fs.writeFileSync(keys, `${key}\n`, { mode: 0o600 });
    const server = await serve(2, ...issuer.option(), '--key-file', keys);
    assert.equal(await comes(server, await issuer.sign('ES256')), 101);
    const answer = await fetch(`${server.http}/metrics`, { headers: { Authorization: `Bearer ${key}` } });
    const text = await answer.text();
    parse(text);
    assert.match(text, new RegExp(`linnet_jwks_fetches_total\\{issuer="${issuer.url}"\\} 1\n`));
    assert.match(text, /linnet_jwks_failures_total\{[^}]*\} 0\n/);
    assert.match(text, /linnet_jwks_keys\{[^}]*\} 2\n/);
    assert.match(text, /linnet_jwks_age_seconds\{[^}]*\} \d\n/);
    await server.stop();
    await issuer.close();
  });

  for (const [why, args, words] of [
    ['without an issuer', ['--jwt-jwks-url', 'https://a.example/k'], /for whose tokens/],
    ['of somebody who is not let in', ['--jwt-issuer', 'b', '--jwt-jwks-url', 'a=https://a.example/k'], /not among/],
    ['in the clear from far away', ['--jwt-jwks-url', 'a=http://a.example/k'], /https/],
    ['for secrets', ['--jwt-jwks-url', 'HS256:a=https://a.example/k'], /none for public keys/],
  ]) {
    it(`serve does not start with keys ${why}`, async () => {
      const done = await linnet(['serve', '--listen', '127.0.0.1:0', ...args]);
      assert.equal(done.code, 2, done.stderr);
      assert.match(done.stderr, words);
    });
  }
});
