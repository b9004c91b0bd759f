// Takes code blocks out of a text, so that they run exactly as they were written.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';

/** Whether in fences or, as in help files, between > and < and set in by four. */
function blocks(text) {
  const fenced = [...text.matchAll(/```\w+\n([^]*?)```/g)];
  const set = [...text.matchAll(/^>\n([^]*?)^<$/gm)];
  return [...fenced.map(m => m[1]), ...set.map(m => m[1].replace(/^ {4}/gm, ''))];
}

/** The block that contains `mark`, up to its usage example or `end`. */
export function block(file, mark, end = /^\/\/ Usage/m) {
  const found = blocks(fs.readFileSync(file, 'utf8')).find(b => b.includes(mark));
  if (!found) throw new Error(`${path.basename(file)} has no block with ${mark}`);
  return found.split(end)[0];
}

/** TypeScript without its types; JSX becomes calls of h. */
export const plain = source => ts.transpileModule(source, { compilerOptions: {
  target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, jsx: ts.JsxEmit.React, jsxFactory: 'h',
} }).outputText;

/** Imports source as a module of its own. */
export async function load(source, ending = 'mjs') {
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
