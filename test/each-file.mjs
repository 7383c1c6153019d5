// Runs each test file it is given in a process of its own, two at a time, and prints one TAP stream. It is tap's own `t.spawn`, as
// tap's runner uses it, without the runner's loaders: they compile TypeScript, and what is run here is compiled.
import { t } from 'tap';

const JOBS = 2;
const FILE_MS_MAX = 240_000;
// A file may take as long as all that is in it.
const env = { ...process.env, TAP_TIMEOUT: String(FILE_MS_MAX / 1000) };

t.jobs = JOBS;
t.setTimeout(0);
for (const file of process.argv.slice(2)) {
  t.spawn(process.execPath, ['--enable-source-maps', file], { timeout: FILE_MS_MAX, buffered: true, env }, file);
}
