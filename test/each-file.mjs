// Runs each test file it is given in a process of its own, two at a time, and prints one TAP stream. It is tap's own `t.spawn`, as
// tap's runner uses it, without the runner's loaders: they compile TypeScript, and what is run here is compiled.
import { t } from 'tap';

const JOBS = 2;
const FILE_MS_MAX = 240_000;
/** A cold build of crates. */
const RUST_MS_MAX = 1_800_000;

t.jobs = JOBS;
t.setTimeout(0);
for (const file of process.argv.slice(2)) {
  const timeout = file.includes('/rust/') ? RUST_MS_MAX : FILE_MS_MAX;
  // One test may take as long as its file.
  const env = { ...process.env, TAP_TIMEOUT: String(timeout / 1000) };
  t.spawn(process.execPath, ['--enable-source-maps', file], { timeout, buffered: true, env }, file);
}
