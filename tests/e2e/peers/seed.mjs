// Takes code blocks out of a text with fences, so that they run exactly as they were written.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** The block that contains `mark`, up to its usage example. */
export function block(file, mark) {
  const text = fs.readFileSync(file, 'utf8');
  const found = [...text.matchAll(/```\w+\n([^]*?)```/g)].map(m => m[1]).find(b => b.includes(mark));
  if (!found) throw new Error(`${path.basename(file)} has no block with ${mark}`);
  return found.split(/^\/\/ Usage/m)[0];
}

/** Imports source as a module of its own; `ending` says whether it is JavaScript or TypeScript. */
export async function load(source, ending) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'linnet-seed-'));
  try {
    const file = path.join(folder, `seed.${ending}`);
    fs.writeFileSync(file, source);
    return await import(pathToFileURL(file));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

export const once = (object, name) => new Promise((resolve, reject) => {
  const old = object[name];
  const timer = setTimeout(() => reject(new Error(`${name} was not called`)), 8_000);
  object[name] = (...args) => {
    clearTimeout(timer);
    object[name] = old;
    old?.apply(object, args);
    resolve(args);
  };
});
