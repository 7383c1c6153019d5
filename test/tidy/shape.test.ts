import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { FAULT_CODES } from '../../abi/errno.js';
import { checkLimits } from '../../abi/limits.js';
import { SYSCALL_COUNT, SYSCALLS } from '../../abi/table.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { readSources } from '../kit/source-files.js';

const LINES_MAX = 400;
const ROOMS = ['abi', 'bus', 'worker', 'supervisor', 'cli', 'capsules'];

/** Built or installed; git ignores them. */
const MADE = new Set(['node_modules', 'dist']);
const FILES = [
  'LICENSE-APACHE',
  'LICENSE-MIT',
  'README.md',
  'biome.json',
  'package-lock.json',
  'package.json',
  'tsconfig.json',
];

test('the top level holds the rooms and a few small files, and nothing that a tool left there', (t) => {
  const found = readdirSync(PACKAGE_ROOT).filter((name) => !name.startsWith('.') && !MADE.has(name));
  t.same(found.sort(), [...ROOMS, 'test', 'docs', ...FILES].sort());
  t.end();
});

test('npm start is the conversation, npm test is everything, and an install runs no script of a package', (t) => {
  const { scripts, engines, bin } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>;
    readonly engines: Readonly<Record<string, string>>;
    readonly bin: Readonly<Record<string, string>>;
  };
  t.match(scripts, { start: 'node cli/astrid chat', test: 'node test/run.mjs' });
  t.match(engines, { node: '>=20.19' });
  t.match(bin, { astrid: 'cli/astrid' });
  t.match(readFileSync(join(PACKAGE_ROOT, '.npmrc'), 'utf8'), /^ignore-scripts=true$/m);
  t.notMatch(readFileSync(join(PACKAGE_ROOT, 'package-lock.json'), 'utf8'), /"resolved": "https?:/);
  t.end();
});

/** Where what somebody shows is held against a secret, or against an id that is one. */
const COMPARE_SECRETS = ['supervisor/gate/approval-ledger.ts', 'supervisor/session-token.ts'];

test('secrets are compared in constant time, in the files that compare them and in no other way', (t) => {
  const sources = readSources(...ROOMS);
  const comparing = sources.filter(({ text }) => /\btimingSafeEqual\(/.test(text));
  t.same(comparing.map(({ path }) => path).sort(), COMPARE_SECRETS);
  // A second way beside the first would be the one that leaks.
  const other = /\.equals\(|\.compare\(|[!=]==\s*(?:candidate|wanted)\b|\b(?:candidate|wanted)\s*[!=]==/;
  t.same(
    comparing.filter(({ text }) => other.test(text)).map(({ path }) => path),
    [],
  );
  t.end();
});

test('every source file fits in a head', (t) => {
  const long = readSources(...ROOMS)
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX);
  t.same(long, []);
  t.end();
});

test('no file is a barrel or a drawer of odds and ends', (t) => {
  const sources = readSources(...ROOMS);
  t.same(
    sources.filter(({ path }) => /(^|\/)(utils?|helpers?|index|common|misc)\.ts$/.test(path)).map(({ path }) => path),
    [],
  );
  t.same(
    sources.filter(({ text }) => /^export \* from/m.test(text)).map(({ path }) => path),
    [],
  );
  t.end();
});

test('tests take random values from one place, which tries the same ones in each run', (t) => {
  const direct = readSources('test').filter(
    ({ path, imports }) => imports.includes('fast-check') && !path.startsWith('test/fuzz/'),
  );
  t.same(
    direct.map(({ path }) => path),
    ['test/kit/property.ts'],
  );
  t.end();
});

test('nothing is left unfinished in the sources', (t) => {
  const words = new RegExp(
    `\\b(${['TO', 'FIX', 'HA'].map((start, index) => start + ['DO', 'ME', 'CK'][index]).join('|')})\\b`,
  );
  t.same(
    readSources(...ROOMS, 'test')
      .filter(({ text }) => words.test(text))
      .map(({ path }) => path),
    [],
  );
  t.end();
});

test('limits relate to each other as they must', (t) => {
  t.same(checkLimits(), []);
  t.end();
});

test('the syscall table holds the 49 calls of the original, each with its own number and name', (t) => {
  t.equal(SYSCALLS.length, SYSCALL_COUNT);
  t.equal(new Set(SYSCALLS.map(({ name }) => name)).size, SYSCALL_COUNT);
  t.equal(
    SYSCALLS.filter(({ returns }) => returns === 'void').length,
    14,
    'twelve calls return nothing, and so do the two timers',
  );
  t.equal(SYSCALLS.filter(({ hostResult }) => hostResult).length, 7, 'seven calls carry a status byte');
  t.end();
});

test('every error code is raised somewhere', (t) => {
  const text = readSources(...ROOMS)
    .filter(({ path }) => path !== 'abi/errno.ts' && !path.startsWith('abi/syscalls/'))
    .map((file) => file.text)
    .join('\n');
  t.same(
    FAULT_CODES.filter((code) => !text.includes(`'${code}'`)),
    [],
  );
  t.end();
});
