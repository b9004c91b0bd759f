// `linnet connect` against a server of npm's ws: the client of the library, as a tool.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { BINARY, Program, echo, linnet } from './lib/linnet.mjs';
import { server as wsServer } from './lib/peer.mjs';

const echoing = peer => peer.ws.on('message', (data, binary) => peer.ws.send(data, { binary }));

describe('linnet connect, piped', () => {
  for (const [name, perMessageDeflate, flags] of [
    ['plain', false, []],
    ['deflate', true, ['--deflate']],
    ['deflate refused', false, ['--deflate']],
    ['deflate without takeover', true, ['--deflate=no-takeover']],
    ['deflate with a window of 9 bits', { serverMaxWindowBits: 9 }, ['--deflate', '--window-bits', 9]],
  ]) {
    it(`${name}: each line is a message, and each message a line`, async () => {
      const server = await wsServer({ perMessageDeflate, maxPayload: 1 << 20 }, echoing);
      const lines = ['hello', '', 'ünï ✓ 𐍈', 'x'.repeat(70_000), 'again', 'again'];
      const { code, stdout, stderr } = await linnet(['connect', '--max-message', 1 << 20, ...flags, server.url],
        { input: lines.join('\n') + '\n' });
      assert.equal(code, 0, stderr);
      assert.deepEqual(stdout.replace(/\n$/, '').split('\n'), lines);
      const [peer] = server.peers;
      assert.equal((await peer.closing()).code, 1000);
      const agreed = peer.ws.extensions.includes('permessage-deflate');
      assert.equal(agreed, Boolean(perMessageDeflate) && flags.length > 0);
      await server.stop();
    });
  }

  it('passes 200,000 lines through a server that echoes, in order', async () => {
    const server = await echo(1);
    const lines = Array.from({ length: 200_000 }, (_, n) => `line ${n}`).join('\n') + '\n';
    const { code, stdout, stderr } = await linnet(['connect', server.url], { input: lines, ms: 30_000 });
    assert.equal(code, 0, stderr);
    assert.equal(stdout === lines, true);
    await server.stop();
  });

  it('prints what comes after its own end of input, until the server closes', async () => {
    const server = await wsServer({}, peer => {
      peer.ws.on('message', () => {
        peer.ws.send('one');
        peer.ws.send('two');
      });
    });
    const { code, stdout } = await linnet(['connect', server.url], { input: 'go\n' });
    assert.equal(code, 0);
    assert.equal(stdout, 'one\ntwo\n');
    await server.stop();
  });

  it('a last line without a newline is a message too', async () => {
    const server = await wsServer({}, echoing);
    const { stdout } = await linnet(['connect', server.url], { input: 'no newline' });
    assert.equal(stdout, 'no newline\n');
    await server.stop();
  });

  it('leaves when the server closes first, and tells code and reason', async () => {
    const server = await wsServer({}, peer => peer.ws.close(4001, 'not today'));
    const program = new Program(BINARY, ['connect', server.url]);
    const { stderr } = await program.exit();
    assert.match(stderr, /4001/);
    assert.match(stderr, /not today/);
    await server.stop();
  });

  it('--echo returns every message, text and binary', async () => {
    const server = await wsServer();
    const program = new Program(BINARY, ['connect', '--echo', '--max-message', 1 << 20, server.url]);
    const peer = await server.arrival();
    for (const message of ['', 'text', Buffer.from([0, 255, 1]), Buffer.alloc(500_000, 7), 'ü']) {
      peer.send(message);
      assert.ok(Buffer.from(await peer.next()).equals(Buffer.from(message)));
    }
    await peer.close(1000);
    assert.equal((await program.exit()).code, 0);
    await server.stop();
  });

  it('answers pings', async () => {
    const server = await wsServer();
    const program = new Program(BINARY, ['connect', '--echo', server.url]);
    const peer = await server.arrival();
    peer.ws.ping('alive?');
    const [data] = await once(peer.ws, 'pong');
    assert.equal(data.toString(), 'alive?');
    await peer.close(1000);
    await program.exit();
    await server.stop();
  });

  it('sends its headers and offers its subprotocols', async () => {
    const server = await wsServer({ handleProtocols: offered => [...offered].at(-1) });
    const run = linnet(['connect', '--subprotocol', 'first', '--subprotocol', 'second',
      '--header', 'X-Token: a b', '--header', 'Cookie: c=1', `${server.url}deep/path?q=1`]);
    const { request } = await server.arrival();
    assert.equal(request.url, '/deep/path?q=1');
    assert.equal(request.headers['x-token'], 'a b');
    assert.equal(request.headers.cookie, 'c=1');
    assert.equal(request.headers['sec-websocket-protocol'].replace(/\s/g, ''), 'first,second');
    assert.equal(request.headers['sec-websocket-version'], '13');
    assert.equal((await run).code, 0);
    await server.stop();
  });
});

describe('linnet connect fails with 1 and a reason when the server', () => {
  const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
  const head = (...lines) => ['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n');
  for (const [why, answer, words] of [
    ['refuses with 403', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno', /403/],
    ['redirects', 'HTTP/1.1 302 Found\r\nLocation: ws://other/\r\nContent-Length: 0\r\n\r\n', /302/],
    ['says it is no HTTP at all', 'SSH-2.0-OpenSSH\r\n\r\n', /./],
    ['answers for another key', head('Upgrade: websocket', 'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${ACCEPT}`), /accept/i],
    ['leaves out Accept', head('Upgrade: websocket', 'Connection: Upgrade'), /accept/i],
    ['hangs up at once', '', /./],
  ]) {
    it(why, async () => {
      const server = net.createServer(socket => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end(answer));
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { code, stdout, stderr } = await linnet(['connect', `ws://127.0.0.1:${server.address().port}/`]);
      server.close();
      assert.equal(code, 1);
      assert.equal(stdout, '');
      assert.match(stderr, words);
    });
  }

  it('agrees to an extension that nobody offered', async () => {
    const { createHash } = await import('node:crypto');
    const server = http.createServer();
    server.on('upgrade', (request, socket) => {
      const accept = createHash('sha1').update(request.headers['sec-websocket-key']
        + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
      socket.end(head('Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`,
        'Sec-WebSocket-Extensions: permessage-deflate'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { code, stderr } = await linnet(['connect', `ws://127.0.0.1:${server.address().port}/`]);
    server.close();
    assert.equal(code, 1);
    assert.match(stderr, /extension/i);
  });
});

describe('linnet connect and violations of a server', () => {
  let server;
  before(async () => { server = await wsServer(); });
  after(() => server.stop());
  for (const [why, bytes, want] of [
    ['a masked frame', Buffer.from('818168000000', 'hex'), 1002],
    ['a reserved opcode', Buffer.from('8300', 'hex'), 1002],
    ['invalid UTF-8', Buffer.from('8102c328', 'hex'), 1007],
    ['RSV1 without an extension', Buffer.from('c10161', 'hex'), 1002],
  ]) {
    it(`${why}: closes with ${want}`, async () => {
      const program = new Program(BINARY, ['connect', '--echo', server.url]);
      const peer = await server.arrival();
      peer.ws._socket.write(bytes);
      assert.equal((await peer.closing()).code, want);
      assert.equal((await program.exit()).code, 1);
    });
  }
});
