import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Test, test } from 'tap';
import { formatNoteKey, makeNoteKey } from '../../abi/audit/note.js';
import { generateKeyPair } from '../../abi/audit/signing.js';
import { Fault } from '../../abi/errno.js';
import { openPool, type Pool, type PoolOptions } from '../../supervisor/pool/pool.js';
import { flipByteOfLog, writeClosedLog } from '../audit/closed-log.js';
import { compileWat } from '../wasm/modules.js';

const CRASHING = new URL('./crashing-tasks.js', import.meta.url);
const EXHAUSTED = fileURLToPath(new URL('./exhausted-pool.js', import.meta.url));
const THREADLESS = fileURLToPath(new URL('./threadless-pool.js', import.meta.url));
const [THROW, EXIT, LOOP, REJECT] = [1, 2, 4, 5];

function withPool(t: Test, options: PoolOptions = {}): Pool {
  const pool = openPool(options);
  t.teardown(() => pool.close());
  return pool;
}

const order = (way: number | undefined) => Uint8Array.of(way ?? 0);

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const thrown = await work.then(
    () => new Error('expected a Fault'),
    (error: unknown) => error,
  );
  if (thrown instanceof Fault) return thrown;
  throw thrown;
}

test('pool, hashing, gives the published BLAKE3 values and the bytes back', async (t) => {
  const pool = withPool(t);
  const empty = await pool.hashBlake3(new Uint8Array());
  t.equal(empty.hash, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262');
  const abc = await pool.hashBlake3(Buffer.from('abc'));
  t.equal(abc.hash, '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85');
  t.equal(abc.bytes.toString(), 'abc');
});

test('pool, bytes with a buffer of their own, change threads without a copy; a view of more is copied', async (t) => {
  const pool = withPool(t);
  const own = new Uint8Array(100_000).fill(7);
  const { bytes } = await pool.hashBlake3(own);
  t.equal(own.byteLength, 0, 'taken over');
  t.ok(bytes.length === 100_000 && bytes.every((byte) => byte === 7), 'given back');
  const whole = new Uint8Array(100_000).fill(9);
  const part = whole.subarray(10, 20);
  t.equal((await pool.hashBlake3(part)).bytes.length, 10);
  t.ok(whole.length === 100_000 && part.every((byte) => byte === 9), 'the rest is untouched');
});

test('pool, a module, is inspected there, and what is wrong with it comes back as the same Fault', async (t) => {
  const pool = withPool(t);
  const good = await compileWat('(module (memory 1) (func (export "run") (result i32) (i32.const 0)))');
  const size = good.length;
  const { report, bytes } = await pool.inspectModule(good);
  t.match(report, { entryPoints: ['run'], memory: { minPages: 1 }, bytes: size });
  t.equal(bytes.length, size);
  const foreign = await compileWat(
    '(module (import "env" "x" (func)) (func (export "run") (result i32) (i32.const 0)))',
  );
  const fault = await faultOf(pool.inspectModule(foreign));
  t.match(fault, { name: 'Fault', code: 'bad_module', field: 'import section', message: /"env"\."x"/ });
});

test('pool, more tasks than threads, all get their own answer', async (t) => {
  const pool = withPool(t);
  const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => pool.hashBlake3(Uint8Array.of(index))));
  t.same(
    answers.map(({ bytes }) => bytes[0]),
    [...answers.keys()],
  );
  t.equal(new Set(answers.map(({ hash }) => hash)).size, 40);
});

const CRASHES: readonly (readonly [title: string, way: number | undefined, code: string, says: RegExp])[] = [
  ['a task that throws', THROW, 'crashed', /thrown by the task/],
  ['a task that rejects', REJECT, 'crashed', /rejected by the task/],
  ['a task that ends its thread', EXIT, 'crashed', /exited with code: 3/],
];
for (const [title, way, code, says] of CRASHES) {
  test(`pool, ${title}, is a Fault, and the pool goes on`, async (t) => {
    const pool = withPool(t, { tasks: CRASHING, heapMibMax: 16 });
    const fault = await faultOf(pool.hashBlake3(order(way)));
    t.equal(fault.code, code);
    t.match(fault.message, says);
    t.equal((await pool.hashBlake3(order(0))).hash, 'fine');
  });
}

test('pool, a task that exhausts its heap, is a Fault, and the pool goes on', async (t) => {
  const child = spawn(process.execPath, [EXHAUSTED], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  // One engine gives up near the limit, another collects garbage until the task's time is over.
  t.match(JSON.parse(line), { ended: /^(out_of_memory|timed_out)$/, next: 'fine' });
});

test('pool, a task that never ends, is ended at its time, and the pool goes on', async (t) => {
  const pool = withPool(t, { tasks: CRASHING, threadsMax: 1, taskMsMax: 2_500 });
  t.match(await faultOf(pool.hashBlake3(order(LOOP))), { code: 'timed_out', message: /2\.5 s/ });
  t.equal((await pool.hashBlake3(order(0))).hash, 'fine');
});

test('pool, crashes while others wait, answers every one of them', async (t) => {
  const pool = withPool(t, { tasks: CRASHING, threadsMax: 2 });
  const ways = [EXIT, EXIT, EXIT, 0, EXIT, 0, THROW, 0];
  const outcomes = await Promise.allSettled(ways.map((way) => pool.hashBlake3(order(way))));
  t.same(
    outcomes.map(({ status }) => status),
    ways.map((way) => (way === 0 ? 'fulfilled' : 'rejected')),
  );
});

test('pool, tasks that cannot be loaded, is a Fault and not a wait without end', async (t) => {
  const pool = withPool(t, { tasks: new URL('./no-such-tasks.js', import.meta.url) });
  t.match(await faultOf(pool.hashBlake3(order(0))), { code: 'crashed' });
});

test('pool, closed with a task that never ends, cancels it and those that wait', async (t) => {
  const pool = openPool({ tasks: CRASHING, threadsMax: 1 });
  const [running, waiting] = [faultOf(pool.hashBlake3(order(LOOP))), faultOf(pool.hashBlake3(order(0)))];
  await pool.close();
  t.match(await running, { code: 'cancelled' });
  t.match(await waiting, { code: 'cancelled' });
  t.match(await faultOf(pool.hashBlake3(order(0))), { code: 'cancelled' });
});

test('pool, too many tasks at once, refuses the rest instead of holding their bytes', async (t) => {
  const pool = openPool({ tasks: CRASHING, threadsMax: 1 });
  const faults = Array.from({ length: 258 }, () => faultOf(pool.hashBlake3(order(LOOP))));
  t.match(await faults.at(-1), { code: 'rate_limited' });
  await pool.close();
  t.equal((await Promise.all(faults)).filter((fault) => fault.code === 'cancelled').length, 257);
});

const ENTRIES = 20;
const writeLog = (t: Test) => writeClosedLog(join(t.testdir({ log: {} }), 'log'), ENTRIES);

test('pool, an audit log, is verified there; a flipped byte is told with its entry', async (t) => {
  const pool = withPool(t);
  const { directory, checkpoint, key } = await writeLog(t);
  const request = { directory, key, knownCheckpoint: checkpoint };
  t.match(await pool.verifyAudit(request), { entries: ENTRIES, treeSize: ENTRIES, firstBad: null, checkpoint });
  flipByteOfLog(directory);
  t.match(await pool.verifyAudit(request), { firstBad: { code: 'bad_log', index: Number } });
});

test('pool, an audit log shorter than the known checkpoint, is not proven', async (t) => {
  const pool = withPool(t);
  const { checkpoint, key } = await writeLog(t);
  const empty = t.testdir({ log: {} });
  const request = { directory: join(empty, 'log'), key, knownCheckpoint: checkpoint };
  t.match(await pool.verifyAudit(request), { firstBad: { message: /covers 20/ } });
});

test('pool, an audit log with another key or without a directory, is a Fault', async (t) => {
  const pool = withPool(t);
  const { directory, checkpoint, key } = await writeLog(t);
  const other = formatNoteKey(makeNoteKey('log.example', (await generateKeyPair()).public));
  const foreign = pool.verifyAudit({ directory, key: other, knownCheckpoint: checkpoint });
  t.match(await faultOf(foreign), { code: 'bad_proof', field: 'known' });
  t.match(await faultOf(pool.verifyAudit({ directory, key: 'x', knownCheckpoint: null })), { code: 'bad_log' });
  const gone = pool.verifyAudit({ directory: join(directory, 'gone'), key, knownCheckpoint: null });
  t.match(await faultOf(gone), { code: 'not_found' });
});

test('pool, no thread to be had for two tasks, is a Fault of each, and the process goes on', async (t) => {
  // Without the test library's loader, which writes where somebody else may not.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, THREADLESS];
  const child = spawn('env', command, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const [code] = await once(child, 'close');
  t.same(lines.slice(0, 2), ['crashed EAGAIN', 'crashed EAGAIN']);
  t.equal(lines.at(-1), 'alive');
  t.equal(code, 0);
});
