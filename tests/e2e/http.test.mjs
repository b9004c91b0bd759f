// curl at the door of `linnet serve`: pages, health, and upgrades that are refused.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { run, serve } from './lib/linnet.mjs';

/** {status, headers, body} as curl saw them. */
function curl(url, ...flags) {
  const done = run('curl', ['--silent', '--show-error', '--include', '--http1.1', '--max-time', 10, ...flags, url]);
  assert.ok([0, 18].includes(done.status), done.stderr);
  const [head, ...body] = done.stdout.split('\r\n\r\n');
  const [first, ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(lines.map(line => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  }));
  return { status: Number(first.split(' ')[1]), headers, body: body.join('\r\n\r\n') };
}

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const upgrade = (changes = {}) => Object.entries({
  Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': KEY,
  ...changes,
}).flatMap(([name, value]) => value === null ? ['-H', `${name}:`] : ['-H', `${name}: ${value}`]);

for (const workers of [1, 4]) {
  describe(`HTTP with ${workers} workers`, () => {
    let server;
    before(async () => { server = await serve(workers); });
    after(() => server.stop());

    it('/healthz is fine', () => {
      const { status, body } = curl(`${server.http}/healthz`);
      assert.equal(status, 200);
      assert.notEqual(body, '');
    });

    it('/demo/chat/ is a page that needs nothing from elsewhere', () => {
      const { status, headers, body } = curl(`${server.http}/demo/chat/`);
      assert.equal(status, 200);
      assert.match(headers['content-type'], /^text\/html; *charset=utf-8$/i);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.match(body, /<title>/);
      assert.doesNotMatch(body, /(src|href)="https?:/);
    });

    it('HEAD answers as GET would, without a body', () => {
      const whole = curl(`${server.http}/demo/chat/`);
      const { status, headers, body } = curl(`${server.http}/demo/chat/`, '--head');
      assert.equal(status, 200);
      assert.equal(body, '');
      assert.equal(Number(headers['content-length']), Buffer.byteLength(whole.body));
    });

    it('knows an ETag again', () => {
      const { headers } = curl(`${server.http}/demo/chat/`);
      assert.match(headers.etag, /^"[^"]+"$/);
      const again = curl(`${server.http}/demo/chat/`, '-H', `If-None-Match: ${headers.etag}`);
      assert.equal(again.status, 304);
      assert.equal(again.body, '');
    });

    it('/ leads a browser to the demo', () => {
      const { status, headers } = curl(`${server.http}/`, '-H', 'Accept: text/html');
      assert.ok([302, 303, 307].includes(status), String(status));
      assert.match(headers.location, /^\/demo\//);
    });

    it('two requests on one connection are both answered', () => {
      const done = run('curl', ['--silent', '--verbose', '--max-time', 10,
        `${server.http}/healthz`, `${server.http}/healthz`]);
      assert.equal(done.status, 0);
      assert.match(done.stderr, /Re-using existing connection/);
    });

    for (const [why, at, flags, want, header] of [
      ['no such page', '/nothing/here', [], 404],
      ['a path that climbs', '/demo/../../etc/passwd', ['--path-as-is'], 400],
      ['a page cannot be deleted', '/demo/chat/', ['-X', 'DELETE'], 405, ['allow', /GET/]],
      ['a page at the WebSocket path', '/ws', [], 426, ['upgrade', /websocket/i]],
      ['no key', '/ws', upgrade({ 'Sec-WebSocket-Key': null }), 400],
      ['a key of 15 bytes', '/ws', upgrade({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAA' }), 400],
      ['a key that is no base64', '/ws', upgrade({ 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' }), 400],
      ['an old version', '/ws', upgrade({ 'Sec-WebSocket-Version': '8' }), 426, ['sec-websocket-version', /^13$/]],
      ['no version', '/ws', upgrade({ 'Sec-WebSocket-Version': null }), 426, ['sec-websocket-version', /^13$/]],
      ['POST', '/ws', [...upgrade(), '-X', 'POST'], 405, ['allow', /GET/]],
      ['malformed extensions', '/ws', upgrade({ 'Sec-WebSocket-Extensions': 'permessage-deflate; =' }), 400],
      ['malformed subprotocols', '/ws', upgrade({ 'Sec-WebSocket-Protocol': 'a,,b c' }), 400],
      ['a foreign origin', '/ws', upgrade({ Origin: 'https://evil.example' }), 403],
      ['an origin that looks like ours', '/ws', upgrade({ Origin: 'http://localhost.evil.example' }), 403],
      ['the origin null', '/ws', upgrade({ Origin: 'null' }), 403],
      ['a WebSocket where there is none', '/healthz/ws', upgrade(), 404],
    ]) {
      it(`${why}: ${want} and a sentence`, () => {
        const { status, headers, body } = curl(server.http + at, ...flags);
        assert.equal(status, want);
        if (header) assert.match(headers[header[0]] ?? '', header[1]);
        assert.match(headers['content-type'] ?? '', /^text\//);
        assert.match(body, /\w+ \w+/);
        assert.ok(body.length < 400, 'short');
      });
    }

    it('an upgrade that is right is answered with 101 and the key of RFC 6455', async () => {
      const socket = net.connect(server.port, '127.0.0.1');
      socket.write(`GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nConnection: keep-alive, upgrade\r\n`
        + `Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n`
        + `Origin: http://127.0.0.1:${server.port}\r\n\r\n`);
      const head = await new Promise(resolve => socket.once('data', data => resolve(data.toString())));
      socket.destroy();
      assert.match(head, /^HTTP\/1\.1 101 /);
      assert.match(head, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i);
      assert.doesNotMatch(head, /content-length|transfer-encoding/i);
    });
  });
}
