import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { t as tap, test } from 'tap';
import { startCli } from '../kit/run-cli.js';
import { manifestOf, Workshop } from './author-kit.js';

const MAIN = `
import { defineCapsule } from 'astrid/sdk';
import * as fs from 'astrid/sdk/fs';
import * as kv from 'astrid/sdk/kv';
import * as ipc from 'astrid/sdk/ipc';
import { now } from 'astrid/sdk/time';
import { s } from 'astrid/sdk/schema';
import { tool } from 'astrid/sdk/tool';

const save = tool({
  name: 'save', description: 'saves', mutable: true, input: s.object({ path: s.string() }),
  handler: ({ path }) => { fs.writeFile(path, 'saved'); return 'ok'; },
});
defineCapsule({
  tools: [save],
  interceptors: {
    time: () => { ipc.publish('probe.v1.time', { now: now() }); },
    trap: () => { throw new Error('on purpose'); },
    tick: () => { kv.setJson('ticks', Number(kv.getJson('ticks') ?? 0) + 1); },
  },
});
`;
const MANIFEST = manifestOf(
  'probe',
  `[capabilities]
fs_write = ["cwd://"]
[publish]
"probe.v1.time" = { wit = "opaque" }
"tool.v1.execute.save.result" = { wit = "opaque" }
[subscribe]
"tool.v1.execute.save" = { wit = "opaque", handler = "tool_execute_save" }
"probe.v1.ask" = { wit = "opaque", handler = "time" }
"probe.v1.trap" = { wit = "opaque", handler = "trap" }
"astrid.v1.watchdog.tick" = { wit = "opaque", handler = "tick" }
`,
);
const HEAD = "import { assert, boot, test } from 'astrid/testing';\n";

const GOOD = `${HEAD}
test('a change that a person refuses is told to the tool, and nothing is changed', async () => {
  const kernel = await boot({ files: { 'notes/a.txt': 'old' } });
  const { content, isError } = await kernel.callTool('save', { path: 'cwd://notes/a.txt' });
  assert.deepEqual([isError, content.split(':')[0]], [true, 'approval_denied']);
  assert.equal(await kernel.files.readText('notes/a.txt'), 'old');
  assert.deepEqual(kernel.asked.map(({ action, resource }) => [action, resource]), [['write_file', 'cwd://notes/a.txt']]);
});
test('a change that is allowed lies in the overlay and in the audit', async () => {
  const kernel = await boot({ approve: ({ resource }) => (resource.endsWith('a.txt') ? 'once' : 'deny') });
  assert.equal((await kernel.callTool('save', { path: 'cwd://a.txt' })).content, 'ok');
  assert.deepEqual(await kernel.files.changed(), ['a.txt']);
  assert.ok(kernel.audit.some(({ action, outcome }) => action === 'write_file' && outcome === 'accepted'));
});
test('the clock of the capsule moves when it is moved, and the ticks of that time happen', async () => {
  const kernel = await boot();
  const ask = async () => {
    kernel.publish('probe.v1.ask');
    return ((await kernel.nextMessage('probe.v1.time')).payload as { now: number }).now;
  };
  const before = await ask();
  await kernel.clock.advance(3_600_000);
  const after = await ask();
  assert.ok(after - before >= 3_600_000 && after - before < 3_660_000, String(after - before));
  assert.equal(await kernel.kv.getJson('ticks'), 2 * 720);
  await kernel.restart();
  assert.ok((await ask()) >= after, 'a new process has the moved clock');
});
test('two kernels share nothing', async () => {
  const [one, two] = [await boot(), await boot()];
  await one.kv.set('k', 'v');
  assert.equal(await two.kv.get('k'), undefined);
});
`;

// What a run leaves behind would be left here; beside the runs of other processes it could not be told.
const machineTmp = process.env['TMPDIR'];
const ownTmp = mkdtempSync(join(tmpdir(), 'astrid-'));
process.env['TMPDIR'] = ownTmp;
tap.teardown(() => {
  if (machineTmp === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = machineTmp;
  rmSync(ownTmp, { recursive: true });
});

const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith('astrid-ct-'));

test('capsule test, a capsule with files, values, time and people, is driven through real calls', async (t) => {
  const shop = new Workshop(t);
  const before = leftovers();
  await shop.make('probe', 'tool', { 'main.ts': MAIN, 'Capsule.toml': MANIFEST, 'main.test.ts': GOOD });
  const { exitCode, out, err } = await shop.run('capsule', 'test', 'probe');
  t.equal(exitCode, 0, out + err);
  t.match(out, /4 passed, 0 failed/);
  t.same(leftovers(), before, 'no file is left');
});

const BAD = `${HEAD}
test('fails', async () => {
  assert.equal(1 + 1, 3);
});
test('throws in the capsule', async () => {
  const kernel = await boot();
  await kernel.triggerHook('probe.v1.trap');
});
test('waits for what never comes', async () => {
  const kernel = await boot();
  await kernel.nextMessage('nobody.v1.says', { timeoutMs: 20 });
});
test('calls what there is not', async () => {
  const kernel = await boot();
  await assert.rejects(kernel.callTool('nope'), /no interceptor for tool\\.v1\\.execute\\.nope/);
});
`;

test('capsule test, tests that fail, exits 1 and names places in the TypeScript of both sides', async (t) => {
  const shop = new Workshop(t);
  const before = leftovers();
  await shop.make('probe', 'tool', { 'main.ts': MAIN, 'Capsule.toml': MANIFEST, 'main.test.ts': BAD });
  const { exitCode, out } = await shop.run('capsule', 'test', 'probe');
  t.equal(exitCode, 1);
  t.match(out, /1 passed, 3 failed/);
  t.match(out, /main\.test\.ts:4:10/, 'the assertion');
  t.match(out, /on purpose[\s\S]*main\.ts:18:/, 'the throw inside the capsule');
  t.match(out, /nobody\.v1\.says did not come within 20 ms/);
  t.notMatch(out, /node:internal|supervisor\/capsule-test/, 'no place that is not the author’s');
  t.same(JSON.parse((await shop.run('capsule', 'test', 'probe', '--json')).out), [
    { file: 'main.test.ts', passed: 1, failed: 3, exitCode: 1 },
  ]);
  t.same(leftovers(), before, 'no file is left');
});

test('capsule test, source or test that does not parse, shows the line and exits 1', async (t) => {
  const shop = new Workshop(t);
  await shop.make('one', 'tool', {
    'main.ts': "import { defineCapsule } from 'astrid/sdk';\ndefineCapsule({ tools: [ }\n",
  });
  const source = await shop.run('capsule', 'test', 'one');
  t.equal(source.exitCode, 1);
  t.match(source.err, /^main\.ts:2:26: [^\n]+\n[\s\S]*> 2 \| defineCapsule\(\{ tools: \[ \}\n +\| {26}\^/);
  await shop.make('two', 'tool', { 'main.test.ts': 'const x = ;\n' });
  t.match(await shop.run('capsule', 'test', 'two'), { exitCode: 1, err: /^main\.test\.ts:1:11: / });
  await shop.make('three', 'tool', { 'main.test.ts': "import 'node:test';\nthrow new Error('at once');\n" });
  t.match(await shop.run('capsule', 'test', 'three'), { exitCode: 1, out: /at once[\s\S]*0 passed, 1 failed/ });
  t.match(await shop.run('capsule', 'test', 'three', '--only', 'nothing'), { exitCode: 1, err: /no \*\.test\.ts/ });
});

test('capsule test, interrupted while a test hangs, ends its processes and leaves no file', async (t) => {
  const shop = new Workshop(t);
  const before = leftovers();
  const hang = `${HEAD}\ntest('hangs', async () => {\n  const kernel = await boot();\n  console.log('hanging');\n  await new Promise(() => setInterval(() => kernel.logs, 1000));\n});\n`;
  await shop.make('probe', 'tool', { 'main.ts': MAIN, 'Capsule.toml': MANIFEST, 'main.test.ts': hang });
  const io = shop.io();
  const running = startCli(['capsule', 'test', 'probe'], join(shop.root, 'home'), io);
  await io.outText.until('hanging');
  io.interrupt();
  t.equal(await running, 1);
  t.same(leftovers(), before);
});
