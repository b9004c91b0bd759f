#!/usr/bin/env node
// check.mjs FILE...: says whether a logged history can be true. The second implementation of README.md;
// it shares nothing with the first, so that a mistake has to be made twice. `-` is stdin.
import fs from 'node:fs';
import process from 'node:process';
import { StringDecoder } from 'node:string_decoder';

const ACKED_AT_LEAST = 10_000;
const UNKNOWN_AT_MOST = 0.05;

// ---- what was found ---------------------------------------------------------------------------

const findings = new Map();
function anomaly(name, ch, p, words) {
  const id = `${name}\n${ch}\n${p}`;
  if (!findings.has(id)) findings.set(id, { name, ch, p, words });
}

// ---- the run: kinds of channels, lives of the node --------------------------------------------

const run = { channels: [], faults: [], done: new Set(), least: ACKED_AT_LEAST, unknown: UNKNOWN_AT_MOST };
const ends = { dying: [], dead: [] };
const tally = { acked: 0, failed: 0, unknown: 0, heard: 0 };

/** How many of these times are not after t. */
function until(times, t) {
  let n = times.length;
  while (n > 0 && times[n - 1] > t) n--;
  return n;
}

/** The life of the node that spoke somewhere between two times, or -1 where two could have. */
function lifeBetween(from, to) {
  const begun = until(ends.dying, to);
  return begun === until(ends.dead, from) ? begun : -1;
}

// ---- publications: who said what, and where it is ---------------------------------------------

const sayings = new Map(); // key -> {ch, times, loose: again without a seq, refused: p or null}

const owner = key => key.slice(0, Math.max(0, key.lastIndexOf(':')));
const number = key => Number(key.slice(key.lastIndexOf(':') + 1));

/** All that is known of one epoch of a channel. `top`: the highest offset that anybody spoke of. */
class Log {
  constructor(channel, epoch) {
    Object.assign(this, { channel, epoch, keys: new Map(), strays: [], top: 0, read: new Set(), life: -1 });
  }

  /** Somebody says that `key` stands at `off`. */
  put(off, key, p) {
    const before = this.keys.get(off);
    if (before === undefined) {
      this.keys.set(off, key);
      if (off > this.top) this.top = off;
    }
    else if (before !== key) {
      anomaly('inconsistent-offsets', this.channel.name, p, `${before} and ${key} at ${off} of ${this.epoch}`);
      this.strays.push(key);
    }
  }

  /** A life of the node in which it was there, for certain. */
  lived(life, p) {
    if (life < 0) return;
    const { name, lives } = this.channel;
    if (this.life < 0) this.life = life;
    else if (this.life !== life) anomaly('epoch-lie', name, p, `${this.epoch} in two lives`);
    if (!lives.has(life)) lives.set(life, this.epoch);
    else if (lives.get(life) !== this.epoch) {
      anomaly('epoch-lie', name, p, `${this.epoch} and ${lives.get(life)} in one life`);
    }
  }

  judge() {
    const { name } = this.channel;
    const once = new Set();
    const last = new Map();
    for (const [off, key] of [...this.keys].sort((a, b) => a[0] - b[0])) {
      const said = sayings.get(key);
      if (!said || said.ch !== name) {
        anomaly('phantom', name, '', `'${key}' at ${off}`);
        continue;
      }
      if (once.has(key)) anomaly('double-idem', name, '', `${key} at ${off} too`);
      once.add(key);
      if (said.loose) continue;
      if (said.times === 1) this.refused(key, said);
      const by = owner(key);
      if (last.has(by) && number(key) < last.get(by)) anomaly('reorder', name, '', `${key} after ${last.get(by)}`);
      last.set(by, number(key));
    }
    for (const key of this.strays) {
      const said = sayings.get(key);
      if (!said || said.ch !== name) anomaly('phantom', name, '', `'${key}'`);
      else {
        if (once.has(key)) anomaly('double-idem', name, '', `${key} twice`);
        if (said.times === 1) this.refused(key, said);
      }
    }
  }

  refused(key, said) {
    if (said.refused !== null) anomaly('false-fail', said.ch, said.refused, key);
  }
}

class Channel {
  constructor(name) {
    this.name = name;
    const kind = run.channels.find(k => name.startsWith(k.prefix));
    this.live = kind?.class === 'live';
    this.keeps = kind?.count ?? 0;
    this.logs = new Map();
    this.lives = new Map();
    this.allowed = null; // Set: for these only
    this.head = null;
    this.here = null;    // Set of connections that are in it at the end
    this.finals = [];    // lists that the API gave
    this.liveKeys = new Set();
    this.disorder = [];  // class live: [p, key, key before it]
  }

  log(epoch) {
    let log = this.logs.get(epoch);
    if (!log) this.logs.set(epoch, log = new Log(this, epoch));
    return log;
  }

  forbids(p) { return this.allowed !== null && !this.allowed.has(p); }

  judgeHead() {
    if (!this.head) return;
    const { epoch, off, first } = this.head;
    const log = this.log(epoch);
    for (let o = first; o <= off; o++) {
      if (!log.read.has(o)) {
        anomaly('lost-write', this.name, '', `${epoch}:${o} cannot be read`);
        break;
      }
    }
    if (this.keeps && first > 1 && first > off - this.keeps + 1) {
      anomaly('lost-write', this.name, '', `begins with ${first}, stands at ${off}`);
    }
    if (log.top > off) anomaly('epoch-lie', this.name, '', `stands at ${off}, somebody saw ${log.top}`);
    if ([...log.keys.keys()].some(o => o > off)) anomaly('lost-write', this.name, '', `nothing behind ${off}`);
  }

  judgeList(p, members) {
    if (!this.here) return;
    for (const m of this.here) if (!members.has(m)) anomaly('presence-drift', this.name, p, `${m} is not named`);
    for (const m of members) if (!this.here.has(m)) anomaly('ghost', this.name, p, `${m} is named`);
  }

  judgeLive() {
    for (const key of this.liveKeys) {
      const said = sayings.get(key);
      if (said?.ch !== this.name) anomaly('phantom', this.name, '', `'${key}'`);
      if (said && said.times === 1 && said.refused !== null) anomaly('false-fail', said.ch, said.refused, key);
    }
    for (const [p, key, before] of this.disorder) {
      if ([key, before].some(k => sayings.get(k)?.loose)) continue;
      anomaly('reorder', this.name, p, `${key} after ${before}`);
    }
  }
}

const channels = new Map();
function channelOf(name) {
  let c = channels.get(name);
  if (!c) channels.set(name, c = new Channel(name));
  return c;
}

// ---- clients and their subscriptions ------------------------------------------------------------

/** Heard: everything from `begin` (excluded) to `at`, without what stands in `missed`. */
class Subscription {
  constructor(p, channel, log, at, former) {
    Object.assign(this, { p, channel, log, at, begin: at, former, missed: [], connected: true });
    this.numbers = null; // class live: the last of each connection of a publisher, and all keys
    this.keys = null;
    this.members = null;
  }

  miss(from, to) { for (let o = from; o <= to; o++) this.missed.push(o); }

  hear(off, key, epoch) {
    const { name } = this.channel;
    if (epoch !== this.log.epoch) {
      anomaly('epoch-lie', name, this.p, `hears ${epoch}, is in ${this.log.epoch}`);
      return;
    }
    if (off <= this.at) {
      const old = off > this.begin && !this.missed.includes(off);
      anomaly(old ? 'duplicate' : 'nonmonotonic', name, this.p, `${off} after ${this.at}`);
    } else {
      if (off !== this.at + 1) {
        anomaly('silent-gap', name, this.p, `${off} after ${this.at}`);
        this.miss(this.at + 1, off - 1);
      }
      this.at = off;
    }
    this.log.put(off, key, this.p);
  }

  hearLive(key) {
    this.channel.liveKeys.add(key);
    const by = owner(key);
    if (!by) return;
    this.numbers ??= new Map();
    this.keys ??= new Set();
    const before = this.numbers.get(by) ?? -1;
    const n = number(key);
    const had = this.keys.has(key);
    this.keys.add(key);
    if (had) anomaly('duplicate', this.channel.name, this.p, key);
    else if (n < before) this.channel.disorder.push([this.p, key, `${by}:${before}`]);
    else this.numbers.set(by, n);
  }

  skip({ epoch, off, n }) {
    const { name } = this.channel;
    if (epoch !== this.log?.epoch) anomaly('epoch-lie', name, this.p, `skips in ${epoch}`);
    else if (off <= this.at) anomaly('nonmonotonic', name, this.p, `skips ${off} after ${this.at}`);
    else {
      if (off - n > this.at) anomaly('silent-gap', name, this.p, `skips ${n} to ${off} after ${this.at}`);
      this.miss(this.at + 1, off);
      this.at = off;
      if (off > this.log.top) this.log.top = off;
    }
  }

  judge() {
    const { head, name } = this.channel;
    if (head && this.log && (head.epoch !== this.log.epoch || this.at < head.off)) {
      anomaly('stuck', name, this.p, `at ${this.log.epoch}:${this.at}, the head is ${head.epoch}:${head.off}`);
    }
    if (this.members) this.channel.judgeList(this.p, this.members);
  }
}

const clients = new Map();
function clientOf(p) {
  let c = clients.get(p);
  // socket: null as long as it never had one
  if (!c) clients.set(p, c = { p, socket: null, since: 0, subs: new Map(), wants: new Map(), asked: new Map() });
  return c;
}

/** False, and told, for who once had a connection and has none. */
function connected(c, ch, op) {
  if (c.socket !== 'closed') return true;
  anomaly('late-callback', ch, c.p, `${op} after its close`);
  return false;
}

function subscriptionFor(e) {
  const c = clientOf(e.p);
  if (!connected(c, e.ch, e.op)) return null;
  const s = c.subs.get(e.ch);
  if (s?.connected) return s;
  anomaly('late-callback', e.ch, e.p, `${e.op} where it is not`);
  return null;
}

function subscribed(e) {
  const c = clientOf(e.p);
  const channel = channelOf(e.ch);
  if (!connected(c, e.ch, e.op)) return;
  if (channel.forbids(e.p)) anomaly('leak', e.ch, e.p, 'may subscribe');
  if (channel.live || e.epoch === undefined) {
    c.subs.set(e.ch, new Subscription(e.p, channel, null, 0, new Set()));
    return;
  }
  const log = channel.log(e.epoch);
  if (e.off > log.top) log.top = e.off;
  log.lived(lifeBetween(c.since, e.t), e.p);
  const old = c.subs.get(e.ch);
  if (!old) {
    const at = e.recovered === true ? c.wants.get(e.ch) ?? e.off : e.off;
    c.subs.set(e.ch, new Subscription(e.p, channel, log, at, new Set()));
    return;
  }
  const same = old.log === log;
  const lies = same ? e.off < old.at && 'goes back' :
    e.recovered === true ? 'is recovered although the epoch is another' : old.former.has(e.epoch) && 'had left it';
  if (lies) anomaly('epoch-lie', e.ch, e.p, `${e.epoch}:${e.off} after ${old.log?.epoch}:${old.at}: ${lies}`);
  if (old.former.has(e.epoch)) anomaly('epoch-lie', e.ch, e.p, `${e.epoch} again`);
  if (same && e.recovered === true && !lies) {
    old.connected = true;
    return;
  }
  const { former } = old; // it goes on in the new one
  if (old.log && !same) former.add(old.log.epoch);
  c.subs.set(e.ch, new Subscription(e.p, channel, log, e.off, former));
}

// ---- one function for each kind of line --------------------------------------------------------

const lines = {
  run(e) {
    run.channels = e.channels;
    run.faults = e.faults ?? [];
    run.least = e.least ?? ACKED_AT_LEAST;
    run.unknown = e.unknown ?? UNKNOWN_AT_MOST;
  },
  dying(e) { ends.dying.push(e.t); ends.dying.sort((a, b) => a - b); },
  dead(e) { ends.dead.push(e.t); ends.dead.sort((a, b) => a - b); },
  fault(e) { run.done.add(e.kind); },
  may(e) { (channelOf(e.ch).allowed ??= new Set()).add(e.p); },

  open(e) {
    const c = clientOf(e.p);
    if (c.socket === 'open') anomaly('late-callback', '', e.p, 'opened twice');
    c.socket = 'open';
    c.since = e.since;
    for (const s of c.subs.values()) s.connected = false;
  },
  close(e) {
    const c = clientOf(e.p);
    if (c.socket !== 'open') anomaly('late-callback', '', e.p, 'closed twice');
    c.socket = 'closed';
  },

  sub(e) { if (e.off !== undefined) clientOf(e.p).wants.set(e.ch, e.off); },
  sub_ok: subscribed,
  unsub(e) {
    const c = clientOf(e.p);
    if (connected(c, e.ch, e.op)) c.subs.delete(e.ch);
  },
  recv(e) {
    tally.heard++;
    if (channelOf(e.ch).forbids(e.p)) anomaly('leak', e.ch, e.p, e.key);
    const s = subscriptionFor(e);
    if (!s) return;
    if (e.off === undefined || !s.log) s.hearLive(e.key);
    else s.hear(e.off, e.key, e.epoch);
  },
  skip(e) {
    if (channelOf(e.ch).forbids(e.p)) anomaly('leak', e.ch, e.p, 'skip');
    subscriptionFor(e)?.skip(e);
  },

  pub(e) {
    const said = sayings.get(e.key);
    if (said) {
      said.times++;
      if (e.seq === undefined) said.loose = true;
    } else sayings.set(e.key, { ch: channelOf(e.ch).name, times: 1, loose: false, refused: null });
    const c = clientOf(e.p);
    if (c.socket === null) c.asked.set(e.key, e.t);
  },
  pub_ok(e) {
    tally.acked++;
    const c = clientOf(e.p);
    const asked = c.asked.get(e.key);
    c.asked.delete(e.key);
    if (e.off === undefined) return;
    const log = channelOf(e.ch).log(e.epoch);
    if (c.socket === null && asked !== undefined) log.lived(lifeBetween(asked, e.t), e.p);
    log.put(e.off, e.key, e.p);
  },
  pub_fail(e) {
    tally.failed++;
    const said = sayings.get(e.key);
    if (said) said.refused = e.p;
  },
  pub_unknown() { tally.unknown++; },

  hist(e) {
    const log = channelOf(e.ch).log(e.epoch);
    log.read.add(e.off);
    log.put(e.off, e.key, e.p);
  },
  head(e) { channelOf(e.ch).head = e; },
  here(e) { (channelOf(e.ch).here ??= new Set()).add(e.client); },

  pres(e) {
    if (e.final) channelOf(e.ch).finals.push([e.p, new Set(e.members)]);
    else {
      const s = subscriptionFor(e);
      if (s) s.members = new Set(e.members);
    }
  },
  join(e) {
    const members = subscriptionFor(e)?.members;
    if (members?.has(e.m)) anomaly('presence-drift', e.ch, e.p, `${e.m} comes and was there`);
    members?.add(e.m);
  },
  leave(e) {
    const members = subscriptionFor(e)?.members;
    if (members && !members.delete(e.m)) anomaly('presence-drift', e.ch, e.p, `${e.m} goes and was not there`);
  },
};

function atTheEnd() {
  for (const c of channels.values()) {
    for (const log of c.logs.values()) log.judge();
    c.judgeHead();
    c.judgeLive();
    for (const [p, members] of c.finals) c.judgeList(p, members);
  }
  for (const c of clients.values()) {
    if (c.socket === 'open') for (const s of c.subs.values()) if (s.connected) s.judge();
  }
}

// ---- reading ------------------------------------------------------------------------------------

/** Calls `each` with every line of a file, which is never in memory as a whole. */
function eachLine(fd, each) {
  const block = Buffer.allocUnsafe(1 << 20);
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for (let n; (n = fs.readSync(fd, block, 0, block.length, null)) > 0;) {
    const text = rest + decoder.write(block.subarray(0, n));
    let at = 0;
    for (let end; (end = text.indexOf('\n', at)) >= 0; at = end + 1) each(text.slice(at, end));
    rest = text.slice(at);
  }
  if (rest) each(rest);
}

function describesRun(name) {
  const fd = fs.openSync(name);
  const begin = Buffer.alloc(4096);
  const n = fs.readSync(fd, begin);
  fs.closeSync(fd);
  return begin.toString('utf8', 0, n).split('\n')[0].includes('"op":"run"');
}

function main(names) {
  if (!names.length) {
    console.error('usage: check.mjs FILE...');
    return 2;
  }
  const began = process.hrtime.bigint();
  let events = 0;
  const order = names[0] === '-' ? [0] : [...names.filter(describesRun), ...names.filter(n => !describesRun(n))];
  for (const name of order) {
    const fd = name === 0 ? 0 : fs.openSync(name);
    eachLine(fd, line => {
      const e = JSON.parse(line);
      events++;
      lines[e.op]?.(e);
    });
    if (fd) fs.closeSync(fd);
  }
  atTheEnd();
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const why = run.faults.filter(kind => !run.done.has(kind)).map(kind => `no ${kind}`);
  if (tally.acked < run.least) why.push(`${tally.acked} acknowledged`);
  if (tally.unknown > run.unknown * sayings.size) why.push(`${tally.unknown} of ${sayings.size} unknown`);
  const verdict = findings.size ? 'failed' : why.length ? 'inconclusive' : 'passed';
  console.log(JSON.stringify({
    verdict, why, events, seconds, events_per_s: Math.round(events / seconds), publications: sayings.size,
    counts: tally, anomalies: [...findings.values()],
  }));
  return { passed: 0, failed: 1, inconclusive: 3 }[verdict];
}

process.exitCode = main(process.argv.slice(2));
