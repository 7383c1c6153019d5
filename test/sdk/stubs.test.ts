import { createContext, runInContext } from 'node:vm';
import { test } from 'tap';
import { FAULT_CODES } from '../../abi/errno.js';
import { SYSCALLS, syscallByName } from '../../abi/table.js';
import { bundleGuestSource, closeGuestBundler } from '../kit/guest-bundle.js';
import { readSources } from '../kit/source-files.js';

const MODULES = [
  'approval',
  'cron',
  'elicit',
  'env',
  'fs',
  'hooks',
  'http',
  'identity',
  'ipc',
  'kv',
  'log',
  'net',
  'process',
  'runtime',
  'secrets',
  'security',
  'time',
  'uplink',
] as const;

type Stub = (...args: unknown[]) => unknown;
type Sdk = Record<string, Record<string, Stub>>;

interface Recorder {
  readonly sdk: Sdk;
  readonly calls: { name: string; args: Buffer[] }[];
  /** What every call answers from now on. */
  answer: (bytes: Uint8Array) => void;
}

const OK = (payload: string | Uint8Array = ''): Uint8Array => Buffer.concat([Buffer.from([0]), Buffer.from(payload)]);

/** One example of each stub: how it is called, what the kernel answers, and what the caller then gets. */
const account = { platform: 'chat', platformUserId: 'u1' };
const link = { platform: 'chat', platform_user_id: 'u1', astrid_user_id: 'id', linked_at: 'now', method: 'm' };
const shapedLink = { platform: 'chat', platformUserId: 'u1', userId: 'id', linkedAt: 'now', method: 'm' };
const output = { stdout: 'o', stderr: 'e', exit_code: 3 };
const shapedOutput = { stdout: 'o', stderr: 'e', exitCode: 3 };
const http = { status: 200, headers: {}, body: 'b' };
const stream = { handle: '5', status: 200, headers: {} };
const envelope = { messages: [], dropped: 0, lagged: 0 };
const caller = { principal: 'p', source_id: 's', timestamp: 't' };
const shapedCaller = { principal: 'p', sourceId: 's', timestamp: 't' };

const EXAMPLES: Record<string, { run: (sdk: Sdk) => unknown; reply?: string; gives?: unknown }> = {
  astrid_fs_exists: { run: ({ fs }) => fs!.exists!('cwd://a'), reply: 'true', gives: true },
  astrid_fs_mkdir: { run: ({ fs }) => fs!.mkdir!('cwd://a') },
  astrid_fs_readdir: { run: ({ fs }) => fs!.readdir!('cwd://'), reply: '["a","b"]', gives: ['a', 'b'] },
  astrid_fs_stat: {
    run: ({ fs }) => fs!.stat!('cwd://a'),
    reply: '{"size":7,"isDir":false,"mtime":2}',
    gives: { size: 7, isDirectory: false, mtimeMs: 2000 },
  },
  astrid_fs_unlink: { run: ({ fs }) => fs!.unlink!('cwd://a') },
  astrid_read_file: { run: ({ fs }) => fs!.readTextFile!('cwd://é'), reply: 'grüß', gives: 'grüß' },
  astrid_write_file: { run: ({ fs }) => fs!.writeFile!('cwd://a', 'text') },
  astrid_ipc_publish: { run: ({ ipc }) => ipc!.publish!('a.v1.b', { x: 1 }) },
  astrid_ipc_subscribe: {
    run: ({ ipc }) => ipc!.subscribe!('a.v1.*'),
    reply: '12',
    gives: { handle: 12, pattern: 'a.v1.*' },
  },
  astrid_ipc_unsubscribe: { run: ({ ipc }) => ipc!.unsubscribe!(12) },
  astrid_ipc_poll: { run: ({ ipc }) => ipc!.poll!(12), reply: JSON.stringify(envelope), gives: envelope },
  astrid_ipc_recv: { run: ({ ipc }) => ipc!.recv!(12, 500), reply: JSON.stringify(envelope), gives: envelope },
  astrid_uplink_register: { run: ({ uplink }) => uplink!.register!('n', 'p', 'chat'), reply: 'uuid', gives: 'uuid' },
  astrid_uplink_send: { run: ({ uplink }) => uplink!.send!('uuid', 'u1', 'hi'), reply: '{"ok":true}', gives: true },
  astrid_kv_get: { run: ({ kv }) => kv!.getJson!('k'), reply: '{"a":[1]}', gives: { a: [1] } },
  astrid_kv_set: { run: ({ kv }) => kv!.setJson!('k', { a: 1 }) },
  astrid_kv_delete: { run: ({ kv }) => kv!.delete!('k') },
  astrid_kv_list_keys: { run: ({ kv }) => kv!.list!('p'), reply: '["p1"]', gives: ['p1'] },
  astrid_kv_clear_prefix: { run: ({ kv }) => kv!.clear!('p'), reply: '4', gives: 4 },
  astrid_get_config: { run: ({ env }) => env!.get!('KEY', 'fallback'), reply: '', gives: 'fallback' },
  astrid_get_caller: { run: ({ runtime }) => runtime!.caller!(), reply: JSON.stringify(caller), gives: shapedCaller },
  astrid_http_request: {
    run: ({ http: h }) => h!.request!('https://a/', { method: 'POST' }),
    reply: JSON.stringify(http),
    gives: http,
  },
  astrid_trigger_hook: { run: ({ hooks }) => hooks!.trigger!('a.v1.b', { q: 1 }), reply: '[1]', gives: [1] },
  astrid_log: { run: ({ log }) => log!.warn!('words') },
  astrid_spawn_host: {
    run: ({ process: p }) => p!.spawn!('ls', ['-l']),
    reply: JSON.stringify(output),
    gives: shapedOutput,
  },
  astrid_net_bind_unix: { run: ({ net }) => net!.bindUnix!('p'), reply: '' },
  astrid_net_accept: { run: ({ net }) => net!.accept!(new Uint8Array()), reply: '3', gives: 3 },
  astrid_net_read: { run: ({ net }) => (net!.read!(3) as { status: string }).status, reply: '\x02', gives: 'pending' },
  astrid_net_write: { run: ({ net }) => net!.write!(3, 'body') },
  astrid_cron_schedule: { run: ({ cron }) => cron!.schedule!('nightly', '0 2 * * *', { a: 1 }), reply: '' },
  astrid_cron_cancel: { run: ({ cron }) => cron!.cancel!('nightly'), reply: '' },
  astrid_elicit: { run: ({ elicit }) => elicit!.text!({ key: 'k' }), reply: '{"value":"v"}', gives: 'v' },
  astrid_has_secret: { run: ({ secrets }) => secrets!.has!('k'), reply: '{"exists":true}', gives: true },
  astrid_signal_ready: { run: ({ runtime }) => runtime!.signalReady!() },
  astrid_clock_ms: { run: ({ time }) => time!.now!(), reply: '1700000000123', gives: 1_700_000_000_123 },
  astrid_get_interceptor_handles: {
    run: ({ runtime }) => runtime!.interceptorHandles!(),
    reply: '[{"handle_id":1,"action":"a","topic":"t"}]',
    gives: [{ handle: 1, action: 'a', topic: 't' }],
  },
  astrid_request_approval: {
    run: ({ approval }) => approval!.request!({ action: 'a', resource: 'r', riskLevel: 'low' }),
    reply: '{"approved":true,"decision":"approve"}',
    gives: { approved: true, decision: 'approve' },
  },
  astrid_identity_resolve: {
    run: ({ identity }) => identity!.resolve!(account),
    reply: '{"found":true,"user_id":"id","display_name":"n"}',
    gives: { userId: 'id', displayName: 'n' },
  },
  astrid_identity_link: {
    run: ({ identity }) => identity!.link!(account, 'id', 'm'),
    reply: JSON.stringify({ ok: true, link }),
    gives: shapedLink,
  },
  astrid_identity_unlink: {
    run: ({ identity }) => identity!.unlink!(account),
    reply: '{"ok":true,"removed":true}',
    gives: true,
  },
  astrid_identity_create_user: {
    run: ({ identity }) => identity!.createUser!('n'),
    reply: '{"ok":true,"user_id":"id"}',
    gives: 'id',
  },
  astrid_identity_list_links: {
    run: ({ identity }) => identity!.listLinks!('id'),
    reply: JSON.stringify({ ok: true, links: [link] }),
    gives: [shapedLink],
  },
  astrid_check_capsule_capability: {
    run: ({ security }) => security!.hasCapability!('uuid', 'allow_prompt_injection'),
    reply: '{"allowed":false}',
    gives: false,
  },
  astrid_spawn_background_host: { run: ({ process: p }) => p!.spawnBackground!('ls'), reply: '{"id":9}', gives: 9 },
  astrid_read_process_logs_host: {
    run: ({ process: p }) => p!.readOutput!(9),
    reply: JSON.stringify({ ...output, running: true }),
    gives: { ...shapedOutput, running: true },
  },
  astrid_kill_process_host: {
    run: ({ process: p }) => p!.kill!(9),
    reply: JSON.stringify({ ...output, killed: true }),
    gives: shapedOutput,
  },
  astrid_net_close_stream: { run: ({ net }) => net!.close!(3) },
  astrid_net_poll_accept: { run: ({ net }) => net!.pollAccept!(new Uint8Array()), reply: '' },
  astrid_http_stream_start: {
    run: ({ http: h }) => h!.openStream!('https://a/'),
    reply: JSON.stringify(stream),
    gives: stream,
  },
  astrid_http_stream_read: {
    run: ({ http: h }) => (h!.readStream!(stream) as Uint8Array).length,
    reply: 'abc',
    gives: 3,
  },
  astrid_http_stream_close: { run: ({ http: h }) => h!.closeStream!(stream) },
};

async function recordSdk(): Promise<Recorder> {
  const imports = MODULES.map((name) => `import * as ${name}_ from 'astrid/sdk/${name}';`);
  const names = MODULES.map((name) => `${JSON.stringify(name)}: ${name}_`);
  const error = `import { SystemError, isSystemError } from 'astrid/sdk/system-error';`;
  const script = await bundleGuestSource(
    `${imports.join('\n')}\n${error}\n(globalThis as { sdk?: unknown }).sdk = { ${names.join(', ')}, errors: { SystemError, isSystemError } };`,
  );
  const calls: Recorder['calls'] = [];
  let reply: Uint8Array = OK();
  const context = createContext({}) as { sdk: Sdk; __astrid_call: unknown };
  const own = runInContext('(bytes) => Uint8Array.from(bytes)', context) as (bytes: Uint8Array) => Uint8Array;
  context.__astrid_call = (name: string, ...args: Uint8Array[]) => {
    calls.push({ name, args: args.map((arg) => Buffer.from(arg)) });
    return own(reply);
  };
  runInContext(script, context);
  return {
    sdk: context.sdk,
    calls,
    answer: (bytes) => {
      reply = bytes;
    },
  };
}

const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

test('stubs, the table of calls, one stub each, with its arguments in the order and the encoding of the row', async (t) => {
  const recorder = await recordSdk();
  t.same(
    Object.keys(EXAMPLES).sort(),
    SYSCALLS.map(({ name }) => name).sort(),
    'an example for each call and no other',
  );
  for (const { name, params } of SYSCALLS) {
    const example = EXAMPLES[name]!;
    recorder.calls.length = 0;
    recorder.answer(OK(example.reply));
    const given = example.run(recorder.sdk);
    t.equal(recorder.calls.length, 1, `${name}: one host call`);
    const call = recorder.calls[0]!;
    t.equal(call.name, name);
    t.equal(call.args.length, params.length, `${name}: as many arguments as the row has`);
    for (const [index, { kind, name: field }] of params.entries()) {
      const text = call.args[index]!.toString('utf8');
      if (kind === 'decimal') t.match(text, /^\d+$/, `${name}.${field} is decimal text`);
      if (kind === 'json') t.doesNotThrow(() => JSON.parse(text), `${name}.${field} is JSON`);
      if (kind === 'text') t.not(text, '', `${name}.${field} is text`);
    }
    if ('gives' in example) t.same(plain(given), plain(example.gives), `${name}: the answer as the caller gets it`);
  }
});

test('stubs, the sources, each name stands in them once as a literal, and only names of the table', (t) => {
  const found = readSources('abi/sdk').flatMap(({ text }) =>
    [...text.matchAll(/'(astrid_[a-z_]+)'/g)].map(([, name]) => name!),
  );
  const exports = [
    'astrid_hook_trigger',
    'astrid_command_run',
    'astrid_install',
    'astrid_upgrade',
    'astrid_cron_trigger',
  ];
  const calls = found.filter((name) => !exports.includes(name));
  t.same(calls.sort(), SYSCALLS.map(({ name }) => name).sort());
  t.end();
});

test('arguments, JSON of the request-shaped calls, the field names of the reference', async (t) => {
  const { sdk, calls, answer } = await recordSdk();
  const sent = (run: () => unknown, reply: string): unknown => {
    answer(OK(reply));
    run();
    return JSON.parse(calls.at(-1)!.args[0]!.toString());
  };
  t.same(
    sent(() => sdk['approval']!.request!({ action: 'a', resource: 'r', riskLevel: 'high' }), '{}'),
    {
      action: 'a',
      resource: 'r',
      risk_level: 'high',
    },
  );
  t.same(
    sent(() => sdk['hooks']!.trigger!('t.v1.x'), '[]'),
    { hook: 't.v1.x', payload: {} },
  );
  t.same(
    sent(() => sdk['process']!.spawn!('ls', ['a']), '{}'),
    { cmd: 'ls', args: ['a'] },
  );
  t.same(
    sent(() => sdk['elicit']!.select!({ key: 'k', options: ['a'] }), '{"value":"a"}'),
    {
      type: 'select',
      key: 'k',
      options: ['a'],
    },
  );
  t.same(
    sent(() => sdk['identity']!.unlink!(account), '{}'),
    { platform: 'chat', platform_user_id: 'u1' },
  );
  answer(OK('{"value":"c"}'));
  t.throws(() => sdk['elicit']!.select!({ key: 'k', options: ['a'] }), { code: 'invalid_argument' });
  answer(OK('{"ok":false,"error":"not yours"}'));
  t.throws(() => sdk['identity']!.unlink!(account), { message: 'not yours' });
});

test('errors, a reply that begins with 0x01, a SystemError with the code that a capsule can catch', async (t) => {
  const { sdk, answer } = await recordSdk();
  const fail = (text: string): void => answer(Buffer.concat([Buffer.from([1]), Buffer.from(text)]));
  for (const code of FAULT_CODES) {
    fail(JSON.stringify({ code, message: `why ${code}` }));
    t.throws(() => sdk['fs']!.readFile!('x'), { name: 'SystemError', code, message: `why ${code}` });
  }
  fail('not json at all');
  t.throws(() => sdk['kv']!.get!('k'), { code: 'internal', message: 'not json at all' });
  fail('');
  t.throws(() => sdk['kv']!.get!('k'), { code: 'internal' });
  fail('{"code":5}');
  t.throws(() => sdk['kv']!.get!('k'), { code: 'internal' });
  answer(Buffer.from('{"raw":true}'));
  t.throws(() => sdk['kv']!.get!('k'), { code: 'bad_frame' }, 'a result of an older generation is not taken for data');
  answer(new Uint8Array());
  t.throws(() => sdk['time']!.now!(), { code: 'bad_frame' });
  answer(OK('soon'));
  t.throws(() => sdk['time']!.now!(), { code: 'bad_frame' });
  const { isSystemError, SystemError } = sdk['errors'] as unknown as {
    isSystemError: (...args: unknown[]) => boolean;
    SystemError: new (code: string, message: string) => Error;
  };
  const thrown = new SystemError('not_found', 'm');
  t.equal(isSystemError(thrown), true);
  t.equal(isSystemError(thrown, 'not_found', 'io_error'), true);
  t.equal(isSystemError(thrown, 'io_error'), false);
  t.equal(isSystemError(new Error('not_found')), false);
});

test('arguments, values that the ABI cannot carry, refused before the call', async (t) => {
  const { sdk, calls } = await recordSdk();
  for (const bad of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) {
    t.throws(() => sdk['ipc']!.recv!(1, bad), { code: 'invalid_argument' });
  }
  t.throws(() => sdk['kv']!.setJson!('k', undefined), { code: 'invalid_argument' });
  t.same(calls, []);
  sdk['log']!.info!('x'.repeat(100_000));
  t.ok(calls.at(-1)!.args[1]!.length <= syscallByName('astrid_log')!.params[1]!.bytesMax, 'a log line is cut to fit');
});

test('tree shaking, a capsule that uses one call, its script names that call and the log alone', async (t) => {
  const calls = async (source: string): Promise<string[]> => {
    const script = await bundleGuestSource(source);
    const names = [...script.matchAll(/"(astrid_[a-z_]+)"/g)].map(([, name]) => name!);
    return [...new Set(names)].filter((name) => syscallByName(name) !== undefined).sort();
  };
  t.same(await calls(`import * as fs from 'astrid/sdk/fs'; globalThis.x = fs.exists('a');`), ['astrid_fs_exists']);
  t.same(await calls(`import { deny } from 'astrid/sdk/interceptor'; globalThis.x = deny;`), []);
  t.same(
    await calls(`import { defineCapsule } from 'astrid/sdk'; defineCapsule({ interceptors: { a: () => {} } });`),
    ['astrid_log'],
    'console is there, and publishing is not, for a capsule without tools',
  );
  t.same(
    await calls(MODULES.map((name) => `import 'astrid/sdk/${name}';`).join('\n')),
    [],
    'modules have no side effects',
  );
});

test('end', async () => closeGuestBundler());
