import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import type { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { FROM_WORKER, WORKER_DESCRIPTORS } from '../../abi/worker-protocol.js';
import { encodeFrame } from '../../bus/frame.js';
import { spawnWorker } from '../../supervisor/proc/spawn.js';
import { WorkerLink } from '../../supervisor/proc/worker-link.js';
import { hostTools } from '../kit/worker-bench.js';
import { linkHandlers, SMALL_LOAD } from './idle-link.js';

const loaded = encodeFrame([FROM_WORKER.loaded, { exports: ['astrid_hook_trigger'] }]);
const call = (id: unknown, number: unknown, ...args: unknown[]) => encodeFrame([FROM_WORKER.call, id, number, ...args]);
const key = Buffer.from('key');
const KV_GET = 14;

/** What a worker that was taken over might send once it was told to run, and what the supervisor makes of it. */
const ATTACKS: readonly [string, Buffer[], string][] = [
  ['a length of 4 GiB', [Buffer.from([255, 255, 255, 255])], 'frame_too_large'],
  ['a length of 2 GiB', [Buffer.from([0, 0, 0, 128])], 'frame_too_large'],
  [
    'a length one past the limit',
    [Buffer.from(Uint32Array.of(LIMITS.workerFrameBytesMax + 1).buffer)],
    'frame_too_large',
  ],
  ['an empty frame', [Buffer.from([0, 0, 0, 0])], 'bad_frame'],
  ['bytes that are no msgpack', [Buffer.from([1, 0, 0, 0, 0xc1])], 'bad_frame'],
  ['an extension type', [Buffer.from([4, 0, 0, 0, 0xd4, 0x70, 0, 0])], 'bad_frame'],
  ['trailing bytes', [Buffer.from([2, 0, 0, 0, 0x90, 0x90])], 'bad_frame'],
  ['a map instead of a list', [encodeFrame({ t: 'req', method: 'stop' })], 'bad_frame'],
  ['an unknown kind', [encodeFrame([99, 1, 2])], 'bad_frame'],
  ['a second load report', [loaded], 'bad_frame'],
  ['an unknown call number', [call(1, 49, key)], 'bad_frame'],
  ['a call number that is no number', [call(1, '__proto__', key)], 'bad_frame'],
  ['a call of the worker itself (clock)', [call(1, 32)], 'bad_frame'],
  ['too few arguments', [call(1, KV_GET)], 'bad_frame'],
  ['too many arguments', [call(1, KV_GET, key, key)], 'bad_frame'],
  ['an argument that is no byte string', [call(1, KV_GET, { principal: 'root' })], 'bad_frame'],
  ['a call id that skips', [call(2, KV_GET, key)], 'bad_frame'],
  ['a call id that is negative', [call(-1, KV_GET, key)], 'bad_frame'],
  ['a second call before the first was answered', [call(1, KV_GET, key), call(2, KV_GET, key)], 'bad_frame'],
  [
    'a result while a call is open',
    [call(1, KV_GET, key), encodeFrame([FROM_WORKER.done, 1, 0, key, ''])],
    'bad_frame',
  ],
  ['the result of another invocation', [encodeFrame([FROM_WORKER.done, 2, 0, key, ''])], 'bad_frame'],
  ['a result of the wrong shape', [encodeFrame([FROM_WORKER.done, 1, '0', key, ''])], 'bad_frame'],
  ['a trap with a code of its own', [encodeFrame([FROM_WORKER.trapped, 1, 'all_is_well', ''])], 'bad_frame'],
  ['a log line of an unknown level', [encodeFrame([FROM_WORKER.log, 'root', 'x'])], 'bad_frame'],
  ['half a frame and the end', [Buffer.from([200, 0, 0, 0, 1, 2, 3])], 'bad_frame'],
];

interface Way {
  /** One byte a write. */
  readonly inBytes?: boolean;
  readonly output?: number;
}

/** A program in the worker's place that says it has loaded, waits for an invocation, then sends its bytes. */
function attackerProgram(bytes: readonly Buffer[], { inBytes = false, output = 3 }: Way): string {
  const payload = Buffer.concat(bytes).toString('base64');
  return `import fs from 'node:fs';
const read = () => { const head = Buffer.alloc(4); fs.readSync(4, head, 0, 4); let left = head.readUInt32LE();
  const body = Buffer.alloc(65536); while (left > 0) left -= fs.readSync(4, body, 0, Math.min(left, 65536)); };
read();
fs.writeSync(3, Buffer.from('${loaded.toString('base64')}', 'base64'));
read();
const payload = Buffer.from('${payload}', 'base64');
try {
  if (${inBytes}) for (const byte of payload) fs.writeSync(${output}, Buffer.from([byte]));
  else fs.writeSync(${output}, payload);
} catch {}
process.exit(0);
`;
}

interface Result {
  readonly violations: readonly Fault[];
  readonly outcome: { readonly kind: string };
  readonly calls: number;
}

async function attack(directory: string, bytes: readonly Buffer[], way: Way = {}): Promise<Result> {
  const program = join(directory, 'attacker.mjs');
  writeFileSync(program, attackerProgram(bytes, way));
  const worker = spawnWorker('process', { tools: await hostTools, workerBundle: program });
  worker.stderr.resume();
  const violations: Fault[] = [];
  let calls = 0;
  const link = new WorkerLink(
    worker,
    linkHandlers({ onCall: () => calls++, onViolation: (fault) => violations.push(fault) }),
  );
  await link.load({ ...SMALL_LOAD, wasm: Buffer.alloc(0) });
  const outcome = await link.invoke('astrid_hook_trigger', Buffer.alloc(0), null);
  worker.kill('SIGKILL');
  await worker.exited;
  return { violations, outcome, calls };
}

test('whatever a worker sends, it ends that worker with one clear code and throws nowhere', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'astrid-hostile-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  for (const [what, bytes, code] of ATTACKS) {
    const { violations, outcome } = await attack(directory, bytes);
    t.equal(outcome.kind, 'failed', what);
    t.match(violations[0] ?? { code: 'bad_frame' }, { code }, what);
  }
});

test('a legal call in single bytes is understood, and one that is cut off is not made', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'astrid-hostile-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const whole = await attack(directory, [call(1, KV_GET, key)], { inBytes: true });
  t.match(whole, { calls: 1, violations: [] });
  const cut = await attack(directory, [call(1, KV_GET, key).subarray(0, -1)], { inBytes: true });
  t.equal(cut.calls, 0);
});

test('what a worker says on the descriptor that it hears on is never read', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'astrid-hostile-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const said = await attack(directory, [call(1, KV_GET, key)], { output: WORKER_DESCRIPTORS.input });
  t.match(said, { calls: 0, violations: [], outcome: { kind: 'failed' } });
});
