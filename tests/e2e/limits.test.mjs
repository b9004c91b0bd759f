// Every limit of docs/guide/limits.md: its option exists, who goes over it is told so clearly, and when to come again
// where that is known, and a counter in /metrics has seen it.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { ROOT, linnet, start, until } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';
import { parse, value } from './lib/prometheus.mjs';

const KEY = 'a-key-for-this-test-0123456789';
const SECRET = 'a secret of the limits, forty bytes long';
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-limits-'));
after(() => fs.rmSync(home, { recursive: true }));
fs.writeFileSync(path.join(home, 'secret'), SECRET, { mode: 0o600 });
const TOKENS = ['--jwt-hmac-secret-file', path.join(home, 'secret'), '--anonymous', 'publish'];

/** One worker, so that what is exact on one is exact here; env: LINNET_ and names of options. */
function serve(env = {}, flags = []) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('LINNET_')));
  const own = Object.fromEntries(Object.entries(env).map(([name, v]) => [`LINNET_${name}`, String(v)]));
  return start(['serve', '--listen', '127.0.0.1:0', '--workers', 1, ...flags],
    { env: { ...clean, LINNET_API_KEY: KEY, ...own } });
}

function ask(server, at, { method = 'GET', body, ...headers } = {}) {
  headers.Authorization = `Bearer ${KEY}`;
  return new Promise((resolve, reject) => {
    http.request(server.http + at, { method, headers, agent: false }, r => {
      let text = '';
      r.setEncoding('utf8').on('data', d => { text += d; });
      r.on('end', () => resolve({ status: r.statusCode, headers: r.headers, body: text }));
    }).on('error', reject).end(body);
  });
}

const scrape = async server => parse((await ask(server, '/metrics')).body);

function token(sub) {
  const b64 = o => Buffer.from(JSON.stringify(o)).toString('base64url');
  const said = `${b64({ alg: 'HS256' })}.${b64({ sub, exp: Math.floor(Date.now() / 1000) + 600 })}`;
  return `${said}.${crypto.createHmac('sha256', SECRET).update(said).digest('base64url')}`;
}

async function v1(server, options) {
  const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1'], options);
  assert.equal((await peer.json()).type, 'welcome');
  return peer;
}

const user = (server, name) => v1(server, { headers: { Authorization: `Bearer ${token(name)}` } });

/** A handshake that is refused: status, and when to come again. */
async function refused(server, status, options) {
  const why = await Peer.open(`${server.url}/ws`, ['linnet.v1'], options).then(() => null, error => error);
  assert.equal(why?.status, status);
  if (status === 429 || status === 503) assert.match(why.headers['retry-after'], /^\d+$/);
}

/** The error that a command of many is answered with. */
async function error(peer, message, code, times = 1) {
  for (let n = 1; n <= times; n++) peer.send({ id: n, ...message });
  for (;;) {
    const said = await peer.json();
    if (said.type !== 'error') continue;
    assert.equal(said.error.code, code);
    assert.ok(said.error.message.length > 0);
    if (code === 111 || code === 108) assert.ok(said.error.retry_after > 0, 'when to come again');
    return said;
  }
}

async function closes(peer, code) {
  assert.equal((await peer.closing(8_000)).code, code);
}

/** What a peer that speaks by hand gets, to the end. */
function raw(server, text, ms = 12_000) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(server.port, '127.0.0.1', () => socket.write(text));
    let got = '';
    socket.setTimeout(ms, () => reject(new Error('no end')));
    socket.on('data', d => { got += d; }).on('error', reject).on('close', () => resolve(got));
  });
}

const status = async (server, text, want) => {
  assert.equal(Number((await raw(server, text)).split(' ')[1]), want);
};

const publish = (channel, data = 1) => ({ type: 'publish', channel, data });
const BIG = 'x'.repeat(30_000);

/** A subscriber who does not read, and enough for it. What the publisher heard last. */
async function stall(server, { until: enough, most = 800 }) {
  const slow = await v1(server);
  slow.send({ type: 'subscribe', id: 1, channel: 'c' });
  await slow.json();
  slow.ws.pause();
  const writer = await v1(server);
  let said;
  for (let n = 1; n <= most; n++) {
    writer.send({ id: n, ...publish('c', BIG) });
    said = await writer.json();
    if (await enough(said)) break;
  }
  return { slow, said };
}

const closedBy = (server, code) => until(async () =>
  value(await scrape(server), 'linnet_connections_closed_total', code) > 0, `a close with ${code}`, 8_000);

const ANY_RATE = { LIMITS_PUBLISH_RATE: 'off' };
const rejects = reason => ['linnet_rejects_total', reason];
const faults = reason => ['linnet_handshake_failures_total', reason];
const errors = name => ['linnet_command_errors_total', name];
const limited = scope => ['linnet_ratelimited_total', scope];
const kinds = kind => ['linnet_ratelimited_commands_total', kind];

/** The row of the guide; what is set for it; the counter; going over it. */
const LIMITS = [
  ['connections of the process', { CONNECTIONS_MAX: 2 }, faults('HTTP_OVERLOAD'), async s => {
    const inside = [await v1(s), await v1(s)];
    await refused(s, 503);
    for (const peer of inside) await peer.close();
  }],
  ['WebSockets of one address', { CONNECTIONS_PER_IP: 1 }, faults('HTTP_TOO_MANY'), async s => {
    await v1(s);
    await refused(s, 429);
  }],
  ['connections of one user', { CONNECTIONS_PER_USER: 1 }, ['linnet_users_full_total'], async s => {
    await user(s, 'anna');
    await closes(await user(s, 'anna'), 3504);
  }, TOKENS],
  ['handshakes of one address', { LIMITS_IP_CONNECT_RATE: 1 }, limited('handshake'), async s => {
    await v1(s);
    await refused(s, 429);
  }],
  ['tokens of one address that are no good', { LIMITS_AUTH_FAILURES: 1 }, faults('HTTP_TOO_MANY'), async s => {
    const bad = { headers: { Authorization: 'Bearer a.b.c' } };
    await refused(s, 401, bad);
    await refused(s, 429, bad);
  }, TOKENS],
  ['request line, head, fields of it', {}, faults('HTTP_LINE_LONG'), s => status(s,
    `GET /${'x'.repeat(5000)} HTTP/1.1\r\n`, 414)],
  ['request line, head, fields of it', {}, faults('HTTP_HEAD_LONG'), s => status(s,
    `GET / HTTP/1.1\r\nx: ${'x'.repeat(9000)}\r\n`, 431)],
  ['request line, head, fields of it', {}, faults('HTTP_FIELDS'), s => status(s,
    `GET / HTTP/1.1\r\n${'x: y\r\n'.repeat(70)}\r\n`, 431)],
  ['from accepting to the end of the head, PROXY header and TLS handshake included', { CONNECTIONS_HEAD_TIME: '200ms' },
    faults('HTTP_TIMEOUT'), s => status(s, 'GET / HTTP/1.1\r\n', 408)],
  ['parameters of a query', {}, faults('HTTP_QUERY'), s => status(s,
    `GET /?${'a=1&'.repeat(70)} HTTP/1.1\r\nHost: x\r\n\r\n`, 400)],
  ['body of a request', {}, faults('HTTP_TIMEOUT'), s => status(s,
    'POST /api/v1/publish HTTP/1.1\r\nHost: 127.0.0.1\r\n' +
    `Authorization: Bearer ${KEY}\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{`, 408)],
  ['a message, inflated', { LIMITS_MESSAGE: '1k' }, rejects('TOO_BIG'), async s => {
    const peer = await v1(s);
    peer.send('x'.repeat(1025));
    await closes(peer, 1009);
  }],
  ['frames of a message, time for it', { LIMITS_FRAGMENTS: 2 }, rejects('FRAGMENTS'), async s => {
    const peer = await v1(s);
    for (let n = 0; n < 3; n++) peer.ws.send('x', { fin: false });
    await closes(peer, 1008);
  }],
  ['frames of a message, time for it', { LIMITS_MESSAGE_TIME: '200ms' }, rejects('MESSAGE_TIMEOUT'), async s => {
    const peer = await v1(s);
    peer.ws.send('x', { fin: false });
    await closes(peer, 1008);
  }],
  ['pings and pongs', { LIMITS_CONTROLS: 1 }, rejects('FLOOD'), async s => {
    const peer = await v1(s);
    for (let n = 0; n < 20; n++) peer.ws.ping();
    await closes(peer, 1008);
  }],
  ['JSON: depth, keys, digits', {}, errors('BAD_REQUEST'), async s => error(await v1(s),
    { type: 'publish', channel: 'c', data: JSON.parse('['.repeat(70) + ']'.repeat(70)) }, 107)],
  ['commands in one frame', { LIMITS_COMMANDS: 2 }, errors('LIMIT_EXCEEDED'), async s => {
    const peer = await v1(s);
    peer.send(JSON.stringify([1, 2, 3].map(id => ({ id, ...publish('c') }))));
    for (let n = 0; n < 2; n++) assert.equal((await peer.json()).error?.code ?? 0, n ? 0 : 106);
  }],
  ['requests not answered yet', { LIMITS_OUTSTANDING: 1 }, ['linnet_commands_held_total'], async s => {
    const peer = await v1(s);
    peer.send(JSON.stringify([1, 2, 3, 4, 5, 6, 7, 8, 9].map(id => ({ id, ...publish('c') }))));
    for (let n = 0; n < 9; n++) assert.equal((await peer.json()).type, 'ok');
  }],
  ['publish', { LIMITS_PUBLISH_RATE: 1, LIMITS_PUBLISH_BURST: 2 }, kinds('publish'), async s => error(await v1(s),
    publish('c'), 111, 3)],
  ['publish', { LIMITS_PUBLISH_RATE: 1, LIMITS_PUBLISH_BURST: 2 }, limited('connection'), async s =>
    error(await v1(s), publish('c'), 111, 3)],
  ['subscribe, unsubscribe', { LIMITS_SUBSCRIBE_RATE: 1, LIMITS_SUBSCRIBE_BURST: 1 }, kinds('subscribe'), async s => {
    const peer = await v1(s);
    peer.send({ type: 'subscribe', id: 8, channel: 'c' });
    await error(peer, { type: 'unsubscribe', channel: 'c' }, 111);
  }],
  ['all else that asks for something: history, presence, calls', { LIMITS_READ_RATE: 1, LIMITS_READ_BURST: 1 },
    kinds('read'),
    async s => error(await v1(s), { type: 'history', channel: 'c' }, 111, 2)],
  ['attempts to authenticate', { LIMITS_AUTH_RATE: 1, LIMITS_AUTH_BURST: 1 }, kinds('auth'), async s =>
    error(await v1(s),
    { type: 'auth', data: { token: token('anna') } }, 111, 2), TOKENS],
  ['channels', { LIMITS_CHANNELS: 1 }, errors('LIMIT_EXCEEDED'), async s => {
    const peer = await v1(s);
    peer.send({ type: 'subscribe', id: 8, channel: 'c' });
    await error(peer, { type: 'subscribe', channel: 'd' }, 106);
  }],
  ['refusals for coming too fast', { LIMITS_PUBLISH_RATE: 1, LIMITS_PUBLISH_BURST: 1, LIMITS_ERRORS: 3 },
    ['linnet_connections_closed_total', '3009'], async s => {
      const peer = await v1(s);
      for (let id = 0; id < 9; id++) peer.send({ id, ...publish('c') });
      await closes(peer, 3009);
    }],
  ['other mistakes', { LIMITS_ERRORS: 3 }, ['linnet_connections_closed_total', '3003'], async s => {
    const peer = await v1(s);
    for (let id = 0; id < 9; id++) peer.send({ id, type: 'subscribe' });
    await closes(peer, 3003);
  }],
  ['publications of a user', { LIMITS_USER_PUBLISH_RATE: 1, LIMITS_USER_PUBLISH_BURST: 2 }, limited('user'),
    async s => {
    await user(s, 'anna').then(p => { p.send(publish('c')); p.send(publish('c')); p.send({ type: 'ping', id: 1 });
      return p.json(); });
    await error(await user(s, 'anna'), publish('c'), 111);
  }, TOKENS],
  ['other commands of a user', { LIMITS_USER_COMMAND_RATE: 1 }, limited('user'), async s =>
    error(await user(s, 'anna'), { type: 'history', channel: 'c' }, 111, 2), TOKENS],
  ['publications of an address', { LIMITS_IP_PUBLISH_RATE: 1, LIMITS_IP_PUBLISH_BURST: 2 }, limited('address'),
    async s =>
    error(await v1(s), publish('c'), 111, 3)],
  ['other commands of an address', { LIMITS_IP_COMMAND_RATE: 1 }, limited('address'), async s =>
    error(await v1(s), { type: 'history', channel: 'c' }, 111, 2)],
  ['bytes that wait for a reader', { ...ANY_RATE, QUEUE_MAX: '64k', QUEUE_HIGH: '32k', QUEUE_LOW: '8k' },
    rejects('SLOW'), async s => {
    const { slow } = await stall(s, { until: async () => value(await scrape(s), 'linnet_rejects_total', 'SLOW') > 0 });
    slow.ws.resume();
    await closes(slow, 3008);
  }],
  ['age of the oldest of them', { ...ANY_RATE, QUEUE_AGE: '300ms' }, rejects('SLOW'), async s => {
    await stall(s, { until: async () => value(await scrape(s), 'linnet_rejects_total', 'SLOW') > 0 });
    await closedBy(s, '3008');
  }],
  ['bytes that wait for all readers together, each message once per worker', { ...ANY_RATE, QUEUE_TOTAL: '64k',
    LIMITS_ERRORS: 1000 },
    ['linnet_publications_put_off_total'], async s => {
      const { said } = await stall(s, { until: got => got.type === 'error' });
      assert.deepEqual([said.error.code, said.error.retry, said.error.retry_after], [108, true, 1000]);
      await closedBy(s, '3008');
      assert.equal(value(await scrape(s), 'linnet_budget_cuts_total'), 1);
    }],
  ['silence', { HEARTBEAT_PING: '1s', HEARTBEAT_PONG: '100ms' }, ['linnet_connections_closed_total', '3012'],
    async s => {
    await v1(s, { autoPong: false });
    await closedBy(s, '3012');
  }],
  ['name of a channel', {}, errors('BAD_REQUEST'), async s => error(await v1(s), publish('no name'), 107)],
  ['histories of all channels', { ...ANY_RATE, HISTORY_ALL: '64k' }, ['linnet_history_evictions_total'], async s => {
    const peer = await v1(s);
    for (let n = 1; n <= 4; n++) {
      peer.send({ id: n, ...publish(`c${n}`, BIG) });
      await peer.json();
    }
    peer.send({ type: 'history', id: 9, channel: 'c1' });
    assert.deepEqual((await peer.json()).publications ?? [], []);
  }],
  ['channels of a worker', { CHANNELS_MAX: 1 }, errors('LIMIT_EXCEEDED'), async s => {
    const peer = await v1(s);
    peer.send({ type: 'subscribe', id: 8, channel: 'c' });
    await peer.json();
    await error(peer, { type: 'subscribe', channel: 'd' }, 106);
  }],
];

/** Rows of the guide that nobody is refused for, or that are shown elsewhere, and why. */
const OTHERS = {
  'read per connection and turn': 'the rest waits for the next turn: threats T077',
  'calls of the server that it has not answered': 'the program is refused: src/session/callout_test.c',
  'compression windows of a worker': '256 MiB of them: threats T064; linnet_compression_declined_total',
  "bytes after which the reader's own commands wait": 'it is not read meanwhile: linnet_connections_stalled',
  'unsent bytes in the kernel': 'they wait in the queue: threats T074',
  'unacknowledged data of a vanished peer': 'the kernel drops it: threats T050',
  'positions of channels nobody is in': 'a new epoch: src/broker/memory_test.c; linnet_positions_forgotten_total',
  'history of a channel': 'the oldest go, as they are meant to: src/broker/memory_test.c',
};

/** Options and defaults of lib/limits.h that are no limits of the guide, or one under another name. */
const INTERNAL = {
  LN_LIM_UNKNOWN_MESSAGE: 'a message, before a login: threats T102', LN_LIM_MESSAGE_CLIENT: 'of our own client',
  LN_LIM_MESSAGE_CEILING: 'of the type', LN_LIM_CLOSE_MS: 'heartbeat.close', LN_LIM_LINGER_MS: 'behind a Close',
  LN_LIM_THRESHOLD: 'deflate.threshold', LN_LIM_DRAIN_MS: 'drain.time', LN_LIM_RETURN_RATE: 'drain.rate',
  LN_LIM_RETURN_MS: 'of drain.rate', LN_LIM_TOPICS: 'of the library', LN_LIM_PROXIES: 'of proxies.trusted',
  LN_LIM_WORKERS: 'of workers', LN_LIM_SPARE_FDS: 'connections.max', LN_LIM_SLOTS: 'of a handle',
  LN_LIM_ADOPTED: 'of the library', LN_LIM_DIAL_MS: 'of our own client', LN_LIM_CALL_MS: 'of calls to clients',
    LN_LIM_CALL_MS_MAX: 'likewise', LN_LIM_MAIL: 'between workers',
  LN_LIM_MAIL_BYTES: 'between workers', LN_LIM_MAIL_LOOK: 'between workers', LN_LIM_BODY: 'of the library',
};
const NAMED = {
  LN_LIM_MESSAGE: 'limits.message', LN_LIM_FRAGMENTS: 'limits.fragments', LN_LIM_QUEUED: 'queue.max',
  LN_LIM_QUEUED_AGE: 'queue.age', LN_LIM_HIGH: 'queue.high', LN_LIM_LOW: 'queue.low', LN_LIM_PING: 'heartbeat.ping',
  LN_LIM_PONG: 'heartbeat.pong', LN_LIM_MESSAGE_MS: 'limits.message_time', LN_LIM_CONTROLS: 'limits.controls',
  LN_LIM_HEAD_MS: 'connections.head_time', LN_LIM_NOTSENT_LOWAT: 'tcp.notsent_lowat',
  LN_LIM_USER_TIMEOUT: 'tcp.user_timeout', LN_LIM_AUTH_FAILURES: 'limits.auth_failures',
};

const guide = fs.readFileSync(path.join(ROOT, 'docs/guide/limits.md'), 'utf8').split('\n')
  .filter(line => /^\| [^|]+\|[^|]*\|[^|]*\|[^|]*\|$/.test(line) && !/^\| limit \|/.test(line))
  .map(line => line.split('|').slice(1, -1).map(cell => cell.trim()));
const optionsOf = cell => [...cell.matchAll(/`([a-z_.]+)`/g)].map(m => m[1]);

describe('the guide to limits', () => {
  it('knows options that exist, and no limit without a row here', async () => {
    const { stdout } = await linnet(['config', 'doc', '--json']).then(r => r.code === 0 ? r : linnet(['config',
      'doc']));
    assert.ok(guide.length > 30);
    const rows = new Set([...LIMITS.map(([name]) => name), ...Object.keys(OTHERS)]);
    for (const [name, , options] of guide) {
      assert.ok(rows.delete(name) || LIMITS.some(([n]) => n === name) || name in OTHERS, `no row for '${name}'`);
      for (const option of optionsOf(options)) assert.ok(stdout.includes(option), `there is no ${option}`);
    }
    assert.deepEqual([...rows], [], 'rows that the guide does not know');
  });

  it('has all of lib/limits.h', () => {
    const header = fs.readFileSync(path.join(ROOT, 'src/lib/limits.h'), 'utf8');
    const options = new Set(guide.flatMap(([, , cell]) => optionsOf(cell)));
    for (const [, name] of header.matchAll(/#define (LN_LIM_\w+)/g)) {
      if (name in INTERNAL) continue;
      assert.ok(name in NAMED, `what is ${name}?`);
      assert.ok(options.has(NAMED[name]), `${NAMED[name]} is not in the guide`);
    }
  });

  it('names options that the rows set', () => {
    for (const [name, env] of LIMITS) {
      const options = guide.filter(row => row[0] === name).flatMap(row => optionsOf(row[2]));
      const set = Object.keys(env).map(key => key.toLowerCase().replace('_', '.'));
      if (options.length) assert.ok(set.some(one => options.includes(one)) || name === 'publish', `${name}: ${set}`);
    }
  });
});

describe('over a limit', { concurrency: 4 }, () => {
  for (const [name, env, metric, go, flags] of LIMITS) {
    it(`${name}: ${metric.join(' ')}`, async () => {
      const server = await serve(env, flags);
      assert.equal(value(await scrape(server), ...metric), 0);
      await go(server);
      await until(async () => {
        const answer = await ask(server, '/metrics');
        return answer.status === 200 && value(parse(answer.body), ...metric) > 0;
      }, `${metric} to count`);
      server.kill('SIGKILL');
      await server.exit();
    });
  }
});
