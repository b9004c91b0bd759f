// Reads the text formats of Prometheus as strictly as they are written down, and complains.
import assert from 'node:assert/strict';

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/gy;
const NUMBER = /^(?:[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|NaN|[+-]Inf)$/;

function labels(text) {
  const found = {};
  let end = 0;
  for (const m of text.matchAll(LABEL)) {
    assert.ok(!(m[1] in found), `the label ${m[1]} twice`);
    found[m[1]] = m[2].replaceAll(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    end = m.index + m[0].length;
  }
  assert.equal(end, text.length, `labels: ${text}`);
  return found;
}

/** Whether a sample's name belongs to a family of this type. */
function belongs(sample, name, type, open) {
  if (type === 'counter') return sample === (open ? `${name}_total` : name) && sample.endsWith('_total');
  if (type === 'histogram') return ['_bucket', '_sum', '_count'].some(s => sample === name + s);
  return sample === name;
}

function checkHistogram(name, samples) {
  const buckets = samples.filter(s => s.name === `${name}_bucket`);
  const of = suffix => samples.find(s => s.name === name + suffix)?.value;
  const bounds = buckets.map(b => (b.labels.le === '+Inf' ? Infinity : Number(b.labels.le)));
  assert.deepEqual(bounds, [...bounds].sort((a, b) => a - b), `${name}: bounds in order`);
  assert.equal(bounds.at(-1), Infinity, `${name}: a last bucket`);
  buckets.reduce((before, b) => {
    assert.ok(b.value >= before, `${name}: buckets add up`);
    return b.value;
  }, 0);
  assert.equal(buckets.at(-1).value, of('_count'), `${name}: count`);
  assert.ok(Number.isFinite(of('_sum')), `${name}: sum`);
}

/** A Map from family name to { type, help, samples: [{ name, labels, value }] }. */
export function parse(text, { open = false } = {}) {
  assert.ok(text.endsWith('\n'), 'the last line ends');
  assert.ok(!text.includes('\r'), 'line feeds only');
  const lines = text.slice(0, -1).split('\n');
  if (open) assert.equal(lines.pop(), '# EOF');
  const families = new Map();
  const seen = new Set();
  let family;
  for (const line of lines) {
    const comment = line.match(/^# (HELP|TYPE) (\S+) (.*)$/);
    if (comment) {
      const [, what, name, rest] = comment;
      assert.match(name, NAME);
      if (what === 'HELP') {
        assert.ok(!families.has(name), `${name} comes twice`);
        family = { name, help: rest, samples: [] };
        families.set(name, family);
      } else {
        assert.equal(name, family.name, `the type of ${name} stands behind its help`);
        assert.equal(family.samples.length, 0);
        assert.match(rest, /^(counter|gauge|histogram)$/);
        family.type = rest;
      }
      continue;
    }
    const m = line.match(SAMPLE);
    assert.ok(m, `no sample: ${line}`);
    assert.ok(family?.type && belongs(m[1], family.name, family.type, open), `${m[1]} stands under ${family?.name}`);
    assert.match(m[3], NUMBER);
    const key = m[1] + (m[2] ?? '');
    assert.ok(!seen.has(key), `${key} twice`);
    seen.add(key);
    family.samples.push({ name: m[1], labels: labels(m[2] ?? ''), value: Number(m[3].replace('Inf', 'Infinity')) });
  }
  for (const f of families.values()) {
    assert.ok(f.samples.length > 0, `${f.name} has samples`);
    if (f.type === 'histogram') checkHistogram(f.name, f.samples);
  }
  return families;
}

/** The value of a sample by its name and the value of its only label. */
export function value(families, name, label) {
  for (const f of families.values()) {
    const fits = s => label === undefined || Object.values(s.labels)[0] === label;
    const s = f.samples.find(one => one.name === name && fits(one));
    if (s) return s.value;
  }
  throw new Error(`there is no ${name} ${label ?? ''}`);
}
