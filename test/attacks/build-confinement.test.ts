import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Test, t as tap, test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { compileAssemblyScript } from '../../cli/build/as-compile.js';
import { buildSource } from '../../cli/build/build-source.js';
import { type Bundle, bundleCapsule, closeBundler } from '../../cli/build/bundle.js';
import { readCapsuleSource } from '../../cli/build/capsule-source.js';
import { assemble } from '../kit/guest-wat.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';

const SDK = join(PACKAGE_ROOT, 'abi/sdk');
const AS_SDK = join(PACKAGE_ROOT, 'abi/sdk-as');
const SECRET = 'the-key-of-this-machine';
tap.teardown(closeBundler);

/** `files` by path below a directory that holds `person/`, with what is not the capsule's, and `capsule/`. */
function lay(t: Test, files: Readonly<Record<string, string>>, links: Readonly<Record<string, string>> = {}): string {
  const root = t.testdir();
  const all = {
    'person/id_rsa': SECRET,
    'person/key.json': `"${SECRET}"`,
    'person/key.txt': SECRET,
    'person/code.ts': `export default '${SECRET}';`,
    'person/app.js.map': JSON.stringify({ version: 3, sources: [SECRET], names: [SECRET], mappings: 'AAAAA' }),
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  for (const [name, to] of Object.entries(links)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    symlinkSync(to.replace('ROOT', root), join(root, name));
  }
  return root;
}

const bundle = (root: string): Promise<Bundle> =>
  bundleCapsule({ entry: join(root, 'capsule/main.ts'), sdkDir: SDK, minify: false });

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const thrown: unknown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  if (thrown instanceof Fault) return thrown;
  throw thrown ?? new Error('it was let through');
}

const IMPORTS: Readonly<Record<string, string>> = {
  'a path upwards to code': "import key from '../person/code.js';",
  JSON: "import key from '../person/key.json';",
  'JSON with its type': "import key from '../person/key.json' with { type: 'json' };",
  'text by its ending': "import key from '../person/key.txt';",
  'text by an attribute': "import key from '../person/id_rsa' with { type: 'text' };",
  'bytes by an attribute': "import key from '../person/id_rsa' with { type: 'bytes' };",
  'an absolute path': "import key from 'ROOT/person/key.json';",
  'a pattern of file names': "const key = require('../person/' + globalThis.name + '.json');",
  'a pattern of file names, later': "const key = import('../person/' + globalThis.name + '.json');",
  'a link to a file': "import key from './linked.json';",
  'a link to a directory': "import key from './linked/key.json';",
  'a link in node_modules': "import key from 'linked/key.json';",
  'a package.json with a main outside': "import key from 'mainly';",
  'a package.json with exports through a link': "import key from 'exporting';",
  'a name of its own for a file outside': "import key from '#key';",
};

test('whatever way source takes to a file of the person, the build is refused at the import', async (t) => {
  for (const [what, line] of Object.entries(IMPORTS)) {
    const files = {
      'capsule/package.json': '{"imports":{"#key":"./linked.json"}}',
      'capsule/node_modules/mainly/package.json': '{"name":"mainly","main":"../../../person/key.json"}',
      'capsule/node_modules/exporting/package.json': '{"name":"exporting","exports":{".":"./linked.json"}}',
    };
    const links = {
      'capsule/linked.json': '../person/key.json',
      'capsule/linked': '../person',
      'capsule/node_modules/linked': '../../person',
      'capsule/node_modules/exporting/linked.json': '../../../person/key.json',
    };
    const root = lay(t, files, links);
    writeFileSync(join(root, 'capsule/main.ts'), `// first\n${line.replace('ROOT', root)}\nconsole.log(key);\n`);
    const fault = await faultOf(bundle(root));
    t.equal(fault.code, 'invalid_argument', what);
    t.match(fault.field, /^main\.ts:2:\d+$/, what);
    t.match(fault.message, /person\/\S+ lies outside of the capsule: expected a file in its directory/, what);
    t.notMatch(fault.message, SECRET, what);
  }
});

test('a main file that is a link, a tsconfig.json, and a directory beside the capsule open nothing', async (t) => {
  const linked = lay(t, { 'person/main.ts': "import key from './key.json'; console.log(key);" });
  mkdirSync(join(linked, 'capsule'));
  symlinkSync('../person/main.ts', join(linked, 'capsule/main.ts'));
  t.match(await faultOf(bundle(linked)), { code: 'invalid_argument', message: /lies outside/ });

  const mapped = lay(t, {
    'capsule/main.ts': "import key from 'person/key.json'; console.log(key);",
    'capsule/tsconfig.json':
      '{"extends":"../person/tsconfig.json","compilerOptions":{"paths":{"person/*":["../person/*"]}}}',
  });
  t.match(await faultOf(bundle(mapped)), { code: 'not_found', field: 'main.ts:1:17' });

  const above = lay(t, {
    'capsule/main.ts': "import key from '../shared/code.js'; console.log(key);",
    'shared/code.ts': 'export default 1;',
    'node_modules/some/package.json': '{"name":"some"}',
  });
  t.match(await faultOf(bundle(above)), { code: 'invalid_argument', field: 'main.ts:1:17' }, 'a node_modules above');
});

test('what belongs to a capsule goes in: its files, links between them, and packages there and above', async (t) => {
  const root = lay(
    t,
    {
      'capsule/main.ts':
        "import 'astrid/sdk';\nimport one from './lib/linked.js';\nimport two from 'own';\nimport three from 'above';\n" +
        "import four from './four.json';\nimport five from './four.json' with { type: 'json' };\nconsole.log(one, two, three, four, five);\n",
      'capsule/lib/real.ts': "export default 'one';",
      'capsule/four.json': '"four"',
      'capsule/node_modules/.store/own/package.json': '{"name":"own"}',
      'capsule/node_modules/.store/own/index.js': "module.exports = 'two';",
      'node_modules/above/index.mjs': "export default 'three';",
      'node_modules/above/package.json': '{"name":"above","module":"index.mjs"}',
    },
    { 'capsule/lib/linked.ts': 'real.ts', 'capsule/node_modules/own': '.store/own' },
  );
  const { script } = await bundle(root);
  for (const word of ['one', 'two', 'three', 'four']) t.match(script, `"${word}"`);
});

test('only code and JSON are source: text, bytes, styles and files without an ending are refused by name', async (t) => {
  const cases = {
    "import x from './page.txt';": 'page.txt',
    "import x from './four.json' with { type: 'text' };": 'four.json',
    "import x from './page.txt' with { type: 'bytes' };": 'page.txt',
    "import './page.css';": 'page.css',
    "import x from './LICENSE';": 'LICENSE',
  };
  for (const [line, name] of Object.entries(cases)) {
    const root = lay(t, {
      'capsule/main.ts': `${line} console.log(typeof x);`,
      'capsule/four.json': '4',
      'capsule/page.txt': '',
      'capsule/page.css': '',
      'capsule/LICENSE': '',
    });
    const fault = await faultOf(bundle(root));
    t.equal(fault.code, 'invalid_argument', line);
    t.match(fault.field, /^main\.ts:1:\d+$/, line);
    t.match(fault.message, `${name} cannot be imported: expected TypeScript, JavaScript or JSON`, line);
  }
});

test('a source map that a comment names is not read, and a string that looks like the comment stays what it is', async (t) => {
  const inline = Buffer.from('{"version":3,"sources":["ROOT/person/id_rsa"],"mappings":"AAAA"}').toString('base64');
  const comments = [
    '//# sourceMappingURL=../person/app.js.map',
    '//@ sourceMappingURL=../person/app.js.map',
    '/*# sourceMappingURL=../person/app.js.map */',
    '/*@ sourceMappingURL=%2e%2e/person/app.js.map */',
    '//# sourceMappingURL=file://ROOT/person/app.js.map',
    `//# sourceMappingURL=data:application/json;base64,${inline}`,
  ];
  for (const comment of comments) {
    const root = lay(t, {});
    mkdirSync(join(root, 'capsule'));
    writeFileSync(
      join(root, 'capsule/main.ts'),
      `console.log('//# sourceMappingURL=x');\n${comment.replace('ROOT', root)}\n`,
    );
    const { script, sourceMap } = await bundle(root);
    t.notMatch(sourceMap, SECRET, comment);
    t.match(script, '"//# sourceMappingURL=x"');
  }
});

const AS_ENTRY = 'export function astrid_hook_trigger(): i32 { return 0; }\n';

test('AssemblyScript takes in no file from outside, by a name or by a link', async (t) => {
  const compile = (source: string, links: Record<string, string>) => {
    const root = lay(
      t,
      { 'capsule/assembly/index.ts': source, 'person/dir/index.ts': 'export const key = "";' },
      links,
    );
    return compileAssemblyScript({ dir: join(root, 'capsule'), sdkDir: AS_SDK });
  };
  const cases: [string, Record<string, string>][] = [
    ['import { key } from "../../person/code";', {}],
    ['import { key } from "../../person/dir";', {}],
    ['import { key } from "./linked";', { 'capsule/assembly/linked.ts': '../../person/code.ts' }],
    ['import { key } from "./linked/code";', { 'capsule/assembly/linked': '../../person' }],
    ['import { key } from "./linked/dir";', { 'capsule/assembly/linked': '../../person' }],
  ];
  for (const [line, links] of cases) {
    const fault = await faultOf(compile(`${AS_ENTRY}${line}\nkey;\n`, links));
    t.equal(fault.code, 'invalid_argument', line);
    t.match(fault.field, /^assembly\/index\.ts:2:\d+$/, line);
    t.match(fault.message, /person\/\S+ lies outside of the capsule: expected a file in its directory/, line);
    t.notMatch(fault.message, SECRET, line);
  }
  const around = await faultOf(compile(`${AS_ENTRY}import { a } from "../../capsule/assembly/index";\na;\n`, {}));
  t.match(
    around,
    { field: 'assembly/index.ts:2:19', message: /lies outside/ },
    'back in, by the name of the directory',
  );
  const root = lay(t, { 'person/index.ts': AS_ENTRY }, { 'capsule/assembly': '../person' });
  const whole = await faultOf(compileAssemblyScript({ dir: join(root, 'capsule'), sdkDir: AS_SDK }));
  t.match(whole, { code: 'invalid_argument', field: 'assembly/index.ts', message: /lies outside/ });
});

test('the AssemblyScript compiler does not read asconfig.json: it would run the programs that this names', async (t) => {
  const config = { options: { transform: ['ROOT/capsule/transform.mjs'] } };
  const root = lay(t, { 'capsule/assembly/index.ts': AS_ENTRY });
  const text = JSON.stringify(config).replace('ROOT', root);
  writeFileSync(join(root, 'capsule/asconfig.json'), text);
  const code = `import { writeFileSync } from 'node:fs';\nwriteFileSync('${root}/ran', '');\nexport default class {}\n`;
  writeFileSync(join(root, 'capsule/transform.mjs'), code);
  const { inputs } = await compileAssemblyScript({ dir: join(root, 'capsule'), sdkDir: AS_SDK });
  t.notOk(existsSync(join(root, 'ran')));
  t.notOk(inputs.some((file) => file.endsWith('.json')));
});

const MANIFEST = '[package]\nname = "ready"\nversion = "1.0.0"\n\n[[component]]\nfile = "ready.wasm"\n';

test('a ready module, or the manifest, that is a link is refused; so is one that the manifest names elsewhere', async (t) => {
  const wasm = await assemble('(module (func (export "run") (result i32) (i32.const 0)))');
  const build = async (root: string) =>
    buildSource(await readCapsuleSource(join(root, 'capsule')), { sdkDir: SDK, cacheDir: null });
  const module = lay(t, { 'capsule/Capsule.toml': MANIFEST }, { 'capsule/ready.wasm': '../person/ready.wasm' });
  writeFileSync(join(module, 'person/ready.wasm'), wasm);
  t.match(await faultOf(build(module)), { code: 'escapes_root', field: 'ready.wasm' });

  const manifest = lay(t, { 'person/Capsule.toml': MANIFEST }, { 'capsule/Capsule.toml': '../person/Capsule.toml' });
  writeFileSync(join(manifest, 'capsule/ready.wasm'), wasm);
  t.match(await faultOf(build(manifest)), { code: 'escapes_root', field: 'Capsule.toml' });

  const named = lay(t, { 'capsule/Capsule.toml': MANIFEST.replace('"ready.wasm"', '"../person/ready.wasm"') });
  t.match(await faultOf(build(named)), { code: 'bad_manifest', field: 'component.file' });
});
