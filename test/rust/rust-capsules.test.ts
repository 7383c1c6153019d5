import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { hear } from '../conformance/bus-watch.js';
import { json, step, text } from '../conformance/case.js';
import { openBench } from '../conformance/kernel-bench.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { jailMissing, startWorker } from '../kit/worker-bench.js';
import { buildRust, TEST_MS_MAX } from './cargo.js';

const EXAMPLES = 'docs/examples/rust-notes';
const OLD = 'test/rust/old-notes';
const manifestOf = (path: string) => readFileSync(join(PACKAGE_ROOT, path, 'Capsule.toml'), 'utf8');

test("capsules written in Rust against upstream's published SDKs run unmodified", {
  timeout: TEST_MS_MAX,
}, async (t) => {
  const examples = buildRust(EXAMPLES);
  const old = examples.skip === null ? buildRust(OLD) : examples;
  const skip = examples.skip ?? old.skip;
  if (skip !== null) {
    t.pass('not built here', { skip });
    return;
  }
  const guests = {
    'rust-notes': { manifest: manifestOf(`${EXAMPLES}/notes`), wasm: examples.wasm('rust_notes') },
    'rust-ticker': { manifest: manifestOf(`${EXAMPLES}/ticker`), wasm: examples.wasm('rust_ticker') },
    'old-notes': { manifest: manifestOf(OLD), wasm: old.wasm('old_notes') },
  };
  const bench = await openBench([(await jailMissing()) === false ? 'jail' : 'process'], { guests, lanes: [3] });
  t.teardown(() => bench.end());
  t.same(bench.kernel.problems, []);
  const lane = bench.lanes[0]!;
  const callTool = async (tool: string, args: unknown) => {
    const request = { type: 'tool_execute_request', call_id: 'c1', tool_name: tool, arguments: args };
    const [heard] = await hear(bench.client, lane.session, [`tool.v1.execute.${tool}.result`], 1, () =>
      lane.send(step('astrid_ipc_publish', text(`tool.v1.execute.${tool}`), json(request))),
    );
    return (heard!.payload as { result: { content: string; is_error: boolean } }).result;
  };

  await t.test('0.5.3: tools over state that the kernel keeps', async (t) => {
    t.match(await callTool('note_add', { text: 'one' }), { content: '"1 notes"', is_error: false });
    t.match(await callTool('note_add', { text: 'two' }), { content: '"2 notes"', is_error: false });
    await bench.processOf('rust-notes').restart();
    t.match(await callTool('note_list', {}), { content: '["one","two"]', is_error: false });
  });

  await t.test('0.5.3: files, configuration without quotes, and errors that are values', async (t) => {
    t.match(await callTool('note_save', { path: 'notes.md' }), {
      content: '"7 bytes, greeting hello"',
      is_error: false,
    });
    t.match(await callTool('note_save', { path: 'notes.md' }), { content: /is there already/, is_error: true });
    t.match(await callTool('note_read', { path: 'absent.md' }), { content: /IO error: /, is_error: true });
    t.match(await callTool('note_read', { path: 'home://x' }), {
      content: /security denied read_file: /,
      is_error: true,
    });
    t.match(await callTool('note_add', { words: 1 }), { content: /missing field `text`/, is_error: true });
  });

  await t.test('0.5.3: tools are described to those who ask', async (t) => {
    const ask = step('astrid_trigger_hook', json({ hook: 'tool.v1.request.describe', payload: {} }));
    const [found] = await lane.send(ask);
    const tools = (JSON.parse(String(found)) as { tools: { name: string }[] }[]).flatMap((one) => one.tools);
    const names = ['note_add', 'note_list', 'note_read', 'note_save', 'old_note_add', 'old_note_where'];
    t.same(tools.map(({ name }) => name).sort(), names);
  });

  await t.test('0.5.3: the install hook', async (t) => {
    const invocation = {
      exportName: 'astrid_install',
      input: Buffer.alloc(0),
      actor: { principal: 'default', attribution: 'system', session: null },
      message: null,
      label: 'install',
      wallMs: 20_000,
    } as const;
    const outcome = await bench.processOf('rust-notes').submit(invocation);
    t.match(outcome, { kind: 'done', returnCode: 0, error: '' });
    t.equal(outcome.kind === 'done' ? outcome.output.toString('utf8') : '', '{"ok":true}');
  });

  await t.test('0.5.3: a slash command', async (t) => {
    const [answer] = await hear(bench.client, lane.session, ['agent.v1.response'], 1, () =>
      bench.client.request('bus.publish', {
        session: lane.session,
        topic: 'cli.v1.command.execute',
        payload: { type: 'user_input', text: '/notes', session_id: lane.session },
      }),
    );
    t.match(answer?.payload, { text: /^\d+ notes$/, is_final: true });
  });

  await t.test('0.5.3: a run loop answers, and counts in bytes that begin with 1', async (t) => {
    // A loop acts for no session, so a session's stream does not show it; a capsule that subscribes hears it.
    const [handle] = await lane.send(step('astrid_ipc_subscribe', text('agent.v1.response')));
    for (const [count, said] of ['first', 'second'].entries()) {
      await bench.client.request('bus.publish', {
        session: lane.session,
        topic: 'user.v1.prompt',
        payload: { type: 'user_input', text: said, session_id: lane.session },
      });
      const [envelope] = await lane.send(step('astrid_ipc_recv', text(String(handle)), text('10000')));
      const { messages } = JSON.parse(String(envelope)) as { messages: { payload: { text: string } }[] };
      t.same(
        messages.map(({ payload }) => payload.text),
        [`tick ${count + 1}: ${said}`],
      );
    }
  });

  await t.test('0.4: tools by an export of their own, configuration in quotes', async (t) => {
    t.equal(bench.processOf('old-notes').spec.generation, 1);
    t.match(await callTool('old_note_add', { text: 'one' }), { content: '"1 notes"', is_error: false });
    t.match(await callTool('old_note_add', { text: 'two' }), { content: '"2 notes"', is_error: false });
    t.match(await callTool('old_note_where', {}), { content: '"hello"', is_error: false });
  });

  await t.test('0.5.3: an upgrade hook reads the version it comes from as JSON', async (t) => {
    const worker = await startWorker({ wasm: examples.wasm('rust_ticker'), generation: 2 });
    t.teardown(() => worker.end());
    t.match(await worker.invoke('astrid_upgrade', '{"prev_version":"0.9.0"}'), { kind: 'done', returnCode: 0 });
    t.same(worker.logs, ['info: upgraded from 0.9.0']);
    t.match(await worker.invoke('astrid_upgrade', '0.9.0'), { error: /failed to parse upgrade request/ });
  });
});
