import { test } from 'tap';
import type { ProcessRow, StatusResult } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import { makeFakeIo } from '../kit/fake-io.js';
import { FAKE_SESSION, type FakeScript, makeApproval, makeHome, startFake } from '../kit/fake-supervisor.js';
import { runCli, startCli } from '../kit/run-cli.js';

const PROCESS: ProcessRow = {
  pid: 4711,
  capsule: 'fs',
  version: '0.1.0',
  tier: 'jail',
  state: 'waiting',
  waitsOn: 'ipc_recv',
  ageMs: 65_000,
  cpuMs: 420,
  memoryBytes: 12 * 2 ** 20,
  memoryMaxBytes: 64 * 2 ** 20,
  calls: 17,
  restarts: 1,
};

const STATUS: StatusResult = {
  pid: 99,
  version: '0.1.0',
  uptimeMs: 3_600_000,
  home: '/h',
  capsules: { total: 5, ready: 4, failed: 1 },
  clients: 1,
  sessions: 2,
  pendingApprovals: 3,
  auditor: { pid: 100, state: 'down', treeSize: 12, dropped: 0 },
  auditCheck: { state: 'ok', entries: 7, message: null },
  boot: [{ step: 'home', ms: 3 }],
};

test('ps, some capsules, prints the columns in order and aligned', async (t) => {
  const stopped: ProcessRow = { ...PROCESS, pid: null, capsule: 'react', state: 'failed', waitsOn: '', restarts: 12 };
  const { home } = await startFake(t, { ps: () => [PROCESS, stopped] });
  const { exitCode, out } = await runCli(['ps'], home);
  t.equal(exitCode, 0);
  const lines = out.split('\n');
  t.equal(lines[0]?.replace(/ +/g, ' ').trim(), 'PID CAPSULE TIER STATE WAITS-ON AGE CPU MEM/LIMIT CALLS RESTARTS');
  t.match(lines[1], /^4711 {2}fs {7}jail {2}waiting {2}ipc_recv {2}1m05s {2}0\.42s {4}12M\/64M {5}17 {9}1$/);
  t.match(lines[2], /^ {3}- {2}react/);
});

test('ps, as JSON, prints one array of the rows as they are', async (t) => {
  const { home } = await startFake(t, { ps: () => [PROCESS] });
  const { out } = await runCli(['ps', '--json'], home);
  t.same(JSON.parse(out), [PROCESS]);
  t.equal(out.trim().split('\n').length, 1);
});

test('ps, a capsule with a hostile name, cannot draw on the terminal nor fake a row', async (t) => {
  const { home } = await startFake(t, { ps: () => [{ ...PROCESS, capsule: 'x\x1b[2K\n4712  root' }] });
  const { out } = await runCli(['ps'], home, { tty: true, color: false });
  t.notMatch(out, /\x1b/);
  t.equal(out.split('\n').length, 3);
});

test('every command that needs a supervisor, none is running, says so and exits 3', async (t) => {
  const home = await makeHome(t);
  for (const line of [
    'ps',
    'kill fs',
    'restart fs',
    'logs',
    'status',
    'diff',
    'commit',
    'rollback',
    'sessions',
    'stop',
  ]) {
    const { exitCode, err, out } = await runCli(line.split(' '), home);
    t.equal(exitCode, 3, line);
    t.match(err, /^astrid: .*astrid start \(not_running\)\n$/, line);
    t.equal(out, '', line);
  }
  for (const line of ['approvals', 'approvals list', 'approvals allow a', 'approvals deny a', 'audit tail']) {
    t.equal((await runCli(line.split(' '), home)).exitCode, 3, line);
  }
});

test('kill and restart, a target, name it to the supervisor and report its fault', async (t) => {
  const { home, fake } = await startFake(t, {
    kill: () => ({ capsule: 'fs' }),
    restart: () => {
      throw new Fault('not_found', 'no capsule nope');
    },
  });
  t.match(await runCli(['kill', '4711'], home), {
    exitCode: 0,
    out: 'fs: TERM sent, KILL after 2 s; see: astrid ps\n',
  });
  t.same(fake.calls.at(-1), { method: 'kill', params: { target: '4711' } });
  t.match(await runCli(['restart', 'nope'], home), { exitCode: 1, err: 'astrid: no capsule nope (not_found)\n' });
});

test('status, an auditor that is down, says what that means; as JSON it is the record', async (t) => {
  const { home } = await startFake(t, { status: () => STATUS });
  const { out } = await runCli(['status'], home);
  t.match(out, /supervisor {2}pid 99, version 0\.1\.0, up 1h00m/);
  t.match(out, /4 of 5 ready, 1 failed/);
  t.match(out, /down: sensitive calls are denied, pid 100, tree size 12/);
  t.same(JSON.parse((await runCli(['status', '--json'], home)).out), STATUS);
});

test('status, records that the log did not take, says that the log is not complete, and nothing of it otherwise', async (t) => {
  let dropped = 0;
  const { home } = await startFake(t, { status: () => ({ ...STATUS, auditor: { ...STATUS.auditor, dropped } }) });
  t.notMatch((await runCli(['status'], home)).out, /COMPLETE/);
  dropped = 3;
  t.match((await runCli(['status'], home)).out, /NOT COMPLETE: 3 records not taken since the start/);
  t.match(JSON.parse((await runCli(['status', '--json'], home)).out), { auditor: { dropped: 3 } });
});

const LOG = { time: 0, capsule: 'fs', level: 'warn', message: 'disk\nfull' };

function logScript(): FakeScript {
  return {
    logs: (params, stream) => {
      stream.send(LOG);
      if (params['follow'] !== true) stream.end();
    },
  };
}

test('logs, the last lines, prints each on one line and passes on what was asked', async (t) => {
  const { home, fake } = await startFake(t, logScript());
  const { out, exitCode } = await runCli(['logs', '-n', '5', 'fs'], home);
  t.equal(exitCode, 0);
  t.equal(out, '1970-01-01 00:00:00.000Z fs warn  disk\\nfull\n');
  t.same(fake.calls[0]?.params, { capsule: 'fs', lines: 5, follow: false });
  t.same(JSON.parse((await runCli(['logs', '--json'], home)).out), [LOG]);
});

test('logs -f, followed as JSON until Ctrl-C, prints a value per line and exits 130', async (t) => {
  const { home } = await startFake(t, logScript());
  const io = makeFakeIo();
  const running = startCli(['logs', '-f', '--json'], home, io);
  t.same(JSON.parse(await io.outText.until('\n')), LOG);
  io.interrupt();
  t.equal(await running, 130);
});

test('logs -f, the supervisor dies, says so and exits 3', async (t) => {
  const { home, fake } = await startFake(t, logScript());
  const io = makeFakeIo();
  const running = startCli(['logs', '-f'], home, io);
  await io.outText.until('\n');
  fake.dropClients();
  t.equal(await running, 3);
  t.match(io.errText.text, /connection_closed/);
});

test('logs, a number of lines that is none, is a usage error before anything is asked', async (t) => {
  const home = await makeHome(t);
  t.match(await runCli(['logs', '-n', 'x'], home), { exitCode: 2, err: /--lines must be a whole number/ });
});

test('sessions, several, newest first', async (t) => {
  const old = { ...FAKE_SESSION, id: 'old', createdAt: 1_000 };
  const young = { ...FAKE_SESSION, id: 'young', createdAt: 4_000 };
  const { home } = await startFake(t, { 'session.list': () => [old, young] });
  const { out } = await runCli(['sessions'], home);
  t.match(out.split('\n')[1], /^young {5}1s {2}guided/);
  t.same(JSON.parse((await runCli(['sessions', '--json'], home)).out), [young, old]);
});

const DIFF = [
  { path: 'notes.txt', kind: 'added', unified: '--- a\n+++ b\n@@ -0,0 +1 @@\n+hello\x1b[2K\n', bytes: 6 },
  { path: 'logo.png', kind: 'modified', unified: null, bytes: 2048 },
  { path: 'gone', kind: 'deleted', unified: null, bytes: 0 },
];

function overlayScript(workspace: string): FakeScript {
  const rows = [
    { ...FAKE_SESSION, id: 'older', workspace, createdAt: 1 },
    { ...FAKE_SESSION, id: 'newest', workspace, createdAt: 2 },
    { ...FAKE_SESSION, id: 'foreign', workspace: '/elsewhere', createdAt: 3 },
  ];
  return {
    'session.list': () => rows,
    'overlay.diff': () => DIFF,
    'overlay.commit': () => ({ committed: ['a'], conflicts: ['b'] }),
    'overlay.rollback': () => ({ rolledBack: ['a'] }),
  };
}

test('diff, no session named, takes the newest of this directory and shows the changes harmlessly', async (t) => {
  const cwd = t.testdir({});
  const { home, fake } = await startFake(t, overlayScript(cwd));
  const { out, exitCode } = await runCli(['diff', 'notes.txt'], home, { cwd, tty: true });
  t.equal(exitCode, 0);
  t.same(fake.calls.at(-1)?.params, { session: 'newest', paths: ['notes.txt'] });
  t.match(out, 'A notes.txt  6B\n--- a\n+++ b\n@@ -0,0 +1 @@\n+hello\\u{1b}[2K\nM logo.png  2K\n');
  t.notMatch(out, /\x1b/);
  t.same(JSON.parse((await runCli(['diff', '--json', '--session', 'x'], home, { cwd })).out), DIFF);
  t.same(fake.calls.at(-1)?.params, { session: 'x' });
});

test('diff, no session of this directory, says how to get one', async (t) => {
  const { home } = await startFake(t);
  t.match(await runCli(['diff'], home), { exitCode: 1, err: /no session of .*astrid chat.*\(not_found\)/ });
});

test('commit, a file that changed meanwhile, reports it and fails', async (t) => {
  const cwd = t.testdir({});
  const { home } = await startFake(t, overlayScript(cwd));
  const { out, exitCode } = await runCli(['commit'], home, { cwd });
  t.equal(exitCode, 1);
  t.match(out, /committed a\nconflict {2}b {2}changed/);
  t.same(JSON.parse((await runCli(['commit', '--json'], home, { cwd })).out), { committed: ['a'], conflicts: ['b'] });
});

test('rollback, paths, drops them and says so', async (t) => {
  const cwd = t.testdir({});
  const { home, fake } = await startFake(t, overlayScript(cwd));
  t.match(await runCli(['rollback', 'a'], home, { cwd }), { exitCode: 0, out: 'rolled back a\n' });
  t.same(fake.calls.at(-1)?.params, { session: 'newest', paths: ['a'] });
});

test('approvals, one that waits, shows what, who and why', async (t) => {
  const row = makeApproval({ createdAt: 3_000 });
  const { home, fake } = await startFake(t, { 'approvals.list': () => [row] });
  const { out } = await runCli(['approvals'], home);
  t.match(
    out,
    /approval a1 {2}pending 2s\nwhat {2}write_file cwd:\/\/notes\.txt\nwho {3}capsule fs, for default, session s1\nwhy {3}mode guided asks before every change \(risk medium/,
  );
  t.match(out, /does {2}\+ hello/);
  t.same(JSON.parse((await runCli(['approvals', 'list', '--session', 's1', '--json'], home)).out), [row]);
  t.same(fake.calls.at(-1)?.params, { session: 's1' });
});

test('approvals allow and deny, an id, answer with the decision and name what it was given to', async (t) => {
  const { home, fake } = await startFake(t, { 'approvals.list': () => [makeApproval({ state: 'queued' })] });
  t.match(await runCli(['approvals', 'allow', 'a1'], home), {
    exitCode: 0,
    out: 'allowed fs write_file cwd://notes.txt\n',
  });
  t.same(fake.calls.at(-1)?.params, { id: 'a1', decision: 'once' });
  await runCli(['approvals', 'allow', 'a1', '--session'], home);
  t.same(fake.calls.at(-1)?.params, { id: 'a1', decision: 'session' });
  t.match((await runCli(['approvals', 'deny', 'a1'], home)).out, 'denied fs write_file');
  t.same(fake.calls.at(-1)?.params, { id: 'a1', decision: 'deny' });
  t.match(await runCli(['approvals', 'allow', 'a'], home), { exitCode: 1, err: /not_found/ }, 'too little of an id');
  t.match(await runCli(['approvals', 'allow', 'zz'], home), { exitCode: 1, err: /no approval "zz".*\(not_found\)/ });
});

test('approvals allow, the start of an id, is taken when it is long enough and only one begins so', async (t) => {
  const rows = ['abcdef01', 'abcdef02', 'fedcba01'].map((id) => makeApproval({ id }));
  const { home, fake } = await startFake(t, { 'approvals.list': () => rows });
  t.equal((await runCli(['approvals', 'allow', 'fedcba'], home)).exitCode, 0);
  t.same(fake.calls.at(-1)?.params, { id: 'fedcba01', decision: 'once' });
  t.match(await runCli(['approvals', 'deny', 'abcdef'], home), { exitCode: 2, err: /2 approvals begin with "abcdef"/ });
});

test('stop, a running supervisor, returns once it is gone', async (t) => {
  const { home, fake } = await startFake(t, {
    stop: () => {
      setImmediate(() => void fake.stop());
      return null;
    },
  });
  t.match(await runCli(['stop'], home), { exitCode: 0, out: /supervisor stopped/ });
});

test('a prompt, in a session of another workspace, is told without a hint that belongs to a commit', async (t) => {
  const { home } = await startFake(t, {
    'session.open': () => {
      throw new Fault('conflict', 'session s1 belongs to the workspace /elsewhere');
    },
  });
  t.match(await runCli(['-p', 'hi', '--session', 's1'], home), {
    exitCode: 1,
    err: 'astrid: session s1 belongs to the workspace /elsewhere (conflict)\n',
  });
});

test('start, one runs already, says so without starting another', async (t) => {
  const { home } = await startFake(t, {}, { pid: 42 });
  const { out, exitCode } = await runCli(['start', '--json'], home, { start: { supervisorMain: '/does/not/exist' } });
  t.equal(exitCode, 0);
  t.same(JSON.parse(out), { pid: 42, version: '9.9.9', home });
});

test('an answer that is no list, from a supervisor that broke the protocol, is a fault and not a table', async (t) => {
  const { home } = await startFake(t, { ps: () => 'nonsense' });
  t.match(await runCli(['ps'], home), { exitCode: 1, out: '', err: /bad_protocol/ });
});

test('build, a directory that is none or a manifest that is broken, is one clear error', async (t) => {
  const cwd = t.testdir({ broken: { 'Capsule.toml': '[package' }, empty: {} });
  const home = await makeHome(t);
  t.match(await runCli(['build', 'nowhere'], home, { cwd }), { exitCode: 1, out: '', err: /nowhere.*\(not_found\)/ });
  t.match(await runCli(['build', 'broken'], home, { cwd }), { exitCode: 1, err: /Capsule\.toml.*\(bad_manifest\)/ });
});

test('a directory without a capsule, given to any command that wants one, is the same error with its path', async (t) => {
  const home = await makeHome(t);
  const cwd = t.testdir({ empty: {} });
  const verbs = ['build', ...['build', 'check', 'test', 'dev', 'pack', 'install'].map((verb) => `capsule ${verb}`)];
  for (const verb of verbs) {
    for (const json of [[], ['--json']]) {
      const { exitCode, out, err } = await runCli([...verb.split(' '), './empty', ...json], home, { cwd });
      t.equal(exitCode, 1, verb);
      t.equal(out, '', verb);
      t.equal(err, `astrid: there is no capsule in ${cwd}/empty: it has no Capsule.toml (not_found)\n`, verb);
    }
  }
});
