// A server with a key, and calls of its HTTP API whose answers are held against its own document.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import Ajv from 'ajv/dist/2020.js';
import { start } from './linnet.mjs';
import { Peer } from './peer.mjs';

export const KEY = 'a-key-for-tests-only-0123456789';
export const SECRET = 'a secret of thirty-two bytes....plus';

const b64 = text => Buffer.from(text).toString('base64url');
export const now = () => Math.floor(Date.now() / 1000);

/** An HS256 token. */
export function token(claims) {
  const text = `${b64('{"alg":"HS256"}')}.${b64(JSON.stringify({ exp: now() + 600, iat: now(), ...claims }))}`;
  return `${text}.${crypto.createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

export class Api {
  /** Starts `linnet serve` where clients have to log in, unless `open`, with a configuration. */
  static async start({ yaml = '', args = [], open = false, workers = 2 } = {}) {
    const api = new Api();
    api.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-'));
    fs.writeFileSync(api.file('secret'), SECRET, { mode: 0o600 });
    fs.writeFileSync(api.file('linnet.yaml'), yaml);
    api.args = ['serve', '--listen', '127.0.0.1:0', '--workers', String(workers),
      ...(yaml ? ['--config', api.file('linnet.yaml')] : []),
      ...(open ? [] : ['--jwt-hmac-secret-file', api.file('secret')]),
      ...args.map(arg => arg.replace('{folder}', api.folder))];
    await api.again();
    return api;
  }

  file(name) {
    return path.join(this.folder, name);
  }

  /** Starts it anew. */
  async again() {
    this.server = await start(this.args, { env: { ...process.env, LINNET_API_KEY: KEY } });
    this.document = await (await fetch(`${this.server.http}/api/v1/openapi.json`)).json();
    this.ajv = new Ajv({ strict: false });
    this.ajv.addSchema(this.document, 'api');
  }

  async stop() {
    await this.server.stop();
    fs.rmSync(this.folder, { recursive: true });
  }

  /** POSTs a body; {status, body}. */
  async call(method, body, key = KEY) {
    const answer = await fetch(`${this.server.http}/api/v1/${method}`, { method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
      body: JSON.stringify(body) });
    const text = await answer.text();
    const response = this.document.paths[`/api/v1/${method}`].post.responses[answer.status];
    assert.ok(response, `${method} answered ${answer.status}, which the document does not know: ${text}`);
    const check = this.ajv.getSchema(`api${response.content['application/json'].schema.$ref}`);
    assert.ok(check(JSON.parse(text)), `${method}: ${text}: ${JSON.stringify(check.errors)}`);
    return { status: answer.status, body: JSON.parse(text) };
  }

  /** What a call that is to succeed is answered. */
  async ok(method, body) {
    const { status, body: answer } = await this.call(method, body);
    assert.equal(status, 200, JSON.stringify(answer));
    return answer.ok;
  }

  /** [status, code] of one that is to fail. */
  async fails(method, body) {
    const { status, body: answer } = await this.call(method, body);
    return [status, answer.error?.code];
  }

  /** A connection that has heard its welcome, which is `welcome`. */
  async peer({ name = '', claims, headers = {} } = {}) {
    const peer = await Peer.open(`${this.server.url}/ws${name && `/${name}`}`, ['linnet.v1'], {
      headers: { ...(claims && { Authorization: `Bearer ${token(claims)}` }), ...headers } });
    peer.welcome = await peer.json();
    return peer;
  }
}

/** Says something, and returns the next thing that comes, whatever it is. */
export async function ask(peer, message) {
  peer.send(JSON.stringify(message));
  return peer.json();
}
