// `npm test`: builds, runs every compiled test file with tap, and ends in `N passed, N failed` from what tap said.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);
const FAILURES_SHOWN = 50;
/** The longest, in seconds: begun last, one of them would run alone. */
const LONG = ['rust/', 'conformance/', 'store/', 'vfs/crash', 'author/', 'as-guest', 'attacks/', 'build/'];

/** Compiled files, by their sources: what was compiled of a file that is gone stays in `dist`. */
function listTests(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return entry.name === 'bench' ? [] : listTests(path);
    return entry.name.endsWith('.test.ts') ? [join('dist', relative(root, path)).replace(/\.ts$/, '.js')] : [];
  });
}

function rankOf(path) {
  const at = LONG.findIndex((word) => path.includes(word));
  return at < 0 ? LONG.length : at;
}

/** Prints a line for each file that ended, and gives what passed and what failed. */
async function runAll(tests) {
  const { Parser } = await import('tap-parser');
  const args = [join(root, 'test/each-file.mjs'), ...tests];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
  let passed = 0;
  let skipped = 0;
  const failures = [];
  const parser = new Parser();
  parser.on('result', ({ ok, todo, skip, fullname, diag }) => {
    // What the machine does not have (root, bubblewrap, cargo) is said, not counted.
    if (todo || skip) skipped++;
    else if (ok) passed++;
    else failures.push(`${fullname}\n${JSON.stringify(diag ?? {}, null, 2)}`);
  });
  parser.on('assert', ({ ok, name, time }) => {
    console.log(`${ok ? '    ok' : 'NOT OK'} ${((time ?? 0) / 1000).toFixed(1).padStart(6)} s  ${name}`);
    // A file that crashed, or that ran out of time, may have no failing line of its own.
    if (!ok && !failures.some((failure) => failure.startsWith(name))) failures.push(`${name}: ended badly`);
  });
  await new Promise((resolve) => {
    parser.on('complete', resolve);
    child.stdout.pipe(parser);
  });
  const code = await exited;
  if (code !== 0 && failures.length === 0) failures.push(`the run ended with exit code ${code}`);
  return { passed, skipped, failures };
}

const { buildAll } = await import('../cli/setup.mjs');
await buildAll();
const tests = listTests(join(root, 'test'))
  .filter((path) => wanted.length === 0 || wanted.some((word) => path.includes(word)))
  .sort((one, other) => rankOf(one) - rankOf(other));
const { passed, skipped, failures } = await runAll(tests);
// Said once more at the end, where a log that was cut still has it.
for (const failure of failures.slice(0, FAILURES_SHOWN)) console.log(`\nnot ok: ${failure}`);
if (skipped > 0) console.log(`${skipped} skipped`);
console.log(`${passed} passed, ${failures.length} failed`);
process.exit(failures.length > 0 || passed === 0 ? 1 : 0);
