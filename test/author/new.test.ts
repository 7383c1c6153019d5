import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { requireCapsuleName, TEMPLATES } from '../../cli/author/new-capsule.js';
import { parseManifest } from '../../supervisor/capsule/manifest-loader.js';
import { isCapsuleName } from '../../supervisor/capsule/names.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { manifestOf, Workshop } from './author-kit.js';

test('capsule new, a name, makes a directory with code, a test and settings, and says what is next', async (t) => {
  const shop = new Workshop(t);
  const { exitCode, out } = await shop.run('capsule', 'new', 'hello');
  t.equal(exitCode, 0);
  t.match(out, /next: cd hello && astrid capsule test/);
  const names = readdirSync(join(shop.root, 'hello')).sort();
  t.same(names, [
    '.astrid',
    '.gitignore',
    'Capsule.toml',
    'README.md',
    'main.test.ts',
    'main.ts',
    'package.json',
    'tsconfig.json',
  ]);
  t.equal(parseManifest(readFileSync(join(shop.root, 'hello/Capsule.toml'), 'utf8')).name, 'hello');
});

test('capsule new, every template, has a manifest without a warning and no placeholder left', async (t) => {
  const shop = new Workshop(t);
  for (const template of TEMPLATES) {
    const dir = await shop.make(`a-${template}`, template);
    const manifest = parseManifest(readFileSync(join(dir, 'Capsule.toml'), 'utf8'));
    t.same(manifest.warnings, [], template);
    t.equal(manifest.abi, 3);
    const texts = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    for (const entry of texts) t.notMatch(readFileSync(join(entry.parentPath, entry.name), 'utf8'), /\{\{/, entry.name);
  }
});

test('capsule new, something of that name is there, touches nothing', async (t) => {
  const shop = new Workshop(t);
  mkdirSync(join(shop.root, 'taken'));
  writeFileSync(join(shop.root, 'taken/main.ts'), 'mine');
  t.match(await shop.run('capsule', 'new', 'taken'), { exitCode: 1, err: /already_exists/ });
  t.equal(readFileSync(join(shop.root, 'taken/main.ts'), 'utf8'), 'mine');
  t.same(readdirSync(join(shop.root, 'taken')), ['main.ts']);
});

test('capsule new, a link of that name, is not followed, even one that leads nowhere', async (t) => {
  const shop = new Workshop(t);
  mkdirSync(join(shop.root, 'elsewhere'));
  symlinkSync(join(shop.root, 'elsewhere'), join(shop.root, 'one'));
  symlinkSync(join(shop.root, 'nowhere'), join(shop.root, 'two'));
  for (const name of ['one', 'two']) t.match(await shop.run('capsule', 'new', name), { exitCode: 1 }, name);
  t.same(readdirSync(join(shop.root, 'elsewhere')), []);
  t.notOk(existsSync(join(shop.root, 'nowhere')));
});

test('capsule new, a name that no manifest takes or a template that there is not, is refused', async (t) => {
  const shop = new Workshop(t);
  for (const name of ['../up', 'a/b', 'Upper', '-x', 'x-', 'a_b', '.hidden', 'é', 'x'.repeat(65)]) {
    t.notOk(isCapsuleName(name), name);
    t.throws(() => requireCapsuleName(name), { code: 'invalid_argument', field: 'name' });
    t.throws(() => parseManifest(manifestOf(name)), { code: 'bad_manifest' });
  }
  t.match(await shop.run('capsule', 'new', '../up'), { exitCode: 2, err: /name: expected/ });
  t.match(await shop.run('capsule', 'new', 'x', '--template', 'rust'), { exitCode: 2, err: /expected one of tool, / });
  t.same(readdirSync(shop.root), []);
});

test('what capsule new makes, the compiler of an editor, finds the types of the SDK and no error', async (t) => {
  const shop = new Workshop(t);
  for (const template of TEMPLATES.filter((name) => name !== 'as')) await shop.make(template, template);
  // One run for all: each has the same options, and only its own files differ.
  const options = { extends: './tool/tsconfig.json', include: ['*/*.ts'] };
  writeFileSync(join(shop.root, 'tsconfig.json'), JSON.stringify(options));
  const tsc = join(PACKAGE_ROOT, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', shop.root], { encoding: 'utf8' });
  t.equal(status, 0, stdout.slice(0, 2000));
});
