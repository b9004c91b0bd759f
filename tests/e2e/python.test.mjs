// Debian's Python websockets on the other end, as a client and as a server.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BINARY, HERE, PYTHON, Program, echo } from './lib/linnet.mjs';

const script = name => path.join(HERE, 'peers', name);

for (const workers of [1, 4]) {
  describe(`Python websockets as the client of ${workers} workers`, () => {
    for (const [offer, flags, agreed] of [
      ['plain', [], 'none'],
      ['deflate', [], 'none'],
      ['deflate', ['--deflate'], 'permessage-deflate'],
      ['deflate', ['--deflate=takeover'], 'permessage-deflate'],
      ['no-takeover', ['--deflate=no-takeover'], 'permessage-deflate'],
      ['window', ['--deflate=takeover', '--window-bits', 10], 'permessage-deflate'],
    ]) {
      it(`${offer} against ${flags.join(' ') || 'no flags'}`, async () => {
        const server = await echo(workers, '--max-message', 1 << 20, ...flags);
        const client = new Program(PYTHON, [script('echo_client.py'), server.url, offer]);
        const { code, stdout, stderr } = await client.exit({ ms: 20_000 });
        assert.equal(code, 0, stderr);
        assert.equal(stdout, `extensions: ${agreed}\n`);
        await server.stop();
      });
    }
  });
}

describe('Python websockets as the server', () => {
  for (const [name, args, flags, agreed] of [
    ['plain', [], [], 'none'],
    ['deflate offered to one without it', [], ['--deflate'], 'none'],
    ['deflate', ['deflate'], ['--deflate'], 'permessage-deflate'],
    ['deflate without takeover', ['deflate'], ['--deflate=no-takeover'], 'permessage-deflate'],
  ]) {
    describe(name, () => {
      let server, url;
      before(async () => {
        server = new Program(PYTHON, [script('echo_server.py'), ...args]);
        [, url] = await server.says(/^listening on (\S+)$/m);
      });
      after(async () => { server.kill(); await server.exit(); });

      it('echoes the lines of linnet connect and sees it close with 1000', async () => {
        const lines = ['hello', 'ünï ✓', 'x'.repeat(300), 'hello', 'hello'];
        const talk = new Program(BINARY, ['connect', ...flags, `${url}/p`]);
        talk.write(lines.join('\n') + '\n');
        // It answers no more once it has read a Close, so the end of input has to wait.
        await talk.says(new RegExp(`^${lines.join('\\n')}\\n$`));
        talk.end();
        const { code, stderr } = await talk.exit();
        assert.equal(code, 0, stderr);
        await server.says(new RegExp(`/p left with 1000, extensions: ${agreed}`));
      });
    });
  }
});
