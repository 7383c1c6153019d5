import { type Test, test } from 'tap';
import { closeGuestBundler } from '../kit/guest-bundle.js';
import type { Crash, GuestKernelOptions } from '../kit/guest-capsule.js';
import { GuestKernel } from '../kit/guest-kernel.js';
import { GuestRealm, type HostCall } from '../kit/guest-realm.js';
import { calls, type Scripted, scriptProvider, text } from '../kit/scripted-provider.js';

const ALL = ['session', 'router', 'fs', 'provider-offline', 'react'];

async function boot(options: GuestKernelOptions = {}): Promise<GuestKernel> {
  const kernel = await GuestKernel.boot(ALL, options);
  kernel.files.write('cwd://a.txt', 'hello');
  return kernel;
}

async function bootScripted(...answers: readonly Scripted[]): Promise<GuestKernel> {
  const kernel = await boot();
  kernel.install(...(await scriptProvider(answers)));
  return kernel;
}

interface Finished {
  readonly session_id: string;
  readonly outcome: string;
  readonly reason: string;
}

const finished = (kernel: GuestKernel): Finished[] => kernel.views<Finished>('agent.v1.turn.finished');
const finals = (kernel: GuestKernel) =>
  kernel.views<{ is_final: boolean }>('agent.v1.response').filter(({ is_final }) => is_final);
const openTurns = (kernel: GuestKernel): string[] => kernel.capsule('react').values.list('');

/** Each turn ends exactly once, with its outcome before its answer, and leaves nothing behind. */
function checkEnded(t: Test, kernel: GuestKernel, turns = 1): void {
  t.equal(finished(kernel).length, turns, 'ended once');
  t.equal(finals(kernel).length, turns, 'answered once');
  const order = kernel.published
    .map(({ topic }) => topic)
    .filter((topic) => /^agent\.v1\.(turn\.finished|response)$/.test(topic));
  t.equal(order.at(-1), 'agent.v1.response', 'the answer is last');
  t.same(openTurns(kernel), [], 'nothing is left in its store');
}

test('the provider, killed before it answers, asked once more, and the turn goes on', async (t) => {
  const kernel = await boot();
  kernel.crashNext({ capsule: 'provider-offline', topic: 'llm.v1.request.generate.offline' });
  kernel.prompt('s1', 'read a.txt');
  kernel.run();
  t.match(kernel.answer('s1'), /hello/);
  t.equal(kernel.capsule('provider-offline').starts, 2);
  checkEnded(t, kernel);
});

test('the provider, killed in the middle of its answer, the pieces already shown are taken back', async (t) => {
  const kernel = await boot();
  kernel.crashNext({
    capsule: 'provider-offline',
    topic: 'llm.v1.request.generate.offline',
    at: { call: 'astrid_ipc_publish', nth: 4 },
  });
  kernel.prompt('s1', 'help');
  kernel.run();
  const deltas = kernel.views<{ text: string; reset?: boolean }>('agent.v1.stream.delta');
  const reset = deltas.findIndex((delta) => delta.reset === true);
  t.ok(reset > 0, 'a reset is sent');
  t.equal(
    deltas
      .slice(reset)
      .map((delta) => delta.text)
      .join(''),
    kernel.answer('s1'),
  );
  checkEnded(t, kernel);
});

test('the provider, killed each time, asked twice and then said so', async (t) => {
  const kernel = await boot();
  for (let i = 0; i < 2; i++)
    kernel.crashNext({ capsule: 'provider-offline', topic: 'llm.v1.request.generate.offline' });
  kernel.prompt('s1', 'help');
  kernel.run();
  t.match(kernel.answer('s1'), /^The model did not answer: the provider stopped \(killed\)\. I asked it twice\.$/);
  t.match(finished(kernel), [{ outcome: 'failed', reason: 'provider_failed' }]);
  checkEnded(t, kernel);
});

test('the tool capsule, killed with a call in its hands, an error result and an honest answer', async (t) => {
  const kernel = await boot();
  kernel.crashNext({ capsule: 'fs', topic: 'tool.v1.execute.read_file' });
  kernel.prompt('s1', 'read a.txt then list');
  kernel.run();
  t.match(kernel.answer('s1'), /could not read a\.txt: crashed: the tool stopped before it answered \(killed\)/);
  checkEnded(t, kernel);
});

test('the router, killed on the way there and on the way back, two different truths', async (t) => {
  const there = await boot();
  there.crashNext({ capsule: 'router', topic: 'tool.v1.request.execute' });
  there.prompt('s1', 'write "x" to n.txt');
  there.run();
  t.match(there.answer('s1'), /crashed: the tool stopped before it answered/);
  const back = await boot();
  back.crashNext({ capsule: 'router', topic: 'tool.v1.execute.write_file.result' });
  back.prompt('s1', 'write "x" to n.txt');
  back.run();
  t.match(back.answer('s1'), /crashed: the tool ran, but its result was lost/);
  t.ok(back.files.exists('cwd://n.txt'));
  checkEnded(t, back);
});

test('the session capsule, killed while it is asked, asked again; killed while it stores, told again', async (t) => {
  const asked = await boot();
  asked.crashNext({ capsule: 'session', topic: 'session.v1.request.get_messages' });
  asked.prompt('s1', 'read a.txt');
  asked.run();
  t.match(asked.answer('s1'), /hello/);
  const stored = await boot();
  stored.crashNext({ capsule: 'session', topic: 'session.v1.append' });
  stored.prompt('s1', 'read a.txt');
  stored.run();
  t.equal(JSON.parse(stored.capsule('session').values.entries.get('session.data.s1')!.toString()).messages.length, 4);
});

test('no session capsule at all, the turn ends with a reason instead of an answer without memory', async (t) => {
  const kernel = await GuestKernel.boot(['router', 'fs', 'provider-offline', 'react']);
  kernel.prompt('s1', 'list');
  kernel.run();
  t.match(kernel.answer('s1'), /session store did not answer/);
  t.match(finished(kernel), [{ outcome: 'failed', reason: 'session_failed' }]);
  checkEnded(t, kernel);
});

/** How much the kernel tells after a kill: each must be enough. */
const KERNELS = [
  { name: 'lost messages are told', told: true, session: 's1' },
  { name: 'nothing is told', told: false, session: 's1' },
  { name: 'ticks name no session', told: true, session: null },
] as const;

function runKilled(crash: Crash, kernel: GuestKernel, kind: (typeof KERNELS)[number]): void {
  if (!kind.told) kernel.muteFailures();
  kernel.crashNext(crash);
  kernel.prompt('s1', 'read a.txt');
  kernel.run();
  for (const ms of [5000, 5000, 125_000, 335_000, 125_000]) {
    kernel.tick(ms, kind.session);
    kernel.run();
  }
}

for (const kind of KERNELS) {
  test(`the agent, killed at any host call of a turn, ${kind.name}, an answer and never none`, async (t) => {
    let killed = 0;
    let answered = 0;
    for (const topic of ['user.v1.prompt', 'llm.v1.stream.offline', 'tool.v1.execute.result']) {
      for (const call of ['astrid_kv_set', 'astrid_ipc_publish', 'astrid_kv_get', 'astrid_kv_clear_prefix']) {
        for (let nth = 1; nth <= 8; nth++) {
          const kernel = await boot({ tellsSession: kind.session !== null });
          runKilled({ capsule: 'react', topic, at: { call, nth } }, kernel, kind);
          if (kernel.capsule('react').starts === 1) break;
          killed++;
          if (/hello/.test(kernel.answer('s1') ?? '')) answered++;
          const where = `${topic}, ${call} ${nth}`;
          // A prompt that died before it was stored, and of which nobody tells, is gone.
          const gone = !kind.told && topic === 'user.v1.prompt' && call.startsWith('astrid_kv') && nth === 1;
          // Killed while it says the last words, it says them again.
          const count = finals(kernel).length;
          t.ok(count >= (gone ? 0 : 1) && count <= 2, `${where}: ${count} final answers`);
          t.same(openTurns(kernel), [], `${where}: nothing is left open`);
          const astray = kernel.published.filter(
            ({ session, topic }) => session === null && /^(llm|tool)\./.test(topic),
          );
          t.same(astray, [], `${where}: nothing is started outside of the session`);
          t.ok(
            kernel.views('tool.v1.execute.read_file').length <= 2,
            `${where}: the tool does not run again and again`,
          );
        }
      }
    }
    t.comment(`${killed} kills, ${answered} turns answered all the same`);
    t.ok(killed > 20, 'the kills hit');
    t.ok(!kind.told || kind.session === null || answered > killed / 2, 'most turns are answered');
  });
}

test('the agent, killed on the last event of a stream, asks again at once and not at the next tick', async (t) => {
  const kernel = await boot();
  kernel.crashNext({ capsule: 'react', topic: 'llm.v1.stream.offline', at: { call: 'astrid_kv_get', nth: 1 } });
  kernel.prompt('s1', 'help');
  kernel.run();
  t.match(kernel.answer('s1'), /built-in offline provider/);
  t.equal(kernel.capsule('react').starts, 2);
  checkEnded(t, kernel);
});

test('the agent, killed while it forgets a finished turn, says its last words again and asks nothing', async (t) => {
  const kernel = await boot();
  kernel.crashNext({
    capsule: 'react',
    topic: 'llm.v1.stream.offline',
    at: { call: 'astrid_kv_clear_prefix', nth: 1 },
  });
  kernel.prompt('s1', 'help');
  kernel.run();
  t.equal(finals(kernel).length, 2);
  t.equal(kernel.views('llm.v1.request.generate.offline').length, 1);
  t.same(openTurns(kernel), []);
});

test('a restart that is announced after the turn went on, it does not stop the turn again', async (t) => {
  const kernel = await bootScripted(
    [{ TextDelta: 'a' }, { TextDelta: 'b' }, { TextDelta: 'c' }],
    [{ TextDelta: 'again' }],
  );
  kernel.crashNext({ capsule: 'react', topic: 'llm.v1.stream.scripted', at: { call: 'astrid_ipc_publish', nth: 1 } });
  kernel.prompt('s1', 'go');
  kernel.run();
  t.equal(kernel.capsule('react').starts, 2);
  for (let tick = 0; tick < 5; tick++) {
    kernel.tick(5000, 's1');
    kernel.run();
  }
  t.equal(finals(kernel).length, 0, 'the second answer is still listened to');
  t.equal(kernel.views('llm.v1.request.generate.scripted').length, 2);
});

test('the agent, killed between two messages, the turn goes on as if nothing had happened', async (t) => {
  const kernel = await boot();
  kernel.prompt('s1', 'read a.txt');
  // Messages keep waiting while the agent is gone; here it goes before any of them is handled.
  kernel.restart('react');
  kernel.run();
  t.match(kernel.answer('s1'), /hello/);
  checkEnded(t, kernel);
});

/** Leaves a turn open that waits for a tool which never answers. */
async function bootStuck(): Promise<GuestKernel> {
  const kernel = await bootScripted(calls({ id: 'x', name: 'read_file', args: '{"file_path":"a.txt"}' }), text('done'));
  kernel.crashNext({ capsule: 'fs', topic: 'tool.v1.execute.read_file', reason: 'silent' });
  return kernel;
}

test('the agent, restarted while a tool works, waits for the tool and takes its result', async (t) => {
  const kernel = await bootScripted(calls({ id: 'x', name: 'slow', args: '{}' }), text('done'));
  kernel.prompt('s1', 'go');
  kernel.run();
  t.match(kernel.answer('s1'), /done/, 'an unknown tool is answered at once');
  checkEnded(t, kernel);
  const stuck = await boot({ gate: () => null });
  stuck.prompt('s1', 'read a.txt');
  stuck.runUntil('tool.v1.execute.read_file');
  stuck.restart('react');
  stuck.run();
  t.match(stuck.answer('s1'), /hello/);
  t.equal(stuck.views('tool.v1.execute.read_file').length, 1, 'the tool ran once');
  checkEnded(t, stuck);
});

test('a tool that never answers, its time is up after 330 s and not before, and the model is told', async (t) => {
  const kernel = await bootStuck();
  kernel.muteFailures();
  kernel.prompt('s1', 'go');
  kernel.run();
  t.equal(finals(kernel).length, 0);
  kernel.tick(329_000, 's1');
  kernel.run();
  t.equal(finals(kernel).length, 0, 'a person may still be thinking about an approval');
  kernel.tick(2000, 's1');
  kernel.run();
  t.equal(kernel.answer('s1'), 'done');
  const last = kernel
    .views<{ messages: { content: { content?: string } }[] }>('llm.v1.request.generate.scripted')
    .at(-1)!;
  t.match(last.messages.at(-1)!.content.content, /^timed_out: read_file gave no result within 330 s/);
  checkEnded(t, kernel);
});

test('a tick without a session, it ends a turn but starts nothing', async (t) => {
  const kernel = await bootStuck();
  kernel.muteFailures();
  kernel.prompt('s1', 'go');
  kernel.run();
  const before = kernel.published.length;
  kernel.tick(400_000, null);
  kernel.run();
  const after = kernel.published.slice(before).map(({ topic }) => topic);
  t.same(
    after.filter((topic) => /^(llm|tool)\./.test(topic)),
    [],
  );
  t.match(finished(kernel), [{ outcome: 'timed_out', reason: 'tool_timed_out' }]);
  checkEnded(t, kernel);
});

test('a tick of one session, the turns of others are left alone', async (t) => {
  const kernel = await bootStuck();
  kernel.muteFailures();
  kernel.prompt('s1', 'go');
  kernel.run();
  kernel.tick(400_000, 's2');
  kernel.run();
  t.equal(finals(kernel).length, 0);
  kernel.tick(0, 's1');
  kernel.run();
  checkEnded(t, kernel);
});

test('a model that falls silent, the turn ends as timed out', async (t) => {
  const kernel = await bootScripted([{ TextDelta: 'I think' }]);
  kernel.prompt('s1', 'go');
  kernel.run();
  kernel.tick(119_000, 's1');
  kernel.run();
  t.equal(finals(kernel).length, 0);
  kernel.tick(2000, 's1');
  kernel.run();
  t.match(kernel.answer('s1'), /said nothing for 120 s/);
  t.match(finished(kernel), [{ outcome: 'timed_out', reason: 'model_timed_out' }]);
  checkEnded(t, kernel);
});

test('cancel, in the middle of a tool call, the turn ends, the tool is told, and what comes late is dropped', async (t) => {
  const kernel = await boot();
  kernel.prompt('s1', 'read a.txt');
  kernel.runUntil('tool.v1.execute.read_file');
  kernel.prompt('s1', '', { action: 'cancel_turn' });
  kernel.run();
  t.equal(kernel.answer('s1'), 'Cancelled.');
  t.equal(kernel.views<{ call_ids: string[] }>('tool.v1.request.cancel')[0]!.call_ids.length, 1);
  t.equal(kernel.views('tool.v1.execute.result').length, 1, 'a result did come');
  t.match(finished(kernel), [{ outcome: 'cancelled', reason: 'cancelled' }]);
  checkEnded(t, kernel);
  kernel.prompt('s1', 'read a.txt');
  kernel.run();
  t.match(kernel.answer('s1'), /hello/, 'the session is free again');
  checkEnded(t, kernel, 2);
});

test('cancel without a turn, nothing is said', async (t) => {
  const kernel = await boot();
  kernel.prompt('s1', '', { action: 'cancel_turn' });
  kernel.run();
  t.same(kernel.views('agent.v1.response'), []);
});

test('a second prompt in a session that is busy, refused without ending the first', async (t) => {
  const kernel = await boot();
  kernel.prompt('s1', 'read a.txt');
  kernel.prompt('s1', 'list', { prompt_id: 'mine' });
  kernel.run();
  const rejected = { session_id: 's1', reason: 'already_running', context: { prompt_id: 'mine' } };
  t.match(kernel.views('agent.v1.turn.rejected'), [rejected]);
  t.match(kernel.views<{ text: string; is_final: boolean }>('agent.v1.response')[0], {
    text: /already running/,
    is_final: false,
  });
  t.match(kernel.answer('s1'), /hello/);
  checkEnded(t, kernel);
});

test('a prompt that is no prompt, one clear answer or one clear error', async (t) => {
  const kernel = await boot();
  kernel.prompt('s1', '   ');
  kernel.run();
  t.equal(kernel.answer('s1'), 'The prompt is empty.');
  kernel.prompt('s1', 'x'.repeat(300_000));
  kernel.run();
  t.match(kernel.answer('s1'), /300000 characters; at most 250000/);
  const published = kernel.published.length;
  for (const session of ['', 'a.b', 'a b', '../x', 'x'.repeat(65), '*']) {
    kernel.prompt(session, 'list');
    kernel.run();
    t.match(
      kernel.views<{ text: string }>('agent.v1.response').at(-1)!.text,
      /^session_id: expected/,
      `session "${session}"`,
    );
  }
  const topics = kernel.published.slice(published).map(({ topic }) => topic);
  t.notOk(
    topics.some((topic) => /^(llm|session|tool)\./.test(topic)),
    'a bad session id reaches no topic',
  );
});

test('a model that calls tools for ever, stopped after 25 steps', async (t) => {
  const kernel = await bootScripted(calls({ id: 'x', name: 'list_directory', args: '{}' }));
  kernel.prompt('s1', 'go');
  kernel.run();
  t.match(kernel.answer('s1'), /stopped after 25 steps/);
  t.match(finished(kernel), [{ outcome: 'failed', reason: 'max_iterations', iterations: 25 }]);
  checkEnded(t, kernel);
});

test('hostile and broken tool calls, an error result each, and none of them reaches a topic', async (t) => {
  const names = ['result', 'a.b', '*', '../read_file', '', 'read_file ', 'constructor', '__proto__', 'read_file\n'];
  const list = names.map((name, index) => ({ id: `c${index}`, name, args: '{}' }));
  const broken = { id: 'json', name: 'read_file', args: '{"file_path":' };
  const wrong = { id: 'args', name: 'read_file', args: '{"file_path":"a.txt","limit":1}' };
  const kernel = await bootScripted(calls(...list, broken, wrong), text('done'));
  kernel.prompt('s1', 'go');
  kernel.run();
  t.equal(kernel.answer('s1'), 'done');
  t.equal(kernel.views('tool.v1.request.execute').length, 1, 'only the call of a tool that exists leaves the agent');
  const last = kernel
    .views<{ messages: { content: { call_id?: string; content?: string; is_error?: boolean } }[] }>(
      'llm.v1.request.generate.scripted',
    )
    .at(-1)!;
  const results = last.messages.slice(2).map(({ content }) => content);
  t.same(
    results.map(({ call_id }) => call_id),
    [...list, broken, wrong].map(({ id }) => id),
    'in the order of the calls',
  );
  t.ok(results.every(({ is_error }) => is_error === true));
  t.match(results.at(-2)!.content, /^invalid_argument: the arguments are not valid JSON/);
  t.match(results.at(-1)!.content, /^invalid_argument: limit: unknown/);
  checkEnded(t, kernel);
});

test('a provider that misbehaves, the turn ends with the reason', async (t) => {
  const cases: [Scripted, RegExp][] = [
    [[{ Error: 'quota used up' }], /quota used up/],
    [[{ ToolCallDelta: { id: 'no', args_delta: '{}' } }], /had not begun/],
    [[{ TextDelta: 'x'.repeat(301_000) }], /longer than 300000/],
    [
      calls(...Array.from({ length: 33 }, (_, i) => ({ id: `c${i}`, name: 'read_file', args: '' }))),
      /more than 32 tool calls/,
    ],
    [['Done'], /gave no answer/],
    [[{ Unknown: 1 }, 7, { TextDelta: 'fine' }, 'Done'], /^fine$/],
  ];
  for (const [script, expected] of cases) {
    const kernel = await bootScripted(script);
    kernel.prompt('s1', 'go');
    kernel.run();
    t.match(kernel.answer('s1'), expected);
    checkEnded(t, kernel);
  }
});

test('configuration, the provider topic is used when it is one and refused when it is not', async (t) => {
  const topic = async (llm_provider_topic: string): Promise<GuestKernel> => {
    const kernel = await boot({ config: { react: { llm_provider_topic, model: 'm' } } });
    kernel.install(...(await scriptProvider([text('scripted')])));
    kernel.prompt('s1', 'who are you?');
    kernel.run();
    return kernel;
  };
  t.equal((await topic('')).answer('s1'), 'scripted', 'an installed provider goes before the built-in one');
  const chosen = await topic('llm.v1.request.generate.offline');
  t.match(chosen.answer('s1'), /offline provider/);
  t.equal(chosen.views<{ model: string }>('llm.v1.request.generate.offline')[0]!.model, 'm');
  for (const bad of [
    'tool.v1.request.execute',
    'llm.v1.request.generate.',
    'llm.v1.request.generate.a.b',
    'llm.v1.request.generate.*',
  ]) {
    t.match((await topic(bad)).answer('s1'), /No model can be asked: llm_provider_topic/, bad);
  }
});

test('a capsule that is being restarted, its tools are still offered', async (t) => {
  const kernel = await boot();
  kernel.prompt('s1', 'list');
  kernel.run();
  kernel.setAway('fs', true);
  kernel.prompt('s1', 'read a.txt');
  kernel.runUntil('tool.v1.execute.read_file');
  kernel.setAway('fs', false);
  kernel.run();
  t.match(kernel.answer('s1'), /hello/);
});

test('end', async () => closeGuestBundler());

test('the agent, idle, asks its store at the first tick and at no later one', async (t) => {
  const listed: string[] = [];
  const kernel = await boot({
    makeRealm: (script, host, options) => {
      const watched: HostCall = (name, args) => {
        if (name === 'astrid_kv_list_keys') listed.push(name);
        return host(name, args);
      };
      return new GuestRealm(script, watched, options);
    },
  });
  for (let ticks = 0; ticks < 3; ticks++) {
    kernel.tick(5_000, 's1');
    kernel.run();
  }
  t.equal(listed.length, 1);
  kernel.prompt('s1', 'list the files here');
  kernel.run();
  const busy = listed.length;
  kernel.tick(5_000, 's1');
  kernel.run();
  t.equal(listed.length, busy + 1, 'after a turn it looks again');
});
