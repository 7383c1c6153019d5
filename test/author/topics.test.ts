import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { CLIENT_TOPICS } from '../../abi/control.js';
import { parseManifest } from '../../supervisor/capsule/manifest-loader.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { readSources } from '../kit/source-files.js';

const ROW = /^\| `([^`]+)` +\| ([^|]+?) +\| (.+?) +\|$/gm;
const text = readFileSync(join(PACKAGE_ROOT, 'docs/topics.md'), 'utf8');
const rows = [...text.matchAll(ROW)].map(([, topic = '', direction = '', payload = '']) => ({
  topic,
  direction,
  payload,
}));

/** A name in a row, with `<…>` for one segment, and a topic or pattern, with `*` for one. */
function covers(row: string, topic: string): boolean {
  const wanted = row.replaceAll(/<[^>]*>/g, '*').split('.');
  const found = topic.split('.');
  return (
    wanted.length === found.length &&
    wanted.every((segment, at) => segment === '*' || found[at] === '*' || segment === found[at])
  );
}

const missing = (topics: readonly string[]) => topics.filter((topic) => !rows.some((row) => covers(row.topic, topic)));

test('docs/topics.md, every topic in the manifests of our capsules, has a row', (t) => {
  const names = readdirSync(join(PACKAGE_ROOT, 'capsules'), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  for (const { name } of names) {
    const manifest = parseManifest(readFileSync(join(PACKAGE_ROOT, 'capsules', name, 'Capsule.toml'), 'utf8'));
    const events = manifest.interceptors.map(({ event }) => event);
    t.same(missing([...manifest.publish, ...manifest.subscribe, ...events]), [], name);
  }
  t.end();
});

test('docs/topics.md, every topic that the kernel and clients use, has a row', (t) => {
  const sources = readSources('supervisor', 'bus')
    .map((file) => file.text)
    .join('\n');
  const literals = [...sources.matchAll(/'(astrid\.v1\.[a-z_.]*[a-z_])'/g)].map((match) => match[1] ?? '');
  t.ok(literals.length > 4);
  t.same(missing([...new Set(literals)]), []);
  t.same(missing(CLIENT_TOPICS), []);
  t.end();
});

test('docs/topics.md, each row, names a topic once, a direction and a payload', (t) => {
  t.ok(rows.length > 50, `${rows.length} rows`);
  t.same(
    rows.filter(({ topic }, at) => rows.findIndex((row) => row.topic === topic) !== at),
    [],
  );
  const tableLines = text.split('\n').filter((line) => line.startsWith('| `'));
  t.equal(tableLines.length, rows.length, 'every line of a table is a row');
  t.end();
});
