// TLS as OpenSSL's own client sees it, and linnet as a client that trusts nobody without reason.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { WebSocketServer } from 'ws';
import { BINARY, Program, linnet, run, start, until } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

/** A small certificate authority in a folder of its own. */
class Authority {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-tls-'));
    this.ca = this.at('ca.pem');
    this.openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', 2,
      '-subj', '/CN=test authority', '-keyout', this.at('ca.key'), '-out', this.ca);
  }

  at(name) { return path.join(this.folder, name); }

  openssl(...args) {
    const done = run('openssl', args);
    assert.equal(done.status, 0, done.stderr);
    return done.stdout;
  }

  /** Writes NAME.pem and NAME.key, valid for the subject alternative names. */
  issue(name, alternatives, file = name) {
    fs.writeFileSync(this.at('ext'), `subjectAltName=${alternatives}\n`);
    this.openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`,
      '-keyout', this.at(`${file}.key`), '-out', this.at('csr'));
    this.openssl('x509', '-req', '-days', 2, '-in', this.at('csr'), '-CA', this.ca, '-CAkey', this.at('ca.key'),
      '-CAcreateserial', '-extfile', this.at('ext'), '-out', this.at(`${file}.pem`));
    return ['--tls-cert', this.at(`${file}.pem`), '--tls-key', this.at(`${file}.key`)];
  }
}

function client(port, ...flags) {
  const done = run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...flags], { input: '', timeout: 10_000 });
  return done.stdout + done.stderr;
}

describe('TLS', () => {
  let authority, files;
  before(() => {
    authority = new Authority();
    files = authority.issue('localhost', 'DNS:localhost,IP:127.0.0.1');
  });
  after(() => fs.rmSync(authority.folder, { recursive: true }));

  const echo = (workers, ...more) =>
    start(['echo', '--listen', '127.0.0.1:0', '--workers', workers, ...files, ...more]);

  for (const workers of [1, 4]) {
    describe(`linnet echo with ${workers} workers`, () => {
      let server;
      before(async () => { server = await echo(workers, '--max-message', 4 << 20, '--deflate'); });
      after(() => server.stop());

      it('says wss in its ready line', () => assert.match(server.url, /^wss:\/\/127\.0\.0\.1:\d+$/));

      it('echoes to ws, which verifies it', async () => {
        const ca = fs.readFileSync(authority.ca);
        for (const perMessageDeflate of [false, true]) {
          const peer = await Peer.open(server.url, [], { ca, perMessageDeflate });
          for (const message of ['', 'hello', 'x'.repeat(3 << 20), 'ü'.repeat(40_000)]) {
            peer.send(message);
            assert.equal(await peer.next(10_000), message);
          }
          assert.equal((await peer.close()).code, 1000);
        }
      });

      for (const version of ['-tls1_2', '-tls1_3']) {
        it(`resumes a session, ${version}`, async () => {
          const file = authority.at(`session${workers}${version}`);
          // In TLS 1.3 tickets come after the handshake: stay until one is there.
          const first = new Program('openssl', ['s_client', '-connect', `127.0.0.1:${server.port}`, version,
            '-CAfile', authority.ca, '-sess_out', file]);
          await until(() => fs.existsSync(file) && fs.statSync(file).size > 0, 'a session ticket');
          first.end();
          await first.exit();
          for (let n = 0; n < 8; n++) { // whichever worker answers
            assert.match(client(server.port, version, '-CAfile', authority.ca, '-sess_in', file), /^Reused, /m);
          }
        });
      }

      it('verifies, at 1.2 and 1.3, and speaks nothing older', () => {
        for (const version of ['-tls1_2', '-tls1_3']) {
          assert.match(client(server.port, version, '-CAfile', authority.ca, '-verify_return_error'),
            /Verify return code: 0 \(ok\)/);
        }
        assert.doesNotMatch(client(server.port, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'), /BEGIN CERTIFICATE/);
      });

      it('agrees on http/1.1 by ALPN', () => {
        assert.match(client(server.port, '-alpn', 'h2,http/1.1'), /ALPN protocol: http\/1\.1/);
      });

      it('survives a client that speaks no TLS', async () => {
        await assert.rejects(Peer.open(server.url.replace('wss', 'ws')));
        const peer = await Peer.open(server.url, [], { rejectUnauthorized: false });
        peer.send('still here');
        assert.equal(await peer.next(), 'still here');
        await peer.close();
      });
    });
  }

  it('HUP brings a new certificate to new connections and leaves the old ones alone', async () => {
    const own = authority.issue('first.test', 'DNS:first.test,IP:127.0.0.1', 'reload');
    const server = await start(['echo', '--listen', '127.0.0.1:0', '--workers', 2, ...own]);
    const subject = () => client(server.port).match(/subject=.*/)?.[0] ?? '';
    const kept = await Peer.open(server.url, [], { rejectUnauthorized: false });
    assert.match(subject(), /first\.test/);
    authority.issue('second.test', 'DNS:second.test,IP:127.0.0.1', 'reload');
    server.kill('SIGHUP');
    await until(() => /second\.test/.test(subject()), 'the second certificate');
    fs.writeFileSync(authority.at('reload.pem'), 'no certificate\n');
    server.kill('SIGHUP');
    await server.says(/certificate|reload/i, { stream: 'stderr' });
    assert.match(subject(), /second\.test/, 'a broken file changes nothing');
    kept.send('still here');
    assert.equal(await kept.next(), 'still here');
    await kept.close();
    await server.stop();
  });

  describe('linnet connect', () => {
    let server, wss, url;
    before(async () => {
      server = https.createServer({
        cert: fs.readFileSync(authority.at('localhost.pem')), key: fs.readFileSync(authority.at('localhost.key')),
      });
      wss = new WebSocketServer({ server });
      wss.on('connection', ws => ws.on('message', (data, binary) => ws.send(data, { binary })));
      await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
      url = `wss://localhost:${server.address().port}/`;
    });
    after(() => { wss.close(); server.close(); });

    it('trusts whom --tls-ca names', async () => {
      const { code, stdout, stderr } = await linnet(['connect', '--tls-ca', authority.ca, url], { input: 'hi\n' });
      assert.equal(stderr.includes('rror'), false, stderr);
      assert.deepEqual([code, stdout], [0, 'hi\n']);
    });

    it('does not trust a stranger', async () => {
      const { code, stdout, stderr } = await linnet(['connect', url], { input: 'secret\n' });
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, /certificate is not trusted; --tls-ca/);
    });

    it('does not trust another name', async () => {
      authority.issue('other.test', 'DNS:other.test', 'other');
      const other = https.createServer({
        cert: fs.readFileSync(authority.at('other.pem')), key: fs.readFileSync(authority.at('other.key')),
      });
      await new Promise(resolve => other.listen(0, '127.0.0.1', resolve));
      const { code, stderr } = await linnet(
        ['connect', '--tls-ca', authority.ca, `wss://localhost:${other.address().port}/`]);
      other.close();
      assert.equal(code, 1);
      assert.match(stderr, /name|match|certificate|verif/i);
    });

    it('--insecure trusts anybody', async () => {
      const { code, stdout } = await linnet(['connect', '--insecure', url], { input: 'hi\n' });
      assert.deepEqual([code, stdout], [0, 'hi\n']);
    });

    it('names the host by SNI, and no address', async () => {
      const names = [];
      server.on('secureConnection', socket => names.push(socket.servername));
      await linnet(['connect', '--insecure', url]);
      await linnet(['connect', '--insecure', url.replace('localhost', '127.0.0.1')]);
      assert.equal(names[0], 'localhost');
      assert.ok(!names[1]);
    });
  });

  it('linnet speaks TLS to itself', async () => {
    const server = await echo(1);
    const talk = new Program(BINARY, ['connect', '--tls-ca', authority.ca, server.url]);
    talk.end('one\ntwo\n');
    const { code, stdout } = await talk.exit();
    assert.deepEqual([code, stdout], [0, 'one\ntwo\n']);
    await server.stop();
  });
});
