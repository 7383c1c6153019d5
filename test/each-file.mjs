// Runs each test file it is given in a process of its own, three at a time, and prints one TAP stream. It is tap's own `t.spawn`, as
// tap's runner uses it, without the runner's loaders: they compile TypeScript, and what is run here is compiled.
import { t } from 'tap';

/** One more than the cores it is for: many a test waits for a clock. */
const JOBS = 3;
/** For what hangs, not for what is slow: a machine may be ten times slower than where most files take a minute at most. */
const FILE_MS_MAX = 900_000;
/** Every case in six lanes: close to four minutes where three files share two cores. */
const CONFORMANCE_MS_MAX = 1_800_000;
/** A cold build of crates. */
const RUST_MS_MAX = 1_800_000;

function limitOf(file) {
  if (file.includes('/rust/')) return RUST_MS_MAX;
  return file.endsWith('/conformance.test.js') ? CONFORMANCE_MS_MAX : FILE_MS_MAX;
}

t.jobs = JOBS;
t.setTimeout(0);
for (const file of process.argv.slice(2)) {
  const timeout = limitOf(file);
  // One test may take as long as its file.
  const env = { ...process.env, TAP_TIMEOUT: String(timeout / 1000) };
  t.spawn(process.execPath, ['--enable-source-maps', file], { timeout, buffered: true, env }, file);
}
