import { type Test, test } from 'tap';
import { EXIT, Fault } from '../../abi/errno.js';
import { type FakeIo, type FakeIoOptions, makeFakeIo } from '../kit/fake-io.js';
import {
  FAKE_SESSION,
  type FakeScript,
  FakeSupervisor,
  makeApproval,
  makeHome,
  startFake,
} from '../kit/fake-supervisor.js';
import { runCli, startCli } from '../kit/run-cli.js';

const PROMPT = '> ';

interface Chat {
  readonly io: FakeIo;
  readonly fake: FakeSupervisor;
  readonly home: string;
  readonly running: Promise<number>;
}

/** A chat on a terminal, at its first prompt. */
async function openChat(
  t: Test,
  argv: readonly string[] = [],
  script: FakeScript = {},
  options: FakeIoOptions = {},
): Promise<Chat> {
  const { home, fake } = await startFake(t, script);
  const io = makeFakeIo({ tty: true, ...options });
  const running = startCli(['chat', ...argv], home, io);
  await io.outText.until(PROMPT);
  return { io, fake, home, running };
}

async function leave(t: Test, { io, running }: Chat): Promise<void> {
  io.type('\x04');
  t.equal(await running, EXIT.ok);
  t.notOk(io.isRaw(), 'the terminal is given back');
}

const publishedText = (params: Readonly<Record<string, unknown>>) =>
  (params['payload'] as { readonly text?: string }).text;

test('chat, a prompt, streams the answer once, shows tool calls in between and prompts again', async (t) => {
  const chat = await openChat(t);
  const { io, fake } = chat;
  io.type('list the files\r');
  const { params } = await fake.waitCall('bus.publish');
  t.equal(publishedText(params), 'list the files');
  fake.publish('agent.v1.stream.delta', { type: 'custom', data: { session_id: 's1', text: 'I look.' } });
  fake.publish('tool.v1.request.execute', {
    type: 'x',
    call_id: 'c',
    tool_name: 'list_directory',
    arguments: { a: 1 },
  });
  fake.publish('tool.v1.execute.result', { type: 'x', call_id: 'c', result: { content: 'a\nb', is_error: false } });
  fake.publish('agent.v1.stream.delta', { type: 'custom', data: { session_id: 's1', text: 'Two ' } });
  fake.publish('agent.v1.stream.delta', { type: 'custom', data: { session_id: 's1', text: 'files.' } });
  fake.finishTurn('Two files.');
  const shown = await io.outText.until('files.\n');
  t.match(shown, /I look\.\n {2}→ list_directory \{"a":1\}\n {2}← a \(\+1 lines\)\nTwo files\.\n$/);
  t.equal(shown.match(/Two files/g)?.length, 1);
  await io.outText.until(PROMPT);
  await leave(t, chat);
});

test('chat, an answer with escape sequences, reaches the terminal without them', async (t) => {
  const chat = await openChat(t);
  chat.io.type('x\r');
  await chat.fake.waitCall('bus.publish');
  chat.fake.finishTurn('a\x1b[2Kb\u202ec\x9b31md');
  t.match(await chat.io.outText.until(`abcd\n`), /abcd\n$/);
  await leave(t, chat);
});

test('chat, the options --session and --mode, resume that session in that mode', async (t) => {
  const chat = await openChat(t, ['--session', 'mine', '--mode', 'safe']);
  t.match(chat.fake.calls[0]?.params, { id: 'mine', mode: 'safe', interactive: true, workspace: process.cwd() });
  await leave(t, chat);
});

test('chat, an approval, is shown, answered with one key and then settled', async (t) => {
  const chat = await openChat(t);
  const { io, fake } = chat;
  for (const [key, decision] of [
    ['o', 'once'],
    ['s', 'session'],
    ['d', 'deny'],
    ['\r', 'deny'],
    ['\x1b', 'deny'],
    ['o\r', 'once'],
    ['S\r\n', 'session'],
    ['d\n', 'deny'],
  ] as const) {
    const count = fake.calls.filter((call) => call.method === 'approvals.answer').length + 1;
    fake.approval(makeApproval({ id: `a${count}` }));
    const card = await io.outText.until('[d]eny');
    t.match(card, /what {2}write_file cwd:\/\/notes\.txt\n/);
    io.type(key);
    t.same((await fake.waitCall('approvals.answer', count)).params, { id: `a${count}`, decision });
  }
  await leave(t, chat);
});

test('chat, an answer typed before the question was shown, does not count', async (t) => {
  const chat = await openChat(t);
  const { io, fake } = chat;
  io.type('write it\r');
  await fake.waitCall('bus.publish');
  io.type('oooo');
  fake.approval(makeApproval());
  // Typed while the card is drawn, and before the choices are.
  await io.outText.until('approval a1');
  io.type('o');
  await io.outText.until('[d]eny');
  t.notOk(fake.calls.some((call) => call.method === 'approvals.answer'));
  io.type('d');
  t.same((await fake.waitCall('approvals.answer')).params, { id: 'a1', decision: 'deny' });
  fake.finishTurn('no', 'denied');
  await io.outText.until('turn ended: denied');
  await leave(t, chat);
});

test('chat, a line while a question is up that is more than one key, is told that one key is wanted, once', async (t) => {
  const chat = await openChat(t);
  const { io, fake } = chat;
  fake.approval(makeApproval());
  await io.outText.until('[d]eny');
  for (const line of ['list the files here\r', '/quit\r']) io.type(line);
  await io.outText.until('one key is wanted: [o]nce');
  io.type('o\r');
  await fake.waitCall('approvals.answer');
  const shown = await io.outText.until('allowed once');
  t.notMatch(shown, /one key/);
  await leave(t, chat);
});

test('chat, a turn that was denied, its answer is on the screen once', async (t) => {
  const chat = await openChat(t);
  const { io, fake } = chat;
  io.type('write it\r');
  await fake.waitCall('bus.publish');
  fake.publish('agent.v1.stream.delta', { type: 'custom', data: { session_id: 's1', text: 'It was denied.' } });
  fake.finishTurn('It was denied.', 'denied');
  t.equal((await io.outText.until(PROMPT)).match(/It was denied/g)?.length, 1);
  await leave(t, chat);
});

test('chat, a paste or another key while a question is up, is no answer', async (t) => {
  const chat = await openChat(t);
  const { io, fake } = chat;
  fake.approval(makeApproval());
  await io.outText.until('[d]eny');
  for (const keys of ['ooo', 'os', 'yes\r', 'x', '\x1b[A']) io.type(keys);
  fake.approval(makeApproval({ id: 'a1', state: 'expired' }));
  await io.outText.until('settled elsewhere');
  t.notOk(fake.calls.some((call) => call.method === 'approvals.answer'));
  await leave(t, chat);
});

test('chat, an approval whose arguments change while it is shown, is asked anew', async (t) => {
  const chat = await openChat(t);
  const { io, fake } = chat;
  fake.approval(makeApproval());
  await io.outText.until('[d]eny');
  fake.approval(makeApproval({ argsHash: 'cd'.repeat(32), detail: ['+ something else'] }));
  t.match(await io.outText.until('[d]eny'), /settled elsewhere or changed.*something else/s);
  io.type('o');
  await fake.waitCall('approvals.answer');
  await leave(t, chat);
});

test('chat, a long question, is cut to the screen and shown whole on request', async (t) => {
  const chat = await openChat(t, [], {}, { rows: 24 });
  const { io, fake } = chat;
  fake.approval(makeApproval({ detail: Array.from({ length: 100 }, (_, i) => `line ${i}`) }));
  t.match(await io.outText.until('[v]iew'), /more lines/);
  io.type('v');
  t.match(await io.outText.until('[v]iew'), /\| line 99\n/);
  io.type('d');
  await fake.waitCall('approvals.answer');
  await leave(t, chat);
});

test('chat, output that floods in under a question, waits until it is answered', async (t) => {
  const chat = await openChat(t);
  const { io, fake } = chat;
  io.type('x\r');
  await fake.waitCall('bus.publish');
  fake.approval(makeApproval());
  await io.outText.until('[d]eny');
  fake.publish('agent.v1.stream.delta', { type: 'custom', data: { text: 'FLOOD' } });
  // What comes after the flood on the same connection shows that the flood has been read.
  fake.approval(makeApproval({ argsHash: 'cd'.repeat(32) }));
  t.notMatch(await io.outText.until('settled elsewhere'), /FLOOD/);
  t.notMatch(await io.outText.until('[d]eny'), /FLOOD/);
  io.type('d');
  t.notMatch(await io.outText.until('denied'), /FLOOD/);
  fake.finishTurn('FLOOD', 'denied');
  await io.outText.until('FLOOD');
  await leave(t, chat);
});

test('chat, Ctrl-C in a turn, cancels it and comes back to the prompt; twice leaves', async (t) => {
  const chat = await openChat(t);
  const { io, fake } = chat;
  io.type('x\r');
  await fake.waitCall('bus.publish');
  io.type('\x03');
  t.match((await fake.waitCall('bus.publish', 2)).params, {
    payload: { text: '', context: { action: 'cancel_turn' } },
  });
  fake.finishTurn('stopped', 'failed');
  await io.outText.until('stopped');
  await io.outText.until(PROMPT);
  io.type('\x03');
  await io.outText.until('Ctrl-C again leaves');
  io.type('\x03');
  t.equal(await chat.running, EXIT.interrupted);
});

test('chat, lines pasted together, are one prompt', async (t) => {
  const chat = await openChat(t);
  chat.io.type('one\rtwo\rthree\r');
  t.equal(publishedText((await chat.fake.waitCall('bus.publish')).params), 'one\ntwo\nthree');
  chat.fake.finishTurn('ok');
  await chat.io.outText.until(PROMPT);
  await leave(t, chat);
});

test('chat, slash commands, act on this session and never reach the agent', async (t) => {
  const chat = await openChat(t, [], {
    'overlay.diff': () => [],
    'overlay.commit': () => ({ committed: ['a'], conflicts: [] }),
    'overlay.rollback': () => ({ rolledBack: [] }),
  });
  const { io, fake } = chat;
  const steps: readonly (readonly [string, string])[] = [
    ['/help', '/rollback [paths]'],
    ['/diff', 'no change'],
    ['/commit a b', 'committed a'],
    ['/rollback', 'nothing to roll back'],
    ['/ps', 'no capsule is loaded'],
    ['/mode', 'autonomous'],
    ['/mode yolo', 'mode is now yolo'],
    ['/mode wild', 'mode must be one of'],
    ['/session', 'astrid chat --session s1'],
    ['/nonsense', 'no command /nonsense'],
  ];
  for (const [line, expected] of steps) {
    io.type(`${line}\r`);
    await io.outText.until(expected);
    await io.outText.until(PROMPT);
  }
  t.same((await fake.waitCall('overlay.commit')).params, { session: 's1', paths: ['a', 'b'] });
  t.match((await fake.waitCall('session.open', 2)).params, { id: 's1', mode: 'yolo' });
  t.notOk(fake.calls.some((call) => call.method === 'bus.publish'));
  io.type('/quit\r');
  t.equal(await chat.running, EXIT.ok);
});

test('chat, a slash command of a capsule, goes to its topic and its answer is shown', async (t) => {
  const chat = await openChat(t, [], {
    'commands.list': () => [
      { name: 'note', description: 'Keeps\x1b[31m a note', capsule: 'notes' },
      { name: 'diff', description: 'never reached', capsule: 'notes' },
    ],
    'overlay.diff': () => [],
  });
  const { io, fake } = chat;
  io.type('/help\r');
  const help = await io.outText.until('Ctrl-D leaves');
  t.match(help, /\/note\s+Keeps.* a note \(notes\)/);
  t.notMatch(
    help,
    /\x1b\[31m|never reached/,
    "control characters are gone, and a capsule can't take a name of the chat",
  );
  await io.outText.until(PROMPT);
  io.type('/note milk and "eggs"\r');
  const { params } = await fake.waitCall('bus.publish');
  t.match(params, { topic: 'cli.v1.command.execute', session: 's1' });
  t.equal(publishedText(params), '/note milk and "eggs"');
  fake.publish('agent.v1.response', { type: 'agent_response', text: 'kept', is_final: true, session_id: 's1' });
  await io.outText.until('kept\n');
  await io.outText.until(PROMPT);
  io.type('/diff\r');
  await io.outText.until('no change');
  await io.outText.until(PROMPT);
  io.type('/Note x\r');
  await io.outText.until('no command /Note');
  await io.outText.until(PROMPT);
  await leave(t, chat);
});

test('chat, a path that begins with a slash, is a prompt and no command', async (t) => {
  const chat = await openChat(t);
  chat.io.type('/etc/passwd has what?\r');
  t.equal(publishedText((await chat.fake.waitCall('bus.publish')).params), '/etc/passwd has what?');
  chat.fake.finishTurn('no');
  await chat.io.outText.until(PROMPT);
  await leave(t, chat);
});

test('chat, the connection breaks, says so and goes on with the same session', async (t) => {
  const chat = await openChat(t);
  const { io, fake } = chat;
  io.type('x\r');
  await fake.waitCall('bus.publish');
  fake.dropClients();
  await io.outText.until('lost the supervisor');
  await io.outText.until('connected again; session s1 goes on');
  t.match((await fake.waitCall('session.open', 2)).params, { id: 's1', interactive: true });
  io.type('again\r');
  t.equal(publishedText((await fake.waitCall('bus.publish', 2)).params), 'again');
  fake.finishTurn('here');
  await io.outText.until('here');
  await leave(t, chat);
});

test('chat, the supervisor is stopped on purpose, is not started again until the next prompt', async (t) => {
  const home = await makeHome(t);
  const first = await FakeSupervisor.start(home);
  const io = makeFakeIo({ tty: true });
  const running = startCli(['chat'], home, io);
  await io.outText.until(PROMPT);
  await first.stop();
  await io.outText.until('was stopped; the next message starts it again');
  const second = await FakeSupervisor.start(home);
  t.teardown(() => second.stop());
  io.type('hello\r');
  t.match((await second.waitCall('session.open')).params, { id: 's1' });
  await second.waitCall('bus.publish');
  second.finishTurn('hi');
  await io.outText.until('hi\n');
  io.type('\x04');
  t.equal(await running, EXIT.ok);
});

test('chat, input without a terminal, takes a prompt per line and asks nothing', async (t) => {
  const { home, fake } = await startFake(t, {
    'bus.publish': (params) => {
      const text = publishedText(params);
      setImmediate(() => fake.finishTurn(`echo ${text}`, text === 'two' ? 'queued' : 'ok'));
      return null;
    },
  });
  const { exitCode, out } = await runCli(['chat'], home, { stdin: 'one\n\ntwo\nthree' });
  t.equal(out, 'echo one\necho two\necho three\n');
  t.equal(exitCode, EXIT.queued);
  t.equal(fake.calls[0]?.params['interactive'], false);
});

test('chat, no supervisor can be started, fails before the first prompt', async (t) => {
  const { home } = await startFake(t, {
    'session.open': () => ({ ...FAKE_SESSION, id: 's1' }),
    'bus.subscribe': () => {
      throw new Error('broken');
    },
  });
  const { exitCode, err } = await runCli(['chat'], home, { tty: true });
  t.equal(exitCode, 1);
  t.match(err, /broken \(internal\)/);
});

test('chat, a decision that the supervisor does not offer, is told and asked again', async (t) => {
  const chat = await openChat(t, [], {
    'approvals.answer': (params) => {
      if (params['decision'] === 'session') throw new Fault('invalid_argument', 'not offered for the session');
      return null;
    },
  });
  chat.fake.approval(makeApproval());
  await chat.io.outText.until('[d]eny');
  chat.io.type('s');
  await chat.io.outText.until('not offered for the session');
  await chat.io.outText.until('[d]eny');
  chat.io.type('o');
  await chat.io.outText.until('allowed once');
  await leave(t, chat);
});

test('chat, an approval that takes no answer for the session, offers none and ignores its key', async (t) => {
  const chat = await openChat(t);
  chat.fake.approval(makeApproval({ decisions: ['once', 'deny'] }));
  t.notMatch(await chat.io.outText.until('[d]eny'), /\[s\]ession/);
  chat.io.type('s');
  chat.io.type('o');
  t.match(await chat.fake.waitCall('approvals.answer', 1), { params: { decision: 'once' } });
  await leave(t, chat);
});
