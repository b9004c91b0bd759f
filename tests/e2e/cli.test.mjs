// The face of the command: help, words for wrong use, exit codes.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { BINARY, Program, ROOT, linnet, run, serve, until } from './lib/linnet.mjs';

const VERBS = ['serve', 'config', 'echo', 'connect', 'sub', 'pub', 'history', 'bench', 'version'];
const ESCAPE = /\x1b\[/;

describe('help', () => {
  it('of the command names every verb and goes to stdout', async () => {
    const { code, stdout, stderr } = await linnet(['--help']);
    assert.equal(code, 0);
    assert.equal(stderr, '');
    for (const verb of VERBS) assert.match(stdout, new RegExp(`\\b${verb}\\b`));
  });

  for (const verb of VERBS) {
    it(`of ${verb}`, async () => {
      const { code, stdout, stderr } = await linnet([verb, '--help']);
      assert.equal(code, 0);
      assert.equal(stderr, '');
      assert.match(stdout, new RegExp(`linnet ${verb}`));
      assert.doesNotMatch(stdout, ESCAPE, 'colours only on a terminal');
      for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
    });
  }

  it('of a verb, asked for as a verb', async () => {
    const { code, stdout } = await linnet(['help', 'serve']);
    assert.equal(code, 0);
    assert.equal(stdout, (await linnet(['serve', '--help'])).stdout);
    assert.equal((await linnet(['help', 'srve'])).code, 2);
  });

  it('without a verb is short, on stderr, and a usage error', async () => {
    const { code, stdout, stderr } = await linnet([]);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /--help/);
  });
});

describe('version', () => {
  const version = fs.readFileSync(path.join(ROOT, 'meson.build'), 'utf8')
    .match(/version: '([^']+)'/)[1];
  for (const words of [['version'], ['--version']]) {
    it(words.join(' '), async () => {
      const { code, stdout } = await linnet(words);
      assert.equal(code, 0);
      assert.ok(stdout.split('\n')[0].includes(version), stdout);
    });
  }
});

describe('wrong use leaves with 2 and says what would be right', () => {
  for (const [why, args, words] of [
    ['a verb that is none', ['srve'], /srve/],
    ['a flag that is none', ['serve', '--lisen', ':0'], /--lisen/],
    ['a flag without its value', ['echo', '--listen'], /--listen/],
    ['an address without a port', ['echo', '--listen', '127.0.0.1'], /HOST:PORT|port/i],
    ['a port over 65535', ['echo', '--listen', '127.0.0.1:70000'], /70000|port/i],
    ['a number that is a word', ['echo', '--listen', ':0', '--workers', 'many'], /many|number/i],
    ['no workers at all', ['echo', '--listen', ':0', '--workers', '0'], /workers/i],
    ['a negative limit', ['echo', '--listen', ':0', '--max-message', '-1'], /max-message|-1/],
    ['a window of 8 bits', ['echo', '--listen', ':0', '--deflate', '--window-bits', '8'], /9.*15/],
    ['a deflate that is none', ['echo', '--listen', ':0', '--deflate=zip'], /takeover/],
    ['an address of http', ['connect', 'http://127.0.0.1/'], /ws:/],
    ['no address to connect to', ['connect'], /URL/],
    ['no channel to listen to', ['sub'], /CHANNEL/i],
    ['no channel to read', ['history'], /CHANNEL/i],
    ['a position that is none', ['history', '--since', '17', 'news'], /EPOCH:OFFSET/i],
    ['no channel to publish to', ['pub'], /CHANNEL/i],
    ['bench of nothing', ['bench'], /echo/],
    ['a bench that is none', ['bench', 'race', 'ws://127.0.0.1:1/'], /race|fanout/],
    ['a certificate without a key', ['echo', '--listen', ':0', '--tls-cert', 'x.pem'], /--tls-key/],
  ]) {
    it(why, async () => {
      const { code, stdout, stderr } = await linnet(args);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, words);
      assert.doesNotMatch(stderr, ESCAPE);
    });
  }
});

describe('failure leaves with 1 and a sentence', () => {
  for (const [why, args, words] of [
    ['nobody listens there', ['connect', 'ws://127.0.0.1:1/'], /refused/i],
    ['nobody listens there, sub', ['sub', '--url', 'ws://127.0.0.1:1/ws', 'news'], /refused/i],
    ['nobody listens there, pub', ['pub', '--url', 'ws://127.0.0.1:1/ws', 'news', '1'], /refused/i],
    ['nobody listens there, bench', ['bench', 'echo', '--count', '1', 'ws://127.0.0.1:1/'], /refused/i],
    ['a name that is none', ['connect', 'ws://no-such-host.invalid/'], /no-such-host\.invalid/],
    ['a certificate that is not there',
      ['echo', '--listen', ':0', '--tls-cert', '/no/cert.pem', '--tls-key', '/no/key.pem'],
      /\/no\/cert\.pem: No such file/],
    ['an address that is not ours', ['echo', '--listen', '192.0.2.1:0'], /192\.0\.2\.1/],
  ]) {
    it(why, async () => {
      const { code, stdout, stderr } = await linnet(args, { ms: 20_000 });
      assert.equal(code, 1, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, words);
    });
  }
});

describe('standard descriptors that are closed, or full', () => {
  const sh = (words, ...args) =>
    run('sh', ['-c', `exec "$0" "$@" ${words}`, BINARY, ...args], { timeout: 10_000 });

  for (const where of ['>&-', '>/dev/full']) {
    for (const args of [['version'], ['--help'], ['sub', '--help']]) {
      it(`${args.join(' ')} ${where}`, () => {
        const { status, stderr } = sh(where, ...args);
        assert.equal(status, 1);
        assert.match(stderr, /output/);
      });
    }

    it(`sub ${where} leaves at the first message`, async () => {
      const server = await serve(1);
      const sub = new Program('sh',
        ['-c', `exec "$0" "$@" ${where}`, BINARY, 'sub', '--url', `${server.url}/ws`, 'news']);
      await sub.says(/subscribed/, { stream: 'stderr' });
      assert.equal((await linnet(['pub', '--url', `${server.url}/ws`, 'news', '1'])).code, 0);
      const { code, stderr } = await sub.exit();
      assert.equal(code, 1);
      assert.match(stderr, /output/);
      await server.stop();
    });
  }

  it('input that is closed, or cannot be read', async () => {
    const server = await serve(1);
    for (const where of ['<&-', '</']) {
      for (const args of [['connect', `${server.url}/ws`], ['pub', '--url', `${server.url}/ws`, 'c']]) {
        const { status, stderr } = sh(where, ...args);
        assert.equal(status, 1, stderr);
        assert.match(stderr, /cannot read the input: (Bad file|Is a dir)/);
      }
    }
    await server.stop();
  });

  it('a server gives none of them to a connection', async () => {
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-')), 'socket');
    const server = new Program('sh', ['-c', 'exec "$0" "$@" <&- >&- 2>&-', BINARY, 'serve',
      '--listen', `unix:${file}`]);
    await until(() => fs.existsSync(file), 'the socket');
    for (const fd of [0, 1, 2]) {
      assert.equal(fs.readlinkSync(`/proc/${server.pid}/fd/${fd}`), '/dev/null');
    }
    assert.match(run('curl', ['-s', '--unix-socket', file, 'http://x/healthz']).stdout, /ok/);
    await server.stop();
  });
});

describe('INT leaves with 130', () => {
  for (const verb of ['connect', 'sub']) {
    it(verb, async () => {
      const server = await serve(1);
      const args = verb === 'connect' ? [`${server.url}/ws`] : ['--url', `${server.url}/ws`, 'news'];
      const program = new Program(BINARY, [verb, ...args]);
      await program.says(/connected|subscribed/i, { stream: 'stderr' });
      program.kill('SIGINT');
      assert.equal((await program.exit()).code, 130);
      await server.stop();
    });
  }
});

describe('bench', () => {
  it('fanout keeps to what serve takes from one connection, for longer than its burst', async () => {
    const server = await serve(1);
    const { code, stdout, stderr } = await linnet(['bench', 'fanout', '--native', '--connections', '2',
      '--warmup', '0', '--count', '500', '--json', `${server.url}/ws`], { ms: 20_000 });
    assert.equal(code, 0, stderr);
    assert.ok(JSON.parse(stdout).messages >= 500, stdout);
    await server.stop();
  });
});
