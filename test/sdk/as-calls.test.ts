import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { SYSCALLS } from '../../abi/table.js';
import { EXTISM_USER_MODULE } from '../../abi/wasm/extism-env.js';
import { readModule, signatureOf } from '../../abi/wasm/module-reader.js';
import { compileAssemblyScript } from '../../cli/build/as-compile.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';

const SDK = join(PACKAGE_ROOT, 'abi/sdk-as');
const names = readdirSync(SDK).sort();
const sourceOf = (name: string): string => readFileSync(join(SDK, name), 'utf8');

test('AssemblyScript SDK, the table of calls, a declaration with as many blocks and one function around it each', (t) => {
  const declared = [...sourceOf('calls.ts').matchAll(/"(astrid_\w+)"\)\nexport declare function (\w+)\((.*)\): i64;/g)];
  t.same(
    declared
      .map(([, external, name, params]) => [external, name, params === '' ? 0 : params!.split(', ').length])
      .sort(),
    SYSCALLS.map(({ name, params }) => [name, name, params.length]).sort(),
  );
  const wrappers = names.filter((name) => !['calls.ts', 'abort.ts'].includes(name)).map(sourceOf);
  for (const { name } of SYSCALLS) {
    const uses = wrappers.join('\n').split(`${name}(`).length - 1;
    t.equal(uses, 1, `${name} is called in one place`);
  }
  t.end();
});

test('AssemblyScript SDK, everything it has in one module, imports each call as generation 3 and nothing of env', async (t) => {
  const modules = names
    .map((name) => name.slice(0, -3))
    .filter((name) => !['calls', 'abort', 'result', 'json'].includes(name));
  const all = modules.map((name) => `export * from "astrid/as/${name}";`).join('\n');
  const dir = t.testdir({ assembly: { 'index.ts': `${all}\n` } });
  const { wasm } = await compileAssemblyScript({ dir, sdkDir: SDK });
  const module = readModule(wasm);
  const calls = module.imports.filter((row) => row.module === EXTISM_USER_MODULE);
  t.same(calls.map((row) => row.name).sort(), SYSCALLS.map((row) => row.name).sort());
  for (const row of calls) {
    const arity = SYSCALLS.find(({ name }) => name === row.name)?.params.length ?? -1;
    t.same(signatureOf(module, row), { params: Array(arity).fill('i64'), results: ['i64'] }, row.name);
  }
  t.same(
    module.imports.filter((row) => row.module === 'env'),
    [],
  );
});

test('both SDKs, a call with a bound of its own, its module says the bound', (t) => {
  const family: Record<string, string[]> = {
    astrid_ipc_publish: ['ipc.ts', 'ipc.ts'],
    astrid_read_file: ['fs.ts', 'fs.ts'],
    astrid_kv_set: ['kv.ts', 'kv.ts'],
    astrid_http_request: ['http.ts', 'http.ts'],
    astrid_net_write: ['net.ts', 'net.ts'],
    astrid_request_approval: ['approval.ts', 'people.ts'],
    astrid_elicit: ['elicit.ts', 'people.ts'],
    astrid_uplink_send: ['uplink.ts', 'people.ts'],
    astrid_spawn_background_host: ['process.ts', 'process.ts'],
    astrid_trigger_hook: ['hooks.ts', 'ipc.ts'],
    astrid_log: ['log.ts', 'sys.ts'],
  };
  const bound = /(?:at most|up to|limit|max)[\s*/]+(?:of )?\S*\d|\d[\d,.]* (?:s|ms|MiB|KiB|bytes|characters)\b/i;
  for (const [call, [typescript, assembly]] of Object.entries(family)) {
    t.match(readFileSync(join(PACKAGE_ROOT, 'abi/sdk', typescript!), 'utf8'), bound, `${call} in ${typescript}`);
    t.match(sourceOf(assembly!), bound, `${call} in sdk-as/${assembly}`);
  }
  t.end();
});
