// linnet.yaml, the environment and `linnet config`.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { BINARY, Program, linnet, start, until } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-config-'));
after(() => fs.rmSync(folder, { recursive: true }));

let count = 0;
function file(text, mode = 0o600) {
  const name = path.join(folder, `${++count}.yaml`);
  fs.writeFileSync(name, text);
  fs.chmodSync(name, mode);
  return name;
}

function certificate(name) {
  const [cert, key] = [`${name}.pem`, `${name}.key`].map(f => path.join(folder, f));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-keyout', key, '-out', cert, '-days', '2', '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`],
  { stdio: 'ignore' });
  return { cert, key };
}

describe('linnet config', () => {
  it('gen writes a file that check takes', async () => {
    const gen = await linnet(['config', 'gen']);
    assert.equal(gen.code, 0);
    const check = await linnet(['config', 'check', file(gen.stdout, 0o644)]);
    assert.deepEqual([check.code, check.stderr], [0, '']);
    assert.match(check.stdout, /nothing is wrong/);
  });

  it('show says what holds, and where it is from', async () => {
    const yaml = file('history:\n  count: 7\nqueue: { max: 2m }\n');
    const { code, stdout } = await linnet(['config', 'show', yaml, '--workers', '3'],
      { env: { ...process.env, LINNET_QUEUE_MAX: '3m', LINNET_ORIGINS: 'https://a.example,https://b.example' } });
    assert.equal(code, 0);
    assert.match(stdout, /^workers: 3 {2}# --workers$/m);
    assert.match(stdout, /^ {2}max: 3m {2}# LINNET_QUEUE_MAX$/m);
    assert.match(stdout, /^ {2}count: 7 {2}# .*\.yaml:2$/m);
    assert.match(stdout, /^ {2}age: 5m {2}# default$/m);
    assert.match(stdout, /^origins: \["https:\/\/a.example", "https:\/\/b.example"\] {2}# LINNET_ORIGINS$/m);
    const again = await linnet(['config', 'check', file(stdout)]);
    assert.equal(again.code, 0, again.stderr);
  });

  it('check takes LINNET_CONFIG, and says so when there is no file', async () => {
    const env = { ...process.env, LINNET_CONFIG: file('workers: 2\n') };
    assert.match((await linnet(['config', 'check'], { env })).stdout, /\.yaml: nothing is wrong/);
    assert.match((await linnet(['config', 'check'])).stdout, /^no file: nothing is wrong/);
    assert.equal((await linnet(['config', 'check', '/nowhere.yaml'])).code, 1);
  });

  it('check tells everything at once, with line and column', async () => {
    const yaml = file('workers: 99\nhistroy:\n  count: 5\nnamespaces:\n  - name: a b\nlog: { level: loud }\n');
    const { code, stdout, stderr } = await linnet(['config', 'check', yaml]);
    assert.deepEqual([code, stdout], [1, '']);
    for (const words of [':1:10: workers wants a number from 1 to 64',
      ":2:1: there is no 'histroy'; did you mean 'history'?",
      ':5:1: a namespace wants a name', ':6:15: log.level wants error, warn, info or debug']) {
      assert.ok(stderr.includes(`${yaml}${words}`), `${words} in ${stderr}`);
    }
  });

  it('check looks into certificates', async () => {
    const [a, b] = [certificate('a.example'), certificate('b.example')];
    const of = ({ cert }, { key }) => file(`tls: { cert: ${cert}, key: ${key} }\n`);
    assert.equal((await linnet(['config', 'check', of(a, a)])).code, 0);
    const mixed = await linnet(['config', 'check', of(a, b)]);
    assert.equal(mixed.code, 1);
    assert.notEqual(mixed.stderr, '');
    const sni = await linnet(['config', 'check', file(`tls:\n  cert: ${a.cert}\n  key: ${a.key}\n  certificates:\n`
      + `    - { name: b.example, cert: ${b.cert}, key: /nowhere.key }\n`)]);
    assert.equal(sni.code, 1);
    assert.match(sni.stderr, /nowhere\.key/);
  });

  for (const [why, args] of [['no verb', []], ['another verb', ['change']], ['gen of a file', ['gen', 'x']],
    ['two files', ['check', 'a', 'b']], ['doc in another form', ['doc', 'pdf']]]) {
    it(`is 2 with words for ${why}`, async () => {
      const { code, stderr } = await linnet(['config', ...args]);
      assert.equal(code, 2);
      assert.match(stderr, /linnet config --help/);
    });
  }
});

describe('linnet serve --config', () => {
  it('does what the file says', async () => {
    const yaml = file('listen: 127.0.0.1:0\nlimits:\n  message: 2k\n  first_text: echo\n');
    const server = await start(['serve', '--config', yaml]);
    const peer = await Peer.open(`${server.url}/ws`);
    peer.ws.send('not JSON');
    assert.equal(await peer.next(), 'not JSON');
    peer.ws.send('x'.repeat(2049));
    assert.equal((await peer.closing()).code, 1009);
    await server.stop();
  });

  it('gives namespaces what they say, and the others their own', async () => {
    const yaml = file('listen: 127.0.0.1:0\nnamespaces:\n  - name: cursor\n    live: true\n');
    const server = await start(['serve', '--config', yaml]);
    const peer = await Peer.open(`${server.url}/ws?dialect=linnet.v1`);
    assert.equal((await peer.json()).type, 'welcome');
    const offset = async channel => {
      peer.send({ type: 'publish', id: 1, channel, data: 1 });
      return (await peer.json()).offset;
    };
    assert.equal(await offset('cursor:a'), undefined);
    assert.equal(await offset('news'), 1);
    await peer.close();
    await server.stop();
  });

  it('listens where each listener says, as it says', async () => {
    const { cert, key } = certificate('c.example');
    const door = path.join(folder, 'door');
    const yaml = file(`tls: { cert: ${cert}, key: ${key} }\nlisteners:\n  - address: 127.0.0.1:0\n`
      + `  - address: unix:${door}\n    tls: off\n`);
    const server = new Program(BINARY, ['serve', '--config', yaml]);
    await server.says(/^listening on wss:\/\/127\.0\.0\.1:\d+$/m);
    await server.says(/^listening on ws\+unix:/m);
    const peer = await Peer.open(`ws+unix:${door}:/ws`);
    peer.send({ type: 'ping', id: 1 });
    assert.deepEqual(await peer.json(), { type: 'pong', re: 1 });
    await peer.close();
    server.kill('SIGTERM');
    assert.equal((await server.exit()).code, 0);
  });

  it('does not start with a file that is wrong', async () => {
    const { code, stdout, stderr } = await linnet(['serve', '--config', file('workers: -1\n')]);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /\.yaml:1:10: workers wants/);
  });
});

describe('linnet serve at HUP', () => {
  const open = async server => {
    const peer = await Peer.open(`${server.url}/ws?dialect=linnet.v1`);
    assert.equal((await peer.json()).type, 'welcome');
    return peer;
  };
  const ask = async (peer, command) => {
    peer.send({ id: 1, ...command });
    return peer.json();
  };
  const reload = async (server, yaml, text, words) => {
    fs.writeFileSync(yaml, text);
    const before = server.stderr.length;
    server.kill('SIGHUP');
    await until(() => words.test(server.stderr.slice(before)), `${words} in ${server.stderr.slice(before)}`);
  };
  const head = 'listen: 127.0.0.1:0\nworkers: 2\n';

  it('takes up namespaces and limits, also for who is there', async () => {
    const yaml = file(head);
    const server = await start(['serve', '--config', yaml]);
    const peer = await open(server);
    assert.equal((await ask(peer, { type: 'subscribe', channel: 'a:1' })).class, 'recoverable');
    await reload(server, yaml, `${head}limits: { channels: 2 }\nnamespaces: [ { name: b, live: yes } ]\n`,
      /limits\.channels is 2, was 128/);
    await until(async () => (await ask(await open(server), { type: 'subscribe', channel: 'b:1' })).class === 'live',
      'both workers to know');
    assert.equal((await ask(peer, { type: 'subscribe', channel: 'c' })).type, 'ok');
    assert.equal((await ask(peer, { type: 'subscribe', channel: 'd' })).error.name, 'limit_exceeded');
    await server.stop();
  });

  it('takes up origins and the log level', async () => {
    const yaml = file(`${head}origins: https://a.example\n`);
    const server = await start(['serve', '--config', yaml]);
    const come = origin => Peer.open(`${server.url}/ws`, [], { origin });
    await assert.rejects(come('https://b.example'));
    await reload(server, yaml, `${head}origins: https://b.example\nlog.level: info\n`, /log\.level is info, was warn/);
    await until(() => come('https://b.example').then(() => true, () => false), 'the page to be let in');
    await assert.rejects(come('https://a.example'));
    await server.says(/"event":"refused"/, { stream: 'stderr' });
    await server.stop();
  });

  it('takes up the keys of tokens, and not whether there are any', async () => {
    const secret = path.join(folder, 'secret');
    const write = text => fs.writeFileSync(secret, text.repeat(32), { mode: 0o600 });
    const token = async () => (await linnet(['token', 'mint', '--secret', secret, '--sub', 'anna'])).stdout.trim();
    write('a');
    const [yaml, old] = [file(`${head}auth: { secrets: ${secret} }\n`), await token()];
    const server = await start(['serve', '--config', yaml]);
    const come = async t => {
      const peer = await Peer.open(`${server.url}/ws`, ['linnet.v1'], { headers: { Authorization: `Bearer ${t}` } });
      assert.equal((await peer.json()).type, 'welcome');
      return peer;
    };
    const first = await come(old);
    write('b');
    const fresh = await token();
    await assert.rejects(come(fresh));
    server.kill('SIGHUP');
    await until(() => come(fresh).then(() => true, () => false), 'the new key to count');
    await until(() => come(old).then(() => false, () => true), 'the old key to count no more');
    assert.equal((await ask(first, { type: 'ping' })).type, 'pong');
    await reload(server, yaml, head, /have to log in wants a restart(.*\n)*.*all stays as it was/);
    await assert.rejects(come(old));
    await server.stop();
  });

  it('says what wants a restart, one by one', async () => {
    const yaml = file(head);
    const server = await start(['serve', '--config', yaml]);
    await reload(server, yaml, `${head.replace('workers: 2', 'workers: 1')}queue.max: 2m\n`,
      /workers wants a restart: it stays 2, and is to be 1\n(.*\n)*.*queue\.max wants a restart: it stays 1m/);
    await server.stop();
  });

  it('stays as it was when the file is wrong or has gone', async () => {
    const yaml = file(`${head}namespaces: [ { name: b, live: yes } ]\n`);
    const server = await start(['serve', '--config', yaml]);
    await reload(server, yaml, `${head}wokers: 2\n`, /:3:1: there is no 'wokers'.*\n.*all stays as it was/);
    fs.rmSync(yaml);
    const before = server.stderr.length;
    server.kill('SIGHUP');
    await until(() => /No such file(.*\n)*.*stays/.test(server.stderr.slice(before)), 'it to say so');
    const peer = await open(server);
    assert.equal((await ask(peer, { type: 'subscribe', channel: 'b:1' })).class, 'live');
    await server.stop();
  });

  it('stays as it was when a certificate does not fit its key', async () => {
    const [a, b] = [certificate('d.example'), certificate('e.example')];
    const yaml = file(`listen: 127.0.0.1:0\ntls: { cert: ${a.cert}, key: ${a.key} }\n`);
    const server = await start(['serve', '--config', yaml]);
    fs.copyFileSync(b.key, a.key);
    server.kill('SIGHUP');
    await server.says(/old certificates stay(.*\n)*.*all stays as it was/, { stream: 'stderr' });
    await server.stop();
  });

  it('a hundred times in ten seconds leaves no descriptor and little memory', async () => {
    const yaml = file(head);
    const server = await start(['serve', '--config', yaml]);
    const peer = await open(server);
    const count = () => fs.readdirSync(`/proc/${server.pid}/fd`).length;
    const memory = () => Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${server.pid}/status`))[1]);
    const text = n => `${head}history.count: ${n}\nnamespaces: [ ${
      Array.from({ length: 200 }, (_, i) => `{ name: n${i}, history: { count: ${n} } }`).join(', ')} ]\n`;
    for (let n = 1; n <= 10; n++) await reload(server, yaml, text(n), new RegExp(`history\\.count is ${n},`));
    const [fds, kilobytes] = [count(), memory()];
    for (let n = 11; n <= 110; n++) await reload(server, yaml, text(n), new RegExp(`history\\.count is ${n},`));
    assert.equal(count(), fds);
    const more = memory() - kilobytes;
    if (!process.env.LINNET?.includes('asan')) assert.ok(more < 1024, `${more} kB more`);
    assert.equal((await ask(peer, { type: 'ping' })).type, 'pong');
    await server.stop();
  });
});
