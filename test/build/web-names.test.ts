import { join } from 'node:path';
import { t as tap, test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { buildCapsule } from '../../cli/build/build-capsule.js';
import { closeBundler } from '../../cli/build/bundle.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { TOOLCHAIN_DIR } from '../kit/toolchain.js';
import { GuestHarness } from './fixtures/guest-harness.js';

tap.teardown(closeBundler);
const SDK = join(PACKAGE_ROOT, 'abi/sdk');

const SOURCE = `
import * as z from 'zod';
import * as mini from 'zod/mini';
import { defineCapsule } from 'astrid/sdk';
import { final } from 'astrid/sdk/interceptor';
import { forever, listen } from 'astrid/sdk/loop';
import { settings } from 'astrid/sdk/settings';
import { s } from 'astrid/sdk/schema';
import { fromStandard } from 'astrid/sdk/standard';
import { tool } from 'astrid/sdk/tool';

const input = z.object({ who: z.string().min(2).describe('a name'), times: z.number().int().optional() });
const greet = tool({ name: 'greet', description: 'd', mutable: false, input,
  handler: ({ who, times }) => { if (times === 7) throw new RangeError('seven'); return 'hello ' + who.toUpperCase(); } });
const small = mini.object({ a: mini.string() });
const tiny = tool({ name: 'tiny', description: 'd', mutable: false,
  input: fromStandard<{ a: string }>(small, mini.toJSONSchema(small, { target: 'draft-7' })), handler: ({ a }) => a });
const config = settings({ MODEL: s.string().default('small'), RETRIES: s.integer() });
const cases: Record<string, () => unknown> = {
  fetch: async () => {
    const r = await fetch(new URL('/q?x=1', 'https://api.example/a'), { method: 'post', body: new URLSearchParams({ k: 'v w' }) });
    return [r.status, r.ok, r.headers.get('X-Kind'), await r.json(), r.bodyUsed];
  },
  stream: async () => {
    const reader = (await fetch('https://api.example/s')).body!.getReader();
    const decoder = new TextDecoder();
    let text = '';
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += decoder.decode(next.value, { stream: true });
    return text + decoder.decode();
  },
  leak: async () => { await fetch('https://api.example/s'); return 'left open'; },
  refused: () => fetch('https://denied.example/').catch((error) => [error.name, error.message, error.cause.code]),
  relative: () => fetch('/x').catch((error) => error.message),
  binary: () => fetch('https://a.example/', { method: 'PUT', body: Uint8Array.of(255) }).catch((error) => error.message),
  blob: async () => (await fetch('https://api.example/s')).blob().catch((error) => error.message),
  aborted: () => fetch('https://api.example/s', { signal: AbortSignal.abort() }).catch((error) => error.name),
  timers: async () => {
    const seen: string[] = [];
    const every = setInterval(() => seen.push('every'), 40);
    setTimeout(() => seen.push('late'), 100);
    clearTimeout(setTimeout(() => seen.push('never'), 10));
    await new Promise((resolve) => setTimeout(resolve, 130));
    clearInterval(every);
    return seen;
  },
  timeout: () => new Promise((_ok, no) => AbortSignal.timeout(50).addEventListener('abort', (e) => no(e.target.reason))).catch((e) => e.name),
  leftTimer: () => { setTimeout(() => console.error('from another call'), 5); return 'left'; },
  wait: async () => { await new Promise((ok) => setTimeout(ok, 50)); return 'waited'; },
  timerFails: () => new Promise(() => setTimeout(() => { throw new Error('in a timer'); }, 5)),
  never: () => new Promise(() => {}),
  clone: () => {
    const a: any = { d: new Date(5), m: new Map([['k', new Set([1])]]), b: Uint8Array.of(1, 2), ['__proto__x']: 1 };
    a.self = a;
    const b = structuredClone(a);
    return [b !== a, b.self === b, b.d.getTime(), b.m.get('k').has(1), [...b.b], b.b.buffer !== a.b.buffer];
  },
  cloneBad: () => { try { structuredClone({ f() {} }); return 'cloned'; } catch (error: any) { return error.name; } },
  crypto: () => [crypto.getRandomValues(new Uint32Array(4)).length, globalThis.crypto.randomUUID().length, typeof (globalThis as any).fetch],
  codec: () => [new TextEncoder().encodeInto('aé☂', new Uint8Array(4)), atob(btoa('x')), performance.now() >= 0],
  settings: () => config(),
};
const interceptors = Object.fromEntries(Object.entries(cases).map(([name, run]) => [name, async () => final((await run()) ?? null)]));
defineCapsule({
  tools: [greet, tiny], interceptors, cron: { nightly: (payload) => console.log('cron', payload) },
  run() {
    listen('a.v1.*', async (message) => { await null; console.log('got', message.topic); if (message.seq === 2) throw new Error('the second'); });
    return forever();
  },
});
`;

const directory = tap.testdir({
  'main.ts': SOURCE,
  'small.ts': "import { defineCapsule } from 'astrid/sdk';\ndefineCapsule({ interceptors: { a: () => {} } });\n",
});
const link = join(directory, 'node_modules');
const { symlinkSync } = await import('node:fs');
symlinkSync(join(PACKAGE_ROOT, 'node_modules'), link);
const built = await buildCapsule({ entry: join(directory, 'main.ts'), sdkDir: SDK, cacheDir: TOOLCHAIN_DIR });

function start(more: Record<string, (...args: Buffer[]) => Buffer | string> = {}) {
  const seen: string[] = [];
  const chunks = () => [Buffer.from('gr\xc3', 'latin1'), Buffer.from('\xbc\xc3\x9f', 'latin1'), Buffer.alloc(0)];
  let body: Buffer[] = [];
  const calls = Object.fromEntries(
    built.imports.filter((name) => /user\/(?!.*clock)/.test(name)).map((name) => [name.slice(17), () => '']),
  );
  const harness = new GuestHarness(
    built.wasm,
    {
      ...calls,
      astrid_log: (level, text) => {
        seen.push(`${level}: ${text}`);
        return '';
      },
      astrid_ipc_publish: (topic, payload) => {
        seen.push(`${topic} ${payload}`);
        return '';
      },
      astrid_get_config: (key) => (key.toString() === 'RETRIES' ? 'seven' : ''),
      astrid_http_stream_start: (request) => {
        seen.push(`start ${request}`);
        body = request.includes('/q?') ? [Buffer.from('{"a":'), Buffer.from('1}'), Buffer.alloc(0)] : chunks();
        return JSON.stringify({ handle: '9', status: 201, headers: { 'x-kind': 'k' } });
      },
      astrid_http_stream_read: () => body.shift() ?? Buffer.alloc(0),
      astrid_http_stream_close: () => {
        seen.push('close');
        return '';
      },
      ...more,
    },
    undefined,
  );
  const hook = (name: string, payload: unknown = {}) => {
    const request = JSON.stringify({ name, arguments: [...Buffer.from(JSON.stringify(payload))] });
    const { code, output, error } = harness.call('astrid_hook_trigger', request);
    if (code !== 0) return `failed: ${error}`;
    return output === null ? null : JSON.parse(output.subarray(1).toString());
  };
  return { harness, hook, seen };
}

test('names of the web, a capsule that uses none, imports the clock and the log and stays below a megabyte', async (t) => {
  const small = await buildCapsule({ entry: join(directory, 'small.ts'), sdkDir: SDK, cacheDir: TOOLCHAIN_DIR });
  t.same(
    small.imports.filter((name) => name.startsWith('extism:host/user/')),
    ['extism:host/user/astrid_clock_ms', 'extism:host/user/astrid_log'],
  );
  t.ok(small.bytes < 900 * 1024, `${small.bytes} bytes`);
  t.notOk(small.sourceMap.includes('fetch.ts'));
});

test('fetch, responses whole and in chunks, over the kernel’s streams, each closed when its call ends', (t) => {
  const { hook, seen } = start();
  t.same(hook('fetch'), [201, true, 'k', { a: 1 }, true]);
  t.match(
    seen[0],
    /"url":"https:\/\/api\.example\/q\?x=1","method":"POST","headers":\{"content-type":"application\/x-www-form-urlencoded;charset=UTF-8"\},"body":"k=v\+w"/,
  );
  t.equal(hook('stream'), 'grüß');
  t.equal(seen.filter((line) => line === 'close').length, 2);
  t.equal(hook('leak'), 'left open');
  t.equal(seen.filter((line) => line === 'close').length, 3, 'a body that nobody read');
  t.equal(hook('aborted'), 'AbortError');
  const denied = start({
    astrid_http_stream_start: () => {
      throw new Fault('capability_missing', 'not yours');
    },
  });
  t.same(denied.hook('refused'), ['TypeError', 'fetch failed: capability_missing: not yours', 'capability_missing']);
  t.match(hook('relative'), /needs an absolute one/);
  t.match(hook('binary'), /not UTF-8; send binary data as base64/);
  t.match(hook('blob'), /blob\(\) is not supported: use bytes/);
  t.end();
});

test('timers fire while a call awaits, sleep no longer than needed, and do not outlive their call', (t) => {
  const { harness, hook, seen } = start();
  t.match(hook('never'), /^failed: astrid_hook_trigger: the promise of this call never settled/);
  const frozen = hook('leftTimer');
  t.equal(frozen, 'left');
  t.equal(hook('never').slice(0, 8), 'failed: ');
  t.notOk(seen.some((line) => line.includes('from another call')));
  t.same(harness.sleptMs, [], 'nobody waited for it');
  t.same(hook('timers'), ['every', 'every', 'late', 'every']);
  t.same(harness.sleptMs, [40, 40, 20, 20, 10]);
  t.equal(hook('timeout'), 'TimeoutError');
  t.equal(hook('wait'), 'waited');
  t.match(hook('timerFails'), /^failed: Error: in a timer\n\s+at .*main\.ts:\d+/);
  t.end();
});

test('tools, a schema of zod, is described as draft 7, checked, and its failures name the author’s line', (t) => {
  const { hook, seen, harness } = start();
  const describe = harness.text('astrid_hook_trigger', JSON.stringify({ name: 'tool_describe' }));
  const { tools } = JSON.parse(describe) as { tools: { input_schema: Record<string, unknown> }[] };
  t.match(tools[0]!.input_schema, {
    type: 'object',
    mutable: false,
    required: ['who'],
    properties: { who: { description: 'a name' } },
  });
  t.notOk('$schema' in tools[0]!.input_schema);
  t.match(tools[1]!.input_schema, { type: 'object', properties: { a: { type: 'string' } } });
  const run = (args: unknown) => {
    hook('tool_execute_greet', { call_id: 'c', arguments: args });
    return seen.at(-1);
  };
  t.match(run({ who: 'ann' }), /"content":"hello ANN","is_error":false/);
  t.match(run({ who: 'x' }), /"content":"invalid_argument: who: .*","is_error":true/);
  t.match(run({ who: 'ann', times: 7 }), /internal: the tool failed: seven \(main\.ts:14:\d+\)/);
  t.match(seen.at(-2), /^error: tool greet failed: RangeError: seven\n\s+at handler \(main\.ts:14:\d+\)/);
  t.end();
});

test('a run loop, messages and a handler that rejects, ends with the stack', (t) => {
  let seq = 0;
  const { harness, seen } = start({
    astrid_ipc_subscribe: () => '4',
    astrid_ipc_recv: () =>
      JSON.stringify({
        messages: [{ topic: 'a.v1.b', seq: ++seq, payload: { type: 'custom' } }],
        dropped: 0,
        lagged: 0,
      }),
  });
  const { code, error } = harness.call('run');
  t.equal(code, 1);
  t.match(error, /^Error: the second\n\s+at .*main\.ts:\d+:\d+/);
  t.same(seen, ['info: got a.v1.b', 'info: got a.v1.b']);
  t.end();
});

test('the rest of what people expect, clones, randomness, codecs, cron and settings', (t) => {
  const { hook, harness, seen } = start();
  t.same(hook('clone'), [true, true, 5, true, [1, 2], true]);
  t.equal(hook('cloneBad'), 'DataCloneError');
  t.same(hook('crypto'), [4, 36, 'function']);
  t.same(hook('codec'), [{ read: 2, written: 3 }, 'x', true]);
  t.match(hook('settings'), /^failed: SchemaError: RETRIES: expected a number\n/, 'and the value is not told');
  t.equal(
    harness.call('astrid_cron_trigger', JSON.stringify({ name: 'nightly', arguments: [...Buffer.from('[1]')] })).code,
    0,
  );
  t.equal(seen.at(-1), 'info: cron [1]');
  t.match(harness.call('astrid_cron_trigger', '{"name":"other"}').error, /Unknown cron "other"/);
  t.end();
});
