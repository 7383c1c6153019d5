// `npm test`: builds, runs every compiled test file with tap, and ends in `N passed, N failed` from what tap recorded.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);

function listTests(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return entry.name === 'bench' ? [] : listTests(path);
    return entry.name.endsWith('.test.js') ? [relative(root, path)] : [];
  });
}

function run(file, args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [file, ...args], { cwd: root, stdio: 'inherit' });
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

async function countResults(file) {
  const { Parser } = await import('tap-parser');
  const counts = { passed: 0, failed: 0 };
  await new Promise((resolve) => {
    const parser = new Parser(resolve);
    parser.on('result', ({ ok, todo, skip }) => {
      if (ok || todo || skip) counts.passed++;
      else counts.failed++;
    });
    parser.end(readFileSync(file));
  });
  return counts;
}

const { buildAll } = await import('../cli/setup.mjs');
await buildAll();
const tests = listTests(join(root, 'dist/test')).filter(
  (path) => wanted.length === 0 || wanted.some((word) => path.includes(word)),
);
const scratch = mkdtempSync(join(tmpdir(), 'astrid-test-'));
const record = join(scratch, 'results.tap');
const tap = join(root, 'node_modules/tap/dist/esm/run.mjs');
const options = ['--jobs=2', '--timeout=240', '--reporter=terse', `--output-file=${record}`];
const code = await run(tap, [...options, ...tests]);
const { passed, failed } = await countResults(record);
rmSync(scratch, { recursive: true });
const broken = code !== 0 || failed > 0 || passed === 0;
// A file that crashed has no failing line of its own: it still counts as one.
console.log(`${passed} passed, ${broken && failed === 0 ? 1 : failed} failed`);
process.exit(broken ? 1 : 0);
