import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { t as tap, test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { buildAll } from '../../cli/build/build-all.js';
import { closeBundler } from '../../cli/build/bundle.js';
import { buildIfChanged } from '../../cli/build/cache.js';
import { readCapsuleSource } from '../../cli/build/capsule-source.js';
import { SDK_CAPSULE, SDK_KV, SDK_MAIN, SDK_SHARED } from './fixtures/guest-sources.js';

const manifest = (name: string, more = '') =>
  `[package]\nname = "${name}"\nversion = "1.0.0"\n\n[[component]]\nfile = "${name}.wasm"\n${more}`;

tap.teardown(closeBundler);

test('a capsule is built once, and again only when something it is made of, or what was made, changed', async (t) => {
  const root = t.testdir({
    fs: { 'Capsule.toml': manifest('fs'), 'main.ts': SDK_CAPSULE },
    sdk: { 'capsule.ts': SDK_MAIN, 'shared.ts': SDK_SHARED, 'kv.ts': SDK_KV },
  });
  const build = () => buildIfChanged(join(root, 'fs'), join(root, 'out'), { sdkDir: join(root, 'sdk') });
  const first = await build();
  t.equal(first.action, 'built');
  t.equal(first.name, 'fs');
  t.equal(first.wasmFile, join(root, 'out/fs/fs.wasm'));
  t.same(readdirSync(join(root, 'out/fs')).sort(), ['Capsule.toml', 'fs.wasm', 'fs.wasm.map', 'fs.wasm.stamp']);
  t.equal(readFileSync(join(root, 'out/fs/Capsule.toml'), 'utf8'), manifest('fs'));

  const second = await build();
  t.equal(second.action, 'unchanged');
  t.equal(second.hashBlake3, first.hashBlake3);
  t.equal(second.bytes, first.bytes);

  writeFileSync(join(root, 'sdk/shared.ts'), `${SDK_SHARED}// a comment\n`);
  const third = await build();
  t.equal(third.action, 'built', 'the SDK changed');
  t.equal(third.hashBlake3, first.hashBlake3, 'though only in a comment');

  const module = readFileSync(first.wasmFile);
  writeFileSync(first.wasmFile, module.subarray(0, module.length - 1));
  t.equal((await build()).action, 'built', 'the module was damaged');
  t.ok(readFileSync(first.wasmFile).equals(module));
});

test('building all tries every capsule, names those that fail, and removes what has no source any more', async (t) => {
  const root = t.testdir({
    capsules: {
      good: { 'Capsule.toml': manifest('good'), 'main.ts': SDK_CAPSULE },
      bad: { 'Capsule.toml': manifest('bad'), 'main.ts': 'const = 1;\n' },
      worse: { 'Capsule.toml': manifest('worse') },
      notes: { 'readme.txt': 'no capsule' },
    },
    sdk: { 'capsule.ts': SDK_MAIN, 'shared.ts': SDK_SHARED, 'kv.ts': SDK_KV },
    out: {
      gone: { 'gone.wasm.stamp': '{"key":"k","hashBlake3":"h","bytes":1,"others":{}}' },
      mine: { 'notes.txt': 'keep' },
    },
  });
  const lines: string[] = [];
  const all = () =>
    buildAll({
      directory: join(root, 'capsules'),
      outDir: join(root, 'out'),
      sdkDir: join(root, 'sdk'),
      onProgress: (line) => lines.push(line),
    });
  const fault = await all().then(
    () => null,
    (error: unknown) => error,
  );
  if (!(fault instanceof Fault)) throw new Error('two capsules cannot be built');
  t.match(fault.message, /bad: main\.ts:1:7: /);
  t.match(
    fault.message,
    /worse: worse: beside Capsule\.toml there is none of main\.ts, assembly\/index\.ts, worse\.wasm/,
  );
  t.match(fault.message, /\| const = 1;\n {4}\| {7}\^/, 'the line and a mark below it');
  t.ok(existsSync(join(root, 'out/good/good.wasm')), 'the good one is built all the same');
  t.match(lines.join('\n'), /good: built in [\d.]+ s, \d+ KiB/);

  for (const name of ['bad', 'worse']) rmSync(join(root, 'capsules', name), { recursive: true });
  const builds = await all();
  t.same(
    builds.map((build) => `${build.name} ${build.action}`),
    ['good unchanged'],
  );
  t.notOk(existsSync(join(root, 'out/gone')), 'the output of a capsule that is gone');
  t.ok(existsSync(join(root, 'out/mine/notes.txt')), 'what the build did not make stays');
  await t.rejects(buildAll({ directory: join(root, 'none'), outDir: root, sdkDir: root, onProgress: () => {} }), {
    code: 'not_found',
    field: 'directory',
  });
});

test('a capsule directory is read with one clear error for each thing that is wrong', async (t) => {
  const cases: [string, string, RegExp][] = [
    ['[package', 'Capsule.toml', /line 1, column \d+: this is not TOML/],
    ['a = 1', 'package.name', /expected letters/],
    ['[package]\nname = "../up"', 'package.name', /expected letters/],
    ['[package]\nname = "fs"', 'component.file', /expected "fs\.wasm", got nothing/],
    ['[package]\nname = "fs"\n[[component]]\nfile = "a.wasm"', 'component.file', /got "a\.wasm"/],
    [manifest('fs', '[limits]\nmemory_pages = 0'), 'limits.memory_pages', /expected 1 to 1024/],
    [manifest('fs', '[limits]\nmemory_pages = "all"'), 'limits.memory_pages', /expected 1 to 1024/],
  ];
  for (const [text, field, message] of cases) {
    const directory = t.testdir({ 'Capsule.toml': text, 'main.ts': '' });
    await t.rejects(readCapsuleSource(directory), { code: 'bad_manifest', field, message }, text);
  }
  const small = t.testdir({ 'Capsule.toml': manifest('fs', '[limits]\nmemory_pages = 512'), 'main.ts': '' });
  t.equal((await readCapsuleSource(small)).memoryLimitBytes, 24 << 20, 'three quarters of the module’s ceiling');
  await t.rejects(readCapsuleSource(join(small, 'no')), { code: 'not_found', field: 'dir' });
  await t.rejects(readCapsuleSource(t.testdir({})), { code: 'not_found', field: 'dir' });
});
