import { type Test, test } from 'tap';
import { EXIT, Fault } from '../../abi/errno.js';
import { isInsideWorkspace } from '../../cli/commands/prompt.js';
import { makeFakeIo } from '../kit/fake-io.js';
import { type FakeScript, type FakeSupervisor, makeApproval, startFake } from '../kit/fake-supervisor.js';
import { type CliResult, runCli, startCli } from '../kit/run-cli.js';

/** Runs a headless prompt against a supervisor that does `onPrompt` when the prompt arrives. */
async function prompt(
  t: Test,
  argv: readonly string[],
  onPrompt: (fake: FakeSupervisor) => void,
  options: { readonly stdin?: string; readonly script?: FakeScript } = {},
): Promise<CliResult & { readonly fake: FakeSupervisor }> {
  const { home, fake } = await startFake(t, {
    'bus.publish': () => {
      setImmediate(() => onPrompt(fake));
      return null;
    },
    ...options.script,
  });
  const result = await runCli(argv, home, options.stdin === undefined ? {} : { stdin: options.stdin });
  return { ...result, fake };
}

const textOf = (fake: FakeSupervisor): unknown => {
  const call = fake.calls.find((one) => one.method === 'bus.publish');
  return (call?.params['payload'] as { readonly text?: unknown } | undefined)?.text;
};

test('-p, a turn that ends well, prints the final answer alone and exits 0', async (t) => {
  const { exitCode, out, err, fake } = await prompt(t, ['-p', 'list the files'], (supervisor) => {
    supervisor.publish('agent.v1.stream.delta', { type: 'custom', data: { text: 'thinking ' } });
    supervisor.publish('tool.v1.request.execute', { type: 'tool_execute_request', call_id: 'c', tool_name: 'ls' });
    supervisor.publish('agent.v1.response', { type: 'agent_response', text: 'not yet', is_final: false });
    supervisor.finishTurn('a.txt\x1b[2K\nb.txt');
  });
  t.equal(exitCode, 0);
  t.equal(out, 'a.txt\nb.txt\n');
  t.equal(err, 'astrid: not yet\n', 'what is not the answer goes to standard error');
  t.same(fake.calls[0]?.params['interactive'], false, 'nobody can answer, so approvals are queued');
  const publish = await fake.waitCall('bus.publish');
  t.same(publish.params, {
    session: 's1',
    topic: 'user.v1.prompt',
    payload: { type: 'user_input', text: 'list the files', session_id: 's1' },
  });
});

test('-p, text on standard input, is appended to the prompt', async (t) => {
  const { fake } = await prompt(t, ['-p', 'review'], (one) => one.finishTurn('ok'), { stdin: 'diff\nlines\n' });
  t.equal(textOf(fake), 'review\n\ndiff\nlines');
  const alone = await prompt(t, ['-p', ''], (one) => one.finishTurn('ok'), { stdin: 'only this' });
  t.equal(textOf(alone.fake), 'only this');
});

test('-p, nothing to say at all, is a usage error and starts nothing', async (t) => {
  const { exitCode, err, fake } = await prompt(t, ['-p', ' '], () => {});
  t.equal(exitCode, EXIT.usage);
  t.match(err, /the prompt is empty/);
  t.same(fake.calls, []);
});

test('-p, each outcome of a turn, has its exit code', async (t) => {
  const codes = { ok: 0, failed: 1, denied: 4, queued: 5, over_budget: 6, timed_out: 7, invented: 1 };
  for (const [outcome, code] of Object.entries(codes)) {
    const { exitCode, out } = await prompt(t, ['-p', 'x'], (fake) => fake.finishTurn('text', outcome));
    t.equal(exitCode, code, outcome);
    t.equal(out, 'text\n');
  }
});

test('-p --json, a turn, prints versioned events in order, one per line', async (t) => {
  const { out, exitCode } = await prompt(t, ['-p', 'x', '--json', '--session', 'mine', '--mode', 'safe'], (fake) => {
    fake.publish('agent.v1.stream.delta', { type: 'custom', data: { session_id: 'mine', text: 'a\u202eb' } });
    fake.publish('tool.v1.request.execute', {
      type: 'tool_execute_request',
      call_id: 'c1',
      tool_name: 'read_file',
      arguments: { file_path: 'x' },
    });
    fake.publish('tool.v1.execute.result', {
      type: 'tool_execute_result',
      call_id: 'c1',
      result: { call_id: 'c1', content: 'hi', is_error: false },
    });
    fake.publish('agent.v1.session_changed', { type: 'custom', data: {} }, 3);
    fake.finishTurn('done', 'ok', 'mine');
  });
  t.equal(exitCode, 0);
  t.notMatch(out, /\u202e/, 'escaped as JSON');
  t.same(
    out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [
      { v: 1, type: 'session', session: 'mine', resumed: true },
      { v: 1, type: 'delta', text: 'a\u202eb' },
      { v: 1, type: 'tool_call', callId: 'c1', tool: 'read_file', arguments: { file_path: 'x' } },
      { v: 1, type: 'tool_result', callId: 'c1', content: 'hi', isError: false },
      { v: 1, type: 'lagged', count: 3 },
      { v: 1, type: 'finished', outcome: 'ok' },
      { v: 1, type: 'response', text: 'done', isFinal: true },
    ],
  );
});

test('-p --json, a failure, is an error event on standard output and the exit code', async (t) => {
  const { out, err, exitCode } = await prompt(t, ['-p', 'x', '--json'], () => {}, {
    script: {
      'session.open': () => {
        throw new Fault('conflict', 'session belongs to another workspace');
      },
    },
  });
  t.equal(exitCode, 1);
  t.same(JSON.parse(out), { v: 1, type: 'error', code: 'conflict', message: 'session belongs to another workspace' });
  t.equal(err, '');
});

test('-p --yes, an approval inside the workspace, is allowed once; the session counts as attended', async (t) => {
  const { home, fake } = await startFake(t);
  const io = makeFakeIo();
  const running = startCli(['-p', 'x', '--yes'], home, io);
  await fake.waitCall('bus.publish');
  fake.approval(makeApproval());
  t.same((await fake.waitCall('approvals.answer')).params, { id: 'a1', decision: 'once' });
  fake.approval(makeApproval({ state: 'once' }));
  fake.finishTurn('written');
  t.equal(await running, 0);
  const opened = fake.calls.filter((call) => call.method === 'session.open').map((call) => call.params['interactive']);
  t.same(opened, [false, true], 'a second connection stands for whoever answers');
  t.equal(fake.calls.filter((call) => call.method === 'approvals.answer').length, 1);
});

test('-p --yes, what a capsule asks in its own words about a path of the workspace, or a call that is of no file, is not answered', async (t) => {
  const foreign = [
    makeApproval({ origin: 'capsule', action: 'send the keys to everybody' }),
    makeApproval({ origin: 'capsule' }),
    makeApproval({ action: 'spawn_host', resource: 'cwd://run the following' }),
  ];
  for (const row of foreign) {
    const { home, fake } = await startFake(t);
    const running = startCli(['-p', 'x', '--yes'], home, makeFakeIo());
    await fake.waitCall('bus.publish');
    const left = fake.waitDisconnect().then(() => 'nobody answers');
    const answered = fake.waitCall('approvals.answer').then(() => 'answered');
    fake.approval(row);
    t.equal(await Promise.race([left, answered]), 'nobody answers', `${row.origin} ${row.action}`);
    fake.finishTurn('queued', 'queued');
    t.equal(await running, EXIT.queued);
  }
});

test('-p --yes, an approval outside of the workspace, is not answered; the session is left unattended', async (t) => {
  const { home, fake } = await startFake(t);
  const io = makeFakeIo();
  const running = startCli(['-p', 'x', '--yes'], home, io);
  await fake.waitCall('bus.publish');
  const left = fake.waitDisconnect();
  fake.approval(makeApproval({ resource: 'home://.ssh/id' }));
  await left;
  fake.approval(makeApproval({ resource: 'home://.ssh/id', state: 'queued' }));
  fake.finishTurn('queued', 'queued');
  t.equal(await running, EXIT.queued);
  t.match(
    io.errText.text,
    /queued for approval: fs write_file home:\/\/\.ssh\/id; allow it with: astrid approvals allow a1/,
  );
  t.notOk(fake.calls.some((call) => call.method === 'approvals.answer'));
});

test('--yes, a resource, covers one path inside the workspace and nothing that only begins like one', async (t) => {
  for (const inside of ['cwd://notes.txt', 'cwd://a/b/c', 'cwd://..notes', 'cwd://'])
    t.ok(isInsideWorkspace(inside), inside);
  const outside = ['home://x', 'cwd:/x', 'cwd://../x', 'cwd://a/../../x', 'cwd://a -> home://b', 'xcwd://a', ''];
  for (const resource of outside) t.notOk(isInsideWorkspace(resource), resource);
});

test('-p, an approval while nobody is there, tells how to allow it', async (t) => {
  const { exitCode, err } = await prompt(t, ['-p', 'x'], (fake) => {
    fake.approval(makeApproval({ state: 'queued' }));
    fake.finishTurn('waiting', 'queued');
  });
  t.equal(exitCode, EXIT.queued);
  t.match(err, /queued for approval/);
  t.match(err, /the turn ended: queued; once it is allowed, go on with: --session s1/);
});

test('-p, on a terminal, asks for the approval there and takes the answer', async (t) => {
  const { home, fake } = await startFake(t);
  const io = makeFakeIo({ tty: true });
  const running = startCli(['-p', 'x'], home, io);
  await fake.waitCall('bus.publish');
  fake.approval(makeApproval());
  await io.errText.until('[d]eny');
  io.type('o');
  t.same((await fake.waitCall('approvals.answer')).params, { id: 'a1', decision: 'once' });
  fake.finishTurn('written');
  t.equal(await running, 0);
  t.notOk(io.isRaw(), 'the terminal is given back');
});

test('-p --json, on a terminal, asks nothing: the output belongs to a program', async (t) => {
  const { home, fake } = await startFake(t);
  const io = makeFakeIo({ tty: true });
  const running = startCli(['-p', 'x', '--json'], home, io);
  await fake.waitCall('bus.publish');
  fake.finishTurn('done');
  t.equal(await running, 0);
  t.equal(fake.calls[0]?.params['interactive'], false);
});

test('-p --timeout, no answer in time, cancels the turn and exits 7', async (t) => {
  const { home, fake } = await startFake(t);
  const { exitCode, err } = await runCli(['-p', 'x', '--timeout', '1'], home);
  t.equal(exitCode, EXIT.timedOut);
  t.match(err, /no answer within 1 s/);
  t.match((await fake.waitCall('bus.publish', 2)).params, {
    payload: { text: '', context: { action: 'cancel_turn' } },
  });
});

test('-p, Ctrl-C, cancels the turn and exits 130', async (t) => {
  const { home, fake } = await startFake(t);
  const io = makeFakeIo();
  const running = startCli(['-p', 'x'], home, io);
  await fake.waitCall('bus.publish');
  io.interrupt();
  t.equal(await running, EXIT.interrupted);
  t.match((await fake.waitCall('bus.publish', 2)).params, { payload: { context: { action: 'cancel_turn' } } });
});

test('-p, the supervisor dies in the turn, says so and exits 3', async (t) => {
  const { exitCode, err } = await prompt(t, ['-p', 'x'], (fake) => fake.dropClients());
  t.equal(exitCode, EXIT.notRunning);
  t.match(err, /connection_closed/);
});

test('-p, input larger than a message may be, is refused before anything is sent', async (t) => {
  const { exitCode, err, fake } = await prompt(t, ['-p', 'x'], () => {}, { stdin: 'y'.repeat(5 * 2 ** 20 + 1) });
  t.equal(exitCode, 1);
  t.match(err, /too_large/);
  t.same(fake.calls, []);
});
