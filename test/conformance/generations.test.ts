import { test } from 'tap';
import type { CapsuleFacts } from '../../abi/capsule-control.js';
import { assemble, guestText } from '../kit/guest-wat.js';
import type { InstalledGuest } from '../kit/real-supervisor.js';
import { hear } from './bus-watch.js';
import { json, step, text } from './case.js';
import { openBench } from './kernel-bench.js';

const LOG = { astrid_log: { params: 2, result: false } };
const ECHO = `(call $answer (call $input)) (i32.const 0)`;
/** The input as a block of its own. */
const INPUT = `(func $input (result i64) (local $i i64) (local $to i64)
  (local.set $to (call $alloc (call $input_length)))
  (block $end (loop $next
    (br_if $end (i64.ge_u (local.get $i) (call $input_length)))
    (call $store_u8 (i64.add (local.get $to) (local.get $i)) (call $input_load_u8 (local.get $i)))
    (local.set $i (i64.add (local.get $i) (i64.const 1)))
    (br $next)))
  (local.get $to))`;

const header = (name: string) =>
  `[package]\nname = "${name}"\nversion = "1.0.0"\ndescription = "from another time"\n\n[[component]]\nfile = "${name}.wasm"\n`;

async function guest(name: string, manifest: string, exports: Record<string, string>): Promise<InstalledGuest> {
  const data = {
    16: 'not today',
    64: '\\00{\\22n\\22:0}',
    80: '\\01{\\22n\\22:1}',
    96: '\\02denied',
    112: 'null',
    128: '{\\22n\\22:4}',
    144: 'no json',
  };
  const wasm = await assemble(guestText({ calls: LOG, data, exports, more: INPUT }));
  return { manifest: `${header(name)}${manifest}`, wasm };
}

/** What SDKs up to 0.4 emit: tools by an export of their own, no interceptors for them. */
const oldTools = () =>
  guest(
    'old-tools',
    `[[tool]]\nname = "old_echo"\ndescription = "Says what it was given"\ninput_schema = { type = "object", properties = { text = { type = "string" } } }\n\n[[tool]]\nname = "old_fails"\n`,
    {
      astrid_hook_trigger: '(i32.const 0)',
      // The name starts at byte 9 of the request: old_echo or old_fails.
      astrid_tool_call: `(if (i32.eq (call $input_load_u8 (i64.const 13)) (i32.const 0x66))
        (then (call $error_set (call $block (i32.const 16) (i32.const 9))) (return (i32.const -1)))) ${ECHO}`,
    },
  );

const commands = (name: string, command: string) =>
  guest(name, `[[command]]\nname = "${command}"\n`, { astrid_hook_trigger: '(i32.const 0)', astrid_command_run: ECHO });

/** One answer for each action, whose name is its only letter. */
const answers = () => {
  const one = (letter: string, at: number, bytes: number) =>
    `(if (i32.eq (local.get $i) (i32.const ${letter.charCodeAt(0)})) (then (call $answer (call $block (i32.const ${at}) (i32.const ${bytes})))))`;
  const body = [
    '(local.set $i (call $input_load_u8 (i64.const 9)))',
    one('A', 64, 8),
    one('B', 80, 8),
    one('C', 96, 7),
    one('D', 112, 4),
    one('E', 128, 7),
    one('F', 144, 7),
    // Behind the one that denies: it is not asked.
    one('H', 64, 8),
    '(i32.const 0)',
  ].join('\n');
  const rows = [...'ABDEFGCH'].map((action) => `[[interceptor]]\nevent = "conform.v1.ask"\naction = "${action}"\n`);
  return guest('answers', rows.join('\n'), { astrid_hook_trigger: body });
};

test('old capsules serve their tools, commands and hooks to an agent of today', async (t) => {
  const guests = {
    'old-tools': await oldTools(),
    greeter: await commands('greeter', 'greet'),
    parter: await commands('parter', 'part'),
    answers: await answers(),
  };
  const bench = await openBench(['process'], { guests, lanes: [3] });
  t.teardown(() => bench.end());
  t.same(bench.kernel.problems, []);
  const [lane] = bench.lanes;
  if (lane === undefined) throw new Error('no lane');
  const call = (tool: string, args: unknown) =>
    hear(bench.client, lane.session, [`tool.v1.execute.${tool}.result`], 1, () =>
      lane.send(
        step(
          'astrid_ipc_publish',
          text(`tool.v1.execute.${tool}`),
          json({ type: 'tool_execute_request', call_id: 'c1', tool_name: tool, arguments: args }),
        ),
      ),
    );

  await t.test('a tool of the manifest is called by its export, with its arguments as bytes', async (t) => {
    const [answer] = await call('old_echo', { text: 'hi' });
    const { content, is_error } = (answer!.payload as { result: { content: string; is_error: boolean } }).result;
    t.same(JSON.parse(content), { name: 'old_echo', arguments: [...Buffer.from('{"text":"hi"}')] });
    t.equal(is_error, false);
    t.match(answer?.payload, { type: 'tool_execute_result', call_id: 'c1', result: { call_id: 'c1' } });
  });

  await t.test('a tool that fails is an error result and not a silence', async (t) => {
    const [answer] = await call('old_fails', {});
    t.match(answer?.payload, { result: { is_error: true, content: 'not today' } });
  });

  await t.test('it is found by those who ask for tools', async (t) => {
    const [found] = await lane.send(
      step('astrid_trigger_hook', json({ hook: 'tool.v1.request.describe', payload: {} })),
    );
    t.match(JSON.parse(String(found)), [
      {
        description: 'from another time',
        tools: [
          {
            name: 'old_echo',
            description: 'Says what it was given',
            input_schema: { properties: { text: { type: 'string' } } },
          },
          { name: 'old_fails', description: '', input_schema: { type: 'object' } },
        ],
      },
    ]);
  });

  await t.test('a slash command goes to the capsule that declares it, and only there', async (t) => {
    const heard = await hear(bench.client, lane.session, ['agent.v1.response'], 1, () =>
      bench.client.request('bus.publish', {
        session: lane.session,
        topic: 'cli.v1.command.execute',
        payload: { type: 'user_input', text: '/greet you there', session_id: lane.session },
      }),
    );
    const { text: said, session_id } = heard[0]!.payload as { text: string; session_id: string };
    t.equal(session_id, lane.session);
    const request = JSON.parse(said) as { name: string; arguments: number[] };
    t.equal(request.name, 'greet');
    t.same(JSON.parse(Buffer.from(request.arguments).toString('utf8')), {
      command: 'greet',
      args: 'you there',
      session_id: lane.session,
    });
  });

  await t.test('every form of an interceptor result is read as it is meant', async (t) => {
    const [outputs] = await lane.send(step('astrid_trigger_hook', json({ hook: 'conform.v1.ask', payload: {} })));
    const numbers = (JSON.parse(String(outputs)) as { n: number }[]).map(({ n }) => n).sort();
    t.same(
      numbers,
      [0, 1, 4],
      'continue and final count, with or without a code; null, nothing and no JSON do not, and a deny ends it',
    );
  });

  await t.test('which generation was chosen, and why, is known of each', async (t) => {
    const verdicts = [
      ['old-tools', 1, 'the module exports astrid_tool_call, as SDKs up to 0.4 do'],
      ['greeter', 2, 'void calls without a result, no export of SDKs up to 0.4; state abi = 1 for SDK 0.5.0 to 0.5.2'],
      ['full-process-3', 3, 'the module imports void calls with an i64 result'],
    ] as const;
    for (const [name, generation, why] of verdicts) {
      t.equal(bench.processOf(name).spec.generation, generation, name);
      const facts = (await bench.client.request('capsule.inspect', { name })) as CapsuleFacts;
      t.same(facts.generation, { generation, why }, name);
    }
  });
});
