import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Test, t as tap, test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { SYSCALLS } from '../../abi/table.js';
import { EXTISM_USER_MODULE } from '../../abi/wasm/extism-env.js';
import { readModule, signatureOf } from '../../abi/wasm/module-reader.js';
import { type BuildResult, buildCapsule } from '../../cli/build/build-capsule.js';
import { closeBundler, findCalls } from '../../cli/build/bundle.js';
import { makeSegment } from '../../cli/build/data-segment.js';
import { linkCapsule, planCalls } from '../../cli/build/link.js';
import { loadTemplate } from '../../cli/build/template.js';
import { findWizer } from '../../cli/build/wizer.js';
import { GuestHarness } from './fixtures/guest-harness.js';
import { SDK_CAPSULE, SDK_KV, SDK_MAIN, SDK_SHARED } from './fixtures/guest-sources.js';

// One object each time: tap takes an object that it sees twice for a cycle.
const makeSdk = () => ({ 'capsule.ts': SDK_MAIN, 'shared.ts': SDK_SHARED, 'kv.ts': SDK_KV });
const root = tap.testdir({ tmp: {}, cache: {} });
// What the build leaves behind would be left here.
const machineTmp = process.env['TMPDIR'];
process.env['TMPDIR'] = join(root, 'tmp');
tap.teardown(async () => {
  if (machineTmp === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = machineTmp;
  await closeBundler();
});

type Files = { [name: string]: string | Files };

/** Builds `main.ts` of these files with the small SDK. */
function build(t: Test, files: Files, options: { memoryLimitBytes?: number } = {}): Promise<BuildResult> {
  const directory = t.testdir({ capsule: files, sdk: makeSdk() });
  const entry = join(directory, 'capsule', 'main.ts');
  return buildCapsule({ entry, sdkDir: join(directory, 'sdk'), cacheDir: join(root, 'cache'), ...options });
}

async function refusal(t: Test, files: Files, options: { memoryLimitBytes?: number } = {}): Promise<Fault> {
  try {
    await build(t, files, options);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('the build went through');
}

const EMPTY_MAP = '{"version":3,"sources":[],"mappings":""}';
const DISPATCH = 'const g = globalThis as any; g.__astrid_dispatch = () => undefined;';
const CAPSULE = `${DISPATCH} g.__astrid_exports = ['run'];`;

test('the same source in two places gives the same bytes, and only the used calls of the SDK are imported', async (t) => {
  const near = t.testdir({
    a: { 'main.ts': SDK_CAPSULE, sdk: makeSdk() },
    deep: { er: { 'main.ts': SDK_CAPSULE, 'tsconfig.json': '{"compilerOptions":{"target":"es5"}}' } },
    other: { sdk: makeSdk() },
  });
  const first = await buildCapsule({
    entry: join(near, 'a/main.ts'),
    sdkDir: join(near, 'a/sdk'),
    outFile: join(near, 'out.wasm'),
  });
  const second = await buildCapsule({
    entry: join(near, 'deep/er/main.ts'),
    sdkDir: join(near, 'other/sdk'),
    cacheDir: join(root, 'cache'),
  });
  t.equal(second.hashBlake3, first.hashBlake3);
  t.ok(Buffer.from(second.wasm).equals(first.wasm));
  t.equal(second.sourceMap, first.sourceMap);
  t.ok(readFileSync(join(near, 'out.wasm')).equals(first.wasm), 'written where asked');
  t.notOk(Buffer.from(first.wasm).includes(dirname(near)), 'no path of this machine inside');
  t.notOk(first.sourceMap.includes(near));
  t.same(
    first.imports.filter((name) => name.startsWith('extism:host/user')),
    ['astrid_clock_ms', 'astrid_kv_get', 'astrid_log'].map((name) => `extism:host/user/${name}`),
  );
  const harness = new GuestHarness(first.wasm, { astrid_kv_get: (key) => `value of ${key}` });
  t.equal(harness.text('astrid_hook_trigger', 'k'), '\0value of k');
  t.same(readdirSync(join(root, 'tmp')), [], 'no temporary directory is left');
});

test('source that does not parse is refused with file, line and column', async (t) => {
  const fault = await refusal(t, { 'main.ts': "import './part.js';\n", 'part.ts': 'const a = 1;\nconst b = = 2;\n' });
  t.equal(fault.code, 'invalid_argument');
  t.match(fault.message, /^part\.ts:2:11: /);
  t.equal(fault.field, 'part.ts:2:11');
});

test('an import that cannot be found is refused with its place', async (t) => {
  const fault = await refusal(t, { 'main.ts': "\nimport pad from 'left-pad-of-nobody';\npad();\n" });
  t.equal(fault.code, 'not_found');
  t.match(fault.message, /^main\.ts:2:17: Could not resolve "left-pad-of-nobody"/);
});

test('modules of Node are refused by name, with and without the prefix', async (t) => {
  for (const name of ['node:fs', 'fs', 'fs/promises', 'child_process']) {
    const fault = await refusal(t, { 'main.ts': `import * as it from '${name}';\nconsole.log(it);\n` });
    t.equal(fault.code, 'not_found', name);
    t.match(fault.message, `"${name}" is a module of Node.js, and capsules run without Node`, name);
  }
});

test('a package that has the name of a module of Node is taken from node_modules', async (t) => {
  const packageJson = '{"name":"events","version":"1.0.0","main":"main.js"}';
  const fault = await refusal(t, {
    'main.ts': "import events from 'events';\nthrow new Error(events.mark);\n",
    node_modules: { events: { 'package.json': packageJson, 'main.js': "exports.mark = 'from the package';" } },
  });
  t.match(fault.message, /Error: from the package/);
});

test('a module that the SDK does not have is refused', async (t) => {
  for (const name of ['teleport', '../shared', 'kv.ts']) {
    const fault = await refusal(t, { 'main.ts': `import 'astrid/sdk/${name}';\n` });
    t.equal(fault.code, 'not_found', name);
    t.match(fault.message, `the SDK has no module "astrid/sdk/${name}"`, name);
  }
});

test('a script that throws while it is loaded is refused with the author’s place and stack', async (t) => {
  const fault = await refusal(t, {
    'main.ts': `${CAPSULE}\nimport { start } from './lib/start.js';\n\nstart();\n`,
    lib: { 'start.ts': "type A = string;\n\nexport function start(): A {\n  throw new Error('not today');\n}\n" },
  });
  t.equal(fault.code, 'invalid_argument');
  t.match(fault.message, /^lib\/start\.ts:4:\d+: the capsule fails while it is loaded: Error: not today\n/);
  t.match(fault.message, /at start \(lib\/start\.ts:4:\d+\)\n\s+at <anonymous> \(main\.ts:4:\d+\)/);
});

test('what cannot be done while a capsule is built is refused: host calls, randomness, failing promises', async (t) => {
  const call = `(g.__astrid_call as any)('astrid_kv_get', new Uint8Array(1));`;
  const cases: [string, RegExp][] = [
    [call, /host call astrid_kv_get while the capsule is being built/],
    ['g.__astrid_env.random(4);', /random bytes while the capsule is being built/],
    ["(async () => { await null; throw new Error('in time'); })();", /Error: in time/],
  ];
  for (const [line, message] of cases) {
    const fault = await refusal(t, { 'main.ts': `${CAPSULE}\n${line}\n` });
    t.equal(fault.code, 'invalid_argument', line);
    t.match(fault.message, message, line);
    t.match(fault.field, /^main\.ts:2:\d+$/, line);
  }
});

test('a script that never ends is stopped and refused, as a loop and as jobs', async (t) => {
  for (const line of ['for (;;) {}', '(async () => { for (;;) await null; })();']) {
    const fault = await refusal(t, { 'main.ts': `${CAPSULE}\n${line}\n` });
    t.equal(fault.code, 'invalid_argument', line);
    t.match(fault.message, /runs without end, or for far too long/, line);
  }
});

test('a script that declares no capsule, or one that nobody could call, is refused', async (t) => {
  const cases: [string, RegExp][] = [
    ['export {};', /sets no __astrid_dispatch: does it call defineCapsule\?/],
    [DISPATCH, /__astrid_exports: expected a list of at least one of astrid_hook_trigger, run/],
    [`${DISPATCH} g.__astrid_exports = [];`, /__astrid_exports: expected a list/],
    [`${DISPATCH} g.__astrid_exports = ['run', 'memory'];`, /__astrid_exports: memory is none of/],
    [`${DISPATCH} g.__astrid_exports = ['__proto__'];`, /__astrid_exports: __proto__ is none of/],
  ];
  for (const [source, message] of cases) {
    const fault = await refusal(t, { 'main.ts': source });
    t.equal(fault.code, 'invalid_argument', source);
    t.match(fault.message, message, source);
  }
});

test('missing files and limits out of range are refused by name', async (t) => {
  const gone = await refusal(t, {});
  t.equal(gone.code, 'not_found');
  t.equal(gone.field, 'entry');
  const entry = join(t.testdir({ 'main.ts': CAPSULE }), 'main.ts');
  await t.rejects(buildCapsule({ entry, sdkDir: join(root, 'no-sdk') }), { code: 'not_found', field: 'sdkDir' });
  for (const memoryLimitBytes of [0, 1.5, 2 ** 40, Number.NaN]) {
    const fault = await refusal(t, { 'main.ts': CAPSULE }, { memoryLimitBytes });
    t.equal(fault.field, 'memoryLimitBytes', String(memoryLimitBytes));
  }
});

test('a platform without wizer is refused, with what to do', async (t) => {
  const missing = () => Promise.reject(new Error('Unsupported platform'));
  await t.rejects(findWizer(missing), {
    code: 'not_supported',
    message: /@bytecodealliance\/wizer has no program for/,
  });
  t.match(await findWizer(), /wizer/);
});

test('all 49 calls can be linked at once, each with its own arity and an i64 result', async (t) => {
  const template = await loadTemplate(join(root, 'cache'));
  const calls = planCalls(SYSCALLS.map((row) => row.name));
  const segment = makeSegment(
    calls,
    { script: CAPSULE, sourceMap: EMPTY_MAP },
    { memoryBytes: 8 << 20, stackBytes: 64 << 10 },
  );
  const module = readModule(linkCapsule(template, calls, segment));
  await WebAssembly.compile(Buffer.from(module.bytes));
  const linked = module.imports.filter((item) => item.module === EXTISM_USER_MODULE);
  t.same(linked.map((item) => item.name).sort(), SYSCALLS.map((row) => row.name).sort());
  for (const item of linked) {
    const arity = SYSCALLS.find((row) => row.name === item.name)?.params.length ?? -1;
    t.same(signatureOf(module, item), { params: Array(arity).fill('i64'), results: ['i64'] }, item.name);
  }
  t.throws(() => planCalls(['astrid_teleport']), { code: 'invalid_argument', field: 'astrid_teleport' });
});

test('the template of another version makes room for the one that is used now', async (t) => {
  const cache = t.testdir({ [`template-${'0'.repeat(32)}.wasm`]: 'old', 'template-notes.txt': 'mine' });
  await loadTemplate(cache);
  const names = readdirSync(cache).sort();
  t.equal(names.length, 2);
  t.match(names, [/^template-(?!0{32})[0-9a-f]{32}\.wasm$/, 'template-notes.txt']);
});

test('host calls are found by whole string literals of known names', (t) => {
  const script = `a("astrid_kv_get");b('astrid_kv_set',\`astrid_log\`);c("astrid_kv_get");"astrid_teleport";"xastrid_read_file"`;
  t.same(findCalls(script), ['astrid_kv_get', 'astrid_kv_set', 'astrid_log']);
  t.end();
});
