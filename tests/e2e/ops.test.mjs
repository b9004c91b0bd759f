// What operators ask of `linnet serve`: keys, metrics, status.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { BINARY, HERE, PYTHON, Program, ROOT, linnet, run as command, start, until } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';
import { parse, value } from './lib/prometheus.mjs';

const KEY = 'a-key-for-this-test-0123456789';
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-ops-'));
after(() => fs.rmSync(home, { recursive: true }));

const OTHERS = ['RUNTIME_DIRECTORY', 'CREDENTIALS_DIRECTORY', 'LINNET_API_KEY', 'WATCHDOG_USEC', 'WATCHDOG_PID'];

/** Without keys of whoever runs the tests, and with a runtime folder of our own. */
function environment(more = {}) {
  const env = { ...process.env, XDG_RUNTIME_DIR: home, ...more };
  for (const name of OTHERS) if (!(name in more)) delete env[name];
  return env;
}

const serve = (flags = [], env = { LINNET_API_KEY: KEY }) =>
  start(['serve', '--listen', '127.0.0.1:0', '--workers', 2, ...flags], { env: environment(env) });
const run = (args, env = {}) => linnet(args, { env: environment(env) });

function ask(server, at, { method = 'GET', key, ...headers } = {}) {
  if (key) headers.Authorization = `Bearer ${key}`;
  return new Promise((resolve, reject) => {
    http.request(server.http + at, { method, headers, agent: false }, r => {
      let body = '';
      r.setEncoding('utf8').on('data', d => { body += d; });
      r.on('end', () => resolve({ status: r.statusCode, headers: r.headers, body }));
    }).on('error', reject).end();
  });
}

const scrape = async (server, key = KEY) => parse((await ask(server, '/metrics', { key })).body);

describe('the key', () => {
  it('is made when there is none, kept for this user alone, and taken away', async () => {
    const server = await serve([], {});
    const [, file] = await server.says(/cat (\S+)\)"/, { stream: 'stderr' });
    assert.equal(file, path.join(home, 'linnet', `${server.port}.key`));
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    const key = fs.readFileSync(file, 'utf8').trim();
    assert.match(key, /^[0-9a-f]{48}$/);
    assert.ok(!server.stderr.includes(key), 'stderr is no terminal: it may be kept for long');
    assert.equal((await ask(server, '/metrics', { key })).status, 200);
    await server.stop();
    assert.equal(fs.existsSync(file), false);
  });

  for (const [why, headers, want] of [
    ['none', {}, 401],
    ['a wrong one', { key: 'x'.repeat(30) }, 401],
    ['the beginning of it', { key: KEY.slice(0, -1) }, 401],
    ['in another scheme', { Authorization: `Basic ${KEY}` }, 401],
    ['the right one', { key: KEY }, 200],
    ['the right one, by a name that is not ours', { key: KEY, Host: 'evil.test' }, 421],
    ['the right one, by a name that was added', { key: KEY, Host: 'metrics.example:80' }, 200],
  ]) {
    it(`${why}: ${want}`, async () => {
      const server = await serve(['--api-host', 'metrics.example']);
      const answer = await ask(server, '/metrics', headers);
      assert.equal(answer.status, want);
      if (want === 401) assert.match(answer.headers['www-authenticate'], /^Bearer/);
      await server.stop();
    });
  }

  it('in the address is none', async () => {
    const server = await serve();
    assert.equal((await ask(server, `/metrics?key=${KEY}&access_token=${KEY}`)).status, 401);
    await server.stop();
  });

  it('from a file, with what it may do', async () => {
    const file = path.join(home, 'keys');
    fs.writeFileSync(file, `# two\n${KEY}-metrics metrics scraper\n${KEY}-publish publish\n`, { mode: 0o600 });
    const server = await serve(['--key-file', file], {});
    assert.equal((await ask(server, '/metrics', { key: `${KEY}-metrics` })).status, 200);
    assert.equal((await ask(server, '/metrics', { key: `${KEY}-publish` })).status, 403);
    await server.stop();
    fs.chmodSync(file, 0o644);
    const { code, stderr } = await run(['serve', '--listen', '127.0.0.1:0', '--key-file', file]);
    assert.equal(code, 1);
    assert.match(stderr, /can be read by everybody/);
    assert.ok(!stderr.includes(KEY));
  });

  it('T162 is in nothing that the server shows of itself', async () => {
    const server = await serve(['--log-level', 'debug']);
    await ask(server, '/metrics', { key: KEY });
    await ask(server, `/metrics?key=${KEY}`);
    await ask(server, '/none', { key: KEY });
    const shown = ['environ', 'cmdline'].map(name => fs.readFileSync(`/proc/${server.pid}/${name}`, 'utf8'));
    const { body } = await ask(server, '/metrics', { key: KEY });
    await server.stop();
    for (const text of [...shown, body, server.stdout, server.stderr]) assert.ok(!text.includes(KEY));
  });
});

describe('what is in memory', () => {
  const anybody = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};
  for (const [why, more, dumpable] of [
    ['T162 is for nobody: no core, no reading', {}, false],
    ['T162 but for whoever asked', { LINNET_CORE_DUMPS: '1' }, true],
    ['T162 which is said with a 1', { LINNET_CORE_DUMPS: '0' }, false],
  ]) {
    it(why, async () => {
      const env = environment({ LINNET_API_KEY: KEY, ...more });
      if (!('LINNET_CORE_DUMPS' in more)) delete env.LINNET_CORE_DUMPS;
      const child = spawn(BINARY, ['serve', '--listen', '127.0.0.1:0', '--workers', '1'],
        { env, cwd: '/', stdio: ['ignore', 'pipe', 'ignore'], ...anybody });
      await once(child.stdout, 'data');
      // The kernel gives the files of a process that is not dumpable to root.
      assert.equal(fs.statSync(`/proc/${child.pid}/environ`).uid !== 0, dumpable);
      child.kill('SIGTERM');
      assert.deepEqual(await once(child, 'exit'), [0, null]);
    });
  }
});

describe('/metrics', () => {
  it('is what Prometheus reads, in both formats, with the same rows', async () => {
    const server = await serve();
    const plain = await ask(server, '/metrics', { key: KEY });
    assert.equal(plain.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    const open = await ask(server, '/metrics', { key: KEY, Accept: 'application/openmetrics-text; version=1.0.0' });
    assert.equal(open.headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
    const names = families =>
      [...families.values()].flatMap(f => f.samples.map(s => s.name + JSON.stringify(s.labels)));
    assert.deepEqual(names(parse(open.body, { open: true })), names(parse(plain.body)));
    await server.stop();
  });

  it('counts what happens, and no row comes or goes', async () => {
    const server = await serve();
    const before = await scrape(server);
    const v1 = await Peer.open(`${server.url}/ws`, ['linnet.v1']);
    await v1.json();
    v1.send({ type: 'subscribe', id: 1, channel: 'a-name-of-a-channel' });
    assert.equal((await v1.json()).type, 'ok');
    v1.send({ type: 'publish', channel: 'a-name-of-a-channel', data: 1 });
    assert.equal((await v1.json()).type, 'message');
    const gone = await Peer.open(`${server.url}/ws`, ['linnet.topic']);
    await gone.close();
    await Peer.open(`${server.url}/nowhere`).catch(() => {});
    const now = await until(async () => {
      const m = await scrape(server);
      const closed = code => value(m, 'linnet_connections_closed_total', code);
      return closed('1005') + closed('1000') === 1 && m;
    }, 'the close to be counted');
    assert.equal(value(now, 'linnet_connections', 'v1'), 1);
    assert.equal(value(now, 'linnet_connections', 'topic'), 0);
    assert.equal(value(now, 'linnet_connections_opened_total'), 2);
    assert.equal(value(now, 'linnet_channels'), 1);
    assert.equal(value(now, 'linnet_subscriptions'), 1);
    assert.equal(value(now, 'linnet_publications_total'), 1);
    assert.equal(value(now, 'linnet_deliveries_total'), 1);
    assert.equal(value(now, 'linnet_publish_duration_seconds_count'), 1);
    assert.equal(value(now, 'linnet_handshake_failures_total', 'HTTP_NOT_FOUND'), 1);
    assert.ok(value(now, 'process_resident_memory_bytes') > 1e6);
    assert.ok(Math.abs(value(now, 'process_start_time_seconds') - Date.now() / 1000) < 600);
    assert.deepEqual([...now.keys()], [...before.keys()]);
    for (const [name, family] of now) assert.equal(family.samples.length, before.get(name).samples.length, name);
    await v1.close();
    await server.stop();
  });

  it('feels how late the workers are', async () => {
    const server = await serve();
    await until(async () => value(await scrape(server), 'linnet_event_loop_lag_seconds_count') >= 2, 'a pulse');
    assert.equal(value(await scrape(server), 'linnet_workers_stuck'), 0);
    await server.stop();
  });

  it('T161 has no row that is made of what somebody said', async () => {
    const server = await serve();
    const marker = 'x-marker\u001b[31m';
    const headers = { 'User-Agent': 'x-marker' };
    const peer = await Peer.open(`${server.url}/ws/x-marker`, ['linnet.v1'], { headers });
    await peer.json();
    peer.send({ type: 'subscribe', id: 'x-marker', channel: 'x-marker' });
    peer.send({ type: marker, id: 2, channel: marker });
    await peer.json();
    await peer.json();
    await ask(server, '/x-marker%0d%0a%1b[31m?x-marker');
    assert.ok(!(await ask(server, '/metrics', { key: KEY })).body.includes('x-marker'));
    await peer.close();
    await server.stop();
  });
});

describe('linnet status', () => {
  it('finds the key of a server of this user', async () => {
    const server = await serve([], {});
    await server.says(/cat \S+\)"/, { stream: 'stderr' });
    const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1']);
    const { code, stdout, stderr } = await run(['status', '--url', server.http]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^linnet \d+\.\d+\.\d+, up \d+ s, 2 workers\n/);
    assert.match(stdout, /^connections +\d+: v1 1/m);
    assert.match(stdout, /^WebSockets +1 opened$/m);
    await peer.close();
    await server.stop();
  });

  it('takes it from LINNET_API_KEY and from a file, and says all as JSON', async () => {
    const server = await serve();
    const file = path.join(home, 'one-key');
    fs.writeFileSync(file, `${KEY}\n`, { mode: 0o600 });
    for (const [args, env] of [
      [[], { LINNET_API_KEY: KEY }], [['--key-file', file], {}],
      [['--key-file', file], { LINNET_API_KEY: `${KEY}-not` }],
    ]) {
      const { code, stdout, stderr } = await run(['status', '--json', '--url', server.http, ...args], env);
      assert.equal(code, 0, stderr);
      const all = JSON.parse(stdout);
      assert.equal(all.linnet_workers, 2);
      assert.equal(all.linnet_connections.v1, 0);
    }
    await server.stop();
  });

  it('over a Unix socket', async () => {
    const door = path.join(home, 'door');
    const server = new Program(BINARY, ['serve', '--listen', `unix:${door}`], { env: environment() });
    await server.says(/cat \S+\)"/, { stream: 'stderr' });
    const { code, stderr } = await run(['status', '--url', `unix:${door}`]);
    assert.equal(code, 0, stderr);
    await server.stop();
  });

  it('says what is wrong', async () => {
    const server = await serve();
    for (const [args, env, want, words] of [
      [['--url', server.http], {}, 1, /wants a key/],
      [['--url', server.http], { LINNET_API_KEY: `${KEY}x` }, 1, /answers 401/],
      [['--url', 'http://127.0.0.1:1'], {}, 1, /cannot reach/],
      [['--url', 'https://example'], {}, 2, /no address/],
      [['--url', server.http, '--key-file', '/nowhere'], {}, 1, /cannot read/],
    ]) {
      const { code, stdout, stderr } = await run(['status', ...args], env);
      assert.deepEqual([code, stdout], [want, ''], stderr);
      assert.match(stderr, words);
    }
    await server.stop();
  });
});

/** Opens so many sessions of linnet.v1, and notes what becomes of them. */
async function crowd(server, count) {
  const opened = Array.from({ length: count }, () => Peer.open(`${server.url}/ws`, ['linnet.v1']));
  const peers = await Promise.all(opened);
  for (const peer of peers) assert.equal((await peer.json()).type, 'welcome');
  return peers;
}

describe('drain', () => {
  it('T163 sends a crowd away in waves, each with a moment to come back, and leaves with 0', async () => {
    const server = await serve(['--drain-rate', 200, '--drain-time', 10]);
    const peers = await crowd(server, 400);
    const from = Date.now();
    server.kill('SIGTERM');
    const ends = await Promise.all(peers.map(async peer => {
      const goaway = await peer.json();
      const { code } = await peer.closing();
      return { goaway, code, at: Date.now() - from };
    }));
    for (const { goaway, code } of ends) {
      assert.deepEqual([goaway.type, goaway.reason, code], ['goaway', 'draining', 1012]);
      assert.ok(goaway.after_ms >= 0 && goaway.after_ms <= 4_000, `${goaway.after_ms}`);
    }
    const seconds = [0, 0, 0, 0];
    for (const { at } of ends) seconds[Math.min(3, Math.floor(at / 500))]++;
    assert.ok(Math.max(...seconds) <= 200, `${seconds}: about 100 in each half second`);
    const returns = ends.map(e => e.goaway.after_ms).sort((a, b) => a - b);
    assert.ok(returns[300] - returns[100] > 500, 'they do not come back together');
    await server.stop();
  });

  it('T163 is not ready first, and serves on for the lead', async () => {
    const server = await serve(['--drain-lead', '60']);
    assert.equal((await ask(server, '/readyz')).status, 200);
    server.kill('SIGTERM');
    const refused = await until(async () => {
      const answer = await ask(server, '/readyz');
      return answer.status === 503 && answer;
    }, 'it to be not ready');
    assert.equal(refused.body, 'draining\n');
    assert.equal((await ask(server, '/healthz')).status, 200);
    const [late] = await crowd(server, 1);
    late.send({ type: 'ping', id: 1 });
    assert.equal((await late.json()).type, 'pong');
    assert.equal(value(await scrape(server), 'linnet_draining'), 1);
    server.kill('SIGTERM'); // a second one does not wait
    const { code } = await server.exit();
    assert.equal(code, 0);
  });

  for (const [word, want] of [['1012', 1012], ['1001', 1001], ['3001', 3001]]) {
    it(`closes with ${word} when told so`, async () => {
      const server = await serve(['--drain-code', word]);
      const [peer] = await crowd(server, 1);
      server.kill('SIGTERM');
      assert.equal((await peer.closing()).code, want);
      await server.stop();
    });
  }

  it('can be planned and begun by linnet drain', async () => {
    const server = await serve(['--drain-rate', 10, '--drain-lead', '1500ms']);
    const peers = await crowd(server, 5);
    const plan = await run(['drain', '--plan', '--json', '--url', server.http], { LINNET_API_KEY: KEY });
    assert.equal(plan.code, 0, plan.stderr);
    const { connections, ...rest } = JSON.parse(plan.stdout);
    assert.ok(connections === 5 || connections === 6, 'with or without who asks');
    assert.deepEqual({ ...rest, spread_ms: 0 }, {
      draining: false, rate: 10, lead_ms: 1500, spread_ms: 0, window_ms: 1000, drain_ms: 30000,
    });
    const words = await run(['drain', '--plan', '--url', server.http], { LINNET_API_KEY: KEY });
    assert.match(words.stdout, /serving for 1\.5 s while[^]*closed over 0\.[56] s[^]*within 1 s/);
    for (let i = 0; i < 2; i++) { // the second one hurries nobody
      const { code, stdout } = await run(['drain', '--url', server.http], { LINNET_API_KEY: KEY });
      assert.equal(code, 0);
      assert.match(stdout, /^draining /);
    }
    for (const peer of peers) assert.equal((await peer.json()).type, 'goaway');
    for (const peer of peers) assert.equal((await peer.closing()).code, 1012);
    assert.equal((await server.exit()).code, 0);
  });

  it('is for keys that may operate', async () => {
    const file = path.join(home, 'drain-keys');
    fs.writeFileSync(file, `${KEY}-metrics metrics\n${KEY}-operate operate,metrics\n`, { mode: 0o600 });
    const server = await serve(['--key-file', file], {});
    const type = { 'Content-Type': 'application/json' };
    const post = headers => ask(server, '/api/v1/drain', { method: 'POST', ...headers });
    assert.equal((await post({ ...type })).status, 401);
    assert.equal((await post({ ...type, key: `${KEY}-metrics` })).status, 403);
    assert.equal((await ask(server, '/api/v1/drain', { key: `${KEY}-metrics` })).status, 200);
    assert.equal((await post({ key: `${KEY}-operate`, 'Content-Type': 'text/plain' })).status, 415);
    assert.equal((await ask(server, '/readyz')).status, 200);
    assert.equal((await post({ ...type, key: `${KEY}-operate` })).status, 202);
    assert.equal((await server.exit()).code, 0);
  });
});

describe('the log', () => {
  const lines = text => text.split('\n').filter(line => line.startsWith('{')).map(line => JSON.parse(line));

  for (const [format, pattern] of [
    ['json', /^\{"ts":"\d{4}-\d\d-\d\dT[\d:.]+Z","level":"info","event":"refused",.*"conn":"[0-9a-f]{16}"\}$/m],
    ['logfmt', /^ts=\S+Z level=info event=refused reason=HTTP_NOT_FOUND code=404 peer=127\S+ worker=[01] conn=\S+$/m],
    ['human', /^[\d:.]{12} info {2}refused reason=HTTP_NOT_FOUND code=404 peer=127\S+ worker=[01] conn=\S{16}$/m],
    ['auto', /^\{"ts":/m],
  ]) {
    it(`as ${format}`, async () => {
      const server = await serve(['--log-level', 'info', '--log-format', format]);
      await ask(server, '/none');
      await server.says(pattern, { stream: 'stderr' });
      await server.stop();
    });
  }

  it('T078 T093 T161 of a flood: a hundred lines a second, the rest counted, and nothing that was said', async () => {
    const server = await serve(['--log-level', 'debug']);
    const from = Date.now();
    for (let i = 0; i < 10; i++) {
      await Promise.all(Array.from({ length: 50 }, () =>
        ask(server, '/none%0d%0a%1b[31m?token=s3cr3t&access_token=s3cr3t', { 'User-Agent': 's3cr3t' })));
    }
    const seconds = Math.ceil((Date.now() - from) / 1000) + 1;
    await new Promise(resolve => setTimeout(resolve, 1000 - (Date.now() % 1000))); // of the next second
    for (let i = 0; i < 40; i++) await ask(server, '/none'); // each worker has its turn
    await server.stop();
    const told = lines(server.stderr);
    const refused = told.filter(line => line.event === 'refused').length;
    const hidden = told.filter(line => line.event === 'suppressed' || line.event === 'lost')
      .reduce((sum, line) => sum + line.lines, 0);
    assert.ok(refused <= 101 * seconds + 40, `${refused} in ${seconds} s, and 40 in another`);
    assert.equal(refused + hidden, 540);
    assert.ok(!server.stderr.includes('s3cr3t') && !server.stderr.includes('\u001b') && !server.stderr.includes('31m'));
  });

  it('stops nobody when stderr is a pipe that nobody reads', async () => {
    const server = await serve(['--log-level', 'debug']);
    server.child.stderr.pause();
    server.child.stderr.removeAllListeners('data');
    for (let i = 0; i < 40; i++) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => ask(server, '/none')));
      for (const { status } of answers) assert.equal(status, 404);
    }
    assert.equal((await ask(server, '/healthz')).status, 200);
    server.child.stderr.resume();
    await server.stop();
  });
});

describe('under a manager', () => {
  it('T175 sends beats while its workers turn, and not less after it was stopped as a whole', async () => {
    const serving = [BINARY, 'serve', '--listen', '127.0.0.1:0'];
    const manager = new Program(PYTHON, [path.join(HERE, 'peers/watchdog.py'), ...serving], { env: environment() });
    const { code, stdout, stderr } = await manager.exit();
    assert.equal(code, 0, stderr);
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      'READY=1', 'WATCHDOG=1 often enough', 'WATCHDOG=1', 'STOPPING=1',
      'EXTEND_TIMEOUT_USEC=35000000 STATUS=draining 0 connections', 'left with 0',
    ]);
    assert.ok(!stderr.includes('stuck'), stderr);
  });

  it('T170 keeps its clients when it was stopped for longer than they may be silent', async () => {
    const server = await serve([], { LINNET_API_KEY: KEY, LINNET_HEARTBEAT_PING: '1s', LINNET_HEARTBEAT_PONG: '1s' });
    const peers = await Promise.all(Array.from({ length: 100 }, () => Peer.open(`${server.url}/ws`)));
    server.kill('SIGSTOP');
    await new Promise(resolve => setTimeout(resolve, 3_500)); // a ping, a pong and more
    server.kill('SIGCONT');
    await new Promise(resolve => setTimeout(resolve, 1_500)); // it judges when the next ping is due
    const left = peers.filter(peer => !peer.end).length;
    assert.ok(left >= 99, `${left} of 100`);
    assert.equal(value(await scrape(server), 'linnet_workers_stuck'), 0);
    peers.forEach(peer => peer.ws.terminate());
    await server.stop();
  });

  it('has a unit that lets it do little else', { skip: !fs.existsSync('/usr/bin/systemd-analyze') }, () => {
    const unit = path.join(ROOT, 'deploy/systemd/linnet.service');
    const args = ['security', '--offline=true', '--threshold=20', unit];
    const { status, stdout, stderr } = command('systemd-analyze', args);
    assert.equal(status, 0, stdout + stderr);
  });
});

describe('why', () => {
  const why = (server, ...args) => run(['why', '--url', server.http, ...args], { LINNET_API_KEY: KEY });

  it('tells people who closed a connection, what that means and what to do', async () => {
    const server = await serve();
    const peer = await Peer.open(`${server.url}/ws/ann`, ['linnet.v1']);
    await peer.next();
    const open = await why(server, 'ann');
    assert.equal(open.code, 1);
    assert.match(open.stderr, /it may be open still/);
    peer.ws._socket.resetAndDestroy();
    await until(async () => (await why(server, 'ann')).code === 0, 'the end to be known');
    const { stdout } = await why(server, 'ann');
    assert.match(stdout, /  ann\n  closed      1006 by the network/);
    assert.match(stdout, /meaning     the connection broke: .*\n  what to do  .*proxies/);
    assert.match(stdout, /connection  from 127\.0\.0\.1, v1, open for \d.*, \d+ bytes in, \d+ out\n/);
    const [line] = (await why(server, '--json', '--client', 'ann')).stdout.split('\n');
    assert.equal(JSON.parse(line).by, 'network');
    assert.equal((await why(server, '--user', 'ann')).code, 1, 'that is no user');
    await server.stop();
  });

  it('T161 what others have made up is printed without control characters', async () => {
    const server = await serve();
    const peer = await Peer.open(`${server.url}/ws/evil`, ['linnet.v1']);
    await peer.next();
    peer.ws.close(4001, '\u001b[31m\r\nlinnet: all is well');
    await peer.closing();
    await until(async () => (await why(server, 'evil')).code === 0, 'the end to be known');
    for (const flags of [[], ['--json']]) {
      const { stdout } = await why(server, ...flags, 'evil');
      assert.ok(!stdout.includes('\u001b') && !stdout.includes('\nlinnet'), stdout);
      assert.match(stdout, /\\u001b\[31m\\r\\nlinnet: all is well/);
    }
    await server.stop();
  });

  it('needs a key that may read; wrong use leaves with 2', async () => {
    const file = path.join(home, 'why-keys');
    fs.writeFileSync(file, `${KEY}-metrics metrics\n${KEY}-read read\n`, { mode: 0o600 });
    const server = await serve(['--key-file', file], {});
    const ask = key => run(['why', '--url', server.http], { LINNET_API_KEY: `${KEY}-${key}` });
    assert.match((await ask('metrics')).stderr, /403/);
    assert.match((await ask('read')).stderr, /none has ended yet/);
    for (const args of [['a', 'b'], ['--user', 'a', 'b'], ['--limit', '0']])
      assert.equal((await run(['why', ...args])).code, 2);
    await server.stop();
  });
});

describe('tail', () => {
  const lines = program => program.stdout.trimEnd().split('\n').map(line => JSON.parse(line));
  async function follow(server, ...args) {
    const program = new Program(BINARY, ['tail', '--url', server.http, '--json', ...args],
      { env: environment({ LINNET_API_KEY: KEY }) });
    // It follows when it has seen what somebody else did: there is no other word of it.
    await until(async () => {
      const peer = await Peer.open(`${server.url}/ws/probe`, ['linnet.v1']);
      peer.send({ type: 'subscribe', id: 1, channel: 'probe' });
      await peer.json(); await peer.json();
      await peer.close();
      return args.some(a => ['--user', '--channel', '--client'].includes(a)) || program.stdout.includes('"probe"');
    }, 'the tail to follow');
    return program;
  }

  it('shows who comes, what they do and why they go, on every worker', async () => {
    const server = await serve();
    const tail = await follow(server);
    for (let n = 0; n < 4; n++) {
      const peer = await Peer.open(`${server.url}/ws/t${n}`, ['linnet.v1']);
      await peer.json();
      peer.send({ type: 'subscribe', id: 1, channel: 'news' });
      await peer.json();
      peer.send({ type: 'publish', id: 2, channel: 'news', event: 'said', data: 'a secret' });
      await peer.json(); await peer.json();
      peer.send({ type: 'dance', id: 3 });
      await peer.json();
      peer.send({ type: 'unsubscribe', id: 4, channel: 'news' });
      await peer.json();
      await peer.close(4001, 'enough');
    }
    await until(() => (tail.stdout.match(/"t3".*4001/) ?? []).length, 'the last one to go');
    tail.kill('SIGINT');
    assert.equal((await tail.exit()).code, 130);
    const of = name => lines(tail).filter(e => e.client === name)
      .map(({ ts, address, epoch, offset, open_ms, ...e }) => e);
    for (let n = 0; n < 4; n++) {
      const seen = of(`t${n}`);
      const by = kind => seen.filter(e => e.event === kind);
      const who = { client: `t${n}`, dialect: 'v1' };
      assert.deepEqual(by('connect'), [{ event: 'connect', ...who }]);
      assert.deepEqual(by('subscribe'), [{ event: 'subscribe', ...who, channel: 'news' }]);
      assert.deepEqual(by('publish'), [{ event: 'publish', client: `t${n}`, channel: 'news', name: 'said', size: 10 }]);
      assert.deepEqual(by('error').map(e => [e.code, e.name]), [[104, 'unknown_type']]);
      assert.deepEqual(by('unsubscribe'), [{ event: 'unsubscribe', ...who, channel: 'news' }]);
      const [gone] = by('disconnect');
      assert.deepEqual([gone.code, gone.by, gone.reason], [4001, 'client', 'enough']);
      assert.ok(gone.meaning && gone.advice);
    }
    assert.ok(!tail.stdout.includes('a secret'));
    await server.stop();
  });

  it('only what is asked for; data with --data and a key that may read; --count ends it', async () => {
    const server = await serve();
    const tail = await follow(server, '--channel', 'mine', '--data', '--count', 2);
    for (const [channel, data] of [['other', 1], ['mine', { n: 2 }], ['mine', 'x'.repeat(5000)]])
      await order(server, 'publish', { channel, data });
    const { code } = await tail.exit();
    assert.equal(code, 0, tail.stderr);
    const [first, second] = lines(tail);
    assert.deepEqual([first.channel, first.data, first.offset], ['mine', { n: 2 }, 1]);
    assert.deepEqual([second.data, second.data_begins.length, second.size], [undefined, 4096, 5002]);
    const words = new Program(BINARY, ['tail', '--url', server.http, '--count', '1', '--channel', 'mine'],
      { env: environment({ LINNET_API_KEY: KEY }) });
    const say = setInterval(() => order(server, 'publish', { channel: 'mine', event: 'a b', data: 1 }), 50);
    const said = await words.exit();
    clearInterval(say);
    assert.match(said.stdout,
      /^\d\d:\d\d:\d\d\.\d{3}  publish +channel=mine name="a b" size=1 epoch=\w{16} offset=\d+\n$/);
    await server.stop();
  });

  it('needs a key that may operate, and for data one that may read', async () => {
    const file = path.join(home, 'tail-keys');
    fs.writeFileSync(file, `${KEY}-read read\n${KEY}-operate operate\n`, { mode: 0o600 });
    const server = await serve(['--key-file', file], {});
    const tail = (key, ...args) =>
      run(['tail', '--url', server.http, ...args], { LINNET_API_KEY: `${KEY}-${key}` });
    assert.match((await tail('read')).stderr, /403.*may not do that/);
    assert.match((await tail('operate', '--data')).stderr, /403.*not read/);
    assert.equal((await tail('operate', 'ann')).code, 2);
    await server.stop();
  });

  it('refusals and limits are seen, and who comes behind a backend that says no', async () => {
    const server = await serve();
    const tail = await follow(server);
    await ask(server, '/nothing%00');
    const peer = await Peer.open(`${server.url}/ws/fast`, ['linnet.v1']);
    for (let n = 0; n < 250; n++) peer.send({ type: 'publish', id: n, channel: 'x', data: n });
    await tail.says(/"event":"error".*"client":"fast".*"code":111,"name":"rate_limited"/);
    await tail.says(/"event":"refused","address":"127\.0\.0\.1:\d+","code":400,"reason":"HTTP_/);
    await server.stop();
    assert.equal((await tail.exit()).code, 1);
    assert.match(tail.stderr, /ended it|any more/);
  });

  it('who does not read misses lines and is told how many; the others do not wait', async () => {
    const server = await serve();
    const socket = net.connect(server.port, '127.0.0.1');
    const body = '{"data":true}';
    socket.write(`POST /api/v1/tail HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEY}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await new Promise(resolve => socket.once('data', resolve));
    socket.pause();
    const data = 'y'.repeat(4000);
    for (let n = 0; n < 40; n++)
      await order(server, 'batch',
        { commands: Array.from({ length: 100 }, () => ({ method: 'publish', channel: 'loud', data })) });
    let text = '';
    socket.setEncoding('utf8').on('data', part => { text += part; });
    socket.resume();
    await until(() => /"event":"missed","count":[1-9]/.test(text), 'the line that says so');
    socket.destroy();
    assert.equal((await ask(server, '/healthz')).status, 200);
    await server.stop();
  });
});

async function order(server, method, body) {
  const answer = await fetch(`${server.http}/api/v1/${method}`, { method: 'POST', body: JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${KEY}` } });
  assert.equal(answer.status, 200, await answer.text());
}

describe('doctor', () => {
  const doctor = async (...args) => {
    const { code, stdout, stderr } = await run(['doctor', '--json', '--timeout', 2, ...args]);
    const found = {};
    for (const line of stdout.trimEnd().split('\n').filter(Boolean).map(l => JSON.parse(l))) found[line.check] = line;
    return { code, stderr, found, of: name => found[name]?.result };
  };

  it('finds nothing wrong on the way to a server, and says each step', async () => {
    const server = await serve();
    const { code, found, of, stderr } = await doctor(server.url);
    assert.equal(code, 0, stderr);
    for (const step of ['name', 'TCP', 'upgrade', 'protocol', 'round trip', 'origin', 'event stream'])
      assert.equal(of(step), 'ok', JSON.stringify(found[step]));
    const words = await run(['doctor', server.http]);
    assert.match(words.stdout, /^ok    name         127\.0\.0\.1 is 127\.0\.0\.1\n/);
    await server.stop();
    const gone = await doctor(server.url);
    assert.deepEqual([gone.code, gone.of('TCP')], [1, 'fail']);
    assert.match(gone.found.TCP.advice, /nothing listens/);
  });

  it('finds proxies that lose the upgrade, and those that collect what should be passed on', async () => {
    const server = await serve();
    const lossy = http.createServer((request, response) => response.writeHead(426).end());
    const slow = net.createServer(near => { // passes WebSockets on, and holds back event streams
      const far = net.connect(server.port, '127.0.0.1');
      for (const s of [near, far]) s.on('error', () => {}).on('close', () => { near.destroy(); far.destroy(); });
      near.once('data', head => {
        far.write(head);
        near.pipe(far);
        if (!head.toString().includes('/sse')) far.pipe(near);
      });
    });
    for (const s of [lossy, slow]) await new Promise(resolve => s.listen(0, '127.0.0.1', resolve));
    const first = await doctor(`ws://127.0.0.1:${lossy.address().port}`);
    assert.deepEqual([first.code, first.of('upgrade')], [1, 'fail']);
    assert.match(first.found.upgrade.advice, /proxy/);
    const second = await doctor(`ws://127.0.0.1:${slow.address().port}`);
    assert.deepEqual([second.code, second.of('protocol'), second.of('event stream')], [0, 'ok', 'warn']);
    lossy.close();
    slow.close();
    await server.stop();
    assert.equal((await doctor('nothing')).code, 2);
  });

  it('looks at the configuration and who may read its files', async () => {
    const [file, key] = ['doctor.yaml', 'doctor-keys'].map(name => path.join(home, name));
    fs.writeFileSync(key, `${KEY}\n`, { mode: 0o600 });
    fs.writeFileSync(file, `api:\n  key_file: ${key}\n`, { mode: 0o644 });
    const good = await doctor('--config', file);
    assert.deepEqual([good.of('config'), good.of('config file'), good.of('key file')], ['ok', 'ok', 'ok'], good.stderr);
    for (const check of ['descriptors', 'clock']) assert.ok(good.found[check], check);
    fs.chmodSync(file, 0o666);
    fs.appendFileSync(file, 'nonsense: 1\n');
    const bad = await doctor('--config', file);
    assert.deepEqual([bad.code, bad.of('config'), bad.of('config file')], [1, 'fail', 'fail']);
    assert.match(bad.stderr, /doctor\.yaml:3/);
  });
});
