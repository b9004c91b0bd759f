// A backend for `linnet serve` in Node, without packages: it receives webhooks, checks who sent
// them, publishes, and mints tokens. Try:
//
//     head -c 24 /dev/urandom | base64 > hook.key
//     export LINNET_API_KEY=$(openssl rand -hex 24)
//     WEBHOOK_KEY=$(cat hook.key) PORT=3000 node backend.mjs &
//     linnet serve --webhook-subscribe http://127.0.0.1:3000/hook \
//         --webhook-call http://127.0.0.1:3000/hook --webhook-key file:hook.key
//
// Whoever subscribes to a channel that begins with "private" is refused; the call "add" adds, and
// the call "announce" publishes what it was given in the channel "news".
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const WINDOW_S = 300;
const seen = new Map(); // id -> when it may be forgotten

const bytesOf = key => key.startsWith('whsec_') ? Buffer.from(key.slice(6), 'base64') : Buffer.from(key);

/** True when a webhook is ours, of now, and here for the first time. */
export function verify(headers, body, key, now = Date.now() / 1000) {
  const id = headers['webhook-id'], time = headers['webhook-timestamp'];
  if (!id || !/^\d+$/.test(time ?? '') || Math.abs(now - time) > WINDOW_S) return false;
  const wanted = createHmac('sha256', bytesOf(key)).update(`${id}.${time}.`).update(body).digest();
  const ours = (headers['webhook-signature'] ?? '').split(' ').some(part => {
    const given = Buffer.from(part.replace(/^v1,/, ''), 'base64');
    return part.startsWith('v1,') && given.length === wanted.length && timingSafeEqual(given, wanted);
  });
  return ours;
}

/** A second one with the same id is a replay, or news that came twice: it has been dealt with. */
export function isNew(id, now = Date.now() / 1000) {
  for (const [old, until] of seen) if (until < now) seen.delete(old);
  if (seen.has(id)) return false;
  seen.set(id, now + 2 * WINDOW_S);
  return true;
}

/** A token that says who somebody is (HS256). claims: sub, exp, info, channels, ... */
export function mint(claims, secret) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

const API = `${process.env.LINNET_URL ?? 'http://127.0.0.1:8080'}/api/v1/publish`;
const TRIES = 4;

/**
 * Publishes, and gives the place it has: {epoch, offset}. Sent again where no answer came, or one
 * that says so: the key makes it one publication however often it arrives.
 */
export async function publish(channel, data, event = 'message') {
  const body = JSON.stringify({ channel, data, event, key: randomUUID() });
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${process.env.LINNET_API_KEY}` };
  for (let n = 1; ; n++) {
    let why;
    try {
      const response = await fetch(API, { method: 'POST', body, headers, signal: AbortSignal.timeout(5000) });
      const { ok, error } = await response.json();
      if (response.ok) return ok;
      why = Object.assign(new Error(error.message), error);
    } catch (error) {
      why = Object.assign(error, { retry: true });
    }
    if (!why.retry || n === TRIES) throw why;
    await new Promise(resolve => setTimeout(resolve, Math.random() * 100 * 2 ** n));
  }
}

async function announce(data) {
  try {
    return { data: await publish('news', data) };
  } catch (error) {
    console.log(`not published: ${error.message}`);
    return { error: { code: 108, message: 'not published' } };
  }
}

function decide(question) {
  const inAnHour = Math.floor(Date.now() / 1000) + 3600;
  switch (question.type) {
    case 'connect': // ask your session store here, with what stands in question.headers.cookie
      return { user: 'guest', expires: inAnHour, data: { motd: 'hello' } };
    case 'refresh':
      return { expires: inAnHour };
    case 'channel_occupied':
    case 'channel_vacated':
      console.log(`${question.type} ${question.channel}`);
      return {};
    case 'subscribe':
      if (!question.channel.startsWith('private')) return {};
      return { error: { code: 103, message: 'that one is private' } };
    case 'call':
      if (question.event === 'add') return { data: question.data.reduce((a, b) => a + b, 0) };
      if (question.event === 'announce') return announce(question.data);
      return { error: { code: 104, message: 'there is no such method' } };
    default: return {};
  }
}

export function serve(port, key) {
  return createServer((request, response) => {
    const parts = [];
    request.on('data', part => parts.push(part));
    request.on('end', async () => {
      const body = Buffer.concat(parts);
      const good = verify(request.headers, body, key);
      if (!good) return response.writeHead(401).end();
      if (!isNew(request.headers['webhook-id'])) return response.writeHead(409).end();
      const decision = await decide(JSON.parse(body));
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(decision));
    });
  }).listen(port, '127.0.0.1', function ready() {
    console.log(`backend on http://127.0.0.1:${this.address().port}/hook`);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  if (process.argv[2] === 'mint') console.log(mint(JSON.parse(process.argv[3]), process.env.JWT_SECRET));
  else serve(Number(process.env.PORT ?? 3000), process.env.WEBHOOK_KEY);
}
