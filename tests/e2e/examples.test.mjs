// Each example does what its first comment promises.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { Program, ROOT, run, start, until } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

const example = name => path.join(ROOT, 'build/release/examples', name);
const open = (name, ...args) =>
  start(args.length ? args : ['--listen', '127.0.0.1:0'], { program: example(name) });

async function end(server) {
  server.kill();
  await server.exit();
}

describe('examples', () => {
  it('are each under 120 lines', () => {
    const folder = path.join(ROOT, 'examples');
    for (const name of fs.readdirSync(folder).filter(n => n.endsWith('.c'))) {
      const lines = fs.readFileSync(path.join(folder, name), 'utf8').split('\n').length - 1;
      assert.ok(lines < 120, `${name} has ${lines} lines`);
    }
  });

  it('echo echoes', async () => {
    const server = await open('echo');
    const peer = await Peer.open(server.url);
    for (const message of ['hello', Buffer.from([1, 2, 3])]) {
      peer.send(message);
      assert.deepEqual(await peer.next(), message);
    }
    await peer.close();
    await end(server);
  });

  it('chat: all in a room hear, nobody in another', async () => {
    const server = await open('chat');
    const [ann, bob, eve] = await Promise.all(['tea', 'tea', 'coffee']
      .map(room => Peer.open(`${server.url}/room/${room}`)));
    const heard = async (peer, text) => {
      for (;;) if ((await peer.next()).includes(text)) return;
    };
    for (const peer of [ann, bob, eve]) { // who hears what it says has joined
      peer.send('hello');
      await heard(peer, 'hello');
    }
    ann.send('sugar?');
    await Promise.all([heard(ann, 'sugar?'), heard(bob, 'sugar?')]);
    eve.send('black');
    await heard(eve, 'black');
    assert.ok(!ann.inbox.concat(bob.inbox).some(m => m.includes('black')));
    await Promise.all([ann, bob, eve].map(p => p.close()));
    await end(server);
  });

  it('self_test: a minute passes in no time', () => {
    const begin = process.hrtime.bigint();
    const done = run(example('self_test'), []);
    assert.equal(done.status, 0, done.stdout);
    assert.match(done.stdout, /^61 s went by$/m);
    assert.ok(process.hrtime.bigint() - begin < 30_000_000_000n, 'no minute passed');
  });

  it('plain_text: a welcome, an answer, all, and all but the sender', async () => {
    const server = await open('plain_text');
    const [ann, bob] = [await Peer.open(server.url), await Peer.open(server.url)];
    for (const peer of [ann, bob]) assert.equal(await peer.next(), 'Welcome to the server!');
    ann.send('Hello');
    for (const text of ['You said: Hello', 'Hello']) assert.equal(await ann.next(), text);
    for (const text of ['Hello', 'Hello']) assert.equal(await bob.next(), text);
    bob.send(Buffer.from([1, 2]));
    assert.deepEqual(await ann.next(), Buffer.from([1, 2]));
    assert.deepEqual(await ann.next(), Buffer.from([1, 2]));
    assert.deepEqual(await bob.next(), Buffer.from([1, 2]));
    await ann.close();
    bob.send('');
    assert.equal(await bob.next(), 'You said: ');
    assert.equal(await bob.next(), '');
    server.kill();
    assert.equal((await bob.closing()).code, 1001);
    await server.exit();
  });

  it('sans_io prints what each side saw', () => {
    const { status, stdout } = run(example('sans_io'), []);
    assert.equal(status, 0);
    assert.match(stdout, /asked for/);
    assert.match(stdout, /: open/);
    assert.match(stdout, /got "/);
  });

  it('embed_in_poll: lines on stdin reach everybody', async () => {
    const server = await open('embed_in_poll');
    const peers = await Promise.all([1, 2, 3].map(() => Peer.open(server.url)));
    // It learns of each client in its own time; what it hears back proves that it has.
    server.write('from the terminal\n');
    for (const peer of peers) {
      await until(async () => {
        const got = await peer.next(200).catch(() => { server.write('from the terminal\n'); return ''; });
        return got.includes('from the terminal');
      }, 'the line');
    }
    await Promise.all(peers.map(p => p.close()));
    await end(server);
  });

  it('adopt_socket: one port, two servers', async () => {
    const server = new Program(example('adopt_socket'), ['0']);
    const [, base] = await server.says(/^listening on (\S+)$/m);
    const page = run('curl', ['-s', '-i', '--max-time', 5, base]).stdout;
    assert.match(page, /^HTTP\/1\.1 200/);
    const peer = await Peer.open(`${base.replace('http', 'ws')}/live`);
    peer.send('handed over');
    assert.ok((await peer.next()).includes('handed over'));
    await peer.close();
    await end(server);
  });

  it('deferred_auth: wren is greeted, a cuckoo is refused, and nobody waits for them', async () => {
    const server = await open('deferred_auth');
    const wren = await Peer.open(`${server.url}/?token=wren`);
    assert.match(await wren.next(), /wren/);
    await wren.close();
    await assert.rejects(Peer.open(`${server.url}/?token=cuckoo`), { status: 401 });
    const both = await Promise.all([1, 2, 3, 4].map(() => Peer.open(`${server.url}/?token=wren`)));
    await Promise.all(both.map(p => p.close()));
    await end(server);
  });

  it('ask_client: who asks over HTTP has the answer of a client, on whatever worker', async () => {
    const server = await open('ask_client', '--listen', '127.0.0.1:0', '--workers', '4');
    const http = server.url.replace('ws', 'http');
    const ask = async name => {
      const response = await fetch(`${http}/ask?client=${name}`);
      return [response.status, await response.text()];
    };
    const lamps = await Promise.all(Array.from({ length: 12 }, (_, i) =>
      Peer.open(`${server.url}/ws/lamp${i}`, [i % 2 ? 'linnet.v1' : 'linnet.rpc'])));
    for (const [i, lamp] of lamps.entries()) {
      if (i % 2) assert.equal((await lamp.json()).type, 'welcome');
      const answer = ask(`lamp${i}`);
      const call = await lamp.json();
      if (i % 2) {
        assert.deepEqual(call, { type: 'call', id: 1, event: 'state', data: null });
        lamp.send({ type: 'reply', re: call.id, data: { lamp: i } });
      } else {
        assert.deepEqual(call, { id: 'c:1', type: 'command', timestamp: call.timestamp,
          payload: { action: 'state', parameters: null } });
        lamp.send({ id: 'mine', type: 'response', requestId: call.id, payload: { lamp: i } });
      }
      assert.deepEqual(await answer, [200, `{"lamp":${i}}`]);
    }
    const refused = ask('lamp1');
    const { id } = await lamps[1].json();
    lamps[1].send({ type: 'reply', re: id, error: { message: 'broken' } });
    lamps[1].send({ type: 'reply', re: id, data: 'twice' });
    assert.deepEqual(await refused, [409, 'broken']);
    assert.equal((await ask('lamp3'))[0], 504); // it says nothing for two seconds
    assert.equal((await ask('nobody'))[0], 404);
    assert.equal((await ask(''))[0], 400);
    await Promise.all(lamps.map(p => p.close()));
    await end(server);
  });

  it('client dials, says something and prints the answer', async () => {
    const server = await open('echo');
    const talk = new Program(example('client'), [server.url, 'hello there']);
    const { code, stdout } = await talk.exit();
    assert.equal(code, 0);
    assert.match(stdout, /hello there/);
    await end(server);
    const alone = spawnSync(example('client'), ['ws://127.0.0.1:1/', 'anybody?'], { encoding: 'utf8' });
    assert.equal(alone.status, 1);
    assert.notEqual(alone.stderr, '');
  });

  it('bench_server: /echo, /echoz, /echozs and /ps', async () => {
    const server = await open('bench_server', '--listen', '127.0.0.1:0', '--workers', '2');
    for (const [at, deflate] of [['/echo', false], ['/echoz', true], ['/echozs', true]]) {
      const peer = await Peer.open(server.url + at, [], { perMessageDeflate: { threshold: 0 } });
      assert.equal(peer.ws.extensions.includes('permessage-deflate'), deflate);
      for (const message of ['one', 'x'.repeat(20_000), 'one']) {
        peer.send(message);
        assert.equal(await peer.next(), message);
      }
      await peer.close();
    }
    const [a, b] = await Promise.all([1, 2].map(() => Peer.open(`${server.url}/ps`)));
    a.send('+x,y');
    a.send('=x\nown');
    assert.equal(await a.next(), 'own');
    await until(async () => {
      b.send('=y\nforeign\nlines');
      return await a.next(200).catch(() => '') === 'foreign\nlines';
    }, 'a foreign publication');
    a.send('?');
    assert.equal((await a.closing()).code, 1008);
    await b.close();
    await end(server);
  });
});
