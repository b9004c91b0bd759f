// T107: what TLS allows and nobody does, with openssl s_client and Node's own TLS; a canary is served all the while.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { run, start } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

describe('T107 TLS oddities', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-odd-'));
  const cert = path.join(folder, 'cert.pem'), key = path.join(folder, 'key.pem');
  let server, canary;
  before(async () => {
    const made = run('openssl', ['req', '-x509', '-newkey', 'ec',
      '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', 2,
      '-subj', '/CN=standard', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert]);
    assert.equal(made.status, 0, made.stderr);
    server = await start(['serve', '--listen', '127.0.0.1:0', '--workers', '1', '--tls-cert', cert, '--tls-key', key]);
    canary = await Peer.open(`${server.url}/ws`, ['linnet.v1'], { ca: fs.readFileSync(cert), servername: 'localhost' });
    await canary.json();
  });
  after(async () => {
    await canary.close();
    await server.stop();
    fs.rmSync(folder, { recursive: true });
  });
  const alive = async () => {
    const from = Date.now();
    canary.send({ type: 'ping', id: 1 });
    assert.equal((await canary.json()).type, 'pong');
    assert.ok(Date.now() - from < 500);
  };
  const client = (...flags) => {
    const done = run('openssl', ['s_client', '-connect', `127.0.0.1:${server.port}`, ...flags],
      { input: '', timeout: 10_000 });
    return done.stdout + done.stderr;
  };
  /** s_client that is spoken to: [text, ms to wait after it], ... Resolves with all it said. */
  const spoken = (flags, lines) => new Promise(resolve => {
    const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${server.port}`, '-crlf', ...flags]);
    let said = '';
    child.stdin.on('error', () => {});
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { said += data; });
    child.on('close', () => resolve(said));
    (async () => {
      await new Promise(done => { setTimeout(done, 500); });
      for (const [line, ms] of lines) {
        child.stdin.write(line);
        await new Promise(done => { setTimeout(done, ms); });
      }
      child.kill();
    })();
  });
  const ASK = 'GET /healthz HTTP/1.1\nHost: localhost\nConnection: close\n\n';

  it('without SNI the standard certificate', async () => {
    assert.match(client('-noservername'), /subject=CN ?= ?standard/);
    await alive();
  });
  it('a name of 255 bytes is nobody we know, and gets the standard one', async () => {
    for (const size of [63, 253, 255]) {
      const name = Array(5).fill('x'.repeat(62)).join('.').slice(0, size).replace(/\.$/, 'y');
      assert.equal(name.length, size);
      assert.match(client('-servername', name), /subject=CN ?= ?standard/);
    }
    await alive();
  });
  it('who speaks only h2 hears so', async () => {
    assert.match(client('-alpn', 'h2'), /alert no application protocol/);
    assert.match(client('-alpn', 'h2,http/1.1'), /ALPN protocol: http\/1\.1/);
    await alive();
  });
  it('TLS 1.1 is refused, and 0-RTT not offered', async () => {
    assert.match(client('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'), /alert protocol version/);
    assert.match(client('-tls1_3'), /Max Early Data: 0|Early data was not sent/);
    await alive();
  });
  it('renegotiation is refused', async () => {
    const said = await spoken(['-tls1_2'], [['R\n', 1_500], [ASK, 1_000]]);
    assert.match(said, /RENEGOTIATING/);
    assert.match(said, /no renegotiation/);
    assert.doesNotMatch(said, /HTTP\/1\.1 200/);
    await alive();
  });
  it('keys may be changed now and then', async () => {
    const said = await spoken(['-tls1_3'], [['k\n', 200], ['K\n', 200], ['k\n', 200], [ASK, 1_000]]);
    assert.match(said, /KEYUPDATE/);
    assert.match(said, /HTTP\/1\.1 200/);
    await alive();
  });
  it('a request in records of one byte', async () => {
    const ca = fs.readFileSync(cert);
    const socket = tls.connect({ port: server.port, host: '127.0.0.1', ca, servername: 'localhost' });
    await new Promise((done, fail) => { socket.once('secureConnect', done).once('error', fail); });
    socket.setNoDelay(true);
    let said = '';
    socket.on('data', data => { said += data; });
    const ended = new Promise(done => { socket.once('close', done); });
    for (const byte of ASK.replaceAll('\n', '\r\n')) await new Promise(done => { socket.write(byte, done); });
    await ended;
    assert.match(said, /^HTTP\/1\.1 200 OK/);
    await alive();
  });
});
