// Chromium: two people chat on /demo/chat/, and its own permessage-deflate meets ours.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { chromium } from 'playwright-core';
import http from 'node:http';
import net from 'node:net';
import { Api, KEY, token } from './lib/api.mjs';
import { artifact, echo, run, serve } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';
import { parse, value } from './lib/prometheus.mjs';

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

function browserPath() {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    const found = run('which', [name]);
    if (found.status === 0) return found.stdout.trim();
  }
  throw new Error('no Chromium here; tools/install-deps test brings it');
}

/** A page that fails its test when the page itself has an error. */
async function open(browser, url, viewport) {
  const context = await browser.newContext({ viewport, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.problems = [];
  page.on('pageerror', error => page.problems.push(String(error)));
  page.on('console', line => { if (line.type() === 'error') page.problems.push(line.text()); });
  page.setDefaultTimeout(10_000);
  await page.goto(url);
  return page;
}

async function say(page, text) {
  await page.getByRole('textbox', { name: 'Message' }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

const hears = (page, text) => page.getByRole('log').getByText(text, { exact: true }).waitFor();

describe('Chromium', () => {
  let browser;
  before(async () => {
    browser = await chromium.launch({ executablePath: browserPath(),
      args: ['--no-sandbox', '--host-resolver-rules=MAP *.test 127.0.0.1'] });
  });
  after(() => browser?.close());

  for (const workers of [1, 4]) {
    describe(`chat with ${workers} workers`, () => {
      let server, url;
      before(async () => {
        server = await serve(workers);
        url = `${server.http}/demo/chat/`;
      });
      after(() => server.stop());

      it('two pages talk to each other', async () => {
        const ann = await open(browser, url, DESKTOP);
        const bob = await open(browser, url, PHONE);
        await say(ann, 'Hello from the desk');
        await hears(bob, 'Hello from the desk');
        await hears(ann, 'Hello from the desk');
        await say(bob, 'Hello from the phone');
        await hears(ann, 'Hello from the phone');
        const message = ann.getByRole('textbox', { name: 'Message' });
        assert.equal(await message.inputValue(), '', 'sending empties the box');
        await message.fill('By the Enter key: ünï ✓ 😀');
        await message.press('Enter');
        await hears(bob, 'By the Enter key: ünï ✓ 😀');
        await ann.screenshot({ path: artifact(`chat-desktop-${workers}.png`) });
        await bob.screenshot({ path: artifact(`chat-phone-${workers}.png`) });
        assert.deepEqual([...ann.problems, ...bob.problems], []);
        await ann.context().close();
        await bob.context().close();
      });

      it('shows who is here, comes and goes, and who is typing', async () => {
        const at = `${url}?room=people`;
        const ann = await open(browser, at, DESKTOP);
        const members = page => page.getByRole('complementary', { name: 'Here now' });
        const here = (page, name) => members(page).getByText(name, { exact: true });
        await ann.getByRole('textbox', { name: 'Your name' }).fill('Ann');
        await ann.keyboard.press('Enter');
        await here(ann, 'Ann').waitFor();
        await members(ann).getByText('you', { exact: true }).waitFor();
        const bob = await open(browser, at, PHONE);
        await bob.getByRole('textbox', { name: 'Your name' }).fill('Bob');
        await bob.keyboard.press('Enter');
        await here(ann, 'Bob').waitFor();
        const people = bob.getByRole('button', { name: '2 here' });
        await people.waitFor();
        assert.equal(await members(bob).isVisible(), false, 'a phone has no room for the list');
        await people.press('Enter');
        await here(bob, 'Ann').waitFor();
        await bob.screenshot({ path: artifact(`chat-people-phone-${workers}.png`) });
        await bob.keyboard.press('Escape');
        assert.equal(await members(bob).isVisible(), false);
        assert.equal(await people.evaluate(b => document.activeElement === b), true);
        await bob.getByRole('textbox', { name: 'Message' }).pressSequentially('I think');
        await ann.getByText('Bob is typing …', { exact: true }).waitFor();
        await say(ann, 'Go on, we are listening');
        await hears(bob, 'Go on, we are listening');
        await ann.screenshot({ path: artifact(`chat-typing-desktop-${workers}.png`) });
        await bob.getByRole('textbox', { name: 'Message' }).press('Enter');
        await hears(ann, 'I think');
        await ann.getByText('Bob is typing …').waitFor({ state: 'detached' });
        await bob.getByRole('textbox', { name: 'Message' }).pressSequentially('never sent');
        await ann.getByText('Bob is typing …', { exact: true }).waitFor();
        await bob.context().close(); // a page that is closed types no more, and is not here
        await here(ann, 'Bob').waitFor({ state: 'detached' });
        await ann.getByText('Bob is typing …').waitFor({ state: 'detached' });
        await ann.getByText('Bob left', { exact: true }).waitFor({ state: 'attached' });
        assert.deepEqual(ann.problems, []);
        await ann.context().close();
      });

      it('T159 names, rooms and texts of others are text, and nothing is asked for that may not be', async () => {
        const markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
        const page = await open(browser, `${url}?room=${encodeURIComponent(markup)}`, DESKTOP);
        const policy = (await page.request.get(url)).headers();
        assert.match(policy['content-security-policy'], /default-src 'self'/);
        assert.match(policy['content-security-policy'], /frame-ancestors 'none'/);
        assert.doesNotMatch(policy['content-security-policy'], /unsafe/);
        assert.equal(policy['x-content-type-options'], 'nosniff');
        await page.getByRole('heading', { name: '#lobby' }).waitFor(); // that is no name of a room
        const eve = await Peer.open(`${server.url}/ws`, ['linnet.v1']);
        const channel = 'chat:lobby';
        eve.send({ type: 'subscribe', id: 1, channel });
        eve.send({ type: 'presence', id: 2, channel, data: { name: markup } });
        const short = markup.slice(0, 40);
        await page.getByRole('complementary').getByText(short, { exact: true }).waitFor();
        eve.send({ type: 'typing', channel, data: { on: true } });
        await page.getByText(`${short} is typing …`, { exact: true }).waitFor();
        for (const data of [{ id: markup, name: markup, text: markup }, { name: {}, text: 'odd' }, { text: 7 },
          null, markup, [[]]])
          eve.send({ type: 'publish', channel, data });
        for (const data of [null, 7, markup, { name: { toString: 1 } }, { __proto__: { name: 'x' } }])
          eve.send({ type: 'presence', channel, data });
        await hears(page, markup);
        await hears(page, 'odd');
        await page.getByRole('complementary').getByText('somebody', { exact: true }).waitFor();
        assert.equal(await page.locator('img[src=x], script:not([src])').count(), 0);
        assert.doesNotMatch(await page.title(), /^[12]$/);
        assert.deepEqual(page.problems, []);
        await eve.close();
        await page.context().close();
      });

      it('a message said while the connection is cut is not lost, nor one that others say meanwhile', async () => {
        const sockets = new Set();
        let cut = false;
        const proxy = net.createServer(near => { // a line between that can be cut
          const far = net.connect(server.port, '127.0.0.1');
          for (const s of [near, far]) s.on('error', () => {}).on('close', () => { near.destroy(); far.destroy(); });
          if (cut) near.destroy();
          near.pipe(far).pipe(near);
          sockets.add(near);
        });
        await new Promise(resolve => proxy.listen(0, '127.0.0.1', resolve));
        const through = url.replace(String(server.port), proxy.address().port);
        const ann = await open(browser, `${through}?room=cut`, DESKTOP);
        const bob = await open(browser, `${url}?room=cut`, DESKTOP);
        await say(ann, 'before');
        await hears(bob, 'before');
        cut = true;
        sockets.forEach(s => s.destroy());
        await ann.getByRole('status').getByText('reconnecting').waitFor();
        await say(ann, 'said into the void');
        await say(bob, 'meanwhile');
        await hears(bob, 'meanwhile');
        cut = false;
        await ann.getByRole('status').getByText('connected', { exact: true }).waitFor({ timeout: 20_000 });
        await hears(bob, 'said into the void');
        await hears(ann, 'meanwhile');
        await ann.locator('.pending').waitFor({ state: 'detached' });
        for (const page of [ann, bob])
          for (const text of ['before', 'said into the void', 'meanwhile'])
            assert.equal(await page.getByRole('log').getByText(text, { exact: true }).count(), 1, text);
        assert.doesNotMatch(await ann.getByRole('log').innerText(), /may have been said/);
        await Promise.all([ann, bob].map(page => page.context().close()));
        sockets.forEach(s => s.destroy());
        proxy.close();
      });

      it('shows markup as text', async () => {
        const ann = await open(browser, url, DESKTOP);
        const markup = '<img src=x onerror="document.title=1"><b>bold</b>';
        await say(ann, markup);
        await hears(ann, markup);
        assert.equal(await ann.getByRole('log').locator('img, b').count(), 0);
        await ann.context().close();
      });

      it('shows who speaks, and only to the same room', async () => {
        const ann = await open(browser, `${url}?room=garden`, DESKTOP);
        const bob = await open(browser, `${url}?room=garden`, DESKTOP);
        const eve = await open(browser, `${url}?room=street`, DESKTOP);
        for (const page of [ann, bob, eve]) {
          await page.getByRole('status').getByText('connected', { exact: true }).waitFor();
        }
        await ann.getByRole('textbox', { name: 'Your name' }).fill('Ann <b>');
        await say(ann, 'only here');
        await hears(bob, 'only here');
        await bob.getByRole('log').getByText('Ann <b>', { exact: true }).waitFor();
        await bob.getByRole('log').locator('time').first().waitFor();
        await say(bob, 'and back');
        await hears(ann, 'and back');
        assert.doesNotMatch(await eve.getByRole('log').innerText(), /only here|and back/);
        await Promise.all([ann, bob, eve].map(page => page.context().close()));
      });

      it('leaves the reader alone who has gone up, and follows the one who has not', async () => {
        const ann = await open(browser, url, PHONE);
        const bob = await open(browser, url, PHONE);
        await bob.getByRole('status').getByText('connected', { exact: true }).waitFor();
        for (let n = 0; n < 40; n++) await say(ann, `line ${n}`);
        await hears(bob, 'line 39');
        const place = () => bob.getByRole('log').evaluate(l => l.scrollHeight - l.clientHeight - l.scrollTop);
        assert.ok(await place() < 5, 'bob follows');
        await bob.getByRole('log').evaluate(l => { l.scrollTop = 0; });
        await say(ann, 'the last');
        await hears(bob, 'the last');
        assert.equal(await bob.getByRole('log').evaluate(l => l.scrollTop), 0);
        await bob.getByRole('button', { name: 'New below' }).click();
        assert.ok(await place() < 5);
        await ann.context().close();
        await bob.context().close();
      });

      it('says nothing when there is nothing to say', async () => {
        const ann = await open(browser, url, DESKTOP);
        const bob = await open(browser, url, DESKTOP);
        await say(ann, '');
        await say(ann, '   ');
        await say(ann, 'after nothing');
        await hears(bob, 'after nothing');
        const log = await bob.getByRole('log').innerText();
        assert.doesNotMatch(log, /^\s*$/);
        await ann.context().close();
        await bob.context().close();
      });

      it('Enter in the name takes the reader to the message and sends nothing', async () => {
        const ann = await open(browser, url, DESKTOP);
        const message = ann.getByRole('textbox', { name: 'Message' });
        await message.fill('not yet');
        await ann.getByRole('textbox', { name: 'Your name' }).fill('Ann');
        await ann.keyboard.press('Enter');
        assert.equal(await message.inputValue(), 'not yet');
        assert.equal(await ann.getByRole('article').count(), 0);
        await ann.keyboard.press('Enter');
        await hears(ann, 'not yet');
        assert.equal(await message.inputValue(), '');
        assert.equal(await ann.getByRole('article', { name: /^You, / }).count(), 1);
        await ann.context().close();
      });

      it('is as high as a desktop, and only the conversation scrolls', async () => {
        const page = await open(browser, url, DESKTOP);
        const [high, seen] = await page.evaluate(() =>
          [document.documentElement.scrollHeight, window.innerHeight]);
        assert.ok(high <= seen, `${high} is higher than ${seen}`);
        await page.context().close();
      });

      it('fits a phone without scrolling sideways', async () => {
        const page = await open(browser, url, PHONE);
        await say(page, 'a word that is much too long '.repeat(6) + 'x'.repeat(200));
        await page.getByRole('log').getByText('x'.repeat(200)).waitFor();
        const [wide, seen] = await page.evaluate(() =>
          [document.documentElement.scrollWidth, window.innerWidth]);
        assert.ok(wide <= seen, `${wide} is wider than ${seen}`);
        const box = await page.getByRole('button', { name: 'Send' }).boundingBox();
        assert.ok(box.y + box.height <= PHONE.height, 'the button is in sight');
        await page.context().close();
      });
    });
  }

  it('the chat comes back by itself after the server was away', async () => {
    const first = await serve(1);
    const page = await open(browser, `${first.http}/demo/chat/`, DESKTOP);
    await say(page, 'before');
    await hears(page, 'before');
    await first.stop();
    await page.getByRole('status').getByText('reconnecting').waitFor();
    await say(page, 'meanwhile');
    await page.locator('.pending').waitFor();
    const second = await serve(1, '--listen', `127.0.0.1:${first.port}`);
    const other = await open(browser, `${second.http}/demo/chat/`, DESKTOP);
    for (let n = 0; n < 40; n++) {
      await say(other, `after ${n}`);
      const heard = await page.getByRole('log').getByText(`after ${n}`, { exact: true })
        .waitFor({ timeout: 500 }).then(() => true, () => false);
      if (heard) break;
      assert.ok(n < 39, 'the first page did not come back');
    }
    await page.locator('.pending').waitFor({ state: 'detached' });
    await page.getByRole('status').getByText('connected', { exact: true }).waitFor();
    await page.context().close();
    await other.context().close();
    await second.stop();
  });

  for (const flags of [[], ['--deflate=takeover'], ['--deflate=no-takeover'],
    ['--deflate=takeover', '--window-bits', 9]]) {
    it(`echo to the browser's own WebSocket, ${flags.join(' ') || 'no deflate'}`, async () => {
      const page = await browser.newPage();
      const server = await echo(2, '--max-message', 1 << 21, ...flags);
      const home = await serve(1);
      await page.goto(`${home.http}/demo/chat/`);
      const result = await page.evaluate(async url => {
        const ws = new WebSocket(url);
        ws.binaryType = 'arraybuffer';
        const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * i) >> 3);
        const sent = ['', 'hello', 'hello', 'aé€😀'.repeat(20_000), bytes, 'x'.repeat(1_000_000), 'hello'];
        const wrong = [];
        let got = 0;
        return new Promise((resolve, reject) => {
          ws.onerror = () => reject(new Error('error'));
          ws.onopen = () => sent.forEach(m => ws.send(m));
          ws.onmessage = ({ data }) => {
            const want = sent[got++];
            const same = typeof want === 'string' ? data === want
              : String(new Uint8Array(data)) === String(want);
            if (!same) wrong.push(got - 1);
            if (got === sent.length) ws.close(3333, 'done');
          };
          ws.onclose = ({ code, wasClean }) =>
            resolve({ wrong, code, wasClean, extensions: ws.extensions });
        });
      }, server.url);
      assert.deepEqual(result.wrong, []);
      assert.deepEqual([result.code, result.wasClean], [3333, true]); // the code comes back, the reason need not
      assert.equal(result.extensions.includes('permessage-deflate'), flags.length > 0);
      await page.close();
      await server.stop();
      await home.stop();
    });
  }

  // A site of which somebody else has a host: its pages are same-site, so the browser sends cookies along.
  const limit = { timeout: 60_000 };
  it('T098 a page of another host opens nothing with the cookie of a visitor, by no road', limit, async t => {
    const api = await Api.start({ args: ['--auth-cookie', 'session', '--api-host', 'app.bank.test'] });
    const cookies = [];
    const strange = http.createServer((request, response) => { // evil's own pages, and what the browser sends
      if (request.url.startsWith('/record')) cookies.push(request.headers.cookie);
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>evil</title>');
    }).on('upgrade', (request, socket) => { cookies.push(request.headers.cookie); socket.destroy(); });
    await new Promise(resolve => strange.listen(0, '127.0.0.1', resolve));
    t.after(async () => { strange.close(); strange.closeAllConnections(); await api.stop(); });
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    const host = `app.bank.test:${api.server.port}`, other = `app.bank.test:${strange.address().port}`;
    const session = token({ sub: 'victim' });
    await context.addCookies([{ name: 'session', value: session, domain: 'app.bank.test', path: '/',
      httpOnly: true, sameSite: 'Lax' }]);
    const metrics = async () => parse(await (await fetch(`${api.server.http}/metrics`,
      { headers: { Authorization: `Bearer ${KEY}` } })).text());

    /** What a page gets that tries every road; `there`: where it wants to come in. */
    const tries = there => page.evaluate(async there => {
      const opened = (made, kind) => new Promise(resolve => {
        made.onerror = () => resolve(`${kind} refused`);
        made.onopen = () => { made.close(); resolve(`${kind} open`); };
      });
      const read = (path, options) => fetch(`http://${there}${path}`, { credentials: 'include', ...options })
        .then(r => `${r.type} ${r.status}`, () => 'unreadable');
      const say = '{"channel":"t098","data":"forged"}';
      const form = () => new Promise(resolve => { // JSON dressed as a form: {"channel":...,"x":"="}
        const frame = Object.assign(document.createElement('iframe'), { name: 'target' });
        const made = Object.assign(document.createElement('form'), { method: 'POST', target: 'target',
          enctype: 'text/plain', action: `http://${there}/api/v1/publish` });
        made.append(Object.assign(document.createElement('input'),
          { name: `${say.slice(0, -1)},"x":"`, value: '"}' }));
        document.body.append(frame);
        frame.onload = () => resolve('sent');
        document.body.append(made);
        made.submit();
      });
      return {
        v1: await opened(new WebSocket(`ws://${there}/ws`, 'linnet.v1'), 'socket'),
        feed: await opened(new WebSocket(`ws://${there}/feed/t098`), 'socket'),
        stream: await opened(new EventSource(`http://${there}/sse?channel=t098`, { withCredentials: true }), 'stream'),
        read: await read('/sse?channel=t098'),
        blind: await read('/api/v1/publish', { method: 'POST', mode: 'no-cors', body: say }),
        typed: await read('/api/v1/publish',
          { method: 'POST', body: say, headers: { 'Content-Type': 'application/json' } }),
        form: await form(),
      };
    }, there);

    await page.goto(`http://evil.bank.test:${strange.address().port}/`);
    await tries(other).catch(() => {}); // it is its own server, and sees what comes along
    await page.goto(`http://evil.bank.test:${strange.address().port}/`);
    assert.ok(cookies.length && cookies.every(c => c === `session=${session}`), `the browser sends ${cookies}`);
    const before = await metrics();
    assert.deepEqual(await tries(host), {
      v1: 'socket refused', feed: 'socket refused', stream: 'stream refused', read: 'unreadable',
      blind: 'opaque 0', typed: 'unreadable', form: 'sent',
    });
    const after = await metrics();
    const rose = (name, label) => value(after, name, label) - value(before, name, label);
    assert.equal(rose('linnet_handshake_failures_total', 'HTTP_UPGRADE_ORIGIN'), 2);
    assert.equal(rose('linnet_connections_opened_total'), 0);
    assert.equal((await api.ok('history', { channel: 't098' })).offset, 0, 'nothing was said in his name');

    // The server's own page, with the same cookie, is let in.
    await page.goto(`http://${host}/demo/chat/`);
    const welcome = await page.evaluate(there => new Promise((resolve, reject) => {
      const ws = new WebSocket(`ws://${there}/ws`, 'linnet.v1');
      ws.onerror = () => reject(new Error('refused'));
      ws.onmessage = ({ data }) => { ws.close(); resolve(JSON.parse(data)); };
    }), host);
    assert.equal(welcome.user, 'victim');
  });
});
