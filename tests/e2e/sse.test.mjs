// Event streams of `linnet serve`: curl, sockets by hand, and a real EventSource in Chromium.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { chromium } from 'playwright-core';
import { Program, run, serve, start, until } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

const stream = (url, ...flags) =>
  new Program('curl', ['--silent', '--no-buffer', '--http1.1', '--max-time', 30, ...flags, url]);

async function publisher(server) {
  const peer = await Peer.open(`${server.url}/ws`);
  let id = 0;
  return async (channel, data, more = {}) => {
    peer.send({ type: 'publish', id: ++id, channel, data, ...more });
    const { re, type, offset } = await peer.json();
    assert.deepEqual({ re, type }, { re: id, type: 'ok' });
    return offset;
  };
}

for (const workers of [1, 4]) {
  describe(`event streams with ${workers} workers`, { concurrency: true }, () => {
    let server;
    before(async () => { server = await serve(workers); });
    after(() => server.stop());

    it('curl reads events with their names and places', async () => {
      const publish = await publisher(server);
      const reader = stream(`${server.http}/sse?channel=curl`);
      await reader.says(/^id: [0-9a-f]{16}:0$/m);
      await publish('curl', { n: 1 });
      await publish('curl', 'x', { event: 'moved' });
      await publish('curl', null, { volatile: true });
      const [, first, second] = await reader.says(
        /^data: \{"n":1\}\nid: (\S+):1\n\nevent: moved\ndata: "x"\nid: (\S+):2\n\ndata: null\n\n/m);
      assert.equal(first, second);
      reader.kill();
      await reader.exit();
    });

    it('several channels in one stream', async () => {
      const publish = await publisher(server);
      const reader = stream(`${server.http}/sse?channel=many.a&channel=many.b`);
      const [, a, b] = await reader.says(/^id: (\S+):0,(\S+):0$/m);
      await publish('many.b', 1);
      await reader.says(new RegExp(`^data: 1\nid: ${a}:0,${b}:1\n\n`, 'm'));
      reader.kill();
      await reader.exit();
    });

    it('who comes back hears what he has missed, or that nobody knows what', async () => {
      const publish = await publisher(server);
      const offset = await publish('back', 1);
      const first = stream(`${server.http}/sse?channel=back`);
      const [, id] = await first.says(/^id: (\S+)$/m);
      assert.ok(id.endsWith(`:${offset}`));
      first.kill();
      const same = stream(`${server.http}/sse?channel=back`, '-H', `Last-Event-ID: ${id}`);
      await same.says(/^id: /m);
      assert.doesNotMatch(same.stdout, /reset/);
      await publish('back', 2);
      const late = stream(`${server.http}/sse?channel=back`, '-H', `Last-Event-ID: ${id}`);
      await late.says(/^data: 2\nid: \S+:2\n\n/m);
      assert.doesNotMatch(late.stdout, /reset/);
      const other = stream(`${server.http}/sse?channel=back`, '-H', `Last-Event-ID: ${id.replace(/^./, '~')}`);
      await other.says(/^event: reset\ndata: \{"channel":"back","epoch":"[0-9a-f]{16}","offset":2\}\n\nid: /m);
      other.kill();
      same.kill();
      late.kill();
    });

    if (workers === 1) it('a sign of life every 15 s', async () => {
      const reader = stream(`${server.http}/sse?channel=idle`);
      await reader.says(/^id: /m);
      await reader.says(/^:$/m, { ms: 20_000 });
      reader.kill();
    });

    it('a reader that does not read is let go, and others go on', async () => {
      const publish = await publisher(server);
      const other = stream(`${server.http}/sse?channel=slow`);
      await other.says(/^id: /m);
      const socket = net.connect(server.port, '127.0.0.1');
      let heard = 0;
      const ended = new Promise(resolve => socket.on('close', resolve).on('error', () => {}));
      socket.write('GET /sse?channel=slow HTTP/1.1\r\nHost: x\r\n\r\n');
      await new Promise(resolve => socket.once('data', resolve));
      socket.pause();
      socket.on('data', data => { heard += data.length; });
      socket.pause();
      const data = 'x'.repeat(60_000);
      for (let n = 1; n <= 190; n++) { // at the pace of who reads
        await publish('slow', data);
        if (n % 10 === 0) await other.says(new RegExp(`^id: \\S+:${n}$`, 'm'));
      }
      socket.resume();
      await ended;
      assert.ok(heard < 190 * 60_000, 'it was not kept for him');
      other.kill();
    });

    it('pages from elsewhere may not, and the others are told that they may', () => {
      const ask = origin => run('curl', ['-s', '-i', '--max-time', 1, '-H', `Origin: ${origin}`,
        `${server.http}/sse?channel=x`]).stdout;
      assert.match(ask('https://evil.example'), /^HTTP\/1\.1 403 /);
      const allowed = ask('http://localhost:3000');
      assert.match(allowed, /^HTTP\/1\.1 200 /);
      assert.match(allowed, /^Access-Control-Allow-Origin: http:\/\/localhost:3000\r$/m);
      assert.match(allowed, /^Vary: Origin\r$/m);
    });
  });
}

function browserPath() {
  const found = ['chromium', 'chromium-browser', 'google-chrome'].map(name => run('which', [name]))
    .find(which => which.status === 0);
  assert.ok(found, 'no Chromium here; tools/install-deps test brings it');
  return found.stdout.trim();
}

describe('EventSource in Chromium', () => {
  let browser;
  before(async () => {
    browser = await chromium.launch({ executablePath: browserPath(), args: ['--no-sandbox'] });
  });
  after(() => browser?.close());

  it('hears events, comes back after a restart, and is told that it starts anew', async () => {
    const server = await serve(1);
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(15_000);
    await page.goto(`${server.http}/demo/chat/`);
    await page.evaluate(() => {
      window.heard = [];
      const source = new EventSource('/sse?channel=page');
      const note = event => window.heard.push([event.type, event.data, event.lastEventId]);
      source.onopen = () => window.heard.push(['open']);
      for (const name of ['message', 'moved', 'reset']) source.addEventListener(name, note);
    });
    const heard = type => page.waitForFunction(
      wanted => window.heard.find(([t]) => t === wanted), type).then(found => found.jsonValue());
    await heard('open');
    const publish = await publisher(server);
    await until(async () => { // it is in the channel when it has heard something
      await publish('page', { n: 1 });
      return page.evaluate(() => window.heard.some(([type]) => type === 'message'));
    }, 'the first message');
    await publish('page', [2], { event: 'moved' });
    const [, data, id] = await heard('moved');
    assert.equal(data, '[2]');
    assert.match(id, /^[0-9a-f]{16}:\d+$/);
    await server.stop(); // the page waits for nothing: its stream ends
    const next = await start(['serve', '--listen', `127.0.0.1:${server.port}`]);
    const [, reset] = await heard('reset');
    assert.equal(JSON.parse(reset).channel, 'page');
    await page.context().close();
    await next.stop();
  });
});
