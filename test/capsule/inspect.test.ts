import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { SYSCALLS, syscallByName } from '../../abi/table.js';
import { EXTISM_ENV } from '../../abi/wasm/extism-env.js';
import { inspectModule, type ModuleReport } from '../../abi/wasm/inspect.js';
import type { FunctionSignature } from '../../abi/wasm/signature.js';
import { WASI_PREVIEW1 } from '../../abi/wasm/wasi-preview1.js';
import { detectGeneration } from '../../supervisor/capsule/generation.js';
import { compileWat } from '../wasm/modules.js';

const ENTRY = '(func (export "astrid_hook_trigger") (result i32) (i32.const 0))';

const imports = (...rows: readonly (readonly [module: string, name: string, type: string])[]) =>
  rows.map(([module, name, type]) => `(import "${module}" "${name}" (func ${type}))`).join('\n');
const user = (name: string, type: string) => ['extism:host/user', name, type] as const;

async function inspectWat(body: string, entry = ENTRY): Promise<ModuleReport> {
  return inspectModule(await compileWat(`(module ${body} (memory 1) ${entry})`));
}

async function faultOf(body: string, entry = ENTRY): Promise<Fault> {
  try {
    await inspectWat(body, entry);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
  throw new Error('expected a Fault');
}

const watType = ({ params, results }: FunctionSignature) =>
  `${params.length > 0 ? `(param ${params.join(' ')})` : ''} ${results.length > 0 ? `(result ${results.join(' ')})` : ''}`;

test('inspect, a module that imports everything there is, is accepted and listed', async (t) => {
  const served = SYSCALLS.filter((call) => call.since !== null);
  const report = await inspectWat(
    imports(
      ...served.map((call) => user(call.name, watType({ params: call.params.map(() => 'i64'), results: ['i64'] }))),
      ...[...EXTISM_ENV].map(([name, type]) => ['extism:host/env', name, watType(type)] as const),
      ...[...WASI_PREVIEW1].map(([name, type]) => ['wasi_snapshot_preview1', name, watType(type)] as const),
    ),
  );
  t.same(report.hostCalls, served.map((call) => call.name).sort());
  t.same(report.envCalls, [...EXTISM_ENV.keys()].sort());
  t.same(report.wasiCalls, [...WASI_PREVIEW1.keys()].sort());
  t.equal(WASI_PREVIEW1.size, 46);
  t.match(report, { voidForm: 'i64', hasStart: false, memory: { minPages: 1, maxPages: null } });
});

test('inspect, a report, survives the way between threads', async (t) => {
  const report = await inspectWat(imports(user('astrid_log', '(param i64 i64)')));
  t.same(structuredClone(report), report);
});

test('inspect, foreign imports, are refused with the list of what the module asked for', async (t) => {
  const fault = await faultOf(
    `${imports(['env', 'abort', ''], ['extism:host/user', 'astrid_root_shell', ''], ['wasi_unstable', 'fd_write', ''])}
     (import "env" "counter" (global i32))`,
  );
  t.match(fault, { code: 'bad_module', field: 'import section' });
  for (const asked of ['"env"."abort"', '"extism:host/user"."astrid_root_shell"', '"wasi_unstable"."fd_write"']) {
    t.ok(fault.message.includes(asked), asked);
  }
  t.match(fault.message, /"env"\."counter" \(global\)/);
});

test('inspect, names that every object has, are no host functions', async (t) => {
  for (const module of ['extism:host/env', 'extism:host/user', 'wasi_snapshot_preview1']) {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      t.match(await faultOf(imports([module, name, ''])), { code: 'bad_module' }, `${module} ${name}`);
    }
  }
});

test('inspect, calls that are known and not served, are refused by name', async (t) => {
  const body = imports(user('astrid_elicit', '(param i64) (result i64)'), user('astrid_log', '(param i64 i64)'));
  const bytes = await compileWat(`(module ${body} (memory 1) ${ENTRY})`);
  // Every call of the table is served, so one is made for this test that is not.
  const callNamed = (name: string) => {
    const call = syscallByName(name);
    return call?.name === 'astrid_elicit' ? { ...call, since: null } : call;
  };
  t.match(t.throws(() => inspectModule(bytes, { callNamed })) as Fault, {
    code: 'not_served',
    message: /: astrid_elicit$/,
  });
  t.match(inspectModule(bytes), { hostCalls: ['astrid_elicit', 'astrid_log'] });
});

const WRONG_TYPES: readonly (readonly [string, string, string, RegExp])[] = [
  ['extism:host/user', 'astrid_kv_get', '(param i64)', /astrid_kv_get is \(i64\) -> \(i64\), not \(i64\) -> \(\)/],
  ['extism:host/user', 'astrid_kv_get', '(param i64 i64) (result i64)', /not \(i64, i64\)/],
  ['extism:host/user', 'astrid_kv_get', '(param i32) (result i64)', /not \(i32\)/],
  [
    'extism:host/user',
    'astrid_kv_set',
    '(param i64 i64) (result i32)',
    /is \(i64, i64\) -> \(\) or \(i64, i64\) -> \(i64\)/,
  ],
  ['extism:host/env', 'alloc', '(param i32) (result i32)', /"alloc" is \(i64\) -> \(i64\), not \(i32\) -> \(i32\)/],
  ['wasi_snapshot_preview1', 'fd_write', '(param i32) (result i32)', /"fd_write" is \(i32, i32, i32, i32\)/],
];
for (const [module, name, type, says] of WRONG_TYPES) {
  test(`inspect, ${name} imported as ${type}, is refused with both types`, async (t) => {
    const fault = await faultOf(imports([module, name, type]));
    t.equal(fault.code, 'bad_module');
    t.match(fault.message, says);
  });
}

const WRONG_EXPORTS: readonly (readonly [title: string, entry: string, says: RegExp])[] = [
  ['nothing to call', '(func (export "hello"))', /exports neither astrid_hook_trigger nor run; it exports "hello"/],
  ['no exports', '', /it exports nothing/],
  [
    'run that is a global',
    '(global (export "run") i32 (i32.const 0))',
    /export run must be a function .* it is a global/,
  ],
  ['run with a parameter', '(func (export "run") (param i32) (result i32) (i32.const 0))', /it is \(i32\) -> \(i32\)/],
  ['run without a result', '(func (export "run"))', /it is \(\) -> \(\)/],
];
for (const [title, entry, says] of WRONG_EXPORTS) {
  test(`inspect, ${title}, is refused`, async (t) => {
    const fault = await faultOf('', entry);
    t.equal(fault.code, 'bad_module');
    t.match(fault.message, says);
  });
}

test('inspect, a start function, is accepted and reported so that the load deadline covers it', async (t) => {
  t.equal((await inspectWat('(func $go (loop (br 0))) (start $go)')).hasStart, true);
});

test('inspect, a memory or a table from outside, is refused', async (t) => {
  t.match(await faultOf('(import "extism:host/env" "memory" (memory 1))'), { code: 'bad_module' });
  t.match(await faultOf('(import "extism:host/env" "table" (table 1 funcref))'), { code: 'bad_module' });
});

test('inspect, a memory that the worker could not bound, is refused at install already', async (t) => {
  for (const memory of ['(memory 1 2 shared)', '(memory i64 1)']) {
    const bytes = await compileWat(`(module ${memory} ${ENTRY})`);
    const fault = t.throws(() => inspectModule(bytes)) as Fault;
    t.match(fault, { code: 'bad_module', field: 'memory section' });
  }
});

test('inspect, a hundred foreign imports with long names, gives a message of bounded length', async (t) => {
  const rows = Array.from({ length: 100 }, (_, index) => ['env', `f${index}${'x'.repeat(3000)}`, ''] as const);
  const fault = await faultOf(imports(...rows));
  t.ok(fault.message.length < 2000, `${fault.message.length} characters`);
  t.match(fault.message, /and 88 more/);
});

const LOG_VOID = imports(user('astrid_log', '(param i64 i64)'));
const LOG_RESULT = imports(user('astrid_log', '(param i64 i64) (result i64)'));
const TOOL_CALL = `${ENTRY} (func (export "astrid_tool_call") (result i32) (i32.const 0))`;

test('generation, void calls imported with a result, is 3 whatever is exported', async (t) => {
  t.match(detectGeneration(await inspectWat(LOG_RESULT, TOOL_CALL), null), { generation: 3, why: /i64 result/ });
  t.equal(detectGeneration(await inspectWat(LOG_RESULT), 3).generation, 3);
});

test('generation, a module without a sign, follows the manifest', async (t) => {
  const report = await inspectWat('');
  for (const abi of [1, 2, 3] as const) t.equal(detectGeneration(report, abi).generation, abi);
});

test('generation, an export astrid_tool_call and no manifest entry, is 1; without it 2', async (t) => {
  t.match(detectGeneration(await inspectWat(LOG_VOID, TOOL_CALL), null), { generation: 1, why: /astrid_tool_call/ });
  t.equal(detectGeneration(await inspectWat(LOG_VOID), null).generation, 2);
});

test('generation, a manifest that contradicts the module, is an error that says both', async (t) => {
  const withResult = await inspectWat(LOG_RESULT);
  const withoutResult = await inspectWat(LOG_VOID);
  const fault = t.throws(() => detectGeneration(withResult, 2)) as Fault;
  t.match(fault, {
    code: 'bad_manifest',
    field: 'package.abi',
    message: /abi = 2, but the module imports void calls with/,
  });
  const other = t.throws(() => detectGeneration(withoutResult, 3)) as Fault;
  t.match(other, { code: 'bad_manifest', message: /abi = 3, but the module imports void calls without/ });
});

test('generation, both forms of void calls in one module, is refused with both names', async (t) => {
  const fault = await faultOf(
    imports(user('astrid_log', '(param i64 i64)'), user('astrid_kv_delete', '(param i64) (result i64)')),
  );
  t.match(fault, { code: 'bad_module', message: /mixes two .* astrid_log without a result and astrid_kv_delete with/ });
});
