// `linnet sub`, `pub`, `history`, `presence` and `call` against `linnet serve`, as one uses them in a shell.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BINARY, Program, echo, linnet, serve } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

for (const workers of [1, 4]) {
  describe(`sub and pub with ${workers} workers`, () => {
    let server, url;
    before(async () => {
      server = await serve(workers);
      url = `${server.url}/ws`;
    });
    after(() => server.stop());

    const pub = (...args) => linnet(['pub', '--url', url, ...args]);
    async function sub(...args) {
      const program = new Program(BINARY, ['sub', '--url', url, ...args]);
      await program.says(/subscribed/i, { stream: 'stderr' });
      return program;
    }

    it('what pub sends, sub prints, and --count ends it', async () => {
      const reader = await sub('--count', 2, 'news');
      assert.equal((await pub('news', '{"n":1}')).code, 0);
      assert.equal((await pub('news', '{"n":2}')).code, 0);
      const { code, stdout } = await reader.exit();
      assert.equal(code, 0);
      assert.deepEqual(stdout.trimEnd().split('\n').map(line => JSON.parse(line)), [{ n: 1 }, { n: 2 }]);
    });

    it('--json prints whole messages with their channel', async () => {
      const reader = await sub('--json', '--count', 2, 'a', 'b');
      await pub('a', '[1,"é"]');
      await pub('b', '"text"');
      const { stdout } = await reader.exit();
      const seen = stdout.trimEnd().split('\n').map(line => JSON.parse(line));
      assert.deepEqual(seen.map(m => [m.channel, m.data]).sort(), [['a', [1, 'é']], ['b', 'text']]);
    });

    it('history prints what a channel keeps, and where it stands', async () => {
      const history = (...args) => linnet(['history', '--url', url, ...args]);
      const empty = await history('kept');
      assert.deepEqual([empty.code, empty.stdout], [0, ''], empty.stderr);
      const done = await linnet(['pub', '--url', url, 'kept', '-'], { input: '1\n{"n":2}\n"three"\n' });
      assert.equal(done.code, 0, done.stderr);
      const all = await history('kept');
      assert.deepEqual([all.code, all.stdout], [0, '1\n{"n":2}\n"three"\n'], all.stderr);
      const [, epoch] = /kept stands at ([0-9a-f]{16}):3\n/.exec(all.stderr);
      assert.equal((await history('--reverse', '--limit', 1, 'kept')).stdout, '"three"\n');
      const rest = await history('--json', '--since', `${epoch}:1`, 'kept');
      assert.deepEqual(rest.stdout.trimEnd().split('\n').map(line => JSON.parse(line).offset), [2, 3]);
      const gone = await history('--since', `0000000000000001:1`, 'kept');
      assert.equal(gone.code, 1);
      assert.match(gone.stderr, /kept: "unrecoverable position" \(112\)/);
    });

    describe('presence', () => {
      const presence = (...args) => linnet(['presence', '--url', url, ...args]);
      const enter = async (channel, info) => {
        const peer = await Peer.open(url);
        peer.send({ type: 'subscribe', id: 1, channel });
        assert.equal((await peer.json()).type, 'ok');
        if (info !== undefined) {
          peer.send({ type: 'presence', id: 2, channel, data: info });
          assert.equal((await peer.json()).type, 'ok');
        }
        return peer;
      };

      it('prints who is in a channel, by words and as JSON, and how many', async () => {
        const empty = await presence('room.empty');
        assert.deepEqual([empty.code, empty.stdout], [0, ''], empty.stderr);
        assert.match(empty.stderr, /room\.empty: 0 connections, 0 users\n/);
        const ann = await enter('room.a', { name: 'Ann\u001b[31m' });
        const bob = await enter('room.a');
        const words = await presence('room.a');
        assert.equal(words.code, 0, words.stderr);
        assert.match(words.stdout, /^[0-9a-f]{16}\t-\t\{"name":"Ann\\u001b\[31m"\}\n[0-9a-f]{16}\t-\t\n$/);
        assert.match(words.stderr, /room\.a: 2 connections, 0 users\n/);
        const json = (await presence('--json', 'room.a')).stdout.trimEnd().split('\n').map(line => JSON.parse(line));
        assert.deepEqual(json.map(m => m.info), [{ name: 'Ann\u001b[31m' }, undefined]);
        assert.equal((await presence('--counts', 'room.a')).stdout, '2 connections, 0 users\n');
        assert.deepEqual(JSON.parse((await presence('--counts', '--json', 'room.a')).stdout), { count: 2, users: 0 });
        await Promise.all([ann.close(), bob.close()]);
      });

      it('--watch prints who is here, comes and goes, and not itself', async () => {
        const first = await enter('room.w', { name: 'first' });
        const watch = new Program(BINARY, ['presence', '--url', url, '--watch', '--json', '--count', 3, 'room.w']);
        await watch.says(/following/, { stream: 'stderr' });
        const second = await enter('room.w');
        await watch.says(/join/);
        second.send({ type: 'presence', channel: 'room.w', data: 'changed' });
        await watch.says(/changed/);
        await first.close();
        const { code, stdout, stderr } = await watch.exit();
        assert.equal(code, 0, stderr);
        const seen = stdout.trimEnd().split('\n').map(line => JSON.parse(line));
        assert.deepEqual(seen.map(e => [e.event, e.member.info]),
          [['here', { name: 'first' }], ['join', undefined], ['join', 'changed'], ['leave', undefined]]);
        assert.equal(seen[3].member.client, seen[0].member.client);
        await second.close();
      });

      it('reads lists that take several pages, of members who say much about themselves', async () => {
        const info = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`k${n}`, n]));
        const peers = await Promise.all(Array.from({ length: 1005 }, (_, n) =>
          enter('room.crowd', n < 20 ? info : undefined)));
        const { code, stdout, stderr } = await presence('--json', 'room.crowd');
        assert.equal(code, 0, stderr);
        assert.match(stderr, /1005 connections/);
        const members = stdout.trimEnd().split('\n').map(line => JSON.parse(line));
        assert.equal(new Set(members.map(m => m.client)).size, 1005);
        assert.equal(members.filter(m => m.info?.k299 === 299).length, 20);
        peers.forEach(peer => peer.ws.terminate());
      });

      it('what cannot be shown leaves with 1, wrong use with 2', async () => {
        const system = await presence('$inner');
        assert.equal(system.code, 1);
        assert.match(system.stderr, /\$inner: ".+" \(10\d\)/);
        for (const args of [[], ['a', 'b'], ['--counts', '--watch', 'a'], ['--count', 2, 'a']])
          assert.equal((await presence(...args)).code, 2);
      });
    });

    it('pub - publishes each line of its input in order', async () => {
      const reader = await sub('--json', '--count', 100, 'lines');
      const lines = Array.from({ length: 100 }, (_, n) => JSON.stringify({ n }));
      const done = await linnet(['pub', '--url', url, 'lines', '-'], { input: lines.join('\n') + '\n' });
      assert.equal(done.code, 0, done.stderr);
      const { stdout } = await reader.exit();
      assert.deepEqual(stdout.trimEnd().split('\n').map(line => JSON.parse(line).data.n),
        lines.map((_, n) => n));
    });

    it('lines over the rate of the server all arrive, in order', async () => {
      const reader = await sub('--count', 300, 'patience');
      const lines = Array.from({ length: 300 }, (_, n) => String(n)).join('\n');
      const done = await linnet(['pub', '--url', url, 'patience'], { input: lines });
      assert.equal(done.code, 0, done.stderr);
      assert.equal((await reader.exit()).stdout, lines + '\n');
    });

    it('several channels are told apart, and a message stays on one line', async () => {
      const reader = await sub('--count', 2, 'left', 'right');
      await pub('left', '{\n  "a": 1,\r\n  "b": "x\\ny"\n}');
      await pub('--event', 'moved', '--', 'right', '-1');
      assert.equal((await reader.exit()).stdout, 'left\t{   "a": 1,   "b": "x\\ny" }\nright\t-1\n');
    });

    it('pub --count says it so often', async () => {
      const reader = await sub('--count', 3, 'often');
      assert.equal((await pub('--count', 3, 'often', '"hi"')).code, 0);
      assert.equal((await reader.exit()).stdout, '"hi"\n"hi"\n"hi"\n');
    });

    it('pub of what is too long, or no UTF-8, leaves with 1', async () => {
      const long = await pub('big', 'x'.repeat(100_000));
      assert.equal(long.code, 1);
      assert.match(long.stderr, /65536|limit/);
      const bad = await linnet(['pub', '--url', url, 'bad', '-'], { input: Buffer.from([0xff, 0x0a]) });
      assert.equal(bad.code, 1);
      assert.match(bad.stderr, /UTF-8/);
    });

    it('a server that speaks something else is named as such', async () => {
      const other = await echo(1);
      for (const args of [['sub', 'news'], ['pub', 'news', '1']]) {
        const { code, stderr } = await linnet([args[0], '--url', other.url, ...args.slice(1)]);
        assert.equal(code, 1);
        assert.match(stderr, /linnet\.v1/);
      }
      await other.stop();
    });

    it('a word that is no JSON is published as a string', async () => {
      const reader = await sub('--json', '--count', 1, 'words');
      assert.equal((await pub('words', 'plain words')).code, 0);
      assert.equal(JSON.parse((await reader.exit()).stdout).data, 'plain words');
    });

    it('sub hears what any other client publishes', async () => {
      const reader = await sub('--json', '--count', 1, 'foreign');
      const peer = await Peer.open(url);
      peer.send({ type: 'publish', channel: 'foreign', data: { from: 'ws' } });
      assert.deepEqual(JSON.parse((await reader.exit()).stdout).data, { from: 'ws' });
      await peer.close();
    });

    it('a channel that may not be named leaves with 1', async () => {
      for (const channel of ['system', '$inner', 'with space', 'x'.repeat(256)]) {
        const { code, stderr } = await pub(channel, '1');
        assert.equal(code, 1, `${channel}: ${stderr}`);
        assert.notEqual(stderr, '');
      }
    });

    it('sub leaves with 1 and says so when the server goes away', async () => {
      const other = await serve(workers);
      const reader = new Program(BINARY, ['sub', '--url', `${other.url}/ws`, 'news']);
      await reader.says(/subscribed/i, { stream: 'stderr' });
      await other.stop();
      const { code, stderr } = await reader.exit();
      assert.equal(code, 1);
      assert.match(stderr, /1012/);
    });
  });
}

describe('call', () => {
  let backend, folder, server, url;
  const answer = { add: body => ({ data: body.data[0] + body.data[1] }), echo: body => ({ data: body }),
    nothing: () => ({}), no: () => ({ error: { code: 1042, message: 'not \u001b[31mtoday' } }) };
  before(async () => {
    backend = http.createServer(async (request, response) => {
      let text = '';
      for await (const part of request) text += part;
      const body = JSON.parse(text);
      response.end(JSON.stringify(answer[body.event]?.(body) ?? {}));
    });
    await new Promise(resolve => backend.listen(0, '127.0.0.1', resolve));
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-call-'));
    fs.writeFileSync(path.join(folder, 'key'), 'a key that is long enough\n', { mode: 0o600 });
    server = await serve(1, '--webhook-call', `http://127.0.0.1:${backend.address().port}/`,
      '--webhook-key', `file:${folder}/key`);
    url = `${server.url}/ws`;
  });
  after(async () => {
    await server.stop();
    backend.closeAllConnections();
    backend.close();
    fs.rmSync(folder, { recursive: true });
  });
  const call = (...args) => linnet(['call', '--url', url, ...args]);

  it('prints the answer of the backend', async () => {
    const sum = await call('add', '[1,2]');
    assert.deepEqual([sum.code, sum.stdout], [0, '3\n'], sum.stderr);
    assert.deepEqual(JSON.parse((await call('--json', 'add', '[1,2]')).stdout), { type: 'ok', re: 1, data: 3 });
    const said = JSON.parse((await call('--channel', 'room', 'echo', 'plain words')).stdout);
    assert.deepEqual([said.event, said.channel, said.data], ['echo', 'room', 'plain words']);
    assert.equal(JSON.parse((await call('echo')).stdout).data ?? null, null);
    assert.equal((await call('nothing')).stdout, 'null\n');
  });

  it('- is one call per line of the input, answered in their order', async () => {
    const lines = Array.from({ length: 100 }, (_, n) => `[${n},1]`).join('\n');
    const done = await linnet(['call', '--url', url, 'add', '-'], { input: lines });
    assert.equal(done.code, 0, done.stderr);
    assert.equal(done.stdout, Array.from({ length: 100 }, (_, n) => `${n + 1}\n`).join(''));
  });

  it('a refusal is told, without what would colour the terminal, and leaves with 1', async () => {
    const { code, stdout, stderr } = await call('no', '1');
    assert.deepEqual([code, stdout], [1, '']);
    assert.equal(stderr, 'linnet: no: "not \\u001b[31mtoday" (1042)\n');
  });

  it('where nobody answers calls it says so, and wrong use leaves with 2', async () => {
    const other = await serve(1);
    const { code, stderr } = await linnet(['call', '--url', `${other.url}/ws`, 'add', '1']);
    assert.equal(code, 1);
    assert.match(stderr, /add: ".+" \(10\d\)/);
    await other.stop();
    for (const args of [[], ['a', '1', '2']]) assert.equal((await call(...args)).code, 2);
  });
});
