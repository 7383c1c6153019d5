import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { t as tap, test } from 'tap';
import { EXTISM_ENV, EXTISM_USER_MODULE } from '../../abi/wasm/extism-env.js';
import { readModule, signatureOf } from '../../abi/wasm/module-reader.js';
import { formatSignature } from '../../abi/wasm/signature.js';
import { buildCapsule } from '../../cli/build/build-capsule.js';
import { closeBundler } from '../../cli/build/bundle.js';
import { mapStack } from '../../cli/build/stack-map.js';
import { fc } from '../kit/property.js';
import { TOOLCHAIN_DIR } from '../kit/toolchain.js';
import { GuestHarness } from './fixtures/guest-harness.js';
import { GUEST_HELPER, GUEST_MAIN } from './fixtures/guest-sources.js';

const directory = tap.testdir({ 'main.ts': GUEST_MAIN, 'helper.ts': GUEST_HELPER, sdk: {} });
const built = await buildCapsule({
  entry: join(directory, 'main.ts'),
  sdkDir: join(directory, 'sdk'),
  cacheDir: TOOLCHAIN_DIR,
});
tap.teardown(closeBundler);

const HOOK = 'astrid_hook_trigger';
const logged: string[] = [];
const CALLS = {
  astrid_kv_get: (key: Buffer) => key,
  astrid_kv_set: () => '',
  astrid_log: (level: Buffer, message: Buffer) => {
    logged.push(`${level}: ${message}`);
    return '';
  },
};

/** A new instance, called with a case and the rest of its input. */
function startGuest(clockMs?: number) {
  const harness = new GuestHarness(built.wasm, CALLS, clockMs);
  const call = (name: string, rest: Uint8Array | string = '') =>
    harness.call(HOOK, Buffer.concat([Buffer.from(`${name}\n`), Buffer.from(rest as string)]));
  const text = (name: string, rest: Uint8Array | string = '') => {
    const { code, output, error } = call(name, rest);
    return code === 0 ? (output?.toString('utf8') ?? '(no output)') : `failed: ${error}`;
  };
  return { harness, call, text };
}

test('a built module imports what it uses, the clock, the log and randomness, and exports what it declares', async (t) => {
  const module = readModule(built.wasm);
  const calls = module.imports.filter((item) => item.module === EXTISM_USER_MODULE);
  const types = calls.map((item) => `${item.name} ${formatSignature(signatureOf(module, item)!)}`).sort();
  t.same(types, [
    'astrid_clock_ms () -> (i64)',
    'astrid_kv_get (i64) -> (i64)',
    'astrid_kv_set (i64, i64) -> (i64)',
    'astrid_log (i64, i64) -> (i64)',
  ]);
  const others = module.imports.filter((item) => item.module !== EXTISM_USER_MODULE);
  t.same(
    others
      .filter((item) => !EXTISM_ENV.has(item.name))
      .map((item) => `${item.module} ${item.name}`)
      .sort(),
    ['wasi_snapshot_preview1 poll_oneoff', 'wasi_snapshot_preview1 random_get'],
  );
  const exported = module.exports.map((item) => item.name).sort();
  t.same(exported, ['astrid_hook_trigger', 'memory', 'run']);
  t.same(built.exports, ['astrid_hook_trigger', 'run']);
  t.same(built.printed, ['loaded at 1704164645678'], 'the clock of the build stands still');
});

test('bytes of every length, through input, host call and output, come back as they were', async (t) => {
  const { call } = startGuest();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      for (const name of ['echo', 'through']) {
        const { code, output } = call(name, bytes);
        if (code !== 0 || !Buffer.from(bytes).equals(output ?? Buffer.alloc(0))) return false;
      }
      return true;
    }),
    { numRuns: 150 },
  );
  const mebibyte = Buffer.from(Uint8Array.from({ length: 1 << 20 }, (_, at) => (at * 31) & 255));
  t.ok(call('echo', mebibyte).output?.equals(mebibyte), '1 MiB echoed');
  t.ok(call('through', mebibyte).output?.equals(mebibyte), '1 MiB through a host call');
});

test('a dispatcher that answers nothing, or no bytes, gives no output', async (t) => {
  const { call } = startGuest();
  for (const name of ['nothing', 'empty']) t.same(call(name), { code: 0, output: null, error: null }, name);
});

test('a dispatcher that answers something else than bytes fails and says what it was', async (t) => {
  const { text } = startGuest();
  t.equal(text('null'), 'failed: the dispatcher answered null, not a Uint8Array');
  t.equal(text('text'), 'failed: the dispatcher answered string, not a Uint8Array');
});

test('an exception fails the call with code 1 and a stack that maps to the author’s files', async (t) => {
  const { call, text } = startGuest();
  const { code, error, output } = call('fail');
  t.equal(code, 1);
  t.equal(output, null);
  const stack = mapStack(error ?? '', built.sourceMap);
  t.match(stack, /^TypeError: from the helper\n\s+at failDeep \(helper\.ts:3:\d+\)\n/);
  t.match(stack, /at fail \(main\.ts:\d+:\d+\)/);
  t.match(stack, /caused by: Error: deeper\n\s+at failDeep \(helper\.ts:3:\d+\)/);
  t.equal(text('throwText'), 'failed: thrown: just text');
  t.equal(text('echo', 'still there'), 'still there', 'the instance goes on');
});

test('a promise is run until it settles, with host calls in between', async (t) => {
  const { text } = startGuest();
  t.equal(text('later', 'value'), 'value');
  t.match(text('laterFail'), /^failed: RangeError: later/);
  t.match(
    text('never'),
    /^failed: astrid_hook_trigger: the promise of this call never settled, and nothing is left .* \(no timer, no message\)/,
  );
  t.equal(text('later', 'again'), 'again');
});

test('a rejection that nobody handles and a microtask that throws are logged as errors', async (t) => {
  const { text } = startGuest();
  logged.length = 0;
  t.equal(text('unhandled'), '(no output)');
  t.equal(text('microtask'), '(no output)');
  t.equal(text('handledLate'), '(no output)');
  t.equal(logged.length, 2);
  t.match(logged[0], /^error: unhandled rejection: Error: nobody looked\n\s+at /);
  t.match(logged[1], /^error: unhandled rejection: Error: from a microtask/);
});

test('running out of memory is an exception that a script can catch, and the instance goes on', async (t) => {
  const { harness, text, call } = startGuest();
  for (const name of ['hoard', 'hoardSmall', 'hoard']) t.equal(text(name), 'InternalError: out of memory', name);
  t.ok(harness.memory.buffer.byteLength <= 64 << 20, 'below the ceiling of a module');
  t.equal(call('keep').code, 1, 'not caught: the call fails');
  t.equal(text('release'), '(no output)');
  t.equal(text('echo', 'still there'), 'still there');
});

test('recursion without end is an exception on the stack that Node has by default', async (t) => {
  const { text } = startGuest();
  for (const name of [
    'call',
    'getter',
    'toString',
    'constructor',
    'generator',
    'sort',
    'map',
    'apply',
    'proxy',
    'join',
  ]) {
    t.equal(text('recurse', name), 'RangeError: Maximum call stack size exceeded', name);
  }
  t.match(text('recurse', 'regexp'), /stack overflow/);
  t.equal(text('echo', 'still there'), 'still there');
});

test('text nested without end is an exception where the host has the stack that QuickJS needs', async (t) => {
  const file = join(directory, 'guest.wasm');
  writeFileSync(file, built.wasm);
  const run = fileURLToPath(new URL('./fixtures/run-guest.js', import.meta.url));
  const inputs = ['parse', 'stringify', 'eval', 'flat', 'call'].map((name) => `recurse\n${name}`);
  const output = execFileSync(process.execPath, ['--stack-size=3900', run, file, ...inputs], { encoding: 'utf8' });
  t.same(
    JSON.parse(output),
    inputs.map(() => 'RangeError: Maximum call stack size exceeded'),
  );
});

test('10,000 host calls within one call keep neither blocks nor memory', async (t) => {
  const { harness, text } = startGuest();
  text('loop', 'warm up');
  const before = harness.memory.buffer.byteLength;
  const calls = harness.hostCalls;
  t.equal(text('loop', 'x'.repeat(100)), '(no output)');
  t.equal(harness.hostCalls - calls, 10_000);
  t.equal(harness.liveBlocks, 0, 'every block was freed');
  t.equal(harness.peakBlocks, 2, 'and none outlived its call');
  t.equal(harness.memory.buffer.byteLength, before, 'memory did not grow');
});

test('1,000 calls of an export keep no memory', async (t) => {
  const { harness, text } = startGuest();
  for (let count = 0; count < 200; count++) text('through', 'y'.repeat(500));
  const before = harness.memory.buffer.byteLength;
  for (let count = 0; count < 1000; count++) text('later', 'y'.repeat(500));
  t.equal(harness.memory.buffer.byteLength, before);
});

test('instances of one module draw different random numbers and bytes', async (t) => {
  const drawn = [startGuest(), startGuest()].flatMap(({ text }) => [text('random'), text('random')]);
  const numbers = drawn.flatMap((line) => line.split(',').slice(0, 2));
  t.equal(new Set(numbers).size, numbers.length, 'Math.random');
  t.equal(new Set(drawn.map((line) => line.split(',').slice(2).join())).size, drawn.length, 'random bytes');
  t.match(startGuest().text('randomBad'), /^RangeError: random takes a number of bytes/);
});

test('the clock is the host’s, in UTC, and performance counts from the first call', async (t) => {
  t.equal(startGuest(1_900_000_000_123).text('clock'), '1900000000123,1900000000123,0,0');
});

test('print writes lines to the log at level info, long ones in pieces', async (t) => {
  logged.length = 0;
  startGuest().text('print', 'hello');
  startGuest().text('print', 'z'.repeat(40_000));
  t.equal(logged[0], 'info: hello');
  t.equal(logged.slice(1).join('').replaceAll('info: ', ''), 'z'.repeat(40_000));
  t.ok(logged.every((line) => line.length <= 16_010));
});

test('data and names that look like prototypes are data and names', async (t) => {
  const { text } = startGuest();
  const json = '{"__proto__":{"polluted":true},"constructor":{"prototype":1}}';
  t.equal(text('proto', json), json);
  t.match(text('callProto'), /^TypeError: host call __proto__ is not linked/);
  t.match(text('callConstructor'), /^TypeError: host call constructor is not linked/);
});

test('a host call that is not linked or gets wrong arguments throws before the host sees anything', async (t) => {
  const { harness, text } = startGuest();
  text('nothing');
  const calls = harness.hostCalls;
  t.match(text('callUnlinked'), /^TypeError: host call astrid_read_file is not linked/);
  t.match(text('callFewer'), /^TypeError: host call astrid_kv_set takes 2 arguments, not 1/);
  t.match(text('callMore'), /^TypeError: host call astrid_kv_get takes 1 arguments, not 2/);
  t.match(text('callText'), /^TypeError: /);
  t.equal(harness.hostCalls, calls);
  t.equal(harness.liveBlocks, 1, 'only the output is left');
});

test('the status byte of a result reaches the script as it is', async (t) => {
  t.equal(startGuest().text('raw', 'payload'), '\0payload');
});

test('the door to the host cannot be replaced by the script', async (t) => {
  const { text } = startGuest();
  t.match(text('redefine'), /^failed: TypeError/);
  t.equal(text('through', 'same door'), 'same door');
});

test('a call that the host cuts off leaves an instance that refuses to go on', async (t) => {
  const broken = new GuestHarness(built.wasm, {
    ...CALLS,
    astrid_kv_get: () => {
      throw new Error('the host gave up');
    },
  });
  t.throws(() => broken.call(HOOK, 'through\nx'), /the host gave up/);
  const { code, error } = broken.call(HOOK, 'echo\nx');
  t.equal(code, 1);
  t.match(error, /cut off and left it unusable: restart it/);
});

test('other exports reach the dispatcher under their names', async (t) => {
  const { harness } = startGuest();
  t.equal(harness.text('run'), 'run');
});
