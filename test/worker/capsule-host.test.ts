import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import type { AbiGeneration, Tier } from '../../abi/manifest.js';
import { assemble, guestText } from '../kit/guest-wat.js';
import { jailMissing, startWorker } from '../kit/worker-bench.js';

const GET = { astrid_kv_get: { params: 1, result: true } } as const;
const SET = { astrid_kv_set: { params: 2, result: true } } as const;
const KEY = { 16: 'key' } as const;
const callGet = '(call $answer (call $astrid_kv_get (call $block (i32.const 16) (i32.const 3)))) (i32.const 0)';
const tiers: readonly Tier[] = ['process', 'jail'];

const noJail = await jailMissing();
for (const tier of tiers) {
  const options = { skip: tier === 'jail' && noJail };
  test(`a host call from tier ${tier} reaches the kernel and its answer reaches the guest`, options, async (t) => {
    const wasm = await assemble(guestText({ calls: GET, data: KEY, exports: { astrid_hook_trigger: callGet } }));
    const asked: string[] = [];
    const worker = await startWorker({
      wasm,
      tier,
      answer: (name, args) => {
        asked.push(`${name} ${args.map(String).join(' ')}`);
        return Buffer.from('value');
      },
    });
    t.teardown(worker.end);
    const outcome = await worker.invoke('astrid_hook_trigger');
    t.match(outcome, { kind: 'done', returnCode: 0 });
    t.equal(outcome.kind === 'done' && outcome.output.toString(), '\0value');
    t.same(asked, ['astrid_kv_get key']);
  });
}

const failing = (): Fault => new Fault('quota_exceeded', 'full');

const encodings: readonly [AbiGeneration, string | RegExp][] = [
  [1, /^trap quota_exceeded kv_get failed: full$/],
  [2, '\x01kv_get failed: full'],
  [3, '\x01{"code":"quota_exceeded","message":"full"}'],
];
for (const [generation, expected] of encodings) {
  test(`a failed kv_get in generation ${generation} is what its guests can decode`, async (t) => {
    const wasm = await assemble(guestText({ calls: GET, data: KEY, exports: { astrid_hook_trigger: callGet } }));
    const worker = await startWorker({ wasm, generation, answer: failing });
    t.teardown(worker.end);
    const outcome = await worker.invoke('astrid_hook_trigger');
    const seen =
      outcome.kind === 'done' ? outcome.output.toString() : `trap ${outcome.fault.code} ${outcome.fault.message}`;
    if (typeof expected === 'string') t.equal(seen, expected);
    else t.match(seen, expected);
  });
}

test('a failed void call is an error value in generation 3 and a trap before', async (t) => {
  const set =
    '(call $astrid_kv_set (call $block (i32.const 16) (i32.const 3)) (call $block (i32.const 16) (i32.const 3)))';
  const modern = await assemble(
    guestText({ calls: SET, data: KEY, exports: { astrid_hook_trigger: `(call $answer ${set}) (i32.const 0)` } }),
  );
  const worker = await startWorker({ wasm: modern, answer: failing });
  t.teardown(worker.end);
  const caught = await worker.invoke('astrid_hook_trigger');
  t.match(caught.kind === 'done' && caught.output.toString(), /quota_exceeded/);

  const calls = { astrid_kv_set: { params: 2, result: false } };
  const old = await assemble(guestText({ calls, data: KEY, exports: { astrid_hook_trigger: `${set} (i32.const 0)` } }));
  const older = await startWorker({ wasm: old, generation: 2, answer: failing });
  t.teardown(older.end);
  t.match(await older.invoke('astrid_hook_trigger'), { kind: 'failed', fault: { code: 'quota_exceeded' } });
  t.match(await older.invoke('astrid_hook_trigger'), { kind: 'failed' }, 'and the instance still answers');
});

test('hostile block offsets read as empty bytes and never as foreign memory', async (t) => {
  const offsets = [
    '0',
    '-1',
    '1',
    '4294967295',
    '9223372036854775807',
    '-9223372036854775808',
    '4294967312',
    '281474976710656',
  ];
  for (const offset of offsets) {
    const body = `(call $answer (call $astrid_kv_get (i64.const ${offset}))) (i32.const 0)`;
    const wasm = await assemble(guestText({ calls: GET, exports: { astrid_hook_trigger: body } }));
    const lengths: number[] = [];
    const worker = await startWorker({
      wasm,
      answer: (_name, [key]) => {
        lengths.push(key?.length ?? -1);
        return Buffer.alloc(0);
      },
    });
    t.match(await worker.invoke('astrid_hook_trigger'), { kind: 'done', returnCode: 0 }, `offset ${offset}`);
    t.same(lengths, [0]);
    await worker.end();
  }
});

test('an argument past its limit is refused before a byte of it leaves the worker', async (t) => {
  const body = '(call $answer (call $astrid_kv_get (call $alloc (i64.const 4097)))) (i32.const 0)';
  const wasm = await assemble(guestText({ calls: GET, exports: { astrid_hook_trigger: body } }));
  const worker = await startWorker({ wasm, answer: () => t.fail('the call left the worker') as never });
  t.teardown(worker.end);
  const outcome = await worker.invoke('astrid_hook_trigger');
  t.match(
    outcome.kind === 'done' && outcome.output.toString(),
    /too_large.*4097 bytes exceeds maximum allowed limit of 4096/,
  );
});

test('memory.grow past the limit fails inside the guest, and nothing else notices', async (t) => {
  const body = '(memory.grow (i32.const 100))';
  const wasm = await assemble(guestText({ exports: { astrid_hook_trigger: body, still: '(i32.const 7)' } }));
  const worker = await startWorker({ wasm, load: { memoryPages: 64 } });
  t.teardown(worker.end);
  t.match(await worker.invoke('astrid_hook_trigger'), { kind: 'done', returnCode: -1 });
  t.match(await worker.invoke('still'), { kind: 'done', returnCode: 7 });
});

test('host blocks are bounded: a guest that allocates for ever gets out_of_memory', async (t) => {
  const body = '(loop $more (drop (call $alloc (i64.const 65536))) (br $more)) (i32.const 0)';
  const wasm = await assemble(guestText({ exports: { astrid_hook_trigger: body } }));
  const worker = await startWorker({ wasm, load: { blockBytesMax: 4 * 1024 * 1024 } });
  t.teardown(worker.end);
  t.match(await worker.invoke('astrid_hook_trigger'), { kind: 'failed', fault: { code: 'out_of_memory' } });
});

test('Extism variables are bounded and outlive a call', async (t) => {
  const name = '(call $block (i32.const 16) (i32.const 3))';
  const grow = `(loop $more (local.set $i (i32.add (local.get $i) (i32.const 1))) (i32.store (i32.const 16) (local.get $i))
    (local.set $a ${name}) (local.set $b (call $alloc (i64.const 4096)))
    (call $var_set (local.get $a) (local.get $b)) (call $free (local.get $a)) (call $free (local.get $b))
    (br $more)) (i32.const 0)`;
  const wasm = await assemble(guestText({ exports: { astrid_hook_trigger: grow } }));
  const worker = await startWorker({ wasm, load: { blockBytesMax: 1024 * 1024 } });
  t.teardown(worker.end);
  t.match(await worker.invoke('astrid_hook_trigger'), { kind: 'failed', fault: { code: 'out_of_memory' } });
});

test('a run loop of a hundred thousand calls does not use up its blocks', async (t) => {
  const body = `(local.set $i (i32.const 100000)) (loop $more
    (drop (call $astrid_clock_ms))
    (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $more (local.get $i))) (i32.const 0)`;
  const calls = { astrid_clock_ms: { params: 0, result: true } };
  const wasm = await assemble(guestText({ calls, exports: { astrid_hook_trigger: body } }));
  const worker = await startWorker({ wasm, load: { blockBytesMax: 256 * 1024 } });
  t.teardown(worker.end);
  t.match(await worker.invoke('astrid_hook_trigger'), { kind: 'done', returnCode: 0 });
});

test('freeing twice, or what the host freed already, frees nothing that is alive', async (t) => {
  const body = `(local.set $a (call $block (i32.const 16) (i32.const 3)))
    (local.set $b (call $astrid_kv_get (local.get $a)))
    (call $free (local.get $a)) (call $free (local.get $a))
    (local.set $c (call $block (i32.const 16) (i32.const 3)))
    (call $free (local.get $a)) (call $free (local.get $a))
    (call $answer (local.get $c)) (i32.const 0)`;
  const wasm = await assemble(guestText({ calls: GET, data: KEY, exports: { astrid_hook_trigger: body } }));
  const worker = await startWorker({ wasm, answer: () => Buffer.from('value') });
  t.teardown(worker.end);
  const outcome = await worker.invoke('astrid_hook_trigger');
  t.equal(outcome.kind === 'done' && outcome.output.toString(), 'key');
});

test('a guest that traps or recurses without end fails its call with code crashed', async (t) => {
  const wasm = await assemble(
    guestText({
      more: '(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))',
      exports: { astrid_hook_trigger: '(unreachable)', deep: '(call $deep)' },
    }),
  );
  const worker = await startWorker({ wasm });
  t.teardown(worker.end);
  t.match(await worker.invoke('astrid_hook_trigger'), { kind: 'failed', fault: { code: 'crashed' } });
  t.match(await worker.invoke('deep'), { kind: 'failed', fault: { code: 'crashed' } });
});

test('an endless loop is ended by a signal, in the start function too', async (t) => {
  const wasm = await assemble(guestText({ exports: { astrid_hook_trigger: '(loop $x (br $x)) (i32.const 0)' } }));
  const worker = await startWorker({ wasm });
  const outcome = worker.invoke('astrid_hook_trigger');
  worker.process.kill('SIGTERM');
  t.match(await outcome, { kind: 'failed', fault: { code: 'crashed' } });
  t.match(await worker.process.exited, { signal: 'SIGTERM' });
});

test('a module that does not compile is refused with its reason', async (t) => {
  await t.rejects(startWorker({ wasm: Buffer.from('\0asm\x01\0\0\0\xff', 'latin1') }), { code: 'bad_module' });
});

test('the error slot and the return code reach the caller', async (t) => {
  const body = '(call $error_set (call $block (i32.const 16) (i32.const 3))) (i32.const -1)';
  const wasm = await assemble(guestText({ data: KEY, exports: { astrid_hook_trigger: body } }));
  const worker = await startWorker({ wasm });
  t.teardown(worker.end);
  t.match(await worker.invoke('astrid_hook_trigger'), { kind: 'done', returnCode: -1, error: 'key' });
});

test('input is read byte by byte and past its end as zero', async (t) => {
  const body = `(i32.store8 (i32.const 64) (call $input_load_u8 (i64.const 1)))
    (i32.store8 (i32.const 65) (call $input_load_u8 (i64.const 99)))
    (i32.store8 (i32.const 66) (call $input_load_u8 (i64.const -1)))
    (call $answer (call $block (i32.const 64) (i32.const 3))) (i32.const 0)`;
  const wasm = await assemble(guestText({ exports: { astrid_hook_trigger: body } }));
  const worker = await startWorker({ wasm });
  t.teardown(worker.end);
  const outcome = await worker.invoke('astrid_hook_trigger', 'abc');
  t.equal(outcome.kind === 'done' && outcome.output.toString('latin1'), 'b\0\0');
});
