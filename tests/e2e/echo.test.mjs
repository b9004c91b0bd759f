// `linnet echo` against npm's ws: what goes in comes out, in every form a client can choose.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { BINARY, Program, echo } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

const MESSAGES = [
  ['an empty text', ''],
  ['a short text', 'hello'],
  ['text of all lengths of UTF-8', 'aé€𐍈 '.repeat(50)],
  ['125 bytes, the last 7-bit length', 'x'.repeat(125)],
  ['126 bytes, the first 16-bit length', 'x'.repeat(126)],
  ['65535 bytes', 'y'.repeat(65_535)],
  ['65536 bytes, the first 64-bit length', 'z'.repeat(65_536)],
  ['a megabyte of non-ASCII text', 'ü'.repeat(524_288)],
  ['empty binary', Buffer.alloc(0)],
  ['binary of every byte', Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
  ['three megabytes of binary', Buffer.alloc(3 << 20, 'linnet')],
];
const LARGE = ['--max-message', 4 << 20];

const DEFLATE = [
  ['no deflate', [], false],
  ['deflate offered, not served', [], true],
  ['deflate', ['--deflate'], true],
  ['deflate with takeover', ['--deflate=takeover'], true],
  ['deflate without takeover', ['--deflate=no-takeover'], {
    serverNoContextTakeover: true, clientNoContextTakeover: true }],
  ['deflate with a window of 9 bits', ['--deflate=takeover', '--window-bits', 9], { clientMaxWindowBits: 10 }],
  ['deflate above a threshold', ['--deflate', '--deflate-threshold', 1024], { threshold: 0 }],
];

for (const workers of [1, 4]) {
  describe(`echo to ws with ${workers} workers`, () => {
    for (const [name, flags, perMessageDeflate] of DEFLATE) {
      describe(name, () => {
        let server;
        before(async () => { server = await echo(workers, ...LARGE, ...flags); });
        after(() => server.stop());

        it('echoes every kind of message, twice over', async () => {
          const peer = await Peer.open(server.url, [], { perMessageDeflate });
          const agreed = peer.ws.extensions.includes('permessage-deflate');
          assert.equal(agreed, flags.length > 0);
          for (const [what, message] of [...MESSAGES, ...MESSAGES]) {
            peer.send(message);
            assert.ok(Buffer.from(await peer.next()).equals(Buffer.from(message)), what);
          }
          assert.equal((await peer.close(1000, 'done')).code, 1000);
        });

        it('echoes what comes in fragments with pings between them', async () => {
          const peer = await Peer.open(server.url, [], { perMessageDeflate });
          const pongs = [];
          peer.ws.on('pong', data => pongs.push(data.toString()));
          peer.ws.send('first ', { fin: false });
          peer.ws.ping('one');
          peer.ws.send('', { fin: false });
          peer.ws.ping('two');
          peer.ws.send('second', { fin: true });
          assert.equal(await peer.next(), 'first second');
          assert.deepEqual(pongs, ['one', 'two']);
          await peer.close();
        });
      });
    }

    describe('many at once', () => {
      let server;
      before(async () => { server = await echo(workers); });
      after(() => server.stop());

      it('keeps 50 clients and their orders apart', async () => {
        const peers = await Promise.all(Array.from({ length: 50 }, () => Peer.open(server.url)));
        for (let n = 0; n < 20; n++) peers.forEach((p, i) => p.send(`${i}:${n}`));
        for (const [i, peer] of peers.entries()) {
          for (let n = 0; n < 20; n++) assert.equal(await peer.next(), `${i}:${n}`);
        }
        await Promise.all(peers.map(p => p.close()));
      });

      it('answers a close with its code', async () => {
        for (const [code, reason] of [[1000, ''], [1001, 'away'], [3000, 'ü'.repeat(60)], [4999, 'x']]) {
          const peer = await Peer.open(server.url);
          assert.equal((await peer.close(code, reason)).code, code);
        }
      });

      it('is not disturbed by a client that vanishes', async () => {
        const kept = await Peer.open(server.url);
        const gone = await Peer.open(server.url);
        gone.ws.send('half a message', { fin: false });
        gone.ws.terminate();
        await gone.closed;
        kept.send('still here');
        assert.equal(await kept.next(), 'still here');
        await kept.close();
      });

      it('refuses a message over its limit with 1009', async () => {
        const peer = await Peer.open(server.url);
        peer.send('x'.repeat(65_537));
        const { code } = await peer.closing();
        assert.equal(code, 1009);
      });
    });
  });
}

describe('the life of linnet echo', () => {
  it('drains at TERM: clients see 1012 and it leaves with 0', async () => {
    const server = await echo(1);
    const peer = await Peer.open(server.url);
    server.kill('SIGTERM');
    assert.equal((await peer.closing()).code, 1012);
    await server.stop();
  });

  it('leaves with 130 at INT', async () => {
    const server = await echo(1);
    server.kill('SIGINT');
    assert.equal((await server.exit()).code, 130);
  });

  it('leaves with 1 and a sentence when the port is taken', async () => {
    const other = net.createServer().listen(0, '127.0.0.1');
    await new Promise(resolve => other.on('listening', resolve));
    const program = new Program(BINARY, ['echo', '--listen', `127.0.0.1:${other.address().port}`]);
    const { code, stdout, stderr } = await program.exit();
    other.close();
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /in use/i);
  });

  it('prints nothing but ready lines on stdout', async () => {
    const server = await echo(4);
    const peer = await Peer.open(server.url);
    await peer.close();
    await server.stop();
    assert.match(server.stdout, /^listening on ws:\/\/127\.0\.0\.1:\d+\n$/);
  });

  it('listens on IPv6', async () => {
    const server = new Program(BINARY, ['echo', '--listen', '[::1]:0']);
    const [, url] = await server.says(/^listening on (ws:\/\/\[::1\]:\d+)$/m);
    const peer = await Peer.open(url);
    peer.send('six');
    assert.equal(await peer.next(), 'six');
    await peer.close();
    await server.stop();
  });
});
