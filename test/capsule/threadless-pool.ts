import { asFault } from '../../abi/errno.js';
import { openPool } from '../../supervisor/pool/pool.js';
import { useUpThreads } from '../kit/short-of.js';

/** Run by pool.test.ts in a process of its own: it stops being root, for whom there is no bound, and may not start a thread then. */
const TASK_MS = 500;
const SOMEBODY = 54_321;

const pool = openPool({
  tasks: new URL('./crashing-tasks.js', import.meta.url),
  threadsMax: 2,
  taskMsMax: TASK_MS,
});
if (process.getuid?.() === 0) process.setuid?.(SOMEBODY);
const giveBack = await useUpThreads();
const run = () =>
  pool.hashBlake3(Uint8Array.of(0)).then(
    () => 'done',
    (error: unknown) =>
      `${asFault(error).code} ${/EAGAIN/.exec(asFault(error).message)?.[0] ?? asFault(error).message}`,
  );
for (const outcome of await Promise.all([run(), run()])) console.log(outcome);
// What a task leaves behind that never got its thread, would end the process when its time is up.
await new Promise((resolve) => setTimeout(resolve, 2 * TASK_MS));
await giveBack();
console.log(await run());
await pool.close();
console.log('alive');
