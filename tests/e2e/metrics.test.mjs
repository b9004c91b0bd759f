// What the metrics say is so: something is made to happen, and the counter is read. And what the dashboard and the
// alerts of deploy/ ask for is there, by name and by the values of labels.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { ROOT, start, until } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';
import { parse, value } from './lib/prometheus.mjs';

const KEY = 'a-key-for-this-test-0123456789';
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-metrics-'));
after(() => fs.rmSync(home, { recursive: true }));
const hookKey = path.join(home, 'hook');
fs.writeFileSync(hookKey, `whsec_${Buffer.from('a key of webhooks for metrics...').toString('base64')}`,
  { mode: 0o600 });

function serve(env = {}, flags = []) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('LINNET_')));
  const own = Object.fromEntries(Object.entries(env).map(([name, v]) => [`LINNET_${name}`, String(v)]));
  return start(['serve', '--listen', '127.0.0.1:0', '--workers', 2, ...flags],
    { env: { ...clean, LINNET_API_KEY: KEY, ...own } });
}

function scrape(server) {
  return new Promise((resolve, reject) => {
    http.get(`${server.http}/metrics`, { headers: { Authorization: `Bearer ${KEY}` }, agent: false }, r => {
      let text = '';
      r.setEncoding('utf8').on('data', d => { text += d; });
      r.on('end', () => resolve(parse(text)));
    }).on('error', reject);
  });
}

/** Waits until a sample satisfies `good`. */
const see = (server, name, label, good) => until(async () => {
  const m = await scrape(server);
  return good(value(m, name, label)) && m;
}, `${name} ${label ?? ''}`);

async function v1(server) {
  const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1']);
  assert.equal((await peer.json()).type, 'welcome');
  return peer;
}

async function ask(peer, message) {
  peer.send({ id: 1, ...message });
  for (;;) {
    const said = await peer.json();
    if (said.re === 1) return said;
  }
}

const BIG = 'x'.repeat(30_000);

/** A subscriber who does not read, and so much for it that it waits. */
async function stall(server, channel, more = {}) {
  const slow = await v1(server), writer = await v1(server);
  await ask(slow, { type: 'subscribe', channel });
  slow.ws.pause();
  for (let n = 0; n < 400; n++) {
    await ask(writer, { type: 'publish', channel, data: BIG, ...more });
    if (n % 10 === 9 && n > 250 && value(await scrape(server), 'linnet_connections_stalled') > 0) break;
  }
  return { slow, writer };
}

/** A backend that answers as it is told to: a status, or null to hang up. */
async function backend(answer) {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      const status = answer();
      if (status) response.writeHead(status, { 'Content-Type': 'application/json' }).end('{}');
      else request.socket.destroy();
    });
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/`;
}

describe('the metrics are true', { concurrency: 3 }, () => {
  it('latency to the queues and to the sockets, one publication in eight', async () => {
    const server = await serve();
    const peer = await v1(server);
    await ask(peer, { type: 'subscribe', channel: 'c' });
    for (let n = 0; n < 64; n++) await ask(peer, { type: 'publish', channel: 'c', data: n });
    const m = await scrape(server);
    const timed = value(m, 'linnet_publish_duration_seconds_count');
    assert.ok(timed >= 8 && timed <= 9, `${timed} of 64`);
    await see(server, 'linnet_publish_socket_seconds_count', undefined, n => n === timed);
    const [queued, sent] = ['linnet_publish_duration_seconds_sum', 'linnet_publish_socket_seconds_sum'].map(n =>
      value(m, n));
    assert.ok(sent >= queued, `${queued} and ${sent} s`);
    await server.stop();
  });

  it('queues: bytes, memory, who is stalled, and how long it waited', async () => {
    const server = await serve({ LIMITS_PUBLISH_RATE: 'off', QUEUE_MAX: '100m', QUEUE_AGE: 'off' });
    const { slow } = await stall(server, 'c');
    const m = await scrape(server);
    const waits = value(m, 'linnet_send_queue_bytes'), held = value(m, 'linnet_memory_bytes', 'queues');
    assert.equal(value(m, 'linnet_connections_stalled'), 1);
    assert.ok(waits > 0 && held >= waits, `${waits} wait, ${held} held`);
    assert.ok(value(m, 'linnet_memory_bytes', 'histories') > 30_000);
    slow.ws.resume();
    const then = await see(server, 'linnet_connections_stalled', undefined, n => n === 0);
    assert.equal(value(then, 'linnet_send_queue_bytes'), 0);
    assert.ok(value(then, 'linnet_send_wait_seconds_count') > 0);
    await see(server, 'linnet_memory_bytes', 'queues', n => n < held);
    await server.stop();
  });

  for (const [reason, env, more] of [['policy', { SLOW: 'drop-newest' }, {}], ['volatile', {}, { volatile: true }]]) {
    it(`messages that were left out: ${reason}`, async () => {
      const server = await serve({ LIMITS_PUBLISH_RATE: 'off', QUEUE_MAX: '128k', QUEUE_HIGH: '64k',
        QUEUE_LOW: '16k', QUEUE_AGE: 'off', ...env });
      await stall(server, 'c', more);
      const m = await see(server, 'linnet_messages_dropped_total', reason, n => n > 0);
      const other = reason === 'policy' ? 'volatile' : 'policy';
      assert.equal(value(m, 'linnet_messages_dropped_total', other), 0);
      server.kill('SIGKILL');
      await server.exit();
    });
  }

  it('memory of members, keys and connections', async () => {
    const server = await serve();
    const before = await scrape(server), peers = [];
    for (let n = 0; n < 20; n++) {
      const peer = await v1(server);
      await ask(peer, { type: 'subscribe', channel: `c${n}` });
      await ask(peer, { type: 'set', channel: `c${n}`, key: 'k', data: 'x'.repeat(1000) });
      peers.push(peer);
    }
    const m = await scrape(server), of = (s, purpose) => value(s, 'linnet_memory_bytes', purpose);
    assert.ok(of(m, 'presence') - of(before, 'presence') >= 20_000, `${of(m, 'presence')} of keys`);
    assert.ok(of(m, 'connections') > of(before, 'connections'));
    assert.ok(of(m, 'tables') > of(before, 'tables'));
    for (const peer of peers) await peer.close();
    await see(server, 'linnet_memory_bytes', 'presence', n => n < 20_000);
    await server.stop();
  });

  it('compression windows', async () => {
    const server = await serve({}, ['--deflate=takeover']);
    const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1'], { perMessageDeflate: true });
    const m = await see(server, 'linnet_memory_bytes', 'compression', n => n > 10_000);
    assert.equal(value(m, 'linnet_compression_declined_total'), 0);
    await peer.close();
    await see(server, 'linnet_memory_bytes', 'compression', n => n === 0);
    await server.stop();
  });

  it('round trips, and who does not answer', async () => {
    const server = await serve({ HEARTBEAT_PING: '1s' });
    const peer = await v1(server);
    await see(server, 'linnet_rtt_seconds_count', undefined, n => n > 0);
    await peer.close();
    await server.stop();
  });

  it('errors by name, unknown messages, recoveries', async () => {
    const server = await serve();
    const peer = await v1(server);
    await ask(peer, { type: 'subscribe' });
    await ask(peer, { type: 'unsubscribe', channel: 'c' });
    peer.send({ type: 'what' });
    await ask(peer, { type: 'subscribe', channel: 'c', recover: { epoch: '0123456789abcdef', offset: 1 } });
    const m = await scrape(server);
    assert.equal(value(m, 'linnet_command_errors_total', 'BAD_REQUEST'), 1);
    assert.equal(value(m, 'linnet_command_errors_total', 'NOT_SUBSCRIBED'), 1);
    assert.equal(value(m, 'linnet_command_errors_total', 'INTERNAL'), 0);
    assert.equal(value(m, 'linnet_commands_unknown_total'), 1);
    assert.equal(value(m, 'linnet_recoveries_total', 'lost'), 1);
    await peer.close();
    await server.stop();
  });

  it('webhooks: questions, news, retries, those under way, and how long they took', async () => {
    let status = 200;
    const url = await backend(() => status);
    const server = await serve({ WEBHOOKS_RETRIES: 1 }, ['--webhook-publish', url, '--webhook-disconnect', url,
      '--webhook-key', `file:${hookKey}`]);
    const peer = await v1(server);
    await ask(peer, { type: 'publish', channel: 'c', data: 1 });
    let m = await scrape(server);
    assert.equal(value(m, 'linnet_webhook_questions_total', 'asked'), 1);
    assert.equal(value(m, 'linnet_webhook_questions_total', 'unanswered'), 0);
    assert.equal(value(m, 'linnet_webhook_duration_seconds_count'), 1);
    status = null;
    await ask(peer, { type: 'publish', channel: 'c', data: 1 });
    await see(server, 'linnet_webhook_questions_total', 'unanswered', n => n === 1);
    status = 200;
    await (await v1(server)).close();
    await see(server, 'linnet_webhook_news_total', 'told', n => n === 1);
    status = 503;
    await peer.close();
    m = await see(server, 'linnet_webhook_news_total', 'failed', n => n === 1);
    assert.equal(value(m, 'linnet_webhook_retries_total'), 1);
    assert.equal(value(m, 'linnet_webhook_queue'), 0);
    assert.equal(value(m, 'linnet_webhook_underway'), 0);
    await server.stop();
  });

  it('webhooks: what waits, and what the queue has no room for', async () => {
    const url = await backend(() => 503);
    const server = await serve({ WEBHOOKS_QUEUE: 2 }, ['--webhook-disconnect', url, '--webhook-key',
      `file:${hookKey}`]);
    for (let n = 0; n < 12; n++) await (await v1(server)).close();
    const m = await see(server, 'linnet_webhook_news_total', 'dropped', n => n > 0);
    assert.ok(value(m, 'linnet_webhook_queue') > 0);
    server.kill('SIGKILL');
    await server.exit();
  });
});

/** Metrics and label values that an expression of PromQL asks for. */
function asked(expression) {
  const found = [];
  for (const [, name, labels = ''] of expression.matchAll(/\b((?:linnet|process)_[a-z0-9_]+)(?:\{([^}]*)\})?/g))
    found.push({ name, labels: [...labels.matchAll(/(\w+)(=~?)"([^"]*)"/g)].map(m => m.slice(1)).filter(([l]) =>
      l !== 'instance') });
  return found;
}

function check(families, expression) {
  const samples = [...families.values()].flatMap(f => f.samples);
  const wants = asked(expression);
  assert.ok(wants.length > 0, `${expression} asks for nothing`);
  for (const { name, labels } of wants) {
    const of = samples.filter(s => s.name === name);
    assert.ok(of.length > 0, `there is no ${name}`);
    for (const [label, how, text] of labels)
      for (const one of how === '=~' ? text.split('|') : [text])
        assert.ok(of.some(s => s.labels[label] === one), `${name} has no ${label}="${one}"`);
  }
  for (const [, by] of expression.matchAll(/\bby \(([^)]*)\)/g))
    for (const label of by.split(',').map(l => l.trim()).filter(l => l !== 'instance'))
      assert.ok(wants.every(({ name }) => samples.some(s => s.name === name && label in s.labels)),
        `no label ${label}: ${expression}`);
}

describe('deploy/', () => {
  it('grafana: every panel asks for what there is', async () => {
    const server = await serve();
    const families = await scrape(server);
    const board = JSON.parse(fs.readFileSync(path.join(ROOT, 'deploy/grafana/linnet.json'), 'utf8'));
    const panels = board.panels.filter(p => p.type !== 'row');
    assert.ok(panels.length >= 20);
    assert.equal(new Set(board.panels.map(p => p.id)).size, board.panels.length);
    for (const panel of panels) for (const { expr } of panel.targets) check(families, expr);
    const shown = new Set(panels.flatMap(p => p.targets.flatMap(t => asked(t.expr).map(a =>
      a.name.replace(/_(bucket|sum|count)$/, '')))));
    const untold = ['linnet_build_info', 'linnet_connections_accepted_total', 'linnet_socket_sends_total',
      'linnet_compression_declined_total',
      'linnet_commands_held_total', 'linnet_commands_unknown_total', 'linnet_keys_forgotten_total',
        'process_virtual_memory_bytes',
      'process_start_time_seconds', 'linnet_client_calls_total', 'linnet_client_replies_stray_total'];
    const missing = [...families.keys()].filter(name => !shown.has(name) && !untold.includes(name));
    assert.deepEqual(missing, [], 'metrics that no panel shows');
    await server.stop();
  });

  it('prometheus: every alert asks for what there is', async () => {
    const server = await serve();
    const families = await scrape(server);
    const rules = fs.readFileSync(path.join(ROOT, 'deploy/prometheus/linnet.rules.yml'), 'utf8');
    const found = [...rules.matchAll(/^ +expr: (.*)$/gm)];
    assert.ok(found.length >= 10);
    assert.equal(found.length, [...rules.matchAll(/- alert: /g)].length);
    for (const [, expression] of found) check(families, expression);
    await server.stop();
  });
});
