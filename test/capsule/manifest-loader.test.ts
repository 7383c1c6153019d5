import { stringify } from 'smol-toml';
import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { MANIFEST_BYTES_MAX, parseManifest } from '../../supervisor/capsule/manifest-loader.js';
import { fc } from '../kit/property.js';
import { BOTH_STYLES, HEAD } from './manifest-texts.js';

function faultOf(text: string): Fault {
  try {
    parseManifest(text);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
  throw new Error('expected a Fault');
}

test('manifest, only a package, asks for nothing and gets the defaults', (t) => {
  t.same(parseManifest(HEAD), {
    abi: null,
    name: 'demo',
    version: '1.0.0',
    description: null,
    astridVersion: null,
    component: null,
    imports: [],
    exports: [],
    publish: [],
    subscribe: [],
    interceptors: [],
    capabilities: {
      fs_read: [],
      fs_write: [],
      ipc_publish: [],
      ipc_subscribe: [],
      kv: [],
      net: [],
      net_bind: [],
      host_process: [],
      identity: [],
      cron: false,
      uplink: false,
      allow_prompt_injection: false,
    },
    env: [],
    cron: [],
    commands: [],
    tools: [],
    uplinks: [],
    topics: [],
    restart: 'on-failure',
    limits: { memoryPages: 1024, wallMs: 300_000 },
    warnings: [],
  });
  t.end();
});

test('manifest, both styles in one file, are merged', (t) => {
  const manifest = parseManifest(BOTH_STYLES);
  t.match(manifest, {
    abi: 3,
    restart: 'always',
    astridVersion: '>=0.5.0',
    component: { id: 'main', file: 'demo.wasm' },
  });
  t.same(manifest.imports, [
    { namespace: 'astrid', name: 'llm', range: '^1.0', optional: false },
    { namespace: 'astrid', name: 'spark', range: '^1.2', optional: true },
    { namespace: 'other', name: 'session', range: '~1.4', optional: false },
  ]);
  t.same(manifest.exports, [
    { namespace: 'astrid', name: 'tool', version: '1.0.0' },
    { namespace: 'astrid', name: 'route', version: '2.1.0' },
  ]);
  t.same(manifest.publish, ['a.v1.*', 'c.v1.y']);
  t.same(manifest.subscribe, ['b.v1.x', 'd.v1.z', 'e.v1.w']);
  t.same(manifest.capabilities.ipc_publish, manifest.publish);
  t.same(manifest.capabilities.ipc_subscribe, manifest.subscribe);
  t.same(manifest.capabilities.fs_read, ['cwd://', 'home://']);
  t.same(manifest.capabilities.net, ['api.example.org']);
  t.same(manifest.interceptors, [
    { event: 'd.v1.z', action: 'on_z', priority: 100, fail: 'open' },
    { event: 'f.v1.*', action: 'on_f', priority: 1, fail: 'open' },
  ]);
  t.match(manifest.env, [
    { name: 'key', type: 'secret', default: null },
    { name: 'model', default: 'm-1', enumValues: ['m-1', 'm-2'] },
    { name: 'ids', default: ['1'] },
  ]);
  t.same(manifest.limits, { memoryPages: 256, wallMs: 1000 });
  t.same(manifest.warnings, []);
  t.end();
});

test('manifest, several mistakes, tells the first in the file and how many more there are', (t) => {
  const fault = faultOf(`${HEAD}[limits]\nwall_ms = 0\nmemory_pages = 0\n[[command]]\nname = 1\n`);
  t.match(fault, { field: 'limits.wall_ms', message: /line 5: .*\(and 2 more\)$/ });
  t.end();
});

const UNKNOWN: readonly (readonly [toml: string, path: string, line: number, message: string])[] = [
  ['[capabilites]', 'capabilites', 4, 'unknown key "capabilites"; did you mean "capabilities"?'],
  [
    '[[interceptor]]\nevent = "a"\naction = "b"\nprioritty = 1',
    'interceptor[0].prioritty',
    7,
    'unknown key "prioritty"; did you mean "priority"?',
  ],
  ['licence = "MIT"', 'package.licence', 4, 'unknown key "licence"; did you mean "license"?'],
  [
    '[env]\nKEY = { type = "string", defualt = "x" }',
    'env.KEY.defualt',
    5,
    'unknown key "defualt"; did you mean "default"?',
  ],
  ['[publish]\n"a.b" = { with = "x" }', 'publish."a.b".with', 5, 'unknown key "with"; did you mean "wit"?'],
  [
    '[imports.a]\nb = { version = "1", optinal = true }',
    'imports.a.b.optinal',
    5,
    'unknown key "optinal"; did you mean "optional"?',
  ],
  [
    '[[component]]\nfile = "a"\ncapabilities = { ipc_publish = ["x"] }',
    'component[0].capabilities.ipc_publish',
    6,
    'unknown key "ipc_publish"',
  ],
  ['[zzz]\na = 1', 'zzz', 4, 'unknown key "zzz"'],
];

for (const [toml, path, line, message] of UNKNOWN) {
  test(`manifest, the unknown key ${path}, is a warning before generation 3 and an error in it`, (t) => {
    const { warnings } = parseManifest(`${HEAD}${toml}\n`);
    t.same(warnings, [{ line, path, message }]);
    const fault = faultOf(`[package]\nname = "demo"\nversion = "1.0.0"\nabi = 3\n${toml}\n`);
    t.equal(fault.code, 'bad_manifest');
    t.equal(fault.field, path);
    t.ok(fault.message.startsWith(`Capsule.toml line ${line + 1}: ${path}: ${message}`), fault.message);
    t.end();
  });
}

test('manifest, sections of older and other hosts, are accepted with a warning that they are ignored', (t) => {
  const names = ['skill', 'context_file', 'mcp_server', 'llm_provider'];
  const manifest = parseManifest(
    `[package]\nname = "demo"\nversion = "1.0.0"\nabi = 3\n${names.map((one) => `[[${one}]]\nid = "x"`).join('\n')}\n[dependencies]\nprovides = []`,
  );
  t.same(
    manifest.warnings.map((warning) => warning.path),
    [...names, 'dependencies'],
  );
  t.ok(manifest.warnings.every((warning) => /ignored/.test(warning.message) && warning.line > 0));
  t.end();
});

test('manifest, tools of an old capsule, are read with their schema as a table or as text', (t) => {
  const tool = (schema: string) => parseManifest(`${HEAD}[[tool]]\nname = "echo"\ninput_schema = ${schema}`).tools;
  const inputSchema = { type: 'object', properties: { a: { type: 'string' } } };
  const expected = [{ name: 'echo', description: '', inputSchema }];
  t.same(tool('{ type = "object", properties = { a = { type = "string" } } }'), expected);
  t.same(tool(`'${JSON.stringify(inputSchema)}'`), expected);
  t.equal(faultOf(`${HEAD}[[tool]]\nname = "echo"\ninput_schema = "{"`).field, 'tool[0].input_schema');
  t.equal(faultOf(`${HEAD}[[tool]]\nname = "a.b"`).field, 'tool[0].name');
  t.end();
});

test('manifest, old schemes and keys without meaning, are warnings', (t) => {
  const manifest = parseManifest(
    `${HEAD}[[component]]\nfile = "a"\ncapabilities = { fs_read = ["workspace://"] }\n[[component]]\nfile = "b"\n[capabilities]\nnet_connect = ["x"]\nfs_write = ["global://"]`,
  );
  t.same(
    manifest.warnings.map(({ line, path }) => [line, path]),
    [
      [6, 'component[0].capabilities.fs_read'],
      [7, 'component[1]'],
      [10, 'capabilities.net_connect'],
      [11, 'capabilities.fs_write'],
    ],
  );
  t.equal(manifest.component?.file, 'a');
  t.end();
});

test('manifest, a second component, grants nothing', (t) => {
  const manifest = parseManifest(
    `${HEAD}[[component]]\nfile = "a"\n[[component]]\nfile = "b"\ncapabilities = { fs_write = ["cwd://"] }`,
  );
  t.same(manifest.capabilities.fs_write, []);
  t.end();
});

test('manifest, requirements as Cargo writes them, mean what Cargo means', (t) => {
  const range = (text: string) => parseManifest(`${HEAD}[imports.a]\nb = "${text}"`).imports[0]?.range;
  t.equal(range('1.2'), '^1.2');
  t.equal(range('1.0.0'), '^1.0.0');
  t.equal(range('=1.0.0'), '=1.0.0');
  t.equal(range('>=1.0, <2'), '>=1.0 <2');
  t.equal(range('1.*'), '1.*');
  t.equal(range('*'), '*');
  for (const bad of ['1 || 2', '1.0 - 2.0', '', ' ', 'latest', '1.2.3.4', '>=1,,<2', '^^1']) {
    t.match(faultOf(`${HEAD}[imports.a]\nb = "${bad}"`), { code: 'bad_manifest', field: 'imports.a.b.version' }, bad);
  }
  t.end();
});

test('manifest, not TOML, is one error with line and column', (t) => {
  t.match(faultOf(`${HEAD}\nfoo = = 1\n`), {
    code: 'bad_manifest',
    message: /^Capsule.toml line 5, column \d+: [^\n]+$/,
  });
  t.match(faultOf(`${HEAD}name = "again"`), { code: 'bad_manifest', message: /line 4.*redefine/ });
  t.end();
});

test('manifest, keys that reach prototypes, are refused and change no prototype', (t) => {
  for (const toml of [
    '[__proto__]\nx = 1',
    '[env]\n"__proto__" = { type = "string" }',
    '[env.constructor]\ntype = "string"',
  ]) {
    t.match(faultOf(`${HEAD}${toml}`), { code: 'bad_manifest', message: /unsafe property/ }, toml);
  }
  const manifest = parseManifest(`${HEAD}[imports]\n"constructor:keys" = "1.0"\n"prototype:x" = "1"`);
  t.match(manifest.imports, [{ namespace: 'constructor', name: 'keys' }, { namespace: 'prototype' }]);
  t.equal(typeof Object.keys, 'function');
  t.end();
});

test('manifest, larger than 256 KiB, is too large', (t) => {
  t.match(faultOf(`${HEAD}# ${'x'.repeat(MANIFEST_BYTES_MAX)}`), { code: 'too_large', field: 'Capsule.toml' });
  t.end();
});

test('manifest, built to cost time, is settled in bounded messages', (t) => {
  const manyUnknown = Array.from({ length: 15_000 }, (_, index) => `key${index} = 1`).join('\n');
  const { warnings } = parseManifest(`${HEAD}${manyUnknown}`);
  t.equal(warnings.length, 65);
  t.match(warnings.at(-1), { message: '14936 more unknown keys' });
  const deepKey = Array.from({ length: 100_000 }, () => 'a').join('.');
  t.match(parseManifest(`${HEAD}[${deepKey}]\nx = 1`).warnings, [{ line: 4, path: 'a' }]);
  t.match(faultOf(`${HEAD}x = ${'['.repeat(50_000)}`), { code: 'bad_manifest', message: /nested/ });
  t.match(faultOf(`${HEAD}x = ${'['.repeat(40)}${']'.repeat(40)}`), { code: 'bad_manifest', message: /nested/ });
  t.match(faultOf(`${HEAD}[capabilities]\nkv = [${'"a",'.repeat(1025)}]`), { field: 'capabilities.kv' });
  t.match(faultOf(`${HEAD}${'[[command]]\nname = "a"\n'.repeat(257)}`), { field: 'command' });
  t.end();
});

const scalar = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true }));
const keys = fc.constantFrom(
  'package',
  'name',
  'version',
  'abi',
  'component',
  'file',
  'capabilities',
  'fs_read',
  'imports',
  'astrid:llm',
  'env',
  'type',
  'publish',
  'subscribe',
  'interceptor',
  'event',
  'action',
  'topic',
  'limits',
  'uplink',
  'a.b',
  'x y',
  '',
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.dictionary(keys, tie('value'), { maxKeys: 6 }),
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(scalar, { maxLength: 3 }),
    tie('tree'),
    fc.array(tie('tree'), { maxLength: 3 }),
  ),
}));

test('manifest, any TOML document, gives a manifest or one Fault', (t) => {
  fc.assert(
    fc.property(tree, fc.boolean(), (document, headed) => {
      const body = headed ? { ...(document as object), package: { name: 'demo', version: '1.0.0' } } : document;
      settle(stringify(body));
    }),
    { numRuns: 1500 },
  );
  t.end();
});

test('manifest, any text, gives a manifest or one Fault', (t) => {
  const line = fc.constantFrom(
    '[package]',
    '[[component]]',
    'name = "a"',
    'version = "1.0.0"',
    '[a.b."c d"]',
    'x = """',
    '"""',
    "'''",
    'y = [',
    ']',
    '# c',
    '{',
    '}',
    '=',
    '"',
    '\\',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(line).map((lines) => lines.join('\n')),
      ),
      settle,
    ),
    { numRuns: 1500 },
  );
  t.end();
});

function settle(text: unknown): void {
  try {
    parseManifest(String(text));
  } catch (thrown) {
    if (!(thrown instanceof Fault) || thrown.code !== 'bad_manifest') throw thrown;
    if (thrown.message.length > 1000) throw new Error(`a message of ${thrown.message.length} characters`);
  }
}
