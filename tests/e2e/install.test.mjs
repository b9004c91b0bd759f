// `make install` into an empty place, and a stranger's program built against what is there.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { HERE, Program, ROOT, run } from './lib/linnet.mjs';
import { Peer } from './lib/peer.mjs';

const PREFIX = '/opt/linnet';

describe('make install', () => {
  let place, env;
  const at = (...names) => path.join(place, PREFIX, ...names);
  const compile = (compiler, source, out, ...flags) => {
    const words = run('pkg-config', ['--cflags', '--libs', ...flags, 'linnet'], { env });
    assert.equal(words.status, 0, words.stderr);
    const done = run(compiler, [path.join(HERE, 'peers', source), '-o', path.join(place, out),
      '-Wall', '-Wextra', '-Werror', ...words.stdout.trim().split(/\s+/)]);
    assert.equal(done.status, 0, done.stderr);
    return path.join(place, out);
  };

  before(() => {
    place = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-install-'));
    const done = run('make', ['-C', ROOT, 'install', `DESTDIR=${place}`, `PREFIX=${PREFIX}`]);
    assert.equal(done.status, 0, done.stdout + done.stderr);
    const pc = run('find', [place, '-name', 'linnet.pc']).stdout.trim();
    assert.notEqual(pc, '', 'linnet.pc is installed');
    env = { ...process.env, PKG_CONFIG_PATH: path.dirname(pc), PKG_CONFIG_SYSROOT_DIR: place };
    place = fs.realpathSync(place);
  });
  after(() => fs.rmSync(place, { recursive: true, force: true }));

  it('brings the program, the headers and both libraries, and nothing outside its prefix', () => {
    assert.deepEqual(fs.readdirSync(place), ['opt']);
    assert.equal(run(at('bin/linnet'), ['version']).status, 0);
    const headers = fs.readdirSync(path.join(ROOT, 'include/linnet')).filter(n => n.endsWith('.h'));
    assert.deepEqual(fs.readdirSync(at('include/linnet')).sort(), headers.sort());
    const libraries = run('find', [at('lib'), '-name', 'liblinnet*']).stdout;
    assert.match(libraries, /liblinnet\.a$/m);
    assert.match(libraries, /liblinnet-test\.a$/m);
    assert.match(libraries, /liblinnet\.so$/m);
    assert.match(libraries, /liblinnet\.so\.0$/m);
  });

  it('the shared library exports linnet_ alone', () => {
    const library = run('find', [at('lib'), '-name', 'liblinnet.so.0']).stdout.trim();
    const names = run('nm', ['-D', '--defined-only', library]).stdout.trim().split('\n')
      .map(line => line.split(' ').pop().replace(/@.*/, ''));
    assert.ok(names.length > 20);
    assert.deepEqual(names.filter(n => !/^(linnet_|LINNET_)/.test(n)), []);
  });

  it('a test with a server and a clock of its own builds with linnet-test and passes', () => {
    const words = run('pkg-config', ['--cflags', '--libs', 'linnet-test'], { env });
    assert.equal(words.status, 0, words.stderr);
    const program = path.join(place, 'self_test');
    const done = run('cc', [path.join(ROOT, 'examples/self_test.c'), '-o', program, '-Wall', '-Wextra', '-Werror',
      ...words.stdout.trim().split(/\s+/)]);
    assert.equal(done.status, 0, done.stderr);
    assert.doesNotMatch(run('ldd', [program]).stdout, /liblinnet/);
    const ran = run(program, []);
    assert.equal(ran.status, 0, ran.stdout);
  });

  for (const [compiler, source] of [['c++', 'installed.cc'], ['cc', 'installed.c']]) {
    for (const [kind, flags] of [['shared', []], ['static', ['--static']]]) {
      it(`${source} builds with ${compiler} against the ${kind} library and echoes`, async () => {
        let program = compile(compiler, source, `${source}-${kind}`, ...flags);
        if (kind === 'static') program = staticTwin(compiler, source);
        const libraries = path.dirname(run('find', [at('lib'), '-name', 'liblinnet.so.0']).stdout.trim());
        const server = new Program(program, [], { env: { ...process.env, LD_LIBRARY_PATH: libraries } });
        const [, url] = await server.says(/^listening on (\S+)$/m);
        const peer = await Peer.open(url);
        peer.send('from a stranger');
        assert.equal(await peer.next(), 'from a stranger');
        await peer.close();
        server.kill('SIGTERM');
        await server.exit();
      });
    }
  }

  /** The same program with liblinnet.a by name, so that nothing of ours is loaded at run time. */
  function staticTwin(compiler, source) {
    const archive = run('find', [at('lib'), '-name', 'liblinnet.a']).stdout.trim();
    const words = run('pkg-config', ['--cflags', '--libs', '--static', 'linnet'], { env }).stdout.trim()
      .split(/\s+/).map(word => word === '-llinnet' ? archive : word);
    const out = path.join(place, `${source}-archive`);
    const done = run(compiler, [path.join(HERE, 'peers', source), '-o', out, '-Wall', '-Werror', ...words]);
    assert.equal(done.status, 0, done.stderr);
    assert.doesNotMatch(run('ldd', [out]).stdout, /liblinnet/);
    return out;
  }
});
