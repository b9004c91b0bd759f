// The chat: a room is a channel, a message is a publication {id, name, text}.
import { Link } from './link.js';

const ROOM = /^[A-Za-z0-9_.-]{1,64}$/;
const KEPT = 500; // messages in the page
const GROUP_MS = 5 * 60_000; // messages of one person closer than this stand together
const WORDS = { connecting: 'connecting …', open: 'connected', waiting: 'reconnecting …', closed: 'closed' };

const $ = id => document.getElementById(id);
const log = $('log');
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

const asked = new URLSearchParams(location.search).get('room') ?? '';
const room = ROOM.test(asked) ? asked : 'lobby';
const channel = `chat:${room}`;

const stored = {
  get name() { try { return localStorage.getItem('chat.name'); } catch { return null; } },
  set name(v) { try { localStorage.setItem('chat.name', v); } catch { /* private windows */ } },
};
const guest = `guest-${Math.floor(1000 + Math.random() * 9000)}`;
const name = () => $('name').value.trim() || guest;

// -- what is seen ---------------------------------------------------------------------------

let last = null; // {name, own, at} of the message shown last
const seen = new Map(); // id -> element, of the messages in the page

const atBottom = () => log.scrollHeight - log.scrollTop - log.clientHeight < 48;
const toBottom = () => { log.scrollTop = log.scrollHeight; $('below').hidden = true; };

function make(tag, className, text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** Puts an element at the end and stays at the end, unless the reader has gone up. */
function append(element, always) {
  const follow = always || atBottom();
  $('empty')?.remove();
  log.append(element);
  while (log.children.length > KEPT) {
    seen.delete(log.firstElementChild.dataset.id);
    log.firstElementChild.remove();
  }
  if (follow) toBottom();
  else $('below').hidden = false;
}

function note(text) {
  last = null;
  append(make('p', 'note', text));
}

const hueOf = text => [...text].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) >>> 0, 7) % 8;

function show({ id, name: who, text, at, own, pending }) {
  const first = !last || last.name !== who || last.own !== own || at - last.at > GROUP_MS;
  last = { name: who, own, at };
  const article = make('article', `message hue${hueOf(who)}`);
  article.classList.toggle('first', first);
  article.classList.toggle('own', own);
  article.classList.toggle('pending', Boolean(pending));
  article.dataset.id = id;
  const face = make('span', 'face', [...who][0]?.toUpperCase() ?? '?');
  face.ariaHidden = 'true';
  const body = make('div', 'body');
  const meta = make('div', 'meta');
  const when = make('time', '', time.format(at));
  when.dateTime = new Date(at).toISOString();
  meta.append(make('strong', '', who), when);
  body.append(meta, make('div', 'bubble', text));
  article.append(face, body);
  article.title = time.format(at);
  article.ariaLabel = `${own ? 'You' : who}, ${time.format(at)}`;
  seen.set(id, article);
  append(article, own);
}

// -- what is said ---------------------------------------------------------------------------

const outbox = new Map(); // id -> data, not confirmed yet

async function deliver(id) {
  const data = outbox.get(id);
  if (!data || link.state !== 'open') return;
  try {
    await link.publish(channel, data);
    outbox.delete(id);
    seen.get(id)?.classList.remove('pending');
  } catch (error) {
    if (link.state !== 'open' || error.message === 'connection lost') return; // said again after the return
    outbox.delete(id);
    const article = seen.get(id);
    article?.classList.replace('pending', 'failed');
    article?.querySelector('.meta').append(` not sent: ${error.message}`);
  }
}

function say(text) {
  const id = Array.from(crypto.getRandomValues(new Uint8Array(8)), b => b.toString(16).padStart(2, '0')).join('');
  const data = { id, name: name(), text };
  outbox.set(id, data);
  show({ ...data, at: Date.now(), own: true, pending: true });
  deliver(id);
}

function hear({ data, ts }) {
  if (data === null || typeof data !== 'object' || typeof data.text !== 'string') return;
  const id = String(data.id ?? `ts${ts}${Math.random()}`);
  if (seen.has(id)) { // our own, come back; or said twice because an answer was lost
    seen.get(id).classList.remove('pending');
    return;
  }
  const who = String(data.name ?? '').slice(0, 40) || 'somebody';
  show({ id, name: who, text: data.text.slice(0, 4000), at: ts ?? Date.now(), own: false });
}

// -- the link -------------------------------------------------------------------------------

const url = new URL('../../ws', location.href);
url.protocol = url.protocol.replace('http', 'ws');
url.search = '';
url.hash = '';
const link = new Link(url, {
  state(state, why) {
    const again = state === 'connecting' && link.attempts > 0; // one word for the whole absence
    const words = why || WORDS[again ? 'waiting' : state];
    $('state').dataset.state = state;
    if ($('state').textContent !== words) $('state').textContent = words; // it is read aloud
    if (state === 'open') outbox.forEach((_, id) => deliver(id));
  },
  message: hear,
  missed: () => note('Something may have been said while the connection was lost.'),
});

// -- the page -------------------------------------------------------------------------------

$('room').textContent = `#${room}`;
document.title = `#${room} – Linnet chat`;
$('name').value = stored.name ?? guest;
$('name').addEventListener('change', () => { stored.name = name(); });

$('composer').addEventListener('submit', event => {
  event.preventDefault();
  const inName = document.activeElement === $('name'); // Enter there ends the name, nothing else
  $('text').focus();
  if (inName) return;
  const text = $('text').value.trim();
  if (text) say(text);
  $('text').value = '';
  grow();
});

$('text').addEventListener('keydown', event => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('composer').requestSubmit();
});

/** For browsers without field-sizing. */
function grow() {
  if (CSS.supports('field-sizing', 'content')) return;
  $('text').style.height = 'auto';
  $('text').style.height = `${$('text').scrollHeight + 2}px`;
}
$('text').addEventListener('input', grow);

$('moving').addEventListener('submit', event => {
  event.preventDefault();
  const to = $('goto').value.trim();
  if (ROOM.test(to)) location.search = new URLSearchParams({ room: to });
});

$('below').addEventListener('click', toBottom);
log.addEventListener('scroll', () => { if (atBottom()) $('below').hidden = true; });
new ResizeObserver(() => { if ($('below').hidden) toBottom(); }).observe(log);

link.join(channel);
link.connect();
