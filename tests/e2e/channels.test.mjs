// `linnet sub` and `linnet pub` on the channels of `linnet serve`, as one pipes them in a shell.
import assert from 'node:assert/strict';
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
