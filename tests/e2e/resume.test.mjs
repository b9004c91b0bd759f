// Clients that come back with a ticket, against `linnet serve`: nobody is asked again, on whatever
// worker; a key that is kept outlives the process, and one that has gone makes tickets worthless.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { start } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-resume-'));
after(() => fs.rmSync(folder, { recursive: true }));

const secret = (name, text) => {
  fs.writeFileSync(path.join(folder, name), text, { mode: 0o600 });
  return `file:${path.join(folder, name)}`;
};
const HOOK_KEY = secret('hook', 'a key for hooks that is long enough\n');
const KEYS = ['one', 'two'].map(n => secret(n, `the secret of tickets, number ${n}\n`));

/** A backend that knows everybody as anna, and counts what it is asked. */
async function countingBackend() {
  const asked = {};
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', part => parts.push(part));
    request.on('end', () => {
      const { type } = JSON.parse(Buffer.concat(parts).toString());
      asked[type] = (asked[type] ?? 0) + 1;
      response.end(JSON.stringify(type === 'connect' ? { user: 'anna', info: { from: 'backend' } } : {}));
    });
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${server.address().port}/`;
  return { asked, url, stop() { server.closeAllConnections?.(); server.close(); } };
}

const open = async (server, query = '') => {
  const peer = await Peer.open(`${server.url}/ws${query}`, ['linnet.v1']);
  const welcome = await peer.json();
  assert.equal(welcome.type, 'welcome');
  return { peer, welcome };
};

const ask = async (peer, command) => {
  peer.send({ id: 1, ...command });
  for (;;) {
    const reply = await peer.json();
    if (reply.re === 1) return reply;
  }
};

const back = (peer, resume, subs) => ask(peer, { type: 'auth', data: { resume }, subs });

for (const workers of [1, 4]) {
  describe(`coming back with ${workers} workers`, () => {
    it('T099 asks no backend: 20 connections, 3 channels each', async () => {
      const backend = await countingBackend();
      const server = await start(['serve', '--listen', '127.0.0.1:0', '--workers', `${workers}`,
        '--webhook-connect', backend.url, '--webhook-subscribe', backend.url, '--webhook-key', HOOK_KEY]);
      const channels = ['a', 'b', 'c'];
      const lost = await Promise.all(Array.from({ length: 20 }, async () => {
        const { peer, welcome } = await open(server);
        assert.equal(welcome.user, 'anna');
        const subs = {};
        for (const channel of channels) {
          const { epoch, offset, grant } = await ask(peer, { type: 'subscribe', channel });
          subs[channel] = { epoch, offset, grant };
        }
        return { peer, welcome, subs };
      }));
      assert.deepEqual(backend.asked, { connect: 20, subscribe: 60 });
      lost.forEach(one => one.peer.ws.terminate());
      const { peer: speaker } = await open(server);
      for (const channel of channels)
        await ask(speaker, { type: 'publish', channel, data: 'missed' });
      await Promise.all(lost.map(async ({ welcome, subs }) => {
        const { peer } = await open(server, '?resume=1');
        const ok = await back(peer, welcome.resume, subs);
        assert.equal(ok.type, 'ok', JSON.stringify(ok));
        assert.deepEqual([ok.user, ok.client, ok.session], ['anna', welcome.client, welcome.session]);
        const seen = [];
        while (seen.filter(m => m.type === 'message').length < 3) seen.push(await peer.json());
        for (const channel of channels) {
          const again = seen.find(m => m.type === 'subscribed' && m.channel === channel);
          assert.deepEqual([again.recovered, again.replay], [true, 1]);
          assert.ok(again.grant);
        }
        peer.ws.terminate();
      }));
      assert.deepEqual(backend.asked, { connect: 21, subscribe: 60 }); // and the speaker
      const { peer } = await open(server, '?resume=1');
      assert.equal((await ask(peer, { type: 'subscribe', channel: 'a' })).error.code, 101);
      assert.equal((await back(peer, `${lost[0].welcome.resume.slice(0, -1)}_`)).error.code, 101);
      assert.equal((await peer.closed).code, 3010);
      assert.equal(backend.asked.connect, 21);
      speaker.ws.terminate();
      await server.stop();
      backend.stop();
    });

    it('the old connection is closed, and presence counts one', async () => {
      const server = await start(['serve', '--listen', '127.0.0.1:0', '--workers', `${workers}`]);
      const { peer: old, welcome } = await open(server);
      await ask(old, { type: 'subscribe', channel: 'room' });
      for (let n = 0, ticket = welcome.resume; n < 8; n++) { // sooner or later on another worker
        const { peer } = await open(server);
        const ok = await back(peer, ticket, { room: null });
        assert.equal(ok.session, welcome.session);
        ticket = ok.resume;
        const { count } = await ask(peer, { type: 'presence', channel: 'room' });
        assert.equal(count, 1);
      }
      assert.equal((await old.closed).code, 3508);
      await server.stop();
    });
  });
}

describe('the key of tickets', () => {
  const run = async (extra, ticket) => {
    const server = await start(['serve', '--listen', '127.0.0.1:0', ...extra]);
    const { peer, welcome } = await open(server);
    const reply = ticket ? await back(peer, ticket) : undefined;
    peer.ws.terminate();
    await server.stop();
    return { ticket: welcome.resume, code: reply?.error?.code ?? 0 };
  };

  it('is made anew by each process that has nowhere to keep it', async () => {
    const { ticket } = await run([]);
    assert.equal((await run([], ticket)).code, 101);
  });

  it('outlives the process in state.dir, with mode 0600', async () => {
    const state = path.join(folder, 'state');
    fs.mkdirSync(state);
    const { ticket } = await run(['--state-dir', state]);
    assert.equal(fs.statSync(path.join(state, 'resume.key')).mode & 0o777, 0o600);
    assert.equal((await run(['--state-dir', state], ticket)).code, 0);
  });

  it('can be changed: the second one is still good, and then it is not', async () => {
    const { ticket } = await run(['--resume-key', KEYS[0]]);
    assert.equal((await run(['--resume-key', KEYS[1], '--resume-key', KEYS[0]], ticket)).code, 0);
    assert.equal((await run(['--resume-key', KEYS[1]], ticket)).code, 101);
  });

  it('that is too short is told at the start', async () => {
    await assert.rejects(start(['serve', '--listen', '127.0.0.1:0', '--resume-key', secret('short', 'short\n')]));
  });
});
