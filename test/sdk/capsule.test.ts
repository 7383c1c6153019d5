import { test } from 'tap';
import { bundleGuestSource, closeGuestBundler } from '../kit/guest-bundle.js';
import { GuestRealm } from '../kit/guest-realm.js';

interface Guest {
  readonly realm: GuestRealm;
  readonly calls: { name: string; args: string[] }[];
  /** One call of an action, with a JSON payload or none. */
  hook(action: string, payload?: unknown): Buffer;
}

/** A capsule from source, with a kernel that accepts everything and answers nothing. */
async function load(body: string): Promise<Guest> {
  const script = await bundleGuestSource(`
    import { defineCapsule } from 'astrid/sdk';
    import { deny, final, on, proceed } from 'astrid/sdk/interceptor';
    import * as kv from 'astrid/sdk/kv';
    import { s } from 'astrid/sdk/schema';
    import { SystemError } from 'astrid/sdk/system-error';
    import { tool, ToolError } from 'astrid/sdk/tool';
    ${body}
  `);
  const calls: Guest['calls'] = [];
  const host = (name: string, args: readonly Buffer[]): Buffer => {
    calls.push({ name, args: args.map((arg) => arg.toString()) });
    return Buffer.from([0]);
  };
  const realm = new GuestRealm(script, host, { now: () => 0, seed: 'test' });
  const request = (name: string, payload: unknown): Buffer => {
    const bytes = payload === undefined ? [] : [...Buffer.from(JSON.stringify(payload))];
    return Buffer.from(JSON.stringify({ name, arguments: bytes }));
  };
  return { realm, calls, hook: (action, payload) => realm.dispatch('astrid_hook_trigger', request(action, payload)) };
}

test('interceptors, each answer, the bytes of the reference', async (t) => {
  const { hook } = await load(`defineCapsule({ interceptors: {
    nothing: () => {},
    same: () => proceed(),
    changed: (payload) => proceed({ was: payload }),
    stop: () => final({ done: true }),
    stopEmpty: () => final(),
    no: () => deny('not today, ☂'),
    later: async (payload) => { await null; await Promise.resolve(); return proceed([payload]); },
    context: (payload, { action, input }) => proceed({ action, bytes: input.length, none: payload === undefined }),
  } });`);
  t.equal(hook('nothing', 1).length, 0);
  t.equal(hook('same', 1).length, 0);
  t.equal(hook('changed', 'x').toString(), '\x00{"was":"x"}');
  t.equal(hook('stop', 1).toString(), '\x01{"done":true}');
  t.same(hook('stopEmpty', 1), Buffer.from([1]));
  t.equal(hook('no', 1).toString(), '\x02not today, ☂');
  t.equal(hook('later', 7).toString(), '\x00[7]', 'a promise settles within the call');
  t.equal(hook('context').toString(), '\x00{"action":"context","bytes":0,"none":true}');
});

test('interceptors, what must not pass, an error with a reason', async (t) => {
  const { hook, realm } = await load(`defineCapsule({ interceptors: {
    typed: on(s.openObject({ id: s.integer() }), ({ id }) => proceed(id + 1)),
    fails: () => { throw new SystemError('not_found', 'nothing there'); },
    rejects: async () => { throw new Error('later'); },
    hangs: () => new Promise(() => {}),
  } });`);
  t.equal(hook('typed', { id: 1, more: true }).toString(), '\x002');
  t.throws(() => hook('typed', { id: 'x' }), /payload\.id: expected a number, got "x"/);
  t.throws(() => hook('typed'), /payload: expected an object, got nothing/);
  t.throws(() => hook('fails', 1), /nothing there/);
  t.throws(() => hook('rejects', 1), /later/);
  t.throws(() => hook('hangs', 1), /never settled/);
  for (const unknown of ['missing', 'constructor', '__proto__', 'toString', '']) {
    t.throws(() => hook(unknown, 1), /Unknown hook/, `the action ${unknown}`);
  }
  const raw = (text: string) => () => realm.dispatch('astrid_hook_trigger', Buffer.from(text));
  t.throws(raw('{"name":"typed","arguments":[123]}'), /failed to parse arguments/);
  t.throws(raw('{"arguments":[]}'), /no name/);
  t.throws(raw('null'), /no name/);
  t.throws(raw('garbage'));
  t.throws(() => realm.dispatch('run', Buffer.alloc(0)), /this capsule has no run/);
});

test('exports, what is declared and no more, hooks always', async (t) => {
  const small = await load('defineCapsule({});');
  t.same(small.realm.readGlobal('__astrid_exports'), ['astrid_hook_trigger']);
  t.same(small.realm.readGlobal('__astrid_actions'), ['handle_lifecycle_restart']);
  const full = await load(`defineCapsule({
    commands: { hi: (args) => ({ hello: args }), quiet: () => undefined },
    run: async () => { kv.set('ran', 'yes'); },
    install() { kv.set('installed', 'yes'); },
    upgrade(from) { kv.set('from', from); },
    restarted() { kv.set('again', 'yes'); },
  });`);
  t.same(full.realm.readGlobal('__astrid_exports'), [
    'astrid_hook_trigger',
    'astrid_command_run',
    'run',
    'astrid_install',
    'astrid_upgrade',
  ]);
  const { realm, calls, hook } = full;
  const input = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const command = { name: 'hi', arguments: [...Buffer.from('"you"')] };
  t.equal(realm.dispatch('astrid_command_run', input(command)).toString(), '{"hello":"you"}');
  t.equal(realm.dispatch('astrid_command_run', input({ name: 'quiet' })).length, 0);
  t.throws(() => realm.dispatch('astrid_command_run', input({ name: 'valueOf' })), /Unknown command/);
  realm.dispatch('run', Buffer.alloc(0));
  t.equal(realm.dispatch('astrid_install', Buffer.alloc(0)).toString(), '{"ok":true}');
  realm.dispatch('astrid_upgrade', input({ prev_version: '1.2.3' }));
  realm.dispatch('astrid_upgrade', Buffer.from('0.9.0'));
  realm.dispatch('astrid_upgrade', Buffer.alloc(0));
  hook('handle_lifecycle_restart');
  t.same(
    calls.map(({ args }) => args),
    [
      ['ran', 'yes'],
      ['installed', 'yes'],
      ['from', '1.2.3'],
      ['from', '0.9.0'],
      ['from', ''],
      ['again', 'yes'],
    ],
  );
});

test('definitions that contradict themselves, an error when the capsule is built', async (t) => {
  const one = `tool({ name: 'a', description: '', mutable: false, input: s.object({}), handler: () => '' })`;
  await t.rejects(load(`defineCapsule({ tools: [${one}, ${one}] });`), /tool_execute_a is defined twice/);
  await t.rejects(
    load(`defineCapsule({ tools: [${one}], interceptors: { tool_describe: () => {} } });`),
    /defined twice/,
  );
  await t.rejects(load(`defineCapsule({ interceptors: { handle_lifecycle_restart: () => {} } });`), /defined twice/);
  await t.rejects(load('defineCapsule({}); defineCapsule({});'), /called twice/);
  for (const name of ['', 'a.b', 'result', 'a b', '*', 'x'.repeat(65)]) {
    await t.rejects(
      load(`tool({ name: ${JSON.stringify(name)}, input: s.object({}), handler: () => '' });`),
      /not a tool name/,
    );
  }
  await t.rejects(load(`tool({ name: 'a', input: s.string(), handler: () => '' });`), /must be an object schema/);
});

const TOOLS = `
  const input = s.object({ n: s.integer('A number', { min: 0 }) });
  const make = (name, handler, mutable = false) => tool({ name, description: 'Does ' + name, mutable, input, handler });
  defineCapsule({ description: 'Tools', tools: [
    make('text', ({ n }, { callId, tool }) => 'got ' + n + ' in ' + callId + ' of ' + tool, true),
    make('value', async ({ n }) => ({ twice: n * 2 })),
    make('none', () => {}),
    make('refuses', () => { throw new ToolError('try another'); }),
    make('denied', async () => { throw new SystemError('approval_denied', 'the person said no'); }),
    make('broken', () => { null.x; }),
    make('huge', () => 'x'.repeat(900_000)),
  ] });
`;

test('tools, an entry that `tool()` did not make, refused when the capsule is built', async (t) => {
  const plain = "{ name: 'plain', description: '', input: s.object({}), handler: () => '' }";
  await t.rejects(load(`defineCapsule({ tools: [${plain}] });`), /tools\[0\] \("plain"\) is not made by tool\(\)/);
  await t.rejects(load('defineCapsule({ tools: [null] });'), /tools\[0\] is not made by tool\(\)/);
});

test('tools, a call, its result on the topic of the tool', async (t) => {
  const { hook, calls } = await load(TOOLS);
  const run = (name: string, args: unknown = { n: 4 }): { content: string; is_error: boolean } => {
    calls.length = 0;
    const output = hook(`tool_execute_${name}`, {
      type: 'tool_execute_request',
      call_id: 'c1',
      tool_name: 'lies',
      arguments: args,
    });
    t.equal(output.length, 0, 'the chain gets nothing');
    const published = calls.filter((call) => call.name === 'astrid_ipc_publish');
    t.equal(published.length, 1);
    const [topic, body] = published[0]!.args;
    t.equal(topic, `tool.v1.execute.${name}.result`, 'its own name, not the one in the request');
    const payload = JSON.parse(body!);
    t.equal(payload.type, 'tool_execute_result');
    t.equal(payload.call_id, 'c1');
    t.equal(payload.result.call_id, 'c1');
    return { content: payload.result.content, is_error: payload.result.is_error };
  };
  t.same(run('text'), { content: 'got 4 in c1 of text', is_error: false });
  t.same(run('value'), { content: '{"twice":8}', is_error: false });
  t.same(run('none'), { content: '', is_error: false });
  t.same(run('refuses'), { content: 'try another', is_error: true });
  t.same(run('denied'), { content: 'approval_denied: the person said no', is_error: true });
  t.match(run('broken'), { content: /^internal: the tool failed: /, is_error: true });
  t.ok(
    calls.some(({ name, args }) => name === 'astrid_log' && args[0] === 'error'),
    'a bug leaves its stack in the log',
  );
  t.match(run('huge'), { content: /^too_large: /, is_error: true });
  t.match(run('text', { n: -1 }), { content: 'invalid_argument: n: expected at least 0, got -1', is_error: true });
  t.match(run('text', { n: 1, m: 2 }), { content: /^invalid_argument: m: unknown/, is_error: true });
  t.match(run('text', 'n=1'), { content: /^invalid_argument: value: expected an object/, is_error: true });
});

test('tools, a request without a call id, refused, since nobody could take the result', async (t) => {
  const { hook, calls } = await load(TOOLS);
  for (const bad of [
    {},
    { arguments: {} },
    { call_id: '', arguments: {} },
    { call_id: 7, arguments: {} },
    { call_id: 'c' },
  ]) {
    t.throws(() => hook('tool_execute_text', bad), /payload\./);
  }
  t.same(calls, []);
});

test('tools, describe, the list form with schemas and the mutable flag', async (t) => {
  const { hook } = await load(TOOLS);
  const { tools, description } = JSON.parse(hook('tool_describe', {}).toString());
  t.equal(description, 'Tools');
  t.equal(tools.length, 7);
  t.same(tools[0], {
    name: 'text',
    description: 'Does text',
    input_schema: {
      type: 'object',
      properties: { n: { type: 'integer', description: 'A number', minimum: 0 } },
      required: ['n'],
      additionalProperties: false,
      mutable: true,
    },
  });
});

test('globals, code written for other runtimes, finds console, TextEncoder and TextDecoder', async (t) => {
  const { calls, hook } = await load(`
    defineCapsule({ interceptors: {
      logs: () => {
        console.log('a', 1, { b: [2] }); console.warn(new Error('bad')); console.error(undefined, 10n);
        const loop = {}; loop.self = loop; console.debug(loop);
      },
      text: () => proceed([
        Array.from(new TextEncoder().encode('é€😀')), new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x61, 0xff])),
        new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf])).length,
      ]),
      fatal: () => { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff])); },
      latin: () => { new TextDecoder('latin1'); },
    } });`);
  hook('logs');
  t.same(calls[0]!.args, ['info', 'a 1 {"b":[2]}']);
  t.match(calls[1]!.args, ['warn', /^Error: bad\n/]);
  t.same(calls[2]!.args, ['error', 'undefined 10']);
  t.same(calls[3]!.args, ['debug', '[object Object]']);
  t.equal(hook('text').subarray(1).toString(), JSON.stringify([[...Buffer.from('é€😀')], 'a\ufffd', 1]));
  t.throws(() => hook('fatal'), /not UTF-8/);
  t.throws(() => hook('latin'), /not supported/);
});

test('end', async () => closeGuestBundler());
