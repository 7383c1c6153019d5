import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { Capture } from '../kit/fake-io.js';
import { makeApproval, startFake } from '../kit/fake-supervisor.js';
import { missingScript } from '../kit/terminal-script.js';

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

/** The program as a shell would start it. */
function start(home: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return spawn(process.execPath, [MAIN, ...argv, '--home', home], { env: { ...process.env, ...env } });
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function collect(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

const PS_ROW = {
  pid: 42,
  capsule: 'painted',
  version: '1.0.0',
  tier: 'jail',
  state: 'crashed',
  waitsOn: '',
  ageMs: 1,
  cpuMs: 1,
  memoryBytes: 1,
  memoryMaxBytes: 2,
  calls: 0,
  restarts: 1,
};

test('astrid -p, as a process, reads its input, prints the answer and exits by the outcome', async (t) => {
  const { home, fake } = await startFake(t, {
    'bus.publish': (params) => {
      setImmediate(() => fake.finishTurn(`echo ${(params['payload'] as { text: string }).text}`, 'denied'));
      return null;
    },
  });
  const child = start(home, ['-p', 'review']);
  child.stdin.end('piped text');
  t.same(await collect(child), {
    code: 4,
    out: 'echo review\n\npiped text\n',
    err: 'astrid: the turn ended: denied\n',
  });
});

test('astrid --version and wrong use, as a process, need no supervisor', async (t) => {
  const version = start('/nowhere', ['--version']);
  version.stdin.end();
  t.match(await collect(version), { code: 0, out: /^\d+\.\d+\.\d+\n$/, err: '' });
  const wrong = start('/nowhere', ['frobnicate']);
  wrong.stdin.end();
  t.match(await collect(wrong), { code: 2, out: '', err: /unknown command or argument "frobnicate"/ });
});

test('a reader that closes the pipe, ends the program quietly', async (t) => {
  const { home, fake } = await startFake(t, { logs: () => undefined });
  const child = start(home, ['logs', '-f']);
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  await fake.waitCall('logs');
  child.stdout.destroy();
  const flood = setInterval(() => fake.log({ time: 0, capsule: 'fs', level: 'info', message: 'line' }), 5);
  t.teardown(() => clearInterval(flood));
  const [code] = (await once(child, 'exit')) as [number | null];
  clearInterval(flood);
  t.equal(code, 0);
  t.equal(err, '');
});

test('Ctrl-C, as a signal to a following command, ends it with 130', async (t) => {
  const { home } = await startFake(t, {
    logs: (_params, stream) => stream.send({ time: 0, capsule: 'fs', level: 'info', message: 'line' }),
  });
  const child = start(home, ['logs', '-f']);
  const out = child.stdout.pipe(new Capture({}));
  await out.until('line');
  child.kill('SIGINT');
  t.same(await once(child, 'exit'), [130, null]);
});

test('astrid chat, on a pseudo terminal, asks, takes the key and gives the terminal back', {
  skip: missingScript(),
}, async (t) => {
  const { home, fake } = await startFake(t);
  // Without the test runner's preload, which slows every start and is not what a user runs.
  const line = `exec env -u NODE_OPTIONS '${process.execPath}' '${MAIN}' chat --home '${home}' --no-color`;
  const child = spawn('script', ['-qec', line, '/dev/null'], { env: { ...process.env, SHELL: '/bin/sh' } });
  t.teardown(() => child.kill());
  const screen = child.stdout.pipe(new Capture({}));
  await screen.until('> ');
  child.stdin.write('write it\r');
  await fake.waitCall('bus.publish');
  fake.approval(makeApproval({ detail: ['+ a\u001b[2Kb'] }));
  const card = await screen.until('[d]eny');
  t.match(card, 'what  write_file cwd://notes.txt');
  t.match(card, '+ a\\u{1b}[2Kb');
  child.stdin.write('o');
  t.same((await fake.waitCall('approvals.answer')).params, { id: 'a1', decision: 'once' });
  fake.finishTurn('done');
  await screen.until('done');
  child.stdin.write('\x04');
  const [code] = (await once(child, 'close')) as [number | null];
  t.equal(code, 0);
});

test('on a terminal there are colours, and none with NO_COLOR, on a dumb terminal or in a pipe', {
  skip: missingScript(),
}, async (t) => {
  const { home } = await startFake(t, { ps: () => [PS_ROW] });
  const run = async (program: string, args: readonly string[], env: Record<string, string>) => {
    const child = spawn(program, args, { env: { PATH: process.env['PATH'], SHELL: '/bin/sh', TERM: 'xterm', ...env } });
    child.stdin.end();
    const { out } = await collect(child);
    t.match(out, 'painted');
    return out.includes('\u001b[');
  };
  const line = `exec '${process.execPath}' '${MAIN}' ps --home '${home}'`;
  const onTerminal = (env: Record<string, string>) => run('script', ['-qec', line, '/dev/null'], env);
  t.equal(await onTerminal({}), true);
  t.equal(await onTerminal({ NO_COLOR: '1' }), false);
  t.equal(await onTerminal({ NO_COLOR: '' }), true, 'the empty value means nothing');
  t.equal(await onTerminal({ TERM: 'dumb' }), false);
  t.equal(await run(process.execPath, [MAIN, 'ps', '--home', home], {}), false);
});
