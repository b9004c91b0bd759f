// `linnet serve` itself: defaults, doors, signals.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { BINARY, HERE, PYTHON, Program, linnet, serve, start, until } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

describe('linnet serve starts', () => {
  it('on loopback, and says where things are and what strangers may do', async () => {
    const server = await serve(1);
    assert.match(server.url, /^ws:\/\/127\.0\.0\.1:\d+$/);
    await server.says(/demo\/chat/, { stream: 'stderr' });
    await server.says(/anonymous/i, { stream: 'stderr' });
    await server.stop();
  });

  it('on several addresses at once', async () => {
    const server = await start(['serve', '--listen', '127.0.0.1:0', '--listen', '[::1]:0'], { listeners: 2 });
    for (const url of server.urls) {
      const peer = await Peer.open(`${url}/ws`);
      peer.send({ type: 'ping', id: 1 });
      assert.deepEqual(await peer.json(), { type: 'pong', re: 1 });
      await peer.close();
    }
    await server.stop();
  });

  it('on :PORT, which is loopback', async () => {
    const server = await start(['serve', '--listen', ':0']);
    assert.match(server.url, /^ws:\/\/127\.0\.0\.1:\d+$/);
    await server.stop();
  });

  it('on a Unix socket, and takes the file away when it leaves', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-'));
    const file = path.join(folder, 'door');
    const server = new Program(BINARY, ['serve', '--listen', `unix:${file}`]);
    await server.says(/^listening on \S+$/m);
    const peer = await Peer.open(`ws+unix:${file}:/ws`);
    peer.send({ type: 'ping', id: 'u' });
    assert.deepEqual(await peer.json(), { type: 'pong', re: 'u' });
    await peer.close();
    const body = await new Promise((resolve, reject) => {
      http.get({ socketPath: file, path: '/healthz' }, r => r.on('data', d => resolve(d.toString())))
        .on('error', reject);
    });
    assert.notEqual(body, '');
    await server.stop();
    assert.equal(fs.existsSync(file), false);
    fs.rmSync(folder, { recursive: true });
  });

  for (const workers of [1, 2]) {
    it(`not where another serves, and says so at once, ${workers} workers`, async () => {
      const first = await serve(workers);
      const { code, stdout, stderr } = await linnet(
        ['serve', '--workers', workers, '--listen', `127.0.0.1:${first.port}`], { ms: 1_000 });
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, new RegExp(`127.0.0.1:${first.port} is in use`));
      await first.stop();
    });
  }

  it('on sockets that systemd hands over, and tells it', async () => {
    const manager = new Program(PYTHON, [path.join(HERE, 'peers/manager.py'), BINARY, 'serve', '--workers', 2]);
    const { code, stdout, stderr } = await manager.exit();
    assert.equal(code, 0, stderr);
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      'READY=1', 'HTTP/1.1 200 OK', 'RELOADING=1', 'READY=1', 'STOPPING=1', 'left with 0']);
  });

  it('not on other addresses without a word about access', async () => {
    const { code, stdout, stderr } = await linnet(['serve', '--listen', '0.0.0.0:0']);
    assert.notEqual(code, 0);
    assert.equal(stdout, '');
    assert.match(stderr, /--insecure/);
  });

  it('on other addresses with --insecure', async () => {
    const server = await start(['serve', '--insecure', '--listen', '0.0.0.0:0']);
    const peer = await Peer.open(`ws://127.0.0.1:${server.port}/ws`);
    peer.send({ type: 'ping' });
    assert.equal((await peer.json()).type, 'pong');
    await peer.close();
    await server.stop();
  });
});

describe('linnet serve at the door', () => {
  for (const [why, headers, want] of [
    ['no Origin, as from a program', {}, 101],
    ['its own', { origin: port => `http://127.0.0.1:${port}` }, 101],
    ['another port of localhost', { origin: () => 'http://localhost:3000' }, 101],
    ['a stranger', { origin: () => 'https://evil.example' }, 403],
    ['null', { origin: () => 'null' }, 403],
    ['one that begins like localhost', { origin: () => 'http://localhost.evil.example' }, 403],
    ['one that ends like localhost', { origin: () => 'http://evil-localhost' }, 403],
    ['a file', { origin: () => 'file://' }, 403],
  ]) {
    it(`Origin: ${why} is answered ${want}`, async () => {
      const server = await serve(1);
      const options = headers.origin ? { headers: { Origin: headers.origin(server.port) } } : {};
      const outcome = await Peer.open(`${server.url}/ws`, [], options).then(() => 101, e => e.status);
      assert.equal(outcome, want);
      await server.stop();
    });
  }

  it('--origin lets in whom it names, and nobody else', async () => {
    const server = await serve(1, '--origin', 'https://app.example', '--origin', 'http://b.example:8000');
    for (const [origin, want] of [
      ['https://app.example', 101], ['http://b.example:8000', 101], ['http://app.example', 403],
      ['http://b.example', 403], ['http://localhost:3000', 403], [`http://127.0.0.1:${server.port}`, 101],
    ]) {
      const outcome = await Peer.open(`${server.url}/ws`, [], { headers: { Origin: origin } })
        .then(peer => peer.ws.terminate() ?? 101, e => e.status);
      assert.equal(outcome, want, origin);
    }
    await server.stop();
  });

  it('/healthz and /readyz answer 200; 503 while it drains', async () => {
    const server = await serve(1, '--drain-time', 20);
    const get = at => new Promise((resolve, reject) => {
      http.get(server.http + at, { agent }, r => r.resume().on('end', () => resolve(r.statusCode))).on('error', reject);
    });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    assert.deepEqual([await get('/healthz'), await get('/readyz')], [200, 200]);
    const mute = net.connect(server.port, '127.0.0.1'); // half a head: it keeps the drain from ending
    mute.on('error', () => {}).write('GET /readyz HTTP/1.1\r\nHost: x\r\n');
    await new Promise(resolve => mute.once('connect', resolve));
    await get('/healthz'); // what was sent before has been read
    agent.destroy();
    server.kill('SIGTERM');
    const answer = new Promise(resolve => mute.once('data', data => resolve(data.toString())));
    await until(() => Peer.open(`${server.url}/ws`).then(() => false, () => true), 'the door to shut');
    mute.write('\r\n');
    assert.match(await answer, /^HTTP\/1\.1 503 /);
    mute.destroy();
    await server.stop();
  });

  for (const at of ['/ws', '/', '/ws/anything']) {
    it(`WebSocket at ${at}`, async () => {
      const server = await serve(1);
      const peer = await Peer.open(server.url + at);
      peer.send({ type: 'ping', id: 1 });
      assert.deepEqual(await peer.json(), { type: 'pong', re: 1 });
      await peer.close();
      await server.stop();
    });
  }

  it('chooses the subprotocol it knows', async () => {
    const server = await serve(1);
    const peer = await Peer.open(`${server.url}/ws`, ['unknown.v9', 'linnet.v1']);
    assert.equal(peer.ws.protocol, 'linnet.v1');
    assert.equal((await peer.json()).type, 'welcome');
    await peer.close();
    await server.stop();
  });
});

describe('linnet serve leaves', () => {
  for (const workers of [1, 4]) {
    it(`at TERM: clients see 1012, the door is shut, exit code 0, ${workers} workers`, async () => {
      const server = await serve(workers);
      const peers = await Promise.all(Array.from({ length: 20 }, () => Peer.open(`${server.url}/ws`)));
      server.kill('SIGTERM');
      for (const peer of peers) assert.equal((await peer.closing()).code, 1012);
      await server.stop();
      await assert.rejects(Peer.open(`${server.url}/ws`));
    });
  }

  it('at once at a second TERM, even with a client that does not answer', async () => {
    const server = await serve(1);
    const mute = net.connect(server.port, '127.0.0.1');
    mute.write('GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
      + 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    await new Promise(resolve => mute.once('data', resolve));
    mute.on('error', () => {});
    server.kill('SIGTERM');
    await new Promise(resolve => mute.once('data', resolve)); // its Close frame
    const began = Date.now();
    server.kill('SIGTERM');
    await server.exit({ ms: 3_000 });
    assert.ok(Date.now() - began < 2_000);
    mute.destroy();
  });

  it('with 130 at INT', async () => {
    const server = await serve(1);
    server.kill('SIGINT');
    assert.equal((await server.exit()).code, 130);
  });

  it('keeps no descriptor of the clients that were there', async () => {
    const server = await serve(1);
    const count = () => fs.readdirSync(`/proc/${server.pid}/fd`).length;
    await (await Peer.open(`${server.url}/ws`)).close();
    const before = count();
    const peers = await Promise.all(Array.from({ length: 40 }, () => Peer.open(`${server.url}/ws`)));
    peers.forEach((peer, n) => n % 2 ? peer.ws.terminate() : peer.ws.close(1000));
    await Promise.all(peers.map(peer => peer.closing()));
    await until(() => count() <= before, 'the descriptors to be closed');
    await server.stop();
  });
});
