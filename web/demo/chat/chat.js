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

// -- who is there ---------------------------------------------------------------------------

const SHOWN = 100; // members in the list; a crowd is a number
const FEW = 12; // of whom each coming and going is said aloud
const members = new Map(); // client -> name, as he says it: it proves nothing
const typists = new Map(); // client -> timer

const nameOf = info => (typeof info?.name === 'string' && info.name.trim().slice(0, 40)) || 'somebody';

function memberOf([client, who]) {
  const own = client === link.client;
  const item = make('li', `member hue${hueOf(who)}`);
  item.classList.toggle('typist', typists.has(client));
  const face = make('span', 'face', [...who][0]?.toUpperCase() ?? '?');
  face.ariaHidden = 'true';
  item.append(face, make('span', 'called', who));
  if (own) item.append(make('span', 'you', 'you'));
  return item;
}

let drawing = false;

/** Many may come at once: the list is made once for all of them. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const order = ([a, x], [b, y]) => (b === link.client) - (a === link.client) || x.localeCompare(y);
    const all = [...members].sort(order);
    $('list').replaceChildren(...all.slice(0, SHOWN).map(memberOf));
    $('others').hidden = all.length <= SHOWN;
    $('others').textContent = `and ${all.length - SHOWN} more`;
    $('count').textContent = all.length;
    $('people').hidden = all.length === 0;
  });
}

const aloud = text => { if (members.size <= FEW) $('news').textContent = text; };

function came({ client, info }) {
  const who = nameOf(info);
  if (client !== link.client && !members.has(client)) aloud(`${who} came`);
  members.set(client, who);
}

function went({ client }) {
  if (client !== link.client && members.has(client)) aloud(`${members.get(client)} left`);
  members.delete(client);
  stopped(client);
}

function stopped(client) {
  if (!typists.has(client)) return;
  clearTimeout(typists.get(client));
  typists.delete(client);
  whoTypes();
}

function whoTypes() {
  const names = [...typists.keys()].map(client => members.get(client) ?? 'somebody');
  const words = names.length > 2 ? 'Several people are typing …'
    : names.length ? `${names.join(' and ')} ${names.length > 1 ? 'are' : 'is'} typing …` : '';
  if ($('typing').textContent !== words) $('typing').textContent = words;
  draw();
}

function typed({ from, data, ttl }) {
  const client = from?.client;
  if (!client || client === link.client) return;
  stopped(client);
  if (!data?.on) return;
  typists.set(client, setTimeout(() => stopped(client), Math.min(Number(ttl) || 5000, 30_000)));
  whoTypes();
}

const TYPING_MS = 1200; // the server tells others once a second at most
let typing = false; // what others have been told, or are about to be
let told = 0; // when they were told the last time that we do
let telling;

/** Called for each key. Others forget after 5 s without word. */
function type(on) {
  if (!on && !typing) return;
  typing = on;
  clearTimeout(telling);
  const wait = on ? told + TYPING_MS - Date.now() : 0;
  telling = setTimeout(() => {
    if (on) told = Date.now();
    link.typing(channel, on);
  }, Math.max(wait, 0));
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

function hear({ data, ts, from }) {
  if (from?.client) stopped(from.client);
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
    else [...typists.keys()].forEach(stopped);
    $('members').classList.toggle('stale', state !== 'open');
  },
  joined(_, list) {
    members.clear();
    list.forEach(came);
    link.present(channel, { name: name() });
    draw();
  },
  presence({ joins, leaves }) {
    leaves.forEach(went);
    joins.forEach(came);
    draw();
  },
  typing: typed,
  message: hear,
  missed: () => note('Something may have been said while the connection was lost.'),
});

// -- the page -------------------------------------------------------------------------------

$('room').textContent = `#${room}`;
document.title = `#${room} – Linnet chat`;
$('name').value = stored.name ?? guest;
$('name').addEventListener('change', () => {
  stored.name = name();
  link.present(channel, { name: name() });
});

$('composer').addEventListener('submit', event => {
  event.preventDefault();
  const inName = document.activeElement === $('name'); // Enter there ends the name, nothing else
  $('text').focus();
  if (inName) return;
  const text = $('text').value.trim();
  if (text) say(text);
  $('text').value = '';
  type(false);
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
$('text').addEventListener('input', () => {
  grow();
  type($('text').value.trim() !== '');
});
$('text').addEventListener('blur', () => type(false));

/** On a phone the list lies over the conversation, when it is asked for. */
function unfold(open) {
  $('people').ariaExpanded = open;
  $('members').classList.toggle('open', open);
}
$('people').addEventListener('click', () => unfold($('people').ariaExpanded !== 'true'));
document.addEventListener('keydown', event => {
  if (event.key !== 'Escape' || $('people').ariaExpanded !== 'true') return;
  unfold(false);
  $('people').focus();
});

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
