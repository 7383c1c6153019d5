// A process of its own for the pool whose task exhausts its heap: Node 26 does not end every such thread, and a process with one
// never ends by itself. Prints how the task ended and what the next one answered; whoever started it kills it.
import { asFault } from '../../abi/errno.js';
import { openPool } from '../../supervisor/pool/pool.js';

const EXHAUST = 3;
const pool = openPool({
  tasks: new URL('./crashing-tasks.js', import.meta.url),
  heapMibMax: 16,
  taskMsMax: 3_000,
});
const ended = await pool.hashBlake3(Uint8Array.of(EXHAUST)).then(
  () => 'fulfilled',
  (error: unknown) => asFault(error).code,
);
const { hash } = await pool.hashBlake3(Uint8Array.of(0));
process.stdout.write(`${JSON.stringify({ ended, next: hash })}\n`);
